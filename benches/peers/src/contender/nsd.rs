//! NSD: plain names; it does not steer.

use super::{PLAIN, Setup, Site};
use crate::world::zone_text;
use std::{fs, io, process};

pub fn prepare(site: &Site) -> io::Result<Vec<Setup>> {
    let (home, address) = site.home("nsd")?;
    fs::write(home.join("zone"), zone_text())?;
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
  name: example.com
  zonefile: {path}/zone
"
    );
    fs::write(home.join("nsd.conf"), config)?;
    let mut command = process::Command::new("nsd");
    command.args(["-d", "-c", "nsd.conf"]);
    Ok(vec![Setup { name: "nsd", home, address, command, workloads: PLAIN.to_vec() }])
}
