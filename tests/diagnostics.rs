//! What operators are told about a faulty config, word for word.
//!
//! A case is a file in tests/diagnostics: sections that begin with `=== NAME ===`, one per config file, and last `=== report
//! ===`, the exact text that `steersman check` prints. Missing sections stand for small sound files. `UPDATE_EXPECT=1 cargo
//! test --test diagnostics` writes the reports; read them as an operator would before committing them.
#![allow(clippy::disallowed_methods, reason = "cases are files")]

use glob::Pattern;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use steersman::compile::{Inputs, compile};
use steersman::config::server::{self, glob_without_match};
use steersman::diagnostic::{Diagnostics, Severity, Source, Spanned};

const SERVER: &str = "zones: zone*.yaml\npolicies: policies*.yaml\n";
const POLICIES: &str = "pools:\n  web: {members: [{name: lb-1, a: 192.0.2.1}]}\n";
const ZONE: &str = "zone: gslb.example.com
soa: {mname: ns1, rname: hostmaster.example.com.}
records:
  \"@\": {NS: ns1}
  ns1: {A: 192.0.2.53}
  www: {steer: web}
";

struct Case {
    files: Vec<(String, String)>,
    report: String,
}

impl Case {
    fn parse(text: &str) -> Case {
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in text.split_inclusive('\n') {
            match line.trim_end().strip_prefix("=== ").and_then(|rest| rest.strip_suffix(" ===")) {
                Some(name) => sections.push((name.to_owned(), String::new())),
                None => sections.last_mut().expect("a case begins with a section").1.push_str(line),
            }
        }
        let (files, report) = sections.into_iter().partition::<Vec<_>, _>(|(name, _)| name != "report");
        Case { files, report: report.into_iter().map(|(_, text)| text).collect() }
    }

    fn write(&self, report: &str) -> String {
        let files = self.files.iter().map(|(name, text)| format!("=== {name} ===\n{text}"));
        files.collect::<String>() + &format!("=== report ===\n{report}")
    }

    /// Reads and compiles, as the shell does it with real files.
    fn diagnose(&self) -> Diagnostics {
        let mut files = self.files.clone();
        for (kind, text) in [("steersman", SERVER), ("policies", POLICIES), ("zone", ZONE)] {
            if !files.iter().any(|(name, _)| name.starts_with(kind)) {
                files.push((format!("{kind}.yaml"), text.to_owned()));
            }
        }
        let sources: Vec<Arc<Source>> = files.into_iter().map(|(name, text)| Arc::new(Source { name, text })).collect();
        let main = sources.iter().find(|source| source.name == "steersman.yaml").expect("a main file");
        let mut diagnostics = Diagnostics::new();
        let Some(server) = server::read(main, &mut diagnostics) else { return diagnostics };
        let mut expand = |globs: &[Spanned<String>]| {
            let mut found = Vec::new();
            for glob in globs {
                let pattern = Pattern::new(&glob.value).expect("a case has sound globs");
                let before = found.len();
                found.extend(sources.iter().filter(|source| pattern.matches(&source.name)).cloned());
                if found.len() == before {
                    diagnostics.push(glob_without_match(glob));
                }
            }
            found
        };
        let inputs = Inputs {
            policies: expand(&server.policies),
            regions: expand(&server.geo.regions),
            zones: expand(&server.zones),
            server,
            base: PathBuf::from("/etc/steersman"),
            city: None,
            asn: None,
            cores: 1,
        };
        let (snapshot, found) = compile(inputs);
        assert_eq!(snapshot.is_none(), found.has_errors(), "a snapshot is there exactly when no error is");
        diagnostics.append(found);
        diagnostics.sort();
        diagnostics
    }
}

fn cases() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).expect("the directory of cases").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() > 10, "the cases are gone");
    paths
}

fn read(path: &Path) -> Case {
    Case::parse(&fs::read_to_string(path).expect("a case"))
}

#[test]
fn every_case_is_reported_word_for_word() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for path in cases() {
        let case = read(&path);
        let report = case.diagnose().render(false) + "\n";
        if report == case.report {
            continue;
        }
        if update {
            fs::write(&path, case.write(&report)).expect("the case can be written");
        } else {
            wrong.push(format!("{}:\n{report}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "reports differ; if they are right, run with UPDATE_EXPECT=1\n\n{}", wrong.join("\n"));
}

#[test]
fn one_file_with_ten_faults_reports_ten() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics/ten-faults-in-one-file.txt");
    assert_eq!(read(&path).diagnose().count(Severity::Error), 10);
}

#[test]
fn every_error_says_what_to_do_and_points_at_something() {
    for path in cases() {
        for fault in read(&path).diagnose().iter() {
            let has_help = fault.help.is_some() || matches!(fault.code, "wrong-kind" | "yaml-syntax" | "yaml-too-large");
            assert!(has_help, "{}: `{}` has no help", path.display(), fault.message);
            assert!(!fault.at.0.text().is_empty(), "{}: `{}` points at nothing", path.display(), fault.message);
        }
    }
}

#[test]
fn a_sound_config_is_reported_without_a_word() {
    assert_eq!(Case { files: Vec::new(), report: String::new() }.diagnose().lines(), Vec::<String>::new());
}
