//! Where clients are: databases and CIDR lists compiled into one longest-prefix table per list of rules.
//!
//! Bytes of mmdb files enter by [`Atlas::load`]; rules enter by [`GeoTable::compile`], once, when a config is loaded.
//! A query only calls [`GeoTable::look_up`]: a few reads that always find something. Knows no policy: a rule names its
//! outcome by a number.

mod atlas;
mod place;
mod ranges;
mod table;

pub use atlas::{Atlas, AtlasError};
pub use place::{Code, Match, Places};
pub use table::{Cell, GeoTable, Rule};
