//! Sites, regions, and the places of clients.

use super::reader::{self, Fields, Schema};
use super::yaml::Node;
use crate::diagnostic::{Diagnostic, Diagnostics, Span, Spanned};
use crate::prefix::Prefix;

/// Where members stand.
#[derive(Clone, Debug)]
pub struct SiteSection {
    /// Its name.
    pub name: Spanned<String>,
    /// Latitude and longitude in degrees, where written.
    pub position: Option<(f64, f64)>,
}

/// A named set of client places: everything that any of its keys holds.
#[derive(Clone, Debug)]
pub struct RegionSection {
    /// Its name.
    pub name: Spanned<String>,
    /// What it holds.
    pub places: PlacesSection,
}

/// Places by kind, as written.
#[derive(Clone, Debug, Default)]
pub struct PlacesSection {
    /// Countries, upper case (ISO 3166-1).
    pub country: Vec<Spanned<[u8; 2]>>,
    /// Continents, upper case.
    pub continent: Vec<Spanned<[u8; 2]>>,
    /// Country and the part behind the hyphen (ISO 3166-2), upper case.
    pub subdivision: Vec<Spanned<([u8; 2], String)>>,
    /// Autonomous systems.
    pub asn: Vec<Spanned<u32>>,
    /// Prefixes.
    pub cidr: Vec<Prefix>,
}

impl PlacesSection {
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        let PlacesSection { country, continent, subdivision, asn, cidr } = self;
        country.is_empty() && continent.is_empty() && subdivision.is_empty() && asn.is_empty() && cidr.is_empty()
    }
}

/// A condition on a client: every key that is written must hold, and within a key any of its values.
#[derive(Clone, Debug)]
pub struct MatchSection {
    /// The whole condition.
    pub span: Span,
    /// Names of regions.
    pub region: Vec<Spanned<String>>,
    /// Places by kind.
    pub places: PlacesSection,
}

/// The keys of a site.
pub const SITE: Schema = Schema { name: "a site", keys: &["lat", "lon"] };
/// The keys of a region.
pub const REGION: Schema = Schema { name: "a region", keys: &["country", "continent", "subdivision", "asn", "cidr"] };
/// The keys of `match`.
pub const MATCH: Schema = Schema { name: "`match`", keys: &["region", "country", "continent", "subdivision", "asn", "cidr"] };

/// Reads one site.
pub fn read_site(name: &Spanned<String>, node: &Node, diagnostics: &mut Diagnostics) -> Option<SiteSection> {
    let fields = Fields::of(node, SITE, diagnostics)?;
    if fields.has("lat") != fields.has("lon") {
        let fault = Diagnostic::error("missing-key", &fields.head(), "a position has both `lat` and `lon`");
        diagnostics.push(fault.help("write both, or none: `{lat: 50.1, lon: 8.7}`"));
    }
    let lat = fields.optional("lat", reader::decimal(-90.0..=90.0), diagnostics);
    let lon = fields.optional("lon", reader::decimal(-180.0..=180.0), diagnostics);
    Some(SiteSection { name: name.clone(), position: lat.zip(lon) })
}

/// Reads one region.
pub fn read_region(name: &Spanned<String>, node: &Node, diagnostics: &mut Diagnostics) -> Option<RegionSection> {
    let fields = Fields::of(node, REGION, diagnostics)?;
    let places = places(&fields, diagnostics);
    if !REGION.keys.iter().any(|key| fields.has(key)) {
        let fault = Diagnostic::error("empty-region", &name.span, format!("the region `{}` holds no place", name.value));
        diagnostics.push(fault.help("give it a `country`, `continent`, `subdivision`, `asn` or `cidr`"));
    }
    Some(RegionSection { name: name.clone(), places })
}

/// Reads the `match` of a rule.
pub fn read_match(node: &Node, diagnostics: &mut Diagnostics) -> Option<MatchSection> {
    let fields = Fields::of(node, MATCH, diagnostics)?;
    if !MATCH.keys.iter().any(|key| fields.has(key)) {
        let fault = Diagnostic::error("empty-match", &fields.head(), "this rule would match every client");
        diagnostics
            .push(fault.help("name a `region`, `country`, `continent`, `subdivision`, `asn` or `cidr`; for all others there is `default`"));
    }
    let region = reader::non_empty("region", reader::one_or_list(reader::name));
    let region = fields.optional("region", region, diagnostics).unwrap_or_default();
    Some(MatchSection { region, places: places(&fields, diagnostics), span: node.span.clone() })
}

fn places(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> PlacesSection {
    // A list of nothing would match nobody: surely a slip.
    let asn = |node: &Node, diagnostics: &mut Diagnostics| {
        let value = reader::number(1..=u32::MAX)(node, diagnostics)?;
        Some(Spanned { value, span: node.span.clone() })
    };
    PlacesSection {
        country: fields.optional("country", reader::non_empty("country", reader::one_or_list(country)), diagnostics).unwrap_or_default(),
        continent: fields
            .optional("continent", reader::non_empty("continent", reader::one_or_list(continent)), diagnostics)
            .unwrap_or_default(),
        subdivision: fields
            .optional("subdivision", reader::non_empty("subdivision", reader::one_or_list(subdivision)), diagnostics)
            .unwrap_or_default(),
        asn: fields.optional("asn", reader::non_empty("number", reader::one_or_list(asn)), diagnostics).unwrap_or_default(),
        cidr: fields.optional("cidr", reader::non_empty("prefix", reader::one_or_list(reader::prefix)), diagnostics).unwrap_or_default(),
    }
}

fn country(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<[u8; 2]>> {
    let text = reader::scalar(node, "a country code such as `DE`", diagnostics)?;
    let code = known_code(text, COUNTRIES);
    code.map(|value| Spanned { value, span: node.span.clone() }).or_else(|| {
        let message = format!("`{text}` is not a country code");
        reader::refuse("bad-code", node, message, &country_help(text), diagnostics)
    })
}

fn country_help(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    if let Some((_, meant)) = MISTAKEN.iter().find(|(mistaken, _)| *mistaken == upper) {
        return format!("did you mean `{meant}`?");
    }
    if known_code(&upper, CONTINENTS).is_some() {
        return format!("`{upper}` is a continent: write it at `continent:`");
    }
    "write the two letters of ISO 3166-1: `DE`, `US`, `JP`".to_owned()
}

fn continent(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<[u8; 2]>> {
    let text = reader::scalar(node, "a continent such as `EU`", diagnostics)?;
    let code = known_code(text, CONTINENTS);
    code.map(|value| Spanned { value, span: node.span.clone() }).or_else(|| {
        let help =
            "write one of AF (Africa), AN (Antarctica), AS (Asia), EU (Europe), NA (North America), OC (Oceania), SA (South America)";
        reader::refuse("bad-code", node, format!("`{text}` is not a continent"), help, diagnostics)
    })
}

fn subdivision(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<([u8; 2], String)>> {
    let text = reader::scalar(node, "a subdivision such as `US-CA`", diagnostics)?;
    let help = "write the country, a hyphen, and up to three letters or digits (ISO 3166-2): `US-CA`, `DE-BY`";
    let split =
        text.split_once('-').filter(|(_, part)| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let Some((country, part)) = split else {
        return reader::refuse("bad-code", node, format!("`{text}` is not a subdivision"), help, diagnostics);
    };
    let Some(code) = known_code(country, COUNTRIES) else {
        return reader::refuse("bad-code", node, format!("`{country}` is not a country code"), &country_help(country), diagnostics);
    };
    Some(Spanned { value: (code, part.to_ascii_uppercase()), span: node.span.clone() })
}

/// The upper-case code of a text, when the list has it; lower case is understood.
fn known_code(text: &str, list: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.to_ascii_uppercase().into_bytes().try_into().ok()?;
    list.as_bytes().chunks(3).any(|known| known[..2] == code).then_some(code)
}

/// The continents that databases know.
const CONTINENTS: &str = "AF AN AS EU NA OC SA";

/// Codes people write, and those they mean.
const MISTAKEN: &[(&str, &str)] = &[("UK", "GB"), ("EL", "GR"), ("USA", "US"), ("GER", "DE"), ("SU", "RU"), ("TP", "TL"), ("YU", "RS")];

/// ISO 3166-1 alpha-2, and XK for Kosovo, which databases use though the standard leaves it to users.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH \
GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB \
LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM \
PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG \
TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_countries_is_whole_and_sorted() {
        let codes: Vec<&str> = COUNTRIES.split(' ').collect();
        assert_eq!(codes.len(), 250);
        assert!(codes.is_sorted() && codes.iter().all(|code| code.len() == 2));
    }

    #[test]
    fn codes_are_known_in_either_case_and_strangers_are_not() {
        assert_eq!(known_code("NO", COUNTRIES), Some(*b"NO"));
        assert_eq!(known_code("de", COUNTRIES), Some(*b"DE"));
        for stranger in ["UK", "D E", "DEU", "", "D", "AD "] {
            assert_eq!(known_code(stranger, COUNTRIES), None, "{stranger}");
        }
        assert_eq!(country_help("uk"), "did you mean `GB`?");
        assert!(country_help("EU").contains("continent"));
    }
}
