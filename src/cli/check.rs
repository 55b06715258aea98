//! `steersman check`: says what is wrong with a config, and changes nothing.

use super::fail;
use crate::diagnostic::Severity;
use crate::io::files;
use crate::io::human::count;
use crate::io::watch::Fingerprint;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

/// Reads and compiles the config at `path`; the exit code is 0 when it could be served.
pub fn run(path: &Path) -> ExitCode {
    let (snapshot, diagnostics) = files::load_and_compile(path, &Fingerprint::default());
    if diagnostics.iter().next().is_some() {
        eprintln!("{}\n", diagnostics.render(std::io::stderr().is_terminal()));
    }
    match snapshot {
        Some(snapshot) => {
            println!("{} is sound: {}", path.display(), super::serve::summary(&snapshot));
            ExitCode::SUCCESS
        }
        None => fail(&format!("{} in {}", count(diagnostics.count(Severity::Error), "error"), path.display())),
    }
}
