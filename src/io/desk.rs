//! What every worker sits at: the engine that answers, and the counters that watch it.
//!
//! A query comes in as bytes with its [`Client`], the response goes out as bytes; UDP, TCP and DoT share this and
//! nothing else. A panic in the engine ends here: that one query is dropped, counted and logged with its bytes, and the
//! worker goes on (one packet must not stop a nameserver). Knows no socket.

use super::counters::CounterBlock;
use super::handed_out::{AnswerBoard, Sheet};
use crate::answer::{Asked, Client, Disposition, Outcome, Scratch, anticipate, anticipate_further, respond, respond_anticipated};
use crate::live::Live;
use arc_swap::{ArcSwap, Guard};
use std::cell::Cell;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

/// What answers queries: [`respond`] over the newest [`Live`]. A trait only so that the shell can be tested without one.
pub trait Engine: 'static {
    /// Takes the newest state, and keeps it until the next call.
    fn refresh(&mut self);

    /// Answers one query into `out`; see [`respond`].
    fn respond(&mut self, client: &Client, query: &[u8], out: &mut [u8]) -> Disposition;

    /// Looks at a batch of queries, each with its place in the batch, so that their answers come sooner.
    fn anticipate<'q>(&mut self, queries: impl Iterator<Item = (usize, IpAddr, &'q [u8])>);

    /// Answers a query as [`Engine::respond`] does; if a batch was anticipated, then this is the query of that place.
    fn respond_anticipated(&mut self, place: usize, client: &Client, query: &[u8], out: &mut [u8]) -> Disposition;

    /// Forgets whatever a panic may have left half-done.
    fn recover(&mut self);
}

/// Where workers get their engines from, one each. Shared by all threads, asked once a worker.
pub trait Engines: Clone + Send + 'static {
    /// The engine of one worker.
    type Engine: Engine;

    /// A new engine.
    fn engine(&self) -> Self::Engine;
}

/// The pointer that the control task publishes to.
pub type LivePointer = Arc<ArcSwap<Live>>;

/// What all workers answer from, and where they note what they handed out.
#[derive(Clone, Debug)]
pub struct Answering {
    /// What is published.
    pub live: LivePointer,
    /// What was handed out.
    pub handed_out: Arc<AnswerBoard>,
}

impl Engines for Answering {
    type Engine = LiveEngine;

    fn engine(&self) -> LiveEngine {
        let live = self.live.load_full();
        let sheet = self.handed_out.sheet(&live.snapshot);
        LiveEngine { all: self.clone(), live, sheet, scratch: Scratch::new(seed()), batch: Vec::new() }
    }
}

/// The engine in production.
#[derive(Debug)]
pub struct LiveEngine {
    all: Answering,
    /// What was published at the last refresh.
    live: Arc<Live>,
    /// Of the snapshot in `live`.
    sheet: Arc<Sheet>,
    scratch: Scratch,
    /// What was read of each query of a batch; as long as the longest batch so far.
    batch: Vec<Asked>,
}

impl Engine for LiveEngine {
    fn refresh(&mut self) {
        let newest = self.all.live.load();
        // Counting references is the costly part: only when something was published.
        if !Arc::ptr_eq(&newest, &self.live) {
            if !Arc::ptr_eq(&newest.snapshot, &self.live.snapshot) {
                self.sheet = self.all.handed_out.sheet(&newest.snapshot);
            }
            self.live = Guard::into_inner(newest);
        }
    }

    fn respond(&mut self, client: &Client, query: &[u8], out: &mut [u8]) -> Disposition {
        let disposition = respond(&self.live, client, query, &mut self.scratch, out);
        self.note(disposition)
    }

    fn anticipate<'q>(&mut self, queries: impl Iterator<Item = (usize, IpAddr, &'q [u8])>) {
        let mut places = 0;
        for (place, source, query) in queries {
            while place >= self.batch.len() {
                self.batch.push(Asked::new());
            }
            anticipate(&self.live, source, query, &mut self.batch[place]);
            places = place + 1;
        }
        let mut leads_further = places > 0;
        while leads_further {
            leads_further = false;
            for asked in &mut self.batch[..places] {
                leads_further |= anticipate_further(&self.live, asked);
                if let Some(pool) = asked.pool() {
                    self.sheet.anticipate(pool);
                }
            }
        }
    }

    fn respond_anticipated(&mut self, place: usize, client: &Client, query: &[u8], out: &mut [u8]) -> Disposition {
        // After a panic in the midst of a batch there may be fewer.
        let Some(asked) = self.batch.get_mut(place) else { return self.respond(client, query, out) };
        let disposition = respond_anticipated(&self.live, client, query, asked, &mut self.scratch, out);
        self.note(disposition)
    }

    fn recover(&mut self) {
        self.scratch = Scratch::new(seed());
        self.batch.fill(Asked::new());
    }
}

impl LiveEngine {
    /// Notes what was handed out with the answer just made.
    fn note(&self, disposition: Disposition) -> Disposition {
        if let Disposition::Send { outcome: Outcome::Steered, .. } = disposition {
            let (picks, ttl_s) = self.scratch.handed_out();
            self.sheet.count(picks, ttl_s);
        }
        disposition
    }
}

/// A seed that nobody outside can guess. The standard library keys its hash tables from the system's randomness.
fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// An engine, watched.
#[derive(Debug)]
pub struct Desk<E> {
    engine: E,
    /// What this worker did so far.
    pub counters: CounterBlock,
    panics: PanicLog,
}

impl<E: Engine> Desk<E> {
    /// A desk for one worker.
    pub fn new(engine: E, counters: CounterBlock) -> Desk<E> {
        Desk { engine, counters, panics: PanicLog::default() }
    }

    /// Takes the newest state: once a batch, so that equal moments get equal answers.
    pub fn refresh(&mut self) {
        self.engine.refresh();
    }

    /// Looks at the queries of a batch before [`Desk::answer_anticipated`] answers them one by one. A query that panics here
    /// will do so again there, where it is dropped alone.
    pub fn anticipate<'q>(&mut self, queries: impl Iterator<Item = (usize, IpAddr, &'q [u8])>) {
        if watched(|| self.engine.anticipate(queries)).is_none() {
            self.engine.recover();
        }
    }

    /// Answers the query at a place of the batch into `out`. `Some(len)` is to be sent.
    pub fn answer_anticipated(&mut self, place: usize, client: &Client, query: &[u8], out: &mut [u8]) -> Option<usize> {
        let disposition = watched(|| self.engine.respond_anticipated(place, client, query, out));
        self.conclude(client, query, disposition)
    }

    /// Answers one query into `out`. `Some(len)` is to be sent.
    pub fn answer(&mut self, client: &Client, query: &[u8], out: &mut [u8]) -> Option<usize> {
        let disposition = watched(|| self.engine.respond(client, query, out));
        self.conclude(client, query, disposition)
    }

    fn conclude(&mut self, client: &Client, query: &[u8], disposition: Option<Disposition>) -> Option<usize> {
        let Some(disposition) = disposition else {
            self.survive(client, query);
            return None;
        };
        self.counters.count(disposition);
        match disposition {
            Disposition::Send { len, .. } => Some(len),
            Disposition::Drop(_) => None,
        }
    }

    #[cold]
    fn survive(&mut self, client: &Client, query: &[u8]) {
        self.engine.recover();
        self.counters.count_panic();
        self.panics.report(client, query);
    }
}

/// What `work` of the engine results in; `None` when it panicked. The engine must recover then before it is used again, and
/// what it wrote must not be read.
fn watched<R>(work: impl FnOnce() -> R) -> Option<R> {
    WATCHED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    WATCHED.set(false);
    result.ok()
}

/// Keeps whoever finds a query that makes us panic from filling the disk as well.
#[derive(Debug, Default)]
struct PanicLog {
    /// When a line was written last.
    last: Option<Instant>,
    /// Panics since then that got none.
    unsaid: u64,
}

impl PanicLog {
    fn report(&mut self, client: &Client, query: &[u8]) {
        if self.last.is_some_and(|last| last.elapsed() < PANIC_LOG_INTERVAL) {
            self.unsaid += 1;
            return;
        }
        let (source, transport, unsaid) = (client.source, client.transport, std::mem::take(&mut self.unsaid));
        let (reason, query) = (LAST_PANIC.take(), hex(query));
        tracing::error!(%source, ?transport, unsaid, reason, query, "a query made the server panic; it got no answer. Please report it");
        self.last = Some(Instant::now());
    }
}

thread_local! {
    /// Whether this thread is inside the engine.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// What the last panic inside the engine said.
    static LAST_PANIC: Cell<String> = const { Cell::new(String::new()) };
}

/// Makes panics inside engines silent, since the desk reports them, and not more than it should. All others are shown as
/// before. Once is enough; more does no harm.
pub fn silence_watched_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |panic| if WATCHED.get() { LAST_PANIC.set(panic.to_string()) } else { shown(panic) }));
    });
}

/// At most one line a second and worker about panics: enough to find the query, too little to hurt.
const PANIC_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The first 512 octets, as digits: the largest query that classic DNS knows (RFC 1035 section 4.2.1).
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(512).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// Engines for tests of the shell.
#[cfg(test)]
pub(super) mod fake {
    use super::*;
    use crate::answer::{DropReason, Outcome};
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// Answers a query with [octets of the generation, query], so that a test sees who asked what when.
    ///
    /// Queries shorter than a header are dropped, a query that begins with [`PANIC`] panics, and one that begins with
    /// [`LONG`] gets an answer of 60,000 octets.
    #[derive(Clone, Debug, Default)]
    pub struct Echo {
        pub generation: Arc<AtomicU64>,
        taken: u64,
        recovered: u64,
    }

    pub const PANIC: &[u8] = b"panic, please";
    pub const LONG: &[u8] = b"at length, please";

    impl Engines for Echo {
        type Engine = Echo;
        fn engine(&self) -> Echo {
            self.clone()
        }
    }

    impl Engine for Echo {
        fn refresh(&mut self) {
            self.taken = self.generation.load(Relaxed);
        }

        fn respond(&mut self, _client: &Client, query: &[u8], out: &mut [u8]) -> Disposition {
            assert!(!query.starts_with(PANIC), "as asked");
            if query.len() < 12 {
                return Disposition::Drop(DropReason::Short);
            }
            let answer = [&(self.taken + 1000 * self.recovered).to_be_bytes(), query].concat();
            let len = if query.starts_with(LONG) { 60_000 } else { answer.len() };
            out[..answer.len()].copy_from_slice(&answer);
            Disposition::Send { len, outcome: Outcome::Static, truncated: false }
        }

        fn anticipate<'q>(&mut self, queries: impl Iterator<Item = (usize, IpAddr, &'q [u8])>) {
            for (_, _, query) in queries {
                assert!(!query.starts_with(PANIC), "as asked");
            }
        }

        fn respond_anticipated(&mut self, _place: usize, client: &Client, query: &[u8], out: &mut [u8]) -> Disposition {
            self.respond(client, query, out)
        }

        fn recover(&mut self) {
            self.recovered += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::CounterBoard;
    use super::fake::{Echo, PANIC};
    use super::*;
    use crate::answer::Transport;
    use std::net::Ipv4Addr;

    const CLIENT: Client = Client { source: IpAddr::V4(Ipv4Addr::LOCALHOST), transport: Transport::Udp };

    #[test]
    fn a_panic_drops_one_query_and_the_next_is_answered_by_a_recovered_engine() {
        let board = CounterBoard::new();
        let mut desk = Desk::new(Echo::default(), board.hand_out(Transport::Udp));
        let mut out = [0; 64];
        assert_eq!(desk.answer(&CLIENT, PANIC, &mut out), None);
        assert_eq!(desk.answer(&CLIENT, b"twelve octets", &mut out), Some(8 + 13));
        assert_eq!(out[..8], 1000u64.to_be_bytes(), "recovered once");
        let totals = board.totals();
        assert_eq!((totals.of(Transport::Udp).queries, totals.of(Transport::Udp).panics), (2, 1));
    }

    #[test]
    fn a_query_that_panics_in_a_batch_is_dropped_alone() {
        let board = CounterBoard::new();
        let mut desk = Desk::new(Echo::default(), board.hand_out(Transport::Udp));
        let batch = [&b"twelve octets"[..], PANIC, b"twelve octets"];
        desk.anticipate(batch.iter().enumerate().map(|(place, query)| (place, CLIENT.source, *query)));
        let answers: Vec<_> = (0..3).map(|place| desk.answer_anticipated(place, &CLIENT, batch[place], &mut [0; 64])).collect();
        assert_eq!(answers, [Some(8 + 13), None, Some(8 + 13)]);
        assert_eq!(board.totals().of(Transport::Udp).panics, 1);
    }

    #[test]
    fn the_reason_of_a_panic_is_kept_for_the_log_and_the_thread_is_not_watched_afterwards() {
        silence_watched_panics();
        let mut desk = Desk::new(Echo::default(), CounterBoard::new().hand_out(Transport::Udp));
        // The second one gets no line, so its reason is still there.
        for _ in 0..2 {
            desk.answer(&CLIENT, PANIC, &mut [0; 64]);
        }
        assert!(!WATCHED.get());
        let reason = LAST_PANIC.take();
        assert!(reason.contains("as asked") && reason.contains("desk.rs"), "{reason}");
    }

    #[test]
    fn state_is_taken_at_refresh_and_not_in_between() {
        let engines = Echo::default();
        let mut desk = Desk::new(engines.engine(), CounterBoard::new().hand_out(Transport::Udp));
        let mut out = [0; 64];
        engines.generation.store(7, std::sync::atomic::Ordering::Relaxed);
        for expected in [0u64, 7] {
            desk.answer(&CLIENT, b"twelve octets", &mut out).expect("an answer");
            assert_eq!(out[..8], expected.to_be_bytes());
            desk.refresh();
        }
    }

    #[test]
    fn panics_in_a_row_are_logged_once_and_counted_for_the_next_line() {
        let mut log = PanicLog::default();
        for _ in 0..3 {
            log.report(&CLIENT, PANIC);
        }
        assert_eq!(log.unsaid, 2);
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
        assert_eq!(hex(&[0; 600]).len(), 1024);
    }
}
