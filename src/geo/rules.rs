//! Rules, turned from "which clients does this hold for" into "which outcomes does this client have".
//!
//! Millions of ranges meet hundreds of rules, so nothing is asked twice. Every distinct set of places that the rules
//! name gets a number; what is known of an address (its land, its autonomous system, the CIDRs around it) becomes the
//! list of sets that it is in; and rules are tried once per distinct combination of three such lists.

use super::atlas::{Atlas, Land};
use super::intern::Interner;
use super::place::{Match, Places};
use super::ranges::{Address, NOTHING, Ranges};
use crate::prefix::Prefix;
use std::collections::{BTreeSet, HashMap};

/// One rule of a location-dependent list.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rule {
    /// Which clients it holds for.
    pub when: Match,
    /// Its outcome: an index into the children of the policy that owns the list.
    pub child: u16,
}

/// The sets of places that a client is in: ascending numbers of distinct [`Places`].
type Membership = Vec<u32>;

/// Rules on their way to a table.
pub(super) struct Compiler {
    /// The rules in order: which sets a client must be in, and the outcome.
    rules: Vec<(Membership, u16)>,
    /// The outcome that every list ends with.
    default: u16,
    /// Memberships by number; [`NOTHING`] is to be in no set.
    memberships: Vec<Membership>,
    /// The membership that comes of being in a land, by the land's number.
    of_land: Vec<u32>,
    /// The membership that comes of being in an autonomous system, for those that the rules name.
    of_asn: HashMap<u32, u32>,
    /// The memberships that come of being in CIDRs, each nested prefix with all that is around it: a prefix is
    /// followed by those inside.
    of_cidr: Vec<(Prefix, u32)>,
    /// Which combinations of memberships have which outcomes.
    known: HashMap<[u32; 3], u32>,
    outcomes: Interner<Box<[u16]>>,
}

impl Compiler {
    /// Finds out which sets the rules name, and which of them each land, autonomous system and CIDR is in.
    pub(super) fn new(rules: &[Rule], default: u16, atlas: &Atlas) -> Compiler {
        let mut numbers = Interner::new();
        let rules = rules.iter().map(|rule| (rule.when.0.iter().map(|set| numbers.number(set)).collect(), rule.child)).collect();
        let sets: Vec<&Places> = numbers.into_values();
        let mut memberships = Interner::starting_with(Membership::new());
        let of_land = atlas.land.as_ref().map(|land| land_memberships(&sets, land, &mut memberships)).unwrap_or_default();
        let of_asn = asn_memberships(&sets, &mut memberships);
        let of_cidr = cidr_memberships(&sets, &mut memberships);
        let memberships = memberships.into_values();
        Compiler { rules, default, memberships, of_land, of_asn, of_cidr, known: HashMap::new(), outcomes: Interner::new() }
    }

    /// One family of the table: a number of an outcome list for every address.
    ///
    /// `land` and `asns` are the atlas's layers of this family.
    pub(super) fn compile<A: Address>(&mut self, land: Option<&Ranges<A>>, asns: Option<&Ranges<A>>) -> Ranges<A> {
        let blank = Ranges::uniform(NOTHING);
        // A layer that no rule asks for is left out, which saves visiting its ranges.
        let land = land.filter(|_| self.of_land.iter().any(|membership| *membership != NOTHING)).unwrap_or(&blank);
        let asns = asns.filter(|_| !self.of_asn.is_empty()).unwrap_or(&blank);
        let cidrs = self.cidr_ranges::<A>();
        let mut outcomes = Ranges::uniform(NOTHING);
        for (start, [land, asn, cidr]) in Ranges::overlay([land, asns, &cidrs]) {
            let memberships = [self.land_membership(land), self.asn_membership(asn), cidr];
            outcomes.continue_with(start, self.outcome(memberships));
        }
        outcomes.shrink();
        outcomes
    }

    /// The outcome lists, each at the index that is its number.
    pub(super) fn into_outcomes(self) -> Vec<Box<[u16]>> {
        self.outcomes.into_values()
    }

    fn land_membership(&self, land: u32) -> u32 {
        self.of_land.get(land as usize).copied().unwrap_or(NOTHING)
    }

    fn asn_membership(&self, asn: u32) -> u32 {
        self.of_asn.get(&asn).copied().unwrap_or(NOTHING)
    }

    fn outcome(&mut self, memberships: [u32; 3]) -> u32 {
        if let Some(outcome) = self.known.get(&memberships) {
            return *outcome;
        }
        let children = self.children(memberships);
        let outcome = self.outcomes.number(children);
        self.known.insert(memberships, outcome);
        outcome
    }

    /// The children of the rules that hold for a client with these memberships, in order, without repetition.
    fn children(&self, memberships: [u32; 3]) -> Box<[u16]> {
        let inside: BTreeSet<u32> = memberships.iter().flat_map(|number| &self.memberships[*number as usize]).copied().collect();
        let holding = self.rules.iter().filter(|(needed, _)| needed.iter().all(|set| inside.contains(set)));
        let mut children: Vec<u16> = Vec::new();
        for child in holding.map(|(_, child)| *child).chain([self.default]) {
            if !children.contains(&child) {
                children.push(child);
            }
        }
        children.into()
    }

    /// The membership that every address of a family has for the CIDRs around it.
    fn cidr_ranges<A: Address>(&self) -> Ranges<A> {
        let mut ranges = Ranges::uniform(NOTHING);
        // The prefixes around the current address, outermost first: the last address and the membership of each.
        let mut around: Vec<(A, u32)> = Vec::new();
        for (prefix, membership) in self.of_cidr.iter().filter(|(prefix, _)| prefix.family() == A::FAMILY) {
            let (first, last) = prefix.range();
            leave(&mut ranges, &mut around, Some(A::from_number(first)));
            ranges.continue_with(A::from_number(first), *membership);
            around.push((A::from_number(last), *membership));
        }
        leave(&mut ranges, &mut around, None);
        ranges
    }
}

/// Closes the prefixes of `around` that end before `next`, or all of them; behind each the one around it goes on.
fn leave<A: Address>(ranges: &mut Ranges<A>, around: &mut Vec<(A, u32)>, next: Option<A>) {
    while let Some((last, _)) = around.pop_if(|(last, _)| next.is_none_or(|next| *last < next)) {
        let outer = around.last().map_or(NOTHING, |(_, membership)| *membership);
        if let Some(after) = last.next() {
            ranges.continue_with(after, outer);
        }
    }
}

fn land_memberships(sets: &[&Places], land: &Land, memberships: &mut Interner<Membership>) -> Vec<u32> {
    land.places.iter().map(|place| memberships.number(sets_where(sets, |set| set.names_land_of(place)))).collect()
}

fn asn_memberships(sets: &[&Places], memberships: &mut Interner<Membership>) -> HashMap<u32, u32> {
    let named: BTreeSet<u32> = sets.iter().flat_map(|set| &set.asns).copied().filter(|asn| *asn != NOTHING).collect();
    named.into_iter().map(|asn| (asn, memberships.number(sets_where(sets, |set| set.asns.contains(&asn))))).collect()
}

fn cidr_memberships(sets: &[&Places], memberships: &mut Interner<Membership>) -> Vec<(Prefix, u32)> {
    let mut named: Vec<(Prefix, u32)> =
        numbered(sets).flat_map(|(number, set)| set.cidrs.iter().map(move |cidr| (*cidr, number))).collect();
    // Prefixes sort by address, then by length: one is followed by those inside it.
    named.sort_unstable();
    named.dedup();
    let mut around: Vec<(Prefix, BTreeSet<u32>)> = Vec::new();
    let mut result = Vec::new();
    for group in named.chunk_by(|(one, _), (other, _)| one == other) {
        let prefix = group[0].0;
        while around.pop_if(|(outer, _)| !outer.contains(prefix.addr())).is_some() {}
        let mut inside = around.last().map(|(_, inside)| inside.clone()).unwrap_or_default();
        inside.extend(group.iter().map(|(_, number)| *number));
        result.push((prefix, memberships.number(inside.iter().copied().collect())));
        around.push((prefix, inside));
    }
    result
}

fn sets_where(sets: &[&Places], holds: impl Fn(&Places) -> bool) -> Membership {
    numbered(sets).filter(|(_, set)| holds(set)).map(|(number, _)| number).collect()
}

fn numbered<'s, 'a>(sets: &'s [&'a Places]) -> impl Iterator<Item = (u32, &'a Places)> + use<'s, 'a> {
    (0..).zip(sets.iter().copied())
}
