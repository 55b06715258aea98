//! A query as it comes off the wire.

use super::edns::Edns;
use super::{FoldedName, Rtype};
use crate::prefix::Prefix;

/// The length of a message's header (RFC 1035 section 4.1.1).
pub const HEADER_LEN: usize = 12;

/// QR: this is a response.
const FLAG_RESPONSE: u16 = 0x8000;
/// The four bits of the opcode.
const OPCODE_MASK: u16 = 0x7800;

/// One question, read; its name is where the caller wanted it.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Octets of the question section.
    question_len: usize,
    /// The type asked for.
    pub qtype: Rtype,
    /// The class asked for.
    pub qclass: u16,
    /// What OPT says, where there is one.
    pub edns: Option<Edns>,
}

/// Which rule a packet broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueryError {
    /// Shorter than a header: there is nothing to answer.
    Short,
    /// A response: answering it could start a loop.
    Response,
    /// An opcode other than QUERY.
    NotAQuery,
    /// Not exactly one question (RFC 9619).
    QuestionCountNotOne,
    /// The name asked for is cut off, compressed or too long.
    BadName,
    /// A record is cut off, or octets are left over.
    BadRecord,
    /// More than one OPT record (RFC 6891 section 6.1.1).
    SecondOpt,
    /// The OPT record's owner is not the root (RFC 6891 section 6.1.2).
    OptOwnerNotRoot,
}

impl Query {
    /// Reads a query; its name goes, folded, into `name`.
    ///
    /// # Errors
    /// Which rule was broken; [`QueryError::Short`] and [`QueryError::Response`] must not be answered at all.
    pub fn read(packet: &[u8], name: &mut FoldedName) -> Result<Query, QueryError> {
        let (header, body) = packet.split_at_checked(HEADER_LEN).ok_or(QueryError::Short)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if word(2) & FLAG_RESPONSE != 0 {
            return Err(QueryError::Response);
        }
        if word(2) & OPCODE_MASK != 0 {
            return Err(QueryError::NotAQuery);
        }
        if word(4) != 1 {
            return Err(QueryError::QuestionCountNotOne);
        }
        let name_len = name.read(body).ok_or(QueryError::BadName)?;
        let (question, mut rest) = body.split_at_checked(name_len + 4).ok_or(QueryError::BadRecord)?;
        let tail = &question[name_len..];
        let mut query = Query {
            question_len: question.len(),
            qtype: Rtype(u16::from_be_bytes([tail[0], tail[1]])),
            qclass: u16::from_be_bytes([tail[2], tail[3]]),
            edns: None,
        };
        // Answers and authority have no meaning in a QUERY, but their octets come before the additional section.
        for _ in 0..u32::from(word(6)) + u32::from(word(8)) {
            rest = Record::read(rest).ok_or(QueryError::BadRecord)?.1;
        }
        for _ in 0..word(10) {
            let (record, after) = Record::read(rest).ok_or(QueryError::BadRecord)?;
            rest = after;
            if record.rtype == Rtype::OPT {
                query.take_opt(&record)?;
            }
        }
        if rest.is_empty() { Ok(query) } else { Err(QueryError::BadRecord) }
    }

    /// The question section as it came in `packet`, to be echoed with the client's own mix of cases.
    pub fn question<'p>(&self, packet: &'p [u8]) -> &'p [u8] {
        &packet[HEADER_LEN..][..self.question_len]
    }

    /// The network that the client says it is in (RFC 7871).
    pub fn subnet(&self) -> Option<Prefix> {
        self.edns.as_ref()?.subnet.as_ref()?.prefix
    }

    fn take_opt(&mut self, record: &Record<'_>) -> Result<(), QueryError> {
        if self.edns.is_some() {
            return Err(QueryError::SecondOpt);
        }
        if !record.owner_is_root {
            return Err(QueryError::OptOwnerNotRoot);
        }
        self.edns = Some(Edns::read(record.class, record.ttl, record.data));
        Ok(())
    }
}

/// A record of a query; only OPT is ever looked into.
struct Record<'q> {
    owner_is_root: bool,
    rtype: Rtype,
    class: u16,
    ttl: u32,
    data: &'q [u8],
}

impl<'q> Record<'q> {
    fn read(bytes: &'q [u8]) -> Option<(Record<'q>, &'q [u8])> {
        let owner_len = owner_len(bytes)?;
        let (fixed, rest) = bytes.get(owner_len..)?.split_first_chunk::<10>()?;
        let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))?;
        let record = Record {
            owner_is_root: owner_len == 1,
            rtype: Rtype(u16::from_be_bytes([fixed[0], fixed[1]])),
            class: u16::from_be_bytes([fixed[2], fixed[3]]),
            ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            data,
        };
        Some((record, rest))
    }
}

/// The octets an owner name takes here; a pointer ends it and is not followed.
fn owner_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(len),
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0xab, 0xcd];
        packet.extend(flags.to_be_bytes());
        packet.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        packet.extend(body);
        packet
    }

    fn read(packet: &[u8]) -> Result<(Rtype, Option<u16>), QueryError> {
        Query::read(packet, &mut FoldedName::new()).map(|query| (query.qtype, query.edns.map(|edns| edns.payload)))
    }

    const QUESTION: &[u8] = b"\x01a\x00\x00\x01\x00\x01";
    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";

    #[test]
    fn a_plain_query_and_one_with_edns_are_read() {
        assert_eq!(read(&packet(0x0100, [1, 0, 0, 0], QUESTION)), Ok((Rtype::A, None)));
        assert_eq!(read(&packet(0, [1, 0, 0, 1], &[QUESTION, OPT].concat())), Ok((Rtype::A, Some(1232))));
    }

    #[test]
    fn every_broken_rule_is_named() {
        let with_opt = [QUESTION, OPT].concat();
        assert_eq!(read(&[0; 11]), Err(QueryError::Short));
        assert_eq!(read(&packet(0x8000, [1, 0, 0, 0], QUESTION)), Err(QueryError::Response));
        assert_eq!(read(&packet(0x2000, [1, 0, 0, 0], QUESTION)), Err(QueryError::NotAQuery));
        assert_eq!(read(&packet(0, [0, 0, 0, 0], b"")), Err(QueryError::QuestionCountNotOne));
        assert_eq!(read(&packet(0, [2, 0, 0, 0], &QUESTION.repeat(2))), Err(QueryError::QuestionCountNotOne));
        assert_eq!(read(&packet(0, [1, 0, 0, 0], b"\xc0\x0c\x00\x01\x00\x01")), Err(QueryError::BadName));
        assert_eq!(read(&packet(0, [1, 0, 0, 0], &QUESTION[..6])), Err(QueryError::BadRecord));
        assert_eq!(read(&packet(0, [1, 0, 0, 0], &with_opt)), Err(QueryError::BadRecord), "octets are left over");
        assert_eq!(read(&packet(0, [1, 0, 0, 1], QUESTION)), Err(QueryError::BadRecord));
        assert_eq!(read(&packet(0, [1, 0, 0, 2], &[QUESTION, OPT, OPT].concat())), Err(QueryError::SecondOpt));
        let owned = [QUESTION, b"\x01a", OPT].concat();
        assert_eq!(read(&packet(0, [1, 0, 0, 1], &owned)), Err(QueryError::OptOwnerNotRoot));
    }
}
