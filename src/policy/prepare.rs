//! A pool, prepared for queries each time its health changes.

use super::Pool;
use crate::health::Verdict;
use std::net::IpAddr;
use std::time::Duration;

/// How fit a node is. Ordered: better is greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grade {
    /// Nothing usable.
    Empty,
    /// Some usable, but less than `min_healthy`.
    Degraded,
    /// As much usable as `min_healthy` asks for.
    Healthy,
}

/// A member that may be answered now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usable {
    /// Its index in the pool's members.
    pub member: u16,
    /// What goes into the record.
    pub addr: IpAddr,
    /// How long the belief in it holds, in seconds, rounded down; `u32::MAX` when nothing can change it.
    pub holds_s: u32,
    /// Its configured weight.
    pub weight: u32,
}

/// The usable members of one family.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FamilyView {
    /// Whether any member of the pool has an address of this family at all.
    pub configured: bool,
    /// In config order; standbys only when nothing else is usable.
    pub usable: Box<[Usable]>,
    /// All members of the family, health ignored, for `serve_all` (disabled ones excepted).
    pub all: Box<[Usable]>,
    /// The last non-empty usable set, for `last_known`.
    pub last_known: Box<[Usable]>,
}

/// A pool as queries read it: a pure function of the pool and its verdicts.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolView {
    /// By [`crate::prefix::Family::index`].
    pub families: [FamilyView; 2],
    /// How fit the pool is; families are folded, because the choice of pool ignores the family.
    pub grade: Grade,
    /// How soon a better grade, or another member, could come back, in seconds; `u32::MAX` when nothing is down.
    pub recovers_s: u32,
    /// Mean connect time of the usable members, where known; rounded to 0.1 ms.
    pub latency: Option<Duration>,
}

impl PoolView {
    /// Prepares a pool. `verdicts` has one verdict per member and family, in member order; `before` is the view that
    /// this one replaces, whose last non-empty usable sets are carried over.
    pub fn prepare(_pool: &Pool, _verdicts: &[[Verdict; 2]], _before: Option<&PoolView>) -> PoolView {
        PoolView { families: [FamilyView::default(), FamilyView::default()], grade: Grade::Empty, recovers_s: u32::MAX, latency: None }
    }
}
