//! `watch: true`: notices that files changed and asks for a reload once they have come to rest.
//!
//! Looks at sizes and times once a second rather than asking the kernel to tell: that works on every file system, through
//! symbolic links that are swapped, and for files that do not exist yet. Contents are read only after two seconds without a
//! change, and must hash equal twice, so that no half-written file is loaded.

use super::control::Control;
use super::files::{self, Stamp};
use super::fingerprint::Fingerprint;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many looks in a row must find the same before contents are read.
const QUIET_LOOKS: u32 = 2;

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
    use crate::io::manifest::Manifest;

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
