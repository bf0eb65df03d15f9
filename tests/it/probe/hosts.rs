//! Targets that are host names, against a name server whose answers change.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser as _;
use failoverd::domain::{
    AliasTarget, Check, CheckKind, Content, DownReason as D, Outcome, RecordName, RegionName, TargetName, TcpCheck,
    TlsCheck, UnknownReason as U, ZoneId,
};
use failoverd::probe::{Prober, Resolver, TargetReport};
use failoverd::runtime::eyes::Eyes;
use failoverd::runtime::senses::Senses as _;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tokio::time::Instant;

use super::name_server::{NameServer, Says, is};
use super::{check, http};
use crate::servers::{Mode, Target};

const LB: &str = "lb.example.net";
const UNKNOWN: Outcome = Outcome::Unknown(U::Resolver);
const GONE: Outcome = Outcome::Down(D::NoSuchName);

fn host(name: &str) -> Content {
    Content::Host(RecordName::new(name).unwrap())
}

fn alias(name: &str) -> Content {
    let name = RecordName::new(name).unwrap();
    Content::Alias(AliasTarget { name, zone_id: ZoneId::new("Z2"), evaluate_target_health: true })
}

/// Two targets on one port of 127.0.0.1 and 127.0.0.2.
async fn two() -> (Target, Target) {
    loop {
        let one = Target::start().await;
        let other = SocketAddr::new("127.0.0.2".parse().unwrap(), one.port());
        if std::net::TcpListener::bind(other).is_ok() {
            return (one, Target::start_at(other).await);
        }
    }
}

/// One probe; it must end within its timeout + 200 ms, whatever the name server does.
async fn probe(prober: &Prober, check: &Check, content: &Content) -> TargetReport {
    let begun = Instant::now();
    let report = prober.probe_target(check, content).await;
    assert!(begun.elapsed() < check.timeout + Duration::from_millis(200), "{report:?}");
    assert!(report.addresses.iter().all(|r| r.phases.resolve.is_some() && r.phases.total >= r.phases.resolve.unwrap()));
    report
}

#[tokio::test]
async fn every_probe_asks_anew_and_goes_where_the_answer_leads() {
    let (one, other) = two().await;
    let names = NameServer::start().await;
    let prober = Prober::with_resolver(Resolver::servers(vec![names.addr]));
    let check = http(one.port(), |_| {});
    for content in [host(LB), alias(LB)] {
        let before = (one.requests(), other.requests(), names.asked(LB, RecordType::A));
        for round in 1..=3 {
            names.say(LB, is(&["127.0.0.1"]));
            let report = probe(&prober, &check, &content).await;
            assert_eq!((report.outcome, report.addresses[0].address), (Outcome::Up, one.ip()));
            names.say(LB, is(&["127.0.0.2"]));
            let report = probe(&prober, &check, &content).await;
            assert_eq!((report.outcome, report.addresses[0].address), (Outcome::Up, other.ip()));
            assert_eq!((one.requests() - before.0, other.requests() - before.1), (round, round));
            assert_eq!(names.asked(LB, RecordType::A) - before.2, 2 * usize::try_from(round).unwrap());
        }
        assert_eq!(names.asked(LB, RecordType::A), names.asked(LB, RecordType::AAAA));
    }
    // Whoever asks while the same question is under way asks too.
    let asked = names.asked(LB, RecordType::A);
    let target = host(LB);
    futures_util::future::join_all((0..5).map(|_| probe(&prober, &check, &target))).await;
    assert_eq!(names.asked(LB, RecordType::A), asked + 5);
}

#[tokio::test]
async fn what_the_name_server_says_is_evidence_and_what_it_fails_to_say_is_our_trouble() {
    let target = Target::start().await;
    let names = NameServer::start().await;
    let prober = Prober::with_resolver(Resolver::servers(vec![names.addr]));
    let check = http(target.port(), |_| {});
    let up = || is(&["127.0.0.1"]);
    names.say("next.example.net", Says::Alias("last.example.net"));
    names.say("last.example.net", up());
    names.say("dead.example.net", Says::Alias("missing.example.net"));
    // (A, AAAA, outcome, in the detail)
    let cases = [
        (up(), up(), Outcome::Up, "127.0.0.1 (of lb.example.net, 1 address in "),
        (Says::OverTcp(vec![target.ip()]), Says::NoData, Outcome::Up, "status 200"),
        (Says::Alias("next.example.net"), Says::Alias("next.example.net"), Outcome::Up, "status 200"),
        (Says::NxDomain, Says::NxDomain, GONE, "lb.example.net: host name does not exist or has no address after "),
        (Says::NxDomain, Says::Silence, GONE, "NXDOMAIN from 127.0.0.1:"),
        (Says::NoData, Says::NoData, GONE, "no A and no AAAA at 127.0.0.1:"),
        (Says::Alias("dead.example.net"), Says::Alias("dead.example.net"), GONE, "NXDOMAIN"),
        (Says::NoSoa, Says::NoSoa, UNKNOWN, "an empty answer without SOA"),
        (Says::Error(ResponseCode::ServFail), Says::Error(ResponseCode::ServFail), UNKNOWN, "SERVFAIL from 127.0.0.1:"),
        (Says::Error(ResponseCode::Refused), Says::Error(ResponseCode::Refused), UNKNOWN, "REFUSED"),
        (Says::Error(ResponseCode::ServFail), Says::NoData, UNKNOWN, "A: SERVFAIL"),
        (Says::Alias("lb.example.net"), Says::Alias("lb.example.net"), UNKNOWN, "resolver trouble here"),
        (Says::Silence, Says::Silence, UNKNOWN, "no answer from 127.0.0.1:"),
        // What is known is probed; what is not known is told.
        (up(), Says::Error(ResponseCode::ServFail), UNKNOWN, "lb.example.net: 1 address in "),
        (up(), Says::Silence, UNKNOWN, "AAAA: no answer from 127.0.0.1:"),
        (up(), Says::NoData, Outcome::Up, "status 200"),
    ];
    for (v4, v6, expected, words) in cases {
        let told = format!("{v4:?} {v6:?}");
        names.say_of(LB, RecordType::A, v4);
        names.say_of(LB, RecordType::AAAA, v6);
        let report = probe(&prober, &check, &host(LB)).await;
        assert_eq!(report.outcome, expected, "{told}: {report:?}");
        assert!(report.detail().contains(words), "{told}: {}", report.detail());
    }
    // A target that is down is down, whatever is not known about its other family.
    target.set(Mode::Refuse).await;
    names.say_of(LB, RecordType::AAAA, Says::Error(ResponseCode::ServFail));
    assert_eq!(probe(&prober, &check, &host(LB)).await.outcome, Outcome::Down(D::ConnectRefused));
}

#[tokio::test]
async fn the_next_name_server_is_asked_when_one_is_silent_or_in_trouble() {
    let target = Target::start().await;
    let (bad, good) = (NameServer::start().await, NameServer::start().await);
    good.say(LB, is(&["127.0.0.1"]));
    let prober = Prober::with_resolver(Resolver::servers(vec![bad.addr, good.addr]));
    let check = http(target.port(), |_| {});
    for (says, expected, asked) in [
        (Says::Silence, Outcome::Up, 1),
        (Says::Error(ResponseCode::ServFail), Outcome::Up, 2),
        // One that knows is believed.
        (Says::NxDomain, GONE, 2),
        (is(&["127.0.0.1"]), Outcome::Up, 2),
    ] {
        bad.say(LB, says.clone());
        let report = probe(&prober, &check, &host(LB)).await;
        assert_eq!((report.outcome, good.asked(LB, RecordType::A)), (expected, asked), "{says:?}: {report:?}");
    }
    let nobody = Prober::with_resolver(Resolver::servers(Vec::new()));
    let report = probe(&nobody, &check, &host(LB)).await;
    assert_eq!((report.outcome, report.addresses.len()), (UNKNOWN, 0));
}

#[tokio::test]
async fn an_answer_that_leads_to_a_local_or_metadata_address_is_not_followed() {
    let target = Target::start().await;
    let names = NameServer::start().await;
    let prober = Prober::with_resolver(Resolver::servers(vec![names.addr]));
    let forbidden = Outcome::Unknown(U::ForbiddenAddress);
    let check = http(target.port(), |_| {});
    for (list, expected, connections) in [
        (vec!["169.254.169.254"], forbidden, 0),
        (vec!["fd00:ec2::254", "::ffff:169.254.169.254"], forbidden, 0),
        (vec!["0.0.0.0"], forbidden, 0),
        (vec!["127.0.0.1", "169.254.169.254"], forbidden, 1),
        (vec!["127.0.0.1"], Outcome::Up, 1),
    ] {
        names.say(LB, is(&list));
        let before = target.connections();
        let report = probe(&prober, &check, &host(LB)).await;
        assert_eq!((report.outcome, target.connections() - before), (expected, connections), "{list:?}: {report:?}");
    }
}

#[tokio::test]
async fn all_addresses_are_probed_at_once_eight_at_most_and_the_worst_counts() {
    let (one, other) = two().await;
    let names = NameServer::start().await;
    let prober = Prober::with_resolver(Resolver::servers(vec![names.addr]));
    let check = http(one.port(), |_| {});
    names.say(LB, is(&["127.0.0.2", "127.0.0.1"]));
    let report = probe(&prober, &check, &host(LB)).await;
    assert_eq!((report.outcome, report.addresses.len()), (Outcome::Up, 2), "{report:?}");
    for mode in [Mode::Refuse, Mode::Hang, Mode::Status(503)] {
        other.set(mode).await;
        let report = probe(&prober, &check, &host(LB)).await;
        assert!(matches!(report.outcome, Outcome::Down(_)), "{report:?}");
        assert!(report.detail().starts_with("127.0.0.2 (of lb.example.net, 2 addresses in "), "{}", report.detail());
    }
    let many: Vec<String> = (1..=12).map(|n| format!("127.0.0.{n}")).collect();
    names.say(LB, is(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    let report = probe(&prober, &check, &host(LB)).await;
    assert_eq!(report.addresses.len(), 8);
    assert!(report.detail().contains("12 addresses in ") && report.detail().contains("8 of them probed"), "{report:?}");
}

#[tokio::test]
async fn the_name_resolved_is_not_the_name_told_to_the_target() {
    let target = Target::start().await;
    let names = NameServer::start().await;
    names.say(LB, is(&["127.0.0.1"]));
    let prober = Prober::with_resolver(Resolver::servers(vec![names.addr]));
    assert_eq!(probe(&prober, &http(target.port(), |_| {}), &host(LB)).await.outcome, Outcome::Up);
    assert!(target.last_head().contains("host: www.example.com\r\n"), "{}", target.last_head());

    let (certificate, key) = super::leaf(super::NAME, -1, 90);
    let tls = Target::start_tls(super::server(certificate.self_signed(&key).unwrap().der().clone(), &key)).await;
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, certificate.self_signed(&key).unwrap().pem()).unwrap();
    for (sni, expected) in [(super::NAME, Outcome::Up), (LB, Outcome::Down(D::CertificateName))] {
        let check = http(tls.port(), |c| {
            let ca_file = Some(ca_file.clone());
            c.tls = Some(TlsCheck { sni: sni.into(), verify: true, ca_file, min_cert_days: None });
        });
        let report = probe(&prober, &check, &host(LB)).await;
        assert_eq!(report.outcome, expected, "{sni}: {report:?}");
    }
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_localhost_needs_no_name_server() {
    let (one, other) = two().await;
    let dir = tempfile::tempdir().unwrap();
    let (resolv_conf, hosts) = (dir.path().join("resolv.conf"), dir.path().join("hosts"));
    let prober = Prober::with_resolver(Resolver::files(&resolv_conf, &hosts));
    let check = check(CheckKind::Tcp(TcpCheck { port: one.port(), exchange: None }));
    let report = probe(&prober, &check, &host(LB)).await;
    assert_eq!(report.outcome, UNKNOWN);
    assert!(report.detail().contains(&format!("no name server in {}", resolv_conf.display())), "{}", report.detail());
    for (text, address) in [("127.0.0.1 lb.example.net", one.ip()), ("127.0.0.2 x lb.example.net", other.ip())] {
        std::fs::write(&hosts, text).unwrap();
        let report = probe(&prober, &check, &host(LB)).await;
        assert_eq!((report.outcome, report.addresses[0].address), (Outcome::Up, address));
    }
    let report = probe(&prober, &check, &host("localhost")).await;
    let addresses: Vec<String> = report.addresses.iter().map(|r| r.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1", "::1"]);
    std::fs::write(&hosts, "127.0.0.1 localhost").unwrap();
    assert_eq!(probe(&prober, &check, &host("localhost")).await.outcome, Outcome::Up);
}

#[tokio::test]
async fn the_command_resolves_the_hosts_of_a_policy_and_of_a_url_now_and_shows_each_address() {
    let (one, other) = two().await;
    let names = NameServer::start().await;
    let prober = Prober::with_resolver(Resolver::servers(vec![names.addr]));
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("failoverd.toml");
    std::fs::write(&main, "policies = \"p-*.toml\"\n").unwrap();
    for (policy, east, west) in [
        ("p-cname", "host = \"lb.example.net\"", "host = \"west.example.net\""),
        (
            "p-alias",
            "alias = { name = \"lb.example.net\", zone_id = \"Z2\" }",
            "alias = { name = \"west.example.net\", zone_id = \"Z2\" }",
        ),
    ] {
        let ttl = if policy == "p-cname" { "ttl = 30\n" } else { "" };
        let text = format!(
            "zone = \"example.com\"\nrecords = [\"{policy}.example.com\"]\n{ttl}\
             [check]\ntype = \"http\"\nport = {}\npath = \"/healthz\"\ntimeout = \"900ms\"\n\
             [[target]]\nname = \"east\"\n{east}\npriority = 1\n\
             [[target]]\nname = \"west\"\n{west}\npriority = 2\n",
            one.port()
        );
        std::fs::write(dir.path().join(format!("{policy}.toml")), text).unwrap();
    }
    let url = format!("http://{LB}:{}/healthz", one.port());
    let both = || is(&["127.0.0.1", "127.0.0.2"]);
    names.say("west.example.net", is(&["127.0.0.1"]));
    // Line, what the name server says, what the second address does, exit code, in the table.
    type Case<'a> = (&'a [&'a str], Says, Mode, u8, &'a [&'a str]);
    let cases: [Case; 9] = [
        (
            &["p-cname"],
            both(),
            Mode::Ok,
            0,
            &["east    127.0.0.2  http", "lb.example.net: 2 addresses in ", "west.example.net: 1"],
        ),
        (&["p-alias", "east"], both(), Mode::Ok, 0, &["east    127.0.0.1  http", "lb.example.net: 2 addresses in "]),
        (&["p-alias", "east"], both(), Mode::Status(503), 1, &["127.0.0.2", "down: status 503"]),
        (
            &["p-cname", "east"],
            Says::NxDomain,
            Mode::Ok,
            1,
            &["east    -        http", "down: host name does not exist"],
        ),
        (
            &["p-cname", "east"],
            Says::Error(ResponseCode::ServFail),
            Mode::Ok,
            7,
            &["unknown: resolver trouble here", "SERVFAIL"],
        ),
        (&[&url], both(), Mode::Ok, 0, &["-       127.0.0.1", "-       127.0.0.2", "up: status 200", "RESOLVE"]),
        (&[&url], is(&["169.254.169.254"]), Mode::Ok, 7, &["169.254.169.254", "never probed"]),
        (&[&url], Says::NoData, Mode::Ok, 1, &["no A and no AAAA"]),
        (&[&url, "--address", "127.0.0.2"], Says::Silence, Mode::Ok, 0, &["-       127.0.0.2"]),
    ];
    for (line, says, mode, code, words) in cases {
        names.say(LB, says.clone());
        other.set(mode).await;
        let run = async |format: &str| {
            let args = super::Cli::parse_from([&["probe", "-o", format], line].concat()).probe;
            let mut out = Vec::new();
            let code = failoverd::cli::probe::run_with(&prober, &args, Some(&main), &mut out).await;
            (code, String::from_utf8(out).unwrap())
        };
        let (exit, table) = run("table").await;
        assert_eq!(exit, code, "{line:?} {says:?}: {table}");
        for word in words {
            assert!(table.contains(word), "{line:?} {says:?}: {word:?} in\n{table}");
        }
        let (exit, text) = run("json").await;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((exit, value["version"].as_u64()), (code, Some(1)), "{text}");
        for (i, resolution) in value["resolutions"].as_array().unwrap().iter().enumerate() {
            assert_eq!(resolution["host"], [LB, "west.example.net"][i]);
            assert!(resolution["resolve_ms"].as_f64().unwrap() > 0.0, "{text}");
        }
    }
}

#[tokio::test]
async fn the_proof_probe_of_a_host_goes_where_its_name_leads_now_or_where_it_is_pinned() {
    let (one, other) = two().await;
    let names = NameServer::start().await;
    let (eyes, _batches) = Eyes::with(Prober::with_resolver(Resolver::servers(vec![names.addr])));
    for content in [host(LB), alias(LB)] {
        let target = failoverd::domain::Target {
            name: TargetName::new("east").unwrap(),
            region: RegionName::new("east").unwrap(),
            priority: 1,
            content,
            check: http(one.port(), |_| {}),
        };
        for (address, went_to) in [("127.0.0.1", &one), ("127.0.0.2", &other), ("127.0.0.1", &one)] {
            names.say(LB, is(&[address]));
            let before = went_to.requests();
            assert_eq!(eyes.probe_at(&target, None).await, Outcome::Up);
            assert_eq!(went_to.requests() - before, 1, "{address}");
        }
        let before = other.requests();
        assert_eq!(eyes.probe_at(&target, Some(other.ip())).await, Outcome::Up, "pinned, whatever the name says");
        assert_eq!(other.requests() - before, 1);
        names.say(LB, Says::NxDomain);
        assert_eq!(eyes.probe_at(&target, None).await, GONE);
        names.say(LB, Says::Error(ResponseCode::ServFail));
        assert_eq!(eyes.probe_at(&target, None).await, UNKNOWN);
    }
}

#[tokio::test]
async fn a_machine_that_stood_still_while_it_resolved_does_not_blame_the_target() {
    let target = Target::start().await;
    target.set(Mode::Hang).await;
    // The name server goes on while the one thread of this test does not.
    let (started, names) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            started.send(NameServer::start().await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let names = names.recv().unwrap();
    names.say(LB, is(&["127.0.0.1"]));
    let prober = Prober::with_resolver(Resolver::servers(vec![names.addr]));
    let check = http(target.port(), |_| {});
    let probing = {
        let (prober, check) = (prober.clone(), check.clone());
        tokio::spawn(async move { prober.probe_target(&check, &host(LB)).await })
    };
    let begun = Instant::now();
    while names.asked(LB, RecordType::AAAA) == 0 {
        tokio::task::yield_now().await;
    }
    while begun.elapsed() < check.timeout * 9 / 10 {
        std::hint::spin_loop();
    }
    let report = probing.await.unwrap();
    assert!(matches!(report.outcome, Outcome::Unknown(_)), "{report:?}");
    // With time for it, the same target is judged.
    assert_eq!(probe(&prober, &check, &host(LB)).await.outcome, Outcome::Down(D::FirstByteTimeout));
}
