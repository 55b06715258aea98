//! The alert rules that are shipped look at metrics that there are. Whether they fire when they should is `promtool`'s to try: see
//! the step `alert rules` of `tests/run`.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::collections::BTreeSet;
use std::path::PathBuf;

fn read(path: &str) -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the repository holds it")
}

/// The names in the table of docs/METRICS.md; of a histogram also those of its parts.
fn documented() -> BTreeSet<String> {
    let page = read("docs/METRICS.md");
    let mut names = BTreeSet::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let Some((name, rest)) = row.split_once('`') else { continue };
        names.insert(name.to_owned());
        if rest.starts_with(" | histogram") {
            names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
    }
    names
}

/// All words of a text that are names of our metrics.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("steersman_")).map(str::to_owned).collect()
}

#[test]
fn every_metric_of_a_rule_and_of_its_trial_is_documented() {
    let documented = documented();
    assert!(documented.contains("steersman_ready") && documented.contains("steersman_detection_seconds_bucket"), "{documented:?}");
    for file in ["docker/prometheus/alerts.yaml", "docker/prometheus/alerts.test.yaml"] {
        let mentioned = mentioned(&read(file));
        assert!(mentioned.len() > 5, "{file}: {mentioned:?}");
        let unknown: Vec<_> = mentioned.difference(&documented).collect();
        assert!(unknown.is_empty(), "{file} looks at metrics that docs/METRICS.md does not have: {unknown:?}");
    }
}

#[test]
fn every_rule_is_tried() {
    let name = |line: &str| line.split_once("alert: ").map(|(_, name)| name.trim().to_owned());
    let rules: BTreeSet<String> = read("docker/prometheus/alerts.yaml").lines().filter_map(name).collect();
    let trials = read("docker/prometheus/alerts.test.yaml");
    // A trial that expects nothing shows nothing but silence.
    let fires = |rule: &&String| trials.contains(&format!("alertname: {rule}\n        exp_alerts:\n          - "));
    let untried: Vec<_> = rules.iter().filter(|rule| !fires(rule)).collect();
    assert!(rules.len() > 10 && untried.is_empty(), "nobody has seen these fire: {untried:?}");
}
