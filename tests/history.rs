//! What the real binary remembers of what happened, and how it explains what it answered then.
#![allow(clippy::disallowed_methods, reason = "these tests touch the world")]

mod support;

use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};
use support::backend::Backend;

use support::server::{Config, Server};
use support::{dig, stdout, text};

const WWW: &str = "  www: {steer: main}\n";

/// Failover from `p0` to `p1`, a member each, with a state directory.
fn config(backends: &[Backend]) -> Config {
    let port = backends[0].addr().port();
    let monitor =
        format!("web: {{type: http, port: {port}, path: /healthz, expect: [200], interval: 500ms, timeout: 400ms, fall: 2, rise: 2}}");
    let pool = |index: usize| format!("  p{index}: {{monitor: web, members: [{{name: m{index}, a: {}}}]}}\n", backends[index].ip());
    let policies = format!(
        "monitors:\n  {monitor}\npools:\n{}{}policies:\n  main: {{type: failover, use: [p0, p1], ttl: {{max: 5s, min: 1s}}}}\n",
        pool(0),
        pool(1)
    );
    let config = Config::new(&policies, WWW);
    config.server("state_dir: state\n");
    config
}

fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

/// This millisecond, as `--at` takes it.
fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let shown = steersman::calendar::show(now.as_secs());
    format!("{}.{:03}Z", shown.trim_end_matches('Z'), now.subsec_millis())
}

/// The words of each event, without their times.
fn events(shown: &str) -> Vec<String> {
    shown.lines().map(|line| line.split_once("Z  ").unwrap_or_else(|| panic!("{line}")).1.to_owned()).collect()
}

fn wait_gone(server: &Server, backends: &[Backend]) {
    server.wait_answer("www.test.example", &[backends[1].ip()]);
}

#[test]
fn what_happened_is_told_by_the_server_and_without_it_by_its_files() {
    let mut backends = Backend::some(91, 2);
    let config = config(&backends);
    config.server("state_dir: state\ncanaries: [\"127.0.0.1:1\"]\n");
    let mut server = config.serve();
    backends[0].kill();
    wait_gone(&server, &backends);
    stdout(&config.command(&["override", "set", "down", "pool:p1", "--reason", "moving", "--owner", "alice"]));
    stdout(&config.command(&["reload"]));
    let by_server = stdout(&config.command(&["history"]));
    let words = events(&by_server);
    let first = &words[0];
    assert!(
        first.starts_with("steersman ") && first.contains("starts with generation 1 (config ") && first.contains(" of 3 files"),
        "{first}"
    );
    for part in [
        "member m0 (127.",
        "of pool p0 is down: connection refused",
        "pool p0 is empty",
        "canary tcp 127.0.0.1:1 is down: connection refused (1 failure; first verdict)",
        "override down of pool:p1 by alice: moving",
        "generation 2 (config",
    ] {
        assert!(by_server.contains(part), "{part}\n{by_server}");
    }
    server.signal("KILL");
    server.wait_end();
    let by_files = config.command(&["history"]);
    assert!(stderr(&by_files).contains("no server at unix:") && stderr(&by_files).contains("reading state"), "{}", stderr(&by_files));
    assert_eq!(stdout(&by_files), by_server);
    assert_eq!(stdout(&config.command(&["history", "--state-dir", "state"])), by_server);
    let of_one = events(&stdout(&config.command(&["history", "m0", "--since", "1h", "--until", "now"])));
    assert!(of_one.len() >= 2 && of_one.iter().all(|line| line.starts_with("member m0 ")), "{of_one:?}");
    let of_order = events(&stdout(&config.command(&["history", "p1/*"])));
    assert!(of_order.iter().any(|line| line.starts_with("override down of pool:p1")), "{of_order:?}");
    assert_eq!(stdout(&config.command(&["history", "--until", "-1h"])), "nothing happened that is remembered\n");
    for line in stdout(&config.command(&["history", "--json"])).lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(value["at_unix_ms"].is_u64() && value["event"].is_string(), "{line}");
    }
    let mut server = config.serve();
    server.signal("TERM");
    server.wait_end();
    let last = events(&stdout(&config.command(&["history"]))).pop();
    assert_eq!(last.as_deref(), Some("steersman stops"));
}

#[test]
fn an_answer_of_the_past_is_explained_as_it_was() {
    let mut backends = Backend::some(92, 2);
    let config = config(&backends);
    let mut server = config.serve();
    assert_eq!(dig(server.port(), "www.test.example"), [backends[0].ip()]);
    let before = now();
    backends[0].kill();
    wait_gone(&server, &backends);
    let explain = |at: &str| stdout(&config.command(&["explain", "www.test.example", "--client", "198.51.100.1", "--at", at]));
    let answer = |backend: usize| format!(" A {}\n", backends[backend].ip());
    let (then, after) = (explain(&before), explain("now"));
    assert!(then.starts_with("as of 20") && then.contains("pool `p0` is healthy: taken") && then.contains(&answer(0)), "{then}");
    assert!(after.contains("pool `p0` is empty") && after.contains(&answer(1)), "{after}");
    stdout(&config.command(&["override", "set", "down", "pool:p1", "--reason", "moving", "--owner", "alice"]));
    let forced = explain("now");
    assert!(forced.contains("member `m1` of `p1` is forced down by alice (moving)") && forced.contains("all is down"), "{forced}");
    let too_early = config.command(&["explain", "www.test.example", "--at", "30d"]);
    assert!(!too_early.status.success() && stderr(&too_early).contains("does not reach back to"), "{}", stderr(&too_early));
    server.signal("TERM");
    server.wait_end();
    let offline = |at: &str| stdout(&config.command(&["explain", "www.test.example", "--client", "198.51.100.1", "--offline", "--at", at]));
    assert_eq!(offline(&before), then, "by the files alone");
    assert!(offline("now").contains("the server was not running then"));
}

#[test]
fn an_answer_of_the_past_is_explained_by_the_config_of_its_time() {
    let backends = Backend::some(94, 2);
    let config = config(&backends);
    let server = config.serve();
    server.wait_answer("www.test.example", &[backends[0].ip()]);
    let before = now();
    config.records("  web: {steer: main}\n");
    stdout(&config.command(&["reload"]));
    server.wait_answer("web.test.example", &[backends[0].ip()]);
    let explain = |name: &str, at: &str| stdout(&config.command(&["explain", name, "--client", "198.51.100.1", "--at", at]));
    let then = explain("www.test.example", &before);
    assert!(
        then.contains("with the config of then (generation 1, ") && then.contains("; now another is in force (generation 2, "),
        "{then}"
    );
    assert!(then.contains(&format!(" A {}\n", backends[0].ip())), "{then}");
    assert!(explain("web.test.example", &before).contains("NXDOMAIN"));
    let now = explain("web.test.example", "now");
    assert!(!now.contains("with the config of") && now.contains(&backends[0].ip()), "{now}");
    std::fs::remove_dir_all(config.directory().join("state/configs")).expect("it is there");
    let lost = explain("web.test.example", &before);
    assert!(
        lost.contains("with the config of now (generation 2, ") && lost.contains("but it is not kept") && lost.contains(&backends[0].ip()),
        "{lost}"
    );
}

#[test]
fn a_config_that_was_only_read_is_not_taken_for_the_one_in_force_and_one_is_known_wherever_it_lies() {
    let backends = Backend::some(95, 2);
    let config = config(&backends);
    let server = config.serve();
    server.wait_answer("www.test.example", &[backends[0].ip()]);
    let head = |more: &[&str]| {
        let arguments = [&["explain", "www.test.example", "--client", "198.51.100.1", "--at", "now"], more].concat();
        let shown = stdout(&config.command(&arguments));
        shown.lines().take_while(|line| !line.contains(" asked by ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let main = config.directory().join("steersman.yaml");
    let main = main.to_str().expect("a path");
    assert_eq!(head(&["--offline", "--config", main]).len(), 1, "the very files");
    config.records("  www: {steer: nobody}\n");
    assert!(!config.command(&["reload"]).status.success());
    assert_eq!(head(&[]).len(), 1, "{:?}", head(&[]));
    config.records("  www: {steer: main}\n  web: {steer: main}\n");
    let other = head(&["--offline", "--config", main]);
    assert!(
        other[1].starts_with("with the config of then (generation 1, ") && other[1].contains("; the one at hand is another ("),
        "{other:?}"
    );
    let future = config.command(&["explain", "www.test.example", "--at", "2999-01-01T00:00:00Z"]);
    assert!(!future.status.success() && stderr(&future).contains("lies ahead"), "{}", stderr(&future));
}

#[test]
fn nobody_needs_to_name_a_client_and_without_a_state_dir_there_is_no_past() {
    let backends = Backend::some(93, 2);
    let config = config(&backends);
    config.server("");
    let _server = config.serve();
    let shown = stdout(&config.command(&["explain", "www.test.example"]));
    assert!(shown.starts_with("(no --client was named: 192.0.2.53 is nobody's address, and nowhere)\n"), "{shown}");
    assert!(shown.contains("A asked by 192.0.2.53") && shown.contains(&backends[0].ip()), "{shown}");
    for command in [&["history"][..], &["explain", "www.test.example", "--at", "now"]] {
        let output = config.command(command);
        assert!(!output.status.success() && stderr(&output).contains("no `state_dir`"), "{}", stderr(&output));
    }
}

#[test]
fn a_state_dir_that_cannot_be_used_is_not_said_to_be_missing() {
    let backends = Backend::some(96, 2);
    let config = config(&backends);
    config.write("state", "somebody's file");
    let _server = config.serve();
    let set = stdout(&config.command(&["override", "set", "down", "m0", "--reason", "test"]));
    assert!(set.contains("a restart forgets it") && set.contains("its state_dir, state, cannot be used: "), "{set}");
    for command in [&["history"][..], &["explain", "www.test.example", "--at", "now"]] {
        let output = config.command(command);
        assert!(!output.status.success() && stderr(&output).contains("its state_dir, state, cannot be used: "), "{}", stderr(&output));
    }
}
