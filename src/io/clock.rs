//! The one clock of the program: hands out [`Moment`]s, and turns them back into what the outside calls time.

use crate::clock::Moment;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When the program started, on both clocks. Spans are measured on the steady one; the wall clock only labels: a [`Moment`] is
/// the time since 1970 as the wall clock stood when the program started, whatever is done to that clock later.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    steady: Instant,
    /// From 1970 to the start.
    wall: Duration,
}

impl Clock {
    /// A clock of a program that starts now.
    pub fn start() -> Clock {
        Clock { steady: Instant::now(), wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// When the program started.
    pub fn started(&self) -> Moment {
        Moment::START.after(self.wall)
    }

    /// How far the program has come.
    pub fn now(&self) -> Moment {
        self.started().after(self.steady.elapsed())
    }

    /// The same moment as timers of the runtime want it; the start for all that lie before it.
    pub fn instant(&self, moment: Moment) -> Instant {
        // A moment too far away to be an instant never comes; a day is as good as never for a timer that is set anew.
        self.steady.checked_add(moment.since(self.started())).unwrap_or_else(|| Instant::now() + Duration::from_hours(24))
    }

    /// The same moment in seconds since 1970, as the wall clock stood when the program started.
    pub fn unix_s(&self, moment: Moment) -> u64 {
        moment.since(Moment::START).as_secs()
    }
}

/// What the wall clock says now, in seconds since 1970: for comparing with what another run wrote down.
pub fn wall_unix_s() -> u64 {
    wall().as_secs()
}

/// What the wall clock says now, in milliseconds since 1970.
pub fn wall_unix_ms() -> u64 {
    u64::try_from(wall().as_millis()).unwrap_or(u64::MAX)
}

/// What the wall clock says now, as the time since 1970.
pub fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_the_way_to_an_instant_and_back() {
        let clock = Clock::start();
        let moment = clock.started().after(Duration::from_millis(1500));
        assert_eq!(clock.instant(moment).duration_since(clock.steady), Duration::from_millis(1500));
        assert!(clock.now() < moment);
    }

    #[test]
    fn moments_carry_the_wall_clock_of_the_start() {
        let clock = Clock::start();
        let later = clock.unix_s(clock.started().after(Duration::from_mins(1)));
        assert_eq!(later - clock.unix_s(clock.started()), 60);
        assert!(wall_unix_s() >= clock.unix_s(clock.started()));
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let clock = Clock::start();
        let _ = (clock.instant(Moment::from_nanos(u64::MAX)), clock.unix_s(Moment::from_nanos(u64::MAX)));
    }
}
