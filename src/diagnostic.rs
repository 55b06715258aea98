//! What is wrong with a text, where, and how to mend it.
//!
//! Readers and the compiler never stop at the first fault: they push a [`Diagnostic`] and go on. Nothing here
//! prints; [`Diagnostics::render`] gives the text that `steersman check` shows.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;
use std::sync::Arc;

/// A text that was read: a config or zone file.
#[derive(Debug)]
pub struct Source {
    /// How users know it: its path as they wrote it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A place in a source, in bytes. Cheap to copy around: the source is shared.
#[derive(Clone, Debug)]
pub struct Span {
    /// The text it points into.
    pub source: Arc<Source>,
    /// First byte and one past the last.
    pub range: Range<usize>,
}

impl Span {
    /// A place in `source`; the range is cut to the text.
    pub fn new(source: &Arc<Source>, range: Range<usize>) -> Span {
        let end = range.end.min(source.text.len());
        Span { source: Arc::clone(source), range: range.start.min(end)..end }
    }

    /// The very start of `source`: for faults that are nowhere in particular.
    pub fn start_of(source: &Arc<Source>) -> Span {
        Span::new(source, 0..0)
    }

    /// The text it covers.
    pub fn text(&self) -> &str {
        self.source.text.get(self.range.clone()).unwrap_or_default()
    }

    /// Line and column of its first character, counted from 1; columns count characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = self.source.text.get(..self.range.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// A value that remembers where it was written.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), span: self.span }
    }
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Nothing is compiled; the old config goes on serving.
    Error,
    /// It is served as written, but probably not as meant.
    Warning,
}

/// One fault: which rule was broken, where, and the fix.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// A stable word for the rule, such as `unknown-key`: something to search for.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence without a full stop, in the user's words.
    pub message: String,
    /// The place of the fault, with a word or two beneath it.
    pub at: (Span, String),
    /// Further places that explain the first.
    pub also: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: &'static str, span: &Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            at: (span.clone(), String::new()),
            also: Vec::new(),
            help: None,
        }
    }

    /// A warning at `span`.
    pub fn warning(code: &'static str, span: &Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// The words beneath the place of the fault.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        self.at.1 = text.into();
        self
    }

    /// Another place that explains it.
    #[must_use]
    pub fn also(mut self, span: &Span, text: impl Into<String>) -> Diagnostic {
        self.also.push((span.clone(), text.into()));
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }
}

/// All faults found so far.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None yet.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of `other`.
    pub fn append(&mut self, other: Diagnostics) {
        self.0.extend(other.0);
    }

    /// Adds each of `found`.
    pub fn extend(&mut self, found: impl IntoIterator<Item = Diagnostic>) {
        self.0.extend(found);
    }

    /// Whether any of them forbids to go on.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// How many there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|d| d.severity == severity).count()
    }

    /// All of them, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Orders them by file, then by place; files stay in the order in which they first appear.
    pub fn sort(&mut self) {
        let mut files: Vec<*const Source> = Vec::new();
        let mut rank = |d: &Diagnostic| {
            let file = Arc::as_ptr(&d.at.0.source);
            files.iter().position(|&known| known == file).unwrap_or_else(|| {
                files.push(file);
                files.len() - 1
            })
        };
        let ranks: Vec<usize> = self.0.iter().map(&mut rank).collect();
        let mut keyed: Vec<_> = ranks.into_iter().zip(std::mem::take(&mut self.0)).collect();
        keyed.sort_by_key(|(rank, d)| (*rank, d.at.0.range.start, d.severity));
        self.0 = keyed.into_iter().map(|(_, d)| d).collect();
    }

    /// The report as people read it: each fault with its line, a mark below the place, and the fix. Past the first
    /// [`SHOWN_MAX`] they are only counted.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let reports = self.0.iter().take(SHOWN_MAX).map(|d| renderer.render(&[report(d)]));
        reports.chain(self.rest()).collect::<Vec<_>>().join("\n\n")
    }

    /// The report as logs carry it: a line a fault, `file:line:column: error[code]: message (help)`. Past the first
    /// [`SHOWN_MAX`] they are only counted.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().take(SHOWN_MAX).map(line).chain(self.rest()).collect()
    }

    fn rest(&self) -> Option<String> {
        let rest = self.0.len().checked_sub(SHOWN_MAX).filter(|rest| *rest > 0)?;
        Some(format!("and {rest} more; mend these first"))
    }
}

/// Faults that are shown. More have one cause, and to show each takes a walk through its file.
pub const SHOWN_MAX: usize = 100;

fn line(d: &Diagnostic) -> String {
    let (line, column) = d.at.0.line_column();
    let severity = match d.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let help = d.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
    format!("{}:{line}:{column}: {severity}[{}]: {}{help}", d.at.0.source.name, d.code, d.message)
}

fn report(d: &Diagnostic) -> Group<'_> {
    let level = match d.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level.primary_title(d.message.as_str()).id(d.code).element(snippet(&d.at, &d.also));
    // A place in another file needs a snippet of its own.
    for (span, text) in d.also.iter().filter(|(span, _)| !Arc::ptr_eq(&span.source, &d.at.0.source)) {
        group = group.element(
            Snippet::source(span.source.text.as_str())
                .path(span.source.name.as_str())
                .annotation(AnnotationKind::Context.span(span.range.clone()).label(text.as_str())),
        );
    }
    match &d.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

fn snippet<'a>(at: &'a (Span, String), also: &'a [(Span, String)]) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let (span, label) = at;
    let mark = AnnotationKind::Primary.span(span.range.clone());
    let mark = if label.is_empty() { mark } else { mark.label(label.as_str()) };
    let near = also
        .iter()
        .filter(|(other, _)| Arc::ptr_eq(&other.source, &span.source))
        .map(|(other, text)| AnnotationKind::Context.span(other.range.clone()).label(text.as_str()));
    Snippet::source(span.source.text.as_str()).path(span.source.name.as_str()).annotation(mark).annotations(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, text: &str) -> Arc<Source> {
        Arc::new(Source { name: name.to_owned(), text: text.to_owned() })
    }

    fn span(source: &Arc<Source>, part: &str) -> Span {
        let start = source.text.find(part).expect("the test names a part of its text");
        Span::new(source, start..start + part.len())
    }

    #[test]
    fn columns_count_characters_and_both_counts_begin_at_one() {
        let source = source("a.yaml", "é: 1\nüü: x\n");
        assert_eq!(span(&source, "é").line_column(), (1, 1));
        assert_eq!(span(&source, "x").line_column(), (2, 5));
        assert_eq!(Span::new(&source, 900..1000).text(), "");
    }

    #[test]
    fn faults_are_sorted_by_place_and_files_stay_in_order() {
        let (second, first) = (source("b.yaml", "one two"), source("a.yaml", "one two"));
        let mut diagnostics = Diagnostics::new();
        for (source, part) in [(&second, "two"), (&first, "two"), (&second, "one"), (&first, "one")] {
            diagnostics.push(Diagnostic::error("x", &span(source, part), part));
        }
        diagnostics.sort();
        let order: Vec<String> = diagnostics.iter().map(|d| format!("{} {}", d.at.0.source.name, d.message)).collect();
        assert_eq!(order, ["b.yaml one", "b.yaml two", "a.yaml one", "a.yaml two"]);
    }

    #[test]
    fn a_line_holds_place_severity_code_message_and_fix() {
        let source = source("a.yaml", "key: vlaue\n");
        let mut diagnostics = Diagnostics::new();
        diagnostics.push(Diagnostic::warning("typo", &span(&source, "vlaue"), "that is no value").help("write `value`"));
        assert_eq!(diagnostics.lines(), ["a.yaml:1:6: warning[typo]: that is no value (write `value`)"]);
        assert!(!diagnostics.has_errors());
    }

    #[test]
    fn a_report_shows_both_files_of_a_fault_in_two() {
        let (here, there) = (source("b.yaml", "name: web\n"), source("a.yaml", "# first\nname: web\n"));
        let mut diagnostics = Diagnostics::new();
        let fault = Diagnostic::error("twice", &span(&here, "web"), "`web` is defined twice").label("again");
        diagnostics.push(fault.also(&span(&there, "web"), "first here").help("rename one"));
        let expected = "\
error[twice]: `web` is defined twice
 --> b.yaml:1:7
  |
1 | name: web
  |       ^^^ again
  |
 ::: a.yaml:2:7
  |
2 | name: web
  |       --- first here
  |
  = help: rename one";
        assert_eq!(diagnostics.render(false), expected);
    }

    #[test]
    fn a_hundred_faults_are_shown_and_the_others_counted() {
        let source = source("a.yaml", "x");
        let mut diagnostics = Diagnostics::new();
        for _ in 0..SHOWN_MAX {
            diagnostics.push(Diagnostic::error("x", &span(&source, "x"), "wrong"));
        }
        assert_eq!(diagnostics.lines().len(), SHOWN_MAX);
        diagnostics.push(Diagnostic::error("x", &span(&source, "x"), "wrong"));
        assert_eq!(diagnostics.lines().last().map(String::as_str), Some("and 1 more; mend these first"));
        assert!(diagnostics.render(false).ends_with("and 1 more; mend these first"));
    }

    #[test]
    fn a_fault_of_a_file_without_text_is_shown_all_the_same() {
        let mut diagnostics = Diagnostics::new();
        diagnostics.push(Diagnostic::error("unreadable-file", &Span::start_of(&source("gone.yaml", "")), "`gone.yaml` cannot be read"));
        let report = diagnostics.render(false);
        assert!(report.contains("`gone.yaml` cannot be read") && report.contains("gone.yaml:1:1"), "{report}");
    }
}
