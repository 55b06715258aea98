//! A name on its way through a look-up: lower case, with its labels found and hashed, in a buffer that is reused.

use super::Name;

/// The most octets that a name can have (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 255;

/// The most labels a name of 255 octets can have, the root not counted.
const LABELS_MAX: usize = 127;

/// A lower-cased name in wire form and where its labels start. Lives in a worker's scratch; nothing is allocated.
#[derive(Clone)]
pub struct FoldedName {
    /// With room for a word that begins at the last octet.
    wire: [u8; NAME_MAX + WORD - 1],
    len: usize,
    starts: [u8; LABELS_MAX + 1],
    /// The hash of each suffix, by the labels left off; those beyond `labels` are of a name before.
    hashes: [u64; LABELS_MAX + 1],
    labels: usize,
}

/// Names are folded and hashed so many octets at a time.
const WORD: usize = size_of::<u64>();

/// The hash of the root. Unseeded on purpose: the tables hold only the operator's names at half load, so that no client can
/// lengthen a probe.
const HASH_OF_ROOT: u64 = 0x5354_4545_5253_4d41;

/// An odd number with bits all over: the golden ratio in 64 bits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl FoldedName {
    /// The root.
    pub fn new() -> FoldedName {
        FoldedName { wire: [0; _], len: 1, starts: [0; _], hashes: [HASH_OF_ROOT; _], labels: 0 }
    }

    /// Takes over the uncompressed name at the front of `bytes`, and returns its length; `None` when there is none:
    /// cut off, a compression pointer, or too long. The name is then undefined.
    pub fn read(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        self.labels = 0;
        loop {
            let len = usize::from(*bytes.get(at)?);
            // 255 octets in all (RFC 1035 section 2.3.4): a start above 254 could not hold even the root.
            *self.starts.get_mut(self.labels)? = u8::try_from(at).ok()?;
            match len {
                0 => break,
                1..=63 => at += 1 + len,
                // No compression in a question: there is nothing before it to point to.
                _ => return None,
            }
            self.labels += 1;
        }
        self.len = at + 1;
        self.wire[..NAME_MAX].get_mut(..self.len)?.copy_from_slice(bytes.get(..self.len)?);
        self.fold();
        Some(self.len)
    }

    /// Lower-cases the name, and hashes all its suffixes in one walk from the root down, so that a miss costs one probe a label.
    fn fold(&mut self) {
        let (mut hash, mut end) = (HASH_OF_ROOT, self.len - 1);
        self.hashes[self.labels] = hash;
        for skip in (0..self.labels).rev() {
            let start = usize::from(self.starts[skip]);
            for at in (start..end).step_by(WORD) {
                let word = lower_case(self.word(at));
                // Octets behind the label were lower-cased before and stay as they are.
                self.wire[at..at + WORD].copy_from_slice(&word.to_le_bytes());
                hash = mix(hash, first_octets(word, end - at));
            }
            self.hashes[skip] = hash;
            end = start;
        }
    }

    fn word(&self, at: usize) -> u64 {
        self.wire[at..].first_chunk().map_or(0, |octets| u64::from_le_bytes(*octets))
    }

    /// Takes over a name that is known to be well-formed.
    pub fn set(&mut self, name: &[u8]) {
        let read = self.read(name);
        debug_assert_eq!(read, Some(name.len()), "stored names are well-formed");
    }

    /// The number of labels, the root not counted.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// The name that is left after the leftmost `skip` labels, in wire form.
    pub fn suffix(&self, skip: usize) -> &[u8] {
        &self.wire[usize::from(self.starts[skip.min(self.labels)])..self.len]
    }

    /// The hash of that suffix: equal names have equal hashes, in this process and any other.
    pub fn hash(&self, skip: usize) -> u64 {
        self.hashes[skip.min(self.labels)]
    }

    /// Where that suffix starts, in octets from the name's own start.
    pub fn offset(&self, skip: usize) -> usize {
        usize::from(self.starts[skip.min(self.labels)])
    }

    /// The whole, in wire form.
    pub fn wire(&self) -> &[u8] {
        &self.wire[..self.len]
    }
}

/// The hash of a lower-cased name in wire form: the one that [`FoldedName::hash`] gives for it.
pub fn hash_of(wire: &[u8]) -> u64 {
    let mut starts = [0; LABELS_MAX + 1];
    let (mut labels, mut end) = (0, 0);
    while wire[end] != 0 {
        starts[labels] = end;
        labels += 1;
        end += 1 + usize::from(wire[end]);
    }
    let mut hash = HASH_OF_ROOT;
    for &start in starts[..labels].iter().rev() {
        hash = wire[start..end].chunks(WORD).fold(hash, |hash, octets| mix(hash, word_of(octets)));
        end = start;
    }
    hash
}

/// At most eight octets as a number, the first one lowest.
fn word_of(octets: &[u8]) -> u64 {
    octets.iter().rev().fold(0, |word, &octet| word << 8 | u64::from(octet))
}

/// Takes some octets of a label into the hash of what is above them and behind them. Labels begin with their length, so no two
/// sequences of labels give the same sequence of words.
#[allow(clippy::cast_possible_truncation, reason = "both halves of the product are taken")]
const fn mix(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word) as u128 * FACTOR as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The first `count` octets of a word, the others cleared; all of it from eight on.
const fn first_octets(word: u64, count: usize) -> u64 {
    if count >= WORD { word } else { word & !(u64::MAX << (8 * count)) }
}

/// Lower-cases the ASCII letters among eight octets. Length octets are at most 63 and so below 'A': they stay.
const fn lower_case(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    let low = word & (EACH * 0x7f);
    // The top bit of each octet says whether its low seven bits are at least 'A', or above 'Z'.
    let (from_a, above_z) = (low + EACH * (0x80 - b'A' as u64), low + EACH * (0x7f - b'Z' as u64));
    let letters = (from_a ^ above_z) & !word & (EACH * 0x80);
    word | letters >> 2
}

impl Default for FoldedName {
    fn default() -> Self {
        FoldedName::new()
    }
}

impl std::fmt::Debug for FoldedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", Name::from_wire(self.wire()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_folded_and_its_suffixes_are_found() {
        let mut name = FoldedName::new();
        assert_eq!(name.read(b"\x03WwW\x02Ex\x00rest"), Some(8));
        assert_eq!(name.wire(), b"\x03www\x02ex\x00");
        assert_eq!(
            (name.labels(), name.suffix(0), name.suffix(1), name.suffix(2)),
            (2, &b"\x03www\x02ex\0"[..], &b"\x02ex\0"[..], &b"\0"[..])
        );
        assert_eq!((name.offset(1), name.offset(2)), (4, 7));
    }

    #[test]
    fn a_name_hashes_alike_as_a_whole_and_as_the_suffix_of_another() {
        let mut name = FoldedName::new();
        name.set(b"\x09nine-oct.\x03www\x07example\x00");
        for skip in 0..=3 {
            assert_eq!(name.hash(skip), hash_of(name.suffix(skip)));
        }
        assert_ne!(name.hash(0), name.hash(1));
    }

    #[test]
    fn each_octet_is_lower_cased_as_ascii_wherever_it_stands() {
        for octet in 0..=u8::MAX {
            for place in 0..8 {
                let mut octets = [b'Z'; 8];
                octets[place] = octet;
                assert_eq!(
                    lower_case(u64::from_le_bytes(octets)).to_le_bytes(),
                    octets.map(|octet| octet.to_ascii_lowercase()),
                    "{octets:?}"
                );
            }
        }
    }

    #[test]
    fn labels_of_all_lengths_are_folded_and_hashed_alike_in_place_and_apart() {
        for len in 1..=63 {
            let label = [&[len][..], &b"Q".repeat(usize::from(len))].concat();
            let wire = [&label[..], b"\x01X", &label, b"\x00"].concat();
            let mut name = FoldedName::new();
            name.set(&wire);
            assert_eq!(name.wire(), wire.to_ascii_lowercase());
            for skip in 0..=3 {
                assert_eq!(name.hash(skip), hash_of(name.suffix(skip)), "{len}");
            }
        }
    }

    #[test]
    fn pointers_overlong_and_cut_names_are_no_names() {
        let mut name = FoldedName::new();
        assert_eq!(name.read(b"\xc0\x0c"), None);
        assert_eq!(name.read(b"\x40a"), None);
        assert_eq!(name.read(b"\x03ww"), None);
        assert_eq!(name.read(b""), None);
        assert_eq!(name.read(b"\x00"), Some(1));
    }

    #[test]
    fn a_name_of_255_octets_is_read_and_one_of_256_is_not() {
        let mut wire = b"\x01a".repeat(127);
        wire.push(0);
        let mut name = FoldedName::new();
        assert_eq!(name.read(&wire), Some(255));
        assert_eq!(name.labels(), 127);
        let mut long = b"\x01a".repeat(126);
        long.extend_from_slice(b"\x02aa\x00");
        assert_eq!(long.len(), 256);
        assert_eq!(name.read(&long), None);
        let mut longer = b"\x01a".repeat(128);
        longer.push(0);
        assert_eq!(name.read(&longer), None);
    }
}
