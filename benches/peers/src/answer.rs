//! One answer, read whole: what the checks before a comparison look at. The load itself only tallies.

use crate::load::{PATIENCE, source};
use crate::query::{CLIENT_SUBNET, HEADER, OPT, Qtype, Query};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The response code, 0 to 15.
    pub rcode: u8,
    /// The A records of the answer section, in order.
    pub addresses: Vec<Ipv4Addr>,
    /// The shortest TTL among them, in seconds; 0 when there are none.
    pub ttl_s: u32,
    /// Whether the OPT record holds a client subnet.
    pub client_subnet: bool,
}

/// Asks over UDP, as the client number `client`.
pub fn ask(server: SocketAddrV4, client: usize, query: &Query) -> io::Result<Answer> {
    let socket = UdpSocket::bind(SocketAddrV4::new(source(client), 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(&query.message)?;
    let mut message = [0; 4096];
    let length = socket.recv(&mut message)?;
    read(&message[..length], query).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer to the query"))
}

/// Reads an answer to `query`; none when it is something else.
pub fn read(message: &[u8], query: &Query) -> Option<Answer> {
    let mut rest = message.get(HEADER..)?.strip_prefix(query.question())?;
    if message[2] & 0x80 == 0 {
        return None;
    }
    let count = |at: usize| usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
    let (in_answer, in_all) = (count(6), count(6) + count(8) + count(10));
    let mut answer = Answer { rcode: message[3] & 15, ..Answer::default() };
    for index in 0..in_all {
        let Record { rtype, ttl_s, data, behind } = record(rest)?;
        if index < in_answer && rtype == Qtype::A as u16 {
            answer.ttl_s = if answer.addresses.is_empty() { ttl_s } else { ttl_s.min(answer.ttl_s) };
            answer.addresses.push(Ipv4Addr::from(*data.first_chunk()?));
        }
        if rtype == OPT {
            answer.client_subnet = has_option(data, CLIENT_SUBNET)?;
        }
        rest = behind;
    }
    Some(answer)
}

struct Record<'a> {
    rtype: u16,
    ttl_s: u32,
    data: &'a [u8],
    /// What follows it.
    behind: &'a [u8],
}

/// The record at the front.
fn record(octets: &[u8]) -> Option<Record<'_>> {
    let fixed = behind_name(octets)?;
    let rtype = u16::from_be_bytes(*fixed.first_chunk()?);
    let ttl_s = u32::from_be_bytes(*fixed.get(4..)?.first_chunk()?);
    let length = usize::from(u16::from_be_bytes(*fixed.get(8..)?.first_chunk()?));
    let (data, behind) = fixed.get(10..)?.split_at_checked(length)?;
    Some(Record { rtype, ttl_s, data, behind })
}

/// What is behind the name at the front, which may end in a pointer (RFC 1035 section 4.1.4).
fn behind_name(octets: &[u8]) -> Option<&[u8]> {
    match *octets.first()? {
        0 => octets.get(1..),
        length if length >= 0xc0 => octets.get(2..),
        length => behind_name(octets.get(usize::from(length) + 1..)?),
    }
}

/// Whether the options of an OPT record have one with this code; none when they are cut short.
fn has_option(mut options: &[u8], code: u16) -> Option<bool> {
    while !options.is_empty() {
        let length = usize::from(u16::from_be_bytes(*options.get(2..)?.first_chunk()?));
        if u16::from_be_bytes(*options.first_chunk()?) == code {
            return Some(true);
        }
        options = options.get(4 + length..)?;
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_the_client_subnet_are_read() {
        let query = Query::new("a.example", Qtype::A, Some("192.0.2.0/24".parse().unwrap())).unwrap();
        let mut message = query.message.clone();
        let opt = message.split_off(HEADER + query.question);
        message.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x0b");
        message.extend_from_slice(&opt);
        (message[2], message[7]) = (0x84, 1);
        let answer = read(&message, &query).unwrap();
        assert_eq!(answer, Answer { rcode: 0, addresses: vec![Ipv4Addr::new(127, 0, 0, 11)], ttl_s: 60, client_subnet: true });
        for length in 0..message.len() {
            assert_eq!(read(&message[..length], &query), None, "cut to {length}");
        }
    }
}
