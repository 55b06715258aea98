//! What others say of a member: a line in a file, or a report that its agent sent.
//!
//! A file is lines of `MEMBER up` or `MEMBER down WHY`, where MEMBER is `fra-1`, or `web-fra/fra-1` where several pools
//! have one of that name. What begins with `#` is a comment. The last line that names a member counts, and where that says neither, nothing is
//! said of the member: an older line must not speak for it.

use crate::health::FailReason;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A member as feeds and reports name it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Subject {
    /// Its pool.
    pub pool: Arc<str>,
    /// Its name.
    pub member: Arc<str>,
}

/// A file that somebody else writes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FileCheck {
    /// Where it is.
    pub path: Arc<Path>,
    /// Whom to look for.
    pub subject: Subject,
    /// A file that has not been written for longer says nothing any more; none: it never grows old.
    pub expires: Option<Duration>,
}

/// Reports of the member's own agent.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PushCheck {
    /// The monitor that the report names.
    pub monitor: Arc<str>,
    /// Whom it is about.
    pub subject: Subject,
    /// A member of which nothing was heard for this long has failed.
    pub expires: Duration,
    /// What a report must show; none: whoever reaches the admin interface may report.
    pub token: Option<ReportToken>,
}

/// What an agent shows to be believed. Never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ReportToken(Arc<str>);

impl ReportToken {
    /// This text.
    pub fn new(text: &str) -> ReportToken {
        ReportToken(text.into())
    }

    /// Compares with what was shown, in a time that does not tell how much of it was right.
    pub fn is(&self, shown: &str) -> bool {
        let differences = self.0.bytes().zip(shown.bytes()).fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        std::hint::black_box(differences) == 0 && self.0.len() == shown.len()
    }
}

impl fmt::Debug for ReportToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReportToken")
    }
}

/// What was said of a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// Whether it is well.
    pub up: bool,
    /// Why, in the words of whoever said so; may be empty.
    pub why: Box<str>,
}

impl Word {
    /// Judges what was said.
    ///
    /// # Errors
    /// The member is down, and why.
    pub fn judge(&self) -> Result<(), FailReason> {
        if self.up { Ok(()) } else { Err(FailReason::Reported(self.why.clone())) }
    }
}

/// A feed, read once for all members that it names.
#[derive(Debug, Default)]
pub struct Feed {
    /// By name as it stands there: the number of the last line with that name, and its word, where it is one.
    last: HashMap<Box<str>, (usize, Option<Word>)>,
}

impl Feed {
    /// Reads the lines.
    pub fn read(text: &str) -> Feed {
        let mut last = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let (name, rest) = split(line);
            if !name.is_empty() && !name.starts_with('#') {
                last.insert(name.into(), (number, word(rest)));
            }
        }
        Feed { last }
    }

    /// The word on a member; none when the last line that names it has none, or no line does.
    pub fn word(&self, subject: &Subject) -> Option<&Word> {
        let whole = format!("{}/{}", subject.pool, subject.member);
        let named = [&*subject.member, whole.as_str()].into_iter().filter_map(|name| self.last.get(name));
        named.max_by_key(|(number, _)| *number)?.1.as_ref()
    }
}

fn word(text: &str) -> Option<Word> {
    let (word, why) = split(text);
    let up = match word {
        "up" => true,
        "down" => false,
        _ => return None,
    };
    Some(Word { up, why: reason(why) })
}

/// The first word, and the rest.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

/// What is kept of the words of somebody else: as much as a line of a log takes, without signs that would make it two or paint it.
pub fn reason(words: &str) -> Box<str> {
    words.trim().chars().map(harmless).take(REASON_CHARS_MAX).collect()
}

/// The sign itself, or a space in its place: for one that moves the cursor, begins a line, is not seen at all, or turns the text around it
/// (the control, format and line signs of Unicode; beyond the first plane there are only tags and musical beams).
pub const fn harmless(sign: char) -> char {
    match sign {
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{ad}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e007f}' => ' ',
        harmless => harmless,
    }
}

const REASON_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn word(feed: &str) -> Option<(bool, String)> {
        let subject = Subject { pool: "web".into(), member: "fra-1".into() };
        Feed::read(feed).word(&subject).map(|word| (word.up, word.why.clone().into()))
    }

    #[test]
    fn a_member_is_named_alone_or_with_its_pool() {
        assert_eq!(word("fra-1 up\n"), Some((true, String::new())));
        assert_eq!(word("web/fra-1 down  disk full \n"), Some((false, "disk full".into())));
        assert_eq!(word("mail/fra-1 down\nfra-2 down\nfra-11 up\n"), None);
    }

    #[test]
    fn the_last_line_that_names_a_member_counts_in_whichever_way_it_names_it() {
        assert_eq!(word("fra-1 up\nfra-1 down\n# fra-1 up\n\n"), Some((false, String::new())));
        assert_eq!(word("web/fra-1 up\nfra-1 down\n"), Some((false, String::new())));
        assert_eq!(word("fra-1 down\nweb/fra-1 up\n"), Some((true, String::new())));
        assert_eq!(word(""), None);
    }

    #[test]
    fn a_last_line_that_says_neither_says_nothing_and_no_older_one_speaks_for_it() {
        for unsound in ["fra-1 DOWN disk", "fra-1 perhaps", "fra-1", "web/fra-1 downn"] {
            assert_eq!(word(&format!("fra-1 up\n{unsound}\n")), None, "{unsound}");
        }
    }

    #[test]
    fn foreign_words_fit_into_a_line_and_paint_nothing() {
        assert_eq!(&*reason(" a\nb\u{1b}[31m\n"), "a b [31m");
        assert_eq!(&*reason("up\u{202e}nwod\u{2066}\u{200b}."), "up nwod  .");
        assert_eq!(reason(&"ä".repeat(REASON_CHARS_MAX + 1)).chars().count(), REASON_CHARS_MAX);
    }

    #[test]
    fn a_token_is_all_of_itself_and_never_shown() {
        let token = ReportToken::new("0123456789abcdef");
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0", "1123456789abcdef"] {
            assert!(!token.is(wrong), "{wrong}");
        }
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn a_down_member_fails_with_what_was_said() {
        let down = Word { up: false, why: "disk full".into() };
        assert_eq!(down.judge().expect_err("down").to_string(), "reported down: disk full");
        assert!(Word { up: true, why: "".into() }.judge().is_ok());
    }
}
