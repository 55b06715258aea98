//! From targets to members.

use super::{TargetVerdict, Verdict};
use crate::ids::TargetId;

/// What is believed of every target, folded for those who ask.
#[derive(Clone, Debug, Default)]
pub struct Ledger {}

impl Ledger {
    /// A ledger of `targets` targets, all unknown.
    pub fn new(_targets: usize) -> Ledger {
        Ledger {}
    }

    /// Writes down a verdict.
    pub fn handle_verdict(&mut self, _verdict: &TargetVerdict) {}

    /// The verdict on a member whose checks are `targets`: all must pass. No check: up for good.
    pub fn fold(&self, _targets: &[TargetId]) -> Verdict {
        Verdict::UNMONITORED
    }
}
