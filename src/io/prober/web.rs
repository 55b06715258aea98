//! The HTTP client of one target: a connection for every probe, and nothing that is kept.
//!
//! The connection always goes to the address of the target, while the Host header, the TLS server name and the name that
//! the certificate must bear are those of the service. Redirects are answers, not instructions; there are no proxies; a connection serves one
//! probe, since a kept one would prove nothing about new ones.

use super::connect::connect;
use super::fault::Fault;
use super::trail::{Phase, Trail};
use super::trust::Trust;
use super::witness::Witness;
use crate::check::{HttpVersion, TlsRules};
use crate::health::Doubt;
use crate::snapshot::Target;
use http::header::{ACCEPT, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::request;
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::{Position, Url};

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
        let url = url(target.addr, way, what.path)?;
        let witness = Witness::default();
        let tls = way.tls.map(|rules| Tls::new(rules, &url, way.version, trust, &witness)).transpose()?;
        let request = request(&url, way.version, what)?;
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
        let Some(tls) = &self.tls else { return self.speak(stream, trail, enough, judge).await };
        let stream = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.name.clone(), stream).await?;
        trail.mark(Phase::Secured, "");
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
                let (mut sender, connection) = http1::handshake(stream).await?;
                let work = async move { receive(sender.send_request(request).await?, trail, enough, judge).await };
                drive(connection, work).await
            }
            HttpVersion::Two => {
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                let work = async move { receive(sender.send_request(request).await?, trail, enough, judge).await };
                drive(connection, work).await
            }
        }
    }
}

impl Tls {
    fn new(rules: &TlsRules, url: &Url, version: HttpVersion, trust: &Trust, witness: &Witness) -> Result<Tls, Doubt> {
        let host = url.host_str().unwrap_or_default();
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|_| Doubt::Unaskable)?;
        let mut config = trust.config(rules, witness)?;
        if version == HttpVersion::Two {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        Ok(Tls { config: Arc::new(config), name })
    }
}

/// Does `work` on a connection that is driven meanwhile, and then lets the connection say goodbye.
async fn drive<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let (mut connection, mut work) = (pin!(connection), pin!(work));
    let mut ended = false;
    let done = poll_fn(|context| {
        // What ends a connection is told to whoever works on it as well.
        ended = ended || connection.as_mut().poll(context).is_ready();
        work.as_mut().poll(context)
    });
    let done = done.await;
    poll_fn(|context| {
        if !ended {
            // A goodbye that cannot be said at once is not waited for.
            let _ = connection.as_mut().poll(context);
        }
        Poll::Ready(())
    })
    .await;
    done
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
    /// Headers; of HTTP/1 the Host header too, where it is not that of the URL.
    pub headers: HeaderMap,
    /// May be empty.
    pub body: Bytes,
}

fn request(url: &Url, version: HttpVersion, what: What<'_>) -> Result<Request<Full<Bytes>>, Doubt> {
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let builder: request::Builder = Request::builder().method(what.method);
    let builder = match version {
        HttpVersion::One => builder.uri(path.parse::<PathAndQuery>().map_err(|_| Doubt::Unaskable)?),
        HttpVersion::Two => {
            let whole = Uri::builder().scheme(url.scheme()).authority(&url[Position::BeforeHost..Position::AfterPort]).path_and_query(path);
            builder.version(http::Version::HTTP_2).uri(whole.build().map_err(|_| Doubt::Unaskable)?)
        }
    };
    let mut request = builder.body(Full::new(what.body)).map_err(|_| Doubt::Unaskable)?;
    let headers = request.headers_mut();
    *headers = what.headers;
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    if version == HttpVersion::One && !headers.contains_key(HOST) {
        // RFC 9112 3.2: the authority of the URL, without the port where that is the usual one.
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| Doubt::Unaskable)?);
    }
    Ok(request)
}

/// The URL that is asked for, whose host is the name that the certificate is checked for.
///
/// An address as host names no service that a certificate could be checked for instead of the target's own, so that the
/// URL then bears the target's address.
///
/// # Errors
/// Host or path fit in no URL.
fn url(addr: SocketAddr, way: Way<'_>, path: &str) -> Result<Url, Doubt> {
    let scheme = if way.tls.is_some() { "https" } else { "http" };
    let authority = match way.host.filter(|host| literal(host).is_none()) {
        Some(host) => format!("{host}:{}", addr.port()),
        // A URL has no place for the scope of a link-local address (RFC 3986 3.2.2).
        None => SocketAddr::new(addr.ip(), addr.port()).to_string(),
    };
    Url::parse(&format!("{scheme}://{authority}{path}")).map_err(|_| Doubt::Unaskable)
}

/// The address that `host` spells, in brackets or not, where it spells one.
pub fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// What shows in the access logs of targets.
const AGENT: &str = concat!("steersman/", env!("CARGO_PKG_VERSION"), " (health probe)");

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(addr: &str, tls: bool, host: Option<&str>, path: &str) -> Result<String, Doubt> {
        let way = Way { tls: tls.then_some(&TlsRules::STRICT), host, version: HttpVersion::One };
        url(addr.parse().expect("the test's own address"), way, path).map(|url| url.to_string())
    }

    #[test]
    fn the_url_bears_the_name_of_the_service_and_the_port_of_the_target() {
        let url = shown("192.0.2.1:8443", true, Some("www.example.com"), "/healthz?deep=1");
        assert_eq!(url.as_deref(), Ok("https://www.example.com:8443/healthz?deep=1"));
    }

    #[test]
    fn a_bare_address_is_asked_for_itself_and_no_other_address_ever() {
        assert_eq!(shown("192.0.2.1:8080", false, None, "/").as_deref(), Ok("http://192.0.2.1:8080/"));
        assert_eq!(shown("[2001:db8::1]:80", false, None, "/").as_deref(), Ok("http://[2001:db8::1]/"));
        assert_eq!(shown("192.0.2.1:80", false, Some("198.51.100.1"), "/").as_deref(), Ok("http://192.0.2.1/"));
    }

    #[test]
    fn a_host_that_fits_in_no_url_is_a_doubt() {
        assert_eq!(shown("192.0.2.1:80", false, Some("no host"), "/"), Err(Doubt::Unaskable));
    }

    fn asked(version: HttpVersion, text: &str) -> Request<Full<Bytes>> {
        let what = What { method: Method::GET, path: "", headers: HeaderMap::new(), body: Bytes::new() };
        request(&Url::parse(text).expect("a URL"), version, what).expect("a request")
    }

    #[test]
    fn http_1_is_asked_for_the_path_and_names_the_host_and_http_2_is_asked_for_the_whole() {
        let one = asked(HttpVersion::One, "http://192.0.2.1:8080/a b?c=\u{e9}#part");
        assert_eq!(one.uri(), "/a%20b?c=%C3%A9");
        assert_eq!(one.headers()[HOST], "192.0.2.1:8080");
        assert_eq!(asked(HttpVersion::One, "https://www.example.com/").headers()[HOST], "www.example.com");
        let two = asked(HttpVersion::Two, "https://www.example.com:8443/a?b");
        assert_eq!((two.uri().to_string().as_str(), two.headers().get(HOST)), ("https://www.example.com:8443/a?b", None));
    }
}
