//! Probes of real servers on loopback: what each kind of health and of trouble is seen as.
#![allow(clippy::disallowed_methods, reason = "these tests are the world that the shell touches")]

#[path = "support/probed.rs"]
mod probed;

use hyper::body::Incoming;
use hyper::{Request, Response};
use probed::{Authority, Reply, Scratch, provider, serve_h2};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use steersman::check::{Check, ClientFiles, ExpiryWarning, HttpCheck, HttpVersion, Method, Pattern, TcpCheck, TextRule, TlsRules};
use steersman::health::{Doubt, FailReason, Observation, Rules};
use steersman::io::prober::{Phase, Prober};
use steersman::snapshot::Target;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Longer than any probe takes that comes to an end by itself.
const AMPLE: Duration = Duration::from_secs(10);

/// For probes that are meant to run out of time.
const SHORT: Duration = Duration::from_millis(300);

/// What a server does with a connection once it has read the request.
#[derive(Clone, Copy)]
enum Act {
    /// Sends this and closes.
    Say(&'static str),
    /// Sends this and then nothing, until the client closes.
    SayAndHang(&'static str),
    /// Waits before it sends an answer.
    SayLate(Duration),
    /// Closes with a reset.
    Reset,
}

/// What a server saw of a connection.
#[derive(Debug)]
struct Seen {
    /// The head of the request.
    request: String,
    /// The name that the client gave in the TLS handshake.
    server_name: Option<String>,
}

/// A server on a free port of `ip`, and what it sees.
async fn serve(ip: &str, act: Act) -> (SocketAddr, UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind((ip, 0)).await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if matches!(act, Act::Reset) {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger can be set");
            }
            tokio::spawn(converse(stream, None, act, sender.clone()));
        }
    });
    (addr, receiver)
}

/// The same over TLS; the handshake begins after `delay`.
async fn serve_tls(ip: &str, config: Arc<ServerConfig>, delay: Duration) -> (SocketAddr, UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind((ip, 0)).await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::time::sleep(delay).await;
            // A client that does not like the certificate ends the handshake; that is its own business.
            let Ok(stream) = TlsAcceptor::from(config.clone()).accept(stream).await else { continue };
            let name = stream.get_ref().1.server_name().map(str::to_owned);
            tokio::spawn(converse(stream, name, Act::Say(OK), sender.clone()));
        }
    });
    (addr, receiver)
}

/// Reads one request, acts, and reports when the conversation has ended.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    server_name: Option<String>,
    act: Act,
    sender: UnboundedSender<Seen>,
) -> io::Result<()> {
    let request = read_head(&mut stream).await?;
    match act {
        Act::Say(answer) => stream.write_all(answer.as_bytes()).await?,
        Act::SayAndHang(beginning) => {
            stream.write_all(beginning.as_bytes()).await?;
            stream.read_to_end(&mut Vec::new()).await?;
        }
        Act::SayLate(delay) => {
            tokio::time::sleep(delay).await;
            stream.write_all(OK.as_bytes()).await?;
        }
        Act::Reset => drop(stream),
    }
    // Nobody listens in a test that looks at the observation only.
    sender.send(Seen { request, server_name }).map_err(io::Error::other)
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// An address of this host where nothing listens. Nobody else uses this part of 127.0.0.0/8, so the port stays closed.
async fn closed() -> SocketAddr {
    let listener = TcpListener::bind(("127.77.77.77", 0)).await.expect("a free port on loopback");
    listener.local_addr().expect("the listener is bound")
}

fn target(addr: SocketAddr, check: Check) -> Target {
    let rules = Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 2, 3);
    Target::new(format!("{addr} {check:?}"), rules, addr, check)
}

fn http() -> HttpCheck {
    HttpCheck { host: Some("www.example.com".into()), ..HttpCheck::get("/healthz") }
}

fn https() -> HttpCheck {
    HttpCheck { tls: Some(TlsRules::STRICT), ..http() }
}

fn unverified() -> HttpCheck {
    HttpCheck { tls: Some(TlsRules { verify: false, ..TlsRules::STRICT }), ..http() }
}

/// One HTTP probe of a server that acts like this.
async fn probe_http(act: Act, timeout: Duration) -> Observation {
    let (addr, _seen) = serve("127.0.0.1", act).await;
    Prober::new().probe(&target(addr, Check::Http(http())), timeout).await
}

#[track_caller]
fn assert_passed(observation: &Observation) {
    assert!(matches!(observation, Observation::Pass { connect, total } if connect <= total), "{observation}");
}

/// The server took the connection, and then the time ran out.
fn stalled(what: &str) -> Observation {
    Observation::Fail(FailReason::Stalled(what.into()))
}

#[track_caller]
fn assert_tls_failure(observation: &Observation, part: &str) {
    assert!(matches!(observation, Observation::Fail(FailReason::Tls(text)) if text.contains(part)), "{observation}");
}

//--- TCP

#[tokio::test]
async fn an_open_port_passes_and_a_closed_one_is_refused() {
    let prober = Prober::new();
    let (open, _seen) = serve("127.0.0.1", Act::Reset).await;
    assert_passed(&prober.probe(&target(open, Check::Tcp(TcpCheck::CONNECT)), AMPLE).await);
    let refused = prober.probe(&target(closed().await, Check::Tcp(TcpCheck::CONNECT)), AMPLE).await;
    assert_eq!(refused, Observation::Fail(FailReason::Refused));
}

#[tokio::test]
async fn ipv6_targets_are_probed_alike() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        panic!("this host has no IPv6 loopback; the test needs one");
    };
    let addr = listener.local_addr().expect("the listener is bound");
    assert_passed(&Prober::new().probe(&target(addr, Check::Tcp(TcpCheck::CONNECT)), AMPLE).await);
}

#[tokio::test]
async fn an_address_that_this_host_cannot_route_to_says_nothing_about_the_target() {
    // TCP never leaves for the broadcast address: the kernel answers ENETUNREACH by itself.
    let addr = ([255, 255, 255, 255], 80).into();
    for check in [Check::Tcp(TcpCheck::CONNECT), Check::Http(http()), Check::Http(unverified())] {
        let observation = Prober::new().probe(&target(addr, check), AMPLE).await;
        assert_eq!(observation, Observation::Inconclusive(Doubt::NoRoute));
    }
}

#[tokio::test]
async fn a_source_from_which_nothing_can_be_reached_says_nothing_about_the_target() {
    // Loopback addresses do not leave this host: the kernel answers EINVAL by itself.
    for check in [Check::Tcp(TcpCheck::CONNECT), Check::Http(http())] {
        let target = Target { source: "127.0.0.1".parse().ok(), ..target(([192, 0, 2, 1], 80).into(), check) };
        let observation = Prober::new().probe(&target, SHORT).await;
        assert!(matches!(observation, Observation::Inconclusive(_)), "{observation}");
    }
}

#[tokio::test]
async fn what_was_said_instead_of_what_was_waited_for_is_told() {
    let text = TextRule { contains: vec!["+PONG".into()], ..TextRule::NONE };
    let check = TcpCheck { send: Some("PING\r\n\r\n".into()), text };
    let (addr, _seen) = serve("127.0.0.1", Act::SayAndHang("-LOADING the dataset")).await;
    let observation = Prober::new().probe(&target(addr, Check::Tcp(check)), SHORT).await;
    assert_eq!(observation, stalled("`+PONG` is not in the 20 octets looked at: \"-LOADING the dataset\""));
}

//--- HTTP

#[tokio::test]
async fn an_expected_status_passes_and_any_other_fails_with_its_number() {
    assert_passed(&probe_http(Act::Say(OK), AMPLE).await);
    assert_passed(&probe_http(Act::Say("HTTP/1.1 299 Fine\r\ncontent-length: 0\r\n\r\n"), AMPLE).await);
    let sick = probe_http(Act::Say("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"), AMPLE).await;
    assert_eq!(sick, Observation::Fail(FailReason::Status(500)));
    let below = probe_http(Act::Say("HTTP/1.1 300 Many\r\ncontent-length: 0\r\n\r\n"), AMPLE).await;
    assert_eq!(below, Observation::Fail(FailReason::Status(300)));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let redirect = Act::Say("HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(probe_http(redirect, AMPLE).await, Observation::Fail(FailReason::Status(302)));
    let (addr, _seen) = serve("127.0.0.1", redirect).await;
    let wanted = HttpCheck { expect: vec![(200, 200), (302, 302)], ..http() };
    assert_passed(&Prober::new().probe(&target(addr, Check::Http(wanted)), AMPLE).await);
}

#[tokio::test]
async fn a_server_that_hangs_is_timed_out_wherever_it_hangs() {
    let nothing = "connected, but nothing was answered";
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no";
    for (beginning, what) in [("", nothing), ("HTTP/1.1 200 OK\r\n", nothing), (half, "the answer did not end")] {
        let observation = probe_http(Act::SayAndHang(beginning), SHORT).await;
        assert_eq!(observation, stalled(what), "after {beginning:?}");
    }
    let (addr, _seen) = serve("127.0.0.1", Act::SayAndHang("")).await;
    let handshake = Prober::new().probe(&target(addr, Check::Http(unverified())), SHORT).await;
    assert_eq!(handshake, stalled("connected, but no TLS handshake"));
}

#[tokio::test]
async fn a_probe_that_gave_up_leaves_no_connection_behind() {
    let (addr, mut seen) = serve("127.0.0.1", Act::SayAndHang("")).await;
    let observation = Prober::new().probe(&target(addr, Check::Http(http())), SHORT).await;
    assert_eq!(observation, stalled("connected, but nothing was answered"));
    // The server reports when the client has closed.
    let closed = tokio::time::timeout(AMPLE, seen.recv()).await.expect("the connection was closed");
    assert!(closed.is_some());
}

#[tokio::test]
async fn a_server_that_breaks_off_is_seen_as_that() {
    let breaking_off = [Act::Reset, Act::Say(""), Act::Say("HTTP/1.1 200"), Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")];
    for act in breaking_off {
        assert_eq!(probe_http(act, AMPLE).await, Observation::Fail(FailReason::Reset));
    }
}

#[tokio::test]
async fn a_closed_port_is_refused_also_to_http() {
    let observation = Prober::new().probe(&target(closed().await, Check::Http(http())), AMPLE).await;
    assert_eq!(observation, Observation::Fail(FailReason::Refused));
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_failure() {
    let observation = probe_http(Act::Say("220 mail.example.com ESMTP ready\r\n\r\n"), AMPLE).await;
    assert!(matches!(observation, Observation::Fail(FailReason::Protocol(_))), "{observation}");
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_the_end() {
    let (addr, _seen) = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let addr = listener.local_addr().expect("the listener is bound");
        (addr, tokio::spawn(pour(listener)))
    };
    assert_passed(&Prober::new().probe(&target(addr, Check::Http(http())), AMPLE).await);
}

/// Answers one request with a body that never ends, as long as somebody reads it.
async fn pour(listener: TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    read_head(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(&[b'x'; 4096]).await?;
    }
}

#[tokio::test]
async fn the_request_names_the_service_while_the_connection_goes_to_the_member() {
    let (addr, mut seen) = serve("127.0.0.2", Act::Say(OK)).await;
    let check = HttpCheck { path: "/deep?x=1".into(), ..http() };
    assert_passed(&Prober::new().probe(&target(addr, Check::Http(check)), AMPLE).await);
    let request = seen.recv().await.expect("one request").request.to_lowercase();
    assert!(request.starts_with("get /deep?x=1 http/1.1\r\n"), "{request}");
    for header in ["host: www.example.com\r\n", "connection: close\r\n", "user-agent: steersman/"] {
        assert!(request.contains(header), "{request}");
    }
}

#[tokio::test]
async fn a_check_without_a_host_names_the_address_and_its_port() {
    let (addr, mut seen) = serve("127.0.0.3", Act::Say(OK)).await;
    let check = HttpCheck { host: None, ..http() };
    assert_passed(&Prober::new().probe(&target(addr, Check::Http(check)), AMPLE).await);
    let request = seen.recv().await.expect("one request").request;
    assert!(request.to_lowercase().contains(&format!("host: {addr}\r\n")), "{request}");
}

#[tokio::test]
async fn head_asks_for_no_body_and_misses_none() {
    let (addr, mut seen) = serve("127.0.0.1", Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n")).await;
    let check = HttpCheck { method: Method::Head, ..http() };
    assert_passed(&Prober::new().probe(&target(addr, Check::Http(check)), AMPLE).await);
    assert!(seen.recv().await.expect("one request").request.starts_with("HEAD "));
}

#[tokio::test]
async fn the_time_to_connect_leaves_out_the_time_to_answer() {
    let delay = Duration::from_millis(60);
    let observation = probe_http(Act::SayLate(delay), AMPLE).await;
    let Observation::Pass { connect, total } = observation else { panic!("{observation}") };
    assert!(connect > Duration::ZERO && total >= connect + delay, "{observation}");
}

#[tokio::test]
async fn every_probe_makes_a_connection_of_its_own_also_after_its_client_was_forgotten() {
    // This server closes after every answer, so that each report is one connection.
    let (addr, mut seen) = serve("127.0.0.1", Act::Say(OK)).await;
    let prober = Prober::new();
    let target = target(addr, Check::Http(http()));
    for kept in [HashMap::from([(target.identity.clone(), &target)]), HashMap::new(), HashMap::new()] {
        assert_passed(&prober.probe(&target, AMPLE).await);
        assert!(seen.recv().await.is_some());
        prober.retain(&kept);
    }
}

#[tokio::test]
async fn one_prober_sees_a_server_die_and_return() {
    let listener = TcpListener::bind("127.0.0.4:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    let prober = Prober::new();
    let target = target(addr, Check::Http(http()));
    let (observation, _) = tokio::join!(prober.probe(&target, AMPLE), answer_once(&listener));
    assert_passed(&observation);
    drop(listener);
    assert_eq!(prober.probe(&target, AMPLE).await, Observation::Fail(FailReason::Refused));
    let listener = TcpListener::bind(addr).await.expect("the port is free again");
    let (observation, _) = tokio::join!(prober.probe(&target, AMPLE), answer_once(&listener));
    assert_passed(&observation);
}

async fn answer_once(listener: &TcpListener) -> io::Result<()> {
    let (stream, _) = listener.accept().await?;
    converse(stream, None, Act::Say(OK), unbounded_channel().0).await
}

#[tokio::test]
async fn what_is_sent_is_what_was_written() {
    let (addr, mut seen) = serve("127.0.0.1", Act::Say(OK)).await;
    let check = HttpCheck {
        method: Method::Post,
        headers: vec![("x-probe".into(), "one".into()), ("user-agent".into(), "mine".into())],
        body: Some("{\"ping\":1}".into()),
        ..http()
    };
    assert_passed(&Prober::new().probe(&target(addr, Check::Http(check)), AMPLE).await);
    let request = seen.recv().await.expect("one request").request.to_lowercase();
    assert!(request.starts_with("post /healthz http/1.1\r\n"), "{request}");
    for header in ["x-probe: one\r\n", "user-agent: mine\r\n", "content-length: 10\r\n"] {
        assert!(request.contains(header), "{request}");
    }
    assert_eq!(request.matches("user-agent").count(), 1, "{request}");
}

/// One probe of a server that says this, with a rule for what it says.
async fn probe_text(answer: &'static str, text: TextRule) -> Observation {
    let (addr, _seen) = serve("127.0.0.1", Act::Say(answer)).await;
    Prober::new().probe(&target(addr, Check::Http(HttpCheck { text, ..http() })), AMPLE).await
}

#[tokio::test]
async fn the_body_must_hold_what_was_written() {
    let body = "HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n{\"db\":\"ok\",\"queue\":17}";
    let rule = |contains: &str, pattern: &str| TextRule {
        contains: vec![contains.into()],
        matches: Some(Pattern::parse(pattern).expect("sound")),
        within: TextRule::WITHIN,
    };
    assert_passed(&probe_text(body, rule("\"ok\"", "queue\":[0-9]{1,2}\\b")).await);
    for wrong in [rule("\"down\"", "queue"), rule("ok", "queue\":[0-9]\\b")] {
        let observation = probe_text(body, wrong).await;
        assert!(matches!(&observation, Observation::Fail(FailReason::Content(_))), "{observation}");
    }
    let early = TextRule { within: 5, ..rule("ok", "") };
    assert!(matches!(probe_text(body, early).await, Observation::Fail(FailReason::Content(_))), "it stands beyond what is looked at");
}

#[tokio::test]
async fn a_text_that_never_comes_is_not_waited_for_beyond_the_octets_looked_at() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    tokio::spawn(pour(listener));
    let text = TextRule { contains: vec!["ok".into()], ..TextRule::NONE };
    let observation = Prober::new().probe(&target(addr, Check::Http(HttpCheck { text, ..http() })), AMPLE).await;
    assert!(matches!(observation, Observation::Fail(FailReason::Content(_))), "{observation}");
}

#[tokio::test]
async fn interim_responses_without_end_are_no_answer_and_end_the_probe_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    // On a thread of its own it is always faster than the client.
    let flood = std::thread::spawn(move || {
        let listener = listener.into_std()?;
        listener.set_nonblocking(false)?;
        let (mut stream, _) = listener.accept()?;
        let request = io::Read::read(&mut stream, &mut [0; 4096])?;
        assert!(request > 0);
        let interim = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(4096);
        loop {
            io::Write::write_all(&mut stream, &interim)?;
        }
        #[allow(unreachable_code, reason = "names the type of the error")]
        io::Result::Ok(())
    });
    let observation = Prober::new().probe(&target(addr, Check::Http(http())), AMPLE).await;
    assert!(matches!(&observation, Observation::Fail(FailReason::Protocol(why)) if why.contains("far more octets")), "{observation}");
    // The client has gone, so that the server cannot go on.
    assert!(flood.join().expect("no panic").is_err());
}

#[tokio::test]
async fn a_server_that_speaks_before_it_is_asked_speaks_no_http() {
    let (addr, _listening) = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let addr = listener.local_addr().expect("the listener is bound");
        let talk = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n220 mail.example.com ESMTP ready\r\n\r\n").await?;
            stream.read_to_end(&mut Vec::new()).await
        });
        (addr, talk)
    };
    let observation = Prober::new().probe(&target(addr, Check::Http(http())), AMPLE).await;
    assert!(matches!(observation, Observation::Fail(FailReason::Protocol(_))), "{observation}");
}

#[tokio::test]
async fn a_method_that_takes_a_body_says_so_when_there_is_none() {
    for (method, said) in [(Method::Post, true), (Method::Put, true), (Method::Get, false)] {
        let (addr, mut seen) = serve("127.0.0.1", Act::Say(OK)).await;
        assert_passed(&Prober::new().probe(&target(addr, Check::Http(HttpCheck { method, ..http() })), AMPLE).await);
        let request = seen.recv().await.expect("one request").request.to_lowercase();
        assert_eq!(request.contains("content-length: 0\r\n"), said, "{request}");
    }
}

#[tokio::test]
async fn a_head_with_many_headers_and_one_over_two_lines_is_read() {
    let many = "x-many: 1\r\n".repeat(200);
    let answer = format!("HTTP/1.1 200 OK\r\n{many}x-long: one\r\n  two\r\ncontent-length: 2\r\n\r\nok");
    assert_passed(&probe_http(Act::Say(answer.leak()), AMPLE).await);
}

#[tokio::test]
async fn a_probe_comes_from_the_address_that_was_written() {
    for check in [Check::Tcp(TcpCheck::CONNECT), Check::Http(http())] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let addr = listener.local_addr().expect("the listener is bound");
        let target = Target { source: "127.0.0.9".parse().ok(), ..target(addr, check) };
        let prober = Prober::new();
        let (_, accepted) = tokio::join!(prober.probe(&target, SHORT), listener.accept());
        assert_eq!(accepted.expect("a connection").1.ip().to_string(), "127.0.0.9");
    }
}

#[tokio::test]
async fn a_source_that_this_host_does_not_have_says_nothing_about_the_target() {
    let (addr, _seen) = serve("127.0.0.1", Act::Say(OK)).await;
    for check in [Check::Tcp(TcpCheck::CONNECT), Check::Http(http())] {
        let target = Target { source: "192.0.2.77".parse().ok(), ..target(addr, check) };
        assert_eq!(Prober::new().probe(&target, AMPLE).await, Observation::Inconclusive(Doubt::NoAddress));
    }
}

//--- HTTPS

/// One HTTPS probe, trusting `trusted`, of a server with a certificate that `issuer` made.
async fn probe_https(trusted: &Authority, issuer: &Authority, name: &str, not_after_year: i32, check: HttpCheck) -> Observation {
    let (addr, _seen) = serve_tls("127.0.0.2", Arc::new(issuer.server(name, not_after_year)), Duration::ZERO).await;
    Prober::with_roots(trusted.roots()).probe(&target(addr, Check::Http(check)), AMPLE).await
}

#[tokio::test]
async fn the_certificate_must_be_the_services_in_date_and_of_a_trusted_authority() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    assert_passed(&probe_https(&ours, &ours, "www.example.com", 2100, https()).await);
    assert_tls_failure(&probe_https(&ours, &ours, "www.example.net", 2100, https()).await, "not valid for name");
    assert_tls_failure(&probe_https(&ours, &ours, "www.example.com", 2021, https()).await, "expired");
    assert_tls_failure(&probe_https(&ours, &theirs, "www.example.com", 2100, https()).await, "UnknownIssuer");
}

#[tokio::test]
async fn without_verification_any_certificate_passes() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let check = unverified();
    assert_passed(&probe_https(&ours, &theirs, "www.example.net", 2021, check).await);
}

#[tokio::test]
async fn the_server_name_and_the_host_header_are_the_services_while_the_address_is_the_members() {
    let authority = Authority::new("ours");
    let config = Arc::new(authority.server("www.example.com", 2100));
    let (addr, mut seen) = serve_tls("127.0.0.2", config, Duration::ZERO).await;
    assert_passed(&Prober::with_roots(authority.roots()).probe(&target(addr, Check::Http(https())), AMPLE).await);
    let seen = seen.recv().await.expect("one request");
    assert_eq!(seen.server_name.as_deref(), Some("www.example.com"));
    assert!(seen.request.to_lowercase().contains("host: www.example.com\r\n"), "{seen:?}");
}

#[tokio::test]
async fn a_check_without_a_host_verifies_the_address() {
    let authority = Authority::new("ours");
    let check = HttpCheck { host: None, ..https() };
    assert_passed(&probe_https(&authority, &authority, "127.0.0.2", 2100, check.clone()).await);
    assert_tls_failure(&probe_https(&authority, &authority, "127.0.0.9", 2100, check).await, "not valid for name");
}

#[tokio::test]
async fn a_host_that_is_another_address_is_what_the_certificate_must_bear() {
    let authority = Authority::new("ours");
    let check = HttpCheck { host: Some("127.0.0.9".into()), ..https() };
    assert_passed(&probe_https(&authority, &authority, "127.0.0.9", 2100, check.clone()).await);
    assert_tls_failure(&probe_https(&authority, &authority, "127.0.0.2", 2100, check).await, "not valid for name");
}

#[tokio::test]
async fn an_expired_certificate_is_seen_beside_a_good_one_with_the_same_name_and_tickets() {
    let authority = Authority::new("ours");
    let good = authority.server("www.example.com", 2100);
    let mut expired = authority.server("www.example.com", 2021);
    expired.session_storage = good.session_storage.clone();
    expired.ticketer = good.ticketer.clone();
    let (good, _seen) = serve_tls("127.0.0.2", Arc::new(good), Duration::ZERO).await;
    let (expired, _seen) = serve_tls("127.0.0.3", Arc::new(expired), Duration::ZERO).await;
    let prober = Prober::with_roots(authority.roots());
    assert_passed(&prober.probe(&target(good, Check::Http(https())), AMPLE).await);
    assert_tls_failure(&prober.probe(&target(expired, Check::Http(https())), AMPLE).await, "expired");
}

#[tokio::test]
async fn the_time_to_connect_leaves_out_the_handshake() {
    let authority = Authority::new("ours");
    let delay = Duration::from_millis(60);
    let (addr, _seen) = serve_tls("127.0.0.2", Arc::new(authority.server("www.example.com", 2100)), delay).await;
    let observation = Prober::with_roots(authority.roots()).probe(&target(addr, Check::Http(https())), AMPLE).await;
    assert!(matches!(observation, Observation::Pass { connect, total } if connect < delay && total >= delay), "{observation}");
}

#[tokio::test]
async fn the_certificate_of_an_authority_is_no_certificate_of_a_server_and_is_told_so() {
    let mut params = rcgen::CertificateParams::new(["www.example.com".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("aws-lc-rs makes keys");
    let itself = params.self_signed(&key).expect("the parameters are sound");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(itself.der().clone()).expect("it is a certificate");
    let config = probed::presenting((itself, key), rustls::server::WebPkiClientVerifier::no_client_auth());
    let (addr, _seen) = serve_tls("127.0.0.2", Arc::new(config), Duration::ZERO).await;
    let observation = Prober::with_roots(roots).probe(&target(addr, Check::Http(https())), AMPLE).await;
    assert_tls_failure(&observation, "the certificate is that of an authority");
}

#[tokio::test]
async fn an_authority_of_its_own_is_believed_and_no_other() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let scratch = Scratch::new();
    let ca = scratch.write("ca.pem", &ours.issuer.pem());
    let check = HttpCheck { tls: Some(TlsRules { ca: Some(ca.into()), ..TlsRules::STRICT }), ..http() };
    assert_passed(&probe_https(&theirs, &ours, "www.example.com", 2100, check.clone()).await);
    assert_tls_failure(&probe_https(&theirs, &theirs, "www.example.com", 2100, check).await, "UnknownIssuer");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let authority = Authority::new("ours");
    let scratch = Scratch::new();
    let (certificate, key) = authority.issue("probe.example.com", 2100);
    let client = ClientFiles {
        certificate: scratch.write("probe.pem", &certificate.pem()).into(),
        key: scratch.write("probe.key", &key.serialize_pem()).into(),
    };
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider());
    let asking = authority.server_asking("www.example.com", 2100, verifier.build().expect("a root is there"));
    let (addr, _seen) = serve_tls("127.0.0.2", Arc::new(asking), Duration::ZERO).await;
    let check = |client| HttpCheck { tls: Some(TlsRules { client, ..TlsRules::STRICT }), ..http() };
    let prober = Prober::with_roots(authority.roots());
    assert_passed(&prober.probe(&target(addr, Check::Http(check(Some(client)))), AMPLE).await);
    assert_tls_failure(&prober.probe(&target(addr, Check::Http(check(None))), AMPLE).await, "CertificateRequired");
}

#[tokio::test]
async fn a_certificate_that_expires_soon_is_noted_and_fails_only_where_that_was_written() {
    let authority = Authority::new("ours");
    let (addr, _seen) = serve_tls("127.0.0.2", Arc::new(authority.server("www.example.com", 2100)), Duration::ZERO).await;
    let century = Duration::from_hours(24 * 365 * 90);
    let warned = Target { expiry_warning: ExpiryWarning::new(Some(century)), ..target(addr, Check::Http(https())) };
    let prober = Prober::with_roots(authority.roots());
    assert_passed(&prober.probe(&warned, AMPLE).await);
    let seen = prober.certificates()[&warned.identity];
    assert_eq!((seen.certificate.not_after_unix_s, seen.expires_soon), (4_102_444_800, true));
    let rules = TlsRules { expiry_failure: century, ..TlsRules::STRICT };
    let strict = target(addr, Check::Http(HttpCheck { tls: Some(rules), ..http() }));
    assert_tls_failure(&prober.probe(&strict, AMPLE).await, "expires in");
    let plain = target(addr, Check::Http(https()));
    assert_passed(&prober.probe(&plain, AMPLE).await);
    assert!(prober.certificates().values().any(|seen| !seen.expires_soon), "unasked, decades are long");
}

#[tokio::test]
async fn the_trail_of_a_probe_tells_when_each_step_was_done() {
    let authority = Authority::new("ours");
    let delay = Duration::from_millis(60);
    let (addr, _seen) = serve_tls("127.0.0.2", Arc::new(authority.server("www.example.com", 2100)), delay).await;
    let examination = Prober::with_roots(authority.roots()).examine(&target(addr, Check::Http(https())), AMPLE).await;
    let steps = examination.trail.steps();
    let phases: Vec<Phase> = steps.iter().map(|step| step.phase).collect();
    assert_eq!(phases, [Phase::Connected, Phase::Secured, Phase::Answered, Phase::Read]);
    assert!(steps[0].after < delay && steps[1].after >= delay, "{steps:?}");
    assert!(steps[2].note.contains("200"), "{steps:?}");
}

#[tokio::test]
async fn a_probe_that_runs_out_of_time_tells_how_far_it_came() {
    let (addr, _seen) = serve("127.0.0.1", Act::SayAndHang("")).await;
    let examination = Prober::new().examine(&target(addr, Check::Http(http())), SHORT).await;
    assert_eq!(examination.observation, stalled("connected, but nothing was answered"));
    assert_eq!(examination.trail.steps().iter().map(|step| step.phase).collect::<Vec<_>>(), [Phase::Connected]);
}

#[tokio::test]
async fn http_2_is_spoken_over_tls_and_in_the_clear_and_missed_where_it_is_not() {
    let authority = Authority::new("ours");
    let mut config = authority.server("www.example.com", 2100);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let over_tls = serve_h2(Some(Arc::new(config)), h2_ok).await;
    let two = |check| HttpCheck { version: HttpVersion::Two, ..check };
    let prober = Prober::with_roots(authority.roots());
    assert_passed(&prober.probe(&target(over_tls, Check::Http(two(https()))), AMPLE).await);
    let in_the_clear = serve_h2(None, h2_ok).await;
    assert_passed(&prober.probe(&target(in_the_clear, Check::Http(two(http()))), AMPLE).await);
    let (one_only, _seen) = serve("127.0.0.1", Act::Say("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let missed = prober.probe(&target(one_only, Check::Http(two(http()))), AMPLE).await;
    assert!(matches!(missed, Observation::Fail(_)), "{missed}");
}

/// HTTP/2 frames: SETTINGS and a WINDOW_UPDATE that give the client all the room there is (RFC 9113 sections 6.5 and 6.9), and a PING (section 6.7).
const ALL_ROOM: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 127, 255, 255, 255, 0, 0, 4, 8, 0, 0, 0, 0, 0, 127, 255, 0, 0];
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

/// A server of HTTP/2 that never answers, and may not even read. Says what becomes of the number of its connections.
async fn serve_h2_hostile(reads: bool) -> (SocketAddr, tokio::sync::watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    let (open, watched) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            open.send_modify(|open| *open += 1);
            let open = open.clone();
            tokio::spawn(async move {
                let mut is_open = stream.write_all(ALL_ROOM).await.is_ok();
                while is_open {
                    is_open = if reads {
                        matches!(stream.read(&mut [0; 1024]).await, Ok(1..))
                    } else {
                        tokio::time::sleep(SHORT / 10).await;
                        stream.write_all(PING).await.is_ok()
                    };
                }
                open.send_modify(|open| *open -= 1);
            });
        }
    });
    (addr, watched)
}

#[tokio::test]
async fn no_server_of_http_2_keeps_more_connections_open_than_there_are_probes() {
    // More than the buffers of both ends take.
    let body: Arc<str> = "x".repeat(16 << 20).into();
    for (reads, body) in [(true, None), (false, Some(body))] {
        let (addr, mut open) = serve_h2_hostile(reads).await;
        let prober = Prober::new();
        let target = target(addr, Check::Http(HttpCheck { version: HttpVersion::Two, body, ..http() }));
        for _ in 0..4 {
            let observations = futures_util::future::join_all((0..4).map(|_| prober.probe(&target, SHORT))).await;
            assert!(observations.iter().all(|seen| *seen == stalled("connected, but nothing was answered")), "{observations:?}");
            let are_closed = tokio::time::timeout(AMPLE, open.wait_for(|open| *open == 0)).await.is_ok();
            assert!(are_closed, "all probes are over, and {} connections are open", *open.borrow());
        }
    }
}

#[tokio::test]
async fn http_2_over_tls_is_agreed_on_in_the_handshake_or_missed_at_once() {
    let authority = Authority::new("ours");
    let silent = || Arc::new(authority.server("www.example.com", 2100));
    let speaks_two = serve_h2(Some(silent()), h2_ok).await;
    let (speaks_one, _seen) = serve_tls("127.0.0.2", silent(), Duration::ZERO).await;
    let prober = Prober::with_roots(authority.roots());
    for addr in [speaks_two, speaks_one] {
        let check = HttpCheck { version: HttpVersion::Two, ..https() };
        let observation = prober.probe(&target(addr, Check::Http(check)), AMPLE).await;
        assert_eq!(observation, Observation::Fail(FailReason::Content("the server does not agree on h2".into())));
    }
}

fn h2_ok(_request: &Request<Incoming>) -> Response<probed::Frames> {
    Response::new(Reply::text("ok"))
}

#[tokio::test]
async fn tls_against_a_server_that_speaks_none_is_a_tls_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"220 mail.example.com ESMTP ready\r\n").await?;
        stream.read_to_end(&mut Vec::new()).await
    });
    let observation = Prober::with_roots(Authority::new("ours").roots()).probe(&target(addr, Check::Http(https())), AMPLE).await;
    assert_tls_failure(&observation, "");
    server.await.expect("the server does not panic").expect("the client closed the connection in order");
}

#[tokio::test]
async fn a_server_that_closes_in_the_handshake_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    tokio::spawn(async move { listener.accept().await.map(drop) });
    let observation = Prober::with_roots(Authority::new("ours").roots()).probe(&target(addr, Check::Http(https())), AMPLE).await;
    assert_eq!(observation, Observation::Fail(FailReason::Reset));
}
