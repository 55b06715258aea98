//! Lets the memory of a config go back to the system when another one takes its place.
//!
//! glibc's allocator keeps what is freed when it was small enough, and counts ever larger blocks as small: up to 32 MiB, once one
//! of that size was freed. Configs are few large blocks that come and go as a whole, so a few reloads of a large zone would hold several
//! times what is in use. Knows no config.
#![allow(unsafe_code, reason = "mallopt and malloc_trim have no safe form")]

use std::sync::Arc;
use std::time::Duration;

/// Lets every block of at least [`LARGE`] octets go back to the system when it is freed. Returns whether the allocator
/// agreed; others than glibc's are left as they are.
pub fn return_large_blocks() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallopt takes two numbers and locks the allocator itself.
        let agreed = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
        agreed == 1
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    true
}

/// Gives free pages among the small blocks back to the system: after a load, which leaves many.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes a number and locks the allocator itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of what others are about to let go of too, after them: to free a large config takes milliseconds, in which a worker
/// should answer.
pub async fn outlast<T: Send + Sync + 'static>(old: Arc<T>) {
    for _ in 0..LOOKS {
        if Arc::strong_count(&old) == 1 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let freed = tokio::task::spawn_blocking(move || {
        drop(old);
        give_back();
    });
    // It only ends early with the whole program.
    let _ = freed.await;
}

/// Workers look at what is published with every batch, and when nothing comes, once a second.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Three seconds in all. Whoever still holds on then frees it himself.
const LOOKS: u32 = 150;

/// Getting and returning such a block costs two system calls, which is little beside filling it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_agrees_however_often_it_is_asked() {
        assert!(return_large_blocks() && return_large_blocks());
    }

    #[tokio::test]
    async fn what_others_hold_is_freed_after_them() {
        let old = Arc::new(());
        let (watch, mut outlasting) = (Arc::downgrade(&old), Box::pin(outlast(Arc::clone(&old))));
        tokio::select! {
            () = &mut outlasting => panic!("somebody still holds it"),
            () = tokio::time::sleep(LOOK_EVERY * 3) => drop(old),
        }
        outlasting.await;
        assert!(watch.upgrade().is_none());
    }
}
