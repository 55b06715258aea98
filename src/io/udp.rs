//! A UDP worker: one thread, one socket of its own, one loop: receive some, answer each, send all.
//!
//! The kernel spreads clients over the sockets of an address (SO_REUSEPORT); workers share nothing but the pointer to
//! the live view. Nothing is allocated, logged or timed per packet.

use super::desk::{Desk, Engine};
use super::packet::{PacketIo, Patience};
use super::stop::Stopping;
use crate::answer::{Client, Transport};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The datagrams of this system.
#[cfg(target_os = "linux")]
pub type Packets = super::packet_batch::Batch;
/// The datagrams of this system.
#[cfg(not(target_os = "linux"))]
pub type Packets = super::packet::OneByOne;

/// Serves until told to stop; then answers what still waits in the socket, since closing it would lose that.
///
/// With `busy_wait` it sleeps only when nothing has come for [`AWAKE`]: to be woken takes a few microseconds, which each query
/// pays that finds the worker asleep.
pub fn serve<P: PacketIo, E: Engine>(mut packets: P, mut desk: Desk<E>, stopping: &Stopping, busy_wait: &AtomicBool) {
    while !stopping.is_signalled() {
        let received = turn(&mut packets, &mut desk, Patience::Wait);
        if received > 0 && busy_wait.load(Relaxed) {
            stay_awake(&mut packets, &mut desk, stopping);
        }
    }
    packets.leave();
    let deadline = stopping.deadline();
    while turn(&mut packets, &mut desk, Patience::Never) > 0 && Instant::now() < deadline {}
}

/// Serves until nothing has come for [`AWAKE`].
fn stay_awake<P: PacketIo, E: Engine>(packets: &mut P, desk: &mut Desk<E>, stopping: &Stopping) {
    let mut last = Instant::now();
    while last.elapsed() < AWAKE && !stopping.is_signalled() {
        if turn(packets, desk, Patience::Never) > 0 {
            last = Instant::now();
        }
    }
}

/// One batch. Says how many queries it held.
fn turn<P: PacketIo, E: Engine>(packets: &mut P, desk: &mut Desk<E>, patience: Patience) -> usize {
    let Ok(received) = packets.receive(patience) else {
        desk.counters.count_receive_error();
        thread::sleep(ERROR_PAUSE);
        return 0;
    };
    // Also after an empty wait, so that an idle worker does not hold a whole outdated config in memory.
    desk.refresh();
    desk.anticipate(packets.queries());
    packets
        .answer_each(|place, source, query, out| desk.answer_anticipated(place, &Client { source, transport: Transport::Udp }, query, out));
    let lost = packets.send().lost;
    if lost > 0 {
        desk.counters.count_send_errors(lost);
    }
    received
}

/// How long a worker waits awake. Beyond the time it takes to sleep and be woken there is nothing to be gained.
const AWAKE: Duration = Duration::from_micros(20);

/// After an error of the socket itself, such as a kernel out of memory: neither end the worker nor burn a core.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::super::counters::CounterBoard;
    use super::super::desk::fake::{Echo, PANIC};
    use super::super::packet::{OneByOne, QUERY_MAX, Sent, promises};
    use super::super::stop::{StopSignal, stop_signal};
    use super::*;
    use std::io;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    const QUERY: &[u8] = b"twelve octets";

    /// Stops before it serves: whatever is answered then was drained.
    fn drain<P: PacketIo>(packets: P) -> Arc<CounterBoard> {
        let board = Arc::new(CounterBoard::new());
        let (signal, stopping) = stop_signal();
        signal.stop_by(Instant::now() + Duration::from_secs(5));
        serve(packets, Desk::new(Echo::default(), board.hand_out(Transport::Udp)), &stopping, &AtomicBool::new(false));
        board
    }

    fn queries_that_wait_when_a_worker_stops_are_answered<P: PacketIo>() {
        let (packets, to) = promises::serving::<P>("127.0.0.1");
        let client = promises::client("127.0.0.1");
        for _ in 0..70 {
            client.send_to(QUERY, to).expect("room in the socket");
        }
        client.send_to(PANIC, to).expect("room in the socket");
        client.send_to(b"short", to).expect("room in the socket");
        let board = drain(packets);
        for _ in 0..70 {
            assert_eq!(client.recv(&mut [0; 64]).expect("an answer"), 8 + QUERY.len());
        }
        let totals = board.totals();
        let udp = totals.of(Transport::Udp);
        assert_eq!((udp.queries, udp.answers_total(), udp.panics), (72, 70, 1));
    }

    #[test]
    fn queries_that_wait_when_a_worker_stops_are_answered_in_batches() {
        queries_that_wait_when_a_worker_stops_are_answered::<Packets>();
    }

    #[test]
    fn queries_that_wait_when_a_worker_stops_are_answered_one_by_one() {
        queries_that_wait_when_a_worker_stops_are_answered::<OneByOne>();
    }

    /// A network that fails to receive once, then brings one query and fails to send.
    struct Failing {
        receives: usize,
    }

    impl PacketIo for Failing {
        fn configure(_: &std::net::UdpSocket) -> io::Result<()> {
            Ok(())
        }
        fn new(_: std::net::UdpSocket) -> Failing {
            Failing { receives: 0 }
        }
        fn receive(&mut self, _: Patience) -> io::Result<usize> {
            self.receives += 1;
            if self.receives == 1 { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(1) }
        }
        fn queries(&self) -> impl Iterator<Item = (usize, IpAddr, &[u8])> {
            std::iter::once((0, [127, 0, 0, 1].into(), QUERY))
        }
        fn answer_each(&mut self, mut answer: impl FnMut(usize, IpAddr, &[u8], &mut [u8]) -> Option<usize>) {
            assert!(answer(0, [127, 0, 0, 1].into(), QUERY, &mut [0; QUERY_MAX]).is_some());
        }
        fn leave(&mut self) {}
        fn send(&mut self) -> Sent {
            Sent { sent: 0, lost: 1 }
        }
    }

    #[test]
    fn a_failing_network_is_counted_and_does_not_end_the_worker() {
        let board = CounterBoard::new();
        let mut desk = Desk::new(Echo::default(), board.hand_out(Transport::Udp));
        let mut network = Failing { receives: 0 };
        assert_eq!(turn(&mut network, &mut desk, Patience::Wait), 0);
        assert_eq!(turn(&mut network, &mut desk, Patience::Wait), 1);
        let totals = board.totals();
        let udp = totals.of(Transport::Udp);
        assert_eq!((udp.receive_errors, udp.queries, udp.send_errors), (1, 1, 1));
    }

    /// Brings a query when asked patiently and none when asked impatiently; stops the worker at the third patient call.
    struct Rare {
        signal: Option<StopSignal>,
        waits: Arc<AtomicUsize>,
        polls: Arc<AtomicUsize>,
    }

    impl PacketIo for Rare {
        fn configure(_: &std::net::UdpSocket) -> io::Result<()> {
            Ok(())
        }
        fn new(_: std::net::UdpSocket) -> Rare {
            Rare { signal: None, waits: Arc::default(), polls: Arc::default() }
        }
        fn receive(&mut self, patience: Patience) -> io::Result<usize> {
            if patience == Patience::Never {
                self.polls.fetch_add(1, Relaxed);
                return Ok(0);
            }
            if self.waits.fetch_add(1, Relaxed) == 2
                && let Some(signal) = self.signal.take()
            {
                signal.stop_by(Instant::now());
            }
            Ok(1)
        }
        fn queries(&self) -> impl Iterator<Item = (usize, IpAddr, &[u8])> {
            std::iter::empty()
        }
        fn answer_each(&mut self, _: impl FnMut(usize, IpAddr, &[u8], &mut [u8]) -> Option<usize>) {}
        fn leave(&mut self) {}
        fn send(&mut self) -> Sent {
            Sent::default()
        }
    }

    /// How often a worker with rare queries waited patiently and impatiently until it was stopped.
    fn waits_and_polls(busy_wait: bool) -> (usize, usize) {
        let (signal, stopping) = stop_signal();
        let (waits, polls) = (Arc::default(), Arc::default());
        let rare = Rare { signal: Some(signal), waits: Arc::clone(&waits), polls: Arc::clone(&polls) };
        let desk = Desk::new(Echo::default(), CounterBoard::new().hand_out(Transport::Udp));
        serve(rare, desk, &stopping, &AtomicBool::new(busy_wait));
        (waits.load(Relaxed), polls.load(Relaxed))
    }

    #[test]
    fn a_worker_that_may_sleep_sleeps_and_one_that_shall_stay_awake_does_for_a_while() {
        // The last impatient call is that of the drain.
        assert_eq!(waits_and_polls(false), (3, 1));
        let (waits, polls) = waits_and_polls(true);
        assert_eq!(waits, 3);
        assert!(polls > 2, "{polls}");
    }
}
