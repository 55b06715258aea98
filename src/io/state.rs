//! What survives a restart: one file of JSON, sealed by a checksum and replaced as a whole, and the one before it.
//!
//! A crash of the program or of the machine at any moment of a write leaves at least one file that is whole. What is damaged, too old or
//! from the future costs a warning and nothing else: a nameserver that does not start because of yesterday's opinions would
//! be worse than one that looks anew.

use super::clock::wall_unix_ms;
use super::saved_form::{FirstForm, SavedForm};
use super::seal;
use crate::beliefs::Saved;
use crate::clock::Moment;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The file's name below the state directory.
const NAME: &str = "verdicts.json";
/// The name of the one before it.
const PREVIOUS: &str = "verdicts.json.previous";
/// The name of one that is being written.
const DRAFT: &str = "verdicts.json.new";

/// The layout that this version writes. A file with a greater number is left alone.
const VERSION: u32 = 2;

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

/// Where state is kept.
#[derive(Clone, Debug)]
pub struct StateFile {
    directory: PathBuf,
    /// Whether the file is known to be whole, so that it may take the place of the one before it.
    is_whole: Arc<AtomicBool>,
}

impl StateFile {
    /// State in `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// When it is missing and cannot be made.
    pub fn open(directory: &Path) -> io::Result<StateFile> {
        std::fs::create_dir_all(directory)?;
        Ok(StateFile { directory: directory.to_owned(), is_whole: Arc::default() })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file's path.
    pub fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// What was remembered, on a clock that shows `now`: by the file, or else by the one before it. Verdicts that are older than
    /// `max_age` are left out.
    pub fn load(&self, max_age: Duration, now: Moment) -> Recall {
        let read = |name| std::fs::read(self.directory.join(name));
        let reading = Reading { now, now_unix_ms: wall_unix_ms(), max_age };
        let mut recall = Recall::default();
        for name in [NAME, PREVIOUS] {
            match reading.read(read(name)) {
                Ok(remembered) => {
                    self.is_whole.store(name == NAME, Ordering::Relaxed);
                    recall.found = Some((self.directory.join(name), remembered));
                    return recall;
                }
                Err(Forgotten::Missing) => {}
                Err(why) => recall.useless.push((self.directory.join(name), why)),
            }
        }
        recall
    }

    /// Replaces the file; the one that was there becomes the one before it. The new one is on the disk, whole, before either is renamed, so
    /// that a crash at any moment leaves the new one or the old one. `now` is the moment for which `saved` speaks.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn save(&self, saved: &Saved, now: Moment) -> io::Result<()> {
        let draft = self.directory.join(DRAFT);
        let mut file = File::create(&draft)?;
        file.write_all(encode(saved, now, wall_unix_ms()).as_bytes())?;
        file.sync_all()?;
        // What is damaged must not push out what is not.
        if self.is_whole.swap(false, Ordering::Relaxed) {
            ignore_missing(std::fs::rename(self.path(), self.directory.join(PREVIOUS)))?;
        }
        std::fs::rename(&draft, self.path())?;
        self.is_whole.store(true, Ordering::Relaxed);
        File::open(&self.directory)?.sync_all()
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn encode(saved: &Saved, now: Moment, now_unix_ms: u64) -> String {
    let on_disk = OnDisk { version: VERSION, saved_at_unix_ms: now_unix_ms, form: SavedForm::of(saved, now) };
    seal::seal(&serde_json::to_string_pretty(&on_disk).expect("maps with text keys are JSON")) + "\n"
}

/// By which clocks a file is read.
#[derive(Clone, Copy)]
struct Reading {
    now: Moment,
    now_unix_ms: u64,
    max_age: Duration,
}

impl Reading {
    fn read(self, octets: io::Result<Vec<u8>>) -> Result<Remembered, Forgotten> {
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
            VERSION => {
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
    use super::super::testing::{ScratchDirectory, scratch_directory};
    use super::*;
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
    fn a_file_from_the_future_or_from_another_planet_is_refused() {
        assert!(matches!(decode(r#"{"version": 3, "verdicts": []}"#, 0), Err(Forgotten::FromTheFuture(3))));
        assert!(matches!(decode("PK\u{3}\u{4}", 0), Err(Forgotten::Malformed(_))));
        assert!(matches!(decode(r#"{"version": 1}"#, 0), Err(Forgotten::Malformed(_))));
        assert!(matches!(decode(r#"{"version": 2, "targets": {}}"#, 0), Err(Forgotten::Damaged)));
    }

    //--- Crashes

    /// Two saves, a minute apart, as the wall clock of this machine has it, and a directory after both.
    struct Crash {
        directory: ScratchDirectory,
        file: StateFile,
        old: Saved,
        new: Saved,
        /// What the second one wrote.
        octets: Vec<u8>,
    }

    const NOW: Moment = at(100_000);

    fn crash() -> Crash {
        let directory = scratch_directory();
        let file = StateFile::open(directory.path()).expect("writable");
        let new = saved(NOW);
        let old = Saved { overrides: Vec::new(), ..new.clone() };
        file.save(&old, NOW).expect("writable");
        file.save(&new, NOW).expect("writable");
        let octets = std::fs::read(file.path()).expect("just written");
        Crash { directory, file, old, new, octets }
    }

    impl Crash {
        /// Which of the two a start finds; it never finds anything else.
        fn found(&self) -> Option<&'static str> {
            let (_, Remembered { saved, .. }) = StateFile::open(self.directory.path()).expect("there").load(HOUR, NOW).found?;
            // Between saving and loading this machine's clock went on by some milliseconds.
            let says = |one: &Saved| one.overrides == saved.overrides && one.targets.len() == saved.targets.len();
            assert!(says(&self.old) != says(&self.new));
            let latencies = |saved: &Saved| {
                saved.targets.iter().map(|(identity, memory)| (identity.clone(), memory.latency, memory.window)).collect::<Vec<_>>()
            };
            assert_eq!(latencies(&saved), latencies(&self.new));
            Some(if says(&self.new) { "new" } else { "old" })
        }

        /// What a start finds if the second file had held these octets instead.
        fn found_with(&self, octets: &[u8]) -> Option<&'static str> {
            std::fs::write(self.file.path(), octets).expect("writable");
            self.found()
        }
    }

    #[test]
    fn a_write_that_broke_off_at_any_byte_leaves_the_new_state_or_the_one_before_it() {
        let crash = crash();
        for end in 0..crash.octets.len() {
            // The last octet only ends the line.
            let expected = if end + 1 == crash.octets.len() { "new" } else { "old" };
            assert_eq!(crash.found_with(&crash.octets[..end]), Some(expected), "{end} octets of {}", crash.octets.len());
        }
        assert_eq!(crash.found_with(&crash.octets), Some("new"));
    }

    #[test]
    fn blocks_of_zeros_where_data_never_reached_the_disk_are_noticed() {
        let crash = crash();
        for end in (0..crash.octets.len() - 1).step_by(7) {
            let mut tail = crash.octets.clone();
            tail[end..].fill(0);
            assert_eq!(crash.found_with(&tail), Some("old"), "zeros from {end}");
            let mut block = crash.octets.clone();
            let block_end = (end + 512).min(block.len() - 1);
            block[end..block_end].fill(0);
            assert_eq!(crash.found_with(&block), Some("old"), "zeros at {end}");
        }
        let longer = [&crash.octets[..], &[0; 512]].concat();
        assert_eq!(crash.found_with(&longer), Some("old"), "room that was never filled");
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let crash = crash();
        let reading = Reading { now: NOW, now_unix_ms: wall_unix_ms(), max_age: HOUR };
        // The last octet is white space that may be any other.
        for at in 0..(crash.octets.len() - 1) * 8 {
            let mut octets = crash.octets.clone();
            octets[at / 8] ^= 1 << (at % 8);
            assert!(reading.read(Ok(octets)).is_err(), "bit {at}");
        }
    }

    #[test]
    fn a_crash_between_any_two_steps_of_a_save_is_harmless() {
        let path = |crash: &Crash, name: &str| crash.directory.path().join(name);
        let rename = |crash: &Crash, from: &str, to: &str| std::fs::rename(path(crash, from), path(crash, to)).expect("writable");
        // The draft is there, whole or not, and nothing was renamed.
        let before = crash();
        rename(&before, NAME, DRAFT);
        rename(&before, PREVIOUS, NAME);
        assert_eq!(before.found(), Some("old"));
        std::fs::write(path(&before, DRAFT), &before.octets[..100]).expect("writable");
        assert_eq!(before.found(), Some("old"));
        // The old file was moved out of the way, and the new one not yet into its place.
        let between = crash();
        rename(&between, NAME, DRAFT);
        assert_eq!(between.found(), Some("old"));
        // Only the second rename reached the disk.
        let reordered = crash();
        std::fs::remove_file(path(&reordered, PREVIOUS)).expect("there");
        assert_eq!(reordered.found(), Some("new"));
        // And after each of them the next save works.
        for crash in [before, between, reordered] {
            StateFile::open(crash.directory.path()).expect("there").save(&crash.new, NOW).expect("writable");
            assert_eq!(crash.found(), Some("new"));
        }
    }

    #[test]
    fn with_both_files_damaged_the_start_is_a_fresh_one_that_names_both() {
        let crash = crash();
        std::fs::write(crash.directory.path().join(PREVIOUS), "").expect("writable");
        assert_eq!(crash.found_with(b"{\"version\": 2}"), None);
        let recall = crash.file.load(HOUR, NOW);
        let names: Vec<_> = recall.useless.iter().map(|(path, _)| path.file_name().expect("a name").to_owned()).collect();
        assert_eq!(names, [NAME, PREVIOUS]);
        assert!(matches!(recall.useless[0].1, Forgotten::Damaged) && matches!(recall.useless[1].1, Forgotten::Malformed(_)));
    }

    #[test]
    fn a_damaged_file_never_pushes_out_a_whole_one() {
        let crash = crash();
        assert_eq!(crash.found_with(&crash.octets[..100]), Some("old"));
        let file = StateFile::open(crash.directory.path()).expect("there");
        assert!(file.load(HOUR, NOW).found.is_some());
        file.save(&crash.new, NOW).expect("writable");
        assert_eq!(crash.found_with(b""), Some("old"), "the previous one is still the whole one");
    }

    #[test]
    fn the_file_is_replaced_as_a_whole_and_no_draft_stays() {
        let directory = scratch_directory();
        let file = StateFile::open(&directory.path().join("made/for/us")).expect("a fresh directory");
        let nothing = file.load(HOUR, NOW);
        assert!(nothing.found.is_none() && nothing.useless.is_empty(), "a first start is no trouble");
        for _ in 0..3 {
            file.save(&saved(NOW), NOW).expect("writable");
        }
        assert!(file.load(HOUR, NOW).found.is_some_and(|(path, _)| path == file.path()));
        assert_eq!(std::fs::read_dir(file.path().parent().expect("in a directory")).expect("readable").count(), 2);
    }
}
