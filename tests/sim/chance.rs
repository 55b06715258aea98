//! Chance in the words that worlds are made with: one seed, and everything follows.

use std::time::Duration;
use steersman::rng::Rng;

/// The dice of one world.
pub struct Chance(Rng);

impl Chance {
    /// Everything follows from `seed`.
    pub fn new(seed: u64) -> Chance {
        Chance(Rng::seeded(seed))
    }

    /// A stream of its own, so that one more draw here changes nothing there.
    pub fn fork(&mut self) -> Chance {
        Chance(Rng::seeded(self.0.bits()))
    }

    /// One of `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    /// An index below `len`, which is not 0.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.0.below(len as u64)).expect("below a length")
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// One of these; there is one.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    /// A span around `mean`, mostly shorter, sometimes up to seven times as long: what waits for accidents are like.
    pub fn around(&mut self, mean: Duration) -> Duration {
        let drawn = u32::try_from(self.0.below(1 << 20) + 1).expect("a million");
        let uniform = f64::from(drawn) / f64::from(1 << 20);
        mean.mul_f64((-uniform.ln()).clamp(0.01, 7.0))
    }
}
