//! What is worth remembering over a restart.
//!
//! Everything is known by names that outlive a process, and by moments of the clock of whoever holds it; to write it down, and to
//! read it in another process with another clock, is the shell's part.

use super::Belief;
use crate::clock::Moment;
use crate::health::{Memory, Status};
use crate::judge::{Override, Past};
use crate::prefix::Family;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was learned of targets and members, and what operators ordered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Saved {
    /// What is known of targets, by identity; those unknown are left out.
    pub targets: Vec<(Arc<str>, Memory)>,
    /// The names of the last usable members by pool, then by [`Family::index`].
    pub pools: BTreeMap<String, [Vec<String>; 2]>,
    /// How the addresses of members fared.
    pub members: Vec<SavedMember>,
    /// When members were removed of late, by the name of the protection that counts it, then family.
    pub removals: BTreeMap<Arc<str>, [Vec<Moment>; 2]>,
    /// What operators ordered; never too old.
    pub overrides: Vec<Override>,
}

/// How one address of a member fared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedMember {
    /// Its pool.
    pub pool: Arc<str>,
    /// The member.
    pub member: Arc<str>,
    /// Of this family.
    pub family: Family,
    /// What was believed of it, and since when; none when that is too old to count.
    pub belief: Option<Belief>,
    /// How it came and went.
    pub past: Past,
}

impl Saved {
    /// Whether a member was among the last usable ones of its pool.
    pub fn was_usable(&self, pool: &str, family: Family, member: &str) -> bool {
        self.pools.get(pool).is_some_and(|families| families[family.index()].iter().any(|name| name == member))
    }

    /// What still counts when it is too old for verdicts: what operators ordered, and who waits to be let back or had gone.
    #[must_use]
    pub fn outdated(self) -> Saved {
        let gone = |SavedMember { past, .. }: &SavedMember| past.absence.is_some() || past.back.is_some();
        let kept = |member: SavedMember| {
            let past = Past { standing: false, slow: false, cached_until: Moment::START, ..member.past };
            SavedMember { belief: None, past, ..member }
        };
        Saved { members: self.members.into_iter().filter(gone).map(kept).collect(), overrides: self.overrides, ..Saved::default() }
    }

    /// Whether `other` says the same of all that an answer depends on at once: verdicts, who takes part, and orders. Streaks, windows and
    /// latencies may differ: they change with every probe.
    pub fn is_much_like(&self, other: &Saved) -> bool {
        fn verdicts(saved: &Saved) -> impl Iterator<Item = (&str, Status)> {
            saved.targets.iter().map(|(identity, memory)| (&**identity, memory.status))
        }
        let part = |Past { standing, absence, back, released, .. }: Past| (standing, absence, back, released);
        let same_member = |(one, other): (&SavedMember, &SavedMember)| {
            (&one.pool, &one.member, one.family, part(one.past)) == (&other.pool, &other.member, other.family, part(other.past))
        };
        self.pools == other.pools
            && self.overrides == other.overrides
            && self.removals == other.removals
            && self.members.len() == other.members.len()
            && self.members.iter().zip(&other.members).all(same_member)
            && verdicts(self).eq(verdicts(other))
    }
}
