//! Equal values, stored once and known by a number.

use std::collections::HashMap;
use std::hash::Hash;

/// Gives the same number to equal values. Numbers count up from 0 in the order of first sight.
#[derive(Debug)]
pub(super) struct Interner<T> {
    numbers: HashMap<T, u32>,
}

impl<T: Eq + Hash> Interner<T> {
    /// An interner that knows only `first`, by the number 0.
    pub(super) fn starting_with(first: T) -> Interner<T> {
        Interner { numbers: HashMap::from([(first, 0)]) }
    }

    /// An interner that knows nothing.
    pub(super) fn new() -> Interner<T> {
        Interner { numbers: HashMap::new() }
    }

    /// The number of `value`: its old one when an equal value was seen before.
    pub(super) fn number(&mut self, value: T) -> u32 {
        let next = u32::try_from(self.numbers.len()).expect("2^32 distinct values do not fit in memory");
        *self.numbers.entry(value).or_insert(next)
    }

    /// All values, each at the index that is its number.
    pub(super) fn into_values(self) -> Vec<T> {
        let mut numbered: Vec<(T, u32)> = self.numbers.into_iter().collect();
        numbered.sort_unstable_by_key(|(_, number)| *number);
        numbered.into_iter().map(|(value, _)| value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_number_that_is_their_index() {
        let mut interner = Interner::starting_with("nothing");
        let numbers = ["b", "a", "b", "nothing"].map(|value| interner.number(value));
        assert_eq!(numbers, [1, 2, 1, 0]);
        assert_eq!(interner.into_values(), ["nothing", "b", "a"]);
    }
}
