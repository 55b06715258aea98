//! One target's state machine.

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
pub struct Monitor {}
