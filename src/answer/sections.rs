//! Answer, authority and additional: RFC 1034 section 4.3.2 over all our zones, CNAME chains included.

use super::scratch::Draw;
use super::{Client, Outcome, Verdict, steer};
use crate::dns::{Anchor, Anchors, FoldedName, Full, HEADER_LEN, Query, Rcode, Records, ResponseWriter, Rtype, Section};
use crate::live::Live;
use crate::policy::Trace;
use crate::prefix::Family;
use crate::zone::{Found, Node, RrsetView, Zone};

/// CNAMEs followed in one answer. Chains of more than two are a mistake already; eight leaves room and bounds the work.
const CHAIN_MAX: usize = 8;

/// The answer to ANY (RFC 8482 section 4.2): a HINFO that says why there is no more.
const ANY_HINFO: &[u8] = b"\x07RFC8482\x00";
/// Long, since it never changes.
const ANY_TTL_S: u32 = 3600;

/// An answer under way.
pub(super) struct Answer<'a, 'o, T> {
    pub live: &'a Live,
    pub client: &'a Client,
    pub query: &'a Query,
    /// The name under look-up: the question's, then each CNAME's target.
    pub name: &'a mut FoldedName,
    pub draw: &'a mut Draw,
    pub response: &'a mut ResponseWriter<'o>,
    pub trace: &'a mut T,
}

/// Where the name under look-up stands in the message: in the question, or in a CNAME's data.
#[derive(Clone, Copy)]
struct Place {
    /// Its first octet.
    start: usize,
    /// From this octet of the name on it is not here but where `tail` says: a pointer stands there.
    here: usize,
    tail: usize,
}

impl Place {
    const QUESTION: Place = Place { start: HEADER_LEN, here: usize::MAX, tail: 0 };

    /// Where the part of the name that begins at its octet `offset` starts in the message.
    fn of(self, offset: usize) -> u16 {
        let at = if offset < self.here { self.start + offset } else { self.tail + (offset - self.here) };
        // The chain's bound keeps every name of it in the first few KiB.
        u16::try_from(at).unwrap_or(0x3fff).min(0x3fff)
    }
}

/// Answers a look-up of `name`, which ends as another one behind a CNAME.
pub(super) fn answer<T: Trace>(
    live: &Live,
    client: &Client,
    query: &Query,
    name: &mut FoldedName,
    draw: &mut Draw,
    response: &mut ResponseWriter<'_>,
    trace: &mut T,
) -> Verdict {
    let mut answer = Answer { live, client, query, name, draw, response, trace };
    match answer.follow() {
        Ok(verdict) => verdict,
        Err((Full, outcome)) => {
            answer.response.truncate();
            (Rcode::NoError, outcome)
        }
    }
}

/// A message that is full keeps the outcome that it would have had.
type Step<V> = Result<V, (Full, Outcome)>;

impl<T: Trace> Answer<'_, '_, T> {
    fn follow(&mut self) -> Step<Verdict> {
        let live = self.live;
        let mut place = Place::QUESTION;
        for link in 0..=CHAIN_MAX {
            let Some(hit) = live.snapshot.zones.find(self.name, self.query.qtype) else {
                return Ok(self.leaves_our_zones());
            };
            let owner = place.of(0);
            let apex = place.of(self.name.offset(self.name.labels() - hit.zone.labels));
            let anchors = Anchors { owner, apex };
            let node = match hit.found {
                Found::Name(node) => node,
                Found::Nothing => return self.denial(hit.zone, anchors, hit.zone.negative_ttl_s, (Rcode::NxDomain, Outcome::NameError)),
                Found::Cut(cut) => return self.referral(cut, apex),
            };
            self.response.authoritative();
            let Some(alias) = self.alias(node) else { return self.terminal(node, hit.zone, anchors) };
            if link == CHAIN_MAX {
                break;
            }
            place = self.alias_step(alias, anchors)?;
        }
        // Too long or a loop: what there is of the chain is the answer, as resolvers will find out themselves.
        Ok((Rcode::NoError, Outcome::Static))
    }

    /// The CNAME to follow, unless it is what was asked for (RFC 1034 section 3.6.2).
    fn alias<'z>(&self, node: Node<'z>) -> Option<RrsetView<'z>> {
        if matches!(self.query.qtype, Rtype::CNAME | Rtype::ANY) { None } else { node.alias() }
    }

    /// Writes a CNAME and turns to its target.
    fn alias_step(&mut self, alias: RrsetView<'_>, anchors: Anchors) -> Step<Place> {
        // Behind the owner's pointer come type, class, TTL and length.
        const DATA_AT: usize = 12;
        let start = self.response.position() + DATA_AT;
        let records = alias.records();
        self.response.records(Section::Answer, records, anchors).map_err(|full| (full, Outcome::Static))?;
        self.name.set(alias.target());
        let apex_gap = records.patches.iter().find(|patch| patch.to == Anchor::Apex);
        let here = apex_gap.map_or(usize::MAX, |patch| patch.at as usize - DATA_AT);
        Ok(Place { start, here, tail: usize::from(anchors.apex) })
    }

    /// The end of a chain: data, members, or the lack of both.
    fn terminal(&mut self, node: Node<'_>, zone: &Zone, anchors: Anchors) -> Step<Verdict> {
        let steered = node.steer().and_then(|steer| Some((steer, family(self.query.qtype)?)));
        if let Some((steer, family)) = steered {
            return self.steer(steer, family, zone, anchors);
        }
        if self.query.qtype == Rtype::ANY && node.has_data() {
            return self.minimal_any(anchors);
        }
        match node.rrset(self.query.qtype) {
            Some(rrset) => self.data(rrset, anchors),
            None => self.denial(zone, anchors, zone.negative_ttl_s, (Rcode::NoError, Outcome::NoData)),
        }
    }

    fn data(&mut self, rrset: RrsetView<'_>, anchors: Anchors) -> Step<Verdict> {
        self.response.records(Section::Answer, rrset.records(), anchors).map_err(|full| (full, Outcome::Static))?;
        for glue in rrset.glue() {
            // RFC 2181 section 9: additional data that does not fit is left out, without TC.
            let _ = self.response.records(Section::Additional, glue, anchors);
        }
        Ok((Rcode::NoError, Outcome::Static))
    }

    fn minimal_any(&mut self, anchors: Anchors) -> Step<Verdict> {
        let written = self.response.record(anchors.owner, Rtype::HINFO, ANY_TTL_S, ANY_HINFO);
        written.map_err(|full| (full, Outcome::Static))?;
        Ok((Rcode::NoError, Outcome::Static))
    }

    /// NXDOMAIN or NODATA: the SOA says how long to believe it (RFC 2308 section 3).
    fn denial(&mut self, zone: &Zone, anchors: Anchors, ttl_s: u32, verdict: Verdict) -> Step<Verdict> {
        self.response.authoritative();
        let soa = self.live.snapshot.zones.denial(zone);
        let anchors = Anchors { owner: anchors.apex, apex: anchors.apex };
        self.response.record_with_ttl(Section::Authority, soa, anchors, ttl_s).map_err(|full| (full, verdict.1))?;
        Ok(verdict)
    }

    fn referral(&mut self, cut: Node<'_>, apex: u16) -> Step<Verdict> {
        // A chain that leads into a delegated zone ends there: the resolver asks for the target itself.
        if self.response.has_answers() {
            return Ok((Rcode::NoError, Outcome::Static));
        }
        let name = &*self.name;
        let owner = Place::QUESTION.of(name.offset(name.labels() - cut.labels()));
        let Some(ns) = cut.rrset(Rtype::NS) else { return Ok((Rcode::ServFail, Outcome::Refused)) };
        self.referral_records(ns.records(), ns.glue(), Anchors { owner, apex }).map_err(|full| (full, Outcome::Referral))?;
        Ok((Rcode::NoError, Outcome::Referral))
    }

    /// RFC 9471 section 3.1: glue that a resolver cannot do without is part of the referral, or TC is set.
    fn referral_records<'z>(&mut self, ns: Records<'z>, glue: impl Iterator<Item = Records<'z>>, anchors: Anchors) -> Result<(), Full> {
        self.response.records(Section::Authority, ns, anchors)?;
        for addresses in glue {
            self.response.records(Section::Additional, addresses, anchors)?;
        }
        Ok(())
    }

    fn leaves_our_zones(&self) -> Verdict {
        if self.response.has_answers() { (Rcode::NoError, Outcome::Static) } else { (Rcode::Refused, Outcome::Refused) }
    }

    fn steer(&mut self, steer: crate::ids::SteerId, family: Family, zone: &Zone, anchors: Anchors) -> Step<Verdict> {
        let decision = steer::decide(self.live, self.client, self.query, steer, family, self.draw, self.trace);
        self.response.narrow_scope(decision.scope);
        match decision.last_resort {
            steer::Shortage::ServFail => return Ok((Rcode::ServFail, Outcome::AllDown)),
            steer::Shortage::NoData => {
                return self.denial(zone, anchors, decision.ttl_s, (Rcode::NoError, Outcome::AllDown));
            }
            steer::Shortage::NoFamily => {
                let ttl_s = decision.ttl_s.min(zone.negative_ttl_s);
                return self.denial(zone, anchors, ttl_s, (Rcode::NoError, Outcome::NoData));
            }
            steer::Shortage::None => {}
        }
        for pick in &self.draw.picks {
            self.response.address(anchors.owner, decision.ttl_s, pick.addr).map_err(|full| (full, decision.outcome))?;
        }
        Ok((Rcode::NoError, decision.outcome))
    }
}

/// The family that a type of address asks for.
pub(super) fn family(qtype: Rtype) -> Option<Family> {
    match qtype {
        Rtype::A => Some(Family::V4),
        Rtype::AAAA => Some(Family::V6),
        _ => None,
    }
}
