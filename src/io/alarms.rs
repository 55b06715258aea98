//! When to look at which seat: deadlines that cost nothing while they move away.
//!
//! Nearly every query moves the deadline of its connection further away, and nearly none is ever reached. So an alarm is
//! only a promise to look not too late: it is set once, stays where it is while the deadline moves on, and whoever it calls
//! looks at the true deadline then and sets the next. A connection thus costs an alarm for each idle time that it lives
//! through, and a query none.
//!
//! Alarms belong to seats (small numbers that are used again), not to who sits there: a seat that changes hands a thousand
//! times a second still has one alarm. Knows no connection and no clock; the owner knows what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// At most one alarm that counts for each seat.
#[derive(Debug, Default)]
pub struct Alarms {
    /// The soonest first. An entry that differs from what is set for its seat was replaced by a sooner one.
    queue: BinaryHeap<Reverse<(Instant, usize)>>,
    /// By seat: when it will be called.
    set: Vec<Option<Instant>>,
}

impl Alarms {
    /// Makes sure that `seat` is called at `when` or sooner.
    pub fn set(&mut self, seat: usize, when: Instant) {
        if seat >= self.set.len() {
            self.set.resize(seat + 1, None);
        }
        if self.set[seat].is_some_and(|sooner| sooner <= when) {
            return;
        }
        self.set[seat] = Some(when);
        self.queue.push(Reverse((when, seat)));
    }

    /// Calls one seat whose time has come. It has no alarm from then on.
    pub fn call(&mut self, now: Instant) -> Option<usize> {
        while let Some(&Reverse((when, seat))) = self.queue.peek()
            && when <= now
        {
            self.queue.pop();
            if self.set[seat] == Some(when) {
                self.set[seat] = None;
                return Some(seat);
            }
        }
        None
    }

    /// When [`Alarms::call`] is worth the next attempt.
    pub fn next(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((when, _))| *when)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Moments of a test, in seconds after its start.
    fn moments() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |s| start + Duration::from_secs(s)
    }

    fn called(alarms: &mut Alarms, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| alarms.call(now)).collect()
    }

    #[test]
    fn seats_are_called_when_their_time_has_come_and_not_before_the_soonest_first() {
        let (mut alarms, at) = (Alarms::default(), moments());
        for (seat, s) in [(0, 30), (1, 10), (2, 20)] {
            alarms.set(seat, at(s));
        }
        assert_eq!(alarms.next(), Some(at(10)));
        assert_eq!(alarms.call(at(9) + Duration::from_nanos(999_999_999)), None);
        assert_eq!(called(&mut alarms, at(10)), [1]);
        assert_eq!(called(&mut alarms, at(99)), [2, 0]);
        assert_eq!((called(&mut alarms, at(99)), alarms.next()), (vec![], None));
    }

    #[test]
    fn a_later_deadline_leaves_the_alarm_and_a_sooner_one_replaces_it() {
        let (mut alarms, at) = (Alarms::default(), moments());
        alarms.set(0, at(10));
        alarms.set(0, at(20));
        assert_eq!(alarms.queue.len(), 1, "moving on costs nothing");
        alarms.set(0, at(5));
        assert_eq!(called(&mut alarms, at(5)), [0]);
        alarms.set(0, at(15));
        assert_eq!(alarms.call(at(10)), None, "what was replaced calls nobody");
        assert_eq!(called(&mut alarms, at(15)), [0]);
    }

    #[test]
    fn a_seat_that_changes_hands_often_has_one_alarm() {
        let (mut alarms, at) = (Alarms::default(), moments());
        for s in 0..1000 {
            alarms.set(3, at(10 + s));
        }
        assert_eq!((alarms.queue.len(), alarms.next()), (1, Some(at(10))));
    }
}
