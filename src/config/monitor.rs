//! Monitors: what is asked of an address, how often, and what counts as a pass.

use super::check::{self, CheckSection, KINDS, Kind, MONITOR};
use super::reader::{self, Fields, Schema, show_duration};
use super::tls;
use super::yaml::{Node, Value};
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
    /// From one probe to the next while a member that is up fails; at most the interval.
    pub fast_interval: Duration,
    /// How many failures among how many probes are too many.
    pub window: Option<WindowSection>,
    /// How falls in short order keep a member down.
    pub damping: Option<DampingSection>,
}

/// A share of the last probes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowSection {
    /// The probes that are looked at.
    pub of: u32,
    /// Percent of them that must not fail.
    pub fail: u8,
}

/// A hold-down that grows with each fall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DampingSection {
    /// Falls count for so long.
    pub window: Duration,
    /// The hold-down after the second of them.
    pub hold: Duration,
    /// The hold-down after any number of them.
    pub hold_max: Duration,
}

/// The keys of `window`.
pub const WINDOW: Schema = Schema { name: "`window`", keys: &["of", "fail"] };
/// The keys of `damping`.
pub const DAMPING: Schema = Schema { name: "`damping`", keys: &["window", "hold", "hold_max"] };

/// Fast enough that three failures take a quarter of a minute, slow enough to be no load.
const INTERVAL: Duration = Duration::from_secs(5);
/// A healthy member answers within this from anywhere on earth, a handshake included.
const TIMEOUT: Duration = Duration::from_secs(2);
/// One lost packet is no failure, and neither are two.
const FALL: u32 = 3;
/// One pass may be luck.
const RISE: u32 = 2;
/// Confirmation takes seconds, and a member that struggles is asked no more than once in one of them.
const FAST_INTERVAL: Duration = Duration::from_secs(1);
/// Of twenty probes a member that loses a third fails more than this, and one that loses a twentieth practically never.
const WINDOW_DEFAULT: WindowSection = WindowSection { of: 20, fail: 30 };
/// A crash loop of a service that is restarted every half minute is held down from its second crash, for five minutes at last.
const DAMPING_DEFAULT: DampingSection =
    DampingSection { window: Duration::from_mins(10), hold: Duration::from_secs(10), hold_max: Duration::from_mins(5) };
/// As many probes as one window remembers.
const WINDOW_MAX: u32 = 100;
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
    let fast_interval = fast_interval(&fields, interval, diagnostics);
    let window = fields.optional("window", unless_none(window), diagnostics).unwrap_or(Some(WINDOW_DEFAULT));
    let damping = fields.optional("damping", unless_none(damping), diagnostics).unwrap_or(Some(DAMPING_DEFAULT));
    let files = tls::files(&fields);
    Some(MonitorSection {
        name: name.clone(),
        check,
        source,
        expiry_warning,
        files,
        interval,
        timeout,
        fall,
        rise,
        fast_interval,
        window,
        damping,
    })
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

fn fast_interval(fields: &Fields<'_>, interval: Duration, diagnostics: &mut Diagnostics) -> Duration {
    let fitting = FAST_INTERVAL.min(interval);
    let Some(fast) = fields.optional("fast_interval", reader::duration(INTERVAL_MIN..=INTERVAL_MAX), diagnostics) else { return fitting };
    if fast <= interval {
        return fast;
    }
    let span = fields.key_span("fast_interval").unwrap_or(&fields.span);
    let message = format!("the fast interval of {} is above the interval of {}", show_duration(fast), show_duration(interval));
    let fault = Diagnostic::error("fast-interval-above-interval", span, message);
    let fault = match fields.key_span("interval") {
        Some(interval) => fault.also(interval, "the interval"),
        None => fault,
    };
    let help = format!("write `{}`, or `{}` to hurry nothing", show_duration(fitting), show_duration(interval));
    diagnostics.push(fault.help(help));
    fitting
}

/// `none`, or what `read` reads.
fn unless_none<T>(read: impl Fn(&Node, &mut Diagnostics) -> Option<T>) -> impl Fn(&Node, &mut Diagnostics) -> Option<Option<T>> {
    move |node, diagnostics| match &node.value {
        Value::Scalar { text, .. } if text == "none" => Some(None),
        Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => read(node, diagnostics).map(Some),
    }
}

fn window(node: &Node, diagnostics: &mut Diagnostics) -> Option<WindowSection> {
    let fields = Fields::of(node, WINDOW, diagnostics)?;
    let of = fields.optional("of", reader::number(1..=WINDOW_MAX), diagnostics).unwrap_or(WINDOW_DEFAULT.of);
    let fail = fields.optional("fail", positive_percent, diagnostics).unwrap_or(WINDOW_DEFAULT.fail);
    Some(WindowSection { of, fail })
}

fn positive_percent(node: &Node, diagnostics: &mut Diagnostics) -> Option<u8> {
    let percent = reader::percent(node, diagnostics)?;
    if percent > 0 {
        return Some(percent);
    }
    let help = "write a share from `1%` to `100%`, or `window: none` to count no loss";
    reader::refuse("out-of-range", node, "no probe may fail at all".to_owned(), help, diagnostics)
}

fn damping(node: &Node, diagnostics: &mut Diagnostics) -> Option<DampingSection> {
    let fields = Fields::of(node, DAMPING, diagnostics)?;
    let span = || reader::duration(Duration::from_secs(1)..=INTERVAL_MAX);
    let window = fields.optional("window", span(), diagnostics).unwrap_or(DAMPING_DEFAULT.window);
    let hold = fields.optional("hold", span(), diagnostics).unwrap_or(DAMPING_DEFAULT.hold);
    let hold_max = fields.optional("hold_max", span(), diagnostics).unwrap_or(DAMPING_DEFAULT.hold_max.max(hold));
    if hold_max < hold {
        let place = fields.key_span("hold_max").unwrap_or(&fields.span);
        let message = format!("the longest hold-down of {} is shorter than the first of {}", show_duration(hold_max), show_duration(hold));
        diagnostics.push(Diagnostic::error("damping-max-below-hold", place, message).help("raise `hold_max` or lower `hold`"));
    }
    Some(DampingSection { window, hold, hold_max: hold_max.max(hold) })
}
