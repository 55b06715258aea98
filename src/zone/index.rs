//! Finds things by the hash of their name: an open-addressing table that knows no names.
//!
//! A slot is eight octets: the high half of the hash above a number plus one; 0 is free. The same high half says where a search
//! begins, so that slots stand in the order of their hashes: the table grows, and one is made from another, without a look at
//! any name. Who asks compares the name itself.

use crate::prefetch::prefetch;

/// Hashes to numbers below 2^32 - 1.
#[derive(Clone, Debug, Default)]
pub(super) struct HashIndex {
    /// At most half of them taken, so that a search is short.
    slots: Box<[u64]>,
    taken: usize,
}

impl HashIndex {
    /// An empty table that takes `entries` without growing.
    pub fn with_room(entries: usize) -> HashIndex {
        HashIndex { slots: vec![0; (entries * 2).max(2)].into(), taken: 0 }
    }

    /// The number under `hash` that `is` recognises.
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            // Only an empty table has no slot there.
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if (slot ^ hash) >> 32 == 0 && is(number(slot)) {
                return Some(number(slot));
            }
            at = self.after(at);
        }
    }

    /// Sends for the slot where a search for `hash` begins.
    pub fn anticipate(&self, hash: u64) {
        prefetch(&self.slots, self.home(hash));
    }

    /// Whether nothing can be found.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Whether it takes `entries` in all without growing.
    pub fn has_room(&self, entries: usize) -> bool {
        entries * 2 <= self.slots.len()
    }

    /// Puts another number in the place of each.
    pub fn renumber(&mut self, other: impl Fn(u32) -> u32) {
        for slot in self.slots.iter_mut().filter(|slot| **slot != 0) {
            *slot = *slot >> 32 << 32 | u64::from(other(number(*slot)) + 1);
        }
    }

    /// The table as it lies in memory.
    pub fn slots(&self) -> &[u64] {
        &self.slots
    }

    /// Adds a number that is not there yet.
    pub fn insert(&mut self, hash: u64, number: u32) {
        if self.taken * 2 >= self.slots.len() {
            self.grow();
        }
        self.taken += 1;
        self.place(hash >> 32 << 32 | u64::from(number + 1));
    }

    /// All hashes, of which only the high half is known, with their numbers; nearly in the order of the hashes.
    pub fn entries(&self) -> impl Iterator<Item = (u64, u32)> {
        self.slots.iter().filter(|slot| **slot != 0).map(|slot| (slot >> 32 << 32, number(*slot)))
    }

    fn grow(&mut self) {
        let larger = vec![0; (self.slots.len() * 2).max(16)].into();
        let old = std::mem::replace(&mut self.slots, larger);
        for slot in old.iter().filter(|slot| **slot != 0) {
            self.place(*slot);
        }
    }

    fn place(&mut self, slot: u64) {
        let mut at = self.home(slot);
        while self.slots[at] != 0 {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    /// Where a search for this hash, or for the hash in this slot, begins.
    fn home(&self, hash: u64) -> usize {
        // The high half as a fraction of the table; below its length, whatever that is.
        #[allow(clippy::cast_possible_truncation, reason = "the product is below the length of the table")]
        let at = (((hash >> 32) * self.slots.len() as u64) >> 32) as usize;
        at
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }
}

fn number(slot: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "the low half is the number plus one")]
    let low = slot as u32;
    low.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn what_was_inserted_is_found_however_often_the_table_grew() {
        let mut rng = Rng::seeded(1);
        // Only four bits differ, so that searches run into each other and over the end.
        let hashes: Vec<u64> = (0..1000).map(|_| rng.bits() | 0x0fff_ffff_0000_0000).collect();
        let mut index = HashIndex::default();
        for (number, hash) in (0..).zip(&hashes) {
            assert_eq!(index.find(*hash, |found| found == number), None);
            index.insert(*hash, number);
        }
        for (number, hash) in (0..).zip(&hashes) {
            assert_eq!(index.find(*hash, |found| found == number), Some(number));
        }
        let mut numbers: Vec<u32> = index.entries().map(|(_, number)| number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<u32>>());
    }
}
