//! A Route 53 API that drips, floods, bombs, lies and leads away. Reading it gives an error in bounded
//! time and memory; a write to it is neither taken for accepted nor for refused: it may have landed.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use failoverd::dns::route53::{Connection, Settings, Timeouts, connect};
use failoverd::dns::{ZoneReader as _, ZoneWriter as _};
use failoverd::domain::{RecordName, ZoneId, ZoneRef};
use failoverd::engine::zone::{Change, WriteAnswer};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::fiend::{Act, Begins, Fiend, gzip_bomb};
use super::targets::resident;
use crate::real::daemon::{Process, failoverd};
use crate::real::wait_until;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const TIMEOUT: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(3);

fn answer(status: &str, headers: &str, body: &str) -> Act {
    Act::Say(format!("HTTP/1.1 {status}\r\ncontent-type: text/xml\r\n{headers}\r\n{body}").into_bytes())
}

fn sized(status: &str, body: &str) -> Act {
    answer(status, &format!("content-length: {}\r\n", body.len()), body)
}

/// An answer with a zone, and what makes it a bad one.
fn zones(inside: &str) -> String {
    format!(
        "<ListHostedZonesByNameResponse>{inside}<HostedZones><HostedZone><Id>/hostedzone/Z1</Id>\
         <Name>example.com.</Name><CallerReference>c</CallerReference><Config><PrivateZone>false</PrivateZone></Config>\
         </HostedZone></HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>\
         </ListHostedZonesByNameResponse>"
    )
}

/// What the API does.
fn rows(elsewhere: &Fiend) -> Vec<(&'static str, Vec<Act>)> {
    use Act::{Drip, Flood, HalfClose, Hold, Reset, Say};
    let laughs = "<!DOCTYPE lolz [<!ENTITY a \"lololololol\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\
        <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">]>";
    let file = "<!DOCTYPE x [<!ENTITY xxe SYSTEM \"file:///etc/passwd\">]>";
    let bomb = gzip_bomb(512);
    let gzip = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len());
    let away = |to: &str| answer("302 Found", &format!("location: {to}\r\ncontent-length: 0\r\n"), "");
    let here = format!("http://{}/2013-04-01/hostedzonesbyname", elsewhere.addr);
    vec![
        ("says nothing", vec![Hold]),
        ("drips its head", vec![Say(b"HTTP/1.1 200 OK\r\nx: ".to_vec()), Drip("x")]),
        ("drips XML", vec![answer("200 OK", "", "<ListHostedZonesByNameResponse>"), Drip(" ")]),
        ("headers without end", vec![Say(b"HTTP/1.1 200 OK\r\n".to_vec()), Flood(b"x-y: z\r\n".to_vec())]),
        ("XML without end", vec![answer("200 OK", "", "<a>"), Flood(b"<HostedZone>".to_vec())]),
        ("fifty megabytes", vec![answer("200 OK", "", ""), Say(vec![b'x'; 50 << 20])]),
        ("an error without end", vec![answer("400 Bad Request", "", "<ErrorResponse>"), Flood(b"<Message>".to_vec())]),
        ("a gzip bomb", vec![answer("200 OK", &gzip, ""), Say(bomb)]),
        ("ten thousand elements deep", vec![sized("200 OK", &"<a>".repeat(10_000))]),
        ("an error that deep", vec![sized("400 Bad Request", &"<a>".repeat(10_000))]),
        ("a billion laughs", vec![sized("200 OK", &format!("{laughs}{}", zones("<x>&d;</x>").replace("Z1", "&d;")))]),
        ("an entity that is a file", vec![sized("200 OK", &format!("{file}{}", zones("").replace("Z1", "&xxe;")))]),
        ("HTML", vec![sized("200 OK", "<html><body>Welcome to the hotel</body></html>")]),
        ("JSON", vec![sized("200 OK", "{\"HostedZones\":[]}")]),
        ("nothing at all", vec![sized("200 OK", "")]),
        ("not UTF-8", vec![answer("200 OK", "content-length: 3\r\n", ""), Say(vec![0xff, 0xfe, 0xfd])]),
        ("too long a length", vec![answer("200 OK", "content-length: 100000\r\n", &zones(""))]),
        ("too short a length", vec![answer("200 OK", "content-length: 40\r\n", &zones(""))]),
        ("a length of 2^64", vec![answer("200 OK", "content-length: 18446744073709551616\r\n", &zones(""))]),
        ("half-closes", vec![HalfClose]),
        ("half-closes in its body", vec![answer("200 OK", "content-length: 9999\r\n", "<a>"), HalfClose]),
        ("resets", vec![Reset]),
        ("leads to metadata", vec![away("http://169.254.169.254/latest/meta-data/")]),
        ("leads elsewhere", vec![away(&here)]),
        ("leads elsewhere for good", vec![answer("308 X", &format!("location: {here}\r\ncontent-length: 0\r\n"), "")]),
    ]
}

async fn api(fiend: &Fiend) -> Connection {
    let settings = Settings {
        endpoint_url: Some(format!("http://{}", fiend.addr)),
        region: Some("us-east-1".into()),
        placeholder_credentials: true,
        timeouts: Timeouts { connect: TIMEOUT, read: TIMEOUT, write: TIMEOUT },
        ..Settings::default()
    };
    connect(&settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_api_is_an_error_in_bounded_time_and_never_an_accepted_write() {
    let name = RecordName::new("example.com").unwrap();
    let zone = ZoneRef { name: Some(name.clone()), id: None };
    let elsewhere = Fiend::start(HERE, Begins::Asked, vec![sized("200 OK", &zones(""))]);
    let well = api(&elsewhere).await.reader().resolve_zone(&zone, false).await;
    assert_eq!(well.unwrap().id, ZoneId::new("Z1"), "the twin");
    assert_eq!(elsewhere.connections(), 1);

    let changes: [Change; 0] = [];
    let one = |(row, script): (&'static str, Vec<Act>)| {
        let (zone, changes, name) = (&zone, &changes, &name);
        async move {
            let fiend = Fiend::start(HERE, Begins::Asked, script);
            let (reader, writer) = api(&fiend).await.into_parts();
            let begun = Instant::now();
            let error = reader.resolve_zone(zone, false).await.expect_err(row);
            assert!(begun.elapsed() < TIMEOUT + SLACK, "{row}: {:?}", begun.elapsed());
            assert!(format!("{error:?}").len() < 4096 && !format!("{error:?}").contains("root:"), "{row}: {error:?}");
            let record = reader.read_record(&ZoneId::new("Z1"), name, name).await;
            assert!(record.result.is_err(), "{row}: {record:?}");
            assert!(reader.change_status("C1").await.is_err(), "{row}");
            let begun = Instant::now();
            let written = writer.change(&ZoneId::new("Z1"), changes, "x").await;
            assert!(begun.elapsed() < TIMEOUT + SLACK, "{row}: {:?}", begun.elapsed());
            assert!(matches!(written, WriteAnswer::Ambiguous(_)), "{row}: {written:?}");
        }
    };
    join_all(rows(&elsewhere).into_iter().map(one)).await;
    assert_eq!(elsewhere.connections(), 1, "nobody was led there");
}

/// Every zone of a fleet is asked for, each answer a bad one, several times over.
#[test]
fn a_daemon_before_a_hostile_api_lives_probes_and_stays_small() {
    let elsewhere = Fiend::start(HERE, Begins::Asked, vec![sized("200 OK", &zones(""))]);
    let scripts: Vec<Vec<Act>> = rows(&elsewhere).into_iter().map(|(_, script)| script).collect();
    let each = scripts.len() as u64;
    let fiend = Fiend::in_turn(HERE, Begins::Asked, scripts);
    let target = Fiend::start(HERE, Begins::Asked, vec![sized("200 OK", "ok")]);
    let dir = tempfile::tempdir().unwrap();
    let main = format!(
        "state = \"a.db\"\n[route53]\nendpoint_url = \"http://{}\"\nburst = 50\nrequests_per_second = 50\n",
        fiend.addr
    );
    std::fs::write(dir.path().join("failoverd.toml"), main).unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    for n in 0..each {
        let policy = format!(
            "zone = \"z{n}.example\"\nrecords = [\"www.z{n}.example\"]\nttl = 30\n\
             [check]\ntype = \"http\"\nport = {}\npath = \"/\"\ninterval = \"1s\"\ntimeout = \"500ms\"\n\
             [[target]]\nname = \"a\"\naddresses = [\"127.0.0.1\"]\npriority = 1\n\
             [[target]]\nname = \"b\"\naddresses = [\"127.0.0.2\"]\npriority = 2\n",
            target.addr.port()
        );
        std::fs::write(dir.path().join(format!("policies/p{n}.toml")), policy).unwrap();
    }
    let mut daemon = Process::start(failoverd(dir.path()).args(["-c", "failoverd.toml", "run"]));
    wait_until("the API is asked", || fiend.connections() > 0);
    let quiet = resident(daemon.pid());
    let mut most = quiet;
    wait_until("every answer was given three times", || {
        assert!(daemon.alive(), "{}", daemon.err());
        most = most.max(resident(daemon.pid()));
        fiend.connections() >= 3 * each
    });
    let probed = target.connections();
    wait_until("its targets are still probed", || target.connections() > probed + 1);
    // Two answers of 16 MiB, with what is read of them, may be held at once.
    assert!(most < quiet + 256 * 1024, "{quiet} kB before, {most} kB at most");
    assert_eq!(elsewhere.connections(), 0, "nobody was led there");
    assert_eq!(daemon.terminate(), Some(0));
}
