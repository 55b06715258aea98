//! What the journal holds, read back: both segments, the older one first, without what is damaged.

use super::entry::{Entry, Event};
use super::writer::{NAME, PREVIOUS};
use crate::io::seal;
use crate::judge::Selector;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Entries, the oldest first.
#[derive(Debug, Default)]
pub struct History {
    /// Those that were wanted.
    pub entries: Vec<Entry>,
    /// Lines that are not what was written.
    pub damaged: usize,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Whom they are about; none for all.
    pub about: Option<Selector>,
    /// Not before this, in milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
    /// Not after this.
    pub until_unix_ms: Option<u64>,
    /// Whether checkpoints are wanted too: they say nothing to people.
    pub checkpoints: bool,
}

/// Entries as they travel to `steersman history`.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The newest that were wanted, the oldest of them first.
    pub entries: Vec<Entry>,
    /// How many older ones were left out.
    pub left_out: usize,
    /// Lines that are not what was written.
    pub damaged: usize,
}

/// So many entries are shown at most: more is for programs, and they can read the files.
const SHOWN_MAX: usize = 10_000;

impl History {
    /// Reads the journal in `directory`. What is not there is empty.
    pub fn read(directory: &Path, filter: &Filter) -> History {
        let mut history = History::default();
        // A file that cannot be opened or read to its end holds nothing that could be shown.
        for name in [PREVIOUS, NAME] {
            let _ = history.read_segment(&directory.join(name), filter);
        }
        history
    }

    fn read_segment(&mut self, path: &Path, filter: &Filter) -> io::Result<()> {
        let mut lines = BufReader::new(std::fs::File::open(path)?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let text = std::str::from_utf8(&line).unwrap_or("\0").trim_ascii_end();
            if !text.is_empty() && (filter.checkpoints || !is_checkpoint(text)) {
                self.take(text, filter);
            }
            line.clear();
        }
        Ok(())
    }

    fn take(&mut self, line: &str, filter: &Filter) {
        let entry = Some(line).filter(|line| seal::is_intact(line)).and_then(|line| serde_json::from_str::<Entry>(line).ok());
        match entry {
            Some(entry) if filter.wants(&entry) => self.entries.push(entry),
            Some(_) => {}
            None => self.damaged += 1,
        }
    }

    /// The newest entries, as many as are shown.
    pub fn page(mut self) -> HistoryPage {
        let left_out = self.entries.len().saturating_sub(SHOWN_MAX);
        HistoryPage { entries: self.entries.split_off(left_out), left_out, damaged: self.damaged }
    }
}

/// Whether a line is a checkpoint, without reading all of it: the kind of an event stands near its start.
fn is_checkpoint(line: &str) -> bool {
    line.get(..CHECKPOINT_HEAD_MAX.min(line.len())).unwrap_or(line).contains(r#""text":"","event":"checkpoint""#)
}

/// Longer than the time and the kind of any checkpoint.
const CHECKPOINT_HEAD_MAX: usize = 96;

impl Filter {
    fn wants(&self, Entry { at_unix_ms, event, .. }: &Entry) -> bool {
        let is_late = self.since_unix_ms.is_none_or(|since| *at_unix_ms >= since);
        let is_early = self.until_unix_ms.is_none_or(|until| *at_unix_ms <= until);
        is_late && is_early && self.about.as_ref().is_none_or(|about| is_about(event, about))
    }
}

/// Whether an event has to do with the members that are meant: with one of them, with their pool, or with so many that nobody lists them.
fn is_about(event: &Event, about: &Selector) -> bool {
    let means = |subject: &String| match subject.split_once('/') {
        Some((pool, member)) => about.selects(pool, member, None) || means_pool_by_name(about, pool),
        None => about.selects(subject, "", None) || means_pool_by_name(about, subject) || means_some_of(about, subject),
    };
    let is_order_for_many = matches!(event, Event::Override { about, .. } if about.is_empty());
    is_order_for_many || event.subjects().iter().any(means)
}

/// A bare name is a member's, or a pool's.
fn means_pool_by_name(about: &Selector, pool: &str) -> bool {
    matches!(about, Selector::Member(name) if Selector::Pool(name.clone()).selects(pool, "", None))
}

/// What happens to a pool happens to its members.
fn means_some_of(about: &Selector, pool: &str) -> bool {
    matches!(about, Selector::Both { pool: name, .. } if Selector::Pool(name.clone()).selects(pool, "", None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn member(pool: &str, member: &str) -> Event {
        Event::Member {
            pool: pool.into(),
            member: member.into(),
            address: [192, 0, 2, 1].into(),
            was: "up".into(),
            now: "down".into(),
            lasted_ms: 5,
            seen: None,
            targets: BTreeMap::new(),
        }
    }

    fn pool(pool: &str) -> Event {
        Event::Pool { pool: pool.into(), was: "healthy".into(), now: "empty".into(), usable: 0, members: 1 }
    }

    #[test]
    fn events_are_found_by_pool_by_member_and_by_both() {
        let all = [member("web", "fra-1"), member("web", "nyc-1"), member("api", "fra-1"), pool("web"), Event::Stopped];
        let found = |about: &str| {
            let about: Selector = about.parse().expect("a selector");
            all.iter().map(|event| u8::from(is_about(event, &about))).collect::<Vec<_>>()
        };
        assert_eq!(found("fra-*"), [1, 0, 1, 0, 0]);
        assert_eq!(found("web"), [1, 1, 0, 1, 0]);
        assert_eq!(found("pool:web"), [1, 1, 0, 1, 0]);
        assert_eq!(found("member:nyc-1"), [0, 1, 0, 0, 0]);
        assert_eq!(found("web/fra-1"), [1, 0, 0, 1, 0]);
        assert_eq!(found("nothing"), [0, 0, 0, 0, 0]);
    }
}
