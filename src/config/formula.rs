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
        let parts = fields.required(key, "[a, b, c]", list, diagnostics);
        refuse_twins(parts.as_deref().unwrap_or_default(), diagnostics);
        parts
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

/// A monitor that is written twice would count twice, or with `not` once for and once against itself.
fn refuse_twins(parts: &[Formula], diagnostics: &mut Diagnostics) {
    let names: Vec<&Spanned<String>> = parts.iter().filter_map(Formula::only_name).collect();
    for (index, name) in names.iter().enumerate() {
        if let Some(earlier) = names[..index].iter().find(|earlier| earlier.value == name.value) {
            let fault = Diagnostic::error("duplicate-name", &name.span, format!("the monitor `{}` is listed twice", name.value));
            diagnostics.push(fault.also(&earlier.span, "first here").help("remove one of them"));
        }
    }
}

impl Formula {
    /// The monitor that decides here, or whose contrary does.
    fn only_name(&self) -> Option<&Spanned<String>> {
        match self {
            Formula::Monitor(name) => Some(name),
            Formula::Not(part) => part.only_name(),
            Formula::AtLeast { .. } => None,
        }
    }
}

/// The name of a monitor, or a formula.
fn term(node: &Node, diagnostics: &mut Diagnostics) -> Option<Formula> {
    match &node.value {
        Value::Mapping(_) => read(&Fields::of(node, FORMULA, diagnostics)?, diagnostics),
        Value::Scalar { .. } | Value::Sequence(_) => reader::name(node, diagnostics).map(Formula::Monitor),
    }
}
