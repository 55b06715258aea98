//! The past, told again: beliefs that are told what came about, rather than finding out.
//!
//! What a journal holds enters, in the order in which it happened: verdicts, orders, who was slow. All else follows by the code that is at
//! work now: slow starts, failback, protections, drains, views. Remarks are made once, at the end, by [`Beliefs::settle`].

use super::{Beliefs, MOVE_EVERY, Saved};
use crate::clock::Moment;
use crate::health::Status;
use crate::ids::{Id, PoolId};
use crate::judge::{Judge, Override, Place, Selector};
use crate::prefix::Family;
use crate::snapshot::Snapshot;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

impl Beliefs {
    /// What was believed of `snapshot` when `saved` was all that was known, in the time of `now`.
    pub fn of_the_past(snapshot: Arc<Snapshot>, saved: &Saved, now: Moment) -> Beliefs {
        Beliefs::begin(snapshot, saved, Judge::of_the_past(saved.overrides.clone()), 0, now)
    }

    /// Believes of a target what was believed of it once, as if probes had settled it just now. Unknown identities are ignored.
    pub fn impose(&mut self, identity: &str, status: Status, now: Moment) {
        if let Some(verdict) = self.schedule.impose(identity, status, now) {
            self.ledger.handle_verdict(&verdict);
            self.touched.extend(&self.readers[verdict.target.index()]);
        }
    }

    /// Believes of an address of a member that it was slow, or was not. Unknown names are ignored.
    pub fn impose_pace(&mut self, pool: &str, member: &str, addr: IpAddr, slow: bool) {
        let family = if addr.is_ipv4() { Family::V4 } else { Family::V6 };
        let pools = self.snapshot.graph.pools.iter();
        let known = pools.filter(|(_, known)| *known.name == *pool).find_map(|(id, known)| {
            let index = known.members.iter().position(|known| *known.name == *member)?;
            Some(Place { pool: id, member: index, family })
        });
        if let Some(place) = known {
            self.judge.impose_pace(place, slow);
            self.touched.insert(place.pool);
        }
    }

    /// Puts an override in force as it was once, whatever protections would say to it now.
    pub fn impose_override(&mut self, one: Override, now: Moment) {
        self.note_live(now);
        self.touched.extend(self.judge.impose(&self.snapshot.graph, one));
    }

    /// Ends the override for exactly this selector, where there is one.
    pub fn impose_end(&mut self, selector: &Selector) {
        let touched = self.judge.clear(&self.snapshot.graph, selector).map(|(_, touched)| touched);
        self.touched.extend(touched.into_iter().flatten());
    }

    /// Lets back who was let back.
    pub fn impose_release(&mut self, selector: &Selector, now: Moment) {
        let (_, touched) = self.judge.release(&self.snapshot.graph, selector, now);
        self.touched.extend(touched);
    }

    /// Lets time pass up to `now`, as far as it decides who takes part: orders come to their end, and protections let go of whom they kept.
    pub fn pass(&mut self, now: Moment) {
        // What others made possible was seen to within so long.
        let (mut pools, _) = self.judge.kept(&self.snapshot.graph, self.moved);
        let mut next = (!pools.is_empty()).then(|| self.moved.after(MOVE_EVERY));
        while let Some(at) = next.filter(|at| *at < now) {
            self.pass_over(at, pools);
            (pools, next) = self.judge.kept(&self.snapshot.graph, at);
        }
        self.pass_over(now, pools);
    }

    fn pass_over(&mut self, now: Moment, kept: BTreeSet<PoolId>) {
        self.moved = now;
        let (_, touched) = self.judge.poll(&self.snapshot.graph, now);
        self.touched.extend(touched.into_iter().chain(kept));
        self.refresh(now);
    }

    /// Takes account of all that time alone has changed up to now, for every pool.
    pub fn settle(&mut self, now: Moment) {
        self.pass(now);
        self.touched.extend(self.snapshot.graph.pools.iter().map(|(id, _)| id));
        self.refresh(now);
        self.remark(now);
    }
}
