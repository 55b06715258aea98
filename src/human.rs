//! Spans of time as people write them, for logs and tables.

use std::time::Duration;

/// A span in its two largest units: `2h13m`, `3d4h`, `45s`; `1.5s` below ten seconds, `12ms` below one, `0.4ms` below ten
/// milliseconds.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span < Duration::from_millis(10) => format!("{:.1}ms", span.as_secs_f64() * 1e3),
        0 => format!("{}ms", span.as_millis()),
        1..10 => short(span),
        10..60 => format!("{seconds}s"),
        60..3_600 => pair(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => pair(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        86_400.. => pair(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

fn short(span: Duration) -> String {
    let tenths = span.as_millis() / 100;
    match tenths % 10 {
        0 => format!("{}s", tenths / 10),
        rest => format!("{}.{rest}s", tenths / 10),
    }
}

fn pair(major: u64, major_unit: &str, minor: u64, minor_unit: &str) -> String {
    match minor {
        0 => format!("{major}{major_unit}"),
        _ => format!("{major}{major_unit}{minor}{minor_unit}"),
    }
}

/// A count with its noun: `1 pool`, `2 pools`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ if noun.ends_with('s') => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_in_their_two_largest_units() {
        let cases: [(u64, &str); 10] = [
            (0, "0.0ms"),
            (12, "12ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (1_550, "1.5s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (61_000, "1m1s"),
            (7_980_000, "2h13m"),
            (90_000_000, "1d1h"),
        ];
        for (millis, text) in cases {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn one_is_singular_and_the_rest_is_not() {
        assert_eq!((count(0, "pool"), count(1, "pool"), count(2, "pool")), ("0 pools".into(), "1 pool".into(), "2 pools".into()));
    }
}
