//! Where probes may go.
//!
//! Whoever may write a pool could otherwise let this server look around in its own surroundings: its loopback services (the
//! admin interface is one), the metadata service of its cloud. Addresses are written in the config and never looked up, so
//! that deciding when the config is compiled is enough: what may not be probed never becomes a target.

use crate::prefix::Prefix;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The networks that probes may reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// Whether all addresses of [`is_usual`] are among them.
    pub usual: bool,
    /// Networks beside those.
    pub networks: Vec<Prefix>,
}

impl Reach {
    /// What holds when nothing is written.
    pub const USUAL: Reach = Reach { usual: true, networks: Vec::new() };

    /// Whether an address may be probed. One of IPv4 in the clothes of IPv6 is judged as what it is.
    pub fn allows(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        (self.usual && is_usual(addr)) || self.networks.iter().any(|network| network.contains(addr))
    }
}

/// Whether an address is one that a load balancer of one's own may have: public or private unicast, and nothing that leads
/// back to this host, stays on the link, or is known to hand out credentials.
pub fn is_usual(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => is_usual_v4(addr),
        IpAddr::V6(addr) => is_usual_v6(addr),
    }
}

fn is_usual_v4(addr: Ipv4Addr) -> bool {
    let [first, ..] = addr.octets();
    // 0.0.0.0/8 means this host; 240.0.0.0/4 is reserved, and ends in the broadcast address (RFC 6890).
    let special = first == 0 || first >= 240 || addr.is_loopback() || addr.is_link_local() || addr.is_multicast();
    !special && !METADATA_V4.contains(&addr)
}

fn is_usual_v6(addr: Ipv6Addr) -> bool {
    if let Some(addr) = embedded(addr) {
        return is_usual_v4(addr);
    }
    let [first, ..] = addr.segments();
    // ::/96 holds `::`, `::1`, and the ancient clothes of IPv4 addresses; fe80::/10 is the link, ff00::/8 multicast.
    let special = addr.segments()[..6] == [0; 6] || first & 0xffc0 == 0xfe80 || addr.is_multicast();
    !special && !METADATA_V6.iter().any(|(network, length)| (addr.to_bits() ^ network.to_bits()).leading_zeros() >= *length)
}

/// The address that a translator on the way will send to: NAT64 (RFC 6052 section 2.1), 6to4 (RFC 3056).
fn embedded(addr: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..]) = addr.segments() else { return None };
    Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
}

/// Metadata services outside 169.254.0.0/16: Alibaba Cloud, Oracle Cloud, the wire server of Azure.
const METADATA_V4: [Ipv4Addr; 3] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
/// Metadata services over IPv6, and the length of what they have to themselves: AWS, Google Cloud, Oracle Cloud, Scaleway.
const METADATA_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(reach: &Reach, addr: &str) -> bool {
        reach.allows(addr.parse().expect("an address"))
    }

    #[test]
    fn load_balancers_have_public_and_private_addresses() {
        for addr in ["192.0.2.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "2001:db8::1", "fd12::1", "1.0.0.0", "239.0.0.0"] {
            assert_eq!(allows(&Reach::USUAL, addr), addr != "239.0.0.0", "{addr}");
        }
    }

    #[test]
    fn nothing_unasked_leads_to_this_host_the_link_many_hosts_or_credentials() {
        let forbidden = [
            "127.0.0.1",
            "127.255.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "64:ff9b::169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
        ];
        for addr in forbidden {
            assert!(!allows(&Reach::USUAL, addr), "{addr}");
        }
    }

    #[test]
    fn what_a_translator_leads_to_is_judged_as_that_and_may_be_listed() {
        for addr in ["64:ff9b::192.0.2.1", "64:ff9b:1::7f00:1", "2002:c000:201::1", "fd00:ec3::1", "fd20:ce::255"] {
            assert!(allows(&Reach::USUAL, addr), "{addr}");
        }
        let listed = Reach { usual: true, networks: vec!["64:ff9b::/96".parse().expect("a prefix")] };
        assert!(allows(&listed, "64:ff9b::7f00:1"));
    }

    #[test]
    fn a_list_allows_what_it_says_and_nothing_else() {
        let listed = Reach { usual: false, networks: vec!["127.0.0.0/8".parse().expect("a prefix")] };
        assert!(allows(&listed, "127.0.0.1") && allows(&listed, "::ffff:127.0.0.1") && !allows(&listed, "192.0.2.1"));
        let both = Reach { usual: true, ..listed };
        assert!(allows(&both, "127.0.0.1") && allows(&both, "192.0.2.1") && !allows(&both, "169.254.1.1"));
    }
}
