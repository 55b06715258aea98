//! A zone is the same zone in YAML and as a master file: every question gets the same octets for an answer.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

#[path = "support/live.rs"]
mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use steersman::answer::{Client, Disposition, STREAM_PAYLOAD_MAX, Scratch, Transport, respond};
use steersman::dns::{Name, Rtype};
use steersman::explain::{Case, presentation};
use steersman::live::Live;

const POLICIES: &str = "
pools:
  web: {members: [{name: one, a: 192.0.2.1, aaaa: \"2001:db8::1\"}]}
  app: {members: [{name: two, a: 192.0.2.2}]}
";

const YAML: &str = r#"
zone: Example.com
ttl: 300s
soa: {mname: ns1, rname: hostmaster.example.org., serial: 7, refresh: 1h, retry: 15m, expire: 7d, minimum: 30s}
records:
  "@": {NS: [ns1, ns.example.net.], MX: ["10 mail", "20 mail.example.net."], steer: web, TXT: ['"a b" "c;\"d"', plain]}
  ns1: {A: 192.0.2.53, AAAA: "2001:db8::53"}
  mail: {ttl: 1h30m, A: [192.0.2.25, 192.0.2.26]}
  www: {CNAME: "@"}
  WWW2: {CNAME: Www.example.com.}
  "*.app": {steer: app}
  deep.below.nothing: {A: 192.0.2.7}
  "*.wild": {TXT: any}
  _sip._tcp: {SRV: ["10 5 5060 mail", "20 5 5060 ."]}
  cut: {NS: [ns.cut, ns1], DS: "1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
  ns.cut: {A: 192.0.2.99}
  odd\.dot: {A: 192.0.2.8}
  caa: {CAA: '0 issue "ca.example.net"'}
  web: {HTTPS: 1 . alpn=h2 port=443}
  odd: {TYPE65280: '\# 3 abcdef'}
  ptr: {PTR: www}
"#;

const MASTER: &str = r#"$ORIGIN com.
$TTL 5m
Example IN 300 SOA ns1.example hostmaster.example.org. (
        7        ; serial
        1h 15M 7d 30 )
$ORIGIN Example.com.
        NS      ns1
 IN     NS      ns.example.net.
@       MX      10 mail
        IN MX   20 mail.example.net.
        STEER   web
        TXT     "a b" "c;\"d"
        TXT     plain
mail    1h30m IN A 192.0.2.25
mail    IN 5400 A 192.0.2.26
ns1     A       192.0.2.53
        aaaa    2001:db8::53
www     CNAME   @
WWW2    CNAME   Www.example.com.
*.app   IN      STEER app
deep.below.nothing.example.com. A 192.0.2.7
*.wild  TXT     any
_sip._tcp SRV   10 5 5060 mail
_sip._tcp SRV   ( 20
                  5 5060 .)
cut     NS      ns.cut
        NS      ns1
        DS      1 13 2 ( 0123456789abcdef0123456789abcdef
                         0123456789abcdef0123456789abcdef )
ns.cut  A       \# 4 C0 00 02 63
odd\.dot A      192.0.2.8
caa     CAA     0 issue "ca.example.net"
web     HTTPS   1 . alpn=h2 port=443
odd     TYPE65280 \# 3 AB CDEF
ptr     PTR     www"#;

fn live(zone: &str) -> Live {
    let snapshot = support::snapshot(POLICIES, &[zone]).unwrap_or_else(|report| panic!("{report}"));
    support::live(Arc::new(snapshot), &BTreeMap::new())
}

fn ask(live: &Live, name: &str, qtype: Rtype) -> Vec<u8> {
    let client: IpAddr = "198.51.100.53".parse().expect("an address");
    let case = Case { name: Name::parse(name, &Name::root()).expect("a name"), qtype, client, subnet: None, seed: 1 };
    let mut out = vec![0; STREAM_PAYLOAD_MAX];
    let asker = Client { source: client, transport: Transport::Tcp };
    match respond(live, &asker, &case.query(), &mut Scratch::new(1), &mut out) {
        Disposition::Send { len, .. } => out[..len].to_vec(),
        Disposition::Drop(reason) => panic!("{name} {qtype}: {reason:?}"),
    }
}

#[test]
fn every_question_gets_the_same_answer_from_both_formats() {
    let (yaml, master) = (live(YAML), live(MASTER));
    let names = [
        "",
        "ns1.",
        "mail.",
        "www.",
        "www2.",
        "app.",
        "x.app.",
        "x.y.app.",
        "*.app.",
        "nothing.",
        "below.nothing.",
        "deep.below.nothing.",
        "x.nothing.",
        "wild.",
        "x.wild.",
        "_tcp.",
        "_sip._tcp.",
        "cut.",
        "ns.cut.",
        "x.cut.",
        r"odd\.dot.",
        "odd.",
        "dot.",
        "caa.",
        "web.",
        "ptr.",
        "no.",
    ];
    let mut answers = 0;
    for name in names {
        for number in [1, 2, 5, 6, 12, 15, 16, 28, 33, 43, 65, 255, 257, 65280] {
            let (name, qtype) = (format!("{name}example.com."), Rtype(number));
            let (one, other) = (ask(&yaml, &name, qtype), ask(&master, &name, qtype));
            // Records come in the order in which the file has them, so octets can be compared.
            assert_eq!(presentation(&one), presentation(&other), "{name} {qtype}");
            assert_eq!(one, other, "{name} {qtype}");
            answers += usize::from(one[7] > 0);
        }
    }
    assert!(answers > 40, "only {answers} questions were answered with data");
}

#[test]
fn both_formats_count_the_same_names() {
    let counts = |zone| {
        let live = live(zone);
        let counts: Vec<_> = live.snapshot.zones.iter().map(|(_, zone)| (zone.counts(), zone.negative_ttl_s)).collect();
        let mut steered: Vec<String> = live.snapshot.zones.steered().map(|(name, _)| name.to_string()).collect();
        steered.sort();
        (counts, steered)
    };
    assert_eq!(counts(YAML), counts(MASTER));
}
