//! Which addresses are never dialled, whatever a policy, a redirect, a resolver or a configured URL says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why nothing is sent to `address`; `None` when it may be. An IPv6 form that carries an IPv4
/// address (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP) is judged by that too. A NAT64
/// prefix of a network's own cannot be known here.
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

/// Those of `found` that may be dialled; why not, when there are some and none may.
pub fn allowed(found: impl IntoIterator<Item = IpAddr>) -> Result<Vec<IpAddr>, &'static str> {
    let mut why = None;
    let keep = |ip: &IpAddr| {
        let refused = forbidden(*ip);
        why = why.or(refused);
        refused.is_none()
    };
    let allowed: Vec<IpAddr> = found.into_iter().filter(keep).collect();
    match why {
        Some(why) if allowed.is_empty() => Err(why),
        _ => Ok(allowed),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        // AWS, Azure, Google Cloud; ECS tasks and EKS pods; Alibaba Cloud; Azure's own agent; Oracle Cloud Classic.
        [169, 254, 169, 254]
        | [169, 254, 170, 2 | 23]
        | [100, 100, 100, 200]
        | [168, 63, 129, 16]
        | [192, 0, 0, 192] => Some("metadata service"),
        [169, 254, ..] => Some("link-local"),
        // 0.0.0.0/8 is "this network" (RFC 1122); Linux takes 0.0.0.0 for itself.
        [0, ..] => Some("unspecified"),
        [255, 255, 255, 255] => Some("broadcast"),
        [224..=239, ..] => Some("multicast"),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => return Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => return None,
        // EC2, EKS pods, Google Cloud.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            return Some("metadata service");
        }
        _ if address.is_unicast_link_local() => return Some("link-local"),
        _ if address.is_multicast() => return Some("multicast"),
        _ => {}
    }
    let readings = || embedded(address).into_iter().flatten().filter_map(forbidden_v4);
    // Of several readings the worst is told.
    readings().find(|why| *why == "metadata service").or_else(|| readings().next())
}

/// The IPv4 addresses that `address` may stand for on the wire.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // ::ffff:a.b.c.d (RFC 4291), ::a.b.c.d (deprecated), ::ffff:0:a.b.c.d (RFC 2765).
        [0, 0, 0, 0, 0, 0xffff | 0, h, l] | [0, 0, 0, 0, 0xffff, 0, h, l] => [v4(h, l), None, None, None],
        // NAT64, well-known prefix /96 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, h, l] => [v4(h, l), None, None, None],
        // NAT64, local prefix (RFC 8215): a network may use /96, /64, /56 or /48 of it (RFC 6052, 2.2). What a
        // reading takes for 0.0.0.0/8 is the filling of another.
        [0x64, 0xff9b, 1, a, b, c, d, e] => {
            [v4(d, e), v4(b << 8 | c >> 8, c << 8 | d >> 8), v4(a << 8 | b & 0xff, c), v4(a, b << 8 | c >> 8)]
                .map(|reading| reading.filter(|v4| v4.octets().first() != Some(&0)))
        }
        // 6to4 (RFC 3056).
        [0x2002, h, l, ..] => [v4(h, l), None, None, None],
        // Teredo: the client's address, inverted, and its server's (RFC 4380).
        [0x2001, 0, sh, sl, .., h, l] => [v4(!h, !l), v4(sh, sl), None, None],
        // ISATAP (RFC 5214).
        [_, _, _, _, 0 | 0x200, 0x5efe, h, l] => [v4(h, l), None, None, None],
        _ => [None; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_dialled_is_left_out_and_told_when_nothing_else_is_there() {
        let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        type Case<'a> = (&'a [&'a str], Result<&'a [&'a str], &'a str>);
        let cases: &[Case<'_>] = &[
            (&["169.254.169.254", "192.0.2.1"], Ok(&["192.0.2.1"])),
            (&["192.0.2.1", "fe80::1", "192.0.2.2"], Ok(&["192.0.2.1", "192.0.2.2"])),
            (&["fe80::1", "169.254.169.254"], Err("link-local")),
            (&[], Ok(&[])),
        ];
        for (found, expected) in cases {
            assert_eq!(allowed(ips(found)), expected.map(ips), "{found:?}");
        }
    }

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
            ("64:ff9b:1:7a9:fe:a9fe::", Some("metadata service")),
            ("64:ff9b:1:7:a9:fea9:fe00::", Some("metadata service")),
            ("64:ff9b:1::192.0.2.1", None),
            ("64:ff9b:1:c000:2:100::", None),
            ("64:ff9b:1:7:c0:2:100::", None),
            ("2001:db8::5efe:169.254.169.254", Some("metadata service")),
            ("2001:db8::200:5efe:224.0.0.1", Some("multicast")),
            ("2001:db8::5efe:192.0.2.1", None),
            ("2001:0:a9fe:a9fe::3fff:fdfe", Some("metadata service")),
            ("168.63.129.16", Some("metadata service")),
            ("168.63.129.17", None),
            ("192.0.0.192", Some("metadata service")),
            ("169.254.170.23", Some("metadata service")),
            ("fd00:ec2::23", Some("metadata service")),
            ("fd20:ce::254", Some("metadata service")),
            ("2002:a9fe:a9fe::1", Some("metadata service")),
            ("2002:a9fe:0001::1", Some("link-local")),
            ("2001:0:c000:201::5601:5601", Some("metadata service")),
        ];
        for (text, why) in cases {
            assert_eq!(forbidden(text.parse().unwrap()), *why, "{text}");
        }
    }
}
