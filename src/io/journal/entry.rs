//! One line of the journal: when, in words, and in fields that programs read. Fields are only ever added.

use crate::io::order::OverrideStatus;
use crate::io::saved_form::{SavedForm, Word};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// When, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// In words, as the log had it.
    pub text: String,
    /// In fields.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The program began.
    Started {
        /// Its version.
        version: String,
        /// What it began with.
        config: ConfigNote,
    },
    /// It ended as it should.
    Stopped,
    /// Another config is in force.
    Config {
        /// Which.
        config: ConfigNote,
        /// What is believed of targets, where that does not follow from the entries before.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        targets: BTreeMap<String, Word>,
    },
    /// The verdict on an address of a member changed.
    Member {
        /// Its pool.
        pool: String,
        /// The member.
        member: String,
        /// Where it stands, where that is told apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        site: Option<String>,
        /// The address.
        address: IpAddr,
        /// `up`, `down` or `unknown`.
        was: String,
        /// Likewise.
        now: String,
        /// For how long the former was believed.
        lasted_ms: u64,
        /// What a probe saw.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<String>,
        /// What is believed of all targets of that address; and of those on which the verdict changed before, without any member's changing.
        targets: BTreeMap<String, Word>,
    },
    /// A member's address became slow against its siblings, or stopped to be.
    Pace {
        /// Its pool.
        pool: String,
        /// The member.
        member: String,
        /// Where it stands, where that is told apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        site: Option<String>,
        /// The address.
        address: IpAddr,
        /// Whether it is slow now.
        slow: bool,
    },
    /// The grade of a pool changed.
    Pool {
        /// Its name.
        pool: String,
        /// `healthy`, `degraded` or `empty`.
        was: String,
        /// Likewise.
        now: String,
        /// Members that may be answered.
        usable: usize,
        /// Members in all.
        members: usize,
    },
    /// The verdict on a canary changed.
    Canary {
        /// The identity of its target.
        target: String,
        /// `up`, `down` or `unknown`.
        was: String,
        /// Likewise.
        now: String,
        /// For how long the former was believed.
        lasted_ms: u64,
        /// What a probe saw.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<String>,
    },
    /// This node began to doubt its own sight.
    Suspect {
        /// The evidence.
        why: String,
    },
    /// It trusts its sight again.
    Trusting,
    /// Probes stopped to come back, or came back again.
    Probes {
        /// Whether they do now.
        come_in: bool,
    },
    /// What operators ordered came about, or to its end.
    Override {
        /// What became of it.
        turn: Turn,
        /// Whom it is about.
        selector: String,
        /// The order itself; none of a release.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<OverrideStatus>,
        /// The members meant, as `POOL/MEMBER`; empty where they are too many to list.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        about: Vec<String>,
        /// Where those stand.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sites: Vec<String>,
    },
    /// Entries before this one were lost: the disk took them not, or not fast enough.
    Gap {
        /// How many.
        lost: u64,
    },
    /// All that is believed.
    Checkpoint {
        /// As the state file has it.
        state: Box<SavedForm>,
        /// The config in force, whose own entry may be gone by now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        config: Option<Box<ConfigNote>>,
    },
    /// What a newer version of the program wrote.
    #[serde(other)]
    Other,
}

/// What became of an override.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It is in force.
    Set,
    /// An operator ended it.
    Cleared,
    /// An operator let members back.
    Released,
    /// It ends soon.
    AboutToExpire,
    /// It ended by itself.
    Expired,
    /// What is drained is answered no more.
    Removed,
    /// What is drained is in no cache any more.
    Gone,
}

/// A config that was put in force.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ConfigNote {
    /// Counts the configs since the start, from 1.
    pub generation: u64,
    /// Equal for equal contents of equal files (the first half of a SHA-256); empty for one that is built in.
    pub fingerprint: String,
    /// How many files it consists of.
    pub files: usize,
    /// How long they are together, in octets.
    pub octets: u64,
    /// The files, where they are few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<FileNote>,
    /// Zones served.
    pub zones: usize,
    /// Pools.
    pub pools: usize,
    /// Members of all pools.
    pub members: usize,
    /// Targets probed.
    pub targets: usize,
}

/// A file of a config.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileNote {
    /// Its path, as it was opened.
    pub path: String,
    /// The first half of the SHA-256 of its contents.
    pub sha256: String,
    /// Its length.
    pub octets: u64,
}

impl Event {
    /// Those that it is about, as far as it names them.
    pub fn subjects(&self) -> Vec<Subject<'_>> {
        match self {
            Event::Member { pool, member, site, .. } | Event::Pace { pool, member, site, .. } => {
                vec![Subject::Member { pool, member, site: site.as_deref() }]
            }
            Event::Pool { pool, .. } => vec![Subject::Pool(pool)],
            Event::Override { about, sites, .. } => {
                let members = about.iter().filter_map(|name| name.split_once('/'));
                let members = members.map(|(pool, member)| Subject::Member { pool, member, site: None });
                members.chain(sites.iter().map(|site| Subject::Site(site))).collect()
            }
            Event::Started { .. }
            | Event::Stopped
            | Event::Config { .. }
            | Event::Canary { .. }
            | Event::Suspect { .. }
            | Event::Trusting
            | Event::Probes { .. }
            | Event::Gap { .. }
            | Event::Checkpoint { .. }
            | Event::Other => Vec::new(),
        }
    }
}

/// Somebody whom an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject<'a> {
    /// A pool.
    Pool(&'a str),
    /// A member.
    Member {
        /// Of this pool.
        pool: &'a str,
        /// Its name.
        member: &'a str,
        /// Where it stands, where that is known.
        site: Option<&'a str>,
    },
    /// A site.
    Site(&'a str),
}
