//! The real binary, real servers behind it that die in every way, and an outside observer: who is still sent to the dead, and for
//! how long. The bounds are those that docs/CONFIG.md promises, and a little time for a machine that is busy.
#![allow(clippy::disallowed_methods, reason = "these tests are the world that the shell touches")]

mod support;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::backend::{Backend, Speech};
use support::pace::{BRISK, NAME, Pace, RISE, SLACK, TTL_MIN_S, USUAL};
use support::probed::{self, Authority};
use support::server::{Config, Server, binary};
use support::watch::{Watch, rest_until};

/// A server that is watched, and what it needs to live.
struct Scene {
    pace: Pace,
    members: Vec<SocketAddr>,
    /// None where the members are processes.
    backends: Vec<Backend>,
    server: Server,
    watch: Watch,
    config: Config,
}

impl Scene {
    /// Two backends over HTTP, of which the first is answered. `net` keeps tests apart.
    fn http(net: u8) -> Scene {
        Scene::of(USUAL, Backend::some(net, 2), "http, path: /")
    }

    /// The same over HTTPS. The certificate of the first ends at `ends`.
    fn https(net: u8, ends: SystemTime) -> Scene {
        let authority = Authority::new("authority of the failover tests");
        let (mortal, lasting) = (presenting(&authority, ends), presenting(&authority, SystemTime::now() + Duration::from_hours(24)));
        let mut backends = Backend::speaking(&mortal, net, 1);
        let second = (IpAddr::from([127, net, 0, 2]), backends[0].addr().port());
        backends.push(Backend::at(second.into(), lasting).expect("nobody else is in this network"));
        let members = addresses(&backends);
        let config = Config::new(&USUAL.failover(&members, "https, path: /, host: www.test.example"), WWW);
        config.write("roots.pem", &authority.issuer.pem());
        let mut command = binary();
        command.args(["serve", "--config", "steersman.yaml"]).current_dir(config.directory()).env("SSL_CERT_FILE", "roots.pem");
        let server = Server::start(command, " on 127.0.0.1:");
        Scene { backends, ..Scene::watched(USUAL, members, config, server) }
    }

    /// The same over gRPC.
    fn grpc(net: u8) -> Scene {
        Scene::of(BRISK, Backend::speaking(&Speech::Grpc, net, 2), "grpc, tls: false")
    }

    /// The same over DNS.
    fn dns(net: u8) -> Scene {
        Scene::of(BRISK, Backend::speaking(&Speech::Dns, net, 2), "dns, question: www.example.com A, answer: 192.0.2.1")
    }

    fn of(pace: Pace, backends: Vec<Backend>, check: &str) -> Scene {
        let members = addresses(&backends);
        Scene { backends, ..Scene::among(pace, members, check) }
    }

    /// Two members, whatever they are.
    fn among(pace: Pace, members: Vec<SocketAddr>, check: &str) -> Scene {
        let config = Config::new(&pace.failover(&members, check), WWW);
        let server = config.serve();
        Scene::watched(pace, members, config, server)
    }

    fn watched(pace: Pace, members: Vec<SocketAddr>, config: Config, server: Server) -> Scene {
        let watch = Watch::start(server.port(), NAME);
        let scene = Scene { pace, members, backends: Vec::new(), server, watch, config };
        scene.watch.until(Instant::now(), &[scene.address(0)], support::PATIENCE);
        scene
    }

    fn address(&self, index: usize) -> IpAddr {
        self.members[index].ip()
    }

    /// The first backend dies, for a reason that the log tells with these words, and is well again.
    fn dies_and_returns(mut self, die: impl FnOnce(&mut Backend), words: &str) {
        let died = Instant::now();
        die(&mut self.backends[0]);
        self.follow(died);
        self.server.wait_line(&["member m0 ", "is down: ", words]);
        let revived = Instant::now();
        self.backends[0].revive();
        self.check_return(revived);
    }

    /// The same where the members are processes: that of the first is stopped, and goes on.
    fn stops_and_goes_on(self, process: &Server) {
        let stopped = Instant::now();
        process.signal("STOP");
        self.follow(stopped);
        self.server.wait_line(&["member m0 ", "is down: ", "timed out"]);
        let gone_on = Instant::now();
        process.signal("CONT");
        self.check_return(gone_on);
    }

    /// By the time of detection the first member, which died at `died`, is not answered any more, but the other, and stays away;
    /// TTLs are never above what was promised.
    fn follow(&self, died: Instant) {
        let gone = self.watch.until(died, &[self.address(1)], self.pace.detection() + SLACK);
        let late = self.watch.for_a_while(gone, self.pace.afterwards());
        let log = || self.server.lines().join("\n");
        for seen in &late {
            let after = seen.asked - died;
            assert_eq!(seen.addresses, [self.address(1)], "{after:?} after the death; the server's log:\n{}", log());
        }
        for seen in self.watch.seen() {
            assert!(seen.ttl_s <= self.pace.ttl_max_s(), "{seen:?}; the server's log:\n{}", log());
        }
    }

    /// Recovery takes `rise` passes from `revived` on, not fewer and not many more.
    fn check_return(&self, revived: Instant) {
        let back = self.watch.until(revived, &[self.address(0)], self.pace.return_time());
        let took = back - revived;
        // The first pass may come at once; the others come an interval apart, give or take what a timer is late.
        assert!(took + Duration::from_millis(200) > self.pace.interval * (RISE - 1), "back after {took:?}: too few passes");
    }
}

const WWW: &str = "  www: {steer: main}\n";

fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(Backend::addr).collect()
}

//--- Every way to die

#[test]
fn a_killed_member_is_gone_by_the_detection_time_and_returns_after_rise() {
    Scene::http(60).dies_and_returns(Backend::kill, "connection refused");
}

#[test]
fn a_member_that_accepts_and_never_answers_is_gone_by_the_detection_time() {
    Scene::http(61).dies_and_returns(|backend| backend.hang(), "timed out");
}

#[test]
fn a_member_that_answers_too_late_is_gone_by_the_detection_time() {
    Scene::http(62).dies_and_returns(|backend| backend.slow_down(), "timed out");
}

#[test]
fn a_member_that_resets_connections_is_gone_by_the_detection_time() {
    Scene::http(63).dies_and_returns(|backend| backend.reset(), "connection closed before the answer");
}

#[test]
fn a_member_that_takes_no_connection_and_refuses_none_is_gone_by_the_detection_time() {
    Scene::http(68).dies_and_returns(Backend::fall_deaf, "timed out");
}

#[test]
fn a_member_over_tls_that_hangs_in_the_handshake_is_gone_by_the_detection_time() {
    let scene = Scene::https(64, SystemTime::now() + Duration::from_hours(24));
    scene.dies_and_returns(|backend| backend.hang(), "timed out");
}

#[test]
fn a_member_whose_certificate_expires_is_gone_by_the_detection_time() {
    // Time enough for the server to start and see it well, also on a machine that is busy.
    let ends = SystemTime::now() + Duration::from_secs(8);
    let scene = Scene::https(65, ends);
    let start = Instant::now();
    // Certificates know whole seconds, and are good to the end of their last one.
    let last =
        start + (UNIX_EPOCH + Duration::from_secs(unix_s(ends))).duration_since(SystemTime::now()).expect("the server starts faster");
    rest_until(last);
    let early = scene.watch.between(start, last);
    assert!(early.iter().all(|seen| seen.addresses == [scene.address(0)]), "{early:?}");
    scene.follow(last + Duration::from_secs(1));
    let line = scene.server.wait_line(&["member m0", "is down"]);
    assert!(line.contains("TLS") && line.contains("expired"), "{line}");
}

#[test]
fn what_is_handed_out_of_a_failing_member_lives_shorter() {
    let scene = Scene::http(66);
    let died = Instant::now();
    scene.backends[0].hang();
    scene.follow(died);
    let dead: Vec<u32> =
        scene.watch.seen().into_iter().filter(|seen| seen.addresses == [scene.address(0)]).map(|seen| seen.ttl_s).collect();
    assert_eq!(dead.iter().max(), Some(&USUAL.ttl_max_s()), "as long as it was well");
    assert_eq!(dead.last(), Some(&TTL_MIN_S), "after the first failure");
}

//--- gRPC

#[test]
fn a_grpc_member_that_is_killed_is_gone_by_the_detection_time() {
    Scene::grpc(100).dies_and_returns(Backend::kill, "connection refused");
}

#[test]
fn a_grpc_member_that_accepts_and_never_answers_is_gone_by_the_detection_time() {
    Scene::grpc(101).dies_and_returns(|backend| backend.hang(), "timed out");
}

#[test]
fn a_grpc_member_that_answers_too_late_is_gone_by_the_detection_time() {
    Scene::grpc(102).dies_and_returns(|backend| backend.slow_down(), "timed out");
}

#[test]
fn a_grpc_member_that_does_not_serve_is_gone_by_the_detection_time() {
    Scene::grpc(103).dies_and_returns(|backend| backend.fall_ill(), "NOT_SERVING");
}

//--- DNS

#[test]
fn a_name_server_that_is_killed_is_gone_by_the_detection_time() {
    Scene::dns(104).dies_and_returns(Backend::kill, "connection refused");
}

#[test]
fn a_name_server_that_is_silent_is_gone_by_the_detection_time() {
    Scene::dns(105).dies_and_returns(|backend| backend.hang(), "timed out");
}

#[test]
fn a_name_server_that_answers_too_late_is_gone_by_the_detection_time() {
    Scene::dns(106).dies_and_returns(|backend| backend.slow_down(), "timed out");
}

#[test]
fn a_name_server_that_fails_is_gone_by_the_detection_time() {
    Scene::dns(107).dies_and_returns(|backend| backend.fall_ill(), "SERVFAIL");
}

#[test]
fn a_name_server_that_answers_something_else_is_gone_by_the_detection_time() {
    Scene::dns(108).dies_and_returns(|backend| backend.go_astray(), "A 192.0.2.1 is not among");
}

//--- Processes

/// Two members that are processes: servers of our own, of which `listen` says in their config that they listen at an address.
fn processes(net: u8, listen: fn(SocketAddr) -> String) -> (Vec<SocketAddr>, Vec<(Config, Server)>) {
    // Finds a port that is free; the processes bind it themselves.
    let members = addresses(&Backend::some(net, 2));
    let start = |addr: &SocketAddr| {
        let config = Config::new("", "");
        config.write("steersman.yaml", &format!("zones: zones/*.yaml\nworkers: 1\n{}", listen(*addr)));
        let mut command = binary();
        command.args(["serve", "--config", "steersman.yaml"]).current_dir(config.directory());
        let server = Server::start(command, &format!(" on {}:", addr.ip()));
        (config, server)
    };
    let processes = members.iter().map(start).collect();
    (members, processes)
}

#[test]
fn a_name_server_whose_process_is_stopped_is_gone_by_the_detection_time() {
    let (members, processes) = processes(109, |addr| format!("listen: \"{addr}\"\n"));
    let scene = Scene::among(BRISK, members, "dns, question: ns1.test.example A, answer: 127.0.0.1");
    scene.stops_and_goes_on(&processes[0].1);
}

#[test]
fn a_web_server_whose_process_is_stopped_is_gone_by_the_detection_time() {
    let (members, processes) = processes(116, |addr| format!("listen: \"{}:0\"\nadmin: {{listen: \"{addr}\"}}\n", addr.ip()));
    Scene::among(BRISK, members, "http, path: /livez").stops_and_goes_on(&processes[0].1);
}

//--- The server's own figures

#[test]
fn the_server_says_of_itself_what_the_observer_saw() {
    let mut scene = Scene::http(67);
    // For caches to hold what was told while all was well.
    rest_until(Instant::now() + USUAL.interval * 3);
    let died = Instant::now();
    scene.backends[0].kill();
    scene.follow(died);
    let status = scene.config.status();
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("no number: {value}"));
    let noticed: u64 =
        status["detections"]["by_bound"].as_array().expect("bounds").iter().map(|bound| bound[1].as_u64().expect("counts")).sum();
    let took = number(&status["detections"]["sum_s"]);
    assert_eq!(noticed, 1, "{status}");

    let seen = scene.watch.seen();
    let published = seen.iter().find(|seen| seen.asked > died && seen.addresses == [scene.address(1)]).expect("it was followed").asked;
    let began = published.checked_sub(Duration::from_secs_f64(took)).expect("the machine runs for longer");
    assert!(began + Duration::from_millis(100) > died, "the failing run began {:?} before the death", died - began);
    let dead = seen.iter().filter(|seen| seen.addresses == [scene.address(0)]);
    let left = dead.map(|seen| (seen.asked + Duration::from_secs(seen.ttl_s.into())).saturating_duration_since(began).as_secs_f64());
    let left: Vec<f64> = left.filter(|left| *left > 0.0).collect();
    for (what, own, observed) in [
        ("answers", number(&status["pools"][0]["dead_answers"]), f64::from(u32::try_from(left.len()).expect("few"))),
        ("exposure", number(&status["pools"][0]["exposure_s"]), left.iter().sum()),
    ] {
        assert!((own - observed).abs() < observed * AGREEMENT, "{what}: {own} by the server, {observed} by the observer");
    }
}

/// How far the two may be apart: the server takes answers of a quarter of a second together, and the observer is late by up to one question.
const AGREEMENT: f64 = 0.15;

//--- TLS

/// What presents a certificate for www.test.example that ends then.
fn presenting(authority: &Authority, ends: SystemTime) -> Speech {
    let issued = authority.issue_until("www.test.example", unix_s(ends));
    Speech::Https(Arc::new(probed::presenting(issued, rustls::server::WebPkiClientVerifier::no_client_auth())))
}

fn unix_s(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
