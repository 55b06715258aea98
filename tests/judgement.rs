//! The real binary's judgement: what becomes of members that flap, are slow, or come back; and of those that it could not see.
#![allow(clippy::disallowed_methods, reason = "these tests are the world that the shell touches")]

mod support;

use std::net::IpAddr;
use std::time::{Duration, Instant};
use support::backend::{Backend, Speech};
use support::pace::NAME;
use support::server::{Config, Server};
use support::watch::{self, Watch, rest_until};
use support::{dig, stdout, wait_for};

/// The monitor `m`, four times a second.
fn monitor(check: &str, backends: &[Backend], more: &str) -> String {
    let port = backends[0].addr().port();
    format!("monitors:\n  m: {{type: {check}, port: {port}, interval: 250ms, timeout: 200ms, rise: 2, {more}}}\n")
}

/// Failover from `p0` with `m0` to `p1` with `m1`; the first pool has `more` keys.
fn failover(backends: &[Backend], more: &str) -> String {
    let pool = |index: usize, more: &str| format!("  p{index}: {{monitor: m, {more}members: [{}]}}\n", member(index, &backends[index]));
    let policy = "policies:\n  main: {type: failover, use: [p0, p1], ttl: {max: 5s, min: 1s}}\n";
    format!("pools:\n{}{}{policy}", pool(0, more), pool(1, ""))
}

/// The pool `main` with all backends and `more` keys.
fn together(backends: &[Backend], more: &str) -> String {
    let members: Vec<String> = backends.iter().enumerate().map(|(index, backend)| member(index, backend)).collect();
    format!("pools:\n  main: {{monitor: m, {more}, members: [{}], ttl: {{max: 5s, min: 1s}}}}\n", members.join(", "))
}

fn member(index: usize, backend: &Backend) -> String {
    format!("{{name: m{index}, a: {}}}", backend.ip())
}

fn address(backend: &Backend) -> IpAddr {
    backend.addr().ip()
}

/// A config for www.test.example, served, and watched once all of `first` are answered.
fn serve(policies: &str, server: &str, first: &[IpAddr]) -> (Config, Server, Watch) {
    let config = Config::new(policies, "  www: {steer: main}\n");
    config.server(server);
    let server = config.serve();
    let watch = Watch::start(server.port(), NAME);
    watch.until(Instant::now(), first, support::PATIENCE);
    (config, server, watch)
}

/// Whatever was asked from `start` to `end` was answered with `want`.
#[track_caller]
fn assert_only(want: &[IpAddr], watch: &Watch, start: Instant, end: Instant, server: &Server) {
    let seen = watch.between(start, end);
    assert!(seen.len() > 5, "only {} answers", seen.len());
    for seen in &seen {
        assert_eq!(seen.addresses, want, "{:?} after that; the server's log:\n{}", seen.asked - start, server.lines().join("\n"));
    }
}

fn nobody_is_down(server: &Server) {
    assert!(!server.lines().iter().any(|line| line.contains(" is down")), "{}", server.lines().join("\n"));
}

//--- Coming back

#[test]
fn who_falls_again_and_again_is_held_down_longer_and_it_is_said_for_how_long() {
    let mut backends = Backend::some(110, 2);
    let (first, second) = (address(&backends[0]), address(&backends[1]));
    let damped = monitor("http", &backends, "fall: 2, damping: {window: 1m, hold: 2s, hold_max: 3s}");
    let (config, server, watch) = serve(&(damped + &failover(&backends, "")), "", &[first]);
    let flap = |backend: &mut Backend, words: &str| {
        let killed = Instant::now();
        backend.kill();
        server.wait_line(&["member m0", "is down: connection refused", words]);
        let gone = watch.until(killed, &[second], support::PATIENCE);
        backend.revive();
        (killed, gone)
    };
    let (killed, _) = flap(&mut backends[0], "was up for");
    watch.until(killed, &[second], support::PATIENCE);
    watch.until(Instant::now(), &[first], support::PATIENCE);
    assert!(!server.lines().iter().any(|line| line.contains("stays down")), "the first fall is free");

    let (killed, gone) = flap(&mut backends[0], "; it fell 2 times of late, and stays down for 2s at least");
    config.wait_status(&["p0/m0 fell 2 times of late, and stays down for", "pass in"]);
    let explain = || stdout(&config.command(&["explain", "www.test.example", "--client", "192.0.2.1"]));
    let told = || explain().contains("member `m0` of `p0` fell 2 times of late").then_some(());
    wait_for("an explanation that tells of it", told, explain);
    let metrics = config.ask("GET /metrics");
    assert!(metrics.lines().any(|line| line.starts_with("steersman_target_flaps{target=\"http 127.110.0.1:") && line.ends_with(" 2.0")));
    let back = watch.until(gone, &[first], support::PATIENCE);
    assert!(back - killed > Duration::from_secs(2), "held down for {:?}", back - killed);
    assert_only(&[second], &watch, gone, back, &server);
    // Twice as long would be four seconds.
    flap(&mut backends[0], "; it fell 3 times of late, and stays down for 3s at least");
}

#[test]
fn a_recovered_member_waits_as_long_as_failback_says() {
    let mut backends = Backend::some(111, 2);
    let (first, second) = (address(&backends[0]), address(&backends[1]));
    let policies = monitor("http", &backends, "fall: 2") + &failover(&backends, "failback: {after: 2s}, ");
    let (config, server, watch) = serve(&policies, "", &[first]);
    let killed = Instant::now();
    backends[0].kill();
    let gone = watch.until(killed, &[second], support::PATIENCE);
    let revived = Instant::now();
    backends[0].revive();
    server.wait_line(&["member m0", "is up", "2 passes in a row"]);
    config.wait_status(&["p0/m0 is up, and held back for"]);
    let back = watch.until(revived, &[first], support::PATIENCE);
    assert!(back - revived > Duration::from_secs(2), "back after {:?}", back - revived);
    assert_only(&[second], &watch, gone, back, &server);
}

#[test]
fn the_share_of_who_comes_back_grows_to_all_of_its_weight() {
    let mut backends = Backend::some(112, 2);
    let policies =
        monitor("http", &backends, "fall: 2") + &together(&backends, "slow_start: 4s").replace("{name: m0,", "{name: m0, weight: 3,");
    let config = Config::new(&policies, "  www: {steer: main}\n");
    let server = config.serve();
    let share = || config.status()["pools"][0]["members"][0]["addresses"][0]["share"].as_f64().expect("a number");
    assert!((share() - 1.0).abs() < f64::EPSILON, "who is up from the start need not grow");
    backends[0].kill();
    server.wait_line(&["member m0", "is down"]);
    backends[0].revive();
    server.wait_line(&["member m0", "is up", "2 passes in a row"]);
    config.wait_status(&["main/m0 is coming back, with"]);
    let mut grown = vec![share()];
    assert!(grown[0] < 0.5, "{grown:?}");
    assert_answered_for(&backends[0], &server, grown[0], &share);
    wait_for(
        "all of its share",
        || {
            grown.push(share());
            (grown.last() == Some(&1.0)).then_some(())
        },
        String::new,
    );
    assert!(grown.is_sorted(), "{grown:?}");
    assert!(grown.iter().any(|share| (0.4..0.9).contains(share)), "{grown:?}");
    assert_answered_for(&backends[0], &server, 1.0, &share);
}

/// A member of weight 3 beside one of weight 1 is answered as often as its share of that says, which is `before` now and grows.
fn assert_answered_for(backend: &Backend, server: &Server, before: f64, share: &impl Fn() -> f64) {
    let count = 400;
    let answers = (0..count).filter_map(|_| watch::ask(server.port(), NAME)).filter(|seen| seen.addresses == [address(backend)]).count();
    let portion = f64::from(u32::try_from(answers).expect("few")) / f64::from(count);
    let due = |share: f64| 3.0 * share / (3.0 * share + 1.0);
    let (least, most) = (due(before), due(share()));
    // Five standard deviations of so many draws, at the most.
    let luck = 5.0 * (0.25 / f64::from(count)).sqrt();
    assert!((least - luck..most + luck).contains(&portion), "{portion} instead of {least} to {most}");
}

//--- Slow against the others

#[test]
fn who_is_slow_against_its_siblings_is_ranked_last_not_removed_and_returns_to_its_place() {
    let mut backends = Backend::speaking(&Speech::Dns, 113, 3);
    let check = monitor("dns", &backends, "fall: 3, question: www.example.com A, answer: 192.0.2.1");
    let everybody: Vec<IpAddr> = backends.iter().map(address).collect();
    let (config, server, watch) = serve(&(check + &together(&backends, "choose: all, slow_above: 100%")), "", &everybody);
    let start = Instant::now();
    backends[0].answer_after(Duration::from_millis(60));
    watch.until(start, &[everybody[1], everybody[2], everybody[0]], support::PATIENCE);
    config.wait_status(&["main/m0 is slow against its siblings, and ranked last"]);
    let metrics = config.ask("GET /metrics");
    assert!(metrics.contains(r#"steersman_member_share{pool="main",member="m0",family="ipv4"} 0.1"#), "{metrics}");
    let well = Instant::now();
    backends[0].revive();
    watch.until(well, &everybody, support::PATIENCE);
    assert!(watch.between(start, Instant::now()).iter().all(|seen| seen.addresses.len() == 3), "nobody is removed for being slow");
    nobody_is_down(&server);
}

//--- A node that cannot see

#[test]
fn silent_canaries_hold_the_verdicts_on_silent_members_until_they_are_heard_again() {
    // A single member: nobody else is a witness.
    let mut backends = Backend::some(114, 2);
    let first = address(&backends[0]);
    let policies = monitor("http", &backends, "fall: 2") + &together(&backends[..1], "choose: all");
    let canaries = format!("canaries: [\"{}\"]\n", backends[1].addr());
    let (config, server, watch) = serve(&policies, &canaries, &[first]);
    let cut = Instant::now();
    // The canary first: seen once more after the member it would prove it dead.
    backends[1].fall_deaf();
    backends[0].fall_deaf();
    server.wait_line(&["WARN", "does not trust its own sight", "the canary is silent"]);
    config.wait_status(&["SUSPECT for", "the canary is silent", "up?"]);
    assert!(config.ask("GET /readyz").starts_with("HTTP/1.1 503"));
    assert!(config.ask("GET /metrics").contains("\nsteersman_suspect 1"));
    // Twice the time in which dead members are noticed.
    rest_until(Instant::now() + Duration::from_millis(1_400));
    assert_only(&[first], &watch, cut, Instant::now(), &server);
    nobody_is_down(&server);
    backends[1].revive();
    server.wait_line(&["this node sees again"]);
    // Who is silent now, is dead.
    server.wait_line(&["member m0", "is down: timed out"]);
    server.wait_answer("www.test.example", &[]);
    backends[0].revive();
    server.wait_answer("www.test.example", &[backends[0].ip()]);
    server.wait("readiness", |_| config.ask("GET /readyz").starts_with("HTTP/1.1 200").then_some(()));
}

#[test]
fn a_node_that_was_stopped_drains_nobody_for_what_it_slept_through_and_says_so() {
    let mut backends = Backend::some(115, 3);
    let everybody: Vec<IpAddr> = backends.iter().map(address).collect();
    // A single failure that counts would bring a member down.
    let check =
        monitor("http", &backends, "fall: 1, window: none").replace("interval: 250ms, timeout: 200ms", "interval: 1s, timeout: 900ms");
    let policies = check + &together(&backends, "choose: all");
    let (config, server, watch) = serve(&policies, "", &everybody);
    backends[0].hang();
    server.wait("a probe that will run out of time", |_| backends[0].keeps_a_probe().then_some(()));
    let stopped = Instant::now();
    server.signal("STOP");
    backends[0].revive();
    backends[2].kill();
    // More than two seconds after everybody's next slot.
    rest_until(stopped + Duration::from_millis(3_500));
    let woken = Instant::now();
    server.signal("CONT");
    server.wait_line(&["WARN", "does not trust its own sight", "probes are made late, by "]);
    config.wait_status(&["SUSPECT for", "probes are made late"]);
    let ready = config.ask("GET /readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("suspect: probes are made late"), "{ready}");
    assert!(config.ask("GET /metrics").contains("\nsteersman_suspect 1"));
    let status = config.status();
    let latest = status["lateness"]["by_bound"].as_array().expect("bounds").last().expect("the rest");
    assert!(latest[0].is_null() && latest[1].as_u64() > Some(0), "{latest}");
    // A refusal was seen, however late.
    server.wait_line(&["member m2", "is down: connection refused"]);
    let gone = watch.until(woken, &everybody[..2], support::PATIENCE);
    server.wait_line(&["this node sees again"]);
    assert_only(&everybody[..2], &watch, gone, Instant::now(), &server);
    let drained = server.lines().into_iter().find(|line| line.contains(" is down") && !line.contains("member m2"));
    assert_eq!(drained, None);
    server.wait("readiness", |_| config.ask("GET /readyz").starts_with("HTTP/1.1 200").then_some(()));
    assert_eq!(dig(server.port(), "www.test.example").len(), 2);
}
