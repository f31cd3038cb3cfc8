use std::net::SocketAddr;

use super::*;

/// Address, and the reason it is refused for; "" where it passes.
const TABLE: &[(&str, &str)] = &[
    // just outside of what is refused, and well known public ones
    ("1.1.1.1", ""),
    ("8.8.8.8", ""),
    ("9.255.255.255", ""),
    ("11.0.0.0", ""),
    ("100.63.255.255", ""),
    ("100.128.0.0", ""),
    ("126.255.255.255", ""),
    ("128.0.0.0", ""),
    ("168.63.129.15", ""),
    ("168.63.129.17", ""),
    ("169.253.255.255", ""),
    ("169.255.0.0", ""),
    ("172.15.255.255", ""),
    ("172.32.0.0", ""),
    ("191.255.255.255", ""),
    ("192.0.1.0", ""),
    ("192.167.255.255", ""),
    ("192.169.0.0", ""),
    ("198.17.255.255", ""),
    ("198.20.0.0", ""),
    ("223.255.255.255", ""),
    ("2001:200::1", ""),
    ("2001:4860:4860::8888", ""),
    ("2003::1", ""),
    ("2606:4700:4700::1111", ""),
    ("2a00:1450:4001:80b::200e", ""),
    // IPv4
    ("0.0.0.0", "this host"),
    ("0.1.2.3", "this host"),
    ("10.0.0.0", "private"),
    ("10.255.255.255", "private"),
    ("100.64.0.0", "carrier-grade NAT"),
    ("100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.255", "loopback"),
    ("168.63.129.16", "cloud platform service"),
    ("169.254.0.0", "link-local, cloud metadata"),
    ("169.254.169.254", "link-local, cloud metadata"),
    ("172.16.0.0", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.192", "IETF protocol assignments"),
    ("192.0.2.1", "documentation"),
    ("192.31.196.1", "AS112"),
    ("192.52.193.1", "AMT"),
    ("192.88.99.1", "6to4 relay"),
    ("192.168.0.0", "private"),
    ("192.168.255.255", "private"),
    ("192.175.48.1", "AS112"),
    ("198.18.0.0", "benchmarking"),
    ("198.19.255.255", "benchmarking"),
    ("198.51.100.7", "documentation"),
    ("203.0.113.7", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved, broadcast"),
    ("255.255.255.255", "reserved, broadcast"),
    // IPv4 inside IPv6
    ("::ffff:8.8.8.8", ""),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:10.1.2.3", "private"),
    ("::ffff:a9fe:a9fe", "link-local, cloud metadata"),
    ("::127.0.0.1", "loopback, unspecified or IPv4-compatible"),
    ("::8.8.8.8", "loopback, unspecified or IPv4-compatible"),
    ("::ffff:0:127.0.0.1", "loopback, unspecified or IPv4-compatible"),
    ("64:ff9b::7f00:1", "NAT64"),
    ("64:ff9b::808:808", "NAT64"),
    ("64:ff9b:1::a00:1", "NAT64"),
    ("2002:7f00:1::", "6to4"),
    ("2002:808:808::1", "6to4"),
    ("2001::1", "IETF protocol assignments"),
    ("2001:0:808:808::1", "IETF protocol assignments"),
    // IPv6
    ("::", "loopback, unspecified or IPv4-compatible"),
    ("::1", "loopback, unspecified or IPv4-compatible"),
    ("100::1", "discard-only"),
    ("400::1", "not in use"),
    ("1fff:ffff::1", "not in use"),
    ("2001:2::1", "IETF protocol assignments"),
    ("2001:10::1", "IETF protocol assignments"),
    ("2001:20::1", "IETF protocol assignments"),
    ("2001:1ff:ffff::1", "IETF protocol assignments"),
    ("2001:db8::1", "documentation"),
    ("2620:4f:8000::1", "AS112"),
    ("3ffe::1", "returned test network"),
    ("3fff::1", "documentation"),
    ("4000::1", "not in use"),
    ("5f00::1", "segment routing"),
    ("fc00::1", "private"),
    ("fd20:ce::254", "private"),
    ("fe80::1", "link-local"),
    ("febf:ffff::1", "link-local"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
    ("ffff::1", "multicast"),
];

fn rules() -> EgressRules {
    EgressRules { block_private: true, ..EgressRules::default() }
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn at(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 443)
}

#[test]
fn every_address_that_is_not_public_is_refused_for_its_reason() {
    let guard = Guard::new(&rules(), &[]);
    for (address, why) in TABLE {
        let got = guard.check(at(address)).map_or_else(|blocked| blocked.why, |()| "");
        assert_eq!(got, *why, "{address}");
    }
}

#[test]
fn without_the_rule_everything_passes() {
    let guard = Guard::new(&EgressRules::default(), &[]);
    assert!(TABLE.iter().all(|(address, _)| guard.check(at(address)).is_ok()));
}

#[test]
fn deny_wins_over_allow_and_allow_over_the_rule() {
    let mut rules = rules();
    rules.allow = nets(&["10.0.0.0/8", "fd00::/8"]);
    rules.deny = nets(&["10.9.0.0/16", "8.8.8.8/32"]);
    let guard = Guard::new(&rules, &nets(&["127.0.0.1/32"]));
    for passes in ["10.1.1.1", "::ffff:10.1.1.1", "fd00::1", "127.0.0.1"] {
        assert_eq!(guard.check(at(passes)), Ok(()), "{passes}");
    }
    for denied in ["10.9.1.1", "8.8.8.8", "::ffff:8.8.8.8"] {
        assert_eq!(guard.check(at(denied)).unwrap_err().why, "on the deny list", "{denied}");
    }
    assert_eq!(guard.check(at("127.0.0.2")).unwrap_err().why, "loopback");
    assert_eq!(guard.check(at("192.168.1.1")).unwrap_err().why, "private");
}

#[test]
fn postrider_does_not_call_itself_even_where_allowed() {
    let own = vec!["127.0.0.1:8420".parse().unwrap(), "0.0.0.0:9464".parse().unwrap()];
    let rules = EgressRules { own, ..EgressRules::default() };
    let guard = Guard::new(&rules, &nets(&["127.0.0.0/8"]));
    let why = |peer: &str| guard.check(peer.parse().unwrap()).map_err(|blocked| blocked.why);
    let own = Err("postrider itself listens there");
    assert_eq!(why("127.0.0.1:8420"), own);
    assert_eq!(why("[::ffff:127.0.0.1]:8420"), own);
    assert_eq!(why("0.0.0.0:8420"), own);
    assert_eq!(why("127.0.0.9:9464"), own);
    assert_eq!(why("[::1]:9464"), own);
    assert_eq!(why("127.0.0.1:8421"), Ok(()));
    assert_eq!(why("127.0.0.2:8420"), Ok(()));
}
