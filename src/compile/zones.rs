//! Zone sections to zones: every rule of zone data that a server should refuse to break.

use crate::config::suggest::did_you_mean;
use crate::config::zone::{OwnerSection, SetSection, SoaSection, ZoneSection};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, Spanned};
use crate::dns::{Field, FoldedName, Name, RecordsBuilder, Rtype};
use crate::ids::{SteerId, ZoneId};
use crate::zone::{Found, SoaTimes, Zones, ZonesBuilder, parse_rdata, soa_rdata};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Gives the decision that a zone names, or reports why there is none.
pub type Resolve<'a> = dyn FnMut(&Spanned<String>, &mut Diagnostics) -> Option<SteerId> + 'a;

/// Denials of a zone with steered names should not be kept longer: NODATA outlives the failover that ends it.
const NEGATIVE_TTL_MAX_S: u32 = 60;

/// Types that steering answers from its own decision, now or by projection; static data beside it would contradict it.
const STEERED_TYPES: [Rtype; 5] = [Rtype::A, Rtype::AAAA, Rtype::SRV, Rtype(64), Rtype(65)];

/// Compiles all zones. What is faulty is reported and left out.
pub fn compile(sections: &[ZoneSection], resolve: &mut Resolve<'_>, diagnostics: &mut Diagnostics) -> Zones {
    let sections = without_twins(sections, diagnostics);
    let zones: Vec<ZoneData<'_>> = sections.iter().map(|section| ZoneData::read(section, resolve, diagnostics)).collect();
    for zone in &zones {
        zone.check(&zones, diagnostics);
    }
    let mut builder = ZonesBuilder::new();
    for zone in &zones {
        zone.build(&mut builder);
    }
    let table = builder.finish();
    check_aliases(&zones, &table, diagnostics);
    table
}

/// The sections without those whose zone was already seen.
fn without_twins<'a>(sections: &'a [ZoneSection], diagnostics: &mut Diagnostics) -> Vec<&'a ZoneSection> {
    let mut seen: BTreeMap<Name, &ZoneSection> = BTreeMap::new();
    let mut kept = Vec::new();
    for section in sections {
        if let Some(first) = seen.get(&section.origin.value.lowercase()) {
            let message = format!("the zone `{}` is defined twice", section.origin.value);
            let fault = Diagnostic::error("duplicate-zone", &section.origin.span, message);
            diagnostics.push(fault.also(&first.origin.span, "first defined here").help("merge both files into one, or remove one of them"));
            continue;
        }
        seen.insert(section.origin.value.lowercase(), section);
        kept.push(section);
    }
    kept
}

/// What one name holds, read.
struct Owner<'a> {
    name: Name,
    span: &'a Span,
    steer: Option<(&'a Spanned<String>, Option<SteerId>)>,
    sets: BTreeMap<Rtype, Set<'a>>,
}

struct Set<'a> {
    span: &'a Span,
    ttl_s: u32,
    records: Vec<(Vec<Field>, &'a Span)>,
}

impl Set<'_> {
    /// The names in its data, with where they were written.
    fn names(&self) -> impl Iterator<Item = (&Name, &Span)> {
        self.records.iter().flat_map(|(fields, span)| {
            fields.iter().filter_map(|field| match field {
                Field::Name(name) => Some((name, *span)),
                Field::Bytes(_) => None,
            })
        })
    }
}

/// A zone, read.
struct ZoneData<'a> {
    section: &'a ZoneSection,
    origin: Name,
    soa: Option<Vec<Field>>,
    owners: BTreeMap<Name, Owner<'a>>,
}

//--- Reading

impl<'a> ZoneData<'a> {
    fn read(section: &'a ZoneSection, resolve: &mut Resolve<'_>, diagnostics: &mut Diagnostics) -> ZoneData<'a> {
        let origin = section.origin.value.clone();
        let soa = read_soa(&section.soa, &origin, diagnostics);
        let mut zone = ZoneData { section, origin, soa, owners: BTreeMap::new() };
        for owner in &section.owners {
            zone.read_owner(owner, resolve, diagnostics);
        }
        zone
    }

    fn read_owner(&mut self, section: &'a OwnerSection, resolve: &mut Resolve<'_>, diagnostics: &mut Diagnostics) {
        let Some(name) = self.owner_name(&section.owner, diagnostics) else { return };
        let owner = self.owners.entry(name.lowercase()).or_insert_with(|| Owner {
            name,
            span: &section.owner.span,
            steer: None,
            sets: BTreeMap::new(),
        });
        if section.ttl.is_some() && section.sets.is_empty() {
            let fault = Diagnostic::warning("unused-ttl", &section.owner.span, format!("the `ttl` of `{}` counts for nothing", owner.name));
            diagnostics
                .push(fault.help("it is that of static data, and there is none; a steered answer takes the `ttl` of its pool or policy"));
        }
        let ttl_s = seconds(section.ttl.unwrap_or(self.section.ttl));
        for set in &section.sets {
            let Some(rtype) = read_type(&set.rtype, diagnostics) else { continue };
            let records = read_values(rtype, set, &self.origin, diagnostics);
            if let Some(first) = owner.sets.get(&rtype) {
                diagnostics.push(twice(&set.rtype.span, first.span, &format!("{rtype} records of `{}`", owner.name)));
            } else {
                owner.sets.insert(rtype, Set { span: &set.rtype.span, ttl_s, records });
            }
        }
        if let Some(steer) = &section.steer {
            match owner.steer {
                Some((first, _)) => diagnostics.push(twice(&steer.span, &first.span, &format!("`steer` of `{}`", owner.name))),
                None => owner.steer = Some((steer, resolve(steer, diagnostics))),
            }
        }
    }

    fn owner_name(&self, owner: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Name> {
        let name = match Name::parse(&owner.value, &self.origin) {
            Ok(name) => name,
            Err(error) => {
                let fault = Diagnostic::error("bad-domain-name", &owner.span, format!("`{}` is no domain name: {error}", owner.value));
                diagnostics.push(fault.help("write a name such as `www`, `\"*.app\"`, or `\"@\"` for the zone itself"));
                return None;
            }
        };
        if !name.is_within(&self.origin) {
            let help = format!("names in this file end in `{}`; leave the dot at the end off for a name relative to it", self.origin);
            let message = format!("`{name}` is outside the zone `{}`", self.origin);
            diagnostics.push(Diagnostic::error("outside-zone", &owner.span, message).help(help));
            return None;
        }
        if name.labels().skip(1).any(|label| label == b"*") {
            let message = format!("`{}` has a `*` that is not its first label", owner.value);
            diagnostics.push(Diagnostic::error("bad-wildcard", &owner.span, message).help("a wildcard is `*.` followed by a name"));
            return None;
        }
        Some(name)
    }
}

fn read_soa(soa: &SoaSection, origin: &Name, diagnostics: &mut Diagnostics) -> Option<Vec<Field>> {
    let mut name = |text: &Spanned<String>, key: &str| match Name::parse(&text.value, origin) {
        Ok(name) => Some(name),
        Err(error) => {
            let fault = Diagnostic::error("bad-domain-name", &text.span, format!("`{key}` is no domain name: {error}"));
            diagnostics.push(fault.help("write a name such as `ns1`, or `ns1.example.net.` with a dot at its end"));
            None
        }
    };
    let (mname, rname) = (name(&soa.mname, "mname"), name(&soa.rname, "rname"));
    for (name, text) in [(&mname, &soa.mname), (&rname, &soa.rname)] {
        diagnostics.extend(name.as_ref().and_then(|name| doubled_origin(name, origin, &text.span)));
    }
    if let Some(mailbox) = soa.rname.value.strip_suffix('.').unwrap_or(&soa.rname.value).split_once('@') {
        let help = format!("write it as a name: `{}.{}.`", mailbox.0.replace('.', "\\."), mailbox.1);
        diagnostics.push(Diagnostic::error("bad-mailbox", &soa.rname.span, "the mailbox has an `@`").help(help));
    }
    let serial = soa.serial.unwrap_or_else(|| fingerprint(&soa.span.source.text));
    let times = [serial, seconds(soa.refresh), seconds(soa.retry), seconds(soa.expire), seconds(soa.minimum)];
    Some(soa_rdata(mname?, rname?, times))
}

/// The serial of a zone that writes none: equal on all nameservers that serve the same text, different for another text.
/// FNV-1a, since it must stay the same over releases; never 0.
fn fingerprint(text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.max(1)
}

fn read_type(rtype: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Rtype> {
    const COMMON: [&str; 13] = ["A", "AAAA", "NS", "CNAME", "MX", "TXT", "SRV", "PTR", "CAA", "HTTPS", "SVCB", "NAPTR", "TLSA"];
    match Rtype::parse(&rtype.value) {
        Some(Rtype::SOA) => {
            let fault = Diagnostic::error("soa-record", &rtype.span, "the SOA record is not written among the records");
            diagnostics.push(fault.help("use the `soa:` section at the top of the zone file"));
            None
        }
        Some(known) => Some(known),
        None => {
            let fault = Diagnostic::error("unknown-type", &rtype.span, format!("`{}` is no record type", rtype.value));
            diagnostics.push(fault.help(did_you_mean(&rtype.value, "record type", COMMON.into_iter().chain(["steer", "ttl"]))));
            None
        }
    }
}

fn read_values<'a>(rtype: Rtype, set: &'a SetSection, origin: &Name, diagnostics: &mut Diagnostics) -> Vec<(Vec<Field>, &'a Span)> {
    let mut records: Vec<(Vec<Field>, &Span)> = Vec::new();
    for value in &set.values {
        let fields = match parse_rdata(rtype, &value.value, origin) {
            Ok(fields) => fields,
            Err(error) => {
                let fault = Diagnostic::error("bad-record", &value.span, format!("`{}` is no {rtype} data: {error}", value.value));
                diagnostics.push(fault.help(error.help(rtype)));
                continue;
            }
        };
        if let Some((_, first)) = records.iter().find(|(known, _)| *known == fields) {
            let fault = Diagnostic::warning("duplicate-record", &value.span, format!("the {rtype} record `{}` is here twice", value.value));
            diagnostics.push(fault.also(first, "first here").help("remove one: an RRset holds a record once"));
        } else {
            records.push((fields, &value.span));
        }
    }
    check_size(rtype, set, origin, &records, diagnostics);
    records
}

/// An RRset must fit into one message, with a header and the longest question.
fn check_size(rtype: Rtype, set: &SetSection, origin: &Name, records: &[(Vec<Field>, &Span)], diagnostics: &mut Diagnostics) {
    const SET_MAX: usize = 65_535 - 600;
    let mut builder = RecordsBuilder::new(origin);
    let fits = records.iter().all(|(fields, _)| builder.push(None, rtype, 0, fields).is_ok());
    if !fits || builder.records().bytes.len() > SET_MAX {
        let fault =
            Diagnostic::error("rrset-too-long", &set.rtype.span, format!("all {rtype} records of a name must fit into one message"));
        diagnostics.push(fault.help("65 KB is the most that DNS can carry; remove some records"));
    }
}

fn twice(second: &Span, first: &Span, what: &str) -> Diagnostic {
    Diagnostic::error("duplicate-records", second, format!("{what} are written twice"))
        .also(first, "first here")
        .help("merge them into one list")
}

/// Whole seconds of a TTL; the reader of the section has checked the range.
fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)
}

//--- Checking

impl<'a> ZoneData<'a> {
    fn check(&self, zones: &[ZoneData<'_>], diagnostics: &mut Diagnostics) {
        self.check_apex(diagnostics);
        self.check_parent(zones, diagnostics);
        self.check_negative_ttl(diagnostics);
        for owner in self.owners.values() {
            check_company(owner, diagnostics);
            self.check_nameservers(owner, diagnostics);
            self.check_relative_names(owner, diagnostics);
            self.check_occlusion(owner, zones, diagnostics);
        }
    }

    fn apex(&self) -> Option<&Owner<'a>> {
        self.owners.get(&self.origin.lowercase())
    }

    fn check_apex(&self, diagnostics: &mut Diagnostics) {
        if !self.apex().is_some_and(|apex| apex.sets.contains_key(&Rtype::NS)) {
            let fault =
                Diagnostic::error("missing-ns", &self.section.origin.span, format!("the zone `{}` has no nameservers", self.origin));
            diagnostics.push(fault.help("add `\"@\": {NS: [ns1, ns2]}` to its records, the names that the parent delegates to"));
        }
    }

    /// A parent that we serve too must delegate to this zone, or resolvers that ask the parent never hear of it.
    fn check_parent(&self, zones: &[ZoneData<'_>], diagnostics: &mut Diagnostics) {
        let above = zones.iter().filter(|zone| self.origin != zone.origin && self.origin.is_within(&zone.origin));
        let Some(parent) = above.max_by_key(|zone| zone.origin.labels().count()) else { return };
        // Where the parent delegates a name in between to others, the delegation of this zone is theirs to make.
        if parent.cut_above(&self.origin).is_none() {
            let message = format!("the zone `{}` is served here, but its parent `{}` does not delegate it", self.origin, parent.origin);
            let help = format!("add NS records for `{}` to the parent's file", self.origin);
            let fault = Diagnostic::error("missing-delegation", &self.section.origin.span, message);
            diagnostics.push(fault.also(&parent.section.origin.span, "the parent zone").help(help));
        }
    }

    fn check_negative_ttl(&self, diagnostics: &mut Diagnostics) {
        let steered = self.owners.values().any(|owner| owner.steer.is_some());
        let negative_s = seconds(self.section.soa.minimum).min(seconds(self.section.ttl));
        if steered && negative_s > NEGATIVE_TTL_MAX_S {
            let message = format!("denials of this zone are kept for {negative_s} s, though some of its names are steered");
            let fault = Diagnostic::warning("long-negative-ttl", &self.section.soa.span, message);
            diagnostics.push(
                fault.help(format!(
                    "set the SOA's `minimum` to {NEGATIVE_TTL_MAX_S}s or less, so that a NODATA does not outlive a failover"
                )),
            );
        }
    }

    /// Nameservers inside the zone need static addresses here, or nobody can reach them (RFC 9471).
    fn check_nameservers(&self, owner: &Owner<'_>, diagnostics: &mut Diagnostics) {
        let Some(set) = owner.sets.get(&Rtype::NS) else { return };
        if owner.name.wire().starts_with(b"\x01*") {
            diagnostics.push(Diagnostic::error("wildcard-ns", set.span, "a wildcard cannot delegate").help("name the delegated zone"));
        }
        for (target, span) in set.names().filter(|(target, _)| target.is_within(&self.origin)) {
            let has_address = self
                .owners
                .get(&target.lowercase())
                .is_some_and(|target| target.sets.contains_key(&Rtype::A) || target.sets.contains_key(&Rtype::AAAA));
            // Below a cut of ours other than this one, the address is that zone's own affair.
            let elsewhere = self.cut_above(target).is_some_and(|cut| cut.name.lowercase() != owner.name.lowercase());
            if !has_address && !elsewhere {
                let fault =
                    Diagnostic::error("missing-glue", span, format!("the nameserver `{target}` has no static address in this zone"));
                diagnostics.push(fault.help(format!("add an A or AAAA record for `{target}`; a nameserver cannot be steered")));
            }
        }
    }

    /// Whoever forgets the dot at the end gets the zone's name twice.
    fn check_relative_names(&self, owner: &Owner<'_>, diagnostics: &mut Diagnostics) {
        let names = owner.sets.values().flat_map(Set::names).chain(std::iter::once((&owner.name, owner.span)));
        for (name, span) in names {
            diagnostics.extend(doubled_origin(name, &self.origin, span));
        }
    }

    /// The topmost name at or above `name` that delegates.
    fn cut_above(&self, name: &Name) -> Option<&Owner<'a>> {
        let mut cut = None;
        let mut here = Some(name.lowercase());
        while let Some(name) = here.filter(|name| *name != self.origin.lowercase()) {
            let delegates = |owner: &&Owner<'_>| owner.sets.contains_key(&Rtype::NS);
            cut = self.owners.get(&name).filter(delegates).or(cut);
            here = name.parent();
        }
        cut
    }

    /// Below a zone cut only glue is of any use (RFC 2136 section 7.18 calls the rest occluded).
    fn check_occlusion(&self, owner: &Owner<'_>, zones: &[ZoneData<'_>], diagnostics: &mut Diagnostics) {
        let Some(cut) = self.cut_above(&owner.name) else { return };
        let at_cut = cut.name.lowercase() == owner.name.lowercase();
        let child_is_ours = zones.iter().any(|zone| zone.origin.lowercase() == cut.name.lowercase());
        let mute = |span: &Span, what: &str| {
            let help = if child_is_ours {
                format!("move it into the file of the zone `{}`", cut.name)
            } else {
                format!("`{}` is delegated: its nameservers answer for all names at and below it", cut.name)
            };
            let message = format!("{what} at `{}` can never be answered", owner.name);
            Diagnostic::error("occluded", span, message).also(cut.span, "delegated here").help(help)
        };
        for (rtype, set) in &owner.sets {
            let useful = match *rtype {
                Rtype::A | Rtype::AAAA => true,
                Rtype::NS | Rtype::DS => at_cut,
                _ => false,
            };
            if !useful {
                diagnostics.push(mute(set.span, &format!("{rtype} records")));
            }
        }
        if let Some((steer, _)) = owner.steer {
            diagnostics.push(mute(&steer.span, "a steered answer"));
        }
    }
}

/// The warning about a name such as `ns1.example.com.example.com.` in the zone `example.com.`.
fn doubled_origin(name: &Name, origin: &Name, span: &Span) -> Option<Diagnostic> {
    let own = name.wire().len().checked_sub(origin.wire().len()).filter(|_| *origin != Name::root() && name.is_within(origin))?;
    let meant = Name::from_wire(&[&name.wire()[..own], &[0]].concat()).filter(|meant| meant.is_within(origin))?;
    let fault = Diagnostic::warning("doubled-origin", span, format!("`{name}` holds the name of the zone twice"));
    Some(fault.help(format!("end it with a dot, or leave the zone's name off: `{meant}`")))
}

/// What may stand beside what at one name.
fn check_company(owner: &Owner<'_>, diagnostics: &mut Diagnostics) {
    if let Some((steer, _)) = owner.steer {
        for rtype in STEERED_TYPES.into_iter().chain([Rtype::CNAME]) {
            let Some(set) = owner.sets.get(&rtype) else { continue };
            let message = format!("`{}` is steered and has static {rtype} records as well", owner.name);
            let fault = Diagnostic::error("steered-and-static", set.span, message);
            diagnostics
                .push(fault.also(&steer.span, "steered here").help("keep one of them; put static addresses into a pool if both are meant"));
        }
    }
    let Some(alias) = owner.sets.get(&Rtype::CNAME) else { return };
    if let Some((_, second)) = alias.records.get(1) {
        let fault = Diagnostic::error("several-cnames", second, format!("`{}` has more than one CNAME", owner.name));
        diagnostics.push(fault.help("a name is an alias of one name only (RFC 1034 section 3.6.2); use a pool to choose among several"));
    }
    // SOA and NS make an apex, which an alias can never be; RFC 1034 section 3.6.2 forbids all other company too.
    if let Some((rtype, other)) = owner.sets.iter().find(|(rtype, _)| **rtype != Rtype::CNAME) {
        let fault =
            Diagnostic::error("cname-and-other", alias.span, format!("`{}` is an alias and has {rtype} records as well", owner.name));
        diagnostics.push(fault.also(other.span, "other data here").help("a CNAME must stand alone (RFC 1034 section 3.6.2)"));
    }
}

/// Follows every alias as a query would: loops are errors, targets that do not exist are warnings.
fn check_aliases(zones: &[ZoneData<'_>], table: &Zones, diagnostics: &mut Diagnostics) {
    let mut followed: BTreeSet<Name> = BTreeSet::new();
    for owner in zones.iter().flat_map(|zone| zone.owners.values()) {
        let Some((target, span)) = owner.sets.get(&Rtype::CNAME).and_then(|set| set.names().next()) else { continue };
        // A name of which all records are faulty has been reported already.
        let is_known = || zones.iter().any(|zone| zone.owners.contains_key(&target.lowercase()));
        if matches!(look_ahead(table, target), Ahead::Nothing) && !is_known() {
            let message = format!("`{}` is an alias of `{target}`, which has no records", owner.name);
            let fault = Diagnostic::warning("dangling-alias", span, message);
            diagnostics.push(fault.help("add the name, or end it in a dot when it is not meant to be below this zone"));
        }
        let mut path = vec![owner.name.lowercase()];
        if let Some(start) = find_loop(table, &mut path, &followed) {
            report_loop(&path[start..], span, diagnostics);
        }
        followed.extend(path);
    }
}

/// Follows a chain of aliases from the end of `path` on, and says where in it the chain comes back to. Ends at a name that
/// has been `followed` before: its loop is known, and long chains are walked once.
fn find_loop(table: &Zones, path: &mut Vec<Name>, followed: &BTreeSet<Name>) -> Option<usize> {
    loop {
        let last = path.last().filter(|name| !followed.contains(name))?;
        let Ahead::Alias(next) = look_ahead(table, last) else { return None };
        let before = path.iter().position(|name| *name == next);
        path.push(next);
        if before.is_some() {
            return before;
        }
    }
}

/// What a query finds at a name that an alias leads to.
enum Ahead {
    /// Another alias, with its lower-cased target.
    Alias(Name),
    /// A name of ours without records.
    Nothing,
    /// Records, or a name that is not ours to know.
    End,
}

fn look_ahead(table: &Zones, name: &Name) -> Ahead {
    let mut folded = FoldedName::new();
    folded.set(name.wire());
    let node = match table.find(&folded, Rtype::A).map(|hit| hit.found) {
        Some(Found::Name(node)) if node.has_data() => node,
        Some(Found::Name(_) | Found::Nothing) => return Ahead::Nothing,
        Some(Found::Cut(_)) | None => return Ahead::End,
    };
    node.rrset(Rtype::CNAME).and_then(|alias| Name::from_wire(alias.target())).map_or(Ahead::End, Ahead::Alias)
}

fn report_loop(path: &[Name], span: &Span, diagnostics: &mut Diagnostics) {
    let path: Vec<String> = path.iter().map(Name::to_string).collect();
    let fault = Diagnostic::error("cname-loop", span, format!("this alias leads back to itself: {}", path.join(" -> ")));
    diagnostics.push(fault.help("point one of them at a name that holds addresses"));
}

//--- Building

impl ZoneData<'_> {
    fn build(&self, builder: &mut ZonesBuilder) {
        let Some(soa) = &self.soa else { return };
        let times = SoaTimes { ttl_s: seconds(self.section.ttl), minimum_s: seconds(self.section.soa.minimum) };
        let id = builder.zone(self.origin.clone(), soa.clone(), times);
        for owner in self.owners.values() {
            build_owner(owner, id, builder);
        }
    }
}

fn build_owner(owner: &Owner<'_>, zone: ZoneId, builder: &mut ZonesBuilder) {
    for (&rtype, set) in owner.sets.iter().filter(|(_, set)| !set.records.is_empty()) {
        let rdata = set.records.iter().map(|(fields, _)| fields.clone()).collect();
        builder.rrset(zone, &owner.name, rtype, set.ttl_s, rdata);
    }
    if let Some((_, Some(steer))) = owner.steer {
        builder.steer(zone, &owner.name, steer);
    }
}
