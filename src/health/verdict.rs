//! The debounced conclusion about a target or a member.

use std::time::Duration;

/// What is believed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// Fit to be answered.
    Up,
    /// Not to be answered.
    Down,
    /// Not yet observed: answered only when nothing is up.
    Unknown,
}

/// A status, and how long it is sure to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What is believed.
    pub status: Status,
    /// The soonest that the status could change: interval x probes still missing before it could flip. Zero while
    /// unknown; [`Duration::MAX`] when nothing can change it.
    pub holds: Duration,
    /// Smoothed connect time of the probes that passed, where known.
    pub latency: Option<Duration>,
}

impl Verdict {
    /// The verdict on a member that nobody checks: up, for good.
    pub const UNMONITORED: Verdict = Verdict { status: Status::Up, holds: Duration::MAX, latency: None };
    /// The verdict on a member that the config disables: down, for good.
    pub const DISABLED: Verdict = Verdict { status: Status::Down, holds: Duration::MAX, latency: None };
    /// The verdict before the first observation.
    pub const UNKNOWN: Verdict = Verdict { status: Status::Unknown, holds: Duration::ZERO, latency: None };
}
