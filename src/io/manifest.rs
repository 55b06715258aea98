//! Which files a config consists of, and what was in them: by that the journal knows one config from another.
//!
//! Text is carried along until [`super::kept`] has put it away, where it is not too much: databases and keys never are.

use super::journal::FileNote;
use aws_lc_rs::digest::{Context, SHA256, digest};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of one config, as they were read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// The main file.
    pub main: String,
    /// Notes by path.
    files: BTreeMap<String, FileNote>,
    /// Texts by their SHA-256; none once they are too long together.
    texts: Option<BTreeMap<String, Arc<str>>>,
}

/// Longer configs are not carried along: to keep them costs more than a look at version control.
const TEXTS_OCTETS_MAX: usize = 8 << 20;

impl Manifest {
    /// Nothing but the path of the main file.
    pub fn new(main: &Path) -> Manifest {
        Manifest { main: main.display().to_string(), files: BTreeMap::new(), texts: Some(BTreeMap::new()) }
    }

    /// Notes a file that was read, and returns its SHA-256.
    pub fn note(&mut self, path: &Path, contents: &[u8]) -> String {
        let (path, sha256) = (path.display().to_string(), sha256(contents));
        self.files.insert(path.clone(), FileNote { path, sha256: sha256.clone(), octets: contents.len() as u64 });
        sha256
    }

    /// Notes a file of text, and carries it along.
    pub fn note_text(&mut self, path: &Path, text: &str) {
        let sha256 = self.note(path, text.as_bytes());
        let Some(texts) = &mut self.texts else { return };
        let octets: usize = texts.values().map(|text| text.len()).sum();
        if octets + text.len() > TEXTS_OCTETS_MAX {
            self.texts = None;
        } else {
            texts.insert(sha256, text.into());
        }
    }

    /// The files, by path.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &FileNote> {
        self.files.values()
    }

    /// The texts by their SHA-256; none when they were too long together.
    pub const fn texts(&self) -> Option<&BTreeMap<String, Arc<str>>> {
        self.texts.as_ref()
    }

    /// Lets the texts go: they are put away, or nobody wants them.
    #[must_use]
    pub fn without_texts(&self) -> Manifest {
        Manifest { main: self.main.clone(), files: self.files.clone(), texts: None }
    }

    /// Equal for equal contents of equal files, wherever the directory of the main file is and however it is named; empty for no files.
    pub fn fingerprint(&self) -> String {
        if self.files.is_empty() {
            return String::new();
        }
        let base = Path::new(&self.main).parent().unwrap_or(Path::new(""));
        let relative = |note: &FileNote| Path::new(&note.path).strip_prefix(base).map_or_else(|_| note.path.clone().into(), Path::to_owned);
        // Sorted only now: where the directory is decides how whole paths sort.
        let files: BTreeMap<PathBuf, &str> = self.files.values().map(|note| (relative(note), note.sha256.as_str())).collect();
        let mut context = Context::new(&SHA256);
        for (path, sha256) in files {
            // No path holds a zero.
            context.update(path.as_os_str().as_encoded_bytes());
            context.update(b"\0");
            context.update(sha256.as_bytes());
        }
        hex(context.finish().as_ref())
    }

    /// How long all files are together, in octets.
    pub fn octets(&self) -> u64 {
        self.files.values().map(|file| file.octets).sum()
    }
}

/// The first half of the SHA-256 of `contents`, as digits.
pub fn sha256(contents: &[u8]) -> String {
    hex(digest(&SHA256, contents).as_ref())
}

/// Half of a digest as text: 128 bits tell all configs there will ever be apart.
fn hex(digest: &[u8]) -> String {
    digest.iter().take(16).fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").expect("a String takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(files: &[(&str, &str)]) -> String {
        let mut manifest = Manifest::new(Path::new("main"));
        for (path, contents) in files {
            manifest.note(Path::new(path), contents.as_bytes());
        }
        manifest.fingerprint()
    }

    #[test]
    fn a_fingerprint_changes_with_every_path_and_every_octet_and_with_nothing_else() {
        let all = [
            fingerprint(&[]),
            fingerprint(&[("a", "1")]),
            fingerprint(&[("a", "2")]),
            fingerprint(&[("b", "1")]),
            fingerprint(&[("a", "1"), ("b", "1")]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| other != one), "{index}");
        }
        assert_eq!(fingerprint(&[("b", "2"), ("a", "1"), ("b", "2")]), fingerprint(&[("a", "1"), ("b", "2")]), "in any order");
    }

    #[test]
    fn a_fingerprint_does_not_depend_on_how_the_directory_is_named() {
        let read_as = |base: &str| {
            let mut manifest = Manifest::new(&Path::new(base).join("main"));
            for (path, contents) in [("main", "1"), ("zones/a", "2")] {
                manifest.note(&Path::new(base).join(path), contents.as_bytes());
            }
            // Named by its whole path in the config, so that it is the same file for everybody.
            manifest.note(Path::new("/geo/city.mmdb"), b"3");
            manifest.fingerprint()
        };
        let all = ["", ".", "etc", "../etc", "/srv/etc"].map(read_as);
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    }

    #[test]
    fn a_file_is_known_by_its_sha_256() {
        let mut manifest = Manifest::new(Path::new("main"));
        manifest.note(Path::new("a"), b"abc");
        assert_eq!(manifest.files().next().expect("one").sha256, "ba7816bf8f01cfea414140de5dae2223", "FIPS 180-4");
        assert_eq!(manifest.octets(), 3);
    }

    #[test]
    fn texts_are_carried_along_up_to_their_bound_and_none_of_them_beyond_it() {
        let mut manifest = Manifest::new(Path::new("main"));
        manifest.note_text(Path::new("a"), &"x".repeat(TEXTS_OCTETS_MAX));
        assert_eq!(manifest.texts().map(BTreeMap::len), Some(1));
        manifest.note_text(Path::new("b"), "y");
        assert!(manifest.texts().is_none() && manifest.files().len() == 2);
    }
}
