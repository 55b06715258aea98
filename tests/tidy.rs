//! The architecture as a test: who may name whom, and which words only one place may say.
//!
//! Both tables are read from docs/ARCHITECTURE.md, so that the map people read is the map that is enforced. Sources are
//! read as text: comments, strings and test code are blanked first (tests may use whatever helps them; the arrows are
//! about the program), then every path is collected, `use` trees written out. A fault names file, line and rule.

#![allow(clippy::disallowed_methods, reason = "tests read the repository")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A source longer than this holds two nouns.
const LINES_MAX: usize = 900;

#[test]
fn the_sources_keep_to_the_map_in_the_architecture_page() {
    let map = Map::read(&text("docs/ARCHITECTURE.md"));
    let sources = sources("src");
    assert!(sources.len() > 30, "only {} sources found: is this the right directory?", sources.len());
    report(&faults(&map, &sources));
}

#[test]
fn every_module_of_the_crate_has_a_row_and_every_row_a_module() {
    let map = Map::read(&text("docs/ARCHITECTURE.md"));
    let modules: BTreeSet<_> = sources("src").iter().map(|source| source.module().to_owned()).filter(|module| module != "lib").collect();
    let rows: BTreeSet<_> = map.may_name.keys().cloned().collect();
    assert_eq!(modules, rows, "left: modules under src/, right: rows of the table in docs/ARCHITECTURE.md");
}

#[test]
fn every_library_has_a_door_and_every_door_a_library() {
    let libraries: BTreeSet<_> = dependencies(&text("Cargo.toml")).into_iter().map(|name| name + "::").collect();
    let doors: BTreeSet<_> = Map::read(&text("docs/ARCHITECTURE.md")).doors.into_keys().filter(|word| word.ends_with("::")).collect();
    assert_eq!(libraries, doors, "left: dependencies, right: libraries in the table of doors");
}

#[test]
fn every_library_is_used() {
    let mut unused: BTreeSet<_> = dependencies(&text("Cargo.toml")).into_iter().collect();
    for source in sources("src") {
        for (_, path) in paths(&blank(&source.text)) {
            unused.remove(path[0]);
        }
    }
    assert!(unused.is_empty(), "dependencies that no source names: {unused:?}");
}

#[test]
fn every_test_is_on_the_map() {
    let page = text("docs/ARCHITECTURE.md");
    let tests = sources("tests").into_iter().map(|source| source.path).filter(|path| path.matches('/').count() == 1);
    let missing: Vec<_> = tests.filter(|path| !page.contains(&format!("| `{path}` |"))).collect();
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md does not say what these promise: {missing:?}");
}

#[test]
fn no_test_is_ignored_and_no_file_is_too_long() {
    let mut all = sources("src");
    all.extend(sources("tests"));
    all.extend(sources("benches"));
    all.extend(sources("examples"));
    report(&all.iter().flat_map(Source::habits).collect::<Vec<_>>());
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

//--- The map

/// What docs/ARCHITECTURE.md allows.
#[derive(Default)]
struct Map {
    /// Module -> the other modules it may name.
    may_name: BTreeMap<String, BTreeSet<String>>,
    /// Word -> the files (`io/dot.rs`) and directories (`io/`) below src/ that may say it; none: nobody may. `http::` is
    /// a library: said where a path begins with it.
    doors: BTreeMap<String, Vec<String>>,
}

impl Map {
    fn read(page: &str) -> Map {
        let mut map = Map::default();
        for [names, may, ..] in rows(page, "who-may-name-whom") {
            let above: BTreeSet<String> = map.may_name.keys().cloned().collect();
            let allowed = if may.contains("all of the above") { above } else { quoted(&may).into_iter().collect() };
            for name in quoted(&names) {
                map.may_name.insert(name, allowed.clone());
            }
        }
        for [words, places, ..] in rows(page, "doors") {
            for word in quoted(&words) {
                map.doors.insert(word, quoted(&places));
            }
        }
        map
    }
}

/// The first three cells of each row of the table between `<!-- begin: name -->` and `<!-- end: name -->`.
fn rows(page: &str, name: &str) -> Vec<[String; 3]> {
    let begin = format!("<!-- begin: {name} -->");
    let end = format!("<!-- end: {name} -->");
    let (_, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no `{begin}`"));
    let (table, _) = rest.split_once(&end).unwrap_or_else(|| panic!("no `{end}`"));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    table
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2) // the heading and its ruler
        .map(|line| cells(line).try_into().unwrap_or_else(|_| panic!("three cells wanted: {line}")))
        .collect()
}

/// The words in `backticks`.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The libraries of `[dependencies]`, as Rust names them.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    section.take_while(|line| !line.starts_with('[')).filter_map(|line| Some(line.split_once('=')?.0.trim().replace('-', "_"))).collect()
}

//--- The sources

/// One file.
struct Source {
    /// Below the root of the repository: `src/dns/name.rs`.
    path: String,
    /// As it stands.
    text: String,
}

/// All `*.rs` below `directory`, in order; none when there is no such directory.
fn sources(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut directories = vec![root.join(directory)];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for path in entries.map(|entry| entry.expect("the directory can be read").path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(root).expect("found below the root").to_string_lossy().into_owned();
                found.push(Source { text: text(&below), path: below });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Source {
    /// The module below the crate's root that the file belongs to; `main` and `lib` for these two.
    fn module(&self) -> &str {
        let below = self.below_src();
        below.split('/').next().expect("split yields at least one piece").trim_end_matches(".rs")
    }

    fn below_src(&self) -> &str {
        self.path.strip_prefix("src/").unwrap_or(&self.path)
    }

    /// Whether `super::` in this file, outside of inline modules, is the crate's root.
    fn is_top(&self) -> bool {
        let below = self.below_src();
        !below.contains('/') || (below.ends_with("/mod.rs") && below.matches('/').count() == 1)
    }

    /// What holds for every file, tests too.
    fn habits(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let lines = self.text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{}: {lines} lines; above {LINES_MAX} a file holds two nouns", self.path));
        }
        if !self.text.starts_with("//!") {
            faults.push(format!("{}:1: begins without `//!` docs", self.path));
        }
        for (index, line) in blank(&self.text).lines().enumerate() {
            for word in ["#[ignore", "todo!(", "unimplemented!("] {
                if line.contains(word) {
                    faults.push(format!("{}:{}: `{word}`: unfinished work does not land", self.path, index + 1));
                }
            }
        }
        faults
    }
}

/// All breaches of the map.
fn faults(map: &Map, sources: &[Source]) -> Vec<String> {
    let test_only: BTreeSet<String> = sources.iter().flat_map(test_only_files).collect();
    let program = sources.iter().filter(|source| !test_only.contains(&source.path));
    program.flat_map(|source| faults_of(map, source)).collect()
}

fn faults_of(map: &Map, source: &Source) -> Vec<String> {
    let code = without_tests(&blank(&source.text));
    let mut faults = BTreeSet::new();
    for (line, path) in paths(&code) {
        let found = [arrow(map, source, &path), climb(&path), door(map, source, &path)];
        faults.extend(found.into_iter().flatten().map(|rule| (line, rule)));
    }
    faults.into_iter().map(|(line, rule)| format!("{}:{line}: {rule}", source.path)).collect()
}

/// An arrow that the table does not have.
fn arrow(map: &Map, source: &Source, path: &[&str]) -> Option<String> {
    let own = source.module();
    let target = match path {
        ["crate", target, ..] if own != "main" => *target,
        ["steersman", target, ..] if own == "main" => *target,
        ["super", target, ..] if source.is_top() && map.may_name.contains_key(*target) => *target,
        _ => return None,
    };
    let target = target.trim_end_matches('!');
    if target == own {
        return None;
    }
    if !map.may_name.contains_key(target) {
        return Some(format!("`{}` is no module: nothing lives at the root of the crate", path.join("::")));
    }
    let allowed = map.may_name.get(own).is_some_and(|allowed| allowed.contains(target));
    (!allowed).then(|| format!("`{own}` may not name `{target}` (docs/ARCHITECTURE.md)"))
}

/// A way up that hides where it leads.
fn climb(path: &[&str]) -> Option<String> {
    path.starts_with(&["super", "super"]).then(|| "`super::super`: say `crate::` and the whole way".to_owned())
}

/// A word said where it may not be said.
fn door(map: &Map, source: &Source, path: &[&str]) -> Option<String> {
    let said = |word: &str| match word.strip_suffix("::") {
        Some(library) => path.len() > 1 && path[0] == library,
        None => path.windows(word.split("::").count()).any(|window| window.iter().copied().eq(word.split("::"))),
    };
    let may = |place: &String| source.below_src() == place || (place.ends_with('/') && source.below_src().starts_with(place));
    let (word, places) = map.doors.iter().find(|(word, places)| said(word) && !places.iter().any(may))?;
    let places = if places.is_empty() { "nowhere".to_owned() } else { format!("only in {}", places.join(", ")) };
    Some(format!("`{word}` may be said {places} (docs/ARCHITECTURE.md)"))
}

//--- Test code

/// The files that `#[cfg(test)] mod name;` declares.
fn test_only_files(source: &Source) -> Vec<String> {
    let code = blank(&source.text);
    let directory = match source.path.strip_suffix("/mod.rs").or_else(|| source.path.strip_suffix("/lib.rs")) {
        Some(directory) => directory,
        None => source.path.trim_end_matches(".rs"),
    };
    let declared = test_items(&code).into_iter().filter_map(|(start, end)| {
        let item = code[start..end].strip_suffix(';')?;
        item.rsplit_once("mod ").map(|(_, name)| name.trim().to_owned())
    });
    declared.flat_map(|name| [format!("{directory}/{name}.rs"), format!("{directory}/{name}/mod.rs")]).collect()
}

/// The code with every `#[cfg(test)]` item blanked.
fn without_tests(code: &str) -> String {
    let mut kept = code.to_owned();
    for (start, end) in test_items(code) {
        kept.replace_range(start..end, &blanks(&code[start..end]));
    }
    kept
}

/// Where the `#[cfg(test)]` items are, as byte ranges.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(start) = code[from..].find("#[cfg(test)]").map(|at| from + at) {
        let end = start + item_len(&code[start..]);
        items.push((start, end));
        from = end;
    }
    items
}

/// The length of the item at the front of `code`, its attributes included: up to a `;` or the brace that closes it.
fn item_len(code: &str) -> usize {
    let mut nested = 0_usize; // of () and []
    let mut braces = 0_usize;
    let item = code.trim_start_matches("#[cfg(test)]").trim_start();
    let is_use = item.starts_with("use ") || item.starts_with("pub use ");
    for (at, char) in code.char_indices() {
        match char {
            '(' | '[' => nested += 1,
            ')' | ']' => nested = nested.saturating_sub(1),
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 && !is_use {
                    return at + 1;
                }
            }
            ';' if nested == 0 && braces == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

//--- Words

/// The code with comments, strings and characters turned to blanks; every line keeps its number.
fn blank(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let in_word = code.ends_with(is_word);
        let hidden = hidden_len(rest, in_word);
        if hidden > 0 {
            code.push_str(&blanks(&rest[..hidden]));
            rest = &rest[hidden..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

fn blanks(text: &str) -> String {
    text.chars().map(|char| if char == '\n' { "\n".to_owned() } else { " ".repeat(char.len_utf8()) }).collect()
}

/// The length of the comment or literal at the front of `rest`; 0 when there is none.
fn hidden_len(rest: &str, in_word: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_len(rest);
    }
    if rest.starts_with('"') {
        return string_len(rest);
    }
    if rest.starts_with('\'') {
        return character_len(rest);
    }
    if in_word { 0 } else { raw_string_len(rest) }
}

fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match rest.as_bytes().get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string_len(rest: &str) -> usize {
    let mut escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// A character such as 'a' or '\n'; a lifetime is none.
fn character_len(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    let Some((_, first)) = chars.next() else { return 0 };
    if first == '\\' {
        // The escaped character itself may be a quote.
        return chars.skip(1).find(|(_, char)| *char == '\'').map_or(0, |(at, _)| at + 1);
    }
    match chars.next() {
        Some((at, '\'')) => at + 1,
        _ => 0,
    }
}

fn raw_string_len(rest: &str) -> usize {
    let after_r = rest.trim_start_matches(['b', 'c']).strip_prefix('r');
    let Some(after_r) = after_r.filter(|after| rest.len() - after.len() <= 2) else { return 0 };
    let body = after_r.trim_start_matches('#');
    let hashes = &after_r[..after_r.len() - body.len()];
    let Some(body) = body.strip_prefix('"') else { return 0 };
    let end = body.find(&format!("\"{hashes}")).map_or(body.len(), |at| at + 1 + hashes.len());
    rest.len() - body.len() + end
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// What paths are made of.
#[derive(Clone, Copy, PartialEq)]
enum Token<'a> {
    /// An identifier, a macro's with its `!`; or the `*` of a glob (a product's is taken for one too: it names nothing).
    Word(&'a str),
    Colons,
    Open,
    Close,
    Other,
}

/// The tokens with their lines, counted from 1.
fn tokens(code: &str) -> Vec<(usize, Token<'_>)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let len = if is_word(first) { word_len(rest) } else { first.len_utf8() };
        let (token, len) = match first {
            '{' => (Token::Open, len),
            '}' => (Token::Close, len),
            ':' if rest.starts_with("::") => (Token::Colons, 2),
            '*' => (Token::Word("*"), len),
            _ if is_word(first) => (Token::Word(&rest[..len]), len),
            _ => (Token::Other, len),
        };
        line += usize::from(first == '\n');
        if !first.is_whitespace() {
            tokens.push((line, token));
        }
        rest = &rest[len..];
    }
    tokens
}

/// The length of the word at the front, a macro's `!` included.
fn word_len(rest: &str) -> usize {
    let len = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
    let is_macro = rest[len..].starts_with('!') && !rest[len..].starts_with("!=");
    len + usize::from(is_macro)
}

/// Every path that the code says, with its line; `use` trees written out.
fn paths(code: &str) -> Vec<(usize, Vec<&str>)> {
    let tokens: Vec<_> = tokens(code);
    let mut words: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].1 == Token::Word("use") && matches!(tokens.get(at + 2), Some((_, Token::Word("as") | Token::Other))) {
            // `use tokio as t;`: the path `tokio` alone would look like a name of ours.
            found.extend(if let Some((line, Token::Word(library))) = tokens.get(at + 1) {
                Some((*line, vec![*library, "self"]))
            } else {
                None
            });
        }
        at = if let Token::Word(_) = tokens[at].1 { path(&tokens, at, &mut words, &mut found) } else { at + 1 };
    }
    found
}

/// Reads the path whose first word is at `at`, below `prefix`; returns where to go on.
fn path<'a>(tokens: &[(usize, Token<'a>)], mut at: usize, prefix: &mut Vec<&'a str>, found: &mut Vec<(usize, Vec<&'a str>)>) -> usize {
    let token = |at: usize| tokens.get(at).map_or(Token::Other, |(_, token)| *token);
    let line = tokens[at].0;
    let outer = prefix.len();
    while let Token::Word(word) = token(at) {
        prefix.push(word);
        at += 1;
        if token(at) != Token::Colons {
            break;
        }
        at += 1;
    }
    if token(at - 1) == Token::Colons && token(at) == Token::Open {
        at = group(tokens, at + 1, prefix, found);
    } else {
        found.push((line, prefix.clone()));
    }
    prefix.truncate(outer);
    at
}

/// Reads the branches of a `use` tree up to the brace that closes it; returns where to go on.
fn group<'a>(tokens: &[(usize, Token<'a>)], mut at: usize, prefix: &mut Vec<&'a str>, found: &mut Vec<(usize, Vec<&'a str>)>) -> usize {
    while let Some((_, token)) = tokens.get(at) {
        at = match token {
            Token::Close => return at + 1,
            Token::Word("as") => at + 2, // the new name is no path
            Token::Word(_) => path(tokens, at, prefix, found),
            Token::Open => group(tokens, at + 1, prefix, found),
            Token::Colons | Token::Other => at + 1,
        };
    }
    at
}

//--- Planted faults

const MAP: &str = "
<!-- begin: who-may-name-whom -->
| module | may name | invariant |
|---|---|---|
| `ids` `prefix` | - | ground |
| `dns` | `prefix` | wire |
| `io` | all of the above | shell |
| `main` | `io` | flags |
<!-- end: who-may-name-whom -->
<!-- begin: doors -->
| word | only in | why |
|---|---|---|
| `std::fs` `UdpSocket` | `io/` | files |
| `unsafe` | `io/batch.rs` | calls |
| `println!` | | terminal |
| `http::` | `io/` | requests |
<!-- end: doors -->
";

fn planted(path: &str, code: &str) -> Vec<String> {
    faults(&Map::read(MAP), &[Source { path: path.to_owned(), text: code.to_owned() }])
}

#[track_caller]
fn caught(path: &str, code: &str, rule: &str) {
    let faults = planted(path, code);
    assert!(faults.len() == 1 && faults[0].contains(rule), "wanted one fault with `{rule}`, got {faults:#?}");
}

#[track_caller]
fn passes(path: &str, code: &str) {
    report(&planted(path, code));
}

#[test]
fn an_arrow_that_the_table_lacks_is_caught() {
    caught("src/dns/name.rs", "use crate::ids::Id;", "src/dns/name.rs:1: `dns` may not name `ids`");
    caught("src/dns/mod.rs", "fn f() {\n    crate::io::udp::run()\n}", "src/dns/mod.rs:2: `dns` may not name `io`");
    caught("src/prefix.rs", "use crate\n    ::dns::Name;", "`prefix` may not name `dns`");
}

#[test]
fn an_arrow_that_the_table_has_passes() {
    passes("src/dns/name.rs", "use crate::prefix::Prefix; use crate::dns::writer; use super::types;");
    passes("src/io/udp.rs", "use crate::{dns::Name, ids::Id, prefix};");
    passes("src/main.rs", "fn main() { steersman::io::run() }");
}

#[test]
fn a_tree_over_several_lines_is_written_out() {
    let tree = "use crate::{\n    prefix::Prefix,\n    io::{udp as datagrams, tcp},\n};";
    let faults = planted("src/dns/name.rs", tree);
    assert_eq!(faults, ["src/dns/name.rs:3: `dns` may not name `io` (docs/ARCHITECTURE.md)"]);
}

#[test]
fn a_climb_to_the_root_is_an_arrow_too() {
    caught("src/dns/mod.rs", "use super::ids::Id;", "`dns` may not name `ids`");
    caught("src/dns.rs", "use super::{ids::Id, prefix::Prefix};", "`dns` may not name `ids`");
    caught("src/dns/name.rs", "use super::super::prefix::Prefix;", "super::super");
}

#[test]
fn a_name_at_the_root_of_the_crate_is_caught() {
    caught("src/io/udp.rs", "use crate::respond;", "`crate::respond` is no module");
    caught("src/io/udp.rs", "use crate::*;", "`crate::*` is no module");
}

#[test]
fn a_word_behind_the_wrong_door_is_caught() {
    caught("src/dns/name.rs", "use std::{net::IpAddr, fs};", "`std::fs` may be said only in io/");
    caught("src/dns/name.rs", "fn f() { std::net::UdpSocket::bind(a) }", "`UdpSocket` may be said only in io/");
    caught("src/io/udp.rs", "fn f() { unsafe { g() } }", "`unsafe` may be said only in io/batch.rs");
    caught("src/io/udp.rs", "fn f() { println!(\"x\") }", "`println!` may be said nowhere");
    caught("src/dns/name.rs", "use http::{Method as M};", "`http::` may be said only in io/");
    caught("src/dns/name.rs", "use http as h;", "`http::` may be said only in io/");
    passes("src/dns/name.rs", "fn f() { let http = a.http; g(http, b::http) }");
    passes("src/io/batch.rs", "fn f() { unsafe { std::fs::read(a) } }");
    passes("src/dns/name.rs", "fn println() { if fs != unsafety {} }");
}

#[test]
fn comments_and_strings_say_nothing() {
    passes("src/dns/name.rs", "//! crate::io\n/* crate::io /* nested */ crate::io */ // crate::io\n/// [`crate::io`]\nfn f() {}");
    passes("src/dns/name.rs", "const A: &str = \"crate::io \\\" crate::io\"; const B: &str = r#\"unsafe \" crate::io\"#;");
    passes("src/dns/name.rs", "fn f<'a>(a: &'a str) -> char { let q = '\"'; let e = '\\''; q } // \" crate::io");
    caught("src/dns/name.rs", "const A: char = '\"'; use crate::io::B; const C: char = '\"';", "may not name `io`");
    caught("src/dns/name.rs", "const A: &[u8] = br\"\\\"; use crate::io::B;", "may not name `io`");
}

#[test]
fn test_code_may_name_what_it_likes() {
    passes("src/dns/name.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::io; fn g() { unsafe {} }\n}\n");
    passes("src/dns/name.rs", "#[cfg(test)]\nuse crate::{io, ids::{Id}};\nfn f() {}");
    caught("src/dns/name.rs", "#[cfg(test)]\nmod tests { use crate::io; }\nuse crate::io::B;", "name.rs:3: `dns` may not name `io`");
    let parent = Source { path: "src/dns/mod.rs".to_owned(), text: "#[cfg(test)]\npub mod testing;".to_owned() };
    let child = Source { path: "src/dns/testing.rs".to_owned(), text: "use crate::io;".to_owned() };
    report(&faults(&Map::read(MAP), &[parent, child]));
}

#[test]
fn habits_are_checked_in_tests_too() {
    let habits = |text: &str| Source { path: "tests/a.rs".to_owned(), text: text.to_owned() }.habits().len();
    assert_eq!(habits("//! A.\n#[test]\n#[ignore]\nfn a() {}"), 1);
    assert_eq!(habits("//! A.\nfn a() { todo!() }"), 1);
    assert_eq!(habits("fn a() {}"), 1);
    assert_eq!(habits("//! A.\nconst A: &str = \"#[ignore] todo!()\";"), 0);
    assert_eq!(habits(&("//! A.\n".repeat(LINES_MAX))), 0);
    assert_eq!(habits(&("//! A.\n".repeat(LINES_MAX + 1))), 1);
}

#[test]
fn libraries_are_read_from_the_manifest() {
    let manifest =
        "[package]\nname = \"a\"\n[dependencies]\narc-swap = \"1\"\nclap = { version = \"4\" }\n\n[dev-dependencies]\nb = \"1\"\n";
    assert_eq!(dependencies(manifest), ["arc_swap", "clap"]);
}
