//! What a restart must not lose: a second life is told what the first one saved.

use super::{Beliefs, Saved};
use crate::clock::Moment;
use crate::health::{FailReason, Observation, Rules, Status};
use crate::ids::{Id, PoolId};
use crate::io::testing::snapshot_at;
use crate::judge::{Note, Place};
use crate::policy::{Conduct, Failback, Protection};
use crate::prefix::Family;
use crate::snapshot::Snapshot;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

/// A pool of three members, 10.0.0.0 to 10.0.0.2, each probed every 5 s, rise and fall 2.
fn config(conduct: Conduct) -> Snapshot {
    let members = ["a", "b", "c"].iter().zip(0u8..).map(|(name, last)| (*name, SocketAddr::from(([10, 0, 0, last], 80))));
    let rules = Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 2, 2);
    let mut snapshot = snapshot_at(&[("web", members.collect())], rules);
    for pool in 0..snapshot.graph.pools.len() {
        snapshot.graph.pools[PoolId::new(pool)].conduct = conduct;
    }
    snapshot
}

fn begin(snapshot: Snapshot, saved: &Saved, now: u64) -> Beliefs {
    Beliefs::new(Arc::new(snapshot), saved, 1, 0, at(now))
}

/// Probes for so many seconds; members of which a letter is in `dead` refuse.
fn live(beliefs: &mut Beliefs, from: u64, seconds: u64, dead: &str) {
    for now in from..from + seconds {
        while let Some(order) = beliefs.poll_order(at(now)) {
            let addr = beliefs.snapshot().targets[order.target].addr.ip().to_string();
            let is_dead = dead.chars().any(|letter| addr == format!("10.0.0.{}", u32::from(letter) - u32::from('a')));
            let (connect, total) = (Duration::from_millis(7), Duration::from_millis(9));
            let seen = if is_dead { Observation::Fail(FailReason::Refused) } else { Observation::Pass { connect, total } };
            beliefs.handle_observation(order.token, seen, at(now));
        }
        beliefs.reflect(at(now));
        beliefs.refresh(at(now));
    }
}

/// The address of `a`.
fn a() -> Place {
    Place { pool: PoolId::new(0), member: 0, family: Family::V4 }
}

/// Addresses that queries may get.
fn answered(beliefs: &Beliefs) -> Vec<String> {
    beliefs.view(a().pool).family(Family::V4).usable.iter().map(|usable| usable.addr.to_string()).collect()
}

#[test]
fn a_second_life_knows_all_that_the_first_one_knew() {
    let mut first = begin(config(Conduct::default()), &Saved::default(), 1_000);
    live(&mut first, 1_000, 20, "");
    live(&mut first, 1_020, 20, "a");
    let saved = first.saved();
    let second = begin(config(Conduct::default()), &saved, 1_042);
    assert_eq!(second.saved().targets.len(), 3);
    assert_eq!(second.belief(a().pool, 0, Family::V4), first.belief(a().pool, 0, Family::V4), "down, and since when");
    assert_eq!(second.target(second.snapshot().targets.iter().nth(1).expect("b").0).verdict.latency, Some(Duration::from_millis(7)));
    assert_eq!(answered(&second), answered(&first));
    assert!(second.saved().is_much_like(&saved));
}

#[test]
fn who_was_down_at_the_end_of_the_first_life_is_held_back_in_the_second() {
    let conduct = Conduct { failback: Failback::Manual, ..Conduct::default() };
    let mut first = begin(config(conduct), &Saved::default(), 1_000);
    live(&mut first, 1_000, 20, "");
    live(&mut first, 1_020, 20, "a");
    for saved in [first.saved(), first.saved().outdated()] {
        let mut second = begin(config(conduct), &saved, 1_042);
        live(&mut second, 1_042, 20, "");
        assert_eq!(second.belief(a().pool, 0, Family::V4).status, Status::Up);
        assert_eq!(second.notes(a(), at(1_062)), [Note::HeldBack(Duration::MAX)]);
        assert_eq!(answered(&second), ["10.0.0.1", "10.0.0.2"]);
    }
}

#[test]
fn a_share_goes_on_growing_where_it_was() {
    let conduct = Conduct { slow_start: Duration::from_secs(100), ..Conduct::default() };
    let mut first = begin(config(conduct), &Saved::default(), 1_000);
    live(&mut first, 1_000, 20, "");
    live(&mut first, 1_020, 20, "a");
    live(&mut first, 1_040, 20, "");
    let [Note::Returning(share)] = first.notes(a(), at(1_060))[..] else { panic!("a is coming back") };
    let second = begin(config(conduct), &first.saved(), 1_110);
    let [Note::Returning(grown)] = second.notes(a(), at(1_110))[..] else { panic!("a is coming back still") };
    assert_eq!(grown - share, 450, "half of its way in half of the time");
    assert!(begin(config(conduct), &first.saved(), 1_160).notes(a(), at(1_160)).is_empty());
}

#[test]
fn a_protection_keeps_whom_it_kept() {
    let config = || {
        let mut snapshot = config(Conduct::default());
        let pools = vec![PoolId::new(0)];
        snapshot.graph.protections = vec![Protection { name: "floor".into(), pools, min_members: 2, min_sites: 0, max_removed: None }];
        snapshot
    };
    let mut first = begin(config(), &Saved::default(), 1_000);
    live(&mut first, 1_000, 20, "");
    live(&mut first, 1_020, 30, "ab");
    assert_eq!(answered(&first).len(), 2, "one is kept");
    let mut second = begin(config(), &first.saved(), 1_051);
    assert_eq!(answered(&second), answered(&first));
    live(&mut second, 1_051, 20, "ab");
    assert_eq!(answered(&second), answered(&first));
}
