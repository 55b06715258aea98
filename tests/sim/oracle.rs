//! The rules of verdicts, said once more and differently: not how a verdict comes about step by step, but what must have been seen
//! before one may change, and what cannot have been seen without one changing.
//!
//! Keeps what was seen of each check by its identity. Knows nothing of streaks that are cut, runs that are struck out, or looks that
//! are withheld: so it judges one way only where those might matter, and says nothing where it cannot know.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use steersman::clock::Moment;
use steersman::health::{Damping, Observation, Rules, Sight, Status};

/// What was seen of every check.
#[derive(Clone, Default)]
pub struct Oracle {
    records: BTreeMap<Arc<str>, Record>,
}

/// What was seen of one check.
#[derive(Clone)]
pub struct Record {
    pub status: Status,
    /// What was conclusive, the newest last; as many as any window looks at.
    seen: VecDeque<Seen>,
    /// How many of the newest surely count under the rules in force, one by one: of one kind, and never silence or hearsay.
    sure: u32,
    /// The same, of whatever kind: none of them may be withheld or forgiven.
    certain: usize,
    /// When it fell from up, while that was held against it.
    falls: Vec<Moment>,
    held_until: Moment,
    /// The same, under rules that are no longer in force.
    perhaps_held_until: Moment,
    /// When something conclusive came last.
    counted: Moment,
    /// Whether what comes next begins a row of its own.
    anew: bool,
}

#[derive(Clone, Copy)]
struct Seen {
    passed: bool,
    /// Nothing came back, or others spoke against it, while the node was cut off.
    blind: bool,
    /// What was seen before it is too old to be in a row with it.
    anew: bool,
}

/// One look, and the circumstances.
pub struct Look<'a> {
    pub observation: &'a Observation,
    /// By the clock of the process.
    pub now: Moment,
    /// The node was cut off from everything when the probe was made, or had slept through reports.
    pub blind: bool,
    /// The node doubted its own sight before and after, or stopped to while the probe was made.
    pub doubted: bool,
    /// The timeout was told so late that it may not count.
    pub late: bool,
}

/// Files know moments to the millisecond, and the wall clock too.
const ROUNDED: Duration = Duration::from_millis(3);

/// The longest window there may be.
const SEEN_MAX: usize = 100;

impl Oracle {
    pub fn record(&mut self, identity: &Arc<str>) -> &mut Record {
        let unseen = || Record {
            status: Status::Unknown,
            seen: VecDeque::new(),
            sure: 0,
            certain: 0,
            falls: Vec::new(),
            held_until: Moment::START,
            perhaps_held_until: Moment::START,
            counted: Moment::START,
            anew: false,
        };
        self.records.entry(Arc::clone(identity)).or_insert_with(unseen)
    }

    /// Forgets checks that are gone; whatever the others saw stays, but proves nothing under other rules.
    pub fn adopt(&mut self, wanted: &BTreeMap<Arc<str>, Rules>) {
        self.records.retain(|identity, _| wanted.contains_key(identity));
        for (identity, record) in &mut self.records {
            (record.sure, record.certain) = (0, 0);
            record.let_go(wanted[identity].damping);
        }
    }

    /// The process ended, and began again under these rules with what it had saved at `saved`. Its clock shows `now`, and by the wall clock so
    /// much time has passed.
    pub fn restart(&mut self, wanted: &BTreeMap<Arc<str>, Rules>, saved: Moment, elapsed: Duration, now: Moment) {
        self.adopt(wanted);
        let then = now.before(elapsed);
        // As files have it, spans before and after the moment of writing.
        let shift = |moment: Moment| if moment <= saved { then.before(saved.since(moment)) } else { then.after(moment.since(saved)) };
        for (identity, record) in &mut self.records {
            record.shift(shift);
            record.outlive(&wanted[identity], now);
        }
    }
}

impl Record {
    /// Goes on by another clock.
    fn shift(&mut self, shift: impl Fn(Moment) -> Moment) {
        let Record { falls, held_until, perhaps_held_until, counted, .. } = self;
        falls.iter_mut().chain([held_until, perhaps_held_until, counted]).for_each(|moment| *moment = shift(*moment));
    }

    /// Nothing was seen until `now`, since nobody was there: rows and windows that are too old end.
    fn outlive(&mut self, rules: &Rules, now: Moment) {
        let gap = now.since(self.counted);
        self.anew |= gap > rules.interval * 2 + rules.timeout + ROUNDED;
        if rules.window.is_none_or(|rule| gap > rules.interval * rule.of + ROUNDED) && self.anew {
            self.seen.clear();
        }
    }

    /// Its falls are held against it by other rules now, or not at all.
    fn let_go(&mut self, damping: Option<Damping>) {
        let Some(damping) = damping else {
            self.falls.clear();
            (self.held_until, self.perhaps_held_until) = (Moment::START, Moment::START);
            return;
        };
        let longest = self.falls.last().map_or(Moment::START, |last| last.after(damping.hold_max));
        self.held_until = self.held_until.min(longest);
    }

    /// Takes one look, after which the status is `now_is`. Says which rule was broken.
    pub fn look(&mut self, rules: &Rules, look: &Look, now_is: Status) -> Result<(), String> {
        let was = std::mem::replace(&mut self.status, now_is);
        let passed = match look.observation {
            Observation::Pass { .. } => true,
            Observation::Fail(_) => false,
            Observation::Inconclusive(_) if was == now_is => return Ok(()),
            Observation::Inconclusive(_) => return Err(format!("{was} became {now_is} by an inconclusive probe")),
        };
        // What others tell of it counts for as much as silence: a node that doubts its sight believes neither.
        let is_silent = look.observation.sight() != Sight::Seen && !passed;
        if look.late || (is_silent && look.doubted) {
            return if was == now_is { Ok(()) } else { Err(format!("{was} became {now_is} by silence or hearsay that must not count")) };
        }
        self.counted = look.now;
        self.remember(passed, look.blind && is_silent, is_silent);
        match (was, now_is) {
            (Status::Up, Status::Down) => self.fell(rules, look.now),
            (Status::Down, Status::Up) => self.rose(rules, look.now),
            (Status::Unknown, Status::Up) if passed => Ok(()),
            (Status::Unknown, Status::Down) if !passed => Ok(()),
            (_, Status::Unknown) | (Status::Unknown, _) if was != now_is => Err(format!("{was} became {now_is}")),
            (Status::Up | Status::Down | Status::Unknown, _) => self.stayed(rules, look, is_silent, passed),
        }
    }

    fn remember(&mut self, passed: bool, blind: bool, is_silent: bool) {
        let anew = std::mem::take(&mut self.anew);
        let is_alike = !anew && self.seen.back().is_some_and(|last| last.passed == passed);
        self.sure = if is_silent {
            0
        } else if is_alike || self.sure == 0 {
            self.sure + 1
        } else {
            1
        };
        self.certain = if is_silent { 0 } else { self.certain + 1 };
        self.seen.push_back(Seen { passed, blind, anew });
        if self.seen.len() > SEEN_MAX {
            self.seen.pop_front();
        }
    }

    fn in_a_row(&self, passed: bool) -> usize {
        let mut row = 0;
        for seen in self.seen.iter().rev().take_while(|seen| seen.passed == passed) {
            row += 1;
            if seen.anew {
                break;
            }
        }
        row
    }

    fn fell(&mut self, rules: &Rules, now: Moment) -> Result<(), String> {
        let in_a_row = self.in_a_row(false);
        let lost = rules.window.map(|rule| (self.newest(rule.of).filter(|seen| !seen.passed).count(), rule.limit as usize));
        let is_due = in_a_row >= rules.fall as usize || (in_a_row > 0 && lost.is_some_and(|(lost, limit)| lost >= limit));
        if !is_due {
            return Err(format!("it fell after {in_a_row} failures in a row, and {lost:?} of the window; fall is {}", rules.fall));
        }
        if let Some(damping) = rules.damping {
            self.falls.push(now);
            // A fall at the very end of the window may count or not, since a restart has rounded it.
            self.held_until = now.after(self.hold(damping, damping.window.saturating_sub(ROUNDED), now));
            let at_most = now.after(self.hold(damping, damping.window + ROUNDED, now));
            self.perhaps_held_until = self.perhaps_held_until.max(at_most);
        }
        Ok(())
    }

    /// How long it stays down after what fell within `window`.
    fn hold(&self, damping: Damping, window: Duration, now: Moment) -> Duration {
        let recent = self.falls.iter().filter(|fall| now.since(**fall) <= window).count();
        let doublings = u32::try_from(recent.min(20).saturating_sub(2)).expect("at most 18");
        if recent < 2 { Duration::ZERO } else { (damping.hold * 2u32.pow(doublings)).min(damping.hold_max) }
    }

    fn rose(&mut self, rules: &Rules, now: Moment) -> Result<(), String> {
        if self.in_a_row(true) < rules.rise as usize {
            return Err(format!("it rose after {} passes in a row; rise is {}", self.in_a_row(true), rules.rise));
        }
        let lost = rules.window.map(|rule| (self.certain_loss(rule.of, rules.fall), rule.limit as usize / 2));
        if lost.is_some_and(|(lost, forgiven)| lost > forgiven) {
            return Err(format!("it rose, and lost {lost:?} of the newest {:?}", rules.window));
        }
        if now.after(ROUNDED) < self.held_until {
            return Err(format!("it rose {:?} before its hold-down ended", self.held_until.since(now)));
        }
        Ok(())
    }

    /// What cannot have been seen of a check that stays what it is.
    fn stayed(&self, rules: &Rules, look: &Look, is_silent: bool, passed: bool) -> Result<(), String> {
        let is_clean =
            || rules.window.is_none_or(|rule| self.newest(rule.of).all(|seen| seen.passed) && self.seen.len() >= rule.of as usize);
        match self.status {
            Status::Up if !is_silent && !passed && self.sure >= rules.fall => {
                Err(format!("it is up after {} failures in a row that cannot be doubted; fall is {}", self.sure, rules.fall))
            }
            Status::Up if !passed && rules.window.is_some_and(|rule| self.certain_loss(rule.of, rules.fall) >= rule.limit as usize) => {
                Err(format!("it is up, and {} of the newest {:?} failed", self.certain_loss(100, rules.fall), rules.window))
            }
            Status::Down if passed && self.sure >= rules.rise && is_clean() && look.now >= self.perhaps_held_until => {
                Err(format!("it is down after {} passes in a row; rise is {}", self.sure, rules.rise))
            }
            Status::Unknown if !is_silent => Err("it is unknown after a conclusive probe".to_owned()),
            Status::Up | Status::Down | Status::Unknown => Ok(()),
        }
    }

    /// Failures among the newest so many, of which nobody can doubt that they count; outages are none, whatever their part in it is.
    fn certain_loss(&self, of: u32, fall: u32) -> usize {
        let newest: Vec<bool> = self.seen.iter().rev().map(|seen| seen.passed).collect();
        let runs = newest.chunk_by(|one, other| one == other);
        let is_loss = runs.flat_map(|run| run.iter().map(|passed| !passed && run.len() < fall as usize));
        is_loss.take(self.certain.min(of as usize)).filter(|is_loss| *is_loss).count()
    }

    fn newest(&self, count: u32) -> impl Iterator<Item = &Seen> {
        self.seen.iter().rev().take(count as usize)
    }

    /// Failures of which nobody can doubt that they count: so many of them are missing no more.
    pub fn sure_failures(&self) -> u32 {
        if self.seen.back().is_some_and(|last| !last.passed) { self.sure } else { 0 }
    }

    /// Whether all that was held against it since it was last well came of a node that could not see or hear. What had failed before that
    /// may be believed to be dead, since others were seen meanwhile.
    pub fn fell_blindly(&self) -> bool {
        let row = self.in_a_row(false);
        row > 0 && self.seen.iter().rev().take(row).all(|seen| seen.blind)
    }
}
