//! What was last loaded, or tried to: a hash by which a change is known, and the files it was made of.

use super::manifest::Manifest;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The fingerprint of what was last loaded, or tried to: shared by the loader, the watcher and the chronicle.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint(Arc<Print>);

#[derive(Debug, Default)]
struct Print {
    hash: AtomicU64,
    manifest: Mutex<Arc<Manifest>>,
}

impl Fingerprint {
    /// Notes what was read: a hash of it, and the files.
    pub fn set(&self, hash: u64, manifest: Manifest) {
        self.0.hash.store(hash, Ordering::Relaxed);
        *self.0.manifest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(manifest);
    }

    /// The hash of what was read last.
    pub fn get(&self) -> u64 {
        self.0.hash.load(Ordering::Relaxed)
    }

    /// Lets go of the texts that were carried along.
    pub fn drop_texts(&self) {
        let mut manifest = self.0.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        *manifest = Arc::new(manifest.without_texts());
    }

    /// The files that were read last.
    pub fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.0.manifest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
