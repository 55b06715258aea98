//! A pool, prepared for queries each time its health changes.
//!
//! The config's [`Pool`] and one [`Judgement`] (or plain verdict) per member and family enter [`PoolView::prepare`]; what leaves is everything a
//! query needs, already sorted out: who may be answered, with what share, how fit the pool is and how soon that may
//! change. Knows no client, and does not remember more than the last sets that were not empty.

use super::choose::Shares;
use super::judgement::{Judgement, SHARE_WHOLE_PERMILLE, Standing};
use super::{Choose, Health, Member, MinHealthy, Pool, Rank};
use crate::prefetch::prefetch_one;
use crate::prefix::Family;
use crate::rng::Dice;
use std::fmt;
use std::mem::offset_of;
use std::net::IpAddr;
use std::ops::Deref;
use std::time::Duration;

/// A pool as queries read it: a pure function of the pool and its verdicts.
///
/// Of thousands of pools few are in the nearest cache, so what a query reads lies in one line of it: the first for IPv4, one more
/// for IPv6. Aligned, so that the count of its references, which changes whenever any pool is published, lies in another line.
#[derive(Clone, PartialEq, Debug)]
#[repr(C, align(64))]
pub struct PoolView {
    /// How members are chosen.
    pub choose: Choose,
    /// How fit the pool is with its families folded: a member counts that is usable in any of them. What people are shown,
    /// and what stands for a family that no member has.
    pub grade: Grade,
    /// How many members an answer holds at most.
    pub pick: u16,
    /// How soon a better grade, or another member, could come back in any family, in seconds; `u32::MAX` when nothing is down.
    pub recovers_s: u32,
    /// Mean connect time of the usable members, where known; rounded to 0.1 ms.
    pub latency: Option<Duration>,
    /// By [`crate::prefix::Family::index`].
    pub families: [FamilyView; 2],
}

// All that a query for IPv4 reads; `configured` is the last of it.
const _: () = assert!(offset_of!(PoolView, families) + offset_of!(FamilyView, configured) < align_of::<PoolView>());

/// The usable members of one family.
#[derive(Clone, PartialEq, Debug)]
#[repr(C)]
pub struct FamilyView {
    /// In config order; standbys only when nothing else is usable.
    pub usable: Roster,
    /// How soon another member could join the usable ones of this family, in seconds; `u32::MAX` when none can.
    pub recovers_s: u32,
    /// How fit the pool is for clients of this family, measured on the members that have it.
    pub grade: Grade,
    /// Whether any member of the pool has an address of this family at all.
    pub configured: bool,
    /// All members of the family as if they were up, for `serve_all`: disabled ones excepted, standbys only when there is
    /// nothing else.
    pub all: Roster,
    /// The last non-empty usable set, for `last_known`.
    pub last_known: Roster,
}

/// Members that may be answered, with the share of each worked out. Reads as a slice of [`Usable`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Roster {
    members: Box<[Usable]>,
    /// One share per member.
    shares: Shares,
}

/// A member that may be answered now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usable {
    /// Its index in the pool's members.
    pub member: u16,
    /// What goes into the record.
    pub addr: IpAddr,
    /// How long the belief in it holds, in seconds, rounded down; `u32::MAX` when nothing can change it.
    pub holds_s: u32,
    /// Its configured weight.
    pub weight: u32,
}

/// How fit a node is. Ordered: better is greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grade {
    /// Nothing usable.
    Empty,
    /// Nothing usable but what a protection keeps though it seems dead, or was taken out.
    Kept,
    /// Some usable, but less than `min_healthy`.
    Degraded,
    /// As much usable as `min_healthy` asks for.
    Healthy,
}

impl PoolView {
    /// Prepares a pool. `verdicts` has one verdict per member and family, in member order; `before` is the view that
    /// this one replaces, whose last non-empty usable sets are carried over.
    pub fn prepare<J: Copy + Into<Judgement>>(pool: &Pool, verdicts: &[[J; 2]], before: Option<&PoolView>) -> PoolView {
        debug_assert_eq!(pool.members.len(), verdicts.len(), "every member has a verdict");
        let judgements: Vec<[Judgement; 2]> = verdicts.iter().map(|both| both.map(Into::into)).collect();
        let families = Family::BOTH.map(|family| {
            let last_known = before.map(|view| &view.family(family).last_known);
            FamilyView::prepare(pool.min_healthy, &entries(pool, &judgements, family), last_known)
        });
        let (shares, serving) = shares(pool, &judgements);
        PoolView {
            choose: pool.choose,
            pick: pool.pick,
            grade: grade(&shares, serving, pool.min_healthy),
            recovers_s: recovers_s(&shares),
            latency: mean_latency(&families, &judgements),
            families,
        }
    }

    /// How fit the pool is for a client of `family`, and how soon it could be fitter, in seconds.
    ///
    /// A pool of which no member has the family is as fit as its other family is: that it is chosen, and then denies the
    /// family, must not depend on who asks for what.
    pub(super) fn fitness(&self, family: Family, health: Health) -> (Grade, u32) {
        let view = self.family(family);
        match health {
            Health::Live if view.configured => (view.grade, view.recovers_s),
            Health::Live => (self.grade, self.recovers_s),
            Health::Ignored | Health::LastKnown => {
                let counted = if view.configured { std::slice::from_ref(view) } else { &self.families[..] };
                let nobody = counted.iter().all(|family| family.roster(health).is_empty());
                (if nobody { Grade::Empty } else { Grade::Healthy }, self.recovers_s)
            }
        }
    }

    /// Sends for what a query of `family` reads first.
    pub fn anticipate(&self, family: Family) {
        prefetch_one(self);
        prefetch_one(self.family(family));
    }

    /// Sends for what that leads to.
    pub fn anticipate_members(&self, family: Family) {
        self.family(family).usable.anticipate();
    }

    /// What is known of one family.
    pub fn family(&self, family: Family) -> &FamilyView {
        &self.families[family.index()]
    }

    /// Makes the members of `pool` that `was_usable` names the last known ones of `family`: what a state file says, or
    /// the view that an older config's pool of this name had. Does nothing while a member of the family is usable, since
    /// that is fresher, or when no such member is left.
    pub fn recall(&mut self, pool: &Pool, family: Family, was_usable: impl Fn(&str) -> bool) {
        let view = &mut self.families[family.index()];
        let named = addresses(pool, family).filter(|(_, member, _)| was_usable(&member.name));
        let recalled: Vec<Usable> =
            named.map(|(index, member, addr)| Usable { member: index, addr, holds_s: 0, weight: member.weight }).collect();
        if view.usable.is_empty() && !recalled.is_empty() {
            view.last_known = Roster::on_duty(recalled);
        }
    }
}

impl FamilyView {
    /// The members that count under `health`.
    pub fn roster(&self, health: Health) -> &Roster {
        match health {
            Health::Live => &self.usable,
            Health::Ignored => &self.all,
            Health::LastKnown => &self.last_known,
        }
    }

    fn prepare(min_healthy: MinHealthy, entries: &[(Usable, Judgement)], before: Option<&Roster>) -> FamilyView {
        let serving = serving(entries.iter().map(|(_, judgement)| judgement));
        let usable = Roster::drawn(entries.iter().filter(|(_, judgement)| judgement.serves(serving)).copied().collect());
        let standing_in = usable.is_standing_in();
        let unfit = entries.iter().filter(|(usable, judgement)| !judgement.is_fit(serving) && (usable.weight > 0 || standing_in));
        let is_allowed = |member: u16| entries.iter().any(|(usable, judgement)| usable.member == member && !judgement.barred);
        let remembered = || before.map(|before| before.iter().filter(|usable| is_allowed(usable.member)).copied().collect());
        FamilyView {
            configured: !entries.is_empty(),
            grade: grade(&shares_of_one(entries, serving), serving, min_healthy),
            all: Roster::on_duty(entries.iter().filter(|(_, judgement)| !judgement.barred).map(|(usable, _)| *usable).collect()),
            last_known: if usable.is_empty() { remembered().map(Roster::on_duty).unwrap_or_default() } else { usable.clone() },
            recovers_s: unfit.map(|(_, judgement)| whole_seconds(judgement.joins_in())).min().unwrap_or(u32::MAX),
            usable,
        }
    }
}

impl Roster {
    /// Those of `members` who are on duty: standbys only when there is nobody else.
    fn on_duty(mut members: Vec<Usable>) -> Roster {
        if members.iter().any(|usable| usable.weight > 0) {
            members.retain(|usable| usable.weight > 0);
        }
        let shares = Shares::of(members.iter().map(|usable| usable.weight));
        Roster { members: members.into(), shares }
    }

    /// Those on duty, each with the share that is its own now: whoever is late comes last.
    fn drawn(mut members: Vec<(Usable, Judgement)>) -> Roster {
        if members.iter().all(|(_, judgement)| judgement.permille() == SHARE_WHOLE_PERMILLE && judgement.rank != Rank::Late) {
            return Roster::on_duty(members.into_iter().map(|(usable, _)| usable).collect());
        }
        if members.iter().any(|(usable, _)| usable.weight > 0) {
            members.retain(|(usable, _)| usable.weight > 0);
        }
        members.sort_by_key(|(_, judgement)| judgement.rank == Rank::Late);
        let even = members.iter().all(|(usable, _)| usable.weight == 0);
        let weight = |(usable, judgement): &(Usable, Judgement)| {
            // A million times a thousand is less than 2^30.
            (if even { 1 } else { usable.weight }) * u32::from(judgement.permille())
        };
        let shares = Shares::of(members.iter().map(weight));
        Roster { members: members.into_iter().map(|(usable, _)| usable).collect(), shares }
    }

    /// Sends for the members, as far as they are few.
    fn anticipate(&self) {
        self.shares.anticipate();
        self.members.iter().take(FEW).for_each(prefetch_one);
    }

    /// Whether nobody with a positive weight is on duty, so that such a member's return would change the set.
    pub(super) fn is_standing_in(&self) -> bool {
        self.first().is_none_or(|usable| usable.weight == 0)
    }

    /// Hands at most `count` members to `each`, in the order of the answer. Does not allocate.
    pub(super) fn choose(&self, how: Choose, count: usize, dice: Dice, mut each: impl FnMut(&Usable)) {
        self.shares.choose(how, count, dice, |position| each(&self.members[position]));
    }

    /// The chance of the member at `position`, in parts per million; for a weighted choice that of the first draw.
    pub fn chance_ppm(&self, how: Choose, count: usize, position: usize) -> u32 {
        self.shares.chance_ppm(how, count, position)
    }
}

impl Deref for Roster {
    type Target = [Usable];
    fn deref(&self) -> &[Usable] {
        &self.members
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grade::Empty => "empty",
            Grade::Kept => "kept",
            Grade::Degraded => "degraded",
            Grade::Healthy => "healthy",
        })
    }
}

/// As many members as most pools have. Of more than these each has little chance to be the one.
const FEW: usize = 4;

//--- One family

/// The members that have an address of `family` and are not disabled, in config order.
fn addresses(pool: &Pool, family: Family) -> impl Iterator<Item = (u16, &Member, IpAddr)> {
    let members = pool.members.iter().zip(0u16..).filter(|(member, _)| !member.disabled);
    members.filter_map(move |(member, index)| Some((index, member, member.addresses[family.index()]?)))
}

fn entries(pool: &Pool, judgements: &[[Judgement; 2]], family: Family) -> Vec<(Usable, Judgement)> {
    let entry = |(index, member, addr): (u16, &Member, IpAddr)| {
        let judgement = judgements[usize::from(index)][family.index()];
        (Usable { member: index, addr, holds_s: whole_seconds(judgement.holds()), weight: member.weight }, judgement)
    };
    addresses(pool, family).map(entry).collect()
}

/// The standing that makes usable: up; if nobody is, up but held back; if nobody is, unknown; never down, unless a protection says so.
fn serving<'a>(judgements: impl Iterator<Item = &'a Judgement>) -> Option<Standing> {
    judgements.map(Judgement::standing).min().filter(|standing| *standing != Standing::Out)
}

//--- Grades

/// A member that is not disabled: in one family, or with its families folded.
struct Share {
    /// Its share of what `min_healthy` measures; 1 for everybody in a pool of standbys only.
    weight: u64,
    /// Whether it is usable, and should be; with families folded, in at least one of them.
    usable: bool,
    /// How soon it could serve, while it does not.
    joins_s: u32,
}

/// The members of one family.
fn shares_of_one(entries: &[(Usable, Judgement)], serving: Option<Standing>) -> Vec<Share> {
    let only_standbys = entries.iter().all(|(usable, _)| usable.weight == 0);
    let share = |(usable, judgement): &(Usable, Judgement)| Share {
        weight: if only_standbys { 1 } else { u64::from(usable.weight) },
        usable: judgement.is_fit(serving),
        joins_s: whole_seconds(judgement.joins_in()),
    };
    entries.iter().map(share).collect()
}

/// All members, their families folded, and the standing that makes usable among them.
fn shares(pool: &Pool, judgements: &[[Judgement; 2]]) -> (Vec<Share>, Option<Standing>) {
    let members = || pool.members.iter().zip(judgements).filter(|(member, _)| !member.disabled);
    let only_standbys = members().all(|(member, _)| member.weight == 0);
    let serving = serving(members().flat_map(|(member, both)| of_addresses(member, both)));
    let share = |(member, both): (&Member, &[Judgement; 2])| Share {
        weight: if only_standbys { 1 } else { u64::from(member.weight) },
        usable: of_addresses(member, both).any(|judgement| judgement.is_fit(serving)),
        joins_s: of_addresses(member, both).map(|judgement| whole_seconds(judgement.joins_in())).min().unwrap_or(u32::MAX),
    };
    (members().map(share).collect(), serving)
}

/// The judgements on those addresses that the member has.
fn of_addresses<'a>(member: &'a Member, both: &'a [Judgement; 2]) -> impl Iterator<Item = &'a Judgement> {
    member.addresses.iter().zip(both).filter_map(|(addr, judgement)| addr.map(|_| judgement))
}

/// | usable                        | grade    |
/// |-------------------------------|----------|
/// | nobody                        | empty    |
/// | those kept only               | kept     |
/// | standbys only                 | degraded |
/// | less than `min_healthy` asks  | degraded |
/// | those held back only          | degraded |
/// | as much as it asks, or more   | healthy  |
fn grade(shares: &[Share], serving: Option<Standing>, min_healthy: MinHealthy) -> Grade {
    match serving {
        None | Some(Standing::Out) => return Grade::Empty,
        Some(Standing::Kept) => return Grade::Kept,
        Some(Standing::HeldBack) => return Grade::Degraded,
        Some(Standing::Up | Standing::Unknown) => (),
    }
    let usable = || shares.iter().filter(|member| member.usable);
    let in_turn = usable().filter(|member| member.weight > 0).count() as u64;
    let enough = match min_healthy {
        MinHealthy::Percent(percent) => {
            let configured: u64 = shares.iter().map(|member| member.weight).sum();
            let usable: u64 = usable().map(|member| member.weight).sum();
            usable >= (configured * u64::from(percent)).div_ceil(100)
        }
        MinHealthy::Count(members) => in_turn >= u64::from(members),
    };
    if in_turn > 0 && enough { Grade::Healthy } else { Grade::Degraded }
}

/// How soon an unusable member could come back. A standby counts only while nobody else serves: until then its return
/// changes nothing.
fn recovers_s(shares: &[Share]) -> u32 {
    let standing_in = !shares.iter().any(|member| member.usable && member.weight > 0);
    let unfit = shares.iter().filter(|member| !member.usable && (member.weight > 0 || standing_in));
    unfit.map(|member| member.joins_s).min().unwrap_or(u32::MAX)
}

/// A plain mean: clients are spread by weight, but the question here is how far away the pool is.
fn mean_latency(families: &[FamilyView; 2], judgements: &[[Judgement; 2]]) -> Option<Duration> {
    let of_family = |family: Family| {
        let usable = families[family.index()].usable.iter();
        usable.filter_map(move |usable| judgements[usize::from(usable.member)][family.index()].verdict.latency)
    };
    let known = || Family::BOTH.into_iter().flat_map(of_family);
    let sum: u128 = known().map(|latency| latency.as_nanos()).sum();
    let mean = sum.checked_div(known().count() as u128)?;
    let steps = (mean + LATENCY_STEP_NS / 2) / LATENCY_STEP_NS;
    Some(Duration::from_nanos(u64::try_from(steps * LATENCY_STEP_NS).unwrap_or(u64::MAX)))
}

/// 0.1 ms: finer differences are noise, and would make a new view of every observation.
const LATENCY_STEP_NS: u128 = 100_000;

fn whole_seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, pool, view};
    use super::*;

    fn members(roster: &Roster) -> Vec<u16> {
        roster.iter().map(|usable| usable.member).collect()
    }

    fn usable(text: &str) -> [Vec<u16>; 2] {
        view(text).families.map(|family| members(&family.usable))
    }

    #[test]
    fn whom_a_protection_keeps_is_answered_beside_whoever_lives_and_makes_its_pool_no_fitter() {
        let keep = |text, kept: &[usize]| judged(text, |index, judgement| judgement.kept = kept.contains(&index));
        for (members_of, kept, usable, expected) in [
            ("down@7 down@9", vec![1], vec![1], Grade::Kept),
            ("down@7 down@9 up", vec![1], vec![1, 2], Grade::Degraded),
            ("down@7 up up", vec![0], vec![0, 1, 2], Grade::Healthy),
            ("down@7 unknown", vec![0], vec![0, 1], Grade::Healthy),
            ("down@7/4 up/6", vec![0], vec![0], Grade::Kept),
        ] {
            let view = keep(members_of, &kept);
            let family = view.family(Family::V4);
            assert_eq!((members(&family.usable), family.grade), (usable, expected), "{members_of}");
        }
        let view = keep("down@7 down@9", &[1]);
        let family = view.family(Family::V4);
        assert_eq!((family.usable[0].holds_s, family.recovers_s, view.grade, view.recovers_s), (0, 7, Grade::Kept, 7));
        let held_back = judged("up down", |index, judgement| {
            (judgement.kept, judgement.rank) = (index == 1, Rank::HeldBack { released_in: Duration::MAX });
        });
        assert_eq!(members(&held_back.family(Family::V4).usable), [0, 1], "who waits to be let back lives");
    }

    #[test]
    fn usable_are_those_up_then_those_unknown_and_never_those_down() {
        assert_eq!(usable("up down unknown"), [vec![0], vec![0]]);
        assert_eq!(usable("down unknown down unknown"), [vec![1, 3], vec![1, 3]]);
        assert_eq!(usable("down down"), [Vec::<u16>::new(), Vec::new()]);
    }

    #[test]
    fn a_family_is_sorted_out_for_itself() {
        assert_eq!(usable("up/4 unknown/6 down/6"), [vec![0], vec![1]]);
        assert_eq!(usable("up/4 down/6"), [vec![0], vec![]]);
        let one_family = view("up/4 up/4");
        assert!(one_family.family(Family::V4).configured && !one_family.family(Family::V6).configured);
    }

    #[test]
    fn each_family_has_a_grade_of_its_own_and_one_without_members_borrows_the_other() {
        use Grade::{Degraded, Empty, Healthy};
        for (members, expected) in [
            ("up up", [Healthy, Healthy]),
            ("up/4 down/6", [Healthy, Empty]),
            ("up/4 up/4 up/4 down/6", [Healthy, Empty]),
            ("up/4 down/6 down/6 up/6", [Healthy, Degraded]),
            ("up/4 up/4", [Healthy, Healthy]),
            ("down/4 down/4", [Empty, Empty]),
        ] {
            let view = view(members);
            assert_eq!(Family::BOTH.map(|family| view.fitness(family, Health::Live).0), expected, "{members}");
        }
    }

    #[test]
    fn standbys_serve_only_when_nobody_else_does() {
        assert_eq!(usable("up*0 up*3"), [vec![1], vec![1]]);
        assert_eq!(usable("up*0 down*3 up*0"), [vec![0, 2], vec![0, 2]]);
        assert_eq!(usable("up*0 up*3/4"), [vec![1], vec![0]]);
    }

    /// A view of a pool whose members were judged further.
    fn judged(text: &str, judge: impl Fn(usize, &mut Judgement)) -> PoolView {
        let (pool, verdicts) = pool(text);
        let mut judgements: Vec<[Judgement; 2]> = verdicts.iter().map(|both| both.map(Judgement::from)).collect();
        judgements.iter_mut().enumerate().for_each(|(index, both)| both.iter_mut().for_each(|judgement| judge(index, judgement)));
        PoolView::prepare(&pool, &judgements, None)
    }

    #[test]
    fn those_held_back_serve_when_nobody_else_is_up_and_leave_their_pool_degraded() {
        let hold = |which: usize| {
            move |index: usize, judgement: &mut Judgement| {
                if index == which {
                    judgement.rank = Rank::HeldBack { released_in: Duration::from_mins(1) };
                }
            }
        };
        let view = judged("up@15 up@20", hold(0));
        assert_eq!((members(&view.families[0].usable), view.grade, view.recovers_s), (vec![1], Grade::Healthy, 60));
        let view = judged("up@15 down@20 unknown", hold(0));
        assert_eq!((members(&view.families[0].usable), view.grade), (vec![0], Grade::Degraded));
        assert_eq!(view.families[0].usable[0].holds_s, 15);
        let view = judged("down@15 unknown", hold(0));
        assert_eq!(members(&view.families[0].usable), [1], "what is down is not held back but down");
    }

    #[test]
    fn those_that_are_late_come_last_with_a_tenth_of_their_share_and_those_that_return_with_what_they_have() {
        let view = judged("up up up", |index, judgement| {
            if index == 0 {
                judgement.rank = Rank::Late;
            }
        });
        let roster = &view.families[0].usable;
        assert_eq!(members(roster), [1, 2, 0]);
        let chances = |roster: &Roster| (0..roster.len()).map(|at| roster.chance_ppm(Choose::Weighted, 1, at)).collect::<Vec<_>>();
        assert_eq!(chances(roster), [476_190, 476_190, 47_619]);
        assert_eq!(view.grade, Grade::Healthy);
        let view = judged("up up*3", |index, judgement| judgement.share_permille = if index == 0 { 500 } else { 1000 });
        assert_eq!(chances(&view.families[0].usable), [142_857, 857_142]);
        assert_eq!(view.families[0].usable[0].weight, 1, "the weight stays what the config says");
    }

    #[test]
    fn who_is_barred_is_answered_by_no_last_resort_either() {
        let (pool, verdicts) = pool("up up");
        let before = PoolView::prepare(&pool, &verdicts, None);
        let mut judgements: Vec<[Judgement; 2]> = verdicts.iter().map(|both| both.map(Judgement::from)).collect();
        for judgement in &mut judgements[0] {
            judgement.barred = true;
        }
        for judgement in &mut judgements[1] {
            judgement.verdict = crate::health::Verdict::DISABLED;
        }
        let view = PoolView::prepare(&pool, &judgements, Some(&before));
        let family = &view.families[0];
        assert_eq!((view.grade, family.configured), (Grade::Empty, true));
        assert_eq!((members(&family.all), members(&family.last_known)), (vec![1], vec![1]));
    }

    #[test]
    fn disabled_members_are_never_there() {
        let view = view("off up off");
        assert_eq!(members(&view.family(Family::V4).usable), [1]);
        assert_eq!(members(&view.family(Family::V4).all), [1]);
        assert!(!testing::view("off off").family(Family::V4).configured);
    }

    #[test]
    fn all_ignores_health_but_not_standby() {
        let view = view("down*2 up unknown up*0");
        assert_eq!(members(&view.family(Family::V4).all), [0, 1, 2]);
        assert_eq!(members(&testing::view("down*0 up*0").family(Family::V4).all), [0, 1]);
    }

    #[test]
    fn the_grade_follows_the_usable_weight_and_rounds_the_need_up() {
        use Grade::{Degraded, Empty, Healthy};
        for (members, percent, expected) in [
            ("up up", 50, Healthy),
            ("up down", 50, Healthy),
            ("up down down", 50, Degraded),
            ("up*3 down*4", 50, Degraded),
            ("up*4 down*3", 50, Healthy),
            ("up*4 down*4", 51, Degraded),
            ("up down", 100, Degraded),
            ("up down down down", 0, Healthy),
            ("down down", 0, Empty),
            ("up off off off", 100, Healthy),
            ("off off", 50, Empty),
            ("unknown unknown", 100, Healthy),
            ("unknown up", 100, Degraded),
            ("unknown down", 100, Degraded),
            ("up*0 down", 0, Degraded),
            ("up*0 up", 100, Healthy),
            ("up*0 down*0", 50, Healthy),
            ("up*0 down*0 down*0", 50, Degraded),
            ("up*0 down*0 off*9", 50, Healthy),
            ("up/4 down/6", 50, Healthy),
            ("up/4 up/6 up", 100, Healthy),
            ("up/4 unknown/6", 100, Degraded),
        ] {
            let (mut pool, verdicts) = pool(members);
            pool.min_healthy = MinHealthy::Percent(percent);
            assert_eq!(PoolView::prepare(&pool, &verdicts, None).grade, expected, "{members} at {percent}%");
        }
    }

    #[test]
    fn the_grade_can_follow_a_count_of_members() {
        use Grade::{Degraded, Empty, Healthy};
        for (members, count, expected) in [
            ("up*9 down down", 2, Degraded),
            ("up up down", 2, Healthy),
            ("up up down", 3, Degraded),
            ("up down", 0, Healthy),
            ("down down", 0, Empty),
            ("up*0 up*0 down", 1, Degraded),
            ("up*0 up*0 up", 2, Degraded),
        ] {
            let (mut pool, verdicts) = pool(members);
            pool.min_healthy = MinHealthy::Count(count);
            assert_eq!(PoolView::prepare(&pool, &verdicts, None).grade, expected, "{members} at {count}");
        }
    }

    #[test]
    fn the_heaviest_pool_does_not_overflow() {
        let (mut pool, mut verdicts) = pool("up*1000000");
        pool.members = vec![pool.members[0].clone(); 65_535];
        verdicts = vec![verdicts[0]; 65_535];
        pool.min_healthy = MinHealthy::Percent(100);
        let view = PoolView::prepare(&pool, &verdicts, None);
        assert_eq!((view.grade, view.family(Family::V6).usable.len()), (Grade::Healthy, 65_535));
    }

    #[test]
    fn a_pool_recovers_when_the_first_of_its_unusable_members_may() {
        assert_eq!(view("up@15 down@10 down@20").recovers_s, 10);
        assert_eq!(view("up@15 up@3").recovers_s, u32::MAX);
        assert_eq!(view("up@15 unknown").recovers_s, 0);
        assert_eq!(view("up@15 down@10 down*0@1").recovers_s, 10, "a standby's return changes nothing");
        assert_eq!(view("up*0@15 down@10").recovers_s, 10, "a standby serves until then");
        assert_eq!(view("down*0@4 down@10").recovers_s, 4);
        assert_eq!(view("off down").recovers_s, u32::MAX, "down for good");
    }

    #[test]
    fn a_family_recovers_for_itself() {
        let view = view("up@15 down@10/6 down@5/4 down*0@1");
        assert_eq!([view.families[0].recovers_s, view.families[1].recovers_s], [5, 10]);
    }

    #[test]
    fn latency_is_the_mean_of_the_usable_to_a_tenth_of_a_millisecond() {
        let (pool, mut verdicts) = pool("up/4 up/4 down/4 up/4");
        verdicts[0][0].latency = Some(Duration::from_millis(10));
        verdicts[1][0].latency = Some(Duration::from_micros(10_110));
        verdicts[2][0].latency = Some(Duration::from_secs(9));
        let view = PoolView::prepare(&pool, &verdicts, None);
        assert_eq!(view.latency, Some(Duration::from_micros(10_100)));
        assert_eq!(testing::view("up").latency, None);
    }

    #[test]
    fn the_last_usable_set_outlives_any_number_of_empty_views() {
        let before = view("up down up");
        let (pool, verdicts) = pool("down down down");
        let empty = PoolView::prepare(&pool, &verdicts, Some(&before));
        let still = PoolView::prepare(&pool, &verdicts, Some(&empty));
        assert!(still.family(Family::V4).usable.is_empty());
        assert_eq!(members(&still.family(Family::V4).last_known), [0, 2]);
        let (pool, verdicts) = testing::pool("down up down");
        let back = PoolView::prepare(&pool, &verdicts, Some(&still));
        assert_eq!(members(&back.family(Family::V4).last_known), [1]);
    }

    #[test]
    fn what_a_state_file_says_counts_only_where_nothing_is_usable() {
        let (pool, verdicts) = pool("down up/6 down");
        let mut view = PoolView::prepare(&pool, &verdicts, None);
        for family in Family::BOTH {
            view.recall(&pool, family, |name| name == "m2");
        }
        assert_eq!(members(&view.families[0].last_known), [2]);
        assert_eq!(members(&view.families[1].last_known), [1]);
        view.recall(&pool, Family::V4, |_| false);
        assert_eq!(members(&view.families[0].last_known), [2], "names that are gone recall nothing");
    }
}
