//! What one probe saw.

use std::time::Duration;

/// The result of one probe. A failed probe is data, not an error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Observation {
    /// All that was expected came.
    Pass {
        /// From the first packet to an established connection (with TLS, where the check speaks TLS).
        connect: Duration,
        /// The whole probe.
        total: Duration,
    },
    /// The target answered wrongly or not at all.
    Fail(FailReason),
    /// This node could not look: says nothing about the target and never counts.
    Inconclusive(Doubt),
}

/// What was wrong with the target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FailReason {
    /// No complete answer before the deadline.
    Timeout,
    /// The connection was refused.
    Refused,
    /// The connection was reset or closed in the middle.
    Reset,
    /// A router on the way says the host cannot be reached.
    Unreachable,
    /// The TLS handshake or the certificate; what the library says.
    Tls(Box<str>),
    /// An HTTP status that is not among the expected ones.
    Status(u16),
    /// Not the protocol that was expected; what the library says.
    Protocol(Box<str>),
}

/// Why this node could not look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// ENETUNREACH: this node has no route.
    NoRoute,
    /// EADDRNOTAVAIL: no local address or port left.
    NoAddress,
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM: out of descriptors or memory.
    NoResources,
    /// The prober itself ran late.
    Lag,
}
