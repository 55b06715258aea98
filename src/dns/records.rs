//! Records prepared for the wire: everything but two kinds of pointers is settled when a config is loaded.
//!
//! A response begins with the question, so a name that ends in the zone's apex can end in a pointer into the question
//! (RFC 1035 section 4.1.4). Where the question holds it differs per query: prepared records keep a gap there and a
//! [`Patch`] that says what goes in.

use super::name::{Name, name_len, suffixes};
use super::types::{CLASS_IN, Rtype};

/// What a gap is filled with: where in the message a name starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Anchor {
    /// The owner of the RRset: for an answer the name that was asked for.
    Owner,
    /// The apex of the zone.
    Apex,
}

/// A gap of two octets in prepared records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Patch {
    /// Where the gap is, from the start of the records.
    pub at: u32,
    /// What goes in.
    pub to: Anchor,
}

/// Where the names start that patches point at, as offsets in the message; both below 2^14.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Anchors {
    /// For [`Anchor::Owner`].
    pub owner: u16,
    /// For [`Anchor::Apex`].
    pub apex: u16,
}

/// Prepared records of one RRset, or of several that travel together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Records<'z> {
    /// All records one after the other, with gaps.
    pub bytes: &'z [u8],
    /// The gaps.
    pub patches: &'z [Patch],
    /// The number of records.
    pub count: u16,
}

/// The names in RDATA that may be compressed, in wire form: only in NS, CNAME, SOA, PTR and MX (RFC 3597 section 4).
pub fn compressible_names(rtype: Rtype, rdata: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (fixed, names) = shape(rtype);
    let mut rest = rdata.get(fixed..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (name, tail) = rest.split_at(name_len(rest)?);
        rest = tail;
        Some(name)
    })
    .take(names)
}

/// Octets of RDATA before its compressible names, and how many names there are.
fn shape(rtype: Rtype) -> (usize, usize) {
    match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::PTR => (0, 1),
        Rtype::MX => (2, 1),
        Rtype::SOA => (0, 2),
        _ => (0, 0),
    }
}

/// Makes prepared records.
#[derive(Clone, Debug)]
pub struct RecordsBuilder<'a> {
    apex: &'a Name,
    bytes: Vec<u8>,
    patches: Vec<Patch>,
    count: u16,
}

impl<'a> RecordsBuilder<'a> {
    /// Nothing yet, for a zone with this apex.
    pub fn new(apex: &'a Name) -> Self {
        RecordsBuilder { apex, bytes: Vec::new(), patches: Vec::new(), count: 0 }
    }

    /// Forgets the records so far.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.patches.clear();
        self.count = 0;
    }

    /// Adds a record with uncompressed RDATA. Without an owner, a name in wire form, it gets [`Anchor::Owner`].
    ///
    /// # Errors
    /// When the RDATA is longer than 65,535 octets or there are more than 65,535 records.
    pub fn push(&mut self, owner: Option<&[u8]>, rtype: Rtype, ttl: u32, rdata: &[u8]) -> Result<(), RdataTooLong> {
        match owner {
            Some(name) => self.name(name),
            None => self.gap(Anchor::Owner),
        }
        self.bytes.extend(rtype.0.to_be_bytes());
        self.bytes.extend(CLASS_IN.to_be_bytes());
        self.bytes.extend(ttl.to_be_bytes());
        let length_at = self.bytes.len();
        self.bytes.extend([0, 0]);
        let mut copied = shape(rtype).0.min(rdata.len());
        self.bytes.extend(&rdata[..copied]);
        for name in compressible_names(rtype, rdata) {
            self.name(name);
            copied += name.len();
        }
        self.bytes.extend(&rdata[copied..]);
        let length = u16::try_from(self.bytes.len() - length_at - 2).map_err(|_| RdataTooLong)?;
        self.bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        self.count = self.count.checked_add(1).ok_or(RdataTooLong)?;
        Ok(())
    }

    fn name(&mut self, name: &[u8]) {
        let apex = self.apex.wire();
        // A pointer to the root would be longer than the root.
        if apex.len() == 1 || !suffixes(name).any(|suffix| suffix.eq_ignore_ascii_case(apex)) {
            return self.bytes.extend(name);
        }
        self.bytes.extend(&name[..name.len() - apex.len()]);
        self.gap(Anchor::Apex);
    }

    fn gap(&mut self, to: Anchor) {
        let at = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.patches.push(Patch { at, to });
        self.bytes.extend([0xc0, 0]);
    }

    /// The records so far.
    pub fn records(&self) -> Records<'_> {
        Records { bytes: &self.bytes, patches: &self.patches, count: self.count }
    }
}

/// An RRset that no message could carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RdataTooLong;
