//! The keys of HTTP requests, and what must come back.

use super::reader::{self, Fields};
use super::text::text_rule;
use super::yaml::Node;
use crate::check::{HttpCheck, HttpVersion, Method, TlsRules};
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use std::sync::Arc;

/// A redirect usually shows that the request met another virtual host than the one meant: it passes only where written.
const EXPECT: (u16, u16) = (200, 299);

const METHODS: &[(&str, Method)] =
    &[("GET", Method::Get), ("HEAD", Method::Head), ("OPTIONS", Method::Options), ("POST", Method::Post), ("PUT", Method::Put)];
const VERSIONS: &[(&str, HttpVersion)] = &[("1.1", HttpVersion::One), ("2", HttpVersion::Two)];

/// Reads what a request asks and expects; `tls` holds the rules of its connection, where it has any.
pub fn read(tls: Option<TlsRules>, fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> HttpCheck {
    let expect = reader::non_empty("status", reader::one_or_list(status_range));
    let method = fields.optional("method", reader::choice(METHODS), diagnostics).unwrap_or(Method::Get);
    if !method.takes_body() {
        fields.forbid("body", "only POST and PUT send one", diagnostics);
    }
    if method == Method::Head {
        fields.forbid("contains", "the answer to HEAD has no body", diagnostics);
        fields.forbid("matches", "the answer to HEAD has no body", diagnostics);
    }
    HttpCheck {
        tls,
        version: fields.optional("http_version", reader::choice(VERSIONS), diagnostics).unwrap_or(HttpVersion::One),
        host: fields.optional("host", host, diagnostics),
        path: fields.optional("path", path, diagnostics).unwrap_or_else(|| "/".into()),
        method,
        headers: fields.optional("headers", headers, diagnostics).unwrap_or_default(),
        body: fields.optional("body", reader::text, diagnostics).map(|body| body.value.into()),
        expect: fields.optional("expect", expect, diagnostics).map_or_else(|| vec![EXPECT], merged),
        text: text_rule(fields, diagnostics),
    }
}

fn path(node: &Node, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
    let text = reader::scalar(node, "a path such as `/healthz`", diagnostics)?;
    if !text.starts_with('/') {
        let help = format!("write `/{text}`");
        return reader::refuse("bad-path", node, format!("the path `{text}` does not begin with a slash"), &help, diagnostics);
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>`".contains(&byte)) {
        return Some(text.into());
    }
    let help = "write spaces, quotes, `#`, `<`, `>` and letters beyond ASCII as `%20`, `%22`, `%23` and so on";
    reader::refuse("bad-path", node, format!("the path `{text}` cannot be sent as it is"), help, diagnostics)
}

/// A host name in lower case, since names are equal in either case (RFC 4343): so are the checks.
pub fn host(node: &Node, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
    let text = reader::scalar(node, "a host name", diagnostics)?;
    if let Ok(addr) = text.parse::<std::net::IpAddr>() {
        return Some(addr.to_string().into());
    }
    if is_host_name(text) {
        return Some(text.to_ascii_lowercase().into());
    }
    let help = "write the name alone, such as `www.example.com`: the port has a key of its own";
    reader::refuse("bad-host", node, format!("`{text}` is not a host name"), help, diagnostics)
}

/// Whether this is a name, and nothing that anybody could take for an address in other clothes: `2130706433`, `127.1` and `0x7f000001`
/// are 127.0.0.1 to many a library (WHATWG URL, "ends in a number").
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let (digits, is_digit): (&str, fn(&u8) -> bool) = match last.strip_prefix("0x") {
        Some(digits) => (digits, u8::is_ascii_hexdigit),
        None => (&last, u8::is_ascii_digit),
    };
    text.len() <= 253 && text.split('.').all(is_label) && !digits.as_bytes().iter().all(is_digit)
}

/// Headers that are not the operator's to write: they frame the message, or have a key of their own.
const MANAGED: [&str; 6] = ["host", "connection", "content-length", "transfer-encoding", "te", "upgrade"];

fn headers(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    let entries = reader::mapping(node, "headers", diagnostics)?;
    Some(entries.iter().filter_map(|(name, value)| header(name, value, diagnostics)).collect())
}

fn header(name: &Spanned<String>, value: &Node, diagnostics: &mut Diagnostics) -> Option<(Arc<str>, Arc<str>)> {
    let lower = name.value.to_ascii_lowercase();
    let fault = |message: String, help: &str| Diagnostic::error("bad-header", &name.span, message).help(help.to_owned());
    if MANAGED.contains(&lower.as_str()) {
        let help = if lower == "host" { "use the key `host`" } else { "remove it" };
        diagnostics.push(fault(format!("the header `{}` is written by the prober itself", name.value), help));
        return None;
    }
    // RFC 9110 section 5.1: a token.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if lower.is_empty() || !lower.bytes().all(is_token) {
        diagnostics.push(fault(format!("`{}` cannot be the name of a header", name.value), "write a name such as `X-Probe`"));
        return None;
    }
    let text = reader::scalar(value, "the value of a header", diagnostics)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t')) {
        return Some((lower.into(), text.into()));
    }
    let help = "use letters, digits and signs of ASCII, on one line";
    reader::refuse("bad-header", value, format!("the value of `{}` cannot be sent", name.value), help, diagnostics)
}

/// `200`, or `200-299`.
fn status_range(node: &Node, diagnostics: &mut Diagnostics) -> Option<(u16, u16)> {
    let text = reader::scalar(node, "a status such as `200` or `200-299`", diagnostics)?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (200..=599).contains(status));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        (Some(_) | None, Some(_) | None) => {
            let help = "write statuses from 200 to 599, alone or as a range: `[200, 300-399]`";
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

    #[test]
    fn a_host_is_a_name_and_no_number_in_disguise() {
        for good in ["www.example.com", "a", "1.example", "0x7f.example", "xn--0.example", "_a.example", "0xgg", "4you"] {
            assert!(is_host_name(good), "{good}");
        }
        let bad =
            ["2130706433", "127.1", "0x7f000001", "0X7F.1", "0x", "1.2.3.400", "a.1", "a..b", "", "a.", "-a", "a-", "a b", "a:1", "ä"];
        for bad in bad {
            assert!(!is_host_name(bad), "{bad}");
        }
        assert!(is_host_name(&"a".repeat(63)) && !is_host_name(&"a".repeat(64)));
    }
}
