//! What was answered then: beliefs brought back to a moment of the past, from the journal.
//!
//! A checkpoint and the entries after it are told to [`Beliefs`] as probes and operators told them then, so that verdicts, orders, slow starts
//! and protections come about by the code that is at work now; out comes a [`Live`] view for [`crate::explain`]. The config is
//! the one that was in force then, where it is kept, and else the one that is handed in; which of them is said, not guessed.

use super::journal::{ConfigNote, Entry, Event, Filter, History, Turn};
use super::kept;
use super::order::OverrideStatus;
use crate::beliefs::Beliefs;
use crate::calendar;
use crate::clock::Moment;
use crate::judge::Selector;
use crate::live::{Live, Remarks};
use crate::snapshot::Snapshot;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The config to look at the past with.
#[derive(Clone, Debug)]
pub struct Lens {
    /// What it means.
    pub snapshot: Arc<Snapshot>,
    /// Its number, where it is in force somewhere.
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

/// What the journal in `directory` says of this time, in milliseconds since 1970.
///
/// # Errors
/// When it does not reach back so far.
pub fn replay(directory: &Path, lens: &Lens, at_unix_ms: u64) -> Result<Replayed, String> {
    let wanted = Filter { until_unix_ms: Some(at_unix_ms), checkpoints: true, ..Filter::default() };
    let entries = History::read(directory, &wanted).entries;
    let found = entries.iter().enumerate().rev().find_map(|(index, entry)| {
        let Event::Checkpoint { state, .. } = &entry.event else { return None };
        Some((index, moment(entry), state))
    });
    let Some((index, began, state)) = found else { return Err(too_early(directory, at_unix_ms)) };
    let then = config_of(&entries);
    let (snapshot, remark) = match then.filter(|then| then.fingerprint != lens.fingerprint) {
        None => (Arc::clone(&lens.snapshot), None),
        Some(then) => match kept::load(directory, &then.fingerprint) {
            Ok(snapshot) => (Arc::new(snapshot), Some(with_config_of_then(then, lens))),
            Err(why) => (Arc::clone(&lens.snapshot), Some(with_config_of_now(then, lens, &why))),
        },
    };
    let beliefs = Beliefs::new(snapshot, &state.clone().recall(Duration::ZERO, began), 0, 0, began);
    let mut replay = Replay { beliefs, suspicion: None };
    for entry in &entries[index + 1..] {
        replay.handle(entry);
    }
    replay.beliefs.settle(Moment::from_nanos(at_unix_ms.saturating_mul(NANOS_PER_MS)));
    let as_of = format!("as of {}, by the journal; TTLs as they are without failures in a row", shown(at_unix_ms));
    let head = [Some(as_of), remark, not_running(&entries)].into_iter().flatten().map(|line| line + "\n").collect();
    Ok(Replayed { live: replay.live(), head })
}

struct Replay {
    beliefs: Beliefs,
    /// Why the node doubted itself, while it did.
    suspicion: Option<String>,
}

impl Replay {
    fn handle(&mut self, entry: &Entry) {
        let now = moment(entry);
        // What time alone changed until then.
        self.beliefs.reflect(now);
        match &entry.event {
            Event::Member { targets, .. } | Event::Config { targets, .. } => {
                for (identity, word) in targets {
                    self.beliefs.impose(identity, word.status(), now);
                }
            }
            Event::Override { turn, selector, order, .. } => self.obey(*turn, selector, order.as_ref(), now),
            Event::Suspect { why } => self.suspicion = Some(why.clone()),
            Event::Trusting | Event::Started { .. } => self.suspicion = None,
            Event::Stopped | Event::Pool { .. } | Event::Canary { .. } | Event::Probes { .. } | Event::Checkpoint { .. } | Event::Other => {
            }
        }
        self.beliefs.refresh(now);
    }

    fn obey(&mut self, turn: Turn, selector: &str, order: Option<&OverrideStatus>, now: Moment) {
        let Ok(selector) = selector.parse::<Selector>() else { return };
        match turn {
            Turn::Set | Turn::Removed => {
                if let Some(order) = order.and_then(|order| order.clone().parse()) {
                    self.beliefs.impose_override(order, now);
                }
            }
            Turn::Cleared | Turn::Expired => drop(self.beliefs.clear(&selector, now)),
            Turn::Released => drop(self.beliefs.release(&selector, now)),
            Turn::AboutToExpire | Turn::Gone => {}
        }
    }

    fn live(&self) -> Live {
        let live = self.beliefs.live();
        let remarks = Remarks { suspicion: self.suspicion.clone(), ..(*live.remarks).clone() };
        Live { remarks: Arc::new(remarks), ..live }
    }
}

const NANOS_PER_MS: u64 = 1_000_000;

fn moment(entry: &Entry) -> Moment {
    Moment::from_nanos(entry.at_unix_ms.saturating_mul(NANOS_PER_MS))
}

fn shown(unix_ms: u64) -> String {
    calendar::show(unix_ms / 1_000)
}

//--- What has to be said

fn too_early(directory: &Path, at_unix_ms: u64) -> String {
    let all = History::read(directory, &Filter { checkpoints: true, ..Filter::default() }).entries;
    match all.iter().find(|entry| matches!(entry.event, Event::Checkpoint { .. })) {
        Some(first) => format!("the journal does not reach back to {}: it begins at {}", shown(at_unix_ms), shown(first.at_unix_ms)),
        None => format!("there is no journal in {} that `explain --at` could go by", directory.display()),
    }
}

/// The config that was in force at the end of these entries.
fn config_of(entries: &[Entry]) -> Option<&ConfigNote> {
    entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Started { config, .. } | Event::Config { config, .. } => Some(config),
        Event::Checkpoint { config, .. } => config.as_deref(),
        Event::Stopped
        | Event::Member { .. }
        | Event::Pool { .. }
        | Event::Canary { .. }
        | Event::Suspect { .. }
        | Event::Trusting
        | Event::Probes { .. }
        | Event::Override { .. }
        | Event::Other => None,
    })
}

fn with_config_of_then(then: &ConfigNote, lens: &Lens) -> String {
    format!(
        "with the config of then ({}); now another is in force ({})",
        named(Some(then.generation), &then.fingerprint),
        named(lens.generation, &lens.fingerprint)
    )
}

fn with_config_of_now(then: &ConfigNote, lens: &Lens, why: &str) -> String {
    format!(
        "with the config of now ({}); at that time another was in force ({}), but {why}; members that have gone since are not shown",
        named(lens.generation, &lens.fingerprint),
        named(Some(then.generation), &then.fingerprint)
    )
}

fn named(generation: Option<u64>, fingerprint: &str) -> String {
    generation.map(|number| format!("generation {number}, ")).unwrap_or_default() + short(fingerprint)
}

fn short(fingerprint: &str) -> &str {
    if fingerprint.is_empty() { "built in" } else { fingerprint.get(..12).unwrap_or(fingerprint) }
}

/// Says so when the server had been stopped by then.
fn not_running(entries: &[Entry]) -> Option<String> {
    let last = entries.iter().rev().find(|entry| matches!(entry.event, Event::Started { .. } | Event::Stopped))?;
    matches!(last.event, Event::Stopped).then(|| format!("the server was not running then: it had stopped at {}", shown(last.at_unix_ms)))
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

        fn replayed(&self, second: u64) -> Replayed {
            let lens = Lens { snapshot: Arc::new(snapshot(&["a", "b"])), generation: Some(7), fingerprint: "now".into() };
            replay(self.directory.path(), &lens, second * 1_000).expect("it reaches back")
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
        Event::Override { turn, selector: "web/b".into(), order: Some(OverrideStatus::from(&one)), about: Vec::new() }
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
        let error = replay(past.directory.path(), &lens, 999_000).expect_err("a second too early");
        assert_eq!(error, "the journal does not reach back to 1970-01-01 00:16:39Z: it begins at 1970-01-01 00:16:40Z");
        assert!(replay(scratch_directory().path(), &lens, 999_000).is_err_and(|error| error.starts_with("there is no journal in")));
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
        let replayed = replay(directory.path(), &lens, u64::MAX / NANOS_PER_MS).expect("just written");
        assert_eq!(replayed.live.pools[PoolId::new(0)].families, beliefs.live().pools[PoolId::new(0)].families);
    }
}
