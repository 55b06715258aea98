//! Policies: what to do with which children.

use super::place::{self, MatchSection};
use super::pool::{PICK_MANY, PICK_MAX, WEIGHT_MAX};
use super::reader::{self, Fields, Schema};
use super::steer::{self, SteerSection};
use super::yaml::{Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, Spanned};
use std::time::Duration;

/// A policy.
#[derive(Clone, Debug)]
pub struct PolicySection {
    /// Its name.
    pub name: Spanned<String>,
    /// What it does.
    pub rule: PolicyRule,
    /// What holds when a zone points at it.
    pub steer: SteerSection,
}

/// What a policy does with its children.
#[derive(Clone, Debug)]
pub enum PolicyRule {
    /// The first that is fit.
    Failover(Vec<Spanned<String>>),
    /// One by weight.
    Weighted(Vec<WeightedUse>),
    /// All, rotated.
    RoundRobin {
        /// The children.
        uses: Vec<Spanned<String>>,
        /// Members in an answer at most.
        pick: u16,
    },
    /// By the client's place.
    Geo(GeoRules),
    /// The nearest by probe.
    Latency {
        /// The children.
        uses: Vec<Spanned<String>>,
        /// How much worse than the best still counts as equal.
        tolerance: Duration,
    },
}

/// A child with its weight.
#[derive(Clone, Debug)]
pub struct WeightedUse {
    /// The child's name.
    pub to: Spanned<String>,
    /// Its weight.
    pub weight: u32,
}

/// Rules on the client's place.
#[derive(Clone, Debug)]
pub struct GeoRules {
    /// In order.
    pub rules: Vec<GeoRule>,
    /// The child for everybody else; absent only when that was reported.
    pub default: Option<Spanned<String>>,
    /// Whether the announced client subnet counts.
    pub ecs: bool,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct GeoRule {
    /// Which clients.
    pub when: MatchSection,
    /// The child's name.
    pub to: Spanned<String>,
}

/// The keys of a policy.
pub const POLICY: Schema = Schema {
    name: "a policy",
    keys: &["type", "use", "pick", "rules", "default", "ecs", "tolerance", "ttl", "on_all_down", "on_all_down_ttl"],
};
/// The keys of an item of `rules`.
pub const RULE: Schema = Schema { name: "a rule", keys: &["match", "use"] };
/// The keys of an item of `use` in a weighted policy.
pub const WEIGHTED_USE: Schema = Schema { name: "an item of `use`", keys: &["to", "weight"] };

/// Below what one router's queue adds; two sites nearer than this are equally near.
const TOLERANCE: Duration = Duration::from_millis(10);
/// A share is 1 unless written.
const WEIGHT: u32 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failover,
    Weighted,
    RoundRobin,
    Geo,
    Latency,
}

const KINDS: &[(&str, Kind)] = &[
    ("failover", Kind::Failover),
    ("weighted", Kind::Weighted),
    ("round_robin", Kind::RoundRobin),
    ("geo", Kind::Geo),
    ("latency", Kind::Latency),
];

impl Kind {
    /// The keys that mean something to this kind, beside those that all have.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Kind::Failover | Kind::Weighted => &["use"],
            Kind::RoundRobin => &["use", "pick"],
            Kind::Geo => &["rules", "default", "ecs"],
            Kind::Latency => &["use", "tolerance"],
        }
    }

    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Reads one policy.
pub fn read(name: &Spanned<String>, node: &Node, diagnostics: &mut Diagnostics) -> Option<PolicySection> {
    let fields = Fields::of(node, POLICY, diagnostics)?;
    let kind = fields.required("type", "failover", reader::choice(KINDS), diagnostics);
    let steer = steer::read(&fields, diagnostics);
    let rule = rule(kind?, &fields, diagnostics)?;
    Some(PolicySection { name: name.clone(), rule, steer })
}

fn rule(kind: Kind, fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<PolicyRule> {
    let everywhere = ["type"].into_iter().chain(steer::STEER_KEYS);
    let known: Vec<&str> = everywhere.chain(kind.keys().iter().copied()).collect();
    for key in POLICY.keys.iter().filter(|key| !known.contains(key)) {
        fields.forbid(key, &format!("a {} policy reads {}", kind.name(), quoted(kind.keys())), diagnostics);
    }
    match kind {
        Kind::Failover => uses(fields, diagnostics).map(PolicyRule::Failover),
        Kind::Weighted => weighted(fields, diagnostics).map(PolicyRule::Weighted),
        Kind::RoundRobin => {
            let pick = fields.optional("pick", reader::number(1..=PICK_MAX), diagnostics).unwrap_or(PICK_MANY);
            uses(fields, diagnostics).map(|uses| PolicyRule::RoundRobin { uses, pick })
        }
        Kind::Geo => Some(PolicyRule::Geo(geo(fields, diagnostics))),
        Kind::Latency => {
            let range = Duration::ZERO..=Duration::from_mins(1);
            let tolerance = fields.optional("tolerance", reader::duration(range), diagnostics).unwrap_or(TOLERANCE);
            uses(fields, diagnostics).map(|uses| PolicyRule::Latency { uses, tolerance })
        }
    }
}

fn quoted(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

const USE_EXAMPLE: &str = "[web-fra, web-nyc]";

fn uses(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<Spanned<String>>> {
    let read = reader::non_empty("pool or policy", reader::one_or_list(reader::name));
    let uses = fields.required("use", USE_EXAMPLE, read, diagnostics)?;
    refuse_repetition(uses.iter(), diagnostics);
    Some(uses)
}

fn weighted(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<WeightedUse>> {
    let read = reader::non_empty("pool or policy", reader::one_or_list(weighted_use));
    let uses = fields.required("use", "[{to: web-fra, weight: 3}, {to: web-nyc, weight: 1}]", read, diagnostics)?;
    refuse_repetition(uses.iter().map(|item| &item.to), diagnostics);
    Some(uses)
}

fn weighted_use(node: &Node, diagnostics: &mut Diagnostics) -> Option<WeightedUse> {
    let Value::Mapping(_) = &node.value else {
        return reader::name(node, diagnostics).map(|to| WeightedUse { to, weight: WEIGHT });
    };
    let fields = Fields::of(node, WEIGHTED_USE, diagnostics)?;
    let to = fields.required("to", "web-fra", reader::name, diagnostics);
    let weight = fields.optional("weight", reader::number(0..=WEIGHT_MAX), diagnostics).unwrap_or(WEIGHT);
    Some(WeightedUse { to: to?, weight })
}

fn refuse_repetition<'a>(uses: impl Iterator<Item = &'a Spanned<String>>, diagnostics: &mut Diagnostics) {
    let mut first = std::collections::HashMap::<&str, &Span>::new();
    for used in uses {
        if let Some(earlier) = first.insert(&used.value, &used.span) {
            let fault = Diagnostic::error("duplicate-name", &used.span, format!("`{}` is used twice", used.value));
            diagnostics.push(fault.also(earlier, "first here").help("keep one of the two; a `weighted` policy gives it a larger share"));
        }
    }
}

fn geo(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> GeoRules {
    let rules = fields.required("rules", "[{match: {continent: EU}, use: web-fra}]", reader::list("rules", geo_rule), diagnostics);
    if !fields.has("default") {
        let span = fields.key_span("type").cloned().unwrap_or_else(|| fields.head());
        let fault = Diagnostic::error("missing-key", &span, "a geo policy needs the key `default`");
        diagnostics.push(fault.help("add `default: web-fra`: the pool or policy of clients that no rule matches"));
    }
    let default = fields.optional("default", reader::name, diagnostics);
    let ecs = fields.optional("ecs", reader::choice(&[("use", true), ("ignore", false)]), diagnostics).unwrap_or(true);
    GeoRules { rules: rules.unwrap_or_default(), default, ecs }
}

fn geo_rule(node: &Node, diagnostics: &mut Diagnostics) -> Option<GeoRule> {
    let fields = Fields::of(node, RULE, diagnostics)?;
    let when = fields.required("match", "{continent: EU}", place::read_match, diagnostics);
    let to = fields.required("use", "web-fra", one_name, diagnostics);
    Some(GeoRule { when: when?, to: to? })
}

fn one_name(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
    if let Value::Sequence(_) = &node.value {
        let help = "write one name; for several, make a failover policy of them and name it here";
        return reader::refuse("wrong-kind", node, "a rule uses one pool or policy", help, diagnostics);
    }
    reader::name(node, diagnostics)
}
