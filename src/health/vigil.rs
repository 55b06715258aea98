//! Whether this node was there all the time, or stood still: stopped, starved of processor time, asleep.
//!
//! Is told the time by everything that happens; who drives the schedule comes by at least once a second.

use crate::clock::Moment;
use std::time::Duration;

/// When this node was awake.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vigil {
    /// When it last was; none before anything happened.
    awake: Option<Moment>,
    /// Until when it last stood still.
    stood_still_until: Moment,
}

impl Vigil {
    /// Notes that it is awake at `now`. Says for how long it stood still until then, if it did.
    pub fn keep(&mut self, now: Moment) -> Option<Duration> {
        let still = now.since(self.awake.replace(now)?);
        if still <= STANDSTILL {
            return None;
        }
        self.stood_still_until = now;
        Some(still)
    }

    /// Until when it last stood still; the origin if it never did.
    pub const fn stood_still_until(&self) -> Moment {
        self.stood_still_until
    }
}

/// Longer than this without anything is no pause between two looks at what is due: probes are made so much late, and what was not heard
/// meanwhile proves nothing. No healthy machine is, not even a busy one.
const STANDSTILL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_longer_than_two_seconds_is_a_standstill() {
        let at = |millis| Moment::START.after(Duration::from_millis(millis));
        let mut vigil = Vigil::default();
        let told = [90_000, 92_000, 94_001, 94_001, 95_000].map(|millis| vigil.keep(at(millis)));
        assert_eq!(told, [None, None, Some(Duration::from_millis(2_001)), None, None], "and what was before the start is none");
        assert_eq!(vigil.stood_still_until(), at(94_001));
    }
}
