//! What of all that happens is worth a line of the journal, and in which fields.
//!
//! The control task tells [`Chronicle`] of every [`Change`] and every config; [`Entry`](super::journal::Entry)s leave for the [`Journal`].
//! [`Teller`], which knows no disk, makes their fields. It keeps in mind what a reader would make of the entries so far, so that a config that
//! is put in force says what does not follow from them.

use super::clock::Clock;
use super::fingerprint::Fingerprint;
use super::journal::{ConfigNote, Event, Journal, Turn};
use super::order::OverrideStatus;
use super::saved_form::Word;
use crate::beliefs::{Beliefs, Change, MemberChange, OverrideChange, Saved};
use crate::health::{DoubtChange, Status};
use crate::human::count;
use crate::ids::{PoolId, SiteId, TargetId};
use crate::judge::{self, Override, Selector};
use crate::policy::{Member, Pool};
use crate::prefix::Family;
use crate::snapshot::Snapshot;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Writes the journal for the control task.
#[derive(Debug)]
pub struct Chronicle {
    journal: Journal,
    /// What was read for the config in force.
    read: Fingerprint,
    teller: Teller,
    /// The config in force.
    config: ConfigNote,
}

impl Chronicle {
    /// A chronicle that goes on in `journal`; `read` knows which files the config in force consists of.
    pub fn new(journal: Journal, read: Fingerprint) -> Chronicle {
        Chronicle { journal, read, teller: Teller::default(), config: ConfigNote::default() }
    }

    /// Where it is written to.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The config in force.
    pub fn config(&self) -> &ConfigNote {
        &self.config
    }

    /// What was read last was not put in force: its texts are of no use.
    pub fn handle_refusal(&self) {
        self.read.drop_texts();
    }

    /// The program begins, with these beliefs.
    pub fn begin(&mut self, beliefs: &Beliefs, clock: &Clock) {
        let config = self.take_config(beliefs.snapshot(), 1);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let text = format!("steersman {version} starts with {}", config_words(&config));
        self.journal.record(Event::Started { version, config }, text);
        self.checkpoint(beliefs, clock);
    }

    /// The program ends.
    pub fn end(&self, patience: Duration) {
        self.journal.record(Event::Stopped, "steersman stops".to_owned());
        self.journal.finish(patience);
    }

    /// Another config is in force.
    pub fn handle_config(&mut self, beliefs: &Beliefs, generation: u64) {
        let snapshot = beliefs.snapshot();
        self.journal.set_max_octets(snapshot.settings.journal_max_octets);
        let config = self.take_config(snapshot, generation);
        let text = format!("{} is in force", config_words(&config));
        self.journal.record(self.teller.config(config, beliefs), text);
    }

    /// Something changed, and is believed by now.
    pub fn handle_change(&mut self, change: &Change, beliefs: &Beliefs) {
        self.journal.record(self.teller.change(change, beliefs), change.to_string());
    }

    /// Writes a checkpoint where a segment of the journal begins, and after a gap.
    pub fn look_after(&mut self, beliefs: &Beliefs, clock: &Clock) {
        if self.journal.wants_checkpoint() {
            self.checkpoint(beliefs, clock);
        }
    }

    fn checkpoint(&mut self, beliefs: &Beliefs, clock: &Clock) {
        self.journal.record_checkpoint(self.teller.checkpoint(beliefs), self.config.clone(), clock.now());
    }

    /// Notes a config that is in force now, and keeps its text.
    fn take_config(&mut self, snapshot: &Snapshot, generation: u64) -> ConfigNote {
        let manifest = self.read.manifest();
        self.journal.keep(Arc::clone(&manifest));
        self.read.drop_texts();
        self.config = ConfigNote {
            generation,
            fingerprint: manifest.fingerprint(),
            files: manifest.files().len(),
            octets: manifest.octets(),
            list: if manifest.files().len() <= LISTED { manifest.files().cloned().collect() } else { Vec::new() },
            zones: snapshot.zones.iter().count(),
            pools: snapshot.graph.pools.len(),
            members: snapshot.graph.pools.rows().iter().map(|pool| pool.members.len()).sum(),
            targets: snapshot.targets.len(),
        };
        self.config.clone()
    }
}

/// What happens, in the fields of the journal.
#[derive(Debug, Default)]
pub struct Teller {
    /// What a reader of the entries so far believes of targets, by identity.
    told: HashMap<Arc<str>, Status>,
}

impl Teller {
    /// Another config is in force.
    pub fn config(&mut self, config: ConfigNote, beliefs: &Beliefs) -> Event {
        Event::Config { config, targets: self.news(beliefs) }
    }

    /// All that is believed.
    pub fn checkpoint(&mut self, beliefs: &Beliefs) -> Saved {
        self.told = statuses(beliefs).collect();
        beliefs.saved()
    }

    /// Something changed, and is believed by now.
    pub fn change(&mut self, change: &Change, beliefs: &Beliefs) -> Event {
        match change {
            Change::Member(change) => self.member(change, beliefs),
            Change::Pace(change) => Event::Pace {
                pool: change.pool.to_string(),
                member: change.member.to_string(),
                site: site(change.place, beliefs.snapshot()),
                address: change.addr,
                slow: change.slow,
            },
            Change::Pool(change) => Event::Pool {
                pool: change.pool.to_string(),
                was: change.was.to_string(),
                now: change.now.to_string(),
                usable: change.usable,
                members: change.members,
            },
            Change::Canary(change) => Event::Canary {
                target: change.target.to_string(),
                was: change.was.to_string(),
                now: change.now.to_string(),
                lasted_ms: millis(change.lasted),
                seen: change.cause.as_ref().map(|cause| cause.seen.clone()),
            },
            Change::Sight(DoubtChange::Begun(evidence)) => Event::Suspect { why: evidence.to_string() },
            Change::Sight(DoubtChange::Ended(_)) => Event::Trusting,
            Change::Override(change) => an_override(change, beliefs.snapshot()),
            Change::Probes { come_in } => Event::Probes { come_in: *come_in },
        }
    }

    fn member(&mut self, change: &MemberChange, beliefs: &Beliefs) -> Event {
        let snapshot = beliefs.snapshot();
        let family = if change.addr.is_ipv4() { Family::V4 } else { Family::V6 };
        let (pool, member) = change.place;
        let checks = &snapshot.graph.pools[pool].members[member].checks[family.index()];
        let concerned: BTreeSet<&TargetId> = checks.iter().chain(&change.turned).collect();
        let known =
            concerned.into_iter().map(|target| (Arc::clone(&snapshot.targets[*target].identity), beliefs.target(*target).verdict.status));
        let known: Vec<(Arc<str>, Status)> = known.collect();
        let targets = known.iter().filter_map(|(identity, status)| Some((identity.to_string(), Word::of(*status)?))).collect();
        self.told.extend(known);
        Event::Member {
            pool: change.pool.to_string(),
            member: change.member.to_string(),
            site: site(change.place, snapshot),
            address: change.addr,
            was: change.was.to_string(),
            now: change.now.to_string(),
            lasted_ms: millis(change.lasted),
            seen: change.cause.as_ref().map(|cause| cause.seen.clone()),
            targets,
        }
    }

    /// What is believed of targets and was not told.
    fn news(&mut self, beliefs: &Beliefs) -> BTreeMap<String, Word> {
        let now: HashMap<Arc<str>, Status> = statuses(beliefs).collect();
        let is_news = |(identity, status): &(&Arc<str>, &Status)| self.told.get(*identity) != Some(*status);
        let news = now.iter().filter(is_news).filter_map(|(identity, status)| Some((identity.to_string(), Word::of(*status)?))).collect();
        self.told.extend(now);
        news
    }
}

/// Where a member stands.
fn site((pool, member): (PoolId, usize), snapshot: &Snapshot) -> Option<String> {
    snapshot.graph.pools[pool].members[member].site.map(|site| snapshot.graph.sites[site].to_string())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Files and members that one entry lists; of more it says how many they are, or nothing.
const LISTED: usize = 64;

fn statuses(beliefs: &Beliefs) -> impl Iterator<Item = (Arc<str>, Status)> {
    let targets = beliefs.snapshot().targets.iter();
    targets
        .map(|(id, target)| (Arc::clone(&target.identity), beliefs.target(id).verdict.status))
        .filter(|(_, status)| *status != Status::Unknown)
}

fn config_words(config: &ConfigNote) -> String {
    let ConfigNote { generation, fingerprint, files, octets, zones, pools, members, targets, .. } = config;
    let what = [(*zones, "zone"), (*pools, "pool"), (*members, "member"), (*targets, "target")]
        .map(|(number, noun)| count(number, noun))
        .join(", ");
    let from = if fingerprint.is_empty() {
        "built in".to_owned()
    } else {
        format!("config {} of {}, {} KiB", fingerprint.get(..12).unwrap_or(fingerprint), count(*files, "file"), octets.div_ceil(1024))
    };
    format!("generation {generation} ({from}: {what})")
}

fn an_override(change: &OverrideChange, snapshot: &Snapshot) -> Event {
    let event = |turn, one: &Override| Event::Override {
        turn,
        selector: one.selector.to_string(),
        order: Some(OverrideStatus::from(one)),
        about: about(&one.selector, snapshot),
        sites: sites(&one.selector, snapshot),
    };
    match change {
        OverrideChange::Set(one, _) => event(Turn::Set, one),
        OverrideChange::Cleared(one) => event(Turn::Cleared, one),
        OverrideChange::Released(selector, _) => {
            let (about, sites) = (about(selector, snapshot), sites(selector, snapshot));
            Event::Override { turn: Turn::Released, selector: selector.to_string(), order: None, about, sites }
        }
        OverrideChange::Passed(passed, _) => match passed {
            judge::Event::AboutToExpire(one, _) => event(Turn::AboutToExpire, one),
            judge::Event::Expired(one) => event(Turn::Expired, one),
            judge::Event::Removed(one) => event(Turn::Removed, one),
            judge::Event::Gone(one) => event(Turn::Gone, one),
        },
    }
}

/// The members that a selector means; none where they are too many to list.
fn about(selector: &Selector, snapshot: &Snapshot) -> Vec<String> {
    let names = meant(selector, snapshot).map(|(pool, member)| format!("{}/{}", pool.name, member.name));
    few(names.take(LISTED + 1).collect())
}

/// Where they stand; empty likewise.
fn sites(selector: &Selector, snapshot: &Snapshot) -> Vec<String> {
    let sites: BTreeSet<SiteId> = meant(selector, snapshot).filter_map(|(_, member)| member.site).collect();
    few(sites.into_iter().map(|site| snapshot.graph.sites[site].to_string()).collect())
}

fn meant<'a>(selector: &'a Selector, snapshot: &'a Snapshot) -> impl Iterator<Item = (&'a Pool, &'a Member)> {
    let graph = &snapshot.graph;
    let members = graph.pools.rows().iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)));
    members.filter(|(pool, member)| selector.selects(&pool.name, &member.name, member.site.map(|site| &*graph.sites[site])))
}

fn few(names: Vec<String>) -> Vec<String> {
    if names.len() > LISTED { Vec::new() } else { names }
}
