//! YAML text to a tree in which every node knows its place. The only file that knows the YAML library.
//!
//! Text enters by [`parse`]; out comes a [`Node`], or `None` with the reason among the diagnostics. The library hands us
//! events and we keep what a reader of sections needs: the text of a scalar and whether it was quoted, never a guessed
//! type. So the country `NO` stays Norway, and the reader of a field decides what `443` means.
//!
//! Of YAML 1.2 we refuse what configs do not need and what hides mistakes: tags, merge keys, several documents, keys
//! that are no text. Anchors and aliases work within budgets, so that a small text cannot unfold into a large tree.

use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, Spanned};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A piece of a YAML text, and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands, without the blank space behind it.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text, with escapes resolved.
    Scalar {
        /// The text.
        text: String,
        /// Written without quotes, and not as a block.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and their values, in file order; no key comes twice.
    Mapping(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// Whether nothing was written: an empty value, `~` or `null` without quotes.
    pub fn is_empty(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What it is, for people: `a text`, `a list`, `a mapping`, `nothing`.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_empty() => "nothing",
            Value::Scalar { .. } => "a text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// Nodes in one file. A zone of a million names has some five million.
const NODES_MAX: usize = 10_000_000;
/// Nodes that aliases may add in one file. A config repeats lists, not zones.
const COPIES_MAX: usize = 1_000_000;
/// Levels of nesting. The deepest path that any section reads has nine.
const DEPTH_MAX: usize = 64;

/// Reads `source` as one YAML document. An empty text is an empty mapping.
///
/// Faults that leave the structure clear (a key twice, a tag) are reported and reading goes on; the tree is then
/// complete but for them. A syntax error is reported once and ends the file: `None`.
pub fn parse(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Option<Node> {
    let mut options = granit_parser::options! {
        emit_unresolved_aliases: true,
        // Ours is the limit that users meet: it counts both styles together.
        flow_nesting_limit: 2 * DEPTH_MAX,
        block_nesting_limit: 2 * DEPTH_MAX,
    };
    options.set_emit_comments(false);
    let mut builder = Builder::new(source, diagnostics);
    for next in Parser::new_from_str_with_options(&source.text, options) {
        let went_on = match next {
            Ok((event, span)) => builder.handle_event(event, &span),
            Err(error) => builder.handle_error(&error),
        };
        went_on.ok()?;
    }
    let empty = || Node { span: Span::start_of(source), value: Value::Mapping(Vec::new()) };
    Some(builder.root.filter(|node| !node.is_empty()).unwrap_or_else(empty))
}

/// The file cannot be read further; the reason is among the diagnostics.
struct Fatal;

/// Makes a tree of events.
struct Builder<'a> {
    source: &'a Arc<Source>,
    diagnostics: &'a mut Diagnostics,
    /// Collections that have begun and not ended, outermost first.
    open: Vec<Collection>,
    /// Finished nodes that had an anchor, by the library's number.
    anchors: HashMap<usize, Arc<Placed>>,
    /// The document, once it is complete.
    root: Option<Node>,
    /// Nodes made so far; at most [`NODES_MAX`].
    nodes: usize,
    /// Nodes made by aliases so far; at most [`COPIES_MAX`].
    copies: usize,
    documents: usize,
    /// The byte at which an alias without an anchor began: the likely cause of what fails next.
    lost_alias: Option<usize>,
}

/// A collection that has begun.
struct Collection {
    start: usize,
    /// Where its last child ended: a block has no closing mark of its own.
    end: usize,
    anchor: usize,
    size: usize,
    height: usize,
    children: Children,
}

enum Children {
    Items(Vec<Node>),
    Entries { entries: Vec<(Spanned<String>, Node)>, first: HashMap<String, Range<usize>>, next: Slot },
}

/// What a mapping waits for.
enum Slot {
    Key,
    ValueOf(Spanned<String>),
    /// The value of a key that was refused.
    Ignored,
}

/// A complete node, and what the budgets need to know of it.
#[derive(Clone)]
struct Placed {
    node: Node,
    /// Nodes in it, itself included.
    size: usize,
    /// Levels of collections in it.
    height: usize,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Arc<Source>, diagnostics: &'a mut Diagnostics) -> Builder<'a> {
        Builder {
            source,
            diagnostics,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            nodes: 0,
            copies: 0,
            documents: 0,
            lost_alias: None,
        }
    }

    fn handle_event(&mut self, event: Event<'_>, at: &granit_parser::Span) -> Result<(), Fatal> {
        let range = bytes(at);
        match event {
            Event::DocumentStart(..) => self.begin_document(range),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                let plain = style == ScalarStyle::Plain;
                let span = self.trimmed(range);
                let end = span.range.end;
                let node = Node { span, value: Value::Scalar { text: text.into_owned(), plain } };
                self.finish(Placed { node, size: 1, height: 0 }, anchor, end)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                self.begin(range, anchor, Children::Items(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                self.begin(range, anchor, Children::Entries { entries: Vec::new(), first: HashMap::new(), next: Slot::Key })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(range),
            Event::Alias(anchor) => self.copy(anchor, range),
            Event::UnresolvedAlias(name) => self.refuse_alias(&name, range),
            // The stream's and the document's ends mean nothing to the tree; comments and such were not asked for.
            _ => Ok(()),
        }
    }

    fn begin_document(&mut self, range: Range<usize>) -> Result<(), Fatal> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        let span = Span::new(self.source, range);
        let fault = Diagnostic::error("yaml-unsupported", &span, "a file holds one YAML document, and this begins a second");
        self.fail(fault.help("move what follows into a file of its own; globs such as `zones/*.yaml` find it there"))
    }

    fn begin(&mut self, range: Range<usize>, anchor: usize, children: Children) -> Result<(), Fatal> {
        if self.open.len() >= DEPTH_MAX {
            return self.too_deep(range);
        }
        self.open.push(Collection { start: range.start, end: range.end, anchor, size: 1, height: 1, children });
        Ok(())
    }

    fn end(&mut self, range: Range<usize>) -> Result<(), Fatal> {
        let collection = self.open.pop().expect("the parser ends only what it has begun");
        // A flow collection ends with its bracket; the end of a block is merely the next thing, somewhere below.
        let end = if range.is_empty() || !self.closes(&range) { collection.end } else { range.end };
        let value = match collection.children {
            Children::Items(items) => Value::Sequence(items),
            Children::Entries { entries, .. } => Value::Mapping(entries),
        };
        let node = Node { span: self.trimmed(collection.start..end), value };
        self.finish(Placed { node, size: collection.size, height: collection.height }, collection.anchor, end)
    }

    fn closes(&self, range: &Range<usize>) -> bool {
        self.source.text.get(range.clone()).is_some_and(|text| text.ends_with(['}', ']']))
    }

    /// A node is complete: remembers it under its anchor and puts it where it belongs.
    fn finish(&mut self, placed: Placed, anchor: usize, end: usize) -> Result<(), Fatal> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return self.fail(Diagnostic::error("yaml-too-large", &placed.node.span, format!("the file has more than {NODES_MAX} values")));
        }
        if anchor > 0 {
            self.spend(placed.size, &placed.node.span)?;
            self.anchors.insert(anchor, Arc::new(placed.clone()));
        }
        self.place(placed, end);
        Ok(())
    }

    /// Puts a complete node, written up to `end`, into the collection that is open.
    fn place(&mut self, placed: Placed, end: usize) {
        let Placed { mut node, size, height } = placed;
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        parent.end = parent.end.max(end);
        parent.size += size;
        parent.height = parent.height.max(height + 1);
        let Children::Entries { entries, first, next } = &mut parent.children else {
            if let Children::Items(items) = &mut parent.children {
                items.push(node);
            }
            return;
        };
        match std::mem::replace(next, Slot::Key) {
            Slot::Key => match admit_key(node, first) {
                Ok(key) => *next = Slot::ValueOf(key),
                Err(fault) => {
                    *next = Slot::Ignored;
                    self.diagnostics.push(*fault);
                }
            },
            Slot::ValueOf(key) => {
                // Nothing was written: the place to look at is the key.
                if node.span.range.is_empty() {
                    node.span = key.span.clone();
                }
                entries.push((key, node));
            }
            Slot::Ignored => {}
        }
    }

    fn copy(&mut self, anchor: usize, range: Range<usize>) -> Result<(), Fatal> {
        let span = Span::new(self.source, range.clone());
        let Some(placed) = self.anchors.get(&anchor).map(Arc::clone) else {
            let fault = Diagnostic::error("yaml-alias", &span, format!("`{}` stands inside what it stands for", span.text()));
            return self.fail(fault.help("an alias can only repeat something that was complete before it"));
        };
        if self.open.len() + placed.height > DEPTH_MAX {
            return self.too_deep(range);
        }
        self.spend(placed.size, &span)?;
        self.place(Placed::clone(&placed), range.end);
        Ok(())
    }

    fn spend(&mut self, copies: usize, span: &Span) -> Result<(), Fatal> {
        self.copies = self.copies.saturating_add(copies);
        if self.copies <= COPIES_MAX {
            return Ok(());
        }
        let fault = Diagnostic::error("yaml-too-large", span, format!("aliases unfold to more than {COPIES_MAX} values"));
        self.fail(fault.help("write the values out, or split the file"))
    }

    fn too_deep(&mut self, range: Range<usize>) -> Result<(), Fatal> {
        let span = Span::new(self.source, range);
        self.fail(Diagnostic::error("yaml-too-large", &span, format!("nested more than {DEPTH_MAX} levels deep")))
    }

    fn refuse_tag(&mut self, tagged: bool, at: &granit_parser::Span) {
        if !tagged {
            return;
        }
        let span = self.trimmed(at.tag_span().map_or_else(|| bytes(at), |tag| bytes(&tag)));
        let fault = Diagnostic::error("yaml-unsupported", &span, format!("the YAML tag `{}` is not read", span.text()));
        self.diagnostics.push(fault.help("remove it: the key decides how a value is read"));
    }

    fn refuse_alias(&mut self, name: &str, range: Range<usize>) -> Result<(), Fatal> {
        self.lost_alias = Some(range.start);
        let span = Span::new(self.source, range.clone());
        let wanted = format!("*{}", name.trim_end_matches(':'));
        let fault = Diagnostic::error("yaml-alias", &span, format!("no `&{name}` comes before the alias `*{name}`"));
        self.diagnostics.push(fault.help(format!("for the text itself, write it in quotes: `\"{wanted}\"`")));
        let span = Span::new(self.source, range.clone());
        let node = Node { span, value: Value::Scalar { text: wanted, plain: false } };
        self.finish(Placed { node, size: 1, height: 0 }, 0, range.end)
    }

    fn handle_error(&mut self, error: &ScanError) -> Result<(), Fatal> {
        let at = error.marker().byte_offset().unwrap_or(self.source.text.len());
        // An alias that was meant as a text (`*.app: …`) breaks what follows; one report is enough.
        if self.lost_alias.is_some_and(|start| self.same_line(start, at)) {
            return Err(Fatal);
        }
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            return self.too_deep(at..at);
        }
        let mut fault = syntax_fault(error, at, self.source);
        if let Some((bracket, opening)) = self.open_bracket() {
            fault = fault.also(&opening, "opened here");
            fault.help.get_or_insert_with(|| match bracket {
                '{' => "close the mapping with `}` and put a comma between its keys".to_owned(),
                _ => "close the list with `]` and put a comma between its items".to_owned(),
            });
        }
        self.fail(fault)
    }

    /// The bracket of the innermost collection, when it has one.
    fn open_bracket(&self) -> Option<(char, Span)> {
        let start = self.open.last()?.start;
        let bracket = self.source.text.get(start..)?.chars().next().filter(|c| matches!(c, '[' | '{'))?;
        Some((bracket, Span::new(self.source, start..start + 1)))
    }

    fn same_line(&self, from: usize, to: usize) -> bool {
        let text = self.source.text.get(from.min(to)..from.max(to)).unwrap_or_default();
        text.trim_end().lines().count() <= 1
    }

    fn fail(&mut self, fault: Diagnostic) -> Result<(), Fatal> {
        self.diagnostics.push(fault);
        Err(Fatal)
    }

    fn trimmed(&self, range: Range<usize>) -> Span {
        let text = self.source.text.get(range.clone()).unwrap_or_default();
        Span::new(self.source, range.start..range.start + text.trim_end().len())
    }
}

/// The key that `node` makes, unless the mapping has it already or it is none.
fn admit_key(node: Node, first: &mut HashMap<String, Range<usize>>) -> Result<Spanned<String>, Box<Diagnostic>> {
    let Node { span, value } = node;
    let Value::Scalar { text, plain } = value else {
        let fault = Diagnostic::error("yaml-unsupported", &span, "a key must be a text");
        return Err(Box::new(fault.help("if this was meant as a text, write it in quotes")));
    };
    if plain && text == "<<" {
        let fault = Diagnostic::error("yaml-unsupported", &span, "merge keys (`<<`) are not read");
        return Err(Box::new(fault.help("write the keys out, so that a reader of this place sees what holds here")));
    }
    if let Some(earlier) = first.get(&text) {
        let earlier = Span::new(&span.source, earlier.clone());
        let fault = Diagnostic::error("duplicate-key", &span, format!("`{text}` is written twice"));
        return Err(Box::new(fault.label("again here").also(&earlier, "first here").help("keep one of the two")));
    }
    first.insert(text.clone(), span.range.clone());
    Ok(Spanned { value: text, span })
}

fn bytes(span: &granit_parser::Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or_default();
    start..span.end.byte_offset().unwrap_or(start).max(start)
}

//--- Syntax errors

/// What the library says, with the fix that its position suggests.
fn syntax_fault(error: &ScanError, at: usize, source: &Arc<Source>) -> Diagnostic {
    let span = place_of(at, source);
    let (start, line) = line_around(span.range.start, &source.text);
    let indent = &line[..line.len() - line.trim_start().len()];
    if let Some(tab) = indent.find('\t') {
        let span = Span::new(source, start + tab..start + indent.len());
        return Diagnostic::error("yaml-syntax", &span, "this is not YAML: a line is indented with a tab").help("indent with spaces");
    }
    if let ErrorKind::MappingValueNotAllowed | ErrorKind::ExpectedBlockMappingKey = error.kind()
        && !source.text[start..span.range.start].contains(": ")
        && let Some(fault) = unfitting_line(start, source)
    {
        return fault;
    }
    let fault = Diagnostic::error("yaml-syntax", &span, format!("this is not YAML: {}", reason(error.kind())));
    if span.text().starts_with(NEEDS_QUOTES) {
        let rest = &source.text[span.range.start..];
        let word = rest.split([' ', '\n', ',', ']', '}']).next().unwrap_or_default().trim_end_matches(':');
        return fault.help(format!("a text that begins with `{}` needs quotes: `\"{word}\"`", span.text()));
    }
    if let Some(key) = missing_space(line) {
        return fault.help(format!("write a space behind the colon: `{key}: …`"));
    }
    match fix_for(error.kind()) {
        Some(help) => fault.help(help),
        None => fault,
    }
}

/// The fault behind a colon or key that YAML did not expect in the line at `start`, when it took that line for a part of the
/// one above: either that one is no `key: value`, or this one is indented too far.
fn unfitting_line(start: usize, source: &Arc<Source>) -> Option<Diagnostic> {
    const SAME_COLUMN: &str = "keys of one mapping begin in the same column, each as `key: value`";
    let text = &source.text;
    let (_, line) = line_around(start, text);
    let (at, above) = line_around(text[..start].trim_end().len(), text);
    if at == start || above.trim_start().starts_with('#') {
        return None;
    }
    let indent = |line: &str| line.len() - line.trim_start().len();
    let place = |from: usize, line: &str| Span::new(source, from + indent(line)..from + line.trim_end().len());
    let opens = above.trim_end().ends_with(':');
    if indent(line) >= indent(above) && !above.contains(": ") && !opens {
        let help = missing_space(above).map_or_else(|| SAME_COLUMN.to_owned(), |key| format!("write a space behind the colon: `{key}: …`"));
        let fault = Diagnostic::error("yaml-syntax", &place(at, above), "this is not YAML: a line that is no `key: value`");
        return Some(fault.help(help));
    }
    if indent(line) <= indent(above) || opens {
        return None;
    }
    let message = "this is not YAML: a line that is indented further than the one above, which has its value already";
    Some(Diagnostic::error("yaml-syntax", &place(start, line), message).help(SAME_COLUMN))
}

/// Marks of YAML with which names of DNS and shells also begin: alias, reserved, directive.
const NEEDS_QUOTES: [char; 4] = ['*', '@', '`', '%'];

/// What the library says, or the same in words of the file where its own are those of its parser.
fn reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::SimpleKeyExpected => "a line that is no `key: value`".to_owned(),
        ErrorKind::ExpectedBlockMappingKey => "a key was expected here".to_owned(),
        ErrorKind::MappingValueNotAllowed => "a second `: ` in one line".to_owned(),
        ErrorKind::InvalidColonPlacement => "a colon does not belong here".to_owned(),
        ErrorKind::UnexpectedCharacter { character } => format!("`{character}` cannot stand here"),
        // The library may name more kinds in time; its own words do for those.
        other => other.to_string(),
    }
}

fn fix_for(kind: &ErrorKind) -> Option<&'static str> {
    // The library may name more kinds in time: those without a fix of ours speak for themselves.
    let help = match kind {
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation | ErrorKind::TabInPlainScalar => {
            "use spaces: YAML takes no tabs there"
        }
        ErrorKind::MappingValueNotAllowed => "a text that holds `: ` needs quotes, and a key stands on a line of its own",
        ErrorKind::SimpleKeyExpected | ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
            "keys of one mapping begin in the same column, each as `key: value`"
        }
        ErrorKind::UnclosedFlowCollection { open: '{' } | ErrorKind::UnexpectedEofFlowMapping | ErrorKind::ExpectedFlowMappingSeparator => {
            "close the mapping with `}` and put a comma between its keys"
        }
        ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::UnexpectedEofFlowSequence | ErrorKind::ExpectedFlowSequenceSeparator => {
            "close the list with `]` and put a comma between its items"
        }
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent | ErrorKind::DocumentIndicatorInQuotedScalar => {
            "close the quotes"
        }
        ErrorKind::UnknownQuotedScalarEscape => "in double quotes a backslash is written twice; in single quotes it stands for itself",
        ErrorKind::ExpectedBlockSequenceEntry => "items of a list begin in the same column, each with `- `",
        _ => return None,
    };
    Some(help)
}

/// The character at `at`, or the last one before it that is no blank: there is nothing to see at the end of a file.
fn place_of(at: usize, source: &Arc<Source>) -> Span {
    let text = &source.text;
    let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    let start = match text[at..].chars().next() {
        Some(c) if c != '\n' && c != '\r' => at,
        Some(_) | None => text[..at].trim_end().char_indices().next_back().map_or(0, |(last, _)| last),
    };
    let len = text[start..].chars().next().map_or(0, char::len_utf8);
    Span::new(source, start..start + len)
}

/// The line that holds the byte `at`, and where it begins.
fn line_around(at: usize, text: &str) -> (usize, &str) {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    (start, text[start..].lines().next().unwrap_or_default())
}

/// The key of a line such as `port:443`.
fn missing_space(line: &str) -> Option<&str> {
    let (key, rest) = line.trim_start().trim_start_matches("- ").split_once(':')?;
    let is_word = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    (is_word && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '"' || c == '[' || c == '{')).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "test.yaml".to_owned(), text: text.to_owned() })
    }

    fn read(text: &str) -> (Option<Node>, Diagnostics) {
        let mut diagnostics = Diagnostics::new();
        let node = parse(&source(text), &mut diagnostics);
        (node, diagnostics)
    }

    fn tree(text: &str) -> Node {
        let (node, diagnostics) = read(text);
        assert_eq!(diagnostics.lines(), Vec::<String>::new(), "{text}");
        node.expect("a tree")
    }

    fn faults(text: &str) -> Vec<String> {
        read(text).1.lines()
    }

    /// Every node with its text, to see the spans.
    fn spans(node: &Node, out: &mut Vec<String>) {
        out.push(node.span.text().to_owned());
        match &node.value {
            Value::Scalar { .. } => {}
            Value::Sequence(items) => items.iter().for_each(|item| spans(item, out)),
            Value::Mapping(entries) => entries.iter().for_each(|(key, value)| {
                out.push(key.span.text().to_owned());
                spans(value, out);
            }),
        }
    }

    #[test]
    fn a_span_covers_what_was_written_and_no_blank_space() {
        let mut seen = Vec::new();
        spans(&tree("a:\n  - x y   \n  - \"q\"  # note\n\nb: {c: [1, 2]}   \n\n# end\n"), &mut seen);
        let all = "a:\n  - x y   \n  - \"q\"  # note\n\nb: {c: [1, 2]}";
        assert_eq!(seen, [all, "a", "- x y   \n  - \"q\"", "x y", "\"q\"", "b", "{c: [1, 2]}", "c", "[1, 2]", "1", "2"], "{seen:#?}");
    }

    #[test]
    fn quoted_and_plain_texts_are_told_apart_and_no_type_is_guessed() {
        let node = tree("- NO\n- \"443\"\n- 443\n- ''\n- ~\n- |\n block\n");
        let Value::Sequence(items) = node.value else { panic!("a list") };
        let kinds: Vec<_> = items
            .iter()
            .map(|item| match &item.value {
                Value::Scalar { text, plain } => (text.as_str(), *plain),
                Value::Sequence(_) | Value::Mapping(_) => panic!("a text"),
            })
            .collect();
        assert_eq!(kinds, [("NO", true), ("443", false), ("443", true), ("", false), ("~", true), ("block\n", false)]);
        assert!(items[4].is_empty() && !items[3].is_empty());
    }

    #[test]
    fn an_empty_text_is_an_empty_mapping() {
        for text in ["", "\n\n", "# nothing\n", "---\n", "\u{feff}"] {
            assert!(matches!(tree(text).value, Value::Mapping(entries) if entries.is_empty()), "{text:?}");
        }
    }

    #[test]
    fn of_a_key_written_twice_the_first_counts_and_both_places_are_named() {
        let (node, diagnostics) = read("a: 1\nb: 2\na: 3\nb: 4\n");
        let Some(Value::Mapping(entries)) = node.map(|node| node.value) else { panic!("a mapping") };
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].1.span.text(), "1");
        assert_eq!(diagnostics.count(crate::diagnostic::Severity::Error), 2);
        assert!(diagnostics.iter().all(|d| d.also.len() == 1));
    }

    #[test]
    fn an_alias_repeats_what_its_anchor_names() {
        let mut seen = Vec::new();
        spans(&tree("a: &x [1, 2]\nb: *x\n"), &mut seen);
        assert_eq!(seen[1..], ["a", "[1, 2]", "1", "2", "b", "[1, 2]", "1", "2"]);
    }

    #[test]
    fn aliases_cannot_unfold_a_small_text_into_a_large_tree() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let before = level - 1;
            let list = vec![format!("*a{before}"); 10].join(", ");
            writeln!(bomb, "a{level}: &a{level} [{list}]").expect("writing to a string succeeds");
        }
        let faults = faults(&bomb);
        assert!(faults.len() == 1 && faults[0].contains("more than 1000000 values"), "{faults:?}");
    }

    #[test]
    fn an_alias_inside_its_own_anchor_is_refused() {
        assert!(faults("a: &a [*a]\n")[0].contains("stands inside"));
    }

    #[test]
    fn nesting_up_to_64_levels_is_read_and_65_is_refused() {
        let nested = |levels: usize| format!("{}x{}", "[".repeat(levels), "]".repeat(levels));
        assert!(faults(&nested(64)).is_empty());
        assert!(faults(&nested(65))[0].contains("64 levels"));
        assert!(faults(&nested(5000))[0].contains("64 levels"));
    }

    #[test]
    fn what_configs_do_not_need_is_refused_with_the_reason() {
        for (text, part) in [
            ("a: !!str 1\n", "tag `!!str`"),
            ("<<: {a: 1}\n", "merge keys"),
            ("a: 1\n---\nb: 2\n", "one YAML document"),
            ("[a, b]: 1\n", "a key must be a text"),
            ("? {a: 1}\n: 2\n", "a key must be a text"),
        ] {
            let faults = faults(text);
            assert!(faults.len() == 1 && faults[0].contains(part), "{text}: {faults:?}");
        }
    }

    #[test]
    fn a_syntax_error_is_one_report_with_its_place_and_the_fix() {
        for (text, place, fix) in [
            ("a:\n\tb: 1\n", "2:1", "spaces"),
            ("a: 1\nport:443\nb: 2\n", "2:", "space behind the colon: `port: …`"),
            ("*.app: {steer: x}\nb: 1\n", "1:1", "`\"*.app\"`"),
            ("*.app:\n  steer: x\n", "1:1", "`\"*.app\"`"),
            ("@: {A: 192.0.2.1}\n", "1:1", "needs quotes: `\"@\"`"),
            ("a: 1\nport:443\nb: 2\n", "2:1", "space behind the colon: `port: …`"),
            ("m:\n  type http\n\n  port: 80\n", "2:3", "each as `key: value`"),
            ("m:\n  type: http\n    port: 80\n", "3:5", "the same column"),
            ("a: b: c\n", "1:", "needs quotes"),
            ("a: [1, 2\nb: 3\n", "", "close the list"),
            ("a: {b: 1\n", "", "close the mapping"),
            ("a: \"x\n", "", "close the quotes"),
        ] {
            let faults = faults(text);
            assert!(faults.len() == 1 && faults[0].contains(fix) && faults[0].contains(place), "{text}: {faults:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[ -~\t\n\u{e9}]{0,200}") {
            let (node, diagnostics) = read(&text);
            prop_assert!(node.is_some() || diagnostics.has_errors());
        }

        #[test]
        fn no_text_of_yaml_marks_makes_the_reader_panic(text in "[-:?&*!|>'\"%@`{}\\[\\],# \na<\u{feff}\u{2028}]{0,80}") {
            let (node, diagnostics) = read(&text);
            prop_assert!(node.is_some() || diagnostics.has_errors());
            let _ = diagnostics.render(false);
        }
    }
}
