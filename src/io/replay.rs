//! What was answered then: beliefs brought back to a moment of the past, from the journal.
//!
//! A checkpoint and the entries after it are told to [`Beliefs`] as probes and operators told them then, so that orders, slow starts
//! and protections come about by the code that is at work now ([`Retelling`]); out comes a [`Live`] view for [`crate::explain`]. Configs are
//! those that were in force then, where they are kept, and else the one that is handed in; which of them is said, not guessed, and so is
//! what the journal does not know.

use super::journal::{ConfigNote, Entry, Event, Line, Segments, Turn, is_checkpoint};
use super::kept;
use super::order::OverrideStatus;
use crate::beliefs::Beliefs;
use crate::calendar;
use crate::clock::Moment;
use crate::human::count;
use crate::judge::Selector;
use crate::live::{Live, Remarks};
use crate::snapshot::Snapshot;
use serde::Deserialize;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The config to look at the past with.
#[derive(Clone, Debug)]
pub struct Lens {
    /// What it means.
    pub snapshot: Arc<Snapshot>,
    /// Its number, where it is in force; none where nobody knows that.
    pub generation: Option<u64>,
    /// By which it is known; see [`ConfigNote::fingerprint`].
    pub fingerprint: String,
}

/// The past.
#[derive(Debug)]
pub struct Replayed {
    /// What was believed then.
    pub live: Live,
    /// What has to be said about it, a line each.
    pub head: String,
}

/// What the journal in `directory` says of this time, in milliseconds since 1970, when it is `now_unix_ms`.
///
/// # Errors
/// When it cannot be read, does not reach back so far, or the time has not come yet.
pub fn replay(directory: &Path, lens: &Lens, at_unix_ms: u64, now_unix_ms: u64) -> Result<Replayed, String> {
    if at_unix_ms > now_unix_ms.saturating_add(AHEAD_MAX_MS) {
        return Err(format!("{} lies ahead: nobody knows yet what will be answered then", shown(at_unix_ms)));
    }
    let at_unix_ms = at_unix_ms.min(now_unix_ms);
    let mut segments = Segments::open(directory)?;
    let extent = Extent::find(&mut segments, directory, at_unix_ms)?;
    let mut library = Library { directory, lens, kept: HashMap::new() };
    let mut retelling = Retelling::new();
    let known = Known::read(&mut segments, extent, |entry| retelling.handle(entry, |config| library.of(config)))?;
    let config = retelling.config.clone();
    // The checkpoint is there, unless somebody changes the files meanwhile.
    let live = retelling.live(at_unix_ms).ok_or_else(|| format!("the journal in {} changes while it is read", directory.display()))?;
    let as_of = format!(
        "as of {}, by the journal, the last entry of which before that is of {}; TTLs as they are without failures in a row",
        shown(at_unix_ms),
        shown(known.last_unix_ms)
    );
    let remark = config.and_then(|config| library.remark(&config));
    let lines = [Some(as_of), remark, known.absence(), known.doubt()].into_iter().flatten();
    Ok(Replayed { live, head: lines.map(|line| line + "\n").collect() })
}

/// The clock of whoever asks may be ahead by so much, in milliseconds, and mean now.
const AHEAD_MAX_MS: u64 = 5_000;

//--- The past, told again

/// Beliefs that hear the entries of a journal, one after the other.
#[derive(Clone, Debug)]
pub struct Retelling {
    /// None before the first checkpoint.
    beliefs: Option<Beliefs>,
    /// The config in force, as far as it was told.
    config: Option<ConfigNote>,
    /// Why the node doubted itself, while it did.
    suspicion: Option<String>,
    /// When the last entry was written, in milliseconds since 1970.
    unix_ms: u64,
    /// The same on a clock that is never set back.
    now: Moment,
}

impl Default for Retelling {
    fn default() -> Retelling {
        Retelling::new()
    }
}

impl Retelling {
    /// Before the first entry.
    pub const fn new() -> Retelling {
        Retelling { beliefs: None, config: None, suspicion: None, unix_ms: 0, now: Moment::START }
    }

    /// Takes the next entry; `library` says what the config with a note meant.
    pub fn handle(&mut self, entry: Entry, library: impl FnOnce(Option<&ConfigNote>) -> Arc<Snapshot>) {
        self.pass(entry.at_unix_ms);
        match entry.event {
            Event::Checkpoint { state, config } => {
                self.config = config.map(|config| *config).or(self.config.take());
                self.now = Moment::from_nanos(self.unix_ms.saturating_mul(NANOS_PER_MS));
                let snapshot = library(self.config.as_ref());
                self.beliefs = Some(Beliefs::of_the_past(snapshot, &state.recall(Duration::ZERO, self.now), self.now));
            }
            Event::Started { config, .. } => (self.config, self.suspicion) = (Some(config), None),
            Event::Suspect { why } => self.suspicion = Some(why),
            Event::Trusting => self.suspicion = None,
            Event::Config { config, targets } => {
                if let Some(beliefs) = &mut self.beliefs {
                    beliefs.adopt(library(Some(&config)), self.now);
                    for (identity, word) in targets {
                        beliefs.impose(&identity, word.status(), self.now);
                    }
                }
                self.config = Some(config);
            }
            Event::Member { targets, .. } => {
                if let Some(beliefs) = &mut self.beliefs {
                    for (identity, word) in targets {
                        beliefs.impose(&identity, word.status(), self.now);
                    }
                }
            }
            Event::Pace { pool, member, address, slow, .. } => {
                if let Some(beliefs) = &mut self.beliefs {
                    beliefs.impose_pace(&pool, &member, address, slow);
                }
            }
            Event::Override { turn, selector, order, .. } => self.obey(turn, &selector, order),
            Event::Stopped | Event::Pool { .. } | Event::Canary { .. } | Event::Probes { .. } | Event::Gap { .. } | Event::Other => {}
        }
        if let Some(beliefs) = &mut self.beliefs {
            beliefs.refresh(self.now);
        }
    }

    /// Lets time pass until then. A clock that was set back says nothing of how long that was.
    fn pass(&mut self, unix_ms: u64) {
        self.now = self.now.after(Duration::from_millis(unix_ms.saturating_sub(self.unix_ms)));
        self.unix_ms = unix_ms;
        if let Some(beliefs) = &mut self.beliefs {
            beliefs.handle_wall_clock(Duration::from_millis(unix_ms), self.now);
            beliefs.pass(self.now);
        }
    }

    fn obey(&mut self, turn: Turn, selector: &str, order: Option<OverrideStatus>) {
        let (Some(beliefs), Ok(selector)) = (&mut self.beliefs, selector.parse::<Selector>()) else { return };
        match turn {
            Turn::Set | Turn::Removed => {
                if let Some(order) = order.and_then(OverrideStatus::parse) {
                    beliefs.impose_override(order, self.now);
                }
            }
            Turn::Cleared | Turn::Expired => beliefs.impose_end(&selector),
            Turn::Released => beliefs.impose_release(&selector, self.now),
            Turn::AboutToExpire | Turn::Gone => {}
        }
    }

    /// What was answered at this time, in milliseconds since 1970, when nothing else happened until then. None without a checkpoint.
    pub fn live(mut self, at_unix_ms: u64) -> Option<Live> {
        self.pass(at_unix_ms);
        let mut beliefs = self.beliefs?;
        beliefs.settle(self.now);
        let live = beliefs.live();
        let remarks = Remarks { suspicion: self.suspicion, ..(*live.remarks).clone() };
        Some(Live { remarks: Arc::new(remarks), ..live })
    }
}

const NANOS_PER_MS: u64 = 1_000_000;

//--- Which part of the journal

/// The lines of the journal that say what was at a time, by their numbers.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// The checkpoint from which it follows.
    checkpoint: usize,
    /// The last one before that time.
    last: usize,
}

/// The beginning of an entry.
#[derive(Deserialize)]
struct Head<'a> {
    at_unix_ms: u64,
    #[serde(borrow)]
    event: Cow<'a, str>,
}

impl Extent {
    /// Clocks are set back: the last line that was written at or before that time stands for all before it, whatever they say of theirs.
    fn find(segments: &mut Segments, directory: &Path, at_unix_ms: u64) -> Result<Extent, String> {
        let (mut number, mut checkpoint, mut found) = (0, None, None);
        let mut begins = None;
        let take = |line: Line<'_>| {
            if let Line::Sound(text) = line
                && let Ok(head) = serde_json::from_str::<Head>(text)
            {
                if head.event == "checkpoint" {
                    checkpoint = Some(number);
                    begins.get_or_insert(head.at_unix_ms);
                }
                if head.at_unix_ms <= at_unix_ms {
                    found = checkpoint.map(|checkpoint| Extent { checkpoint, last: number });
                }
            }
            number += 1;
        };
        segments.each(|_| true, take)?;
        found.ok_or_else(|| match begins {
            Some(begins) => format!("the journal does not reach back to {}: it begins at {}", shown(at_unix_ms), shown(begins)),
            None => format!("there is no journal in {} that `explain --at` could go by", directory.display()),
        })
    }
}

/// How well a time is known, beside what the entries say.
#[derive(Debug, Default)]
struct Known {
    /// When the last entry before it was written.
    last_unix_ms: u64,
    /// When the server had stopped, if it had.
    stopped_unix_ms: Option<u64>,
    /// When it had started, if no checkpoint was written since.
    started_unix_ms: Option<u64>,
    /// When it started anew, if nothing at all is known of it in between.
    restarted_unix_ms: Option<u64>,
    /// Lines that are lost or damaged, of those from which it follows.
    missing: u64,
}

impl Known {
    /// Tells `take` what led up to that time.
    fn read(segments: &mut Segments, extent: Extent, mut take: impl FnMut(Entry)) -> Result<Known, String> {
        let mut known = Known::default();
        let (number, is_done) = (Cell::new(0), Cell::new(false));
        let wants = |head: &str| match number.get() {
            later if later > extent.last => !is_done.get(),
            number => number == extent.checkpoint || !is_checkpoint(head),
        };
        let hear = |line: Line<'_>| {
            let number = number.replace(number.get() + 1);
            match line {
                Line::Sound(text) => {
                    let Ok(entry) = serde_json::from_str::<Entry>(text) else { return };
                    if number > extent.last {
                        is_done.set(true);
                        known.handle_next(&entry);
                    } else {
                        known.handle(&entry);
                        take(entry);
                    }
                }
                Line::Unwanted => {}
                Line::Damaged => known.missing += u64::from(number > extent.checkpoint && !is_done.get()),
            }
        };
        segments.each(wants, hear)?;
        Ok(known)
    }

    fn handle(&mut self, entry: &Entry) {
        self.last_unix_ms = entry.at_unix_ms;
        match &entry.event {
            Event::Started { .. } => (self.started_unix_ms, self.stopped_unix_ms) = (Some(entry.at_unix_ms), None),
            Event::Stopped => self.stopped_unix_ms = Some(entry.at_unix_ms),
            Event::Checkpoint { .. } => (self.started_unix_ms, self.missing) = (None, 0),
            Event::Gap { lost } => self.missing += lost,
            Event::Config { .. }
            | Event::Member { .. }
            | Event::Pace { .. }
            | Event::Pool { .. }
            | Event::Canary { .. }
            | Event::Suspect { .. }
            | Event::Trusting
            | Event::Probes { .. }
            | Event::Override { .. }
            | Event::Other => {}
        }
    }

    /// Hears the first entry after that time, which tells of what went on before it.
    fn handle_next(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Started { .. } => self.restarted_unix_ms = self.stopped_unix_ms.is_none().then_some(entry.at_unix_ms),
            Event::Gap { lost } => self.missing += lost,
            Event::Stopped
            | Event::Config { .. }
            | Event::Member { .. }
            | Event::Pace { .. }
            | Event::Pool { .. }
            | Event::Canary { .. }
            | Event::Suspect { .. }
            | Event::Trusting
            | Event::Probes { .. }
            | Event::Override { .. }
            | Event::Checkpoint { .. }
            | Event::Other => {}
        }
    }

    /// Says so when the server was not there, or may not have been.
    fn absence(&self) -> Option<String> {
        if let Some(stopped) = self.stopped_unix_ms {
            return Some(format!("the server was not running then: it had stopped at {}", shown(stopped)));
        }
        let (restarted, last) = (shown(self.restarted_unix_ms?), shown(self.last_unix_ms));
        Some(format!(
            "the server may not have been running then: after {last} it ended without a word, before it started anew at {restarted}"
        ))
    }

    /// Says so when it follows from what is not there.
    fn doubt(&self) -> Option<String> {
        if self.missing > 0 {
            let missing = count(usize::try_from(self.missing).unwrap_or(usize::MAX), "line");
            return Some(format!(
                "beware: {missing} of the journal from just before then cannot be read or were never written; some of this may be wrong"
            ));
        }
        let started = shown(self.started_unix_ms?);
        Some(format!("beware: what was believed when the server started at {started} is not in the journal; this goes by what was before"))
    }
}

//--- Configs

/// Configs by their notes.
struct Library<'a> {
    directory: &'a Path,
    lens: &'a Lens,
    /// Those that were looked for below the directory, by fingerprint.
    kept: HashMap<String, Result<Arc<Snapshot>, String>>,
}

impl Library<'_> {
    /// What a config meant; the one at hand where that is not known.
    fn of(&mut self, config: Option<&ConfigNote>) -> Arc<Snapshot> {
        match config.filter(|config| config.fingerprint != self.lens.fingerprint).map(|config| self.kept(config)) {
            Some(Ok(snapshot)) => snapshot,
            Some(Err(_)) | None => Arc::clone(&self.lens.snapshot),
        }
    }

    fn kept(&mut self, config: &ConfigNote) -> Result<Arc<Snapshot>, String> {
        let load = || kept::load(self.directory, &config.fingerprint).map(Arc::new);
        self.kept.entry(config.fingerprint.clone()).or_insert_with(load).clone()
    }

    /// Says which config the past is looked at with, when it is not the one at hand or should not be.
    fn remark(&mut self, then: &ConfigNote) -> Option<String> {
        if then.fingerprint == self.lens.fingerprint {
            return None;
        }
        let of_then = named(Some(then.generation), &then.fingerprint);
        let at_hand = named(self.lens.generation, &self.lens.fingerprint);
        let is_in_force = self.lens.generation.is_some();
        Some(match (self.kept(then), is_in_force) {
            (Ok(_), true) => format!("with the config of then ({of_then}); now another is in force ({at_hand})"),
            (Ok(_), false) => format!("with the config of then ({of_then}); the one at hand is another ({at_hand})"),
            (Err(why), is_in_force) => {
                let which = if is_in_force { "of now" } else { "at hand" };
                format!(
                    "with the config {which} ({at_hand}); at that time another was in force ({of_then}), but {why}; \
                     members that have gone since are not shown"
                )
            }
        })
    }
}

fn named(generation: Option<u64>, fingerprint: &str) -> String {
    generation.map(|number| format!("generation {number}, ")).unwrap_or_default() + short(fingerprint)
}

fn short(fingerprint: &str) -> &str {
    if fingerprint.is_empty() { "built in" } else { fingerprint.get(..12).unwrap_or(fingerprint) }
}

fn shown(unix_ms: u64) -> String {
    calendar::show(unix_ms / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beliefs::Saved;
    use crate::ids::{Id, PoolId};
    use crate::io::journal::Journal;
    use crate::io::saved_form::Word;
    use crate::io::testing::{ScratchDirectory, scratch_directory, snapshot};
    use crate::judge::{Force, Override, Progress};
    use crate::prefix::Family;
    use std::collections::BTreeMap;

    /// When all of it is looked back at.
    const NOW_MS: u64 = 100_000_000;

    /// A journal of which the lines were written at these seconds.
    struct Past {
        directory: ScratchDirectory,
        lines: String,
    }

    impl Past {
        fn new() -> Past {
            Past { directory: scratch_directory(), lines: String::new() }
        }

        fn at(mut self, second: u64, event: Event) -> Past {
            let entry = Entry { at_unix_ms: second * 1_000, text: String::new(), event };
            let json = serde_json::to_string(&entry).expect("JSON");
            self.lines += &(crate::io::seal::seal(&json) + "\n");
            self.directory.write("journal.jsonl", &self.lines);
            self
        }

        fn begun(self, fingerprint: &str) -> Past {
            let config = ConfigNote { generation: 5, fingerprint: fingerprint.into(), ..ConfigNote::default() };
            let checkpoint = Event::Checkpoint { state: Box::default(), config: None };
            self.at(1_000, Event::Started { version: "0".into(), config }).at(1_000, checkpoint)
        }

        /// A line that is not what was written.
        fn torn(mut self) -> Past {
            self.lines += "{\"at_unix_ms\":10\n";
            self
        }

        fn replayed(&self, second: u64) -> Replayed {
            let lens = Lens { snapshot: Arc::new(snapshot(&["a", "b"])), generation: Some(7), fingerprint: "now".into() };
            replay(self.directory.path(), &lens, second * 1_000, NOW_MS).expect("it reaches back")
        }

        /// The last octets of the addresses that were answered.
        fn answered(&self, second: u64) -> Vec<u8> {
            let live = self.replayed(second).live;
            let usable = live.pools[PoolId::new(0)].family(Family::V4).usable.iter();
            usable.map(|usable| usable.addr.to_string().bytes().last().expect("a digit") - b'0').collect()
        }
    }

    fn verdict(member: u8, word: Word) -> Event {
        Event::Member {
            pool: "web".into(),
            member: char::from(b'a' + member).to_string(),
            site: None,
            address: [10, 0, 0, member].into(),
            was: String::new(),
            now: String::new(),
            lasted_ms: 0,
            seen: None,
            targets: BTreeMap::from([(format!("tcp 10.0.0.{member}:80"), word)]),
        }
    }

    fn order(turn: Turn, expires_unix_s: Option<u64>) -> Event {
        let one = Override {
            selector: "web/b".parse().expect("a selector"),
            force: Force::Down,
            owner: "alice".into(),
            reason: "test".into(),
            set_unix_s: 1_030,
            expires_unix_s,
            break_glass: false,
            progress: Progress::default(),
        };
        Event::Override { turn, selector: "web/b".into(), order: Some(OverrideStatus::from(&one)), about: Vec::new(), sites: Vec::new() }
    }

    #[test]
    fn each_moment_has_the_verdicts_of_its_time() {
        let past = Past::new().begun("now").at(1_001, verdict(0, Word::Up)).at(1_001, verdict(1, Word::Up));
        let past = past.at(1_010, verdict(0, Word::Down)).at(1_020, verdict(0, Word::Up));
        assert_eq!([1_001, 1_009, 1_010, 1_019, 1_020].map(|second| past.answered(second).len()), [2, 2, 1, 1, 2]);
        assert_eq!(past.answered(1_015), [1]);
        assert_eq!(past.replayed(1_015).head.lines().count(), 1, "the config is the same");
    }

    #[test]
    fn orders_hold_from_when_they_were_given_until_they_ended() {
        let up = || Past::new().begun("now").at(1_001, verdict(0, Word::Up)).at(1_001, verdict(1, Word::Up));
        let cleared = up().at(1_030, order(Turn::Set, None)).at(1_040, order(Turn::Cleared, None));
        assert_eq!([1_029, 1_030, 1_039, 1_040].map(|second| cleared.answered(second).len()), [2, 1, 1, 2]);
        let expiring = up().at(1_030, order(Turn::Set, Some(1_035)));
        assert_eq!([1_034, 1_035].map(|second| expiring.answered(second).len()), [1, 2]);
        let remarks = cleared.replayed(1_035).live.remarks;
        assert!(remarks.members[0].text.starts_with("is forced down by alice (test)"), "{remarks:?}");
    }

    #[test]
    fn doubts_other_configs_and_times_without_a_server_are_remarked_on() {
        let past = Past::new()
            .begun("then")
            .at(1_010, Event::Suspect { why: "all is dark".into() })
            .at(1_020, Event::Trusting)
            .at(1_030, Event::Stopped);
        assert_eq!(past.replayed(1_015).live.remarks.suspicion.as_deref(), Some("all is dark"));
        assert_eq!(past.replayed(1_025).live.remarks.suspicion, None);
        let head = past.replayed(1_030).head;
        assert!(
            head.contains(
                "with the config of now (generation 7, now); at that time another was in force (generation 5, then), but it is not kept"
            ),
            "{head}"
        );
        assert!(head.contains("it had stopped at 1970-01-01 00:17:10Z"), "{head}");
    }

    #[test]
    fn a_checkpoint_names_the_config_when_the_entry_of_that_has_gone() {
        let config = ConfigNote { generation: 5, fingerprint: "then".into(), ..ConfigNote::default() };
        let past = Past::new().at(1_000, Event::Checkpoint { state: Box::default(), config: Some(Box::new(config)) });
        assert!(past.replayed(1_000).head.contains("another was in force (generation 5, then)"), "{}", past.replayed(1_000).head);
    }

    #[test]
    fn a_journal_that_does_not_reach_back_says_where_it_begins() {
        let past = Past::new().begun("now");
        let lens = Lens { snapshot: Arc::new(snapshot(&["a"])), generation: None, fingerprint: String::new() };
        let error = replay(past.directory.path(), &lens, 999_000, NOW_MS).expect_err("a second too early");
        assert_eq!(error, "the journal does not reach back to 1970-01-01 00:16:39Z: it begins at 1970-01-01 00:16:40Z");
        let nowhere = replay(scratch_directory().path(), &lens, 999_000, NOW_MS);
        assert!(nowhere.is_err_and(|error| error.starts_with("there is no journal in")));
    }

    #[test]
    fn the_future_is_not_explained_but_a_clock_may_be_a_little_ahead() {
        let past = Past::new().begun("now");
        let lens = Lens { snapshot: Arc::new(snapshot(&["a"])), generation: None, fingerprint: String::new() };
        let at = |at_unix_ms| replay(past.directory.path(), &lens, at_unix_ms, 1_010_000);
        assert!(at(1_015_000).is_ok_and(|replayed| replayed.head.starts_with("as of 1970-01-01 00:16:50Z")));
        assert_eq!(at(1_015_001).expect_err("too far"), "1970-01-01 00:16:55Z lies ahead: nobody knows yet what will be answered then");
    }

    #[test]
    fn a_doubt_goes_on_through_a_checkpoint_and_ends_with_the_life() {
        let checkpoint = || Event::Checkpoint { state: Box::default(), config: None };
        let past = Past::new().begun("now").at(1_010, Event::Suspect { why: "all is dark".into() }).at(1_020, checkpoint());
        assert_eq!(past.replayed(1_025).live.remarks.suspicion.as_deref(), Some("all is dark"));
        let config = ConfigNote { fingerprint: "now".into(), ..ConfigNote::default() };
        let past = past.at(1_030, Event::Started { version: "0".into(), config }).at(1_030, checkpoint());
        assert_eq!(past.replayed(1_030).live.remarks.suspicion, None);
    }

    #[test]
    fn a_clock_that_is_set_back_takes_nothing_away() {
        let past = Past::new().begun("now").at(1_001, verdict(0, Word::Up)).at(1_001, verdict(1, Word::Up));
        // An hour ahead until here.
        let past = past.at(1_002, verdict(0, Word::Down)).at(402, verdict(1, Word::Down)).at(410, verdict(0, Word::Up));
        assert_eq!([402, 409].map(|second| past.answered(second).len()), [0, 0]);
        assert_eq!(past.answered(411), [0]);
        assert_eq!(past.answered(1_003), [0], "the last time that this was the time");
    }

    #[test]
    fn orders_end_by_the_clock_of_their_time_though_it_was_set_back() {
        let up = || Past::new().begun("now").at(1_001, verdict(0, Word::Up)).at(1_001, verdict(1, Word::Up));
        let past = up().at(400, order(Turn::Set, Some(500)));
        assert_eq!([401, 499, 500].map(|second| past.answered(second).len()), [1, 1, 2]);
    }

    #[test]
    fn what_is_missing_is_said_until_all_is_written_down_anew() {
        let checkpoint = || Event::Checkpoint { state: Box::default(), config: None };
        let beware = |past: &Past, second| past.replayed(second).head.lines().nth(1).map(str::to_owned);
        let of = |lines| {
            Some(format!(
                "beware: {lines} of the journal from just before then cannot be read or were never written; some of this may be wrong"
            ))
        };
        let past = Past::new().begun("now").at(1_001, verdict(0, Word::Up)).at(1_020, Event::Gap { lost: 3 });
        let past = past.at(1_030, verdict(1, Word::Up)).at(1_040, checkpoint()).at(1_041, Event::Trusting);
        assert_eq!(
            [1_000, 1_001, 1_020, 1_030, 1_040].map(|second| beware(&past, second)),
            [None, of("3 lines"), of("3 lines"), of("3 lines"), None]
        );
        let past =
            Past::new().torn().begun("now").at(1_001, verdict(0, Word::Up)).torn().at(1_020, Event::Trusting).at(1_030, checkpoint());
        assert_eq!([1_000, 1_001, 1_020, 1_030].map(|second| beware(&past, second)), [None, of("1 line"), of("1 line"), None]);
    }

    #[test]
    fn a_server_that_ended_without_a_word_is_not_said_to_have_answered() {
        let started = || Event::Started { version: "0".into(), config: ConfigNote { fingerprint: "now".into(), ..ConfigNote::default() } };
        let checkpoint = || Event::Checkpoint { state: Box::default(), config: None };
        let past = Past::new().begun("now").at(1_001, verdict(0, Word::Up)).at(1_100, started()).at(1_100, checkpoint());
        let said = |second| past.replayed(second).head.lines().nth(1).map(str::to_owned);
        let expected = "the server may not have been running then: after 1970-01-01 00:16:41Z it ended without a word, before it started anew \
                        at 1970-01-01 00:18:20Z";
        assert_eq!([said(1_000), said(1_050), said(1_100)], [None, Some(expected.to_owned()), None]);
        let past = Past::new().begun("now").at(1_100, started());
        assert!(past.replayed(1_101).head.contains("beware: what was believed when the server started at 1970-01-01 00:18:20Z is not in"));
    }

    #[test]
    fn who_was_slow_is_told_and_not_guessed_by_connect_times() {
        let mut config = snapshot(&["a", "b", "c"]);
        config.graph.pools[PoolId::new(0)].conduct.slow_above_percent = Some(100);
        let lens = Lens { snapshot: Arc::new(config), generation: Some(7), fingerprint: "now".into() };
        let pace = |slow| Event::Pace { pool: "web".into(), member: "b".into(), site: None, address: [10, 0, 0, 1].into(), slow };
        let past = (0..3).fold(Past::new().begun("now"), |past, member| past.at(1_001, verdict(member, Word::Up)));
        let past = past.at(1_010, pace(true)).at(1_015, verdict(0, Word::Down)).at(1_020, pace(false));
        let slow = |second: u64| {
            let live = replay(past.directory.path(), &lens, second * 1_000, NOW_MS).expect("it reaches back").live;
            live.remarks.members.iter().map(|remark| remark.member).collect::<Vec<_>>()
        };
        assert_eq!([1_009, 1_010, 1_015, 1_020].map(slow), [vec![], vec![1], vec![1], vec![]]);
    }

    #[test]
    fn a_checkpoint_stands_for_all_that_was_before_it() {
        let directory = scratch_directory();
        let journal = Journal::open(directory.path(), 1 << 20).expect("a thread");
        let lens = Lens { snapshot: Arc::new(snapshot(&["a", "b"])), generation: None, fingerprint: String::new() };
        let now = Moment::from_nanos(crate::io::clock::wall_unix_ms() * NANOS_PER_MS);
        let mut beliefs = Beliefs::new(Arc::clone(&lens.snapshot), &Saved::default(), 1, 0, now);
        beliefs.impose("tcp 10.0.0.1:80", crate::health::Status::Up, now);
        beliefs.settle(now);
        journal.record_checkpoint(beliefs.saved(), ConfigNote::default(), now);
        journal.finish(Duration::from_secs(30));
        let replayed = replay(directory.path(), &lens, u64::MAX, u64::MAX).expect("just written");
        assert_eq!(replayed.live.pools[PoolId::new(0)].families, beliefs.live().pools[PoolId::new(0)].families);
    }
}
