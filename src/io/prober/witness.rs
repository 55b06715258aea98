//! Watches TLS handshakes from the inside: when they begin, and which certificate is presented.
//!
//! The HTTP client makes its connections itself and shows none of that. rustls asks two objects of its configuration on
//! the way: the store of sessions, as soon as a handshake begins, which is when the TCP connection stands; and the verifier, when the
//! server has presented its certificate. Both are ours.

use super::trail::{Phase, Trail};
use crate::check::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, NamedGroup, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};

/// The trail of the probe that is under way, if any. One probe of a target is under way at a time, so that one place is enough.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    trail: Arc<Mutex<Option<Arc<Trail>>>>,
}

impl Witness {
    /// From now on notes what it sees in this trail.
    pub fn follow(&self, trail: &Arc<Trail>) {
        *self.trail.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(trail));
    }

    /// Does something with the trail of the probe under way.
    pub fn tell(&self, tell: impl FnOnce(&Trail)) {
        let trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(trail) = trail {
            tell(&trail);
        }
    }
}

//--- The store of sessions, which keeps none

/// Sessions are never resumed: members of a pool present one name, so that a ticket from one of them could open a
/// connection to another without a look at its certificate, and an expired one would go unnoticed.
impl ClientSessionStore for Witness {
    fn set_kx_hint(&self, _server_name: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.tell(|trail| trail.mark(Phase::Connected, ""));
        None
    }

    fn set_tls12_session(&self, _server_name: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server_name: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _server_name: ServerName<'static>, _value: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}

//--- The verifier

/// Notes the certificate and leaves the verdict to somebody else.
#[derive(Debug)]
pub struct Onlooker {
    witness: Witness,
    judge: Arc<dyn ServerCertVerifier>,
}

impl Onlooker {
    /// Looks over the shoulder of `judge`.
    pub fn new(witness: &Witness, judge: Arc<dyn ServerCertVerifier>) -> Onlooker {
        Onlooker { witness: witness.clone(), judge }
    }
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.witness.tell(|trail| trail.present(Certificate::read(end_entity)));
        self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
