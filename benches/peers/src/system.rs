//! The door to the kernel: every system call that std and socket2 lack, in a safe form.
//!
//! Datagrams travel in a [`Batch`], by `recvmmsg` and `sendmmsg`; a *train* is one send of many datagrams of equal size,
//! which the kernel cuts apart (UDP_SEGMENT, Linux 4.18). Knows no DNS.
//!
//! The only unsafe code of the package. Pointers are written into the headers immediately before each call and not
//! used after it, so that nothing here outlives the borrow it came from.
#![allow(unsafe_code, reason = "these system calls have no safe form")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes of our own small buffers, as the C types want them")]

use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::null_mut;
use std::thread;
use std::time::Duration;

//--- Datagrams

/// Room for one datagram in a [`Batch`]. A query with every option is below 600 octets, an answer over loopback below this too.
pub const DATAGRAM_MAX: usize = 2048;

/// Datagrams that cross into the kernel together, with the addresses they came from.
pub struct Batch {
    buffers: Box<[[u8; DATAGRAM_MAX]]>,
    /// Octets in use of each buffer.
    lengths: Box<[usize]>,
    /// Where each datagram came from, and goes to when the socket is not connected.
    addresses: Box<[libc::sockaddr_in]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

/// What a receive does when nothing is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Returns 0.
    No,
    /// Sleeps until the first datagram comes, then takes what is there.
    ForOne,
}

/// Whether datagrams carry an address, or the socket knows its only peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Addressed {
    /// Each goes back to where the one in the same buffer came from.
    Each,
    /// The socket is connected.
    Connected,
}

impl Batch {
    /// Room for `size` datagrams, 1 or more.
    pub fn new(size: usize) -> Batch {
        // SAFETY: all three are plain C structs, for which zeros are a valid value.
        let (address, vector, header) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Batch {
            buffers: vec![[0; DATAGRAM_MAX]; size].into(),
            lengths: vec![0; size].into(),
            addresses: vec![address; size].into(),
            vectors: vec![vector; size].into(),
            headers: vec![header; size].into(),
        }
    }

    /// How many datagrams fit.
    pub fn size(&self) -> usize {
        self.buffers.len()
    }

    /// The datagram in a buffer.
    pub fn datagram(&self, index: usize) -> &[u8] {
        &self.buffers[index][..self.lengths[index]]
    }

    /// The whole buffer and the length of the datagram in it, to be written anew.
    pub fn slot(&mut self, index: usize) -> (&mut [u8; DATAGRAM_MAX], &mut usize) {
        (&mut self.buffers[index], &mut self.lengths[index])
    }

    /// Fills the front of the batch; the number of datagrams, 0 when there are none.
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        self.lengths.fill(DATAGRAM_MAX);
        self.point(self.size(), Addressed::Each);
        let flags = match wait {
            Wait::No => libc::MSG_DONTWAIT,
            Wait::ForOne => libc::MSG_WAITFORONE,
        };
        // SAFETY: `point` made every header describe a buffer and an address that live in self, which is borrowed until the call returns.
        let got = unsafe { libc::recvmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), self.size() as u32, flags as _, null_mut()) };
        let Ok(got) = usize::try_from(got) else { return nothing_or_error() };
        for (length, header) in self.lengths.iter_mut().zip(&self.headers[..got]) {
            *length = header.msg_len as usize;
        }
        Ok(got)
    }

    /// Sends the first `count` datagrams; how many the kernel took, 0 when its buffers are full.
    pub fn send(&mut self, socket: &UdpSocket, count: usize, addressed: Addressed) -> io::Result<usize> {
        self.point(count, addressed);
        let mut sent = 0;
        while sent < count {
            // SAFETY: as in `receive`; sent < count <= the number of headers.
            let took = unsafe { libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr().add(sent), (count - sent) as u32, 0) };
            match usize::try_from(took) {
                Ok(took) => sent += took,
                Err(_) if sent > 0 => break,
                Err(_) => return nothing_or_error(),
            }
        }
        Ok(sent)
    }

    /// Makes the first `count` headers describe the buffers with their lengths.
    fn point(&mut self, count: usize, addressed: Addressed) {
        for index in 0..count {
            self.vectors[index] = libc::iovec { iov_base: self.buffers[index].as_mut_ptr().cast(), iov_len: self.lengths[index] };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            if addressed == Addressed::Each {
                header.msg_name = (&raw mut self.addresses[index]).cast();
                header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            }
        }
    }
}

/// Sends `octets` on a connected socket as datagrams of `each` octets. True when the kernel took them; it takes all or none.
pub fn send_train(socket: &UdpSocket, octets: &[u8], each: u16) -> io::Result<bool> {
    let mut control = [0_u64; 3]; // a cmsghdr and the segment size, aligned as the kernel wants it
    let mut vector = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    // SAFETY: the header describes `vector` and `control`, which live until the end; the control buffer has room for one
    // message of two octets (CMSG_SPACE(2) = 24), so that CMSG_FIRSTHDR and CMSG_DATA point into it; sendmsg only reads `octets`.
    let sent = unsafe {
        let mut header: libc::msghdr = zeroed();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(size_of::<u16>() as u32) as _;
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = libc::SOL_UDP;
        (*message).cmsg_type = libc::UDP_SEGMENT;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
        libc::CMSG_DATA(message).cast::<u16>().write_unaligned(each);
        libc::sendmsg(socket.as_raw_fd(), &raw const header, 0)
    };
    if sent > 0 { Ok(true) } else { nothing_or_error().map(|_| false) }
}

/// 0 when the last call failed only for want of data or room; a refusal by the other side of an earlier datagram is no
/// failure of this one either.
fn nothing_or_error() -> io::Result<usize> {
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => Ok(0),
        _ if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(0),
        _ => Err(error),
    }
}

/// Asks for `octets` of room in both of the kernel's queues of a socket; root gets it even above the system's limit.
pub fn widen(socket: &UdpSocket, octets: i32) {
    for (forced, asked) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        if set(socket, libc::SOL_SOCKET, forced, octets).is_err() {
            // Smaller queues lose more at overload, which the count of lost answers shows.
            let _ = set(socket, libc::SOL_SOCKET, asked, octets);
        }
    }
}

/// Sends without asking the route for its path MTU (IP_PMTUDISC_OMIT), which saves 1 to 2 % of a send.
pub fn omit_path_mtu(socket: &UdpSocket) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
}

fn set(socket: &impl AsRawFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the option's value is an int that lives until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size_of::<i32>() as u32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

//--- Readiness

/// Which of many descriptors can be read (epoll).
pub struct Readiness(OwnedFd);

impl Readiness {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Readiness> {
        // SAFETY: the call takes no pointer; a descriptor that is not negative is new and nobody else's.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: see above.
        Ok(Readiness(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Watches a descriptor until it is closed; `token` comes back from [`Readiness::wait`].
    pub fn watch(&self, descriptor: &impl AsRawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: `event` lives until the call returns.
        let result = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor.as_raw_fd(), &raw mut event) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Sleeps until something can be read; the tokens of what can.
    pub fn wait(&self, tokens: &mut Vec<u64>) {
        const EVENTS: i32 = 256;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS as usize];
        // SAFETY: `events` has room for as many as the call is told.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), EVENTS, -1) };
        tokens.clear();
        tokens.extend(events.iter().take(usize::try_from(count).unwrap_or(0)).map(|event| event.u64));
    }
}

//--- Processes and cores

/// Binds a task (0: the calling thread; else the id of any thread we may touch) to one core.
pub fn pin(task: i32, core: usize) -> io::Result<()> {
    // SAFETY: a cpu_set_t of zeros is the empty set; CPU_SET checks its index against the size of the set; the call reads the set.
    let result = unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(task, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the command start on one core and end when we do, however we end.
pub fn confine(command: &mut Command, core: usize) {
    // SAFETY: between fork and exec only prctl and sched_setaffinity are called, both safe there: no allocation, no lock.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            pin(0, core)
        });
    }
}

//--- Network namespaces

/// A network of its own, with nothing in it but a loopback that is down. Gone, with every interface and rule in it, as soon as
/// neither the value nor a process within is left: nothing needs to be cleaned up, however we end. Needs root.
pub struct Network(File);

impl Network {
    /// Makes one, on a thread of its own, so that nobody else moves.
    pub fn new() -> io::Result<Network> {
        let made = thread::spawn(|| {
            // SAFETY: no pointers; only the network of this very thread changes.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return Err(io::Error::last_os_error());
            }
            File::open("/proc/thread-self/ns/net").map(Network)
        });
        made.join().map_err(|_| io::Error::other("the thread that makes a network ended"))?
    }

    /// Moves the calling thread into it; threads and processes started from then on are in it too.
    pub fn enter(&self) -> io::Result<()> {
        enter(self.0.as_raw_fd())
    }

    /// Makes a command start in it.
    pub fn contain(&self, command: &mut Command) {
        let descriptor = self.0.as_raw_fd();
        // SAFETY: between fork and exec only setns is called, which is safe there; the descriptor is open until exec.
        unsafe { command.pre_exec(move || enter(descriptor)) };
    }

    /// A path by which other programs find it while we live.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

fn enter(descriptor: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    let result = unsafe { libc::setns(descriptor, libc::CLONE_NEWNET) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

//--- Signals and times

/// A signal to one process that we started.
pub fn signal(process: u32, signal: i32) {
    // SAFETY: no pointers. That the process may be gone is no fault.
    unsafe { libc::kill(process.cast_signed(), signal) };
}

/// Processor time that all threads of a process have used, those that ended too; user and system, by the scheduler's own
/// account in nanoseconds. Zero when the process is gone.
pub fn processor_time(process: u32) -> Duration {
    // SAFETY: both calls write only the value they are pointed to, which lives until they return.
    let spent = unsafe {
        let (mut clock, mut spent): (libc::clockid_t, libc::timespec) = (0, zeroed());
        if libc::clock_getcpuclockid(process.cast_signed(), &raw mut clock) == 0 {
            libc::clock_gettime(clock, &raw mut spent);
        }
        spent
    };
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

/// Kernel ticks a second in /proc, usually 100.
pub fn ticks_per_second() -> f64 {
    // SAFETY: no pointers.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

//--- Ports

/// A port of 127.0.0.1 that is free for UDP and for TCP at this moment.
pub fn free_port() -> io::Result<u16> {
    // Each failure means that somebody has the TCP port with the number that UDP was given: the next one is another.
    for _ in 0..64 {
        let udp = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        let address = udp.local_addr()?;
        if TcpListener::bind(address).is_ok() {
            return Ok(address.port());
        }
    }
    Err(io::Error::other("no port of 127.0.0.1 is free for both UDP and TCP"))
}
