//! What must hold, whatever happens: each promise a check with a sentence of its own.
//!
//! Held against the truth of the world, the plan, the oracle and the book of the operators. The shipped code is asked only what it believes.

use super::clients::{Answer, Asked};
use super::disk::ms;
use super::machine::Truth;
use super::node::Flight;
use super::operator::{Entry, Whom};
use super::oracle::Look;
use super::plan::{RESCUE_TTL_S, Rescue, Seat};
use super::world::{Beliefs, Target, World};
use hickory_proto::op::ResponseCode;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use steersman::answer::Outcome;
use steersman::beliefs::Saved;
use steersman::clock::Moment;
use steersman::health::{Ledger, Status, TargetVerdict, Verdict};
use steersman::ids::{Id, PoolId, TargetId};
use steersman::io::state_text::{Reading, encode};
use steersman::judge::{Force, Note, Order, Override, Place, Refusal, Wish};
use steersman::policy::PoolView;
use steersman::prefix::Family;

/// A promise that was not kept.
#[derive(Debug)]
pub struct Broken {
    pub promise: &'static str,
    pub how: String,
    pub at: Moment,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.since(Moment::START).as_secs_f64();
        write!(f, "after {at:.3} s this promise was broken: {}\n    {}", self.promise, self.how)
    }
}

/// What a result may take beyond its timeout, and a look at the clock beyond its second.
const SLACK: Duration = Duration::from_millis(1_500);
/// Silence is not believed for longer than this, whatever else is silent.
const BELIEF_MAX: Duration = Duration::from_mins(1);
/// A node that sees does not doubt for longer than this.
const DOUBT_MAX: Duration = Duration::from_secs(125);

impl World {
    //--- Verdicts

    /// Verdicts flip only by the rules: what was seen is enough for it, and what is enough makes them flip.
    pub fn flips_by_the_rules(&mut self, flight: &Flight, look: &Look, status: Status) -> Result<(), Broken> {
        let rules = self.targets[flight.target].rules;
        let record = self.oracle.record(&flight.identity);
        let was = record.status;
        let result = record.look(&rules, look, status);
        let blindly = was == Status::Up && status == Status::Down && record.fell_blindly();
        if let Err(how) = result {
            return self.broken("verdicts flip only by the rules, and by the rules they flip", format!("{}: {how}", flight.identity));
        }
        if blindly && self.has_witnesses() {
            let how = format!("{} is down: {}", flight.identity, look.observation);
            return self.broken("while a node is cut off, nobody falls by silence or hearsay", how);
        }
        Ok(())
    }

    /// Whether there is who could tell a blind node from dead members: not known to be down, in three sites, or a canary beside some member.
    fn has_witnesses(&self) -> bool {
        let stands = |(index, target): &(usize, &Target)| target.spot.is_sent() && self.node.status(*index) != Status::Down;
        let standing = || self.targets.iter().enumerate().filter(stands).map(|(_, target)| target.spot);
        let sites: BTreeSet<usize> = standing().filter_map(|spot| spot.site).collect();
        sites.len() >= 3 || (standing().any(|spot| spot.host.is_none()) && standing().any(|spot| spot.host.is_some()))
    }

    /// No verdict changes but by an observation of its own target; and who is dead is down in time.
    pub fn keeps_its_verdicts(&mut self) -> Result<(), Broken> {
        for index in 0..self.targets.len() {
            let (identity, status) = (Arc::clone(&self.targets[index].identity), self.node.status(index));
            let before = self.oracle.record(&identity).status;
            if before != status {
                return self.broken("no verdict changes without an observation", format!("{identity} was {before} and is {status}"));
            }
            let target = &self.targets[index];
            if status != Status::Down && self.now > self.down_by(target) {
                return self.broken("who is dead is down within the detection time", format!("{identity} is {status}: {:?}", target.truth));
            }
        }
        self.doubts_with_reason()
    }

    /// When a dead target is down at the latest; never, as long as something else is going on.
    fn down_by(&self, target: &Target) -> Moment {
        let never = Moment::from_nanos(u64::MAX);
        let is_unseen = match target.truth {
            Truth::Well | Truth::Shaky => return never,
            Truth::DeadLoud => !target.spot.is_sent(),
            Truth::DeadMute => true,
        };
        if self.machines.node().is_some() || self.is_stalled() || (is_unseen && self.node.beliefs.suspicion().is_some()) {
            return never;
        }
        let doubtless = BELIEF_MAX + target.rules.interval + target.rules.fast_interval + target.rules.timeout;
        let patience = if is_unseen { doubtless } else { Duration::ZERO };
        target.since.max(self.calm_since).after(detection(target) + patience + SLACK)
    }

    /// A node that sees everybody does not doubt itself, and one that is cut off from everybody does not forget to.
    pub fn doubts_with_reason(&self) -> Result<(), Broken> {
        let (Some(suspicion), Some(well)) = (self.node.beliefs.suspicion(), self.well_since) else { return Ok(()) };
        let calm = well.max(self.calm_since).after(DOUBT_MAX);
        if self.machines.node().is_none() && self.now > calm {
            return self.broken("a node that sees everybody does not doubt its sight", format!("{:?}", suspicion.evidence));
        }
        Ok(())
    }

    /// Whatever became of the files, a start finds the newest that is whole, all of it, and nothing else.
    pub fn finds_what_was_saved(&self, reading: Reading) -> Result<Saved, Broken> {
        let recall = self.disk.read(reading);
        let Some((path, save)) = self.disk.counts() else {
            return match recall.found {
                None => Ok(Saved::default()),
                Some((path, _)) => self.broken("what is torn or spoilt is not believed", format!("{}", path.display())),
            };
        };
        let Some((found, remembered)) = recall.found.filter(|(found, _)| *found == path) else {
            return self.broken("a start finds the newest state that is whole", format!("{}: {:?}", path.display(), recall.useless));
        };
        let then = Reading { now: save.at, now_unix_ms: ms(save.wall), ..reading };
        let octets = self.disk.octets(&found).map(<[u8]>::to_vec);
        let again = then.read(octets).map(|remembered| encode(&remembered.saved, then.now, then.now_unix_ms));
        if again.as_ref().map(String::as_bytes).ok() != self.disk.octets(&found).ok() {
            return self.broken("a text that is read says what was written", format!("{again:?}"));
        }
        let age = Duration::from_millis(reading.now_unix_ms.saturating_sub(ms(save.wall)));
        if remembered.too_old.is_some() != (age > reading.max_age) {
            return self.broken("verdicts are forgotten when they are too old, and not before", format!("{age:?}: {remembered:?}"));
        }
        Ok(remembered.saved)
    }

    /// After a restart that is believed which was saved, and nothing else.
    pub fn believes_what_was_saved(&mut self, saved: &Saved) -> Result<(), Broken> {
        for index in 0..self.targets.len() {
            let identity = Arc::clone(&self.targets[index].identity);
            let status = self.node.status(index);
            let known = saved.targets.iter().find(|(known, _)| *known == identity);
            let expected = known.map_or(Status::Unknown, |(_, memory)| memory.status);
            if status != expected {
                return self.broken("a restart forgets and invents nothing", format!("{identity} was {expected} and is {status}"));
            }
            let before = std::mem::replace(&mut self.oracle.record(&identity).status, status);
            if status != before {
                return self.broken("a restart forgets and invents nothing", format!("{identity} was seen to be {before} and is {status}"));
            }
        }
        Ok(())
    }

    /// A check that is new believes what was believed of the address that it looks at, where that is one thing, and nothing else: nobody
    /// who is known to be dead comes back by a reload.
    pub fn inherits_what_was_believed(&mut self, before: &Beliefs) -> Result<(), Broken> {
        let mut readers: BTreeMap<usize, Vec<Status>> = BTreeMap::new();
        for (addr, seat) in &self.seats {
            let name = self.plan.pools[seat.pool].name.clone();
            let believed = before.of_addresses.get(&(name, *addr)).copied().unwrap_or(Status::Unknown);
            for index in self.plan.asked(*seat).iter().filter_map(|check| self.checks.get(check)) {
                readers.entry(*index).or_default().push(believed);
            }
        }
        let is_fresh = |target: &Target| !before.targets.contains(&target.identity);
        for index in (0..self.targets.len()).filter(|index| is_fresh(&self.targets[*index])) {
            let statuses = readers.remove(&index).unwrap_or_default();
            let is_agreed = statuses.windows(2).all(|two| two[0] == two[1]);
            let expected = statuses.first().copied().filter(|_| is_agreed).unwrap_or(Status::Unknown);
            let (identity, status) = (Arc::clone(&self.targets[index].identity), self.node.status(index));
            if status != expected {
                let how = format!("{identity} is {status}, and of its members was believed: {statuses:?}");
                return self.broken("a new check inherits what was believed, and nothing else", how);
            }
            self.oracle.record(&identity).status = status;
        }
        Ok(())
    }

    //--- Probes

    /// A target is probed once an interval, whatever becomes of others; and never twice at a time.
    pub fn is_ordered_in_time(&self, index: usize) -> Result<(), Broken> {
        let Some(target) = self.targets.get(index) else {
            return self.broken("a removed target is never ordered again", format!("there is no target {index}"));
        };
        if self.node.under_way.values().any(|flight| flight.target == index) {
            return self.broken("no target is probed twice at a time", target.identity.to_string());
        }
        let Some(last) = target.last_begun.filter(|last| *last > self.calm_since) else { return Ok(()) };
        let gap = self.now.since(last);
        // A slot that passes while a hurried probe is under way is lost.
        if gap > target.rules.interval + target.rules.timeout + Duration::from_millis(50) {
            return self.broken("no target waits for another", format!("{} was probed {gap:?} ago", target.identity));
        }
        Ok(())
    }

    /// Never more probes are under way than all targets need when all of them hang.
    pub fn has_room(&self) -> Result<(), Broken> {
        let share =
            |target: &Target| target.rules.timeout.as_secs_f64() / target.rules.fast_interval.max(target.rules.timeout).as_secs_f64();
        let needed = self.targets.iter().map(share).sum::<f64>().ceil().max(256.0);
        let under_way = self.node.under_way.len();
        if f64::from(u32::try_from(under_way).expect("few")) > needed {
            return self.broken("no more probes are under way than the bound", format!("{under_way} of {needed}"));
        }
        Ok(())
    }

    //--- Views

    /// What workers hold follows from the verdicts, and overrides do what they say.
    pub fn keeps_its_views(&mut self) -> Result<(), Broken> {
        if self.node.beliefs.is_stale() {
            return Ok(());
        }
        self.keeps_whom_it_protects()?;
        let unix_s = self.unix_s();
        for pool in 0..self.plan.pools.len() {
            self.is_what_verdicts_say(pool)?;
            for member in 0..self.plan.pools[pool].members.len() {
                for family in Family::BOTH {
                    self.is_what_orders_say(Seat { pool, member, family }, unix_s)?;
                }
            }
        }
        Ok(())
    }

    /// In a pool about which nobody said anything a view is what a fresh one would be.
    fn is_what_verdicts_say(&self, pool: usize) -> Result<(), Broken> {
        let plan = &self.plan.pools[pool];
        let id = PoolId::new(pool);
        for (member, settings) in plan.members.iter().enumerate() {
            for family in Family::BOTH.into_iter().filter(|family| settings.families[family.index()]) {
                let expected = self.verdict(Seat { pool, member, family });
                let believed = self.node.beliefs.belief(id, member, family).status;
                if expected != believed {
                    let how = format!("{} of {} is {believed}, and its checks say {expected}", settings.name, plan.name);
                    return self.broken("a member is what its checks say", how);
                }
            }
        }
        let is_protected = self.plan.protection.as_ref().is_some_and(|(pools, _)| pools.contains(&pool));
        if !plan.is_plain || is_protected || self.book.touches(&self.plan, pool) {
            return Ok(());
        }
        let view = self.node.beliefs.view(id);
        let fresh = PoolView::prepare(&self.node.beliefs.snapshot().graph.pools[id], &self.verdicts(id), Some(view));
        if fresh != *view || *view != *self.node.live.pools[id] {
            return self.broken("a view is what its verdicts make of it", format!("{}: {view:?}, and fresh: {fresh:?}", plan.name));
        }
        Ok(())
    }

    /// What time alone changes is looked at once a second, and after a stand-still nothing of it is left out: a view is what a judge who
    /// looks at all pools makes of it now, where that is what he would have made of it two seconds ago.
    pub fn keeps_up_with_time(&self) -> Result<(), Broken> {
        let at = self.node.moment(self.now);
        let settled = |then: Moment| {
            let mut beliefs = self.node.beliefs.clone();
            beliefs.settle(then);
            beliefs
        };
        let (before, now) = (settled(at.before(Duration::from_secs(2))), settled(at));
        for (id, pool) in self.node.beliefs.snapshot().graph.pools.iter().filter(|_| !self.node.beliefs.is_stale()) {
            let usable = |beliefs: &steersman::beliefs::Beliefs| Family::BOTH.map(|family| beliefs.view(id).family(family).usable.clone());
            if usable(&before) == usable(&now) && usable(&now) != usable(&self.node.beliefs) {
                let how = format!("{}: {:?}, and not {:?}", pool.name, usable(&self.node.beliefs), usable(&now));
                return self.broken("who comes back comes back, however long nobody looked", how);
            }
        }
        Ok(())
    }

    fn verdicts(&self, pool: PoolId) -> Vec<[Verdict; 2]> {
        let beliefs = &self.node.beliefs;
        let mut ledger = Ledger::new(self.targets.len());
        for target in (0..self.targets.len()).map(TargetId::new) {
            ledger.handle_verdict(&TargetVerdict { target, verdict: beliefs.target(target).verdict, was: None });
        }
        let fold = |member: &steersman::policy::Member, family: usize| match &member.conditions[family] {
            _ if member.disabled => Verdict::DISABLED,
            Some(condition) => ledger.judge(condition, &member.checks[family]),
            None => ledger.fold(&member.checks[family]),
        };
        // What nobody reads is not kept fresh.
        let is_timed = beliefs.snapshot().graph.timed()[pool];
        let one = |member: &steersman::policy::Member, family: usize| {
            let verdict = fold(member, family);
            Verdict { latency: verdict.latency.filter(|_| is_timed), ..verdict }
        };
        beliefs.snapshot().graph.pools[pool].members.iter().map(|member| [one(member, 0), one(member, 1)]).collect()
    }

    /// Nobody leaves what is protected while fewer would be left than are to be kept, unless an operator broke the glass.
    fn keeps_whom_it_protects(&mut self) -> Result<(), Broken> {
        let Some((pools, (members, sites))) = self.plan.protected() else { return Ok(()) };
        let (unix_s, mut unclear) = (self.unix_s(), BTreeSet::new());
        let mut standing = BTreeSet::new();
        for seat in self.seats.values().filter(|seat| pools.contains(&seat.pool)) {
            match self.stands(*seat, unix_s) {
                Some(true) => drop(standing.insert(*seat)),
                Some(false) => {}
                None => drop(unclear.insert(*seat)),
            }
        }
        let before = std::mem::replace(&mut self.standing, standing);
        for family in Family::BOTH {
            let left: Vec<&Seat> =
                before.difference(&self.standing).filter(|seat| seat.family == family && !unclear.contains(seat)).collect();
            let here = || self.standing.iter().chain(&unclear).filter(|seat| seat.family == family);
            let places: BTreeSet<usize> = here().filter_map(|seat| self.plan.pools[seat.pool].members[seat.member].site).collect();
            if !left.is_empty() && (here().count() < members || places.len() < sites) {
                return self.broken("a protection keeps as many members and sites as it was told to", format!("{left:?} left"));
            }
        }
        Ok(())
    }

    /// Whether an address stands: it is up or forced up, and not taken out; or it is kept. None where orders have just changed, or break glass.
    fn stands(&self, seat: Seat, unix_s: u64) -> Option<bool> {
        let settings = &self.plan.pools[seat.pool].members[seat.member];
        if settings.disabled {
            return Some(false);
        }
        let ordered = self.book.of(&self.plan, seat, unix_s);
        let order = self.settled_order(seat, unix_s);
        if ordered.is_some() != order.is_some() || !self.knows_the_time() || ordered.is_some_and(|order| order.break_glass) {
            return None;
        }
        // Drains remove when they can, which is not told to the second.
        if order.is_some_and(|order| order.wish == Wish::Drain) && !self.is_kept(seat) {
            return None;
        }
        let (forced, barred) = (order.is_some_and(|order| order.wish == Wish::Up), order.is_some_and(|order| order.wish == Wish::Down));
        Some(self.is_kept(seat) || (!barred && (forced || self.verdict(seat) == Status::Up)))
    }

    fn is_what_orders_say(&self, seat: Seat, unix_s: u64) -> Result<(), Broken> {
        let settings = &self.plan.pools[seat.pool].members[seat.member];
        let Some(addr) = settings.address(seat.family).filter(|_| !settings.disabled) else { return Ok(()) };
        let Some(order) = self.settled_order(seat, unix_s) else { return Ok(()) };
        let view = self.node.live.pools[PoolId::new(seat.pool)].family(seat.family);
        let in_roster = |roster: &steersman::policy::Roster| roster.iter().any(|usable| usable.addr == addr);
        if self.bars(order) && !self.is_kept(seat) && (in_roster(&view.usable) || in_roster(&view.all) || in_roster(&view.last_known)) {
            return self.broken("who is taken out is in no answer, until that expires", format!("{}: {order:?}", settings.name));
        }
        if order.wish == Wish::Up && settings.weight > 0 && !in_roster(&view.usable) {
            return self.broken("who is forced up is answered, until that expires", format!("{}: {order:?}", settings.name));
        }
        Ok(())
    }

    /// The order in force, unless another one has just ended or the wall clock was set: that is looked at once a second, and not while the
    /// control side stands still.
    fn settled_order(&self, seat: Seat, unix_s: u64) -> Option<&Entry> {
        let order = self.book.of(&self.plan, seat, unix_s).filter(|_| !self.is_stalled() && self.knows_the_time())?;
        self.book.of(&self.plan, seat, unix_s.saturating_sub(2)).filter(|before| std::ptr::eq(*before, order))
    }

    /// Whether the node has looked at the wall clock since somebody set it, or since it stood still.
    fn knows_the_time(&self) -> bool {
        let (_, set) = self.wall;
        let since = set.max(self.awake_since);
        since == Moment::START || self.now.since(since) > SLACK
    }

    /// Whether whoever is meant may not be answered. Of a drain when no cache holds a longer TTL, whatever the wall clock says.
    fn bars(&self, order: &Entry) -> bool {
        let longest = Duration::from_secs(u64::from(self.plan.longest_ttl_s()));
        match order.wish {
            Wish::Up => false,
            Wish::Down => true,
            Wish::Drain => self.now.since(order.given.max(self.calm_since)) > longest + SLACK * 2,
        }
    }

    /// Whether a protection keeps an address, and may.
    fn is_kept(&self, seat: Seat) -> bool {
        let place = Place { pool: PoolId::new(seat.pool), member: seat.member, family: seat.family };
        let notes = self.node.beliefs.notes(place, self.node.moment(self.now));
        let may = self.plan.protection.as_ref().is_some_and(|(pools, _)| pools.contains(&seat.pool));
        may && notes.iter().any(|note| matches!(note, Note::Kept(_) | Note::KeptAgainst(_)))
    }

    //--- Operators

    /// Nobody is refused but by a protection, or because nobody was meant.
    pub fn is_refused_with_reason(&self, whom: &Whom, order: &Order, refusal: &Refusal) -> Result<(), Broken> {
        let selected: Vec<Seat> = self.seats.values().filter(|seat| whom.means(&self.plan, **seat)).copied().collect();
        let mut meant = selected.iter().filter(|seat| !self.plan.pools[seat.pool].members[seat.member].disabled);
        let is_right = match refusal {
            Refusal::NobodyMeant(_) => selected.is_empty(),
            Refusal::Disabled(_) => !selected.is_empty() && meant.next().is_none(),
            // Whether the caches hold anything for so long is looked at when a drain is obeyed.
            Refusal::EndsBeforeItDrains(lasts, lowers) => {
                order.wish == Wish::Drain && order.lasts == Some(*lasts) && lasts <= lowers && meant.next().is_some()
            }
            Refusal::Protected(..) => {
                let may = |pool: &usize| self.plan.protection.as_ref().is_some_and(|(pools, _)| pools.contains(pool));
                !order.break_glass && order.wish != Wish::Up && meant.any(|seat| may(&seat.pool))
            }
        };
        if is_right { Ok(()) } else { self.broken("nobody is refused without a reason", refusal.to_string()) }
    }

    /// What was ordered is known, and over when its time has come, over restarts too.
    pub fn keeps_its_orders(&self) -> Result<(), Broken> {
        let known: BTreeSet<String> = self.node.beliefs.overrides().iter().map(|one| one.selector.to_string()).collect();
        let ordered: BTreeSet<String> = self.book.entries().iter().map(|entry| entry.whom.text()).collect();
        if known != ordered {
            return self.broken("what was ordered is known, and nothing else", format!("{known:?}, and {ordered:?} were ordered"));
        }
        let unix_s = self.unix_s();
        let is_over = |entry: &&Entry| entry.is_over(unix_s) && entry.is_over(unix_s.saturating_sub(2));
        match self.book.entries().iter().find(is_over).filter(|_| !self.is_stalled() && self.knows_the_time()) {
            None => Ok(()),
            Some(entry) => self.broken("an order ends when its time has come", format!("at {unix_s}: {entry:?}")),
        }
    }

    /// What is said to have ended by itself was to end by now.
    pub fn has_come_to_its_end(&mut self, one: &Override) -> Result<(), Broken> {
        let unix_s = self.unix_s();
        if self.book.end(one, unix_s) {
            Ok(())
        } else {
            self.broken("no order ends before its time has come", format!("at {unix_s}: {one:?}"))
        }
    }

    /// An order ends when the wall clock says so: after as long as was asked, as the clock goes.
    pub fn lasts_as_long_as_was_said(&self, order: &Order, one: &Override) -> Result<(), Broken> {
        let expected = order.lasts.map(|lasts| self.unix_s() + lasts.as_secs());
        if one.expires_unix_s == expected || !self.knows_the_time() {
            return Ok(());
        }
        self.broken("an order lasts as long as was asked", format!("until {:?}, and not {expected:?}", one.expires_unix_s))
    }

    fn is_usable(&self, seat: Seat, addr: IpAddr) -> bool {
        self.node.live.pools[PoolId::new(seat.pool)].family(seat.family).usable.iter().any(|usable| usable.addr == addr)
    }

    fn addresses_of(&self, one: &Override) -> Vec<IpAddr> {
        let names = |seat: &Seat| {
            let (pool, member) = (&self.plan.pools[seat.pool], &self.plan.pools[seat.pool].members[seat.member]);
            one.selector.selects(&pool.name, &member.name, member.site.map(|site| format!("s{site}")).as_deref())
        };
        // Of somebody about whom a later order says something else, this one says nothing.
        let unix_s = self.unix_s();
        let is_its_own =
            |seat: &Seat| self.book.of(&self.plan, *seat, unix_s).is_some_and(|entry| entry.whom.text() == one.selector.to_string());
        self.seats.iter().filter(|(_, seat)| names(seat) && is_its_own(seat)).map(|(addr, _)| *addr).collect()
    }

    /// A drain does not remove anybody who is answered before the answers with longer TTLs have expired.
    pub fn waits_for_the_caches(&self, one: &Override) -> Result<(), Broken> {
        let Force::Drain { removes_unix_s, .. } = one.force else { return Ok(()) };
        if !self.knows_the_time() {
            return Ok(());
        }
        let removes = self.now.after(Duration::from_secs(removes_unix_s).saturating_sub(self.wall()));
        // Who is not answered when that is ordered goes at once; and so does who is unknown, since it is answered with the shortest TTL.
        let mut addresses = self.addresses_of(one);
        let goes_later = |seat: &Seat, addr: IpAddr| self.is_usable(*seat, addr) && self.verdict(*seat) != Status::Unknown;
        addresses.retain(|addr| self.seats.get(addr).is_some_and(|seat| goes_later(seat, *addr)));
        match self.caches.with(&addresses).find(|held| held.expires > removes) {
            None => Ok(()),
            Some(held) => {
                let how = format!("{:?} before an answer of {} s with {:?} expires", held.expires.since(removes), held.ttl_s, held.members);
                self.broken("a drain removes nobody whom caches still hold for longer than the shortest TTL", how)
            }
        }
    }

    /// When it is said that the last cached answer has expired, it has.
    pub fn has_left_the_caches(&self, one: &Override) -> Result<(), Broken> {
        let addresses = self.addresses_of(one);
        match self.caches.with(&addresses).find(|held| held.expires > self.now) {
            None => Ok(()),
            Some(held) => {
                let how = format!("{one}: {:?} is held for {:?} more", held.members, held.expires.since(self.now));
                self.broken("who is said to be in no cache is in none", how)
            }
        }
    }

    //--- Answers

    pub fn is_a_good_answer(&self, asked: &Asked, outcome: Outcome, answer: &Answer) -> Result<(), Broken> {
        let (min, max, rescue) = self.plan.edge(asked.node);
        let (pools, is_geo, raised) = self.plan.below(asked.node);
        let unix_s = self.unix_s();
        if answer.rcode != ResponseCode::NoError && !(rescue == Rescue::ServFail && outcome == Outcome::AllDown) {
            return self.broken("a name of the zone is answered", answer.rcode.to_string());
        }
        if outcome == Outcome::AllDown {
            if !is_geo {
                self.is_all_down(asked, &pools, unix_s)?;
            }
            if !answer.members.is_empty() && answer.ttl_s != RESCUE_TTL_S {
                return self.broken("what is answered when all is down lives as long as was written", format!("{} s", answer.ttl_s));
            }
        }
        for addr in &answer.members {
            let Some(seat) = self.seats.get(addr).filter(|seat| seat.family == asked.family) else {
                return self.broken("an answer holds members only", addr.to_string());
            };
            let fallback = rescue == Rescue::Fallback(seat.pool) && outcome == Outcome::AllDown;
            if !pools.contains(&seat.pool) && !fallback {
                return self.broken("an answer holds members of what the name steers at", addr.to_string());
            }
            self.may_be_answered(*seat, outcome, rescue, unix_s)?;
            if outcome == Outcome::Steered {
                self.lives_no_longer_than_belief(*seat, answer.ttl_s, min.max(raised.min(max)), max, unix_s)?;
            }
            if outcome == Outcome::Steered {
                self.dies_with_its_member(*seat, answer.ttl_s, max)?;
            }
        }
        Ok(())
    }

    /// Never an answer with a member known dead but where the operator wrote so.
    fn may_be_answered(&self, seat: Seat, outcome: Outcome, rescue: Rescue, unix_s: u64) -> Result<(), Broken> {
        let member = &self.plan.pools[seat.pool].members[seat.member];
        if member.disabled {
            return self.broken("who is disabled is never answered", member.name.clone());
        }
        let order = self.settled_order(seat, unix_s);
        if order.is_some_and(|order| self.bars(order)) && !self.is_kept(seat) {
            return self.broken("who is taken out is never answered", format!("{}: {order:?}", member.name));
        }
        let asked_for = outcome == Outcome::AllDown && matches!(rescue, Rescue::ServeAll | Rescue::LastKnown);
        // Whoever was forced up may be answered until it is said that this is over.
        let forced = self.book.entries().iter().any(|entry| entry.wish == Wish::Up && entry.whom.means(&self.plan, seat));
        if self.verdict(seat) == Status::Down && !asked_for && !forced && !self.is_kept(seat) {
            return self.broken("nobody known to be dead is answered", member.name.clone());
        }
        Ok(())
    }

    /// No TTL is above what its members' verdicts surely hold, nor outside of what the operator allows.
    fn lives_no_longer_than_belief(&self, seat: Seat, ttl_s: u32, min: u32, max: u32, unix_s: u64) -> Result<(), Broken> {
        if ttl_s > max {
            return self.broken("no TTL is above its maximum", format!("{ttl_s} s, and at most {max} s"));
        }
        let order = self.book.of(&self.plan, seat, unix_s);
        // How long an order still lasts is looked at once a second.
        let order_s = order.and_then(|order| order.expires_unix_s).map(|expires| expires.saturating_sub(unix_s) + 2);
        // Where the control side stands still, nobody looks.
        if !self.is_stalled() && self.knows_the_time() && order_s.is_some_and(|left| u64::from(ttl_s) > left.max(u64::from(min))) {
            return self.broken("no answer outlives the order behind it", format!("{ttl_s} s: {order:?}"));
        }
        // Where the clock was set, another order may be in force, until the node looks.
        let in_force = order.filter(|_| self.knows_the_time());
        let drained = in_force.is_some_and(|order| order.wish == Wish::Drain);
        if drained && ttl_s > min {
            return self.broken("who is drained is answered with the shortest TTL", format!("{ttl_s} s, and not {min} s: {order:?}"));
        }
        let is_kept_alive = in_force.is_some_and(|order| order.wish == Wish::Up) && self.verdict(seat) == Status::Down;
        if (is_kept_alive || self.is_kept(seat)) && ttl_s > min {
            return self.broken("who is answered though dead is answered with the shortest TTL", format!("{ttl_s} s, and not {min} s"));
        }
        if order.is_some() || !self.plan.needs_all(seat) || self.verdict(seat) != Status::Up {
            return Ok(());
        }
        for check in self.plan.checks(seat) {
            let Some(&index) = self.checks.get(&check) else { continue };
            let target = &self.targets[index];
            let failed = if self.node.published[index] == self.node.status(index) && !self.node.beliefs.is_stale() {
                self.sure_failures(target)
            } else {
                0
            };
            let nominal = nominal(target, failed).as_secs();
            if u64::from(ttl_s) > nominal.max(u64::from(min)) {
                let how = format!("{ttl_s} s, and {} is sure for {nominal} s, after {failed} failures; min {min}", target.identity);
                return self.broken("no TTL is above the greater of its minimum and the nominal one", how);
            }
        }
        Ok(())
    }

    fn sure_failures(&self, target: &Target) -> u32 {
        let mut oracle = self.oracle.clone();
        oracle.record(&target.identity).sure_failures()
    }

    /// An answer with a dead member expires when the death had to be noticed and the longest TTL has passed.
    fn dies_with_its_member(&self, seat: Seat, ttl_s: u32, max: u32) -> Result<(), Broken> {
        let order = self.book.entries().iter().any(|entry| entry.whom.means(&self.plan, seat));
        if order || !self.plan.needs_all(seat) || self.is_kept(seat) {
            return Ok(());
        }
        for check in self.plan.checks(seat) {
            let Some(target) = self.checks.get(&check).map(|&index| &self.targets[index]) else { continue };
            let by = self.down_by(target);
            let expires = self.now.after(Duration::from_secs(u64::from(ttl_s)));
            if by < Moment::from_nanos(u64::MAX) && expires > by.after(Duration::from_secs(u64::from(max))) {
                return self.broken("no answer holds a dead member after its time", format!("{}: {:?}", target.identity, target.truth));
            }
        }
        Ok(())
    }

    /// Nobody is told that all is down while somebody below the name is up.
    fn is_all_down(&self, asked: &Asked, pools: &[usize], unix_s: u64) -> Result<(), Broken> {
        for &pool in pools {
            for member in 0..self.plan.pools[pool].members.len() {
                let seat = Seat { pool, member, family: asked.family };
                let settings = &self.plan.pools[pool].members[member];
                let is_there = settings.families[asked.family.index()] && !settings.disabled;
                let ordered = self.book.entries().iter().any(|entry| entry.wish != Wish::Up && entry.whom.means(&self.plan, seat));
                if is_there && !ordered && self.verdict(seat) == Status::Up {
                    let how = format!("{} of {} is up, at {unix_s}", settings.name, self.plan.pools[pool].name);
                    return self.broken("nobody is told that all is down while somebody is up", how);
                }
            }
        }
        Ok(())
    }
}

/// By when a target that dies is noticed, as docs/CONFIG.md has it.
fn detection(target: &Target) -> Duration {
    let rules = &target.rules;
    let step = if rules.fast_interval < rules.interval { rules.fast_interval.max(rules.timeout) } else { rules.interval };
    rules.interval + step * (rules.fall - 1) + rules.timeout
}

/// How long a target that is up surely stays so after so many failures, as docs/CONFIG.md has it.
fn nominal(target: &Target, failed: u32) -> Duration {
    let rules = &target.rules;
    let missing = rules.fall.saturating_sub(failed).max(1);
    match (rules.fast_interval < rules.interval, failed, missing) {
        (false, ..) => rules.interval * missing,
        (true, 0, 1) => rules.interval,
        (true, 0, _) => rules.interval + rules.fast_interval / 10 + rules.fast_interval * (missing - 2),
        (true, ..) => rules.fast_interval / 10 + rules.fast_interval * (missing - 1),
    }
}
