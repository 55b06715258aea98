//! The ceiling: turns each query into an answer with one fixed address record and does nothing else.
//!
//! What a server costs above this is its own work; the rest is the kernel's. UDP: `recvmmsg` and `sendmmsg`, 16 at a
//! time, into the buffer the query came in, without path MTU look-ups: no other way over kernel sockets was found to be
//! faster when every client has its own port. TCP: one loop, all that one read brought is answered by one write.

use crate::load::Loopback;
use crate::query::HEADER;
use crate::system::{self, Addressed, Batch, Readiness, Wait};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;

/// Datagrams a system call: 16 to 32 were the best, 4 and 128 are 2 % worse.
const BATCH: usize = 16;

/// Room asked of the kernel for the socket's queues.
const SOCKET_ROOM: i32 = 8 << 20;

/// The answer section: the name at the question, A, IN, TTL 60, 192.0.2.1.
const ANSWER: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];

/// The token of the listening socket; streams carry the number of their descriptor, which is never this large.
const LISTENER: u64 = u64::MAX;

/// Answers on one address, over UDP and TCP, for ever.
pub fn run(address: Loopback) -> io::Result<()> {
    let listener = TcpListener::bind(address.0)?;
    let socket = UdpSocket::bind(address.0)?;
    thread::scope(|scope| {
        let streams = scope.spawn(|| reflect_streams(&listener));
        reflect_datagrams(&socket)?;
        streams.join().expect("the loop does not panic")
    })
}

/// Makes the query in the first `length` octets an answer: QR, AA, one record behind the question, the rest (OPT) behind
/// it. The length of the answer; none when it was no query.
fn reflect(message: &mut [u8], length: usize) -> Option<usize> {
    let mut at = HEADER;
    while *message[..length].get(at)? != 0 {
        at += usize::from(message[at]) + 1;
    }
    let end = at + 5; // the root label, type and class
    let answer = length + ANSWER.len();
    if end > length || answer > message.len() {
        return None;
    }
    message[2] |= 0x84;
    message[7] = 1;
    message.copy_within(end..length, end + ANSWER.len());
    message[end..end + ANSWER.len()].copy_from_slice(&ANSWER);
    Some(answer)
}

fn reflect_datagrams(socket: &UdpSocket) -> io::Result<()> {
    system::widen(socket, SOCKET_ROOM);
    system::omit_path_mtu(socket)?;
    let mut batch = Batch::new(BATCH);
    loop {
        let count = batch.receive(socket, Wait::ForOne)?;
        for index in 0..count {
            let (message, length) = batch.slot(index);
            // What is no query goes back as it came: this is a probe between friends.
            *length = reflect(message, *length).unwrap_or(*length);
        }
        batch.send(socket, count, Addressed::Each)?;
    }
}

fn reflect_streams(listener: &TcpListener) -> io::Result<()> {
    let readiness = Readiness::new()?;
    readiness.watch(listener, LISTENER)?;
    let (mut streams, mut tokens, mut piece) = (HashMap::new(), Vec::new(), vec![0; 1 << 16]);
    loop {
        readiness.wait(&mut tokens);
        for token in &tokens {
            let token = if *token == LISTENER { accept(listener, &readiness, &mut streams)? } else { *token };
            let Some(stream) = streams.get_mut(&token) else { continue };
            // Right after accepting too: the query is often there already.
            if !stream.answer(&mut piece) {
                streams.remove(&token);
            }
        }
    }
}

fn accept(listener: &TcpListener, readiness: &Readiness, streams: &mut HashMap<u64, Stream>) -> io::Result<u64> {
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let token = u64::try_from(stream.as_raw_fd()).expect("descriptors are not negative");
    readiness.watch(&stream, token)?;
    streams.insert(token, Stream { socket: stream, received: Vec::new(), out: Vec::new() });
    Ok(token)
}

/// One connection.
struct Stream {
    socket: TcpStream,
    /// Octets that are no whole query yet.
    received: Vec<u8>,
    /// Answers that the kernel has not taken; they leave with the next ones.
    out: Vec<u8>,
}

impl Stream {
    /// Answers all that one read brings with one write; whether the connection is still good.
    fn answer(&mut self, piece: &mut [u8]) -> bool {
        let count = match self.socket.read(piece) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        self.received.extend_from_slice(&piece[..count]);
        let mut at = 0;
        while let Some(query) = whole(&self.received[at..]) {
            at += 2 + query.len();
            reflect_framed(query, &mut self.out);
        }
        self.received.drain(..at);
        match self.socket.write(&self.out) {
            Ok(count) => drop(self.out.drain(..count)),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
        true
    }
}

/// The query at the front of what was received; none while it is not whole.
fn whole(received: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes(*received.first_chunk()?);
    received.get(2..2 + usize::from(length))
}

fn reflect_framed(query: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(query);
    out.extend_from_slice(&[0; ANSWER.len()]);
    let length = reflect(&mut out[at + 2..], query.len()).unwrap_or(query.len());
    // With the record it may be longer than a message can be: then there is no answer.
    let Ok(framed) = u16::try_from(length) else { return out.truncate(at) };
    out.truncate(at + 2 + length);
    out[at..at + 2].copy_from_slice(&framed.to_be_bytes());
}

/// A reflector for a test, for as long as the process lives.
#[cfg(test)]
pub fn in_background() -> Loopback {
    use std::net::{Ipv4Addr, SocketAddrV4};
    // The listening socket is taken here, so that nobody connects before it is there.
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, system::free_port().expect("a port is free"));
    let (listener, socket) = (TcpListener::bind(address).expect("the port is free"), UdpSocket::bind(address).expect("the port is free"));
    thread::spawn(move || reflect_streams(&listener));
    thread::spawn(move || reflect_datagrams(&socket));
    Loopback(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Qtype, Query};
    use crate::tally::Tally;

    #[test]
    fn a_reflected_query_is_an_answer_to_it() {
        let query = Query::new("h0001.example.com", Qtype::A, Some("192.0.2.0/24".parse().unwrap())).unwrap();
        let mut message = query.message.clone();
        message.resize(512, 0);
        let length = reflect(&mut message, query.message.len()).unwrap();
        let mut tally = Tally::default();
        assert!(tally.count(&message[..length], &query));
        assert_eq!((tally.records, length), (1, query.message.len() + ANSWER.len()));
        assert!(message[..length].ends_with(&query.message[HEADER + query.question..]));
    }

    #[test]
    fn a_message_that_ends_within_its_question_is_not_touched() {
        let query = Query::new("h0001.example.com", Qtype::A, None).unwrap();
        for length in 0..HEADER + query.question {
            let mut message = query.message.clone();
            message.resize(512, 0);
            assert_eq!(reflect(&mut message, length), None, "{length}");
        }
    }
}
