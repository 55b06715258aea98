//! The zone file: a zone's own settings and its records, as written.
//!
//! Text stays text here: record data is read by the compiler of zones, which knows the types.

use super::reader::{self, Fields, Schema};
use super::suggest::nearest;
use super::yaml::{self, Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, Spanned};
use crate::dns::Name;
use std::sync::Arc;
use std::time::Duration;

/// A zone, as its file says it.
#[derive(Clone, Debug)]
pub struct ZoneSection {
    /// The name of the zone.
    pub origin: Spanned<Name>,
    /// The TTL of static data that says nothing else.
    pub ttl: Duration,
    /// The start of authority.
    pub soa: SoaSection,
    /// The names that hold something, in file order. The same owner may come twice when it was written in two ways.
    pub owners: Vec<OwnerSection>,
}

/// The fields of the SOA record (RFC 1035 section 3.3.13).
#[derive(Clone, Debug)]
pub struct SoaSection {
    /// The whole section.
    pub span: Span,
    /// The primary server, relative to the origin.
    pub mname: Spanned<String>,
    /// The mailbox of the person in charge, as a name relative to the origin.
    pub rname: Spanned<String>,
    /// The serial, where one is written; the compiler makes one otherwise.
    pub serial: Option<u32>,
    /// How often secondaries ask.
    pub refresh: Duration,
    /// How soon they ask again after a failure.
    pub retry: Duration,
    /// When they stop answering without having heard from us.
    pub expire: Duration,
    /// How long NXDOMAIN and NODATA may be cached (RFC 2308 section 4).
    pub minimum: Duration,
}

/// What one name holds.
#[derive(Clone, Debug)]
pub struct OwnerSection {
    /// Relative to the origin unless it ends in a dot: `www`, `@`, `*.app`.
    pub owner: Spanned<String>,
    /// The TTL of its static data, where it differs from the zone's.
    pub ttl: Option<Duration>,
    /// The policy or pool that decides its addresses.
    pub steer: Option<Spanned<String>>,
    /// Its static data.
    pub sets: Vec<SetSection>,
}

/// The records of one type at one name; never empty.
#[derive(Clone, Debug)]
pub struct SetSection {
    /// The type, as written: `A`, `MX`.
    pub rtype: Spanned<String>,
    /// One record each, in master file text (RFC 1035 section 5.1) without owner, TTL, class and type.
    pub values: Vec<Spanned<String>>,
}

/// The keys of a zone file.
pub const ZONE: Schema = Schema { name: "a zone file", keys: &["zone", "ttl", "soa", "records"] };
/// The keys of `soa`.
pub const SOA: Schema = Schema { name: "`soa`", keys: &["mname", "rname", "serial", "refresh", "retry", "expire", "minimum"] };
/// The keys of an owner that are no record types.
pub const OWNER_KEYS: [&str; 2] = ["ttl", "steer"];

/// Static data changes by hand: five minutes spare resolvers work and forgive a slip soon.
const TTL: Duration = Duration::from_mins(5);
/// Nobody transfers from here yet; these are what monitoring tools expect to see.
const REFRESH: Duration = Duration::from_hours(1);
const RETRY: Duration = Duration::from_mins(15);
const EXPIRE: Duration = Duration::from_hours(7 * 24);
/// A name that failed over must not be remembered as missing for longer than an answer would be.
const MINIMUM: Duration = Duration::from_secs(30);

/// Reads a zone file. `None` when no zone can be made of it; what else is faulty is reported and left out.
pub fn read(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Option<ZoneSection> {
    let root = yaml::parse(source, diagnostics)?;
    if let Value::Scalar { .. } = &root.value {
        return refuse_master_file(&root, diagnostics);
    }
    let fields = Fields::of(&root, ZONE, diagnostics)?;
    let origin = fields.required("zone", "gslb.example.com", reader::domain_name, diagnostics);
    let ttl = fields.optional("ttl", reader::ttl, diagnostics).unwrap_or(TTL);
    let soa = fields.required("soa", "{mname: ns1, rname: hostmaster.example.com.}", soa, diagnostics);
    let owners = fields.required("records", r#"{"@": {NS: [ns1]}}"#, owners, diagnostics);
    Some(ZoneSection { origin: origin?, ttl, soa: soa?, owners: owners? })
}

/// Lines of a master file (RFC 1035 section 5) are one long text to YAML.
fn refuse_master_file(root: &Node, diagnostics: &mut Diagnostics) -> Option<ZoneSection> {
    let fault = Diagnostic::error("wrong-kind", &reader::first_line(&root.span), "expected a zone file in YAML; this is a text");
    let help =
        "write `zone: gslb.example.com`, then `soa:` and `records:`; or, if it is in the format of BIND, let its name end in `.zone`";
    diagnostics.push(fault.help(help));
    None
}

fn soa(node: &Node, diagnostics: &mut Diagnostics) -> Option<SoaSection> {
    let fields = Fields::of(node, SOA, diagnostics)?;
    let mname = fields.required("mname", "ns1", reader::text, diagnostics);
    let rname = fields.required("rname", "hostmaster.example.com.", mailbox, diagnostics);
    let serial = fields.optional("serial", reader::number(0..=u32::MAX), diagnostics);
    let mut timer = |key, default| fields.optional(key, reader::ttl, diagnostics).unwrap_or(default);
    let (refresh, retry) = (timer("refresh", REFRESH), timer("retry", RETRY));
    let (expire, minimum) = (timer("expire", EXPIRE), timer("minimum", MINIMUM));
    let span = fields.head();
    Some(SoaSection { span, mname: mname?, rname: rname?, serial, refresh, retry, expire, minimum })
}

fn mailbox(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
    let text = reader::text(node, diagnostics)?;
    let Some((user, host)) = text.value.split_once('@').filter(|(user, _)| !user.is_empty()) else {
        return Some(text);
    };
    let help = format!("write it as a name: `{}.{host}.`", user.replace('.', "\\."));
    reader::refuse("bad-mailbox", node, format!("`{}` is not how DNS writes a mailbox", text.value), &help, diagnostics)
}

fn owners(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<OwnerSection>> {
    let entries = reader::mapping(node, "`records`", diagnostics)?;
    Some(entries.iter().filter_map(|(owner, value)| read_owner(owner, value, diagnostics)).collect())
}

fn read_owner(owner: &Spanned<String>, node: &Node, diagnostics: &mut Diagnostics) -> Option<OwnerSection> {
    let entries = reader::mapping(node, "an owner", diagnostics)?;
    if entries.is_empty() {
        let fault = Diagnostic::error("empty-owner", &owner.span, format!("`{}` holds nothing", owner.value));
        diagnostics.push(fault.help("give it records such as `{A: 192.0.2.1}` or `{steer: www}`, or remove it"));
    }
    let mut section = OwnerSection { owner: owner.clone(), ttl: None, steer: None, sets: Vec::new() };
    for (key, value) in entries {
        match key.value.as_str() {
            "ttl" => section.ttl = reader::ttl(value, diagnostics),
            "steer" => section.steer = reader::name(value, diagnostics),
            _ => section.sets.extend(read_set(key, value, diagnostics)),
        }
    }
    Some(section)
}

fn read_set(key: &Spanned<String>, node: &Node, diagnostics: &mut Diagnostics) -> Option<SetSection> {
    if key.value.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let fault = Diagnostic::error("unknown-key", &key.span, format!("`{}` is neither a key nor a record type", key.value));
        diagnostics.push(fault.help(type_help(&key.value)));
        return None;
    }
    let values = reader::non_empty("record", reader::one_or_list(record))(node, diagnostics)?;
    Some(SetSection { rtype: key.clone(), values })
}

fn type_help(key: &str) -> String {
    match nearest(key, OWNER_KEYS) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("record types are written in capitals: `{}`; the other keys are `ttl` and `steer`", key.to_ascii_uppercase()),
    }
}

fn record(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
    match &node.value {
        Value::Scalar { .. } | Value::Sequence(_) => reader::text(node, diagnostics),
        Value::Mapping(_) => reader::wrong_kind(node, "record data as text, such as `10 mail.example.com.`", diagnostics),
    }
}
