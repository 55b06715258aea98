//! One member of one pool falls ill and recovers, again and again, while queries come at a fixed rate: what clients of all pools
//! notice, and how many pools are prepared anew.

use super::estate::{MEMBERS, Pooled};
use super::{Bench, WARM_UP, expect_records};
use crate::contender::Contender;
use crate::load::{Loopback, Outcome};
use crate::members::Patient;
use crate::meter::{self, Cost, Drops, Meter};
use crate::query::Query;
use crate::scrape;
use crate::system;
use crate::table::{Table, median, thousands};
use crate::udp::{Generator, Pace, Sending, UdpLoad};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Enough pools that to prepare all of them would show.
const POOLS: Pooled = Pooled { pools: 1000, names: 10_000 };
/// The most frequent checks there are; one observation is a flip, and however many there were before, the next one counts.
const MONITOR: &str = "interval: 100ms, timeout: 90ms, fall: 1, rise: 1, damping: none";
/// A flip is seen within an interval; this is more than two.
const FLIP_EVERY: Duration = Duration::from_millis(250);
/// The members of the pool that flips, the patient first. Only they are checked: a verdict that grows firmer prepares pools as well.
const GUESTS: [Ipv4Addr; MEMBERS] =
    [Ipv4Addr::new(127, 0, 0, 30), Ipv4Addr::new(127, 0, 0, 31), Ipv4Addr::new(127, 0, 0, 32), Ipv4Addr::new(127, 0, 0, 33)];
/// At a fixed rate, as in the other table of latencies.
const CLIENTS: usize = 16;

/// A run with or without flips.
struct Run {
    outcome: Outcome,
    drops: Drops,
    flips: u64,
    prepared: u64,
    cost: Cost,
}

impl Run {
    /// The latency that this share of the queries did not exceed, in microseconds.
    fn quantile(&self, share: f64) -> f64 {
        self.outcome.latency.quantile(share).as_secs_f64() * 1e6
    }
}

pub fn report(bench: &Bench) -> io::Result<()> {
    let guests: io::Result<Vec<_>> = GUESTS.iter().map(|ip| Patient::admit(SocketAddrV4::new(*ip, bench.members_port))).collect();
    let guests = guests?;
    let patient = &guests[0];
    let admin = SocketAddrV4::new(Ipv4Addr::LOCALHOST, system::free_port()?);
    let more = format!("policies: [policies.yaml]\nprobes: {{allow: [default, 127.0.0.0/8]}}\nadmin: {{listen: \"{admin}\"}}\n");
    let setup = bench.steersman("steersman, 1,000 pools", "zone.yaml", &more)?;
    fs::write(setup.home.join("zone.yaml"), POOLS.zone())?;
    fs::write(setup.home.join("policies.yaml"), POOLS.policies(bench.members_port, Some((MONITOR, GUESTS))))?;
    let server = bench.start(setup, &Pooled::question(1), Pooled::is_right)?.contender;
    let queries = POOLS.questions(POOLS.names);
    let (mut still, mut flipping) = (Vec::new(), Vec::new());
    for round in 0..bench.scale.rounds {
        eprintln!("flips: round {} of {}", round + 1, bench.scale.rounds);
        // Each round begins with the other one.
        for turn in 0..2 {
            if (round + turn).is_multiple_of(2) {
                still.push(run(bench, &server, &queries, admin, None)?);
            } else {
                flipping.push(run(bench, &server, &queries, admin, Some(patient))?);
            }
        }
    }
    println!("\n### Flips of one pool of 1,000 at {} queries a second\n\n{}", thousands(bench.scale.rate), table(&still, &flipping));
    Ok(())
}

fn run(bench: &Bench, server: &Contender, queries: &[Query], admin: SocketAddrV4, patient: Option<&Patient>) -> io::Result<Run> {
    let load = UdpLoad {
        server: Loopback(server.address),
        clients: CLIENTS,
        pace: Pace::Open { rate: bench.scale.rate },
        sending: Sending::Batches,
        seed: 1,
    };
    let mut generator = Generator::connect(&load, queries)?;
    generator.run(WARM_UP)?;
    generator.settle()?;
    let (drops, [flips, prepared]) = (meter::drops(server.address.port()), counters(admin)?);
    let (done, meter) = (AtomicBool::new(false), Meter::start(server.processes(), bench.scale.stand.server_core));
    let outcome = thread::scope(|scope| {
        if let Some(patient) = patient {
            scope.spawn(|| flip_until(patient, &done));
        }
        let outcome = generator.run(bench.scale.time.max(FLIP_EVERY * 12));
        done.store(true, Ordering::Relaxed);
        outcome
    })?;
    let cost = meter.read();
    expect_records("steersman", &outcome)?;
    let (drops_since, [flips_since, prepared_since]) = (meter::drops(server.address.port()), counters(admin)?);
    // The last recovery, so that it does not happen in the next run.
    thread::sleep(FLIP_EVERY);
    Ok(Run {
        outcome,
        drops: Drops { server: drops_since.server - drops.server, clients: drops_since.clients - drops.clients },
        flips: flips_since - flips,
        prepared: prepared_since - prepared,
        cost,
    })
}

/// Ill and well in turn; well at the end.
fn flip_until(patient: &Patient, done: &AtomicBool) {
    let mut is_well = true;
    while !done.load(Ordering::Relaxed) {
        is_well = !is_well;
        patient.set(is_well);
        thread::sleep(FLIP_EVERY);
    }
    patient.set(true);
}

/// Changes of verdicts and pools prepared anew, so far.
fn counters(admin: SocketAddrV4) -> io::Result<[u64; 2]> {
    let page = scrape::page(admin)?;
    let number = |name: &str| scrape::number(&page, name).ok_or_else(|| io::Error::other(format!("{name} is not among the metrics")));
    Ok([number("steersman_verdict_changes_total ")?, number("steersman_pools_prepared_total ")?])
}

fn table(still: &[Run], flipping: &[Run]) -> Table {
    let mut table = Table::new(
        "meanwhile",
        &[
            "p50 us",
            "p99 us",
            "p99.9 us",
            "queries",
            "lost",
            "dropped at the server",
            "dropped at the generator",
            "flips",
            "pools prepared",
            "pools per flip",
            "others on core %",
        ],
    );
    for (name, runs) in [("nothing", still), ("one pool flips", flipping)] {
        let sum = |number: fn(&Run) -> u64| runs.iter().map(number).sum::<u64>();
        let (flips, prepared) = (sum(|run| run.flips), sum(|run| run.prepared));
        let quantiles = QUANTILES.map(|share| format!("{:.0}", median(runs.iter().map(|run| run.quantile(share)).collect())));
        let mut row = vec![name.to_owned()];
        row.extend(quantiles);
        row.extend([
            sum(|run| run.outcome.tally.sent).to_string(),
            sum(|run| run.outcome.tally.lost).to_string(),
            sum(|run| run.drops.server).to_string(),
            sum(|run| run.drops.clients).to_string(),
            flips.to_string(),
            prepared.to_string(),
            if flips == 0 { "-".to_owned() } else { format!("{:.2}", prepared as f64 / flips as f64) },
            format!("{:.0}", median(runs.iter().map(|run| run.cost.others * 100.0).collect())),
        ]);
        table.row(row);
    }
    // The two runs of a round are neighbours in time: what comes and goes on the machine is in both, and cancels.
    let mut row = vec!["difference within a round, %".to_owned()];
    row.extend(QUANTILES.map(|share| {
        let change = |(still, flipping): (&Run, &Run)| (flipping.quantile(share) / still.quantile(share) - 1.0) * 100.0;
        format!("{:+.1}", median(still.iter().zip(flipping).map(change).collect()))
    }));
    row.resize(12, String::new());
    table.row(row);
    table
}

/// What is told of latencies.
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];
