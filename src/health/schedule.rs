//! All targets: what is due next, and what came of it.

use super::{Observation, Rules, Status, Verdict};
use crate::clock::Moment;
use crate::ids::TargetId;
use std::sync::Arc;

/// Names one probe; an observation with a token that is no longer under way is ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token(pub u64);

/// A probe to make now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeOrder {
    /// Whom to probe.
    pub target: TargetId,
    /// To be handed back with the observation.
    pub token: Token,
    /// When the probe must have ended.
    pub deadline: Moment,
}

/// A target's verdict changed: its status, its streak (and so how long it holds), or its latency.
#[derive(Clone, Debug)]
pub struct TargetVerdict {
    /// Whose.
    pub target: TargetId,
    /// The new verdict.
    pub verdict: Verdict,
    /// The status before, when the status changed.
    pub was: Option<Status>,
}

/// A target as people look at it.
#[derive(Clone, Debug)]
pub struct TargetView {
    /// What is believed now.
    pub verdict: Verdict,
    /// Since when the status is what it is.
    pub since: Moment,
    /// Successes (while down) or failures (while up) in a row that count towards a flip.
    pub streak: u32,
    /// The last observation, and when it came.
    pub last: Option<(Moment, Observation)>,
    /// When the next probe starts.
    pub next: Moment,
}

/// All targets of the config in force.
#[derive(Debug, Default)]
pub struct Schedule {}

impl Schedule {
    /// An empty schedule; `seed` decides the phases.
    pub fn new(_seed: u64) -> Schedule {
        Schedule {}
    }

    /// Takes over a new set of targets. Those known by identity keep their state; new ones start unknown and are due
    /// at once; those gone are never probed again, and their late observations are ignored.
    pub fn adopt(&mut self, _targets: &[(Arc<str>, Rules)], _now: Moment) {}

    /// Believes `status` of a target that has not been observed yet: what a state file said.
    pub fn restore(&mut self, _identity: &str, _status: Status, _now: Moment) {}

    /// The next probe that is due at `now`; `None` when none is, or enough are under way.
    pub fn poll_order(&mut self, _now: Moment) -> Option<ProbeOrder> {
        None
    }

    /// When [`Schedule::poll_order`] has something next, if nothing else happens.
    pub fn next_due(&self) -> Option<Moment> {
        None
    }

    /// Takes the result of a probe.
    pub fn handle_observation(&mut self, _token: Token, _observation: Observation, _now: Moment) -> Option<TargetVerdict> {
        None
    }

    /// Whether every target has been observed, or restored, at least once.
    pub fn first_round_is_done(&self) -> bool {
        true
    }

    /// One target, for people.
    pub fn view(&self, _target: TargetId) -> TargetView {
        TargetView { verdict: Verdict::UNKNOWN, since: Moment::START, streak: 0, last: None, next: Moment::START }
    }
}
