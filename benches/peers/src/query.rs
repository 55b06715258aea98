//! Queries, ready to send but for their id.
//!
//! They come from text, one a line: `name type [prefix]`, `#` begins a comment. A prefix is sent as EDNS Client Subnet
//! (RFC 7871). Every query carries EDNS (RFC 6891), as those of resolvers do. Knows nothing of sending.

use std::net::Ipv4Addr;
use std::str::FromStr;

/// What resolvers announce since the flag day of 2020.
const UDP_PAYLOAD: u16 = 1232;
/// Octets of a DNS header (RFC 1035 section 4.1.1).
pub const HEADER: usize = 12;
/// The option code of EDNS Client Subnet.
pub const CLIENT_SUBNET: u16 = 8;
/// The type number of OPT.
pub const OPT: u16 = 41;

/// An IPv4 prefix, written `192.0.2.0/24`. Bits behind its length are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The first address.
    pub address: Ipv4Addr,
    /// 0 to 32.
    pub length: u8,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        let parsed = text.split_once('/').and_then(|(address, length)| Some((address.parse().ok()?, length.parse().ok()?)));
        match parsed {
            Some((address, length @ 0..=32)) => Ok(Prefix::around(address, length)),
            _ => Err(format!("`{text}` is no IPv4 prefix such as 192.0.2.0/24")),
        }
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Prefix {
    /// The prefix of `length` bits (0 to 32) that an address is in.
    pub fn around(address: Ipv4Addr, length: u8) -> Prefix {
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        Prefix { address: Ipv4Addr::from(u32::from(address) & mask), length }
    }
}

/// Record types that a load asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the record types of those names")]
pub enum Qtype {
    A = 1,
    Ns = 2,
    Cname = 5,
    Soa = 6,
    Mx = 15,
    Txt = 16,
    Aaaa = 28,
    Srv = 33,
}

impl FromStr for Qtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Qtype, String> {
        Ok(match text {
            "A" => Qtype::A,
            "NS" => Qtype::Ns,
            "CNAME" => Qtype::Cname,
            "SOA" => Qtype::Soa,
            "MX" => Qtype::Mx,
            "TXT" => Qtype::Txt,
            "AAAA" => Qtype::Aaaa,
            "SRV" => Qtype::Srv,
            _ => return Err(format!("`{text}` is no type this generator asks for")),
        })
    }
}

/// One query.
#[derive(Clone, Debug)]
pub struct Query {
    /// The message; its id is 0 and filled in when sent.
    pub message: Vec<u8>,
    /// Octets of the question behind the header: name, type and class.
    pub question: usize,
}

impl Query {
    /// A query for class IN, with EDNS, and with the client's subnet where there is one. Labels have 1 to 63 octets.
    pub fn new(name: &str, qtype: Qtype, subnet: Option<Prefix>) -> Result<Query, String> {
        let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in name.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
            let length = u8::try_from(label.len()).ok().filter(|length| *length < 64);
            message.push(length.ok_or_else(|| format!("`{label}` is longer than 63 octets"))?);
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&(qtype as u16).to_be_bytes());
        message.extend_from_slice(&1_u16.to_be_bytes());
        let question = message.len() - HEADER;
        push_opt(&mut message, subnet);
        Ok(Query { message, question })
    }

    /// The question's octets.
    pub fn question(&self) -> &[u8] {
        &self.message[HEADER..HEADER + self.question]
    }
}

/// The OPT record, with a client subnet of as few octets as it needs (RFC 7871 section 6).
fn push_opt(message: &mut Vec<u8>, subnet: Option<Prefix>) {
    message.push(0);
    message.extend_from_slice(&OPT.to_be_bytes());
    message.extend_from_slice(&UDP_PAYLOAD.to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    let Some(Prefix { address, length }) = subnet else { return message.extend_from_slice(&[0, 0]) };
    let octets = length.div_ceil(8);
    message.extend_from_slice(&u16::from(8 + octets).to_be_bytes());
    message.extend_from_slice(&CLIENT_SUBNET.to_be_bytes());
    message.extend_from_slice(&u16::from(4 + octets).to_be_bytes());
    message.extend_from_slice(&[0, 1, length, 0]);
    message.extend_from_slice(&address.octets()[..usize::from(octets)]);
}

/// All queries of a file; the first line that is none, with its number.
pub fn read(text: &str) -> Result<Vec<Query>, String> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.split('#').next().unwrap_or("")));
    let queries: Result<Vec<_>, _> = lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| read_line(line).map_err(|fault| format!("line {number}: {fault}")))
        .collect();
    match queries {
        Ok(queries) if queries.is_empty() => Err("there is no query".to_owned()),
        other => other,
    }
}

fn read_line(line: &str) -> Result<Query, String> {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        [name] => Query::new(name, Qtype::A, None),
        [name, qtype] => Query::new(name, qtype.parse()?, None),
        [name, qtype, subnet] => Query::new(name, qtype.parse()?, Some(subnet.parse()?)),
        _ => Err("a name, a type and a prefix are all there may be".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_a_question_and_an_opt_record() {
        let query = Query::new("ab.example", Qtype::Aaaa, None).unwrap();
        assert_eq!(query.question(), b"\x02ab\x07example\0\0\x1c\0\x01");
        assert_eq!(query.message[HEADER + query.question..], *b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    }

    #[test]
    fn a_client_subnet_has_only_the_octets_it_needs() {
        let query = Query::new("a", Qtype::A, Some("198.51.100.7/20".parse().unwrap())).unwrap();
        assert!(query.message.ends_with(b"\0\x0b\0\x08\0\x07\0\x01\x14\0\xc6\x33\x60"));
    }

    #[test]
    fn prefixes_lose_the_bits_behind_their_length() {
        assert_eq!("203.0.113.77/24".parse::<Prefix>().unwrap().to_string(), "203.0.113.0/24");
        assert_eq!("203.0.113.77/0".parse::<Prefix>().unwrap().to_string(), "0.0.0.0/0");
        assert!("203.0.113.77/33".parse::<Prefix>().is_err());
    }

    #[test]
    fn a_file_is_read_by_the_line_and_a_fault_has_its_number() {
        assert_eq!(read("# all\na.example A\n\nb.example AAAA 192.0.2.0/24 # one\n").unwrap().len(), 2);
        assert!(read("a.example A\nb.example PINK\n").unwrap_err().starts_with("line 2: `PINK`"));
        assert!(read("# nothing\n").is_err());
    }
}
