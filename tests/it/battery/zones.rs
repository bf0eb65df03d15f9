//! Names in every spelling, zones that come again, and two zones of one name.

use aws_sdk_route53::types::{
    Change as SdkChange, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType, Vpc, VpcRegion,
};
use failoverd::domain::ZoneRef;
use failoverd::engine::zone::ApiErrorKind;

use super::*;

pub async fn a_name_in_any_spelling_is_listed_as_one(env: &Env) {
    let zone = env.zone_name.as_str();
    let spellings = [
        (format!("\\052.{zone}."), format!("*.{zone}")),
        (format!("UPPER.{zone}"), format!("upper.{zone}")),
        (format!("Dotted.{}.", zone.to_uppercase()), format!("dotted.{zone}")),
        (format!("under\\137score.{zone}"), format!("under_score.{zone}")),
    ];
    let record = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
    let changes = spellings.iter().map(|(spelling, _)| {
        let set = ResourceRecordSet::builder().name(spelling).r#type(RrType::A).ttl(30);
        let set = set.resource_records(record.clone()).build().unwrap();
        SdkChange::builder().action(ChangeAction::Create).resource_record_set(set).build().unwrap()
    });
    let batch = ChangeBatch::builder().set_changes(Some(changes.collect())).build().unwrap();
    let request = raw_client(env.api).change_resource_record_sets().hosted_zone_id(env.zone.as_str());
    request.change_batch(batch).send().await.unwrap();
    let listing = env.reader.list_zone(&env.zone).await.result.unwrap();
    let mut found: Vec<&str> =
        listing.iter().filter(|(_, set)| set.rtype == "A").map(|(name, _)| name.as_str()).collect();
    found.sort_unstable();
    let mut wanted: Vec<&str> = spellings.iter().map(|(_, name)| name.as_str()).collect();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    let wild = name(&format!("*.{zone}"));
    let read = env.reader.read_record(&env.zone, &wild, &env.fence()).await.result.unwrap();
    assert_eq!(read.sets, [LiveSet::values("A", 30, vec!["192.0.2.1".into()])]);
}

pub async fn a_zone_deleted_and_made_again_has_a_new_id_and_the_old_one_is_gone(env: &Env) {
    let by_name = ZoneRef { name: Some(env.zone_name.clone()), id: None };
    raw_client(env.api).delete_hosted_zone().id(env.zone.as_str()).send().await.unwrap();
    let read = env.reader.read_record(&env.zone, &env.www(), &env.fence()).await;
    let by_id = ZoneRef { name: None, id: Some(env.zone.clone()) };
    let errors = [
        read.result.unwrap_err(),
        env.reader.list_zone(&env.zone).await.result.unwrap_err(),
        env.reader.resolve_zone(&by_id, false).await.unwrap_err(),
        env.reader.resolve_zone(&by_name, false).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ApiErrorKind::NoSuchZone, "{}", error.message);
    }
    let changes = [env.address_change(ChangeOp::Create, "192.0.2.1")];
    let answer = env.write(&changes).await;
    assert!(matches!(answer, WriteAnswer::Refused { code: RefusedCode::NoSuchZone, .. }), "{answer:?}");

    let again = create_zone(env.api, &env.zone_name).await;
    assert_ne!(again, env.zone);
    assert_eq!(env.reader.resolve_zone(&by_name, true).await.unwrap().id, again);
    let answer = env.writer.change(&again, &changes, "battery").await;
    assert!(matches!(answer, WriteAnswer::Accepted { .. }), "{answer:?}");
}

pub async fn a_private_and_a_public_zone_of_one_name_are_told_apart(env: &Env) {
    let vpc = Vpc::builder().vpc_region(VpcRegion::UsEast1).vpc_id(format!("vpc-{}", env.zone.as_str())).build();
    let request = raw_client(env.api).create_hosted_zone().name(format!("{}.", env.zone_name)).vpc(vpc);
    let made = request.caller_reference(format!("private-{}", env.zone_name)).send().await.unwrap();
    let private = ZoneId::new(made.hosted_zone().unwrap().id());
    let by_name = ZoneRef { name: Some(env.zone_name.clone()), id: None };
    let error = env.reader.resolve_zone(&by_name, true).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Other);
    for part in [
        format!("zone_id = \"{}\" for the public one", env.zone),
        format!("zone_id = \"{private}\" for the private one"),
    ] {
        assert!(error.message.contains(&part), "{}", error.message);
    }
    for (id, is_private) in [(&env.zone, false), (&private, true)] {
        let zone = ZoneRef { id: Some(id.clone()), ..by_name.clone() };
        let info = env.reader.resolve_zone(&zone, true).await.unwrap();
        assert_eq!((&info.id, info.private), (id, is_private));
    }
    let change = [env.address_change(ChangeOp::Create, "192.0.2.1")];
    let answer = env.writer.change(&private, &change, "battery").await;
    assert!(matches!(answer, WriteAnswer::Accepted { .. }), "{answer:?}");
    assert_eq!(env.read().await.sets, [], "the public zone does not have what the private one got");
}
