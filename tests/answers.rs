//! Answers as data: `tests/answers/NAME.yaml` holds a config and questions, `NAME.txt` beside it what comes back, as dig
//! prints it. `UPDATE_EXPECT=1 cargo test --test answers` writes the latter anew; read the difference before you commit it.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

#[path = "support/live.rs"]
mod support;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steersman::answer::{Client, Disposition, STREAM_PAYLOAD_MAX, Scratch, Transport, UDP_PAYLOAD_MAX, respond};
use steersman::dns::{Name, Rtype};
use steersman::explain::{Case, explain, presentation};
use steersman::health::Verdict;
use steersman::live::Live;
use steersman::snapshot::Snapshot;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What the file is about, in a sentence.
    about: String,
    policies: String,
    zones: Vec<String>,
    cases: Vec<Question>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// `NAME TYPE`, as dig takes them. Escapes as in master files.
    ask: Option<String>,
    /// Instead of `ask`: the packet itself.
    hex: Option<String>,
    /// The resolver's address.
    #[serde(default = "resolver")]
    from: IpAddr,
    /// The client's prefix.
    subnet: Option<String>,
    /// Without EDNS, when false.
    #[serde(default = "yes")]
    edns: bool,
    /// The UDP size that the client announces.
    udp: Option<u16>,
    #[serde(default)]
    tcp: bool,
    #[serde(default)]
    down: Vec<String>,
    #[serde(default)]
    unknown: Vec<String>,
    /// Connect times in milliseconds.
    #[serde(default)]
    latency: BTreeMap<String, u64>,
    #[serde(default)]
    seed: u64,
    /// The whole story, as `steersman explain` tells it.
    #[serde(default)]
    explain: bool,
    /// Instead of one answer: how often each comes, in so many throws.
    throws: Option<u64>,
}

fn resolver() -> IpAddr {
    "198.51.100.53".parse().expect("an address")
}

fn yes() -> bool {
    true
}

impl Question {
    fn title(&self) -> String {
        let mut title = self.ask.clone().or_else(|| self.hex.clone()).unwrap_or_default();
        if self.from != resolver() {
            let _ = write!(title, " from {}", self.from);
        }
        if let Some(subnet) = &self.subnet {
            let _ = write!(title, " +subnet={subnet}");
        }
        let words = [(self.tcp, "+tcp"), (!self.edns, "+noedns")];
        title.extend(words.iter().filter(|(is, _)| *is).map(|(_, word)| format!(" {word}")));
        title.extend(self.udp.map(|udp| format!(" +bufsize={udp}")));
        for (word, members) in [("down", &self.down), ("unknown", &self.unknown)] {
            if !members.is_empty() {
                let _ = write!(title, ", {word}: {}", members.join(" "));
            }
        }
        title.extend(self.latency.iter().map(|(member, ms)| format!(", {member} at {ms} ms")));
        title
    }

    fn verdicts(&self) -> BTreeMap<String, Verdict> {
        let mut verdicts = BTreeMap::new();
        verdicts.extend(
            self.latency.iter().map(|(name, ms)| (name.clone(), Verdict { latency: Some(Duration::from_millis(*ms)), ..support::UP })),
        );
        verdicts.extend(self.unknown.iter().map(|name| (name.clone(), Verdict::UNKNOWN)));
        verdicts.extend(self.down.iter().map(|name| (name.clone(), support::DOWN)));
        verdicts
    }

    fn case(&self) -> Case {
        let (name, qtype) = self.ask.as_deref().expect("ask or hex").split_once(' ').expect("NAME TYPE");
        Case {
            name: Name::parse(name, &Name::root()).expect("a name"),
            qtype: Rtype::parse(qtype).expect("a type"),
            client: self.from,
            subnet: self.subnet.as_ref().map(|subnet| subnet.parse().expect("a prefix")),
            seed: self.seed,
        }
    }

    fn packet(&self) -> Vec<u8> {
        if let Some(hex) = &self.hex {
            let digits: String = hex.split_whitespace().collect();
            return (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect();
        }
        let case = self.case();
        let mut packet = case.query();
        if !self.edns {
            packet.truncate(packet.len() - 11);
            packet[11] = 0;
        }
        if let Some(udp) = self.udp {
            let opt = packet.len() - 11 - case.subnet.map_or(0, |subnet| 8 + usize::from(subnet.len().div_ceil(8)));
            packet[opt + 3..opt + 5].copy_from_slice(&udp.to_be_bytes());
        }
        packet
    }

    fn answer(&self, live: &Live, scratch: &mut Scratch) -> String {
        let transport = if self.tcp { Transport::Tcp } else { Transport::Udp };
        let client = Client { source: self.from, transport };
        let mut out = vec![0; if self.tcp { STREAM_PAYLOAD_MAX } else { UDP_PAYLOAD_MAX }];
        match respond(live, &client, &self.packet(), scratch, &mut out) {
            Disposition::Send { len, .. } => presentation(&out[..len]),
            Disposition::Drop(reason) => format!("dropped: {reason:?}\n"),
        }
    }

    fn run(&self, snapshot: &Arc<Snapshot>) -> String {
        let live = support::live(Arc::clone(snapshot), &self.verdicts());
        if self.explain {
            return explain(&live, &self.case()).render(&live, &self.case());
        }
        let mut scratch = Scratch::new(self.seed);
        let Some(throws) = self.throws else { return self.answer(&live, &mut scratch) };
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for _ in 0..throws {
            let answers: Vec<String> =
                self.answer(&live, &mut scratch).lines().filter_map(|l| l.strip_prefix("answer: ").map(str::to_owned)).collect();
            *counts.entry(answers.join(" + ")).or_default() += 1;
        }
        counts.iter().fold(String::new(), |text, (answer, count)| format!("{text}{count} x {answer}\n"))
    }
}

fn run(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable file");
    let file: File = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let zones: Vec<&str> = file.zones.iter().map(String::as_str).collect();
    let snapshot = support::snapshot(&file.policies, &zones).unwrap_or_else(|report| panic!("{}:\n{report}", path.display()));
    let snapshot = Arc::new(snapshot);
    let about = format!("# {}\n", file.about);
    file.cases.iter().fold(about, |text, case| format!("{text}\n## {}\n{}", case.title(), case.run(&snapshot)))
}

#[test]
fn every_question_gets_the_answer_that_its_file_expects() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/answers");
    let files = fs::read_dir(&folder).expect("tests/answers").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    files.sort();
    assert!(!files.is_empty(), "no data files");
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut differences = Vec::new();
    for path in files {
        let (got, expected) = (run(&path), path.with_extension("txt"));
        if update {
            fs::write(&expected, &got).expect("a writable folder");
        }
        let want = fs::read_to_string(&expected).unwrap_or_default();
        if let Some((line, (got, want))) = got.lines().chain([""]).zip(want.lines().chain([""])).enumerate().find(|(_, (a, b))| a != b) {
            differences.push(format!("{}:{}:\n  expected {want}\n  got      {got}", expected.display(), line + 1));
        } else if got.len() != want.len() {
            differences.push(format!("{}: one is longer than the other", expected.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
