//! Markdown tables, and the few statistics that stand in them.

use std::fmt;

/// A table of words in the first column and numbers in the others: printed with `{}`.
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows: the head of its first column, and those of the columns of numbers.
    pub fn new(first: &str, numbers: &[&str]) -> Table {
        Table { columns: std::iter::once(&first).chain(numbers).map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row with a cell for every column.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "| {} |", self.columns.join(" | "))?;
        writeln!(f, "|---|{}", "---:|".repeat(self.columns.len().saturating_sub(1)))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// The middle value; of an even number of values the mean of the two in the middle; NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// How far the extremes are apart, as a share of the median.
pub fn spread(values: Vec<f64>) -> f64 {
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    (high - low) / median(values)
}

/// A whole number with a comma after every three digits.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![9.0, 1.0, 5.0]) - 5.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 9.0]) - 3.0).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn the_spread_is_a_share_of_the_median() {
        assert!((spread(vec![90.0, 100.0, 120.0]) - 0.3).abs() < 1e-9);
    }

    #[test]
    fn large_numbers_have_commas() {
        assert_eq!(["7", "700", "7,000", "1,234,567"], [7.0, 700.0, 7000.0, 1_234_567.4].map(thousands)[..]);
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new("a", &["b"]);
        table.row(vec!["x".to_owned(), "1".to_owned()]);
        assert_eq!(table.to_string(), "| a | b |\n|---|---:|\n| x | 1 |\n");
    }
}
