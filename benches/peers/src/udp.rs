//! Load over UDP: many clients, each a socket with its own source address and port.
//!
//! *Closed*: every client keeps a window of queries under way, and asks anew when an answer is there; this finds the
//! most a server can do. *Open*: queries are due at a fixed rate whatever the server does, and latency counts from
//! when a query was due, so that a stall shows in all queries it delayed, not only in the one it met.
//!
//! One thread turns over all clients: receive what is there, send what may be sent. Answers are checked as they come.

use crate::load::{Loopback, Outcome, PATIENCE, Shuffle, TIME_MAX, source};
use crate::query::Query;
use crate::system::{self, Addressed, Batch, Wait};
use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

/// Datagrams a system call. The kernel takes at most 64 segments of one train (before Linux 6.9).
const BATCH: usize = 64;

/// Queries under way on one client at most in an open loop; more are lost before they are sent.
const OPEN_WINDOW: usize = 4096;

/// Room asked of the kernel for each socket's queues: a whole window of the largest answers.
const SOCKET_ROOM: i32 = 8 << 20;

/// When queries are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As many as are answered: each client has this many under way, 1 to 32768.
    Closed {
        /// Queries under way on each client.
        window: usize,
    },
    /// This many a second over all clients.
    Open {
        /// Queries a second, above 0.
        rate: f64,
    },
}

/// How queries enter the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Up to 64 datagrams a system call.
    Batches,
    /// As trains that the kernel cuts apart: far cheaper, so that the generator is not the limit. All queries must have one length.
    Trains,
}

/// A load over UDP.
#[derive(Clone, Copy, Debug)]
pub struct UdpLoad {
    /// Who is asked.
    pub server: Loopback,
    /// How many sockets, 1 or more.
    pub clients: usize,
    /// When queries are sent.
    pub pace: Pace,
    /// How they are sent.
    pub sending: Sending,
    /// The same seed asks the same queries in the same order.
    pub seed: u64,
}

/// All clients of a load, connected.
pub struct Generator<'a> {
    queries: &'a [Query],
    pace: Pace,
    sending: Sending,
    shuffle: Shuffle,
    clients: Vec<Client>,
    incoming: Batch,
    outgoing: Batch,
    /// A train under construction.
    train: Vec<u8>,
    /// Ids of the queries in the batch or train that is being sent.
    ids: Vec<u16>,
    /// The client that sends next in an open loop.
    turn: usize,
}

/// One socket and the queries that are under way on it.
struct Client {
    socket: UdpSocket,
    /// One for each query that can be under way. A power of two.
    slots: Vec<Slot>,
    /// How many queries may be under way: not more than there are slots.
    window: usize,
    /// Slots that are free; the last one freed is used next, while the cache still has it.
    free: Vec<u16>,
}

/// A query under way, or the memory of the last one.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// Nanoseconds since the run began at which the query was sent or due.
    since: u64,
    /// Index of the query.
    query: u32,
    /// The id it carries: its low bits are the slot's number, the others count its uses, so that an answer that comes
    /// too late is not taken for the next query's.
    id: u16,
    under_way: bool,
}

/// Clock and counts of one run.
struct Run {
    start: Instant,
    /// Queries sent so far; at a fixed rate also the number of the next one that is due.
    sent: u64,
    outcome: Outcome,
}

impl<'a> Generator<'a> {
    /// Opens the sockets. Fails where the system refuses one, and when trains are asked of queries that differ in length.
    pub fn connect(load: &UdpLoad, queries: &'a [Query]) -> io::Result<Generator<'a>> {
        let length = queries[0].message.len();
        if load.sending == Sending::Trains && queries.iter().any(|query| query.message.len() != length) {
            return Err(io::Error::other("a train has queries of one length only, and these have several"));
        }
        let window = match load.pace {
            Pace::Closed { window } => window,
            Pace::Open { .. } => OPEN_WINDOW,
        };
        let clients: io::Result<_> = (0..load.clients).map(|index| Client::connect(load.server.0, index, window)).collect();
        Ok(Generator {
            queries,
            pace: load.pace,
            sending: load.sending,
            shuffle: Shuffle::new(queries, load.seed),
            clients: clients?,
            incoming: Batch::new(BATCH),
            outgoing: Batch::new(BATCH),
            train: Vec::with_capacity(BATCH * 512),
            ids: Vec::with_capacity(BATCH),
            turn: 0,
        })
    }

    /// Loads the server for this long. At a fixed rate the last answers are awaited, and counted; in a closed loop what is
    /// under way at the end is left for [`Generator::settle`].
    pub fn run(&mut self, time: Duration) -> io::Result<Outcome> {
        let mut run = Run { start: Instant::now(), sent: 0, outcome: Outcome::default() };
        self.send_and_receive(&mut run, time, || false)?;
        run.outcome.elapsed = run.start.elapsed();
        if let Pace::Open { rate } = self.pace {
            self.drain(&mut run)?;
            run.outcome.tally.lost += due(rate, time).saturating_sub(run.sent);
        }
        run.outcome.tally.sent = run.sent;
        Ok(run.outcome)
    }

    /// Loads the server until something is `done`, but no longer than [`TIME_MAX`], and awaits every answer: all that was sent is then
    /// answered or lost.
    pub fn run_until(&mut self, done: impl Fn() -> bool) -> io::Result<Outcome> {
        let mut run = Run { start: Instant::now(), sent: 0, outcome: Outcome::default() };
        self.send_and_receive(&mut run, TIME_MAX, done)?;
        run.outcome.elapsed = run.start.elapsed();
        self.drain(&mut run)?;
        run.outcome.tally.sent = run.sent;
        Ok(run.outcome)
    }

    /// Waits for the answers that a closed loop left under way, so that they do not disturb the next run.
    pub fn settle(&mut self) -> io::Result<()> {
        self.drain(&mut Run { start: Instant::now(), sent: 0, outcome: Outcome::default() })
    }

    fn send_and_receive(&mut self, run: &mut Run, time: Duration, done: impl Fn() -> bool) -> io::Result<()> {
        let (mut last, mut last_sweep, mut was_idle) = (Duration::ZERO, Duration::ZERO, false);
        loop {
            let now = run.start.elapsed();
            if was_idle {
                run.outcome.idle += now.saturating_sub(last);
            }
            if now >= time || done() {
                return Ok(());
            }
            last = now;
            let received = self.receive(run)?;
            let sent = self.send(run)?;
            was_idle = !received && !sent;
            if now.saturating_sub(last_sweep) > PATIENCE / 2 {
                last_sweep = now;
                self.give_up(run);
            }
        }
    }

    /// Waits for the answers that are still to come, without sending.
    fn drain(&mut self, run: &mut Run) -> io::Result<()> {
        let until = run.start.elapsed() + PATIENCE;
        while self.clients.iter().any(Client::waits) && run.start.elapsed() < until {
            self.receive(run)?;
        }
        self.clients.iter_mut().for_each(|client| run.outcome.tally.lost += client.forget_before(u64::MAX));
        Ok(())
    }

    //--- Receiving

    /// Takes what has come to any client; whether there was anything.
    fn receive(&mut self, run: &mut Run) -> io::Result<bool> {
        let mut any = false;
        for client in self.clients.iter_mut().filter(|client| client.waits()) {
            let count = self.incoming.receive(&client.socket, Wait::No)?;
            if count == 0 {
                continue;
            }
            any = true;
            let now = nanoseconds(run.start.elapsed());
            for index in 0..count {
                client.take(self.incoming.datagram(index), self.queries, now, &mut run.outcome);
            }
        }
        Ok(any)
    }

    /// Counts as lost what is under way for too long.
    fn give_up(&mut self, run: &mut Run) {
        let oldest = nanoseconds(run.start.elapsed().saturating_sub(PATIENCE));
        self.clients.iter_mut().for_each(|client| run.outcome.tally.lost += client.forget_before(oldest));
    }

    //--- Sending

    /// Sends what may be sent; whether there was anything.
    fn send(&mut self, run: &mut Run) -> io::Result<bool> {
        match self.pace {
            Pace::Closed { .. } => self.refill(run),
            Pace::Open { rate } => self.send_due(run, rate),
        }
    }

    /// Fills the window of every client.
    fn refill(&mut self, run: &mut Run) -> io::Result<bool> {
        let mut any = false;
        for index in 0..self.clients.len() {
            let count = self.clients[index].free.len().min(BATCH);
            if count > 0 {
                let now = nanoseconds(run.start.elapsed());
                any |= self.send_from(index, count, run, |_| now)?;
            }
        }
        Ok(any)
    }

    /// Sends all that is due by now from the next client.
    fn send_due(&mut self, run: &mut Run, rate: f64) -> io::Result<bool> {
        let waiting = due(rate, run.start.elapsed()).saturating_sub(run.sent);
        let index = self.turn;
        let count = usize::try_from(waiting).unwrap_or(BATCH).min(BATCH).min(self.clients[index].free.len());
        self.turn = (self.turn + 1) % self.clients.len();
        if count == 0 {
            return Ok(false);
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of at most TIME_MAX")]
        self.send_from(index, count, run, |number| (number as f64 * 1e9 / rate) as u64)
    }

    /// Sends `count` queries (at most [`BATCH`], and at most what is free) from one client; whether the kernel took any.
    /// `since` says from when the query with this number counts.
    fn send_from(&mut self, index: usize, count: usize, run: &mut Run, since: impl Fn(u64) -> u64) -> io::Result<bool> {
        self.ids.clear();
        self.train.clear();
        let client = &mut self.clients[index];
        for position in 0..count {
            let query = self.shuffle.draw();
            let id = client.begin(query, since(run.sent + position as u64));
            self.ids.push(id);
            let message = &self.queries[query as usize].message;
            match self.sending {
                Sending::Trains => {
                    let at = self.train.len();
                    self.train.extend_from_slice(message);
                    self.train[at..at + 2].copy_from_slice(&id.to_be_bytes());
                }
                Sending::Batches => {
                    let (buffer, length) = self.outgoing.slot(position);
                    buffer[..message.len()].copy_from_slice(message);
                    buffer[..2].copy_from_slice(&id.to_be_bytes());
                    *length = message.len();
                }
            }
        }
        let taken = match self.sending {
            Sending::Trains => {
                let each = u16::try_from(self.train.len() / count).expect("a query is shorter than 64 KiB");
                if system::send_train(&client.socket, &self.train, each)? { count } else { 0 }
            }
            Sending::Batches => self.outgoing.send(&client.socket, count, Addressed::Connected)?,
        };
        for id in &self.ids[taken..] {
            client.release(*id);
        }
        run.sent += taken as u64;
        Ok(taken > 0)
    }
}

impl Client {
    /// The client number `index`, with room for `window` queries under way.
    fn connect(server: SocketAddrV4, index: usize, window: usize) -> io::Result<Client> {
        let socket = UdpSocket::bind(SocketAddrV4::new(source(index), 0))?;
        socket.connect(server)?;
        system::widen(&socket, SOCKET_ROOM);
        let room = u16::try_from(window.next_power_of_two()).map_err(|_| io::Error::other("a window has at most 32768 queries"))?;
        let slots = (0..room).map(|id| Slot { id, ..Slot::default() }).collect();
        let free = (0..room).take(window).collect();
        Ok(Client { socket, slots, window, free })
    }

    /// Whether any answer is still to come.
    fn waits(&self) -> bool {
        self.free.len() < self.window
    }

    /// Takes a free slot for a query; its id.
    fn begin(&mut self, query: u32, since: u64) -> u16 {
        let number = self.free.pop().expect("no more are begun than are free");
        let uses = u16::try_from(self.slots.len()).expect("see connect");
        let slot = &mut self.slots[usize::from(number)];
        *slot = Slot { since, query, id: slot.id.wrapping_add(uses), under_way: true };
        slot.id
    }

    /// Frees the slot of an id.
    fn release(&mut self, id: u16) {
        let number = self.number(id);
        self.slots[number].under_way = false;
        self.free.push(u16::try_from(number).expect("see connect"));
    }

    /// The slot of an id.
    fn number(&self, id: u16) -> usize {
        usize::from(id) & (self.slots.len() - 1)
    }

    /// Checks and counts a message that came at `now`.
    fn take(&mut self, message: &[u8], queries: &[Query], now: u64, outcome: &mut Outcome) {
        let id = message.first_chunk().map(|octets| u16::from_be_bytes(*octets));
        let slot = id.map(|id| self.slots[self.number(id)]);
        let Some(slot) = slot.filter(|slot| slot.under_way && Some(slot.id) == id) else {
            outcome.tally.bad += 1;
            return;
        };
        if outcome.tally.count(message, &queries[slot.query as usize]) {
            outcome.latency.add(now.saturating_sub(slot.since));
        }
        self.release(slot.id);
    }

    /// Frees all slots that began before `oldest`; how many.
    fn forget_before(&mut self, oldest: u64) -> u64 {
        let overdue: Vec<_> = self.slots.iter().filter(|slot| slot.under_way && slot.since < oldest).map(|slot| slot.id).collect();
        for id in &overdue {
            self.release(*id);
        }
        overdue.len() as u64
    }
}

/// Queries due after this time.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate times at most TIME_MAX")]
fn due(rate: f64, time: Duration) -> u64 {
    (time.as_secs_f64() * rate) as u64
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a run is shorter than 500 years")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Qtype;
    use crate::reflect;

    fn queries() -> Vec<Query> {
        (0..20).map(|host| Query::new(&format!("h{host:04}.example.com"), Qtype::A, None).unwrap()).collect()
    }

    fn run(pace: Pace, sending: Sending, time: Duration) -> Outcome {
        let load = UdpLoad { server: reflect::in_background(), clients: 3, pace, sending, seed: 1 };
        let queries = queries();
        let mut generator = Generator::connect(&load, &queries).unwrap();
        let outcome = generator.run(time).unwrap();
        generator.settle().unwrap();
        outcome
    }

    #[test]
    fn a_closed_loop_asks_anew_for_every_answer() {
        for sending in [Sending::Batches, Sending::Trains] {
            let outcome = run(Pace::Closed { window: 8 }, sending, Duration::from_millis(300));
            let (tally, under_way) = (&outcome.tally, 3 * 8);
            assert!(tally.answered > under_way, "{tally:?}");
            assert_eq!((tally.bad, tally.rcodes[0], tally.records), (0, tally.answered, tally.answered), "{tally:?}");
            assert!(tally.sent - tally.answered - tally.lost <= under_way, "{tally:?}");
        }
    }

    #[test]
    fn a_load_that_ends_when_something_is_done_awaits_every_answer() {
        let load =
            UdpLoad { server: reflect::in_background(), clients: 3, pace: Pace::Closed { window: 8 }, sending: Sending::Batches, seed: 1 };
        let (queries, start) = (queries(), Instant::now());
        let mut generator = Generator::connect(&load, &queries).unwrap();
        let outcome = generator.run_until(|| start.elapsed() > Duration::from_millis(100)).unwrap();
        let tally = &outcome.tally;
        assert!(tally.answered > 0 && tally.sent == tally.answered + tally.lost, "{tally:?}");
    }

    #[test]
    fn an_open_loop_accounts_for_every_query_that_was_due() {
        let outcome = run(Pace::Open { rate: 1000.0 }, Sending::Batches, Duration::from_millis(300));
        let tally = &outcome.tally;
        assert!(tally.answered > 0 && tally.bad == 0, "{tally:?}");
        // The clock is read before the last queries are sent: a few more may have become due.
        assert!((300..=301 + BATCH as u64).contains(&(tally.answered + tally.lost)), "{tally:?}");
    }

    #[test]
    fn queries_of_several_lengths_make_no_train() {
        let mut queries = queries();
        queries.push(Query::new("longer.example.com", Qtype::A, None).unwrap());
        let server = reflect::in_background();
        let load = UdpLoad { server, clients: 1, pace: Pace::Closed { window: 1 }, sending: Sending::Trains, seed: 1 };
        assert!(Generator::connect(&load, &queries).is_err());
    }

    #[test]
    fn an_answer_that_comes_too_late_is_not_taken_for_the_next_one() {
        let (queries, mut outcome) = (queries(), Outcome::default());
        let mut client = Client::connect("127.0.0.1:9".parse().unwrap(), 0, 1).unwrap();
        let late = client.begin(0, 10);
        assert_eq!(client.forget_before(11), 1);
        let next = client.begin(0, 20);
        let answer = |id: u16| {
            let mut message = queries[0].message.clone();
            message[..2].copy_from_slice(&id.to_be_bytes());
            message[2] |= 0x80;
            message
        };
        client.take(&answer(late), &queries, 30, &mut outcome);
        assert_eq!((outcome.tally.bad, outcome.tally.answered, client.waits()), (1, 0, true));
        client.take(&answer(next), &queries, 30, &mut outcome);
        assert_eq!((outcome.tally.bad, outcome.tally.answered, client.waits()), (1, 1, false));
    }
}
