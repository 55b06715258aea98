//! DNS over TCP: a worker is one thread with one listener and one loop over all its connections.
//!
//! A turn of the loop waits for the kernel, accepts some of those who knock, gives each conversation that can go on one
//! turn of its own ([`Talk`]), and closes those whose time is over. Everything in it is bounded, so that neither a flood of
//! connections nor a long pipeline starves the others. A new connection is read before it is watched, since most bring
//! their query along; and it is watched for one thing at a time, so that the kernel reports nothing in vain.
//!
//! A connection ends when the client has said everything (it may shut down its side first and still gets all answers), when no
//! whole query came for the idle time (the beginning of a query does not count), when answers could not be written for
//! as long, at a message of length zero, or in peace when the worker stops; then whoever has just connected may still ask.
//!
//! What an answer costs here is a read and a write, shared by all queries that one read brought; the wait and one look at
//! the clock are shared by all connections of a turn. What an idle connection costs is its [`Seat`]. Knows no DNS.

use super::accept::pause_after;
use super::admission::{Admission, Admitted};
use super::alarms::Alarms;
use super::desk::{Desk, Engine};
use super::stop::Stopping;
use super::talk::{Buffers, Next, Talk};
use crate::answer::{Client, Transport};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::net::{self, IpAddr, Shutdown};
use std::thread;
use std::time::{Duration, Instant};

/// A listener and what will watch it; both are made at bind time, where an error can still be told.
#[derive(Debug)]
pub struct Post {
    listener: TcpListener,
    poll: Poll,
}

impl Post {
    /// Wraps a bound and listening socket.
    ///
    /// # Errors
    /// The system refuses to watch it.
    pub fn new(listener: net::TcpListener) -> io::Result<Post> {
        listener.set_nonblocking(true)?;
        let (mut listener, poll) = (TcpListener::from_std(listener), Poll::new()?);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Post { listener, poll })
    }

    /// The address that the listener is bound to.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<net::SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop; then finishes what is open, until the deadline.
    pub fn serve<E: Engine>(self, desk: Desk<E>, admission: &Admission, stopping: &Stopping) {
        let mut worker = Worker::new(self, desk, admission.clone());
        while !stopping.is_signalled() {
            worker.turn(worker.now + LOOK_UP);
        }
        worker.finish(stopping.deadline());
        // Dropping the worker closes whatever the grace did not suffice for.
    }
}

/// How the listener is known to [`Poll`]; connections are known by their seats, small numbers.
const LISTENER: Token = Token(usize::MAX);

/// How often an idle worker looks up: whether it should stop, and whether there is newer state, so that it does not hold a
/// whole outdated config in memory. Often enough for an operator not to wait, rarely enough to cost nothing.
const LOOK_UP: Duration = Duration::from_millis(250);

/// How many connections are reported in one turn; more wait for the next.
const EVENTS: usize = 256;

/// How many connections are accepted in one turn: about as much work as answering twice as many queries of the others.
const ACCEPTS: usize = 32;

/// How long a worker that stops waits for the first query of those who are connected: clients connect and ask at once, so it
/// is under way. A round trip around the world, and a lost packet.
const FIRST_QUERY: Duration = Duration::from_secs(1);

/// One thread with its connections.
struct Worker<E> {
    poll: Poll,
    events: Events,
    /// Gone once the worker stops.
    listener: Option<TcpListener>,
    door: Door,
    admission: Admission,
    desk: Desk<E>,
    buffers: Buffers,
    seats: Slab<Seat>,
    /// Seats that can go on, each at most once.
    ready: VecDeque<usize>,
    /// When to look whether a seat's time is over.
    alarms: Alarms,
    /// The time, as read once a turn.
    now: Instant,
    /// Whether the worker was told to stop: only what has arrived by now is answered.
    is_stopping: bool,
}

/// A connection and its place in the worker.
struct Seat {
    talk: Talk<TcpStream>,
    /// What the kernel watches it for. Nothing yet while it is new.
    watched: Option<Interest>,
    /// Whether it is among those that can go on.
    is_ready: bool,
    /// Its place under the limits, held as long as the connection.
    _place: Admitted,
}

/// What is known of those who want to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Door {
    /// Nobody knocks; the kernel will tell.
    Quiet,
    /// Somebody may be waiting.
    Knocked,
    /// Something has run out; to be opened again at this time. Whoever is inside is served meanwhile.
    Shut(Instant),
}

impl<E: Engine> Worker<E> {
    fn new(Post { listener, poll }: Post, desk: Desk<E>, admission: Admission) -> Worker<E> {
        Worker {
            poll,
            events: Events::with_capacity(EVENTS),
            listener: Some(listener),
            door: Door::Quiet,
            admission,
            desk,
            buffers: Buffers::default(),
            seats: Slab::new(),
            ready: VecDeque::new(),
            alarms: Alarms::default(),
            now: Instant::now(),
            is_stopping: false,
        }
    }

    /// Waits until something happens, `latest` at most, and deals with all of it.
    fn turn(&mut self, latest: Instant) {
        self.wait(latest);
        self.now = Instant::now();
        self.desk.refresh();
        self.accept_some();
        for _ in 0..self.ready.len() {
            self.go_on();
        }
        self.give_up_late();
    }

    /// Answers all who have connected and asked by now, and ends every connection in peace.
    fn finish(&mut self, deadline: Instant) {
        // The kernel has completed the connections that wait; closing the listener would reset them.
        self.door = Door::Knocked;
        while self.door == Door::Knocked && self.now < deadline {
            self.turn(deadline);
        }
        // Nothing else comes between: whoever came during the last turn, and then the end.
        self.door = Door::Knocked;
        self.accept_some();
        (self.listener, self.door) = (None, Door::Quiet);
        self.await_first_queries(deadline.min(self.now + FIRST_QUERY));
        self.is_stopping = true;
        for (key, seat) in &mut self.seats {
            seat.make_ready(key, &mut self.ready);
        }
        while !self.seats.is_empty() && self.now < deadline {
            self.turn(deadline);
        }
    }

    /// Goes on until everybody has asked something.
    fn await_first_queries(&mut self, latest: Instant) {
        while self.now < latest && self.seats.iter().any(|(_, seat)| seat.talk.is_awaited()) {
            self.turn(latest);
        }
    }

    //--- Waiting

    fn wait(&mut self, latest: Instant) {
        let patience = self.patience(latest);
        if let Err(error) = self.poll.poll(&mut self.events, Some(patience))
            && error.kind() != io::ErrorKind::Interrupted
        {
            // The kernel is out of memory: neither end the worker nor burn a core.
            self.desk.counters.count_receive_error();
            thread::sleep(pause_after(&error));
        }
        for event in &self.events {
            if event.token() == LISTENER {
                self.door.knock();
            } else if let Some(seat) = self.seats.get_mut(event.token().0) {
                if event.is_read_closed() {
                    seat.talk.hear_end();
                }
                seat.make_ready(event.token().0, &mut self.ready);
            }
        }
    }

    /// How long to wait for the kernel. Counted from the begin of the turn before, which spares a look at the clock.
    fn patience(&self, latest: Instant) -> Duration {
        let opens = match self.door {
            Door::Knocked => return Duration::ZERO,
            Door::Shut(until) => Some(until),
            Door::Quiet => None,
        };
        if !self.ready.is_empty() {
            return Duration::ZERO;
        }
        let until = [opens, self.alarms.next()].into_iter().flatten().fold(latest, Instant::min);
        until.saturating_duration_since(self.now)
    }

    //--- Accepting

    /// Lets some of those in who wait.
    fn accept_some(&mut self) {
        self.door.open(self.now);
        for _ in 0..ACCEPTS {
            if self.door != Door::Knocked {
                return;
            }
            let Some(listener) = &self.listener else { return };
            let accepted = listener.accept();
            if accepted.is_ok() && !somebody_waits(listener) {
                self.door = Door::Quiet;
            }
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer.ip()),
                Err(error) => self.fail_to_accept(&error),
            }
        }
    }

    fn fail_to_accept(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.door = Door::Quiet;
            return;
        }
        self.desk.counters.count_receive_error();
        let pause = pause_after(error);
        if !pause.is_zero() {
            self.door = Door::Shut(self.now + pause);
        }
    }

    /// Gives a new connection a seat, if the limits allow. It is read before it is watched.
    fn admit(&mut self, stream: TcpStream, source: IpAddr) {
        let Some(place) = self.admission.admit(source) else {
            self.desk.counters.count_refused();
            return;
        };
        self.desk.counters.count_accepted();
        let talk = Talk::new(stream, Client { source, transport: Transport::Tcp }, place.idle, self.now);
        let deadline = talk.deadline();
        let seat = self.seats.vacant_entry();
        let key = seat.key();
        seat.insert(Seat { talk, watched: None, is_ready: false, _place: place }).make_ready(key, &mut self.ready);
        self.alarms.set(key, deadline);
    }

    //--- Conversing

    /// Gives the first of those who can go on a turn.
    fn go_on(&mut self) {
        let Some(key) = self.ready.pop_front() else { return };
        let Some(seat) = self.seats.get_mut(key) else { return };
        seat.is_ready = false;
        match seat.talk.turn(&mut self.desk, &mut self.buffers, self.now, self.is_stopping) {
            Next::Turn => seat.make_ready(key, &mut self.ready),
            Next::Read => self.watch(key, Interest::READABLE),
            Next::Write => self.watch(key, Interest::WRITABLE),
            Next::Leave => self.leave(key),
            Next::Close => self.close(key, false),
        }
    }

    /// Has the kernel report what a seat waits for: each time that it begins to be so, and now if it is so already.
    fn watch(&mut self, key: usize, interest: Interest) {
        let Seat { talk, watched, .. } = &mut self.seats[key];
        if *watched == Some(interest) {
            return;
        }
        let (registry, token) = (self.poll.registry(), Token(key));
        let watching = match watched.replace(interest) {
            None => registry.register(talk.stream(), token, interest),
            Some(_) => registry.reregister(talk.stream(), token, interest),
        };
        if watching.is_err() {
            // Nobody would ever hear of it again.
            self.desk.counters.count_receive_error();
            self.close(key, false);
        }
    }

    fn leave(&mut self, key: usize) {
        let seat = &mut self.seats[key];
        if seat.talk.stream().shutdown(Shutdown::Write).is_err() {
            return self.close(key, false);
        }
        seat.talk.leave(self.now);
        seat.make_ready(key, &mut self.ready);
        self.alarms.set(key, seat.talk.deadline());
    }

    fn close(&mut self, key: usize, timed_out: bool) {
        self.seats.remove(key);
        self.desk.counters.count_closed(timed_out);
    }

    /// Closes whoever is over time.
    fn give_up_late(&mut self) {
        while let Some(key) = self.alarms.call(self.now) {
            let Some(seat) = self.seats.get(key) else { continue };
            let (deadline, is_leaving) = (seat.talk.deadline(), seat.talk.is_leaving());
            if deadline > self.now {
                self.alarms.set(key, deadline);
            } else {
                self.close(key, !is_leaving);
            }
        }
    }
}

/// Whether another connection can be accepted. To find out by accepting in vain would cost five times as much: the kernel
/// makes a socket before it looks whether there is anything to put into it.
fn somebody_waits(listener: &TcpListener) -> bool {
    poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&Timespec::default())) != Ok(0)
}

impl Seat {
    fn make_ready(&mut self, key: usize, ready: &mut VecDeque<usize>) {
        if !self.is_ready {
            self.is_ready = true;
            ready.push_back(key);
        }
    }
}

impl Door {
    fn knock(&mut self) {
        match self {
            Door::Quiet => *self = Door::Knocked,
            Door::Knocked | Door::Shut(_) => {}
        }
    }

    fn open(&mut self, now: Instant) {
        match self {
            Door::Shut(until) if *until <= now => *self = Door::Knocked,
            Door::Quiet | Door::Knocked | Door::Shut(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::admission::Admission;
    use super::super::counters::{ConnectionTotals, CounterBoard, TransportTotals};
    use super::super::desk::Desk;
    use super::super::desk::fake::{Echo, LONG, PANIC};
    use super::super::stop::{StopSignal, stop_signal};
    use super::*;
    use crate::snapshot::TcpLimits;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream as Client};
    use std::sync::Arc;
    use std::thread::JoinHandle;

    /// Longer than any test takes; a test that needs the time to pass sets its own.
    const PATIENT: Duration = Duration::from_secs(30);
    const LIMITS: TcpLimits = TcpLimits { connections: 100, connections_per_client: 100, idle: PATIENT };

    struct Server {
        addr: SocketAddr,
        board: Arc<CounterBoard>,
        signal: StopSignal,
        thread: JoinHandle<()>,
    }

    fn server(limits: TcpLimits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        let board = Arc::new(CounterBoard::new());
        let desk = Desk::new(Echo::default(), board.hand_out(Transport::Tcp));
        let (signal, stopping) = stop_signal();
        let post = Post::new(listener).expect("a poll");
        let thread = thread::spawn(move || post.serve(desk, &Admission::new(limits), &stopping));
        Server { addr, board, signal, thread }
    }

    impl Server {
        fn connect(&self) -> Client {
            let client = Client::connect(self.addr).expect("a listening server");
            client.set_read_timeout(Some(PATIENT)).expect("a timeout above zero");
            client
        }

        /// Stops the server and returns what it counted.
        fn stop(self) -> TransportTotals {
            self.signal.stop_by(Instant::now() + PATIENT);
            self.thread.join().expect("a worker that does not panic");
            self.board.totals().of(Transport::Tcp).clone()
        }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&u16::try_from(message.len()).expect("a short message").to_be_bytes(), message].concat()
    }

    fn read_message(client: &mut Client) -> Vec<u8> {
        let mut length = [0; 2];
        client.read_exact(&mut length).expect("an answer");
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        client.read_exact(&mut message).expect("a whole answer");
        message
    }

    /// Whether the server has ended the connection, be it by a reset.
    fn is_closed(client: &mut Client) -> bool {
        matches!(client.read(&mut [0]), Ok(0)) || client.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
    }

    fn query(n: usize) -> Vec<u8> {
        format!("query number {n}").into_bytes()
    }

    #[test]
    fn a_pipeline_is_answered_in_order() {
        let server = server(LIMITS);
        let mut client = server.connect();
        let pipeline: Vec<u8> = (0..500).flat_map(|n| framed(&query(n))).collect();
        client.write_all(&pipeline).expect("an open connection");
        for n in 0..500 {
            assert_eq!(read_message(&mut client)[8..], query(n));
        }
        drop(client);
        let totals = server.stop();
        assert_eq!((totals.queries, totals.answers_total()), (500, 500));
        assert_eq!(totals.connections, ConnectionTotals { open: 0, accepted: 1, refused: 0, timed_out: 0 });
    }

    #[test]
    fn a_message_may_arrive_octet_by_octet_and_be_as_long_as_there_are() {
        let server = server(LIMITS);
        let mut client = server.connect();
        client.set_nodelay(true).expect("an open connection");
        for octet in framed(b"in small pieces") {
            client.write_all(&[octet]).expect("an open connection");
        }
        assert_eq!(read_message(&mut client)[8..], *b"in small pieces");
        // The echo puts eight octets before it.
        let longest = vec![b'x'; 65_535 - 8];
        client.write_all(&framed(&longest)).expect("an open connection");
        assert_eq!(read_message(&mut client).len(), 65_535);
    }

    #[test]
    fn a_client_that_shut_down_its_side_still_gets_all_answers() {
        let server = server(LIMITS);
        let mut client = server.connect();
        let pipeline: Vec<u8> = (0..100).flat_map(|_| framed(LONG)).collect();
        client.write_all(&pipeline).expect("an open connection");
        client.shutdown(Shutdown::Write).expect("an open connection");
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).expect("an orderly end");
        assert_eq!(answers.len(), 100 * (2 + 60_000));
    }

    #[test]
    fn a_beginning_of_a_query_does_not_keep_a_connection_open() {
        let idle = Duration::from_millis(300);
        let server = server(TcpLimits { idle, ..LIMITS });
        let mut client = server.connect();
        let begun = Instant::now();
        client.write_all(&[0, 200]).expect("an open connection");
        client.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout above zero");
        // An octet each 50 ms: it would take ten seconds until the message is whole.
        let end = loop {
            if let Ok(len) = client.read(&mut [0]) {
                break len;
            }
            if client.write_all(&[0]).is_err() {
                break 0;
            }
        };
        assert_eq!(end, 0);
        assert!((idle..10 * idle).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        assert_eq!(server.stop().connections, ConnectionTotals { open: 0, accepted: 1, refused: 0, timed_out: 1 });
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up() {
        let server = server(TcpLimits { idle: Duration::from_millis(300), ..LIMITS });
        let mut client = server.connect();
        client.set_write_timeout(Some(PATIENT)).expect("a timeout above zero");
        let pipeline: Vec<u8> = (0..1000).flat_map(|_| framed(LONG)).collect();
        // 60 MB of answers fit in no socket. The write itself may fail when the server has closed by then.
        let _ = client.write_all(&pipeline);
        let _ = client.read_to_end(&mut Vec::new());
        assert_eq!(server.stop().connections, ConnectionTotals { open: 0, accepted: 1, refused: 0, timed_out: 1 });
    }

    #[test]
    fn an_empty_message_ends_the_connection_after_the_answers_before_it() {
        let server = server(LIMITS);
        let mut client = server.connect();
        client.write_all(&[framed(&query(1)), vec![0, 0], framed(&query(2))].concat()).expect("an open connection");
        assert_eq!(read_message(&mut client)[8..], query(1));
        assert!(is_closed(&mut client));
        drop(client);
        assert_eq!(server.stop().queries, 1);
    }

    #[test]
    fn what_cannot_be_answered_leaves_a_gap_and_not_the_connection() {
        let server = server(LIMITS);
        let mut client = server.connect();
        client.write_all(&[framed(PANIC), framed(b"short"), framed(&query(3))].concat()).expect("an open connection");
        assert_eq!(read_message(&mut client)[8..], query(3));
        drop(client);
        let totals = server.stop();
        assert_eq!((totals.queries, totals.panics, totals.answers_total()), (3, 1, 1));
    }

    #[test]
    fn connections_beyond_a_limit_are_closed_at_once_and_places_are_given_back() {
        let server = server(TcpLimits { connections: 2, ..LIMITS });
        let mut inside = [server.connect(), server.connect()];
        for client in &mut inside {
            client.write_all(&framed(&query(1))).expect("an open connection");
            read_message(client);
        }
        assert!(is_closed(&mut server.connect()));
        drop(inside);
        // The server learns of the closed connections in its own time, so ask until it has.
        let begun = Instant::now();
        let answered = || {
            let mut client = server.connect();
            client.write_all(&framed(&query(2))).is_ok() && client.read_exact(&mut [0; 2]).is_ok()
        };
        while !answered() {
            assert!(begun.elapsed() < PATIENT, "the places were not given back");
        }
        assert!(server.stop().connections.refused >= 1);
    }

    #[test]
    fn what_has_arrived_is_answered_before_a_stop_and_the_connection_ends_in_order() {
        let server = server(LIMITS);
        let mut client = server.connect();
        client.write_all(&framed(&query(1))).expect("an open connection");
        read_message(&mut client);
        let mut late = server.connect();
        late.write_all(&framed(&query(2))).expect("an open connection");
        let stopping = thread::spawn(move || server.stop());
        assert_eq!(read_message(&mut late)[8..], query(2));
        assert!(is_closed(&mut client) && is_closed(&mut late));
        drop((client, late));
        let totals = stopping.join().expect("a server that stops");
        assert_eq!((totals.queries, totals.connections.accepted), (2, 2));
    }

    /// Makes the server stall: what it is asked for is more than sockets take.
    fn stalled(server: &Server, queries: usize) -> Client {
        let mut client = server.connect();
        client.write_all(&framed(LONG).repeat(queries)).expect("an open connection");
        read_message(&mut client);
        client
    }

    #[test]
    fn a_stop_lets_a_client_that_reads_slowly_have_all_answers() {
        let server = server(LIMITS);
        let mut client = stalled(&server, 500);
        let stopping = thread::spawn(move || server.stop());
        for _ in 1..500 {
            assert_eq!(read_message(&mut client).len(), 60_000);
        }
        assert!(is_closed(&mut client));
        drop(client);
        assert_eq!(stopping.join().expect("a server that stops").answers_total(), 500);
    }

    #[test]
    fn a_stop_waits_for_nobody_beyond_its_deadline() {
        let server = server(LIMITS);
        let _client = stalled(&server, 1000);
        let (begun, grace) = (Instant::now(), Duration::from_millis(300));
        server.signal.stop_by(begun + grace);
        server.thread.join().expect("a worker that does not panic");
        assert!((grace..PATIENT).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_query_that_nobody_has_accepted_yet_is_answered_after_the_stop_signal() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut client = Client::connect(listener.local_addr().expect("a bound socket")).expect("a listening server");
        client.write_all(&framed(&query(1))).expect("an open connection");
        let (signal, stopping) = stop_signal();
        signal.stop_by(Instant::now() + PATIENT);
        let desk = Desk::new(Echo::default(), CounterBoard::new().hand_out(Transport::Tcp));
        let worker = thread::spawn(move || Post::new(listener).expect("a poll").serve(desk, &Admission::new(LIMITS), &stopping));
        assert_eq!(read_message(&mut client)[8..], query(1));
        assert!(is_closed(&mut client));
        drop(client);
        worker.join().expect("a worker that does not panic");
    }

    #[test]
    fn a_stop_does_not_wait_for_long_for_those_who_say_nothing() {
        let server = server(LIMITS);
        let mut silent = server.connect();
        server.signal.stop_by(Instant::now() + PATIENT);
        assert!(is_closed(&mut silent));
        drop(silent);
        server.thread.join().expect("a worker that does not panic");
    }

    //--- The worker, turn by turn

    /// A worker on this thread, that does what it is told.
    struct Scene {
        worker: Worker<Echo>,
        addr: SocketAddr,
        board: CounterBoard,
    }

    fn scene(limits: TcpLimits) -> Scene {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        let board = CounterBoard::new();
        let desk = Desk::new(Echo::default(), board.hand_out(Transport::Tcp));
        let worker = Worker::new(Post::new(listener).expect("a poll"), desk, Admission::new(limits));
        Scene { worker, addr, board }
    }

    impl Scene {
        /// A connection with a query on its way.
        fn asking(&self) -> Client {
            let mut client = Client::connect(self.addr).expect("a listening server");
            client.set_read_timeout(Some(PATIENT)).expect("a timeout above zero");
            client.write_all(&framed(&query(0))).expect("an open connection");
            client
        }

        /// A connection that has asked, and been answered.
        fn inside(&mut self) -> Client {
            let (mut client, before) = (self.asking(), self.totals().queries);
            self.turn_until(|scene| scene.totals().queries > before);
            read_message(&mut client);
            client
        }

        fn turn(&mut self) {
            self.worker.turn(self.worker.now + LOOK_UP);
        }

        fn turn_until(&mut self, condition: impl Fn(&Scene) -> bool) {
            let begun = Instant::now();
            while !condition(self) {
                assert!(begun.elapsed() < PATIENT, "it does not come about: {:?}", self.totals());
                self.turn();
            }
        }

        /// Lets the time pass without a turn, and closes who is late then.
        fn wait_to(&mut self, now: Instant) {
            self.worker.now = now;
            self.worker.give_up_late();
        }

        fn totals(&self) -> TransportTotals {
            self.board.totals().of(Transport::Tcp).clone()
        }
    }

    #[test]
    fn a_long_pipeline_does_not_make_others_wait_for_its_end() {
        let mut scene = scene(LIMITS);
        let (mut long, mut short) = (scene.inside(), scene.inside());
        let pipeline = framed(&query(1)).repeat(5000);
        let sender = thread::spawn(move || {
            let _ = long.write_all(&pipeline);
            long
        });
        scene.turn_until(|scene| scene.totals().queries > 2);
        short.write_all(&framed(&query(2))).expect("an open connection");
        short.set_nonblocking(true).expect("an open connection");
        scene.turn_until(|_| short.peek(&mut [0]).is_ok());
        let queries = scene.totals().queries;
        assert!(queries < 5000, "the other was answered after {queries} queries");
        scene.turn_until(|scene| scene.totals().queries == 5003);
        drop(sender.join());
    }

    #[test]
    fn a_flood_of_connections_is_accepted_in_parts_and_those_inside_are_answered_in_between() {
        let mut scene = scene(LIMITS);
        let mut inside = scene.inside();
        let mut flood: Vec<Client> = (0..=2 * ACCEPTS).map(|_| scene.asking()).collect();
        inside.write_all(&framed(&query(1))).expect("an open connection");
        for accepted in [ACCEPTS, 2 * ACCEPTS] {
            scene.turn();
            assert_eq!(scene.totals().connections.accepted, 1 + accepted as u64);
            assert_eq!(scene.worker.door, Door::Knocked);
        }
        assert_eq!(read_message(&mut inside)[8..], query(1));
        scene.turn();
        assert_eq!(scene.worker.door, Door::Quiet, "no accept in vain");
        for client in &mut flood {
            assert_eq!(read_message(client)[8..], query(0));
        }
    }

    #[test]
    fn a_shortage_shuts_the_door_for_a_while_and_nobody_inside_notices() {
        let mut scene = scene(LIMITS);
        let mut inside = scene.inside();
        scene.worker.fail_to_accept(&io::Error::from_raw_os_error(libc::EMFILE));
        let Door::Shut(until) = scene.worker.door else { panic!("{:?}", scene.worker.door) };
        let mut outside = scene.asking();
        inside.write_all(&framed(&query(1))).expect("an open connection");
        scene.worker.wait(until);
        scene.worker.accept_some();
        assert_eq!((scene.worker.door, scene.worker.seats.len()), (Door::Shut(until), 1));
        scene.worker.go_on();
        assert_eq!(read_message(&mut inside)[8..], query(1));
        scene.turn_until(|scene| scene.worker.seats.len() == 2);
        assert!(scene.worker.now >= until, "before the pause was over");
        assert_eq!((read_message(&mut outside)[8..].to_vec(), scene.totals().receive_errors), (query(0), 1));
    }

    #[test]
    fn whoever_has_connected_before_a_stop_may_ask_after_it() {
        let mut scene = scene(LIMITS);
        let _known = scene.inside();
        let mut new = Client::connect(scene.addr).expect("a listening server");
        new.set_read_timeout(Some(PATIENT)).expect("a timeout above zero");
        let Scene { worker, board, .. } = &mut scene;
        let answer = thread::scope(|scope| {
            let asking = scope.spawn(|| {
                // It is the stop that lets the connection in: nothing else does anything here.
                while board.totals().of(Transport::Tcp).connections.accepted < 2 {
                    thread::yield_now();
                }
                new.write_all(&framed(&query(1))).expect("an open connection");
                read_message(&mut new)
            });
            worker.finish(Instant::now() + PATIENT);
            asking.join().expect("an answer")
        });
        assert_eq!(answer[8..], query(1));
    }

    #[test]
    fn an_idle_connection_is_closed_at_its_deadline_and_not_before() {
        let mut scene = scene(LIMITS);
        let mut client = scene.inside();
        let accepted = scene.worker.now;
        scene.turn();
        client.write_all(&framed(&query(1))).expect("an open connection");
        scene.turn_until(|scene| scene.totals().queries == 2);
        let asked = scene.worker.now;
        assert!(accepted < asked);
        // The alarm is still that of the first query; whoever it calls is looked at once more.
        scene.wait_to(accepted + PATIENT);
        assert_eq!((scene.worker.seats.len(), scene.worker.alarms.next()), (1, Some(asked + PATIENT)));
        scene.wait_to(asked + PATIENT);
        assert_eq!(scene.totals().connections, ConnectionTotals { open: 0, accepted: 1, refused: 0, timed_out: 1 });
        read_message(&mut client);
        assert!(is_closed(&mut client));
    }

    #[test]
    fn a_limit_that_a_reload_made_shorter_holds_also_in_a_seat_that_had_a_longer_one() {
        let mut scene = scene(LIMITS);
        drop(scene.inside());
        scene.turn_until(|scene| scene.worker.seats.is_empty());
        scene.worker.admission.limit(TcpLimits { idle: Duration::from_secs(1), ..LIMITS });
        let _hasty = scene.inside();
        scene.wait_to(scene.worker.now + Duration::from_secs(1));
        assert_eq!(scene.totals().connections.timed_out, 1);
    }

    #[test]
    fn a_query_and_the_end_behind_it_are_heard_also_when_the_kernel_reports_them_together() {
        let mut scene = scene(LIMITS);
        let mut client = scene.inside();
        client.write_all(&framed(&query(1))).expect("an open connection");
        client.shutdown(Shutdown::Write).expect("an open connection");
        scene.turn_until(|scene| scene.worker.seats.is_empty());
        assert_eq!(scene.totals().connections, ConnectionTotals { open: 0, accepted: 1, refused: 0, timed_out: 0 });
        assert_eq!(read_message(&mut client)[8..], query(1));
        assert!(is_closed(&mut client));
    }

    #[test]
    fn a_connection_that_is_reset_in_the_middle_of_a_query_leaves_nothing_behind() {
        let mut scene = scene(LIMITS);
        let mut client = scene.inside();
        client.write_all(&framed(&query(1))[..5]).expect("an open connection");
        scene.turn();
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("an open connection");
        drop(client);
        scene.turn_until(|scene| scene.worker.seats.is_empty());
        assert_eq!(scene.totals().connections, ConnectionTotals { open: 0, accepted: 1, refused: 0, timed_out: 0 });
        // The seat is taken again, and the alarm of before does no harm.
        scene.inside();
    }

    #[test]
    fn an_idle_connection_costs_a_seat_and_nothing_else() {
        assert!(size_of::<Seat>() <= 256, "{}", size_of::<Seat>());
        let mut scene = scene(LIMITS);
        let clients: Vec<Client> = (0..10).map(|_| scene.inside()).collect();
        assert_eq!((scene.worker.seats.len(), scene.worker.ready.len()), (clients.len(), 0));
    }
}
