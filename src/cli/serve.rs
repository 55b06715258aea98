//! `steersman serve`: the real thing.

use super::{block_on, complain, fail};
use crate::beliefs::Change;
use crate::diagnostic::Diagnostics;
use crate::human::count;
use crate::io::files;
use crate::io::fingerprint::Fingerprint;
use crate::io::metrics::transport_word;
use crate::io::serve::{Addresses, Plan, Reload, Signals, serve};
use crate::snapshot::Snapshot;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Serves the config at `path` until a signal asks to stop.
pub fn run(path: &Path) -> ExitCode {
    let served = block_on(async {
        // First of all: a SIGHUP that comes while databases are read would otherwise end the program.
        let signals = Signals::listen()?;
        serve(plan(path, signals)?).await
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn plan(path: &Path, signals: Signals) -> Result<Plan, String> {
    let fingerprint = Fingerprint::default();
    let (snapshot, diagnostics) = files::load_and_log(path, &fingerprint);
    let Some(snapshot) = snapshot.filter(|_| !diagnostics.has_errors()) else { return Err(refusal(path, &diagnostics)) };
    for line in diagnostics.lines() {
        tracing::warn!("{line}");
    }
    let loader = {
        let (path, fingerprint) = (path.to_owned(), fingerprint.clone());
        Arc::new(move || files::load_and_log(&path, &fingerprint))
    };
    let summary = summary(&snapshot);
    Ok(Plan {
        signals,
        snapshot,
        reload: Some(Reload { loader, path: path.to_owned(), fingerprint }),
        announce: Box::new(log_change),
        started: Box::new(move |addresses| tracing::info!("serving {summary} on {}", places(addresses))),
    })
}

/// Shows what is wrong with the config, and sums it up.
fn refusal(path: &Path, diagnostics: &Diagnostics) -> String {
    complain(&format!("{}\n\n", diagnostics.render(std::io::stderr().is_terminal())));
    format!("{} cannot be served; nothing was started", path.display())
}

fn log_change(change: &Change) {
    if change.is_bad() {
        tracing::warn!("{change}");
    } else {
        tracing::info!("{change}");
    }
}

/// How much a snapshot holds.
pub fn summary(snapshot: &Snapshot) -> String {
    let zones = count(snapshot.zones.iter().count(), "zone");
    let pools = count(snapshot.graph.pools.len(), "pool");
    let targets = count(snapshot.targets.len(), "target");
    format!("{zones}, {pools}, {targets}")
}

fn places(addresses: &Addresses) -> String {
    let dns = addresses.dns.iter().map(|listening| format!("{} ({})", listening.bound, transport_word(listening.transport)));
    let dns: Vec<String> = dns.collect();
    let admin = addresses.admin.as_ref().map(|admin| format!("; admin interface on {admin}")).unwrap_or_default();
    dns.join(", ") + &admin
}
