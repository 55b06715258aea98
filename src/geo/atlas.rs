//! Databases of places, walked once.
//!
//! The bytes of mmdb files enter by [`Atlas::load`] in the layouts of GeoLite2, GeoIP2 and DB-IP: `continent.code`,
//! `country.iso_code`, `subdivisions[0].iso_code`, and `autonomous_system_number`. What leaves is a number for every
//! address of both families, and the place behind the number. A file is judged by what it holds, not by what it is
//! called, so a home-made database needs no famous name.
//!
//! Deliberately not read: cities, names, coordinates, and `registered_country`, which says where a block of addresses
//! was handed out and not where its clients stand.

use super::Code;
use super::intern::Interner;
use super::place::Place;
use super::ranges::{Layer, NOTHING};
use crate::prefix::{Family, Prefix};
use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions, path};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// What the mmdb files say, as sorted ranges. Kept while configs are compiled, never read by a query.
#[derive(Clone, Debug, Default)]
pub struct Atlas {
    /// Continents, countries, subdivisions.
    pub(super) land: Option<Land>,
    /// The number is the autonomous system; [`NOTHING`] is the reserved AS 0 (RFC 7607).
    pub(super) asns: Option<Layer>,
}

/// Which continent, country and subdivision an address is in.
#[derive(Clone, Debug)]
pub(super) struct Land {
    /// The distinct places, without `asn`; the first is the one of which nothing is known.
    pub(super) places: Vec<Place>,
    /// An index into `places` for every address.
    pub(super) layer: Layer,
}

/// Why a database cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AtlasError {
    /// Not an mmdb file, or a broken one; what the reader says.
    Unreadable(String),
    /// A sound file of the wrong kind; holds its database type.
    WrongKind(String),
}

impl fmt::Display for AtlasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AtlasError::Unreadable(why) => write!(f, "not a readable mmdb file: {why}"),
            AtlasError::WrongKind(kind) => write!(f, "a database of the wrong kind: `{kind}` holds no such data"),
        }
    }
}

impl std::error::Error for AtlasError {}

impl Atlas {
    /// Walks the bytes of a city or country database and of an ASN database; either may be missing.
    ///
    /// # Errors
    /// When a file is broken, or holds no such data. To know which of the two is at fault, load one at a time:
    /// [`Atlas::load_places`], [`Atlas::load_asns`].
    pub fn load(city: Option<&[u8]>, asn: Option<&[u8]>) -> Result<Atlas, AtlasError> {
        let mut atlas = Atlas::default();
        if let Some(bytes) = city {
            atlas.load_places(bytes)?;
        }
        if let Some(bytes) = asn {
            atlas.load_asns(bytes)?;
        }
        Ok(atlas)
    }

    /// Takes continents, countries and subdivisions from a city or country database, in place of those known before.
    ///
    /// # Errors
    /// When the file is broken, or no record of it has a continent or country. The atlas is then unchanged.
    pub fn load_places(&mut self, bytes: &[u8]) -> Result<(), AtlasError> {
        let mut places = Interner::starting_with(Place::default());
        let layer = walk(bytes, |record| Ok(places.number(read_place(record)?)))?;
        self.land = Some(Land { places: places.into_values(), layer });
        Ok(())
    }

    /// Takes autonomous systems from an ASN database, in place of those known before.
    ///
    /// # Errors
    /// When the file is broken, or no record of it has an `autonomous_system_number`. The atlas is then unchanged.
    pub fn load_asns(&mut self, bytes: &[u8]) -> Result<(), AtlasError> {
        self.asns = Some(walk(bytes, read_asn)?);
        Ok(())
    }

    /// Whether continents, countries and subdivisions are known.
    pub fn knows_places(&self) -> bool {
        self.land.is_some()
    }

    /// Whether autonomous systems are known.
    pub fn knows_asns(&self) -> bool {
        self.asns.is_some()
    }

    /// Everything that is known of `addr`; a place without content when that is nothing.
    pub fn place_of(&self, addr: IpAddr) -> Place {
        let land = self.land.as_ref().map(|land| land.places[land.layer.number(addr) as usize].clone());
        let asn = self.asns.as_ref().map(|layer| layer.number(addr)).filter(|asn| *asn != NOTHING);
        Place { asn, ..land.unwrap_or_default() }
    }
}

//--- Walking

type Record<'a, 'b> = LookupResult<'a, &'b [u8]>;

/// Networks that are read of one file at most. The largest known database has 15 million; a broken tree that branches
/// into itself would have 2^128.
const NETWORKS_MAX: usize = 1 << 26;

/// Visits every network once, in order, and every distinct record once: `read` gives a record its number.
fn walk(bytes: &[u8], mut read: impl FnMut(&Record<'_, '_>) -> Result<u32, MaxMindDbError>) -> Result<Layer, AtlasError> {
    let reader = Reader::from_source(bytes).map_err(|error| unreadable(&error))?;
    let kind = &reader.metadata().database_type;
    // Networks without data are visited too, so that the limit bounds the walk and not only its harvest.
    let options = WithinOptions::default().include_networks_without_data();
    let mut layer = Layer::default();
    let mut numbers: HashMap<usize, u32> = HashMap::new();
    for (visited, record) in reader.networks(options).map_err(|error| unreadable(&error))?.enumerate() {
        if visited == NETWORKS_MAX {
            return Err(AtlasError::Unreadable(format!("its tree has more than {NETWORKS_MAX} networks")));
        }
        let record = record.map_err(|error| unreadable(&error))?;
        let Some(offset) = record.offset() else { continue };
        let number = match numbers.get(&offset) {
            Some(number) => *number,
            None => *numbers.entry(offset).or_insert(read(&record).map_err(|error| undecodable(&error, kind))?),
        };
        append(&mut layer, &record, number)?;
    }
    if numbers.values().all(|number| *number == NOTHING) {
        return Err(AtlasError::WrongKind(kind.clone()));
    }
    layer.shrink();
    Ok(layer)
}

fn append(layer: &mut Layer, record: &Record<'_, '_>, number: u32) -> Result<(), AtlasError> {
    let network = record.network().map_err(|error| unreadable(&error))?;
    let (addr, len) = (network.ip(), network.prefix());
    let prefix = Prefix::new(addr, len);
    layer.append(prefix.family(), prefix.range(), number);
    if is_all_of_ipv4(addr, len) {
        layer.append(Family::V4, (0, u128::from(u32::MAX)), number);
    }
    Ok(())
}

/// Whether a network of an IPv6 tree holds ::/96, where such trees keep IPv4, undivided.
fn is_all_of_ipv4(addr: IpAddr, len: u8) -> bool {
    addr == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && len <= 96
}

//--- Reading records

fn read_place(record: &Record<'_, '_>) -> Result<Place, MaxMindDbError> {
    let continent: Option<&str> = record.decode_path(&path!["continent", "code"])?;
    let country: Option<&str> = record.decode_path(&path!["country", "iso_code"])?;
    let subdivision: Option<&str> = record.decode_path(&path!["subdivisions", 0, "iso_code"])?;
    Ok(Place {
        continent: continent.and_then(Code::parse),
        country: country.and_then(Code::parse),
        subdivision: subdivision.filter(|part| !part.is_empty()).map(|part| part.to_ascii_uppercase().into()),
        asn: None,
    })
}

fn read_asn(record: &Record<'_, '_>) -> Result<u32, MaxMindDbError> {
    let asn: Option<u32> = record.decode_path(&path!["autonomous_system_number"])?;
    Ok(asn.unwrap_or(NOTHING))
}

fn unreadable(error: &MaxMindDbError) -> AtlasError {
    AtlasError::Unreadable(error.to_string())
}

/// A record whose fields have other types than ours is sound, but not of our kind.
fn undecodable(error: &MaxMindDbError, kind: &str) -> AtlasError {
    match error {
        MaxMindDbError::Decoding { .. } => AtlasError::WrongKind(kind.to_owned()),
        _ => unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmdb_writer::ipnet::IpNet;
    use mmdb_writer::{IpVersion, Value, Writer};

    fn code(key: &str, text: &str) -> Value {
        Value::map([(key, Value::from(text))])
    }

    fn land(continent: &str, country: &str, subdivision: &str) -> Value {
        Value::map([
            ("continent", code("code", continent)),
            ("country", code("iso_code", country)),
            ("registered_country", code("iso_code", "US")),
            ("subdivisions", Value::array([code("iso_code", subdivision), code("iso_code", "SECOND")])),
        ])
    }

    fn asn(number: u32) -> Value {
        Value::map([("autonomous_system_number", Value::from(number))])
    }

    fn database(version: IpVersion, networks: &[(&str, Value)]) -> Vec<u8> {
        let mut writer = Writer::builder("Test-Kind").ip_version(version).build();
        for (network, value) in networks {
            writer.insert_value(network.parse::<IpNet>().expect("a network"), value.clone()).expect("an insert");
        }
        writer.to_bytes().expect("a database")
    }

    fn place_at(atlas: &Atlas, addr: &str) -> String {
        atlas.place_of(addr.parse().expect("an address")).to_string()
    }

    #[test]
    fn both_databases_of_both_families_meet_in_one_place() {
        let city = database(IpVersion::V6, &[("192.0.2.0/24", land("EU", "DE", "by")), ("2001:db8::/33", land("NA", "US", "CA"))]);
        let asns = database(IpVersion::V6, &[("192.0.2.128/25", asn(64_496)), ("2001:db8::/32", asn(64_511))]);
        let atlas = Atlas::load(Some(&city), Some(&asns)).expect("an atlas");
        assert!(atlas.knows_places() && atlas.knows_asns());
        assert_eq!(place_at(&atlas, "192.0.2.127"), "EU, DE, DE-BY");
        assert_eq!(place_at(&atlas, "192.0.2.128"), "EU, DE, DE-BY, AS64496");
        assert_eq!(place_at(&atlas, "192.0.3.0"), "unknown");
        assert_eq!(place_at(&atlas, "2001:db8:7fff::"), "NA, US, US-CA, AS64511");
        assert_eq!(place_at(&atlas, "2001:db8:8000::"), "AS64511");
    }

    #[test]
    fn ipv4_is_not_walked_again_where_ipv6_aliases_it() {
        let city = database(IpVersion::V6, &[("192.0.2.0/24", land("EU", "DE", "BY"))]);
        let atlas = Atlas::load(Some(&city), None).expect("an atlas");
        for alias in ["::ffff:192.0.2.1", "2002:c000:201::", "::192.0.2.1"] {
            assert_eq!(place_at(&atlas, alias), "unknown", "{alias}");
        }
        let land = atlas.land.expect("places");
        assert_eq!((land.layer.v4.len(), land.layer.v6.len()), (3, 1));
    }

    #[test]
    fn an_ipv4_tree_and_a_single_record_for_everything_are_read() {
        let v4 = database(IpVersion::V4, &[("0.0.0.0/1", asn(1)), ("255.255.255.255/32", asn(2))]);
        let atlas = Atlas::load(None, Some(&v4)).expect("an atlas");
        assert_eq!(place_at(&atlas, "127.255.255.255"), "AS1");
        assert_eq!(place_at(&atlas, "255.255.255.254"), "unknown");
        assert_eq!(place_at(&atlas, "255.255.255.255"), "AS2");
        let half = database(IpVersion::V6, &[("::/1", asn(7)), ("8000::/1", asn(7))]);
        let atlas = Atlas::load(None, Some(&half)).expect("an atlas");
        assert_eq!(place_at(&atlas, "192.0.2.1"), "AS7");
        assert_eq!(place_at(&atlas, "2001:db8::"), "AS7");
    }

    #[test]
    fn a_record_may_lack_any_field() {
        let lite = Value::map([("country", code("iso_code", "FR")), ("subdivisions", Value::array([code("name", "Bretagne")]))]);
        let continent_only = Value::map([("continent", code("code", "OC"))]);
        let registered_only = Value::map([("registered_country", code("iso_code", "US"))]);
        let networks = [("192.0.2.0/24", lite), ("198.51.100.0/24", continent_only), ("203.0.113.0/24", registered_only)];
        let atlas = Atlas::load(Some(&database(IpVersion::V6, &networks)), None).expect("an atlas");
        assert_eq!(place_at(&atlas, "192.0.2.1"), "FR");
        assert_eq!(place_at(&atlas, "198.51.100.1"), "OC");
        assert_eq!(place_at(&atlas, "203.0.113.1"), "unknown");
    }

    #[test]
    fn a_sound_file_of_the_wrong_kind_is_named_by_its_type() {
        let asns = database(IpVersion::V6, &[("192.0.2.0/24", asn(64_496))]);
        let city = database(IpVersion::V6, &[("192.0.2.0/24", land("EU", "DE", "BY"))]);
        let flat = database(IpVersion::V6, &[("192.0.2.0/24", Value::map([("country", Value::from("DE"))]))]);
        let wrong = Some(AtlasError::WrongKind("Test-Kind".to_owned()));
        assert_eq!(Atlas::load(Some(&asns), None).err(), wrong);
        assert_eq!(Atlas::load(None, Some(&city)).err(), wrong);
        assert_eq!(Atlas::load(Some(&flat), None).err(), wrong);
    }

    #[test]
    fn a_file_that_is_no_database_or_was_cut_is_unreadable() {
        let city = database(IpVersion::V6, &[("192.0.2.0/24", land("EU", "DE", "BY"))]);
        for bytes in [&b""[..], b"country,iso_code\n", &city[..city.len() / 2]] {
            assert!(matches!(Atlas::load(Some(bytes), None), Err(AtlasError::Unreadable(_))));
        }
    }

    #[test]
    fn flipped_bytes_are_an_error_or_an_atlas_but_never_a_panic() {
        for version in [IpVersion::V4, IpVersion::V6] {
            let city = database(version, &[("192.0.2.0/24", land("EU", "DE", "BY")), ("10.0.0.0/8", land("NA", "US", "CA"))]);
            for at in 0..city.len() {
                let mut broken = city.clone();
                broken[at] ^= 0x15;
                let _ = Atlas::load(Some(&broken), None).map(|atlas| place_at(&atlas, "192.0.2.1"));
            }
        }
    }
}
