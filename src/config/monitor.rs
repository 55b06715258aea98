//! Monitors: what is asked of an address, how often, and what counts as a pass.

use super::check::{self, CheckSection, KINDS, Kind};
use super::reader::{self, Fields, Schema, show_duration};
use super::tls;
use super::yaml::Node;
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use crate::prefix::Family;
use std::net::IpAddr;
use std::time::Duration;

/// A standing order to check.
#[derive(Clone, Debug)]
pub struct MonitorSection {
    /// Its name.
    pub name: Spanned<String>,
    /// What a probe does.
    pub check: CheckSection,
    /// The local addresses that probes come from, by [`Family::index`].
    pub source: [Option<IpAddr>; 2],
    /// How long before its end a certificate is warned of.
    pub expiry_warning: Option<Duration>,
    /// The files that it names, as they were written.
    pub files: Vec<Spanned<String>>,
    /// From one probe to the next.
    pub interval: Duration,
    /// When a probe has failed; below the interval.
    pub timeout: Duration,
    /// Failures in a row before a member is down.
    pub fall: u32,
    /// Passes in a row before it is up again.
    pub rise: u32,
}

/// The keys of a monitor.
pub const MONITOR: Schema = Schema {
    name: "a monitor",
    keys: &[
        "type",
        "interval",
        "timeout",
        "fall",
        "rise",
        "port",
        "source",
        "host",
        "path",
        "method",
        "headers",
        "body",
        "http_version",
        "expect",
        "contains",
        "matches",
        "within",
        "send",
        "tls",
        "verify",
        "ca",
        "client_certificate",
        "client_key",
        "expiry_warning",
        "expiry_failure",
        "alpn",
        "service",
        "question",
        "rcode",
        "answer",
        "transport",
        "recursion",
        "command",
        "file",
        "expires",
        "all",
        "any",
        "at_least",
        "of",
        "not",
    ],
};

/// Fast enough that three failures take a quarter of a minute, slow enough to be no load.
const INTERVAL: Duration = Duration::from_secs(5);
/// A healthy member answers within this from anywhere on earth, a handshake included.
const TIMEOUT: Duration = Duration::from_secs(2);
/// One lost packet is no failure, and neither are two.
const FALL: u32 = 3;
/// One pass may be luck.
const RISE: u32 = 2;
/// More in a row than this would take minutes to notice anything.
const STREAK_MAX: u32 = 100;
/// Reports and feeds are statements, not samples: one is enough, and looking for them costs nothing.
const INTERVAL_OF_REPORTS: Duration = Duration::from_secs(1);
const STREAK_OF_REPORTS: u32 = 1;
/// Below this, probing is a load test.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_hours(24);

/// Reads one monitor.
pub fn read(name: &Spanned<String>, node: &Node, diagnostics: &mut Diagnostics) -> Option<MonitorSection> {
    let fields = Fields::of(node, MONITOR, diagnostics)?;
    let kind = fields.required("type", "https", reader::choice(KINDS), diagnostics);
    let told = matches!(kind, Some(Kind::Push | Kind::File));
    let (usual_interval, usual_fall, usual_rise) =
        if told { (INTERVAL_OF_REPORTS, STREAK_OF_REPORTS, STREAK_OF_REPORTS) } else { (INTERVAL, FALL, RISE) };
    let interval = fields.optional("interval", reader::duration(INTERVAL_MIN..=INTERVAL_MAX), diagnostics).unwrap_or(usual_interval);
    let timeout = timeout(&fields, interval, diagnostics);
    let fall = fields.optional("fall", reader::number(1..=STREAK_MAX), diagnostics).unwrap_or(usual_fall);
    let rise = fields.optional("rise", reader::number(1..=STREAK_MAX), diagnostics).unwrap_or(usual_rise);
    let source = fields.optional("source", sources, diagnostics).unwrap_or_default();
    let expiry_warning = tls::expiry_warning(&fields, diagnostics);
    let check = check::read(kind?, &fields, diagnostics)?;
    Some(MonitorSection { name: name.clone(), check, source, expiry_warning, files: tls::files(&fields), interval, timeout, fall, rise })
}

/// One address, or one of each family.
fn sources(node: &Node, diagnostics: &mut Diagnostics) -> Option<[Option<IpAddr>; 2]> {
    let addresses = reader::one_or_list(reader::host_address)(node, diagnostics)?;
    let mut sources: [Option<Spanned<IpAddr>>; 2] = [None, None];
    for address in addresses {
        let family = Family::of(address.value);
        if let Some(first) = &sources[family.index()] {
            let fault = Diagnostic::error("duplicate-address", &address.span, format!("two {family} addresses to probe from"));
            diagnostics.push(fault.also(&first.span, "the first").help("keep one of each family"));
            return None;
        }
        sources[family.index()] = Some(address);
    }
    Some(sources.map(|source| source.map(|source| source.value)))
}

fn timeout(fields: &Fields<'_>, interval: Duration, diagnostics: &mut Diagnostics) -> Duration {
    let written = fields.optional("timeout", reader::duration(Duration::from_millis(1)..=INTERVAL_MAX), diagnostics);
    // A short interval alone is enough to write: the timeout follows it.
    let fitting = TIMEOUT.min(interval / 2);
    let Some(timeout) = written else { return fitting };
    if timeout < interval {
        return timeout;
    }
    let span = fields.key_span("timeout").unwrap_or(&fields.span);
    let message = format!("the timeout of {} is not below the interval of {}", show_duration(timeout), show_duration(interval));
    let fault = Diagnostic::error("timeout-not-below-interval", span, message);
    let fault = match fields.key_span("interval") {
        Some(interval) => fault.also(interval, "the interval"),
        None => fault,
    };
    diagnostics.push(fault.help(format!("write a timeout such as `{}`: a probe ends before the next begins", show_duration(fitting))));
    fitting
}
