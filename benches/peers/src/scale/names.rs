//! One zone of a million names: how long it takes to load, what it holds in memory, and what an answer costs.

use super::estate::Plain;
use super::{Asked, Bench, Started, costs};
use crate::contender::{Peer, PlainZone};
use crate::meter;
use crate::table::{Table, median, spread, thousands};
use std::fs;
use std::io;

/// Names of the small zone beside it.
const FEW: usize = 1000;

pub fn report(bench: &Bench) -> io::Result<()> {
    let large = Plain { zones: 1, names: bench.scale.names };
    let file = bench.directory.join("large.zone");
    fs::write(&file, large.text(0, 1))?;
    let zone = PlainZone { origin: &Plain::origin(0), file: &file, directory: bench.directory, steersman: &bench.scale.stand.steersman };
    let mut table = Table::new("server", &["start to first answer, s", "spread %", "own log: load, s", "resident MiB", "peak MiB"]);
    let mut running = Vec::new();
    let mut notes = Vec::new();
    for peer in &bench.scale.peers {
        match starts(bench, *peer, &zone) {
            Ok(starts) => running.push(shown(starts, &mut table)),
            Err(error) => notes.push(format!("{} is left out: {error}", peer.word())),
        }
    }
    println!("### One zone of {} names: load\n\n{table}", thousands(large.names as f64));
    for note in notes {
        println!("- {note}");
    }

    let small = small(bench)?;
    let count = large.names;
    let (few, all) = (Plain { zones: 1, names: FEW }.questions(count), large.questions(count));
    let mut asked = vec![Asked { name: "steersman, 1,000 names", contender: &small.contender, queries: &few }];
    asked.extend(running.iter().map(|started| Asked { name: started.contender.name, contender: &started.contender, queries: &all }));
    let rows = bench.rounds("names", &asked)?;
    let memory: Vec<_> = asked.iter().map(|asked| meter::resident_mib(&asked.contender.processes())).collect();
    println!("\n### One zone of {} names, asked uniformly at random\n\n{}", thousands(large.names as f64), costs(&rows, &memory));
    Ok(())
}

/// Starts a server as often as wanted; each one ends before the next begins, and the last one stays.
fn starts(bench: &Bench, peer: Peer, zone: &PlainZone) -> io::Result<Vec<Started>> {
    let (query, address) = Plain::question(0, bench.scale.names - 1);
    let mut all: Vec<Started> = Vec::new();
    for _ in 0..bench.scale.starts {
        if let Some(before) = all.last_mut() {
            before.contender.end();
        }
        all.push(bench.start(peer.prepare_plain(zone)?, &query, |answer| answer.addresses == [address])?);
    }
    Ok(all)
}

/// Adds the row of a server; the start that still runs.
fn shown(mut starts: Vec<Started>, table: &mut Table) -> Started {
    let times: Vec<_> = starts.iter().map(|started| started.first_answer.as_secs_f64()).collect();
    let last = starts.pop().expect("at least one start");
    let log = fs::read_to_string(last.contender.home.join("log")).unwrap_or_default();
    table.row(vec![
        last.contender.name.to_owned(),
        format!("{:.2}", median(times.clone())),
        format!("{:.0}", spread(times) * 100.0),
        logged_load_s(&log).map_or("-".to_owned(), |seconds| format!("{seconds:.2}")),
        format!("{:.1}", last.resident_mib),
        format!("{:.1}", meter::peak_mib(&last.contender.processes())),
    ]);
    last
}

/// What our own log says of the time to read and compile the config, in seconds.
fn logged_load_s(log: &str) -> Option<f64> {
    let (_, rest) = log.split_once("config read and compiled in ")?;
    let milliseconds: f64 = rest.split(' ').next()?.parse().ok()?;
    Some(milliseconds / 1e3)
}

fn small(bench: &Bench) -> io::Result<Started> {
    let file = bench.directory.join("small.zone");
    fs::write(&file, Plain { zones: 1, names: FEW }.text(0, 1))?;
    let (query, address) = Plain::question(0, 0);
    let setup = bench.steersman("steersman, 1,000 names", &format!("\"{}\"", file.display()), "")?;
    bench.start(setup, &query, |answer| answer.addresses == [address])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_read_off_the_log() {
        assert_eq!(logged_load_s("INFO config read and compiled in 612 ms\nINFO serving"), Some(0.612));
        assert_eq!(logged_load_s("serving"), None);
    }
}
