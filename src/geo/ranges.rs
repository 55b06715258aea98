//! Sorted ranges of addresses.
