//! Makes one probe of one target.
//!
//! A [`Target`] and a time limit go in, an [`Observation`] comes out, always and before long: a probe that fails is data,
//! and so is one that this machine could not make. The control task asks `health::Schedule` what to probe, runs
//! [`Prober::probe`] as a task of its own and hands back what came of it.
//!
//! Knows nothing of intervals, of rise and fall, or of what was seen before.

mod fault;
mod http;
mod tcp;
mod threads;
mod trust;

pub use self::threads::ProbeThreads;

use self::fault::Fault;
use self::http::HttpProbe;
use self::trust::Trust;
use crate::health::{Doubt, FailReason, Observation};
use crate::snapshot::{Check, HttpCheck, Target};
use rustls::RootCertStore;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What all probes share: the roots of trust, and an HTTP client per target.
#[derive(Debug)]
pub struct Prober {
    trust: Trust,
    /// By the identity of the target, which covers all that a client is made from.
    http_probes: Mutex<HashMap<Arc<str>, Arc<HttpProbe>>>,
}

impl Prober {
    /// A prober that trusts the roots of this system, or those in the file that `SSL_CERT_FILE` names. They are read when
    /// the first certificate is to be verified; while there are none, such probes are inconclusive.
    pub fn new() -> Prober {
        Prober::trusting(Trust::of_system())
    }

    /// A prober that trusts exactly these roots.
    pub fn with_roots(roots: RootCertStore) -> Prober {
        Prober::trusting(Trust::of(roots))
    }

    fn trusting(trust: Trust) -> Prober {
        Prober { trust, http_probes: Mutex::default() }
    }

    /// Probes `target` once, from connecting to the end of the answer, within `timeout`.
    pub async fn probe(&self, target: &Target, timeout: Duration) -> Observation {
        let start = Instant::now();
        match tokio::time::timeout(timeout, self.look(target)).await {
            Ok(Ok(connect)) => Observation::Pass { connect, total: start.elapsed() },
            Ok(Err(fault)) => fault.into(),
            Err(_) => out_of_time(start.elapsed(), timeout),
        }
    }

    /// Forgets the clients of all targets but these. To be called when the targets change.
    pub fn retain(&self, identities: &HashSet<Arc<str>>) {
        self.lock().retain(|identity, _| identities.contains(identity));
    }

    /// Returns how long it took to connect, when all is as expected.
    async fn look(&self, target: &Target) -> Result<Duration, Fault> {
        match &target.check {
            Check::Tcp => tcp::look(target.addr).await,
            Check::Http(check) => self.http_probe(target, check)?.look().await,
        }
    }

    fn http_probe(&self, target: &Target, check: &HttpCheck) -> Result<Arc<HttpProbe>, Doubt> {
        if let Some(probe) = self.lock().get(&target.identity) {
            return Ok(probe.clone());
        }
        let tls = if check.tls && check.verify { self.trust.verifying()? } else { self.trust.trusting_all() };
        let probe = Arc::new(HttpProbe::new(target.addr, check, tls)?);
        self.lock().insert(target.identity.clone(), probe.clone());
        Ok(probe)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<HttpProbe>>> {
        self.http_probes.lock().expect("nothing panics while it holds this lock")
    }
}

impl Default for Prober {
    fn default() -> Prober {
        Prober::new()
    }
}

/// What it means that no complete answer came in time: the target is slow, unless it was this process that slept.
fn out_of_time(elapsed: Duration, timeout: Duration) -> Observation {
    if elapsed.saturating_sub(timeout) > LAG_MAX {
        return Observation::Inconclusive(Doubt::Lag);
    }
    Observation::Fail(FailReason::Timeout)
}

/// A timer that fires later than this tells of a machine that could not have seen the answer either. Timers of a busy but
/// working runtime are a few milliseconds late, those of an overbooked virtual machine a hundred.
const LAG_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Rules;
    use crate::snapshot::Method;

    #[tokio::test]
    async fn a_client_is_made_once_per_target_and_forgotten_with_it() {
        let check = HttpCheck {
            tls: false,
            verify: false,
            host: "www.example.com".into(),
            path: "/".into(),
            method: Method::Get,
            expect: vec![(200, 200)],
        };
        let rules = Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 1, 1);
        let addr = ([192, 0, 2, 1], 80).into();
        let target = |identity: &str| Target { identity: identity.into(), rules, addr, check: Check::Http(check.clone()) };
        let (kept, gone) = (target("kept"), target("gone"));
        let prober = Prober::new();
        let first = prober.http_probe(&kept, &check).expect("the check fits in a URL");
        prober.http_probe(&gone, &check).expect("the check fits in a URL");
        prober.retain(&HashSet::from([kept.identity.clone()]));
        assert!(Arc::ptr_eq(&first, &prober.http_probe(&kept, &check).expect("the check fits in a URL")));
        assert!(!prober.lock().contains_key(&gone.identity));
    }

    #[test]
    fn a_time_limit_that_was_noticed_late_says_nothing_about_the_target() {
        let timeout = Duration::from_secs(2);
        assert_eq!(out_of_time(timeout, timeout), Observation::Fail(FailReason::Timeout));
        assert_eq!(out_of_time(timeout + LAG_MAX, timeout), Observation::Fail(FailReason::Timeout));
        let late = timeout + LAG_MAX + Duration::from_nanos(1);
        assert_eq!(out_of_time(late, timeout), Observation::Inconclusive(Doubt::Lag));
    }
}
