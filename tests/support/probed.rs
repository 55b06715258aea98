//! What is probed: certificates of an authority of our own, HTTP/2 servers, answers of gRPC and DNS, files.
#![allow(dead_code, clippy::disallowed_methods, reason = "each test uses its part; tests touch the world")]

use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::{Name, RData, Record};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The cryptography of the servers.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A certificate authority of our own.
pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Two authorities of one name would differ by their keys alone, and the fault be called a bad signature.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("aws-lc-rs makes keys");
        Authority { issuer: CertifiedIssuer::self_signed(params, key).expect("the parameters are sound") }
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("it is a certificate");
        roots
    }

    /// A certificate of this authority, and its key.
    pub fn issue(&self, name: &str, not_after_year: i32) -> (Certificate, KeyPair) {
        let not_after = date_time_ymd(not_after_year, 1, 1).unix_timestamp();
        self.issue_until(name, u64::try_from(not_after).expect("after 1970"))
    }

    /// The same with an end to the second.
    pub fn issue_until(&self, name: &str, not_after_unix_s: u64) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name for a certificate");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(not_after_unix_s);
        let key = KeyPair::generate().expect("aws-lc-rs makes keys");
        (params.signed_by(&key, &self.issuer).expect("the parameters are sound"), key)
    }

    /// The config of a server that presents a certificate of this authority.
    pub fn server(&self, name: &str, not_after_year: i32) -> ServerConfig {
        self.server_asking(name, not_after_year, rustls::server::WebPkiClientVerifier::no_client_auth())
    }

    /// The same for a server that asks who the client is.
    pub fn server_asking(&self, name: &str, not_after_year: i32, verifier: Arc<dyn ClientCertVerifier>) -> ServerConfig {
        presenting(self.issue(name, not_after_year), verifier)
    }
}

/// The config of a server that presents a certificate.
pub fn presenting((certificate, key): (Certificate, KeyPair), verifier: Arc<dyn ClientCertVerifier>) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs speaks all versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("the key belongs to the certificate")
}

/// The body of an answer over HTTP/2.
pub struct Reply;

/// A body of frames, trailers included.
pub type Frames = BoxBody<Bytes, Infallible>;

impl Reply {
    /// A text.
    pub fn text(text: &'static str) -> Frames {
        Full::new(Bytes::from_static(text.as_bytes())).boxed()
    }

    /// Octets with trailers behind them.
    fn with_trailers(octets: Vec<u8>, trailers: HeaderMap) -> Frames {
        let frames = [Ok(Frame::data(octets.into())), Ok(Frame::trailers(trailers))];
        StreamBody::new(futures_util::stream::iter(frames)).boxed()
    }

    /// What the health service of gRPC says: 1 is SERVING.
    pub fn health(state: u8) -> Response<Frames> {
        Response::new(Reply::with_trailers(vec![0, 0, 0, 0, 2, 8, state], grpc_status("0")))
    }

    /// A gRPC response without a message. 0 is OK, and 5 that nothing is known by that name.
    pub fn grpc_status(code: &'static str) -> Response<Frames> {
        let mut response = Response::new(Reply::text(""));
        *response.headers_mut() = grpc_status(code);
        response
    }
}

fn grpc_status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().expect("a name"), code.parse().expect("a value"))])
}

/// An HTTP/2 server on a free port of 127.0.0.1, over TLS or in the clear.
pub async fn serve_h2(tls: Option<Arc<ServerConfig>>, answer: fn(&Request<Incoming>) -> Response<Frames>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("the listener is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => serve_h2_connection(stream, answer).await,
                    Some(config) => {
                        let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
                        serve_h2_connection(stream, answer).await;
                    }
                }
            });
        }
    });
    addr
}

/// Serves one connection over HTTP/2 to its end.
pub async fn serve_h2_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answer: impl Fn(&Request<Incoming>) -> Response<Frames> + Clone + Send + 'static,
) {
    let service = service_fn(move |request| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer(&request)) }
    });
    let server = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
    // How it ends is the client's business.
    drop(server.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await);
}

/// The answer of a name server that says `www.example.com. A 192.0.2.1` whatever it is asked.
pub fn answered(query: &[u8], edit: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::from_vec(query).expect("the prober sends messages");
    message.metadata.message_type = MessageType::Response;
    message.edns = None;
    let owner = Name::from_ascii("www.example.com.").expect("a name");
    message.answers.push(Record::from_rdata(owner, 60, RData::A(Ipv4Addr::new(192, 0, 2, 1).into())));
    edit(&mut message);
    message.to_vec().expect("it fits")
}

/// A directory of its own for a test; gone with the value.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("steersman-probed-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Scratch(path)
    }

    /// Writes a file; returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the directory is ours");
        path
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
