//! What all servers of a comparison serve, and what is asked of them: one world, made from a seed.
//!
//! A zone `example.com` with plain names and steered ones, eight places that answers lead to, and a map of 100,000
//! client networks. Every question knows its right answer, so that a server is checked before it is measured. Knows no
//! server: the files in `contender` say the same in the language of each.

use crate::answer::Answer;
use crate::load::source;
use crate::query::{Prefix, Qtype, Query};
use crate::rng::Rng;
use crate::tally::Tally;
use std::collections::HashMap;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Names with one fixed address.
pub const HOSTS: usize = 1000;
/// Names steered by weight, and as many by failover.
pub const STEERED: usize = 100;
/// Names steered by geography. Few: one peer keeps the map once for each name.
pub const LOCATED: usize = 4;
/// Client networks of the map, besides those of this machine.
const NETWORKS: usize = 100_000;
/// TTL of all answers, in seconds.
pub const TTL: u32 = 60;
/// Different queries in a load: enough that no server answers from a first-level cache alone.
const QUERIES: usize = 20_000;
/// Share of names that do not exist, in the load of negative answers: what authoritative servers commonly see.
const MISSING: f64 = 0.7;

/// The places that answers lead to: all alive.
pub const PLACES: [Ipv4Addr; 8] = [place(11), place(12), place(13), place(14), place(15), place(16), place(17), place(18)];
/// Their weights.
pub const WEIGHTS: [u32; 8] = [10, 15, 20, 25, 30, 35, 40, 45];
/// The order of failover. Nobody is at the first, so that whoever answers the second has noticed.
pub const FAILOVER: [Ipv4Addr; 4] = [place(19), place(12), place(13), place(14)];

const fn place(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// A kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Workload {
    /// 1,000 names with one address each.
    Static,
    /// One of eight addresses, drawn by weight.
    Weighted,
    /// The first live one of four addresses; the first is dead.
    Failover,
    /// The place for the client's own address.
    GeoSource,
    /// The place for the client's announced subnet.
    GeoEcs,
    /// Names that do not exist (70 %) and names without the type (30 %).
    Negative,
}

impl Workload {
    /// All there are.
    pub const ALL: [Workload; 6] =
        [Workload::Static, Workload::Weighted, Workload::Failover, Workload::GeoSource, Workload::GeoEcs, Workload::Negative];

    /// As it is written on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Workload::Static => "static",
            Workload::Weighted => "weighted",
            Workload::Failover => "failover",
            Workload::GeoSource => "geo-source",
            Workload::GeoEcs => "geo-ecs",
            Workload::Negative => "negative",
        }
    }

    /// As it is written above a table.
    pub const fn title(self) -> &'static str {
        match self {
            Workload::Static => "Static: 1,000 names",
            Workload::Weighted => "Weighted: one of 8 addresses",
            Workload::Failover => "Failover: the second of 4 addresses, the first is dead",
            Workload::GeoSource => "Geography by source address: 100,000 networks",
            Workload::GeoEcs => "Geography by client subnet (ECS): 100,000 networks",
            Workload::Negative => "Negative: 70 % NXDOMAIN, 30 % NODATA",
        }
    }

    /// What is wrong with the answers of a whole run, as far as a tally shows it.
    pub fn fault(self, tally: &Tally) -> Option<String> {
        let right = match self {
            Workload::Negative => {
                tally.positive == 0 && (tally.share(3) - MISSING).abs() < 0.03 && (tally.share(0) + tally.share(3) - 1.0).abs() < 1e-9
            }
            Workload::Static | Workload::Weighted | Workload::Failover | Workload::GeoSource | Workload::GeoEcs => {
                tally.rcodes[0] == tally.answered && tally.records == tally.answered
            }
        };
        (!right || tally.answered == 0 || tally.truncated > 0)
            .then(|| format!("{}; {} records in {} answers", tally.rcodes_in_words(), tally.records, tally.answered))
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Workload, String> {
        Workload::ALL.into_iter().find(|workload| workload.word() == text).ok_or_else(|| format!("`{text}` is no workload"))
    }
}

/// The right answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// This address.
    Address(Ipv4Addr),
    /// One of [`PLACES`], by weight.
    Drawn,
    /// The place of the client's own address.
    BySource,
    /// The name does not exist.
    Nxdomain,
    /// The name has no such type.
    Nodata,
}

/// A question and its right answer.
pub struct Asked {
    /// As it is sent.
    pub query: Query,
    /// What is right.
    pub right: Right,
}

/// Everything served and asked.
pub struct World {
    /// Client networks in order, none within another, each with the index of its place.
    pub networks: Vec<(Prefix, usize)>,
    seed: u64,
}

impl World {
    /// The world that belongs to a seed.
    pub fn new(seed: u64) -> World {
        let mut networks = strangers(&mut Rng::seeded(seed));
        networks.extend((0..256).map(|client| (Prefix::around(source(client), 24), client % PLACES.len())));
        networks.sort_unstable();
        World { networks, seed }
    }

    /// The place for a client: the first one where the map says nothing.
    pub fn place(&self, client: Ipv4Addr) -> Ipv4Addr {
        let behind = self.networks.partition_point(|(network, _)| network.address <= client);
        let around = behind.checked_sub(1).map(|index| self.networks[index]);
        let found = around.filter(|(network, _)| Prefix::around(client, network.length) == *network);
        PLACES[found.map_or(0, |(_, place)| place)]
    }

    /// The questions of a workload. All have one length.
    pub fn questions(&self, workload: Workload) -> Vec<Asked> {
        let mut rng = Rng::seeded(self.seed + 1);
        (0..QUERIES).map(|_| self.question(workload, &mut rng)).collect()
    }

    fn question(&self, workload: Workload, rng: &mut Rng) -> Asked {
        let mut one_of = |count: usize| rng.below(u32::try_from(count).expect("small")) as usize;
        let (name, qtype, subnet, right) = match workload {
            Workload::Static => {
                let host = one_of(HOSTS);
                (host_name(host), Qtype::A, None, Right::Address(host_address(host)))
            }
            Workload::Weighted => (format!("wtd{:03}", one_of(STEERED)), Qtype::A, None, Right::Drawn),
            Workload::Failover => (format!("fo{:03}", one_of(STEERED)), Qtype::A, None, Right::Address(FAILOVER[1])),
            Workload::GeoSource => (format!("geo{:03}", one_of(LOCATED)), Qtype::A, None, Right::BySource),
            Workload::GeoEcs => {
                let name = format!("geo{:03}", one_of(LOCATED));
                let subnet = self.client(rng);
                (name, Qtype::A, Some(subnet), Right::Address(self.place(subnet.address)))
            }
            Workload::Negative if (one_of(1000) as f64) < MISSING * 1000.0 => {
                (format!("x{:04}", one_of(10_000)), Qtype::A, None, Right::Nxdomain)
            }
            Workload::Negative => (host_name(one_of(HOSTS)), Qtype::Aaaa, None, Right::Nodata),
        };
        let query = Query::new(&format!("{name}.example.com"), qtype, subnet).expect("our names are names");
        Asked { query, right }
    }

    /// A client's subnet: every second one is within a network of the map.
    fn client(&self, rng: &mut Rng) -> Prefix {
        let bits = rng.below(1 << 24);
        if rng.below(2) == 0 {
            return Prefix::around(Ipv4Addr::from((11 + rng.below(116)) << 24 | bits), 24);
        }
        let (network, _) = self.networks[rng.below(u32::try_from(self.networks.len()).expect("about 100,000")) as usize];
        let host_bits = u32::MAX.checked_shr(network.length.into()).unwrap_or(0);
        Prefix::around(Ipv4Addr::from(u32::from(network.address) | bits & host_bits), 24)
    }

    /// Whether an answer is right for the client number `client`; of drawn ones, whether they can be.
    pub fn is_right(&self, asked: &Asked, client: usize, answer: &Answer) -> bool {
        let one = match answer.addresses[..] {
            [address] if answer.rcode == 0 => Some(address),
            _ => None,
        };
        match asked.right {
            Right::Address(address) => one == Some(address),
            Right::Drawn => one.is_some_and(|address| PLACES.contains(&address)),
            Right::BySource => one == Some(self.place(source(client))),
            Right::Nxdomain => answer.rcode == 3 && answer.addresses.is_empty(),
            Right::Nodata => answer.rcode == 0 && answer.addresses.is_empty(),
        }
    }
}

/// What every zone has, as a master file: origin, SOA, name servers and the plain names.
pub fn zone_text() -> String {
    let mut text = format!(
        "$ORIGIN example.com.\n$TTL {TTL}\n@ 3600 IN SOA ns1 admin 1 7200 900 1209600 {TTL}\n@ 3600 NS ns1\n@ 3600 NS ns2\n\
         ns1 3600 A 192.0.2.1\nns2 3600 A 192.0.2.2\n"
    );
    for host in 0..HOSTS {
        let _ = writeln!(text, "{} A {}", host_name(host), host_address(host));
    }
    text
}

/// Networks elsewhere: none within another, so that servers that look for the longest match and servers that look for
/// the first one must agree. Lengths as in tables of the Internet: half are /24.
fn strangers(rng: &mut Rng) -> Vec<(Prefix, usize)> {
    /// How many of 100 networks have 14, 15, ... 24 bits.
    const SHARES: [u32; 11] = [1, 1, 2, 2, 3, 4, 6, 8, 10, 13, 50];
    let mut taken = vec![false; 1 << 24]; // by /24
    let mut networks = Vec::with_capacity(NETWORKS + 256);
    while networks.len() < NETWORKS {
        let mut share = rng.below(SHARES.iter().sum());
        let longer = SHARES.iter().position(|size| share.checked_sub(*size).map(|rest| share = rest).is_none());
        let length = 14 + u8::try_from(longer.expect("a share is below the sum")).expect("below 11");
        let network = Prefix::around(Ipv4Addr::from((1 + rng.below(222)) << 24 | rng.below(1 << 24)), length);
        let first = (u32::from(network.address) >> 8) as usize;
        let cells = first..first + (1 << (24 - length));
        if [10, 127].contains(&network.address.octets()[0]) || taken[cells.clone()].contains(&true) {
            continue;
        }
        taken[cells].fill(true);
        networks.push((network, rng.below(8) as usize));
    }
    networks
}

fn host_name(host: usize) -> String {
    format!("h{host:04}")
}

/// The address of a plain name.
pub fn host_address(host: usize) -> Ipv4Addr {
    let octet = |number: usize| u8::try_from(number).expect("1,000 hosts fit four /24 with 250 each");
    Ipv4Addr::new(198, 51, octet(100 + host / 250), octet(host % 250 + 1))
}

/// Whether addresses were drawn by [`WEIGHTS`]: each share within 5 points, which one fair series of 1,000 in ten thousand is not.
pub fn are_fair(drawn: &[Ipv4Addr]) -> bool {
    let mut counts: HashMap<Ipv4Addr, usize> = HashMap::new();
    for address in drawn {
        *counts.entry(*address).or_default() += 1;
    }
    let sum: u32 = WEIGHTS.iter().sum();
    PLACES.iter().zip(WEIGHTS).all(|(address, weight)| {
        let share = counts.get(address).copied().unwrap_or(0) as f64 / drawn.len() as f64;
        (share - f64::from(weight) / f64::from(sum)).abs() < 0.05
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_network_is_within_another() {
        let world = World::new(1);
        assert_eq!(world.networks.len(), NETWORKS + 256);
        for pair in world.networks.windows(2) {
            let ((left, _), (right, _)) = (pair[0], pair[1]);
            assert_ne!(Prefix::around(right.address, left.length), left, "{right} is within {left}");
        }
    }

    #[test]
    fn a_client_is_placed_by_the_network_around_it() {
        let world = World::new(1);
        let (network, place) = world.networks[5000];
        assert_eq!(world.place(network.address), PLACES[place]);
        assert_eq!(world.place(source(13)), PLACES[5]);
        assert_eq!(world.place(Ipv4Addr::new(0, 0, 0, 1)), PLACES[0], "before the first");
        assert_eq!(world.place(Ipv4Addr::new(255, 0, 0, 1)), PLACES[0], "behind the last");
    }

    #[test]
    fn the_questions_of_a_workload_have_one_length() {
        let world = World::new(1);
        for workload in Workload::ALL {
            let questions = world.questions(workload);
            let length = questions[0].query.message.len();
            assert!(questions.iter().all(|asked| asked.query.message.len() == length), "{}", workload.word());
        }
    }

    #[test]
    fn every_place_is_asked_for_by_subnet() {
        let world = World::new(1);
        let questions = world.questions(Workload::GeoEcs);
        for place in PLACES {
            assert!(questions.iter().filter(|asked| asked.right == Right::Address(place)).count() > 500, "{place}");
        }
    }

    #[test]
    fn a_server_that_refuses_is_found_out() {
        let refused = Tally { answered: 10, rcodes: [0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..Tally::default() };
        for workload in Workload::ALL {
            assert!(workload.fault(&refused).is_some(), "{}", workload.word());
        }
    }

    #[test]
    fn one_address_for_all_is_not_fair() {
        assert!(!are_fair(&[PLACES[7]; 1000]));
        let by_weight: Vec<_> = PLACES.iter().zip(WEIGHTS).flat_map(|(address, weight)| vec![*address; weight as usize]).collect();
        assert!(are_fair(&by_weight));
    }
}
