//! A Route 53 API that drips, floods, bombs, lies and leads away. Reading it gives an error in bounded
//! time and memory; a write to it is never taken for accepted, nor for refused when it may have landed.

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
const SLACK: Duration = Duration::from_secs(2);

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

/// What the API does, and whether a write may have landed all the same.
fn rows(elsewhere: &Fiend) -> Vec<(&'static str, Vec<Act>, bool)> {
    use Act::{Drip, Flood, HalfClose, Hold, Reset, Say};
    let laughs = "<!DOCTYPE lolz [<!ENTITY a \"lololololol\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\
        <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">]>";
    let file = "<!DOCTYPE x [<!ENTITY xxe SYSTEM \"file:///etc/passwd\">]>";
    let bomb = gzip_bomb(512);
    let gzip = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len());
    let away = |to: &str| answer("302 Found", &format!("location: {to}\r\ncontent-length: 0\r\n"), "");
    let here = format!("http://{}/2013-04-01/hostedzonesbyname", elsewhere.addr);
    vec![
        ("says nothing", vec![Hold], true),
        ("drips its head", vec![Say(b"HTTP/1.1 200 OK\r\nx: ".to_vec()), Drip("x")], true),
        ("drips XML", vec![answer("200 OK", "", "<ListHostedZonesByNameResponse>"), Drip(" ")], true),
        ("headers without end", vec![Say(b"HTTP/1.1 200 OK\r\n".to_vec()), Flood(b"x-y: z\r\n".to_vec())], true),
        ("XML without end", vec![answer("200 OK", "", "<a>"), Flood(b"<HostedZone>".to_vec())], true),
        ("fifty megabytes", vec![answer("200 OK", "", ""), Say(vec![b'x'; 50 << 20])], true),
        (
            "an error without end",
            vec![answer("400 Bad Request", "", "<ErrorResponse>"), Flood(b"<Message>".to_vec())],
            true,
        ),
        ("a gzip bomb", vec![answer("200 OK", &gzip, ""), Say(bomb)], true),
        ("a hundred thousand elements deep", vec![sized("200 OK", &"<a>".repeat(100_000))], true),
        ("an error that deep", vec![sized("400 Bad Request", &"<a>".repeat(100_000))], false),
        (
            "a billion laughs",
            vec![sized("200 OK", &format!("{laughs}{}", zones("<x>&d;</x>").replace("Z1", "&d;")))],
            true,
        ),
        (
            "an entity that is a file",
            vec![sized("200 OK", &format!("{file}{}", zones("").replace("Z1", "&xxe;")))],
            true,
        ),
        ("HTML", vec![sized("200 OK", "<html><body>Welcome to the hotel</body></html>")], true),
        ("JSON", vec![sized("200 OK", "{\"HostedZones\":[]}")], true),
        ("nothing at all", vec![sized("200 OK", "")], true),
        ("not UTF-8", vec![answer("200 OK", "content-length: 3\r\n", ""), Say(vec![0xff, 0xfe, 0xfd])], true),
        ("too long a length", vec![answer("200 OK", "content-length: 100000\r\n", &zones(""))], true),
        ("too short a length", vec![answer("200 OK", "content-length: 40\r\n", &zones(""))], true),
        ("a length of 2^64", vec![answer("200 OK", "content-length: 18446744073709551616\r\n", &zones(""))], true),
        ("half-closes", vec![HalfClose], true),
        ("half-closes in its body", vec![answer("200 OK", "content-length: 9999\r\n", "<a>"), HalfClose], true),
        ("resets", vec![Reset], true),
        ("leads to metadata", vec![away("http://169.254.169.254/latest/meta-data/")], true),
        ("leads elsewhere", vec![away(&here)], true),
        (
            "leads elsewhere for good",
            vec![answer("308 X", &format!("location: {here}\r\ncontent-length: 0\r\n"), "")],
            true,
        ),
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
    let one = |(row, script, landed): (&'static str, Vec<Act>, bool)| {
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
            let doubtful = matches!(written, WriteAnswer::Ambiguous(_));
            assert!(!matches!(written, WriteAnswer::Accepted { .. }), "{row}: {written:?}");
            assert_eq!(doubtful, landed, "{row}: {written:?}");
        }
    };
    join_all(rows(&elsewhere).into_iter().map(one)).await;
    assert_eq!(elsewhere.connections(), 1, "nobody was led there");
}

#[test]
fn a_daemon_before_a_hostile_api_lives_probes_and_stays_small() {
    let elsewhere = Fiend::start(HERE, Begins::Asked, vec![sized("200 OK", &zones(""))]);
    let fiend = Fiend::start(HERE, Begins::Asked, vec![Act::Reset]);
    let target = Fiend::start(HERE, Begins::Asked, vec![sized("200 OK", "ok")]);
    let dir = tempfile::tempdir().unwrap();
    let main = format!(
        "state = \"a.db\"\npolicies = \"web.toml\"\n[route53]\nendpoint_url = \"http://{}\"\nburst = 50\n\
         requests_per_second = 50.0\n",
        fiend.addr
    );
    let policy = format!(
        "zone = \"example.com\"\nrecords = [\"www.example.com\"]\nttl = 30\nobserve = \"500ms\"\nreconcile = \"1s\"\n\
         [check]\ntype = \"http\"\nport = {}\npath = \"/\"\ninterval = \"1s\"\ntimeout = \"500ms\"\n\
         [[target]]\nname = \"a\"\naddresses = [\"127.0.0.1\"]\npriority = 1\n\
         [[target]]\nname = \"b\"\naddresses = [\"127.0.0.2\"]\npriority = 2\n",
        target.addr.port()
    );
    std::fs::write(dir.path().join("failoverd.toml"), main).unwrap();
    std::fs::write(dir.path().join("web.toml"), policy).unwrap();
    let mut daemon = Process::start(failoverd(dir.path()).args(["-c", "failoverd.toml", "run"]));
    wait_until("the API is asked", || fiend.connections() > 0);
    let quiet = resident(daemon.pid());
    for (row, script, _) in rows(&elsewhere) {
        let before = fiend.connections();
        fiend.play(script);
        wait_until(row, || fiend.connections() > before + 1);
        assert!(daemon.alive(), "{row}: {}", daemon.err());
    }
    let probed = target.connections();
    wait_until("its targets are still probed", || target.connections() > probed + 1);
    let busy = resident(daemon.pid());
    assert!(busy < quiet + 160 * 1024, "{quiet} kB before, {busy} kB after");
    assert_eq!(elsewhere.connections(), 0, "nobody was led there");
    assert_eq!(daemon.terminate(), Some(0));
}
