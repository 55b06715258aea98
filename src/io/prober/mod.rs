//! Makes one probe of one target.
//!
//! A [`Target`] and a time limit go in, an [`Observation`] comes out, always and before long: a probe that fails is data,
//! and so is one that this machine could not make. The control task asks `health::Schedule` what to probe, runs
//! [`Prober::probe`] as a task of its own and hands back what came of it.
//!
//! Knows nothing of intervals, of rise and fall, or of what was seen before.

mod certificates;
mod connect;
mod dns;
mod exec;
mod fault;
mod file;
mod grpc;
mod http;
mod icmp;
mod push;
mod ration;
mod tcp;
mod threads;
mod tls;
mod trail;
mod trust;
mod turns;
mod web;
mod witness;

pub use self::certificates::Seen;
pub use self::push::Reports;
pub use self::threads::ProbeThreads;
pub use self::trail::{Phase, Step, Trail};
pub use self::trust::{fault_of_client, fault_of_file};

use self::certificates::Certificates;
use self::exec::Programs;
use self::fault::Fault;
use self::file::Feeds;
use self::grpc::GrpcProbe;
use self::http::HttpProbe;
use self::tls::TlsProbe;
use self::trust::Trust;
use crate::check::Check;
use crate::health::{Doubt, FailReason, Observation};
use crate::snapshot::Target;
use rustls::RootCertStore;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What all probes share: the roots of trust, a client per target that needs one, and what others reported.
#[derive(Debug)]
pub struct Prober {
    trust: Trust,
    clients: Mutex<Clients>,
    reports: Arc<Reports>,
    feeds: Feeds,
    programs: Programs,
    certificates: Certificates,
}

/// What probes of one target need, made once.
#[derive(Clone, Debug)]
enum Client {
    Http(Arc<HttpProbe>),
    Grpc(Arc<GrpcProbe>),
    Tls(Arc<TlsProbe>),
}

/// The clients that were made, until the targets change.
#[derive(Debug, Default)]
struct Clients {
    /// By the identity of the target, which covers all that a client is made from but the contents of files.
    made: HashMap<Arc<str>, Client>,
    /// The identities of all targets; none while nobody has said which there are.
    wanted: Option<HashSet<Arc<str>>>,
    /// How often the targets changed. What was begun before may have been made from files as they were then.
    changes: u64,
}

impl Clients {
    /// Keeps a client that was begun after so many changes, unless it is of the past.
    fn keep(&mut self, identity: &Arc<str>, client: Client, changes: u64) {
        if self.changes == changes && self.wanted.as_ref().is_none_or(|wanted| wanted.contains(identity)) {
            self.made.insert(Arc::clone(identity), client);
        }
    }
}

/// What one probe saw, and how it came to see it.
#[derive(Debug)]
pub struct Examination {
    /// What it saw.
    pub observation: Observation,
    /// How far it came, and when.
    pub trail: Arc<Trail>,
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
        Prober {
            trust,
            clients: Mutex::default(),
            reports: Arc::default(),
            feeds: Feeds::default(),
            programs: Programs::default(),
            certificates: Certificates::default(),
        }
    }

    /// Probes `target` once, from connecting to the end of the answer, within `timeout`.
    pub async fn probe(&self, target: &Target, timeout: Duration) -> Observation {
        self.examine(target, timeout).await.observation
    }

    /// As [`Prober::probe`], and tells how it went.
    pub async fn examine(&self, target: &Target, timeout: Duration) -> Examination {
        let trail = Arc::new(Trail::start());
        let observation = match tokio::time::timeout(timeout, self.look(target, timeout, &trail)).await {
            Ok(Ok(())) => Observation::Pass { connect: trail.connect(), total: trail.elapsed() },
            Ok(Err(fault)) => fault.into(),
            // A disk that is slower than the time of a probe tells nothing of the member either.
            Err(_) if matches!(target.check, Check::File(_)) => Observation::Inconclusive(Doubt::Unreadable),
            Err(_) => out_of_time(target, &trail, timeout),
        };
        self.certificates.note(target, &trail, unix_s());
        Examination { observation, trail }
    }

    /// Where reports of agents are left.
    pub fn reports(&self) -> &Arc<Reports> {
        &self.reports
    }

    /// What probes saw of the certificates of their targets, by identity.
    pub fn certificates(&self) -> HashMap<Arc<str>, Seen> {
        self.certificates.all()
    }

    /// Makes everybody wait who asks for [`Prober::certificates`], for as long as the value lives.
    #[cfg(test)]
    pub fn hold_certificates(&self) -> impl Sized + '_ {
        self.certificates.hold()
    }

    /// Forgets all targets but these, and reads anew the files that checks name. To be called when the targets change.
    pub fn retain(&self, targets: &HashMap<Arc<str>, &Target>) {
        let identities: HashSet<Arc<str>> = targets.keys().cloned().collect();
        let reads_files = |target: &Target| target.check.tls().is_some_and(|rules| rules.ca.is_some() || rules.client.is_some());
        // Before the clients: what is begun from then on reads them anew.
        self.trust.forget_files();
        let mut clients = self.lock();
        clients.made.retain(|identity, _| targets.get(identity).is_some_and(|target| !reads_files(target)));
        clients.wanted = Some(identities.clone());
        clients.changes += 1;
        drop(clients);
        self.reports.retain(&identities);
        self.programs.retain(|identity| identities.contains(identity));
        self.certificates.retain(identities);
        let feeds = targets.values().filter_map(|target| if let Check::File(check) = &target.check { Some(&*check.path) } else { None });
        let feeds: HashSet<&Path> = feeds.collect();
        self.feeds.retain(|path| feeds.contains(path));
    }

    /// Says what is wrong, if anything is.
    async fn look(&self, target: &Target, timeout: Duration, trail: &Arc<Trail>) -> Result<(), Fault> {
        let (addr, source) = (target.addr, target.source);
        match &target.check {
            Check::Tcp(check) => tcp::look(addr, source, check, trail).await,
            Check::Dns(check) => dns::look(addr, source, check, trail).await,
            Check::Icmp => icmp::look(addr.ip(), source, trail).await,
            Check::Exec(check) => self.programs.look(target, check, timeout, trail).await,
            Check::File(check) => self.feeds.look(check, trail).await,
            Check::Push(check) => self.reports.look(&target.identity, check),
            Check::Http(_) | Check::Grpc(_) | Check::Tls(_) => match self.client(target)? {
                Client::Http(client) => client.look(trail).await,
                Client::Grpc(client) => client.look(trail).await,
                Client::Tls(client) => client.look(trail).await,
            },
        }
    }

    fn client(&self, target: &Target) -> Result<Client, Doubt> {
        let changes = {
            let clients = self.lock();
            if let Some(client) = clients.made.get(&target.identity) {
                return Ok(client.clone());
            }
            clients.changes
        };
        let client = match &target.check {
            Check::Http(check) => Client::Http(Arc::new(HttpProbe::new(target, check, &self.trust)?)),
            Check::Grpc(check) => Client::Grpc(Arc::new(GrpcProbe::new(target, check, &self.trust)?)),
            Check::Tls(check) => Client::Tls(Arc::new(TlsProbe::new(target.addr, target.source, check, &self.trust)?)),
            Check::Tcp(_) | Check::Dns(_) | Check::Icmp | Check::Exec(_) | Check::File(_) | Check::Push(_) => {
                unreachable!("checks without a client are made without one")
            }
        };
        self.lock().keep(&target.identity, client.clone(), changes);
        Ok(client)
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().expect("nothing panics while it holds this lock")
    }
}

impl Default for Prober {
    fn default() -> Prober {
        Prober::new()
    }
}

/// The time by which certificates are valid, in seconds since 1970.
fn unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What it means that no complete answer came in time: the target is slow, unless it was this process that slept. Where nothing
/// came back at all, nobody knows which of both ways it was lost on.
fn out_of_time(target: &Target, trail: &Trail, timeout: Duration) -> Observation {
    if trail.elapsed().saturating_sub(timeout) > LAG_MAX {
        return Observation::Inconclusive(Doubt::Lag);
    }
    Observation::Fail(match (&target.check, trail.awaited(target.check.tls().is_some())) {
        (Check::Exec(_), _) => FailReason::Unfinished,
        (_, Some(what)) => FailReason::Stalled(what),
        (_, None) => FailReason::Timeout,
    })
}

/// A timer that fires later than this tells of a machine that could not have seen the answer either. Timers of a busy but
/// working runtime are a few milliseconds late, those of an overbooked virtual machine a hundred.
const LAG_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{HttpCheck, TlsRules};
    use crate::health::Rules;

    const RULES: Rules = Rules::plain(Duration::from_secs(5), Duration::from_secs(2), 1, 1);

    fn target(identity: &str, check: HttpCheck) -> Target {
        Target::new(identity, RULES, ([192, 0, 2, 1], 80).into(), Check::Http(check))
    }

    fn client(prober: &Prober, target: &Target) -> Arc<HttpProbe> {
        match prober.client(target).expect("the check fits in a URL") {
            Client::Http(client) => client,
            other @ (Client::Grpc(_) | Client::Tls(_)) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_client_is_made_once_per_target_and_forgotten_with_it() {
        let (kept, gone) = (target("kept", HttpCheck::get("/")), target("gone", HttpCheck::get("/")));
        let prober = Prober::new();
        let first = client(&prober, &kept);
        client(&prober, &gone);
        prober.retain(&HashMap::from([(kept.identity.clone(), &kept)]));
        assert!(Arc::ptr_eq(&first, &client(&prober, &kept)));
        assert!(!prober.lock().made.contains_key(&gone.identity));
    }

    #[tokio::test]
    async fn a_probe_that_outlives_its_config_leaves_no_client_behind() {
        let (kept, gone) = (target("kept", HttpCheck::get("/")), target("gone", HttpCheck::get("/")));
        let prober = Prober::new();
        let begun = prober.lock().changes;
        let client_of_then = Client::Http(client(&Prober::new(), &kept));
        prober.retain(&HashMap::from([(kept.identity.clone(), &kept)]));
        prober.lock().keep(&kept.identity, client_of_then, begun);
        client(&prober, &gone);
        assert!(prober.lock().made.is_empty(), "one was made of what files held before, the other for nobody");
        client(&prober, &kept);
        assert!(prober.lock().made.contains_key(&kept.identity));
    }

    #[tokio::test]
    async fn a_client_with_files_is_made_anew_at_each_reload() {
        let rules = TlsRules { verify: false, ca: Some(Path::new("/ca.pem").into()), ..TlsRules::STRICT };
        let files = target("files", HttpCheck { tls: Some(rules), ..HttpCheck::get("/") });
        let prober = Prober::new();
        let first = client(&prober, &files);
        prober.retain(&HashMap::from([(files.identity.clone(), &files)]));
        assert!(!Arc::ptr_eq(&first, &client(&prober, &files)));
    }

    #[test]
    fn a_time_limit_that_was_noticed_late_says_nothing_about_the_target() {
        let (target, trail) = (target("late", HttpCheck::get("/")), Trail::start());
        assert_eq!(out_of_time(&target, &trail, Duration::from_secs(2)), Observation::Fail(FailReason::Timeout));
        // The trail began before that by more than anybody may be late.
        let begun = std::time::Instant::now().checked_sub(LAG_MAX * 2).expect("this machine runs for longer than a second");
        let late = Trail::since(begun);
        assert_eq!(out_of_time(&target, &late, LAG_MAX / 2), Observation::Inconclusive(Doubt::Lag));
    }
}
