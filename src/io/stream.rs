//! What TCP and DoT share: a worker that accepts connections, lets in what the limits allow, and ends them in peace.
//!
//! A worker is one thread with a runtime of its own and one listener of its own (SO_REUSEPORT); its connections are
//! tasks that never leave the thread, so they share one [`Desk`] and one set of buffers without a lock. What is said on
//! a connection is not known here: that is a [`Conversation`], `tcp` or `dot`.

use super::admission::{Admission, Admitted};
use super::counters::CounterBlock;
use super::desk::{Desk, Engine};
use super::stop::Stopping;
use crate::answer::{Client, Transport};
use std::cell::RefCell;
use std::io;
use std::net;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, interval, sleep, timeout_at};

/// What is said on one connection.
pub trait Conversation<E: Engine>: Clone + 'static {
    /// How the counters and the engine know it.
    const TRANSPORT: Transport;

    /// Answers the queries of one connection until it ends. Ends by itself: when the peer is done, when nothing whole
    /// arrived or could be written for the idle time, or soon after the stop signal.
    fn hold(self, stream: TcpStream, caller: Caller, worker: Rc<Worker<E>>) -> impl Future<Output = Ending>;
}

/// The other end of a connection, and what it is granted.
#[derive(Debug)]
pub struct Caller {
    /// Who asks, as the engine wants to know it.
    pub client: Client,
    /// Where it connected from.
    pub peer: net::SocketAddr,
    /// How long it may go without a whole query; also how long one write may take.
    pub idle: Duration,
    /// Tells when to end.
    pub stopping: Stopping,
    /// Its place under the limits, held as long as the connection.
    _place: Admitted,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Everything said and answered, or broken by the peer.
    Done,
    /// The idle time passed.
    TimedOut,
}

/// What the connections of one thread share.
#[derive(Debug)]
pub struct Worker<E> {
    /// The engine. Never borrowed across an await.
    pub desk: RefCell<Desk<E>>,
    /// Room to read into and to answer into; holds nothing across an await, so that idle connections cost no memory.
    pub buffers: RefCell<Buffers>,
}

/// Buffers of one thread.
#[derive(Debug)]
pub struct Buffers {
    /// What one read brings at most.
    pub input: Box<[u8]>,
    /// Answers, each behind its length, waiting to be written.
    pub output: Box<[u8]>,
}

/// The largest message of a stream: two octets of length, and what they can say (RFC 1035 section 4.2.2).
pub const FRAME_MAX: usize = 2 + 65_535;

/// What one read takes: a full pipeline of small queries, or most of the largest message.
const INPUT: usize = 32 * 1024;

/// Room for small answers up to 64 KiB, and still for the largest one behind them.
const OUTPUT: usize = 2 * FRAME_MAX;

impl<E: Engine> Worker<E> {
    /// A worker with an empty house.
    pub fn new(desk: Desk<E>) -> Worker<E> {
        let buffers = Buffers { input: vec![0; INPUT].into(), output: vec![0; OUTPUT].into() };
        Worker { desk: RefCell::new(desk), buffers: RefCell::new(buffers) }
    }

    fn count(&self, count: impl FnOnce(&mut CounterBlock)) {
        count(&mut self.desk.borrow_mut().counters);
    }
}

/// A listener and the runtime that will watch it; both are made at bind time, where an error can still be told.
#[derive(Debug)]
pub struct Post {
    listener: net::TcpListener,
    runtime: Runtime,
}

impl Post {
    /// Wraps a bound and listening socket.
    ///
    /// # Errors
    /// The system refuses the resources of a runtime.
    pub fn new(listener: net::TcpListener) -> io::Result<Post> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Post { listener, runtime })
    }

    /// The address that the listener is bound to.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<net::SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop; then finishes what is open, until the deadline.
    pub fn serve<E: Engine, C: Conversation<E>>(self, conversation: &C, desk: Desk<E>, admission: &Admission, stopping: Stopping) {
        let tasks = LocalSet::new();
        let worker = Rc::new(Worker::new(desk));
        tasks.block_on(&self.runtime, receive_callers(self.listener, conversation, &worker, admission, stopping));
        // Dropping the tasks and the runtime closes whatever the grace did not suffice for.
    }
}

async fn receive_callers<E: Engine, C: Conversation<E>>(
    listener: net::TcpListener,
    conversation: &C,
    worker: &Rc<Worker<E>>,
    admission: &Admission,
    stopping: Stopping,
) {
    let Some(listener) = watch(listener) else { return };
    let mut open = JoinSet::new();
    let mut told = stopping.clone();
    let mut begin = |stream, peer| {
        if let Some(caller) = admit::<E, C>(peer, worker, admission, &stopping) {
            open.spawn_local(converse(conversation.clone(), stream, caller, Rc::clone(worker)));
        }
        // Without this the set would remember every connection that ever ended.
        while open.try_join_next().is_some() {}
    };
    let mut idle = interval(IDLE_REFRESH);
    loop {
        tokio::select! {
            // Whoever answers takes the newest state anyway; without this, an idle worker would hold a whole outdated config.
            _ = idle.tick() => worker.desk.borrow_mut().refresh(),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => begin(stream, peer),
                Err(error) => {
                    worker.count(CounterBlock::count_receive_error);
                    sleep(pause_after(&error)).await;
                }
            },
            () = told.signalled() => break,
        }
    }
    // The kernel has completed these connections already; closing the listener would reset them.
    for (stream, peer) in waiting(listener) {
        begin(stream, peer);
    }
    let deadline = Instant::from_std(stopping.deadline());
    // Late tasks are aborted when the set is dropped.
    let _ = timeout_at(deadline, async { while open.join_next().await.is_some() {} }).await;
}

/// How soon an idle worker lets an outdated config go: soon after a reload, and rarely enough to cost nothing.
const IDLE_REFRESH: Duration = Duration::from_secs(1);

fn watch(listener: net::TcpListener) -> Option<TcpListener> {
    TcpListener::from_std(listener).inspect_err(|error| tracing::error!(%error, "a listener cannot be watched; it is closed")).ok()
}

/// The connections that wait in the kernel's queue.
fn waiting(listener: TcpListener) -> Vec<(TcpStream, net::SocketAddr)> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let mut streams = Vec::new();
    while let Ok((stream, peer)) = listener.accept() {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        streams.extend(stream.ok().map(|stream| (stream, peer)));
    }
    streams
}

fn admit<E: Engine, C: Conversation<E>>(
    peer: net::SocketAddr,
    worker: &Worker<E>,
    admission: &Admission,
    stopping: &Stopping,
) -> Option<Caller> {
    let Some(place) = admission.admit(peer.ip()) else {
        worker.count(CounterBlock::count_refused);
        return None;
    };
    worker.count(CounterBlock::count_accepted);
    let client = Client { source: peer.ip(), transport: C::TRANSPORT };
    Some(Caller { client, peer, idle: place.idle, stopping: stopping.clone(), _place: place })
}

async fn converse<E: Engine, C: Conversation<E>>(conversation: C, stream: TcpStream, caller: Caller, worker: Rc<Worker<E>>) {
    // Answers are written whole: waiting to fill a segment would only delay the last one (RFC 7766 section 6.2.1.1).
    let _ = stream.set_nodelay(true);
    let ending = conversation.hold(stream, caller, Rc::clone(&worker)).await;
    worker.count(|counters| counters.count_closed(ending == Ending::TimedOut));
}

/// How long to wait after a failed accept. Never ends the loop, and never spins in it.
///
/// accept(2) reports errors of the one connection that it would have returned; the next may be healthy. All others mean
/// that something ran out (descriptors, memory), and then the connection stays in the queue and the call would fail at once again.
fn pause_after(error: &io::Error) -> Duration {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => Duration::ZERO,
        _ if error.raw_os_error() == Some(libc::EPROTO) => Duration::ZERO,
        _ => SHORTAGE_PAUSE,
    }
}

/// Long enough for something to be freed, short enough for a client not to notice.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aborted_connection_delays_nobody_and_a_shortage_does_not_spin() {
        let pause = |code| pause_after(&io::Error::from_raw_os_error(code));
        for code in [libc::ECONNABORTED, libc::EINTR, libc::EPROTO, libc::ENETDOWN, libc::EHOSTUNREACH] {
            assert_eq!(pause(code), Duration::ZERO, "{code}");
        }
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EINVAL] {
            assert_eq!(pause(code), SHORTAGE_PAUSE, "{code}");
        }
    }
}
