//! What it takes to look at ten thousand members: processor time, memory and open files of a prober, and how punctual it is.
//!
//! One process stands in for all members ([`backend`]): their addresses are all on loopback, and it writes down when each
//! was visited. So it is an observer from outside: from its [`book`] come the rate, the bursts, the punctuality, and whether
//! somebody was visited who should not be. Beside it stands what the server says of itself.

mod backend;
mod book;
mod entrant;
mod own;

pub use entrant::Checks;

use crate::contender::{Contender, Peer};
use crate::meter::{self, Meter};
use crate::rng::Rng;
use crate::stand::Stand;
use crate::system;
use crate::table::{Table, thousands};
use backend::Backend;
use book::Book;
use entrant::Estate;
use own::Lateness;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A server may take so long to read its config.
const READY: Duration = Duration::from_mins(1);
/// Open files are counted so often.
const COUNT_EVERY: Duration = Duration::from_millis(250);

/// What to measure, and how.
pub struct Probing {
    /// Who.
    pub peers: Vec<Peer>,
    /// Which checks of each member.
    pub checks: Vec<Checks>,
    /// Members; how many of them are replaced by the reload follows from it.
    pub members: usize,
    /// Percents of the members that hang.
    pub hanging: Vec<usize>,
    /// From one TCP probe of a member to the next.
    pub tcp_every: Duration,
    /// From one HTTP or HTTPS probe of a member to the next.
    pub web_every: Duration,
    /// For how long each is watched.
    pub time: Duration,
    /// Whether a reload is looked at as well.
    pub reload: bool,
    /// Where.
    pub stand: Stand,
}

/// Measures, and prints the report to standard output; progress goes to standard error.
pub fn run(probing: &Probing) -> io::Result<()> {
    let scratch = probing.stand.enter()?;
    let backend = Backend::start()?;
    println!("{}", probing.stand.circumstances(&probing.peers));
    println!(
        "{} members in pools of {}; TCP probes every {} s, HTTP and HTTPS every {} s, watched for {} s after {} s; members on core {}, servers on core {}.\n",
        thousands(probing.members as f64),
        entrant::POOL,
        probing.tcp_every.as_secs_f64(),
        probing.web_every.as_secs_f64(),
        probing.time.as_secs_f64(),
        probing.warm_up().as_secs_f64(),
        probing.stand.client_core,
        probing.stand.server_core
    );
    let mut bench = Bench { probing, backend: &backend, directory: &scratch.path, runs: 0 };
    let mut table = watched_table();
    let mut notes = Vec::new();
    for (checks, hanging) in probing.rows() {
        for peer in probing.peers.iter().filter(|peer| checks.are_known_to(**peer)) {
            match bench.watch(*peer, &probing.estate(checks, hanging)) {
                Ok(watched) => table.row(watched.cells()),
                Err(error) => notes.push(format!("{} is left out of {}: {error}", peer.word(), checks.word())),
            }
        }
    }
    println!("### Probes\n\n{table}");
    if probing.reload && probing.peers.contains(&Peer::Steersman) {
        println!("### A reload\n\n{}", bench.reload()?);
    }
    for note in notes {
        println!("- {note}");
    }
    Ok(())
}

impl Probing {
    /// A round of the slowest check, and what is left of the start.
    fn warm_up(&self) -> Duration {
        self.tcp_every.max(self.web_every) * 6 / 5
    }

    fn rows(&self) -> impl Iterator<Item = (Checks, usize)> {
        self.checks.iter().flat_map(|checks| self.hanging.iter().map(|hanging| (*checks, *hanging)))
    }

    fn estate(&self, checks: Checks, hanging: usize) -> Estate {
        Estate { checks, members: 0..self.members, hanging, tcp_every: self.tcp_every, web_every: self.web_every }
    }
}

/// One row of the table: a server at its checks.
struct Watched {
    title: String,
    elapsed: Duration,
    book: Book,
    used: Duration,
    resident_mib: f64,
    files: usize,
    /// What the server says of itself; gdnsd says nothing.
    own: Option<Lateness>,
    /// Probes as the server counts them, those that nobody answers too.
    made: Option<u64>,
}

fn watched_table() -> Table {
    let columns = [
        "probes/s",
        "CPU % of a core",
        "CPU us/probe",
        "resident MiB",
        "open files at most",
        "own lateness p50, ms",
        "p99, ms",
        "above 100 ms, %",
        "seen: off by p50, ms",
        "p99, ms",
        "max, ms",
        "busiest second / mean",
    ];
    Table::new("server and checks", &columns)
}

impl Watched {
    fn cells(&self) -> Vec<String> {
        let seconds = self.elapsed.as_secs_f64();
        let probes = self.made.unwrap_or(self.book.visits() as u64) as f64;
        let used = self.used.as_secs_f64();
        let own = |tell: &dyn Fn(&Lateness) -> String| self.own.as_ref().map_or("-".to_owned(), tell);
        let off = self.book.off();
        vec![
            self.title.clone(),
            thousands(probes / seconds),
            format!("{:.1}", used / seconds * 100.0),
            format!("{:.0}", used * 1e6 / probes.max(1.0)),
            format!("{:.0}", self.resident_mib),
            self.files.to_string(),
            own(&|own| own.quantile(0.5)),
            own(&|own| own.quantile(0.99)),
            own(&|own| format!("{:.2}", own.share_above(0.1) * 100.0)),
            milliseconds(book::quantile(&off, 0.5)),
            milliseconds(book::quantile(&off, 0.99)),
            milliseconds(book::quantile(&off, 1.0)),
            format!("{:.2}", self.book.busiest_second() as f64 / (self.book.visits() as f64 / seconds).max(1e-9)),
        ]
    }
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.1}", time.as_secs_f64() * 1e3))
}

/// Where and how everything is measured.
struct Bench<'a> {
    probing: &'a Probing,
    backend: &'a Backend,
    directory: &'a Path,
    /// Servers started so far: each has a directory of its own.
    runs: usize,
}

impl Bench<'_> {
    /// Starts a server, waits until it runs smoothly, and watches it.
    fn watch(&mut self, peer: Peer, estate: &Estate) -> io::Result<Watched> {
        let mut server = self.start(peer, estate)?;
        thread::sleep(self.probing.warm_up());
        self.look(&mut server, estate, self.probing.time)
    }

    fn start(&mut self, peer: Peer, estate: &Estate) -> io::Result<Contender> {
        self.runs += 1;
        let home = self.directory.join(format!("{}-{}", peer.word(), self.runs));
        fs::create_dir_all(&home)?;
        eprintln!("{}: {}", peer.word(), estate.title());
        self.backend.take();
        let setup = estate.prepare(peer, &home, &self.probing.stand.steersman, self.backend.ports())?;
        let mut server = setup.start(self.probing.stand.server_core)?;
        let began = Instant::now();
        while self.backend.visits() == 0 {
            if began.elapsed() > READY || !server.is_alive() {
                return Err(io::Error::other("nobody is probed; see the log with --keep"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// What a server does in a while.
    fn look(&self, server: &mut Contender, estate: &Estate, time: Duration) -> io::Result<Watched> {
        let processes = server.processes();
        let is_ours = server.name == Peer::Steersman.word();
        let admin = own::admin(&server.home);
        let before = if is_ours { Some(own::scrape(admin?)?) } else { None };
        // What the scrape itself has delayed is over then.
        thread::sleep(Duration::from_millis(500));
        self.backend.take();
        let (meter, from) = (Meter::start(processes.clone(), self.probing.stand.server_core), Instant::now());
        let files = most_files(&processes, time);
        let (cost, until) = (meter.read(), Instant::now());
        let visits = self.backend.take();
        let resident_mib = meter::resident_mib(&processes);
        let after = if is_ours { Some(own::scrape(own::admin(&server.home)?)?) } else { None };
        if !server.is_alive() {
            return Err(io::Error::other("it has ended; see the log with --keep"));
        }
        let elapsed = until - from;
        // The scrapes lie around the time that is watched, and take a little of what is before and behind it.
        let made = before.as_ref().zip(after.as_ref()).map(|(before, after)| {
            let stretch = elapsed.as_secs_f64() / (after.at - before.at).as_secs_f64();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, stretched a little")]
            let made = ((after.probes - before.probes) as f64 * stretch).round() as u64;
            made
        });
        let own = before.as_ref().zip(after.as_ref()).map(|(before, after)| after.lateness.since(&before.lateness));
        let book = Book::new(visits, from, until, |kind| estate.interval(kind));
        let title = format!("{} {}", server.name, estate.title());
        Ok(Watched { title, elapsed, book, used: cost.used, resident_mib, files, own, made })
    }

    /// Takes every tenth pool away, adds half as many members as there were, and looks whether the former are ever visited again and
    /// whether the latter are visited all at once.
    fn reload(&mut self) -> io::Result<Table> {
        let mut table = Table::new(
            "a reload of TCP checks",
            &["members", "removed", "added", "visits to removed", "probes/s", "busiest second / mean", "first visits within, s"],
        );
        let before = self.probing.estate(Checks::Tcp, 0);
        let mut server = self.start(Peer::Steersman, &before)?;
        thread::sleep(self.probing.warm_up());
        let removed = self.probing.members / 10;
        let after = Estate { members: removed..self.probing.members * 3 / 2, ..before };
        after.write_ours(&server.home, self.backend.ports())?;
        self.backend.take();
        let asked = Instant::now();
        system::signal(server.process(), libc::SIGHUP);
        own::await_reload(&server.home)?;
        // Connections that were under way are accepted by then.
        thread::sleep(Duration::from_millis(50));
        let in_force = Instant::now();
        thread::sleep(self.probing.tcp_every * 3);
        if !server.is_alive() {
            return Err(io::Error::other("it has ended; see the log with --keep"));
        }
        let book = Book::new(self.backend.take(), asked, Instant::now(), |kind| after.interval(kind));
        let visits = book.visits_since(in_force, |target| target < removed);
        if visits > 0 {
            return Err(io::Error::other(format!("members that a reload removed were visited {visits} times")));
        }
        let mean = after.members.len() as f64 / self.probing.tcp_every.as_secs_f64();
        let firsts = book.firsts(in_force, |target| target >= self.probing.members);
        table.row(vec![
            "steersman".to_owned(),
            thousands(after.members.len() as f64),
            thousands(removed as f64),
            thousands((self.probing.members / 2) as f64),
            visits.to_string(),
            thousands(mean),
            format!("{:.2}", book.busiest_second() as f64 / mean),
            firsts.map_or("-".to_owned(), |last| format!("{:.1}", last.as_secs_f64())),
        ]);
        Ok(table)
    }
}

/// Waits for a while; the most files that the processes had open meanwhile, all together.
fn most_files(processes: &[u32], time: Duration) -> usize {
    let (most, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            // Not in step with probes that are due at whole seconds.
            let mut rng = Rng::seeded(1);
            while !over.load(Ordering::Relaxed) {
                let open = |process: &u32| fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
                most.fetch_max(processes.iter().map(open).sum(), Ordering::Relaxed);
                thread::sleep(COUNT_EVERY + Duration::from_millis(u64::from(rng.below(50))));
            }
        });
        thread::sleep(time);
        over.store(true, Ordering::Relaxed);
    });
    most.into_inner()
}

impl FromStr for Checks {
    type Err = String;

    fn from_str(text: &str) -> Result<Checks, String> {
        Checks::ALL.into_iter().find(|checks| checks.word() == text).ok_or_else(|| format!("`{text}` is none of tcp, http, https, both"))
    }
}
