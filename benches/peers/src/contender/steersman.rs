//! Our own config: the places are pools of one, geography is a policy with a region for each.

use super::{PlainZone, Setup, Site};
use crate::world::{FAILOVER, HOSTS, LOCATED, PLACES, STEERED, TTL, WEIGHTS, Workload, host_address};
use std::fmt::Write;
use std::net::SocketAddrV4;
use std::path::Path;
use std::{fs, io, process};

pub fn prepare(site: &Site) -> io::Result<Vec<Setup>> {
    let (home, address) = site.home("steersman")?;
    fs::write(home.join("steersman.yaml"), main_file(address))?;
    fs::write(home.join("policies.yaml"), policies(site))?;
    fs::write(home.join("zone.yaml"), zone())?;
    Ok(vec![Setup { name: "steersman", home, address, command: serve(site.steersman), workloads: Workload::ALL.to_vec() }])
}

/// One large zone, read from a master file.
pub fn prepare_plain(zone: &PlainZone) -> io::Result<Setup> {
    let (home, address) = super::home(zone.directory, "steersman")?;
    fs::write(home.join("steersman.yaml"), format!("listen: [\"{address}\"]\nzones: [\"{}\"]\nworkers: 1\n", zone.file.display()))?;
    Ok(Setup { name: "steersman", home, address, command: serve(zone.steersman), workloads: Vec::new() })
}

/// The command that serves the config in its directory.
pub fn serve(program: &Path) -> process::Command {
    let mut command = process::Command::new(program);
    command.args(["serve", "--config", "steersman.yaml"]);
    command
}

fn main_file(address: SocketAddrV4) -> String {
    format!("listen: [\"{address}\"]\nzones: [zone.yaml]\npolicies: [policies.yaml]\nworkers: 1\nprobes: {{allow: [default, 127.0.0.0/8]}}\n")
}

fn policies(site: &Site) -> String {
    let port = site.members_port;
    let mut text = format!("monitors:\n  http: {{type: http, port: {port}, path: /, interval: 5s, timeout: 2s}}\nregions:\n");
    for place in 0..PLACES.len() {
        let networks = site.world.networks.iter().filter(|(_, at)| *at == place);
        let networks: Vec<_> = networks.map(|(network, _)| network.to_string()).collect();
        let _ = writeln!(text, "  place{place}: {{cidr: [{}]}}", networks.join(", "));
    }
    text += "pools:\n";
    for (place, address) in PLACES.iter().enumerate() {
        let _ = writeln!(text, "  place{place}: {{monitor: http, members: [{{name: m, a: {address}}}]}}");
    }
    for (order, address) in FAILOVER.iter().enumerate() {
        let _ = writeln!(text, "  order{order}: {{monitor: http, members: [{{name: m, a: {address}}}]}}");
    }
    let members = PLACES.iter().zip(WEIGHTS).enumerate();
    let members: Vec<_> = members.map(|(index, (address, weight))| format!("{{name: m{index}, a: {address}, weight: {weight}}}")).collect();
    let _ = writeln!(text, "  all: {{monitor: http, members: [{}]}}", members.join(", "));
    let ttl = format!("ttl: {{max: {TTL}s, min: {TTL}s}}");
    let orders: Vec<_> = (0..FAILOVER.len()).map(|order| format!("order{order}")).collect();
    let rules: Vec<_> = (0..PLACES.len()).map(|place| format!("{{match: {{region: place{place}}}, use: place{place}}}")).collect();
    let _ = writeln!(text, "policies:\n  wtd: {{type: failover, use: [all], {ttl}}}");
    let _ = writeln!(text, "  fo: {{type: failover, use: [{}], {ttl}}}", orders.join(", "));
    let _ = writeln!(text, "  geo: {{type: geo, rules: [{}], default: place0, {ttl}}}", rules.join(", "));
    text
}

fn zone() -> String {
    let mut text = format!(
        "zone: example.com\nttl: {TTL}s\nsoa: {{mname: ns1, rname: admin, serial: 1, minimum: {TTL}s}}\nrecords:\n  \"@\": {{NS: [ns1, ns2]}}\n  \
         ns1: {{A: 192.0.2.1}}\n  ns2: {{A: 192.0.2.2}}\n"
    );
    for host in 0..HOSTS {
        let _ = writeln!(text, "  h{host:04}: {{A: {}}}", host_address(host));
    }
    for (family, count) in [("wtd", STEERED), ("fo", STEERED), ("geo", LOCATED)] {
        for number in 0..count {
            let _ = writeln!(text, "  {family}{number:03}: {{steer: {family}}}");
        }
    }
    text
}
