//! Watches TLS handshakes from the inside: which certificate is presented, believed or not.
//!
//! A connection tells of its certificate only when it was believed; the verifier, which is ours, is shown any.

use super::trail::Trail;
use crate::check::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
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

//--- The verifier

/// What `openssl req -x509` makes is the certificate of an authority. The library has no words for that.
const AUTHORITY: &str = "the certificate is that of an authority; issue one for the server";

fn is_of_an_authority(error: &Error, certificate: &CertificateDer<'_>) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(_))) && Certificate::is_of_an_authority(certificate)
}

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
        let judged = self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        judged.map_err(|error| if is_of_an_authority(&error, end_entity) { Error::General(AUTHORITY.to_owned()) } else { error })
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
