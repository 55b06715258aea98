//! The debounced conclusion about a target or a member.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is believed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// Fit to be answered.
    Up,
    /// Not to be answered.
    Down,
    /// Not yet observed: answered only when nothing is up.
    Unknown,
}

impl Status {
    /// The word for it in logs, metrics, status views and state files; [`Status::from_str`] reads it back.
    pub const fn word(self) -> &'static str {
        match self {
            Status::Up => "up",
            Status::Down => "down",
            Status::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Status {
    type Err = NotAStatus;

    fn from_str(word: &str) -> Result<Status, NotAStatus> {
        [Status::Up, Status::Down, Status::Unknown].into_iter().find(|status| status.word() == word).ok_or(NotAStatus)
    }
}

/// A word that is none of `up`, `down` and `unknown`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAStatus;

impl fmt::Display for NotAStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status is `up`, `down` or `unknown`")
    }
}

impl std::error::Error for NotAStatus {}

/// A status, and how long it is sure to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What is believed.
    pub status: Status,
    /// The soonest that the status could change: interval x probes still missing before it could flip. Zero while
    /// unknown; [`Duration::MAX`] when nothing can change it.
    pub holds: Duration,
    /// Smoothed connect time of the probes that passed, where known.
    pub latency: Option<Duration>,
}

impl Verdict {
    /// The verdict on a member that nobody checks: up, for good.
    pub const UNMONITORED: Verdict = Verdict { status: Status::Up, holds: Duration::MAX, latency: None };
    /// The verdict on a member that the config disables: down, for good.
    pub const DISABLED: Verdict = Verdict { status: Status::Down, holds: Duration::MAX, latency: None };
    /// The verdict before the first observation.
    pub const UNKNOWN: Verdict = Verdict { status: Status::Unknown, holds: Duration::ZERO, latency: None };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_is_written_as_reads_back_as_the_same_status() {
        for status in [Status::Up, Status::Down, Status::Unknown] {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert_eq!("UP".parse::<Status>(), Err(NotAStatus));
    }

    #[test]
    fn a_status_fills_its_column_in_a_table() {
        assert_eq!(format!("{:<8}|", Status::Up), "up      |");
    }
}
