//! `steersman explain`: why a client gets the answer it gets.

use super::{escape, fail, say};
use crate::explain::{Case, explain};
use crate::health::{Ledger, Status, TargetVerdict, Verdict};
use crate::io::clock::wall_unix_ms;
use crate::io::fingerprint::Fingerprint;
use crate::io::replay::{Lens, Replayed, replay};
use crate::io::{admin_client, files};
use crate::live::Live;
use crate::snapshot::{AdminAddr, Snapshot, Target};
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Asks the server at `addr`, which answers from what it believes now, or believed at a time in milliseconds since 1970.
pub fn live(addr: &AdminAddr, case: &Case, at_unix_ms: Option<u64>) -> ExitCode {
    match admin_client::request(addr, "GET", &query(case, at_unix_ms)) {
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
    let Some(snapshot) = compiled(path, &Fingerprint::default()) else { return fail(&format!("{} has errors", path.display())) };
    if let Some(stranger) = down.iter().find(|name| !has_member(&snapshot, name)) {
        return fail(&format!("no pool has a member named `{stranger}`"));
    }
    let live = believe(Arc::new(snapshot), down);
    say(&explain(&live, case).render(&live, case));
    ExitCode::SUCCESS
}

/// Answers from the config at `path` and the journal, as it was at a time in milliseconds since 1970.
pub fn offline_past(path: &Path, state_dir: Option<PathBuf>, case: &Case, at_unix_ms: u64) -> ExitCode {
    let read = Fingerprint::default();
    let Some(snapshot) = compiled(path, &read) else { return fail(&format!("{} has errors", path.display())) };
    let Some(directory) = state_dir.or_else(|| snapshot.settings.state_dir.clone()) else {
        return fail("the config has no `state_dir`; name the directory of the journal with --state-dir");
    };
    let lens = Lens { snapshot: Arc::new(snapshot), generation: None, fingerprint: read.manifest().fingerprint() };
    match replay(&directory, &lens, at_unix_ms, wall_unix_ms()) {
        Ok(Replayed { live, head }) => {
            say(&(head + &explain(&live, case).render(&live, case)));
            ExitCode::SUCCESS
        }
        Err(why) => fail(&why),
    }
}

/// The config at `path`; when it has errors they are shown.
fn compiled(path: &Path, read: &Fingerprint) -> Option<Snapshot> {
    let (snapshot, diagnostics) = files::load_and_compile(path, read);
    if snapshot.is_none() {
        eprintln!("{}\n", diagnostics.render(std::io::stderr().is_terminal()));
    }
    snapshot
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
        let verdict = Verdict { status: Status::Up, holds: rules.nominal(), latency: None };
        ledger.handle_verdict(&TargetVerdict { target, verdict, was: None });
    }
    ledger
}

fn query(case: &Case, at_unix_ms: Option<u64>) -> String {
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
    if let Some(at) = at_unix_ms {
        let _ = write!(query, "&at_unix_ms={at}");
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_survives_the_query_string() {
        let case = Case::parse(r"*.a\.b.example.com", "AAAA", "2001:db8::1", Some("203.0.113.0/24"), 7).expect("a case");
        let expected = "/v1/explain?name=%2A.a%5C.b.example.com.&type=AAAA&client=2001%3Adb8%3A%3A1&seed=7&subnet=203.0.113.0%2F24";
        assert_eq!(query(&case, None), expected);
        assert_eq!(query(&case, Some(5)), format!("{expected}&at_unix_ms=5"));
    }
}
