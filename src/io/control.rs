//! The control task: the one owner of all beliefs.
//!
//! In come observations, requests to reload and questions about the state; out go probes, log lines, and one pointer to a
//! [`Live`] view, at most one a millisecond. A reload is compiled beside the task and adopted in between two events, so that
//! no verdict that flips meanwhile is lost. If the task ended, verdicts would freeze: whoever started it must end the program then.

use super::chronicle::Chronicle;
use super::clock::{Clock, wall};
use super::exposure::{Death, Exposure, LOOK_EVERY, Lingering};
use super::handed_out::AnswerBoard;
use super::keeper::Keeper;
use super::memory;
use super::order::{OrderReport, OverrideStatus};
use super::prober::Prober;
use super::pulse::Pulse;
use super::reload::{self, Attempt, Findings, Loader, ReloadReport, ReloadResult};
use super::state::StateFile;
use super::status::{Circumstances, JournalStatus, Picture, StatusView};
use crate::beliefs::{Beliefs, Change, MemberChange, OverrideChange, Saved};
use crate::clock::Moment;
use crate::health::{Doubt, Observation, ProbeOrder, Status, Token};
use crate::judge::{Order, Selector};
use crate::live::Live;
use crate::prefix::Family;
use crate::snapshot::{Settings, Snapshot};
use arc_swap::ArcSwap;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Opens and closes listeners so that they are those of the settings; changes nothing when it fails, and says why.
pub type Reconcile = Arc<dyn Fn(&Settings) -> Result<(), String> + Send + Sync>;

/// Hears of every change of a verdict or grade.
pub type Announce = Box<dyn FnMut(&Change) + Send>;

/// What the task works with.
pub struct Setup {
    /// What is believed at the start.
    pub beliefs: Beliefs,
    /// The one clock.
    pub clock: Clock,
    /// Where the task says that it is alive.
    pub pulse: Arc<Pulse>,
    /// Makes probes.
    pub prober: Arc<Prober>,
    /// Where they are made: not on the threads of the task, see [`super::prober::ProbeThreads`].
    pub probes: Handle,
    /// What workers handed out.
    pub handed_out: Arc<AnswerBoard>,
    /// Loads the config anew; none when there is nothing to load from.
    pub loader: Option<Loader>,
    /// Follows a change of the listeners.
    pub reconcile: Reconcile,
    /// Where verdicts survive a restart; or why they do not, in words that follow "this server keeps nothing:".
    pub state: Result<StateFile, String>,
    /// Writes the journal.
    pub chronicle: Option<Chronicle>,
    /// Hears of changes.
    pub announce: Announce,
}

/// A handle of the control task.
#[derive(Clone)]
pub struct Control {
    inbox: mpsc::Sender<Event>,
    live: Arc<ArcSwap<Live>>,
    first_round: watch::Receiver<bool>,
}

/// What reaches the task.
enum Event {
    Observed(Token, Observation),
    Reload(ReloadRequest),
    Attempted(Attempt),
    Picture(oneshot::Sender<Box<Picture>>),
    Order(Request, oneshot::Sender<OrderReport>),
    Saved(std::io::Result<()>),
    Stop(oneshot::Sender<()>),
}

/// What an operator asks of the task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// To put something in the place of verdicts.
    Set(Order),
    /// To end the override for exactly this selector.
    Clear(Selector),
    /// To let members back that wait for it.
    Release(Selector),
}

struct ReloadRequest {
    force: bool,
    reply: oneshot::Sender<ReloadReport>,
}

/// Senders wait when the task is this far behind; it never is, since no more probes are under way than this.
const INBOX: usize = 1024;
/// Flips that come together are published together, and workers see at most a thousand views a second.
const PUBLISH_EVERY: Duration = Duration::from_millis(1);
/// What comes in shortly after something else waits that long at most, and is taken together: among thousands of probes a second, to
/// wake a thread for each would cost more than to take what it saw.
const TURN_AT_MOST_EVERY: Duration = Duration::from_millis(2);
/// The task says at least this often that it is alive.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Verdicts that are not written by then, at the end, will not be: the disk hangs, and the program must not.
const LAST_SAVE: Duration = Duration::from_secs(3);

impl Control {
    /// Starts the task on the current runtime. The handle's view is there at once; all is unknown in it but what was restored.
    pub fn start(mut setup: Setup) -> (Control, JoinHandle<()>) {
        let (inbox, events) = mpsc::channel(INBOX);
        let (first_round_done, first_round) = watch::channel(false);
        let live = Arc::new(ArcSwap::from_pointee(setup.beliefs.live()));
        let now = setup.clock.now();
        if let Some(chronicle) = &mut setup.chronicle {
            chronicle.begin(&setup.beliefs, &setup.clock);
        }
        let task = Task {
            live: Arc::clone(&live),
            replaced: Vec::new(),
            inbox: inbox.clone(),
            first_round_done,
            generation: 1,
            loaded: now,
            published: now,
            reloads: [0; 3],
            under_way: None,
            waiting: VecDeque::new(),
            exposure: Exposure::new(now),
            keeper: Keeper::new(setup.state.clone(), now),
            setup,
        };
        let join = tokio::spawn(task.run(events));
        (Control { inbox, live, first_round }, join)
    }

    /// The view that workers hold.
    pub fn live(&self) -> &Arc<ArcSwap<Live>> {
        &self.live
    }

    /// Returns when everything has been looked at once; or the task has ended.
    pub async fn first_round(&self) {
        let _ = self.first_round.clone().wait_for(|&done| done).await;
    }

    /// What is believed now, in words; `None` when the task does not answer within two seconds.
    pub async fn status(&self) -> Option<StatusView> {
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.inbox.send(Event::Picture(reply)).await.ok()?;
            answer.await.ok()
        };
        let picture = tokio::time::timeout(Duration::from_secs(2), ask).await.ok().flatten()?;
        // Words for many thousand targets take time that the task does not have, and neither do its threads.
        tokio::task::spawn_blocking(move || StatusView::of(&picture)).await.ok()
    }

    /// Loads the config anew and puts it in force, all of it or nothing. Reloads queue up.
    pub async fn reload(&self, force: bool) -> ReloadReport {
        let (reply, answer) = oneshot::channel();
        let sent = self.inbox.send(Event::Reload(ReloadRequest { force, reply })).await;
        let gone = || report(ReloadResult::Failed, 0, "the server is stopping", Findings::default());
        if sent.is_err() { gone() } else { answer.await.unwrap_or_else(|_| gone()) }
    }

    /// Does what an operator asks, or says why not. What is obeyed is on disk when this returns, if there is a place for it.
    pub async fn order(&self, request: Request) -> OrderReport {
        let (reply, answer) = oneshot::channel();
        let gone = || OrderReport { obeyed: false, message: "the server is stopping".to_owned(), set: None };
        if self.inbox.send(Event::Order(request, reply)).await.is_err() { gone() } else { answer.await.unwrap_or_else(|_| gone()) }
    }

    /// Ends the task after the verdicts were saved.
    pub async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        if self.inbox.send(Event::Stop(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }
}

/// What a change has to say of a member that was up, failed, and is down now.
fn death<'a>(change: &Change, before: &'a Live, published: Moment) -> Option<Death<'a>> {
    let Change::Member(MemberChange { place: (pool, member), addr, was: Status::Up, now: Status::Down, cause, .. }) = change else {
        return None;
    };
    let family = if addr.is_ipv4() { Family::V4 } else { Family::V6 };
    Some(Death {
        pool: *pool,
        config: &before.snapshot.graph.pools[*pool],
        before: before.pools[*pool].family(family),
        member: *member,
        family,
        failing_since: cause.as_ref()?.began?,
        published,
    })
}

struct Task {
    setup: Setup,
    live: Arc<ArcSwap<Live>>,
    /// What was published before and a worker may hold still. Freed here: a worker should answer.
    replaced: Vec<Arc<Live>>,
    /// For those who work beside the task.
    inbox: mpsc::Sender<Event>,
    first_round_done: watch::Sender<bool>,
    /// Counts the configs put in force, from 1.
    generation: u64,
    loaded: Moment,
    published: Moment,
    /// By [`ReloadResult`].
    reloads: [u64; 3],
    /// The reload that is being compiled.
    under_way: Option<ReloadRequest>,
    waiting: VecDeque<ReloadRequest>,
    exposure: Exposure,
    keeper: Keeper,
}

impl Task {
    async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let mut woken = tokio::time::Instant::now();
        loop {
            // Whoever stood still learns it here, and says so next.
            self.order_probes();
            self.reflect();
            self.publish_when_due();
            self.look_at_answers();
            self.replaced.retain(memory::is_held_by_others);
            self.save_when_due();
            tokio::time::sleep_until(woken + TURN_AT_MOST_EVERY).await;
            let wake = tokio::time::Instant::from_std(self.setup.clock.instant(self.next_wake()));
            tokio::select! {
                event = events.recv() => {
                    // The task holds a sender itself, so that the channel never closes.
                    let Some(event) = event else { return };
                    if let ControlFlow::Break(reply) = self.handle_all(event, &mut events) {
                        self.end(events).await;
                        // Whoever asked may have given up waiting.
                        let _ = reply.send(());
                        return;
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
            }
            woken = tokio::time::Instant::now();
        }
    }

    /// Takes `first` and all that is ready after it, so that a burst of flips becomes one view.
    fn handle_all(&mut self, first: Event, events: &mut mpsc::Receiver<Event>) -> ControlFlow<oneshot::Sender<()>> {
        self.handle(first)?;
        for _ in 0..INBOX {
            let Ok(event) = events.try_recv() else { break };
            self.handle(event)?;
        }
        ControlFlow::Continue(())
    }

    /// Breaks when it is asked to stop, with whom to tell.
    fn handle(&mut self, event: Event) -> ControlFlow<oneshot::Sender<()>> {
        match event {
            Event::Observed(token, observation) => self.setup.beliefs.handle_observation(token, observation, self.setup.clock.now()),
            Event::Reload(request) => self.handle_reload(request),
            Event::Attempted(attempt) => self.handle_attempt(attempt),
            Event::Picture(reply) => {
                // Whoever asked may have given up; then nobody misses the answer.
                let _ = reply.send(Box::new(self.picture()));
            }
            Event::Order(request, reply) => self.handle_order(request, reply),
            Event::Saved(result) => self.keeper.handle_result(result),
            Event::Stop(reply) => return ControlFlow::Break(reply),
        }
        ControlFlow::Continue(())
    }

    /// Shows and saves what is believed at last. Whoever still waits for an answer hears that there is none.
    async fn end(mut self, events: mpsc::Receiver<Event>) {
        self.publish();
        if let Some(chronicle) = self.setup.chronicle.take() {
            let _ = tokio::task::spawn_blocking(move || chronicle.end(LAST_SAVE)).await;
        }
        if tokio::time::timeout(LAST_SAVE, self.save_last(events)).await.is_err() {
            tracing::warn!("the disk takes too long; verdicts since the last save are lost");
        }
        self.keeper.give_up();
    }

    /// Saves after any save under way.
    async fn save_last(&mut self, mut events: mpsc::Receiver<Event>) {
        let (saved, now) = (Arc::new(self.setup.beliefs.saved()), self.setup.clock.now());
        while self.keeper.is_busy() {
            if let Some(Event::Saved(result)) = events.recv().await {
                self.keeper.handle_result(result);
            }
        }
        if let Some(file) = self.keeper.begin_last(&saved, now) {
            self.keeper.handle_result(save(file, saved, now).await);
        }
    }

    fn next_wake(&self) -> Moment {
        let now = self.setup.clock.now();
        // When as many probes are under way as may be, the next one is overdue: an observation wakes the task then.
        let probe = self.setup.beliefs.next_due().map(|due| due.max(now.after(PUBLISH_EVERY)));
        let publish = self.setup.beliefs.is_stale().then(|| self.published.after(PUBLISH_EVERY));
        let look = Some(now.after(LOOK_EVERY));
        [probe, publish, look, self.keeper.next_due()].into_iter().flatten().fold(now.after(BEAT_EVERY), Moment::min)
    }

    //--- Probes and views

    fn order_probes(&mut self) {
        while let Some(order) = self.setup.beliefs.poll_order(self.setup.clock.now()) {
            self.start_probe(order);
        }
    }

    fn start_probe(&self, order: ProbeOrder) {
        let (prober, inbox) = (Arc::clone(&self.setup.prober), self.inbox.clone());
        let snapshot = Arc::clone(self.setup.beliefs.snapshot());
        let timeout = order.deadline.since(self.setup.clock.now());
        let probes = self.setup.probes.clone();
        self.setup.probes.spawn(async move {
            // A task of its own: a prober that panics has seen nothing, and must not take the schedule's slot with it.
            let probe = probes.spawn(async move { prober.probe(&snapshot.targets[order.target], timeout).await });
            let observation = probe.await.unwrap_or(Observation::Inconclusive(Doubt::Lag));
            let _ = inbox.send(Event::Observed(order.token, observation)).await;
        });
    }

    /// Says that the task is alive, and whether what it believes can be trusted.
    fn reflect(&mut self) {
        let now = self.setup.clock.now();
        self.setup.beliefs.handle_wall_clock(wall(), now);
        let changes = self.setup.beliefs.reflect(now);
        self.setup.pulse.beat(self.setup.beliefs.trouble());
        if let Some(chronicle) = &mut self.setup.chronicle {
            chronicle.look_after(&self.setup.beliefs, &self.setup.clock);
        }
        if !changes.is_empty() {
            self.publish_after(&changes);
        }
    }

    /// Tells the log and the journal, and sees to it that a start will know.
    fn tell(&mut self, change: &Change) {
        self.keeper.handle_news();
        (self.setup.announce)(change);
        if let Some(chronicle) = &mut self.setup.chronicle {
            chronicle.handle_change(change, &self.setup.beliefs);
        }
    }

    fn publish_when_due(&mut self) {
        if self.setup.beliefs.is_stale() && self.setup.clock.now().since(self.published) >= PUBLISH_EVERY {
            self.publish();
        }
        if !*self.first_round_done.borrow() && self.setup.beliefs.first_round_is_done() {
            self.publish();
            self.first_round_done.send_replace(true);
        }
    }

    fn publish(&mut self) {
        self.publish_after(&[]);
    }

    /// Shows workers what is believed after `causes`, then tells of those and of what came of them.
    fn publish_after(&mut self, causes: &[Change]) {
        self.published = self.setup.clock.now();
        let changes = self.setup.beliefs.refresh(self.published);
        let before = self.live.swap(Arc::new(self.setup.beliefs.live()));
        self.account(&changes, &before);
        self.replaced.push(before);
        for change in causes.iter().chain(&changes) {
            self.tell(change);
        }
    }

    fn picture(&mut self) -> Picture {
        if self.setup.beliefs.is_stale() {
            self.publish();
        }
        let reloads = ReloadResult::ALL.iter().zip(self.reloads).map(|(result, n)| (result.word().to_owned(), n)).collect();
        let around = Circumstances {
            clock: self.setup.clock,
            state: self.setup.pulse.phase().word(),
            generation: self.generation,
            loaded: self.loaded,
            reloads,
            prober: Arc::clone(&self.setup.prober),
            fingerprint: self.setup.chronicle.as_ref().map(|chronicle| chronicle.config().fingerprint.clone()).unwrap_or_default(),
            journal: self.setup.chronicle.as_ref().map(|chronicle| {
                let journal = chronicle.journal();
                JournalStatus { written: journal.written(), lost: journal.lost(), save_failures: self.keeper.failures() }
            }),
        };
        Picture { beliefs: self.setup.beliefs.clone(), exposure: self.exposure.clone(), around, now: self.setup.clock.now() }
    }

    //--- Reload

    fn handle_reload(&mut self, request: ReloadRequest) {
        if self.under_way.is_some() {
            self.waiting.push_back(request);
            return;
        }
        let Some(loader) = self.setup.loader.clone() else {
            let why = "this server's config is built in; there is nothing to reload";
            let _ = request.reply.send(report(ReloadResult::Refused, self.generation, why, Findings::default()));
            return;
        };
        let (current, reconcile) = (Arc::clone(self.setup.beliefs.snapshot()), Arc::clone(&self.setup.reconcile));
        let (force, inbox) = (request.force, self.inbox.clone());
        self.under_way = Some(request);
        tokio::spawn(async move {
            let work = tokio::task::spawn_blocking(move || attempt(&loader, &reconcile, &current, force));
            let attempt = work.await.unwrap_or_else(|panic| Attempt::Failed(broken(&panic)));
            let _ = inbox.send(Event::Attempted(attempt)).await;
        });
    }

    fn handle_attempt(&mut self, attempt: Attempt) {
        let (result, message, findings) = match attempt {
            Attempt::Ready(snapshot, mut findings) => {
                for warning in self.adopt(snapshot) {
                    findings.warn(&warning);
                }
                (ReloadResult::Applied, format!("generation {} is in force", self.generation), findings)
            }
            Attempt::Refused(why, findings) => (ReloadResult::Refused, why, findings),
            Attempt::Failed(findings) => {
                let message = format!("the new config has {}; generation {} goes on", count_errors(&findings), self.generation);
                (ReloadResult::Failed, message, findings)
            }
        };
        if let Some(chronicle) = self.setup.chronicle.as_ref().filter(|_| result != ReloadResult::Applied) {
            chronicle.handle_refusal();
        }
        self.reloads[result as usize] += 1;
        log_reload(result, &message, &findings);
        if let Some(request) = self.under_way.take() {
            let _ = request.reply.send(report(result, self.generation, &message, findings));
        }
        if let Some(next) = self.waiting.pop_front() {
            self.handle_reload(next);
        }
    }

    /// Puts a snapshot in force. Returns what somebody should know of it: protections bind no config.
    fn adopt(&mut self, snapshot: Arc<Snapshot>) -> Vec<String> {
        // What flipped up to now is told in the words of the old config, then carried over by identity.
        self.publish();
        let now = self.setup.clock.now();
        let short_before = self.setup.beliefs.shortfalls(now);
        let changes = self.setup.beliefs.adopt(snapshot, now);
        let short = self.setup.beliefs.shortfalls(now).into_iter();
        let short = short.filter(|(rule, breach, _)| !short_before.iter().any(|(known, how, _)| (known, how) == (rule, breach)));
        self.generation += 1;
        self.loaded = now;
        if let Some(chronicle) = &mut self.setup.chronicle {
            chronicle.handle_config(&self.setup.beliefs, self.generation);
        }
        self.publish();
        for change in &changes {
            self.tell(change);
        }
        self.exposure.adopt();
        tokio::spawn(memory::outlast(std::mem::take(&mut self.replaced)));
        let snapshot = Arc::clone(self.setup.beliefs.snapshot());
        self.setup.prober.retain(&snapshot.targets.rows().iter().map(|target| (Arc::clone(&target.identity), target)).collect());
        let words = |(rule, breach, left)| format!("the new config breaks the protection `{rule}` ({breach}); left: {left}");
        short.map(words).collect()
    }

    //--- What was handed out

    fn look_at_answers(&mut self) {
        let now = self.setup.clock.now();
        if self.exposure.is_due(now) {
            self.exposure.handle_look(self.setup.handed_out.of(self.setup.beliefs.snapshot()), now);
        }
    }

    /// Takes account of the deaths among `changes`, which were just published, and of the dead that are answered all the same;
    /// `before` is what was answered until then.
    fn account(&mut self, changes: &[Change], before: &Live) {
        let published = self.setup.clock.now();
        let mut deaths = changes.iter().filter_map(|change| death(change, before, published)).peekable();
        let live = self.live.load();
        let lingering: Vec<Lingering> = self.setup.beliefs.dead().map(|dead| Lingering::of(&live, dead)).collect();
        if deaths.peek().is_some() || self.exposure.is_news(&lingering) {
            self.exposure.handle_look(self.setup.handed_out.of(&before.snapshot), published);
        }
        for death in deaths {
            self.exposure.handle_death(&death);
        }
        self.exposure.handle_lingering(lingering);
    }

    //--- Operators

    fn handle_order(&mut self, request: Request, reply: oneshot::Sender<OrderReport>) {
        let now = self.setup.clock.now();
        let beliefs = &mut self.setup.beliefs;
        let done = match request {
            Request::Set(order) => beliefs.obey(order, now).map_err(|refusal| refusal.to_string()),
            Request::Clear(selector) => beliefs.clear(&selector, now).ok_or_else(|| format!("there is no override of {selector}")),
            Request::Release(selector) => {
                beliefs.release(&selector, now).ok_or_else(|| format!("nobody of {selector} waits to be let back"))
            }
        };
        let change = match done {
            Ok(change) => change,
            Err(message) => {
                let _ = reply.send(OrderReport { obeyed: false, message, set: None });
                return;
            }
        };
        let set = if let OverrideChange::Set(one, _) = &change { Some(OverrideStatus::from(one)) } else { None };
        let message = change.to_string();
        self.publish_after(&[Change::Override(change)]);
        self.keeper.owe(reply, OrderReport { obeyed: true, message, set });
    }

    //--- State

    fn save_when_due(&mut self) {
        let now = self.setup.clock.now();
        self.keeper.handle_time(now);
        if self.keeper.next_due().is_none_or(|due| due > now) {
            return;
        }
        let saved = Arc::new(self.setup.beliefs.saved());
        let max_age = self.setup.beliefs.snapshot().settings.state_max_age;
        let Some(file) = self.keeper.begin(&saved, max_age, now) else { return };
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let _ = inbox.send(Event::Saved(save(file, saved, now).await)).await;
        });
    }
}

/// Writes a file on a thread that may wait for the disk.
async fn save(file: StateFile, saved: Arc<Saved>, now: Moment) -> std::io::Result<()> {
    let work = tokio::task::spawn_blocking(move || file.save(&saved, now));
    work.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic.to_string())))
}

/// Loads, judges, and follows with the listeners; the last step is the only one that can still fail.
fn attempt(loader: &Loader, reconcile: &Reconcile, current: &Snapshot, force: bool) -> Attempt {
    match reload::attempt(loader, current, force) {
        Attempt::Ready(snapshot, findings) => match reconcile(&snapshot.settings) {
            Ok(()) => Attempt::Ready(snapshot, findings),
            Err(why) => Attempt::Refused(format!("{why}; nothing was changed"), findings),
        },
        other @ (Attempt::Refused(..) | Attempt::Failed(_)) => other,
    }
}

fn broken(panic: &tokio::task::JoinError) -> Findings {
    let line = format!("loading the config broke down (a bug in steersman): {panic}");
    Findings { report: line.clone(), lines: vec![line], errors: 1, warnings: 0 }
}

fn count_errors(findings: &Findings) -> String {
    crate::human::count(findings.errors, "error")
}

fn report(result: ReloadResult, generation: u64, message: &str, findings: Findings) -> ReloadReport {
    ReloadReport { result, generation, message: message.to_owned(), report: findings.report, lines: findings.lines }
}

fn log_reload(result: ReloadResult, message: &str, findings: &Findings) {
    for line in &findings.lines {
        tracing::warn!("{line}");
    }
    match result {
        ReloadResult::Applied => tracing::info!("reload applied: {message}"),
        ReloadResult::Refused => tracing::warn!("reload refused: {message}"),
        ReloadResult::Failed => tracing::error!("reload failed: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span};
    use crate::health::Rules;
    use crate::io::testing::snapshot_at;
    use crate::judge::Wish;
    use crate::policy::Grade;
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender};

    /// A pool of one member at `addr`, probed every 100 ms.
    fn one(addr: SocketAddr) -> Snapshot {
        let rules = Rules::plain(Duration::from_millis(100), Duration::from_millis(90), 2, 2);
        snapshot_at(&[("web", vec![("a", addr)])], rules)
    }

    /// What a test needs to be both sides of a control task.
    struct Stage {
        control: Control,
        backend: TcpListener,
        prober: Arc<Prober>,
        /// Each send lets one load end with this result.
        loads: Sender<Load>,
        told: Receiver<String>,
    }

    enum Load {
        Sound,
        Broken,
        Panic,
    }

    /// A control task over one living backend, with a loader that waits for the test.
    fn stage() -> Stage {
        stage_with(Err("its config has no `state_dir`".to_owned()))
    }

    fn stage_with(state: Result<StateFile, String>) -> Stage {
        let backend = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = backend.local_addr().expect("bound");
        let (loads, waiting) = std::sync::mpsc::channel();
        let waiting = Mutex::new(waiting);
        let loader = move || {
            let load = waiting.lock().expect("one load at a time").recv().expect("the test says how it ends");
            match load {
                Load::Sound => (Some(one(addr)), Diagnostics::new()),
                Load::Broken => (None, broken_config()),
                Load::Panic => panic!("a bug, as far as the control task knows"),
            }
        };
        let clock = Clock::start();
        let (tell, told) = std::sync::mpsc::channel();
        let prober = Arc::new(Prober::new());
        let (control, _task) = Control::start(Setup {
            beliefs: Beliefs::new(Arc::new(one(addr)), &Saved::default(), 1, 0, clock.now()),
            clock,
            pulse: Arc::new(Pulse::new(clock)),
            prober: Arc::clone(&prober),
            probes: Handle::current(),
            handed_out: Arc::default(),
            loader: Some(Arc::new(loader)),
            reconcile: Arc::new(|_| Ok(())),
            state,
            chronicle: None,
            announce: Box::new(move |change| drop(tell.send(change.to_string()))),
        });
        Stage { control, backend, prober, loads, told }
    }

    fn broken_config() -> Diagnostics {
        let source = Arc::new(Source { name: "zone.yaml".into(), text: "zone: 1".into() });
        let mut diagnostics = Diagnostics::new();
        diagnostics.push(Diagnostic::error("bad-name", &Span::start_of(&source), "no name"));
        diagnostics
    }

    /// An order to take the one member out.
    fn down() -> Request {
        Request::Set(Order {
            selector: "web/a".parse().expect("a selector"),
            wish: Wish::Down,
            owner: "alice".into(),
            reason: "test".into(),
            lasts: None,
            break_glass: false,
        })
    }

    fn grade(control: &Control) -> Grade {
        control.live().load().pools.rows()[0].grade
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flip_while_a_reload_is_compiled_is_neither_delayed_nor_lost() {
        let Stage { control, backend, loads, told, .. } = stage();
        control.first_round().await;
        assert_eq!(grade(&control), Grade::Healthy);
        let reloading = tokio::spawn({
            let control = control.clone();
            async move { control.reload(false).await }
        });
        drop(backend);
        let lines = tokio::task::spawn_blocking(move || told.iter().take(3).collect::<Vec<_>>()).await.expect("no panic");
        assert!(lines[1].contains("member a") && lines[1].contains("is down: connection refused"), "{lines:?}");
        assert!(lines[2].starts_with("pool web is empty"), "{lines:?}");
        assert_eq!(grade(&control), Grade::Empty, "published while the compiler works");
        assert!(!reloading.is_finished());
        loads.send(Load::Sound).expect("the loader waits");
        let report = reloading.await.expect("no panic");
        assert_eq!((report.result, report.generation), (ReloadResult::Applied, 2));
        assert_eq!(grade(&control), Grade::Empty, "the new config knows what the old one learned");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_an_operator_did_is_told_before_what_came_of_it() {
        let Stage { control, backend: _backend, told, .. } = stage();
        control.first_round().await;
        assert!(control.order(down()).await.obeyed);
        control.stop().await;
        let lines: Vec<String> = told.try_iter().collect();
        let place = |start: &str| lines.iter().position(|line| line.starts_with(start));
        assert!(place("override down of web/a").is_some() && place("override down") < place("pool web is empty"), "{lines:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_view_that_was_replaced_is_freed_by_the_task_after_the_last_worker_has_let_go_of_it() {
        let Stage { control, backend, told, .. } = stage();
        control.first_round().await;
        let held = control.live().load_full();
        drop(backend);
        tokio::task::spawn_blocking(move || told.iter().nth(2)).await.expect("no panic").expect("the death is told of");
        assert!(!Arc::ptr_eq(&held, &control.live().load_full()), "it was published before it was told");
        assert!(memory::is_held_by_others(&held), "whoever lets go of it now has nothing to free");
        let watch = Arc::downgrade(&held);
        drop(held);
        let freed = async {
            while watch.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), freed).await.expect("the task looks after it");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_puts_the_status_into_words_holds_up_no_verdict() {
        let Stage { control, prober, backend, told, .. } = stage();
        control.first_round().await;
        let (held, is_held) = std::sync::mpsc::channel();
        let (let_go, wait) = std::sync::mpsc::channel::<()>();
        // The words cannot be finished before this ends.
        let holder = std::thread::spawn(move || {
            let certificates = prober.hold_certificates();
            held.send(()).expect("the test waits for it");
            let _ = wait.recv();
            drop(certificates);
        });
        is_held.recv().expect("the thread begins");
        let asked = tokio::spawn({
            let control = control.clone();
            async move { control.status().await }
        });
        drop(backend);
        let patience = Duration::from_secs(10);
        let death = tokio::task::spawn_blocking(move || (0..3).map(|_| told.recv_timeout(patience)).collect::<Vec<_>>());
        let death = death.await.expect("no panic");
        assert!(death.iter().all(Result::is_ok), "{death:?}");
        assert!(!asked.is_finished() && grade(&control) == Grade::Empty);
        drop(let_go);
        assert!(asked.await.expect("no panic").is_some());
        holder.join().expect("no panic");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_config_with_errors_or_a_compiler_with_a_bug_changes_nothing() {
        let Stage { control, backend: _backend, loads, .. } = stage();
        control.first_round().await;
        let before = Arc::clone(&control.live().load().snapshot);
        for (load, words) in [(Load::Broken, "zone.yaml:1:1: error[bad-name]"), (Load::Panic, "a bug in steersman")] {
            loads.send(load).expect("the loader is there");
            let report = control.reload(true).await;
            assert_eq!((report.result, report.generation), (ReloadResult::Failed, 1));
            assert!(report.lines[0].contains(words), "{report:?}");
        }
        assert!(Arc::ptr_eq(&before, &control.live().load().snapshot));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn reloads_queue_up_and_each_gets_its_own_answer() {
        let Stage { control, backend: _backend, loads, .. } = stage();
        for load in [Load::Sound, Load::Broken, Load::Sound] {
            loads.send(load).expect("the loader is there");
        }
        let reports = tokio::join!(control.reload(false), control.reload(false), control.reload(false));
        let mut results = [reports.0.result, reports.1.result, reports.2.result];
        results.sort();
        assert_eq!(results, [ReloadResult::Applied, ReloadResult::Applied, ReloadResult::Failed]);
        assert_eq!(control.status().await.expect("alive").generation, 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_told_is_on_the_disk_before_anybody_would_have_looked_for_it() {
        let directory = crate::io::testing::scratch_directory();
        let file = StateFile::open(directory.path()).expect("writable");
        let began = crate::io::clock::wall_unix_ms();
        let Stage { control, backend: _backend, .. } = stage_with(Ok(file.clone()));
        control.first_round().await;
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(file.path()) {
                break text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(text.contains("\"up\""), "{text}");
        let saved: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let after_ms = saved["saved_at_unix_ms"].as_u64().expect("a number") - began;
        assert!((1_000..4_500).contains(&after_ms), "{after_ms} ms");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_disk_that_hangs_delays_the_end_but_does_not_prevent_it() {
        let directory = crate::io::testing::scratch_directory();
        // Opening a pipe that nobody reads from blocks, as a file on a dead network file system does.
        let draft = directory.path().join("verdicts.json.new");
        assert!(std::process::Command::new("mkfifo").arg(&draft).status().expect("coreutils").success());
        let Stage { control, backend: _backend, .. } = stage_with(Ok(StateFile::open(directory.path()).expect("it is there")));
        control.first_round().await;
        let (report, ended) = tokio::join!(control.order(down()), tokio::time::timeout(LAST_SAVE * 3, control.stop()));
        // Frees the thread that writes.
        drop(std::fs::File::open(&draft).expect("a writer waits"));
        ended.expect("the task ends all the same");
        assert!(report.obeyed && report.message.contains("not on the disk yet"), "{report:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_order_just_before_the_end_is_saved_and_its_operator_told_so() {
        let directory = crate::io::testing::scratch_directory();
        let file = StateFile::open(directory.path()).expect("writable");
        let Stage { control, backend: _backend, .. } = stage_with(Ok(file.clone()));
        control.first_round().await;
        let (report, ()) = tokio::join!(control.order(down()), control.stop());
        assert!(report.obeyed && !report.message.contains("; it "), "{report:?}");
        assert!(std::fs::read_to_string(file.path()).expect("saved").contains("web/a"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn after_the_end_nobody_waits_for_an_answer() {
        let Stage { control, .. } = stage();
        control.stop().await;
        assert!(control.status().await.is_none());
        assert_eq!(control.reload(false).await.result, ReloadResult::Failed);
    }
}
