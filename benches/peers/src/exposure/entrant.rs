//! A server with one kind of check, set up for two sites: everything to the first while it lives, else to the second. All have the
//! same interval, timeout, thresholds and TTL limits, as far as they know them.

use super::{FALL, INTERVAL, RISE, TIMEOUT, TTL_MAX_S, TTL_MIN_S};
use crate::contender::{Peer, Setup};
use crate::system;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;

/// The name that all serve.
pub const NAME: &str = "www.example.com";

/// A server and its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrant {
    /// Ours by HTTP, as it comes.
    Http,
    /// Ours by HTTP, without the hurry that the first failure brings: it sends as many probes as the others.
    HttpUnhurried,
    /// Ours by HTTP, believing a single probe as PowerDNS does.
    HttpCredulous,
    /// Ours by TCP, as it comes.
    Tcp,
    /// gdnsd's plugin `http_status`.
    GdnsdHttp,
    /// gdnsd's plugin `tcp_connect`.
    GdnsdTcp,
    /// PowerDNS' `ifurlup`.
    PowerdnsUrl,
    /// PowerDNS' `ifportup`.
    PowerdnsPort,
}

impl Entrant {
    /// All there are.
    pub const ALL: [Entrant; 8] = [
        Entrant::Http,
        Entrant::HttpUnhurried,
        Entrant::HttpCredulous,
        Entrant::GdnsdHttp,
        Entrant::PowerdnsUrl,
        Entrant::Tcp,
        Entrant::GdnsdTcp,
        Entrant::PowerdnsPort,
    ];

    /// As the tables call it.
    pub const fn title(self) -> &'static str {
        match self {
            Entrant::Http => "steersman http",
            Entrant::HttpUnhurried => "steersman http, unhurried",
            Entrant::HttpCredulous => "steersman http, fall and rise 1",
            Entrant::Tcp => "steersman tcp",
            Entrant::GdnsdHttp => "gdnsd http_status",
            Entrant::GdnsdTcp => "gdnsd tcp_connect",
            Entrant::PowerdnsUrl => "powerdns ifurlup",
            Entrant::PowerdnsPort => "powerdns ifportup",
        }
    }

    /// Whose it is.
    pub const fn peer(self) -> Peer {
        match self {
            Entrant::Http | Entrant::HttpUnhurried | Entrant::HttpCredulous | Entrant::Tcp => Peer::Steersman,
            Entrant::GdnsdHttp | Entrant::GdnsdTcp => Peer::Gdnsd,
            Entrant::PowerdnsUrl | Entrant::PowerdnsPort => Peer::Powerdns,
        }
    }

    /// Writes its config below `directory`; the process to start. It probes `port` of both members.
    pub fn prepare(self, directory: &Path, steersman: &Path, members: [Ipv4Addr; 2], port: u16) -> io::Result<Setup> {
        let home = directory.join(self.title().replace([' ', ','], "-"));
        fs::create_dir_all(&home)?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, system::free_port()?);
        let thresholds = format!("fall: {FALL}, rise: {RISE}");
        let command = match self {
            Entrant::Http => ours(&home, steersman, address, members, &format!("type: http, path: /, port: {port}, {thresholds}"))?,
            Entrant::HttpUnhurried => {
                let unhurried = format!("fast_interval: {}s, window: none", INTERVAL.as_secs());
                ours(&home, steersman, address, members, &format!("type: http, path: /, port: {port}, {thresholds}, {unhurried}"))?
            }
            Entrant::HttpCredulous => {
                ours(&home, steersman, address, members, &format!("type: http, path: /, port: {port}, fall: 1, rise: 1"))?
            }
            Entrant::Tcp => ours(&home, steersman, address, members, &format!("type: tcp, port: {port}, {thresholds}"))?,
            Entrant::GdnsdHttp => gdnsd(&home, address, members, &format!("plugin => http_status, url_path => /, port => {port}"))?,
            Entrant::GdnsdTcp => gdnsd(&home, address, members, &format!("plugin => tcp_connect, port => {port}"))?,
            Entrant::PowerdnsUrl => {
                let [first, second] = members;
                let timeout = TIMEOUT.as_secs();
                let url = format!("ifurlup('http://members.test:{port}/', {{{{'{first}'}}, {{'{second}'}}}}, {{timeout={timeout}}})");
                powerdns(&home, address, &url)?
            }
            Entrant::PowerdnsPort => powerdns(&home, address, &first_port(members, port))?,
        };
        Ok(Setup { name: self.title(), home, address, command, workloads: Vec::new() })
    }
}

/// `ifportup` knows no order: all that are up, of which the first is taken.
fn first_port([first, second]: [Ipv4Addr; 2], port: u16) -> String {
    let timeout = TIMEOUT.as_secs();
    format!(
        ";local up = ifportup({port}, {{'{first}', '{second}'}}, {{timeout={timeout}, selector='all', backupSelector='all'}}) return {{up[1]}}"
    )
}

const ZONE: &str = "$ORIGIN example.com.\n@ 3600 SOA ns1 admin 1 7200 900 1209600 5\n@ 3600 NS ns1\nns1 3600 A 192.0.2.1\n";

fn ours(home: &Path, steersman: &Path, address: SocketAddrV4, members: [Ipv4Addr; 2], check: &str) -> io::Result<Command> {
    let [first, second] = members;
    let (interval, timeout) = (INTERVAL.as_secs(), TIMEOUT.as_secs());
    fs::write(
        home.join("steersman.yaml"),
        format!(
            "listen: [\"{address}\"]\nzones: [zone.yaml]\npolicies: [policies.yaml]\nworkers: 1\nprobes: {{allow: [default, 127.0.0.0/8]}}\n"
        ),
    )?;
    // The others know no damping: it would be a handicap where one member dies round after round.
    let policies = format!(
        "monitors:\n  check: {{{check}, interval: {interval}s, timeout: {timeout}s, damping: none}}\n\
         pools:\n  first: {{monitor: check, members: [{{name: a, a: {first}}}]}}\n  second: {{monitor: check, members: [{{name: b, a: {second}}}]}}\n\
         policies:\n  www: {{type: failover, use: [first, second], ttl: {{max: {TTL_MAX_S}s, min: {TTL_MIN_S}s}}}}\n"
    );
    fs::write(home.join("policies.yaml"), policies)?;
    let zone = "zone: example.com\nsoa: {mname: ns1, rname: admin, serial: 1, minimum: 5s}\nrecords:\n  \"@\": {NS: ns1}\n  ns1: {A: 192.0.2.1}\n  www: {steer: www}\n";
    fs::write(home.join("zone.yaml"), zone)?;
    let mut command = Command::new(steersman);
    command.args(["serve", "--config", "steersman.yaml"]);
    Ok(command)
}

fn gdnsd(home: &Path, address: SocketAddrV4, [first, second]: [Ipv4Addr; 2], check: &str) -> io::Result<Command> {
    for directory in ["zones", "run", "state"] {
        fs::create_dir_all(home.join(directory))?;
    }
    let (path, interval, timeout) = (home.display(), INTERVAL.as_secs(), TIMEOUT.as_secs());
    // With an `ok_thresh` of 1 its failures count in a row, as ours do.
    let config = format!(
        "options => {{ listen => [ {address} ], udp_threads => 1, tcp_threads => 1, run_dir => {path}/run, state_dir => {path}/state }}\n\
         service_types => {{ check => {{ {check}, interval => {interval}, timeout => {timeout}, down_thresh => {FALL}, ok_thresh => 1, up_thresh => {RISE} }} }}\n\
         plugins => {{ metafo => {{ resources => {{ www => {{ service_types => check, datacenters => [ a, b ], dcmap => {{ a => {first}, b => {second} }} }} }} }} }}\n"
    );
    fs::write(home.join("config"), config)?;
    fs::write(home.join("zones/example.com"), format!("{ZONE}www {TTL_MAX_S}/{TTL_MIN_S} DYNA metafo!www\n"))?;
    let mut command = Command::new("gdnsd");
    command.args(["-c", ".", "start"]);
    Ok(command)
}

fn powerdns(home: &Path, address: SocketAddrV4, lua: &str) -> io::Result<Command> {
    let path = home.display();
    fs::write(home.join("zone"), format!("{ZONE}www {TTL_MAX_S} LUA A \"{lua}\"\n"))?;
    fs::write(home.join("named.conf"), format!("zone \"example.com\" {{ type master; file \"{path}/zone\"; }};\n"))?;
    let config = format!(
        "local-address={}\nlocal-port={}\nlaunch=bind\nbind-config={path}/named.conf\nsocket-dir={path}\nreceiver-threads=1\n\
         enable-lua-records=shared\nlua-health-checks-interval={}\ndaemon=no\nguardian=no\ndisable-syslog=yes\nloglevel=3\n",
        address.ip(),
        address.port(),
        INTERVAL.as_secs()
    );
    fs::write(home.join("pdns.conf"), config)?;
    let mut command = Command::new("pdns_server");
    command.args(["--config-dir=."]);
    Ok(command)
}
