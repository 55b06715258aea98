//! Knot DNS: plain names in one process, geography and weights by mod-geoip in another, so that the module's cost does
//! not show where it is not needed. It has no health checks, and so no failover.

use super::{PLAIN, PlainZone, Setup, Site};
use crate::world::{LOCATED, PLACES, STEERED, TTL, WEIGHTS, Workload, zone_text};
use std::fmt::Write;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::{fs, io, process};

pub fn prepare(site: &Site) -> io::Result<Vec<Setup>> {
    Ok(vec![plain(site)?, steered(site)?])
}

/// One large zone.
pub fn prepare_plain(zone: &PlainZone) -> io::Result<Setup> {
    let (home, address) = super::home(zone.directory, "knot")?;
    configure(&home, address, zone.origin, &zone.file.display().to_string(), "")?;
    Ok(ready("knot", home, address, Vec::new()))
}

fn plain(site: &Site) -> io::Result<Setup> {
    setup(site, "knot", &zone_text(), "", PLAIN.to_vec())
}

fn steered(site: &Site) -> io::Result<Setup> {
    let (home, _) = site.home("knot-geoip")?;
    fs::write(home.join("weighted.conf"), weighted())?;
    fs::write(home.join("subnet.conf"), subnets(site))?;
    // The names must exist: the module replaces their data.
    let mut zone = zone_text();
    for (family, count) in [("wtd", STEERED), ("geo", LOCATED)] {
        for number in 0..count {
            let _ = writeln!(zone, "{family}{number:03} A {}", PLACES[0]);
        }
    }
    let home = home.display();
    let modules = format!(
        "mod-geoip:
  - id: subnet
    config-file: {home}/subnet.conf
    ttl: {TTL}
    mode: subnet
  - id: weighted
    config-file: {home}/weighted.conf
    ttl: {TTL}
    mode: weighted
"
    );
    setup(site, "knot-geoip", &zone, &modules, vec![Workload::Weighted, Workload::GeoSource, Workload::GeoEcs])
}

fn setup(site: &Site, name: &'static str, zone: &str, modules: &str, workloads: Vec<Workload>) -> io::Result<Setup> {
    let (home, address) = site.home(name)?;
    fs::write(home.join("zone"), zone)?;
    configure(&home, address, "example.com", &home.join("zone").display().to_string(), modules)?;
    Ok(ready(name, home, address, workloads))
}

fn ready(name: &'static str, home: PathBuf, address: SocketAddrV4, workloads: Vec<Workload>) -> Setup {
    let mut command = process::Command::new("knotd");
    command.args(["-c", "knot.conf"]);
    Setup { name, home, address, command, workloads }
}

fn configure(home: &Path, address: SocketAddrV4, origin: &str, file: &str, modules: &str) -> io::Result<()> {
    fs::create_dir_all(home.join("db"))?;
    let used = if modules.is_empty() { "" } else { "    module: [ mod-geoip/subnet, mod-geoip/weighted ]\n" };
    let (path, listen, port) = (home.display(), address.ip(), address.port());
    let config = format!(
        "server:
    rundir: {path}
    listen: {listen}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    edns-client-subnet: on
log:
  - target: stderr
    any: info
database:
    storage: {path}/db
{modules}zone:
  - domain: {origin}
    file: {file}
    zonefile-sync: -1
{used}"
    );
    fs::write(home.join("knot.conf"), config)
}

fn weighted() -> String {
    let records: String = PLACES.iter().zip(WEIGHTS).map(|(place, weight)| format!("  - weight: {weight}\n    A: [ {place} ]\n")).collect();
    (0..STEERED).map(|number| format!("wtd{number:03}.example.com:\n{records}")).collect()
}

/// The map once for each name: the module has no other way.
fn subnets(site: &Site) -> String {
    let mut records = String::new();
    for (network, place) in &site.world.networks {
        let _ = writeln!(records, "  - net: {network}\n    A: [ {} ]", PLACES[*place]);
    }
    (0..LOCATED).map(|number| format!("geo{number:03}.example.com:\n{records}")).collect()
}
