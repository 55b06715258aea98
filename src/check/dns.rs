//! A DNS question, and what must be answered.
//!
//! The messages are hickory-proto's. Octets go out, octets come in; UDP, TCP and who asks whom are the prober's business.

use crate::dns::{Name, Rtype};
use crate::health::FailReason;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name as HickoryName, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, BinEncodable, BinEncoder, NameEncoding, Restrict};
use std::borrow::Cow;
use std::fmt;

/// A question and what must be answered.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DnsCheck {
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub rtype: Rtype,
    /// Response codes that pass; never empty.
    pub rcodes: Vec<u16>,
    /// Data that must all be among the answers, each as the wire has it, names uncompressed and in lower case.
    pub answers: Vec<Vec<u8>>,
    /// Whether to ask over UDP first, and over TCP when the answer is truncated; else over TCP at once.
    pub udp: bool,
    /// Whether the server is asked to look elsewhere (RD): for resolvers.
    pub recursion: bool,
}

/// What a response is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    /// All that was expected.
    Good,
    /// Cut short: the question is to be asked again over TCP.
    Truncated,
    /// Not the answer to this question: somebody else's, or forged. Worth nothing.
    Foreign,
}

impl fmt::Debug for DnsCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} rcodes {:?} answers {:?} udp {} rd {}", self.name, self.rtype, self.rcodes, self.answers, self.udp, self.recursion)
    }
}

impl DnsCheck {
    /// The query on the wire; none when the name is none that the library takes.
    pub fn query(&self, id: u16) -> Option<Vec<u8>> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = self.recursion;
        message.add_query(self.question()?);
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD).set_version(0);
        message.set_edns(edns);
        message.to_vec().ok()
    }

    fn question(&self) -> Option<Query> {
        let name = HickoryName::from_ascii(self.name.to_string()).ok()?;
        Some(Query::query(name, RecordType::from(self.rtype.0)))
    }

    /// Judges a response to the query with this id.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, id: u16, octets: &[u8]) -> Result<Sight, FailReason> {
        let Some(&[high, low, flags, ..]) = octets.first_chunk::<HEADER>() else { return Ok(Sight::Foreign) };
        // Before anything else: who guesses the port but not the id must not be able to fail a probe with nonsense.
        if u16::from_be_bytes([high, low]) != id || flags & QR_AND_OPCODE != RESPONSE_TO_A_QUERY {
            return Ok(Sight::Foreign);
        }
        // It may be cut in the middle of a record, and then parses no further.
        if flags & TC != 0 {
            return Ok(Sight::Truncated);
        }
        let message = match Message::from_vec(octets) {
            Ok(message) => message,
            Err(error) => return Err(FailReason::Protocol(format!("no DNS message: {error}").into())),
        };
        if !self.is_about(&message) {
            return Ok(Sight::Foreign);
        }
        let rcode = u16::from(message.metadata.response_code);
        if !self.rcodes.contains(&rcode) {
            return Err(FailReason::Content(format!("RCODE {}", rcode_word(rcode)).into()));
        }
        self.judge_answers(&message)
    }

    /// Whether it repeats the question. A server that refuses may leave that out.
    fn is_about(&self, message: &Message) -> bool {
        let (ours, theirs) = (self.question(), message.queries.first());
        match ours.zip(theirs) {
            Some((ours, theirs)) => {
                theirs.query_class == DNSClass::IN && theirs.name.eq_ignore_root(&ours.name) && theirs.query_type == ours.query_type
            }
            None => message.metadata.response_code != ResponseCode::NoError,
        }
    }

    fn judge_answers(&self, message: &Message) -> Result<Sight, FailReason> {
        let (owner, came) = self.answers_in(message);
        // A server that has lost its data may still say that all is well.
        if message.metadata.response_code == ResponseCode::NoError && came.is_empty() {
            let way = owner.filter(|owner| !self.is_asked_for(owner)).map(|owner| format!(": the alias leads to {owner}"));
            let what = format!("NOERROR without an answer of type {}{}", self.rtype, way.unwrap_or_default());
            return Err(FailReason::Content(what.into()));
        }
        match self.answers.iter().find(|wanted| !came.contains(wanted)) {
            None => Ok(Sight::Good),
            Some(wanted) => {
                let wanted = present(self.rtype, wanted);
                Err(FailReason::Content(format!("{} {wanted} is not among the {} answers", self.rtype, came.len()).into()))
            }
        }
    }

    /// Where the aliases of the answer lead to from the name that was asked for (RFC 1034 section 4.3.2), and the data that is there, or
    /// on the way. What else stands among the answers answers another question.
    fn answers_in<'m>(&self, message: &'m Message) -> (Option<&'m HickoryName>, Vec<Vec<u8>>) {
        let (mut owner, mut came) = (message.queries.first().map(|query| &query.name), Vec::new());
        // As many steps as there are records: a loop among them ends.
        for _ in 0..=message.answers.len() {
            let Some(name) = owner else { break };
            let here = || message.answers.iter().filter(|record| record.dns_class == DNSClass::IN && record.name == *name);
            let of_type = here().filter(|record| record.record_type() == RecordType::from(self.rtype.0));
            came.extend(of_type.filter_map(|record| canonical(&record.data)));
            let alias = here().find_map(|record| if let RData::CNAME(to) = &record.data { Some(&to.0) } else { None });
            match alias.filter(|_| came.is_empty()) {
                Some(to) => owner = Some(to),
                None => break,
            }
        }
        (owner, came)
    }

    fn is_asked_for(&self, name: &HickoryName) -> bool {
        self.question().is_some_and(|question| question.name.eq_ignore_root(name))
    }
}

/// Record data as it is compared: names uncompressed and in lower case (RFC 4034 section 6.2).
pub fn canonical_rdata(rtype: Rtype, wire: &[u8]) -> Option<Vec<u8>> {
    canonical(&decode(rtype, wire)?)
}

fn decode(rtype: Rtype, wire: &[u8]) -> Option<RData> {
    let length = Restrict::new(u16::try_from(wire.len()).ok()?);
    RData::read(&mut BinDecoder::new(wire), RecordType::from(rtype.0), length).ok()
}

fn canonical(data: &RData) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    data.emit(&mut encoder).ok()?;
    Some(wire)
}

/// Record data as people write it.
pub fn present(rtype: Rtype, wire: &[u8]) -> String {
    decode(rtype, wire).map_or_else(|| format!("{wire:02x?}"), |data| data.to_string())
}

/// Response codes as dig names them (RFC 6895 section 2.3).
const RCODES: [(u16, &str); 12] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (16, "BADVERS"),
];

/// The number of a response code of this name; case is ignored.
pub fn rcode(word: &str) -> Option<u16> {
    RCODES.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)).map(|(code, _)| *code)
}

/// The name of a response code; one without a name is `RCODE` and its number.
pub fn rcode_word(code: u16) -> Cow<'static, str> {
    let named = RCODES.iter().find(|(known, _)| *known == code);
    named.map_or_else(|| Cow::Owned(format!("RCODE{code}")), |(_, name)| Cow::Borrowed(*name))
}

/// The header of a message (RFC 1035 section 4.1.1), in octets; of its third octet QR with the opcode, those of a response to a query, and TC.
const HEADER: usize = 12;
const QR_AND_OPCODE: u8 = 0b1111_1000;
const RESPONSE_TO_A_QUERY: u8 = 0b1000_0000;
const TC: u8 = 0b0000_0010;

/// What passes every path unfragmented (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::Record;

    fn check(answers: &[&str]) -> DnsCheck {
        let rdata = |text: &&str| text.parse::<std::net::Ipv4Addr>().expect("an address").octets().to_vec();
        DnsCheck {
            name: Name::parse("www.example.com", &Name::root()).expect("a name"),
            rtype: Rtype::A,
            rcodes: vec![0],
            answers: answers.iter().map(rdata).collect(),
            udp: true,
            recursion: false,
        }
    }

    /// A response to the check's own query, changed by `edit`.
    fn response(check: &DnsCheck, edit: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::from_vec(&check.query(7).expect("a query")).expect("it is a message");
        message.metadata.message_type = MessageType::Response;
        message.edns = None;
        edit(&mut message);
        message.to_vec().expect("it fits")
    }

    fn a(name: &str, addr: [u8; 4]) -> Record {
        Record::from_rdata(HickoryName::from_ascii(name).expect("a name"), 60, RData::A(std::net::Ipv4Addr::from(addr).into()))
    }

    #[test]
    fn every_expected_record_must_be_among_the_answers() {
        let both = check(&["192.0.2.1", "192.0.2.2"]);
        let answer = |last: &[u8]| {
            response(&both, |message| message.answers.extend(last.iter().map(|&last| a("www.example.com.", [192, 0, 2, last]))))
        };
        assert_eq!(both.judge(7, &answer(&[3, 2, 1])), Ok(Sight::Good));
        let reason = both.judge(7, &answer(&[1])).expect_err("one is missing");
        assert_eq!(reason.to_string(), "unexpected content: A 192.0.2.2 is not among the 1 answers");
    }

    #[test]
    fn the_code_must_be_an_expected_one() {
        let refused = |check: &DnsCheck| response(check, |message| message.metadata.response_code = ResponseCode::Refused);
        let plain = check(&[]);
        assert_eq!(plain.judge(7, &refused(&plain)).expect_err("refused").to_string(), "unexpected content: RCODE REFUSED");
        let either = DnsCheck { rcodes: vec![0, 5], ..check(&[]) };
        assert_eq!(either.judge(7, &refused(&either)), Ok(Sight::Good));
    }

    #[test]
    fn a_refusal_may_be_a_header_alone_and_an_answer_may_not() {
        let refusing = DnsCheck { rcodes: vec![5], ..check(&[]) };
        let header = |rcode: u8| [0, 7, 0x80, rcode, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(refusing.judge(7, &header(5)), Ok(Sight::Good));
        assert_eq!(refusing.judge(7, &header(0)), Ok(Sight::Foreign));
    }

    #[test]
    fn all_well_without_an_answer_is_not_well() {
        let check = check(&[]);
        assert_eq!(
            check.judge(7, &response(&check, |_| {})).expect_err("nothing").to_string(),
            "unexpected content: NOERROR without an answer of type A"
        );
    }

    #[test]
    fn an_answer_is_of_the_name_that_was_asked_for_or_of_what_its_aliases_lead_to() {
        let cname = |from: &str, to: &str| {
            let [from, to] = [from, to].map(|name| HickoryName::from_ascii(name).expect("a name"));
            Record::from_rdata(from, 60, RData::CNAME(hickory_proto::rr::rdata::CNAME(to)))
        };
        let check = check(&["192.0.2.1"]);
        let judge = |answers: &[Record]| {
            check.judge(7, &response(&check, |message| message.answers.extend(answers.iter().cloned()))).map_err(|why| why.to_string())
        };
        let to_cdn = cname("www.example.com.", "cdn.example.net.");
        assert_eq!(judge(&[to_cdn.clone(), cname("CDN.example.net.", "x.example."), a("x.example.", [192, 0, 2, 1])]), Ok(Sight::Good));
        let lone = judge(std::slice::from_ref(&to_cdn)).expect_err("the alias alone is no address");
        assert_eq!(lone, "unexpected content: NOERROR without an answer of type A: the alias leads to cdn.example.net.");
        let mut chaos = a("www.example.com.", [192, 0, 2, 1]);
        chaos.dns_class = DNSClass::CH;
        let in_a_circle = [to_cdn, cname("cdn.example.net.", "www.example.com.")];
        for foreign in [&[a("foo.", [192, 0, 2, 1])][..], &[chaos], &in_a_circle] {
            assert!(judge(foreign).is_err(), "{foreign:?}");
        }
    }

    #[test]
    fn what_answers_another_question_is_worth_nothing() {
        let check = check(&[]);
        assert_eq!(check.judge(8, &response(&check, |_| {})), Ok(Sight::Foreign), "another id");
        let other = DnsCheck { rtype: Rtype::AAAA, ..check.clone() };
        assert_eq!(check.judge(7, &response(&other, |_| {})), Ok(Sight::Foreign), "another type");
        assert_eq!(check.judge(7, &check.query(7).expect("a query")), Ok(Sight::Foreign), "no response at all");
    }

    #[test]
    fn a_truncated_answer_is_told_apart_whatever_else_is_in_it() {
        let check = check(&["192.0.2.1"]);
        assert_eq!(check.judge(7, &response(&check, |message| message.metadata.truncation = true)), Ok(Sight::Truncated));
        let mut cut = response(&check, |message| {
            message.metadata.truncation = true;
            message.answers.push(a("www.example.com.", [192, 0, 2, 1]));
        });
        cut.truncate(cut.len() - 2);
        assert_eq!(check.judge(7, &cut), Ok(Sight::Truncated));
    }

    #[test]
    fn nonsense_is_worth_nothing_unless_it_bears_the_id() {
        let check = check(&[]);
        for nonsense in [&b""[..], b"no", b"nonsense of some length", &[0, 7, 0x80]] {
            assert_eq!(check.judge(7, nonsense), Ok(Sight::Foreign), "{nonsense:?}");
        }
        let broken = [0, 7, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff];
        assert!(matches!(check.judge(7, &broken), Err(FailReason::Protocol(_))));
    }

    #[test]
    fn names_in_data_are_compared_without_regard_to_case() {
        let wire = |name: &str| Name::parse(name, &Name::root()).expect("a name").wire().to_vec();
        assert_eq!(canonical_rdata(Rtype::CNAME, &wire("A.Example")), Some(wire("a.example")));
    }

    #[test]
    fn codes_are_known_by_name() {
        assert_eq!((rcode("noerror"), rcode("NXDOMAIN"), rcode("REFUSED"), rcode("GREAT")), (Some(0), Some(3), Some(5), None));
    }
}
