//! What a run cost: processor time of the server's processes, idle time of its core, its memory.
//!
//! Started before a run and read after it. Linux only: much of it comes from /proc. Time is user and system together: on
//! loopback this contains what the kernel does for the other side inside a send.

use crate::system;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// Readings at the start of a run.
pub struct Meter {
    processes: Vec<u32>,
    core: usize,
    started: Instant,
    used: Duration,
    idle: Duration,
}

/// What happened between start and now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Processor time of all threads of the server.
    pub used: Duration,
    /// Share of the time in which the server's core did nothing, 0 to 1.
    pub core_idle: f64,
    /// Share of the time in which that core did something else than the server's work, 0 to 1: other programs, or the
    /// machine below a virtual one. Large values spoil answers a second, though not the processor time of an answer.
    pub others: f64,
}

impl Meter {
    /// Begins to measure processes, and the core they run on.
    pub fn start(processes: Vec<u32>, core: usize) -> Meter {
        let (used, idle) = (used(&processes), core_idle(core));
        Meter { processes, core, started: Instant::now(), used, idle }
    }

    /// What was used since.
    pub fn read(&self) -> Cost {
        let elapsed = self.started.elapsed();
        let used = used(&self.processes).saturating_sub(self.used);
        let idle = core_idle(self.core).saturating_sub(self.idle);
        let core_idle = (idle.as_secs_f64() / elapsed.as_secs_f64()).min(1.0);
        let others = (1.0 - core_idle - used.as_secs_f64() / elapsed.as_secs_f64()).max(0.0);
        Cost { used, core_idle, others }
    }
}

fn used(processes: &[u32]) -> Duration {
    processes.iter().map(|process| system::processor_time(*process)).sum()
}

/// The ids of a process's threads.
pub fn threads(process: u32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Time that a core was idle since the machine started, waiting for disks included.
fn core_idle(core: usize) -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let label = format!("cpu{core} ");
    let line = text.lines().find(|line| line.starts_with(&label)).unwrap_or_default();
    let ticks: f64 = line.split_whitespace().skip(4).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    Duration::from_secs_f64(ticks / system::ticks_per_second())
}

/// A process and all that descend from it.
pub fn family(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = processes().into_iter().filter_map(|process| Some((process, parent(process)?))).collect();
    let mut family = vec![root];
    let mut next = 0;
    while next < family.len() {
        let elder = family[next];
        family.extend(parents.iter().filter(|(_, parent)| *parent == elder).map(|(child, _)| *child));
        next += 1;
    }
    family
}

fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn parent(process: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may itself contain blanks and brackets: the fields begin behind the last one.
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Resident memory of the processes, in MiB. What they share is counted for each.
pub fn resident_mib(processes: &[u32]) -> f64 {
    memory_mib(processes, "VmRSS:")
}

/// The most that was resident of the processes since they started, or since [`forget_peak`], in MiB.
pub fn peak_mib(processes: &[u32]) -> f64 {
    memory_mib(processes, "VmHWM:")
}

/// Lets the peak of a process begin anew at what is resident now.
pub fn forget_peak(process: u32) -> io::Result<()> {
    // 5 resets the peak, and nothing else (proc_pid_clear_refs, Linux 4.0).
    fs::write(format!("/proc/{process}/clear_refs"), "5")
}

fn memory_mib(processes: &[u32], field: &str) -> f64 {
    let kib = processes.iter().map(|process| {
        let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        line.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0)
    });
    kib.sum::<f64>() / 1024.0
}

/// Datagrams that the kernel threw away because a socket's queue was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Queries, at the sockets of the server.
    pub server: u64,
    /// Answers, at the sockets of its clients: the generator's own fault.
    pub clients: u64,
}

/// What was thrown away so far at the sockets of the server on this port of loopback, and at those connected to it.
pub fn drops(port: u16) -> Drops {
    drops_in(&fs::read_to_string("/proc/net/udp").unwrap_or_default(), port)
}

fn drops_in(table: &str, port: u16) -> Drops {
    let port = format!(":{port:04X}");
    let mut drops = Drops::default();
    // slot, local address, remote address, ..., drops
    for fields in table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>()) {
        let [_, local, remote, .., last] = fields[..] else { continue };
        let count = last.parse::<u64>().unwrap_or(0);
        drops.server += if local.ends_with(&port) { count } else { 0 };
        drops.clients += if remote.ends_with(&port) { count } else { 0 };
    }
    drops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_process_shows_as_time_used() {
        let meter = Meter::start(vec![std::process::id()], 0);
        let until = Instant::now() + Duration::from_secs(20);
        while meter.read().used < Duration::from_millis(5) {
            assert!(Instant::now() < until, "5 ms of work do not show");
        }
    }

    #[test]
    fn a_process_belongs_to_its_family_and_has_memory() {
        let own = std::process::id();
        assert_eq!(family(own)[0], own);
        assert!(family(parent(own).unwrap()).contains(&own));
        // Other tests of this very process may take memory between the two looks: the peak comes second.
        let resident = resident_mib(&[own]);
        assert!(resident > 0.1 && peak_mib(&[own]) >= resident);
    }

    #[test]
    fn drops_are_told_apart_by_the_side_that_has_the_port() {
        let table = "  sl  local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref pointer drops\n\
                     \x20 1: 0100007F:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 7\n\
                     \x20 2: 0101017F:9C40 0100007F:14E9 01 00000000:00000000 00:00000000 00000000 0 0 2 2 0 3\n\
                     \x20 3: 0101017F:9C41 0100007F:0035 01 00000000:00000000 00:00000000 00000000 0 0 3 2 0 9\n";
        assert_eq!(drops_in(table, 0x14E9), Drops { server: 7, clients: 3 });
    }
}
