//! Zone data: from text, or from records one by one, to what can be copied to the wire.
//!
//! | step | type |
//! |---|---|
//! | a master file is read | [`read_master_file`], or [`parse_rdata`] for a value of another format |
//! | a zone as its file says it | [`ZoneSource`], which the compiler checks |
//! | all zones, wire-ready | [`Zones`], made by [`Zones::build`] |
//! | which zone, name, wildcard or zone cut (RFC 1034 section 4.3.2, RFC 4592) | [`Zones::find`] |
//!
//! An RRset is either prepared octets, or the id of a steering decision that this module cannot look inside. Knows no health and
//! no client; a look-up allocates nothing.

mod builder;
mod entry;
mod index;
mod lookup;
mod master;
mod parse;
mod scan;
mod segments;
mod source;
mod table;

pub use builder::{is_too_long, negative_ttl_s};
pub use lookup::{Found, Glimpse, Hit};
pub use master::{EXTENSIONS, is_master_file, read as read_master_file};
pub use parse::{RdataError, parse_rdata, soa_rdata};
pub use source::{Owner, OwnerId, Place, Record, Steered, ZoneSource, doubled_origin, sets};
pub use table::{Node, RrsetView, Zone, Zones};
