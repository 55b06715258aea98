//! The JSON of `/v1/status`, and the tally behind `/metrics`: what this node believes, for people and programs.
//!
//! Written by the server and read by `steersman status`: one set of types for both. Fields are only ever added.

use super::beliefs::{Beliefs, usable_members};
use super::change::result_words;
use super::clock::Clock;
use super::prober::Seen;
use crate::clock::Moment;
use crate::ids::{PoolId, TargetId};
use crate::policy::{Member, Pool};
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
    /// When the config in force was loaded, in seconds since 1970.
    pub since_unix_s: u64,
    /// When the program started, in seconds since 1970.
    pub started_unix_s: u64,
    /// For how long the config has been in force, in seconds.
    pub age_s: f64,
    /// Changes of members' verdicts since the start.
    pub verdict_changes: u64,
    /// Pools prepared anew since the start because of what probes saw.
    #[serde(default)]
    pub pools_prepared: u64,
    /// Reloads since the start, by result: `applied`, `refused`, `failed`.
    pub reloads: BTreeMap<String, u64>,
    /// The zones that are served, in config order.
    pub zones: Vec<String>,
    /// All pools, in config order.
    pub pools: Vec<PoolStatus>,
    /// Everything that is probed.
    pub targets: Vec<TargetStatus>,
}

/// A pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// `healthy`, `degraded` or `empty`.
    pub grade: String,
    /// Members that may be answered now.
    pub usable: usize,
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

/// What the control task knows beside its beliefs.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The one clock.
    pub clock: Clock,
    /// The phase, as a word.
    pub state: &'static str,
    /// Configs put in force so far.
    pub generation: u64,
    /// When the config in force was loaded.
    pub loaded: Moment,
    /// Reloads by result.
    pub reloads: BTreeMap<String, u64>,
    /// What probes saw of certificates, by the identity of the target.
    pub certificates: HashMap<Arc<str>, Seen>,
}

impl StatusView {
    /// What `beliefs` are at `now`.
    pub fn of(beliefs: &Beliefs, around: &Circumstances, now: Moment) -> StatusView {
        let look = Look { beliefs, clock: &around.clock, certificates: &around.certificates, now };
        let snapshot = beliefs.snapshot();
        StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: around.state.to_owned(),
            generation: around.generation,
            since_unix_s: around.clock.unix_s(around.loaded),
            started_unix_s: around.clock.unix_s(Moment::START),
            age_s: seconds(now.since(around.loaded)),
            verdict_changes: beliefs.flips(),
            pools_prepared: beliefs.prepared(),
            reloads: around.reloads.clone(),
            zones: super::reload::zone_names(snapshot),
            pools: snapshot.graph.pools.iter().map(|(id, pool)| look.pool(id, pool)).collect(),
            targets: snapshot.targets.iter().map(|(id, target)| look.target(id, target)).collect(),
        }
    }
}

struct Look<'a> {
    beliefs: &'a Beliefs,
    clock: &'a Clock,
    certificates: &'a HashMap<Arc<str>, Seen>,
    now: Moment,
}

impl Look<'_> {
    fn pool(&self, id: PoolId, pool: &Pool) -> PoolStatus {
        let view = self.beliefs.view(id);
        PoolStatus {
            name: pool.name.to_string(),
            grade: view.grade.to_string(),
            usable: usable_members(view),
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
        let checks = &member.checks[family.index()];
        let views: Vec<_> = checks.iter().map(|&target| self.beliefs.target(target)).collect();
        // When several checks must pass, the one that speaks for the verdict is the one to show.
        let telling = views.iter().find(|view| view.verdict.status == belief.status).or(views.first());
        let latencies: Vec<_> = views.iter().filter_map(|view| view.verdict.latency).collect();
        AddressStatus {
            family: family_word(family).to_owned(),
            address,
            verdict: belief.status.to_string(),
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
            Some(left) => format!("; the certificate expires in {}", super::human::span(left)),
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
            last_result: view.last.as_ref().map(|(_, seen)| result_words(seen)),
            last_unix_s: view.last.as_ref().map(|(at, _)| self.clock.unix_s(*at)),
            next_probe_in_s: seconds(view.next.since(self.now)),
            interval_s: seconds(target.rules.interval),
            probes: tally.map(|tally| tally.results.iter().map(|(&result, &n)| (result.to_owned(), n)).collect()).unwrap_or_default(),
            certificate: self.certificates.get(&target.identity).map(|seen| self.certificate(seen)),
        }
    }

    fn certificate(&self, seen: &Seen) -> CertificateStatus {
        let expires_unix_s = seen.certificate.not_after_unix_s;
        let expires_in_s = expires_unix_s.saturating_sub(self.unix_s());
        CertificateStatus { expires_unix_s, expires_in_s, expires_soon: seen.expires_soon }
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
