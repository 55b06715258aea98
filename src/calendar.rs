//! Points in time as people write them: RFC 3339, in UTC.
//!
//! Seconds since 1970 go in and come out; leap seconds do not exist, as they do not in those. Reads no clock.

/// The longest months are these, from January; February of a leap year has a day more.
const DAYS_OF_MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const DAY_S: u64 = 86_400;

/// A second since 1970 as `2026-11-20 03:12:07Z` (RFC 3339 section 5.6, with a space for better reading).
pub fn show(unix_s: u64) -> String {
    let (days, second) = (unix_s / DAY_S, unix_s % DAY_S);
    // No year has more than 366 days, so that this is never too late.
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_before(year);
    let mut month = 0;
    while day >= days_of(year, month) {
        day -= days_of(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02}Z", month + 1, day + 1)
}

/// The milliseconds since 1970 of a text such as `2026-11-20T03:12:07Z`, `2026-11-20 04:12:07.5+01:00` or `2026-11-20 03:12Z`; `None`
/// for anything else, a time before 1970 and one without its distance from UTC included.
pub fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', &[4, 2, 2])?;
    let (time, offset_s) = split_offset(time)?;
    let (clock, fraction_ms) = split_fraction(time)?;
    let [hour, minute, second] = match clock.len() {
        5 => {
            let [hour, minute] = numbers(clock, ':', &[2, 2])?;
            [hour, minute, 0]
        }
        _ => numbers(clock, ':', &[2, 2, 2])?,
    };
    let month = usize::try_from(month.checked_sub(1)?).ok()?;
    let is_day = year >= 1970 && month < 12 && (1..=days_of(year, month)).contains(&day);
    // RFC 3339 section 5.7: a leap second is written as the sixtieth.
    if !is_day || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_before(year) + (0..month).map(|month| days_of(year, month)).sum::<u64>() + day - 1;
    let local_s = days * DAY_S + hour * 3_600 + minute * 60 + second;
    Some(local_s.checked_add_signed(-offset_s)? * 1_000 + fraction_ms)
}

/// The fields of a date or a time, each with just so many digits.
fn numbers<const N: usize>(text: &str, separator: char, digits: &[usize; N]) -> Option<[u64; N]> {
    let mut fields = text.split(separator);
    let mut values = [0; N];
    for (value, digits) in values.iter_mut().zip(digits) {
        let field = fields.next().filter(|field| field.len() == *digits && field.bytes().all(|byte| byte.is_ascii_digit()))?;
        *value = field.parse().ok()?;
    }
    fields.next().is_none().then_some(values)
}

/// A time without its distance from UTC, and that, in seconds to the east.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let [hours, minutes] = numbers(&time[at + 1..], ':', &[2, 2])?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i64::try_from(hours * 3_600 + minutes * 60).ok()?;
    Some((&time[..at], if time[at..].starts_with('+') { seconds } else { -seconds }))
}

/// A time without the fraction of its second, and that in milliseconds.
fn split_fraction(time: &str) -> Option<(&str, u64)> {
    let Some((time, fraction)) = time.split_once('.') else { return Some((time, 0)) };
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((time, format!("{fraction:0<3}")[..3].parse().ok()?))
}

/// Days from 1970 to the first of a year.
const fn days_before(year: u64) -> u64 {
    /// Leap days from year 1 to the end of a year.
    const fn leap_days(year: u64) -> u64 {
        year / 4 - year / 100 + year / 400
    }
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
}

/// Days of a month, counted from 0.
const fn days_of(year: u64, month: usize) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    DAYS_OF_MONTHS[month] + (month == 1 && is_leap) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_shown_as_dates() {
        for (unix_s, shown) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_709_251_200, "2024-03-01 00:00:00Z"),
            (1_735_689_599, "2024-12-31 23:59:59Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(show(unix_s), shown);
        }
    }

    #[test]
    fn what_is_shown_reads_back_for_every_day_of_two_centuries() {
        for day in 0..73_000 {
            let unix_s = day * DAY_S + day % DAY_S;
            assert_eq!(parse(&show(unix_s)), Some(unix_s * 1_000), "{}", show(unix_s));
        }
    }

    #[test]
    fn offsets_fractions_and_missing_seconds_are_understood() {
        let noon = Some(1_709_208_000_000);
        for text in ["2024-02-29T12:00:00Z", "2024-02-29 12:00Z", "2024-02-29t13:30:00+01:30", "2024-02-29T11:00:00.000000-01:00"] {
            assert_eq!(parse(text), noon, "{text}");
        }
        assert_eq!(parse("2024-02-29T12:00:00.25Z"), noon.map(|noon| noon + 250));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "now",
            "2024-02-29",
            "2024-02-29T12:00:00",
            "2023-02-29T12:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "24-01-01T00:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+1:00",
            "2024-01-01T00:00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
