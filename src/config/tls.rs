//! The keys of TLS: whose certificates are believed, which is shown, and when one expires too soon.

use super::http::host;
use super::reader::{self, Fields};
use super::yaml::Node;
use crate::check::{ClientFiles, TlsCheck, TlsRules};
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Certificates are not asked to live for longer than ten years more.
const EXPIRY_MAX: Duration = Duration::from_hours(24 * 3650);

/// The rules of a connection.
pub fn rules(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> TlsRules {
    let path = |key, diagnostics: &mut Diagnostics| {
        let text = fields.optional(key, reader::text, diagnostics)?;
        Some(Arc::from(Path::new(&text.value)))
    };
    let verify = fields.optional("verify", reader::truth, diagnostics).unwrap_or(true);
    if !verify {
        fields.forbid("ca", "nothing is verified", diagnostics);
    }
    let client = (path("client_certificate", diagnostics), path("client_key", diagnostics));
    for (written, other) in [("client_certificate", "client_key"), ("client_key", "client_certificate")] {
        if let (Some(span), false) = (fields.key_span(written), fields.has(other)) {
            let fault = Diagnostic::error("missing-key", span, format!("`{written}` needs `{other}` beside it"));
            diagnostics.push(fault.help(format!("add `{other}: tls/probe.pem`")));
        }
    }
    TlsRules {
        verify,
        ca: path("ca", diagnostics),
        client: client.0.zip(client.1).map(|(certificate, key)| ClientFiles { certificate, key }),
        expiry_failure: fields.optional("expiry_failure", reader::duration(Duration::ZERO..=EXPIRY_MAX), diagnostics).unwrap_or_default(),
    }
}

/// How long before its end a certificate is warned of, where that is written.
pub fn expiry_warning(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Duration> {
    fields.optional("expiry_warning", reader::duration(Duration::ZERO..=EXPIRY_MAX), diagnostics)
}

/// The files that the keys of a monitor name.
pub fn files(fields: &Fields<'_>) -> Vec<Spanned<String>> {
    // Faults of these were reported when the rules were read.
    let mut unheard = Diagnostics::new();
    ["ca", "client_certificate", "client_key"].into_iter().filter_map(|key| fields.optional(key, reader::text, &mut unheard)).collect()
}

/// Reads what a handshake must come to.
pub fn read(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> TlsCheck {
    TlsCheck {
        host: fields.optional("host", host, diagnostics),
        rules: rules(fields, diagnostics),
        alpn: fields.optional("alpn", reader::one_or_list(protocol), diagnostics).unwrap_or_default(),
    }
}

fn protocol(node: &Node, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
    let text = reader::scalar(node, "a protocol such as `h2`", diagnostics)?;
    // RFC 7301 section 3.1.
    if text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.into());
    }
    let help = "write a name from the IANA list of ALPN protocols, such as `h2`, `http/1.1` or `dot`";
    reader::refuse("bad-choice", node, format!("`{text}` is no application protocol"), help, diagnostics)
}
