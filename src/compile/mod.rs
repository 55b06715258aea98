//! Sections and databases to a snapshot, or all diagnostics. The only place where a name becomes an id.
//!
//! Texts and bytes enter by [`Inputs`], which the shell fills; [`compile`] gives a [`Snapshot`] when nothing is wrong, and
//! every fault that was found either way. The passes run in this order, each over what the ones before could make: read
//! sections, geography, pools (with their targets), policies, zones (which say what is steered), warnings.
//!
//! Pure: the same inputs give the same snapshot. It copies no state from the config before; the control task does that, by
//! identity and name.

mod dependencies;
mod monitors;
mod names;
mod places;
mod policies;
mod pools;
mod zone_section;
mod zones;

use crate::check::{Check, ExecCheck};
use crate::config;
use crate::config::check::CheckSection;
use crate::config::monitor::MonitorSection;
use crate::config::policies::PoliciesSection;
use crate::config::server::{AdminListen, GeoSection, ServerSection, unreadable_file};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Spanned};
use crate::geo::{Atlas, AtlasError};
use crate::ids::{Id, PoolId, Table, TargetId};
use crate::policy::Graph;
use crate::snapshot::{AdminAddr, DotSettings, Settings, Snapshot, Target, TcpLimits};
use crate::zone::ZoneSource;
use monitors::Monitors;
use names::Names;
use places::{Geography, Written};
use policies::GraphCompiler;
use pools::PoolCompiler;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that a config consists of, read but not understood.
///
/// The shell reads steersman.yaml first, by [`config::server::read`], since it names the other files; the faults of that
/// file, and those of files that are not there, are in the shell's diagnostics and not repeated by [`compile`].
#[derive(Clone, Debug)]
pub struct Inputs {
    /// What steersman.yaml says.
    pub server: ServerSection,
    /// The directory from which its paths count; that of steersman.yaml.
    pub base: PathBuf,
    /// The files that `policies` names.
    pub policies: Vec<Arc<Source>>,
    /// The files that `geo.regions` names.
    pub regions: Vec<Arc<Source>>,
    /// The files that `zones` names.
    pub zones: Vec<Arc<Source>>,
    /// The bytes of the file that `geo.city` names, when there is one that could be read.
    pub city: Option<Vec<u8>>,
    /// The bytes of the file that `geo.asn` names, when there is one that could be read.
    pub asn: Option<Vec<u8>>,
    /// Threads that answer when `workers` is not written: the number of cores.
    pub cores: usize,
}

/// Compiles a config. There is a snapshot exactly when no diagnostic is an error.
///
/// Takes the inputs, so that the texts of zones and the bytes of databases do not outlive their use.
pub fn compile(mut inputs: Inputs) -> (Option<Snapshot>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let (policies, complete) = read_policies(&inputs, &mut diagnostics);
    let zones: Vec<ZoneSource> =
        std::mem::take(&mut inputs.zones).into_iter().filter_map(|source| zones::read(&source, &mut diagnostics)).collect();
    let atlas = load_atlas(&inputs, &mut diagnostics);
    (inputs.city, inputs.asn) = (None, None);
    let snapshot = link(&inputs, &policies, complete, zones, &atlas, &mut diagnostics);
    diagnostics.sort();
    ((!diagnostics.has_errors()).then_some(snapshot), diagnostics)
}

/// All policy and region files as one section, and whether all of them could be read.
fn read_policies(inputs: &Inputs, diagnostics: &mut Diagnostics) -> (PoliciesSection, bool) {
    let mut all = PoliciesSection::default();
    let mut complete = true;
    let policies = inputs.policies.iter().map(|source| config::policies::read(source, diagnostics));
    let policies: Vec<_> = policies.collect();
    let regions = inputs.regions.iter().map(|source| config::policies::read_regions(source, diagnostics));
    for section in policies.into_iter().chain(regions) {
        match section {
            Some(section) => all.append(section),
            None => complete = false,
        }
    }
    (all, complete)
}

/// Resolves everything. The result is of use only when no error was pushed.
fn link(
    inputs: &Inputs,
    sections: &PoliciesSection,
    complete: bool,
    zones: Vec<ZoneSource>,
    atlas: &Atlas,
    diagnostics: &mut Diagnostics,
) -> Snapshot {
    let broken = &sections.broken;
    let geo = &inputs.server.geo;
    let written = Written { city: geo.city.is_some(), asn: geo.asn.is_some() };
    let region_names = Names::new("region", broken, !complete);
    let geography = Geography::new(&sections.regions, region_names, atlas, written, diagnostics);
    let (monitor_names, site_names) = (Names::new("monitor", broken, !complete), Names::new("site", broken, !complete));
    let probes = &inputs.server.probes;
    let monitors = Monitors::new(&sections.monitors, monitor_names, probes, &inputs.base, diagnostics);
    let mut pools = PoolCompiler::new(monitors, probes, &sections.sites, site_names, diagnostics);
    let compiled = pools.compile(&sections.pools, diagnostics);
    let canaries = inputs.server.canaries.iter().map(|addr| pools.canary(*addr)).collect();
    let PoolCompiler { monitors: Monitors { names: monitor_names, files, .. }, sites, targets, .. } = pools;
    let mut pool_names = Names::new("pool", broken, !complete);
    for (index, section) in sections.pools.iter().enumerate() {
        // That two pools have one name is said where policies refer to them.
        pool_names.declare(&section.name, PoolId::new(index), &mut Diagnostics::new());
    }
    let protections = pools::protections(&sections.protections, &pool_names, diagnostics);
    let names = Names::new("pool or policy", broken, !complete);
    let mut graph = GraphCompiler::new(&sections.pools, &sections.policies, names, &geography, (compiled, sites), diagnostics);
    graph.compile(diagnostics);
    // What is wrong with steersman.yaml is known to the shell alone, but a config without zones always is.
    let has_zones = !zones.is_empty();
    let zones = zones::compile(zones, &mut |name, diagnostics| graph.steer(name, diagnostics), diagnostics);
    let sound = !diagnostics.has_errors() && has_zones;
    let graph = Graph { protections, ..graph.finish(sound, diagnostics) };
    if sound {
        pools::warn_of_unmet(&sections.protections, &graph, diagnostics);
        warn_of_unused("monitor", "no pool and no calculation names it", &monitor_names, diagnostics);
        warn_of_too_many_programs(&sections.monitors, &targets, diagnostics);
        warn_of_unused("region", "no rule matches by it", &geography.names, diagnostics);
    }
    Snapshot { settings: settings(inputs), zones, graph, targets, canaries, files }
}

/// Warns when programs are asked for more often than they get a turn, should all of them take their whole time.
fn warn_of_too_many_programs(monitors: &[MonitorSection], targets: &Table<TargetId, Target>, diagnostics: &mut Diagnostics) {
    let programs = targets.rows().iter().filter(|target| matches!(target.check, Check::Exec(_)));
    let at_once: f64 = programs.map(|target| target.rules.timeout.div_duration_f64(target.rules.interval)).sum();
    let runs_one = |monitor: &&MonitorSection| matches!(&monitor.check, CheckSection::Sent { check: Check::Exec(_), .. });
    let Some(monitor) = monitors.iter().find(runs_one).filter(|_| at_once > f64::from(ExecCheck::AT_ONCE)) else { return };
    let most = ExecCheck::AT_ONCE;
    let message = format!("if all programs took their whole `timeout`, {:.0} would run at once, and {most} may", at_once.ceil());
    let help = "raise `interval` or lower `timeout` of `exec` monitors: a program that gets no turn says nothing of its member";
    diagnostics.push(Diagnostic::warning("crowded-programs", &monitor.name.span, message).help(help));
}

fn warn_of_unused<T: Copy>(what: &str, why: &str, names: &Names<'_, T>, diagnostics: &mut Diagnostics) {
    for (name, span) in names.unused() {
        let message = format!("the {what} `{name}` is not used: {why}");
        diagnostics.push(Diagnostic::warning("unused", span, message).help("use it or remove it"));
    }
}

//--- Databases

fn load_atlas(inputs: &Inputs, diagnostics: &mut Diagnostics) -> Atlas {
    let GeoSection { city, asn, .. } = &inputs.server.geo;
    let mut atlas = Atlas::default();
    if let (Some(named), Some(bytes)) = (city, &inputs.city)
        && let Err(error) = atlas.load_places(bytes)
    {
        diagnostics.push(bad_database(named, &error, "a city or country database"));
    }
    if let (Some(named), Some(bytes)) = (asn, &inputs.asn)
        && let Err(error) = atlas.load_asns(bytes)
    {
        diagnostics.push(bad_database(named, &error, "an ASN database"));
    }
    atlas
}

fn bad_database(named: &Spanned<String>, error: &AtlasError, wanted: &str) -> Diagnostic {
    match error {
        AtlasError::Unreadable(reason) => unreadable_file(named, &named.value, reason),
        AtlasError::WrongKind(kind) => {
            let message = format!("`{}` is a database of the kind `{kind}`, not {wanted}", named.value);
            Diagnostic::error("wrong-database", &named.span, message)
                .help("`geo.city` takes GeoLite2-City, GeoLite2-Country and the like; `geo.asn` takes GeoLite2-ASN and the like")
        }
    }
}

//--- Settings

fn settings(inputs: &Inputs) -> Settings {
    let Inputs { server, base, cores, .. } = inputs;
    let dot = server.dot.as_ref().map(|dot| DotSettings {
        listen: dot.listen.clone(),
        certificate: base.join(&dot.certificate.value),
        key: base.join(&dot.key.value),
    });
    Settings {
        listen: server.listen.clone(),
        dot,
        admin: server.admin.as_ref().map(|admin| admin_addr(admin, base)),
        reports: server.reports.clone(),
        state_dir: server.state_dir.as_ref().map(|dir| base.join(&dir.value)),
        state_max_age: server.state_max_age,
        journal_max_octets: server.journal_max_octets,
        watch: server.watch,
        workers: server.workers.unwrap_or(*cores).max(1),
        busy_wait: server.busy_wait,
        startup_deadline: server.startup_deadline,
        tcp: TcpLimits {
            connections: server.tcp.connections,
            connections_per_client: server.tcp.connections_per_client,
            idle: server.tcp.idle,
        },
    }
}

fn admin_addr(admin: &AdminListen, base: &Path) -> AdminAddr {
    match admin {
        AdminListen::Tcp(addr) => AdminAddr::Tcp(*addr),
        AdminListen::Unix(path) => AdminAddr::Unix(base.join(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Condition;
    use crate::ids::TargetId;
    use crate::policy::{LastResort, Member, Node, Policy};
    use std::fmt::Write;
    use std::time::Duration;

    const ZONE: &str = "
zone: gslb.example.com
soa: {mname: ns1, rname: hostmaster.example.com.}
records:
  \"@\": {NS: ns1}
  ns1: {A: 192.0.2.53}
  www: {steer: www}
  api: {steer: www}
";

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "test.yaml".to_owned(), text: text.to_owned() })
    }

    fn inputs(policies: &[&str]) -> Inputs {
        let text = "zones: z.yaml\nstate_dir: state\nadmin: {listen: \"unix:/run/s.sock\"}\n";
        Inputs {
            server: config::server::read(&source(text), &mut Diagnostics::new()).expect("a sound main file"),
            base: PathBuf::from("/etc/steersman"),
            policies: policies.iter().map(|text| source(text)).collect(),
            regions: Vec::new(),
            zones: vec![source(ZONE)],
            city: None,
            asn: None,
            cores: 3,
        }
    }

    fn snapshot(policies: &[&str]) -> Snapshot {
        let (snapshot, diagnostics) = compile(inputs(policies));
        snapshot.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
    }

    fn faults(policies: &str) -> Vec<String> {
        compile(inputs(&[policies])).1.lines()
    }

    #[test]
    fn children_come_before_parents_whatever_the_order_of_the_file() {
        let snapshot = snapshot(&["
pools: {fra: {members: [{name: a, a: 192.0.2.1}]}, nyc: {members: [{name: a, a: 192.0.2.2}]}}
policies:
  www: {type: failover, use: [eu, us]}
  eu: {type: weighted, use: [{to: fra, weight: 3}, us]}
  us: {type: round_robin, use: [nyc, fra]}
"]);
        assert_eq!(snapshot.graph.nodes.len(), 5);
        for (id, node) in snapshot.graph.nodes.iter() {
            if let Node::Policy { children, .. } = node {
                assert!(children.iter().all(|child| child.index() < id.index()), "{node:?}");
            }
        }
        assert_eq!(snapshot.graph.steers.len(), 1, "two names steered by one policy share the decision");
    }

    #[test]
    fn identical_checks_are_one_target_with_the_strictest_rules() {
        let snapshot = snapshot(&["
monitors:
  slow: {type: http, interval: 10s, timeout: 3s, fall: 5, rise: 1}
  quick: {type: http, interval: 2s, timeout: 1s, fall: 2, rise: 4}
  other: {type: http, path: /other}
pools:
  www: {monitors: [slow, other], members: [{name: a, a: 192.0.2.1}, {name: b, a: 192.0.2.2}]}
  two: {monitor: quick, members: [{name: a, a: 192.0.2.1}, {name: off, a: 192.0.2.3, disabled: true}]}
"]);
        let targets = snapshot.targets.rows();
        assert_eq!(targets.len(), 4, "{targets:#?}");
        let shared = targets.iter().find(|target| &*target.identity == "http 192.0.2.1:80 host=192.0.2.1 GET / expect=200-299");
        let rules = shared.expect("the shared target").rules;
        assert_eq!((rules.interval, rules.timeout, rules.fall, rules.rise), (Duration::from_secs(2), Duration::from_secs(1), 2, 4));
        let members = |pool: usize| &snapshot.graph.pools.rows()[pool].members;
        assert_eq!(members(0)[0].checks[0][0], members(1)[0].checks[0][0]);
        assert!(members(1)[1].checks[0].is_empty(), "a disabled member is not probed");
    }

    //--- What must hold for a member

    const PLACES: &str = "
monitors:
  web: {type: http}
  tcp: {type: tcp, port: 443}
  ping: {type: icmp}
  sane: {type: calculated, any: [tcp, {not: ping}]}
  both: {type: calculated, all: [web, sane]}
";

    /// The members of the first pool, and their targets by identity.
    fn members(pools: &str) -> (Vec<Member>, Vec<String>) {
        let snapshot = snapshot(&[PLACES, pools]);
        let identities = snapshot.targets.rows().iter().map(|target| target.identity.to_string()).collect();
        (snapshot.graph.pools.rows()[0].members.clone(), identities)
    }

    #[test]
    fn plain_monitors_make_no_condition_beyond_all_of_them() {
        let (members, _) = members("pools: {www: {monitors: [web, tcp], members: [{name: a, a: 192.0.2.1}]}}");
        assert_eq!((members[0].checks[0].len(), &members[0].conditions), (2, &[None, None]));
    }

    #[test]
    fn a_calculation_becomes_a_condition_over_the_targets_it_comes_to() {
        let (members, identities) = members("pools: {www: {monitor: both, members: [{name: a, a: 192.0.2.1}]}}");
        assert_eq!(identities, ["http 192.0.2.1:80 host=192.0.2.1 GET / expect=200-299", "tcp 192.0.2.1:443", "icmp 192.0.2.1"]);
        let target = |index| Condition::Target(TargetId::new(index));
        let sane = Condition::any(vec![target(1), Condition::Not(Box::new(target(2)))]);
        let expected = Condition::all(vec![target(0), sane]);
        assert_eq!(members[0].conditions[0].as_ref(), Some(&expected));
        assert_eq!(members[0].checks[0].len(), 3, "who waits for a verdict waits for all of them");
    }

    #[test]
    fn a_calculation_may_be_asked_for_by_its_name() {
        let snapshot = snapshot(&[PLACES, "pools: {www: {monitor: both, members: [{name: a, a: 192.0.2.1}]}}"]);
        for target in snapshot.targets.rows() {
            assert!(target.asked_by.iter().any(|name| &**name == "both"), "{target:?}");
        }
    }

    #[test]
    fn joint_families_stand_and_fall_together() {
        let pool =
            |health| format!("pools: {{www: {{monitor: web, {health} members: [{{name: a, a: 192.0.2.1, aaaa: \"2001:db8::1\"}}]}}}}");
        let (apart, _) = members(&pool(""));
        assert_eq!([apart[0].checks[0].len(), apart[0].checks[1].len()], [1, 1]);
        let (joint, _) = members(&pool("family_health: joint,"));
        assert_eq!(joint[0].checks[0], joint[0].checks[1]);
        assert_eq!(joint[0].checks[0].len(), 2);
        let (single, _) = members("pools: {www: {monitor: web, family_health: joint, members: [{name: a, a: 192.0.2.1}]}}");
        assert_eq!((single[0].checks[0].len(), single[0].checks[1].len()), (1, 0));
    }

    #[test]
    fn a_member_may_be_probed_elsewhere() {
        let probed = |member: &str| members(&format!("pools: {{www: {{monitor: tcp, members: [{{name: x, a: 192.0.2.1, {member}}}]}}}}")).1;
        assert_eq!(probed("probe_port: 8443"), ["tcp 192.0.2.1:8443"]);
        assert_eq!(probed("probe_address: \"2001:db8::9\""), ["tcp [2001:db8::9]:443"]);
        assert_eq!(probed("aaaa: \"2001:db8::1\", probe_address: {aaaa: 192.0.2.9}"), ["tcp 192.0.2.1:443", "tcp 192.0.2.9:443"]);
        assert_eq!(probed("aaaa: \"2001:db8::1\", probe_address: 192.0.2.9"), ["tcp 192.0.2.9:443"], "one address for both, probed once");
    }

    #[test]
    fn probes_come_from_the_source_of_their_family() {
        let monitors = "monitors: {tcp: {type: tcp, port: 443, source: [192.0.2.53, \"2001:db8::53\"]}}";
        let pools = "pools: {www: {monitor: tcp, members: [{name: a, a: 192.0.2.1, aaaa: \"2001:db8::1\"}]}}";
        let snapshot = snapshot(&[monitors, pools]);
        let sources: Vec<_> = snapshot.targets.rows().iter().map(|target| target.source.map(|source| source.to_string())).collect();
        assert_eq!(sources, [Some("192.0.2.53".to_owned()), Some("2001:db8::53".to_owned())]);
        assert!(snapshot.targets.rows()[0].identity.ends_with(" source=192.0.2.53"));
    }

    #[test]
    fn who_depends_on_a_member_needs_its_targets_and_those_of_whom_it_depends_on() {
        let (members, identities) = members(
            "pools:
  www: {monitor: tcp, members: [{name: a, a: 192.0.2.1, depends_on: db/one}, {name: b, a: 192.0.2.2}]}
  db: {monitor: tcp, members: [{name: one, a: 192.0.2.3, depends_on: two}, {name: two, aaaa: \"2001:db8::4\"}]}
policies: {x: {type: failover, use: [www, db]}}",
        );
        let seen: Vec<&str> = members[0].checks[0].iter().map(|target| identities[target.index()].as_str()).collect();
        assert_eq!(seen, ["tcp 192.0.2.1:443", "tcp 192.0.2.3:443", "tcp [2001:db8::4]:443"]);
        assert_eq!((members[1].checks[0].len(), &members[0].conditions[0]), (1, &None), "all of all is all");
    }

    #[test]
    fn who_depends_on_a_disabled_member_is_never_up_and_who_depends_on_one_without_checks_depends_on_nothing() {
        let (members, _) = members(
            "pools:
  www: {members: [{name: a, a: 192.0.2.1, depends_on: off}, {name: b, a: 192.0.2.2, depends_on: free}, {name: off, a: 192.0.2.3, disabled: true}, {name: free, a: 192.0.2.4}]}",
        );
        assert_eq!(members[0].conditions[0], Some(Condition::all(vec![Condition::Never])));
        assert_eq!((&members[1].conditions[0], members[1].checks[0].len()), (&None, 0));
    }

    #[test]
    fn a_member_depends_on_256_checks_at_most_and_a_long_chain_is_no_danger_to_the_stack() {
        let chain = |length: usize| {
            let mut text = "monitors: {tcp: {type: tcp, port: 443}}\npools:\n  www:\n    monitor: tcp\n    members:\n".to_owned();
            for n in 0..length {
                let depends = if n > 0 { format!(", depends_on: m{}", n - 1) } else { String::new() };
                writeln!(text, "      - {{name: m{n}, a: 10.0.{}.{}{depends}}}", n / 250, n % 250 + 1)
                    .expect("writing to a string succeeds");
            }
            text
        };
        assert_eq!(faults(&chain(256)), Vec::<String>::new());
        let faults = faults(&chain(20_000));
        assert!(faults[0].contains("too-wide") && faults[0].contains("`m256`") && faults.len() == 1, "{:?}", faults.first());
    }

    #[test]
    fn checks_that_only_their_secrets_tell_apart_stay_apart() {
        let monitors = |one: &str, two: &str| {
            format!("monitors: {{x: {{type: http, method: POST, body: '{one}'}}, y: {{type: http, method: POST, body: '{two}'}}}}")
        };
        let pools = "pools: {www: {monitors: [x, y], members: [{name: a, a: 192.0.2.1}]}}";
        assert_eq!(snapshot(&[&monitors("one", "two"), pools]).targets.len(), 2);
        assert_eq!(snapshot(&[&monitors("one", "one"), pools]).targets.len(), 1);
    }

    #[test]
    fn identical_lists_of_rules_share_one_table() {
        let snapshot = snapshot(&["
pools: {fra: {members: [{name: a, a: 192.0.2.1}]}, nyc: {members: [{name: a, a: 192.0.2.2}]}}
regions: {office: {cidr: [192.0.2.0/24]}}
policies:
  www: {type: failover, use: [one, two, three]}
  one: {type: geo, rules: [{match: {region: office}, use: fra}], default: nyc}
  two: {type: geo, rules: [{match: {cidr: 192.0.2.0/24}, use: nyc}], default: fra, ecs: ignore}
  three: {type: geo, rules: [{match: {cidr: 192.0.2.0/25}, use: nyc}], default: fra}
"]);
        assert_eq!(snapshot.graph.geo.len(), 2);
        let ecs: Vec<bool> = snapshot
            .graph
            .nodes
            .rows()
            .iter()
            .filter_map(|node| match node {
                Node::Policy { policy: Policy::Geo { ecs, .. }, .. } => Some(*ecs),
                Node::Policy { .. } | Node::Pool(_) => None,
            })
            .collect();
        assert_eq!(ecs, [true, false, true]);
    }

    #[test]
    fn what_a_zone_points_at_decides_ttl_and_last_resort() {
        let snapshot = snapshot(&["
pools: {web: {ttl: 1m, members: [{name: a, a: 192.0.2.1}]}, spare: {members: [{name: a, aaaa: \"2001:db8::1\"}]}}
policies: {www: {type: failover, use: web, ttl: 3s, on_all_down: {fallback: spare}, on_all_down_ttl: 7s}}
"]);
        let steer = &snapshot.graph.steers.rows()[0];
        assert_eq!((steer.ttl.min_s, steer.ttl.max_s, steer.on_all_down_ttl_s), (3, 3, 7));
        let LastResort::Fallback(node) = steer.on_all_down else { panic!("{:?}", steer.on_all_down) };
        assert!(matches!(&snapshot.graph.nodes[node], Node::Pool(pool) if &*snapshot.graph.pools[*pool].name == "spare"));
    }

    #[test]
    fn several_files_are_one_config() {
        let monitors = "monitors: {web: {type: tcp, port: 443}}";
        let pools = "pools: {www: {monitor: web, members: [{name: a, a: 192.0.2.1}]}}";
        assert_eq!(snapshot(&[pools, monitors]).targets.len(), 1);
    }

    #[test]
    fn a_file_that_is_no_yaml_is_the_only_fault_that_is_reported() {
        let (snapshot, diagnostics) = compile(inputs(&["pools: [", "policies: {api: {type: failover, use: www}}"]));
        assert!(snapshot.is_none());
        assert_eq!(diagnostics.lines().len(), 1, "{:#?}", diagnostics.lines());
    }

    #[test]
    fn policies_nest_32_deep_and_not_33() {
        let nested = |height: usize| {
            let mut text = "pools: {web: {members: [{name: a, a: 192.0.2.1}]}}\npolicies:\n  www: {type: failover, use: p1}\n".to_owned();
            for level in 1..height {
                let below = if level + 1 < height { format!("p{}", level + 1) } else { "web".to_owned() };
                writeln!(text, "  p{level}: {{type: failover, use: {below}}}").expect("writing to a string succeeds");
            }
            text
        };
        assert!(faults(&nested(32)).is_empty(), "{:#?}", faults(&nested(32)));
        assert!(faults(&nested(33))[0].contains("32 levels"));
        // Far deeper than the stack of a thread would bear.
        assert!(faults(&nested(20_000))[0].contains("32 levels"));
    }

    #[test]
    fn paths_count_from_the_directory_of_the_main_file() {
        let settings = snapshot(&["pools: {www: {members: [{name: a, a: 192.0.2.1}]}}"]).settings;
        assert_eq!(settings.state_dir, Some(PathBuf::from("/etc/steersman/state")));
        assert_eq!(settings.admin, Some(AdminAddr::Unix(PathBuf::from("/run/s.sock"))));
        assert_eq!(settings.workers, 3);
    }
}
