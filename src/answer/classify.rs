//! Which queries are look-ups, and what the others get.

use super::{Disposition, DropReason, Outcome, Verdict, announced};
use crate::dns::{CLASS_IN, HEADER_LEN, Query, QueryError, Rcode, ResponseWriter, Rtype};

/// The answer to a packet that is no readable query: a bare header, or nothing at all.
pub(super) fn unreadable(error: QueryError, packet: &[u8], out: &mut [u8]) -> Disposition {
    let (rcode, outcome) = match error {
        QueryError::Short => return Disposition::Drop(DropReason::Short),
        QueryError::Response => return Disposition::Drop(DropReason::Response),
        QueryError::NotAQuery => (Rcode::NotImp, Outcome::NotImplemented),
        QueryError::QuestionCountNotOne
        | QueryError::BadName
        | QueryError::BadRecord
        | QueryError::SecondOpt
        | QueryError::OptOwnerNotRoot => (Rcode::FormErr, Outcome::FormatError),
    };
    let response = ResponseWriter::new(&packet[..HEADER_LEN], &[], None, HEADER_LEN, announced(), out);
    Disposition::Send { len: response.finish(rcode), outcome, truncated: false }
}

/// The RCODE for a readable query that is no look-up in our zones.
pub(super) fn refusal(query: &Query) -> Option<Verdict> {
    // RFC 6891 section 6.1.3: a version that we do not speak comes before everything else.
    if query.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Some((Rcode::BadVers, Outcome::BadVersion));
    }
    if query.edns.as_ref().is_some_and(|edns| edns.fault.is_some()) {
        return Some((Rcode::FormErr, Outcome::FormatError));
    }
    if query.qclass != CLASS_IN {
        return Some((Rcode::Refused, Outcome::Refused));
    }
    match query.qtype {
        Rtype::ANY => None,
        // Zone transfers are not served.
        Rtype::AXFR | Rtype::IXFR => Some((Rcode::Refused, Outcome::Refused)),
        qtype if qtype.is_meta() => Some((Rcode::NotImp, Outcome::NotImplemented)),
        _ => None,
    }
}
