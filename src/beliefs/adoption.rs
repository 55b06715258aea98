//! Taking over another config: what is kept by name and identity, and which members and pools fare otherwise for it.

use super::{Belief, Beliefs, Change, Origin, Saved, last_known_by_name, wanted};
use crate::clock::Moment;
use crate::health::Memory;
use crate::policy::{Grade, Pool, PoolView};
use crate::prefix::Family;
use crate::snapshot::Snapshot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Beliefs {
    /// Takes over a new snapshot. Targets keep their state by identity, whatever happened to them while the snapshot was compiled;
    /// members keep their history, and pools their last known members, by name. Returns what it changed of those that have kept theirs.
    pub fn adopt(&mut self, snapshot: Arc<Snapshot>, now: Moment) -> Vec<Change> {
        // What was handed out by the views that go now is in caches still.
        self.note_live(now);
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        let graded = |(pool, view): (&Pool, &Arc<PoolView>)| (Arc::clone(&pool.name), view.grade);
        let grades = before.graph.pools.rows().iter().zip(self.views.rows()).map(graded).collect();
        self.schedule.adopt(&wanted(&self.snapshot), now);
        for (identity, status) in self.inherited(&before) {
            self.schedule.restore(&identity, &Memory::of(status, now), now);
        }
        let identities: BTreeSet<&str> = self.snapshot.targets.rows().iter().map(|t| &*t.identity).collect();
        self.tallies.retain(|identity, _| identities.contains(&**identity));
        self.index();
        let last_known = last_known_by_name(&before, &self.views);
        let last_known = Saved { pools: last_known, ..Saved::default() };
        self.judge.adopt(Some(&before.graph), &self.snapshot.graph);
        self.views = self.prepare_all(now, |pool, family, member| last_known.was_usable(pool, family, member));
        let histories = histories(&before, &self.members);
        self.members = self.believe_all(&histories, now);
        self.dead = self.all_answered_dead();
        self.changes_since(&before, &grades, &histories, now)
    }

    /// What another config made of members and pools that it has kept by name, members before their pool: no probe changed it, and
    /// nobody would see it in a config. Nothing of those that either config disables.
    fn changes_since(
        &mut self,
        before: &Snapshot,
        grades: &BTreeMap<Arc<str>, Grade>,
        histories: &BTreeMap<History, Belief>,
        now: Moment,
    ) -> Vec<Change> {
        let disabled = |pool: &Pool| {
            let members = pool.members.iter().filter(|member| member.disabled);
            members.map(|member| (Arc::clone(&pool.name), Arc::clone(&member.name))).collect::<Vec<_>>()
        };
        let disabled: BTreeSet<(Arc<str>, Arc<str>)> = before.graph.pools.rows().iter().flat_map(disabled).collect();
        let snapshot = Arc::clone(&self.snapshot);
        let mut changes = Vec::new();
        for (id, pool) in snapshot.graph.pools.iter() {
            for (index, member) in pool.members.iter().enumerate().filter(|(_, member)| !member.disabled) {
                let name = (Arc::clone(&pool.name), Arc::clone(&member.name));
                for family in Family::BOTH.into_iter().filter(|_| !disabled.contains(&name)) {
                    let known = histories.get(&(Arc::clone(&name.0), Arc::clone(&name.1), family));
                    changes.extend(known.and_then(|known| self.change((id, index), family, *known, Origin::Config, now)));
                }
            }
            let was = grades.get(&pool.name).copied();
            changes.extend(was.and_then(|was| self.pool_change(id, was, Origin::Config)));
        }
        changes
    }
}

/// How a member is known across reloads.
pub(super) type History = (Arc<str>, Arc<str>, Family);

fn histories(snapshot: &Snapshot, members: &[Vec<[Belief; 2]>]) -> BTreeMap<History, Belief> {
    let mut histories = BTreeMap::new();
    for (pool, beliefs) in snapshot.graph.pools.rows().iter().zip(members) {
        for (member, belief) in pool.members.iter().zip(beliefs) {
            for family in Family::BOTH {
                histories.insert((Arc::clone(&pool.name), Arc::clone(&member.name), family), belief[family.index()]);
            }
        }
    }
    histories
}
