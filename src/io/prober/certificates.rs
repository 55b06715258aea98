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
    pub fn retain(&self, identities: &HashSet<Arc<str>>) {
        self.lock().retain(|identity, _| identities.contains(identity));
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
