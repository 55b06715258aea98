//! Whether the server is fit to be asked: what `/readyz` and `/livez` read.

use super::clock::Clock;
use crate::clock::Moment;
use crate::human::span;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The phase of the program and the heartbeat of the control task. Shared; written by the control task and the shell around it.
#[derive(Debug)]
pub struct Pulse {
    clock: Clock,
    phase: AtomicU8,
    /// [`Moment`] of the last beat, in nanoseconds.
    beat: AtomicU64,
    /// Why verdicts are not to be trusted, if so.
    trouble: Mutex<Option<String>>,
}

/// Where the program is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Listeners are bound; the first round of probes is not done.
    Starting,
    /// Queries are answered.
    Serving,
    /// A signal asked to stop; what was read is still answered.
    Draining,
}

impl Phase {
    const ALL: [Phase; 3] = [Phase::Starting, Phase::Serving, Phase::Draining];

    /// As `/readyz` and the status say it.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Serving => "serving",
            Phase::Draining => "draining",
        }
    }
}

/// The control task beats at least once a second; five missed beats are no coincidence.
const STALE: Duration = Duration::from_secs(5);

impl Pulse {
    /// A pulse of a program that is starting.
    pub fn new(clock: Clock) -> Pulse {
        Pulse {
            clock,
            phase: AtomicU8::new(Phase::Starting as u8),
            beat: AtomicU64::new(clock.now().as_nanos()),
            trouble: Mutex::new(None),
        }
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// The phase the program is in.
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    /// Says that the control task is alive, and why verdicts are not to be trusted, if so.
    pub fn beat(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        self.beat.store(self.clock.now().as_nanos(), Ordering::Relaxed);
    }

    /// How long ago the control task last said that it is alive.
    pub fn age(&self) -> Duration {
        self.clock.now().since(Moment::from_nanos(self.beat.load(Ordering::Relaxed)))
    }

    /// Whether the control task moves: if not, only a restart helps.
    ///
    /// # Errors
    /// Says why not.
    pub fn alive(&self) -> Result<(), String> {
        let age = self.age();
        if age <= STALE { Ok(()) } else { Err(format!("the control task has not moved for {}: verdicts are stale", span(age))) }
    }

    fn seeing(&self) -> Result<(), String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    /// Whether the server should be sent queries.
    ///
    /// # Errors
    /// Says why not.
    pub fn ready(&self) -> Result<(), String> {
        match self.phase() {
            Phase::Starting => Err("starting: the first round of probes is not done".to_owned()),
            Phase::Serving => self.alive().and_then(|()| self.seeing()),
            Phase::Draining => Err("draining: the server is about to stop".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_serving_program_with_a_fresh_heartbeat_is_ready() {
        let pulse = Pulse::new(Clock::start());
        assert!(pulse.ready().expect_err("still starting").starts_with("starting"));
        pulse.enter(Phase::Serving);
        assert_eq!(pulse.ready(), Ok(()));
        pulse.beat(Some("blind as a bat".to_owned()));
        assert_eq!(pulse.ready(), Err("blind as a bat".to_owned()));
        assert_eq!(pulse.alive(), Ok(()), "a restart would not make it see");
        pulse.beat(None);
        assert_eq!(pulse.ready(), Ok(()));
        pulse.enter(Phase::Draining);
        assert!(pulse.ready().expect_err("draining").starts_with("draining"));
        assert_eq!(pulse.alive(), Ok(()));
    }
}
