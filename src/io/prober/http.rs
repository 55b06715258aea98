//! The HTTP check: a request, over TLS or not, a status that was expected, and a body that says what it should.

use super::fault::Fault;
use super::tls::judge_certificate;
use super::trail::{Phase, Trail};
use super::trust::Trust;
use super::web::{Way, WebClient, What, literal};
use crate::check::{HttpCheck, HttpVersion, Method, TextRule};
use crate::health::Doubt;
use crate::snapshot::Target;
use http::HeaderMap;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use std::net::SocketAddr;
use std::sync::Arc;

/// All that a probe of one target needs, made once.
#[derive(Debug)]
pub struct HttpProbe {
    client: WebClient,
    check: HttpCheck,
}

impl HttpProbe {
    /// Prepares the probes of a target.
    ///
    /// # Errors
    /// This node lacks what the check needs, or the check fits in no request.
    pub fn new(target: &Target, check: &HttpCheck, trust: &Trust) -> Result<HttpProbe, Doubt> {
        let way = Way { tls: check.tls.as_ref(), host: check.host.as_deref(), version: check.version };
        let body = check.body.as_ref().map(|body| body.as_bytes().to_vec()).unwrap_or_default().into();
        let what = What { method: method(check.method), path: &check.path, headers: headers(target.addr, check)?, body };
        Ok(HttpProbe { client: WebClient::new(target, way, what, trust)?, check: check.clone() })
    }

    /// Asks once. All is well when the status is an expected one, the answer is complete, or longer than anyone cares for,
    /// and says what it should.
    ///
    /// # Errors
    /// What is wrong with the target, or with this node.
    pub async fn look(&self, trail: &Arc<Trail>) -> Result<(), Fault> {
        let enough = self.check.text.within.max(TextRule::WITHIN);
        let answer = self.client.ask(trail, enough, |head| Ok(self.check.judge_status(head.status.as_u16())?)).await?;
        trail.mark(Phase::Read, format!("{} octets", answer.body.len()));
        self.check.text.judge(&answer.body)?;
        self.check.tls.as_ref().map_or(Ok(()), |rules| judge_certificate(rules, trail))
    }
}

const fn method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Options => http::Method::OPTIONS,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
    }
}

fn headers(addr: SocketAddr, check: &HttpCheck) -> Result<HeaderMap, Doubt> {
    let mut headers = HeaderMap::new();
    for (name, value) in &check.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Doubt::Unaskable)?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| Doubt::Unaskable)?);
    }
    // HTTP/2 has neither of these (RFC 9113 sections 8.2.2 and 8.3.1): its authority is that of the URL.
    if check.version == HttpVersion::One {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        // RFC 9112 3.2: the Host header of a bare address is its authority, port included, which the client writes itself.
        if let Some(host) = check.host.as_deref().filter(|host| literal(host) != Some(addr.ip())) {
            headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| Doubt::Unaskable)?);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Host header, where we write it ourselves.
    fn host(addr: &str, host: Option<&str>) -> Option<String> {
        let check = HttpCheck { host: host.map(Into::into), ..HttpCheck::get("/") };
        let headers = headers(addr.parse().expect("the test's own address"), &check).expect("headers");
        headers.get(HOST).map(|host| host.to_str().expect("text").to_owned())
    }

    #[test]
    fn the_host_header_is_the_name_that_was_written() {
        assert_eq!(host("192.0.2.1:8443", Some("www.example.com")).as_deref(), Some("www.example.com"));
        assert_eq!(host("192.0.2.1:80", Some("198.51.100.1")).as_deref(), Some("198.51.100.1"));
        assert_eq!((host("192.0.2.1:8080", None), host("192.0.2.1:8080", Some("192.0.2.1"))), (None, None));
    }
}
