//! Picks members for a client. Knows no DNS name and no packet; it sees families, not record types.
//!
//! A [`Graph`] holds pools and policies, children before parents, so that it cannot loop. When verdicts change,
//! [`PoolView::prepare`] rebuilds the pools they touch; a query only calls [`evaluate`], which reads
//! prepared views and writes a [`Selection`]. A node's result is a selection and a [`Grade`]: a parent surveys its
//! children, without dice, and takes, in its own order, the first of the best grade there is. TTLs take the minimum on
//! the way up, scopes the narrowest.

mod ahead;
mod choose;
mod evaluate;
mod graph;
mod judgement;
mod picks;
mod places;
mod prepare;
#[cfg(test)]
mod properties;
mod reach;
mod survey;
#[cfg(test)]
pub(crate) mod testing;
mod trace;

pub use ahead::{Ahead, Asker};
pub use evaluate::{Health, Question, Selection, evaluate};
pub use graph::{Choose, Conduct, Failback, Graph, LastResort, Member, MinHealthy, Node, Policy, Pool, Protection, Steer, TtlRange};
pub use judgement::{Judgement, Rank, SHARE_MIN_PERMILLE, SHARE_WHOLE_PERMILLE};
pub use picks::{Pick, Picks};
pub use places::places;
pub use prepare::{FamilyView, Grade, PoolView, Roster, Usable};
pub use reach::ttl_reach;
pub use survey::Survey;
pub use trace::{Fate, Step, Trace};
