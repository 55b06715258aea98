//! The members of one answer.

use crate::ids::{Id, PoolId};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// A member of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pick {
    /// The pool it was chosen from.
    pub pool: PoolId,
    /// Its index in the pool's members.
    pub member: u16,
    /// What goes into the record; of the family that was asked for.
    pub addr: IpAddr,
}

/// The members of an answer, in order: room for [`Picks::MAX`], so that nothing is allocated. No address is in it twice,
/// because an RRset holds no record twice (RFC 2181 section 5).
#[derive(Clone)]
pub struct Picks {
    list: [Pick; Picks::MAX],
    /// How many of `list` count: `0..=MAX`.
    len: usize,
}

impl Picks {
    /// Members in an answer at most.
    pub const MAX: usize = 64;

    /// No member yet.
    pub fn new() -> Picks {
        let blank = Pick { pool: PoolId::new(0), member: 0, addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        Picks { list: [blank; Picks::MAX], len: 0 }
    }

    /// Appends a member, unless the list is full or has its address already.
    pub fn push(&mut self, pick: Pick) {
        if self.len == Picks::MAX || self.iter().any(|other| other.addr == pick.addr) {
            return;
        }
        self.list[self.len] = pick;
        self.len += 1;
    }

    /// Drops all members.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The members, in the order of the answer.
    pub fn as_slice(&self) -> &[Pick] {
        &self.list[..self.len]
    }

    /// The members, in the order of the answer.
    pub fn iter(&self) -> std::slice::Iter<'_, Pick> {
        self.as_slice().iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for Picks {
    fn default() -> Picks {
        Picks::new()
    }
}

impl PartialEq for Picks {
    fn eq(&self, other: &Picks) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Picks {}

impl fmt::Debug for Picks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Picks {
    type Item = &'a Pick;
    type IntoIter = std::slice::Iter<'a, Pick>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(number: u32) -> Pick {
        Pick { pool: PoolId::new(1), member: 0, addr: IpAddr::V4(Ipv4Addr::from_bits(number)) }
    }

    #[test]
    fn a_full_list_takes_no_more_and_forgets_nothing() {
        let mut picks = Picks::new();
        (0..65).for_each(|number| picks.push(pick(number)));
        assert_eq!(picks.len(), Picks::MAX);
        assert_eq!(picks.as_slice()[63], pick(63));
        picks.clear();
        assert!(picks.is_empty());
    }

    #[test]
    fn an_address_is_answered_once_even_when_two_pools_hold_it() {
        let mut picks = Picks::new();
        picks.push(pick(7));
        picks.push(Pick { pool: PoolId::new(2), ..pick(7) });
        assert_eq!(picks.as_slice(), [pick(7)]);
    }
}
