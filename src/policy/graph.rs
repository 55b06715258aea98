//! Pools and policies, resolved and acyclic.

use crate::geo::GeoTable;
use crate::health::Condition;
use crate::ids::{GeoTableId, Id, NodeId, PoolId, SiteId, SteerId, Table, TargetId};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How a pool chooses among its usable members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choose {
    /// A draw without replacement, each with probability weight / sum of weights.
    Weighted,
    /// All, rotated by a uniform draw.
    RoundRobin,
    /// All, in config order.
    All,
}

/// How much of a pool must be usable for it to be healthy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MinHealthy {
    /// Percent of the configured positive weight, rounded up: `0..=100`.
    Percent(u8),
    /// Members.
    Count(u32),
}

/// An entry of a pool that may appear in an answer.
#[derive(Clone, Debug)]
pub struct Member {
    /// Unique in its pool.
    pub name: Arc<str>,
    /// Where it stands.
    pub site: Option<SiteId>,
    /// `0..=1_000_000`; 0 is a standby, used only when no positive weight is usable.
    pub weight: u32,
    /// Its addresses, by [`crate::prefix::Family::index`]; at least one.
    pub addresses: [Option<IpAddr>; 2],
    /// The targets on which each address depends: all must pass, unless `conditions` says otherwise. None: always up.
    pub checks: [Vec<TargetId>; 2],
    /// What must hold for each address to be up, where that is something else than all of its checks.
    pub conditions: [Option<Condition>; 2],
    /// What its calculated monitors come to at each address, by their names. All of it is in `conditions`: this is for people who ask.
    pub calculated: [Vec<(Arc<str>, Condition)>; 2],
    /// Never answered, never probed.
    pub disabled: bool,
}

/// Members that are answered together.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Unique among pools and policies.
    pub name: Arc<str>,
    /// In config order; at most 65,535.
    pub members: Vec<Member>,
    /// How members are chosen.
    pub choose: Choose,
    /// How many members an answer holds at most: `1..=`[`crate::policy::Picks::MAX`].
    pub pick: u16,
    /// When the pool counts as healthy.
    pub min_healthy: MinHealthy,
    /// How members that were down come back, and what is made of slow ones.
    pub conduct: Conduct,
}

/// How cautious a pool is with members that are up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Conduct {
    /// The share of a member that came back grows from a tenth to all of it over this time; zero: all at once.
    pub slow_start: Duration,
    /// When a member that was down is answered again.
    pub failback: Failback,
    /// A member is slow when its latency exceeds that of the median of its siblings by this many percent; none is when absent.
    pub slow_above_percent: Option<u16>,
}

/// When a member that was down is answered again, while others of its pool, or other pools, can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Failback {
    /// As soon as it is up.
    #[default]
    Auto,
    /// When it has been up for so long.
    After(Duration),
    /// When an operator says so.
    Manual,
}

/// What no removal may break, be it by probes or by an operator. Counted for each family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protection {
    /// Its name in the config.
    pub name: Arc<str>,
    /// The pools whose members it counts, together.
    pub pools: Vec<PoolId>,
    /// So many members are never fewer.
    pub min_members: u32,
    /// They stand in so many sites at least.
    pub min_sites: u32,
    /// Never more than so many percent of the members are removed within so long; always at least one may be.
    pub max_removed: Option<(u8, Duration)>,
}

/// What a policy does with its children.
#[derive(Clone, Debug)]
pub enum Policy {
    /// The first child of the best grade.
    Failover,
    /// One child of the best grade, drawn by these weights (one per child); 0 is a standby.
    Weighted(Vec<u32>),
    /// All children of the best grade, rotated by a uniform draw, up to `pick` members.
    RoundRobin {
        /// Members in an answer at most.
        pick: u16,
    },
    /// The children that the table names for the client's place, in order.
    Geo {
        /// The compiled rules.
        table: GeoTableId,
        /// False when the policy looks at the resolver's address only (`ecs: ignore`).
        ecs: bool,
    },
    /// The children whose latency is within `tolerance` of the best, drawn uniformly.
    Latency {
        /// How much worse than the best still counts as equal.
        tolerance: Duration,
    },
}

/// The TTLs a node lets through, in seconds: `min <= max`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TtlRange {
    /// Never below.
    pub min_s: u32,
    /// Never above.
    pub max_s: u32,
}

impl TtlRange {
    /// The TTL that may be handed out for a decision that is sure to hold for `nominal_s` seconds: never above the greater of
    /// that and `min_s`.
    pub fn clamp(self, nominal_s: u32) -> u32 {
        nominal_s.min(self.max_s).max(self.min_s)
    }
}

/// A node of the graph.
#[derive(Clone, Debug)]
pub enum Node {
    /// A pool.
    Pool(PoolId),
    /// A policy over nodes with smaller ids.
    Policy {
        /// Its name in the config.
        name: Arc<str>,
        /// What it does.
        policy: Policy,
        /// In config order; for `Geo` the table's numbers index this list.
        children: Vec<NodeId>,
        /// Its own `ttl`, where written.
        ttl: Option<TtlRange>,
    },
}

/// What is answered when the whole tree below a steered name is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastResort {
    /// NODATA with SOA.
    NoData,
    /// SERVFAIL.
    ServFail,
    /// As if all were healthy.
    ServeAll,
    /// The last usable sets there were.
    LastKnown,
    /// The usable members of this pool; NODATA when it is empty too.
    Fallback(NodeId),
}

/// What a steered RRset points at.
#[derive(Clone, Debug)]
pub struct Steer {
    /// The node that decides.
    pub root: NodeId,
    /// The TTLs handed out: the root's own `ttl`, or the default.
    pub ttl: TtlRange,
    /// What is answered when all is down.
    pub on_all_down: LastResort,
    /// The TTL of that answer, in seconds.
    pub on_all_down_ttl_s: u32,
    /// By [`crate::prefix::Family::index`]: whether any pool below has a member of the family. A denial of a family that
    /// none has may be kept long.
    pub families: [bool; 2],
}

/// Pools, policies and what steered names point at. Children have smaller ids than their parents.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All pools.
    pub pools: Table<PoolId, Pool>,
    /// All nodes, children first.
    pub nodes: Table<NodeId, Node>,
    /// All roots that zones name.
    pub steers: Table<SteerId, Steer>,
    /// All compiled geographies, shared by content.
    pub geo: Table<GeoTableId, GeoTable>,
    /// The names of the sites.
    pub sites: Table<SiteId, Arc<str>>,
    /// What no removal may break.
    pub protections: Vec<Protection>,
}

impl Graph {
    /// By [`crate::prefix::Family::index`]: whether any pool at or below `root` has a member of the family.
    pub fn families(&self, root: NodeId) -> [bool; 2] {
        let mut families: Table<NodeId, [bool; 2]> = Table::new();
        // Children come first, so each node is looked at once, however often it is shared.
        for (_, node) in self.nodes.iter().take_while(|(id, _)| *id <= root) {
            families.push([0, 1].map(|family| match node {
                Node::Pool(pool) => self.pools[*pool].members.iter().any(|member| member.addresses[family].is_some()),
                Node::Policy { children, .. } => children.iter().any(|&child| families[child][family]),
            }));
        }
        families[root]
    }

    /// How many nodes a survey of `root` visits at most, counting a node again for each way that leads to it. A query
    /// pays a few times this; the count saturates.
    pub fn visits(&self, root: NodeId) -> u64 {
        let mut visits: Vec<u64> = Vec::with_capacity(self.nodes.len());
        for node in self.nodes.rows() {
            let below = match node {
                Node::Pool(_) => 0,
                Node::Policy { children, .. } => children.iter().fold(0u64, |sum, child| sum.saturating_add(visits[child.index()])),
            };
            visits.push(below.saturating_add(1));
        }
        visits[root.index()]
    }

    /// The pools whose latency somebody reads: those below a policy that chooses by it, and those that compare their members
    /// by it. For all others it is of no use to a query.
    pub fn timed(&self) -> Table<PoolId, bool> {
        let mut pools: Table<PoolId, bool> = self.pools.rows().iter().map(|pool| pool.conduct.slow_above_percent.is_some()).collect();
        let mut nodes = vec![false; self.nodes.len()];
        // Parents come after their children.
        for (id, node) in self.nodes.rows().iter().enumerate().rev() {
            match node {
                Node::Pool(pool) => pools[*pool] |= nodes[id],
                Node::Policy { policy, children, .. } => {
                    let is_timed = nodes[id] || matches!(policy, Policy::Latency { .. });
                    for child in children {
                        nodes[child.index()] |= is_timed;
                    }
                }
            }
        }
        pools
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    #[test]
    fn visits_count_every_way_to_a_node_and_saturate() {
        let mut world = World::default();
        let pool = world.pool("up");
        let pair = world.policy(Policy::Failover, &[pool, pool]);
        let top = world.policy(Policy::Failover, &[pair, pool, pair]);
        assert_eq!([pool, pair, top].map(|node| world.graph.visits(node)), [1, 3, 8]);
        let tower = (0..80).fold(top, |below, _| world.policy(Policy::Failover, &[below, below]));
        assert_eq!(world.graph.visits(tower), u64::MAX);
    }

    #[test]
    fn latency_is_read_below_a_policy_that_chooses_by_it_and_by_pools_that_compare_by_it() {
        let mut world = World::default();
        let (near, far, inner, plain) = (world.pool("up"), world.pool("up"), world.pool("up"), world.pool("up"));
        world.pool_of("up", |pool| pool.conduct.slow_above_percent = Some(100));
        let pair = world.policy(Policy::Failover, &[inner, plain]);
        let tolerance = Duration::from_millis(10);
        world.policy(Policy::Latency { tolerance }, &[near, far, pair]);
        let unread = world.pool("up");
        world.policy(Policy::Failover, &[unread, near]);
        assert_eq!(world.graph.timed().rows(), [true, true, true, true, true, false]);
    }

    #[test]
    fn a_ttl_is_never_above_the_greater_of_its_minimum_and_what_holds() {
        let range = TtlRange { min_s: 5, max_s: 30 };
        assert_eq!([0, 4, 5, 6, 30, 31, u32::MAX].map(|nominal_s| range.clamp(nominal_s)), [5, 5, 5, 6, 30, 30, 30]);
    }
}
