//! The smoothed connect time of one target.
//!
//! Connect times of passing probes go in; out comes a figure that stands still while the target does. It is smoothed,
//! rounded, and moves only by a step worth acting on, because every change of it is published to all workers.

use std::time::Duration;

/// An exponentially weighted mean, and the figure last shown for it.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// The mean itself; `None` before the first sample.
    mean: Option<Duration>,
    /// The mean as it was last shown, in whole steps.
    shown: Option<Duration>,
}

impl Latency {
    /// Before the first sample.
    pub const NONE: Latency = Latency { mean: None, shown: None };

    /// The mean and the figure, as [`Latency::parts`] gave them away.
    pub const fn of_parts(parts: Option<(Duration, Duration)>) -> Latency {
        match parts {
            Some((mean, shown)) => Latency { mean: Some(mean), shown: Some(shown) },
            None => Latency::NONE,
        }
    }

    /// The mean and the figure; `None` before the first sample.
    pub fn parts(&self) -> Option<(Duration, Duration)> {
        self.mean.zip(self.shown)
    }

    /// Takes the connect time of a probe that passed; says whether the figure moved. Zero is no connect time: the check
    /// connects nowhere.
    pub fn handle_sample(&mut self, sample: Duration) -> bool {
        if sample.is_zero() {
            return false;
        }
        let mean = self.mean.map_or(sample, |mean| mean.mul_f64(1.0 - WEIGHT) + sample.mul_f64(WEIGHT));
        self.mean = Some(mean);
        if self.shown.is_some_and(|shown| mean.abs_diff(shown) <= tolerance(shown)) {
            return false;
        }
        self.shown = Some(rounded(mean));
        true
    }

    /// The figure: a multiple of 0.1 ms, `None` before the first sample.
    pub const fn shown(&self) -> Option<Duration> {
        self.shown
    }
}

/// How far the mean may drift from the figure before the figure follows.
fn tolerance(shown: Duration) -> Duration {
    (shown / 20).max(TOLERANCE_MIN)
}

/// The nearest multiple of [`STEP`].
fn rounded(mean: Duration) -> Duration {
    let steps = (mean.as_nanos() + STEP.as_nanos() / 2) / STEP.as_nanos();
    STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

/// The weight of the newest sample: a changed path shows to nine tenths within seven probes, one odd sample does not.
const WEIGHT: f64 = 0.3;

/// The figure comes in steps of this; finer differences between two members are noise on any network.
const STEP: Duration = Duration::from_micros(100);

/// Drift below this is never shown, however small the figure: half a millisecond decides between no two places.
const TOLERANCE_MIN: Duration = Duration::from_micros(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn the_first_sample_is_shown_at_once_and_rounded() {
        let mut latency = Latency::NONE;
        assert_eq!(latency.shown(), None);
        assert!(latency.handle_sample(us(12_349)));
        assert_eq!(latency.shown(), Some(us(12_300)));
    }

    #[test]
    fn a_steady_target_shows_a_steady_figure() {
        let mut latency = Latency::NONE;
        latency.handle_sample(us(20_000));
        for sample in [20_400, 19_700, 20_900, 19_200, 20_600] {
            assert!(!latency.handle_sample(us(sample)));
        }
        assert_eq!(latency.shown(), Some(us(20_000)));
    }

    #[test]
    fn a_small_figure_moves_after_half_a_millisecond_and_not_before() {
        let drift_by = |micros: u64| {
            let mut latency = Latency::NONE;
            latency.handle_sample(us(1_000));
            // One sample moves the mean by three tenths of its distance.
            latency.handle_sample(us(1_000 + micros * 10 / 3))
        };
        assert!(!drift_by(498));
        assert!(drift_by(504));
    }

    #[test]
    fn a_large_figure_moves_after_a_twentieth_and_not_before() {
        let drift_by = |micros: u64| {
            let mut latency = Latency::NONE;
            latency.handle_sample(us(100_000));
            latency.handle_sample(us(100_000 + micros * 10 / 3))
        };
        assert!(!drift_by(4_980));
        assert!(drift_by(5_040));
    }

    #[test]
    fn a_changed_path_is_believed_within_ten_probes() {
        let mut latency = Latency::NONE;
        latency.handle_sample(us(10_000));
        for _ in 0..10 {
            latency.handle_sample(us(80_000));
        }
        let shown = latency.shown().expect("samples were given");
        assert!((us(76_000)..=us(80_000)).contains(&shown), "{shown:?}");
    }
}
