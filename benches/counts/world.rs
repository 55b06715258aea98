//! The world that the scenarios ask: one config with a bit of everything in common sizes, written by a seeded hand.
//!
//! A zone of 1,000 plain names beside the steered ones, pools of 1 to 1,000 members, and 20,000 prefixes dealt out to eight
//! regions. Each pool has a network of its own, so that an address tells which pool answered. Equal in every run.

use super::support;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use steersman::compile::Inputs;
use steersman::geo::GeoTable;
use steersman::health::Verdict;
use steersman::live::Live;
use steersman::policy::Pool;
use steersman::prefix::{Family, Prefix, from_bits};
use steersman::rng::Rng;

/// Where all chance of the scenarios comes from; any number would do, as long as it stays.
pub const SEED: u64 = 0x5eed;
/// Plain names in the zone.
pub const HOSTS: usize = 1_000;
/// Regions, and pools that stand in them.
const REGIONS: usize = 8;
/// Prefixes in all regions together: four of IPv4 for each of IPv6, as in the databases of the field.
const PREFIXES: usize = 20_000;

/// The view that all scenarios ask, made on first use.
pub static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// A live view and what the scenarios need to know of it.
pub struct World {
    /// The view.
    pub live: Live,
    /// The prefixes of the regions, in order of region and then by chance.
    prefixes: Vec<Prefix>,
}

impl World {
    fn new() -> World {
        let prefixes = prefixes();
        let snapshot = support::snapshot(&policies(&prefixes), &[&zone()]).unwrap_or_else(|report| panic!("{report}"));
        World { live: support::live(Arc::new(snapshot), &verdicts()), prefixes }
    }

    /// `count` addresses of `family`, each inside a prefix of some region, no two regions in a row the same.
    pub fn clients(&self, family: Family, count: usize) -> Vec<IpAddr> {
        let mut rng = Rng::seeded(SEED);
        let of_family: Vec<Prefix> = self.prefixes.iter().copied().filter(|prefix| prefix.family() == family).collect();
        (0..count).map(|_| inside(of_family[below(&mut rng, of_family.len())], &mut rng)).collect()
    }

    /// The pool of that name.
    pub fn pool(&self, name: &str) -> &Pool {
        let pools = self.live.snapshot.graph.pools.rows();
        pools.iter().find(|pool| &*pool.name == name).unwrap_or_else(|| panic!("the world has no pool `{name}`"))
    }

    /// The table of all regions.
    pub fn regions(&self) -> &GeoTable {
        let tables = self.live.snapshot.graph.geo.rows();
        tables.iter().max_by_key(|table| table.ranges()).expect("the world has policies that look at places")
    }
}

/// A config with nothing but the zone of 1,000 names, and one pool that a few of them are steered at.
pub fn plain_inputs() -> Inputs {
    let mut zone = zone_head();
    hosts(&mut zone);
    (0..50).for_each(|index| line(&mut zone, &format!("  steered{index}: {{steer: two}}")));
    let policies = format!("pools:\n{}", pool("two", 2, 2, "choose: weighted"));
    let inputs = support::inputs(&policies, &[&zone]).unwrap_or_else(|report| panic!("{report}"));
    // Databases have a scenario of their own size; here they would only blur what a zone costs.
    Inputs { city: None, asn: None, ..inputs }
}

//--- Chance

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).expect("below a usize")
}

/// Distinct prefixes of both families.
fn prefixes() -> Vec<Prefix> {
    let mut rng = Rng::seeded(SEED);
    let mut seen = BTreeSet::new();
    let any = std::iter::repeat_with(|| any_prefix(&mut rng));
    any.filter(|prefix| seen.insert(*prefix)).take(PREFIXES).collect()
}

fn any_prefix(rng: &mut Rng) -> Prefix {
    if rng.below(5) == 0 {
        // 2000::/3 is where IPv6 is handed out, in pieces of /32 to /48.
        let bits = (1 << 125) | (u128::from(rng.bits()) << 61);
        return Prefix::new(from_bits(Family::V6, bits), length(rng, 32, 48));
    }
    // None longer than what resolvers announce of a client (RFC 7871 section 11.1), so that a region is told by it.
    Prefix::new(from_bits(Family::V4, u128::from(rng.bits() >> 32)), length(rng, 16, 24))
}

fn length(rng: &mut Rng, shortest: u8, longest: u8) -> u8 {
    shortest + u8::try_from(rng.below(u64::from(longest - shortest) + 1)).expect("a difference of lengths")
}

fn inside(prefix: Prefix, rng: &mut Rng) -> IpAddr {
    let (first, last) = prefix.range();
    let low = u128::from(rng.bits()) % (last - first + 1);
    from_bits(prefix.family(), first + low)
}

//--- Text

fn line(text: &mut String, words: &str) {
    text.push_str(words);
    text.push('\n');
}

/// Pools have the networks 10.NET.0.0/16 and 2001:db8:NET::/48, in decimal both.
fn pool(name: &str, net: usize, members: usize, how: &str) -> String {
    let mut text = format!("  {name}:\n    {how}\n    members:\n");
    for member in 0..members {
        let (high, low, weight) = (member / 250, member % 250 + 1, member % 5 + 1);
        let addresses = format!("a: 10.{net}.{high}.{low}, aaaa: \"2001:db8:{net}::{high}:{low}\"");
        line(&mut text, &format!("      - {{name: {name}-{member}, {addresses}, weight: {weight}}}"));
    }
    text
}

fn policies(prefixes: &[Prefix]) -> String {
    let mut text = String::from("regions:\n");
    for (region, dealt) in prefixes.chunks(PREFIXES / REGIONS).enumerate() {
        let list: Vec<String> = dealt.iter().map(|prefix| format!("\"{prefix}\"")).collect();
        line(&mut text, &format!("  region-{region}: {{cidr: [{}]}}", list.join(", ")));
    }
    text.push_str("pools:\n");
    text.push_str(&pool("two", 2, 2, "choose: weighted"));
    text.push_str(&pool("eight", 8, 8, "choose: weighted"));
    text.push_str(&pool("sixty-four", 64, 64, "choose: weighted"));
    text.push_str(&pool("thousand", 100, 1_000, "choose: weighted"));
    text.push_str(&pool("in-turn", 9, 8, "choose: round_robin"));
    text.push_str(&pool("everybody", 11, 8, "choose: all"));
    text.push_str(&pool("dead", 66, 1, "choose: weighted"));
    (0..REGIONS).for_each(|place| text.push_str(&pool(&format!("place-{place}"), 200 + place, 2, "choose: weighted")));
    text.push_str("policies:\n");
    line(&mut text, "  rescue: {type: failover, use: [dead, eight]}");
    line(&mut text, "  near: {type: latency, use: [place-0, place-1, place-2, place-3], tolerance: 1ms}");
    for place in 0..REGIONS {
        let next = (place + 1) % REGIONS;
        line(&mut text, &format!("  split-{place}: {{type: weighted, use: [{{to: place-{place}, weight: 3}}, {{to: place-{next}}}]}}"));
        line(&mut text, &format!("  safe-{place}: {{type: failover, use: [dead, split-{place}]}}"));
    }
    line(&mut text, &by_region("by-place", "place", "two"));
    line(&mut text, &by_region("nested", "safe", "two"));
    text
}

fn by_region(name: &str, to: &str, default: &str) -> String {
    let rules: Vec<String> = (0..REGIONS).map(|region| format!("{{match: {{region: region-{region}}}, use: {to}-{region}}}")).collect();
    format!("  {name}: {{type: geo, rules: [{}], default: {default}}}", rules.join(", "))
}

fn zone_head() -> String {
    let mut text = String::from("zone: gslb.example.com\nsoa: {mname: ns1, rname: hostmaster}\nrecords:\n");
    line(&mut text, "  \"@\": {NS: [ns1, ns2], MX: \"10 ns1\"}");
    line(&mut text, "  ns1: {A: 192.0.2.53, AAAA: \"2001:db8::53\"}");
    line(&mut text, "  ns2: {A: 198.51.100.53}");
    text
}

fn hosts(text: &mut String) {
    for host in 0..HOSTS {
        let aaaa = if host % 4 == 0 { format!(", AAAA: \"2001:db8:ff::{host}\"") } else { String::new() };
        let txt = if host % 10 == 0 { ", TXT: \"v=1\"" } else { "" };
        line(text, &format!("  host{host}: {{A: 192.0.{}.{}{aaaa}{txt}}}", host / 250, host % 250 + 1));
    }
}

fn zone() -> String {
    let mut text = zone_head();
    hosts(&mut text);
    for name in ["two", "eight", "sixty-four", "thousand", "in-turn", "everybody", "rescue", "near", "by-place", "nested"] {
        line(&mut text, &format!("  {name}: {{steer: {name}}}"));
    }
    line(&mut text, "  \"*.wild\": {A: 192.0.2.99}");
    line(&mut text, "  cut: {NS: [ns1.cut, ns2.cut]}");
    line(&mut text, "  ns1.cut: {A: 192.0.2.101, AAAA: \"2001:db8::101\"}");
    line(&mut text, "  ns2.cut: {A: 192.0.2.102}");
    line(&mut text, "  first: {CNAME: second}");
    line(&mut text, "  second: {CNAME: third}");
    line(&mut text, "  third: {CNAME: eight}");
    let mut many = String::new();
    (0..200).for_each(|address| write!(many, "203.0.113.{}, ", address + 1).expect("a string takes everything"));
    line(&mut text, &format!("  many: {{A: [{}]}}", many.trim_end_matches(", ")));
    text
}

/// One pool is down; the four that `near` chooses among are 10, 20, 30 and 40 ms away.
fn verdicts() -> BTreeMap<String, Verdict> {
    let mut verdicts = BTreeMap::from([("dead-0".to_owned(), support::DOWN)]);
    for place in 0..4 {
        let latency = Some(Duration::from_millis(10 + 10 * place));
        verdicts.extend((0..2).map(|member| (format!("place-{place}-{member}"), Verdict { latency, ..support::UP })));
    }
    verdicts
}
