//! The outside observer: asks a server again and again, notes what it says, and holds it to what it promises.

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, UdpSocket};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An answer.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was asked for.
    pub asked: Instant,
    /// What it holds; none is NODATA.
    pub addresses: Vec<IpAddr>,
    /// The least TTL in it, in seconds.
    pub ttl_s: u32,
}

/// An observer at work. Ends with the value.
pub struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// From question to question: far more often than anything happens in these tests.
const EVERY: Duration = Duration::from_millis(20);

impl Watch {
    /// Begins to ask `127.0.0.1` for the A records of `name`.
    pub fn start(port: u16, name: &'static str) -> Watch {
        Watch::start_for(port, name, RecordType::A)
    }

    /// The same for A or AAAA records.
    pub fn start_for(port: u16, name: &'static str, rtype: RecordType) -> Watch {
        let (seen, end) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (noted, ends) = (Arc::clone(&seen), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                // An answer that is lost on a loaded machine is asked for again.
                if let Some(answer) = ask_for(port, name, rtype) {
                    noted.lock().expect("nobody panics with it").push(answer);
                }
                std::thread::park_timeout(EVERY);
            }
        });
        Watch { seen, end, thread: Some(thread) }
    }

    /// All answers so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panics with it").clone()
    }

    /// The answers to what was asked from `start` on and before `end`.
    pub fn between(&self, start: Instant, end: Instant) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.asked >= start && seen.asked < end).collect()
    }

    /// Waits until something is answered exactly, for `patience` from `start` on; the moment it was asked for first.
    pub fn until(&self, start: Instant, want: &[IpAddr], patience: Duration) -> Instant {
        loop {
            let seen = self.seen();
            let found = seen.iter().find(|seen| seen.asked >= start && seen.addresses == want);
            if let Some(found) = found {
                return found.asked;
            }
            assert!(start.elapsed() < patience, "{want:?} not within {patience:?}; last {:?}", seen.last());
            std::thread::park_timeout(EVERY);
        }
    }

    /// Watches on until `start` was so long ago, and some answers have come since; those answers.
    pub fn for_a_while(&self, start: Instant, span: Duration) -> Vec<Seen> {
        rest_until(start + span);
        super::wait_for("answers to look at", || Some(self.between(start, Instant::now())).filter(|seen| seen.len() > 20), String::new)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A watch that panicked has noted what it could.
            let _ = thread.join();
        }
    }
}

/// Lets watches go on watching until `moment`.
pub fn rest_until(moment: Instant) {
    while Instant::now() < moment {
        std::thread::park_timeout(moment.saturating_duration_since(Instant::now()));
    }
}

/// Asks once for A records; none when no sound answer comes within a second.
pub fn ask(port: u16, name: &str) -> Option<Seen> {
    ask_for(port, name, RecordType::A)
}

fn ask_for(port: u16, name: &str, rtype: RecordType) -> Option<Seen> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_str(name).ok()?, rtype));
    let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let asked = Instant::now();
    socket.send_to(&message.to_vec().ok()?, ("127.0.0.1", port)).ok()?;
    let mut octets = [0; 1232];
    let length = socket.recv(&mut octets).ok()?;
    let answer = Message::from_vec(&octets[..length]).ok()?;
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::from(address.0)),
        RData::AAAA(address) => Some(IpAddr::from(address.0)),
        _ => None,
    };
    let addresses = answer.answers.iter().filter_map(|record| address(&record.data)).collect();
    let ttl_s = answer.answers.iter().map(|record| record.ttl).min().unwrap_or(0);
    Some(Seen { asked, addresses, ttl_s })
}
