//! Everything below touches the world; everything above cannot.
#![allow(clippy::disallowed_methods, reason = "this is the shell")]

pub mod accept;
pub mod admin;
pub mod admin_client;
pub mod admission;
pub mod alarms;
pub mod chronicle;
pub mod clock;
pub mod control;
pub mod counters;
pub mod desk;
pub mod dot;
pub mod exposure;
pub mod files;
pub mod handed_out;
pub mod journal;
pub mod kept;
pub mod listeners;
pub mod log;
pub mod manifest;
pub mod memory;
pub mod metrics;
pub mod open_files;
pub mod order;
pub mod packet;
#[cfg(target_os = "linux")]
pub mod packet_batch;
pub mod port_holder;
pub mod prober;
pub mod pulse;
pub mod reload;
pub mod replay;
pub mod report;
pub mod saved_form;
pub mod seal;
pub mod serve;
pub mod state;
pub mod state_text;
pub mod status;
pub mod stop;
pub mod talk;
pub mod tcp;
#[cfg(test)]
pub(crate) mod testing;
pub mod udp;
pub mod watch;
