//! The node under test: the shipped control side and answer path in one process, driven as the control task drives them at work.
//!
//! Knows the time of the process, which counts from 1970 as its wall clock did when it started, whatever that clock says later, and stands
//! still while the machine sleeps. Ends and begins anew at a restart.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use steersman::answer::{Client, Disposition, Scratch, Transport, UDP_PAYLOAD_MAX, respond};
use steersman::beliefs::{Beliefs, Change, Saved};
use steersman::clock::Moment;
use steersman::health::{Observation, ProbeOrder, Status, Token};
use steersman::ids::{Id, TargetId};
use steersman::live::Live;
use steersman::snapshot::Snapshot;

/// One life of the process.
pub struct Node {
    pub beliefs: Beliefs,
    /// What workers hold.
    pub live: Arc<Live>,
    /// What is believed of each target, as of the last view that was published.
    pub published: Vec<Status>,
    /// When the process began, in the time of the world; later by as much as the machine slept since.
    boot: Moment,
    /// The same, as its wall clock had it.
    started: Moment,
    published_at: Moment,
    scratch: Scratch,
    /// Probes that were ordered, and neither answered nor given up.
    pub under_way: BTreeMap<Token, Flight>,
}

/// One probe.
#[derive(Clone)]
pub struct Flight {
    pub target: usize,
    pub identity: Arc<str>,
    pub begun: Moment,
    pub deadline: Moment,
    /// Whether the node was cut off when it began.
    pub blind: bool,
}

/// As the control task: what flips together is published together.
const PUBLISH_EVERY: Duration = Duration::from_millis(1);
/// As the control task: it looks around so often.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// A probe that has not come back so long after its deadline is given up.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(1);

impl Node {
    /// Starts a process that finds `saved` on its disk, when the wall clock says `wall`, as the time since 1970.
    pub fn start(snapshot: Arc<Snapshot>, saved: &Saved, seed: u64, wall: Duration, now: Moment) -> Node {
        let started = Moment::START.after(wall);
        // The seed of phases is of the host, not of the life.
        let beliefs = Beliefs::new(snapshot, saved, seed, 0, started);
        let live = Arc::new(beliefs.live());
        let scratch = Scratch::new(seed);
        let (published, under_way) = (Vec::new(), BTreeMap::new());
        let mut node = Node { beliefs, live, published, boot: now, started, published_at: started, scratch, under_way };
        node.note_published();
        node
    }

    /// A moment of the world as the process counts it.
    pub fn moment(&self, now: Moment) -> Moment {
        self.started.after(now.since(self.boot))
    }

    /// The machine slept for so long, until now.
    pub fn sleep(&mut self, lasted: Duration) {
        self.boot = self.boot.after(lasted);
    }

    /// One round of the control task, when the wall clock says `wall`. Returns what changed.
    pub fn turn(&mut self, now: Moment, wall: Duration, orders: &mut Vec<ProbeOrder>) -> Vec<Change> {
        let at = self.moment(now);
        self.beliefs.handle_wall_clock(wall, at);
        while let Some(order) = self.beliefs.poll_order(at) {
            orders.push(order);
        }
        let mut changes = self.beliefs.reflect(at);
        if !changes.is_empty() {
            changes.extend(self.publish(now));
        }
        if self.beliefs.is_stale() && at.since(self.published_at) >= PUBLISH_EVERY {
            changes.extend(self.publish(now));
        }
        changes
    }

    /// When it wants its next turn, if nothing else happens.
    pub fn next_wake(&self, now: Moment) -> Moment {
        let at = self.moment(now);
        let probe = self.beliefs.next_due().map(|due| due.max(at.after(PUBLISH_EVERY)));
        let publish = self.beliefs.is_stale().then(|| self.published_at.after(PUBLISH_EVERY));
        let wake = [probe, publish].into_iter().flatten().fold(at.after(BEAT_EVERY), Moment::min);
        self.boot.after(wake.since(self.started)).max(now)
    }

    /// Hands what is believed to the workers.
    pub fn publish(&mut self, now: Moment) -> Vec<Change> {
        self.published_at = self.moment(now);
        let changes = self.beliefs.refresh(self.published_at);
        self.live = Arc::new(self.beliefs.live());
        self.note_published();
        changes
    }

    fn note_published(&mut self) {
        let targets = self.beliefs.snapshot().targets.len();
        self.published = (0..targets).map(|target| self.status(target)).collect();
    }

    /// What is believed of a target now.
    pub fn status(&self, target: usize) -> Status {
        self.beliefs.target(TargetId::new(target)).verdict.status
    }

    /// A probe comes back.
    pub fn observe(&mut self, token: Token, observation: Observation, now: Moment) {
        self.beliefs.handle_observation(token, observation, self.moment(now));
    }

    /// A new config is put in force, after all that happened under the old one was published. Nothing of it is published yet.
    pub fn adopt(&mut self, snapshot: Arc<Snapshot>, now: Moment) {
        let at = self.moment(now);
        self.beliefs.adopt(snapshot, at);
        let known: BTreeMap<Arc<str>, usize> =
            self.beliefs.snapshot().targets.iter().map(|(id, target)| (Arc::clone(&target.identity), id.index())).collect();
        self.under_way.retain(|_, flight| known.contains_key(&flight.identity));
        self.under_way.values_mut().for_each(|flight| flight.target = known[&flight.identity]);
    }

    /// Answers a query over UDP, or does not.
    pub fn respond(&mut self, source: IpAddr, query: &[u8], out: &mut [u8; UDP_PAYLOAD_MAX]) -> Disposition {
        let client = Client { source, transport: Transport::Udp };
        respond(&self.live, &client, query, &mut self.scratch, out)
    }
}
