//! To which addresses a webhook may be sent: those of the public internet, and the networks that the configuration
//! allows. A submission must not make the collector speak to what only the collector can reach. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// The rules for addresses.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Where webhooks may be sent besides.
    pub allow: Vec<IpNet>,
}

/// Where none is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is {address}, {kind}; an operator may allow its network with webhook_allow", host = named(.host, .address))]
pub struct Forbidden {
    pub host: String,
    pub address: IpAddr,
    kind: &'static str,
}

/// What is forbidden in IPv4 (RFC 6890 and its registry).
const V4: [(&str, Ipv4Addr, u8); 15] = [
    ("of this host", Ipv4Addr::new(0, 0, 0, 0), 8),
    ("a private address", Ipv4Addr::new(10, 0, 0, 0), 8),
    ("an address of a provider's own network", Ipv4Addr::new(100, 64, 0, 0), 10),
    ("a loopback address", Ipv4Addr::new(127, 0, 0, 0), 8),
    ("a link-local address", Ipv4Addr::new(169, 254, 0, 0), 16),
    ("a private address", Ipv4Addr::new(172, 16, 0, 0), 12),
    ("a reserved address", Ipv4Addr::new(192, 0, 0, 0), 24),
    ("a documentation address", Ipv4Addr::new(192, 0, 2, 0), 24),
    ("a reserved address", Ipv4Addr::new(192, 88, 99, 0), 24),
    ("a private address", Ipv4Addr::new(192, 168, 0, 0), 16),
    ("a benchmarking address", Ipv4Addr::new(198, 18, 0, 0), 15),
    ("a documentation address", Ipv4Addr::new(198, 51, 100, 0), 24),
    ("a documentation address", Ipv4Addr::new(203, 0, 113, 0), 24),
    ("a multicast address", Ipv4Addr::new(224, 0, 0, 0), 4),
    ("a reserved address", Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// What is forbidden in the part of IPv6 that is public at all, 2000::/3.
const V6: [(&str, Ipv6Addr, u8); 4] = [
    ("a reserved address", Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    ("a documentation address", Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // Each holds an IPv4 address, which may be any.
    ("an address of 6to4", Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    ("a documentation address", Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

impl Rules {
    /// `host` is what the address was found by.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        let canonical = address.to_canonical();
        if self.allow.iter().any(|network| network.contains(&canonical)) {
            return Ok(());
        }
        let kind = match canonical {
            IpAddr::V4(v4) => forbidden_v4(v4),
            IpAddr::V6(v6) => forbidden_v6(v6),
        };
        kind.map_or(Ok(()), |kind| Err(Forbidden { host: host.to_owned(), address, kind }))
    }

    /// What can be seen before a name is looked up.
    pub fn check_visible(&self, url: &Url) -> Result<(), Forbidden> {
        let host = url.host_str().unwrap_or_default();
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(host, address.into()),
            Some(Host::Ipv6(address)) => self.check(host, address.into()),
            // Loopback by definition (RFC 6761), however it is looked up.
            Some(Host::Domain(name)) if is_localhost(name) => self
                .check(host, Ipv4Addr::LOCALHOST.into())
                .or_else(|no| self.check(host, Ipv6Addr::LOCALHOST.into()).map_err(|_| no)),
            _ => Ok(()),
        }
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |(_, network, bits): &&(&str, Ipv4Addr, u8)| {
        let mask = u32::MAX << (32 - u32::from(*bits));
        address.to_bits() & mask == network.to_bits()
    };
    V4.iter().find(within).map(|(kind, ..)| *kind)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let within = |network: Ipv6Addr, bits: u8| {
        let mask = u128::MAX << (128 - u32::from(bits));
        address.to_bits() & mask == network.to_bits()
    };
    // NAT64: where a network without IPv4 reaches an IPv4 address, that one counts.
    if within(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96) {
        return forbidden_v4(Ipv4Addr::from_bits(address.to_bits() as u32));
    }
    if address.is_loopback() {
        return Some("a loopback address");
    }
    if !within(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3) {
        return Some("no public address");
    }
    V6.iter().find(|(_, network, bits)| within(*network, *bits)).map(|(kind, ..)| *kind)
}

/// An address that stands for itself is told once.
fn named(host: &str, address: &IpAddr) -> String {
    let is_literal = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|literal| literal == *address);
    if is_literal { "the receiver".to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_but_public_addresses_are_sent_to() {
        let rules = Rules::default();
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.0.1",
            "172.15.0.1",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2606:4700::1",
            "2001:200::1",
            "2a00::1",
            "3ffe::1",
        ] {
            assert_eq!(rules.check("h", public.parse().unwrap()), Ok(()), "{public}");
        }
        for (forbidden, kind) in [
            ("0.0.0.0", "of this host"),
            ("0.1.2.3", "of this host"),
            ("10.0.0.1", "a private address"),
            ("10.255.255.255", "a private address"),
            ("100.64.0.1", "a provider's own"),
            ("100.127.255.255", "a provider's own"),
            ("127.0.0.1", "a loopback"),
            ("127.255.0.1", "a loopback"),
            ("169.254.169.254", "a link-local"),
            ("172.16.0.1", "a private"),
            ("172.31.255.255", "a private"),
            ("192.0.0.8", "a reserved"),
            ("192.0.2.1", "a documentation"),
            ("192.88.99.1", "a reserved"),
            ("192.168.1.1", "a private"),
            ("198.19.0.1", "a benchmarking"),
            ("198.51.100.1", "a documentation"),
            ("203.0.113.1", "a documentation"),
            ("224.0.0.1", "a multicast"),
            ("239.255.255.255", "a multicast"),
            ("240.0.0.1", "a reserved"),
            ("255.255.255.255", "a reserved"),
            ("::", "no public"),
            ("::1", "a loopback"),
            ("::ffff:127.0.0.1", "a loopback"),
            ("::ffff:10.1.2.3", "a private"),
            // Compatible addresses of old.
            ("::127.0.0.1", "no public"),
            ("64:ff9b::10.0.0.1", "a private"),
            ("64:ff9b:1::1", "no public"),
            ("100::1", "no public"),
            ("2001::1", "a reserved"),
            ("2001:db8::1", "a documentation"),
            ("2002:7f00:1::1", "6to4"),
            ("3fff::1", "a documentation"),
            ("5f00::1", "no public"),
            ("fc00::1", "no public"),
            ("fd12::1", "no public"),
            ("fe80::1", "no public"),
            ("fec0::1", "no public"),
            ("ff02::1", "no public"),
        ] {
            let told = rules.check("h", forbidden.parse().unwrap()).unwrap_err().to_string();
            assert!(told.contains(kind), "{forbidden}: {told}");
        }
    }

    #[test]
    fn a_network_that_is_allowed_is_sent_to_and_no_other() {
        let rules = Rules { allow: vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()] };
        for (address, wanted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00::1", true),
            ("fc00::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(rules.check("h", address.parse().unwrap()).is_ok(), wanted, "{address}");
        }
    }

    #[test]
    fn what_a_url_shows_is_refused_before_anything_is_looked_up() {
        let rules = Rules::default();
        for (url, wanted) in [
            ("https://example.org/hook", None),
            ("https://1.1.1.1/", None),
            ("http://127.0.0.1:9/", Some("the receiver is 127.0.0.1, a loopback address; ")),
            // All of these are 127.0.0.1.
            ("http://2130706433/", Some("a loopback")),
            ("http://0x7f.1/", Some("a loopback")),
            ("http://017700000001/", Some("a loopback")),
            ("http://[::1]/", Some("the receiver is ::1, a loopback")),
            ("http://[::ffff:169.254.169.254]/", Some("a link-local")),
            ("http://localhost/", Some("localhost is 127.0.0.1, a loopback")),
            ("http://a.LOCALHOST./", Some("a loopback")),
        ] {
            let told = rules.check_visible(&url.parse().unwrap()).err().map(|no| no.to_string());
            assert_eq!(told.is_some(), wanted.is_some(), "{url}: {told:?}");
            assert!(told.unwrap_or_default().contains(wanted.unwrap_or_default()), "{url}");
        }
        let local = Rules { allow: vec!["::1/128".parse().unwrap()] };
        assert_eq!(local.check_visible(&"http://localhost/".parse().unwrap()), Ok(()));
    }
}
