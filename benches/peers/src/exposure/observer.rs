//! The outside observer: asks a server at a fixed rate, each time as another resolver would, and works out from the answers
//! alone what clients had of a member that died. Knows no server and no probe.

use crate::answer;
use crate::query::Query;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// An answer, as a resolver holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// When it came.
    pub at: Instant,
    /// How long it may be held.
    pub ttl: Duration,
    /// What it says.
    pub addresses: Vec<Ipv4Addr>,
}

impl Held {
    fn expiry(&self) -> Instant {
        self.at + self.ttl
    }
}

/// Asks one server, on a thread of its own, until it is dropped.
pub struct Observer {
    answers: Arc<Mutex<Vec<Held>>>,
    end: Arc<AtomicBool>,
}

impl Observer {
    /// Begins to ask `rate` times a second.
    pub fn start(server: SocketAddrV4, query: Query, rate: f64) -> Observer {
        let (answers, end) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let observer = Observer { answers: Arc::clone(&answers), end: Arc::clone(&end) };
        thread::spawn(move || {
            let start = Instant::now();
            for number in 0_u32.. {
                thread::sleep((start + Duration::from_secs_f64(f64::from(number) / rate)).saturating_duration_since(Instant::now()));
                if end.load(Ordering::Relaxed) {
                    return;
                }
                // A lost answer is one that no resolver holds.
                let Ok(answer) = answer::ask(server, number as usize, &query) else { continue };
                let ttl = Duration::from_secs(answer.ttl_s.into());
                let held = Held { at: Instant::now(), ttl, addresses: answer.addresses };
                answers.lock().unwrap_or_else(PoisonError::into_inner).push(held);
            }
        });
        observer
    }

    /// What came so far, in order; from then on it is forgotten.
    pub fn take(&self) -> Vec<Held> {
        std::mem::take(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest answer.
    pub fn latest(&self) -> Option<Held> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

//--- What it means

/// What happened to a member.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// Its address.
    pub address: Ipv4Addr,
    /// When it died.
    pub died: Instant,
    /// When the server's first probe began that could fail.
    pub failed: Instant,
    /// When it was revived.
    pub revived: Instant,
}

/// What clients had of it, by the answers of one server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finding {
    /// Whether answers without the dead address came before it was revived.
    pub noticed: bool,
    /// From the death to the last answer with the address, in seconds; 0 when there was none.
    pub detection_s: f64,
    /// From the first probe that could fail to that answer; 0 when it came before.
    pub after_probe_s: f64,
    /// Dead-IP exposure: the sum of (expiry - first probe that could fail) over the answers with the address that expire after that
    /// probe, for one question a second.
    pub exposure: f64,
    /// The same from the death on.
    pub exposure_of_death: f64,
    /// From the death until the last answer with the address has expired, in seconds.
    pub gone_s: f64,
    /// For how long a resolver that is always asked held the address after the death, in seconds: the mean over resolvers.
    pub held_s: f64,
    /// From the revival to the first answer with the address, in seconds; NaN when there was none.
    pub recovery_s: f64,
}

/// How many resolvers that are always asked are imagined, each with a cache that was filled at another moment.
const RESOLVERS: u32 = 500;

impl Finding {
    /// Reads the answers of one server, which was asked `rate` times a second.
    pub fn of(answers: &[Held], fate: &Fate, rate: f64) -> Finding {
        let names_it = |held: &&Held| held.addresses.contains(&fate.address);
        let (until, after): (Vec<_>, Vec<_>) = answers.iter().partition(|held| held.at < fate.revived);
        let dead: Vec<&Held> = until.iter().copied().filter(names_it).collect();
        let last = dead.iter().map(|held| held.at).max();
        let since = |moment: Option<Instant>, start: Instant| moment.map_or(0.0, |moment| seconds(start, moment));
        let exposure = |start: Instant| dead.iter().map(|held| seconds(start, held.expiry())).sum::<f64>() / rate;
        Finding {
            noticed: until.last().is_some_and(|held| !held.addresses.contains(&fate.address)),
            detection_s: since(last, fate.died),
            after_probe_s: since(last, fate.failed),
            exposure: exposure(fate.failed),
            exposure_of_death: exposure(fate.died),
            gone_s: since(dead.iter().map(|held| held.expiry()).max(), fate.died),
            held_s: held_s(&until, fate),
            recovery_s: after.iter().copied().find(names_it).map_or(f64::NAN, |held| seconds(fate.revived, held.at)),
        }
    }
}

/// Seconds from one moment to another; 0 when it is not later.
fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}

/// The mean time for which resolvers that are always asked held the dead address. Each asks anew when its answer expires, and gets
/// the next answer that the server really gave.
fn held_s(answers: &[&Held], fate: &Fate) -> f64 {
    let longest = answers.iter().filter(|held| held.at <= fate.died).map(|held| held.ttl).max().unwrap_or_default();
    // Every resolver's cache was filled within the longest TTL before the death.
    let begin = |number: u32| fate.died.checked_sub(longest * (number + 1) / RESOLVERS);
    let sum: f64 = (0..RESOLVERS).filter_map(begin).map(|start| held_by_one(answers, start, fate)).sum();
    sum / f64::from(RESOLVERS)
}

fn held_by_one(answers: &[&Held], start: Instant, fate: &Fate) -> f64 {
    let (mut now, mut sum) = (start, 0.0);
    while let Some(held) = answers.get(answers.partition_point(|held| held.at < now)) {
        if held.addresses.contains(&fate.address) {
            sum += seconds(held.at.max(fate.died), held.expiry().max(fate.died));
        }
        // An answer that must not be held serves one client; the next one asks as soon as there is another answer.
        now = held.expiry().max(held.at + Duration::from_nanos(1));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
    const ALIVE: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);

    /// Answers at a rate of 10 from `start`: the dead address for five seconds at a TTL of two, then the other one; back after 15 s.
    fn story(start: Instant) -> (Vec<Held>, Fate) {
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        let address = |tenths: u64| if (50..150).contains(&tenths) { ALIVE } else { DEAD };
        let answers = (0..200).map(|tenths| Held { at: at(tenths), ttl: Duration::from_secs(2), addresses: vec![address(tenths)] });
        let fate = Fate { address: DEAD, died: at(20), failed: at(30), revived: at(100) };
        (answers.collect(), fate)
    }

    fn close(left: f64, right: f64, within: f64) -> bool {
        (left - right).abs() <= within
    }

    #[test]
    fn times_are_counted_from_the_death_and_from_the_first_probe_that_could_fail() {
        let (answers, fate) = story(Instant::now());
        let finding = Finding::of(&answers, &fate, 10.0);
        assert!(finding.noticed);
        assert!(close(finding.detection_s, 2.9, 1e-6) && close(finding.after_probe_s, 1.9, 1e-6), "{finding:?}");
        assert!(close(finding.gone_s, 4.9, 1e-6) && close(finding.recovery_s, 5.0, 1e-6), "{finding:?}");
    }

    #[test]
    fn exposure_sums_what_is_left_of_every_answer_that_outlives_the_first_failing_probe() {
        let (answers, fate) = story(Instant::now());
        let finding = Finding::of(&answers, &fate, 10.0);
        // From those that expire just after 3.0 s to the last one, which expires at 6.9 s: the mean is half, at a rate of one a second.
        assert!(close(finding.exposure, 3.9 * 4.0 / 2.0, 1e-6), "{finding:?}");
        assert!(close(finding.exposure_of_death, 4.9 * 5.0 / 2.0, 1e-6), "{finding:?}");
    }

    #[test]
    fn a_resolver_that_is_always_asked_holds_the_address_until_its_last_answer_expires() {
        let (answers, fate) = story(Instant::now());
        let finding = Finding::of(&answers, &fate, 10.0);
        // Caches expire in even spread over two seconds: the last dead answer is taken one second before the end in the mean.
        assert!(close(finding.held_s, 3.9, 0.15), "{finding:?}");
        assert!(finding.held_s <= finding.gone_s);
    }

    #[test]
    fn a_server_that_does_not_notice_is_told_from_one_that_does() {
        let (mut answers, fate) = story(Instant::now());
        for held in &mut answers {
            held.addresses = vec![DEAD];
        }
        let finding = Finding::of(&answers, &fate, 10.0);
        assert!(!finding.noticed && finding.detection_s > 7.8, "{finding:?}");
        for held in &mut answers {
            held.addresses = vec![ALIVE];
        }
        let finding = Finding::of(&answers, &fate, 10.0);
        assert!(finding.noticed && finding.exposure == 0.0 && finding.recovery_s.is_nan(), "{finding:?}");
    }
}
