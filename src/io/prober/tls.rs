//! The TLS check: a handshake, its certificate, and the protocol agreed on.

use super::connect::connect;
use super::fault::Fault;
use super::trail::{Phase, Trail};
use super::trust::Trust;
use super::witness::Witness;
use crate::check::{TlsCheck, TlsRules};
use crate::health::{Doubt, FailReason};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

/// All that a probe of one target needs, made once.
#[derive(Debug)]
pub struct TlsProbe {
    addr: SocketAddr,
    source: Option<IpAddr>,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    witness: Witness,
    rules: TlsRules,
}

impl TlsProbe {
    /// Prepares the probes of `addr`.
    ///
    /// # Errors
    /// This node lacks what the check needs.
    pub fn new(addr: SocketAddr, source: Option<IpAddr>, check: &TlsCheck, trust: &Trust) -> Result<TlsProbe, Doubt> {
        let name = server_name(check.host.as_deref(), addr)?;
        let witness = Witness::default();
        let mut config = trust.config(&check.rules, &witness)?;
        config.alpn_protocols = check.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(TlsProbe { addr, source, name, config: Arc::new(config), witness, rules: check.rules.clone() })
    }

    /// Shakes hands once.
    ///
    /// # Errors
    /// What is wrong with the target, or with this node.
    pub async fn look(&self, trail: &Arc<Trail>) -> Result<(), Fault> {
        self.witness.follow(trail);
        let stream = connect(self.addr, self.source, trail).await?;
        let mut stream = TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await?;
        let (_, connection) = stream.get_ref();
        let protocol = connection.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
        trail.mark(Phase::Secured, protocol.clone().unwrap_or_default());
        if protocol.is_none() && !self.config.alpn_protocols.is_empty() {
            return Err(FailReason::Content("the server agrees on none of the protocols of `alpn`".into()).into());
        }
        // A server that does not wait for our goodbye is none the worse for it.
        let _ = stream.shutdown().await;
        judge_certificate(&self.rules, trail)
    }
}

/// The name that a certificate must bear: that of the service, or the address that is probed.
///
/// # Errors
/// No certificate can bear it.
pub fn server_name(host: Option<&str>, addr: SocketAddr) -> Result<ServerName<'static>, Doubt> {
    let name = host.map_or_else(|| addr.ip().to_string(), str::to_owned);
    ServerName::try_from(name).map_err(|_| Doubt::Unaskable)
}

/// Judges how long the certificate of a probe is still valid.
///
/// # Errors
/// It expires too soon.
pub fn judge_certificate(rules: &TlsRules, trail: &Trail) -> Result<(), Fault> {
    let Some(certificate) = trail.certificate() else { return Ok(()) };
    Ok(rules.judge(&certificate, super::unix_s())?)
}
