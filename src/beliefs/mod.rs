//! What this node believes: the config in force, the verdict on everything in it, and a prepared view of every pool.
//!
//! Observations and new snapshots come in; probe orders, changes worth a log line, and [`Live`] views go out. Told the time and
//! free of sockets and tasks, so that tests drive it by hand; `io::control` drives it at work.

mod change;
mod saved;
mod words;

pub use change::{Cause, Change, MemberChange, OverrideChange, PoolChange, result_words};
pub use saved::{HeldBack, Saved};
pub use words::{note_words, outlook};

use crate::clock::Moment;
use crate::health::{Lateness, Ledger, Observation, ProbeOrder, Role, Schedule, Status, Suspicion, TargetView, Token, Verdict, Wanted};
use crate::ids::{Id, PoolId, Table, TargetId};
use crate::judge::{Judge, Note, Order, Override, Place, Refusal, Selector};
use crate::live::{Live, Remark, Remarks};
use crate::policy::{FamilyView, Member, Pool, PoolView, places};
use crate::prefix::Family;
use crate::snapshot::{Snapshot, Target};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// All that is believed. Single-threaded: one task owns it.
#[derive(Debug)]
pub struct Beliefs {
    snapshot: Arc<Snapshot>,
    schedule: Schedule,
    ledger: Ledger,
    judge: Judge,
    /// When it was last asked what time alone has changed.
    moved: Moment,
    /// What explanations say beside the views, as of then.
    remarks: Arc<Remarks>,
    /// One per pool, as of the last [`Beliefs::refresh`].
    views: Table<PoolId, Arc<PoolView>>,
    /// By pool, then member, then family.
    members: Vec<Vec<[Belief; 2]>>,
    /// By target: the pools with a member that it checks.
    readers: Vec<Vec<PoolId>>,
    /// Pools with a target whose verdict changed since the last [`Beliefs::refresh`].
    touched: BTreeSet<PoolId>,
    /// Probes that were ordered and not yet answered, and when.
    under_way: HashMap<Token, (Arc<str>, Moment)>,
    /// By identity: what probes saw so far.
    tallies: HashMap<Arc<str>, Tally>,
    /// Changes of members' verdicts so far.
    flips: u64,
    /// Whether probes came back when that was last looked at.
    probes_come_in: bool,
    /// Pools prepared anew so far because of what probes saw.
    prepared: u64,
}

/// The verdict on one address of a member, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Belief {
    /// What is believed.
    pub status: Status,
    /// Since when.
    pub since: Moment,
}

/// What the probes of one target saw.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Probes by result: `pass`, or a short word for what was wrong.
    pub results: BTreeMap<&'static str, u64>,
    /// How many of the last conclusive probes agreed.
    pub in_a_row: u32,
    passed: Option<bool>,
    /// When the first of those probes began.
    began: Moment,
}

impl Tally {
    fn count(&mut self, observation: &Observation, began: Moment) {
        let passed = match observation {
            Observation::Pass { .. } => Some(true),
            Observation::Fail(_) => Some(false),
            Observation::Inconclusive(_) => None,
        };
        *self.results.entry(observation.code()).or_default() += 1;
        if passed.is_some() {
            if self.passed != passed {
                (self.in_a_row, self.began) = (0, began);
            }
            self.in_a_row = self.in_a_row.saturating_add(1);
            self.passed = passed;
        }
    }
}

impl Beliefs {
    /// Starts to believe in `snapshot`. What `saved` says of targets and pools counts until probes say otherwise; `seed`
    /// decides the phases of probes. `epoch_unix_s` is what the wall clock said at [`Moment::START`].
    pub fn new(snapshot: Arc<Snapshot>, saved: &Saved, seed: u64, epoch_unix_s: u64, now: Moment) -> Beliefs {
        let mut schedule = Schedule::new(seed);
        schedule.adopt(&wanted(&snapshot), now);
        for (identity, status) in &saved.targets {
            schedule.restore(identity, *status, now);
        }
        let mut beliefs = Beliefs {
            ledger: Ledger::default(),
            judge: Judge::new(epoch_unix_s, saved.overrides.clone()),
            moved: now,
            remarks: Arc::default(),
            readers: Vec::new(),
            members: Vec::new(),
            views: Table::new(),
            touched: BTreeSet::new(),
            under_way: HashMap::new(),
            tallies: HashMap::new(),
            flips: 0,
            probes_come_in: true,
            prepared: 0,
            snapshot,
            schedule,
        };
        beliefs.index();
        beliefs.judge.adopt(None, &beliefs.snapshot.graph);
        beliefs.recall_held_back(saved, now);
        beliefs.views = beliefs.prepare_all(now, |pool, family, member| saved.was_usable(pool, family, member));
        beliefs.members = beliefs.believe_all(&BTreeMap::new(), now);
        beliefs
    }

    /// Takes over a new snapshot. Targets keep their state by identity, whatever happened to them while the snapshot was compiled;
    /// members keep their history, and pools their last known members, by name.
    pub fn adopt(&mut self, snapshot: Arc<Snapshot>, now: Moment) {
        // What was handed out by the views that go now is in caches still.
        for (id, view) in self.views.iter() {
            self.judge.note_replaced(id, view, now);
        }
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        self.schedule.adopt(&wanted(&self.snapshot), now);
        let identities: BTreeSet<&str> = self.snapshot.targets.rows().iter().map(|t| &*t.identity).collect();
        self.tallies.retain(|identity, _| identities.contains(&**identity));
        self.index();
        let last_known = last_known_by_name(&before, &self.views);
        let last_known = Saved { pools: last_known, ..Saved::default() };
        self.judge.adopt(Some(&before.graph), &self.snapshot.graph);
        self.views = self.prepare_all(now, |pool, family, member| last_known.was_usable(pool, family, member));
        self.members = self.believe_all(&histories(&before, &self.members), now);
    }

    //--- Probes

    /// The next probe to make now.
    pub fn poll_order(&mut self, now: Moment) -> Option<ProbeOrder> {
        let order = self.schedule.poll_order(now)?;
        self.under_way.insert(order.token, (Arc::clone(&self.snapshot.targets[order.target].identity), now));
        Some(order)
    }

    /// When [`Beliefs::poll_order`] has something next, if nothing else happens.
    pub fn next_due(&self) -> Option<Moment> {
        self.schedule.next_due()
    }

    /// Takes the result of a probe.
    pub fn handle_observation(&mut self, token: Token, observation: Observation, now: Moment) {
        if let Some((identity, began)) = self.under_way.remove(&token) {
            self.tallies.entry(identity).or_default().count(&observation, began);
        }
        let Some(verdict) = self.schedule.handle_observation(token, observation, now) else { return };
        self.ledger.handle_verdict(&verdict);
        self.touched.extend(&self.readers[verdict.target.index()]);
    }

    /// Whether observations still come in as they should.
    pub fn probes_come_in(&self) -> bool {
        self.probes_come_in
    }

    /// Thinks over whether this node sees, and whether its probes come back; to be called at least once a second. Returns what changed.
    pub fn reflect(&mut self, now: Moment) -> Vec<Change> {
        let (doubts, forgiven) = self.schedule.poll_doubt(now);
        for verdict in forgiven {
            self.ledger.handle_verdict(&verdict);
            self.touched.extend(&self.readers[verdict.target.index()]);
        }
        let mut changes: Vec<Change> = doubts.into_iter().map(Change::Sight).collect();
        let come_in = self.schedule.is_alive(now);
        if std::mem::replace(&mut self.probes_come_in, come_in) != come_in {
            changes.push(Change::Probes { come_in });
        }
        if now.since(self.moved) >= MOVE_EVERY {
            self.moved = now;
            let (events, touched) = self.judge.poll(&self.snapshot.graph, now);
            self.touched.extend(touched);
            self.touched.extend(self.judge.pools_in_motion(&self.snapshot.graph, now));
            let now_unix_s = self.judge.unix_s(now);
            changes.extend(events.into_iter().map(|event| Change::Override(OverrideChange::Passed(event, now_unix_s))));
            self.remark(now);
        } else if !changes.is_empty() {
            self.remark(now);
        }
        changes
    }

    //--- Operators

    /// Obeys an order, or says why not.
    ///
    /// # Errors
    /// When nobody is meant, or a protection forbids it.
    pub fn obey(&mut self, order: Order, now: Moment) -> Result<OverrideChange, Refusal> {
        for (id, view) in self.views.iter() {
            self.judge.note_replaced(id, view, now);
        }
        let (set, members, touched) = self.judge.set(&self.snapshot.graph, order, now)?;
        self.touched.extend(touched);
        self.remark(now);
        Ok(OverrideChange::Set(set, members))
    }

    /// Ends the override for exactly this selector; none when there is none.
    pub fn clear(&mut self, selector: &Selector, now: Moment) -> Option<OverrideChange> {
        let (cleared, touched) = self.judge.clear(&self.snapshot.graph, selector)?;
        self.touched.extend(touched);
        self.remark(now);
        Some(OverrideChange::Cleared(cleared))
    }

    /// Lets back the members that wait for it; none when nobody does.
    pub fn release(&mut self, selector: &Selector, now: Moment) -> Option<OverrideChange> {
        let (released, touched) = self.judge.release(&self.snapshot.graph, selector, now);
        self.touched.extend(touched);
        self.remark(now);
        (released > 0).then(|| OverrideChange::Released(selector.clone(), released))
    }

    /// All overrides, in the order in which they were set.
    pub fn overrides(&self) -> &[Override] {
        self.judge.overrides()
    }

    /// All that is held for or against one address beside its verdict.
    pub fn notes(&self, place: Place, now: Moment) -> Vec<Note> {
        self.judge.notes(&self.snapshot.graph, place, now)
    }

    /// A moment as the wall clock tells it, in seconds since 1970.
    pub fn unix_s(&self, moment: Moment) -> u64 {
        self.judge.unix_s(moment)
    }

    /// Why this node does not trust its own sight now, if so.
    pub fn suspicion(&self) -> Option<&Suspicion> {
        self.schedule.suspicion()
    }

    /// Why verdicts are not to be trusted now, in words; none while they are.
    pub fn trouble(&self) -> Option<String> {
        if let Some(Suspicion { evidence, .. }) = self.suspicion() {
            return Some(format!("suspect: {evidence}; verdicts are held"));
        }
        (!self.probes_come_in).then(|| "no probe has come back for too long: verdicts are stale".to_owned())
    }

    /// Whether everything has been looked at once.
    pub fn first_round_is_done(&self) -> bool {
        self.schedule.first_round_is_done()
    }

    //--- Views

    /// Whether [`Beliefs::refresh`] has something to do.
    pub fn is_stale(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Prepares the pools that verdicts touched since the last time; returns what changed, members before their pool.
    pub fn refresh(&mut self, now: Moment) -> Vec<Change> {
        let mut changes = Vec::new();
        for id in std::mem::take(&mut self.touched) {
            self.refresh_pool(id, now, &mut changes);
        }
        changes
    }

    fn refresh_pool(&mut self, id: PoolId, now: Moment, changes: &mut Vec<Change>) {
        let snapshot = Arc::clone(&self.snapshot);
        let pool = &snapshot.graph.pools[id];
        let verdicts = self.verdicts(pool);
        for (index, member) in pool.members.iter().enumerate() {
            for family in Family::BOTH {
                changes.extend(self.believe(id, index, member, family, verdicts[index][family.index()].status, now));
            }
        }
        let before = Arc::clone(&self.views[id]);
        let judgements = self.judge.judge(&snapshot.graph, id, &verdicts, now);
        let view = PoolView::prepare(pool, &judgements, Some(&before));
        self.prepared += 1;
        if view == *before {
            return;
        }
        self.judge.note_replaced(id, &before, now);
        if view.grade != before.grade {
            let (was, now, usable) = (before.grade, view.grade, usable_members(&view));
            changes.push(Change::Pool(PoolChange { pool: Arc::clone(&pool.name), was, now, usable, members: pool.members.len() }));
        }
        self.views[id] = Arc::new(view);
    }

    /// Writes down what is now believed of one address; says so when that is news.
    fn believe(&mut self, pool: PoolId, index: usize, member: &Member, family: Family, status: Status, now: Moment) -> Option<Change> {
        let addr = member.addresses[family.index()]?;
        let belief = &mut self.members[pool.index()][index][family.index()];
        let before = std::mem::replace(belief, Belief { status, since: now });
        if before.status == status {
            *belief = before;
            return None;
        }
        self.flips += 1;
        Some(Change::Member(MemberChange {
            place: (pool, index),
            pool: Arc::clone(&self.snapshot.graph.pools[pool].name),
            member: Arc::clone(&member.name),
            addr,
            was: before.status,
            now: status,
            lasted: now.since(before.since),
            cause: self.cause(&member.checks[family.index()], status),
        }))
    }

    /// The probes that speak for `status`: the first target that has it, and what it last saw.
    fn cause(&self, checks: &[TargetId], status: Status) -> Option<Cause> {
        let target = *checks.iter().find(|&&target| self.schedule.view(target).verdict.status == status)?;
        let (_, seen) = self.schedule.view(target).last?;
        let identity = &self.snapshot.targets[target].identity;
        let tally = self.tallies.get(identity);
        let in_a_row = tally.map_or(1, |tally| tally.in_a_row.max(1));
        Some(Cause { target: Arc::clone(identity), seen: result_words(&seen), in_a_row, began: tally.map(|tally| tally.began) })
    }

    /// How late probes began since the start.
    pub fn lateness(&self) -> &Lateness {
        self.schedule.lateness()
    }

    /// What workers should hold now.
    pub fn live(&self) -> Live {
        Live { snapshot: Arc::clone(&self.snapshot), pools: self.views.clone(), remarks: Arc::clone(&self.remarks) }
    }

    /// Looks through all that is held for or against members: not for every view, since there are many members and views.
    fn remark(&mut self, now: Moment) {
        let now_unix_s = self.judge.unix_s(now);
        let mut members: Vec<Remark> = Vec::new();
        for place in self.judge.noted(&self.snapshot.graph, now) {
            let notes = self.notes(place, now).into_iter();
            let member = u16::try_from(place.member).unwrap_or(u16::MAX);
            members.extend(notes.map(|note| Remark { pool: place.pool, member, text: note_words(&note, now_unix_s) }));
        }
        // Both families of a member are mostly noted alike.
        members.dedup();
        let suspicion = self.suspicion().map(|suspicion| suspicion.evidence.to_string());
        self.remarks = Arc::new(Remarks { suspicion, members });
    }

    //--- Facts, for people

    /// The config in force.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// One target.
    pub fn target(&self, target: TargetId) -> TargetView {
        self.schedule.view(target)
    }

    /// What probes of the target with this identity saw so far.
    pub fn tally(&self, identity: &str) -> Option<&Tally> {
        self.tallies.get(identity)
    }

    /// One pool, as queries see it.
    pub fn view(&self, pool: PoolId) -> &PoolView {
        &self.views[pool]
    }

    /// One address of a member.
    pub fn belief(&self, pool: PoolId, member: usize, family: Family) -> Belief {
        self.members[pool.index()][member][family.index()]
    }

    /// Changes of members' verdicts so far.
    pub fn flips(&self) -> u64 {
        self.flips
    }

    /// Pools prepared anew so far because of what probes saw; those of a new config are not counted.
    pub fn prepared(&self) -> u64 {
        self.prepared
    }

    /// What is worth remembering over a restart.
    pub fn saved(&self, now: Moment) -> Saved {
        let known = |(id, target): (TargetId, &Target)| {
            let status = self.schedule.view(id).verdict.status;
            (status != Status::Unknown).then(|| (target.identity.to_string(), status))
        };
        let graph = &self.snapshot.graph;
        let name = |place: Place| {
            let pool = &graph.pools[place.pool];
            HeldBack { pool: pool.name.to_string(), member: pool.members[place.member].name.to_string(), family: place.family }
        };
        Saved {
            targets: self.snapshot.targets.iter().filter_map(known).collect(),
            pools: last_known_by_name(&self.snapshot, &self.views),
            overrides: self.overrides().to_vec(),
            held_back: self.judge.held_back(graph, now).into_iter().map(name).collect(),
        }
    }

    //--- Making it all anew

    /// Fills what follows from the snapshot and the schedule: who reads which target, and the ledger.
    fn index(&mut self) {
        self.touched.clear();
        self.readers = vec![Vec::new(); self.snapshot.targets.len()];
        for (id, pool) in self.snapshot.graph.pools.iter() {
            let targets: BTreeSet<TargetId> = pool.members.iter().flat_map(|m| m.checks.iter().flatten().copied()).collect();
            for target in targets {
                self.readers[target.index()].push(id);
            }
        }
        self.ledger = Ledger::new(self.snapshot.targets.len());
        for verdict in self.schedule.verdicts() {
            self.ledger.handle_verdict(&verdict);
        }
    }

    /// Puts members back to waiting that waited for an operator, or for their time, when the program ended.
    fn recall_held_back(&mut self, saved: &Saved, now: Moment) {
        for HeldBack { pool, member, family } in &saved.held_back {
            let pools = self.snapshot.graph.pools.iter();
            let Some((id, pool)) = pools.into_iter().find(|(_, known)| *known.name == **pool) else { continue };
            if let Some(member) = pool.members.iter().position(|known| *known.name == **member) {
                self.judge.hold_back(Place { pool: id, member, family: *family }, now);
            }
        }
    }

    fn verdicts(&self, pool: &Pool) -> Vec<[Verdict; 2]> {
        let one = |member: &Member, family: usize| match &member.conditions[family] {
            _ if member.disabled => Verdict::DISABLED,
            Some(condition) => self.ledger.judge(condition, &member.checks[family]),
            None => self.ledger.fold(&member.checks[family]),
        };
        pool.members.iter().map(|member| [one(member, 0), one(member, 1)]).collect()
    }

    /// A view of every pool; where nobody is usable, the members that `was_usable` (pool, family, member) are recalled.
    fn prepare_all(&mut self, now: Moment, was_usable: impl Fn(&str, Family, &str) -> bool) -> Table<PoolId, Arc<PoolView>> {
        let snapshot = Arc::clone(&self.snapshot);
        let prepare = |(id, pool): (PoolId, &Pool)| {
            let judgements = self.judge.judge(&snapshot.graph, id, &self.verdicts(pool), now);
            let mut view = PoolView::prepare(pool, &judgements, None);
            for family in Family::BOTH {
                let barred = |name: &str| {
                    let mut members = pool.members.iter().zip(&judgements);
                    members.any(|(member, both)| *member.name == *name && both[family.index()].barred)
                };
                view.recall(pool, family, |member| was_usable(&pool.name, family, member) && !barred(member));
            }
            Arc::new(view)
        };
        snapshot.graph.pools.iter().map(prepare).collect()
    }

    /// The belief in every member: the old one where it still holds, a new one without fuss otherwise.
    fn believe_all(&self, histories: &BTreeMap<History, Belief>, now: Moment) -> Vec<Vec<[Belief; 2]>> {
        let one = |pool: &Pool, member: &Member, family: Family, verdict: Verdict| {
            let fresh = Belief { status: verdict.status, since: now };
            let known = histories.get(&(Arc::clone(&pool.name), Arc::clone(&member.name), family));
            known.copied().filter(|belief| belief.status == fresh.status).unwrap_or(fresh)
        };
        let all = |pool: &Pool| {
            let verdicts = self.verdicts(pool);
            let both = pool.members.iter().zip(&verdicts);
            both.map(|(member, verdict)| Family::BOTH.map(|family| one(pool, member, family, verdict[family.index()]))).collect()
        };
        self.snapshot.graph.pools.rows().iter().map(all).collect()
    }
}

/// How often it is looked after what time alone changes: shares that grow, overrides that expire.
const MOVE_EVERY: Duration = Duration::from_secs(1);

/// How a member is known across reloads.
type History = (Arc<str>, Arc<str>, Family);

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

/// What is to be probed, in the order of target ids.
fn wanted(snapshot: &Snapshot) -> Vec<Wanted> {
    let places = places(&snapshot.graph, snapshot.targets.len());
    let wanted = |(id, target): (TargetId, &Target)| {
        let place = places[id.index()].filter(|_| !snapshot.canaries.contains(&id));
        let role = place.map_or(Role::Canary, |place| Role::Member { place });
        Wanted { identity: Arc::clone(&target.identity), rules: target.rules, role }
    };
    snapshot.targets.iter().map(wanted).collect()
}

/// The names of each pool's last known members, by family.
fn last_known_by_name(snapshot: &Snapshot, views: &Table<PoolId, Arc<PoolView>>) -> BTreeMap<String, [Vec<String>; 2]> {
    let names = |pool: &Pool, view: &FamilyView| -> Vec<String> {
        view.last_known.iter().filter_map(|usable| Some(pool.members.get(usize::from(usable.member))?.name.to_string())).collect()
    };
    let both = |(pool, view): (&Pool, &Arc<PoolView>)| {
        let families = view.families.each_ref().map(|family| names(pool, family));
        families.iter().any(|family| !family.is_empty()).then(|| (pool.name.to_string(), families))
    };
    snapshot.graph.pools.rows().iter().zip(views.rows()).filter_map(both).collect()
}

/// How many members of the pool may be answered in one family or the other.
pub fn usable_members(view: &PoolView) -> usize {
    let members: BTreeSet<u16> = view.families.iter().flat_map(|family| family.usable.iter().map(|usable| usable.member)).collect();
    members.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::FailReason;
    use crate::io::testing::{snapshot, snapshot_of};
    use crate::policy::Grade;

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    const PASS: Observation = Observation::Pass { connect: Duration::from_millis(1), total: Duration::from_millis(2) };

    fn fail() -> Observation {
        Observation::Fail(FailReason::Status(500))
    }

    fn believe(members: &[&str]) -> Beliefs {
        Beliefs::new(Arc::new(snapshot(members)), &Saved::default(), 1, 0, at(0))
    }

    /// Makes every probe that is due, and observes `see(identity)`.
    fn round(beliefs: &mut Beliefs, now: Moment, see: impl Fn(&str) -> Observation) {
        while let Some(order) = beliefs.poll_order(now) {
            let identity = Arc::clone(&beliefs.snapshot().targets[order.target].identity);
            beliefs.handle_observation(order.token, see(&identity), now);
        }
    }

    /// Rounds of one interval (5 s) each, after `now`.
    fn rounds(beliefs: &mut Beliefs, count: u64, now: u64, see: impl Fn(&str) -> Observation) -> u64 {
        for step in 1..=count {
            round(beliefs, at(now + 5 * step), &see);
        }
        now + 5 * count
    }

    fn grade(beliefs: &Beliefs) -> Grade {
        beliefs.view(PoolId::new(0)).grade
    }

    #[test]
    fn the_first_round_settles_every_verdict_and_says_so_once() {
        let mut beliefs = believe(&["a", "b"]);
        assert!(!beliefs.first_round_is_done());
        round(&mut beliefs, at(0), |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
        assert!(beliefs.first_round_is_done());
        let lines: Vec<String> = beliefs.refresh(at(0)).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "member a (10.0.0.0) of pool web is down: HTTP 500 (tcp 10.0.0.0:80, 1 failure; first verdict)",
                "member b (10.0.0.1) of pool web is up: pass in 2.0ms (tcp 10.0.0.1:80, 1 pass; first verdict)",
            ]
        );
        assert!(beliefs.refresh(at(0)).is_empty());
        assert_eq!(beliefs.live().pools[PoolId::new(0)].family(Family::V4).usable.len(), 1);
    }

    #[test]
    fn a_member_that_dies_is_gone_from_the_next_view_and_the_line_says_why() {
        let mut beliefs = believe(&["a"]);
        round(&mut beliefs, at(0), |_| PASS);
        beliefs.refresh(at(0));
        let now = rounds(&mut beliefs, 3, 0, |_| fail());
        let changes = beliefs.refresh(at(now));
        let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with("member a (10.0.0.0) of pool web is down: HTTP 500 (tcp 10.0.0.0:80, 3 failures in a row; was up for")
        );
        assert_eq!(lines[1], "pool web is empty (was healthy): 0 of 1 members usable");
        assert!(beliefs.live().pools[PoolId::new(0)].family(Family::V4).usable.is_empty());
        assert_eq!(beliefs.flips(), 2);
    }

    #[test]
    fn only_pools_with_a_touched_target_are_prepared_anew() {
        let mut beliefs = Beliefs::new(Arc::new(snapshot_of(&[("one", &["a"]), ("two", &["b"])])), &Saved::default(), 1, 0, at(0));
        round(&mut beliefs, at(0), |_| PASS);
        beliefs.refresh(at(0));
        let (before, prepared) = (beliefs.live(), beliefs.prepared());
        let now = rounds(&mut beliefs, 3, 0, |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
        beliefs.refresh(at(now));
        let after = beliefs.live();
        assert!(!Arc::ptr_eq(&before.pools[PoolId::new(0)], &after.pools[PoolId::new(0)]));
        assert_eq!(beliefs.prepared(), prepared + 1, "the other one was not even looked at");
        assert_eq!(after.pools[PoolId::new(1)].grade, Grade::Healthy);
        assert_eq!(after.pools[PoolId::new(0)].grade, Grade::Empty);
    }

    #[test]
    fn a_flip_while_a_config_is_compiled_is_not_lost() {
        let mut beliefs = believe(&["a", "b"]);
        round(&mut beliefs, at(0), |_| PASS);
        beliefs.refresh(at(0));
        // Compiled now, from the world as it is; the member dies before it is adopted.
        let compiled = Arc::new(snapshot(&["c", "b", "a"]));
        let now = rounds(&mut beliefs, 3, 0, |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
        beliefs.adopt(compiled, at(now));
        let view = beliefs.live().pools[PoolId::new(0)].clone();
        let usable: Vec<String> = view.family(Family::V4).usable.iter().map(|usable| usable.addr.to_string()).collect();
        assert_eq!(usable, ["10.0.0.1"], "a is down, and c has not been seen yet");
        assert!(beliefs.refresh(at(now)).is_empty(), "what is carried over is no news");
    }

    #[test]
    fn a_probe_under_way_during_a_reload_still_counts() {
        let mut beliefs = believe(&["a"]);
        let order = beliefs.poll_order(at(0)).expect("due at once");
        beliefs.adopt(Arc::new(snapshot(&["b", "a"])), at(1));
        beliefs.handle_observation(order.token, fail(), at(1));
        assert_eq!(beliefs.refresh(at(1)).len(), 1);
        assert_eq!(beliefs.belief(PoolId::new(0), 1, Family::V4).status, Status::Down);
        assert_eq!(beliefs.tally("tcp 10.0.0.0:80").expect("counted").results["status"], 1);
    }

    #[test]
    fn members_keep_their_history_over_a_reload() {
        let mut beliefs = believe(&["a", "b"]);
        round(&mut beliefs, at(0), |_| PASS);
        beliefs.refresh(at(3));
        beliefs.adopt(Arc::new(snapshot(&["b", "a"])), at(60));
        assert_eq!(beliefs.belief(PoolId::new(0), 1, Family::V4), Belief { status: Status::Up, since: at(3) });
    }

    #[test]
    fn saved_verdicts_count_before_the_first_round() {
        let mut before = believe(&["a", "b"]);
        round(&mut before, at(0), |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
        before.refresh(at(0));
        let beliefs = Beliefs::new(Arc::new(snapshot(&["a", "b"])), &before.saved(at(0)), 1, 0, at(0));
        assert!(beliefs.first_round_is_done());
        let view = beliefs.live().pools[PoolId::new(0)].clone();
        assert_eq!(view.family(Family::V4).usable.len(), 1);
    }

    #[test]
    fn the_last_known_members_survive_a_restart_and_a_reload() {
        let mut beliefs = believe(&["a", "b"]);
        round(&mut beliefs, at(0), |identity| if identity.contains("10.0.0.0") { fail() } else { PASS });
        beliefs.refresh(at(0));
        let now = rounds(&mut beliefs, 3, 0, |_| fail());
        beliefs.refresh(at(now));
        assert_eq!(grade(&beliefs), Grade::Empty);
        let last_known = |beliefs: &Beliefs| -> Vec<String> {
            let view = &beliefs.view(PoolId::new(0)).families[0];
            view.last_known.iter().map(|usable| usable.addr.to_string()).collect()
        };
        assert_eq!(last_known(&beliefs), ["10.0.0.1"]);
        let restarted = Beliefs::new(Arc::new(snapshot(&["b", "a"])), &beliefs.saved(at(0)), 1, 0, at(0));
        assert_eq!(last_known(&restarted), ["10.0.0.1"]);
        beliefs.adopt(Arc::new(snapshot(&["b", "a"])), at(now));
        assert_eq!(last_known(&beliefs), ["10.0.0.1"]);
    }

    #[test]
    fn an_inconclusive_probe_is_counted_and_changes_nothing() {
        let mut beliefs = believe(&["a"]);
        round(&mut beliefs, at(0), |_| PASS);
        beliefs.refresh(at(0));
        let now = rounds(&mut beliefs, 9, 0, |_| Observation::Inconclusive(crate::health::Doubt::NoRoute));
        assert!(beliefs.refresh(at(now)).is_empty());
        let tally = beliefs.tally("tcp 10.0.0.0:80").expect("probed");
        assert_eq!((tally.results["pass"], tally.results["no_route"], tally.in_a_row), (1, 9, 1));
    }
}
