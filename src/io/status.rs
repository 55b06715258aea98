//! The JSON of `/v1/status`, and the tally behind `/metrics`: what this node believes, for people and programs.
//!
//! Written by the server and read by `steersman status`: one set of types for both. Fields are only ever added.

use super::clock::Clock;
use super::exposure::{DETECTION_BOUNDS_S, Exposure};
use super::order::OverrideStatus;
use super::prober::{Prober, Seen};
use crate::beliefs::{Beliefs, note_words, result_words, usable_members};
use crate::clock::Moment;
use crate::health::{LATENESS_BOUNDS, Lateness, Status, Suspicion};
use crate::ids::{PoolId, TargetId};
use crate::judge::{Note, Place};
use crate::policy::{Member, Pool, SHARE_MIN_PERMILLE};
use crate::prefix::Family;
use crate::snapshot::Target;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// All there is to know about a running server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusView {
    /// The program's version.
    pub version: String,
    /// `starting`, `serving` or `draining`.
    pub state: String,
    /// Counts the configs that were put in force since the start, from 1.
    pub generation: u64,
    /// By which the journal knows the config in force: equal for equal contents of equal files; empty where there is no journal.
    #[serde(default)]
    pub fingerprint: String,
    /// When the config in force was loaded, in seconds since 1970.
    pub since_unix_s: u64,
    /// When the program started, in seconds since 1970.
    pub started_unix_s: u64,
    /// For how long the config has been in force, in seconds.
    pub age_s: f64,
    /// Changes of members' verdicts since the start.
    pub verdict_changes: u64,
    /// How soon deaths were noticed: times from the start of the first probe of a failing run until answers without the member were published.
    #[serde(default)]
    pub detections: TimesStatus,
    /// How late probes began.
    #[serde(default)]
    pub lateness: TimesStatus,
    /// Why this node does not trust its own sight, if so; verdicts are held meanwhile.
    #[serde(default)]
    pub suspicion: Option<SuspicionStatus>,
    /// Whether probes come back as they should.
    #[serde(default = "usually")]
    pub probes_come_in: bool,
    /// Pools prepared anew since the start because of what probes saw.
    #[serde(default)]
    pub pools_prepared: u64,
    /// Reloads since the start, by result: `applied`, `refused`, `failed`.
    pub reloads: BTreeMap<String, u64>,
    /// What is written below `state_dir`; none without one.
    #[serde(default)]
    pub journal: Option<JournalStatus>,
    /// What operators put in the place of verdicts, in the order in which they did.
    #[serde(default)]
    pub overrides: Vec<OverrideStatus>,
    /// The zones that are served, in config order.
    pub zones: Vec<String>,
    /// All pools, in config order.
    pub pools: Vec<PoolStatus>,
    /// Everything that is probed.
    pub targets: Vec<TargetStatus>,
}

/// Many times of one kind, counted by how long they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TimesStatus {
    /// How many took how long: upper end in seconds, and the number above the end before it. A last one without an end is the rest.
    pub by_bound: Vec<(Option<f64>, u64)>,
    /// The sum of all of them, in seconds.
    pub sum_s: f64,
}

/// How writing below `state_dir` goes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Entries of the journal since the start.
    pub written: u64,
    /// Entries that the disk did not take.
    pub lost: u64,
    /// Saves of the state that failed.
    pub save_failures: u64,
}

/// A doubt that lasts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SuspicionStatus {
    /// The evidence, in words.
    pub why: String,
    /// Since when, in seconds since 1970.
    pub since_unix_s: u64,
    /// For how long, in seconds.
    pub for_s: f64,
}

/// What a server that is older than the question would say.
fn usually() -> bool {
    true
}

fn whole() -> f64 {
    1.0
}

/// A pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// `healthy`, `degraded`, `kept` or `empty`.
    pub grade: String,
    /// Members that may be answered now.
    pub usable: usize,
    /// Answers that named a dead member and could still be held when its failing run began; an estimate.
    #[serde(default)]
    pub dead_answers: f64,
    /// Dead-IP exposure in seconds; an estimate.
    #[serde(default)]
    pub exposure_s: f64,
    /// In config order.
    pub members: Vec<MemberStatus>,
}

/// A member of a pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub site: Option<String>,
    /// Its weight.
    pub weight: u32,
    /// Whether the config disables it.
    pub disabled: bool,
    /// One or two.
    pub addresses: Vec<AddressStatus>,
}

/// An address of a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddressStatus {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// What answers show.
    pub address: IpAddr,
    /// `up`, `down` or `unknown`.
    pub verdict: String,
    /// Whether it seems dead, and is not believed to be, since this node may be blind.
    #[serde(default)]
    pub suspect: bool,
    /// What an operator put in the place of the verdict: `up`, `down` or `drain`.
    #[serde(default)]
    pub forced: Option<String>,
    /// The protection that keeps it, though it seems dead or an operator took it out.
    #[serde(default)]
    pub kept_by: Option<String>,
    /// Whether it is up, and waits to be let back.
    #[serde(default)]
    pub held_back: bool,
    /// Its share of its weight: below 1 while it is coming back, or is slow.
    #[serde(default = "whole")]
    pub share: f64,
    /// All of this in words that follow the name of the member.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Since when, in seconds since 1970.
    pub since_unix_s: u64,
    /// For how long, in seconds.
    pub for_s: f64,
    /// Smoothed connect time of the probes that passed, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The identities of its targets; all must pass.
    pub targets: Vec<String>,
    /// What the last probe saw, in words: of a target that is down when there is one. Warns of a certificate that expires soon.
    pub last_result: Option<String>,
    /// Seconds until the next probe of any of its targets.
    pub next_probe_in_s: Option<f64>,
}

/// One check of one address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetStatus {
    /// What is checked and how.
    pub identity: String,
    /// `up`, `down` or `unknown`.
    pub verdict: String,
    /// Since when, in seconds since 1970.
    pub since_unix_s: u64,
    /// How many of the last conclusive probes agreed.
    pub in_a_row: u32,
    /// Failures among the last probes that `window` looks at, and how many those are.
    #[serde(default)]
    pub loss: Option<(u32, u32)>,
    /// Falls within the window of `damping`.
    #[serde(default)]
    pub flaps: usize,
    /// Seconds for which it stays down at least, because of them.
    #[serde(default)]
    pub held_for_s: f64,
    /// What the last probe saw, in words.
    pub last_result: Option<String>,
    /// When it saw that, in seconds since 1970.
    pub last_unix_s: Option<u64>,
    /// Seconds until the next probe.
    pub next_probe_in_s: f64,
    /// From one probe to the next, in seconds.
    pub interval_s: f64,
    /// Probes by result: `pass`, or a short word for what was wrong.
    pub probes: BTreeMap<String, u64>,
    /// Whether it is there to tell this node that it sees.
    #[serde(default)]
    pub canary: bool,
    /// What it presented, where it speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
}

/// The certificate of a target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// When it expires, in seconds since 1970.
    pub expires_unix_s: i64,
    /// Seconds until then; negative once it has expired.
    pub expires_in_s: i64,
    /// Whether that is within `expiry_warning`.
    pub expires_soon: bool,
}

/// All that a [`StatusView`] says, as it was at one moment: quickly copied, and put into words by whoever wants them.
#[derive(Debug)]
pub struct Picture {
    /// What is believed.
    pub beliefs: Beliefs,
    /// What clients were told of the dead.
    pub exposure: Exposure,
    /// The rest.
    pub around: Circumstances,
    /// When.
    pub now: Moment,
}

/// What the control task knows beside its beliefs.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The one clock.
    pub clock: Clock,
    /// The phase, as a word.
    pub state: &'static str,
    /// Configs put in force so far.
    pub generation: u64,
    /// By which it is known; empty where there is no journal.
    pub fingerprint: String,
    /// When the config in force was loaded.
    pub loaded: Moment,
    /// Reloads by result.
    pub reloads: BTreeMap<String, u64>,
    /// Knows what probes saw of certificates.
    pub prober: Arc<Prober>,
    /// How writing below `state_dir` goes.
    pub journal: Option<JournalStatus>,
}

impl StatusView {
    /// Puts a picture into words. Takes some microseconds for each target: not to be done where probes wait for it.
    pub fn of(picture: &Picture) -> StatusView {
        let Picture { beliefs, exposure, around, now } = picture;
        let now = *now;
        let look = Look { beliefs, exposure, clock: &around.clock, certificates: &around.prober.certificates(), now };
        let snapshot = beliefs.snapshot();
        StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: around.state.to_owned(),
            generation: around.generation,
            fingerprint: around.fingerprint.clone(),
            since_unix_s: around.clock.unix_s(around.loaded),
            started_unix_s: around.clock.unix_s(around.clock.started()),
            age_s: seconds(now.since(around.loaded)),
            verdict_changes: beliefs.flips(),
            detections: detections(exposure),
            lateness: lateness(beliefs.lateness()),
            suspicion: beliefs.suspicion().map(|suspicion| look.suspicion(suspicion)),
            probes_come_in: beliefs.probes_come_in(),
            pools_prepared: beliefs.prepared(),
            reloads: around.reloads.clone(),
            journal: around.journal,
            overrides: beliefs.overrides().iter().map(OverrideStatus::from).collect(),
            zones: super::reload::zone_names(snapshot),
            pools: snapshot.graph.pools.iter().map(|(id, pool)| look.pool(id, pool)).collect(),
            targets: snapshot.targets.iter().map(|(id, target)| look.target(id, target)).collect(),
        }
    }
}

fn detections(exposure: &Exposure) -> TimesStatus {
    let bounds = DETECTION_BOUNDS_S.iter().copied().map(Some).chain([None]);
    TimesStatus { by_bound: bounds.zip(exposure.detections().iter().copied()).collect(), sum_s: exposure.detected_in().as_secs_f64() }
}

fn lateness(lateness: &Lateness) -> TimesStatus {
    let bounds = LATENESS_BOUNDS.iter().map(|bound| Some(seconds(*bound))).chain([None]);
    TimesStatus { by_bound: bounds.zip(lateness.counts().iter().copied()).collect(), sum_s: seconds(lateness.sum()) }
}

struct Look<'a> {
    beliefs: &'a Beliefs,
    exposure: &'a Exposure,
    clock: &'a Clock,
    certificates: &'a HashMap<Arc<str>, Seen>,
    now: Moment,
}

impl Look<'_> {
    fn suspicion(&self, suspicion: &Suspicion) -> SuspicionStatus {
        SuspicionStatus {
            why: suspicion.evidence.to_string(),
            since_unix_s: self.clock.unix_s(suspicion.since),
            for_s: seconds(self.now.since(suspicion.since)),
        }
    }

    fn pool(&self, id: PoolId, pool: &Pool) -> PoolStatus {
        let view = self.beliefs.view(id);
        let dead = self.exposure.dead(&pool.name);
        PoolStatus {
            name: pool.name.to_string(),
            grade: view.grade.to_string(),
            usable: usable_members(view),
            dead_answers: dead.answers,
            exposure_s: dead.exposure_s,
            members: pool.members.iter().enumerate().map(|(index, member)| self.member(id, index, member)).collect(),
        }
    }

    fn member(&self, pool: PoolId, index: usize, member: &Member) -> MemberStatus {
        let address = |family: Family| Some(self.address(pool, index, member, family, member.addresses[family.index()]?));
        MemberStatus {
            name: member.name.to_string(),
            site: member.site.map(|site| self.beliefs.snapshot().graph.sites[site].to_string()),
            weight: member.weight,
            disabled: member.disabled,
            addresses: Family::BOTH.into_iter().filter_map(address).collect(),
        }
    }

    fn address(&self, pool: PoolId, index: usize, member: &Member, family: Family, address: IpAddr) -> AddressStatus {
        let belief = self.beliefs.belief(pool, index, family);
        let notes = self.beliefs.notes(Place { pool, member: index, family }, self.now);
        let checks = &member.checks[family.index()];
        let views: Vec<_> = checks.iter().map(|&target| self.beliefs.target(target)).collect();
        // Of several checks, one that speaks for the verdict is the one to show.
        let telling = views.iter().find(|view| view.verdict.status == belief.status).or(views.first());
        let latencies: Vec<_> = views.iter().filter_map(|view| view.verdict.latency).collect();
        AddressStatus {
            family: family_word(family).to_owned(),
            address,
            verdict: belief.status.to_string(),
            suspect: views.iter().any(|view| view.suspect),
            forced: notes.iter().find_map(|note| if let Note::Forced(one) = note { Some(one.force.word().to_owned()) } else { None }),
            kept_by: notes
                .iter()
                .find_map(|note| if let Note::Kept(rule) | Note::KeptAgainst(rule) = note { Some(rule.to_string()) } else { None }),
            held_back: notes.iter().any(|note| matches!(note, Note::HeldBack(_))),
            share: notes.iter().map(share).fold(1.0, f64::min),
            notes: notes.iter().map(|note| note_words(note, self.beliefs.unix_s(self.now))).collect(),
            since_unix_s: self.clock.unix_s(belief.since),
            for_s: seconds(self.now.since(belief.since)),
            latency_ms: latencies.iter().max().map(|latency| (latency.as_secs_f64() * 1e4).round() / 10.0),
            targets: checks.iter().map(|&target| self.beliefs.snapshot().targets[target].identity.to_string()).collect(),
            last_result: telling.and_then(|view| view.last.as_ref()).map(|(_, seen)| result_words(seen) + &self.warning(checks)),
            next_probe_in_s: views.iter().map(|view| seconds(view.next.since(self.now))).reduce(f64::min),
        }
    }

    /// `; the certificate expires in 9d`, where that is soon.
    fn warning(&self, checks: &[TargetId]) -> String {
        let seen = checks.iter().filter_map(|&target| self.certificates.get(&self.beliefs.snapshot().targets[target].identity));
        let soonest = seen.filter(|seen| seen.expires_soon).map(|seen| seen.certificate.left(self.unix_s())).min();
        match soonest {
            Some(left) if left.is_zero() => "; the certificate has expired".to_owned(),
            Some(left) => format!("; the certificate expires in {}", crate::human::span(left)),
            None => String::new(),
        }
    }

    fn unix_s(&self) -> i64 {
        i64::try_from(self.clock.unix_s(self.now)).unwrap_or(i64::MAX)
    }

    fn target(&self, id: TargetId, target: &Target) -> TargetStatus {
        let view = self.beliefs.target(id);
        let tally = self.beliefs.tally(&target.identity);
        TargetStatus {
            identity: target.identity.to_string(),
            verdict: view.verdict.status.to_string(),
            since_unix_s: self.clock.unix_s(view.since),
            in_a_row: tally.map_or(0, |tally| tally.in_a_row),
            loss: view.loss,
            flaps: view.flaps.0,
            held_for_s: if view.verdict.status == Status::Down { seconds(view.flaps.1.since(self.now)) } else { 0.0 },
            last_result: view.last.as_ref().map(|(_, seen)| result_words(seen)),
            last_unix_s: view.last.as_ref().map(|(at, _)| self.clock.unix_s(*at)),
            next_probe_in_s: seconds(view.next.since(self.now)),
            interval_s: seconds(target.rules.interval),
            probes: tally.map(|tally| tally.results.iter().map(|(&result, &n)| (result.to_owned(), n)).collect()).unwrap_or_default(),
            canary: self.beliefs.snapshot().canaries.contains(&id),
            certificate: self.certificates.get(&target.identity).map(|seen| self.certificate(seen)),
        }
    }

    fn certificate(&self, seen: &Seen) -> CertificateStatus {
        let expires_unix_s = seen.certificate.not_after_unix_s;
        let expires_in_s = expires_unix_s.saturating_sub(self.unix_s());
        CertificateStatus { expires_unix_s, expires_in_s, expires_soon: seen.expires_soon }
    }
}

/// The share of its weight that a note leaves a member.
fn share(note: &Note) -> f64 {
    match note {
        Note::Returning(permille) => f64::from(*permille) / 1e3,
        Note::Slow => f64::from(SHARE_MIN_PERMILLE) / 1e3,
        Note::Forced(_) | Note::Kept(_) | Note::KeptAgainst(_) | Note::HeldBack(_) | Note::HeldDown(..) | Note::Lossy(..) => 1.0,
    }
}

/// A family as JSON and labels write it.
pub fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// Seconds, rounded to milliseconds: nobody reads more.
fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e3).round() / 1e3
}
