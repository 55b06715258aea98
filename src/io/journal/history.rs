//! What the journal holds, read back: the newest entries that are wanted, without what is damaged.

use super::entry::{Entry, Event, Subject};
use super::segments::{Line, Segments, is_checkpoint};
use crate::judge::Selector;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;

/// What happened; as it travels to `steersman history`, too.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// The newest that were wanted, the oldest of them first.
    pub entries: VecDeque<Entry>,
    /// How many older ones were left out.
    pub left_out: usize,
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
}

/// So many entries are shown at most: more is for programs, and they can read the files.
const SHOWN_MAX: usize = 10_000;
/// So many octets of them, as the journal has them: an entry about thousands of members is long.
const OCTETS_MAX: usize = 16 << 20;

impl History {
    /// Reads the journal in `directory`. What is not there is empty; checkpoints say nothing to people, and are left out.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(directory: &Path, filter: &Filter) -> Result<History, String> {
        let (mut history, mut room) = (History::default(), Room::default());
        Segments::open(directory)?.each(
            |head| !is_checkpoint(head),
            |line| match line {
                Line::Sound(text) => history.take(text, filter, &mut room),
                Line::Unwanted => {}
                Line::Damaged => history.damaged += 1,
            },
        )?;
        Ok(history)
    }

    fn take(&mut self, line: &str, filter: &Filter, room: &mut Room) {
        let Ok(entry) = serde_json::from_str::<Entry>(line) else {
            self.damaged += 1;
            return;
        };
        if filter.wants(&entry) {
            self.entries.push_back(entry);
            let too_many = room.lack(line.len());
            self.entries.drain(..too_many);
            self.left_out += too_many;
        }
    }
}

/// The lengths of the entries that are held.
#[derive(Debug, Default)]
struct Room {
    lengths: VecDeque<usize>,
    octets: usize,
}

impl Room {
    /// One more is held; says how many of the oldest have to go for it. It stays itself, whatever its length.
    fn lack(&mut self, length: usize) -> usize {
        self.lengths.push_back(length);
        self.octets += length;
        let mut gone = 0;
        while self.lengths.len() > SHOWN_MAX || (self.octets > OCTETS_MAX && self.lengths.len() > 1) {
            self.octets -= self.lengths.pop_front().unwrap_or(0);
            gone += 1;
        }
        gone
    }
}

impl Filter {
    fn wants(&self, Entry { at_unix_ms, event, .. }: &Entry) -> bool {
        let is_late = self.since_unix_ms.is_none_or(|since| *at_unix_ms >= since);
        let is_early = self.until_unix_ms.is_none_or(|until| *at_unix_ms <= until);
        is_late && is_early && self.about.as_ref().is_none_or(|about| is_about(event, about))
    }
}

/// Whether an event has to do with the members that are meant: with one of them, with their pool, or with so many that nobody lists them.
fn is_about(event: &Event, about: &Selector) -> bool {
    let means = |subject: &Subject| match *subject {
        Subject::Member { pool, member, site } => about.selects(pool, member, site) || means_pool_by_name(about, pool),
        Subject::Pool(pool) => about.selects(pool, "", None) || means_pool_by_name(about, pool) || means_some_of(about, pool),
        Subject::Site(site) => matches!(about, Selector::Site(_)) && about.selects("", "", Some(site)),
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
            site: Some(member[..3].into()),
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

    fn order(about: &str, site: &str) -> Event {
        let (about, sites) = (vec![about.to_owned()], vec![site.to_owned()]);
        Event::Override { turn: super::super::Turn::Set, selector: "site:*".into(), order: None, about, sites }
    }

    #[test]
    fn however_much_is_found_so_much_is_held() {
        let mut room = Room::default();
        assert_eq!((0..SHOWN_MAX).map(|_| room.lack(1)).sum::<usize>(), 0);
        assert_eq!(room.lack(1), 1);
        assert_eq!(room.lack(OCTETS_MAX), SHOWN_MAX, "and the long one stays");
        assert_eq!(room.lack(OCTETS_MAX + 1), 1);
        assert_eq!((room.lengths.len(), room.octets), (1, OCTETS_MAX + 1));
    }

    #[test]
    fn events_are_found_by_pool_by_member_and_by_both() {
        let order = order("web/nyc-1", "nyc");
        let all = [member("web", "fra-1"), member("web", "nyc-1"), member("api", "fra-1"), pool("web"), Event::Stopped, order];
        let found = |about: &str| {
            let about: Selector = about.parse().expect("a selector");
            all.iter().map(|event| u8::from(is_about(event, &about))).collect::<Vec<_>>()
        };
        assert_eq!(found("fra-*"), [1, 0, 1, 0, 0, 0]);
        assert_eq!(found("web"), [1, 1, 0, 1, 0, 1]);
        assert_eq!(found("pool:web"), [1, 1, 0, 1, 0, 1]);
        assert_eq!(found("member:nyc-1"), [0, 1, 0, 0, 0, 1]);
        assert_eq!(found("web/fra-1"), [1, 0, 0, 1, 0, 0]);
        assert_eq!(found("site:fra"), [1, 0, 1, 0, 0, 0]);
        assert_eq!(found("site:nyc"), [0, 1, 0, 0, 0, 1]);
        assert_eq!(found("nothing"), [0, 0, 0, 0, 0, 0]);
    }
}
