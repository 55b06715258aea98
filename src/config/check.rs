//! What a monitor's probes ask and expect: the keys of each `type`.
//!
//! One table says which type reads which key, so that a key beside the wrong type is reported with the types that it fits.
//! What is read becomes a [`Check`] where it can; what needs more than the section (record data, the member's name) stays a section of its
//! own until it is compiled.

use super::formula::{self, Formula};
use super::reader::{self, Fields, Schema};
use super::text::text_rule;
use super::tls;
use super::yaml::Node;
use crate::check::dns::rcode;
use crate::check::{Check, ExecCheck, GrpcCheck, ReportToken, TcpCheck};
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use crate::dns::{Name, Rtype};
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
        /// What they must show.
        token: Option<ReportToken>,
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
    ("token", &[Kind::Push]),
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
        Kind::Http => sent(port(80, fields, diagnostics), Check::Http(super::http::read(None, fields, diagnostics))),
        Kind::Https => {
            let rules = tls::rules(fields, diagnostics);
            sent(port(443, fields, diagnostics), Check::Http(super::http::read(Some(rules), fields, diagnostics)))
        }
        Kind::Tcp => {
            let check = tcp(fields, diagnostics);
            sent(required_port("443", fields, diagnostics)?, Check::Tcp(check))
        }
        Kind::Tls => sent(port(443, fields, diagnostics), Check::Tls(tls::read(fields, diagnostics))),
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
            Some(CheckSection::Push { expires, token: fields.optional("token", token, diagnostics) })
        }
        Kind::Calculated => formula::read(fields, diagnostics).map(CheckSection::Calculated),
    }
}

/// An agent that reports every ten seconds may lose two reports.
const EXPIRES: Duration = Duration::from_secs(30);
const EXPIRES_MIN: Duration = Duration::from_secs(1);
const EXPIRES_MAX: Duration = Duration::from_hours(24);

/// Nobody guesses sixteen signs; more than a line of them is a slip.
const TOKEN: std::ops::RangeInclusive<usize> = 16..=256;

fn token(node: &Node, diagnostics: &mut Diagnostics) -> Option<ReportToken> {
    let text = reader::scalar(node, "a token", diagnostics)?;
    if TOKEN.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(ReportToken::new(text));
    }
    let message = format!("a token is {} to {} signs of ASCII without spaces", TOKEN.start(), TOKEN.end());
    reader::refuse("bad-token", node, message, "let a machine draw it: `openssl rand -hex 16`", diagnostics)
}

fn port(default: u16, fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> u16 {
    fields.optional("port", reader::number(1..=u16::MAX), diagnostics).unwrap_or(default)
}

fn required_port(example: &str, fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<u16> {
    fields.required("port", example, reader::number(1..=u16::MAX), diagnostics)
}

//--- What must be said

fn tcp(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> TcpCheck {
    let send = fields.optional("send", reader::text, diagnostics).map(|send| send.value.into());
    TcpCheck { send, text: text_rule(fields, diagnostics) }
}

//--- gRPC

fn grpc(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> GrpcCheck {
    let over_tls = fields.optional("tls", reader::truth, diagnostics).unwrap_or(true);
    if !over_tls {
        for key in ["verify", "ca", "client_certificate", "client_key", "expiry_warning", "expiry_failure"] {
            fields.forbid(key, "there is no certificate without TLS", diagnostics);
        }
    }
    let rules = tls::rules(fields, diagnostics);
    let service = fields.optional("service", reader::text, diagnostics);
    GrpcCheck {
        tls: over_tls.then_some(rules),
        host: fields.optional("host", super::http::host, diagnostics),
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
        rcodes: fields.optional("rcode", rcodes, diagnostics).unwrap_or_else(|| vec![NOERROR]),
        answers: fields.optional("answer", reader::one_or_list(reader::text), diagnostics).unwrap_or_default(),
        udp: matches!(transport, DnsTransport::Udp),
        recursion: fields.optional("recursion", reader::truth, diagnostics).unwrap_or(false),
    };
    if !section.rcodes.contains(&NOERROR) {
        fields.forbid("answer", "only NOERROR brings data", diagnostics);
    }
    let question = fields.required("question", "\"www.example.com A\"", question, diagnostics)?;
    Some(DnsSection { question, ..section })
}

/// The response code of an answer (RFC 1035 section 4.1.1).
const NOERROR: u16 = 0;

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
        (Ok(_), Some(rtype)) if rtype.is_meta() => {
            reader::refuse("bad-question", node, format!("`{rtype}` is no type that records have"), help, diagnostics)
        }
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

/// The keys of a monitor, of all kinds.
pub const MONITOR: Schema = Schema {
    name: "a monitor",
    keys: &[
        "type",
        "interval",
        "timeout",
        "fall",
        "rise",
        "fast_interval",
        "window",
        "damping",
        "port",
        "source",
        "host",
        "path",
        "method",
        "headers",
        "body",
        "http_version",
        "expect",
        "contains",
        "matches",
        "within",
        "send",
        "tls",
        "verify",
        "ca",
        "client_certificate",
        "client_key",
        "expiry_warning",
        "expiry_failure",
        "alpn",
        "service",
        "question",
        "rcode",
        "answer",
        "transport",
        "recursion",
        "command",
        "file",
        "expires",
        "token",
        "all",
        "any",
        "at_least",
        "of",
        "not",
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

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
