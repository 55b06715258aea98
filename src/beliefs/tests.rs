//! What is believed from probes, over reloads and restarts, as promises.

use super::*;
use crate::health::FailReason;
use crate::io::testing::{snapshot, snapshot_of};
use crate::policy::Grade;

const fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

const PASS: Observation = Observation::Pass { connect: Duration::from_millis(1), total: Duration::from_millis(2) };

fn fail() -> Observation {
    Observation::Fail(FailReason::Status(500))
}

fn believe(members: &[&str]) -> Beliefs {
    Beliefs::new(Arc::new(snapshot(members)), &Saved::default(), 1, 0, at(0))
}

/// Makes every probe that is due, and observes `see(identity)`.
fn round(beliefs: &mut Beliefs, now: Moment, see: impl Fn(&str) -> Observation) {
    while let Some(order) = beliefs.poll_order(now) {
        let identity = Arc::clone(&beliefs.snapshot().targets[order.target].identity);
        beliefs.handle_observation(order.token, see(&identity), now);
    }
}

/// Rounds of one interval (5 s) each, after `now`.
fn rounds(beliefs: &mut Beliefs, count: u64, now: u64, see: impl Fn(&str) -> Observation) -> u64 {
    for step in 1..=count {
        round(beliefs, at(now + 5 * step), &see);
    }
    now + 5 * count
}

fn grade(beliefs: &Beliefs) -> Grade {
    beliefs.view(PoolId::new(0)).grade
}

#[test]
fn the_first_round_settles_every_verdict_and_says_so_once() {
    let mut beliefs = believe(&["a", "b"]);
    assert!(!beliefs.first_round_is_done());
    round(&mut beliefs, at(0), |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
    assert!(beliefs.first_round_is_done());
    let lines: Vec<String> = beliefs.refresh(at(0)).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "member a (10.0.0.0) of pool web is down: HTTP 500 (tcp 10.0.0.0:80, 1 failure; first verdict)",
            "member b (10.0.0.1) of pool web is up: pass in 2.0ms (tcp 10.0.0.1:80, 1 pass; first verdict)",
        ]
    );
    assert!(beliefs.refresh(at(0)).is_empty());
    assert_eq!(beliefs.live().pools[PoolId::new(0)].family(Family::V4).usable.len(), 1);
}

#[test]
fn a_member_that_dies_is_gone_from_the_next_view_and_the_line_says_why() {
    let mut beliefs = believe(&["a"]);
    round(&mut beliefs, at(0), |_| PASS);
    beliefs.refresh(at(0));
    let now = rounds(&mut beliefs, 3, 0, |_| fail());
    let changes = beliefs.refresh(at(now));
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("member a (10.0.0.0) of pool web is down: HTTP 500 (tcp 10.0.0.0:80, 3 failures in a row; was up for"));
    assert_eq!(lines[1], "pool web is empty (was healthy): 0 of 1 members usable");
    assert!(beliefs.live().pools[PoolId::new(0)].family(Family::V4).usable.is_empty());
    assert_eq!(beliefs.flips(), 1, "the first verdict is none");
}

#[test]
fn only_pools_with_a_touched_target_are_prepared_anew() {
    let mut beliefs = Beliefs::new(Arc::new(snapshot_of(&[("one", &["a"]), ("two", &["b"])])), &Saved::default(), 1, 0, at(0));
    round(&mut beliefs, at(0), |_| PASS);
    beliefs.refresh(at(0));
    let (before, prepared) = (beliefs.live(), beliefs.prepared());
    let now = rounds(&mut beliefs, 3, 0, |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
    beliefs.refresh(at(now));
    let after = beliefs.live();
    assert!(!Arc::ptr_eq(&before.pools[PoolId::new(0)], &after.pools[PoolId::new(0)]));
    assert_eq!(beliefs.prepared(), prepared + 1, "the other one was not even looked at");
    assert_eq!(after.pools[PoolId::new(1)].grade, Grade::Healthy);
    assert_eq!(after.pools[PoolId::new(0)].grade, Grade::Empty);
}

#[test]
fn a_latency_that_moves_touches_only_pools_of_which_somebody_reads_it() {
    let mut snapshot = snapshot_of(&[("plain", &["a"]), ("compared", &["a"])]);
    let compared = PoolId::new(1);
    snapshot.graph.pools[compared].conduct.slow_above_percent = Some(100);
    let mut beliefs = Beliefs::new(Arc::new(snapshot), &Saved::default(), 1, 0, at(0));
    let seen = |ms| Observation::Pass { connect: Duration::from_millis(ms), total: Duration::from_millis(ms) };
    round(&mut beliefs, at(0), |_| seen(1));
    beliefs.refresh(at(0));
    // Until the streak is long enough to hold no longer.
    let mut now = rounds(&mut beliefs, 5, 0, |_| seen(1));
    beliefs.refresh(at(now));
    let (before, prepared) = (beliefs.live(), beliefs.prepared());
    now = rounds(&mut beliefs, 5, now, |_| seen(80));
    beliefs.refresh(at(now));
    let after = beliefs.live();
    assert_eq!(beliefs.prepared(), prepared + 1);
    assert!(Arc::ptr_eq(&before.pools[PoolId::new(0)], &after.pools[PoolId::new(0)]));
    assert!(after.pools[compared].latency > before.pools[compared].latency);
}

#[test]
fn a_flip_while_a_config_is_compiled_is_not_lost() {
    let mut beliefs = believe(&["a", "b"]);
    round(&mut beliefs, at(0), |_| PASS);
    beliefs.refresh(at(0));
    // Compiled now, from the world as it is; the member dies before it is adopted.
    let compiled = Arc::new(snapshot(&["c", "b", "a"]));
    let now = rounds(&mut beliefs, 3, 0, |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
    beliefs.adopt(compiled, at(now));
    let view = beliefs.live().pools[PoolId::new(0)].clone();
    let usable: Vec<String> = view.family(Family::V4).usable.iter().map(|usable| usable.addr.to_string()).collect();
    assert_eq!(usable, ["10.0.0.1"], "a is down, and c has not been seen yet");
    assert!(beliefs.refresh(at(now)).is_empty(), "what is carried over is no news");
}

#[test]
fn a_probe_under_way_during_a_reload_still_counts() {
    let mut beliefs = believe(&["a"]);
    let order = beliefs.poll_order(at(0)).expect("due at once");
    beliefs.adopt(Arc::new(snapshot(&["b", "a"])), at(1));
    beliefs.handle_observation(order.token, fail(), at(1));
    assert_eq!(beliefs.refresh(at(1)).len(), 1);
    assert_eq!(beliefs.belief(PoolId::new(0), 1, Family::V4).status, Status::Down);
    assert_eq!(beliefs.tally("tcp 10.0.0.0:80").expect("counted").results["status"], 1);
}

#[test]
fn members_keep_their_history_over_a_reload() {
    let mut beliefs = believe(&["a", "b"]);
    round(&mut beliefs, at(0), |_| PASS);
    beliefs.refresh(at(3));
    beliefs.adopt(Arc::new(snapshot(&["b", "a"])), at(60));
    assert_eq!(beliefs.belief(PoolId::new(0), 1, Family::V4), Belief { status: Status::Up, since: at(3) });
}

#[test]
fn saved_verdicts_count_before_the_first_round() {
    let mut before = believe(&["a", "b"]);
    round(&mut before, at(0), |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
    before.refresh(at(0));
    let beliefs = Beliefs::new(Arc::new(snapshot(&["a", "b"])), &before.saved(), 1, 0, at(0));
    assert!(beliefs.first_round_is_done());
    let view = beliefs.live().pools[PoolId::new(0)].clone();
    assert_eq!(view.family(Family::V4).usable.len(), 1);
}

#[test]
fn the_last_known_members_survive_a_restart_and_a_reload() {
    let mut beliefs = believe(&["a", "b"]);
    round(&mut beliefs, at(0), |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
    beliefs.refresh(at(0));
    let now = rounds(&mut beliefs, 3, 0, |_| fail());
    beliefs.refresh(at(now));
    assert_eq!(grade(&beliefs), Grade::Empty);
    let last_known = |beliefs: &Beliefs| -> Vec<String> {
        let view = &beliefs.view(PoolId::new(0)).families[0];
        view.last_known.iter().map(|usable| usable.addr.to_string()).collect()
    };
    assert_eq!(last_known(&beliefs), ["10.0.0.1"]);
    let restarted = Beliefs::new(Arc::new(snapshot(&["b", "a"])), &beliefs.saved(), 1, 0, at(0));
    assert_eq!(last_known(&restarted), ["10.0.0.1"]);
    beliefs.adopt(Arc::new(snapshot(&["b", "a"])), at(now));
    assert_eq!(last_known(&beliefs), ["10.0.0.1"]);
}

#[test]
fn an_inconclusive_probe_is_counted_and_changes_nothing() {
    let mut beliefs = believe(&["a"]);
    round(&mut beliefs, at(0), |_| PASS);
    beliefs.refresh(at(0));
    let now = rounds(&mut beliefs, 9, 0, |_| Observation::Inconclusive(crate::health::Doubt::NoRoute));
    assert!(beliefs.refresh(at(now)).is_empty());
    let tally = beliefs.tally("tcp 10.0.0.0:80").expect("probed");
    assert_eq!((tally.results["pass"], tally.results["no_route"], tally.in_a_row), (1, 9, 1));
}
