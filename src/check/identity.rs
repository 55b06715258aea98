//! What makes a target this target and no other, as one line of text.
//!
//! `https 192.0.2.1:443 host=www.example.com GET /healthz expect=200`: the same text is the same check, over reloads too. It
//! is shown in status, metrics and the log and kept in the state file, so that what may be secret (headers, bodies, arguments) or long
//! appears as a short hash only.

use super::feed::Subject;
use super::{Check, DnsCheck, ExecCheck, GrpcCheck, HttpCheck, HttpVersion, TcpCheck, TextRule, TlsCheck, TlsRules};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// The identity of a check of `addr`, made from the local address `source` where one was written.
pub fn identity_of(addr: SocketAddr, source: Option<IpAddr>, check: &Check) -> String {
    let mut line = Line(String::new());
    match check {
        Check::Tcp(check) => line.tcp(addr, check),
        Check::Tls(check) => line.tls(addr, check),
        Check::Http(check) => line.http(addr, check),
        Check::Grpc(check) => line.grpc(addr, check),
        Check::Dns(check) => line.dns(addr, check),
        Check::Icmp => line.word(&format!("icmp {}", addr.ip())),
        Check::Exec(check) => {
            line.word(&format!("exec {}", if addr.port() == 0 { addr.ip().to_string() } else { addr.to_string() }));
            line.exec(check);
        }
        // How long a word holds changes nothing of what was said: who changes `expires` must not lose all reports.
        Check::File(check) => line.word(&format!("file {} {}", name(&check.subject), check.path.display())),
        Check::Push(check) => line.word(&format!("push {} {}", name(&check.subject), check.monitor)),
    }
    if let Some(source) = source {
        line.key("source", &source);
    }
    line.0
}

fn name(subject: &Subject) -> String {
    format!("{}/{}", subject.pool, subject.member)
}

struct Line(String);

impl Line {
    fn word(&mut self, word: &str) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(word);
    }

    fn key(&mut self, key: &str, value: &dyn std::fmt::Display) {
        self.word(&format!("{key}={value}"));
    }

    fn tcp(&mut self, addr: SocketAddr, check: &TcpCheck) {
        self.word(&format!("tcp {addr}"));
        if let Some(send) = &check.send {
            self.key("send", &hash(send));
        }
        self.text(&check.text);
    }

    fn tls(&mut self, addr: SocketAddr, check: &TlsCheck) {
        self.word(&format!("tls {addr}"));
        self.host(check.host.as_deref(), addr);
        if !check.alpn.is_empty() {
            self.key("alpn", &check.alpn.join(","));
        }
        self.rules(&check.rules);
    }

    fn http(&mut self, addr: SocketAddr, check: &HttpCheck) {
        self.word(&format!("{} {addr}", check.scheme()));
        self.host(check.host.as_deref(), addr);
        self.word(&format!("{} {}", check.method.word(), check.path));
        let range = |&(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
        self.key("expect", &check.expect.iter().map(range).collect::<Vec<_>>().join(","));
        match check.version {
            HttpVersion::One => {}
            HttpVersion::Two => self.key("http", &2),
        }
        if !check.headers.is_empty() {
            let headers: Vec<String> = check.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            self.key("headers", &hash(&headers.join("\n")));
        }
        if let Some(body) = &check.body {
            self.key("body", &hash(body));
        }
        self.text(&check.text);
        check.tls.iter().for_each(|rules| self.rules(rules));
    }

    fn grpc(&mut self, addr: SocketAddr, check: &GrpcCheck) {
        self.word(&format!("{} {addr}", if check.tls.is_some() { "grpcs" } else { "grpc" }));
        self.host(check.host.as_deref(), addr);
        if !check.service.is_empty() {
            self.key("service", &check.service);
        }
        check.tls.iter().for_each(|rules| self.rules(rules));
    }

    fn dns(&mut self, addr: SocketAddr, check: &DnsCheck) {
        self.word(&format!("dns {addr} {} {}", check.name, check.rtype));
        self.key("rcode", &check.rcodes.iter().map(|&code| super::dns::rcode_word(code)).collect::<Vec<_>>().join(","));
        for answer in &check.answers {
            self.key("answer", &super::dns::present(check.rtype, answer));
        }
        if !check.udp {
            self.word("tcp");
        }
        if check.recursion {
            self.word("recursive");
        }
    }

    fn exec(&mut self, check: &ExecCheck) {
        let mut words = check.command.iter();
        if let Some(program) = words.next() {
            self.word(program);
        }
        let arguments: Vec<&str> = words.map(|word| &**word).collect();
        if !arguments.is_empty() {
            // No argument holds a zero.
            self.key("arguments", &hash(&arguments.join("\0")));
        }
    }

    fn host(&mut self, host: Option<&str>, addr: SocketAddr) {
        match host {
            Some(host) => self.key("host", &host),
            None => self.key("host", &addr.ip()),
        }
    }

    fn text(&mut self, rule: &TextRule) {
        for text in &rule.contains {
            self.word(&format!("contains={text:?}"));
        }
        if let Some(pattern) = &rule.matches {
            self.word(&format!("matches={pattern:?}"));
        }
        if !rule.is_empty() && rule.within != TextRule::WITHIN {
            self.key("within", &rule.within);
        }
    }

    fn rules(&mut self, rules: &TlsRules) {
        let TlsRules { verify, ca, client, expiry_failure } = rules;
        if !verify {
            self.word("unverified");
        }
        if let Some(ca) = ca {
            self.key("ca", &ca.display());
        }
        if let Some(client) = client {
            self.key("client", &format_args!("{},{}", client.certificate.display(), client.key.display()));
        }
        if !expiry_failure.is_zero() {
            self.key("expiry_failure", &format_args!("{}s", expiry_failure.as_secs()));
        }
    }
}

/// A short hash that is the same on every machine and in every version (FNV-1a), cut to 32 bits: enough to tell the checks of
/// one address apart, too little to guess a secret from. Two checks with one hash are told apart by the compiler.
fn hash(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut out = String::from("#");
    write!(out, "{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff)).expect("writing to a string succeeds");
    out
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn https() -> HttpCheck {
        HttpCheck { tls: Some(TlsRules::STRICT), host: Some("www.example.com".into()), ..HttpCheck::get("/healthz") }
    }

    fn identity(check: HttpCheck) -> String {
        identity_of("[2001:db8::1]:443".parse().expect("an address"), None, &Check::Http(check))
    }

    #[test]
    fn a_plain_check_reads_like_what_it_is() {
        let ranges = HttpCheck { expect: vec![(200, 200), (300, 399)], ..https() };
        assert_eq!(identity(ranges), "https [2001:db8::1]:443 host=www.example.com GET /healthz expect=200,300-399");
        assert_eq!(identity(HttpCheck::get("/")), "http [2001:db8::1]:443 host=2001:db8::1 GET / expect=200-299");
        let addr = "192.0.2.1:25".parse().expect("an address");
        assert_eq!(identity_of(addr, None, &Check::Tcp(TcpCheck::CONNECT)), "tcp 192.0.2.1:25");
        assert_eq!(identity_of(addr, "192.0.2.9".parse().ok(), &Check::Icmp), "icmp 192.0.2.1 source=192.0.2.9");
    }

    #[test]
    fn whatever_changes_what_is_asked_or_expected_is_another_identity() {
        let tls = |change: fn(&mut TlsRules)| {
            let mut rules = TlsRules::STRICT;
            change(&mut rules);
            HttpCheck { tls: Some(rules), ..https() }
        };
        let text = |contains: &[&str], matches: Option<&str>, within| HttpCheck {
            text: TextRule {
                contains: contains.iter().map(|&text| text.into()).collect(),
                matches: matches.map(|text| Pattern::parse(text).expect("sound")),
                within,
            },
            ..https()
        };
        let checks = [
            https(),
            HttpCheck { tls: None, ..https() },
            HttpCheck { host: None, ..https() },
            HttpCheck { path: "/".into(), ..https() },
            HttpCheck { method: Method::Post, ..https() },
            HttpCheck { method: Method::Post, body: Some("x".into()), ..https() },
            HttpCheck { headers: vec![("a".into(), "b".into())], ..https() },
            HttpCheck { headers: vec![("a".into(), "c".into())], ..https() },
            HttpCheck { version: HttpVersion::Two, ..https() },
            HttpCheck { expect: vec![(200, 200)], ..https() },
            text(&["ok"], None, TextRule::WITHIN),
            text(&["ok"], None, 10),
            text(&[], Some("ok"), TextRule::WITHIN),
            tls(|rules| rules.verify = false),
            tls(|rules| rules.ca = Some(Path::new("/ca.pem").into())),
            tls(|rules| rules.expiry_failure = Duration::from_mins(1)),
            tls(|rules| rules.client = Some(ClientFiles { certificate: Path::new("/c").into(), key: Path::new("/k").into() })),
        ];
        let count = checks.len();
        let distinct: BTreeSet<String> = checks.into_iter().map(identity).collect();
        assert_eq!(distinct.len(), count, "{distinct:#?}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret =
            HttpCheck { headers: vec![("authorization".into(), "Bearer hunter2".into())], body: Some("hunter2".into()), ..https() };
        assert!(!identity(secret).contains("hunter2"));
        let exec = |words: &[&str]| {
            let check = ExecCheck { command: words.iter().map(|&word| word.into()).collect() };
            identity_of("192.0.2.1:0".parse().expect("an address"), None, &Check::Exec(check))
        };
        let shown = exec(&["/usr/lib/check", "--password", "hunter2"]);
        assert!(shown.starts_with("exec 192.0.2.1 /usr/lib/check arguments=#") && !shown.contains("hunter2"), "{shown}");
        assert_ne!(shown, exec(&["/usr/lib/check", "--password", "hunter3"]));
        assert_ne!(exec(&["/usr/lib/check", "a", "b"]), exec(&["/usr/lib/check", "a b"]));
        assert_eq!(exec(&["/usr/lib/check"]), "exec 192.0.2.1 /usr/lib/check");
    }

    #[test]
    fn how_long_a_word_holds_makes_no_other_target() {
        let subject = Subject { pool: "web".into(), member: "fra-1".into() };
        let addr = "192.0.2.1:0".parse().expect("an address");
        let identity = |expires| {
            let push = PushCheck { monitor: "agent".into(), subject: subject.clone(), expires, token: None };
            let file = FileCheck { path: Path::new("/feed").into(), subject: subject.clone(), expires: Some(expires) };
            [Check::Push(push), Check::File(file)].map(|check| identity_of(addr, None, &check))
        };
        assert_eq!(identity(Duration::from_secs(30)), identity(Duration::from_secs(31)));
    }
}
