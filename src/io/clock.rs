//! The one clock of the program: hands out [`Moment`]s, and turns them back into what the outside calls time.

use crate::clock::Moment;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When the program started, on both clocks. Spans are measured on the steady one; the wall clock only labels.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    steady: Instant,
    wall: SystemTime,
}

impl Clock {
    /// A clock whose [`Moment::START`] is now.
    pub fn start() -> Clock {
        Clock { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// How far the program has come.
    pub fn now(&self) -> Moment {
        Moment::START.after(self.steady.elapsed())
    }

    /// The same moment as timers of the runtime want it.
    pub fn instant(&self, moment: Moment) -> Instant {
        // A moment too far away to be an instant never comes; a day is as good as never for a timer that is set anew.
        self.steady.checked_add(Duration::from_nanos(moment.as_nanos())).unwrap_or_else(|| Instant::now() + Duration::from_hours(24))
    }

    /// The same moment in seconds since 1970, as the wall clock stood when the program started.
    pub fn unix_s(&self, moment: Moment) -> u64 {
        let at = self.wall.checked_add(Duration::from_nanos(moment.as_nanos())).unwrap_or(self.wall);
        at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

/// What the wall clock says now, in seconds since 1970: for comparing with what another run wrote down.
pub fn wall_unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_the_way_to_an_instant_and_back() {
        let clock = Clock::start();
        let moment = Moment::START.after(Duration::from_millis(1500));
        assert_eq!(clock.instant(moment).duration_since(clock.steady), Duration::from_millis(1500));
        assert!(clock.now() < moment);
    }

    #[test]
    fn moments_carry_the_wall_clock_of_the_start() {
        let clock = Clock::start();
        let later = clock.unix_s(Moment::START.after(Duration::from_mins(1)));
        assert_eq!(later - clock.unix_s(Moment::START), 60);
        assert!(wall_unix_s() >= clock.unix_s(Moment::START));
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let clock = Clock::start();
        let _ = (clock.instant(Moment::from_nanos(u64::MAX)), clock.unix_s(Moment::from_nanos(u64::MAX)));
    }
}
