//! The HTTP check: a request over TLS or not, and a status that was expected.
//!
//! The connection always goes to the address of the target, while the Host header, the TLS server name and the name that
//! the certificate must bear are those of the service. Redirects are answers, not instructions; proxies from the
//! environment are not asked; a connection serves one probe, since a kept one would prove nothing about new ones.

use super::fault::Fault;
use crate::health::{Doubt, FailReason};
use crate::snapshot::{HttpCheck, Method};
use http::header::{CONNECTION, HOST, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response, Url};
use rustls::ClientConfig;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tower::{Layer, Service};

/// All that a probe of one target needs, made once.
#[derive(Debug)]
pub struct HttpProbe {
    client: Client,
    request: Request,
    expect: Vec<(u16, u16)>,
    stopwatch: Stopwatch,
}

impl HttpProbe {
    /// Prepares the probes of `addr`. `tls` decides which certificates are believed.
    pub fn new(addr: SocketAddr, check: &HttpCheck, tls: ClientConfig) -> Result<HttpProbe, Doubt> {
        let url = url(addr, check)?;
        let stopwatch = Stopwatch::default();
        let client = Client::builder()
            .resolve(url.host_str().unwrap_or_default(), addr)
            .tls_backend_preconfigured(tls)
            .connector_layer(stopwatch.clone())
            .user_agent(USER_AGENT)
            .http1_only()
            .pool_max_idle_per_host(0)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .build()
            .map_err(|_| Doubt::Unaskable)?;
        let request = request(addr, check, url)?;
        Ok(HttpProbe { client, request, expect: check.expect.clone(), stopwatch })
    }

    /// Asks once. Returns how long it took to connect, TLS included, when the status is an expected one and the answer
    /// is complete, or longer than anyone cares for.
    pub async fn look(&self) -> Result<Duration, Fault> {
        let request = self.request.try_clone().expect("a request without a body can be cloned");
        let response = self.client.execute(request).await?;
        let status = response.status().as_u16();
        if !self.expect.iter().any(|&(first, last)| (first..=last).contains(&status)) {
            return Err(FailReason::Status(status).into());
        }
        read_body(response).await?;
        Ok(self.stopwatch.read())
    }
}

/// Reads the answer to its end, or to [`BODY_BYTES_MAX`]: a target that breaks off in the middle is not well.
async fn read_body(mut response: Response) -> Result<(), Fault> {
    let mut read = 0;
    while let Some(chunk) = response.chunk().await? {
        read += chunk.len();
        if read >= BODY_BYTES_MAX {
            break;
        }
    }
    Ok(())
}

/// The URL whose host the TLS library checks the certificate for.
///
/// An address as `host` names no service that a certificate could be checked for instead of the target's own, so that the
/// URL then bears the target's address.
fn url(addr: SocketAddr, check: &HttpCheck) -> Result<Url, Doubt> {
    let scheme = if check.tls { "https" } else { "http" };
    let authority = match literal(&check.host) {
        Some(_) => addr_without_scope(addr).to_string(),
        None => format!("{}:{}", check.host, addr.port()),
    };
    Url::parse(&format!("{scheme}://{authority}{}", check.path)).map_err(|_| Doubt::Unaskable)
}

fn request(addr: SocketAddr, check: &HttpCheck, url: Url) -> Result<Request, Doubt> {
    let method = match check.method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
    };
    let mut request = Request::new(method, url);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    // RFC 9112 3.2: the Host header of a bare address is its authority, port included, which the library writes itself.
    if literal(&check.host) != Some(addr.ip()) {
        let host = HeaderValue::from_str(&check.host).map_err(|_| Doubt::Unaskable)?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(request)
}

/// The address that `host` spells, in brackets or not, where it spells one.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// A URL has no place for the scope of a link-local address (RFC 3986 3.2.2).
fn addr_without_scope(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port())
}

//--- The time to connect

/// Times the connector of one client, TCP and TLS together. One probe of a target is under way at a time, so that one
/// figure is enough.
#[derive(Clone, Debug, Default)]
struct Stopwatch {
    nanos: Arc<AtomicU64>,
}

impl Stopwatch {
    /// What the last connection took that came about.
    fn read(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn write(&self, elapsed: Duration) {
        self.nanos.store(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl<S> Layer<S> for Stopwatch {
    type Service = Timed<S>;

    fn layer(&self, connector: S) -> Timed<S> {
        Timed { connector, stopwatch: self.clone() }
    }
}

/// A connector under a stopwatch.
#[derive(Clone, Debug)]
struct Timed<S> {
    connector: S,
    stopwatch: Stopwatch,
}

impl<S, R> Service<R> for Timed<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let start = Instant::now();
        let stopwatch = self.stopwatch.clone();
        let connecting = self.connector.call(request);
        Box::pin(async move {
            let connection = connecting.await?;
            stopwatch.write(start.elapsed());
            Ok(connection)
        })
    }
}

/// What shows in the access logs of targets.
const USER_AGENT: &str = concat!("steersman/", env!("CARGO_PKG_VERSION"), " (health probe)");

/// Sixteen times what a health page has to say; a path that turns out to be a download is not loaded for ever.
const BODY_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tls: bool, host: &str, path: &str) -> HttpCheck {
        HttpCheck { tls, verify: true, host: host.into(), path: path.into(), method: Method::Get, expect: vec![(200, 200)] }
    }

    /// The URL and the Host header, where we write it ourselves.
    fn asked(addr: &str, check: &HttpCheck) -> (String, Option<String>) {
        let addr = addr.parse().expect("the test's own address");
        let url = url(addr, check).expect("a URL");
        let request = request(addr, check, url.clone()).expect("a request");
        let host = request.headers().get(HOST).map(|host| host.to_str().expect("text").to_owned());
        (url.to_string(), host)
    }

    #[test]
    fn the_url_bears_the_name_of_the_service_and_the_port_of_the_target() {
        let (url, host) = asked("192.0.2.1:8443", &check(true, "www.example.com", "/healthz?deep=1"));
        assert_eq!(url, "https://www.example.com:8443/healthz?deep=1");
        assert_eq!(host.as_deref(), Some("www.example.com"));
    }

    #[test]
    fn a_bare_address_is_asked_for_itself() {
        assert_eq!(asked("192.0.2.1:8080", &check(false, "192.0.2.1", "/")), ("http://192.0.2.1:8080/".into(), None));
        let (url, host) = asked("[2001:db8::1]:80", &check(false, "2001:db8::1", "/"));
        assert_eq!((url.as_str(), host), ("http://[2001:db8::1]/", None));
    }

    #[test]
    fn the_address_of_somebody_else_as_host_never_draws_the_connection_there() {
        let (url, host) = asked("192.0.2.1:80", &check(false, "198.51.100.1", "/"));
        assert_eq!((url.as_str(), host.as_deref()), ("http://192.0.2.1/", Some("198.51.100.1")));
    }

    #[test]
    fn a_host_that_fits_in_no_url_is_a_doubt() {
        let addr = "192.0.2.1:80".parse().expect("the test's own address");
        assert_eq!(url(addr, &check(false, "no host", "/")), Err(Doubt::Unaskable));
    }
}
