//! Which TTLs a pool's members can be handed out with: what a drain needs to know when the last cached answer expires.

use super::{Graph, LastResort, Node, TtlRange};
use crate::ids::{Id, PoolId, Table};

/// For each pool the bounds of every TTL that any answer with one of its members can have, whichever steered name and way leads
/// there; `None` for a pool that no steered name reaches. A member that holds for h seconds is never handed out for longer
/// than `clamp(h)` of it.
pub fn ttl_reach(graph: &Graph) -> Table<PoolId, Option<TtlRange>> {
    let mut nodes: Vec<Option<TtlRange>> = vec![None; graph.nodes.len()];
    for (_, steer) in graph.steers.iter() {
        let mut range = steer.ttl;
        if matches!(steer.on_all_down, LastResort::ServeAll | LastResort::LastKnown) {
            range = widest(Some(range), TtlRange { min_s: steer.on_all_down_ttl_s, max_s: steer.on_all_down_ttl_s });
        }
        nodes[steer.root.index()] = Some(widest(nodes[steer.root.index()], range));
        if let LastResort::Fallback(node) = steer.on_all_down {
            let short = TtlRange { min_s: steer.on_all_down_ttl_s, max_s: steer.on_all_down_ttl_s };
            nodes[node.index()] = Some(widest(nodes[node.index()], short));
        }
    }
    let mut pools: Table<PoolId, Option<TtlRange>> = graph.pools.rows().iter().map(|_| None).collect();
    // Parents come after their children.
    for (id, node) in graph.nodes.iter().collect::<Vec<_>>().into_iter().rev() {
        let Some(range) = nodes[id.index()] else { continue };
        match node {
            Node::Pool(pool) => pools[*pool] = Some(widest(pools[*pool], range)),
            Node::Policy { children, ttl, .. } => {
                // What the policy raises a TTL to, those above it only lower to their own maximum.
                let min_s = ttl.map_or(range.min_s, |own| own.min_s.min(range.max_s).max(range.min_s));
                for child in children {
                    nodes[child.index()] = Some(widest(nodes[child.index()], TtlRange { min_s, ..range }));
                }
            }
        }
    }
    pools
}

/// What bounds both.
fn widest(known: Option<TtlRange>, other: TtlRange) -> TtlRange {
    known.map_or(other, |known| TtlRange { min_s: known.min_s.max(other.min_s), max_s: known.max_s.max(other.max_s) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::super::{Policy, Steer};
    use super::*;

    #[test]
    fn the_bounds_of_all_ways_to_a_pool_are_folded_to_the_longest() {
        let mut world = World::default();
        let (a, b, unused) = (world.pool("up"), world.pool("up"), world.pool("up"));
        let raised = TtlRange { min_s: 20, max_s: 40 };
        let inner = world.policy_with_ttl(Policy::Failover, &[b], Some(raised));
        let outer = world.policy(Policy::Failover, &[a, inner]);
        for (root, min_s, max_s) in [(outer, 5, 30), (a, 1, 60)] {
            let ttl = TtlRange { min_s, max_s };
            world.graph.steers.push(Steer { root, ttl, on_all_down: LastResort::NoData, on_all_down_ttl_s: 5, families: [true; 2] });
        }
        let reach = ttl_reach(&world.graph);
        assert_eq!(reach.rows(), [Some(TtlRange { min_s: 5, max_s: 60 }), Some(TtlRange { min_s: 20, max_s: 30 }), None]);
        assert!(unused.index() > 0);
    }

    #[test]
    fn a_last_resort_that_serves_members_counts_too() {
        let mut world = World::default();
        let root = world.pool("up");
        let ttl = TtlRange { min_s: 5, max_s: 30 };
        world.graph.steers.push(Steer { root, ttl, on_all_down: LastResort::ServeAll, on_all_down_ttl_s: 90, families: [true; 2] });
        assert_eq!(ttl_reach(&world.graph).rows(), [Some(TtlRange { min_s: 90, max_s: 90 })]);
    }
}
