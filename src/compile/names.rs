//! What names stand for: each kind of thing has its namespace, and here a reference becomes an index.

use crate::config::suggest::did_you_mean;
use crate::diagnostic::{Diagnostic, Diagnostics, Span, Spanned};
use std::cell::Cell;
use std::collections::HashMap;

/// One namespace. `T` is what a name stands for: an index.
pub(super) struct Names<'a, T> {
    /// What is named, for people: `monitor`.
    what: &'static str,
    entries: HashMap<&'a str, Entry<'a, T>>,
    /// In the order of their declaration, for proposals.
    order: Vec<&'a str>,
    /// Names whose definition was faulty: a reference to one of them is no second fault.
    broken: &'a [String],
    /// Whether a file that may define more could not be read at all.
    incomplete: bool,
}

struct Entry<'a, T> {
    value: T,
    span: &'a Span,
    used: Cell<bool>,
}

impl<'a, T: Copy> Names<'a, T> {
    /// An empty namespace. No unknown name is reported when it is `incomplete`.
    pub fn new(what: &'static str, broken: &'a [String], incomplete: bool) -> Names<'a, T> {
        Names { what, entries: HashMap::new(), order: Vec::new(), broken, incomplete }
    }

    /// Gives a name its meaning; the first one to take a name keeps it.
    pub fn declare(&mut self, name: &'a Spanned<String>, value: T, diagnostics: &mut Diagnostics) {
        if let Some(first) = self.entries.get(name.value.as_str()) {
            let fault = Diagnostic::error("duplicate-name", &name.span, format!("the {} `{}` is defined twice", self.what, name.value));
            diagnostics.push(fault.also(first.span, "first here").help("give one of the two another name, or remove it"));
            return;
        }
        self.entries.insert(&name.value, Entry { value, span: &name.span, used: Cell::new(false) });
        self.order.push(&name.value);
    }

    /// What a reference stands for; an unknown one is reported.
    pub fn resolve(&self, name: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<T> {
        if let Some(entry) = self.entries.get(name.value.as_str()) {
            entry.used.set(true);
            return Some(entry.value);
        }
        if !self.incomplete && !self.broken.contains(&name.value) {
            let fault = Diagnostic::error("unknown-name", &name.span, format!("no {} is named `{}`", self.what, name.value));
            diagnostics.push(fault.help(did_you_mean(&name.value, self.what, self.order.iter().copied())));
        }
        None
    }

    /// The names that nothing refers to, in the order of their declaration, with their places.
    pub fn unused(&self) -> impl Iterator<Item = (&'a str, &'a Span)> {
        self.order.iter().filter_map(|name| {
            let entry = &self.entries[name];
            (!entry.used.get()).then_some((*name, entry.span))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use std::sync::Arc;

    fn name(text: &str) -> Spanned<String> {
        let source = Arc::new(Source { name: "t".to_owned(), text: text.to_owned() });
        Spanned { value: text.to_owned(), span: Span::start_of(&source) }
    }

    #[test]
    fn the_first_to_take_a_name_keeps_it_and_the_second_is_reported() {
        let (first, second) = (name("web"), name("web"));
        let mut diagnostics = Diagnostics::new();
        let mut names = Names::new("pool", &[], false);
        names.declare(&first, 1, &mut diagnostics);
        names.declare(&second, 2, &mut diagnostics);
        assert_eq!(diagnostics.iter().count(), 1);
        assert_eq!(names.resolve(&first, &mut diagnostics), Some(1));
    }

    #[test]
    fn an_unknown_name_is_reported_unless_its_definition_was_faulty_or_may_be_elsewhere() {
        let broken = ["web".to_owned()];
        for (names, reports) in
            [(Names::<()>::new("pool", &[], false), 1), (Names::new("pool", &broken, false), 0), (Names::new("pool", &[], true), 0)]
        {
            let mut diagnostics = Diagnostics::new();
            assert!(names.resolve(&name("web"), &mut diagnostics).is_none());
            assert_eq!(diagnostics.iter().count(), reports);
        }
    }

    #[test]
    fn what_was_resolved_counts_as_used() {
        let (used, idle) = (name("used"), name("idle"));
        let mut names = Names::new("pool", &[], false);
        let mut diagnostics = Diagnostics::new();
        names.declare(&used, 1, &mut diagnostics);
        names.declare(&idle, 2, &mut diagnostics);
        names.resolve(&used, &mut diagnostics);
        assert_eq!(names.unused().map(|(name, _)| name).collect::<Vec<_>>(), ["idle"]);
    }
}
