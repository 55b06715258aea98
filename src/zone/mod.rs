//! Zone data, wire-ready.
//!
//! [`ZonesBuilder`] takes names and RRsets while a config is compiled; [`Zones`] answers look-ups (RFC 1034 section
//! 4.3.2, RFC 4592). An RRset is static bytes or a [`crate::ids::SteerId`] that this module cannot look inside.

/// All zones, in one table.
#[derive(Clone, Debug, Default)]
pub struct Zones {}
