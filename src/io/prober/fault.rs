//! What an error of the libraries below says: about the target, or about this machine.
//!
//! The HTTP library wraps errors several layers deep, so that the whole chain of causes is searched for something that can
//! be told apart by type. Text is only ever passed on, never compared.

use crate::check::feed::harmless;
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

/// Of a call that waits for the target: what came back over the socket.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        classify(&error)
    }
}

impl Fault {
    /// Of a call that this machine answers by itself: it opens, binds or routes. That says nothing about the target, whatever it is.
    #[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
    pub fn local(error: io::Error) -> Fault {
        of_this_node(&error).into()
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
    match error {
        // In our own words.
        rustls::Error::General(text) => FailReason::Tls(brief(text)).into(),
        _ => FailReason::Tls(brief(&error.to_string())).into(),
    }
}

/// What came back; none for an error that some library made up.
fn of_io(error: &io::Error) -> Option<Fault> {
    let reason = match (error.kind(), error.raw_os_error()) {
        (ErrorKind::ConnectionRefused, _) => FailReason::Refused,
        (
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof,
            _,
        ) => FailReason::Reset,
        (ErrorKind::TimedOut, _) => FailReason::Timeout,
        // What the kernel makes of the ICMP messages of routers and firewalls on the way.
        (ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::PermissionDenied, _)
        | (_, Some(libc::EHOSTDOWN | libc::ENONET | libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::EPROTO)) => FailReason::Unreachable,
        // What nobody out there can have caused.
        (_, Some(_)) => return Some(of_this_node(error).into()),
        (_, None) => return None,
    };
    Some(reason.into())
}

/// What of this machine is in the way.
fn of_this_node(error: &io::Error) -> Doubt {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN) => Doubt::NoResources,
        Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE) => Doubt::NoAddress,
        // ENETUNREACH, EAFNOSUPPORT, EINVAL of a loopback source, EACCES of a rule: from here there is no way to it.
        Some(_) | None => Doubt::NoRoute,
    }
}

fn of_http(error: &hyper::Error) -> Option<Fault> {
    // What is canceled for a reason is told by that.
    let gone = error.is_canceled() && error.source().is_none();
    let closed_early = error.is_incomplete_message() || gone || error.is_closed();
    closed_early.then(|| FailReason::Reset.into())
}

/// The beginning of what a library says. A certificate for a thousand names would otherwise fill the log, and one for a name that no
/// host has would paint the terminal.
fn brief(text: &str) -> Box<str> {
    text.chars().map(harmless).take(TEXT_CHARS_MAX).collect()
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
    fn what_this_machine_answers_by_itself_is_a_doubt() {
        let of_local = |errno| Fault::local(io::Error::from_raw_os_error(errno));
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EAGAIN] {
            assert_eq!(of_local(errno), Doubt::NoResources.into());
        }
        for errno in [libc::EADDRNOTAVAIL, libc::EADDRINUSE] {
            assert_eq!(of_local(errno), Doubt::NoAddress.into());
        }
        for errno in [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::ENETDOWN, libc::EACCES, libc::EPERM, libc::EAFNOSUPPORT, libc::EINVAL] {
            assert_eq!(of_local(errno), Doubt::NoRoute.into());
        }
    }

    #[test]
    fn what_came_back_over_the_socket_is_a_failure() {
        assert_eq!(of_errno(libc::ECONNREFUSED), FailReason::Refused.into());
        assert_eq!(of_errno(libc::ECONNRESET), FailReason::Reset.into());
        assert_eq!(of_errno(libc::EPIPE), FailReason::Reset.into());
        assert_eq!(of_errno(libc::ENOTCONN), FailReason::Reset.into());
        assert_eq!(of_errno(libc::ETIMEDOUT), FailReason::Timeout.into());
        for errno in [libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EACCES, libc::EPERM, libc::EHOSTDOWN, libc::ENOPROTOOPT, libc::EPROTO] {
            assert_eq!(of_errno(errno), FailReason::Unreachable.into());
        }
    }

    #[test]
    fn an_error_that_nobody_out_there_can_have_caused_is_a_doubt_wherever_it_shows() {
        assert_eq!(of_errno(libc::EMFILE), Doubt::NoResources.into());
        assert_eq!(of_errno(libc::EADDRINUSE), Doubt::NoAddress.into());
        assert_eq!((of_errno(libc::EAFNOSUPPORT), of_errno(libc::EINVAL)), (Doubt::NoRoute.into(), Doubt::NoRoute.into()));
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

    #[test]
    fn what_a_stranger_says_paints_nothing() {
        assert_eq!(&*brief("SAN evil\u{1b}[31mRED.example\n"), "SAN evil [31mRED.example ");
    }
}
