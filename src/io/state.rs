//! What survives a restart: one file of JSON, sealed by a checksum and replaced as a whole, and the one before it. What stands in it is
//! the part of `state_text`.
//!
//! A crash of the program or of the machine at any moment of a write leaves at least one file that is whole. What is damaged, too old or
//! from the future costs a warning and nothing else: a nameserver that does not start because of yesterday's opinions would
//! be worse than one that looks anew.

use super::clock::wall_unix_ms;
use super::state_text::{Forgotten, Reading, Recall, encode};
use crate::beliefs::Saved;
use crate::clock::Moment;
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
    /// `max_age` are left out. What a newer version of the program wrote is put aside, where no save of this one reaches it.
    pub fn load(&self, max_age: Duration, now: Moment) -> Recall {
        let reading = Reading { now, now_unix_ms: wall_unix_ms(), max_age };
        let recall = reading.recall([self.path(), self.directory.join(PREVIOUS)], |path| std::fs::read(path));
        for (path, why) in &recall.useless {
            if let Forgotten::FromTheFuture(version) = why {
                put_aside(path, *version);
            }
        }
        if let Some((path, _)) = &recall.found {
            self.is_whole.store(*path == self.path(), Ordering::Relaxed);
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

/// Renames a file after its version. Should that fail, so do saves: it is the directory that cannot be written to.
fn put_aside(path: &Path, version: u32) {
    let aside = path.with_added_extension(format!("v{version}"));
    match std::fs::rename(path, &aside) {
        Ok(()) => tracing::warn!("{} is of a newer version, and is kept as {}", path.display(), aside.display()),
        Err(error) => tracing::warn!("{} is of a newer version, and cannot be put aside: {error}", path.display()),
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::saved_form::sample::saved;
    use super::super::state_text::Remembered;
    use super::super::testing::{ScratchDirectory, scratch_directory};
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
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
    fn what_a_newer_version_wrote_is_still_there_after_any_number_of_saves() {
        let crash = crash();
        let newer = "{\"version\": 99, \"thoughts\": []}";
        assert_eq!(crash.found_with(newer.as_bytes()), Some("old"));
        for _ in 0..3 {
            crash.file.save(&crash.new, NOW).expect("writable");
        }
        assert_eq!(crash.found(), Some("new"));
        let kept = std::fs::read_to_string(crash.directory.path().join("verdicts.json.v99")).expect("put aside");
        assert_eq!(kept, newer);
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
