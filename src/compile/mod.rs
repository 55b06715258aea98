//! Sections and databases to a snapshot, or all diagnostics. The only place where a name becomes an id.
//!
//! Texts and bytes enter by [`Inputs`], which the shell fills; [`compile`] gives a [`Snapshot`] when nothing is wrong, and
//! every fault that was found either way. The passes run in this order, each over what the ones before could make: read
//! sections, geography, pools (with their targets), policies, zones (which say what is steered), warnings.
//!
//! Pure: the same inputs give the same snapshot. It copies no state from the config before; the control task does that, by
//! identity and name.

mod names;
mod places;
mod policies;
mod pools;
pub mod zones;

use crate::config::policies::PoliciesSection;
use crate::config::server::{AdminListen, GeoSection, ServerSection, unreadable_file};
use crate::config::{self, ZoneSection};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Spanned};
use crate::geo::{Atlas, AtlasError};
use crate::snapshot::{AdminAddr, DotSettings, Settings, Snapshot, TcpLimits};
use names::Names;
use places::{Geography, Written};
use policies::GraphCompiler;
use pools::PoolCompiler;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that a config consists of, read but not understood.
///
/// The shell reads steersman.yaml first, by [`config::server::read`], since it names the other files; the faults of that
/// file, and those of files that are not there, are in the shell's diagnostics and not repeated by [`compile`].
#[derive(Clone, Debug)]
pub struct Inputs {
    /// What steersman.yaml says.
    pub server: ServerSection,
    /// The directory from which its paths count; that of steersman.yaml.
    pub base: PathBuf,
    /// The files that `policies` names.
    pub policies: Vec<Arc<Source>>,
    /// The files that `geo.regions` names.
    pub regions: Vec<Arc<Source>>,
    /// The files that `zones` names.
    pub zones: Vec<Arc<Source>>,
    /// The bytes of the file that `geo.city` names, when there is one that could be read.
    pub city: Option<Vec<u8>>,
    /// The bytes of the file that `geo.asn` names, when there is one that could be read.
    pub asn: Option<Vec<u8>>,
    /// Threads that answer when `workers` is not written: the number of cores.
    pub cores: usize,
}

/// Compiles a config. There is a snapshot exactly when no diagnostic is an error.
pub fn compile(inputs: &Inputs) -> (Option<Snapshot>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let (policies, complete) = read_policies(inputs, &mut diagnostics);
    let zones: Vec<ZoneSection> = inputs.zones.iter().filter_map(|source| config::zone::read(source, &mut diagnostics)).collect();
    let atlas = load_atlas(inputs, &mut diagnostics);
    let snapshot = link(inputs, &policies, complete, &zones, &atlas, &mut diagnostics);
    diagnostics.sort();
    ((!diagnostics.has_errors()).then_some(snapshot), diagnostics)
}

/// All policy and region files as one section, and whether all of them could be read.
fn read_policies(inputs: &Inputs, diagnostics: &mut Diagnostics) -> (PoliciesSection, bool) {
    let mut all = PoliciesSection::default();
    let mut complete = true;
    let policies = inputs.policies.iter().map(|source| config::policies::read(source, diagnostics));
    let policies: Vec<_> = policies.collect();
    let regions = inputs.regions.iter().map(|source| config::policies::read_regions(source, diagnostics));
    for section in policies.into_iter().chain(regions) {
        match section {
            Some(section) => all.append(section),
            None => complete = false,
        }
    }
    (all, complete)
}

/// Resolves everything. The result is of use only when no error was pushed.
fn link(
    inputs: &Inputs,
    sections: &PoliciesSection,
    complete: bool,
    zones: &[ZoneSection],
    atlas: &Atlas,
    diagnostics: &mut Diagnostics,
) -> Snapshot {
    let broken = &sections.broken;
    let geo = &inputs.server.geo;
    let written = Written { city: geo.city.is_some(), asn: geo.asn.is_some() };
    let region_names = Names::new("region", broken, !complete);
    let geography = Geography::new(&sections.regions, region_names, atlas, written, diagnostics);
    let (monitor_names, site_names) = (Names::new("monitor", broken, !complete), Names::new("site", broken, !complete));
    let mut pools = PoolCompiler::new(&sections.monitors, monitor_names, &sections.sites, site_names, diagnostics);
    let compiled = pools.compile(&sections.pools, diagnostics);
    let PoolCompiler { monitor_names, sites, targets, .. } = pools;
    let names = Names::new("pool or policy", broken, !complete);
    let mut graph = GraphCompiler::new(&sections.pools, &sections.policies, names, &geography, (compiled, sites), diagnostics);
    graph.compile(diagnostics);
    let zones = zones::compile(zones, &mut |name, diagnostics| graph.steer(name, diagnostics), diagnostics);
    // What is wrong with steersman.yaml is known to the shell alone, but a config without zones always is.
    let sound = !diagnostics.has_errors() && !inputs.zones.is_empty();
    let graph = graph.finish(sound, diagnostics);
    if sound {
        warn_of_unused("monitor", "no pool names it", &monitor_names, diagnostics);
        warn_of_unused("region", "no rule matches by it", &geography.names, diagnostics);
    }
    Snapshot { settings: settings(inputs), zones, graph, targets }
}

fn warn_of_unused<T: Copy>(what: &str, why: &str, names: &Names<'_, T>, diagnostics: &mut Diagnostics) {
    for (name, span) in names.unused() {
        let message = format!("the {what} `{name}` is not used: {why}");
        diagnostics.push(Diagnostic::warning("unused", span, message).help("use it or remove it"));
    }
}

//--- Databases

fn load_atlas(inputs: &Inputs, diagnostics: &mut Diagnostics) -> Atlas {
    let GeoSection { city, asn, .. } = &inputs.server.geo;
    let mut atlas = Atlas::default();
    if let (Some(named), Some(bytes)) = (city, &inputs.city)
        && let Err(error) = atlas.load_places(bytes)
    {
        diagnostics.push(bad_database(named, &error, "a city or country database"));
    }
    if let (Some(named), Some(bytes)) = (asn, &inputs.asn)
        && let Err(error) = atlas.load_asns(bytes)
    {
        diagnostics.push(bad_database(named, &error, "an ASN database"));
    }
    atlas
}

fn bad_database(named: &Spanned<String>, error: &AtlasError, wanted: &str) -> Diagnostic {
    match error {
        AtlasError::Unreadable(reason) => unreadable_file(named, &named.value, reason),
        AtlasError::WrongKind(kind) => {
            let message = format!("`{}` is a database of the kind `{kind}`, not {wanted}", named.value);
            Diagnostic::error("wrong-database", &named.span, message)
                .help("`geo.city` takes GeoLite2-City, GeoLite2-Country and the like; `geo.asn` takes GeoLite2-ASN and the like")
        }
    }
}

//--- Settings

fn settings(inputs: &Inputs) -> Settings {
    let Inputs { server, base, cores, .. } = inputs;
    let dot = server.dot.as_ref().map(|dot| DotSettings {
        listen: dot.listen.clone(),
        certificate: base.join(&dot.certificate.value),
        key: base.join(&dot.key.value),
    });
    Settings {
        listen: server.listen.clone(),
        dot,
        admin: server.admin.as_ref().map(|admin| admin_addr(admin, base)),
        state_dir: server.state_dir.as_ref().map(|dir| base.join(&dir.value)),
        state_max_age: server.state_max_age,
        watch: server.watch,
        workers: server.workers.unwrap_or(*cores).max(1),
        startup_deadline: server.startup_deadline,
        tcp: TcpLimits {
            connections: server.tcp.connections,
            connections_per_client: server.tcp.connections_per_client,
            idle: server.tcp.idle,
        },
    }
}

fn admin_addr(admin: &AdminListen, base: &Path) -> AdminAddr {
    match admin {
        AdminListen::Tcp(addr) => AdminAddr::Tcp(*addr),
        AdminListen::Unix(path) => AdminAddr::Unix(base.join(path)),
    }
}
