//! Log lines: where they go and which are kept.
//!
//! The core never logs: it returns events, and the shell writes the line. Lines go to standard error, as text or as one
//! JSON object a line.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How a line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The library below DNS over TLS logs every answer at `info`, and warns of every client that hangs up.
const QUIET: &str = "hickory_server=error,hickory_proto=error,hickory_net=error";

/// Why a filter is no filter.
#[derive(Debug)]
pub struct BadFilter(pub String);

/// Starts logging for the whole program. `filter` is a level, or a list such as `info,steersman::io::prober=debug`.
///
/// # Errors
/// When the filter cannot be read; holds what is wrong with it.
pub fn start(format: Format, filter: &str) -> Result<(), BadFilter> {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|error| BadFilter(error.to_string()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // The library would tell standard error that standard error takes no lines, and panic when that fails too: a full
    // disk or a dead reader of the log must not end a nameserver.
    let builder = builder.log_internal_errors(false);
    // A second start in one process (a test) keeps the first; there is nothing better to do.
    let _ = match format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let error = start(Format::Text, "steersman=loudest").expect_err("there is no such level");
        assert!(!error.0.is_empty());
    }
}
