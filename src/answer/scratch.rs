//! What a worker keeps between queries; all else lives for one query.

use super::Asked;
use crate::policy::Picks;
use crate::rng::Rng;

/// Buffers and chance of one worker.
#[derive(Clone, Debug)]
pub struct Scratch {
    /// The name under look-up: the question's, then each CNAME's target.
    pub(super) asked: Asked,
    pub(super) draw: Draw,
}

/// What a draw among members needs.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    /// The members of the answer under way.
    pub picks: Picks,
    pub rng: Rng,
}

impl Scratch {
    /// A worker's scratch; every choice it will ever make follows from `seed`.
    pub fn new(seed: u64) -> Scratch {
        Scratch { asked: Asked::new(), draw: Draw { picks: Picks::new(), rng: Rng::seeded(seed) } }
    }
}
