//! All sockets of the data plane and the threads behind them: opened together, started together, changed without loss.
//!
//! [`Listeners::open`] binds everything a config lists, or nothing; the kernel queues what arrives until
//! [`Listeners::start`] brings the live view and the threads. [`Listeners::reconcile`] opens what a new config adds
//! before it closes what it drops. [`Listeners::stop`] finishes what was begun.
//!
//! Each listed address is served by `workers` threads for UDP and as many for TCP (DoT: as many), each with a socket of
//! its own in one SO_REUSEPORT group. Since such a group would silently take in a second server of the same user,
//! and half of the queries with it, each address is first bound alone.

use super::admission::Admission;
use super::counters::CounterBoard;
use super::desk::{Answering, Desk, Engines, silence_watched_panics};
use super::dot::{self, CertificateError, Encrypted, load_certificate};
use super::packet::PacketIo;
use super::port_holder::holder_of;
use super::stop::{StopSignal, stop_signal};
use super::{tcp, udp};
use crate::answer::Transport;
use crate::snapshot::Settings;
use rustls::sign::CertifiedKey;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Everything that listens for DNS. `S` is where workers get their engines from; tests bring their own.
#[derive(Debug)]
pub struct Listeners<S = Answering> {
    board: Arc<CounterBoard>,
    admission: Admission,
    /// Whether UDP workers wait awake; they look at it after each batch.
    busy_wait: Arc<AtomicBool>,
    /// The TLS side, where DoT is wanted.
    encrypted: Option<Encrypted>,
    /// One per listed address, in the order of the config.
    stations: Vec<Station>,
    /// Present once started.
    engines: Option<S>,
    /// Threads of closed sockets that finish what they had.
    leaving: Vec<JoinHandle<()>>,
}

/// A socket address that is served.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Listening {
    /// What is spoken there.
    pub transport: Transport,
    /// The address of the config; port 0 lets the kernel choose.
    pub asked: SocketAddr,
    /// The address with its true port.
    pub bound: SocketAddr,
}

/// What a reload changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Served since now.
    pub opened: Vec<Listening>,
    /// No longer served; what had arrived is still answered.
    pub closed: Vec<Listening>,
}

impl<S: Engines> Listeners<S> {
    /// Binds everything. Nothing is answered before [`Listeners::start`].
    ///
    /// # Errors
    /// The first address that cannot be bound, with the reason and what to do; or no usable certificate. Nothing stays open.
    pub fn open(settings: &Settings, board: Arc<CounterBoard>) -> Result<Listeners<S>, ListenError> {
        let admission = Admission::new(settings.tcp);
        let mut listeners = Listeners {
            board,
            admission,
            busy_wait: Arc::default(),
            encrypted: None,
            stations: Vec::new(),
            engines: None,
            leaving: Vec::new(),
        };
        listeners.reconcile(settings)?;
        Ok(listeners)
    }

    /// Lets the workers read.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(&mut self, engines: S) -> Result<(), ListenError> {
        silence_watched_panics();
        self.engines = Some(engines);
        for station in std::mem::take(&mut self.stations) {
            let started = self.started(station)?;
            self.stations.push(started);
        }
        Ok(())
    }

    /// Makes the sockets what `settings` say: opens first, then closes. Reads the certificate anew.
    ///
    /// # Errors
    /// As for [`Listeners::open`]; then nothing has changed.
    pub fn reconcile(&mut self, settings: &Settings) -> Result<Changes, ListenError> {
        let wanted = places(settings)?;
        let certificate = settings.dot.as_ref().map(load_certificate).transpose().map_err(ListenError::Certificate)?;
        let (encrypted, certificate) = self.encryption(certificate)?;
        let workers = settings.workers.max(1);
        // All before the first is bound: what we bind ourselves must not be taken for somebody else's.
        wanted.iter().filter(|place| !self.stations.iter().any(|station| station.covers(**place))).try_for_each(|&place| claim(place))?;
        let mut fresh = Vec::new();
        for &place in &wanted {
            let station = self.extension(place, workers, encrypted.as_ref())?;
            fresh.push(self.started(station)?);
        }

        // From here on nothing can fail.
        if let (Some(encrypted), Some(certificate)) = (&encrypted, certificate) {
            encrypted.replace(certificate);
        }
        self.encrypted = encrypted;
        self.admission.limit(settings.tcp);
        self.busy_wait.store(settings.busy_wait, Relaxed);
        let before = self.addresses();
        self.adopt(fresh, workers);
        let after = self.addresses();
        Ok(Changes { opened: missing(&after, &before), closed: missing(&before, &after) })
    }

    /// Stops reading, answers what has arrived, closes. Blocks until the last thread has ended: up to `grace` and the
    /// quarter of a second that a worker may sleep.
    pub fn stop(mut self, grace: Duration) {
        for station in std::mem::take(&mut self.stations) {
            self.dismiss(station.workers, grace);
        }
        self.leaving.drain(..).for_each(join);
    }

    /// All that is served now.
    pub fn addresses(&self) -> Vec<Listening> {
        self.stations.iter().flat_map(Station::addresses).collect()
    }

    /// The TLS side for a certificate, and the certificate where it is still to be put into use.
    fn encryption(&self, certificate: Option<CertifiedKey>) -> Result<(Option<Encrypted>, Option<CertifiedKey>), ListenError> {
        match (certificate, &self.encrypted) {
            (None, _) => Ok((None, None)),
            (Some(certificate), Some(encrypted)) => Ok((Some(encrypted.clone()), Some(certificate))),
            (Some(certificate), None) => Ok((Some(Encrypted::new(certificate).map_err(ListenError::Resource)?), None)),
        }
    }

    /// What a place lacks to have `workers`: all of it when it is new, possibly nothing when it is not.
    fn extension(&self, place: Place, workers: usize, encrypted: Option<&Encrypted>) -> Result<Station, ListenError> {
        if let Some(known) = self.stations.iter().find(|station| station.place == place) {
            let lacking = workers.saturating_sub(known.workers.len());
            let workers = (0..lacking).map(|_| bind(place.at(known.bound), encrypted)).collect::<Result<_, _>>()?;
            return Ok(Station { place, bound: known.bound, workers });
        }
        let first = bind_anywhere(place, encrypted)?;
        let bound = first.first().map(Seat::local_addr).transpose().map_err(|error| place.error(error))?.unwrap_or(place.addr);
        let mut seats = vec![first];
        for _ in 1..workers {
            seats.push(bind(place.at(bound), encrypted)?);
        }
        Ok(Station { place, bound, workers: seats })
    }

    /// The same station at work, when the listeners have been started.
    fn started(&self, station: Station) -> Result<Station, ListenError> {
        let Some(engines) = &self.engines else { return Ok(station) };
        let start = |seats: Vec<Seat>| seats.into_iter().map(|seat| self.start_seat(seat, engines)).collect();
        let workers = station.workers.into_iter().map(start).collect::<io::Result<_>>().map_err(ListenError::Resource)?;
        Ok(Station { workers, ..station })
    }

    fn start_seat(&self, seat: Seat, engines: &S) -> io::Result<Seat> {
        let socket = match seat {
            Seat::Working { .. } => return Ok(seat),
            Seat::Bound(socket) => socket,
        };
        let (signal, stopping) = stop_signal();
        let counters = self.board.hand_out(socket.transport());
        let (engines, admission, busy_wait) = (engines.clone(), self.admission.clone(), Arc::clone(&self.busy_wait));
        let work = move || {
            let desk = Desk::new(engines.engine(), counters);
            match socket {
                BoundSocket::Udp(socket) => udp::serve(udp::Packets::new(socket), desk, &stopping, &busy_wait),
                BoundSocket::Tcp(post) => post.serve(desk, &admission, &stopping),
                BoundSocket::Tls(post, encrypted) => post.serve(&encrypted, desk, &admission, stopping),
            }
        };
        let thread = thread::Builder::new().name("dns".to_owned()).spawn(work)?;
        Ok(Seat::Working { signal, thread })
    }

    /// Takes the fresh stations in, in their order, with what stays of the old ones; dismisses the rest.
    fn adopt(&mut self, fresh: Vec<Station>, workers: usize) {
        let mut old = std::mem::take(&mut self.stations);
        for mut station in fresh {
            if let Some(index) = old.iter().position(|known| known.place == station.place) {
                let mut kept = old.swap_remove(index).workers;
                let surplus = kept.split_off(workers.min(kept.len()));
                self.dismiss(surplus, CLOSE_GRACE);
                kept.append(&mut station.workers);
                station.workers = kept;
            }
            self.stations.push(station);
        }
        for station in old {
            self.dismiss(station.workers, CLOSE_GRACE);
        }
        self.leaving.extract_if(.., |thread| thread.is_finished()).for_each(join);
    }

    /// Tells workers to go. Does not wait for them.
    fn dismiss(&mut self, workers: Vec<Vec<Seat>>, grace: Duration) {
        let deadline = Instant::now() + grace;
        for seat in workers.into_iter().flatten() {
            if let Seat::Working { signal, thread } = seat {
                signal.stop_by(deadline);
                self.leaving.push(thread);
            }
        }
    }
}

/// How long connections may go on after a reload has closed their address: nothing waits for them but memory.
const CLOSE_GRACE: Duration = Duration::from_secs(10);

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        // The panic hook has printed the reason; `respond` itself cannot bring us here.
        tracing::error!("a thread of the data plane had panicked");
    }
}

fn missing(from: &[Listening], there: &[Listening]) -> Vec<Listening> {
    from.iter().filter(|listening| !there.contains(listening)).copied().collect()
}

//--- Stations

/// One listed address.
#[derive(Debug)]
struct Station {
    place: Place,
    /// The address with its true port.
    bound: SocketAddr,
    /// Per worker its sockets: UDP and TCP, or TLS.
    workers: Vec<Vec<Seat>>,
}

/// An address of the config, and what is spoken there. The identity of a station over reloads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    speech: Speech,
    addr: SocketAddr,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Speech {
    /// `listen`: UDP and TCP.
    Plain,
    /// `dot.listen`.
    Encrypted,
}

#[derive(Debug)]
enum Seat {
    /// Not started: the kernel queues.
    Bound(BoundSocket),
    /// A thread has the socket.
    Working { signal: StopSignal, thread: JoinHandle<()> },
}

#[derive(Debug)]
enum BoundSocket {
    Udp(UdpSocket),
    Tcp(tcp::Post),
    Tls(dot::Post, Encrypted),
}

impl Station {
    /// Whether the kernel would refuse to bind `place` alone beside this station.
    fn covers(&self, place: Place) -> bool {
        let (ours, theirs) = (self.bound, place.addr);
        let overlap = ours.ip() == theirs.ip() || ours.ip().is_unspecified() || theirs.ip().is_unspecified();
        self.place == place || (ours.port() == theirs.port() && ours.is_ipv4() == theirs.is_ipv4() && overlap)
    }

    fn addresses(&self) -> impl Iterator<Item = Listening> {
        let (asked, bound) = (self.place.addr, self.bound);
        self.place.speech.transports().iter().map(move |&transport| Listening { transport, asked, bound })
    }
}

impl Speech {
    fn transports(self) -> &'static [Transport] {
        match self {
            Speech::Plain => &[Transport::Udp, Transport::Tcp],
            Speech::Encrypted => &[Transport::Tls],
        }
    }
}

impl Place {
    fn at(self, addr: SocketAddr) -> Place {
        Place { addr, ..self }
    }

    fn error(self, error: io::Error) -> ListenError {
        ListenError::Bind { address: self.addr, error }
    }
}

impl Seat {
    /// The address of a socket that has not been started.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Seat::Bound(BoundSocket::Udp(socket)) => socket.local_addr(),
            Seat::Bound(BoundSocket::Tcp(post)) => post.local_addr(),
            Seat::Bound(BoundSocket::Tls(post, _)) => post.local_addr(),
            Seat::Working { .. } => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl BoundSocket {
    fn transport(&self) -> Transport {
        match self {
            BoundSocket::Udp(_) => Transport::Udp,
            BoundSocket::Tcp(_) => Transport::Tcp,
            BoundSocket::Tls(..) => Transport::Tls,
        }
    }
}

/// All places of a config, each once.
fn places(settings: &Settings) -> Result<Vec<Place>, ListenError> {
    let mut places: Vec<Place> = Vec::new();
    let plain = settings.listen.iter().map(|&addr| Place { speech: Speech::Plain, addr });
    let encrypted = settings.dot.iter().flat_map(|dot| &dot.listen).map(|&addr| Place { speech: Speech::Encrypted, addr });
    for place in plain.chain(encrypted) {
        // One port in two groups would hand TLS handshakes to the TCP workers and the other way round.
        if place.addr.port() != 0 && places.iter().any(|other| other.addr == place.addr && other.speech != place.speech) {
            return Err(ListenError::TwoSpeeches { address: place.addr });
        }
        if !places.contains(&place) {
            places.push(place);
        }
    }
    Ok(places)
}

//--- Binding

/// Makes sure that nobody else serves this place: binds it alone, and lets go.
fn claim(place: Place) -> Result<(), ListenError> {
    let alone = |kind| socket(place.addr, kind).and_then(|socket| socket.bind(&place.addr.into()));
    if place.addr.port() == 0 {
        return Ok(());
    }
    match place.speech {
        Speech::Plain => alone(Type::DGRAM).and_then(|()| alone(Type::STREAM)),
        Speech::Encrypted => alone(Type::STREAM),
    }
    .map_err(|error| place.error(error))
}

/// Binds a place whose port may be the kernel's choice. What it chose for UDP may be taken for TCP: then it chooses again.
fn bind_anywhere(place: Place, encrypted: Option<&Encrypted>) -> Result<Vec<Seat>, ListenError> {
    let attempts = if place.addr.port() == 0 { 16 } else { 1 };
    let mut last = bind(place, encrypted);
    for _ in 1..attempts {
        match &last {
            Err(ListenError::Bind { error, .. }) if error.kind() == io::ErrorKind::AddrInUse => last = bind(place, encrypted),
            Ok(_) | Err(_) => break,
        }
    }
    last
}

/// The sockets of one worker at one place.
fn bind(place: Place, encrypted: Option<&Encrypted>) -> Result<Vec<Seat>, ListenError> {
    let sockets = match (place.speech, encrypted) {
        (Speech::Plain, _) => bind_udp(place.addr).and_then(|udp| {
            let tcp = tcp::Post::new(bind_tcp(udp.local_addr()?)?)?;
            Ok(vec![BoundSocket::Udp(udp), BoundSocket::Tcp(tcp)])
        }),
        (Speech::Encrypted, Some(encrypted)) => {
            bind_tcp(place.addr).and_then(dot::Post::new).map(|post| vec![BoundSocket::Tls(post, encrypted.clone())])
        }
        // Places for TLS come from the same settings as its certificate.
        (Speech::Encrypted, None) => Ok(Vec::new()),
    };
    let sockets = sockets.map_err(|error| place.error(error))?;
    Ok(sockets.into_iter().map(Seat::Bound).collect())
}

fn bind_udp(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(addr, Type::DGRAM)?;
    socket.set_reuse_port(true)?;
    // The kernel gives what it is allowed to (net.core.rmem_max); less is no reason not to serve.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&addr.into())?;
    let socket = UdpSocket::from(socket);
    udp::Packets::configure(&socket)?;
    Ok(socket)
}

fn bind_tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(addr, Type::STREAM)?;
    socket.set_reuse_port(true)?;
    // Answers are written whole: waiting to fill a segment would only delay the last one (RFC 7766 section 6.2.1.1). Set
    // here, it is inherited by every connection.
    socket.set_tcp_nodelay(true)?;
    // Left alone, the kernel lets it grow to some MiB, and reports room only when a third of that is free.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket that is not bound yet, with the options that bound alone and bound in a group have in common.
fn socket(addr: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr.is_ipv6() {
        // `[::]` is IPv6 only: an IPv4 client must not appear as ::ffff:192.0.2.1, in no answer and no policy.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // Connections of the server before may linger (TIME_WAIT); they must not keep us from starting.
        socket.set_reuse_address(true)?;
    }
    Ok(socket)
}

/// A small query costs the kernel about 800 octets: room for five thousand, a burst of some milliseconds.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// What the kernel keeps of the answers to a client that reads slowly; it doubles it for its own needs. Room for the largest answer
/// and what a turn can add to it, so that whoever reads a long pipeline at 13 kB/s or more makes room within the shortest idle time in use (10 s).
const SEND_BUFFER: usize = 128 * 1024;

/// Connections that may wait for `accept`. A burst of a thousand is what a resolver farm does after a truncated answer.
const BACKLOG: i32 = 1024;

//--- Errors

/// Why the listeners are not as wanted.
#[derive(Debug)]
pub enum ListenError {
    /// A socket cannot be bound.
    Bind {
        /// The address of the config.
        address: SocketAddr,
        /// The system's reason.
        error: io::Error,
    },
    /// `listen` and `dot.listen` name the same address and port.
    TwoSpeeches {
        /// The address that both name.
        address: SocketAddr,
    },
    /// DoT has nothing to show.
    Certificate(CertificateError),
    /// The system refuses a thread or what else a worker needs.
    Resource(io::Error),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::Bind { address, error } => write!(f, "cannot listen on {address}: {error}{}", hint(*address, error)),
            ListenError::TwoSpeeches { address } => {
                write!(f, "cannot listen on {address} for DNS and for DNS over TLS at once: they need different ports")
            }
            ListenError::Certificate(error) => error.fmt(f),
            ListenError::Resource(error) => write!(f, "cannot start a worker: {error}"),
        }
    }
}

impl std::error::Error for ListenError {}

/// What to do about it, behind a semicolon; empty when we do not know.
fn hint(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::PermissionDenied if port < 1024 => {
            "; ports below 1024 need the capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=)".to_owned()
        }
        io::ErrorKind::AddrInUse => match holder_of(port) {
            Some((command, pid)) => format!("; `{command}` (process {pid}) has it"),
            None => format!("; `ss -lntup sport = :{port}`, run as root, shows who has it"),
        },
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has this address".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::desk::fake::Echo;
    use super::super::dot::fake::{Identity, identity};
    use super::*;
    use crate::snapshot::{DotSettings, TcpLimits};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::path::PathBuf;

    const PATIENT: Duration = Duration::from_secs(30);
    const QUERY: &[u8] = b"twelve octets";
    const FREE: &str = "127.0.0.1:0";

    fn settings(listen: &[SocketAddr], workers: usize) -> Settings {
        Settings {
            listen: listen.to_vec(),
            dot: None,
            admin: None,
            reports: Vec::new(),
            state_dir: None,
            state_max_age: Duration::ZERO,
            journal_max_octets: 0,
            watch: false,
            workers,
            busy_wait: false,
            startup_deadline: Duration::ZERO,
            tcp: TcpLimits { connections: 100, connections_per_client: 100, idle: PATIENT },
        }
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn open(settings: &Settings) -> Listeners<Echo> {
        Listeners::open(settings, Arc::default()).expect("free ports")
    }

    fn serving(settings: &Settings) -> Listeners<Echo> {
        let mut listeners = open(settings);
        listeners.start(Echo::default()).expect("threads");
        listeners
    }

    fn client() -> UdpSocket {
        let socket = UdpSocket::bind(FREE).expect("a free port");
        socket.set_read_timeout(Some(PATIENT)).expect("a timeout above zero");
        socket
    }

    fn ask_udp(client: &UdpSocket, server: SocketAddr) {
        client.send_to(QUERY, server).expect("room in the socket");
    }

    fn assert_answered(client: &UdpSocket, server: SocketAddr) {
        let (len, from) = client.recv_from(&mut [0; 64]).expect("an answer");
        assert_eq!((len, from), (8 + QUERY.len(), server));
    }

    fn framed() -> Vec<u8> {
        [&u16::try_from(QUERY.len()).expect("a short query").to_be_bytes(), QUERY].concat()
    }

    fn ask_tcp(server: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(server).expect("a listening server");
        client.set_read_timeout(Some(PATIENT)).expect("a timeout above zero");
        client.write_all(&framed()).expect("an open connection");
        client
    }

    fn assert_answered_in(mut stream: impl Read) {
        stream.read_exact(&mut [0; 2 + 8 + QUERY.len()]).expect("an answer");
    }

    fn is_free(addr: SocketAddr) -> bool {
        UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok()
    }

    #[test]
    fn what_the_kernel_keeps_for_a_slow_reader_is_bounded_on_every_connection() {
        let listener = bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let _client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let (accepted, _) = listener.accept().expect("it is connected");
        assert_eq!(socket2::SockRef::from(&accepted).send_buffer_size().expect("an option of every socket"), 2 * SEND_BUFFER);
    }

    #[test]
    fn udp_and_tcp_share_the_port_that_the_kernel_chose_and_queries_wait_for_the_start() {
        let mut listeners = open(&settings(&[addr(FREE)], 2));
        let [udp, tcp] = listeners.addresses()[..] else { panic!("UDP and TCP") };
        assert_eq!((udp.transport, tcp.transport, udp.bound), (Transport::Udp, Transport::Tcp, tcp.bound));
        assert_ne!(udp.bound.port(), 0);
        let client = client();
        ask_udp(&client, udp.bound);
        let stream = ask_tcp(tcp.bound);
        listeners.start(Echo::default()).expect("threads");
        assert_answered(&client, udp.bound);
        assert_answered_in(stream);
        listeners.stop(PATIENT);
        assert!(is_free(udp.bound), "a stop closes the sockets");
    }

    #[test]
    fn connections_inherit_that_answers_are_not_held_back() {
        let listener = bind_tcp(addr(FREE)).expect("a free port");
        let _client = TcpStream::connect(listener.local_addr().expect("a bound socket")).expect("a listening server");
        assert!(listener.accept().expect("a connection").0.nodelay().expect("an open connection"));
    }

    #[test]
    fn an_address_that_somebody_else_serves_is_an_error_that_says_who() {
        let first = open(&settings(&[addr(FREE)], 1));
        let taken = first.addresses()[0].bound;
        let refusal = Listeners::<Echo>::open(&settings(&[taken], 1), Arc::default()).expect_err("it is taken");
        let text = refusal.to_string();
        assert!(text.contains(&format!("cannot listen on {taken}: ")), "{text}");
        assert!(text.contains(&format!("(process {}) has it", std::process::id())), "{text}");
    }

    #[test]
    fn an_address_that_somebody_else_serves_is_an_error_whatever_else_we_serve_on_its_port() {
        let first = open(&settings(&[addr(FREE)], 1));
        let taken = first.addresses()[0].bound;
        let free = SocketAddr::from(([127, 0, 0, 2], taken.port()));
        let is_refused =
            |result: Result<Changes, ListenError>| matches!(result, Err(ListenError::Bind { address, .. }) if address == taken);
        let both = settings(&[free, taken], 1);
        assert!(is_refused(Listeners::<Echo>::open(&both, Arc::default()).map(|_| Changes::default())), "at the start");
        let mut second = serving(&settings(&[free], 1));
        assert!(is_refused(second.reconcile(&both)), "at a reload");
        drop(first);
        second.reconcile(&both).expect("nobody else serves it now");
        second.stop(PATIENT);
    }

    #[test]
    fn an_address_of_another_machine_is_an_error_with_a_hint() {
        let refusal = Listeners::<Echo>::open(&settings(&[addr("192.0.2.1:5300")], 1), Arc::default()).expect_err("not ours");
        assert!(refusal.to_string().contains("no interface of this machine has this address"), "{refusal}");
        let denied = ListenError::Bind { address: addr("127.0.0.1:53"), error: io::ErrorKind::PermissionDenied.into() };
        assert!(denied.to_string().contains("CAP_NET_BIND_SERVICE"), "{denied}");
    }

    #[test]
    fn a_reload_opens_what_is_new_and_closes_what_is_gone_and_leaves_the_rest() {
        let (stays, goes) = (addr("127.0.0.1:0"), addr("127.0.0.2:0"));
        let comes = addr("127.0.0.3:0");
        let mut listeners = serving(&settings(&[stays, goes], 2));
        let before = listeners.addresses();
        let mut kept = ask_tcp(before[0].bound);
        let client = client();
        ask_udp(&client, before[2].bound);
        let changes = listeners.reconcile(&settings(&[stays, comes], 2)).expect("free ports");
        assert_eq!(changes.closed, before[2..]);
        assert_eq!(changes.opened.iter().map(|listening| listening.asked).collect::<Vec<_>>(), [comes; 2]);
        assert_eq!(listeners.addresses()[..2], before[..2], "an address that stays keeps its port");
        // What had arrived at the closed address is answered, and connections to the other one never noticed.
        assert_answered(&client, before[2].bound);
        assert_answered_in(&kept);
        kept.write_all(&framed()).expect("an open connection");
        assert_answered_in(&kept);
        ask_udp(&client, changes.opened[0].bound);
        assert_answered(&client, changes.opened[0].bound);
        drop(kept);
        listeners.stop(PATIENT);
        assert!(is_free(before[2].bound));
    }

    #[test]
    fn a_reload_that_fails_changes_nothing() {
        let mut listeners = serving(&settings(&[addr(FREE)], 1));
        let before = listeners.addresses();
        let holder = UdpSocket::bind("127.0.0.2:0").expect("a free port");
        let held = holder.local_addr().expect("a bound socket");
        let refusal = listeners.reconcile(&settings(&[addr("127.0.0.3:0"), held], 4));
        assert!(matches!(refusal, Err(ListenError::Bind { address, .. }) if address == held), "{refusal:?}");
        assert_eq!(listeners.addresses(), before);
        let client = client();
        ask_udp(&client, before[0].bound);
        assert_answered(&client, before[0].bound);
        listeners.stop(PATIENT);
    }

    #[test]
    fn workers_come_and_go_without_the_loss_of_a_query() {
        let listen = [addr(FREE)];
        let mut listeners = serving(&settings(&listen, 1));
        let server = listeners.addresses()[0].bound;
        // Many clients, so that the kernel spreads them over all sockets of the group.
        let clients: Vec<UdpSocket> = (0..40).map(|_| client()).collect();
        for workers in [4, 2, 1, 3] {
            for client in &clients {
                ask_udp(client, server);
            }
            let changes = listeners.reconcile(&settings(&listen, workers)).expect("the port is ours");
            assert_eq!(changes, Changes::default());
            assert_eq!(listeners.stations[0].workers.len(), workers);
            for client in &clients {
                assert_answered(client, server);
            }
        }
        listeners.stop(PATIENT);
    }

    #[test]
    fn one_port_cannot_speak_dns_and_tls() {
        let both = addr("127.0.0.1:5300");
        let dot = DotSettings { listen: vec![both], certificate: PathBuf::new(), key: PathBuf::new() };
        let refusal = places(&Settings { dot: Some(dot), ..settings(&[both, both], 1) });
        assert!(matches!(refusal, Err(ListenError::TwoSpeeches { address }) if address == both));
        assert_eq!(places(&settings(&[both, both], 1)).expect("DNS alone").len(), 1, "named twice, served once");
    }

    #[test]
    fn a_wildcard_and_one_of_its_addresses_may_be_served_side_by_side() {
        let mut listeners = serving(&settings(&[addr("0.0.0.0:0")], 1));
        let port = listeners.addresses()[0].bound.port();
        let special = SocketAddr::from(([127, 0, 0, 9], port));
        listeners.reconcile(&settings(&[addr("0.0.0.0:0"), special], 1)).expect("the port is ours");
        let client = client();
        for server in [special, SocketAddr::from(([127, 0, 0, 10], port))] {
            ask_udp(&client, server);
            assert_answered(&client, server);
            assert_answered_in(ask_tcp(server));
        }
        listeners.stop(PATIENT);
    }

    #[test]
    fn tls_is_opened_renewed_and_closed_by_reloads() {
        let folder = std::env::temp_dir().join(format!("steersman-listeners-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a writable directory for temporary files");
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let install = || {
            let identity = identity();
            std::fs::write(&certificate, &identity.certificate).expect("a writable directory");
            std::fs::write(&key, &identity.key).expect("a writable directory");
            identity
        };
        let dot = DotSettings { listen: vec![addr(FREE)], certificate: certificate.clone(), key: key.clone() };
        let with = Settings { dot: Some(dot), ..settings(&[addr(FREE)], 2) };
        let ask = |identity: &Identity, server: SocketAddr| {
            let mut stream = identity.connect(server, &[b"dot"]);
            stream.write_all(&framed()).expect("a trusted connection");
            assert_answered_in(stream);
        };
        let first = install();
        let mut listeners = serving(&with);
        let server = listeners.addresses()[2];
        assert_eq!(server.transport, Transport::Tls);
        ask(&first, server.bound);
        let second = install();
        ask(&first, server.bound);
        assert_eq!(listeners.reconcile(&with).expect("the port is ours"), Changes::default());
        ask(&second, server.bound);
        std::fs::remove_file(&key).expect("the key of before");
        assert!(matches!(listeners.reconcile(&with), Err(ListenError::Certificate(_))));
        let changes = listeners.reconcile(&settings(&[addr(FREE)], 2)).expect("nothing to open");
        assert_eq!((changes.opened, changes.closed), (vec![], vec![server]));
        listeners.stop(PATIENT);
        std::fs::remove_dir_all(&folder).expect("the directory of before");
    }
}
