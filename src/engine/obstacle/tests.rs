//! What each surprise in a zone is called, and that without it nothing is said.

use super::*;
use crate::domain::{AddressSet, AliasTarget, ZoneId};
use crate::runtime::testing;

fn zone() -> ZoneInfo {
    ZoneInfo {
        id: ZoneId::new("Z1"),
        name: RecordName::new("example.com").unwrap(),
        name_servers: Vec::new(),
        private: false,
    }
}

fn with(record: &str, content: impl Fn(u8) -> Content) -> Policy {
    let mut policy = testing::policy("web", record);
    for (n, target) in (1u8..).zip(&mut policy.targets) {
        target.content = content(n);
    }
    policy
}

fn addresses(n: u8) -> Content {
    Content::Addresses(AddressSet::new([std::net::IpAddr::from([192, 0, 2, n])]).unwrap())
}

fn six(n: u8) -> Content {
    Content::Addresses(AddressSet::new([format!("2001:db8::{n}").parse().unwrap()]).unwrap())
}

fn host(n: u8) -> Content {
    Content::Host(RecordName::new(&format!("lb{n}.example.net")).unwrap())
}

fn balancer(n: u8) -> AliasTarget {
    AliasTarget {
        name: RecordName::new(&format!("lb{n}.elb.example.net")).unwrap(),
        zone_id: ZoneId::new("ZLB"),
        evaluate_target_health: true,
    }
}

fn alias(n: u8) -> Content {
    Content::Alias(balancer(n))
}

fn set(rtype: &str, value: &str) -> LiveSet {
    LiveSet::values(rtype, 30, vec![value.into()])
}

/// What is found, one line each: `!` blocks every target, `east!` one, `~` none.
fn found(policy: &Policy, live: &[LiveSet]) -> Vec<String> {
    let read = RecordRead { sets: live.to_vec(), fence: Vec::new() };
    let reads = vec![read; policy.records.len()];
    rehearse(policy, &reads, &zone(), true)
        .into_iter()
        .map(|o| {
            let mark = match o.blocks.as_slice() {
                [] => "~".to_owned(),
                all if all.len() == policy.targets.len() => "!".to_owned(),
                some => format!("{}!", some.iter().map(|t| t.as_str()).collect::<Vec<_>>().join("+")),
            };
            assert!(!o.next.is_empty());
            format!("{mark} {}", o.text)
        })
        .collect()
}

#[test]
fn each_surprise_is_named_and_without_it_nothing_is() {
    let www = "www.example.com";
    let routed = LiveSet { routing: Some("eu".into()), ..set("A", "192.0.2.1") };
    let checked = LiveSet { health_check: Some("hc-1".into()), ..set("A", "192.0.2.1") };
    let traffic = LiveSet { traffic_policy: Some("tp-1".into()), ..set("A", "192.0.2.1") };
    type Kind = fn(u8) -> Content;
    let cases: Vec<(Kind, LiveSet, LiveSet, &str)> = vec![
        (host, set("CNAME", "lb1.example.net."), set("TXT", "\"v=spf1\""), "! www.example.com has TXT already"),
        (host, set("CNAME", "lb1.example.net."), set("A", "192.0.2.1"), "! www.example.com has A already"),
        (addresses, set("A", "192.0.2.1"), set("CNAME", "Old.Example.NET."), "! www.example.com is a CNAME to Old"),
        (addresses, set("A", "192.0.2.1"), routed, "! www.example.com A has a set with a routing policy (set `eu`"),
        (addresses, set("A", "192.0.2.1"), checked, "! www.example.com A is steered by the Route 53 health check hc-1"),
        (addresses, set("A", "192.0.2.1"), traffic, "! www.example.com A belongs to the traffic policy instance tp-1"),
        (addresses, set("A", "192.0.2.1"), set("NS", "ns.example.net."), "! www.example.com is delegated to other"),
        (addresses, set("A", "192.0.2.1"), set("AAAA", "2001:db8::9"), "~ www.example.com AAAA publishes 2001:db8::9"),
        (six, set("AAAA", "2001:db8::1"), set("A", "192.0.2.9"), "~ www.example.com A publishes 192.0.2.9"),
        (
            addresses,
            set("HTTPS", "1 . alpn=h2,h3"),
            set("HTTPS", "1 . alpn=h2 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1"),
            "~ www.example.com HTTPS names addresses itself (ipv4hint 192.0.2.1, ipv6hint 2001:db8::1)",
        ),
        (
            addresses,
            set("SVCB", "1 WWW.example.com. port=8443"),
            set("SVCB", "1 pool.example.net."),
            "~ www.example.com SVCB leads to pool.example.net",
        ),
        (alias, LiveSet::alias("A", balancer(1)), set("CNAME", "x.example.net"), "! www.example.com is a CNAME to x."),
        (
            alias,
            LiveSet::alias("A", balancer(1)),
            set("A", "192.0.2.1"),
            "~ www.example.com A publishes 192.0.2.1 with TTL 30; the first write replaces it by an alias",
        ),
    ];
    for (kind, fine, bad, expected) in cases {
        let policy = with(www, kind);
        assert_eq!(found(&policy, std::slice::from_ref(&fine)), Vec::<String>::new(), "{fine:?}");
        let found = found(&policy, &[bad]);
        assert!(found.iter().any(|f| f.starts_with(expected)), "{expected}\n{found:#?}");
    }
}

#[test]
fn a_plain_family_beside_an_alias_stays_behind() {
    let policy = with("www.example.com", alias);
    let found = found(&policy, &[LiveSet::alias("A", balancer(1)), set("AAAA", "2001:db8::9")]);
    assert_eq!(found, ["~ www.example.com AAAA publishes 2001:db8::9 beside the alias: IPv6 clients would not move"]);
}

#[test]
fn the_apex_takes_no_cname_but_an_alias() {
    let soa = [set("SOA", "ns. host. 1 2 3 4 5"), set("NS", "ns.example.net.")];
    assert_eq!(
        found(&with("example.com", host), &soa),
        ["! example.com is the apex of its zone, where no CNAME may stand beside SOA and NS"]
    );
    for kind in [addresses as fn(u8) -> Content, alias] {
        assert_eq!(found(&with("example.com", kind), &soa), Vec::<String>::new());
    }
}

#[test]
fn names_that_cannot_be_written_are_known_before() {
    let label = "x".repeat(60);
    let long = format!("{label}.{label}.{label}.{}.example.com", "x".repeat(48));
    let found_at = |record: &str| found(&with(record, addresses), &[]);
    assert!(found_at(&long).iter().any(|f| f.starts_with("! ") && f.contains("no room for its fence")));
    assert_eq!(found_at(&long.replace(&"x".repeat(48), "xx")), Vec::<String>::new());
    assert!(found_at("www.example.org").iter().any(|f| f.starts_with("! www.example.org is no name of the zone")));
}

#[test]
fn a_target_that_points_to_its_own_record_is_no_candidate() {
    let policy = with("lb2.example.net", host);
    let in_net = ZoneInfo { name: RecordName::new("example.net").unwrap(), ..zone() };
    let found = rehearse(&policy, &[], &in_net, true);
    assert_eq!(found.iter().map(|o| o.blocks[0].as_str()).collect::<Vec<_>>(), Vec::<&str>::new(), "unread: unknown");
    let found = rehearse(&policy, &[RecordRead { sets: vec![], fence: vec![] }], &in_net, true);
    assert_eq!(found[0].text, "west would point lb2.example.net to itself");
    assert_eq!(found[0].blocks.iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["west"]);
}

#[test]
fn a_batch_that_no_request_holds_blocks_the_targets_in_it() {
    let many = |n: u8, count: u16| {
        let all = (0..count).map(|i| format!("2001:db8:{n}::{i:x}").parse().unwrap());
        Content::Addresses(AddressSet::new(all).unwrap())
    };
    let mut policy = with("www.example.com", |n| many(n, 400));
    assert_eq!(found(&policy, &[]), Vec::<String>::new());
    policy.answers = 2;
    assert!(found(&policy, &[])[0].starts_with("! a move takes 1602 values"), "{:?}", found(&policy, &[]));
    policy.answers = 1;
    policy.targets[1].content = many(2, 600);
    assert!(found(&policy, &[])[0].starts_with("west! a move takes 1202 values"), "{:?}", found(&policy, &[]));
}

#[test]
fn swap_must_be_able_to_name_what_it_replaces() {
    let mut policy = with("www.example.com", alias);
    let unreadable = LiveSet { ttl: None, ..LiveSet::values("A", 1, Vec::new()) };
    let odd = LiveSet { ttl: Some(60), ..LiveSet::alias("A", balancer(7)) };
    for (live, said) in [(unreadable, "an alias whose target cannot be read"), (odd, "an alias listed with a TTL")] {
        policy.failover.write = WriteMode::Upsert;
        assert!(!found(&policy, std::slice::from_ref(&live)).iter().any(|f| f.contains(said)));
        policy.failover.write = WriteMode::Swap;
        assert!(found(&policy, &[live]).iter().any(|f| f.starts_with("! ") && f.contains(said)));
    }
}

#[test]
fn a_private_zone_cannot_be_asked_by_its_delegation() {
    let policy = with("www.example.com", addresses);
    let private = ZoneInfo { private: true, ..zone() };
    let said = |info: &ZoneInfo, delegation| rehearse(&policy, &[], info, delegation).len();
    assert_eq!((said(&private, true), said(&private, false), said(&zone(), true)), (1, 0, 0));
}

#[test]
fn every_spelling_of_a_listed_name_is_the_same_name() {
    let policy = with("\\052.Example.COM.", host);
    for value in ["lb1.example.net", "LB1.Example.NET.", "\\154b1.example.net."] {
        assert_eq!(found(&policy, &[set("CNAME", value)]), Vec::<String>::new());
    }
    let own = with("*.example.com", |_| Content::Host(RecordName::new("\\052.EXAMPLE.com.").unwrap()));
    assert!(found(&own, &[])[0].contains("would point *.example.com to itself"));
}
