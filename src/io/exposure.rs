//! For how long clients are sent to the dead: how soon a death is noticed, and what was handed out of the dead member by then.
//!
//! In come, a few times a second, the sums of what was handed out by pool; and deaths, each with the start of the first probe of the
//! failing run. Out go a histogram of detection times, and *dead-IP exposure*: the sum of (expiry - start of that probe)
//! over the answers with that member that expire after it.
//!
//! The exposure is an estimate. Workers count answers by pool, not by member, so that answering costs no more; the member's part is
//! its share of the pool's answers when it died. Answers between two looks are taken to have been given halfway, with their
//! mean TTL. Where the pool has one member, or all members are in every answer, only the latter is left; the error of a drawn member is that
//! of its share. Told the time; knows no worker and no probe.

use super::handed_out::HandedOut;
use crate::beliefs::AnsweredDead;
use crate::clock::Moment;
use crate::ids::{Id, PoolId};
use crate::judge::Place;
use crate::live::Live;
use crate::policy::{Choose, FamilyView, Pool};
use crate::prefix::Family;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The account of all deaths.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// By pool and family, those only that handed out something; as of the snapshot in force.
    histories: BTreeMap<(PoolId, usize), History>,
    /// The sums at the last look.
    seen: Vec<[HandedOut; 2]>,
    looked: Moment,
    /// Detection times by [`DETECTION_BOUNDS_S`]; the last one is above all bounds.
    detections: [u64; DETECTION_BOUNDS_S.len() + 1],
    /// The sum of all detection times.
    detected_in: Duration,
    /// By the name of the pool.
    dead: BTreeMap<Arc<str>, DeadAnswers>,
    /// Those who are dead and answered on.
    lingering: Vec<Lingering>,
}

/// A member that is answered though it is dead, since an operator or a protection wants it so.
#[derive(Clone, PartialEq, Debug)]
pub struct Lingering {
    pool: PoolId,
    name: Arc<str>,
    family: usize,
    /// Its share of the pool's answers.
    share: f64,
    failing_since: Moment,
}

impl Lingering {
    /// One address that `live` answers though it is dead.
    pub fn of(live: &Live, dead: &AnsweredDead) -> Lingering {
        let Place { pool, member, family } = dead.place;
        let config = &live.snapshot.graph.pools[pool];
        let share = share(config, live.pools[pool].family(family), member);
        Lingering { pool, name: Arc::clone(&config.name), family: family.index(), share, failing_since: dead.failing_since }
    }
}

/// What was handed out of a pool's members that were dead.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct DeadAnswers {
    /// Answers that could still be held after the failing run began.
    pub answers: f64,
    /// Dead-IP exposure, in seconds.
    pub exposure_s: f64,
}

/// A death that was published.
#[derive(Clone, Copy, Debug)]
pub struct Death<'a> {
    /// The pool, as of the snapshot in force.
    pub pool: PoolId,
    /// What the pool is.
    pub config: &'a Pool,
    /// What was answered until now.
    pub before: &'a FamilyView,
    /// The member's index.
    pub member: usize,
    /// Which of its addresses.
    pub family: Family,
    /// When the first probe of the failing run began.
    pub failing_since: Moment,
    /// When workers were told.
    pub published: Moment,
}

/// What a pool handed out of late, oldest first.
#[derive(Clone, Debug, Default)]
struct History(Vec<Batch>);

/// Answers that were given at about the same time.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// When, in the mean.
    at: Moment,
    answers: f64,
    /// In the mean, in seconds.
    ttl_s: f64,
}

/// How often what was handed out is looked at. TTLs are whole seconds: a quarter of one is fine enough.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Upper ends of the histogram, in seconds: from a refused connection with a hurried second probe to sleepy monitors.
pub const DETECTION_BOUNDS_S: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0];

/// Batches that are remembered of a pool at most; then two become one. Over five minutes this leaves each about an eighth of its age wide,
/// so that what was handed out a few seconds ago is known to the second.
const BATCHES_MAX: usize = 56;

impl Exposure {
    /// Nobody has died.
    pub fn new(now: Moment) -> Exposure {
        let detections = [0; DETECTION_BOUNDS_S.len() + 1];
        Exposure {
            histories: BTreeMap::new(),
            seen: Vec::new(),
            looked: now,
            detections,
            detected_in: Duration::ZERO,
            dead: BTreeMap::new(),
            lingering: Vec::new(),
        }
    }

    /// Whether it is time to look at what was handed out.
    pub fn is_due(&self, now: Moment) -> bool {
        now.since(self.looked) >= LOOK_EVERY
    }

    /// Takes the sums of what was handed out so far, by pool, then family. Sums that went back are those of other workers, or of
    /// another snapshot: they are a new beginning.
    pub fn handle_look(&mut self, sums: Vec<[HandedOut; 2]>, now: Moment) {
        let halfway = self.looked.after(now.since(self.looked) / 2);
        for (index, (sum, seen)) in sums.iter().zip(&self.seen).enumerate() {
            for family in Family::BOTH.map(Family::index) {
                let answers = sum[family].answers.saturating_sub(seen[family].answers);
                let ttl_s = sum[family].ttl_s.saturating_sub(seen[family].ttl_s);
                if answers > 0 {
                    let (pool, batch) = (PoolId::new(index), Batch::of(answers, ttl_s, halfway));
                    let lingering = self.lingering.iter().filter(|one| (one.pool, one.family) == (pool, family));
                    for Lingering { name, share, failing_since, .. } in lingering {
                        self.dead.entry(Arc::clone(name)).or_default().add(batch.outlives(*failing_since), *share);
                    }
                    self.histories.entry((pool, family)).or_default().push(batch, now);
                }
            }
        }
        (self.seen, self.looked) = (sums, now);
    }

    /// Takes over another snapshot: ids mean other pools from now on, and what was handed out of the former ones is forgotten.
    pub fn adopt(&mut self) {
        self.histories.clear();
        self.seen.clear();
    }

    /// Takes a death. To be called after a look at what was handed out until it was published.
    pub fn handle_death(&mut self, death: &Death<'_>) {
        let took = death.published.since(death.failing_since);
        let bound = DETECTION_BOUNDS_S.iter().position(|bound| took.as_secs_f64() <= *bound);
        self.detections[bound.unwrap_or(DETECTION_BOUNDS_S.len())] += 1;
        self.detected_in = self.detected_in.saturating_add(took);
        let Some(history) = self.histories.get(&(death.pool, death.family.index())) else { return };
        let share = share(death.config, death.before, death.member);
        self.dead.entry(Arc::clone(&death.config.name)).or_default().add(history.outlives(death.failing_since), share);
    }

    /// Takes those who are dead and answered from now on. To be called after the deaths of the same view, when
    /// [`Exposure::is_news`] says so after a look, since what was handed out until now was handed out without them.
    pub fn handle_lingering(&mut self, lingering: Vec<Lingering>) {
        self.lingering = lingering;
    }

    /// Whether others are dead and answered than were.
    pub fn is_news(&self, lingering: &[Lingering]) -> bool {
        self.lingering != lingering
    }

    //--- Facts

    /// How many detection times lie within each bound, above the one before it; the last number is of those above all bounds.
    pub const fn detections(&self) -> &[u64] {
        &self.detections
    }

    /// The sum of all detection times.
    pub const fn detected_in(&self) -> Duration {
        self.detected_in
    }

    /// What was handed out of the dead of a pool.
    pub fn dead(&self, pool: &str) -> DeadAnswers {
        self.dead.get(pool).copied().unwrap_or_default()
    }
}

impl DeadAnswers {
    /// Adds a member's share of so many answers, with so many seconds in all.
    fn add(&mut self, (answers, exposure_s): (f64, f64), share: f64) {
        self.answers += answers * share;
        self.exposure_s += exposure_s * share;
    }
}

impl Batch {
    #[allow(clippy::cast_precision_loss, reason = "nobody hands out 2^52 answers between two looks")]
    fn of(answers: u64, ttl_s: u64, at: Moment) -> Batch {
        Batch { at, answers: answers as f64, ttl_s: ttl_s as f64 / answers as f64 }
    }

    /// How long its answers may be held after `moment`, in seconds.
    fn left_after(&self, moment: Moment) -> f64 {
        (self.at.since(moment).as_secs_f64() + self.ttl_s - moment.since(self.at).as_secs_f64()).max(0.0)
    }

    /// The answers that could be held after `moment`, and for how long in all, in seconds.
    fn outlives(&self, moment: Moment) -> (f64, f64) {
        let left = self.left_after(moment);
        if left > 0.0 { (self.answers, self.answers * left) } else { (0.0, 0.0) }
    }

    /// Both as one: means of what each of its answers was.
    fn and(&self, later: &Batch) -> Batch {
        let answers = self.answers + later.answers;
        let part = later.answers / answers;
        let at = self.at.after(later.at.since(self.at).mul_f64(part));
        Batch { at, answers, ttl_s: self.ttl_s + (later.ttl_s - self.ttl_s) * part }
    }
}

impl History {
    fn push(&mut self, batch: Batch, now: Moment) {
        // What expired before any probe that runs now began is of no interest to the dead of tomorrow.
        self.0.retain(|batch| batch.left_after(now) > 0.0 || now.since(batch.at) < FAILING_FOR_MAX);
        self.0.push(batch);
        if self.0.len() > BATCHES_MAX {
            // The closest two, as seen from now: the older, the less detail is needed.
            let gap = |index: usize| self.0[index + 1].at.since(self.0[index].at).as_secs_f64();
            let seen = |index: usize| gap(index) / now.since(self.0[index].at).as_secs_f64().max(f64::MIN_POSITIVE);
            let closest = (0..self.0.len() - 1).min_by(|left, right| seen(*left).total_cmp(&seen(*right))).expect("more than one");
            let later = self.0.remove(closest + 1);
            self.0[closest] = self.0[closest].and(&later);
        }
    }

    /// The answers that could be held after `moment`, and for how long in all, in seconds.
    fn outlives(&self, moment: Moment) -> (f64, f64) {
        self.0.iter().map(|batch| batch.outlives(moment)).fold((0.0, 0.0), |(answers, sum), (count, left)| (answers + count, sum + left))
    }
}

/// A failing run is as long as this at most: `fall: 100` at an interval of a minute is nobody's.
const FAILING_FOR_MAX: Duration = Duration::from_mins(5);

/// The share of a pool's answers that name a member: 0 to 1.
fn share(pool: &Pool, view: &FamilyView, member: usize) -> f64 {
    let Some(position) = view.usable.iter().position(|usable| usize::from(usable.member) == member) else { return 0.0 };
    let picked = usize::from(pool.pick);
    let chance = f64::from(view.usable.chance_ppm(pool.choose, picked, position)) / 1e6;
    match pool.choose {
        Choose::RoundRobin | Choose::All => chance,
        // That of the first draw; without replacement it is exact where all weigh the same, or all are drawn.
        Choose::Weighted if picked >= view.usable.len() => 1.0,
        Choose::Weighted => (chance * f64::from(pool.pick)).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Verdict;
    use crate::io::testing::snapshot_of;
    use crate::policy::{Judgement, PoolView};

    fn at(millis: u64) -> Moment {
        Moment::START.after(Duration::from_millis(millis))
    }

    fn sums(answers: u64, ttl_s: u64) -> Vec<[HandedOut; 2]> {
        vec![[HandedOut { answers, ttl_s }, HandedOut::default()]]
    }

    /// An account of a pool that hands out `rate` answers a second with a TTL of `ttl_s` until `end`, in milliseconds.
    fn account(rate: u64, ttl_s: u64, end: u64) -> Exposure {
        let mut exposure = Exposure::new(at(0));
        for look in 0..=end / 250 {
            exposure.handle_look(sums(rate * look / 4, rate * look / 4 * ttl_s), at(look * 250));
        }
        exposure
    }

    fn live(members: &[&str]) -> Live {
        Live::prepare(Arc::new(snapshot_of(&[("web", members)])), |_, _, _| Verdict::UNMONITORED)
    }

    fn die(exposure: &mut Exposure, live: &Live, failing_since: u64, published: u64) -> DeadAnswers {
        let pool = PoolId::new(0);
        exposure.handle_death(&Death {
            pool,
            config: &live.snapshot.graph.pools[pool],
            before: live.pools[pool].family(Family::V4),
            member: 0,
            family: Family::V4,
            failing_since: at(failing_since),
            published: at(published),
        });
        exposure.dead("web")
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() <= 0.02 * right
    }

    #[test]
    fn exposure_is_what_is_left_of_every_answer_after_the_first_failing_probe() {
        // From 10 s on it fails, at 14 s it is down; answers were given for 5 s. Those since 5 s count: 9 s at 100 a second, and 4.5 s on average.
        let dead = die(&mut account(100, 5, 14_000), &live(&["a"]), 10_000, 14_000);
        assert!(close(dead.exposure_s, 900.0 * 4.5) && close(dead.answers, 900.0), "{dead:?}");
    }

    #[test]
    fn a_member_answers_for_its_share_of_the_pool() {
        let whole = die(&mut account(100, 5, 14_000), &live(&["a"]), 10_000, 14_000);
        let half = die(&mut account(100, 5, 14_000), &live(&["a", "b"]), 10_000, 14_000);
        assert!(close(half.exposure_s * 2.0, whole.exposure_s), "{half:?} of {whole:?}");
    }

    #[test]
    fn who_is_dead_and_answered_on_is_accounted_for_until_it_is_answered_no_more() {
        let live = live(&["a", "b"]);
        let mut exposure = account(100, 5, 10_000);
        let place = Place { pool: PoolId::new(0), member: 1, family: Family::V4 };
        let lingering = vec![Lingering::of(&live, &AnsweredDead { place, failing_since: at(8_000) })];
        assert!(exposure.is_news(&lingering));
        exposure.handle_lingering(lingering);
        for look in 41..=80 {
            exposure.handle_look(sums(100 * look / 4, 100 * look / 4 * 5), at(look * 250));
        }
        // Ten seconds at 100 a second, half of them with b, from 2 s to 12 s after its death, each held for 5 s.
        let dead = exposure.dead("web");
        assert!(close(dead.answers, 500.0) && close(dead.exposure_s, 500.0 * 12.0), "{dead:?}");
        exposure.handle_lingering(Vec::new());
        exposure.handle_look(sums(10_000, 50_000), at(21_000));
        assert_eq!(exposure.dead("web"), dead);
    }

    #[test]
    fn a_member_that_is_coming_back_answers_for_what_it_was_given_so_far() {
        let judged = |permille| Judgement { share_permille: permille, ..Judgement::from(Verdict::UNMONITORED) };
        let mut live = live(&["a", "b"]);
        let pool = PoolId::new(0);
        let view = PoolView::prepare(&live.snapshot.graph.pools[pool], &[[judged(100); 2], [judged(1_000); 2]], None);
        live.pools[pool] = Arc::new(view);
        let whole = die(&mut account(100, 5, 14_000), &self::live(&["a"]), 10_000, 14_000);
        let part = die(&mut account(100, 5, 14_000), &live, 10_000, 14_000);
        assert!(close(part.exposure_s * 11.0, whole.exposure_s), "{part:?} of {whole:?}");
    }

    #[test]
    fn an_hour_of_answers_takes_no_detail_from_the_last_seconds() {
        let mut exposure = account(100, 5, 3_600_000);
        assert!(exposure.histories.values().all(|history| history.0.len() <= BATCHES_MAX));
        let dead = die(&mut exposure, &live(&["a"]), 3_596_000, 3_600_000);
        assert!(close(dead.exposure_s, 900.0 * 4.5) && close(dead.answers, 900.0), "{dead:?}");
    }

    #[test]
    fn long_ttls_are_remembered_with_less_detail_and_the_same_sum() {
        let mut exposure = account(100, 60, 60_000);
        assert!(exposure.histories.values().all(|history| history.0.len() <= BATCHES_MAX));
        let dead = die(&mut exposure, &live(&["a"]), 50_000, 60_000);
        assert!(close(dead.exposure_s, 6_000.0 * 40.0) && close(dead.answers, 6_000.0), "{dead:?}");
    }

    #[test]
    fn what_has_expired_before_the_first_failing_probe_does_not_count() {
        let dead = die(&mut account(100, 1, 4_000), &live(&["a"]), 6_000, 7_000);
        assert_eq!(dead, DeadAnswers::default());
    }

    #[test]
    fn detection_times_are_told_apart_by_bounds_that_belong_to_the_lower_side() {
        let mut exposure = Exposure::new(at(0));
        let live = live(&["a"]);
        for took in [100, 101, 5_000, 500_000] {
            die(&mut exposure, &live, 1_000, 1_000 + took);
        }
        assert_eq!(exposure.detections(), [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(exposure.detected_in(), Duration::from_millis(505_201));
    }

    #[test]
    fn sums_of_other_workers_or_another_snapshot_count_nothing() {
        let mut exposure = account(100, 5, 1_000);
        exposure.handle_look(sums(3, 15), at(1_250));
        exposure.handle_look(sums(3, 15), at(1_500));
        let before: f64 = exposure.histories.values().flat_map(|history| &history.0).map(|batch| batch.answers).sum();
        assert!(close(before, 100.0), "{before}");
        exposure.adopt();
        assert!(exposure.histories.is_empty());
    }
}
