//! A query looked at before its turn, so that the memory its answer lies in is on its way when it is answered.
//!
//! A look-up waits for memory twice: for a slot of the table of names, and for the entry the slot leads to. Within a batch
//! these waits overlap: first [`anticipate`] for each query, then [`anticipate_entry`] for each, then
//! [`respond_anticipated`](super::respond_anticipated) for each. What was read of the name on the way is kept, so nothing
//! is done twice; and nothing but time depends on it.

use crate::dns::{FoldedName, HEADER_LEN};
use crate::live::Live;

/// The name of a question, read or not read yet.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub(super) name: FoldedName,
    /// Octets of the name in the packet; 0 while it has not been read, or could not be.
    name_len: usize,
}

impl Asked {
    /// Room for a name.
    pub fn new() -> Asked {
        Asked::default()
    }

    /// Octets that the name takes in `packet`, which is read unless it has been; `None` when there is no name. Afterwards it
    /// counts as not read, since the next packet has another.
    pub(super) fn take(&mut self, packet: &[u8]) -> Option<usize> {
        match std::mem::take(&mut self.name_len) {
            0 => self.name.read(packet.get(HEADER_LEN..)?),
            len => {
                debug_assert!(packet[HEADER_LEN..][..len].eq_ignore_ascii_case(self.name.wire()), "this was read from another packet");
                Some(len)
            }
        }
    }
}

/// Reads the name that `packet` asks for, and sends for where the table of names would have it.
pub fn anticipate(live: &Live, packet: &[u8], asked: &mut Asked) {
    asked.name_len = packet.get(HEADER_LEN..).and_then(|body| asked.name.read(body)).unwrap_or(0);
    if asked.name_len > 0 {
        live.snapshot.zones.anticipate(&asked.name);
    }
}

/// Sends for what the table of names leads to.
pub fn anticipate_entry(live: &Live, asked: &Asked) {
    if asked.name_len > 0 {
        live.snapshot.zones.anticipate_entry(&asked.name);
    }
}
