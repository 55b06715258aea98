//! Measures wall time: good for a look at this machine, too restless for a test.

use super::scenarios::Operation;
use std::time::{Duration, Instant};

/// What an operation takes, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The median over all rounds.
    pub median_ns: f64,
    /// The fastest round.
    pub fastest_ns: f64,
}

/// Rounds of which the median is taken: odd, and enough that a few disturbed ones do not matter.
const ROUNDS: usize = 15;
/// How long a round should take: far above the clock's own cost, far below a scheduler's patience.
const ROUND: Duration = Duration::from_millis(10);

/// Times an operation.
pub fn time(operation: &mut Operation) -> Timing {
    let repetitions = repetitions(operation);
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| per_operation_ns(operation, repetitions)).collect();
    rounds.sort_by(f64::total_cmp);
    Timing { median_ns: rounds[ROUNDS / 2], fastest_ns: rounds[0] }
}

/// How often the operation fits into a round; at least once.
fn repetitions(operation: &mut Operation) -> usize {
    let mut repetitions = 1;
    loop {
        let started = Instant::now();
        (0..repetitions).for_each(&mut *operation);
        if started.elapsed() >= ROUND {
            return repetitions;
        }
        repetitions *= 2;
    }
}

#[allow(clippy::cast_precision_loss, reason = "repetitions of some nanoseconds within some milliseconds are few")]
fn per_operation_ns(operation: &mut Operation, repetitions: usize) -> f64 {
    let started = Instant::now();
    (0..repetitions).for_each(operation);
    started.elapsed().as_secs_f64() * 1e9 / repetitions as f64
}
