//! The gRPC check: the health service, asked over HTTP/2.

use super::fault::Fault;
use super::tls::judge_certificate;
use super::trail::{Phase, Trail};
use super::trust::Trust;
use super::web::{Way, WebClient, What};
use crate::check::grpc::{ANSWER_MAX, PATH};
use crate::check::{GrpcCheck, HttpVersion};
use crate::health::Doubt;
use crate::snapshot::Target;
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http::{HeaderMap, Method};
use std::sync::Arc;

/// All that a probe of one target needs, made once.
#[derive(Debug)]
pub struct GrpcProbe {
    client: WebClient,
    check: GrpcCheck,
}

impl GrpcProbe {
    /// Prepares the probes of a target.
    ///
    /// # Errors
    /// This node lacks what the check needs.
    pub fn new(target: &Target, check: &GrpcCheck, trust: &Trust) -> Result<GrpcProbe, Doubt> {
        let way = Way { tls: check.tls.as_ref(), host: check.host.as_deref(), version: HttpVersion::Two };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let what = What { method: Method::POST, path: PATH, headers, body: check.request().into() };
        Ok(GrpcProbe { client: WebClient::new(target, way, what, trust)?, check: check.clone() })
    }

    /// Asks once.
    ///
    /// # Errors
    /// What is wrong with the target, or with this node.
    pub async fn look(&self, trail: &Arc<Trail>) -> Result<(), Fault> {
        // One octet more than an answer can have tells that it is too long.
        let answer = self.client.ask(trail, ANSWER_MAX + 1, |_| Ok(())).await?;
        trail.mark(Phase::Read, "");
        // A response without a message has its status among the headers.
        let status = status(&answer.trailers).or_else(|| status(&answer.head.headers));
        self.check.judge(answer.head.status.as_u16(), status, &answer.body)?;
        self.check.tls.as_ref().map_or(Ok(()), |rules| judge_certificate(rules, trail))
    }
}

fn status(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Some((text("grpc-status")?, text("grpc-message").unwrap_or_default()))
}
