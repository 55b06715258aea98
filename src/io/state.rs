//! Verdicts that survive a restart: one JSON file, replaced as a whole.
//!
//! A file that is missing, unreadable, too old or from the future costs a warning and nothing else: a nameserver that does
//! not start because of yesterday's opinions would be worse than one that looks anew.

use super::clock::wall_unix_s;
use super::order::OverrideStatus;
use crate::beliefs::{HeldBack, Saved};
use crate::health::Status;
use crate::prefix::Family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file's name below the state directory.
const NAME: &str = "verdicts.json";

/// The layout that this version writes. A file with a greater number is left alone.
const VERSION: u32 = 1;

/// The file as it stands on disk.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    saved_at_unix_s: u64,
    targets: BTreeMap<String, Word>,
    pools: BTreeMap<String, LastKnown>,
    #[serde(default)]
    overrides: Vec<OverrideStatus>,
    #[serde(default)]
    held_back: Vec<Waiting>,
}

#[derive(Serialize, Deserialize)]
struct Waiting {
    pool: String,
    member: String,
    family: FamilyWord,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FamilyWord {
    Ipv4,
    Ipv6,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Up,
    Down,
}

#[derive(Serialize, Deserialize)]
struct LastKnown {
    ipv4: Vec<String>,
    ipv6: Vec<String>,
}

/// Why nothing was remembered.
#[derive(Debug)]
pub enum Forgotten {
    /// There is no such file: the first start.
    Missing,
    /// It could not be read.
    Unreadable(io::Error),
    /// It holds something else.
    Malformed(serde_json::Error),
    /// A newer version of the program wrote it.
    FromTheFuture(u32),
    /// Its verdicts are older than `state_max_age`; what operators ordered is never too old.
    TooOld(Duration, Saved),
}

impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Forgotten::Missing => write!(f, "there is none yet"),
            Forgotten::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            Forgotten::Malformed(error) => write!(f, "it is malformed: {error}"),
            Forgotten::FromTheFuture(version) => write!(f, "it has version {version}, and this program knows up to {VERSION}"),
            Forgotten::TooOld(age, _) => write!(f, "it is {} old, more than state_max_age", crate::human::span(*age)),
        }
    }
}

/// Where state is kept.
#[derive(Clone, Debug)]
pub struct StateFile {
    directory: PathBuf,
}

impl StateFile {
    /// State in `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// When it is missing and cannot be made.
    pub fn open(directory: &Path) -> io::Result<StateFile> {
        std::fs::create_dir_all(directory)?;
        Ok(StateFile { directory: directory.to_owned() })
    }

    /// The file's path.
    pub fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// What was remembered, unless it is older than `max_age`.
    ///
    /// # Errors
    /// When there is nothing that may be believed; never a reason not to start.
    pub fn load(&self, max_age: Duration) -> Result<Saved, Forgotten> {
        let text = std::fs::read_to_string(self.path()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Forgotten::Missing,
            _ => Forgotten::Unreadable(error),
        })?;
        decode(&text, wall_unix_s(), max_age)
    }

    /// Replaces the file: a crash at any moment leaves the old one or the new one, never half of one.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn save(&self, saved: &Saved) -> io::Result<()> {
        let draft = self.directory.join(format!("{NAME}.new"));
        let mut file = File::create(&draft)?;
        file.write_all(encode(saved, wall_unix_s()).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, self.path())?;
        File::open(&self.directory)?.sync_all()
    }
}

fn encode(saved: &Saved, now_unix_s: u64) -> String {
    let word = |status: &Status| match status {
        Status::Up => Some(Word::Up),
        Status::Down => Some(Word::Down),
        Status::Unknown => None,
    };
    let last_known = |[ipv4, ipv6]: &[Vec<String>; 2]| LastKnown { ipv4: ipv4.clone(), ipv6: ipv6.clone() };
    let waiting = |held: &HeldBack| Waiting {
        pool: held.pool.clone(),
        member: held.member.clone(),
        family: match held.family {
            Family::V4 => FamilyWord::Ipv4,
            Family::V6 => FamilyWord::Ipv6,
        },
    };
    let on_disk = OnDisk {
        version: VERSION,
        saved_at_unix_s: now_unix_s,
        targets: saved.targets.iter().filter_map(|(identity, status)| Some((identity.clone(), word(status)?))).collect(),
        pools: saved.pools.iter().map(|(pool, families)| (pool.clone(), last_known(families))).collect(),
        overrides: saved.overrides.iter().map(OverrideStatus::from).collect(),
        held_back: saved.held_back.iter().map(waiting).collect(),
    };
    serde_json::to_string_pretty(&on_disk).expect("maps with text keys are JSON") + "\n"
}

fn decode(text: &str, now_unix_s: u64, max_age: Duration) -> Result<Saved, Forgotten> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    // The version first: what a newer program wrote need not look like ours.
    let Version { version } = serde_json::from_str(text).map_err(Forgotten::Malformed)?;
    if version > VERSION {
        return Err(Forgotten::FromTheFuture(version));
    }
    let on_disk: OnDisk = serde_json::from_str(text).map_err(Forgotten::Malformed)?;
    let held_back = |waiting: Waiting| HeldBack {
        pool: waiting.pool,
        member: waiting.member,
        family: match waiting.family {
            FamilyWord::Ipv4 => Family::V4,
            FamilyWord::Ipv6 => Family::V6,
        },
    };
    let overrides = on_disk.overrides.into_iter().filter_map(OverrideStatus::parse).collect();
    let held_back = on_disk.held_back.into_iter().map(held_back).collect();
    let ordered = Saved { overrides, held_back, ..Saved::default() };
    let age = Duration::from_secs(now_unix_s.saturating_sub(on_disk.saved_at_unix_s));
    if age > max_age {
        return Err(Forgotten::TooOld(age, ordered));
    }
    let status = |word: Word| match word {
        Word::Up => Status::Up,
        Word::Down => Status::Down,
    };
    Ok(Saved {
        targets: on_disk.targets.into_iter().map(|(identity, word)| (identity, status(word))).collect(),
        pools: on_disk.pools.into_iter().map(|(pool, known)| (pool, [known.ipv4, known.ipv6])).collect(),
        ..ordered
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Force, Override, Progress};

    const HOUR: Duration = Duration::from_hours(1);

    fn saved() -> Saved {
        Saved {
            targets: [("tcp 192.0.2.1:80".to_owned(), Status::Up), ("tcp 192.0.2.2:80".to_owned(), Status::Down)].into(),
            pools: [("web".to_owned(), [vec!["fra-1".to_owned()], Vec::new()])].into(),
            overrides: vec![Override {
                selector: "pool:web".parse().expect("a selector"),
                force: Force::Down,
                owner: "alice".into(),
                reason: "test".into(),
                set_unix_s: 900,
                expires_unix_s: Some(5_000),
                break_glass: true,
                progress: Progress::default(),
            }],
            held_back: vec![HeldBack { pool: "web".into(), member: "fra-2".into(), family: Family::V6 }],
        }
    }

    #[test]
    fn what_was_saved_is_remembered_until_it_is_too_old() {
        let text = encode(&saved(), 1_000);
        assert_eq!(decode(&text, 1_000 + 3_600, HOUR).expect("just young enough"), saved());
        let Err(Forgotten::TooOld(_, kept)) = decode(&text, 1_001 + 3_600, HOUR) else { panic!("too old") };
        assert_eq!(kept, Saved { overrides: saved().overrides, held_back: saved().held_back, ..Saved::default() });
    }

    #[test]
    fn a_file_from_before_there_were_overrides_is_read() {
        let text = r#"{"version": 1, "saved_at_unix_s": 1000, "targets": {"tcp 192.0.2.1:80": "up"}, "pools": {}}"#;
        assert_eq!(decode(text, 1_000, HOUR).expect("sound").targets.len(), 1);
    }

    #[test]
    fn a_wall_clock_that_went_back_makes_nothing_old() {
        assert!(decode(&encode(&saved(), 1_000), 500, HOUR).is_ok());
    }

    #[test]
    fn a_file_from_the_future_or_from_another_planet_is_refused() {
        assert!(matches!(decode(r#"{"version": 2, "verdicts": []}"#, 0, HOUR), Err(Forgotten::FromTheFuture(2))));
        assert!(matches!(decode("PK\u{3}\u{4}", 0, HOUR), Err(Forgotten::Malformed(_))));
        assert!(matches!(decode(r#"{"version": 1}"#, 0, HOUR), Err(Forgotten::Malformed(_))));
    }

    #[test]
    fn the_file_is_replaced_as_a_whole_and_no_draft_stays() {
        let directory = super::super::testing::scratch_directory();
        let file = StateFile::open(&directory.path().join("made/for/us")).expect("a fresh directory");
        assert!(matches!(file.load(HOUR), Err(Forgotten::Missing)));
        file.save(&Saved::default()).expect("writable");
        file.save(&saved()).expect("writable");
        assert_eq!(file.load(HOUR).expect("just written"), saved());
        assert_eq!(std::fs::read_dir(file.path().parent().expect("in a directory")).expect("readable").count(), 1);
    }
}
