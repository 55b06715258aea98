//! What probes saw of the certificates of their targets: kept for status and metrics, and told to the log before one expires.

use super::trail::Trail;
use crate::check::Certificate;
use crate::snapshot::Target;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The last certificate of every target that presented one.
#[derive(Debug, Default)]
pub struct Certificates {
    seen: Mutex<HashMap<Arc<str>, Seen>>,
    /// The targets there are, once somebody has said so: a probe may end after its target was removed.
    wanted: Mutex<Option<HashSet<Arc<str>>>>,
}

/// A certificate, and whether somebody should care.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The certificate.
    pub certificate: Certificate,
    /// Whether it expires within the target's `expiry_warning`.
    pub expires_soon: bool,
    /// When the log was last told.
    told: Option<Instant>,
}

/// The log is told once a day, as long as nothing changes.
const TELL_EVERY: Duration = Duration::from_hours(24);

impl Certificates {
    /// Notes what a probe of `target` was presented with.
    pub fn note(&self, target: &Target, trail: &Trail, now_unix_s: i64) {
        let Some(certificate) = trail.certificate() else { return };
        let wanted = self.wanted.lock().expect("nothing panics while it holds this lock");
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&target.identity)) {
            return;
        }
        let expires_soon = certificate.expires_soon(target.expiry_warning, now_unix_s);
        let mut seen = self.lock();
        let told = seen.get(&target.identity).filter(|before| before.certificate == certificate).and_then(|before| before.told);
        let tell = expires_soon && told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        let told = if tell { Some(Instant::now()) } else { told };
        seen.insert(Arc::clone(&target.identity), Seen { certificate, expires_soon, told });
        drop(seen);
        if tell {
            let left = crate::human::span(certificate.left(now_unix_s));
            tracing::warn!("the certificate of {} expires in {left}", target.identity);
        }
    }

    /// All of them, by the identity of the target.
    pub fn all(&self) -> HashMap<Arc<str>, Seen> {
        self.lock().clone()
    }

    /// Forgets all targets but these.
    pub fn retain(&self, identities: HashSet<Arc<str>>) {
        let mut wanted = self.wanted.lock().expect("nothing panics while it holds this lock");
        self.lock().retain(|identity, _| identities.contains(identity));
        *wanted = Some(identities);
    }

    /// Makes everybody wait for as long as the value lives.
    #[cfg(test)]
    pub fn hold(&self) -> impl Sized + '_ {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Seen>> {
        self.seen.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Check, TcpCheck};
    use crate::health::Rules;

    #[test]
    fn a_probe_that_outlives_its_target_brings_nothing_back() {
        let rules = Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 1, 1);
        let target = Target::new("gone", rules, ([192, 0, 2, 1], 443).into(), Check::Tcp(TcpCheck::CONNECT));
        let trail = Trail::start();
        trail.present(Some(Certificate { not_before_unix_s: 0, not_after_unix_s: 86_400 * 90 }));
        let certificates = Certificates::default();
        certificates.note(&target, &trail, 0);
        assert_eq!(certificates.all().len(), 1, "nobody has said which there are");
        certificates.retain(HashSet::new());
        certificates.note(&target, &trail, 0);
        assert!(certificates.all().is_empty());
    }
}
