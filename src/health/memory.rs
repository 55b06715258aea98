//! What is remembered of one target, for a later life of the program.
//!
//! A monitor gives it away ([`super::Monitor::memory`]) and takes it back ([`super::Monitor::restore`]), and decides then what has
//! grown too old to be believed. Knows no file: whoever writes it down turns its moments into spans, and back.

use super::{Status, Window};
use crate::clock::Moment;
use std::time::Duration;

/// All that a monitor has learned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memory {
    /// What was believed.
    pub status: Status,
    /// Since when.
    pub since: Moment,
    /// When a probe last counted; the end of what is known.
    pub seen: Moment,
    /// Observations in a row that count towards a flip.
    pub streak: u32,
    /// The last observations.
    pub window: Window,
    /// When it fell of late, the oldest first.
    pub falls: Vec<Moment>,
    /// It stays down until then.
    pub held_until: Moment,
    /// The mean of its connect times, and the figure last shown for it.
    pub latency: Option<(Duration, Duration)>,
}

impl Memory {
    /// Nothing but a status, as of `now`.
    pub fn of(status: Status, now: Moment) -> Memory {
        Memory {
            status,
            since: now,
            seen: now,
            streak: 0,
            window: Window::default(),
            falls: Vec::new(),
            held_until: Moment::START,
            latency: None,
        }
    }
}
