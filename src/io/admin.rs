//! The admin interface: HTTP for operators, orchestrators and Prometheus.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | what is here, as plain text |
//! | `GET /metrics` | OpenMetrics text; docs/METRICS.md lists it |
//! | `GET /livez` | 200 while the control task moves, else 503 and why |
//! | `GET /readyz` | 200 while queries are answered from current verdicts, else 503 and why |
//! | `GET /v1/status` | [`StatusView`] as JSON |
//! | `GET /v1/explain?name=&type=&client=&subnet=&seed=&at_unix_ms=` | why a client gets, or got, what it gets, as plain text |
//! | `GET /v1/history?selector=&since_unix_ms=&until_unix_ms=` | what happened, [`super::journal::History`] as JSON |
//! | `GET /v1/overrides` | all overrides as JSON |
//! | `POST /v1/overrides?selector=&state=&reason=&owner=&for=&break_glass=` | sets one; `OrderReport` as JSON: 200 obeyed, 409 refused |
//! | `DELETE /v1/overrides?selector=` | ends one; likewise |
//! | `POST /v1/release?selector=` | lets back members that wait for it; likewise |
//! | `POST /v1/report` | takes what a member's own agent says: 204 taken, 401 not with this token, 404 nobody waits for it |
//! | `POST /v1/reload?force=true` | `ReloadReport` as JSON: 200 applied, 409 refused, 422 failed |
//!
//! There is no authentication: whoever reaches the socket may use it, so it belongs on loopback or a unix socket. What a
//! browser could be talked into by a foreign page is refused: a request that changes something must carry the header
//! `X-Steersman: 1`, which no page can send across origins unasked, and over TCP a `Host` that is an address or
//! `localhost`, which a rebound DNS name is not.

use super::clock::{Clock, wall_unix_ms};
use super::control::{self, Control};
use super::counters::CounterBoard;
use super::http_server::{self, Limits};
use super::journal::{Filter, History, Journal};
use super::metrics::{self, Scrape};
use super::pulse::Pulse;
use super::reload::ReloadResult;
use super::replay::{Lens, Replayed, replay};
use super::report::{BODY_MAX, Inbox, Report};
use super::status::StatusView;
use crate::explain::Case;
use crate::judge::{NotASelector, Order, Selector, Wish};
use crate::snapshot::AdminAddr;
use axum::extract::{Query, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What the handlers look at.
#[derive(Clone)]
pub struct Admin {
    /// The control task.
    pub control: Control,
    /// Where reports of agents are left.
    pub inbox: Inbox,
    /// Phase and heartbeat.
    pub pulse: Arc<Pulse>,
    /// What the workers count.
    pub counters: Arc<CounterBoard>,
    /// The one clock.
    pub clock: Clock,
    /// What happened; or why that is not kept.
    pub journal: Result<Journal, String>,
    /// The journal is read by one at a time: it may be long, and whoever reaches the socket may ask.
    pub reader: Arc<Semaphore>,
}

/// A bound socket that nobody serves yet.
#[derive(Debug)]
pub enum Bound {
    /// Over TCP.
    Tcp(std::net::TcpListener),
    /// A unix socket, and its path.
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

/// Only the owner and the group of the process may open the socket.
const SOCKET_MODE: u32 = 0o660;

impl Bound {
    /// Binds the admin socket. A stale unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// When it cannot be bound; says where, why, and what to do.
    pub fn bind(addr: &AdminAddr) -> Result<Bound, String> {
        match addr {
            AdminAddr::Tcp(addr) => bind_tcp(*addr),
            AdminAddr::Unix(path) => bind_unix(path),
        }
    }

    /// Where it listens, as `--admin` takes it.
    pub fn address(&self) -> String {
        match self {
            Bound::Tcp(listener) => listener.local_addr().map_or_else(|_| "unknown".to_owned(), |addr| addr.to_string()),
            Bound::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }
}

fn bind_tcp(addr: SocketAddr) -> Result<Bound, String> {
    let listener = std::net::TcpListener::bind(addr).map_err(|error| cannot_bind(&addr.to_string(), &error))?;
    listener.set_nonblocking(true).map_err(|error| cannot_bind(&addr.to_string(), &error))?;
    if !addr.ip().is_loopback() {
        tracing::warn!("the admin interface listens on {addr} without authentication: whoever reaches it can reload this server");
    }
    Ok(Bound::Tcp(listener))
}

fn bind_unix(path: &Path) -> Result<Bound, String> {
    let name = format!("unix:{}", path.display());
    let explain = |error: &std::io::Error| cannot_bind(&name, error);
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(explain(&std::io::Error::from(std::io::ErrorKind::AddrInUse)));
    }
    // Anything else at this path is somebody's file, and binding says that it is in the way.
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path).map_err(|error| explain(&error))?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path).map_err(|error| explain(&error))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(|error| explain(&error))?;
    listener.set_nonblocking(true).map_err(|error| explain(&error))?;
    Ok(Bound::Unix(listener, path.to_owned()))
}

fn cannot_bind(addr: &str, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => "; another program, perhaps another steersman, listens there (see `ss -lptn`)",
        std::io::ErrorKind::PermissionDenied => "; this user may not listen there",
        std::io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    };
    format!("the admin interface cannot listen on {addr}: {error}{hint}")
}

/// Serves until the future is dropped.
///
/// # Errors
/// When the runtime cannot take over the socket.
pub async fn serve(bound: Bound, admin: Admin) -> std::io::Result<()> {
    match bound {
        Bound::Tcp(listener) => {
            let app = router(admin).layer(middleware::from_fn(refuse_foreign_hosts));
            http_server::serve(tokio::net::TcpListener::from_std(listener)?, app, LIMITS).await;
        }
        Bound::Unix(listener, _) => http_server::serve(tokio::net::UnixListener::from_std(listener)?, router(admin), LIMITS).await,
    }
    Ok(())
}

/// A scraper, some operators and a thousand agents need a few; whoever asks for a reload waits as long as that takes.
const LIMITS: Limits = Limits { at_once: 256, head: PATIENCE };

/// Nobody who is well takes longer to say what is wanted.
const PATIENCE: Duration = Duration::from_secs(10);

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/", get(hint))
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/v1/status", get(status))
        .route("/v1/explain", get(explain))
        .route("/v1/history", get(history))
        .route("/v1/overrides", get(overrides).post(set_override).delete(clear_override))
        .route("/v1/release", post(release))
        .route("/v1/report", post(report))
        .route("/v1/reload", post(reload))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "there is nothing here; GET / lists what there is") })
        .method_not_allowed_fallback(|| async { problem(StatusCode::METHOD_NOT_ALLOWED, "wrong method; GET / lists what there is") })
        .layer(middleware::from_fn(hear_out))
        .layer(middleware::from_fn(require_header))
        .with_state(admin)
}

//--- Guards

/// The header that requests which change something must carry.
pub const GUARD: &str = "x-steersman";

async fn require_header(request: Request, next: Next) -> Response {
    if request.method().is_safe() || request.headers().get(GUARD).is_some_and(|value| value == "1") {
        return next.run(request).await;
    }
    problem(StatusCode::FORBIDDEN, "a request that changes something must carry the header `X-Steersman: 1`")
}

async fn refuse_foreign_hosts(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_local_host(request.headers()) {
        return next.run(request).await;
    }
    problem(StatusCode::FORBIDDEN, "name the admin interface by its address or as localhost in a request that changes something")
}

/// Takes all of a request before anybody works on it: bodies here are short, and whoever drips one would hold a place for ever.
async fn hear_out(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, BODY_MAX)).await {
        Ok(Ok(body)) => next.run(Request::from_parts(head, body.into())).await,
        Ok(Err(why)) => problem(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is longer than {BODY_MAX} octets, or broke off: {why}")),
        Err(_) => problem(StatusCode::REQUEST_TIMEOUT, "the body takes too long to come"),
    }
}

fn is_local_host(headers: &HeaderMap) -> bool {
    // HTTP/1.0 has no Host; browsers speak 1.1.
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

//--- Handlers

async fn hint() -> &'static str {
    "steersman admin interface\n\n\
     GET  /metrics             for Prometheus\n\
     GET  /livez               is the process alive\n\
     GET  /readyz              may it be sent queries\n\
     GET  /v1/status           everything it believes, as JSON (people: steersman status)\n\
     GET  /v1/explain?name=N&type=A&client=ADDR&subnet=PREFIX&at_unix_ms=M  why that client gets what it gets (people: steersman explain)\n\
     GET  /v1/history?selector=S&since_unix_ms=M&until_unix_ms=M  what happened, as JSON (people: steersman history)\n\
     GET  /v1/overrides        what operators put in the place of verdicts (people: steersman override list)\n\
     POST /v1/overrides?selector=S&state=up|down|drain&owner=O&reason=R&for=2h  (people: steersman override set)\n\
     DELETE /v1/overrides?selector=S, POST /v1/release?selector=S  (people: steersman override clear, release)\n\
     POST /v1/report           what an agent says of its member, as JSON: monitor, pool, member, up, reason; needs X-Steersman: 1\n\
     POST /v1/reload           load the config anew; needs the header X-Steersman: 1 (people: steersman reload)\n\
     POST /v1/reload?force=true  even when a zone or most members would go\n"
}

async fn livez(State(admin): State<Admin>) -> Response {
    health(admin.pulse.alive())
}

async fn readyz(State(admin): State<Admin>) -> Response {
    health(admin.pulse.ready())
}

fn health(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

async fn status(State(admin): State<Admin>) -> Response {
    match admin.control.status().await {
        Some(view) => written(move || Json(view).into_response()).await,
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "the control task does not answer"),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    // Counters are worth having even when the control task is stuck: then above all.
    let status: Option<StatusView> = admin.control.status().await;
    let scrape = Scrape {
        status,
        totals: admin.counters.totals(),
        heartbeat_age: admin.pulse.age(),
        ready: admin.pulse.ready().is_ok(),
        started_unix_s: admin.clock.unix_s(admin.clock.started()),
        log_lines_lost: super::log::lost(),
    };
    written(move || ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render(scrape)).into_response()).await
}

/// Writes a long page on a thread of its own: on those of the control task it would hold up probes.
async fn written(page: impl FnOnce() -> Response + Send + 'static) -> Response {
    let page = tokio::task::spawn_blocking(page).await;
    page.unwrap_or_else(|panic| problem(StatusCode::INTERNAL_SERVER_ERROR, &panic.to_string()))
}

/// The question of an explanation, as the query string has it.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    name: String,
    #[serde(default = "address", rename = "type")]
    qtype: String,
    client: Option<String>,
    subnet: Option<String>,
    at_unix_ms: Option<u64>,
    #[serde(default)]
    seed: u64,
}

fn address() -> String {
    "A".to_owned()
}

async fn explain(State(admin): State<Admin>, Query(query): Query<ExplainQuery>) -> Response {
    let client = query.client.as_deref().unwrap_or(crate::explain::SOME_CLIENT);
    let case = match Case::parse(&query.name, &query.qtype, client, query.subnet.as_deref(), query.seed) {
        Ok(case) => case,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let Some(at_unix_ms) = query.at_unix_ms else {
        let live = admin.control.live().load_full();
        return crate::explain::explain(&live, &case).render(&live, &case).into_response();
    };
    match explain_past(&admin, case, at_unix_ms).await {
        Ok(story) => story.into_response(),
        Err(why) => problem(StatusCode::CONFLICT, &why),
    }
}

/// The journal, or what is said where there is none.
fn journal(admin: &Admin) -> Result<&Journal, String> {
    admin.journal.as_ref().map_err(|why| format!("this server keeps no journal: {why}"))
}

async fn explain_past(admin: &Admin, case: Case, at_unix_ms: u64) -> Result<String, String> {
    let journal = journal(admin)?.clone();
    // A control task that does not answer knows best that the past should be looked at.
    let (generation, fingerprint) = admin.control.status().await.map(|status| (status.generation, status.fingerprint)).unzip();
    let snapshot = Arc::clone(&admin.control.live().load().snapshot);
    let lens = Lens { snapshot, generation, fingerprint: fingerprint.unwrap_or_default() };
    let work = move || {
        let Replayed { live, head } = replay(journal.directory(), &lens, at_unix_ms, wall_unix_ms())?;
        Ok(head + &crate::explain::explain(&live, &case).render(&live, &case))
    };
    read_journal(admin, work).await
}

/// Does `work`, which reads the journal, when nobody else does and all that happened until now is written.
async fn read_journal<T: Send + 'static>(admin: &Admin, work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let (journal, reader) = (journal(admin)?.clone(), Arc::clone(&admin.reader));
    let turn = reader.acquire_owned().await.map_err(|closed| closed.to_string())?;
    let work = tokio::task::spawn_blocking(move || {
        // Held until the end, though whoever asked may be gone by then.
        let _turn = turn;
        journal.finish(JOURNAL_PATIENCE);
        work()
    });
    work.await.unwrap_or_else(|panic| Err(panic.to_string()))
}

//--- History

/// Which part of the past is wanted, as the query string has it.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    selector: Option<String>,
    since_unix_ms: Option<u64>,
    until_unix_ms: Option<u64>,
}

async fn history(State(admin): State<Admin>, Query(query): Query<HistoryQuery>) -> Response {
    let HistoryQuery { selector, since_unix_ms, until_unix_ms } = query;
    let about = match selector.map(|selector| selector.parse::<Selector>()).transpose() {
        Ok(about) => about,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why.to_string()),
    };
    let journal = match journal(&admin) {
        Ok(journal) => journal.clone(),
        Err(why) => return problem(StatusCode::CONFLICT, &why),
    };
    let filter = Filter { about, since_unix_ms, until_unix_ms };
    match read_journal(&admin, move || History::read(journal.directory(), &filter)).await {
        Ok(history) => Json(history).into_response(),
        Err(why) => problem(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

/// What happened just now should be shown; a disk that hangs should not keep the rest from being.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(1);

//--- Overrides

async fn overrides(State(admin): State<Admin>) -> Response {
    match admin.control.status().await {
        Some(view) => Json(view.overrides).into_response(),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "the control task does not answer"),
    }
}

/// An order, as the query string has it.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderQuery {
    selector: String,
    state: WishWord,
    owner: String,
    reason: String,
    #[serde(rename = "for")]
    lasts: Option<String>,
    #[serde(default)]
    break_glass: bool,
}

#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum WishWord {
    Up,
    Down,
    Drain,
}

/// Owners and reasons are for one line of a table.
const TEXT_MAX: usize = 200;

impl OrderQuery {
    fn parse(self) -> Result<Order, String> {
        let selector = self.selector.parse().map_err(|error: NotASelector| error.to_string())?;
        let lasts = self.lasts.map(|text| crate::config::reader::parse_duration(&text)).transpose()?;
        if lasts.is_some_and(|lasts| lasts < Duration::from_secs(1)) {
            return Err("an override lasts for a second at least".to_owned());
        }
        let is_line = |text: &str| !text.trim().is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
        if !is_line(&self.owner) || !is_line(&self.reason) {
            return Err(format!("owner and reason are one line each, of at most {TEXT_MAX} octets, and not empty"));
        }
        let wish = match self.state {
            WishWord::Up => Wish::Up,
            WishWord::Down => Wish::Down,
            WishWord::Drain => Wish::Drain,
        };
        Ok(Order { selector, wish, owner: self.owner, reason: self.reason, lasts, break_glass: self.break_glass })
    }
}

async fn set_override(State(admin): State<Admin>, Query(query): Query<OrderQuery>) -> Response {
    match query.parse() {
        Ok(order) => ordered(&admin, control::Request::Set(order)).await,
        Err(why) => problem(StatusCode::BAD_REQUEST, &why),
    }
}

/// Whom a request is about.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectorQuery {
    selector: String,
}

async fn clear_override(State(admin): State<Admin>, Query(query): Query<SelectorQuery>) -> Response {
    match query.selector.parse::<Selector>() {
        Ok(selector) => ordered(&admin, control::Request::Clear(selector)).await,
        Err(why) => problem(StatusCode::BAD_REQUEST, &why.to_string()),
    }
}

async fn release(State(admin): State<Admin>, Query(query): Query<SelectorQuery>) -> Response {
    match query.selector.parse::<Selector>() {
        Ok(selector) => ordered(&admin, control::Request::Release(selector)).await,
        Err(why) => problem(StatusCode::BAD_REQUEST, &why.to_string()),
    }
}

async fn ordered(admin: &Admin, request: control::Request) -> Response {
    let report = admin.control.order(request).await;
    let code = if report.obeyed { StatusCode::OK } else { StatusCode::CONFLICT };
    (code, Json(report)).into_response()
}

async fn report(State(admin): State<Admin>, headers: HeaderMap, Json(report): Json<Report>) -> Response {
    admin.inbox.handle_inside(&headers, &report)
}

/// A config compiles in seconds; a reload that takes longer than this goes on, but nobody is kept waiting.
const RELOAD_PATIENCE: Duration = Duration::from_mins(2);

async fn reload(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let force = match query.as_deref() {
        None | Some("" | "force=false") => false,
        Some("force=true") => true,
        Some(_) => return problem(StatusCode::BAD_REQUEST, "the only parameter is force, which is true or false"),
    };
    let Ok(report) = tokio::time::timeout(RELOAD_PATIENCE, admin.control.reload(force)).await else {
        return problem(StatusCode::GATEWAY_TIMEOUT, "the reload is still under way; the log will tell how it ends");
    };
    let code = match report.result {
        ReloadResult::Applied => StatusCode::OK,
        ReloadResult::Refused => StatusCode::CONFLICT,
        ReloadResult::Failed => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (code, Json(report)).into_response()
}

fn problem(code: StatusCode, message: &str) -> Response {
    (code, Json(serde_json::json!({ "error": message }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, text.parse().expect("a header value"))])
    }

    #[test]
    fn only_addresses_and_localhost_are_hosts_that_may_change_something() {
        for good in ["127.0.0.1", "127.0.0.1:8053", "[::1]:8053", "[::1]", "localhost", "LOCALHOST:80", "192.0.2.1:1"] {
            assert!(is_local_host(&host(good)), "{good}");
        }
        for bad in ["evil.example", "evil.example:8053", "127.0.0.1.evil.example:8053", "localhost.evil.example", ""] {
            assert!(!is_local_host(&host(bad)), "{bad}");
        }
        assert!(is_local_host(&HeaderMap::new()));
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let directory = super::super::testing::scratch_directory();
        let path = directory.path().join("admin.sock");
        let first = Bound::bind(&AdminAddr::Unix(path.clone())).expect("nobody is there");
        assert_eq!(first.address(), format!("unix:{}", path.display()));
        let error = Bound::bind(&AdminAddr::Unix(path.clone())).expect_err("the first is alive");
        assert!(error.contains("another steersman"), "{error}");
        drop(first);
        assert!(path.exists(), "the kernel leaves the file behind");
        Bound::bind(&AdminAddr::Unix(path)).expect("the first is gone");
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let directory = super::super::testing::scratch_directory();
        let path = directory.write("precious.yaml", "zone: example.com");
        Bound::bind(&AdminAddr::Unix(path.clone())).expect_err("something else is there");
        assert_eq!(std::fs::read_to_string(path).expect("still there"), "zone: example.com");
    }

    #[test]
    fn a_busy_port_names_the_address_and_the_likely_culprit() {
        let first = Bound::bind(&AdminAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))).expect("the kernel picks a port");
        let addr: SocketAddr = first.address().parse().expect("an address");
        let error = Bound::bind(&AdminAddr::Tcp(addr)).expect_err("the first is alive");
        assert!(error.contains(&addr.to_string()) && error.contains("ss -lptn"), "{error}");
    }
}
