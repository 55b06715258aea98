//! From a name to what we know of it: RFC 1034 section 4.3.2 with the wildcards of RFC 4592.

use super::table::{Node, Zone, Zones};
use crate::dns::{FoldedName, Rtype};

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
    use crate::dns::{Field, Name};
    use crate::ids::ZoneId;
    use crate::zone::{SoaTimes, ZonesBuilder, soa_rdata};

    fn name(text: &str) -> Name {
        Name::parse(text, &Name::root()).expect("a name")
    }

    fn zone(builder: &mut ZonesBuilder, apex: &str) -> ZoneId {
        let soa = soa_rdata(name("ns."), name("mail."), [1, 2, 3, 4, 5]);
        builder.zone(name(apex), soa, SoaTimes { ttl_s: 300, minimum_s: 30 })
    }

    fn text(builder: &mut ZonesBuilder, zone: ZoneId, owner: &str, rtype: Rtype) {
        let data = if rtype == Rtype::NS { Field::Name(name("ns.elsewhere.")) } else { Field::Bytes(b"\x01x".to_vec()) };
        builder.rrset(zone, &name(owner), rtype, 60, vec![vec![data]]);
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
        let mut builder = ZonesBuilder::new();
        let id = zone(&mut builder, "example.");
        for (owner, rtype) in [
            ("*.example.", Rtype::TXT),
            ("*.example.", Rtype::MX),
            ("sub.*.example.", Rtype::TXT),
            ("host1.example.", Rtype::A),
            ("_ssh._tcp.host1.example.", Rtype::SRV),
            ("_ssh._tcp.host2.example.", Rtype::SRV),
            ("subdel.example.", Rtype::NS),
        ] {
            text(&mut builder, id, owner, rtype);
        }
        builder.finish()
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
        let mut builder = ZonesBuilder::new();
        // The child first: the order of files must not matter.
        let child = zone(&mut builder, "child.example.");
        let parent = zone(&mut builder, "example.");
        text(&mut builder, parent, "child.example.", Rtype::NS);
        text(&mut builder, parent, "*.example.", Rtype::TXT);
        text(&mut builder, parent, "glue.child.example.", Rtype::A);
        text(&mut builder, child, "www.child.example.", Rtype::A);
        let zones = builder.finish();
        assert_eq!(find(&zones, "www.child.example.", Rtype::A), "data in child.example.");
        assert_eq!(find(&zones, "child.example.", Rtype::NS), "data in child.example.");
        assert_eq!(find(&zones, "child.example.", Rtype::DS), "data in example.");
        assert_eq!(find(&zones, "glue.child.example.", Rtype::A), "nothing in child.example.");
        assert_eq!(find(&zones, "other.example.", Rtype::TXT), "data in example.");
    }

    #[test]
    fn the_root_can_be_served_and_no_zone_at_all_holds_nothing() {
        let mut builder = ZonesBuilder::new();
        let root = zone(&mut builder, ".");
        text(&mut builder, root, "www.example.", Rtype::A);
        let zones = builder.finish();
        assert_eq!(find(&zones, "www.example.", Rtype::A), "data in .");
        assert_eq!(find(&zones, "example.", Rtype::A), "empty in .");
        assert_eq!(find(&zones, "org.", Rtype::A), "nothing in .");
        assert_eq!(find(&Zones::default(), "www.example.", Rtype::A), "not ours");
    }
}
