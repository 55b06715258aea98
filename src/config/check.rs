//! What a monitor's probes ask and expect: the keys of each `type`.
//!
//! One table says which type reads which key, so that a key beside the wrong type is reported with the types that it fits.
//! What is read becomes a [`Check`] where it can; what needs more than the section (record data, the member's name) stays a section of its
//! own until it is compiled.

use super::monitor::MONITOR;
use super::reader::{self, Fields, Schema};
use super::yaml::{Node, Value};
use crate::check::dns::rcode;
use crate::check::{
    Check, ClientFiles, ExecCheck, GrpcCheck, HttpCheck, HttpVersion, Method, Pattern, TcpCheck, TextRule, TlsCheck, TlsRules,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use crate::dns::{Name, Rtype};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a probe does.
#[derive(Clone, Debug)]
pub enum CheckSection {
    /// Everything that is asked of an address; port 0 where the check knows no ports.
    Sent {
        /// The port to connect to.
        port: u16,
        /// What is asked there. Its files are named as they were written.
        check: Check,
    },
    /// Asks a DNS question.
    Dns(DnsSection),
    /// Looks into a file that somebody else writes.
    File {
        /// Its path.
        path: Spanned<String>,
        /// How old it may be.
        expires: Option<Duration>,
    },
    /// Waits for reports.
    Push {
        /// How long without one.
        expires: Duration,
    },
    /// Asks nothing by itself: other monitors decide.
    Calculated(Formula),
}

/// A DNS question and what must be answered, as it was written.
#[derive(Clone, Debug)]
pub struct DnsSection {
    /// The port to ask at.
    pub port: u16,
    /// Name and type.
    pub question: (Name, Rtype),
    /// Response codes that pass.
    pub rcodes: Vec<u16>,
    /// Record data that must be among the answers, each as a zone file has it.
    pub answers: Vec<Spanned<String>>,
    /// UDP first, or TCP at once.
    pub udp: bool,
    /// Whether recursion is desired.
    pub recursion: bool,
}

/// How a calculated monitor decides.
#[derive(Clone, Debug)]
pub enum Formula {
    /// As this monitor does.
    Monitor(Spanned<String>),
    /// So many of these must hold.
    AtLeast {
        /// How many.
        needed: usize,
        /// Of these.
        of: Vec<Formula>,
    },
    /// This must not hold.
    Not(Box<Formula>),
}

/// The keys of a formula inside another.
pub const FORMULA: Schema = Schema { name: "a calculation", keys: &["all", "any", "at_least", "of", "not"] };

/// A kind of check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// A TCP connection.
    Tcp,
    /// A TLS handshake.
    Tls,
    /// The gRPC health service.
    Grpc,
    /// A DNS question.
    Dns,
    /// An echo request.
    Icmp,
    /// A program.
    Exec,
    /// A feed.
    File,
    /// Reports.
    Push,
    /// Other monitors.
    Calculated,
}

/// The words for them.
pub const KINDS: &[(&str, Kind)] = &[
    ("https", Kind::Https),
    ("http", Kind::Http),
    ("tcp", Kind::Tcp),
    ("tls", Kind::Tls),
    ("grpc", Kind::Grpc),
    ("dns", Kind::Dns),
    ("icmp", Kind::Icmp),
    ("exec", Kind::Exec),
    ("file", Kind::File),
    ("push", Kind::Push),
    ("calculated", Kind::Calculated),
];

/// Keys that only some kinds read, and who does. All other keys of a monitor are read by every kind that makes probes.
const READERS: &[(&str, &[Kind])] = &[
    ("port", &[Kind::Https, Kind::Http, Kind::Tcp, Kind::Tls, Kind::Grpc, Kind::Dns, Kind::Exec]),
    ("source", &[Kind::Https, Kind::Http, Kind::Tcp, Kind::Tls, Kind::Grpc, Kind::Dns, Kind::Icmp]),
    ("path", HTTP),
    ("host", &[Kind::Https, Kind::Http, Kind::Tls, Kind::Grpc]),
    ("method", HTTP),
    ("headers", HTTP),
    ("body", HTTP),
    ("http_version", HTTP),
    ("expect", HTTP),
    ("contains", TEXT),
    ("matches", TEXT),
    ("within", TEXT),
    ("send", &[Kind::Tcp]),
    ("tls", &[Kind::Grpc]),
    ("service", &[Kind::Grpc]),
    ("alpn", &[Kind::Tls]),
    ("verify", TLS),
    ("ca", TLS),
    ("client_certificate", TLS),
    ("client_key", TLS),
    ("expiry_warning", TLS),
    ("expiry_failure", TLS),
    ("question", &[Kind::Dns]),
    ("rcode", &[Kind::Dns]),
    ("answer", &[Kind::Dns]),
    ("transport", &[Kind::Dns]),
    ("recursion", &[Kind::Dns]),
    ("command", &[Kind::Exec]),
    ("file", &[Kind::File]),
    ("expires", &[Kind::File, Kind::Push]),
    ("all", &[Kind::Calculated]),
    ("any", &[Kind::Calculated]),
    ("at_least", &[Kind::Calculated]),
    ("of", &[Kind::Calculated]),
    ("not", &[Kind::Calculated]),
];
const HTTP: &[Kind] = &[Kind::Https, Kind::Http];
const TEXT: &[Kind] = &[Kind::Https, Kind::Http, Kind::Tcp];
const TLS: &[Kind] = &[Kind::Https, Kind::Tls, Kind::Grpc];

impl Kind {
    fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("?", |(word, _)| word)
    }

    /// Why it does not read a key; none when it does.
    fn refuses(self, key: &str) -> Option<String> {
        match READERS.iter().find(|(read, _)| *read == key) {
            Some((_, kinds)) if kinds.contains(&self) => None,
            Some((_, kinds)) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.word()).collect();
                Some(format!("it is read by {} monitors, and this one is `{}`", kinds.join(", "), self.word()))
            }
            None if self == Kind::Calculated && key != "type" => Some("a calculated monitor makes no probes of its own".to_owned()),
            None => None,
        }
    }
}

/// Reads what a monitor of this kind asks; keys that it does not read are reported.
pub fn read(kind: Kind, fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<CheckSection> {
    for key in MONITOR.keys {
        if let Some(why) = kind.refuses(key) {
            fields.forbid(key, &why, diagnostics);
        }
    }
    let sent = |port, check| Some(CheckSection::Sent { port, check });
    match kind {
        Kind::Http => sent(port(80, fields, diagnostics), Check::Http(http(None, fields, diagnostics))),
        Kind::Https => {
            let rules = tls_rules(fields, diagnostics);
            sent(port(443, fields, diagnostics), Check::Http(http(Some(rules), fields, diagnostics)))
        }
        Kind::Tcp => {
            let check = tcp(fields, diagnostics);
            sent(required_port("443", fields, diagnostics)?, Check::Tcp(check))
        }
        Kind::Tls => sent(port(443, fields, diagnostics), Check::Tls(tls(fields, diagnostics))),
        Kind::Grpc => {
            let check = grpc(fields, diagnostics);
            sent(required_port("50051", fields, diagnostics)?, Check::Grpc(check))
        }
        Kind::Icmp => sent(0, Check::Icmp),
        Kind::Exec => {
            let port = port(0, fields, diagnostics);
            sent(port, Check::Exec(exec(fields, diagnostics)?))
        }
        Kind::Dns => dns(fields, diagnostics).map(CheckSection::Dns),
        Kind::File => {
            let path = fields.required("file", "/run/steersman/feed", reader::text, diagnostics);
            let expires = fields.optional("expires", reader::duration(EXPIRES_MIN..=EXPIRES_MAX), diagnostics);
            Some(CheckSection::File { path: path?, expires })
        }
        Kind::Push => {
            let expires = fields.optional("expires", reader::duration(EXPIRES_MIN..=EXPIRES_MAX), diagnostics).unwrap_or(EXPIRES);
            Some(CheckSection::Push { expires })
        }
        Kind::Calculated => formula(fields, diagnostics).map(CheckSection::Calculated),
    }
}

/// An agent that reports every ten seconds may lose two reports.
const EXPIRES: Duration = Duration::from_secs(30);
const EXPIRES_MIN: Duration = Duration::from_secs(1);
const EXPIRES_MAX: Duration = Duration::from_hours(24);

fn port(default: u16, fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> u16 {
    fields.optional("port", reader::number(1..=u16::MAX), diagnostics).unwrap_or(default)
}

fn required_port(example: &str, fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<u16> {
    fields.required("port", example, reader::number(1..=u16::MAX), diagnostics)
}

//--- HTTP

/// A redirect usually shows that the request met another virtual host than the one meant: it passes only where written.
const EXPECT: (u16, u16) = (200, 299);

const METHODS: &[(&str, Method)] =
    &[("GET", Method::Get), ("HEAD", Method::Head), ("OPTIONS", Method::Options), ("POST", Method::Post), ("PUT", Method::Put)];
const VERSIONS: &[(&str, HttpVersion)] = &[("1.1", HttpVersion::One), ("2", HttpVersion::Two)];

fn http(tls: Option<TlsRules>, fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> HttpCheck {
    let expect = reader::non_empty("status", reader::one_or_list(status_range));
    let method = fields.optional("method", reader::choice(METHODS), diagnostics).unwrap_or(Method::Get);
    if !method.takes_body() {
        fields.forbid("body", "only POST and PUT send one", diagnostics);
    }
    if method == Method::Head {
        fields.forbid("contains", "the answer to HEAD has no body", diagnostics);
        fields.forbid("matches", "the answer to HEAD has no body", diagnostics);
    }
    HttpCheck {
        tls,
        version: fields.optional("http_version", reader::choice(VERSIONS), diagnostics).unwrap_or(HttpVersion::One),
        host: fields.optional("host", host, diagnostics),
        path: fields.optional("path", path, diagnostics).unwrap_or_else(|| "/".into()),
        method,
        headers: fields.optional("headers", headers, diagnostics).unwrap_or_default(),
        body: fields.optional("body", reader::text, diagnostics).map(|body| body.value.into()),
        expect: fields.optional("expect", expect, diagnostics).map_or_else(|| vec![EXPECT], merged),
        text: text_rule(fields, diagnostics),
    }
}

fn path(node: &Node, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
    let text = reader::scalar(node, "a path such as `/healthz`", diagnostics)?;
    if !text.starts_with('/') {
        let help = format!("write `/{text}`");
        return reader::refuse("bad-path", node, format!("the path `{text}` does not begin with a slash"), &help, diagnostics);
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains('#') {
        return Some(text.into());
    }
    let help = "write spaces, `#` and letters beyond ASCII as `%20`, `%23` and so on";
    reader::refuse("bad-path", node, format!("the path `{text}` cannot be sent as it is"), help, diagnostics)
}

/// A host name in lower case, since names are equal in either case (RFC 4343): so are the checks.
fn host(node: &Node, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
    let text = reader::scalar(node, "a host name", diagnostics)?;
    let help = "write the name alone, such as `www.example.com`: the port has a key of its own";
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if is_name && text.len() <= 253 && text.split('.').all(|label| (1..=63).contains(&label.len())) {
        return Some(text.to_ascii_lowercase().into());
    }
    match text.parse::<std::net::IpAddr>() {
        Ok(addr) => Some(addr.to_string().into()),
        Err(_) => reader::refuse("bad-host", node, format!("`{text}` is not a host name"), help, diagnostics),
    }
}

/// Headers that are not the operator's to write: they frame the message, or have a key of their own.
const MANAGED: [&str; 6] = ["host", "connection", "content-length", "transfer-encoding", "te", "upgrade"];

fn headers(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    let entries = reader::mapping(node, "headers", diagnostics)?;
    Some(entries.iter().filter_map(|(name, value)| header(name, value, diagnostics)).collect())
}

fn header(name: &Spanned<String>, value: &Node, diagnostics: &mut Diagnostics) -> Option<(Arc<str>, Arc<str>)> {
    let lower = name.value.to_ascii_lowercase();
    let fault = |message: String, help: &str| Diagnostic::error("bad-header", &name.span, message).help(help.to_owned());
    if MANAGED.contains(&lower.as_str()) {
        let help = if lower == "host" { "use the key `host`" } else { "remove it" };
        diagnostics.push(fault(format!("the header `{}` is written by the prober itself", name.value), help));
        return None;
    }
    // RFC 9110 section 5.1: a token.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if lower.is_empty() || !lower.bytes().all(is_token) {
        diagnostics.push(fault(format!("`{}` cannot be the name of a header", name.value), "write a name such as `X-Probe`"));
        return None;
    }
    let text = reader::scalar(value, "the value of a header", diagnostics)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t')) {
        return Some((lower.into(), text.into()));
    }
    let help = "use letters, digits and signs of ASCII, on one line";
    reader::refuse("bad-header", value, format!("the value of `{}` cannot be sent", name.value), help, diagnostics)
}

/// `200`, or `200-299`.
fn status_range(node: &Node, diagnostics: &mut Diagnostics) -> Option<(u16, u16)> {
    let text = reader::scalar(node, "a status such as `200` or `200-299`", diagnostics)?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (200..=599).contains(status));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        (Some(_) | None, Some(_) | None) => {
            let help = "write statuses from 200 to 599, alone or as a range: `[200, 300-399]`";
            reader::refuse("bad-status", node, format!("`{text}` is not an HTTP status or a range of them"), help, diagnostics)
        }
    }
}

/// Sorted, with ranges that touch made one: the same statuses are the same check, however they are written.
fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut out: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match out.last_mut() {
            Some(open) if first <= open.1 + 1 => open.1 = open.1.max(last),
            Some(_) | None => out.push((first, last)),
        }
    }
    out
}

//--- What must be said

/// More than this is a download, not a health page.
const WITHIN_MAX: usize = 1024 * 1024;

fn text_rule(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> TextRule {
    let texts = reader::non_empty("text", reader::one_or_list(reader::text));
    let contains = fields.optional("contains", texts, diagnostics).unwrap_or_default();
    let matches = fields.optional("matches", pattern, diagnostics);
    if contains.is_empty() && !fields.has("contains") && !fields.has("matches") {
        fields.forbid("within", "nothing is looked for; write `contains` or `matches`", diagnostics);
    }
    TextRule {
        contains: contains.into_iter().map(|text| text.value.into()).collect(),
        matches,
        within: fields.optional("within", within, diagnostics).unwrap_or(TextRule::WITHIN),
    }
}

fn within(node: &Node, diagnostics: &mut Diagnostics) -> Option<usize> {
    reader::number(1..=WITHIN_MAX as u64)(node, diagnostics).and_then(|octets| usize::try_from(octets).ok())
}

fn pattern(node: &Node, diagnostics: &mut Diagnostics) -> Option<Pattern> {
    let text = reader::scalar(node, "a regular expression", diagnostics)?;
    match Pattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            let help =
                "the syntax is that of the Rust crate regex: no look-around, no back-references; in single quotes YAML leaves `\\` alone";
            reader::refuse("bad-pattern", node, format!("`{text}` is not a regular expression: {why}"), help, diagnostics)
        }
    }
}

fn tcp(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> TcpCheck {
    let send = fields.optional("send", reader::text, diagnostics).map(|send| send.value.into());
    TcpCheck { send, text: text_rule(fields, diagnostics) }
}

//--- TLS

/// Certificates are not asked to live for longer than ten years more.
const EXPIRY_MAX: Duration = Duration::from_hours(24 * 3650);

fn tls_rules(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> TlsRules {
    let path = |key, diagnostics: &mut Diagnostics| {
        let text = fields.optional(key, reader::text, diagnostics)?;
        Some(Arc::from(Path::new(&text.value)))
    };
    let verify = fields.optional("verify", reader::truth, diagnostics).unwrap_or(true);
    if !verify {
        fields.forbid("ca", "nothing is verified", diagnostics);
    }
    let client = (path("client_certificate", diagnostics), path("client_key", diagnostics));
    for (written, other) in [("client_certificate", "client_key"), ("client_key", "client_certificate")] {
        if let (Some(span), false) = (fields.key_span(written), fields.has(other)) {
            let fault = Diagnostic::error("missing-key", span, format!("`{written}` needs `{other}` beside it"));
            diagnostics.push(fault.help(format!("add `{other}: tls/probe.pem`")));
        }
    }
    TlsRules {
        verify,
        ca: path("ca", diagnostics),
        client: client.0.zip(client.1).map(|(certificate, key)| ClientFiles { certificate, key }),
        expiry_failure: fields.optional("expiry_failure", reader::duration(Duration::ZERO..=EXPIRY_MAX), diagnostics).unwrap_or_default(),
    }
}

/// How long before its end a certificate is warned of, where that is written.
pub fn expiry_warning(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Duration> {
    fields.optional("expiry_warning", reader::duration(Duration::ZERO..=EXPIRY_MAX), diagnostics)
}

/// The files that the keys of a monitor name.
pub fn files(fields: &Fields<'_>) -> Vec<Spanned<String>> {
    // Faults of these were reported when the rules were read.
    let mut unheard = Diagnostics::new();
    ["ca", "client_certificate", "client_key"].into_iter().filter_map(|key| fields.optional(key, reader::text, &mut unheard)).collect()
}

fn tls(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> TlsCheck {
    TlsCheck {
        host: fields.optional("host", host, diagnostics),
        rules: tls_rules(fields, diagnostics),
        alpn: fields.optional("alpn", reader::one_or_list(protocol), diagnostics).unwrap_or_default(),
    }
}

fn protocol(node: &Node, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
    let text = reader::scalar(node, "a protocol such as `h2`", diagnostics)?;
    // RFC 7301 section 3.1.
    if text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.into());
    }
    let help = "write a name from the IANA list of ALPN protocols, such as `h2`, `http/1.1` or `dot`";
    reader::refuse("bad-choice", node, format!("`{text}` is no application protocol"), help, diagnostics)
}

fn grpc(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> GrpcCheck {
    let over_tls = fields.optional("tls", reader::truth, diagnostics).unwrap_or(true);
    if !over_tls {
        for key in ["verify", "ca", "client_certificate", "client_key", "expiry_warning", "expiry_failure"] {
            fields.forbid(key, "there is no certificate without TLS", diagnostics);
        }
    }
    let rules = tls_rules(fields, diagnostics);
    let service = fields.optional("service", reader::text, diagnostics);
    GrpcCheck {
        tls: over_tls.then_some(rules),
        host: fields.optional("host", host, diagnostics),
        service: service.map_or_else(|| "".into(), |service| service.value.into()),
    }
}

//--- DNS

#[derive(Clone, Copy)]
enum DnsTransport {
    Udp,
    Tcp,
}

const TRANSPORTS: &[(&str, DnsTransport)] = &[("udp", DnsTransport::Udp), ("tcp", DnsTransport::Tcp)];

fn dns(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<DnsSection> {
    let rcodes = reader::non_empty("response code", reader::one_or_list(response_code));
    let transport = fields.optional("transport", reader::choice(TRANSPORTS), diagnostics).unwrap_or(DnsTransport::Udp);
    let section = DnsSection {
        port: port(53, fields, diagnostics),
        question: (Name::root(), Rtype::A),
        rcodes: fields.optional("rcode", rcodes, diagnostics).unwrap_or_else(|| vec![0]),
        answers: fields.optional("answer", reader::one_or_list(reader::text), diagnostics).unwrap_or_default(),
        udp: matches!(transport, DnsTransport::Udp),
        recursion: fields.optional("recursion", reader::truth, diagnostics).unwrap_or(false),
    };
    let question = fields.required("question", "\"www.example.com A\"", question, diagnostics)?;
    Some(DnsSection { question, ..section })
}

fn response_code(node: &Node, diagnostics: &mut Diagnostics) -> Option<u16> {
    let text = reader::scalar(node, "a response code such as `NOERROR`", diagnostics)?;
    rcode(text).or_else(|| {
        let help = "write `NOERROR`, `NXDOMAIN`, `REFUSED`, `SERVFAIL` and so on, as dig prints it";
        reader::refuse("bad-choice", node, format!("`{text}` is no response code"), help, diagnostics)
    })
}

/// `www.example.com A`.
fn question(node: &Node, diagnostics: &mut Diagnostics) -> Option<(Name, Rtype)> {
    let text = reader::scalar(node, "a name and a type such as `www.example.com A`", diagnostics)?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let help = "write a name and a record type: `\"www.example.com A\"`";
    let &[name, rtype] = words.as_slice() else {
        return reader::refuse("bad-question", node, format!("`{text}` is not a name and a type"), help, diagnostics);
    };
    match (Name::parse(name, &Name::root()), Rtype::parse(rtype)) {
        (Ok(name), Some(rtype)) => Some((name.lowercase(), rtype)),
        (Err(error), _) => reader::refuse("bad-question", node, format!("`{name}` is no domain name: {error}"), help, diagnostics),
        (Ok(_), None) => reader::refuse("bad-question", node, format!("`{rtype}` is no record type"), help, diagnostics),
    }
}

//--- Programs

/// More arguments than this are a program of their own.
const WORDS_MAX: usize = 64;

fn exec(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<ExecCheck> {
    let words = reader::non_empty("word", reader::list("words", reader::text));
    let command = fields.required("command", "[/usr/lib/steersman/check, \"{address}\"]", words, diagnostics)?;
    let program = command.first()?;
    if !program.value.starts_with('/') || command.len() > WORDS_MAX {
        let message = format!("`{}` is not a program by its path from the root, with at most {WORDS_MAX} words", program.value);
        let help = "write the whole path, and the arguments behind it, each as an item: no shell reads this";
        diagnostics.push(Diagnostic::error("bad-command", &program.span, message).help(help));
        return None;
    }
    Some(ExecCheck { command: command.into_iter().map(|word| word.value.into()).collect() })
}

//--- Formulas

/// The formula that the keys of a mapping write: exactly one of `all`, `any`, `at_least` with `of`, `not`.
fn formula(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Formula> {
    let written: Vec<&'static str> = ["all", "any", "at_least", "not"].into_iter().filter(|key| fields.has(key)).collect();
    let &[key] = written.as_slice() else {
        let message = match written.as_slice() {
            [] => "nothing says how to calculate".to_owned(),
            several => format!("`{}` are written, and one of them decides", several.join("` and `")),
        };
        let help = "write one of `all: [a, b]`, `any: [a, b]`, `at_least: 2` with `of: [a, b, c]`, `not: a`";
        diagnostics.push(Diagnostic::error("bad-formula", &fields.head(), message).help(help));
        return None;
    };
    if key != "at_least" {
        fields.forbid("of", "it belongs to `at_least`", diagnostics);
    }
    let parts = |key, diagnostics: &mut Diagnostics| {
        let list = reader::non_empty("monitor", reader::one_or_list(term));
        fields.required(key, "[a, b, c]", list, diagnostics)
    };
    match key {
        "not" => fields.optional("not", term, diagnostics).map(|inner| Formula::Not(Box::new(inner))),
        "at_least" => {
            let of = parts("of", diagnostics)?;
            let needed = fields.optional("at_least", reader::number(1..=of.len() as u64), diagnostics)?;
            Some(Formula::AtLeast { needed: usize::try_from(needed).ok()?, of })
        }
        "any" => parts("any", diagnostics).map(|of| Formula::AtLeast { needed: 1, of }),
        _ => parts("all", diagnostics).map(|of| Formula::AtLeast { needed: of.len(), of }),
    }
}

/// The name of a monitor, or a formula.
fn term(node: &Node, diagnostics: &mut Diagnostics) -> Option<Formula> {
    match &node.value {
        Value::Mapping(_) => formula(&Fields::of(node, FORMULA, diagnostics)?, diagnostics),
        Value::Scalar { .. } | Value::Sequence(_) => reader::name(node, diagnostics).map(Formula::Monitor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_statuses_are_the_same_however_they_are_written() {
        assert_eq!(merged(vec![(204, 204), (200, 203), (201, 202)]), [(200, 204)]);
        assert_eq!(merged(vec![(301, 301), (200, 299)]), [(200, 299), (301, 301)]);
    }

    #[test]
    fn every_key_that_only_some_kinds_read_is_a_key_of_monitors() {
        assert!(READERS.iter().all(|(key, _)| MONITOR.keys.contains(key)));
    }

    #[test]
    fn a_key_beside_the_wrong_type_names_the_types_that_it_fits() {
        assert_eq!(Kind::Tcp.refuses("path").as_deref(), Some("it is read by https, http monitors, and this one is `tcp`"));
        assert_eq!((Kind::Http.refuses("path"), Kind::Tcp.refuses("interval")), (None, None));
        assert!(Kind::Calculated.refuses("interval").is_some() && Kind::Calculated.refuses("type").is_none());
    }
}
