//! The text of the state file: what is written of all that is remembered, and what is believed of a text that somebody finds.
//!
//! [`encode`] writes it, [`Reading`] reads it, and decides which of two files counts. Whatever a text has been through, it is believed
//! whole or not at all. Opens no file and reads no clock: it is given octets and told the time, so that a test may tear any text at
//! any octet.

use super::saved_form::{FirstForm, SavedForm};
use super::seal;
use crate::beliefs::Saved;
use crate::clock::Moment;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The layout that this version writes. A file with a greater number is not understood.
const VERSION: u32 = 3;

/// The file as it stands on disk.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    saved_at_unix_ms: u64,
    #[serde(flatten)]
    form: SavedForm,
}

/// Version 1, which had no seal.
#[derive(Deserialize)]
struct FirstOnDisk {
    saved_at_unix_s: u64,
    #[serde(flatten)]
    form: FirstForm,
}

/// Why a file says nothing.
#[derive(Debug)]
pub enum Forgotten {
    /// There is no such file.
    Missing,
    /// It could not be read.
    Unreadable(io::Error),
    /// It holds something else.
    Malformed(String),
    /// It is not what was written: its checksum is wrong, or missing.
    Damaged,
    /// A newer version of the program wrote it.
    FromTheFuture(u32),
}

impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Forgotten::Missing => write!(f, "there is none"),
            Forgotten::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            Forgotten::Malformed(error) => write!(f, "it is malformed: {error}"),
            Forgotten::Damaged => write!(f, "it is damaged: the checksum at its end is not that of what is before it"),
            Forgotten::FromTheFuture(version) => write!(f, "it has version {version}, and this program knows up to {VERSION}"),
        }
    }
}

/// What a file remembers.
#[derive(PartialEq, Eq, Debug)]
pub struct Remembered {
    /// What still counts.
    pub saved: Saved,
    /// How old it is, when that is too old for verdicts.
    pub too_old: Option<Duration>,
}

/// What both files came to.
#[derive(Debug, Default)]
pub struct Recall {
    /// What is remembered, and by which file; none when both say nothing.
    pub found: Option<(PathBuf, Remembered)>,
    /// Files that are there and say nothing, and why.
    pub useless: Vec<(PathBuf, Forgotten)>,
}

/// `saved` as the text of a file that is written when the wall clock says `now_unix_ms`, in milliseconds since 1970; `now` is the same
/// moment, for which `saved` speaks.
pub fn encode(saved: &Saved, now: Moment, now_unix_ms: u64) -> String {
    let on_disk = OnDisk { version: VERSION, saved_at_unix_ms: now_unix_ms, form: SavedForm::of(saved, now) };
    seal::seal(&serde_json::to_string_pretty(&on_disk).expect("maps with text keys are JSON")) + "\n"
}

/// By which clocks files are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What the clock of the reader shows.
    pub now: Moment,
    /// What the wall clock says then, in milliseconds since 1970.
    pub now_unix_ms: u64,
    /// Verdicts that are older are left out.
    pub max_age: Duration,
}

impl Reading {
    /// What is remembered by the first of these files that says something: the newest comes first. `read` gives their octets.
    pub fn recall(self, paths: [PathBuf; 2], read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Recall {
        let mut recall = Recall::default();
        for path in paths {
            match self.read(read(&path)) {
                Ok(remembered) => return Recall { found: Some((path, remembered)), ..recall },
                Err(Forgotten::Missing) => {}
                Err(why) => recall.useless.push((path, why)),
            }
        }
        recall
    }

    /// What one file remembers.
    ///
    /// # Errors
    /// When it says nothing, with the reason.
    pub fn read(self, octets: io::Result<Vec<u8>>) -> Result<Remembered, Forgotten> {
        let octets = octets.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Forgotten::Missing,
            _ => Forgotten::Unreadable(error),
        })?;
        self.decode(std::str::from_utf8(&octets).map_err(|error| Forgotten::Malformed(error.to_string()))?)
    }

    fn decode(self, text: &str) -> Result<Remembered, Forgotten> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let malformed = |error: serde_json::Error| Forgotten::Malformed(error.to_string());
        // The version first: what a newer program wrote need not look like ours.
        let Version { version } = serde_json::from_str(text).map_err(malformed)?;
        match version {
            ..=1 => {
                let FirstOnDisk { saved_at_unix_s, form } = serde_json::from_str(text).map_err(malformed)?;
                let elapsed = self.elapsed(saved_at_unix_s.saturating_mul(1_000));
                Ok(self.judge(form.recall(elapsed, self.now), elapsed))
            }
            // Version 2 had lists where now there are names.
            2..=VERSION => {
                if !seal::is_intact(text) {
                    return Err(Forgotten::Damaged);
                }
                let OnDisk { saved_at_unix_ms, form, .. } = serde_json::from_str(text).map_err(malformed)?;
                let elapsed = self.elapsed(saved_at_unix_ms);
                Ok(self.judge(form.recall(elapsed, self.now), elapsed))
            }
            newer => Err(Forgotten::FromTheFuture(newer)),
        }
    }

    /// The time since then; none when the wall clock went back meanwhile.
    fn elapsed(self, saved_at_unix_ms: u64) -> Duration {
        Duration::from_millis(self.now_unix_ms.saturating_sub(saved_at_unix_ms))
    }

    fn judge(self, saved: Saved, elapsed: Duration) -> Remembered {
        if elapsed > self.max_age {
            return Remembered { saved: saved.outdated(), too_old: Some(elapsed) };
        }
        Remembered { saved, too_old: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::saved_form::sample::saved;
    use super::*;
    use crate::beliefs::Belief;
    use crate::health::{Memory, Status};

    const HOUR: Duration = Duration::from_hours(1);

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    /// As after a restart at second `now` of both clocks.
    fn reading(now: u64) -> Reading {
        Reading { now: at(now), now_unix_ms: now * 1_000, max_age: HOUR }
    }

    fn decode(text: &str, now: u64) -> Result<Saved, Forgotten> {
        reading(now).decode(text).map(|remembered| remembered.saved)
    }

    #[test]
    fn what_was_saved_is_remembered_until_it_is_too_old() {
        let text = encode(&saved(at(10_000)), at(10_000), 10_000_000);
        assert_eq!(decode(&text, 10_000).expect("fresh"), saved(at(10_000)));
        let old = reading(10_000 + 3_600).decode(&text).expect("just young enough");
        assert_eq!((old.saved, old.too_old), (saved(at(10_000)), None));
        let old = reading(10_001 + 3_600).decode(&text).expect("orders are never too old");
        assert_eq!((old.saved.targets.len(), old.saved.overrides.len()), (0, 1));
        assert_eq!(old.too_old, Some(HOUR + Duration::from_secs(1)));
    }

    #[test]
    fn a_wall_clock_that_went_back_makes_nothing_old_and_moves_nothing() {
        let text = encode(&saved(at(10_000)), at(10_000), 10_000_000);
        let before = Reading { now_unix_ms: 500, ..reading(10_000) };
        assert_eq!(before.decode(&text).expect("sound").saved, saved(at(10_000)));
    }

    #[test]
    fn files_of_version_1_are_read() {
        let text = r#"{"version": 1, "saved_at_unix_s": 1000, "targets": {"tcp 192.0.2.1:80": "up"}, "pools": {},
            "held_back": [{"pool": "web", "member": "fra-1", "family": "ipv6"}]}"#;
        let saved = decode(text, 1_010).expect("sound");
        assert_eq!(saved.targets, [("tcp 192.0.2.1:80".into(), Memory::of(Status::Up, at(1_000)))]);
        assert_eq!((saved.members[0].past.standing, saved.members[0].past.back), (true, Some(at(1_000))));
        let before_overrides = r#"{"version": 1, "saved_at_unix_s": 1000, "targets": {}, "pools": {}}"#;
        assert!(decode(before_overrides, 1_000).is_ok());
    }

    #[test]
    fn files_of_version_2_are_read() {
        let text = r#"{"version": 2, "saved_at_unix_ms": 1000000,
            "targets": {"tcp 192.0.2.1:80": {"verdict": "up", "for_ms": 9000, "seen_ms_ago": 100, "latency_us": [1500, 1000]}},
            "pools": {}, "overrides": [],
            "members": [{"pool": "web", "member": "fra-1", "family": "ipv4", "verdict": ["up", 7000], "standing": true}]}"#;
        let saved = decode(&seal::seal(text), 1_010).expect("sound");
        assert_eq!(saved.targets[0].1.latency, Some((Duration::from_micros(1_500), Duration::from_millis(1))));
        assert_eq!(saved.members[0].belief, Some(Belief { status: Status::Up, since: at(993) }));
    }

    #[test]
    fn whatever_is_written_has_a_name() {
        let text = encode(&saved(at(10_000)), at(10_000), 10_000_000);
        let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(file["members"][0]["belief"], serde_json::json!({"verdict": "up", "for_ms": 600_000}));
        assert_eq!(file["targets"]["tcp 192.0.2.1:80"]["latency_us"], serde_json::json!({"mean": 12_345, "shown": 12_300}));
    }

    #[test]
    fn a_file_from_the_future_or_from_another_planet_is_refused() {
        assert!(matches!(decode(r#"{"version": 4, "verdicts": []}"#, 0), Err(Forgotten::FromTheFuture(4))));
        assert!(matches!(decode("PK\u{3}\u{4}", 0), Err(Forgotten::Malformed(_))));
        assert!(matches!(decode(r#"{"version": 1}"#, 0), Err(Forgotten::Malformed(_))));
        assert!(matches!(decode(r#"{"version": 2, "targets": {}}"#, 0), Err(Forgotten::Damaged)));
    }
}
