//! What is held for or against members, and what becomes of an override, in words.

use crate::human::span;
use crate::judge::{Force, Note, Override};
use std::time::Duration;

/// What an override does now, and what comes next.
pub fn outlook(one: &Override, now_unix_s: u64) -> String {
    let until = |unix_s: u64| span(Duration::from_secs(unix_s.saturating_sub(now_unix_s)));
    let now = match one.force {
        Force::Up | Force::Down => "in force".to_owned(),
        Force::Drain { removes_unix_s, .. } if removes_unix_s > now_unix_s => {
            format!("TTL lowered, answered for {} more", until(removes_unix_s))
        }
        Force::Drain { .. } if !one.progress.removed => "answered no more, unless a protection keeps it".to_owned(),
        Force::Drain { gone_unix_s, .. } if gone_unix_s > now_unix_s => {
            format!("answered no more, in caches for {} at most", until(gone_unix_s))
        }
        Force::Drain { .. } => "answered no more, and in no cache".to_owned(),
    };
    let end = one.expires_unix_s.map_or_else(|| "until it is cleared".to_owned(), |expires| format!("ends in {}", until(expires)));
    format!("{now}; {end}")
}

/// What is held for or against a member, in words that follow its name.
pub fn note_words(note: &Note, now_unix_s: u64) -> String {
    match note {
        Note::Forced(one) => {
            let glass = if one.break_glass { ", breaking the glass" } else { "" };
            format!("is forced {} by {}{glass} ({}): {}", one.force.word(), one.owner, one.reason, outlook(one, now_unix_s))
        }
        Note::Kept(protection) => format!("seems dead, and is kept by the protection `{protection}`"),
        Note::KeptAgainst(protection) => format!("is kept by the protection `{protection}` against the override"),
        Note::HeldBack(Duration::MAX) => "is up, and held back until an operator releases it".to_owned(),
        Note::HeldBack(released_in) => format!("is up, and held back for {} more", span(*released_in)),
        Note::Returning(permille) => format!("is coming back, with {} % of its share so far", permille / 10),
        Note::Slow => "is slow against its siblings, and ranked last".to_owned(),
        Note::HeldDown(falls, left) => format!("fell {falls} times of late, and stays down for {} more at least", span(*left)),
        Note::Lossy(failed, of) => format!("failed {failed} of its last {of} probes, and stays down until that is less"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::drain;
    use crate::judge::Progress;

    #[test]
    fn a_drain_says_what_comes_next() {
        let outlook = |now| outlook(&drain(), now);
        assert_eq!(outlook(1_020), "TTL lowered, answered for 10s more; ends in 1h59m");
        assert_eq!(outlook(1_030), "answered no more, in caches for 5s at most; ends in 1h59m");
        assert_eq!(outlook(1_035), "answered no more, and in no cache; ends in 1h59m");
        let kept = Override { progress: Progress::default(), ..drain() };
        assert_eq!(super::outlook(&kept, 1_035), "answered no more, unless a protection keeps it; ends in 1h59m");
    }

    #[test]
    fn a_note_follows_the_name_of_a_member() {
        assert!(note_words(&Note::Forced(drain()), 1_020).starts_with("is forced drain by alice (disk swap): TTL lowered"));
        assert_eq!(note_words(&Note::HeldBack(Duration::from_secs(61)), 0), "is up, and held back for 1m1s more");
        assert_eq!(note_words(&Note::Returning(550), 0), "is coming back, with 55 % of its share so far");
        assert_eq!(
            note_words(&Note::HeldDown(3, Duration::from_secs(20)), 0),
            "fell 3 times of late, and stays down for 20s more at least"
        );
    }
}
