//! Echo requests and their replies (RFC 792, RFC 4443 section 4).
//!
//! Octets only: sockets are the prober's business.

use crate::prefix::Family;

/// One echo: what is sent, and by what its reply is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo {
    /// Of the address probed.
    pub family: Family,
    /// Identifies this program among all that ping; the kernel writes its own over it on sockets made for pings.
    pub identifier: u16,
    /// Comes back unchanged; nobody else's reply bears it.
    pub cookie: u64,
}

const ECHO_REQUEST: [u8; 2] = [8, 128];
const ECHO_REPLY: [u8; 2] = [0, 129];
const DESTINATION_UNREACHABLE: [u8; 2] = [3, 1];

/// What a packet says about an echo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Its reply.
    Reply,
    /// It cannot be delivered, says somebody on the way.
    Unreachable,
    /// Something else.
    Nothing,
}

impl Echo {
    /// The request. Its checksum is right for IPv4; for IPv6 the kernel writes it, since it covers addresses.
    pub fn request(&self) -> Vec<u8> {
        let mut packet = vec![ECHO_REQUEST[self.family.index()], 0, 0, 0];
        packet.extend(self.identifier.to_be_bytes());
        packet.extend([0, 1]);
        packet.extend(self.cookie.to_be_bytes());
        if self.family == Family::V4 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    /// What a packet says about this echo. On raw sockets of IPv4 it begins with the IP header.
    pub fn hear(&self, packet: &[u8]) -> Heard {
        let Some(message) = without_ip_header(self.family, packet) else { return Heard::Nothing };
        let Some(&[kind, ..]) = message.first_chunk::<8>() else { return Heard::Nothing };
        if kind == ECHO_REPLY[self.family.index()] && message[8..].starts_with(&self.cookie.to_be_bytes()) {
            return Heard::Reply;
        }
        // What could not be delivered comes back behind the eight octets of the complaint, cookie and all where there is room.
        let complaint = kind == DESTINATION_UNREACHABLE[self.family.index()];
        let ours = message[8..].windows(8).any(|window| window == self.cookie.to_be_bytes());
        if complaint && ours { Heard::Unreachable } else { Heard::Nothing }
    }
}

/// The message behind an IP header, where there is one: an ICMP type of 0x45 and more does not exist.
fn without_ip_header(family: Family, packet: &[u8]) -> Option<&[u8]> {
    match (family, packet.first()?) {
        (Family::V4, first) if first >> 4 == 4 => packet.get(usize::from(first & 0xf) * 4..),
        (Family::V4 | Family::V6, _) => Some(packet),
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(family: Family) -> Echo {
        Echo { family, identifier: 7, cookie: 0x0123_4567_89ab_cdef }
    }

    fn reply(family: Family) -> Vec<u8> {
        let mut packet = echo(family).request();
        packet[0] = ECHO_REPLY[family.index()];
        packet
    }

    #[test]
    fn a_request_sums_up_to_nothing() {
        assert_eq!(checksum(&echo(Family::V4).request()), 0);
    }

    #[test]
    fn the_reply_is_known_with_or_without_its_ip_header() {
        for family in Family::BOTH {
            assert_eq!(echo(family).hear(&reply(family)), Heard::Reply);
        }
        let mut raw = vec![0x45; 20];
        raw.extend(reply(Family::V4));
        assert_eq!(echo(Family::V4).hear(&raw), Heard::Reply);
    }

    #[test]
    fn the_request_itself_the_reply_of_another_and_noise_are_nothing() {
        let ours = echo(Family::V4);
        let other = Echo { cookie: 1, ..ours };
        assert_eq!(ours.hear(&ours.request()), Heard::Nothing);
        assert_eq!(other.hear(&reply(Family::V4)), Heard::Nothing);
        for noise in [&[][..], &[0], &[0x45], &[0; 8]] {
            assert_eq!(ours.hear(noise), Heard::Nothing);
        }
    }

    #[test]
    fn a_complaint_that_quotes_our_request_is_a_host_that_cannot_be_reached() {
        let mut complaint = vec![3, 1, 0, 0, 0, 0, 0, 0];
        complaint.extend([0x45; 20]);
        complaint.extend(echo(Family::V4).request());
        assert_eq!(echo(Family::V4).hear(&complaint), Heard::Unreachable);
        assert_eq!(Echo { cookie: 1, ..echo(Family::V4) }.hear(&complaint), Heard::Nothing);
    }
}
