//! The thread that writes: one line an entry, appended; brought to the disk once a second; the segments change places when one is full.

use super::Shared;
use super::entry::{ConfigNote, Entry, Event};
use super::segments::LINE_MAX;
use crate::beliefs::Saved;
use crate::clock::Moment;
use crate::io::clock::wall_unix_ms;
use crate::io::kept;
use crate::io::manifest::Manifest;
use crate::io::saved_form::SavedForm;
use crate::io::seal;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// The segment that is written to.
pub const NAME: &str = "journal.jsonl";
/// The one before it.
pub const PREVIOUS: &str = "journal.previous.jsonl";

/// A loss of power costs so much of the journal at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What reaches the thread.
#[derive(Debug)]
pub enum Message {
    /// Something happened.
    Entry(Box<Entry>),
    /// All that is believed, at this time and by this moment of the clock.
    Checkpoint {
        /// In milliseconds since 1970.
        at_unix_ms: u64,
        /// What.
        saved: Box<Saved>,
        /// The config in force.
        config: Box<ConfigNote>,
        /// As of when.
        now: Moment,
    },
    /// A config that is in force now.
    Config(Arc<Manifest>),
    /// To be answered when all before it is on the disk.
    Sync(Sender<()>),
}

/// Owns the segments.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    shared: Arc<Shared>,
    /// The segment, while it can be written to, and its length.
    segment: Option<(File, u64)>,
    /// When something was written that may not be on the disk yet.
    unsynced_since: Option<Instant>,
    /// Whether a failure was logged since the last success: once is enough.
    complained: bool,
    /// Lost entries that the journal tells of.
    gaps_told: u64,
}

impl Writer {
    /// A writer that has opened nothing yet.
    pub fn new(directory: &Path, shared: Arc<Shared>) -> Writer {
        Writer { directory: directory.to_owned(), shared, segment: None, unsynced_since: None, complained: false, gaps_told: 0 }
    }

    /// Writes until the last handle is gone.
    pub fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let sync = self.unsynced_since.map(|since| SYNC_EVERY.saturating_sub(since.elapsed()));
            let wait = sync.or_else(|| self.has_gap().then_some(SYNC_EVERY));
            let received = wait.map_or_else(|| messages.recv().map_err(RecvTimeoutError::from), |wait| messages.recv_timeout(wait));
            match received {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => self.sync_all(),
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
            if self.unsynced_since.is_some_and(|since| since.elapsed() >= SYNC_EVERY) {
                self.sync();
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Entry(entry) => self.write(&entry),
            Message::Checkpoint { at_unix_ms, saved, config, now } => {
                let state = Box::new(SavedForm::of(&saved, now));
                self.write(&Entry { at_unix_ms, text: String::new(), event: Event::Checkpoint { state, config: Some(config) } });
            }
            Message::Config(manifest) => {
                let max_octets = self.shared.max_octets.load(Ordering::Relaxed) / CONFIGS_SHARE;
                if let Err(error) = kept::store(&self.directory, &manifest, max_octets) {
                    tracing::warn!("the config cannot be kept in {}: {error}; `explain --at` will not know it", self.directory.display());
                }
            }
            Message::Sync(done) => {
                self.sync_all();
                // Whoever asked may have given up waiting.
                let _ = done.send(());
            }
        }
    }

    fn write(&mut self, entry: &Entry) {
        let line = sealed(entry);
        let checkpoint_max = (self.segment_max() / CHECKPOINT_SHARE).min(LINE_MAX as u64);
        if matches!(entry.event, Event::Checkpoint { .. }) && line.len() as u64 > checkpoint_max {
            tracing::warn!(
                "all that is believed takes {} KiB in the journal, too much for its max_size; `explain --at` cannot go back then",
                line.len() / 1024
            );
            return;
        }
        if !self.tell_gap(entry.at_unix_ms) || !self.try_append(&line) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether entries were lost that the journal does not tell of.
    fn has_gap(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed) > self.gaps_told
    }

    /// Tells of entries that were lost, and wants all that is believed to be written down anew: what was lost does not follow from what
    /// is there. Says whether there is no gap any more.
    fn tell_gap(&mut self, at_unix_ms: u64) -> bool {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        let new = lost - self.gaps_told;
        if new == 0 {
            return true;
        }
        let (were, them) = if new == 1 { ("was", "it") } else { ("were", "them") };
        let text = format!("{} of the journal {were} lost here: the disk did not take {them}", entries(new));
        let entry = Entry { at_unix_ms, text, event: Event::Gap { lost: new } };
        let is_told = self.try_append(&sealed(&entry));
        if is_told {
            self.gaps_told = lost;
            self.shared.wants_checkpoint.store(true, Ordering::Relaxed);
        }
        is_told
    }

    /// Appends a line, or says that it did not, and in the log why.
    fn try_append(&mut self, line: &str) -> bool {
        match self.append(line.as_bytes()) {
            Ok(()) => {
                self.shared.written.fetch_add(1, Ordering::Relaxed);
                self.complained = false;
                true
            }
            Err(error) => {
                self.segment = None;
                self.complain(&error);
                false
            }
        }
    }

    /// Half of what both may have together.
    fn segment_max(&self) -> u64 {
        self.shared.max_octets.load(Ordering::Relaxed) / 2
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let (mut file, mut len) = match self.segment.take() {
            Some(segment) => segment,
            None => self.open()?,
        };
        if len > 0 && len + line.len() as u64 > self.segment_max() {
            file.sync_data()?;
            std::fs::rename(self.directory.join(NAME), self.directory.join(PREVIOUS))?;
            self.shared.wants_checkpoint.store(true, Ordering::Relaxed);
            (file, len) = self.open()?;
            File::open(&self.directory)?.sync_all()?;
        }
        if let Err(error) = file.write_all(line) {
            // Half a line is worth nothing, and takes room that a full disk does not have.
            let _ = file.set_len(len);
            return Err(error);
        }
        self.segment = Some((file, len + line.len() as u64));
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// The segment, ready for another line, and its length. A line that broke off is ended.
    fn open(&self) -> io::Result<(File, u64)> {
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(self.directory.join(NAME))?;
        let mut len = file.metadata()?.len();
        if len > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                len += 1;
            }
        }
        Ok((file, len))
    }

    /// Brings to the disk what was written, and what is to be told of what was not.
    fn sync_all(&mut self) {
        self.tell_gap(wall_unix_ms());
        self.sync();
    }

    fn sync(&mut self) {
        self.unsynced_since = None;
        if let Some((file, _)) = &self.segment
            && let Err(error) = file.sync_data()
        {
            self.complain(&error);
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("the journal cannot be written to {}: {error}; what happens meanwhile is lost to it", self.directory.display());
        }
    }
}

fn sealed(entry: &Entry) -> String {
    seal::seal(&serde_json::to_string(entry).expect("maps with text keys are JSON")) + "\n"
}

fn entries(number: u64) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

/// Configs that are kept may have a quarter of what the journal has, beside it.
const CONFIGS_SHARE: u64 = 4;

/// A checkpoint may take a quarter of a segment, so that most of it is left for what happens.
const CHECKPOINT_SHARE: u64 = 4;
