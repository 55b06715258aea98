//! Sections and databases to a snapshot, or all diagnostics. The only place where a name becomes an id.
