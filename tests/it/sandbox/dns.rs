//! The name servers, asked with real messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use failoverd::sandbox::{Fault, SandboxConfig};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::rig::{ask, ask_tcp, rig, rig_with, until};

#[tokio::test]
async fn every_shape_of_answer_is_the_right_one() {
    let rig = rig().await;
    rig.send(
        "CREATE www.example.com 30 A 192.0.2.1,192.0.2.2; CREATE www.example.com 31 AAAA 2001:db8::1; \
         CREATE www._failoverd.example.com 60 TXT \"v=1 e=1\"; CREATE alias.example.com 20 CNAME www.example.com.; \
         CREATE away.example.com 20 CNAME elsewhere.example.net.; CREATE *.wild.example.com 40 A 192.0.2.3; \
         CREATE real.wild.example.com 40 TXT \"x\"; CREATE sub.example.com 300 NS ns.example.net.",
    )
    .await
    .unwrap();
    // name, type → code, authoritative, answers, type in authority
    let soa = "SOA";
    let cases = [
        ("www.example.com.", RecordType::A, ResponseCode::NoError, true, "192.0.2.1 192.0.2.2", ""),
        ("WWW.Example.COM.", RecordType::AAAA, ResponseCode::NoError, true, "2001:db8::1", ""),
        ("www._failoverd.example.com.", RecordType::TXT, ResponseCode::NoError, true, "v=1 e=1", ""),
        ("www.example.com.", RecordType::TXT, ResponseCode::NoError, true, "", soa),
        ("nix.example.com.", RecordType::A, ResponseCode::NXDomain, true, "", soa),
        ("_failoverd.example.com.", RecordType::A, ResponseCode::NoError, true, "", soa),
        ("alias.example.com.", RecordType::A, ResponseCode::NoError, true, "192.0.2.1 192.0.2.2 www.example.com.", ""),
        ("alias.example.com.", RecordType::CNAME, ResponseCode::NoError, true, "www.example.com.", ""),
        ("away.example.com.", RecordType::A, ResponseCode::NoError, true, "elsewhere.example.net.", ""),
        ("any.wild.example.com.", RecordType::A, ResponseCode::NoError, true, "192.0.2.3", ""),
        ("a.b.wild.example.com.", RecordType::A, ResponseCode::NoError, true, "192.0.2.3", ""),
        ("real.wild.example.com.", RecordType::A, ResponseCode::NoError, true, "", soa),
        ("x.real.wild.example.com.", RecordType::A, ResponseCode::NXDomain, true, "", soa),
        ("host.sub.example.com.", RecordType::A, ResponseCode::NoError, false, "", "NS"),
        ("example.org.", RecordType::A, ResponseCode::Refused, false, "", ""),
        ("example.com.", RecordType::AXFR, ResponseCode::Refused, false, "", ""),
    ];
    for (name, rtype, code, authoritative, answers, authority) in cases {
        let message = rig.ask(name, rtype).await;
        let mut values: Vec<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
        values.sort();
        let section: Vec<String> = message.authorities.iter().map(|record| record.record_type().to_string()).collect();
        assert_eq!(message.metadata.response_code, code, "{name} {rtype}");
        assert_eq!(message.metadata.authoritative, authoritative, "{name} {rtype}");
        assert_eq!(values.join(" "), answers, "{name} {rtype}");
        assert_eq!(section.join(" "), authority, "{name} {rtype}");
    }
    let ttl: Vec<u32> = rig.ask("www.example.com.", RecordType::A).await.answers.iter().map(|r| r.ttl).collect();
    assert_eq!(ttl, [30, 30]);
    let apex = rig.ask("example.com.", RecordType::NS).await;
    assert_eq!(apex.answers.len(), 4);
}

#[tokio::test]
async fn a_large_answer_is_cut_over_udp_and_whole_over_tcp() {
    let rig = rig().await;
    let values: Vec<String> = (1..=100).map(|i| format!("192.0.2.{i}")).collect();
    rig.send(&format!("CREATE many.example.com 30 A {}", values.join(","))).await.unwrap();
    let cut = rig.ask("many.example.com.", RecordType::A).await;
    assert!(cut.metadata.truncation && cut.answers.len() < 100);
    let whole = ask_tcp(rig.sandbox.dns_addr(), "many.example.com.", RecordType::A).await;
    assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 100));
}

#[tokio::test]
async fn a_reader_sees_a_batch_wholly_or_not_at_all() {
    let rig = rig().await;
    let swap = |old: u8, new: u8| {
        let lines: Vec<String> = (0..50)
            .map(|i| {
                let (old, new) = (format!("192.0.2.{old}"), format!("192.0.2.{new}"));
                format!("DELETE n{i}.example.com 30 A {old};CREATE n{i}.example.com 30 A {new}")
            })
            .collect();
        lines.join(";")
    };
    let create: Vec<String> = (0..50).map(|i| format!("CREATE n{i}.example.com 30 A 192.0.2.1")).collect();
    rig.send(&create.join(";")).await.unwrap();
    let server = rig.sandbox.dns_addr();
    let done = Arc::new(AtomicBool::new(false));
    let writing = done.clone();
    let reader = tokio::spawn(async move {
        let mut newest = 1;
        // Later names of the batch are asked first: a half-applied batch would show as a step back.
        for round in (0..50).cycle() {
            let name = format!("n{}.example.com.", 49 - round);
            let message = ask(server, &name, RecordType::A).await.unwrap();
            let text = message.answers[0].data.to_string();
            let seen: u8 = text.rsplit('.').next().unwrap().parse().unwrap();
            assert!(seen >= newest, "{name} went back from {newest} to {seen}");
            newest = seen;
            if writing.load(Ordering::Relaxed) {
                break;
            }
        }
        newest
    });
    for value in 1..40 {
        rig.send(&swap(value, value + 1)).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 1, "the reader saw changes");
}

#[tokio::test]
async fn name_servers_lag_one_after_the_other_behind_the_api() {
    let any = SandboxConfig::default().dns;
    let config =
        SandboxConfig { more_dns: vec![any], dns_delay: Duration::from_millis(150), ..SandboxConfig::default() };
    let rig = rig_with(config).await;
    let (first, second) = (rig.sandbox.dns_addrs()[0], rig.sandbox.dns_addrs()[1]);
    rig.send("CREATE www.example.com 30 A 192.0.2.1").await.unwrap();
    let has = async |server| {
        let message = ask(server, "www.example.com.", RecordType::A).await;
        message.is_some_and(|message| message.answers.len() == 1)
    };
    assert!(!has(first).await, "the API answers before any name server does");
    until("the first name server", async || has(first).await).await;
    assert!(!has(second).await);
    until("the second name server", async || has(second).await).await;
}

#[tokio::test]
async fn a_name_server_can_be_stale_or_silent() {
    let rig = rig().await;
    rig.send("CREATE www.example.com 30 A 192.0.2.1").await.unwrap();
    let faults = rig.sandbox.faults();
    faults.arm(Fault::DnsStale { server: Some(0) });
    rig.send("UPSERT www.example.com 30 A 192.0.2.2").await.unwrap();
    assert_eq!(rig.answers("www.example.com.", RecordType::A).await, ["192.0.2.1"]);
    faults.clear();
    assert_eq!(rig.answers("www.example.com.", RecordType::A).await, ["192.0.2.2"]);
    faults.arm(Fault::DnsSilent { server: None });
    assert!(ask(rig.sandbox.dns_addr(), "www.example.com.", RecordType::A).await.is_none());
    faults.clear();
    assert_eq!(rig.answers("www.example.com.", RecordType::A).await, ["192.0.2.2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_agrees() {
    let rig = rig().await;
    rig.send("CREATE www.example.com 30 A 192.0.2.2,192.0.2.1; CREATE t.example.com 60 TXT \"v=1 e=1\"").await.unwrap();
    let server = rig.sandbox.dns_addr();
    let dug = |name: &'static str, rtype: &'static str| {
        tokio::task::spawn_blocking(move || crate::real::dig(server, name, rtype))
    };
    assert_eq!(dug("www.example.com", "A").await.unwrap(), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(dug("t.example.com", "TXT").await.unwrap(), ["\"v=1 e=1\""]);
}

#[tokio::test]
async fn stopping_frees_the_addresses() {
    // An address of its own: nobody else of this machine takes the port in between.
    let dns = "127.77.13.1:0".parse().unwrap();
    let rig = rig_with(SandboxConfig { dns, ..SandboxConfig::default() }).await;
    let config = SandboxConfig { dns: rig.sandbox.dns_addr(), ..SandboxConfig::default() };
    assert!(failoverd::sandbox::start(config.clone()).await.is_err(), "the port is taken");
    rig.sandbox.stop().await;
    failoverd::sandbox::start(config).await.unwrap().stop().await;
}
