//! Probes of the kinds that are not HTTP, against real servers, programs and files: what each kind of health and of trouble is seen as.
#![allow(clippy::disallowed_methods, reason = "these tests are the world that the shell touches")]

#[path = "support/probed.rs"]
mod probed;

use hickory_proto::op::ResponseCode;
use hyper::body::Incoming;
use hyper::{Request, Response};
use probed::{Authority, Frames, Reply, Scratch, answered, serve_h2};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steersman::check::{
    Check, DnsCheck, ExecCheck, FileCheck, GrpcCheck, Pattern, PushCheck, Subject, TcpCheck, TextRule, TlsCheck, TlsRules,
};
use steersman::dns::{Name, Rtype};
use steersman::health::{Doubt, FailReason, Observation, Rules};
use steersman::io::prober::{Phase, Prober};
use steersman::snapshot::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

/// Longer than any probe takes that comes to an end by itself.
const AMPLE: Duration = Duration::from_secs(10);

/// For probes that are meant to run out of time.
const SHORT: Duration = Duration::from_millis(300);

fn target(addr: SocketAddr, check: Check) -> Target {
    let rules = Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 2, 3);
    Target::new(format!("{addr} {check:?}"), rules, addr, check)
}

async fn probe(addr: SocketAddr, check: Check) -> Observation {
    Prober::new().probe(&target(addr, check), AMPLE).await
}

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[track_caller]
fn assert_passed(observation: &Observation) {
    assert!(matches!(observation, Observation::Pass { connect, total } if connect <= total), "{observation}");
}

#[track_caller]
fn assert_failed(observation: &Observation, words: &str) {
    let failed = matches!(observation, Observation::Fail(_)) && observation.to_string().contains(words);
    assert!(failed, "{observation} instead of a failure with {words:?}");
}

//--- TCP

/// A server that waits for `question`, says `answer`, and hangs.
async fn talker(question: &'static [u8], answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut heard = vec![0; question.len()];
        stream.read_exact(&mut heard).await?;
        if heard == question {
            stream.write_all(answer).await?;
        }
        stream.read_to_end(&mut heard).await
    });
    addr
}

fn conversation(send: Option<&str>, contains: &str) -> Check {
    let text = TextRule { contains: vec![contains.into()], ..TextRule::NONE };
    Check::Tcp(TcpCheck { send: send.map(Into::into), text })
}

#[tokio::test]
async fn a_conversation_over_tcp_passes_when_the_answer_is_heard() {
    let redis = talker(b"PING\r\n", b"+PONG\r\n").await;
    assert_passed(&probe(redis, conversation(Some("PING\r\n"), "+PONG")).await);
    let mail = talker(b"", b"220 mail.example.com ESMTP\r\n").await;
    assert_passed(&probe(mail, conversation(None, "220 ")).await);
}

#[tokio::test]
async fn silence_over_tcp_is_a_timeout_and_another_answer_a_failure_once_it_is_complete() {
    let silent = target(talker(b"", b"").await, conversation(None, "220 "));
    let nothing = FailReason::Stalled("connected, but nothing was answered".into());
    assert_eq!(Prober::new().probe(&silent, SHORT).await, Observation::Fail(nothing));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    tokio::spawn(async move { listener.accept().await?.0.write_all(b"421 go away\r\n").await });
    assert_failed(&probe(addr, conversation(None, "220 ")).await, "`220 ` is not in the 13 octets looked at");
}

#[tokio::test]
async fn an_answer_over_tcp_without_end_is_read_no_further_than_what_is_looked_at() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        io::Result::Ok(())
    });
    let text = TextRule { contains: Vec::new(), matches: Pattern::parse("y").ok(), within: 1000 };
    assert_failed(&probe(addr, Check::Tcp(TcpCheck { send: None, text })).await, "1000 octets");
}

//--- TLS

/// A server that shakes hands and nothing else.
async fn shaker(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = TlsAcceptor::from(config.clone()).accept(stream).await else { continue };
            tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
    });
    addr
}

fn handshake(alpn: &[&str], rules: TlsRules) -> Check {
    Check::Tls(TlsCheck { host: Some("ns1.example.com".into()), rules, alpn: alpn.iter().map(|&name| name.into()).collect() })
}

#[tokio::test]
async fn a_handshake_passes_when_certificate_and_protocol_are_good() {
    let authority = Authority::new("ours");
    let mut config = authority.server("ns1.example.com", 2100);
    config.alpn_protocols = vec![b"dot".to_vec()];
    let prober = Prober::with_roots(authority.roots());
    let addr = shaker(Arc::new(config)).await;
    for alpn in [&[][..], &["dot"], &["h2", "dot"]] {
        assert_passed(&prober.probe(&target(addr, handshake(alpn, TlsRules::STRICT)), AMPLE).await);
    }
    let other = prober.probe(&target(addr, handshake(&["h2"], TlsRules::STRICT)), AMPLE).await;
    assert!(matches!(other, Observation::Fail(_)), "{other}");
    let mute = shaker(Arc::new(authority.server("ns1.example.com", 2100))).await;
    assert_failed(&prober.probe(&target(mute, handshake(&["dot"], TlsRules::STRICT)), AMPLE).await, "none of the protocols");
}

#[tokio::test]
async fn a_handshake_fails_with_a_bad_certificate_and_still_tells_when_it_expired() {
    let authority = Authority::new("ours");
    let addr = shaker(Arc::new(authority.server("ns1.example.com", 2021))).await;
    let prober = Prober::with_roots(authority.roots());
    let target = target(addr, handshake(&[], TlsRules::STRICT));
    let examination = prober.examine(&target, AMPLE).await;
    assert_failed(&examination.observation, "expired");
    assert_eq!(prober.certificates()[&target.identity].certificate.not_after_unix_s, 1_609_459_200);
    assert!(examination.trail.reached(Phase::Connected).is_some() && examination.trail.reached(Phase::Secured).is_none());
}

#[tokio::test]
async fn a_file_that_cannot_be_read_says_nothing_about_the_target() {
    let rules = TlsRules { ca: Some(Path::new("/nowhere/ca.pem").into()), ..TlsRules::STRICT };
    assert_eq!(probe(nowhere(), handshake(&[], rules)).await, Observation::Inconclusive(Doubt::Unreadable));
}

//--- DNS

fn question(answers: &[[u8; 4]], udp: bool) -> DnsCheck {
    DnsCheck {
        name: Name::parse("www.example.com", &Name::root()).expect("a name"),
        rtype: Rtype::A,
        rcodes: vec![0],
        answers: answers.iter().map(|addr| addr.to_vec()).collect(),
        udp,
        recursion: false,
    }
}

/// A name server on one port: what it says over UDP, several datagrams where wanted, and over TCP.
async fn name_server(udp: fn(&[u8]) -> Vec<Vec<u8>>, tcp: fn(&[u8]) -> Vec<u8>) -> SocketAddr {
    let (socket, listener) = loop {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port on loopback");
        // The port may be taken for TCP.
        if let Ok(listener) = TcpListener::bind(socket.local_addr().expect("bound")).await {
            break (socket, listener);
        }
    };
    let addr = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut query = [0; 1500];
        while let Ok((len, from)) = socket.recv_from(&mut query).await {
            for answer in udp(&query[..len]) {
                socket.send_to(&answer, from).await.expect("loopback takes it");
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut query = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut query).await?;
            let answer = tcp(&query);
            stream.write_u16(u16::try_from(answer.len()).expect("short")).await?;
            stream.write_all(&answer).await?;
        }
        io::Result::Ok(())
    });
    addr
}

#[tokio::test]
async fn a_name_server_passes_with_the_expected_answer_over_either_transport() {
    let addr = name_server(|query| vec![answered(query, |_| {})], |query| answered(query, |_| {})).await;
    for udp in [true, false] {
        assert_passed(&probe(addr, Check::Dns(question(&[[192, 0, 2, 1]], udp))).await);
        assert_failed(&probe(addr, Check::Dns(question(&[[192, 0, 2, 9]], udp))).await, "A 192.0.2.9 is not among the 1 answers");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_asked_for_again_over_tcp() {
    let cut = |query: &[u8]| vec![answered(query, |message| message.metadata.truncation = true)];
    let addr = name_server(cut, |query| answered(query, |_| {})).await;
    let examination = Prober::new().examine(&target(addr, Check::Dns(question(&[[192, 0, 2, 1]], true))), AMPLE).await;
    assert_passed(&examination.observation);
    let endless = name_server(cut, |query| answered(query, |message| message.metadata.truncation = true)).await;
    assert_failed(&probe(endless, Check::Dns(question(&[], true))).await, "cut short");
}

#[tokio::test]
async fn a_forged_datagram_before_the_answer_is_passed_over() {
    let forged_first = |query: &[u8]| {
        let forged = answered(query, |message| {
            message.metadata.id ^= 1;
            message.metadata.response_code = ResponseCode::NXDomain;
        });
        vec![forged, answered(query, |_| {})]
    };
    let addr = name_server(forged_first, |query| answered(query, |_| {})).await;
    assert_passed(&probe(addr, Check::Dns(question(&[[192, 0, 2, 1]], true))).await);
}

#[tokio::test]
async fn nonsense_before_the_answer_is_passed_over() {
    let nonsense_first = |query: &[u8]| vec![b"junk".to_vec(), vec![0xff; 40], answered(query, |_| {})];
    let addr = name_server(nonsense_first, |query| answered(query, |_| {})).await;
    assert_passed(&probe(addr, Check::Dns(question(&[[192, 0, 2, 1]], true))).await);
}

#[tokio::test]
async fn another_response_code_fails_and_a_closed_port_is_refused() {
    let refusing = |query: &[u8]| vec![answered(query, |message| message.metadata.response_code = ResponseCode::Refused)];
    let addr = name_server(refusing, |query| answered(query, |_| {})).await;
    assert_failed(&probe(addr, Check::Dns(question(&[], true))).await, "RCODE REFUSED");
    let expected = DnsCheck { rcodes: vec![5], ..question(&[], true) };
    assert_passed(&probe(addr, Check::Dns(expected)).await);
    let closed = UdpSocket::bind("127.77.77.78:0").await.expect("a free port on loopback").local_addr().expect("bound");
    assert_eq!(probe(closed, Check::Dns(question(&[], true))).await, Observation::Fail(FailReason::Refused));
}

//--- gRPC

fn health(service: &str, tls: Option<TlsRules>) -> Check {
    Check::Grpc(GrpcCheck { tls, host: Some("orders.example.com".into()), service: service.into() })
}

fn serving(request: &Request<Incoming>) -> Response<Frames> {
    let headers = request.headers();
    let sound = request.uri().path() == "/grpc.health.v1.Health/Check"
        && request.uri().host() == Some("orders.example.com")
        && headers["content-type"] == "application/grpc"
        && headers["te"] == "trailers";
    Reply::health(if sound { 1 } else { 2 })
}

#[tokio::test]
async fn a_serving_service_passes_in_the_clear_and_over_tls() {
    assert_passed(&probe(serve_h2(None, serving).await, health("", None)).await);
    let authority = Authority::new("ours");
    let mut config = authority.server("orders.example.com", 2100);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let addr = serve_h2(Some(Arc::new(config)), serving).await;
    let target = target(addr, health("shop.Orders", Some(TlsRules::STRICT)));
    assert_passed(&Prober::with_roots(authority.roots()).probe(&target, AMPLE).await);
    assert!(matches!(Prober::with_roots(Authority::new("x").roots()).probe(&target, AMPLE).await, Observation::Fail(FailReason::Tls(_))));
}

#[tokio::test]
async fn a_service_that_does_not_serve_is_unknown_or_has_no_health_fails_with_that() {
    let not_serving = serve_h2(None, |_| Reply::health(2)).await;
    assert_failed(&probe(not_serving, health("", None)).await, "NOT_SERVING");
    let unknown = serve_h2(None, |_| Reply::grpc_status("5"));
    assert_failed(&probe(unknown.await, health("shop.Orders", None)).await, "does not know the service `shop.Orders`");
    let plain = serve_h2(None, |_| Response::new(Reply::text("hello"))).await;
    assert_failed(&probe(plain, health("", None)).await, "no grpc-status");
}

#[tokio::test]
async fn a_server_that_keeps_its_connection_busy_cannot_keep_it_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    let talk = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        // SETTINGS, and then PINGs without end; what the client says to that is never read (RFC 9113 sections 6.5 and 6.7).
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
        loop {
            stream.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await?;
        }
        #[allow(unreachable_code, reason = "names the type of the error")]
        io::Result::Ok(())
    });
    let prober = Prober::new();
    let observation = prober.probe(&target(addr, health("", None)), SHORT).await;
    assert!(matches!(observation, Observation::Fail(_)), "{observation}");
    let ended = tokio::time::timeout(AMPLE, talk).await.expect("the connection was closed").expect("no panic");
    assert!(ended.is_err());
}

//--- ICMP

#[tokio::test]
async fn an_echo_comes_back_where_this_system_lets_us_ping() {
    let socket = |kind| socket2::Socket::new(socket2::Domain::IPV4, kind, Some(socket2::Protocol::ICMPV4));
    let may_ping = socket(socket2::Type::DGRAM).is_ok() || socket(socket2::Type::RAW).is_ok();
    let loopback = Prober::new().probe(&target(nowhere(), Check::Icmp), AMPLE).await;
    if may_ping {
        assert_passed(&loopback);
    } else {
        assert_eq!(loopback, Observation::Inconclusive(Doubt::NotPermitted));
        assert!(loopback.to_string().contains("ping_group_range"), "it says what to do");
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_routed_to_is_no_fault_of_a_host() {
    let addr = SocketAddr::from(([255, 255, 255, 255], 0));
    let observation = Prober::new().probe(&target(addr, Check::Icmp), SHORT).await;
    assert!(matches!(observation, Observation::Inconclusive(_)), "{observation}");
}

//--- Programs

fn program(scratch: &Scratch, text: &str) -> PathBuf {
    let path = scratch.write("check", &format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

fn exec(path: &Path, arguments: &[&str]) -> Check {
    let words = [path.to_str().expect("UTF-8")].into_iter().chain(arguments.iter().copied());
    Check::Exec(ExecCheck { command: words.map(Into::into).collect() })
}

async fn run(text: &str, arguments: &[&str]) -> Observation {
    let scratch = Scratch::new();
    probe(SocketAddr::from(([192, 0, 2, 1], 8443)), exec(&program(&scratch, text), arguments)).await
}

#[tokio::test]
async fn the_exit_code_of_a_program_decides_and_its_first_line_is_the_reason() {
    assert_passed(&run("echo fine; exit 0", &[]).await);
    assert_failed(&run("echo 'disk full'; echo more; exit 2", &[]).await, "reported down: disk full (exit code 2)");
    assert_failed(&run("exit 1", &[]).await, "reported down: exit code 1");
    assert_eq!(run("exit 3", &[]).await, Observation::Inconclusive(Doubt::Undecided));
    for broken in ["kill -9 $$", "kill -11 $$", "exec /nowhere/tool", "exec /etc/passwd"] {
        assert_eq!(run(broken, &[]).await, Observation::Inconclusive(Doubt::NoProgram), "{broken}");
    }
    let missing = exec(Path::new("/nowhere/check"), &[]);
    assert_eq!(probe(nowhere(), missing).await, Observation::Inconclusive(Doubt::NoProgram));
}

#[tokio::test]
async fn a_program_learns_its_target_and_no_shell_reads_its_arguments() {
    let asks = r#"test "$1 $STEERSMAN_ADDRESS $STEERSMAN_PORT $2 $#" = '192.0.2.1:8443 192.0.2.1 8443 $(id); * 2'"#;
    assert_passed(&run(asks, &["{address}:{port}", "$(id); *"]).await);
    assert_passed(&run("test \"$(env | cut -d= -f1 | grep -v -e ^PWD$ -e ^SHLVL$ -e ^_$ | sort | xargs)\" = 'PATH STEERSMAN_ADDRESS STEERSMAN_PORT STEERSMAN_TIMEOUT_MS'", &[]).await);
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_all_that_it_started() {
    let scratch = Scratch::new();
    let path = program(&scratch, &format!("sleep 600 & echo $! > {0}/child; wait", scratch.path().display()));
    let observation = Prober::new().probe(&target(nowhere(), exec(&path, &[])), Duration::from_secs(1)).await;
    assert_eq!(observation, Observation::Fail(FailReason::Unfinished));
    let child = std::fs::read_to_string(scratch.path().join("child")).expect("the program wrote it");
    wait_for_end(child.trim()).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed_and_not_waited_for() {
    let scratch = Scratch::new();
    // The child holds the pipe of the output open.
    let path = program(&scratch, &format!("sleep 600 & echo $! > {0}/child; exit 0", scratch.path().display()));
    assert_passed(&Prober::new().probe(&target(nowhere(), exec(&path, &[])), AMPLE).await);
    let child = std::fs::read_to_string(scratch.path().join("child")).expect("the program wrote it");
    wait_for_end(child.trim()).await;
}

#[tokio::test]
async fn a_child_that_prints_without_end_does_not_hide_the_end_of_its_program() {
    assert_failed(&run("yes & echo done; exit 1", &[]).await, "(exit code 1)");
}

/// Waits until no process has this number, or only its remains.
async fn wait_for_end(pid: &str) {
    let lives = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let start = std::time::Instant::now();
    while lives() {
        assert!(start.elapsed() < AMPLE, "the process {pid} still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn output_without_end_neither_fills_the_memory_nor_holds_the_program_up() {
    assert_failed(&run("yes | head -c 10000000; exit 1", &[]).await, "reported down: y (exit code 1)");
}

#[tokio::test]
async fn so_many_programs_run_at_once_and_those_that_found_no_place_say_nothing() {
    let scratch = Scratch::new();
    let path = program(&scratch, &format!("touch {0}/$$; sleep 600", scratch.path().display()));
    let prober = Prober::new();
    let target = target(nowhere(), exec(&path, &[]));
    let timeout = Duration::from_secs(2);
    let observations = futures_util::future::join_all((0..20).map(|_| prober.probe(&target, timeout))).await;
    let count = |wanted: &Observation| observations.iter().filter(|&seen| seen == wanted).count();
    assert_eq!(count(&Observation::Fail(FailReason::Unfinished)), 16, "{observations:?}");
    assert_eq!(count(&Observation::Inconclusive(Doubt::Crowded)), 4, "{observations:?}");
    let ran = std::fs::read_dir(scratch.path()).expect("ours").count() - 1;
    assert!(ran <= 16, "{ran} programs ran");
}

#[tokio::test]
async fn programs_that_hang_leave_every_other_its_turn_and_delay_no_probe_of_another_kind() {
    let (hanging, rounds, timeout) = (40, 6, Duration::from_millis(600));
    let scratch = Scratch::new();
    let hangs = program(&scratch, "sleep 600");
    let prober = Arc::new(Prober::new());
    let beat = |identity: String, program: &Path, phase: Duration| {
        let rules = Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 2, 3);
        let (prober, target) = (Arc::clone(&prober), Target::new(identity, rules, nowhere(), exec(program, &[])));
        tokio::spawn(async move {
            tokio::time::sleep(phase).await;
            let mut beats = tokio::time::interval(timeout);
            let mut seen = Vec::new();
            for _ in 0..rounds {
                beats.tick().await;
                seen.push(prober.probe(&target, timeout).await);
            }
            seen
        })
    };
    // They ask one after the other, each at its beat; the sound one in the middle.
    let phase = |place: u32| timeout * place / (hanging + 1);
    let hang: Vec<_> = (0..hanging).map(|n| beat(format!("hangs {n}"), &hangs, phase(n + u32::from(n >= hanging / 2)))).collect();
    let sound = beat("sound".to_owned(), Path::new("/bin/true"), phase(hanging / 2));
    let (open, _listening) = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        (listener.local_addr().expect("the listener is bound"), listener)
    };
    while !sound.is_finished() {
        let seen = prober.probe(&target(open, Check::Tcp(TcpCheck::CONNECT)), timeout / 2).await;
        assert_passed(&seen);
        tokio::time::sleep(timeout / 10).await;
    }
    let seen = sound.await.expect("no panic");
    let passed = seen.iter().filter(|seen| matches!(seen, Observation::Pass { .. })).count();
    assert!(passed >= 2, "{seen:?}");
    for seen in futures_util::future::join_all(hang).await {
        let seen = seen.expect("no panic");
        assert!(seen.contains(&Observation::Fail(FailReason::Unfinished)), "one had no turn in {rounds} rounds: {seen:?}");
    }
}

//--- What others say

fn subject() -> Subject {
    Subject { pool: "web".into(), member: "fra-1".into() }
}

fn feed(path: &Path, expires: Option<Duration>) -> Check {
    Check::File(FileCheck { path: path.into(), subject: subject(), expires })
}

#[tokio::test]
async fn a_feed_is_believed_and_what_it_does_not_say_is_no_failure() {
    let scratch = Scratch::new();
    let path = scratch.write("feed", "fra-1 up\n");
    assert_passed(&probe(nowhere(), feed(&path, None)).await);
    scratch.write("feed", "web/fra-1 down disk full\n");
    assert_failed(&probe(nowhere(), feed(&path, None)).await, "reported down: disk full");
    scratch.write("feed", "nyc-1 up\n");
    assert_eq!(probe(nowhere(), feed(&path, None)).await, Observation::Inconclusive(Doubt::NoReport));
    let missing = scratch.path().join("none");
    assert_eq!(probe(nowhere(), feed(&missing, None)).await, Observation::Inconclusive(Doubt::Unreadable));
}

#[tokio::test]
async fn a_feed_that_is_a_pipe_takes_nobody_down() {
    let scratch = Scratch::new();
    let path = scratch.path().join("feed");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("coreutils").success());
    assert_eq!(probe(nowhere(), feed(&path, None)).await, Observation::Inconclusive(Doubt::Unreadable));
}

#[tokio::test]
async fn an_old_feed_says_nothing_any_more() {
    let scratch = Scratch::new();
    let path = scratch.write("feed", "fra-1 down\n");
    let hour_ago = std::time::SystemTime::now() - Duration::from_hours(1);
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(hour_ago)).expect("it is ours");
    assert_eq!(probe(nowhere(), feed(&path, Some(Duration::from_mins(30)))).await, Observation::Inconclusive(Doubt::NoReport));
    assert_failed(&probe(nowhere(), feed(&path, Some(Duration::from_hours(2)))).await, "reported down");
}

#[tokio::test]
async fn a_report_passes_or_fails_and_tells_nothing_of_latency() {
    let check = Check::Push(PushCheck { monitor: "agent".into(), subject: subject(), expires: Duration::from_hours(1), token: None });
    let target = target(nowhere(), check);
    let prober = Prober::new();
    assert_eq!(prober.probe(&target, AMPLE).await, Observation::Inconclusive(Doubt::NoReport));
    prober.reports().handle_report(&target.identity, true, "");
    let passed = prober.probe(&target, AMPLE).await;
    assert!(matches!(passed, Observation::Pass { connect: Duration::ZERO, .. }), "{passed}");
    prober.reports().handle_report(&target.identity, false, "going down for repair");
    assert_failed(&prober.probe(&target, AMPLE).await, "going down for repair");
}
