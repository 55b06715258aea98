//! DNS over TLS (RFC 7858): hickory-server's transport, our listener, our answers.
//!
//! From hickory-server come the TLS configuration, the framing of messages in the TLS stream and the timer over it;
//! [`respond`](crate::answer::respond) reads the octets as they arrived and its answer is sent as it was written. So
//! nothing is parsed and encoded twice, and an answer over TLS is the answer over TCP to the octet: hickory's own
//! request handler would refuse some messages before we see them and cannot carry a client-subnet scope back.
//!
//! Accepting, limits and stopping are ours: hickory's own accept loop ends for good at an aborted connection, spins when
//! descriptors run out, and knows no limit. A worker is one thread with a runtime of its own and one listener of its own
//! (SO_REUSEPORT); its connections are tasks that never leave the thread, so they share one [`Desk`] and one buffer without
//! a lock. Queries of one connection are answered one after the other. A connection that we end is closed without TLS's
//! close_notify, between two messages.

use super::accept::pause_after;
use super::admission::{Admission, Admitted};
use super::counters::CounterBlock;
use super::desk::{Desk, Engine};
use super::stop::Stopping;
use crate::answer::{Client, STREAM_PAYLOAD_MAX, Transport};
use crate::snapshot::DotSettings;
use arc_swap::ArcSwap;
use futures_util::StreamExt;
use hickory_server::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_server::net::tls::tls_from_stream;
use hickory_server::net::{BufDnsStreamHandle, DnsStreamHandle};
use hickory_server::proto::op::SerialMessage;
use hickory_server::server::{TimeoutStream, default_tls_server_config};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, interval, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// DNS inside TLS. All clones use one certificate, which may be replaced at any time.
#[derive(Clone)]
pub struct Encrypted {
    config: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
}

impl Encrypted {
    /// Serves with this certificate.
    ///
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub fn new(certificate: CertifiedKey) -> io::Result<Encrypted> {
        let certificate = Arc::new(Certificate(ArcSwap::from_pointee(certificate)));
        let config = default_tls_server_config(b"dot", Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>)?;
        Ok(Encrypted { config: Arc::new(config), certificate })
    }

    /// Uses another certificate for the connections to come.
    pub fn replace(&self, certificate: CertifiedKey) {
        self.certificate.0.store(Arc::new(certificate));
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").finish_non_exhaustive()
    }
}

/// The certificate in use.
#[derive(Debug)]
struct Certificate(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

//--- The worker

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
    pub fn serve<E: Engine>(self, encrypted: &Encrypted, desk: Desk<E>, admission: &Admission, stopping: Stopping) {
        let tasks = LocalSet::new();
        let worker = Rc::new(Worker { desk: RefCell::new(desk), output: RefCell::new(vec![0; STREAM_PAYLOAD_MAX].into()) });
        tasks.block_on(&self.runtime, receive_callers(self.listener, encrypted, &worker, admission, stopping));
        // Dropping the tasks and the runtime closes whatever the grace did not suffice for.
    }
}

/// What the connections of one thread share. Nothing in it is borrowed across an await.
#[derive(Debug)]
struct Worker<E> {
    desk: RefCell<Desk<E>>,
    /// Room for one answer.
    output: RefCell<Box<[u8]>>,
}

impl<E: Engine> Worker<E> {
    fn count(&self, count: impl FnOnce(&mut CounterBlock)) {
        count(&mut self.desk.borrow_mut().counters);
    }
}

/// The other end of a connection, and what it is granted.
#[derive(Debug)]
struct Caller {
    /// Who asks, as the engine wants to know it.
    client: Client,
    /// Where it connected from.
    peer: net::SocketAddr,
    /// Tells when to end.
    stopping: Stopping,
    /// Its place under the limits, held as long as the connection.
    place: Admitted,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// Everything said and answered, or broken by the peer.
    Done,
    /// The idle time passed.
    TimedOut,
}

async fn receive_callers<E: Engine>(
    listener: net::TcpListener,
    encrypted: &Encrypted,
    worker: &Rc<Worker<E>>,
    admission: &Admission,
    stopping: Stopping,
) {
    let Some(listener) = watch(listener) else { return };
    let mut open = JoinSet::new();
    let mut told = stopping.clone();
    let mut begin = |stream, peer| {
        if let Some(caller) = admit(peer, worker, admission, &stopping) {
            open.spawn_local(converse(encrypted.clone(), stream, caller, Rc::clone(worker)));
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

fn admit<E: Engine>(peer: net::SocketAddr, worker: &Worker<E>, admission: &Admission, stopping: &Stopping) -> Option<Caller> {
    let Some(place) = admission.admit(peer.ip()) else {
        worker.count(CounterBlock::count_refused);
        return None;
    };
    worker.count(CounterBlock::count_accepted);
    let client = Client { source: peer.ip(), transport: Transport::Tls };
    Some(Caller { client, peer, stopping: stopping.clone(), place })
}

async fn converse<E: Engine>(encrypted: Encrypted, stream: TcpStream, mut caller: Caller, worker: Rc<Worker<E>>) {
    let ending = hold(encrypted, stream, &mut caller, &worker).await;
    worker.count(|counters| counters.count_closed(ending == Ending::TimedOut));
}

//--- One connection

/// Answers the queries of one connection until it ends: when the peer is done, when nothing whole arrived or could be
/// written for the idle time, or soon after the stop signal.
async fn hold<E: Engine>(encrypted: Encrypted, stream: TcpStream, caller: &mut Caller, worker: &Worker<E>) -> Ending {
    let mut stopping = caller.stopping.clone();
    let handshake = timeout(caller.place.idle, TlsAcceptor::from(encrypted.config).accept(stream));
    tokio::select! {
        handshake = handshake => match handshake {
            Ok(Ok(stream)) => answer_all(stream, caller, worker).await,
            Ok(Err(error)) => {
                tracing::debug!(peer = %caller.peer, %error, "TLS handshake failed");
                Ending::Done
            }
            Err(_) => Ending::TimedOut,
        },
        () = stopping.signalled() => Ending::Done,
    }
}

async fn answer_all<E: Engine>(stream: TlsStream<TcpStream>, caller: &mut Caller, worker: &Worker<E>) -> Ending {
    let (messages, mut answers) = tls_from_stream(AsyncIoTokioAsStd(stream), caller.peer);
    let mut messages = TimeoutStream::new(messages, caller.place.idle);
    loop {
        let message = tokio::select! {
            biased;
            // Asking for the next message also writes the answers that wait, and reads only then.
            message = messages.next() => message,
            () = caller.stopping.signalled() => return Ending::Done,
        };
        match message {
            Some(Ok(query)) => answer(query.bytes(), caller, worker, &mut answers),
            Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut => return Ending::TimedOut,
            Some(Err(_)) | None => return Ending::Done,
        }
    }
}

/// Answers one query into the queue of the connection, which is empty: it is written out before the next is read.
fn answer<E: Engine>(query: &[u8], caller: &Caller, worker: &Worker<E>, answers: &mut BufDnsStreamHandle) {
    let mut desk = worker.desk.borrow_mut();
    let output = &mut worker.output.borrow_mut();
    desk.refresh();
    let Some(len) = desk.answer(&caller.client, query, output) else { return };
    if answers.send(SerialMessage::new(output[..len].to_vec(), caller.peer)).is_err() {
        desk.counters.count_send_errors(1);
    }
}

//--- The certificate

/// Reads the certificate chain and its key.
///
/// # Errors
/// A file cannot be read, holds nothing of the kind, or the two do not belong together.
pub fn load_certificate(settings: &DotSettings) -> Result<CertifiedKey, CertificateError> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |error| CertificateError { path, fault: Fault::Pem(error) }
    };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(&settings.certificate).and_then(Iterator::collect).map_err(fault(&settings.certificate))?;
    if chain.is_empty() {
        return Err(CertificateError { path: settings.certificate.clone(), fault: Fault::NoCertificate });
    }
    let key = PrivateKeyDer::from_pem_file(&settings.key).map_err(fault(&settings.key))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|error| CertificateError { path: settings.key.clone(), fault: Fault::Key(error) })
}

/// Why there is no certificate to serve with.
#[derive(Debug)]
pub struct CertificateError {
    /// The file at fault.
    pub path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    /// Not readable, or not PEM of the right kind.
    Pem(pem::Error),
    /// Readable, but without a certificate.
    NoCertificate,
    /// The key is of no use, or belongs to another certificate.
    Key(rustls::Error),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::Pem(pem::Error::Io(error)) => write!(f, "cannot read `{path}`: {error}"),
            Fault::Pem(pem::Error::NoItemsFound) => write!(f, "`{path}` holds no private key in PEM form"),
            Fault::Pem(error) => write!(f, "`{path}` is not valid PEM: {error}"),
            Fault::NoCertificate => write!(f, "`{path}` holds no certificate in PEM form"),
            Fault::Key(error) => write!(f, "the key in `{path}` cannot be used with the certificate: {error}"),
        }
    }
}

impl std::error::Error for CertificateError {}

/// A certificate of our own for tests, here and in `listeners`.
#[cfg(test)]
pub(super) mod fake {
    use super::*;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
    use std::net::{SocketAddr, TcpStream as Socket};

    pub const NAME: &str = "ns1.example";

    /// A certificate and its key, both as PEM.
    pub struct Identity {
        pub certificate: String,
        pub key: String,
    }

    pub fn identity() -> Identity {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a valid name");
        Identity { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    impl Identity {
        pub fn certified(&self) -> CertifiedKey {
            let chain = vec![self.leaf()];
            let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key in PEM");
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).expect("a key of its certificate")
        }

        pub fn leaf(&self) -> CertificateDer<'static> {
            CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate in PEM")
        }

        /// A client that trusts this certificate only.
        pub fn connect(&self, server: SocketAddr, alpn: &[&[u8]]) -> StreamOwned<ClientConnection, Socket> {
            let mut roots = RootCertStore::empty();
            roots.add(self.leaf()).expect("a certificate");
            let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the library's own defaults")
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
            let socket = Socket::connect(server).expect("a listening server");
            socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout above zero");
            let name = NAME.try_into().expect("a valid name");
            StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a valid configuration"), socket)
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
    use super::fake::{Identity, identity};
    use super::*;
    use crate::snapshot::TcpLimits;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread::{self, JoinHandle};
    use std::time::Instant;

    const PATIENT: Duration = Duration::from_secs(30);
    const LIMITS: TcpLimits = TcpLimits { connections: 100, connections_per_client: 100, idle: PATIENT };

    struct Server {
        addr: SocketAddr,
        encrypted: Encrypted,
        board: Arc<CounterBoard>,
        signal: StopSignal,
        thread: JoinHandle<()>,
    }

    fn server(identity: &Identity, limits: TcpLimits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        let board = Arc::new(CounterBoard::new());
        let desk = Desk::new(Echo::default(), board.hand_out(Transport::Tls));
        let (signal, stopping) = stop_signal();
        let encrypted = Encrypted::new(identity.certified()).expect("the library's own defaults");
        let (post, ours) = (Post::new(listener).expect("a runtime"), encrypted.clone());
        let thread = thread::spawn(move || post.serve(&ours, desk, &Admission::new(limits), stopping));
        Server { addr, encrypted, board, signal, thread }
    }

    impl Server {
        fn stop(self) -> TransportTotals {
            self.signal.stop_by(Instant::now() + PATIENT);
            self.thread.join().expect("a worker that does not panic");
            self.board.totals().of(Transport::Tls).clone()
        }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&u16::try_from(message.len()).expect("a short message").to_be_bytes(), message].concat()
    }

    fn read_message(client: &mut impl Read) -> Vec<u8> {
        let mut length = [0; 2];
        client.read_exact(&mut length).expect("an answer");
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        client.read_exact(&mut message).expect("a whole answer");
        message
    }

    #[test]
    fn queries_in_a_tls_stream_are_answered_octet_for_octet_and_in_order() {
        let identity = identity();
        let server = server(&identity, LIMITS);
        let mut client = identity.connect(server.addr, &[b"dot"]);
        // More than hickory's queue of 32 answers; and one that spans several TLS records.
        let pipeline: Vec<u8> = (0..100).flat_map(|n| framed(format!("query number {n}").as_bytes())).chain(framed(LONG)).collect();
        client.write_all(&pipeline).expect("an open connection");
        for n in 0..100 {
            assert_eq!(read_message(&mut client)[8..], *format!("query number {n}").as_bytes());
        }
        assert_eq!(read_message(&mut client).len(), 60_000);
        assert_eq!(client.conn.alpn_protocol(), Some(&b"dot"[..]));
        drop(client);
        let totals = server.stop();
        assert_eq!((totals.queries, totals.answers_total(), totals.send_errors), (101, 101, 0));
        assert_eq!(totals.connections.accepted, 1);
    }

    #[test]
    fn a_client_without_alpn_is_served_and_a_query_that_cannot_be_answered_leaves_a_gap() {
        let identity = identity();
        let server = server(&identity, LIMITS);
        let mut client = identity.connect(server.addr, &[]);
        client.write_all(&[framed(PANIC), framed(b"after the panic")].concat()).expect("an open connection");
        assert_eq!(read_message(&mut client)[8..], *b"after the panic");
        assert_eq!(server.stop().panics, 1);
    }

    #[test]
    fn a_replaced_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
        let (old, new) = (identity(), identity());
        let server = server(&old, LIMITS);
        let mut before = old.connect(server.addr, &[b"dot"]);
        before.write_all(&framed(b"twelve octets")).expect("an open connection");
        read_message(&mut before);
        server.encrypted.replace(new.certified());
        for client in [&mut before, &mut new.connect(server.addr, &[b"dot"])] {
            client.write_all(&framed(b"twelve octets")).expect("a trusted connection");
            assert_eq!(read_message(client)[8..], *b"twelve octets");
        }
        assert!(old.connect(server.addr, &[b"dot"]).write_all(b"x").is_err(), "the old certificate is gone");
    }

    #[test]
    fn a_handshake_that_never_comes_and_a_query_that_never_ends_are_given_up() {
        let identity = identity();
        let server = server(&identity, TcpLimits { idle: Duration::from_millis(300), ..LIMITS });
        let mut silent = net::TcpStream::connect(server.addr).expect("a listening server");
        assert_eq!(silent.read(&mut [0]).expect("an orderly end"), 0);
        let mut slow = identity.connect(server.addr, &[b"dot"]);
        slow.write_all(&[0]).expect("an open connection");
        assert!(!slow.read(&mut [0]).is_ok_and(|len| len > 0));
        drop((silent, slow));
        assert_eq!(server.stop().connections, ConnectionTotals { open: 0, accepted: 2, refused: 0, timed_out: 2 });
    }

    #[test]
    fn limits_hold_before_any_handshake() {
        let identity = identity();
        let server = server(&identity, TcpLimits { connections_per_client: 1, ..LIMITS });
        let mut inside = identity.connect(server.addr, &[b"dot"]);
        inside.write_all(&framed(b"twelve octets")).expect("an open connection");
        read_message(&mut inside);
        let mut outside = net::TcpStream::connect(server.addr).expect("a listening server");
        assert_eq!(outside.read(&mut [0]).expect("an orderly end"), 0);
        assert_eq!(server.stop().connections.refused, 1);
    }

    #[test]
    fn a_stop_does_not_wait_for_idle_clients_or_handshakes() {
        let identity = identity();
        let server = server(&identity, LIMITS);
        let mut idle = identity.connect(server.addr, &[b"dot"]);
        idle.write_all(&framed(b"twelve octets")).expect("an open connection");
        read_message(&mut idle);
        let _silent = net::TcpStream::connect(server.addr).expect("a listening server");
        let begun = Instant::now();
        server.stop();
        assert!(begun.elapsed() < PATIENT / 2, "{:?}", begun.elapsed());
    }

    /// Files of this test alone, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("steersman-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a writable directory for temporary files");
            Folder(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, text).expect("a writable directory");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn an_unusable_certificate_is_refused_with_its_file_and_the_reason() {
        let folder = Folder::new("certificates");
        let (ours, theirs) = (identity(), identity());
        let (certificate, key) = (folder.file("good.pem", &ours.certificate), folder.file("good.key", &ours.key));
        let (other, empty) = (folder.file("other.key", &theirs.key), folder.file("empty.pem", ""));
        let missing = folder.0.join("missing.pem");
        let load = |certificate: &PathBuf, key: &PathBuf| {
            load_certificate(&DotSettings { listen: Vec::new(), certificate: certificate.clone(), key: key.clone() })
        };
        assert!(load(&certificate, &key).is_ok());
        for (certificate, key, reason) in [
            (&missing, &key, "cannot read `"),
            (&empty, &key, "holds no certificate"),
            (&certificate, &empty, "holds no private key"),
            (&certificate, &other, "cannot be used with the certificate"),
        ] {
            let refusal = load(certificate, key).expect_err(reason).to_string();
            assert!(refusal.contains(reason), "{refusal}");
        }
    }
}
