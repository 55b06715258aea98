//! What a decision will read, sent for before it is made.
//!
//! A decision waits for one memory after the other: what is steered leads to a node, a node to a pool, a pool to its members. [`Ahead`]
//! walks the same way a step at a time, and sends at each for where the next one begins; between two steps there is time to do so for
//! other queries. A hint only: nothing but time depends on it, so what it does not foresee - the pools that a draw compares, those of
//! a place - is left for the decision to wait for.

use super::{Graph, Node, Policy, PoolView};
use crate::ids::{GeoTableId, Id, NodeId, PoolId, SteerId, Table};
use crate::prefetch::prefetch;
use crate::prefix::{Family, Prefix};
use std::net::IpAddr;
use std::sync::Arc;

/// What was sent for last, and leads further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ahead {
    /// What a steered name points at.
    Steer(SteerId),
    /// A node.
    Node(NodeId),
    /// Where the view of a pool is.
    Pool(PoolId),
    /// That view.
    View(PoolId),
    /// Where a look-up of this address in a table of places begins.
    Place(GeoTableId, IpAddr),
}

/// Who will ask, as in [`super::Question`].
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// A or AAAA.
    pub family: Family,
    /// The address that asks.
    pub resolver: IpAddr,
    /// The client's prefix as the resolver announced it.
    pub subnet: Option<Prefix>,
}

impl Ahead {
    /// Sends for what `steer` points at.
    pub fn of(graph: &Graph, steer: SteerId) -> Ahead {
        prefetch(graph.steers.rows(), steer.index());
        Ahead::Steer(steer)
    }

    /// Sends for what this leads to; `None` when nothing more is foreseen.
    pub fn follow(self, graph: &Graph, pools: &Table<PoolId, Arc<PoolView>>, asker: &Asker) -> Option<Ahead> {
        match self {
            Ahead::Steer(steer) => Some(Ahead::of_node(graph, graph.steers[steer].root)),
            Ahead::Node(node) => Ahead::behind(graph, pools, node, asker),
            Ahead::Pool(pool) => {
                pools[pool].anticipate(asker.family);
                Some(Ahead::View(pool))
            }
            Ahead::View(pool) => {
                pools[pool].anticipate_members(asker.family);
                None
            }
            Ahead::Place(table, place) => {
                graph.geo[table].anticipate_ranges(place);
                None
            }
        }
    }

    fn of_node(graph: &Graph, node: NodeId) -> Ahead {
        prefetch(graph.nodes.rows(), node.index());
        Ahead::Node(node)
    }

    fn behind(graph: &Graph, pools: &Table<PoolId, Arc<PoolView>>, node: NodeId, asker: &Asker) -> Option<Ahead> {
        match &graph.nodes[node] {
            Node::Pool(pool) => {
                prefetch(pools.rows(), pool.index());
                Some(Ahead::Pool(*pool))
            }
            Node::Policy { policy: Policy::Geo { table, ecs }, .. } => {
                let place = asker.subnet.filter(|_| *ecs).map_or(asker.resolver, Prefix::addr);
                graph.geo[*table].anticipate(place);
                Some(Ahead::Place(*table, place))
            }
            Node::Policy { policy: Policy::Failover, children, .. } => Some(Ahead::of_node(graph, *children.first()?)),
            Node::Policy { policy: Policy::Weighted(_) | Policy::RoundRobin { .. } | Policy::Latency { .. }, .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    /// All that is foreseen of a decision of `node` for a client at 192.0.2.1 who asks for AAAA.
    fn way(world: &World, node: NodeId, subnet: Option<&str>) -> Vec<Ahead> {
        let subnet = subnet.map(|subnet| subnet.parse().expect("a prefix"));
        let asker = Asker { family: Family::V6, resolver: "192.0.2.1".parse().expect("an address"), subnet };
        let next = |ahead: &Ahead| ahead.follow(&world.graph, &world.pools, &asker);
        std::iter::successors(Some(Ahead::of_node(&world.graph, node)), next).collect()
    }

    #[test]
    fn a_decision_leads_to_the_members_of_the_first_pool_that_an_order_names() {
        let mut world = World::default();
        let (down, up) = (world.pool("down"), world.pool("up up up up up"));
        let inner = world.policy(Policy::Failover, &[up, down]);
        let outer = world.policy(Policy::Failover, &[inner, down]);
        let of_pool = [Ahead::Node(up), Ahead::Pool(PoolId::new(1)), Ahead::View(PoolId::new(1))];
        assert_eq!(way(&world, up, None), of_pool);
        assert_eq!(way(&world, outer, None)[..2], [Ahead::Node(outer), Ahead::Node(inner)]);
        assert_eq!(way(&world, outer, None)[2..], of_pool);
    }

    #[test]
    fn what_a_draw_compares_is_not_foreseen() {
        let mut world = World::default();
        let pool = world.pool("up");
        let (drawn, childless) = (world.policy(Policy::Weighted(vec![1]), &[pool]), world.policy(Policy::Failover, &[]));
        assert_eq!([drawn, childless].map(|node| way(&world, node, None).len()), [1, 1]);
    }

    #[test]
    fn a_place_is_looked_up_by_the_address_that_the_policy_may_look_at() {
        for (ecs, subnet, expected) in
            [(true, Some("198.51.100.0/24"), "198.51.100.0"), (true, None, "192.0.2.1"), (false, Some("198.51.100.0/24"), "192.0.2.1")]
        {
            let mut world = World::default();
            let pools = [world.pool("up"), world.pool("up")];
            let policy = world.geo(&[("192.0.2.0/24", 0)], 1, ecs);
            let root = world.policy(policy, &pools);
            assert!(matches!(way(&world, root, subnet)[1..], [Ahead::Place(_, place)] if place.to_string() == expected));
        }
    }
}
