//! Places: as databases know them, and as rules name them.

use super::Code;
use crate::prefix::Prefix;
use std::fmt;
use std::net::IpAddr;

/// What the databases say of an address; whatever they do not say is `None`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Place {
    /// The continent.
    pub continent: Option<Code>,
    /// The country in which the client stands, not the one where the address is registered.
    pub country: Option<Code>,
    /// The first-level subdivision: the part of its ISO 3166-2 code behind the hyphen, upper-case (`BY` of `DE-BY`).
    pub subdivision: Option<Box<str>>,
    /// The autonomous system; never 0 (RFC 7607).
    pub asn: Option<u32>,
}

impl fmt::Display for Place {
    /// From wide to narrow, as in `EU, DE, DE-BY, AS64496`; `unknown` when nothing is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subdivision = self.country.zip(self.subdivision.as_deref());
        let known = [
            self.continent.map(|code| code.to_string()),
            self.country.map(|code| code.to_string()),
            subdivision.map(|(country, part)| format!("{country}-{part}")),
            self.asn.map(|asn| format!("AS{asn}")),
        ];
        let known: Vec<String> = known.into_iter().flatten().collect();
        f.write_str(if known.is_empty() { "unknown" } else { "" })?;
        f.write_str(&known.join(", "))
    }
}

/// A set of client places: everything that any of the lists holds. Nobody is in a set without entries.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Places {
    /// Continents.
    pub continents: Vec<Code>,
    /// Countries.
    pub countries: Vec<Code>,
    /// First-level subdivisions: country and the part of the ISO 3166-2 code behind the hyphen, upper-case (`US`, `CA`).
    pub subdivisions: Vec<(Code, Box<str>)>,
    /// Autonomous systems.
    pub asns: Vec<u32>,
    /// Prefixes of either family.
    pub cidrs: Vec<Prefix>,
}

impl Places {
    /// Whether a client at `addr`, of which the databases say `place`, is in the set.
    pub fn holds(&self, addr: IpAddr, place: &Place) -> bool {
        self.names_land_of(place) || self.names_asn_of(place) || self.cidrs.iter().any(|cidr| cidr.contains(addr))
    }

    /// Whether the set names the continent, country or subdivision of `place`.
    pub(super) fn names_land_of(&self, place: &Place) -> bool {
        place.continent.is_some_and(|code| self.continents.contains(&code))
            || place.country.is_some_and(|code| self.countries.contains(&code))
            || self.names_subdivision_of(place)
    }

    fn names_subdivision_of(&self, place: &Place) -> bool {
        let Some((country, part)) = place.country.zip(place.subdivision.as_ref()) else { return false };
        self.subdivisions.iter().any(|(its_country, its_part)| *its_country == country && its_part == part)
    }

    fn names_asn_of(&self, place: &Place) -> bool {
        place.asn.is_some_and(|asn| self.asns.contains(&asn))
    }
}

/// A condition: the client must be in every one of these sets. An empty list holds for everybody.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Match(pub Vec<Places>);

impl Match {
    /// Whether the condition holds for a client at `addr`, of which the databases say `place`.
    ///
    /// This is the meaning of a rule, one client at a time; [`super::GeoTable`] is the same for all clients at once.
    pub fn holds(&self, addr: IpAddr, place: &Place) -> bool {
        self.0.iter().all(|places| places.holds(addr, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn munich() -> Place {
        Place { continent: Code::parse("EU"), country: Code::parse("DE"), subdivision: Some("BY".into()), asn: Some(64_496) }
    }

    fn addr() -> IpAddr {
        IpAddr::from([192, 0, 2, 1])
    }

    #[test]
    fn a_place_reads_from_wide_to_narrow() {
        assert_eq!(munich().to_string(), "EU, DE, DE-BY, AS64496");
        assert_eq!(Place { asn: Some(1), ..Place::default() }.to_string(), "AS1");
        assert_eq!(Place::default().to_string(), "unknown");
    }

    #[test]
    fn a_set_holds_a_client_that_any_of_its_lists_names() {
        let sets = [
            Places { continents: vec![Code(*b"EU")], ..Places::default() },
            Places { countries: vec![Code(*b"FR"), Code(*b"DE")], ..Places::default() },
            Places { subdivisions: vec![(Code(*b"DE"), "BY".into())], ..Places::default() },
            Places { asns: vec![64_496], ..Places::default() },
            Places { cidrs: vec![Prefix::new(addr(), 24)], ..Places::default() },
        ];
        for set in sets {
            assert!(set.holds(addr(), &munich()), "{set:?}");
            let elsewhere = IpAddr::from([198, 51, 100, 1]);
            assert!(!set.holds(elsewhere, &Place::default()), "{set:?}");
        }
        assert!(!Places::default().holds(addr(), &munich()));
    }

    #[test]
    fn a_subdivision_is_not_mistaken_for_that_of_another_country() {
        let set = Places { subdivisions: vec![(Code(*b"AT"), "BY".into())], ..Places::default() };
        assert!(!set.holds(addr(), &munich()));
    }

    #[test]
    fn a_match_needs_every_set_and_an_empty_one_holds_for_everybody() {
        let europe = Places { continents: vec![Code(*b"EU")], ..Places::default() };
        let office = Places { cidrs: vec![Prefix::host(addr())], ..Places::default() };
        let both = Match(vec![europe, office]);
        assert!(both.holds(addr(), &munich()));
        assert!(!both.holds(addr(), &Place::default()));
        assert!(Match::default().holds(addr(), &Place::default()));
    }
}
