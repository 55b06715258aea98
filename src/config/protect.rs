//! Protections: what no removal of members may break.

use super::reader::{self, Fields, Schema};
use super::yaml::Node;
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use std::time::Duration;

/// A protection of the members of some pools.
#[derive(Clone, Debug)]
pub struct ProtectSection {
    /// Its name.
    pub name: Spanned<String>,
    /// The pools whose members it counts, together.
    pub pools: Vec<Spanned<String>>,
    /// So many members are never fewer.
    pub min_members: u32,
    /// They stand in so many sites at least.
    pub min_sites: u32,
    /// Never more than so many percent are removed...
    pub max_removed: Option<u8>,
    /// ...within so long.
    pub within: Duration,
}

/// The keys of a protection.
pub const PROTECT: Schema = Schema { name: "a protection", keys: &["pools", "min_members", "min_sites", "max_removed", "within"] };

/// Long enough to see that it was a mistake, short enough that the truth gets through soon.
const WITHIN: Duration = Duration::from_mins(1);

/// Reads one protection.
pub fn read(name: &Spanned<String>, node: &Node, diagnostics: &mut Diagnostics) -> Option<ProtectSection> {
    let fields = Fields::of(node, PROTECT, diagnostics)?;
    let pools = reader::non_empty("pool", reader::one_or_list(reader::name));
    let section = ProtectSection {
        name: name.clone(),
        pools: fields.required("pools", "[web]", pools, diagnostics)?,
        min_members: fields.optional("min_members", reader::number(0..=65_535), diagnostics).unwrap_or(0),
        min_sites: fields.optional("min_sites", reader::number(0..=65_535), diagnostics).unwrap_or(0),
        max_removed: fields.optional("max_removed", reader::percent, diagnostics),
        within: fields
            .optional("within", reader::duration(Duration::from_secs(1)..=Duration::from_hours(24)), diagnostics)
            .unwrap_or(WITHIN),
    };
    if !["min_members", "min_sites", "max_removed"].into_iter().any(|key| fields.has(key)) {
        let fault = Diagnostic::error("empty-protection", &fields.head(), "a protection that protects nothing");
        diagnostics.push(fault.help("add `min_members: 2`, `min_sites: 2` or `max_removed: 30%`"));
    }
    if !fields.has("max_removed") {
        fields.forbid("within", "it is the time in which `max_removed` counts", diagnostics);
    }
    Some(section)
}
