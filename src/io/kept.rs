//! Configs that were in force, kept beside the journal: so that what was answered then can be explained by the config of then.
//!
//! Below `configs/`, a file for each text, named by its SHA-256, so that configs share what they have in common; and one for each config,
//! named by its fingerprint, that lists its files. Databases are not kept: those in their place count if they are still the same.
//! Those are kept that were in force last, as many as fit their room.

use super::files;
use super::journal::FileNote;
use super::manifest::{Manifest, sha256};
use super::seal;
use crate::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory, below that of the journal.
const DIRECTORY: &str = "configs";
/// What the lists of files end with.
const LIST: &str = "json";
/// So many configs are kept at most, however small they are.
const CONFIGS_MAX: usize = 256;
/// Monitors may hold passwords: nobody but the owner reads them here.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A config, as a list of files.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    main: String,
    files: Vec<FileNote>,
    /// From where their paths count.
    #[serde(default)]
    directory: PathBuf,
    /// Greater than that of all that were in force before it: clocks may be set back.
    #[serde(default)]
    sequence: u64,
}

/// Keeps a config below `directory`, and lets the oldest go that do not fit into so many octets. One that is too long to be carried along is
/// not kept.
///
/// # Errors
/// When the disk does not take it.
pub fn store(directory: &Path, manifest: &Manifest, max_octets: u64) -> io::Result<()> {
    let Some(texts) = manifest.texts().filter(|texts| !texts.is_empty()) else { return Ok(()) };
    let directory = directory.join(DIRECTORY);
    std::fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&directory)?;
    for (sha256_of_text, text) in texts {
        let path = directory.join(sha256_of_text);
        // What is there may have been damaged since.
        if std::fs::read(&path).map_or(true, |there| sha256(&there) != *sha256_of_text) {
            write(&path, text.as_bytes())?;
        }
    }
    let mut lists = lists(&directory)?;
    let listed = Listed {
        main: manifest.main.clone(),
        files: manifest.files().cloned().collect(),
        directory: std::env::current_dir().unwrap_or_default(),
        sequence: lists.first().map_or(0, |(_, newest)| newest.sequence.saturating_add(1)),
    };
    let text = seal::seal(&serde_json::to_string_pretty(&listed).expect("a list is JSON")) + "\n";
    let path = directory.join(format!("{}.{LIST}", manifest.fingerprint()));
    // Also when it is there already: it is the newest now.
    write(&path, text.as_bytes())?;
    lists.retain(|(known, _)| *known != path);
    lists.insert(0, (path, listed));
    prune(&directory, &lists, max_octets)
}

/// The configs that are kept, the newest first.
fn lists(directory: &Path) -> io::Result<Vec<(PathBuf, Listed)>> {
    let mut lists = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == LIST) {
            lists.extend(listed(&path).map(|listed| (path, listed)));
        }
    }
    lists.sort_unstable_by_key(|(_, listed)| Reverse(listed.sequence));
    Ok(lists)
}

/// Writes a file so that it is there as a whole or not at all.
fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::options().create(true).truncate(true).write(true).mode(FILE_MODE).open(&draft)?;
    file.write_all(contents)?;
    file.sync_data()?;
    std::fs::rename(draft, path)
}

/// Lets go of what none of `lists`, the newest first, holds that is new enough and fits.
fn prune(directory: &Path, lists: &[(PathBuf, Listed)], max_octets: u64) -> io::Result<()> {
    let mut wanted: BTreeSet<PathBuf> = BTreeSet::new();
    let mut octets = 0;
    for (place, (list, listed)) in lists.iter().enumerate() {
        let paths: Vec<PathBuf> = listed.files.iter().map(|file| directory.join(&file.sha256)).collect();
        let new = paths.iter().filter(|path| !wanted.contains(*path));
        octets += new.filter_map(|path| Some(path.metadata().ok()?.len())).sum::<u64>();
        // The newest is kept whatever its size: it is in force.
        if place > 0 && (octets > max_octets || place >= CONFIGS_MAX) {
            break;
        }
        wanted.extend(paths);
        wanted.insert(list.clone());
    }
    for file in std::fs::read_dir(directory)? {
        let path = file?.path();
        if !wanted.contains(&path) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn listed(list: &Path) -> Option<Listed> {
    let text = std::fs::read_to_string(list).ok().filter(|text| seal::is_intact(text))?;
    serde_json::from_str(&text).ok()
}

/// Compiles the config that is kept below `directory` under this fingerprint.
///
/// # Errors
/// When it was not kept, not all of it is there any more, or this version of the program does not take it.
pub fn load(directory: &Path, fingerprint: &str) -> Result<Snapshot, String> {
    let directory = directory.join(DIRECTORY);
    let is_name = !fingerprint.is_empty() && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    let listed = is_name.then(|| listed(&directory.join(format!("{fingerprint}.{LIST}")))).flatten().ok_or("it is not kept")?;
    let mut contents: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for file in &listed.files {
        let path = PathBuf::from(&file.path);
        let found = [directory.join(&file.sha256), listed.directory.join(&path)]
            .iter()
            .filter_map(|path| std::fs::read(path).ok())
            .find(|read| sha256(read) == file.sha256);
        // Certificates come and go, and no answer depends on them.
        contents.extend(found.map(|read| (path, read)));
    }
    files::compile_kept(Path::new(&listed.main), contents)
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::Fingerprint;
    use super::super::testing::{ScratchDirectory, scratch_directory};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A config with a zone of this name, read.
    fn config(directory: &ScratchDirectory, zone: &str) -> (PathBuf, Manifest) {
        let main = directory.write("etc/steersman.yaml", "zones: zones/*.yaml\n");
        let soa = "soa: {mname: ns, rname: h}\nrecords: {'@': {NS: ns}, ns: {A: 192.0.2.53}}\n";
        directory.write("etc/zones/a.yaml", &format!("zone: {zone}\n{soa}"));
        let read = Fingerprint::default();
        let (snapshot, diagnostics) = files::load_and_compile(&main, &read);
        assert!(snapshot.is_some(), "{}", diagnostics.render(false));
        (main, (*read.manifest()).clone())
    }

    fn zone(snapshot: &Snapshot) -> String {
        snapshot.zones.iter().next().expect("one zone").1.apex.to_string()
    }

    #[test]
    fn a_config_is_compiled_as_it_was_whatever_became_of_its_files() {
        let directory = scratch_directory();
        let (_, first) = config(&directory, "a.example");
        store(directory.path(), &first, 1 << 20).expect("writable");
        let (main, second) = config(&directory, "b.example");
        store(directory.path(), &second, 1 << 20).expect("writable");
        assert_ne!(first.fingerprint(), second.fingerprint());
        std::fs::remove_file(main).expect("there");
        directory.write("etc/zones/another.yaml", "nonsense");
        for (manifest, apex) in [(&first, "a.example."), (&second, "b.example.")] {
            assert_eq!(zone(&load(directory.path(), &manifest.fingerprint()).expect("kept")), apex);
        }
        assert_eq!(load(directory.path(), "0123").err().as_deref(), Some("it is not kept"));
        assert_eq!(load(directory.path(), "../../etc").err().as_deref(), Some("it is not kept"));
        let mode = std::fs::metadata(directory.path().join(DIRECTORY)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, DIRECTORY_MODE);
    }

    #[test]
    fn a_config_of_which_a_text_is_damaged_is_not_taken_for_whole() {
        let directory = scratch_directory();
        let (_, manifest) = config(&directory, "a.example");
        store(directory.path(), &manifest, 1 << 20).expect("writable");
        for file in manifest.files() {
            directory.write(&format!("{DIRECTORY}/{}", file.sha256), "torn");
        }
        config(&directory, "b.example");
        let error = load(directory.path(), &manifest.fingerprint()).expect_err("not all of it is there");
        assert!(error.contains("a.yaml") || error.contains("steersman.yaml") || error.contains("zones"), "{error}");
    }

    #[test]
    fn a_text_that_was_damaged_is_written_again() {
        let directory = scratch_directory();
        let (_, manifest) = config(&directory, "a.example");
        store(directory.path(), &manifest, 1 << 20).expect("writable");
        for file in manifest.files() {
            directory.write(&format!("{DIRECTORY}/{}", file.sha256), "torn");
        }
        config(&directory, "b.example");
        store(directory.path(), &manifest, 1 << 20).expect("writable");
        assert_eq!(zone(&load(directory.path(), &manifest.fingerprint()).expect("kept")), "a.example.");
    }

    #[test]
    fn the_config_that_is_put_in_force_is_the_newest_whatever_clocks_say() {
        let directory = scratch_directory();
        let all: Vec<Manifest> = ["a.example", "b.example", "c.example"].iter().map(|zone| config(&directory, zone).1).collect();
        let ahead = std::time::SystemTime::now() + std::time::Duration::from_hours(1);
        for manifest in &all[..2] {
            store(directory.path(), manifest, 1 << 20).expect("writable");
            let list = directory.path().join(DIRECTORY).join(format!("{}.{LIST}", manifest.fingerprint()));
            File::options().write(true).open(list).and_then(|list| list.set_modified(ahead)).expect("ours");
        }
        store(directory.path(), &all[2], all[0].octets() * 2).expect("writable");
        let kept = |manifest: &Manifest| load(directory.path(), &manifest.fingerprint()).is_ok();
        assert_eq!(all.iter().map(kept).collect::<Vec<_>>(), [false, true, true]);
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room_and_the_newest_never() {
        let directory = scratch_directory();
        let all: Vec<Manifest> = ["a.example", "b.example", "c.example"].iter().map(|zone| config(&directory, zone).1).collect();
        let octets = all[0].octets();
        for manifest in &all {
            store(directory.path(), manifest, octets * 2).expect("writable");
        }
        let kept = |manifest: &Manifest| load(directory.path(), &manifest.fingerprint()).is_ok();
        assert_eq!(all.iter().map(kept).collect::<Vec<_>>(), [false, true, true], "what they share counts once");
        store(directory.path(), &all[0], 1).expect("writable");
        assert_eq!(all.iter().map(kept).collect::<Vec<_>>(), [true, false, false]);
        // Two texts and the list of the one that is left.
        assert_eq!(std::fs::read_dir(directory.path().join(DIRECTORY)).expect("there").count(), 3);
    }
}
