//! From a node and a client to members.

use super::{Grade, Graph, PoolView, Trace};
use crate::ids::{NodeId, PoolId, Table};
use crate::prefix::Family;
use crate::rng::Dice;
use std::net::IpAddr;
use std::sync::Arc;

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// A or AAAA.
    pub family: Family,
    /// The address that asks: the resolver.
    pub resolver: IpAddr,
    /// The client's prefix as the resolver announced it (RFC 7871), when it did and did not say SOURCE 0.
    pub subnet: Option<crate::prefix::Prefix>,
    /// The chance of this query.
    pub dice: Dice,
}

/// Which members count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// The usable ones.
    Live,
    /// All, as if healthy.
    Ignored,
    /// The last usable ones.
    LastKnown,
}

/// The members of an answer, in order: room for [`Picks::MAX`], so that nothing is allocated.
#[derive(Clone, Debug)]
pub struct Picks {
    list: [(PoolId, u16); Picks::MAX],
    len: usize,
}

impl Picks {
    /// Members in an answer at most.
    pub const MAX: usize = 64;
}

/// What a node decided. The members are in the [`Picks`] that were handed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selection {
    /// How fit the node is for this client.
    pub grade: Grade,
    /// Seconds for which the decision is sure to hold, clamped by the `ttl` of the nodes on the way.
    pub ttl_s: u32,
    /// The ECS scope: the length of the prefix in which every client gets the same decision for equal dice.
    pub scope: u8,
}

/// Decides for one client.
pub fn evaluate<T: Trace>(
    _graph: &Graph,
    _pools: &Table<PoolId, Arc<PoolView>>,
    _root: NodeId,
    _question: &Question,
    _health: Health,
    _picks: &mut Picks,
    _trace: &mut T,
) -> Selection {
    Selection { grade: Grade::Empty, ttl_s: 0, scope: 0 }
}
