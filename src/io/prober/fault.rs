//! What an error of the libraries below says: about the target, or about this machine.
//!
//! The HTTP library wraps errors several layers deep, so that the whole chain of causes is searched for something that can
//! be told apart by type. Text is only ever passed on, never compared.

use crate::health::{Doubt, FailReason, Observation};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter;

/// Why a probe did not pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is the target's.
    OfTarget(FailReason),
    /// It is ours.
    OfThisNode(Doubt),
}

impl From<Fault> for Observation {
    fn from(fault: Fault) -> Observation {
        match fault {
            Fault::OfTarget(reason) => Observation::Fail(reason),
            Fault::OfThisNode(doubt) => Observation::Inconclusive(doubt),
        }
    }
}

impl From<FailReason> for Fault {
    fn from(reason: FailReason) -> Fault {
        Fault::OfTarget(reason)
    }
}

impl From<Doubt> for Fault {
    fn from(doubt: Doubt) -> Fault {
        Fault::OfThisNode(doubt)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        classify(&error)
    }
}

impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Fault {
        classify(&error)
    }
}

/// Finds the first cause that can be told apart; TLS first, since TLS faults travel inside I/O errors.
fn classify(error: &(dyn Error + 'static)) -> Fault {
    let tls = || causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()).map(of_tls);
    let io = || causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).find_map(of_io);
    let http = || causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).find_map(of_http);
    let text = || FailReason::Protocol(brief(&causes(error).last().unwrap_or(error).to_string())).into();
    tls().or_else(io).or_else(http).unwrap_or_else(text)
}

/// The error and everything behind it, outermost first.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        // An I/O error that wraps another names as its source what is behind that other, not the other itself.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

fn of_tls(error: &rustls::Error) -> Fault {
    FailReason::Tls(brief(&error.to_string())).into()
}

fn of_io(error: &io::Error) -> Option<Fault> {
    // Of these some have no `ErrorKind` of their own.
    if let Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) = error.raw_os_error() {
        return Some(Doubt::NoResources.into());
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(FailReason::Refused.into()),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            Some(FailReason::Reset.into())
        }
        ErrorKind::TimedOut => Some(FailReason::Timeout.into()),
        ErrorKind::HostUnreachable => Some(FailReason::Unreachable.into()),
        ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown | ErrorKind::PermissionDenied => Some(Doubt::NoRoute.into()),
        ErrorKind::AddrNotAvailable => Some(Doubt::NoAddress.into()),
        // Kinds are the standard library's, and grow; what we do not know says nothing by itself.
        _ => None,
    }
}

fn of_http(error: &hyper::Error) -> Option<Fault> {
    let closed_early = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
    closed_early.then(|| FailReason::Reset.into())
}

/// The beginning of what a library says. A certificate for a thousand names would otherwise fill the log.
fn brief(text: &str) -> Box<str> {
    let end = text.char_indices().nth(TEXT_CHARS_MAX).map_or(text.len(), |(index, _)| index);
    text[..end].into()
}

/// Enough for any sentence of rustls and a few certificate names.
const TEXT_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn of_errno(errno: i32) -> Fault {
        io::Error::from_raw_os_error(errno).into()
    }

    #[test]
    fn what_only_this_machine_can_cause_is_a_doubt() {
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(of_errno(errno), Doubt::NoResources.into());
        }
        for errno in [libc::ENETUNREACH, libc::ENETDOWN, libc::EACCES, libc::EPERM] {
            assert_eq!(of_errno(errno), Doubt::NoRoute.into());
        }
        assert_eq!(of_errno(libc::EADDRNOTAVAIL), Doubt::NoAddress.into());
    }

    #[test]
    fn what_the_target_or_the_way_to_it_causes_is_a_failure() {
        assert_eq!(of_errno(libc::ECONNREFUSED), FailReason::Refused.into());
        assert_eq!(of_errno(libc::ECONNRESET), FailReason::Reset.into());
        assert_eq!(of_errno(libc::EPIPE), FailReason::Reset.into());
        assert_eq!(of_errno(libc::ETIMEDOUT), FailReason::Timeout.into());
        assert_eq!(of_errno(libc::EHOSTUNREACH), FailReason::Unreachable.into());
    }

    #[test]
    fn a_cause_is_found_however_deep_it_is_wrapped() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let wrapped = io::Error::other(io::Error::other(refused));
        assert_eq!(Fault::from(wrapped), FailReason::Refused.into());
        let tls = io::Error::new(ErrorKind::UnexpectedEof, rustls::Error::HandshakeNotComplete);
        assert!(matches!(Fault::from(tls), Fault::OfTarget(FailReason::Tls(_))));
    }

    #[test]
    fn what_cannot_be_told_apart_is_passed_on_as_the_innermost_text() {
        let strange = io::Error::other(io::Error::other("a strange thing"));
        assert_eq!(Fault::from(strange), FailReason::Protocol("a strange thing".into()).into());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(brief(&"ä".repeat(TEXT_CHARS_MAX)).chars().count(), TEXT_CHARS_MAX);
        assert_eq!(brief(&"ä".repeat(TEXT_CHARS_MAX + 1)).chars().count(), TEXT_CHARS_MAX);
    }
}
