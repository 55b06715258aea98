//! Which files a config consists of, and what was in them: by that the journal knows one config from another.

use super::journal::FileNote;
use aws_lc_rs::digest::{Context, SHA256, digest};
use std::fmt::Write;
use std::path::Path;

/// The files of one config, as they were read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// In the order of reading; each once.
    pub files: Vec<FileNote>,
}

impl Manifest {
    /// Notes a file that was read.
    pub fn note(&mut self, path: &Path, contents: &[u8]) {
        let path = path.display().to_string();
        if self.files.iter().all(|file| file.path != path) {
            self.files.push(FileNote { path, sha256: hex(digest(&SHA256, contents).as_ref()), octets: contents.len() as u64 });
        }
    }

    /// Equal for equal contents of equal files; empty for no files.
    pub fn fingerprint(&self) -> String {
        if self.files.is_empty() {
            return String::new();
        }
        let mut context = Context::new(&SHA256);
        for FileNote { path, sha256, .. } in &self.files {
            // No path holds a zero.
            context.update(path.as_bytes());
            context.update(b"\0");
            context.update(sha256.as_bytes());
        }
        hex(context.finish().as_ref())
    }

    /// How long all files are together, in octets.
    pub fn octets(&self) -> u64 {
        self.files.iter().map(|file| file.octets).sum()
    }
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
        let mut manifest = Manifest::default();
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
        assert_eq!(fingerprint(&[("a", "1"), ("b", "2"), ("a", "1")]), fingerprint(&[("a", "1"), ("b", "2")]), "read twice");
    }

    #[test]
    fn a_file_is_known_by_its_sha_256() {
        let mut manifest = Manifest::default();
        manifest.note(Path::new("a"), b"abc");
        assert_eq!(manifest.files[0].sha256, "ba7816bf8f01cfea414140de5dae2223", "FIPS 180-4");
        assert_eq!(manifest.octets(), 3);
    }
}
