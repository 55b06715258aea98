//! A query looked at before its turn, so that the memory its answer lies in is on its way when it is answered.
//!
//! An answer waits for memory several times: for a slot of the table of names and for the entry that it leads to, for a slot of
//! a table of places and for the ranges that it leads to. Within a batch these waits overlap: first [`anticipate`] for each
//! query, then [`anticipate_further`] for each, then [`respond_anticipated`](super::respond_anticipated) for each. What was
//! read of the query on the way is kept, so nothing is done twice; and nothing but time depends on it.

use crate::dns::{FoldedName, Query, QueryError};
use crate::geo::GeoTable;
use crate::live::Live;
use crate::prefix::Prefix;
use std::net::IpAddr;

/// A query, read or not read yet.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub(super) name: FoldedName,
    /// What was read, until it is answered.
    query: Option<Result<Query, QueryError>>,
}

/// Tables of places that are anticipated; nobody knows yet which of them will be asked. Most configs have one or two.
const TABLES: usize = 2;

impl Asked {
    /// Room for a query.
    pub fn new() -> Asked {
        Asked::default()
    }

    /// The query in `packet`, which is read unless it was anticipated. Afterwards there is none: the next packet has another.
    pub(super) fn take(&mut self, packet: &[u8]) -> Result<Query, QueryError> {
        let query = self.query.take().unwrap_or_else(|| Query::read(packet, &mut self.name));
        debug_assert!(query.is_err() || query.is_ok_and(|query| self.is_of(&query, packet)), "what was anticipated was another packet");
        query
    }

    fn is_of(&self, query: &Query, packet: &[u8]) -> bool {
        let wire = self.name.wire();
        query.question(packet).get(..wire.len()).is_some_and(|name| name.eq_ignore_ascii_case(wire))
    }
}

/// Reads `packet`, which came from `source`, and sends for where the tables of names and of places would have it.
pub fn anticipate(live: &Live, source: IpAddr, packet: &[u8], asked: &mut Asked) {
    let query = Query::read(packet, &mut asked.name);
    if let Ok(query) = &query {
        live.snapshot.zones.anticipate(&asked.name);
        tables(live).for_each(|table| table.anticipate(place(query, source)));
    }
    asked.query = Some(query);
}

/// Sends for what these slots lead to.
pub fn anticipate_further(live: &Live, source: IpAddr, asked: &Asked) {
    if let Some(Ok(query)) = &asked.query {
        live.snapshot.zones.anticipate_entry(&asked.name);
        tables(live).for_each(|table| table.anticipate_ranges(place(query, source)));
    }
}

fn tables(live: &Live) -> impl Iterator<Item = &GeoTable> {
    live.snapshot.graph.geo.iter().take(TABLES).map(|(_, table)| table)
}

/// Where a policy will most likely see the client.
fn place(query: &Query, source: IpAddr) -> IpAddr {
    query.subnet().map_or(source, Prefix::addr)
}
