//! What operators put in the place of verdicts: up, down or drain, by whom, why, and for how long.
//!
//! Orders enter by [`Overrides::set`] and [`Overrides::clear`]; what is in force for one member leaves by [`Overrides::force`],
//! and what happens as time goes by leaves by [`Overrides::poll`]. Times are seconds since 1970, since overrides outlive the
//! program. Of several overrides for one member the one that was set last is in force.

use super::Selector;
use std::fmt;

/// One override.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// Whom it is about.
    pub selector: Selector,
    /// What it puts in the place of verdicts.
    pub force: Force,
    /// Who set it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When, in seconds since 1970.
    pub set_unix_s: u64,
    /// When it ends by itself, in seconds since 1970.
    pub expires_unix_s: Option<u64>,
    /// Whether it may break what the config protects.
    pub break_glass: bool,
    /// How far it has come, and what was told of it.
    pub progress: Progress,
}

/// What an override puts in the place of verdicts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Force {
    /// Answered, whatever probes say.
    Up,
    /// Never answered.
    Down,
    /// First answered with the shortest TTL, and when all longer answers have expired, never.
    Drain {
        /// When it is answered no more, in seconds since 1970.
        removes_unix_s: u64,
        /// When the last answer with it has expired everywhere, in seconds since 1970: expected until it is removed, known then.
        gone_unix_s: u64,
    },
}

/// What was told of an override already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// That it is about to expire.
    pub warned: bool,
    /// That a drained member is answered no more.
    pub removed: bool,
    /// That no cached answer is left.
    pub gone: bool,
}

/// What is in force for a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InForce {
    /// It is up, for so many more seconds at least.
    Up {
        /// `None`: until an operator says otherwise.
        for_s: Option<u64>,
    },
    /// It is not answered, for so many more seconds at least.
    Barred {
        /// `None`: until an operator says otherwise.
        for_s: Option<u64>,
    },
    /// It is answered with the shortest TTL.
    Lowered,
}

/// Something that came about by the passing of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// An override ends in so many seconds.
    AboutToExpire(Override, u64),
    /// An override has ended by itself.
    Expired(Override),
    /// What is drained is answered no more.
    Removed(Override),
    /// What is drained is in no cache any more.
    Gone(Override),
}

/// All overrides, in the order in which they were set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overrides {
    list: Vec<Override>,
}

impl Overrides {
    /// Those that an earlier life of the program left; what has expired since is told at the next [`Overrides::poll`].
    pub fn restored(list: Vec<Override>) -> Overrides {
        Overrides { list }
    }

    /// All of them, in the order in which they were set.
    pub fn list(&self) -> &[Override] {
        &self.list
    }

    /// Puts one in force, in place of an earlier one for the same selector.
    pub fn set(&mut self, new: Override) {
        self.list.retain(|old| old.selector != new.selector);
        self.list.push(new);
    }

    /// Ends the override for exactly this selector.
    pub fn clear(&mut self, selector: &Selector) -> Option<Override> {
        let at = self.list.iter().position(|one| one.selector == *selector)?;
        Some(self.list.remove(at))
    }

    /// The override that is in force for a member: the last that was set, of those that have not expired.
    pub fn of(&self, pool: &str, member: &str, site: Option<&str>, now_unix_s: u64) -> Option<&Override> {
        self.list.iter().rev().find(|one| !one.is_over(now_unix_s) && one.selector.selects(pool, member, site))
    }

    /// Lets no drain lower the TTL beyond `latest_unix_s`: no answer is in a cache for longer. It would when the wall clock was set back.
    pub fn hasten(&mut self, latest_unix_s: u64) {
        for one in &mut self.list {
            if let Force::Drain { removes_unix_s, .. } = &mut one.force {
                *removes_unix_s = latest_unix_s.min(*removes_unix_s);
            }
        }
    }

    /// Moves what drains wait for to where the wall clock will say it, after that was set.
    pub fn shift_drains(&mut self, shifted: impl Fn(u64) -> u64) {
        for one in &mut self.list {
            if let Force::Drain { removes_unix_s, gone_unix_s } = &mut one.force {
                (*removes_unix_s, *gone_unix_s) = (shifted(*removes_unix_s), shifted(*gone_unix_s));
            }
        }
    }

    /// Lets time pass: ends what has expired, and returns what came about, in the order of the list. `gone_unix_s` says of a drain
    /// when the last answer with its members expires; none while any of them is answered.
    pub fn poll(&mut self, now_unix_s: u64, gone_unix_s: impl Fn(&Override) -> Option<u64>) -> Vec<Event> {
        let mut events = Vec::new();
        self.list.retain_mut(|one| {
            if one.is_over(now_unix_s) {
                events.push(Event::Expired(one.clone()));
                return false;
            }
            one.pass(now_unix_s, &gone_unix_s, &mut events);
            true
        });
        events
    }
}

impl Override {
    /// Whether it has ended by itself.
    fn is_over(&self, now_unix_s: u64) -> bool {
        self.expires_unix_s.is_some_and(|expires| expires <= now_unix_s)
    }

    /// What it means at this time for a member that is answered now, or is not: who is out already is not answered once more to be
    /// drained.
    pub fn in_force(&self, now_unix_s: u64, is_answered: bool) -> InForce {
        let for_s = self.expires_unix_s.map(|expires| expires.saturating_sub(now_unix_s));
        match self.force {
            Force::Up => InForce::Up { for_s },
            Force::Drain { removes_unix_s, .. } if is_answered && now_unix_s < removes_unix_s => InForce::Lowered,
            Force::Down | Force::Drain { .. } => InForce::Barred { for_s },
        }
    }

    fn pass(&mut self, now_unix_s: u64, gone: impl Fn(&Override) -> Option<u64>, events: &mut Vec<Event>) {
        if let Some(expires) = self.expires_unix_s
            && !self.progress.warned
            && expires - now_unix_s <= warning_s(expires - self.set_unix_s.min(expires))
        {
            self.progress.warned = true;
            events.push(Event::AboutToExpire(self.clone(), expires - now_unix_s));
        }
        let Force::Drain { removes_unix_s, .. } = self.force else { return };
        if self.progress.gone || now_unix_s < removes_unix_s {
            return;
        }
        // Asked anew each time: the wall clock may have been set meanwhile, and caches do not go by it.
        let Some(gone_unix_s) = gone(self) else { return };
        self.force = Force::Drain { removes_unix_s, gone_unix_s };
        if !std::mem::replace(&mut self.progress.removed, true) {
            events.push(Event::Removed(self.clone()));
        }
        if gone_unix_s <= now_unix_s {
            self.progress.gone = true;
            events.push(Event::Gone(self.clone()));
        }
    }
}

/// How long before its end a warning is due: five minutes, or a tenth of its time where that is less.
fn warning_s(lasts_s: u64) -> u64 {
    (lasts_s / 10).min(300)
}

impl Force {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Force::Up => "up",
            Force::Down => "down",
            Force::Drain { .. } => "drain",
        }
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "override {} of {} by {}: {}", self.force.word(), self.selector, self.owner, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn an_override(selector: &str, force: Force, expires_unix_s: Option<u64>) -> Override {
        let (owner, reason) = ("alice".to_owned(), "disk swap".to_owned());
        let selector = selector.parse().expect("a selector");
        Override { selector, force, owner, reason, set_unix_s: 1_000, expires_unix_s, break_glass: false, progress: Progress::default() }
    }

    fn poll(overrides: &mut Overrides, now_unix_s: u64) -> Vec<&'static str> {
        let word = |event: Event| match event {
            Event::AboutToExpire(..) => "warned",
            Event::Expired(_) => "expired",
            Event::Removed(_) => "removed",
            Event::Gone(_) => "gone",
        };
        overrides.poll(now_unix_s, |_| Some(1_036)).into_iter().map(word).collect()
    }

    #[test]
    fn the_last_that_was_set_is_in_force_and_one_selector_has_one() {
        let mut overrides = Overrides::default();
        overrides.set(an_override("pool:web", Force::Down, None));
        overrides.set(an_override("web/fra-1", Force::Up, None));
        let force = |overrides: &Overrides, member| overrides.of("web", member, None, 1_000).map(|one| one.force);
        assert_eq!((force(&overrides, "fra-1"), force(&overrides, "fra-2")), (Some(Force::Up), Some(Force::Down)));
        overrides.set(an_override("pool:web", Force::Down, None));
        assert_eq!((force(&overrides, "fra-1"), overrides.list().len()), (Some(Force::Down), 2));
        assert!(overrides.clear(&"pool:web".parse().expect("a selector")).is_some());
        assert_eq!(force(&overrides, "fra-2"), None);
        assert!(overrides.clear(&"pool:web".parse().expect("a selector")).is_none());
    }

    #[test]
    fn an_override_is_warned_of_once_and_ends_at_its_second() {
        let mut overrides = Overrides::restored(vec![an_override("pool:web", Force::Down, Some(2_000))]);
        assert_eq!(poll(&mut overrides, 1_899), [] as [&str; 0]);
        assert_eq!(poll(&mut overrides, 1_900), ["warned"]);
        assert_eq!(poll(&mut overrides, 1_999), [] as [&str; 0]);
        assert_eq!(overrides.list()[0].in_force(1_999, true), InForce::Barred { for_s: Some(1) });
        assert_eq!(poll(&mut overrides, 2_000), ["expired"]);
        assert!(overrides.list().is_empty());
    }

    #[test]
    fn a_long_override_is_warned_of_five_minutes_ahead() {
        let mut overrides = Overrides::restored(vec![an_override("pool:web", Force::Up, Some(1_000 + 86_400))]);
        assert_eq!(poll(&mut overrides, 86_400 + 1_000 - 301), [] as [&str; 0]);
        assert_eq!(poll(&mut overrides, 86_400 + 1_000 - 300), ["warned"]);
    }

    #[test]
    fn a_drain_lowers_then_removes_then_says_when_the_last_answer_is_gone() {
        let mut overrides = Overrides::default();
        overrides.set(an_override("pool:web", Force::Drain { removes_unix_s: 1_030, gone_unix_s: 1_035 }, None));
        assert_eq!(poll(&mut overrides, 1_029), [] as [&str; 0]);
        assert_eq!(overrides.list()[0].in_force(1_029, true), InForce::Lowered);
        assert_eq!(poll(&mut overrides, 1_031), ["removed"]);
        assert_eq!(overrides.list()[0].in_force(1_031, true), InForce::Barred { for_s: None });
        assert_eq!(overrides.list()[0].force, Force::Drain { removes_unix_s: 1_030, gone_unix_s: 1_036 }, "as the last view says");
        assert_eq!(poll(&mut overrides, 1_035), [] as [&str; 0]);
        assert_eq!(poll(&mut overrides, 1_036), ["gone"]);
        assert_eq!(poll(&mut overrides, 1_037), [] as [&str; 0]);
    }

    #[test]
    fn a_drain_tells_nothing_while_its_members_are_answered_and_goes_by_what_caches_hold_then() {
        let mut overrides = Overrides::default();
        overrides.set(an_override("pool:web", Force::Drain { removes_unix_s: 1_030, gone_unix_s: 1_035 }, None));
        let mut poll = |now_unix_s, gone| {
            let events = overrides.poll(now_unix_s, |_| gone);
            events.iter().map(|event| matches!(event, Event::Gone(_))).collect::<Vec<_>>()
        };
        assert_eq!(poll(1_040, None), [] as [bool; 0]);
        assert_eq!(poll(1_041, Some(1_050)), [false]);
        assert_eq!(poll(1_050, Some(1_060)), [] as [bool; 0], "the wall clock was set on by ten seconds");
        assert_eq!(poll(1_060, Some(1_060)), [true]);
    }

    #[test]
    fn who_is_not_answered_is_not_answered_once_more_to_be_drained() {
        let drain = an_override("pool:web", Force::Drain { removes_unix_s: 1_030, gone_unix_s: 1_035 }, Some(2_000));
        assert_eq!(drain.in_force(1_010, false), InForce::Barred { for_s: Some(990) });
        let mut overrides = Overrides::restored(vec![drain]);
        overrides.hasten(1_020);
        assert_eq!(overrides.list()[0].in_force(1_020, true), InForce::Barred { for_s: Some(980) }, "no cache holds it for longer");
    }

    #[test]
    fn what_has_expired_is_not_in_force_though_nobody_has_polled_since() {
        let overrides = Overrides::restored(vec![an_override("pool:web", Force::Down, None), an_override("web/a", Force::Up, Some(2_000))]);
        let force = |now| overrides.of("web", "a", None, now).map(|one| one.force);
        assert_eq!((force(1_999), force(2_000)), (Some(Force::Up), Some(Force::Down)));
    }
}
