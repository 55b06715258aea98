//! Takes chance away from the standard library, so that counts repeat.
//!
//! Hash maps are seeded by the system, and where their entries fall moves every later allocation. The standard library asks
//! the C library for the seed; the function here is found first, and is no more random than a die that fell once.

/// What `getrandom(2)` would do, but always the same octet. Never fails.
///
/// # Safety
/// As for the function of the C library: `buffer` must have room for `len` octets.
#[allow(unsafe_code, reason = "a function of the C library cannot be replaced otherwise; this is a bench")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, len: usize, _flags: u32) -> isize {
    // SAFETY: the caller promises the room.
    unsafe { buffer.write_bytes(0x5e, len) };
    isize::try_from(len).expect("no object is larger")
}
