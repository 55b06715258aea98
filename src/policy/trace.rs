//! What `explain` sees of a decision, and queries do not pay for.

use super::Grade;
use crate::ids::{NodeId, PoolId};

/// One step of a decision, in the order in which it was taken.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A node was looked at: how fit it is, for this client.
    Surveyed {
        /// Which.
        node: NodeId,
        /// How deep in the tree.
        depth: u8,
        /// How fit.
        grade: Grade,
        /// The scope it contributes.
        scope: u8,
    },
    /// A node took some of its children.
    Took {
        /// Which node.
        node: NodeId,
        /// How deep in the tree.
        depth: u8,
        /// The child it took.
        child: NodeId,
        /// Why, in a few words.
        why: &'static str,
    },
    /// A pool chose a member.
    Chose {
        /// Which pool.
        pool: PoolId,
        /// The member's index.
        member: u16,
        /// Its chance in this draw, in parts per million.
        chance_ppm: u32,
    },
}

/// Hears the steps of a decision. `()` hears nothing and costs nothing.
pub trait Trace {
    /// Whether anybody listens: steps that cost something to make are made only then.
    const LISTENS: bool = true;
    /// Hears one step.
    fn step(&mut self, step: Step);
}

impl Trace for () {
    const LISTENS: bool = false;
    fn step(&mut self, _: Step) {}
}

impl Trace for Vec<Step> {
    fn step(&mut self, step: Step) {
        self.push(step);
    }
}
