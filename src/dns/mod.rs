//! The wire vocabulary of the hot path: names, types, queries, and the writer of responses.
//!
//! Knows no zone, no health, no policy and no config. Network byte order never leaves this module.

mod name;

pub use name::{Name, NameError};
