//! What a new check inherits from those before it: what was believed of the address that it looks at.

use super::{Beliefs, leanings};
use crate::health::Status;
use crate::ids::TargetId;
use crate::prefix::Family;
use crate::snapshot::Snapshot;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

impl Beliefs {
    /// What is to be believed of targets that nobody has looked at yet, since a new config checks in another way than the one
    /// before what an address does: what was believed of the address. Else a member known to be dead would be answered until its new
    /// check has failed for the first time. By identity; those of which members would have it both ways are left out.
    pub(super) fn inherited(&self, before: &Snapshot) -> BTreeMap<Arc<str>, Status> {
        let mut believed: HashMap<(&str, IpAddr), Status> = HashMap::new();
        for (pool, beliefs) in before.graph.pools.rows().iter().zip(&self.members) {
            for (member, both) in pool.members.iter().zip(beliefs).filter(|(member, _)| !member.disabled) {
                for (addr, belief) in member.addresses.iter().zip(both) {
                    addr.map(|addr| agree(&mut believed, (&*pool.name, addr), belief.status));
                }
            }
        }
        let known: BTreeSet<&str> = before.targets.rows().iter().map(|target| &*target.identity).collect();
        let mut inherited: HashMap<TargetId, Status> = HashMap::new();
        for pool in self.snapshot.graph.pools.rows() {
            for (member, family) in pool.members.iter().flat_map(|member| Family::BOTH.map(|family| (member, family))) {
                let Some(addr) = member.addresses[family.index()] else { continue };
                let status = believed.get(&(&*pool.name, addr)).copied().unwrap_or(Status::Unknown);
                for (target, leaning) in leanings(member, family) {
                    if !known.contains(&*self.snapshot.targets[target].identity) {
                        agree(&mut inherited, target, leaning.turn(status));
                    }
                }
            }
        }
        let certain = inherited.into_iter().filter(|(_, status)| *status != Status::Unknown);
        certain.map(|(target, status)| (Arc::clone(&self.snapshot.targets[target].identity), status)).collect()
    }
}

/// Writes down what somebody believes of `key`; unknown when others believe otherwise.
fn agree<K: Eq + Hash>(beliefs: &mut HashMap<K, Status>, key: K, status: Status) {
    beliefs.entry(key).and_modify(|known| *known = if *known == status { status } else { Status::Unknown }).or_insert(status);
}
