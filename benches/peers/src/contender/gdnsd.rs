//! gdnsd: geography by its geoip plugin with a list of networks, weights by `weighted`, failover by `metafo`.

use super::{PlainZone, Setup, Site};
use crate::world::{FAILOVER, LOCATED, PLACES, STEERED, WEIGHTS, Workload, zone_text};
use std::fmt::Write;
use std::net::SocketAddrV4;
use std::path::Path;
use std::{fs, io, process};

pub fn prepare(site: &Site) -> io::Result<Vec<Setup>> {
    let (home, address) = site.home("gdnsd")?;
    for directory in ["zones", "geoip", "run", "state"] {
        fs::create_dir_all(home.join(directory))?;
    }
    fs::write(home.join("config"), config(&home, address, site.members_port))?;
    fs::write(home.join("geoip/networks"), networks(site))?;
    fs::write(home.join("zones/example.com"), zone())?;
    let mut command = process::Command::new("gdnsd");
    command.args(["-c", ".", "start"]);
    Ok(vec![Setup { name: "gdnsd", home, address, command, workloads: Workload::ALL.to_vec() }])
}

/// One large zone, without plugins.
pub fn prepare_plain(zone: &PlainZone) -> io::Result<Setup> {
    let (home, address) = super::home(zone.directory, "gdnsd")?;
    for directory in ["zones", "run", "state"] {
        fs::create_dir_all(home.join(directory))?;
    }
    let path = home.display();
    let config = format!(
        "options => {{\n  listen => [ {address} ]\n  udp_threads => 1\n  tcp_threads => 1\n  run_dir => {path}/run\n  state_dir => {path}/state\n}}\n"
    );
    fs::write(home.join("config"), config)?;
    // A second start finds it there.
    let _ = std::os::unix::fs::symlink(zone.file, home.join("zones").join(zone.origin));
    let mut command = process::Command::new("gdnsd");
    command.args(["-c", ".", "start"]);
    Ok(Setup { name: "gdnsd", home, address, command, workloads: Vec::new() })
}

fn config(home: &Path, address: SocketAddrV4, members_port: u16) -> String {
    let home = home.display();
    let named =
        |list: &[std::net::Ipv4Addr]| list.iter().enumerate().map(|(index, place)| format!("p{index} => {place}\n")).collect::<String>();
    let names = |count: usize| (0..count).map(|index| format!("p{index}")).collect::<Vec<_>>().join(", ");
    let weighted = PLACES.iter().zip(WEIGHTS).enumerate();
    let weighted: String = weighted.map(|(index, (place, weight))| format!("p{index} => [ {place}, {weight} ]\n")).collect();
    format!(
        "options => {{
  listen => [ {address} ]
  udp_threads => 1
  tcp_threads => 1
  run_dir => {home}/run
  state_dir => {home}/state
}}
service_types => {{
  web => {{ plugin => http_status, port => {members_port}, url_path => /, interval => 5, timeout => 2, down_thresh => 2, ok_thresh => 1, up_thresh => 1 }}
}}
plugins => {{
  geoip => {{
    maps => {{ world => {{ datacenters => [ {} ], nets => networks }} }}
    resources => {{ geo => {{ map => world, service_types => web, dcmap => {{ {} }} }} }}
  }}
  weighted => {{ service_types => web, wtd => {{ {weighted} }} }}
  metafo => {{ resources => {{ fo => {{ service_types => web, datacenters => [ {} ], dcmap => {{ {} }} }} }} }}
}}
",
        names(PLACES.len()),
        named(&PLACES),
        names(FAILOVER.len()),
        named(&FAILOVER),
    )
}

fn networks(site: &Site) -> String {
    let mut text = String::new();
    for (network, place) in &site.world.networks {
        let _ = writeln!(text, "{network} => [ p{place} ]");
    }
    text
}

fn zone() -> String {
    let mut text = zone_text();
    for (family, count, plugin) in [("wtd", STEERED, "weighted"), ("fo", STEERED, "metafo"), ("geo", LOCATED, "geoip")] {
        for number in 0..count {
            let _ = writeln!(text, "{family}{number:03} DYNA {plugin}!{family}");
        }
    }
    text
}
