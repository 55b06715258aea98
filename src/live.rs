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
    /// What people should know who ask why. No query reads it.
    pub remarks: Arc<Remarks>,
}

/// What no view shows, and an explanation should.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Remarks {
    /// Why this node does not trust its own sight, if so.
    pub suspicion: Option<String>,
    /// What is held for or against members beside their verdicts, in config order.
    pub members: Vec<Remark>,
}

/// Something about one member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// Its pool.
    pub pool: PoolId,
    /// Its index there.
    pub member: u16,
    /// In words that follow its name: `is forced down by alice: disk swap`.
    pub text: String,
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
        Live { snapshot, pools, remarks: Arc::default() }
    }
}
