//! Zones as read to zones as served: every rule of zone data that a server should refuse to break.

use super::zone_section;
use crate::config;
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, Spanned};
use crate::dns::{Name, Rtype, suffixes};
use crate::ids::SteerId;
use crate::zone::{Owner, Record, ZoneSource, Zones, is_master_file, negative_ttl_s, read_master_file, sets};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Gives the decision that a zone names, or reports why there is none.
pub type Resolve<'a> = dyn FnMut(&Spanned<String>, &mut Diagnostics) -> Option<SteerId> + 'a;

/// Denials of a zone with steered names should not be kept longer: NODATA outlives the failover that ends it.
const NEGATIVE_TTL_MAX_S: u32 = 60;

/// Types that steering answers from its own decision, now or by projection; static data beside it would contradict it.
const STEERED_TYPES: [Rtype; 5] = [Rtype::A, Rtype::AAAA, Rtype::SRV, Rtype(64), Rtype(65)];

/// Reads a zone file of either format. `None` when no zone can be made of it.
pub(super) fn read(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Option<ZoneSource> {
    if is_master_file(&source.name) {
        return read_master_file(source, diagnostics);
    }
    config::zone::read(source, diagnostics).map(|section| zone_section::read(&section, diagnostics))
}

/// Compiles all zones. What is faulty is reported; there are no zones to serve then.
pub(super) fn compile(zones: Vec<ZoneSource>, resolve: &mut Resolve<'_>, diagnostics: &mut Diagnostics) -> Zones {
    let mut zones = without_twins(zones, diagnostics);
    for steered in zones.iter_mut().flat_map(ZoneSource::steered_mut) {
        steered.steer = resolve(&steered.policy, diagnostics);
    }
    let served = Served::new(&zones);
    for zone in &zones {
        ZoneCheck::new(zone, &served).run(diagnostics);
    }
    check_aliases(&served, diagnostics);
    drop(served);
    // What is faulty is served by nobody, and not worth the work.
    if diagnostics.has_errors() { Zones::default() } else { Zones::build(zones) }
}

/// The zones without those that were already seen.
fn without_twins(zones: Vec<ZoneSource>, diagnostics: &mut Diagnostics) -> Vec<ZoneSource> {
    let mut seen: HashMap<Name, Span> = HashMap::new();
    let mut kept = Vec::new();
    for zone in zones {
        let span = zone.origin_span();
        if let Some(first) = seen.get(&zone.origin().lowercase()) {
            let fault = Diagnostic::error("duplicate-zone", &span, format!("the zone `{}` is defined twice", zone.origin()));
            diagnostics.push(fault.also(first, "first defined here").help("merge both files into one, or remove one of them"));
            continue;
        }
        seen.insert(zone.origin().lowercase(), span);
        kept.push(zone);
    }
    kept
}

/// All zones, to be found by name.
struct Served<'z> {
    zones: &'z [ZoneSource],
    /// By lower-cased origin in wire form.
    by_origin: HashMap<Box<[u8]>, usize>,
}

impl<'z> Served<'z> {
    fn new(zones: &'z [ZoneSource]) -> Served<'z> {
        let origin = |zone: &ZoneSource| zone.origin().lowercase().wire().into();
        Served { zones, by_origin: zones.iter().enumerate().map(|(index, zone)| (origin(zone), index)).collect() }
    }

    /// The deepest zone that a lower-cased name lies in.
    fn holder(&self, wire: &[u8]) -> Option<&'z ZoneSource> {
        suffixes(wire).find_map(|suffix| self.zone(suffix))
    }

    fn zone(&self, origin: &[u8]) -> Option<&'z ZoneSource> {
        self.by_origin.get(origin).map(|index| &self.zones[*index])
    }
}

//--- One zone

struct ZoneCheck<'z> {
    zone: &'z ZoneSource,
    served: &'z Served<'z>,
    /// Whether any name below the apex delegates; nearly no zone has cuts, and then nothing can lie below one.
    has_cuts: bool,
}

impl<'z> ZoneCheck<'z> {
    fn new(zone: &'z ZoneSource, served: &'z Served<'z>) -> ZoneCheck<'z> {
        let has_cuts = zone.owners().skip(1).any(|owner| owner.has(Rtype::NS));
        ZoneCheck { zone, served, has_cuts }
    }

    fn run(&self, diagnostics: &mut Diagnostics) {
        self.check_apex(diagnostics);
        self.check_parent(diagnostics);
        self.check_negative_ttl(diagnostics);
        self.check_steered(diagnostics);
        let mut records = Vec::new();
        for owner in self.zone.owners() {
            owner.sorted_records(&mut records);
            self.check_owner(owner, &records, diagnostics);
        }
    }

    fn check_owner(&self, owner: Owner<'z>, records: &[Record<'z>], diagnostics: &mut Diagnostics) {
        for set in sets(records) {
            self.check_set(owner, set, diagnostics);
            if set[0].rtype == Rtype::NS {
                self.check_nameservers(owner, set, diagnostics);
            }
        }
        check_alias(owner, records, self.zone, diagnostics);
        if self.has_cuts {
            self.check_occlusion(owner, records, diagnostics);
        }
    }

    fn check_apex(&self, diagnostics: &mut Diagnostics) {
        if !self.zone.apex().has(Rtype::NS) {
            let message = format!("the zone `{}` has no nameservers", self.zone.origin());
            let fault = Diagnostic::error("missing-ns", &self.zone.origin_span(), message);
            diagnostics.push(fault.help("add NS records at `@`: the names that the parent delegates to"));
        }
    }

    /// A parent that we serve too must delegate to this zone, or resolvers that ask the parent never hear of it.
    fn check_parent(&self, diagnostics: &mut Diagnostics) {
        let apex = self.zone.apex().wire();
        let Some(parent) = suffixes(apex).skip(1).find_map(|suffix| self.served.zone(suffix)) else { return };
        if !parent.find(apex).is_some_and(|cut| cut.has(Rtype::NS)) {
            let (child, above) = (self.zone.origin(), parent.origin());
            let message = format!("the zone `{child}` is served here, but its parent `{above}` does not delegate it");
            let fault = Diagnostic::error("missing-delegation", &self.zone.origin_span(), message);
            let help = format!("add NS records for `{child}` to the parent's file");
            diagnostics.push(fault.also(&parent.origin_span(), "the parent zone").help(help));
        }
    }

    fn check_negative_ttl(&self, diagnostics: &mut Diagnostics) {
        let Some(soa) = self.zone.soa() else { return };
        let negative_s = negative_ttl_s(&soa);
        if !self.zone.steered().is_empty() && negative_s > NEGATIVE_TTL_MAX_S {
            let message = format!("denials of this zone are kept for {negative_s} s, though some of its names are steered");
            let fault = Diagnostic::warning("long-negative-ttl", &self.zone.span(soa.place), message);
            let help = format!("set the SOA's `minimum` to {NEGATIVE_TTL_MAX_S}s or less, so that a NODATA does not outlive a failover");
            diagnostics.push(fault.help(help));
        }
    }

    /// What may not stand beside a steered answer.
    fn check_steered(&self, diagnostics: &mut Diagnostics) {
        let mut seen = HashMap::new();
        for steered in self.zone.steered() {
            let (owner, span) = (self.zone.get(steered.owner), &steered.policy.span);
            if let Some(first) = seen.insert(steered.owner, span) {
                let fault = Diagnostic::error("duplicate-records", span, format!("`{}` is steered twice", owner.name()));
                diagnostics.push(fault.also(first, "first here").help("remove one of them"));
            }
            for rtype in STEERED_TYPES.into_iter().chain([Rtype::CNAME]) {
                let Some(record) = owner.first(rtype) else { continue };
                let message = format!("`{}` is steered and has static {rtype} records as well", owner.name());
                let fault = Diagnostic::error("steered-and-static", &owner.set_span(&record), message).also(span, "steered here");
                diagnostics.push(fault.help("keep one of them; put static addresses into a pool if both are meant"));
            }
            if let Some(cut) = self.cut_above(owner.wire()) {
                diagnostics.push(self.mute(owner, cut, span, "a steered answer"));
            }
        }
    }

    fn check_set(&self, owner: Owner<'z>, set: &[Record<'z>], diagnostics: &mut Diagnostics) {
        let [first, rest @ ..] = set else { return };
        let octets: usize = set.iter().map(|record| RECORD_OVERHEAD + record.rdata.len()).sum();
        if octets > SET_MAX {
            let message = format!("all {} records of a name must fit into one message", first.rtype);
            let fault = Diagnostic::error("rrset-too-long", &owner.set_span(first), message);
            diagnostics.push(fault.help("65 KB is the most that DNS can carry; remove some records"));
            return;
        }
        for (at, record) in rest.iter().enumerate() {
            if let Some(twin) = set[..=at].iter().find(|twin| twin.rdata == record.rdata && !record.rdata.is_empty()) {
                diagnostics.push(self.duplicate(record, twin));
            }
        }
        if let Some(other) = rest.iter().find(|record| record.ttl_s != first.ttl_s) {
            diagnostics.push(self.ttls_differ(owner, first, other));
        }
    }

    fn duplicate(&self, record: &Record<'_>, twin: &Record<'_>) -> Diagnostic {
        let message = format!("the {} record `{}` is here twice", record.rtype, self.zone.text(record.place));
        let fault = Diagnostic::warning("duplicate-record", &self.zone.span(record.place), message);
        fault.also(&self.zone.span(twin.place), "first here").help("remove one: an RRset holds a record once")
    }

    fn ttls_differ(&self, owner: Owner<'_>, first: &Record<'_>, other: &Record<'_>) -> Diagnostic {
        let message = format!("the {} records of `{}` have several TTLs", first.rtype, owner.name());
        let fault = Diagnostic::warning("ttls-differ", &self.zone.span(other.place), message);
        let help = "write one TTL (RFC 2181 section 5.2); the smallest is served for all of them";
        fault.label(format!("{} s", other.ttl_s)).also(&self.zone.span(first.place), format!("{} s", first.ttl_s)).help(help)
    }

    /// Nameservers inside the zone need static addresses here, or nobody can reach them (RFC 9471).
    fn check_nameservers(&self, owner: Owner<'z>, set: &[Record<'z>], diagnostics: &mut Diagnostics) {
        if owner.is_wildcard() {
            let fault = Diagnostic::error("wildcard-ns", &owner.set_span(&set[0]), "a wildcard cannot delegate");
            diagnostics.push(fault.help("name the delegated zone"));
        }
        for record in set {
            for target in record.names() {
                if !self.is_reachable(target, owner) {
                    let target = Name::from_wire(target).map(|name| name.to_string()).unwrap_or_default();
                    let message = format!("the nameserver `{target}` has no static address in this zone");
                    let fault = Diagnostic::error("missing-glue", &self.zone.span(record.place), message);
                    diagnostics.push(fault.help(format!("add an A or AAAA record for `{target}`; a nameserver cannot be steered")));
                }
            }
        }
    }

    fn is_reachable(&self, target: &[u8], owner: Owner<'_>) -> bool {
        let target = target.to_ascii_lowercase();
        let elsewhere = !suffixes(&target).any(|suffix| suffix == self.zone.apex().wire());
        elsewhere
            || self.zone.find(&target).is_some_and(|target| target.has(Rtype::A) || target.has(Rtype::AAAA))
            // Below a cut of ours other than this one, the address is that zone's own affair.
            || self.cut_above(&target).is_some_and(|cut| cut.id() != owner.id())
    }

    /// The topmost name at or above a lower-cased `name`, below the apex, that delegates.
    fn cut_above(&self, name: &[u8]) -> Option<Owner<'z>> {
        if !self.has_cuts {
            return None;
        }
        let below_apex = suffixes(name).take_while(|suffix| *suffix != self.zone.apex().wire());
        below_apex.filter_map(|suffix| self.zone.find(suffix).filter(|owner| owner.has(Rtype::NS))).last()
    }

    /// Below a zone cut only glue is of any use (RFC 2136 section 7.18 calls the rest occluded).
    fn check_occlusion(&self, owner: Owner<'z>, records: &[Record<'z>], diagnostics: &mut Diagnostics) {
        let Some(cut) = self.cut_above(owner.wire()) else { return };
        for set in sets(records) {
            let rtype = set[0].rtype;
            let useful = match rtype {
                Rtype::A | Rtype::AAAA => true,
                Rtype::NS | Rtype::DS => cut.id() == owner.id(),
                _ => false,
            };
            if !useful {
                diagnostics.push(self.mute(owner, cut, &owner.set_span(&set[0]), &format!("{rtype} records")));
            }
        }
    }

    fn mute(&self, owner: Owner<'_>, cut: Owner<'_>, span: &Span, what: &str) -> Diagnostic {
        let help = if self.served.zone(cut.wire()).is_some() {
            format!("move it into the file of the zone `{}`", cut.name())
        } else {
            format!("`{}` is delegated: its nameservers answer for all names at and below it", cut.name())
        };
        let fault = Diagnostic::error("occluded", span, format!("{what} at `{}` can never be answered", owner.name()));
        let delegated = cut.first(Rtype::NS).map(|ns| cut.set_span(&ns));
        delegated.into_iter().fold(fault, |fault, span| fault.also(&span, "delegated here")).help(help)
    }
}

/// Owner (a pointer), type, class, TTL and length.
const RECORD_OVERHEAD: usize = 12;

/// An RRset must fit into one message, with a header and the longest question.
const SET_MAX: usize = 65_535 - 600;

/// What may stand beside an alias: nothing.
fn check_alias(owner: Owner<'_>, records: &[Record<'_>], zone: &ZoneSource, diagnostics: &mut Diagnostics) {
    let mut aliases = records.iter().filter(|record| record.rtype == Rtype::CNAME);
    let Some(alias) = aliases.next() else { return };
    if let Some(second) = aliases.next() {
        let message = format!("`{}` has more than one CNAME", owner.name());
        let fault = Diagnostic::error("several-cnames", &zone.span(second.place), message);
        diagnostics.push(fault.help("a name is an alias of one name only (RFC 1034 section 3.6.2); use a pool to choose among several"));
    }
    // SOA and NS make an apex, which an alias can never be; RFC 1034 section 3.6.2 forbids all other company too.
    if let Some(other) = records.iter().find(|record| record.rtype != Rtype::CNAME) {
        let message = format!("`{}` is an alias and has {} records as well", owner.name(), other.rtype);
        let fault = Diagnostic::error("cname-and-other", &owner.set_span(alias), message);
        diagnostics.push(fault.also(&owner.set_span(other), "other data here").help("a CNAME must stand alone (RFC 1034 section 3.6.2)"));
    }
}

//--- Aliases across zones

/// Follows every alias through our zones: loops are errors.
fn check_aliases(served: &Served<'_>, diagnostics: &mut Diagnostics) {
    // Names whose aliases have been followed to their end, so that no way is gone twice.
    let mut settled: HashSet<Vec<u8>> = HashSet::new();
    for zone in served.zones {
        for owner in zone.owners() {
            let Some(alias) = owner.first(Rtype::CNAME).filter(|_| !settled.contains(owner.wire())) else { continue };
            let (path, looped) = follow(owner.wire(), served, &settled);
            if let Some(start) = looped {
                diagnostics.push(alias_loop(&path[start..], &zone.span(alias.place)));
            }
            settled.extend(path);
        }
    }
}

/// The names that an alias leads through, up to a settled one or the end; and where among them a loop begins, if it leads back.
fn follow(name: &[u8], served: &Served<'_>, settled: &HashSet<Vec<u8>>) -> (Vec<Vec<u8>>, Option<usize>) {
    let mut path = vec![name.to_vec()];
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::from([(name.to_vec(), 0)]);
    while let Some(next) = path.last().and_then(|name| alias_of(served, name)).filter(|next| !settled.contains(next)) {
        let first = *seen.entry(next.clone()).or_insert(path.len());
        path.push(next);
        if first + 1 < path.len() {
            return (path, Some(first));
        }
    }
    (path, None)
}

/// What a name is an alias of, lower-cased.
fn alias_of(served: &Served<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let alias = served.holder(name)?.find(name)?.first(Rtype::CNAME)?;
    alias.names().next().map(<[u8]>::to_ascii_lowercase)
}

fn alias_loop(path: &[Vec<u8>], span: &Span) -> Diagnostic {
    let path: Vec<String> = path.iter().filter_map(|name| Some(Name::from_wire(name)?.to_string())).collect();
    let fault = Diagnostic::error("cname-loop", span, format!("this alias leads back to itself: {}", path.join(" -> ")));
    fault.help("point one of them at a name that holds addresses")
}
