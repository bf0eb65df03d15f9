//! The rules of a batch, each shown by the smallest batch that breaks it.

use super::*;
use crate::sandbox::xml::listed_alias;
use crate::sandbox::zone::{AliasTarget, Routing, Zone};

fn name(text: &str) -> DnsName {
    DnsName::new(text).unwrap()
}

/// `NAME TTL TYPE VALUE,VALUE`; with ` id=weight` a weighted set; `NAME ALIAS TYPE TARGET ZONE`.
fn set(text: &str) -> RecordSet {
    let fields: Vec<&str> = text.splitn(4, ' ').collect();
    if fields[1] == "ALIAS" {
        let (target, zone) = fields[3].split_once(' ').unwrap();
        let alias = AliasTarget { hosted_zone_id: zone.into(), dns_name: target.into(), evaluate_target_health: false };
        return RecordSet::alias(name(fields[0]), fields[2], listed_alias(alias));
    }
    let (values, weight) = match fields[3].split_once(" id=") {
        Some((values, weight)) => (values, Some(weight)),
        None => (fields[3], None),
    };
    let values = values.split(',').map(str::to_owned).collect();
    let mut set = RecordSet::simple(name(fields[0]), fields[2], fields[1].parse().unwrap(), values);
    if let Some(weight) = weight {
        set.set_identifier = Some(format!("w{weight}"));
        set.routing = Some(Routing::Weighted(weight.parse().unwrap()));
    }
    set
}

/// One change a line: `ACTION NAME TTL TYPE VALUES`.
fn batch(text: &str) -> Batch {
    let change = |line: &str| {
        let (action, rest) = line.trim().split_once(' ').unwrap();
        let action = match action {
            "CREATE" => Action::Create,
            "DELETE" => Action::Delete,
            "UPSERT" => Action::Upsert,
            other => panic!("{other}"),
        };
        Change { action, set: set(rest) }
    };
    Batch { comment: None, changes: text.split(';').map(change).collect() }
}

/// As the zone Z1, beside a zone Z9.
fn run(zone: &DnsName, sets: &Sets, batch: &Batch) -> Result<Sets, Refusal> {
    let mut other = Zone::new("Z9".into(), name("other.example"), "other".into(), None);
    let lb = set("lb.other.example 60 A 192.0.2.50");
    other.sets = Arc::new(std::iter::once((lb.key(), Arc::new(lb))).collect());
    let ours = Zone::new("Z1".into(), zone.clone(), "ref".into(), None);
    apply(Place { id: "Z1", zone, all: &[ours, other] }, sets, batch)
}

fn zone() -> (DnsName, Sets) {
    let zone = Zone::new("Z1".into(), name("example.com"), "ref".into(), None);
    let before = "CREATE www.example.com 30 A 192.0.2.1,192.0.2.2; \
                  CREATE www._failoverd.example.com 60 TXT \"e=41\"; \
                  CREATE alias.example.com 30 CNAME www.example.com; \
                  CREATE pool.example.com 30 A 192.0.2.9 id=10";
    let sets = run(&zone.name, &zone.sets, &batch(before)).unwrap();
    (zone.name, sets)
}

fn message(text: &str) -> String {
    let (zone, sets) = zone();
    let refusal = run(&zone, &sets, &batch(text)).expect_err(text);
    assert_eq!(refusal.code(), "InvalidChangeBatch", "{text}");
    refusal.message()
}

#[test]
fn a_batch_that_breaks_a_rule_is_refused_in_the_services_words() {
    let cases = [
        (
            "CREATE www.example.com 30 A 192.0.2.3",
            "[Tried to create resource record set [name='www.example.com.', type='A'] but it already exists]",
        ),
        (
            "DELETE nix.example.com 30 A 192.0.2.3",
            "[Tried to delete resource record set [name='nix.example.com.', type='A'] but it was not found]",
        ),
        (
            "DELETE www.example.com 31 A 192.0.2.1,192.0.2.2",
            "[Tried to delete resource record set [name='www.example.com.', type='A'] but the values provided do not \
             match the current values]",
        ),
        (
            "DELETE www.example.com 30 A 192.0.2.1",
            "[Tried to delete resource record set [name='www.example.com.', type='A'] but the values provided do not \
             match the current values]",
        ),
        (
            "DELETE pool.example.com 30 A 192.0.2.9 id=11",
            "[Tried to delete resource record set [name='pool.example.com.', type='A', set identifier='w11'] but it \
             was not found]",
        ),
        (
            "CREATE www.example.org 30 A 192.0.2.3",
            "[RRSet with DNS name www.example.org. is not permitted in zone example.com.]",
        ),
        (
            "CREATE wwwexample.com 30 A 192.0.2.3",
            "[RRSet with DNS name wwwexample.com. is not permitted in zone example.com.]",
        ),
        (
            "CREATE example.com 30 CNAME www.example.org",
            "[RRSet of type CNAME with DNS name example.com. is not permitted at apex in zone example.com.]",
        ),
        (
            "CREATE www.example.com 30 CNAME www.example.org",
            "[RRSet of type CNAME with DNS name www.example.com. is not permitted as it conflicts with other records \
             with the same DNS name in zone example.com.]",
        ),
        (
            "CREATE alias.example.com 30 A 192.0.2.3",
            "[RRSet of type A with DNS name alias.example.com. is not permitted because a conflicting RRSet of type \
             CNAME with the same DNS name already exists in zone example.com.]",
        ),
        (
            "UPSERT pool.example.com 30 A 192.0.2.3",
            "[RRSet with DNS name pool.example.com., type A cannot be created as other RRSets exist with the same \
             name and type.]",
        ),
        (
            "CREATE www.example.com 30 A 192.0.2.3 id=1",
            "[RRSet with DNS name www.example.com., type A, SetIdentifier w1 cannot be created as a simple RRSet \
             exists with the same name and type.]",
        ),
        (
            "CREATE a.example.com 30 A 999.1.1.1",
            "[Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) \
             encountered with '999.1.1.1'']",
        ),
        (
            "CREATE a.example.com 30 TXT bare",
            "[Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should be enclosed in quotation \
             marks) encountered with 'bare'']",
        ),
        ("CREATE a.example.com 30 A 192.0.2.3,192.0.2.3", "[Duplicate Resource Record: '192.0.2.3']"),
        (
            "UPSERT a.example.com 30 A 192.0.2.3; UPSERT a.example.com 30 A 192.0.2.4",
            "[The request contains an invalid set of changes for a resource record set 'A a.example.com.']",
        ),
        (
            "DELETE www.example.com 30 A 192.0.2.1,192.0.2.2; DELETE www.example.com 30 A 192.0.2.1,192.0.2.2",
            "[The request contains an invalid set of changes for a resource record set 'A www.example.com.']",
        ),
        (
            "DELETE example.com 172800 NS \
             ns-1.sandbox.invalid.,ns-2.sandbox.invalid.,ns-3.sandbox.invalid.,ns-4.sandbox.invalid.",
            "[A HostedZone must contain at least one NS record for the zone itself.]",
        ),
        (
            "DELETE example.com 900 SOA ns-1.sandbox.invalid. hostmaster.sandbox.invalid. 1 7200 900 1209600 86400",
            "[A HostedZone must contain exactly one SOA record.]",
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(message(text), wanted, "{text}");
    }
}

#[test]
fn syntax_of_the_whole_batch_comes_before_any_change_is_tried() {
    let text = "CREATE www.example.com 30 A 192.0.2.3; CREATE b.example.com 30 A 1.2.3";
    assert!(message(text).contains("ARRDATAIllegalIPv4Address"));
    assert!(!message(text).contains("already exists"));
    let both = "CREATE www.example.com 30 A 192.0.2.3; DELETE nix.example.com 30 A 192.0.2.3";
    assert!(message(both).contains("already exists") && message(both).contains("not found"));
}

#[test]
fn a_stale_fence_changes_nothing_and_a_right_one_everything() {
    let (zone, sets) = zone();
    let fenced = |old: &str, new: &str| {
        batch(&format!(
            "DELETE www._failoverd.example.com 60 TXT \"e={old}\"; \
             CREATE www._failoverd.example.com 60 TXT \"e={new}\"; \
             UPSERT www.example.com 30 A 192.0.2.77"
        ))
    };
    let next = run(&zone, &sets, &fenced("41", "42")).unwrap();
    assert_eq!(next[&set("www.example.com 30 A x").key()].values, ["192.0.2.77"]);
    let stale = run(&zone, &next, &fenced("41", "43")).expect_err("the fence is at 42");
    assert!(stale.message().contains("do not match the current values"));
}

#[test]
fn legal_edits_are_applied() {
    let (zone, sets) = zone();
    for text in [
        "UPSERT www.example.com 60 A 192.0.2.5",
        "DELETE www.example.com 30 A 192.0.2.2,192.0.2.1",
        "CREATE www.example.com 30 AAAA 2001:db8::1",
        "CREATE pool.example.com 30 A 192.0.2.8 id=5",
        "CREATE *.example.com 30 A 192.0.2.8",
        "DELETE alias.example.com 30 CNAME www.example.com; CREATE alias.example.com 30 A 192.0.2.1",
        "UPSERT example.com 300 NS ns.example.net.",
    ] {
        run(&zone, &sets, &batch(text)).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
    }
}

#[test]
fn an_upsert_counts_twice_against_both_limits() {
    let (zone, sets) = zone();
    let many = |action: &str, n: usize, value: &dyn Fn(usize) -> String| {
        let lines: Vec<String> = (0..n).map(|i| format!("{action} n{i}.example.com 30 TXT \"{}\"", value(i))).collect();
        run(&zone, &sets, &batch(&lines.join("; "))).map_err(|refusal| refusal.message())
    };
    let short = |i: usize| i.to_string();
    assert!(many("CREATE", 1000, &short).is_ok());
    assert_eq!(many("CREATE", 1001, &short).unwrap_err(), "[Number of records limit of 1000 exceeded.]");
    assert!(many("UPSERT", 500, &short).is_ok());
    assert_eq!(many("UPSERT", 501, &short).unwrap_err(), "[Number of records limit of 1000 exceeded.]");
    let fat = |_: usize| "x".repeat(198);
    assert!(many("CREATE", 160, &fat).is_ok(), "160 × 200 = 32,000");
    assert_eq!(many("CREATE", 161, &fat).unwrap_err(), "[RDATA character limit of 32000 exceeded.]");
    assert!(many("UPSERT", 80, &fat).is_ok());
    assert_eq!(many("UPSERT", 81, &fat).unwrap_err(), "[RDATA character limit of 32000 exceeded.]");
}

#[test]
fn an_alias_must_lead_to_a_set_of_its_type_and_never_back() {
    let targets = |target: &str, zone: &str, why: &str| {
        format!("Tried to create an alias that targets {target}, type A in zone {zone}, but {why}")
    };
    let missing = "that target was not found";
    let outside = "the alias target name does not lie within the target zone";
    let looped = |rtype: &str, name: &str| {
        format!(
            "RRSet of type {rtype} with DNS name {name} is not permitted as it creates a CNAME or alias loop in the zone."
        )
    };
    let cases = [
        ("CREATE a.example.com ALIAS A nix.example.com Z1", vec![targets("nix.example.com.", "Z1", missing)]),
        ("CREATE a.example.com ALIAS A alias.example.com Z1", vec![targets("alias.example.com.", "Z1", missing)]),
        (
            "CREATE a.example.com ALIAS A lb.example.net Z1",
            vec![targets("lb.example.net.", "Z1", outside), targets("lb.example.net.", "Z1", missing)],
        ),
        (
            "CREATE a.example.com ALIAS A www.example.com ZELB",
            vec![targets("www.example.com.", "ZELB", outside), targets("www.example.com.", "ZELB", missing)],
        ),
        ("CREATE a.example.com ALIAS A nix.other.example Z9", vec![targets("nix.other.example.", "Z9", missing)]),
        (
            "CREATE a.example.com ALIAS A b.example.com Z1; CREATE b.example.com 30 A 192.0.2.1",
            vec![targets("b.example.com.", "Z1", missing)],
        ),
        ("UPSERT www.example.com ALIAS A WWW.example.com Z1", vec![looped("A", "www.example.com.")]),
        (
            "CREATE a.example.com ALIAS A a.example.com Z1",
            vec![targets("a.example.com.", "Z1", missing), looped("A", "a.example.com.")],
        ),
        (
            "CREATE a.example.com ALIAS A www.example.com Z1; UPSERT www.example.com ALIAS A a.example.com Z1",
            vec![looped("A", "www.example.com.")],
        ),
        ("CREATE c.example.com 30 CNAME c.example.com", vec![looped("CNAME", "c.example.com.")]),
        (
            "CREATE c.example.com 30 CNAME d.example.com; CREATE d.example.com 30 CNAME c.example.com",
            vec![looped("CNAME", "d.example.com.")],
        ),
        (
            "CREATE pool.example.com ALIAS A www.example.com Z1",
            vec![
                "RRSet with DNS name pool.example.com., type A cannot be created as other RRSets exist with the same \
                 name and type."
                    .into(),
            ],
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(message(text), format!("[{}]", wanted.join(", ")), "{text}");
    }
    let (zone, sets) = zone();
    for text in [
        "CREATE a.example.com ALIAS A www.example.com Z1",
        "CREATE a.example.com ALIAS A lb.other.example Z9",
        "CREATE a.example.com ALIAS A lb.example.net ZELB; CREATE a.example.com ALIAS AAAA lb.example.net ZELB",
        "CREATE a.example.com ALIAS A lb.example.net ZELB; CREATE a.example.com 30 AAAA 2001:db8::1",
        "CREATE example.com ALIAS A www.example.com Z1",
        "CREATE a.example.com ALIAS CNAME alias.example.com Z1",
        "CREATE b.example.com 30 A 192.0.2.1; CREATE a.example.com ALIAS A b.example.com Z1",
        "UPSERT www.example.com ALIAS A lb.example.net ZELB",
        "CREATE a.example.com ALIAS A www.example.com Z1; CREATE b.example.com ALIAS A a.example.com Z1",
    ] {
        run(&zone, &sets, &batch(text)).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
    }
}

#[test]
fn an_alias_is_deleted_only_by_its_exact_self() {
    let (zone, sets) = zone();
    let mut alias = set("a.example.com 0 A x");
    (alias.ttl, alias.values) = (None, Vec::new());
    let to =
        |host: &str| AliasTarget { hosted_zone_id: "Z2".into(), dns_name: host.into(), evaluate_target_health: false };
    alias.alias = Some(to("lb.example.net."));
    let one = |action, set: &RecordSet| Batch { comment: None, changes: vec![Change { action, set: set.clone() }] };
    let with = run(&zone, &sets, &one(Action::Create, &alias)).unwrap();
    let mut other = alias.clone();
    other.alias = Some(to("other.example.net."));
    assert!(run(&zone, &with, &one(Action::Delete, &other)).is_err());
    assert_eq!(run(&zone, &with, &one(Action::Delete, &alias)).unwrap(), sets);
}
