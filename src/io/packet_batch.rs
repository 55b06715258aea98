//! Datagrams by the batch: `recvmmsg` and `sendmmsg`, two system calls for up to 32 queries. Linux only.
//!
//! Neighbouring answers of one size that go the same way leave as one *train*: one message to the kernel, which cuts it
//! into datagrams late (UDP_SEGMENT, Linux 4.18). That costs nothing when it does not apply, and is two to three times as fast
//! when it does: forwarders and load balancers ask many questions from one socket.
//!
//! On a wildcard address the kernel tells with each datagram which address it was sent to (IP_PKTINFO, RFC 3542 section
//! 6.1); the answer carries it back, so that it leaves from the address asked.
//!
//! Answers are not fragmented, but where an interface takes less than our largest: they are small enough for any sane path, and what the kernel believes of the path's MTU is
//! ignored, since anybody can forge the ICMP message it comes from. IPv4 packets say so themselves by their DF bit (RFC 9715
//! section 3.1), which IP_PMTUDISC_PROBE sets; it also saves the kernel the choice of an identification for each (RFC 6864
//! section 4.1), a fortieth of what an answer costs. IPv6 routers never fragment; IPV6_PMTUDISC_OMIT ignores the lore.
//!
//! Unsafe code: three system calls on buffers that live as long as the batch.
#![allow(unsafe_code, reason = "recvmmsg and sendmmsg have no safe form")]
#![allow(clippy::cast_possible_truncation, reason = "the sizes of our own small buffers, as the C types of each libc want them")]
#![allow(clippy::unnecessary_cast, reason = "the C types of lengths differ between libcs")]

use super::packet::{ANSWER_MAX, PacketIo, Patience, QUERY_MAX, SendFailure, Sent, WAIT, nothing_or_error};
use std::io;
use std::mem::{offset_of, size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

/// Datagrams a system call. Beyond 16 the gain is small, and at 32 all buffers still fit a second-level cache.
const BATCH: usize = 32;

/// A socket with room for [`BATCH`] queries and as many answers.
///
/// Made in the thread that uses it: it is full of pointers to itself, and so stays where it was born.
#[derive(Debug)]
pub struct Batch {
    socket: UdpSocket,
    /// Whether datagrams come with the address that they were sent to.
    wildcard: bool,
    /// The buffers. Never grows, so that the pointers in the headers stay true.
    slots: Vec<Slot>,
    /// One header per slot, pointing into it.
    incoming: Vec<libc::mmsghdr>,
    /// Headers of messages to be sent, made from the queue for each call.
    outgoing: Vec<libc::mmsghdr>,
    /// How many slots hold a datagram.
    received: usize,
    /// Slots whose answers wait to be sent, in order.
    queue: Vec<usize>,
    /// The answer of each queued slot: what trains are made of.
    answers: Vec<libc::iovec>,
    /// Whether trains leave this socket.
    trains: Trains,
    /// Whether the kernel may fragment answers.
    fragments: bool,
}

/// What is known of trains on this socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trains {
    /// They leave.
    Run,
    /// One was refused: answers before this place in the queue are sent one by one. If that works, it was the train's fault.
    Doubted {
        /// The end of the train that was refused.
        until: usize,
    },
    /// This kernel or device does not take them.
    Refused,
}

/// A query, its answer, and where they travel. The odd length of it all keeps the slots from sharing cache sets.
#[derive(Debug)]
#[repr(C)]
struct Slot {
    source: Address,
    control: Control,
    query_vec: libc::iovec,
    answer_vec: libc::iovec,
    query: [u8; QUERY_MAX],
    answer: [u8; ANSWER_MAX],
}

/// A `sockaddr_in` or `sockaddr_in6` as the kernel writes it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Address([u8; size_of::<libc::sockaddr_in6>()]);

/// One control message with an `in_pktinfo` or `in6_pktinfo`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Room for the larger of the two and for the size of a train's answers, each with its header and padding.
const CONTROL: usize = 64;

/// Where the payload of the first control message begins.
const CONTROL_PAYLOAD: usize = size_of::<libc::cmsghdr>().next_multiple_of(size_of::<usize>());

/// What the control message with the size of a train's answers takes, padding included.
const SEGMENT_CONTROL: usize = CONTROL_PAYLOAD + size_of::<u16>().next_multiple_of(size_of::<usize>());

const _: () = assert!(CONTROL_PAYLOAD + size_of::<libc::in6_pktinfo>().next_multiple_of(size_of::<usize>()) + SEGMENT_CONTROL <= CONTROL);
// The kernel cuts a message into at most 64 datagrams, and a message has at most 65,507 octets.
const _: () = assert!(BATCH <= 64 && BATCH * ANSWER_MAX <= 65_507);

impl PacketIo for Batch {
    fn configure(socket: &UdpSocket) -> io::Result<()> {
        socket.set_read_timeout(Some(WAIT))?;
        let ip = socket.local_addr()?.ip();
        let (level, discover, how, packet_info) = match ip {
            IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE, libc::IP_PKTINFO),
            IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT, libc::IPV6_RECVPKTINFO),
        };
        set_option(socket, level, discover, how)?;
        if ip.is_unspecified() {
            set_option(socket, level, packet_info, 1)?;
        }
        Ok(())
    }

    fn new(socket: UdpSocket) -> Batch {
        let wildcard = socket.local_addr().is_ok_and(|addr| addr.ip().is_unspecified());
        let mut slots: Vec<Slot> = (0..BATCH).map(|_| Slot::empty()).collect();
        let base = slots.as_mut_ptr();
        // SAFETY: `index` is below the length of `slots`, so that each pointer lies inside it.
        let incoming = (0..BATCH).map(|index| unsafe { incoming_header(base.add(index)) }).collect();
        let outgoing = vec![empty_header(); BATCH];
        let (queue, answers) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let mut batch =
            Batch { socket, wildcard, slots, incoming, outgoing, received: BATCH, queue, answers, trains: Trains::Run, fragments: false };
        batch.forget_received();
        batch
    }

    fn receive(&mut self, patience: Patience) -> io::Result<usize> {
        self.forget_received();
        let flags = match patience {
            Patience::Wait => libc::MSG_WAITFORONE,
            Patience::Never => libc::MSG_DONTWAIT,
        };
        // SAFETY: `incoming` holds BATCH headers; each points at the address, control and query buffers of its own slot
        // (made in `new`), with their true lengths (set by `forget_received`). The slots are owned by `self`, are never
        // moved or freed before it, and nothing borrows them during the call.
        let received =
            unsafe { libc::recvmmsg(self.socket.as_raw_fd(), self.incoming.as_mut_ptr(), BATCH as libc::c_uint, flags as _, null_mut()) };
        match usize::try_from(received) {
            Ok(received) => {
                self.received = received;
                Ok(received)
            }
            Err(_) => nothing_or_error(io::Error::last_os_error()),
        }
    }

    fn queries(&self) -> impl Iterator<Item = (usize, IpAddr, &[u8])> {
        (0..self.received).filter_map(|index| {
            let slot = &self.slots[index];
            Some((index, slot.source.ip()?, &slot.query[..self.query_len(index)]))
        })
    }

    fn answer_each(&mut self, mut answer: impl FnMut(usize, IpAddr, &[u8], &mut [u8]) -> Option<usize>) {
        for index in 0..self.received {
            let len = self.query_len(index);
            let slot = &mut self.slots[index];
            let Some(source) = slot.source.ip() else { continue };
            if let Some(len) = answer(index, source, &slot.query[..len], &mut slot.answer) {
                self.queue(index, len);
            }
        }
    }

    /// Connects the socket to itself: of sockets that share an address, Linux chooses for a stranger's datagram only among those
    /// that are not connected (since 5.4), and a connected one may still send anywhere.
    fn leave(&mut self) {
        let Ok(mut own) = self.socket.local_addr() else { return };
        if own.ip().is_unspecified() {
            own.set_ip(if own.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        // Whoever cannot leave may lose what comes between the last look and the end, as on older systems.
        let _ = self.socket.connect(own);
    }

    fn send(&mut self) -> Sent {
        let mut done = Sent::default();
        while done.sent + done.lost < self.queue.len() {
            let at = done.sent + done.lost;
            let messages = self.couple(at);
            match self.send_messages(messages) {
                Ok(answers) => {
                    done.sent += answers;
                    self.trains = self.trains.after_success(at);
                }
                Err(error) => match SendFailure::of(&error) {
                    SendFailure::Interrupted => {}
                    // Once: afterwards the kernel cuts it.
                    SendFailure::TooLong if self.may_be_cut() => {}
                    SendFailure::NoRoom => done.lost = self.queue.len() - done.sent,
                    SendFailure::TooLong | SendFailure::ThisAnswer if self.outgoing[0].msg_hdr.msg_iovlen as usize > 1 => {
                        self.trains = Trains::Doubted { until: at + self.outgoing[0].msg_hdr.msg_iovlen as usize };
                    }
                    SendFailure::TooLong | SendFailure::ThisAnswer => done.lost += 1,
                },
            }
        }
        self.trains = self.trains.after_batch();
        self.queue.clear();
        self.answers.clear();
        done
    }
}

impl Trains {
    /// Answers from `at` on were sent: if they are those of a refused train, one by one, then trains are no good here.
    fn after_success(self, at: usize) -> Trains {
        match self {
            Trains::Doubted { until } if at < until => Trains::Refused,
            Trains::Run | Trains::Doubted { .. } | Trains::Refused => self,
        }
    }

    /// No answer of the refused train could be sent either: it was the client's fault, whom nobody can answer.
    fn after_batch(self) -> Trains {
        match self {
            Trains::Doubted { .. } => Trains::Run,
            Trains::Run | Trains::Refused => self,
        }
    }
}

impl Batch {
    /// Gives the slots of the last receive back to the kernel: it wrote how much of the buffers it used.
    fn forget_received(&mut self) {
        let control = if self.wildcard { CONTROL } else { 0 };
        for header in &mut self.incoming[..self.received] {
            header.msg_hdr.msg_namelen = size_of::<Address>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = control as _;
        }
        self.received = 0;
    }

    /// Lets the kernel fragment answers of this socket from now on, since an interface takes less than our largest answer: a rare
    /// kind of network, in which a fragment is better than nothing. Says whether that is new.
    fn may_be_cut(&mut self) -> bool {
        let is_v4 = self.socket.local_addr().is_ok_and(|addr| addr.is_ipv4());
        let is_new = is_v4 && !std::mem::replace(&mut self.fragments, true);
        is_new && set_option(&self.socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT).is_ok()
    }

    fn query_len(&self, index: usize) -> usize {
        (self.incoming[index].msg_len as usize).min(QUERY_MAX)
    }

    /// Queues the first `len` octets of a slot's answer, back to where its query came from.
    fn queue(&mut self, index: usize, len: usize) {
        let slot = &mut self.slots[index];
        slot.control.answer_from_the_address_asked(self.incoming[index].msg_hdr.msg_controllen as _);
        slot.answer_vec.iov_len = len.min(ANSWER_MAX);
        self.queue.push(index);
        self.answers.push(slot.answer_vec);
    }

    /// Makes messages of the queue from place `at` on, coupling neighbours into trains, and says how many messages.
    fn couple(&mut self, at: usize) -> usize {
        let (mut place, mut messages) = (at, 0);
        while place < self.queue.len() {
            let answers = self.train_len(place);
            self.outgoing[messages].msg_hdr = self.message(place, answers);
            place += answers;
            messages += 1;
        }
        messages
    }

    /// How many answers from `place` on can leave as one message: all of one size, but that the last may be shorter.
    fn train_len(&self, place: usize) -> usize {
        let singly = match self.trains {
            Trains::Run => false,
            Trains::Doubted { until } => place < until,
            Trains::Refused => true,
        };
        let head = self.queue[place];
        let size = self.answers[place].iov_len;
        let mut len = 1;
        while !singly && place + len < self.queue.len() {
            let next = self.answers[place + len].iov_len;
            if next > size || !self.go_the_same_way(head, self.queue[place + len]) {
                break;
            }
            len += 1;
            if next < size {
                break;
            }
        }
        len
    }

    /// Whether the answers of two slots have the same destination and leave from the same address.
    fn go_the_same_way(&self, one: usize, other: usize) -> bool {
        let way = |index: usize| {
            let header = &self.incoming[index].msg_hdr;
            let control_len = (header.msg_controllen as usize).min(CONTROL);
            (
                &self.slots[index].source.0[..(header.msg_namelen as usize).min(size_of::<Address>())],
                &self.slots[index].control.0[..control_len],
            )
        };
        way(one) == way(other)
    }

    /// The message that carries `answers` answers from `place` of the queue on.
    fn message(&mut self, place: usize, answers: usize) -> libc::msghdr {
        let index = self.queue[place];
        let mut message = self.incoming[index].msg_hdr;
        message.msg_flags = 0;
        message.msg_iov = &raw mut self.answers[place];
        message.msg_iovlen = answers as _;
        if answers > 1 {
            let control = &mut self.slots[index].control;
            // The header of the slot keeps the length that the kernel wrote, since a refused train is made anew.
            let len = control.cut_into(self.answers[place].iov_len as u16, message.msg_controllen as usize);
            message.msg_control = (&raw mut *control).cast();
            message.msg_controllen = len as _;
        }
        message
    }

    /// Sends the first `messages` outgoing messages, and says how many answers went with them.
    fn send_messages(&mut self, messages: usize) -> io::Result<usize> {
        let outgoing = &mut self.outgoing[..messages];
        // Never waits, or one slow interface would stop the worker.
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `couple` just made these headers. Each points at the address and control buffers of a slot, and at a
        // run of `answers`, whose entries point at answer buffers of slots; all with their true lengths, all owned by
        // `self`, none moved or freed before the call returns. The kernel only reads them.
        let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), outgoing.as_mut_ptr(), messages as libc::c_uint, flags as _) };
        let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
        Ok(outgoing[..sent].iter().map(|message| message.msg_hdr.msg_iovlen as usize).sum())
    }
}

/// A header for receiving into `slot`; lengths of address and control are not set.
///
/// # Safety
/// `slot` points to a slot that outlives the header. Also points the slot's vectors at its own buffers.
unsafe fn incoming_header(slot: *mut Slot) -> libc::mmsghdr {
    let mut header = empty_header();
    // SAFETY: `slot` is valid; only addresses are taken, and the two vectors written.
    unsafe {
        (*slot).query_vec = libc::iovec { iov_base: (&raw mut (*slot).query).cast(), iov_len: QUERY_MAX };
        (*slot).answer_vec = libc::iovec { iov_base: (&raw mut (*slot).answer).cast(), iov_len: 0 };
        header.msg_hdr.msg_name = (&raw mut (*slot).source).cast();
        header.msg_hdr.msg_control = (&raw mut (*slot).control).cast();
        header.msg_hdr.msg_iov = &raw mut (*slot).query_vec;
    }
    header.msg_hdr.msg_iovlen = 1;
    header
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: null pointers and zero lengths are what an empty header is.
    unsafe { zeroed() }
}

fn set_option(socket: &UdpSocket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of an int that lives through the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size_of::<libc::c_int>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Slot {
    fn empty() -> Slot {
        let nothing = libc::iovec { iov_base: null_mut(), iov_len: 0 };
        Slot { source: Address([0; _]), control: Control([0; _]), query_vec: nothing, answer_vec: nothing, query: [0; _], answer: [0; _] }
    }
}

impl Address {
    /// The IP address; `None` for a family that no socket of ours can receive.
    fn ip(&self) -> Option<IpAddr> {
        let family = libc::c_int::from(u16::from_ne_bytes([self.0[0], self.0[1]]));
        match family {
            libc::AF_INET => Some(Ipv4Addr::from(octets::<4>(&self.0[offset_of!(libc::sockaddr_in, sin_addr)..])).into()),
            libc::AF_INET6 => Some(Ipv6Addr::from(octets::<16>(&self.0[offset_of!(libc::sockaddr_in6, sin6_addr)..])).into()),
            _ => None,
        }
    }
}

impl Control {
    /// Turns "was sent to this address, came in there" into "send from this address, leave where the route says".
    ///
    /// Only a link-local address needs its interface (RFC 4007 section 6); for all others the routing table knows better,
    /// since the way back need not be the way a query came. `len` is what the kernel wrote.
    fn answer_from_the_address_asked(&mut self, len: usize) {
        if len < CONTROL_PAYLOAD {
            return;
        }
        let header_len = usize::from_ne_bytes(octets(&self.0));
        let payload = &mut self.0[CONTROL_PAYLOAD..];
        if header_len >= CONTROL_PAYLOAD + size_of::<libc::in6_pktinfo>() {
            let asked = Ipv6Addr::from(octets::<16>(payload));
            if !asked.is_unicast_link_local() {
                payload[offset_of!(libc::in6_pktinfo, ipi6_ifindex)..][..4].fill(0);
            }
        } else {
            payload[offset_of!(libc::in_pktinfo, ipi_ifindex)..][..4].fill(0);
        }
    }
}

impl Control {
    /// Appends, behind `len` octets of control messages, the size of the datagrams to be cut; returns the length of all.
    fn cut_into(&mut self, size: u16, len: usize) -> usize {
        let start = len.next_multiple_of(size_of::<usize>());
        let header =
            libc::cmsghdr { cmsg_len: (CONTROL_PAYLOAD + size_of::<u16>()) as _, cmsg_level: libc::SOL_UDP, cmsg_type: libc::UDP_SEGMENT };
        let message = &mut self.0[start..start + SEGMENT_CONTROL];
        message.fill(0);
        message[offset_of!(libc::cmsghdr, cmsg_len)..][..size_of_val(&header.cmsg_len)].copy_from_slice(&header.cmsg_len.to_ne_bytes());
        message[offset_of!(libc::cmsghdr, cmsg_level)..][..4].copy_from_slice(&header.cmsg_level.to_ne_bytes());
        message[offset_of!(libc::cmsghdr, cmsg_type)..][..4].copy_from_slice(&header.cmsg_type.to_ne_bytes());
        message[CONTROL_PAYLOAD..][..2].copy_from_slice(&size.to_ne_bytes());
        start + SEGMENT_CONTROL
    }
}

/// The first `N` octets.
fn octets<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("the offsets are those of the C types that the buffers were sized for")
}

#[cfg(test)]
mod tests {
    use super::super::packet::promises::{self, client, mirror};
    use super::*;
    use socket2::{Domain, Protocol, Socket, Type};
    use std::net::SocketAddr;

    promises::keeps_the_promises!(Batch);

    /// A batch on a wildcard address, and its port.
    fn wildcard(addr: IpAddr) -> (Batch, u16) {
        let addr = SocketAddr::new(addr, 0);
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
        if addr.is_ipv6() {
            socket.set_only_v6(true).expect("a fresh socket");
        }
        socket.bind(&addr.into()).expect("a free port");
        let socket = UdpSocket::from(socket);
        Batch::configure(&socket).expect("options that Linux knows");
        let port = socket.local_addr().expect("a bound socket").port();
        (Batch::new(socket), port)
    }

    #[test]
    fn one_of_two_sockets_leaves_with_what_it_has_and_the_other_gets_the_rest() {
        let bound = |addr: SocketAddr| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
            socket.set_reuse_port(true).expect("a fresh socket");
            socket.bind(&addr.into()).expect("a free port, or one of ours");
            let socket = UdpSocket::from(socket);
            Batch::configure(&socket).expect("options that Linux knows");
            socket
        };
        let stays = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
        let to = stays.local_addr().expect("a bound socket");
        let (mut stays, mut leaves) = (Batch::new(stays), Batch::new(bound(to)));
        // Many clients, so that the kernel gives some to each socket.
        let clients: Vec<UdpSocket> = (0..64).map(|_| client("127.0.0.1")).collect();
        let ask = || clients.iter().for_each(|client| assert_eq!(client.send_to(&[1, 2], to).expect("room in the socket"), 2));
        ask();
        leaves.leave();
        let mut answered = 0;
        while let Ok(received @ 1..) = leaves.receive(Patience::Never) {
            leaves.answer_each(|_, _, _, answer| {
                answer[..2].copy_from_slice(&[2, 1]);
                Some(2)
            });
            assert_eq!(leaves.send(), Sent { sent: received, lost: 0 });
            answered += received;
        }
        assert!((1..64).contains(&answered), "{answered} of 64");
        mirror(&mut stays, 64 - answered);
        ask();
        assert_eq!(leaves.receive(Patience::Never).expect("a healthy socket"), 0, "it has left");
        mirror(&mut stays, 64);
        for client in &clients {
            for _ in 0..2 {
                assert_eq!(client.recv(&mut [0; 16]).expect("an answer"), 2);
            }
        }
    }

    #[test]
    fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
        let (mut batch, port) = wildcard(Ipv4Addr::UNSPECIFIED.into());
        let client = client("127.0.0.1");
        // More than once around the batch, so that reused slots are seen too.
        for round in 0..3 * BATCH {
            let asked = SocketAddr::from(([127, 0, 0, 2 + (round % 7) as u8], port));
            client.send_to(&[1, 2], asked).expect("room in the socket");
            mirror(&mut batch, 1);
            let (_, from) = client.recv_from(&mut [0; 16]).expect("an answer");
            assert_eq!(from, asked);
        }
    }

    #[test]
    fn one_batch_may_answer_from_several_addresses() {
        let (mut batch, port) = wildcard(Ipv4Addr::UNSPECIFIED.into());
        let clients: Vec<_> = (1..=20u8).map(|n| (SocketAddr::from(([127, 0, 0, n], port)), client("127.0.0.1"))).collect();
        for (asked, client) in &clients {
            client.send_to(&[1], asked).expect("room in the socket");
        }
        mirror(&mut batch, clients.len());
        for (asked, client) in &clients {
            assert_eq!(client.recv_from(&mut [0; 16]).expect("an answer").1, *asked);
        }
    }

    #[test]
    fn a_wildcard_v6_socket_answers_from_the_address_that_was_asked() {
        let (mut batch, port) = wildcard(Ipv6Addr::UNSPECIFIED.into());
        let client = client("::1");
        let asked = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        client.send_to(&[1, 2], asked).expect("room in the socket");
        mirror(&mut batch, 1);
        assert_eq!(client.recv_from(&mut [0; 16]).expect("an answer").1, asked);
    }

    #[test]
    fn datagrams_that_wait_together_come_in_one_batch() {
        let (mut batch, to) = promises::serving::<Batch>("127.0.0.1");
        let client = client("127.0.0.1");
        for _ in 0..=BATCH {
            client.send_to(&[1], to).expect("room in the socket");
        }
        assert_eq!(batch.receive(Patience::Wait).expect("a healthy socket"), BATCH);
        assert_eq!(batch.receive(Patience::Wait).expect("a healthy socket"), 1);
    }

    #[test]
    fn an_answer_that_cannot_be_sent_costs_no_other_answer() {
        let (mut batch, to) = promises::serving::<Batch>("127.0.0.1");
        let clients = [client("127.0.0.1"), client("127.0.0.1"), client("127.0.0.1")];
        for client in &clients {
            client.send_to(&[1], to).expect("room in the socket");
        }
        assert_eq!(batch.receive(Patience::Wait).expect("a healthy socket"), 3);
        // Port 0 is nobody's: the kernel refuses to send there.
        batch.slots[1].source.0[2..4].fill(0);
        batch.answer_each(|_, _, _, _| Some(5));
        assert_eq!(batch.send(), Sent { sent: 2, lost: 1 });
        for answered in [&clients[0], &clients[2]] {
            assert_eq!(answered.recv(&mut [0; 16]).expect("an answer"), 5);
        }
    }

    /// A batch that has received one query of each client, in this order, and answers the `n`th with `sizes[n]` octets.
    fn answering(clients: &[&UdpSocket], sizes: &[usize]) -> Batch {
        let (mut batch, to) = promises::serving::<Batch>("127.0.0.1");
        for client in clients {
            client.send_to(&[1], to).expect("room in the socket");
        }
        assert_eq!(batch.receive(Patience::Wait).expect("a healthy socket"), clients.len());
        let mut sizes = sizes.iter();
        batch.answer_each(|_, _, _, _| sizes.next().copied());
        batch
    }

    #[test]
    fn answers_of_one_size_to_one_client_leave_as_one_train() {
        let (a, b) = (client("127.0.0.1"), client("127.0.0.1"));
        for (clients, sizes, messages) in [
            (vec![&a; 32], vec![60; 32], 1),
            (vec![&a; 4], vec![60, 60, 50, 60], 2),
            (vec![&a; 4], vec![60, 50, 50, 50], 2),
            (vec![&a; 3], vec![50, 60, 60], 2),
            (vec![&a, &b, &a, &b], vec![60; 4], 4),
            (vec![&a, &a, &b, &b], vec![60; 4], 2),
            (vec![&a], vec![60], 1),
        ] {
            let mut batch = answering(&clients, &sizes);
            assert_eq!(batch.couple(0), messages, "{sizes:?}");
            assert_eq!(batch.send(), Sent { sent: sizes.len(), lost: 0 }, "{sizes:?}");
            for (client, size) in clients.iter().zip(&sizes) {
                assert_eq!(client.recv(&mut [0; 128]).expect("an answer"), *size, "{sizes:?}");
            }
        }
    }

    #[test]
    fn a_train_on_a_wildcard_socket_leaves_from_the_address_that_was_asked() {
        for (unspecified, asked) in
            [(IpAddr::from(Ipv4Addr::UNSPECIFIED), ["127.0.0.2", "127.0.0.3"]), (Ipv6Addr::UNSPECIFIED.into(), ["::1"; 2])]
        {
            let (mut batch, port) = wildcard(unspecified);
            let client = client(if unspecified.is_ipv4() { "127.0.0.1" } else { "::1" });
            let asked: Vec<SocketAddr> =
                asked.iter().flat_map(|ip| vec![SocketAddr::new(ip.parse().expect("an address"), port); 5]).collect();
            for asked in &asked {
                client.send_to(&[1], asked).expect("room in the socket");
            }
            mirror(&mut batch, asked.len());
            for asked in &asked {
                assert_eq!(client.recv_from(&mut [0; 16]).expect("an answer").1, *asked);
            }
            assert_eq!(batch.trains, Trains::Run);
        }
    }

    #[test]
    fn where_trains_are_refused_all_answers_leave_one_by_one_and_no_more_are_tried() {
        let client = client("127.0.0.1");
        let mut batch = answering(&[&client; 5], &[60; 5]);
        // Without checksums Linux cuts no datagrams.
        set_option(&batch.socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).expect("an option that Linux knows");
        assert_eq!(batch.send(), Sent { sent: 5, lost: 0 });
        assert_eq!(batch.trains, Trains::Refused);
        for _ in 0..5 {
            assert_eq!(client.recv(&mut [0; 128]).expect("an answer"), 60);
        }
    }

    #[test]
    fn a_client_that_cannot_be_answered_does_not_end_trains_for_others() {
        let (lost, answered) = (client("127.0.0.1"), client("127.0.0.1"));
        let mut batch = answering(&[&lost, &lost, &answered, &answered], &[60; 4]);
        for slot in &mut batch.slots[..2] {
            slot.source.0[2..4].fill(0);
        }
        assert_eq!(batch.send(), Sent { sent: 2, lost: 2 });
        assert_eq!(batch.trains, Trains::Run);
        assert_eq!(answered.recv(&mut [0; 128]).expect("an answer"), 60);
    }

    #[test]
    fn no_answer_is_fragmented_on_the_way_whatever_is_said_of_the_path() {
        for (addr, level, name, how) in [
            ("127.0.0.1", libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
            ("::1", libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
        ] {
            let (batch, _) = promises::serving::<Batch>(addr);
            let (mut value, mut len): (libc::c_int, _) = (-1, size_of::<libc::c_int>() as libc::socklen_t);
            // SAFETY: the pointers are those of an int and of its length, which live through the call.
            let result = unsafe { libc::getsockopt(batch.socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len) };
            assert_eq!((result, value), (0, how), "{addr}");
        }
    }

    #[test]
    fn only_a_link_local_answer_is_bound_to_the_interface() {
        let len = CONTROL_PAYLOAD + size_of::<libc::in6_pktinfo>();
        for (asked, kept) in [("fe80::1", true), ("2001:db8::1", false)] {
            let mut control = Control([0; _]);
            control.0[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
            control.0[CONTROL_PAYLOAD..][..16].copy_from_slice(&asked.parse::<Ipv6Addr>().expect("an address").octets());
            control.0[CONTROL_PAYLOAD + 16..][..4].copy_from_slice(&7u32.to_ne_bytes());
            control.answer_from_the_address_asked(len.next_multiple_of(8));
            let interface = u32::from_ne_bytes(octets(&control.0[CONTROL_PAYLOAD + 16..]));
            assert_eq!(interface, if kept { 7 } else { 0 }, "{asked}");
        }
    }
}
