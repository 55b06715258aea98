//! Makes [`Zones`] out of names and RRsets that have already been checked.

use super::table::{BlockRow, NONE, NodeRow, RrsetRow, Zone, Zones, span};
use crate::dns::{Field, FoldedName, Name, Records, RecordsBuilder, Rtype};
use crate::ids::{Id, SteerId, ZoneId};
use std::collections::BTreeMap;

/// The fields of a zone's SOA that denials need, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct SoaTimes {
    /// The TTL of the SOA record itself.
    pub ttl_s: u32,
    /// The minimum field (RFC 2308 section 4).
    pub minimum_s: u32,
}

#[derive(Debug)]
struct SourceRrset {
    ttl_s: u32,
    rdata: Vec<Vec<Field>>,
}

#[derive(Debug, Default)]
struct SourceNode {
    rrsets: BTreeMap<Rtype, SourceRrset>,
    steer: Option<SteerId>,
}

#[derive(Debug)]
struct SourceZone {
    apex: Name,
    soa_rdata: Vec<Field>,
    soa: SoaTimes,
    nodes: BTreeMap<Name, SourceNode>,
}

/// Collects the data of all zones, then lays it out.
#[derive(Debug, Default)]
pub struct ZonesBuilder {
    zones: Vec<SourceZone>,
}

impl ZonesBuilder {
    /// No zone yet.
    pub fn new() -> ZonesBuilder {
        ZonesBuilder::default()
    }

    /// Adds a zone, with the RDATA of its SOA.
    pub fn zone(&mut self, apex: Name, soa_rdata: Vec<Field>, soa: SoaTimes) -> ZoneId {
        self.zones.push(SourceZone { apex, soa_rdata, soa, nodes: BTreeMap::new() });
        let id = ZoneId::at(self.zones.len() - 1);
        let zone = &self.zones[id.index()];
        let (apex, rdata) = (zone.apex.clone(), zone.soa_rdata.clone());
        self.rrset(id, &apex, Rtype::SOA, soa.ttl_s, vec![rdata]);
        id
    }

    /// Adds an RRset of at least one record to a name of the zone.
    pub fn rrset(&mut self, zone: ZoneId, owner: &Name, rtype: Rtype, ttl_s: u32, rdata: Vec<Vec<Field>>) {
        self.node(zone, owner).rrsets.insert(rtype, SourceRrset { ttl_s, rdata });
    }

    /// Lets a decision stand for A and AAAA of a name of the zone.
    pub fn steer(&mut self, zone: ZoneId, owner: &Name, steer: SteerId) {
        self.node(zone, owner).steer = Some(steer);
    }

    fn node(&mut self, zone: ZoneId, owner: &Name) -> &mut SourceNode {
        self.zones[zone.index()].nodes.entry(owner.lowercase()).or_default()
    }

    /// Lays everything out: empty non-terminals, wildcards, zone cuts and glue are settled here, not per query.
    pub fn finish(self) -> Zones {
        let mut layout = Layout::default();
        // Parents before children, so that a child's apex finds the parent's node of the same name.
        let mut order: Vec<usize> = (0..self.zones.len()).collect();
        order.sort_by_key(|&index| self.zones[index].apex.labels().count());
        for zone in &self.zones {
            layout.zone(zone);
        }
        for index in order {
            layout.nodes(&self.zones[index], ZoneId::at(index));
        }
        layout.index()
    }
}

/// Zones under construction.
#[derive(Default)]
struct Layout {
    zones: Zones,
    /// The node that answers for a name, by lower-cased name.
    by_name: BTreeMap<Name, u32>,
}

impl Layout {
    fn zone(&mut self, source: &SourceZone) {
        let negative_ttl_s = source.soa.ttl_s.min(source.soa.minimum_s);
        let soa = self.block(&source.apex, None, Rtype::SOA, negative_ttl_s, std::slice::from_ref(&source.soa_rdata));
        self.zones.list.push(Zone {
            apex: source.apex.clone(),
            labels: source.apex.labels().count(),
            negative_ttl_s,
            soa,
            names: source.nodes.len(),
            steered: source.nodes.values().filter(|node| node.steer.is_some()).count(),
        });
    }

    fn nodes(&mut self, source: &SourceZone, zone: ZoneId) {
        let apex = source.apex.lowercase();
        let mut own: BTreeMap<Name, u32> = BTreeMap::new();
        for (name, node) in &source.nodes {
            self.ancestors(name, &apex, zone, &mut own);
            let index = self.node_row(name, zone);
            own.insert(name.clone(), index);
            self.fill(index, source, node);
        }
        self.link(&apex, &own);
        self.publish(&apex, own);
    }

    /// Makes the empty non-terminals between a name and the apex (RFC 4592 section 2.2.2).
    fn ancestors(&mut self, name: &Name, apex: &Name, zone: ZoneId, own: &mut BTreeMap<Name, u32>) {
        let mut above = if name == apex { None } else { name.parent() };
        while let Some(here) = above {
            if !own.contains_key(&here) {
                let index = self.node_row(&here, zone);
                own.insert(here.clone(), index);
            }
            above = if here == *apex { None } else { here.parent() };
        }
    }

    fn node_row(&mut self, name: &Name, zone: ZoneId) -> u32 {
        let start = self.zones.names.len();
        self.zones.names.extend(name.wire());
        let labels = u8::try_from(name.labels().count()).unwrap_or(127);
        self.zones.nodes.push(NodeRow {
            name: span(start, self.zones.names.len()),
            zone,
            rrsets: 0..0,
            steer: None,
            wildcard: NONE,
            cut: NONE,
            parent_side: NONE,
            labels,
        });
        u32::try_from(self.zones.nodes.len() - 1).expect("fewer than 2^32 names")
    }

    fn fill(&mut self, index: u32, source: &SourceZone, node: &SourceNode) {
        let rows: Vec<RrsetRow> = node.rrsets.iter().map(|(&rtype, set)| self.rrset(source, rtype, set)).collect();
        let start = self.zones.rrsets.len();
        self.zones.rrsets.extend(rows);
        let row = &mut self.zones.nodes[index as usize];
        row.rrsets = span(start, self.zones.rrsets.len());
        row.steer = node.steer;
    }

    fn rrset(&mut self, source: &SourceZone, rtype: Rtype, set: &SourceRrset) -> RrsetRow {
        let block = self.block(&source.apex, None, rtype, set.ttl_s, &set.rdata);
        let glue_start = self.zones.glue.len();
        if rtype == Rtype::NS {
            self.glue(source, set);
        }
        let target = if rtype == Rtype::CNAME { self.target(set) } else { 0..0 };
        RrsetRow { rtype, block, glue: span(glue_start, self.zones.glue.len()), target }
    }

    /// The addresses of nameservers inside this zone, so that a referral can be followed (RFC 9471).
    fn glue(&mut self, source: &SourceZone, set: &SourceRrset) {
        for target in names_of(set) {
            let Some(node) = source.nodes.get(&target.lowercase()) else { continue };
            for rtype in [Rtype::A, Rtype::AAAA] {
                let Some(addresses) = node.rrsets.get(&rtype) else { continue };
                let block = self.block(&source.apex, Some(target), rtype, addresses.ttl_s, &addresses.rdata);
                self.zones.glue.push(block);
            }
        }
    }

    fn target(&mut self, set: &SourceRrset) -> std::ops::Range<u32> {
        let start = self.zones.names.len();
        if let Some(name) = names_of(set).next() {
            self.zones.names.extend(name.lowercase().wire());
        }
        span(start, self.zones.names.len())
    }

    fn block(&mut self, apex: &Name, owner: Option<&Name>, rtype: Rtype, ttl_s: u32, rdata: &[Vec<Field>]) -> BlockRow {
        let mut builder = RecordsBuilder::new(apex);
        for record in rdata {
            builder.push(owner, rtype, ttl_s, record).expect("the zone compiler has checked the length of the RDATA");
        }
        self.store(builder.records())
    }

    fn store(&mut self, records: Records<'_>) -> BlockRow {
        let (bytes, patches) = (self.zones.bytes.len(), self.zones.patches.len());
        self.zones.bytes.extend(records.bytes);
        self.zones.patches.extend(records.patches);
        BlockRow { bytes: span(bytes, self.zones.bytes.len()), patches: span(patches, self.zones.patches.len()), count: records.count }
    }

    /// Tells each name of a zone its wildcard and the zone cut it stands under. Names come in an order in which a name's
    /// ancestors need not come first, so each looks up for itself.
    fn link(&mut self, apex: &Name, own: &BTreeMap<Name, u32>) {
        for (name, &index) in own {
            let wildcard = star(name).and_then(|star| own.get(&star).copied());
            let cut = self.cut_above(name, apex, own);
            let row = &mut self.zones.nodes[index as usize];
            row.wildcard = wildcard.unwrap_or(NONE);
            row.cut = cut.unwrap_or(NONE);
        }
    }

    /// The topmost name at or above `name`, below the apex, that holds NS.
    fn cut_above(&self, name: &Name, apex: &Name, own: &BTreeMap<Name, u32>) -> Option<u32> {
        let mut cut = None;
        let mut here = name.clone();
        while here != *apex {
            let index = *own.get(&here)?;
            if self.has_ns(index) {
                cut = Some(index);
            }
            here = here.parent()?;
        }
        cut
    }

    fn has_ns(&self, index: u32) -> bool {
        let rows = &self.zones.nodes[index as usize].rrsets;
        self.zones.rrsets[rows.start as usize..rows.end as usize].iter().any(|row| row.rtype == Rtype::NS)
    }

    /// Lets this zone's nodes answer for their names: the deepest zone wins, and zones come parents first.
    fn publish(&mut self, apex: &Name, own: BTreeMap<Name, u32>) {
        // Without a node of that name in a parent there is no parent, and nothing that could be occluded.
        if let Some(&parent_side) = self.by_name.get(apex) {
            self.zones.nodes[own[apex] as usize].parent_side = parent_side;
            self.by_name.retain(|name, _| !name.is_within(apex));
        }
        self.by_name.extend(own);
    }

    fn index(mut self) -> Zones {
        let size = (self.by_name.len() * 2).next_power_of_two().max(2);
        self.zones.slots = vec![0; size].into();
        let mut folded = FoldedName::new();
        for (name, index) in &self.by_name {
            folded.set(name.wire());
            self.zones.insert(folded.hash(0), *index);
        }
        self.zones
    }
}

fn names_of(set: &SourceRrset) -> impl Iterator<Item = &Name> {
    set.rdata.iter().flatten().filter_map(|field| match field {
        Field::Name(name) => Some(name),
        Field::Bytes(_) => None,
    })
}

/// The name with a `*` label in front; `None` when it would be too long to exist.
fn star(name: &Name) -> Option<Name> {
    Name::from_wire(&[b"\x01*", name.wire()].concat())
}
