//! Places as rules name them.

use crate::prefix::Prefix;

/// An upper-case ISO code of two letters: a country (ISO 3166-1) or a continent (AF AN AS EU NA OC SA).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Code(pub [u8; 2]);

/// A set of client places: everything that any of the lists holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Places {
    /// Continents.
    pub continents: Vec<Code>,
    /// Countries.
    pub countries: Vec<Code>,
    /// First-level subdivisions: country and the part of the ISO 3166-2 code behind the hyphen (`US`, `CA`).
    pub subdivisions: Vec<(Code, Box<str>)>,
    /// Autonomous systems.
    pub asns: Vec<u32>,
    /// Prefixes of either family.
    pub cidrs: Vec<Prefix>,
}

/// A condition: the client must be in every one of these sets. An empty list holds for everybody.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Match(pub Vec<Places>);
