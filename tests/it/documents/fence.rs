//! docs/check-fence.sh through the real AWS CLI: OK on a service that keeps the rule, NOT OK on one that
//! breaks it in any of three ways, and nothing left behind, whatever happened.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::golden::root;
use crate::ministack;
use crate::real::daemon::{Process, Said, finish};
use crate::real::sandbox::Sandbox;
use crate::real::{http, own_addresses, wait_until};

/// How a service may break the rule.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// A batch that was refused is told as taken.
    TellsTaken,
    /// A DELETE that matches nothing is left out and the rest is made to fit.
    ForgivesDelete,
    /// A refused batch is told as refused, but its UPSERTs are applied.
    AppliesInPart,
}

/// A service that lies, in front of one that does not. Its thread ends with the test process.
fn liar(upstream: SocketAddr, lie: Lie) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (head, body) = read_request(&mut client);
            let mut reply = forward(upstream, &head, &body);
            if reply.starts_with("HTTP/1.1 400") && body.contains("<Change>") {
                let kept = |keep: &dyn Fn(&str) -> bool| {
                    let (before, rest) = body.split_once("<Change>").unwrap();
                    let (list, after) = rest.rsplit_once("</Change>").unwrap();
                    let list: Vec<&str> = list.split("</Change><Change>").filter(|change| keep(change)).collect();
                    let some = !list.is_empty();
                    some.then(|| format!("{before}<Change>{}</Change>{after}", list.join("</Change><Change>")))
                };
                let second = match lie {
                    Lie::TellsTaken => None,
                    Lie::ForgivesDelete => kept(&|c| !c.contains("<Action>DELETE")),
                    Lie::AppliesInPart => kept(&|c| c.contains("<Action>UPSERT")),
                };
                let second = second.map(|b| forward(upstream, &head, &b.replace("<Action>CREATE", "<Action>UPSERT")));
                reply = match (lie, second) {
                    (Lie::AppliesInPart, _) => reply,
                    (_, Some(second)) => second,
                    (_, None) => taken(),
                };
            }
            let _ = client.write_all(reply.as_bytes());
        }
    });
    address
}

fn taken() -> String {
    let body = "<?xml version=\"1.0\"?>\n<ChangeResourceRecordSetsResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
        <ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo>\
        </ChangeResourceRecordSetsResponse>";
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Head without its length and connection lines, and body.
fn read_request(client: &mut TcpStream) -> (String, String) {
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut data, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&data).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let value = |l: &str, key: &str| l.to_lowercase().strip_prefix(key).map(|v| v.trim().to_owned());
            let length = head.lines().find_map(|l| value(l, "content-length:")).map_or(0, |v| v.parse().unwrap());
            if body.len() >= length {
                let ours = |l: &&str| value(l, "content-length:").is_none() && value(l, "connection:").is_none();
                return (head.lines().filter(ours).collect::<Vec<_>>().join("\r\n"), body.to_owned());
            }
            if head.to_lowercase().contains("expect: 100-continue") && body.is_empty() {
                let _ = client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
        }
        match client.read(&mut chunk).unwrap_or(0) {
            0 => return (String::new(), String::new()),
            read => data.extend_from_slice(&chunk[..read]),
        }
    }
}

fn forward(upstream: SocketAddr, head: &str, body: &str) -> String {
    let head: String =
        head.lines().filter(|l| !l.to_lowercase().starts_with("expect:")).collect::<Vec<_>>().join("\r\n");
    let mut server = TcpStream::connect(upstream).unwrap();
    let request = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    server.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    let _ = server.read_to_string(&mut reply);
    reply
}

/// The script with the AWS CLI of the test environment and no other account in reach.
fn script(dir: &Path, service: SocketAddr, words: &[&str]) -> Command {
    let aws = ministack::tool("aws");
    let path = format!("{}:{}", aws.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(root().join("docs/check-fence.sh"));
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", crate::canary::CANARY)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL_ROUTE_53", format!("http://{service}"))
        .current_dir(dir)
        .args(words);
    command
}

fn sandbox(dir: &Path) -> Sandbox {
    let ip = own_addresses().next().unwrap();
    Sandbox::start(dir, ip, ip, &[])
}

/// Names in the zone that only the script makes.
fn left_behind(sandbox: &Sandbox) -> bool {
    http::get(sandbox.api, "/_sandbox/zone").1.contains("failoverd-check")
}

fn check(said: &Said, code: i32, words: &str) {
    assert_eq!(said.code, Some(code), "{said:#?}");
    assert!(format!("{}{}", said.out, said.err).contains(words), "not said: {words}\n{said:#?}");
}

#[test]
fn a_zone_that_keeps_the_rule_is_ok_and_is_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let before = http::get(sandbox.api, "/_sandbox/zone").1;
    check(&finish(&mut script(dir.path(), sandbox.api, &[&sandbox.zone_id])), 1, "nothing was written");
    assert!(sandbox.untouched(), "without a yes nothing is written");

    check(&finish(&mut script(dir.path(), sandbox.api, &["--yes", &sandbox.zone_id])), 0, "\nOK: ");
    assert!(!sandbox.untouched());
    assert_eq!(http::get(sandbox.api, "/_sandbox/zone").1, before);
    let names = sandbox.batches().iter().skip(1).map(|b| b["changes"].to_string()).collect::<String>();
    assert!(!names.contains("\"www.example.com"), "no name but its own: {names}");

    check(&finish(&mut script(dir.path(), sandbox.api, &["--yes", "ZNOTHERE"])), 1, "NOT CHECKED");
    check(&finish(&mut script(dir.path(), sandbox.api, &[])), 1, "usage:");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_service_is_ok_too() {
    let service = ministack::shared().await;
    let (status, answer) = http::post(
        service.api,
        "/2013-04-01/hostedzone",
        "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Name>fence.example</Name>\
         <CallerReference>check-fence</CallerReference></CreateHostedZoneRequest>",
    );
    assert_eq!(status, 201, "{answer}");
    let (_, id) = answer.split_once("<Id>/hostedzone/").unwrap();
    let id = id.split('<').next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    check(&finish(&mut script(dir.path(), service.api, &["--yes", id])), 0, "\nOK: ");
    let list = http::get(service.api, &format!("/2013-04-01/hostedzone/{id}/rrset")).1;
    assert!(list.contains("fence.example") && !list.contains("failoverd-check"), "{list}");
}

#[test]
fn a_zone_that_breaks_the_rule_is_not_ok_and_is_cleaned_all_the_same() {
    for (lie, words) in [
        (Lie::TellsTaken, "NOT OK: a DELETE with another value was taken"),
        (Lie::ForgivesDelete, "NOT OK: a DELETE with another value was taken"),
        (Lie::AppliesInPart, "NOT OK: a stale move was refused, but applied in part"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = sandbox(dir.path());
        let liar = liar(sandbox.api, lie);
        check(&finish(&mut script(dir.path(), liar, &["--yes", &sandbox.zone_id])), 2, words);
        assert!(!left_behind(&sandbox), "{lie:?}");
    }
}

#[test]
fn an_interrupted_check_leaves_nothing_behind_and_a_denied_one_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let mut process = Process::start(&mut script(dir.path(), sandbox.api, &["--yes", &sandbox.zone_id]));
    wait_until("the script has written", || left_behind(&sandbox));
    assert_eq!(process.terminate(), Some(1));
    assert!(!left_behind(&sandbox), "{}", process.err());

    sandbox.arm("{\"deny\":\"ChangeResourceRecordSets\"}");
    check(&finish(&mut script(dir.path(), sandbox.api, &["--yes", &sandbox.zone_id])), 1, "AccessDenied");
    assert!(!left_behind(&sandbox));
}
