//! From nodes to values: every function here reads one kind of thing, reports what is wrong with it, and goes on.
//!
//! A reader is a function `(&Node, &mut Diagnostics) -> Option<T>`; `None` means that the reason is among the
//! diagnostics. [`Fields`] walks a mapping key by key. Knows no section: those are in the files beside this one.

use super::suggest::did_you_mean;
use super::yaml::{Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, Spanned};
use crate::dns::Name;
use crate::prefix::{Family, Prefix};
use std::fmt::{Display, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// A kind of mapping: what it is called and which keys it takes. The documentation is checked against these.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// What users call it, with its article: `a monitor`.
    pub name: &'static str,
    /// All its keys, in the order in which they are documented.
    pub keys: &'static [&'static str],
}

//--- Mappings

/// A mapping, read key by key.
#[derive(Debug)]
pub struct Fields<'a> {
    schema: Schema,
    /// The whole mapping, or the key that had nothing behind it.
    pub span: Span,
    entries: &'a [(Spanned<String>, Node)],
}

impl<'a> Fields<'a> {
    /// The keys of `node`. Unknown ones are reported here; an empty value counts as a mapping without keys.
    pub fn of(node: &'a Node, schema: Schema, diagnostics: &mut Diagnostics) -> Option<Fields<'a>> {
        let entries = mapping(node, schema.name, diagnostics)?;
        for (key, _) in entries.iter().filter(|(key, _)| !schema.keys.contains(&key.value.as_str())) {
            diagnostics.push(unknown_key(key, schema));
        }
        Some(Fields { schema, span: node.span.clone(), entries })
    }

    /// Whether the key was written.
    pub fn has(&self, key: &'static str) -> bool {
        self.entry(key).is_some()
    }

    /// Where the key stands, where it was written.
    pub fn key_span(&self, key: &'static str) -> Option<&'a Span> {
        self.entry(key).map(|(key, _)| &key.span)
    }

    /// The value of a key that may be absent; `None` too when it is faulty.
    pub fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Node, &mut Diagnostics) -> Option<T>,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        read(&self.entry(key)?.1, diagnostics)
    }

    /// The value of a key that must be there; `example` is what the report proposes to add.
    pub fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&Node, &mut Diagnostics) -> Option<T>,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        if !self.has(key) {
            let fault = Diagnostic::error("missing-key", &self.head(), format!("{} needs the key `{key}`", self.schema.name));
            diagnostics.push(fault.help(format!("add `{key}: {example}`")));
        }
        self.optional(key, read, diagnostics)
    }

    /// Reports a key that has no meaning beside the others.
    pub fn forbid(&self, key: &'static str, why: &str, diagnostics: &mut Diagnostics) {
        if let Some((key, _)) = self.entry(key) {
            let fault = Diagnostic::error("meaningless-key", &key.span, format!("`{}` has no meaning here: {why}", key.value));
            diagnostics.push(fault.help("remove it"));
        }
    }

    /// The first line of the mapping: the place of something that is missing.
    pub fn head(&self) -> Span {
        let line = self.span.text().lines().next().unwrap_or_default().trim_end().len();
        Span::new(&self.span.source, self.span.range.start..self.span.range.start + line)
    }

    fn entry(&self, key: &'static str) -> Option<&'a (Spanned<String>, Node)> {
        debug_assert!(self.schema.keys.contains(&key), "{} has no key `{key}` in its schema", self.schema.name);
        self.entries.iter().find(|(written, _)| written.value == key)
    }
}

/// The entries of a mapping whose keys are names that users choose; an empty value has none.
pub fn mapping<'a>(node: &'a Node, what: &str, diagnostics: &mut Diagnostics) -> Option<&'a [(Spanned<String>, Node)]> {
    match &node.value {
        Value::Mapping(entries) => Some(entries),
        Value::Scalar { .. } if node.is_empty() => Some(&[]),
        Value::Scalar { .. } | Value::Sequence(_) => wrong_kind(node, &format!("{what}, as a mapping of keys to values"), diagnostics),
    }
}

fn unknown_key(key: &Spanned<String>, schema: Schema) -> Diagnostic {
    let fault = Diagnostic::error("unknown-key", &key.span, format!("{} has no key `{}`", schema.name, key.value));
    // `{port:443}` is a key `port:443` without a value.
    let known_before_colon = key.value.split_once(':').filter(|(before, _)| schema.keys.contains(before));
    match known_before_colon {
        Some((before, after)) => fault.help(format!("write a space behind the colon: `{before}: {after}`")),
        None => fault.help(did_you_mean(&key.value, "key", schema.keys.iter().copied())),
    }
}

//--- Lists

/// A list, or a single item without brackets.
pub fn one_or_list<T>(mut item: impl FnMut(&Node, &mut Diagnostics) -> Option<T>) -> impl FnMut(&Node, &mut Diagnostics) -> Option<Vec<T>> {
    move |node, diagnostics| {
        let items = match &node.value {
            Value::Sequence(items) => items.as_slice(),
            Value::Scalar { .. } | Value::Mapping(_) => std::slice::from_ref(node),
        };
        Some(all(items, &mut item, diagnostics))
    }
}

/// A list with brackets or dashes; an empty value has no items.
pub fn list<T>(
    what: &'static str,
    mut item: impl FnMut(&Node, &mut Diagnostics) -> Option<T>,
) -> impl FnMut(&Node, &mut Diagnostics) -> Option<Vec<T>> {
    move |node, diagnostics| match &node.value {
        Value::Sequence(items) => Some(all(items, &mut item, diagnostics)),
        Value::Scalar { .. } if node.is_empty() => Some(Vec::new()),
        Value::Scalar { .. } | Value::Mapping(_) => wrong_kind(node, &format!("a list of {what}, in brackets or with dashes"), diagnostics),
    }
}

/// As the reader it is given, but an empty list is refused.
pub fn non_empty<T>(
    what: &'static str,
    mut read: impl FnMut(&Node, &mut Diagnostics) -> Option<Vec<T>>,
) -> impl FnMut(&Node, &mut Diagnostics) -> Option<Vec<T>> {
    move |node, diagnostics| {
        let nothing_written = matches!(&node.value, Value::Sequence(items) if items.is_empty()) || node.is_empty();
        if nothing_written {
            return refuse("empty-list", node, format!("at least one {what} is needed here"), "write one", diagnostics);
        }
        read(node, diagnostics)
    }
}

/// Reads all items; faulty ones are reported and left out, so that the faults of their neighbours are found too.
fn all<T>(items: &[Node], item: &mut impl FnMut(&Node, &mut Diagnostics) -> Option<T>, diagnostics: &mut Diagnostics) -> Vec<T> {
    items.iter().filter_map(|node| item(node, diagnostics)).collect()
}

//--- Scalars

/// A text, quoted or not; never empty.
pub fn text(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
    scalar(node, "a text", diagnostics).map(|text| Spanned { value: text.to_owned(), span: node.span.clone() })
}

/// A name that users choose or refer to: letters, digits, `-`, `_` and `.`.
pub fn name(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
    let text = scalar(node, "a name", diagnostics)?;
    let name = Spanned { value: text.to_owned(), span: node.span.clone() };
    check_name(&name, diagnostics).then_some(name)
}

/// Whether a name can be shown, typed and put into a metric without quoting; reports it otherwise.
pub fn check_name(name: &Spanned<String>, diagnostics: &mut Diagnostics) -> bool {
    let sound = !name.value.is_empty()
        && name.value.len() <= NAME_MAX
        && name.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !sound {
        let fault = Diagnostic::error("bad-name", &name.span, format!("`{}` cannot be a name", name.value));
        diagnostics.push(fault.help(format!("use letters, digits, `-`, `_` and `.`; at most {NAME_MAX} of them")));
    }
    sound
}

/// Characters in a name; as many as a DNS label has, so that tables stay readable.
const NAME_MAX: usize = 63;

/// `true` or `false`, and nothing else: `yes`, `on` and `1` mean different things to different programs.
pub fn truth(node: &Node, diagnostics: &mut Diagnostics) -> Option<bool> {
    match scalar(node, "`true` or `false`", diagnostics)? {
        "true" => Some(true),
        "false" => Some(false),
        other => refuse("bad-choice", node, format!("`{other}` is neither `true` nor `false`"), "write `true` or `false`", diagnostics),
    }
}

/// One of a few words.
pub fn choice<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Node, &mut Diagnostics) -> Option<T> {
    move |node, diagnostics| {
        let known = || words.iter().map(|(word, _)| *word);
        let text = scalar(node, &format!("one of {}", known().collect::<Vec<_>>().join(", ")), diagnostics)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let help = did_you_mean(text, "word", known());
        refuse("bad-choice", node, format!("`{text}` is not a word that this key takes"), &help, diagnostics)
    }
}

/// A whole number within a range.
pub fn number<T>(range: RangeInclusive<T>) -> impl Fn(&Node, &mut Diagnostics) -> Option<T>
where
    T: TryFrom<u64> + PartialOrd + Display + Copy,
{
    move |node, diagnostics| {
        let (low, high) = (*range.start(), *range.end());
        let text = scalar(node, "a whole number", diagnostics)?;
        let help = format!("write a number from {low} to {high}");
        if let Ok(number) = whole(text) {
            return match number.and_then(|number| T::try_from(number).ok()).filter(|number| range.contains(number)) {
                Some(number) => Some(number),
                None => refuse("out-of-range", node, format!("{text} is out of range"), &help, diagnostics),
            };
        }
        let code = if text.parse::<f64>().is_ok() { "out-of-range" } else { "bad-number" };
        refuse(code, node, format!("`{text}` is not a whole number from {low} to {high}"), &help, diagnostics)
    }
}

/// The number of a text of digits; `Ok(None)` when it is too large to be held, `Err` when it is none.
fn whole(text: &str) -> Result<Option<u64>, ()> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Ok(text.parse().ok()) } else { Err(()) }
}

/// A decimal number within a range: a latitude.
pub fn decimal(range: RangeInclusive<f64>) -> impl Fn(&Node, &mut Diagnostics) -> Option<f64> {
    move |node, diagnostics| {
        let text = scalar(node, "a number", diagnostics)?;
        let number = text.parse::<f64>().ok().filter(|number| range.contains(number));
        let (low, high) = (range.start(), range.end());
        number.or_else(|| {
            let message = format!("`{text}` is not a number from {low} to {high}");
            refuse("out-of-range", node, message, "write degrees such as `50.1` or `-74.0`", diagnostics)
        })
    }
}

/// A duration with its unit, within a range: `300ms`, `5s`, `2m`, `1h`, `1d`, or a sum such as `1h30m`.
pub fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Node, &mut Diagnostics) -> Option<Duration> {
    move |node, diagnostics| {
        let text = scalar(node, "a duration such as `5s`", diagnostics)?;
        let value = match parse_duration(text) {
            Ok(value) => value,
            Err(help) => return refuse("bad-duration", node, format!("`{text}` is not a duration"), &help, diagnostics),
        };
        if range.contains(&value) {
            return Some(value);
        }
        let help = format!("write a duration from {} to {}", show_duration(*range.start()), show_duration(*range.end()));
        refuse("out-of-range", node, format!("`{text}` is out of range"), &help, diagnostics)
    }
}

/// A number of octets with its unit, within a range: `512KiB`, `64MiB`, `1GiB`; a space may stand before the unit.
pub fn octets(range: RangeInclusive<u64>) -> impl Fn(&Node, &mut Diagnostics) -> Option<u64> {
    move |node, diagnostics| {
        const HELP: &str = "write a whole number and a unit: `512KiB`, `64MiB`, `1GiB`";
        let text = scalar(node, "a size such as `64MiB`", diagnostics)?;
        let factor = |unit: &str, shift: u32| Some((text.strip_suffix(unit)?.trim_end(), shift));
        let parts = factor("KiB", 10).or_else(|| factor("MiB", 20)).or_else(|| factor("GiB", 30));
        let value = parts.and_then(|(number, shift)| whole(number).ok()??.checked_mul(1 << shift));
        let Some(value) = value else { return refuse("bad-size", node, format!("`{text}` is not a size"), HELP, diagnostics) };
        if range.contains(&value) {
            return Some(value);
        }
        let show = |octets: u64| if octets >= 1 << 30 { format!("{}GiB", octets >> 30) } else { format!("{}MiB", octets >> 20) };
        let help = format!("write a size from {} to {}", show(*range.start()), show(*range.end()));
        refuse("out-of-range", node, format!("`{text}` is out of range"), &help, diagnostics)
    }
}

/// A duration of whole seconds that a TTL field can hold (RFC 2181 section 8).
pub fn ttl(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let value = duration(Duration::ZERO..=Duration::from_secs(TTL_MAX_S))(node, diagnostics)?;
    if value.subsec_nanos() == 0 {
        return Some(value);
    }
    let message = format!("a TTL of `{}` cannot be sent", show_duration(value));
    refuse("out-of-range", node, message, "write whole seconds: DNS knows nothing shorter", diagnostics)
}

/// The largest TTL (RFC 2181 section 8).
const TTL_MAX_S: u64 = (1 << 31) - 1;

/// Units of durations in milliseconds; longer names first, since `m` also begins `ms`.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The duration of a text, or what to write instead.
///
/// # Errors
/// Says what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS_HELP: &str = "write a whole number and a unit: `300ms`, `5s`, `2m`, `1h`, `1d`";
    if whole(text).is_ok() {
        return Err(format!("add the unit: `{text}s` for seconds, `{text}ms` for milliseconds"));
    }
    let mut rest = text;
    let mut millis = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| UNITS_HELP.to_owned())?;
        rest = &rest[digits..];
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit)).ok_or(UNITS_HELP)?;
        millis = number.checked_mul(*factor).and_then(|part| millis.checked_add(part)).ok_or(UNITS_HELP)?;
        rest = &rest[unit.len()..];
    }
    if text.is_empty() { Err(UNITS_HELP.to_owned()) } else { Ok(Duration::from_millis(millis)) }
}

/// A duration as this file reads it: `1h30m`, `5s`, `1s500ms`; parts below a millisecond are dropped.
pub fn show_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for (unit, factor) in UNITS.iter().rev() {
        if millis >= *factor {
            write!(out, "{}{unit}", millis / factor).expect("writing to a string succeeds");
            millis %= factor;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// A percentage from 0 % to 100 %, with its sign.
pub fn percent(node: &Node, diagnostics: &mut Diagnostics) -> Option<u8> {
    let text = scalar(node, "a percentage such as `50%`", diagnostics)?;
    let number = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
    number
        .filter(|number| *number <= 100)
        .or_else(|| refuse("out-of-range", node, format!("`{text}` is not a percentage"), "write one from `0%` to `100%`", diagnostics))
}

/// The address of a host, of either family.
pub fn host_address(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<IpAddr>> {
    let text = scalar(node, "an address", diagnostics)?;
    let family = if text.contains(':') { Family::V6 } else { Family::V4 };
    address(family)(node, diagnostics)
}

/// An address of one family.
pub fn address(family: Family) -> impl Fn(&Node, &mut Diagnostics) -> Option<Spanned<IpAddr>> {
    move |node, diagnostics| {
        let text = scalar(node, &format!("an {family} address"), diagnostics)?;
        let Ok(addr) = text.parse::<IpAddr>() else {
            let help = "write an address such as `192.0.2.1` or `\"2001:db8::1\"`; names are not looked up";
            return refuse("bad-address", node, format!("`{text}` is not an IP address"), help, diagnostics);
        };
        if Family::of(addr) != family {
            let (other, key) = (Family::of(addr), key_of(Family::of(addr)));
            let message = format!("`{text}` is an {other} address, and this key takes {family}");
            return refuse("wrong-family", node, message, &format!("write it at `{key}:`"), diagnostics);
        }
        if addr.is_unspecified() || addr.is_multicast() || text == "255.255.255.255" {
            let help = "write the address that clients connect to";
            return refuse("bad-address", node, format!("`{text}` is not the address of a host"), help, diagnostics);
        }
        Some(Spanned { value: addr, span: node.span.clone() })
    }
}

fn key_of(family: Family) -> &'static str {
    match family {
        Family::V4 => "a",
        Family::V6 => "aaaa",
    }
}

/// An address and a port to listen on.
pub fn socket_address(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<SocketAddr>> {
    let text = scalar(node, "an address and a port", diagnostics)?;
    if let Ok(addr) = text.parse() {
        return Some(Spanned { value: addr, span: node.span.clone() });
    }
    let help = match IpAddr::from_str(text) {
        Ok(IpAddr::V4(addr)) => format!("add the port: `{addr}:53`"),
        Ok(IpAddr::V6(addr)) => format!("add brackets and the port: `\"[{addr}]:53\"`"),
        Err(_) => "write `0.0.0.0:53` or `\"[::]:53\"`; names are not looked up".to_owned(),
    };
    refuse("bad-address", node, format!("`{text}` is not an address with a port"), &help, diagnostics)
}

/// An address prefix: `192.0.2.0/24`, or an address alone.
pub fn prefix(node: &Node, diagnostics: &mut Diagnostics) -> Option<Prefix> {
    let text = scalar(node, "a prefix such as `192.0.2.0/24`", diagnostics)?;
    match text.parse() {
        Ok(prefix) => Some(prefix),
        Err(crate::prefix::PrefixError::HostBits(meant)) => {
            let message = format!("`{text}` has bits set beyond its length");
            refuse("bad-prefix", node, message, &format!("did you mean `{meant}`?"), diagnostics)
        }
        Err(error @ (crate::prefix::PrefixError::Address | crate::prefix::PrefixError::Length)) => {
            let help = format!("write `192.0.2.0/24` or `\"2001:db8::/32\"`: {error}");
            refuse("bad-prefix", node, format!("`{text}` is not a prefix"), &help, diagnostics)
        }
    }
}

/// An absolute domain name; the dot at its end may be left out.
pub fn domain_name(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<Name>> {
    let text = scalar(node, "a domain name", diagnostics)?;
    match Name::parse(text, &Name::root()) {
        Ok(name) if text != "@" => Some(Spanned { value: name, span: node.span.clone() }),
        Ok(_) => refuse("bad-domain-name", node, "`@` stands for the zone that is to be named here", "write the name out", diagnostics),
        Err(error) => refuse("bad-domain-name", node, format!("`{text}` is not a domain name"), &error.to_string(), diagnostics),
    }
}

/// The text of a scalar that is not empty.
pub fn scalar<'a>(node: &'a Node, what: &str, diagnostics: &mut Diagnostics) -> Option<&'a str> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_empty() && !text.is_empty() => Some(text),
        Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => wrong_kind(node, what, diagnostics),
    }
}

/// Reports that something else was expected.
pub fn wrong_kind<T>(node: &Node, what: &str, diagnostics: &mut Diagnostics) -> Option<T> {
    let kind = match &node.value {
        Value::Scalar { text, .. } if text.is_empty() => "nothing",
        Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => node.kind(),
    };
    let span = first_line(&node.span);
    let help = match &node.value {
        Value::Scalar { text, .. } if text.is_empty() => "write it behind the colon, or remove the key".to_owned(),
        Value::Scalar { text, .. } if what.starts_with("a list") && !text.contains('\n') => format!("put it in brackets: `[{text}]`"),
        Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) if what.starts_with("a list") => {
            "write a list: `[one, two]`".to_owned()
        }
        Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) if what.contains("mapping") => {
            "write keys and values: `{key: value}`".to_owned()
        }
        Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => "write one value".to_owned(),
    };
    diagnostics.push(Diagnostic::error("wrong-kind", &span, format!("expected {what}; this is {kind}")).help(help));
    None
}

/// A span of many lines would show all of them: the first is enough to find the place.
pub fn first_line(span: &Span) -> Span {
    let len = span.text().lines().next().unwrap_or_default().trim_end().len();
    Span::new(&span.source, span.range.start..span.range.start + len)
}

/// Reports a value that breaks a rule.
pub fn refuse<T>(code: &'static str, node: &Node, message: impl Into<String>, help: &str, diagnostics: &mut Diagnostics) -> Option<T> {
    diagnostics.push(Diagnostic::error(code, &node.span, message).help(help));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;
    use crate::diagnostic::Source;
    use std::sync::Arc;

    /// Reads `text` as the value of a key.
    fn read<T>(text: &str, reader: impl FnOnce(&Node, &mut Diagnostics) -> Option<T>) -> Result<T, String> {
        let source = Arc::new(Source { name: "t".to_owned(), text: format!("key: {text}\n") });
        let mut diagnostics = Diagnostics::new();
        let node = yaml::parse(&source, &mut diagnostics).expect("the test's text is YAML");
        let Value::Mapping(entries) = &node.value else { panic!("a mapping") };
        let value = reader(&entries[0].1, &mut diagnostics).filter(|_| !diagnostics.has_errors());
        value.ok_or_else(|| diagnostics.lines().join("\n"))
    }

    const ANY: RangeInclusive<Duration> = Duration::ZERO..=Duration::MAX;

    #[test]
    fn a_duration_needs_its_unit() {
        for (text, millis) in [("300ms", 300), ("5s", 5000), ("2m", 120_000), ("1h30m", 5_400_000), ("1d", 86_400_000), ("\"0s\"", 0)] {
            assert_eq!(read(text, duration(ANY)), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, help) in [("5", "`5s` for seconds"), ("5 s", "unit"), ("s", "unit"), ("1.5s", "unit"), ("-5s", "unit"), ("5y", "unit")] {
            assert!(read(text, duration(ANY)).is_err_and(|fault| fault.contains(help)), "{text}");
        }
        assert!(read("99999999999999999999d", duration(ANY)).is_err());
    }

    #[test]
    fn a_duration_at_the_edge_of_its_range_is_read_and_one_beyond_is_not() {
        let seconds = |low, high| duration(Duration::from_secs(low)..=Duration::from_secs(high));
        assert!(read("1s", seconds(1, 2)).is_ok() && read("2s", seconds(1, 2)).is_ok());
        assert!(read("999ms", seconds(1, 2)).is_err() && read("2001ms", seconds(1, 2)).is_err());
    }

    #[test]
    fn what_is_shown_of_a_duration_is_read_as_the_same() {
        for millis in [0, 1, 999, 1000, 1500, 61_000, 86_400_000, 90_061_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
    }

    #[test]
    fn a_number_is_read_with_and_without_quotes_and_only_within_its_range() {
        let port = || number::<u16>(1..=65535);
        assert_eq!(read("443", port()), Ok(443));
        assert_eq!(read("\"443\"", port()), Ok(443));
        for text in ["0", "65536", "99999999999999999999999", "-1", "4.5", "0x50", "port", "[1]", ""] {
            assert!(read(text, port()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_of_the_other_family_is_told_its_key() {
        assert!(read("192.0.2.1", address(Family::V4)).is_ok());
        assert!(read("\"2001:db8::1\"", address(Family::V4)).is_err_and(|fault| fault.contains("`aaaa:`")));
        assert!(read("192.0.2.1", address(Family::V6)).is_err_and(|fault| fault.contains("`a:`")));
        assert!(read("0.0.0.0", address(Family::V4)).is_err());
        assert!(read("lb.example.com", address(Family::V4)).is_err_and(|fault| fault.contains("names are not looked up")));
    }

    #[test]
    fn truth_is_true_or_false_and_nothing_else() {
        assert_eq!((read("true", truth), read("false", truth)), (Ok(true), Ok(false)));
        for text in ["yes", "on", "1", "True", "~"] {
            assert!(read(text, truth).is_err(), "{text}");
        }
    }

    #[test]
    fn a_ttl_has_whole_seconds_and_31_bits() {
        assert!(read("2147483647s", ttl).is_ok());
        assert!(read("2147483648s", ttl).is_err());
        assert!(read("1500ms", ttl).is_err());
    }

    #[test]
    fn a_percentage_ends_at_a_hundred_and_has_its_sign() {
        assert_eq!(read("100%", percent), Ok(100));
        assert!(read("101%", percent).is_err() && read("50", percent).is_err() && read("-1%", percent).is_err());
    }

    #[test]
    fn a_list_is_read_to_its_end_behind_a_faulty_item() {
        let faults = read("[1, x, 3, y]", one_or_list(number::<u32>(0..=9))).expect_err("two faults");
        assert_eq!(faults.lines().count(), 2);
        assert_eq!(read("7", one_or_list(number::<u32>(0..=9))), Ok(vec![7]));
    }

    #[test]
    fn a_missing_port_is_proposed() {
        assert!(read("0.0.0.0:53", socket_address).is_ok() && read("\"[::]:53\"", socket_address).is_ok());
        assert!(read("192.0.2.1", socket_address).is_err_and(|fault| fault.contains("`192.0.2.1:53`")));
        assert!(read("\"::1\"", socket_address).is_err_and(|fault| fault.contains("`\"[::1]:53\"`")));
    }
}
