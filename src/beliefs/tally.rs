//! What the probes of one target saw so far, in numbers.

use crate::clock::Moment;
use crate::health::Observation;
use std::collections::BTreeMap;

/// What the probes of one target saw.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Probes by result: `pass`, or a short word for what was wrong.
    pub results: BTreeMap<&'static str, u64>,
    /// How many of the last conclusive probes agreed.
    pub in_a_row: u32,
    passed: Option<bool>,
    /// When the first of those probes began.
    pub began: Moment,
}

impl Tally {
    /// Counts a probe that began then.
    pub fn count(&mut self, observation: &Observation, began: Moment) {
        let passed = match observation {
            Observation::Pass { .. } => Some(true),
            Observation::Fail(_) => Some(false),
            Observation::Inconclusive(_) => None,
        };
        *self.results.entry(observation.code()).or_default() += 1;
        if passed.is_some() {
            if self.passed != passed {
                (self.in_a_row, self.began) = (0, began);
            }
            self.in_a_row = self.in_a_row.saturating_add(1);
            self.passed = passed;
        }
    }
}
