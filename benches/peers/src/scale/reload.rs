//! A reload of the large zone while it is asked as fast as it answers: how long until the new data is served, what memory that
//! takes, and what the clients notice.

use super::estate::Plain;
use super::{Bench, WARM_UP, expect_records, full_load};
use crate::contender::Contender;
use crate::load::Outcome;
use crate::meter::{self, Drops};
use crate::table::{Table, median, spread, thousands};
use crate::{answer, system};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The load goes on for this long after the new data is served: the old data is let go of then.
const AFTERMATH: Duration = Duration::from_millis(200);
/// An idle worker has let go of the old data by then.
const SETTLED: Duration = Duration::from_millis(1500);
/// How long a reload may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// One reload under load, and as long a time without.
struct Reloaded {
    quiet: Outcome,
    during: Outcome,
    /// From the signal to the first answer from the new data.
    took: Duration,
    /// Resident before, at most meanwhile, and afterwards, in MiB.
    before: f64,
    peak: f64,
    after: f64,
    drops: Drops,
}

pub fn report(bench: &Bench) -> io::Result<()> {
    let large = Plain { zones: 1, names: bench.scale.names };
    let file = bench.directory.join("reloaded.zone");
    fs::write(&file, large.text(0, 1))?;
    let (query, address) = Plain::question(0, 0);
    let setup = bench.steersman("steersman", &format!("\"{}\"", file.display()), "")?;
    let server = bench.start(setup, &query, |answer| answer.addresses == [address])?.contender;
    let queries = large.questions(large.names);
    let mut reloads = Vec::new();
    for round in 0..bench.scale.rounds {
        eprintln!("reload: round {} of {}", round + 1, bench.scale.rounds);
        let names = large.names + round;
        reloads.push(reload(&server, &queries, &file, Plain { zones: 1, names: names + 1 })?);
    }
    println!("\n### Reload of {} names under full load\n\n{}", thousands(large.names as f64), memory(&reloads));
    println!("\n{}", service(&reloads));
    Ok(())
}

/// Replaces the file by one with a name more, and has it loaded under load.
fn reload(server: &Contender, queries: &[crate::query::Query], file: &Path, next: Plain) -> io::Result<Reloaded> {
    let serial = u32::try_from(next.names).expect("below ten million");
    let draft = file.with_extension("draft");
    fs::write(&draft, next.text(0, serial))?;
    let processes = server.processes();
    let mut generator = full_load(server.address, queries)?;
    generator.run(WARM_UP)?;
    generator.settle()?;

    let before = meter::resident_mib(&processes);
    meter::forget_peak(server.process())?;
    let drops = meter::drops(server.address.port());
    let done = AtomicBool::new(false);
    let (during, took) = thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let took = fs::rename(&draft, file).map_err(|error| error.to_string()).and_then(|()| await_reload(server, next));
            thread::sleep(AFTERMATH);
            done.store(true, Ordering::Relaxed);
            took
        });
        let during = generator.run_until(|| done.load(Ordering::Relaxed));
        (during, waiter.join().expect("it does not panic"))
    });
    let (during, took) = (during?, took.map_err(io::Error::other)?);
    let peak = meter::peak_mib(&processes);
    let since = meter::drops(server.address.port());
    let drops = Drops { server: since.server - drops.server, clients: since.clients - drops.clients };
    expect_records("steersman", &during)?;
    // As long as with a reload, so that both see as much of what else happens on the machine.
    let (start, length) = (Instant::now(), during.elapsed);
    let quiet = generator.run_until(|| start.elapsed() > length.max(SETTLED))?;
    let after = meter::resident_mib(&processes);
    Ok(Reloaded { quiet, during, took, before, peak, after, drops })
}

/// Asks for a reload, and for the name that only the new data has until it is there.
fn await_reload(server: &Contender, next: Plain) -> Result<Duration, String> {
    let (query, address) = Plain::question(0, next.names - 1);
    let start = Instant::now();
    system::signal(server.process(), libc::SIGHUP);
    while !answer::ask(server.address, 0, &query).is_ok_and(|answer| answer.addresses == [address]) {
        if start.elapsed() > PATIENCE {
            return Err("the new data is not served; see the log with --keep".to_owned());
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(start.elapsed())
}

fn of(reloads: &[Reloaded], value: impl Fn(&Reloaded) -> f64) -> f64 {
    median(reloads.iter().map(value).collect())
}

fn memory(reloads: &[Reloaded]) -> Table {
    let mut table =
        Table::new("signal to new data, s", &["spread %", "resident before, MiB", "peak MiB", "peak / before", "resident after, MiB"]);
    let times = reloads.iter().map(|reload| reload.took.as_secs_f64()).collect();
    table.row(vec![
        format!("{:.2}", of(reloads, |reload| reload.took.as_secs_f64())),
        format!("{:.0}", spread(times) * 100.0),
        format!("{:.1}", of(reloads, |reload| reload.before)),
        format!("{:.1}", of(reloads, |reload| reload.peak)),
        format!("{:.2}", of(reloads, |reload| reload.peak / reload.before)),
        format!("{:.1}", of(reloads, |reload| reload.after)),
    ]);
    table
}

/// What clients notice, in the same time with and without a reload.
fn service(reloads: &[Reloaded]) -> Table {
    let mut table = Table::new(
        "meanwhile",
        &["queries", "answers/s", "p50 us", "p99 us", "p99.9 us", "lost", "dropped at the server", "dropped at the generator"],
    );
    let total = |number: fn(&Reloaded) -> u64| reloads.iter().map(number).sum::<u64>().to_string();
    let mut row = |name: &str, outcome: fn(&Reloaded) -> &Outcome, counts: [String; 4]| {
        let quantile = |share: f64| format!("{:.0}", of(reloads, |reload| outcome(reload).latency.quantile(share).as_secs_f64() * 1e6));
        let [queries, lost, server, clients] = counts;
        let rate = thousands(of(reloads, |reload| outcome(reload).rate()));
        table.row(vec![name.to_owned(), queries, rate, quantile(0.5), quantile(0.99), quantile(0.999), lost, server, clients]);
    };
    let (sent, lost) = (total(|reload| reload.quiet.tally.sent), total(|reload| reload.quiet.tally.lost));
    row("nothing", |reload| &reload.quiet, [sent, lost, "-".to_owned(), "-".to_owned()]);
    let (sent, lost) = (total(|reload| reload.during.tally.sent), total(|reload| reload.during.tally.lost));
    let drops = [total(|reload| reload.drops.server), total(|reload| reload.drops.clients)];
    let [server, clients] = drops;
    row("a reload", |reload| &reload.during, [sent, lost, server, clients]);
    table
}
