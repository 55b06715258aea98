//! The only reader of the config's files: from the path of steersman.yaml to everything it names, read but not understood.
//!
//! steersman.yaml names the other files by globs, relative to its own directory. What is missing or unreadable is a diagnostic
//! at the glob or path that named it; reading goes on.

use super::fingerprint::Fingerprint;
use super::manifest::Manifest;
use super::memory;
use super::prober;
use crate::check::ClientFiles;
use crate::compile::{Inputs, compile};
use crate::config::server::{self, AdminListen, ServerSection};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, Spanned};
use crate::snapshot::{AdminAddr, Snapshot};
use glob::{MatchOptions, Pattern};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Reads everything that the config at `path` consists of. `None` only when steersman.yaml itself cannot be read or is no
/// mapping; faults are pushed either way.
pub fn load(path: &Path, diagnostics: &mut Diagnostics) -> Option<Inputs> {
    let mut reader = Reader::default();
    let inputs = reader.inputs(path);
    diagnostics.append(reader.diagnostics);
    inputs
}

/// Reads and compiles the config at `path`, and notes what was read. There is a snapshot exactly when nothing is wrong.
pub fn load_and_compile(path: &Path, read: &Fingerprint) -> (Option<Snapshot>, Diagnostics) {
    memory::return_large_blocks();
    let mut reader = Reader { manifest: Some(Manifest::new(path)), ..Reader::default() };
    let inputs = reader.inputs(path);
    read.set(reader.hash.finish(), reader.manifest.take().unwrap_or_default());
    let mut diagnostics = reader.diagnostics;
    let Some(inputs) = inputs else { return (None, diagnostics) };
    let (snapshot, found) = compile(inputs);
    diagnostics.append(found);
    if let Some(snapshot) = &snapshot {
        diagnostics.extend(unusable_files(snapshot));
        let (slots, entries) = snapshot.zones.tables();
        memory::enlarge_pages(slots);
        memory::enlarge_pages(entries);
    }
    memory::give_back();
    (snapshot.filter(|_| !diagnostics.has_errors()), diagnostics)
}

/// Compiles a config that is kept elsewhere: `contents` are its files by the paths under which `main` names them, and there are no others.
///
/// # Errors
/// What is wrong with it, in lines.
pub fn compile_kept(main: &Path, contents: BTreeMap<PathBuf, Vec<u8>>) -> Result<Snapshot, String> {
    let mut reader = Reader { kept: Some(contents), ..Reader::default() };
    let inputs = reader.inputs(main);
    let mut diagnostics = reader.diagnostics;
    let snapshot = inputs.and_then(|inputs| {
        let (snapshot, found) = compile(inputs);
        diagnostics.append(found);
        snapshot
    });
    snapshot.filter(|_| !diagnostics.has_errors()).ok_or_else(|| diagnostics.lines().join("; "))
}

/// As [`load_and_compile`], and logs how long it took: for servers.
pub fn load_and_log(path: &Path, read: &Fingerprint) -> (Option<Snapshot>, Diagnostics) {
    let start = Instant::now();
    let loaded = load_and_compile(path, read);
    tracing::info!("config read and compiled in {} ms", start.elapsed().as_millis());
    loaded
}

/// The certificates and keys that checks name and that cannot be used, each by itself or with the other.
fn unusable_files(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let alone = snapshot.files.iter().filter_map(|file| Some((file, prober::fault_of_file(&file.value)?)));
    let alone: Vec<_> = alone.collect();
    let is_sound = |path: &Path| alone.iter().all(|(file, _)| file.value != path);
    let clients: HashSet<&ClientFiles> = snapshot.targets.rows().iter().filter_map(|target| target.check.tls()?.client.as_ref()).collect();
    let sound = clients.into_iter().filter(|client| is_sound(&client.certificate) && is_sound(&client.key));
    let together = sound.filter_map(|client| {
        let file = snapshot.files.iter().find(|file| *file.value == *client.key)?;
        Some((file, prober::fault_of_client(client)?))
    });
    let place = "check the path, counted from the directory of steersman.yaml, and the permissions of the user that runs steersman";
    let pair = "name the key for which the certificate beside it was issued";
    let alone = alone.iter().map(|(file, why)| unusable_file(file, why, place));
    alone.chain(together.map(|(file, why)| unusable_file(file, &why, pair))).collect()
}

fn unusable_file(file: &Spanned<PathBuf>, why: &str, help: &'static str) -> Diagnostic {
    Diagnostic::error("unusable-file", &file.span, format!("`{}` cannot be used: {why}", file.value.display())).help(help)
}

/// A number that differs when anything that [`load`] reads differs, for as long as the program runs.
pub fn fingerprint(path: &Path) -> u64 {
    let mut reader = Reader::default();
    reader.inputs(path);
    reader.hash.finish()
}

/// Path, size and time of change of every file of a config; cheap to take.
pub type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// How the files of the config at `path` look from outside, without reading any but steersman.yaml.
pub fn stamp(path: &Path) -> Stamp {
    let mut paths = vec![path.to_owned()];
    if let Some(section) = server_section(path, &mut Diagnostics::new()) {
        paths.extend(named_files(&section, base(path)));
    }
    let look = |path: PathBuf| {
        let metadata = std::fs::metadata(&path).ok();
        let len = metadata.as_ref().map_or(0, std::fs::Metadata::len);
        (path, len, metadata.and_then(|metadata| metadata.modified().ok()))
    };
    paths.into_iter().map(look).collect()
}

/// What steersman.yaml alone says.
pub fn server_section(path: &Path, diagnostics: &mut Diagnostics) -> Option<ServerSection> {
    let mut reader = Reader::default();
    let section = reader.section(path);
    diagnostics.append(reader.diagnostics);
    section
}

/// Where the admin interface of the config at `path` listens.
pub fn admin_addr(section: &ServerSection, path: &Path) -> Option<AdminAddr> {
    section.admin.as_ref().map(|admin| match admin {
        AdminListen::Tcp(addr) => AdminAddr::Tcp(*addr),
        AdminListen::Unix(socket) => AdminAddr::Unix(base(path).join(socket)),
    })
}

/// Where the config at `path` keeps state.
pub fn state_dir(section: &ServerSection, path: &Path) -> Option<PathBuf> {
    section.state_dir.as_ref().map(|directory| base(path).join(&directory.value))
}

/// The directory from which the paths of steersman.yaml count.
fn base(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Reads files, and keeps the faults and a hash of all contents on the way.
#[derive(Default)]
struct Reader {
    diagnostics: Diagnostics,
    hash: DefaultHasher,
    /// The files and what was in them, where somebody wants to know.
    manifest: Option<Manifest>,
    /// The files that there are, instead of those of the file system.
    kept: Option<BTreeMap<PathBuf, Vec<u8>>>,
}

impl Reader {
    fn inputs(&mut self, path: &Path) -> Option<Inputs> {
        let server = self.section(path)?;
        let base = base(path);
        let inputs = Inputs {
            base: base.to_owned(),
            policies: self.sources(&server.policies, base),
            regions: self.sources(&server.geo.regions, base),
            zones: self.sources(&server.zones, base),
            city: self.database(server.geo.city.as_ref(), base),
            asn: self.database(server.geo.asn.as_ref(), base),
            cores: std::thread::available_parallelism().map_or(1, NonZero::get),
            server,
        };
        // Whoever renews a certificate wants it loaded; whether it is sound is seen when it is used.
        for file in certificate_files(&inputs.server, base) {
            let contents = self.read(&file).unwrap_or_default();
            contents.hash(&mut self.hash);
            if let Some(manifest) = &mut self.manifest {
                manifest.note(&file, &contents);
            }
        }
        Some(inputs)
    }

    fn section(&mut self, path: &Path) -> Option<ServerSection> {
        let name = path.display().to_string();
        match self.text(path) {
            Ok(text) => server::read(&Arc::new(Source { name, text }), &mut self.diagnostics),
            Err(reason) => {
                let nowhere = Span::start_of(&Arc::new(Source { name: name.clone(), text: String::new() }));
                let fault = Diagnostic::error("unreadable-file", &nowhere, format!("`{name}` cannot be read: {reason}"));
                self.diagnostics.push(fault.help("name the main config file with --config FILE"));
                None
            }
        }
    }

    /// All files that the globs match, each once.
    fn sources(&mut self, globs: &[Spanned<String>], base: &Path) -> Vec<Arc<Source>> {
        let mut seen = BTreeSet::new();
        let mut sources = Vec::new();
        for glob in globs {
            let paths = match self.matches(glob, base) {
                Ok(paths) => paths,
                Err(reason) => {
                    self.diagnostics.push(server::bad_glob(glob, &reason));
                    continue;
                }
            };
            if paths.is_empty() {
                self.diagnostics.push(server::glob_without_match(glob));
            }
            for path in paths.into_iter().filter(|path| seen.insert(path.clone())) {
                sources.extend(self.source(&path, glob));
            }
        }
        sources
    }

    fn source(&mut self, path: &Path, named: &Spanned<String>) -> Option<Arc<Source>> {
        let name = path.display().to_string();
        match self.text(path) {
            Ok(text) => Some(Arc::new(Source { name, text })),
            Err(reason) => {
                self.diagnostics.push(server::unreadable_file(named, &name, &reason));
                None
            }
        }
    }

    fn text(&mut self, path: &Path) -> Result<String, String> {
        let bytes = self.bytes(path)?;
        let text = String::from_utf8(bytes).map_err(|error| format!("not UTF-8 text (at byte {})", error.utf8_error().valid_up_to()))?;
        if let Some(manifest) = &mut self.manifest {
            manifest.note_text(path, &text);
        }
        Ok(text)
    }

    fn database(&mut self, named: Option<&Spanned<String>>, base: &Path) -> Option<Vec<u8>> {
        let named = named?;
        let path = base.join(&named.value);
        match self.bytes(&path) {
            Ok(bytes) => {
                if let Some(manifest) = &mut self.manifest {
                    manifest.note(&path, &bytes);
                }
                Some(bytes)
            }
            Err(reason) => {
                self.diagnostics.push(server::unreadable_file(named, &path.display().to_string(), &reason));
                None
            }
        }
    }

    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        let result = self.read(path);
        (path, &result).hash(&mut self.hash);
        result
    }

    fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        match &mut self.kept {
            Some(kept) => kept.remove(path).ok_or_else(|| "it is not kept".to_owned()),
            None => std::fs::read(path).map_err(|error| error.to_string()),
        }
    }

    /// The files that a glob matches, in alphabetical order.
    fn matches(&self, glob: &Spanned<String>, base: &Path) -> Result<Vec<PathBuf>, String> {
        let Some(kept) = &self.kept else { return matches(glob, base) };
        let pattern = Pattern::new(&pattern(glob, base)).map_err(|error| error.to_string())?;
        Ok(kept.keys().filter(|path| pattern.matches_path_with(path, MATCHING)).cloned().collect())
    }
}

/// Everything that steersman.yaml names, whether it is there or not.
fn named_files(section: &ServerSection, base: &Path) -> Vec<PathBuf> {
    let globs = section.policies.iter().chain(&section.geo.regions).chain(&section.zones);
    let globbed = globs.flat_map(|glob| matches(glob, base).unwrap_or_default());
    let databases = [&section.geo.city, &section.geo.asn].into_iter().flatten().map(|path| base.join(&path.value));
    globbed.chain(databases).chain(certificate_files(section, base)).collect()
}

fn certificate_files(section: &ServerSection, base: &Path) -> Vec<PathBuf> {
    let files = section.dot.iter().flat_map(|dot| [&dot.certificate, &dot.key]);
    files.map(|path| base.join(&path.value)).collect()
}

/// A `*` crosses no directory and finds no hidden file: editors and container platforms leave theirs beside ours.
const MATCHING: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files that a glob matches, in alphabetical order.
fn matches(glob: &Spanned<String>, base: &Path) -> Result<Vec<PathBuf>, String> {
    let found = glob::glob_with(&pattern(glob, base), MATCHING).map_err(|error| error.to_string())?;
    Ok(found.filter_map(Result::ok).filter(|path| !path.is_dir()).collect())
}

/// A glob of steersman.yaml with the directory that it counts from. The directory is a path, not a pattern, whatever characters are in it.
fn pattern(glob: &Spanned<String>, base: &Path) -> String {
    let literal = Pattern::escape(&base.to_string_lossy());
    Path::new(&literal).join(&glob.value).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::{ScratchDirectory, scratch_directory};

    fn config() -> (ScratchDirectory, PathBuf) {
        let directory = scratch_directory();
        let path = directory.write("[etc]/steersman.yaml", "zones: [\"zones/*.yaml\", \"zones/b*.yaml\"]\ngeo: {city: city.mmdb}\n");
        directory.write("[etc]/zones/b.yaml", "zone: b.example\n");
        directory.write("[etc]/zones/a.yaml", "zone: a.example\n");
        directory.write("[etc]/zones/.#a.yaml", "an editor's lock file");
        directory.write("[etc]/city.mmdb", "bytes");
        (directory, path)
    }

    #[test]
    fn globs_count_from_the_directory_of_the_config_and_find_each_file_once() {
        let (_directory, path) = config();
        let mut diagnostics = Diagnostics::new();
        let inputs = load(&path, &mut diagnostics).expect("all is there");
        let names: Vec<_> = inputs.zones.iter().map(|source| source.name.rsplit('/').next().expect("a name").to_owned()).collect();
        assert_eq!(names, ["a.yaml", "b.yaml"]);
        assert_eq!(inputs.city.as_deref(), Some(&b"bytes"[..]));
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    }

    #[test]
    fn what_is_missing_is_named_with_its_place_and_the_rest_is_read() {
        let (directory, path) = config();
        directory.write("[etc]/steersman.yaml", "zones: zones/*.yaml\npolicies: [nothing/*.yaml]\ngeo: {city: gone.mmdb}\n");
        let mut diagnostics = Diagnostics::new();
        let inputs = load(&path, &mut diagnostics).expect("the main file is there");
        assert_eq!(inputs.zones.len(), 2);
        let lines = diagnostics.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("steersman.yaml:2:") && lines[0].contains("nothing/*.yaml"), "{lines:?}");
        assert!(lines[1].contains("steersman.yaml:3:") && lines[1].contains("gone.mmdb"), "{lines:?}");
    }

    #[test]
    fn a_certificate_that_a_check_names_and_that_is_none_is_a_fault_at_its_place() {
        let directory = scratch_directory();
        let path = directory.write("steersman.yaml", "zones: zone.yaml\npolicies: policies.yaml\n");
        directory.write("zone.yaml", "zone: a.example\nsoa: {mname: ns, rname: h}\nrecords: {'@': {NS: ns}, ns: {A: 192.0.2.53}}\n");
        directory.write("policies.yaml", "monitors:\n  web: {type: tls, host: a.example, ca: ca.pem}\n");
        directory.write("ca.pem", "no certificate");
        let (snapshot, diagnostics) = load_and_compile(&path, &Fingerprint::default());
        let lines = diagnostics.lines();
        assert!(snapshot.is_none() && lines.iter().any(|line| line.contains("policies.yaml:2:41: error[unusable-file]")), "{lines:?}");
    }

    #[test]
    fn a_missing_main_file_is_a_diagnostic_with_its_path() {
        let mut diagnostics = Diagnostics::new();
        assert!(load(Path::new("/nowhere/steersman.yaml"), &mut diagnostics).is_none());
        let lines = diagnostics.lines();
        assert!(lines[0].starts_with("/nowhere/steersman.yaml:1:1: error[unreadable-file]"), "{lines:?}");
    }

    #[test]
    fn every_change_of_content_changes_the_fingerprint_and_every_new_file_the_stamp() {
        let (directory, path) = config();
        let (print, look) = (fingerprint(&path), stamp(&path));
        assert_eq!((fingerprint(&path), stamp(&path)), (print, look.clone()));
        directory.write("[etc]/city.mmdb", "BYTES");
        assert_ne!(fingerprint(&path), print);
        directory.write("[etc]/zones/c.yaml", "zone: c.example\n");
        assert_ne!(stamp(&path), look);
    }
}
