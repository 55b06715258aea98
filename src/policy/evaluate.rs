//! From a node and a client to members.
//!
//! [`evaluate`] walks down from the root: a policy surveys its children, takes one (round robin: several), and hands on;
//! a pool draws members into the [`Picks`]. On the way up TTLs take the minimum. Nothing is allocated and nothing is
//! remembered: equal inputs give equal answers.

use super::choose::parts_per_million;
use super::survey::{Field, View};
use super::{Fate, Grade, Graph, Node, Pick, Picks, Policy, PoolView, Step, Survey, Trace};
use crate::ids::{Id, NodeId, PoolId, Table};
use crate::prefix::{Family, Prefix};
use crate::rng::Dice;
use std::iter;
use std::net::IpAddr;
use std::sync::Arc;

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// A or AAAA.
    pub family: Family,
    /// The address that asks: the resolver.
    pub resolver: IpAddr,
    /// The client's prefix as the resolver announced it (RFC 7871), when it did and did not say SOURCE 0.
    pub subnet: Option<Prefix>,
    /// The chance of this query.
    pub dice: Dice,
}

/// Which members count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// The usable ones.
    Live,
    /// All, as if healthy.
    Ignored,
    /// The last usable ones.
    LastKnown,
}

/// What a node decided. The members are in the [`Picks`] that were handed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selection {
    /// How fit the node is for this client. Better than empty, yet without a member picked: the pool has none of the family
    /// that was asked for.
    pub grade: Grade,
    /// Seconds for which the decision is sure to hold, clamped by the `ttl` of the policies on the way: at most until a
    /// member of the answer could be down, or one that was preferred could be back. `u32::MAX` when nothing can change
    /// it; still to be clamped by the `ttl` of the [`super::Steer`].
    pub ttl_s: u32,
    /// The ECS scope: the length of the prefix in which every client gets the same decision for equal dice. 0 when no client
    /// subnet was looked at.
    pub scope: u8,
}

/// Decides for one client. The members go to `picks`, in place of whatever was in it.
pub fn evaluate<T: Trace>(
    graph: &Graph,
    pools: &Table<PoolId, Arc<PoolView>>,
    root: NodeId,
    question: &Question,
    health: Health,
    picks: &mut Picks,
    trace: &mut T,
) -> Selection {
    picks.clear();
    let view = View { graph, pools, question, health };
    Walk { view, picks, trace }.select(root, 0, Picks::MAX)
}

/// One decision under way.
struct Walk<'a, T> {
    view: View<'a>,
    picks: &'a mut Picks,
    trace: &'a mut T,
}

/// A policy under way.
#[derive(Clone, Copy)]
struct Turn<'a> {
    node: NodeId,
    depth: u8,
    policy: &'a Policy,
    children: &'a [NodeId],
    field: &'a Field,
    dice: Dice,
}

impl<T: Trace> Walk<'_, T> {
    /// Picks at most `room` members for `node`.
    fn select(&mut self, node: NodeId, depth: u8, room: usize) -> Selection {
        let graph = self.view.graph;
        let dice = self.view.question.dice.derive(node.index() as u64);
        let (policy, children, ttl) = match &graph.nodes[node] {
            Node::Pool(pool) => return self.select_pool(node, *pool, depth, room, dice),
            Node::Policy { policy, children, ttl, .. } => (policy, children, ttl),
        };
        let field = self.view.field(policy, children);
        let turn = Turn { node, depth, policy, children, field: &field, dice };
        if T::LISTENS {
            self.report_children(turn);
        }
        let members_s = if field.grade == Grade::Empty { u32::MAX } else { self.take(turn, room) };
        let returns_s = field.displaced_s(policy);
        let nominal_s = members_s.min(returns_s);
        let ttl_s = ttl.map_or(nominal_s, |range| range.clamp(nominal_s));
        self.trace.step(Step::Timed { node, depth, members_s, returns_s, ttl_s });
        Selection { grade: field.grade, ttl_s, scope: field.scope }
    }

    /// Takes what the policy takes, and returns how long that holds, in seconds.
    fn take(&mut self, turn: Turn<'_>, room: usize) -> u32 {
        match turn.policy {
            Policy::Failover | Policy::Geo { .. } => self.descend(turn, turn.field.first, room),
            Policy::Weighted(_) | Policy::Latency { .. } => {
                let position = self.draw(turn);
                self.descend(turn, position, room)
            }
            Policy::RoundRobin { pick } => self.take_around(turn, room.min(usize::from(*pick))),
        }
    }

    /// Takes all children in the draw, from a random one on and around, until `room` members are picked.
    fn take_around(&mut self, turn: Turn<'_>, room: usize) -> u32 {
        let full = self.picks.len() + room;
        let start = self.draw(turn);
        let mut holds_s = u32::MAX;
        for position in iter::chain(start..turn.children.len(), 0..start) {
            let room = full - self.picks.len();
            if room == 0 {
                break;
            }
            if self.share(turn, position) > 0 {
                holds_s = holds_s.min(self.descend(turn, position, room));
            }
        }
        holds_s
    }

    fn descend(&mut self, turn: Turn<'_>, position: usize, room: usize) -> u32 {
        let child = turn.children[position];
        self.trace.step(Step::Took { node: turn.node, depth: turn.depth, child });
        let selection = self.select(child, turn.depth.saturating_add(1), room);
        debug_assert!(selection.scope <= turn.field.scope, "a child's scope was surveyed");
        selection.ttl_s
    }

    /// One position by its share. There is one: the field is not empty.
    fn draw(&self, turn: Turn<'_>) -> usize {
        let shares = || (0..turn.children.len()).map(|position| self.share(turn, position));
        let mut point = turn.dice.below(shares().sum());
        let holds_the_point = |share: u64| {
            let found = point < share;
            point = point.saturating_sub(share);
            found
        };
        shares().position(holds_the_point).unwrap_or(turn.field.first)
    }

    fn share(&self, turn: Turn<'_>, position: usize) -> u64 {
        turn.field.share(turn.policy, position, self.view.survey(turn.children[position]))
    }

    fn select_pool(&mut self, node: NodeId, id: PoolId, depth: u8, room: usize, dice: Dice) -> Selection {
        let pool = &self.view.pools[id];
        let family = pool.family(self.view.question.family);
        let roster = family.roster(self.view.health);
        let count = room.min(usize::from(pool.pick));
        let mut members_s = u32::MAX;
        roster.choose(pool.choose, count, dice, |usable| {
            self.picks.push(Pick { pool: id, member: usable.member, addr: usable.addr });
            members_s = members_s.min(usable.holds_s);
        });
        let survey = self.view.survey_pool(id);
        // Where standbys stand in, or nobody does, the first member to return changes the answer.
        let joins_s = if roster.is_standing_in() { family.recovers_s } else { u32::MAX };
        let returns_s = survey.recovers_s.min(joins_s);
        let ttl_s = members_s.min(returns_s);
        if T::LISTENS {
            self.report_members(id, depth, count);
            self.trace.step(Step::Timed { node, depth, members_s, returns_s, ttl_s });
        }
        Selection { grade: survey.grade, ttl_s, scope: survey.scope }
    }
}

//--- What explain hears

impl<T: Trace> Walk<'_, T> {
    fn report_children(&mut self, turn: Turn<'_>) {
        let Policy::Geo { table, ecs } = turn.policy else {
            return self.report_in_order(turn, 0..turn.children.len());
        };
        let place = self.view.locate(*table, *ecs);
        let (addr, by_subnet, scope) = (place.addr, place.by_subnet, place.scope);
        self.trace.step(Step::Located { node: turn.node, depth: turn.depth, addr, by_subnet, scope });
        let here = || place.cell.children.iter().map(|&position| usize::from(position));
        self.report_in_order(turn, here());
        for position in (0..turn.children.len()).filter(|&position| here().all(|other| other != position)) {
            self.report_child(turn, position, None, Fate::Elsewhere);
        }
    }

    fn report_in_order(&mut self, turn: Turn<'_>, positions: impl Iterator<Item = usize>) {
        let order_decides = matches!(turn.policy, Policy::Failover | Policy::Geo { .. });
        let mut is_settled = false;
        for position in positions {
            let survey = self.view.survey(turn.children[position]);
            match turn.policy {
                Policy::Weighted(weights) if weights[position] == 0 && !turn.field.standing_in => {
                    self.report_child(turn, position, None, Fate::Standby);
                }
                Policy::Failover | Policy::Geo { .. } if is_settled => self.report_child(turn, position, None, Fate::Later),
                Policy::Failover | Policy::Geo { .. } | Policy::Weighted(_) | Policy::RoundRobin { .. } | Policy::Latency { .. } => {
                    self.report_child(turn, position, Some(survey), self.fate(turn, position, survey));
                }
            }
            is_settled |= order_decides && survey.grade == Grade::Healthy;
        }
    }

    fn report_child(&mut self, turn: Turn<'_>, position: usize, survey: Option<Survey>, fate: Fate) {
        let child = turn.children[position];
        self.trace.step(Step::Surveyed { node: turn.node, depth: turn.depth, child, survey, fate });
    }

    /// What becomes of a child that was looked at.
    fn fate(&self, turn: Turn<'_>, position: usize, child: Survey) -> Fate {
        let share = self.share(turn, position);
        if share > 0 {
            return Fate::InDraw { chance_ppm: self.chance_ppm(turn, share) };
        }
        if child.grade == Grade::Empty {
            return Fate::Empty;
        }
        if child.grade < turn.field.grade {
            return Fate::Worse;
        }
        match turn.policy {
            Policy::Failover | Policy::Geo { .. } | Policy::RoundRobin { .. } => Fate::Later,
            Policy::Weighted(_) => Fate::Standby,
            Policy::Latency { .. } => Fate::Farther,
        }
    }

    fn chance_ppm(&self, turn: Turn<'_>, share: u64) -> u32 {
        let total = match turn.policy {
            // All of them are taken; the draw is about their order.
            Policy::Failover | Policy::Geo { .. } | Policy::RoundRobin { .. } => share,
            Policy::Weighted(_) | Policy::Latency { .. } => (0..turn.children.len()).map(|position| self.share(turn, position)).sum(),
        };
        parts_per_million(share, total)
    }

    fn report_members(&mut self, id: PoolId, depth: u8, count: usize) {
        let choose = self.view.pools[id].choose;
        let roster = self.view.pools[id].family(self.view.question.family).roster(self.view.health);
        for (position, usable) in roster.iter().enumerate() {
            let chosen = self.picks.iter().any(|pick| pick.pool == id && pick.member == usable.member);
            let chance_ppm = roster.chance_ppm(choose, count, position);
            self.trace.step(Step::Weighed { pool: id, depth, member: usable.member, chance_ppm, holds_s: usable.holds_s, chosen });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, names, question, question_for};
    use super::super::{Choose, TtlRange};
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// How often each answer comes, over 1,000 throws.
    fn answers(world: &World, root: NodeId) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for bits in 0..1_000 {
            *counts.entry(names(&world.ask(root, &question(bits)).1)).or_default() += 1;
        }
        counts
    }

    fn answer(world: &World, root: NodeId) -> String {
        names(&world.ask(root, &question(1)).1)
    }

    fn ttl_s(world: &World, root: NodeId) -> u32 {
        world.ask(root, &question(1)).0.ttl_s
    }

    /// A policy over pools of these members.
    fn over(policy: Policy, pools: &[&str]) -> (World, NodeId) {
        let mut world = World::default();
        let children: Vec<NodeId> = pools.iter().map(|members| world.pool(members)).collect();
        let root = world.policy(policy, &children);
        (world, root)
    }

    fn latency(tolerance_ms: u64) -> Policy {
        Policy::Latency { tolerance: Duration::from_millis(tolerance_ms) }
    }

    #[test]
    fn failover_takes_the_first_child_of_the_best_grade() {
        use Grade::{Degraded, Empty, Healthy};
        const HEALTHY: &str = "up";
        const DEGRADED: &str = "up down down";
        const EMPTY: &str = "down";
        for (pools, taken, grade) in [
            ([HEALTHY, HEALTHY, HEALTHY], "p0m0", Healthy),
            ([DEGRADED, HEALTHY, HEALTHY], "p1m0", Healthy),
            ([EMPTY, DEGRADED, HEALTHY], "p2m0", Healthy),
            ([EMPTY, DEGRADED, DEGRADED], "p1m0", Degraded),
            ([DEGRADED, DEGRADED, EMPTY], "p0m0", Degraded),
            ([EMPTY, EMPTY, DEGRADED], "p2m0", Degraded),
            ([EMPTY, EMPTY, EMPTY], "", Empty),
        ] {
            let (world, root) = over(Policy::Failover, &pools);
            let (selection, picks) = world.ask(root, &question(4));
            assert_eq!((names(&picks).as_str(), selection.grade), (taken, grade), "{pools:?}");
        }
    }

    #[test]
    fn a_pool_of_nobody_but_those_whom_a_protection_keeps_is_left_for_any_that_lives_and_answered_where_none_does() {
        let rules = [Policy::Failover, Policy::Weighted(vec![3, 1]), Policy::Weighted(vec![3, 0]), Policy::RoundRobin { pick: 8 }];
        for policy in rules.into_iter().chain([latency(10_000)]) {
            for (other, taken) in [("up", "p1m0"), ("up down down", "p1m0"), ("up*0 down", "p1m0"), ("down", "p0m0")] {
                let (mut world, root) = over(policy.clone(), &["down", other]);
                world.keep(NodeId::new(0), "down@7");
                assert_eq!(answers(&world, root).into_keys().collect::<Vec<_>>(), [taken], "{policy:?} over {other}");
            }
        }
        let (mut world, root) = over(Policy::Failover, &["down", "up"]);
        world.keep(NodeId::new(0), "down@7");
        assert_eq!(ttl_s(&world, root), 7, "the first could be back then");
    }

    #[test]
    fn weighted_draws_among_the_children_of_the_best_grade() {
        let (world, root) = over(Policy::Weighted(vec![3, 1, 9]), &["up", "up", "up down down"]);
        let counts = answers(&world, root);
        assert_eq!(counts.keys().collect::<Vec<_>>(), ["p0m0", "p1m0"]);
        assert!((700..800).contains(&counts["p0m0"]), "{counts:?}");
    }

    #[test]
    fn a_standby_child_is_taken_only_when_all_others_are_empty() {
        let weights = || Policy::Weighted(vec![0, 1, 2, 0]);
        let (world, root) = over(weights(), &["up", "up down down", "down", "up"]);
        assert_eq!(answers(&world, root).into_keys().collect::<Vec<_>>(), ["p1m0"]);
        let (world, root) = over(weights(), &["up", "down", "down", "up"]);
        let counts = answers(&world, root);
        assert_eq!(counts.keys().collect::<Vec<_>>(), ["p0m0", "p3m0"]);
        assert!((430..570).contains(&counts["p0m0"]), "{counts:?}");
        let (world, root) = over(weights(), &["up down down", "down", "down", "up"]);
        assert_eq!(answers(&world, root).into_keys().collect::<Vec<_>>(), ["p3m0"]);
    }

    #[test]
    fn weights_of_zero_only_are_drawn_evenly() {
        let (world, root) = over(Policy::Weighted(vec![0, 0]), &["up", "up"]);
        assert!((430..570).contains(&answers(&world, root)["p1m0"]));
    }

    #[test]
    fn round_robin_answers_all_children_of_the_best_grade_rotated() {
        let (world, root) = over(Policy::RoundRobin { pick: 8 }, &["up", "down", "up", "up", "up down down"]);
        let counts = answers(&world, root);
        assert_eq!(counts.keys().collect::<Vec<_>>(), ["p0m0 p2m0 p3m0", "p2m0 p3m0 p0m0", "p3m0 p0m0 p2m0"]);
        assert!(counts.values().all(|count| (270..400).contains(count)), "{counts:?}");
    }

    #[test]
    fn round_robin_stops_at_its_pick() {
        let mut world = World::default();
        let all = |pool: &mut super::super::Pool| (pool.choose, pool.pick) = (Choose::All, 8);
        let pools = [world.pool_of("up up", all), world.pool_of("up up", all)];
        let root = world.policy(Policy::RoundRobin { pick: 3 }, &pools);
        assert_eq!(answers(&world, root).into_keys().collect::<Vec<_>>(), ["p0m0 p0m1 p1m0", "p1m0 p1m1 p0m0"]);
        let outer = world.policy(Policy::RoundRobin { pick: 2 }, &[root]);
        assert!(answers(&world, outer).keys().all(|names| names.len() == "p0m0 p0m1".len()));
    }

    #[test]
    fn round_robin_over_two_ways_to_one_pool_answers_its_member_once() {
        let mut world = World::default();
        let pool = world.pool("up");
        let same = world.policy(Policy::Failover, &[pool]);
        let root = world.policy(Policy::RoundRobin { pick: 8 }, &[pool, same]);
        assert_eq!(answer(&world, root), "p0m0");
    }

    #[test]
    fn latency_draws_evenly_among_the_near() {
        let (world, root) = over(latency(10), &["up~30", "up~20", "up~31", "up", "up~5 down~5 down~5"]);
        let counts = answers(&world, root);
        assert_eq!(counts.keys().collect::<Vec<_>>(), ["p0m0", "p1m0"], "30 ms is within 10 ms of 20 ms, 31 ms is not");
        assert!((430..570).contains(&counts["p0m0"]), "{counts:?}");
    }

    #[test]
    fn latency_takes_the_first_child_when_nothing_is_known() {
        let (world, root) = over(latency(10), &["down", "up", "up"]);
        assert_eq!(answers(&world, root).into_keys().collect::<Vec<_>>(), ["p1m0"]);
    }

    #[test]
    fn the_latency_of_a_policy_is_that_of_what_it_would_take() {
        let mut world = World::default();
        let (near, far, middle) = (world.pool("up~1 down down"), world.pool("up~90"), world.pool("up~40"));
        let fallen_over = world.policy(Policy::Failover, &[near, far]);
        let root = world.policy(latency(0), &[fallen_over, middle]);
        assert_eq!(answer(&world, root), "p2m0");
        world.observe(near, "up~1 up~1 up~1");
        assert_eq!(&answer(&world, root)[..2], "p0");
    }

    #[test]
    fn geo_goes_by_the_subnet_and_else_by_the_resolver() {
        let mut world = World::default();
        let pools = [world.pool("up"), world.pool("up"), world.pool("up")];
        let policy = world.geo(&[("192.0.2.0/24", 0), ("198.51.100.0/24", 1)], 2, true);
        let root = world.policy(policy, &pools);
        for (question, taken, by_subnet) in [
            (question(1), "p0m0", false),
            (question_for("198.51.100.0/24", 1), "p1m0", true),
            (question_for("203.0.113.0/24", 1), "p2m0", true),
        ] {
            let (selection, picks) = world.ask(root, &question);
            assert_eq!(names(&picks), taken);
            assert_eq!(selection.scope > 0, by_subnet, "an answer by the resolver's address is for all its clients");
        }
    }

    #[test]
    fn geo_falls_over_to_the_next_place_that_holds() {
        let mut world = World::default();
        let pools = [world.pool("down"), world.pool("up"), world.pool("up")];
        let policy = world.geo(&[("192.0.2.0/25", 0), ("192.0.2.0/24", 1)], 2, true);
        let root = world.policy(policy, &pools);
        assert_eq!(answer(&world, root), "p1m0");
        world.observe(pools[1], "down");
        assert_eq!(answer(&world, root), "p2m0");
        world.observe(pools[0], "up");
        assert_eq!(answer(&world, root), "p0m0");
    }

    #[test]
    fn geo_that_ignores_subnets_asks_where_the_resolver_is_and_answers_for_all() {
        let mut world = World::default();
        let pools = [world.pool("up"), world.pool("up")];
        let policy = world.geo(&[("192.0.2.0/24", 0)], 1, false);
        let root = world.policy(policy, &pools);
        let (selection, picks) = world.ask(root, &question_for("203.0.113.0/24", 1));
        assert_eq!((names(&picks).as_str(), selection.scope), ("p0m0", 0));
    }

    #[test]
    fn the_scope_is_the_narrowest_of_all_that_was_looked_at_and_of_nothing_else() {
        let mut world = World::default();
        let (a, b) = (world.pool("up"), world.pool("up"));
        let wide = world.geo(&[("198.0.0.0/8", 0)], 1, true);
        let wide = world.policy(wide, &[a, b]);
        let narrow = world.geo(&[("198.51.100.0/24", 0)], 1, true);
        let narrow = world.policy(narrow, &[a, b]);
        let client = |bits| question_for("198.51.100.0/24", bits);
        let scope = |world: &World, root| world.ask(root, &client(7)).0.scope;

        let draw = world.policy(Policy::Weighted(vec![1, 1]), &[wide, narrow]);
        assert!((0..50).all(|bits| world.ask(draw, &client(bits)).0.scope == 24), "whatever the dice");
        let first = world.policy(Policy::Failover, &[wide, narrow]);
        assert_eq!(scope(&world, first), 8, "nobody looked at the second child");
        let standby = world.policy(Policy::Weighted(vec![1, 0]), &[wide, narrow]);
        assert_eq!(scope(&world, standby), 8, "nobody looked at the standby");
        assert_eq!(world.ask(first, &question(7)).0.scope, 0, "no subnet, no scope");
    }

    #[test]
    fn failover_that_looks_on_is_as_narrow_as_all_it_looked_at() {
        let mut world = World::default();
        let (sick, well) = (world.pool("up down down"), world.pool("up"));
        let wide = world.geo(&[("198.0.0.0/8", 0)], 1, true);
        let wide = world.policy(wide, &[sick, well]);
        let narrow = world.geo(&[("198.51.100.0/24", 0)], 0, true);
        let narrow = world.policy(narrow, &[well]);
        let sick_geo = world.geo(&[("198.51.0.0/16", 0)], 0, true);
        let sick_geo = world.policy(sick_geo, &[sick]);
        let root = world.policy(Policy::Failover, &[sick_geo, wide, narrow]);
        let (selection, picks) = world.ask(root, &question_for("198.51.100.0/24", 1));
        assert_eq!((names(&picks).as_str(), selection.scope), ("p1m0", 8), "one outcome everywhere is no reason to be narrow");
    }

    #[test]
    fn a_child_that_is_worse_only_here_narrows_the_scope_to_here() {
        let healthy_first = [Policy::Weighted(vec![1, 1]), Policy::RoundRobin { pick: 8 }, latency(10)];
        let orders = healthy_first.into_iter().map(|policy| (policy, false)).chain([(Policy::Failover, true)]);
        for (policy, geo_is_first) in orders {
            let mut world = World::default();
            let (sick, well) = (world.pool("up down down"), world.pool("up"));
            let geo = world.geo(&[("203.0.113.0/24", 1)], 0, true);
            let geo = world.policy(geo, &[sick, well]);
            let root = world.policy(policy, &if geo_is_first { [geo, well] } else { [well, geo] });
            let (here, there) = (question_for("203.0.112.0/24", 1), question_for("203.0.113.0/24", 1));
            assert_eq!([&here, &there].map(|client| world.ask(geo, client).0.grade), [Grade::Degraded, Grade::Healthy]);
            assert_eq!(world.ask(root, &here).0.scope, 24);
        }
    }

    #[test]
    fn a_failover_is_as_near_as_the_child_it_takes_and_no_nearer() {
        let mut world = World::default();
        let [far, near, between] = ["up~50 down down", "up~5 down down", "up~20 down down"].map(|members| world.pool(members));
        let failover = world.policy(Policy::Failover, &[far, near]);
        let root = world.policy(latency(10), &[failover, between]);
        assert_eq!(answer(&world, root), "p2m0");
    }

    #[test]
    fn the_ttl_is_the_least_that_any_answered_member_holds() {
        let mut world = World::default();
        let pool = world.pool_of("up@15 up@9 up@12", |pool| (pool.choose, pool.pick) = (Choose::All, 2));
        assert_eq!(ttl_s(&world, pool), 9);
        let one = world.pool("up@15");
        assert_eq!(ttl_s(&world, one), 15);
        let forever = world.pool("up");
        assert_eq!(ttl_s(&world, forever), u32::MAX);
        let unknown = world.pool("unknown");
        assert_eq!(ttl_s(&world, unknown), 0);
    }

    #[test]
    fn a_member_that_may_return_shortens_the_answer_of_a_degraded_pool_only() {
        let mut world = World::default();
        let healthy = world.pool("up@15 down@2");
        assert_eq!(ttl_s(&world, healthy), 15);
        let degraded = world.pool("up@15 down@4 down@2");
        assert_eq!(ttl_s(&world, degraded), 2);
        let stood_in = world.pool("up*0@15 down@3");
        assert_eq!(ttl_s(&world, stood_in), 3);
        let stood_in_for_one_family = world.pool("up*0@15 up*5@15/6 down@3/4");
        assert_eq!(ttl_s(&world, stood_in_for_one_family), 3);
        let lost_one_family = world.pool("up@15/6 down@3/4");
        assert_eq!(ttl_s(&world, lost_one_family), 3, "an answer without members, until one returns");
    }

    #[test]
    fn a_preferred_child_that_may_return_shortens_the_answer() {
        for (policy, pools, expected, why) in [
            (Policy::Failover, ["down@7", "up@20"], 7, "the primary may return"),
            (Policy::Failover, ["up@20", "down@7"], 20, "the backup's return changes nothing"),
            (Policy::Failover, ["up@20 down@3 down@8", "up@20"], 3, "a degraded primary may get healthy"),
            (Policy::Failover, ["up@20 down@9 down@9", "up@20 down@3 down@4"], 3, "a backup may get better than the primary"),
            (Policy::Weighted(vec![1, 1]), ["up@20", "down@7"], 20, "its share comes back, and the answer stays good"),
            (Policy::Weighted(vec![1, 0]), ["down@7", "up@20"], 7, "it ends the standby"),
            (Policy::Weighted(vec![1, 0]), ["up@20", "down@7"], 20, "a standby's return changes nothing"),
            (Policy::Weighted(vec![1, 1]), ["up@20 down@8 down@8", "down@7"], 7, "a healthy one would displace the degraded"),
            (Policy::RoundRobin { pick: 8 }, ["up@20", "down@7"], 20, "it joins, and the answer stays good"),
            (latency(10), ["up@20~30", "down@7"], 7, "it may be nearer"),
        ] {
            let (world, root) = over(policy.clone(), &pools);
            assert_eq!(ttl_s(&world, root), expected, "{policy:?} over {pools:?}: {why}");
        }
    }

    #[test]
    fn a_nested_ttl_clamps_on_the_way_up() {
        let mut world = World::default();
        let (short, long) = (world.pool("up@2"), world.pool("up@90"));
        let range = Some(TtlRange { min_s: 5, max_s: 30 });
        let raised = world.policy_with_ttl(Policy::Failover, &[short], range);
        let cut = world.policy_with_ttl(Policy::Failover, &[long], range);
        let root = world.policy(Policy::RoundRobin { pick: 8 }, &[raised, cut]);
        assert_eq!([raised, cut, root].map(|node| ttl_s(&world, node)), [5, 30, 5]);
    }

    #[test]
    fn a_pool_without_the_family_is_taken_all_the_same_and_answers_nothing() {
        let (world, root) = over(Policy::Failover, &["up/6", "up"]);
        let (selection, picks) = world.ask(root, &question(1));
        assert_eq!((selection.grade, picks.len()), (Grade::Healthy, 0));
        let aaaa = Question { family: Family::V6, ..question(1) };
        assert_eq!(names(&world.ask(root, &aaaa).1), "p0m0");
    }

    #[test]
    fn health_ignored_takes_the_first_child_that_has_members() {
        let (world, root) = over(Policy::Failover, &["off", "down down", "up"]);
        let (selection, picks) = world.ask_with(root, &question(1), Health::Ignored);
        assert_eq!((selection.grade, &names(&picks)[..2]), (Grade::Healthy, "p1"));
    }

    #[test]
    fn the_last_known_members_come_from_where_there_were_some() {
        let (mut world, root) = over(Policy::Failover, &["down", "up down"]);
        world.observe(NodeId::new(1), "down down");
        assert!(world.ask(root, &question(1)).1.is_empty());
        let (selection, picks) = world.ask_with(root, &question(1), Health::LastKnown);
        assert_eq!((selection.grade, names(&picks).as_str()), (Grade::Healthy, "p1m0"));
        let (never, root) = over(Policy::Failover, &["down"]);
        assert_eq!(never.ask_with(root, &question(1), Health::LastKnown).0.grade, Grade::Empty);
    }

    #[test]
    fn draws_of_nested_nodes_are_independent() {
        let mut world = World::default();
        let pools = [world.pool("up up"), world.pool("up up")];
        let root = world.policy(Policy::Weighted(vec![1, 1]), &pools);
        let counts = answers(&world, root);
        assert_eq!(counts.len(), 4);
        assert!(counts.values().all(|count| (190..310).contains(count)), "{counts:?}");
        let even = || Policy::Weighted(vec![1, 1]);
        let singles = [(); 4].map(|()| world.pool("up"));
        let pairs = [world.policy(even(), &singles[..2]), world.policy(even(), &singles[2..])];
        let root = world.policy(even(), &pairs);
        let counts = answers(&world, root);
        assert_eq!(counts.len(), 4, "a policy below a policy draws for itself: {counts:?}");
    }

    #[test]
    fn a_policy_without_children_is_empty() {
        for policy in [Policy::Failover, Policy::Weighted(vec![]), Policy::RoundRobin { pick: 8 }, latency(1)] {
            let (world, root) = over(policy, &[]);
            assert_eq!(world.ask(root, &question(1)).0, Selection { grade: Grade::Empty, ttl_s: u32::MAX, scope: 0 });
        }
    }

    /// What a policy made of its children, and who was taken.
    fn fates(world: &World, root: NodeId) -> Vec<String> {
        let (_, _, steps) = world.explain(root, &question(1));
        let fates = steps.iter().filter_map(|step| match step {
            Step::Surveyed { depth: 0, fate, survey, .. } => Some(format!("{fate}{}", if survey.is_none() { ", unseen" } else { "" })),
            Step::Surveyed { .. }
            | Step::Located { .. }
            | Step::Took { .. }
            | Step::Weighed { .. }
            | Step::Timed { .. }
            | Step::AllDown { .. }
            | Step::Answered { .. }
            | Step::Denied { .. } => None,
        });
        fates.collect()
    }

    #[test]
    fn a_trace_tells_what_became_of_every_child() {
        let degraded = "up down down";
        for (policy, pools, expected) in [
            (
                Policy::Failover,
                vec!["down", degraded, "up", "up"],
                vec!["nothing usable", "a better one is there", "taken", "one before it is as good, unseen"],
            ),
            (Policy::Failover, vec![degraded, degraded], vec!["taken", "one before it is as good"]),
            (
                Policy::Weighted(vec![3, 1, 1, 0]),
                vec!["up", "up", "down", "up"],
                vec!["chance 75.0%", "chance 25.0%", "nothing usable", "standby, unseen"],
            ),
            (Policy::Weighted(vec![1, 0]), vec!["down", "up"], vec!["nothing usable", "taken"]),
            (Policy::RoundRobin { pick: 8 }, vec!["up", degraded, "up"], vec!["taken", "a better one is there", "taken"]),
            (latency(10), vec!["up~5", "up~50", "up", "up~15"], vec!["chance 50.0%", "farther away", "farther away", "chance 50.0%"]),
        ] {
            let (world, root) = over(policy.clone(), &pools);
            assert_eq!(fates(&world, root), expected, "{policy:?} over {pools:?}");
        }
    }

    #[test]
    fn a_trace_of_geo_tells_the_place_and_who_is_not_for_it() {
        let mut world = World::default();
        let pools = [world.pool("up"), world.pool("up"), world.pool("up")];
        let policy = world.geo(&[("198.51.100.0/24", 2), ("192.0.2.0/24", 1)], 0, true);
        let root = world.policy(policy, &pools);
        assert_eq!(fates(&world, root), ["taken", "one before it is as good, unseen", "not for this client's place, unseen"]);
        let (_, _, steps) = world.explain(root, &question(1));
        let resolver = question(1).resolver;
        assert_eq!(steps[0], Step::Located { node: root, depth: 0, addr: resolver, by_subnet: false, scope: 0 });
    }

    #[test]
    fn a_trace_tells_the_chance_of_members_and_the_reasons_of_the_ttl() {
        let mut world = World::default();
        let (sick, well) = (world.pool("down@7"), world.pool("up*3@20 up*1@30"));
        let root = world.policy_with_ttl(Policy::Failover, &[sick, well], Some(TtlRange { min_s: 10, max_s: 30 }));
        let (_, picks, steps) = world.explain(root, &question(1));
        let chosen = picks.as_slice()[0].member;
        let pool = PoolId::new(1);
        let weighed = |member, chance_ppm, holds_s| Step::Weighed { pool, depth: 1, member, chance_ppm, holds_s, chosen: chosen == member };
        let members_s = if chosen == 0 { 20 } else { 30 };
        assert_eq!(
            steps[2..],
            [
                Step::Took { node: root, depth: 0, child: well },
                weighed(0, 750_000, 20),
                weighed(1, 250_000, 30),
                Step::Timed { node: well, depth: 1, members_s, returns_s: u32::MAX, ttl_s: members_s },
                Step::Timed { node: root, depth: 0, members_s, returns_s: 7, ttl_s: 10 },
            ]
        );
    }

    #[test]
    fn who_listens_changes_nothing() {
        let (world, root) = over(Policy::Weighted(vec![3, 1]), &["up up up", "up up"]);
        for bits in 0..100 {
            let (selection, picks, _) = world.explain(root, &question(bits));
            assert_eq!((selection, picks), world.ask(root, &question(bits)));
        }
    }
}
