//! From files to a snapshot that may replace another: what is loaded, what is refused, and what is said about it.
//!
//! An attempt either puts a whole config in force or changes nothing. It runs beside the control task, which goes on
//! probing and answering from the old config meanwhile.

use crate::diagnostic::{Diagnostics, Severity};
use crate::snapshot::{Settings, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

/// Reads and compiles everything anew; may take its time.
pub type Loader = Arc<dyn Fn() -> (Option<Snapshot>, Diagnostics) + Send + Sync>;

/// What became of a reload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadResult {
    /// The new config is in force.
    Applied,
    /// The new config is sound, but its effect must be confirmed by force, or needs a restart.
    Refused,
    /// The new config has errors.
    Failed,
}

impl ReloadResult {
    /// All of them.
    pub const ALL: [ReloadResult; 3] = [ReloadResult::Applied, ReloadResult::Refused, ReloadResult::Failed];

    /// As JSON and labels write it.
    pub fn word(self) -> &'static str {
        match self {
            ReloadResult::Applied => "applied",
            ReloadResult::Refused => "refused",
            ReloadResult::Failed => "failed",
        }
    }
}

/// The answer to a request to reload; the JSON of `POST /v1/reload`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReloadReport {
    /// What became of it.
    pub result: ReloadResult,
    /// The generation in force after it.
    pub generation: u64,
    /// One sentence, or several lines when there is a list.
    pub message: String,
    /// Errors and warnings with their places, as `steersman check` prints them.
    pub report: String,
    /// The same, a line each, as logs carry them.
    pub lines: Vec<String>,
}

/// A snapshot that may be put in force, or why there is none.
#[derive(Debug)]
pub enum Attempt {
    /// Adopt this one.
    Ready(Arc<Snapshot>, Findings),
    /// The config is sound, but must not simply replace the old one; says why.
    Refused(String, Findings),
    /// The config has errors.
    Failed(Findings),
}

/// Diagnostics in the forms in which they leave the program.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// With places and marks.
    pub report: String,
    /// A line each.
    pub lines: Vec<String>,
    /// How many errors.
    pub errors: usize,
    /// How many warnings.
    pub warnings: usize,
}

impl Findings {
    /// `diagnostics`, ready to be sent away.
    pub fn of(diagnostics: &Diagnostics) -> Findings {
        Findings {
            report: diagnostics.render(false),
            lines: diagnostics.lines(),
            errors: diagnostics.count(Severity::Error),
            warnings: diagnostics.count(Severity::Warning),
        }
    }

    /// Adds a warning that is about no place in a file.
    pub fn warn(&mut self, warning: &str) {
        let line = format!("warning: {warning}");
        let _ = writeln!(self.report, "{line}");
        self.lines.push(line);
        self.warnings += 1;
    }
}

/// Loads a config and judges whether it may replace `current`.
pub fn attempt(load: &Loader, current: &Snapshot, force: bool) -> Attempt {
    let (snapshot, diagnostics) = load();
    let findings = Findings::of(&diagnostics);
    let Some(snapshot) = snapshot.filter(|_| findings.errors == 0) else { return Attempt::Failed(findings) };
    match refusal(current, &snapshot, force) {
        Some(why) => Attempt::Refused(why, findings),
        None => Attempt::Ready(Arc::new(snapshot), findings),
    }
}

/// Why `new` must not replace `old`, if so.
fn refusal(old: &Snapshot, new: &Snapshot, force: bool) -> Option<String> {
    restart_needed(&old.settings, &new.settings).or_else(|| if force { None } else { too_much_goes(old, new) })
}

fn restart_needed(old: &Settings, new: &Settings) -> Option<String> {
    let mut keys = Vec::new();
    if old.admin != new.admin {
        keys.push("admin");
    }
    if old.reports != new.reports {
        keys.push("reports");
    }
    if old.state_dir != new.state_dir {
        keys.push("state_dir");
    }
    (!keys.is_empty()).then(|| format!("a change of {} takes effect only after a restart; nothing was changed", keys.join(", ")))
}

/// How many names a refusal lists before it only counts.
const LISTED: usize = 20;

fn too_much_goes(old: &Snapshot, new: &Snapshot) -> Option<String> {
    let zones = missing(&zone_names(old), &zone_names(new));
    let (before, after) = (member_names(old), member_names(new));
    let members = missing(&before, &after);
    let too_many = members.len() * 2 > before.len();
    if zones.is_empty() && !too_many {
        return None;
    }
    let mut text = String::from("too much would go; nothing was changed. Use --force when this is meant:");
    list(&mut text, "zone", &zones);
    if too_many {
        let _ = write!(text, "\n  {} of {} members:", members.len(), before.len());
        list(&mut text, "member", &members);
    }
    Some(text)
}

fn list(text: &mut String, noun: &str, names: &[String]) {
    for name in names.iter().take(LISTED) {
        let _ = write!(text, "\n  {noun} {name}");
    }
    if names.len() > LISTED {
        let _ = write!(text, "\n  and {} more", names.len() - LISTED);
    }
}

fn missing(before: &[String], after: &[String]) -> Vec<String> {
    let after: BTreeSet<&String> = after.iter().collect();
    before.iter().filter(|name| !after.contains(name)).cloned().collect()
}

fn member_names(snapshot: &Snapshot) -> Vec<String> {
    let pools = snapshot.graph.pools.rows().iter();
    pools.flat_map(|pool| pool.members.iter().map(|member| format!("{} of pool {}", member.name, pool.name))).collect()
}

/// The origins of all zones, in config order, with the final dot.
pub fn zone_names(snapshot: &Snapshot) -> Vec<String> {
    snapshot.zones.iter().map(|(_, zone)| zone.apex.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::{snapshot, snapshot_of};

    fn judge(old: &Snapshot, new: &Snapshot, force: bool) -> Option<String> {
        refusal(old, new, force)
    }

    #[test]
    fn half_of_the_members_may_go_and_more_only_by_force() {
        let old = snapshot(&["a", "b", "c", "d"]);
        assert_eq!(judge(&old, &snapshot(&["a", "b"]), false), None);
        let why = judge(&old, &snapshot(&["a", "x"]), false).expect("three of four go");
        assert!(why.contains("3 of 4 members") && why.contains("member d of pool web") && why.contains("--force"), "{why}");
        assert_eq!(judge(&old, &snapshot(&["a"]), true), None);
    }

    #[test]
    fn a_member_that_moves_to_another_pool_has_gone_from_the_first() {
        let old = snapshot_of(&[("one", &["a", "b", "c"])]);
        assert!(judge(&old, &snapshot_of(&[("two", &["a", "b", "c"])]), false).is_some());
    }

    #[test]
    fn a_key_that_needs_a_restart_is_refused_even_by_force() {
        let old = snapshot(&["a"]);
        let mut new = snapshot(&["a"]);
        new.settings.admin = Some(crate::snapshot::AdminAddr::Unix("/elsewhere.sock".into()));
        new.settings.state_dir = Some("/elsewhere".into());
        let why = judge(&old, &new, true).expect("needs a restart");
        assert!(why.contains("admin, state_dir") && why.contains("restart"), "{why}");
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let names: Vec<String> = (0..LISTED + 5).map(|n| format!("m{n}")).collect();
        let mut text = String::new();
        list(&mut text, "member", &names);
        assert_eq!(text.lines().count(), 1 + LISTED + 1);
        assert!(text.ends_with("and 5 more"));
    }
}
