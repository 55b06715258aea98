//! Makes [`Zones`] out of zones as read, which have been checked: empty non-terminals, wildcards, zone cuts and glue are
//! settled here, once, and not per query.
//!
//! A zone is taken apart while its entries are written, so that both never stand in memory as a whole: what needs a look at other
//! names is found out before, see [`Specials`].

use super::entry::{Aside, Head, NONE, RrsetEntry, position};
use super::index::HashIndex;
use super::source::{Owner, OwnerId, Record, ZoneSource, sets};
use super::table::{BlockRow, LinkRow, Zone, Zones};
use crate::dns::{Patch, RecordsBuilder, Rtype, suffixes};
use crate::ids::{Id, SteerId, ZoneId};
use std::collections::{HashMap, HashSet};

/// The TTL of denials: the smaller of the SOA's own TTL and its minimum (RFC 2308 section 3), in seconds.
pub fn negative_ttl_s(soa: &Record<'_>) -> u32 {
    soa.ttl_s.min(soa.rdata.last_chunk().map_or(0, |minimum| u32::from_be_bytes(*minimum)))
}

/// Whether the records of one type and name are more than a message can carry, with a header and the longest question.
pub fn is_too_long(set: &[Record<'_>]) -> bool {
    const SET_MAX: usize = 65_535 - 600;
    // Owner (a pointer), type, class, TTL and length.
    const RECORD_OVERHEAD: usize = 12;
    set.iter().map(|record| RECORD_OVERHEAD + record.rdata.len()).sum::<usize>() > SET_MAX
}

impl Zones {
    /// Lays out zones, each with a name of its own. Their ids count in the order of `sources`; those without SOA are left out,
    /// and so are sets that are too long.
    pub fn build(mut sources: Vec<ZoneSource>) -> Zones {
        sources.retain(|source| source.soa().is_some());
        let mut layout = Layout::new(&sources);
        for source in &mut sources {
            layout.zone(source);
            add_empty_non_terminals(source);
        }
        layout.names = sources.iter().map(ZoneSource::len).sum();
        // Parents before children, so that a child's apex finds the parent's entry of the same name.
        let mut order: Vec<(usize, ZoneSource)> = sources.into_iter().enumerate().collect();
        order.sort_by_key(|(_, source)| source.origin().labels().count());
        for (zone, mut source) in order {
            let entries = layout.entries(&mut source, ZoneId::new(zone));
            layout.publish(source.into_index(), &entries);
        }
        layout.zones.entries.shrink_to_fit();
        layout.zones
    }
}

/// Gives every name between a name and the apex an owner (RFC 4592 section 2.2.2).
fn add_empty_non_terminals(source: &mut ZoneSource) {
    let apex_len = source.origin().wire().len();
    let mut at = 0;
    // Those that are added have names above them too, and come last.
    while at < source.len() {
        let wire = source.owner_at(at).wire();
        let above = parent(&wire);
        if above.len() > apex_len {
            source.intern(above);
        }
        at += 1;
    }
}

fn parent(name: &[u8]) -> &[u8] {
    suffixes(name).nth(1).unwrap_or_default()
}

/// Zones under construction.
struct Layout {
    zones: Zones,
    patch_lists: HashMap<Box<[Patch]>, u32>,
    /// The last one that was used.
    patch_list: u32,
    /// By lower-cased apex in wire form.
    by_apex: HashMap<Box<[u8]>, ZoneId>,
    /// Whether any zone lies within another.
    nested: bool,
    /// Of all zones together.
    names: usize,
    /// For the apex of a zone within another: the entry that the other has for it.
    parent_sides: HashMap<ZoneId, u32>,
    /// What follows the records of the RRset under way.
    more: Vec<u8>,
}

/// What is special about some names of a zone: all that cannot be told from a name and its records alone.
struct Specials {
    /// The `*` below a name.
    wildcards: HashMap<OwnerId, OwnerId>,
    /// Names below the apex that delegate.
    cuts: HashMap<Box<[u8]>, OwnerId>,
    /// By the owner of NS records: first glue block and one past the last.
    glue: HashMap<OwnerId, [u32; 2]>,
    steers: HashMap<OwnerId, SteerId>,
}

impl Specials {
    fn of(source: &ZoneSource, layout: &mut Layout) -> Specials {
        let stars = source.owners().filter(|owner| owner.is_wildcard());
        let wildcards = stars.filter_map(|star| Some((source.find(parent(&star.wire()))?.id(), star.id())));
        let delegating: Vec<Owner<'_>> = source.owners().filter(|owner| owner.has(Rtype::NS)).collect();
        let below_apex = delegating.iter().filter(|owner| owner.id() != source.apex().id());
        let steers = source.steered().iter().filter_map(|steered| Some((steered.owner, steered.steer?)));
        Specials {
            wildcards: wildcards.collect(),
            cuts: below_apex.map(|owner| (Box::from(&*owner.wire()), owner.id())).collect(),
            glue: delegating.iter().map(|owner| (owner.id(), layout.glue(*owner, source))).collect(),
            steers: steers.collect(),
        }
    }

    /// The topmost name at or above `name` that delegates.
    fn cut_above(&self, name: &[u8]) -> Option<OwnerId> {
        if self.cuts.is_empty() {
            return None;
        }
        suffixes(name).filter_map(|suffix| self.cuts.get(suffix).copied()).last()
    }
}

impl Layout {
    fn new(sources: &[ZoneSource]) -> Layout {
        let apex = |source: &ZoneSource| Box::from(&*source.apex().wire());
        let by_apex: HashMap<Box<[u8]>, ZoneId> =
            sources.iter().enumerate().map(|(zone, source)| (apex(source), ZoneId::new(zone))).collect();
        let nested = by_apex.keys().any(|apex| suffixes(apex).skip(1).any(|suffix| by_apex.contains_key(suffix)));
        Layout {
            zones: Zones::default(),
            patch_lists: HashMap::new(),
            patch_list: 0,
            by_apex,
            nested,
            names: 0,
            parent_sides: HashMap::new(),
            more: Vec::new(),
        }
    }

    fn zone(&mut self, source: &ZoneSource) {
        let soa = source.soa().expect("zones without SOA are left out");
        let negative_ttl_s = negative_ttl_s(&soa);
        let mut builder = RecordsBuilder::new(source.origin());
        push(&mut builder, None, negative_ttl_s, &[soa]);
        let soa = self.block(&builder);
        self.zones.list.push(Zone {
            apex: source.origin().clone(),
            labels: source.origin().labels().count(),
            negative_ttl_s,
            soa,
            names: source.len(),
            steered: source.steered().len(),
        });
    }

    /// Writes the entries of a zone, and lets go of its names and records on the way. Returns where each owner's entry begins, [`NONE`] for those
    /// that a zone below hides.
    fn entries(&mut self, source: &mut ZoneSource, zone: ZoneId) -> Vec<u32> {
        let specials = Specials::of(source, self);
        let floors = source.floors();
        let origin = source.origin().clone();
        let first_link = self.zones.links.len();
        let mut builder = RecordsBuilder::new(&origin);
        let mut entries = Vec::with_capacity(source.len());
        let mut hidden = Vec::new();
        for block in 0..floors.len() {
            source.forget_before(block, &floors);
            let mut records = Vec::new();
            for owner in source.block(block) {
                let entry = position(self.zones.entries.len());
                servable_records(owner, &mut records);
                self.entry(owner, zone, &records, &specials, &mut builder);
                if self.nested && self.is_hidden(&owner.wire(), zone, entry) {
                    hidden.push(entries.len());
                }
                entries.push(entry);
            }
        }
        self.settle_links(first_link, &entries);
        for at in hidden {
            entries[at] = NONE;
        }
        entries
    }

    fn entry(&mut self, owner: Owner<'_>, zone: ZoneId, records: &[Record<'_>], specials: &Specials, builder: &mut RecordsBuilder<'_>) {
        self.head(owner, zone, records, specials);
        for set in sets(records) {
            self.rrset(owner.id(), set, specials, builder);
        }
    }

    fn head(&mut self, owner: Owner<'_>, zone: ZoneId, records: &[Record<'_>], specials: &Specials) {
        let name = owner.wire();
        let number = |owner: Option<OwnerId>| owner.map_or(NONE, |owner| position(owner.index()));
        let is_apex = owner.id().index() == 0;
        let row = LinkRow {
            wildcard: number(specials.wildcards.get(&owner.id()).copied()),
            cut: number(specials.cut_above(&name)),
            parent_side: self.parent_sides.get(&zone).copied().filter(|_| is_apex).unwrap_or(NONE),
            steer: specials.steers.get(&owner.id()).copied(),
        };
        if row.steer.is_some() {
            self.zones.steered.push(position(self.zones.entries.len()));
        }
        let aside = self.aside(row);
        let rrsets = u16::try_from(sets(records).count()).expect("there are 2^16 types");
        let labels = u8::try_from(suffixes(&name).count() - 1).expect("a name has at most 127 labels");
        Head { zone, aside, rrsets, labels, name: &name }.write(&mut self.zones.entries);
    }

    fn aside(&mut self, row: LinkRow) -> Aside {
        match row.steer {
            _ if row.has_links() => {
                self.zones.links.push(row);
                Aside::Links(position(self.zones.links.len() - 1))
            }
            Some(steer) => Aside::Steer(steer),
            None => Aside::Nothing,
        }
    }

    /// Turns the owners in the links from `first` on into their entries.
    fn settle_links(&mut self, first: usize, entries: &[u32]) {
        for row in &mut self.zones.links[first..] {
            for owner in [&mut row.wildcard, &mut row.cut] {
                if *owner != NONE {
                    *owner = entries[*owner as usize];
                }
            }
        }
    }

    /// Whether a name lies in a zone below this one. The entry for that zone's apex stays known: it answers for DS.
    fn is_hidden(&mut self, name: &[u8], zone: ZoneId, entry: u32) -> bool {
        let holder = suffixes(name).find_map(|suffix| Some((suffix, *self.by_apex.get(suffix)?)));
        let Some((apex, holder)) = holder.filter(|(_, holder)| *holder != zone) else { return false };
        if apex == name {
            self.parent_sides.insert(holder, entry);
        }
        true
    }

    /// Makes the names of a zone known by their entries.
    fn publish(&mut self, mut owners: HashIndex, entries: &[u32]) {
        if self.zones.index.is_empty() {
            if owners.has_room(self.names) && !entries.contains(&NONE) {
                // The only zone, or nearly: its way to owners becomes the way to entries, and no second one is made.
                owners.renumber(|owner| entries[owner as usize]);
                self.zones.index = owners;
                return;
            }
            self.zones.index = HashIndex::with_room(self.names);
        }
        for (hash, owner) in owners.entries() {
            let entry = entries[owner as usize];
            if entry != NONE {
                self.zones.index.insert(hash, entry);
            }
        }
    }

    fn rrset(&mut self, owner: OwnerId, set: &[Record<'_>], specials: &Specials, builder: &mut RecordsBuilder<'_>) {
        let rtype = set[0].rtype;
        self.more.clear();
        match rtype {
            Rtype::NS => {
                let glue = specials.glue.get(&owner).copied().unwrap_or_default();
                self.more.extend(glue.iter().flat_map(|number| number.to_ne_bytes()));
            }
            Rtype::CNAME => self.more.extend(set[0].names().flatten().map(u8::to_ascii_lowercase)),
            _ => {}
        }
        builder.clear();
        push(builder, None, ttl_s(set), set);
        let patches = self.patch_list(builder.records().patches);
        let records = builder.records();
        let entry = RrsetEntry { rtype, count: records.count, patches, records: records.bytes, more: &self.more };
        entry.write(&mut self.zones.entries);
    }

    /// The addresses of an owner's nameservers inside this zone, so that a referral can be followed (RFC 9471): first block and one past
    /// the last.
    fn glue(&mut self, owner: Owner<'_>, source: &ZoneSource) -> [u32; 2] {
        let first = position(self.zones.glue.len());
        let mut builder = RecordsBuilder::new(source.origin());
        let (mut delegation, mut records) = (Vec::new(), Vec::new());
        servable_records(owner, &mut delegation);
        let servers = delegation.iter().filter(|record| record.rtype == Rtype::NS);
        for target in servers.flat_map(Record::names) {
            let Some(owner) = source.find(target) else { continue };
            servable_records(owner, &mut records);
            for addresses in sets(&records).filter(|set| matches!(set[0].rtype, Rtype::A | Rtype::AAAA)) {
                builder.clear();
                push(&mut builder, Some(target), ttl_s(addresses), addresses);
                let block = self.block(&builder);
                self.zones.glue.push(block);
            }
        }
        [first, position(self.zones.glue.len())]
    }

    fn block(&mut self, builder: &RecordsBuilder<'_>) -> BlockRow {
        let records = builder.records();
        let start = position(self.zones.blocks.len());
        self.zones.blocks.extend(records.bytes);
        BlockRow { bytes: start..position(self.zones.blocks.len()), patches: self.patch_list(records.patches), count: records.count }
    }

    fn patch_list(&mut self, patches: &[Patch]) -> u32 {
        // Nearly always that of the set before.
        if self.zones.patch_lists.get(self.patch_list as usize).is_some_and(|before| **before == *patches) {
            return self.patch_list;
        }
        self.patch_list = self.new_or_known_patch_list(patches);
        self.patch_list
    }

    fn new_or_known_patch_list(&mut self, patches: &[Patch]) -> u32 {
        if let Some(&known) = self.patch_lists.get(patches) {
            return known;
        }
        let number = position(self.zones.patch_lists.len());
        self.zones.patch_lists.push(patches.into());
        self.patch_lists.insert(patches.into(), number);
        number
    }
}

impl LinkRow {
    fn has_links(&self) -> bool {
        self.wildcard != NONE || self.cut != NONE || self.parent_side != NONE
    }
}

/// The records of a name, ordered by type, without those of sets that no message could carry.
fn servable_records<'s>(owner: Owner<'s>, records: &mut Vec<Record<'s>>) {
    owner.sorted_records(records);
    if is_too_long(records) {
        let too_long: HashSet<Rtype> = sets(records).filter(|set| is_too_long(set)).map(|set| set[0].rtype).collect();
        records.retain(|record| !too_long.contains(&record.rtype));
    }
}

/// RFC 2181 section 5.2: records of an RRset have one TTL; where a file says several, the smallest.
fn ttl_s(set: &[Record<'_>]) -> u32 {
    set.iter().map(|record| record.ttl_s).min().unwrap_or(0)
}

/// Adds the records of a set, each once.
fn push(builder: &mut RecordsBuilder<'_>, owner: Option<&[u8]>, ttl_s: u32, set: &[Record<'_>]) {
    for (at, record) in set.iter().enumerate() {
        if set[..at].iter().all(|before| before.rdata != record.rdata) {
            builder.push(owner, record.rtype, ttl_s, record.rdata).expect("sets that are too long are left out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::dns::{FoldedName, Name};
    use crate::zone::{Found, Place, soa_rdata};
    use std::sync::Arc;

    /// More than a block of owners, and more than a piece of any list.
    const NAMES: usize = 70_000;

    fn name(text: &str) -> Name {
        Name::parse(text, &Name::root()).expect("a name")
    }

    /// A zone in which each name has its records far apart, the second ones in the opposite order.
    fn scattered(apex: &str) -> ZoneSource {
        let (source, place) = (Arc::new(Source { name: "test".to_owned(), text: String::new() }), Place::from(0..0));
        let mut zone = ZoneSource::new(&source, name(apex), place, 2 * NAMES);
        zone.set_soa(300, place, &soa_rdata(&name("ns."), &name("mail."), [1, 2, 3, 4, 30]));
        let mut add = |host: usize, rtype: Rtype, rdata: &[u8]| {
            let owner = zone.intern(name(&format!("h{host}.{apex}")).wire());
            let written: Result<(), std::convert::Infallible> = zone.record(owner, rtype, 60, place, |out| {
                out.extend_from_slice(rdata);
                Ok(())
            });
            let Ok(()) = written;
        };
        (0..NAMES).for_each(|host| add(host, Rtype::A, &u32::try_from(host).expect("few").to_be_bytes()));
        (0..NAMES).rev().for_each(|host| add(host, Rtype::TXT, format!("\x05{host:05}").as_bytes()));
        zone
    }

    fn records(zones: &Zones, qname: &str, rtype: Rtype) -> Option<Vec<u8>> {
        let mut folded = FoldedName::new();
        folded.read(name(qname).wire())?;
        let Found::Name(node) = zones.find(&folded, rtype)?.found else { return None };
        Some(node.rrset(rtype)?.records().bytes.to_vec())
    }

    #[test]
    fn nothing_is_let_go_of_before_it_is_written() {
        // The second zone cannot take over the way to owners of the first, the only one can.
        for zones in [vec!["example."], vec!["example.", "a.example."]] {
            let table = Zones::build(zones.iter().map(|apex| scattered(apex)).collect());
            for apex in zones {
                for host in [0, 1, 4095, 4096, 65_535, 65_536, NAMES - 1] {
                    let [address, text] = [Rtype::A, Rtype::TXT].map(|rtype| records(&table, &format!("h{host}.{apex}"), rtype));
                    assert!(address.expect("it has one").ends_with(&u32::try_from(host).expect("few").to_be_bytes()), "{host}");
                    assert!(text.expect("it has one").ends_with(format!("\x05{host:05}").as_bytes()), "{host}");
                }
            }
        }
    }
}
