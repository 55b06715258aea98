//! `watch: true`: notices that files changed and asks for a reload once they have come to rest.
//!
//! Looks at sizes and times once a second rather than asking the kernel to tell: that works on every file system, through
//! symbolic links that are swapped, and for files that do not exist yet. Contents are read only after two seconds without a
//! change, and must hash equal twice, so that no half-written file is loaded.

use super::control::Control;
use super::files::{self, Stamp};
use super::manifest::Manifest;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many looks in a row must find the same before contents are read.
const QUIET_LOOKS: u32 = 2;

/// The fingerprint of what was last loaded, or tried to: shared by the loader, the watcher and the chronicle.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint(Arc<Print>);

#[derive(Debug, Default)]
struct Print {
    hash: AtomicU64,
    /// Whether nobody keeps texts.
    textless: AtomicBool,
    manifest: Mutex<Arc<Manifest>>,
}

impl Fingerprint {
    /// Notes what was read: a hash of it, and the files.
    pub fn set(&self, hash: u64, manifest: Manifest) {
        self.0.hash.store(hash, Ordering::Relaxed);
        let manifest = if self.0.textless.load(Ordering::Relaxed) { manifest.without_texts() } else { manifest };
        *self.0.manifest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(manifest);
    }

    /// The hash of what was read last.
    pub fn get(&self) -> u64 {
        self.0.hash.load(Ordering::Relaxed)
    }

    /// Lets go of the texts that were carried along: they are put away, or nobody wants them.
    pub fn drop_texts(&self) {
        let mut manifest = self.0.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        *manifest = Arc::new(manifest.without_texts());
    }

    /// Carries no texts along, now or later: nobody keeps them.
    pub fn want_no_texts(&self) {
        self.0.textless.store(true, Ordering::Relaxed);
        self.drop_texts();
    }

    /// The files that were read last.
    pub fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.0.manifest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Watches the config at `path`, and all it names, until the future is dropped. Does nothing while the config in force
/// says `watch: false`.
pub async fn watch(path: PathBuf, control: Control, loaded: Fingerprint) {
    let mut rest = Rest::default();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !control.live().load().snapshot.settings.watch {
            rest = Rest::default();
            continue;
        }
        let stamp = beside(&path, files::stamp).await;
        if rest.handle_look(stamp) && has_changed(&path, &loaded).await {
            tracing::info!("files changed, reloading");
            control.reload(false).await;
        }
    }
}

/// Whether the contents differ from what was loaded, and are at rest.
async fn has_changed(path: &Path, loaded: &Fingerprint) -> bool {
    let first = beside(path, files::fingerprint).await;
    first.is_some() && first != Some(loaded.get()) && first == beside(path, files::fingerprint).await
}

/// Does `work` on a thread that may block; `None` when it panicked.
async fn beside<T: Send + 'static>(path: &Path, work: fn(&Path) -> T) -> Option<T> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || work(&path)).await.ok()
}

/// Knows when files have come to rest after a change.
#[derive(Debug, Default)]
struct Rest {
    seen: Option<Stamp>,
    /// Looks in a row that found what `seen` holds.
    quiet: u32,
}

impl Rest {
    /// Takes a look; says whether contents should be read now. True at the first rest too: a change may have come before
    /// the first look.
    fn handle_look(&mut self, stamp: Option<Stamp>) -> bool {
        if self.seen == stamp {
            self.quiet = self.quiet.saturating_add(1);
        } else {
            self.seen = stamp;
            self.quiet = 0;
        }
        self.quiet == QUIET_LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_carried_along_only_where_somebody_keeps_them() {
        let read = Fingerprint::default();
        let note = || {
            let mut manifest = Manifest::new(Path::new("main"));
            manifest.note_text(Path::new("main"), "text");
            read.set(1, manifest);
            read.manifest().texts().is_some()
        };
        assert!(note());
        read.drop_texts();
        assert!(read.manifest().texts().is_none() && note());
        read.want_no_texts();
        assert!(read.manifest().texts().is_none() && !note());
    }

    #[test]
    fn contents_are_read_once_after_two_quiet_looks() {
        let stamp = |len| Some(vec![(PathBuf::from("a"), len, None)]);
        let mut rest = Rest::default();
        let looks = [1, 1, 1, 1, 2, 3, 3, 3, 3].map(|len| rest.handle_look(stamp(len)));
        assert_eq!(looks, [false, false, true, false, false, false, false, true, false]);
    }
}
