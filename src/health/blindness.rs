//! A small world in virtual time: targets that stand in places, a network that can be cut, and a node that looks at them. Shows that
//! silence everywhere drains nobody, and that silence of the dead is believed in time.

use super::{DoubtChange, Evidence, FailReason, Observation, ProbeOrder, Role, Rules, Schedule, Status, Token, Wanted, WindowRule};
use crate::clock::Moment;
use crate::ids::{Id, TargetId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const RULES: Rules = Rules {
    fast_interval: Duration::from_secs(1),
    window: Some(WindowRule { of: 20, limit: 6 }),
    ..Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 2, 3)
};
const CANARY: Rules = Rules::plain(Duration::from_secs(2), Duration::from_secs(1), 2, 3);
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Too long for anything.
const LONG: Duration = Duration::from_mins(1);

fn at(millis: u64) -> Moment {
    Moment::START.after(Duration::from_millis(millis))
}

/// What a target does when it is probed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Answers,
    Silent,
    /// It takes connections and never answers: its process is stopped, or waits for something that all of its kind wait for.
    Hangs,
    Refuses,
    /// The node cannot even send.
    Unsendable,
    /// Its agent says that it is up.
    Praised,
    /// Its agent says that it is down, or a program that cannot reach it does.
    Blamed,
    /// Its agent has not been heard for so many seconds.
    Unheard(u64),
}

struct World {
    schedule: Schedule,
    wanted: Vec<Wanted>,
    fates: Vec<Fate>,
    /// Probes under way: when they end, and with what.
    ending: BTreeMap<(Moment, Token), Observation>,
    now: Moment,
    /// Falls and returns: when, who, to what.
    flips: Vec<(Moment, usize, Status)>,
    doubts: Vec<(Moment, DoubtChange)>,
    starts: u64,
}

impl World {
    /// `per_place` targets in each of so many places, and canaries; all answer, and all were seen for a minute.
    fn new(places: u32, per_place: u32, canaries: u32, seed: u64) -> World {
        let mut world = World::unseen(places, per_place, canaries, seed);
        world.run_until(60_000);
        assert!(world.doubts.is_empty(), "{:?}", world.doubts);
        world.flips.clear();
        world
    }

    fn unseen(places: u32, per_place: u32, canaries: u32, seed: u64) -> World {
        let members = (0..places).flat_map(|place| {
            (0..per_place).map(move |number| Wanted {
                identity: format!("member {place}/{number}").into(),
                rules: RULES,
                role: Role::Member { place },
            })
        });
        let canaries = (0..canaries).map(|n| Wanted { identity: format!("canary {n}").into(), rules: CANARY, role: Role::Canary });
        World::of(members.chain(canaries).collect(), seed)
    }

    fn of(wanted: Vec<Wanted>, seed: u64) -> World {
        let mut schedule = Schedule::new(seed);
        schedule.adopt(&wanted, Moment::START);
        let fates = vec![Fate::Answers; wanted.len()];
        let (ending, flips, doubts) = (BTreeMap::new(), Vec::new(), Vec::new());
        World { schedule, wanted, fates, ending, now: Moment::START, flips, doubts, starts: 0 }
    }

    /// A new config leaves only these targets.
    fn reload(&mut self, is_kept: impl Fn(usize) -> bool) {
        let kept: Vec<usize> = (0..self.wanted.len()).filter(|target| is_kept(*target)).collect();
        self.wanted = kept.iter().map(|target| self.wanted[*target].clone()).collect();
        self.fates = kept.iter().map(|target| self.fates[*target]).collect();
        self.schedule.adopt(&self.wanted, self.now);
    }

    /// A new config has these targets, too.
    fn reload_with(&mut self, more: impl Iterator<Item = (Wanted, Fate)>) {
        let (wanted, fates): (Vec<Wanted>, Vec<Fate>) = more.unzip();
        self.wanted.extend(wanted);
        self.fates.extend(fates);
        self.schedule.adopt(&self.wanted, self.now);
    }

    fn set(&mut self, which: impl Fn(Role) -> bool, fate: Fate) {
        for (wanted, slot) in self.wanted.iter().zip(&mut self.fates) {
            if which(wanted.role) {
                *slot = fate;
            }
        }
    }

    fn set_each(&mut self, targets: &[usize], fate: Fate) {
        for target in targets {
            self.fates[*target] = fate;
        }
    }

    fn start(&mut self, order: ProbeOrder) {
        self.starts += 1;
        let rules = self.wanted[order.target.index()].rules;
        let (lasts, saw) = match self.fates[order.target.index()] {
            Fate::Answers => (ROUND_TRIP, Observation::Pass { connect: ROUND_TRIP, total: ROUND_TRIP }),
            Fate::Silent => (rules.timeout, Observation::Fail(FailReason::Timeout)),
            Fate::Hangs => (rules.timeout, Observation::Fail(FailReason::Stalled("nothing was answered".into()))),
            Fate::Refuses => (ROUND_TRIP, Observation::Fail(FailReason::Refused)),
            Fate::Praised => (ROUND_TRIP, Observation::Pass { connect: Duration::ZERO, total: ROUND_TRIP }),
            Fate::Blamed => (ROUND_TRIP, Observation::Fail(FailReason::Reported("disk".into()))),
            Fate::Unheard(seconds) => (Duration::ZERO, Observation::Fail(FailReason::Silent(Duration::from_secs(seconds)))),
            Fate::Unsendable => (Duration::ZERO, Observation::Inconclusive(super::Doubt::NoRoute)),
        };
        self.ending.insert((self.now.after(lasts), order.token), saw);
    }

    fn run_until(&mut self, millis: u64) {
        let end = at(millis);
        loop {
            while let Some(order) = self.schedule.poll_order(self.now) {
                self.start(order);
            }
            let (changes, _) = self.schedule.poll_doubt(self.now);
            self.doubts.extend(changes.into_iter().map(|change| (self.now, change)));
            let ends = self.ending.first_key_value().map(|(&(moment, _), _)| moment);
            // The control task looks in at least once a second.
            let next = [self.schedule.next_due(), ends, Some(self.now.after(Duration::from_secs(1)))].into_iter().flatten().min();
            let next = next.unwrap_or(end).max(self.now);
            if next > end {
                return self.now = end;
            }
            self.now = next;
            while let Some(((_, token), saw)) = self.ending.first_key_value().filter(|((m, _), _)| *m <= next).map(|(k, v)| (*k, v.clone()))
            {
                self.ending.pop_first();
                if let Some(told) = self.schedule.handle_observation(token, saw, self.now)
                    && told.was.is_some()
                {
                    self.flips.push((self.now, told.target.index(), told.verdict.status));
                }
            }
        }
    }

    fn falls(&self) -> BTreeSet<usize> {
        self.flips.iter().filter(|(_, _, status)| *status == Status::Down).map(|(_, target, _)| *target).collect()
    }

    fn status(&self, target: usize) -> Status {
        self.schedule.view(TargetId::new(target)).verdict.status
    }
}

fn everybody(_: Role) -> bool {
    true
}

fn member(name: &str, place: u32) -> Wanted {
    Wanted { identity: format!("{name} in {place}").into(), rules: RULES, role: Role::Member { place } }
}

fn in_place(wanted: u32) -> impl Fn(Role) -> bool {
    move |role| role == Role::Member { place: wanted }
}

#[test]
fn a_node_that_loses_its_uplink_drains_nobody_says_so_and_recovers_by_itself() {
    for seed in 0..20 {
        let mut world = World::new(3, 4, 0, seed);
        world.set(everybody, Fate::Silent);
        world.run_until(300_000);
        assert_eq!(world.flips, [], "seed {seed}");
        let [(begun, DoubtChange::Begun(evidence))] = &world.doubts[..] else { panic!("seed {seed}: {:?}", world.doubts) };
        assert_eq!(*evidence, Evidence::Places { silent: 3, seen: 0 });
        // An interval and a timeout, and at most a second until it is thought over.
        assert!(*begun <= at(60_000 + 8_100), "{begun:?}");
        let view = world.schedule.view(TargetId::new(0));
        assert!(view.suspect && view.loss.is_some_and(|(failures, _)| failures == 0), "{view:?}");
        assert_eq!(view.verdict.holds, RULES.nominal(), "silence counts for nothing");
        world.set(everybody, Fate::Answers);
        world.run_until(400_000);
        assert_eq!(world.flips, [], "seed {seed}: nobody who was late to answer is punished for it");
        let (ended, DoubtChange::Ended(_)) = &world.doubts[1] else { panic!("seed {seed}: {:?}", world.doubts) };
        assert!(*ended <= at(306_000) && world.doubts.len() == 2, "seed {seed}: {:?}", world.doubts);
    }
}

/// Three places with a target that is probed and an agent each, and five places with nothing but agents.
fn world_of_agents(seed: u64) -> World {
    let mut world = World::unseen(8, 2, 0, seed);
    for (index, fate) in world.fates.iter_mut().enumerate() {
        if index >= 6 || index % 2 == 1 {
            *fate = Fate::Praised;
        }
    }
    world.run_until(60_000);
    assert!(world.doubts.is_empty(), "{:?}", world.doubts);
    world.flips.clear();
    world
}

#[test]
fn agents_that_go_on_talking_do_not_tell_a_blind_node_that_it_sees() {
    for seed in 0..20 {
        let mut world = world_of_agents(seed);
        for target in [0, 2, 4] {
            world.fates[target] = Fate::Silent;
        }
        world.run_until(300_000);
        assert_eq!(world.flips, [], "seed {seed}");
        let [(_, DoubtChange::Begun(evidence))] = &world.doubts[..] else { panic!("seed {seed}: {:?}", world.doubts) };
        assert_eq!(*evidence, Evidence::Places { silent: 3, seen: 0 });
        world.fates[1] = Fate::Blamed;
        world.run_until(330_000);
        assert_eq!(world.flips, [], "seed {seed}: a node in doubt holds its verdicts, whoever says what");
        assert_eq!(world.doubts.len(), 1, "seed {seed}: and what is said proves nothing");
        assert!(world.schedule.view(TargetId::new(1)).suspect);
        for target in [0, 2, 4] {
            world.fates[target] = Fate::Answers;
        }
        world.run_until(360_000);
        assert_eq!(world.falls(), BTreeSet::from([1]), "seed {seed}: what is said once more when the node sees counts");
    }
}

#[test]
fn agents_that_a_blind_node_cannot_hear_are_missed_only_as_long_after_it_sees_as_they_always_are() {
    for seed in 0..20 {
        let mut world = world_of_agents(seed);
        let probed = [0, 2, 4];
        for target in probed {
            world.fates[target] = Fate::Silent;
        }
        // All is dark for 70 s, and the doubt has begun, when the last reports are half a minute old.
        world.run_until(90_000);
        (6..16).for_each(|target| world.fates[target] = Fate::Unheard(30));
        world.run_until(130_000);
        assert_eq!(world.flips, [], "seed {seed}");
        for target in probed {
            world.fates[target] = Fate::Answers;
        }
        world.run_until(136_000);
        assert!(world.schedule.suspicion().is_none(), "seed {seed}");
        world.run_until(159_000);
        assert_eq!(world.flips, [], "seed {seed}: they have had less than half a minute to report");
        world.run_until(180_000);
        assert_eq!(world.falls(), (6..16).collect(), "seed {seed}");
    }
}

#[test]
fn programs_that_reach_nobody_from_a_blind_node_drain_nobody_before_it_knows_that_it_is_blind() {
    for (seed, fall) in (0..40).flat_map(|seed| [1, 2, 3].map(|fall| (seed, fall))) {
        let mut world = world_of_agents(seed);
        world.wanted.iter_mut().for_each(|wanted| wanted.rules = Rules { fall, window: None, ..RULES });
        world.schedule.adopt(&world.wanted, world.now);
        let programs: Vec<usize> = [1, 3, 5].into_iter().chain(6..16).collect();
        world.set_each(&[0, 2, 4], Fate::Silent);
        world.set_each(&programs, Fate::Blamed);
        world.run_until(90_000);
        assert!(matches!(world.doubts[..], [(_, DoubtChange::Begun(_))]), "seed {seed}: {:?}", world.doubts);
        world.set_each(&[0, 2, 4], Fate::Answers);
        world.set_each(&programs, Fate::Praised);
        world.run_until(130_000);
        assert_eq!((&world.flips[..], world.doubts.len()), (&[][..], 2), "seed {seed}, fall {fall}");
    }
}

#[test]
fn what_others_say_is_believed_within_the_detection_time_of_a_node_that_sees() {
    let detection = u64::try_from(RULES.detection().as_millis()).expect("seconds");
    for seed in 0..20 {
        let mut world = world_of_agents(seed);
        world.set_each(&[1, 7], Fate::Blamed);
        world.run_until(60_000 + detection);
        assert_eq!(world.falls(), BTreeSet::from([1, 7]), "seed {seed}");
        assert_eq!(world.doubts, [], "seed {seed}");
    }
}

#[test]
fn where_nothing_is_probed_what_others_say_is_believed_at_once() {
    let rules = Rules { fall: 1, window: None, ..RULES };
    let mut world = World::of((0..4).map(|place| Wanted { rules, ..member("agent", place) }).collect(), 1);
    world.set(everybody, Fate::Praised);
    world.run_until(60_000);
    world.set(everybody, Fate::Unheard(30));
    world.run_until(65_001);
    assert_eq!(world.falls(), (0..4).collect());
}

#[test]
fn a_node_that_stood_still_misses_nobody_who_reported_meanwhile() {
    let rules = Rules { fall: 1, window: None, ..RULES };
    for (seed, stood_ms) in (0..20).flat_map(|seed| [2_100, 3_500, 5_500, 12_000].map(|stood_ms| (seed, stood_ms))) {
        let mut world = World::of((0..2).map(|place| Wanted { rules, ..member("agent", place) }).collect(), seed);
        world.set(everybody, Fate::Praised);
        world.run_until(60_000);
        world.flips.clear();
        world.set(everybody, Fate::Unheard(2));
        world.now = at(60_000 + stood_ms);
        // The reports that lie there are read in some milliseconds.
        world.run_until(60_000 + stood_ms + 5);
        world.set(everybody, Fate::Praised);
        world.run_until(120_000);
        assert_eq!(world.flips, [], "seed {seed}, {stood_ms} ms");
        let [(begun, DoubtChange::Begun(Evidence::Late { .. })), (_, DoubtChange::Ended(_))] = &world.doubts[..] else {
            panic!("seed {seed}, {stood_ms} ms: {:?}", world.doubts)
        };
        assert_eq!(*begun, at(60_000 + stood_ms), "before anything else");
    }
}

#[test]
fn what_was_under_way_when_a_node_stood_still_counts_for_nothing_either() {
    let rules = Rules { fall: 1, window: None, ..RULES };
    let mut schedule = Schedule::new(1);
    schedule.adopt(&[Wanted { rules, ..member("program", 0) }], Moment::START);
    let up = schedule.poll_order(Moment::START).expect("it is new");
    schedule.handle_observation(up.token, Observation::Pass { connect: Duration::ZERO, total: ROUND_TRIP }, at(20));
    let (now, order) = (20..).step_by(500).map(at).find_map(|now| schedule.poll_order(now).map(|order| (now, order))).expect("its slot");
    let told = schedule.handle_observation(order.token, Observation::Fail(FailReason::Reported("no answer".into())), now.after(LONG));
    assert!(told.is_none() && schedule.view(TargetId::new(0)).verdict.status == Status::Up);
    assert!(schedule.is_alive(now.after(LONG)), "who slept cannot say that nothing came");
    assert!(schedule.suspicion().is_some());
}

#[test]
fn a_node_that_stood_still_does_not_say_that_its_prober_did() {
    let mut world = World::new(1, 2, 0, 1);
    assert!(world.schedule.is_alive(at(60_000)) && !world.schedule.is_alive(at(60_000).after(LONG)));
    world.now = at(60_000).after(LONG);
    world.schedule.poll_order(world.now);
    assert!(world.schedule.is_alive(world.now));
    // None of the probes comes back from now on.
    for second in 0..40 {
        world.schedule.poll_order(world.now.after(Duration::from_secs(second)));
    }
    assert!(!world.schedule.is_alive(world.now.after(Duration::from_secs(40))));
}

#[test]
fn a_new_config_ends_no_doubt_by_targets_that_nobody_has_looked_at() {
    for seed in 0..20 {
        let mut world = World::new(3, 2, 0, seed);
        world.set(everybody, Fate::Silent);
        world.run_until(80_000);
        assert!(matches!(world.doubts[..], [(_, DoubtChange::Begun(_))]), "seed {seed}: {:?}", world.doubts);
        world.reload_with((0..3).map(|place| (member("new", place), Fate::Silent)));
        world.run_until(120_000);
        // And another puts new ones in the place of all that there are.
        world.reload(|_| false);
        world.reload_with((0..3).map(|place| (member("other", place), Fate::Silent)));
        world.run_until(160_000);
        assert_eq!((world.doubts.len(), &world.flips[..]), (1, &[][..]), "seed {seed}");
        world.reload_with((0..3).map(|place| (member("last", place), Fate::Silent)));
        // Which of them answers does not matter.
        world.fates[3] = Fate::Answers;
        world.run_until(166_000);
        assert!(matches!(world.doubts[1..], [(_, DoubtChange::Ended(_))]), "seed {seed}: {:?}", world.doubts);
    }
}

#[test]
fn a_new_canary_ends_no_doubt_before_it_was_looked_at() {
    for seed in 0..20 {
        let mut world = World::new(1, 3, 1, seed);
        world.set(everybody, Fate::Silent);
        world.run_until(80_000);
        assert!(matches!(world.doubts[..], [(_, DoubtChange::Begun(_))]), "seed {seed}: {:?}", world.doubts);
        let canary = Wanted { identity: "another canary".into(), rules: CANARY, role: Role::Canary };
        world.reload_with([(canary, Fate::Silent)].into_iter());
        world.run_until(120_000);
        assert_eq!((world.doubts.len(), &world.flips[..]), (1, &[][..]), "seed {seed}");
        world.fates[4] = Fate::Answers;
        world.run_until(125_000);
        assert!(matches!(world.doubts[1..], [(_, DoubtChange::Ended(_))]), "seed {seed}: {:?}", world.doubts);
    }
}

#[test]
fn a_doubt_ends_where_a_new_config_leaves_nothing_that_could_be_looked_at() {
    for seed in 0..20 {
        let mut world = world_of_agents(seed);
        let (probed, programs) = ([0, 2, 4], [1, 3, 5]);
        // This node cannot even start its programs when it loses its uplink.
        for (target, program) in probed.into_iter().zip(programs) {
            (world.fates[target], world.fates[program]) = (Fate::Silent, Fate::Unsendable);
        }
        world.run_until(90_000);
        assert!(matches!(world.doubts[..], [(_, DoubtChange::Begun(_))]), "seed {seed}: {:?}", world.doubts);
        world.reload(|target| !probed.contains(&target));
        world.set(everybody, Fate::Praised);
        world.run_until(120_000);
        assert!(matches!(world.doubts[1..], [(_, DoubtChange::Ended(_))]), "seed {seed}: {:?}", world.doubts);
        world.fates[0] = Fate::Blamed;
        world.run_until(150_000);
        assert_eq!(world.falls(), BTreeSet::from([0]), "seed {seed}: what is said counts again");
    }
}

#[test]
fn a_canary_that_refuses_shows_that_the_node_sees_for_as_long_as_it_does() {
    for seed in 0..20 {
        let mut world = World::new(3, 2, 1, seed);
        world.set(|role| role == Role::Canary, Fate::Refuses);
        world.run_until(90_000);
        world.set(|role| role != Role::Canary, Fate::Silent);
        world.run_until(90_000 + 13_100);
        assert_eq!(world.falls(), (0..7).collect(), "seed {seed}: the canary, and those that are dead");
        world.run_until(150_000);
        assert_eq!(world.doubts, [], "seed {seed}");
    }
}

#[test]
fn agents_that_say_down_everywhere_make_no_node_doubt_its_sight_and_keep_nobody_from_dying() {
    for seed in 0..20 {
        let mut world = world_of_agents(seed);
        for (index, fate) in world.fates.iter_mut().enumerate() {
            if index >= 6 {
                *fate = Fate::Blamed;
            }
        }
        world.fates[0] = Fate::Silent;
        // A round and a timeout, two hurried probes with theirs.
        world.run_until(60_000 + 13_000);
        assert!(world.doubts.is_empty(), "seed {seed}: {:?}", world.doubts);
        assert!(world.falls().contains(&0), "seed {seed}: two others are seen, and the five of agents are no places that could be dark");
        world.run_until(100_000);
        assert_eq!(world.falls(), (6..16).chain([0]).collect(), "seed {seed}");
    }
}

#[test]
fn a_cut_that_ends_while_the_last_silent_probes_are_under_way_drains_nobody() {
    for seed in 0..60 {
        for lasts_ms in [500, 1_500, 2_500, 3_500, 4_700, 5_500, 6_500, 8_000] {
            let mut world = World::new(3, 2, 0, seed);
            world.set(everybody, Fate::Silent);
            world.run_until(60_000 + lasts_ms);
            world.set(everybody, Fate::Answers);
            world.run_until(90_000);
            assert_eq!(world.flips, [], "seed {seed}, {lasts_ms} ms");
        }
    }
}

#[test]
fn a_cut_that_ends_before_everything_was_looked_at_drains_nobody_whose_probes_take_long() {
    let slow = Rules { interval: Duration::from_secs(6), timeout: Duration::from_millis(3_600), window: None, ..RULES };
    for (seed, lasts_ms) in (0..20).flat_map(|seed| (5_000..12_000).step_by(500).map(move |lasts_ms| (seed, lasts_ms))) {
        let mut world = World::unseen(5, 2, 0, seed);
        world.schedule.adopt(&world.wanted.iter().map(|wanted| Wanted { rules: slow, ..wanted.clone() }).collect::<Vec<_>>(), at(0));
        world.wanted.iter_mut().for_each(|wanted| wanted.rules = slow);
        world.run_until(60_000);
        world.set(everybody, Fate::Silent);
        world.run_until(60_000 + lasts_ms);
        world.set(everybody, Fate::Answers);
        world.run_until(100_000);
        assert_eq!(world.falls(), BTreeSet::new(), "seed {seed}, {lasts_ms} ms");
    }
}

#[test]
fn a_dead_member_is_down_within_the_detection_time_whatever_else_is_dead() {
    let detection = u64::try_from(RULES.detection().as_millis()).expect("seconds");
    for seed in 0..20 {
        for (places, dead) in [(1, 1), (2, 1), (2, 2), (3, 1), (4, 1), (4, 2), (7, 3)] {
            let mut world = World::new(places, 3, 0, seed);
            (0..dead).for_each(|place| world.set(in_place(place), Fate::Silent));
            // One look elsewhere, when nobody happened to look there meanwhile.
            world.run_until(60_000 + detection + 2_100);
            let expected: BTreeSet<usize> = (0..dead as usize * 3).collect();
            assert_eq!(world.falls(), expected, "seed {seed}: {dead} of {places}: {:?}", world.doubts);
            assert_eq!(world.doubts, [], "seed {seed}: {dead} of {places}");
        }
    }
}

#[test]
fn applications_that_hang_everywhere_are_dead_and_make_no_node_doubt_its_sight() {
    for seed in 0..20 {
        let mut world = World::new(3, 3, 0, seed);
        world.set(everybody, Fate::Hangs);
        let detection = u64::try_from(RULES.detection().as_millis()).expect("seconds");
        world.run_until(60_000 + detection + 100);
        assert_eq!(world.falls(), (0..9).collect(), "seed {seed}: whoever takes a connection is there to be seen");
        assert_eq!(world.doubts, [], "seed {seed}");
    }
}

#[test]
fn a_timeout_that_is_told_late_says_nothing_however_far_the_probe_had_come() {
    for reason in [FailReason::Timeout, FailReason::Stalled("nothing was answered".into()), FailReason::Unfinished] {
        let mut world = World::new(1, 1, 0, 1);
        let order = (60_001..).find_map(|millis| world.schedule.poll_order(at(millis))).expect("it is probed");
        // Meanwhile the node is awake.
        world.schedule.poll_order(order.deadline);
        let late = order.deadline.after(Duration::from_millis(501));
        world.schedule.handle_observation(order.token, Observation::Fail(reason.clone()), late);
        assert_eq!(world.status(0), Status::Up, "{reason}");
        assert_eq!(world.schedule.view(TargetId::new(0)).last.map(|(_, saw)| saw.code()), Some("lag"), "{reason}");
    }
}

#[test]
fn a_local_place_that_is_still_seen_does_not_prove_the_uplink() {
    let mut world = World::new(4, 3, 0, 1);
    (1..4).for_each(|place| world.set(in_place(place), Fate::Silent));
    world.run_until(120_000);
    assert_eq!(world.flips, []);
    assert!(matches!(world.doubts[..], [(_, DoubtChange::Begun(Evidence::Places { silent: 3, seen: 1 }))]), "{:?}", world.doubts);
}

#[test]
fn an_answer_from_a_place_that_was_silent_ends_the_doubt_and_the_rest_is_dead_then() {
    let mut world = World::new(4, 3, 0, 1);
    world.set(everybody, Fate::Silent);
    world.run_until(100_000);
    assert_eq!(world.doubts.len(), 1);
    world.set(in_place(0), Fate::Refuses);
    world.run_until(107_000);
    assert!(matches!(world.doubts[1..], [(_, DoubtChange::Ended(_))]), "{:?}", world.doubts);
    world.run_until(125_000);
    assert_eq!(world.falls().len(), 12, "those that refuse, and those that are silent while others are seen: {:?}", world.doubts);
    assert_eq!(world.doubts.len(), 2);
}

#[test]
fn silent_canaries_hold_the_verdicts_of_a_single_place_and_canaries_that_are_seen_prove_it_dead() {
    let mut world = World::new(1, 3, 2, 1);
    world.set(everybody, Fate::Silent);
    world.run_until(200_000);
    assert_eq!(world.flips, []);
    assert!(matches!(world.doubts[..], [(_, DoubtChange::Begun(Evidence::Canaries { silent: 2 }))]), "{:?}", world.doubts);
    let mut world = World::new(5, 3, 2, 1);
    world.set(|role| role != Role::Canary, Fate::Silent);
    world.run_until(60_000 + 13_100);
    assert_eq!((world.falls().len(), &world.doubts[..]), (15, &[][..]));
}

#[test]
fn dead_canaries_alone_hold_nothing() {
    let mut world = World::new(3, 3, 2, 1);
    world.set(|role| role == Role::Canary, Fate::Silent);
    world.run_until(90_000);
    assert_eq!((world.falls(), &world.doubts[..]), (BTreeSet::from([9, 10]), &[][..]));
    world.set(in_place(1), Fate::Silent);
    world.run_until(90_000 + 13_100);
    assert_eq!(world.falls().len(), 5);
}

#[test]
fn a_node_that_starts_blind_believes_nothing_until_it_sees() {
    let mut world = World::unseen(3, 2, 0, 1);
    world.set(everybody, Fate::Silent);
    world.run_until(60_000);
    assert!((0..6).all(|target| world.status(target) == Status::Unknown));
    assert!(world.schedule.first_round_is_done() && world.schedule.suspicion().is_some());
    world.set(everybody, Fate::Answers);
    world.run_until(66_000);
    assert!((0..6).all(|target| world.status(target) == Status::Up));
    assert!(world.schedule.suspicion().is_none());
}

#[test]
fn a_member_that_is_dead_from_the_start_is_down_soon_after_the_others_are_seen() {
    let mut world = World::unseen(4, 1, 0, 1);
    world.set(in_place(2), Fate::Silent);
    world.run_until(5_000);
    assert_eq!(world.falls(), BTreeSet::from([2]));
}

#[test]
fn probes_that_cannot_be_made_are_doubt_but_not_where_they_never_could() {
    let mut world = World::new(2, 3, 0, 1);
    world.set(in_place(1), Fate::Unsendable);
    world.run_until(80_000);
    assert_eq!(world.doubts, [], "half is not most");
    world.set(everybody, Fate::Unsendable);
    world.run_until(100_000);
    assert!(matches!(world.doubts[..], [(_, DoubtChange::Begun(Evidence::Local { .. }))]), "{:?}", world.doubts);
    assert_eq!(world.flips, []);
    // A node without IPv6, whose IPv6 members are the most.
    let mut world = World::unseen(3, 1, 0, 1);
    (1..3).for_each(|place| world.set(in_place(place), Fate::Unsendable));
    world.run_until(60_000);
    assert_eq!(world.doubts.iter().filter(|(_, change)| matches!(change, DoubtChange::Begun(_))).count(), 0, "{:?}", world.doubts);
}

#[test]
fn a_fast_member_need_not_wait_for_the_slots_of_slow_ones() {
    let slow = Rules { timeout: Duration::from_secs(2), ..Rules::plain(Duration::from_mins(5), Duration::from_secs(2), 2, 3) };
    let member = |place: u32, rules| Wanted { identity: format!("member {place}").into(), rules, role: Role::Member { place } };
    let mut world = World::of(vec![member(0, RULES), member(1, slow), member(2, slow), member(3, slow)], 1);
    world.run_until(60_000);
    world.set(in_place(0), Fate::Silent);
    world.run_until(60_000 + 13_100);
    assert_eq!(world.falls(), BTreeSet::from([0]));
}

#[test]
fn a_cut_that_lasts_longer_than_looks_tell_something_drains_nobody_either() {
    for seed in 0..20 {
        let slow = Rules::plain(Duration::from_mins(4), Duration::from_secs(2), 2, 2);
        let member = |n: u32| Wanted { identity: format!("member {n}").into(), rules: slow, role: Role::Member { place: n / 2 } };
        let canary = Wanted { identity: "canary".into(), rules: CANARY, role: Role::Canary };
        let mut world = World::of((0..8).map(member).chain([canary]).collect(), seed);
        world.run_until(600_000);
        assert!(world.doubts.is_empty(), "{:?}", world.doubts);
        world.flips.clear();
        world.set(everybody, Fate::Silent);
        world.run_until(3_000_000);
        assert_eq!(world.flips, [], "seed {seed}");
        assert!(matches!(world.doubts[..], [(_, DoubtChange::Begun(_))]), "seed {seed}: {:?}", world.doubts);
        world.set(everybody, Fate::Answers);
        world.run_until(3_010_000);
        assert!(matches!(world.doubts[1..], [(_, DoubtChange::Ended(_))]), "seed {seed}: {:?}", world.doubts);
        world.run_until(3_600_000);
        assert_eq!((&world.flips[..], world.doubts.len()), (&[][..], 2), "seed {seed}");
    }
}

#[test]
fn an_uplink_that_comes_back_for_a_moment_kills_nobody_who_was_not_looked_at_then() {
    for seed in 0..50 {
        let slow = Rules::plain(Duration::from_secs(10), Duration::from_secs(2), 2, 1);
        let member = |n: u32| Wanted {
            identity: format!("member {n}").into(),
            rules: if n.is_multiple_of(2) { slow } else { RULES },
            role: Role::Member { place: n / 4 },
        };
        let canary = Wanted { identity: "canary".into(), rules: CANARY, role: Role::Canary };
        let mut world = World::of((0..16).map(member).chain([canary]).collect(), seed);
        world.run_until(60_000);
        world.flips.clear();
        for end in [80_000, 100_000, 120_000] {
            world.set(everybody, Fate::Silent);
            world.run_until(end);
            world.set(everybody, Fate::Answers);
            world.run_until(end + 1_500);
        }
        assert_eq!(world.flips, [], "seed {seed}");
    }
}

#[test]
fn a_look_that_could_not_be_made_is_no_beginning_of_silence() {
    for seed in 0..50 {
        let rules = Rules { fall: 1, window: None, ..RULES };
        let member = |n: u32| Wanted { identity: format!("member {n}").into(), rules, role: Role::Member { place: n / 3 } };
        let mut world = World::of((0..12).map(member).collect(), seed);
        world.run_until(60_000);
        world.flips.clear();
        world.set(in_place(0), Fate::Unsendable);
        world.run_until(80_000);
        world.set(everybody, Fate::Silent);
        world.run_until(100_000);
        assert_eq!(world.flips, [], "seed {seed}");
    }
}

#[test]
fn a_late_node_trusts_no_silence() {
    let mut world = World::new(1, 2, 0, 1);
    world.set(everybody, Fate::Silent);
    // The machine was asleep.
    world.now = at(90_000);
    world.run_until(92_000);
    assert!(matches!(world.doubts[..], [(_, DoubtChange::Begun(Evidence::Late { .. }))]), "{:?}", world.doubts);
    assert_eq!(world.flips, []);
    world.run_until(130_000);
    assert!(matches!(world.doubts[1..], [(_, DoubtChange::Ended(_))]), "{:?}", world.doubts);
    assert_eq!(world.falls().len(), 2, "awake, it believes what it sees");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_partition_of_whatever_length_and_moment_drains_anybody(
        seed: u64, cut_ms in 60_000u64..70_000, lasts_ms in 0u64..60_000, places in 3u32..6, per_place in 1u32..5
    ) {
        let mut world = World::new(places, per_place, 0, seed);
        world.run_until(cut_ms);
        world.set(everybody, Fate::Silent);
        world.run_until(cut_ms + lasts_ms);
        world.set(everybody, Fate::Answers);
        world.run_until(cut_ms + lasts_ms + 60_000);
        prop_assert_eq!(&world.flips, &[]);
        prop_assert!(world.schedule.suspicion().is_none());
    }

    #[test]
    fn hurried_probes_are_bounded(seed: u64, dead in 1u32..4) {
        let mut world = World::new(4, 5, 0, seed);
        (0..dead).for_each(|place| world.set(in_place(place), Fate::Refuses));
        let before = world.starts;
        world.run_until(120_000);
        // A usual probe every 5 s each, two hurried ones until the verdict is settled, and some looks elsewhere.
        prop_assert!(world.starts - before <= 20 * 12 + 2 * 15 + 20, "{}", world.starts - before);
    }
}
