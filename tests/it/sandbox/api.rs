//! The REST-XML side through the real SDK.

use std::time::Duration;

use aws_sdk_route53::error::ProvideErrorMetadata;
use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError as ChangeError;
use aws_sdk_route53::types::{AliasTarget, ChangeAction, ChangeBatch, ResourceRecordSet, RrType};
use failoverd::sandbox::{Fault, HistoryResult, SandboxConfig};

use super::rig::{Refused, change, client, rig, rig_with, set, until};

const SEED: &str = "CREATE www.example.com 30 A 192.0.2.1; CREATE www._failoverd.example.com 60 TXT \"e=41\"";

fn fenced(old: u32, new: u32, value: &str) -> String {
    format!(
        "DELETE www._failoverd.example.com 60 TXT \"e={old}\"; CREATE www._failoverd.example.com 60 TXT \"e={new}\"; \
         UPSERT www.example.com 30 A {value}"
    )
}

fn batch_error(refused: Refused) -> String {
    match refused.into_service_error() {
        ChangeError::InvalidChangeBatch(error) => error.message.expect("a message"),
        other => panic!("not InvalidChangeBatch: {other:?}"),
    }
}

#[tokio::test]
async fn a_refused_batch_is_a_typed_error_with_the_services_words_and_changes_nothing() {
    let rig = rig().await;
    rig.send(SEED).await.unwrap();
    let before = rig.listed().await;
    let message = batch_error(rig.send(&fenced(40, 43, "192.0.2.9")).await.unwrap_err());
    assert_eq!(
        message,
        "[Tried to delete resource record set [name='www._failoverd.example.com.', type='TXT'] but the values \
         provided do not match the current values, Tried to create resource record set \
         [name='www._failoverd.example.com.', type='TXT'] but it already exists]"
    );
    assert_eq!(rig.listed().await, before);
    rig.send(&fenced(41, 42, "192.0.2.9")).await.unwrap();
    assert_eq!(
        rig.listed().await,
        ["www._failoverd.example.com. 60 TXT \"e=42\"", "www.example.com. 30 A 192.0.2.9"].map(String::from)
    );
}

#[tokio::test]
async fn of_eight_racers_for_one_fence_one_wins() {
    let rig = rig().await;
    rig.send(SEED).await.unwrap();
    let racers = (0..8).map(|i| {
        let (client, zone) = (client(&rig.sandbox.api_url(), Duration::from_secs(10)), rig.zone.clone());
        tokio::spawn(async move {
            let batch = super::rig::batch(&fenced(41, 42 + i, &format!("192.0.2.{}", 100 + i)));
            client.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await.is_ok()
        })
    });
    let mut won = 0;
    for racer in racers.collect::<Vec<_>>() {
        won += usize::from(racer.await.unwrap());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_change_is_pending_then_insync_and_an_unknown_one_is_no_such_change() {
    let rig = rig().await;
    let info = rig.send(SEED).await.unwrap();
    assert!(info.id.starts_with("/change/C"), "{}", info.id);
    assert_eq!((info.status.as_str(), info.comment.as_deref()), ("PENDING", Some("by a test")));
    assert_eq!(rig.status(&info.id).await.unwrap(), "PENDING");
    until("INSYNC", async || rig.status(&info.id).await.unwrap() == "INSYNC").await;
    assert_eq!(rig.status("C0000").await.unwrap_err(), "NoSuchChange");
}

#[tokio::test]
async fn malformed_requests_are_invalid_input_and_an_unknown_zone_is_no_such_zone() {
    let rig = rig().await;
    let mut no_ttl = set("a.example.com 30 A 192.0.2.1");
    no_ttl.ttl = None;
    let mut empty = set("a.example.com 30 A 192.0.2.1");
    empty.resource_records = None;
    let mut weight_alone = set("a.example.com 30 A 192.0.2.1");
    weight_alone.weight = Some(1);
    let mut id_alone = set("a.example.com 30 A 192.0.2.1");
    id_alone.set_identifier = Some("x".into());
    let cases = [
        (no_ttl, "Missing field 'TTL'"),
        (empty, "Missing field 'ResourceRecords'"),
        (weight_alone, "Missing field 'SetIdentifier'"),
        (id_alone, "Expected exactly one of [Weight"),
        (set("a.example.com 2147483648 A 192.0.2.1"), "less than or equal to 2147483647"),
        (set("a.example.com -1 A 192.0.2.1"), "greater than or equal to 0"),
        (set("a.example.com 1 BOGUS 192.0.2.1"), "enum value set"),
    ];
    for (set, wanted) in cases {
        let batch = ChangeBatch::builder().changes(change(ChangeAction::Create, set)).build().unwrap();
        match rig.send_batch(batch).await.unwrap_err().into_service_error() {
            ChangeError::InvalidInput(error) => {
                assert!(error.message().unwrap().contains(wanted), "{wanted}: {:?}", error.message());
            }
            other => panic!("{wanted}: {other:?}"),
        }
    }
    assert!(rig.listed().await.is_empty());
    let elsewhere =
        rig.client.change_resource_record_sets().hosted_zone_id("ZNIX").change_batch(super::rig::batch(SEED));
    let error = elsewhere.send().await.unwrap_err().into_service_error();
    assert!(matches!(error, ChangeError::NoSuchHostedZone(_)), "{error:?}");
}

#[tokio::test]
async fn a_listing_pages_through_every_set_once_in_the_services_order() {
    let rig = rig().await;
    for hundred in 0..13 {
        let lines: Vec<String> =
            (0..100).map(|i| format!("CREATE n{hundred:02}{i:02}.example.com 30 A 192.0.2.1")).collect();
        rig.send(&lines.join(";")).await.unwrap();
    }
    let weighted = (0..3).map(|i| {
        let mut set = set("pool.example.com 30 A 192.0.2.1");
        (set.set_identifier, set.weight) = (Some(format!("w{i}")), Some(i));
        change(ChangeAction::Create, set)
    });
    rig.send_batch(ChangeBatch::builder().set_changes(Some(weighted.collect())).build().unwrap()).await.unwrap();

    for max in [7, 300, 1000] {
        let mut seen = Vec::new();
        let (mut name, mut rtype, mut id) = (None, None, None);
        loop {
            let call = rig.client.list_resource_record_sets().hosted_zone_id(&rig.zone).max_items(max);
            let page = call
                .set_start_record_name(name)
                .set_start_record_type(rtype)
                .set_start_record_identifier(id)
                .send()
                .await
                .unwrap();
            assert!(page.resource_record_sets.len() <= 300);
            let key = |set: ResourceRecordSet| (set.name, set.r#type, set.set_identifier);
            seen.extend(page.resource_record_sets.into_iter().map(key));
            if !page.is_truncated {
                break;
            }
            (name, rtype, id) = (page.next_record_name, page.next_record_type, page.next_record_identifier);
        }
        assert_eq!(seen.len(), 2 + 1300 + 3, "maxitems {max}");
        assert_eq!(seen[0].0, "example.com.");
        let mut unique = seen.clone();
        unique.dedup();
        assert_eq!(unique.len(), seen.len());
        let ids: Vec<_> = seen.iter().filter_map(|(_, _, id)| id.clone()).collect();
        assert_eq!(ids, ["w0", "w1", "w2"]);
    }
}

#[tokio::test]
async fn routed_and_alias_sets_and_wildcards_come_back_as_they_were_sent() {
    let rig = rig().await;
    let alias = AliasTarget::builder()
        .hosted_zone_id("Z2")
        .dns_name("lb.example.net.")
        .evaluate_target_health(true)
        .build()
        .unwrap();
    let alias = ResourceRecordSet::builder().name("a.example.com").r#type(RrType::A).alias_target(alias);
    let mut weighted = set("b.example.com 30 A 192.0.2.1");
    (weighted.set_identifier, weighted.weight, weighted.health_check_id) =
        (Some("x".into()), Some(7), Some("h".into()));
    let sent = [alias.build().unwrap(), weighted, set("*.c.example.com 30 TXT \"a b\" \"<&>\"")];
    let changes = sent.iter().map(|set| change(ChangeAction::Create, set.clone())).collect();
    rig.send_batch(ChangeBatch::builder().set_changes(Some(changes)).build().unwrap()).await.unwrap();
    let page = rig.client.list_resource_record_sets().hosted_zone_id(&rig.zone).send().await.unwrap();
    let listed: Vec<_> =
        page.resource_record_sets.into_iter().filter(|set| !["SOA", "NS"].contains(&set.r#type.as_str())).collect();
    let names: Vec<&str> = listed.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["a.example.com.", "b.example.com.", "\\052.c.example.com."]);
    for (sent, mut listed) in sent.into_iter().zip(listed) {
        listed.name = sent.name.clone();
        assert_eq!(listed, sent);
    }
}

#[tokio::test]
async fn zones_are_made_found_and_described() {
    let rig = rig().await;
    let made = rig.client.create_hosted_zone().name("Other.example").caller_reference("r1").send().await.unwrap();
    let zone = made.hosted_zone.unwrap();
    assert_eq!(zone.name, "other.example.");
    assert!(zone.id.starts_with("/hostedzone/Z"));
    let again = rig.client.create_hosted_zone().name("third.example").caller_reference("r1").send().await;
    assert_eq!(again.unwrap_err().code(), Some("HostedZoneAlreadyExists"));

    let got = rig.client.get_hosted_zone().id(&zone.id).send().await.unwrap();
    assert_eq!(got.hosted_zone.unwrap().resource_record_set_count, Some(2));
    assert_eq!(got.delegation_set.unwrap().name_servers.len(), 4);
    assert_eq!(rig.client.get_hosted_zone().id("ZNIX").send().await.unwrap_err().code(), Some("NoSuchHostedZone"));

    let list = rig.client.list_hosted_zones().max_items(1).send().await.unwrap();
    let rest = rig.client.list_hosted_zones().set_marker(list.next_marker).send().await.unwrap();
    assert_eq!((list.hosted_zones.len(), list.is_truncated, rest.hosted_zones.len()), (1, true, 1));
    let by_name = rig.client.list_hosted_zones_by_name().dns_name("other.example").send().await.unwrap();
    assert_eq!(by_name.hosted_zones[0].id, zone.id);
}

#[tokio::test]
async fn armed_faults_are_what_the_caller_meets() {
    let rig = rig().await;
    rig.send(SEED).await.unwrap();
    let faults = rig.sandbox.faults();
    let code = |refused: Refused| refused.code().unwrap_or("none").to_owned();

    faults.arm(Fault::Throttle(1));
    faults.arm(Fault::PriorRequestNotComplete(1));
    let codes = [code(rig.send(SEED).await.unwrap_err()), code(rig.send(SEED).await.unwrap_err())];
    assert_eq!(codes, ["Throttling", "PriorRequestNotComplete"]);

    faults.arm(Fault::Deny("route53:ChangeResourceRecordSets".into()));
    assert_eq!(code(rig.send(SEED).await.unwrap_err()), "AccessDenied");
    assert_eq!(rig.listed().await.len(), 2, "reading is still allowed");
    faults.clear();
    faults.arm(Fault::ExpiredCredentials);
    assert_eq!(code(rig.send(SEED).await.unwrap_err()), "ExpiredToken");
    faults.clear();

    faults.arm(Fault::OldBatchError(1));
    let old = rig.send(SEED).await.unwrap_err();
    assert_eq!((old.code(), old.raw_response().unwrap().status().as_u16()), (None, 400));
}

#[tokio::test]
async fn a_lost_reply_says_nothing_about_whether_the_batch_was_applied() {
    let rig = rig().await;
    rig.send(SEED).await.unwrap();
    let mut epoch = 41;
    for (fault, applied) in [
        (Fault::ReplyLost { after_commit: false }, false),
        (Fault::ReplyLost { after_commit: true }, true),
        (Fault::Status5xx { commit: false }, false),
        (Fault::Status5xx { commit: true }, true),
    ] {
        rig.sandbox.faults().arm(fault.clone());
        let error = rig.send(&fenced(epoch, epoch + 1, "192.0.2.9")).await.unwrap_err();
        match fault {
            Fault::Status5xx { .. } => assert_eq!(error.raw_response().unwrap().status().as_u16(), 500),
            _ => assert!(error.raw_response().is_none(), "{fault:?}: {error:?}"),
        }
        epoch += u32::from(applied);
        let live = format!("www._failoverd.example.com. 60 TXT \"e={epoch}\"");
        assert!(rig.listed().await.contains(&live), "{fault:?}");
        let last = rig.sandbox.history().pop().unwrap();
        assert_eq!(matches!(last.result, HistoryResult::Accepted { .. }), applied, "{fault:?}");
        assert!(!last.answered);
    }
}

#[tokio::test]
async fn a_held_batch_blocks_its_zone_and_is_applied_though_its_sender_hung_up() {
    let rig = rig().await;
    rig.send(SEED).await.unwrap();
    rig.sandbox.faults().arm(Fault::Delay(Duration::from_millis(400)));
    let impatient = client(&rig.sandbox.api_url(), Duration::from_millis(100));
    let batch = super::rig::batch(&fenced(41, 42, "192.0.2.9"));
    let hung_up = impatient.change_resource_record_sets().hosted_zone_id(&rig.zone).change_batch(batch).send().await;
    assert!(hung_up.unwrap_err().raw_response().is_none());
    let other = rig.send("CREATE x.example.com 30 A 192.0.2.1").await.unwrap_err();
    assert_eq!(other.code(), Some("PriorRequestNotComplete"));
    until("the held batch", async || rig.listed().await[1].ends_with("192.0.2.9")).await;
    rig.send("CREATE x.example.com 30 A 192.0.2.1").await.unwrap();
}

#[tokio::test]
async fn a_request_late_on_the_wire_is_refused_once_its_fence_was_burned() {
    let rig = rig().await;
    rig.send(SEED).await.unwrap();
    rig.sandbox.faults().arm(Fault::Late(Duration::from_millis(300)));
    let impatient = client(&rig.sandbox.api_url(), Duration::from_millis(100));
    let batch = super::rig::batch(&fenced(41, 42, "192.0.2.9"));
    let lost = impatient.change_resource_record_sets().hosted_zone_id(&rig.zone).change_batch(batch).send().await;
    assert!(lost.is_err());
    let burn = "DELETE www._failoverd.example.com 60 TXT \"e=41\"; CREATE www._failoverd.example.com 60 TXT \"e=41b\"";
    rig.send(burn).await.unwrap();
    until("the late request", async || rig.sandbox.history().len() == 3).await;
    assert!(matches!(rig.sandbox.history().pop().unwrap().result, HistoryResult::Refused { .. }));
    assert_eq!(rig.listed().await[1], "www.example.com. 30 A 192.0.2.1");
}

#[tokio::test]
async fn changes_can_be_forgotten_or_stranded() {
    let rig = rig().await;
    rig.sandbox.faults().arm(Fault::ForgetChange);
    let info = rig.send(SEED).await.unwrap();
    assert_eq!(rig.status(&info.id).await.unwrap_err(), "NoSuchChange");
    assert_eq!(rig.listed().await.len(), 2);

    rig.sandbox.faults().arm(Fault::StrandChange);
    let info = rig.send(&fenced(41, 42, "192.0.2.9")).await.unwrap();
    assert_eq!(rig.status(&info.id).await.unwrap(), "PENDING");
    assert_eq!(rig.listed().await[1], "www.example.com. 30 A 192.0.2.9");
    until("the roll-back", async || rig.listed().await[1] == "www.example.com. 30 A 192.0.2.1").await;
    assert_eq!(rig.status(&info.id).await.unwrap_err(), "NoSuchChange");
}

#[tokio::test]
async fn calls_above_the_rate_are_throttled() {
    let rig = rig_with(SandboxConfig { rps: Some(5.0), ..SandboxConfig::default() }).await;
    let mut throttled = 0;
    for _ in 0..20 {
        let answer = rig.client.get_hosted_zone().id(&rig.zone).send().await;
        throttled += usize::from(answer.is_err_and(|error| error.code() == Some("Throttling")));
    }
    assert!((1..=15).contains(&throttled), "{throttled} of 20");
}

#[tokio::test]
async fn an_unsigned_call_is_refused_and_the_control_paths_answer_json() {
    let rig = rig().await;
    rig.send(SEED).await.unwrap();
    let http = plain_http();
    let url = rig.sandbox.api_url();
    let unsigned = http.get(format!("{url}/2013-04-01/hostedzone")).send().await.unwrap();
    assert_eq!(unsigned.status().as_u16(), 403);
    assert!(unsigned.text().await.unwrap().contains("<Code>MissingAuthenticationToken</Code>"));

    let posted = http.post(format!("{url}/_sandbox/faults")).body(r#"[{"throttle":1},"forget_change"]"#).send().await;
    assert_eq!(posted.unwrap().text().await.unwrap(), r#"[{"throttle":1},"forget_change"]"#);
    assert_eq!(rig.send(SEED).await.unwrap_err().code(), Some("Throttling"));
    assert_eq!(rig.sandbox.faults().armed(), [Fault::ForgetChange]);
    let wrong = http.post(format!("{url}/_sandbox/faults")).body("\"nix\"").send().await.unwrap();
    assert_eq!(wrong.status().as_u16(), 400);
    http.delete(format!("{url}/_sandbox/faults")).send().await.unwrap();
    assert_eq!(rig.sandbox.faults().armed(), []);

    let history = http.get(format!("{url}/_sandbox/history")).send().await.unwrap().text().await.unwrap();
    let history: Vec<failoverd::sandbox::HistoryEntry> = serde_json::from_str(&history).unwrap();
    assert_eq!(history, rig.sandbox.history());
    assert_eq!(history[0].comment.as_deref(), Some("by a test"));
    let zone = http.get(format!("{url}/_sandbox/zone")).send().await.unwrap().text().await.unwrap();
    assert!(zone.contains("\"values\":[\"192.0.2.1\"]"), "{zone}");
}

fn plain_http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
