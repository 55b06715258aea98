//! Whose certificates a probe believes.
//!
//! One TLS configuration for all checks that verify, one for those that do not; clients share them by reference count.
//! Sessions are never resumed: members of a pool present one name, so that a ticket from one of them could open a
//! connection to another without a look at its certificate, and an expired one would go unnoticed.

use crate::health::Doubt;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, WantsVerifier};
use std::sync::{Arc, Mutex};

/// The TLS configurations of all probes.
#[derive(Debug)]
pub struct Trust {
    /// Reads the roots; `None` when there are none.
    read_roots: fn() -> Option<RootCertStore>,
    /// `None` until the roots were read. Reading is tried again as long as it finds none.
    verifying: Mutex<Option<ClientConfig>>,
    trusting_all: ClientConfig,
}

impl Trust {
    /// Trusts the roots of the system.
    pub fn of_system() -> Trust {
        Trust { read_roots: system_roots, verifying: Mutex::new(None), trusting_all: trusting_all() }
    }

    /// Trusts these roots only.
    pub fn of(roots: RootCertStore) -> Trust {
        Trust { verifying: Mutex::new(Some(verifying(roots))), ..Trust::of_system() }
    }

    /// For checks that verify: the chain, the validity period and the name.
    pub fn verifying(&self) -> Result<ClientConfig, Doubt> {
        let mut known = self.verifying.lock().expect("nothing panics while it holds this lock");
        if let Some(config) = &*known {
            return Ok(config.clone());
        }
        let config = verifying((self.read_roots)().ok_or(Doubt::NoRoots)?);
        *known = Some(config.clone());
        Ok(config)
    }

    /// For checks whose config says `verify: false`, and for those that never speak TLS.
    pub fn trusting_all(&self) -> ClientConfig {
        self.trusting_all.clone()
    }
}

/// The roots of this system; `None` when it has none. Certificates that cannot be read are left out: one bad
/// file must not cost the trust in all others.
fn system_roots() -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    (!roots.is_empty()).then_some(roots)
}

fn verifying(roots: RootCertStore) -> ClientConfig {
    without_resumption(builder().with_root_certificates(roots).with_no_client_auth())
}

fn trusting_all() -> ClientConfig {
    let anybody = Arc::new(Anybody(aws_lc_rs::default_provider()));
    without_resumption(builder().dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth())
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
}

fn without_resumption(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config
}

/// Believes every certificate, but still asks for proof that the peer holds its key: without that, nothing would have
/// been learnt about the TLS of the target at all.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn without_roots_nothing_can_be_verified_until_somebody_installs_some() {
        static INSTALLED: AtomicBool = AtomicBool::new(false);
        let read_roots = || INSTALLED.load(Ordering::Relaxed).then(RootCertStore::empty);
        let trust = Trust { read_roots, ..Trust::of_system() };
        assert!(matches!(trust.verifying(), Err(Doubt::NoRoots)));
        INSTALLED.store(true, Ordering::Relaxed);
        assert!(trust.verifying().is_ok());
    }
}
