//! One answer, three ways to it: what UDP, TCP and DNS over TLS say is the same, and it follows what is published.
//!
//! Real sockets on loopback, the listeners as `serve` opens them, and the live view that a config compiles to.

#![allow(clippy::disallowed_methods, reason = "a test of the shell opens sockets and writes its certificate")]

#[path = "support/live.rs"]
mod support;

use arc_swap::ArcSwap;
use hickory_proto::op::{Message, ResponseCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steersman::answer::{Outcome, Transport, UDP_PAYLOAD_MAX};
use steersman::dns::Rtype;
use steersman::io::counters::CounterBoard;
use steersman::io::desk::Answering;
use steersman::io::listeners::Listeners;
use steersman::live::Live;
use steersman::snapshot::{DotSettings, Settings, Snapshot};

const POLICIES: &str = r"
pools:
  fra: {members: [{name: fra-1, a: 192.0.2.1}]}
  nyc: {members: [{name: nyc-1, a: 198.51.100.1}]}
policies:
  www: {type: failover, use: [fra, nyc]}
";

/// With a TXT of 2,000 octets at `long`: more than fits UDP.
fn zone() -> String {
    let text = format!("[{}]", (0..10).map(|n| n.to_string().repeat(200)).map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", "));
    format!(
        "zone: gslb.example.com\nsoa: {{mname: ns1, rname: hostmaster}}\nrecords:\n  \"@\": {{NS: [ns1]}}\n  ns1: {{A: 192.0.2.53}}\n  \
         www: {{steer: www}}\n  shop: {{CNAME: www}}\n  long: {{TXT: {text}}}\n"
    )
}

/// Longer than any test takes.
const PATIENT: Duration = Duration::from_secs(30);

/// A whole data plane on ports that the kernel chose.
struct Server {
    snapshot: Arc<Snapshot>,
    published: Arc<ArcSwap<Live>>,
    board: Arc<CounterBoard>,
    listeners: Listeners,
    certificate: CertificateDer<'static>,
    folder: PathBuf,
}

impl Server {
    fn start(name: &str) -> Server {
        let mut server = Server::open(name);
        server.answer();
        server
    }

    /// What arrives waits until [`Server::answer`].
    fn open(name: &str) -> Server {
        let folder = std::env::temp_dir().join(format!("steersman-transports-{name}-{}", std::process::id()));
        let snapshot = Arc::new(support::snapshot(POLICIES, &[&zone()]).unwrap_or_else(|report| panic!("{report}")));
        let dot = certificate(&folder);
        let certificate = CertificateDer::from_pem_file(&dot.certificate).expect("the certificate of before");
        let settings = Settings { dot: Some(dot), workers: 2, ..snapshot.settings.clone() };
        let board = Arc::new(CounterBoard::new());
        let listeners = Listeners::open(&settings, Arc::clone(&board)).expect("free ports");
        let published = Arc::new(ArcSwap::from_pointee(support::live(Arc::clone(&snapshot), &BTreeMap::new())));
        Server { snapshot, published, board, listeners, certificate, folder }
    }

    fn answer(&mut self) {
        self.listeners.start(Answering { live: Arc::clone(&self.published), handed_out: Arc::default() }).expect("threads");
    }

    fn address(&self, transport: Transport) -> SocketAddr {
        let listening = self.listeners.addresses().into_iter().find(|listening| listening.transport == transport);
        listening.expect("all transports are configured").bound
    }

    fn over_udp(&self, query: &[u8]) -> Vec<u8> {
        receive_udp(&self.send_udp(&[query.to_vec()]))
    }

    /// Sends all from one socket, which the answers come back to.
    fn send_udp(&self, queries: &[Vec<u8>]) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(PATIENT)).expect("a timeout above zero");
        for query in queries {
            socket.send_to(query, self.address(Transport::Udp)).expect("room in the socket");
        }
        socket
    }

    fn connect(&self, transport: Transport) -> TcpStream {
        let stream = TcpStream::connect(self.address(transport)).expect("a listening server");
        stream.set_read_timeout(Some(PATIENT)).expect("a timeout above zero");
        stream
    }

    fn connect_tls(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the library's own defaults")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "ns1.gslb.example.com".try_into().expect("a valid name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a valid configuration");
        StreamOwned::new(connection, self.connect(Transport::Tls))
    }

    /// The responses over UDP, TCP and TLS.
    fn over_all(&self, query: &[u8]) -> [Vec<u8>; 3] {
        [self.over_udp(query), over_stream(self.connect(Transport::Tcp), query), over_stream(self.connect_tls(), query)]
    }

    fn stop(self) {
        self.listeners.stop(PATIENT);
        std::fs::remove_dir_all(self.folder).expect("the directory of before");
    }
}

fn certificate(folder: &Path) -> DotSettings {
    std::fs::create_dir_all(folder).expect("a writable directory for temporary files");
    let made = rcgen::generate_simple_self_signed(["ns1.gslb.example.com".to_owned()]).expect("a valid name");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("a writable directory");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a writable directory");
    DotSettings { listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))], certificate, key }
}

fn receive_udp(socket: &UdpSocket) -> Vec<u8> {
    let mut response = vec![0; 65_535];
    let len = socket.recv(&mut response).expect("an answer");
    response.truncate(len);
    response
}

fn over_stream(mut stream: impl Read + Write, query: &[u8]) -> Vec<u8> {
    send(&mut stream, query);
    receive(&mut stream)
}

fn send(stream: &mut impl Write, query: &[u8]) {
    let length = u16::try_from(query.len()).expect("a short query").to_be_bytes();
    stream.write_all(&[&length, query].concat()).expect("an open connection");
}

fn receive(stream: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("an answer");
    let mut response = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut response).expect("a whole answer");
    response
}

/// A query for a name in the zone, `edns` being the UDP size to announce.
fn query(id: u16, label: &str, qtype: Rtype, edns: Option<u16>) -> Vec<u8> {
    let mut query = [id.to_be_bytes(), [1, 0], [0, 1], [0, 0], [0, 0], [0, u8::from(edns.is_some())]].concat();
    for label in [label, "gslb", "example", "com"] {
        query.push(u8::try_from(label.len()).expect("a short label"));
        query.extend(label.bytes());
    }
    query.push(0);
    query.extend([qtype.0.to_be_bytes(), [0, 1]].concat());
    if let Some(size) = edns {
        query.extend([&[0, 0, 41][..], &size.to_be_bytes(), &[0; 6]].concat());
    }
    query
}

fn read(response: &[u8]) -> Message {
    Message::from_vec(response).expect("a message that another library can read")
}

#[test]
fn an_answer_is_the_same_to_the_octet_over_every_transport() {
    let server = Server::start("same");
    for edns in [None, Some(1232)] {
        for (label, qtype) in [("www", Rtype::A), ("ns1", Rtype::A), ("www", Rtype::AAAA), ("missing", Rtype::A)] {
            let [udp, tcp, tls] = server.over_all(&query(0x1234, label, qtype, edns));
            assert_eq!((&udp, &udp), (&tcp, &tls), "{label} {qtype:?} {edns:?}");
            assert_eq!(read(&udp).metadata.id, 0x1234);
        }
    }
    server.stop();
}

#[test]
fn queries_that_come_in_one_batch_with_rubbish_between_them_get_the_answers_that_each_gets_alone() {
    let mut server = Server::open("batch");
    let labels = ["www", "missing", "shop", "ns1", "SHOP", "long", "Www"];
    let queries: Vec<_> = (0..100).zip(labels.iter().cycle()).map(|(id, label)| query(id, label, Rtype::A, Some(1232))).collect();
    let response = [&[0xff, 0xff, 0x80], &[0; 20][..]].concat();
    let batch: Vec<_> = queries.iter().flat_map(|query| [query.clone(), query[..5].to_vec(), response.clone()]).collect();
    let socket = server.send_udp(&batch);
    server.answer();
    let answers: Vec<_> = queries.iter().map(|_| receive_udp(&socket)).collect();
    for (query, answer) in queries.iter().zip(&answers) {
        assert_eq!(*answer, server.over_udp(query));
        assert_eq!(answer[..2], query[..2]);
    }
    server.stop();
}

#[test]
fn what_is_no_query_is_refused_alike_over_every_transport() {
    let server = Server::start("refused");
    let cut = &query(1, "www", Rtype::A, None)[..20];
    let mut notify = query(2, "www", Rtype::A, None);
    notify[2] = 4 << 3;
    for (bytes, rcode) in [(cut, ResponseCode::FormErr), (&notify, ResponseCode::NotImp)] {
        let [udp, tcp, tls] = server.over_all(bytes);
        assert_eq!((&udp, &udp), (&tcp, &tls));
        assert_eq!(read(&udp).metadata.response_code, rcode);
    }
    server.stop();
}

#[test]
fn what_udp_cuts_is_whole_over_tcp_and_tls() {
    let server = Server::start("long");
    let [udp, tcp, tls] = server.over_all(&query(7, "long", Rtype::TXT, Some(4096)));
    assert!(udp.len() <= UDP_PAYLOAD_MAX && read(&udp).metadata.truncation);
    assert_eq!(tcp, tls);
    assert!(tcp.len() > 2000 && !read(&tcp).metadata.truncation);
    assert_eq!(server.board.totals().of(Transport::Udp).truncated, 1);
    server.stop();
}

#[test]
fn a_published_flip_is_seen_by_the_next_query_even_on_an_open_connection() {
    let server = Server::start("flip");
    let question = query(9, "www", Rtype::A, None);
    let (mut tcp, mut tls) = (server.connect(Transport::Tcp), server.connect_tls());
    let flips = [(support::UP, "192.0.2.1"), (support::DOWN, "198.51.100.1"), (support::UP, "192.0.2.1")];
    for (fra, expected) in flips {
        let verdicts = BTreeMap::from([("fra-1".to_owned(), fra)]);
        server.published.store(Arc::new(support::live(Arc::clone(&server.snapshot), &verdicts)));
        send(&mut tcp, &question);
        send(&mut tls, &question);
        for response in [server.over_udp(&question), receive(&mut tcp), receive(&mut tls)] {
            let answers: Vec<String> = read(&response).answers.iter().map(|record| record.data.to_string()).collect();
            assert_eq!(answers, [expected]);
        }
    }
    server.stop();
}

#[test]
fn every_answer_is_counted_once_by_transport_and_outcome() {
    let server = Server::start("count");
    for label in ["www", "www", "ns1", "missing"] {
        server.over_all(&query(1, label, Rtype::A, None));
    }
    for (transport, totals) in server.board.totals().iter() {
        let outcomes = [Outcome::Steered, Outcome::Static, Outcome::NameError].map(|outcome| totals.answers(outcome));
        assert_eq!((totals.queries, outcomes), (4, [2, 1, 1]), "{transport:?}");
        let connections = if transport == Transport::Udp { 0 } else { 4 };
        assert_eq!(totals.connections.accepted, connections, "{transport:?}");
    }
    server.stop();
}
