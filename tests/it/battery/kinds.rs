//! What a record may hold beside addresses: a CNAME, an alias, a set that somebody else steers.

use aws_sdk_route53::types::{
    AliasTarget as SdkAliasTarget, Change as SdkChange, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet,
    RrType,
};
use failoverd::domain::{AddressSet, AliasTarget, Content, Policy, WriteMode};
use failoverd::engine::intent::Kind;

use super::plans::{alias_of, fence_of, fence_only, host, policy, publish, publish_all, read, refused};
use super::*;

fn www(env: &Env, contents: [Content; 2]) -> Policy {
    policy(env, "web", env.www().as_str(), contents)
}

/// Puts one set as any other tool would.
async fn put(env: &Env, set: ResourceRecordSet) {
    let change = SdkChange::builder().action(ChangeAction::Create).resource_record_set(set).build().unwrap();
    let request = raw_client(env.api).change_resource_record_sets().hosted_zone_id(env.zone.as_str());
    request.change_batch(ChangeBatch::builder().changes(change).build().unwrap()).send().await.unwrap();
}

fn a_set(name: &str) -> aws_sdk_route53::types::builders::ResourceRecordSetBuilder {
    let record = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
    ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(30).resource_records(record)
}

pub async fn a_cname_moves_with_its_fence_and_a_stale_plan_stays_out(env: &Env) {
    let policy = www(env, [host("east.lb.example.net"), host("west.lb.example.net")]);
    let cname = |host: &str| vec![LiveSet::values("CNAME", 30, vec![host.into()])];
    env.accept(&publish(env, &policy, &read(env, &policy).await, 1, 0).changes()).await;
    let adopted = read(env, &policy).await;
    assert_eq!(adopted.sets, cname("east.lb.example.net."));

    let stale = publish(env, &policy, &adopted, 3, 0);
    env.accept(&publish(env, &policy, &adopted, 2, 1).changes()).await;
    let moved = read(env, &policy).await;
    assert_eq!(moved.sets, cname("west.lb.example.net."));
    env.refuse(&stale.changes()).await;
    assert_eq!(read(env, &policy).await, moved);

    let mut swapping = policy.clone();
    swapping.failover.write = WriteMode::Swap;
    let swap = publish(env, &swapping, &moved, 3, 0).changes();
    assert_eq!(
        swap.iter().map(|c| c.op).collect::<Vec<_>>(),
        [ChangeOp::Delete, ChangeOp::Delete, ChangeOp::Create, ChangeOp::Create]
    );
    env.accept(&swap).await;
    assert_eq!(read(env, &policy).await.sets, cname("east.lb.example.net."));
}

pub async fn an_alias_moves_a_and_aaaa_together_and_is_deleted_only_by_its_exact_self(env: &Env) {
    let (east, west) = (alias_of("east.lb.example.net"), alias_of("west.lb.example.net"));
    let policy = www(env, [Content::Alias(east.clone()), Content::Alias(west.clone())]);
    let both = |alias: &AliasTarget| ["A", "AAAA"].map(|rtype| LiveSet::alias(rtype, alias.clone())).to_vec();
    env.accept(&publish(env, &policy, &read(env, &policy).await, 1, 0).changes()).await;
    let adopted = read(env, &policy).await;
    assert_eq!(adopted.sets, both(&east));
    let stale = publish(env, &policy, &adopted, 3, 0);
    env.accept(&publish(env, &policy, &adopted, 2, 1).changes()).await;
    let moved = read(env, &policy).await;
    assert_eq!(moved.sets, both(&west));
    env.refuse(&stale.changes()).await;

    let delete = |rtype: &str, alias: &AliasTarget| Change {
        op: ChangeOp::Delete,
        name: env.www(),
        rtype: rtype.into(),
        data: Data::Alias(alias.clone()),
    };
    for wrong in [
        east.clone(),
        AliasTarget { evaluate_target_health: false, ..west.clone() },
        AliasTarget { zone_id: ZoneId::new("ZOTHER"), ..west.clone() },
    ] {
        let message = env.refuse(&[delete("A", &wrong), delete("AAAA", &west)]).await;
        assert!(message.contains("do not match the current values"), "{message}");
    }
    let mut swapping = policy.clone();
    swapping.failover.write = WriteMode::Swap;
    env.accept(&publish(env, &swapping, &moved, 3, 0).changes()).await;
    assert_eq!(read(env, &policy).await.sets, both(&east));
    env.accept(&[delete("A", &east), delete("AAAA", &east)]).await;
    assert_eq!(read(env, &policy).await.sets, []);
}

pub async fn an_upsert_turns_addresses_into_an_alias_and_back(env: &Env) {
    env.accept(&[env.address_change(ChangeOp::Create, "192.0.2.1")]).await;
    let alias = Change {
        data: Data::Alias(alias_of("east.lb.example.net")),
        ..env.address_change(ChangeOp::Upsert, "192.0.2.1")
    };
    env.accept(&[alias]).await;
    assert_eq!(env.read().await.sets, [LiveSet::alias("A", alias_of("east.lb.example.net"))]);
    env.accept(&[env.address_change(ChangeOp::Upsert, "192.0.2.2")]).await;
    assert_eq!(env.read().await.sets, [LiveSet::values("A", 30, vec!["192.0.2.2".into()])]);
}

pub async fn an_alias_of_a_name_that_cannot_be_spelt_is_no_set_of_values(env: &Env) {
    let odd = SdkAliasTarget::builder()
        .hosted_zone_id("ZELB")
        .dns_name("odd\\100name.example.net.")
        .evaluate_target_health(false)
        .build()
        .unwrap();
    let set = ResourceRecordSet::builder().name(format!("{}.", env.www())).r#type(RrType::A).alias_target(odd);
    put(env, set.build().unwrap()).await;
    let sets = env.read().await.sets;
    assert!(matches!(sets.as_slice(), [one] if one.is_unreadable_alias()), "{sets:?}");
}

pub async fn a_set_that_something_else_steers_says_what(env: &Env) {
    let name = format!("{}.", env.www());
    put(env, a_set(&name).set_identifier("blue").weight(1).health_check_id("hc-1").build().unwrap()).await;
    let sets = env.read().await.sets;
    let steered = LiveSet {
        routing: Some("blue".into()),
        health_check: Some("hc-1".into()),
        ..LiveSet::values("A", 30, vec!["192.0.2.1".into()])
    };
    assert_eq!(sets, [steered]);
    assert!(!sets[0].is_simple());
}

/// Somebody's hand on the fence is no reason to lose the record.
pub async fn a_fence_with_another_ttl_is_deleted_byte_for_byte_and_written_anew(env: &Env) {
    let policy = www(env, [host("east.lb.example.net"), host("west.lb.example.net")]);
    env.accept(&publish(env, &policy, &read(env, &policy).await, 1, 0).changes()).await;
    let before = read(env, &policy).await;
    let fence = before.fence[0].clone();
    let with = |op, ttl| Change {
        op,
        name: env.fence(),
        rtype: "TXT".into(),
        data: Data::Values { ttl, values: fence.values.clone() },
    };
    env.accept(&[with(ChangeOp::Upsert, 300)]).await;
    env.refuse(&publish(env, &policy, &before, 2, 1).changes()).await;
    let touched = read(env, &policy).await;
    assert_eq!(touched.fence[0].ttl, Some(300));
    env.accept(&publish(env, &policy, &touched, 2, 1).changes()).await;
    let after = read(env, &policy).await;
    assert_eq!((after.fence[0].ttl, after.sets[0].values[0].as_str()), (Some(60), "west.lb.example.net."));
}

/// The shapes of `takeover` and `release`: only the fence changes hands, and who had it is out.
pub async fn a_fence_changes_hands_alone_and_its_old_owner_is_out(env: &Env) {
    let policy = www(env, [host("east.lb.example.net"), host("west.lb.example.net")]);
    env.accept(&publish(env, &policy, &read(env, &policy).await, 7, 0).changes()).await;
    let ours = read(env, &policy).await;
    let owner = |read: &RecordRead| {
        let text = failoverd::engine::fence::unquote(&read.fence[0].values[0]).unwrap();
        let value = failoverd::engine::fence::FenceValue::parse(&text).unwrap();
        (value.cluster.as_str().to_owned(), value.epoch.0, value.mode.as_str())
    };

    let takeover = fence_only(env, &policy, &ours, Kind::Takeover, 8, "staging").changes();
    assert_eq!(
        takeover.iter().map(|c| (c.op, c.rtype.as_str())).collect::<Vec<_>>(),
        [(ChangeOp::Delete, "TXT"), (ChangeOp::Create, "TXT")]
    );
    env.accept(&takeover).await;
    let theirs = read(env, &policy).await;
    assert_eq!((owner(&theirs), &theirs.sets), (("staging".into(), 8, "auto"), &ours.sets));
    env.refuse(&publish(env, &policy, &ours, 8, 1).changes()).await;
    env.refuse(&takeover).await;

    env.accept(&fence_only(env, &policy, &theirs, Kind::Release, 9, "staging").changes()).await;
    let released = read(env, &policy).await;
    assert_eq!((owner(&released), &released.sets), (("staging".into(), 9, "released"), &ours.sets));
    env.accept(&fence_only(env, &policy, &released, Kind::Takeover, 10, "prod").changes()).await;
    let back = read(env, &policy).await;
    assert_eq!(owner(&back), ("prod".into(), 10, "auto"));
    env.accept(&publish(env, &policy, &back, 11, 1).changes()).await;
    assert_eq!(read(env, &policy).await.sets[0].values, ["west.lb.example.net."]);
}

pub async fn a_set_of_answers_shrinks_and_grows_with_its_fence(env: &Env) {
    for write in [WriteMode::Upsert, WriteMode::Swap] {
        let addresses =
            |list: [&str; 2]| Content::Addresses(AddressSet::new(list.map(|a| a.parse().unwrap())).unwrap());
        let mut policy = www(env, [addresses(["192.0.2.1", "2001:db8::1"]), addresses(["192.0.2.2", "2001:db8::2"])]);
        (policy.answers, policy.failover.write) = (2, write);
        let mut stale = None;
        for (epoch, kind, to) in
            [(1, Kind::Adopt, &[0, 1][..]), (2, Kind::Trim, &[1]), (3, Kind::Fill, &[0, 1]), (4, Kind::Failover, &[0])]
        {
            let epoch = epoch + if write == WriteMode::Swap { 10 } else { 0 };
            let before = read(env, &policy).await;
            env.accept(&publish_all(env, &policy, &before, kind, epoch, to).changes()).await;
            let after = read(env, &policy).await;
            let mut held: Vec<String> = after.sets.iter().flat_map(|s| s.values.clone()).collect();
            held.sort();
            let mut wanted: Vec<String> =
                to.iter().flat_map(|n| [format!("192.0.2.{}", n + 1), format!("2001:db8::{}", n + 1)]).collect();
            wanted.sort();
            assert_eq!(held, wanted, "{kind} by {write:?}");
            if let Some(old) = stale.replace(before) {
                env.refuse(&publish_all(env, &policy, &old, Kind::Trim, epoch + 1, &[1]).changes()).await;
                assert_eq!(read(env, &policy).await, after, "a stale trim changed something");
            }
        }
    }
}

pub async fn a_doubled_fence_is_repaired_by_exactly_its_values_and_a_rehearsal_rewrites_it_alone(env: &Env) {
    let policy = www(env, [host("east.lb.example.net"), host("west.lb.example.net")]);
    env.accept(&publish(env, &policy, &read(env, &policy).await, 7, 0).changes()).await;
    let one = read(env, &policy).await;
    let fence = |op, values: &[String]| Change {
        op,
        name: fence_of(env, &policy),
        rtype: "TXT".into(),
        data: Data::Values { ttl: 60, values: values.to_vec() },
    };
    let doubled = [one.fence[0].values.clone(), vec!["\"somebody's note\"".into()]].concat();
    env.accept(&[fence(ChangeOp::Upsert, &doubled)]).await;
    let two = read(env, &policy).await;
    assert_eq!(two.fence[0].values.len(), 2);
    env.refuse(&publish_all(env, &policy, &one, Kind::Adopt, 8, &[0]).changes()).await;
    env.accept(&publish_all(env, &policy, &two, Kind::Adopt, 8, &[0]).changes()).await;

    let repaired = read(env, &policy).await;
    assert_eq!((repaired.fence[0].values.len(), &repaired.sets), (1, &one.sets));
    let rehearsal = fence_only(env, &policy, &repaired, Kind::Rehearse, 9, "prod").changes();
    env.accept(&rehearsal).await;
    let rehearsed = read(env, &policy).await;
    assert!(rehearsed.fence[0].values[0].contains(" k=rehearse ") && rehearsed.sets == one.sets);
    env.refuse(&rehearsal).await;
    env.refuse(&publish(env, &policy, &repaired, 9, 1).changes()).await;
    env.accept(&publish(env, &policy, &rehearsed, 10, 1).changes()).await;
}

/// MiniStack checks none of these: the sandbox alone.
pub async fn neighbours_that_cannot_stand_together_are_refused_both_ways(env: &Env) {
    let values = |rtype: &str, value: &str| Change {
        rtype: rtype.into(),
        data: Data::Values { ttl: 30, values: vec![value.into()] },
        ..env.address_change(ChangeOp::Create, "192.0.2.1")
    };
    let cname = values("CNAME", "lb.example.net.");
    let said = format!("{}.", env.www());
    env.accept(&[values("A", "192.0.2.1")]).await;
    let message = env.refuse(std::slice::from_ref(&cname)).await;
    assert!(message.contains("conflicts with other records") && message.contains(&said), "{message}");
    env.accept(&[Change { op: ChangeOp::Delete, ..values("A", "192.0.2.1") }, cname]).await;
    for rtype in ["A", "AAAA", "TXT"] {
        let value = match rtype {
            "A" => "192.0.2.1",
            "AAAA" => "2001:db8::1",
            _ => "\"t\"",
        };
        let message = env.refuse(&[values(rtype, value)]).await;
        assert!(message.contains("conflicting RRSet of type CNAME") && message.contains(&said), "{message}");
    }
    let apex = Change { name: env.zone_name.clone(), ..values("CNAME", "lb.example.net.") };
    let message = refused(env, &[apex]).await;
    assert!(message.contains("is not permitted at apex"), "{message}");
}

/// MiniStack stores both: the sandbox alone.
pub async fn a_simple_set_is_refused_beside_a_weighted_one_and_the_other_way_round(env: &Env) {
    let weighted = |name: &RecordName| a_set(&format!("{name}.")).set_identifier("blue").weight(1).build().unwrap();
    put(env, weighted(&env.www())).await;
    for op in [ChangeOp::Create, ChangeOp::Upsert] {
        let message = env.refuse(&[env.address_change(op, "192.0.2.2")]).await;
        assert!(message.contains("cannot be created as other RRSets exist"), "{message}");
    }
    let simple = name(&format!("simple.{}", env.zone_name));
    env.accept(&[Change { name: simple.clone(), ..env.address_change(ChangeOp::Create, "192.0.2.1") }]).await;
    let change =
        SdkChange::builder().action(ChangeAction::Create).resource_record_set(weighted(&simple)).build().unwrap();
    let request = raw_client(env.api).change_resource_record_sets().hosted_zone_id(env.zone.as_str());
    let answer = request.change_batch(ChangeBatch::builder().changes(change).build().unwrap()).send().await;
    assert!(format!("{:?}", answer.unwrap_err()).contains("a simple RRSet exists"));
}

/// MiniStack looks at no alias target: the sandbox alone.
pub async fn an_alias_into_the_zone_needs_its_target(env: &Env) {
    let target = name(&format!("lb.{}", env.zone_name));
    let alias = AliasTarget { name: target.clone(), zone_id: env.zone.clone(), evaluate_target_health: false };
    let change = |rtype: &str| Change {
        rtype: rtype.into(),
        data: Data::Alias(alias.clone()),
        ..env.address_change(ChangeOp::Create, "192.0.2.1")
    };
    let message = env.refuse(&[change("A")]).await;
    assert!(message.contains("but that target was not found"), "{message}");
    env.accept(&[Change { name: target, ..env.address_change(ChangeOp::Create, "192.0.2.1") }, change("A")]).await;
    let message = env.refuse(&[change("AAAA")]).await;
    assert!(message.contains("type AAAA") && message.contains("but that target was not found"), "{message}");
}
