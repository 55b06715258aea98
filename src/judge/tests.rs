//! What the judge promises, over pools written in a few words.

use super::*;
use crate::ids::NodeId;
use crate::policy::testing::World;
use crate::policy::{Conduct, Failback, Grade, LastResort, Node, Rank, Steer};
use proptest::prelude::*;

const fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * NANOS)
}

/// A judge over one pool of so many members (m0 and on, two to a site), all up for 6 s at a time.
struct Stage {
    graph: Graph,
    judge: Judge,
    verdicts: Vec<[Verdict; 2]>,
    view: Option<PoolView>,
    now: Moment,
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
        let mut stage = Stage { graph, judge, verdicts: vec![[verdict(Status::Up); 2]; members], view: None, now: at(0) };
        stage.look(0);
        stage
    }

    /// Judges and prepares at this second; what is answered.
    fn look(&mut self, now: u64) -> Vec<u16> {
        self.now = at(now);
        let (_, _) = self.judge.poll(&self.graph, self.now);
        let judgements = self.judge.judge(&self.graph, pool(), &self.verdicts, self.now);
        let view = PoolView::prepare(&self.graph.pools[pool()], &judgements, self.view.as_ref());
        if let Some(before) = &self.view {
            self.judge.note_replaced(pool(), before, self.now);
        }
        let usable = view.family(Family::V4).usable.iter().map(|usable| usable.member).collect();
        self.view = Some(view);
        usable
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
    assert_eq!(stage.look(1), [0, 1]);
    stage.look(57);
    assert_eq!(stage.ttl_of(0), 3);
    assert_eq!(stage.look(59), [0, 1]);
    assert_eq!(stage.look(60), [1]);
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
    let notes = stage.judge.notes(&stage.graph, Place { pool: pool(), member: 0, family: Family::V4 }, stage.now);
    assert!(matches!(&notes[..], [Note::Forced(_)]), "{notes:?}");
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
fn a_drain_waits_for_what_the_last_resort_handed_out() {
    let mut stage = Stage::new(2, Conduct::default(), Vec::new());
    (0..2).for_each(|member| stage.see(member, Status::Down));
    assert!(stage.look(1).is_empty());
    stage.now = at(100);
    let Force::Drain { removes_unix_s, .. } = stage.order("m0", Wish::Drain).expect("nothing forbids it").force else { panic!("a drain") };
    assert_eq!(removes_unix_s, 1_100 + 2 + 1, "any last resort is covered by the shortest TTL");
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
    let notes = stage.judge.notes(&stage.graph, Place { pool: pool(), member: 2, family: Family::V4 }, stage.now);
    assert_eq!(notes, [Note::Kept("core".into())]);
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

//--- Coming back

#[test]
fn a_recovered_member_is_held_back_until_an_operator_releases_it() {
    let conduct = Conduct { failback: Failback::Manual, ..Conduct::default() };
    let mut stage = Stage::new(2, conduct, Vec::new());
    stage.see(0, Status::Down);
    assert_eq!(stage.look(1), [1]);
    stage.see(0, Status::Up);
    assert_eq!(stage.look(2), [1]);
    let place = Place { pool: pool(), member: 0, family: Family::V4 };
    assert_eq!(stage.judge.noted(&stage.graph, stage.now), [place]);
    assert_eq!(stage.judge.notes(&stage.graph, place, stage.now), [Note::HeldBack(Duration::MAX)]);
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
}

proptest! {
    #[test]
    fn no_sequence_of_verdicts_and_orders_breaks_a_protection(
        steps in prop::collection::vec((0usize..6, 0u8..6), 1..80), min_members in 1u32..4, min_sites in 0u32..3
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
                _ => drop(stage.judge.clear(&stage.graph, &selector.parse().expect("a selector"))),
            }
            let now_answered = stage.look(now);
            prop_assert!(now_answered.len() as u64 >= u64::from(min_members));
            let sites: BTreeSet<u16> = now_answered.iter().map(|member| member / 2).collect();
            prop_assert!(sites.len() as u64 >= u64::from(min_sites));
            removed.extend(answered.iter().filter(|member| !now_answered.contains(member)).map(|_| now));
            prop_assert!(removed.iter().filter(|then| now - **then < 30).count() <= 2, "{removed:?}");
            answered = now_answered;
        }
    }
}
