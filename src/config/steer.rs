//! What a pool or policy says about answers when a zone points at it: TTLs, and the last resort.

use super::reader::{self, Fields, Schema, show_duration};
use super::yaml::{Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, Spanned};
use std::time::Duration;

/// The keys that pools and policies share.
#[derive(Clone, Debug, Default)]
pub struct SteerSection {
    /// The TTLs handed out, where written.
    pub ttl: Option<TtlSection>,
    /// What is answered when all is down, where written.
    pub on_all_down: Option<Spanned<OnAllDown>>,
    /// The TTL of that answer, where written.
    pub on_all_down_ttl: Option<Spanned<Duration>>,
}

/// The TTLs handed out: `min <= max`, whole seconds.
#[derive(Clone, Debug)]
pub struct TtlSection {
    /// Where it was written.
    pub span: Span,
    /// Never above.
    pub max: Duration,
    /// Never below.
    pub min: Duration,
}

/// What is answered when all is down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OnAllDown {
    /// NODATA: there is no such address now.
    NoData,
    /// SERVFAIL: ask another server.
    ServFail,
    /// All members, as if they were up.
    ServeAll,
    /// Those that were up last.
    LastKnown,
    /// The members of this pool.
    Fallback(String),
}

/// The keys that [`read`] reads; part of the schemas of pools and policies.
pub const STEER_KEYS: [&str; 3] = ["ttl", "on_all_down", "on_all_down_ttl"];
/// The keys of `ttl`, when it is no plain duration.
pub const TTL: Schema = Schema { name: "`ttl`", keys: &["max", "min"] };
/// The keys of `on_all_down`, when it is no word.
pub const FALLBACK: Schema = Schema { name: "`on_all_down`", keys: &["fallback"] };

/// Resolvers ask again twice a minute: cheap, and a client that missed a flip waits no longer.
pub const TTL_MAX: Duration = Duration::from_secs(30);
/// Many resolvers treat less as this anyway.
pub const TTL_MIN: Duration = Duration::from_secs(5);
/// "Nothing is alive" must be forgotten soon after something is.
pub const ON_ALL_DOWN_TTL: Duration = Duration::from_secs(5);

/// Reads the shared keys.
pub fn read(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> SteerSection {
    SteerSection {
        ttl: fields.optional("ttl", ttl, diagnostics),
        on_all_down: fields.optional("on_all_down", on_all_down, diagnostics),
        on_all_down_ttl: fields.optional("on_all_down_ttl", spanned_ttl, diagnostics),
    }
}

fn spanned_ttl(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<Duration>> {
    reader::ttl(node, diagnostics).map(|value| Spanned { value, span: node.span.clone() })
}

fn ttl(node: &Node, diagnostics: &mut Diagnostics) -> Option<TtlSection> {
    let span = node.span.clone();
    if let Value::Scalar { .. } = &node.value {
        let max = reader::ttl(node, diagnostics)?;
        return Some(TtlSection { span, max, min: TTL_MIN.min(max) });
    }
    let fields = Fields::of(node, TTL, diagnostics)?;
    let written_max = fields.optional("max", reader::ttl, diagnostics);
    let written_min = fields.optional("min", reader::ttl, diagnostics);
    // One of the two alone moves the other's default out of its way.
    let max = written_max.unwrap_or(TTL_MAX.max(written_min.unwrap_or_default()));
    let min = written_min.unwrap_or(TTL_MIN.min(max));
    if min <= max {
        return Some(TtlSection { span, max, min });
    }
    let message = format!("the smallest TTL, {}, is above the largest, {}", show_duration(min), show_duration(max));
    diagnostics.push(Diagnostic::error("ttl-min-above-max", &span, message).help("swap them, or write one duration"));
    None
}

const WORDS: &[(&str, Word)] =
    &[("nodata", Word::NoData), ("servfail", Word::ServFail), ("serve_all", Word::ServeAll), ("last_known", Word::LastKnown)];

#[derive(Clone, Copy)]
enum Word {
    NoData,
    ServFail,
    ServeAll,
    LastKnown,
}

fn on_all_down(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<OnAllDown>> {
    let value = match &node.value {
        Value::Scalar { .. } | Value::Sequence(_) => match reader::choice(WORDS)(node, diagnostics)? {
            Word::NoData => OnAllDown::NoData,
            Word::ServFail => OnAllDown::ServFail,
            Word::ServeAll => OnAllDown::ServeAll,
            Word::LastKnown => OnAllDown::LastKnown,
        },
        Value::Mapping(_) => {
            let fields = Fields::of(node, FALLBACK, diagnostics)?;
            let pool = fields.required("fallback", "the name of a pool", reader::name, diagnostics)?;
            return Some(Spanned { value: OnAllDown::Fallback(pool.value), span: pool.span });
        }
    };
    Some(Spanned { value, span: node.span.clone() })
}
