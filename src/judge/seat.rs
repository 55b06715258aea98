//! One address of a member, over time: whether it stands, how it comes back, and whether it is slow against its siblings.

use crate::clock::Moment;
use crate::policy::{Conduct, Failback, Rank, SHARE_MIN_PERMILLE, SHARE_WHOLE_PERMILLE};
use std::time::Duration;

/// Why an address is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absence {
    /// An operator took it out, and it is up: whoever ends that lets it back.
    TakenOut,
    /// It was down.
    Fell,
}

/// What an earlier life of the program knew of one address of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// Whether it was up and not taken out.
    pub standing: bool,
    /// Why it was not there when it last was not; none when it has come back since.
    pub absence: Option<Absence>,
    /// Since when it is back.
    pub back: Option<Moment>,
    /// When an operator let it back.
    pub released: Option<Moment>,
    /// Whether it is slow against its siblings.
    pub slow: bool,
    /// The last moment at which a cache may hold an answer with it.
    pub cached_until: Moment,
}

/// What is remembered of one address of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seat {
    /// Whether it was up and not taken out when it was last judged.
    pub standing: bool,
    /// Why it was not there when it last was not; none when it was there since it was first seen.
    absence: Option<Absence>,
    /// Since when it is back.
    back: Option<Moment>,
    /// When an operator let it back.
    released: Option<Moment>,
    /// Whether it is slow against its siblings.
    pub slow: bool,
    /// The protection that keeps it though it should go, by number.
    pub kept_by: Option<usize>,
    /// The last moment at which a cache may hold an answer with it, as far as views that are replaced have handed out.
    pub cached_until: Moment,
    /// How it took part when it was last judged; none before.
    judged: Option<Part>,
}

/// How one takes part that stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Part {
    /// How soon it is let back; [`Duration::MAX`] when only an operator does that, none when it waits for nothing.
    waits: Option<Duration>,
    /// Its share in thousandths.
    share_permille: u16,
}

impl Seat {
    /// Writes down whether it stands now, and if not, why.
    pub fn stand(&mut self, stands: bool, absence: Option<Absence>, now: Moment) {
        if stands
            && !self.standing
            && let Some(absence) = self.absence.take()
        {
            (self.back, self.released) = (Some(now), (absence == Absence::TakenOut).then_some(now));
        }
        if !stands && let Some(why) = absence {
            // What fell while it was taken out fell all the same.
            let fell = self.absence == Some(Absence::Fell);
            (self.absence, self.back) = (Some(if fell { Absence::Fell } else { why }), None);
        }
        self.standing = stands;
    }

    /// Lets it back though its pool waits for an operator. Says whether it did wait.
    pub fn release(&mut self, conduct: Conduct, now: Moment) -> bool {
        let waits = self.waits(conduct, now);
        if waits {
            self.released = Some(now);
        }
        waits
    }

    /// Whether it waits to be let back.
    pub fn waits(&self, conduct: Conduct, now: Moment) -> bool {
        self.waits_for(conduct, now).is_some()
    }

    /// Since when it takes part again; none while it is held back, or never was out.
    fn returned(&self, conduct: Conduct) -> Option<Moment> {
        let back = self.back?;
        match (conduct.failback, self.released) {
            (Failback::Auto, _) => Some(back),
            (Failback::After(_) | Failback::Manual, Some(released)) => Some(released),
            (Failback::After(span), None) => Some(back.after(span)),
            (Failback::Manual, None) => None,
        }
    }

    /// How soon it is let back; none when it waits for nothing.
    fn waits_for(&self, conduct: Conduct, now: Moment) -> Option<Duration> {
        self.back?;
        self.returned(conduct).map_or(Some(Duration::MAX), |returned| Some(returned.since(now)).filter(|left| *left > Duration::ZERO))
    }

    /// Where it ranks.
    pub fn rank(&self, conduct: Conduct, now: Moment) -> Rank {
        match self.waits_for(conduct, now) {
            Some(released_in) => Rank::HeldBack { released_in },
            None if self.slow => Rank::Late,
            None => Rank::Usual,
        }
    }

    /// Its share in thousandths: from a tenth to all of it over `slow_start`, in steps.
    pub fn share_permille(&self, conduct: Conduct, now: Moment) -> u16 {
        let Some(returned) = self.returned(conduct).filter(|returned| now.since(*returned) < conduct.slow_start) else {
            return SHARE_WHOLE_PERMILLE;
        };
        let (passed, whole) = (now.since(returned).as_millis(), conduct.slow_start.as_millis().max(1));
        let grown = u128::from(SHARE_WHOLE_PERMILLE - SHARE_MIN_PERMILLE) * passed / whole;
        let share = SHARE_MIN_PERMILLE + u16::try_from(grown).unwrap_or(0);
        (share - share % STEP_PERMILLE).max(SHARE_MIN_PERMILLE)
    }

    fn part(&self, conduct: Conduct, now: Moment) -> Part {
        Part { waits: self.waits_for(conduct, now), share_permille: self.share_permille(conduct, now) }
    }

    /// Writes down that it is judged as it takes part now.
    pub fn note_judged(&mut self, conduct: Conduct, now: Moment) {
        self.judged = Some(self.part(conduct, now));
    }

    /// Forgets how it was judged, since all is judged anew.
    pub fn forget_judged(&mut self) {
        (self.kept_by, self.judged) = (None, None);
    }

    /// Whether it has to be judged again though nothing was seen of it: it takes part otherwise than when it was last judged, however
    /// long ago that was; or whatever keeps it may have ended.
    pub fn is_outdated(&self, conduct: Conduct, now: Moment) -> bool {
        self.kept_by.is_some() || self.judged.is_some_and(|judged| judged != self.part(conduct, now))
    }

    /// What is worth remembering of it over a restart.
    pub const fn past(&self) -> Past {
        let Seat { standing, absence, back, released, slow, cached_until, .. } = *self;
        Past { standing, absence, back, released, slow, cached_until }
    }

    /// Takes up what an earlier life of the program left. Nothing of it lies ahead of `now`.
    pub fn recall(&mut self, past: &Past, now: Moment) {
        let Past { standing, absence, back, released, slow, cached_until } = *past;
        let passed = |moment: Option<Moment>| moment.map(|moment| moment.min(now));
        let (back, released) = (passed(back), passed(released));
        *self = Seat { standing, absence, back, released, slow, cached_until, ..Seat::default() };
    }

    /// Judges its latency by that of its siblings. It becomes slow above the limit, and stops to be half-way back to the median.
    pub fn compare(&mut self, latency: Option<Duration>, median: Option<Duration>, above_percent: u16) {
        let (Some(latency), Some(median)) = (latency, median) else {
            self.slow = false;
            return;
        };
        let percent = if self.slow { above_percent / 2 } else { above_percent };
        let limit = median.saturating_mul(100 + u32::from(percent)) / 100;
        self.slow = latency > limit && latency.saturating_sub(median) > SLOW_MIN;
    }
}

/// Finer steps of a growing share would only make new views.
const STEP_PERMILLE: u16 = 50;

/// Less than this more than the others makes nobody slow: users do not feel it.
const SLOW_MIN: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    fn conduct(slow_start_s: u64, failback: Failback) -> Conduct {
        Conduct { slow_start: Duration::from_secs(slow_start_s), failback, slow_above_percent: None }
    }

    /// A seat that was up, went down, and is back at 100 s.
    fn returned() -> Seat {
        let mut seat = Seat::default();
        seat.stand(true, None, at(0));
        seat.stand(false, Some(Absence::Fell), at(50));
        seat.stand(true, None, at(100));
        seat
    }

    #[test]
    fn a_share_grows_from_a_tenth_to_all_of_it_and_a_first_start_is_whole() {
        let conduct = conduct(100, Failback::Auto);
        let shares = [100, 101, 150, 199, 200].map(|now| returned().share_permille(conduct, at(now)));
        assert_eq!(shares, [100, 100, 550, 950, 1000]);
        let mut fresh = Seat::default();
        fresh.stand(true, None, at(0));
        assert_eq!(fresh.share_permille(conduct, at(1)), 1000);
    }

    #[test]
    fn who_was_judged_is_judged_again_when_time_has_changed_its_part_and_not_before() {
        let mut seat = returned();
        let mut look = |conduct, judged, now| {
            seat.note_judged(conduct, at(judged));
            seat.is_outdated(conduct, at(now))
        };
        let grows = conduct(100, Failback::Auto);
        assert_eq!([101, 106].map(|now| look(grows, 100, now)), [false, true], "in steps");
        assert_eq!([(199, 200), (199, 9_999), (200, 9_999)].map(|(judged, now)| look(grows, judged, now)), [true, true, false]);
        let waits = conduct(0, Failback::After(Duration::from_mins(1)));
        assert_eq!(
            [(100, 101), (159, 160), (159, 9_999), (160, 9_999)].map(|(judged, now)| look(waits, judged, now)),
            [true, true, true, false]
        );
        assert!(!look(conduct(0, Failback::Manual), 100, 9_999));
        assert!(!Seat::default().is_outdated(grows, at(0)), "whom nobody judges nothing changes");
    }

    #[test]
    fn failback_waits_for_its_time_or_for_an_operator_and_then_starts_slowly() {
        let rank = |conduct, now| returned().rank(conduct, at(now));
        assert_eq!(rank(conduct(0, Failback::Auto), 100), Rank::Usual);
        let after = conduct(10, Failback::After(Duration::from_mins(1)));
        assert_eq!(rank(after, 159), Rank::HeldBack { released_in: Duration::from_secs(1) });
        assert_eq!(rank(after, 160), Rank::Usual);
        assert_eq!([160, 165, 170].map(|now| returned().share_permille(after, at(now))), [100, 550, 1000]);
        let manual = conduct(10, Failback::Manual);
        assert_eq!(rank(manual, 1_000_000), Rank::HeldBack { released_in: Duration::MAX });
        let mut seat = returned();
        assert!(seat.release(manual, at(500)) && !seat.release(manual, at(501)));
        assert_eq!((seat.rank(manual, at(500)), seat.share_permille(manual, at(500))), (Rank::Usual, 100));
    }

    #[test]
    fn who_was_taken_out_is_let_back_by_whoever_ends_that_unless_it_fell_meanwhile() {
        let manual = conduct(100, Failback::Manual);
        let mut seat = returned();
        seat.release(manual, at(200));
        seat.stand(false, Some(Absence::TakenOut), at(300));
        seat.stand(true, None, at(400));
        assert_eq!((seat.rank(manual, at(400)), seat.share_permille(manual, at(400))), (Rank::Usual, 100));
        for absence in [Absence::TakenOut, Absence::Fell, Absence::TakenOut] {
            seat.stand(false, Some(absence), at(500));
        }
        seat.stand(true, None, at(600));
        assert_eq!(seat.rank(manual, at(600)), Rank::HeldBack { released_in: Duration::MAX });
    }

    #[test]
    fn who_waits_goes_on_waiting_through_a_time_in_which_nothing_is_known() {
        let after = conduct(0, Failback::After(Duration::from_mins(1)));
        let mut seat = Seat::default();
        seat.recall(&returned().past(), at(110));
        assert_eq!(seat.past(), returned().past());
        seat.stand(false, None, at(110));
        seat.stand(true, None, at(112));
        assert_eq!(seat.rank(after, at(120)), Rank::HeldBack { released_in: Duration::from_secs(40) });
        seat.recall(&returned().past(), at(90));
        assert_eq!(seat.past().back, Some(at(90)), "the clock went back");
    }

    #[test]
    fn who_falls_while_it_waits_waits_anew() {
        let after = conduct(0, Failback::After(Duration::from_mins(1)));
        let mut seat = returned();
        seat.stand(false, Some(Absence::Fell), at(150));
        seat.stand(true, None, at(155));
        assert_eq!(seat.rank(after, at(160)), Rank::HeldBack { released_in: Duration::from_secs(55) });
    }

    #[test]
    fn who_is_slow_against_the_median_is_late_until_half_way_back() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let mut seat = Seat::default();
        let mut compare = |latency| {
            seat.compare(ms(latency), ms(20), 100);
            seat.slow
        };
        assert_eq!([compare(40), compare(41), compare(31), compare(30), compare(40)], [false, true, true, false, false]);
        seat.compare(ms(4), ms(1), 100);
        assert!(!seat.slow, "three milliseconds are nothing");
        seat.compare(ms(100), None, 100);
        assert!(!seat.slow);
    }
}
