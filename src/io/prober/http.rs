//! The HTTP check: a request, over TLS or not, a status that was expected, and a body that says what it should.

use super::fault::Fault;
use super::tls::judge_certificate;
use super::trail::{Phase, Trail};
use super::trust::Trust;
use super::web::{Way, WebClient, What};
use crate::check::{HttpCheck, Method, TextRule};
use crate::health::Doubt;
use crate::snapshot::Target;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
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
        let what = What { method: method(check.method), path: &check.path, headers: headers(check)?, body };
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

fn headers(check: &HttpCheck) -> Result<HeaderMap, Doubt> {
    let mut headers = HeaderMap::new();
    for (name, value) in &check.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Doubt::Unaskable)?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| Doubt::Unaskable)?);
    }
    Ok(headers)
}
