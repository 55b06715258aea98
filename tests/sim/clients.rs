//! Clients: who asks for what from where, and what resolvers hold for them.

use super::chance::Chance;
use super::plan::Plan;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use steersman::clock::Moment;
use steersman::dns::{Name, Rtype};
use steersman::explain::Case;
use steersman::prefix::{Family, Prefix};

/// One query.
pub struct Asked {
    /// The node of the plan that steers the name.
    pub node: usize,
    pub family: Family,
    pub source: IpAddr,
    pub query: Vec<u8>,
}

/// An answer as a resolver reads it.
pub struct Answer {
    pub rcode: ResponseCode,
    pub members: Vec<IpAddr>,
    /// Of the members.
    pub ttl_s: u32,
}

/// Answers that resolvers still hold.
#[derive(Default)]
pub struct Caches {
    held: VecDeque<Held>,
}

/// One answer in a cache.
pub struct Held {
    pub expires: Moment,
    pub members: Vec<IpAddr>,
    pub ttl_s: u32,
}

impl Asked {
    /// Somebody asks for something.
    pub fn drawn(plan: &Plan, chance: &mut Chance) -> Asked {
        let node = chance.index(plan.nodes());
        let family = *chance.one_of(&[Family::V4, Family::V4, Family::V6]);
        let place = u8::try_from(chance.index(12)).expect("small");
        let home = Ipv4Addr::new(203, 0, place, 0);
        let subnet = match chance.index(3) {
            0 => Some(Prefix::new(home.into(), 24)),
            1 => Some(Prefix::new(home.into(), u8::try_from(chance.between(16, 32)).expect("a length"))),
            _ => None,
        };
        let source = IpAddr::from(Ipv4Addr::new(203, 0, place, 53));
        let qtype = match family {
            Family::V4 => Rtype::A,
            Family::V6 => Rtype::AAAA,
        };
        let name = Name::parse(&format!("{}.sim.example.", plan.node_name(node)), &Name::root()).expect("a name");
        let query = Case { name, qtype, client: source, subnet, seed: 0 }.query();
        Asked { node, family, source, query }
    }
}

impl Answer {
    /// Another library's reading of the octets.
    pub fn read(octets: &[u8]) -> Result<Answer, String> {
        let message = Message::from_vec(octets).map_err(|error| format!("{error}: {octets:02x?}"))?;
        let mut answer = Answer { rcode: message.metadata.response_code, members: Vec::new(), ttl_s: 0 };
        for record in &message.answers {
            answer.ttl_s = record.ttl;
            match &record.data {
                RData::A(addr) => answer.members.push(addr.0.into()),
                RData::AAAA(addr) => answer.members.push(addr.0.into()),
                other => return Err(format!("nobody asked for {other}")),
            }
        }
        if message.answers.iter().any(|record| record.ttl != answer.ttl_s) {
            return Err("records of one set have several TTLs".to_owned());
        }
        Ok(answer)
    }
}

impl Caches {
    /// Keeps an answer for as long as it says.
    pub fn hold(&mut self, answer: &Answer, now: Moment) {
        let expires = now.after(Duration::from_secs(u64::from(answer.ttl_s)));
        self.held.push_back(Held { expires, members: answer.members.clone(), ttl_s: answer.ttl_s });
    }

    /// Forgets what has expired.
    pub fn pass(&mut self, now: Moment) {
        self.held.retain(|held| held.expires > now);
    }

    /// The answers with one of these that are still held.
    pub fn with<'a>(&'a self, members: &'a [IpAddr]) -> impl Iterator<Item = &'a Held> {
        self.held.iter().filter(move |held| held.members.iter().any(|member| members.contains(member)))
    }
}
