//! How late probes began: the prober's own punctuality, as a histogram.

use std::time::Duration;

/// Counts of probes by how late they began.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Lateness {
    /// By bound; the last one is the rest.
    counts: [u64; LATENESS_BOUNDS.len() + 1],
    sum: Duration,
}

impl Lateness {
    /// Counts one probe.
    pub fn add(&mut self, late: Duration) {
        self.counts[LATENESS_BOUNDS.partition_point(|bound| *bound < late)] += 1;
        self.sum = self.sum.saturating_add(late);
    }

    /// How many were late by at most each of [`LATENESS_BOUNDS`] and by more than the one before it; behind them the rest.
    pub const fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The sum of all of them.
    pub const fn sum(&self) -> Duration {
        self.sum
    }
}

/// From a timer's own step to what is believed to be a machine that slept. 100 ms is what the prober promises to stay below.
pub const LATENESS_BOUNDS: [Duration; 9] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_what_is_below_it() {
        let mut lateness = Lateness::default();
        for late in [Duration::ZERO, LATENESS_BOUNDS[0], LATENESS_BOUNDS[0] + Duration::from_nanos(1), Duration::from_secs(3)] {
            lateness.add(late);
        }
        assert_eq!(lateness.counts(), [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(lateness.sum(), Duration::from_nanos(3_002_000_001));
    }
}
