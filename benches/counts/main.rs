//! What an answer costs: by wall time, and in instructions, which repeat so well that a test can hold them.
//!
//! ```text
//! cargo bench --bench counts -- time [FILTER]                         nanoseconds per operation
//! cargo bench --bench counts -- run SCENARIO N                        N operations and nothing else, for a profiler
//! cargo --config benches/counts/cargo.toml test --bench counts -- compare [FILTER]     instructions, against baseline.txt
//! cargo --config benches/counts/cargo.toml test --bench counts -- store                instructions, into baseline.txt
//! ```
//!
//! FILTER is a part of a scenario's name. docs/PERFORMANCE.md says more.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock and the repository, as the shell does")]

mod baseline;
mod chance;
mod scenarios;
mod stopwatch;
#[path = "../../tests/support/live.rs"]
mod support;
mod valgrind;
mod world;

use baseline::{Baseline, Report};
use scenarios::{SCENARIOS, chosen};
use std::fs;
use std::process::ExitCode;

/// Where the stored counts are.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/counts/baseline.txt");
/// How they are stored anew.
const STORE: &str = "cargo --config benches/counts/cargo.toml test --bench counts -- store";

fn main() -> ExitCode {
    // cargo adds the flag by which the test harness that we do not have would know that it is to measure.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] | ["time"] => time(""),
        ["time", filter] => time(filter),
        ["run", scenario, rounds] => run(scenario, rounds),
        ["compare" | "store", ..] if !cfg!(target_arch = "x86_64") => Err("the stored counts are those of x86_64".to_owned()),
        ["compare"] => compare(""),
        ["compare", filter] => compare(filter),
        ["store"] => store(),
        ["inside", filter] => valgrind::run_inside(filter),
        _ => Err("one of: time [FILTER], run SCENARIO N, compare [FILTER], store".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), String>;

fn time(filter: &str) -> Done {
    let scenarios = chosen(filter)?;
    println!("{:<24} {:>14} {:>14}", "scenario", "median ns", "fastest ns");
    for scenario in scenarios {
        let timing = stopwatch::time(&mut (scenario.prepare)());
        println!("{:<24} {:>14.1} {:>14.1}", scenario.name, timing.median_ns, timing.fastest_ns);
    }
    Ok(())
}

fn run(name: &str, rounds: &str) -> Done {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or_else(|| format!("there is no scenario `{name}`"))?;
    let rounds = rounds.parse().map_err(|_| format!("`{rounds}` is not a number of operations"))?;
    let mut operation = (scenario.prepare)();
    valgrind::counted_by_callgrind(&mut operation, rounds);
    Ok(())
}

fn compare(filter: &str) -> Done {
    let text = fs::read_to_string(BASELINE).map_err(|error| format!("{BASELINE}: {error}; store it with `{STORE}`"))?;
    let stored = Baseline::parse(&text).map_err(|line| format!("{BASELINE}: {line}"))?;
    let Report { table, faults, gains } = stored.only(filter).compare(&valgrind::count(filter)?);
    println!("{:<24} {:>12} {:>12} {:>10}\n{table}", "instructions of", "stored", "now", "change");
    for gain in gains {
        println!("better: {gain}; store it with `{STORE}`");
    }
    if faults.is_empty() {
        return Ok(());
    }
    let origin = text.lines().find_map(|line| line.strip_prefix("# with ")).unwrap_or("an unknown version of everything");
    Err(format!(
        "{}\n\nstored with {origin}; counted with {}\nif this is the price of something: `{STORE}`",
        faults.join("\n"),
        valgrind::surroundings()
    ))
}

fn store() -> Done {
    let surroundings = format!("with {}", valgrind::surroundings());
    let heading =
        ["Instructions per operation, x86_64, toolchain of rust-toolchain.toml, built as benches/counts/cargo.toml says.", &surroundings];
    fs::write(BASELINE, Baseline::text(&heading, &valgrind::count("")?)).map_err(|error| format!("{BASELINE}: {error}"))
}
