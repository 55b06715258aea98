//! Servers side by side: started, checked, loaded in interleaved rounds, and laid out as Markdown tables.
//!
//! Within a round every server has its turn at a load before the next round begins, and each round begins with another
//! server, so that what drifts on the machine drifts for all. Only medians are shown, and beside them how far the
//! rounds were apart. A server that answers wrong is not measured, and the report says so.

use crate::answer;
use crate::contender::{Contender, Peer, Setup, Site};
use crate::load::{Loopback, Outcome};
use crate::members;
use crate::meter::{self, Cost, Meter};
use crate::query::Query;
use crate::stand::Stand;
use crate::table::{Table, median, spread, thousands};
use crate::tcp::{self, TcpLoad, Use};
use crate::udp::{self, Pace, Sending, UdpLoad};
use crate::world::{Asked, Right, Workload, World, are_fair};
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

/// Before each measurement: fills windows and caches.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long a server may take to load its data and to notice who is dead: several intervals of probing.
const READY: Duration = Duration::from_secs(45);
/// Questions asked one by one before a workload is measured.
const CHECKS: usize = 1000;
/// Clients that ask them, each from an address of its own: all places are among theirs.
const CHECKERS: usize = 16;
/// The same world in every run.
const SEED: u64 = 20_240_601;

/// What to compare, and how.
pub struct Comparison {
    /// Who.
    pub peers: Vec<Peer>,
    /// At what.
    pub loads: Vec<Load>,
    /// How often.
    pub rounds: usize,
    /// How long each time.
    pub time: Duration,
    /// Answers a second of the extra table of latencies; none: no such table.
    pub latency_rate: Option<f64>,
    /// Where.
    pub stand: Stand,
}

//--- Loads

/// How many clients ask over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 4 sockets with 64 queries under way on each, sent as trains: as forwarders and load balancers come.
    Few,
    /// 256 sockets with one query under way on each: as resolvers come.
    Many,
}

impl Shape {
    /// All there are.
    pub const ALL: [Shape; 2] = [Shape::Few, Shape::Many];

    const fn word(self) -> &'static str {
        match self {
            Shape::Few => "4x64",
            Shape::Many => "256x1",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Shape::Few => "4 sockets x 64 queries under way",
            Shape::Many => "256 sockets x 1",
        }
    }

    const fn load(self, server: Loopback) -> UdpLoad {
        match self {
            Shape::Few => UdpLoad { server, clients: 4, pace: Pace::Closed { window: 64 }, sending: Sending::Trains, seed: 1 },
            Shape::Many => UdpLoad { server, clients: 256, pace: Pace::Closed { window: 1 }, sending: Sending::Batches, seed: 1 },
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Shape, String> {
        Shape::ALL.into_iter().find(|shape| shape.word() == text).ok_or_else(|| format!("`{text}` is no shape: 4x64 or 256x1"))
    }
}

/// A way to ask over TCP, for the plain names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// A connection for each query, 8 at a time.
    Connection,
    /// 64 connections, one query under way on each.
    One,
    /// 16 connections, 32 queries under way on each.
    Pipelined,
}

impl Streams {
    /// All there are.
    pub const ALL: [Streams; 3] = [Streams::Connection, Streams::One, Streams::Pipelined];

    const fn word(self) -> &'static str {
        match self {
            Streams::Connection => "tcp-connection",
            Streams::One => "tcp-one",
            Streams::Pipelined => "tcp-pipelined",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Streams::Connection => "TCP: a connection for each query",
            Streams::One => "TCP: 64 connections, one query under way on each",
            Streams::Pipelined => "TCP: 16 connections, 32 queries under way on each",
        }
    }

    const fn usage(self) -> Use {
        match self {
            Streams::Connection => Use::OneQuery { clients: 8 },
            Streams::One => Use::Kept { connections: 64, depth: 1 },
            Streams::Pipelined => Use::Kept { connections: 16, depth: 32 },
        }
    }
}

/// What the word of a `--workloads` list means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A workload over UDP, in every shape wanted.
    Udp(Workload),
    /// A way to use TCP.
    Tcp(Streams),
}

impl Topic {
    /// All there are.
    pub fn all() -> Vec<Topic> {
        Workload::ALL.into_iter().map(Topic::Udp).chain(Streams::ALL.into_iter().map(Topic::Tcp)).collect()
    }
}

impl FromStr for Topic {
    type Err = String;

    fn from_str(text: &str) -> Result<Topic, String> {
        let streams = Streams::ALL.into_iter().find(|streams| streams.word() == text).map(Topic::Tcp);
        streams.map_or_else(|| text.parse().map(Topic::Udp), Ok)
    }
}

/// One table's worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Over UDP.
    Udp(Workload, Shape),
    /// Over TCP.
    Tcp(Streams),
}

impl Load {
    /// The loads of a topic.
    pub fn of(topic: Topic, shapes: &[Shape]) -> Vec<Load> {
        match topic {
            Topic::Udp(workload) => shapes.iter().map(|shape| Load::Udp(workload, *shape)).collect(),
            Topic::Tcp(streams) => vec![Load::Tcp(streams)],
        }
    }

    const fn workload(self) -> Workload {
        match self {
            Load::Udp(workload, _) => workload,
            Load::Tcp(_) => Workload::Static,
        }
    }

    fn title(self) -> String {
        match self {
            Load::Udp(workload, shape) => format!("{}; {}", workload.title(), shape.title()),
            Load::Tcp(streams) => streams.title().to_owned(),
        }
    }
}

//--- The run

/// One round of one server at one load.
pub struct Round {
    /// What came back.
    pub outcome: Outcome,
    /// What it cost the server.
    pub cost: Cost,
}

/// All rounds of one server at one load.
pub struct Row {
    /// The server, or the config it runs.
    pub name: &'static str,
    /// In the order in which they were made.
    pub rounds: Vec<Round>,
}

/// Compares, and prints the report to standard output; progress goes to standard error.
pub fn run(comparison: &Comparison) -> io::Result<()> {
    let scratch = comparison.stand.enter()?;
    run_in(comparison, &scratch.path)
}

fn run_in(comparison: &Comparison, directory: &Path) -> io::Result<()> {
    let world = World::new(SEED);
    let site = Site { world: &world, directory, members_port: members::start()?, steersman: &comparison.stand.steersman };
    let mut notes = Vec::new();
    let mut contenders = start(comparison, &site, &mut notes)?;
    check_all(comparison, &world, &mut contenders, &mut notes);
    println!("{}", comparison.stand.circumstances(&comparison.peers));
    println!(
        "Medians of {} interleaved rounds of {:.1} s; generator on core {}, servers on core {}, one worker each.\n",
        comparison.rounds,
        comparison.time.as_secs_f64(),
        comparison.stand.client_core,
        comparison.stand.server_core
    );
    for load in &comparison.loads {
        let rows = measure(comparison, *load, &world, &contenders, &mut notes);
        println!("### {}\n\n{}", load.title(), costs(&rows));
    }
    if let Some(rate) = comparison.latency_rate {
        println!(
            "### Latency at {} queries a second, from when each was due\n\n{}",
            thousands(rate),
            latencies(comparison, rate, &world, &contenders)?
        );
    }
    println!("### Memory after the load\n\n{}", memory(&contenders));
    for note in notes {
        println!("- {note}");
    }
    Ok(())
}

/// Starts the reflector and all servers; those that cannot be set up or started are noted.
fn start(comparison: &Comparison, site: &Site, notes: &mut Vec<String>) -> io::Result<Vec<Contender>> {
    let mut contenders = vec![Setup::reflector(site)?.start(comparison.stand.server_core)?];
    for peer in &comparison.peers {
        for setup in peer.prepare(site)? {
            let name = setup.name;
            match setup.start(comparison.stand.server_core) {
                Ok(contender) => contenders.push(contender),
                Err(error) => note(notes, format!("{name} did not start: {error}")),
            }
        }
    }
    Ok(contenders)
}

fn note(notes: &mut Vec<String>, note: String) {
    eprintln!("{note}");
    notes.push(note);
}

//--- Checks

/// Takes from every server the workloads that it does not answer right in time.
fn check_all(comparison: &Comparison, world: &World, contenders: &mut [Contender], notes: &mut Vec<String>) {
    let until = Instant::now() + READY;
    let mut wanted: Vec<_> = Vec::new();
    for load in &comparison.loads {
        if !wanted.contains(&load.workload()) {
            wanted.push(load.workload());
        }
    }
    // The first is the reflector, which is right by definition.
    for workload in wanted {
        let questions = world.questions(workload);
        for contender in contenders.iter_mut().skip(1).filter(|contender| contender.workloads.contains(&workload)) {
            eprintln!("checking {} at {}", contender.name, workload.word());
            if let Err(fault) = check_until(world, workload, &questions, contender, until) {
                note(notes, format!("{} is left out of `{}`: {fault}", contender.name, workload.word()));
                contender.workloads.retain(|kept| *kept != workload);
            }
        }
    }
}

/// Checks until all is right, or gives the last fault when the time is over or the server has ended.
fn check_until(world: &World, workload: Workload, questions: &[Asked], contender: &mut Contender, until: Instant) -> Result<(), String> {
    loop {
        let result = check(world, workload, questions, contender);
        if result.is_ok() || Instant::now() > until {
            return result;
        }
        if !contender.is_alive() {
            return Err("the process has ended; see its log with --keep".to_owned());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn check(world: &World, workload: Workload, questions: &[Asked], contender: &Contender) -> Result<(), String> {
    let mut drawn = Vec::new();
    for (index, asked) in questions.iter().take(CHECKS).enumerate() {
        let client = index % CHECKERS;
        let answer = answer::ask(contender.address, client, &asked.query).map_err(|error| error.to_string())?;
        if !world.is_right(asked, client, &answer) {
            return Err(format!("{answer:?} where {:?} is right", asked.right));
        }
        if workload == Workload::GeoEcs && !answer.client_subnet {
            return Err("an answer by client subnet without the option (RFC 7871 section 7.2.1)".to_owned());
        }
        drawn.extend(answer.addresses);
    }
    if questions[0].right == Right::Drawn && !are_fair(&drawn) {
        return Err(format!("{CHECKS} draws do not follow the weights"));
    }
    Ok(())
}

//--- Rounds

/// All rounds of one load.
fn measure(comparison: &Comparison, load: Load, world: &World, contenders: &[Contender], notes: &mut Vec<String>) -> Vec<Row> {
    let queries: Vec<Query> = world.questions(load.workload()).into_iter().map(|asked| asked.query).collect();
    let running: Vec<_> = contenders.iter().filter(|contender| contender.workloads.contains(&load.workload())).collect();
    let mut rows: Vec<_> = running.iter().map(|contender| Row { name: contender.name, rounds: Vec::new() }).collect();
    for round in 0..comparison.rounds {
        eprintln!("{}: round {} of {}", load.title(), round + 1, comparison.rounds);
        for turn in 0..running.len() {
            let index = (turn + round) % running.len();
            match measure_one(comparison, load, &queries, running[index]) {
                Ok(measured) => rows[index].rounds.push(measured),
                Err(error) => note(notes, format!("{} at `{}`, round {}: {error}", running[index].name, load.title(), round + 1)),
            }
        }
    }
    rows
}

/// One round of one server. An error when it answered wrong: a fast refusal is no result.
fn measure_one(comparison: &Comparison, load: Load, queries: &[Query], contender: &Contender) -> io::Result<Round> {
    let server = Loopback(contender.address);
    let processes = contender.processes();
    let (outcome, cost) = match load {
        Load::Udp(_, shape) => {
            let mut generator = udp::Generator::connect(&shape.load(server), queries)?;
            generator.run(WARM_UP)?;
            generator.settle()?;
            let meter = Meter::start(processes, comparison.stand.server_core);
            (generator.run(comparison.time)?, meter.read())
        }
        Load::Tcp(streams) => {
            let load = TcpLoad { server, connections: streams.usage(), seed: 1 };
            let mut generator = tcp::Generator::connect(&load, queries)?;
            generator.run(WARM_UP)?;
            let meter = Meter::start(processes, comparison.stand.server_core);
            (generator.run(comparison.time)?, meter.read())
        }
    };
    let is_reflector = contender.name == "reflector";
    match load.workload().fault(&outcome.tally).filter(|_| !is_reflector) {
        Some(fault) => Err(io::Error::other(format!("wrong answers: {fault}"))),
        None => Ok(Round { outcome, cost }),
    }
}

//--- Tables

impl Round {
    /// Microseconds of the server's processor time for an answer.
    pub fn microseconds(&self) -> f64 {
        self.cost.used.as_secs_f64() * 1e6 / self.outcome.tally.answered.max(1) as f64
    }
}

impl Row {
    /// The median of a value over the rounds.
    pub fn median(&self, value: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(value).collect())
    }
}

fn costs(rows: &[Row]) -> Table {
    let mut table = Table::new(
        "server",
        &[
            "answers/s",
            "spread %",
            "ratio to reflector",
            "ratio by CPU",
            "CPU us/answer",
            "own cost, us",
            "octets",
            "lost",
            "core idle %",
            "others on core %",
            "generator idle %",
        ],
    );
    let ceiling = rows.iter().find(|row| row.name == "reflector" && !row.rounds.is_empty());
    for row in rows.iter().filter(|row| !row.rounds.is_empty()) {
        let rate = row.median(|round| round.outcome.rate());
        let cost = row.median(Round::microseconds);
        let ratio = ceiling.map_or(f64::NAN, |ceiling| rate / ceiling.median(|round| round.outcome.rate()));
        let by_cost = ceiling.map_or(f64::NAN, |ceiling| ceiling.median(Round::microseconds) / cost);
        let own = ceiling.map_or(f64::NAN, |ceiling| cost - ceiling.median(Round::microseconds));
        table.row(vec![
            row.name.to_owned(),
            thousands(rate),
            format!("{:.0}", spread(row.rounds.iter().map(|round| round.outcome.rate()).collect()) * 100.0),
            format!("{ratio:.2}"),
            format!("{by_cost:.2}"),
            format!("{cost:.2}"),
            format!("{own:+.2}"),
            format!("{:.0}", row.median(|round| round.outcome.tally.size())),
            row.rounds.iter().map(|round| round.outcome.tally.lost).sum::<u64>().to_string(),
            format!("{:.0}", row.median(|round| round.cost.core_idle) * 100.0),
            format!("{:.0}", row.median(|round| round.cost.others) * 100.0),
            format!("{:.0}", row.median(|round| round.outcome.idle_share()) * 100.0),
        ]);
    }
    table
}

/// The plain names at a fixed rate, by 16 clients.
fn latencies(comparison: &Comparison, rate: f64, world: &World, contenders: &[Contender]) -> io::Result<Table> {
    let mut table = Table::new("server", &["p50 us", "p99 us", "p99.9 us", "CPU us/answer", "lost"]);
    let queries: Vec<Query> = world.questions(Workload::Static).into_iter().map(|asked| asked.query).collect();
    let running: Vec<_> = contenders.iter().filter(|contender| contender.workloads.contains(&Workload::Static)).collect();
    let mut rows: Vec<_> = running.iter().map(|contender| Row { name: contender.name, rounds: Vec::new() }).collect();
    for round in 0..comparison.rounds {
        eprintln!("latency: round {} of {}", round + 1, comparison.rounds);
        for turn in 0..running.len() {
            let index = (turn + round) % running.len();
            let server = Loopback(running[index].address);
            let load = UdpLoad { server, clients: 16, pace: Pace::Open { rate }, sending: Sending::Batches, seed: 1 };
            let mut generator = udp::Generator::connect(&load, &queries)?;
            generator.run(WARM_UP)?;
            generator.settle()?;
            let meter = Meter::start(running[index].processes(), comparison.stand.server_core);
            rows[index].rounds.push(Round { outcome: generator.run(comparison.time)?, cost: meter.read() });
        }
    }
    for row in &rows {
        let quantile = |share| format!("{:.0}", row.median(|round| round.outcome.latency.quantile(share).as_secs_f64() * 1e6));
        table.row(vec![
            row.name.to_owned(),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
            format!("{:.2}", row.median(Round::microseconds)),
            row.rounds.iter().map(|round| round.outcome.tally.lost).sum::<u64>().to_string(),
        ]);
    }
    Ok(table)
}

fn memory(contenders: &[Contender]) -> Table {
    let mut table = Table::new("server", &["resident MiB"]);
    for contender in contenders {
        table.row(vec![contender.name.to_owned(), format!("{:.1}", meter::resident_mib(&contender.processes()))]);
    }
    table
}
