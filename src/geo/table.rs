//! The compiled table: client prefix -> ordered outcomes.

use super::{Atlas, Match};
use std::net::IpAddr;

/// One rule of a location-dependent list.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rule {
    /// Which clients it holds for.
    pub when: Match,
    /// Its outcome: an index into the children of the policy that owns the list.
    pub child: u16,
}

/// What the table knows of one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell<'a> {
    /// The outcomes of all rules that hold, in order, without repetition; the default comes last. Never empty.
    pub children: &'a [u16],
    /// The length in bits of the largest prefix around the address in which every client has the same outcomes.
    pub len: u8,
}

/// A list of rules, compiled: who is where is settled before the query comes.
#[derive(Clone, Debug)]
pub struct GeoTable {
    todo: Vec<u16>,
}

impl GeoTable {
    /// Compiles `rules`, tried in order, over everything that `atlas` knows; `default` is the outcome when none holds.
    pub fn compile(_rules: &[Rule], default: u16, _atlas: &Atlas) -> GeoTable {
        GeoTable { todo: vec![default] }
    }

    /// The outcomes for a client at `addr`, and how far around it they stay the same.
    pub fn look_up(&self, _addr: IpAddr) -> Cell<'_> {
        Cell { children: &self.todo, len: 0 }
    }
}
