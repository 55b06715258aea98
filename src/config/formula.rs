//! How a calculated monitor decides from others.

use super::reader::{self, Fields, Schema};
use super::yaml::{Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};

/// How a calculated monitor decides.
#[derive(Clone, Debug)]
pub enum Formula {
    /// As this monitor does.
    Monitor(Spanned<String>),
    /// So many of these must hold.
    AtLeast {
        /// How many.
        needed: usize,
        /// Of these.
        of: Vec<Formula>,
    },
    /// This must not hold.
    Not(Box<Formula>),
}

/// The keys of a formula inside another.
pub const FORMULA: Schema = Schema { name: "a calculation", keys: &["all", "any", "at_least", "of", "not"] };

/// The formula that the keys of a mapping write: exactly one of `all`, `any`, `at_least` with `of`, `not`.
pub fn read(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Formula> {
    let written: Vec<&'static str> = ["all", "any", "at_least", "not"].into_iter().filter(|key| fields.has(key)).collect();
    let &[key] = written.as_slice() else {
        let message = match written.as_slice() {
            [] => "nothing says how to calculate".to_owned(),
            several => format!("`{}` are written, and one of them decides", several.join("` and `")),
        };
        let help = "write one of `all: [a, b]`, `any: [a, b]`, `at_least: 2` with `of: [a, b, c]`, `not: a`";
        diagnostics.push(Diagnostic::error("bad-formula", &fields.head(), message).help(help));
        return None;
    };
    if key != "at_least" {
        fields.forbid("of", "it belongs to `at_least`", diagnostics);
    }
    let parts = |key, diagnostics: &mut Diagnostics| {
        let list = reader::non_empty("monitor", reader::one_or_list(term));
        fields.required(key, "[a, b, c]", list, diagnostics)
    };
    match key {
        "not" => fields.optional("not", term, diagnostics).map(|inner| Formula::Not(Box::new(inner))),
        "at_least" => {
            let of = parts("of", diagnostics)?;
            let needed = fields.optional("at_least", reader::number(1..=of.len() as u64), diagnostics)?;
            Some(Formula::AtLeast { needed: usize::try_from(needed).ok()?, of })
        }
        "any" => parts("any", diagnostics).map(|of| Formula::AtLeast { needed: 1, of }),
        _ => parts("all", diagnostics).map(|of| Formula::AtLeast { needed: of.len(), of }),
    }
}

/// The name of a monitor, or a formula.
fn term(node: &Node, diagnostics: &mut Diagnostics) -> Option<Formula> {
    match &node.value {
        Value::Mapping(_) => read(&Fields::of(node, FORMULA, diagnostics)?, diagnostics),
        Value::Scalar { .. } | Value::Sequence(_) => reader::name(node, diagnostics).map(Formula::Monitor),
    }
}
