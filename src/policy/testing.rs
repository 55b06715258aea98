//! Graphs in a few words, for tests.
//!
//! Members are written as `STATUS[*WEIGHT][@HOLDS][~LATENCY][/FAMILY]`, separated by spaces, in this order: `up`, `down`,
//! `unknown`, or `off` (disabled); weight 1, held for good (`unknown`: not at all), no latency and both families unless
//! said otherwise. `"up*3@15~12 down/4"` is one member of weight 3 that is up for at least 15 s and 12 ms away, and one
//! that is down and has an IPv4 address only. The members of pool p are named m0, m1, ... and live at 10.p.0.0,
//! 10.p.0.1, ... and at 2001:db8:p::0, ...

use super::{
    Choose, Conduct, Graph, Health, Judgement, Member, MinHealthy, Node, Picks, Policy, Pool, PoolView, Question, Selection, Step,
    TtlRange, evaluate,
};
use crate::geo::{Atlas, GeoTable, Match, Places, Rule};
use crate::health::{Status, Verdict};
use crate::ids::{Id, NodeId, PoolId, Table};
use crate::prefix::{Family, Prefix};
use crate::rng::Dice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// A graph with live views.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) graph: Graph,
    pub(crate) pools: Table<PoolId, Arc<PoolView>>,
}

impl World {
    /// Adds a pool that picks one by weight.
    pub(crate) fn pool(&mut self, members: &str) -> NodeId {
        self.pool_of(members, |_| ())
    }

    /// Adds a pool that `adapt` changes first.
    pub(crate) fn pool_of(&mut self, members: &str, adapt: impl FnOnce(&mut Pool)) -> NodeId {
        let (mut pool, verdicts) = parse(members, self.graph.pools.len());
        adapt(&mut pool);
        self.pools.push(Arc::new(PoolView::prepare(&pool, &verdicts, None)));
        let id = self.graph.pools.push(pool);
        self.graph.nodes.push(Node::Pool(id))
    }

    /// Gives the members of a pool new verdicts; weights and families stay.
    pub(crate) fn observe(&mut self, node: NodeId, members: &str) {
        let Node::Pool(id) = self.graph.nodes[node] else { panic!("not a pool") };
        let (_, verdicts) = parse(members, id.index());
        self.pools[id] = Arc::new(PoolView::prepare(&self.graph.pools[id], &verdicts, Some(&self.pools[id])));
    }

    /// Gives the members of a pool new verdicts, and lets a protection keep those that are down.
    pub(crate) fn keep(&mut self, node: NodeId, members: &str) {
        let Node::Pool(id) = self.graph.nodes[node] else { panic!("not a pool") };
        let (_, verdicts) = parse(members, id.index());
        let keep = |verdict: Verdict| Judgement { kept: verdict.status == Status::Down, ..verdict.into() };
        let judgements: Vec<[Judgement; 2]> = verdicts.into_iter().map(|both| both.map(keep)).collect();
        self.pools[id] = Arc::new(PoolView::prepare(&self.graph.pools[id], &judgements, None));
    }

    /// Adds a policy.
    pub(crate) fn policy(&mut self, policy: Policy, children: &[NodeId]) -> NodeId {
        self.policy_with_ttl(policy, children, None)
    }

    /// Adds a policy with a `ttl` of its own.
    pub(crate) fn policy_with_ttl(&mut self, policy: Policy, children: &[NodeId], ttl: Option<TtlRange>) -> NodeId {
        self.graph.nodes.push(Node::Policy { name: "policy".into(), policy, children: children.to_vec(), ttl })
    }

    /// A geo policy: each prefix goes to a child by position, everybody else to `default`.
    pub(crate) fn geo(&mut self, rules: &[(&str, u16)], default: u16, ecs: bool) -> Policy {
        let rule = |&(prefix, child): &(&str, u16)| {
            let places = Places { cidrs: vec![prefix.parse().expect("a prefix")], ..Places::default() };
            Rule { when: Match(vec![places]), child }
        };
        let rules: Vec<Rule> = rules.iter().map(rule).collect();
        let table = self.graph.geo.push(GeoTable::compile(&rules, default, &Atlas::default()));
        Policy::Geo { table, ecs }
    }

    /// Decides, with live health.
    pub(crate) fn ask(&self, root: NodeId, question: &Question) -> (Selection, Picks) {
        self.ask_with(root, question, Health::Live)
    }

    /// Decides.
    pub(crate) fn ask_with(&self, root: NodeId, question: &Question, health: Health) -> (Selection, Picks) {
        let mut picks = Picks::new();
        let selection = evaluate(&self.graph, &self.pools, root, question, health, &mut picks, &mut ());
        (selection, picks)
    }

    /// Decides, and tells how.
    pub(crate) fn explain(&self, root: NodeId, question: &Question) -> (Selection, Picks, Vec<Step>) {
        let (mut picks, mut steps) = (Picks::new(), Vec::new());
        let selection = evaluate(&self.graph, &self.pools, root, question, Health::Live, &mut picks, &mut steps);
        (selection, picks, steps)
    }
}

/// An A question from 192.0.2.53 without a subnet.
pub(crate) fn question(bits: u64) -> Question {
    Question { family: Family::V4, resolver: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)), subnet: None, dice: Dice(bits) }
}

/// An A question for a client in `subnet`.
pub(crate) fn question_for(subnet: &str, bits: u64) -> Question {
    let subnet: Prefix = subnet.parse().expect("a prefix");
    Question { subnet: Some(subnet), ..question(bits) }
}

/// The answer in short: "p0m1 p2m0" is the second member of the first pool, then the first of the third.
pub(crate) fn names(picks: &Picks) -> String {
    let names: Vec<String> = picks.iter().map(|pick| format!("p{}m{}", pick.pool.index(), pick.member)).collect();
    names.join(" ")
}

/// A pool and the verdicts on it.
pub(crate) fn pool(members: &str) -> (Pool, Vec<[Verdict; 2]>) {
    parse(members, 0)
}

/// The prepared view of a pool.
pub(crate) fn view(members: &str) -> PoolView {
    let (pool, verdicts) = pool(members);
    PoolView::prepare(&pool, &verdicts, None)
}

fn parse(members: &str, pool: usize) -> (Pool, Vec<[Verdict; 2]>) {
    let pool = u16::try_from(pool).expect("few pools");
    let (members, verdicts) = members.split_whitespace().zip(0u16..).map(|(text, index)| member(text, pool, index)).unzip();
    let pool = Pool {
        name: format!("p{pool}").into(),
        members,
        choose: Choose::Weighted,
        pick: 1,
        min_healthy: MinHealthy::Percent(50),
        conduct: Conduct::default(),
    };
    (pool, verdicts)
}

fn member(text: &str, pool: u16, index: u16) -> (Member, [Verdict; 2]) {
    let (text, family) = cut(text, '/');
    let (text, latency_ms) = cut(text, '~');
    let (text, holds_s) = cut(text, '@');
    let (status, weight) = cut(text, '*');
    let v4 = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | u32::from(pool) << 16 | u32::from(index)));
    let v6 = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, pool, 0, 0, 0, 0, index));
    let member = Member {
        name: format!("m{index}").into(),
        site: None,
        weight: weight.map_or(1, number),
        addresses: [Some(v4).filter(|_| family != Some("6")), Some(v6).filter(|_| family != Some("4"))],
        checks: [Vec::new(), Vec::new()],
        conditions: [None, None],
        calculated: [Vec::new(), Vec::new()],
        disabled: status == "off",
    };
    let unheld = match status {
        "up" => Verdict::UNMONITORED,
        "down" | "off" => Verdict::DISABLED,
        "unknown" => Verdict::UNKNOWN,
        other => panic!("no status: {other}"),
    };
    debug_assert!(unheld.status != Status::Unknown || holds_s.is_none(), "nothing unknown holds");
    let holds = holds_s.map_or(unheld.holds, |seconds| Duration::from_secs(u64::from(number(seconds))));
    let latency = latency_ms.map(|ms| Duration::from_millis(u64::from(number(ms))));
    (member, [Verdict { holds, latency, ..unheld }; 2])
}

fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(text, rest)| (text, Some(rest)))
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}
