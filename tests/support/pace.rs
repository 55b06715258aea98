//! How often the servers of failover tests probe, what follows from that by docs/CONFIG.md, and the policies that say so.

use std::net::IpAddr;
use std::time::Duration;

pub const INTERVAL: Duration = Duration::from_secs(1);
pub const TIMEOUT: Duration = Duration::from_millis(500);
pub const FALL: u32 = 2;
pub const RISE: u32 = 2;
pub const TTL_MIN_S: u32 = 1;
/// For probes, packets and the test itself to be held up by whatever else runs.
pub const SLACK: Duration = Duration::from_secs(1);
/// How long is watched after the last moment at which the dead may be answered: a few intervals.
pub const AFTERWARDS: Duration = Duration::from_secs(2);

/// What is asked.
pub const NAME: &str = "www.test.example.";

/// By when a member that dies is not answered any more: `fall x interval + timeout`. What is hurried is sooner.
pub fn detection() -> Duration {
    INTERVAL * FALL + TIMEOUT
}

/// By when a member that is well again is answered again.
pub fn return_time() -> Duration {
    INTERVAL * RISE + TIMEOUT + SLACK * 2
}

/// The longest TTL of an answer with a member: `max(ttl.min, nominal)`.
pub fn ttl_max_s() -> u32 {
    TTL_MIN_S.max(u32::try_from((INTERVAL * FALL).as_secs()).expect("a few seconds"))
}

/// Failover in this order among members on one port, each alone in its pool (`m0` in `p0`, and so on), probed by `check`, whose
/// monitor has `more` keys.
pub fn failover(members: &[IpAddr], port: u16, check: &str, more: &str) -> String {
    let monitor = format!(
        "monitors:\n  m: {{type: {check}, port: {port}, interval: {}s, timeout: {}ms, fall: {FALL}, rise: {RISE}{more}}}\npools:\n",
        INTERVAL.as_secs(),
        TIMEOUT.as_millis()
    );
    let pool = |(index, addr): (usize, &IpAddr)| {
        (format!("  p{index}: {{monitor: m, members: [{{name: m{index}, a: {addr}}}]}}\n"), format!("p{index}"))
    };
    let (pools, names): (Vec<_>, Vec<_>) = members.iter().enumerate().map(pool).unzip();
    format!(
        "{monitor}{}policies:\n  main: {{type: failover, use: [{}], ttl: {{max: 60s, min: {TTL_MIN_S}s}}}}\n",
        pools.concat(),
        names.join(", ")
    )
}
