//! The zone file: a zone's own settings and its records, as written.
//!
//! Text stays text here: record data is read by the compiler of zones, which knows the types.

use crate::diagnostic::{Span, Spanned};
use crate::dns::Name;
use std::time::Duration;

/// A zone, as its file says it.
#[derive(Clone, Debug)]
pub struct ZoneSection {
    /// The name of the zone.
    pub origin: Spanned<Name>,
    /// The TTL of static data that says nothing else.
    pub ttl: Duration,
    /// The start of authority.
    pub soa: SoaSection,
    /// The names that hold something, in file order. The same owner may come twice when it was written in two ways.
    pub owners: Vec<OwnerSection>,
}

/// The fields of the SOA record (RFC 1035 section 3.3.13).
#[derive(Clone, Debug)]
pub struct SoaSection {
    /// The whole section.
    pub span: Span,
    /// The primary server, relative to the origin.
    pub mname: Spanned<String>,
    /// The mailbox of the person in charge, as a name relative to the origin.
    pub rname: Spanned<String>,
    /// The serial, where one is written; the compiler makes one otherwise.
    pub serial: Option<u32>,
    /// How often secondaries ask.
    pub refresh: Duration,
    /// How soon they ask again after a failure.
    pub retry: Duration,
    /// When they stop answering without having heard from us.
    pub expire: Duration,
    /// How long NXDOMAIN and NODATA may be cached (RFC 2308 section 4).
    pub minimum: Duration,
}

/// What one name holds.
#[derive(Clone, Debug)]
pub struct OwnerSection {
    /// Relative to the origin unless it ends in a dot: `www`, `@`, `*.app`.
    pub owner: Spanned<String>,
    /// The TTL of its static data, where it differs from the zone's.
    pub ttl: Option<Duration>,
    /// The policy or pool that decides its addresses.
    pub steer: Option<Spanned<String>>,
    /// Its static data.
    pub sets: Vec<SetSection>,
}

/// The records of one type at one name; never empty.
#[derive(Clone, Debug)]
pub struct SetSection {
    /// The type, as written: `A`, `MX`.
    pub rtype: Spanned<String>,
    /// One record each, in master file text (RFC 1035 section 5.1) without owner, TTL, class and type.
    pub values: Vec<Spanned<String>>,
}
