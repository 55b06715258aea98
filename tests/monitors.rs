//! Monitors that hear of members from others, members that depend on others, and `steersman probe`: through the real binary.
#![allow(clippy::disallowed_methods, reason = "these tests touch the world")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use support::backend::Backend;
use support::probed::{self, Authority};
use support::server::{Config, Server};
use support::{dig, text, wait_for};

const WWW: &str = "  www: {steer: main}\n";

/// A failover over the pools `p0` and `p1`, with these monitors and pools.
fn policies(monitors: &str, pools: &str) -> String {
    let policy = "policies:\n  main: {type: failover, use: [p0, p1], ttl: {max: 5s, min: 1s}}\n";
    format!("monitors:\n{monitors}pools:\n{pools}{policy}")
}

/// Fast probes of a backend.
fn web(backend: &Backend) -> String {
    format!("  web: {{type: http, port: {}, interval: 300ms, timeout: 250ms, fall: 1, rise: 1}}\n", backend.addr().port())
}

/// Sends a report to the admin interface; returns the answer.
fn report(config: &Config, json: &str) -> String {
    let mut stream = UnixStream::connect(config.directory().join("admin.sock")).expect("the admin interface listens");
    let head = "POST /v1/report HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Steersman: 1\r\nContent-Type: application/json\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{json}", json.len()).expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers");
    response
}

//--- Programs

#[test]
fn programs_end_with_a_server_that_is_stopped_in_its_first_round() {
    let members: Vec<String> = (1..=8).map(|n| format!("{{name: m{n}, a: 192.0.2.{n}}}")).collect();
    let pools = format!("  p0: {{monitor: hangs, members: [{}]}}\n  p1: {{members: [{{name: m, a: 192.0.2.99}}]}}\n", members.join(", "));
    let hangs = "  hangs: {type: exec, command: [/bin/sh, -c, \"echo $$ >> pids; exec sleep 600\"], interval: 100s, timeout: 90s}\n";
    let config = Config::new("", WWW);
    config.policies(&policies(&hangs.replace("pids", &config.directory().join("pids").display().to_string()), &pools));
    let main = std::fs::read_to_string(config.directory().join("steersman.yaml")).expect("it was written");
    config.write("steersman.yaml", &(main.replace("probes: {", "probes: {programs: [/bin/sh], ") + "startup_deadline: 90s\n"));
    let server = config.serve_unseen(Stdio::null());
    let pids = || std::fs::read_to_string(config.directory().join("pids")).unwrap_or_default();
    let all = || Some(pids()).filter(|pids| pids.lines().count() == 8);
    let started = wait_for("eight programs", all, pids);
    server.signal("TERM");
    let lives = |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let living = || started.lines().filter(lives).collect::<Vec<_>>().join(" ");
    wait_for("the end of all programs", || living().is_empty().then_some(()), living);
}

//--- What others say

#[test]
fn a_member_is_up_as_long_as_its_agent_says_so_in_time() {
    let monitors = "  agent: {type: push, expires: 2s, interval: 200ms}\n";
    let pools = "  p0: {monitor: agent, members: [{name: m0, a: 192.0.2.1}]}\n  p1: {members: [{name: m1, a: 192.0.2.2}]}\n";
    let config = Config::new(&policies(monitors, pools), WWW);
    let server = config.serve();
    server.wait_answer("www.test.example", &["192.0.2.2".to_owned()]);
    let say =
        |up: bool| report(&config, &format!(r#"{{"monitor": "agent", "pool": "p0", "member": "m0", "up": {up}, "reason": "repair"}}"#));
    assert!(say(true).starts_with("HTTP/1.1 204"), "{}", say(true));
    server.wait_line(&["member m0", "is up"]);
    assert_eq!(dig(server.port(), "www.test.example"), ["192.0.2.1"]);
    say(false);
    server.wait_line(&["member m0", "is down: reported down: repair"]);
    say(true);
    server.wait_line(&["member m0", "is up", "was down"]);
    // Nobody says anything any more.
    server.wait_line(&["member m0", "is down: no report for 2s"]);
}

#[test]
fn agents_report_from_outside_with_the_token_of_their_monitor_and_can_do_nothing_else() {
    let monitors = "  agent: {type: push, token: 5e1ff00d5e1ff00d, interval: 200ms}\n  open: {type: push}\n";
    let pools = "  p0: {monitor: agent, members: [{name: m0, a: 192.0.2.1}]}\n  p1: {monitor: open, members: [{name: m1, a: 192.0.2.2}]}\n";
    let config = Config::new(&policies(monitors, pools), WWW);
    config.server("reports: {listen: \"127.0.0.1:0\"}\n");
    let server = config.serve();
    let line = server.wait_line(&["taking reports on"]);
    let addr = line.rsplit(' ').next().expect("an address");
    let ask = |request: &str, token: &str, json: &str| {
        let mut stream = TcpStream::connect(addr).expect("it listens");
        let head = format!("{request} HTTP/1.1\r\nHost: ns1.example.com\r\nX-Steersman: 1\r\nContent-Type: application/json\r\n");
        write!(stream, "{head}{token}Content-Length: {}\r\n\r\n{json}", json.len()).expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers");
        response.split(' ').nth(1).expect("a status").to_owned()
    };
    let said = |monitor: &str, pool: &str, member: &str| {
        format!(r#"{{"monitor": "{monitor}", "pool": "{pool}", "member": "{member}", "up": true}}"#)
    };
    let (ours, open) = (said("agent", "p0", "m0"), said("open", "p1", "m1"));
    let right = "Authorization: Bearer 5e1ff00d5e1ff00d\r\n";
    for (token, json) in
        [("", &ours), ("Authorization: Bearer 5e1ff00d5e1ff00e\r\n", &ours), (right, &open), ("", &open), (right, &said("x", "p0", "m0"))]
    {
        assert_eq!(ask("POST /v1/report", token, json), "401", "{token}{json}");
    }
    for request in ["POST /v1/reload", "POST /v1/overrides?selector=m0&state=up&owner=o&reason=r", "GET /v1/status", "GET /metrics"] {
        assert_eq!(ask(request, right, ""), "404", "{request}");
    }
    assert!(report(&config, &ours).starts_with("HTTP/1.1 401"), "inside as well, where a token was written");
    assert!(report(&config, &open).starts_with("HTTP/1.1 204"));
    // Whoever connects and says nothing keeps nobody out, nor do those who would go on talking.
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(addr).expect("it listens")).collect();
    let start = std::time::Instant::now();
    assert_eq!(ask("POST /v1/report", right, &ours), "204");
    assert!(start.elapsed() < std::time::Duration::from_secs(4), "{:?}", start.elapsed());
    drop(idle);
    server.wait_line(&["member m0", "is up"]);
}

#[test]
fn a_report_that_nobody_waits_for_is_refused() {
    let monitors = "  agent: {type: push}\n";
    let pools = "  p0: {monitor: agent, members: [{name: m0, a: 192.0.2.1}]}\n  p1: {members: [{name: m1, a: 192.0.2.2}]}\n";
    let config = Config::new(&policies(monitors, pools), WWW);
    let _server = config.serve();
    let answer = report(&config, r#"{"monitor": "agent", "pool": "p1", "member": "m1", "up": true}"#);
    assert!(
        answer.starts_with("HTTP/1.1 404") && answer.contains("no push monitor `agent` waits for member `m1` of pool `p1`"),
        "{answer}"
    );
    assert!(report(&config, r#"{"monitor": "agent"}"#).starts_with("HTTP/1.1 422"));
}

#[test]
fn a_feed_moves_members_and_one_that_is_gone_moves_nobody() {
    let monitors = "  desk: {type: file, file: feed, interval: 200ms}\n";
    let pools = "  p0: {monitor: desk, members: [{name: m0, a: 192.0.2.1}]}\n  p1: {members: [{name: m1, a: 192.0.2.2}]}\n";
    let config = Config::new(&policies(monitors, pools), WWW);
    config.write("feed", "m0 up\n");
    let server = config.serve();
    assert_eq!(dig(server.port(), "www.test.example"), ["192.0.2.1"]);
    config.write("feed", "m0 down on fire\n");
    server.wait_line(&["member m0", "is down: reported down: on fire"]);
    std::fs::remove_file(config.directory().join("feed")).expect("it is there");
    config.wait_status(&["inconclusive: a file that the check names cannot be read"]);
    assert_eq!(dig(server.port(), "www.test.example"), ["192.0.2.2"], "the verdict stands");
}

//--- Members that depend on others

#[test]
fn a_member_goes_down_with_what_it_depends_on_and_returns_with_it() {
    let mut backends = Backend::some(61, 3);
    let pools = format!(
        "  p0: {{monitor: web, members: [{{name: m0, a: {}, depends_on: db/db-1}}]}}\n  p1: {{monitor: web, members: [{{name: m1, a: {}}}]}}\n  \
         db: {{monitor: web, members: [{{name: db-1, a: {}}}]}}\n",
        backends[0].ip(),
        backends[1].ip(),
        backends[2].ip()
    );
    let config = Config::new(&policies(&web(&backends[0]), &pools), "  www: {steer: main}\n  db: {steer: db}\n");
    let server = config.serve();
    assert_eq!(dig(server.port(), "www.test.example"), [backends[0].ip()]);
    backends[2].kill();
    server.wait_line(&["member m0", "of pool p0 is down: connection refused", &backends[2].ip()]);
    server.wait_answer("www.test.example", &[backends[1].ip()]);
    backends[2].revive();
    server.wait_answer("www.test.example", &[backends[0].ip()]);
}

#[test]
fn a_calculation_decides_over_the_monitors_it_names() {
    let backends = Backend::some(62, 2);
    let monitors = format!(
        "{}  desk: {{type: file, file: feed, interval: 200ms}}\n  sane: {{type: calculated, any: [web, desk]}}\n",
        web(&backends[0])
    );
    let pools = format!(
        "  p0: {{monitor: sane, members: [{{name: m0, a: {}}}]}}\n  p1: {{members: [{{name: m1, a: 192.0.2.2}}]}}\n",
        backends[0].ip()
    );
    let config = Config::new(&policies(&monitors, &pools), WWW);
    config.write("feed", "m0 up\n");
    let server = config.serve();
    backends[0].fall_ill();
    let seen = || text(&config.command(&["status", "--json"]).stdout);
    wait_for("the failed check", || seen().contains("HTTP 500").then_some(()), seen);
    assert_eq!(dig(server.port(), "www.test.example"), [backends[0].ip()], "one of the two still says up");
    config.write("feed", "m0 down\n");
    server.wait_answer("www.test.example", &["192.0.2.2".to_owned()]);
}

//--- Certificates

/// Shakes hands with whoever comes, on a thread of its own, for as long as the program runs.
fn shake_hands(config: rustls::ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    let port = listener.local_addr().expect("bound").port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a sound config");
            // Whoever does not like the certificate says so, and goes.
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        }
    });
    port
}

#[test]
fn a_certificate_that_expires_soon_is_warned_of_and_its_member_stays_up() {
    let authority = Authority::new("ours");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let end = now + 9 * 86_400 + 3_600;
    let issued = authority.issue_until("www.example.com", end);
    let port = shake_hands(probed::presenting(issued, rustls::server::WebPkiClientVerifier::no_client_auth()));
    let monitors = format!("  tls: {{type: tls, port: {port}, host: www.example.com, ca: ca.pem, interval: 300ms, fall: 1}}\n");
    let pools = "  p0: {monitor: tls, members: [{name: m0, a: 127.0.0.1}]}\n  p1: {members: [{name: m1, a: 192.0.2.2}]}\n";
    let config = Config::new(&policies(&monitors, pools), WWW);
    let unreadable = config.command(&["check", "--config", "steersman.yaml"]);
    assert!(text(&unreadable.stderr).contains("unusable-file"), "{}", text(&unreadable.stderr));
    config.write("ca.pem", &authority.issuer.pem());
    let server = config.serve();
    assert_eq!(dig(server.port(), "www.test.example"), ["127.0.0.1"]);
    let status = config.status();
    let certificate = &status["targets"][0]["certificate"];
    assert_eq!((&certificate["expires_unix_s"], &certificate["expires_soon"]), (&end.into(), &true.into()), "{status}");
    config.wait_status(&["up", "pass in", "; the certificate expires in 9d"]);
    server.wait_line(&["WARN", "the certificate of tls 127.0.0.1", "expires in 9d"]);
    let (_, shown) = probe(&config, "tls", "m0");
    assert!(shown.contains("certificate") && shown.contains("expires in 9d") && shown.contains(": soon"), "{shown}");
}

//--- steersman probe

fn probe(config: &Config, monitor: &str, member: &str) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = config.command(&["probe", "--config", "steersman.yaml", monitor, member]);
    (status.code(), text(&stdout) + &text(&stderr))
}

#[test]
fn a_probe_by_hand_shows_each_step_and_says_by_its_exit_code_what_came_of_it() {
    let mut backends = Backend::some(63, 2);
    let monitors = format!("{}  agent: {{type: push}}\n", web(&backends[0]));
    let pools = format!(
        "  p0: {{monitors: [web, agent], members: [{{name: m0, a: 192.0.2.1, probe_address: {}}}]}}\n  p1: {{monitor: web, members: [{{name: m1, a: {}}}]}}\n",
        backends[0].ip(),
        backends[1].ip(),
    );
    let config = Config::new(&policies(&monitors, &pools), WWW);
    let (code, shown) = probe(&config, "web", "m0");
    assert_eq!(code, Some(0), "{shown}");
    let address = format!("{}, for 192.0.2.1", backends[0].addr());
    for part in ["member", "m0 of pool p0", &address, "connect", "first byte", "HTTP/1.1 200 OK", "end", "verdict: passed in"] {
        assert!(shown.contains(part), "{part} is missing from\n{shown}");
    }
    backends[1].fall_ill();
    let (code, shown) = probe(&config, "web", "p1/m1");
    assert!(code == Some(1) && shown.contains("verdict: failed: HTTP 500"), "{shown}");
    backends[1].kill();
    let (code, shown) = probe(&config, "web", "p1/m1");
    assert!(code == Some(1) && shown.contains("verdict: failed: connection refused") && !shown.contains("first byte"), "{shown}");
    let (code, shown) = probe(&config, "agent", "m0");
    assert!(code == Some(2) && shown.contains("heard by the server only: see `steersman status`"), "{shown}");
}

#[test]
fn a_probe_by_hand_of_a_calculation_says_what_it_comes_to() {
    let backends = Backend::some(66, 1);
    let monitors = format!(
        "{}  dead: {{type: tcp, port: 9}}\n  well: {{type: calculated, any: [{{not: web}}, {{not: dead}}]}}\n  ill: {{type: calculated, all: [web, dead]}}\n",
        web(&backends[0])
    );
    let ip = backends[0].ip();
    let pools =
        format!("  p0: {{monitors: [well, ill], members: [{{name: m0, a: {ip}}}]}}\n  p1: {{members: [{{name: m1, a: 192.0.2.2}}]}}\n");
    let config = Config::new(&policies(&monitors, &pools), WWW);
    let (code, shown) = probe(&config, "well", "m0");
    assert!(code == Some(0) && shown.contains("failed: connection refused") && shown.ends_with("well (IPv4): up\n"), "{shown}");
    let (code, shown) = probe(&config, "ill", "m0");
    assert!(code == Some(1) && shown.ends_with("ill (IPv4): down\n"), "{shown}");
}

#[test]
fn what_could_not_be_written_is_no_success() {
    let backends = Backend::some(118, 1);
    let pools = format!(
        "  p0: {{monitor: web, members: [{{name: m0, a: {}}}]}}\n  p1: {{members: [{{name: m1, a: 192.0.2.2}}]}}\n",
        backends[0].ip()
    );
    let config = Config::new(&policies(&web(&backends[0]), &pools), WWW);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("every Linux has it");
    let main = config.directory().join("steersman.yaml");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_steersman"));
    let Output { status, stderr, .. } =
        command.args(["probe", "--config"]).arg(main).args(["web", "m0"]).stdout(full).output().expect("it runs");
    assert!(status.code() == Some(1) && text(&stderr).contains("could be written"), "{status}: {}", text(&stderr));
}

#[test]
fn a_name_server_is_checked_by_what_it_answers() {
    let pools = "  p0: {members: [{name: m0, a: 192.0.2.1}]}\n  p1: {members: [{name: m1, a: 192.0.2.2}]}\n";
    let served = Config::new(&policies("", pools), WWW);
    let server = served.serve();
    let monitors = |answer: &str| format!("  ns: {{type: dns, port: {}, question: www.test.example A, answer: {answer}}}\n", server.port());
    let members = "  p0: {monitor: ns, members: [{name: ns, a: 127.0.0.1}]}\n  p1: {members: [{name: m1, a: 192.0.2.2}]}\n";
    let config = Config::new(&policies(&monitors("192.0.2.1"), members), WWW);
    let (code, shown) = probe(&config, "ns", "ns");
    assert!(code == Some(0) && shown.contains("over UDP"), "{shown}");
    config.policies(&policies(&monitors("192.0.2.9"), members));
    let (code, shown) = probe(&config, "ns", "ns");
    assert!(code == Some(1) && shown.contains("A 192.0.2.9 is not among the 1 answers"), "{shown}");
}

#[test]
fn a_probe_by_hand_says_what_it_cannot_find() {
    let backends = Backend::some(64, 1);
    let pools = format!(
        "  p0: {{monitor: web, members: [{{name: m0, a: {0}}}, {{name: off, a: 192.0.2.9, disabled: true}}]}}\n  p1: {{monitor: web, members: [{{name: m0, a: {0}}}]}}\n",
        backends[0].ip()
    );
    let config = Config::new(&policies(&web(&backends[0]), &pools), WWW);
    for (monitor, member, words) in [
        ("web", "nobody", "no pool has a member named `nobody`"),
        ("web", "m0", "say which: `p0/m0`, `p1/m0`"),
        ("wed", "p0/m0", "the monitor `wed` is not on the member `p0/m0` of pool `p0`"),
        ("web", "off", "is disabled"),
    ] {
        let (code, shown) = probe(&config, monitor, member);
        assert!(code == Some(2) && shown.contains(words), "{shown}");
    }
    config.policies("pools: {");
    assert_eq!(probe(&config, "web", "m0").0, Some(2));
}

#[test]
fn what_may_not_be_probed_is_not_served() {
    let backends = Backend::some(65, 1);
    let pools = format!(
        "  p0: {{monitor: web, members: [{{name: m0, a: {}}}]}}\n  p1: {{members: [{{name: m1, a: 192.0.2.2}}]}}\n",
        backends[0].ip()
    );
    let config = Config::new(&policies(&web(&backends[0]), &pools), WWW);
    let server: Server = config.serve();
    let strict = std::fs::read_to_string(config.directory().join("steersman.yaml")).expect("written");
    config.write("steersman.yaml", &strict.replace("[default, 127.0.0.0/8]", "[default]"));
    let reload = config.command(&["reload"]);
    let said = text(&reload.stdout) + &text(&reload.stderr);
    assert!(!reload.status.success() && said.contains("forbidden-address") && said.contains("all.yaml:4:"), "{said}");
    assert_eq!(dig(server.port(), "www.test.example"), [backends[0].ip()], "the old config goes on");
}
