//! How often one target went down of late, and how long it therefore has to stay down.
//!
//! Each fall within `window` doubles the hold-down, from `hold` at the second one up to `hold_max`: the first fall is an accident,
//! and what falls again and again wears out every client that is sent there in between. Old falls are forgotten, so that
//! the damping ends by itself. Knows no observation: the monitor says when it falls.

use crate::clock::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// How falls are held against a target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Damping {
    /// A fall counts for so long.
    pub window: Duration,
    /// How long a target stays down at least after its second fall in the window.
    pub hold: Duration,
    /// It never has to stay down for longer than this.
    pub hold_max: Duration,
}

impl Damping {
    /// How long a target with so many falls in the window stays down at least.
    fn hold_down(&self, falls: usize) -> Duration {
        let Some(doublings) = falls.checked_sub(2) else { return Duration::ZERO };
        let factor = u32::try_from(doublings).ok().and_then(|doublings| 1u32.checked_shl(doublings)).unwrap_or(u32::MAX);
        self.hold.saturating_mul(factor).min(self.hold_max)
    }

    /// What damps at least as much as both do.
    #[must_use]
    pub fn stricter(self, other: Damping) -> Damping {
        Damping { window: self.window.max(other.window), hold: self.hold.max(other.hold), hold_max: self.hold_max.max(other.hold_max) }
    }
}

/// The falls of one target.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flaps {
    /// When it fell, the oldest first; at most [`FALLS_MAX`].
    falls: VecDeque<Moment>,
    /// It stays down until then.
    held_until: Moment,
}

impl Flaps {
    /// The target falls at `now`.
    pub fn fall(&mut self, damping: Damping, now: Moment) {
        if self.falls.len() == FALLS_MAX {
            self.falls.pop_front();
        }
        self.falls.push_back(now);
        self.held_until = now.after(damping.hold_down(self.count(damping, now)));
    }

    /// What an earlier life of the program remembered: falls, the oldest first, and until when they hold it down. Never for longer than
    /// the rules in force would.
    pub fn recalled(damping: Damping, falls: &[Moment], held_until: Moment, now: Moment) -> Flaps {
        let newest = &falls[falls.len().saturating_sub(FALLS_MAX)..];
        Flaps { falls: newest.iter().map(|fall| (*fall).min(now)).collect(), held_until: held_until.min(now.after(damping.hold_max)) }
    }

    /// When it fell, the oldest first.
    pub fn falls(&self) -> impl Iterator<Item = Moment> {
        self.falls.iter().copied()
    }

    /// Goes on under other rules: without any nothing is held against it, and none holds it for longer than they would.
    pub fn adopt(&mut self, damping: Option<Damping>) {
        let Some(damping) = damping else { return *self = Flaps::default() };
        let longest = self.falls.back().map_or(Moment::START, |last| last.after(damping.hold_max));
        self.held_until = self.held_until.min(longest);
    }

    /// Falls within the window.
    pub fn count(&self, damping: Damping, now: Moment) -> usize {
        self.falls.iter().filter(|&&fall| now.since(fall) <= damping.window).count()
    }

    /// Until when it stays down, whatever is seen of it.
    pub const fn held_until(&self) -> Moment {
        self.held_until
    }
}

/// Falls that are remembered: the twentieth changes nothing that the nineteenth has not already doubled to any useful bound.
const FALLS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    const DAMPING: Damping = Damping { window: Duration::from_mins(10), hold: Duration::from_secs(10), hold_max: Duration::from_mins(1) };

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    /// For how long each of these falls (in seconds) holds a target down.
    fn holds(falls: &[u64]) -> Vec<u64> {
        let mut flaps = Flaps::default();
        let hold = |&fall: &u64| {
            flaps.fall(DAMPING, at(fall));
            flaps.held_until().since(at(fall)).as_secs()
        };
        falls.iter().map(hold).collect()
    }

    #[test]
    fn the_first_fall_is_free_and_each_further_one_doubles_the_hold_up_to_its_bound() {
        assert_eq!(holds(&[0, 30, 60, 90, 120, 150]), [0, 10, 20, 40, 60, 60]);
        assert_eq!(*holds(&[0; 100]).last().expect("a hundred"), 60);
    }

    #[test]
    fn other_rules_hold_for_no_longer_than_they_would_and_none_at_all_not_a_moment() {
        let mut flaps = Flaps::default();
        for fall in [0, 30, 60, 90] {
            flaps.fall(DAMPING, at(fall));
        }
        assert_eq!(flaps.held_until(), at(130));
        flaps.adopt(Some(Damping { hold_max: Duration::from_secs(15), ..DAMPING }));
        assert_eq!((flaps.held_until(), flaps.count(DAMPING, at(90))), (at(105), 4));
        flaps.adopt(None);
        assert_eq!((flaps.held_until(), flaps.count(DAMPING, at(90))), (Moment::START, 0));
    }

    #[test]
    fn a_fall_counts_to_the_end_of_the_window_and_not_a_second_longer() {
        assert_eq!(holds(&[0, 600]), [0, 10]);
        assert_eq!(holds(&[0, 601]), [0, 0]);
    }
}
