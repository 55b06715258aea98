//! A zone as its file says it, whatever the format of the file.
//!
//! The readers of the formats push records and steered names, each with its place in the text. The compiler walks them and finds
//! what contradicts what; then `Zones` is built from them. Made for a million records: rows and octets lie in a few lists, which
//! can be let go of from the front; a name is kept without the zone's own and found by hash; a place is two numbers.
//!
//! Knows what a single name or record may be, but no rule about several of them, and not what a steered name leads to.

use super::index::HashIndex;
use super::segments::{Octets, Rows};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, Spanned};
use crate::dns::{Name, Rtype, compressible_names, hash_of, name_len, suffixes};
use crate::ids::SteerId;
use std::collections::BTreeMap;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A place in the text of a zone, in octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    start: u32,
    len: u32,
}

impl Place {
    /// First octet and one past the last.
    pub fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

impl From<Range<usize>> for Place {
    fn from(range: Range<usize>) -> Place {
        let bounded = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Place { start: bounded(range.start), len: bounded(range.len()) }
    }
}

impl From<&Span> for Place {
    fn from(span: &Span) -> Place {
        Place::from(span.range.clone())
    }
}

/// One of a zone's names that hold something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OwnerId(u32);

impl OwnerId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A zone as read.
#[derive(Debug)]
pub struct ZoneSource {
    source: Arc<Source>,
    origin: Name,
    origin_place: Place,
    soa: Option<u32>,
    /// The name of the zone, lower-cased, in wire form: what all names end in.
    end: Box<[u8]>,
    /// Lower-cased labels without those of `end`, then a zero; one name behind the other, in the order of `owners`.
    names: Octets,
    owners: Rows<OwnerRow>,
    records: Rows<RecordRow>,
    /// In the order of `records`, names uncompressed.
    rdata: Octets,
    /// The data of the record under way.
    draft: Vec<u8>,
    index: HashIndex,
    /// Where a set is named, in formats that name it once for all of its records.
    set_places: BTreeMap<(OwnerId, Rtype), Place>,
    steered: Vec<Steered>,
}

#[derive(Clone, Copy, Debug)]
struct OwnerRow {
    name: u32,
    /// Its records are a ring in the order of the file, and this is the last; behind it comes the first.
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct RecordRow {
    next: u32,
    rdata: u32,
    ttl_s: u32,
    start: u32,
    /// The length of its place; one of more than 64 KiB is cut, since nobody wants to see all of it.
    len: u16,
    rtype: Rtype,
}

/// No record.
const NONE: u32 = u32::MAX;

/// A name that is steered.
#[derive(Clone, Debug)]
pub struct Steered {
    /// The name.
    pub owner: OwnerId,
    /// The policy or pool, as written.
    pub policy: Spanned<String>,
    /// What that is, once the compiler knows.
    pub steer: Option<SteerId>,
}

/// A record as read.
#[derive(Clone, Copy, Debug)]
pub struct Record<'s> {
    /// Its type.
    pub rtype: Rtype,
    /// Its TTL, in seconds.
    pub ttl_s: u32,
    /// Its data, names uncompressed; empty when it was faulty.
    pub rdata: &'s [u8],
    /// Where its data stands.
    pub place: Place,
}

impl<'s> Record<'s> {
    /// The names in its data that lookups and referrals follow, in wire form.
    pub fn names(&self) -> impl Iterator<Item = &'s [u8]> {
        compressible_names(self.rtype, self.rdata)
    }
}

impl ZoneSource {
    /// A zone without records, with room for `records`.
    pub fn new(source: &Arc<Source>, origin: Name, place: Place, records: usize) -> ZoneSource {
        let mut zone = ZoneSource {
            source: Arc::clone(source),
            end: origin.lowercase().wire().into(),
            origin,
            origin_place: place,
            soa: None,
            names: Octets::default(),
            owners: Rows::default(),
            records: Rows::default(),
            rdata: Octets::default(),
            draft: Vec::new(),
            index: HashIndex::with_room(records),
            set_places: BTreeMap::new(),
            steered: Vec::new(),
        };
        let apex = zone.end.clone();
        zone.intern(&apex);
        zone
    }

    //--- Writing

    /// The owner of the name `wire`, lower-cased, which was written as `place` says; a new one when need be. `None` when no name
    /// of this zone can be called so, which is reported.
    pub fn owner(&mut self, wire: &[u8], place: Place, diagnostics: &mut Diagnostics) -> Option<OwnerId> {
        let fault = if !suffixes(wire).any(|suffix| suffix.eq_ignore_ascii_case(self.origin.wire())) {
            let help = format!("names in this file end in `{}`; leave the dot at the end off for a name relative to it", self.origin);
            let message = format!("`{}` is outside the zone `{}`", show(wire), self.origin);
            Diagnostic::error("outside-zone", &self.span(place), message).help(help)
        } else if suffixes(wire).skip(1).any(|suffix| suffix.starts_with(WILDCARD)) {
            let message = format!("`{}` has a `*` that is not its first label", self.text(place));
            Diagnostic::error("bad-wildcard", &self.span(place), message).help("a wildcard is `*.` followed by a name")
        } else {
            let (before, owner) = (self.len(), self.intern(wire));
            if self.len() > before {
                diagnostics.extend(doubled_origin(wire, &self.origin, &self.span(place)));
            }
            return Some(owner);
        };
        diagnostics.push(fault);
        None
    }

    /// The owner of a lower-cased name that is known to be in the zone.
    pub(super) fn intern(&mut self, wire: &[u8]) -> OwnerId {
        let hash = hash_of(wire);
        let own = &wire[..wire.len() - self.end.len()];
        if let Some(owner) = self.search(hash, own) {
            return owner;
        }
        self.draft.clear();
        self.draft.extend_from_slice(own);
        self.draft.push(0);
        let name = self.names.append(&self.draft);
        let owner = self.owners.push(OwnerRow { name, last: NONE });
        self.index.insert(hash, owner);
        OwnerId(owner)
    }

    /// Adds a record whose data `write` appends to what it is given.
    ///
    /// # Errors
    /// What `write` says. The record is then there without data, so that no other fault follows from its absence.
    pub fn record<E>(
        &mut self,
        owner: OwnerId,
        rtype: Rtype,
        ttl_s: u32,
        place: Place,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.draft.clear();
        let result = write(&mut self.draft);
        if result.is_err() {
            self.draft.clear();
        }
        let rdata = self.rdata.append(&self.draft);
        let len = u16::try_from(place.len).unwrap_or(u16::MAX);
        let index = position(self.records.end());
        let last = std::mem::replace(&mut self.owners.get_mut(owner.0).last, index);
        let next = match last {
            NONE => index,
            last => std::mem::replace(&mut self.records.get_mut(last).next, index),
        };
        self.records.push(RecordRow { next, rdata, ttl_s, start: place.start, len, rtype });
        result
    }

    /// Adds the SOA record.
    pub fn set_soa(&mut self, ttl_s: u32, place: Place, rdata: &[u8]) {
        self.soa = Some(position(self.records.end()));
        let apex = self.apex().id();
        let write = |out: &mut Vec<u8>| -> Result<(), std::convert::Infallible> {
            out.extend_from_slice(rdata);
            Ok(())
        };
        let Ok(()) = self.record(apex, Rtype::SOA, ttl_s, place, write);
    }

    /// Says where a set is named; gives the place that was said before, if there is one.
    pub fn name_set(&mut self, owner: OwnerId, rtype: Rtype, place: Place) -> Option<Place> {
        use std::collections::btree_map::Entry;
        match self.set_places.entry((owner, rtype)) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(free) => {
                free.insert(place);
                None
            }
        }
    }

    /// Lets a policy or pool decide the addresses of a name.
    pub fn steer(&mut self, owner: OwnerId, policy: Spanned<String>) {
        self.steered.push(Steered { owner, policy, steer: None });
    }

    //--- Reading

    /// The name of the zone.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// Where the zone is named.
    pub fn origin_span(&self) -> Span {
        self.span(self.origin_place)
    }

    /// A place with its text.
    pub fn span(&self, place: Place) -> Span {
        Span::new(&self.source, place.range())
    }

    /// What was written at a place.
    pub fn text(&self, place: Place) -> &str {
        self.source.text.get(place.range()).unwrap_or_default()
    }

    /// The SOA record; `None` when it was missing or faulty.
    pub fn soa(&self) -> Option<Record<'_>> {
        self.soa.map(|row| self.row(row))
    }

    /// All names, the apex first.
    pub fn owners(&self) -> impl Iterator<Item = Owner<'_>> {
        (0..position(self.len())).map(|row| Owner { zone: self, row })
    }

    //--- Letting go

    /// Lets go of the text, of what is steered and of all places: for the zone's last use, to build from it.
    pub fn forget_text(&mut self) {
        let nothing = Arc::new(Source { name: self.source.name.clone(), text: String::new() });
        for steered in &mut self.steered {
            steered.policy.span = Span::start_of(&nothing);
        }
        self.source = nothing;
        self.set_places.clear();
    }

    /// How far [`ZoneSource::forget_before`] may go: for every block of owners, the first record that one of them has or of those behind
    /// them.
    pub(super) fn floors(&self) -> Vec<u32> {
        let mut floors = Vec::with_capacity(self.len() / BLOCK + 1);
        let mut floor = position(self.records.end());
        for owner in (0..self.len()).rev() {
            let last = self.owners.get(position(owner)).last;
            if last != NONE {
                floor = floor.min(self.records.get(last).next);
            }
            if owner.is_multiple_of(BLOCK) {
                floors.push(floor);
            }
        }
        floors.reverse();
        floors
    }

    /// Lets go of the names and records that only owners before this block have; nobody may ask for these owners again.
    pub(super) fn forget_before(&mut self, block: usize, floors: &[u32]) {
        let (owner, floor) = (position(block * BLOCK), floors[block]);
        self.names.forget_before(self.owners.get(owner).name);
        self.owners.forget_before(owner);
        if (floor as usize) < self.records.end() {
            self.rdata.forget_before(self.records.get(floor).rdata);
        }
        self.records.forget_before(floor);
    }

    /// The owners of a block, in order.
    pub(super) fn block(&self, block: usize) -> impl Iterator<Item = Owner<'_>> {
        (block * BLOCK..self.len().min((block + 1) * BLOCK)).map(|at| self.owner_at(at))
    }

    /// The owner that is number `at` in [`ZoneSource::owners`].
    pub(super) fn owner_at(&self, at: usize) -> Owner<'_> {
        Owner { zone: self, row: position(at) }
    }

    /// The way from names to the numbers of owners, when nothing else is needed any more.
    pub(super) fn into_index(self) -> HashIndex {
        self.index
    }

    /// The number of names.
    pub(super) fn len(&self) -> usize {
        self.owners.end()
    }

    /// The name of the zone, as an owner.
    pub fn apex(&self) -> Owner<'_> {
        Owner { zone: self, row: 0 }
    }

    /// The owner with this id.
    pub fn get(&self, owner: OwnerId) -> Owner<'_> {
        Owner { zone: self, row: owner.0 }
    }

    /// The owner of a name in wire form; case is ignored.
    pub fn find(&self, wire: &[u8]) -> Option<Owner<'_>> {
        let lower = wire.to_ascii_lowercase();
        let above = suffixes(&lower).find(|suffix| suffix.len() <= self.end.len()).filter(|suffix| **suffix == *self.end)?;
        let own = &lower[..lower.len() - above.len()];
        self.search(hash_of(&lower), own).map(|OwnerId(row)| Owner { zone: self, row })
    }

    /// All steered names.
    pub fn steered(&self) -> &[Steered] {
        &self.steered
    }

    /// All steered names, to say what they lead to.
    pub fn steered_mut(&mut self) -> &mut [Steered] {
        &mut self.steered
    }

    /// The owner of a name by its hash and its labels before those of the zone.
    fn search(&self, hash: u64, own: &[u8]) -> Option<OwnerId> {
        let is = |owner: u32| self.names.from(self.owners.get(owner).name).strip_prefix(own).is_some_and(|rest| rest[0] == 0);
        self.index.find(hash, is).map(OwnerId)
    }

    fn row(&self, index: u32) -> Record<'_> {
        let row = self.records.get(index);
        let is_last = index as usize + 1 == self.records.end();
        let next = if is_last { position(self.rdata.end()) } else { self.records.get(index + 1).rdata };
        Record {
            rtype: row.rtype,
            ttl_s: row.ttl_s,
            rdata: if row.rdata == next { &[] } else { self.rdata.between(row.rdata, next) },
            place: Place { start: row.start, len: u32::from(row.len) },
        }
    }
}

/// A name of a zone and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'s> {
    zone: &'s ZoneSource,
    row: u32,
}

impl<'s> Owner<'s> {
    /// What it is known by.
    pub fn id(self) -> OwnerId {
        OwnerId(self.row)
    }

    /// Its name, lower-cased, in wire form.
    pub fn wire(self) -> WireName {
        let (own, end) = (self.own(), &self.zone.end);
        let mut name = WireName { octets: [0; 255], len: own.len() + end.len() };
        name.octets[..own.len()].copy_from_slice(own);
        name.octets[own.len()..name.len].copy_from_slice(end);
        name
    }

    /// Its labels without those of the zone.
    fn own(self) -> &'s [u8] {
        let names = self.zone.names.from(self.zone.owners.get(self.row).name);
        &names[..name_len(names).unwrap_or(1) - 1]
    }

    /// Its name, for people.
    pub fn name(self) -> String {
        show(&self.wire())
    }

    /// Whether it is a `*`.
    pub fn is_wildcard(self) -> bool {
        // Of the apex only the zone's own name is left.
        self.own().starts_with(WILDCARD) || (self.row == 0 && self.zone.end.starts_with(WILDCARD))
    }

    /// Its records in the order of the file.
    pub fn records(self) -> impl Iterator<Item = Record<'s>> {
        let zone = self.zone;
        let last = zone.owners.get(self.row).last;
        let first = (last != NONE).then(|| zone.records.get(last).next);
        let rows = std::iter::successors(first, move |row| (*row != last).then(|| zone.records.get(*row).next));
        rows.map(move |row| zone.row(row))
    }

    /// Its records, ordered by type, into `records`; [`sets`] cuts them into sets.
    pub fn sorted_records(self, records: &mut Vec<Record<'s>>) {
        records.clear();
        records.extend(self.records());
        records.sort_by_key(|record| record.rtype);
    }

    /// The first record of a type.
    pub fn first(self, rtype: Rtype) -> Option<Record<'s>> {
        self.records().find(|record| record.rtype == rtype)
    }

    /// Whether it has records of a type.
    pub fn has(self, rtype: Rtype) -> bool {
        self.first(rtype).is_some()
    }

    /// Where the set that `first` is the first record of is named.
    pub fn set_span(self, first: &Record<'_>) -> Span {
        let named = self.zone.set_places.get(&(self.id(), first.rtype));
        self.zone.span(named.copied().unwrap_or(first.place))
    }
}

/// The name of an owner, put together.
#[derive(Clone, Copy, Debug)]
pub struct WireName {
    octets: [u8; 255],
    len: usize,
}

impl Deref for WireName {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

/// The records of one type each, of records that are ordered by type.
pub fn sets<'r, 's>(records: &'r [Record<'s>]) -> impl Iterator<Item = &'r [Record<'s>]> {
    records.chunk_by(|one, other| one.rtype == other.rtype)
}

/// The warning about a name such as `ns1.example.com.example.com.` in the zone `example.com.`: whoever forgets the dot at the end
/// gets the zone's name twice.
pub fn doubled_origin(name: &[u8], origin: &Name, span: &Span) -> Option<Diagnostic> {
    let end = origin.wire();
    let own = name.len().checked_sub(end.len()).filter(|own| end.len() > 1 && name[*own..].eq_ignore_ascii_case(end))?;
    // Compared without the root, which only the last of both has.
    let twice = own.checked_sub(end.len() - 1).filter(|at| name[*at..own].eq_ignore_ascii_case(&end[..end.len() - 1]))?;
    // Only at the start of a label.
    suffixes(name).find(|suffix| suffix.len() == name.len() - twice)?;
    let fault = Diagnostic::warning("doubled-origin", span, format!("`{}` holds the name of the zone twice", show(name)));
    let meant = show(&[&name[..own], &[0]].concat());
    Some(fault.help(format!("end it with a dot, or leave the zone's name off: `{meant}`")))
}

/// Owners in a block: enough that a look at what can be let go of costs nothing.
const BLOCK: usize = 1 << 12;

/// The first octets of a wildcard.
const WILDCARD: &[u8] = b"\x01*";

fn show(wire: &[u8]) -> String {
    Name::from_wire(wire).map(|name| name.to_string()).unwrap_or_default()
}

fn position(at: usize) -> u32 {
    u32::try_from(at).ok().filter(|at| *at != NONE).expect("what a text below 4 GiB holds is below 4 GiB")
}
