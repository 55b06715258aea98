//! A live view from texts, with verdicts by word of mouth: what the tests of the answer path stand on.
#![allow(dead_code, clippy::disallowed_methods, reason = "each test uses its part; tests read files")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use steersman::compile::{Inputs, compile};
use steersman::config;
use steersman::diagnostic::{Diagnostics, Source};
use steersman::health::{Status, Verdict};
use steersman::live::Live;
use steersman::snapshot::Snapshot;

/// What is believed of a member, when nothing else is said: up, for as long as `fall: 3` at `interval: 5s` gives.
pub const UP: Verdict = Verdict { status: Status::Up, holds: Duration::from_secs(15), latency: None };
/// Down, and two passes at `interval: 5s` away from coming back.
pub const DOWN: Verdict = Verdict { status: Status::Down, holds: Duration::from_secs(10), latency: None };

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source { name: name.to_owned(), text: text.to_owned() })
}

fn geoip(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("geoip").join(name);
    std::fs::read(path).expect("the repository holds its own databases")
}

/// What a zone's text would be called: directives are for master files only.
fn file_name(zone: &str) -> &'static str {
    if zone.starts_with('$') { "zone.zone" } else { "zone.yaml" }
}

/// All that a config of policies and zones consists of, or the report.
pub fn inputs(policies: &str, zones: &[&str]) -> Result<Inputs, String> {
    let server = "zones: [zone.yaml]\npolicies: [policies.yaml]\ngeo: {city: city.mmdb, asn: asn.mmdb}\nlisten: [\"127.0.0.1:0\"]\n";
    let mut diagnostics = Diagnostics::new();
    let server = config::server::read(&source("steersman.yaml", server), &mut diagnostics).ok_or_else(|| diagnostics.render(false))?;
    Ok(Inputs {
        server,
        base: PathBuf::new(),
        policies: vec![source("policies.yaml", policies)],
        regions: Vec::new(),
        zones: zones.iter().map(|text| source(file_name(text), text)).collect(),
        city: Some(geoip("city.mmdb")),
        asn: Some(geoip("asn.mmdb")),
        cores: 1,
    })
}

/// Compiles policies and zones, or returns the report.
pub fn snapshot(policies: &str, zones: &[&str]) -> Result<Snapshot, String> {
    let (snapshot, diagnostics) = compile(inputs(policies, zones)?);
    snapshot.ok_or_else(|| diagnostics.render(false))
}

/// A live view in which `verdicts` are believed of the members they name, and the rest is up. A name is `fra-1`, or `fra-1/v4`
/// or `fra-1/v6` for one family.
pub fn live(snapshot: Arc<Snapshot>, verdicts: &BTreeMap<String, Verdict>) -> Live {
    let graph = Arc::clone(&snapshot);
    Live::prepare(snapshot, |pool, member, family| {
        let name = &graph.graph.pools[pool].members[member].name;
        let exact = verdicts.get(&format!("{name}/{}", ["v4", "v6"][family]));
        *exact.or_else(|| verdicts.get(&**name)).unwrap_or(&UP)
    })
}
