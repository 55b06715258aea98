//! Databases of places, walked once.

/// What the mmdb files say, as sorted ranges. Kept while configs are compiled, never read by a query.
#[derive(Clone, Debug, Default)]
pub struct Atlas {}

/// Why a database cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AtlasError {
    /// Not an mmdb file, or a broken one; what the reader says.
    Unreadable(String),
    /// A sound file of the wrong kind; holds its database type.
    WrongKind(String),
}

impl Atlas {
    /// Walks the bytes of a city or country database and of an ASN database; either may be missing.
    ///
    /// # Errors
    /// When a file is broken, or holds no such data.
    pub fn load(_city: Option<&[u8]>, _asn: Option<&[u8]>) -> Result<Atlas, AtlasError> {
        Ok(Atlas {})
    }

    /// Whether continents, countries and subdivisions are known.
    pub fn knows_places(&self) -> bool {
        false
    }

    /// Whether autonomous systems are known.
    pub fn knows_asns(&self) -> bool {
        false
    }
}
