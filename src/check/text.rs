//! What a response must say: texts and a pattern that are to be found near its beginning.
//!
//! Octets go in, a yes or a reason comes out. Knows nothing of where they come from: the body of an HTTP response, or what a
//! TCP server says by itself. The pattern is matched in time linear in the octets, whatever the pattern.

use crate::health::FailReason;
use regex::bytes::{Regex, RegexBuilder};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What must be found within the first octets of a response. The default asks for nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TextRule {
    /// Texts, each of which must be there.
    pub contains: Vec<Arc<str>>,
    /// A pattern that must match somewhere.
    pub matches: Option<Pattern>,
    /// How many octets are looked at; what comes later counts for nothing.
    pub within: usize,
}

impl TextRule {
    /// How many octets are looked at where nothing is written: sixteen times what a health page has to say.
    pub const WITHIN: usize = 64 * 1024;
    /// Asks for nothing.
    pub const NONE: TextRule = TextRule { contains: Vec::new(), matches: None, within: TextRule::WITHIN };

    /// Whether nothing is asked for.
    pub const fn is_empty(&self) -> bool {
        self.contains.is_empty() && self.matches.is_none()
    }

    /// Judges what came; more than `within` octets may be given.
    ///
    /// # Errors
    /// What was not found.
    pub fn judge(&self, octets: &[u8]) -> Result<(), FailReason> {
        self.missing(octets).map_or(Ok(()), |what| Err(FailReason::Content(what)))
    }

    /// What is not there yet; none when all is.
    pub fn missing(&self, octets: &[u8]) -> Option<Box<str>> {
        let seen = &octets[..octets.len().min(self.within)];
        if let Some(text) = self.contains.iter().find(|text| !holds(seen, text.as_bytes())) {
            return Some(missing(&format!("`{text}`"), seen));
        }
        let pattern = self.matches.as_ref().filter(|pattern| !pattern.regex.is_match(seen))?;
        Some(missing(&format!("a match of /{pattern}/"), seen))
    }
}

fn missing(what: &str, seen: &[u8]) -> Box<str> {
    if seen.is_empty() {
        return format!("{what} is not there: nothing came").into();
    }
    let beginning: String = String::from_utf8_lossy(&seen[..seen.len().min(SHOWN_MAX)]).escape_debug().collect();
    let more = if seen.len() > SHOWN_MAX { "…" } else { "" };
    format!("{what} is not in the {} octets looked at: \"{beginning}{more}\"", seen.len()).into()
}

/// As much of a response as tells which one it is; more does not belong into a log.
const SHOWN_MAX: usize = 40;

fn holds(octets: &[u8], text: &[u8]) -> bool {
    octets.windows(text.len().max(1)).any(|window| window == text) || text.is_empty()
}

/// A regular expression over octets. Two are equal when their texts are.
#[derive(Clone)]
pub struct Pattern {
    regex: Regex,
}

/// Bytes that a compiled pattern may take: far more than anybody needs to find a word on a page.
const COMPILED_MAX: usize = 256 * 1024;

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in the words of the library, on one line.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let compiled = RegexBuilder::new(text).size_limit(COMPILED_MAX).build();
        compiled.map(|regex| Pattern { regex }).map_err(|error| last_line(&error.to_string()))
    }
}

/// The library draws the pattern over several lines, and says at last what is wrong.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.regex.as_str().hash(state);
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.regex.as_str())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{self}/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(contains: &[&str], matches: Option<&str>, within: usize) -> TextRule {
        let matches = matches.map(|text| Pattern::parse(text).expect("a sound pattern"));
        TextRule { contains: contains.iter().map(|&text| text.into()).collect(), matches, within }
    }

    #[test]
    fn every_text_and_the_pattern_must_be_found() {
        let both = rule(&["ok", "db"], Some(r"queue: [0-9]{1,2}\b"), 100);
        assert!(both.judge(b"ok db queue: 7").is_ok());
        for lacking in ["ok queue: 7", "ok db queue: 700", "", "OK db queue: 7"] {
            assert!(both.judge(lacking.as_bytes()).is_err(), "{lacking}");
        }
        assert!(TextRule::NONE.judge(b"").is_ok());
    }

    #[test]
    fn what_lies_beyond_the_first_octets_counts_for_nothing() {
        assert!(rule(&["ok"], None, 4).judge(b"..ok").is_ok());
        assert!(rule(&["ok"], None, 4).judge(b"...ok").is_err());
        assert!(rule(&[], Some("ok"), 4).judge(b"...ok").is_err());
    }

    #[test]
    fn octets_that_are_no_text_are_searched_all_the_same() {
        assert!(rule(&["ok"], Some("o."), 10).judge(b"\xff\xfeok\x00").is_ok());
    }

    #[test]
    fn a_failure_says_what_was_not_found_and_how_what_came_begins() {
        let reason = rule(&["ready"], None, 10).judge(b"starting").expect_err("it is not there");
        assert_eq!(reason.to_string(), "unexpected content: `ready` is not in the 8 octets looked at: \"starting\"");
        let reason = rule(&["ready"], None, 100).judge(format!("a\n{}", "x".repeat(50)).as_bytes()).expect_err("it is not there");
        assert!(reason.to_string().ends_with(&format!(": \"a\\n{}…\"", "x".repeat(38))), "{reason}");
        assert!(rule(&["ready"], None, 100).judge(b"").expect_err("nothing").to_string().ends_with("nothing came"));
    }

    #[test]
    fn a_pattern_that_is_none_or_too_large_is_refused_in_one_line() {
        assert_eq!(Pattern::parse("a(b").expect_err("unclosed"), "unclosed group");
        assert!(Pattern::parse(r"(\w{100}){100}").is_err());
    }
}
