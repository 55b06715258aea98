//! Turns probe observations into verdicts that do not flap.
//!
//! The shell asks [`Schedule`] what to probe next, probes, and hands back an [`Observation`]; out come
//! [`TargetVerdict`]s, which the [`Ledger`] folds into one verdict per member and family. Knows no address, no protocol
//! and no socket: a target is an opaque identity. It is told the time and cannot fail.

mod condition;
mod latency;
mod ledger;
mod monitor;
mod observation;
mod schedule;
mod verdict;

pub use condition::Condition;
pub use ledger::Ledger;
pub use monitor::{Change, Monitor, Rules};
pub use observation::{Doubt, FailReason, Observation};
pub use schedule::{ProbeOrder, Schedule, TargetVerdict, TargetView, Token};
pub use verdict::{NotAStatus, Status, Verdict};
