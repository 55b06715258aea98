//! What is worth remembering over a restart.

use crate::health::Status;
use crate::judge::Override;
use crate::prefix::Family;
use std::collections::BTreeMap;

/// Verdicts and orders, by names that outlive a process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Saved {
    /// Verdicts by target identity; those unknown are left out.
    pub targets: BTreeMap<String, Status>,
    /// The names of the last usable members by pool, then by [`Family::index`].
    pub pools: BTreeMap<String, [Vec<String>; 2]>,
    /// What operators ordered; never too old.
    pub overrides: Vec<Override>,
    /// Addresses that are up, and wait for an operator or their time.
    pub held_back: Vec<HeldBack>,
}

/// An address that waits to be let back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldBack {
    /// Its pool.
    pub pool: String,
    /// The member.
    pub member: String,
    /// Of this family.
    pub family: Family,
}

impl Saved {
    /// Whether a member was among the last usable ones of its pool.
    pub fn was_usable(&self, pool: &str, family: Family, member: &str) -> bool {
        self.pools.get(pool).is_some_and(|families| families[family.index()].iter().any(|name| name == member))
    }
}
