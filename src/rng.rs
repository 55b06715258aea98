//! Chance as the core knows it: seeded, passed in, and replayable.
//!
//! A worker owns one [`Rng`] and throws one [`Dice`] per query. Each node of the policy graph derives its own
//! bits from that one number, so a single `u64` replays a whole decision.

/// Mixes all bits of `x` into all bits of the result (the finaliser of SplitMix64, Steele et al. 2014).
pub const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The golden ratio in 64 bits: the step of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A small, fast generator (SplitMix64). Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose whole future follows from `seed`.
    pub const fn seeded(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// One throw for one query.
    pub const fn dice(&mut self) -> Dice {
        Dice(self.bits())
    }

    /// A uniform number in `0..bound`; 0 when `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        scale(self.bits(), bound)
    }
}

/// The chance of one query: one number from which every draw of the decision follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// An independent throw for the part of the decision that `salt` names (a node's index).
    #[must_use]
    pub const fn derive(self, salt: u64) -> Dice {
        Dice(mix(self.0 ^ salt.wrapping_add(1).wrapping_mul(STEP)))
    }

    /// A uniform number in `0..bound`; 0 when `bound` is 0.
    pub const fn below(self, bound: u64) -> u64 {
        scale(self.0, bound)
    }
}

/// Maps 64 random bits onto `0..bound` by one multiplication (Lemire 2019, without the rejection step: the bias is
/// below `bound / 2^64`, far under what any test or client could see).
const fn scale(bits: u64, bound: u64) -> u64 {
    ((bits as u128 * bound as u128) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_futures_and_different_seeds_do_not() {
        let (mut a, mut b, mut c) = (Rng::seeded(7), Rng::seeded(7), Rng::seeded(8));
        assert_eq!(a.bits(), b.bits());
        assert_ne!(a.bits(), c.bits());
    }

    #[test]
    fn every_number_below_the_bound_is_drawn_and_none_above() {
        let mut rng = Rng::seeded(1);
        let mut seen = [0u32; 7];
        for _ in 0..7_000 {
            seen[usize::try_from(rng.below(7)).expect("below 7")] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn nested_draws_of_one_throw_are_independent() {
        let mut rng = Rng::seeded(2);
        let mut both = 0;
        for _ in 0..4_000 {
            let dice = rng.dice();
            both += u32::from(dice.derive(1).below(2) == dice.derive(2).below(2));
        }
        assert!((1_850..2_150).contains(&both), "{both}");
    }
}
