//! Reports of members' own agents: `POST /v1/report` on the admin interface, and on listeners that take nothing else.
//!
//! The listeners of their own may face the networks of the members. A report there must show the token of its monitor as a bearer (RFC 6750 section 2.1);
//! monitors without one do not listen there, and whoever guesses learns no name. Few connections at once, each for a few seconds: nobody can hold
//! more of this server than that.

use super::control::Control;
use super::http_server::{self, Limits};
use super::prober::Reports;
use crate::check::{Check, PushCheck};
use crate::snapshot::Target;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// A report with a long reason.
pub const BODY_MAX: usize = 1024;

/// What an agent says of its member.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    monitor: String,
    pool: String,
    member: String,
    up: bool,
    #[serde(default)]
    reason: String,
}

/// Where reports are left, if somebody waits for them.
#[derive(Clone)]
pub struct Inbox {
    /// Knows what is in force.
    pub control: Control,
    /// What was said last.
    pub reports: Arc<Reports>,
}

/// Why a report is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    /// No such monitor waits for it.
    Unasked,
    /// Its token is not that of the monitor.
    Untrusted,
}

impl Inbox {
    /// Takes a report on the admin interface, where only those monitors that have a token want to see one.
    pub fn handle_inside(&self, headers: &HeaderMap, report: &Report) -> Response {
        match self.take(report, |check| check.token.as_ref().is_none_or(|token| shown(headers).is_some_and(|shown| token.is(shown)))) {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(Refusal::Untrusted) => problem(StatusCode::UNAUTHORIZED, "this monitor wants its token: `Authorization: Bearer TOKEN`"),
            Err(Refusal::Unasked) => {
                let Report { monitor, pool, member, .. } = report;
                problem(StatusCode::NOT_FOUND, &format!("no push monitor `{monitor}` waits for member `{member}` of pool `{pool}`"))
            }
        }
    }

    /// Takes a report from outside.
    fn handle_outside(&self, headers: &HeaderMap, report: &Report) -> Response {
        match self.take(report, |check| check.token.as_ref().zip(shown(headers)).is_some_and(|(token, shown)| token.is(shown))) {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            // Which of both is nobody's business who cannot show a token.
            Err(Refusal::Untrusted | Refusal::Unasked) => {
                problem(StatusCode::UNAUTHORIZED, "no monitor with this token waits for such a report")
            }
        }
    }

    fn take(&self, report: &Report, is_trusted: impl Fn(&PushCheck) -> bool) -> Result<(), Refusal> {
        let live = self.control.live().load_full();
        let waits = |target: &&Target| matches!(&target.check, Check::Push(check) if is_about(check, report));
        let target = live.snapshot.targets.rows().iter().find(waits).ok_or(Refusal::Unasked)?;
        if !matches!(&target.check, Check::Push(check) if is_trusted(check)) {
            return Err(Refusal::Untrusted);
        }
        self.reports.handle_report(&target.identity, report.up, &report.reason);
        Ok(())
    }
}

fn is_about(check: &PushCheck, report: &Report) -> bool {
    *check.monitor == *report.monitor && *check.subject.pool == *report.pool && *check.subject.member == *report.member
}

/// The token of a request.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn problem(code: StatusCode, message: &str) -> Response {
    (code, Json(serde_json::json!({ "error": message }))).into_response()
}

//--- Listeners

/// Agents say two lines and leave.
const PATIENCE: Duration = Duration::from_secs(5);

/// A thousand agents that report every ten seconds need one place; the rest is for those who are slow.
const AT_ONCE: usize = 128;

/// Binds a listener for reports.
///
/// # Errors
/// When it cannot be bound; says where and why.
pub fn bind(addr: SocketAddr) -> Result<std::net::TcpListener, String> {
    let explain = |error: std::io::Error| format!("reports cannot be taken on {addr}: {error}");
    let listener = std::net::TcpListener::bind(addr).map_err(explain)?;
    listener.set_nonblocking(true).map_err(explain)?;
    tracing::info!("taking reports on {}", listener.local_addr().map_err(explain)?);
    Ok(listener)
}

/// Serves until the future is dropped.
///
/// # Errors
/// When the runtime cannot take over the socket.
pub async fn serve(listener: std::net::TcpListener, inbox: Inbox) -> std::io::Result<()> {
    let limits = Limits { at_once: AT_ONCE, head: PATIENCE, whole: Some(PATIENCE) };
    http_server::serve(TcpListener::from_std(listener)?, router(inbox), limits).await;
    Ok(())
}

fn router(inbox: Inbox) -> Router {
    Router::new()
        .route("/v1/report", post(outside))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "only POST /v1/report is taken here") })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(inbox)
}

async fn outside(State(inbox): State<Inbox>, headers: HeaderMap, Json(report): Json<Report>) -> Response {
    inbox.handle_outside(&headers, &report)
}
