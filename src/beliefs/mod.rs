//! What this node believes: the config in force, the verdict on everything in it, and a prepared view of every pool.
//!
//! Observations and new snapshots come in; probe orders, changes worth a log line, and [`Live`] views go out. Told the time and
//! free of sockets and tasks, so that tests drive it by hand; `io::control` drives it at work.

mod adoption;
mod canaries;
mod change;
mod inherit;
mod notes;
mod past;
#[cfg(test)]
mod restart;
mod saved;
#[cfg(test)]
mod scenes;
mod tally;
#[cfg(test)]
mod tests;
mod words;

pub use change::{CanaryChange, Cause, Change, MemberChange, Origin, OverrideChange, PaceChange, PoolChange, result_words};
pub use saved::{Saved, SavedMember};
pub use tally::Tally;
pub use words::{note_words, outlook};

use crate::clock::Moment;
use crate::health::{
    Condition, Lateness, Leaning, Ledger, Observation, ProbeOrder, Role, Schedule, Status, Suspicion, TargetVerdict, TargetView, Token,
    Verdict, Wanted,
};
use crate::ids::{Id, PoolId, Table, TargetId};
use crate::judge::{Breach, Judge, Order, Override, Past, Place, Refusal, Selector};
use crate::live::{Live, Remarks};
use crate::policy::{FamilyView, Grade, Member, Pool, PoolView, places};
use crate::prefix::Family;
use crate::snapshot::{Snapshot, Target};
use adoption::History;
use canaries::Canaries;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// All that is believed. Single-threaded: one task owns it, and hands out copies to those who take their time to look at it.
#[derive(Clone, Debug)]
pub struct Beliefs {
    snapshot: Arc<Snapshot>,
    schedule: Schedule,
    ledger: Ledger,
    judge: Judge,
    /// When it was last asked what time alone has changed.
    moved: Moment,
    /// What explanations say beside the views, as of then.
    remarks: Arc<Remarks>,
    /// Whether that is other than at the last [`Beliefs::refresh`].
    has_new_remarks: bool,
    /// One per pool, as of the last [`Beliefs::refresh`].
    views: Table<PoolId, Arc<PoolView>>,
    /// Those who are answered though they are down, by pool; none where nobody is.
    dead: BTreeMap<PoolId, Vec<AnsweredDead>>,
    /// By pool, then member, then family.
    members: Vec<Vec<[Belief; 2]>>,
    /// By target: the pools with a member that it checks.
    readers: Vec<Vec<PoolId>>,
    /// The pools whose latency somebody reads.
    timed: Table<PoolId, bool>,
    /// Pools with a target whose verdict changed since the last [`Beliefs::refresh`].
    touched: BTreeSet<PoolId>,
    /// Targets whose verdicts changed since a change of a member was last told.
    turned: BTreeSet<TargetId>,
    /// What the last change of the config brought about, and nobody was told yet.
    untold: Vec<Change>,
    canaries: Canaries,
    /// Probes that were ordered and not yet answered, and when.
    under_way: HashMap<Token, (Arc<str>, Moment)>,
    /// By identity: what probes saw so far.
    tallies: HashMap<Arc<str>, Tally>,
    /// Changes of members' verdicts so far, first verdicts not counted.
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

/// An address that is answered though it is down: an operator or a protection wants it so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnsweredDead {
    /// Which.
    pub place: Place,
    /// When the first probe of the failing run began.
    pub failing_since: Moment,
}

impl Beliefs {
    /// Starts to believe in `snapshot`. What `saved` says of targets and pools counts until probes say otherwise; `seed`
    /// decides the phases of probes. `epoch_unix_s` is what the wall clock said at [`Moment::START`].
    pub fn new(snapshot: Arc<Snapshot>, saved: &Saved, seed: u64, epoch_unix_s: u64, now: Moment) -> Beliefs {
        Beliefs::begin(snapshot, saved, Judge::new(epoch_unix_s, saved.overrides.clone()), seed, now)
    }

    fn begin(snapshot: Arc<Snapshot>, saved: &Saved, judge: Judge, seed: u64, now: Moment) -> Beliefs {
        let mut schedule = Schedule::new(seed);
        schedule.adopt(&wanted(&snapshot), now);
        for (identity, memory) in &saved.targets {
            schedule.restore(identity, memory, now);
        }
        let mut beliefs = Beliefs {
            ledger: Ledger::default(),
            judge,
            moved: now,
            remarks: Arc::default(),
            has_new_remarks: false,
            readers: Vec::new(),
            timed: Table::new(),
            members: Vec::new(),
            views: Table::new(),
            dead: BTreeMap::new(),
            touched: BTreeSet::new(),
            turned: BTreeSet::new(),
            untold: Vec::new(),
            canaries: Canaries::default(),
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
        beliefs.judge.begin(now);
        beliefs.recall(saved, now);
        beliefs.views = beliefs.prepare_all(now, |pool, family, member| saved.was_usable(pool, family, member));
        let known = |member: &SavedMember| Some(((Arc::clone(&member.pool), Arc::clone(&member.member), member.family), member.belief?));
        beliefs.members = beliefs.believe_all(&saved.members.iter().filter_map(known).collect(), now);
        beliefs.dead = beliefs.all_answered_dead();
        // A beginning is no change.
        beliefs.untold.clear();
        beliefs
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
        if let Some(verdict) = self.schedule.handle_observation(token, observation, now) {
            self.handle_verdict(&verdict);
        }
    }

    /// Writes down a verdict, and whom it touches: a latency that moves is no news to pools of which nobody reads it.
    fn handle_verdict(&mut self, verdict: &TargetVerdict) {
        let before = self.ledger.verdict(verdict.target);
        self.ledger.handle_verdict(verdict);
        if before.status != verdict.verdict.status {
            self.turned.insert(verdict.target);
        }
        let is_known = Verdict { latency: before.latency, ..verdict.verdict } == before;
        let readers = self.readers[verdict.target.index()].iter();
        self.touched.extend(readers.filter(|&&pool| !is_known || self.timed[pool]));
        if verdict.was.is_some() && self.snapshot.canaries.contains(&verdict.target) {
            let (view, identity) = (self.schedule.view(verdict.target), &self.snapshot.targets[verdict.target].identity);
            let (belief, cause) = (Belief { status: view.verdict.status, since: view.since }, self.cause_in(verdict.target, view));
            self.canaries.handle_belief(identity, belief, cause);
        }
    }

    /// Whether observations still come in as they should.
    pub fn probes_come_in(&self) -> bool {
        self.probes_come_in
    }

    /// Hears what the wall clock says at `now`, as the time since 1970: overrides end by it. To be called before each
    /// [`Beliefs::reflect`] by whoever has such a clock.
    pub fn handle_wall_clock(&mut self, says: Duration, now: Moment) {
        self.judge.handle_wall_clock(says, now);
    }

    /// Thinks over whether this node sees, and whether its probes come back; to be called at least once a second. Returns what changed.
    pub fn reflect(&mut self, now: Moment) -> Vec<Change> {
        let (doubts, forgiven) = self.schedule.poll_doubt(now);
        for verdict in forgiven {
            self.handle_verdict(&verdict);
        }
        let mut changes: Vec<Change> = self.canaries.poll().chain(doubts.into_iter().map(Change::Sight)).collect();
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
        self.note_live(now);
        let (set, members, touched) = self.judge.set(&self.snapshot.graph, order, now)?;
        self.touched.extend(touched);
        self.remark(now);
        Ok(OverrideChange::Set(set, members))
    }

    /// Until now everything was answered that is live.
    fn note_live(&mut self, now: Moment) {
        for (id, view) in self.views.iter() {
            self.judge.note_replaced(id, view, now);
        }
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

    /// Whether [`Beliefs::refresh`] has something to do, or there is something new to say beside the views.
    pub fn is_stale(&self) -> bool {
        !self.touched.is_empty() || !self.untold.is_empty() || self.has_new_remarks
    }

    /// Prepares the pools that verdicts touched since the last time; returns what changed, members before their pool.
    pub fn refresh(&mut self, now: Moment) -> Vec<Change> {
        self.has_new_remarks = false;
        let mut changes = std::mem::take(&mut self.untold);
        for id in std::mem::take(&mut self.touched) {
            self.refresh_pool(id, now, &mut changes);
        }
        changes
    }

    fn refresh_pool(&mut self, id: PoolId, now: Moment, changes: &mut Vec<Change>) {
        let snapshot = Arc::clone(&self.snapshot);
        let pool = &snapshot.graph.pools[id];
        let verdicts = self.verdicts(id, pool);
        for (index, both) in verdicts.iter().enumerate() {
            for family in Family::BOTH {
                changes.extend(self.believe((id, index), family, both[family.index()].status, now));
            }
        }
        let before = Arc::clone(&self.views[id]);
        let slow = self.judge.slow(&snapshot.graph, id);
        let judgements = self.judge.judge(&snapshot.graph, id, &verdicts, now);
        changes.extend(self.paces(id, &slow, &verdicts));
        let view = PoolView::prepare(pool, &judgements, Some(&before));
        self.prepared += 1;
        match self.answered_dead(id, &view) {
            none if none.is_empty() => self.dead.remove(&id),
            some => self.dead.insert(id, some),
        };
        if view == *before {
            return;
        }
        self.judge.note_replaced(id, &before, now);
        self.views[id] = Arc::new(view);
        changes.extend(self.pool_change(id, before.grade, Origin::Probes));
    }

    /// Says so when the grade of a pool is another than it was.
    fn pool_change(&self, id: PoolId, was: Grade, origin: Origin) -> Option<Change> {
        let (pool, view) = (&self.snapshot.graph.pools[id], &self.views[id]);
        let (now, usable, members) = (view.grade, usable_members(view), pool.members.len());
        (now != was).then(|| Change::Pool(PoolChange { pool: Arc::clone(&pool.name), was, now, usable, members, origin }))
    }

    /// Who became slow, or stopped to be, since those were that `were`.
    fn paces(&self, id: PoolId, were: &BTreeSet<Place>, verdicts: &[[Verdict; 2]]) -> Vec<Change> {
        let are = self.judge.slow(&self.snapshot.graph, id);
        let pool = &self.snapshot.graph.pools[id];
        let change = |place: &Place| {
            let member = &pool.members[place.member];
            Some(Change::Pace(PaceChange {
                place: (id, place.member),
                pool: Arc::clone(&pool.name),
                member: Arc::clone(&member.name),
                addr: member.addresses[place.family.index()]?,
                slow: are.contains(place),
                latency: verdicts[place.member][place.family.index()].latency,
            }))
        };
        were.symmetric_difference(&are).filter_map(change).collect()
    }

    /// Writes down what is now believed of one address; says so when that is news.
    fn believe(&mut self, place: (PoolId, usize), family: Family, status: Status, now: Moment) -> Option<Change> {
        let belief = &mut self.members[place.0.index()][place.1][family.index()];
        if belief.status == status {
            return None;
        }
        let before = std::mem::replace(belief, Belief { status, since: now });
        self.change(place, family, before, Origin::Probes, now)
    }

    /// Says so, and counts it, when what is believed of an address is another thing than before.
    fn change(&mut self, place: (PoolId, usize), family: Family, before: Belief, origin: Origin, now: Moment) -> Option<Change> {
        let (pool, index) = place;
        let snapshot = Arc::clone(&self.snapshot);
        let settings = &snapshot.graph.pools[pool];
        let member = &settings.members[index];
        let addr = member.addresses[family.index()]?;
        let status = self.belief(pool, index, family).status;
        if before.status == status {
            return None;
        }
        // That something was seen for the first time is no change of mind: every start and every new member would count.
        self.flips += u64::from(before.status != Status::Unknown);
        Some(Change::Member(MemberChange {
            place,
            origin,
            pool: Arc::clone(&settings.name),
            member: Arc::clone(&member.name),
            addr,
            was: before.status,
            now: status,
            lasted: now.since(before.since),
            cause: self.cause(member, family, status),
            turned: std::mem::take(&mut self.turned).into_iter().collect(),
            held_down: self.held_down(Place { pool, member: index, family }, now).map(|held| (held.falls, held.until.since(held.fell))),
        }))
    }

    /// The probes that tipped the scales: those of the target, of those that speak for `status`, that came to do so last.
    fn cause(&self, member: &Member, family: Family, status: Status) -> Option<Cause> {
        let speaking = leanings(member, family).into_iter().filter_map(|(target, leaning)| {
            let view = self.schedule.view(target);
            (leaning.turn(view.verdict.status) == status).then_some((target, view))
        });
        let (target, view) = speaking.min_by_key(|(_, view)| Reverse(view.since))?;
        self.cause_in(target, view)
    }

    /// The probes of one target that made what it is now.
    fn cause_in(&self, target: TargetId, view: TargetView) -> Option<Cause> {
        let (_, seen) = view.last?;
        let identity = &self.snapshot.targets[target].identity;
        let tally = self.tallies.get(identity);
        Some(Cause {
            target: Arc::clone(identity),
            seen: result_words(&seen),
            in_a_row: tally.map_or(1, |tally| tally.in_a_row.max(1)),
            status: view.verdict.status,
            began: tally.map(|tally| tally.began),
        })
    }

    /// Who is answered by `view` though it is down.
    fn answered_dead(&self, pool: PoolId, view: &PoolView) -> Vec<AnsweredDead> {
        let answered = Family::BOTH.into_iter().flat_map(|family| view.family(family).usable.iter().map(move |usable| (family, usable)));
        let dead = answered.filter_map(|(family, usable)| {
            let place = Place { pool, member: usize::from(usable.member), family };
            let belief = self.belief(pool, place.member, family);
            let began = || self.cause(&self.snapshot.graph.pools[pool].members[place.member], family, Status::Down)?.began;
            (belief.status == Status::Down).then(|| AnsweredDead { place, failing_since: began().unwrap_or(belief.since) })
        });
        dead.collect()
    }

    fn all_answered_dead(&self) -> BTreeMap<PoolId, Vec<AnsweredDead>> {
        let all = self.views.iter().map(|(id, view)| (id, self.answered_dead(id, view)));
        all.filter(|(_, dead)| !dead.is_empty()).collect()
    }

    /// How late probes began since the start.
    pub fn lateness(&self) -> &Lateness {
        self.schedule.lateness()
    }

    /// What workers should hold now.
    pub fn live(&self) -> Live {
        Live { snapshot: Arc::clone(&self.snapshot), pools: self.views.clone(), remarks: Arc::clone(&self.remarks) }
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

    /// Everybody who is answered though they are down; those not counted who are answered as a last resort.
    pub fn dead(&self) -> impl Iterator<Item = &AnsweredDead> {
        self.dead.values().flatten()
    }

    /// Protections with fewer members or sites left than they are to keep, with how many members are left.
    pub fn shortfalls(&self, now: Moment) -> Vec<(Arc<str>, Breach, u32)> {
        self.judge.shortfalls(&self.snapshot.graph, now)
    }

    /// Changes of members' verdicts so far, first verdicts not counted.
    pub fn flips(&self) -> u64 {
        self.flips
    }

    /// Pools prepared anew so far because of what probes saw; those of a new config are not counted.
    pub fn prepared(&self) -> u64 {
        self.prepared
    }

    /// What is worth remembering over a restart.
    pub fn saved(&self) -> Saved {
        let known = |(id, target): (TargetId, &Target)| {
            let memory = self.schedule.memory(id);
            (memory.status != Status::Unknown).then(|| (Arc::clone(&target.identity), memory))
        };
        let graph = &self.snapshot.graph;
        let fared = |(place, past): (Place, Past)| {
            let Place { pool, member, family } = place;
            let belief = self.belief(pool, member, family);
            let pool = &graph.pools[pool];
            let belief = (belief.status != Status::Unknown).then_some(belief);
            SavedMember { pool: Arc::clone(&pool.name), member: Arc::clone(&pool.members[member].name), family, belief, past }
        };
        Saved {
            targets: self.snapshot.targets.iter().filter_map(known).collect(),
            pools: last_known_by_name(&self.snapshot, &self.views),
            members: self.judge.pasts(graph).map(fared).collect(),
            removals: self.judge.removals(graph),
            overrides: self.overrides().to_vec(),
        }
    }

    //--- Making it all anew

    /// Fills what follows from the snapshot and the schedule: who reads which target, and the ledger.
    fn index(&mut self) {
        self.touched.clear();
        self.turned.clear();
        self.readers = vec![Vec::new(); self.snapshot.targets.len()];
        for (id, pool) in self.snapshot.graph.pools.iter() {
            let targets: BTreeSet<TargetId> = pool.members.iter().flat_map(|m| m.checks.iter().flatten().copied()).collect();
            for target in targets {
                self.readers[target.index()].push(id);
            }
        }
        self.timed = self.snapshot.graph.timed();
        let canary = |target: &TargetId| {
            let view = self.schedule.view(*target);
            (Arc::clone(&self.snapshot.targets[*target].identity), Belief { status: view.verdict.status, since: view.since })
        };
        self.canaries.adopt(self.snapshot.canaries.iter().map(canary));
        self.ledger = Ledger::new(self.snapshot.targets.len());
        for verdict in self.schedule.verdicts() {
            self.ledger.handle_verdict(&verdict);
        }
    }

    /// Takes up how members fared in an earlier life of the program.
    fn recall(&mut self, saved: &Saved, now: Moment) {
        let snapshot = Arc::clone(&self.snapshot);
        let pools: HashMap<&str, (PoolId, &Pool)> = snapshot.graph.pools.iter().map(|(id, pool)| (&*pool.name, (id, pool))).collect();
        // Members are remembered in the order of the config: the next one is mostly where the last one was, or just after.
        let mut last = 0;
        for SavedMember { pool, member, family, past, .. } in &saved.members {
            let Some(&(id, pool)) = pools.get(&**pool) else { continue };
            let is_it = |index: &usize| pool.members.get(*index).is_some_and(|known| known.name == *member);
            let Some(index) = [last, last + 1].into_iter().find(is_it).or_else(|| (0..pool.members.len()).find(is_it)) else { continue };
            last = index;
            if pool.members[index].addresses[family.index()].is_some() {
                self.judge.recall(Place { pool: id, member: index, family: *family }, past, now);
            }
        }
        self.judge.recall_removals(&snapshot.graph, &saved.removals, now);
    }

    /// The verdicts on a pool's members; with their latencies where somebody reads them, since what is not read is not kept fresh.
    fn verdicts(&self, id: PoolId, pool: &Pool) -> Vec<[Verdict; 2]> {
        let fold = |member: &Member, family: usize| match &member.conditions[family] {
            _ if member.disabled => Verdict::DISABLED,
            Some(condition) => self.ledger.judge(condition, &member.checks[family]),
            None => self.ledger.fold(&member.checks[family]),
        };
        let one = |member: &Member, family: usize| {
            let verdict = fold(member, family);
            Verdict { latency: verdict.latency.filter(|_| self.timed[id]), ..verdict }
        };
        pool.members.iter().map(|member| [one(member, 0), one(member, 1)]).collect()
    }

    /// A view of every pool; where nobody is usable, the members that `was_usable` (pool, family, member) are recalled.
    fn prepare_all(&mut self, now: Moment, was_usable: impl Fn(&str, Family, &str) -> bool) -> Table<PoolId, Arc<PoolView>> {
        let snapshot = Arc::clone(&self.snapshot);
        let prepare = |(id, pool): (PoolId, &Pool)| {
            let (slow, verdicts) = (self.judge.slow(&snapshot.graph, id), self.verdicts(id, pool));
            let judgements = self.judge.judge(&snapshot.graph, id, &verdicts, now);
            self.untold.extend(self.paces(id, &slow, &verdicts));
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
        let all = |(id, pool): (PoolId, &Pool)| {
            let verdicts = self.verdicts(id, pool);
            let both = pool.members.iter().zip(&verdicts);
            both.map(|(member, verdict)| Family::BOTH.map(|family| one(pool, member, family, verdict[family.index()]))).collect()
        };
        self.snapshot.graph.pools.iter().map(all).collect()
    }
}

/// The targets of one address of a member, and how each speaks for it.
fn leanings(member: &Member, family: Family) -> Vec<(TargetId, Leaning)> {
    let straight = || member.checks[family.index()].iter().map(|target| (*target, Leaning::Straight)).collect();
    member.conditions[family.index()].as_ref().map_or_else(straight, Condition::leanings)
}

/// How often it is looked after what time alone changes: shares that grow, overrides that expire.
const MOVE_EVERY: Duration = Duration::from_secs(1);

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
