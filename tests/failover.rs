//! The real binary, real servers behind it that die in every way, and an outside observer: who is still sent to the dead, and for
//! how long. The bounds are those that docs/CONFIG.md promises, and a little time for a machine that is busy.
#![allow(clippy::disallowed_methods, reason = "these tests are the world that the shell touches")]

mod support;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use support::backend::Backend;
use support::pace::{self, AFTERWARDS, INTERVAL, NAME, RISE, SLACK, TTL_MIN_S, detection, return_time, ttl_max_s};
use support::server::{Config, Server, binary};
use support::watch::{Watch, rest_until};

/// Failover among backends, probed by `check`, whose monitor has `more` keys.
fn policies(backends: &[Backend], check: &str, more: &str) -> String {
    let members: Vec<IpAddr> = backends.iter().map(|backend| backend.addr().ip()).collect();
    pace::failover(&members, backends[0].addr().port(), check, more)
}

const HTTP: &str = "http, path: /";

/// A server that is watched, and what it needs to live.
struct Scene {
    backends: Vec<Backend>,
    server: Server,
    watch: Watch,
    config: Config,
}

impl Scene {
    /// Two backends over HTTP, of which the first is answered. `net` keeps tests apart.
    fn http(net: u8, more: &str) -> Scene {
        let backends = Backend::some(net, 2);
        let config = Config::new(&policies(&backends, HTTP, more), "  www: {steer: main}\n");
        let server = config.serve();
        Scene::watched(backends, config, server)
    }

    /// The same over HTTPS. The certificates end at `ends`.
    fn https(net: u8, ends: SystemTime) -> Scene {
        let authority = authority();
        let (mortal, lasting) = (presenting(&authority, ends), presenting(&authority, SystemTime::now() + Duration::from_hours(24)));
        let first = Backend::some_with(net, 2, Some(&mortal));
        // The second must outlive the first, on the same port.
        let mut backends: Vec<Backend> = first.into_iter().take(1).collect();
        let second = (IpAddr::from([127, net, 0, 2]), backends[0].addr().port());
        let listener = std::net::TcpListener::bind(second).expect("just freed");
        backends.push(Backend::on(listener, Some(lasting)));
        let config = Config::new(&policies(&backends, "https, path: /, host: www.test.example", ""), "  www: {steer: main}\n");
        config.write("roots.pem", &authority.pem());
        let mut command = binary();
        command.args(["serve", "--config", "steersman.yaml"]).current_dir(config.directory()).env("SSL_CERT_FILE", "roots.pem");
        let server = Server::start(command, " on 127.0.0.1:");
        Scene::watched(backends, config, server)
    }

    fn watched(backends: Vec<Backend>, config: Config, server: Server) -> Scene {
        let watch = Watch::start(server.port(), NAME);
        let scene = Scene { backends, server, watch, config };
        scene.watch.until(Instant::now(), &[scene.address(0)], support::PATIENCE);
        scene
    }

    fn address(&self, index: usize) -> IpAddr {
        self.backends[index].addr().ip()
    }

    /// Watches what is said of the first backend, which died at `died`, by when it must not be answered any more.
    fn follow(&self, died: Instant, detection: Duration) {
        rest_until(died + detection + SLACK + AFTERWARDS);
        self.check(died, detection);
    }

    /// From the time of detection on the dead is not answered, but the other; TTLs are never above what was promised.
    fn check(&self, died: Instant, detection: Duration) {
        let deadline = died + detection + SLACK;
        let late = self.watch.between(deadline, Instant::now());
        assert!(late.len() > 20, "only {} answers in {AFTERWARDS:?}", late.len());
        let log = || self.server.lines().join("\n");
        for seen in &late {
            let after = seen.asked - died;
            assert_eq!(seen.addresses, [self.address(1)], "{after:?} after the death; the server's log:\n{}", log());
        }
        for seen in self.watch.seen() {
            assert!(seen.ttl_s <= ttl_max_s(), "{seen:?}; the server's log:\n{}", log());
        }
    }

    /// Recovery takes `rise` passes, not fewer and not many more.
    fn check_return(&mut self, revive: impl FnOnce(&mut Backend)) {
        let revived = Instant::now();
        revive(&mut self.backends[0]);
        let back = self.watch.until(revived, &[self.address(0)], return_time());
        let took = back - revived;
        // The first pass may come at once; the others come an interval apart, give or take what a timer is late.
        assert!(took + Duration::from_millis(200) > INTERVAL * (RISE - 1), "back after {took:?}: too few passes");
    }
}

//--- Every way to die

#[test]
fn a_killed_member_is_gone_by_the_detection_time_and_returns_after_rise() {
    let mut scene = Scene::http(60, "");
    let died = Instant::now();
    scene.backends[0].kill();
    scene.follow(died, detection());
    scene.check_return(Backend::revive);
}

#[test]
fn a_member_that_accepts_and_never_answers_is_gone_by_the_detection_time() {
    let mut scene = Scene::http(61, "");
    let died = Instant::now();
    scene.backends[0].hang();
    scene.follow(died, detection());
    scene.check_return(Backend::revive);
}

#[test]
fn a_member_that_answers_too_late_is_gone_by_the_detection_time() {
    let mut scene = Scene::http(62, "");
    let died = Instant::now();
    scene.backends[0].slow_down();
    scene.follow(died, detection());
    scene.check_return(Backend::revive);
}

#[test]
fn a_member_that_resets_connections_is_gone_by_the_detection_time() {
    let mut scene = Scene::http(63, "");
    let died = Instant::now();
    scene.backends[0].reset();
    scene.follow(died, detection());
    scene.check_return(Backend::revive);
}

#[test]
fn a_member_over_tls_that_hangs_in_the_handshake_is_gone_by_the_detection_time() {
    let mut scene = Scene::https(64, SystemTime::now() + Duration::from_hours(24));
    let died = Instant::now();
    scene.backends[0].hang();
    scene.follow(died, detection());
    scene.check_return(Backend::revive);
}

#[test]
fn a_member_whose_certificate_expires_is_gone_by_the_detection_time() {
    // Time enough for the server to start and see it well, also on a machine that is busy.
    let ends = SystemTime::now() + Duration::from_secs(8);
    let scene = Scene::https(65, ends);
    // Certificates know whole seconds: it may end up to one earlier than it was made for.
    let left = ends.duration_since(SystemTime::now()).expect("the server starts faster than that");
    let died = Instant::now() + left;
    let early = scene.watch.between(Instant::now(), died);
    assert!(early.iter().all(|seen| seen.addresses == [scene.address(0)]), "{early:?}");
    scene.follow(died, detection());
    let line = scene.server.wait_line(&["member m0", "is down"]);
    assert!(line.contains("TLS") && line.contains("expired"), "{line}");
}

#[test]
fn what_is_handed_out_of_a_failing_member_lives_shorter() {
    let scene = {
        let mut scene = Scene::http(66, "");
        scene.backends[0].kill();
        scene
    };
    let died = Instant::now();
    scene.follow(died, detection());
    let dead: Vec<u32> =
        scene.watch.seen().into_iter().filter(|seen| seen.addresses == [scene.address(0)]).map(|seen| seen.ttl_s).collect();
    assert_eq!(dead.iter().max(), Some(&ttl_max_s()), "as long as it was well");
    assert_eq!(dead.last(), Some(&TTL_MIN_S), "after the first failure");
}

//--- The server's own figures

#[test]
fn the_server_says_of_itself_what_the_observer_saw() {
    let mut scene = Scene::http(67, "");
    // For caches to hold what was told while all was well.
    rest_until(Instant::now() + INTERVAL * 3);
    let died = Instant::now();
    scene.backends[0].kill();
    scene.follow(died, detection());
    let status = scene.config.command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
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

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority of the failover tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("aws-lc-rs makes keys");
    CertifiedIssuer::self_signed(params, key).expect("the parameters are sound")
}

/// The config of a server with a certificate for www.test.example that ends then.
fn presenting(authority: &CertifiedIssuer<'static, KeyPair>, ends: SystemTime) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new(["www.test.example".to_owned()]).expect("a name for a certificate");
    params.not_before = (SystemTime::now() - Duration::from_hours(1)).into();
    params.not_after = ends.into();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("aws-lc-rs makes keys");
    let certificate = params.signed_by(&key, authority).expect("the parameters are sound");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs speaks all versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()));
    Arc::new(config.expect("the key belongs to the certificate"))
}
