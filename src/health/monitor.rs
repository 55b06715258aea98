//! One target's state machine: observations in, a verdict that does not flap out.
//!
//! Knows nothing of when to probe; [`super::Schedule`] holds one monitor per target and feeds it.

use super::latency::Latency;
use super::{Observation, Status, Verdict};
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
}

/// The state machine of one target.
#[derive(Clone, Debug)]
pub struct Monitor {
    rules: Rules,
    state: State,
    /// When the status became what it is.
    since: Moment,
    latency: Latency,
    last: Option<(Moment, Observation)>,
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
    pub const fn new(rules: Rules, now: Moment) -> Monitor {
        Monitor { rules, state: State::Unknown, since: now, latency: Latency::NONE, last: None }
    }

    /// Believes `status` from an earlier life of the program. Only before the first observation, and only `Up` and
    /// `Down` can be believed; the observations that follow count by rise and fall. Says whether it was believed.
    pub fn restore(&mut self, status: Status, now: Moment) -> bool {
        if self.state != State::Unknown || self.last.is_some() {
            return false;
        }
        self.state = match status {
            Status::Up => State::Up { failures: 0 },
            Status::Down => State::Down { passes: 0 },
            Status::Unknown => return false,
        };
        self.since = now;
        true
    }

    /// Goes on under new rules. The status stays; a streak that would already be long enough is cut to one short, since
    /// only an observation may flip a status.
    pub fn adopt(&mut self, rules: Rules) {
        self.rules = rules;
        self.state = match self.state {
            State::Unknown => State::Unknown,
            State::Up { failures } => State::Up { failures: failures.min(rules.fall.saturating_sub(1)) },
            State::Down { passes } => State::Down { passes: passes.min(rules.rise.saturating_sub(1)) },
        };
    }

    /// Takes what a probe saw. An inconclusive observation is remembered, but changes nothing.
    pub fn handle_observation(&mut self, observation: Observation, now: Moment) -> Option<Change> {
        let before = self.state;
        let latency_moved = match observation {
            Observation::Pass { connect, .. } => {
                self.state = before.after(Sight::Passed, &self.rules);
                self.latency.handle_sample(connect)
            }
            Observation::Fail(_) => {
                self.state = before.after(Sight::Failed, &self.rules);
                false
            }
            Observation::Inconclusive(_) => false,
        };
        self.last = Some((now, observation));
        let was = (before.status() != self.state.status()).then_some(before.status());
        if was.is_some() {
            self.since = now;
        }
        (before != self.state || latency_moved).then(|| Change { verdict: self.verdict(), was })
    }

    /// What is believed now, and how long that is sure to hold.
    ///
    /// It holds for interval x probes still missing before the status could flip, so that no resolver keeps an answer
    /// longer than the belief behind it. Zero while unknown: the next observation decides.
    pub fn verdict(&self) -> Verdict {
        Verdict { status: self.state.status(), holds: self.holds(), latency: self.latency.shown() }
    }

    fn holds(&self) -> Duration {
        let missing = match self.state {
            State::Unknown => 0,
            State::Up { failures } => self.rules.fall.saturating_sub(failures),
            State::Down { passes } => self.rules.rise.saturating_sub(passes),
        };
        self.rules.interval.saturating_mul(missing)
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
        /// Passes since the last failure; `0..rise`.
        passes: u32,
    },
}

/// An observation that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sight {
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

    /// The state after one more observation that counts.
    ///
    /// ```text
    ///                      ┌───────────┐
    ///            passed    │  Unknown  │    failed
    ///         ┌────────────┤           ├────────────┐
    ///         │            └───────────┘            │
    ///         ▼                                     ▼
    ///   ┌───────────┐   failed, `fall` in a row   ┌───────────┐
    ///   │    Up     ├────────────────────────────►│   Down    │
    ///   │ failures  │◄────────────────────────────┤  passes   │
    ///   └─┬───▲─┬─▲─┘   passed, `rise` in a row   └─┬───▲─┬─▲─┘
    ///     └───┘ └─┘                                 └───┘ └─┘
    ///   passed: failures = 0                    failed: passes = 0
    ///   failed: failures + 1                    passed: passes + 1
    /// ```
    const fn after(self, sight: Sight, rules: &Rules) -> State {
        match (self, sight) {
            (State::Up { failures }, Sight::Failed) if failures + 1 < rules.fall => State::Up { failures: failures + 1 },
            (State::Down { passes }, Sight::Passed) if passes + 1 < rules.rise => State::Down { passes: passes + 1 },
            (State::Unknown | State::Up { .. } | State::Down { .. }, Sight::Passed) => State::Up { failures: 0 },
            (State::Unknown | State::Up { .. } | State::Down { .. }, Sight::Failed) => State::Down { passes: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Doubt, FailReason};
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules { interval: Duration::from_secs(5), timeout: Duration::from_secs(2), rise: 2, fall: 3 };

    fn monitor(rise: u32, fall: u32) -> Monitor {
        Monitor::new(Rules { rise, fall, ..RULES }, Moment::START)
    }

    fn observation(letter: char) -> Observation {
        match letter {
            'P' => Observation::Pass { connect: Duration::from_millis(10), total: Duration::from_millis(20) },
            'F' => Observation::Fail(FailReason::Timeout),
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
        assert!(up.restore(Status::Up, Moment::START));
        assert_eq!(feed(&mut up, "F").status(), Status::Up);
        assert_eq!(feed(&mut up, "F").status(), Status::Down);
        let mut down = monitor(2, 2);
        assert!(down.restore(Status::Down, Moment::START));
        assert_eq!(feed(&mut down, "P").status(), Status::Down);
        assert_eq!(feed(&mut down, "P").status(), Status::Up);
    }

    #[test]
    fn nothing_is_restored_over_what_was_seen() {
        let mut monitor = monitor(2, 2);
        assert!(!monitor.restore(Status::Unknown, Moment::START));
        feed(&mut monitor, "P");
        assert!(!monitor.restore(Status::Down, Moment::START));
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
