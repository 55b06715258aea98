//! The real binary between real HTTP servers and real dig.
#![allow(clippy::disallowed_methods, reason = "these tests touch the world")]

mod support;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::backend::Backend;
use support::server::{Config, Server, binary};
use support::{dig, dig_long, stdout, text};

/// Failover over `backends`, in order; each a pool of its own, `p0` and on, with the member `m0` and on.
fn failover(backends: &[Backend]) -> String {
    let port = backends[0].addr().port();
    let head = format!(
        "monitors:\n  web: {{type: http, port: {port}, path: /healthz, expect: [200], interval: 500ms, timeout: 400ms, fall: 2, rise: 2}}\n"
    );
    let pool =
        |(index, backend): (usize, &Backend)| format!("  p{index}: {{monitor: web, members: [{{name: m{index}, a: {}}}]}}\n", backend.ip());
    let pools: String = backends.iter().enumerate().map(pool).collect();
    let names: Vec<String> = (0..backends.len()).map(|index| format!("p{index}")).collect();
    let policy = format!("  main: {{type: failover, use: [{}], ttl: {{max: 5s, min: 1s}}}}\n", names.join(", "));
    format!("{head}pools:\n{pools}policies:\n{policy}")
}

const WWW: &str = "  www: {steer: main}\n";

fn served(net: u8, count: u8) -> (Vec<Backend>, Config, Server) {
    let backends = Backend::some(net, count);
    let config = Config::new(&failover(&backends), WWW);
    let server = config.serve();
    (backends, config, server)
}

//--- Health

#[test]
fn a_killed_backend_leaves_and_a_revived_one_returns() {
    let (mut backends, _config, server) = served(31, 2);
    assert_eq!(dig(server.port(), "www.test.example"), [backends[0].ip()]);
    backends[0].kill();
    server.wait_answer("www.test.example", &[backends[1].ip()]);
    let line = server.wait_line(&["member m0", "is down"]);
    assert!(line.contains("connection refused") && line.contains("2 failures in a row; was up for"), "{line}");
    server.wait_line(&["pool p0 is empty (was healthy): 0 of 1 members usable"]);
    backends[0].revive();
    server.wait_answer("www.test.example", &[backends[0].ip()]);
    server.wait_line(&["member m0", "is up", "2 passes in a row; was down for"]);
}

#[test]
fn a_backend_that_hangs_leaves() {
    let (backends, _config, server) = served(32, 2);
    backends[0].hang();
    server.wait_answer("www.test.example +tcp", &[backends[1].ip()]);
    server.wait_line(&["member m0", "is down", "timed out"]);
}

#[test]
fn a_backend_that_answers_500_leaves() {
    let (mut backends, _config, server) = served(33, 2);
    backends[0].fall_ill();
    server.wait_answer("www.test.example", &[backends[1].ip()]);
    server.wait_line(&["member m0", "is down: HTTP 500"]);
    backends[0].revive();
    server.wait_answer("www.test.example", &[backends[0].ip()]);
}

#[test]
fn when_all_is_dead_the_answer_is_an_honest_nodata_with_soa() {
    let (mut backends, _config, server) = served(34, 2);
    backends[0].kill();
    backends[1].kill();
    server.wait_answer("www.test.example", &[]);
    let answer = dig_long(server.port(), "www.test.example");
    assert!(answer.contains("status: NOERROR") && answer.contains("ANSWER: 0, AUTHORITY: 1") && answer.contains("SOA"), "{answer}");
}

#[test]
fn a_member_that_is_dead_at_the_start_is_never_answered() {
    let mut backends = Backend::some(35, 2);
    backends[0].kill();
    let config = Config::new(&failover(&backends), WWW);
    let server = config.serve();
    assert_eq!(dig(server.port(), "www.test.example"), [backends[1].ip()]);
}

#[test]
fn a_backend_that_talks_without_end_holds_up_nothing_but_its_own_probe() {
    let (backends, config, server) = served(48, 2);
    backends[0].talk_without_end();
    server.wait("a probe that listens", |_| backends[0].keeps_a_probe().then_some(()));
    let start = Instant::now();
    for _ in 0..20 {
        stdout(&config.command(&["status"]));
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

//--- A machine in trouble

#[test]
fn a_log_that_takes_no_more_lines_does_not_end_the_server() {
    let mut backends = Backend::some(49, 1);
    let config = Config::new(&failover(&backends), WWW);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let _server = config.serve_unseen(full.into());
    config.wait_status(&["is serving", " up "]);
    backends[0].kill();
    config.wait_status(&[" down ", "connection refused"]);
}

#[test]
fn a_reader_of_the_log_who_stops_reading_holds_up_nothing() {
    // A line for each of 800 dead members is more than a pipe holds.
    let member = |pool: u32, number: u32| format!("{{name: m{pool}-{number}, a: 127.94.{pool}.{number}}}");
    let pool = |pool: u32| {
        format!("  p{pool}: {{monitor: any, members: [{}]}}\n", (1..=50).map(|n| member(pool, n)).collect::<Vec<_>>().join(", "))
    };
    let pools: String = (0..16).map(pool).collect();
    let config = Config::new(&format!("monitors: {{any: {{type: tcp, port: 1}}}}\npools:\n{pools}"), "  www: {steer: p0}\n");
    let server = config.serve_unseen(Stdio::piped());
    config.wait_status(&["is serving", " down ", "m15-50", "connection refused"]);
    server.signal("HUP");
    config.wait_status(&["generation 2"]);
}

#[test]
fn a_low_limit_of_open_files_is_raised_as_far_as_the_system_allows() {
    let backends = Backend::some(50, 1);
    let config = Config::new(&failover(&backends), WWW);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 200; exec \"$0\" serve --config steersman.yaml", env!("CARGO_BIN_EXE_steersman")]);
    command.current_dir(config.directory());
    let server = Server::start(command, " on 127.0.0.1:");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("Linux has it");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line for each limit");
    let [soft, hard] = [3, 4].map(|column| line.split_whitespace().nth(column).expect("soft and hard"));
    assert!(soft == hard && soft != "200", "{line}");
}

//--- Reload

#[test]
fn a_reload_brings_a_new_name_and_an_error_keeps_the_old_config() {
    let (backends, config, server) = served(36, 1);
    config.records("  www: {steer: main}\n  new: {steer: main}\n");
    let applied = config.command(&["reload"]);
    assert_eq!(stdout(&applied).trim(), "generation 2 is in force");
    assert_eq!(dig(server.port(), "new.test.example"), [backends[0].ip()]);

    config.records("  www: {steer: mian}\n");
    let failed = config.command(&["reload"]);
    let report = text(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{report}");
    assert!(report.contains("zones/test.yaml") && report.contains("mian") && report.contains("generation 2 goes on"), "{report}");
    assert_eq!(dig(server.port(), "new.test.example"), [backends[0].ip()]);
    server.wait_line(&["ERROR", "reload failed"]);
}

#[test]
fn sighup_reloads() {
    let (backends, config, server) = served(37, 1);
    config.records("  www: {steer: main}\n  new: {steer: main}\n");
    server.signal("HUP");
    server.wait_answer("new.test.example", &[backends[0].ip()]);
}

#[test]
fn a_sighup_while_the_first_config_is_read_is_obeyed_once_it_is_served() {
    let backends = Backend::some(51, 1);
    let config = Config::new(&failover(&backends), WWW);
    // A pipe in place of a file holds up whoever reads it.
    let slow = config.directory().join("policies/slow.yaml");
    assert!(Command::new("mkfifo").arg(&slow).status().expect("coreutils").success());
    let server = config.serve_unseen(Stdio::null());
    let mut pipe = std::fs::File::options().write(true).open(&slow).expect("opens when the server reads");
    server.signal("HUP");
    config.write("policies/quick.yaml", "sites: {fra: {lat: 50, lon: 8}}\n");
    std::fs::rename(config.directory().join("policies/quick.yaml"), &slow).expect("the same directory");
    pipe.write_all(b"sites: {fra: {lat: 50, lon: 8}}\n").expect("the server is still there");
    drop(pipe);
    config.wait_status(&["is serving", "generation 2"]);
}

#[test]
fn watched_files_reload_themselves() {
    let backends = Backend::some(38, 1);
    let config = Config::new(&failover(&backends), WWW);
    config.server("watch: true\n");
    let server = config.serve();
    config.records("  www: {steer: main}\n  new: {steer: main}\n");
    server.wait_answer("new.test.example", &[backends[0].ip()]);
    server.wait_line(&["files changed"]);
}

#[test]
fn most_members_go_only_by_force() {
    let (backends, config, server) = served(39, 3);
    config.policies(&failover(&backends[2..]).replace("p0", "p2").replace("m0", "m2"));
    let refused = config.command(&["reload"]);
    let report = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{report}");
    assert!(report.contains("2 of 3 members") && report.contains("member m0 of pool p0") && report.contains("--force"), "{report}");
    assert_eq!(dig(server.port(), "www.test.example"), [backends[0].ip()]);
    stdout(&config.command(&["reload", "--force"]));
    assert_eq!(dig(server.port(), "www.test.example"), [backends[2].ip()]);
}

#[test]
fn a_reload_keeps_what_is_known_of_members() {
    let (mut backends, config, server) = served(40, 2);
    backends[0].kill();
    server.wait_answer("www.test.example", &[backends[1].ip()]);
    config.records("  www: {steer: main}\n  new: {steer: main}\n");
    stdout(&config.command(&["reload"]));
    // At once: no new first round, no moment in which the dead are unknown.
    assert_eq!(dig(server.port(), "new.test.example"), [backends[1].ip()]);
    let status = config.status();
    assert_eq!(status["generation"], 2);
    assert_eq!(status["pools"][0]["members"][0]["addresses"][0]["verdict"], "down");
}

//--- End and return

#[test]
fn sigterm_drains_and_ends_well() {
    let (_backends, config, mut server) = served(41, 1);
    server.signal("TERM");
    assert_eq!(server.wait_end().code(), Some(0));
    server.wait_line(&["SIGTERM: draining"]);
    assert!(!config.directory().join("admin.sock").exists());
}

#[test]
fn a_query_that_was_read_before_sigterm_is_still_answered() {
    let (_backends, _config, mut server) = served(47, 1);
    // www.test.example A, as a message of a TCP stream.
    let query = b"\0\x22\x12\x34\0\0\0\x01\0\0\0\0\0\0\x03www\x04test\x07example\0\0\x01\0\x01";
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
    stream.write_all(query).expect("it reads");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("an answer before the signal");
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).expect("all of it");
    stream.write_all(query).expect("it reads");
    server.signal("TERM");
    stream.read_exact(&mut length).expect("an answer after the signal");
    assert_eq!(server.wait_end().code(), Some(0));
}

#[test]
fn verdicts_survive_a_restart() {
    let mut backends = Backend::some(42, 2);
    let config = Config::new(&failover(&backends), WWW);
    config.server("state_dir: state\n");
    let mut first = config.serve();
    backends[0].kill();
    first.wait_answer("www.test.example", &[backends[1].ip()]);
    first.signal("TERM");
    first.wait_end();
    let second = config.serve();
    second.wait_line(&["2 verdicts restored from state/verdicts.json"]);
    assert_eq!(dig(second.port(), "www.test.example"), [backends[1].ip()]);
    config.write("state/verdicts.json", "{\"version\": 99}");
    drop(second);
    let third = config.serve();
    third.wait_line(&["starting without state/verdicts.json", "version 99"]);
}

#[test]
fn a_killed_server_starts_from_whichever_state_is_whole_and_without_any() {
    let backends = Backend::some(90, 2);
    let config = Config::new(&failover(&backends), WWW);
    config.server("state_dir: state\n");
    let read = || std::fs::read(config.directory().join("state/verdicts.json")).expect("saved");
    for reason in ["once", "twice"] {
        let mut server = config.serve();
        stdout(&config.command(&["override", "set", "down", "m0", "--reason", reason]));
        server.signal("KILL");
        server.wait_end();
    }
    let torn = String::from_utf8(read()).expect("text");
    config.write("state/verdicts.json", &torn[..torn.len() / 2]);
    let mut server = config.serve();
    server.wait_line(&["starting without state/verdicts.json", "malformed"]);
    server.wait_line(&["verdicts restored from state/verdicts.json.previous"]);
    assert_eq!(dig(server.port(), "www.test.example"), [backends[1].ip()], "the override of the first life");
    server.signal("KILL");
    server.wait_end();
    config.write("state/verdicts.json", "torn");
    config.write("state/verdicts.json.previous", "torn");
    let server = config.serve();
    server.wait_line(&["starting without state/verdicts.json.previous"]);
    server.wait_answer("www.test.example", &[backends[0].ip()]);
}

#[test]
fn a_state_directory_has_one_server_until_that_has_ended() {
    let backends = Backend::some(95, 2);
    let [config, other] = [(); 2].map(|()| Config::new(&failover(&backends), WWW));
    config.server("state_dir: state\n");
    other.server(&format!("state_dir: {}\n", config.directory().join("state").display()));
    let mut server = config.serve();
    let refused = other.command(&["serve", "--config", "steersman.yaml"]);
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains(&format!("state is in use by another steersman (process {})", server.pid())), "{why}");
    server.signal("KILL");
    server.wait_end();
    other.serve().wait_answer("www.test.example", &[backends[0].ip()]);
}

#[test]
fn a_broken_config_starts_nothing() {
    let config = Config::new("pools: {", WWW);
    let output = config.command(&["serve", "--config", "steersman.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let report = text(&output.stderr);
    assert!(report.contains("policies/all.yaml:1:") && report.contains("nothing was started"), "{report}");
}

#[test]
fn a_busy_port_is_named_with_what_to_do() {
    let (_backends, config, server) = served(43, 1);
    let listen = format!(
        "listen: \"127.0.0.1:{}\"\nzones: zones/*.yaml\npolicies: policies/*.yaml\nprobes: {{allow: [default, 127.0.0.0/8]}}\n",
        server.port()
    );
    config.write("second.yaml", &listen);
    let output = config.command(&["serve", "--config", "second.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let report = text(&output.stderr);
    assert!(report.contains(&format!("cannot listen on 127.0.0.1:{}", server.port())), "{report}");
}

//--- Views

#[test]
fn status_shows_every_member_as_a_table() {
    let (mut backends, config, server) = served(44, 2);
    backends[1].kill();
    server.wait_line(&["member m1", "is down"]);
    let table = stdout(&config.command(&["status"]));
    let row =
        |member: &str| table.lines().find(|line| line.contains(member)).unwrap_or_else(|| panic!("no {member} in\n{table}")).to_owned();
    assert!(table.starts_with("steersman ") && table.contains("is serving: generation 1"), "{table}");
    assert!(row("m0").contains(" healthy ") && row("m0").contains(" up ") && row("m0").contains("pass in "), "{table}");
    assert!(row("m1").contains(" empty ") && row("m1").contains(" down ") && row("m1").contains("connection refused"), "{table}");
}

#[test]
fn metrics_count_queries_and_show_members() {
    let (_backends, config, server) = served(45, 1);
    dig(server.port(), "www.test.example +notcp");
    dig(server.port(), "nothing.test.example +tcp");
    let page = config.ask("GET /metrics");
    for line in [
        r#"steersman_queries_total{transport="udp"} 1"#,
        r#"steersman_answers_total{transport="udp",outcome="steered"} 1"#,
        r#"steersman_answers_total{transport="tcp",outcome="nxdomain"} 1"#,
        r#"steersman_member_up{pool="p0",member="m0",family="ipv4"} 1.0"#,
        "steersman_ready 1.0",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
}

#[test]
fn the_admin_interface_tells_life_from_readiness_and_guards_what_changes_something() {
    let (_backends, config, _server) = served(46, 1);
    assert!(config.ask("GET /livez").starts_with("HTTP/1.1 200"));
    assert!(config.ask("GET /readyz").starts_with("HTTP/1.1 200"));
    assert!(config.ask("GET /").contains("/v1/status"));
    let missing = config.ask("GET /v2/status");
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("{\"error\":"), "{missing}");
    let unguarded = config.ask("POST /v1/reload");
    assert!(unguarded.starts_with("HTTP/1.1 403") && unguarded.contains("X-Steersman"), "{unguarded}");
    assert!(config.ask("DELETE /v1/status").starts_with("HTTP/1.1 403"));
}

#[test]
fn status_without_a_server_says_where_it_looked() {
    let config = Config::new("", WWW);
    let output = config.command(&["status", "--admin", "unix:nowhere.sock"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("unix:nowhere.sock"), "{}", text(&output.stderr));
}

//--- The demo

#[test]
fn the_demo_steers_shows_changes_and_ends_on_ctrl_c() {
    // Finds a port that is free on the demo's own addresses; the demo binds them itself.
    let port = Backend::some(10, 1)[0].addr().port().to_string();
    let mut command = binary();
    command.args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--backend-port", &port]);
    command.current_dir("/");
    let mut server = Server::start(command, "dig @127.0.0.1 -p ");
    assert_eq!(dig(server.port(), "main.gslb.example.com"), ["127.0.10.1"]);
    assert_eq!(dig(server.port(), "www.gslb.example.com +subnet=203.0.113.0/24"), ["127.0.10.3"]);
    assert_eq!(dig(server.port(), "turns.gslb.example.com").len(), 3);
    post(&port, "/fail");
    server.wait_answer("main.gslb.example.com", &["127.0.10.2".to_owned()]);
    server.wait_line(&["member lb-fra", "is down: HTTP 503"]);
    post(&port, "/revive");
    server.wait_answer("main.gslb.example.com", &["127.0.10.1".to_owned()]);
    server.signal("INT");
    assert_eq!(server.wait_end().code(), Some(0));
    server.wait_line(&["The demo is over."]);
}

fn post(port: &str, path: &str) {
    let mut stream = std::net::TcpStream::connect(format!("127.0.10.1:{port}")).expect("the toy listens");
    write!(stream, "POST {path} HTTP/1.0\r\n\r\n").expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers");
    assert!(response.starts_with("HTTP/1.0 200") || response.starts_with("HTTP/1.1 200"), "{response}");
}

//--- Self-doubt

/// Three sites with one backend each, probed fast.
fn three_sites(backends: &[Backend]) -> String {
    let port = backends[0].addr().port();
    let site = |index: usize| format!("{{name: m{index}, site: s{index}, a: {}}}", backends[index].ip());
    format!(
        "monitors:\n  web: {{type: http, port: {port}, path: /healthz, interval: 500ms, timeout: 400ms, fall: 2, rise: 2}}\n\
         sites: {{s0: {{lat: 50, lon: 8}}, s1: {{lat: 40, lon: -74}}, s2: {{lat: 1, lon: 103}}}}\n\
         pools:\n  all: {{monitor: web, choose: all, members: [{}, {}, {}], ttl: {{max: 5s, min: 1s}}}}\n",
        site(0),
        site(1),
        site(2)
    )
}

#[test]
fn applications_that_hang_everywhere_are_dead_and_the_node_does_not_doubt_that_it_sees() {
    let backends = Backend::some(119, 3);
    let config = Config::new(&three_sites(&backends), "  www: {steer: all}\n");
    let server = config.serve();
    server.wait_answer("www.test.example", &backends.iter().map(Backend::ip).collect::<Vec<_>>());
    backends.iter().for_each(Backend::hang);
    for member in ["member m0", "member m1", "member m2"] {
        server.wait_line(&[member, "is down: timed out: connected, but nothing was answered"]);
    }
    server.wait_answer("www.test.example", &[]);
    assert!(server.lines().iter().all(|line| !line.contains("does not trust")), "{:#?}", server.lines());
}

#[test]
fn a_node_to_which_everything_falls_silent_drains_nobody_says_so_everywhere_and_recovers() {
    let mut backends = Backend::some(52, 3);
    let config = Config::new(&three_sites(&backends), "  www: {steer: all}\n");
    let server = config.serve();
    let everybody: Vec<String> = backends.iter().map(Backend::ip).collect();
    server.wait_answer("www.test.example", &everybody);
    Backend::fall_deaf_together(&mut backends);
    let line = server.wait_line(&["WARN", "does not trust its own sight"]);
    assert!(line.contains("all targets of all 3 places are silent"), "{line}");
    config.wait_status(&["SUSPECT for", "up?", "timed out"]);
    let ready = config.ask("GET /readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("suspect: all targets"), "{ready}");
    assert!(config.ask("GET /metrics").contains("\nsteersman_suspect 1"));
    let story = stdout(&config.command(&["explain", "www.test.example", "--client", "192.0.2.1"]));
    assert!(story.contains("does not trust its own sight"), "{story}");
    // Far beyond the detection time, nobody has been drained.
    let probes_later = Instant::now() + Duration::from_secs(4);
    while Instant::now() < probes_later {
        server.wait_answer("www.test.example", &everybody);
    }
    assert!(server.lines().iter().all(|line| !line.contains("is down")), "{:#?}", server.lines());
    backends[0].revive();
    server.wait_line(&["this node sees again"]);
    // Now that one was seen, the others are dead.
    server.wait_answer("www.test.example", &everybody[..1]);
    server.wait("readiness", |_| config.ask("GET /readyz").starts_with("HTTP/1.1 200").then_some(()));
}

//--- Overrides

#[test]
fn operators_force_members_down_and_up_and_see_what_is_true_beside_it() {
    let (mut backends, config, server) = served(53, 2);
    let ask = "www.test.example";
    let set = config.command(&["override", "set", "down", "pool:p0", "--owner", "alice", "--reason", "disk swap", "--for", "2h"]);
    assert!(stdout(&set).contains("override down of pool:p0 by alice: disk swap (1 member; in force; ends in 2h"), "{set:?}");
    server.wait_answer(ask, &[backends[1].ip()]);
    server.wait_line(&["override down of pool:p0 by alice"]);
    config.wait_status(&["down! (up)", "p0/m0 is forced down by alice (disk swap)"]);
    assert!(stdout(&config.command(&["override", "list"])).contains("disk swap"));
    let metrics = config.ask("GET /metrics");
    assert!(metrics.contains(r#"steersman_member_forced{pool="p0",member="m0",family="ipv4",state="down"} 1"#), "{metrics}");
    let story = stdout(&config.command(&["explain", ask, "--client", "192.0.2.1"]));
    assert!(story.contains("member `m0` of `p0` is forced down by alice (disk swap)"), "{story}");
    backends[0].kill();
    server.wait_line(&["member m0", "is down"]);
    stdout(&config.command(&["override", "set", "up", "p0/m0", "--reason", "probes lie"]));
    server.wait_answer(ask, &[backends[0].ip()]);
    stdout(&config.command(&["override", "clear", "p0/m0"]));
    stdout(&config.command(&["override", "clear", "pool:p0"]));
    server.wait_answer(ask, &[backends[1].ip()]);
    for wrong in [&["override", "clear", "pool:p0"][..], &["override", "set", "down", "pool:p9", "--reason", "x"]] {
        assert_eq!(config.command(wrong).status.code(), Some(1), "{wrong:?}");
    }
}

#[test]
fn an_override_survives_the_loss_of_the_process_and_ends_by_itself() {
    let backends = Backend::some(54, 2);
    let config = Config::new(&failover(&backends), WWW);
    config.server("state_dir: state\n");
    let mut server = config.serve();
    stdout(&config.command(&["override", "set", "down", "pool:p0", "--reason", "moved"]));
    stdout(&config.command(&["override", "set", "down", "m0", "--reason", "twice", "--for", "1s"]));
    server.signal("KILL");
    server.wait_end();
    let server = config.serve();
    assert_eq!(dig(server.port(), "www.test.example"), [backends[1].ip()], "from the first answer on");
    server.wait_line(&["override down of member:m0", "twice: expired"]);
    stdout(&config.command(&["override", "clear", "pool:p0"]));
    server.wait_answer("www.test.example", &[backends[0].ip()]);
}

#[test]
fn a_drain_lowers_the_ttl_removes_and_says_when_the_last_answer_is_gone() {
    let backends = Backend::some(55, 2);
    // Two seconds: what the log says of the last of them is told within the first.
    let config = Config::new(&failover(&backends).replace("min: 1s", "min: 2s"), WWW);
    let server = config.serve();
    let ttl = |server: &Server| -> u32 {
        let long = dig_long(server.port(), "www.test.example");
        let line = long.lines().find(|line| line.starts_with("www.test.example.") && line.contains("IN\tA\t")).expect("an answer");
        line.split_whitespace().nth(1).expect("a TTL").parse().expect("a number")
    };
    assert!(ttl(&server) >= 1);
    let drained = stdout(&config.command(&["override", "set", "drain", "p0/m0", "--reason", "maintenance"]));
    assert!(drained.contains("TTL lowered, answered for"), "{drained}");
    assert_eq!((dig(server.port(), "www.test.example"), ttl(&server)), (vec![backends[0].ip()], 2));
    server.wait_answer("www.test.example", &[backends[1].ip()]);
    server.wait_line(&["override drain of p0/m0", "answered no more, in caches for"]);
    server.wait_line(&["override drain of p0/m0", "the last cached answer has expired"]);
}

#[test]
fn a_protection_binds_probes_and_operators_until_the_glass_is_broken() {
    let mut backends = Backend::some(56, 3);
    let protect = "protect: {core: {pools: all, min_members: 2}}\n";
    let config = Config::new(&format!("{}{protect}", three_sites(&backends)), "  www: {steer: all}\n");
    let server = config.serve();
    backends[0].kill();
    server.wait_answer("www.test.example", &[backends[1].ip(), backends[2].ip()]);
    let refused = config.command(&["override", "set", "down", "all/m1", "--reason", "fat finger"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("the protection `core` forbids it: never fewer than 2 members"));
    backends[1].kill();
    server.wait_line(&["member m1", "is down"]);
    config.wait_status(&["all/m1 seems dead, and is kept by the protection `core`"]);
    assert_eq!(dig(server.port(), "www.test.example").len(), 2);
    stdout(&config.command(&["override", "set", "down", "all/m1", "--reason", "really", "--break-glass"]));
    server.wait_answer("www.test.example", &[backends[2].ip()]);
}

#[test]
fn a_reload_that_leaves_fewer_than_a_protection_asks_for_is_obeyed_and_warned_of() {
    let backends = Backend::some(87, 3);
    let protect = "protect: {core: {pools: all, min_members: 2}}\n";
    let policies = format!("{}{protect}", three_sites(&backends));
    let config = Config::new(&policies, "  www: {steer: all}\n");
    let server = config.serve();
    stdout(&config.command(&["override", "set", "down", "m0", "--reason", "two are left"]));
    config.policies(&policies.replace("name: m1,", "name: m1, disabled: true,"));
    let reload = config.command(&["reload"]);
    assert!(reload.status.success() && text(&reload.stderr).contains("breaks the protection `core` (never fewer than 2 members); left: 1"));
    server.wait_answer("www.test.example", &[backends[2].ip()]);
}

#[test]
fn a_recovered_member_waits_for_an_operator_where_failback_is_manual() {
    let mut backends = Backend::some(57, 2);
    let policies = failover(&backends).replace("p0: {monitor: web,", "p0: {monitor: web, failback: manual, slow_start: 2s,");
    let config = Config::new(&policies, WWW);
    let server = config.serve();
    backends[0].kill();
    server.wait_answer("www.test.example", &[backends[1].ip()]);
    backends[0].revive();
    server.wait_line(&["member m0", "is up", "2 passes in a row"]);
    config.wait_status(&["p0/m0 is up, and held back until an operator releases it"]);
    assert_eq!(dig(server.port(), "www.test.example"), [backends[1].ip()]);
    stdout(&config.command(&["override", "release", "p0/m0"]));
    server.wait_answer("www.test.example", &[backends[0].ip()]);
    config.wait_status(&["p0/m0 is coming back, with"]);
}

//--- Judgement

#[test]
fn a_dead_member_is_noticed_long_before_three_intervals_have_passed() {
    let mut backends = Backend::some(58, 2);
    let slow = "interval: 5s, timeout: 400ms, fall: 3, rise: 1";
    let policies = failover(&backends).replace("interval: 500ms, timeout: 400ms, fall: 2, rise: 2", slow);
    let config = Config::new(&policies, WWW);
    let server = config.serve();
    backends[0].kill();
    let start = Instant::now();
    let line = server.wait_line(&["member m0", "is down: connection refused"]);
    assert!(line.contains("3 failures in a row"), "{line}");
    // A usual probe within 5 s, one at once, one after a second: two usual ones alone would take 10 s.
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
}

#[test]
fn a_member_that_loses_a_third_of_its_probes_leaves_though_it_never_fails_twice_in_a_row() {
    let backends = Backend::some(59, 2);
    let policies = failover(&backends).replace("interval: 500ms, timeout: 400ms", "interval: 100ms, timeout: 90ms");
    let config = Config::new(&policies, WWW);
    let server = config.serve();
    backends[0].lose_every_third();
    server.wait_answer("www.test.example", &[backends[1].ip()]);
    server.wait_line(&["member m0", "is down: HTTP 500", "1 failure;"]);
    let metrics = config.ask("GET /metrics");
    assert!(metrics.contains("steersman_target_failures_in_window{target=\"http 127.59.0.1"), "{metrics}");
}

#[test]
fn a_canary_that_is_seen_proves_that_silent_members_are_dead() {
    let mut backends = Backend::some(60, 3);
    let canary = backends[2].addr();
    let config = Config::new(&failover(&backends[..2]), WWW);
    config.server(&format!("canaries: [\"{canary}\"]\n"));
    let server = config.serve();
    server.wait_answer("www.test.example", &[backends[0].ip()]);
    backends[..2].iter_mut().for_each(Backend::fall_deaf);
    // The canary is seen, so that the members are dead.
    server.wait_line(&["member m0", "is down: timed out"]);
    server.wait_line(&["member m1", "is down: timed out"]);
    assert!(server.lines().iter().all(|line| !line.contains("does not trust")), "{:#?}", server.lines());
}
