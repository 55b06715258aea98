//! What the tests of the shell share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own for a test; gone with the value.
pub struct ScratchDirectory(PathBuf);

/// A fresh, empty directory.
pub fn scratch_directory() -> ScratchDirectory {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("steersman-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("the temporary directory is writable");
    ScratchDirectory(path)
}

impl ScratchDirectory {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it, with all directories on the way.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("below the scratch directory")).expect("writable");
        std::fs::write(&path, text).expect("writable");
        path
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
