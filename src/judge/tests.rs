//! What the judge promises, over pools written in a few words.

use super::*;
use crate::ids::NodeId;
use crate::policy::testing::World;
use crate::policy::{Choose, Conduct, Failback, Grade, LastResort, Node, Protection, Rank, Steer};
use proptest::prelude::*;

const fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

/// A judge over one pool of so many members (m0 and on, two to a site), all up for 6 s at a time.
struct Stage {
    graph: Graph,
    judge: Judge,
    verdicts: Vec<[Verdict; 2]>,
    view: Option<PoolView>,
    now: Moment,
    /// When which caches hold the last answer with each member, if each was given as late as could be.
    cached_until: Vec<Moment>,
    /// What came about, and at which second.
    told: Vec<(u64, Event)>,
}

fn pool() -> PoolId {
    PoolId::new(0)
}

fn verdict(status: Status) -> Verdict {
    Verdict { status, holds: Duration::from_secs(6), latency: None }
}

impl Stage {
    fn new(members: usize, conduct: Conduct, protections: Vec<Protection>) -> Stage {
        let mut world = World::default();
        let root: NodeId = world.pool_of(&vec!["up/4"; members].join(" "), |pool| {
            pool.conduct = conduct;
            for (index, member) in pool.members.iter_mut().enumerate() {
                member.site = Some(SiteId::new(index / 2));
            }
        });
        let mut graph = world.graph;
        let Node::Pool(_) = graph.nodes[root] else { panic!("a pool") };
        (0..members.div_ceil(2)).for_each(|site| {
            graph.sites.push(format!("s{site}").into());
        });
        let ttl = TtlRange { min_s: 2, max_s: 30 };
        graph.steers.push(Steer { root, ttl, on_all_down: LastResort::NoData, on_all_down_ttl_s: 5, families: [true, false] });
        graph.protections = protections;
        let mut judge = Judge::new(1_000, Vec::new());
        judge.adopt(None, &graph);
        let verdicts = vec![[verdict(Status::Up); 2]; members];
        let mut stage = Stage { graph, judge, verdicts, view: None, now: at(0), cached_until: vec![at(0); members], told: Vec::new() };
        stage.look(0);
        stage
    }

    /// Judges and prepares at this second; what is answered. Views are noted when they are replaced by others, as at work.
    fn look(&mut self, now: u64) -> Vec<u16> {
        self.now = at(now);
        self.answer();
        let (events, _) = self.judge.poll(&self.graph, self.now);
        self.told.extend(events.into_iter().map(|event| (now, event)));
        let judgements = self.judge.judge(&self.graph, pool(), &self.verdicts, self.now);
        let view = PoolView::prepare(&self.graph.pools[pool()], &judgements, self.view.as_ref());
        if let Some(before) = self.view.take_if(|before| *before != view) {
            self.judge.note_replaced(pool(), &before, self.now);
        }
        let usable = view.family(Family::V4).usable.iter().map(|usable| usable.member).collect();
        self.view = Some(view);
        usable
    }

    /// Judges and prepares every second from the last one to this; what is answered at last.
    fn pass(&mut self, until: u64) -> Vec<u16> {
        let next = self.now.since(at(0)).as_secs() + 1;
        (next..=until).fold(Vec::new(), |_, now| self.look(now))
    }

    /// Gives the last answers from the view that has been live until now.
    fn answer(&mut self) {
        let range = self.judge.reach[pool()].expect("a name leads there");
        let usable = self.view.iter().flat_map(|view| view.family(Family::V4).usable.iter());
        for usable in usable {
            let until = &mut self.cached_until[usize::from(usable.member)];
            *until = self.now.after(Duration::from_secs(range.clamp(usable.holds_s).into())).max(*until);
        }
    }

    /// Takes over the graph as it is now.
    fn reload(&mut self, change: impl FnOnce(&mut Graph)) {
        let before = self.graph.clone();
        change(&mut self.graph);
        if let Some(view) = &self.view {
            self.judge.note_replaced(pool(), view, self.now);
        }
        self.judge.adopt(Some(&before), &self.graph);
    }

    /// When a drain was said to have removed its members, and when to be in no cache; in seconds.
    fn drained(&self) -> (Option<u64>, Option<u64>) {
        let when = |is: fn(&Event) -> bool| self.told.iter().find(|(_, event)| is(event)).map(|(now, _)| *now);
        (when(|event| matches!(event, Event::Removed(_))), when(|event| matches!(event, Event::Gone(_))))
    }

    fn notes(&self, member: usize) -> Vec<Note> {
        self.judge.notes(&self.graph, Place { pool: pool(), member, family: Family::V4 }, self.now)
    }

    fn see(&mut self, member: usize, status: Status) {
        self.verdicts[member] = [verdict(status); 2];
    }

    fn order(&mut self, selector: &str, wish: Wish) -> Result<Override, Refusal> {
        self.order_with(selector, wish, None, false)
    }

    fn order_with(&mut self, selector: &str, wish: Wish, lasts: Option<u64>, break_glass: bool) -> Result<Override, Refusal> {
        let selector = selector.parse().expect("a selector");
        let (owner, reason, lasts) = ("alice".to_owned(), "test".to_owned(), lasts.map(Duration::from_secs));
        if let Some(view) = &self.view {
            self.judge.note_replaced(pool(), view, self.now);
        }
        let order = Order { selector, wish, owner, reason, lasts, break_glass };
        self.judge.set(&self.graph, order, self.now).map(|(one, _, _)| one)
    }

    fn ttl_of(&self, member: u16) -> u32 {
        let view = self.view.as_ref().expect("looked");
        view.family(Family::V4).usable.iter().find(|usable| usable.member == member).expect("answered").holds_s
    }

    /// Whether the pool is to be judged again at this second.
    fn is_in_motion(&self, now: u64) -> bool {
        self.judge.pools_in_motion(&self.graph, at(now)).contains(&pool())
    }

    fn chance_of(&self, position: usize) -> u32 {
        let view = self.view.as_ref().expect("looked");
        view.family(Family::V4).usable.chance_ppm(view.choose, 1, position)
    }

    fn rank(&mut self, member: usize) -> Rank {
        self.judge.judge(&self.graph, pool(), &self.verdicts, self.now)[member][0].rank
    }
}

fn protection(min_members: u32, min_sites: u32, max_removed: Option<(u8, u64)>) -> Protection {
    let max_removed = max_removed.map(|(percent, within)| (percent, Duration::from_secs(within)));
    Protection { name: "core".into(), pools: vec![pool()], min_members, min_sites, max_removed }
}

//--- Overrides

#[test]
fn down_and_up_take_the_place_of_verdicts_until_they_are_cleared() {
    let mut stage = Stage::new(3, Conduct::default(), Vec::new());
    stage.order("m0", Wish::Down).expect("nothing forbids it");
    assert_eq!(stage.look(1), [1, 2]);
    stage.see(1, Status::Down);
    stage.order("p0/m1", Wish::Up).expect("nothing forbids it");
    assert_eq!(stage.look(2), [1, 2]);
    assert!(stage.judge.clear(&stage.graph, &"m0".parse().expect("a selector")).is_some());
    assert_eq!(stage.look(3), [0, 1, 2]);
    assert_eq!(stage.order("m7", Wish::Down), Err(Refusal::NobodyMeant("m7".parse().expect("a selector"))));
}

#[test]
fn an_override_ends_by_itself_and_no_answer_outlives_it() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    stage.see(0, Status::Down);
    stage.order_with("m0", Wish::Up, Some(60), false).expect("nothing forbids it");
    stage.order_with("m1", Wish::Up, Some(60), false).expect("nothing forbids it");
    assert_eq!(stage.look(1), [0, 1]);
    assert_eq!((stage.ttl_of(0), stage.ttl_of(1)), (0, 6), "once it is cleared, what is believed counts again");
    stage.look(57);
    assert_eq!((stage.ttl_of(0), stage.ttl_of(1)), (0, 3));
    assert_eq!(stage.look(59), [0, 1]);
    assert_eq!(stage.look(60), [1]);
}

#[test]
fn an_override_that_expired_before_a_restart_never_counts_again() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    stage.see(0, Status::Down);
    stage.order_with("m0", Wish::Up, Some(3), false).expect("nothing forbids it");
    assert_eq!(stage.look(1), [0, 1]);
    stage.judge = Judge::new(1_000, stage.judge.overrides().to_vec());
    stage.judge.adopt(None, &stage.graph);
    // The first views are made before anybody asks what has expired.
    let judgements = stage.judge.judge(&stage.graph, pool(), &stage.verdicts, at(3));
    assert_eq!(judgements[0][0].verdict.status, Status::Down);
}

#[test]
fn overrides_end_by_the_wall_clock_whatever_is_done_to_it() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    stage.order_with("m0", Wish::Down, Some(3_600), false).expect("nothing forbids it");
    assert_eq!(stage.look(1), [1]);
    // The machine slept for an hour.
    stage.judge.handle_wall_clock(Duration::from_secs(1_000 + 3_601), at(2));
    assert_eq!(stage.look(2), [0, 1]);
    assert!(matches!(stage.told[..], [(2, Event::Expired(_))]), "{:?}", stage.told);
    // And the clock is set back by half of that, while a drain lowers the TTL.
    stage.order("m1", Wish::Drain).expect("nothing forbids it");
    stage.judge.handle_wall_clock(Duration::from_secs(1_000 + 1_800), at(3));
    assert_eq!((stage.pass(8), stage.pass(9)), (vec![0, 1], vec![0]), "answers of six seconds are in caches until then");
}

#[test]
fn a_drain_waits_for_the_caches_whatever_is_done_to_the_wall_clock() {
    for set_to in [Duration::from_secs(5_000), Duration::from_millis(1_011_700), Duration::from_secs(1), Duration::from_millis(1_010_300)] {
        let mut stage = Stage::new(2, Conduct::default(), Vec::new());
        stage.look(10);
        stage.order("m0", Wish::Drain).expect("nothing forbids it");
        stage.judge.handle_wall_clock(set_to, at(11));
        assert_eq!(stage.pass(16), [0, 1], "answers of six seconds are in caches: {set_to:?}");
        assert_eq!(stage.pass(18), [1], "{set_to:?}");
        stage.pass(30);
        let (removed, gone) = stage.drained();
        assert!(removed <= Some(19) && gone <= removed.map(|removed| removed + 4) && stage.cached_until[0] <= at(gone.expect("it is")));
    }
}

#[test]
fn a_clock_that_runs_as_it_should_moves_no_drain() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    stage.look(10);
    let ordered = stage.order("m0", Wish::Drain).expect("nothing forbids it");
    for millis in 0..6_000 {
        let now = Moment::from_nanos((10_000 + millis) * 1_000_000);
        stage.judge.handle_wall_clock(Duration::from_millis(1_010_000 + millis + millis % 40), now);
    }
    assert_eq!(stage.judge.overrides(), [ordered]);
}

#[test]
fn who_is_disabled_is_not_said_to_be_unknown() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    stage.reload(|graph| graph.pools[pool()].members[0].disabled = true);
    let refusal = stage.order("m0", Wish::Down).expect_err("it is out already");
    assert_eq!(refusal.to_string(), "the config disables all that is meant by `member:m0`");
    assert_eq!(stage.order("m?", Wish::Down).map(|one| one.force), Ok(Force::Down));
}

#[test]
fn a_site_goes_and_comes_as_one() {
    let mut stage = Stage::new(4, Conduct::default(), Vec::new());
    stage.order("site:s1", Wish::Down).expect("nothing forbids it");
    assert_eq!(stage.look(1), [0, 1]);
}

#[test]
fn a_drain_first_hands_out_the_shortest_ttl_and_leaves_when_all_longer_answers_have_expired() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    stage.look(10);
    let Force::Drain { removes_unix_s, gone_unix_s } = stage.order("m0", Wish::Drain).expect("nothing forbids it").force else {
        panic!("a drain")
    };
    // The last answer of 6 s could be given until now; a second for rounding.
    assert_eq!((removes_unix_s, gone_unix_s), (1_010 + 6 + 1, 1_010 + 6 + 1 + 2 + 1));
    assert_eq!(stage.look(11), [0, 1]);
    assert_eq!((stage.ttl_of(0), stage.ttl_of(1)), (0, 6));
    assert_eq!(stage.look(16), [0, 1]);
    assert_eq!(stage.look(17), [1]);
    assert!(matches!(&stage.notes(0)[..], [Note::Forced(_)]), "{:?}", stage.notes(0));
}

#[test]
fn a_drain_is_over_when_the_last_answer_of_the_lowered_ttl_has_expired() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    stage.pass(10);
    stage.order("m0", Wish::Drain).expect("nothing forbids it");
    stage.pass(30);
    // Nothing replaced the lowered view until 17: it was handed out to the last moment, with 2 s, which a second is added to.
    assert_eq!((stage.cached_until[0], stage.drained()), (at(19), (Some(18), Some(20))));
}

#[test]
fn a_drain_brings_nobody_back_who_is_out() {
    let mut stage = Stage::new(3, Conduct::default(), Vec::new());
    stage.order("m0", Wish::Down).expect("nothing forbids it");
    assert_eq!(stage.look(1), [1, 2]);
    stage.order("m*", Wish::Drain).expect("nothing forbids it");
    assert_eq!(stage.look(2), [1, 2], "the others are drained");
    assert_eq!(stage.pass(30), [] as [u16; 0]);
    let extended = stage.order_with("m*", Wish::Drain, Some(7_200), false).expect("nothing forbids it");
    assert_eq!(extended.force, Force::Drain { removes_unix_s: 1_030, gone_unix_s: 1_030 }, "out, and in no cache");
    assert_eq!(stage.pass(40), [] as [u16; 0]);
    let mut recovers = Stage::new(2, Conduct::default(), Vec::new());
    recovers.see(0, Status::Down);
    recovers.look(1);
    recovers.order("m0", Wish::Drain).expect("nothing forbids it");
    recovers.see(0, Status::Up);
    assert_eq!(recovers.look(2), [1]);
}

#[test]
fn a_drain_that_would_end_before_it_drains_is_refused() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    stage.look(10);
    let refusal = stage.order_with("m0", Wish::Drain, Some(7), false).expect_err("the TTL is lowered for 7 s");
    assert_eq!(refusal.to_string(), "a drain of 7s drains nobody: answers of before are in caches for 7s, and it would end first");
    stage.order_with("m0", Wish::Drain, Some(8), false).expect("a second is left");
}

#[test]
fn a_drain_waits_for_what_a_last_resort_handed_out() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    let (ttl, root) = (TtlRange { min_s: 2, max_s: 30 }, NodeId::new(0));
    let steer = Steer { root, ttl, on_all_down: LastResort::ServeAll, on_all_down_ttl_s: 90, families: [true, false] };
    stage.reload(|graph| graph.steers = [steer].into_iter().collect());
    (0..2).for_each(|member| stage.see(member, Status::Down));
    stage.look(1);
    let Force::Drain { gone_unix_s, .. } = {
        stage.look(5);
        stage.order("m0", Wish::Drain)
    }
    .expect("nothing forbids it")
    .force
    else {
        panic!("a drain")
    };
    assert_eq!(gone_unix_s, 1_005 + 90 + 1);
}

#[test]
fn the_last_answer_before_a_removal_is_waited_for_too() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    stage.look(10);
    let Force::Drain { removes_unix_s, .. } = stage.order("m0", Wish::Drain).expect("nothing forbids it").force else { panic!("a drain") };
    // Nothing replaces the view with the lowered TTL until the member goes: it is handed out to the last moment.
    stage.look(11);
    stage.look(removes_unix_s - 1_000);
    let Force::Drain { gone_unix_s, .. } = stage.judge.overrides()[0].force else { panic!("a drain") };
    assert_eq!(gone_unix_s, removes_unix_s + 2 + 1, "the shortest TTL is 2 s");
}

#[test]
fn what_is_handed_out_is_remembered_over_views_that_promised_less() {
    let mut stage = Stage::new(1, Conduct::default(), Vec::new());
    stage.look(10);
    // A failure: the view that promised 6 s until now is replaced by one that promises nothing.
    stage.verdicts[0] = [Verdict { holds: Duration::ZERO, ..verdict(Status::Up) }; 2];
    stage.look(12);
    stage.look(13);
    let Force::Drain { removes_unix_s, .. } = stage.order("m0", Wish::Drain).expect("nothing forbids it").force else { panic!("a drain") };
    assert_eq!(removes_unix_s, 1_012 + 6 + 1);
}

//--- Protections

#[test]
fn the_last_members_stay_though_they_seem_dead_and_go_when_others_are_back() {
    let mut stage = Stage::new(4, Conduct::default(), vec![protection(2, 0, None)]);
    (0..4).for_each(|member| stage.see(member, Status::Down));
    assert_eq!(stage.look(1), [2, 3]);
    assert_eq!(stage.ttl_of(2), 0, "sure for no time");
    assert_eq!((stage.notes(2), stage.view.as_ref().expect("looked").grade), (vec![Note::Kept("core".into())], Grade::Kept));
    assert!(stage.judge.pools_in_motion(&stage.graph, stage.now).contains(&pool()));
    stage.see(0, Status::Up);
    stage.see(1, Status::Up);
    stage.look(2);
    assert_eq!(stage.look(3), [0, 1]);
}

#[test]
fn members_of_the_last_sites_stay() {
    let mut stage = Stage::new(4, Conduct::default(), vec![protection(0, 2, None)]);
    (0..2).for_each(|member| stage.see(member, Status::Down));
    assert_eq!(stage.look(1), [1, 2, 3], "one of site s0 stays");
    stage.see(2, Status::Down);
    assert_eq!(stage.look(2), [1, 3]);
}

#[test]
fn removals_come_at_the_pace_that_is_allowed_and_always_one_at_least() {
    let mut stage = Stage::new(10, Conduct::default(), vec![protection(0, 0, Some((30, 60)))]);
    (0..6).for_each(|member| stage.see(member, Status::Down));
    assert_eq!(stage.look(1).len(), 7);
    assert_eq!(stage.look(60).len(), 7);
    assert_eq!(stage.look(61).len(), 4);
    let mut small = Stage::new(3, Conduct::default(), vec![protection(0, 0, Some((30, 60)))]);
    (0..2).for_each(|member| small.see(member, Status::Down));
    assert_eq!(small.look(1).len(), 2);
}

#[test]
fn an_operator_is_bound_like_the_prober_unless_the_glass_is_broken() {
    let mut stage = Stage::new(4, Conduct::default(), vec![protection(3, 0, None)]);
    let refusal = stage.order("pool:p0", Wish::Down).expect_err("all four");
    assert_eq!(refusal.to_string(), "the protection `core` forbids it: never fewer than 3 members");
    stage.order("m0", Wish::Down).expect("three are left");
    assert_eq!(stage.look(1), [1, 2, 3]);
    stage.order("m1", Wish::Drain).expect_err("two would be left");
    stage.order_with("m1", Wish::Down, None, true).expect("the glass is broken");
    assert_eq!(stage.look(2), [2, 3]);
    stage.order("m1", Wish::Up).expect("up removes nobody");
}

#[test]
fn who_is_drained_counts_for_nothing_when_the_next_is_to_be_drained() {
    for wish in [Wish::Drain, Wish::Down] {
        let mut stage = Stage::new(2, Conduct::default(), vec![protection(1, 0, None)]);
        stage.look(10);
        stage.order("m0", Wish::Drain).expect("one is left");
        stage.order("m1", wish).expect_err("both would go");
        stage.order("m0", Wish::Drain).expect("it is going already");
        assert_eq!(stage.pass(30), [1]);
    }
    let mut paced = Stage::new(10, Conduct::default(), vec![protection(0, 0, Some((20, 600)))]);
    for member in ["m0", "m1"] {
        paced.order(member, Wish::Drain).expect("two of ten may go");
    }
    paced.order("m2", Wish::Drain).expect_err("the third would be kept");
}

#[test]
fn a_drain_that_a_protection_holds_up_says_so_and_nothing_else_until_it_is_done() {
    let mut stage = Stage::new(2, Conduct::default(), vec![protection(1, 0, None)]);
    stage.look(10);
    stage.order("m0", Wish::Drain).expect("one is left");
    stage.see(1, Status::Down);
    assert_eq!(stage.pass(11), [0]);
    assert_eq!(stage.pass(30), [0], "the last one that lives");
    assert_eq!(stage.told, [], "it is answered still");
    assert!(matches!(&stage.notes(0)[..], [Note::Forced(_), Note::KeptAgainst(rule)] if **rule == *"core"), "{:?}", stage.notes(0));
    stage.see(1, Status::Up);
    assert_eq!(stage.pass(32), [1]);
    stage.pass(40);
    assert_eq!((stage.cached_until[0], stage.drained()), (at(34), (Some(33), Some(35))));
}

#[test]
fn a_config_that_leaves_too_few_is_told_though_it_is_put_in_force() {
    let mut stage = Stage::new(3, Conduct::default(), vec![protection(2, 0, None)]);
    stage.order("m0", Wish::Down).expect("two are left");
    assert_eq!(stage.look(1), [1, 2]);
    assert_eq!(stage.judge.shortfalls(&stage.graph, stage.now), []);
    stage.reload(|graph| graph.pools[pool()].members[1].disabled = true);
    assert_eq!(stage.look(2), [2]);
    assert_eq!(stage.judge.shortfalls(&stage.graph, stage.now), [("core".into(), Breach::Members(2), 1)]);
}

//--- Coming back

#[test]
fn who_comes_back_begins_with_a_tenth_of_its_share_and_an_operator_may_force_all_of_it() {
    let mut stage = Stage::new(2, Conduct { slow_start: Duration::from_secs(100), ..Conduct::default() }, Vec::new());
    let share = |stage: &Stage| {
        let view = stage.view.as_ref().expect("prepared");
        let usable = &view.family(Family::V4).usable;
        usable.iter().position(|usable| usable.member == 0).map(|at| usable.chance_ppm(Choose::Weighted, 1, at) / 1_000)
    };
    assert_eq!(share(&stage), Some(500));
    stage.see(0, Status::Down);
    stage.look(1);
    stage.see(0, Status::Up);
    stage.look(2);
    assert_eq!(share(&stage), Some(90), "a tenth to ten tenths");
    stage.pass(52);
    assert_eq!(share(&stage), Some(354), "550 to 1000");
    stage.order_with("m0", Wish::Up, Some(10), false).expect("nothing forbids it");
    stage.look(53);
    assert_eq!(share(&stage), Some(500));
    stage.pass(110);
    assert_eq!(share(&stage), Some(500));
}

#[test]
fn who_waits_to_be_let_back_goes_on_waiting_when_an_operator_took_it_out_meanwhile() {
    for (failback, until) in [(Failback::Manual, None), (Failback::After(Duration::from_mins(1)), Some(62))] {
        let mut stage = Stage::new(2, Conduct { failback, ..Conduct::default() }, Vec::new());
        stage.see(0, Status::Down);
        stage.look(1);
        stage.see(0, Status::Up);
        stage.look(2);
        stage.order_with("m0", Wish::Down, Some(2), false).expect("nothing forbids it");
        assert_eq!((stage.pass(3), stage.pass(61)), (vec![1], vec![1]), "{failback:?}");
        assert_eq!(stage.pass(70), until.map_or(vec![1], |_| vec![0, 1]), "{failback:?}");
    }
}

#[test]
fn a_recovered_member_is_held_back_until_an_operator_releases_it() {
    let conduct = Conduct { failback: Failback::Manual, ..Conduct::default() };
    let mut stage = Stage::new(2, conduct, Vec::new());
    stage.see(0, Status::Down);
    assert_eq!(stage.look(1), [1]);
    stage.see(0, Status::Up);
    assert_eq!(stage.look(2), [1]);
    let place = Place { pool: pool(), member: 0, family: Family::V4 };
    let notes = |place| stage.judge.notes(&stage.graph, place, stage.now);
    assert_eq!(Judge::places(&stage.graph).flat_map(notes).collect::<Vec<_>>(), notes(place), "of nobody else");
    assert_eq!(notes(place), [Note::HeldBack(Duration::MAX)]);
    stage.see(1, Status::Down);
    assert_eq!(stage.look(3), [0], "better than nobody");
    assert_eq!(stage.view.as_ref().expect("looked").grade, Grade::Degraded);
    stage.see(1, Status::Up);
    stage.look(4);
    let (released, pools) = stage.judge.release(&stage.graph, &"m0".parse().expect("a selector"), stage.now);
    assert_eq!((released, pools.len()), (1, 1));
    assert_eq!(stage.look(5), [0], "m1 waits now");
}

#[test]
fn who_comes_back_while_nobody_looks_is_let_back_by_the_first_look_after_it() {
    let failback = Conduct { failback: Failback::After(Duration::from_secs(10)), ..Conduct::default() };
    let slow_start = Conduct { slow_start: Duration::from_secs(10), ..Conduct::default() };
    for conduct in [failback, slow_start] {
        let mut stage = Stage::new(2, conduct, Vec::new());
        stage.see(0, Status::Down);
        stage.look(1);
        stage.see(0, Status::Up);
        stage.look(2);
        assert!(stage.is_in_motion(3) || conduct == slow_start, "shares grow in steps");
        assert!(stage.is_in_motion(1_000), "nobody has looked for a quarter of an hour: {conduct:?}");
        assert_eq!((stage.look(1_000), stage.chance_of(0)), (vec![0, 1], 500_000));
        assert!(!stage.is_in_motion(2_000), "all is as it was judged");
    }
}

#[test]
fn nobody_is_slow_any_more_where_siblings_are_compared_no_more() {
    let conduct = Conduct { slow_above_percent: Some(100), ..Conduct::default() };
    let mut stage = Stage::new(3, conduct, Vec::new());
    stage.reload(|graph| graph.pools[pool()].members.iter_mut().for_each(|member| member.site = None));
    for (index, verdicts) in stage.verdicts.iter_mut().enumerate() {
        let latency = Some(Duration::from_millis(if index == 1 { 90 } else { 20 }));
        *verdicts = [Verdict { latency, ..verdict(Status::Up) }; 2];
    }
    assert_eq!((stage.look(1), stage.notes(1)), (vec![0, 2, 1], vec![Note::Slow]));
    stage.reload(|graph| graph.pools[pool()].conduct.slow_above_percent = None);
    assert_eq!((stage.look(2), stage.notes(1)), (vec![0, 1, 2], vec![]));
    assert!(stage.judge.pasts(&stage.graph).all(|(_, past)| !past.slow), "nor after a restart");
}

#[test]
fn a_reload_keeps_overrides_and_what_is_held_back_by_name() {
    let conduct = Conduct { failback: Failback::Manual, ..Conduct::default() };
    let mut stage = Stage::new(3, conduct, Vec::new());
    stage.see(0, Status::Down);
    stage.look(1);
    stage.see(0, Status::Up);
    stage.order("m1", Wish::Down).expect("nothing forbids it");
    let before = stage.graph.clone();
    stage.graph.pools.rows().iter().for_each(|pool| assert_eq!(pool.members.len(), 3));
    stage.judge.adopt(Some(&before), &stage.graph);
    assert_eq!(stage.look(2), [2]);
}

#[test]
fn a_slow_sibling_is_ranked_last_and_not_removed() {
    let conduct = Conduct { slow_above_percent: Some(100), ..Conduct::default() };
    // One site of six, since siblings stand side by side.
    let mut stage = Stage::new(6, conduct, Vec::new());
    for (index, verdicts) in stage.verdicts.iter_mut().enumerate() {
        let latency = Some(Duration::from_millis(if index == 1 { 90 } else { 20 }));
        *verdicts = [Verdict { latency, ..verdict(Status::Up) }; 2];
    }
    assert_eq!(stage.rank(1), Rank::Usual, "two of a site are no siblings to judge by");
    let mut graph = stage.graph.clone();
    graph.pools = graph
        .pools
        .rows()
        .iter()
        .cloned()
        .map(|mut pool| {
            pool.members.iter_mut().for_each(|member| member.site = None);
            pool
        })
        .collect();
    stage.graph = graph;
    assert_eq!(stage.look(1), [0, 2, 3, 4, 5, 1]);
    assert_eq!(stage.rank(1), Rank::Late);
    assert_eq!(stage.view.as_ref().expect("looked").grade, Grade::Healthy);
}

#[test]
fn who_is_forced_up_is_not_held_back_where_siblings_are_compared_either() {
    let conduct = Conduct { failback: Failback::Manual, slow_above_percent: Some(100), ..Conduct::default() };
    let mut stage = Stage::new(3, conduct, Vec::new());
    stage.see(0, Status::Down);
    stage.look(1);
    stage.see(0, Status::Up);
    assert_eq!(stage.look(2), [1, 2]);
    stage.order("m0", Wish::Up).expect("up removes nobody");
    assert_eq!(stage.look(3), [0, 1, 2]);
    assert!(matches!(&stage.notes(0)[..], [Note::Forced(_)]), "nor is it told to be: {:?}", stage.notes(0));
}

proptest! {
    /// Of what is answered, and of what operators are told.
    #[test]
    fn no_sequence_of_verdicts_orders_and_reloads_breaks_a_protection_or_makes_a_drain_lie(
        steps in prop::collection::vec((0usize..6, 0u8..9), 1..80), min_members in 1u32..4, min_sites in 0u32..3
    ) {
        let mut stage = Stage::new(6, Conduct::default(), vec![protection(min_members, min_sites, Some((40, 30)))]);
        let mut removed: Vec<u64> = Vec::new();
        let mut answered: Vec<u16> = (0..6).collect();
        for (step, (member, action)) in steps.into_iter().enumerate() {
            let now = step as u64 * 3 + 1;
            let selector = format!("m{member}");
            // Refused or not: it is the result that must hold.
            match action {
                0 | 1 => stage.see(member, Status::Down),
                2 => stage.see(member, Status::Up),
                3 => drop(stage.order(&selector, Wish::Down)),
                4 => drop(stage.order(&format!("site:s{}", member / 2), Wish::Drain)),
                5 => drop(stage.order_with(&selector, Wish::Drain, Some(10 + now % 7), false)),
                6 => drop(stage.order_with(&selector, Wish::Up, Some(4), false)),
                7 => stage.reload(|_| ()),
                _ => drop(stage.judge.clear(&stage.graph, &selector.parse().expect("a selector"))),
            }
            for now in now..now + 3 {
                let now_answered = stage.look(now);
                prop_assert!(now_answered.len() as u64 >= u64::from(min_members));
                let sites: BTreeSet<u16> = now_answered.iter().map(|member| member / 2).collect();
                prop_assert!(sites.len() as u64 >= u64::from(min_sites));
                removed.extend(answered.iter().filter(|member| !now_answered.contains(member)).map(|_| now));
                prop_assert!(removed.iter().filter(|then| now - **then < 30).count() <= 2, "{removed:?}");
                for (_, event) in std::mem::take(&mut stage.told) {
                    let (Event::Removed(one) | Event::Gone(one)) = &event else { continue };
                    let meant: Vec<Place> = Judge::places_of(&stage.graph, &one.selector).into_iter().collect();
                    for Place { member, .. } in meant {
                        let is_forced_up = stage.judge.overrides().iter().any(|up| up.force == Force::Up && up.selector.selects("p0", &format!("m{member}"), None));
                        let is_answered = now_answered.iter().any(|answered| usize::from(*answered) == member);
                        prop_assert!(!is_answered || is_forced_up, "{event:?}, and m{member} is answered");
                        if matches!(event, Event::Gone(_)) && !is_forced_up {
                            prop_assert!(stage.cached_until[member] <= stage.now, "{event:?}, and m{member} is in caches");
                        }
                    }
                }
                answered = now_answered;
            }
        }
    }
}
