//! A query looked at before its turn, so that the memory its answer lies in is on its way when it is answered.
//!
//! An answer waits for memory several times: for a slot of the table of names, for the entry that it leads to, and where that is
//! steered, for all that its decision reads. Within a batch these waits overlap: first [`anticipate`] for each query, then
//! [`anticipate_further`] for each and again, as long as it leads any of them further, then
//! [`respond_anticipated`](super::respond_anticipated) for each. What was read of the query on the way is kept, so nothing is done
//! twice; and nothing but time depends on it.

use super::sections::family;
use crate::dns::{FoldedName, Query, QueryError};
use crate::ids::PoolId;
use crate::live::Live;
use crate::policy::{Ahead, Asker};
use crate::zone::Glimpse;
use std::net::{IpAddr, Ipv4Addr};

/// A query, read or not read yet.
#[derive(Clone, Debug)]
pub struct Asked {
    name: FoldedName,
    /// What was read last.
    query: Result<Query, QueryError>,
    /// Whether that is the next one to be answered.
    is_read: bool,
    /// Where it came from.
    source: IpAddr,
    sent_for: SentFor,
}

/// What was sent for last, and leads further.
#[derive(Clone, Copy, Debug)]
enum SentFor {
    /// Nothing does.
    Nothing,
    /// The slot of the name.
    Slot,
    /// The entry of the name.
    Entry(Glimpse),
    /// What decides about a steered name.
    Decision(Ahead),
}

impl Asked {
    /// Room for a query.
    pub fn new() -> Asked {
        Asked {
            name: FoldedName::new(),
            query: Err(QueryError::Short),
            is_read: false,
            source: Ipv4Addr::UNSPECIFIED.into(),
            sent_for: SentFor::Nothing,
        }
    }

    /// The query in `packet`, which is read unless it was anticipated, and its name. The next packet will have another.
    pub(super) fn take(&mut self, packet: &[u8]) -> Result<(&Query, &mut FoldedName), QueryError> {
        if !std::mem::take(&mut self.is_read) {
            self.query = Query::read(packet, &mut self.name);
        }
        debug_assert!(self.is_of(packet), "what was anticipated was another packet");
        match &self.query {
            Ok(query) => Ok((query, &mut self.name)),
            Err(error) => Err(*error),
        }
    }

    fn is_of(&self, packet: &[u8]) -> bool {
        let Ok(query) = &self.query else { return true };
        let wire = self.name.wire();
        query.question(packet).get(..wire.len()).is_some_and(|name| name.eq_ignore_ascii_case(wire))
    }

    /// The pool that will most likely be answered from, once its view was sent for.
    pub fn pool(&self) -> Option<PoolId> {
        if let SentFor::Decision(Ahead::View(pool)) = self.sent_for { Some(pool) } else { None }
    }

    /// What comes after what was sent for last.
    fn next(&self, live: &Live) -> Option<SentFor> {
        let (zones, graph) = (&live.snapshot.zones, &live.snapshot.graph);
        match self.sent_for {
            SentFor::Nothing => None,
            SentFor::Slot => zones.anticipate_entry(&self.name).map(SentFor::Entry),
            SentFor::Entry(entry) => Some(SentFor::Decision(Ahead::of(graph, zones.glimpsed_steer(entry)?))),
            SentFor::Decision(ahead) => ahead.follow(graph, &live.pools, &self.asker()?).map(SentFor::Decision),
        }
    }

    fn asker(&self) -> Option<Asker> {
        let query = self.query.as_ref().ok()?;
        Some(Asker { family: family(query.qtype)?, resolver: self.source, subnet: query.subnet() })
    }
}

impl Default for Asked {
    fn default() -> Asked {
        Asked::new()
    }
}

/// Reads `packet`, which came from `source`, and sends for where the table of names would have it.
pub fn anticipate(live: &Live, source: IpAddr, packet: &[u8], asked: &mut Asked) {
    asked.source = source;
    asked.query = Query::read(packet, &mut asked.name);
    asked.is_read = true;
    asked.sent_for = SentFor::Nothing;
    if asked.query.is_ok() {
        live.snapshot.zones.anticipate(&asked.name);
        asked.sent_for = SentFor::Slot;
    }
}

/// Sends for what the memory that was sent for last leads to. Says whether that may lead further still.
pub fn anticipate_further(live: &Live, asked: &mut Asked) -> bool {
    let next = asked.next(live);
    asked.sent_for = next.unwrap_or(SentFor::Nothing);
    next.is_some()
}
