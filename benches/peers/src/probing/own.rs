//! What our own server says of itself, read off its metrics.

use crate::scrape::page;
use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// A reload may take so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// One look at the metrics.
pub struct Scrape {
    /// When.
    pub at: Instant,
    /// Probes that have come back so far.
    pub probes: u64,
    /// How late they began.
    pub lateness: Lateness,
}

/// How late probes began: how many so late at most, by upper end in seconds, each with all that are below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lateness(Vec<(f64, u64)>);

impl Lateness {
    fn read(page: &str) -> Lateness {
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix("steersman_probe_lateness_seconds_bucket{le=\"")?.split_once("\"} ")?;
            Some((if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? }, count.trim().parse().ok()?))
        };
        Lateness(page.lines().filter_map(bucket).collect())
    }

    /// What was added since an earlier look.
    pub fn since(&self, before: &Lateness) -> Lateness {
        Lateness(self.0.iter().zip(&before.0).map(|(now, then)| (now.0, now.1 - then.1)).collect())
    }

    fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count)
    }

    /// The end of the bucket in which this share (0 to 1) of all is reached, in milliseconds and words.
    pub fn quantile(&self, share: f64) -> String {
        let wanted = self.count() as f64 * share;
        match self.0.iter().find(|(_, count)| *count > 0 && *count as f64 >= wanted) {
            Some((bound, _)) if bound.is_finite() => format!("<= {:.0}", bound * 1e3),
            Some(_) => "more".to_owned(),
            None => "-".to_owned(),
        }
    }

    /// The share that was later than a bound, in seconds; 0 to 1.
    pub fn share_above(&self, bound_s: f64) -> f64 {
        let within = self.0.iter().rev().find(|(bound, _)| *bound <= bound_s).map_or(0, |(_, count)| *count);
        (self.count() - within) as f64 / self.count().max(1) as f64
    }
}

/// The address of the admin interface that the config in a directory has; an error where there is none.
pub fn admin(home: &Path) -> io::Result<SocketAddrV4> {
    fs::read_to_string(home.join("admin"))?.parse().map_err(io::Error::other)
}

/// Reads what there is to read.
pub fn scrape(admin: SocketAddrV4) -> io::Result<Scrape> {
    let at = Instant::now();
    let page = page(admin)?;
    let probes = page
        .lines()
        .filter(|line| line.starts_with("steersman_probes_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    Ok(Scrape { at, probes, lateness: Lateness::read(&page) })
}

/// Waits until the log in a directory says that a reload has been applied. The metrics would say so too, but to ask for them again and again is a
/// load of its own.
pub fn await_reload(home: &Path) -> io::Result<()> {
    let start = Instant::now();
    while !fs::read_to_string(home.join("log"))?.contains("reload applied") {
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other("the new config is not in force; see the log with --keep"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP x\nsteersman_probe_lateness_seconds_bucket{le=\"0.001\"} 5\n\
                        steersman_probe_lateness_seconds_bucket{le=\"0.1\"} 9\nsteersman_probe_lateness_seconds_bucket{le=\"+Inf\"} 10\n";

    #[test]
    fn lateness_is_read_off_the_buckets() {
        let lateness = Lateness::read(PAGE);
        assert_eq!([0.5, 0.51, 0.9, 0.99].map(|share| lateness.quantile(share)), ["<= 1", "<= 100", "<= 100", "more"]);
        assert!((lateness.share_above(0.1) - 0.1).abs() < 1e-9);
        assert_eq!(lateness.since(&lateness).quantile(0.5), "-");
    }
}
