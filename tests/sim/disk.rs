//! The disk of the node: the two files that a restart may find, as octets, and what the world knows of them.
//!
//! The texts are those of the shipped program. Here they are torn and spoilt; which of them must count then is known from what was done to
//! them, not from reading them.

use super::chance::Chance;
use super::operator::Book;
use super::oracle::Oracle;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steersman::beliefs::Saved;
use steersman::clock::Moment;
use steersman::io::state_text::{Reading, Recall, encode};

/// Two files: the newest, and the one before it.
#[derive(Default)]
pub struct Disk {
    files: [Option<File>; 2],
}

/// One file.
struct File {
    octets: Vec<u8>,
    /// What it says; none since it was spoilt.
    says: Option<Save>,
}

/// What was saved, and what was true then.
#[derive(Clone, Default)]
pub struct Save {
    pub saved: Saved,
    /// When, by the clock of the process.
    pub at: Moment,
    /// What the wall clock said.
    pub wall: Duration,
    /// What was seen until then.
    pub oracle: Oracle,
    /// What was ordered until then.
    pub book: Book,
}

/// What becomes of the disk when a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It saved everything, and ended.
    Clean,
    /// It was killed between two saves.
    Killed,
    /// It was killed in the middle of a save: so many thousandths of the new file reached the disk.
    Torn(u64),
    /// The newest file was spoilt later: this octet, in thousandths of the file, is another one.
    Spoilt(u64),
}

impl Disk {
    /// Writes a file as the program does: the one that was there becomes the one before it, unless it is spoilt.
    pub fn write(&mut self, save: Save) {
        let octets = encode(&save.saved, save.at, ms(save.wall)).into_bytes();
        let [newest, before] = &mut self.files;
        if newest.as_ref().is_some_and(|file| file.says.is_some()) {
            *before = newest.take();
        }
        *newest = Some(File { octets, says: Some(save) });
    }

    /// A process ends, which would have saved this next.
    pub fn end(&mut self, end: End, save: Save) {
        match end {
            End::Killed => {}
            End::Clean => self.write(save),
            End::Torn(permille) => {
                self.write(save);
                self.spoil(permille, Vec::truncate);
            }
            End::Spoilt(permille) => self.spoil(permille, |octets, at| octets[at] ^= 0x10),
        }
    }

    fn spoil(&mut self, permille: u64, how: impl Fn(&mut Vec<u8>, usize)) {
        let Some(file) = &mut self.files[0] else { return };
        // The last octet only ends the line.
        let at = (file.octets.len() - 1) * usize::try_from(permille).expect("a thousand") / 1_000;
        how(&mut file.octets, at);
        file.says = None;
    }

    /// What a process must find that begins now; none when nothing is left.
    pub fn counts(&self) -> Option<(PathBuf, &Save)> {
        let mut files = NAMES.iter().zip(&self.files);
        files.find_map(|(name, file)| Some((PathBuf::from(name), file.as_ref()?.says.as_ref()?)))
    }

    /// What the program finds.
    pub fn read(&self, reading: Reading) -> Recall {
        reading.recall(NAMES.map(PathBuf::from), |path| self.octets(path).map(<[u8]>::to_vec))
    }

    /// The octets of a file.
    pub fn octets(&self, path: &Path) -> io::Result<&[u8]> {
        let named = NAMES.iter().zip(&self.files).find(|(name, _)| Path::new(name) == path);
        named.and_then(|(_, file)| Some(&*file.as_ref()?.octets)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl End {
    pub fn drawn(chance: &mut Chance) -> End {
        match chance.index(10) {
            0..=3 => End::Clean,
            4..=6 => End::Killed,
            7 | 8 => End::Torn(chance.between(0, 999)),
            _ => End::Spoilt(chance.between(0, 999)),
        }
    }
}

/// Milliseconds, as files have them.
pub fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("no world lasts so long")
}

const NAMES: [&str; 2] = ["newest", "before"];
