//! The gRPC check: the health service, asked over HTTP/2.

use super::fault::Fault;
use super::tls::judge_certificate;
use super::trail::{Phase, Trail};
use super::trust::Trust;
use super::web::{Way, WebClient, url};
use crate::check::grpc::{ANSWER_MAX, PATH};
use crate::check::{GrpcCheck, HttpVersion};
use crate::health::Doubt;
use crate::snapshot::Target;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http_body_util::BodyExt;
use reqwest::{Body, Method, Request};
use std::sync::Arc;

/// All that a probe of one target needs, made once.
#[derive(Debug)]
pub struct GrpcProbe {
    client: WebClient,
    request: Request,
    check: GrpcCheck,
}

impl GrpcProbe {
    /// Prepares the probes of a target.
    ///
    /// # Errors
    /// This node lacks what the check needs.
    pub fn new(target: &Target, check: &GrpcCheck, trust: &Trust) -> Result<GrpcProbe, Doubt> {
        let way = Way { tls: check.tls.as_ref(), host: check.host.as_deref(), version: HttpVersion::Two };
        let url = url(target.addr, way, PATH)?;
        let client = WebClient::new(target, way, &url, trust)?;
        let mut request = Request::new(Method::POST, url);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        *request.body_mut() = Some(check.request().into());
        Ok(GrpcProbe { client, request, check: check.clone() })
    }

    /// Asks once.
    ///
    /// # Errors
    /// What is wrong with the target, or with this node.
    pub async fn look(&self, trail: &Arc<Trail>) -> Result<(), Fault> {
        let request = self.request.try_clone().expect("a request whose body is in memory can be cloned");
        let (head, body) = http::Response::<Body>::from(self.client.ask(request, trail).await?).into_parts();
        let (octets, trailers) = read(body).await?;
        trail.mark(Phase::Read, "");
        // A response without a message has its status among the headers.
        let status = status(&trailers).or_else(|| status(&head.headers));
        self.check.judge(head.status.as_u16(), status, &octets)?;
        self.check.tls.as_ref().map_or(Ok(()), |rules| judge_certificate(rules, trail))
    }
}

/// The octets of an answer, up to [`ANSWER_MAX`], and its trailers.
async fn read(mut body: Body) -> Result<(Vec<u8>, HeaderMap), Fault> {
    let mut octets = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => octets.extend_from_slice(&data),
            Err(frame) => return Ok((octets, frame.into_trailers().unwrap_or_default())),
        }
        if octets.len() > ANSWER_MAX {
            break;
        }
    }
    Ok((octets, HeaderMap::new()))
}

fn status(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Some((text("grpc-status")?, text("grpc-message").unwrap_or_default()))
}
