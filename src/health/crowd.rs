//! Ten thousand targets in virtual time: no burst at the start, after a reload or when a region dies; nobody delays anybody.

use super::*;
use crate::clock::Moment;
use crate::ids::{Id, TargetId};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

const RULES: Rules = Rules { fall: 3, ..Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 2, 2) };
const PASS: Observation = Observation::Pass { connect: Duration::from_millis(1), total: Duration::from_millis(2) };
const FAIL: Observation = Observation::Fail(FailReason::Refused);

fn at(millis: u64) -> Moment {
    Moment::START.after(Duration::from_millis(millis))
}

/// Targets that hurry after their first failure.
fn wanted(range: std::ops::Range<usize>) -> Vec<Wanted> {
    let rules = Rules { fast_interval: Duration::from_secs(1), ..RULES };
    let one = |number| Wanted { identity: format!("tcp 192.0.2.{}:{number}", number % 250).into(), rules, role: Role::Member { place: 0 } };
    range.map(one).collect()
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new(7);
    schedule.adopt(&wanted(0..MANY), Moment::START);
    schedule
}

/// Makes every probe that is ordered until `end`; `answer` says how long each takes and what it sees. Returns the start of every probe.
fn run(
    schedule: &mut Schedule,
    from: Moment,
    end: Moment,
    answer: impl Fn(TargetId) -> (Duration, Observation),
) -> Vec<(TargetId, Moment)> {
    let mut started = Vec::new();
    let mut ending: BTreeMap<Moment, Vec<(Token, Observation)>> = BTreeMap::new();
    let mut now = from;
    while now < end {
        while let Some(entry) = ending.first_entry().filter(|entry| *entry.key() <= now) {
            for (token, observation) in entry.remove() {
                schedule.handle_observation(token, observation, now);
            }
        }
        while let Some(order) = schedule.poll_order(now) {
            started.push((order.target, now));
            let (takes, sees) = answer(order.target);
            ending.entry(now.after(takes)).or_default().push((order.token, sees));
        }
        let next = [schedule.next_due(), ending.first_key_value().map(|(moment, _)| *moment)];
        now = next.into_iter().flatten().min().expect("there is always a next probe");
    }
    started
}

fn well(_: TargetId) -> (Duration, Observation) {
    (Duration::from_millis(3), PASS)
}

/// Slots that were not met within a millisecond.
fn late(schedule: &Schedule) -> u64 {
    schedule.lateness().counts()[1..].iter().sum()
}

/// The most probes in any second, wherever it begins.
fn busiest_second(started: &[(TargetId, Moment)]) -> usize {
    let count = |(first, (_, from)): (usize, &(TargetId, Moment))| {
        started[first..].partition_point(|(_, moment)| moment.since(*from) < Duration::from_secs(1))
    };
    started.iter().enumerate().map(count).max().unwrap_or_default()
}

/// 10,000 every 5 s; with 5,000 more it is 3,000 a second.
const MANY: usize = 10_000;
const PER_SECOND: usize = MANY / 5;

/// No second has more than a fifth above the mean of so many targets.
fn assert_even(started: &[(TargetId, Moment)], targets: usize) {
    let (busiest, mean) = (busiest_second(started), targets / 5);
    assert!(busiest * 10 <= mean * 12, "{busiest} in a second, {mean} on average");
}

#[test]
fn ten_thousand_targets_make_no_burst_neither_at_the_start_nor_ever_after() {
    let mut schedule = schedule();
    let started = run(&mut schedule, Moment::START, at(30_000), well);
    assert_even(&started, MANY);
    let first: HashSet<TargetId> = started.iter().take_while(|(_, moment)| *moment <= at(5_000)).map(|(target, _)| *target).collect();
    assert!(first.len() == MANY && schedule.first_round_is_done(), "nobody waits for longer than an interval");
    assert_eq!(late(&schedule), 0);
}

#[test]
fn a_reload_that_adds_five_thousand_makes_no_burst_and_moves_nobody() {
    let mut schedule = schedule();
    run(&mut schedule, Moment::START, at(20_000), well);
    let next = |schedule: &Schedule| (0..MANY).map(|target| schedule.view(TargetId::new(target)).next).collect::<Vec<_>>();
    let before = next(&schedule);
    schedule.adopt(&wanted(0..MANY + 5_000), at(20_000));
    assert_eq!(next(&schedule), before);
    let started = run(&mut schedule, at(20_000), at(40_000), well);
    assert_even(&started, MANY + 5_000);
    let first: HashSet<TargetId> = started.iter().take_while(|(_, moment)| *moment <= at(25_000)).map(|(target, _)| *target).collect();
    assert_eq!(first.len(), MANY + 5_000, "each new one within an interval");
}

#[test]
fn a_region_that_dies_makes_no_burst_and_keeps_nobody_from_their_slots() {
    let mut schedule = schedule();
    run(&mut schedule, Moment::START, at(20_000), well);
    let half = |target: TargetId| (Duration::from_millis(1), if target.index().is_multiple_of(2) { FAIL } else { PASS });
    let started = run(&mut schedule, at(20_000), at(60_000), half);
    assert_even(&started, MANY);
    assert_eq!(late(&schedule), 0);
    let hurried = started.len() - 40 * PER_SECOND;
    assert!((1..=MANY).contains(&hurried), "two for each that dies, at most: {hurried}");
    let view = |target| schedule.view(TargetId::new(target));
    assert!((0..MANY).all(|target| (view(target).verdict.status == Status::Down) == target.is_multiple_of(2)));
    let last = (0..MANY).step_by(2).map(|target| view(target).since).max();
    assert!(last <= Some(at(35_010)), "by the third slot at the latest: {last:?}");
}

#[test]
fn as_many_as_there_is_room_to_hurry_for_are_down_within_the_detection_time_and_the_rest_by_their_slots() {
    let (fast, slots) = (wanted(0..1)[0].rules.detection(), wanted(0..1)[0].rules.detection_unhurried());
    for (targets, dying, within) in [(1_800, 1_800, fast), (MANY, 400, fast), (MANY, MANY, slots)] {
        let mut schedule = Schedule::new(7);
        schedule.adopt(&wanted(0..targets), Moment::START);
        run(&mut schedule, Moment::START, at(20_000), well);
        let every = targets / dying;
        // The worst failure: it takes all of the time that a probe has.
        let sick = (RULES.timeout, Observation::Fail(FailReason::Status(500)));
        run(&mut schedule, at(20_000), at(40_000), |target| if target.index().is_multiple_of(every) { sick.clone() } else { well(target) });
        let fell = (0..targets).map(|target| schedule.view(TargetId::new(target))).filter(|view| view.verdict.status == Status::Down);
        let fell: Vec<Moment> = fell.map(|view| view.since).collect();
        let last = fell.iter().max().expect("some died").since(at(20_000));
        assert!(fell.len() == dying && last <= within, "{} of {dying} of {targets} within {last:?}", fell.len());
    }
}

#[test]
fn what_a_reload_removes_is_never_probed_again_and_what_it_said_is_ignored() {
    let mut schedule = schedule();
    run(&mut schedule, Moment::START, at(7_000), well);
    let under_way: Vec<_> = std::iter::from_fn(|| schedule.poll_order(at(7_100))).collect();
    assert!(under_way.iter().any(|order| order.target.index() < MANY / 10));
    schedule.adopt(&wanted(MANY / 10..MANY), at(7_100));
    for order in under_way {
        let told = schedule.handle_observation(order.token, FAIL, at(7_101));
        assert_eq!(told.map(|told| told.target.index() + MANY / 10), (order.target.index() >= MANY / 10).then_some(order.target.index()));
    }
    let started = run(&mut schedule, at(7_101), at(30_000), well);
    assert!(started.iter().all(|(target, _)| target.index() < MANY * 9 / 10), "other ids there are not");
    // 22.9 s are 4.58 intervals: nobody was probed in the place of somebody else.
    let each = MANY * 9 / 10;
    assert!((each * 45 / 10..=each * 47 / 10).contains(&started.len()), "{}", started.len());
}

#[test]
fn a_hundred_hanging_targets_delay_nobody() {
    let mut schedule = schedule();
    let hundredth = |target: TargetId| {
        if target.index().is_multiple_of(100) { (RULES.timeout, Observation::Fail(FailReason::Timeout)) } else { well(target) }
    };
    let started = run(&mut schedule, Moment::START, at(30_000), hundredth);
    assert_eq!(late(&schedule), 0);
    let after_the_start = started.iter().filter(|(_, moment)| *moment >= at(10_000)).count();
    assert!(after_the_start >= 20 * PER_SECOND - 100, "all slots of 20 s: {after_the_start}");
}
