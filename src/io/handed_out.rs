//! What was handed out, by pool and family: how many answers, and for how many seconds in all.
//!
//! Every worker writes a [`Sheet`] of its own, made for the snapshot that it answers from; the [`AnswerBoard`] adds up those of the
//! newest one. Counted where the counters are, after the answer is made: `respond` knows nothing of it. A worker takes a new
//! sheet when it takes a new snapshot, so that a pool's number means the pool it was counted for.

use super::counters::Counter;
use crate::ids::{Id, PoolId};
use crate::policy::Pick;
use crate::prefetch::prefetch;
use crate::prefix::Family;
use crate::snapshot::Snapshot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Knows all sheets.
#[derive(Debug, Default)]
pub struct AnswerBoard(Mutex<Vec<Arc<Sheet>>>);

/// One worker's numbers for one snapshot.
#[derive(Debug)]
pub struct Sheet {
    /// Where the snapshot lies: it names the snapshot, since whoever writes the sheet holds the snapshot too.
    snapshot: usize,
    /// By pool, then family.
    counts: Box<[[Count; 2]]>,
}

/// Two numbers with one writer.
#[derive(Debug, Default)]
struct Count {
    answers: Counter,
    ttl_s: Counter,
}

/// The answers of one pool and family so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HandedOut {
    /// Answers with any of its members.
    pub answers: u64,
    /// The sum of their TTLs, in seconds.
    pub ttl_s: u64,
}

impl AnswerBoard {
    /// An empty sheet for a worker that answers from `snapshot`, and holds it for as long as it writes the sheet.
    pub fn sheet(&self, snapshot: &Arc<Snapshot>) -> Arc<Sheet> {
        let counts = snapshot.graph.pools.rows().iter().map(|_| Default::default()).collect();
        let sheet = Arc::new(Sheet { snapshot: address(snapshot), counts });
        self.lock().push(Arc::clone(&sheet));
        sheet
    }

    /// What was handed out from `snapshot`, by pool, then family. Workers that have ended are left out.
    pub fn of(&self, snapshot: &Arc<Snapshot>) -> Vec<[HandedOut; 2]> {
        let mut sums = vec![[HandedOut::default(); 2]; snapshot.graph.pools.len()];
        for sheet in self.lock().iter().filter(|sheet| sheet.snapshot == address(snapshot)) {
            for (sum, counts) in sums.iter_mut().zip(&sheet.counts) {
                for (sum, count) in sum.iter_mut().zip(counts) {
                    sum.answers += count.answers.read();
                    sum.ttl_s += count.ttl_s.read();
                }
            }
        }
        sums
    }

    /// The sheets that somebody writes. Another snapshot may lie where one lay that nobody holds any more: its sheets go first.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Sheet>>> {
        // Nothing in here can be left half-done.
        let mut sheets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sheets.retain(|sheet| Arc::strong_count(sheet) > 1);
        sheets
    }
}

fn address(snapshot: &Arc<Snapshot>) -> usize {
    Arc::as_ptr(snapshot).addr()
}

impl Sheet {
    /// Counts an answer with these members, which may be held for `ttl_s` seconds. To be called by the sheet's one worker only.
    pub fn count(&self, picks: &[Pick], ttl_s: u32) {
        let mut last = None;
        for pick in picks {
            // Members of one pool follow each other.
            if last.replace(pick.pool) == Some(pick.pool) {
                continue;
            }
            let family = if pick.addr.is_ipv4() { Family::V4 } else { Family::V6 };
            if let Some(count) = self.count_of(pick.pool, family) {
                count.answers.add(1);
                count.ttl_s.add(ttl_s.into());
            }
        }
    }

    /// Sends for where the answers of `pool` are counted.
    pub fn anticipate(&self, pool: PoolId) {
        prefetch(&self.counts, pool.index());
    }

    fn count_of(&self, pool: PoolId, family: Family) -> Option<&Count> {
        Some(&self.counts.get(pool.index())?[family.index()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::snapshot_of;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn pick(pool: usize, member: u16, v6: bool) -> Pick {
        let addr = if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        Pick { pool: PoolId::new(pool), member, addr }
    }

    #[test]
    fn an_answer_counts_once_for_each_pool_it_names_whatever_its_members() {
        let (board, snapshot) = (AnswerBoard::default(), Arc::new(snapshot_of(&[("a", &["x", "y"]), ("b", &["z"])])));
        let (one, other) = (board.sheet(&snapshot), board.sheet(&snapshot));
        one.count(&[pick(0, 0, false), pick(0, 1, false), pick(1, 0, false)], 5);
        other.count(&[pick(0, 1, false)], 7);
        other.count(&[pick(1, 0, true)], 1);
        let sums = board.of(&snapshot);
        let sum = |answers, ttl_s| HandedOut { answers, ttl_s };
        assert_eq!(sums, [[sum(2, 12), sum(0, 0)], [sum(1, 5), sum(1, 1)]]);
    }

    #[test]
    fn sheets_of_another_snapshot_and_of_workers_that_ended_are_left_out() {
        let board = AnswerBoard::default();
        let [before, after] = [(); 2].map(|()| Arc::new(snapshot_of(&[("a", &["x"])])));
        let (old, new, ended) = (board.sheet(&before), board.sheet(&after), board.sheet(&after));
        for sheet in [&old, &new, &ended] {
            sheet.count(&[pick(0, 0, false)], 5);
        }
        drop(ended);
        assert_eq!(board.of(&after)[0][0].answers, 1);
        drop((old, new));
        assert_eq!(board.of(&before)[0][0].answers, 0);
        assert!(board.lock().is_empty());
    }
}
