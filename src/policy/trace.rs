//! What `explain` sees of a decision, and queries do not pay for.
//!
//! Steps come in the order of the walk, so that a tree can be printed as they come: for a policy at depth `d` first
//! [`Step::Located`] (geo), one [`Step::Surveyed`] a child, then [`Step::Took`] with the whole story of that child at depth
//! `d + 1`, and last [`Step::Timed`]. For a pool one [`Step::Weighed`] a usable member, then [`Step::Timed`]. When all is down,
//! [`Step::AllDown`] follows, and the steps of the second walk if `on_all_down` asks for one; otherwise [`Step::Answered`] or
//! [`Step::Denied`] ends the story.

use super::{LastResort, Survey, TtlRange};
use crate::ids::{NodeId, PoolId};
use std::fmt;
use std::net::IpAddr;

/// One step of a decision, in the order in which it was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A geo policy looked the client up.
    Located {
        /// Which policy.
        node: NodeId,
        /// How deep in the tree; the root is 0.
        depth: u8,
        /// The address that was looked up.
        addr: IpAddr,
        /// Whether that is the client's announced subnet (RFC 7871); else it is the resolver's address.
        by_subnet: bool,
        /// The scope that this look-up contributes.
        scope: u8,
    },
    /// A policy looked at a child, or had no need to.
    Surveyed {
        /// Which policy.
        node: NodeId,
        /// How deep it is.
        depth: u8,
        /// The child.
        child: NodeId,
        /// What it offers; `None` when nobody looked, so that it adds nothing to the scope.
        survey: Option<Survey>,
        /// What the policy makes of it.
        fate: Fate,
    },
    /// A policy took a child. What follows one level deeper is that child's story.
    Took {
        /// Which policy.
        node: NodeId,
        /// How deep it is.
        depth: u8,
        /// The child it took.
        child: NodeId,
    },
    /// A pool had a usable member of the family that was asked for.
    Weighed {
        /// Which pool.
        pool: PoolId,
        /// How deep it is.
        depth: u8,
        /// The member's index.
        member: u16,
        /// Its chance, in parts per million; for a weighted choice of several that of the first draw.
        chance_ppm: u32,
        /// How long the belief in it holds, in seconds; `u32::MAX` when nothing can change it.
        holds_s: u32,
        /// Whether it is in the answer.
        chosen: bool,
    },
    /// A node is done, and says for how long its decision holds. All in seconds; `u32::MAX` is for good.
    Timed {
        /// Which node.
        node: NodeId,
        /// How deep it is.
        depth: u8,
        /// Until a member that was taken could be down; for a policy this is the TTL of what it took.
        members_s: u32,
        /// Until one that is preferred could be back.
        returns_s: u32,
        /// The lesser of both, clamped by the node's own `ttl`.
        ttl_s: u32,
    },
    /// The whole tree is empty.
    AllDown {
        /// What is answered instead. If that is members, the walk that finds them follows.
        instead: LastResort,
        /// The TTL of that answer, in seconds.
        ttl_s: u32,
    },
    /// Members were chosen.
    Answered {
        /// What the steered name allows.
        allowed: TtlRange,
        /// The TTL handed out, in seconds.
        ttl_s: u32,
    },
    /// What was chosen has no usable address of the family that was asked for.
    Denied {
        /// Whether any pool below the steered name has such an address, so that a denial must be short.
        is_configured: bool,
    },
}

/// What a policy makes of a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It may be taken, with this chance in parts per million; a million: it is taken.
    InDraw {
        /// Its chance.
        chance_ppm: u32,
    },
    /// Nothing in it is usable.
    Empty,
    /// A better grade is there.
    Worse,
    /// One before it is as good, or healthy, so that this one was not looked at.
    Later,
    /// Of weight 0, and there is a positive weight that is not empty; not looked at.
    Standby,
    /// Its latency is beyond the tolerance, or unknown while others' is known.
    Farther,
    /// Not for the client's place; not looked at.
    Elsewhere,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::InDraw { chance_ppm: super::choose::ONE_IN_PPM } => f.write_str("taken"),
            Fate::InDraw { chance_ppm } => write!(f, "chance {}.{}%", chance_ppm / 10_000, chance_ppm / 1_000 % 10),
            Fate::Empty => f.write_str("nothing usable"),
            Fate::Worse => f.write_str("a better one is there"),
            Fate::Later => f.write_str("one before it is as good"),
            Fate::Standby => f.write_str("standby"),
            Fate::Farther => f.write_str("farther away"),
            Fate::Elsewhere => f.write_str("not for this client's place"),
        }
    }
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
