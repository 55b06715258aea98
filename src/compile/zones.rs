//! Zones as read to zones as served: every rule of zone data that a server should refuse to break.

use super::zone_section;
use crate::config;
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, Spanned};
use crate::dns::{FoldedName, Name, Rtype, suffixes};
use crate::ids::SteerId;
use crate::zone::{
    Found, Owner, Record, ZoneSource, Zones, doubled_origin, is_master_file, is_too_long, negative_ttl_s, read_master_file, sets,
};
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

/// Compiles all zones. What is faulty is reported and left out.
pub(super) fn compile(zones: Vec<ZoneSource>, resolve: &mut Resolve<'_>, diagnostics: &mut Diagnostics) -> Zones {
    let mut zones = without_twins(zones, diagnostics);
    for steered in zones.iter_mut().flat_map(ZoneSource::steered_mut) {
        steered.steer = resolve(&steered.policy, diagnostics);
    }
    let served = Served::new(&zones);
    for zone in &zones {
        ZoneCheck::new(zone, &served).run(diagnostics);
    }
    let aliases: Vec<Alias> = zones.iter().flat_map(|zone| Alias::all(zone, &served)).collect();
    // Texts of zones without aliases and faults go now, before the table takes their place.
    zones.iter_mut().for_each(ZoneSource::forget_text);
    let table = Zones::build(zones);
    check_aliases(&aliases, &table, diagnostics);
    table
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
        for record in records.iter().filter(|record| record.rtype != Rtype::SOA) {
            let doubled = |name| doubled_origin(name, self.zone.origin(), &self.zone.span(record.place));
            diagnostics.extend(record.names().filter_map(doubled));
        }
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
        let Some(parent) = suffixes(&apex).skip(1).find_map(|suffix| self.served.zone(suffix)) else { return };
        // Where the parent delegates a name in between to others, the delegation of this zone is theirs to make.
        if cut_above(parent, &apex).is_none() {
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
                continue;
            }
            for rtype in STEERED_TYPES.into_iter().chain([Rtype::CNAME]) {
                let Some(record) = owner.first(rtype) else { continue };
                let message = format!("`{}` is steered and has static {rtype} records as well", owner.name());
                let fault = Diagnostic::error("steered-and-static", &owner.set_span(&record), message).also(span, "steered here");
                diagnostics.push(fault.help("keep one of them; put static addresses into a pool if both are meant"));
            }
            if let Some(cut) = self.cut_above(&owner.wire()) {
                diagnostics.push(self.mute(owner, cut, span, "a steered answer"));
            }
        }
    }

    fn check_set(&self, owner: Owner<'z>, set: &[Record<'z>], diagnostics: &mut Diagnostics) {
        let [first, rest @ ..] = set else { return };
        if is_too_long(set) {
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
        let apex = self.zone.apex().wire();
        let elsewhere = !suffixes(&target).any(|suffix| *suffix == *apex);
        elsewhere
            || self.zone.find(&target).is_some_and(|target| target.has(Rtype::A) || target.has(Rtype::AAAA))
            // Below a cut of ours other than this one, the address is that zone's own affair.
            || self.cut_above(&target).is_some_and(|cut| cut.id() != owner.id())
    }

    fn cut_above(&self, name: &[u8]) -> Option<Owner<'z>> {
        if self.has_cuts { cut_above(self.zone, name) } else { None }
    }

    /// Below a zone cut only glue is of any use (RFC 2136 section 7.18 calls the rest occluded).
    fn check_occlusion(&self, owner: Owner<'z>, records: &[Record<'z>], diagnostics: &mut Diagnostics) {
        let Some(cut) = self.cut_above(&owner.wire()) else { return };
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
        let help = if self.served.zone(&cut.wire()).is_some() {
            format!("move it into the file of the zone `{}`", cut.name())
        } else {
            format!("`{}` is delegated: its nameservers answer for all names at and below it", cut.name())
        };
        let fault = Diagnostic::error("occluded", span, format!("{what} at `{}` can never be answered", owner.name()));
        let delegated = cut.first(Rtype::NS).map(|ns| cut.set_span(&ns));
        delegated.into_iter().fold(fault, |fault, span| fault.also(&span, "delegated here")).help(help)
    }
}

/// The topmost name at or above a lower-cased `name`, below the zone's apex, that delegates.
fn cut_above<'z>(zone: &'z ZoneSource, name: &[u8]) -> Option<Owner<'z>> {
    let apex = zone.apex().wire();
    let below_apex = suffixes(name).take_while(|suffix| **suffix != *apex);
    below_apex.filter_map(|suffix| zone.find(suffix).filter(|owner| owner.has(Rtype::NS))).last()
}

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

/// An alias, with where it leads to.
struct Alias {
    /// Lower-cased.
    owner: Name,
    target: Name,
    span: Span,
    /// Whether a zone holds the target, if only with faulty records.
    target_is_known: bool,
}

impl Alias {
    fn all(zone: &ZoneSource, served: &Served<'_>) -> impl Iterator<Item = Alias> {
        zone.owners().filter_map(move |owner| {
            let alias = owner.first(Rtype::CNAME)?;
            let target = Name::from_wire(alias.names().next()?)?;
            let target_is_known = served.holder(target.lowercase().wire()).is_some_and(|zone| zone.find(target.wire()).is_some());
            Some(Alias { owner: Name::from_wire(&owner.wire())?, target, span: zone.span(alias.place), target_is_known })
        })
    }
}

/// Follows every alias as a query would: loops are errors, targets that do not exist are warnings.
fn check_aliases(aliases: &[Alias], table: &Zones, diagnostics: &mut Diagnostics) {
    let mut followed: HashSet<Name> = HashSet::new();
    for Alias { owner, target, span, target_is_known } in aliases {
        // A name of which all records are faulty has been reported already.
        if matches!(look_ahead(table, target), Ahead::Nothing) && !target_is_known {
            let message = format!("`{owner}` is an alias of `{target}`, which has no records");
            let fault = Diagnostic::warning("dangling-alias", span, message);
            diagnostics.push(fault.help("add the name, or end it in a dot when it is not meant to be below this zone"));
        }
        let mut path = vec![owner.clone()];
        if let Some(start) = find_loop(table, &mut path, &followed) {
            report_loop(&path[start..], span, diagnostics);
        }
        followed.extend(path);
    }
}

/// Follows a chain of aliases from the end of `path` on, and says where in it the chain comes back to. Ends at a name that
/// has been `followed` before: its loop is known, and long chains are walked once.
fn find_loop(table: &Zones, path: &mut Vec<Name>, followed: &HashSet<Name>) -> Option<usize> {
    let mut seen: HashMap<Name, usize> = HashMap::new();
    loop {
        let last = path.last().filter(|name| !followed.contains(name))?;
        seen.insert(last.clone(), path.len() - 1);
        let Ahead::Alias(next) = look_ahead(table, last) else { return None };
        let before = seen.get(&next).copied();
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
