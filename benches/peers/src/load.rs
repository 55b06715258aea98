//! What every load has: queries, a server on loopback, a time; and what every load yields.

use crate::histogram::Histogram;
use crate::query::Query;
use crate::rng::Rng;
use crate::tally::Tally;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;
use std::time::Duration;

/// A load without an end is an accident: none runs longer than this.
pub const TIME_MAX: Duration = Duration::from_mins(5);

/// After this time without its answer a query is lost. Longer than any scheduler's hiccup, far shorter than a resolver's patience.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// A server on this machine. Others do not parse: this tool must never be aimed at a stranger.
#[derive(Clone, Copy, Debug)]
pub struct Loopback(pub SocketAddrV4);

impl FromStr for Loopback {
    type Err = String;

    fn from_str(text: &str) -> Result<Loopback, String> {
        let address: SocketAddrV4 = text.parse().map_err(|_| format!("`{text}` is no IPv4 address with a port"))?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "{} is not a loopback address (127.0.0.0/8): this generator loads only the machine it runs on",
                address.ip()
            ));
        }
        Ok(Loopback(address))
    }
}

/// The loopback address that the client number `index` asks from: 127.1.k.1 for k below 256, so that a server that
/// steers by source has something to look at.
pub fn source(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, u8::try_from(index % 256).expect("below 256"), 1)
}

/// What a load yields.
#[derive(Clone, Default)]
pub struct Outcome {
    /// The answers.
    pub tally: Tally,
    /// From the moment a query was due (at a fixed rate) or sent (closed loop) to its answer.
    pub latency: Histogram,
    /// How long queries were sent.
    pub elapsed: Duration,
    /// How long the generator found nothing to receive and nothing to send.
    pub idle: Duration,
}

impl Outcome {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.tally.answered as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Share of the time in which the generator waited for the server, 0 to 1. Near 0 the generator is as busy as the server.
    pub fn idle_share(&self) -> f64 {
        self.idle.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Adds what another client of the same load saw in the same time.
    pub fn merge(&mut self, other: &Outcome) {
        self.tally.merge(&other.tally);
        self.latency.merge(&other.latency);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.idle += other.idle;
    }
}

/// Which query comes next.
#[derive(Clone)]
pub struct Shuffle {
    rng: Rng,
    count: u32,
}

impl Shuffle {
    /// Draws from `queries`, of which there is at least one and fewer than 2^32.
    pub fn new(queries: &[Query], seed: u64) -> Shuffle {
        Shuffle { rng: Rng::seeded(seed), count: u32::try_from(queries.len()).expect("fewer than 2^32 queries") }
    }

    /// The index of the next query.
    pub fn draw(&mut self) -> u32 {
        self.rng.below(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_can_be_loaded() {
        assert!("127.0.0.1:53".parse::<Loopback>().is_ok());
        assert!("127.255.0.9:53".parse::<Loopback>().is_ok());
        for stranger in ["192.0.2.1:53", "0.0.0.0:53", "128.0.0.1:53", "[::1]:53", "localhost:53", "127.0.0.1"] {
            assert!(stranger.parse::<Loopback>().is_err(), "{stranger}");
        }
    }

    #[test]
    fn every_query_is_drawn() {
        let query = Query::new("a", crate::query::Qtype::A, None).unwrap();
        let mut shuffle = Shuffle::new(&vec![query; 7], 1);
        let mut seen = [false; 7];
        (0..1000).for_each(|_| seen[shuffle.draw() as usize] = true);
        assert_eq!(seen, [true; 7]);
    }
}
