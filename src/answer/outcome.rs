//! Who asks, and what became of it.

use std::net::IpAddr;

/// How a query came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// UDP: answers are cut to what the client can take.
    Udp,
    /// TCP: up to 65,535 octets.
    Tcp,
    /// DNS over TLS (RFC 7858): as TCP.
    Tls,
}

/// Who asks, as far as the transport knows.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The address the query came from.
    pub source: IpAddr,
    /// How it came.
    pub transport: Transport,
}

/// What became of a query; what the counters count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// NOERROR with static data.
    Static,
    /// NOERROR with members that a policy chose.
    Steered,
    /// NOERROR without data (RFC 2308 section 2.2).
    NoData,
    /// A steered name with nothing left to answer: what `on_all_down` says.
    AllDown,
    /// NXDOMAIN.
    NameError,
    /// A referral to a delegated zone.
    Referral,
    /// REFUSED: not our name, or a question we do not take.
    Refused,
    /// FORMERR.
    FormatError,
    /// NOTIMP.
    NotImplemented,
    /// BADVERS (RFC 6891 section 6.1.3).
    BadVersion,
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Outcome; 10] = [
        Outcome::Static,
        Outcome::Steered,
        Outcome::NoData,
        Outcome::AllDown,
        Outcome::NameError,
        Outcome::Referral,
        Outcome::Refused,
        Outcome::FormatError,
        Outcome::NotImplemented,
        Outcome::BadVersion,
    ];
}

/// Why a packet gets no answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DropReason {
    /// Shorter than a header.
    Short,
    /// A response: answering it could start a loop.
    Response,
}

/// What the shell does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// Send the first `len` octets of `out`.
    Send {
        /// Octets written.
        len: usize,
        /// What the counters count.
        outcome: Outcome,
        /// Whether TC is set.
        truncated: bool,
    },
    /// Send nothing.
    Drop(DropReason),
}
