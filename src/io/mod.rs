//! Everything below touches the world; everything above cannot.
#![allow(clippy::disallowed_methods, reason = "this is the shell")]

pub mod prober;
