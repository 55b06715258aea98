//! Sorted ranges of addresses that cover a whole family, each with a number.
//!
//! A range is stored by its first address only: it reaches to where the next one begins, so there are no gaps to check
//! and no ends to keep. Neighbours with equal numbers are merged as they are appended. What a number means is the
//! caller's business; 0 is what an address has of which nothing was said.

use crate::prefetch::prefetch;
use crate::prefix::{self, Family};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// An address of one family as a number: `u32` for IPv4, `u128` for IPv6.
pub(super) trait Address: Copy + Ord + fmt::Debug {
    /// The family.
    const FAMILY: Family;
    /// The first address.
    const FIRST: Self;

    /// From the number that [`crate::prefix`] uses for both families.
    fn from_number(number: u128) -> Self;
    /// The next higher address, unless this is the last one.
    fn next(self) -> Option<Self>;
    /// The next lower address, unless this is the first one.
    fn previous(self) -> Option<Self>;
    /// How many leading bits two addresses share: the family's bits when they are equal.
    fn shared_bits(self, other: Self) -> u8;
    /// The leading 16 bits.
    fn top(self) -> u16;
    /// The first address with these leading 16 bits.
    fn with_top(top: u16) -> Self;
}

macro_rules! address {
    ($number:ty, $family:expr) => {
        impl Address for $number {
            const FAMILY: Family = $family;
            const FIRST: $number = 0;

            #[allow(clippy::cast_possible_truncation, reason = "numbers of IPv4 addresses are below 2^32")]
            fn from_number(number: u128) -> $number {
                number as $number
            }
            fn next(self) -> Option<$number> {
                self.checked_add(1)
            }
            fn previous(self) -> Option<$number> {
                self.checked_sub(1)
            }
            #[allow(clippy::cast_possible_truncation, reason = "at most 128")]
            fn shared_bits(self, other: $number) -> u8 {
                (self ^ other).leading_zeros() as u8
            }
            #[allow(clippy::cast_possible_truncation, reason = "the shift leaves 16 bits")]
            fn top(self) -> u16 {
                (self >> (<$number>::BITS - 16)) as u16
            }
            fn with_top(top: u16) -> $number {
                <$number>::from(top) << (<$number>::BITS - 16)
            }
        }
    };
}

address!(u32, Family::V4);
address!(u128, Family::V6);

/// The number of an address of which nothing was said.
pub(super) const NOTHING: u32 = 0;

/// All addresses of a family, cut into ranges.
#[derive(Clone)]
pub(super) struct Ranges<A> {
    /// The first address of each range, ascending; the first of all is the family's first.
    starts: Vec<A>,
    /// The number of each range; neighbours differ.
    numbers: Vec<u32>,
}

impl<A: Address> Ranges<A> {
    /// One range: every address has `number`.
    pub(super) fn uniform(number: u32) -> Ranges<A> {
        Ranges { starts: vec![A::FIRST], numbers: vec![number] }
    }

    /// From `start` on, up to the end, addresses have `number`.
    ///
    /// Starts never go down; the last word on a start counts.
    pub(super) fn continue_with(&mut self, start: A, number: u32) {
        debug_assert!(self.starts.last().is_none_or(|last| *last <= start), "starts never go down");
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.numbers.pop();
        }
        if self.numbers.last() == Some(&number) {
            return;
        }
        self.starts.push(start);
        self.numbers.push(number);
    }

    /// `first..=last` have `number`, and what follows has nothing. Ranges come in order and never overlap.
    pub(super) fn append(&mut self, first: A, last: A, number: u32) {
        self.continue_with(first, number);
        if let Some(after) = last.next() {
            self.continue_with(after, NOTHING);
        }
    }

    /// Gives back the room that growing took in advance.
    pub(super) fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.numbers.shrink_to_fit();
    }

    /// How many ranges there are; at least one.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The index of the range that holds `addr`.
    pub(super) fn find(&self, addr: A) -> usize {
        self.find_among(addr, 0..=self.len() - 1)
    }

    /// The index of the range that holds `addr`, known to be one of `among`.
    pub(super) fn find_among(&self, addr: A, among: RangeInclusive<usize>) -> usize {
        let from = *among.start();
        debug_assert!(self.starts[from] <= addr, "the range is among these");
        from + self.starts[among].partition_point(|start| *start <= addr) - 1
    }

    /// Sends for the range at `index`.
    pub(super) fn anticipate(&self, index: usize) {
        prefetch(&self.starts, index);
        prefetch(&self.numbers, index);
    }

    /// The number of the range at `index`.
    pub(super) fn number(&self, index: usize) -> u32 {
        self.numbers[index]
    }

    /// The length in bits of the largest prefix around `addr` that lies within the range at `index`, which holds `addr`.
    ///
    /// The prefix must be too long to hold the last address before the range, and the first one behind it.
    pub(super) fn uniform_bits(&self, index: usize, addr: A) -> u8 {
        let before = self.starts[index].previous();
        let behind = self.starts.get(index + 1).copied();
        [before, behind].into_iter().flatten().map(|stranger| addr.shared_bits(stranger) + 1).max().unwrap_or(0)
    }

    /// The largest ranges in which all three layers have one number each: the first address, and the three numbers.
    pub(super) fn overlay(layers: [&Ranges<A>; 3]) -> impl Iterator<Item = (A, [u32; 3])> {
        let mut at = [0_usize; 3];
        let mut next = Some(A::FIRST);
        std::iter::from_fn(move || {
            let start = next?;
            let numbers = std::array::from_fn(|layer| layers[layer].numbers[at[layer]]);
            let upcoming: [Option<A>; 3] = std::array::from_fn(|layer| layers[layer].starts.get(at[layer] + 1).copied());
            next = upcoming.into_iter().flatten().min();
            for layer in (0..3).filter(|layer| next.is_some() && upcoming[*layer] == next) {
                at[layer] += 1;
            }
            Some((start, numbers))
        })
    }
}

impl<A> fmt::Debug for Ranges<A> {
    /// Their count only: a city database has millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ranges({})", self.starts.len())
    }
}

/// A number for every address of both families.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// IPv4.
    pub(super) v4: Ranges<u32>,
    /// IPv6.
    pub(super) v6: Ranges<u128>,
}

impl Default for Layer {
    fn default() -> Layer {
        Layer { v4: Ranges::uniform(NOTHING), v6: Ranges::uniform(NOTHING) }
    }
}

impl Layer {
    /// Every address from `first` to `last`, numbers of `family` as [`crate::prefix`] gives them, has `number`.
    /// Ranges of a family come in order and never overlap.
    pub(super) fn append(&mut self, family: Family, (first, last): (u128, u128), number: u32) {
        match family {
            Family::V4 => self.v4.append(u32::from_number(first), u32::from_number(last), number),
            Family::V6 => self.v6.append(first, last, number),
        }
    }

    /// The number of `addr`.
    pub(super) fn number(&self, addr: IpAddr) -> u32 {
        let bits = prefix::to_bits(addr);
        match Family::of(addr) {
            Family::V4 => self.v4.number(self.v4.find(u32::from_number(bits))),
            Family::V6 => self.v6.number(self.v6.find(bits)),
        }
    }

    /// Gives back the room that growing took in advance.
    pub(super) fn shrink(&mut self) {
        self.v4.shrink();
        self.v6.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<A: Address>(ranges: &Ranges<A>) -> Vec<(A, u32)> {
        ranges.starts.iter().copied().zip(ranges.numbers.iter().copied()).collect()
    }

    #[test]
    fn appended_ranges_leave_nothing_between_them_and_merge_when_equal() {
        let mut ranges = Ranges::<u32>::uniform(NOTHING);
        ranges.append(0, 9, 1);
        ranges.append(10, 19, 1);
        ranges.append(30, 39, 1);
        ranges.append(40, u32::MAX, 2);
        assert_eq!(parts(&ranges), [(0, 1), (20, NOTHING), (30, 1), (40, 2)]);
    }

    #[test]
    fn a_range_ends_at_the_last_address_of_its_family() {
        let mut ranges = Ranges::<u128>::uniform(NOTHING);
        ranges.append(u128::MAX, u128::MAX, 7);
        assert_eq!(parts(&ranges), [(0, NOTHING), (u128::MAX, 7)]);
        assert_eq!(ranges.number(ranges.find(u128::MAX)), 7);
        assert_eq!(ranges.number(ranges.find(u128::MAX - 1)), NOTHING);
    }

    #[test]
    fn the_last_word_on_a_start_counts_and_merges_backwards() {
        let mut ranges = Ranges::<u32>::uniform(NOTHING);
        ranges.continue_with(5, 1);
        ranges.continue_with(5, NOTHING);
        assert_eq!(parts(&ranges), [(0, NOTHING)]);
    }

    #[test]
    fn uniform_bits_stop_short_of_both_neighbours() {
        let mut ranges = Ranges::<u32>::uniform(NOTHING);
        ranges.append(0x0a00_0000, 0x0aff_ffff, 1);
        assert_eq!(ranges.uniform_bits(ranges.find(0x0a01_0203), 0x0a01_0203), 8);
        assert_eq!(ranges.uniform_bits(ranges.find(0x0b00_0000), 0x0b00_0000), 8);
        assert_eq!(ranges.uniform_bits(ranges.find(0x8000_0000), 0x8000_0000), 1);
        assert_eq!(Ranges::<u128>::uniform(3).uniform_bits(0, 42), 0);
    }

    #[test]
    fn an_overlay_starts_anew_wherever_a_layer_does() {
        let mut a = Ranges::<u32>::uniform(NOTHING);
        a.append(10, 29, 1);
        let mut b = Ranges::<u32>::uniform(NOTHING);
        b.append(20, 29, 2);
        let whole = Ranges::uniform(9);
        let cells: Vec<_> = Ranges::overlay([&a, &b, &whole]).collect();
        assert_eq!(cells, [(0, [0, 0, 9]), (10, [1, 0, 9]), (20, [1, 2, 9]), (30, [0, 0, 9])]);
    }
}
