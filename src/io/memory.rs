//! Lets the memory of a config go back to the system when another one takes its place.
//!
//! glibc's allocator keeps what is freed when it was small enough, and counts ever larger blocks as small: up to 32 MiB, once one
//! of that size was freed. Configs are few large blocks that come and go as a whole, so a few reloads of a large zone would hold several
//! times what is in use. Knows no config: it only sets what counts as large, for good.
#![allow(unsafe_code, reason = "mallopt has no safe form")]

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
}
