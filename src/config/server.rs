//! steersman.yaml: where to listen, which files to read, where to keep state.
//!
//! Paths and globs are kept as written; the shell resolves them against the directory of the file.

use super::reader::{self, Fields, Schema};
use super::yaml::{self, Node, Value};
use crate::check::Reach;
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, Spanned};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What steersman.yaml says, with defaults filled in.
#[derive(Clone, Debug)]
pub struct ServerSection {
    /// The start of the file: the place of what is missing from it.
    pub span: Span,
    /// UDP and TCP addresses.
    pub listen: Vec<SocketAddr>,
    /// Globs of zone files; never empty unless a fault was reported.
    pub zones: Vec<Spanned<String>>,
    /// Globs of policy files.
    pub policies: Vec<Spanned<String>>,
    /// Databases and lists of client places.
    pub geo: GeoSection,
    /// DNS over TLS.
    pub dot: Option<DotSection>,
    /// The admin interface.
    pub admin: Option<AdminListen>,
    /// Where members' own agents may report, and nothing else can be done.
    pub reports: Vec<SocketAddr>,
    /// Where verdicts survive a restart.
    pub state_dir: Option<Spanned<String>>,
    /// How old a kept verdict may be at start.
    pub state_max_age: Duration,
    /// How much room the journal may take below `state_dir`, in octets.
    pub journal_max_octets: u64,
    /// Reload when a file changes.
    pub watch: bool,
    /// Threads that answer; the number of cores when absent.
    pub workers: Option<usize>,
    /// Whether workers stay awake for a moment after each batch.
    pub busy_wait: bool,
    /// How long the first round of probes may hold back the first answer.
    pub startup_deadline: Duration,
    /// Limits of TCP and DoT.
    pub tcp: TcpSection,
    /// Addresses outside that tell, by TCP, whether this node sees anything at all.
    pub canaries: Vec<SocketAddr>,
    /// What probes may do.
    pub probes: ProbesSection,
}

/// Where client places come from.
#[derive(Clone, Debug, Default)]
pub struct GeoSection {
    /// Path of an mmdb file with cities or countries.
    pub city: Option<Spanned<String>>,
    /// Path of an mmdb file with autonomous systems.
    pub asn: Option<Spanned<String>>,
    /// Globs of files with a top-level `regions:`.
    pub regions: Vec<Spanned<String>>,
}

/// DNS over TLS (RFC 7858).
#[derive(Clone, Debug)]
pub struct DotSection {
    /// Addresses.
    pub listen: Vec<SocketAddr>,
    /// Path of the certificate chain, PEM.
    pub certificate: Spanned<String>,
    /// Path of its key, PEM.
    pub key: Spanned<String>,
}

/// Where the admin interface listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdminListen {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(String),
}

/// Limits of TCP and DoT (RFC 7766 section 6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpSection {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_client: usize,
    /// A connection without a query for this long is closed.
    pub idle: Duration,
}

/// What probes may do: the word of whoever runs the server to whoever writes monitors and pools.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbesSection {
    /// Networks that they may reach.
    pub allow: Reach,
    /// Programs that they may run: paths, or directories with `/*` at their end.
    pub programs: Vec<String>,
}

impl ProbesSection {
    /// What holds where nothing is written.
    pub const DEFAULT: ProbesSection = ProbesSection { allow: Reach::USUAL, programs: Vec::new() };

    /// Whether a program may be run. A directory allows what is in it and nothing below.
    pub fn may_run(&self, program: &str) -> bool {
        let (directory, name) = program.rsplit_once('/').unwrap_or(("", program));
        let is_plain = !name.is_empty() && !program.split('/').any(|part| matches!(part, "." | ".."));
        is_plain && self.programs.iter().any(|allowed| *allowed == program || allowed.strip_suffix("/*") == Some(directory))
    }
}

/// The keys of steersman.yaml.
pub const SERVER: Schema = Schema {
    name: "steersman.yaml",
    keys: &[
        "listen",
        "zones",
        "policies",
        "geo",
        "dot",
        "admin",
        "reports",
        "state_dir",
        "state_max_age",
        "journal",
        "watch",
        "workers",
        "busy_wait",
        "startup_deadline",
        "tcp",
        "canaries",
        "probes",
    ],
};
/// The keys of `geo`.
pub const GEO: Schema = Schema { name: "`geo`", keys: &["city", "asn", "regions"] };
/// The keys of `dot`.
pub const DOT: Schema = Schema { name: "`dot`", keys: &["listen", "certificate", "key"] };
/// The keys of `admin`.
pub const ADMIN: Schema = Schema { name: "`admin`", keys: &["listen"] };
/// The keys of `reports`.
pub const REPORTS: Schema = Schema { name: "`reports`", keys: &["listen"] };
/// The keys of `tcp`.
pub const TCP: Schema = Schema { name: "`tcp`", keys: &["connections", "connections_per_client", "idle"] };

/// The keys of `journal`.
pub const JOURNAL: Schema = Schema { name: "`journal`", keys: &["max_size"] };

/// The keys of `probes`.
pub const PROBES: Schema = Schema { name: "`probes`", keys: &["allow", "programs"] };

/// Plain DNS (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;
/// DNS over TLS (RFC 7858 section 3.1).
const DOT_PORT: u16 = 853;
/// Two or three rounds of the usual monitor, and a restart takes less: older verdicts are gossip.
const STATE_MAX_AGE: Duration = Duration::from_mins(10);
/// Some hundred thousand changes: months of a usual estate.
const JOURNAL_MAX_OCTETS: u64 = 64 << 20;
/// Two timeouts of the usual monitor: who has not answered by then will not soon.
const STARTUP_DEADLINE: Duration = Duration::from_secs(5);
/// A descriptor each; leaves room under the usual limit of a service (65,536) and bounds memory to some hundred MB.
const TCP_CONNECTIONS: usize = 4096;
/// A busy resolver keeps a few; an address behind a large NAT has many users.
const TCP_CONNECTIONS_PER_CLIENT: usize = 64;
/// RFC 7766 section 6.2.3 asks for "on the order of seconds".
const TCP_IDLE: Duration = Duration::from_secs(10);
/// More threads than any machine has cores; a larger number is a slip.
const WORKERS_MAX: usize = 1024;
/// Descriptors a process can be given on Linux by default (`fs.nr_open`).
const CONNECTIONS_MAX: usize = 1_048_576;

const DAY: Duration = Duration::from_hours(24);

/// Reads steersman.yaml. `None` only when the text is not YAML or no mapping; otherwise what is faulty is reported and stands
/// at its default, so that the files it names can be read and their faults reported too.
pub fn read(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Option<ServerSection> {
    let root = yaml::parse(source, diagnostics)?;
    let fields = Fields::of(&root, SERVER, diagnostics)?;
    let globs = || reader::non_empty("glob", reader::one_or_list(reader::text));
    Some(ServerSection {
        listen: fields.optional("listen", listen, diagnostics).unwrap_or_else(|| wildcard(DNS_PORT)),
        zones: fields.required("zones", r#"["zones/*.yaml"]"#, globs(), diagnostics).unwrap_or_default(),
        policies: fields.optional("policies", reader::one_or_list(reader::text), diagnostics).unwrap_or_default(),
        geo: fields.optional("geo", geo, diagnostics).unwrap_or_default(),
        dot: fields.optional("dot", dot, diagnostics),
        admin: fields.optional("admin", admin, diagnostics),
        reports: fields.optional("reports", reports, diagnostics).unwrap_or_default(),
        state_dir: fields.optional("state_dir", reader::text, diagnostics),
        state_max_age: fields
            .optional("state_max_age", reader::duration(Duration::from_secs(1)..=DAY), diagnostics)
            .unwrap_or(STATE_MAX_AGE),
        journal_max_octets: fields.optional("journal", journal, diagnostics).unwrap_or(JOURNAL_MAX_OCTETS),
        watch: fields.optional("watch", reader::truth, diagnostics).unwrap_or(false),
        workers: fields.optional("workers", reader::number(1..=WORKERS_MAX as u64), diagnostics).map(to_usize),
        busy_wait: fields.optional("busy_wait", reader::truth, diagnostics).unwrap_or(false),
        startup_deadline: fields
            .optional("startup_deadline", reader::duration(Duration::ZERO..=Duration::from_mins(5)), diagnostics)
            .unwrap_or(STARTUP_DEADLINE),
        tcp: fields.optional("tcp", tcp, diagnostics).unwrap_or(TcpSection::DEFAULT),
        canaries: fields.optional("canaries", listen, diagnostics).unwrap_or_default(),
        probes: fields.optional("probes", probes, diagnostics).unwrap_or(ProbesSection::DEFAULT),
        span: Span::start_of(source),
    })
}

impl TcpSection {
    /// What holds where nothing is written.
    pub const DEFAULT: TcpSection =
        TcpSection { connections: TCP_CONNECTIONS, connections_per_client: TCP_CONNECTIONS_PER_CLIENT, idle: TCP_IDLE };
}

/// Addresses, each once.
fn listen(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<SocketAddr>> {
    let addrs = reader::non_empty("address", reader::one_or_list(reader::socket_address))(node, diagnostics)?;
    let mut distinct: Vec<Spanned<SocketAddr>> = Vec::new();
    for addr in addrs {
        match distinct.iter().find(|earlier| earlier.value == addr.value && addr.value.port() != 0) {
            Some(earlier) => {
                let fault = Diagnostic::error("duplicate-address", &addr.span, format!("`{}` is listed twice", addr.value));
                diagnostics.push(fault.also(&earlier.span, "first here").help("remove one of them"));
            }
            None => distinct.push(addr),
        }
    }
    Some(distinct.into_iter().map(|addr| addr.value).collect())
}

fn wildcard(port: u16) -> Vec<SocketAddr> {
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    any.into_iter().map(|addr| SocketAddr::new(addr, port)).collect()
}

fn geo(node: &Node, diagnostics: &mut Diagnostics) -> Option<GeoSection> {
    let fields = Fields::of(node, GEO, diagnostics)?;
    Some(GeoSection {
        city: fields.optional("city", reader::text, diagnostics),
        asn: fields.optional("asn", reader::text, diagnostics),
        regions: fields.optional("regions", reader::one_or_list(reader::text), diagnostics).unwrap_or_default(),
    })
}

fn dot(node: &Node, diagnostics: &mut Diagnostics) -> Option<DotSection> {
    let fields = Fields::of(node, DOT, diagnostics)?;
    let listen = fields.optional("listen", listen, diagnostics).unwrap_or_else(|| wildcard(DOT_PORT));
    let certificate = fields.required("certificate", "/etc/steersman/tls/chain.pem", reader::text, diagnostics);
    let key = fields.required("key", "/etc/steersman/tls/key.pem", reader::text, diagnostics);
    Some(DotSection { listen, certificate: certificate?, key: key? })
}

fn admin(node: &Node, diagnostics: &mut Diagnostics) -> Option<AdminListen> {
    let fields = Fields::of(node, ADMIN, diagnostics)?;
    fields.required("listen", r#""127.0.0.1:8053""#, admin_listen, diagnostics)
}

fn reports(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<SocketAddr>> {
    let fields = Fields::of(node, REPORTS, diagnostics)?;
    fields.required("listen", r#""192.0.2.53:9054""#, listen, diagnostics)
}

fn admin_listen(node: &Node, diagnostics: &mut Diagnostics) -> Option<AdminListen> {
    let text = reader::scalar(node, "an address and a port, or `unix:` and a path", diagnostics)?;
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Some(AdminListen::Unix(path.to_owned())),
        Some(path) => {
            let help = "write it from the root: `unix:/run/steersman.sock`";
            reader::refuse("bad-address", node, format!("`{path}` is not an absolute path"), help, diagnostics)
        }
        None => reader::socket_address(node, diagnostics).map(|addr| AdminListen::Tcp(addr.value)),
    }
}

fn tcp(node: &Node, diagnostics: &mut Diagnostics) -> Option<TcpSection> {
    let fields = Fields::of(node, TCP, diagnostics)?;
    let count = || reader::number(1..=CONNECTIONS_MAX as u64);
    let idle = reader::duration(Duration::from_millis(100)..=Duration::from_hours(1));
    let default = TcpSection::DEFAULT;
    Some(TcpSection {
        connections: fields.optional("connections", count(), diagnostics).map_or(default.connections, to_usize),
        connections_per_client: fields
            .optional("connections_per_client", count(), diagnostics)
            .map_or(default.connections_per_client, to_usize),
        idle: fields.optional("idle", idle, diagnostics).unwrap_or(default.idle),
    })
}

fn journal(node: &Node, diagnostics: &mut Diagnostics) -> Option<u64> {
    let fields = Fields::of(node, JOURNAL, diagnostics)?;
    Some(fields.optional("max_size", reader::octets(1 << 20..=64 << 30), diagnostics).unwrap_or(JOURNAL_MAX_OCTETS))
}

fn probes(node: &Node, diagnostics: &mut Diagnostics) -> Option<ProbesSection> {
    let fields = Fields::of(node, PROBES, diagnostics)?;
    Some(ProbesSection {
        allow: fields.optional("allow", reach, diagnostics).unwrap_or(Reach::USUAL),
        programs: fields.optional("programs", reader::one_or_list(program), diagnostics).unwrap_or_default(),
    })
}

/// Networks, and the word `default` for what holds where nothing is written.
fn reach(node: &Node, diagnostics: &mut Diagnostics) -> Option<Reach> {
    let network = |node: &Node, diagnostics: &mut Diagnostics| match &node.value {
        Value::Scalar { text, .. } if text == "default" => Some(None),
        Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => reader::prefix(node, diagnostics).map(Some),
    };
    let items = reader::one_or_list(network)(node, diagnostics)?;
    Some(Reach { usual: items.contains(&None), networks: items.into_iter().flatten().collect() })
}

fn program(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = reader::scalar(node, "the path of a program", diagnostics)?;
    if text.starts_with('/') && !text.trim_end_matches("/*").contains('*') {
        return Some(text.to_owned());
    }
    let help = "write a path from the root, or a directory with `/*` behind it: `/usr/lib/steersman/checks/*`";
    reader::refuse("bad-command", node, format!("`{text}` is not the path of a program"), help, diagnostics)
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

//--- What only the shell can find out

/// The fault of a glob that matches no file.
pub fn glob_without_match(glob: &Spanned<String>) -> Diagnostic {
    Diagnostic::error("glob-without-match", &glob.span, format!("no file matches `{}`", glob.value))
        .help("paths count from the directory of steersman.yaml; remove the glob if nothing is meant to be there")
}

/// The fault of a glob that is none; `reason` is what the matcher says.
pub fn bad_glob(glob: &Spanned<String>, reason: &str) -> Diagnostic {
    Diagnostic::error("bad-glob", &glob.span, format!("`{}` is not a glob: {reason}", glob.value))
        .help("`*` stands for any part of a file name, `?` for one character, `[ab]` for one of those listed")
}

/// The fault of a file that was named but cannot be read: a database, or what a glob found.
pub fn unreadable_file(named: &Spanned<String>, path: &str, reason: &str) -> Diagnostic {
    Diagnostic::error("unreadable-file", &named.span, format!("`{path}` cannot be read: {reason}"))
        .help("check the path, counted from the directory of steersman.yaml, and the permissions of the user that runs steersman")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Option<ServerSection>, Vec<String>) {
        let source = Arc::new(Source { name: "steersman.yaml".to_owned(), text: text.to_owned() });
        let mut diagnostics = Diagnostics::new();
        let section = read(&source, &mut diagnostics);
        (section, diagnostics.lines())
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let (section, faults) = read_text("zones: zones/*.yaml\n");
        let section = section.expect("a section");
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(section.listen, wildcard(53));
        assert_eq!(section.zones[0].value, "zones/*.yaml");
        assert_eq!(section.tcp, TcpSection::DEFAULT);
        assert_eq!(section.probes, ProbesSection::DEFAULT);
        assert_eq!((section.admin, section.workers, section.watch), (None, None, false));
        assert_eq!((section.state_max_age, section.startup_deadline), (STATE_MAX_AGE, STARTUP_DEADLINE));
    }

    #[test]
    fn every_key_is_read() {
        let (section, faults) = read_text(
            r#"
listen: ["127.0.0.1:5300", "[::1]:5300"]
zones: [a.yaml, b.yaml]
policies: p/*.yaml
geo: {city: c.mmdb, asn: a.mmdb, regions: [r.yaml]}
dot: {listen: "127.0.0.1:8853", certificate: c.pem, key: k.pem}
admin: {listen: "unix:/run/s.sock"}
state_dir: /var/lib/steersman
state_max_age: 1m
watch: true
workers: 2
startup_deadline: 0s
tcp: {connections: 10, connections_per_client: 2, idle: 1s}
canaries: ["192.0.2.1:53", "[2001:db8::1]:53"]
probes: {allow: [default, 127.0.0.0/8], programs: [/opt/check, /opt/checks/*]}
"#,
        );
        assert_eq!(faults, Vec::<String>::new());
        let section = section.expect("a section");
        assert_eq!((section.listen.len(), section.zones.len(), section.policies.len()), (2, 2, 1));
        assert_eq!(section.admin, Some(AdminListen::Unix("/run/s.sock".to_owned())));
        assert_eq!(section.dot.expect("dot").listen[0].port(), 8853);
        assert_eq!(section.canaries.len(), 2);
        assert_eq!(section.tcp, TcpSection { connections: 10, connections_per_client: 2, idle: Duration::from_secs(1) });
        assert_eq!((section.workers, section.watch, section.startup_deadline), (Some(2), true, Duration::ZERO));
        assert_eq!(section.probes.allow, Reach { usual: true, networks: vec!["127.0.0.0/8".parse().expect("a prefix")] });
    }

    #[test]
    fn only_listed_programs_run_and_no_path_leads_out_of_a_listed_directory() {
        let (section, _) = read_text("zones: z.yaml\nprobes: {programs: [/opt/check, /opt/checks/*]}\n");
        let probes = section.expect("a section").probes;
        assert!(probes.may_run("/opt/check") && probes.may_run("/opt/checks/a"));
        for other in ["/opt/check/a", "/opt/checks/", "/opt/checks/b/a", "/opt/checks/../sh", "/bin/sh", "/opt/checks"] {
            assert!(!probes.may_run(other), "{other}");
        }
        assert!(!ProbesSection::DEFAULT.may_run("/opt/check"));
    }

    #[test]
    fn faulty_values_are_all_reported_and_do_not_hide_the_globs() {
        let (section, faults) = read_text("listen: 53\nzones: z/*.yaml\nwatch: yes\nworkers: 0\nstate_dirr: /x\n");
        assert_eq!(faults.len(), 4, "{faults:#?}");
        assert_eq!(section.expect("a section").zones.len(), 1);
    }
}
