//! The members in the languages of the servers that probe them: small pools, each with a name that leads to it.

use super::backend::{HOST, Ports, address};
use super::book::Kind;
use crate::contender::{Peer, Setup, steersman};
use crate::system;
use std::fmt::Write;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Members of a pool.
pub const POOL: usize = 10;
/// A probe fails after this.
const TIMEOUT_S: u64 = 2;

/// What is checked of each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// That it accepts a connection.
    Tcp,
    /// That it answers in the clear.
    Http,
    /// That it answers over TLS with a certificate that is verified.
    Https,
    /// The first and the last.
    Both,
}

impl Checks {
    /// All there are.
    pub const ALL: [Checks; 4] = [Checks::Tcp, Checks::Http, Checks::Https, Checks::Both];

    /// As it is written on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Checks::Tcp => "tcp",
            Checks::Http => "http",
            Checks::Https => "https",
            Checks::Both => "both",
        }
    }

    /// Whether a server has them all.
    pub const fn are_known_to(self, peer: Peer) -> bool {
        match self {
            Checks::Tcp | Checks::Http => matches!(peer, Peer::Steersman | Peer::Gdnsd),
            Checks::Https | Checks::Both => matches!(peer, Peer::Steersman),
        }
    }

    const fn kinds(self) -> &'static [Kind] {
        match self {
            Checks::Tcp => &[Kind::Tcp],
            Checks::Http => &[Kind::Http],
            Checks::Https => &[Kind::Https],
            Checks::Both => &[Kind::Tcp, Kind::Https],
        }
    }
}

/// Who is checked, and how.
#[derive(Clone, Debug)]
pub struct Estate {
    /// How.
    pub checks: Checks,
    /// Who, by number.
    pub members: Range<usize>,
    /// The share of members that hang, in percent.
    pub hanging: usize,
    /// Between two TCP probes.
    pub tcp_every: Duration,
    /// Between two HTTP or HTTPS probes.
    pub web_every: Duration,
}

impl Estate {
    /// As the table calls it.
    pub fn title(&self) -> String {
        let kinds: Vec<_> = self.checks.kinds().iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        let hanging = if self.hanging == 0 { String::new() } else { format!(", {} % hang", self.hanging) };
        format!("{}{hanging}", kinds.join(" and "))
    }

    /// From one probe of a kind to the next.
    pub const fn interval(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Tcp => self.tcp_every,
            Kind::Http | Kind::Https => self.web_every,
        }
    }

    /// Spread over all pools.
    const fn hangs(&self, member: usize) -> bool {
        member * self.hanging / 100 != (member + 1) * self.hanging / 100
    }

    /// The pools, and those of the members that do not hang or those that do.
    fn pools(&self, hanging: bool) -> Vec<(usize, Vec<usize>)> {
        let pools = self.members.start / POOL..self.members.end.div_ceil(POOL);
        let members =
            |pool: usize| (pool * POOL..(pool + 1) * POOL).filter(|member| self.members.contains(member) && self.hangs(*member) == hanging);
        pools.map(|pool| (pool, members(pool).collect::<Vec<_>>())).filter(|(_, members)| !members.is_empty()).collect()
    }

    /// Writes a server's config to its directory; the process to start.
    pub fn prepare(&self, peer: Peer, home: &Path, program: &Path, ports: &Ports) -> io::Result<Setup> {
        let listen = SocketAddrV4::new(Ipv4Addr::LOCALHOST, system::free_port()?);
        let command = match peer {
            Peer::Steersman => {
                self.configure_ours(home, listen, ports)?;
                steersman::serve(program)
            }
            Peer::Gdnsd => self.configure_gdnsd(home, listen, ports)?,
            Peer::Knot | Peer::Nsd | Peer::Powerdns | Peer::Bind => {
                return Err(io::Error::other(format!("{} has no checks of many members", peer.word())));
            }
        };
        Ok(Setup { name: peer.word(), home: home.to_owned(), address: listen, command, workloads: Vec::new() })
    }

    //--- Ours

    fn configure_ours(&self, home: &Path, listen: SocketAddrV4, ports: &Ports) -> io::Result<()> {
        let admin = SocketAddrV4::new(Ipv4Addr::LOCALHOST, system::free_port()?);
        fs::write(home.join("admin"), admin.to_string())?;
        fs::write(home.join("authority.pem"), &ports.authority)?;
        fs::write(
            home.join("steersman.yaml"),
            format!(
                "listen: [\"{listen}\"]\nzones: [zone.yaml]\npolicies: [policies.yaml]\nworkers: 1\nprobes: {{allow: [default, 127.0.0.0/8]}}\nadmin: {{listen: \"{admin}\"}}\n"
            ),
        )?;
        self.write_ours(home, ports)
    }

    /// Writes zone and policies anew, for a reload.
    pub fn write_ours(&self, home: &Path, ports: &Ports) -> io::Result<()> {
        let mut zone = String::from(
            "zone: example.com\nsoa: {mname: ns1, rname: admin, serial: 1, minimum: 5s}\nrecords:\n  \"@\": {NS: ns1}\n  ns1: {A: 192.0.2.1}\n",
        );
        let monitors: Vec<_> = self.checks.kinds().iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        let (mut hung_ports, mut pools) = (String::new(), String::from("pools:\n"));
        if self.hanging > 0 {
            let port = if self.checks == Checks::Tcp { ports.deaf } else { ports.mute };
            let _ = write!(hung_ports, ", probe_port: {port}");
        }
        let mut members: Vec<(usize, Vec<usize>)> = self.pools(false);
        members.extend(self.pools(true));
        members.sort_unstable();
        for same in members.chunk_by(|(one, _), (other, _)| one == other) {
            let number = same[0].0;
            let member = |member: &usize| {
                let port = if self.hangs(*member) { &hung_ports } else { "" };
                format!("{{name: m{member}, a: {}{port}}}", address(*member))
            };
            let all: Vec<_> = same.iter().flat_map(|(_, members)| members).map(member).collect();
            let _ = writeln!(pools, "  p{number}: {{monitors: [{}], members: [{}]}}", monitors.join(", "), all.join(", "));
            let _ = writeln!(zone, "  p{number}: {{steer: p{number}}}");
        }
        fs::write(home.join("zone.yaml"), zone)?;
        fs::write(home.join("policies.yaml"), self.monitors(ports) + &pools)
    }

    fn monitors(&self, ports: &Ports) -> String {
        let mut text = String::from("monitors:\n");
        for kind in self.checks.kinds() {
            let check = match kind {
                Kind::Tcp => format!("tcp: {{type: tcp, port: {}", ports.tcp),
                Kind::Http => format!("http: {{type: http, port: {}, path: /, host: {HOST}", ports.http),
                Kind::Https => format!("https: {{type: https, port: {}, path: /, host: {HOST}, ca: authority.pem", ports.https),
            };
            let _ = writeln!(text, "  {check}, interval: {}ms, timeout: {TIMEOUT_S}s}}", self.interval(*kind).as_millis());
        }
        text
    }

    //--- gdnsd

    fn configure_gdnsd(&self, home: &Path, listen: SocketAddrV4, ports: &Ports) -> io::Result<Command> {
        for directory in ["zones", "run", "state"] {
            fs::create_dir_all(home.join(directory))?;
        }
        let (service, interval) = match self.checks {
            Checks::Tcp => ("plugin => tcp_connect".to_owned(), self.tcp_every),
            Checks::Http | Checks::Https | Checks::Both => {
                (format!("plugin => http_status, url_path => /, vhost => {HOST}"), self.web_every)
            }
        };
        let (well, ill) = if self.checks == Checks::Tcp { (ports.tcp, ports.deaf) } else { (ports.http, ports.mute) };
        let kind = |name: &str, port: u16| {
            format!("{name} => {{ {service}, port => {port}, interval => {}, timeout => {TIMEOUT_S} }}\n", interval.as_secs().max(1))
        };
        let path = home.display();
        let mut config = format!(
            "options => {{ listen => [ {listen} ], udp_threads => 1, tcp_threads => 1, run_dir => {path}/run, state_dir => {path}/state }}\n\
             service_types => {{\n{}{}}}\nplugins => {{ multifo => {{\n",
            kind("well", well),
            kind("ill", ill)
        );
        let mut zone =
            String::from("$ORIGIN example.com.\n@ 3600 SOA ns1 admin 1 7200 900 1209600 5\n@ 3600 NS ns1\nns1 3600 A 192.0.2.1\n");
        for (service, hanging) in [("well", false), ("ill", true)] {
            for (pool, members) in self.pools(hanging) {
                let named: Vec<_> = members.iter().map(|member| format!("m{member} => {}", address(*member))).collect();
                let _ = writeln!(config, "{service}{pool} => {{ service_types => {service}, {} }}", named.join(", "));
                let _ = writeln!(zone, "{service}{pool} 60 DYNA multifo!{service}{pool}");
            }
        }
        config.push_str("} }\n");
        fs::write(home.join("config"), config)?;
        fs::write(home.join("zones/example.com"), zone)?;
        let mut command = Command::new("gdnsd");
        command.args(["-c", ".", "start"]);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estate(hanging: usize) -> Estate {
        let every = Duration::from_secs(5);
        Estate { checks: Checks::Both, members: 25..1025, hanging, tcp_every: every, web_every: every }
    }

    #[test]
    fn a_share_of_the_members_hangs_and_every_member_is_in_one_pool() {
        for (hanging, wanted) in [(0, 0), (1, 10), (10, 100), (100, 1000)] {
            let estate = estate(hanging);
            let count = |hanging| estate.pools(hanging).iter().map(|(_, members)| members.len()).sum::<usize>();
            assert_eq!((count(true), count(false)), (wanted, 1000 - wanted));
        }
        assert_eq!(estate(0).pools(false)[0], (2, (25..30).collect()));
    }
}
