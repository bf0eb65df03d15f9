//! Every request the controller can send goes through the policy of its records, alone and with others of its zone;
//! the same request without its fence, or with one change more, does not.

use failoverd::domain::{
    AddressSet, AliasTarget, ClusterName, Content, Epoch, InstanceName, Members, Policy as Managed, RecordName,
    TargetIdx, Ttl, UnixMs, WriteMode, ZoneId,
};
use failoverd::engine::fence::{FenceKind, FenceMode, FenceValue, fence_name, quote};
use failoverd::engine::intent::Kind;
use failoverd::engine::plan::{Ground, Plan, sets};
use failoverd::engine::zone::{Change, ChangeOp, Data, LiveSet};
use serde_json::{Value, json};

use super::module::{policy, zone};
use super::request::normal;
use super::rules::{Asked, Policy, Verdict};

const NAMES: [(&str, &[&str]); 4] = [
    ("www.example.com", &["A"]),
    ("example.com", &["A", "AAAA"]),
    ("*.shop.example.com", &["A", "AAAA"]),
    ("cdn.example.com", &["CNAME"]),
];

fn name(text: &str) -> RecordName {
    RecordName::new(text).unwrap()
}

fn contents(types: &[&str]) -> Vec<Content> {
    let addresses =
        |list: &[&str]| Content::Addresses(AddressSet::new(list.iter().map(|a| a.parse().unwrap())).unwrap());
    let alias =
        AliasTarget { name: name("lb.example.net"), zone_id: ZoneId::new("ZELB"), evaluate_target_health: true };
    match types {
        ["CNAME"] => vec![Content::Host(name("east.example.net"))],
        ["A"] => vec![addresses(&["192.0.2.1"]), addresses(&["192.0.2.1", "192.0.2.2"])],
        _ => vec![addresses(&["192.0.2.1", "2001:db8::1"]), Content::Alias(alias)],
    }
}

/// Every write of one record: each kind, each content, on each ground.
fn plans(record: &str, types: &[&str], write: WriteMode) -> Vec<Vec<Change>> {
    let mut managed: Managed = crate::building::policy("web", record);
    managed.failover.write = write;
    let apex = name("example.com");
    let fence = fence_name(&managed.records[0], &apex).unwrap();
    let mut all = Vec::new();
    for content in contents(types) {
        managed.targets[0].content = content.clone();
        // Nothing, the very same, another TTL, another content or kind.
        let stand = |content: &Content, ttl| sets(content, Ttl::new(ttl).unwrap(), &[]);
        let others = contents(types).into_iter().filter(|other| *other != content);
        let standing = [Vec::new(), stand(&content, 30), stand(&content, 300)];
        for standing in standing.into_iter().chain(others.map(|other| stand(&other, 30))) {
            for kind in Kind::ALL {
                for fenced in [false, true] {
                    let after = value(&managed, kind);
                    let before = fenced.then(|| LiveSet::values("TXT", 60, vec![quote("v=1 e=6 odd")]));
                    let ground = Ground { fence_name: fence.clone(), fence: before, standing: standing.clone(), after };
                    let to = Members::new([TargetIdx(0)]).unwrap();
                    let moved = Plan::publish(kind, &managed, to, Epoch(7), vec![ground.clone()]).unwrap();
                    let alone = Plan::fence_only(kind, &managed, Epoch(7), vec![ground]).unwrap();
                    all.extend([moved.changes(), alone.changes()]);
                }
            }
        }
    }
    all
}

fn value(managed: &Managed, kind: Kind) -> FenceValue {
    FenceValue {
        epoch: Epoch(7),
        policy: managed.id.clone(),
        cluster: ClusterName::new("prod").unwrap(),
        instance: InstanceName::new("a").unwrap(),
        attempt: "a-1".into(),
        written: UnixMs::from_secs(1_795_302_245),
        kind: FenceKind::Known(kind),
        moves: 0,
        mode: FenceMode::Auto,
        until: UnixMs(0),
        config: managed.config_hash.clone(),
        to: "east".into(),
    }
}

fn verdict(policy: &Policy, changes: &[Change]) -> Verdict {
    let key = |suffix: &str, of: fn(&Change) -> String| {
        (format!("route53:ChangeResourceRecordSets{suffix}").to_lowercase(), changes.iter().map(of).collect())
    };
    let op = |c: &Change| match c.op {
        ChangeOp::Delete => "DELETE".to_owned(),
        ChangeOp::Create => "CREATE".to_owned(),
        ChangeOp::Upsert => "UPSERT".to_owned(),
    };
    let keys = [
        key("NormalizedRecordNames", |c| normal(c.name.as_str())),
        key("RecordTypes", |c| c.rtype.clone()),
        key("Actions", op),
    ];
    let asked = Asked {
        action: "route53:ChangeResourceRecordSets".into(),
        resource: "arn:aws:route53:::hostedzone/Z1".into(),
        keys: keys.into(),
    };
    policy.decide(&asked).unwrap()
}

fn made(writes: impl Fn(&str) -> &'static str) -> Policy {
    let records: Vec<Value> =
        NAMES.iter().map(|(name, types)| json!({"name": name, "types": types, "write": writes(name)})).collect();
    Policy::parse(&policy(&json!({"zones": [zone("Z1", "example.com", json!(records))]}))).unwrap()
}

#[test]
fn whatever_the_controller_sends_is_allowed_and_the_same_without_its_fence_is_not() {
    let alike = |changes: &[Change], op, name: &str, rtype: &str| -> Vec<Change> {
        let data = Data::Values { ttl: 60, values: vec!["x".into()] };
        let more = Change { op, name: RecordName::new(name).unwrap(), rtype: rtype.into(), data };
        changes.iter().cloned().chain([more]).collect()
    };
    for (mode, word, not_asked) in
        [(WriteMode::Upsert, "upsert", None), (WriteMode::Swap, "swap", Some(ChangeOp::Upsert))]
    {
        let allowed = made(|_| word);
        let mut moved = 0;
        for (record, types) in NAMES {
            for changes in plans(record, types, mode) {
                let verdict_ = verdict(&allowed, &changes);
                assert!(verdict_.allowed, "{changes:#?}");
                assert_eq!(verdict_.by.len(), 1, "the statements do not overlap: {verdict_:?}");
                let bare: Vec<Change> = changes.iter().filter(|c| c.rtype != "TXT").cloned().collect();
                moved += usize::from(!bare.is_empty());
                assert!(!verdict(&allowed, &bare).allowed, "{bare:#?}");
                let deletes: Vec<Change> = changes.iter().filter(|c| c.op == ChangeOp::Delete).cloned().collect();
                assert!(!verdict(&allowed, &deletes).allowed, "{deletes:#?}");
                for more in [
                    alike(&changes, ChangeOp::Create, "other.example.com", "A"),
                    alike(&changes, ChangeOp::Create, "other._failoverd.example.com", "TXT"),
                    alike(&changes, ChangeOp::Create, record, "MX"),
                ] {
                    assert!(!verdict(&allowed, &more).allowed, "{more:#?}");
                }
                if let Some(op) = not_asked {
                    assert!(!verdict(&allowed, &alike(&changes, op, record, types[0])).allowed);
                }
            }
        }
        assert!(moved > 100, "{moved} moves looked at");
    }
}

#[test]
fn whatever_rides_together_in_one_zone_is_allowed_together() {
    let swaps = |record: &str| record == "www.example.com" || record == "cdn.example.com";
    let mixed = made(|record| if swaps(record) { "swap" } else { "upsert" });
    let mode = |record: &str| if swaps(record) { WriteMode::Swap } else { WriteMode::Upsert };
    let all: Vec<Vec<Change>> =
        NAMES.iter().flat_map(|(record, types)| plans(record, types, mode(record)).into_iter().step_by(7)).collect();
    for one in &all {
        assert!(verdict(&mixed, one).allowed, "{one:#?}");
        for other in all.iter().filter(|other| other[0].name != one[0].name) {
            let both: Vec<Change> = one.iter().chain(other).cloned().collect();
            assert!(verdict(&mixed, &both).allowed, "{both:#?}");
        }
    }
    // A document of one record of the zone refuses what its neighbour rides in.
    let alone = json!({"zones": [zone("Z1", "example.com", json!([{"name": "www.example.com", "write": "swap"}]))]});
    let alone = Policy::parse(&policy(&alone)).unwrap();
    let (www, apex) =
        (plans("www.example.com", &["A"], WriteMode::Swap), plans("example.com", &["A"], WriteMode::Upsert));
    assert!(verdict(&alone, &www[0]).allowed);
    assert!(!verdict(&alone, &[www[0].clone(), apex[0].clone()].concat()).allowed);
}
