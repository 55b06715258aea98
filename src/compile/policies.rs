//! Pools and policies to a graph: references become ids, children come before parents, cycles are refused.

use super::names::Names;
use super::places::Geography;
use crate::config::policy::{GeoRules, PolicyRule, PolicySection};
use crate::config::pool::PoolSection;
use crate::config::steer::{ON_ALL_DOWN_TTL, OnAllDown, SteerSection, TTL_MAX, TTL_MIN, TtlSection};
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use crate::geo::{GeoTable, Rule};
use crate::ids::{GeoTableId, Id, NodeId, PoolId, SiteId, SteerId, Table};
use crate::policy::{Graph, LastResort, Node, Policy, Pool, Steer, TtlRange};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// What a name in the shared namespace of pools and policies stands for: an index into its sections.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Named {
    Pool(usize),
    Policy(usize),
}

/// Makes the graph.
pub(super) struct GraphCompiler<'a> {
    pools: &'a [PoolSection],
    policies: &'a [PolicySection],
    names: Names<'a, Named>,
    geography: &'a Geography<'a>,
    graph: Graph,
    /// How far each policy is, by index.
    progress: Vec<Progress>,
    /// The policies between the root of the walk and here.
    path: Vec<usize>,
    /// Tables that exist, by content: identical lists share one.
    tables: HashMap<(Vec<Rule>, u16), GeoTableId>,
    /// What zones point at.
    steers: HashMap<Named, SteerId>,
    /// Pools that `on_all_down` names.
    fallbacks: HashSet<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    New,
    /// Its children are being compiled: whoever meets it again has found a cycle.
    Open,
    /// It was faulty; the reason is reported.
    Failed,
    Done(Compiled),
}

/// A node that stands in the graph.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Compiled {
    node: NodeId,
    /// Policies from here down to the deepest pool.
    height: usize,
    /// Nodes that a query looks at below here, itself included, each as often as ways lead to it.
    visits: u64,
    /// Whether any pool at or below it has a member of the family.
    families: [bool; 2],
}

/// The families of either.
fn either(a: [bool; 2], b: [bool; 2]) -> [bool; 2] {
    [a[0] || b[0], a[1] || b[1]]
}

/// Policies in policies: a path of this length nobody can follow any more.
const HEIGHT_MAX: usize = 32;

/// A survey of so many nodes takes some tens of microseconds: what a query may cost at most.
const VISITS_MAX: u64 = 4096;

impl<'a> GraphCompiler<'a> {
    /// Takes everything that policies refer to, and makes the node of each pool: its number is the pool's.
    pub fn new(
        pools: &'a [PoolSection],
        policies: &'a [PolicySection],
        mut names: Names<'a, Named>,
        geography: &'a Geography<'a>,
        (compiled, sites): (Table<PoolId, Pool>, Table<SiteId, Arc<str>>),
        diagnostics: &mut Diagnostics,
    ) -> GraphCompiler<'a> {
        for (index, pool) in pools.iter().enumerate() {
            names.declare(&pool.name, Named::Pool(index), diagnostics);
        }
        for (index, policy) in policies.iter().enumerate() {
            names.declare(&policy.name, Named::Policy(index), diagnostics);
        }
        let nodes = compiled.iter().map(|(id, _)| Node::Pool(id)).collect();
        GraphCompiler {
            pools,
            policies,
            names,
            geography,
            graph: Graph { pools: compiled, nodes, sites, ..Graph::default() },
            progress: vec![Progress::New; policies.len()],
            path: Vec::new(),
            tables: HashMap::new(),
            steers: HashMap::new(),
            fallbacks: HashSet::new(),
        }
    }

    /// Compiles all policies, used or not.
    pub fn compile(&mut self, diagnostics: &mut Diagnostics) {
        let (pools, policies) = (self.pools, self.policies);
        for (index, policy) in policies.iter().enumerate() {
            self.policy(index, &policy.name, diagnostics);
        }
        let steers = pools.iter().map(|pool| &pool.steer).chain(policies.iter().map(|policy| &policy.steer));
        for steer in steers {
            self.last_resort(steer, diagnostics);
        }
    }

    /// The decision that a zone points at by `name`.
    pub fn steer(&mut self, name: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<SteerId> {
        let named = self.names.resolve(name, diagnostics)?;
        if let Some(steer) = self.steers.get(&named) {
            return Some(*steer);
        }
        let root = self.compiled(named)?;
        let section = self.steer_section(named);
        let on_all_down_ttl = section.on_all_down_ttl.as_ref().map_or(ON_ALL_DOWN_TTL, |ttl| ttl.value);
        // A fault in it was reported when all were compiled.
        let on_all_down = self.last_resort(section, &mut Diagnostics::new())?;
        let rescue = match on_all_down {
            LastResort::Fallback(pool) => self.compiled_pool(pool.index()).families,
            LastResort::NoData | LastResort::ServFail | LastResort::ServeAll | LastResort::LastKnown => [false; 2],
        };
        let steer = Steer {
            root: root.node,
            ttl: section.ttl.as_ref().map_or_else(default_ttl, ttl_range),
            on_all_down,
            on_all_down_ttl_s: seconds(on_all_down_ttl),
            families: either(root.families, rescue),
        };
        let id = self.graph.steers.push(steer);
        self.steers.insert(named, id);
        Some(id)
    }

    fn steer_section(&self, named: Named) -> &'a SteerSection {
        match named {
            Named::Pool(index) => &self.pools[index].steer,
            Named::Policy(index) => &self.policies[index].steer,
        }
    }

    /// What the name became; `None` when it was faulty.
    fn compiled(&self, named: Named) -> Option<Compiled> {
        match named {
            Named::Pool(index) => Some(self.compiled_pool(index)),
            Named::Policy(index) => match self.progress[index] {
                Progress::Done(compiled) => Some(compiled),
                Progress::New | Progress::Open | Progress::Failed => None,
            },
        }
    }

    fn compiled_pool(&self, index: usize) -> Compiled {
        let has = |family: usize| self.pools[index].members.iter().any(|member| member.addresses[family].is_some());
        Compiled { node: NodeId::new(index), height: 0, visits: 1, families: [0, 1].map(has) }
    }

    fn last_resort(&mut self, section: &SteerSection, diagnostics: &mut Diagnostics) -> Option<LastResort> {
        let Some(written) = &section.on_all_down else { return Some(LastResort::NoData) };
        match &written.value {
            OnAllDown::NoData => Some(LastResort::NoData),
            OnAllDown::ServFail => Some(LastResort::ServFail),
            OnAllDown::ServeAll => Some(LastResort::ServeAll),
            OnAllDown::LastKnown => Some(LastResort::LastKnown),
            OnAllDown::Fallback(pool) => {
                let name = Spanned { value: pool.clone(), span: written.span.clone() };
                match self.names.resolve(&name, diagnostics)? {
                    Named::Pool(index) => {
                        self.fallbacks.insert(index);
                        Some(LastResort::Fallback(NodeId::new(index)))
                    }
                    Named::Policy(_) => {
                        let fault =
                            Diagnostic::error("not-a-pool", &written.span, format!("`{pool}` is a policy, and a fallback is a pool"));
                        diagnostics.push(fault.help("name a pool; to steer by health through more of them, extend the policy itself"));
                        None
                    }
                }
            }
        }
    }

    //--- Policies, children first

    fn policy(&mut self, index: usize, reference: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Compiled> {
        match self.progress[index] {
            Progress::Done(compiled) => return Some(compiled),
            Progress::Failed => return None,
            Progress::Open => {
                diagnostics.push(self.cycle(index, reference));
                return None;
            }
            Progress::New if self.path.len() >= HEIGHT_MAX => {
                diagnostics.push(too_deep(reference));
                self.progress[index] = Progress::Failed;
                return None;
            }
            Progress::New => {}
        }
        self.progress[index] = Progress::Open;
        self.path.push(index);
        let made = self.compile_policy(&self.policies[index], diagnostics);
        self.path.pop();
        let compiled = made.and_then(|(node, children)| self.admit(node, &children, reference, diagnostics));
        self.progress[index] = compiled.map_or(Progress::Failed, Progress::Done);
        compiled
    }

    /// Puts a node into the graph, unless a query could get lost in it.
    fn admit(&mut self, node: Node, children: &[Compiled], reference: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Compiled> {
        let height = 1 + children.iter().map(|child| child.height).max().unwrap_or(0);
        let visits = children.iter().fold(1u64, |sum, child| sum.saturating_add(child.visits));
        if height > HEIGHT_MAX {
            diagnostics.push(too_deep(reference));
            return None;
        }
        if visits > VISITS_MAX {
            let message = format!("a query to `{}` would look at {visits} pools and policies; {VISITS_MAX} is the most", reference.value);
            diagnostics.push(Diagnostic::error("too-wide", &reference.span, message).help("split it, or repeat fewer policies below it"));
            return None;
        }
        let families = children.iter().fold([false; 2], |families, child| either(families, child.families));
        Some(Compiled { node: self.graph.nodes.push(node), height, visits, families })
    }

    fn compile_policy(&mut self, section: &'a PolicySection, diagnostics: &mut Diagnostics) -> Option<(Node, Vec<Compiled>)> {
        let (policy, children) = match &section.rule {
            PolicyRule::Failover(uses) => (Some(Policy::Failover), self.children(uses.iter(), diagnostics)),
            PolicyRule::Weighted(uses) => {
                let weights = uses.iter().map(|used| used.weight).collect();
                (Some(Policy::Weighted(weights)), self.children(uses.iter().map(|used| &used.to), diagnostics))
            }
            PolicyRule::RoundRobin { uses, pick } => (Some(Policy::RoundRobin { pick: *pick }), self.children(uses.iter(), diagnostics)),
            PolicyRule::Latency { uses, tolerance } => {
                (Some(Policy::Latency { tolerance: *tolerance }), self.children(uses.iter(), diagnostics))
            }
            PolicyRule::Geo(rules) => self.geo(rules, diagnostics),
        };
        let children = children?;
        let node = Node::Policy {
            name: Arc::from(section.name.value.as_str()),
            policy: policy?,
            children: children.iter().map(|child| child.node).collect(),
            ttl: section.steer.ttl.as_ref().map(ttl_range),
        };
        Some((node, children))
    }

    /// The nodes of `uses`; `None` when any is faulty, but all are looked at.
    fn children<'u>(&mut self, uses: impl Iterator<Item = &'u Spanned<String>>, diagnostics: &mut Diagnostics) -> Option<Vec<Compiled>> {
        let found: Vec<Option<Compiled>> = uses.map(|used| self.child(used, diagnostics)).collect();
        found.into_iter().collect()
    }

    fn child(&mut self, used: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Compiled> {
        match self.names.resolve(used, diagnostics)? {
            Named::Pool(index) => Some(self.compiled_pool(index)),
            Named::Policy(index) => self.policy(index, used, diagnostics),
        }
    }

    fn geo(&mut self, section: &GeoRules, diagnostics: &mut Diagnostics) -> (Option<Policy>, Option<Vec<Compiled>>) {
        // Every child once, in the order in which it is first named; the rules number them.
        let mut uses: Vec<&Spanned<String>> = Vec::new();
        let mut numbers = Vec::new();
        for to in section.rules.iter().map(|rule| &rule.to).chain(&section.default) {
            let number = uses.iter().position(|known| known.value == to.value).unwrap_or(uses.len());
            if number == uses.len() {
                uses.push(to);
            }
            numbers.push(u16::try_from(number).ok());
        }
        let numbers: Option<Vec<u16>> = numbers.into_iter().collect();
        let rules: Vec<_> = section.rules.iter().map(|rule| self.geography.condition(&rule.when, diagnostics)).collect();
        let children = self.children(uses.into_iter(), diagnostics);
        // Without a default there is no table, but all that the rules name has been looked at.
        let Some(last) = &section.default else { return (None, children) };
        let Some((default, numbers)) = numbers.as_ref().and_then(|numbers| numbers.split_last()) else {
            let message = "a geo policy can name at most 65,536 different pools and policies";
            diagnostics.push(Diagnostic::error("out-of-range", &last.span, message).help("group them in policies"));
            return (None, children);
        };
        let rules = rules.into_iter().zip(numbers).map(|(when, &child)| Rule { when, child }).collect();
        // A table over a large database takes a while: none is made for a config that will not be served.
        let table = if diagnostics.has_errors() { GeoTableId::new(0) } else { self.table(rules, *default) };
        (Some(Policy::Geo { table, ecs: section.ecs }), children)
    }

    fn table(&mut self, rules: Vec<Rule>, default: u16) -> GeoTableId {
        let key = (rules, default);
        if let Some(table) = self.tables.get(&key) {
            return *table;
        }
        let id = self.graph.geo.push(GeoTable::compile(&key.0, key.1, self.geography.atlas));
        self.tables.insert(key, id);
        id
    }

    /// The fault of a reference that leads back to a policy on the way to it.
    fn cycle(&self, index: usize, reference: &Spanned<String>) -> Diagnostic {
        let start = self.path.iter().position(|&on_path| on_path == index).unwrap_or_default();
        let on_cycle = self.path[start..].iter().chain(std::iter::once(&index));
        let names: Vec<&str> = on_cycle.map(|&policy| self.policies[policy].name.value.as_str()).collect();
        Diagnostic::error("cycle", &reference.span, format!("policies lead in a circle: `{}`", names.join(" -> ")))
            .label("leads back")
            .also(&self.policies[index].name.span, "to this policy")
            .help("take one of these references out: every path must end at pools")
    }

    //--- What is served but probably not meant

    /// The finished graph. What looks unintended is reported when the config is sound: behind an error half would be untrue.
    pub fn finish(mut self, sound: bool, diagnostics: &mut Diagnostics) -> Graph {
        if sound {
            let reachable = self.in_use();
            self.warn_of_the_unreachable(&reachable, diagnostics);
            self.warn_of_unread_keys(&reachable, diagnostics);
            self.warn_of_mixed_families(diagnostics);
            self.warn_of_unfit_pools(diagnostics);
            self.warn_of_unknown_latency(diagnostics);
        }
        std::mem::take(&mut self.graph)
    }

    /// All nodes below what zones point at, those included.
    fn reachable(&self, roots: impl Iterator<Item = NodeId>) -> HashSet<NodeId> {
        let mut seen: HashSet<NodeId> = HashSet::new();
        let mut ahead: Vec<NodeId> = roots.collect();
        while let Some(node) = ahead.pop() {
            if !seen.insert(node) {
                continue;
            }
            match &self.graph.nodes[node] {
                Node::Pool(_) => {}
                Node::Policy { children, .. } => ahead.extend(children),
            }
        }
        seen
    }

    fn all_named(&self) -> impl Iterator<Item = (Named, &'a Spanned<String>)> {
        let pools = self.pools.iter().enumerate().map(|(index, pool)| (Named::Pool(index), &pool.name));
        pools.chain(self.policies.iter().enumerate().map(|(index, policy)| (Named::Policy(index), &policy.name)))
    }

    fn in_use(&self) -> HashSet<NodeId> {
        let fallbacks = self.fallbacks.iter().map(|&pool| NodeId::new(pool));
        self.reachable(self.graph.steers.rows().iter().map(|steer| steer.root).chain(fallbacks))
    }

    fn is_in(&self, reachable: &HashSet<NodeId>, named: Named) -> bool {
        self.compiled(named).is_some_and(|compiled| reachable.contains(&compiled.node))
    }

    fn warn_of_the_unreachable(&self, reachable: &HashSet<NodeId>, diagnostics: &mut Diagnostics) {
        for (named, name) in self.all_named().filter(|(named, _)| !self.is_in(reachable, *named)) {
            let what = match named {
                Named::Pool(_) => "pool",
                Named::Policy(_) => "policy",
            };
            let fault = Diagnostic::warning("unused", &name.span, format!("no zone steers to the {what} `{}`", name.value));
            diagnostics.push(fault.help(format!("point a zone at it with `steer: {}`, use it in a policy, or remove it", name.value)));
        }
    }

    fn warn_of_unread_keys(&self, reachable: &HashSet<NodeId>, diagnostics: &mut Diagnostics) {
        let inner = |named: &Named| self.is_in(reachable, *named) && !self.steers.contains_key(named);
        for (named, name) in self.all_named().filter(|(named, _)| inner(named)) {
            let SteerSection { ttl, on_all_down, on_all_down_ttl } = self.steer_section(named);
            // A policy's `ttl` bounds what passes through it; a pool has no such part.
            let ttl = ttl.as_ref().filter(|_| matches!(named, Named::Pool(_))).map(|ttl| ("ttl", &ttl.span));
            let on_all_down = on_all_down.as_ref().map(|written| ("on_all_down", &written.span));
            let on_all_down_ttl = on_all_down_ttl.as_ref().map(|written| ("on_all_down_ttl", &written.span));
            for (key, span) in [ttl, on_all_down, on_all_down_ttl].into_iter().flatten() {
                let message = format!("`{key}` of `{}` is not read: no zone points at it directly", name.value);
                let help = format!("write `{key}` at the policy or pool that a zone names in `steer:`");
                diagnostics.push(Diagnostic::warning("unread-key", span, message).help(help));
            }
        }
    }

    /// A client that comes by one family must not meet a region that has none of it, unless all are alike.
    fn warn_of_mixed_families(&self, diagnostics: &mut Diagnostics) {
        let mut reported = HashSet::new();
        let mut roots: Vec<(&Named, &SteerId)> = self.steers.iter().collect();
        roots.sort_by_key(|(_, steer)| **steer);
        for (named, steer) in roots {
            let reachable = self.reachable(std::iter::once(self.graph.steers[*steer].root));
            // The node of a pool has the pool's number.
            let mut pools: Vec<usize> = reachable.iter().map(|node| node.index()).filter(|&node| node < self.pools.len()).collect();
            pools.sort_unstable();
            for family in crate::prefix::Family::BOTH {
                let has = |pool: &usize| self.pools[*pool].members.iter().any(|member| member.addresses[family.index()].is_some());
                if !pools.iter().any(has) {
                    continue;
                }
                for pool in pools.iter().filter(|pool| !has(pool)) {
                    if reported.insert((*pool, family)) {
                        diagnostics.push(mixed_families(&self.pools[*pool].name, self.name_of(*named), family));
                    }
                }
            }
        }
    }

    fn name_of(&self, named: Named) -> &'a str {
        match named {
            Named::Pool(index) => &self.pools[index].name.value,
            Named::Policy(index) => &self.policies[index].name.value,
        }
    }

    fn warn_of_unfit_pools(&self, diagnostics: &mut Diagnostics) {
        for (section, pool) in self.pools.iter().zip(self.graph.pools.rows()) {
            let enabled = pool.members.iter().filter(|member| !member.disabled).count();
            if enabled == 0 {
                let fault = Diagnostic::warning("empty-pool", &section.name.span, format!("all members of `{}` are disabled", pool.name));
                diagnostics.push(fault.help("remove `disabled: true` from one of them"));
            } else if matches!(pool.min_healthy, crate::policy::MinHealthy::Count(count) if count as usize > enabled) {
                let message =
                    format!("`{}` can never be healthy: `min_healthy` asks for more members than are enabled ({enabled})", pool.name);
                let fault = Diagnostic::warning("never-healthy", &section.name.span, message);
                diagnostics.push(fault.help(format!("write at most `min_healthy: {enabled}`, or a share such as `50%`")));
            }
        }
    }

    /// Latency comes from probes: that of a pool without monitors is never known, and what is known goes before it.
    fn warn_of_unknown_latency(&self, diagnostics: &mut Diagnostics) {
        for policy in self.policies {
            let PolicyRule::Latency { uses, .. } = &policy.rule else { continue };
            for used in uses {
                for pool in self.pools_below(used).filter(|pool| pool.monitors.is_empty()) {
                    diagnostics.push(unknown_latency(&policy.name, used, &pool.name));
                }
            }
        }
    }

    /// The pools that a sound reference leads to, in config order.
    fn pools_below(&self, used: &Spanned<String>) -> impl Iterator<Item = &'a PoolSection> {
        let compiled = self.names.resolve(used, &mut Diagnostics::new()).and_then(|named| self.compiled(named));
        let reachable = self.reachable(compiled.map(|compiled| compiled.node).into_iter());
        // The node of a pool has the pool's number.
        self.pools.iter().enumerate().filter(move |(index, _)| reachable.contains(&NodeId::new(*index))).map(|(_, pool)| pool)
    }
}

fn unknown_latency(policy: &Spanned<String>, used: &Spanned<String>, pool: &Spanned<String>) -> Diagnostic {
    let message = format!("`{}` chooses by latency, and that of the pool `{}` is never known: it has no monitor", policy.value, pool.value);
    Diagnostic::warning("unknown-latency", &used.span, message)
        .also(&pool.span, "not probed")
        .help("give it a `monitor`; as it is, it is passed over while the latency of another is known")
}

fn mixed_families(pool: &Spanned<String>, root: &str, family: crate::prefix::Family) -> Diagnostic {
    let message = format!("the pool `{}` has no {family} address, though other pools of `{root}` have", pool.value);
    Diagnostic::warning("mixed-families", &pool.span, message)
        .help(format!("add {family} addresses: a client that is steered here gets none, whatever else is alive"))
}

fn too_deep(reference: &Spanned<String>) -> Diagnostic {
    let message = format!("policies are nested more than {HEIGHT_MAX} levels deep at `{}`", reference.value);
    Diagnostic::error("too-deep", &reference.span, message).help("use pools more directly")
}

/// What is handed out where nothing is written.
fn default_ttl() -> TtlRange {
    TtlRange { min_s: seconds(TTL_MIN), max_s: seconds(TTL_MAX) }
}

fn ttl_range(section: &TtlSection) -> TtlRange {
    TtlRange { min_s: seconds(section.min), max_s: seconds(section.max) }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).expect("the reader of TTLs refuses what 31 bits cannot hold")
}
