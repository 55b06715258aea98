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
    /// Codes of countries (ISO 3166-1).
    pub country: Vec<Spanned<String>>,
    /// Codes of continents.
    pub continent: Vec<Spanned<String>>,
    /// Codes of subdivisions (ISO 3166-2).
    pub subdivision: Vec<Spanned<String>>,
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
        country: fields
            .optional("country", reader::non_empty("country", reader::one_or_list(reader::text)), diagnostics)
            .unwrap_or_default(),
        continent: fields
            .optional("continent", reader::non_empty("continent", reader::one_or_list(reader::text)), diagnostics)
            .unwrap_or_default(),
        subdivision: fields
            .optional("subdivision", reader::non_empty("subdivision", reader::one_or_list(reader::text)), diagnostics)
            .unwrap_or_default(),
        asn: fields.optional("asn", reader::non_empty("number", reader::one_or_list(asn)), diagnostics).unwrap_or_default(),
        cidr: fields.optional("cidr", reader::non_empty("prefix", reader::one_or_list(reader::prefix)), diagnostics).unwrap_or_default(),
    }
}
