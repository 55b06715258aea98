//! Our tree and `serde_yaml` read every YAML file of the repository alike.
//!
//! `serde_yaml` is what many tools read such files with, and it shares no code with the parser we use. It is archived, so it is
//! a witness here and no part of the program. What it guesses of types we do not: scalars are compared as texts.

#![allow(clippy::disallowed_methods, reason = "tests read the repository")]

use serde_yaml::Value as Theirs;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use steersman::config::yaml::{Node, Value, parse};
use steersman::diagnostic::{Diagnostics, Source};

/// A tree without places and types.
#[derive(PartialEq, Debug)]
enum Tree {
    Nothing,
    Text(String),
    /// A plain scalar that the witness took for a number or a truth value; it keeps no spelling.
    Number(f64),
    List(Vec<Tree>),
    Mapping(BTreeMap<String, Tree>),
}

fn ours(node: &Node) -> Tree {
    match &node.value {
        Value::Scalar { .. } if node.is_empty() => Tree::Nothing,
        Value::Scalar { text, plain } => scalar(text, *plain),
        Value::Sequence(items) => Tree::List(items.iter().map(ours).collect()),
        Value::Mapping(entries) => Tree::Mapping(entries.iter().map(|(key, value)| (key.value.clone(), ours(value))).collect()),
    }
}

/// As the core schema of YAML types a plain scalar.
fn scalar(text: &str, plain: bool) -> Tree {
    // A zero in front makes it a text to both: 0644 is a mode to some and 644 to others.
    let digits = text.trim_start_matches('-');
    let looks_like_one =
        digits.starts_with(|c: char| c.is_ascii_digit()) && (!digits.starts_with('0') || digits.starts_with("0.") || digits == "0");
    let number = text.parse::<f64>().ok().filter(|_| plain && looks_like_one);
    number.map_or_else(|| Tree::Text(text.to_owned()), Tree::Number)
}

fn theirs(value: &Theirs) -> Tree {
    match value {
        Theirs::Null => Tree::Nothing,
        Theirs::Bool(truth) => Tree::Text(truth.to_string()),
        Theirs::Number(number) => Tree::Number(number.as_f64().expect("a number has a value")),
        Theirs::String(text) => Tree::Text(text.clone()),
        Theirs::Sequence(items) => Tree::List(items.iter().map(theirs).collect()),
        Theirs::Mapping(entries) => Tree::Mapping(entries.iter().map(|(key, value)| (word(key), theirs(value))).collect()),
        Theirs::Tagged(tagged) => panic!("no file of ours has the tag {}", tagged.tag),
    }
}

fn word(key: &Theirs) -> String {
    match key {
        Theirs::String(text) => text.clone(),
        Theirs::Number(number) => number.to_string(),
        Theirs::Bool(truth) => truth.to_string(),
        Theirs::Null | Theirs::Sequence(_) | Theirs::Mapping(_) | Theirs::Tagged(_) => panic!("{key:?} is no key of ours"),
    }
}

fn compare(name: &str, text: &str) {
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    let mut diagnostics = Diagnostics::new();
    let node = parse(&source, &mut diagnostics).unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    let witness: Theirs = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let witness = match theirs(&witness) {
        Tree::Nothing => Tree::Mapping(BTreeMap::new()),
        other => other,
    };
    assert_eq!(ours(&node), witness, "{name}");
}

/// All YAML files below `dir` that hold one document.
fn yaml_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            yaml_files(&path, found);
        } else if matches!(path.extension().and_then(|extension| extension.to_str()), Some("yaml" | "yml")) {
            found.push(path);
        }
    }
}

#[test]
fn every_yaml_file_of_the_repository_is_read_as_others_read_it() {
    let mut files = Vec::new();
    yaml_files(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    assert!(!files.is_empty(), "the repository has lost its YAML files");
    for path in files {
        compare(&path.display().to_string(), &fs::read_to_string(&path).expect("a text"));
    }
}

#[test]
fn every_style_that_operators_write_is_read_as_others_read_it() {
    for text in [
        "",
        "# only a comment\n",
        "a: 1\nb: [x, 'y', \"z\\n\"]\nc: {d: ~, e: }\n",
        "list:\n- a\n-   b\n-\n  - nested\n  - deeper: true\n",
        "literal: |\n  one\n   two\n\n  three\nfolded: >-\n  one\n  two\n\n  three\nkeep: |+\n  x\n\n",
        "plain over\n two lines: but as a key\n"
            .replace("plain over\n two lines: but as a key\n", "text: plain over\n  two lines\n")
            .as_str(),
        "quoted: 'it''s'\nescaped: \"\\u00e9\\t\\\\ \"\nunicode: \u{e9}\u{1f6a2}\n",
        "anchors: &a {x: 1}\nalias: *a\n",
        "\"@\": {NS: [ns1, ns2]}\n\"*.app\": {steer: split}\n_sip._tcp: {SRV: 10 5 5060 www}\n",
        "url: http://example.com:80/#a\ntime: 12:30:45\nv6: \"2001:db8::1\"\n",
        "country: [NO, no, on, off, yes]\nversion: 1.10\noctal: 0644\n",
        "---\na: 1\n...\n",
    ] {
        compare("a text", text);
    }
}
