//! What a worker keeps between queries; all else lives for one query.

use crate::dns::FoldedName;
use crate::policy::Picks;
use crate::rng::Rng;

/// Buffers and chance of one worker.
#[derive(Clone, Debug)]
pub struct Scratch {
    /// The name under look-up: the question's, then each CNAME's target.
    pub(super) name: FoldedName,
    /// The members of the answer under way.
    pub(super) picks: Picks,
    pub(super) rng: Rng,
}

impl Scratch {
    /// A worker's scratch; every choice it will ever make follows from `seed`.
    pub fn new(seed: u64) -> Scratch {
        Scratch { name: FoldedName::new(), picks: Picks::new(), rng: Rng::seeded(seed) }
    }
}
