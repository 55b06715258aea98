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
    /// Where; or why nowhere.
    file: Result<StateFile, String>,
    /// What was written last.
    written: Option<(Moment, Arc<Saved>)>,
    /// When what there is to save was last looked at.
    at: Moment,
    /// When the save that is under way began.
    busy: Option<Moment>,
    /// How many times [`PATIENCE`] it has taken; with the first nobody waits for it any more.
    late: u64,
    /// Whether something was told since then: a start that does not know it would start wrong.
    has_news: bool,
    /// Whether trouble was logged since the last success: once is enough.
    complained: bool,
    /// Saves that failed, or hung.
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
/// A save that takes longer is a disk that hangs: a dead network file system blocks for hours, and says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

impl Keeper {
    /// One that begins at `now`, and keeps things in `file`; or that keeps nothing, for this reason.
    pub fn new(file: Result<StateFile, String>, now: Moment) -> Keeper {
        Keeper {
            file,
            written: None,
            at: now,
            busy: None,
            late: 0,
            has_news: false,
            complained: false,
            failures: 0,
            owed: [Vec::new(), Vec::new()],
        }
    }

    /// Saves so far that failed, or hung.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Something was told that a start should know.
    pub fn handle_news(&mut self) {
        self.has_news = true;
    }

    /// When [`Keeper::begin`] is to be called, if nothing else happens; none while that would be of no use.
    pub fn next_due(&self) -> Option<Moment> {
        if self.file.is_err() || self.is_busy() {
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
        if let Err(why) = &self.file {
            let _ = write!(report.message, "; a restart forgets it, since this server keeps nothing: {why}");
            // Whoever asked may have given up waiting.
            let _ = reply.send(report);
            return;
        }
        self.owed[0].push((reply, report));
        if self.late > 0 {
            self.pay_unsaved();
        }
    }

    fn pay(owed: Vec<Owed>, trouble: Option<&str>) {
        for (reply, mut report) in owed {
            if let Some(trouble) = trouble {
                let _ = write!(report.message, "; {trouble}");
            }
            let _ = reply.send(report);
        }
    }

    /// Tells whoever waits that the disk does; what they ordered is saved when it can be.
    fn pay_unsaved(&mut self) {
        self.has_news = true;
        for owed in &mut self.owed {
            Keeper::pay(std::mem::take(owed), Some("it is not on the disk yet, which takes nothing: a restart now would forget it"));
        }
    }

    /// Notices a save that takes too long; to be called about once a second.
    pub fn handle_time(&mut self, now: Moment) {
        let Some(since) = self.busy else { return };
        let late = now.since(since).as_secs() / PATIENCE.as_secs();
        if late > self.late {
            // Again and again, as saves that fail are counted: who looks at the last minutes should see that it goes on.
            self.failures += late - self.late;
            self.late = late;
            self.complain("the disk takes nothing, and says nothing");
            self.pay_unsaved();
        }
    }

    /// The program ends, with or without a last save: nobody is left without an answer.
    pub fn give_up(&mut self) {
        self.pay_unsaved();
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
        let file = self.file.clone().ok()?;
        self.owed.swap(0, 1);
        self.written = Some((now, Arc::clone(saved)));
        self.busy = Some(now);
        Some(file)
    }

    /// Whether a save is under way.
    pub fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// The save under way has ended.
    pub fn handle_result(&mut self, result: io::Result<()>) {
        self.busy = None;
        let is_counted = std::mem::take(&mut self.late) > 0;
        let trouble = result.as_ref().err().map(|error| format!("it could not be saved, so that a restart forgets it: {error}"));
        Keeper::pay(std::mem::take(&mut self.owed[1]), trouble.as_deref());
        if let Err(error) = result {
            self.written = None;
            self.failures += u64::from(!is_counted);
            self.complain(&error.to_string());
        } else if let Ok(file) = &self.file
            && std::mem::take(&mut self.complained)
        {
            tracing::info!("verdicts are saved to {} again", file.path().display());
        }
    }

    fn complain(&mut self, why: &str) {
        if let Ok(file) = &self.file
            && !std::mem::replace(&mut self.complained, true)
        {
            tracing::warn!("verdicts cannot be saved to {}: {why}", file.path().display());
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
        (Keeper::new(Ok(file), at(0)), directory)
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

    fn owe(keeper: &mut Keeper) -> oneshot::Receiver<OrderReport> {
        let (reply, answer) = oneshot::channel();
        keeper.owe(reply, OrderReport { obeyed: true, message: "done".into(), set: None });
        answer
    }

    fn heard(answer: &mut oneshot::Receiver<OrderReport>) -> Option<String> {
        answer.try_recv().ok().map(|report| report.message)
    }

    const NOT_YET: &str = "done; it is not on the disk yet, which takes nothing: a restart now would forget it";

    #[test]
    fn an_order_is_answered_when_it_is_on_the_disk() {
        let (mut keeper, _directory) = keeper();
        let mut first = owe(&mut keeper);
        assert!(begins(&mut keeper, &fallen(1), 1), "nobody waits for a second");
        let mut second = owe(&mut keeper);
        assert_eq!((heard(&mut first), keeper.next_due()), (None, None));
        keeper.handle_result(Ok(()));
        assert_eq!((heard(&mut first), heard(&mut second)), (Some("done".into()), None), "the save knew one of them");
        assert!(begins(&mut keeper, &fallen(2), 2));
        keeper.handle_result(Err(io::Error::other("full")));
        assert_eq!(heard(&mut second).as_deref(), Some("done; it could not be saved, so that a restart forgets it: full"));
    }

    #[test]
    fn where_nothing_is_kept_an_order_is_answered_at_once_and_with_the_reason() {
        let mut keeper = Keeper::new(Err("its state_dir, /x, cannot be used: not a directory".into()), at(0));
        let words = "done; a restart forgets it, since this server keeps nothing: its state_dir, /x, cannot be used: not a directory";
        assert_eq!(heard(&mut owe(&mut keeper)).as_deref(), Some(words));
        assert_eq!((keeper.next_due(), keeper.begin_last(&fallen(1), at(1)).is_some()), (None, false));
    }

    #[test]
    fn a_disk_that_hangs_is_told_of_and_counted_and_keeps_no_operator_waiting() {
        let (mut keeper, _directory) = keeper();
        let mut saved = owe(&mut keeper);
        assert!(begins(&mut keeper, &fallen(1), 1_000));
        let mut next = owe(&mut keeper);
        keeper.handle_time(at(10_999));
        assert_eq!((heard(&mut saved), keeper.failures()), (None, 0));
        keeper.handle_time(at(11_000));
        keeper.handle_time(at(12_000));
        assert_eq!(keeper.failures(), 1);
        for answer in [&mut saved, &mut next, &mut owe(&mut keeper)] {
            assert_eq!(heard(answer).as_deref(), Some(NOT_YET));
        }
        keeper.handle_result(Err(io::ErrorKind::TimedOut.into()));
        assert_eq!(keeper.failures(), 1, "it is the same save");
        assert!(!keeper.is_busy());
        assert!(begins(&mut keeper, &fallen(1), 12_001), "what was promised");
        keeper.handle_result(Ok(()));
        let mut later = owe(&mut keeper);
        keeper.handle_time(at(60_000));
        assert_eq!((heard(&mut later), keeper.failures()), (None, 1), "it hangs no more");
        assert!(begins(&mut keeper, &fallen(2), 60_000));
        keeper.handle_time(at(95_000));
        assert_eq!(keeper.failures(), 4, "and then again, for half a minute");
    }

    #[test]
    fn at_the_end_whoever_waits_hears_what_became_of_his_order() {
        let (mut keeper, _directory) = keeper();
        let mut first = owe(&mut keeper);
        assert!(begins(&mut keeper, &fallen(1), 1));
        let mut second = owe(&mut keeper);
        keeper.handle_result(Ok(()));
        keeper.begin_last(&fallen(1), at(2)).expect("whatever it says");
        keeper.handle_result(Ok(()));
        assert_eq!([heard(&mut first), heard(&mut second)], [Some("done".into()), Some("done".into())]);
        let mut third = owe(&mut keeper);
        keeper.give_up();
        assert_eq!(heard(&mut third).as_deref(), Some(NOT_YET));
    }
}
