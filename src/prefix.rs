//! Address prefixes, and the two address families.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address family: what A and AAAA ask for, and what a client comes by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4; A records.
    V4,
    /// IPv6; AAAA records.
    V6,
}

impl Family {
    /// Both, in the order in which they are shown.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub const fn of(addr: IpAddr) -> Family {
        match addr {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// The length of an address in bits: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// 0 for IPv4, 1 for IPv6: for arrays with a place per family.
    pub const fn index(self) -> usize {
        match self {
            Family::V4 => 0,
            Family::V6 => 1,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// An address and how many of its leading bits count. Bits beyond the length are always zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Why a text is not a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrefixError {
    /// The part before the slash is no address.
    Address,
    /// The length is no number, or above the family's bits.
    Length,
    /// Bits beyond the length are set; holds the prefix that was probably meant.
    HostBits(Prefix),
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrefixError::Address => f.write_str("not an IP address or CIDR prefix"),
            PrefixError::Length => f.write_str("the prefix length must be a number from 0 to 32 (IPv4) or 128 (IPv6)"),
            PrefixError::HostBits(meant) => write!(f, "bits are set beyond its length; did you mean {meant}?"),
        }
    }
}

impl Prefix {
    /// The prefix of `len` bits that `addr` lies in. `len` is cut to the family's bits.
    pub fn new(addr: IpAddr, len: u8) -> Prefix {
        let family = Family::of(addr);
        let len = len.min(family.bits());
        Prefix { addr: from_bits(family, to_bits(addr) & mask(family, len)), len }
    }

    /// The prefix that holds just `addr`.
    pub fn host(addr: IpAddr) -> Prefix {
        Prefix { addr, len: Family::of(addr).bits() }
    }

    /// The first address.
    pub const fn addr(self) -> IpAddr {
        self.addr
    }

    /// The number of leading bits that count: `0..=32` or `0..=128`.
    #[allow(clippy::len_without_is_empty, reason = "a prefix is no container")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// The family.
    pub const fn family(self) -> Family {
        Family::of(self.addr)
    }

    /// Whether `addr` is of the same family and inside.
    pub fn contains(self, addr: IpAddr) -> bool {
        self.family() == Family::of(addr) && to_bits(addr) & mask(self.family(), self.len) == to_bits(self.addr)
    }

    /// First and last address as numbers; IPv4 addresses are numbers below 2^32.
    pub fn range(self) -> (u128, u128) {
        let first = to_bits(self.addr);
        (first, first | (all(self.family()) & !mask(self.family(), self.len)))
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Parses `192.0.2.0/24`, `2001:db8::/32`, or an address alone.
    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (addr, len) = match text.split_once('/') {
            None => (text, None),
            Some((addr, len)) => (addr, Some(len.parse::<u8>().map_err(|_| PrefixError::Length)?)),
        };
        let addr: IpAddr = addr.parse().map_err(|_| PrefixError::Address)?;
        let bits = Family::of(addr).bits();
        let len = len.unwrap_or(bits);
        if len > bits {
            return Err(PrefixError::Length);
        }
        let prefix = Prefix::new(addr, len);
        if prefix.addr == addr { Ok(prefix) } else { Err(PrefixError::HostBits(prefix)) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

/// An address as a number; IPv4 below 2^32.
pub fn to_bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

/// The address of a number; for IPv4 only the low 32 bits count.
pub fn from_bits(family: Family, bits: u128) -> IpAddr {
    match family {
        #[allow(clippy::cast_possible_truncation, reason = "the low 32 bits are the address")]
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

fn all(family: Family) -> u128 {
    match family {
        Family::V4 => u128::from(u32::MAX),
        Family::V6 => u128::MAX,
    }
}

fn mask(family: Family, len: u8) -> u128 {
    let host = u32::from(family.bits() - len);
    all(family) & u128::MAX.checked_shl(host).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a prefix")
    }

    #[test]
    fn a_prefix_contains_its_first_and_last_address_and_no_neighbour() {
        let net = prefix("192.0.2.0/24");
        for (addr, inside) in [("192.0.2.0", true), ("192.0.2.255", true), ("192.0.1.255", false), ("192.0.3.0", false), ("::", false)] {
            assert_eq!(net.contains(addr.parse().expect("an address")), inside, "{addr}");
        }
        assert!(prefix("0.0.0.0/0").contains("255.255.255.255".parse().expect("an address")));
        assert!(prefix("::/0").contains("ffff::".parse().expect("an address")));
    }

    #[test]
    fn a_text_with_host_bits_names_the_prefix_that_was_meant() {
        assert_eq!("192.0.2.1/24".parse::<Prefix>(), Err(PrefixError::HostBits(prefix("192.0.2.0/24"))));
        assert_eq!("192.0.2.0/33".parse::<Prefix>(), Err(PrefixError::Length));
        assert_eq!("2001:db8::/129".parse::<Prefix>(), Err(PrefixError::Length));
        assert_eq!("fra-1/24".parse::<Prefix>(), Err(PrefixError::Address));
        assert_eq!(prefix("2001:db8::1").len(), 128);
    }

    #[test]
    fn a_range_spans_the_whole_prefix() {
        assert_eq!(prefix("0.0.0.0/0").range(), (0, u128::from(u32::MAX)));
        assert_eq!(prefix("::/0").range(), (0, u128::MAX));
        assert_eq!(prefix("10.0.0.4/30").range(), (0x0a00_0004, 0x0a00_0007));
    }
}
