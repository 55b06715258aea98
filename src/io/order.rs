//! Overrides as they travel: to the admin interface and back, and into the state file. One set of types for all three.

use crate::beliefs::outlook;
use crate::judge::{Force, Override, Progress};
use serde::{Deserialize, Serialize};

/// An override.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OverrideStatus {
    /// Whom it is about: `member:NAME`, `pool:NAME`, `site:NAME` or `POOL/MEMBER`.
    pub selector: String,
    /// `up`, `down` or `drain`.
    pub state: String,
    /// Who set it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When, in seconds since 1970.
    pub set_unix_s: u64,
    /// When it ends by itself, in seconds since 1970.
    pub expires_unix_s: Option<u64>,
    /// Whether it may break what the config protects.
    pub break_glass: bool,
    /// Of a drain: when it is answered no more, in seconds since 1970.
    pub removes_unix_s: Option<u64>,
    /// Of a drain: when the last cached answer expires, in seconds since 1970.
    pub gone_unix_s: Option<u64>,
    /// What the log told of it already: `warned`, `removed`, `gone`.
    #[serde(default)]
    pub told: Vec<String>,
}

/// How an order ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderReport {
    /// Whether it was obeyed.
    pub obeyed: bool,
    /// What was done, or why nothing was.
    pub message: String,
    /// What is in force now, where something was set.
    pub set: Option<OverrideStatus>,
}

impl From<&Override> for OverrideStatus {
    fn from(one: &Override) -> OverrideStatus {
        let (removes_unix_s, gone_unix_s) = match one.force {
            Force::Up | Force::Down => (None, None),
            Force::Drain { removes_unix_s, gone_unix_s } => (Some(removes_unix_s), Some(gone_unix_s)),
        };
        OverrideStatus {
            selector: one.selector.to_string(),
            state: one.force.word().to_owned(),
            owner: one.owner.clone(),
            reason: one.reason.clone(),
            set_unix_s: one.set_unix_s,
            expires_unix_s: one.expires_unix_s,
            break_glass: one.break_glass,
            removes_unix_s,
            gone_unix_s,
            told: told(one.progress).map(str::to_owned).collect(),
        }
    }
}

/// What was told of an override, as words.
fn told(progress: Progress) -> impl Iterator<Item = &'static str> {
    let Progress { warned, removed, gone } = progress;
    [("warned", warned), ("removed", removed), ("gone", gone)].into_iter().filter(|(_, told)| *told).map(|(word, _)| word)
}

impl OverrideStatus {
    /// The override itself; none when it is not one that this program could have written.
    pub fn parse(self) -> Option<Override> {
        let force = match (self.state.as_str(), self.removes_unix_s, self.gone_unix_s) {
            ("up", ..) => Force::Up,
            ("down", ..) => Force::Down,
            ("drain", Some(removes_unix_s), Some(gone_unix_s)) => Force::Drain { removes_unix_s, gone_unix_s },
            _ => return None,
        };
        let told = |word: &str| self.told.iter().any(|told| told == word);
        Some(Override {
            selector: self.selector.parse().ok()?,
            force,
            owner: self.owner,
            reason: self.reason,
            set_unix_s: self.set_unix_s,
            expires_unix_s: self.expires_unix_s,
            break_glass: self.break_glass,
            progress: Progress { warned: told("warned"), removed: told("removed"), gone: told("gone") },
        })
    }

    /// What it does now, and what comes next, in words; none when it is not an override that this program knows.
    pub fn outlook(&self, now_unix_s: u64) -> Option<String> {
        Some(outlook(&self.clone().parse()?, now_unix_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::drain;

    #[test]
    fn an_override_travels_without_loss() {
        for one in [drain(), Override { force: Force::Up, expires_unix_s: None, ..drain() }, Override { force: Force::Down, ..drain() }] {
            assert_eq!(OverrideStatus::from(&one).parse(), Some(one));
        }
        assert_eq!(OverrideStatus { state: "sideways".into(), ..OverrideStatus::from(&drain()) }.parse(), None);
    }
}
