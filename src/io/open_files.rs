//! How many files this process may have open: connections, probes and the admin interface all live on them.
//!
//! Most systems grant few unasked (the soft limit) and many to whoever asks (the hard limit). Without asking, a few clients
//! with open connections would leave no descriptor to probe with, and verdicts would stand still.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What is open beside the connections of clients: listeners, probes under way, files of the config, the admin interface.
const BESIDE_CONNECTIONS: u64 = 1024;

/// Raises the limit as far as the system allows; warns when it is too low for `connections` clients all the same.
pub fn make_room(connections: usize) {
    let wanted = BESIDE_CONNECTIONS.saturating_add(connections as u64);
    // No limit at all is what `None` means.
    let Some(allowed) = raise() else { return };
    if allowed < wanted {
        tracing::warn!(
            "only {allowed} files may be open at once, and `tcp.connections: {connections}` wants {wanted}: when clients use them up, \
             nothing can be probed any more; raise the limit (`ulimit -n`, systemd: LimitNOFILE=) or lower tcp.connections"
        );
    }
}

/// Raises the soft limit to the hard one. Returns what is allowed then.
fn raise() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let granted = limit.current;
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_ok() { limit.current } else { granted }
}
