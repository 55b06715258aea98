//! Lets the memory of a config go back to the system when another one takes its place.
//!
//! glibc's allocator keeps what is freed when it was small enough, and counts ever larger blocks as small: up to 32 MiB, once one
//! of that size was freed. Configs are few large blocks that come and go as a whole, so a few reloads of a large zone would hold several
//! times what is in use.
//!
//! And puts what is read at random on large pages: a million names are twenty thousand pages of the usual size, of which the processor
//! remembers only some, so that nearly every look-up would begin with a search for the page. Knows no config.
#![allow(unsafe_code, reason = "mallopt, malloc_trim and madvise have no safe form")]

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

/// Moves `items` to large pages, where there is enough of them and the system has some; they stay where they are otherwise. Returns
/// for how many octets that was asked.
pub fn enlarge_pages<T>(items: &[T]) -> usize {
    let (start, octets) = (items.as_ptr().cast::<u8>(), size_of_val(items));
    let before = start.align_offset(LARGE_PAGE).min(octets);
    let whole = (octets - before) / LARGE_PAGE * LARGE_PAGE;
    #[cfg(target_os = "linux")]
    if whole > 0 {
        let start = start.wrapping_add(before).cast_mut().cast();
        // SAFETY: all `whole` octets from `start` on lie in a live slice. The advice changes to which physical memory their addresses
        // lead, and nothing that a program could see: neither the contents nor who may read them. An error changes nothing at all.
        unsafe {
            libc::madvise(start, whole, libc::MADV_HUGEPAGE);
            // Now, and not when the kernel comes round (Linux 6.1; before, it comes round).
            libc::madvise(start, whole, libc::MADV_COLLAPSE);
        }
    }
    whole
}

/// What x86 and most others call huge; where it is more, the kernel rounds.
const LARGE_PAGE: usize = 2 << 20;

/// Lets go of what others are about to let go of too, after them: to free a large config takes milliseconds, in which a worker
/// should answer.
pub async fn outlast<T: Send + Sync + 'static>(old: Vec<Arc<T>>) {
    for _ in 0..LOOKS {
        if !old.iter().any(is_held_by_others) {
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

/// Whether somebody else holds it.
pub fn is_held_by_others<T>(old: &Arc<T>) -> bool {
    Arc::strong_count(old) > 1
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

    #[test]
    fn what_lies_on_large_pages_is_what_it_was() {
        let octets: Vec<u8> = (0_u8..=255).cycle().take(3 * LARGE_PAGE).collect();
        let asked = enlarge_pages(&octets);
        assert!((2 * LARGE_PAGE..=3 * LARGE_PAGE).contains(&asked), "{asked}");
        assert!(octets.iter().zip((0_u8..=255).cycle()).all(|(octet, written)| *octet == written));
        assert_eq!(enlarge_pages(&octets[..1000]), 0);
    }

    #[tokio::test]
    async fn what_others_hold_is_freed_after_them() {
        let old = Arc::new(());
        let (watch, mut outlasting) = (Arc::downgrade(&old), Box::pin(outlast(vec![Arc::clone(&old)])));
        tokio::select! {
            () = &mut outlasting => panic!("somebody still holds it"),
            () = tokio::time::sleep(LOOK_EVERY * 3) => drop(old),
        }
        outlasting.await;
        assert!(watch.upgrade().is_none());
    }
}
