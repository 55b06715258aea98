//! A policy file: monitors, sites, regions, pools and policies, each by name. Every part may be absent.

use super::monitor::{self, MonitorSection};
use super::place::{self, RegionSection, SiteSection};
use super::policy::{self, PolicySection};
use super::pool::{self, PoolSection};
use super::protect::{self, ProtectSection};
use super::reader::{self, Fields, Schema};
use super::yaml::{self, Node};
use crate::diagnostic::{Diagnostics, Source, Spanned};
use std::sync::Arc;

/// What policy files say; several files are one after [`PoliciesSection::append`].
#[derive(Clone, Debug, Default)]
pub struct PoliciesSection {
    /// All monitors.
    pub monitors: Vec<MonitorSection>,
    /// All sites.
    pub sites: Vec<SiteSection>,
    /// All regions.
    pub regions: Vec<RegionSection>,
    /// All pools.
    pub pools: Vec<PoolSection>,
    /// All policies.
    pub policies: Vec<PolicySection>,
    /// All protections.
    pub protections: Vec<ProtectSection>,
    /// Names of things that were written but not understood: a reference to one of them is no second fault.
    pub broken: Vec<String>,
}

/// The keys of a policy file.
pub const POLICIES: Schema = Schema { name: "a policy file", keys: &["monitors", "sites", "regions", "pools", "policies", "protect"] };
/// The keys of a region file.
pub const REGIONS: Schema = Schema { name: "a region file", keys: &["regions"] };

impl PoliciesSection {
    /// Adds all that `other` says. Names that come twice are found when they are resolved.
    pub fn append(&mut self, other: PoliciesSection) {
        self.monitors.extend(other.monitors);
        self.sites.extend(other.sites);
        self.regions.extend(other.regions);
        self.pools.extend(other.pools);
        self.policies.extend(other.policies);
        self.protections.extend(other.protections);
        self.broken.extend(other.broken);
    }
}

/// Reads a policy file; what is faulty is reported and left out.
pub fn read(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Option<PoliciesSection> {
    let root = yaml::parse(source, diagnostics)?;
    let fields = Fields::of(&root, POLICIES, diagnostics)?;
    let mut broken = Vec::new();
    Some(PoliciesSection {
        monitors: named(&fields, "monitors", monitor::read, &mut broken, diagnostics),
        sites: named(&fields, "sites", place::read_site, &mut broken, diagnostics),
        regions: named(&fields, "regions", place::read_region, &mut broken, diagnostics),
        pools: named(&fields, "pools", pool::read, &mut broken, diagnostics),
        policies: named(&fields, "policies", policy::read, &mut broken, diagnostics),
        protections: named(&fields, "protect", protect::read, &mut broken, diagnostics),
        broken,
    })
}

/// Reads a file that holds nothing but regions.
pub fn read_regions(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Option<PoliciesSection> {
    let root = yaml::parse(source, diagnostics)?;
    let fields = Fields::of(&root, REGIONS, diagnostics)?;
    let mut broken = Vec::new();
    let regions = named(&fields, "regions", place::read_region, &mut broken, diagnostics);
    Some(PoliciesSection { regions, broken, ..PoliciesSection::default() })
}

type ReadNamed<T> = fn(&Spanned<String>, &Node, &mut Diagnostics) -> Option<T>;

fn named<T>(fields: &Fields<'_>, key: &'static str, read: ReadNamed<T>, broken: &mut Vec<String>, diagnostics: &mut Diagnostics) -> Vec<T> {
    let read_all = |node: &Node, diagnostics: &mut Diagnostics| {
        let entries = reader::mapping(node, &format!("`{key}`"), diagnostics)?;
        let mut out = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            reader::check_name(name, diagnostics);
            match read(name, value, diagnostics) {
                Some(section) => out.push(section),
                None => broken.push(name.value.clone()),
            }
        }
        Some(out)
    };
    fields.optional(key, read_all, diagnostics).unwrap_or_default()
}
