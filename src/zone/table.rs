//! All names of all zones behind one flat table.
//!
//! A slot of the table leads to an [`Entry`], in which a name and all it holds lie together. What few names have - a wildcard
//! below, a zone cut above - lies aside in `links`.

use super::entry::{Aside, Entry, NONE, RrsetEntry, u32_at};
use super::index::HashIndex;
use crate::dns::{Name, Patch, Records, Rtype};
use crate::ids::{SteerId, Table, ZoneId};
use std::ops::Range;

/// A zone that this server is authoritative for.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its apex, as written.
    pub apex: Name,
    /// The labels of the apex, the root not counted.
    pub labels: usize,
    /// The TTL of denials: the smaller of the SOA's own TTL and its minimum (RFC 2308 section 3), in seconds.
    pub negative_ttl_s: u32,
    pub(super) soa: BlockRow,
    pub(super) names: usize,
    pub(super) steered: usize,
}

impl Zone {
    /// The number of names that hold data, and of those how many are steered.
    pub fn counts(&self) -> (usize, usize) {
        (self.names, self.steered)
    }
}

/// Records that belong to no entry.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockRow {
    pub bytes: Range<u32>,
    /// Number of a list of patches.
    pub patches: u32,
    pub count: u16,
}

/// What few names have. Entries are named by where they begin; [`NONE`] is none.
#[derive(Clone, Debug)]
pub(super) struct LinkRow {
    /// The `*` right below.
    pub wildcard: u32,
    /// The zone cut at or above this name inside its zone.
    pub cut: u32,
    /// At the apex of a zone whose parent is served too: the parent's entry of the same name (RFC 4035 section 3.1.4.1).
    pub parent_side: u32,
    pub steer: Option<SteerId>,
}

/// All zones.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    pub(super) list: Table<ZoneId, Zone>,
    pub(super) index: HashIndex,
    pub(super) entries: Vec<u8>,
    pub(super) links: Vec<LinkRow>,
    /// The entries of all steered names, in the order of the zones and of their files.
    pub(super) steered: Vec<u32>,
    pub(super) glue: Vec<BlockRow>,
    pub(super) blocks: Vec<u8>,
    /// Each list once: most RRsets share one of a few.
    pub(super) patch_lists: Vec<Box<[Patch]>>,
}

/// A name of the table and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Node<'z> {
    zones: &'z Zones,
    at: u32,
    entry: Entry<'z>,
}

/// One RRset of a node.
#[derive(Clone, Copy, Debug)]
pub struct RrsetView<'z> {
    zones: &'z Zones,
    entry: RrsetEntry<'z>,
}

impl Zones {
    /// All zones with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (ZoneId, &Zone)> {
        self.list.iter()
    }

    /// The large tables as they lie in memory: for whoever manages the pages below them.
    pub fn tables(&self) -> (&[u64], &[u8]) {
        (self.index.slots(), &self.entries)
    }

    /// One zone.
    pub fn zone(&self, id: ZoneId) -> &Zone {
        &self.list[id]
    }

    /// The prepared SOA record of a zone, for denials; its TTL is [`Zone::negative_ttl_s`].
    pub fn denial(&self, zone: &Zone) -> Records<'_> {
        self.records(&zone.soa)
    }

    /// All names that are steered, with what decides them, in the order of the zones and of their files.
    pub fn steered(&self) -> impl Iterator<Item = (Name, SteerId)> {
        self.steered.iter().filter_map(|&at| {
            let node = self.node(at)?;
            Some((Name::from_wire(node.entry.name())?, node.steer()?))
        })
    }

    pub(super) fn node(&self, at: u32) -> Option<Node<'_>> {
        (at != NONE).then(|| Node { zones: self, at, entry: Entry::at(&self.entries, at) })
    }

    /// The node of a folded name whose hash is known.
    pub(super) fn probe(&self, hash: u64, name: &[u8]) -> Option<Node<'_>> {
        self.node(self.index.find(hash, |at| Entry::at(&self.entries, at).is_named(name))?)
    }

    fn records(&self, block: &BlockRow) -> Records<'_> {
        let bytes = &self.blocks[block.bytes.start as usize..block.bytes.end as usize];
        Records { bytes, patches: &self.patch_lists[block.patches as usize], count: block.count }
    }
}

impl<'z> Node<'z> {
    fn links(self) -> Option<&'z LinkRow> {
        match self.entry.aside() {
            Aside::Links(row) => Some(&self.zones.links[row as usize]),
            Aside::Nothing | Aside::Steer(_) => None,
        }
    }

    /// The zone it belongs to.
    pub fn zone(self) -> &'z Zone {
        &self.zones.list[self.entry.zone()]
    }

    /// What decides its addresses, when it is steered.
    pub fn steer(self) -> Option<SteerId> {
        match self.entry.aside() {
            Aside::Steer(steer) => Some(steer),
            Aside::Links(row) => self.zones.links[row as usize].steer,
            Aside::Nothing => None,
        }
    }

    /// The RRset of a type.
    pub fn rrset(self, rtype: Rtype) -> Option<RrsetView<'z>> {
        self.entry.rrset(rtype).map(|entry| RrsetView { zones: self.zones, entry })
    }

    /// Whether it holds any data: an empty non-terminal does not.
    pub fn has_data(self) -> bool {
        self.entry.rrset_count() > 0 || self.steer().is_some()
    }

    /// Its CNAME, when it is an alias.
    pub fn alias(self) -> Option<RrsetView<'z>> {
        if self.entry.is_alias() { self.rrset(Rtype::CNAME) } else { None }
    }

    /// The labels of its name, the root not counted.
    pub fn labels(self) -> usize {
        usize::from(self.entry.labels())
    }

    pub(super) fn wildcard(self) -> Option<Node<'z>> {
        self.zones.node(self.links()?.wildcard)
    }

    pub(super) fn cut(self) -> Option<Node<'z>> {
        self.zones.node(self.links()?.cut)
    }

    pub(super) fn parent_side(self) -> Option<Node<'z>> {
        self.zones.node(self.links()?.parent_side)
    }

    pub(super) fn is(self, other: Node<'_>) -> bool {
        self.at == other.at
    }
}

impl<'z> RrsetView<'z> {
    /// Its records.
    pub fn records(self) -> Records<'z> {
        let patches = &self.zones.patch_lists[self.entry.patches as usize];
        Records { bytes: self.entry.records, patches, count: self.entry.count }
    }

    /// The addresses of its targets inside our zones, an item an RRset; for NS only.
    pub fn glue(self) -> impl Iterator<Item = Records<'z>> {
        let glue = match self.entry.rtype {
            Rtype::NS => u32_at(self.entry.more, 0) as usize..u32_at(self.entry.more, 4) as usize,
            _ => 0..0,
        };
        self.zones.glue[glue].iter().map(move |block| self.zones.records(block))
    }

    /// The lower-cased target of a CNAME, in wire form; empty for other types.
    pub fn target(self) -> &'z [u8] {
        if self.entry.rtype == Rtype::CNAME { self.entry.more } else { &[] }
    }
}
