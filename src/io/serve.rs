//! A server from start to end: sockets first, then a look at everything, then answers; and an orderly end.

use super::admin::{self, Admin, Bound};
use super::chronicle::Chronicle;
use super::claim::{Claim, NoClaim};
use super::clock::Clock;
use super::control::{Announce, Control, Reconcile, Setup};
use super::counters::CounterBoard;
use super::desk::Answering;
use super::fingerprint::Fingerprint;
use super::handed_out::AnswerBoard;
use super::journal::Journal;
use super::listeners::{Changes, Listeners, Listening};
use super::open_files;
use super::prober::{ProbeThreads, Prober};
use super::pulse::{Phase, Pulse};
use super::reload::Loader;
use super::report::{self, Inbox};
use super::state::StateFile;
use super::state_text::Remembered;
use super::watch;
use crate::beliefs::Beliefs;
use crate::beliefs::Saved;
use crate::clock::Moment;
use crate::human::span;
use crate::snapshot::{Settings, Snapshot};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;

/// What to serve, and what to do beside it.
pub struct Plan {
    /// Listened to since before the config was read.
    pub signals: Signals,
    /// The first config.
    pub snapshot: Snapshot,
    /// Loads the config anew, when there is something to load it from.
    pub reload: Option<Reload>,
    /// Hears of every change of a verdict or a grade.
    pub announce: Announce,
    /// Called once, when queries are answered.
    pub started: Box<dyn FnOnce(&Addresses) + Send>,
}

/// Where a config comes from.
pub struct Reload {
    /// Reads and compiles it.
    pub loader: Loader,
    /// The main file, for `watch`.
    pub path: PathBuf,
    /// What the loader read last.
    pub fingerprint: Fingerprint,
}

/// Where the server can be reached.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// DNS: one per transport and address.
    pub dns: Vec<Listening>,
    /// The admin interface, as `--admin` takes it.
    pub admin: Option<String>,
}

/// What was read is answered for this long after a signal; resolvers ask again within it.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until a signal asks to stop.
///
/// # Errors
/// When a socket cannot be bound, or the control task ended: then verdicts would freeze, and a restart is better.
pub async fn serve(plan: Plan) -> Result<(), String> {
    let clock = Clock::start();
    let mut signals = plan.signals;
    let settings = plan.snapshot.settings.clone();
    open_files::make_room(settings.tcp.connections);
    let counters = Arc::new(CounterBoard::new());
    let handed_out = Arc::new(AnswerBoard::default());
    let listeners = Listeners::open(&settings, Arc::clone(&counters)).map_err(|error| error.to_string())?;
    let admin = settings.admin.as_ref().map(Bound::bind).transpose()?;
    let report_listeners: Vec<_> = settings.reports.iter().map(|&addr| report::bind(addr)).collect::<Result<_, _>>()?;
    let addresses = Addresses { dns: listeners.addresses(), admin: admin.as_ref().map(Bound::address) };
    let listeners: Shared = Arc::new(Mutex::new(Some(listeners)));

    let now = clock.now();
    let (_claim, state) = claim(&settings)?;
    let saved = state.as_ref().map(|file| remember(file, &settings, now)).unwrap_or_default();
    let beliefs = Beliefs::new(Arc::new(plan.snapshot), &saved, RandomState::new().hash_one(0), clock.unix_s(Moment::START), now);
    let pulse = Arc::new(Pulse::new(clock));
    let probe_threads = ProbeThreads::start()?;
    let prober = Arc::new(Prober::new());
    let read = plan.reload.as_ref().map(|reload| reload.fingerprint.clone()).unwrap_or_default();
    let journal = state.as_ref().map_err(String::clone).and_then(|file| journal(file, &settings));
    if journal.is_err() {
        read.want_no_texts();
    }
    let (control, mut task) = Control::start(Setup {
        beliefs,
        clock,
        pulse: Arc::clone(&pulse),
        prober: Arc::clone(&prober),
        probes: probe_threads.handle(),
        handed_out: Arc::clone(&handed_out),
        loader: plan.reload.as_ref().map(|reload| Arc::clone(&reload.loader)),
        reconcile: reconcile(&listeners),
        chronicle: journal.clone().ok().map(|journal| Chronicle::new(journal, read.clone())),
        state,
        announce: plan.announce,
    });
    let inbox = Inbox { control: control.clone(), reports: Arc::clone(prober.reports()) };
    for listener in report_listeners {
        tokio::spawn(report::serve(listener, inbox.clone()));
    }
    if let Some(bound) = admin {
        let admin = Admin {
            control: control.clone(),
            inbox,
            pulse: Arc::clone(&pulse),
            counters,
            clock,
            journal,
            reader: Arc::new(Semaphore::new(1)),
        };
        tokio::spawn(async move {
            if let Err(error) = admin::serve(bound, admin).await {
                tracing::error!("the admin interface has ended: {error}");
            }
        });
    }

    tokio::select! {
        () = control.first_round() => {}
        () = tokio::time::sleep(settings.startup_deadline) => {
            tracing::warn!("not everything has been probed within startup_deadline; serving what is known");
        }
        _ = signals.stop() => {
            control.stop().await;
            probe_threads.stop().await;
            remove_socket(&settings);
            return Ok(());
        }
    }
    start(&listeners, Answering { live: Arc::clone(control.live()), handed_out })?;
    pulse.enter(Phase::Serving);
    (plan.started)(&addresses);
    if let Some(reload) = plan.reload {
        tokio::spawn(watch::watch(reload.path, control.clone(), reload.fingerprint));
    }

    let why = loop {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop(why) => break why,
                Request::Reload => {
                    tracing::info!("SIGHUP: reloading");
                    let control = control.clone();
                    tokio::spawn(async move { control.reload(false).await });
                }
            },
            _ = &mut task => return Err("the control task ended (a bug in steersman); stopping, since verdicts would freeze".to_owned()),
        }
    };
    tracing::info!("{why}: draining");
    pulse.enter(Phase::Draining);
    let drain = tokio::task::spawn_blocking(move || stop(&listeners));
    tokio::select! {
        _ = drain => {}
        _ = signals.stop() => tracing::warn!("a second signal: stopping at once"),
    }
    control.stop().await;
    probe_threads.stop().await;
    remove_socket(&settings);
    tracing::info!("stopped");
    Ok(())
}

//--- Listeners

/// The listeners, until they are stopped. Shared with the threads on which reloads are prepared.
type Shared = Arc<Mutex<Option<Listeners>>>;

/// Nothing in the listeners is left half-done by a panic elsewhere.
fn lock(listeners: &Shared) -> MutexGuard<'_, Option<Listeners>> {
    listeners.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(listeners: &Shared, answering: Answering) -> Result<(), String> {
    match lock(listeners).as_mut() {
        Some(listeners) => listeners.start(answering).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

fn stop(listeners: &Shared) {
    if let Some(listeners) = lock(listeners).take() {
        listeners.stop(GRACE);
    }
}

fn reconcile(listeners: &Shared) -> Reconcile {
    let listeners = Arc::clone(listeners);
    Arc::new(move |settings| match lock(&listeners).as_mut() {
        Some(listeners) => listeners.reconcile(settings).map(|changes| log_changes(&changes)).map_err(|error| error.to_string()),
        None => Err("the server is stopping".to_owned()),
    })
}

fn log_changes(changes: &Changes) {
    for listening in &changes.opened {
        tracing::info!("listening on {} ({})", listening.bound, super::metrics::transport_word(listening.transport));
    }
    for listening in &changes.closed {
        tracing::info!("no longer listening on {} ({})", listening.bound, super::metrics::transport_word(listening.transport));
    }
}

//--- State

/// The state directory, and the right to it; or why there is none.
///
/// # Errors
/// When it is another server's.
fn claim(settings: &Settings) -> Result<(Option<Claim>, Result<StateFile, String>), String> {
    let Some(directory) = &settings.state_dir else { return Ok((None, Err("its config has no `state_dir`".to_owned()))) };
    let shown = directory.display();
    let opened = match Claim::lay(directory) {
        Ok(claim) => StateFile::open(directory).map(|file| (claim, file)),
        Err(NoClaim::Unusable(error)) => Err(error),
        Err(NoClaim::Taken(process)) => {
            let who = process.map(|id| format!(" (process {id})")).unwrap_or_default();
            return Err(format!(
                "state_dir {shown} is in use by another steersman{who}: they would erase each other's state; give each its own"
            ));
        }
    };
    Ok(match opened {
        Ok((claim, file)) => (Some(claim), Ok(file)),
        Err(error) => {
            tracing::warn!("state_dir {shown} cannot be used, verdicts will not survive a restart: {error}");
            (None, Err(format!("its state_dir, {shown}, cannot be used: {error}")))
        }
    })
}

/// The verdicts that survived a restart.
fn remember(file: &StateFile, settings: &Settings, now: Moment) -> Saved {
    let recall = file.load(settings.state_max_age, now);
    for (path, why) in &recall.useless {
        tracing::warn!("starting without {}: {why}", path.display());
    }
    recall.found.map(|(path, remembered)| told(&path, remembered)).unwrap_or_default()
}

/// The journal, or why there is none.
fn journal(state: &StateFile, settings: &Settings) -> Result<Journal, String> {
    let opened = Journal::open(state.directory(), settings.journal_max_octets);
    opened.map_err(|error| error.to_string()).inspect_err(|why| tracing::warn!("there will be no journal: {why}"))
}

/// Says what is remembered.
fn told(path: &Path, remembered: Remembered) -> Saved {
    if let Some(age) = remembered.too_old {
        tracing::warn!("starting without the verdicts of {}: it is {} old, more than state_max_age", path.display(), span(age));
    } else {
        tracing::info!("{} verdicts restored from {}", remembered.saved.targets.len(), path.display());
    }
    remembered.saved
}

fn remove_socket(settings: &Settings) {
    if let Some(crate::snapshot::AdminAddr::Unix(path)) = &settings.admin {
        // Whoever starts next replaces it anyway.
        let _ = std::fs::remove_file(path);
    }
}

/// The signals that a server listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Whether a reload was asked for while only a stop was waited for.
    reload_owed: bool,
}

/// What a signal asks for.
enum Request {
    Stop(&'static str),
    Reload,
}

impl Signals {
    /// Listens from now on, on the current runtime: none of these signals ends the program any more.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> Result<Signals, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen to signals: {error}"));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            reload_owed: false,
        })
    }

    /// The name of the signal that asks to stop; a reload that is asked for meanwhile is next.
    async fn stop(&mut self) -> &'static str {
        loop {
            match self.receive().await {
                Request::Stop(why) => return why,
                Request::Reload => self.reload_owed = true,
            }
        }
    }

    /// The next signal.
    async fn next(&mut self) -> Request {
        if std::mem::take(&mut self.reload_owed) { Request::Reload } else { self.receive().await }
    }

    async fn receive(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Request::Stop("SIGINT"),
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}
