//! TLS: whose certificates are believed, and for how long one must still be valid.

use crate::health::FailReason;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// How a TLS connection is made, and which certificates pass.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TlsRules {
    /// Whether chain, validity and name are verified.
    pub verify: bool,
    /// PEM file of the authorities to believe instead of those of the system.
    pub ca: Option<Arc<Path>>,
    /// Who we are, for servers that ask.
    pub client: Option<ClientFiles>,
    /// A certificate that expires within this fails; zero: one that has expired.
    pub expiry_failure: Duration,
}

/// A certificate of our own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ClientFiles {
    /// PEM file with the chain, our own certificate first.
    pub certificate: Arc<Path>,
    /// PEM file with its private key.
    pub key: Arc<Path>,
}

impl TlsRules {
    /// Verification against the roots of the system.
    pub const STRICT: TlsRules = TlsRules { verify: true, ca: None, client: None, expiry_failure: Duration::ZERO };

    /// Judges how long a certificate is still valid. One that has expired is the business of the verification.
    ///
    /// # Errors
    /// It expires too soon.
    pub fn judge(&self, certificate: &Certificate, now_unix_s: i64) -> Result<(), FailReason> {
        let left = certificate.left(now_unix_s);
        if left >= self.expiry_failure || self.expiry_failure.is_zero() {
            return Ok(());
        }
        if left.is_zero() {
            return Err(FailReason::Tls("the certificate has expired".into()));
        }
        Err(FailReason::Tls(format!("the certificate expires in {} hours, within expiry_failure", left.as_secs() / 3600).into()))
    }
}

/// A TLS connection, and what must come of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TlsCheck {
    /// The server name; the address that is probed when none was written.
    pub host: Option<Arc<str>>,
    /// The rules.
    pub rules: TlsRules,
    /// Application protocols to offer (RFC 7301); when there are any, one of them must be agreed on.
    pub alpn: Vec<Arc<str>>,
}

/// What a probe notes of a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// Seconds since 1970.
    pub not_before_unix_s: i64,
    /// Seconds since 1970.
    pub not_after_unix_s: i64,
}

impl Certificate {
    /// Reads the validity from a certificate in DER; none when it is malformed.
    pub fn read(der: &[u8]) -> Option<Certificate> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        Some(Certificate { not_before_unix_s: validity.not_before.timestamp(), not_after_unix_s: validity.not_after.timestamp() })
    }

    /// Whether a certificate in DER is made to sign others (RFC 5280 section 4.2.1.9).
    pub fn is_of_an_authority(der: &[u8]) -> bool {
        X509Certificate::from_der(der).is_ok_and(|(_, certificate)| certificate.is_ca())
    }

    /// For how long it is still valid; zero when it is not any more.
    pub fn left(&self, now_unix_s: i64) -> Duration {
        Duration::from_secs(u64::try_from(self.not_after_unix_s.saturating_sub(now_unix_s)).unwrap_or(0))
    }

    /// Whether somebody should be told that it expires.
    pub fn expires_soon(&self, warning: ExpiryWarning, now_unix_s: i64) -> bool {
        let life = self.left(self.not_before_unix_s);
        let usual = if warning.usual { WARNING.min(life / 3) } else { Duration::ZERO };
        self.left(now_unix_s) < usual.max(warning.written)
    }
}

/// How long before the end of a certificate somebody is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExpiryWarning {
    /// As it is where nothing is written: within [`WARNING`], or the last third of its life. Certificates that live for a week are
    /// renewed in their last days.
    usual: bool,
    /// As it is written; zero never warns.
    written: Duration,
}

impl ExpiryWarning {
    /// What was written; none: nothing.
    pub fn new(written: Option<Duration>) -> ExpiryWarning {
        ExpiryWarning { usual: written.is_none(), written: written.unwrap_or_default() }
    }

    /// Warns when one of both would.
    #[must_use]
    pub fn earlier(self, other: ExpiryWarning) -> ExpiryWarning {
        ExpiryWarning { usual: self.usual || other.usual, written: self.written.max(other.written) }
    }
}

/// Certificates that live for 90 days are renewed a month before their end: a fortnight is a renewal that failed for long.
const WARNING: Duration = Duration::from_hours(14 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn certificate(days: i64) -> Certificate {
        Certificate { not_before_unix_s: 0, not_after_unix_s: days * DAY }
    }

    #[test]
    fn unasked_a_fortnight_or_the_last_third_of_a_short_life_is_soon() {
        let usual = ExpiryWarning::new(None);
        let long = certificate(90);
        assert!(!long.expires_soon(usual, 76 * DAY) && long.expires_soon(usual, 76 * DAY + 1));
        let short = certificate(6);
        assert!(!short.expires_soon(usual, 4 * DAY) && short.expires_soon(usual, 4 * DAY + 1));
    }

    #[test]
    fn a_warning_that_is_written_counts_as_written() {
        let month = ExpiryWarning::new(Some(Duration::from_hours(30 * 24)));
        assert!(!certificate(31).expires_soon(month, DAY) && certificate(31).expires_soon(month, DAY + 1));
        assert!(!certificate(31).expires_soon(ExpiryWarning::new(Some(Duration::ZERO)), 40 * DAY), "zero never warns");
    }

    #[test]
    fn of_two_warnings_the_earlier_is_given() {
        let written = |days: u64| ExpiryWarning::new(Some(Duration::from_hours(24 * days)));
        let usual = ExpiryWarning::new(None);
        let (long, short) = (certificate(90), certificate(6));
        for (warning, last_quiet_day) in
            [(usual.earlier(written(0)), 76_i64), (written(1).earlier(usual), 76), (usual.earlier(written(20)), 70)]
        {
            assert!(!long.expires_soon(warning, last_quiet_day * DAY) && long.expires_soon(warning, last_quiet_day * DAY + 1));
        }
        assert!(!short.expires_soon(usual.earlier(written(1)), 4 * DAY), "of a short life a third is the usual");
    }

    #[test]
    fn a_certificate_fails_when_it_expires_within_what_is_written() {
        let rules = TlsRules { expiry_failure: Duration::from_hours(48), ..TlsRules::STRICT };
        assert!(rules.judge(&certificate(10), 8 * DAY).is_ok());
        let reason = rules.judge(&certificate(10), 8 * DAY + 1).expect_err("too soon");
        assert_eq!(reason.to_string(), "TLS: the certificate expires in 47 hours, within expiry_failure");
        assert_eq!(rules.judge(&certificate(10), 10 * DAY).expect_err("too late").to_string(), "TLS: the certificate has expired");
        assert!(TlsRules::STRICT.judge(&certificate(10), 20 * DAY).is_ok(), "without a rule it is no business of this one");
    }

    #[test]
    fn the_validity_is_read_from_a_real_certificate() {
        let mut params = rcgen::CertificateParams::new(["www.example.com".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        let key = rcgen::KeyPair::generate().expect("aws-lc-rs makes keys");
        let made = params.self_signed(&key).expect("the parameters are sound");
        let read = Certificate::read(made.der()).expect("a certificate");
        assert_eq!((read.not_before_unix_s, read.not_after_unix_s), (1_577_836_800, 4_102_444_800));
        assert_eq!(Certificate::read(b"no certificate"), None);
    }
}
