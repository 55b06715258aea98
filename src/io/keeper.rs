//! When the state is saved, and who waits for that.
//!
//! The control task says what time it is, that something changed, and how a save ended; out come whether one is due, and answers to the
//! operators who wait until their orders are on the disk. One save at a time: two would write into one draft. Touches no disk itself.

use super::order::OrderReport;
use super::state::StateFile;
use crate::beliefs::Saved;
use crate::clock::Moment;
use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Knows when verdicts are to be written down.
#[derive(Debug)]
pub struct Keeper {
    file: Option<StateFile>,
    /// What was written last.
    written: Option<(Moment, Arc<Saved>)>,
    /// When what there is to save was last looked at.
    at: Moment,
    busy: bool,
    /// Whether something was told since then: a start that does not know it would start wrong.
    has_news: bool,
    /// Whether a failure was logged since the last success: once is enough.
    complained: bool,
    /// Saves that failed.
    failures: u64,
    /// Operators who wait until their orders are on disk: those that the next save holds, and those that the one under way does.
    owed: [Vec<Owed>; 2],
}

/// An answer that is due when what it says is on disk.
type Owed = (oneshot::Sender<OrderReport>, OrderReport);

/// News are written at most this often: when a region dies, its members do not fall at once, and each save holds all there is.
const NEWS_EVERY: Duration = Duration::from_secs(1);
/// What changes without a word is looked for so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// It is written at least this often, so that the file's age is that of the belief; streaks, windows and latencies, which change with
/// every probe, are never older in it.
const SAVE_AT_LEAST_EVERY: Duration = Duration::from_mins(1);

impl Keeper {
    /// One that begins at `now`, and keeps things in `file`, if there is one.
    pub fn new(file: Option<StateFile>, now: Moment) -> Keeper {
        Keeper {
            file,
            written: None,
            at: now,
            busy: false,
            has_news: false,
            complained: false,
            failures: 0,
            owed: [Vec::new(), Vec::new()],
        }
    }

    /// Saves that failed so far.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Something was told that a start should know.
    pub fn handle_news(&mut self) {
        self.has_news = true;
    }

    /// When [`Keeper::begin`] is to be called, if nothing else happens; none while that would be of no use.
    pub fn next_due(&self) -> Option<Moment> {
        if self.file.is_none() || self.busy {
            return None;
        }
        Some(match (self.owed[0].is_empty(), self.has_news) {
            (false, _) => self.at,
            (true, true) => self.at.after(NEWS_EVERY),
            (true, false) => self.at.after(LOOK_EVERY),
        })
    }

    /// Answers when what it answers is on disk; at once when there is no place for it.
    pub fn owe(&mut self, reply: oneshot::Sender<OrderReport>, mut report: OrderReport) {
        if self.file.is_some() {
            self.owed[0].push((reply, report));
            return;
        }
        report.message.push_str("; there is no state_dir, so that a restart forgets it");
        // Whoever asked may have given up waiting.
        let _ = reply.send(report);
    }

    fn pay(owed: Vec<Owed>, trouble: Option<&io::Error>) {
        for (reply, mut report) in owed {
            if let Some(error) = trouble {
                let _ = write!(report.message, "; it could not be saved, so that a restart forgets it: {error}");
            }
            let _ = reply.send(report);
        }
    }

    /// The file to write `saved` to, when that is worth it. Verdicts count for `max_age`.
    pub fn begin(&mut self, saved: &Arc<Saved>, max_age: Duration, now: Moment) -> Option<StateFile> {
        let at_least_every = SAVE_AT_LEAST_EVERY.min(max_age / 2);
        if self.written.as_ref().is_some_and(|(at, written)| written.is_much_like(saved) && now.since(*at) < at_least_every) {
            (self.at, self.has_news) = (now, false);
            Keeper::pay(std::mem::take(&mut self.owed[0]), None);
            return None;
        }
        self.begin_last(saved, now)
    }

    /// The file to write `saved` to, whatever it says.
    pub fn begin_last(&mut self, saved: &Arc<Saved>, now: Moment) -> Option<StateFile> {
        (self.at, self.has_news) = (now, false);
        let file = self.file.clone()?;
        self.owed.swap(0, 1);
        self.written = Some((now, Arc::clone(saved)));
        self.busy = true;
        Some(file)
    }

    /// Whether a save is under way.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// The save under way has ended.
    pub fn handle_result(&mut self, result: io::Result<()>) {
        self.busy = false;
        Keeper::pay(std::mem::take(&mut self.owed[1]), result.as_ref().err());
        match result {
            Ok(()) => self.complained = false,
            Err(error) => {
                self.written = None;
                self.failures += 1;
                self.complain(&error);
            }
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if let Some(file) = &self.file
            && !std::mem::replace(&mut self.complained, true)
        {
            tracing::warn!("verdicts cannot be saved to {}: {error}", file.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::saved_form::sample;
    use super::super::testing::{ScratchDirectory, scratch_directory};
    use super::*;
    use crate::health::Status;

    const HOUR: Duration = Duration::from_hours(1);

    /// Milliseconds after the start, on a clock that has been going for hours.
    fn at(ms: u64) -> Moment {
        Moment::from_nanos(86_400_000_000_000 + ms * 1_000_000)
    }

    /// A keeper that began at 0, and a directory that stays empty.
    fn keeper() -> (Keeper, ScratchDirectory) {
        let directory = scratch_directory();
        let file = StateFile::open(directory.path()).expect("writable");
        (Keeper::new(Some(file), at(0)), directory)
    }

    /// What is to be saved when so many targets have fallen.
    fn fallen(targets: usize) -> Arc<Saved> {
        let mut saved = sample::saved(at(0));
        let one = saved.targets[0].clone();
        saved.targets = (0..targets).map(|number| (format!("tcp {number}").into(), one.1.clone())).collect();
        saved.targets.iter_mut().for_each(|(_, memory)| memory.status = Status::Down);
        Arc::new(saved)
    }

    /// Whether a save begins, when what is to be saved is looked at at its time.
    fn begins(keeper: &mut Keeper, saved: &Arc<Saved>, ms: u64) -> bool {
        keeper.next_due().is_some_and(|due| due <= at(ms)) && keeper.begin(saved, HOUR, at(ms)).is_some()
    }

    #[test]
    fn a_death_is_on_its_way_to_the_disk_at_once_and_what_nobody_tells_of_is_found_within_seconds() {
        let (mut keeper, _directory) = keeper();
        assert!(!begins(&mut keeper, &fallen(0), 4_999) && begins(&mut keeper, &fallen(0), 5_000));
        keeper.handle_result(Ok(()));
        assert_eq!(keeper.next_due(), Some(at(10_000)));
        keeper.handle_news();
        assert!(begins(&mut keeper, &fallen(1), 6_000), "the last save began a second ago");
        keeper.handle_result(Ok(()));
        assert_eq!(keeper.next_due(), Some(at(11_000)), "the news are told");
    }

    #[test]
    fn thousands_that_die_within_a_second_are_two_files_not_thousands() {
        let (mut keeper, _directory) = keeper();
        let mut begun = Vec::new();
        for ms in 5_000..6_500 {
            keeper.handle_news();
            let fallen = fallen(usize::try_from(ms - 5_000).expect("small"));
            if begins(&mut keeper, &fallen, ms) {
                begun.push(ms);
                keeper.handle_result(Ok(()));
            }
        }
        assert_eq!(begun, [5_000, 6_000]);
        assert_eq!(keeper.next_due(), Some(at(7_000)), "for the rest of them");
    }

    #[test]
    fn news_that_change_nothing_to_save_are_no_file() {
        let (mut keeper, _directory) = keeper();
        assert!(begins(&mut keeper, &fallen(1), 5_000));
        keeper.handle_result(Ok(()));
        keeper.handle_news();
        assert!(!begins(&mut keeper, &fallen(1), 6_000));
        assert_eq!(keeper.next_due(), Some(at(11_000)));
    }

    #[test]
    fn while_one_save_is_under_way_there_is_no_other() {
        let (mut keeper, _directory) = keeper();
        assert!(begins(&mut keeper, &fallen(1), 5_000));
        keeper.handle_news();
        assert_eq!((keeper.next_due(), keeper.is_busy()), (None, true));
        keeper.handle_result(Err(io::ErrorKind::StorageFull.into()));
        assert_eq!((keeper.next_due(), keeper.failures()), (Some(at(6_000)), 1));
        assert!(begins(&mut keeper, &fallen(1), 6_000), "what was not written is written, though nothing changed");
    }
}
