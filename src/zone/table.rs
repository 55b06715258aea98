//! One flat table for the names of all zones.
//!
//! Slots hold a tag of the name's hash and the index of its node; names, records and patches lie in arenas beside them.

use crate::dns::{Name, Patch, Records, Rtype};
use crate::ids::{Id, SteerId, Table, ZoneId};
use std::ops::Range;

/// "No node".
pub(super) const NONE: u32 = u32::MAX;

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

/// Records in the arenas.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockRow {
    pub bytes: Range<u32>,
    pub patches: Range<u32>,
    pub count: u16,
}

/// An RRset of a node.
#[derive(Clone, Debug)]
pub(super) struct RrsetRow {
    pub rtype: Rtype,
    pub block: BlockRow,
    /// For NS: the addresses of its targets inside our zones, a block an RRset.
    pub glue: Range<u32>,
    /// For CNAME: where its lower-cased target lies in `names`.
    pub target: Range<u32>,
}

/// A name, with or without data (an empty non-terminal has none).
#[derive(Clone, Debug)]
pub(super) struct NodeRow {
    pub name: Range<u32>,
    pub zone: ZoneId,
    pub rrsets: Range<u32>,
    pub steer: Option<SteerId>,
    /// The `*` right below.
    pub wildcard: u32,
    /// The zone cut at or above this name inside its zone.
    pub cut: u32,
    /// At the apex of a zone whose parent is served too: the parent's node of the same name (RFC 4035 section 3.1.4.1).
    pub parent_side: u32,
    pub labels: u8,
}

/// All zones.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    pub(super) list: Table<ZoneId, Zone>,
    /// Tag in the high half, node index + 1 in the low half; 0 is free. A power of two, at most half full.
    pub(super) slots: Box<[u64]>,
    pub(super) nodes: Vec<NodeRow>,
    pub(super) rrsets: Vec<RrsetRow>,
    pub(super) glue: Vec<BlockRow>,
    pub(super) names: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    pub(super) patches: Vec<Patch>,
}

/// A name of the table and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Node<'z> {
    zones: &'z Zones,
    index: u32,
}

/// One RRset of a node.
#[derive(Clone, Copy, Debug)]
pub struct RrsetView<'z> {
    zones: &'z Zones,
    row: &'z RrsetRow,
}

impl Zones {
    /// All zones with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (ZoneId, &Zone)> {
        self.list.iter()
    }

    /// One zone.
    pub fn zone(&self, id: ZoneId) -> &Zone {
        &self.list[id]
    }

    /// The prepared SOA record of a zone, for denials; its TTL is [`Zone::negative_ttl_s`].
    pub fn denial(&self, zone: &Zone) -> Records<'_> {
        self.records(&zone.soa)
    }

    /// All names that are steered, with what decides them.
    pub fn steered(&self) -> impl Iterator<Item = (Name, SteerId)> {
        self.nodes.iter().filter_map(|node| {
            let name = Name::from_wire(slice(&self.names, &node.name))?;
            Some((name, node.steer?))
        })
    }

    pub(super) fn records(&self, block: &BlockRow) -> Records<'_> {
        Records { bytes: slice(&self.bytes, &block.bytes), patches: slice(&self.patches, &block.patches), count: block.count }
    }

    pub(super) fn node(&self, index: u32) -> Option<Node<'_>> {
        (index != NONE).then_some(Node { zones: self, index })
    }

    /// The node of a folded name whose hash is known.
    pub(super) fn probe(&self, hash: u64, name: &[u8]) -> Option<Node<'_>> {
        let last = self.slots.len().checked_sub(1)?;
        #[allow(clippy::cast_possible_truncation, reason = "only low bits count")]
        let mut at = hash as usize & last;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            #[allow(clippy::cast_possible_truncation, reason = "the low half is the index")]
            let index = slot as u32 - 1;
            if slot >> 32 == hash >> 32 && slice(&self.names, &self.nodes[index as usize].name) == name {
                return Some(Node { zones: self, index });
            }
            at = (at + 1) & last;
        }
    }

    pub(super) fn insert(&mut self, hash: u64, index: u32) {
        let last = self.slots.len() - 1;
        #[allow(clippy::cast_possible_truncation, reason = "only low bits count")]
        let mut at = hash as usize & last;
        while self.slots[at] != 0 {
            at = (at + 1) & last;
        }
        self.slots[at] = (hash >> 32) << 32 | u64::from(index + 1);
    }
}

impl<'z> Node<'z> {
    fn row(self) -> &'z NodeRow {
        &self.zones.nodes[self.index as usize]
    }

    /// The zone it belongs to.
    pub fn zone(self) -> &'z Zone {
        &self.zones.list[self.row().zone]
    }

    /// What decides its addresses, when it is steered.
    pub fn steer(self) -> Option<SteerId> {
        self.row().steer
    }

    /// The RRset of a type.
    pub fn rrset(self, rtype: Rtype) -> Option<RrsetView<'z>> {
        let rows = slice(&self.zones.rrsets, &self.row().rrsets);
        rows.iter().find(|row| row.rtype == rtype).map(|row| RrsetView { zones: self.zones, row })
    }

    /// Whether it holds any data: an empty non-terminal does not.
    pub fn has_data(self) -> bool {
        !self.row().rrsets.is_empty() || self.row().steer.is_some()
    }

    /// The labels of its name, the root not counted.
    pub fn labels(self) -> usize {
        usize::from(self.row().labels)
    }

    pub(super) fn wildcard(self) -> Option<Node<'z>> {
        self.zones.node(self.row().wildcard)
    }

    pub(super) fn cut(self) -> Option<Node<'z>> {
        self.zones.node(self.row().cut)
    }

    pub(super) fn parent_side(self) -> Option<Node<'z>> {
        self.zones.node(self.row().parent_side)
    }

    pub(super) fn is(self, other: Node<'_>) -> bool {
        self.index == other.index
    }
}

impl<'z> RrsetView<'z> {
    /// Its records.
    pub fn records(self) -> Records<'z> {
        self.zones.records(&self.row.block)
    }

    /// The addresses of its targets inside our zones, an item an RRset; for NS only.
    pub fn glue(self) -> impl Iterator<Item = Records<'z>> {
        slice(&self.zones.glue, &self.row.glue).iter().map(move |block| self.zones.records(block))
    }

    /// The lower-cased target of a CNAME, in wire form; empty for other types.
    pub fn target(self) -> &'z [u8] {
        slice(&self.zones.names, &self.row.target)
    }
}

pub(super) fn slice<'a, T>(arena: &'a [T], range: &Range<u32>) -> &'a [T] {
    &arena[range.start as usize..range.end as usize]
}

pub(super) fn span(start: usize, end: usize) -> Range<u32> {
    let index = |at: usize| u32::try_from(at).expect("zone data is below 4 GiB");
    index(start)..index(end)
}

impl ZoneId {
    /// For tables that are filled in order.
    pub(super) fn at(index: usize) -> ZoneId {
        ZoneId::new(index)
    }
}
