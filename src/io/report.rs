//! Reports of members' own agents: `POST /v1/report` on the admin interface, and on listeners that take nothing else.
//!
//! The listeners of their own may face the networks of the members. A report there must show the token of its monitor as a bearer (RFC 6750 section 2.1);
//! monitors without one do not listen there, and whoever guesses learns no name. Few connections at once, each for one report and a few seconds; when more
//! come, the oldest have to go, first those of whoever has many: nobody can hold more of this server than that, nor keep others out by holding it.

use super::accept::pause_after;
use super::control::Control;
use super::prober::Reports;
use crate::check::{Check, PushCheck};
use crate::prefix::Prefix;
use crate::snapshot::Target;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

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

/// Who has connected has a report to make.
const PATIENCE_FOR_HEAD: Duration = Duration::from_secs(1);

/// A thousand agents that report every ten seconds need one place; the rest is for those who are slow.
const PLACES: usize = 128;

/// Agents behind one address that report at the same moment.
const PLACES_EACH: usize = 16;

/// Connections under way, the oldest first.
#[derive(Debug, Default)]
struct Places(Vec<Place>);

#[derive(Debug)]
struct Place {
    client: Prefix,
    connection: AbortHandle,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Places {
    /// Makes room for one more of `client`: where too many are of its network its own oldest goes, and else the oldest of all.
    fn make_room(&mut self, client: Prefix) {
        self.0.retain(|place| !place.connection.is_finished());
        let own = || self.0.iter().enumerate().filter(|(_, place)| place.client == client).map(|(index, _)| index);
        let gives_way = if own().count() >= PLACES_EACH { own().next() } else { (self.0.len() >= PLACES).then_some(0) };
        if let Some(index) = gives_way {
            self.0.remove(index);
        }
    }

    fn take(&mut self, client: Prefix, connection: AbortHandle) {
        self.0.push(Place { client, connection });
    }
}

/// The network of a client: nobody has more of IPv4 than an address for free, nor less of IPv6 than a /64.
fn network(addr: IpAddr) -> Prefix {
    let addr = addr.to_canonical();
    Prefix::new(addr, if addr.is_ipv4() { 32 } else { 64 })
}

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
    let listener = TcpListener::from_std(listener)?;
    let service = TowerToHyperService::new(router(inbox));
    let mut places = Places::default();
    loop {
        let (stream, addr) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tokio::time::sleep(pause_after(&error)).await;
                continue;
            }
        };
        let client = network(addr.ip());
        places.make_room(client);
        let mut library = http1::Builder::new();
        library.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(PATIENCE_FOR_HEAD);
        let talk = tokio::time::timeout(PATIENCE, library.serve_connection(TokioIo::new(stream), service.clone()));
        // What becomes of the connection is the agent's business.
        places.take(client, tokio::spawn(talk).abort_handle());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who connects and says nothing.
    fn come(places: &mut Places, addr: &str) -> tokio::task::JoinHandle<()> {
        let client = network(addr.parse().expect("an address"));
        places.make_room(client);
        let idle = tokio::spawn(std::future::pending());
        places.take(client, idle.abort_handle());
        idle
    }

    async fn is_gone(connection: tokio::task::JoinHandle<()>) -> bool {
        tokio::task::yield_now().await;
        connection.is_finished()
    }

    #[tokio::test]
    async fn whoever_holds_many_places_makes_room_for_itself() {
        let mut places = Places::default();
        let agent = come(&mut places, "192.0.2.1");
        let mut crowd: Vec<_> = (0..=PLACES_EACH).map(|number| come(&mut places, &format!("2001:db8::{number:x}"))).collect();
        assert!(is_gone(crowd.remove(0)).await, "the oldest of one network");
        assert!(!is_gone(crowd.remove(0)).await && !is_gone(agent).await);
        assert_eq!(places.0.len(), 1 + PLACES_EACH);
    }

    #[tokio::test]
    async fn when_all_places_are_taken_the_oldest_is_given_up_and_those_that_are_over_are_none() {
        let mut places = Places::default();
        let mut crowd: Vec<_> = (0..PLACES).map(|number| come(&mut places, &format!("198.51.100.{number}"))).collect();
        assert!(!is_gone(come(&mut places, "203.0.113.1")).await);
        assert!(is_gone(crowd.remove(0)).await);
        crowd[7].abort();
        tokio::task::yield_now().await;
        come(&mut places, "203.0.113.2");
        assert!(!is_gone(crowd.remove(0)).await, "there was room");
        assert_eq!(places.0.len(), PLACES);
    }
}
