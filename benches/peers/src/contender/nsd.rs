//! NSD: plain names; it does not steer.

use super::{PLAIN, PlainZone, Setup, Site};
use crate::world::{Workload, zone_text};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::{fs, io, process};

pub fn prepare(site: &Site) -> io::Result<Vec<Setup>> {
    let (home, address) = site.home("nsd")?;
    let file = home.join("zone").display().to_string();
    fs::write(&file, zone_text())?;
    Ok(vec![configure(home, address, "example.com", &file, PLAIN.to_vec())?])
}

/// One large zone.
pub fn prepare_plain(zone: &PlainZone) -> io::Result<Setup> {
    let (home, address) = super::home(zone.directory, "nsd")?;
    configure(home, address, zone.origin, &zone.file.display().to_string(), Vec::new())
}

fn configure(home: PathBuf, address: SocketAddrV4, origin: &str, file: &str, workloads: Vec<Workload>) -> io::Result<Setup> {
    let (path, listen, port) = (home.display(), address.ip(), address.port());
    let config = format!(
        "server:
  ip-address: {listen}@{port}
  server-count: 1
  username: \"\"
  chroot: \"\"
  database: \"\"
  zonesdir: \"{path}\"
  pidfile: \"{path}/pid\"
  xfrdfile: \"{path}/xfrd.state\"
  zonelistfile: \"{path}/zone.list\"
  minimal-responses: yes
  # Answers without a limit for one client, and connections enough for the load.
  rrl-ratelimit: 0
  tcp-count: 200
  tcp-query-count: 0
  reuseport: yes
remote-control:
  control-enable: no
zone:
  name: {origin}
  zonefile: {file}
"
    );
    fs::write(home.join("nsd.conf"), config)?;
    let mut command = process::Command::new("nsd");
    command.args(["-d", "-c", "nsd.conf"]);
    Ok(Setup { name: "nsd", home, address, command, workloads })
}
