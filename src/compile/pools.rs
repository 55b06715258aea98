//! Pools, members, and the targets that their monitors ask for: identical checks are made once.

use super::monitors::{Blueprint, Monitors, rules_of};
use super::names::Names;
use crate::check::{Check, Subject, TcpCheck, identity_of};
use crate::config::place::SiteSection;
use crate::config::pool::{ChooseSection, FailbackSection, FamilyHealthSection, MemberSection, MinHealthySection, PoolSection};
use crate::config::protect::ProtectSection;
use crate::config::server::ProbesSection;
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use crate::health::{Condition, Damping, Rules, WindowRule};
use crate::human::count;
use crate::ids::{PoolId, SiteId, Table, TargetId};
use crate::policy::{Choose, Conduct, Failback, Graph, Member, MinHealthy, Pool, Protection};
use crate::prefix::{Family, Prefix};
use crate::snapshot::Target;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Makes pools, and on the way targets and sites.
pub(super) struct PoolCompiler<'a> {
    /// What members can be checked by.
    pub monitors: Monitors<'a>,
    probes: &'a ProbesSection,
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
#[derive(Clone, Copy)]
struct Known {
    target: TargetId,
    monitor: usize,
}

impl<'a> PoolCompiler<'a> {
    /// Takes what members may refer to.
    pub fn new(
        monitors: Monitors<'a>,
        probes: &'a ProbesSection,
        sites: &'a [SiteSection],
        mut site_names: Names<'a, SiteId>,
        diagnostics: &mut Diagnostics,
    ) -> PoolCompiler<'a> {
        let mut table = Table::new();
        for site in sites {
            site_names.declare(&site.name, table.push(Arc::from(site.name.value.as_str())), diagnostics);
        }
        PoolCompiler { monitors, probes, site_names, sites: table, targets: Table::new(), known: HashMap::new(), reported: HashSet::new() }
    }

    /// Compiles all pools; their ids are their indexes.
    pub fn compile(&mut self, sections: &[PoolSection], diagnostics: &mut Diagnostics) -> Table<PoolId, Pool> {
        let mut pools: Table<PoolId, Pool> = sections.iter().map(|section| self.pool(section, diagnostics)).collect();
        super::dependencies::resolve(sections, &mut pools, diagnostics);
        pools
    }

    /// The target of a canary; that of a member, when a member is checked in the same way.
    pub fn canary(&mut self, addr: SocketAddr) -> TargetId {
        let check = Check::Tcp(TcpCheck::CONNECT);
        let identity: Arc<str> = identity_of(addr, None, &check).into();
        match self.known.get(&identity) {
            Some(known) => known.target,
            None => self.targets.push(Target::new(identity, CANARY, addr, check)),
        }
    }

    fn pool(&mut self, section: &PoolSection, diagnostics: &mut Diagnostics) -> Pool {
        let monitors: Vec<usize> = section.monitors.iter().filter_map(|name| self.monitors.names.resolve(name, diagnostics)).collect();
        let members = section.members.iter().map(|member| self.member(section, member, &monitors, diagnostics)).collect();
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

    fn member(&mut self, pool: &PoolSection, section: &MemberSection, monitors: &[usize], diagnostics: &mut Diagnostics) -> Member {
        let site = section.site.as_ref().and_then(|name| self.site_names.resolve(name, diagnostics));
        // A disabled member is never probed.
        let monitors = if section.disabled { &[] } else { monitors };
        let named = Family::BOTH.map(|family| self.needs(pool, section, family, monitors, diagnostics));
        let mut needs = named.each_ref().map(|named| named.iter().map(|(_, condition)| condition.clone()).collect::<Vec<_>>());
        if pool.family_health == FamilyHealthSection::Joint {
            let both: Vec<Condition> = needs.concat();
            needs = [both.clone(), both];
        }
        let mut member = Member {
            name: Arc::from(section.name.value.as_str()),
            site,
            weight: section.weight,
            addresses: section.addresses.each_ref().map(|address| address.as_ref().map(|address| address.value)),
            checks: [Vec::new(), Vec::new()],
            conditions: [None, None],
            calculated: named.map(|named| named.into_iter().filter(|(_, condition)| !matches!(condition, Condition::Target(_))).collect()),
            disabled: section.disabled,
        };
        for (family, needs) in Family::BOTH.into_iter().zip(needs) {
            if member.addresses[family.index()].is_some() {
                super::dependencies::require(&mut member, family, needs);
            }
        }
        member
    }

    /// What must hold for one address of a member to be up, one condition per monitor, with its name.
    fn needs(
        &mut self,
        pool: &PoolSection,
        section: &MemberSection,
        family: Family,
        monitors: &[usize],
        diagnostics: &mut Diagnostics,
    ) -> Vec<(Arc<str>, Condition)> {
        let Some(answered) = &section.addresses[family.index()] else { return Vec::new() };
        let probed = section.probe_addresses[family.index()].as_ref().unwrap_or(answered);
        let mut place = Place { pool, member: section, probed, reported: false };
        let mut needs = Vec::new();
        for &monitor in monitors {
            let condition = self.condition(&Blueprint::Same(monitor), &mut place, diagnostics);
            // Whoever names a calculation means all that it is calculated from.
            let name = &self.monitors.section(monitor).name.value;
            for target in condition.targets() {
                let asked_by = &mut self.targets[target].asked_by;
                if asked_by.iter().all(|known| **known != **name) {
                    asked_by.push(name.as_str().into());
                }
            }
            needs.push((name.as_str().into(), condition));
        }
        needs
    }

    fn condition(&mut self, blueprint: &Blueprint, place: &mut Place<'_>, diagnostics: &mut Diagnostics) -> Condition {
        match blueprint {
            Blueprint::Same(monitor) => match self.monitors.blueprint(*monitor).clone() {
                Blueprint::Check(_) => Condition::Target(self.target(*monitor, place, diagnostics)),
                calculated => self.condition(&calculated, place, diagnostics),
            },
            Blueprint::AtLeast { needed, of } => {
                let of = of.iter().map(|part| self.condition(part, place, diagnostics)).collect();
                Condition::AtLeast { needed: *needed, of }
            }
            Blueprint::Not(part) => Condition::Not(Box::new(self.condition(part, place, diagnostics))),
            // Formulas hold no checks but by name. What is faulty was reported, and no snapshot will come of it.
            Blueprint::Check(_) | Blueprint::Faulty => Condition::Never,
        }
    }

    fn target(&mut self, monitor: usize, place: &mut Place<'_>, diagnostics: &mut Diagnostics) -> TargetId {
        let mut target = self.monitors.target(monitor, place.probed.value, place.member.probe_port, place.subject());
        if target.check.is_sent() && !self.probes.allow.allows(target.addr.ip()) {
            place.report(self.probes, diagnostics);
        }
        // Two checks that only their hashes could tell apart, and do not.
        while self.known.get(&target.identity).is_some_and(|known| self.targets[known.target].check != target.check) {
            target.identity = format!("{}~", target.identity).into();
        }
        let Some(&known) = self.known.get(&target.identity) else {
            let identity = Arc::clone(&target.identity);
            let id = self.targets.push(target);
            self.known.insert(identity, Known { target: id, monitor });
            return id;
        };
        self.merge(known, target, monitor, diagnostics)
    }

    fn merge(&mut self, known: Known, target: Target, monitor: usize, diagnostics: &mut Diagnostics) -> TargetId {
        let merged = &mut self.targets[known.target];
        if known.monitor == monitor {
            return known.target;
        }
        merged.expiry_warning = merged.expiry_warning.earlier(target.expiry_warning);
        for name in target.asked_by {
            if !merged.asked_by.contains(&name) {
                merged.asked_by.push(name);
            }
        }
        if merged.rules != target.rules {
            merged.rules = strictest(merged.rules, target.rules);
            let (first, second) = (self.monitors.section(known.monitor), self.monitors.section(monitor));
            if rules_of(first) != target.rules && self.reported.insert((known.monitor, monitor)) {
                diagnostics.push(same_check(&first.name, &second.name));
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

/// Warns of protections that ask for more than there is: nobody in their pools could ever be removed.
pub(super) fn warn_of_unmet(sections: &[ProtectSection], graph: &Graph, diagnostics: &mut Diagnostics) {
    for (section, rule) in sections.iter().zip(&graph.protections) {
        if let Some(unmet) = Family::BOTH.into_iter().find_map(|family| unmet(graph, rule, family)) {
            let message = format!("the protection `{}` asks for {unmet}", section.name.value);
            let fault = Diagnostic::warning("unmet-protection", &section.name.span, message);
            diagnostics.push(fault.help("no member of its pools will ever be removed; ask for less, or add members"));
        }
    }
}

/// What a protection asks for, and what there is, when that is less, but more than nothing.
fn unmet(graph: &Graph, rule: &Protection, family: Family) -> Option<String> {
    let members = rule.pools.iter().flat_map(|pool| &graph.pools[*pool].members);
    let there: Vec<&Member> = members.filter(|member| !member.disabled && member.addresses[family.index()].is_some()).collect();
    let sites: BTreeSet<SiteId> = there.iter().filter_map(|member| member.site).collect();
    let (min_members, min_sites) = (rule.min_members as usize, rule.min_sites as usize);
    if there.is_empty() || (there.len() >= min_members && sites.len() >= min_sites) {
        return None;
    }
    Some(if there.len() < min_members {
        format!("{}, and {} an {family} address", count(min_members, "member"), have(there.len()))
    } else {
        format!("{}, and its {family} addresses stand in {}", count(min_sites, "site"), sites.len())
    })
}

fn have(members: usize) -> String {
    if members == 1 { "1 has".to_owned() } else { format!("{members} have") }
}

/// Canaries have to speak before a member is given up for silent: twice as often as members are probed, by default, and with half
/// of their patience.
const CANARY: Rules = Rules::plain(Duration::from_secs(2), Duration::from_secs(1), 2, 3);

/// A member at one of its addresses.
struct Place<'a> {
    pool: &'a PoolSection,
    member: &'a MemberSection,
    probed: &'a Spanned<IpAddr>,
    /// Whether it was reported that the address may not be probed: once is enough for all monitors.
    reported: bool,
}

impl Place<'_> {
    fn subject(&self) -> Subject {
        Subject { pool: self.pool.name.value.as_str().into(), member: self.member.name.value.as_str().into() }
    }

    fn report(&mut self, probes: &ProbesSection, diagnostics: &mut Diagnostics) {
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        let addr = self.probed.value;
        let (why, rest) = if probes.allow.usual {
            ("loopback, link-local, multicast and metadata addresses are not unless that is written", "default, ")
        } else {
            ("it is in none of the networks of `probes.allow`", "…, ")
        };
        let network = Prefix::new(addr, Family::of(addr).bits());
        let fault = Diagnostic::error("forbidden-address", &self.probed.span, format!("`{addr}` may not be probed: {why}"));
        diagnostics.push(fault.help(format!("if it is meant, write in steersman.yaml `probes: {{allow: [{rest}\"{network}\"]}}`")));
    }
}

fn same_check(first: &Spanned<String>, second: &Spanned<String>) -> Diagnostic {
    let message = format!("the monitors `{}` and `{}` make the same check with different timing", first.value, second.value);
    Diagnostic::warning("merged-monitors", &second.span, message)
        .also(&first.span, "the other")
        .help("an address that has both is probed once, by the strictest of each: the shorter intervals and timeout, the smaller fall, the larger rise, and so on")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_rules_are_quick_to_fall_slow_to_rise_and_keep_the_timeout_below_the_interval() {
        let rules = |interval, timeout, rise, fall| Rules::plain(Duration::from_secs(interval), Duration::from_secs(timeout), rise, fall);
        assert_eq!(strictest(rules(10, 6, 2, 5), rules(5, 4, 1, 9)), rules(5, 4, 2, 5));
    }
}
