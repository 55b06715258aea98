//! Time as the core knows it: a number that somebody passes in.
//!
//! Only the shell reads a clock. Everything else is told a [`Moment`], so that a test, a simulation and a
//! server at work go through the same code.

use std::time::Duration;

/// Nanoseconds since an origin that whoever reads the clock has chosen: 1970 at work, so that what was remembered of the time
/// before the program started is a moment too; the start in tests. Never goes back; arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(u64);

impl Moment {
    /// The origin: no moment is earlier.
    pub const START: Moment = Moment(0);

    /// The moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Moment {
        Moment(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment `span` later; the last representable one when that overflows (584 years).
    #[must_use]
    pub fn after(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The moment `span` earlier; the origin when that lies before it.
    #[must_use]
    pub fn before(self, span: Duration) -> Moment {
        Moment(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_moves_forward_and_saturates_at_both_ends() {
        let second = Moment::START.after(Duration::from_secs(1));
        assert_eq!(second.since(Moment::START), Duration::from_secs(1));
        assert_eq!(Moment::START.since(second), Duration::ZERO);
        assert_eq!((second.before(Duration::from_secs(1)), second.before(Duration::from_secs(2))), (Moment::START, Moment::START));
        assert_eq!(Moment::from_nanos(u64::MAX).after(Duration::from_nanos(1)).as_nanos(), u64::MAX);
    }
}
