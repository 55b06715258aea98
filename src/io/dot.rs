//! DNS over TLS (RFC 7858): hickory-server's transport, our listener, our answers.
//!
//! From hickory-server come the TLS configuration, the framing of messages in the TLS stream and the timer over it;
//! [`respond`](crate::answer::respond) reads the octets as they arrived and its answer is sent as it was written. So
//! nothing is parsed and encoded twice, and an answer over TLS is the answer over TCP to the octet: hickory's own
//! request handler would refuse some messages before we see them and cannot carry a client-subnet scope back.
//!
//! Accepting, limits and stopping are those of `stream`: hickory's own accept loop ends for good at an aborted
//! connection, spins when descriptors run out, and knows no limit. Queries of one connection are answered one after the
//! other. A connection that we end is closed without TLS's close_notify, between two messages.

use super::desk::Engine;
use super::stream::{Buffers, Caller, Conversation, Ending, Worker};
use crate::answer::Transport;
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
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
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

impl<E: Engine> Conversation<E> for Encrypted {
    const TRANSPORT: Transport = Transport::Tls;

    async fn hold(self, stream: TcpStream, mut caller: Caller, worker: Rc<Worker<E>>) -> Ending {
        let mut stopping = caller.stopping.clone();
        let handshake = timeout(caller.idle, TlsAcceptor::from(self.config).accept(stream));
        tokio::select! {
            handshake = handshake => match handshake {
                Ok(Ok(stream)) => answer_all(stream, &mut caller, &worker).await,
                Ok(Err(error)) => {
                    tracing::debug!(peer = %caller.peer, %error, "TLS handshake failed");
                    Ending::Done
                }
                Err(_) => Ending::TimedOut,
            },
            () = stopping.signalled() => Ending::Done,
        }
    }
}

async fn answer_all<E: Engine>(stream: TlsStream<TcpStream>, caller: &mut Caller, worker: &Worker<E>) -> Ending {
    let (messages, mut answers) = tls_from_stream(AsyncIoTokioAsStd(stream), caller.peer);
    let mut messages = TimeoutStream::new(messages, caller.idle);
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
    let Buffers { output, .. } = &mut *worker.buffers.borrow_mut();
    desk.refresh();
    let Some(len) = desk.answer(&caller.client, query, &mut output[..usize::from(u16::MAX)]) else { return };
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
    use std::time::Duration;

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
    use super::super::stream::Post;
    use super::fake::{Identity, identity};
    use super::*;
    use crate::snapshot::TcpLimits;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};

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
        let (post, conversation) = (Post::new(listener).expect("a runtime"), encrypted.clone());
        let thread = thread::spawn(move || post.serve(&conversation, desk, &Admission::new(limits), stopping));
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
        let mut silent = std::net::TcpStream::connect(server.addr).expect("a listening server");
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
        let mut outside = std::net::TcpStream::connect(server.addr).expect("a listening server");
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
        let _silent = std::net::TcpStream::connect(server.addr).expect("a listening server");
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
