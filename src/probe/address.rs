//! Which addresses are never dialled, whatever a policy or a redirect says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why `address` is never probed; `None` when it may be. An IPv6 form that carries an IPv4
/// address (mapped, compatible, translated, NAT64, 6to4, Teredo) is judged by that too.
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        // AWS, Azure, Google Cloud, and ECS tasks; Alibaba Cloud.
        [169, 254, 169, 254] | [169, 254, 170, 2] | [100, 100, 100, 200] => Some("metadata service"),
        [169, 254, ..] => Some("link-local"),
        // 0.0.0.0/8 is "this network" (RFC 1122); Linux takes 0.0.0.0 for itself.
        [0, ..] => Some("unspecified"),
        [255, 255, 255, 255] => Some("broadcast"),
        [224..=239, ..] => Some("multicast"),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    const EC2: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        Ipv6Addr::UNSPECIFIED => return Some("unspecified"),
        Ipv6Addr::LOCALHOST => return None,
        EC2 => return Some("metadata service"),
        _ if address.is_unicast_link_local() => return Some("link-local"),
        _ if address.is_multicast() => return Some("multicast"),
        _ => {}
    }
    embedded(address).and_then(forbidden_v4)
}

/// The IPv4 address that `address` stands for on the wire.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // ::ffff:a.b.c.d (RFC 4291), ::a.b.c.d (deprecated), ::ffff:0:a.b.c.d (RFC 2765).
        [0, 0, 0, 0, 0, 0xffff | 0, h, l] | [0, 0, 0, 0, 0xffff, 0, h, l] => v4(h, l),
        // NAT64, well-known prefix /96 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, h, l] => v4(h, l),
        // NAT64, local prefix /48 (RFC 8215): either at its end or around the u-octet (RFC 6052 2.2).
        [0x64, 0xff9b, 1, 0, 0, 0, h, l] => v4(h, l),
        [0x64, 0xff9b, 1, h, m, l, ..] => v4(h, m << 8 | l >> 8),
        // 6to4 (RFC 3056).
        [0x2002, h, l, ..] => v4(h, l),
        // Teredo: the client's address, inverted (RFC 4380).
        [0x2001, 0, .., h, l] => v4(!h, !l),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_and_metadata_addresses_are_refused_in_every_disguise() {
        let cases: &[(&str, Option<&str>)] = &[
            ("192.0.2.10", None),
            ("127.0.0.1", None),
            ("10.0.0.1", None),
            ("100.100.100.201", None),
            ("::1", None),
            ("2001:db8::1", None),
            ("fd00:ec2::253", None),
            ("::ffff:127.0.0.1", None),
            ("64:ff9b::192.0.2.1", None),
            ("2002:c000:0201::1", None),
            ("0.0.0.0", Some("unspecified")),
            ("0.1.2.3", Some("unspecified")),
            ("::", Some("unspecified")),
            ("::ffff:0.0.0.0", Some("unspecified")),
            ("255.255.255.255", Some("broadcast")),
            ("224.0.0.1", Some("multicast")),
            ("239.255.255.255", Some("multicast")),
            ("ff02::1", Some("multicast")),
            ("169.254.0.1", Some("link-local")),
            ("fe80::1", Some("link-local")),
            ("febf::1", Some("link-local")),
            ("169.254.169.254", Some("metadata service")),
            ("169.254.170.2", Some("metadata service")),
            ("100.100.100.200", Some("metadata service")),
            ("fd00:ec2::254", Some("metadata service")),
            ("::ffff:169.254.169.254", Some("metadata service")),
            ("::169.254.169.254", Some("metadata service")),
            ("::ffff:0:169.254.169.254", Some("metadata service")),
            ("64:ff9b::169.254.169.254", Some("metadata service")),
            ("64:ff9b::100.100.100.200", Some("metadata service")),
            ("64:ff9b:1::169.254.169.254", Some("metadata service")),
            ("64:ff9b:1:a9fe:a9:fe00::", Some("metadata service")),
            ("2002:a9fe:a9fe::1", Some("metadata service")),
            ("2002:a9fe:0001::1", Some("link-local")),
            ("2001:0:1::5601:5601", Some("metadata service")),
        ];
        for (text, why) in cases {
            assert_eq!(forbidden(text.parse().unwrap()), *why, "{text}");
        }
    }
}
