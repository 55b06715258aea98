//! What `respond` promises whatever comes: it never panics, never writes too much, and allocates nothing.

#[path = "support/live.rs"]
mod support;

use hickory_proto::op::Message;
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use steersman::answer::{
    Asked, Client, Disposition, Scratch, Transport, UDP_PAYLOAD_MAX, anticipate, anticipate_further, respond, respond_anticipated,
};
use steersman::dns::{Name, Rtype};
use steersman::explain::Case;
use steersman::health::Verdict;
use steersman::live::Live;

//--- A heap that counts

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator as it came; counting touches no memory of the caller.
#[allow(unsafe_code, reason = "a global allocator cannot be written otherwise; this is a test")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

//--- A config with a bit of everything

const POLICIES: &str = r#"
regions: {dach: {country: [DE, AT, CH]}, office: {cidr: [203.0.113.0/28]}}
pools:
  fra: {members: [{name: fra-1, a: 192.0.2.1, aaaa: "2001:db8::1", weight: 3}, {name: fra-2, a: 192.0.2.2}]}
  nyc: {members: [{name: nyc-1, a: 198.51.100.1, aaaa: "2001:db8:1::1"}]}
  tok: {choose: round_robin, members: [{name: tok-1, a: 203.0.113.1}, {name: tok-2, a: 203.0.113.2}, {name: tok-3, a: 203.0.113.3}]}
  six: {pick: 6, members: [{name: x1, a: 192.0.2.31}, {name: x2, a: 192.0.2.32}, {name: x3, a: 192.0.2.33}, {name: x4, a: 192.0.2.34}, {name: x5, a: 192.0.2.35}, {name: x6, a: 192.0.2.36}, {name: x7, a: 192.0.2.37}]}
policies:
  eu: {type: failover, use: [fra, nyc]}
  split: {type: weighted, use: [{to: fra, weight: 3}, {to: nyc, weight: 1}]}
  rr: {type: round_robin, use: [fra, nyc, six]}
  near: {type: latency, use: [fra, nyc], tolerance: 10ms}
  www: {type: geo, rules: [{match: {region: office}, use: tok}, {match: {region: dach}, use: eu}, {match: {continent: EU}, use: split}], default: near}
  open: {type: failover, use: [fra], on_all_down: serve_all}
"#;

const ZONE: &str = r#"
zone: gslb.example.com
soa: {mname: ns1, rname: hostmaster}
records:
  "@": {NS: [ns1], MX: "10 ns1", TXT: hello, steer: www}
  ns1: {A: 192.0.2.53, AAAA: "2001:db8::53"}
  eu: {steer: eu}
  split: {steer: split}
  rr: {steer: rr}
  near: {steer: near}
  six: {steer: six}
  open: {steer: open}
  "*.app": {steer: www}
  alias: {CNAME: x.app}
  chain: {CNAME: alias}
  cut: {NS: [ns.cut]}
  ns.cut: {A: 192.0.2.99}
"#;

const NAMES: [&str; 16] = [
    "", "ns1.", "eu.", "split.", "rr.", "near.", "six.", "open.", "a.app.", "b.c.app.", "alias.", "chain.", "cut.", "www.cut.", "nothing.",
    "app.",
];

/// All up; some down; all down; all unknown.
static LIVES: LazyLock<Vec<Live>> = LazyLock::new(|| {
    let snapshot = Arc::new(support::snapshot(POLICIES, &[ZONE]).unwrap_or_else(|report| panic!("{report}")));
    let members = ["fra-1", "fra-2", "nyc-1", "tok-1", "tok-2", "tok-3", "x1", "x2", "x3", "x4", "x5", "x6", "x7"];
    let believing = |members: &[&str], verdict: Verdict| {
        let verdicts: BTreeMap<String, Verdict> = members.iter().map(|name| ((*name).to_owned(), verdict)).collect();
        support::live(Arc::clone(&snapshot), &verdicts)
    };
    vec![
        believing(&[], support::UP),
        believing(&["fra-1", "nyc-1", "tok-2", "x3"], support::DOWN),
        believing(&members, support::DOWN),
        believing(&members, Verdict::UNKNOWN),
    ]
});

fn query(name: &str, qtype: Rtype, subnet: Option<&str>) -> Vec<u8> {
    let zone = Name::parse("gslb.example.com.", &Name::root()).expect("a name");
    let name = if name.is_empty() { zone } else { Name::parse(name.trim_end_matches('.'), &zone).expect("a name") };
    let subnet = subnet.map(|subnet| subnet.parse().expect("a prefix"));
    Case { name, qtype, client: "127.1.0.1".parse().expect("an address"), subnet, seed: 0 }.query()
}

fn queries() -> Vec<Vec<u8>> {
    let types = [Rtype::A, Rtype::AAAA, Rtype::NS, Rtype::SOA, Rtype::TXT, Rtype::MX, Rtype::CNAME, Rtype::ANY, Rtype::DS, Rtype::AXFR];
    let subnets = [None, Some("127.1.0.0/24"), Some("203.0.113.0/24"), Some("2001:db8::/56")];
    let all = |name: &'static str| types.into_iter().flat_map(move |qtype| subnets.map(|subnet| query(name, qtype, subnet)));
    NAMES.into_iter().flat_map(all).collect()
}

fn client(transport: Transport) -> Client {
    Client { source: "127.2.0.1".parse().expect("an address"), transport }
}

/// Answers, and checks what holds for every answer.
fn ask(live: &Live, packet: &[u8], seed: u64) -> Disposition {
    let mut out = [0xa5; UDP_PAYLOAD_MAX + 8];
    let disposition = respond(live, &client(Transport::Udp), packet, &mut Scratch::new(seed), &mut out[..UDP_PAYLOAD_MAX]);
    assert!(out[UDP_PAYLOAD_MAX..].iter().all(|&octet| octet == 0xa5));
    assert_eq!(ask_anticipated(live, packet, seed), (disposition, out), "anticipation changed the answer to {packet:02x?}");
    if let Disposition::Send { len, truncated, .. } = disposition {
        let response = &out[..len];
        assert_eq!(response[..2], packet[..2], "the id comes back");
        assert_eq!(response[2] & 0x80, 0x80, "QR is set");
        assert_eq!(response[2] & 0x02 != 0, truncated);
        assert_eq!(response[3] & 0xb0, 0, "RA, AD and CD are clear");
        let error = Message::from_vec(response).err().map(|error| error.to_string());
        // hickory-proto knows no subnet of the empty family, which the client gets back as it came.
        let familiar = error.filter(|error| error != "unknown address family: 0x0");
        assert_eq!(familiar, None, "{response:02x?} to {packet:02x?}");
    }
    disposition
}

/// The same as a worker does it: the packet is looked at with others of its batch before it is answered.
fn ask_anticipated(live: &Live, packet: &[u8], seed: u64) -> (Disposition, [u8; UDP_PAYLOAD_MAX + 8]) {
    let mut out = [0xa5; UDP_PAYLOAD_MAX + 8];
    let batch = [query("www.", Rtype::A, None), packet.to_vec(), query("eu.", Rtype::A, None)];
    let source = client(Transport::Udp).source;
    let mut asked = [Asked::new(), Asked::new(), Asked::new()];
    for (packet, asked) in batch.iter().zip(&mut asked) {
        anticipate(live, source, packet, asked);
    }
    while asked.iter_mut().fold(false, |leads_further, asked| leads_further | anticipate_further(live, asked)) {}
    let mut scratch = Scratch::new(seed);
    let room = &mut out[..UDP_PAYLOAD_MAX];
    let disposition = respond_anticipated(live, &client(Transport::Udp), packet, &mut asked[1], &mut scratch, room);
    (disposition, out)
}

proptest! {
    // Failing cases are printed with their seed; nothing is written into the tree.
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_octets_never_panic(packet in prop::collection::vec(any::<u8>(), 0..300), live in 0..4usize, seed: u64) {
        ask(&LIVES[live], &packet, seed);
    }

    #[test]
    fn a_query_with_some_octets_changed_never_panics(
        which in 0..640usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()), live in 0..4usize, seed: u64,
    ) {
        static QUERIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(queries);
        let mut packet = QUERIES[which].clone();
        for (at, octet) in changes {
            let at = at.index(packet.len());
            packet[at] = octet;
        }
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len()));
        }
        ask(&LIVES[live], &packet, seed);
    }

    #[test]
    fn a_question_of_random_labels_is_answered_or_refused(
        labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..63), 0..6), ours: bool, qtype: u16, live in 0..4usize, seed: u64,
    ) {
        let mut packet = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            packet.push(u8::try_from(label.len()).expect("at most 62"));
            packet.extend(label);
        }
        packet.extend(if ours { &b"\x04gSlb\x07example\x03com\x00"[..] } else { b"\x00" });
        packet.extend(qtype.to_be_bytes());
        packet.extend([0, 1]);
        ask(&LIVES[live], &packet, seed);
    }
}

#[test]
fn respond_allocates_nothing() {
    let (queries, lives) = (queries(), &*LIVES);
    let (mut scratch, mut asked) = (Scratch::new(1), Asked::new());
    let mut out = vec![0; 65_535];
    for transport in [Transport::Udp, Transport::Tcp] {
        for packet in &queries {
            for live in lives {
                let before = ALLOCATIONS.get();
                let disposition = respond(live, &client(transport), packet, &mut scratch, &mut out);
                let source = client(transport).source;
                anticipate(live, source, packet, &mut asked);
                while anticipate_further(live, &mut asked) {}
                respond_anticipated(live, &client(transport), packet, &mut asked, &mut scratch, &mut out);
                let allocated = ALLOCATIONS.get() - before;
                assert_eq!(allocated, 0, "{disposition:?} to {packet:02x?}");
            }
        }
    }
    let before = ALLOCATIONS.get();
    drop(Box::new(7));
    assert_eq!(ALLOCATIONS.get() - before, 1, "the count counts");
}

/// The critical value of chi-square at p = 0.001 for 1 and 2 degrees of freedom.
const CRITICAL: [f64; 2] = [10.83, 13.82];

#[test]
fn answers_come_in_the_shares_that_the_weights_ask_for() {
    for (name, expected) in [
        ("split.", vec![("192.0.2.1", 9.0 / 16.0), ("192.0.2.2", 3.0 / 16.0), ("198.51.100.1", 4.0 / 16.0)]),
        ("eu.", vec![("192.0.2.1", 0.75), ("192.0.2.2", 0.25)]),
    ] {
        const THROWS: u32 = 20_000;
        let packet = query(name, Rtype::A, None);
        let mut scratch = Scratch::new(42);
        let mut out = [0; UDP_PAYLOAD_MAX];
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..THROWS {
            let Disposition::Send { len, .. } = respond(&LIVES[0], &client(Transport::Udp), &packet, &mut scratch, &mut out) else {
                panic!("no answer")
            };
            let message = Message::from_vec(&out[..len]).expect("a message");
            *counts.entry(message.answers[0].data.to_string()).or_default() += 1;
        }
        let square = |(address, share): &(&str, f64)| {
            let (seen, expected) = (f64::from(counts.get(*address).copied().unwrap_or(0)), share * f64::from(THROWS));
            (seen - expected).powi(2) / expected
        };
        let chi: f64 = expected.iter().map(square).sum();
        assert_eq!(counts.values().sum::<u32>(), THROWS);
        assert!(chi < CRITICAL[expected.len() - 2], "{name} chi-square {chi} of {counts:?}, seed 42");
    }
}
