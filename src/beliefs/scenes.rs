//! What operators, protections and new configs do to what is believed and answered, second by second.

use super::{AnsweredDead, Beliefs, Change, OverrideChange, Saved};
use crate::clock::Moment;
use crate::health::{Condition, Damping, FailReason, Observation, Rules, Status, WindowRule};
use crate::ids::{Id, PoolId, TargetId};
use crate::io::testing::snapshot_at;
use crate::judge::{Event, Note, Order, Place, Wish};
use crate::live::Live;
use crate::policy::{Failback, LastResort, Protection, Steer, TtlRange};
use crate::prefix::Family;
use crate::snapshot::Snapshot;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

/// A pool of members a and b, 10.0.0.0 and 10.0.0.1, each checked at `port` every second, rise and fall 2; answered for 10 to 30 s.
fn config(port: u16) -> Snapshot {
    config_by(port, Rules::plain(Duration::from_secs(1), Duration::from_millis(900), 2, 2))
}

/// The same by other rules.
fn config_by(port: u16, rules: Rules) -> Snapshot {
    let members = ["a", "b"].iter().zip(0u8..).map(|(name, last)| (*name, SocketAddr::from(([10, 0, 0, last], port))));
    let mut snapshot = snapshot_at(&[("web", members.collect())], rules);
    let (root, ttl) = (snapshot.graph.nodes.iter().next().expect("a pool").0, TtlRange { min_s: 10, max_s: 30 });
    snapshot.graph.steers.push(Steer { root, ttl, on_all_down: LastResort::NoData, on_all_down_ttl_s: 5, families: [true, false] });
    snapshot
}

fn protected(port: u16) -> Snapshot {
    let mut snapshot = config(port);
    let pools = vec![PoolId::new(0)];
    snapshot.graph.protections = vec![Protection { name: "core".into(), pools, min_members: 1, min_sites: 0, max_removed: None }];
    snapshot
}

struct Scene {
    beliefs: Beliefs,
    now: u64,
    /// Who refuses: `10.0.0.0:80` and the like.
    dead: Vec<&'static str>,
    changes: Vec<(u64, Change)>,
    /// What workers hold: handed out when there is something new, as at work.
    shown: Live,
}

impl Scene {
    /// Ten seconds in which all is well but what is `dead`.
    fn new(snapshot: Snapshot, dead: &[&'static str]) -> Scene {
        let beliefs = Beliefs::new(Arc::new(snapshot), &Saved::default(), 1, 0, at(0));
        let mut scene = Scene::of(beliefs, 0, dead);
        scene.pass(10);
        scene.changes.clear();
        scene
    }

    fn of(beliefs: Beliefs, now: u64, dead: &[&'static str]) -> Scene {
        let shown = beliefs.live();
        Scene { beliefs, now, dead: dead.to_vec(), changes: Vec::new(), shown }
    }

    fn pass(&mut self, until: u64) {
        while self.now < until {
            self.now += 1;
            self.look();
        }
    }

    fn look(&mut self) {
        let now = at(self.now);
        while let Some(order) = self.beliefs.poll_order(now) {
            let addr = self.beliefs.snapshot().targets[order.target].addr.to_string();
            let pass = Observation::Pass { connect: Duration::from_millis(1), total: Duration::from_millis(2) };
            let seen = if self.dead.contains(&&*addr) { Observation::Fail(FailReason::Refused) } else { pass };
            self.beliefs.handle_observation(order.token, seen, now);
        }
        let mut changes = self.beliefs.reflect(now);
        if !changes.is_empty() || self.beliefs.is_stale() {
            changes.extend(self.beliefs.refresh(now));
            self.shown = self.beliefs.live();
        }
        self.changes.extend(changes.into_iter().map(|change| (self.now, change)));
    }

    fn order(&mut self, selector: &str, wish: Wish) {
        let (owner, reason) = ("alice".to_owned(), "test".to_owned());
        let order = Order { selector: selector.parse().expect("a selector"), wish, owner, reason, lasts: None, break_glass: false };
        self.beliefs.obey(order, at(self.now)).expect("nothing forbids it");
        self.beliefs.refresh(at(self.now));
    }

    fn reload(&mut self, snapshot: Snapshot) {
        let changes = self.beliefs.adopt(Arc::new(snapshot), at(self.now));
        self.changes.extend(changes.into_iter().map(|change| (self.now, change)));
    }

    /// What an explanation says of members beside the decision.
    fn remarks(&self) -> Vec<&str> {
        self.shown.remarks.members.iter().map(|remark| &*remark.text).collect()
    }

    fn answered(&self) -> Vec<u16> {
        self.beliefs.view(PoolId::new(0)).family(Family::V4).usable.iter().map(|usable| usable.member).collect()
    }

    fn when(&self, is: impl Fn(&Event) -> bool) -> Option<u64> {
        let told = self.changes.iter().filter_map(|(now, change)| {
            if let Change::Override(OverrideChange::Passed(event, _)) = change { Some((*now, event)) } else { None }
        });
        told.filter(|(_, event)| is(event)).map(|(now, _)| now).next()
    }
}

#[test]
fn a_drain_says_that_it_is_over_when_the_answers_of_its_last_second_have_expired() {
    let mut scene = Scene::new(config(80), &[]);
    scene.pass(40);
    scene.order("a", Wish::Drain);
    // The TTL is lowered to 10 s at once; answers of before hold for 10 s, and for a second of rounding.
    scene.pass(50);
    assert_eq!(scene.answered(), [0, 1]);
    scene.pass(51);
    assert_eq!(scene.answered(), [1]);
    scene.pass(70);
    assert_eq!(scene.when(|event| matches!(event, Event::Gone(_))), Some(62), "51 s, the TTL, and a second of rounding");
}

#[test]
fn what_an_earlier_life_may_have_handed_out_is_in_caches_for_the_longest_ttl_after_the_start() {
    // Neither what is dead since the start, nor what was out when the state was last saved, need have been so until the end.
    let mut scene = Scene::new(config(80), &["10.0.0.0:80"]);
    scene.order("a", Wish::Drain);
    assert_eq!(scene.answered(), [1]);
    scene.pass(40);
    assert_eq!(scene.when(|event| matches!(event, Event::Gone(_))), Some(31), "30 s from the start, and a second of rounding");
    let saved = scene.beliefs.saved();
    // The clock was set by an hour meanwhile.
    let now = at(40 + 3_600);
    let mut again = Scene::of(Beliefs::new(Arc::new(config(80)), &saved, 1, 0, now), 3_640, &[]);
    again.order("a", Wish::Down);
    again.order("a", Wish::Drain);
    again.pass(3_680);
    assert_eq!(again.when(|event| matches!(event, Event::Gone(_))), Some(3_671));
}

#[test]
fn what_is_held_for_or_against_a_member_is_explained_within_a_second() {
    let mut snapshot = protected(80);
    snapshot.graph.pools[PoolId::new(0)].conduct.failback = Failback::Manual;
    let mut scene = Scene::new(snapshot, &["10.0.0.0:80"]);
    scene.dead.clear();
    scene.pass(13);
    assert_eq!(scene.remarks(), ["is up, and held back until an operator releases it"]);
    scene.beliefs.release(&"a".parse().expect("a selector"), at(13)).expect("it waits");
    scene.dead = vec!["10.0.0.0:80", "10.0.0.1:80"];
    scene.pass(16);
    assert_eq!(scene.remarks(), ["seems dead, and is kept by the protection `core`"]);
    scene.dead.clear();
    scene.pass(20);
    assert_eq!(scene.remarks().iter().filter(|text| text.contains("seems dead")).count(), 0, "{:?}", scene.remarks());
}

#[test]
fn a_member_known_to_be_dead_stays_so_when_the_config_checks_it_in_another_way() {
    let mut scene = Scene::new(config(80), &["10.0.0.0:80", "10.0.0.0:81"]);
    assert_eq!(scene.answered(), [1]);
    scene.reload(config(81));
    assert_eq!(scene.answered(), [1], "before anybody has looked");
    scene.pass(20);
    assert_eq!(scene.answered(), [1]);
    scene.dead.clear();
    scene.pass(21);
    assert_eq!(scene.answered(), [1], "one pass is not two");
    scene.pass(23);
    assert_eq!(scene.answered(), [0, 1]);
}

#[test]
fn a_new_check_of_which_members_would_have_it_both_ways_is_asked_itself() {
    let both = |port: u16| {
        let mut snapshot = config(port);
        let second = snapshot.graph.pools[PoolId::new(0)].members[1].checks[0][0];
        // The new check is one for both: that a is dead says nothing of it, nor that b lives.
        if port == 81 {
            snapshot.graph.pools[PoolId::new(0)].members[0].checks[0] = vec![second];
        }
        snapshot
    };
    let mut scene = Scene::new(both(80), &["10.0.0.0:80"]);
    scene.reload(both(81));
    assert_eq!(scene.beliefs.belief(PoolId::new(0), 1, Family::V4).status, Status::Unknown);
    scene.look();
    assert_eq!(scene.answered(), [0, 1]);
}

/// The line that says that a went down, when `condition` over the targets of a and b decides of it.
fn last_words_of_a(condition: impl Fn(&[Condition]) -> Condition, dead: &[&'static str], dead_at_last: &[&'static str]) -> String {
    let mut snapshot = config(80);
    let targets: Vec<_> = snapshot.targets.iter().map(|(id, _)| id).collect();
    let member = &mut snapshot.graph.pools[PoolId::new(0)].members[0];
    member.checks[0].clone_from(&targets);
    member.conditions[0] = Some(condition(&targets.into_iter().map(Condition::Target).collect::<Vec<_>>()));
    let mut scene = Scene::new(snapshot, dead);
    scene.dead = dead_at_last.to_vec();
    scene.pass(15);
    let mut lines = scene.changes.iter().map(|(_, change)| change.to_string());
    lines.find(|line| line.starts_with("member a ") && line.contains("is down")).expect("it went down")
}

#[test]
fn the_check_that_tipped_the_scales_is_the_one_that_is_named() {
    let (a, b) = ("10.0.0.0:80", "10.0.0.1:80");
    let line = last_words_of_a(|targets| Condition::any(targets.to_vec()), &[a], &[a, b]);
    assert!(line.contains("(tcp 10.0.0.1:80, 2 failures in a row; was up"), "the other has been down all along: {line}");
    let line = last_words_of_a(|targets| Condition::Not(Box::new(targets[1].clone())), &[b], &[]);
    assert!(line.contains("(tcp 10.0.0.1:80, 2 passes in a row; was up"), "{line}");
}

#[test]
fn who_is_answered_though_it_is_dead_is_known_with_the_start_of_its_failing_run() {
    let mut scene = Scene::new(protected(80), &["10.0.0.1:80"]);
    assert_eq!((scene.answered(), scene.beliefs.dead().count()), (vec![0], 0));
    scene.dead.push("10.0.0.0:80");
    scene.pass(20);
    assert_eq!(scene.answered(), [0], "kept");
    let place = Place { pool: PoolId::new(0), member: 0, family: Family::V4 };
    let dead: Vec<AnsweredDead> = scene.beliefs.dead().copied().collect();
    assert_eq!(dead, [AnsweredDead { place, failing_since: at(11) }]);
    scene.reload(protected(80));
    assert_eq!(scene.beliefs.dead().copied().collect::<Vec<_>>(), dead);
    scene.order("b", Wish::Up);
    assert_eq!(scene.beliefs.dead().count(), 2, "whoever is forced up is dead all the same");
    scene.dead.clear();
    scene.pass(25);
    assert_eq!(scene.beliefs.dead().count(), 0);
}

#[test]
fn of_who_fell_again_and_again_it_is_said_how_often_and_for_how_long_it_stays_down() {
    let damping = Some(Damping { window: Duration::from_mins(1), hold: Duration::from_secs(20), hold_max: Duration::from_secs(30) });
    let rules = Rules { damping, ..Rules::plain(Duration::from_secs(1), Duration::from_millis(900), 2, 2) };
    let mut scene = Scene::new(config_by(80, rules), &[]);
    let place = Place { pool: PoolId::new(0), member: 0, family: Family::V4 };
    for (dies, returns) in [(10, 12), (14, 16)] {
        scene.pass(dies);
        scene.dead.push("10.0.0.0:80");
        scene.pass(returns);
        assert_eq!(scene.answered(), [1]);
        scene.dead.clear();
    }
    let falls: Vec<String> = scene.changes.iter().map(|(_, change)| change.to_string()).filter(|line| line.contains("is down")).collect();
    assert!(falls[0].ends_with("was up for 11s)"), "the first is free: {falls:?}");
    assert!(falls[1].ends_with("; it fell 2 times of late, and stays down for 20s at least"), "{falls:?}");
    scene.pass(35);
    assert_eq!(scene.beliefs.notes(place, at(35)), [Note::HeldDown(2, Duration::from_secs(1))]);
    assert!(scene.beliefs.live().remarks.members.iter().any(|remark| remark.text.starts_with("fell 2 times of late")));
    scene.pass(37);
    assert_eq!((scene.beliefs.notes(place, at(37)), scene.answered()), (vec![], vec![0, 1]));
}

#[test]
fn first_verdicts_are_no_changes_of_verdicts() {
    let mut scene = Scene::new(config(80), &["10.0.0.0:80"]);
    assert_eq!(scene.beliefs.flips(), 0);
    scene.dead.clear();
    scene.pass(20);
    assert_eq!(scene.beliefs.flips(), 1);
}

//--- What another config changes

/// The pools web, of a and b, and other, of c; c's check is one of a and b, too, where `all` is.
fn two_pools(all: bool) -> Snapshot {
    let addr = |last: u8| SocketAddr::from(([10, 0, 0, last], 80));
    let rules = Rules::plain(Duration::from_secs(1), Duration::from_millis(900), 2, 2);
    let mut snapshot = snapshot_at(&[("web", vec![("a", addr(0)), ("b", addr(1))]), ("other", vec![("c", addr(2))])], rules);
    let of_c = snapshot.graph.pools[PoolId::new(1)].members[0].checks[0][0];
    let members = snapshot.graph.pools[PoolId::new(0)].members.iter_mut().filter(|_| all);
    members.for_each(|member| member.checks[0].push(of_c));
    snapshot
}

#[test]
fn what_another_config_makes_of_members_and_pools_is_told_counted_and_told_once() {
    let mut scene = Scene::new(two_pools(false), &["10.0.0.2:80"]);
    let flips = scene.beliefs.flips();
    scene.reload(two_pools(true));
    let lines: Vec<String> = scene.changes.iter().map(|(_, change)| change.to_string()).collect();
    let why = |line: &str| line.contains(": connection refused (tcp 10.0.0.2:80, ") && line.ends_with(" failures in a row; was up for 9s)");
    assert!(
        lines.len() == 3 && lines[0].starts_with("member a (10.0.0.0) of pool web is down by the new config") && why(&lines[0]),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("member b ") && why(&lines[1]), "{lines:?}");
    assert_eq!(lines[2], "pool web is empty by the new config (was healthy): 0 of 2 members usable");
    assert_eq!(scene.beliefs.flips(), flips + 2);
    scene.reload(two_pools(true));
    scene.look();
    assert_eq!(scene.changes.len(), 3, "{:?}", scene.changes);
}

#[test]
fn of_members_that_a_config_disables_or_names_for_the_first_time_nothing_is_told() {
    let mut scene = Scene::new(two_pools(false), &["10.0.0.2:80"]);
    let with = |disabled: bool, name: &str| {
        let mut snapshot = two_pools(true);
        snapshot.graph.pools[PoolId::new(0)].members.iter_mut().for_each(|member| member.disabled = disabled);
        snapshot.graph.pools[PoolId::new(0)].name = name.into();
        snapshot
    };
    scene.reload(with(false, "another"));
    scene.reload(with(true, "third"));
    scene.changes.clear();
    scene.reload(with(false, "third"));
    assert!(!scene.changes.iter().any(|(_, change)| matches!(change, Change::Member(_))), "{:?}", scene.changes);
    scene.reload(with(true, "third"));
    assert!(!scene.changes.iter().any(|(_, change)| matches!(change, Change::Member(_))), "{:?}", scene.changes);
}

#[test]
fn who_stays_down_for_what_it_lost_says_how_much_that_was() {
    let mut snapshot = config(80);
    snapshot.targets[TargetId::new(0)].rules.window = Some(WindowRule { of: 20, limit: 6 });
    let mut scene = Scene::new(snapshot, &[]);
    let place = Place { pool: PoolId::new(0), member: 0, family: Family::V4 };
    while scene.beliefs.belief(place.pool, 0, Family::V4).status == Status::Up {
        assert!(scene.now < 100 && scene.beliefs.notes(place, at(scene.now)).is_empty());
        scene.dead = if scene.now.is_multiple_of(3) { vec!["10.0.0.0:80"] } else { Vec::new() };
        scene.pass(scene.now + 1);
    }
    scene.dead.clear();
    scene.pass(scene.now + 3);
    let notes = scene.beliefs.notes(place, at(scene.now));
    assert_eq!(notes, [Note::Lossy(6, 20)]);
    let told = &scene.beliefs.live().remarks.members;
    assert!(told.iter().any(|remark| remark.text.starts_with("failed 6 of its last 20 probes")), "{told:?}");
    scene.pass(scene.now + 20);
    assert_eq!((scene.beliefs.notes(place, at(scene.now)), scene.answered()), (Vec::new(), vec![0, 1]));
}
