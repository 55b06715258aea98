//! The last observations of one target: what notices a member that loses a third of its probes and never fails thrice in a row.
//!
//! Passes and failures go in, the number of failures among the last `of` comes out. A run of failures that is long enough
//! to bring a target down by itself is an outage, not loss: it is struck out, so that a member that was dead for an hour
//! comes back as fast as `rise` says, while one that fails now and then has to prove itself. Knows no time and no status.

/// How many failures among how many observations bring a target down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WindowRule {
    /// The observations looked at: `1..=`[`WindowRule::OF_MAX`].
    pub of: u32,
    /// So many failures among them are too many: `1..=of`.
    pub limit: u32,
}

impl WindowRule {
    /// The longest window; its observations are the bits of one number.
    pub const OF_MAX: u32 = 100;

    /// The rule for a share of failures in percent, rounded up to whole probes.
    pub const fn of_percent(of: u32, percent: u32) -> WindowRule {
        let limit = (of * percent).div_ceil(100);
        WindowRule { of, limit: if limit == 0 { 1 } else { limit } }
    }

    /// So many failures are few enough for a target that went down by this rule to come back: half of what brought it
    /// down, so that a loss right at the limit does not make it flap.
    pub const fn forgiven(&self) -> u32 {
        self.limit / 2
    }

    /// Which of two rules is broken sooner.
    #[must_use]
    pub fn stricter(self, other: WindowRule) -> WindowRule {
        let (mine, others) = (self.limit * other.of, other.limit * self.of);
        if (mine, self.of) <= (others, other.of) { self } else { other }
    }
}

/// The last observations that count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// One bit an observation, the newest lowest; a failure is 1.
    failed: u128,
    /// How many bits count: `0..=of`.
    len: u32,
    /// How many failures in a row the newest observations are, those struck out included.
    run: u32,
}

impl Window {
    /// Takes one observation. A run of `outage` failures is struck out, and so is what prolongs it.
    pub fn handle(&mut self, rule: WindowRule, passed: bool, outage: u32) {
        if passed {
            self.run = 0;
            return self.push(rule.of, 0);
        }
        self.run = self.run.saturating_add(1);
        if self.run < outage {
            return self.push(rule.of, 1);
        }
        if self.run == outage {
            let struck = outage.saturating_sub(1).min(self.len);
            self.failed = self.failed.checked_shr(struck).unwrap_or(0);
            self.len -= struck;
        }
    }

    /// What the observations that are looked at were, the oldest first: whether each failed.
    pub fn outcomes(&self) -> impl Iterator<Item = bool> + use<> {
        let Window { failed, len, .. } = *self;
        (0..len).rev().map(move |bit| failed >> bit & 1 == 1)
    }

    /// How many failures in a row the newest observations are, those struck out included.
    pub const fn run(&self) -> u32 {
        self.run
    }

    /// The window in which these were the outcomes; of more than fit, the newest.
    pub fn recalled(outcomes: impl Iterator<Item = bool>, run: u32) -> Window {
        let mut window = Window { run, ..Window::default() };
        outcomes.for_each(|failed| window.push(WindowRule::OF_MAX, u128::from(failed)));
        window
    }

    fn push(&mut self, of: u32, bit: u128) {
        self.len = (self.len + 1).min(of);
        self.failed = (self.failed << 1 | bit) & mask(self.len);
    }

    /// Failures among the last observations.
    pub const fn failures(&self) -> u32 {
        self.failed.count_ones()
    }

    /// Observations that are looked at.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many more failures break the rule: at least 1, since only an observation changes a verdict.
    pub fn failures_missing(&self, rule: WindowRule) -> u32 {
        rule.limit.saturating_sub(self.failures()).max(1)
    }

    /// How many passes in a row it takes until as few failures are left as are forgiven.
    pub fn passes_missing(&self, rule: WindowRule) -> u32 {
        let mut ahead = *self;
        let mut passes = 0;
        while ahead.failures() > rule.forgiven() {
            ahead.push(rule.of, 0);
            passes += 1;
        }
        passes
    }

    /// Forgets the failures that are the newest observations.
    pub fn forgive(&mut self) {
        let struck = self.failed.trailing_ones().min(self.len);
        self.failed = self.failed.checked_shr(struck).unwrap_or(0);
        self.len -= struck;
        self.run = 0;
    }

    /// Goes on under another rule: what no longer fits is forgotten.
    pub fn adopt(&mut self, rule: Option<WindowRule>) {
        self.len = self.len.min(rule.map_or(0, |rule| rule.of));
        self.failed &= mask(self.len);
    }
}

/// The lowest `len` bits; `len` is at most [`WindowRule::OF_MAX`].
const fn mask(len: u32) -> u128 {
    (1 << len) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: WindowRule = WindowRule { of: 20, limit: 6 };

    /// `F` failed, everything else passed; three failures in a row are an outage.
    fn after(rule: WindowRule, letters: &str) -> Window {
        let mut window = Window::default();
        letters.chars().for_each(|letter| window.handle(rule, letter != 'F', 3));
        window
    }

    #[test]
    fn a_share_in_percent_is_rounded_up_to_whole_probes_and_never_to_none() {
        assert_eq!(WindowRule::of_percent(20, 30).limit, 6);
        assert_eq!(WindowRule::of_percent(20, 31).limit, 7);
        assert_eq!(WindowRule::of_percent(10, 1).limit, 1);
        assert_eq!(WindowRule::of_percent(100, 100).limit, 100);
    }

    #[test]
    fn only_the_last_observations_are_counted() {
        assert_eq!(after(RULE, "FPFPFP").failures(), 3);
        let twenty_passes = "P".repeat(20);
        assert_eq!(after(RULE, &format!("F{}", &twenty_passes[..19])).failures(), 1);
        assert_eq!(after(RULE, &format!("F{twenty_passes}")).failures(), 0);
        let longest = WindowRule { of: WindowRule::OF_MAX, limit: 100 };
        assert_eq!(after(longest, &"FP".repeat(100)).failures(), 50);
    }

    #[test]
    fn a_run_that_is_an_outage_is_struck_out_and_a_shorter_one_is_not() {
        assert_eq!(after(RULE, "PFF").failures(), 2);
        assert_eq!(after(RULE, "PFFF").failures(), 0);
        assert_eq!(after(RULE, "PFPFFFFFFFFF").failures(), 1);
        assert_eq!(after(RULE, "FFFFFPF").failures(), 1, "a pass ends the outage");
    }

    #[test]
    fn it_is_said_how_many_failures_break_the_rule_and_how_many_passes_mend_it() {
        assert_eq!(after(RULE, "FPFPFP").failures_missing(RULE), 3);
        assert_eq!(after(RULE, "FPFPFPFPFPFPFPF").failures_missing(RULE), 1, "only an observation breaks it");
        let lossy = after(RULE, &"FPP".repeat(6));
        assert_eq!(lossy.failures(), 6);
        // Eighteen are in: two passes fill the window, then the three oldest failures, three apart, have to leave.
        assert_eq!(lossy.passes_missing(RULE), 2 + 1 + 3 + 3);
        assert_eq!(after(RULE, "FPFPF").passes_missing(RULE), 0);
    }

    #[test]
    fn the_stricter_of_two_rules_tolerates_the_smaller_share() {
        let (third, half) = (WindowRule { of: 30, limit: 10 }, WindowRule { of: 10, limit: 5 });
        assert_eq!(third.stricter(half), third);
        assert_eq!(half.stricter(third), third);
        let short = WindowRule { of: 3, limit: 1 };
        assert_eq!(third.stricter(short), short, "of equal shares the shorter window is broken sooner");
    }

    #[test]
    fn the_newest_failures_can_be_forgiven_and_older_ones_not() {
        let mut window = after(RULE, "FPFF");
        window.forgive();
        assert_eq!((window.failures(), window.len()), (1, 2));
        window.forgive();
        assert_eq!(window.failures(), 1);
    }

    #[test]
    fn a_window_is_recalled_from_its_outcomes() {
        for letters in ["", "F", "PFPFPP", "PFF", "PFFF"] {
            let window = after(RULE, letters);
            assert_eq!(Window::recalled(window.outcomes(), window.run()), window, "{letters}");
        }
    }

    #[test]
    fn a_shorter_window_forgets_what_no_longer_fits() {
        let mut window = after(RULE, "FPFPFPFP");
        window.adopt(Some(WindowRule { of: 4, limit: 2 }));
        assert_eq!((window.failures(), window.len()), (2, 4));
        window.adopt(None);
        assert_eq!((window.failures(), window.len()), (0, 0));
    }
}
