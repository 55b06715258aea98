//! Points in time as operators write them: `2026-11-20T03:12:07Z`, `2h`, `-2h`, `2h ago`, `now`.

use crate::calendar;
use crate::config::reader::parse_duration;

/// The milliseconds since 1970 of a text; a span is so long before `now_unix_ms`.
///
/// # Errors
/// Says what to write instead.
pub fn parse(text: &str, now_unix_ms: u64) -> Result<u64, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(now_unix_ms);
    }
    let span = text.strip_prefix('-').unwrap_or(text);
    let span = span.strip_suffix("ago").map_or(span, str::trim_end);
    if let Ok(span) = parse_duration(span) {
        return Ok(now_unix_ms.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)));
    }
    let help = "write a time such as 2026-11-20T03:12:07Z, or how long ago, such as 2h or `90m ago`";
    calendar::parse(text).ok_or_else(|| format!("`{text}` is no point in time; {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_full_or_as_how_long_ago() {
        let now = 1_709_208_000_000;
        for (text, expected) in [
            ("now", now),
            ("2h", now - 7_200_000),
            ("-2h", now - 7_200_000),
            ("2h ago", now - 7_200_000),
            ("1h30m", now - 5_400_000),
            ("2024-02-29T11:00:00Z", now - 3_600_000),
            ("2024-02-29 13:00:00+01:00", now),
        ] {
            assert_eq!(parse(text, now), Ok(expected), "{text}");
        }
        for text in ["", "yesterday", "2", "2024-02-29"] {
            assert!(parse(text, now).is_err_and(|help| help.contains("2h")), "{text}");
        }
    }
}
