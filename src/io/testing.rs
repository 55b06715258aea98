//! What the tests of the shell share.

use crate::check::{Check, TcpCheck};
use crate::health::Rules;
use crate::ids::{Table, TargetId};
use crate::judge::{Force, Override, Progress};
use crate::policy::{Choose, Conduct, Graph, Member, MinHealthy, Node, Pool};
use crate::snapshot::{Settings, Snapshot, Target, TcpLimits};
use crate::zone::Zones;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A directory of its own for a test; gone with the value.
pub struct ScratchDirectory(PathBuf);

/// A fresh, empty directory.
pub fn scratch_directory() -> ScratchDirectory {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("steersman-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("the temporary directory is writable");
    ScratchDirectory(path)
}

impl ScratchDirectory {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it, with all directories on the way.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("below the scratch directory")).expect("writable");
        std::fs::write(&path, text).expect("writable");
        path
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

//--- Overrides

/// A drain that began at the 1,000th second of 1970 and has removed its member.
pub fn drain() -> Override {
    Override {
        selector: "web/fra-1".parse().expect("a selector"),
        force: Force::Drain { removes_unix_s: 1_030, gone_unix_s: 1_035 },
        owner: "alice".into(),
        reason: "disk swap".into(),
        set_unix_s: 1_000,
        expires_unix_s: Some(8_200),
        break_glass: false,
        progress: Progress { warned: false, removed: true, gone: false },
    }
}

//--- Snapshots

/// A snapshot with one pool, `web`. A member's address follows from its name: `a` is 10.0.0.0, `b` is 10.0.0.1 and so on; each
/// has one TCP check on port 80, every 5 s, rise 2, fall 3.
pub fn snapshot(members: &[&str]) -> Snapshot {
    snapshot_of(&[("web", members)])
}

/// A snapshot with pools as in [`snapshot`].
pub fn snapshot_of(pools: &[(&str, &[&str])]) -> Snapshot {
    let address = |name: &str| SocketAddr::from(([10, 0, 0, name.as_bytes()[0] - b'a'], 80));
    let pools: Vec<(&str, Vec<(&str, SocketAddr)>)> =
        pools.iter().map(|(pool, members)| (*pool, members.iter().map(|name| (*name, address(name))).collect())).collect();
    let interval = Duration::from_secs(5);
    snapshot_at(&pools, Rules::plain(interval, Duration::from_secs(2), 2, 3))
}

/// A snapshot with members at these addresses, each checked by TCP.
pub fn snapshot_at(pools: &[(&str, Vec<(&str, SocketAddr)>)], rules: Rules) -> Snapshot {
    let mut targets = Table::new();
    let mut graph = Graph::default();
    for (name, members) in pools {
        let members = members.iter().map(|(name, addr)| member(name, *addr, rules, &mut targets)).collect();
        let (choose, pick, min_healthy) = (Choose::Weighted, 1, MinHealthy::Percent(50));
        let pool = graph.pools.push(Pool { name: (*name).into(), members, choose, pick, min_healthy, conduct: Conduct::default() });
        graph.nodes.push(Node::Pool(pool));
    }
    Snapshot { settings: settings(), zones: Zones::default(), graph, targets, canaries: Vec::new(), files: Vec::new() }
}

fn member(name: &str, addr: SocketAddr, rules: Rules, targets: &mut Table<TargetId, Target>) -> Member {
    let target = targets.push(Target::new(format!("tcp {addr}"), rules, addr, Check::Tcp(TcpCheck::CONNECT)));
    let (mut addresses, mut checks): ([Option<IpAddr>; 2], _) = ([None; 2], [Vec::new(), Vec::new()]);
    addresses[usize::from(addr.is_ipv6())] = Some(addr.ip());
    checks[usize::from(addr.is_ipv6())].push(target);
    Member {
        name: name.into(),
        site: None,
        weight: 1,
        addresses,
        checks,
        conditions: [None, None],
        calculated: [Vec::new(), Vec::new()],
        disabled: false,
    }
}

/// Settings that open nothing.
pub fn settings() -> Settings {
    Settings {
        listen: Vec::new(),
        dot: None,
        admin: None,
        reports: Vec::new(),
        state_dir: None,
        state_max_age: Duration::from_mins(10),
        journal_max_octets: 64 << 20,
        watch: false,
        workers: 1,
        busy_wait: false,
        startup_deadline: Duration::from_secs(5),
        tcp: TcpLimits { connections: 1, connections_per_client: 1, idle: Duration::from_secs(1) },
    }
}
