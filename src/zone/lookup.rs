//! From a name to what we know of it: RFC 1034 section 4.3.2 with the wildcards of RFC 4592.

use super::entry::{Aside, Entry};
use super::table::{Node, Zone, Zones};
use crate::dns::{FoldedName, Rtype};
use crate::ids::SteerId;
use crate::prefetch::prefetch;

/// Octets that the processor fetches at once; a wrong number costs a little time and nothing else.
const CACHE_LINE: usize = 64;

/// Where the entry of a name begins, if all is as it seems: another name may have the same hash. Of use as long as the zones that
/// gave it, and to them.
#[derive(Clone, Copy, Debug)]
pub struct Glimpse(u32);

/// Where a look-up ended.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'z> {
    /// The deepest zone that holds the name; for DS at a child's apex the parent.
    pub zone: &'z Zone,
    /// What was found in it.
    pub found: Found<'z>,
}

/// What a look-up found.
#[derive(Clone, Copy, Debug)]
pub enum Found<'z> {
    /// The name itself, or the wildcard that covers it.
    Name(Node<'z>),
    /// The name is at or below this zone cut.
    Cut(Node<'z>),
    /// The zone has no such name.
    Nothing,
}

impl Zones {
    /// Sends for the slot that `name` would have.
    pub fn anticipate(&self, name: &FoldedName) {
        self.index.anticipate(name.hash(0));
    }

    /// Sends for the entry of `name`, if it seems to have one.
    pub fn anticipate_entry(&self, name: &FoldedName) -> Option<Glimpse> {
        // Half of a hash is hardly ever that of another name.
        let at = self.index.find(name.hash(0), |_| true)?;
        // A name of usual length and one record take two lines.
        prefetch(&self.entries, at as usize);
        prefetch(&self.entries, at as usize + CACHE_LINE);
        Some(Glimpse(at))
    }

    /// What decides the addresses of the name that was glimpsed, where that is all there is to it.
    pub fn glimpsed_steer(&self, Glimpse(at): Glimpse) -> Option<SteerId> {
        match Entry::at(&self.entries, at).aside() {
            Aside::Steer(steer) => Some(steer),
            Aside::Nothing | Aside::Links(_) => None,
        }
    }

    /// Looks `name` up, for a question of type `qtype`. `None` when no zone of ours holds it.
    pub fn find(&self, name: &FoldedName, qtype: Rtype) -> Option<Hit<'_>> {
        let (skip, encloser) = (0..=name.labels()).find_map(|skip| Some((skip, self.probe(name.hash(skip), name.suffix(skip))?)))?;
        let exact = skip == 0;
        let encloser = match encloser.parent_side() {
            // RFC 4035 section 3.1.4.1: the DS RRset lives on the parent's side of a zone cut.
            Some(parent_side) if exact && qtype == Rtype::DS => parent_side,
            _ => encloser,
        };
        Some(Hit { zone: encloser.zone(), found: decide(encloser, exact, qtype) })
    }
}

fn decide(encloser: Node<'_>, exact: bool, qtype: Rtype) -> Found<'_> {
    match encloser.cut() {
        Some(cut) if exact && cut.is(encloser) && qtype == Rtype::DS => Found::Name(encloser),
        Some(cut) => Found::Cut(cut),
        None if exact => Found::Name(encloser),
        None => encloser.wildcard().map_or(Found::Nothing, Found::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::dns::Name;
    use crate::zone::{Place, RdataError, ZoneSource, parse_rdata, soa_rdata};
    use std::sync::Arc;

    fn name(text: &str) -> Name {
        Name::parse(text, &Name::root()).expect("a name")
    }

    /// A zone with a record of the type at each name.
    fn zone(apex: &str, records: &[(&str, Rtype)]) -> ZoneSource {
        let (source, place) = (Arc::new(Source { name: "test".to_owned(), text: String::new() }), Place::from(0..0));
        let mut zone = ZoneSource::new(&source, name(apex), place, 0);
        zone.set_soa(300, place, &soa_rdata(&name("ns."), &name("mail."), [1, 2, 3, 4, 30]));
        for (owner, rtype) in records {
            let data = match *rtype {
                Rtype::NS => "ns.elsewhere.",
                Rtype::A => "192.0.2.1",
                Rtype::MX => "1 mail.",
                Rtype::SRV => "1 2 3 srv.",
                _ => "text",
            };
            let owner = zone.intern(name(owner).wire());
            let added: Result<(), RdataError> = zone.record(owner, *rtype, 60, place, |out| parse_rdata(*rtype, data, &Name::root(), out));
            added.expect("sound data");
        }
        zone
    }

    /// What a look-up finds, in a word, and the zone it is found in.
    fn find(zones: &Zones, qname: &str, qtype: Rtype) -> String {
        let mut folded = FoldedName::new();
        folded.read(name(qname).wire()).expect("a name");
        match zones.find(&folded, qtype) {
            None => "not ours".to_owned(),
            Some(hit) => {
                let what = match hit.found {
                    Found::Name(node) if node.has_data() => "data",
                    Found::Name(_) => "empty",
                    Found::Cut(_) => "cut",
                    Found::Nothing => "nothing",
                };
                format!("{what} in {}", hit.zone.apex)
            }
        }
    }

    /// The zone of RFC 4592 section 2.2.1.
    fn rfc4592() -> Zones {
        Zones::build(vec![zone(
            "example.",
            &[
                ("*.example.", Rtype::TXT),
                ("*.example.", Rtype::MX),
                ("sub.*.example.", Rtype::TXT),
                ("host1.example.", Rtype::A),
                ("_ssh._tcp.host1.example.", Rtype::SRV),
                ("_ssh._tcp.host2.example.", Rtype::SRV),
                ("subdel.example.", Rtype::NS),
            ],
        )])
    }

    #[test]
    fn rfc_4592_section_2_2_1_names_are_covered_by_the_wildcard_or_not() {
        let zones = rfc4592();
        for (qname, found) in [
            ("host3.example.", "data"),
            ("foo.bar.example.", "data"),
            ("host1.example.", "data"),
            ("sub.*.example.", "data"),
            ("_telnet._tcp.host1.example.", "nothing"),
            ("host.subdel.example.", "cut"),
            ("ghost.*.example.", "nothing"),
            ("*.example.", "data"),
        ] {
            assert_eq!(find(&zones, qname, Rtype::MX), format!("{found} in example."), "{qname}");
        }
    }

    #[test]
    fn an_empty_non_terminal_exists_and_stops_the_wildcard() {
        let zones = rfc4592();
        assert_eq!(find(&zones, "_tcp.host2.example.", Rtype::TXT), "empty in example.");
        assert_eq!(find(&zones, "host2.example.", Rtype::TXT), "empty in example.");
        assert_eq!(find(&zones, "x.host2.example.", Rtype::TXT), "nothing in example.");
    }

    #[test]
    fn zones_end_at_label_boundaries_and_case_is_ignored() {
        let zones = rfc4592();
        assert_eq!(find(&zones, "badexample.", Rtype::A), "not ours");
        assert_eq!(find(&zones, ".", Rtype::A), "not ours");
        assert_eq!(find(&zones, "HOST1.eXample.", Rtype::A), "data in example.");
    }

    #[test]
    fn the_deepest_zone_wins_and_only_ds_is_answered_by_the_parent() {
        let child = zone("child.example.", &[("www.child.example.", Rtype::A)]);
        let above = [("child.example.", Rtype::NS), ("*.example.", Rtype::TXT), ("glue.child.example.", Rtype::A)];
        // The child first: the order of files must not matter.
        let zones = Zones::build(vec![child, zone("example.", &above)]);
        assert_eq!(find(&zones, "www.child.example.", Rtype::A), "data in child.example.");
        assert_eq!(find(&zones, "child.example.", Rtype::NS), "data in child.example.");
        assert_eq!(find(&zones, "child.example.", Rtype::DS), "data in example.");
        assert_eq!(find(&zones, "glue.child.example.", Rtype::A), "nothing in child.example.");
        assert_eq!(find(&zones, "other.example.", Rtype::TXT), "data in example.");
    }

    #[test]
    fn the_root_can_be_served_and_no_zone_at_all_holds_nothing() {
        let zones = Zones::build(vec![zone(".", &[("www.example.", Rtype::A)])]);
        assert_eq!(find(&zones, "www.example.", Rtype::A), "data in .");
        assert_eq!(find(&zones, "example.", Rtype::A), "empty in .");
        assert_eq!(find(&zones, "org.", Rtype::A), "nothing in .");
        assert_eq!(find(&Zones::default(), "www.example.", Rtype::A), "not ours");
    }
}
