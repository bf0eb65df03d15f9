//! Addresses that nothing is sent to, in every spelling that some parser somewhere takes for one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use failoverd::domain::address;
use url::{Host, Url};

/// As a host in a URL; IPv6 in brackets.
pub const SPELLINGS: &[&str] = &[
    // 169.254.169.254 in decimal, octal, hex, short and mixed.
    "169.254.169.254",
    "169.254.169.254.",
    "2852039166",
    "2852039166.",
    "0xa9fea9fe",
    "0xA9FEA9FE",
    "0XA9FEA9FE",
    "0x0000000000a9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0xA9.0xFE.0xA9.0xFE",
    "0xa9.254.169.254",
    "169.0xfe.169.0xfe",
    "0x000000a9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "00251.00376.00251.00376",
    "0000251.0376.000251.00000376",
    "025177524776",
    "0025177524776",
    "169.16689662",
    "169.254.43518",
    "0xa9.16689662",
    "0xa9.0xfea9fe",
    "0251.0xfea9fe",
    "0251.254.0124776",
    "169.254.0xa9fe",
    "169.254.0251.0xfe",
    "0xa9.0376.43518",
    // Percent-encoded, and characters that normalise to digits, letters and dots.
    "%31%36%39.254.169.254",
    "169%2e254%2e169%2e254",
    "169.254.169%2E254",
    "%30xa9fea9fe",
    "１６９.２５４.１６９.２５４",
    "169。254。169。254",
    "169．254．169．254",
    "169｡254｡169｡254",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "¹⁶⁹.²⁵⁴.¹⁶⁹.²⁵⁴",
    "₁₆₉.₂₅₄.₁₆₉.₂₅₄",
    "𝟏𝟔𝟗.𝟐𝟓𝟒.𝟏𝟔𝟗.𝟐𝟓𝟒",
    "０ｘＡ９ＦＥＡ９ＦＥ",
    "２８５２０３９１６６",
    "169.254.169.254\u{ad}",
    "1\u{ad}69.254.169.254",
    "169.254.\u{200b}169.254",
    // White space and control characters.
    " 169.254.169.254",
    "169.254.169.254 ",
    "169.254.169.254\t",
    "169.254\t.169.254",
    "169.254.169.254%20",
    "169.254.169.254%00",
    // Somebody else's name in front of it, or behind it.
    "user@169.254.169.254",
    "www.example.com@169.254.169.254",
    "127.0.0.1@169.254.169.254",
    "127.0.0.1:80@169.254.169.254",
    "user:password@0xa9fea9fe",
    "169.254.169.254#@127.0.0.1",
    "169.254.169.254?@127.0.0.1",
    "169.254.169.254/@127.0.0.1",
    "169.254.169.254\\@127.0.0.1",
    // Others of IPv4: containers, pods, link-local, other clouds, this network, broadcast, multicast.
    "169.254.170.2",
    "0xa9feaa02",
    "169.254.170.23",
    "169.254.0.1",
    "169.254.255.255",
    "100.100.100.200",
    "0x646464c8",
    "1684301000",
    "0144.0144.0144.0310",
    "168.63.129.16",
    "0xa83f8110",
    "192.0.0.192",
    "0.0.0.0",
    "0",
    "00",
    "0x0",
    "0.0",
    "0.0.0",
    "0.1.2.3",
    "255.255.255.255",
    "4294967295",
    "0xffffffff",
    "037777777777",
    "224.0.0.1",
    "3758096385",
    "239.255.255.250",
    // IPv6: unspecified, metadata, link-local with and without a zone, multicast.
    "[::]",
    "[::0]",
    "[0:0:0:0:0:0:0:0]",
    "[0000:0000:0000:0000:0000:0000:0000:0000]",
    "[::0.0.0.0]",
    "[fd00:ec2::254]",
    "[FD00:EC2::254]",
    "[fd00:0ec2::0254]",
    "[fd00:ec2:0:0:0:0:0:254]",
    "[fd00:ec2::0.0.2.84]",
    "[fd00:0ec2:0000:0000:0000:0000:0000:0254]",
    "[fd00:ec2::23]",
    "[fd20:ce::254]",
    "[fe80::1]",
    "[FE80::1]",
    "[fe80::a9fe:a9fe]",
    "[fe80::169.254.169.254]",
    "[febf:ffff::1]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[fe80::1%1]",
    "[ff02::1]",
    "[FF05::2]",
    "[ff01::1]",
    "[ff0e::1]",
    // IPv4 carried by IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP.
    "[::ffff:169.254.169.254]",
    "[::FFFF:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:A9FE:A9FE]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[0000:0000:0000:0000:0000:ffff:a9fe:a9fe]",
    "[0::ffff:169.254.169.254]",
    "[::ffff:0.0.0.0]",
    "[::ffff:224.0.0.1]",
    "[::ffff:100.100.100.200]",
    "[::169.254.169.254]",
    "[::a9fe:a9fe]",
    "[::ffff:0:169.254.169.254]",
    "[::ffff:0:a9fe:a9fe]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[0064:ff9b::a9fe:a9fe]",
    "[64:FF9B::A9FE:A9FE]",
    "[64:ff9b::100.100.100.200]",
    "[64:ff9b:1::169.254.169.254]",
    "[64:ff9b:1:a9fe:a9:fe00::]",
    "[64:ff9b:1:7a9:fe:a9fe::]",
    "[64:ff9b:1:7:a9:fea9:fe00::]",
    "[2002:a9fe:a9fe::]",
    "[2002:a9fe:a9fe::1]",
    "[2002:A9FE:A9FE:1::1]",
    "[2002:6464:64c8::1]",
    "[2001:0:c000:201::5601:5601]",
    "[2001:0000:c000:0201:0:0:5601:5601]",
    "[2001::5601:5601]",
    "[2001:0:a9fe:a9fe::3fff:fdfe]",
    "[2001:db8::5efe:169.254.169.254]",
    "[2001:db8::200:5efe:a9fe:a9fe]",
    "[fe80::5efe:a9fe:a9fe]",
];

/// Without the brackets.
pub fn bare(spelling: &str) -> &str {
    spelling.strip_prefix('[').and_then(|s| s.strip_suffix(']')).unwrap_or(spelling)
}

/// The address that a browser's rules read out of a spelling.
pub fn meant(spelling: &str) -> Option<IpAddr> {
    match Url::parse(&format!("http://{spelling}/")).ok()?.host()? {
        Host::Ipv4(v4) => Some(v4.into()),
        Host::Ipv6(v6) => Some(v6.into()),
        Host::Domain(_) => None,
    }
}

/// Every address that is meant, once.
pub fn addresses() -> BTreeSet<IpAddr> {
    SPELLINGS.iter().filter_map(|spelling| meant(spelling)).collect()
}

/// Spellings that the C library reads as an address by itself, without asking anybody; no brackets.
pub fn numeric() -> impl Iterator<Item = &'static str> {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit() || b".xX".contains(&b)) && !s.ends_with('.');
    let read = SPELLINGS.iter().copied().filter(|s| meant(s).is_some()).map(bare);
    read.filter(move |s| digits(s) || s.parse::<IpAddr>().is_ok())
}

#[test]
fn there_are_enough_spellings_no_two_alike_and_each_that_is_read_is_forbidden() {
    let unique: BTreeSet<&str> = SPELLINGS.iter().copied().collect();
    assert_eq!(unique.len(), SPELLINGS.len());
    assert!(SPELLINGS.len() >= 120, "{}", SPELLINGS.len());
    for spelling in SPELLINGS {
        if let Some(ip) = meant(spelling) {
            assert!(address::forbidden(ip).is_some(), "{spelling} is {ip}");
        }
    }
    assert!(addresses().len() >= 40, "{}", addresses().len());
    let read = SPELLINGS.iter().filter(|s| meant(s).is_some()).count();
    assert!(read >= 120, "{read} are read as an address; the others are no URL to anybody");
    assert!(numeric().count() >= 80, "{}", numeric().count());
    // The twin: spellings of an address that is allowed.
    for spelling in ["127.0.0.1", "2130706433", "0x7f000001", "127.1", "[::1]", "[::ffff:127.0.0.1]"] {
        assert_eq!(address::forbidden(meant(spelling).unwrap()), None, "{spelling}");
    }
}
