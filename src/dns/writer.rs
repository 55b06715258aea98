//! Writes a response, section by section, never past a limit.

use super::edns::{ClientSubnet, Edns, OPTION_SUBNET};
use super::query::HEADER_LEN;
use super::records::{Anchor, Anchors, Records};
use super::types::{CLASS_IN, Rcode, Rtype};
use std::net::IpAddr;

/// QR.
const RESPONSE: u16 = 0x8000;
/// The opcode and RD of the query are handed back (RFC 1035 section 4.1.1).
const ECHOED: u16 = 0x7900;
/// AA.
const AUTHORITATIVE: u16 = 0x0400;
/// TC.
const TRUNCATED: u16 = 0x0200;

/// A section that records go into; they must be written in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// A referral, or the SOA of a negative answer.
    Authority,
    /// Addresses that save the client a question.
    Additional,
}

/// The records did not fit; nothing of them was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// What the OPT record of the response says, decided before the first record is written, so that room is kept for it.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// The DO bit, handed back (RFC 3225 section 3).
    pub dnssec_ok: bool,
    /// The client's subnet option, handed back with a scope.
    pub subnet: Option<ClientSubnet>,
}

impl Opt {
    /// The answer to a query's OPT.
    pub fn answering(edns: &Edns) -> Opt {
        Opt { dnssec_ok: edns.dnssec_ok, subnet: edns.subnet }
    }

    fn len(&self) -> usize {
        // Root owner, type, payload, extended RCODE and flags, RDLENGTH; then the option's code and length.
        11 + self.subnet.as_ref().map_or(0, |subnet| 4 + subnet.data().len())
    }
}

/// A response under way in a buffer.
#[derive(Debug)]
pub struct ResponseWriter<'o> {
    out: &'o mut [u8],
    at: usize,
    /// Where records must end, room for OPT already taken off.
    limit: usize,
    /// Where the question ends.
    records_from: usize,
    id: [u8; 2],
    counts: [u16; 3],
    flags: u16,
    opt: Option<Opt>,
    /// The ECS scope of the answer.
    scope: u8,
    payload: u16,
}

impl<'o> ResponseWriter<'o> {
    /// Begins the response to `header` (at least 4 octets: id and flags), echoing `question` (empty when it could not
    /// be read). Records end before `limit` octets, `out` is at least that long and holds header, question and OPT.
    /// `payload` is the UDP size we announce.
    pub fn new(header: &[u8], question: &[u8], opt: Option<Opt>, limit: usize, payload: u16, out: &'o mut [u8]) -> Self {
        let flags = RESPONSE | (u16::from_be_bytes([header[2], header[3]]) & ECHOED);
        let at = HEADER_LEN + question.len();
        out[HEADER_LEN..at].copy_from_slice(question);
        let limit = limit.min(out.len()).saturating_sub(opt.as_ref().map_or(0, Opt::len));
        let id = [header[0], header[1]];
        ResponseWriter { out, at, limit, id, records_from: at, counts: [0; 3], flags, opt, scope: 0, payload }
    }

    /// Where the next record starts, from the start of the message.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether any record is in the answer section yet.
    pub fn has_answers(&self) -> bool {
        self.counts[0] > 0
    }

    /// Whether records were left out for want of room.
    pub fn is_truncated(&self) -> bool {
        self.flags & TRUNCATED != 0
    }

    /// Sets AA: the answer is from our own data.
    pub fn authoritative(&mut self) {
        self.flags |= AUTHORITATIVE;
    }

    /// Narrows the ECS scope to at least `len` bits.
    pub fn narrow_scope(&mut self, len: u8) {
        self.scope = self.scope.max(len);
    }

    /// Writes prepared records, all or nothing.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn records(&mut self, section: Section, records: Records<'_>, anchors: Anchors) -> Result<(), Full> {
        let to = self.room(records.bytes.len())?;
        to.copy_from_slice(records.bytes);
        for patch in records.patches {
            let target = match patch.to {
                Anchor::Owner => anchors.owner,
                Anchor::Apex => anchors.apex,
            };
            let at = patch.at as usize;
            to[at..at + 2].copy_from_slice(&pointer(target));
        }
        self.count(section, records.count, records.bytes.len());
        Ok(())
    }

    /// Writes prepared records with another TTL than the prepared one: for an SOA in a denial that must not be kept.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn record_with_ttl(&mut self, section: Section, record: Records<'_>, anchors: Anchors, ttl_s: u32) -> Result<(), Full> {
        let start = self.at;
        self.records(section, record, anchors)?;
        // Behind the owner's pointer, the type and the class.
        self.out[start + 6..start + 10].copy_from_slice(&ttl_s.to_be_bytes());
        Ok(())
    }

    /// Writes an A or AAAA record of the name that starts at `owner`.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn address(&mut self, owner: u16, ttl_s: u32, addr: IpAddr) -> Result<(), Full> {
        match addr {
            IpAddr::V4(addr) => self.record(owner, Rtype::A, ttl_s, &addr.octets()),
            IpAddr::V6(addr) => self.record(owner, Rtype::AAAA, ttl_s, &addr.octets()),
        }
    }

    /// Writes one answer record from its parts; `data` has at most 255 octets.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn record(&mut self, owner: u16, rtype: Rtype, ttl_s: u32, data: &[u8]) -> Result<(), Full> {
        let [ttl0, ttl1, ttl2, ttl3] = ttl_s.to_be_bytes();
        let [ptr0, ptr1] = pointer(owner);
        let [type0, type1] = rtype.0.to_be_bytes();
        let [class0, class1] = CLASS_IN.to_be_bytes();
        let length = u8::try_from(data.len()).map_err(|_| Full)?;
        let to = self.room(12 + data.len())?;
        let (head, body) = to.split_at_mut(12);
        head.copy_from_slice(&[ptr0, ptr1, type0, type1, class0, class1, ttl0, ttl1, ttl2, ttl3, 0, length]);
        body.copy_from_slice(data);
        self.count(Section::Answer, 1, 12 + data.len());
        Ok(())
    }

    /// Takes back all records and sets TC: the client shall come again by TCP (RFC 2181 section 9).
    pub fn truncate(&mut self) {
        self.at = self.records_from;
        self.counts = [0; 3];
        self.flags |= TRUNCATED;
    }

    /// Ends the response and returns its length.
    pub fn finish(mut self, rcode: Rcode) -> usize {
        let code = rcode as u16;
        if let Some(opt) = self.opt {
            self.write_opt(&opt, code);
        }
        let header = self.header(code);
        self.out[..HEADER_LEN].copy_from_slice(&header);
        self.at
    }

    /// RFC 1035 section 4.1.1.
    fn header(&self, code: u16) -> [u8; HEADER_LEN] {
        let questions = u16::from(self.records_from > HEADER_LEN);
        let [answer, authority, additional] = self.counts;
        let words = [self.flags | (code & 0xf), questions, answer, authority, additional + u16::from(self.opt.is_some())];
        let mut header = [0; HEADER_LEN];
        header[..2].copy_from_slice(&self.id);
        for (to, word) in header[2..].as_chunks_mut().0.iter_mut().zip(words) {
            *to = word.to_be_bytes();
        }
        header
    }

    fn write_opt(&mut self, opt: &Opt, code: u16) {
        let extended = (code >> 4).to_be_bytes()[1];
        let flags = if opt.dnssec_ok { 0x80 } else { 0 };
        let [payload0, payload1] = self.payload.to_be_bytes();
        let length = u16::try_from(opt.len() - 11).unwrap_or(0).to_be_bytes();
        let [type0, type1] = Rtype::OPT.0.to_be_bytes();
        self.append(&[0, type0, type1, payload0, payload1, extended, 0, flags, 0, length[0], length[1]]);
        if let Some(subnet) = &opt.subnet {
            let length = u16::try_from(subnet.data().len()).unwrap_or(0).to_be_bytes();
            let [code0, code1] = OPTION_SUBNET.to_be_bytes();
            self.append(&[code0, code1, length[0], length[1]]);
            self.append(subnet.data());
            // RFC 7871 section 7.2.1: family, SOURCE and address come back as they were; SCOPE is the fourth octet. A
            // client that gave no prefix is told 0.
            let scope = if subnet.prefix.is_some() { self.scope } else { 0 };
            self.out[self.at - subnet.data().len() + 3] = scope;
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn room(&mut self, len: usize) -> Result<&mut [u8], Full> {
        if self.at + len > self.limit { Err(Full) } else { Ok(&mut self.out[self.at..self.at + len]) }
    }

    fn count(&mut self, section: Section, records: u16, len: usize) {
        let (index, later) = match section {
            Section::Answer => (0, self.counts[1] + self.counts[2]),
            Section::Authority => (1, self.counts[2]),
            Section::Additional => (2, 0),
        };
        debug_assert_eq!(later, 0, "sections are written in order");
        self.counts[index] += records;
        self.at += len;
    }
}

/// A compression pointer (RFC 1035 section 4.1.4).
fn pointer(target: u16) -> [u8; 2] {
    debug_assert!(target < 0x4000, "pointers have 14 bits");
    (0xc000 | target).to_be_bytes()
}
