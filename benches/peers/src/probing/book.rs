//! Who was visited when: what the members saw of a prober.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What a visitor wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A connection.
    Tcp,
    /// An answer in the clear.
    Http,
    /// An answer over TLS.
    Https,
}

/// A connection that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// At which door.
    pub kind: Kind,
    /// Which member.
    pub target: usize,
    /// When.
    pub at: Instant,
}

/// All visits of a while.
pub struct Book {
    /// In order.
    visits: Vec<Visit>,
    /// How far apart two visits of a member were, beside its interval.
    off: Vec<Duration>,
}

impl Book {
    /// The visits from one moment to another; `interval` is from one visit of a kind to the next.
    pub fn new(mut visits: Vec<Visit>, from: Instant, until: Instant, interval: impl Fn(Kind) -> Duration) -> Book {
        visits.retain(|visit| (from..until).contains(&visit.at));
        visits.sort_by_key(|visit| visit.at);
        let mut last: HashMap<(Kind, usize), Instant> = HashMap::new();
        let mut off = Vec::new();
        for visit in &visits {
            if let Some(before) = last.insert((visit.kind, visit.target), visit.at) {
                off.push((visit.at - before).abs_diff(interval(visit.kind)));
            }
        }
        off.sort_unstable();
        Book { visits, off }
    }

    /// How many there were.
    pub fn visits(&self) -> usize {
        self.visits.len()
    }

    /// How many there were to certain members from a moment on.
    pub fn visits_since(&self, moment: Instant, is_meant: impl Fn(usize) -> bool) -> usize {
        self.visits.iter().filter(|visit| visit.at >= moment && is_meant(visit.target)).count()
    }

    /// By how much two visits of one member were nearer or farther than its interval, in order: twice as much, at worst, as any of them was late.
    pub fn off(&self) -> Vec<Duration> {
        self.off.clone()
    }

    /// The most visits in any second, wherever it begins.
    pub fn busiest_second(&self) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (index, visit) in self.visits.iter().enumerate() {
            while visit.at - self.visits[first].at >= Duration::from_secs(1) {
                first += 1;
            }
            most = most.max(index + 1 - first);
        }
        most
    }

    /// How long after `from` the last of certain members was visited for the first time; zero when that was before, none when nobody was.
    pub fn firsts(&self, from: Instant, is_meant: impl Fn(usize) -> bool) -> Option<Duration> {
        let mut first: HashMap<usize, Instant> = HashMap::new();
        for visit in self.visits.iter().filter(|visit| is_meant(visit.target)) {
            first.entry(visit.target).or_insert(visit.at);
        }
        first.values().max().map(|last| last.saturating_duration_since(from))
    }
}

/// The least of `sorted` that at least this share (0 to 1) of them does not exceed; none of none.
pub fn quantile(sorted: &[Duration], share: f64) -> Option<Duration> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count is a count")]
    let wanted = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(wanted.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    fn book(millis: &[(usize, u64)]) -> (Book, Instant) {
        let start = Instant::now();
        let visit = |&(target, at): &(usize, u64)| Visit { kind: Kind::Tcp, target, at: start + Duration::from_millis(at) };
        (Book::new(millis.iter().map(visit).collect(), start, start + Duration::from_mins(1), |_| EVERY), start)
    }

    #[test]
    fn a_member_that_is_visited_late_is_off_twice() {
        let (book, _) = book(&[(1, 0), (2, 500), (1, 2000), (1, 4100), (1, 6000), (2, 2500)]);
        let millis: Vec<_> = book.off().iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [0, 0, 100, 100]);
        assert_eq!(quantile(&book.off(), 0.5), Some(Duration::ZERO));
        assert_eq!(quantile(&book.off(), 1.0), Some(Duration::from_millis(100)));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn the_busiest_second_begins_anywhere() {
        let (book, _) = book(&[(1, 0), (2, 900), (3, 1100), (4, 1899), (5, 1900), (6, 5000)]);
        assert_eq!((book.visits(), book.busiest_second()), (6, 3));
    }

    #[test]
    fn visits_before_and_after_do_not_count() {
        let before = Instant::now();
        let start = before + Duration::from_millis(1);
        let visit = |at| Visit { kind: Kind::Http, target: 0, at };
        let visits = vec![visit(before), visit(start), visit(start + EVERY)];
        let book = Book::new(visits, start, start + EVERY, |_| EVERY);
        assert_eq!(book.visits(), 1);
        let since = |moment| book.visits_since(moment, |target| target == 0);
        assert_eq!((since(start), since(start + EVERY)), (1, 0));
    }

    #[test]
    fn the_last_first_visit_is_told() {
        let (book, start) = book(&[(1, 0), (7, 300), (8, 800), (7, 2300)]);
        assert_eq!(book.firsts(start, |target| target >= 7), Some(Duration::from_millis(800)));
        assert_eq!(book.firsts(start, |target| target >= 9), None);
    }
}
