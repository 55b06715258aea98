//! How workers are told to stop: one signal a worker, seen by all its connections.
//!
//! A dropped [`StopSignal`] stops its worker as well: a worker never outlives the one who could stop it.

use std::time::Instant;
use tokio::sync::watch;

/// The end that tells.
#[derive(Debug)]
pub struct StopSignal(watch::Sender<Option<Instant>>);

/// The end that is told; one per thread or connection.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<Option<Instant>>);

/// Both ends.
pub fn stop_signal() -> (StopSignal, Stopping) {
    let (sender, receiver) = watch::channel(None);
    (StopSignal(sender), Stopping(receiver))
}

impl StopSignal {
    /// Says: take nothing new, finish what you have, be gone at `deadline`.
    pub fn stop_by(&self, deadline: Instant) {
        self.0.send_replace(Some(deadline));
    }
}

impl Stopping {
    /// Whether to stop. An atomic load while nothing was said, so it can be asked every batch.
    pub fn is_signalled(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// When to be gone; at once when nobody is left to say.
    pub fn deadline(&self) -> Instant {
        self.0.borrow().unwrap_or_else(Instant::now)
    }

    /// Waits for the signal.
    pub async fn signalled(&mut self) {
        // An error means that the other end is gone, which is a signal too.
        let _ = self.0.wait_for(Option::is_some).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_seen_with_its_deadline_and_stays_seen() {
        let (signal, stopping) = stop_signal();
        assert!(!stopping.is_signalled());
        let deadline = Instant::now();
        signal.stop_by(deadline);
        assert!(stopping.is_signalled() && stopping.is_signalled());
        assert_eq!(stopping.deadline(), deadline);
    }

    #[test]
    fn a_dropped_signal_stops_too() {
        let (signal, stopping) = stop_signal();
        drop(signal);
        assert!(stopping.is_signalled());
    }
}
