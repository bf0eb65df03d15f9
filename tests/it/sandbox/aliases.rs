//! Where aliases lead: within the zone, and to load balancers that a test plays.

use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_route53::error::ProvideErrorMetadata;
use aws_sdk_route53::types::{Vpc, VpcRegion};
use failoverd::sandbox::SandboxConfig;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::rig::{Rig, client_as, rig, rig_with};
use crate::real::http;

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

/// Code, `TYPE TTL OWNER VALUE` of every answer in order, and whether an SOA tells that there is none.
async fn told(rig: &Rig, name: &str, rtype: RecordType) -> (ResponseCode, Vec<String>, bool) {
    let message = rig.ask(name, rtype).await;
    let answers = message.answers.iter().map(|r| format!("{} {} {} {}", r.record_type(), r.ttl, r.name, r.data));
    let denied = message.authorities.iter().any(|r| r.record_type() == RecordType::SOA);
    (message.metadata.response_code, answers.collect(), denied)
}

#[tokio::test]
async fn a_played_load_balancer_answers_for_its_alias_with_what_it_has_now() {
    let rig = rig().await;
    for record in ["www.example.com ALIAS A LB.example.net ZELB", "www.example.com ALIAS AAAA lb.example.net ZELB"] {
        rig.sandbox.put(record).await.unwrap();
    }
    let nothing = (ResponseCode::NoError, Vec::new(), true);
    let at = |value: &str| (ResponseCode::NoError, vec![value.to_owned()], false);
    assert_eq!(told(&rig, "www.example.com.", RecordType::A).await, nothing, "nobody plays it");
    rig.sandbox.play("lb.example.net", &ips(&["192.0.2.7", "2001:db8::7"])).unwrap();
    assert_eq!(told(&rig, "www.example.com.", RecordType::A).await, at("A 60 www.example.com. 192.0.2.7"));
    assert_eq!(told(&rig, "www.example.com.", RecordType::AAAA).await, at("AAAA 60 www.example.com. 2001:db8::7"));
    assert_eq!(told(&rig, "www.example.com.", RecordType::CNAME).await, nothing, "an alias is no CNAME");
    assert_eq!(told(&rig, "lb.example.net.", RecordType::A).await, at("A 60 lb.example.net. 192.0.2.7"));

    let api = rig.sandbox.api_url().trim_start_matches("http://").parse().unwrap();
    let post = |body: &'static str| tokio::task::spawn_blocking(move || http::post(api, "/_sandbox/foreign", body));
    let (status, body) = post(r#"{"LB.example.net.": ["192.0.2.8"]}"#).await.unwrap();
    assert_eq!((status, body.as_str()), (200, r#"{"lb.example.net.":["192.0.2.8"]}"#));
    assert_eq!(told(&rig, "www.example.com.", RecordType::A).await, at("A 60 www.example.com. 192.0.2.8"));
    assert_eq!(told(&rig, "www.example.com.", RecordType::AAAA).await, nothing, "it has no such address");
    assert_eq!(post(r#"["192.0.2.8"]"#).await.unwrap().0, 400);
    assert_eq!(post(r#"{"lb.example.net": []}"#).await.unwrap().0, 200);
    assert_eq!(told(&rig, "www.example.com.", RecordType::A).await, nothing);
    assert_eq!(told(&rig, "lb.example.net.", RecordType::A).await.0, ResponseCode::Refused);
}

#[tokio::test]
async fn aliases_and_cnames_are_followed_within_the_zone() {
    let rig = rig().await;
    for record in [
        "lb.example.com 20 A 192.0.2.1",
        "www.example.com ALIAS A lb.example.com self",
        "far.example.com ALIAS A www.example.com self",
        "example.com ALIAS A lb.example.com self",
        "*.wild.example.com ALIAS A lb.example.com self",
        "to-alias.example.com 30 CNAME far.example.com",
        "to-away.example.com 30 CNAME lb.example.net",
    ] {
        rig.sandbox.put(record).await.unwrap();
    }
    rig.sandbox.play("lb.example.net", &ips(&["192.0.2.9"])).unwrap();
    for (name, answers) in [
        ("www.example.com.", vec!["A 20 www.example.com. 192.0.2.1"]),
        ("far.example.com.", vec!["A 20 far.example.com. 192.0.2.1"]),
        ("example.com.", vec!["A 20 example.com. 192.0.2.1"]),
        ("any.wild.example.com.", vec!["A 20 any.wild.example.com. 192.0.2.1"]),
        (
            "to-alias.example.com.",
            vec!["CNAME 30 to-alias.example.com. far.example.com.", "A 20 far.example.com. 192.0.2.1"],
        ),
        // A server does not go on into other people's zones.
        ("to-away.example.com.", vec!["CNAME 30 to-away.example.com. lb.example.net."]),
    ] {
        let (code, found, _) = told(&rig, name, RecordType::A).await;
        assert_eq!((code, found), (ResponseCode::NoError, answers.iter().map(ToString::to_string).collect()), "{name}");
    }
    let cname = told(&rig, "to-alias.example.com.", RecordType::CNAME).await.1;
    assert_eq!(cname, ["CNAME 30 to-alias.example.com. far.example.com."]);
    for wrong in [
        "x.example.com ALIAS A nix.example.com self",
        "x.example.com ALIAS A lb.example.com",
        "x.example.com ALIAS A lb.example.com self more",
        "x.example.com ALIAS A lb.example.com ZELB",
    ] {
        assert!(rig.sandbox.put(wrong).await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_private_zone_is_no_business_of_the_name_servers_and_only_an_empty_zone_can_go() {
    let rig = rig().await;
    rig.send("CREATE www.example.com 30 A 192.0.2.1").await.unwrap();
    let vpc = Vpc::builder().vpc_region(VpcRegion::UsEast1).vpc_id("vpc-1").build();
    let make = rig.client.create_hosted_zone().name("example.com").caller_reference("inside").vpc(vpc);
    let private = make.send().await.unwrap().hosted_zone.unwrap();
    assert!(private.config.is_some_and(|config| config.private_zone));
    let got = rig.client.get_hosted_zone().id(&private.id).send().await.unwrap();
    assert!(got.delegation_set.is_none());
    let inside = super::rig::batch("CREATE www.example.com 30 A 10.0.0.1");
    rig.client.change_resource_record_sets().hosted_zone_id(&private.id).change_batch(inside).send().await.unwrap();
    assert_eq!(rig.answers("www.example.com.", RecordType::A).await, ["192.0.2.1"]);

    let full = rig.client.delete_hosted_zone().id(&rig.zone).send().await.unwrap_err();
    assert_eq!(full.code(), Some("HostedZoneNotEmpty"));
    rig.send("DELETE www.example.com 30 A 192.0.2.1").await.unwrap();
    rig.client.delete_hosted_zone().id(&rig.zone).send().await.unwrap();
    assert_eq!(rig.ask("www.example.com.", RecordType::A).await.metadata.response_code, ResponseCode::Refused);
    let gone = rig.client.get_hosted_zone().id(&rig.zone).send().await.unwrap_err();
    assert_eq!(gone.code(), Some("NoSuchHostedZone"));
}

#[tokio::test]
async fn the_rate_is_that_of_one_account() {
    let rig = rig_with(SandboxConfig { rps: Some(0.2), ..SandboxConfig::default() }).await;
    let throttled = async |client: &aws_sdk_route53::Client| {
        let mut count = 0;
        for _ in 0..5 {
            let answer = client.get_hosted_zone().id(&rig.zone).send().await;
            count += u32::from(answer.is_err_and(|error| error.code() == Some("Throttling")));
        }
        count
    };
    assert!(throttled(&rig.client).await >= 2);
    let other = client_as("other", &rig.sandbox.api_url(), Duration::from_secs(10));
    other.get_hosted_zone().id(&rig.zone).send().await.expect("the other account has all its calls left");
    assert!(throttled(&other).await >= 2);
}
