//! What happened: a hash of all of it, and the newest of it in words.

use std::collections::VecDeque;
use std::fmt;
use steersman::clock::Moment;
use steersman::rng::mix;

/// The course of one world.
pub struct Trace {
    /// So much of the past is told when a promise is broken.
    pub told: usize,
    hash: u64,
    events: u64,
    newest: VecDeque<(Moment, Entry)>,
    /// Probes that were made, and answers that were given.
    pub probes: u64,
    pub answers: u64,
}

/// Something that happened. Written out only for whoever has to read it.
pub enum Entry {
    Ordered(usize),
    Observed(usize, &'static str, steersman::health::Status),
    Answered(Box<[u8]>),
    Said(String),
}

impl Default for Trace {
    fn default() -> Trace {
        Trace { told: 80, hash: 0, events: 0, newest: VecDeque::new(), probes: 0, answers: 0 }
    }
}

impl Trace {
    pub fn push(&mut self, now: Moment, entry: Entry) {
        self.events += 1;
        self.stir(now.as_nanos());
        match &entry {
            Entry::Ordered(target) => {
                self.probes += 1;
                self.stir(*target as u64);
            }
            Entry::Observed(target, code, status) => {
                self.stir(*target as u64);
                self.stir_octets(code.as_bytes());
                self.stir_octets(status.word().as_bytes());
            }
            Entry::Answered(octets) => {
                self.answers += 1;
                self.stir_octets(octets);
            }
            Entry::Said(text) => self.stir_octets(text.as_bytes()),
        }
        if self.newest.len() == self.told {
            self.newest.pop_front();
        }
        self.newest.push_back((now, entry));
    }

    fn stir_octets(&mut self, octets: &[u8]) {
        for chunk in octets.chunks(8) {
            let word = chunk.iter().fold(chunk.len() as u64, |word, octet| word << 8 | u64::from(*octet));
            self.stir(word);
        }
    }

    fn stir(&mut self, word: u64) {
        self.hash = mix(self.hash.rotate_left(7) ^ word);
    }

    /// Equal worlds have equal numbers here.
    pub fn hash(&self) -> (u64, u64) {
        (self.hash, self.events)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (now, entry) in &self.newest {
            write!(f, "{:>12.3} s  ", now.since(Moment::START).as_secs_f64())?;
            match entry {
                Entry::Ordered(target) => writeln!(f, "target {target} is probed")?,
                Entry::Observed(target, code, status) => writeln!(f, "target {target}: {code}; it is {status}")?,
                Entry::Answered(octets) => writeln!(f, "an answer of {} octets", octets.len())?,
                Entry::Said(text) => writeln!(f, "{text}")?,
            }
        }
        Ok(())
    }
}
