//! Load over TCP: a connection for each query, or connections that are kept, with one or many queries under way on each.
//!
//! Messages are framed by two octets of length (RFC 1035 section 4.2.2). Answers on one connection may come in any order
//! (RFC 7766 section 7). Connections come from many loopback addresses, so that the ports of closed ones do not run out
//! and no server's limit for one client is met.

use crate::load::{Loopback, Outcome, PATIENCE, Shuffle, source};
use crate::query::Query;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// The longest message, with its length.
const MESSAGE_MAX: usize = 2 + 65_535;

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// One query each, by this many clients at a time.
    OneQuery {
        /// Clients, a thread each.
        clients: usize,
    },
    /// Kept open, each with this many queries under way.
    Kept {
        /// How many are open.
        connections: usize,
        /// Queries under way on each, 1 to 65536.
        depth: usize,
    },
}

/// A load over TCP.
#[derive(Clone, Copy, Debug)]
pub struct TcpLoad {
    /// Who is asked.
    pub server: Loopback,
    /// How connections are used.
    pub connections: Use,
    /// The same seed asks the same queries in the same order.
    pub seed: u64,
}

/// A connection that is kept is opened before anything is measured. Longer than the second after which a kernel tries
/// again: a server with a short queue of new connections drops some of 64 that come at once.
const OPENING: Duration = Duration::from_secs(5);

/// The clients of a load.
pub enum Generator<'a> {
    /// They connect for every query.
    OneQuery(OneQuery<'a>),
    /// They are connected.
    Kept(Kept<'a>),
}

impl<'a> Generator<'a> {
    /// Opens the connections that are kept; fails where one is refused.
    pub fn connect(load: &TcpLoad, queries: &'a [Query]) -> io::Result<Generator<'a>> {
        Ok(match load.connections {
            Use::OneQuery { clients } => Generator::OneQuery(OneQuery { server: load.server.0, queries, clients, seed: load.seed }),
            Use::Kept { connections, depth } => Generator::Kept(Kept::connect(load, queries, connections, depth)?),
        })
    }

    /// Loads the server for this long. Fails when it closes a kept connection, or falls silent.
    pub fn run(&mut self, time: Duration) -> io::Result<Outcome> {
        match self {
            Generator::OneQuery(clients) => Ok(clients.run(time)),
            Generator::Kept(connections) => connections.run(time),
        }
    }
}

fn connect(server: SocketAddrV4, index: usize, patience: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddrV4::new(source(index), 0).into())?;
    socket.connect_timeout(&server.into(), patience)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

fn push_framed(out: &mut Vec<u8>, message: &[u8], id: u16) {
    out.extend_from_slice(&u16::try_from(message.len()).expect("queries are short").to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&message[2..]);
}

/// The message at the front of what was received; none while it is not whole.
fn framed(received: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes(*received.first_chunk()?);
    received.get(2..2 + usize::from(length))
}

//--- A connection for each query

/// Clients that connect for every query.
pub struct OneQuery<'a> {
    server: SocketAddrV4,
    queries: &'a [Query],
    clients: usize,
    seed: u64,
}

impl OneQuery<'_> {
    fn run(&self, time: Duration) -> Outcome {
        let mut all = Outcome::default();
        thread::scope(|scope| {
            let running: Vec<_> = (0..self.clients).map(|index| scope.spawn(move || self.run_client(index, time))).collect();
            for client in running {
                all.merge(&client.join().expect("a client does not panic"));
            }
        });
        all
    }

    fn run_client(&self, index: usize, time: Duration) -> Outcome {
        let mut shuffle = Shuffle::new(self.queries, self.seed + index as u64);
        let (mut outcome, start) = (Outcome::default(), Instant::now());
        // Clients take turns at the sources without ever sharing one: 16 each.
        for turn in 0.. {
            let begun = start.elapsed();
            if begun >= time {
                outcome.elapsed = begun;
                break;
            }
            let query = &self.queries[shuffle.draw() as usize];
            outcome.tally.sent += 1;
            match ask_once(self.server, index * 16 + turn % 16, query) {
                Ok(message) if outcome.tally.count(&message, query) => {
                    outcome.latency.add(nanoseconds(start.elapsed().saturating_sub(begun)));
                }
                Ok(_) => {}
                Err(_) => outcome.tally.lost += 1,
            }
        }
        outcome
    }
}

/// Connects, asks, reads the answer, closes.
fn ask_once(server: SocketAddrV4, client: usize, query: &Query) -> io::Result<Vec<u8>> {
    let mut stream = connect(server, client, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut out = Vec::with_capacity(query.message.len() + 2);
    push_framed(&mut out, &query.message, 0);
    stream.write_all(&out)?;
    let mut received = Vec::with_capacity(512);
    let mut piece = [0; 4096];
    loop {
        if let Some(message) = framed(&received) {
            return Ok(message.to_vec());
        }
        match stream.read(&mut piece)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => received.extend_from_slice(&piece[..count]),
        }
    }
}

//--- Connections that are kept

/// All kept connections of a load. Their queries under way outlast a run: the next one takes the answers.
pub struct Kept<'a> {
    /// Since when the times of queries under way count.
    start: Instant,
    queries: &'a [Query],
    shuffle: Shuffle,
    connections: Vec<Connection>,
    /// What one read brings.
    piece: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// Framed queries that the kernel has not taken.
    out: Vec<u8>,
    /// Octets that are no whole message yet.
    received: Vec<u8>,
    /// By id: when the query was sent, in nanoseconds since [`Kept::start`], and its index; none when the id is free.
    under_way: Vec<Option<(u64, u32)>>,
    /// Ids that are free.
    free: Vec<u16>,
}

impl<'a> Kept<'a> {
    fn connect(load: &TcpLoad, queries: &'a [Query], connections: usize, depth: usize) -> io::Result<Kept<'a>> {
        let connections: io::Result<_> = (0..connections).map(|index| Connection::open(load.server.0, index, depth)).collect();
        Ok(Kept {
            start: Instant::now(),
            queries,
            shuffle: Shuffle::new(queries, load.seed),
            connections: connections?,
            piece: vec![0; 2 * MESSAGE_MAX],
        })
    }

    fn run(&mut self, time: Duration) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        let begun = self.start.elapsed();
        let (mut last, mut last_answer, mut was_idle) = (begun, begun, false);
        loop {
            let now = self.start.elapsed();
            if was_idle {
                outcome.idle += now.saturating_sub(last);
            }
            if now >= begun + time {
                outcome.elapsed = now.saturating_sub(begun);
                return Ok(outcome);
            }
            if now.saturating_sub(last_answer) > PATIENCE * 2 {
                return Err(io::Error::new(ErrorKind::TimedOut, "no answer on any connection for a second"));
            }
            last = now;
            let before = outcome.tally.answered;
            was_idle = !self.turn(&mut outcome)?;
            if outcome.tally.answered > before {
                last_answer = now;
            }
        }
    }

    /// Sends and receives what can be; whether there was anything.
    fn turn(&mut self, outcome: &mut Outcome) -> io::Result<bool> {
        let mut any = false;
        for connection in &mut self.connections {
            any |= connection.send(self.queries, &mut self.shuffle, nanoseconds(self.start.elapsed()), outcome)?;
            any |= connection.receive(self.queries, &mut self.piece, self.start, outcome)?;
        }
        Ok(any)
    }
}

impl Connection {
    fn open(server: SocketAddrV4, index: usize, depth: usize) -> io::Result<Connection> {
        let stream = connect(server, index, OPENING)?;
        stream.set_nonblocking(true)?;
        let free = (0..=u16::MAX).take(depth).collect();
        Ok(Connection { stream, out: Vec::new(), received: Vec::new(), under_way: vec![None; depth], free })
    }

    /// Asks with all free ids; whether there was anything to send.
    fn send(&mut self, queries: &[Query], shuffle: &mut Shuffle, now: u64, outcome: &mut Outcome) -> io::Result<bool> {
        while let Some(id) = self.free.pop() {
            let query = shuffle.draw();
            push_framed(&mut self.out, &queries[query as usize].message, id);
            self.under_way[usize::from(id)] = Some((now, query));
            outcome.tally.sent += 1;
        }
        if self.out.is_empty() {
            return Ok(false);
        }
        match self.stream.write(&self.out) {
            Ok(count) => drop(self.out.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Takes what has come; whether there was anything.
    fn receive(&mut self, queries: &[Query], piece: &mut [u8], start: Instant, outcome: &mut Outcome) -> io::Result<bool> {
        let count = match self.stream.read(piece) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed a connection with queries under way")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        self.received.extend_from_slice(&piece[..count]);
        let (mut at, now) = (0, nanoseconds(start.elapsed()));
        let received = std::mem::take(&mut self.received);
        while let Some(message) = framed(&received[at..]) {
            at += 2 + message.len();
            self.take(message, queries, now, outcome);
        }
        self.received = received;
        self.received.drain(..at);
        Ok(true)
    }

    /// Checks and counts one message.
    fn take(&mut self, message: &[u8], queries: &[Query], now: u64, outcome: &mut Outcome) {
        let id = message.first_chunk().map_or(u16::MAX, |octets| u16::from_be_bytes(*octets));
        let Some((since, query)) = self.under_way.get_mut(usize::from(id)).and_then(Option::take) else {
            outcome.tally.bad += 1;
            return;
        };
        if outcome.tally.count(message, &queries[query as usize]) {
            outcome.latency.add(now.saturating_sub(since));
        }
        self.free.push(id);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a run is shorter than 500 years")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Qtype;
    use crate::reflect;

    #[test]
    fn every_way_to_use_connections_brings_right_answers() {
        let queries: Vec<_> = (0..20).map(|host| Query::new(&format!("h{host}.example.com"), Qtype::A, None).unwrap()).collect();
        let server = reflect::in_background();
        let ways = [Use::OneQuery { clients: 2 }, Use::Kept { connections: 3, depth: 1 }, Use::Kept { connections: 2, depth: 32 }];
        for connections in ways {
            let mut generator = Generator::connect(&TcpLoad { server, connections, seed: 1 }, &queries).unwrap();
            for _ in 0..2 {
                let tally = generator.run(Duration::from_millis(200)).unwrap().tally;
                assert!(tally.answered > 0, "{connections:?} {tally:?}");
                assert_eq!((tally.bad, tally.records), (0, tally.answered), "{connections:?} {tally:?}");
            }
        }
    }

    #[test]
    fn a_message_is_taken_when_it_is_whole() {
        assert_eq!(framed(&[]), None);
        assert_eq!(framed(&[0]), None);
        assert_eq!(framed(&[0, 3, 1, 2]), None);
        assert_eq!(framed(&[0, 3, 1, 2, 3, 0]), Some(&[1, 2, 3][..]));
    }

    #[test]
    fn a_framed_query_carries_its_id() {
        let mut out = Vec::new();
        push_framed(&mut out, &[0, 0, 7, 8], 0x0102);
        assert_eq!(out, [0, 4, 1, 2, 7, 8]);
    }
}
