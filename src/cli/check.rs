//! `steersman check`: what is wrong with a config, or what it means.
//!
//! Faults go to standard error, each with its place and the fix; what would be served and probed goes to standard output.
//! The summary is read off the compiled snapshot, not the files: it shows what the server would do, merged checks and all.

use super::table::columns;
use crate::check::{Check, HttpCheck, HttpVersion, TextRule, TlsRules};
use crate::diagnostic::{Diagnostics, Severity};
use crate::health::{Rules, hurries_per_second_max};
use crate::human::{count, span};
use crate::ids::Id;
use crate::io::files;
use crate::io::fingerprint::Fingerprint;
use crate::policy::{Graph, LastResort, MinHealthy, Node, Policy, Pool, Protection, Steer};
use crate::snapshot::{Settings, Snapshot, Target};
use crate::zone::Zones;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Checks the config at `path`; 0 when it can be served, 1 when not.
pub fn run(path: &Path) -> ExitCode {
    let (snapshot, mut diagnostics) = files::load_and_compile(path, &Fingerprint::default());
    diagnostics.sort();
    if diagnostics.iter().next().is_some() {
        eprintln!("{}\n", diagnostics.render(std::io::stderr().is_terminal()));
    }
    let Some(snapshot) = snapshot else {
        eprintln!("{}: {}; it cannot be served", path.display(), counts(&diagnostics));
        return ExitCode::FAILURE;
    };
    if diagnostics.count(Severity::Warning) > 0 {
        eprintln!("{}: {}", path.display(), counts(&diagnostics));
    }
    // Who reads only the first lines of it (`| head`) has seen enough.
    let _ = std::io::stdout().write_all(summary(&snapshot).as_bytes());
    ExitCode::SUCCESS
}

/// `2 errors, 1 warning`.
fn counts(diagnostics: &Diagnostics) -> String {
    let kinds = [(Severity::Error, "error"), (Severity::Warning, "warning")];
    let found = kinds.map(|(severity, noun)| (diagnostics.count(severity), noun));
    let told = found.into_iter().filter(|(number, _)| *number > 0).map(|(number, noun)| count(number, noun));
    told.collect::<Vec<_>>().join(", ")
}

/// What would be served and probed, as tables.
fn summary(snapshot: &Snapshot) -> String {
    let Snapshot { settings, zones, graph, targets, .. } = snapshot;
    let parts = [
        listeners(settings),
        table("zones", &["ZONE", "NAMES", "STEERED", "DENIALS KEPT"], zone_rows(zones)),
        table("steered names", &["NAME", "TYPES", "DECIDED BY", "TTL", "WHEN ALL IS DOWN"], steer_rows(zones, graph)),
        table("pools", &["POOL", "MEMBERS", "HEALTHY FROM", "CHECKS"], pool_rows(graph)),
        table("protections", &["PROTECTION", "POOLS", "NEVER FEWER THAN", "REMOVED AT MOST"], protection_rows(graph)),
        table("probes", &["CHECK", "TARGETS", "EVERY", "PROBES/S", "DOWN AFTER", "UP AFTER", "TTL UP TO"], probe_rows(targets.rows()))
            + &pace(targets.rows()),
    ];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// A title, a row of headings, and rows; nothing when there are none.
fn table(title: &str, headings: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let title = format!("{title} ({})\n", rows.len());
    let headings = headings.iter().map(ToString::to_string).collect();
    let mut lines = [vec![headings], rows].concat();
    for line in &mut lines {
        line[0].insert_str(0, "  ");
    }
    title + &columns(&lines)
}

fn listeners(settings: &Settings) -> String {
    let places = |addrs: &[std::net::SocketAddr]| addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let plain = format!("listens on {} (UDP and TCP)", places(&settings.listen));
    let dot = settings.dot.as_ref().map(|dot| format!("; DNS over TLS on {}", places(&dot.listen)));
    format!("{plain}{}\n", dot.unwrap_or_default())
}

//--- Zones and what they steer

fn zone_rows(zones: &Zones) -> Vec<Vec<String>> {
    let row = |zone: &crate::zone::Zone| {
        let (names, steered) = zone.counts();
        vec![zone.apex.to_string(), names.to_string(), steered.to_string(), seconds(zone.negative_ttl_s)]
    };
    zones.iter().map(|(_, zone)| row(zone)).collect()
}

fn steer_rows(zones: &Zones, graph: &Graph) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = zones
        .steered()
        .map(|(name, steer)| {
            let steer = &graph.steers[steer];
            vec![name.to_string(), types(steer), decider(steer, graph), ttl(steer), last_resort(steer, graph)]
        })
        .collect();
    rows.sort();
    rows
}

fn types(steer: &Steer) -> String {
    let types = ["A", "AAAA"].into_iter().zip(steer.families).filter(|(_, has)| *has).map(|(rtype, _)| rtype);
    types.collect::<Vec<_>>().join(", ")
}

fn decider(steer: &Steer, graph: &Graph) -> String {
    match &graph.nodes[steer.root] {
        Node::Pool(pool) => format!("pool {}", graph.pools[*pool].name),
        Node::Policy { name, policy, .. } => format!("{} policy {name}", kind(policy)),
    }
}

fn kind(policy: &Policy) -> &'static str {
    match policy {
        Policy::Failover => "failover",
        Policy::Weighted(_) => "weighted",
        Policy::RoundRobin { .. } => "round_robin",
        Policy::Geo { .. } => "geo",
        Policy::Latency { .. } => "latency",
    }
}

fn ttl(steer: &Steer) -> String {
    match (steer.ttl.min_s, steer.ttl.max_s) {
        (min, max) if min == max => seconds(max),
        (min, max) => format!("{} to {}", seconds(min), seconds(max)),
    }
}

fn last_resort(steer: &Steer, graph: &Graph) -> String {
    let answer = match steer.on_all_down {
        LastResort::NoData => "NODATA".to_owned(),
        LastResort::ServFail => return "SERVFAIL".to_owned(),
        LastResort::ServeAll => "all members, as if up".to_owned(),
        LastResort::LastKnown => "the members last known to be up".to_owned(),
        LastResort::Fallback(node) => match &graph.nodes[node] {
            Node::Pool(pool) => format!("pool {}", graph.pools[*pool].name),
            Node::Policy { name, .. } => format!("policy {name}"),
        },
    };
    format!("{answer}, for {}", seconds(steer.on_all_down_ttl_s))
}

fn seconds(seconds: u32) -> String {
    span(Duration::from_secs(seconds.into()))
}

//--- Pools and probes

fn pool_rows(graph: &Graph) -> Vec<Vec<String>> {
    graph.pools.rows().iter().map(|pool| vec![pool.name.to_string(), members(pool), healthy_from(pool), checks(pool)]).collect()
}

fn protection_rows(graph: &Graph) -> Vec<Vec<String>> {
    let row = |rule: &Protection| {
        let pools: Vec<&str> = rule.pools.iter().map(|pool| &*graph.pools[*pool].name).collect();
        let least = [(rule.min_members, "member"), (rule.min_sites, "site")];
        let least: Vec<String> =
            least.into_iter().filter(|(number, _)| *number > 0).map(|(number, noun)| count(number as usize, noun)).collect();
        let most = rule.max_removed.map_or_else(|| "-".to_owned(), |(percent, within)| format!("{percent}% in {}", span(within)));
        let least = if least.is_empty() { "-".to_owned() } else { least.join(", ") };
        vec![rule.name.to_string(), pools.join(", "), least, most]
    };
    graph.protections.iter().map(row).collect()
}

fn members(pool: &Pool) -> String {
    match pool.members.iter().filter(|member| member.disabled).count() {
        0 => pool.members.len().to_string(),
        disabled => format!("{} ({disabled} disabled)", pool.members.len()),
    }
}

fn healthy_from(pool: &Pool) -> String {
    match pool.min_healthy {
        MinHealthy::Percent(percent) => format!("{percent}% of the weight"),
        MinHealthy::Count(number) => count(number as usize, "member"),
    }
}

fn checks(pool: &Pool) -> String {
    let mut targets: Vec<usize> =
        pool.members.iter().flat_map(|member| member.checks.iter().flatten()).map(|target| target.index()).collect();
    targets.sort_unstable();
    targets.dedup();
    if targets.is_empty() { "none: members always count as up".to_owned() } else { count(targets.len(), "target") }
}

/// Targets that are checked alike, a row each.
fn probe_rows(targets: &[Target]) -> Vec<Vec<String>> {
    let mut alike: BTreeMap<String, (Rules, usize)> = BTreeMap::new();
    for target in targets {
        // Merged targets may be stricter than others with the same check: they get a row of their own.
        let key = format!("{}\0{:?}", check(target), target.rules);
        alike.entry(key).or_insert((target.rules, 0)).1 += 1;
    }
    alike.iter().map(|(key, (rules, targets))| probe_row(key.split('\0').next().unwrap_or_default(), *rules, *targets)).collect()
}

/// How many probes that makes, and for how many dying at once DOWN AFTER holds; nothing when nothing is probed.
fn pace(targets: &[Target]) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let rules = || targets.iter().map(|target| &target.rules);
    let in_slots: f64 = rules().map(|rules| rules.interval.as_secs_f64().recip()).sum();
    let room = hurries_per_second_max(rules());
    let wanted: f64 = rules().map(Rules::hurries_per_second).sum();
    let all = format!("  {in_slots:.1} probes/s in all, and up to {room} more while members fail");
    #[allow(clippy::cast_precision_loss, reason = "a share is shown in percent")]
    let share = room as f64 / wanted;
    if share >= 1.0 {
        return format!("{all}: enough if all failed at once\n");
    }
    let latest = rules().map(Rules::detection_unhurried).max().unwrap_or_default();
    let percent = (share * 100.0).round();
    format!(
        "{all}: enough if some {percent}% of the targets failed at once; of more, some are down only after fall x EVERY and a timeout, {} at most\n",
        span(latest)
    )
}

fn probe_row(check: &str, rules: Rules, targets: usize) -> Vec<String> {
    #[allow(clippy::cast_precision_loss, reason = "a rate is shown with one decimal")]
    let rate = targets as f64 / rules.interval.as_secs_f64();
    vec![
        check.to_owned(),
        targets.to_string(),
        span(rules.interval),
        format!("{rate:.1}"),
        span(rules.detection()),
        span(rules.recovery()),
        // What a member that has not failed yet is sure to hold: nothing is handed out for longer.
        span(rules.nominal()),
    ]
}

/// What a probe does, without the address.
fn check(target: &Target) -> String {
    let port = target.addr.port();
    match &target.check {
        Check::Tcp(check) => format!("tcp, port {port}{}{}", if check.send.is_some() { ", sends" } else { "" }, text(&check.text)),
        Check::Http(check) => http(check, port),
        Check::Tls(check) => format!("tls {}:{port}{}", host(check.host.as_deref()), rules(&check.rules)),
        Check::Grpc(check) => {
            let service = if check.service.is_empty() { String::new() } else { format!(" service {}", check.service) };
            let way = check.tls.as_ref().map_or_else(|| ", in the clear".to_owned(), rules);
            format!("grpc {}:{port}{service}{way}", host(check.host.as_deref()))
        }
        Check::Dns(check) => {
            let codes: Vec<_> = check.rcodes.iter().map(|&code| crate::check::dns::rcode_word(code)).collect();
            let answers: Vec<_> = check.answers.iter().map(|wire| format!(", {}", crate::check::dns::present(check.rtype, wire))).collect();
            format!("dns, port {port}: {} {} -> {}{}", check.name, check.rtype, codes.join(" or "), answers.concat())
        }
        Check::Icmp => "icmp echo".to_owned(),
        Check::Exec(check) => format!("exec {}", check.command.join(" ")),
        Check::File(check) => format!("file {}", check.path.display()),
        Check::Push(check) => format!("push, as {}, silent for {} at most", check.monitor, span(check.expires)),
    }
}

fn http(check: &HttpCheck, port: u16) -> String {
    let statuses = check.expect.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    let statuses = statuses.collect::<Vec<_>>().join(", ");
    let (scheme, host) = (check.scheme(), host(check.host.as_deref()));
    let version = if check.version == HttpVersion::Two { " (HTTP/2)" } else { "" };
    let way = check.tls.as_ref().map(rules).unwrap_or_default();
    let said = text(&check.text);
    format!("{} {scheme}://{host}:{port}{}{version} -> {statuses}{said}{way}", check.method.word(), check.path)
}

/// Without a name of its own each target is asked for its address.
fn host(host: Option<&str>) -> &str {
    host.filter(|host| host.parse::<std::net::IpAddr>().is_err()).unwrap_or("ADDRESS")
}

fn text(rule: &TextRule) -> String {
    let texts = rule.contains.iter().map(|text| format!(", {text:?}"));
    texts.chain(rule.matches.iter().map(|pattern| format!(", {pattern:?}"))).collect()
}

fn rules(rules: &TlsRules) -> String {
    let notes = [
        (!rules.verify).then(|| ", certificate not verified".to_owned()),
        rules.ca.as_ref().map(|ca| format!(", authorities of {}", ca.display())),
        rules.client.as_ref().map(|client| format!(", shows {}", client.certificate.display())),
    ];
    notes.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Inputs, compile};
    use crate::config::server;
    use crate::diagnostic::Source;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "test.yaml".to_owned(), text: text.to_owned() })
    }

    fn snapshot(policies: &str, zone: &str) -> Snapshot {
        let text = "listen: \"127.0.0.1:5300\"\nzones: zone.yaml\n";
        let server = server::read(&source(text), &mut Diagnostics::new()).expect("a sound main file");
        let (policies, zones) = (vec![source(policies)], vec![source(zone)]);
        let inputs = Inputs { server, base: PathBuf::new(), policies, regions: Vec::new(), zones, city: None, asn: None, cores: 1 };
        let (snapshot, diagnostics) = compile(inputs);
        snapshot.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
    }

    const ZONE: &str = r#"
zone: gslb.example.com
soa: {mname: ns1, rname: hostmaster.example.com.}
records:
  "@": {NS: ns1}
  ns1: {A: 192.0.2.53}
  www: {steer: www}
  v4: {steer: nyc}
  last: {steer: last}
"#;

    const POLICIES: &str = r#"
monitors:
  web: {type: https, host: www.example.com, path: /healthz}
  fast: {type: https, host: www.example.com, path: /healthz, interval: 1s}
  port: {type: tcp, port: 443}
pools:
  fra:
    monitors: [web, port]
    members: [{name: fra-1, a: 192.0.2.1, aaaa: "2001:db8::1"}, {name: fra-2, a: 192.0.2.2, aaaa: "2001:db8::2", disabled: true}]
  nyc: {monitor: fast, min_healthy: 1, on_all_down: serve_all, ttl: 10s, members: [{name: nyc-1, a: 198.51.100.1}]}
  spare: {members: [{name: spare-1, a: 203.0.113.1}]}
protect:
  core: {pools: [fra, nyc], min_members: 1, min_sites: 1, max_removed: 30%}
policies:
  www: {type: failover, use: [fra]}
  last: {type: weighted, use: [fra], on_all_down: {fallback: spare}, on_all_down_ttl: 1m}
"#;

    #[test]
    fn a_sound_config_is_summed_up_in_tables() {
        let shown = summary(&snapshot(POLICIES, ZONE));
        assert_eq!(shown, EXPECTED, "shown:\n{shown}");
    }

    const EXPECTED: &str = "\
listens on 127.0.0.1:5300 (UDP and TCP)

zones (1)
  ZONE               NAMES  STEERED  DENIALS KEPT
  gslb.example.com.  5      3        30s

steered names (3)
  NAME                    TYPES    DECIDED BY            TTL        WHEN ALL IS DOWN
  last.gslb.example.com.  A, AAAA  weighted policy last  5s to 30s  pool spare, for 1m
  v4.gslb.example.com.    A        pool nyc              5s to 10s  all members, as if up, for 5s
  www.gslb.example.com.   A, AAAA  failover policy www   5s to 30s  NODATA, for 5s

pools (3)
  POOL   MEMBERS         HEALTHY FROM       CHECKS
  fra    2 (1 disabled)  50% of the weight  4 targets
  nyc    1               1 member           1 target
  spare  1               50% of the weight  none: members always count as up

protections (1)
  PROTECTION  POOLS     NEVER FEWER THAN  REMOVED AT MOST
  core        fra, nyc  1 member, 1 site  30% in 1m

probes (3)
  CHECK                                               TARGETS  EVERY  PROBES/S  DOWN AFTER  UP AFTER  TTL UP TO
  GET https://www.example.com:443/healthz -> 200-299  1        1s     1.0       3.5s        2s        3s
  GET https://www.example.com:443/healthz -> 200-299  2        5s     0.4       11s         10s       6.1s
  tcp, port 443                                       2        5s     0.4       11s         10s       6.1s
  1.8 probes/s in all, and up to 1099 more while members fail: enough if all failed at once
";

    #[test]
    fn so_many_targets_that_not_all_can_be_hurried_at_once_are_told_of() {
        let rules = Rules { fast_interval: Duration::from_secs(1), ..Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 2, 3) };
        let target = |number: u16| {
            let addr = std::net::SocketAddr::from(([192, 0, 2, 1], number));
            Target::new(addr.to_string(), rules, addr, Check::Icmp)
        };
        // Two probes each within the five seconds over which those who die at once are spread: 0.4 a second, beside 0.2 in slots.
        let at_most = 1_833;
        let targets: Vec<Target> = (0..at_most).map(target).collect();
        assert_eq!(pace(&targets), "  366.6 probes/s in all, and up to 734 more while members fail: enough if all failed at once\n");
        let targets: Vec<Target> = (0..10_000).map(target).collect();
        let told = pace(&targets);
        assert_eq!(
            told,
            "  2000.0 probes/s in all, and up to 200 more while members fail: enough if some 5% of the targets failed at once; \
             of more, some are down only after fall x EVERY and a timeout, 17s at most\n"
        );
        assert_eq!(pace(&[]), "");
    }

    #[test]
    fn what_is_not_there_has_no_table() {
        let shown = summary(&snapshot(
            "",
            &ZONE.replace("steer: www", "A: 192.0.2.1").replace("steer: nyc", "A: 192.0.2.1").replace("steer: last", "A: 192.0.2.1"),
        ));
        assert!(shown.contains("zones (1)") && !shown.contains("pools") && !shown.contains("probes"), "{shown}");
    }

    #[test]
    fn faults_are_counted_in_words() {
        use crate::diagnostic::{Diagnostic, Span};
        let place = Span::start_of(&source(""));
        let mut diagnostics = Diagnostics::new();
        diagnostics.push(Diagnostic::warning("w", &place, "a"));
        assert_eq!(counts(&diagnostics), "1 warning");
        diagnostics.push(Diagnostic::error("e", &place, "b"));
        diagnostics.push(Diagnostic::error("e", &place, "c"));
        assert_eq!(counts(&diagnostics), "2 errors, 1 warning");
    }
}
