//! Datagrams by the batch: `recvmmsg` and `sendmmsg`, two system calls for up to 32 queries. Linux only.
//!
//! On a wildcard address the kernel tells with each datagram which address it was sent to (IP_PKTINFO, RFC 3542 section
//! 6.1); the answer carries it back, so that it leaves from the address asked. Answers are never fragmented by path MTU
//! lore: IP_PMTUDISC_OMIT ignores it, since anybody can forge an ICMP message.
//!
//! The only unsafe code of the program: three system calls on buffers that live as long as the batch.
#![allow(unsafe_code, reason = "recvmmsg and sendmmsg have no safe form")]
#![allow(clippy::cast_possible_truncation, reason = "the sizes of our own small buffers, as the C types of each libc want them")]

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
    /// Headers of answers: the first `queued` are valid.
    outgoing: Vec<libc::mmsghdr>,
    /// How many slots hold a datagram.
    received: usize,
    /// How many answers wait to be sent.
    queued: usize,
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

/// Room for the larger of the two, with its header and padding.
const CONTROL: usize = 64;

/// Where the payload of the first control message begins.
const CONTROL_PAYLOAD: usize = size_of::<libc::cmsghdr>().next_multiple_of(size_of::<usize>());

const _: () = assert!(CONTROL_PAYLOAD + size_of::<libc::in6_pktinfo>().next_multiple_of(size_of::<usize>()) <= CONTROL);

impl PacketIo for Batch {
    fn configure(socket: &UdpSocket) -> io::Result<()> {
        socket.set_read_timeout(Some(WAIT))?;
        let ip = socket.local_addr()?.ip();
        let (level, discover, omit, packet_info) = match ip {
            IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT, libc::IP_PKTINFO),
            IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT, libc::IPV6_RECVPKTINFO),
        };
        set_option(socket, level, discover, omit)?;
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
        let mut batch = Batch { socket, wildcard, slots, incoming, outgoing: vec![empty_header(); BATCH], received: BATCH, queued: 0 };
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

    fn answer_each(&mut self, mut answer: impl FnMut(IpAddr, &[u8], &mut [u8]) -> Option<usize>) {
        for index in 0..self.received {
            let slot = &mut self.slots[index];
            let Some(source) = slot.source.ip() else { continue };
            let len = (self.incoming[index].msg_len as usize).min(QUERY_MAX);
            if let Some(len) = answer(source, &slot.query[..len], &mut slot.answer) {
                self.queue(index, len);
            }
        }
    }

    fn send(&mut self) -> Sent {
        let mut done = Sent::default();
        while done.sent + done.lost < self.queued {
            let at = done.sent + done.lost;
            let waiting = &mut self.outgoing[at..self.queued];
            // Never waits, or one slow interface would stop the worker; BATCH is the most there can be.
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // SAFETY: `waiting` holds headers that `queue` filled from slots of this batch: address, control and answer
            // buffers with their true lengths, which the kernel only reads.
            let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), waiting.as_mut_ptr(), waiting.len() as libc::c_uint, flags as _) };
            match usize::try_from(sent) {
                Ok(sent) => done.sent += sent,
                Err(_) => match SendFailure::of(&io::Error::last_os_error()) {
                    SendFailure::Interrupted => {}
                    SendFailure::NoRoom => done.lost = self.queued - done.sent,
                    SendFailure::ThisAnswer => done.lost += 1,
                },
            }
        }
        self.queued = 0;
        done
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

    /// Queues the first `len` octets of a slot's answer, back to where its query came from.
    fn queue(&mut self, index: usize, len: usize) {
        let incoming = self.incoming[index].msg_hdr;
        let slot = &mut self.slots[index];
        slot.control.answer_from_the_address_asked(incoming.msg_controllen as _);
        slot.answer_vec.iov_len = len.min(ANSWER_MAX);
        let base = self.slots.as_mut_ptr();
        let outgoing = &mut self.outgoing[self.queued].msg_hdr;
        outgoing.msg_name = incoming.msg_name;
        outgoing.msg_namelen = incoming.msg_namelen;
        outgoing.msg_control = incoming.msg_control;
        outgoing.msg_controllen = incoming.msg_controllen;
        outgoing.msg_iovlen = 1;
        // SAFETY: the loop over datagrams keeps `index` below BATCH, the length of `slots`.
        outgoing.msg_iov = unsafe { &raw mut (*base.add(index)).answer_vec };
        self.queued += 1;
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
        batch.answer_each(|_, _, _| Some(5));
        assert_eq!(batch.send(), Sent { sent: 2, lost: 1 });
        for answered in [&clients[0], &clients[2]] {
            assert_eq!(answered.recv(&mut [0; 16]).expect("an answer"), 5);
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
