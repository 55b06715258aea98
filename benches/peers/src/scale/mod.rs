//! What size costs: a million names, many zones, many pools, a reload and flips of health under load.
//!
//! Our own program only, beside itself: the large config and a small one take turns, so that what differs is the size. For
//! the million plain names the peers load the same file and answer the same questions. Every part prints its own tables and
//! what their columns mean; it knows no bar.

mod estate;
mod flips;
mod many;
mod names;
mod reload;

use crate::compare::{Round, Row};
use crate::contender::{Contender, Peer, Setup, steersman};
use crate::load::{Loopback, Outcome};
use crate::meter::{self, Meter};
use crate::query::Query;
use crate::stand::Stand;
use crate::table::{Table, spread, thousands};
use crate::udp::{Generator, Pace, Sending, UdpLoad};
use crate::{answer, members};
use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::path::Path;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

/// Before each measurement: fills windows and caches.
const WARM_UP: Duration = Duration::from_millis(300);
/// How long a server may take to load.
const READY: Duration = Duration::from_mins(1);
/// Clients of a full load, each with one query under way: as resolvers come.
const CLIENTS: usize = 256;

/// What to measure, and how.
pub struct Scale {
    /// Who loads the million names.
    pub peers: Vec<Peer>,
    /// Which tables.
    pub parts: Vec<Part>,
    /// Names of the large zone.
    pub names: usize,
    /// How often each load is measured.
    pub rounds: usize,
    /// How long each time.
    pub time: Duration,
    /// How often each server is started.
    pub starts: usize,
    /// Queries a second while members flip.
    pub rate: f64,
    /// Where.
    pub stand: Stand,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One zone of many names: load time, memory, cost.
    Names,
    /// A reload of that zone under full load.
    Reload,
    /// Many zones.
    Zones,
    /// Many pools.
    Pools,
    /// Flips of one pool under load.
    Flips,
}

impl Part {
    /// All there are.
    pub const ALL: [Part; 5] = [Part::Names, Part::Reload, Part::Zones, Part::Pools, Part::Flips];

    const fn word(self) -> &'static str {
        match self {
            Part::Names => "names",
            Part::Reload => "reload",
            Part::Zones => "zones",
            Part::Pools => "pools",
            Part::Flips => "flips",
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Part, String> {
        Part::ALL.into_iter().find(|part| part.word() == text).ok_or_else(|| format!("`{text}` is no part of the report"))
    }
}

/// Measures all parts, and prints the report to standard output; progress goes to standard error.
pub fn run(scale: &Scale) -> io::Result<()> {
    let scratch = scale.stand.enter()?;
    let bench = Bench { scale, directory: &scratch.path, members_port: members::start()? };
    println!("{}", scale.stand.circumstances(&scale.peers));
    println!(
        "Medians of {} interleaved rounds of {:.1} s; generator on core {}, servers on core {}, one worker each. Where nothing else is said, the \
         load is that of {CLIENTS} clients with one query under way on each.\n",
        scale.rounds,
        scale.time.as_secs_f64(),
        scale.stand.client_core,
        scale.stand.server_core
    );
    for part in &scale.parts {
        match part {
            Part::Names => names::report(&bench)?,
            Part::Reload => reload::report(&bench)?,
            Part::Zones => many::report_zones(&bench)?,
            Part::Pools => many::report_pools(&bench)?,
            Part::Flips => flips::report(&bench)?,
        }
    }
    Ok(())
}

/// Where and how all parts measure.
struct Bench<'a> {
    scale: &'a Scale,
    /// An absolute path.
    directory: &'a Path,
    /// The port on which the places answer HTTP.
    members_port: u16,
}

/// A server that runs, and how it began.
struct Started {
    contender: Contender,
    /// From the start of the process to its first right answer.
    first_answer: Duration,
    /// Resident right after that.
    resident_mib: f64,
}

/// A server of a table with the questions it is asked.
struct Asked<'a> {
    name: &'static str,
    contender: &'a Contender,
    queries: &'a [Query],
}

impl Bench<'_> {
    /// A directory with our config in it, and what starts it.
    fn steersman(&self, name: &'static str, zones: &str, more: &str) -> io::Result<Setup> {
        let (home, address) = crate::contender::home(self.directory, name)?;
        fs::write(home.join("steersman.yaml"), format!("listen: [\"{address}\"]\nzones: [{zones}]\nworkers: 1\n{more}"))?;
        Ok(Setup { name, home, address, command: steersman::serve(&self.scale.stand.steersman), workloads: Vec::new() })
    }

    /// Starts a server and waits until `is_right` likes its answer to `query`.
    fn start(&self, setup: Setup, query: &Query, is_right: impl Fn(&answer::Answer) -> bool) -> io::Result<Started> {
        eprintln!("starting {}", setup.name);
        let began = Instant::now();
        let mut contender = setup.start(self.scale.stand.server_core)?;
        // Who listens before it has loaded keeps the first question until then.
        while !answer::ask(contender.address, 0, query).is_ok_and(|answer| is_right(&answer)) {
            if began.elapsed() > READY || !contender.is_alive() {
                return Err(io::Error::other(format!("{} gave no right answer; see its log with --keep", contender.name)));
            }
            thread::sleep(Duration::from_millis(1));
        }
        let first_answer = began.elapsed();
        let resident_mib = meter::resident_mib(&contender.processes());
        Ok(Started { contender, first_answer, resident_mib })
    }

    /// Loads all of them in interleaved rounds.
    fn rounds(&self, title: &str, all: &[Asked]) -> io::Result<Vec<Row>> {
        let mut rows: Vec<_> = all.iter().map(|asked| Row { name: asked.name, rounds: Vec::new() }).collect();
        for round in 0..self.scale.rounds {
            eprintln!("{title}: round {} of {}", round + 1, self.scale.rounds);
            for turn in 0..all.len() {
                let index = (turn + round) % all.len();
                rows[index].rounds.push(self.round(&all[index])?);
            }
        }
        Ok(rows)
    }

    fn round(&self, asked: &Asked) -> io::Result<Round> {
        let mut generator = full_load(asked.contender.address, asked.queries)?;
        generator.run(WARM_UP)?;
        generator.settle()?;
        let meter = Meter::start(asked.contender.processes(), self.scale.stand.server_core);
        let outcome = generator.run(self.scale.time)?;
        let cost = meter.read();
        expect_records(asked.name, &outcome)?;
        Ok(Round { outcome, cost })
    }
}

/// As many queries as are answered.
fn full_load(server: SocketAddrV4, queries: &[Query]) -> io::Result<Generator<'_>> {
    let pace = Pace::Closed { window: 1 };
    Generator::connect(&UdpLoad { server: Loopback(server), clients: CLIENTS, pace, sending: Sending::Batches, seed: 1 }, queries)
}

/// An error unless every answer held one record: a fast refusal is no result.
fn expect_records(name: &str, outcome: &Outcome) -> io::Result<()> {
    let tally = &outcome.tally;
    if tally.answered > 0 && tally.records == tally.answered && tally.rcodes[0] == tally.answered {
        return Ok(());
    }
    let words = tally.rcodes_in_words();
    Err(io::Error::other(format!("{name} answered wrong: {words}; {} records in {} answers", tally.records, tally.answered)))
}

/// The cost of each row, and how it compares with that of the first.
fn costs(rows: &[Row], memory: &[f64]) -> Table {
    let mut table = Table::new(
        "config",
        &[
            "answers/s",
            "CPU us/answer",
            "spread %",
            "above the first, us",
            "above the first, %",
            "lost",
            "others on core %",
            "resident MiB",
        ],
    );
    let Some(first) = rows.first().map(|row| row.median(Round::microseconds)) else { return table };
    for (row, memory) in rows.iter().zip(memory) {
        let cost = row.median(Round::microseconds);
        table.row(vec![
            row.name.to_owned(),
            thousands(row.median(|round| round.outcome.rate())),
            format!("{cost:.2}"),
            format!("{:.0}", spread(row.rounds.iter().map(Round::microseconds).collect()) * 100.0),
            format!("{:+.2}", cost - first),
            format!("{:+.0}", (cost / first - 1.0) * 100.0),
            row.rounds.iter().map(|round| round.outcome.tally.lost).sum::<u64>().to_string(),
            format!("{:.0}", row.median(|round| round.cost.others) * 100.0),
            format!("{memory:.1}"),
        ]);
    }
    table
}
