//! Everything below touches the world; everything above cannot.
#![allow(clippy::disallowed_methods, reason = "this is the shell")]

pub mod admission;
pub mod counters;
pub mod desk;
pub mod dot;
pub mod listeners;
pub mod packet;
#[cfg(target_os = "linux")]
pub mod packet_batch;
pub mod port_holder;
pub mod prober;
pub mod stop;
pub mod stream;
pub mod tcp;
pub mod udp;
