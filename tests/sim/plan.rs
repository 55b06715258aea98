//! What the operators of a world want: pools, monitors, policies and zones, as YAML and as facts to judge by.
//!
//! A seed makes a [`Plan`]; operators change it. [`Plan::compile`] writes it down and has the shipped compiler read it. What the plan
//! means for a member ([`Plan::addresses`], [`Plan::verdict`]) is worked out here once more, from the plan alone.

use super::chance::Chance;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use steersman::compile::{Inputs, compile};
use steersman::config;
use steersman::diagnostic::{Diagnostics, Source};
use steersman::health::Status;
use steersman::prefix::Family;
use steersman::snapshot::Snapshot;

/// All that is written.
#[derive(Clone)]
pub struct Plan {
    /// Seconds: every interval is a multiple of it, so that some worlds live fast and others slowly.
    tempo_s: u64,
    pub monitors: Vec<Monitor>,
    pub sites: usize,
    pub pools: Vec<Pool>,
    pub policies: Vec<Policy>,
    /// At most one: which pools, and its body.
    pub protection: Option<(Vec<usize>, String)>,
    /// The members and sites that it keeps.
    floor: (usize, usize),
    pub canaries: usize,
    /// The next machine gets this number; none is given twice.
    next_host: u16,
}

#[derive(Clone)]
pub struct Monitor {
    pub name: String,
    pub port: u16,
    pub kind: Kind,
    /// `interval: 5s, fall: 3`, and so on.
    body: String,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    Http,
    /// The members' agents report.
    Push,
    /// A program of the node's own looks at the members. Written down as agents, since what it says comes the same way.
    Program,
    /// So many of these monitors must be up.
    AtLeast(usize, Vec<usize>),
}

#[derive(Clone)]
pub struct Pool {
    pub name: String,
    pub monitors: Vec<usize>,
    pub members: Vec<Member>,
    pub is_joint: bool,
    /// Whether nothing but verdicts decides who is usable: no slow start, failback or siblings.
    pub is_plain: bool,
    pub ttl: Option<(u32, u32)>,
    pub rescue: Rescue,
    body: String,
}

#[derive(Clone)]
pub struct Member {
    pub name: String,
    pub host: u16,
    pub site: Option<usize>,
    pub families: [bool; 2],
    pub weight: u32,
    pub disabled: bool,
    /// A member of the same pool, by index.
    pub depends_on: Option<usize>,
}

#[derive(Clone)]
pub struct Policy {
    pub name: String,
    /// Pools first, then policies.
    pub children: Vec<usize>,
    pub is_geo: bool,
    pub ttl: Option<(u32, u32)>,
    pub rescue: Rescue,
    kind: &'static str,
    weights: Vec<u32>,
}

/// What is answered when all is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rescue {
    NoData,
    ServFail,
    ServeAll,
    LastKnown,
    /// This pool.
    Fallback(usize),
}

/// The TTL of what is answered when all is down, in every world.
pub const RESCUE_TTL_S: u32 = 4;

/// The TTLs of what says nothing of them, minimum and maximum.
pub const TTL_USUAL: (u32, u32) = (5, 30);

/// One address of a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seat {
    pub pool: usize,
    pub member: usize,
    pub family: Family,
}

impl Plan {
    /// Two pools of two, one monitor, nothing special: where every promise can be followed by hand.
    pub fn small() -> Plan {
        Plan::even(2, "type: tcp, interval: 5s, timeout: 2s, fall: 3, rise: 2")
    }

    /// So many members in each of two sites that not all of them can be probed at a time.
    pub fn crowd() -> Plan {
        Plan::even(300, "type: tcp, interval: 2s, timeout: 1900ms, fall: 3, rise: 2, fast_interval: 2s")
    }

    /// Two pools, each in a site of its own, and a policy that prefers the first.
    fn even(members: usize, monitor: &str) -> Plan {
        let mut chance = Chance::new(1);
        let monitors = vec![Monitor { name: "m0".to_owned(), port: 1000, kind: Kind::Tcp, body: monitor.to_owned() }];
        let mut plan = Plan {
            tempo_s: 1,
            monitors,
            sites: 2,
            pools: vec![],
            policies: vec![],
            protection: None,
            floor: (0, 0),
            canaries: 0,
            next_host: 0,
        };
        let (ttl, rescue) = (None, Rescue::NoData);
        for number in 0..2 {
            let members = (0..members).map(|_| Member { site: Some(number), ..plan.member(&mut chance) }.plain()).collect();
            let (name, body) = (format!("p{number}"), "choose: all".to_owned());
            plan.pools.push(Pool { name, monitors: vec![0], members, is_joint: false, is_plain: true, ttl, rescue, body });
        }
        let (name, children, weights) = ("q0".to_owned(), vec![0, 1], vec![1, 1]);
        plan.policies.push(Policy { name, children, is_geo: false, ttl, rescue, kind: "failover", weights });
        plan
    }

    /// A plan of many colours.
    pub fn drawn(chance: &mut Chance) -> Plan {
        let tempo_s = *chance.one_of(&[1, 1, 2, 6, 20, 40]);
        let sites = chance.index(6);
        let canaries = *chance.one_of(&[0, 0, 1, 2, 3]);
        let mut plan = Plan {
            tempo_s,
            monitors: vec![],
            sites,
            pools: vec![],
            policies: vec![],
            protection: None,
            floor: (0, 0),
            canaries,
            next_host: 0,
        };
        for number in 0..=chance.index(4) {
            let monitor = plan.monitor(number, chance);
            plan.monitors.push(monitor);
        }
        for number in 0..=chance.index(5) {
            let pool = plan.pool(number, chance);
            plan.pools.push(pool);
        }
        for number in 0..chance.index(4) {
            let policy = plan.policy(number, chance);
            plan.policies.push(policy);
        }
        if chance.percent(30) {
            plan.floor = (chance.index(3), chance.index(2));
            plan.protection = Some(plan.protection(chance));
        }
        plan
    }

    //--- Drawing

    fn monitor(&self, number: usize, chance: &mut Chance) -> Monitor {
        let checks: Vec<usize> = (0..number).filter(|&other| !matches!(self.monitors[other].kind, Kind::AtLeast(..))).collect();
        let (name, port) = (format!("m{number}"), 1000 + u16::try_from(number).expect("few"));
        let kind = match chance.index(8) {
            0 if checks.len() >= 2 => Kind::AtLeast(1 + chance.index(checks.len()), checks),
            0 | 1 => chance.one_of(&[Kind::Push, Kind::Program]).clone(),
            2..=4 => Kind::Http,
            _ => Kind::Tcp,
        };
        let body = self.monitor_body(&kind, chance);
        Monitor { name, port, kind, body }
    }

    fn monitor_body(&self, kind: &Kind, chance: &mut Chance) -> String {
        if let Kind::AtLeast(needed, of) = kind {
            let of: Vec<&str> = of.iter().map(|&other| self.monitors[other].name.as_str()).collect();
            return format!("type: calculated, at_least: {needed}, of: [{}]", of.join(", "));
        }
        let word = match kind {
            Kind::Tcp => "tcp",
            Kind::Http => "http",
            Kind::Push | Kind::Program | Kind::AtLeast(..) => "push",
        };
        let interval_ms = self.tempo_s * 1000 * chance.between(2, 6);
        let timeout_ms = chance.between(200, (interval_ms - 1).min(4000));
        let (fall, rise) = (chance.between(1, 5), chance.between(1, 4));
        let mut body = format!("type: {word}, interval: {interval_ms}ms, timeout: {timeout_ms}ms, fall: {fall}, rise: {rise}");
        if chance.percent(60) {
            let fast_ms = chance.between(100, interval_ms);
            let _ = write!(body, ", fast_interval: {fast_ms}ms");
        }
        if matches!(kind, Kind::Push | Kind::Program) {
            // A node that stands still for less than two seconds need not know it.
            let _ = write!(body, ", expires: {}s", 3 + self.tempo_s * chance.between(0, 10));
        }
        match chance.index(4) {
            0 => body += ", window: none",
            1 => line(write!(body, ", window: {{of: {}, fail: {}%}}", chance.between(1, 40), chance.between(5, 100))),
            _ => {}
        }
        match chance.index(4) {
            0 => body += ", damping: none",
            1 => {
                let hold = chance.between(1, 60);
                let window = chance.between(1, 60);
                let _ = write!(body, ", damping: {{window: {window}m, hold: {hold}s, hold_max: {}s}}", hold * chance.between(1, 20));
            }
            _ => {}
        }
        body
    }

    /// Another machine.
    pub fn member(&mut self, chance: &mut Chance) -> Member {
        let host = self.next_host;
        self.next_host += 1;
        let families = *chance.one_of(&[[true, false], [true, false], [true, true], [true, true], [false, true]]);
        Member {
            name: format!("h{host}"),
            host,
            site: (self.sites > 0 && chance.percent(80)).then(|| chance.index(self.sites)),
            families,
            weight: *chance.one_of(&[1, 1, 1, 2, 5, 0]),
            disabled: chance.percent(3),
            depends_on: None,
        }
    }

    fn pool(&mut self, number: usize, chance: &mut Chance) -> Pool {
        let monitors: Vec<usize> = (0..self.monitors.len()).filter(|_| chance.percent(50)).take(2).collect();
        let mut members: Vec<Member> = (0..=chance.index(6)).map(|_| self.member(chance)).collect();
        for (index, member) in members.iter_mut().enumerate().skip(1) {
            if chance.percent(8) {
                member.depends_on = Some(chance.index(index));
            }
        }
        let mut body = format!("choose: {}, pick: {}", chance.one_of(&["weighted", "round_robin", "all"]), chance.between(1, 5));
        let floor = *chance.one_of(&["50%", "0%", "100%", "1", "2", "34%"]);
        let _ = write!(body, ", min_healthy: {floor}");
        let is_plain = chance.percent(60);
        if !is_plain {
            if chance.percent(50) {
                let _ = write!(body, ", slow_start: {}s", self.tempo_s * chance.between(5, 120));
            }
            match chance.index(3) {
                0 => body += ", failback: manual",
                1 => line(write!(body, ", failback: {{after: {}s}}", self.tempo_s * chance.between(1, 120))),
                _ => {}
            }
            if chance.percent(40) {
                let _ = write!(body, ", slow_above: {}%", chance.between(20, 300));
            }
        }
        let (ttl, rescue) = (Plan::ttl(chance), Plan::rescue(number + 1, chance));
        Pool { name: format!("p{number}"), monitors, members, is_joint: chance.percent(15), is_plain, ttl, rescue, body }
    }

    fn ttl(chance: &mut Chance) -> Option<(u32, u32)> {
        let min = u32::try_from(chance.between(0, 8)).expect("small");
        let max = min + u32::try_from(chance.between(0, 60)).expect("small");
        chance.percent(60).then_some((min, max))
    }

    fn rescue(pools: usize, chance: &mut Chance) -> Rescue {
        match chance.index(8) {
            0 => Rescue::ServFail,
            1 => Rescue::ServeAll,
            2 => Rescue::LastKnown,
            3 => Rescue::Fallback(chance.index(pools)),
            _ => Rescue::NoData,
        }
    }

    fn policy(&self, number: usize, chance: &mut Chance) -> Policy {
        let nodes = self.pools.len() + number;
        let mut children: Vec<usize> = (0..nodes).filter(|_| chance.percent(50)).take(4).collect();
        if children.is_empty() {
            children.push(chance.index(nodes));
        }
        let kind = *chance.one_of(&["failover", "failover", "weighted", "round_robin", "latency", "geo"]);
        let weights = children.iter().map(|_| u32::try_from(chance.between(0, 3)).expect("small")).collect();
        let rescue = Plan::rescue(self.pools.len(), chance);
        Policy { name: format!("q{number}"), children, is_geo: kind == "geo", ttl: Plan::ttl(chance), rescue, kind, weights }
    }

    fn protection(&self, chance: &mut Chance) -> (Vec<usize>, String) {
        let mut pools: Vec<usize> = (0..self.pools.len()).filter(|_| chance.percent(60)).collect();
        if pools.is_empty() {
            pools.push(0);
        }
        let (members, sites) = self.floor;
        let mut body = format!("min_members: {members}, min_sites: {sites}");
        if chance.percent(50) {
            let _ = write!(body, ", max_removed: {}%, within: {}s", chance.between(10, 80), chance.between(5, 600));
        }
        (pools, body)
    }

    //--- What operators change

    /// Changes something that a reload then puts in force.
    pub fn change(&mut self, chance: &mut Chance) -> String {
        let pool = chance.index(self.pools.len());
        match chance.index(7) {
            0 => {
                let member = self.member(chance);
                let what = format!("{} joins {}", member.name, self.pools[pool].name);
                let at = chance.index(self.pools[pool].members.len() + 1);
                self.insert(pool, at, member);
                what
            }
            1 if self.pools[pool].members.len() > 1 => {
                let at = chance.index(self.pools[pool].members.len());
                let gone = self.remove(pool, at);
                format!("{} leaves {}", gone.name, self.pools[pool].name)
            }
            2 => {
                let at = chance.index(self.pools[pool].members.len());
                let member = &mut self.pools[pool].members[at];
                let before = member.name.clone();
                member.name = format!("{before}r");
                format!("{before} is renamed {}", self.pools[pool].members[at].name)
            }
            3 => {
                let at = chance.index(self.monitors.len());
                self.monitors[at].body = self.monitor_body(&self.monitors[at].kind.clone(), chance);
                format!("{} is now {}", self.monitors[at].name, self.monitors[at].body)
            }
            4 => {
                let at = chance.index(self.pools[pool].members.len());
                let member = &mut self.pools[pool].members[at];
                member.disabled = !member.disabled;
                format!("{} disabled: {}", member.name, member.disabled)
            }
            5 => {
                let port = 1 + self.monitors.iter().map(|monitor| monitor.port).max().expect("there is one");
                let at = chance.index(self.monitors.len());
                self.monitors[at].port = port;
                format!("{} asks at port {port}, if anywhere", self.monitors[at].name)
            }
            _ => {
                let to = chance.index(self.pools[pool].members.len());
                let mut member = self.remove(pool, to);
                member.weight = u32::try_from(chance.between(0, 4)).expect("small");
                let what = format!("{} weighs {}", member.name, member.weight);
                self.insert(pool, 0, member);
                what
            }
        }
    }

    fn insert(&mut self, pool: usize, at: usize, member: Member) {
        let members = &mut self.pools[pool].members;
        members.iter_mut().filter_map(|other| other.depends_on.as_mut()).filter(|on| **on >= at).for_each(|on| *on += 1);
        members.insert(at, member);
    }

    fn remove(&mut self, pool: usize, at: usize) -> Member {
        let members = &mut self.pools[pool].members;
        let gone = members.remove(at);
        for other in members.iter_mut() {
            other.depends_on = other.depends_on.filter(|on| *on != at).map(|on| if on > at { on - 1 } else { on });
        }
        Member { depends_on: None, ..gone }
    }

    //--- In writing

    /// Monitors, pools and policies as a file.
    pub fn policies_text(&self) -> String {
        let mut text = String::from("monitors:\n");
        for monitor in &self.monitors {
            let port = if matches!(monitor.kind, Kind::Tcp | Kind::Http) { format!(", port: {}", monitor.port) } else { String::new() };
            let _ = writeln!(text, "  {}: {{{}{port}}}", monitor.name, monitor.body);
        }
        if self.sites > 0 {
            text += "sites:\n";
            (0..self.sites).for_each(|site| line(writeln!(text, "  s{site}: {{lat: 1.0, lon: {site}.0}}")));
        }
        text += "pools:\n";
        for pool in &self.pools {
            let monitors: Vec<&str> = pool.monitors.iter().map(|&at| self.monitors[at].name.as_str()).collect();
            let _ = writeln!(text, "  {}:\n    {}", pool.name, pool.body.replace(", ", "\n    "));
            if !monitors.is_empty() {
                let _ = writeln!(text, "    monitors: [{}]", monitors.join(", "));
            }
            let _ = writeln!(text, "    family_health: {}", if pool.is_joint { "joint" } else { "independent" });
            let _ = writeln!(text, "    {}", Plan::last_words(pool.ttl, pool.rescue).join("\n    "));
            text += "    members:\n";
            pool.members.iter().for_each(|member| line(writeln!(text, "      - {{{}}}", pool.line(member))));
        }
        if !self.policies.is_empty() {
            text += "policies:\n";
            self.policies.iter().for_each(|policy| line(writeln!(text, "  {}: {{{}}}", policy.name, self.policy_line(policy))));
        }
        if let Some((pools, body)) = &self.protection {
            let pools: Vec<&str> = pools.iter().map(|&pool| self.pools[pool].name.as_str()).collect();
            let _ = writeln!(text, "protect:\n  core: {{pools: [{}], {body}}}", pools.join(", "));
        }
        text
    }

    fn last_words(ttl: Option<(u32, u32)>, rescue: Rescue) -> Vec<String> {
        let mut words: Vec<String> = ttl.map(|(min, max)| format!("ttl: {{min: {min}s, max: {max}s}}")).into_iter().collect();
        words.push(format!("on_all_down_ttl: {RESCUE_TTL_S}s"));
        words.push(match rescue {
            Rescue::NoData => "on_all_down: nodata".to_owned(),
            Rescue::ServFail => "on_all_down: servfail".to_owned(),
            Rescue::ServeAll => "on_all_down: serve_all".to_owned(),
            Rescue::LastKnown => "on_all_down: last_known".to_owned(),
            Rescue::Fallback(pool) => format!("on_all_down: {{fallback: p{pool}}}"),
        });
        words
    }

    fn policy_line(&self, policy: &Policy) -> String {
        let mut words = vec![format!("type: {}", policy.kind)];
        let child = |at: &usize| self.node_name(*at);
        words.push(match policy.kind {
            "weighted" => {
                let items = policy.children.iter().zip(&policy.weights);
                let items: Vec<String> = items.map(|(at, weight)| format!("{{to: {}, weight: {weight}}}", child(at))).collect();
                format!("use: [{}]", items.join(", "))
            }
            "geo" => {
                let (first, rest) = policy.children.split_first().expect("one child at least");
                let rule = |(number, at): (usize, &usize)| format!("{{match: {{cidr: 203.0.{number}.0/24}}, use: {}}}", child(at));
                let mut rules: Vec<String> = rest.iter().enumerate().map(rule).collect();
                rules.push(rule((9, first)));
                format!("rules: [{}], default: {}", rules.join(", "), child(first))
            }
            _ => format!("use: [{}]", policy.children.iter().map(child).collect::<Vec<_>>().join(", ")),
        });
        words.extend(Plan::last_words(policy.ttl, policy.rescue));
        words.join(", ")
    }

    fn zone_text(&self) -> String {
        let mut text = String::from("zone: sim.example\nsoa: {mname: ns1, rname: hostmaster}\nrecords:\n  \"@\": {NS: [ns1]}\n");
        text += "  ns1: {A: 192.0.2.53}\n";
        (0..self.nodes()).for_each(|node| line(writeln!(text, "  {0}: {{steer: {0}}}", self.node_name(node))));
        text
    }

    /// The shipped compiler's reading of all this.
    pub fn compile(&self) -> Snapshot {
        let canaries: Vec<String> = self.canaries().map(|canary| format!("\"{canary}\"")).collect();
        let server =
            format!("zones: [zone.yaml]\npolicies: [policies.yaml]\nlisten: [\"127.0.0.1:0\"]\ncanaries: [{}]\n", canaries.join(", "));
        let source = |name: &str, text: String| Arc::new(Source { name: name.to_owned(), text });
        let mut diagnostics = Diagnostics::new();
        let server = config::server::read(&source("steersman.yaml", server), &mut diagnostics);
        let server = server.unwrap_or_else(|| panic!("the plan is no config:\n{}", diagnostics.render(false)));
        let (snapshot, diagnostics) = compile(Inputs {
            server,
            base: PathBuf::new(),
            policies: vec![source("policies.yaml", self.policies_text())],
            regions: Vec::new(),
            zones: vec![source("zone.yaml", self.zone_text())],
            city: None,
            asn: None,
            cores: 1,
        });
        snapshot.unwrap_or_else(|| panic!("the plan is no config:\n{}\n{}", self.policies_text(), diagnostics.render(false)))
    }

    //--- What it means

    /// The pools that are protected, and the members and sites that are to be kept.
    pub fn protected(&self) -> Option<(Vec<usize>, (usize, usize))> {
        self.protection.as_ref().map(|(pools, _)| (pools.clone(), self.floor))
    }

    /// How fast its world lives: a second, or longer.
    pub fn tempo(&self) -> Duration {
        Duration::from_secs(self.tempo_s)
    }

    /// Pools and policies.
    pub fn nodes(&self) -> usize {
        self.pools.len() + self.policies.len()
    }

    /// The name of a node, which is that of the record that it steers too.
    pub fn node_name(&self, node: usize) -> &str {
        if node < self.pools.len() { &self.pools[node].name } else { &self.policies[node - self.pools.len()].name }
    }

    /// The least and the greatest TTL of an answer that `node` steers, and what is answered when all is down.
    pub fn edge(&self, node: usize) -> (u32, u32, Rescue) {
        let (ttl, rescue) = match node.checked_sub(self.pools.len()) {
            None => (self.pools[node].ttl, self.pools[node].rescue),
            Some(policy) => (self.policies[policy].ttl, self.policies[policy].rescue),
        };
        let (min, max) = ttl.unwrap_or(TTL_USUAL);
        (min, max, rescue)
    }

    /// The longest TTL that there is.
    pub fn longest_ttl_s(&self) -> u32 {
        let ttls = self.pools.iter().map(|pool| pool.ttl).chain(self.policies.iter().map(|policy| policy.ttl));
        ttls.map(|ttl| ttl.unwrap_or(TTL_USUAL).1).max().unwrap_or(0).max(RESCUE_TTL_S)
    }

    /// The pools at and below a node, whether the place of the client decides on the way, and the greatest least TTL on the way.
    pub fn below(&self, node: usize) -> (Vec<usize>, bool, u32) {
        let Some(policy) = node.checked_sub(self.pools.len()).map(|at| &self.policies[at]) else { return (vec![node], false, 0) };
        let mut all = (Vec::new(), policy.is_geo, policy.ttl.map_or(0, |(min, _)| min));
        for &child in &policy.children {
            let (pools, is_geo, min) = self.below(child);
            all.0.extend(pools);
            (all.1, all.2) = (all.1 || is_geo, all.2.max(min));
        }
        all
    }

    /// Where the canaries are.
    pub fn canaries(&self) -> impl Iterator<Item = SocketAddr> {
        (0..self.canaries).map(|number| SocketAddr::from(([198, 51, 100, u8::try_from(number).expect("few")], 443)))
    }

    /// Every address that a member has, by the address.
    pub fn addresses(&self) -> BTreeMap<IpAddr, Seat> {
        let mut addresses = BTreeMap::new();
        for (pool, settings) in self.pools.iter().enumerate() {
            for (member, settings) in settings.members.iter().enumerate() {
                for family in Family::BOTH {
                    addresses.extend(settings.address(family).map(|addr| (addr, Seat { pool, member, family })));
                }
            }
        }
        addresses
    }

    /// The checks of one address, without those of members that it depends on: what one must be asked about.
    pub fn checks(&self, seat: Seat) -> Vec<Check> {
        let (pool, member) = (&self.pools[seat.pool], &self.pools[seat.pool].members[seat.member]);
        let Some(addr) = member.address(seat.family) else { return Vec::new() };
        let mut checks: Vec<Check> = Vec::new();
        for &monitor in &pool.monitors {
            let parts = match &self.monitors[monitor].kind {
                Kind::AtLeast(_, of) => of.clone(),
                Kind::Tcp | Kind::Http | Kind::Push | Kind::Program => vec![monitor],
            };
            checks.extend(parts.into_iter().map(|part| self.check(part, pool, member, addr)));
        }
        checks
    }

    fn check(&self, monitor: usize, pool: &Pool, member: &Member, addr: IpAddr) -> Check {
        match self.monitors[monitor].kind {
            Kind::Tcp | Kind::Http => Check::Sent(SocketAddr::new(addr, self.monitors[monitor].port)),
            Kind::Push | Kind::Program | Kind::AtLeast(..) => Check::Told { monitor, pool: pool.name.clone(), member: member.name.clone() },
        }
    }

    /// Whether an address is all of its checks, so that each of them alone can bring it down.
    pub fn needs_all(&self, seat: Seat) -> bool {
        let is_all = |monitor: &usize| !matches!(self.monitors[*monitor].kind, Kind::AtLeast(..));
        self.pools[seat.pool].monitors.iter().all(is_all)
    }

    /// All checks that are asked when one address is judged.
    pub fn asked(&self, seat: Seat) -> BTreeSet<Check> {
        let asked = RefCell::new(BTreeSet::new());
        self.verdict(seat, &|check| {
            asked.borrow_mut().insert(check.clone());
            Status::Unknown
        });
        asked.into_inner()
    }

    /// What is to be believed of one address when `status` says what is believed of a check.
    pub fn verdict(&self, seat: Seat, status: &impl Fn(&Check) -> Status) -> Status {
        let (pool, member) = (&self.pools[seat.pool], &self.pools[seat.pool].members[seat.member]);
        if member.disabled {
            return Status::Down;
        }
        let mut parts = Vec::new();
        for family in Family::BOTH {
            if family == seat.family || pool.is_joint {
                let Some(addr) = member.address(family) else { continue };
                let of = |&monitor: &usize| self.opinion(monitor, pool, member, addr, status);
                parts.extend(pool.monitors.iter().map(of));
            }
        }
        if let Some(on) = member.depends_on {
            let has_it = pool.members[on].families[seat.family.index()];
            let family = if has_it { seat.family } else { other(seat.family) };
            parts.push(self.verdict(Seat { member: on, family, ..seat }, status));
        }
        at_least(parts.len(), &parts)
    }

    fn opinion(&self, monitor: usize, pool: &Pool, member: &Member, addr: IpAddr, status: &impl Fn(&Check) -> Status) -> Status {
        match &self.monitors[monitor].kind {
            Kind::AtLeast(needed, of) => {
                let parts: Vec<Status> = of.iter().map(|&part| status(&self.check(part, pool, member, addr))).collect();
                at_least(*needed, &parts)
            }
            Kind::Tcp | Kind::Http | Kind::Push | Kind::Program => status(&self.check(monitor, pool, member, addr)),
        }
    }
}

/// What is asked of one address, as the plan knows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Check {
    /// A probe that goes there.
    Sent(SocketAddr),
    /// The word of the member's agent.
    Told { monitor: usize, pool: String, member: String },
}

impl Member {
    fn plain(self) -> Member {
        Member { families: [true, false], weight: 1, disabled: false, ..self }
    }

    pub fn address(&self, family: Family) -> Option<IpAddr> {
        let [high, low] = self.host.to_be_bytes();
        let addr = match family {
            Family::V4 => IpAddr::from(Ipv4Addr::new(10, 1 + self.site.map_or(100, |site| u8::try_from(site).expect("few")), high, low)),
            Family::V6 => IpAddr::from(Ipv6Addr::new(
                0x2001,
                0xdb8,
                self.site.map_or(100, |site| u16::try_from(site).expect("few")),
                0,
                0,
                0,
                0,
                self.host,
            )),
        };
        self.families[family.index()].then_some(addr)
    }
}

impl Pool {
    fn line(&self, member: &Member) -> String {
        let mut words = vec![format!("name: {}", member.name), format!("weight: {}", member.weight)];
        words.extend(member.site.map(|site| format!("site: s{site}")));
        words.extend(member.address(Family::V4).map(|addr| format!("a: {addr}")));
        words.extend(member.address(Family::V6).map(|addr| format!("aaaa: \"{addr}\"")));
        words.extend(member.disabled.then(|| "disabled: true".to_owned()));
        words.extend(member.depends_on.map(|on| format!("depends_on: {}", self.members[on].name)));
        words.join(", ")
    }
}

fn other(family: Family) -> Family {
    match family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    }
}

/// Writing to a text never fails.
fn line(written: std::fmt::Result) {
    written.expect("a text takes everything");
}

/// Up when so many are up, down when so many no longer can be, and else unknown.
fn at_least(needed: usize, parts: &[Status]) -> Status {
    let count = |status| parts.iter().filter(|part| **part == status).count();
    if count(Status::Up) >= needed {
        Status::Up
    } else if count(Status::Down) > parts.len() - needed {
        Status::Down
    } else {
        Status::Unknown
    }
}
