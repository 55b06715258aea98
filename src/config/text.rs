//! What must be found in what comes back: `contains`, `matches` and `within`, which several kinds of checks share.

use super::reader::{self, Fields};
use super::yaml::Node;
use crate::check::{Pattern, TextRule};
use crate::diagnostic::Diagnostics;

/// What must be found in what comes back.
pub fn text_rule(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> TextRule {
    let texts = reader::non_empty("text", reader::one_or_list(reader::text));
    let contains = fields.optional("contains", texts, diagnostics).unwrap_or_default();
    let matches = fields.optional("matches", pattern, diagnostics);
    if contains.is_empty() && !fields.has("contains") && !fields.has("matches") {
        fields.forbid("within", "nothing is looked for; write `contains` or `matches`", diagnostics);
    }
    TextRule {
        contains: contains.into_iter().map(|text| text.value.into()).collect(),
        matches,
        within: fields.optional("within", within, diagnostics).unwrap_or(TextRule::WITHIN),
    }
}

fn within(node: &Node, diagnostics: &mut Diagnostics) -> Option<usize> {
    reader::number(1..=WITHIN_MAX as u64)(node, diagnostics).and_then(|octets| usize::try_from(octets).ok())
}

fn pattern(node: &Node, diagnostics: &mut Diagnostics) -> Option<Pattern> {
    let text = reader::scalar(node, "a regular expression", diagnostics)?;
    match Pattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            let help =
                "the syntax is that of the Rust crate regex: no look-around, no back-references; in single quotes YAML leaves `\\` alone";
            reader::refuse("bad-pattern", node, format!("`{text}` is not a regular expression: {why}"), help, diagnostics)
        }
    }
}

/// More than this is a download, not a health page.
const WITHIN_MAX: usize = 1024 * 1024;
