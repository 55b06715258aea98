//! What is served when it is much: plain zones of many names, and pools of many names, in the languages they are said in.
//!
//! Everything follows from counts: the name and address of host number n are always the same, so that every question knows its right
//! answer. All questions of an estate have one length.

use crate::answer::Answer;
use crate::query::{Qtype, Query};
use crate::rng::Rng;
use crate::world::{PLACES, TTL, WEIGHTS};
use std::fmt::{self, Write};
use std::net::Ipv4Addr;

/// Different questions of a load at most: more would cost the generator memory, and hit no fewer names.
const QUESTIONS_MAX: usize = 1_000_000;
/// Members of each pool.
pub const MEMBERS: usize = 4;

/// Zones of plain names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// 1 to 9,999.
    pub zones: usize,
    /// In each zone; 1 to 9,999,999.
    pub names: usize,
}

impl Plain {
    /// The name of a zone, without a dot at the end.
    pub fn origin(zone: usize) -> String {
        format!("z{zone:04}.example")
    }

    /// The master file of a zone.
    pub fn text(self, zone: usize, serial: u32) -> String {
        // Strings grow by doubling; a million lines are better asked for at once.
        let mut text = String::with_capacity(32 * self.names + 256);
        let head = format!(
            "$ORIGIN {}.\n$TTL {TTL}\n@ 3600 IN SOA ns1 admin {serial} 7200 900 1209600 {TTL}\n@ 3600 NS ns1\nns1 3600 A 192.0.2.1\n",
            Plain::origin(zone)
        );
        text.push_str(&head);
        for host in 0..self.names {
            let _ = writeln!(text, "h{host:07} A {}", address(zone, host));
        }
        text
    }

    /// Questions drawn uniformly from all names, `count` of them.
    pub fn questions(self, count: usize) -> Vec<Query> {
        let mut rng = Rng::seeded(1);
        let mut one_of = |count: usize| rng.below(u32::try_from(count).expect("counts are below 2^32")) as usize;
        (0..count.min(QUESTIONS_MAX)).map(|_| Plain::question(one_of(self.zones), one_of(self.names)).0).collect()
    }

    /// The question for a host, and its right answer.
    pub fn question(zone: usize, host: usize) -> (Query, Ipv4Addr) {
        let query = Query::new(&format!("h{host:07}.{}", Plain::origin(zone)), Qtype::A, None).expect("our names are names");
        (query, address(zone, host))
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} x {}", self.zones, self.names)
    }
}

/// Somewhere in 10.0.0.0/8.
fn address(zone: usize, host: usize) -> Ipv4Addr {
    let number = u32::try_from((zone * 7919 + host) % (1 << 24)).expect("below 2^24");
    Ipv4Addr::from(10 << 24 | number)
}

/// Pools, each with names that lead straight to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooled {
    /// 1 or more.
    pub pools: usize,
    /// Of all pools together; at least as many as pools.
    pub names: usize,
}

impl Pooled {
    /// The policy file: weighted pools of four members each, at the [`PLACES`], which listen on `port` and are checked as usual. With
    /// `guests`, the first pool has these members instead, checked as their monitor says, and nobody else is checked.
    pub fn policies(self, port: u16, guests: Option<(&str, [Ipv4Addr; MEMBERS])>) -> String {
        let mut text = match guests {
            Some((monitor, _)) => format!("monitors:\n  quick: {{type: http, port: {port}, path: /, {monitor}}}\npools:\n"),
            None => format!("monitors:\n  usual: {{type: http, port: {port}, path: /, interval: 5s, timeout: 2s}}\npools:\n"),
        };
        for pool in 0..self.pools {
            let places = std::array::from_fn(|number| PLACES[(pool + number) % PLACES.len()]);
            let (monitor, addresses) = match guests {
                Some((_, guests)) if pool == 0 => ("monitor: quick, ", guests),
                Some(_) => ("", places),
                None => ("monitor: usual, ", places),
            };
            let member = |(number, address): (usize, &Ipv4Addr)| {
                format!("{{name: m{number}, a: {address}, weight: {}}}", WEIGHTS[(pool + number) % WEIGHTS.len()])
            };
            let members: Vec<_> = addresses.iter().enumerate().map(member).collect();
            let _ = writeln!(text, "  p{pool:04}: {{{monitor}ttl: {TTL}s, members: [{}]}}", members.join(", "));
        }
        text
    }

    /// The zone file, in YAML: a steered name has no other form that all versions know.
    pub fn zone(self) -> String {
        let mut text = format!(
            "zone: example.com\nsoa: {{mname: ns1, rname: admin, serial: 1, minimum: {TTL}s}}\nrecords:\n  \"@\": {{NS: ns1}}\n  ns1: {{A: 192.0.2.1}}\n"
        );
        for name in 0..self.names {
            let _ = writeln!(text, "  s{name:05}: {{steer: p{:04}}}", name % self.pools);
        }
        text
    }

    /// Questions drawn uniformly from all names, `count` of them.
    pub fn questions(self, count: usize) -> Vec<Query> {
        let mut rng = Rng::seeded(1);
        let names = u32::try_from(self.names).expect("counts are below 2^32");
        (0..count.min(QUESTIONS_MAX)).map(|_| Pooled::question(rng.below(names) as usize)).collect()
    }

    /// The question for a name.
    pub fn question(name: usize) -> Query {
        Query::new(&format!("s{name:05}.example.com"), Qtype::A, None).expect("our names are names")
    }

    /// Whether an answer holds one address that some pool has.
    pub fn is_right(answer: &Answer) -> bool {
        answer.rcode == 0 && matches!(answer.addresses[..], [address] if PLACES.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_questions_have_one_length_whatever_the_count() {
        let length = Plain::question(0, 0).0.message.len();
        for plain in [Plain { zones: 1, names: 1000 }, Plain { zones: 1000, names: 1000 }, Plain { zones: 1, names: 1_000_000 }] {
            let questions = plain.questions(1000);
            assert!(questions.len() == 1000 && questions.iter().all(|query| query.message.len() == length), "{plain}");
        }
    }

    #[test]
    fn the_zone_says_what_the_question_expects() {
        let text = Plain { zones: 9, names: 20 }.text(8, 7);
        let (_, address) = Plain::question(8, 19);
        assert!(text.contains("$ORIGIN z0008.example.\n") && text.contains(" admin 7 "), "{text}");
        assert!(text.ends_with(&format!("h0000019 A {address}\n")), "{text}");
    }

    #[test]
    fn every_name_leads_to_a_pool_that_there_is() {
        let pooled = Pooled { pools: 3, names: 10 };
        let (policies, zone) = (pooled.policies(80, Some(("interval: 1s", [PLACES[7], PLACES[6], PLACES[6], PLACES[6]]))), pooled.zone());
        for pool in ["p0000", "p0001", "p0002"] {
            assert!(policies.contains(&format!("  {pool}: {{")) && zone.contains(&format!("steer: {pool}}}")), "{pool}");
        }
        assert!(!zone.contains("p0003"));
        assert_eq!(policies.matches(&PLACES[7].to_string()).count(), 1, "the guests are in the first pool only");
    }
}
