//! What was last loaded, or tried to: a hash by which a change is known, and the files it was made of.

use super::manifest::Manifest;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
