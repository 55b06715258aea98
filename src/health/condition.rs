//! What must hold for a member to be up: more than "all of its targets", where the config says so.

use super::Status;
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

/// How what is believed of a target speaks for a condition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Leaning {
    /// That it is up speaks for it.
    Straight,
    /// That it is up speaks against it.
    Reversed,
}

impl Leaning {
    const fn reversed(self) -> Leaning {
        match self {
            Leaning::Straight => Leaning::Reversed,
            Leaning::Reversed => Leaning::Straight,
        }
    }

    /// What the status of one says of the other; either way round.
    pub const fn turn(self, status: Status) -> Status {
        match (self, status) {
            (Leaning::Reversed, Status::Up) => Status::Down,
            (Leaning::Reversed, Status::Down) => Status::Up,
            (Leaning::Straight | Leaning::Reversed, status) => status,
        }
    }
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

    /// Every target in it, and whether the condition rather holds while that target is up, or while it is not.
    pub fn leanings(&self) -> Vec<(TargetId, Leaning)> {
        match self {
            Condition::Target(target) => vec![(*target, Leaning::Straight)],
            Condition::AtLeast { of, .. } => of.iter().flat_map(Condition::leanings).collect(),
            Condition::Not(condition) => condition.leanings().into_iter().map(|(target, leaning)| (target, leaning.reversed())).collect(),
            Condition::Never => Vec::new(),
        }
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
