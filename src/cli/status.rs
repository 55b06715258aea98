//! `steersman status`: what a running server believes, as a table that people like to read.

use super::table::columns;
use super::{fail, say};
use crate::human::{count, span};
use crate::io::admin_client::{self, Response};
use crate::io::status::{AddressStatus, MemberStatus, PoolStatus, StatusView, TargetStatus};
use crate::snapshot::AdminAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Asks the server at `addr` and prints the answer.
pub fn run(addr: &AdminAddr, json: bool) -> ExitCode {
    match admin_client::request(addr, "GET", "/v1/status") {
        Ok(Response { code: 200, body }) if json => {
            say(&(body + "\n"));
            ExitCode::SUCCESS
        }
        Ok(Response { code: 200, body }) => match serde_json::from_str(&body) {
            Ok(view) => {
                say(&render(&view));
                ExitCode::SUCCESS
            }
            Err(error) => fail(&format!("what listens at {} is no steersman, or a much newer one: {error}", name(addr))),
        },
        Ok(Response { code, body }) => fail(&format!("the server answered {code}: {}", body.trim())),
        Err(why) => fail(&format!("the admin interface at {}: {why}; is the server running?", name(addr))),
    }
}

/// An admin address as the flag takes it.
pub fn name(addr: &AdminAddr) -> String {
    match addr {
        AdminAddr::Tcp(addr) => addr.to_string(),
        AdminAddr::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn render(view: &StatusView) -> String {
    let mut rows = vec![HEAD.map(String::from).to_vec()];
    rows.extend(view.pools.iter().flat_map(pool_rows));
    format!("{}\n\n{}{}", headline(view), columns(&rows), notes(view))
}

/// What is held for or against members beside their verdicts, a line each.
fn notes(view: &StatusView) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (pool, member) in view.pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member))) {
        for note in member.addresses.iter().flat_map(|address| &address.notes) {
            let line = format!("{}/{} {note}\n", pool.name, member.name);
            // Both families of a member are mostly noted alike.
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    if lines.is_empty() { String::new() } else { format!("\n{}", lines.concat()) }
}

const HEAD: [&str; 10] = ["POOL", "GRADE", "MEMBER", "SITE", "ADDRESS", "VERDICT", "SINCE", "CONNECT", "NEXT", "LAST RESULT"];

fn headline(view: &StatusView) -> String {
    let age = span(Duration::from_secs_f64(view.age_s.max(0.0)));
    let zones = match view.zones.as_slice() {
        few @ [_, ..] if few.len() <= 3 => few.join(" "),
        many => count(many.len(), "zone"),
    };
    let targets = count(view.targets.len(), "target");
    let trouble = match &view.suspicion {
        Some(doubt) => {
            let lasts = span(Duration::from_secs_f64(doubt.for_s.max(0.0)));
            format!("\nSUSPECT for {lasts}: {}; verdicts are held", doubt.why)
        }
        None if !view.probes_come_in => "\nSTALLED: no probe comes back; verdicts stand still".to_owned(),
        None => String::new(),
    };
    let canaries: String = view.targets.iter().filter(|target| target.canary && target.verdict == "down").map(canary).collect();
    format!(
        "steersman {} is {}: generation {} for {age}, {zones}, {targets} probed{trouble}{canaries}",
        view.version, view.state, view.generation
    )
}

/// A canary that is of little use.
fn canary(target: &TargetStatus) -> String {
    format!("\nCANARY {} is down: {}", target.identity, target.last_result.as_deref().unwrap_or("not seen"))
}

fn pool_rows(pool: &PoolStatus) -> Vec<Vec<String>> {
    let addresses = pool.members.iter().flat_map(|member| member.addresses.iter().enumerate().map(move |(index, a)| (member, index, a)));
    let mut rows: Vec<Vec<String>> = addresses.map(|(member, index, address)| row(member, index, address)).collect();
    // Names stand once, in the first row of what they name.
    if let Some(first) = rows.first_mut() {
        first[0].clone_from(&pool.name);
        first[1].clone_from(&pool.grade);
    }
    rows
}

fn row(member: &MemberStatus, index: usize, address: &AddressStatus) -> Vec<String> {
    let first = |text: &str| if index == 0 { text.to_owned() } else { String::new() };
    let dash = || "-".to_owned();
    vec![
        String::new(),
        String::new(),
        first(&member.name),
        first(member.site.as_deref().unwrap_or("-")),
        address.address.to_string(),
        verdict(member, address),
        span(Duration::from_secs_f64(address.for_s.max(0.0))),
        address.latency_ms.map_or_else(dash, |ms| format!("{ms:.1}ms")),
        address.next_probe_in_s.map_or_else(dash, |s| span(Duration::from_secs_f64(s.max(0.0)))),
        address.last_result.clone().unwrap_or_else(|| if address.targets.is_empty() { "not monitored".to_owned() } else { dash() }),
    ]
}

fn verdict(member: &MemberStatus, address: &AddressStatus) -> String {
    let AddressStatus { verdict, suspect, forced, .. } = address;
    match (member.disabled, forced, suspect) {
        (true, ..) => "disabled".to_owned(),
        // What is true stays visible beside what is forced.
        (false, Some(forced), _) => format!("{forced}! ({verdict})"),
        (false, None, true) => format!("{verdict}?"),
        (false, None, false) => verdict.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::status::SuspicionStatus;
    use std::collections::BTreeMap;

    fn address(address: &str, verdict: &str, last: Option<&str>) -> AddressStatus {
        AddressStatus {
            family: "ipv4".into(),
            address: address.parse().expect("an address"),
            verdict: verdict.into(),
            suspect: verdict == "down",
            forced: None,
            kept_by: None,
            held_back: false,
            share: 1.0,
            notes: Vec::new(),
            since_unix_s: 0,
            for_s: 7_980.0,
            latency_ms: last.map(|_| 1.25),
            targets: last.iter().map(|_| "http 192.0.2.1:80".to_owned()).collect(),
            last_result: last.map(str::to_owned),
            next_probe_in_s: last.map(|_| 2.5),
        }
    }

    fn canary(identity: &str, verdict: &str) -> TargetStatus {
        TargetStatus {
            identity: identity.into(),
            verdict: verdict.into(),
            since_unix_s: 0,
            in_a_row: 3,
            loss: None,
            flaps: 0,
            held_for_s: 0.0,
            last_result: Some("connection refused".into()),
            last_unix_s: Some(0),
            next_probe_in_s: 1.0,
            interval_s: 2.0,
            probes: BTreeMap::new(),
            canary: true,
            certificate: None,
        }
    }

    #[test]
    fn the_table_names_each_pool_and_member_once() {
        let fra = MemberStatus {
            name: "fra-1".into(),
            site: Some("fra".into()),
            weight: 1,
            disabled: false,
            addresses: vec![address("192.0.2.1", "up", Some("pass in 12ms")), address("2001:db8::1", "down", Some("HTTP 500"))],
        };
        let mut fra = fra;
        fra.addresses[0].forced = Some("down".into());
        fra.addresses[0].notes = vec!["is forced down by alice (disk swap): in force; until it is cleared".into()];
        let spare = MemberStatus {
            name: "spare".into(),
            site: None,
            weight: 0,
            disabled: true,
            addresses: vec![address("192.0.2.9", "down", None)],
        };
        let view = StatusView {
            version: "0.1.0".into(),
            state: "serving".into(),
            generation: 2,
            fingerprint: String::new(),
            since_unix_s: 0,
            started_unix_s: 0,
            age_s: 61.0,
            verdict_changes: 0,
            detections: crate::io::status::TimesStatus::default(),
            lateness: crate::io::status::TimesStatus::default(),
            suspicion: Some(SuspicionStatus { why: "all 2 canaries are silent".into(), since_unix_s: 0, for_s: 12.0 }),
            probes_come_in: true,
            journal: None,
            overrides: Vec::new(),
            pools_prepared: 0,
            reloads: BTreeMap::new(),
            zones: vec!["gslb.example.com.".into()],
            pools: vec![PoolStatus {
                name: "web".into(),
                grade: "degraded".into(),
                usable: 1,
                dead_answers: 0.0,
                exposure_s: 0.0,
                members: vec![fra, spare],
            }],
            targets: vec![canary("tcp 203.0.113.1:443", "down"), canary("tcp 203.0.113.2:443", "up")],
        };
        assert_eq!(
            render(&view),
            "steersman 0.1.0 is serving: generation 2 for 1m1s, gslb.example.com., 2 targets probed\n\
             SUSPECT for 12s: all 2 canaries are silent; verdicts are held\n\
             CANARY tcp 203.0.113.1:443 is down: connection refused\n\
             \n\
             POOL  GRADE     MEMBER  SITE  ADDRESS      VERDICT     SINCE  CONNECT  NEXT  LAST RESULT\n\
             web   degraded  fra-1   fra   192.0.2.1    down! (up)  2h13m  1.2ms    2.5s  pass in 12ms\n                              \
             2001:db8::1  down?       2h13m  1.2ms    2.5s  HTTP 500\n                \
             spare   -     192.0.2.9    disabled    2h13m  -        -     not monitored\n\n\
             web/fra-1 is forced down by alice (disk swap): in force; until it is cleared\n"
        );
    }
}
