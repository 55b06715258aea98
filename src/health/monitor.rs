//! One target's state machine: observations in, a verdict that does not flap out.
//!
//! Knows nothing of when to probe; [`super::Schedule`] holds one monitor per target and feeds it.

use super::flaps::{Damping, Flaps};
use super::latency::Latency;
use super::window::{Window, WindowRule};
use super::{Memory, Observation, Sight, Status, Verdict};
use crate::clock::Moment;
use std::time::Duration;

/// How observations become a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rules {
    /// From one probe's start to the next.
    pub interval: Duration,
    /// After this a probe has failed; always shorter than the interval.
    pub timeout: Duration,
    /// Passes in a row before a target that is down counts as up; at least 1.
    pub rise: u32,
    /// Failures in a row before a target that is up counts as down; at least 1.
    pub fall: u32,
    /// From one probe's start to the next while a target that is up fails; the interval itself when nothing is hurried.
    pub fast_interval: Duration,
    /// How many failures among the last probes bring a target down that never fails `fall` times in a row.
    pub window: Option<WindowRule>,
    /// How falls in short order keep a target down.
    pub damping: Option<Damping>,
}

impl Rules {
    /// Rise and fall and nothing else: no probe is hurried, no loss counted, no flap damped.
    pub const fn plain(interval: Duration, timeout: Duration, rise: u32, fall: u32) -> Rules {
        Rules { interval, timeout, rise, fall, fast_interval: interval, window: None, damping: None }
    }

    /// Whether the first failure hurries the probes that follow it.
    pub fn are_accelerated(&self) -> bool {
        self.fast_interval < self.interval
    }

    /// The nominal TTL: how long a target that has not failed yet is sure to stay up.
    pub fn nominal(&self) -> Duration {
        self.falls_in(0, self.fall)
    }

    /// The longest that a target may be dead before it is down: it dies just after a probe, and each probe that follows takes all
    /// of its time. A probe never begins before the one before it has ended.
    pub fn detection(&self) -> Duration {
        let step = if self.are_accelerated() { self.fast_interval.max(self.timeout) } else { self.interval };
        self.interval.saturating_add(step.saturating_mul(self.fall.saturating_sub(1))).saturating_add(self.timeout)
    }

    /// The longest that a target may be dead before it is down where so many die at once that there is no room to hurry its probes: it
    /// is seen to fail in its slots.
    pub fn detection_unhurried(&self) -> Duration {
        self.interval.saturating_mul(self.fall).saturating_add(self.timeout)
    }

    /// How many hurried probes a second a target asks for in the mean, from its death until it is down.
    pub fn hurries_per_second(&self) -> f64 {
        if !self.are_accelerated() {
            return 0.0;
        }
        let step = self.fast_interval.max(self.timeout);
        // It dies somewhere in its interval, and all who die with it are spread over one.
        let settles_in = step.saturating_mul(self.fall.saturating_sub(1)).max(self.interval);
        f64::from(self.fall.saturating_sub(1)) / settles_in.as_secs_f64()
    }

    /// The shortest that a target is down: `rise` passes.
    pub fn recovery(&self) -> Duration {
        self.interval.saturating_mul(self.rise)
    }

    /// How soon a target that is up, after `failures` failures in a row, could be down, when `missing` more bring it down.
    fn falls_in(&self, failures: u32, missing: u32) -> Duration {
        if !self.are_accelerated() {
            return self.interval.saturating_mul(missing);
        }
        // The next probe is a usual one, unless it is hurried already; of the hurried ones one may be made at once.
        let (usual, hurried) = if failures == 0 { (self.interval, missing.saturating_sub(1)) } else { (Duration::ZERO, missing) };
        let at_once = if hurried > 0 { at_once_earliest(self.fast_interval) } else { Duration::ZERO };
        usual.saturating_add(at_once).saturating_add(self.fast_interval.saturating_mul(hurried.saturating_sub(1)))
    }
}

/// When the probe after a target's first refusal is due, counted from the refusal, at the earliest: a tenth of the fast interval.
pub(super) fn at_once_earliest(fast_interval: Duration) -> Duration {
    fast_interval / 10
}

/// When a target should be probed again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// In its next slot: nothing is open.
    Usual,
    /// After the fast interval: it fails, and the verdict is not settled.
    Fast,
    /// At once: it refuses connections, which costs neither side anything to confirm.
    AtOnce,
}

/// The state machine of one target.
#[derive(Clone, Debug)]
pub struct Monitor {
    rules: Rules,
    state: State,
    window: Window,
    flaps: Flaps,
    /// When the status became what it is.
    since: Moment,
    latency: Latency,
    last: Option<(Moment, Observation)>,
    /// When the last observation came that counted; before the first, when the status became what it is.
    counted: Moment,
    /// How many of the newest failures that counted were silence, or hearsay.
    unseen: u32,
}

/// A verdict that changed: its status, its streak (and so how long it holds), or its latency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The verdict now.
    pub verdict: Verdict,
    /// The status before, when the status changed.
    pub was: Option<Status>,
}

impl Monitor {
    /// A monitor that has seen nothing.
    pub fn new(rules: Rules, now: Moment) -> Monitor {
        let (window, flaps) = (Window::default(), Flaps::default());
        Monitor { rules, state: State::Unknown, window, flaps, since: now, latency: Latency::NONE, last: None, counted: now, unseen: 0 }
    }

    /// Believes what an earlier life of the program remembered. Only before the first observation, and only `Up` and `Down` can be
    /// believed; the observations that follow count by rise and fall. Says whether it was believed.
    ///
    /// What follows from probes in a row is forgotten when probes are missing in between: a streak after two intervals, a window
    /// after as long as it looks back. Falls and hold-downs go on through the time between.
    pub fn restore(&mut self, memory: &Memory, now: Moment) -> bool {
        if self.state != State::Unknown || self.last.is_some() {
            return false;
        }
        let Rules { interval, timeout, rise, fall, window, damping, .. } = self.rules;
        let gap = now.since(memory.seen);
        let streak = if gap <= interval.saturating_mul(2).saturating_add(timeout) { memory.streak } else { 0 };
        self.state = match memory.status {
            // Only an observation flips a status.
            Status::Up => State::Up { failures: streak.min(fall.saturating_sub(1)) },
            Status::Down => State::Down { passes: streak.min(rise) },
            Status::Unknown => return false,
        };
        if window.is_some_and(|rule| gap <= interval.saturating_mul(rule.of)) {
            self.window = memory.window;
            self.window.adopt(window);
        }
        self.flaps = damping.map(|damping| Flaps::recalled(damping, &memory.falls, memory.held_until, now)).unwrap_or_default();
        self.latency = Latency::of_parts(memory.latency);
        (self.since, self.counted) = (memory.since.min(now), now);
        true
    }

    /// Believes `status` whatever was seen: for looking at the past. Its connect time stays.
    pub fn impose(&mut self, status: Status, now: Moment) {
        let memory = Memory { latency: self.latency.parts(), ..Memory::of(status, now) };
        *self = Monitor::new(self.rules, now);
        self.restore(&memory, now);
    }

    /// All that was learned, for a later life of the program.
    pub fn memory(&self) -> Memory {
        Memory {
            status: self.state.status(),
            since: self.since,
            seen: self.counted,
            streak: self.streak(),
            window: self.window,
            falls: self.flaps.falls().collect(),
            held_until: self.flaps.held_until(),
            latency: self.latency.parts(),
        }
    }

    /// Goes on under new rules. The status stays; a streak that would already be long enough is cut to one short, since
    /// only an observation may flip a status.
    pub fn adopt(&mut self, rules: Rules) {
        self.rules = rules;
        self.window.adopt(rules.window);
        self.flaps.adopt(rules.damping);
        self.state = match self.state {
            State::Unknown => State::Unknown,
            State::Up { failures } => State::Up { failures: failures.min(rules.fall.saturating_sub(1)) },
            State::Down { passes } => State::Down { passes: passes.min(rules.rise.saturating_sub(1)) },
        };
    }

    /// Takes what a probe saw. An inconclusive observation is remembered, but changes nothing.
    pub fn handle_observation(&mut self, observation: Observation, now: Moment) -> Option<Change> {
        let before = (self.state, self.verdict());
        let latency_moved = match observation {
            Observation::Pass { connect, .. } => {
                self.unseen = 0;
                self.count(Counted::Passed, now);
                self.latency.handle_sample(connect)
            }
            Observation::Fail(_) => {
                self.unseen = if observation.sight() == Sight::Seen { 0 } else { self.unseen.saturating_add(1) };
                self.count(Counted::Failed, now);
                false
            }
            Observation::Inconclusive(_) => false,
        };
        self.last = Some((now, observation));
        let was = (before.0.status() != self.state.status()).then_some(before.0.status());
        if was.is_some() {
            self.since = now;
        }
        let verdict = self.verdict();
        (before.0 != self.state || before.1.holds != verdict.holds || latency_moved).then_some(Change { verdict, was })
    }

    fn count(&mut self, counted: Counted, now: Moment) {
        self.counted = now;
        if let Some(rule) = self.rules.window {
            self.window.handle(rule, counted == Counted::Passed, self.rules.fall);
        }
        let before = self.state.status();
        self.state = self.after(counted, now);
        if let Some(damping) = self.rules.damping
            && (before, self.state.status()) == (Status::Up, Status::Down)
        {
            self.flaps.fall(damping, now);
        }
    }

    /// Remembers what a probe saw without counting it: what a node that doubts its own sight could not see.
    pub fn withhold(&mut self, observation: Observation, now: Moment) {
        self.last = Some((now, observation));
    }

    /// Whether one more failure brings the target down.
    pub fn is_about_to_fall(&self) -> bool {
        match self.state {
            State::Unknown => true,
            State::Up { failures } => self.failures_missing(failures) <= 1,
            State::Down { .. } => false,
        }
    }

    /// Forgets the newest failures of a target that is up, as far as they were silence or hearsay: this node could not see. What was
    /// refused before that was refused. Says whether there were any.
    pub fn forgive(&mut self) -> Option<Change> {
        let State::Up { failures: failures @ 1.. } = self.state else { return None };
        let unseen = std::mem::take(&mut self.unseen);
        if unseen == 0 {
            return None;
        }
        self.state = State::Up { failures: failures.saturating_sub(unseen) };
        self.window.forgive(unseen);
        Some(Change { verdict: self.verdict(), was: None })
    }

    /// When it should be probed next, after what was seen last.
    pub fn pace(&self) -> Pace {
        let State::Up { failures: failures @ 1.. } = self.state else { return Pace::Usual };
        let refused = self.last.as_ref().is_some_and(|(_, seen)| seen.is_refusal());
        match (self.rules.are_accelerated(), failures == 1 && refused) {
            (false, _) => Pace::Usual,
            (true, true) => Pace::AtOnce,
            (true, false) => Pace::Fast,
        }
    }

    /// What is believed now, and how long that is sure to hold.
    ///
    /// It holds for the probes still missing before the status could flip, as far apart as they are made at the least, so that
    /// no resolver keeps an answer longer than the belief behind it. Zero while unknown: the next observation decides.
    pub fn verdict(&self) -> Verdict {
        Verdict { status: self.state.status(), holds: self.holds(), latency: self.latency.shown() }
    }

    fn holds(&self) -> Duration {
        match self.state {
            State::Unknown => Duration::ZERO,
            State::Up { failures } => self.rules.falls_in(failures, self.failures_missing(failures)),
            State::Down { passes } => {
                let rises_in = self.rules.interval.saturating_mul(self.passes_missing(passes));
                rises_in.max(self.flaps.held_until().since(self.counted))
            }
        }
    }

    /// Failures that still bring down a target that is up; at least 1.
    fn failures_missing(&self, failures: u32) -> u32 {
        let in_a_row = self.rules.fall.saturating_sub(failures).max(1);
        self.rules.window.map_or(in_a_row, |rule| in_a_row.min(self.window.failures_missing(rule)))
    }

    /// Passes that a target which is down still needs; at least 1.
    fn passes_missing(&self, passes: u32) -> u32 {
        let in_a_row = self.rules.rise.saturating_sub(passes).max(1);
        self.rules.window.map_or(in_a_row, |rule| in_a_row.max(self.window.passes_missing(rule)))
    }

    /// How often it fell of late, while that counts; and until when it therefore stays down.
    pub fn flaps(&self, now: Moment) -> (usize, Moment) {
        (self.rules.damping.map_or(0, |damping| self.flaps.count(damping, now)), self.flaps.held_until())
    }

    /// Failures among the last observations that the window looks at, and how many those are; none without a window.
    pub fn loss(&self) -> Option<(u32, u32)> {
        self.rules.window.map(|_| (self.window.failures(), self.window.len()))
    }

    /// The rules in force.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// When the status became what it is.
    pub const fn since(&self) -> Moment {
        self.since
    }

    /// Observations in a row that count towards a flip: failures while up, passes while down.
    pub const fn streak(&self) -> u32 {
        match self.state {
            State::Unknown => 0,
            State::Up { failures } => failures,
            State::Down { passes } => passes,
        }
    }

    /// The last observation, inconclusive ones included, and when it came.
    pub const fn last(&self) -> Option<&(Moment, Observation)> {
        self.last.as_ref()
    }

    /// Whether anything is known of the target, or at least was tried: an observation came, or a status was restored.
    pub fn is_seen(&self) -> bool {
        self.last.is_some() || self.state != State::Unknown
    }
}

/// Where a target stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing observed yet.
    Unknown,
    Up {
        /// Failures since the last pass; `0..fall`.
        failures: u32,
    },
    Down {
        /// Passes since the last failure; `0..=rise`: all of them when the window or a hold-down keeps the target down.
        passes: u32,
    },
}

/// An observation that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Counted {
    Passed,
    Failed,
}

impl State {
    const fn status(self) -> Status {
        match self {
            State::Unknown => Status::Unknown,
            State::Up { .. } => Status::Up,
            State::Down { .. } => Status::Down,
        }
    }
}

impl Monitor {
    /// The state after one more observation that counts, which the window has seen already.
    ///
    /// ```text
    ///                      ┌───────────┐
    ///            passed    │  Unknown  │    failed
    ///         ┌────────────┤           ├────────────┐
    ///         │            └───────────┘            │
    ///         ▼                                     ▼
    ///   ┌───────────┐   failed, `fall` in a row   ┌───────────┐
    ///   │           │   or too many of the last   │           │
    ///   │    Up     ├────────────────────────────►│   Down    │
    ///   │ failures  │◄────────────────────────────┤  passes   │
    ///   └─┬───▲─┬─▲─┘   passed, `rise` in a row,  └─┬───▲─┬─▲─┘
    ///     └───┘ └─┘     few failures of the last,   └───┘ └─┘
    ///   passed: failures = 0   nothing holds it   failed: passes = 0
    ///   failed: failures + 1                      passed: passes + 1, at most rise
    /// ```
    fn after(&self, counted: Counted, now: Moment) -> State {
        let Rules { rise, fall, window, .. } = self.rules;
        let is_lossy = |limit: fn(&WindowRule) -> u32| window.is_some_and(|rule| self.window.failures() > limit(&rule));
        match (self.state, counted) {
            (State::Up { failures }, Counted::Failed) if failures + 1 < fall && !is_lossy(|rule| rule.limit - 1) => {
                State::Up { failures: failures + 1 }
            }
            (State::Down { passes }, Counted::Passed)
                if passes + 1 < rise || is_lossy(WindowRule::forgiven) || now < self.flaps.held_until() =>
            {
                State::Down { passes: (passes + 1).min(rise) }
            }
            (State::Unknown | State::Up { .. } | State::Down { .. }, Counted::Passed) => State::Up { failures: 0 },
            (State::Unknown | State::Up { .. } | State::Down { .. }, Counted::Failed) => State::Down { passes: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Doubt, FailReason};
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 2, 3);
    const FAST: Rules = Rules { fast_interval: Duration::from_secs(1), ..RULES };
    const LOSSY: WindowRule = WindowRule { of: 20, limit: 6 };
    const DAMPING: Damping = Damping { window: Duration::from_mins(10), hold: Duration::from_secs(10), hold_max: Duration::from_mins(5) };

    fn monitor(rise: u32, fall: u32) -> Monitor {
        Monitor::new(Rules { rise, fall, ..RULES }, Moment::START)
    }

    fn observation(letter: char) -> Observation {
        match letter {
            'P' => Observation::Pass { connect: Duration::from_millis(10), total: Duration::from_millis(20) },
            'F' => Observation::Fail(FailReason::Timeout),
            'R' => Observation::Fail(FailReason::Refused),
            '?' => Observation::Inconclusive(Doubt::NoRoute),
            other => panic!("{other} stands for no observation"),
        }
    }

    /// Feeds one observation per letter, a second apart, and returns the state.
    fn feed(monitor: &mut Monitor, letters: &str) -> State {
        for letter in letters.chars() {
            let now = monitor.last().map_or(Moment::START, |(then, _)| then.after(Duration::from_secs(1)));
            monitor.handle_observation(observation(letter), now);
        }
        monitor.state
    }

    #[test]
    fn every_arrow_of_the_chart_leads_where_it_is_drawn() {
        let cases = [
            (State::Unknown, 'P', State::Up { failures: 0 }),
            (State::Unknown, 'F', State::Down { passes: 0 }),
            (State::Unknown, '?', State::Unknown),
            (State::Up { failures: 0 }, 'P', State::Up { failures: 0 }),
            (State::Up { failures: 2 }, 'P', State::Up { failures: 0 }),
            (State::Up { failures: 0 }, 'F', State::Up { failures: 1 }),
            (State::Up { failures: 1 }, 'F', State::Up { failures: 2 }),
            (State::Up { failures: 2 }, 'F', State::Down { passes: 0 }),
            (State::Up { failures: 2 }, '?', State::Up { failures: 2 }),
            (State::Down { passes: 0 }, 'F', State::Down { passes: 0 }),
            (State::Down { passes: 1 }, 'F', State::Down { passes: 0 }),
            (State::Down { passes: 0 }, 'P', State::Down { passes: 1 }),
            (State::Down { passes: 1 }, 'P', State::Up { failures: 0 }),
            (State::Down { passes: 1 }, '?', State::Down { passes: 1 }),
        ];
        for (from, letter, to) in cases {
            let mut monitor = Monitor { state: from, ..monitor(2, 3) };
            assert_eq!(feed(&mut monitor, &letter.to_string()), to, "{from:?} after {letter}");
        }
    }

    #[test]
    fn fall_failures_in_a_row_bring_a_target_down_and_one_less_does_not() {
        assert_eq!(feed(&mut monitor(2, 3), "PFF").status(), Status::Up);
        assert_eq!(feed(&mut monitor(2, 3), "PFFF").status(), Status::Down);
        assert_eq!(feed(&mut monitor(2, 3), "PFFPFF").status(), Status::Up);
        assert_eq!(feed(&mut monitor(2, 1), "PF").status(), Status::Down);
    }

    #[test]
    fn rise_passes_in_a_row_bring_a_target_up_and_one_less_does_not() {
        assert_eq!(feed(&mut monitor(5, 3), "FPPPP").status(), Status::Down);
        assert_eq!(feed(&mut monitor(5, 3), "FPPPPP").status(), Status::Up);
        assert_eq!(feed(&mut monitor(5, 3), "FPPPPFPPPP").status(), Status::Down);
        assert_eq!(feed(&mut monitor(1, 3), "FP").status(), Status::Up);
    }

    #[test]
    fn what_this_node_could_not_see_is_remembered_but_never_counts() {
        let mut monitor = monitor(2, 3);
        assert_eq!(feed(&mut monitor, "PF?????F?"), State::Up { failures: 2 });
        assert!(matches!(monitor.last(), Some((_, Observation::Inconclusive(_)))));
        assert_eq!(feed(&mut monitor, "F").status(), Status::Down);
    }

    #[test]
    fn a_verdict_holds_for_the_probes_that_are_still_missing() {
        let holds = |letters| {
            let mut monitor = monitor(2, 3);
            feed(&mut monitor, letters);
            monitor.verdict().holds.as_secs()
        };
        assert_eq!([holds(""), holds("?")], [0, 0]);
        assert_eq!([holds("P"), holds("PF"), holds("PFF")], [15, 10, 5]);
        assert_eq!([holds("F"), holds("FP")], [10, 5]);
    }

    #[test]
    fn a_change_is_told_once_and_names_the_status_before_only_when_that_changed() {
        let mut monitor = monitor(2, 2);
        let mut tell = |letter| monitor.handle_observation(observation(letter), Moment::START).map(|change| change.was);
        assert_eq!(tell('P'), Some(Some(Status::Unknown)));
        assert_eq!(tell('P'), None);
        assert_eq!(tell('F'), Some(None));
        assert_eq!(tell('?'), None);
        assert_eq!(tell('F'), Some(Some(Status::Up)));
        assert_eq!(tell('F'), None);
    }

    #[test]
    fn since_is_the_moment_of_the_flip_not_of_the_last_observation() {
        let mut monitor = monitor(1, 2);
        feed(&mut monitor, "PPPFF");
        assert_eq!(monitor.since(), Moment::START.after(Duration::from_secs(4)));
        feed(&mut monitor, "FFF");
        assert_eq!(monitor.since(), Moment::START.after(Duration::from_secs(4)));
    }

    #[test]
    fn a_latency_that_moved_is_a_change_and_a_failed_probe_says_nothing_about_it() {
        let mut monitor = monitor(1, 1);
        feed(&mut monitor, "P");
        assert_eq!(monitor.verdict().latency, Some(Duration::from_millis(10)));
        let slow = Observation::Pass { connect: Duration::from_millis(50), total: Duration::from_millis(60) };
        let change = monitor.handle_observation(slow, Moment::START).expect("the latency moved");
        assert_eq!((change.was, change.verdict.latency), (None, Some(Duration::from_millis(22))));
        feed(&mut monitor, "F");
        assert_eq!(monitor.verdict().latency, Some(Duration::from_millis(22)));
    }

    #[test]
    fn a_restored_status_counts_until_rise_or_fall_contradict_it() {
        let mut up = monitor(2, 2);
        assert!(up.restore(&Memory::of(Status::Up, Moment::START), Moment::START));
        assert_eq!(feed(&mut up, "F").status(), Status::Up);
        assert_eq!(feed(&mut up, "F").status(), Status::Down);
        let mut down = monitor(2, 2);
        assert!(down.restore(&Memory::of(Status::Down, Moment::START), Moment::START));
        assert_eq!(feed(&mut down, "P").status(), Status::Down);
        assert_eq!(feed(&mut down, "P").status(), Status::Up);
    }

    #[test]
    fn what_a_monitor_learned_outlives_it_and_ages_meanwhile() {
        let rules = Rules { window: Some(LOSSY), damping: Some(DAMPING), ..RULES };
        let mut before = Monitor::new(rules, Moment::START);
        feed(&mut before, "PPFPPFPFFFPPFF");
        let (memory, seen) = (before.memory(), before.last().expect("fed").0);
        assert_eq!((memory.streak, memory.falls.len(), memory.window.failures()), (2, 1, 4));
        let restored = |gap: u64| {
            let mut after = Monitor::new(rules, Moment::START);
            assert!(after.restore(&memory, seen.after(Duration::from_secs(gap))));
            (after.streak(), after.window.failures(), after.memory().latency, after.flaps(seen.after(Duration::from_secs(gap))))
        };
        let held = before.flaps(seen).1;
        assert_eq!(restored(1), (2, 4, memory.latency, (1, held)), "all of it");
        assert_eq!(restored(12), (2, 4, memory.latency, (1, held)));
        assert_eq!(restored(13), (0, 4, memory.latency, (1, held)), "probes in a row are in a row no more");
        assert_eq!(restored(101), (0, 0, memory.latency, (1, held)), "a window looks back a hundred seconds");
        assert_eq!(restored(3_600), (0, 0, memory.latency, (0, held)), "falls are forgotten after ten minutes");
    }

    #[test]
    fn a_hold_down_goes_on_over_a_restart_and_never_longer_than_the_rules_say() {
        let rules = Rules { damping: Some(DAMPING), rise: 1, fall: 1, ..RULES };
        let at = |seconds| Moment::START.after(Duration::from_secs(seconds));
        let memory = Memory { held_until: at(1_030), since: at(1_000), ..Memory::of(Status::Down, at(1_000)) };
        let mut monitor = Monitor::new(rules, at(1_010));
        assert!(monitor.restore(&memory, at(1_010)));
        assert_eq!((monitor.since(), monitor.verdict().holds), (at(1_000), Duration::from_secs(20)));
        monitor.handle_observation(observation('P'), at(1_029));
        assert_eq!(monitor.verdict().status, Status::Down);
        monitor.handle_observation(observation('P'), at(1_030));
        assert_eq!(monitor.verdict().status, Status::Up);
        let mut monitor = Monitor::new(rules, at(10));
        assert!(monitor.restore(&memory, at(10)), "the clock went back");
        assert_eq!(monitor.flaps(at(10)).1, at(10 + 300));
        assert_eq!(monitor.since(), at(10));
    }

    #[test]
    fn nothing_is_restored_over_what_was_seen() {
        let mut monitor = monitor(2, 2);
        assert!(!monitor.restore(&Memory::of(Status::Unknown, Moment::START), Moment::START));
        feed(&mut monitor, "P");
        assert!(!monitor.restore(&Memory::of(Status::Down, Moment::START), Moment::START));
        assert_eq!(monitor.verdict().status, Status::Up);
    }

    #[test]
    fn new_rules_keep_the_status_and_cut_the_streak_to_one_short_of_a_flip() {
        let mut up = monitor(2, 5);
        feed(&mut up, "PFFFF");
        up.adopt(Rules { fall: 2, ..RULES });
        assert_eq!(up.state, State::Up { failures: 1 });
        assert_eq!(feed(&mut up, "F").status(), Status::Down);
        let mut down = monitor(5, 2);
        feed(&mut down, "FPPPP");
        down.adopt(Rules { rise: 1, ..RULES });
        assert_eq!(down.state, State::Down { passes: 0 });
    }

    //--- Acceleration

    #[test]
    fn the_first_failure_hurries_the_next_probe_until_the_verdict_is_settled_and_rising_is_never_hurried() {
        let pace = |letters| {
            let mut monitor = Monitor::new(FAST, Moment::START);
            feed(&mut monitor, letters);
            monitor.pace()
        };
        for (letters, expected) in [
            ("P", Pace::Usual),
            ("PF", Pace::Fast),
            ("PFF", Pace::Fast),
            ("PF?", Pace::Fast),
            ("PFP", Pace::Usual),
            ("PFFF", Pace::Usual),
            ("FP", Pace::Usual),
            ("?", Pace::Usual),
        ] {
            assert_eq!(pace(letters), expected, "{letters}");
        }
        let mut unhurried = monitor(2, 3);
        feed(&mut unhurried, "PF");
        assert_eq!(unhurried.pace(), Pace::Usual);
    }

    #[test]
    fn a_refusal_is_confirmed_at_once_but_only_the_first_of_a_run() {
        let pace = |letters| {
            let mut monitor = Monitor::new(FAST, Moment::START);
            feed(&mut monitor, letters);
            monitor.pace()
        };
        assert_eq!([pace("PR"), pace("PRR"), pace("PFR")], [Pace::AtOnce, Pace::Fast, Pace::Fast]);
    }

    #[test]
    fn an_accelerated_verdict_holds_only_as_long_as_hurried_probes_leave_it() {
        let holds_ms = |letters| {
            let mut monitor = Monitor::new(FAST, Moment::START);
            feed(&mut monitor, letters);
            monitor.verdict().holds.as_millis()
        };
        // A usual probe, one at once, one after the fast interval.
        assert_eq!([holds_ms("P"), holds_ms("PF"), holds_ms("PFF")], [6_100, 1_100, 100]);
        assert_eq!([holds_ms("F"), holds_ms("FP")], [10_000, 5_000]);
        assert_eq!((FAST.nominal().as_millis(), FAST.detection().as_secs()), (6_100, 5 + 2 * 2 + 2));
        assert_eq!((RULES.nominal().as_secs(), RULES.detection().as_secs()), (15, 17));
        assert_eq!(Rules { fall: 1, ..FAST }.nominal(), FAST.interval);
    }

    //--- Loss

    #[test]
    fn a_member_that_loses_a_third_of_its_probes_goes_down_though_it_never_fails_thrice_in_a_row() {
        let lossy = |letters: &str| feed(&mut Monitor::new(Rules { window: Some(LOSSY), ..RULES }, Moment::START), letters);
        assert_eq!(lossy(&"PPF".repeat(5)).status(), Status::Up);
        assert_eq!(lossy(&"PPF".repeat(6)).status(), Status::Down);
        assert_eq!(feed(&mut monitor(2, 3), &"PPF".repeat(60)).status(), Status::Up, "without a window");
        assert_eq!(lossy(&"PPPF".repeat(60)).status(), Status::Up, "five of twenty are not too many");
    }

    #[test]
    fn a_lossy_member_returns_when_half_of_what_brought_it_down_is_left_and_a_dead_one_as_fast_as_ever() {
        let mut monitor = Monitor::new(Rules { window: Some(LOSSY), ..RULES }, Moment::START);
        feed(&mut monitor, &"PPF".repeat(6));
        assert_eq!(monitor.verdict().holds, RULES.interval * 11);
        assert_eq!(feed(&mut monitor, &"P".repeat(10)), State::Down { passes: 2 });
        assert_eq!(feed(&mut monitor, "P"), State::Up { failures: 0 });
        let mut dead = Monitor::new(Rules { window: Some(LOSSY), ..RULES }, Moment::START);
        assert_eq!(feed(&mut dead, &format!("P{}PP", "F".repeat(50))).status(), Status::Up);
    }

    #[test]
    fn silence_is_forgiven_and_a_refusal_is_not() {
        let mut monitor = monitor(2, 5);
        feed(&mut monitor, "PRRFF");
        assert!(monitor.forgive().is_some());
        assert_eq!(monitor.state, State::Up { failures: 2 });
        assert_eq!(monitor.forgive(), None, "what is left was seen");
        feed(&mut monitor, "?");
        assert_eq!((monitor.forgive(), monitor.streak()), (None, 2));
    }

    #[test]
    fn a_probe_that_says_nothing_changes_nothing_of_a_target_that_is_held_down() {
        let mut monitor = Monitor::new(Rules { damping: Some(DAMPING), ..RULES }, Moment::START);
        feed(&mut monitor, "PFFFPPFFF");
        let (held, now) = (monitor.verdict(), monitor.last().expect("fed").0.after(Duration::from_secs(1)));
        assert_eq!(held.holds, Duration::from_secs(10));
        assert_eq!(monitor.handle_observation(observation('?'), now), None);
        monitor.withhold(observation('F'), now);
        assert_eq!(monitor.verdict(), held);
    }

    #[test]
    fn a_verdict_holds_no_longer_than_the_window_leaves_it() {
        let mut monitor = Monitor::new(Rules { window: Some(LOSSY), ..RULES }, Moment::START);
        feed(&mut monitor, &"PPF".repeat(5));
        feed(&mut monitor, "P");
        assert_eq!(monitor.verdict().holds, RULES.interval, "one more failure is one too many");
        assert!(monitor.is_about_to_fall());
    }

    //--- Flaps

    #[test]
    fn each_flap_keeps_a_target_down_for_longer_and_the_verdict_says_so() {
        let mut monitor = Monitor::new(Rules { damping: Some(DAMPING), rise: 1, fall: 1, ..RULES }, Moment::START);
        assert_eq!(feed(&mut monitor, "PFP").status(), Status::Up, "the first is an accident");
        assert_eq!(feed(&mut monitor, "F").status(), Status::Down);
        assert_eq!(monitor.verdict().holds, Duration::from_secs(10));
        assert_eq!(feed(&mut monitor, "PPPPPPPPP"), State::Down { passes: 1 }, "nine seconds later");
        assert_eq!(feed(&mut monitor, "P"), State::Up { failures: 0 });
        let now = monitor.last().expect("fed").0;
        assert_eq!(monitor.flaps(now), (2, now));
        assert_eq!(monitor.flaps(now.after(DAMPING.window)).0, 0);
    }

    //--- Doubt

    #[test]
    fn what_is_withheld_is_remembered_and_never_counts() {
        let mut monitor = monitor(2, 1);
        feed(&mut monitor, "P");
        monitor.withhold(observation('F'), Moment::START);
        assert_eq!(monitor.verdict().status, Status::Up);
        assert!(matches!(monitor.last(), Some((_, Observation::Fail(FailReason::Timeout)))));
    }

    #[test]
    fn failures_of_a_target_that_is_up_can_be_forgiven_and_nothing_else() {
        let mut monitor = monitor(2, 3);
        assert_eq!(monitor.forgive(), None);
        feed(&mut monitor, "PFF");
        assert!(monitor.is_about_to_fall());
        assert_eq!(monitor.forgive().map(|change| change.verdict.holds), Some(RULES.interval * 3));
        assert!(!monitor.is_about_to_fall());
        feed(&mut monitor, "FFFP");
        assert_eq!((monitor.forgive(), monitor.state), (None, State::Down { passes: 1 }));
    }

    /// The rules once more, from the definition and without a state: the status after `letters`.
    fn status_by_definition(letters: &str, rise: usize, fall: usize) -> Status {
        let counted: String = letters.chars().filter(|&letter| letter != '?').collect();
        let mut status = Status::Unknown;
        for end in 1..=counted.len() {
            let seen = &counted[..end];
            status = match status {
                Status::Unknown if seen == "P" => Status::Up,
                Status::Unknown => Status::Down,
                Status::Up if seen.ends_with(&"F".repeat(fall)) => Status::Down,
                Status::Down if seen.ends_with(&"P".repeat(rise)) => Status::Up,
                Status::Up | Status::Down => status,
            };
        }
        status
    }

    proptest! {
        #[test]
        fn a_status_flips_by_the_rules_and_by_nothing_else(letters in "[PF?]{0,60}", rise in 1u32..6, fall in 1u32..6) {
            let mut one = monitor(rise, fall);
            let mut other = monitor(rise, fall);
            feed(&mut one, &letters);
            feed(&mut other, &letters);
            let expected = status_by_definition(&letters, rise as usize, fall as usize);
            prop_assert_eq!(one.verdict().status, expected);
            prop_assert_eq!(one.verdict(), other.verdict());
            prop_assert!(one.streak() < rise.max(fall));
        }
    }
}
