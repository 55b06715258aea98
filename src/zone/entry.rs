//! A name and all it holds as one run of octets, so that a look-up that hits touches neighbouring memory only.
//!
//! ```text
//!   zone 4 | aside 4 | RRsets 2 | labels 1 | octets of name 1 | name, lower-cased, in wire form
//!   and for each RRset, in the order of their types:
//!   type 2 | records 2 | octets of records 2 | octets of more 2 | list of patches 4 | records | more
//! ```
//!
//! "More" is, for a CNAME, its lower-cased target in wire form; for NS, the first glue block and one past the last, 4 octets each.
//! Numbers are in the machine's own order: nothing of this but the records ever leaves it.

use crate::dns::Rtype;
use crate::ids::{Id, SteerId, ZoneId};

/// "No entry".
pub(super) const NONE: u32 = u32::MAX;

/// What a name has that does not lie in its entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aside {
    /// Nothing, as most.
    Nothing,
    /// What decides its addresses, and nothing else: so it is with most names that are steered.
    Steer(SteerId),
    /// A row of the table of links.
    Links(u32),
}

impl Aside {
    /// Of a number in an entry, this bit says that the rest is a [`SteerId`].
    const STEER: u32 = 1 << 31;

    fn to_number(self) -> u32 {
        match self {
            Aside::Nothing => NONE,
            Aside::Steer(steer) => Aside::STEER | short(steer.index()),
            Aside::Links(row) => short(row as usize),
        }
    }

    fn of_number(number: u32) -> Aside {
        match number {
            NONE => Aside::Nothing,
            _ if number & Aside::STEER != 0 => Aside::Steer(SteerId::new((number & !Aside::STEER) as usize)),
            row => Aside::Links(row),
        }
    }
}

/// A number that leaves room for a bit, and is not all ones with it.
fn short(number: usize) -> u32 {
    let number = u32::try_from(number).ok().filter(|number| *number < Aside::STEER - 1);
    number.expect("zone data is below 4 GiB, and what is numbered takes more than two octets of it")
}

/// What a name is beside its RRsets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'e> {
    pub zone: ZoneId,
    pub aside: Aside,
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
const NAME_AT: usize = 12;
/// Octets of an RRset before its records.
const RRSET_HEAD: usize = 12;

impl Head<'_> {
    /// Appends it; its RRsets must follow.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(position(self.zone.index()).to_ne_bytes());
        out.extend(self.aside.to_number().to_ne_bytes());
        out.extend(self.rrsets.to_ne_bytes());
        out.push(self.labels);
        out.push(u8::try_from(self.name.len()).expect("a name has at most 255 octets"));
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

/// An entry, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'e> {
    head: &'e [u8; NAME_AT],
    /// From the name on, and beyond the entry.
    rest: &'e [u8],
}

impl<'e> Entry<'e> {
    /// The entry that begins at `at`.
    pub fn at(entries: &'e [u8], at: u32) -> Entry<'e> {
        let (head, rest) = entries[at as usize..].split_first_chunk().expect("an entry is written as a whole");
        Entry { head, rest }
    }

    /// Whether it is that of a name in wire form.
    pub fn is_named(self, name: &[u8]) -> bool {
        // A name says itself where it ends, so one that begins like another is that other.
        self.rest.starts_with(name)
    }

    /// The zone that the name belongs to.
    pub fn zone(self) -> ZoneId {
        ZoneId::new(u32_at(self.head, 0) as usize)
    }

    /// What lies elsewhere.
    pub fn aside(self) -> Aside {
        Aside::of_number(u32_at(self.head, 4))
    }

    /// The number of its RRsets.
    pub fn rrset_count(self) -> u16 {
        u16::from_ne_bytes([self.head[8], self.head[9]])
    }

    /// The labels of the name, the root not counted.
    pub fn labels(self) -> u8 {
        self.head[10]
    }

    /// The name in wire form.
    pub fn name(self) -> &'e [u8] {
        &self.rest[..self.name_len()]
    }

    fn name_len(self) -> usize {
        usize::from(self.head[11])
    }

    /// Whether it holds a CNAME, beside which there is nothing that sorts before it (RFC 2181 section 10.1).
    pub fn is_alias(self) -> bool {
        self.rrset_count() > 0 && self.rest[self.name_len()..].starts_with(&Rtype::CNAME.0.to_ne_bytes())
    }

    /// The RRset of a type.
    pub fn rrset(self, rtype: Rtype) -> Option<RrsetEntry<'e>> {
        let mut rest = &self.rest[self.name_len()..];
        for _ in 0..self.rrset_count() {
            let (head, tail) = rest.split_first_chunk::<RRSET_HEAD>()?;
            let number = |at: usize| u16::from_ne_bytes([head[at], head[at + 1]]);
            let (records, more) = (usize::from(number(4)), usize::from(number(6)));
            let found = Rtype(number(0));
            if found == rtype {
                let (records, tail) = tail.split_at(records);
                return Some(RrsetEntry { rtype, count: number(2), patches: u32_at(head, 8), records, more: &tail[..more] });
            }
            if found > rtype {
                return None;
            }
            rest = &tail[records + more..];
        }
        None
    }
}

/// The number at `at`.
pub(super) fn u32_at(octets: &[u8], at: usize) -> u32 {
    octets[at..].first_chunk().map_or(0, |chunk| u32::from_ne_bytes(*chunk))
}

/// An offset or number of something in an arena.
pub(super) fn position(at: usize) -> u32 {
    u32::try_from(at).ok().filter(|at| *at != NONE).expect("zone data is below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_aside_is_told_apart_by_its_number() {
        let most = Aside::STEER as usize - 2;
        for aside in [Aside::Nothing, Aside::Steer(SteerId::new(0)), Aside::Steer(SteerId::new(most)), Aside::Links(0), Aside::Links(7)] {
            assert_eq!(Aside::of_number(aside.to_number()), aside);
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let mut bytes = vec![0xff; 3];
        let head = Head { zone: ZoneId::new(7), aside: Aside::Links(9), rrsets: 2, labels: 1, name: b"\x01a\x00" };
        head.write(&mut bytes);
        RrsetEntry { rtype: Rtype::A, count: 2, patches: 6, records: b"", more: b"" }.write(&mut bytes);
        RrsetEntry { rtype: Rtype::CNAME, count: 1, patches: 5, records: b"records", more: b"\x01b\x00" }.write(&mut bytes);
        let entry = Entry::at(&bytes, 3);
        assert_eq!((entry.zone(), entry.aside(), entry.labels(), entry.name()), (ZoneId::new(7), Aside::Links(9), 1, &b"\x01a\x00"[..]));
        assert!(entry.is_named(b"\x01a\x00") && !entry.is_named(b"\x01b\x00") && !entry.is_named(b"\x00"));
        let found = |rtype| entry.rrset(rtype).map(|set| (set.count, set.patches, set.records, set.more));
        assert_eq!(found(Rtype::A), Some((2, 6, &b""[..], &b""[..])));
        assert_eq!(found(Rtype::CNAME), Some((1, 5, &b"records"[..], &b"\x01b\x00"[..])));
        assert_eq!([Rtype(0), Rtype::NS, Rtype::MX].map(found), [None; 3]);
    }
}
