//! `steersman explain`: why a client gets the answer it gets.

use super::{fail, say};
use crate::explain::{Case, explain};
use crate::health::{Ledger, Status, TargetVerdict, Verdict};
use crate::io::watch::Fingerprint;
use crate::io::{admin_client, files};
use crate::live::Live;
use crate::snapshot::{AdminAddr, Snapshot, Target};
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Asks the server at `addr`, which answers from what it believes now.
pub fn live(addr: &AdminAddr, case: &Case) -> ExitCode {
    match admin_client::request(addr, "GET", &query(case)) {
        Ok(response) if response.code == 200 => {
            say(&response.body);
            ExitCode::SUCCESS
        }
        Ok(response) => fail(&format!("the server answered {}: {}", response.code, response.body.trim())),
        Err(why) => {
            let hint = "--offline answers from the config alone";
            fail(&format!("the admin interface at {}: {why}; {hint}", super::status::name(addr)))
        }
    }
}

/// Answers from the config at `path`, with every member up but those in `down`.
pub fn offline(path: &Path, case: &Case, down: &[String]) -> ExitCode {
    let (snapshot, diagnostics) = files::load_and_compile(path, &Fingerprint::default());
    let Some(snapshot) = snapshot else {
        eprintln!("{}\n", diagnostics.render(std::io::stderr().is_terminal()));
        return fail(&format!("{} has errors", path.display()));
    };
    if let Some(stranger) = down.iter().find(|name| !has_member(&snapshot, name)) {
        return fail(&format!("no pool has a member named `{stranger}`"));
    }
    let live = believe(Arc::new(snapshot), down);
    say(&explain(&live, case).render(&live, case));
    ExitCode::SUCCESS
}

fn has_member(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.graph.pools.rows().iter().any(|pool| pool.members.iter().any(|member| *member.name == *name))
}

fn believe(snapshot: Arc<Snapshot>, down: &[String]) -> Live {
    let config = Arc::clone(&snapshot);
    let ledger = steady(&config);
    Live::prepare(snapshot, |pool, member, family| {
        let member = &config.graph.pools[pool].members[member];
        match &member.conditions[family] {
            _ if member.disabled || down.iter().any(|down| **down == *member.name) => Verdict::DISABLED,
            Some(condition) => ledger.judge(condition, &member.checks[family]),
            None => ledger.fold(&member.checks[family]),
        }
    })
}

/// What is believed of targets whose probes have all passed for long: up, and `fall` failures away from down.
fn steady(config: &Snapshot) -> Ledger {
    let mut ledger = Ledger::new(config.targets.len());
    for (target, Target { rules, .. }) in config.targets.iter() {
        let verdict = Verdict { status: Status::Up, holds: rules.interval * rules.fall, latency: None };
        ledger.handle_verdict(&TargetVerdict { target, verdict, was: None });
    }
    ledger
}

fn query(case: &Case) -> String {
    let mut query = format!(
        "/v1/explain?name={}&type={}&client={}&seed={}",
        escape(&case.name.to_string()),
        case.qtype,
        escape(&case.client.to_string()),
        case.seed
    );
    if let Some(subnet) = case.subnet {
        let _ = write!(query, "&subnet={}", escape(&subnet.to_string()));
    }
    query
}

/// Percent-encodes what a query string cannot hold (RFC 3986 section 2.3).
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        let _ = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => write!(escaped, "{}", char::from(byte)),
            _ => write!(escaped, "%{byte:02X}"),
        };
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_survives_the_query_string() {
        let case = Case::parse(r"*.a\.b.example.com", "AAAA", "2001:db8::1", Some("203.0.113.0/24"), 7).expect("a case");
        let expected = "/v1/explain?name=%2A.a%5C.b.example.com.&type=AAAA&client=2001%3Adb8%3A%3A1&seed=7&subnet=203.0.113.0%2F24";
        assert_eq!(query(&case), expected);
    }
}
