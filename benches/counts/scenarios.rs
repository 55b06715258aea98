//! What is measured: operations with a name, each on prepared input that it goes round.
//!
//! Preparing a scenario asks everything once and looks at what came back, so that a number cannot go on standing under the
//! name of something that no longer happens.

use super::world::{HOSTS, SEED, WORLD, plain_inputs};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use steersman::answer::{Client, Disposition, Outcome, STREAM_PAYLOAD_MAX, Scratch, Transport, UDP_PAYLOAD_MAX, respond};
use steersman::compile::compile;
use steersman::dns::{FoldedName, HEADER_LEN, Name, Opt, Rcode, ResponseWriter, Rtype};
use steersman::explain::Case;
use steersman::policy::PoolView;
use steersman::prefix::{Family, Prefix};
use steersman::zone::Found;

/// One run of a scenario; told how many went before, so that it can go round its input.
pub type Operation = Box<dyn FnMut(usize)>;

/// Something that is measured.
pub struct Scenario {
    /// What it is called in the baseline and on the command line.
    pub name: &'static str,
    /// How often it is run for a count: enough to go round its input, and to hide what surrounds the operation.
    pub rounds: usize,
    /// Makes the input and checks that it does what the name says.
    pub prepare: fn() -> Operation,
}

/// Different questions of a scenario: more than one, since a server never hears the same again and again.
const QUESTIONS: usize = 64;
/// Of the fast ones: ten times round.
const MANY: usize = 10 * QUESTIONS;

/// All scenarios, from small pieces to large.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "name-find", rounds: MANY, prepare: name_find },
    Scenario { name: "writer", rounds: MANY, prepare: writer },
    Scenario { name: "geo-look-up-v4", rounds: MANY, prepare: || look_up(Family::V4) },
    Scenario { name: "geo-look-up-v6", rounds: MANY, prepare: || look_up(Family::V6) },
    Scenario { name: "refused", rounds: MANY, prepare: refused },
    Scenario { name: "static", rounds: MANY, prepare: || asking(hosts(Rtype::A), &fixed(1, [192, 0])) },
    Scenario { name: "nodata", rounds: MANY, prepare: || asking(hosts(Rtype::MX), &nothing(Outcome::NoData)) },
    Scenario { name: "nxdomain-deep", rounds: MANY, prepare: || asking(below("no.such.name.here"), &nothing(Outcome::NameError)) },
    Scenario { name: "wildcard", rounds: MANY, prepare: || asking(below("x.wild"), &fixed(1, [192, 0])) },
    Scenario { name: "referral", rounds: MANY, prepare: || asking(below("www.cut"), &nothing(Outcome::Referral)) },
    Scenario { name: "weighted-2", rounds: MANY, prepare: || asking(name("two", Rtype::A), &steered(1, [10, 2])) },
    Scenario { name: "weighted-8", rounds: MANY, prepare: || asking(name("eight", Rtype::A), &steered(1, [10, 8])) },
    Scenario { name: "weighted-8-aaaa", rounds: MANY, prepare: || asking(name("eight", Rtype::AAAA), &steered(1, [0x20, 0x01])) },
    Scenario { name: "weighted-64", rounds: MANY, prepare: || asking(name("sixty-four", Rtype::A), &steered(1, [10, 64])) },
    Scenario { name: "weighted-1000", rounds: MANY, prepare: || asking(name("thousand", Rtype::A), &steered(1, [10, 100])) },
    Scenario { name: "round-robin-8", rounds: MANY, prepare: || asking(name("in-turn", Rtype::A), &steered(8, [10, 9])) },
    Scenario { name: "all-8", rounds: MANY, prepare: || asking(name("everybody", Rtype::A), &steered(8, [10, 11])) },
    Scenario { name: "failover-first-down", rounds: MANY, prepare: || asking(name("rescue", Rtype::A), &steered(1, [10, 8])) },
    Scenario { name: "latency-4", rounds: MANY, prepare: || asking(name("near", Rtype::A), &steered(1, [10, 200])) },
    Scenario { name: "geo-by-source", rounds: MANY, prepare: || asking(from_regions("by-place"), &placed()) },
    Scenario { name: "geo-by-ecs-v4", rounds: MANY, prepare: || asking(for_regions("by-place", Family::V4), &placed()) },
    Scenario { name: "geo-by-ecs-v6", rounds: MANY, prepare: || asking(for_regions("by-place", Family::V6), &placed()) },
    Scenario { name: "geo-failover-weighted", rounds: MANY, prepare: || asking(for_regions("nested", Family::V4), &placed()) },
    Scenario { name: "cname-chain-3", rounds: MANY, prepare: || asking(name("first", Rtype::A), &chained()) },
    Scenario { name: "truncated", rounds: MANY, prepare: || asking(name("many", Rtype::A), &nothing(Outcome::Static)) },
    Scenario {
        name: "tcp-200-records",
        rounds: QUESTIONS,
        prepare: || over(Transport::Tcp, name("many", Rtype::A), &fixed(200, [203, 0])),
    },
    Scenario { name: "prepare-8", rounds: 100, prepare: || prepare("eight") },
    Scenario { name: "prepare-1000", rounds: 10, prepare: || prepare("thousand") },
    Scenario { name: "compile-1000-names", rounds: 1, prepare: compile_names },
];

/// The scenarios whose names contain `filter`.
///
/// # Errors
/// When there is none.
pub fn chosen(filter: &str) -> Result<Vec<&'static Scenario>, String> {
    let chosen: Vec<_> = SCENARIOS.iter().filter(|scenario| scenario.name.contains(filter)).collect();
    if chosen.is_empty() { Err(format!("no scenario has `{filter}` in its name")) } else { Ok(chosen) }
}

//--- Questions

fn absolute(name: &str) -> Name {
    Name::parse(name, &Name::root()).expect("the names of the scenarios are well-formed")
}

/// A question of a resolver with EDNS, as most are.
fn question(name: &str, qtype: Rtype) -> Case {
    let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    Case { name: absolute(&format!("{name}.gslb.example.com")), qtype, client, subnet: None, seed: SEED }
}

fn name(name: &str, qtype: Rtype) -> Vec<Case> {
    vec![question(name, qtype); QUESTIONS]
}

fn hosts(qtype: Rtype) -> Vec<Case> {
    (0..QUESTIONS).map(|index| question(&format!("host{}", index * 37 % HOSTS), qtype)).collect()
}

/// Different names right below one.
fn below(name: &str) -> Vec<Case> {
    (0..QUESTIONS).map(|index| question(&format!("w{index}.{name}"), Rtype::A)).collect()
}

/// Questions from clients in all regions.
fn from_regions(name: &str) -> Vec<Case> {
    let clients = WORLD.clients(Family::V4, QUESTIONS);
    clients.into_iter().map(|client| Case { client, ..question(name, Rtype::A) }).collect()
}

/// Questions of one resolver for clients in all regions.
fn for_regions(name: &str, family: Family) -> Vec<Case> {
    // What resolvers announce (RFC 7871 section 11.1).
    let announced = match family {
        Family::V4 => 24,
        Family::V6 => 56,
    };
    let clients = WORLD.clients(family, QUESTIONS);
    clients.into_iter().map(|client| Case { subnet: Some(Prefix::new(client, announced)), ..question(name, Rtype::A) }).collect()
}

//--- Answers

/// What every answer of a scenario has to be.
struct Expected {
    outcome: Outcome,
    /// Records in the answer section.
    answers: u16,
    /// The first two octets of the first answer's data: the network of a pool. Of no meaning without answers.
    network: RangeInclusive<[u8; 2]>,
}

const ANY_NETWORK: RangeInclusive<[u8; 2]> = [0, 0]..=[255, 255];

fn fixed(answers: u16, network: [u8; 2]) -> Expected {
    Expected { outcome: Outcome::Static, answers, network: network..=network }
}

fn steered(answers: u16, network: [u8; 2]) -> Expected {
    Expected { outcome: Outcome::Steered, answers, network: network..=network }
}

/// One member of a pool that stands in a region; the default of the geo policies stands in none.
fn placed() -> Expected {
    Expected { outcome: Outcome::Steered, answers: 1, network: [10, 200]..=[10, 207] }
}

/// Three CNAMEs and the member at their end.
fn chained() -> Expected {
    Expected { outcome: Outcome::Steered, answers: 4, network: ANY_NETWORK }
}

fn nothing(outcome: Outcome) -> Expected {
    Expected { outcome, answers: 0, network: ANY_NETWORK }
}

impl Expected {
    fn check(&self, case: &Case, disposition: Disposition, out: &[u8]) {
        let Disposition::Send { outcome, .. } = disposition else { panic!("{} {}: no answer", case.name, case.qtype) };
        let answers = u16::from_be_bytes([out[6], out[7]]);
        assert_eq!((outcome, answers), (self.outcome, self.answers), "{} {} for {:?}", case.name, case.qtype, case.subnet);
        // Behind the question come the owner's pointer, type, class, TTL and length.
        let data_at = HEADER_LEN + case.name.wire().len() + 4 + 12;
        let network = [out[data_at], out[data_at + 1]];
        assert!(self.network.contains(&network), "{} {} for {:?}: {network:?}", case.name, case.qtype, case.subnet);
    }
}

fn asking(cases: Vec<Case>, expected: &Expected) -> Operation {
    over(Transport::Udp, cases, expected)
}

fn over(transport: Transport, cases: Vec<Case>, expected: &Expected) -> Operation {
    let live = &WORLD.live;
    let (mut scratch, mut out) = (Scratch::new(SEED), vec![0; STREAM_PAYLOAD_MAX]);
    let mut asked = Vec::with_capacity(cases.len());
    for case in cases {
        let (client, query) = (Client { source: case.client, transport }, case.query());
        expected.check(&case, respond(live, &client, &query, &mut scratch, &mut out), &out);
        asked.push((client, query));
    }
    Box::new(move |round| {
        let (client, query) = &asked[round % asked.len()];
        black_box(respond(live, client, black_box(query), &mut scratch, &mut out));
    })
}

fn refused() -> Operation {
    let cases = hosts(Rtype::A).into_iter().map(|case| Case { name: absolute("www.elsewhere.example"), ..case });
    asking(cases.collect(), &nothing(Outcome::Refused))
}

//--- Pieces

/// A name read from the wire, folded, hashed and found.
fn name_find() -> Operation {
    let zones = &WORLD.live.snapshot.zones;
    let names: Vec<Name> = hosts(Rtype::A).into_iter().map(|case| case.name).collect();
    let mut folded = FoldedName::new();
    for name in &names {
        folded.set(name.wire());
        let hit = zones.find(&folded, Rtype::A);
        assert!(hit.is_some_and(|hit| matches!(hit.found, Found::Name(_))), "{name}");
    }
    Box::new(move |round| {
        black_box(folded.read(black_box(names[round % names.len()].wire())));
        black_box(zones.find(&folded, Rtype::A));
    })
}

/// A response with one address and OPT.
fn writer() -> Operation {
    let packet = question("host1", Rtype::A).query();
    let mut out = vec![0; UDP_PAYLOAD_MAX];
    Box::new(move |round| {
        let packet = black_box(&packet[..]);
        let question = &packet[HEADER_LEN..packet.len() - 11];
        let opt = Opt { dnssec_ok: false, subnet: None };
        let mut response = ResponseWriter::new(&packet[..HEADER_LEN], question, Some(opt), UDP_PAYLOAD_MAX, 1232, &mut out);
        response.authoritative();
        let low = round.to_le_bytes()[0];
        assert!(response.address(12, 300, IpAddr::V4(Ipv4Addr::new(192, 0, 2, low))).is_ok(), "one address has room");
        black_box(response.finish(Rcode::NoError));
    })
}

fn look_up(family: Family) -> Operation {
    let (table, clients) = (WORLD.regions(), WORLD.clients(family, QUESTIONS));
    for client in &clients {
        assert!(table.look_up(*client).children.len() > 1, "{client} is in no region");
    }
    Box::new(move |round| {
        black_box(table.look_up(black_box(clients[round % clients.len()])));
    })
}

/// A pool after a flip of its first member.
fn prepare(name: &str) -> Operation {
    let pool = WORLD.pool(name);
    let mut verdicts = vec![[super::support::UP; 2]; pool.members.len()];
    let before = PoolView::prepare(pool, &verdicts, None);
    verdicts[0] = [super::support::DOWN; 2];
    let after = PoolView::prepare(pool, &verdicts, Some(&before));
    assert_eq!((before.families[0].usable.len(), after.families[0].usable.len()), (pool.members.len(), pool.members.len() - 1));
    Box::new(move |_| {
        black_box(PoolView::prepare(black_box(pool), &verdicts, Some(&before)));
    })
}

fn compile_names() -> Operation {
    let inputs = plain_inputs();
    let (snapshot, diagnostics) = compile(inputs.clone());
    let names = snapshot.as_ref().map(|snapshot| snapshot.zones.iter().map(|(_, zone)| zone.counts().0).sum::<usize>());
    assert!(names.is_some_and(|names| names > HOSTS), "{}", diagnostics.render(false));
    Box::new(move |_| {
        black_box(compile(black_box(inputs.clone())));
    })
}
