//! Where clients are: databases and CIDR lists compiled into one longest-prefix table per list of rules.
//!
//! Bytes of mmdb files enter by [`Atlas::load`]; rules enter by [`GeoTable::compile`], once, when a config is loaded.
//! A query only calls [`GeoTable::look_up`]: a few reads that always find something.
//!
//! Knows no policy: a rule names its outcome by a number. Knows no database once the table stands, and never asks
//! whether an address is a client's or a resolver's. IPv4 in IPv6 clothes (`::ffff:0:0/96`, 6to4, Teredo) is looked up
//! as the IPv6 address that it is; the shell takes such clothes off a socket address before it asks.

mod atlas;
mod code;
mod intern;
mod place;
mod ranges;
mod rules;
mod table;

pub use atlas::{Atlas, AtlasError};
pub use code::Code;
pub use place::{Match, Place, Places};
pub use rules::Rule;
pub use table::{Cell, GeoTable};
