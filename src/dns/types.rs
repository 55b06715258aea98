//! The numbers of the protocol, with names.

use hickory_proto::rr::RecordType;
use std::fmt;

/// A record or query type (RFC 1035 section 3.2.2, IANA "DNS Parameters").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rtype(pub u16);

#[allow(missing_docs, reason = "the names are the documentation")]
impl Rtype {
    pub const A: Rtype = Rtype(1);
    pub const NS: Rtype = Rtype(2);
    pub const CNAME: Rtype = Rtype(5);
    pub const SOA: Rtype = Rtype(6);
    pub const PTR: Rtype = Rtype(12);
    pub const HINFO: Rtype = Rtype(13);
    pub const MX: Rtype = Rtype(15);
    pub const TXT: Rtype = Rtype(16);
    pub const AAAA: Rtype = Rtype(28);
    pub const SRV: Rtype = Rtype(33);
    pub const OPT: Rtype = Rtype(41);
    pub const DS: Rtype = Rtype(43);
    pub const IXFR: Rtype = Rtype(251);
    pub const AXFR: Rtype = Rtype(252);
    pub const ANY: Rtype = Rtype(255);
}

impl Rtype {
    /// The type of a name as zone files write it, `TYPE65` included (RFC 3597 section 5); case is ignored.
    pub fn parse(text: &str) -> Option<Rtype> {
        let upper = text.to_ascii_uppercase();
        if let Some(number) = upper.strip_prefix("TYPE") {
            return number.parse().ok().map(Rtype);
        }
        // By what a type is called, since hickory-proto parses fewer names than it prints (IXFR, DS).
        (1..=MNEMONIC_MAX).find(|&number| RecordType::from(number).to_string() == upper).map(Rtype)
    }

    /// Whether only questions and the protocol itself use it, never zone data (RFC 6895 section 3.1).
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RecordType::from(self.0) {
            RecordType::Unknown(number) => write!(f, "TYPE{number}"),
            known => write!(f, "{known}"),
        }
    }
}

/// Types with a name of their own are below this (IANA "DNS Parameters"), but for a few of no use to a zone.
const MNEMONIC_MAX: u16 = 262;

/// The class of the Internet (RFC 1035 section 3.2.4), the only one that is served.
pub const CLASS_IN: u16 = 1;

/// A response code; the high bits of extended ones travel in OPT (RFC 6895 section 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum Rcode {
    /// No error.
    NoError = 0,
    /// The query could not be read.
    FormErr = 1,
    /// The server failed.
    ServFail = 2,
    /// The name does not exist.
    NxDomain = 3,
    /// This kind of query is not served.
    NotImp = 4,
    /// Not for this client, or not our name.
    Refused = 5,
    /// An EDNS version that is not served.
    BadVers = 16,
}
