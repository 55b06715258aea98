//! An HTTP request, and what must come back.

use super::text::TextRule;
use super::tls::TlsRules;
use crate::health::FailReason;
use std::sync::Arc;

/// An HTTP request and what must come back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpCheck {
    /// Over TLS, by these rules; none: in the clear.
    pub tls: Option<TlsRules>,
    /// The version of HTTP to speak.
    pub version: HttpVersion,
    /// The Host header and the TLS server name; the address that is probed when none was written.
    pub host: Option<Arc<str>>,
    /// Begins with a slash.
    pub path: Arc<str>,
    /// What the request asks for.
    pub method: Method,
    /// Headers beside those that every request has; names in lower case, in the order written.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// What is sent behind the headers.
    pub body: Option<Arc<str>>,
    /// Statuses that pass, as inclusive ranges.
    pub expect: Vec<(u16, u16)>,
    /// What the body must say.
    pub text: TextRule,
}

/// An HTTP method.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
    /// POST.
    Post,
    /// PUT.
    Put,
}

impl Method {
    /// As the request says it.
    pub const fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Post => "POST",
            Method::Put => "PUT",
        }
    }

    /// Whether a request with it may carry a body that means something (RFC 9110 section 9.3).
    pub const fn takes_body(self) -> bool {
        match self {
            Method::Post | Method::Put => true,
            Method::Get | Method::Head | Method::Options => false,
        }
    }
}

/// A version of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HttpVersion {
    /// HTTP/1.1 (RFC 9112).
    One,
    /// HTTP/2 and nothing else (RFC 9113): agreed on by ALPN over TLS, taken for granted without.
    Two,
}

impl HttpCheck {
    /// A request for `path` without anything special, in the clear: what most checks differ little from.
    pub fn get(path: &str) -> HttpCheck {
        HttpCheck {
            tls: None,
            version: HttpVersion::One,
            host: None,
            path: path.into(),
            method: Method::Get,
            headers: Vec::new(),
            body: None,
            expect: vec![(200, 299)],
            text: TextRule::NONE,
        }
    }

    /// `https` or `http`.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Judges a status.
    ///
    /// # Errors
    /// It is none of the expected ones.
    pub fn judge_status(&self, status: u16) -> Result<(), FailReason> {
        let expected = self.expect.iter().any(|&(first, last)| (first..=last).contains(&status));
        if expected { Ok(()) } else { Err(FailReason::Status(status)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_passes_at_both_ends_of_a_range_and_not_beyond() {
        let check = HttpCheck { expect: vec![(200, 204), (301, 301)], ..HttpCheck::get("/") };
        for (status, passes) in [(199, false), (200, true), (204, true), (205, false), (300, false), (301, true), (302, false)] {
            assert_eq!(check.judge_status(status).is_ok(), passes, "{status}");
        }
    }
}
