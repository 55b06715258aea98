//! BIND: plain names. Its geography works by views, one whole zone for each place; that is left out.

use super::{PLAIN, Setup, Site};
use crate::world::zone_text;
use std::{fs, io, process};

pub fn prepare(site: &Site) -> io::Result<Vec<Setup>> {
    let (home, address) = site.home("bind")?;
    fs::write(home.join("zone"), zone_text())?;
    let path = home.display();
    let config = format!(
        "options {{ directory \"{path}\"; listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }}; recursion no; minimal-responses yes;
  pid-file \"{path}/pid\"; session-keyfile \"{path}/session.key\"; dnssec-validation no; querylog no; tcp-clients 500; notify no; }};
controls {{ }};
zone \"example.com\" {{ type primary; file \"{path}/zone\"; }};
",
        address.port(),
        address.ip()
    );
    fs::write(home.join("named.conf"), config)?;
    let mut command = process::Command::new("named");
    command.args(["-f", "-n", "1", "-c", "named.conf"]);
    Ok(vec![Setup { name: "bind", home, address, command, workloads: PLAIN.to_vec() }])
}
