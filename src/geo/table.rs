//! The compiled table: client prefix -> ordered outcomes.
//!
//! Rules and an atlas enter by [`GeoTable::compile`]; a query asks [`GeoTable::look_up`], which allocates nothing, needs
//! no database and always finds something. The table says what the outcomes are and how far around the client they stay
//! the same, which is the scope of an answer (RFC 7871 section 7.2.1). It does not know why an outcome was chosen.

use super::atlas::Atlas;
use super::ranges::{Address, Ranges};
use super::rules::{Compiler, Rule};
use crate::prefetch::prefetch;
use std::net::IpAddr;

/// What the table knows of one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell<'a> {
    /// The outcomes of all rules that hold, in order, without repetition; the default comes last, unless a rule named it
    /// before. Never empty.
    pub children: &'a [u16],
    /// The length in bits of the largest prefix around the address in which every client has the same outcomes: `0..=32`
    /// for an IPv4 address, `0..=128` for an IPv6 address.
    pub len: u8,
}

/// A list of rules, compiled: who is where is settled before the query comes.
#[derive(Clone, Debug)]
pub struct GeoTable {
    v4: Index<u32>,
    v6: Index<u128>,
    /// The distinct outcome lists; the numbers of the ranges are indexes of this.
    outcomes: Box<[Box<[u16]>]>,
}

impl GeoTable {
    /// Compiles `rules`, tried in order, over everything that `atlas` knows; `default` is the outcome when none holds.
    pub fn compile(rules: &[Rule], default: u16, atlas: &Atlas) -> GeoTable {
        let (land, asns) = (atlas.land.as_ref().map(|land| &land.layer), atlas.asns.as_ref());
        let mut compiler = Compiler::new(rules, default, atlas);
        let v4 = Index::new(compiler.compile(land.map(|layer| &layer.v4), asns.map(|layer| &layer.v4)));
        let v6 = Index::new(compiler.compile(land.map(|layer| &layer.v6), asns.map(|layer| &layer.v6)));
        GeoTable { v4, v6, outcomes: compiler.into_outcomes().into() }
    }

    /// The outcomes for a client at `addr`, and how far around it they stay the same.
    pub fn look_up(&self, addr: IpAddr) -> Cell<'_> {
        let (outcome, len) = match addr {
            IpAddr::V4(addr) => self.v4.look_up(addr.to_bits()),
            IpAddr::V6(addr) => self.v6.look_up(addr.to_bits()),
        };
        Cell { children: &self.outcomes[outcome as usize], len }
    }

    /// Sends for where a look-up of `addr` begins.
    pub fn anticipate(&self, addr: IpAddr) {
        match addr {
            IpAddr::V4(addr) => self.v4.anticipate(addr.to_bits()),
            IpAddr::V6(addr) => self.v6.anticipate(addr.to_bits()),
        }
    }

    /// Sends for the ranges that a look-up of `addr` will compare it with.
    pub fn anticipate_ranges(&self, addr: IpAddr) {
        match addr {
            IpAddr::V4(addr) => self.v4.anticipate_ranges(addr.to_bits()),
            IpAddr::V6(addr) => self.v6.anticipate_ranges(addr.to_bits()),
        }
    }

    /// How many ranges of addresses with different outcomes the table tells apart, both families together; at least 2.
    pub fn ranges(&self) -> usize {
        self.v4.ranges.len() + self.v6.ranges.len()
    }
}

/// The ranges of one family, with a shortcut into them by the leading bits of an address.
#[derive(Clone, Debug)]
struct Index<A> {
    ranges: Ranges<A>,
    /// How many leading bits select a slot: `0..=16`.
    bits: u32,
    /// For each slot the range that its first address is in, and at the end the last range: 2^bits + 1 entries.
    slots: Box<[u32]>,
}

/// Leading bits that select a slot, at most. 2^16 slots of 4 bytes fit in a second-level cache, and an IPv4 slot that is
/// cut into /24s leaves 8 steps of binary search.
const SLOT_BITS_MAX: u32 = 16;

impl<A: Address> Index<A> {
    fn new(ranges: Ranges<A>) -> Index<A> {
        // About as many slots as ranges: a table of ten ranges needs no quarter of a megabyte.
        let bits = ranges.len().ilog2().min(SLOT_BITS_MAX);
        let firsts = (0..=u16::MAX).step_by(1 << (SLOT_BITS_MAX - bits)).map(A::with_top);
        let slots = firsts.map(|first| ranges.find(first)).chain([ranges.len() - 1]);
        let slots = slots.map(|range| u32::try_from(range).expect("2^32 ranges do not fit in memory")).collect();
        Index { ranges, bits, slots }
    }

    fn anticipate(&self, addr: A) {
        prefetch(&self.slots, self.slot(addr));
    }

    /// Where a search in the slot begins: in its midst.
    fn anticipate_ranges(&self, addr: A) {
        let slot = self.slot(addr);
        let (from, to) = (self.slots[slot] as usize, self.slots[slot + 1] as usize);
        self.ranges.anticipate(from.midpoint(to));
    }

    fn slot(&self, addr: A) -> usize {
        usize::from(addr.top()) >> (SLOT_BITS_MAX - self.bits)
    }

    /// The number of the range of `addr`, and the length of the uniform prefix around it.
    fn look_up(&self, addr: A) -> (u32, u8) {
        let slot = self.slot(addr);
        // The range of the next slot's first address is the last one that can reach back into this slot.
        let range = self.ranges.find_among(addr, self.slots[slot] as usize..=self.slots[slot + 1] as usize);
        (self.ranges.number(range), self.ranges.uniform_bits(range, addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::atlas::Land;
    use crate::geo::ranges::Layer;
    use crate::geo::{Code, Match, Place, Places};
    use crate::prefix::{self, Family, Prefix};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index as Pick, select, subsequence};

    //--- A world painted prefix by prefix, small enough to be asked the slow way

    /// What lies where; the last stroke over an address counts.
    type Strokes = Vec<(Prefix, Place)>;

    #[derive(Clone, Debug)]
    struct World {
        strokes: Strokes,
        rules: Vec<Rule>,
    }

    /// The outcome when no rule holds; some rules name it too.
    const DEFAULT: u16 = 3;

    impl World {
        fn place_of(&self, addr: IpAddr) -> Place {
            let stroke = self.strokes.iter().rev().find(|(prefix, _)| prefix.contains(addr));
            stroke.map(|(_, place)| place.clone()).unwrap_or_default()
        }

        fn children_of(&self, addr: IpAddr) -> Vec<u16> {
            let place = self.place_of(addr);
            let mut children: Vec<u16> = Vec::new();
            for rule in &self.rules {
                if rule.when.holds(addr, &place) && !children.contains(&rule.child) {
                    children.push(rule.child);
                }
            }
            if !children.contains(&DEFAULT) {
                children.push(DEFAULT);
            }
            children
        }

        /// Every address at which anything can change, its neighbours, and the ends of the family.
        fn corners(&self, family: Family) -> Vec<IpAddr> {
            let last = Prefix::new(prefix::from_bits(family, 0), 0).range().1;
            let cidrs = self.rules.iter().flat_map(|rule| &rule.when.0).flat_map(|set| set.cidrs.iter().copied());
            let prefixes = cidrs.chain(self.strokes.iter().map(|(prefix, _)| *prefix)).filter(|prefix| prefix.family() == family);
            let mut corners = vec![0, last];
            for (first, end) in prefixes.map(Prefix::range) {
                corners.extend([first.saturating_sub(1), first, end, end.saturating_add(1).min(last)]);
            }
            corners.sort_unstable();
            corners.dedup();
            corners.into_iter().map(|bits| prefix::from_bits(family, bits)).collect()
        }

        fn atlas(&self) -> Atlas {
            let mut atlas =
                Atlas { land: Some(Land { places: vec![Place::default()], layer: Layer::default() }), asns: Some(Layer::default()) };
            for family in Family::BOTH {
                let corners = self.corners(family);
                let ends = corners.iter().skip(1).map(|next| prefix::to_bits(*next) - 1).chain([u128::MAX]);
                for (corner, end) in corners.iter().zip(ends) {
                    let range = (prefix::to_bits(*corner), end.min(prefix::to_bits(corners[corners.len() - 1])));
                    paint(&mut atlas, family, range, self.place_of(*corner));
                }
            }
            atlas
        }

        fn table(&self) -> GeoTable {
            GeoTable::compile(&self.rules, DEFAULT, &self.atlas())
        }
    }

    fn paint(atlas: &mut Atlas, family: Family, range: (u128, u128), place: Place) {
        let (Some(land), Some(asns)) = (&mut atlas.land, &mut atlas.asns) else { return };
        asns.append(family, range, place.asn.unwrap_or_default());
        let place = Place { asn: None, ..place };
        let index = land.places.iter().position(|known| *known == place).unwrap_or(land.places.len());
        if index == land.places.len() {
            land.places.push(place);
        }
        land.layer.append(family, range, u32::try_from(index).expect("few places"));
    }

    //--- Chance

    const CONTINENTS: [Code; 2] = [Code(*b"EU"), Code(*b"NA")];
    const COUNTRIES: [Code; 3] = [Code(*b"DE"), Code(*b"FR"), Code(*b"US")];
    const PARTS: [&str; 2] = ["BY", "CA"];
    const ASNS: [u32; 3] = [64_496, 64_497, 64_498];

    /// Prefixes around few addresses, so that they nest, touch, and reach the ends of the families.
    fn prefixes() -> impl Strategy<Value = Prefix> {
        let v4 = prop_oneof![Just(0), Just(u32::MAX), Just(0x0a01_0000), Just(0x0a01_8000), 0x0a01_0000..0x0a02_0000_u32, any::<u32>()];
        let v6 = prop_oneof![Just(0), Just(u128::MAX), Just(0x2001_0db8_u128 << 96), any::<u128>()];
        let v4 = (v4, 0..=32_u8).prop_map(|(bits, len)| Prefix::new(prefix::from_bits(Family::V4, bits.into()), len));
        let v6 = (v6, 0..=128_u8).prop_map(|(bits, len)| Prefix::new(prefix::from_bits(Family::V6, bits), len));
        prop_oneof![3 => v4, 2 => v6]
    }

    fn maybe<T: Clone + std::fmt::Debug + 'static>(values: &'static [T]) -> impl Strategy<Value = Option<T>> {
        proptest::option::of(select(values))
    }

    fn places() -> impl Strategy<Value = Place> {
        (maybe(&CONTINENTS), maybe(&COUNTRIES), maybe(&PARTS), maybe(&ASNS)).prop_map(|(continent, country, part, asn)| Place {
            continent,
            country,
            subdivision: part.map(Into::into),
            asn,
        })
    }

    fn sets() -> impl Strategy<Value = Places> {
        let continents = subsequence(CONTINENTS.to_vec(), 0..=1);
        let countries = subsequence(COUNTRIES.to_vec(), 0..=2);
        let parts = vec((select(&COUNTRIES[..]), select(&PARTS[..])), 0..=1);
        let asns = subsequence(ASNS.to_vec(), 0..=2);
        (continents, countries, parts, asns, vec(prefixes(), 0..=3)).prop_map(|(continents, countries, parts, asns, cidrs)| {
            let subdivisions = parts.into_iter().map(|(country, part)| (country, part.into())).collect();
            Places { continents, countries, subdivisions, asns, cidrs }
        })
    }

    fn rules() -> impl Strategy<Value = Rule> {
        (vec(sets(), 0..=2), 0..5_u16).prop_map(|(sets, child)| Rule { when: Match(sets), child })
    }

    fn worlds() -> impl Strategy<Value = World> {
        (vec((prefixes(), places()), 0..12), vec(rules(), 0..6)).prop_map(|(strokes, rules)| World { strokes, rules })
    }

    /// The half of the next wider prefix that a prefix is not.
    fn sibling(cell: Prefix) -> Prefix {
        let bit = 1 << (cell.family().bits() - cell.len());
        Prefix::new(prefix::from_bits(cell.family(), prefix::to_bits(cell.addr()) ^ bit), cell.len())
    }

    proptest! {
        #[test]
        fn a_look_up_equals_trying_every_rule_in_turn(world in worlds(), anywhere in any::<[u128; 8]>()) {
            let (atlas, table) = (world.atlas(), world.table());
            for family in Family::BOTH {
                let random = anywhere.iter().map(|bits| prefix::from_bits(family, *bits));
                for addr in world.corners(family).into_iter().chain(random) {
                    prop_assert_eq!(atlas.place_of(addr), world.place_of(addr), "{}", addr);
                    prop_assert_eq!(table.look_up(addr).children, world.children_of(addr), "{}", addr);
                }
            }
        }

        #[test]
        fn a_cell_is_uniform_and_no_wider_prefix_is(world in worlds(), pick in any::<Pick>(), anywhere in any::<[u128; 2]>()) {
            let table = world.table();
            for family in Family::BOTH {
                let corners = world.corners(family);
                for addr in [prefix::from_bits(family, anywhere[0]), *pick.get(&corners)] {
                    let cell = table.look_up(addr);
                    let area = Prefix::new(addr, cell.len);
                    let inside = |area: Prefix| {
                        let (first, last) = area.range();
                        // Everything changes at a corner, so the corners and the first address stand for all addresses.
                        let somewhere = first + anywhere[1] % (last - first).max(1);
                        let some = [first, last, somewhere].map(|bits| prefix::from_bits(family, bits));
                        corners.clone().into_iter().chain(some).filter(move |addr| area.contains(*addr))
                    };
                    prop_assert!(inside(area).all(|addr| world.children_of(addr) == cell.children), "{} is not uniform", area);
                    prop_assert!(
                        cell.len == 0 || inside(sibling(area)).any(|addr| world.children_of(addr) != cell.children),
                        "{} is not the largest", area
                    );
                }
            }
        }
    }

    //--- By hand

    fn cidr(text: &str, child: u16) -> Rule {
        let cidrs = vec![text.parse().expect("a prefix")];
        Rule { when: Match(vec![Places { cidrs, ..Places::default() }]), child }
    }

    fn look_up<'a>(table: &'a GeoTable, addr: &str) -> (&'a [u16], u8) {
        let cell = table.look_up(addr.parse().expect("an address"));
        (cell.children, cell.len)
    }

    #[test]
    fn without_rules_and_atlas_everybody_has_the_default_at_scope_0() {
        let table = GeoTable::compile(&[], 7, &Atlas::default());
        for addr in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert_eq!(look_up(&table, addr), (&[7][..], 0), "{addr}");
        }
        assert_eq!(table.ranges(), 2);
    }

    #[test]
    fn a_hole_narrows_the_cells_near_it_and_only_those() {
        let table = GeoTable::compile(&[cidr("10.1.2.0/24", 1), cidr("10.0.0.0/8", 2)], 0, &Atlas::default());
        assert_eq!(look_up(&table, "10.1.2.3"), (&[1, 2, 0][..], 24));
        assert_eq!(look_up(&table, "10.1.3.3"), (&[2, 0][..], 24));
        assert_eq!(look_up(&table, "10.1.0.1"), (&[2, 0][..], 23));
        assert_eq!(look_up(&table, "10.128.0.1"), (&[2, 0][..], 9));
        assert_eq!(look_up(&table, "11.0.0.1"), (&[0][..], 8));
        assert_eq!(look_up(&table, "128.0.0.1"), (&[0][..], 1));
        assert_eq!(look_up(&table, "2001:db8::1"), (&[0][..], 0));
    }

    #[test]
    fn the_first_and_the_last_address_of_a_family_can_stand_alone() {
        let rules = [cidr("0.0.0.0/32", 1), cidr("255.255.255.255/32", 2), cidr("::/128", 3), cidr("ffff::/16", 4)];
        let table = GeoTable::compile(&rules, 0, &Atlas::default());
        assert_eq!(look_up(&table, "0.0.0.0"), (&[1, 0][..], 32));
        assert_eq!(look_up(&table, "0.0.0.1"), (&[0][..], 32));
        assert_eq!(look_up(&table, "255.255.255.255"), (&[2, 0][..], 32));
        assert_eq!(look_up(&table, "::"), (&[3, 0][..], 128));
        assert_eq!(look_up(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), (&[4, 0][..], 16));
        assert_eq!(look_up(&table, "fffe::"), (&[0][..], 16));
    }

    #[test]
    fn a_default_that_a_rule_names_keeps_its_place_and_is_not_repeated() {
        let table = GeoTable::compile(&[cidr("10.0.0.0/8", 0), cidr("10.0.0.0/9", 1), cidr("10.0.0.0/8", 1)], 0, &Atlas::default());
        assert_eq!(look_up(&table, "10.0.0.1").0, [0, 1]);
        assert_eq!(look_up(&table, "192.0.2.1").0, [0]);
    }

    #[test]
    fn neighbours_with_equal_outcomes_are_one_range() {
        let halves = [cidr("10.0.0.0/9", 1), cidr("10.128.0.0/9", 1)];
        let table = GeoTable::compile(&halves, 0, &Atlas::default());
        assert_eq!(look_up(&table, "10.0.0.1"), (&[1, 0][..], 8));
        assert_eq!(table.ranges(), 3 + 1);
    }

    #[test]
    fn many_ranges_are_found_through_all_the_slots() {
        // One /20 in four: 2^19 ranges, so all 16 bits of the index are in use and every slot holds several.
        let cidrs = (0..1 << 18).map(|block: u32| Prefix::new(IpAddr::from((block << 14).to_be_bytes()), 20)).collect();
        let rule = Rule { when: Match(vec![Places { cidrs, ..Places::default() }]), child: 1 };
        let table = GeoTable::compile(&[rule], 0, &Atlas::default());
        assert_eq!(table.ranges(), (1 << 19) + 1);
        for addr in (0..=u32::MAX).step_by((1 << 12) - 1) {
            let cell = table.look_up(IpAddr::from(addr.to_be_bytes()));
            let named = addr & 0x3000 == 0;
            assert_eq!(cell.children, if named { &[1, 0][..] } else { &[0][..] }, "{addr:#x}");
            assert_eq!(cell.len, if addr & 0x2000 == 0 { 20 } else { 19 }, "{addr:#x}");
        }
    }
}
