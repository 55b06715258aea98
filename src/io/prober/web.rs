//! The HTTP client of one target: a connection for every probe, and nothing that is kept.
//!
//! The connection always goes to the address of the target, while the Host header, the TLS server name and the name that
//! the certificate must bear are those of the service. Redirects are answers, not instructions; there are no proxies; a connection serves one
//! probe, since a kept one would prove nothing about new ones.

use super::connect::connect;
use super::fault::Fault;
use super::ration::Ration;
use super::tls::server_name;
use super::trail::{Phase, Trail};
use super::trust::Trust;
use super::witness::Witness;
use crate::check::{HttpVersion, TlsRules};
use crate::health::{Doubt, FailReason};
use crate::snapshot::Target;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Asks one target one thing.
#[derive(Debug)]
pub struct WebClient {
    addr: SocketAddr,
    source: Option<IpAddr>,
    version: HttpVersion,
    tls: Option<Tls>,
    witness: Witness,
    request: Request<Full<Bytes>>,
}

#[derive(Debug)]
struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Who is asked, in which way.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The rules of TLS; none: in the clear.
    pub tls: Option<&'a TlsRules>,
    /// The name of the service.
    pub host: Option<&'a str>,
    /// The version of HTTP.
    pub version: HttpVersion,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: Parts,
    /// As much of the body as was wanted.
    pub body: Vec<u8>,
    /// What stands behind the body, where it was read to its end.
    pub trailers: HeaderMap,
}

impl WebClient {
    /// A client that connects to the address of `target` and asks for `path`, with these headers and this body.
    ///
    /// # Errors
    /// This node lacks what the check needs, or it fits in no request.
    pub fn new(target: &Target, way: Way<'_>, what: What<'_>, trust: &Trust) -> Result<WebClient, Doubt> {
        let witness = Witness::default();
        let tls = way.tls.map(|rules| Tls::new(rules, way, target.addr, trust, &witness)).transpose()?;
        let request = request(target.addr, way, what)?;
        Ok(WebClient { addr: target.addr, source: target.source, version: way.version, tls, witness, request })
    }

    /// Asks once, and reads the answer until it ends or `enough` octets are there, unless its head is judged to be wrong.
    ///
    /// # Errors
    /// What is wrong with the target, or with this node.
    pub async fn ask(&self, trail: &Arc<Trail>, enough: usize, judge: impl FnOnce(&Parts) -> Result<(), Fault>) -> Result<Answer, Fault> {
        self.witness.follow(trail);
        let stream = connect(self.addr, self.source, trail).await?;
        // The request follows the last message of the handshake, and must not wait until that has been acknowledged.
        stream.set_nodelay(true)?;
        let stream = Ration::of(stream, enough + BESIDE);
        let Some(tls) = &self.tls else { return self.speak(stream, trail, enough, judge).await };
        let stream = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.name.clone(), stream).await?;
        trail.mark(Phase::Secured, "");
        if self.version == HttpVersion::Two && stream.get_ref().1.alpn_protocol() != Some(H2) {
            return Err(FailReason::Content("the server does not agree on h2".into()).into());
        }
        self.speak(stream, trail, enough, judge).await
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        trail: &Trail,
        enough: usize,
        judge: impl FnOnce(&Parts) -> Result<(), Fault>,
    ) -> Result<Answer, Fault> {
        let (stream, request) = (TokioIo::new(stream), self.request.clone());
        match self.version {
            HttpVersion::One => {
                let mut library = http1::Builder::new();
                library.max_headers(HEADERS_MAX).allow_obsolete_multiline_headers_in_responses(true);
                let (mut sender, connection) = library.handshake(stream).await?;
                let work = async move { receive(sender.send_request(request).await?, trail, enough, judge).await };
                drive(connection, work).await
            }
            HttpVersion::Two => {
                let helpers = Helpers::default();
                let mut library = http2::Builder::new(helpers.hands());
                library.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
                let (mut sender, connection) = library.handshake(stream).await?;
                let work = async move { receive(sender.send_request(request).await?, trail, enough, judge).await };
                let answer = drive(connection, work).await;
                // Those who would say goodbye get one turn for it.
                tokio::task::yield_now().await;
                answer
            }
        }
    }
}

impl Tls {
    fn new(rules: &TlsRules, way: Way<'_>, addr: SocketAddr, trust: &Trust, witness: &Witness) -> Result<Tls, Doubt> {
        let name = server_name(way.host, addr)?;
        let mut config = trust.config(rules, witness)?;
        if way.version == HttpVersion::Two {
            config.alpn_protocols = vec![H2.to_vec()];
        }
        Ok(Tls { config: Arc::new(config), name })
    }
}

/// HTTP/2 as handshakes name it (RFC 9113 section 3.2).
const H2: &[u8] = b"h2";

/// What may come beside the part of the body that is looked at: a handshake, the heads of all responses, what frames and chunks take,
/// and the 400 KiB that the library reads ahead.
const BESIDE: usize = 512 * 1024;

/// How much body an HTTP/2 server may send unasked: not as much as would be counted against it.
const WINDOW: u32 = 256 * 1024;

/// The library's own limit of a hundred is what some applications behind two proxies come to.
const HEADERS_MAX: usize = 256;

//--- Connections

/// Does `work` on a connection that is driven meanwhile, and then lets the connection say goodbye.
async fn drive<T>(connection: impl Future<Output = hyper::Result<()>>, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let (mut connection, mut work) = (Some(Box::pin(connection)), pin!(work));
    let mut end = Ok(());
    let mut go_on = |context: &mut Context<'_>| {
        if let Some(Poll::Ready(ended)) = connection.as_mut().map(|connection| connection.as_mut().poll(context)) {
            // Nothing that waits for a connection hears that it is over before the connection is gone.
            (end, connection) = (ended, None);
        }
    };
    let done = poll_fn(|context| {
        go_on(context);
        work.as_mut().poll(context)
    });
    let done = done.await;
    // A goodbye that cannot be said at once is not waited for.
    poll_fn(|context| {
        go_on(context);
        Poll::Ready(())
    })
    .await;
    match (done, end) {
        // Whoever waited hears only that it is over. The connection knows why.
        (Err(Fault::OfTarget(FailReason::Reset)), Err(why)) => Err(why.into()),
        (done, _) => done,
    }
}

/// What hyper starts beside a connection over HTTP/2. It ends with the probe: a server that keeps a connection busy cannot keep it open.
#[derive(Debug, Default)]
struct Helpers(Arc<Mutex<JoinSet<()>>>);

impl Helpers {
    fn hands(&self) -> Hands {
        Hands(Arc::downgrade(&self.0))
    }
}

/// Where hyper gets its helpers. They hold hands themselves, which must not keep them.
#[derive(Clone, Debug)]
struct Hands(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Hands {
    fn execute(&self, helper: F) {
        // After the probe nobody is helped any more.
        if let Some(helpers) = self.0.upgrade() {
            helpers.lock().unwrap_or_else(PoisonError::into_inner).spawn(helper);
        }
    }
}

/// Reads an answer to its end, or to as much of it as is looked at: a target that breaks off in the middle is not well.
async fn receive(
    response: Response<Incoming>,
    trail: &Trail,
    enough: usize,
    judge: impl FnOnce(&Parts) -> Result<(), Fault>,
) -> Result<Answer, Fault> {
    trail.mark(Phase::Answered, format!("{:?} {}", response.version(), response.status()));
    let (head, mut incoming) = response.into_parts();
    judge(&head)?;
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    while body.len() < enough
        && let Some(frame) = incoming.frame().await
    {
        match frame?.into_data() {
            Ok(data) => body.extend_from_slice(&data[..data.len().min(enough - body.len())]),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok(Answer { head, body, trailers })
}

//--- Requests

/// What is asked.
#[derive(Clone, Debug)]
pub struct What<'a> {
    /// How.
    pub method: Method,
    /// Begins with `/`.
    pub path: &'a str,
    /// Headers of its own.
    pub headers: HeaderMap,
    /// May be empty.
    pub body: Bytes,
}

fn request(addr: SocketAddr, way: Way<'_>, what: What<'_>) -> Result<Request<Full<Bytes>>, Doubt> {
    let authority = authority(addr, way);
    let path = what.path.parse::<PathAndQuery>().map_err(|_| Doubt::Unaskable)?;
    // A method that takes a body says so when there is none (RFC 9110 section 8.6). Where there is one, the library counts it.
    let wants_length = what.body.is_empty() && matches!(what.method, Method::POST | Method::PUT);
    let mut request = Request::new(Full::new(what.body));
    *request.method_mut() = what.method;
    *request.headers_mut() = what.headers;
    let headers = request.headers_mut();
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    if wants_length {
        headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
    }
    match way.version {
        HttpVersion::One => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            headers.insert(HOST, HeaderValue::from_str(&authority).map_err(|_| Doubt::Unaskable)?);
            *request.uri_mut() = path.into();
        }
        // It has neither of these headers (RFC 9113 sections 8.2.2 and 8.3.1).
        HttpVersion::Two => {
            let scheme = if way.tls.is_some() { "https" } else { "http" };
            let whole = Uri::builder().scheme(scheme).authority(authority).path_and_query(path);
            *request.uri_mut() = whole.build().map_err(|_| Doubt::Unaskable)?;
            *request.version_mut() = http::Version::HTTP_2;
        }
    }
    Ok(request)
}

/// Whom the request is for: the name of the service as it was written; else the address, with its port where that is not the usual one.
fn authority(addr: SocketAddr, way: Way<'_>) -> String {
    let usual = if way.tls.is_some() { 443 } else { 80 };
    let bare = |ip: IpAddr| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    match way.host.map(|host| (host, host.parse::<IpAddr>())) {
        Some((host, Err(_))) => host.to_owned(),
        Some((_, Ok(ip))) if ip != addr.ip() => bare(ip),
        Some((_, Ok(_))) | None if addr.port() == usual => bare(addr.ip()),
        // There is no place for the scope of a link-local address (RFC 3986 section 3.2.2).
        Some((_, Ok(_))) | None => SocketAddr::new(addr.ip(), addr.port()).to_string(),
    }
}

/// What shows in the access logs of targets.
const AGENT: &str = concat!("steersman/", env!("CARGO_PKG_VERSION"), " (health probe)");

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Way<'static> = Way { tls: None, host: None, version: HttpVersion::One };

    fn asked(addr: &str, way: Way<'_>, path: &str) -> Result<Request<Full<Bytes>>, Doubt> {
        let what = What { method: Method::GET, path, headers: HeaderMap::new(), body: Bytes::new() };
        request(addr.parse().expect("the test's own address"), way, what)
    }

    #[tokio::test]
    async fn a_connection_that_dies_before_it_takes_the_request_ends_the_probe() {
        let check = crate::check::Check::Http(crate::check::HttpCheck::get("/"));
        let rules = crate::health::Rules::plain(std::time::Duration::from_secs(5), std::time::Duration::from_secs(2), 1, 1);
        let target = Target::new("here", rules, ([192, 0, 2, 1], 80).into(), check);
        let what = What { method: Method::GET, path: "/", headers: HeaderMap::new(), body: Bytes::new() };
        let way = Way { version: HttpVersion::Two, ..PLAIN };
        let client = WebClient::new(&target, way, what, &Trust::of_system()).expect("sound");
        // It says at once that it speaks no HTTP/2, or that it has enough (GOAWAY, RFC 9113 section 6.8).
        let goaway = [[0, 0, 0, 4, 0, 0, 0, 0, 0].as_slice(), &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]].concat();
        for said in [b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), goaway] {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            tokio::io::AsyncWriteExt::write_all(&mut theirs, &said).await.expect("there is room");
            let trail = Trail::start();
            let asked = client.speak(ours, &trail, 1024, |_| Ok(()));
            let answer = tokio::time::timeout(std::time::Duration::from_secs(5), asked).await.expect("it ends by itself");
            assert!(matches!(answer, Err(Fault::OfTarget(_))), "{answer:?}");
        }
    }

    #[test]
    fn both_versions_name_the_service_as_it_was_written() {
        for (host, authority) in
            [("www.example.com", "www.example.com"), ("198.51.100.1", "198.51.100.1"), ("2001:db8::7", "[2001:db8::7]")]
        {
            let way = Way { host: Some(host), ..PLAIN };
            let one = asked("192.0.2.1:8443", way, "/healthz?deep=1").expect("sound");
            assert_eq!((&one.headers()[HOST], one.uri().to_string().as_str()), (&HeaderValue::from_static(authority), "/healthz?deep=1"));
            let two = asked("192.0.2.1:8443", Way { version: HttpVersion::Two, ..way }, "/healthz?deep=1").expect("sound");
            assert_eq!(two.uri().to_string(), format!("http://{authority}/healthz?deep=1"));
            assert_eq!(two.headers().get(HOST), None);
        }
    }

    #[test]
    fn an_address_is_named_with_its_port_unless_that_is_the_usual_one() {
        let secure = Way { tls: Some(&TlsRules::STRICT), ..PLAIN };
        let host = |addr, way| asked(addr, way, "/").expect("sound").headers()[HOST].to_str().expect("text").to_owned();
        assert_eq!(host("192.0.2.1:8080", PLAIN), "192.0.2.1:8080");
        assert_eq!(host("192.0.2.1:8080", Way { host: Some("192.0.2.1"), ..PLAIN }), "192.0.2.1:8080");
        assert_eq!(
            (host("[2001:db8::1]:80", PLAIN), host("[2001:db8::1]:80", secure)),
            ("[2001:db8::1]".into(), "[2001:db8::1]:80".into())
        );
        assert_eq!(host("192.0.2.1:443", secure), "192.0.2.1");
    }

    #[test]
    fn what_fits_in_no_request_is_a_doubt() {
        assert_eq!(asked("192.0.2.1:80", Way { host: Some("no\nhost"), ..PLAIN }, "/").map(|_| ()), Err(Doubt::Unaskable));
        assert_eq!(asked("192.0.2.1:80", PLAIN, "/a b").map(|_| ()), Err(Doubt::Unaskable));
    }
}
