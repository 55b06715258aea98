//! What one probe saw.

use std::fmt;
use std::time::Duration;

/// The result of one probe. A failed probe is data, not an error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Observation {
    /// All that was expected came.
    Pass {
        /// From the first packet to an established TCP connection, or to an echo. Zero when the check connects nowhere: then it
        /// says nothing about the way to the target.
        connect: Duration,
        /// The whole probe.
        total: Duration,
    },
    /// The target answered wrongly or not at all.
    Fail(FailReason),
    /// This node could not look: says nothing about the target and never counts.
    Inconclusive(Doubt),
}

impl Observation {
    /// A short word for metrics: `pass`, or that of the reason. One of a small, fixed set.
    pub const fn code(&self) -> &'static str {
        match self {
            Observation::Pass { .. } => "pass",
            Observation::Fail(reason) => reason.code(),
            Observation::Inconclusive(doubt) => doubt.code(),
        }
    }
}

/// What an observation says about this node's own sight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    /// Something came back from out there, be it a refusal: the node sees.
    Seen,
    /// Nothing came back: the target is dead, or the node is blind.
    Dark,
    /// The node could not even look.
    Local(Doubt),
    /// It came from elsewhere than over the way to the target: an agent's report, a feed, a program, or a file of this node that
    /// cannot be read. Nothing follows from it for what the node sees.
    Elsewhere,
    /// The same, and it speaks against the target. A program cannot reach what a blind node cannot, and an agent's report is lost on the
    /// same way: it is worth as much as silence.
    Hearsay,
}

impl Observation {
    /// What it says about this node's own sight. A router's word that a host cannot be reached is none of the host.
    pub const fn sight(&self) -> Sight {
        match self {
            Observation::Pass { connect, .. } if connect.is_zero() => Sight::Elsewhere,
            Observation::Pass { .. } => Sight::Seen,
            Observation::Fail(reason) => reason.sight(),
            Observation::Inconclusive(doubt) => doubt.sight(),
        }
    }

    /// Whether the probe ended because its time did: be it that the target was slow, or that this process slept.
    pub const fn is_out_of_time(&self) -> bool {
        matches!(self, Observation::Fail(FailReason::Timeout | FailReason::Stalled(_) | FailReason::Unfinished))
    }

    /// Whether the target's machine said at once that nobody listens, or hung up.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Observation::Fail(FailReason::Refused | FailReason::Reset))
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Observation::Pass { connect, total } if connect.is_zero() => write!(f, "passed in {total:.1?}"),
            Observation::Pass { connect, total } => write!(f, "passed in {total:.1?} (connected in {connect:.1?})"),
            Observation::Fail(reason) => write!(f, "failed: {reason}"),
            Observation::Inconclusive(doubt) => write!(f, "inconclusive: {doubt}"),
        }
    }
}

/// What was wrong with the target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FailReason {
    /// Nothing came back before the deadline.
    Timeout,
    /// It was connected to, and the deadline came before all of the answer did; what was waited for.
    Stalled(Box<str>),
    /// The program of the check did not end before the deadline.
    Unfinished,
    /// The connection was refused.
    Refused,
    /// The connection was reset or closed in the middle.
    Reset,
    /// A router or a firewall on the way says that the host cannot be reached.
    Unreachable,
    /// The TLS handshake or the certificate; what the library says.
    Tls(Box<str>),
    /// An HTTP status that is not among the expected ones.
    Status(u16),
    /// Not the protocol that was expected; what the library says.
    Protocol(Box<str>),
    /// The protocol, but not what it was expected to say.
    Content(Box<str>),
    /// Somebody who knows says that it is down: its agent, a feed, a program; in their words, which may be empty.
    Reported(Box<str>),
    /// Its agent has not been heard for this long.
    Silent(Duration),
}

impl FailReason {
    const fn sight(&self) -> Sight {
        match self {
            FailReason::Timeout | FailReason::Unreachable => Sight::Dark,
            FailReason::Stalled(_)
            | FailReason::Refused
            | FailReason::Reset
            | FailReason::Tls(_)
            | FailReason::Status(_)
            | FailReason::Protocol(_)
            | FailReason::Content(_) => Sight::Seen,
            FailReason::Unfinished | FailReason::Reported(_) | FailReason::Silent(_) => Sight::Hearsay,
        }
    }

    /// A short word for metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            FailReason::Timeout => "timeout",
            FailReason::Stalled(_) => "stalled",
            FailReason::Unfinished => "unfinished",
            FailReason::Refused => "refused",
            FailReason::Reset => "reset",
            FailReason::Unreachable => "unreachable",
            FailReason::Tls(_) => "tls",
            FailReason::Status(_) => "status",
            FailReason::Protocol(_) => "protocol",
            FailReason::Content(_) => "content",
            FailReason::Reported(_) => "reported",
            FailReason::Silent(_) => "silent",
        }
    }
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailReason::Timeout => f.write_str("timed out"),
            FailReason::Stalled(what) => write!(f, "timed out: {what}"),
            FailReason::Unfinished => f.write_str("timed out: the program did not end"),
            FailReason::Refused => f.write_str("connection refused"),
            FailReason::Reset => f.write_str("connection closed before the answer was complete"),
            FailReason::Unreachable => f.write_str("host unreachable"),
            FailReason::Tls(what) => write!(f, "TLS: {what}"),
            FailReason::Status(status) => write!(f, "HTTP {status}"),
            FailReason::Protocol(what) => write!(f, "not the expected protocol: {what}"),
            FailReason::Content(what) => write!(f, "unexpected content: {what}"),
            FailReason::Reported(why) if why.is_empty() => f.write_str("reported down"),
            FailReason::Reported(why) => write!(f, "reported down: {why}"),
            FailReason::Silent(span) => write!(f, "no report for {span:?}"),
        }
    }
}

/// Why this node could not look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// This very machine refuses to send: it has no route (ENETUNREACH), not that family (EAFNOSUPPORT), a rule against it (EPERM).
    NoRoute,
    /// EADDRNOTAVAIL, EADDRINUSE: no local address or port left.
    NoAddress,
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM: out of descriptors or memory.
    NoResources,
    /// This node has no root certificates to verify anybody's with.
    NoRoots,
    /// The check cannot be put into a request: its host or path is not part of any URL.
    Unaskable,
    /// The prober itself ran late.
    Lag,
    /// This system does not let the prober send what the check wants: echo requests.
    NotPermitted,
    /// The program of the check cannot be run, or was killed.
    NoProgram,
    /// So many programs of checks run that there was no turn for this one.
    Crowded,
    /// A certificate, a key or a feed that the check names cannot be read.
    Unreadable,
    /// Nobody has said anything of the member, or nothing recent.
    NoReport,
    /// The program of the check says that it cannot tell.
    Undecided,
}

impl Doubt {
    const fn sight(self) -> Sight {
        match self {
            Doubt::NoRoute | Doubt::NoAddress | Doubt::NoResources | Doubt::NoRoots | Doubt::Unaskable | Doubt::Lag => Sight::Local(self),
            Doubt::NotPermitted | Doubt::NoProgram | Doubt::Crowded | Doubt::Unreadable | Doubt::NoReport | Doubt::Undecided => {
                Sight::Elsewhere
            }
        }
    }

    /// A short word for metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Doubt::NoRoute => "no_route",
            Doubt::NoAddress => "no_address",
            Doubt::NoResources => "no_resources",
            Doubt::NoRoots => "no_roots",
            Doubt::Unaskable => "unaskable",
            Doubt::Lag => "lag",
            Doubt::NotPermitted => "not_permitted",
            Doubt::NoProgram => "no_program",
            Doubt::Crowded => "crowded",
            Doubt::Unreadable => "unreadable",
            Doubt::NoReport => "no_report",
            Doubt::Undecided => "undecided",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::NoRoute => "this node has no route to it",
            Doubt::NoAddress => "this node has no local address or port left",
            Doubt::NoResources => "this node is out of descriptors or memory",
            Doubt::NoRoots => "this node has no root certificates to verify with",
            Doubt::Unaskable => "the host or path of the check fits in no URL",
            Doubt::Lag => "the prober ran late",
            Doubt::NotPermitted => {
                "this system does not let the prober ping: its group must be in net.ipv4.ping_group_range, or it needs CAP_NET_RAW"
            }
            Doubt::NoProgram => "the program of the check cannot be run, or was killed",
            Doubt::Crowded => "too many programs of checks run already",
            Doubt::Unreadable => "a file that the check names cannot be read",
            Doubt::NoReport => "nobody has said anything of it lately",
            Doubt::Undecided => "the program of the check could not tell",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_reads_like_a_sentence() {
        let pass = Observation::Pass { connect: Duration::from_micros(4_130), total: Duration::from_micros(12_340) };
        assert_eq!(pass.to_string(), "passed in 12.3ms (connected in 4.1ms)");
        let told = Observation::Pass { connect: Duration::ZERO, total: Duration::from_micros(12_340) };
        assert_eq!(told.to_string(), "passed in 12.3ms");
        assert_eq!(Observation::Fail(FailReason::Status(503)).to_string(), "failed: HTTP 503");
        assert_eq!(Observation::Fail(FailReason::Refused).to_string(), "failed: connection refused");
        assert_eq!(Observation::Inconclusive(Doubt::Lag).to_string(), "inconclusive: the prober ran late");
    }

    #[test]
    fn what_came_back_from_the_target_is_sight_and_what_should_have_is_darkness() {
        let pass = Observation::Pass { connect: Duration::from_micros(1), total: Duration::from_millis(1) };
        assert_eq!(pass.sight(), Sight::Seen);
        let stalled = FailReason::Stalled("nothing was answered".into());
        for reason in [stalled, FailReason::Refused, FailReason::Reset, FailReason::Status(503), FailReason::Content("x".into())] {
            assert_eq!(Observation::Fail(reason).sight(), Sight::Seen);
        }
        for reason in [FailReason::Timeout, FailReason::Unreachable] {
            assert_eq!(Observation::Fail(reason).sight(), Sight::Dark);
        }
        for doubt in [Doubt::NoRoute, Doubt::NoAddress, Doubt::NoResources, Doubt::Lag] {
            assert_eq!(Observation::Inconclusive(doubt).sight(), Sight::Local(doubt));
        }
    }

    #[test]
    fn what_others_say_of_a_target_is_neither_sight_nor_darkness_of_this_node_and_hearsay_where_it_is_bad() {
        let told = Observation::Pass { connect: Duration::ZERO, total: Duration::from_millis(1) };
        assert_eq!(told.sight(), Sight::Elsewhere);
        for reason in [FailReason::Unfinished, FailReason::Reported("disk".into()), FailReason::Silent(Duration::from_secs(30))] {
            assert_eq!(Observation::Fail(reason).sight(), Sight::Hearsay);
        }
        for doubt in [Doubt::NotPermitted, Doubt::NoProgram, Doubt::Crowded, Doubt::Unreadable, Doubt::NoReport, Doubt::Undecided] {
            assert_eq!(Observation::Inconclusive(doubt).sight(), Sight::Elsewhere);
        }
    }

    #[test]
    fn no_two_reasons_share_a_metric_label_and_all_are_documented() {
        let observations = [
            Observation::Pass { connect: Duration::ZERO, total: Duration::ZERO },
            Observation::Fail(FailReason::Timeout),
            Observation::Fail(FailReason::Stalled("x".into())),
            Observation::Fail(FailReason::Unfinished),
            Observation::Fail(FailReason::Refused),
            Observation::Fail(FailReason::Reset),
            Observation::Fail(FailReason::Unreachable),
            Observation::Fail(FailReason::Tls("x".into())),
            Observation::Fail(FailReason::Status(500)),
            Observation::Fail(FailReason::Protocol("x".into())),
            Observation::Fail(FailReason::Content("x".into())),
            Observation::Fail(FailReason::Reported("x".into())),
            Observation::Fail(FailReason::Silent(Duration::ZERO)),
            Observation::Inconclusive(Doubt::NoRoute),
            Observation::Inconclusive(Doubt::NoAddress),
            Observation::Inconclusive(Doubt::NoResources),
            Observation::Inconclusive(Doubt::NoRoots),
            Observation::Inconclusive(Doubt::Unaskable),
            Observation::Inconclusive(Doubt::Lag),
            Observation::Inconclusive(Doubt::NotPermitted),
            Observation::Inconclusive(Doubt::NoProgram),
            Observation::Inconclusive(Doubt::Crowded),
            Observation::Inconclusive(Doubt::Unreadable),
            Observation::Inconclusive(Doubt::NoReport),
            Observation::Inconclusive(Doubt::Undecided),
        ];
        let codes: std::collections::BTreeSet<_> = observations.iter().map(Observation::code).collect();
        assert_eq!(codes.len(), observations.len());
        let page = include_str!("../../docs/METRICS.md");
        let row = page.lines().find(|line| line.starts_with("| `steersman_probes_total`")).expect("a row");
        let words: Vec<&str> = row.split([' ', ',', ';']).collect();
        assert!(codes.iter().all(|code| words.contains(code)), "docs/METRICS.md lacks one of {codes:?}");
    }
}
