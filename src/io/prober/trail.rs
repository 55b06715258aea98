//! How far a probe came, and when: what `steersman probe` shows, and what a connect time is read from.
//!
//! Shared between the probe and the hooks that libraries call on the way, so that a probe that ran out of time still tells
//! where it was.

use crate::check::Certificate;
use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The trail of one probe.
#[derive(Debug)]
pub struct Trail {
    start: Instant,
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    steps: Vec<Step>,
    certificate: Option<Certificate>,
    missed: Option<Box<str>>,
}

/// A point that a probe reached.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which.
    pub phase: Phase,
    /// Counted from the start of the probe.
    pub after: Duration,
    /// What there is to say about it; may be empty.
    pub note: Cow<'static, str>,
}

/// The points that a probe can reach, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// A program runs.
    Started,
    /// A TCP connection stands.
    Connected,
    /// The TLS handshake is done.
    Secured,
    /// The first of the answer is there.
    Answered,
    /// All of it that matters was read.
    Read,
}

impl Phase {
    /// What it is called.
    pub const fn word(self) -> &'static str {
        match self {
            Phase::Started => "start",
            Phase::Connected => "connect",
            Phase::Secured => "TLS",
            Phase::Answered => "first byte",
            Phase::Read => "end",
        }
    }
}

impl Trail {
    /// Begins now.
    pub fn start() -> Trail {
        Trail::since(Instant::now())
    }

    /// Began at `start`.
    pub fn since(start: Instant) -> Trail {
        Trail { start, marks: Mutex::default() }
    }

    /// Notes that a point was reached. The first time counts.
    pub fn mark(&self, phase: Phase, note: impl Into<Cow<'static, str>>) {
        let after = self.start.elapsed();
        let mut marks = self.lock();
        if marks.steps.iter().all(|step| step.phase != phase) {
            marks.steps.push(Step { phase, after, note: note.into() });
        }
    }

    /// Notes what the server presented.
    pub fn present(&self, certificate: Option<Certificate>) {
        self.lock().certificate = certificate;
    }

    /// Notes what is still missing in what came; the last word counts.
    pub fn miss(&self, what: Box<str>) {
        self.lock().missed = Some(what);
    }

    /// What was still missing at last.
    pub fn missed(&self) -> Option<Box<str>> {
        self.lock().missed.clone()
    }

    /// What was waited for, if the probe ended now; none when nothing came back yet.
    pub fn awaited(&self, over_tls: bool) -> Option<Box<str>> {
        let marks = self.lock();
        let reached = marks.steps.iter().map(|step| step.phase).max().filter(|phase| *phase >= Phase::Connected)?;
        Some(match (&marks.missed, reached) {
            (Some(missed), _) => missed.clone(),
            (None, Phase::Answered | Phase::Read) => "the answer did not end".into(),
            (None, Phase::Started | Phase::Connected) if over_tls => "connected, but no TLS handshake".into(),
            (None, Phase::Started | Phase::Connected | Phase::Secured) => "connected, but nothing was answered".into(),
        })
    }

    /// When a point was reached, from the start of the probe.
    pub fn reached(&self, phase: Phase) -> Option<Duration> {
        self.lock().steps.iter().find(|step| step.phase == phase).map(|step| step.after)
    }

    /// How long it took to connect; zero when nothing was connected to.
    pub fn connect(&self) -> Duration {
        self.reached(Phase::Connected).unwrap_or_default()
    }

    /// All points that were reached, in their order.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = self.lock().steps.clone();
        steps.sort_by_key(|step| step.phase);
        steps
    }

    /// What the server presented, believed or not.
    pub fn certificate(&self) -> Option<Certificate> {
        self.lock().certificate
    }

    /// How long it has been going on.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Marks> {
        // Marks are added whole: whoever panicked left them sound.
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_of_a_phase_counts_and_phases_stand_in_their_order() {
        let trail = Trail::start();
        trail.mark(Phase::Answered, "HTTP 200");
        trail.mark(Phase::Connected, "");
        let first = trail.connect();
        trail.mark(Phase::Connected, "again");
        assert_eq!(trail.connect(), first);
        let phases: Vec<_> = trail.steps().iter().map(|step| step.phase).collect();
        assert_eq!(phases, [Phase::Connected, Phase::Answered]);
        assert_eq!(trail.reached(Phase::Secured), None);
    }

    #[test]
    fn what_is_waited_for_is_the_next_step_or_what_was_missed_in_the_last() {
        let trail = Trail::start();
        let awaited = |over_tls| trail.awaited(over_tls).unwrap_or_default().into_string();
        trail.mark(Phase::Started, "");
        assert_eq!(trail.awaited(true), None);
        trail.mark(Phase::Connected, "");
        assert_eq!(
            (awaited(true), awaited(false)),
            ("connected, but no TLS handshake".into(), "connected, but nothing was answered".into())
        );
        trail.mark(Phase::Secured, "");
        assert_eq!(awaited(true), "connected, but nothing was answered");
        trail.mark(Phase::Answered, "");
        assert_eq!(awaited(true), "the answer did not end");
        trail.miss("no `ready`".into());
        assert_eq!(awaited(true), "no `ready`");
    }
}
