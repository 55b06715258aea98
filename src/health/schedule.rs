//! All targets: what is due next, and what came of it.
//!
//! Each target has a time slot in every interval, found from its identity alone, so that a thousand targets do not fire
//! together and a restart or a reload moves nobody. Beside its slots a target may be *hurried*: its first probe, the ones that
//! settle a verdict, a look elsewhere. Hurried probes fill what the slots leave of each second and never more, so that neither ten
//! thousand new targets nor a region that dies makes a burst; whoever finds no room has its slot. Orders leave
//! by [`Schedule::poll_order`], observations enter by [`Schedule::handle_observation`].
//!
//! Targets are known by identity: [`Schedule::adopt`] gives out new ids by position and carries everything else over,
//! also the tokens of probes under way. A prober that never reports back cannot stall a target: a while after the
//! deadline the probe is given up as [`Doubt::Lag`], and the target takes its next slot.
//!
//! The pace of a target that fails is its monitor's to say ([`Pace`]), and whether silence counts is [`SelfDoubt`]'s: a
//! target that falls silent while nothing else is seen is not believed to be dead.

use super::doubt::{Eye, Look};
use super::monitor::at_once_earliest;
use super::target::{ProbeOrder, TargetVerdict, TargetView, Token, Wanted};
use super::vigil::Vigil;
use super::{
    Change, Doubt, DoubtChange, FailReason, Lateness, Memory, Monitor, Observation, Pace, Role, Rules, SelfDoubt, Sight, Status, Suspicion,
};
use crate::clock::Moment;
use crate::ids::{Table, TargetId};
use crate::rng::mix;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// All targets of the config in force.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    seed: u64,
    targets: Table<TargetId, Appointment>,
    /// For look-up only, never iterated: its order is not the same twice.
    by_identity: HashMap<Arc<str>, TargetId>,
    /// Every target that is not being probed, by its next slot.
    waiting: BTreeSet<(Moment, TargetId)>,
    /// Those of them that should be probed before, by when.
    hurried: BTreeSet<(Moment, TargetId)>,
    /// When the last hurried probes began, at most as many as may in a second.
    hurries: VecDeque<Moment>,
    /// So many hurried probes may begin in a second; at least 1.
    hurries_per_second_max: usize,
    /// How late the probes of slots began.
    lateness: Lateness,
    /// Every probe under way.
    under_way: BTreeMap<Token, TargetId>,
    /// Every probe under way, by the moment it is given up.
    given_up: BTreeSet<(Moment, Token)>,
    /// The number of probes under way never exceeds this.
    under_way_max: usize,
    next_token: u64,
    heartbeat: Option<Moment>,
    /// What the target that is probed most often takes from one result to the next at most; none without targets.
    round: Option<Duration>,
    /// All targets before this one have been tried, or restored.
    first_unseen: usize,
    /// When the set of targets was last taken over.
    adopted: Moment,
    vigil: Vigil,
    doubt: SelfDoubt,
    /// When the doubt was last thought over.
    reflected: Moment,
    /// When this node last looked elsewhere because of somebody's silence.
    looked: Moment,
    /// Changes of the doubt that were not told yet.
    changes: Vec<DoubtChange>,
    /// Verdicts that changed with it, and were not told yet.
    forgiven: Vec<TargetVerdict>,
}

/// One target and its next probe.
#[derive(Clone, Debug)]
struct Appointment {
    identity: Arc<str>,
    monitor: Monitor,
    /// The next slot.
    due: Moment,
    /// When it should be probed before that, if so.
    hurried: Option<Moment>,
    probe: Option<Probe>,
    eye: Eye,
    /// Whether the last look would have brought it down, and was not believed.
    withheld: bool,
}

/// A probe under way.
#[derive(Clone, Copy, Debug)]
struct Probe {
    token: Token,
    begun: Moment,
    deadline: Moment,
    /// When it is given up.
    gives_up: Moment,
}

impl Schedule {
    /// An empty schedule; `seed` decides the phases.
    pub fn new(seed: u64) -> Schedule {
        Schedule { seed, ..Schedule::default() }
    }

    //--- The set of targets

    /// Takes over a new set of targets. Those known by identity keep their state, and a probe under way stays under way;
    /// new ones start unknown and are hurried; those gone are never probed again, and their late observations are
    /// ignored. The id of a target is its position in `targets`.
    pub fn adopt(&mut self, targets: &[Wanted], now: Moment) {
        let mut known: HashMap<Arc<str>, Appointment> = std::mem::take(&mut self.targets)
            .into_rows()
            .into_iter()
            .map(|appointment| (appointment.identity.clone(), appointment))
            .collect();
        self.targets = targets
            .iter()
            .map(|Wanted { identity, rules, role }| match known.remove(identity) {
                Some(appointment) => self.renewed(appointment, *rules, *role, now),
                None => self.fresh(identity, *rules, *role, now),
            })
            .collect();
        self.under_way_max = under_way_max(targets);
        self.hurries_per_second_max = hurries_per_second_max(targets.iter().map(|wanted| &wanted.rules));
        self.first_unseen = 0;
        self.skip_seen();
        self.adopted = now;
        // Ids mean other targets now; whoever adopts reads all verdicts anew.
        self.forgiven.clear();
        self.index();
        let rounds = || targets.iter().map(|wanted| wanted.rules.interval.saturating_add(wanted.rules.timeout));
        let slowest = rounds().max();
        self.round = rounds().min();
        self.doubt.adopt(self.targets.rows().iter().map(|appointment| &appointment.eye), slowest.unwrap_or_default());
    }

    /// A new appointment: to be tried soon, and then in its slots.
    fn fresh(&self, identity: &Arc<str>, rules: Rules, role: Role, now: Moment) -> Appointment {
        let due = self.slot_after(now, identity, rules.interval);
        let (monitor, eye) = (Monitor::new(rules, now), Eye::new(role));
        Appointment { identity: Arc::clone(identity), monitor, due, hurried: Some(now), probe: None, eye, withheld: false }
    }

    /// A kept appointment under the rules now in force. Another interval means other slots; a probe that is due sooner
    /// than the new slot stays due.
    fn renewed(&self, mut appointment: Appointment, rules: Rules, role: Role, now: Moment) -> Appointment {
        if appointment.monitor.rules().interval != rules.interval {
            appointment.due = appointment.due.min(self.slot_after(now, &appointment.identity, rules.interval));
        }
        appointment.monitor.adopt(rules);
        appointment.eye.role = role;
        appointment
    }

    /// Builds all indexes anew from the targets.
    fn index(&mut self) {
        self.by_identity.clear();
        self.waiting.clear();
        self.hurried.clear();
        self.under_way.clear();
        self.given_up.clear();
        for (target, appointment) in self.targets.iter() {
            self.by_identity.insert(appointment.identity.clone(), target);
            if let Some(Probe { token, gives_up, .. }) = appointment.probe {
                self.under_way.insert(token, target);
                self.given_up.insert((gives_up, token));
            } else {
                self.waiting.insert((appointment.due, target));
                self.hurried.extend(appointment.hurried.map(|hurried| (hurried, target)));
            }
        }
    }

    /// Goes on past the targets that have been tried. What was seen once stays so: none is looked at twice.
    fn skip_seen(&mut self) {
        let unseen = self.targets.rows()[self.first_unseen..].iter().position(|appointment| !appointment.monitor.is_seen());
        self.first_unseen = unseen.map_or(self.targets.len(), |further| self.first_unseen + further);
    }

    /// Believes what was remembered of a target that has not been observed yet: what a state file said. Its observations then count
    /// by rise and fall. Unknown identities are ignored.
    pub fn restore(&mut self, identity: &str, memory: &Memory, now: Moment) {
        if let Some(&target) = self.by_identity.get(identity)
            && self.targets[target].monitor.restore(memory, now)
        {
            self.doubt.handle_status(&mut self.targets[target].eye, memory.status);
            self.skip_seen();
        }
    }

    /// Believes `status` of a target whatever was seen of it: for looking at the past. None when nobody is known by this identity.
    pub fn impose(&mut self, identity: &str, status: Status, now: Moment) -> Option<TargetVerdict> {
        let target = *self.by_identity.get(identity)?;
        let Appointment { monitor, eye, .. } = &mut self.targets[target];
        let was = monitor.verdict().status;
        monitor.impose(status, now);
        let verdict = monitor.verdict();
        self.doubt.handle_status(eye, verdict.status);
        Some(TargetVerdict { target, verdict, was: (was != verdict.status).then_some(was) })
    }

    //--- Probes

    /// The next probe that is due at `now`; `None` when none is, or enough are under way. Also gives up probes whose
    /// observation is overdue, so that it must be called at [`Schedule::next_due`] even when nothing is expected of it; and at least
    /// once a second, since whoever does not was held up.
    pub fn poll_order(&mut self, now: Moment) -> Option<ProbeOrder> {
        self.wake(now);
        self.give_up_overdue(now);
        if self.under_way.len() >= self.under_way_max {
            return None;
        }
        let target = self.take_slot(now).or_else(|| self.take_hurried(now))?;
        Some(self.order(target, now))
    }

    /// Notes that this node is awake. If it stood still, it doubts its sight before anything else: it slept through reports, and what was
    /// under way may have run out of its time.
    fn wake(&mut self, now: Moment) {
        if let Some(still) = self.vigil.keep(now) {
            self.doubt.handle_standstill(still, now);
            self.reflect(now, Duration::ZERO);
        }
    }

    /// The target whose slot has come.
    fn take_slot(&mut self, now: Moment) -> Option<TargetId> {
        let &(due, target) = self.waiting.first().filter(|(due, _)| *due <= now)?;
        self.lateness.add(now.since(due));
        Some(target)
    }

    /// The target that is hurried most, while there is room.
    fn take_hurried(&mut self, now: Moment) -> Option<TargetId> {
        let &(_, target) = self.hurried.first().filter(|(due, _)| self.room_for_hurried().max(*due) <= now)?;
        self.hurries.push_back(now);
        // A reload may have left more of them than may now be.
        while self.hurries.len() > self.hurries_per_second_max {
            self.hurries.pop_front();
        }
        Some(target)
    }

    /// From when on another hurried probe fits into a second.
    fn room_for_hurried(&self) -> Moment {
        let is_full = self.hurries.len() >= self.hurries_per_second_max;
        self.hurries.front().filter(|_| is_full).map_or(Moment::START, |begun| begun.after(Duration::from_secs(1)))
    }

    /// Takes a target out of those that wait.
    fn unschedule(&mut self, target: TargetId) {
        let Appointment { due, hurried, .. } = &mut self.targets[target];
        self.waiting.remove(&(*due, target));
        if let Some(hurried) = hurried.take() {
            self.hurried.remove(&(hurried, target));
        }
    }

    fn order(&mut self, target: TargetId, now: Moment) -> ProbeOrder {
        self.unschedule(target);
        let token = Token(self.next_token);
        self.next_token += 1;
        let rules = *self.targets[target].monitor.rules();
        let deadline = now.after(rules.timeout);
        let gives_up = deadline.after(GRACE);
        let due = self.slot_after(now, &self.targets[target].identity, rules.interval);
        let appointment = &mut self.targets[target];
        appointment.due = due;
        appointment.probe = Some(Probe { token, begun: now, deadline, gives_up });
        self.under_way.insert(token, target);
        self.given_up.insert((gives_up, token));
        ProbeOrder { target, token, deadline }
    }

    /// When [`Schedule::poll_order`] has something to do next, if nothing else happens. May lie in the past.
    pub fn next_due(&self) -> Option<Moment> {
        let gives_up = self.given_up.first().map(|&(moment, _)| moment);
        if self.under_way.len() >= self.under_way_max {
            return gives_up;
        }
        let due = self.waiting.first().map(|&(moment, _)| moment);
        let hurried = self.hurried.first().map(|&(moment, _)| moment.max(self.room_for_hurried()));
        [due, hurried, gives_up].into_iter().flatten().min()
    }

    /// Takes the result of a probe. A token that is not under way any more is ignored: the probe was given up, or its
    /// target is gone.
    pub fn handle_observation(&mut self, token: Token, observation: Observation, now: Moment) -> Option<TargetVerdict> {
        self.wake(now);
        let target = *self.under_way.get(&token)?;
        self.heartbeat = Some(now);
        let Change { verdict, was } = self.conclude(target, observation, now)?;
        Some(TargetVerdict { target, verdict, was })
    }

    fn give_up_overdue(&mut self, now: Moment) {
        while let Some(&(moment, token)) = self.given_up.first() {
            if moment > now {
                return;
            }
            let target = self.under_way[&token];
            let change = self.conclude(target, Observation::Inconclusive(Doubt::Lag), now);
            debug_assert!(change.is_none(), "an inconclusive observation changes no verdict");
        }
    }

    /// Ends the probe of `target` and lets it wait for its next one.
    fn conclude(&mut self, target: TargetId, observation: Observation, now: Moment) -> Option<Change> {
        let probe = self.targets[target].probe.take().expect("the caller found the target by its probe under way");
        self.under_way.remove(&probe.token);
        self.given_up.remove(&(probe.gives_up, probe.token));
        let change = self.judge(target, probe, observation, now);
        self.skip_seen();
        let (due, hurried) = self.next_probe(target, probe, now);
        (self.targets[target].due, self.targets[target].hurried) = (due, hurried);
        self.waiting.insert((due, target));
        self.hurried.extend(hurried.map(|hurried| (hurried, target)));
        change
    }

    /// Lets an observation count, or not: silence, and failures of which others tell, only while this node trusts its eyes. What a program
    /// or an agent cannot reach, or cannot be heard to say, tells no more of the target then than silence does.
    fn judge(&mut self, target: TargetId, probe: Probe, observation: Observation, now: Moment) -> Option<Change> {
        let observation = unless_late(observation, probe, now);
        let look = Look { begun: probe.begun, saw: observation.sight() };
        let ended = self.doubt.handle_look(&mut self.targets[target].eye, look, now);
        self.tell(ended);
        let is_unseen = matches!(look.saw, Sight::Dark | Sight::Hearsay);
        self.targets[target].withheld = false;
        if is_unseen && !self.doubt.counts(Look { begun: missed_since(&observation, look.begun), ..look }) {
            self.targets[target].monitor.withhold(observation, now);
            return None;
        }
        if is_unseen && self.targets[target].monitor.is_about_to_fall() && !self.is_believed(target, now) {
            self.targets[target].withheld = true;
            self.targets[target].monitor.withhold(observation, now);
            return None;
        }
        let appointment = &mut self.targets[target];
        let change = appointment.monitor.handle_observation(observation, now)?;
        self.doubt.handle_status(&mut appointment.eye, change.verdict.status);
        if is_unseen && change.verdict.status == Status::Up {
            self.prepare_to_believe(target, now);
        }
        Some(change)
    }

    /// The next slot of `target`, and when it should be probed before that. A slot that passed meanwhile is lost.
    fn next_probe(&self, target: TargetId, probe: Probe, now: Moment) -> (Moment, Option<Moment>) {
        let Appointment { identity, monitor, due, withheld, .. } = &self.targets[target];
        let rules = monitor.rules();
        let slot = if *due > now { *due } else { self.slot_after(now, identity, rules.interval) };
        let hurried = match monitor.pace() {
            Pace::AtOnce => now.after(at_once(rules.fast_interval, probe.token)),
            Pace::Usual if !withheld => return (slot, None),
            Pace::Usual | Pace::Fast => probe.begun.after(rules.fast_interval).max(now),
        };
        (slot, Some(hurried).filter(|hurried| *hurried < slot))
    }

    /// The first slot of a target after `now`. Slots lie an interval apart, at a phase that only the identity and the
    /// seed decide.
    fn slot_after(&self, now: Moment, identity: &str, interval: Duration) -> Moment {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(INTERVAL_NANOS_MAX).clamp(1, INTERVAL_NANOS_MAX);
        let phase = mix(fnv1a(identity) ^ mix(self.seed)) % interval;
        let since_slot = (now.as_nanos() % interval + (interval - phase)) % interval;
        now.after(Duration::from_nanos(interval - since_slot))
    }

    //--- Doubt

    /// Whether `target`, which would go down now by silence or hearsay, is believed to be dead. If not, this node looks elsewhere.
    fn is_believed(&mut self, target: TargetId, now: Moment) -> bool {
        self.reflect(now, LOOK_ELSEWHERE_EVERY);
        let eye = &self.targets[target].eye;
        if self.doubt.believes(eye) {
            return true;
        }
        if let Some(since) = eye.silent_since() {
            self.look_elsewhere(since, now);
        }
        false
    }

    /// Looks elsewhere as soon as a target begins to fail unseen, so that its last such probe need not wait for proof. Where places
    /// are many, enough of them are seen in any second, and nothing is hurried.
    fn prepare_to_believe(&mut self, target: TargetId, now: Moment) {
        let eye = &self.targets[target].eye;
        let Some(since) = eye.silent_since() else { return };
        if self.doubt.places() <= PLACES_HURRIED_MAX && !self.doubt.believes(eye) {
            self.look_elsewhere(since, now);
        }
    }

    /// Makes one probe at once in each place where nothing was seen since `since`: its answer tells a dead target from a
    /// blind node, and needs not wait for the place's next slot.
    fn look_elsewhere(&mut self, since: Moment, now: Moment) {
        if now.since(self.looked) < LOOK_ELSEWHERE_EVERY {
            return;
        }
        self.looked = now;
        let mut places = BTreeSet::new();
        let mut hurried: Vec<TargetId> = Vec::new();
        for (target, appointment) in self.targets.iter() {
            let Appointment { eye, probe, .. } = appointment;
            let is_late = probe.is_none() && appointment.next() > now && self.doubt.would_tell(eye, since);
            if is_late && hurried.len() < LOOKS_ELSEWHERE_MAX && places.insert(eye.role) {
                hurried.push(target);
            }
        }
        for target in hurried {
            if let Some(before) = self.targets[target].hurried.replace(now) {
                self.hurried.remove(&(before, target));
            }
            self.hurried.insert((now, target));
        }
    }

    /// Thinks over whether this node sees, at most once in `every`.
    fn reflect(&mut self, now: Moment, every: Duration) {
        if now.since(self.reflected) < every {
            return;
        }
        self.reflected = now;
        let change = self.doubt.reflect(self.targets.rows().iter().map(|appointment| &appointment.eye), now);
        self.tell(change);
    }

    /// Keeps a change of the doubt to be told. What was not seen meanwhile, was not seen by a node that could not see: it is forgiven.
    fn tell(&mut self, change: Option<DoubtChange>) {
        let Some(change) = change else { return };
        let has_ended = matches!(change, DoubtChange::Ended(_));
        self.changes.push(change);
        for target in self.targets.iter().map(|(target, _)| target).collect::<Vec<_>>() {
            let appointment = &mut self.targets[target];
            let was_blind = !appointment.eye.sees();
            if let Some(Change { verdict, was }) = was_blind.then(|| appointment.monitor.forgive()).flatten() {
                self.forgiven.push(TargetVerdict { target, verdict, was });
            }
            if has_ended {
                self.targets[target].eye.forgive();
            }
        }
    }

    /// What changed about the trust that this node has in its own sight since the last call, and the verdicts that changed with it;
    /// to be called once in a while, since doubt may end by the mere passing of time.
    pub fn poll_doubt(&mut self, now: Moment) -> (Vec<DoubtChange>, Vec<TargetVerdict>) {
        self.reflect(now, REFLECT_EVERY);
        (std::mem::take(&mut self.changes), std::mem::take(&mut self.forgiven))
    }

    /// Why this node does not trust its own sight now, if so.
    pub const fn suspicion(&self) -> Option<&Suspicion> {
        self.doubt.suspicion()
    }

    //--- What is known

    /// Whether every target has been tried, or restored, at least once. An inconclusive try counts: waiting longer
    /// would not make this node see better.
    pub fn first_round_is_done(&self) -> bool {
        self.first_unseen == self.targets.len()
    }

    /// How late the probes of slots began since the start.
    pub const fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// When the last observation came in; `None` before the first. Probes given up do not count, so that a dead prober
    /// shows. See [`Schedule::is_alive`].
    pub const fn heartbeat(&self) -> Option<Moment> {
        self.heartbeat
    }

    /// Whether observations still come in as they should at `now`: the last one is not older than two rounds of the
    /// target that is probed most often, or the targets were only just adopted, or this node itself stood still. True while there is
    /// nothing to probe.
    pub fn is_alive(&self, now: Moment) -> bool {
        let Some(round) = self.round else { return true };
        let sign_of_life = self.heartbeat.unwrap_or_default().max(self.adopted).max(self.vigil.stood_still_until());
        now.since(sign_of_life) <= round.saturating_add(GRACE).saturating_mul(2)
    }

    /// The verdicts of all targets, in order: what a new [`super::Ledger`] starts from.
    pub fn verdicts(&self) -> impl Iterator<Item = TargetVerdict> {
        self.targets.iter().map(|(target, appointment)| TargetVerdict { target, verdict: appointment.monitor.verdict(), was: None })
    }

    /// All that was learned of a target, for a later life of the program.
    pub fn memory(&self, target: TargetId) -> Memory {
        self.targets[target].monitor.memory()
    }

    /// One target, for people.
    pub fn view(&self, target: TargetId) -> TargetView {
        let appointment = &self.targets[target];
        let Appointment { monitor, eye, withheld, .. } = appointment;
        let has_failed = matches!(monitor.last(), Some((_, Observation::Fail(_))));
        let is_silent = (eye.is_silent() || (has_failed && !eye.sees())) && monitor.verdict().status != Status::Down;
        TargetView {
            verdict: monitor.verdict(),
            since: monitor.since(),
            streak: monitor.streak(),
            last: monitor.last().cloned(),
            next: appointment.next(),
            suspect: *withheld || (is_silent && self.doubt.suspicion().is_some()),
            flaps: monitor.flaps(self.heartbeat.unwrap_or(self.adopted)),
            loss: monitor.loss(),
        }
    }
}

impl Appointment {
    /// When it is probed next, if there is room.
    fn next(&self) -> Moment {
        self.hurried.map_or(self.due, |hurried| hurried.min(self.due))
    }
}

/// Since when there must have been something that was not seen, when the probe that missed it began at `begun`: an agent is missed
/// for as long as its reports last.
fn missed_since(observation: &Observation, begun: Moment) -> Moment {
    if let Observation::Fail(FailReason::Silent(span)) = observation { begun.before(*span) } else { begun }
}

/// A probe that was said to have timed out long after its deadline was held up by this node, which may have slept through
/// the answer: it says nothing.
fn unless_late(observation: Observation, probe: Probe, now: Moment) -> Observation {
    let is_late = now.since(probe.deadline) > TOLD_LATE;
    if is_late && observation.is_out_of_time() { Observation::Inconclusive(Doubt::Lag) } else { observation }
}

/// How soon after a refusal the next probe is made: from a tenth to a fifth of the fast interval, spread by the token, so
/// that a machine of which a hundred targets refuse at once is not asked a hundred times in one millisecond.
fn at_once(fast_interval: Duration, token: Token) -> Duration {
    let earliest = at_once_earliest(fast_interval);
    let nanos = u64::try_from(earliest.as_nanos()).unwrap_or(u64::MAX).max(1);
    earliest.saturating_add(Duration::from_nanos(mix(token.0) % nanos))
}

/// How many probes may be under way at once: as many as there are when every target hangs until its timeout and still
/// is probed when it should be, so that one dead region never delays the look at another. Never more than there are targets.
fn under_way_max(targets: &[Wanted]) -> usize {
    let share = |Wanted { rules, .. }: &Wanted| {
        let step = rules.fast_interval.max(rules.timeout).as_nanos().max(1);
        (rules.timeout.as_nanos() * 1_000).div_ceil(step)
    };
    let hanging: u128 = targets.iter().map(share).sum();
    usize::try_from(hanging.div_ceil(1_000)).unwrap_or(usize::MAX).max(UNDER_WAY_MAX_AT_LEAST)
}

/// How many hurried probes may begin in a second: a tenth of those that begin in slots, or what these leave of a number that does no harm.
/// `targets` are the rules of each of them.
pub fn hurries_per_second_max<'a>(targets: impl Iterator<Item = &'a Rules>) -> usize {
    let in_an_hour = |rules: &Rules| Duration::from_hours(1).as_nanos() / rules.interval.as_nanos().max(1);
    let in_slots = targets.map(in_an_hour).sum::<u128>() / 3600;
    let in_slots = usize::try_from(in_slots).unwrap_or(usize::MAX);
    (in_slots / 10).max(HARMLESS_PER_SECOND.saturating_sub(in_slots))
}

/// A hash that is the same on every machine and in every version (FNV-1a, 64 bits).
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// How long after its deadline a probe is given up. Longer than any task takes to report on a machine that works.
const GRACE: Duration = Duration::from_secs(1);

/// A timeout that is reported later than this was not noticed in time. A quarter of the usual timeout; no healthy machine
/// keeps a timer waiting for so long.
const TOLD_LATE: Duration = Duration::from_millis(500);

/// How often it is thought over whether this node sees, when nothing asks for it.
const REFLECT_EVERY: Duration = Duration::from_secs(1);

/// How often it is thought over while targets would go down, and nothing else was seen: all targets are looked through.
const LOOK_ELSEWHERE_EVERY: Duration = Duration::from_millis(100);

/// With so many places at most, a first silence makes this node look elsewhere at once. A lost packet then costs as many probes.
const PLACES_HURRIED_MAX: usize = 16;

/// So many places are looked at, at once, to tell a dead target from a blind node. More would be a burst.
const LOOKS_ELSEWHERE_MAX: usize = 64;

/// The first round makes all probes at once; this many are a quarter of the 1024 descriptors that a process gets
/// unasked, and enough for small configs.
const UNDER_WAY_MAX_AT_LEAST: usize = 256;

/// Below so many probes a second nobody needs to wait: over TLS they take a third of a core. Chosen so that above it no second ever holds a fifth more
/// than the mean: ten thousand targets every ten seconds are 1,000, chance puts a twentieth more into some seconds, and 100 are left.
const HARMLESS_PER_SECOND: usize = 1_100;

/// 146 years: a quarter of what a [`Moment`] can tell, so that a sum of two intervals still fits.
const INTERVAL_NANOS_MAX: u64 = u64::MAX / 4;

#[cfg(test)]
mod tests {
    use super::super::FailReason;
    use super::super::Verdict;
    use super::*;
    use crate::ids::Id;

    const RULES: Rules = Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 2, 2);
    const PASS: Observation = Observation::Pass { connect: Duration::from_millis(1), total: Duration::from_millis(2) };
    const FAIL: Observation = Observation::Fail(FailReason::Refused);

    fn at(millis: u64) -> Moment {
        Moment::START.after(Duration::from_millis(millis))
    }

    fn wanted(identity: &str, rules: Rules) -> Wanted {
        Wanted { identity: identity.into(), rules, role: Role::Member { place: 0 } }
    }

    fn named(count: usize) -> Vec<Wanted> {
        (0..count).map(|number| wanted(&format!("tcp 192.0.2.{}:{number}", number % 250), RULES)).collect()
    }

    fn schedule(count: usize) -> Schedule {
        let mut schedule = Schedule::new(7);
        schedule.adopt(&named(count), Moment::START);
        schedule
    }

    /// The prober of these tests: makes every probe that is ordered until `end`, each of which takes `duration` and then
    /// passes, or never reports back. Returns the start of every probe.
    fn run(schedule: &mut Schedule, from: Moment, end: Moment, duration: Option<Duration>) -> Vec<(TargetId, Moment)> {
        let mut started = Vec::new();
        let mut ending: BTreeSet<(Moment, Token)> = BTreeSet::new();
        let mut now = from;
        while now < end {
            while ending.first().is_some_and(|&(moment, _)| moment <= now) {
                let (_, token) = ending.pop_first().expect("it has a first");
                schedule.handle_observation(token, PASS, now);
            }
            while let Some(order) = schedule.poll_order(now) {
                assert_eq!(order.deadline, now.after(RULES.timeout));
                started.push((order.target, now));
                ending.extend(duration.map(|duration| (now.after(duration), order.token)));
            }
            let next = [schedule.next_due(), ending.first().map(|&(moment, _)| moment)];
            now = next.into_iter().flatten().min().expect("there is always a next probe");
        }
        started
    }

    /// The only probe due now.
    fn order(schedule: &mut Schedule, now: Moment) -> ProbeOrder {
        let order = schedule.poll_order(now).expect("a probe is due");
        assert_eq!(schedule.poll_order(now), None);
        order
    }

    #[test]
    fn the_first_round_is_made_at_once_but_never_more_than_the_limit_under_way() {
        let mut schedule = schedule(1_000);
        let orders: Vec<_> = std::iter::from_fn(|| schedule.poll_order(Moment::START)).collect();
        // A thousand targets that hang for 2 s of every 5 s are 400 probes at any time.
        assert_eq!(orders.len(), 400);
        schedule.handle_observation(orders[0].token, PASS, at(3));
        assert!(schedule.poll_order(at(3)).is_some());
        assert!(schedule.poll_order(at(3)).is_none());
    }

    #[test]
    fn what_slots_leave_of_a_second_is_for_the_hurried_and_a_tenth_at_least() {
        let max = |count| hurries_per_second_max(named(count).iter().map(|wanted| &wanted.rules));
        assert_eq!([max(0), max(5), max(500), max(4_500), max(5_500), max(10_000)], [1_100, 1_099, 1_000, 200, 110, 200]);
    }

    #[test]
    fn a_small_config_may_have_256_probes_under_way_and_no_more() {
        assert_eq!(under_way_max(&named(640)), 256);
        assert_eq!(under_way_max(&named(643)), 258);
    }

    #[test]
    fn every_target_is_probed_exactly_once_per_interval() {
        let mut schedule = schedule(1_000);
        let started = run(&mut schedule, Moment::START, at(60_000), Some(Duration::from_millis(30)));
        let mut starts: BTreeMap<TargetId, Vec<Moment>> = BTreeMap::new();
        for (target, moment) in started {
            starts.entry(target).or_default().push(moment);
        }
        assert_eq!(starts.len(), 1_000);
        for moments in starts.values() {
            // The first is made soon, and the first round may crowd out a slot; from then on all slots are met.
            let settled = &moments[moments.partition_point(|&moment| moment < at(2_000))..];
            assert!(settled[0] < at(7_000));
            assert!(settled.windows(2).all(|pair| pair[1].since(pair[0]) == RULES.interval), "{moments:?}");
            assert!(settled.len() >= 11);
        }
    }

    #[test]
    fn probes_spread_evenly_over_the_interval() {
        let mut schedule = schedule(1_000);
        let started = run(&mut schedule, Moment::START, at(60_000), Some(Duration::from_millis(30)));
        let mut per_second = [0u32; 60];
        for (_, moment) in started {
            per_second[usize::try_from(moment.as_nanos() / 1_000_000_000).expect("a minute")] += 1;
        }
        assert!(per_second[6..].iter().all(|&count| (160..=240).contains(&count)), "{per_second:?}");
    }

    #[test]
    fn two_seeds_give_two_phases_and_one_seed_gives_one() {
        let slot = |seed| Schedule::new(seed).slot_after(Moment::START, "tcp 192.0.2.1:80", RULES.interval);
        assert_eq!(slot(1), slot(1));
        assert_ne!(slot(1), slot(2));
    }

    #[test]
    fn a_target_is_never_probed_twice_at_a_time() {
        let mut schedule = schedule(50);
        // Slower than the interval: only a prober that breaks its promise is.
        let started = run(&mut schedule, Moment::START, at(60_000), None);
        for target in (0..50).map(TargetId::new) {
            let moments: Vec<_> = started.iter().filter(|(other, _)| *other == target).map(|(_, moment)| *moment).collect();
            assert!(moments.windows(2).all(|pair| pair[1].since(pair[0]) >= RULES.timeout + GRACE), "{moments:?}");
        }
    }

    #[test]
    fn a_probe_that_never_reports_back_is_given_up_as_lag_and_the_target_goes_on() {
        let mut schedule = schedule(1);
        let lost = order(&mut schedule, Moment::START);
        assert!(schedule.next_due().is_some_and(|due| due <= at(3_000)));
        assert_eq!(schedule.poll_order(at(2_999)), None);
        assert_eq!(schedule.view(lost.target).last, None);
        schedule.poll_order(at(3_000));
        assert_eq!(schedule.view(lost.target).last, Some((at(3_000), Observation::Inconclusive(Doubt::Lag))));
        let again = run(&mut schedule, at(3_000), at(20_000), Some(Duration::from_millis(1)));
        assert!(again.len() >= 3);
    }

    #[test]
    fn a_timeout_that_is_told_long_after_its_deadline_says_nothing() {
        for (late_ms, expected) in [(500, Status::Down), (501, Status::Unknown)] {
            let mut schedule = schedule(1);
            let probe = order(&mut schedule, Moment::START);
            let told = probe.deadline.after(Duration::from_millis(late_ms));
            // Meanwhile the node is awake.
            schedule.poll_order(probe.deadline);
            schedule.handle_observation(probe.token, Observation::Fail(FailReason::Timeout), told);
            assert_eq!(schedule.view(probe.target).verdict.status, expected, "{late_ms} ms");
        }
    }

    #[test]
    fn an_observation_that_comes_after_the_probe_was_given_up_is_ignored() {
        let mut schedule = schedule(1);
        let lost = order(&mut schedule, Moment::START);
        while let Some(due) = schedule.next_due().filter(|due| *due <= at(3_000)) {
            schedule.poll_order(due);
        }
        assert!(schedule.handle_observation(lost.token, FAIL, at(3_001)).is_none());
        assert_eq!(schedule.view(lost.target).verdict, Verdict::UNKNOWN);
        assert_eq!(schedule.heartbeat(), None);
    }

    #[test]
    fn a_late_caller_makes_one_probe_per_target_and_skips_what_it_missed() {
        let mut schedule = schedule(20);
        run(&mut schedule, Moment::START, at(10_000), Some(Duration::from_millis(1)));
        let caught_up: Vec<_> = std::iter::from_fn(|| schedule.poll_order(at(60_000))).collect();
        assert_eq!(caught_up.len(), 20);
        for order in caught_up {
            schedule.handle_observation(order.token, PASS, at(60_001));
            let next = schedule.view(order.target).next;
            assert!(next > at(60_000) && next <= at(65_000), "{next:?}");
        }
    }

    #[test]
    fn the_first_observation_is_told_and_so_is_the_flip() {
        let mut schedule = schedule(1);
        let first = order(&mut schedule, Moment::START);
        let told = schedule.handle_observation(first.token, PASS, at(1)).expect("the first observation decides");
        assert_eq!((told.target, told.verdict.status, told.was), (first.target, Status::Up, Some(Status::Unknown)));
        let mut flips = Vec::new();
        for _ in 0..2 {
            let due = schedule.next_due().expect("one target");
            let order = order(&mut schedule, due);
            flips.push(schedule.handle_observation(order.token, FAIL, due).expect("the streak grew").was);
        }
        assert_eq!(flips, [None, Some(Status::Up)]);
        let view = schedule.view(first.target);
        assert_eq!((view.verdict.status, view.streak), (Status::Down, 0));
    }

    #[test]
    fn a_token_counts_once() {
        let mut schedule = schedule(1);
        let order = order(&mut schedule, Moment::START);
        assert!(schedule.handle_observation(order.token, FAIL, at(1)).is_some());
        assert!(schedule.handle_observation(order.token, FAIL, at(1)).is_none());
        assert_eq!(schedule.view(order.target).verdict.status, Status::Down);
    }

    //--- Reloads

    #[test]
    fn a_kept_target_keeps_its_state_its_slot_and_its_probe_under_a_new_id() {
        let mut schedule = schedule(3);
        run(&mut schedule, Moment::START, at(20_000), Some(Duration::from_millis(1)));
        let due = schedule.next_due().expect("three targets");
        let order = order(&mut schedule, due);
        let before = schedule.view(order.target);
        let mut reversed = named(3);
        reversed.reverse();
        schedule.adopt(&reversed, due);
        let renamed = TargetId::new(2 - order.target.index());
        assert_eq!((schedule.view(renamed).next, schedule.view(renamed).verdict), (before.next, before.verdict));
        let told = schedule.handle_observation(order.token, FAIL, due.after(RULES.timeout)).expect("the streak grew");
        assert_eq!(told.target, renamed);
    }

    #[test]
    fn a_target_that_is_gone_is_never_probed_again_and_its_observation_is_ignored() {
        let mut schedule = schedule(2);
        let orders: Vec<_> = std::iter::from_fn(|| schedule.poll_order(Moment::START)).collect();
        schedule.adopt(&named(2)[1..], at(1));
        assert!(schedule.handle_observation(orders[0].token, PASS, at(2)).is_none());
        assert!(schedule.handle_observation(orders[1].token, PASS, at(2)).is_some());
        let started = run(&mut schedule, at(2), at(60_000), Some(Duration::from_millis(1)));
        assert!(started.len() >= 11 && started.iter().all(|(target, _)| target.index() == 0));
    }

    #[test]
    fn a_new_target_is_due_at_once_beside_kept_ones_that_are_not() {
        let mut schedule = schedule(2);
        run(&mut schedule, Moment::START, at(1_000), Some(Duration::from_millis(1)));
        let due = schedule.next_due().expect("two targets");
        schedule.adopt(&named(3), Moment::from_nanos(due.as_nanos() - 1));
        assert_eq!(order(&mut schedule, Moment::from_nanos(due.as_nanos() - 1)).target.index(), 2);
        assert!(!schedule.first_round_is_done());
    }

    #[test]
    fn a_shorter_interval_takes_effect_at_once() {
        let slow = Rules { interval: Duration::from_hours(1), ..RULES };
        let mut schedule = Schedule::new(7);
        schedule.adopt(&[wanted("a", slow)], Moment::START);
        run(&mut schedule, Moment::START, at(1), Some(Duration::ZERO));
        schedule.adopt(&[wanted("a", RULES)], at(1_000));
        assert!(schedule.next_due().is_some_and(|due| due <= at(6_000)));
        assert_eq!(schedule.view(TargetId::new(0)).verdict.holds, Duration::from_secs(10));
    }

    #[test]
    fn a_restored_status_counts_for_the_first_round_and_gives_way_to_fall_failures() {
        let mut schedule = schedule(1);
        schedule.restore("nobody", &Memory::of(Status::Up, Moment::START), Moment::START);
        assert!(!schedule.first_round_is_done());
        schedule.restore(&named(1)[0].identity, &Memory::of(Status::Up, Moment::START), Moment::START);
        assert!(schedule.first_round_is_done());
        let first = order(&mut schedule, Moment::START);
        let told = schedule.handle_observation(first.token, FAIL, at(1)).expect("the streak grew");
        assert_eq!((told.verdict.status, told.was), (Status::Up, None));
    }

    //--- Signs of life

    #[test]
    fn the_first_round_is_done_when_the_last_target_was_tried_even_in_vain() {
        let mut schedule = schedule(2);
        let orders: Vec<_> = std::iter::from_fn(|| schedule.poll_order(Moment::START)).collect();
        schedule.handle_observation(orders[0].token, PASS, at(1));
        assert!(!schedule.first_round_is_done());
        schedule.handle_observation(orders[1].token, Observation::Inconclusive(Doubt::NoRoute), at(2));
        assert!(schedule.first_round_is_done());
    }

    #[test]
    fn a_schedule_is_alive_while_observations_come_in_and_for_two_rounds_after() {
        let mut schedule = schedule(1);
        let order = order(&mut schedule, Moment::START);
        schedule.handle_observation(order.token, FAIL, at(1_000));
        assert_eq!(schedule.heartbeat(), Some(at(1_000)));
        assert!(schedule.is_alive(at(17_000)));
        assert!(!schedule.is_alive(at(17_001)));
        assert!(Schedule::new(1).is_alive(at(1_000_000)));
    }

    #[test]
    fn all_verdicts_are_told_to_a_new_ledger_in_order() {
        let mut schedule = schedule(3);
        let orders: Vec<_> = std::iter::from_fn(|| schedule.poll_order(Moment::START)).collect();
        schedule.handle_observation(orders[1].token, FAIL, at(1));
        let told: Vec<_> = schedule.verdicts().map(|told| (told.target.index(), told.verdict.status)).collect();
        assert_eq!(told, [(0, Status::Unknown), (1, Status::Down), (2, Status::Unknown)]);
    }
}
