//! Everything below touches the world; everything above cannot.
#![allow(clippy::disallowed_methods, reason = "this is the shell")]

pub mod admin;
pub mod admin_client;
pub mod beliefs;
pub mod change;
pub mod clock;
pub mod control;
pub mod counters;
pub mod files;
pub mod human;
pub mod listeners;
pub mod log;
pub mod metrics;
pub mod prober;
pub mod pulse;
pub mod reload;
pub mod serve;
pub mod state;
pub mod status;
#[cfg(test)]
mod testing;
pub mod watch;
