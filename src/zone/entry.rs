//! A name and all it holds as one run of octets, so that a look-up that hits touches neighbouring memory only.
//!
//! ```text
//!   zone 4 | links 4 | RRsets 2 | labels 1 | name, lower-cased, in wire form
//!   and for each RRset:
//!   type 2 | records 2 | octets of records 2 | octets of more 2 | list of patches 4 | records | more
//! ```
//!
//! "More" is, for a CNAME, its lower-cased target in wire form; for NS, the first glue block and one past the last, 4 octets each.
//! Numbers are in the machine's own order: nothing of this but the records ever leaves it.

use crate::dns::{Rtype, name_len};
use crate::ids::{Id, ZoneId};

/// "No links".
pub(super) const NONE: u32 = u32::MAX;

/// What a name is beside its RRsets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'e> {
    pub zone: ZoneId,
    /// Row of the table of links, or [`NONE`].
    pub links: u32,
    pub rrsets: u16,
    pub labels: u8,
    pub name: &'e [u8],
}

/// An RRset.
#[derive(Clone, Copy, Debug)]
pub(super) struct RrsetEntry<'e> {
    pub rtype: Rtype,
    pub count: u16,
    /// Number of a list of patches.
    pub patches: u32,
    pub records: &'e [u8],
    pub more: &'e [u8],
}

/// Where the name begins.
const NAME_AT: usize = 11;
/// Octets of an RRset before its records.
const RRSET_HEAD: usize = 12;

impl Head<'_> {
    /// Appends it; its RRsets must follow.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(position(self.zone.index()).to_ne_bytes());
        out.extend(self.links.to_ne_bytes());
        out.extend(self.rrsets.to_ne_bytes());
        out.push(self.labels);
        out.extend(self.name);
    }
}

impl RrsetEntry<'_> {
    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let len = |octets: &[u8]| u16::try_from(octets.len()).expect("an RRset fits into a message").to_ne_bytes();
        out.extend(self.rtype.0.to_ne_bytes());
        out.extend(self.count.to_ne_bytes());
        out.extend(len(self.records));
        out.extend(len(self.more));
        out.extend(self.patches.to_ne_bytes());
        out.extend(self.records);
        out.extend(self.more);
    }
}

/// Whether the entry at the front of `entry` is that of a name in wire form.
pub(super) fn is_named(entry: &[u8], name: &[u8]) -> bool {
    // A name says itself where it ends, so one that begins like another is that other.
    entry[NAME_AT..].starts_with(name)
}

/// The zone of the entry at the front of `entry`.
pub(super) fn zone(entry: &[u8]) -> ZoneId {
    ZoneId::new(u32_at(entry, 0) as usize)
}

/// The links of the entry at the front of `entry`.
pub(super) fn links(entry: &[u8]) -> u32 {
    u32_at(entry, 4)
}

/// The number of its RRsets.
pub(super) fn rrset_count(entry: &[u8]) -> u16 {
    u16_at(entry, 8)
}

/// The labels of its name, the root not counted.
pub(super) fn labels(entry: &[u8]) -> u8 {
    entry[10]
}

/// Its name in wire form.
pub(super) fn name(entry: &[u8]) -> &[u8] {
    let name = &entry[NAME_AT..];
    &name[..name_len(name).expect("names are well-formed")]
}

/// Its RRsets.
pub(super) fn rrsets(entry: &[u8]) -> impl Iterator<Item = RrsetEntry<'_>> {
    let mut rest = &entry[NAME_AT + name(entry).len()..];
    (0..rrset_count(entry)).map(move |_| {
        let (head, tail) = rest.split_at(RRSET_HEAD);
        let (records, tail) = tail.split_at(usize::from(u16_at(head, 4)));
        let (more, tail) = tail.split_at(usize::from(u16_at(head, 6)));
        rest = tail;
        RrsetEntry { rtype: Rtype(u16_at(head, 0)), count: u16_at(head, 2), patches: u32_at(head, 8), records, more }
    })
}

/// The number at `at`.
pub(super) fn u32_at(octets: &[u8], at: usize) -> u32 {
    octets[at..].first_chunk().map_or(0, |chunk| u32::from_ne_bytes(*chunk))
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    octets[at..].first_chunk().map_or(0, |chunk| u16::from_ne_bytes(*chunk))
}

/// An offset or number of something in an arena.
pub(super) fn position(at: usize) -> u32 {
    u32::try_from(at).ok().filter(|at| *at != NONE).expect("zone data is below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let mut bytes = vec![0xff; 3];
        let head = Head { zone: ZoneId::new(7), links: 9, rrsets: 2, labels: 1, name: b"\x01a\x00" };
        head.write(&mut bytes);
        RrsetEntry { rtype: Rtype::CNAME, count: 1, patches: 5, records: b"records", more: b"\x01b\x00" }.write(&mut bytes);
        RrsetEntry { rtype: Rtype::A, count: 2, patches: 6, records: b"", more: b"" }.write(&mut bytes);
        let entry = &bytes[3..];
        assert_eq!((zone(entry), links(entry), labels(entry), name(entry)), (ZoneId::new(7), 9, 1, &b"\x01a\x00"[..]));
        assert!(is_named(entry, b"\x01a\x00") && !is_named(entry, b"\x01b\x00") && !is_named(entry, b"\x00"));
        let sets: Vec<_> = rrsets(entry).map(|set| (set.rtype, set.count, set.patches, set.records, set.more)).collect();
        assert_eq!(sets, [(Rtype::CNAME, 1, 5, &b"records"[..], &b"\x01b\x00"[..]), (Rtype::A, 2, 6, b"", b"")]);
    }
}
