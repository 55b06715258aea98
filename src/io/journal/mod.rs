//! What happened, kept: every change of a verdict or a grade, every config, order, doubt, start and stop, as lines of JSON.
//!
//! [`Entry`]s go in and are written by a thread of their own, so that a slow disk delays nobody; what it cannot write is lost,
//! counted, and told by the first entry after it. Each line is sealed, so that a torn one is known for what it is; two segments, of which the older one goes when the newer is full,
//! bound the size. [`History`] reads them, from this process or another. Knows no verdict: [`super::chronicle`] says what is worth a line.

mod entry;
mod history;
mod segments;
mod writer;

pub use entry::{ConfigNote, Entry, Event, FileNote, Subject, Turn};
pub use history::{Filter, History};
pub use segments::{Line, Segments, is_checkpoint};

use super::clock::wall_unix_ms;
use super::manifest::Manifest;
use crate::beliefs::Saved;
use crate::clock::Moment;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;
use writer::{Message, Writer};

/// A handle of the journal.
#[derive(Clone, Debug)]
pub struct Journal {
    directory: PathBuf,
    inbox: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// What the handle and the thread both know.
#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    lost: AtomicU64,
    wants_checkpoint: AtomicBool,
    /// What both segments may have together.
    max_octets: AtomicU64,
}

/// Entries on their way to the disk: a region of ten thousand members that dies at once fits, and some MB of memory hold them.
const INBOX: usize = 16_384;

impl Journal {
    /// Goes on with the journal in `directory`, of so many octets at most, or begins one.
    ///
    /// # Errors
    /// When there cannot be another thread. A disk that takes nothing is no error, but a warning and a loss.
    pub fn open(directory: &Path, max_octets: u64) -> io::Result<Journal> {
        let (inbox, messages) = mpsc::sync_channel(INBOX);
        let shared = Arc::new(Shared { max_octets: max_octets.into(), ..Shared::default() });
        let writer = Writer::new(directory, Arc::clone(&shared));
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&messages))?;
        Ok(Journal { directory: directory.to_owned(), inbox, shared })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Bounds it anew.
    pub fn set_max_octets(&self, max_octets: u64) {
        self.shared.max_octets.store(max_octets, Ordering::Relaxed);
    }

    /// Writes an entry down, some time soon.
    pub fn record(&self, event: Event, text: String) {
        let entry = Entry { at_unix_ms: wall_unix_ms(), text, event };
        self.send(Message::Entry(Box::new(entry)));
    }

    /// Keeps the text of a config that is in force now.
    pub fn keep(&self, manifest: Arc<Manifest>) {
        self.send(Message::Config(manifest));
    }

    /// Writes down all that is believed at `now`, so that whoever reads need not look further back.
    pub fn record_checkpoint(&self, saved: Saved, config: ConfigNote, now: Moment) {
        self.send(Message::Checkpoint { at_unix_ms: wall_unix_ms(), saved: Box::new(saved), config: Box::new(config), now });
    }

    fn send(&self, message: Message) {
        if self.inbox.try_send(message).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a checkpoint is due, since a segment begins. Says so once.
    pub fn wants_checkpoint(&self) -> bool {
        self.shared.wants_checkpoint.load(Ordering::Relaxed) && self.shared.wants_checkpoint.swap(false, Ordering::Relaxed)
    }

    /// Waits until everything so far is on the disk, but not longer than `patience`.
    pub fn finish(&self, patience: Duration) {
        let (done, waiting) = mpsc::channel();
        if self.inbox.try_send(Message::Sync(done)).is_ok() {
            // A disk that hangs must not hold up the end.
            let _ = waiting.recv_timeout(patience);
        }
    }

    /// Entries written since the start.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Entries lost since the start: the disk took them not, or not fast enough.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::saved_form::sample;
    use crate::io::testing::scratch_directory;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn probes(journal: &Journal, text: &str) {
        journal.record(Event::Probes { come_in: true }, text.to_owned());
    }

    fn read(directory: &Path) -> History {
        History::read(directory, &Filter::default()).expect("readable")
    }

    fn texts(directory: &Path) -> Vec<String> {
        read(directory).entries.into_iter().map(|entry| entry.text).collect()
    }

    #[test]
    fn what_is_recorded_is_read_back_in_order_by_this_life_and_the_next() {
        let directory = scratch_directory();
        for life in ["a", "b"] {
            let journal = Journal::open(directory.path(), 1 << 20).expect("a thread");
            probes(&journal, life);
            journal.record_checkpoint(sample::saved(Moment::from_nanos(1 << 60)), ConfigNote::default(), Moment::from_nanos(1 << 60));
            probes(&journal, &life.repeat(2));
            journal.finish(PATIENCE);
            assert_eq!((journal.written(), journal.lost()), (3, 0));
        }
        assert_eq!(texts(directory.path()), ["a", "aa", "b", "bb"]);
        let (mut checkpoints, mut all) = (0, 0);
        let count = |line: Line<'_>| {
            checkpoints += u32::from(matches!(line, Line::Sound(text) if is_checkpoint(text)));
            all += 1;
        };
        Segments::open(directory.path()).and_then(|mut segments| segments.each(|_| true, count)).expect("readable");
        assert_eq!((checkpoints, all), (2, 6));
    }

    #[test]
    fn a_torn_tail_costs_one_line_at_every_length_and_the_journal_goes_on() {
        let directory = scratch_directory();
        let journal = Journal::open(directory.path(), 1 << 20).expect("a thread");
        probes(&journal, "first");
        probes(&journal, "second");
        journal.finish(PATIENCE);
        let path = directory.path().join(writer::NAME);
        let whole = std::fs::read(&path).expect("written");
        let first = whole.iter().position(|octet| *octet == b'\n').expect("two lines") + 1;
        for end in first..=whole.len() {
            std::fs::write(&path, &whole[..end]).expect("writable");
            // The last octet only ends the line.
            let expected: &[&str] = if end + 1 >= whole.len() { &["first", "second", "third"] } else { &["first", "third"] };
            let journal = Journal::open(directory.path(), 1 << 20).expect("a thread");
            probes(&journal, "third");
            journal.finish(PATIENCE);
            assert_eq!(texts(directory.path()), expected, "{end} octets of {}", whole.len());
            let history = read(directory.path());
            assert_eq!(history.damaged, usize::from(end > first && end + 1 < whole.len()));
        }
    }

    #[test]
    fn a_line_that_was_changed_or_zeroed_is_left_out_and_counted() {
        let directory = scratch_directory();
        let journal = Journal::open(directory.path(), 1 << 20).expect("a thread");
        for text in ["first", "second", "third"] {
            probes(&journal, text);
        }
        journal.finish(PATIENCE);
        let path = directory.path().join(writer::NAME);
        let whole = std::fs::read_to_string(&path).expect("written");
        for damaged in [whole.replace("second", "secand"), whole.replace("second", "\0\0\0\0\0\0")] {
            std::fs::write(&path, damaged).expect("writable");
            assert_eq!(texts(directory.path()), ["first", "third"]);
            assert_eq!(read(directory.path()).damaged, 1);
        }
    }

    #[test]
    fn the_size_is_bounded_the_newest_are_kept_and_each_segment_asks_for_a_checkpoint() {
        let directory = scratch_directory();
        let journal = Journal::open(directory.path(), 20_000).expect("a thread");
        assert!(!journal.wants_checkpoint());
        for number in 0..1_000 {
            probes(&journal, &format!("{number}"));
        }
        journal.finish(PATIENCE);
        assert!(journal.wants_checkpoint() && !journal.wants_checkpoint());
        let octets: u64 = std::fs::read_dir(directory.path())
            .expect("there")
            .map(|file| file.and_then(|file| file.metadata()).expect("there").len())
            .sum();
        assert!((10_000..=20_000).contains(&octets), "{octets}");
        let numbers: Vec<u32> = texts(directory.path()).iter().map(|text| text.parse().expect("a number")).collect();
        assert_eq!(numbers.last(), Some(&999));
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "without a gap");
    }

    #[test]
    fn what_a_disk_did_not_take_is_told_as_a_gap_before_what_it_takes_later_and_all_is_written_down_anew() {
        let directory = scratch_directory();
        let path = directory.path().join(writer::NAME);
        std::fs::create_dir(&path).expect("writable");
        let journal = Journal::open(directory.path(), 1 << 20).expect("a thread");
        probes(&journal, "lost");
        probes(&journal, "lost");
        journal.finish(PATIENCE);
        assert_eq!((journal.written(), journal.lost(), journal.wants_checkpoint()), (0, 2, false));
        std::fs::remove_dir(&path).expect("empty");
        probes(&journal, "kept");
        journal.finish(PATIENCE);
        assert_eq!((journal.written(), journal.lost(), journal.wants_checkpoint()), (2, 2, true));
        assert_eq!(texts(directory.path()), ["2 entries of the journal were lost here: the disk did not take them", "kept"]);
        probes(&journal, "more");
        journal.finish(PATIENCE);
        assert_eq!(texts(directory.path()).len(), 3, "a gap is told once");
    }

    #[test]
    fn a_gap_is_told_though_nothing_more_happens() {
        let directory = scratch_directory();
        let path = directory.path().join(writer::NAME);
        std::fs::create_dir(&path).expect("writable");
        let journal = Journal::open(directory.path(), 1 << 20).expect("a thread");
        probes(&journal, "lost");
        journal.finish(PATIENCE);
        std::fs::remove_dir(&path).expect("empty");
        journal.finish(PATIENCE);
        assert_eq!(texts(directory.path()), ["1 entry of the journal was lost here: the disk did not take it"]);
        assert!(journal.wants_checkpoint());
    }

    #[test]
    fn what_was_too_much_at_once_is_a_gap_too() {
        let directory = scratch_directory();
        let journal = Journal::open(directory.path(), 64 << 20).expect("a thread");
        // No thread takes entries away as fast as they are made from nothing; if this one does, there is nothing to tell.
        for _ in 0..INBOX * 8 {
            probes(&journal, "much");
        }
        let told = || {
            journal.finish(PATIENCE);
            let mut told = 0;
            let count = |line: Line<'_>| {
                let Line::Sound(text) = line else { return };
                let entry: Entry = serde_json::from_str(text).expect("an entry");
                told += if let Event::Gap { lost } = entry.event { lost } else { 0 };
            };
            Segments::open(directory.path()).and_then(|mut segments| segments.each(|_| true, count)).expect("readable");
            told
        };
        let deadline = std::time::Instant::now() + PATIENCE;
        // An inbox that is full does not take the question either.
        while told() != journal.lost() && std::time::Instant::now() < deadline {}
        assert_eq!(told(), journal.lost());
    }

    #[test]
    fn an_event_of_a_newer_version_is_shown_by_its_words() {
        let directory = scratch_directory();
        let line = crate::io::seal::seal(r#"{"at_unix_ms":5,"text":"the moon rose","event":"moon","phase":"full"}"#);
        directory.write(writer::NAME, &(line + "\n"));
        let history = read(directory.path());
        assert_eq!((history.entries[0].text.as_str(), &history.entries[0].event), ("the moon rose", &Event::Other));
    }
}
