//! Zone data, wire-ready.
//!
//! [`ZonesBuilder`] takes names and RRsets while a config is compiled; [`Zones`] then answers look-ups: which zone, which
//! name, wildcard or zone cut (RFC 1034 section 4.3.2, RFC 4592). An RRset is either prepared bytes, or the id of a steering
//! decision that this module cannot look inside. Knows no health and no client; a look-up allocates nothing.

mod builder;
mod lookup;
mod parse;
mod table;

pub use builder::{SoaTimes, ZonesBuilder};
pub use lookup::{Found, Hit};
pub use parse::{RdataError, parse_rdata, soa_rdata};
pub use table::{Node, RrsetView, Zone, Zones};
