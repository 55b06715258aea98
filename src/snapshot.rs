//! The compiled whole: everything a config means, immutable and complete.

use crate::check::{Check, ExpiryWarning};
use crate::diagnostic::Spanned;
use crate::health::Rules;
use crate::ids::{Table, TargetId};
use crate::policy::Graph;
use crate::zone::Zones;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is served and probed. Plain data; nothing in it changes after the compiler made it.
#[derive(Debug)]
pub struct Snapshot {
    /// What the shell needs to know: where to listen, where to keep state.
    pub settings: Settings,
    /// All zones, wire-ready.
    pub zones: Zones,
    /// Pools and policies.
    pub graph: Graph,
    /// Everything that is probed, each once.
    pub targets: Table<TargetId, Target>,
    /// Those of them that are probed to know whether this node sees at all.
    pub canaries: Vec<TargetId>,
    /// Files that checks name: certificates and keys. The shell looks whether they can be used.
    pub files: Vec<Spanned<PathBuf>>,
}

/// One check of one address, merged over all members and monitors that want it.
#[derive(Clone, Debug)]
pub struct Target {
    /// What makes it this target and no other: type, address, port, host, path, method, expectations, TLS. Stable over
    /// reloads; readable, since status and the state file show it.
    pub identity: Arc<str>,
    /// The strictest rules of all who want it.
    pub rules: Rules,
    /// Where the probe connects to; port 0 where the check knows no ports.
    pub addr: SocketAddr,
    /// The local address that the probe comes from, where one was written.
    pub source: Option<IpAddr>,
    /// What the probe says and expects.
    pub check: Check,
    /// How long before its certificate expires somebody is told.
    pub expiry_warning: ExpiryWarning,
    /// The names of the monitors that want it.
    pub asked_by: Vec<Arc<str>>,
}

impl Target {
    /// A target that nothing special was written about.
    pub fn new(identity: impl Into<Arc<str>>, rules: Rules, addr: SocketAddr, check: Check) -> Target {
        Target {
            identity: identity.into(),
            rules,
            addr,
            source: None,
            check,
            expiry_warning: ExpiryWarning::new(None),
            asked_by: Vec::new(),
        }
    }
}

/// What the shell needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// UDP and TCP, both on each address.
    pub listen: Vec<SocketAddr>,
    /// DNS over TLS (RFC 7858), where wanted.
    pub dot: Option<DotSettings>,
    /// Where the admin interface listens, where wanted.
    pub admin: Option<AdminAddr>,
    /// Where members' own agents report.
    pub reports: Vec<SocketAddr>,
    /// Where verdicts survive a restart, where wanted. Created when missing.
    pub state_dir: Option<PathBuf>,
    /// Verdicts from the state file count at start when they are not older than this.
    pub state_max_age: Duration,
    /// How much room the journal may take below `state_dir`, in octets.
    pub journal_max_octets: u64,
    /// Reload when a file changes.
    pub watch: bool,
    /// Threads that answer; at least 1.
    pub workers: usize,
    /// Whether UDP workers stay awake for a moment after each batch rather than sleep at once.
    pub busy_wait: bool,
    /// Serve after this, even when the first round of probes has not ended.
    pub startup_deadline: Duration,
    /// What one client, and all together, may hold open.
    pub tcp: TcpLimits,
}

/// DNS over TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DotSettings {
    /// Addresses; port 853 by custom.
    pub listen: Vec<SocketAddr>,
    /// PEM file of the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

/// Where the admin interface listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdminAddr {
    /// A TCP address; loopback unless the operator knows better.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// Limits of TCP and DoT (RFC 7766 section 6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpLimits {
    /// Connections open at once, over all workers.
    pub connections: usize,
    /// Connections open at once from one client address.
    pub connections_per_client: usize,
    /// A connection without a query for this long is closed.
    pub idle: Duration,
}
