//! PowerDNS: plain names by the bind backend, weights and failover by LUA records with one shared state. Geography is
//! left out: its LUA functions choose by distance or country of an mmdb file, not by a list of networks.

use super::{Setup, Site};
use crate::world::{FAILOVER, PLACES, STEERED, WEIGHTS, Workload, zone_text};
use std::fmt::Write;
use std::{fs, io, process};

pub fn prepare(site: &Site) -> io::Result<Vec<Setup>> {
    let (home, address) = site.home("powerdns")?;
    let path = home.display();
    fs::write(home.join("zone"), zone(site))?;
    fs::write(home.join("named.conf"), format!("zone \"example.com\" {{ type master; file \"{path}/zone\"; }};\n"))?;
    let config = format!(
        "local-address={}
local-port={}
launch=bind
bind-config={path}/named.conf
socket-dir={path}
receiver-threads=1
distributor-threads=1
reuseport=yes
edns-subnet-processing=yes
enable-lua-records=shared
daemon=no
guardian=no
disable-syslog=yes
loglevel=3
max-tcp-connections=400
max-tcp-connections-per-client=0
",
        address.ip(),
        address.port()
    );
    fs::write(home.join("pdns.conf"), config)?;
    let mut command = process::Command::new("pdns_server");
    command.args(["--config-dir=."]);
    let workloads = vec![Workload::Static, Workload::Weighted, Workload::Failover, Workload::Negative];
    Ok(vec![Setup { name: "powerdns", home, address, command, workloads }])
}

fn zone(site: &Site) -> String {
    let weighted: Vec<_> = PLACES.iter().zip(WEIGHTS).map(|(place, weight)| format!("{{{weight}, '{place}'}}")).collect();
    // Sets of one: the first set with a live address is answered.
    let ordered: Vec<_> = FAILOVER.iter().map(|place| format!("{{'{place}'}}")).collect();
    let mut text = zone_text();
    for number in 0..STEERED {
        let _ = writeln!(text, "wtd{number:03} LUA A \"pickwrandom({{{}}})\"", weighted.join(", "));
        let url = format!("http://members.test:{}/", site.members_port);
        let _ = writeln!(text, "fo{number:03} LUA A \"ifurlup('{url}', {{{}}})\"", ordered.join(", "));
    }
    text
}
