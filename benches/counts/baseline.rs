//! The stored counts, and what is said of new ones.
//!
//! Text of the form of `benches/counts/baseline.txt` and measured [`Count`]s enter; a [`Report`] leaves. Knows neither how
//! counts are made nor where they are stored.

use std::collections::BTreeMap;
use std::fmt::Write;

/// More than this above the stored count fails. Counts repeat to a small fraction of a percent; three percent is the
/// smallest change that is worth a talk, and larger than what another C library makes of the same code.
const TOLERANCE_PERCENT: u64 = 3;

/// What a scenario was measured to take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Count {
    /// The name of the scenario.
    pub scenario: String,
    /// Instructions per operation, rounded.
    pub instructions: u64,
}

/// The counts to compare with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Baseline(BTreeMap<String, u64>);

/// What is said of a set of counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// A line for each scenario: name, stored and new count, difference.
    pub table: String,
    /// Scenarios that take more than they may, or cannot be compared. There should be none.
    pub faults: Vec<String>,
    /// Scenarios that take so much less that the stored count no longer holds them.
    pub gains: Vec<String>,
}

impl Baseline {
    /// Reads what [`Baseline::text`] wrote: a scenario and its count in each line, `#` before remarks.
    ///
    /// # Errors
    /// The first line that is neither.
    pub fn parse(text: &str) -> Result<Baseline, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let row = |line: &str| {
            let (scenario, count) = line.split_once(char::is_whitespace)?;
            Some((scenario.to_owned(), count.trim().parse().ok()?))
        };
        lines
            .map(|line| row(line).ok_or_else(|| format!("`{line}` is not a scenario with its count")))
            .collect::<Result<_, _>>()
            .map(Baseline)
    }

    /// The counts in the order they were measured in, behind a heading of remarks.
    pub fn text(heading: &[&str], counts: &[Count]) -> String {
        let mut text = String::new();
        for remark in heading {
            writeln!(text, "# {remark}").expect("a string takes everything");
        }
        for Count { scenario, instructions } in counts {
            writeln!(text, "{scenario:<24} {instructions:>12}").expect("a string takes everything");
        }
        text
    }

    /// Only the scenarios whose names contain `filter`.
    #[must_use]
    pub fn only(&self, filter: &str) -> Baseline {
        Baseline(self.0.iter().filter(|(scenario, _)| scenario.contains(filter)).map(|(name, count)| (name.clone(), *count)).collect())
    }

    /// Compares all scenarios there are with all that are stored.
    pub fn compare(&self, counts: &[Count]) -> Report {
        let mut report = Report::default();
        for count in counts {
            report.add(count, self.0.get(&count.scenario).copied());
        }
        let measured = |scenario: &str| counts.iter().any(|count| count.scenario == scenario);
        for scenario in self.0.keys().filter(|scenario| !measured(scenario)) {
            report.faults.push(format!("{scenario}: stored, but there is no such scenario"));
        }
        report
    }
}

impl Report {
    fn add(&mut self, Count { scenario, instructions }: &Count, stored: Option<u64>) {
        let Some(stored) = stored else {
            self.row(scenario, "-", *instructions, "");
            self.faults.push(format!("{scenario}: no count is stored"));
            return;
        };
        let change = change_percent(stored, *instructions);
        self.row(scenario, &stored.to_string(), *instructions, &format!("{change:+.2} %"));
        let story = format!("{scenario}: {stored} -> {instructions} instructions, {change:+.2} %");
        if instructions * 100 > stored * (100 + TOLERANCE_PERCENT) {
            self.faults.push(story);
        } else if instructions * 100 < stored * (100 - TOLERANCE_PERCENT) {
            self.gains.push(story);
        }
    }

    fn row(&mut self, scenario: &str, stored: &str, instructions: u64, change: &str) {
        writeln!(self.table, "{scenario:<24} {stored:>12} {instructions:>12} {change:>10}").expect("a string takes everything");
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn change_percent(stored: u64, new: u64) -> f64 {
    if stored == new { 0.0 } else { (new as f64 / stored as f64 - 1.0) * 100.0 }
}
