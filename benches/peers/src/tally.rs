//! Every answer, checked against its query and counted.
//!
//! Datagrams enter with the query whose id they carry. An answer has QR set and echoes the question; anything else is
//! *bad*. What it says (RCODE, records) is counted, not judged: who compares servers knows what is right.

use crate::query::{HEADER, Query};

/// RFC 6895 section 2.3: four bits in the header.
const RCODES: usize = 16;

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Queries that left.
    pub sent: u64,
    /// Answers to queries.
    pub answered: u64,
    /// Messages that answer nothing that was asked.
    pub bad: u64,
    /// Queries without an answer in time, and such as could not be sent in time at a fixed rate.
    pub lost: u64,
    /// Answers with TC.
    pub truncated: u64,
    /// Answers with records in the answer section.
    pub positive: u64,
    /// Records in answer sections.
    pub records: u64,
    /// Octets of all answers.
    pub octets: u64,
    /// Answers by RCODE.
    pub rcodes: [u64; RCODES],
}

impl Tally {
    /// Counts a message that carries the id of `query`; whether it is an answer to it.
    pub fn count(&mut self, message: &[u8], query: &Query) -> bool {
        let echoed = message.get(HEADER..HEADER + query.question) == Some(query.question());
        if !echoed || message[2] & 0x80 == 0 {
            self.bad += 1;
            return false;
        }
        let records = u64::from(u16::from_be_bytes([message[6], message[7]]));
        self.answered += 1;
        self.records += records;
        self.positive += u64::from(records > 0);
        self.truncated += u64::from(message[2] & 2 != 0);
        self.rcodes[usize::from(message[3] & 15)] += 1;
        self.octets += message.len() as u64;
        true
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Tally) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.bad += other.bad;
        self.lost += other.lost;
        self.truncated += other.truncated;
        self.positive += other.positive;
        self.records += other.records;
        self.octets += other.octets;
        for (count, more) in self.rcodes.iter_mut().zip(other.rcodes) {
            *count += more;
        }
    }

    /// The share of answers with this RCODE, 0 to 1.
    pub fn share(&self, rcode: usize) -> f64 {
        self.rcodes[rcode] as f64 / self.answered.max(1) as f64
    }

    /// Octets of the average answer.
    pub fn size(&self) -> f64 {
        self.octets as f64 / self.answered.max(1) as f64
    }

    /// RCODEs with their counts, as `NOERROR 10, NXDOMAIN 2`.
    pub fn rcodes_in_words(&self) -> String {
        let name = |rcode| match rcode {
            0 => "NOERROR".to_owned(),
            1 => "FORMERR".to_owned(),
            2 => "SERVFAIL".to_owned(),
            3 => "NXDOMAIN".to_owned(),
            4 => "NOTIMP".to_owned(),
            5 => "REFUSED".to_owned(),
            other => format!("RCODE{other}"),
        };
        let counted = self.rcodes.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(rcode, count)| format!("{} {count}", name(rcode))).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Qtype;

    fn query() -> Query {
        Query::new("a.example", Qtype::A, None).unwrap()
    }

    #[test]
    fn an_echo_of_the_query_is_no_answer() {
        let mut tally = Tally::default();
        assert!(!tally.count(&query().message, &query()));
        assert_eq!((tally.bad, tally.answered), (1, 0));
    }

    #[test]
    fn an_answer_to_another_question_is_bad() {
        let mut message = Query::new("b.example", Qtype::A, None).unwrap().message;
        message[2] |= 0x80;
        assert!(!Tally::default().count(&message, &query()));
        assert!(!Tally::default().count(&message[..HEADER], &query()));
    }

    #[test]
    fn what_an_answer_says_is_counted() {
        let mut tally = Tally::default();
        let mut message = query().message;
        (message[2], message[3], message[7]) = (0x82, 3, 2);
        assert!(tally.count(&message, &query()));
        assert_eq!((tally.records, tally.positive, tally.truncated), (2, 1, 1));
        assert_eq!(tally.rcodes_in_words(), "NXDOMAIN 1");
    }
}
