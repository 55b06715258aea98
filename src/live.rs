//! What workers hold: one snapshot and the health that belongs to it.

use crate::health::Verdict;
use crate::ids::{PoolId, Table};
use crate::policy::PoolView;
use crate::snapshot::Snapshot;
use std::sync::Arc;

/// A snapshot with a prepared view of every pool. Taken once a batch; nothing a worker reads changes under it.
#[derive(Clone, Debug)]
pub struct Live {
    /// The config in force.
    pub snapshot: Arc<Snapshot>,
    /// One view per pool of the snapshot.
    pub pools: Table<PoolId, Arc<PoolView>>,
}

impl Live {
    /// A live view in which every member has the verdict that `verdict` gives for (pool, member index, family index).
    pub fn prepare(snapshot: Arc<Snapshot>, mut verdict: impl FnMut(PoolId, usize, usize) -> Verdict) -> Live {
        let pools = snapshot
            .graph
            .pools
            .iter()
            .map(|(id, pool)| {
                let verdicts: Vec<_> = (0..pool.members.len()).map(|m| [verdict(id, m, 0), verdict(id, m, 1)]).collect();
                Arc::new(PoolView::prepare(pool, &verdicts, None))
            })
            .collect();
        Live { snapshot, pools }
    }
}
