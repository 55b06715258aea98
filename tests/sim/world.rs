//! A world in one thread: machines, a network, a node, operators and clients, under one clock that only events move.
//!
//! Everything follows from a seed. After every event the promises (`promises.rs`) are held against what is true out there.

use super::chance::Chance;
use super::clients::{Answer, Asked, Caches};
use super::disk::{Disk, End, Save, ms};
use super::journal::Diary;
use super::machine::{Cut, Fate, Machines, Scope, Spot, Truth, Way};
use super::node::{Flight, GIVEN_UP_AFTER, Node};
use super::operator::{Book, Whom};
use super::oracle::{Look, Oracle};
use super::plan::{Check, Kind, Plan, Seat};
use super::promises::Broken;
use super::trace::{Entry, Trace};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use steersman::answer::{Disposition, Outcome, UDP_PAYLOAD_MAX};
use steersman::beliefs::{Change, OverrideChange, Saved};
use steersman::check;
use steersman::clock::Moment;
use steersman::health::{FailReason, Observation, ProbeOrder, Rules, Status, Token};
use steersman::ids::{Id, PoolId};
use steersman::io::state_text::Reading;
use steersman::judge::{Event as Passed, Wish};
use steersman::rng::mix;
use steersman::snapshot::Snapshot;

/// The world.
pub struct World {
    pub plan: Plan,
    pub node: Node,
    pub machines: Machines,
    pub oracle: Oracle,
    pub book: Book,
    pub caches: Caches,
    pub trace: Trace,
    pub now: Moment,
    /// One per target of the config in force.
    pub targets: Vec<Target>,
    /// The targets by what they ask.
    pub checks: BTreeMap<Check, usize>,
    /// By address.
    pub seats: BTreeMap<IpAddr, Seat>,
    /// Since when nothing has disturbed the node itself.
    pub calm_since: Moment,
    /// Since when the control side does its work.
    pub awake_since: Moment,
    /// Since when every machine is well.
    pub well_since: Option<Moment>,
    /// How fast this world lives.
    pub tempo: Duration,
    queue: BTreeMap<(Moment, u64), Event>,
    next_id: u64,
    /// The control side stands still until then.
    stalled: Option<Stall>,
    /// When the control side wants its next turn.
    wakes: Moment,
    life: u32,
    /// When the node last stopped to doubt its sight, as the process counts.
    doubt_ended: Moment,
    seed: u64,
    pub disk: Disk,
    pub diary: Diary,
    /// Who stood when that was last looked at, under the config in force, and in this life.
    pub standing: BTreeSet<Seat>,
    /// What the wall clock of the machine said when it was last set, as the time since 1970, and when that was.
    pub wall: (Duration, Moment),
    pub swept: Moment,
    pub chance: Chances,
}

/// One target, and the truth about it.
#[derive(Clone)]
pub struct Target {
    pub identity: Arc<str>,
    pub rules: Rules,
    pub spot: Spot,
    pub check: Option<Check>,
    pub truth: Truth,
    /// Since when that is the truth.
    pub since: Moment,
    /// When its last probe began, in this life and under this config, and whether that ended in time for the next.
    pub last_begun: Option<Moment>,
}

/// What was believed under a config that is gone.
pub struct Beliefs {
    /// By the name of the pool and the address; of those only that were not disabled.
    pub of_addresses: BTreeMap<(String, IpAddr), Status>,
    /// Everything that was probed.
    pub targets: BTreeSet<Arc<str>>,
}

/// The control side does nothing until then.
#[derive(Clone, Copy)]
struct Stall {
    since: Moment,
    until: Moment,
    /// The whole machine sleeps, and nobody is answered; its steady clock stands still, and its wall clock does not.
    asleep: bool,
}

/// A stream of chance for each part of the world.
pub struct Chances {
    pub machines: Chance,
    pub prober: Chance,
    pub operators: Chance,
    pub clients: Chance,
    /// So many percent of the observations get lost on their way.
    lost_percent: u64,
}

enum Event {
    Returns(Token, u32, Observation),
    Breaks,
    Mends(u64),
    Cuts,
    Stalls,
    Sleeps,
    /// The wall clock is set, to what is right or otherwise; and whether that comes again.
    Sets {
        right: bool,
        again: bool,
    },
    Orders {
        again: bool,
    },
    Reloads {
        again: bool,
    },
    Restarts {
        again: bool,
    },
    Saves,
    Asks,
}

impl Event {
    /// Whether the control side hears of it.
    const fn wakes(&self) -> bool {
        match self {
            Event::Returns(..) | Event::Orders { .. } | Event::Reloads { .. } | Event::Restarts { .. } | Event::Saves => true,
            Event::Breaks | Event::Mends(_) | Event::Cuts | Event::Stalls | Event::Sleeps | Event::Sets { .. } | Event::Asks => false,
        }
    }
}

/// The time since 1970 at the beginning of every world: in 2027.
const EPOCH: Duration = Duration::from_hours(500_000);

/// Saved verdicts older than this are not believed, as `state_max_age` says by default.
const STATE_AGE_MAX: Duration = Duration::from_mins(10);

impl World {
    /// The world that follows from a seed.
    pub fn new(seed: u64) -> World {
        let plan = if seed == 0 { Plan::small() } else { Plan::drawn(&mut Chance::new(mix(seed))) };
        World::of(plan, seed)
    }

    /// A world with these operators' wishes; all else follows from the seed.
    pub fn of(plan: Plan, seed: u64) -> World {
        let mut chance = Chance::new(seed);
        let tempo = plan.tempo();
        let snapshot = Arc::new(plan.compile());
        let lost_percent = if chance.percent(15) { chance.between(1, 10) } else { 0 };
        let chances =
            Chances { machines: chance.fork(), prober: chance.fork(), operators: chance.fork(), clients: chance.fork(), lost_percent };
        let node = Node::start(Arc::clone(&snapshot), &Saved::default(), seed, EPOCH, Moment::START);
        let mut world = World {
            node,
            machines: Machines::default(),
            oracle: Oracle::default(),
            book: Book::default(),
            caches: Caches::default(),
            trace: Trace::default(),
            now: Moment::START,
            targets: Vec::new(),
            checks: BTreeMap::new(),
            seats: BTreeMap::new(),
            calm_since: Moment::START,
            awake_since: Moment::START,
            well_since: Some(Moment::START),
            tempo,
            queue: BTreeMap::new(),
            next_id: 0,
            stalled: None,
            wakes: Moment::START,
            life: 0,
            doubt_ended: Moment::START,
            seed,
            disk: Disk::default(),
            diary: Diary::new(tempo),
            standing: BTreeSet::new(),
            wall: (EPOCH, Moment::START),
            swept: Moment::START,
            chance: chances,
            plan,
        };
        world.learn(&snapshot);
        world.diary.begin(&world.node.beliefs, Moment::START.after(EPOCH), EPOCH);
        for (event, mean) in world.accidents() {
            let first = world.chance.machines.around(mean);
            world.schedule(first, event);
        }
        world
    }

    /// What comes again and again, and how far apart on the average.
    fn accidents(&self) -> [(Event, Duration); 10] {
        [
            (Event::Breaks, self.tempo * 60),
            (Event::Cuts, self.tempo * 1_200),
            (Event::Stalls, self.tempo * 1_500),
            (Event::Sleeps, self.tempo * 4_000),
            (Event::Sets { right: false, again: true }, self.tempo * 900),
            (Event::Orders { again: true }, self.tempo * 400),
            (Event::Reloads { again: true }, self.tempo * 700),
            (Event::Restarts { again: true }, self.tempo * 2_000),
            (Event::Saves, self.tempo * 20),
            (Event::Asks, self.tempo * 4),
        ]
    }

    /// Reads what the compiler made of the plan.
    fn learn(&mut self, snapshot: &Snapshot) {
        self.seats = self.plan.addresses();
        let known: BTreeMap<Arc<str>, Target> =
            std::mem::take(&mut self.targets).into_iter().map(|target| (Arc::clone(&target.identity), target)).collect();
        let (plan, now, seats) = (&self.plan, self.now, &self.seats);
        let target = |target: &steersman::snapshot::Target| {
            let (check, spot) = spot(plan, seats, target);
            let (truth, since) = known.get(&target.identity).map_or((Truth::Well, now), |known| (known.truth, known.since));
            Target { identity: Arc::clone(&target.identity), rules: target.rules, spot, check, truth, since, last_begun: None }
        };
        self.targets = snapshot.targets.rows().iter().map(target).collect();
        self.checks = self.targets.iter().enumerate().filter_map(|(index, target)| Some((target.check.clone()?, index))).collect();
        self.tell_truth();
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.next_id += 1;
        self.queue.insert((self.now.after(after), self.next_id), event);
    }

    pub fn say(&mut self, text: String) {
        self.trace.push(self.now, Entry::Said(text));
    }

    //--- The clock

    /// Lives for so long, or until a promise is broken.
    pub fn live(&mut self, lasts: Duration) -> Result<(), Broken> {
        let end = Moment::START.after(lasts);
        loop {
            let next = self.queue.first_key_value().map_or(end, |(&(at, _), _)| at);
            let wake = self.stalled.map_or(self.wakes, |stall| stall.until);
            let now = next.min(wake).max(self.now);
            if now >= end {
                return Ok(());
            }
            self.now = now;
            // Whoever wakes up may hear first what came meanwhile, or look first at what is due.
            let is_heard_first = self.awake_when_due() && self.chance.prober.percent(50);
            if now >= wake && !is_heard_first {
                self.turn()?;
            }
            let mut is_heard = is_heard_first;
            while let Some((&key, _)) = self.queue.first_key_value().filter(|((at, _), _)| *at <= self.now) {
                let event = self.queue.remove(&key).expect("it is the first");
                is_heard |= event.wakes();
                self.handle(event)?;
            }
            if is_heard && self.stalled.is_none() {
                self.turn()?;
            }
        }
    }

    /// Wakes the node up when it is time to. Says whether it is.
    fn awake_when_due(&mut self) -> bool {
        let Some(Stall { since, asleep, .. }) = self.stalled.take_if(|stall| stall.until <= self.now) else { return false };
        let lasted = self.now.since(since);
        if asleep {
            self.node.sleep(lasted);
            self.diary.blur();
        }
        // Agents report again when their turn comes.
        let missed = if asleep || lasted <= STANDSTILL { 0 } else { self.chance.machines.between(0, 500) };
        self.listen(self.now.after(Duration::from_millis(missed)));
        (self.awake_since, self.calm_since) = (self.now, self.now);
        self.say("the node is awake again".to_owned());
        true
    }

    fn handle(&mut self, event: Event) -> Result<(), Broken> {
        let (tempo, awake) = (self.tempo, self.stalled.is_none());
        match event {
            Event::Returns(token, life, observation) => return self.comes_back(token, life, observation),
            Event::Mends(id) => self.mend(id),
            Event::Asks => {
                let again = self.chance.clients.around(tempo * 4);
                self.schedule(again, Event::Asks);
                if self.stalled.is_some_and(|stall| stall.asleep) {
                    return Ok(());
                }
                for _ in 0..self.chance.clients.between(1, 3) {
                    self.ask()?;
                }
            }
            Event::Breaks => self.break_down(),
            Event::Cuts => self.cut(),
            Event::Stalls => self.stall(),
            Event::Sleeps => self.sleep(),
            Event::Sets { right, again } => {
                if again {
                    let next = self.chance.machines.around(tempo * 900);
                    self.schedule(next, Event::Sets { right: false, again });
                }
                self.set_clock(right);
            }
            Event::Orders { again } => {
                if again {
                    let next = self.chance.operators.around(tempo * 400);
                    self.schedule(next, Event::Orders { again });
                }
                if awake {
                    self.operate()?;
                }
            }
            Event::Reloads { again } => {
                if again {
                    let next = self.chance.operators.around(tempo * 700);
                    self.schedule(next, Event::Reloads { again });
                }
                if awake {
                    self.reload()?;
                }
            }
            Event::Restarts { again } => {
                if again {
                    let next = self.chance.operators.around(tempo * 2_000);
                    self.schedule(next, Event::Restarts { again });
                }
                if awake {
                    self.restart()?;
                }
            }
            Event::Saves => {
                self.schedule(tempo * 20, Event::Saves);
                if awake {
                    self.save();
                }
            }
        }
        Ok(())
    }

    //--- Machines and the network

    fn break_down(&mut self) {
        let chance = &mut self.chance.machines;
        let pool = chance.one_of(&self.plan.pools);
        let host = chance.one_of(&pool.members).host;
        let scope = match chance.index(10) {
            0 if self.plan.sites > 0 => Scope::Site(chance.index(self.plan.sites)),
            1 => Scope::Canaries,
            2 | 3 => Scope::Service(host, chance.one_of(&self.plan.monitors).port),
            _ => Scope::Host(host),
        };
        let fate = Fate::drawn(self.tempo, chance);
        let mean = *chance.one_of(&[self.tempo * 2, self.tempo * 30, self.tempo * 120]);
        let (lasts, again) = (chance.around(mean), chance.around(self.tempo * 60));
        self.schedule(again, Event::Breaks);
        let id = self.next_id;
        self.schedule(lasts, Event::Mends(id));
        self.machines.break_down(id, scope, fate);
        self.say(format!("{scope:?} breaks down: {fate:?}"));
        self.tell_truth();
    }

    fn cut(&mut self) {
        let chance = &mut self.chance.machines;
        let cut = *chance.one_of(&[Cut::Silent, Cut::Silent, Cut::NoRoute, Cut::NoRouteV6]);
        let mean = *chance.one_of(&[Duration::from_secs(3), Duration::from_mins(1), self.tempo * 100]);
        let (lasts, again) = (chance.around(mean), chance.around(self.tempo * 1_200));
        let is_reloaded = chance.percent(30);
        self.schedule(again, Event::Cuts);
        let id = self.next_id;
        self.schedule(lasts, Event::Mends(id));
        if is_reloaded {
            self.schedule(lasts / 2, Event::Reloads { again: false });
        }
        self.machines.cut(id, cut);
        self.listen(self.now);
        self.say(format!("the node is cut off: {cut:?}"));
        self.calm_since = self.now;
    }

    /// Agents are heard from `when` on, or not.
    fn listen(&mut self, when: Moment) {
        if self.machines.is_cut_off() || self.stalled.is_some_and(|stall| !stall.asleep) {
            self.machines.fall_deaf(self.now);
        } else {
            self.machines.hear(when);
        }
    }

    fn mend(&mut self, id: u64) {
        if self.machines.node().is_some() {
            self.calm_since = self.now;
        }
        self.machines.mend(id);
        self.listen(self.now);
        self.say(format!("something is mended; {}", if self.machines.node().is_some() { "cut off" } else { "not cut off" }));
        self.tell_truth();
    }

    fn stall(&mut self) {
        let chance = &mut self.chance.machines;
        let mean = *chance.one_of(&[Duration::from_millis(300), Duration::from_secs(5), Duration::from_mins(1)]);
        let (lasts, again) = (chance.around(mean), chance.around(self.tempo * 1_500));
        self.schedule(again, Event::Stalls);
        self.say(format!("the node stands still for {lasts:?}"));
        self.stop(lasts, false);
        self.listen(self.now);
    }

    /// A virtual machine is suspended, or a laptop closed.
    fn sleep(&mut self) {
        let chance = &mut self.chance.machines;
        let mean = *chance.one_of(&[Duration::from_secs(2), Duration::from_mins(1), Duration::from_mins(30)]);
        let (lasts, again) = (chance.around(mean), chance.around(self.tempo * 4_000));
        self.schedule(again, Event::Sleeps);
        if self.stalled.is_some() {
            return;
        }
        self.say(format!("the machine sleeps for {lasts:?}"));
        // What is under way goes by the steady clock, which stands still.
        let waits: Vec<_> = self.queue.iter().filter(|(_, event)| matches!(event, Event::Returns(..))).map(|(key, _)| *key).collect();
        for (at, id) in waits {
            let event = self.queue.remove(&(at, id)).expect("found");
            self.queue.insert((at.after(lasts), id), event);
        }
        self.stop(lasts, true);
    }

    fn stop(&mut self, lasts: Duration, asleep: bool) {
        // Who stands still already does so for as long as was said first.
        self.stalled.get_or_insert(Stall { since: self.now, until: self.now.after(lasts), asleep });
        self.calm_since = self.now;
    }

    /// Somebody sets the wall clock, or a daemon does.
    fn set_clock(&mut self, right: bool) {
        let is_right = EPOCH + self.now.since(Moment::START);
        let says = if right { is_right } else { self.wrong_time(is_right) };
        self.say(format!("the wall clock is set from {:?} to {says:?}", self.wall()));
        self.wall = (says, self.now);
        self.diary.blur();
    }

    /// Another time than the clock shows now.
    fn wrong_time(&mut self, is_right: Duration) -> Duration {
        let shown = self.wall();
        let chance = &mut self.chance.machines;
        let mean = *chance.one_of(&[Duration::from_millis(700), Duration::from_secs(30), Duration::from_hours(1)]);
        let by = chance.around(mean);
        match chance.index(5) {
            0 | 1 => shown + by,
            2 | 3 => shown.saturating_sub(by),
            _ => is_right,
        }
    }

    /// What the wall clock says now, as the time since 1970.
    pub fn wall(&self) -> Duration {
        let (says, then) = self.wall;
        says + self.now.since(then)
    }

    /// The same in whole seconds.
    pub fn unix_s(&self) -> u64 {
        self.wall().as_secs()
    }

    /// All who stand there fall silent, for good.
    pub fn silence(&mut self, site: usize) {
        self.machines.break_down(u64::MAX, Scope::Site(site), Fate::Hangs);
        self.tell_truth();
    }

    /// Works out what is true of each target now.
    fn tell_truth(&mut self) {
        for target in &mut self.targets {
            let truth = self.machines.truth(target.spot, target.rules.timeout);
            if truth != target.truth {
                (target.truth, target.since) = (truth, self.now);
            }
        }
        let all_well = self.machines.are_well();
        self.well_since = if all_well { Some(self.well_since.unwrap_or(self.now)) } else { None };
    }

    //--- The node

    fn turn(&mut self) -> Result<(), Broken> {
        let mut orders = Vec::new();
        let doubted = self.node.beliefs.suspicion().is_some();
        let changes = self.node.turn(self.now, self.wall(), &mut orders);
        self.note_doubt(doubted);
        let at = self.node.moment(self.now);
        self.node.under_way.retain(|_, flight| flight.deadline.after(GIVEN_UP_AFTER) > at);
        for order in orders {
            self.start(order)?;
        }
        let is_news = !changes.is_empty();
        for change in changes {
            self.hear(&change)?;
        }
        if is_news {
            self.keeps_its_views()?;
        }
        if self.now.since(self.swept) >= Duration::from_secs(1) {
            self.swept = self.now;
            self.caches.pass(self.now);
            self.keeps_its_verdicts()?;
            self.keeps_its_orders()?;
            self.remembers_what_it_answered()?;
            if (1..3).contains(&self.now.since(self.awake_since).as_secs()) {
                self.keeps_up_with_time()?;
            }
        }
        self.wakes = self.node.next_wake(self.now);
        Ok(())
    }

    /// Whether a doubt was there before: if it is gone now, what began before says nothing.
    fn note_doubt(&mut self, doubted: bool) {
        if doubted && self.node.beliefs.suspicion().is_none() {
            self.doubt_ended = self.node.moment(self.now);
        }
    }

    fn hear(&mut self, change: &Change) -> Result<(), Broken> {
        self.say(change.to_string());
        self.diary.note(change, &self.node.beliefs, self.wall());
        match change {
            Change::Sight(_) => {
                self.calm_since = self.now;
                self.doubts_with_reason()
            }
            Change::Override(OverrideChange::Passed(Passed::Gone(one), _)) => self.has_left_the_caches(one),
            Change::Override(OverrideChange::Passed(Passed::Expired(one), _)) => self.has_come_to_its_end(one),
            Change::Override(_) | Change::Member(_) | Change::Pace(_) | Change::Pool(_) | Change::Canary(_) | Change::Probes { .. } => {
                Ok(())
            }
        }
    }

    fn start(&mut self, order: ProbeOrder) -> Result<(), Broken> {
        let index = order.target.index();
        self.is_ordered_in_time(index)?;
        let target = &mut self.targets[index];
        target.last_begun = Some(self.now);
        let (identity, spot, timeout) = (Arc::clone(&target.identity), target.spot, target.rules.timeout);
        let (lasts, observation) = self.machines.probe(spot, timeout, self.now, &mut self.chance.prober);
        // An agent that is missed is none the worse for it: in this world all of them report.
        let blind = self.machines.is_cut_off() || matches!(observation, Observation::Fail(FailReason::Silent(_)));
        self.trace.push(self.now, Entry::Ordered(index));
        let begun = self.node.moment(self.now);
        self.node.under_way.insert(order.token, Flight { target: index, identity, begun, deadline: order.deadline, blind });
        self.has_room()?;
        let chance = &mut self.chance.prober;
        if chance.percent(self.chance.lost_percent) {
            self.calm_since = self.now;
        } else {
            self.schedule(lasts, Event::Returns(order.token, self.life, observation));
        }
        Ok(())
    }

    fn comes_back(&mut self, token: Token, life: u32, observation: Observation) -> Result<(), Broken> {
        if life != self.life {
            return Ok(());
        }
        if let Some(Stall { until, .. }) = self.stalled {
            self.schedule(until.since(self.now), Event::Returns(token, life, observation));
            return Ok(());
        }
        let doubted = self.node.beliefs.suspicion().is_some();
        let flight = self.node.under_way.remove(&token);
        let code = observation.code();
        self.node.observe(token, observation.clone(), self.now);
        self.note_doubt(doubted);
        let Some(flight) = flight else { return self.keeps_its_verdicts() };
        let doubted = (doubted && self.node.beliefs.suspicion().is_some()) || flight.begun < self.doubt_ended;
        let status = self.node.status(flight.target);
        self.trace.push(self.now, Entry::Observed(flight.target, code, status));
        let at = self.node.moment(self.now);
        let late = observation.is_out_of_time() && at.since(flight.deadline) > TOLD_LATE;
        self.flips_by_the_rules(&flight, &Look { observation: &observation, now: at, blind: flight.blind, doubted, late }, status)
    }

    //--- Operators

    fn operate(&mut self) -> Result<(), Broken> {
        let at = self.node.moment(self.now);
        match self.chance.operators.index(5) {
            0 if !self.book.entries().is_empty() => {
                let whom = self.chance.operators.one_of(self.book.entries()).whom.clone();
                self.say(format!("{} is cleared", whom.text()));
                let cleared = self.node.beliefs.clear(&whom.text().parse().expect("a selector"), at);
                self.note_order(cleared);
                self.book.clear(&whom);
            }
            1 => {
                let whom = Whom::drawn(&self.plan, &mut self.chance.operators);
                self.say(format!("{} is released", whom.text()));
                let released = self.node.beliefs.release(&whom.text().parse().expect("a selector"), at);
                self.note_order(released);
            }
            _ => self.command(at)?,
        }
        for change in self.node.publish(self.now) {
            self.hear(&change)?;
        }
        // An order is confirmed when it is on the disk, and all else with it.
        self.save();
        self.keeps_its_views()
    }

    fn note_order(&mut self, change: Option<OverrideChange>) {
        if let Some(change) = change {
            self.diary.note(&Change::Override(change), &self.node.beliefs, self.wall());
        }
    }

    fn command(&mut self, at: Moment) -> Result<(), Broken> {
        let (whom, order) = Book::order(&self.plan, self.tempo, &mut self.chance.operators);
        let said = format!("{:?} of {}, for {:?}", order.wish, whom.text(), order.lasts);
        match self.node.beliefs.obey(order.clone(), at) {
            Ok(OverrideChange::Set(one, members)) => {
                self.say(said);
                self.note_order(Some(OverrideChange::Set(one.clone(), members)));
                self.book.enter(whom, &order, &one, self.now);
                self.lasts_as_long_as_was_said(&order, &one)?;
                self.troubles_come_together();
                if order.wish == Wish::Drain { self.waits_for_the_caches(&one) } else { Ok(()) }
            }
            Ok(other) => self.broken("an order is obeyed as it was given", other.to_string()),
            Err(refusal) => {
                self.say(format!("{said}: {refusal}"));
                self.is_refused_with_reason(&whom, &order, &refusal)
            }
        }
    }

    /// What comes in the middle of an order tells more than what comes at any time.
    fn troubles_come_together(&mut self) {
        let chance = &mut self.chance.operators;
        let soon = chance.around(self.tempo * 15);
        match chance.index(8) {
            0 | 1 => self.schedule(soon, Event::Sets { right: false, again: false }),
            2 => self.schedule(soon, Event::Restarts { again: false }),
            _ => {}
        }
    }

    fn reload(&mut self) -> Result<(), Broken> {
        for change in self.node.publish(self.now) {
            self.hear(&change)?;
        }
        let before = self.beliefs();
        for _ in 0..self.chance.operators.between(1, 3) {
            let said = self.plan.change(&mut self.chance.operators);
            self.say(format!("a reload: {said}"));
        }
        let snapshot = Arc::new(self.plan.compile());
        self.node.adopt(Arc::clone(&snapshot), self.now);
        self.diary.handle_config(&self.node.beliefs, self.wall());
        let changes = self.node.publish(self.now);
        self.learn(&snapshot);
        for change in changes {
            self.hear(&change)?;
        }
        self.inherits_what_was_believed(&before)?;
        self.settle(&snapshot)
    }

    /// What is believed, in words that outlive a config.
    fn beliefs(&self) -> Beliefs {
        let is_there = |seat: &Seat| !self.plan.pools[seat.pool].members[seat.member].disabled;
        let status = |seat: &Seat| self.node.beliefs.belief(PoolId::new(seat.pool), seat.member, seat.family).status;
        let name = |seat: &Seat| self.plan.pools[seat.pool].name.clone();
        let seats = self.seats.iter().filter(|(_, seat)| is_there(seat));
        Beliefs {
            of_addresses: seats.map(|(addr, seat)| ((name(seat), *addr), status(seat))).collect(),
            targets: self.targets.iter().map(|target| Arc::clone(&target.identity)).collect(),
        }
    }

    /// After a new config or a new life.
    fn settle(&mut self, snapshot: &Snapshot) -> Result<(), Broken> {
        self.oracle.adopt(&rules(snapshot));
        self.learn(snapshot);
        self.standing.clear();
        self.calm_since = self.now;
        self.keeps_its_verdicts()?;
        self.keeps_its_views()
    }

    fn save(&mut self) {
        let save = self.to_save();
        self.disk.write(save);
    }

    fn to_save(&self) -> Save {
        let (saved, at, wall) = (self.node.beliefs.saved(), self.node.moment(self.now), self.wall());
        Save { saved, at, wall, oracle: self.oracle.clone(), book: self.book.clone() }
    }

    fn restart(&mut self) -> Result<(), Broken> {
        let chance = &mut self.chance.operators;
        let end = End::drawn(chance);
        let down = *chance.one_of(&[Duration::from_millis(200), Duration::from_secs(20), Duration::from_mins(4), Duration::from_mins(20)]);
        let down = chance.around(down);
        let save = self.to_save();
        self.disk.end(end, save);
        self.say(format!("the process ends, {end:?}, for {down:?}"));
        self.pass_without_the_node(down);
        self.boot_clock();
        self.life += 1;
        self.doubt_ended = Moment::START;
        self.machines.begin_to_listen(self.now);
        let (wall, now) = (self.wall(), Moment::START.after(self.wall()));
        let reading = Reading { now, now_unix_ms: ms(wall), max_age: STATE_AGE_MAX };
        let found = self.finds_what_was_saved(reading)?;
        let soon = self.chance.operators.around(Duration::from_secs(5));
        self.schedule(soon, Event::Orders { again: false });
        let snapshot = Arc::clone(self.node.beliefs.snapshot());
        self.node = Node::start(Arc::clone(&snapshot), &found, self.seed, wall, self.now);
        self.diary.begin(&self.node.beliefs, self.node.moment(self.now), wall);
        let save = self.disk.counts().map(|(_, save)| save.clone()).unwrap_or_default();
        let elapsed = Duration::from_millis(ms(wall).saturating_sub(ms(save.wall)));
        self.oracle = if elapsed > STATE_AGE_MAX { Oracle::default() } else { save.oracle };
        self.book = save.book;
        self.oracle.restart(&rules(&snapshot), save.at, elapsed, now);
        self.believes_what_was_saved(&found)?;
        self.settle(&snapshot)
    }

    /// Nobody is asked meanwhile: the process is not there.
    fn pass_without_the_node(&mut self, down: Duration) {
        let back = self.now.after(down);
        let events: Vec<_> = self.queue.range(..(back, 0)).map(|(key, _)| *key).collect();
        for key in events {
            let event = self.queue.remove(&key).expect("found");
            match event {
                Event::Mends(id) => self.mend(id),
                other => drop(self.queue.insert((back, key.1), other)),
            }
        }
        self.now = back;
    }

    /// Machines without a battery wake up in 1970, until somebody tells them the time; others may have been set while nobody looked.
    fn boot_clock(&mut self) {
        let shown = self.wall();
        let chance = &mut self.chance.operators;
        let says = match chance.index(10) {
            0 | 1 => shown + Duration::from_secs(chance.between(0, 300)),
            2 => shown.saturating_sub(chance.around(Duration::from_mins(10))),
            3 => {
                let told = chance.around(self.tempo * 30);
                self.schedule(told, Event::Sets { right: true, again: false });
                self.chance.operators.around(Duration::from_secs(20))
            }
            _ => shown,
        };
        self.wall = (says, self.now);
        self.say(format!("the process begins anew, when the wall clock says {says:?}"));
    }

    //--- Clients

    fn ask(&mut self) -> Result<(), Broken> {
        let asked = Asked::drawn(&self.plan, &mut self.chance.clients);
        let mut out = [0; UDP_PAYLOAD_MAX];
        let Disposition::Send { len, outcome, .. } = self.node.respond(asked.source, &asked.query, &mut out) else {
            return self.broken("every query is answered", "it was dropped".to_owned());
        };
        self.trace.push(self.now, Entry::Answered(out[..len].into()));
        let answer = match Answer::read(&out[..len]) {
            Ok(answer) => answer,
            Err(error) => return self.broken("every answer passes another library's parser", error),
        };
        self.is_a_good_answer(&asked, outcome, &answer)?;
        if outcome == Outcome::Steered || outcome == Outcome::AllDown {
            self.caches.hold(&answer, self.now);
        }
        Ok(())
    }

    //--- Facts

    /// Whether the control side stands still now.
    pub fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// What the plan says of one address, by what was believed when the last view was published.
    pub fn verdict(&self, seat: Seat) -> Status {
        self.plan.verdict(seat, &|check| self.checks.get(check).map_or(Status::Unknown, |&target| self.node.published[target]))
    }

    pub fn broken<T>(&self, promise: &'static str, how: String) -> Result<T, Broken> {
        Err(Broken { promise, how, at: self.now })
    }
}

/// What is to be asked, and by which rules.
fn rules(snapshot: &Snapshot) -> BTreeMap<Arc<str>, Rules> {
    snapshot.targets.rows().iter().map(|target| (Arc::clone(&target.identity), target.rules)).collect()
}

/// What a target asks in the words of the plan, and where that leads.
fn spot(plan: &Plan, seats: &BTreeMap<IpAddr, Seat>, target: &steersman::snapshot::Target) -> (Option<Check>, Spot) {
    let place = |seat: &Seat| {
        let member = &plan.pools[seat.pool].members[seat.member];
        (Some(member.host), member.site)
    };
    if let check::Check::Push(push) = &target.check {
        let monitor = plan.monitors.iter().position(|monitor| *monitor.name == *push.monitor).expect("the plan has it");
        let pool = plan.pools.iter().position(|pool| *pool.name == *push.subject.pool).expect("the plan has it");
        let member = plan.pools[pool].members.iter().position(|member| *member.name == *push.subject.member).expect("the plan has it");
        let (host, site) = place(&Seat { pool, member, family: steersman::prefix::Family::V4 });
        let told = Check::Told { monitor, pool: push.subject.pool.to_string(), member: push.subject.member.to_string() };
        let way = if plan.monitors[monitor].kind == Kind::Program { Way::Program } else { Way::Agent { expires: push.expires } };
        return (Some(told), Spot { host, site, port: 0, is_v6: false, way });
    }
    let (host, site) = seats.get(&target.addr.ip()).map_or((None, None), place);
    let spot = Spot { host, site, port: target.addr.port(), is_v6: target.addr.is_ipv6(), way: Way::Sent };
    (host.map(|_| Check::Sent(target.addr)), spot)
}

/// A node that stood still for no longer than this need not know it.
const STANDSTILL: Duration = Duration::from_secs(2);

/// A timeout that is told so late says nothing, as operators are promised.
const TOLD_LATE: Duration = Duration::from_millis(500);
