//! What must hold for a member to be up: more than "all of its targets", where the config says so.

use crate::ids::TargetId;
use std::collections::BTreeSet;

/// A tree of targets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// This target is up.
    Target(TargetId),
    /// At least so many of these hold.
    AtLeast {
        /// How many; 0 always holds.
        needed: usize,
        /// Of these.
        of: Vec<Condition>,
    },
    /// This does not hold.
    Not(Box<Condition>),
    /// Never holds: what depends on a member that the config disables.
    Never,
}

impl Condition {
    /// All of them hold; of none: always.
    pub const fn all(of: Vec<Condition>) -> Condition {
        Condition::AtLeast { needed: of.len(), of }
    }

    /// One of them holds at least; of none: never.
    pub const fn any(of: Vec<Condition>) -> Condition {
        Condition::AtLeast { needed: 1, of }
    }

    /// Every target in it, each once.
    pub fn targets(&self) -> BTreeSet<TargetId> {
        let mut targets = BTreeSet::new();
        self.collect(&mut targets);
        targets
    }

    fn collect(&self, targets: &mut BTreeSet<TargetId>) {
        match self {
            Condition::Target(target) => drop(targets.insert(*target)),
            Condition::AtLeast { of, .. } => of.iter().for_each(|part| part.collect(targets)),
            Condition::Not(condition) => condition.collect(targets),
            Condition::Never => {}
        }
    }
}
