//! A hint to the processor: this memory will be read soon.
//!
//! No more than a hint: it changes no result, reads nothing and cannot fail. Where the processor knows no such hint, or we do
//! not know how to say it, it is nothing.
#![allow(unsafe_code, reason = "the intrinsic takes a raw pointer")]

/// Begins to fetch `items[at]` into the nearest cache; nothing when there is no such item.
#[inline]
pub fn prefetch<T>(items: &[T], at: usize) {
    if let Some(item) = items.get(at) {
        prefetch_one(item);
    }
}

/// Begins to fetch the line of the cache in which `item` begins.
#[inline]
pub fn prefetch_one<T>(item: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86_64 processor has the instruction, it loads nothing that the program could see, and the
        // pointer is that of a live reference anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = item;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_may_point_at_the_end_and_beyond() {
        let items = [1u64, 2, 3];
        for at in [0, 2, 3, usize::MAX] {
            prefetch(&items, at);
        }
        prefetch::<u8>(&[], 0);
        assert_eq!(items, [1, 2, 3]);
    }
}
