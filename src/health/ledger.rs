//! From targets to members.
//!
//! One verdict per target goes in; whoever is checked by several targets at once reads one verdict out. Knows neither
//! members nor pools: the caller brings the list of targets.

use super::{Condition, Status, TargetVerdict, Verdict};
use crate::ids::{Table, TargetId};
use std::time::Duration;

/// What is believed of every target, folded for those who ask.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    verdicts: Table<TargetId, Verdict>,
}

impl Ledger {
    /// A ledger of `targets` targets, all unknown.
    pub fn new(targets: usize) -> Ledger {
        Ledger { verdicts: std::iter::repeat_n(Verdict::UNKNOWN, targets).collect() }
    }

    /// Writes down a verdict.
    pub fn handle_verdict(&mut self, verdict: &TargetVerdict) {
        self.verdicts[verdict.target] = verdict.verdict;
    }

    /// What is believed of one target.
    pub fn verdict(&self, target: TargetId) -> Verdict {
        self.verdicts[target]
    }

    /// The verdict on a member whose checks are `targets`: all must pass. No check: up for good.
    ///
    /// The latency is the mean over the targets that know theirs.
    pub fn fold(&self, targets: &[TargetId]) -> Verdict {
        let latency = mean(targets.iter().filter_map(|&target| self.verdicts[target].latency));
        let verdicts: Vec<Verdict> = targets.iter().map(|&target| self.verdicts[target]).collect();
        Verdict { latency, ..at_least(verdicts.len(), &verdicts) }
    }

    /// The verdict on a member that is up while `condition` holds; `targets` are those in it.
    pub fn judge(&self, condition: &Condition, targets: &[TargetId]) -> Verdict {
        Verdict { latency: self.fold(targets).latency, ..self.meets(condition) }
    }

    fn meets(&self, condition: &Condition) -> Verdict {
        match condition {
            Condition::Target(target) => self.verdicts[*target],
            Condition::AtLeast { needed, of } => {
                let parts: Vec<Verdict> = of.iter().map(|part| self.meets(part)).collect();
                at_least(*needed, &parts)
            }
            Condition::Not(condition) => reversed(self.meets(condition)),
            Condition::Never => Verdict::DISABLED,
        }
    }
}

/// The verdict on something that is up while at least `needed` of its parts are.
///
/// | status  | when                                    | `holds`                                                          |
/// |---------|-----------------------------------------|------------------------------------------------------------------|
/// | up      | `needed` parts are up                   | until so many of those have gone down that too few are left      |
/// | down    | else, too many are down                 | until so many of those are up again that it could be enough      |
/// | unknown | else                                    | zero: the next observation may decide                            |
///
/// With `needed` = all that is: up as long as the shakiest part, down until the last part has recovered.
fn at_least(needed: usize, parts: &[Verdict]) -> Verdict {
    let holds = |status| {
        let mut holds: Vec<Duration> = parts.iter().filter(|part| part.status == status).map(|part| part.holds).collect();
        holds.sort_unstable();
        holds
    };
    let (up, down) = (holds(Status::Up), holds(Status::Down));
    let verdict = |status, holds| Verdict { status, holds, latency: None };
    if up.len() >= needed {
        // Nothing needed: nothing can change that.
        return verdict(Status::Up, if needed == 0 { Duration::MAX } else { up[up.len() - needed] });
    }
    let missing = (needed + down.len()).saturating_sub(parts.len());
    match missing.checked_sub(1) {
        Some(last) => verdict(Status::Down, down.get(last).copied().unwrap_or(Duration::MAX)),
        None => Verdict::UNKNOWN,
    }
}

fn reversed(verdict: Verdict) -> Verdict {
    let status = match verdict.status {
        Status::Up => Status::Down,
        Status::Down => Status::Up,
        Status::Unknown => Status::Unknown,
    };
    Verdict { status, ..verdict }
}

/// The mean; `None` of nothing.
fn mean(latencies: impl Iterator<Item = Duration>) -> Option<Duration> {
    let (sum, count) = latencies.fold((Duration::ZERO, 0u32), |(sum, count), latency| (sum.saturating_add(latency), count + 1));
    sum.checked_div(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;
    use proptest::prelude::*;

    /// A ledger of the given targets, with all of their ids.
    fn ledger(verdicts: &[(Status, u64, Option<u64>)]) -> (Ledger, Vec<TargetId>) {
        let mut ledger = Ledger::new(verdicts.len());
        let ids: Vec<TargetId> = (0..verdicts.len()).map(TargetId::new).collect();
        for (&target, &(status, holds, latency)) in ids.iter().zip(verdicts) {
            let verdict = Verdict { status, holds: Duration::from_secs(holds), latency: latency.map(Duration::from_millis) };
            ledger.handle_verdict(&TargetVerdict { target, verdict, was: None });
        }
        (ledger, ids)
    }

    fn fold(verdicts: &[(Status, u64, Option<u64>)]) -> Verdict {
        let (ledger, ids) = ledger(verdicts);
        ledger.fold(&ids)
    }

    #[test]
    fn a_member_without_checks_is_up_for_good() {
        assert_eq!(Ledger::new(3).fold(&[]), Verdict::UNMONITORED);
    }

    #[test]
    fn a_target_nobody_has_observed_is_unknown() {
        let (ledger, target) = (Ledger::new(1), TargetId::new(0));
        assert_eq!(ledger.verdict(target), Verdict::UNKNOWN);
        assert_eq!(ledger.fold(&[target]), Verdict::UNKNOWN);
    }

    #[test]
    fn one_target_that_is_down_outweighs_all_others() {
        assert_eq!(fold(&[(Status::Up, 15, None), (Status::Unknown, 0, None), (Status::Down, 10, None)]).status, Status::Down);
        assert_eq!(fold(&[(Status::Up, 15, None), (Status::Unknown, 0, None)]).status, Status::Unknown);
        assert_eq!(fold(&[(Status::Up, 15, None), (Status::Up, 5, None)]).status, Status::Up);
    }

    #[test]
    fn up_holds_as_long_as_the_shakiest_target_and_down_as_long_as_the_last_to_recover() {
        assert_eq!(fold(&[(Status::Up, 15, None), (Status::Up, 5, None)]).holds.as_secs(), 5);
        assert_eq!(fold(&[(Status::Down, 10, None), (Status::Down, 2, None), (Status::Up, 60, None)]).holds.as_secs(), 10);
        assert_eq!(fold(&[(Status::Up, 15, None), (Status::Unknown, 0, None)]).holds, Duration::ZERO);
    }

    #[test]
    fn latency_is_the_mean_of_what_is_known() {
        let latency = fold(&[(Status::Up, 5, Some(10)), (Status::Up, 5, Some(20)), (Status::Up, 5, None)]).latency;
        assert_eq!(latency, Some(Duration::from_millis(15)));
        assert_eq!(fold(&[(Status::Up, 5, None)]).latency, None);
    }

    //--- Conditions

    fn judge(condition: impl Fn(&[Condition]) -> Condition, verdicts: &[(Status, u64)]) -> (Status, u64) {
        let verdicts: Vec<_> = verdicts.iter().map(|&(status, holds)| (status, holds, None)).collect();
        let (ledger, ids) = ledger(&verdicts);
        let targets: Vec<Condition> = ids.iter().map(|&id| Condition::Target(id)).collect();
        let verdict = ledger.judge(&condition(&targets), &ids);
        (verdict.status, verdict.holds.as_secs())
    }

    const UP: Status = Status::Up;
    const DOWN: Status = Status::Down;
    const UNKNOWN: Status = Status::Unknown;

    #[test]
    fn enough_parts_up_is_up_until_too_few_are_left() {
        let two = |parts: &[Condition]| Condition::AtLeast { needed: 2, of: parts.to_vec() };
        assert_eq!(judge(two, &[(UP, 5), (UP, 15), (UP, 10)]), (UP, 10), "one may go, the second takes it down");
        assert_eq!(judge(two, &[(UP, 5), (UP, 15), (DOWN, 10)]), (UP, 5));
        assert_eq!(judge(two, &[(UP, 5), (UNKNOWN, 0), (DOWN, 10)]), (UNKNOWN, 0));
        assert_eq!(judge(two, &[(UP, 5), (DOWN, 20), (DOWN, 10)]), (DOWN, 10), "the first that returns is enough");
        assert_eq!(judge(two, &[(DOWN, 5), (DOWN, 20), (DOWN, 10)]), (DOWN, 10), "two must return");
    }

    #[test]
    fn any_is_up_as_long_as_the_last_and_down_until_the_first() {
        let any = |parts: &[Condition]| Condition::any(parts.to_vec());
        assert_eq!(judge(any, &[(UP, 5), (UP, 15), (DOWN, 1)]), (UP, 15));
        assert_eq!(judge(any, &[(DOWN, 5), (DOWN, 15)]), (DOWN, 5));
        assert_eq!(judge(any, &[(DOWN, 5), (UNKNOWN, 0)]), (UNKNOWN, 0));
    }

    #[test]
    fn not_turns_a_verdict_round_and_what_is_unknown_stays_so() {
        let not = |parts: &[Condition]| Condition::Not(Box::new(parts[0].clone()));
        assert_eq!(judge(not, &[(UP, 5)]), (DOWN, 5));
        assert_eq!(judge(not, &[(DOWN, 7)]), (UP, 7));
        assert_eq!(judge(not, &[(UNKNOWN, 0)]), (UNKNOWN, 0));
    }

    #[test]
    fn conditions_nest() {
        let tree = |parts: &[Condition]| {
            let either = Condition::any(vec![parts[1].clone(), Condition::Not(Box::new(parts[2].clone()))]);
            Condition::all(vec![parts[0].clone(), either])
        };
        assert_eq!(judge(tree, &[(UP, 9), (DOWN, 5), (DOWN, 7)]), (UP, 7));
        assert_eq!(judge(tree, &[(UP, 9), (DOWN, 5), (UP, 7)]), (DOWN, 5));
        assert_eq!(judge(|_| Condition::Never, &[(UP, 9)]), (DOWN, Duration::MAX.as_secs()));
    }

    proptest! {
        /// Whatever parts do that may do something within the time for which the whole is said to hold, the whole does not change.
        #[test]
        fn nothing_flips_before_it_was_said_to_hold(parts in prop::collection::vec((0..3usize, 1..20u64), 1..8), needed in 0..8usize) {
            let needed = needed.min(parts.len());
            let status = |which: usize| [Status::Up, Status::Down, Status::Unknown][which];
            let verdict = |&(which, holds): &(usize, u64)| {
                let holds = if which == 2 { Duration::ZERO } else { Duration::from_secs(holds) };
                Verdict { status: status(which), holds, latency: None }
            };
            let verdicts: Vec<Verdict> = parts.iter().map(verdict).collect();
            let whole = at_least(needed, &verdicts);
            prop_assume!(whole.status != Status::Unknown);
            for after in [Duration::ZERO, Duration::from_secs(1)] {
                let Some(now) = whole.holds.checked_sub(after).filter(|_| whole.holds != Duration::MAX) else { continue };
                for all in [Status::Up, Status::Down] {
                    // A part that holds until `now` has not flipped just before it.
                    let moved: Vec<Verdict> =
                        verdicts.iter().map(|part| if part.holds < now { Verdict { status: all, ..*part } } else { *part }).collect();
                    prop_assert_eq!(at_least(needed, &moved).status, whole.status, "{:?} at {:?}", verdicts, now);
                }
            }
        }

        /// And it is no more careful than it has to be: at that moment the parts that may flip can flip the whole.
        #[test]
        fn a_whole_that_is_said_to_hold_for_a_while_can_flip_then(parts in prop::collection::vec((0..2usize, 1..20u64), 1..8), needed in 1..8usize) {
            let needed = needed.min(parts.len());
            let status = |which: usize| [Status::Up, Status::Down][which];
            let verdict = |&(which, holds): &(usize, u64)| Verdict { status: status(which), holds: Duration::from_secs(holds), latency: None };
            let verdicts: Vec<Verdict> = parts.iter().map(verdict).collect();
            let whole = at_least(needed, &verdicts);
            let flipped = |part: &Verdict| if part.holds <= whole.holds { reversed(*part) } else { *part };
            let same_kind = |part: &Verdict| if part.status == whole.status { flipped(part) } else { *part };
            let moved: Vec<Verdict> = verdicts.iter().map(same_kind).collect();
            prop_assert_ne!(at_least(needed, &moved).status, whole.status, "{:?}", verdicts);
        }
    }
}
