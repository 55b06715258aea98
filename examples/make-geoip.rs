//! Writes `geoip/city.mmdb` and `geoip/asn.mmdb` from `geoip/places.txt`: `cargo run --example make-geoip`.
//!
//! The files have the layouts of GeoLite2-City and GeoLite2-ASN, as far as Steersman reads them. The same text always
//! gives the same bytes, so that a test can hold the committed files against their source.

use mmdb_writer::ipnet::IpNet;
use mmdb_writer::{RecordSize, Value, Writer};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, SystemTime};

#[allow(clippy::disallowed_methods, reason = "a tool that turns a file into two")]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("geoip");
    let databases = make(&std::fs::read_to_string(folder.join("places.txt"))?)?;
    std::fs::write(folder.join("city.mmdb"), &databases.city)?;
    std::fs::write(folder.join("asn.mmdb"), &databases.asn)?;
    println!("city.mmdb: {} bytes, asn.mmdb: {} bytes, in {}", databases.city.len(), databases.asn.len(), folder.display());
    Ok(())
}

/// The bytes of two mmdb files.
pub struct Databases {
    /// Continents, countries, subdivisions.
    pub city: Vec<u8>,
    /// Autonomous systems.
    pub asn: Vec<u8>,
}

/// Makes both databases from the text of `places.txt`.
///
/// # Errors
/// When a line is not understood, or holds what a database cannot; the message names the line.
pub fn make(text: &str) -> Result<Databases, Box<dyn Error>> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
        lines.push(Line::parse(line).ok_or_else(|| format!("places.txt:{number}: not a place: {line}"))?);
    }
    // What is written later replaces: inner prefixes come after those around them, whatever the order of the text.
    lines.sort_by_key(|line| (line.network.prefix_len(), line.network));
    if let Some(pair) = lines.windows(2).find(|pair| pair[0].network == pair[1].network) {
        return Err(format!("places.txt: {} is there twice", pair[0].network).into());
    }
    let city = database("GeoLite2-City", "Invented places for tests and demos", lines.iter().map(|line| (line.network, line.place())))?;
    let asn = database("GeoLite2-ASN", "Invented networks for tests and demos", lines.iter().map(|line| (line.network, line.asn())))?;
    Ok(Databases { city, asn })
}

/// One line of `places.txt`.
struct Line<'a> {
    network: IpNet,
    /// `-` where not known; so are the next two.
    continent: &'a str,
    country: &'a str,
    subdivision: &'a str,
    asn: Option<u32>,
    organisation: String,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Line<'a>> {
        let mut words = line.split_whitespace();
        let network: IpNet = words.next()?.parse().ok()?;
        let [continent, country, subdivision, asn] = [words.next()?, words.next()?, words.next()?, words.next()?];
        let asn = if asn == NOT_KNOWN { None } else { Some(asn.parse().ok()?) };
        let organisation = words.collect::<Vec<_>>().join(" ");
        (network == network.trunc()).then_some(Line { network, continent, country, subdivision, asn, organisation })
    }

    fn place(&self) -> Option<Value> {
        let continent = code("code", self.continent).map(|value| ("continent", value));
        let country = code("iso_code", self.country).map(|value| ("country", value));
        let subdivision = code("iso_code", self.subdivision).map(|value| ("subdivisions", Value::array([value])));
        let known: Vec<_> = [continent, country, subdivision].into_iter().flatten().collect();
        (!known.is_empty()).then(|| Value::map(known))
    }

    fn asn(&self) -> Option<Value> {
        let asn = ("autonomous_system_number", Value::from(self.asn?));
        Some(Value::map([asn, ("autonomous_system_organization", Value::from(self.organisation.as_str()))]))
    }
}

fn code(key: &str, text: &str) -> Option<Value> {
    (text != NOT_KNOWN).then(|| Value::map([(key, Value::from(text))]))
}

fn database(kind: &str, description: &str, networks: impl Iterator<Item = (IpNet, Option<Value>)>) -> Result<Vec<u8>, mmdb_writer::Error> {
    let mut writer = Writer::builder(kind)
        .description(&[("en", description)])
        .record_size(RecordSize::Bits24)
        .build_epoch(SystemTime::UNIX_EPOCH + Duration::from_secs(BUILD_EPOCH_S))
        .build();
    for (network, value) in networks {
        writer.insert_with(network, |_| value.clone())?;
    }
    writer.to_bytes()
}

/// How `places.txt` writes what is not known.
const NOT_KNOWN: &str = "-";

/// 2026-01-01T00:00:00Z. Any fixed moment would do: the time of day must not change the bytes.
const BUILD_EPOCH_S: u64 = 1_767_225_600;
