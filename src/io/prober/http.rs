//! The HTTP check: a request, over TLS or not, a status that was expected, and a body that says what it should.

use super::fault::Fault;
use super::tls::judge_certificate;
use super::trail::{Phase, Trail};
use super::trust::Trust;
use super::web::{Way, WebClient, literal, url};
use crate::check::{HttpCheck, HttpVersion, Method, TextRule};
use crate::health::Doubt;
use crate::snapshot::Target;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use reqwest::{Request, Response, Url};
use std::net::SocketAddr;
use std::sync::Arc;

/// All that a probe of one target needs, made once.
#[derive(Debug)]
pub struct HttpProbe {
    client: WebClient,
    request: Request,
    check: HttpCheck,
}

impl HttpProbe {
    /// Prepares the probes of a target.
    ///
    /// # Errors
    /// This node lacks what the check needs, or the check fits in no request.
    pub fn new(target: &Target, check: &HttpCheck, trust: &Trust) -> Result<HttpProbe, Doubt> {
        let way = Way { tls: check.tls.as_ref(), host: check.host.as_deref(), version: check.version };
        let url = url(target.addr, way, &check.path)?;
        let client = WebClient::new(target, way, &url, trust)?;
        Ok(HttpProbe { client, request: request(target.addr, check, url)?, check: check.clone() })
    }

    /// Asks once. All is well when the status is an expected one, the answer is complete, or longer than anyone cares for,
    /// and says what it should.
    ///
    /// # Errors
    /// What is wrong with the target, or with this node.
    pub async fn look(&self, trail: &Arc<Trail>) -> Result<(), Fault> {
        let request = self.request.try_clone().expect("a request whose body is a text can be cloned");
        let response = self.client.ask(request, trail).await?;
        self.check.judge_status(response.status().as_u16())?;
        let body = read_body(response, &self.check.text).await?;
        trail.mark(Phase::Read, format!("{} octets", body.len()));
        self.check.text.judge(&body)?;
        self.check.tls.as_ref().map_or(Ok(()), |rules| judge_certificate(rules, trail))
    }
}

/// Reads the answer to its end, or to as much of it as is looked at: a target that breaks off in the middle is not well.
async fn read_body(mut response: Response, rule: &TextRule) -> Result<Vec<u8>, Fault> {
    let enough = rule.within.max(TextRule::WITHIN);
    let mut body = Vec::new();
    while body.len() < enough
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(enough - body.len())]);
    }
    Ok(body)
}

fn request(addr: SocketAddr, check: &HttpCheck, url: Url) -> Result<Request, Doubt> {
    let method = match check.method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Options => reqwest::Method::OPTIONS,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
    };
    let mut request = Request::new(method, url);
    let headers = request.headers_mut();
    for (name, value) in &check.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Doubt::Unaskable)?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| Doubt::Unaskable)?);
    }
    // HTTP/2 has neither of these (RFC 9113 sections 8.2.2 and 8.3.1): its authority is that of the URL.
    if check.version == HttpVersion::One {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        // RFC 9112 3.2: the Host header of a bare address is its authority, port included, which the library writes itself.
        if let Some(host) = check.host.as_deref().filter(|host| literal(host) != Some(addr.ip())) {
            headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| Doubt::Unaskable)?);
        }
    }
    *request.body_mut() = check.body.as_ref().map(|body| body.to_string().into());
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Host header, where we write it ourselves.
    fn host(addr: &str, host: Option<&str>) -> Option<String> {
        let check = HttpCheck { host: host.map(Into::into), ..HttpCheck::get("/") };
        let url = Url::parse("http://unimportant.example/").expect("a URL");
        let request = request(addr.parse().expect("the test's own address"), &check, url).expect("a request");
        request.headers().get(HOST).map(|host| host.to_str().expect("text").to_owned())
    }

    #[test]
    fn the_host_header_is_the_name_that_was_written() {
        assert_eq!(host("192.0.2.1:8443", Some("www.example.com")).as_deref(), Some("www.example.com"));
        assert_eq!(host("192.0.2.1:80", Some("198.51.100.1")).as_deref(), Some("198.51.100.1"));
        assert_eq!((host("192.0.2.1:8080", None), host("192.0.2.1:8080", Some("192.0.2.1"))), (None, None));
    }
}
