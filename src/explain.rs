//! Why a client gets what it gets, by the code that gives it: [`crate::answer::respond_traced`] with somebody listening.
//!
//! A [`Case`] is a question and who asks; [`explain`] answers it as the server would, and [`Explanation::render`] tells the
//! story. Has no second implementation of anything, and knows no socket: the shell hands in the [`Live`] view.

use crate::answer::{Client, Disposition, Outcome, STREAM_PAYLOAD_MAX, Scratch, Transport, respond_traced};
use crate::check::dns::rcode_word;
use crate::dns::{Name, Rtype};
use crate::ids::{NodeId, PoolId};
use crate::live::{Live, Remarks};
use crate::policy::{LastResort, Node, Step};
use crate::prefix::Prefix;
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

/// A question, and who asks.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub qtype: Rtype,
    /// Where the query comes from: the resolver.
    pub client: IpAddr,
    /// The client's prefix as the resolver announces it (RFC 7871).
    pub subnet: Option<Prefix>,
    /// From which all chance follows.
    pub seed: u64,
}

/// Who asks where nobody was named: an address of RFC 5737, which is nowhere.
pub const SOME_CLIENT: &str = "192.0.2.53";

/// An answer, and how it came about.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The steps of the steering decision; none for static data.
    pub steps: Vec<Step>,
    /// What the shell would do.
    pub disposition: Disposition,
    /// The message; empty when the query is dropped.
    pub response: Vec<u8>,
}

/// Answers `case` as the server would, over a stream, so that nothing is cut.
pub fn explain(live: &Live, case: &Case) -> Explanation {
    let client = Client { source: case.client, transport: Transport::Tcp };
    let mut scratch = Scratch::new(case.seed);
    let mut out = vec![0; STREAM_PAYLOAD_MAX];
    let mut steps = Vec::new();
    let disposition = respond_traced(live, &client, &case.query(), &mut scratch, &mut out, &mut steps);
    match disposition {
        Disposition::Send { len, .. } => out.truncate(len),
        Disposition::Drop(_) => out.clear(),
    }
    Explanation { steps, disposition, response: out }
}

impl Case {
    /// Reads a case from what people write: `www.example.com`, `AAAA`, `192.0.2.1`, `203.0.113.0/24`. The name is absolute
    /// with or without the dot at its end.
    ///
    /// # Errors
    /// Which part cannot be read, and why.
    pub fn parse(name: &str, qtype: &str, client: &str, subnet: Option<&str>, seed: u64) -> Result<Case, String> {
        let subnet = subnet.map(|text| text.parse().map_err(|error| format!("`{text}` is no subnet: {error}")));
        Ok(Case {
            name: Name::parse(name, &Name::root()).map_err(|error| format!("`{name}` is no domain name: {error}"))?,
            qtype: Rtype::parse(qtype).ok_or_else(|| format!("`{qtype}` is no record type"))?,
            client: client.parse().map_err(|_| format!("the client `{client}` is not an IP address"))?,
            subnet: subnet.transpose()?,
            seed,
        })
    }

    /// The query on the wire, EDNS included.
    pub fn query(&self) -> Vec<u8> {
        let mut wire = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        wire.extend(self.name.wire());
        wire.extend(self.qtype.0.to_be_bytes());
        wire.extend([0, 1]);
        let option = self.subnet.map(subnet_option).unwrap_or_default();
        // OPT (RFC 6891 section 6.1.2): root, type 41, 1232 octets, no flags, and how long the option is.
        wire.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, u8::try_from(option.len()).unwrap_or(0)]);
        wire.extend(option);
        wire
    }
}

/// The client subnet option (RFC 7871 section 6).
fn subnet_option(prefix: Prefix) -> Vec<u8> {
    let (family, octets) = match prefix.addr() {
        IpAddr::V4(addr) => (1, addr.octets().to_vec()),
        IpAddr::V6(addr) => (2, addr.octets().to_vec()),
    };
    let used = usize::from(prefix.len().div_ceil(8));
    let mut option = vec![0, 8, 0, u8::try_from(4 + used).unwrap_or(0), 0, family, prefix.len(), 0];
    option.extend(&octets[..used]);
    option
}

//--- The story

impl Explanation {
    /// The story, for people.
    pub fn render(&self, live: &Live, case: &Case) -> String {
        let mut story = Story { live, text: String::new() };
        story.head(case);
        story.remarks(&self.steps);
        for step in &self.steps {
            story.step(step);
        }
        if let Disposition::Send { outcome: Outcome::Refused, .. } = self.disposition {
            story.refusal(case);
        }
        if self.response.is_empty() {
            story.line(0, "dropped without an answer");
        } else {
            story.text.push('\n');
            story.text.push_str(&presentation(&self.response));
        }
        story.text
    }
}

/// Zones that a refusal lists: as many as one line takes.
const ZONES_MAX: usize = 5;

struct Story<'a> {
    live: &'a Live,
    text: String,
}

impl Story<'_> {
    fn line(&mut self, depth: u8, text: &str) {
        let _ = writeln!(self.text, "{:indent$}{text}", "", indent = usize::from(depth) * 4);
    }

    fn head(&mut self, case: &Case) {
        let subnet = case.subnet.map(|subnet| format!(", for a client in {subnet}")).unwrap_or_default();
        self.line(0, &format!("{} {} asked by {}{subnet}", case.name, case.qtype, case.client));
    }

    /// What is held for or against members of the pools on the way, and whether the verdicts on them are held.
    fn remarks(&mut self, steps: &[Step]) {
        let Remarks { suspicion, members } = &*self.live.remarks;
        if let Some(why) = suspicion.as_ref().filter(|_| !steps.is_empty()) {
            self.line(0, &format!("this node does not trust its own sight, and holds its verdicts: {why}"));
        }
        let is_on_the_way = |pool: PoolId| {
            let is_pool = |node: &NodeId| matches!(self.live.snapshot.graph.nodes[*node], Node::Pool(other) if other == pool);
            steps.iter().any(|step| match step {
                Step::Surveyed { child, .. } => is_pool(child),
                Step::Timed { node, .. } => is_pool(node),
                _ => false,
            })
        };
        for remark in members.iter().filter(|remark| is_on_the_way(remark.pool)) {
            self.line(0, &format!("{} {}", self.member(remark.pool, remark.member), remark.text));
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Located { node, depth, addr, by_subnet, scope } => {
                let by = if by_subnet {
                    format!("the client subnet: the same for all of {}", Prefix::new(addr, scope))
                } else {
                    "the resolver, since no client subnet is known or wanted".to_owned()
                };
                self.line(depth, &format!("{} looks at {addr}, {by}", self.node(node)));
            }
            Step::Surveyed { node, depth, child, survey, fate } => {
                let fitness = survey.map_or_else(|| "was not looked at".to_owned(), |survey| format!("is {}", survey.grade));
                self.line(depth, &format!("{}: {} {fitness}: {fate}", self.node(node), self.node(child)));
            }
            Step::Took { node, depth, child } => self.line(depth, &format!("{} takes {}", self.node(node), self.node(child))),
            Step::Weighed { pool, depth, member, chance_ppm, holds_s, chosen } => {
                let mark = if chosen { "answered" } else { "not this time" };
                let member = self.member(pool, member);
                let chance = format!("{}.{}%", chance_ppm / 10_000, chance_ppm / 1_000 % 10);
                self.line(depth, &format!("{member}: chance {chance}, sure for {}; {mark}", seconds(holds_s)));
            }
            Step::Timed { node, depth, members_s, returns_s, ttl_s } => {
                let members = (members_s != u32::MAX).then(|| format!("members {members_s} s"));
                let returns = (returns_s != u32::MAX).then(|| format!("a preferred one could be back in {returns_s} s"));
                let why: Vec<String> = [members, returns].into_iter().flatten().collect();
                let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
                self.line(depth, &format!("{} holds for {}{why}", self.node(node), seconds(ttl_s)));
            }
            Step::AllDown { instead, ttl_s } => {
                self.line(0, &format!("all is down; instead, for {ttl_s} s: {}", self.last_resort(instead)));
            }
            Step::Answered { allowed, ttl_s } => {
                self.line(0, &format!("the TTL is {ttl_s} s, of {} s to {} s allowed", allowed.min_s, allowed.max_s));
            }
            Step::Denied { is_configured: true } => self.line(0, "nothing of this family is usable there: a short denial"),
            Step::Denied { is_configured: false } => self.line(0, "no pool below this name has this family: a denial"),
        }
    }

    fn last_resort(&self, instead: LastResort) -> String {
        match instead {
            LastResort::NoData => "no records".to_owned(),
            LastResort::ServFail => "SERVFAIL".to_owned(),
            LastResort::ServeAll => "as if all were healthy".to_owned(),
            LastResort::LastKnown => "the last members that were usable".to_owned(),
            LastResort::Fallback(node) => format!("the members of {}", self.node(node)),
        }
    }

    /// Why a refused question has no steps.
    fn refusal(&mut self, case: &Case) {
        if self.is_served(&case.name) {
            self.line(0, "questions of this kind are refused");
        } else {
            self.line(0, &format!("{} is in none of the zones served here: {}", case.name, self.zones()));
        }
    }

    fn is_served(&self, name: &Name) -> bool {
        self.live.snapshot.zones.iter().any(|(_, zone)| name.is_within(&zone.apex))
    }

    fn zones(&self) -> String {
        let names: Vec<String> = self.live.snapshot.zones.iter().map(|(_, zone)| zone.apex.to_string()).collect();
        if names.len() > ZONES_MAX { format!("{} of them", names.len()) } else { names.join(" ") }
    }

    fn node(&self, node: NodeId) -> String {
        let graph = &self.live.snapshot.graph;
        match &graph.nodes[node] {
            Node::Pool(pool) => format!("pool `{}`", graph.pools[*pool].name),
            Node::Policy { name, .. } => format!("policy `{name}`"),
        }
    }

    fn member(&self, pool: PoolId, member: u16) -> String {
        let pool = &self.live.snapshot.graph.pools[pool];
        let name = pool.members.get(usize::from(member)).map_or("?", |member| &member.name);
        format!("member `{name}` of `{}`", pool.name)
    }
}

fn seconds(seconds: u32) -> String {
    if seconds == u32::MAX { "good".to_owned() } else { format!("{seconds} s") }
}

//--- Messages as dig prints them

/// A response in the manner of dig: status, flags, EDNS, and the records of each section.
pub fn presentation(response: &[u8]) -> String {
    match Message::from_vec(response) {
        Ok(message) => present(&message, response),
        Err(error) => format!("unreadable response: {error}\n"),
    }
}

fn present(message: &Message, wire: &[u8]) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "status: {}; flags: {}", status(message), flags(wire));
    if let Some(edns) = &message.edns {
        let _ = writeln!(text, "{}", edns_line(edns));
    }
    for query in &message.queries {
        let _ = writeln!(text, "question: {}", question(query));
    }
    for (section, records) in [("answer", &message.answers), ("authority", &message.authorities), ("additional", &message.additionals)] {
        for record in records {
            let _ = writeln!(text, "{section}: {}", line(record));
        }
    }
    text
}

/// The RCODE, high bits of OPT included.
fn status(message: &Message) -> Cow<'static, str> {
    let low = u16::from(message.metadata.response_code.low());
    let high = message.edns.as_ref().map_or(0, |edns| u16::from(edns.rcode_high()));
    rcode_word(high << 4 | low & 0xf)
}

fn flags(wire: &[u8]) -> String {
    const NAMES: [(usize, u8, &str); 7] =
        [(2, 0x80, "qr"), (2, 0x04, "aa"), (2, 0x02, "tc"), (2, 0x01, "rd"), (3, 0x80, "ra"), (3, 0x20, "ad"), (3, 0x10, "cd")];
    let set = NAMES.iter().filter(|(at, bit, _)| wire.get(*at).is_some_and(|octet| octet & bit != 0));
    set.map(|(_, _, name)| *name).collect::<Vec<_>>().join(" ")
}

fn edns_line(edns: &Edns) -> String {
    let dnssec_ok = if edns.flags().dnssec_ok { ", do" } else { "" };
    let subnet = match edns.option(EdnsCode::Subnet) {
        Some(EdnsOption::Subnet(subnet)) => subnet_text(subnet),
        _ => String::new(),
    };
    format!("edns: version {}, udp {}{dnssec_ok}{subnet}", edns.version(), edns.max_payload())
}

fn subnet_text(subnet: &ClientSubnet) -> String {
    format!("; client subnet {}/{}/{}", subnet.addr(), subnet.source_prefix(), subnet.scope_prefix())
}

fn question(query: &Query) -> String {
    let class = if query.query_class == DNSClass::IN { String::new() } else { format!("{} ", query.query_class) };
    format!("{} {class}{}", query.name, Rtype(query.query_type.into()))
}

fn line(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, Rtype(record.record_type().into()), data(&record.data))
}

/// RDATA as text; in the generic form of RFC 3597 where hickory-proto has no text for it.
fn data(data: &RData) -> String {
    match data {
        RData::Unknown { code, rdata } if *code != RecordType::OPT => generic(rdata.anything.as_slice()),
        RData::NULL(_) => generic(&wire(data)),
        RData::TXT(text) => text.txt_data.iter().map(|string| quoted(string)).collect::<Vec<_>>().join(" "),
        RData::HINFO(info) => format!("{} {}", quoted(&info.cpu), quoted(&info.os)),
        known => known.to_string(),
    }
}

/// A character string in quotes, with what is not printable as `\DDD` (RFC 1035 section 5.1).
fn quoted(string: &[u8]) -> String {
    let mut text = String::from("\"");
    for &octet in string {
        let _ = match octet {
            b'"' | b'\\' => write!(text, "\\{}", char::from(octet)),
            0x20..=0x7e => write!(text, "{}", char::from(octet)),
            _ => write!(text, "\\{octet:03}"),
        };
    }
    text + "\""
}

fn generic(octets: &[u8]) -> String {
    let mut text = format!("\\# {} ", octets.len());
    for octet in octets {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

fn wire(data: &RData) -> Vec<u8> {
    let mut wire = Vec::new();
    let _ = data.emit(&mut BinEncoder::new(&mut wire));
    wire
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Inputs, compile};
    use crate::config::server;
    use crate::diagnostic::{Diagnostics, Source};
    use crate::health::{Status, Verdict};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    const POLICIES: &str = "
pools:
  fra: {members: [{name: up-1, a: 192.0.2.1}]}
  nyc: {members: [{name: down-1, a: 198.51.100.1}], ttl: {min: 20s, max: 30s}}
policies:
  first: {type: failover, use: [fra, nyc]}
  near: {type: geo, rules: [{match: {cidr: 203.0.113.0/24}, use: nyc}], default: fra}
";
    const ZONE: &str = "
zone: gslb.example.com
soa: {mname: ns1, rname: hostmaster.example.com.}
records:
  \"@\": {NS: ns1}
  ns1: {A: 192.0.2.53}
  first: {steer: first}
  near: {steer: near}
  nyc: {steer: nyc}
";

    /// The story of a name, with the members up for 10 s whose names say so.
    fn told(name: &str, subnet: Option<&str>, is_up: fn(&str) -> bool) -> String {
        let source = |text: &str| Arc::new(Source { name: "test.yaml".to_owned(), text: text.to_owned() });
        let server = server::read(&source("zones: zone.yaml\n"), &mut Diagnostics::new()).expect("a sound main file");
        let (policies, zones) = (vec![source(POLICIES)], vec![source(ZONE)]);
        let inputs = Inputs { server, base: PathBuf::new(), policies, regions: Vec::new(), zones, city: None, asn: None, cores: 1 };
        let (snapshot, diagnostics) = compile(inputs);
        let snapshot = Arc::new(snapshot.unwrap_or_else(|| panic!("{}", diagnostics.render(false))));
        let config = Arc::clone(&snapshot);
        let live = Live::prepare(snapshot, |pool, member, _| {
            let up = Verdict { status: Status::Up, holds: Duration::from_secs(10), latency: None };
            if is_up(&config.graph.pools[pool].members[member].name) { up } else { Verdict::DISABLED }
        });
        let case = Case::parse(name, "A", "192.0.2.99", subnet, 0).expect("a sound case");
        explain(&live, &case).render(&live, &case)
    }

    #[test]
    fn a_child_that_was_not_looked_at_is_said_to_be_so() {
        let story = told("first.gslb.example.com", None, |_| true);
        assert!(story.contains("policy `first`: pool `fra` is healthy: taken\n"), "{story}");
        assert!(story.contains("policy `first`: pool `nyc` was not looked at: one before it is as good\n"), "{story}");
    }

    #[test]
    fn a_place_is_shared_by_a_prefix_only_when_a_subnet_was_announced() {
        let story = told("near.gslb.example.com", Some("203.0.113.0/28"), |_| true);
        assert!(story.contains("looks at 203.0.113.0, the client subnet: the same for all of 203.0.113.0/24\n"), "{story}");
        let story = told("near.gslb.example.com", None, |_| true);
        assert!(story.contains("looks at 192.0.2.99, the resolver") && !story.contains("the same for all"), "{story}");
    }

    #[test]
    fn a_name_of_no_zone_is_answered_with_the_zones_that_there_are() {
        let story = told("first", None, |_| true);
        assert!(story.contains("first. is in none of the zones served here: gslb.example.com.\n"), "{story}");
        assert!(!told("first.gslb.example.com", None, |_| true).contains("in none"));
    }

    #[test]
    fn a_subnet_that_is_none_is_refused_in_a_sentence() {
        let error = Case::parse("a", "A", "192.0.2.1", Some("10.0.0.1/8"), 0).expect_err("host bits");
        assert_eq!(error, "`10.0.0.1/8` is no subnet: bits are set beyond its length; did you mean 10.0.0.0/8?");
    }
}
