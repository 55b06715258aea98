//! Regions and rules to places: codes are checked, names of regions become what they hold.

use super::names::Names;
use crate::config::place::{MatchSection, PlacesSection, RegionSection};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, Spanned};
use crate::geo::{Atlas, Code, Match, Places};

/// What client places mean in this config.
pub(super) struct Geography<'a> {
    /// Regions by name.
    pub names: Names<'a, usize>,
    regions: Vec<Places>,
    /// What the databases know.
    pub atlas: &'a Atlas,
    /// Whether `geo.city` and `geo.asn` are written, and so reported elsewhere when they cannot be read.
    pub written: Written,
}

/// Which databases the config names.
#[derive(Clone, Copy)]
pub(super) struct Written {
    pub city: bool,
    pub asn: bool,
}

impl<'a> Geography<'a> {
    /// Checks all regions, used or not.
    pub fn new(
        sections: &'a [RegionSection],
        mut names: Names<'a, usize>,
        atlas: &'a Atlas,
        written: Written,
        diagnostics: &mut Diagnostics,
    ) -> Geography<'a> {
        for (index, section) in sections.iter().enumerate() {
            names.declare(&section.name, index, diagnostics);
        }
        let regions = sections.iter().map(|section| places(&section.places, diagnostics)).collect();
        Geography { names, regions, atlas, written }
    }

    /// The condition of a rule: every key that is written must hold.
    pub fn condition(&self, section: &MatchSection, diagnostics: &mut Diagnostics) -> Match {
        let all = places(&section.places, diagnostics);
        let mut sets = Vec::new();
        if !section.region.is_empty() {
            sets.push(self.union(&section.region, diagnostics));
        }
        // Each kind is a set of its own here, while within a region all kinds are one.
        sets.extend([
            Places { continents: all.continents, ..Places::default() },
            Places { countries: all.countries, ..Places::default() },
            Places { subdivisions: all.subdivisions, ..Places::default() },
            Places { asns: all.asns, ..Places::default() },
            Places { cidrs: all.cidrs, ..Places::default() },
        ]);
        sets.retain(|set| *set != Places::default());
        let condition = Match(sets);
        self.require_databases(&condition, &section.span, diagnostics);
        condition
    }

    fn union(&self, names: &[Spanned<String>], diagnostics: &mut Diagnostics) -> Places {
        let mut union = Places::default();
        for name in names {
            let Some(index) = self.names.resolve(name, diagnostics) else { continue };
            let region = self.regions[index].clone();
            union.continents.extend(region.continents);
            union.countries.extend(region.countries);
            union.subdivisions.extend(region.subdivisions);
            union.asns.extend(region.asns);
            union.cidrs.extend(region.cidrs);
        }
        union
    }

    fn require_databases(&self, condition: &Match, span: &Span, diagnostics: &mut Diagnostics) {
        let Match(sets) = condition;
        let names_land = |set: &Places| !(set.continents.is_empty() && set.countries.is_empty() && set.subdivisions.is_empty());
        if !self.written.city && !self.atlas.knows_places() && sets.iter().any(names_land) {
            let message = "this rule asks for a country, continent or subdivision, but no database says where clients are";
            let help = "add `geo: {city: geoip/city.mmdb}` to steersman.yaml, or match by `cidr`";
            diagnostics.push(Diagnostic::error("missing-database", span, message).help(help));
        }
        if !self.written.asn && !self.atlas.knows_asns() && sets.iter().any(|set| !set.asns.is_empty()) {
            let message = "this rule asks for an autonomous system, but no database says which clients are in it";
            let help = "add `geo: {asn: geoip/asn.mmdb}` to steersman.yaml, or match by `cidr`";
            diagnostics.push(Diagnostic::error("missing-database", span, message).help(help));
        }
    }
}

/// The places of a section; codes that are none are reported and left out.
fn places(section: &PlacesSection, diagnostics: &mut Diagnostics) -> Places {
    Places {
        continents: each(&section.continent, continent, diagnostics),
        countries: each(&section.country, country, diagnostics),
        subdivisions: each(&section.subdivision, subdivision, diagnostics),
        asns: section.asn.iter().map(|asn| asn.value).collect(),
        cidrs: section.cidr.clone(),
    }
}

fn each<T>(texts: &[Spanned<String>], read: fn(&str) -> Result<T, BadCode>, diagnostics: &mut Diagnostics) -> Vec<T> {
    let mut out = Vec::with_capacity(texts.len());
    for text in texts {
        match read(&text.value) {
            Ok(place) => out.push(place),
            Err(BadCode { message, help }) => diagnostics.push(Diagnostic::error("bad-code", &text.span, message).help(help)),
        }
    }
    out
}

/// Why a text is no code, and what to write.
struct BadCode {
    message: String,
    help: String,
}

fn continent(text: &str) -> Result<Code, BadCode> {
    let help = "write one of AF (Africa), AN (Antarctica), AS (Asia), EU (Europe), NA (North America), OC (Oceania), SA (South America)";
    let bad = || BadCode { message: format!("`{text}` is not a continent"), help: help.to_owned() };
    Code::parse(text).filter(|code| code.is_continent()).ok_or_else(bad)
}

fn country(text: &str) -> Result<Code, BadCode> {
    let code = Code::parse(text);
    if let Some(code) = code.filter(|code| code.is_country()) {
        return Ok(code);
    }
    let help = match code.map(|code| (code, code.meant_country())) {
        Some((_, Some(meant))) => format!("did you mean `{meant}`?"),
        Some((code, None)) if code.is_continent() => format!("`{code}` is a continent: write it at `continent:`"),
        Some((_, None)) | None => "write the two letters of ISO 3166-1: `DE`, `US`, `JP`".to_owned(),
    };
    Err(BadCode { message: format!("`{text}` is not a country code"), help })
}

fn subdivision(text: &str) -> Result<(Code, Box<str>), BadCode> {
    let help = "write the country, a hyphen, and up to three letters or digits (ISO 3166-2): `US-CA`, `DE-BY`";
    let bad = || BadCode { message: format!("`{text}` is not a subdivision"), help: help.to_owned() };
    let (land, part) = text.split_once('-').ok_or_else(bad)?;
    if !(1..=3).contains(&part.len()) || !part.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(bad());
    }
    Ok((country(land)?, part.to_ascii_uppercase().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help<T>(result: Result<T, BadCode>) -> String {
        result.err().map(|bad| bad.help).unwrap_or_default()
    }

    #[test]
    fn codes_are_read_in_either_case_and_what_was_meant_is_proposed() {
        assert_eq!(country("no").ok(), Some(Code(*b"NO")));
        assert_eq!(subdivision("us-ca").ok(), Some((Code(*b"US"), "CA".into())));
        assert_eq!(help(country("UK")), "did you mean `GB`?");
        assert!(help(country("EU")).contains("`continent:`"));
        assert!(help(country("Germany")).contains("ISO 3166-1"));
        assert!(help(continent("DE")).contains("Europe"));
        for text in ["US", "US-", "US-CALI", "US-C A", "CA-"] {
            assert!(help(subdivision(text)).contains("ISO 3166-2"), "{text}");
        }
        assert_eq!(help(subdivision("UK-LND")), "did you mean `GB`?");
    }
}
