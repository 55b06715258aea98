//! DNS over TCP (RFC 7766): messages behind their length, many in flight, answered in order.
//!
//! Whatever one read brings is answered by one write. A connection ends when the client has said everything (it may
//! shut down its side first and still gets all answers), when no whole query came for the idle time (the beginning of a
//! query does not count), when answers could not be written for as long, at a message of length zero, or in peace when
//! the worker stops. An idle connection holds no buffers.

use super::desk::Engine;
use super::stream::{Buffers, Caller, Conversation, Ending, FRAME_MAX, Worker};
use crate::answer::Transport;
use socket2::SockRef;
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};

/// DNS as it is, in the clear.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl<E: Engine> Conversation<E> for Plain {
    const TRANSPORT: Transport = Transport::Tcp;

    async fn hold(self, stream: TcpStream, caller: Caller, worker: Rc<Worker<E>>) -> Ending {
        let talk = Talk { stream, caller, worker, inbox: Vec::new(), outbox: Vec::new(), stopped: false };
        talk.run().await
    }
}

/// One connection.
struct Talk<E> {
    stream: TcpStream,
    caller: Caller,
    worker: Rc<Worker<E>>,
    /// What was read and not answered yet: usually nothing, or the beginning of a message.
    inbox: Vec<u8>,
    /// Answers that the socket had no room for; nothing is read before they are gone.
    outbox: Vec<u8>,
    /// Whether the worker was told to stop: only what has arrived by now is answered.
    stopped: bool,
}

/// What is left in the inbox when no more can be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    /// Nothing, or not all of a message.
    Partial,
    /// Whole messages; the output buffer was full.
    Whole,
    /// A message without a single octet: this is no DNS.
    Malformed,
}

/// Why a connection should end.
#[derive(Debug)]
enum End {
    /// The peer is gone, or has said everything and got everything.
    Peer,
    /// It was too slow.
    Time,
    /// We end it; answers may still be on their way.
    Ours,
}

impl<E: Engine> Talk<E> {
    async fn run(mut self) -> Ending {
        match self.converse().await {
            End::Peer => Ending::Done,
            End::Time => Ending::TimedOut,
            End::Ours => {
                farewell(self.stream).await;
                Ending::Done
            }
        }
    }

    async fn converse(&mut self) -> End {
        let mut deadline = Instant::now() + self.caller.idle;
        loop {
            let Ok((messages, rest)) = self.answer() else { return End::Peer };
            if messages > 0 {
                deadline = Instant::now() + self.caller.idle;
            }
            if let Err(end) = self.write(deadline).await {
                return end;
            }
            match rest {
                Rest::Malformed => return End::Ours,
                // One client's long pipeline must not starve the others of this thread.
                Rest::Whole => yield_now().await,
                Rest::Partial => {
                    if let Err(end) = self.read(deadline).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Answers the whole messages of the inbox, as far as the output buffer goes, and writes at once what the socket
    /// takes; the rest goes to the outbox. Says how many messages there were, and what follows them.
    fn answer(&mut self) -> io::Result<(usize, Rest)> {
        let mut desk = self.worker.desk.borrow_mut();
        let Buffers { output, .. } = &mut *self.worker.buffers.borrow_mut();
        desk.refresh();
        let (mut messages, mut read, mut written) = (0, 0, 0);
        let rest = loop {
            let query = match next_message(&self.inbox[read..]) {
                Ok(query) => query,
                Err(rest) => break rest,
            };
            if output.len() - written < FRAME_MAX {
                break Rest::Whole;
            }
            let (length, room) = output[written..written + FRAME_MAX].split_at_mut(2);
            if let Some(len) = desk.answer(&self.caller.client, query, room) {
                length.copy_from_slice(&u16::try_from(len).expect("the room is 65,535 octets").to_be_bytes());
                written += 2 + len;
            }
            messages += 1;
            read += 2 + query.len();
        };
        drop_front(&mut self.inbox, read);
        let sent = write_some(&self.stream, &output[..written])?;
        self.outbox.extend_from_slice(&output[sent..written]);
        Ok((messages, rest))
    }

    /// Writes what is left in the outbox.
    async fn write(&mut self, deadline: Instant) -> Result<(), End> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let written = timeout_at(deadline, self.stream.write_all(&self.outbox)).await;
        self.outbox = Vec::new();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Peer),
            Err(_) => Err(End::Time),
        }
    }

    /// Waits for something to read and puts it into the inbox.
    async fn read(&mut self, deadline: Instant) -> Result<(), End> {
        loop {
            if !self.stopped {
                tokio::select! {
                    biased;
                    readable = timeout_at(deadline, self.stream.readable()) => match readable {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Err(End::Peer),
                        Err(_) => return Err(End::Time),
                    },
                    () = self.caller.stopping.signalled() => self.stopped = true,
                }
            }
            let input = &mut self.worker.buffers.borrow_mut().input;
            match read_some(&self.stream, input, self.stopped) {
                Ok(0) => return Err(End::Peer),
                Ok(len) => {
                    self.inbox.extend_from_slice(&input[..len]);
                    return Ok(());
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(End::Peer),
                Err(_) if self.stopped => return Err(End::Ours),
                // Readiness may be a false alarm.
                Err(_) => {}
            }
        }
    }
}

/// The first message, without its length; or why there is none.
fn next_message(bytes: &[u8]) -> Result<&[u8], Rest> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Err(Rest::Partial) };
    match usize::from(u16::from_be_bytes(*length)) {
        0 => Err(Rest::Malformed),
        len => rest.get(..len).ok_or(Rest::Partial),
    }
}

/// Removes what was used, and the memory when nothing is left: a connection may idle for long after a large message.
fn drop_front(inbox: &mut Vec<u8>, used: usize) {
    if used == inbox.len() {
        *inbox = Vec::new();
    } else {
        inbox.drain(..used);
    }
}

/// Reads what the socket has right now. `for_certain` asks the kernel even when the runtime has not heard of anything:
/// before a connection is closed, or what has just arrived would be lost.
fn read_some(stream: &TcpStream, input: &mut [u8], for_certain: bool) -> io::Result<usize> {
    if for_certain { (&*SockRef::from(stream)).read(input) } else { stream.try_read(input) }
}

/// Writes what the socket takes right now.
fn write_some(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match stream.try_write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// Ends a connection so that the answers on their way arrive.
///
/// Closing a socket while octets of the peer are unread makes the kernel reset the connection, and a reset destroys
/// what the peer has not read yet. So say that we are done, and listen until the peer is.
async fn farewell(mut stream: TcpStream) {
    let listen = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut ignored = [0; 1024];
        while stream.read(&mut ignored).await.is_ok_and(|len| len > 0) {}
    };
    // Late or not, the connection is closed when it is dropped.
    let _ = timeout(FAREWELL, listen).await;
}

/// A round trip around the world and a lost packet; who needs longer has been answered long ago.
const FAREWELL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::super::admission::Admission;
    use super::super::counters::{ConnectionTotals, CounterBoard, TransportTotals};
    use super::super::desk::Desk;
    use super::super::desk::fake::{Echo, LONG, PANIC};
    use super::super::stop::{StopSignal, stop_signal};
    use super::super::stream::Post;
    use super::*;
    use crate::snapshot::TcpLimits;
    use std::io::Write;
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream as Client};
    use std::sync::Arc;
    use std::thread::{self, JoinHandle};

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
        let post = Post::new(listener).expect("a runtime");
        let thread = thread::spawn(move || post.serve(&Plain, desk, &Admission::new(limits), stopping));
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
            self.signal.stop_by(std::time::Instant::now() + PATIENT);
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
        let begun = std::time::Instant::now();
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
        let begun = std::time::Instant::now();
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

    #[test]
    fn a_query_that_nobody_has_accepted_yet_is_answered_after_the_stop_signal() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut client = Client::connect(listener.local_addr().expect("a bound socket")).expect("a listening server");
        client.write_all(&framed(&query(1))).expect("an open connection");
        let (signal, stopping) = stop_signal();
        signal.stop_by(std::time::Instant::now() + PATIENT);
        let desk = Desk::new(Echo::default(), CounterBoard::new().hand_out(Transport::Tcp));
        let worker = thread::spawn(move || Post::new(listener).expect("a runtime").serve(&Plain, desk, &Admission::new(LIMITS), stopping));
        assert_eq!(read_message(&mut client)[8..], query(1));
        assert!(is_closed(&mut client));
        drop(client);
        worker.join().expect("a worker that does not panic");
    }

    #[test]
    fn lengths_are_read_at_both_sides_of_every_limit() {
        assert_eq!(next_message(&[]), Err(Rest::Partial));
        assert_eq!(next_message(&[0]), Err(Rest::Partial));
        assert_eq!(next_message(&[0, 0, 1]), Err(Rest::Malformed));
        assert_eq!(next_message(&[0, 1]), Err(Rest::Partial));
        assert_eq!(next_message(&[0, 1, 9, 8]), Ok(&[9][..]));
        assert_eq!(next_message(&[0, 2, 9]), Err(Rest::Partial));
    }
}
