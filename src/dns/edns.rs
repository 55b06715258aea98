//! EDNS(0) (RFC 6891) and the one option that steering reads, client subnet (RFC 7871).

use crate::prefix::{Family, Prefix, from_bits};

/// The option code of client subnet.
pub const OPTION_SUBNET: u16 = 8;

/// What the OPT record of a query says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edns {
    /// The largest UDP message the client takes, as announced.
    pub payload: u16,
    /// 0 is the only version there is.
    pub version: u8,
    /// The DO bit: the client wants DNSSEC records.
    pub dnssec_ok: bool,
    /// The client subnet, where one was sent.
    pub subnet: Option<ClientSubnet>,
    /// The first rule that the options break: they are read no further, and the answer is FORMERR, with an OPT of our own
    /// (RFC 6891 section 6.1.1). Of no meaning with another version, whose options may look otherwise.
    pub fault: Option<EdnsError>,
}

/// The longest data of a subnet option: four octets and an IPv6 address.
const SUBNET_MAX: usize = 4 + 16;

/// A client subnet option as it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientSubnet {
    data: [u8; SUBNET_MAX],
    len: u8,
    /// The client's prefix. `None` when SOURCE is 0: the client does not want to be located by it.
    pub prefix: Option<Prefix>,
}

/// Which rule of RFC 6891 or RFC 7871 an OPT record broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EdnsError {
    /// The options are cut off.
    OptionTruncated,
    /// The subnet option is shorter than its fixed part.
    SubnetTruncated,
    /// Neither IPv4 nor IPv6, nor the empty family 0 that some clients send to say nothing.
    SubnetFamily,
    /// SCOPE is not 0 in a query (RFC 7871 section 6).
    SubnetScopeInQuery,
    /// SOURCE exceeds the family's bits.
    SubnetSourceTooLong,
    /// The address is not just as long as SOURCE needs.
    SubnetAddressLength,
    /// Bits beyond SOURCE are set.
    SubnetHostBits,
}

impl Edns {
    /// Reads an OPT record: its class, TTL and data fields.
    pub fn read(class: u16, ttl: u32, data: &[u8]) -> Edns {
        let [_, version, flags, _] = ttl.to_be_bytes();
        let mut edns = Edns { payload: class, version, dnssec_ok: flags & 0x80 != 0, subnet: None, fault: None };
        edns.fault = edns.read_options(data).err();
        edns
    }

    fn read_options(&mut self, mut data: &[u8]) -> Result<(), EdnsError> {
        while !data.is_empty() {
            let (code, value, rest) = option(data).ok_or(EdnsError::OptionTruncated)?;
            if code == OPTION_SUBNET && self.subnet.is_none() {
                self.subnet = Some(ClientSubnet::read(value)?);
            }
            data = rest;
        }
        Ok(())
    }
}

fn option(data: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (head, rest) = data.split_first_chunk::<4>()?;
    let code = u16::from_be_bytes([head[0], head[1]]);
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([head[2], head[3]])))?;
    Some((code, value, rest))
}

impl ClientSubnet {
    /// Reads the option's data (RFC 7871 section 6).
    fn read(octets: &[u8]) -> Result<ClientSubnet, EdnsError> {
        let (head, addr) = octets.split_first_chunk::<4>().ok_or(EdnsError::SubnetTruncated)?;
        let (family, source, scope) = (u16::from_be_bytes([head[0], head[1]]), head[2], head[3]);
        if scope != 0 {
            return Err(EdnsError::SubnetScopeInQuery);
        }
        let family = match family {
            1 => Family::V4,
            2 => Family::V6,
            0 if source == 0 && addr.is_empty() => return Ok(ClientSubnet::new(octets, None)),
            _ => return Err(EdnsError::SubnetFamily),
        };
        if source > family.bits() {
            return Err(EdnsError::SubnetSourceTooLong);
        }
        if addr.len() != usize::from(source.div_ceil(8)) {
            return Err(EdnsError::SubnetAddressLength);
        }
        let addr = from_bits(family, number(addr, family));
        let prefix = Prefix::new(addr, source);
        if prefix.addr() != addr {
            return Err(EdnsError::SubnetHostBits);
        }
        Ok(ClientSubnet::new(octets, (source > 0).then_some(prefix)))
    }

    /// Keeps the option's data, which are known to be as long as their family allows.
    fn new(octets: &[u8], prefix: Option<Prefix>) -> ClientSubnet {
        let mut data = [0; SUBNET_MAX];
        data[..octets.len()].copy_from_slice(octets);
        let [.., len] = octets.len().to_be_bytes();
        ClientSubnet { data, len, prefix }
    }

    /// The option's data: family, source length, scope length, address. Echoed with the scope filled in.
    pub fn data(&self) -> &[u8] {
        &self.data[..usize::from(self.len)]
    }
}

/// The address whose leading octets are `octets`, as a number.
fn number(octets: &[u8], family: Family) -> u128 {
    let bits = octets.iter().fold(0u128, |bits, &octet| bits << 8 | u128::from(octet));
    let missing = u32::from(family.bits()) - 8 * u32::try_from(octets.len()).unwrap_or(16);
    bits.checked_shl(missing).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(data: &[u8]) -> Result<Option<Prefix>, EdnsError> {
        ClientSubnet::read(data).map(|subnet| subnet.prefix)
    }

    #[test]
    fn a_subnet_is_read_when_its_address_is_just_as_long_as_source_needs() {
        assert_eq!(subnet(&[0, 1, 24, 0, 192, 0, 2]), Ok(Some("192.0.2.0/24".parse().unwrap())));
        assert_eq!(subnet(&[0, 1, 25, 0, 192, 0, 2, 128]), Ok(Some("192.0.2.128/25".parse().unwrap())));
        assert_eq!(subnet(&[0, 2, 32, 0, 0x20, 1, 0xd, 0xb8]), Ok(Some("2001:db8::/32".parse().unwrap())));
        assert_eq!(subnet(&[0, 1, 0, 0]), Ok(None));
        assert_eq!(subnet(&[0, 0, 0, 0]), Ok(None));
    }

    #[test]
    fn a_malformed_subnet_names_the_rule_it_breaks() {
        assert_eq!(subnet(&[0, 1, 24]), Err(EdnsError::SubnetTruncated));
        assert_eq!(subnet(&[0, 3, 0, 0]), Err(EdnsError::SubnetFamily));
        assert_eq!(subnet(&[0, 0, 8, 0, 10]), Err(EdnsError::SubnetFamily));
        assert_eq!(subnet(&[0, 1, 24, 1, 192, 0, 2]), Err(EdnsError::SubnetScopeInQuery));
        assert_eq!(subnet(&[0, 1, 33, 0, 192, 0, 2, 0, 0]), Err(EdnsError::SubnetSourceTooLong));
        assert_eq!(subnet(&[0, 2, 129, 0]), Err(EdnsError::SubnetSourceTooLong));
        assert_eq!(subnet(&[0, 1, 24, 0, 192, 0, 2, 0]), Err(EdnsError::SubnetAddressLength));
        assert_eq!(subnet(&[0, 1, 24, 0, 192, 0]), Err(EdnsError::SubnetAddressLength));
        assert_eq!(subnet(&[0, 1, 23, 0, 192, 0, 3]), Err(EdnsError::SubnetHostBits));
    }

    #[test]
    fn options_that_run_over_the_end_are_a_fault() {
        assert_eq!(Edns::read(1232, 0, &[0, 8, 0, 9, 0]).fault, Some(EdnsError::OptionTruncated));
        assert_eq!(Edns::read(1232, 0, &[0, 8, 0]).fault, Some(EdnsError::OptionTruncated));
        let edns = Edns::read(4096, 0x0000_8000, &[0, 10, 0, 2, 1, 2]);
        assert_eq!((edns.payload, edns.version, edns.dnssec_ok, edns.subnet, edns.fault), (4096, 0, true, None, None));
    }
}
