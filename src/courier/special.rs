//! The networks that are not the public internet.
//!
//! Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its
//! updates), multicast and reserved space, and one address inside a public network that a cloud
//! gives to its own services. For IPv6 the rule is turned around: only 2000::/3 is in use at all,
//! so what lies outside is refused without being named.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use ipnet::Ipv4Net;
use ipnet::Ipv6Net;

/// The IPv6 space that is given out to the public internet.
const V6_GLOBAL: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

const V4: [(Ipv4Net, &str); 19] = [
    (v4([0, 0, 0, 0], 8), "this host"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "carrier-grade NAT"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([168, 63, 129, 16], 32), "cloud platform service"),
    (v4([169, 254, 0, 0], 16), "link-local, cloud metadata"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "IETF protocol assignments"),
    (v4([192, 0, 2, 0], 24), "documentation"),
    (v4([192, 31, 196, 0], 24), "AS112"),
    (v4([192, 52, 193, 0], 24), "AMT"),
    (v4([192, 88, 99, 0], 24), "6to4 relay"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([192, 175, 48, 0], 24), "AS112"),
    (v4([198, 18, 0, 0], 15), "benchmarking"),
    (v4([198, 51, 100, 0], 24), "documentation"),
    (v4([203, 0, 113, 0], 24), "documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([240, 0, 0, 0], 4), "reserved, broadcast"),
];

/// Inside [`V6_GLOBAL`].
const V6: [(Ipv6Net, &str); 6] = [
    // Teredo, benchmarking, AMT, AS112, ORCHID, ORCHIDv2 and drone ids are all in here.
    (v6([0x2001, 0, 0, 0], 23), "IETF protocol assignments"),
    (v6([0x2001, 0x0db8, 0, 0], 32), "documentation"),
    (v6([0x2002, 0, 0, 0], 16), "6to4"),
    (v6([0x2620, 0x004f, 0x8000, 0], 48), "AS112"),
    (v6([0x3ffe, 0, 0, 0], 16), "returned test network"),
    (v6([0x3fff, 0, 0, 0], 20), "documentation"),
];

/// Names for the better known parts of what lies outside [`V6_GLOBAL`].
const V6_OUTSIDE: [(Ipv6Net, &str); 8] = [
    (v6([0, 0, 0, 0], 64), "loopback, unspecified or IPv4-compatible"),
    (v6([0x0064, 0xff9b, 0, 0], 32), "NAT64"),
    (v6([0x0100, 0, 0, 0], 64), "discard-only"),
    (v6([0x5f00, 0, 0, 0], 16), "segment routing"),
    (v6([0xfc00, 0, 0, 0], 7), "private"),
    (v6([0xfe80, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0], 8), "multicast"),
];

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(high: [u16; 4], prefix: u8) -> Ipv6Net {
    let [a, b, c, d] = high;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// Why an address is not public; `None` if it is. Takes canonical addresses: an IPv4 address that
/// is mapped into IPv6 has to come as the IPv4 address.
pub fn why_special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => first(V4.iter().map(|(net, why)| (net.contains(&address), *why))),
        IpAddr::V6(address) if V6_GLOBAL.contains(&address) => {
            first(V6.iter().map(|(net, why)| (net.contains(&address), *why)))
        }
        IpAddr::V6(address) => {
            let known = V6_OUTSIDE.iter().map(|(net, why)| (net.contains(&address), *why));
            first(known).or(Some("not in use"))
        }
    }
}

fn first(mut hits: impl Iterator<Item = (bool, &'static str)>) -> Option<&'static str> {
    hits.find(|(hit, _)| *hit).map(|(_, why)| why)
}
