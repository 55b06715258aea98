//! The HTTP client of one target.
//!
//! The connection always goes to the address of the target, while the Host header, the TLS server name and the name that
//! the certificate must bear are those of the service. Redirects are answers, not instructions; proxies from the
//! environment are not asked; a connection serves one probe, since a kept one would prove nothing about new ones.

use super::fault::Fault;
use super::trail::{Phase, Trail};
use super::trust::Trust;
use super::witness::Witness;
use crate::check::{HttpVersion, TlsRules};
use crate::health::Doubt;
use crate::snapshot::Target;
use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response, Url};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// A client for one target.
#[derive(Debug)]
pub struct WebClient {
    client: Client,
    witness: Witness,
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

impl WebClient {
    /// A client that connects to the address of `target`, whatever the URL says.
    ///
    /// # Errors
    /// This node lacks what the check needs.
    pub fn new(target: &Target, way: Way<'_>, url: &Url, trust: &Trust) -> Result<WebClient, Doubt> {
        let witness = Witness::default();
        let mut tls = trust.config(way.tls.unwrap_or(&IN_THE_CLEAR), &witness)?;
        let mut builder = Client::builder();
        match way.version {
            HttpVersion::One => builder = builder.http1_only(),
            HttpVersion::Two => {
                tls.alpn_protocols = vec![b"h2".to_vec()];
                builder = builder.http2_prior_knowledge();
            }
        }
        let client = builder
            .resolve(url.host_str().unwrap_or_default(), target.addr)
            .local_address(target.source)
            .tls_backend_preconfigured(tls)
            .connector_layer(Watch { witness: witness.clone(), tls: way.tls.is_some() })
            .user_agent(USER_AGENT)
            .pool_max_idle_per_host(0)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .build()
            .map_err(|_| Doubt::Unaskable)?;
        Ok(WebClient { client, witness })
    }

    /// Sends a request; returns when the head of the response is there.
    ///
    /// # Errors
    /// What is wrong with the target, or with this node.
    pub async fn ask(&self, request: Request, trail: &Arc<Trail>) -> Result<Response, Fault> {
        self.witness.follow(trail);
        let response = self.client.execute(request).await?;
        trail.mark(Phase::Answered, format!("{:?} {}", response.version(), response.status()));
        Ok(response)
    }
}

/// The URL whose host the TLS library checks the certificate for.
///
/// An address as host names no service that a certificate could be checked for instead of the target's own, so that the
/// URL then bears the target's address.
///
/// # Errors
/// Host or path fit in no URL.
pub fn url(addr: SocketAddr, way: Way<'_>, path: &str) -> Result<Url, Doubt> {
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

/// A client that never speaks TLS must still be given a configuration for it.
const IN_THE_CLEAR: TlsRules = TlsRules { verify: false, ..TlsRules::STRICT };

/// What shows in the access logs of targets.
const USER_AGENT: &str = concat!("steersman/", env!("CARGO_PKG_VERSION"), " (health probe)");

//--- Connecting, watched

/// Notes when the connector of the client is done: with TCP, or with TLS behind it.
#[derive(Clone, Debug)]
struct Watch {
    witness: Witness,
    tls: bool,
}

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, connector: S) -> Watched<S> {
        Watched { connector, watch: self.clone() }
    }
}

/// A connector that is watched.
#[derive(Clone, Debug)]
struct Watched<S> {
    connector: S,
    watch: Watch,
}

impl<S, R> Service<R> for Watched<S>
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
        let Watch { witness, tls } = self.watch.clone();
        let connecting = self.connector.call(request);
        Box::pin(async move {
            let connection = connecting.await?;
            let phase = if tls { Phase::Secured } else { Phase::Connected };
            witness.tell(|trail| trail.mark(phase, ""));
            Ok(connection)
        })
    }
}

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
}
