//! Datagrams in, datagrams out: all that a UDP worker knows of the network.
//!
//! A [`PacketIo`] receives some datagrams at once, shows each to a closure that may write an answer, and sends the
//! answers to where the queries came from, from the address that was asked. It owns all buffers; nothing is allocated
//! after it was made. Knows no DNS: bytes and addresses only.
//!
//! [`OneByOne`] is the portable implementation, a datagram a turn; `packet_batch` is the fast one, for Linux.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Moves datagrams between a socket and a worker.
pub trait PacketIo: Sized {
    /// Sets the options of a bound socket. Done at bind time, so that what a system cannot do is known before it serves.
    ///
    /// # Errors
    /// The system refuses an option, or this implementation cannot serve such an address.
    fn configure(socket: &UdpSocket) -> io::Result<()>;

    /// Takes over a configured socket and allocates the buffers.
    fn new(socket: UdpSocket) -> Self;

    /// Receives some datagrams and says how many; 0 when none came in time. Forgets those of the call before.
    ///
    /// # Errors
    /// The system's. What one peer can cause (a port unreachable, an interrupted call) is 0 datagrams, not an error.
    fn receive(&mut self, patience: Patience) -> io::Result<usize>;

    /// The datagrams received: the place of each in the batch, its source, and its first [`QUERY_MAX`] octets.
    fn queries(&self) -> impl Iterator<Item = (usize, IpAddr, &[u8])>;

    /// Shows each datagram received to `answer`: its place, its source, its first [`QUERY_MAX`] octets, and room for
    /// [`ANSWER_MAX`] octets of answer. `Some(len)` queues the first `len` of them, `None` sends nothing.
    fn answer_each(&mut self, answer: impl FnMut(usize, IpAddr, &[u8], &mut [u8]) -> Option<usize>);

    /// Has the kernel give what comes from now on to the other sockets of the address. What waits here stays, and can be answered.
    fn leave(&mut self);

    /// Sends what was queued. Never waits: an answer the kernel has no room for is lost, as the network could lose it.
    fn send(&mut self) -> Sent;
}

/// What to do when no datagram is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// Wait up to [`WAIT`].
    Wait,
    /// Come back at once.
    Never,
}

/// What became of the queued answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Handed to the kernel.
    pub sent: usize,
    /// Not taken by the kernel: no room, no route, a source that cannot be answered.
    pub lost: usize,
}

/// The longest query that is taken whole; a longer one is cut. Four times the largest size that resolvers send over UDP.
pub const QUERY_MAX: usize = 4096;

/// Room for an answer: what we announce as our largest UDP payload.
pub const ANSWER_MAX: usize = crate::answer::UDP_PAYLOAD_MAX;

/// How long a worker sleeps at most when nothing comes. Bounds how late it notices that it shall stop, and how long it
/// holds an outdated `Live` while idle; four wake-ups a second cost nothing.
pub const WAIT: Duration = Duration::from_millis(250);

/// What a failed send says about the other answers of the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SendFailure {
    /// A signal came: the same call again.
    Interrupted,
    /// No room in the kernel: the others would meet the same.
    NoRoom,
    /// The interface takes no packet of this size.
    TooLong,
    /// This answer only.
    ThisAnswer,
}

impl SendFailure {
    pub(super) fn of(error: &io::Error) -> SendFailure {
        match error.kind() {
            io::ErrorKind::Interrupted => SendFailure::Interrupted,
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => SendFailure::NoRoom,
            _ if error.raw_os_error() == Some(libc::ENOBUFS) => SendFailure::NoRoom,
            _ if error.raw_os_error() == Some(libc::EMSGSIZE) => SendFailure::TooLong,
            _ => SendFailure::ThisAnswer,
        }
    }
}

/// Turns errors that say nothing about the socket itself into "no datagram".
///
/// A timeout, a signal, or an ICMP message about an answer we sent earlier: the next call may find a datagram.
pub(super) fn nothing_or_error(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock
        | io::ErrorKind::TimedOut
        | io::ErrorKind::Interrupted
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => Ok(0),
        _ => Err(error),
    }
}

//--- The portable implementation

/// One datagram a turn through the standard library; works everywhere.
///
/// Cannot tell which address a datagram was sent to: it refuses wildcard addresses rather than answer from a wrong one.
#[derive(Debug)]
pub struct OneByOne {
    socket: UdpSocket,
    query: Box<[u8; QUERY_MAX]>,
    answer: Box<[u8; ANSWER_MAX]>,
    /// Length and source of the datagram in `query`, until the next receive.
    received: Option<(usize, SocketAddr)>,
    /// Length of the answer in `answer`, until it is sent.
    queued: Option<usize>,
}

impl PacketIo for OneByOne {
    fn configure(socket: &UdpSocket) -> io::Result<()> {
        if socket.local_addr()?.ip().is_unspecified() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a wildcard address cannot be served on this system; list each address instead",
            ));
        }
        socket.set_read_timeout(Some(WAIT))
    }

    fn new(socket: UdpSocket) -> OneByOne {
        OneByOne { socket, query: Box::new([0; QUERY_MAX]), answer: Box::new([0; ANSWER_MAX]), received: None, queued: None }
    }

    fn receive(&mut self, patience: Patience) -> io::Result<usize> {
        self.received = None;
        self.socket.set_nonblocking(patience == Patience::Never)?;
        let received = self.socket.recv_from(&mut self.query[..]);
        self.socket.set_nonblocking(false)?;
        match received {
            Ok(datagram) => {
                self.received = Some(datagram);
                Ok(1)
            }
            Err(error) => nothing_or_error(error),
        }
    }

    fn queries(&self) -> impl Iterator<Item = (usize, IpAddr, &[u8])> {
        self.received.iter().map(|(len, source)| (0, source.ip(), &self.query[..*len]))
    }

    fn answer_each(&mut self, mut answer: impl FnMut(usize, IpAddr, &[u8], &mut [u8]) -> Option<usize>) {
        let Some((len, source)) = self.received else { return };
        self.queued = answer(0, source.ip(), &self.query[..len], &mut self.answer[..]);
    }

    fn leave(&mut self) {
        // There is no portable way, and no other socket: without batches there is one worker for an address.
    }

    fn send(&mut self) -> Sent {
        let (Some(len), Some((_, to))) = (self.queued.take(), self.received) else { return Sent::default() };
        loop {
            match self.socket.send_to(&self.answer[..len], to) {
                Ok(_) => return Sent { sent: 1, lost: 0 },
                Err(error) if SendFailure::of(&error) == SendFailure::Interrupted => {}
                Err(_) => return Sent { sent: 0, lost: 1 },
            }
        }
    }
}

/// What every implementation must do; each runs all of it.
#[cfg(test)]
pub(super) mod promises {
    use super::*;

    /// An implementation on a free port of `addr`, and the address.
    pub fn serving<P: PacketIo>(addr: &str) -> (P, SocketAddr) {
        let socket = UdpSocket::bind((addr, 0)).expect("a free port");
        P::configure(&socket).expect("options that this system knows");
        let bound = socket.local_addr().expect("a bound socket");
        (P::new(socket), bound)
    }

    /// A client that gives up rather than hang.
    pub fn client(addr: &str) -> UdpSocket {
        let socket = UdpSocket::bind((addr, 0)).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout above zero");
        socket
    }

    /// Serves until `count` datagrams were shown; answers each with its own octets, cut to the room, in reverse.
    pub fn mirror<P: PacketIo>(packets: &mut P, count: usize) -> Vec<(IpAddr, usize)> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let received = packets.receive(Patience::Wait).expect("a healthy socket");
            let before = seen.len();
            let announced: Vec<_> = packets.queries().map(|(place, source, query)| (place, source, query.to_vec())).collect();
            assert_eq!(announced.len(), received, "each datagram is announced once");
            let mut announced = announced.into_iter();
            packets.answer_each(|place, source, query, answer| {
                assert_eq!(announced.next(), Some((place, source, query.to_vec())), "and shown at the same place");
                seen.push((source, query.len()));
                let len = query.len().min(answer.len());
                answer[..len].copy_from_slice(&query[..len]);
                answer[..len].reverse();
                Some(len)
            });
            assert_eq!(seen.len() - before, received, "each datagram is shown once");
            assert_eq!(packets.send(), Sent { sent: received, lost: 0 });
        }
        seen
    }

    pub fn every_datagram_of_many_is_answered_to_its_sender<P: PacketIo>() {
        let (mut packets, to) = serving::<P>("127.0.0.1");
        let clients: Vec<_> = (0..50u8).map(|n| (n, client("127.0.0.1"))).collect();
        for (n, client) in &clients {
            client.send_to(&[1, 2, *n], to).expect("room in the socket");
        }
        mirror(&mut packets, clients.len());
        for (n, client) in &clients {
            let mut answer = [0; 16];
            let (len, from) = client.recv_from(&mut answer).expect("an answer");
            assert_eq!((&answer[..len], from), (&[*n, 2, 1][..], to));
        }
    }

    pub fn an_empty_datagram_is_shown_and_may_be_left_unanswered<P: PacketIo>() {
        let (mut packets, to) = serving::<P>("127.0.0.1");
        let client = client("127.0.0.1");
        client.send_to(&[], to).expect("room in the socket");
        while packets.receive(Patience::Wait).expect("a healthy socket") == 0 {}
        let mut lengths = Vec::new();
        packets.answer_each(|_, _, query, _| {
            lengths.push(query.len());
            None
        });
        assert_eq!(lengths, [0]);
        assert_eq!(packets.send(), Sent::default());
    }

    pub fn a_datagram_is_cut_at_the_longest_query_and_one_of_that_length_is_not<P: PacketIo>() {
        let (mut packets, to) = serving::<P>("127.0.0.1");
        let client = client("127.0.0.1");
        for len in [QUERY_MAX, QUERY_MAX + 1, 60_000] {
            client.send_to(&vec![7; len], to).expect("room in the socket");
        }
        let seen: Vec<_> = mirror(&mut packets, 3).into_iter().map(|(_, len)| len).collect();
        assert_eq!(seen, [QUERY_MAX; 3]);
        let mut answer = [0; 2 * ANSWER_MAX];
        assert_eq!(client.recv(&mut answer).expect("an answer"), ANSWER_MAX);
    }

    pub fn a_client_that_went_away_does_not_stop_the_socket<P: PacketIo>() {
        let (mut packets, to) = serving::<P>("127.0.0.1");
        for _ in 0..3 {
            // The answers find a closed port, and the kernel gets "port unreachable" for them.
            client("127.0.0.1").send_to(&[1], to).expect("room in the socket");
            mirror(&mut packets, 1);
        }
        let client = client("127.0.0.1");
        client.send_to(&[1, 2], to).expect("room in the socket");
        mirror(&mut packets, 1);
        assert_eq!(client.recv(&mut [0; 16]).expect("an answer"), 2);
    }

    pub fn the_impatient_do_not_wait_and_the_patient_come_back<P: PacketIo>() {
        let (mut packets, _) = serving::<P>("127.0.0.1");
        assert_eq!(packets.receive(Patience::Never).expect("a healthy socket"), 0);
        assert_eq!(packets.receive(Patience::Wait).expect("a healthy socket"), 0);
        packets.answer_each(|_, _, _, _| panic!("there is nothing to show"));
        assert_eq!(packets.send(), Sent::default());
    }

    pub fn v6_is_served_as_v4<P: PacketIo>() {
        let (mut packets, to) = serving::<P>("::1");
        let client = client("::1");
        client.send_to(&[1, 2], to).expect("room in the socket");
        assert_eq!(mirror(&mut packets, 1), [(to.ip(), 2)]);
        let (len, from) = client.recv_from(&mut [0; 16]).expect("an answer");
        assert_eq!((len, from), (2, to));
    }

    /// Makes a test of each promise for one implementation.
    macro_rules! keeps_the_promises {
        ($implementation:ty) => {
            $crate::io::packet::promises::keeps_the_promises!($implementation:
                every_datagram_of_many_is_answered_to_its_sender
                an_empty_datagram_is_shown_and_may_be_left_unanswered
                a_datagram_is_cut_at_the_longest_query_and_one_of_that_length_is_not
                a_client_that_went_away_does_not_stop_the_socket
                the_impatient_do_not_wait_and_the_patient_come_back
                v6_is_served_as_v4
            );
        };
        ($implementation:ty: $($promise:ident)+) => {
            $(#[test] fn $promise() { $crate::io::packet::promises::$promise::<$implementation>(); })+
        };
    }
    pub(crate) use keeps_the_promises;
}

#[cfg(test)]
mod tests {
    use super::*;

    promises::keeps_the_promises!(OneByOne);

    #[test]
    fn a_wildcard_address_is_refused_where_the_source_cannot_be_kept() {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
        let refusal = OneByOne::configure(&socket).expect_err("no way to answer from the address asked");
        assert_eq!(refusal.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn a_full_kernel_ends_the_batch_and_an_unreachable_client_does_not() {
        let failure = |code| SendFailure::of(&io::Error::from_raw_os_error(code));
        assert_eq!(failure(libc::EINTR), SendFailure::Interrupted);
        assert_eq!([failure(libc::EAGAIN), failure(libc::ENOBUFS), failure(libc::ENOMEM)], [SendFailure::NoRoom; 3]);
        assert_eq!(failure(libc::EMSGSIZE), SendFailure::TooLong);
        assert_eq!([failure(libc::EINVAL), failure(libc::ENETUNREACH), failure(libc::EPERM)], [SendFailure::ThisAnswer; 3]);
    }

    #[test]
    fn only_errors_of_the_socket_itself_are_errors() {
        let errors = |code| nothing_or_error(io::Error::from_raw_os_error(code)).is_err();
        for code in [libc::EAGAIN, libc::EINTR, libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH] {
            assert!(!errors(code), "{code}");
        }
        assert!(errors(libc::EBADF) && errors(libc::ENOTSOCK) && errors(libc::ENOMEM));
    }
}
