//! Whether this node can trust its own eyes.
//!
//! Every look at a target enters by [`SelfDoubt::handle_look`]; what leaves is whether a target that falls silent may be
//! believed to be dead ([`SelfDoubt::believes`]), and the state of doubt itself ([`SelfDoubt::reflect`]). A node that lost its
//! uplink sees all targets fall silent, one by one as their probes come round, so that no single one tells it: what tells
//! it is that nothing else was seen since. Hence the two rules:
//!
//! - **Silence is believed when something else was seen meanwhile.** A target that would go down because it is silent, or because
//!   others say so, waits until a probe elsewhere, begun after its silence and before its last silent probe, came back: then the node could see, and the
//!   target still said nothing. Or until it is silent still when everything was looked at once more.
//! - **Silence everywhere is blindness.** All canaries silent, or all targets of at least three places and of more places than
//!   are seen; or most probes not even made; or a prober that runs late: then the node doubts itself, and silence counts
//!   for nothing until the evidence is gone. An answer of any kind from a place that was silent ends it.
//!
//! Knows no verdict's rules, no protocol and no address: a place is a number, a look was answered or not.

use super::{Doubt, Sight, Status};
use crate::clock::Moment;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

/// What a target is to this judgement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// It checks members that stand in this place: a site, or whatever stands for one.
    Member {
        /// Numbers places from 0 without gaps.
        place: u32,
    },
    /// It is probed to know whether this node sees at all.
    Canary,
}

/// What one target lets this node see.
#[derive(Clone, Copy, Debug)]
pub struct Eye {
    /// What it stands for.
    pub role: Role,
    /// The last look.
    look: Option<Look>,
    /// When the first of the silent probes since the last answer began; or when others first spoke against it.
    silent_since: Option<Moment>,
    /// What is believed of the target. What is known to be down is no evidence any more: it was seen to die.
    status: Status,
}

/// One look at a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// When the probe began.
    pub begun: Moment,
    /// What it saw.
    pub saw: Sight,
}

/// Why this node doubts its own sight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// All canaries are silent.
    Canaries {
        /// So many.
        silent: usize,
    },
    /// All targets of these many places are silent at once.
    Places {
        /// Places that are silent.
        silent: usize,
        /// Places that are seen.
        seen: usize,
    },
    /// Most probes could not even be made.
    Local {
        /// So many of the targets.
        blind: usize,
        /// Of so many.
        of: usize,
        /// The reason of one of them.
        doubt: Doubt,
    },
    /// This node stood still, and so its probes were made late.
    Late {
        /// By so much at the most.
        by: Duration,
    },
}

/// The state of doubt changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DoubtChange {
    /// From now on silence counts for nothing.
    Begun(Evidence),
    /// The node trusts its eyes again; for so long it did not.
    Ended(Duration),
}

/// A doubt that lasts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suspicion {
    /// Since when.
    pub since: Moment,
    /// Why.
    pub evidence: Evidence,
}

/// This node's judgement of its own sight.
#[derive(Clone, Debug, Default)]
pub struct SelfDoubt {
    grounds: Vec<Ground>,
    canaries: Ground,
    /// Looks older than this say nothing.
    window: Duration,
    suspicion: Option<Suspicion>,
    /// The places that were silent when the doubt began: an answer from one of them ends it.
    silent: BTreeSet<u32>,
    /// What ended the last doubt. While it is seen, silence of others is theirs.
    witness: Option<u32>,
    /// Probes that began before are void: the node was blind then.
    void_before: Moment,
    /// When this node last stood still, and for how long.
    late: Option<(Moment, Duration)>,
}

/// A place, or all canaries.
#[derive(Clone, Debug, Default)]
struct Ground {
    /// When probes that were answered began, in order: of those that began together only the first, and not for ever.
    seen: VecDeque<Moment>,
    /// Targets that are not known to be down, and tell something.
    standing: u32,
}

impl Eye {
    /// An eye that has not looked yet.
    pub const fn new(role: Role) -> Eye {
        Eye { role, look: None, silent_since: None, status: Status::Unknown }
    }

    /// When the first of the silent probes since the last answer began; or when others first spoke against it.
    pub const fn silent_since(&self) -> Option<Moment> {
        self.silent_since
    }

    /// Whether it is evidence: not what is known to be down, nor what was not looked at itself when it was last asked about. An
    /// agent's word goes another way, and a place with an agent would otherwise never be silent. A canary need not be well: one that
    /// refuses shows as much as one that accepts.
    fn is_standing(&self) -> bool {
        (self.status != Status::Down || (self.role == Role::Canary && self.sees())) && self.tells()
    }

    /// Whether its last look saw nothing.
    pub fn is_silent(&self) -> bool {
        self.look.is_some_and(|look| matches!(look.saw, Sight::Dark | Sight::Local(_)))
    }

    /// A doubt has ended: until then it was the node that heard nothing.
    pub const fn forgive(&mut self) {
        self.silent_since = None;
    }

    /// Whether its last look saw the target itself.
    pub fn sees(&self) -> bool {
        self.look.is_some_and(|look| look.saw == Sight::Seen)
    }

    fn tells(&self) -> bool {
        self.look.is_none_or(|look| !matches!(look.saw, Sight::Elsewhere | Sight::Hearsay))
    }

    /// Whether it may be evidence once it has looked for the first time.
    fn is_unopened(&self) -> bool {
        self.look.is_none() && self.is_standing()
    }

    /// What it saw last, if that was not too long ago.
    fn fresh(&self, after: Moment) -> Option<Sight> {
        self.look.filter(|look| look.begun >= after).map(|look| look.saw)
    }
}

impl Ground {
    fn is_seen_since(&self, moment: Moment) -> bool {
        self.seen.back().is_some_and(|seen| *seen >= moment)
    }

    /// Whether a probe that began in this span, both ends included, was answered.
    fn is_seen_between(&self, from: Moment, to: Moment) -> bool {
        let at = self.seen.partition_point(|seen| *seen < from);
        self.seen.get(at).is_some_and(|seen| *seen <= to)
    }

    fn see(&mut self, begun: Moment) {
        if self.seen.back().is_none_or(|last| begun.since(*last) >= TOGETHER) {
            self.seen.push_back(begun);
        }
        if self.seen.front().is_some_and(|first| begun.since(*first) > WINDOW_MAX) {
            self.seen.pop_front();
        }
    }
}

impl SelfDoubt {
    /// Takes over a new set of targets; `slowest` is the longest that any of them takes from one result to the next.
    pub fn adopt<'a>(&mut self, eyes: impl Iterator<Item = &'a Eye>, slowest: Duration) {
        self.window = slowest.saturating_add(SLACK).clamp(WINDOW_MIN, WINDOW_MAX);
        (self.grounds, self.canaries) = (Vec::new(), Ground::default());
        // Numbers mean other places now.
        (self.witness, self.silent) = (None, BTreeSet::new());
        let mut answering = BTreeSet::new();
        for eye in eyes {
            let seen = eye.look.filter(|look| look.saw == Sight::Seen).map(|look| look.begun);
            let ground = self.ground(eye.role);
            ground.seen.extend(seen);
            ground.standing += u32::from(eye.is_standing());
            if let Role::Member { place } = eye.role
                && eye.is_standing()
            {
                if eye.is_silent() {
                    self.silent.insert(place);
                } else if eye.sees() {
                    answering.insert(place);
                }
            }
        }
        // Without doubt nobody asks; in doubt these are still silent.
        self.silent.retain(|place| self.suspicion.is_some() && !answering.contains(place));
        for ground in self.grounds.iter_mut().chain([&mut self.canaries]) {
            ground.seen.make_contiguous().sort_unstable();
        }
    }

    fn ground(&mut self, role: Role) -> &mut Ground {
        let Role::Member { place } = role else { return &mut self.canaries };
        let place = place as usize;
        if self.grounds.len() <= place {
            self.grounds.resize_with(place + 1, Ground::default);
        }
        &mut self.grounds[place]
    }

    /// Takes one look of `eye`. Says whether it ends a doubt.
    pub fn handle_look(&mut self, eye: &mut Eye, look: Look, now: Moment) -> Option<DoubtChange> {
        self.change(eye, |eye| eye.look = Some(look));
        match look.saw {
            Sight::Seen => eye.silent_since = None,
            // A node that could not even look has not heard silence.
            Sight::Local(_) => return None,
            Sight::Dark | Sight::Hearsay => {
                // What began in an earlier doubt was not silence of the target.
                if look.begun >= self.void_before {
                    // A program may have begun long before it could not reach the target.
                    eye.silent_since.get_or_insert(if look.saw == Sight::Dark { look.begun } else { now });
                }
                return None;
            }
            Sight::Elsewhere => {
                eye.silent_since = None;
                return None;
            }
        }
        self.ground(eye.role).see(look.begun);
        let since = self.suspicion.as_ref()?.since;
        if !matches!(self.evidence(), Some(Evidence::Canaries { .. } | Evidence::Places { .. })) {
            return None;
        }
        let place = match eye.role {
            Role::Member { place } if self.silent.contains(&place) => Some(place),
            Role::Member { .. } => return None,
            Role::Canary => None,
        };
        // A probe from before the doubt proves nothing of now.
        (look.begun >= since).then(|| {
            self.witness = place;
            self.end(now)
        })
    }

    /// Writes down what is believed of the target of `eye`.
    pub fn handle_status(&mut self, eye: &mut Eye, status: Status) {
        self.change(eye, |eye| eye.status = status);
    }

    /// Changes an eye, and counts it anew.
    fn change(&mut self, eye: &mut Eye, change: impl FnOnce(&mut Eye)) {
        let before = eye.is_standing();
        change(eye);
        match (before, eye.is_standing()) {
            (true, false) => self.ground(eye.role).standing -= 1,
            (false, true) => self.ground(eye.role).standing += 1,
            (true, true) | (false, false) => {}
        }
    }

    /// This node stood still for so long, until now.
    pub const fn handle_standstill(&mut self, lasted: Duration, now: Moment) {
        self.late = Some((now, lasted));
    }

    /// Whether a look that is silent, or hearsay, counts at all: not while the node doubts itself, nor if the probe began before it stopped to.
    pub fn counts(&self, look: Look) -> bool {
        self.suspicion.is_none() && look.begun >= self.void_before
    }

    /// Whether a target that falls silent, or of which others speak so, may be believed to be dead now.
    ///
    /// Yes as soon as enough was seen since its silence began that the rest cannot make this node blind any more; at last
    /// when a look at it began after everything was looked at since, which is the window: then either the node doubts itself, or it knows.
    pub fn believes(&self, eye: &Eye) -> bool {
        let (Some(since), Some(last)) = (eye.silent_since, eye.look) else { return true };
        if self.suspicion.is_some() {
            return false;
        }
        let is_seen = |ground: &Ground| ground.is_seen_between(since, last.begun);
        if last.begun.since(since) > self.window || (self.canaries.standing > 0 && is_seen(&self.canaries)) {
            return true;
        }
        let is_witnessed = self.witness.is_some_and(|place| is_seen(&self.grounds[place as usize]));
        let standing = || self.grounds.iter().filter(|ground| ground.standing > 0);
        let seen = standing().filter(|ground| is_seen(ground)).count();
        let unseen = standing().count() - seen;
        let canaries = self.canaries.standing as usize;
        is_witnessed || !(Tally { silent: unseen, seen, canaries }).is_blindness()
    }

    /// Whether a look at the target of `eye` would tell more about silence that began at `since`: nothing was seen where it stands,
    /// and it was not looked at either.
    pub fn would_tell(&self, eye: &Eye, since: Moment) -> bool {
        let ground = match eye.role {
            Role::Member { place } => &self.grounds[place as usize],
            Role::Canary => &self.canaries,
        };
        eye.is_standing() && !ground.is_seen_since(since) && eye.look.is_none_or(|look| look.begun < since)
    }

    /// Thinks anew: called once in a while, and whenever silence was not believed.
    pub fn reflect<'a>(&mut self, eyes: impl Iterator<Item = &'a Eye> + Clone, now: Moment) -> Option<DoubtChange> {
        // What a new config brought and nobody has looked at yet is no sign of sight.
        let is_open = self.suspicion.is_some() && eyes.clone().any(Eye::is_unopened);
        let (evidence, silent) = self.weigh(eyes, now);
        match (evidence, self.suspicion.is_some()) {
            (Some(evidence), false) => {
                (self.silent, self.witness) = (silent, None);
                self.suspicion = Some(Suspicion { since: now, evidence: evidence.clone() });
                Some(DoubtChange::Begun(evidence))
            }
            (Some(evidence), true) => {
                // More may fall silent, or the reason change: the newest is what people should read.
                self.silent.extend(silent);
                if let Some(suspicion) = &mut self.suspicion {
                    suspicion.evidence = evidence;
                }
                None
            }
            (None, true) if !is_open => Some(self.end(now)),
            (None, true | false) => None,
        }
    }

    fn end(&mut self, now: Moment) -> DoubtChange {
        let lasted = self.suspicion.take().map_or(Duration::ZERO, |suspicion| now.since(suspicion.since));
        self.silent.clear();
        self.void_before = now;
        DoubtChange::Ended(lasted)
    }

    /// How many places there are.
    pub fn places(&self) -> usize {
        self.grounds.len()
    }

    /// The doubt, while it lasts.
    pub const fn suspicion(&self) -> Option<&Suspicion> {
        self.suspicion.as_ref()
    }

    fn evidence(&self) -> Option<&Evidence> {
        self.suspicion.as_ref().map(|suspicion| &suspicion.evidence)
    }

    /// The strongest evidence there is, and the places that are silent.
    fn weigh<'a>(&self, eyes: impl Iterator<Item = &'a Eye> + Clone, now: Moment) -> (Option<Evidence>, BTreeSet<u32>) {
        let after = Moment::from_nanos(now.as_nanos().saturating_sub(nanos(self.window))).max(self.void_before);
        let (mut silent, seen) = self.silent_and_seen(eyes.clone(), after);
        // Where targets are probed less often than looks tell something, nobody may have looked of late: no sign of sight.
        if let Some(Suspicion { since, .. }) = self.suspicion {
            let is_open = |ground: &Ground| ground.standing > 0 && !ground.is_seen_since(since);
            silent.extend(self.silent.iter().filter(|place| is_open(&self.grounds[**place as usize])));
        }
        let canaries = eyes.clone().filter(|eye| eye.role == Role::Canary && eye.is_standing());
        let canary_looks: Vec<Option<Sight>> = canaries.map(|eye| eye.fresh(after)).collect();
        let silent_canaries = canary_looks.iter().filter(|look| look.is_some_and(|saw| saw != Sight::Seen)).count();
        let all_canaries = silent_canaries == canary_looks.len();
        let tally = Tally { silent: silent.len(), seen, canaries: if all_canaries { silent_canaries } else { 0 } };
        let is_witnessed = self.witness.is_some_and(|place| !silent.contains(&place));
        let evidence = if let Some(local) = local(eyes, after) {
            Some(local)
        } else if let Some((_, by)) = self.late.filter(|(when, _)| *when >= after) {
            Some(Evidence::Late { by })
        } else if tally.canaries_tell() {
            Some(Evidence::Canaries { silent: silent_canaries })
        } else if all_canaries && tally.places_tell() && !is_witnessed {
            Some(Evidence::Places { silent: silent.len(), seen })
        } else {
            None
        };
        (evidence, silent)
    }

    /// The places all of whose targets are silent, and how many places are seen.
    fn silent_and_seen<'a>(&self, eyes: impl Iterator<Item = &'a Eye>, after: Moment) -> (BTreeSet<u32>, usize) {
        let mut looked: Vec<(u32, u32)> = vec![(0, 0); self.grounds.len()];
        for eye in eyes.filter(|eye| eye.is_standing()) {
            let Role::Member { place } = eye.role else { continue };
            match eye.fresh(after) {
                Some(Sight::Seen) => looked[place as usize].0 += 1,
                Some(Sight::Dark | Sight::Local(_)) => looked[place as usize].1 += 1,
                // What tells nothing does not stand.
                Some(Sight::Elsewhere | Sight::Hearsay) | None => {}
            }
        }
        let all = looked.iter().zip(&self.grounds).zip(0u32..);
        let silent = all.filter(|((looked, ground), _)| looked.1 > 0 && looked.1 == ground.standing).map(|(_, place)| place);
        (silent.collect(), looked.iter().filter(|(seen, _)| *seen > 0).count())
    }
}

/// Most probes could not be made. Of targets that were known before: what never could be probed, such as IPv6 members of a node
/// without IPv6, says nothing about now. All of them, when nothing is known yet.
fn local<'a>(eyes: impl Iterator<Item = &'a Eye> + Clone, after: Moment) -> Option<Evidence> {
    let telling = eyes.filter(|eye| eye.tells());
    let is_anything_known = telling.clone().any(|eye| eye.status != Status::Unknown);
    let counted = telling.filter(|eye| !is_anything_known || eye.status != Status::Unknown);
    let (mut blind, mut of, mut reason) = (0, 0, None);
    for eye in counted {
        of += 1;
        if let Some(Sight::Local(doubt)) = eye.fresh(after) {
            blind += 1;
            reason = Some(doubt);
        }
    }
    reason.filter(|_| blind * 2 > of).map(|doubt| Evidence::Local { blind, of, doubt })
}

/// Who is silent and who is seen.
#[derive(Clone, Copy)]
struct Tally {
    silent: usize,
    seen: usize,
    /// Silent canaries, when all of them are silent.
    canaries: usize,
}

impl Tally {
    fn is_blindness(self) -> bool {
        self.canaries_tell() || self.places_tell()
    }

    /// Canaries are few and may die, too: they tell only while they are not outvoted by places that are seen.
    fn canaries_tell(self) -> bool {
        self.canaries > 0 && self.silent > 0 && self.silent + self.canaries > self.seen
    }

    /// Three independent places do not die in one moment while most others live; this node's uplink does.
    fn places_tell(self) -> bool {
        self.silent >= PLACES_MIN && self.silent + self.canaries > self.seen
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Canaries { silent: 1 } => f.write_str("the canary is silent"),
            Evidence::Canaries { silent } => write!(f, "all {silent} canaries are silent"),
            Evidence::Places { silent, seen: 0 } => write!(f, "all targets of all {silent} places are silent"),
            Evidence::Places { silent, seen } => {
                write!(
                    f,
                    "all targets of {silent} places are silent, and only {seen} other{} seen",
                    if *seen == 1 { " is" } else { "s are" }
                )
            }
            Evidence::Local { blind, of, doubt } => write!(f, "{blind} of {of} targets cannot be probed: {doubt}"),
            Evidence::Late { by } => write!(f, "probes are made late, by up to {:.1} s", by.as_secs_f64()),
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Places that must be silent at once. Two sites of one owner do die together: a shared provider, a bad roll-out.
const PLACES_MIN: usize = 3;

/// A look says something for at least so long: two rounds of the usual monitor.
const WINDOW_MIN: Duration = Duration::from_secs(10);

/// No dead member waits longer than this for silence to be believed, however slowly others are probed.
const WINDOW_MAX: Duration = Duration::from_mins(1);

/// Answered probes that began within this are one sight: four a second tell enough, and bound what is remembered of a place.
const TOGETHER: Duration = Duration::from_millis(250);

/// What a result may take beyond its timeout until it is counted.
const SLACK: Duration = Duration::from_secs(1);
