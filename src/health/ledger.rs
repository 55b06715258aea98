//! From targets to members.
//!
//! One verdict per target goes in; whoever is checked by several targets at once reads one verdict out. Knows neither
//! members nor pools: the caller brings the list of targets.

use super::{Status, TargetVerdict, Verdict};
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
    /// | status  | when                      | `holds`                                                              |
    /// |---------|---------------------------|----------------------------------------------------------------------|
    /// | down    | any target is down        | the longest of the down ones: the member stays down until the last of them is up again |
    /// | unknown | else, any is unknown      | zero: the next observation may decide                                |
    /// | up      | else                      | the shortest: one target that goes down takes the member with it     |
    ///
    /// The latency is the mean over the targets that know theirs.
    pub fn fold(&self, targets: &[TargetId]) -> Verdict {
        let verdicts = || targets.iter().map(|&target| self.verdicts[target]);
        let with = |status| verdicts().filter(move |verdict| verdict.status == status);
        let latency = mean(verdicts().filter_map(|verdict| verdict.latency));
        if let Some(holds) = with(Status::Down).map(|verdict| verdict.holds).max() {
            return Verdict { status: Status::Down, holds, latency };
        }
        if with(Status::Unknown).next().is_some() {
            return Verdict { status: Status::Unknown, holds: Duration::ZERO, latency };
        }
        let holds = verdicts().map(|verdict| verdict.holds).min().unwrap_or(Duration::MAX);
        Verdict { status: Status::Up, holds, latency }
    }
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
}
