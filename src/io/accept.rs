//! What a failed `accept` means: whether the next call may succeed at once, or something has run out.
//!
//! Shared by the workers of TCP and of DNS over TLS. Knows no socket.

use std::io;
use std::time::Duration;

/// How long to wait after a failed accept. A worker never ends at one, and never spins.
///
/// accept(2) reports errors of the one connection that it would have returned; the next may be healthy. All others mean
/// that something ran out (descriptors, memory), and then the connection stays in the queue and the call would fail at once again.
pub fn pause_after(error: &io::Error) -> Duration {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => Duration::ZERO,
        _ if error.raw_os_error() == Some(libc::EPROTO) => Duration::ZERO,
        _ => SHORTAGE_PAUSE,
    }
}

/// Long enough for something to be freed, short enough for a client not to notice.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aborted_connection_delays_nobody_and_a_shortage_does_not_spin() {
        let pause = |code| pause_after(&io::Error::from_raw_os_error(code));
        for code in [libc::ECONNABORTED, libc::EINTR, libc::EPROTO, libc::ENETDOWN, libc::EHOSTUNREACH] {
            assert_eq!(pause(code), Duration::ZERO, "{code}");
        }
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EINVAL] {
            assert_eq!(pause(code), SHORTAGE_PAUSE, "{code}");
        }
    }
}
