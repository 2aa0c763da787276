//! Which addresses a webhook may be sent to: those of the public internet, and what the operator allows beside them.
//!
//! An IPv4 address that hides in an IPv6 one is judged as what it is. Of IPv6 only global unicast (`2000::/3`) is public,
//! without the parts of it that lead somewhere else; so what nobody has assigned yet is refused, too.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::{Network, Networks};

/// Says yes or no to an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Every address is allowed: for development, where receivers are on the same machine.
    pub allow_private: bool,
    /// Networks that are allowed although they are not public.
    pub allowed: Networks,
}

impl Guard {
    /// Whether a connection may go to this address.
    pub fn allows(&self, address: IpAddr) -> bool {
        let real = unwrapped(address);
        self.allow_private || is_public(real) || self.allowed.contain(real)
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped (`::ffff:a.b.c.d`), or translated on the way (NAT64's well-known
/// `64:ff9b::a.b.c.d`). Others are what they are.
pub fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let in_last_bits = u32::try_from(v6.to_bits() & u128::from(u32::MAX)).map(Ipv4Addr::from_bits);
    match (v6.to_canonical(), in_last_bits) {
        (mapped @ IpAddr::V4(_), _) => mapped,
        (IpAddr::V6(_), Ok(v4)) if matches!(v6.segments(), [0x64, 0xff9b, 0, 0, 0, 0, _, _]) => {
            IpAddr::V4(v4)
        }
        (other, _) => other,
    }
}

/// IPv4 networks that are not the public internet's (RFC 6890 and its successors), and one cloud's host that is reached at a
/// public address.
const NOT_PUBLIC_V4: [(&str, &str); 19] = [
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "Azure's host"),
    ("169.254.0.0/16", "link-local, the metadata services"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments, Oracle's metadata service"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "multicast tunnels"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, broadcast"),
];

/// Parts of `2000::/3` that lead elsewhere.
const NOT_PUBLIC_V6: [(&str, &str); 5] = [
    ("2001::/23", "protocol assignments: Teredo, ORCHID, benchmarks"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4: any IPv4 address, through somebody's relay"),
    ("2620:4f:8000::/48", "AS112"),
    ("3fff::/20", "documentation"),
];

fn is_public(address: IpAddr) -> bool {
    let lies_in = |networks: &[(&str, &str)]| {
        // A table row that cannot be read refuses everything: safe, and the tests would show it.
        networks.iter().any(|(text, _)| Network::parse(text).is_none_or(|network| network.contains(address)))
    };
    match address {
        IpAddr::V4(_) => !lies_in(&NOT_PUBLIC_V4),
        IpAddr::V6(v6) => {
            let is_global_unicast = matches!(v6.segments(), [0x2000..=0x3fff, ..]);
            // ISATAP: an interface that tunnels to the IPv4 address in its last bits.
            let is_tunnel = matches!(v6.segments(), [_, _, _, _, 0 | 0x0200, 0x5efe, _, _]);
            is_global_unicast && !is_tunnel && !lies_in(&NOT_PUBLIC_V6)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_tables_is_a_network() {
        for (text, what) in NOT_PUBLIC_V4.iter().chain(&NOT_PUBLIC_V6) {
            assert!(Network::parse(text).is_some(), "{text}: {what}");
        }
    }

    /// The first and the last address of each network, and the public neighbours on both sides.
    #[test]
    fn networks_end_where_they_end() {
        let guard = Guard::default();
        let allows = |text: &str| guard.allows(text.parse().unwrap());
        for inside in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.255",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.0",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "2606:4700::5efe:7f00:1",
            "2606:4700::200:5efe:a00:1",
        ] {
            assert!(!allows(inside), "{inside}");
        }
        for outside in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "8.8.8.8",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "3ffe::1",
        ] {
            assert!(allows(outside), "{outside}");
        }
    }

    #[test]
    fn what_the_operator_allows_is_allowed_and_no_more() {
        let allowed = Networks::parse("10.1.0.0/16, fd12::/16").unwrap();
        let guard = Guard { allow_private: false, allowed };
        for (text, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::10.1.2.3", true),
            ("10.2.0.0", false),
            ("fd12::1", true),
            ("fd13::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(guard.allows(text.parse().unwrap()), expected, "{text}");
        }
        assert!(
            Guard { allow_private: true, allowed: Networks::default() }.allows("127.0.0.1".parse().unwrap())
        );
    }
}
