//! What is held for or against members beside what is seen of them: for people, who see one pass and not be answered.

use super::{Beliefs, leanings, note_words};
use crate::clock::Moment;
use crate::health::{Leaning, Status, TargetView};
use crate::ids::TargetId;
use crate::judge::{Judge, Note, Place};
use crate::live::{Remark, Remarks};
use std::sync::Arc;

/// A check that keeps a member down.
pub(super) struct HeldDown {
    /// How often it fell of late.
    pub falls: usize,
    /// When it last did.
    pub fell: Moment,
    /// It stays down at least until then.
    pub until: Moment,
}

impl Beliefs {
    /// All that is held for or against one address beside its verdict.
    pub fn notes(&self, place: Place, now: Moment) -> Vec<Note> {
        let held_down = self.held_down(place, now).map(|held| Note::HeldDown(held.falls, held.until.since(now)));
        let loss = self.loss(place).map(|(failed, of)| Note::Lossy(failed, of));
        self.judge.notes(&self.snapshot.graph, place, now).into_iter().chain(held_down).chain(loss).collect()
    }

    /// Looks through all that is held for or against members: not for every view, since there are many members and views.
    pub(super) fn remark(&mut self, now: Moment) {
        let now_unix_s = self.judge.unix_s(now);
        let mut members: Vec<Remark> = Vec::new();
        for place in Judge::places(&self.snapshot.graph) {
            let (pool, member) = (place.pool, u16::try_from(place.member).unwrap_or(u16::MAX));
            for note in self.notes(place, now) {
                let remark = Remark { pool, member, text: note_words(&note, now_unix_s) };
                // Both families of a member are mostly noted alike.
                if !members.iter().rev().take_while(|other| (other.pool, other.member) == (pool, member)).any(|other| *other == remark) {
                    members.push(remark);
                }
            }
        }
        let suspicion = self.suspicion().map(|suspicion| suspicion.evidence.to_string());
        let remarks = Remarks { suspicion, members };
        if *self.remarks != remarks {
            self.remarks = Arc::new(remarks);
            self.has_new_remarks = true;
        }
    }

    /// The check that keeps an address down for longest, if any does.
    pub(super) fn held_down(&self, place: Place, now: Moment) -> Option<HeldDown> {
        let held = self.targets_down(place).map(|(_, view)| HeldDown { falls: view.flaps.0, fell: view.since, until: view.flaps.1 });
        held.filter(|held| held.until > now).max_by_key(|held| held.until)
    }

    /// How many of how many last probes failed, where an address that is down stays down for that.
    fn loss(&self, place: Place) -> Option<(u32, u32)> {
        let lossy = self.targets_down(place).filter_map(|(target, view)| {
            let rule = self.snapshot.targets[target].rules.window?;
            view.loss.filter(|(failed, _)| *failed > rule.forgiven())
        });
        lossy.max()
    }

    /// The checks that keep an address down.
    fn targets_down(&self, place: Place) -> impl Iterator<Item = (TargetId, TargetView)> {
        let is_down = self.belief(place.pool, place.member, place.family).status == Status::Down;
        let member = is_down.then(|| &self.snapshot.graph.pools[place.pool].members[place.member]);
        let leanings = member.into_iter().flat_map(move |member| leanings(member, place.family));
        // What speaks against it by being up need not fall for it to come back.
        let straight = leanings.filter(|(_, leaning)| *leaning == Leaning::Straight);
        let views = straight.map(|(target, _)| (target, self.schedule.view(target)));
        views.filter(|(_, view)| view.verdict.status == Status::Down)
    }
}
