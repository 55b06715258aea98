//! What the instruction counts of `benches/counts` stand on: every scenario does what its name says, and a count that grew
//! is noticed. The counts themselves are compared by a step of `tests/run`, since that takes valgrind.

#[path = "../benches/counts/baseline.rs"]
mod baseline;
#[path = "../benches/counts/scenarios.rs"]
mod scenarios;
#[path = "support/live.rs"]
mod support;
#[path = "../benches/counts/world.rs"]
mod world;

use baseline::{Baseline, Count};
use scenarios::SCENARIOS;
use std::collections::BTreeSet;

#[test]
fn every_scenario_does_what_its_name_says() {
    for scenario in SCENARIOS {
        // Preparing checks the answers; then a few runs, over the end of the input too.
        let mut operation = (scenario.prepare)();
        [0, 1, scenario.rounds].into_iter().for_each(&mut operation);
    }
}

#[test]
fn the_scenarios_are_those_that_are_stored() {
    let stored = Baseline::parse(include_str!("../benches/counts/baseline.txt")).expect("the stored counts can be read");
    let counts: Vec<_> = SCENARIOS.iter().map(|scenario| count(scenario.name, 1)).collect();
    assert_eq!(stored.compare(&counts).faults, [""; 0]);
    let names: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), SCENARIOS.len(), "two scenarios share a name");
}

#[test]
fn scenarios_are_chosen_by_a_part_of_their_names() {
    let names = |part| scenarios::chosen(part).map(|chosen| chosen.iter().map(|scenario| scenario.name).collect::<Vec<_>>());
    assert_eq!(names("prepare"), Ok(vec!["prepare-8", "prepare-1000"]));
    assert_eq!(names("").map(|all| all.len()), Ok(SCENARIOS.len()));
    assert!(names("no-such").is_err());
}

fn count(scenario: &str, instructions: u64) -> Count {
    Count { scenario: scenario.to_owned(), instructions }
}

/// Faults and gains of one scenario that was stored with 1,000 instructions.
fn verdict(instructions: u64) -> (usize, usize) {
    let report = Baseline::parse("static 1000").expect("a count").compare(&[count("static", instructions)]);
    (report.faults.len(), report.gains.len())
}

#[test]
fn three_percent_more_is_let_pass_and_anything_above_fails() {
    assert_eq!(verdict(1000), (0, 0));
    assert_eq!(verdict(1030), (0, 0));
    assert_eq!(verdict(1031), (1, 0));
}

#[test]
fn three_percent_less_is_not_worth_a_word_and_anything_below_is_a_gain() {
    assert_eq!(verdict(970), (0, 0));
    assert_eq!(verdict(969), (0, 1));
}

#[test]
fn a_scenario_that_is_only_stored_or_only_measured_is_a_fault() {
    let stored = Baseline::parse("# remark\n\nstatic  1000\nnodata 500\n").expect("counts");
    let report = stored.compare(&[count("static", 1000), count("new", 1)]);
    assert_eq!(report.faults, ["new: no count is stored", "nodata: stored, but there is no such scenario"]);
    assert_eq!(stored.only("sta").compare(&[count("static", 1000)]).faults, [""; 0]);
}

#[test]
fn what_was_stored_is_read_as_the_same_and_what_is_no_count_is_refused() {
    let counts = [count("static", 1000), count("compile-1000-names", 123_456_789)];
    let text = Baseline::text(&["a remark"], &counts);
    assert!(text.starts_with("# a remark\nstatic "), "{text}");
    let report = Baseline::parse(&text).expect("our own text").compare(&counts);
    assert_eq!((report.faults, report.gains), (Vec::new(), Vec::new()));
    assert_eq!(Baseline::parse("static fast"), Err("`static fast` is not a scenario with its count".to_owned()));
}
