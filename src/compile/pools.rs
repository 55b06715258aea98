//! Pools, members, and the targets that their monitors ask for: identical checks are made once.

use super::names::Names;
use crate::config::monitor::{CheckSection, HttpMethod, HttpSection, MonitorSection};
use crate::config::place::SiteSection;
use crate::config::pool::{ChooseSection, FailbackSection, MemberSection, MinHealthySection, PoolSection};
use crate::config::protect::ProtectSection;
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use crate::health::{Damping, Rules, WindowRule};
use crate::ids::{PoolId, SiteId, Table, TargetId};
use crate::policy::{Choose, Conduct, Failback, Member, MinHealthy, Pool, Protection};
use crate::snapshot::{Check, HttpCheck, Method, Target};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Makes pools, and on the way targets and sites.
pub(super) struct PoolCompiler<'a> {
    monitors: &'a [MonitorSection],
    /// Monitors by name.
    pub monitor_names: Names<'a, usize>,
    site_names: Names<'a, SiteId>,
    /// The sites of the config.
    pub sites: Table<SiteId, Arc<str>>,
    /// The targets so far.
    pub targets: Table<TargetId, Target>,
    known: HashMap<Arc<str>, Known>,
    /// Pairs of monitors whose difference was reported.
    reported: HashSet<(usize, usize)>,
}

/// A target that exists, and the monitor that asked for it first.
struct Known {
    target: TargetId,
    monitor: usize,
}

impl<'a> PoolCompiler<'a> {
    /// Takes what members may refer to.
    pub fn new(
        monitors: &'a [MonitorSection],
        mut monitor_names: Names<'a, usize>,
        sites: &'a [SiteSection],
        mut site_names: Names<'a, SiteId>,
        diagnostics: &mut Diagnostics,
    ) -> PoolCompiler<'a> {
        for (index, monitor) in monitors.iter().enumerate() {
            monitor_names.declare(&monitor.name, index, diagnostics);
        }
        let mut table = Table::new();
        for site in sites {
            site_names.declare(&site.name, table.push(Arc::from(site.name.value.as_str())), diagnostics);
        }
        PoolCompiler {
            monitors,
            monitor_names,
            site_names,
            sites: table,
            targets: Table::new(),
            known: HashMap::new(),
            reported: HashSet::new(),
        }
    }

    /// Compiles all pools; their ids are their indexes.
    pub fn compile(&mut self, sections: &[PoolSection], diagnostics: &mut Diagnostics) -> Table<PoolId, Pool> {
        sections.iter().map(|section| self.pool(section, diagnostics)).collect()
    }

    /// The target of a canary; that of a member, when a member is checked in the same way.
    pub fn canary(&mut self, addr: SocketAddr) -> TargetId {
        let identity: Arc<str> = identity_of(addr, &Check::Tcp).into();
        match self.known.get(&identity) {
            Some(known) => known.target,
            None => self.targets.push(Target { identity, rules: CANARY, addr, check: Check::Tcp }),
        }
    }

    fn pool(&mut self, section: &PoolSection, diagnostics: &mut Diagnostics) -> Pool {
        let monitors: Vec<usize> = section.monitors.iter().filter_map(|name| self.monitor_names.resolve(name, diagnostics)).collect();
        let members = section.members.iter().map(|member| self.member(member, &monitors, diagnostics)).collect();
        Pool {
            name: Arc::from(section.name.value.as_str()),
            members,
            choose: match section.choose {
                ChooseSection::Weighted => Choose::Weighted,
                ChooseSection::RoundRobin => Choose::RoundRobin,
                ChooseSection::All => Choose::All,
            },
            pick: section.pick,
            min_healthy: match section.min_healthy {
                MinHealthySection::Percent(percent) => MinHealthy::Percent(percent),
                MinHealthySection::Count(count) => MinHealthy::Count(count),
            },
            conduct: conduct(section),
        }
    }

    fn member(&mut self, section: &MemberSection, monitors: &[usize], diagnostics: &mut Diagnostics) -> Member {
        let site = section.site.as_ref().and_then(|name| self.site_names.resolve(name, diagnostics));
        // A disabled member is never probed.
        let monitors = if section.disabled { &[] } else { monitors };
        let checks = section.addresses.each_ref().map(|address| {
            let address = address.as_ref().map(|address| address.value);
            address.map_or_else(Vec::new, |addr| self.checks(addr, monitors, diagnostics))
        });
        Member {
            name: Arc::from(section.name.value.as_str()),
            site,
            weight: section.weight,
            addresses: section.addresses.each_ref().map(|address| address.as_ref().map(|address| address.value)),
            checks,
            disabled: section.disabled,
        }
    }

    fn checks(&mut self, addr: IpAddr, monitors: &[usize], diagnostics: &mut Diagnostics) -> Vec<TargetId> {
        let mut targets: Vec<TargetId> = monitors.iter().map(|&monitor| self.target(addr, monitor, diagnostics)).collect();
        // Two monitors may ask for the same check.
        let mut seen = HashSet::new();
        targets.retain(|target| seen.insert(*target));
        targets
    }

    fn target(&mut self, addr: IpAddr, monitor: usize, diagnostics: &mut Diagnostics) -> TargetId {
        let section = &self.monitors[monitor];
        let target = target_of(addr, section);
        let Some(known) = self.known.get(&target.identity) else {
            let identity = Arc::clone(&target.identity);
            let id = self.targets.push(target);
            self.known.insert(identity, Known { target: id, monitor });
            return id;
        };
        let merged = &mut self.targets[known.target].rules;
        if *merged != target.rules && known.monitor != monitor {
            *merged = strictest(*merged, target.rules);
            let first = &self.monitors[known.monitor];
            if rules_of(first) != target.rules && self.reported.insert((known.monitor, monitor)) {
                diagnostics.push(same_check(&first.name, &section.name));
            }
        }
        known.target
    }
}

fn conduct(section: &PoolSection) -> Conduct {
    let failback = match section.failback {
        FailbackSection::Auto => Failback::Auto,
        FailbackSection::After(span) => Failback::After(span),
        FailbackSection::Manual => Failback::Manual,
    };
    Conduct { slow_start: section.slow_start, failback, slow_above_percent: section.slow_above }
}

/// Protections over pools by name; a pool's id is its index.
pub(super) fn protections(sections: &[ProtectSection], pools: &Names<'_, PoolId>, diagnostics: &mut Diagnostics) -> Vec<Protection> {
    let protection = |section: &ProtectSection| Protection {
        name: Arc::from(section.name.value.as_str()),
        pools: section.pools.iter().filter_map(|name| pools.resolve(name, diagnostics)).collect(),
        min_members: section.min_members,
        min_sites: section.min_sites,
        max_removed: section.max_removed.map(|percent| (percent, section.within)),
    };
    sections.iter().map(protection).collect()
}

/// Canaries have to speak before a member is given up for silent: twice as often as members are probed, by default, and with half
/// of their patience.
const CANARY: Rules = Rules::plain(Duration::from_secs(2), Duration::from_secs(1), 2, 3);

fn same_check(first: &Spanned<String>, second: &Spanned<String>) -> Diagnostic {
    let message = format!("the monitors `{}` and `{}` make the same check with different timing", first.value, second.value);
    Diagnostic::warning("merged-monitors", &second.span, message)
        .also(&first.span, "the other")
        .help("an address that has both is probed once, by the strictest of each: the shorter intervals and timeout, the smaller fall, the larger rise, and so on")
}

fn rules_of(section: &MonitorSection) -> Rules {
    let MonitorSection { interval, timeout, rise, fall, fast_interval, .. } = *section;
    let window = section.window.map(|window| WindowRule::of_percent(window.of, u32::from(window.fail)));
    let damping = section.damping.map(|damping| Damping { window: damping.window, hold: damping.hold, hold_max: damping.hold_max });
    Rules { interval, timeout, rise, fall, fast_interval, window, damping }
}

/// What satisfies both: quick to see a failure, slow to believe in a recovery.
fn strictest(a: Rules, b: Rules) -> Rules {
    Rules {
        interval: a.interval.min(b.interval),
        timeout: a.timeout.min(b.timeout),
        rise: a.rise.max(b.rise),
        fall: a.fall.min(b.fall),
        fast_interval: a.fast_interval.min(b.fast_interval),
        window: either(a.window, b.window, WindowRule::stricter),
        damping: either(a.damping, b.damping, Damping::stricter),
    }
}

fn either<T>(a: Option<T>, b: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(a, b)),
        (a, b) => a.or(b),
    }
}

/// The target that a monitor asks for at an address.
fn target_of(addr: IpAddr, section: &MonitorSection) -> Target {
    let (port, check) = match &section.check {
        CheckSection::Tcp { port } => (*port, Check::Tcp),
        CheckSection::Http(http) => (http.port, Check::Http(http_check(addr, http))),
    };
    let addr = SocketAddr::new(addr, port);
    Target { identity: identity_of(addr, &check).into(), rules: rules_of(section), addr, check }
}

fn http_check(addr: IpAddr, section: &HttpSection) -> HttpCheck {
    let host = section.host.clone().unwrap_or_else(|| addr.to_string());
    HttpCheck {
        tls: section.tls,
        verify: section.verify,
        // Names are equal in either case (RFC 4343): so are the checks.
        host: Arc::from(host.to_ascii_lowercase()),
        path: Arc::from(section.path.as_str()),
        method: match section.method {
            HttpMethod::Get => Method::Get,
            HttpMethod::Head => Method::Head,
        },
        expect: section.expect.clone(),
    }
}

/// `https 192.0.2.1:443 host=www.example.com GET /healthz expect=200`: the same text is the same check, over reloads too.
fn identity_of(addr: SocketAddr, check: &Check) -> String {
    let Check::Http(http) = check else { return format!("tcp {addr}") };
    let HttpCheck { tls, verify, host, path, method, expect } = http;
    let scheme = if *tls { "https" } else { "http" };
    let method = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
    };
    let mut out = format!("{scheme} {addr} host={host} {method} {path} expect=");
    for (at, (first, last)) in expect.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
        write!(out, "{comma}{range}").expect("writing to a string succeeds");
    }
    if *tls && !verify {
        out.push_str(" unverified");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_holds_all_that_makes_the_check_and_no_timing() {
        let http = HttpCheck {
            tls: true,
            verify: true,
            host: "www.example.com".into(),
            path: "/healthz".into(),
            method: Method::Get,
            expect: vec![(200, 200), (300, 399)],
        };
        let addr: SocketAddr = "[2001:db8::1]:443".parse().expect("an address");
        assert_eq!(
            identity_of(addr, &Check::Http(http.clone())),
            "https [2001:db8::1]:443 host=www.example.com GET /healthz expect=200,300-399"
        );
        assert!(identity_of(addr, &Check::Http(HttpCheck { verify: false, ..http })).ends_with(" unverified"));
        assert_eq!(identity_of(addr, &Check::Tcp), "tcp [2001:db8::1]:443");
    }

    #[test]
    fn the_strictest_rules_are_quick_to_fall_slow_to_rise_and_keep_the_timeout_below_the_interval() {
        let rules = |interval, timeout, rise, fall| Rules::plain(Duration::from_secs(interval), Duration::from_secs(timeout), rise, fall);
        assert_eq!(strictest(rules(10, 6, 2, 5), rules(5, 4, 1, 9)), rules(5, 4, 2, 5));
    }
}
