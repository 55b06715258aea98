//! `steersman demo`: everything on one machine, from data inside the program.
//!
//! Three toy load balancers, a zone that steers to them, and the very server that `serve` runs. Nothing is read from or
//! written to disk.

mod toy;

use self::toy::Toy;
use super::{block_on, fail, say};
use crate::compile::{Inputs, compile};
use crate::config;
use crate::diagnostic::{Diagnostics, Source};
use crate::io::serve::{Addresses, Plan, Signals, serve};
use crate::snapshot::Snapshot;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// No privileges are needed above 1024, and 5353 is taken by mDNS on many desktops.
pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5300));
/// As in the shipped steersman.yaml.
pub const ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8053));
/// The port of the toy load balancers, as written in policies.yaml.
pub const BACKEND_PORT: u16 = 8080;

/// Loopback addresses that need no set-up on Linux: all of 127/8 is there.
const TOYS: [(&str, IpAddr); 3] = [("fra", toy_addr(1)), ("nyc", toy_addr(2)), ("tyo", toy_addr(3))];

const fn toy_addr(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 10, last))
}

/// Runs the demo until Ctrl-C.
pub fn run(listen: SocketAddr, admin: SocketAddr, backend_port: u16) -> ExitCode {
    match block_on(play(listen, admin, backend_port)) {
        Ok(()) => {
            say("\nThe demo is over.\n");
            ExitCode::SUCCESS
        }
        Err(why) => fail(&format!("{why}\n(the demo's ports can be changed: --listen, --admin, --backend-port)")),
    }
}

async fn play(listen: SocketAddr, admin: SocketAddr, backend_port: u16) -> Result<(), String> {
    let toys: Vec<Toy> = TOYS.into_iter().map(|(region, addr)| Toy::bind(region, addr, backend_port)).collect::<Result<_, _>>()?;
    for toy in toys {
        tokio::spawn(toy.serve());
    }
    let start = Instant::now();
    serve(Plan {
        signals: Signals::listen()?,
        snapshot: snapshot(listen, admin, backend_port),
        reload: None,
        announce: Box::new(move |change| {
            // That three toys are well at the start is no news.
            if !change.is_first_pass() {
                say(&format!("[{:7.1}s] {change}\n", start.elapsed().as_secs_f64()));
            }
        }),
        started: Box::new(move |addresses| say(&welcome(addresses, listen, backend_port))),
    })
    .await
}

fn snapshot(listen: SocketAddr, admin: SocketAddr, backend_port: u16) -> Snapshot {
    let source = |name: &str, text: String| Arc::new(Source { name: name.to_owned(), text });
    let server = format!(
        "listen: \"{listen}\"\nzones: zone.yaml\npolicies: policies.yaml\ngeo: {{city: city.mmdb}}\nadmin: {{listen: \"{admin}\"}}\nprobes: {{allow: 127.0.0.0/8}}\n"
    );
    let policies = include_str!("policies.yaml").replace(&format!("port: {BACKEND_PORT}"), &format!("port: {backend_port}"));
    let mut diagnostics = Diagnostics::new();
    let inputs = Inputs {
        server: config::server::read(&source("demo/steersman.yaml", server), &mut diagnostics).expect("a test reads the demo's data"),
        base: PathBuf::new(),
        policies: vec![source("demo/policies.yaml", policies)],
        regions: Vec::new(),
        zones: vec![source("demo/zone.yaml", include_str!("zone.yaml").to_owned())],
        city: Some(include_bytes!("../../../geoip/city.mmdb").to_vec()),
        asn: None,
        cores: 1,
    };
    let (snapshot, found) = compile(inputs);
    diagnostics.append(found);
    debug_assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    snapshot.expect("a test compiles the demo's data")
}

fn welcome(addresses: &Addresses, listen: SocketAddr, backend_port: u16) -> String {
    let dns = addresses.dns.first().map_or(listen, |listening| listening.bound);
    let dig = format!("dig @{} -p {} +short", dns.ip(), dns.port());
    let admin = addresses.admin.as_deref().unwrap_or("?");
    // As it was called, so that the line can be copied.
    let program = std::env::args().next().unwrap_or_else(|| "steersman".to_owned());
    format!(
        "\n\
         Three toy load balancers answer on 127.0.10.1 (fra), 127.0.10.2 (nyc) and 127.0.10.3 (tyo), port {backend_port}.\n\
         Steersman probes each once a second and answers for gslb.example.com on {dns}, UDP and TCP.\n\
         \n\
         Ask, in another terminal:\n\
         \x20 {dig} www.gslb.example.com +subnet=192.0.2.0/24      # geo: a client in Germany\n\
         \x20 {dig} www.gslb.example.com +subnet=198.51.100.0/24   # geo: a client in New York\n\
         \x20 {dig} www.gslb.example.com +subnet=203.0.113.0/24    # geo: a client in Japan\n\
         \x20 {dig} main.gslb.example.com                          # failover: fra, nyc, tyo\n\
         \x20 {dig} share.gslb.example.com                         # weighted: fra 3, nyc 1\n\
         \x20 {dig} fast.gslb.example.com                          # latency\n\
         \x20 {dig} turns.gslb.example.com                         # round robin\n\
         \n\
         Make a region ill, and well again:\n\
         \x20 curl -X POST http://127.0.10.1:{backend_port}/fail\n\
         \x20 curl -X POST http://127.0.10.1:{backend_port}/revive\n\
         \n\
         Look inside:\n\
         \x20 {program} status --admin {admin}\n\
         \x20 curl http://{admin}/metrics\n\
         \n\
         Changes of verdicts follow; Ctrl-C ends the demo.\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_config_compiles_and_follows_the_flags() {
        let snapshot = snapshot(LISTEN, ADMIN, 18080);
        assert_eq!(snapshot.settings.listen, [LISTEN]);
        assert!(snapshot.targets.rows().iter().all(|target| target.addr.port() == 18080));
        assert_eq!(snapshot.targets.len(), 3);
    }
}
