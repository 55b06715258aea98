//! How often the servers of failover tests probe, what follows from that by docs/CONFIG.md, and the policies that say so.

use std::net::SocketAddr;
use std::time::Duration;

/// How often a member is probed, and how long a probe waits.
#[derive(Clone, Copy)]
pub struct Pace {
    pub interval: Duration,
    pub timeout: Duration,
}

/// Slow enough for TTLs to have something to say.
pub const USUAL: Pace = Pace { interval: Duration::from_secs(1), timeout: Duration::from_millis(500) };
/// Where there are many deaths to die.
pub const BRISK: Pace = Pace { interval: Duration::from_millis(400), timeout: Duration::from_millis(300) };

/// Long enough for the second packet of a connection, a second after the first: over IPv6 Linux takes no router's word on a first one
/// that comes back while it is still being sent, as it does from the other end of a cable.
pub const PATIENT: Pace = Pace { interval: Duration::from_millis(1_500), timeout: Duration::from_millis(1_400) };

pub const FALL: u32 = 2;
pub const RISE: u32 = 2;
pub const TTL_MIN_S: u32 = 1;
/// For probes, packets and the test itself to be held up by whatever else runs.
pub const SLACK: Duration = Duration::from_secs(1);

/// What is asked.
pub const NAME: &str = "www.test.example.";

impl Pace {
    /// By when a member that dies is not answered any more: `fall x interval + timeout`. What is hurried is sooner.
    pub fn detection(self) -> Duration {
        self.interval * FALL + self.timeout
    }

    /// By when a member that is well again is answered again.
    pub fn return_time(self) -> Duration {
        self.interval * RISE + self.timeout + SLACK * 2
    }

    /// How long is watched after the last moment at which the dead may be answered: a few intervals.
    pub fn afterwards(self) -> Duration {
        self.interval * 2
    }

    /// The longest TTL of an answer with a member: `max(ttl.min, nominal)`.
    pub fn ttl_max_s(self) -> u32 {
        TTL_MIN_S.max(u32::try_from((self.interval * FALL).as_secs()).expect("a few seconds"))
    }

    /// Failover in this order among members on one port, each alone in its pool (`m0` in `p0`, and so on), probed by `check`.
    pub fn failover(self, members: &[SocketAddr], check: &str) -> String {
        let monitor = format!(
            "monitors:\n  m: {{type: {check}, port: {}, interval: {}ms, timeout: {}ms, fall: {FALL}, rise: {RISE}}}\npools:\n",
            members[0].port(),
            self.interval.as_millis(),
            self.timeout.as_millis()
        );
        let pool = |(index, addr): (usize, &SocketAddr)| {
            let key = if addr.is_ipv4() { "a" } else { "aaaa" };
            (format!("  p{index}: {{monitor: m, members: [{{name: m{index}, {key}: \"{}\"}}]}}\n", addr.ip()), format!("p{index}"))
        };
        let (pools, names): (Vec<_>, Vec<_>) = members.iter().enumerate().map(pool).unzip();
        format!(
            "{monitor}{}policies:\n  main: {{type: failover, use: [{}], ttl: {{max: 60s, min: {TTL_MIN_S}s}}}}\n",
            pools.concat(),
            names.join(", ")
        )
    }
}
