//! Monitors: what each asks of whatever member it is put on.

use super::names::Names;
use crate::check::{Check, DnsCheck, ExpiryWarning, FileCheck, PushCheck, ReportToken, Subject, dns, identity_of};
use crate::config::check::{CheckSection, DnsSection};
use crate::config::formula::Formula;
use crate::config::monitor::MonitorSection;
use crate::config::server::ProbesSection;
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use crate::dns::Name;
use crate::health::{Damping, Rules, WindowRule};
use crate::prefix::Family;
use crate::snapshot::Target;
use crate::zone::{RdataError, parse_rdata};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a monitor asks, with all names resolved.
#[derive(Clone, Debug)]
pub(super) enum Blueprint {
    /// A check of its own.
    Check(Arc<Plan>),
    /// What another monitor asks.
    Same(usize),
    /// So many of these must hold.
    AtLeast { needed: usize, of: Vec<Blueprint> },
    /// This must not hold.
    Not(Box<Blueprint>),
    /// A fault was reported.
    Faulty,
}

/// A check that lacks nothing but a member.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    Sent { port: u16, check: Box<Check> },
    File { path: Arc<Path>, expires: Option<Duration> },
    Push { expires: Duration, token: Option<ReportToken> },
}

/// All monitors.
pub(super) struct Monitors<'a> {
    sections: &'a [MonitorSection],
    /// Monitors by name.
    pub names: Names<'a, usize>,
    blueprints: Vec<Blueprint>,
    /// The files that they name, counted from the directory of steersman.yaml.
    pub files: Vec<Spanned<PathBuf>>,
}

/// Calculations nested deeper than this are more than anybody can follow at night.
const DEPTH_MAX: usize = 16;
/// Monitors that one calculation may come to, all its parts written out.
const SIZE_MAX: usize = 256;

impl<'a> Monitors<'a> {
    /// Resolves what monitors say of each other.
    pub fn new(
        sections: &'a [MonitorSection],
        mut names: Names<'a, usize>,
        probes: &ProbesSection,
        base: &Path,
        diagnostics: &mut Diagnostics,
    ) -> Monitors<'a> {
        for (index, section) in sections.iter().enumerate() {
            names.declare(&section.name, index, diagnostics);
        }
        let blueprints = sections.iter().map(|section| blueprint(section, &names, probes, base, diagnostics)).collect();
        let named = sections.iter().flat_map(|section| &section.files);
        let files = named.map(|file| file.clone().map(|path| base.join(path))).collect();
        let mut monitors = Monitors { sections, names, blueprints, files };
        for index in 0..sections.len() {
            monitors.refuse_endless(index, diagnostics);
        }
        monitors
    }

    /// The section of a monitor.
    pub fn section(&self, monitor: usize) -> &'a MonitorSection {
        &self.sections[monitor]
    }

    /// What a monitor asks.
    pub fn blueprint(&self, monitor: usize) -> &Blueprint {
        &self.blueprints[monitor]
    }

    /// The target that a monitor with a check of its own asks for at an address.
    pub fn target(&self, monitor: usize, addr: IpAddr, probe_port: Option<u16>, subject: Subject) -> Target {
        let section = &self.sections[monitor];
        let Blueprint::Check(plan) = &self.blueprints[monitor] else {
            unreachable!("only monitors with a check of their own have targets");
        };
        let (port, check) = match &**plan {
            Plan::Sent { port: 0, check } => (0, (**check).clone().of(addr)),
            Plan::Sent { port, check } => (probe_port.unwrap_or(*port), (**check).clone().of(addr)),
            Plan::File { path, expires } => (0, Check::File(FileCheck { path: path.clone(), subject, expires: *expires })),
            Plan::Push { expires, token } => {
                let monitor = section.name.value.as_str().into();
                (0, Check::Push(PushCheck { monitor, subject, expires: *expires, token: token.clone() }))
            }
        };
        let source = section.source[Family::of(addr).index()].filter(|_| check.is_sent());
        let addr = SocketAddr::new(addr, port);
        let identity = identity_of(addr, source, &check);
        let asked_by = vec![section.name.value.as_str().into()];
        Target {
            source,
            asked_by,
            expiry_warning: ExpiryWarning::new(section.expiry_warning),
            ..Target::new(identity, rules_of(section), addr, check)
        }
    }

    /// Reports a calculation that leads back to itself, or to too many others. What is left of it is harmless.
    fn refuse_endless(&mut self, monitor: usize, diagnostics: &mut Diagnostics) {
        let mut walk = Walk { monitors: self, size: 0 };
        let Err(endless) = walk.visit(&Blueprint::Same(monitor), &mut Vec::new()) else { return };
        let name = &self.sections[monitor].name;
        diagnostics.extend(endless.fault(name, monitor));
        self.blueprints[monitor] = Blueprint::Faulty;
    }
}

/// Why a calculation has no end.
enum Endless {
    Cycle(usize),
    TooDeep,
    TooLarge,
}

impl Endless {
    /// What is wrong with a monitor; none when it only leads to one with which something is.
    fn fault(&self, name: &Spanned<String>, monitor: usize) -> Option<Diagnostic> {
        let Spanned { value: name, span } = name;
        let fault = match self {
            Endless::Cycle(at) if *at != monitor => return None,
            Endless::Cycle(_) => Diagnostic::error("cycle", span, format!("the monitor `{name}` leads back to itself")),
            Endless::TooDeep => {
                Diagnostic::error("too-deep", span, format!("the monitor `{name}` is calculated over more than {DEPTH_MAX} levels"))
            }
            Endless::TooLarge => {
                Diagnostic::error("too-wide", span, format!("the monitor `{name}` is calculated from more than {SIZE_MAX} others"))
            }
        };
        Some(fault.help("calculate from fewer monitors, none of which is calculated from this one"))
    }
}

struct Walk<'m, 'a> {
    monitors: &'m Monitors<'a>,
    size: usize,
}

impl Walk<'_, '_> {
    fn visit(&mut self, blueprint: &Blueprint, path: &mut Vec<usize>) -> Result<(), Endless> {
        self.size += 1;
        if self.size > SIZE_MAX {
            return Err(Endless::TooLarge);
        }
        match blueprint {
            Blueprint::Check(_) | Blueprint::Faulty => Ok(()),
            Blueprint::AtLeast { of, .. } => of.iter().try_for_each(|part| self.visit(part, path)),
            Blueprint::Not(part) => self.visit(part, path),
            Blueprint::Same(monitor) => self.enter(*monitor, path),
        }
    }

    fn enter(&mut self, monitor: usize, path: &mut Vec<usize>) -> Result<(), Endless> {
        if path.contains(&monitor) {
            return Err(Endless::Cycle(monitor));
        }
        if path.len() >= DEPTH_MAX {
            return Err(Endless::TooDeep);
        }
        path.push(monitor);
        let monitors = self.monitors;
        let result = self.visit(&monitors.blueprints[monitor], path);
        path.pop();
        result
    }
}

fn blueprint(
    section: &MonitorSection,
    names: &Names<'_, usize>,
    probes: &ProbesSection,
    base: &Path,
    diagnostics: &mut Diagnostics,
) -> Blueprint {
    let plan = match &section.check {
        CheckSection::Sent { port, check } => {
            refuse_program(section, check, probes, diagnostics);
            Plan::Sent { port: *port, check: Box::new(check.clone().rooted(base)) }
        }
        CheckSection::Dns(dns) => match dns_check(dns, diagnostics) {
            Some(check) => Plan::Sent { port: dns.port, check: Box::new(Check::Dns(check)) },
            None => return Blueprint::Faulty,
        },
        CheckSection::File { path, expires } => Plan::File { path: base.join(&path.value).into(), expires: *expires },
        CheckSection::Push { expires, token } => Plan::Push { expires: *expires, token: token.clone() },
        CheckSection::Calculated(formula) => return resolved(formula, names, diagnostics),
    };
    Blueprint::Check(Arc::new(plan))
}

fn resolved(formula: &Formula, names: &Names<'_, usize>, diagnostics: &mut Diagnostics) -> Blueprint {
    match formula {
        Formula::Monitor(name) => names.resolve(name, diagnostics).map_or(Blueprint::Faulty, Blueprint::Same),
        Formula::AtLeast { needed, of } => {
            let of = of.iter().map(|part| resolved(part, names, diagnostics)).collect();
            Blueprint::AtLeast { needed: *needed, of }
        }
        Formula::Not(part) => Blueprint::Not(Box::new(resolved(part, names, diagnostics))),
    }
}

fn refuse_program(section: &MonitorSection, check: &Check, probes: &ProbesSection, diagnostics: &mut Diagnostics) {
    let Check::Exec(exec) = check else { return };
    let program = &exec.command[0];
    if !probes.may_run(program) {
        let message = format!("the monitor `{}` may not run `{program}`", section.name.value);
        let fault = Diagnostic::error("forbidden-program", &section.name.span, message);
        diagnostics.push(fault.help(format!("if it is meant, write in steersman.yaml `probes: {{programs: [{program}]}}`")));
    }
}

fn dns_check(section: &DnsSection, diagnostics: &mut Diagnostics) -> Option<DnsCheck> {
    let (name, rtype) = &section.question;
    let mut answers: Vec<Vec<u8>> = Vec::new();
    for text in &section.answers {
        let mut wire = Vec::new();
        if let Err(error) = parse_rdata(*rtype, &text.value, &Name::root(), &mut wire) {
            let fault = Diagnostic::error("bad-record", &text.span, format!("`{}` is no {rtype} data: {error}", text.value));
            let elsewhere = if let RdataError::WrongFamily(other) = &error { Some(format!("ask for it: `{name} {other}`")) } else { None };
            diagnostics.push(fault.help(elsewhere.unwrap_or_else(|| error.help(*rtype))));
            return None;
        }
        // Data that the library cannot read back is compared as it stands.
        answers.push(dns::canonical_rdata(*rtype, &wire).unwrap_or(wire));
    }
    answers.sort_unstable();
    let mut rcodes = section.rcodes.clone();
    rcodes.sort_unstable();
    rcodes.dedup();
    Some(DnsCheck { name: name.clone(), rtype: *rtype, rcodes, answers, udp: section.udp, recursion: section.recursion })
}

/// How the observations of a monitor become a verdict.
pub(super) fn rules_of(section: &MonitorSection) -> Rules {
    let MonitorSection { interval, timeout, rise, fall, fast_interval, .. } = *section;
    let window = section.window.map(|window| WindowRule::of_percent(window.of, u32::from(window.fail)));
    let damping = section.damping.map(|damping| Damping { window: damping.window, hold: damping.hold, hold_max: damping.hold_max });
    Rules { interval, timeout, rise, fall, fast_interval, window, damping }
}
