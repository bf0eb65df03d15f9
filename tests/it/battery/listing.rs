//! Zones, changes and listings larger than a page.

use std::collections::BTreeSet;

use failoverd::domain::ZoneRef;
use failoverd::engine::zone::{ApiErrorKind, ChangeStatus};

use super::*;

pub async fn a_zone_of_more_than_a_thousand_names_is_listed_completely(env: &Env) {
    let names: Vec<RecordName> = (0..1_050).map(|n| name(&format!("n{n:04}.{}", env.zone_name))).collect();
    for part in names.chunks(350) {
        let batch: Vec<Change> = part
            .iter()
            .map(|name| Change { name: name.clone(), ..env.address_change(ChangeOp::Create, "192.0.2.1") })
            .collect();
        env.accept(&batch).await;
    }
    let listing = env.reader.list_zone(&env.zone).await;
    let sets = listing.result.unwrap();
    let found: Vec<&str> = sets.iter().filter(|(_, set)| set.rtype == "A").map(|(name, _)| name.as_str()).collect();
    let distinct: BTreeSet<&str> = found.iter().copied().collect();
    let wanted: BTreeSet<&str> = names.iter().map(RecordName::as_str).collect();
    assert_eq!(distinct, wanted);
    assert_eq!(found.len(), 1_050, "a page was read twice");
    let apex: BTreeSet<&str> =
        sets.iter().filter(|(name, _)| name == env.zone_name.as_str()).map(|(_, set)| set.rtype.as_str()).collect();
    assert_eq!(apex, BTreeSet::from(["NS", "SOA"]));
    assert_eq!(listing.calls, 4);
    let one = name(&format!("n0700.{}", env.zone_name));
    let read = env.reader.read_record(&env.zone, &one, &env.fence()).await;
    assert_eq!((read.result.unwrap().sets.len(), read.calls), (1, 2));
}

/// Sixty weighted sets at one name: more than a page of `read_record`, cut by the identifier.
pub async fn a_page_may_end_between_two_sets_of_one_name(env: &Env) {
    weighted(env, 60).await;
    let read = env.reader.read_record(&env.zone, &env.www(), &env.fence()).await;
    assert_eq!(read.calls, 3);
    let read = read.result.unwrap();
    let ids: BTreeSet<&str> = read.sets.iter().filter_map(|set| set.routing.as_deref()).collect();
    assert_eq!((read.sets.len(), ids.len()), (60, 60));
    assert!(read.sets.iter().all(|set| !set.is_simple()));
}

async fn weighted(env: &Env, count: u32) {
    use aws_sdk_route53::types::{
        Change as SdkChange, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
    };
    let record = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
    let mut batch = ChangeBatch::builder();
    for n in 0..count {
        let set = ResourceRecordSet::builder()
            .name(format!("{}.", env.www()))
            .r#type(RrType::A)
            .set_identifier(format!("id{n:03}"))
            .weight(1)
            .ttl(30)
            .resource_records(record.clone())
            .build()
            .unwrap();
        batch =
            batch.changes(SdkChange::builder().action(ChangeAction::Create).resource_record_set(set).build().unwrap());
    }
    let batch = batch.build().unwrap();
    let request = raw_client(env.api).change_resource_record_sets().hosted_zone_id(env.zone.as_str());
    request.change_batch(batch).send().await.unwrap();
}

pub async fn a_zone_is_found_by_name_and_by_id(env: &Env) {
    let by = |name: Option<&RecordName>, id: Option<&ZoneId>| ZoneRef { name: name.cloned(), id: id.cloned() };
    for zone in [by(Some(&env.zone_name), None), by(None, Some(&env.zone)), by(Some(&env.zone_name), Some(&env.zone))] {
        for servers in [false, true] {
            let info = env.reader.resolve_zone(&zone, servers).await.unwrap();
            assert_eq!((&info.id, &info.name, info.private), (&env.zone, &env.zone_name, false));
            assert_eq!(info.name_servers.is_empty(), !servers, "{zone} {servers}: {info:?}");
        }
    }
    let absent = by(Some(&name("nobody-has-this.example")), None);
    assert_eq!(env.reader.resolve_zone(&absent, false).await.unwrap_err().kind, ApiErrorKind::NoSuchZone);
    let absent = by(None, Some(&ZoneId::new("Z00000000000000000000")));
    assert_eq!(env.reader.resolve_zone(&absent, false).await.unwrap_err().kind, ApiErrorKind::NoSuchZone);
    let wrong = by(Some(&name("nobody-has-this.example")), Some(&env.zone));
    assert_eq!(env.reader.resolve_zone(&wrong, false).await.unwrap_err().kind, ApiErrorKind::Other);
}

pub async fn two_zones_of_one_name_are_refused_until_an_id_says_which(env: &Env) {
    let twin = create_zone(env.api, &env.zone_name).await;
    assert_ne!(twin, env.zone);
    let by_name = ZoneRef { name: Some(env.zone_name.clone()), id: None };
    let error = env.reader.resolve_zone(&by_name, true).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Other);
    for part in [env.zone.as_str(), twin.as_str(), "zone_id"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
    let by_id = ZoneRef { id: Some(twin.clone()), ..by_name };
    assert_eq!(env.reader.resolve_zone(&by_id, true).await.unwrap().id, twin);
}

pub async fn a_change_is_pending_and_then_in_sync(env: &Env) {
    let change = env.accept(&[env.address_change(ChangeOp::Upsert, "192.0.2.1")]).await;
    assert!(!change.contains('/'), "{change}");
    assert_eq!(env.reader.change_status(&change).await, Ok(ChangeStatus::Pending));
    for _ in 0..200 {
        match env.reader.change_status(&change).await.unwrap() {
            ChangeStatus::Insync => return,
            ChangeStatus::Pending => tokio::time::sleep(Duration::from_millis(50)).await,
            ChangeStatus::Vanished => panic!("vanished"),
        }
    }
    panic!("never in sync");
}

pub async fn a_change_nobody_knows_has_vanished(env: &Env) {
    assert_eq!(env.reader.change_status("C00000000000000000000").await, Ok(ChangeStatus::Vanished));
}
