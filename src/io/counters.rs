//! What the data plane counts: per worker while it works, summed when somebody asks.
//!
//! Every worker gets a [`CounterBlock`] of its own from the [`CounterBoard`] and is the only one to write it, by plain
//! loads and stores; nobody waits for anybody. [`CounterBoard::totals`] adds the blocks up. A worker that ends leaves
//! its numbers behind: totals never go back, but for the connections open now.
//!
//! Knows nothing of metric names or formats; `metrics` renders the [`Totals`].

use crate::answer::{Disposition, DropReason, Outcome, Transport};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Hands out counter blocks and sums them.
#[derive(Debug, Default)]
pub struct CounterBoard {
    state: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    /// Blocks of workers that may still be at work.
    blocks: Vec<Arc<Counters>>,
    /// The sum over the blocks of workers that have ended.
    retired: Totals,
}

impl CounterBoard {
    /// A board without blocks: all totals are 0.
    pub fn new() -> CounterBoard {
        CounterBoard::default()
    }

    /// A new block for one worker of this transport.
    pub fn hand_out(&self, transport: Transport) -> CounterBlock {
        let counters = Arc::new(Counters::new(transport));
        self.lock().blocks.push(Arc::clone(&counters));
        CounterBlock(counters)
    }

    /// The sum over all workers, ended ones included. Numbers of one worker may be a query apart from each other.
    pub fn totals(&self) -> Totals {
        let mut board = self.lock();
        board.retire();
        let mut totals = board.retired.clone();
        for block in &board.blocks {
            totals.add(block);
        }
        totals
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        // Nothing in here can be left half-done: a panic elsewhere does not make the numbers wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Folds the blocks that no worker holds any more into one sum, so that reloads do not pile them up.
    fn retire(&mut self) {
        for index in (0..self.blocks.len()).rev() {
            // Only the board clones blocks: once it is the last holder it stays so, and `get_mut` sees every write.
            if let Some(counters) = Arc::get_mut(&mut self.blocks[index]) {
                // A worker that ends closes what was open, counted or not.
                counters.closed = Counter(AtomicU64::new(counters.accepted.read()));
                let block = self.blocks.swap_remove(index);
                self.retired.add(&block);
            }
        }
    }
}

/// One worker's counters. Not cloneable, and written through `&mut`: there is one writer, so no atomic addition is needed.
#[derive(Debug)]
pub struct CounterBlock(Arc<Counters>);

impl CounterBlock {
    /// Counts a query and what became of it.
    pub fn count(&mut self, disposition: Disposition) {
        self.0.queries.add(1);
        match disposition {
            Disposition::Send { outcome, truncated, .. } => {
                self.0.answers[outcome_index(outcome)].add(1);
                self.0.truncated.add(u64::from(truncated));
            }
            Disposition::Drop(reason) => self.0.drops[drop_index(reason)].add(1),
        }
    }

    /// Counts a query that made the server panic; it got no answer.
    pub fn count_panic(&mut self) {
        self.0.queries.add(1);
        self.0.panics.add(1);
    }

    /// Counts a failed receive or accept.
    pub fn count_receive_error(&mut self) {
        self.0.receive_errors.add(1);
    }

    /// Counts answers that the kernel did not take.
    pub fn count_send_errors(&mut self, lost: usize) {
        self.0.send_errors.add(lost as u64);
    }

    /// Counts a connection that was let in.
    pub fn count_accepted(&mut self) {
        self.0.accepted.add(1);
    }

    /// Counts the end of a connection that was let in.
    pub fn count_closed(&mut self, timed_out: bool) {
        self.0.closed.add(1);
        self.0.timed_out.add(u64::from(timed_out));
    }

    /// Counts a connection that was closed at once because of a limit.
    pub fn count_refused(&mut self) {
        self.0.refused.add(1);
    }
}

/// The numbers themselves. Padded to two cache lines, since processors fetch lines in pairs: no worker slows another.
#[derive(Debug)]
#[repr(align(128))]
struct Counters {
    transport: Transport,
    queries: Counter,
    answers: [Counter; OUTCOMES],
    truncated: Counter,
    drops: [Counter; DROP_REASONS.len()],
    panics: Counter,
    receive_errors: Counter,
    send_errors: Counter,
    accepted: Counter,
    closed: Counter,
    refused: Counter,
    timed_out: Counter,
}

impl Counters {
    fn new(transport: Transport) -> Counters {
        Counters {
            transport,
            queries: Counter::default(),
            answers: Default::default(),
            truncated: Counter::default(),
            drops: Default::default(),
            panics: Counter::default(),
            receive_errors: Counter::default(),
            send_errors: Counter::default(),
            accepted: Counter::default(),
            closed: Counter::default(),
            refused: Counter::default(),
            timed_out: Counter::default(),
        }
    }
}

/// A number with one writer and any readers.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// To be called by the one writer only: a load and a store, no locked instruction.
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

//--- Totals

/// The sums, by transport. Only grow, but for `connections.open`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals([TransportTotals; TRANSPORTS.len()]);

impl Totals {
    /// The sums of one transport.
    pub fn of(&self, transport: Transport) -> &TransportTotals {
        &self.0[transport_index(transport)]
    }

    /// The sums of all transports.
    pub fn iter(&self) -> impl Iterator<Item = (Transport, &TransportTotals)> {
        TRANSPORTS.into_iter().map(|transport| (transport, self.of(transport)))
    }

    fn add(&mut self, block: &Counters) {
        let totals = &mut self.0[transport_index(block.transport)];
        *totals += TransportTotals::of(block);
    }
}

/// The sums of one transport.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TransportTotals {
    /// Messages that arrived, whatever became of them: answers + drops + panics.
    pub queries: u64,
    /// Answers by outcome, in the order of [`Outcome::ALL`].
    answers: [u64; OUTCOMES],
    /// Answers with TC set.
    pub truncated: u64,
    /// Queries without an answer, in the order of [`DROP_REASONS`].
    drops: [u64; DROP_REASONS.len()],
    /// Queries that made the server panic. Each is a bug; its bytes are in the log.
    pub panics: u64,
    /// Failed receives (UDP) and accepts (TCP, DoT).
    pub receive_errors: u64,
    /// Answers that the kernel did not take.
    pub send_errors: u64,
    /// Connections; all 0 for UDP.
    pub connections: ConnectionTotals,
}

/// Connections of one transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectionTotals {
    /// Open now.
    pub open: u64,
    /// Ever let in.
    pub accepted: u64,
    /// Closed at once because of a limit.
    pub refused: u64,
    /// Closed because nothing whole arrived, or nothing could be written, for the idle time.
    pub timed_out: u64,
}

impl TransportTotals {
    /// Answers with this outcome.
    pub fn answers(&self, outcome: Outcome) -> u64 {
        self.answers[outcome_index(outcome)]
    }

    /// Answers of all outcomes.
    pub fn answers_total(&self) -> u64 {
        self.answers.iter().sum()
    }

    /// Queries dropped for this reason.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops[drop_index(reason)]
    }

    fn of(block: &Counters) -> TransportTotals {
        TransportTotals {
            queries: block.queries.read(),
            answers: block.answers.each_ref().map(Counter::read),
            truncated: block.truncated.read(),
            drops: block.drops.each_ref().map(Counter::read),
            panics: block.panics.read(),
            receive_errors: block.receive_errors.read(),
            send_errors: block.send_errors.read(),
            connections: ConnectionTotals {
                // The two numbers are read one after the other: a connection that closes in between must not wrap it.
                open: block.accepted.read().saturating_sub(block.closed.read()),
                accepted: block.accepted.read(),
                refused: block.refused.read(),
                timed_out: block.timed_out.read(),
            },
        }
    }
}

impl AddAssign for TransportTotals {
    fn add_assign(&mut self, other: TransportTotals) {
        self.queries += other.queries;
        add_each(&mut self.answers, &other.answers);
        self.truncated += other.truncated;
        add_each(&mut self.drops, &other.drops);
        self.panics += other.panics;
        self.receive_errors += other.receive_errors;
        self.send_errors += other.send_errors;
        self.connections.open += other.connections.open;
        self.connections.accepted += other.connections.accepted;
        self.connections.refused += other.connections.refused;
        self.connections.timed_out += other.connections.timed_out;
    }
}

fn add_each(sums: &mut [u64], numbers: &[u64]) {
    for (sum, number) in sums.iter_mut().zip(numbers) {
        *sum += number;
    }
}

//--- The order of the arrays

const OUTCOMES: usize = Outcome::ALL.len();

/// All transports, in the order in which they are shown.
pub const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// All reasons to drop a query, in the order in which they are shown.
pub const DROP_REASONS: [DropReason; 2] = [DropReason::Short, DropReason::Response];

const fn transport_index(transport: Transport) -> usize {
    match transport {
        Transport::Udp => 0,
        Transport::Tcp => 1,
        Transport::Tls => 2,
    }
}

/// `Outcome::ALL` is in the order of the numbers; a test holds it.
const fn outcome_index(outcome: Outcome) -> usize {
    outcome as usize
}

const fn drop_index(reason: DropReason) -> usize {
    match reason {
        DropReason::Short => 0,
        DropReason::Response => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(outcome: Outcome, truncated: bool) -> Disposition {
        Disposition::Send { len: 12, outcome, truncated }
    }

    #[test]
    fn every_outcome_reason_and_transport_has_a_place_of_its_own() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome_index(outcome), index);
        }
        for (index, reason) in DROP_REASONS.into_iter().enumerate() {
            assert_eq!(drop_index(reason), index);
        }
        for (index, transport) in TRANSPORTS.into_iter().enumerate() {
            assert_eq!(transport_index(transport), index);
        }
    }

    #[test]
    fn totals_sum_over_workers_and_keep_transports_apart() {
        let board = CounterBoard::new();
        let (mut a, mut b, mut c) = (board.hand_out(Transport::Udp), board.hand_out(Transport::Udp), board.hand_out(Transport::Tcp));
        a.count(answered(Outcome::Steered, true));
        a.count(Disposition::Drop(DropReason::Response));
        b.count(answered(Outcome::Steered, false));
        b.count_panic();
        c.count_accepted();
        let totals = board.totals();
        let udp = totals.of(Transport::Udp);
        assert_eq!((udp.queries, udp.answers(Outcome::Steered), udp.answers_total(), udp.truncated), (4, 2, 2, 1));
        assert_eq!((udp.drops(DropReason::Response), udp.drops(DropReason::Short), udp.panics), (1, 0, 1));
        assert_eq!(udp.connections, ConnectionTotals::default());
        assert_eq!(totals.of(Transport::Tcp).connections, ConnectionTotals { open: 1, accepted: 1, refused: 0, timed_out: 0 });
        assert_eq!(totals.of(Transport::Tls), &TransportTotals::default());
    }

    #[test]
    fn a_worker_that_ends_leaves_its_numbers_behind() {
        let board = CounterBoard::new();
        let mut worker = board.hand_out(Transport::Tcp);
        worker.count_accepted();
        worker.count_accepted();
        worker.count(answered(Outcome::Static, false));
        worker.count_closed(true);
        drop(worker);
        let before = board.totals();
        assert_eq!(before.of(Transport::Tcp).answers(Outcome::Static), 1);
        assert_eq!(before.of(Transport::Tcp).connections, ConnectionTotals { open: 0, accepted: 2, refused: 0, timed_out: 1 });
        assert_eq!(board.totals(), before, "retired twice");
        assert!(board.lock().blocks.is_empty());
    }
}
