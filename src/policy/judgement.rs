//! What is made of a verdict on an address before its pool is prepared: what an operator, a rule or caution hold for or against it.

use crate::health::{Status, Verdict};
use std::time::Duration;

/// A verdict, and how far it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// What is believed, or what an operator or a rule puts in its place.
    pub verdict: Verdict,
    /// Where it ranks among those that are up.
    pub rank: Rank,
    /// Its share of its weight, in thousandths: `1..=1000`.
    pub share_permille: u16,
    /// Never answered, whatever is asked for: an operator took it out.
    pub barred: bool,
    /// Answered beside whoever serves, though its verdict says that it should not be: a protection keeps it. Makes its pool no fitter.
    pub kept: bool,
}

/// Where an address ranks among those of its pool that are up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rank {
    /// Where the config puts it.
    Usual,
    /// Behind the others: it is slow against its siblings. Ordered last, and with a tenth of its share.
    Late,
    /// Not while anybody else of its pool is up, and its pool is degraded at most: it was down, and is to stay out for now.
    HeldBack {
        /// How soon that ends; [`Duration::MAX`] when only an operator ends it.
        released_in: Duration,
    },
}

/// The share of an address that is late, and of one that has just come back, in thousandths.
pub const SHARE_MIN_PERMILLE: u16 = 100;

/// A whole share, in thousandths.
pub const SHARE_WHOLE_PERMILLE: u16 = 1000;

impl From<Verdict> for Judgement {
    fn from(verdict: Verdict) -> Judgement {
        Judgement { verdict, rank: Rank::Usual, share_permille: SHARE_WHOLE_PERMILLE, barred: false, kept: false }
    }
}

/// Who is answered first: the first standing that anybody has is the one that serves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Standing {
    Up,
    HeldBack,
    Unknown,
    /// Though it should not be.
    Kept,
    /// Never.
    Out,
}

impl Judgement {
    pub(super) fn standing(&self) -> Standing {
        if self.kept {
            return Standing::Kept;
        }
        match (self.verdict.status, self.rank, self.barred) {
            (_, _, true) | (Status::Down, _, false) => Standing::Out,
            (Status::Up, Rank::HeldBack { .. }, false) => Standing::HeldBack,
            (Status::Up, Rank::Usual | Rank::Late, false) => Standing::Up,
            (Status::Unknown, _, false) => Standing::Unknown,
        }
    }

    /// Whether it is answered when `serving` is the first standing that anybody has.
    pub(super) fn serves(&self, serving: Option<Standing>) -> bool {
        self.kept || Some(self.standing()) == serving
    }

    /// Whether it is answered then, and should be.
    pub(super) fn is_fit(&self, serving: Option<Standing>) -> bool {
        !self.kept && Some(self.standing()) == serving
    }

    /// For how long an answer with it holds: whatever keeps an address that should go may end any moment.
    pub(super) fn holds(&self) -> Duration {
        if self.kept { Duration::ZERO } else { self.verdict.holds }
    }

    /// How soon an address that does not serve could, or one that is kept would have to be kept no more.
    pub(super) fn joins_in(&self) -> Duration {
        match (self.standing(), self.rank) {
            (Standing::HeldBack, Rank::HeldBack { released_in }) => released_in,
            (Standing::Up | Standing::HeldBack | Standing::Unknown | Standing::Kept | Standing::Out, _) => self.verdict.holds,
        }
    }

    /// Its share in thousandths, with its rank taken into account.
    pub(super) fn permille(&self) -> u16 {
        match self.rank {
            Rank::Late => self.share_permille.min(SHARE_MIN_PERMILLE),
            Rank::Usual | Rank::HeldBack { .. } => self.share_permille,
        }
    }
}
