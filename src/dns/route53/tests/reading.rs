//! Zones, records, listings and changes.

use super::*;
use crate::dns::ZoneReader;
use crate::domain::ZoneRef;
use crate::engine::zone::{ApiErrorKind, ChangeStatus, LiveSet, ZoneInfo};

fn zone_xml(id: &str, zone: &str, private: bool) -> String {
    format!(
        "<HostedZone><Id>/hostedzone/{id}</Id><Name>{zone}</Name><CallerReference>c</CallerReference>\
         <Config><PrivateZone>{private}</PrivateZone></Config></HostedZone>"
    )
}

fn by_name(zones: &[String]) -> Reply {
    Reply::Http(
        200,
        format!(
            "<ListHostedZonesByNameResponse><HostedZones>{}</HostedZones><IsTruncated>false</IsTruncated>\
             <MaxItems>100</MaxItems></ListHostedZonesByNameResponse>",
            zones.concat()
        ),
    )
}

fn by_id(zone: &str) -> Reply {
    Reply::Http(
        200,
        format!(
            "<GetHostedZoneResponse>{zone}<DelegationSet><NameServers><NameServer>NS-1.Example.net.</NameServer>\
             </NameServers></DelegationSet></GetHostedZoneResponse>"
        ),
    )
}

#[tokio::test]
async fn a_zone_is_found_by_name_or_id_and_a_doubtful_one_is_refused() {
    let ours = zone_xml("Z1", "Example.com.", false);
    let private = zone_xml("Z2", "example.com.", true);
    let next = zone_xml("Z3", "example.net.", false);
    let by = |zone: Option<&str>, id: Option<&str>| ZoneRef { name: zone.map(name), id: id.map(ZoneId::new) };
    let found = |servers: &[&str]| {
        Ok(ZoneInfo {
            id: ZoneId::new("Z1"),
            name: name("example.com"),
            name_servers: servers.iter().map(ToString::to_string).collect(),
            private: false,
        })
    };
    type Row<'a> = (ZoneRef, bool, Vec<Reply>, Result<ZoneInfo, (ApiErrorKind, &'a str)>, &'a [&'a str]);
    let table: Vec<Row<'_>> = vec![
        (
            by(Some("example.com"), None),
            false,
            vec![by_name(&[ours.clone(), next.clone()])],
            found(&[]),
            &["GET /2013-04-01/hostedzonesbyname?dnsname=example.com."],
        ),
        (
            by(Some("example.com"), None),
            true,
            vec![by_name(&[ours.clone(), next.clone()]), by_id(&ours)],
            found(&["ns-1.example.net"]),
            &["GET /2013-04-01/hostedzonesbyname", "GET /2013-04-01/hostedzone/Z1 "],
        ),
        (
            by(None, Some("/hostedzone/Z1")),
            true,
            vec![by_id(&ours)],
            found(&["ns-1.example.net"]),
            &["GET /2013-04-01/hostedzone/Z1 "],
        ),
        (
            by(Some("example.com"), Some("Z1")),
            false,
            vec![by_id(&ours)],
            found(&[]),
            &["GET /2013-04-01/hostedzone/Z1 "],
        ),
        (
            by(Some("example.org"), Some("Z1")),
            false,
            vec![by_id(&ours)],
            Err((ApiErrorKind::Other, "zone_id Z1 is the zone `example.com`, but `example.org` is configured")),
            &["GET "],
        ),
        (
            by(Some("example.com"), None),
            false,
            vec![by_name(&[ours.clone(), private])],
            Err((
                ApiErrorKind::Other,
                "2 hosted zones are named `example.com`: Z1 (public), Z2 (private); write zone_id = \"Z1\" for the \
                 public one or zone_id = \"Z2\" for the private one in the policy",
            )),
            &["GET "],
        ),
        (
            by(Some("Example.COM."), None),
            false,
            vec![by_name(&[
                zone_xml("Z4", "wwwexample.com.", false),
                zone_xml("Z5", "example.com.au.", false),
                zone_xml("Z6", "0\\057example.com.", false),
                zone_xml("Z1", "ex\\141mple.com.", false),
            ])],
            found(&[]),
            &["GET /2013-04-01/hostedzonesbyname?dnsname=example.com."],
        ),
        (
            by(Some("example.com"), None),
            false,
            vec![by_name(&[next])],
            Err((ApiErrorKind::NoSuchZone, "no hosted zone named `example.com`")),
            &["GET "],
        ),
        (
            by(None, Some("Z1")),
            false,
            vec![Reply::Http(403, wrapped("AccessDenied", "no"))],
            Err((ApiErrorKind::Denied, "route53:GetHostedZone on hostedzone/Z1 was denied")),
            &["GET "],
        ),
        (
            by(Some("example.com"), None),
            false,
            vec![Reply::Http(500, String::new())],
            Err((ApiErrorKind::Unreachable, "ListHostedZonesByName")),
            &["GET "],
        ),
    ];
    for (nth, (zone, servers, replies, expected, lines)) in table.into_iter().enumerate() {
        let canned = Canned::start(replies).await;
        let got = canned.connection().await.reader().resolve_zone(&zone, servers).await;
        match (expected, got) {
            (Ok(info), Ok(got)) => assert_eq!(got, info, "row {nth}"),
            (Err((kind, part)), Err(e)) => {
                assert_eq!(e.kind, kind, "row {nth}");
                assert!(e.message.contains(part), "row {nth}: {}", e.message);
            }
            (_, got) => panic!("row {nth}: {got:?}"),
        }
        let seen = canned.requests();
        assert_eq!(seen.len(), lines.len(), "row {nth}: {seen:?}");
        for ((line, _), start) in seen.iter().zip(lines) {
            assert!(line.replace('?', " ?").starts_with(&start.replace('?', " ?")), "row {nth}: {line}");
        }
    }
}

fn set_xml(set: &str, rtype: &str, identifier: Option<&str>, value: &str) -> String {
    let id = identifier.map(|id| format!("<SetIdentifier>{id}</SetIdentifier><Weight>1</Weight>")).unwrap_or_default();
    format!(
        "<ResourceRecordSet><Name>{set}</Name><Type>{rtype}</Type>{id}<TTL>30</TTL><ResourceRecords><ResourceRecord>\
         <Value>{value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>"
    )
}

fn page(sets: &[String], next: Option<(&str, &str, Option<&str>)>) -> Reply {
    let more = match next {
        Some((set, rtype, id)) => {
            let id = id.map(|id| format!("<NextRecordIdentifier>{id}</NextRecordIdentifier>")).unwrap_or_default();
            format!("<NextRecordName>{set}</NextRecordName><NextRecordType>{rtype}</NextRecordType>{id}")
        }
        None => String::new(),
    };
    Reply::Http(
        200,
        format!(
            "<ListResourceRecordSetsResponse><ResourceRecordSets>{}</ResourceRecordSets><IsTruncated>{}</IsTruncated>\
             {more}<MaxItems>50</MaxItems></ListResourceRecordSetsResponse>",
            sets.concat(),
            next.is_some()
        ),
    )
}

#[tokio::test]
async fn a_record_is_read_with_its_fence_and_no_neighbour_in_two_requests() {
    let canned = Canned::start(vec![
        page(
            &[set_xml("www.example.com.", "A", None, "192.0.2.1"), set_xml("x.example.com.", "A", None, "192.0.2.9")],
            Some(("y.example.com.", "A", None)),
        ),
        page(&[set_xml("www._failoverd.example.com.", "TXT", None, "&quot;v=1 e=42&quot;")], None),
    ])
    .await;
    let reader = canned.connection().await.reader();
    let read =
        reader.read_record(&ZoneId::new("Z1"), &name("www.example.com"), &name("www._failoverd.example.com")).await;
    assert_eq!(read.calls, 2);
    let read = read.result.unwrap();
    let set = |rtype: &str, value: &str| LiveSet::values(rtype, 30, vec![value.into()]);
    assert_eq!(read.sets, [set("A", "192.0.2.1")]);
    assert_eq!(read.fence, [set("TXT", "\"v=1 e=42\"")]);
    let lines: Vec<String> = canned.requests().into_iter().map(|(line, _)| line).collect();
    assert!(lines[0].contains("name=www.example.com.") && !lines[0].contains("type="), "{lines:?}");
    assert!(lines[1].contains("name=www._failoverd.example.com.") && lines[1].contains("type=TXT"), "{lines:?}");
}

#[tokio::test]
async fn reading_goes_on_while_the_name_is_ours_and_gives_up_after_five_pages() {
    let weighted = |id: &str| set_xml("\\052.example.com.", "A", Some(id), "192.0.2.1");
    let more = |id: &'static str| page(&[weighted(id)], Some(("\\052.example.com.", "A", Some(id))));
    let wild = name("*.example.com");
    let fence = name("_any._failoverd.example.com");

    let canned = Canned::start(vec![more("a"), page(&[weighted("b")], None), page(&[], None)]).await;
    let read = canned.connection().await.reader().read_record(&ZoneId::new("Z1"), &wild, &fence).await;
    assert_eq!(read.calls, 3);
    let read = read.result.unwrap();
    assert_eq!(read.sets.iter().filter_map(|s| s.routing.as_deref()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(read.fence.is_empty());
    assert!(canned.requests()[1].0.contains("identifier=a"), "{:?}", canned.requests());

    let canned = Canned::start(vec![more("a")]).await;
    let read = canned.connection().await.reader().read_record(&ZoneId::new("Z1"), &wild, &fence).await;
    assert_eq!((read.calls, canned.requests().len()), (5, 5));
    assert!(read.result.unwrap_err().message.contains("cannot be managed"));
}

#[tokio::test]
async fn a_whole_zone_is_listed_with_every_continuation_field() {
    let canned = Canned::start(vec![
        page(&[set_xml("a.example.com.", "A", Some("one"), "192.0.2.1")], Some(("a.example.com.", "A", Some("two")))),
        page(&[set_xml("A.example.com.", "A", Some("two"), "192.0.2.2")], Some(("b.example.com.", "TXT", None))),
        page(&[set_xml("b.example.com.", "TXT", None, "t")], None),
    ])
    .await;
    let listing = canned.connection().await.reader().list_zone(&ZoneId::new("Z1")).await;
    assert_eq!(listing.calls, 3);
    let names: Vec<String> = listing.result.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.example.com", "a.example.com", "b.example.com"]);
    let lines: Vec<String> = canned.requests().into_iter().map(|(line, _)| line).collect();
    for (line, parts) in lines.iter().zip([&[][..], &["name=a.", "type=A", "identifier=two"], &["name=b.", "type=TXT"]])
    {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }

    let stuck = page(&[], Some(("a.example.com.", "A", None)));
    let canned = Canned::start(vec![stuck]).await;
    let listing = canned.connection().await.reader().list_zone(&ZoneId::new("Z1")).await;
    assert!(listing.result.unwrap_err().message.contains("does not advance"));
    assert_eq!(listing.calls, 2);
}

#[tokio::test]
async fn a_change_is_pending_in_sync_or_vanished() {
    let info = |status: &str| {
        let body = format!(
            "<GetChangeResponse><ChangeInfo><Id>/change/C1</Id><Status>{status}</Status>\
             <SubmittedAt>2026-01-31T09:00:05Z</SubmittedAt></ChangeInfo></GetChangeResponse>"
        );
        Reply::Http(200, body)
    };
    let replies = vec![
        info("PENDING"),
        info("INSYNC"),
        Reply::Http(404, wrapped("NoSuchChange", "x")),
        info("LOST"),
        Reply::Http(400, wrapped("Throttling", "x")),
        Reply::Http(404, wrapped("NoSuchHostedZone", "x")),
    ];
    let canned = Canned::start(replies).await;
    let reader = canned.connection().await.reader();
    assert_eq!(reader.change_status("C1").await, Ok(ChangeStatus::Pending));
    assert_eq!(reader.change_status("/change/C1").await, Ok(ChangeStatus::Insync));
    assert_eq!(reader.change_status("C1").await, Ok(ChangeStatus::Vanished));
    assert_eq!(reader.change_status("C1").await.unwrap_err().kind, ApiErrorKind::Other);
    assert_eq!(reader.change_status("C1").await.unwrap_err().kind, ApiErrorKind::Throttled);
    let gone = reader.change_status("C1").await.unwrap_err();
    assert_eq!(gone.kind, ApiErrorKind::NoSuchZone);
    assert!(gone.message.contains("the hosted zone of change/C1 is gone"), "{}", gone.message);
    assert!(canned.requests().iter().all(|(line, _)| line.starts_with("GET /2013-04-01/change/C1 ")));
}

#[tokio::test]
async fn a_zone_that_is_gone_is_named_so_by_every_reading_and_by_a_write() {
    let canned = Canned::start(vec![Reply::Http(404, wrapped("NoSuchHostedZone", "No hosted zone found"))]).await;
    let reader = canned.connection().await.reader();
    let zone = ZoneId::new("Z1");
    let by_id = ZoneRef { name: None, id: Some(zone.clone()) };
    let read = reader.read_record(&zone, &name("www.example.com"), &name("www._failoverd.example.com")).await;
    let errors = [
        reader.resolve_zone(&by_id, true).await.unwrap_err(),
        read.result.unwrap_err(),
        reader.list_zone(&zone).await.result.unwrap_err(),
        reader.change_status("C1").await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ApiErrorKind::NoSuchZone, "{}", error.message);
    }
    let answer = write(&canned.connection().await).await;
    assert!(matches!(answer, WriteAnswer::Refused { code: RefusedCode::NoSuchZone, .. }), "{answer:?}");
}
