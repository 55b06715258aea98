//! Monitors: what is asked of an address, how often, and what counts as a pass.

use super::reader::{self, Fields, Schema, show_duration};
use super::yaml::{Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use std::time::Duration;

/// A standing order to check.
#[derive(Clone, Debug)]
pub struct MonitorSection {
    /// Its name.
    pub name: Spanned<String>,
    /// What a probe does.
    pub check: CheckSection,
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

/// What a probe does.
#[derive(Clone, Debug)]
pub enum CheckSection {
    /// Connects.
    Tcp {
        /// The port to connect to.
        port: u16,
    },
    /// Connects and asks.
    Http(HttpSection),
}

/// An HTTP request and what must come back.
#[derive(Clone, Debug)]
pub struct HttpSection {
    /// Over TLS.
    pub tls: bool,
    /// Whether the certificate must be valid for the host.
    pub verify: bool,
    /// The port to connect to.
    pub port: u16,
    /// Host and server name; the member's address when absent.
    pub host: Option<String>,
    /// Begins with a slash.
    pub path: String,
    /// GET or HEAD.
    pub method: HttpMethod,
    /// Statuses that pass, as inclusive ranges, sorted and apart.
    pub expect: Vec<(u16, u16)>,
}

/// A method without a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpMethod {
    /// GET.
    Get,
    /// HEAD.
    Head,
}

/// The keys of a monitor.
pub const MONITOR: Schema = Schema {
    name: "a monitor",
    keys: &[
        "type",
        "port",
        "path",
        "host",
        "method",
        "expect",
        "interval",
        "timeout",
        "fall",
        "rise",
        "verify",
        "fast_interval",
        "window",
        "damping",
    ],
};
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
/// A redirect usually shows that the request met another virtual host than the one meant: it passes only where written.
const EXPECT: (u16, u16) = (200, 299);
/// Below this, probing is a load test.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_hours(24);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Tcp,
}

const KINDS: &[(&str, Kind)] = &[("http", Kind::Http), ("https", Kind::Https), ("tcp", Kind::Tcp)];

/// Reads one monitor.
pub fn read(name: &Spanned<String>, node: &Node, diagnostics: &mut Diagnostics) -> Option<MonitorSection> {
    let fields = Fields::of(node, MONITOR, diagnostics)?;
    let kind = fields.required("type", "https", reader::choice(KINDS), diagnostics);
    let interval = fields.optional("interval", reader::duration(INTERVAL_MIN..=INTERVAL_MAX), diagnostics).unwrap_or(INTERVAL);
    let timeout = timeout(&fields, interval, diagnostics);
    let fall = fields.optional("fall", reader::number(1..=STREAK_MAX), diagnostics).unwrap_or(FALL);
    let rise = fields.optional("rise", reader::number(1..=STREAK_MAX), diagnostics).unwrap_or(RISE);
    let check = match kind? {
        Kind::Tcp => tcp(&fields, diagnostics)?,
        Kind::Http => CheckSection::Http(http(&fields, false, diagnostics)),
        Kind::Https => CheckSection::Http(http(&fields, true, diagnostics)),
    };
    let fast_interval = fast_interval(&fields, interval, diagnostics);
    let window = fields.optional("window", unless_none(window), diagnostics).unwrap_or(Some(WINDOW_DEFAULT));
    let damping = fields.optional("damping", unless_none(damping), diagnostics).unwrap_or(Some(DAMPING_DEFAULT));
    Some(MonitorSection { name: name.clone(), check, interval, timeout, fall, rise, fast_interval, window, damping })
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

fn tcp(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<CheckSection> {
    for key in ["path", "host", "method", "expect", "verify"] {
        fields.forbid(key, "a tcp monitor connects and says nothing", diagnostics);
    }
    let port = fields.required("port", "443", reader::number(1..=u16::MAX), diagnostics)?;
    Some(CheckSection::Tcp { port })
}

fn http(fields: &Fields<'_>, tls: bool, diagnostics: &mut Diagnostics) -> HttpSection {
    if !tls {
        fields.forbid("verify", "there is no certificate without TLS; use `type: https`", diagnostics);
    }
    let port = fields.optional("port", reader::number(1..=u16::MAX), diagnostics);
    let expect = reader::non_empty("status", reader::one_or_list(status_range));
    HttpSection {
        tls,
        verify: fields.optional("verify", reader::truth, diagnostics).unwrap_or(true),
        port: port.unwrap_or(if tls { 443 } else { 80 }),
        host: fields.optional("host", host, diagnostics),
        path: fields.optional("path", path, diagnostics).unwrap_or_else(|| "/".to_owned()),
        method: fields.optional("method", reader::choice(METHODS), diagnostics).unwrap_or(HttpMethod::Get),
        expect: fields.optional("expect", expect, diagnostics).map_or_else(|| vec![EXPECT], merged),
    }
}

const METHODS: &[(&str, HttpMethod)] = &[("GET", HttpMethod::Get), ("HEAD", HttpMethod::Head)];

fn path(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = reader::scalar(node, "a path such as `/healthz`", diagnostics)?;
    if !text.starts_with('/') {
        let help = format!("write `/{text}`");
        return reader::refuse("bad-path", node, format!("the path `{text}` does not begin with a slash"), &help, diagnostics);
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains('#') {
        return Some(text.to_owned());
    }
    let help = "write spaces, `#` and letters beyond ASCII as `%20`, `%23` and so on";
    reader::refuse("bad-path", node, format!("the path `{text}` cannot be sent as it is"), help, diagnostics)
}

fn host(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = reader::scalar(node, "a host name", diagnostics)?;
    let help = "write the name alone, such as `www.example.com`: the port has a key of its own";
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if is_name && text.len() <= 253 && text.split('.').all(|label| (1..=63).contains(&label.len())) {
        return Some(text.to_owned());
    }
    match text.parse::<std::net::IpAddr>() {
        Ok(addr) => Some(addr.to_string()),
        Err(_) => reader::refuse("bad-host", node, format!("`{text}` is not a host name"), help, diagnostics),
    }
}

/// `200`, or `200-299`.
fn status_range(node: &Node, diagnostics: &mut Diagnostics) -> Option<(u16, u16)> {
    let text = reader::scalar(node, "a status such as `200` or `200-299`", diagnostics)?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        (Some(_) | None, Some(_) | None) => {
            let help = "write statuses from 100 to 599, alone or as a range: `[200, 300-399]`";
            reader::refuse("bad-status", node, format!("`{text}` is not an HTTP status or a range of them"), help, diagnostics)
        }
    }
}

/// Sorted, with ranges that touch made one: the same statuses are the same check, however they are written.
fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut out: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match out.last_mut() {
            Some(open) if first <= open.1 + 1 => open.1 = open.1.max(last),
            Some(_) | None => out.push((first, last)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_statuses_are_the_same_however_they_are_written() {
        assert_eq!(merged(vec![(204, 204), (200, 203), (201, 202)]), [(200, 204)]);
        assert_eq!(merged(vec![(301, 301), (200, 299)]), [(200, 299), (301, 301)]);
    }
}
