//! Between verdicts and views: what operators, rules and caution hold for or against members.
//!
//! Verdicts on a pool enter [`Judge::judge`], [`Judgement`]s leave, ready for [`PoolView::prepare`]. On the way an [`Override`]
//! may take the place of a verdict, a [`Protection`](crate::policy::Protection) may keep what would go, failback and slow start decide how what was down
//! comes back, and siblings decide who is slow. Views that are replaced enter [`Judge::note_replaced`], so that a drain knows
//! when the last cached answer expires, from the TTLs that were handed out. Is told the time; knows no probe, name of DNS, or file.

mod counts;
mod overrides;
mod seat;
mod selector;

pub use overrides::{Event, Force, InForce, Override, Overrides, Progress};
pub use seat::{Absence, Past};
pub use selector::{NotASelector, Selector};

use crate::clock::Moment;
use crate::health::{Status, Verdict};
use crate::human::span;
use crate::ids::{Id, PoolId, SiteId, Table};
use crate::policy::{Graph, Judgement, Member, PoolView, Rank, TtlRange, Usable, ttl_reach};
use crate::prefix::Family;
use counts::Counts;
use seat::Seat;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// All that is held for or against members. One task owns it.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// What the wall clock said when it was last asked, as the time since 1970, and when that was.
    wall: (Duration, Moment),
    overrides: Overrides,
    /// By pool, then member, then family.
    seats: Vec<Vec<[Seat; 2]>>,
    /// By protection, then family: when members were removed; the oldest first.
    removals: Vec<[VecDeque<Moment>; 2]>,
    /// The bounds of the TTLs that each pool's members are handed out with.
    reach: Table<PoolId, Option<TtlRange>>,
    /// Whether it is told who is slow, as of the past, rather than finding out.
    is_told: bool,
}

/// One address of a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Its pool.
    pub pool: PoolId,
    /// The member's index there.
    pub member: usize,
    /// Of this family.
    pub family: Family,
}

/// What an operator asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Whom it is about.
    pub selector: Selector,
    /// What is to be in the place of verdicts.
    pub wish: Wish,
    /// Who asks.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// For how long; until it is cleared when absent.
    pub lasts: Option<Duration>,
    /// Whether protections may be broken.
    pub break_glass: bool,
}

/// What an operator may put in the place of verdicts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Answered, whatever probes say.
    Up,
    /// Never answered, at once.
    Down,
    /// Never answered, once all caches have forgotten longer TTLs.
    Drain,
}

/// Why an order is not obeyed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No member is meant.
    NobodyMeant(Selector),
    /// Only members are meant that the config disables.
    Disabled(Selector),
    /// A drain would end before it has drained anybody: it lasts for so long, and lowers the TTL for so long first.
    EndsBeforeItDrains(Duration, Duration),
    /// A protection would be broken.
    Protected(Arc<str>, Breach),
}

/// What a protection forbids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breach {
    /// Fewer members than this would be left.
    Members(u32),
    /// They would stand in fewer sites than this.
    Sites(u32),
    /// More than this share would be removed in this time.
    Pace(u8, Duration),
}

/// Something held for or against one address beside its verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// An override is in force.
    Forced(Override),
    /// It seems dead, and this protection keeps it.
    Kept(Arc<str>),
    /// An operator took it out, and this protection keeps it all the same.
    KeptAgainst(Arc<str>),
    /// It was down, and is to stay out for so long; [`Duration::MAX`]: until an operator lets it back.
    HeldBack(Duration),
    /// It came back, with so many thousandths of its share so far.
    Returning(u16),
    /// It is slow against its siblings.
    Slow,
    /// It fell so many times of late that it stays down for so long at least, whatever is seen of it.
    HeldDown(usize, Duration),
    /// It stays down until it fails less often: so many of so many last probes did.
    Lossy(u32, u32),
}

impl Judge {
    /// A judge with the overrides that an earlier life left. `epoch_unix_s` is what the wall clock said at [`Moment::START`].
    pub fn new(epoch_unix_s: u64, overrides: Vec<Override>) -> Judge {
        let wall = (Duration::from_secs(epoch_unix_s), Moment::START);
        Judge { wall, overrides: Overrides::restored(overrides), ..Judge::default() }
    }

    /// A judge of the past, who is told who was slow: connect times of then are not known.
    pub fn of_the_past(overrides: Vec<Override>) -> Judge {
        Judge { is_told: true, ..Judge::new(0, overrides) }
    }

    /// Hears what the wall clock says at `now`, as the time since 1970: it may have been set, or a machine that slept woken up.
    pub fn handle_wall_clock(&mut self, says: Duration, now: Moment) {
        let expected = self.wall_at(now);
        let (on, back) = (says.saturating_sub(expected), expected.saturating_sub(says));
        if on.max(back) > SET_MIN {
            // A drain waits for caches, and these do not go by this clock. What is cut to whole seconds is cut in their favour.
            let on_s = on.as_secs() + u64::from(on.subsec_nanos() > 0);
            self.overrides.shift_drains(|unix_s| unix_s.saturating_add(on_s).saturating_sub(back.as_secs()));
        }
        self.wall = (says, now);
    }

    /// Takes over a new graph. Members keep what is held for or against them by name, protections what they counted.
    pub fn adopt(&mut self, before: Option<&Graph>, graph: &Graph) {
        let mut known: BTreeMap<(Arc<str>, Arc<str>), [Seat; 2]> = BTreeMap::new();
        let mut counted: BTreeMap<Arc<str>, [VecDeque<Moment>; 2]> = BTreeMap::new();
        if let Some(before) = before {
            for (pool, seats) in before.pools.rows().iter().zip(&self.seats) {
                known.extend(pool.members.iter().zip(seats).map(|(m, seats)| ((Arc::clone(&pool.name), Arc::clone(&m.name)), *seats)));
            }
            counted.extend(before.protections.iter().zip(self.removals.drain(..)).map(|(p, removals)| (Arc::clone(&p.name), removals)));
        }
        let seats = |pool: &crate::policy::Pool| -> Vec<[Seat; 2]> {
            let seat = |member: &Member| known.get(&(Arc::clone(&pool.name), Arc::clone(&member.name))).copied().unwrap_or_default();
            pool.members.iter().map(seat).collect()
        };
        self.seats = graph.pools.rows().iter().map(seats).collect();
        // Protections are numbered anew, and all is judged anew at once.
        self.seats.iter_mut().flatten().flatten().for_each(Seat::forget_judged);
        self.removals = graph.protections.iter().map(|protection| counted.remove(&protection.name).unwrap_or_default()).collect();
        self.reach = ttl_reach(graph);
    }

    /// A moment as the wall clock tells it, in seconds since 1970.
    pub fn unix_s(&self, moment: Moment) -> u64 {
        self.wall_at(moment).as_secs()
    }

    fn wall_at(&self, moment: Moment) -> Duration {
        let (says, then) = self.wall;
        says.saturating_add(moment.since(then)).saturating_sub(then.since(moment))
    }

    //--- Judging

    /// What the verdicts on a pool's members come to, in member order.
    pub fn judge(&mut self, graph: &Graph, pool: PoolId, verdicts: &[[Verdict; 2]], now: Moment) -> Vec<[Judgement; 2]> {
        let mut judgements: Vec<[Judgement; 2]> = verdicts.iter().map(|both| both.map(Judgement::from)).collect();
        let mut counts = None;
        if graph.pools[pool].conduct.slow_above_percent.is_none() {
            // Nobody is compared any more, and nobody would say that it is fast again.
            self.seats[pool.index()].iter_mut().flatten().for_each(|seat| seat.slow = false);
        }
        for (member, both) in judgements.iter_mut().enumerate() {
            for family in Family::BOTH {
                let place = Place { pool, member, family };
                if graph.pools[pool].members[member].addresses[family.index()].is_some() && !graph.pools[pool].members[member].disabled {
                    both[family.index()] = self.judge_one(graph, place, both[family.index()].verdict, &mut counts, now);
                }
            }
        }
        self.compare_siblings(graph, pool, &mut judgements);
        judgements
    }

    /// `counts` are made when they are first needed, and kept in step from then on.
    fn judge_one<'a>(
        &mut self,
        graph: &'a Graph,
        place: Place,
        verdict: Verdict,
        counts: &mut Option<Counts<'a>>,
        now: Moment,
    ) -> Judgement {
        let stood = self.seat(place).standing;
        let order = self.override_of(graph, place, now);
        let (in_force, breaks_glass) = (order.map(|one| one.in_force(self.unix_s(now), stood)), order.is_some_and(|one| one.break_glass));
        let mut judgement = forced(verdict, in_force);
        let stands = judgement.verdict.status == Status::Up && !judgement.barred;
        if stood && !stands {
            let counts = counts.get_or_insert_with(|| Counts::of(graph, &self.seats, &self.removals, now));
            counts.remove(place);
            let breach = if breaks_glass { None } else { counts.first_breach(&BTreeSet::from([place])) };
            if let Some((protection, _)) = breach {
                counts.put_back(place);
                self.seat_mut(place).kept_by = Some(protection);
                return Judgement { barred: false, kept: true, ..judgement };
            }
            self.note_removal(graph, place, now);
        } else if let Some(counts) = counts.as_mut().filter(|_| stands && !stood) {
            counts.add(place);
        }
        let conduct = graph.pools[place.pool].conduct;
        let seat = self.seat_mut(place);
        let absence = match (verdict.status, judgement.barred) {
            (Status::Down, _) => Some(Absence::Fell),
            // Who waits to be let back goes on waiting while an operator keeps it out.
            (Status::Up | Status::Unknown, true) => (!seat.waits(conduct, now)).then_some(Absence::TakenOut),
            (Status::Up | Status::Unknown, false) => None,
        };
        seat.kept_by = None;
        seat.stand(stands, absence, now);
        seat.note_judged(conduct, now);
        if !matches!(in_force, Some(InForce::Up { .. })) {
            judgement.rank = seat.rank(conduct, now);
            judgement.share_permille = seat.share_permille(conduct, now);
        }
        judgement
    }

    /// Finds out who is slow: against those of its family that are up and stand in the same site.
    fn compare_siblings(&mut self, graph: &Graph, pool: PoolId, judgements: &mut [[Judgement; 2]]) {
        let Some(above_percent) = graph.pools[pool].conduct.slow_above_percent else {
            // The config may have asked for it once.
            self.seats[pool.index()].iter_mut().flatten().for_each(|seat| seat.slow = false);
            return;
        };
        let is_told = self.is_told;
        let members = &graph.pools[pool].members;
        for family in Family::BOTH {
            let latency = |judgement: &Judgement| judgement.verdict.latency.filter(|_| judgement.verdict.status == Status::Up);
            let mut latencies: BTreeMap<Option<SiteId>, Vec<Duration>> = BTreeMap::new();
            for (member, both) in members.iter().zip(&*judgements) {
                latencies.entry(member.site).or_default().extend(latency(&both[family.index()]));
            }
            for (member, both) in judgements.iter_mut().enumerate() {
                let judgement = &mut both[family.index()];
                let siblings = latencies.get_mut(&members[member].site).map_or(&mut [][..], |latencies| latencies.as_mut_slice());
                let seat = self.seat_mut(Place { pool, member, family });
                if !is_told {
                    seat.compare(latency(judgement), median(siblings), above_percent);
                }
                // Held back stays held back; and who is forced up is not, whatever the seat says.
                if matches!(judgement.rank, Rank::Usual | Rank::Late) {
                    judgement.rank = if seat.slow { Rank::Late } else { Rank::Usual };
                }
            }
        }
    }

    /// Who of a pool is slow against their siblings; nobody where nobody asks.
    pub fn slow(&self, graph: &Graph, pool: PoolId) -> BTreeSet<Place> {
        if graph.pools[pool].conduct.slow_above_percent.is_none() {
            return BTreeSet::new();
        }
        let places = |(member, both): (usize, &[Seat; 2])| {
            let slow = both.map(|seat| seat.slow);
            Family::BOTH.into_iter().filter(move |family| slow[family.index()]).map(move |family| Place { pool, member, family })
        };
        self.seats[pool.index()].iter().enumerate().flat_map(places).collect()
    }

    /// Pools that time alone changes: to be judged again, once a second.
    pub fn pools_in_motion(&self, graph: &Graph, now: Moment) -> BTreeSet<PoolId> {
        let by_clock = self.overrides.list().iter().any(|one| one.expires_unix_s.is_some() || matches!(one.force, Force::Drain { .. }));
        let mut pools = BTreeSet::new();
        for (id, pool) in graph.pools.iter() {
            let moves = |seat: &Seat| seat.is_outdated(pool.conduct, now);
            let is_timed = |member: usize| {
                let order = self.override_of(graph, Place { pool: id, member, family: Family::V4 }, now);
                order.is_some_and(|one| one.expires_unix_s.is_some() || matches!(one.force, Force::Drain { .. }))
            };
            let seats = self.seats[id.index()].iter().enumerate();
            if seats.into_iter().any(|(member, both)| both.iter().any(moves) || (by_clock && is_timed(member))) {
                pools.insert(id);
            }
        }
        pools
    }

    //--- Protections

    /// The first protection that would be broken if all of `places` left that stand now, beside those that were ordered out and have
    /// not gone yet: they count for nothing any more.
    fn breach_of_order(&self, graph: &Graph, places: &BTreeSet<Place>, now: Moment) -> Option<(usize, Breach)> {
        let is_ordered_out = |place: &Place| self.override_of(graph, *place, now).is_some_and(|one| one.force != Force::Up);
        let going: BTreeSet<Place> = Judge::places(graph).filter(|place| self.seat(*place).standing && is_ordered_out(place)).collect();
        let leaving: BTreeSet<Place> =
            places.iter().copied().filter(|place| self.seat(*place).standing && !going.contains(place)).collect();
        let mut counts = Counts::of(graph, &self.seats, &self.removals, now);
        going.iter().chain(&leaving).for_each(|place| counts.remove(*place));
        counts.first_breach(&leaving)
    }

    /// Protections with fewer members or sites left than they are to keep, with how many members are: what no removal brings about,
    /// but a config that takes members away.
    pub fn shortfalls(&self, graph: &Graph, now: Moment) -> Vec<(Arc<str>, Breach, u32)> {
        let short = Counts::of(graph, &self.seats, &self.removals, now).shortfalls().into_iter();
        short.map(|(index, breach, left)| (Arc::clone(&graph.protections[index].name), breach, left)).collect()
    }

    fn note_removal(&mut self, graph: &Graph, place: Place, now: Moment) {
        for (rule, removals) in graph.protections.iter().zip(&mut self.removals) {
            let Some((_, within)) = rule.max_removed.filter(|_| rule.pools.contains(&place.pool)) else { continue };
            let removals = &mut removals[place.family.index()];
            while removals.front().is_some_and(|removal| now.since(*removal) >= within) {
                removals.pop_front();
            }
            removals.push_back(now);
        }
    }

    //--- Operators

    /// All overrides, in the order in which they were set.
    pub fn overrides(&self) -> &[Override] {
        self.overrides.list()
    }

    /// Obeys an order, or says why not. Returns what is in force then, how many members it is about, and the pools to be judged anew.
    ///
    /// # Errors
    /// When nobody is meant, or a protection forbids it and the order does not break the glass.
    pub fn set(&mut self, graph: &Graph, order: Order, now: Moment) -> Result<(Override, usize, BTreeSet<PoolId>), Refusal> {
        let places = Judge::places_of(graph, &order.selector);
        if places.is_empty() {
            return Err(nobody(graph, order.selector));
        }
        let is_bound = match order.wish {
            Wish::Up => false,
            Wish::Down | Wish::Drain => !order.break_glass,
        };
        let breach = if is_bound { self.breach_of_order(graph, &places, now) } else { None };
        if let Some((index, breach)) = breach {
            return Err(Refusal::Protected(Arc::clone(&graph.protections[index].name), breach));
        }
        let now_unix_s = self.unix_s(now);
        let force = self.force(order.wish, &places, now);
        if let (Force::Drain { removes_unix_s, .. }, Some(lasts)) = (force, order.lasts)
            && now_unix_s.saturating_add(lasts.as_secs()) <= removes_unix_s
            && removes_unix_s > now_unix_s
        {
            return Err(Refusal::EndsBeforeItDrains(lasts, Duration::from_secs(removes_unix_s - now_unix_s)));
        }
        let new = Override {
            force,
            selector: order.selector,
            owner: order.owner,
            reason: order.reason,
            set_unix_s: now_unix_s,
            expires_unix_s: order.lasts.map(|lasts| now_unix_s.saturating_add(lasts.as_secs())),
            break_glass: order.break_glass,
            progress: Progress::default(),
        };
        self.overrides.set(new.clone());
        let members: BTreeSet<(PoolId, usize)> = places.iter().map(|place| (place.pool, place.member)).collect();
        Ok((new, members.len(), places.iter().map(|place| place.pool).collect()))
    }

    fn force(&self, wish: Wish, places: &BTreeSet<Place>, now: Moment) -> Force {
        match wish {
            Wish::Up => Force::Up,
            Wish::Down => Force::Down,
            Wish::Drain => {
                let lowered: BTreeSet<Place> = places.iter().copied().filter(|place| self.seat(*place).standing).collect();
                // Who is not answered now goes at once. A second more: both ends of a TTL are cut to whole seconds.
                let second = u64::from(!lowered.is_empty());
                let removes_unix_s = self.unix_s(self.cached_until(&lowered).max(now)) + second;
                let last_answer_s = removes_unix_s + self.shortest(&lowered) + second;
                Force::Drain { removes_unix_s, gone_unix_s: last_answer_s.max(self.unix_s(self.cached_until(places)) + 1) }
            }
        }
    }

    /// The last moment at which a cache may hold an answer with one of these, by views that were replaced.
    fn cached_until(&self, places: &BTreeSet<Place>) -> Moment {
        places.iter().map(|place| self.seat(*place).cached_until).max().unwrap_or(Moment::START)
    }

    /// The TTL with which these are handed out while they are drained, in seconds.
    fn shortest(&self, places: &BTreeSet<Place>) -> u64 {
        places.iter().filter_map(|place| self.reach[place.pool]).map(|range| range.min_s.into()).max().unwrap_or(0)
    }

    /// Ends the override for exactly this selector. Returns it, and the pools to be judged anew.
    pub fn clear(&mut self, graph: &Graph, selector: &Selector) -> Option<(Override, BTreeSet<PoolId>)> {
        let cleared = self.overrides.clear(selector)?;
        let pools = Judge::places_of(graph, selector).into_iter().map(|place| place.pool).collect();
        Some((cleared, pools))
    }

    /// Lets back all selected members that wait for it. Returns how many addresses did, and the pools to be judged anew.
    pub fn release(&mut self, graph: &Graph, selector: &Selector, now: Moment) -> (usize, BTreeSet<PoolId>) {
        let places = Judge::places_of(graph, selector).into_iter();
        let released: Vec<Place> = places.filter(|place| self.seat_mut(*place).release(graph.pools[place.pool].conduct, now)).collect();
        (released.len(), released.into_iter().map(|place| place.pool).collect())
    }

    /// Lets time pass over the overrides. Returns what came about, and the pools to be judged anew.
    pub fn poll(&mut self, graph: &Graph, now: Moment) -> (Vec<Event>, BTreeSet<PoolId>) {
        let now_unix_s = self.unix_s(now);
        let longest_s = self.reach.rows().iter().flatten().map(|range| range.max_s).max().unwrap_or(0);
        let mut overrides = std::mem::take(&mut self.overrides);
        // Who is kept, or was not judged since its time came, is answered still. What it was handed out in was noted when its view went.
        let gone = |one: &Override| {
            let places = Judge::places_of(graph, &one.selector);
            let is_answered = places.iter().any(|place| self.seat(*place).standing);
            (!is_answered).then(|| self.unix_s(self.cached_until(&places)) + 1)
        };
        overrides.hasten(now_unix_s + u64::from(longest_s) + 1);
        let events = overrides.poll(now_unix_s, gone);
        self.overrides = overrides;
        let selectors = events.iter().map(|event| match event {
            Event::AboutToExpire(one, _) | Event::Expired(one) | Event::Removed(one) | Event::Gone(one) => &one.selector,
        });
        let pools = selectors.flat_map(|selector| Judge::places_of(graph, selector)).map(|place| place.pool).collect();
        (events, pools)
    }

    /// A view was replaced now, or is about to be asked about: until now its members were handed out.
    pub fn note_replaced(&mut self, pool: PoolId, view: &PoolView, now: Moment) {
        let Some(range) = self.reach[pool] else { return };
        for family in Family::BOTH {
            let view = view.family(family);
            let mut note = |usable: &Usable, ttl_s: u32| {
                let expires = now.after(Duration::from_secs(ttl_s.into()));
                let seat = self.seat_mut(Place { pool, member: usize::from(usable.member), family });
                seat.cached_until = seat.cached_until.max(expires);
            };
            view.usable.iter().for_each(|usable| note(usable, range.clamp(usable.holds_s)));
            if view.usable.is_empty() {
                // A last resort may have handed them out; its TTL is part of the lower bound.
                view.all.iter().chain(&*view.last_known).for_each(|usable| note(usable, range.min_s));
            }
        }
    }

    //--- Facts, for people

    /// All that is held for or against one address beside what probes saw.
    pub fn notes(&self, graph: &Graph, place: Place, now: Moment) -> Vec<Note> {
        let (seat, conduct) = (self.seat(place), graph.pools[place.pool].conduct);
        let order = self.override_of(graph, place, now);
        let is_barred = order.is_some_and(|one| matches!(one.in_force(self.unix_s(now), seat.standing), InForce::Barred { .. }));
        let kept = if is_barred { Note::KeptAgainst } else { Note::Kept };
        let mut notes: Vec<Note> = order.cloned().map(Note::Forced).into_iter().collect();
        notes.extend(seat.kept_by.and_then(|index| graph.protections.get(index)).map(|rule| kept(Arc::clone(&rule.name))));
        if order.is_some_and(|one| one.force == Force::Up) {
            // Answered with its whole share, whatever the seat says.
            return notes;
        }
        if let Rank::HeldBack { released_in } = seat.rank(conduct, now) {
            notes.push(Note::HeldBack(released_in));
        } else if seat.standing && seat.share_permille(conduct, now) < crate::policy::SHARE_WHOLE_PERMILLE {
            notes.push(Note::Returning(seat.share_permille(conduct, now)));
        }
        notes.extend(seat.slow.then_some(Note::Slow));
        notes
    }

    //--- Over a restart

    /// What is worth remembering of every address that may be answered.
    pub fn pasts(&self, graph: &Graph) -> impl Iterator<Item = (Place, Past)> {
        Judge::places(graph).map(|place| (place, self.seat(place).past()))
    }

    /// Takes account of what was handed out before the program started: nobody knows what, since an earlier life may have ended after it
    /// last saved, and a wall clock that was set says nothing of how long ago that was. So it may be anybody until just now, with the
    /// longest TTL there is.
    pub fn begin(&mut self, now: Moment) {
        for (seats, range) in self.seats.iter_mut().zip(self.reach.rows()) {
            let just_now = now.after(Duration::from_secs(range.map_or(0, |range| range.max_s).into()));
            seats.iter_mut().flatten().for_each(|seat| seat.cached_until = just_now);
        }
    }

    /// Takes up what an earlier life of the program left of an address.
    pub fn recall(&mut self, place: Place, past: &Past, now: Moment) {
        let seat = self.seat_mut(place);
        let just_now = seat.cached_until;
        seat.recall(past, now);
        seat.cached_until = seat.cached_until.max(just_now);
    }

    /// When members were removed of late, by the name of the protection that counts it, then family.
    pub fn removals(&self, graph: &Graph) -> BTreeMap<Arc<str>, [Vec<Moment>; 2]> {
        let counted = graph.protections.iter().zip(&self.removals).filter(|(_, both)| both.iter().any(|removals| !removals.is_empty()));
        counted.map(|(rule, both)| (Arc::clone(&rule.name), both.each_ref().map(|removals| removals.iter().copied().collect()))).collect()
    }

    /// Puts an override in force that was in force once. Returns the pools to be judged anew.
    pub fn impose(&mut self, graph: &Graph, one: Override) -> BTreeSet<PoolId> {
        let pools = Judge::places_of(graph, &one.selector).into_iter().map(|place| place.pool).collect();
        self.overrides.set(one);
        pools
    }

    /// Believes of an address that it was slow, or was not.
    pub fn impose_pace(&mut self, place: Place, slow: bool) {
        self.seat_mut(place).slow = slow;
    }

    /// The pools of those that a protection keeps, and the next moment at which time alone lets one of them go; none when only others could.
    pub fn kept(&self, graph: &Graph, now: Moment) -> (BTreeSet<PoolId>, Option<Moment>) {
        if graph.protections.is_empty() {
            return (BTreeSet::new(), None);
        }
        let keeper = |both: &[Seat; 2]| both.iter().find_map(|seat| seat.kept_by);
        let pools = self.seats.iter().enumerate();
        let kept = pools.flat_map(|(pool, seats)| seats.iter().filter_map(keeper).map(move |rule| (PoolId::new(pool), rule)));
        let (pools, rules): (BTreeSet<PoolId>, BTreeSet<usize>) = kept.unzip();
        let ends = rules.into_iter().flat_map(|rule| {
            let within = graph.protections[rule].max_removed.map(|(_, within)| within);
            within.into_iter().flat_map(move |within| self.removals[rule].iter().flatten().map(move |removal| removal.after(within)))
        });
        (pools, ends.filter(|end| *end > now).min())
    }

    /// Goes on counting removals where an earlier life of the program left off.
    pub fn recall_removals(&mut self, graph: &Graph, removals: &BTreeMap<Arc<str>, [Vec<Moment>; 2]>, now: Moment) {
        for (rule, counts) in graph.protections.iter().zip(&mut self.removals) {
            let Some(known) = removals.get(&rule.name) else { continue };
            *counts = known.each_ref().map(|removals| removals.iter().map(|removal| (*removal).min(now)).collect());
        }
    }

    //--- Inside

    fn override_of(&self, graph: &Graph, place: Place, now: Moment) -> Option<&Override> {
        if self.overrides.list().is_empty() {
            return None;
        }
        let pool = &graph.pools[place.pool];
        let member = &pool.members[place.member];
        self.overrides.of(&pool.name, &member.name, member.site.map(|site| &*graph.sites[site]), self.unix_s(now))
    }

    fn places_of(graph: &Graph, selector: &Selector) -> BTreeSet<Place> {
        Judge::places(graph).filter(|place| selects(graph, selector, place.pool, &graph.pools[place.pool].members[place.member])).collect()
    }

    /// All addresses that may be answered.
    pub fn places(graph: &Graph) -> impl Iterator<Item = Place> {
        graph.pools.iter().flat_map(|(pool, settings)| {
            settings.members.iter().enumerate().filter(|(_, settings)| !settings.disabled).flat_map(move |(member, settings)| {
                let has = |family: &Family| settings.addresses[family.index()].is_some();
                Family::BOTH.into_iter().filter(has).map(move |family| Place { pool, member, family }).collect::<Vec<_>>()
            })
        })
    }

    fn seat(&self, place: Place) -> &Seat {
        &self.seats[place.pool.index()][place.member][place.family.index()]
    }

    fn seat_mut(&mut self, place: Place) -> &mut Seat {
        &mut self.seats[place.pool.index()][place.member][place.family.index()]
    }
}

/// A wall clock that is so far from where it was expected was set: less is the time between two looks at two clocks.
const SET_MIN: Duration = Duration::from_millis(50);

fn selects(graph: &Graph, selector: &Selector, pool: PoolId, member: &Member) -> bool {
    selector.selects(&graph.pools[pool].name, &member.name, member.site.map(|site| &*graph.sites[site]))
}

/// Why a selector means nobody who may be answered.
fn nobody(graph: &Graph, selector: Selector) -> Refusal {
    let mut members = graph.pools.iter().flat_map(|(pool, settings)| settings.members.iter().map(move |member| (pool, member)));
    let is_known = members.any(|(pool, member)| selects(graph, &selector, pool, member));
    if is_known { Refusal::Disabled(selector) } else { Refusal::NobodyMeant(selector) }
}

/// A verdict with what an operator puts in its place.
fn forced(verdict: Verdict, in_force: Option<InForce>) -> Judgement {
    let holds = |for_s: Option<u64>| for_s.map_or(Duration::MAX, Duration::from_secs);
    let judged = |verdict: Verdict| Judgement::from(verdict);
    match in_force {
        None => judged(verdict),
        // Operators may change their minds any moment: then what is believed counts again, and no cache should hold more than that.
        Some(InForce::Up { for_s }) => {
            let believed = if verdict.status == Status::Up { verdict.holds } else { Duration::ZERO };
            judged(Verdict { status: Status::Up, holds: holds(for_s).min(believed), ..verdict })
        }
        Some(InForce::Barred { for_s }) => {
            Judgement { barred: true, ..judged(Verdict { status: Status::Down, holds: holds(for_s), ..verdict }) }
        }
        Some(InForce::Lowered) => judged(Verdict { holds: Duration::ZERO, ..verdict }),
    }
}

/// The middle of at least three; of fewer nobody can tell which is the odd one.
fn median(latencies: &mut [Duration]) -> Option<Duration> {
    latencies.sort_unstable();
    (latencies.len() >= 3).then(|| latencies[(latencies.len() - 1) / 2])
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NobodyMeant(selector) => write!(f, "no member is meant by `{selector}`"),
            Refusal::Disabled(selector) => write!(f, "the config disables all that is meant by `{selector}`"),
            Refusal::EndsBeforeItDrains(lasts, lowers) => {
                let (lasts, lowers) = (span(*lasts), span(*lowers));
                write!(f, "a drain of {lasts} drains nobody: answers of before are in caches for {lowers}, and it would end first")
            }
            Refusal::Protected(rule, breach) => write!(f, "the protection `{rule}` forbids it: {breach}"),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breach::Members(members) => write!(f, "never fewer than {members} members"),
            Breach::Sites(sites) => write!(f, "never in fewer than {sites} sites"),
            Breach::Pace(percent, within) => write!(f, "never more than {percent} % removed in {} s", within.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests;
