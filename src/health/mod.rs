//! Turns probe observations into verdicts that do not flap.
//!
//! The shell asks [`Schedule`] what to probe next, probes, and hands back an [`Observation`]; out come
//! [`TargetVerdict`]s, which the [`Ledger`] folds into one verdict per member and family. Knows no address, no protocol
//! and no socket: a target is an opaque identity. It is told the time and cannot fail.

#[cfg(test)]
mod blindness;
mod condition;
#[cfg(test)]
mod crowd;
mod doubt;
mod flaps;
mod latency;
mod lateness;
mod ledger;
mod memory;
mod monitor;
mod observation;
mod schedule;
mod target;
mod verdict;
mod vigil;
mod window;

pub use condition::{Condition, Leaning};
pub use doubt::{DoubtChange, Evidence, Role, SelfDoubt, Suspicion};
pub use flaps::Damping;
pub use lateness::{LATENESS_BOUNDS, Lateness};
pub use ledger::Ledger;
pub use memory::Memory;
pub use monitor::{Change, Monitor, Pace, Rules};
pub use observation::{Doubt, FailReason, Observation, Sight};
pub use schedule::{Schedule, hurries_per_second_max};
pub use target::{ProbeOrder, TargetVerdict, TargetView, Token, Wanted};
pub use verdict::{NotAStatus, Status, Verdict};
pub use window::{Window, WindowRule};
