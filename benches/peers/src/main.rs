//! The project's load generator, its reflector, and the comparison with peers. A tool for developers, never shipped.
//!
//! `run` beside this package calls `peers compare`; the other commands measure a server that is already there. All of it
//! loads only the machine it runs on.
//!
//! Reading order: `query` and `tally` (what is asked, how answers are checked), `udp` and `tcp` (the loads), `reflect`
//! (the ceiling), `world` (what is served), `contender` (by whom), `compare` (side by side), `scale` (what size costs),
//! `exposure` (members that die, and who is still sent to them), `probing` (what it takes to look at ten thousand members).

mod answer;
mod compare;
mod contender;
mod exposure;
mod histogram;
mod load;
mod members;
mod meter;
mod probing;
mod query;
mod reflect;
mod rng;
mod scale;
mod scrape;
mod stand;
mod system;
mod table;
mod tally;
mod tcp;
mod udp;
mod world;

use clap::{Args, Parser, Subcommand};
use compare::{Comparison, Load, Shape, Topic};
use contender::Peer;
use exposure::{Fault, Scenario};
use load::{Loopback, Outcome, TIME_MAX};
use meter::{Cost, Meter};
use probing::{Checks, Probing};
use query::Query;
use scale::{Part, Scale};
use stand::Stand;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tcp::{TcpLoad, Use};
use udp::{Generator, Pace, Sending, UdpLoad};

/// DNS load generator, reflector, and the comparison of Steersman with its peers.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load a server over UDP.
    Udp(UdpArgs),
    /// Load a server over TCP.
    Tcp(TcpArgs),
    /// Answer every query with one fixed record, over UDP and TCP: the ceiling for any server.
    Reflect {
        /// Where: a loopback address and a port.
        #[arg(long)]
        listen: Loopback,
        /// The core to run on.
        #[arg(long)]
        core: Option<usize>,
    },
    /// Start Steersman and its peers, load all in interleaved rounds, print Markdown tables.
    Compare(CompareArgs),
    /// Start Steersman and its peers, let a member die in many ways, and print for how long clients are sent to it.
    Exposure(ExposureArgs),
    /// Be a member of `exposure`: answer HTTP, and say on standard output on which port a connection came.
    #[command(hide = true)]
    Member {
        /// Where to listen.
        #[arg(long)]
        address: Ipv4Addr,
        /// On which ports.
        #[arg(long, value_delimiter = ',')]
        ports: Vec<u16>,
    },
    /// Measure what size costs: a million names, many zones and pools, a reload and flips under load.
    Scale(ScaleArgs),
    /// Measure what it takes to probe many members, and how punctually that is done.
    Probing(ProbingArgs),
}

/// What both loads have.
#[derive(Args)]
struct Common {
    /// Who is asked: a loopback address and a port.
    #[arg(long)]
    server: Loopback,
    /// A file with `name type [client-subnet]` on each line.
    #[arg(long)]
    queries: PathBuf,
    /// Seconds, at most 300.
    #[arg(long, default_value = "3", value_parser = seconds)]
    time: Duration,
    /// The generator's core.
    #[arg(long)]
    core: Option<usize>,
    /// The server's process, for its processor time; its descendants are counted too.
    #[arg(long)]
    process: Option<u32>,
    /// The server's core, for its idle time.
    #[arg(long, default_value = "1")]
    server_core: usize,
    /// The same seed asks the same queries in the same order.
    #[arg(long, default_value = "1")]
    seed: u64,
}

#[derive(Args)]
struct UdpArgs {
    #[command(flatten)]
    common: Common,
    /// Clients, each with a socket and a loopback address of its own (up to 256 addresses).
    #[arg(long, default_value = "4", value_parser = clap::value_parser!(u16).range(1..=4096))]
    sockets: u16,
    /// Queries under way on each: as many are sent as are answered.
    #[arg(long, default_value = "64", conflicts_with = "rate", value_parser = clap::value_parser!(u16).range(1..=32768))]
    window: u16,
    /// Queries a second, whatever is answered; latency counts from when a query was due.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Send trains that the kernel cuts apart (UDP_SEGMENT). All queries must have one length.
    #[arg(long)]
    trains: bool,
}

#[derive(Args)]
struct TcpArgs {
    #[command(flatten)]
    common: Common,
    /// Connections at a time.
    #[arg(long, default_value = "16", value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Queries under way on each.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=16384))]
    depth: u16,
    /// Close each connection after one query.
    #[arg(long, conflicts_with = "depth")]
    close: bool,
}

#[derive(Args)]
struct CompareArgs {
    /// steersman, gdnsd, knot, nsd, powerdns, bind.
    #[arg(long, value_delimiter = ',', default_value = "steersman,gdnsd,knot,nsd")]
    peers: Vec<Peer>,
    /// static, weighted, failover, geo-source, geo-ecs, negative, tcp-connection, tcp-one, tcp-pipelined. Default: all.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<Topic>,
    /// How UDP clients come: 4x64, 256x1 (sockets x queries under way on each). Default: both.
    #[arg(long, value_delimiter = ',')]
    shapes: Vec<Shape>,
    /// How often each load is measured.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Seconds of each measurement.
    #[arg(long, default_value = "1.2", value_parser = seconds)]
    time: Duration,
    /// Adds a table of latencies at this many queries a second.
    #[arg(long, value_parser = rate)]
    latency: Option<f64>,
    #[command(flatten)]
    stand: Stand,
}

#[derive(Args)]
struct ExposureArgs {
    /// steersman, gdnsd, powerdns: those that check.
    #[arg(long, value_delimiter = ',', default_value = "steersman,gdnsd,powerdns")]
    peers: Vec<Peer>,
    /// killed, stopped, slow, dropped, rejected. Default: all. The last two need root, ip and nft.
    #[arg(long, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// How often each fault befalls the member.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Questions a second to each server.
    #[arg(long, default_value = "50", value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    stand: Stand,
}

#[derive(Args)]
struct ScaleArgs {
    /// Who loads the large zone beside us: steersman, gdnsd, knot, nsd.
    #[arg(long, value_delimiter = ',', default_value = "steersman,gdnsd,knot,nsd")]
    peers: Vec<Peer>,
    /// names, reload, zones, pools, flips. Default: all.
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Names of the large zone.
    #[arg(long, default_value = "1000000", value_parser = clap::value_parser!(u32).range(1000..=5_000_000))]
    names: u32,
    /// How often each load is measured.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Seconds of each measurement.
    #[arg(long, default_value = "1.2", value_parser = seconds)]
    time: Duration,
    /// How often each server is started with the large zone.
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u16).range(1..=100))]
    starts: u16,
    /// Queries a second while members flip.
    #[arg(long, default_value = "20000", value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    stand: Stand,
}

#[derive(Args)]
struct ProbingArgs {
    /// steersman, gdnsd: those that check many members.
    #[arg(long, value_delimiter = ',', default_value = "steersman,gdnsd")]
    peers: Vec<Peer>,
    /// tcp, http, https, both (tcp and https). Default: all. gdnsd knows the first two.
    #[arg(long, value_delimiter = ',')]
    checks: Vec<Checks>,
    /// Members.
    #[arg(long, default_value = "10000", value_parser = clap::value_parser!(u32).range(100..=100_000))]
    members: u32,
    /// Percents of the members that hang.
    #[arg(long, value_delimiter = ',', default_value = "0,1,10", value_parser = clap::value_parser!(u8).range(0..=100))]
    hanging: Vec<u8>,
    /// Seconds from one TCP probe of a member to the next: more than the timeout of 2.
    #[arg(long, default_value = "5", value_parser = seconds)]
    tcp_every: Duration,
    /// Seconds from one HTTP or HTTPS probe of a member to the next: more than the timeout of 2.
    #[arg(long, default_value = "10", value_parser = seconds)]
    web_every: Duration,
    /// Seconds for which each server is watched.
    #[arg(long, default_value = "20", value_parser = seconds)]
    time: Duration,
    /// Leave out the reload.
    #[arg(long)]
    no_reload: bool,
    #[command(flatten)]
    stand: Stand,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if time.is_zero() || time > TIME_MAX {
        return Err(format!("above 0, and at most {} seconds", TIME_MAX.as_secs()));
    }
    Ok(time)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().map_err(|_| "not a number")?;
    if (1.0..=1e8).contains(&rate) { Ok(rate) } else { Err("from 1 to 100,000,000 a second".to_owned()) }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Udp(args) => load_udp(&args),
        Command::Tcp(args) => load_tcp(&args),
        Command::Reflect { listen, core } => core.map_or(Ok(()), |core| system::pin(0, core)).and_then(|()| reflect::run(listen)),
        Command::Compare(args) => compare::run(&comparison(args)),
        Command::Exposure(args) => exposure::run(&scenario(args)),
        Command::Member { address, ports } => exposure::serve_as_member(address, &ports),
        Command::Scale(args) => scale::run(&sizes(args)),
        Command::Probing(args) => probing::run(&prober(args)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn load_udp(args: &UdpArgs) -> io::Result<()> {
    let queries = args.common.begin()?;
    let pace = args.rate.map_or(Pace::Closed { window: args.window.into() }, |rate| Pace::Open { rate });
    let sending = if args.trains { Sending::Trains } else { Sending::Batches };
    let load = UdpLoad { server: args.common.server, clients: args.sockets.into(), pace, sending, seed: args.common.seed };
    let mut generator = Generator::connect(&load, &queries)?;
    let meter = args.common.meter();
    let outcome = generator.run(args.common.time)?;
    print(&outcome, &meter.read());
    Ok(())
}

fn load_tcp(args: &TcpArgs) -> io::Result<()> {
    let queries = args.common.begin()?;
    let connections = if args.close {
        Use::OneQuery { clients: args.connections.into() }
    } else {
        Use::Kept { connections: args.connections.into(), depth: args.depth.into() }
    };
    let load = TcpLoad { server: args.common.server, connections, seed: args.common.seed };
    let mut generator = tcp::Generator::connect(&load, &queries)?;
    let meter = args.common.meter();
    let outcome = generator.run(args.common.time)?;
    print(&outcome, &meter.read());
    Ok(())
}

impl Common {
    /// Moves to the generator's core; the queries.
    fn begin(&self) -> io::Result<Vec<Query>> {
        if let Some(core) = self.core {
            system::pin(0, core)?;
        }
        let named = |fault: String| io::Error::other(format!("{}: {fault}", self.queries.display()));
        let text = std::fs::read_to_string(&self.queries).map_err(|error| named(error.to_string()))?;
        query::read(&text).map_err(named)
    }

    fn meter(&self) -> Meter {
        Meter::start(self.process.map(meter::family).unwrap_or_default(), self.server_core)
    }
}

/// One fact a line, its unit last in the name: easy to read, easy to cut apart.
fn print(outcome: &Outcome, cost: &Cost) {
    let tally = &outcome.tally;
    let quantile = |share| outcome.latency.quantile(share).as_secs_f64() * 1e6;
    println!("answers_per_second  {:.0}", outcome.rate());
    println!("sent                {}", tally.sent);
    println!("answered            {}", tally.answered);
    println!("lost                {}", tally.lost);
    println!("bad                 {}", tally.bad);
    println!("truncated           {}", tally.truncated);
    println!("rcodes              {}", tally.rcodes_in_words());
    println!("records_per_answer  {:.2}", tally.records as f64 / tally.answered.max(1) as f64);
    println!("answer_octets       {:.1}", tally.size());
    println!("latency_p50_us      {:.1}", quantile(0.5));
    println!("latency_p99_us      {:.1}", quantile(0.99));
    println!("latency_p999_us     {:.1}", quantile(0.999));
    println!("server_cpu_us       {:.3}", cost.used.as_secs_f64() * 1e6 / tally.answered.max(1) as f64);
    println!("server_core_idle_%  {:.1}", cost.core_idle * 100.0);
    println!("generator_idle_%    {:.1}", outcome.idle_share() * 100.0);
    println!("seconds             {:.2}", outcome.elapsed.as_secs_f64());
}

fn scenario(args: ExposureArgs) -> Scenario {
    Scenario {
        peers: args.peers,
        faults: if args.faults.is_empty() { Fault::ALL.to_vec() } else { args.faults },
        rounds: args.rounds.into(),
        rate: args.rate,
        stand: args.stand,
    }
}

fn comparison(args: CompareArgs) -> Comparison {
    let shapes = if args.shapes.is_empty() { Shape::ALL.to_vec() } else { args.shapes };
    let topics = if args.workloads.is_empty() { Topic::all() } else { args.workloads };
    Comparison {
        peers: args.peers,
        loads: topics.into_iter().flat_map(|topic| Load::of(topic, &shapes)).collect(),
        rounds: args.rounds.into(),
        time: args.time,
        latency_rate: args.latency,
        stand: args.stand,
    }
}

fn sizes(args: ScaleArgs) -> Scale {
    Scale {
        peers: args.peers,
        parts: if args.parts.is_empty() { Part::ALL.to_vec() } else { args.parts },
        names: args.names as usize,
        rounds: args.rounds.into(),
        time: args.time,
        starts: args.starts.into(),
        rate: args.rate,
        stand: args.stand,
    }
}

fn prober(args: ProbingArgs) -> Probing {
    Probing {
        peers: args.peers,
        checks: if args.checks.is_empty() { Checks::ALL.to_vec() } else { args.checks },
        members: args.members as usize,
        hanging: args.hanging.into_iter().map(usize::from).collect(),
        tcp_every: args.tcp_every,
        web_every: args.web_every,
        time: args.time,
        reload: !args.no_reload,
        stand: args.stand,
    }
}
