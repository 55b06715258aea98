//! What is remembered, as JSON: the body of the state file, and of the checkpoints in the journal.
//!
//! Moments become spans before the moment of writing, in milliseconds, and spans become moments of the reader's clock, shifted by the
//! time that passed between. So a wall clock that was set meanwhile makes things older or younger by as much, and nothing worse.

use super::order::OverrideStatus;
use crate::beliefs::{Belief, Saved, SavedMember};
use crate::clock::Moment;
use crate::health::{Memory, Status, Window};
use crate::judge::{Absence, Past};
use crate::prefix::Family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// All that is remembered. Fields are only ever added.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SavedForm {
    targets: BTreeMap<String, TargetForm>,
    pools: BTreeMap<String, LastKnown>,
    members: Vec<MemberForm>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    removals_ms_ago: BTreeMap<String, [Vec<u64>; 2]>,
    overrides: Vec<OverrideStatus>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct TargetForm {
    verdict: Word,
    for_ms: u64,
    seen_ms_ago: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    streak: u32,
    /// The last observations, the oldest first: `.` passed, `x` failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    window: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    failed_in_a_row: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    falls_ms_ago: Vec<u64>,
    #[serde(default, skip_serializing_if = "is_none_left")]
    held_for_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_us: Option<LatencyForm>,
}

/// The smoothed connect time, and the figure that was made of it. Version 2 of the state file had a list of both here, which serde
/// takes for a struct, too.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct LatencyForm {
    mean: u64,
    shown: u64,
}

/// What was believed, and for how long. A list of both in version 2.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct BeliefForm {
    verdict: Word,
    for_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct MemberForm {
    pool: String,
    member: String,
    family: FamilyWord,
    /// Called `verdict` in version 2.
    #[serde(default, alias = "verdict", skip_serializing_if = "Option::is_none")]
    belief: Option<BeliefForm>,
    #[serde(default, skip_serializing_if = "is_not")]
    standing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    absence: Option<AbsenceWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    back_ms_ago: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    released_ms_ago: Option<u64>,
    #[serde(default, skip_serializing_if = "is_not")]
    slow: bool,
    #[serde(default, skip_serializing_if = "is_none_left")]
    cached_for_ms: u64,
}

/// A verdict that is worth remembering.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// It was up.
    Up,
    /// It was down.
    Down,
}

/// A family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FamilyWord {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AbsenceWord {
    Fell,
    TakenOut,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct LastKnown {
    ipv4: Vec<String>,
    ipv6: Vec<String>,
}

// Serde hands references to these.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_none_left(milliseconds: &u64) -> bool {
    *milliseconds == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_not(truth: &bool) -> bool {
    !truth
}

impl Word {
    /// The word for a status; none for one that is not known.
    pub const fn of(status: Status) -> Option<Word> {
        match status {
            Status::Up => Some(Word::Up),
            Status::Down => Some(Word::Down),
            Status::Unknown => None,
        }
    }

    /// The status that it means.
    pub const fn status(self) -> Status {
        match self {
            Word::Up => Status::Up,
            Word::Down => Status::Down,
        }
    }
}

impl FamilyWord {
    /// The word for a family.
    pub const fn of(family: Family) -> FamilyWord {
        match family {
            Family::V4 => FamilyWord::Ipv4,
            Family::V6 => FamilyWord::Ipv6,
        }
    }

    /// The family that it means.
    pub const fn family(self) -> Family {
        match self {
            FamilyWord::Ipv4 => Family::V4,
            FamilyWord::Ipv6 => Family::V6,
        }
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

//--- Writing

impl SavedForm {
    /// `saved` as it stands at `now`.
    pub fn of(saved: &Saved, now: Moment) -> SavedForm {
        let ago = |moment: &Moment| ms(now.since(*moment));
        let target = |(identity, memory): &(Arc<str>, Memory)| Some((identity.to_string(), TargetForm::of(memory, now)?));
        let last_known = |[ipv4, ipv6]: &[Vec<String>; 2]| LastKnown { ipv4: ipv4.clone(), ipv6: ipv6.clone() };
        let removals = |both: &[Vec<Moment>; 2]| both.each_ref().map(|removals| removals.iter().map(ago).collect());
        SavedForm {
            targets: saved.targets.iter().filter_map(target).collect(),
            pools: saved.pools.iter().map(|(pool, families)| (pool.clone(), last_known(families))).collect(),
            members: saved.members.iter().map(|member| MemberForm::of(member, now)).collect(),
            removals_ms_ago: saved.removals.iter().map(|(rule, both)| (rule.to_string(), removals(both))).collect(),
            overrides: saved.overrides.iter().map(OverrideStatus::from).collect(),
        }
    }
}

impl TargetForm {
    fn of(memory: &Memory, now: Moment) -> Option<TargetForm> {
        Some(TargetForm {
            verdict: Word::of(memory.status)?,
            for_ms: ms(now.since(memory.since)),
            seen_ms_ago: ms(now.since(memory.seen)),
            streak: memory.streak,
            window: memory.window.outcomes().map(|failed| if failed { 'x' } else { '.' }).collect(),
            failed_in_a_row: memory.window.run(),
            falls_ms_ago: memory.falls.iter().map(|fall| ms(now.since(*fall))).collect(),
            held_for_ms: ms(memory.held_until.since(now)),
            latency_us: memory.latency.map(|(mean, shown)| LatencyForm { mean: us(mean), shown: us(shown) }),
        })
    }
}

impl MemberForm {
    fn of(saved: &SavedMember, now: Moment) -> MemberForm {
        let Past { standing, absence, back, released, slow, cached_until } = saved.past;
        let ago = |moment: Moment| ms(now.since(moment));
        let word = |absence: Absence| match absence {
            Absence::Fell => AbsenceWord::Fell,
            Absence::TakenOut => AbsenceWord::TakenOut,
        };
        MemberForm {
            pool: saved.pool.to_string(),
            member: saved.member.to_string(),
            family: FamilyWord::of(saved.family),
            belief: saved.belief.and_then(|belief| Some(BeliefForm { verdict: Word::of(belief.status)?, for_ms: ago(belief.since) })),
            standing,
            absence: absence.map(word),
            back_ms_ago: back.map(ago),
            released_ms_ago: released.map(ago),
            slow,
            cached_for_ms: ms(cached_until.since(now)),
        }
    }
}

//--- Reading

impl SavedForm {
    /// What it says, on a clock that shows `now`, so long after it was written.
    pub fn recall(self, elapsed: Duration, now: Moment) -> Saved {
        let then = now.before(elapsed);
        let text = |text: String| -> Arc<str> { text.into() };
        let ago = |milliseconds: u64| then.before(Duration::from_millis(milliseconds));
        let removals = |both: [Vec<u64>; 2]| both.map(|removals| removals.into_iter().map(ago).collect());
        Saved {
            targets: self.targets.into_iter().map(|(identity, target)| (text(identity), target.recall(then))).collect(),
            pools: self.pools.into_iter().map(|(pool, known)| (pool, [known.ipv4, known.ipv6])).collect(),
            members: self.members.into_iter().map(|member| member.recall(then)).collect(),
            removals: self.removals_ms_ago.into_iter().map(|(rule, both)| (text(rule), removals(both))).collect(),
            overrides: self.overrides.into_iter().filter_map(OverrideStatus::parse).collect(),
        }
    }
}

impl TargetForm {
    fn recall(self, then: Moment) -> Memory {
        let ago = |milliseconds: u64| then.before(Duration::from_millis(milliseconds));
        Memory {
            status: self.verdict.status(),
            since: ago(self.for_ms),
            seen: ago(self.seen_ms_ago),
            streak: self.streak,
            window: Window::recalled(self.window.chars().map(|outcome| outcome == 'x'), self.failed_in_a_row),
            falls: self.falls_ms_ago.into_iter().map(ago).collect(),
            held_until: ahead(then, self.held_for_ms),
            latency: self.latency_us.map(|LatencyForm { mean, shown }| (Duration::from_micros(mean), Duration::from_micros(shown))),
        }
    }
}

impl MemberForm {
    fn recall(self, then: Moment) -> SavedMember {
        let ago = |milliseconds: u64| then.before(Duration::from_millis(milliseconds));
        let absence = |word: AbsenceWord| match word {
            AbsenceWord::Fell => Absence::Fell,
            AbsenceWord::TakenOut => Absence::TakenOut,
        };
        SavedMember {
            pool: self.pool.into(),
            member: self.member.into(),
            family: self.family.family(),
            belief: self.belief.map(|BeliefForm { verdict, for_ms }| Belief { status: verdict.status(), since: ago(for_ms) }),
            past: Past {
                standing: self.standing,
                absence: self.absence.map(absence),
                back: self.back_ms_ago.map(ago),
                released: self.released_ms_ago.map(ago),
                slow: self.slow,
                cached_until: ahead(then, self.cached_for_ms),
            },
        }
    }
}

/// The end of a span that was left; the origin where none was.
fn ahead(then: Moment, milliseconds: u64) -> Moment {
    if milliseconds == 0 { Moment::START } else { then.after(Duration::from_millis(milliseconds)) }
}

//--- The first version

/// What version 1 of the state file held.
#[derive(Debug, Deserialize)]
pub struct FirstForm {
    targets: BTreeMap<String, Word>,
    pools: BTreeMap<String, LastKnown>,
    #[serde(default)]
    overrides: Vec<OverrideStatus>,
    #[serde(default)]
    held_back: Vec<Waiting>,
}

#[derive(Debug, Deserialize)]
struct Waiting {
    pool: String,
    member: String,
    family: FamilyWord,
}

impl FirstForm {
    /// What it says, on a clock that shows `now`, so long after it was written.
    pub fn recall(self, elapsed: Duration, now: Moment) -> Saved {
        let then = now.before(elapsed);
        let waiting = |Waiting { pool, member, family }: Waiting| SavedMember {
            pool: pool.into(),
            member: member.into(),
            family: family.family(),
            belief: None,
            past: Past { standing: true, back: Some(then), ..Past::default() },
        };
        Saved {
            targets: self.targets.into_iter().map(|(identity, word)| (identity.into(), Memory::of(word.status(), then))).collect(),
            pools: self.pools.into_iter().map(|(pool, known)| (pool, [known.ipv4, known.ipv6])).collect(),
            members: self.held_back.into_iter().map(waiting).collect(),
            removals: BTreeMap::new(),
            overrides: self.overrides.into_iter().filter_map(OverrideStatus::parse).collect(),
        }
    }
}

/// What tests remember.
#[cfg(test)]
pub(super) mod sample {
    use super::*;
    use crate::judge::{Force, Override, Progress};

    /// Something of everything, on a clock that shows `now`, at least an hour.
    pub fn saved(now: Moment) -> Saved {
        let ago = |seconds| now.before(Duration::from_secs(seconds));
        let up = Memory {
            since: ago(600),
            latency: Some((Duration::from_micros(12_345), Duration::from_micros(12_300))),
            ..Memory::of(Status::Up, ago(2))
        };
        let down = Memory {
            since: ago(50),
            seen: ago(3),
            streak: 1,
            window: Window::recalled([true, false, false, true].into_iter(), 1),
            falls: vec![ago(300), ago(50)],
            held_until: now.after(Duration::from_secs(40)),
            ..Memory::of(Status::Down, now)
        };
        let member = |name: &str, family, belief, past| SavedMember { pool: "web".into(), member: name.into(), family, belief, past };
        let stands = Past { standing: true, back: Some(ago(60)), released: Some(ago(30)), slow: true, ..Past::default() };
        let fell = Past { absence: Some(Absence::Fell), cached_until: now.after(Duration::from_secs(9)), ..Past::default() };
        Saved {
            targets: vec![("tcp 192.0.2.1:80".into(), up), ("tcp 192.0.2.2:80".into(), down)],
            pools: [("web".to_owned(), [vec!["fra-1".to_owned()], Vec::new()])].into(),
            members: vec![
                member("fra-1", Family::V4, Some(Belief { status: Status::Up, since: ago(600) }), stands),
                member("fra-2", Family::V6, Some(Belief { status: Status::Down, since: ago(50) }), fell),
            ],
            removals: [("floor".into(), [vec![ago(50)], Vec::new()])].into(),
            overrides: vec![Override {
                selector: "pool:web".parse().expect("a selector"),
                force: Force::Down,
                owner: "alice".into(),
                reason: "test".into(),
                set_unix_s: 900,
                expires_unix_s: Some(5_000),
                break_glass: true,
                progress: Progress::default(),
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::saved;
    use super::*;

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn nothing_is_lost_on_the_way_and_everything_ages_by_the_time_between() {
        let form = SavedForm::of(&saved(at(10_000)), at(10_000));
        let text = serde_json::to_string(&form).expect("JSON");
        let form: SavedForm = serde_json::from_str(&text).expect("the same");
        assert_eq!(form.clone().recall(Duration::ZERO, at(10_000)), saved(at(10_000)));
        assert_eq!(form.clone().recall(Duration::from_secs(30), at(77_030)), saved(at(77_000)), "another clock, half a minute later");
        let young = form.recall(Duration::from_secs(30), at(100));
        assert_eq!(young.targets[0].1.since, Moment::START, "a clock that does not reach back so far");
    }
}
