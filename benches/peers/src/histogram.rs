//! Latencies by the million, in constant space.
//!
//! Log-linear: each power of two of nanoseconds has 64 steps, so that a quantile is never off by more than 1.6 %.

use std::time::Duration;

/// Steps within a power of two; a power of two itself.
const STEPS: usize = 64;
/// Powers of two above the linear part: up to 2^42 ns, more than an hour.
const POWERS: usize = 37;

/// How many times each latency was seen.
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; STEPS * POWERS].into(), total: 0 }
    }
}

impl Histogram {
    /// Counts one latency, in nanoseconds.
    pub fn add(&mut self, nanoseconds: u64) {
        let last = self.counts.len() - 1;
        self.counts[step(nanoseconds).min(last)] += 1;
        self.total += 1;
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    /// The smallest latency that at least this share (0 to 1) of all did not exceed; zero when nothing was counted.
    pub fn quantile(&self, share: f64) -> Duration {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count is a count")]
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(floor(index));
            }
        }
        Duration::ZERO
    }
}

/// The step a latency belongs to.
fn step(nanoseconds: u64) -> usize {
    let Some(power) = nanoseconds.max(1).ilog2().checked_sub(STEPS.ilog2()) else {
        return usize::try_from(nanoseconds).expect("below 64");
    };
    let within = usize::try_from(nanoseconds >> power).expect("below 128") - STEPS;
    (power as usize + 1) * STEPS + within
}

/// The smallest latency of a step.
fn floor(step: usize) -> u64 {
    let (power, within) = (step / STEPS, (step % STEPS) as u64);
    if power == 0 { within } else { (STEPS as u64 + within) << (power - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_known_to_one_part_in_64() {
        for nanoseconds in (0..200).chain([1000, 4095, 4096, 1_234_567, 9_999_999_999]) {
            let shown = floor(step(nanoseconds));
            assert!(shown <= nanoseconds && nanoseconds - shown <= nanoseconds / 64, "{nanoseconds} shown as {shown}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_latencies_counted() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|microseconds| histogram.add(microseconds * 1024));
        assert_eq!(histogram.quantile(0.5), Duration::from_nanos(50 * 1024));
        assert_eq!(histogram.quantile(1.0), Duration::from_nanos(100 * 1024));
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn a_latency_beyond_all_steps_is_counted_in_the_last() {
        let mut histogram = Histogram::default();
        histogram.add(u64::MAX);
        assert!(histogram.quantile(0.5) > Duration::from_hours(1));
    }
}
