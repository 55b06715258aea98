//! What the schedule is told of a target, and what it tells of it.

use super::{Observation, Role, Rules, Status, Verdict};
use crate::clock::Moment;
use crate::ids::TargetId;
use std::sync::Arc;

/// Names one probe; an observation with a token that is no longer under way is ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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

/// A target to be probed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// By which it is known across reloads.
    pub identity: Arc<str>,
    /// How observations become a verdict.
    pub rules: Rules,
    /// What it is to this node's judgement of its own sight.
    pub role: Role,
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
    /// When the next probe starts; of a target being probed now, when the one after that does.
    pub next: Moment,
    /// Whether it seems dead, but is not believed to be, since this node may be blind.
    pub suspect: bool,
    /// How often it fell of late, and until when it therefore stays down.
    pub flaps: (usize, Moment),
    /// Failures among the last observations that the window looks at, and how many those are; none without a window.
    pub loss: Option<(u32, u32)>,
}
