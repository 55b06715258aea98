//! Master file text to entries (RFC 1035 section 5.1): the words from one line end to the next, parentheses, quotes and comments
//! settled.
//!
//! Knows no names, types or directives: that is what `master` reads out of the words.

use std::ops::Range;

/// A word of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word {
    start: u32,
    end: u32,
    /// Whether it stood between quotes, which are not part of it.
    pub quoted: bool,
}

impl Word {
    fn new(range: Range<usize>, quoted: bool) -> Word {
        let at = |at: usize| u32::try_from(at).expect("master files are below 4 GiB");
        Word { start: at(range.start), end: at(range.end), quoted }
    }

    /// Where it stands, quotes not included.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Where it stands, quotes included.
    pub fn outer(self) -> Range<usize> {
        let quote = usize::from(self.quoted);
        self.start as usize - quote..self.end as usize + quote
    }
}

/// An entry: a directive or a record. Reused from one to the next.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// At least one.
    pub words: Vec<Word>,
    /// Whether it begins with a blank: it belongs to the owner of the record before.
    pub indented: bool,
    /// Whether it holds parentheses: its text is then not one line.
    pub folded: bool,
}

/// What no entry can be made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ScanError {
    /// A quote that is not closed on its line.
    UnclosedQuote,
    /// A parenthesis that is not closed at all.
    UnclosedParenthesis,
    /// A parenthesis that closes nothing.
    StrayParenthesis,
}

/// Walks through a text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Scanner<'a> {
        // Editors on some systems put a byte order mark in front.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Scanner { text: text.as_bytes(), at }
    }

    /// Reads the next entry; `None` at the end of the text. A fault costs its entry, with where it is.
    pub fn next(&mut self, entry: &mut Entry) -> Option<Result<(), (ScanError, Range<usize>)>> {
        entry.words.clear();
        entry.folded = false;
        entry.indented = self.at_blank();
        let mut open: Vec<usize> = Vec::new();
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\n' => {
                    self.at += 1;
                    if open.is_empty() && !entry.words.is_empty() {
                        return Some(Ok(()));
                    }
                    if open.is_empty() {
                        entry.indented = self.at_blank();
                    }
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b';' => self.at = self.line_end(),
                b'(' => {
                    open.push(self.at);
                    entry.folded = true;
                    self.at += 1;
                }
                b')' => {
                    self.at += 1;
                    if open.pop().is_none() {
                        return Some(Err(self.give_up(ScanError::StrayParenthesis, self.at - 1)));
                    }
                }
                b'"' => match self.quoted() {
                    Some(word) => entry.words.push(word),
                    None => return Some(Err(self.give_up(ScanError::UnclosedQuote, self.at))),
                },
                _ => entry.words.push(self.word()),
            }
        }
        if let Some(&at) = open.last() {
            return Some(Err((ScanError::UnclosedParenthesis, at..at + 1)));
        }
        (!entry.words.is_empty()).then_some(Ok(()))
    }

    fn at_blank(&self) -> bool {
        matches!(self.text.get(self.at), Some(b' ' | b'\t'))
    }

    /// Goes on behind this line.
    fn give_up(&mut self, error: ScanError, at: usize) -> (ScanError, Range<usize>) {
        self.at = (self.line_end() + 1).min(self.text.len());
        (error, at..at + 1)
    }

    /// Where the line ends, its line feed not included.
    fn line_end(&self) -> usize {
        let rest = &self.text[self.at..];
        self.at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
    }

    fn word(&mut self) -> Word {
        let start = self.at;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' => break,
                // A backslash takes the meaning of what follows; the line's end keeps it.
                b'\\' if !matches!(self.text.get(self.at + 1), None | Some(b'\n' | b'\r')) => self.at += 2,
                _ => self.at += 1,
            }
        }
        Word::new(start..self.at, false)
    }

    /// The word between two quotes on one line.
    fn quoted(&mut self) -> Option<Word> {
        let mut at = self.at + 1;
        loop {
            match self.text.get(at)? {
                b'"' => break,
                b'\n' => return None,
                b'\\' if self.text.get(at + 1) != Some(&b'\n') => at += 2,
                _ => at += 1,
            }
        }
        let word = Word::new(self.at + 1..at, true);
        self.at = at + 1;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each entry with its words in brackets, `>` in front when it is indented; or its fault.
    fn scan(text: &str) -> Vec<String> {
        let mut scanner = Scanner::new(text);
        let mut entry = Entry::default();
        let mut seen = Vec::new();
        while let Some(result) = scanner.next(&mut entry) {
            seen.push(match result {
                Ok(()) => {
                    let words = entry.words.iter().fold(String::new(), |words, word| words + "[" + &text[word.range()] + "]");
                    format!("{}{words}", if entry.indented { ">" } else { "" })
                }
                Err((error, range)) => format!("{error:?} {}", &text[range]),
            });
        }
        seen
    }

    #[test]
    fn an_entry_is_a_line_and_comments_and_empty_lines_are_none() {
        assert_eq!(scan("; head\n\na A 1 ; tail\r\n  \n\tB 2\nc"), ["[a][A][1]", ">[B][2]", "[c]"]);
        assert_eq!(scan(""), Vec::<String>::new());
        assert_eq!(scan("\u{feff}a b\n"), ["[a][b]"]);
    }

    #[test]
    fn parentheses_join_lines_and_need_no_blanks() {
        assert_eq!(scan("a SOA b(1 ; one\n 2\n)c\nd e"), ["[a][SOA][b][1][2][c]", "[d][e]"]);
    }

    #[test]
    fn quotes_and_backslashes_protect_what_would_end_a_word() {
        assert_eq!(scan(r#"a "b ; (c" "d\"e""f" g\ h\;i\("#), [r#"[a][b ; (c][d\"e][f][g\ h\;i\(]"#]);
    }

    #[test]
    fn a_fault_costs_its_line_and_no_other() {
        assert_eq!(scan("a \"b\nc d)\ne f\n"), ["UnclosedQuote \"", "StrayParenthesis )", "[e][f]"]);
        assert_eq!(scan("a (b\nc\n"), ["UnclosedParenthesis ("]);
        assert_eq!(scan("a \\\nb \"\\\nc \\"), ["[a][\\]", "UnclosedQuote \"", "[c][\\]"]);
    }
}
