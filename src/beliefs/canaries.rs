//! What is believed of canaries, so that it is told when one falls or returns: no member and no pool shows it.

use super::{Belief, CanaryChange, Cause, Change};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The canaries of the config in force.
#[derive(Clone, Debug, Default)]
pub struct Canaries {
    /// By the identity of the target.
    believed: BTreeMap<Arc<str>, Belief>,
    /// What changed and was not told yet.
    untold: Vec<Change>,
}

impl Canaries {
    /// Takes over the canaries of a new config, with what is believed of them.
    pub fn adopt(&mut self, canaries: impl Iterator<Item = (Arc<str>, Belief)>) {
        self.believed = canaries.collect();
    }

    /// Takes what is believed of a canary from now on.
    pub fn handle_belief(&mut self, target: &Arc<str>, belief: Belief, cause: Option<Cause>) {
        let Some(before) = self.believed.insert(Arc::clone(target), belief) else { return };
        let lasted = belief.since.since(before.since);
        let change = CanaryChange { target: Arc::clone(target), was: before.status, now: belief.status, lasted, cause };
        self.untold.push(Change::Canary(change));
    }

    /// What changed since the last call.
    pub fn poll(&mut self) -> impl Iterator<Item = Change> {
        std::mem::take(&mut self.untold).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beliefs::{Beliefs, Saved};
    use crate::clock::Moment;
    use crate::health::{FailReason, Observation};
    use crate::ids::{Id, TargetId};
    use crate::io::testing::snapshot;
    use crate::snapshot::Snapshot;
    use std::time::Duration;

    const PASS: Observation = Observation::Pass { connect: Duration::from_millis(1), total: Duration::from_millis(2) };

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    /// A pool of a and b, of which b (10.0.0.1) is also a canary.
    fn watched() -> Arc<Snapshot> {
        let mut snapshot = snapshot(&["a", "b"]);
        snapshot.canaries.push(TargetId::new(1));
        Arc::new(snapshot)
    }

    /// Makes the probes of so many rounds from `now` on, of which those of b see this; then what is told of canaries.
    fn told(beliefs: &mut Beliefs, rounds: std::ops::Range<u64>, seen: &Observation) -> Vec<String> {
        for now in rounds.map(|round| at(5 * round)) {
            while let Some(order) = beliefs.poll_order(now) {
                let seen = if order.target == TargetId::new(1) { seen.clone() } else { PASS };
                beliefs.handle_observation(order.token, seen, now);
            }
        }
        let changes = beliefs.reflect(at(0)).into_iter().filter(|change| matches!(change, Change::Canary(_)));
        changes.map(|change| change.to_string()).collect()
    }

    #[test]
    fn a_canary_that_falls_and_returns_is_told_of_once_each_whatever_is_reloaded_meanwhile() {
        let (mut beliefs, sick) = (Beliefs::new(watched(), &Saved::default(), 1, 0, at(0)), Observation::Fail(FailReason::Status(500)));
        assert_eq!(told(&mut beliefs, 0..1, &PASS), ["canary tcp 10.0.0.1:80 is up: pass in 2.0ms (1 pass; first verdict)"]);
        assert!(told(&mut beliefs, 1..3, &sick).is_empty());
        beliefs.adopt(watched(), at(10));
        assert_eq!(told(&mut beliefs, 3..4, &sick), ["canary tcp 10.0.0.1:80 is down: HTTP 500 (3 failures in a row; was up for 15s)"]);
        let back = told(&mut beliefs, 4..8, &PASS);
        assert!(back.len() == 1 && back[0].starts_with("canary tcp 10.0.0.1:80 is up: pass"), "{back:?}");
    }
}
