//! The files of the journal, read line by line: both segments, the older one first.
//!
//! However long the journal and its lines are, one line at a time is held, and none that nobody wants or that is too long.

use super::writer::{NAME, PREVIOUS};
use crate::io::seal;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Both segments, open.
#[derive(Debug)]
pub struct Segments {
    /// The older one first, each with its name.
    files: Vec<(&'static str, File)>,
}

/// A line of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// As it was written.
    Sound(&'a str),
    /// Nobody wanted to know.
    Unwanted,
    /// Not what was written.
    Damaged,
}

impl Segments {
    /// Opens the journal in `directory`; what is not there is empty.
    ///
    /// # Errors
    /// When a file is there and cannot be opened; says which and why.
    pub fn open(directory: &Path) -> Result<Segments, String> {
        Segments::open_between(directory, || {})
    }

    /// As [`Segments::open`]; `meanwhile` is called between one file and the other.
    fn open_between(directory: &Path, mut meanwhile: impl FnMut()) -> Result<Segments, String> {
        let fault = |name: &str, error: &io::Error| format!("{} cannot be read: {error}", directory.join(name).display());
        let open = |name: &'static str| match File::open(directory.join(name)) {
            Ok(file) => Ok(Some((name, file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(name, &error)),
        };
        // The newer one first: if it becomes the older one meanwhile, it is found twice, and nothing is missed.
        let (mut newer, mut older) = (open(NAME)?, None);
        for _ in 0..TRIES {
            meanwhile();
            older = open(PREVIOUS)?;
            let is_twice = match (&newer, &older) {
                (Some((_, newer)), Some((_, older))) => {
                    identity(newer).map_err(|error| fault(NAME, &error))? == identity(older).map_err(|error| fault(PREVIOUS, &error))?
                }
                (Some(_), None) | (None, Some(_) | None) => false,
            };
            if !is_twice {
                break;
            }
            newer = open(NAME)?;
        }
        Ok(Segments { files: older.into_iter().chain(newer).collect() })
    }

    /// Tells `take` each line, from the first on. Of a line of which `wants` does not like the beginning ([`HEAD`] octets, if it has so many)
    /// nothing more is looked at.
    ///
    /// # Errors
    /// When a file cannot be read to its end.
    pub fn each(&mut self, mut wants: impl FnMut(&str) -> bool, mut take: impl FnMut(Line<'_>)) -> Result<(), String> {
        for (name, file) in &mut self.files {
            read(file, &mut wants, &mut take).map_err(|error| format!("{name} cannot be read to its end: {error}"))?;
        }
        Ok(())
    }
}

/// Segments change places once in so many megabytes: not twice while two files are opened.
const TRIES: usize = 3;

/// By which a file is known whatever it is called.
fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn read(file: &mut File, wants: &mut impl FnMut(&str) -> bool, take: &mut impl FnMut(Line<'_>)) -> io::Result<()> {
    file.rewind()?;
    let mut octets = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    while let Some(whole) = next_line(&mut octets, &mut line, wants)? {
        let text = std::str::from_utf8(&line).unwrap_or("\0").trim_ascii_end();
        match whole {
            Read::Unwanted => take(Line::Unwanted),
            Read::Whole if text.is_empty() => {}
            Read::Whole if seal::is_intact(text) => take(Line::Sound(text)),
            Read::Whole | Read::TooLong => take(Line::Damaged),
        }
    }
    Ok(())
}

/// How much of a line was read.
enum Read {
    Whole,
    Unwanted,
    TooLong,
}

fn next_line(octets: &mut impl BufRead, line: &mut Vec<u8>, wants: &mut impl FnMut(&str) -> bool) -> io::Result<Option<Read>> {
    line.clear();
    let (mut read, mut is_asked) = (None, false);
    loop {
        let found = match octets.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            found => found?,
        };
        if found.is_empty() {
            return Ok(read);
        }
        let end = found.iter().position(|octet| *octet == b'\n').map(|at| at + 1);
        let (part, is_last) = (&found[..end.unwrap_or(found.len())], end.is_some());
        let so_far = read.take().unwrap_or(Read::Whole);
        read = Some(match so_far {
            Read::Whole if line.len() + part.len() > LINE_MAX => Read::TooLong,
            Read::Whole => {
                line.extend_from_slice(part);
                let is_enough = line.len() >= HEAD || is_last;
                if is_enough && !std::mem::replace(&mut is_asked, is_enough) && !wants(head(line)) { Read::Unwanted } else { Read::Whole }
            }
            Read::Unwanted | Read::TooLong => so_far,
        });
        let length = part.len();
        octets.consume(length);
        if is_last {
            return Ok(read);
        }
    }
}

/// The beginning of a line, as far as it is text.
fn head(line: &[u8]) -> &str {
    let head = &line[..line.len().min(HEAD)];
    match std::str::from_utf8(head) {
        Ok(text) => text,
        // A letter is cut at the end, or the line is damaged.
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).expect("valid up to there"),
    }
}

/// So many octets tell the kind of a line whose words are none; see [`is_checkpoint`].
const HEAD: usize = 96;

/// Longer lines are not read: all that is believed of a hundred thousand members is shorter.
pub const LINE_MAX: usize = 64 << 20;

/// Whether a line that begins like this is a checkpoint.
pub fn is_checkpoint(head: &str) -> bool {
    head.contains(r#""text":"","event":"checkpoint""#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::scratch_directory;

    fn texts(segments: &mut Segments) -> Vec<String> {
        let mut texts = Vec::new();
        let take = |line: Line<'_>| {
            texts.push(match line {
                Line::Sound(text) => text.chars().filter(char::is_ascii_alphabetic).take_while(|letter| *letter != 'c').collect(),
                Line::Unwanted => "unwanted".to_owned(),
                Line::Damaged => "damaged".to_owned(),
            });
        };
        segments.each(|head| !head.contains("not"), take).expect("readable");
        texts
    }

    fn line(text: &str) -> String {
        seal::seal(&format!(r#"{{"{text}":1}}"#)) + "\n"
    }

    #[test]
    fn the_older_segment_comes_first_and_what_is_not_there_is_empty() {
        let directory = scratch_directory();
        assert!(texts(&mut Segments::open(directory.path()).expect("empty")).is_empty());
        directory.write(NAME, &(line("newer") + &line("not") + "torn\n\n" + &line("end")));
        directory.write(PREVIOUS, &line("older"));
        let mut segments = Segments::open(directory.path()).expect("there");
        assert_eq!(texts(&mut segments), ["older", "newer", "unwanted", "damaged", "end"]);
        assert_eq!(texts(&mut segments).len(), 5, "and so again");
    }

    #[test]
    fn segments_that_change_places_while_they_are_opened_are_both_read() {
        let directory = scratch_directory();
        let path = |name| directory.path().join(name);
        directory.write(PREVIOUS, &line("gone"));
        directory.write(NAME, &line("older"));
        let mut rotations = 1;
        let rotate = || {
            if std::mem::take(&mut rotations) > 0 {
                std::fs::rename(path(NAME), path(PREVIOUS)).expect("there");
                directory.write(NAME, &line("newer"));
            }
        };
        assert_eq!(texts(&mut Segments::open_between(directory.path(), rotate).expect("there")), ["older", "newer"]);
    }

    #[test]
    fn what_cannot_be_opened_is_no_empty_journal() {
        let directory = scratch_directory();
        // Whoever runs the tests may be allowed to read everything; nobody reads a directory, or a loop.
        std::os::unix::fs::symlink(PREVIOUS, directory.path().join(PREVIOUS)).expect("writable");
        let error = Segments::open(directory.path()).expect_err("a loop");
        assert!(error.contains("journal.previous.jsonl cannot be read: "), "{error}");
        std::fs::remove_file(directory.path().join(PREVIOUS)).expect("there");
        std::fs::create_dir(directory.path().join(NAME)).expect("writable");
        let error = Segments::open(directory.path()).expect("it can be opened").each(|_| true, |_| {}).expect_err("and not be read");
        assert!(error.contains("journal.jsonl cannot be read to its end: "), "{error}");
    }

    #[test]
    fn a_line_that_nobody_wants_or_that_is_too_long_is_not_held() {
        let long = format!("{}\n{}", "x".repeat(LINE_MAX + 1), line("after"));
        let (mut octets, mut held) = (io::Cursor::new(long), Vec::new());
        assert!(matches!(next_line(&mut octets, &mut held, &mut |_| true), Ok(Some(Read::TooLong))));
        assert!(matches!(next_line(&mut octets, &mut held, &mut |_| true), Ok(Some(Read::Whole))));
        assert!(matches!(next_line(&mut octets, &mut held, &mut |_| true), Ok(None)));
        let unwanted = "y".repeat(LINE_MAX / 2) + "\n";
        let (mut octets, mut held) = (BufReader::with_capacity(128, io::Cursor::new(unwanted)), Vec::new());
        assert!(matches!(next_line(&mut octets, &mut held, &mut |head| head.len() != HEAD), Ok(Some(Read::Unwanted))));
        assert!(held.capacity() < 1024, "{}", held.capacity());
    }
}
