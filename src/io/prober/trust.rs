//! Whose certificates a probe believes, and with which certificate it shows itself.
//!
//! The roots of the system are read once and shared; authorities and certificates of a check's own are read when its client is made, which is
//! once per reload.

use super::witness::{Onlooker, Witness};
use crate::check::{ClientFiles, TlsRules};
use crate::health::Doubt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What all TLS configurations of probes share.
#[derive(Debug)]
pub struct Trust {
    provider: Arc<CryptoProvider>,
    /// Reads the roots; `None` when there are none.
    read_roots: fn() -> Option<RootCertStore>,
    /// `None` until the roots were read. Reading is tried again as long as it finds none.
    strict: Mutex<Option<Arc<dyn ServerCertVerifier>>>,
    lenient: Arc<dyn ServerCertVerifier>,
    /// Those who believe the authorities of a file, by its path: a thousand members may share one.
    by_file: Mutex<HashMap<Arc<Path>, Arc<dyn ServerCertVerifier>>>,
    /// What the log was told since the files were last forgotten.
    told: Mutex<HashSet<String>>,
}

impl Trust {
    /// Trusts the roots of the system.
    pub fn of_system() -> Trust {
        let mut provider = aws_lc_rs::default_provider();
        // Of two that are safe the one whose hash has instructions of its own: a handshake is mostly that and curves.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let lenient = Arc::new(Anybody(Arc::clone(&provider)));
        let (by_file, told) = (Mutex::default(), Mutex::default());
        Trust { provider, read_roots: system_roots, strict: Mutex::new(None), lenient, by_file, told }
    }

    /// Trusts these roots only.
    pub fn of(roots: RootCertStore) -> Trust {
        let trust = Trust::of_system();
        let strict = verifier(roots, &trust.provider);
        Trust { strict: Mutex::new(strict), ..trust }
    }

    /// The configuration of a client that keeps to `rules`; `witness` sees its handshakes.
    ///
    /// # Errors
    /// There are no roots to verify with, or a file that the rules name cannot be used.
    pub fn config(&self, rules: &TlsRules, witness: &Witness) -> Result<ClientConfig, Doubt> {
        let judge = match (&rules.ca, rules.verify) {
            (_, false) => Arc::clone(&self.lenient),
            (None, true) => self.strict()?,
            (Some(ca), true) => self.by_file(ca)?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Onlooker::new(witness, judge)));
        let mut config = match &rules.client {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let (chain, key) = identity(files).map_err(|why| self.complain(why))?;
                let unfit = |error| self.complain(format!("{}: {error}", files.key.display()));
                builder.with_client_auth_cert(chain, key).map_err(unfit)?
            }
        };
        // Members of a pool present one name, so that a ticket from one of them could open a connection to another without a look at
        // its certificate, and an expired one would go unnoticed.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Reads the files of checks anew when they are needed next.
    pub fn forget_files(&self) {
        self.by_file.lock().expect("nothing panics while it holds this lock").clear();
        self.told.lock().expect("nothing panics while it holds this lock").clear();
    }

    /// Tells the log once: every probe finds the same fault anew.
    fn complain(&self, why: String) -> Doubt {
        let mut told = self.told.lock().expect("nothing panics while it holds this lock");
        if !told.contains(&why) {
            tracing::warn!("a probe cannot be made: {why}");
            told.insert(why);
        }
        Doubt::Unreadable
    }

    fn by_file(&self, ca: &Arc<Path>) -> Result<Arc<dyn ServerCertVerifier>, Doubt> {
        let mut known = self.by_file.lock().expect("nothing panics while it holds this lock");
        if let Some(judge) = known.get(ca) {
            return Ok(Arc::clone(judge));
        }
        let roots = authorities(ca).map_err(|why| self.complain(why))?;
        let judge = verifier(roots, &self.provider).ok_or(Doubt::Unreadable)?;
        known.insert(Arc::clone(ca), Arc::clone(&judge));
        Ok(judge)
    }

    fn strict(&self) -> Result<Arc<dyn ServerCertVerifier>, Doubt> {
        let mut known = self.strict.lock().expect("nothing panics while it holds this lock");
        if known.is_none() {
            *known = (self.read_roots)().and_then(|roots| verifier(roots, &self.provider));
        }
        known.clone().ok_or(Doubt::NoRoots)
    }
}

/// The roots of this system; `None` when it has none. Certificates that cannot be read are left out: one bad
/// file must not cost the trust in all others.
fn system_roots() -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    (!roots.is_empty()).then_some(roots)
}

/// Verifies chain, validity period and name; `None` when there is nobody to trust.
fn verifier(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Option<Arc<dyn ServerCertVerifier>> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.build().ok().map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
}

//--- Files

/// Says what keeps a file that a check names from being used; `None` when nothing does. What it holds is told by what it holds: a
/// private key, or certificates.
pub fn fault_of_file(path: &Path) -> Option<String> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) => return Some(error.to_string()),
    };
    let holds_certificates = CertificateDer::pem_slice_iter(&text).flatten().next().is_some();
    let holds_key = PrivateKeyDer::from_pem_slice(&text).is_ok();
    (!holds_certificates && !holds_key).then(|| "it holds neither certificates nor a private key in PEM".to_owned())
}

/// Says why a certificate and a key are of no use together; `None` when they are. Each is sound by itself ([`fault_of_file`]).
pub fn fault_of_client(files: &ClientFiles) -> Option<String> {
    let fault = |(chain, key)| CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).err().map(|error| error.to_string());
    identity(files).map_or_else(Some, fault)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| format!("{}: {error}", path.display()))?;
    if certificates.is_empty() { Err(format!("{}: no certificate in it", path.display())) } else { Ok(certificates) }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

fn identity(files: &ClientFiles) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| format!("{}: {error}", files.key.display()))?;
    Ok((chain, key))
}

//--- Without verification

/// Believes every certificate, but still asks for proof that the peer holds its key: without that, nothing would have
/// been learnt about the TLS of the target at all.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

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

    fn roots_of_a_stranger() -> RootCertStore {
        let key = rcgen::KeyPair::generate().expect("aws-lc-rs makes keys");
        let made = rcgen::CertificateParams::default().self_signed(&key).expect("the parameters are sound");
        let mut roots = RootCertStore::empty();
        roots.add(made.der().clone()).expect("it is a certificate");
        roots
    }

    #[test]
    fn without_roots_nothing_can_be_verified_until_somebody_installs_some() {
        static INSTALLED: AtomicBool = AtomicBool::new(false);
        let read_roots = || INSTALLED.load(Ordering::Relaxed).then(roots_of_a_stranger);
        let trust = Trust { read_roots, ..Trust::of_system() };
        let config = || trust.config(&TlsRules::STRICT, &Witness::default());
        assert!(matches!(config(), Err(Doubt::NoRoots)));
        INSTALLED.store(true, Ordering::Relaxed);
        assert!(config().is_ok());
    }

    #[test]
    fn a_file_that_cannot_be_used_is_a_doubt() {
        let rules = |path: &str| TlsRules { ca: Some(Path::new(path).into()), ..TlsRules::STRICT };
        let config = |path| Trust::of_system().config(&rules(path), &Witness::default());
        assert!(matches!(config("/nowhere/ca.pem"), Err(Doubt::Unreadable)));
        assert!(matches!(config("Cargo.toml"), Err(Doubt::Unreadable)), "no certificates in it");
        assert!(fault_of_file(Path::new("/nowhere/ca.pem")).is_some() && fault_of_file(Path::new("Cargo.toml")).is_some());
    }

    #[test]
    fn a_key_must_be_that_of_its_certificate() {
        let directory = crate::io::testing::scratch_directory();
        let [(ours, our_key), (_, another_key)] = ["ours", "another"].map(|name| {
            let key = rcgen::KeyPair::generate().expect("aws-lc-rs makes keys");
            let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("the parameters are sound");
            let file = |kind: &str, text: String| Arc::<Path>::from(directory.write(&format!("{name}.{kind}"), &text));
            (file("pem", certificate.pem()), file("key", key.serialize_pem()))
        });
        let files = |key| ClientFiles { certificate: Arc::clone(&ours), key };
        assert_eq!(fault_of_client(&files(our_key)), None);
        assert!(fault_of_client(&files(another_key)).is_some());
        assert!(fault_of_client(&files(Arc::clone(&ours))).is_some(), "a certificate in the place of the key");
    }

    #[test]
    fn the_log_is_told_of_a_fault_once() {
        let trust = Trust::of_system();
        for _ in 0..2 {
            trust.complain("the same".to_owned());
        }
        assert_eq!(trust.told.lock().expect("whole").len(), 1);
        trust.forget_files();
        assert!(trust.told.lock().expect("whole").is_empty(), "after a reload it is news again");
    }
}
