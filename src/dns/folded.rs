//! A name on its way through a look-up: lower case, with its labels found and hashed, in a buffer that is reused.

use super::Name;
use crate::rng::mix;

/// The most labels a name of 255 octets can have, the root not counted.
const LABELS_MAX: usize = 127;

/// A lower-cased name in wire form and where its labels start. Lives in a worker's scratch; nothing is allocated.
#[derive(Clone)]
pub struct FoldedName {
    wire: [u8; 255],
    len: usize,
    starts: [u8; LABELS_MAX + 1],
    /// The hash of each suffix, by the labels left off; those beyond `labels` are of a name before.
    hashes: [u64; LABELS_MAX + 1],
    labels: usize,
}

/// The hash above all names. Unseeded on purpose: the tables hold only the operator's names at half load, so that no client
/// can lengthen a probe.
const HASH_ABOVE_ROOT: u64 = 0x5354_4545_5253_4d41;

impl FoldedName {
    /// The root.
    pub fn new() -> FoldedName {
        let mut name = FoldedName { wire: [0; 255], len: 1, starts: [0; LABELS_MAX + 1], hashes: [0; LABELS_MAX + 1], labels: 0 };
        name.hash_suffixes();
        name
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
        let (to, from) = (self.wire.get_mut(..self.len)?, bytes.get(..self.len)?);
        to.copy_from_slice(from);
        // Length octets are at most 63 and so below 'A': folding the whole never touches them.
        to.make_ascii_lowercase();
        self.hash_suffixes();
        Some(self.len)
    }

    /// One walk from the root down gives the hashes of all suffixes, so that a miss costs one probe a label.
    fn hash_suffixes(&mut self) {
        let (mut hash, mut end) = (HASH_ABOVE_ROOT, self.len);
        for skip in (0..=self.labels).rev() {
            let start = usize::from(self.starts[skip]);
            hash = fold(hash, &self.wire[start..end]);
            self.hashes[skip] = hash;
            end = start;
        }
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
    let mut hash = fold(HASH_ABOVE_ROOT, &wire[end..=end]);
    for &start in starts[..labels].iter().rev() {
        hash = fold(hash, &wire[start..end]);
        end = start;
    }
    hash
}

/// Mixes one label into the hash of the name above it, eight octets at a time.
fn fold(hash: u64, label: &[u8]) -> u64 {
    let (words, rest) = label.as_chunks::<8>();
    let hash = words.iter().fold(hash, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    if rest.is_empty() {
        return hash;
    }
    let tail = rest.iter().rev().fold(0, |tail, &octet| tail << 8 | u64::from(octet));
    mix(hash ^ tail)
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
