//! How long clients are sent to a member that is dead: servers side by side, each with its own checks of the same two members,
//! one of which is killed, stopped, made slow or cut off, again and again.
//!
//! All servers run at the same time and suffer the same fault at the same moment, which is a random one within their intervals.
//! An [`observer`] asks each at a fixed rate, and [`observer::Finding`] says from the answers what clients had of it.

mod entrant;
mod member;
mod observer;
mod sites;

pub use entrant::Entrant;
pub use member::serve as serve_as_member;

use crate::contender::{Contender, Peer};
use crate::query::{Qtype, Query};
use crate::rng::Rng;
use crate::stand::Stand;
use crate::system;
use crate::table::{Table, median};
use entrant::NAME;
use member::Member;
use observer::{Fate, Finding, Observer};
use sites::{Filter, Site};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

/// From probe to probe; what gdnsd can do at its fastest with a timeout below it.
const INTERVAL: Duration = Duration::from_secs(2);
/// Of a probe; the shortest that gdnsd knows.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Failures in a row. PowerDNS does not count: it believes the first.
const FALL: u32 = 3;
/// Passes in a row. PowerDNS believes the first.
const RISE: u32 = 2;
/// `FALL` intervals: what a belief is worth that nothing hurries. PowerDNS has no other TTL than this.
const TTL_MAX_S: u32 = 6;
/// The least a resolver can hold.
const TTL_MIN_S: u32 = 1;
/// How slow a slow member is: every probe has given up by then.
const SLOW: Duration = Duration::from_secs(3);
/// Whoever has not noticed by then is said not to notice: twice what `FALL` intervals and a timeout are.
const DEATH_MAX: Duration = Duration::from_secs(14);
/// A death lasts so long at least, for all to be told apart from a short hiccup.
const DEATH_MIN: Duration = Duration::from_secs(8);
/// Within this all must have come back after a fault, or found their feet at the start.
const RECOVERY_MAX: Duration = Duration::from_secs(30);

/// What befalls the first member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its process is killed.
    Killed,
    /// Its process is stopped: connections are accepted, nothing is said.
    Stopped,
    /// It answers after every prober has given up.
    Slow,
    /// Packets to it are dropped.
    Dropped,
    /// Connections to it are reset on the way.
    Rejected,
}

impl Fault {
    /// All there are.
    pub const ALL: [Fault; 5] = [Fault::Killed, Fault::Stopped, Fault::Slow, Fault::Dropped, Fault::Rejected];

    const fn word(self) -> &'static str {
        match self {
            Fault::Killed => "killed",
            Fault::Stopped => "stopped",
            Fault::Slow => "slow",
            Fault::Dropped => "dropped",
            Fault::Rejected => "rejected",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Fault::Killed => "Killed: the port is closed",
            Fault::Stopped => "Stopped (SIGSTOP): connections are accepted, nothing is said",
            Fault::Slow => "Slow: it answers after every prober has given up",
            Fault::Dropped => "Dropped (nftables): nothing comes back",
            Fault::Rejected => "Rejected (nftables): connections are reset",
        }
    }

    const fn needs_networks(self) -> bool {
        matches!(self, Fault::Dropped | Fault::Rejected)
    }

    fn befall(self, member: &mut Member) -> io::Result<()> {
        match self {
            Fault::Killed => member.kill(),
            Fault::Stopped => member.stop(),
            Fault::Slow => member.answer_after(SLOW)?,
            Fault::Dropped | Fault::Rejected => {
                let filter = if self == Fault::Dropped { Filter::Drop } else { Filter::Reject };
                sites::filter(member.network().ok_or_else(|| io::Error::other("no network to filter in"))?, member.ports(), filter)?;
            }
        }
        Ok(())
    }

    fn end(self, member: &mut Member) -> io::Result<()> {
        match self {
            Fault::Killed => member.revive(),
            Fault::Stopped => {
                member.resume();
                Ok(())
            }
            Fault::Slow => member.answer_after(Duration::ZERO),
            Fault::Dropped | Fault::Rejected => {
                sites::unfilter(member.network().ok_or_else(|| io::Error::other("no network to filter in"))?)
            }
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        Fault::ALL.into_iter().find(|fault| fault.word() == text).ok_or_else(|| format!("`{text}` is no fault"))
    }
}

/// What to measure, and how.
pub struct Scenario {
    /// Who.
    pub peers: Vec<Peer>,
    /// What happens.
    pub faults: Vec<Fault>,
    /// How often.
    pub rounds: usize,
    /// Questions a second to each server.
    pub rate: f64,
    /// Where.
    pub stand: Stand,
}

/// Measures, and prints the report to standard output; progress goes to standard error.
pub fn run(scenario: &Scenario) -> io::Result<()> {
    let mut notes = Vec::new();
    let sites = sites::in_networks().unwrap_or_else(|error| {
        notes.push(format!("No networks of our own, so that nothing is dropped or rejected: {error}"));
        sites::on_loopback()
    });
    let scratch = scenario.stand.enter()?;
    let mut stage = Stage::set(scenario, &sites, &scratch.path, &mut notes)?;
    println!("{}", circumstances(scenario, &stage));
    for fault in &scenario.faults {
        if fault.needs_networks() && sites[0].network.is_none() {
            notes.push(format!("Left out: {}", fault.word()));
            continue;
        }
        let findings = stage.measure(*fault, scenario)?;
        println!("### {}\n\n{}", fault.title(), table(&stage.runners, &findings));
    }
    for note in notes {
        println!("- {note}");
    }
    Ok(())
}

//--- The stage

/// A server that runs, and the observer that asks it.
struct Runner {
    entrant: Entrant,
    /// Which of the members' ports it probes.
    port: usize,
    observer: Observer,
    /// Ends the server when dropped.
    _contender: Contender,
}

struct Stage {
    /// The member that dies.
    first: Member,
    /// Held for as long as the servers look at it.
    _second: Member,
    runners: Vec<Runner>,
    rng: Rng,
}

impl Stage {
    fn set(scenario: &Scenario, sites: &[Site; 2], directory: &Path, notes: &mut Vec<String>) -> io::Result<Stage> {
        let entrants: Vec<Entrant> = Entrant::ALL.into_iter().filter(|entrant| scenario.peers.contains(&entrant.peer())).collect();
        let addresses = [sites[0].address, sites[1].address];
        let ports: Vec<u16> = entrants.iter().map(|_| free_port(sites)).collect::<io::Result<_>>()?;
        let member = |site: &Site| Member::start(site.address, &ports, site.network.clone());
        let (first, second) = (member(&sites[0])?, member(&sites[1])?);
        let query = Query::new(NAME, Qtype::A, None).map_err(io::Error::other)?;
        let mut runners = Vec::new();
        for (port, entrant) in entrants.iter().enumerate() {
            let setup = entrant.prepare(directory, &scenario.stand.steersman, addresses, ports[port])?;
            match setup.start(scenario.stand.server_core) {
                Ok(contender) => {
                    let observer = Observer::start(contender.address, query.clone(), scenario.rate);
                    runners.push(Runner { entrant: *entrant, port, observer, _contender: contender });
                }
                Err(error) => notes.push(format!("{} did not start: {error}", entrant.title())),
            }
        }
        let mut stage = Stage { first, _second: second, runners, rng: Rng::seeded(u64::from(std::process::id())) };
        for title in stage.drop_silent() {
            notes.push(format!("{title} did not answer the first member within {} s, and is left out", RECOVERY_MAX.as_secs()));
        }
        Ok(stage)
    }

    /// Waits until all answer with the first member; takes out those that do not, and returns their names.
    fn drop_silent(&mut self) -> Vec<&'static str> {
        let is_up = |runner: &Runner, address| runner.observer.latest().is_some_and(|held| held.addresses == [address]);
        let address = self.first.address;
        wait(RECOVERY_MAX, || self.runners.iter().all(|runner| is_up(runner, address)));
        let silent: Vec<_> = self.runners.iter().filter(|runner| !is_up(runner, address)).map(|runner| runner.entrant.title()).collect();
        self.runners.retain(|runner| is_up(runner, address));
        silent
    }

    /// All rounds of one fault: by round, then by runner.
    fn measure(&mut self, fault: Fault, scenario: &Scenario) -> io::Result<Vec<Vec<Finding>>> {
        let mut rounds = Vec::new();
        for round in 1..=scenario.rounds {
            eprintln!("{}: round {round} of {}", fault.word(), scenario.rounds);
            rounds.push(self.round(fault, scenario.rate)?);
        }
        Ok(rounds)
    }

    fn round(&mut self, fault: Fault, rate: f64) -> io::Result<Vec<Finding>> {
        // Nobody's belief is young any more, and caches hold what it gave.
        for runner in &self.runners {
            runner.observer.take();
        }
        thread::sleep(Duration::from_secs(u64::from(TTL_MAX_S)) + INTERVAL + INTERVAL * self.rng.below(1000) / 1000);
        let last_probes: Vec<_> = self.runners.iter().map(|runner| self.first.last_probe(runner.port)).collect();
        let died = Instant::now();
        fault.befall(&mut self.first)?;
        thread::sleep(DEATH_MIN);
        let dead = self.first.address;
        let names_it = |runner: &Runner| runner.observer.latest().is_none_or(|held| held.addresses.contains(&dead));
        wait(DEATH_MAX.saturating_sub(DEATH_MIN), || !self.runners.iter().any(names_it));
        let revived = Instant::now();
        fault.end(&mut self.first)?;
        wait(RECOVERY_MAX, || self.runners.iter().all(names_it));
        thread::sleep(Duration::from_millis(200));
        let finding = |(runner, probe): (&Runner, Option<Instant>)| {
            // The first probe that can fail is the one after the last that did not; they are an interval apart.
            let failed = probe.map_or(died, |probe| (probe + INTERVAL).max(died));
            Finding::of(&runner.observer.take(), &Fate { address: dead, died, failed, revived }, rate)
        };
        Ok(self.runners.iter().zip(last_probes).map(finding).collect())
    }
}

/// Looks every 20 ms until something is so, for at most `patience`.
fn wait(patience: Duration, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + patience;
    while !is_so() && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port that is free on loopback, and on the sites' addresses where those are loopback too.
fn free_port(sites: &[Site; 2]) -> io::Result<u16> {
    let is_free = |port: u16| {
        let addresses: Vec<Ipv4Addr> = sites.iter().filter(|site| site.network.is_none()).map(|site| site.address).collect();
        addresses.into_iter().all(|address| TcpListener::bind(SocketAddrV4::new(address, port)).is_ok())
    };
    for _ in 0..64 {
        let port = system::free_port()?;
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(io::Error::other("no port is free at both members"))
}

//--- The report

fn circumstances(scenario: &Scenario, stage: &Stage) -> String {
    let networks = if stage.first.network().is_some() { "networks of their own" } else { "loopback" };
    format!(
        "{}\n{} rounds of each fault, all servers at once; members in {networks}; {} questions a second to each server.\n\
         Interval {} s, timeout {} s, fall {FALL}, rise {RISE}, TTL {TTL_MIN_S} to {TTL_MAX_S} s.\n",
        scenario.stand.circumstances(&scenario.peers),
        scenario.rounds,
        scenario.rate,
        INTERVAL.as_secs(),
        TIMEOUT.as_secs(),
    )
}

fn table(runners: &[Runner], rounds: &[Vec<Finding>]) -> Table {
    let columns = [
        "noticed",
        "last dead answer after, s",
        "from first probe, s",
        "exposure",
        "exposure since death",
        "held by a resolver, s",
        "last cache free after, s",
        "back after, s",
    ];
    let mut table = Table::new("server", &columns);
    for (index, runner) in runners.iter().enumerate() {
        let all: Vec<Finding> = rounds.iter().map(|round| round[index]).collect();
        let noticed = all.iter().filter(|finding| finding.noticed).count();
        // A number for what was never noticed would only tell how long the fault lasted.
        let cell = |value: fn(&Finding) -> f64| {
            if noticed == all.len() { spread_out(all.iter().map(value).collect()) } else { "-".to_owned() }
        };
        table.row(vec![
            runner.entrant.title().to_owned(),
            format!("{noticed} of {}", all.len()),
            cell(|finding| finding.detection_s),
            cell(|finding| finding.after_probe_s),
            cell(|finding| finding.exposure),
            cell(|finding| finding.exposure_of_death),
            cell(|finding| finding.held_s),
            cell(|finding| finding.gone_s),
            cell(|finding| finding.recovery_s),
        ]);
    }
    table
}

/// The median, and the extremes behind it.
fn spread_out(values: Vec<f64>) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.1} ({least:.1}-{most:.1})", median(values))
}
