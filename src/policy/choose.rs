//! Draws among weighted things, by bits that somebody passes in.
//!
//! Weights enter once, when a pool is prepared, and become [`Shares`]: a line on which every weight is a segment. A query
//! throws a point onto that line and finds its segment by binary search, so that a pool of thousands costs no more than
//! a pool of three. Knows no member, address or health: it deals in positions.

use super::{Choose, Picks};
use crate::prefetch::prefetch;
use crate::rng::Dice;
use std::iter;

/// Weights laid end to end on a line. When all are zero, each counts as one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Shares {
    /// Where each segment ends; it begins where the one before ends. Never decreasing; the last is the total.
    ends: Box<[u64]>,
}

impl Shares {
    /// Lays out `weights`. 65,535 weights of a million come to less than 2^36, far from overflow.
    pub(super) fn of(weights: impl Iterator<Item = u32> + Clone) -> Shares {
        let even = weights.clone().all(|weight| weight == 0);
        let ends = weights.scan(0u64, |end, weight| {
            *end += if even { 1 } else { u64::from(weight) };
            Some(*end)
        });
        Shares { ends: ends.collect() }
    }

    /// The positions to answer, at most `count` of them and never one twice, in the order of the answer.
    pub(super) fn choose(&self, how: Choose, count: usize, dice: Dice, each: impl FnMut(usize)) {
        match how {
            Choose::Weighted if count == 1 => self.draw(dice).into_iter().for_each(each),
            Choose::Weighted => self.draw_many(dice, count).for_each(each),
            Choose::RoundRobin => self.rotate(dice).take(count).for_each(each),
            Choose::All => (0..self.ends.len()).take(count).for_each(each),
        }
    }

    /// The chance of `position` to be chosen, in parts per million. For a weighted choice of several it is the chance
    /// in the first draw, which is what the weights promise.
    pub(super) fn chance_ppm(&self, how: Choose, count: usize, position: usize) -> u32 {
        match how {
            Choose::Weighted => parts_per_million(self.segment(position).1, self.total()),
            Choose::RoundRobin => parts_per_million(count.min(self.ends.len()) as u64, self.ends.len() as u64),
            Choose::All => u32::from(position < count) * ONE_IN_PPM,
        }
    }

    /// Sends for where the segments of a short line end.
    pub(super) fn anticipate(&self) {
        prefetch(&self.ends, 0);
    }

    /// One position, each with probability weight / total; none when there is no position.
    fn draw(&self, dice: Dice) -> Option<usize> {
        let total = self.total();
        (total > 0).then(|| self.at(dice.derive(0).below(total)))
    }

    /// Several positions, each drawn from those that are left; never more than [`Picks::MAX`].
    fn draw_many(&self, dice: Dice, count: usize) -> impl Iterator<Item = usize> {
        let mut gaps = Gaps::default();
        let mut left = self.total();
        (0..count.min(Picks::MAX)).map_while(move |nth| {
            if left == 0 {
                return None;
            }
            let position = self.at(gaps.skip(dice.derive(nth as u64).below(left)));
            let (start, weight) = self.segment(position);
            gaps.insert(start, weight);
            left -= weight;
            Some(position)
        })
    }

    /// All positions in order, from a random one on and around.
    fn rotate(&self, dice: Dice) -> impl Iterator<Item = usize> {
        let len = self.ends.len();
        let start = usize::try_from(dice.derive(0).below(len as u64)).unwrap_or(0);
        iter::chain(start..len, 0..start)
    }

    /// The position whose segment holds `point`; a segment without length holds none.
    fn at(&self, point: u64) -> usize {
        debug_assert!(point < self.total(), "a point is thrown onto the line, never past it");
        self.ends.partition_point(|&end| end <= point)
    }

    /// Where a segment starts, and how long it is.
    fn segment(&self, position: usize) -> (u64, u64) {
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]);
        (start, self.ends[position] - start)
    }

    fn total(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }
}

/// Segments that were drawn already, cut out of the line: what makes a draw without replacement need no allocation and
/// no second look at the weights.
struct Gaps {
    /// Start and length on the whole line, ordered by start; `len` of them count.
    list: [(u64, u64); Picks::MAX],
    len: usize,
}

impl Default for Gaps {
    fn default() -> Gaps {
        Gaps { list: [(0, 0); Picks::MAX], len: 0 }
    }
}

impl Gaps {
    /// Where a point of the shortened line lies on the whole line.
    fn skip(&self, point: u64) -> u64 {
        self.list[..self.len].iter().fold(point, |point, &(start, length)| if point >= start { point + length } else { point })
    }

    fn insert(&mut self, start: u64, length: u64) {
        let place = self.list[..self.len].partition_point(|&(other, _)| other < start);
        self.list.copy_within(place..self.len, place + 1);
        self.list[place] = (start, length);
        self.len += 1;
    }
}

/// A certainty, in parts per million.
pub(super) const ONE_IN_PPM: u32 = 1_000_000;

/// `part / whole` in parts per million, rounded down; 0 when there is no whole.
pub(super) fn parts_per_million(part: u64, whole: u64) -> u32 {
    let parts = (u128::from(part) * u128::from(ONE_IN_PPM)).checked_div(u128::from(whole)).unwrap_or(0);
    u32::try_from(parts).unwrap_or(ONE_IN_PPM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use proptest::prelude::*;

    fn shares(weights: &[u32]) -> Shares {
        Shares::of(weights.iter().copied())
    }

    fn chosen(weights: &[u32], how: Choose, count: usize, dice: Dice) -> Vec<usize> {
        let mut positions = Vec::new();
        shares(weights).choose(how, count, dice, |position| positions.push(position));
        positions
    }

    /// Pearson's statistic of `seen` against `expected` shares; cells that are expected never must be empty.
    fn chi_square(seen: &[u32], expected: &[f64]) -> f64 {
        let throws = f64::from(seen.iter().sum::<u32>());
        let whole: f64 = expected.iter().sum();
        let cells = seen.iter().zip(expected).map(|(&seen, share)| {
            let mean = throws * share / whole;
            assert!(mean > 0.0 || seen == 0, "drawn, but its weight is zero");
            if mean > 0.0 { (f64::from(seen) - mean).powi(2) / mean } else { 0.0 }
        });
        cells.sum()
    }

    /// 200,000 throws against a bound that a fair draw exceeds once in a thousand seeds.
    fn assert_fair(weights: &[u32], bound: f64) {
        let mut rng = Rng::seeded(2_026);
        let line = shares(weights);
        let mut seen = vec![0u32; weights.len()];
        for _ in 0..200_000 {
            seen[line.draw(rng.dice()).expect("there is a weight")] += 1;
        }
        let expected: Vec<f64> = weights.iter().map(|&w| f64::from(w)).collect();
        let statistic = chi_square(&seen, &expected);
        assert!(statistic < bound, "{} members: {statistic} >= {bound}", weights.len());
    }

    #[test]
    fn one_member_is_drawn_by_its_weight_in_pools_of_every_size() {
        // Critical values of chi-square for p = 0.001 and one degree of freedom less than there are weights.
        assert_fair(&[7], 0.001);
        assert_fair(&[3, 1], 10.83);
        assert_fair(&[1, 10, 100], 13.82);
        assert_fair(&[1, 2, 3, 5, 8, 13, 21, 34], 24.32);
        let many: Vec<u32> = (1..=64).map(|n| n * n).collect();
        assert_fair(&many, 103.44);
        let million: Vec<u32> = (0..64).map(|n| 1_000_000 - n * 15_000).collect();
        assert_fair(&million, 103.44);
    }

    #[test]
    fn a_pair_is_drawn_as_two_draws_in_a_row_without_replacement() {
        let weights = [5u32, 3, 2];
        let pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];
        let mut rng = Rng::seeded(11);
        let mut seen = [0u32; 6];
        for _ in 0..120_000 {
            let drawn = chosen(&weights, Choose::Weighted, 2, rng.dice());
            seen[pairs.iter().position(|&(a, b)| drawn == [a, b]).expect("two different positions")] += 1;
        }
        let expected = pairs.map(|(a, b)| {
            let (a, b) = (f64::from(weights[a]), f64::from(weights[b]));
            a / 10.0 * b / (10.0 - a)
        });
        let statistic = chi_square(&seen, &expected);
        assert!(statistic < 20.52, "{statistic} with 5 degrees of freedom");
    }

    #[test]
    fn a_weight_of_zero_is_never_drawn_beside_others_and_fairly_among_zeroes() {
        assert_fair(&[0, 3, 0, 0, 1, 0], 10.83);
        let mut seen = [0u32; 4];
        let mut rng = Rng::seeded(5);
        for _ in 0..40_000 {
            seen[shares(&[0; 4]).draw(rng.dice()).expect("zeroes count as ones")] += 1;
        }
        assert!(chi_square(&seen, &[1.0; 4]) < 16.27, "{seen:?}");
        assert_eq!(chosen(&[0, 3, 0, 1], Choose::Weighted, 4, Dice(9)).len(), 2);
    }

    #[test]
    fn the_first_and_the_last_point_of_each_segment_belong_to_it() {
        let line = shares(&[2, 0, 1, 3]);
        let found: Vec<usize> = (0..6).map(|point| line.at(point)).collect();
        assert_eq!(found, [0, 0, 2, 3, 3, 3]);
    }

    #[test]
    fn the_largest_pool_of_the_largest_weights_does_not_overflow() {
        let line = Shares::of(iter::repeat_n(1_000_000, 65_535));
        assert_eq!(line.total(), 65_535_000_000);
        assert_eq!(line.at(line.total() - 1), 65_534);
        assert_eq!(line.draw_many(Dice(1), 64).count(), 64);
    }

    #[test]
    fn nothing_is_chosen_from_nothing() {
        for how in [Choose::Weighted, Choose::RoundRobin, Choose::All] {
            for count in [0, 1, 2] {
                assert!(chosen(&[], how, count, Dice(3)).is_empty());
            }
        }
    }

    #[test]
    fn a_rotation_keeps_the_order_and_starts_everywhere_equally_often() {
        let mut rng = Rng::seeded(3);
        let mut starts = [0u32; 5];
        for _ in 0..50_000 {
            let order = chosen(&[9, 0, 1, 1, 1], Choose::RoundRobin, 5, rng.dice());
            assert!((0..5).all(|i| order[i] == (order[0] + i) % 5), "{order:?}");
            starts[order[0]] += 1;
        }
        assert!(chi_square(&starts, &[1.0; 5]) < 18.47, "{starts:?}");
    }

    #[test]
    fn all_keeps_the_config_order_whatever_the_dice() {
        assert_eq!(chosen(&[1, 2, 3], Choose::All, 8, Dice(1)), [0, 1, 2]);
        assert_eq!(chosen(&[1, 2, 3], Choose::All, 2, Dice(77)), [0, 1]);
    }

    #[test]
    fn chances_add_up_and_name_what_the_weights_promise() {
        let line = shares(&[3, 1]);
        assert_eq!([0, 1].map(|i| line.chance_ppm(Choose::Weighted, 1, i)), [750_000, 250_000]);
        assert_eq!(line.chance_ppm(Choose::RoundRobin, 1, 0), 500_000);
        assert_eq!(line.chance_ppm(Choose::RoundRobin, 8, 0), 1_000_000);
        assert_eq!([0, 1].map(|i| line.chance_ppm(Choose::All, 1, i)), [1_000_000, 0]);
    }

    /// The same draw as everybody would write it first: take away what was drawn and add up again.
    fn naive(weights: &[u32], dice: Dice, count: usize) -> Vec<usize> {
        let even = weights.iter().all(|&w| w == 0);
        let mut left: Vec<(usize, u64)> = weights.iter().map(|&w| if even { 1 } else { u64::from(w) }).enumerate().collect();
        let mut drawn = Vec::new();
        for nth in 0..count {
            let total: u64 = left.iter().map(|(_, w)| w).sum();
            if total == 0 {
                break;
            }
            let mut point = dice.derive(nth as u64).below(total);
            let place = left.iter().position(|&(_, w)| {
                point < w || {
                    point -= w;
                    false
                }
            });
            drawn.push(left.remove(place.expect("the point lies on the line")).0);
        }
        drawn
    }

    proptest! {
        #[test]
        fn a_draw_without_replacement_equals_the_naive_one(
            weights in prop::collection::vec(prop_oneof![Just(0u32), 1u32..10, Just(1_000_000)], 0..80),
            bits: u64,
            count in 0usize..=Picks::MAX,
        ) {
            prop_assert_eq!(chosen(&weights, Choose::Weighted, count, Dice(bits)), naive(&weights, Dice(bits), count));
        }
    }
}
