//! Pools and their members.

use super::reader::{self, Fields, Schema};
use super::steer::{self, SteerSection};
use super::yaml::{Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use crate::prefix::Family;
use std::net::IpAddr;

/// Members that are answered together.
#[derive(Clone, Debug)]
pub struct PoolSection {
    /// Its name.
    pub name: Spanned<String>,
    /// The monitors that every member must pass.
    pub monitors: Vec<Spanned<String>>,
    /// How members are chosen.
    pub choose: ChooseSection,
    /// Members in an answer at most.
    pub pick: u16,
    /// When it counts as healthy.
    pub min_healthy: MinHealthySection,
    /// Whether the families of a member are judged apart.
    pub family_health: FamilyHealthSection,
    /// What every member depends on.
    pub depends_on: Vec<Spanned<String>>,
    /// Its members; names are unique.
    pub members: Vec<MemberSection>,
    /// What holds when a zone points at it.
    pub steer: SteerSection,
}

/// How members are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChooseSection {
    /// By weight.
    Weighted,
    /// All, rotated.
    RoundRobin,
    /// All, in order.
    All,
}

/// Whether the families of a member are judged apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FamilyHealthSection {
    /// Each address by its own checks.
    Independent,
    /// A member is up in both families or in none.
    Joint,
}

/// How much of a pool must be usable for it to be healthy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MinHealthySection {
    /// Percent of the weight.
    Percent(u8),
    /// Members.
    Count(u32),
}

/// An entry of a pool.
#[derive(Clone, Debug)]
pub struct MemberSection {
    /// Unique in the pool.
    pub name: Spanned<String>,
    /// The name of its site.
    pub site: Option<Spanned<String>>,
    /// Its addresses, by [`Family::index`]; at least one.
    pub addresses: [Option<Spanned<IpAddr>>; 2],
    /// Where it is probed instead, by the family of the address that is answered.
    pub probe_addresses: [Option<Spanned<IpAddr>>; 2],
    /// The port at which it is probed instead of the monitor's.
    pub probe_port: Option<u16>,
    /// Members that must be up for it to be up: `POOL/MEMBER`, or `MEMBER` of its own pool.
    pub depends_on: Vec<Spanned<String>>,
    /// Its weight.
    pub weight: u32,
    /// Never answered, never probed.
    pub disabled: bool,
}

/// The keys of a pool.
pub const POOL: Schema = Schema {
    name: "a pool",
    keys: &[
        "monitor",
        "monitors",
        "choose",
        "pick",
        "min_healthy",
        "family_health",
        "depends_on",
        "members",
        "ttl",
        "on_all_down",
        "on_all_down_ttl",
    ],
};
/// The keys of a member.
pub const MEMBER: Schema =
    Schema { name: "a member", keys: &["name", "site", "a", "aaaa", "probe_address", "probe_port", "depends_on", "weight", "disabled"] };
/// The keys of `probe_address`.
pub const PROBE_ADDRESS: Schema = Schema { name: "`probe_address`", keys: &["a", "aaaa"] };

/// Half of what was planned is where capacity usually ends.
const MIN_HEALTHY: MinHealthySection = MinHealthySection::Percent(50);
/// Equal members need no weights.
const WEIGHT: u32 = 1;
/// A million steps are finer than any measurement, and sums of 65,535 of them fit in 64 bits.
pub const WEIGHT_MAX: u32 = 1_000_000;
/// One address per draw is what makes shares exact.
const PICK_WEIGHTED: u16 = 1;
/// Eight addresses of either family fit into 512 octets with a name of ordinary length.
pub const PICK_MANY: u16 = 8;
/// What an answer has room for.
pub const PICK_MAX: u16 = 64;
/// Members are numbered with 16 bits.
const MEMBERS_MAX: usize = 65_535;

const CHOICES: &[(&str, ChooseSection)] =
    &[("weighted", ChooseSection::Weighted), ("round_robin", ChooseSection::RoundRobin), ("all", ChooseSection::All)];

const FAMILY_HEALTHS: &[(&str, FamilyHealthSection)] =
    &[("independent", FamilyHealthSection::Independent), ("joint", FamilyHealthSection::Joint)];

/// Reads one pool.
pub fn read(name: &Spanned<String>, node: &Node, diagnostics: &mut Diagnostics) -> Option<PoolSection> {
    let fields = Fields::of(node, POOL, diagnostics)?;
    let choose = fields.optional("choose", reader::choice(CHOICES), diagnostics).unwrap_or(ChooseSection::Weighted);
    let default_pick = match choose {
        ChooseSection::Weighted => PICK_WEIGHTED,
        ChooseSection::RoundRobin | ChooseSection::All => PICK_MANY,
    };
    let members = reader::non_empty("member", reader::list("members", read_member));
    let members = fields.required("members", "[{name: lb-1, a: 192.0.2.1}]", members, diagnostics).unwrap_or_default();
    refuse_repetition(name, &members, diagnostics);
    Some(PoolSection {
        name: name.clone(),
        monitors: monitors(&fields, diagnostics),
        choose,
        pick: fields.optional("pick", reader::number(1..=PICK_MAX), diagnostics).unwrap_or(default_pick),
        min_healthy: fields.optional("min_healthy", min_healthy, diagnostics).unwrap_or(MIN_HEALTHY),
        family_health: fields
            .optional("family_health", reader::choice(FAMILY_HEALTHS), diagnostics)
            .unwrap_or(FamilyHealthSection::Independent),
        depends_on: fields.optional("depends_on", reader::one_or_list(reader::text), diagnostics).unwrap_or_default(),
        members,
        steer: steer::read(&fields, diagnostics),
    })
}

fn monitors(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<Spanned<String>> {
    if let (Some(one), Some(many)) = (fields.key_span("monitor"), fields.key_span("monitors")) {
        let fault = Diagnostic::error("meaningless-key", one, "both `monitor` and `monitors` are written");
        diagnostics.push(fault.also(many, "the other").help("list all of them at `monitors` and remove `monitor`"));
        return Vec::new();
    }
    let one = fields.optional("monitor", reader::name, diagnostics);
    let many = fields.optional("monitors", reader::one_or_list(reader::name), diagnostics).unwrap_or_default();
    let mut distinct: Vec<Spanned<String>> = Vec::new();
    for monitor in one.into_iter().chain(many) {
        match distinct.iter().find(|earlier| earlier.value == monitor.value) {
            Some(earlier) => {
                let fault = Diagnostic::error("duplicate-name", &monitor.span, format!("the monitor `{}` is listed twice", monitor.value));
                diagnostics.push(fault.also(&earlier.span, "first here").help("remove one of them"));
            }
            None => distinct.push(monitor),
        }
    }
    distinct
}

fn min_healthy(node: &Node, diagnostics: &mut Diagnostics) -> Option<MinHealthySection> {
    match &node.value {
        Value::Scalar { text, .. } if text.ends_with('%') => reader::percent(node, diagnostics).map(MinHealthySection::Percent),
        Value::Scalar { text, .. } if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            reader::number(0..=65_535)(node, diagnostics).map(MinHealthySection::Count)
        }
        Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => {
            let text = reader::scalar(node, "a share of the weight such as `50%`, or a number of members", diagnostics)?;
            let help = "write a share of the weight such as `50%`, or a number of members such as `2`";
            reader::refuse("bad-number", node, format!("`{text}` is neither a share nor a number"), help, diagnostics)
        }
    }
}

fn read_member(node: &Node, diagnostics: &mut Diagnostics) -> Option<MemberSection> {
    let fields = Fields::of(node, MEMBER, diagnostics)?;
    let name = fields.required("name", "lb-1", reader::name, diagnostics);
    let site = fields.optional("site", reader::name, diagnostics);
    let v4 = fields.optional("a", reader::address(Family::V4), diagnostics);
    let v6 = fields.optional("aaaa", reader::address(Family::V6), diagnostics);
    if !fields.has("a") && !fields.has("aaaa") {
        let fault = Diagnostic::error("missing-key", &fields.head(), "a member needs an address");
        diagnostics.push(fault.help("add `a: 192.0.2.1`, `aaaa: \"2001:db8::1\"`, or both"));
    }
    let weight = fields.optional("weight", reader::number(0..=WEIGHT_MAX), diagnostics).unwrap_or(WEIGHT);
    let disabled = fields.optional("disabled", reader::truth, diagnostics).unwrap_or(false);
    let probe_addresses = fields.optional("probe_address", probe_addresses, diagnostics).unwrap_or_default();
    let probe_port = fields.optional("probe_port", reader::number(1..=u16::MAX), diagnostics);
    let depends_on = fields.optional("depends_on", reader::one_or_list(reader::text), diagnostics).unwrap_or_default();
    Some(MemberSection { name: name?, site, addresses: [v4, v6], probe_addresses, probe_port, depends_on, weight, disabled })
}

/// One address for all that the member has, or a mapping with one for each of its own.
fn probe_addresses(node: &Node, diagnostics: &mut Diagnostics) -> Option<[Option<Spanned<IpAddr>>; 2]> {
    match &node.value {
        Value::Mapping(_) => {
            let fields = Fields::of(node, PROBE_ADDRESS, diagnostics)?;
            Some(["a", "aaaa"].map(|key| fields.optional(key, reader::host_address, diagnostics)))
        }
        Value::Scalar { .. } | Value::Sequence(_) => {
            let address = reader::host_address(node, diagnostics)?;
            Some([Some(address.clone()), Some(address)])
        }
    }
}

/// Names and addresses come once in a pool.
fn refuse_repetition(pool: &Spanned<String>, members: &[MemberSection], diagnostics: &mut Diagnostics) {
    let mut names = std::collections::HashMap::new();
    let mut addresses = std::collections::HashMap::new();
    for member in members {
        if let Some(first) = names.insert(member.name.value.as_str(), &member.name.span) {
            let message = format!("the pool `{}` has two members named `{}`", pool.value, member.name.value);
            let fault = Diagnostic::error("duplicate-name", &member.name.span, message);
            diagnostics.push(fault.also(first, "first here").help("give each member a name of its own: status and metrics show it"));
        }
        for address in member.addresses.iter().flatten() {
            if let Some(first) = addresses.insert(address.value, &address.span) {
                let message = format!("the pool `{}` has the address {} twice", pool.value, address.value);
                let fault = Diagnostic::error("duplicate-address", &address.span, message);
                diagnostics.push(fault.also(first, "first here").help("keep one of them; for a larger share raise its `weight`"));
            }
        }
    }
    if members.len() > MEMBERS_MAX {
        let message = format!("the pool `{}` has {} members; {MEMBERS_MAX} is the most", pool.value, members.len());
        diagnostics.push(Diagnostic::error("out-of-range", &pool.span, message).help("spread them over several pools"));
    }
}
