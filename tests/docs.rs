//! The docs, held to the code: examples compile, commands print what is shown, tables name every key, links lead somewhere.
//!
//! A yaml block is preceded by `<!-- check: KIND GROUP -->`. All blocks of one page and group are one config: `server`
//! is its steersman.yaml, `policies`, `regions` and `zone` are files beside it; what a group lacks is filled in plainly. A
//! `$ steersman check` or `$ steersman explain` in a console block is run from the root of the repository, and its output
//! is what follows, where a line `…` stands for any lines. A default in a table of keys is written out, and must change nothing. A table of keys is preceded by `<!-- keys: NAME -->`, where
//! NAME is that of a `Schema` in src/config.

#![allow(clippy::disallowed_methods, reason = "tests read the repository")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use steersman::compile::{Inputs, compile};
use steersman::config::server;
use steersman::diagnostic::{Diagnostics, Source};

#[test]
fn every_yaml_example_belongs_to_a_config_that_compiles() {
    let groups = groups();
    assert!(groups.len() >= 2, "README and CONFIG have one each, at least: {groups:?}");
    for ((page, group), blocks) in groups {
        let output = check(&write_config(&format!("{page}-{group}"), &blocks));
        assert!(output.status.success(), "{page}, group `{group}`:\n{}", said(&output));
    }
}

#[test]
fn a_broken_example_would_be_noticed() {
    let block = Block { kind: "policies".to_owned(), text: "pools: {web: {members: [{name: a, a: 192.0.2.1, wieght: 1}]}}\n".to_owned() };
    let output = check(&write_config("planted", &[block]));
    assert!(!output.status.success() && said(&output).contains("wieght"), "{}", said(&output));
}

#[test]
fn the_configs_that_are_shipped_compile() {
    for config in ["steersman.yaml", "docker/config/steersman.yaml"] {
        let output = check(&root().join(config));
        assert!(output.status.success(), "{config}:\n{}", said(&output));
    }
}

#[test]
fn commands_print_what_the_docs_show() {
    for page in pages() {
        for (line, command, shown) in commands(&read(&page)) {
            let output = steersman(command.split_whitespace().skip(1));
            let printed = said(&output);
            assert!(agrees(&shown, &printed), "{page}:{line}: `{command}` is shown to print\n{shown}\nbut prints\n{printed}");
        }
    }
}

#[test]
fn every_command_is_documented_and_no_other() {
    let help = said(&steersman(["--help"].into_iter()));
    let (_, list) = help.split_once("Commands:\n").expect("clap lists the commands");
    let commands: BTreeSet<_> = list.lines().map_while(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    let page = read("docs/OPERATING.md");
    let undocumented: Vec<_> = commands.iter().filter(|name| !page.contains(&format!("| `steersman {name}` |"))).collect();
    assert!(undocumented.is_empty(), "docs/OPERATING.md has no row for {undocumented:?}");
    for page in pages() {
        let strangers: Vec<_> = named_commands(&read(&page)).into_iter().filter(|name| !commands.contains(name.as_str())).collect();
        assert!(strangers.is_empty(), "{page} names commands that there are not: {strangers:?}");
    }
}

#[test]
fn every_key_of_the_config_is_documented_and_no_other() {
    let documented = documented_keys(&read("docs/CONFIG.md"));
    let schemas = schemas();
    assert!(schemas.len() > 8, "found only {:?}", schemas.keys());
    let names = |map: &BTreeMap<String, BTreeSet<String>>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&documented), names(&schemas), "left: tables in docs/CONFIG.md, right: schemas in src/config");
    for (name, keys) in schemas {
        assert_eq!(documented[&name], keys, "{name}: left: docs/CONFIG.md, right: src/config");
    }
}

#[test]
fn every_code_of_a_diagnostic_is_documented_and_no_other() {
    let page = read("docs/CONFIG.md");
    let documented = |heading: &str| -> BTreeSet<String> {
        let (_, table) = page.split_once(heading).unwrap_or_else(|| panic!("docs/CONFIG.md has a table `{heading}`"));
        table.lines().skip(2).map_while(|row| row.strip_prefix("| `")?.split('`').next()).map(str::to_owned).collect()
    };
    let [errors, warnings] = diagnostic_codes();
    assert!(errors.len() > 40 && warnings.len() > 5, "the search has lost its way: {errors:?} {warnings:?}");
    assert_eq!(documented("| error | what is wrong |"), errors, "left: docs/CONFIG.md, right: src");
    assert_eq!(documented("| warning | what is served, but probably not meant |"), warnings, "left: docs/CONFIG.md, right: src");
}

#[test]
fn every_default_that_is_documented_is_what_holds_when_nothing_is_written() {
    let mut checked = 0;
    for (schema, key, default) in documented_defaults(&read("docs/CONFIG.md")) {
        let carrier = carrier(&schema, &key);
        let plain = compiled(&carrier, "");
        let written = compiled(&carrier, &format!("{key}: {default}"));
        let differing: Vec<_> = plain.lines().zip(written.lines()).filter(|(plain, written)| plain != written).take(3).collect();
        assert!(plain == written, "{schema}: `{key}` is not `{default}` when nothing is written: {differing:?}");
        checked += 1;
    }
    assert!(checked > 30, "only {checked} defaults were found");
}

#[test]
fn a_wrong_default_would_be_noticed() {
    let carrier = carrier("a monitor", "fall");
    assert_ne!(compiled(&carrier, ""), compiled(&carrier, "fall: 4"));
}

#[test]
fn every_key_of_the_config_has_an_example() {
    let examples: String = fenced(&read("docs/CONFIG.md"), "yaml").into_iter().map(|(_, _, text)| text).collect();
    let shown = |key: &str| examples.split([' ', '{', '\n']).any(|word| word.strip_suffix(':') == Some(key));
    let schemas = schemas();
    let missing: Vec<_> =
        schemas.iter().flat_map(|(name, keys)| keys.iter().filter(|key| !shown(key)).map(move |key| (name, key))).collect();
    assert!(missing.is_empty(), "no example in docs/CONFIG.md writes {missing:?}");
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        for (line, target) in links(&read(&page)) {
            if !leads_somewhere(&page, &target) {
                broken.push(format!("{page}:{line}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

//--- Running

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn steersman<'a>(arguments: impl Iterator<Item = &'a str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_steersman")).args(arguments).current_dir(root()).output().expect("the binary was just built")
}

fn check(config: &Path) -> Output {
    steersman(["check", "--config", config.to_str().expect("our paths are UTF-8")].into_iter())
}

/// What a command printed, to both streams.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether `printed` is what is `shown`, a line `…` standing for any lines.
fn agrees(shown: &str, printed: &str) -> bool {
    let pieces: Vec<Vec<&str>> = {
        let lines: Vec<_> = shown.trim_end().lines().map(str::trim_end).collect();
        lines.split(|line| *line == "…").map(<[_]>::to_vec).collect()
    };
    let printed: Vec<_> = printed.trim_end().lines().map(str::trim_end).collect();
    let (first, rest) = pieces.split_first().expect("split yields at least one piece");
    if !printed.starts_with(first) {
        return false;
    }
    let mut left = &printed[first.len()..];
    for (index, piece) in rest.iter().enumerate() {
        let is_last = index + 1 == rest.len();
        let found = if is_last && left.ends_with(piece) { Some(left.len() - piece.len()) } else { position(left, piece) };
        let Some(at) = found else { return false };
        left = &left[at + piece.len()..];
    }
    left.is_empty()
}

fn position(lines: &[&str], piece: &[&str]) -> Option<usize> {
    (0..=lines.len().checked_sub(piece.len())?).find(|at| lines[*at..].starts_with(piece))
}

//--- Configs from pages

/// A yaml block.
#[derive(Debug)]
struct Block {
    /// `server`, `policies`, `regions` or `zone`.
    kind: String,
    text: String,
}

/// All yaml blocks, by page and group.
fn groups() -> BTreeMap<(String, String), Vec<Block>> {
    let mut groups: BTreeMap<_, Vec<Block>> = BTreeMap::new();
    for page in pages() {
        for (line, before, text) in fenced(&read(&page), "yaml") {
            let marker = before.strip_prefix("<!-- check: ").and_then(|rest| rest.strip_suffix(" -->"));
            let Some((kind, group)) = marker.and_then(|marker| marker.split_once(' ')) else {
                panic!("{page}:{line}: a yaml block without `<!-- check: KIND GROUP -->` before it: nobody would notice when it rots");
            };
            groups.entry((page.clone(), group.to_owned())).or_default().push(Block { kind: kind.to_owned(), text });
        }
    }
    groups
}

/// Writes a config into a directory of its own; returns the path of its steersman.yaml.
fn write_config(name: &str, blocks: &[Block]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs").join(name.replace('/', "-"));
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("what an earlier run left can be removed");
    }
    copy_files("geoip", &directory.join("geoip"));
    let write = |path: &str, text: &str| {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().expect("a file stands in a directory")).expect("the target directory is ours");
        fs::write(path, text).expect("the target directory is ours");
    };
    // The certificates and keys that examples name: one file serves as each.
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["example".to_owned()]).expect("a certificate");
    for name in ["internal-ca.pem", "probe.pem", "probe.key"] {
        write(&format!("tls/{name}"), &(cert.pem() + &signing_key.serialize_pem()));
    }
    let has = |kind: &str| blocks.iter().any(|block| block.kind == kind);
    let policies = if has("policies") { "policies: [\"policies/*.yaml\"]\n" } else { "" };
    let geo = "geo: {city: geoip/city.mmdb, asn: geoip/asn.mmdb}\n";
    write("steersman.yaml", &format!("listen: \"127.0.0.1:5300\"\nzones: [\"zones/*.yaml\"]\n{policies}{geo}"));
    if !has("zone") {
        write(
            "zones/plain.yaml",
            "zone: plain.example\nsoa: {mname: ns, rname: h.example.}\nrecords: {\"@\": {NS: ns}, ns: {A: 192.0.2.53}}\n",
        );
    }
    for (index, block) in blocks.iter().enumerate() {
        match block.kind.as_str() {
            "server" => write("steersman.yaml", &block.text),
            "policies" => write(&format!("policies/{index:02}.yaml"), &block.text),
            "regions" => write(&format!("regions/{index:02}.yaml"), &block.text),
            "zone" => write(&format!("zones/{index:02}.yaml"), &block.text),
            other => panic!("`{other}` is no kind of file: server, policies, regions or zone"),
        }
    }
    directory.join("steersman.yaml")
}

/// Copies the files of a directory of the repository, and nothing below.
fn copy_files(from: &str, to: &Path) {
    fs::create_dir_all(to).expect("the target directory is ours");
    for entry in fs::read_dir(root().join(from)).expect("the directory is in the repository") {
        let path = entry.expect("the directory can be read").path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().expect("a file has a name"))).expect("the target directory is ours");
        }
    }
}

//--- Pages

/// The pages that are held to the code, below the root.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    for directory in ["docs", "docker", "geoip"] {
        for entry in fs::read_dir(root().join(directory)).expect("the directory is in the repository") {
            let name = entry.expect("the directory can be read").file_name().to_string_lossy().into_owned();
            if name.to_lowercase().ends_with(".md") {
                pages.push(format!("{directory}/{name}"));
            }
        }
    }
    pages.sort();
    pages
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fenced blocks of a language: the line, the line before the fence, the text. Indented ones too.
fn fenced(page: &str, language: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut before = "";
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(opened) = line.trim().strip_prefix("```") else {
            before = line.trim();
            continue;
        };
        let text: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        if opened == language {
            found.push((index + 1, before.to_owned(), text.join("\n") + "\n"));
        }
        before = "";
    }
    found
}

/// The commands of ours that console blocks show, and what they are shown to print.
fn commands(page: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    for (line, _, text) in fenced(page, "console") {
        for part in text.split("$ ").skip(1) {
            let (command, shown) = part.split_once('\n').unwrap_or((part, ""));
            if ["steersman check", "steersman explain"].iter().any(|ours| command.starts_with(ours)) {
                found.push((line, command.to_owned(), shown.to_owned()));
            }
        }
    }
    found
}

/// The commands that a page names: `steersman NAME` in code, or at the beginning of a line in a shell block.
fn named_commands(page: &str) -> BTreeSet<String> {
    let lines = page.lines().map(|line| line.trim().trim_start_matches("$ "));
    let code = page.split('`').skip(1).step_by(2);
    let named = lines.chain(code).filter_map(|text| text.strip_prefix("steersman ")?.split_whitespace().next());
    named.filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())).map(str::to_owned).collect()
}

/// The targets of links, with their lines; code is no link.
fn links(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (index, line) in page.lines().enumerate() {
        in_fence ^= line.trim().starts_with("```");
        if in_fence {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned());
        found.extend(targets.map(|target| (index + 1, target)));
    }
    found
}

fn leads_somewhere(page: &str, target: &str) -> bool {
    if target.starts_with("https://") {
        return true; // tests have no network
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let directory = Path::new(page).parent().expect("a page stands in a directory");
    let file = if path.is_empty() { root().join(page) } else { root().join(directory).join(path) };
    if anchor.is_empty() {
        return file.exists();
    }
    fs::read_to_string(file).is_ok_and(|text| text.lines().filter_map(anchor_of).any(|existing| existing == anchor))
}

/// The anchor that a heading gets: lower case, blanks to `-`, no other signs than `-` and `_`.
fn anchor_of(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading.to_lowercase().replace(' ', "-");
    Some(kept.chars().filter(|char| char.is_alphanumeric() || matches!(char, '-' | '_')).collect())
}

//--- Keys

/// The keys in the first column of each table that `<!-- keys: NAME -->` announces.
fn documented_keys(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables = BTreeMap::new();
    for part in page.split("<!-- keys: ").skip(1) {
        let (name, rest) = part.split_once(" -->\n").expect("the marker ends its line");
        let rows = rest.lines().take_while(|line| line.starts_with('|')).skip(2);
        let keys: BTreeSet<_> = rows.filter_map(|row| row.split('`').nth(1)).map(str::to_owned).collect();
        assert!(tables.insert(name.to_owned(), keys).is_none(), "two tables of keys for `{name}`");
    }
    tables
}

/// The keys of each `Schema` that src/config declares.
fn schemas() -> BTreeMap<String, BTreeSet<String>> {
    let mut schemas = BTreeMap::new();
    for entry in fs::read_dir(root().join("src/config")).expect("the directory is in the repository") {
        let text = fs::read_to_string(entry.expect("the directory can be read").path()).expect("sources are UTF-8");
        let program = text.split("#[cfg(test)]").next().expect("split yields at least one piece");
        // A long one begins on a line of its own.
        let program = program.replace("=\n    Schema {", "= Schema {");
        for part in program.split("= Schema {").skip(1) {
            let (declared, _) = part.split_once('}').expect("a declaration is closed");
            let (name, keys) = declared.split_once("keys:").expect("a schema has keys");
            let quoted = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
            schemas.insert(quoted(name).remove(0), quoted(keys).into_iter().collect());
        }
    }
    schemas
}

//--- Defaults

/// Section, key and default of every row whose default begins with a value in code.
fn documented_defaults(page: &str) -> Vec<(String, String, String)> {
    let mut defaults = Vec::new();
    for part in page.split("<!-- keys: ").skip(1) {
        let (name, rest) = part.split_once(" -->\n").expect("the marker ends its line");
        let mut rows = rest.lines().take_while(|line| line.starts_with('|'));
        if !rows.next().is_some_and(|head| head.contains("| default |")) {
            continue;
        }
        for row in rows.skip(1) {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let value = |cell: &str| Some(cell.strip_prefix('`')?.split_once('`')?.0.to_owned());
            if let (Some(key), Some(default)) = (value(cells[1]), value(cells[2])) {
                defaults.push((name.replace('`', ""), key, default));
            }
        }
    }
    defaults
}

/// A sound config in which `§` marks where keys of a section can be written: its steersman.yaml, policies and zone.
fn carrier(schema: &str, key: &str) -> [String; 3] {
    let server = "zones: zone.yaml\npolicies: policies.yaml\n";
    let policies = "monitors: {m: {type: https, host: www.example}}
pools: {p: {monitor: m, members: [{name: one, a: 192.0.2.1}, {name: two, a: 192.0.2.2}]}}
policies: {s: {type: failover, use: [p]}}\n";
    let zone = "zone: a.example\nsoa: {mname: ns, rname: h.example., serial: 1}\nrecords: {'@': {NS: ns, steer: s}, ns: {A: 192.0.2.53}}\n";
    let (mut server, mut policies, mut zone) = (server.to_owned(), policies.to_owned(), zone.to_owned());
    let mark = |text: &mut String, before: &str, after: &str| *text = text.replace(before, after);
    match (schema, key) {
        ("steersman.yaml", _) => server.push('§'),
        ("journal", _) => server.push_str("journal: {§}"),
        ("tcp", _) => server.push_str("tcp: {§}"),
        ("probes", _) => server.push_str("probes: {§}"),
        ("dot", _) => server.push_str("dot: {certificate: c.pem, key: k.pem, §}"),
        ("window", _) => mark(&mut policies, "host:", "window: {§}, host:"),
        ("damping", _) => mark(&mut policies, "host:", "damping: {§}, host:"),
        ("a monitor", "tls") => mark(&mut policies, "type: https, host: www.example", "type: grpc, port: 1, §"),
        ("a monitor", "within") => mark(&mut policies, "host:", "§, contains: x, host:"),
        ("a monitor", "rcode" | "transport" | "recursion") => {
            mark(&mut policies, "type: https, host: www.example", "type: dns, question: a.example A, §");
        }
        ("a monitor", "expires") => mark(&mut policies, "type: https, host: www.example", "type: push, §"),
        ("a monitor", _) => mark(&mut policies, "host:", "§, host:"),
        ("a protection", _) => policies.push_str("protect: {c: {pools: p, max_removed: 30%, §}}\n"),
        ("a pool", _) => mark(&mut policies, "monitor: m", "§, monitor: m"),
        ("a member", _) => mark(&mut policies, "name: one", "§, name: one"),
        ("a policy", "pick") => mark(&mut policies, "failover", "round_robin, §"),
        ("a policy", "tolerance") => mark(&mut policies, "failover", "latency, §"),
        ("a policy", "ecs") => {
            mark(&mut policies, "failover, use: [p]", "geo, rules: [{match: {cidr: 192.0.2.0/24}, use: p}], default: p, §");
        }
        ("a policy", _) => mark(&mut policies, "failover", "failover, §"),
        ("an item of use", _) => mark(&mut policies, "failover, use: [p]", "weighted, use: [{to: p, §}]"),
        ("ttl", _) => mark(&mut policies, "failover", "failover, ttl: {§}"),
        ("a zone file", _) => zone.push('§'),
        ("soa", _) => mark(&mut zone, "serial: 1", "serial: 1, §"),
        _ => panic!("write here where keys of `{schema}` stand"),
    }
    [server, policies, zone]
}

/// Everything that a config means, with `entry` written at the mark.
fn compiled(carrier: &[String; 3], entry: &str) -> String {
    let [server, policies, zone] = carrier.each_ref().map(|text| {
        let inner = if entry.is_empty() { String::new() } else { format!("{entry}, ") };
        let text = text.replace("§, ", &inner).replace('§', entry);
        Arc::new(Source { name: "test.yaml".to_owned(), text })
    });
    let mut diagnostics = Diagnostics::new();
    let server = server::read(&server, &mut diagnostics).expect("the carrier is a mapping");
    let (policies, zones) = (vec![policies], vec![zone]);
    let inputs = Inputs { server, base: PathBuf::new(), policies, regions: Vec::new(), zones, city: None, asn: None, cores: 1 };
    let (snapshot, found) = compile(inputs);
    diagnostics.append(found);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    format!("{:#?}", snapshot.expect("there are no errors"))
}

//--- Codes

/// The codes of errors and of warnings that the program can give.
fn diagnostic_codes() -> [BTreeSet<String>; 2] {
    let mut codes = [BTreeSet::new(), BTreeSet::new()];
    for directory in ["src/config", "src/compile", "src/io", "src/zone"] {
        for entry in fs::read_dir(root().join(directory)).expect("the directory is in the repository") {
            let path = entry.expect("the directory can be read").path();
            if !path.is_file() {
                continue;
            }
            let text = fs::read_to_string(path).expect("sources are UTF-8");
            let program = text.split("#[cfg(test)]").next().expect("split yields at least one piece");
            let errors = ["Diagnostic::error(", "refuse(", "self.fault(", "self.report("];
            for (index, calls) in [errors.as_slice(), &["Diagnostic::warning("]].into_iter().enumerate() {
                let behind = calls.iter().flat_map(|call| program.split(*call).skip(1));
                let code = |rest: &str| Some(rest.trim_start().strip_prefix('"')?.split('"').next()?.to_owned());
                codes[index].extend(behind.filter_map(code));
            }
        }
    }
    codes
}

//--- Of this file itself

#[test]
fn shown_output_agrees_only_where_every_line_is_there() {
    assert!(agrees("a\nb\n", "a\nb\n"));
    assert!(!agrees("a\n", "a\nb\n") && !agrees("a\nb\n", "a\n") && !agrees("", "a"));
    assert!(agrees("a\n…\nd\n", "a\nb\nc\nd\n") && agrees("…\nd\n", "a\nd\n") && agrees("a\n…\n", "a\nb\n"));
    assert!(agrees("…\nb\n…\n", "a\nb\nc\n") && !agrees("…\nx\n…\n", "a\nb\nc\n"));
    assert!(agrees("…\nb\n", "b\na\nb\n"), "the last piece is looked for at the end");
}

#[test]
fn markers_commands_links_and_anchors_are_found() {
    let page =
        "<!-- check: zone a -->\n```yaml\nzone: a\n```\n```console\n$ steersman check\nok\n$ dig x\n```\nsee [b](c.md#d), `[e](f)`\n";
    assert_eq!(fenced(page, "yaml"), [(2, "<!-- check: zone a -->".to_owned(), "zone: a\n".to_owned())]);
    assert_eq!(commands(page), [(5, "steersman check".to_owned(), "ok\n".to_owned())]);
    assert_eq!(named_commands(page), BTreeSet::from(["check".to_owned()]));
    assert_eq!(links(page), [(10, "c.md#d".to_owned())]);
    assert_eq!(anchor_of("## What DNS steering can't do").as_deref(), Some("what-dns-steering-cant-do"));
    assert_eq!(documented_keys("<!-- keys: a b -->\n| key |\n|---|\n| `x` | `y` |\n\n| `z` |\n")["a b"], BTreeSet::from(["x".to_owned()]));
}
