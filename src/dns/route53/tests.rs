//! The real SDK against a canned server on loopback: what is sent, and how every answer is read.

use std::sync::{Arc, Mutex};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::dns::{ZoneReader, ZoneWriter};
use crate::domain::{RecordName, ZoneId, ZoneRef};
use crate::engine::zone::{ApiErrorKind, Change, ChangeOp, ChangeStatus, LiveSet, RefusedCode, WriteAnswer, ZoneInfo};

/// What the canned server does with one request.
#[derive(Clone)]
enum Reply {
    Http(u16, String),
    /// Reads the request, answers nothing, closes.
    Close,
    /// Sends the head of an answer and half its body.
    Cut,
    /// Reads the request and never answers.
    Silence,
    /// A body of 64 MiB.
    Flood,
}

struct Canned {
    url: String,
    /// Request line and body of each request.
    seen: Arc<Mutex<Vec<(String, String)>>>,
    /// The headers of each request.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// Replies in order, the last one for ever.
    async fn start(replies: Vec<Reply>) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (log, log_heads) = (seen.clone(), heads.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, replies.clone(), log.clone(), log_heads.clone()));
            }
        });
        Canned { url, seen, heads }
    }

    async fn connection(&self) -> Connection {
        connection_to(&self.url).await
    }

    fn requests(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn connection_to(url: &str) -> Connection {
    let short = Duration::from_millis(700);
    let timeouts = Timeouts { connect: short, read: short, write: short };
    let settings =
        Settings { endpoint_url: Some(url.into()), placeholder_credentials: true, timeouts, ..Settings::default() };
    connect(&settings).await.unwrap()
}

async fn serve(
    mut stream: TcpStream,
    replies: Vec<Reply>,
    log: Arc<Mutex<Vec<(String, String)>>>,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut data = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let head = loop {
            if let Some(at) = data.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(&mut chunk).await {
                Ok(n) if n > 0 => data.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        };
        let text = String::from_utf8_lossy(&data[..head]).into_owned();
        let length: usize = text
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse().unwrap()))
            .unwrap_or(0);
        while data.len() < head + length {
            match stream.read(&mut chunk).await {
                Ok(n) if n > 0 => data.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        }
        let body = String::from_utf8_lossy(&data[head..head + length]).into_owned();
        data.drain(..head + length);
        heads.lock().unwrap().push(text.clone());
        let nth = {
            let mut log = log.lock().unwrap();
            log.push((text.lines().next().unwrap().to_owned(), body));
            log.len() - 1
        };
        match replies.get(nth).or(replies.last()).unwrap() {
            Reply::Http(status, body) => {
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Reply::Close => return,
            Reply::Cut => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n<Change").await.unwrap();
                return;
            }
            Reply::Silence => std::future::pending().await,
            Reply::Flood => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                for _ in 0..1024 {
                    if stream.write_all(chunk.as_bytes()).await.is_err() {
                        return;
                    }
                }
                heads.lock().unwrap().push("the flood was taken whole".into());
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        }
    }
}

fn wrapped(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
}

fn name(text: &str) -> RecordName {
    RecordName::new(text).unwrap()
}

fn one_change() -> Vec<Change> {
    vec![Change {
        op: ChangeOp::Create,
        name: name("www._failoverd.example.com"),
        rtype: "TXT".into(),
        ttl: 60,
        values: vec!["\"v=1 e=42 a=<&>\"".into()],
    }]
}

async fn write(connection: &Connection) -> WriteAnswer {
    connection.clone().into_parts().1.change(&ZoneId::new("/hostedzone/Z1"), &one_change(), "web e=42").await
}

#[tokio::test]
async fn every_answer_to_a_write_has_one_class_and_no_write_is_ever_sent_twice() {
    use RefusedCode::*;
    let accepted = "<ChangeResourceRecordSetsResponse><ChangeInfo><Id>/change/C123</Id><Status>PENDING</Status>\
                    <SubmittedAt>2026-01-31T09:00:05Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>";
    let bare = "<InvalidChangeBatch xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Messages>\
                <Message>Tried to delete resource record set [name=&apos;a.&apos;] but it was not found</Message>\
                </Messages></InvalidChangeBatch>";
    let leaky = "The signature does not match.\n\nThe Canonical String for this request should have been\nx-amz-security-token:TOKEN";
    let http = |status: u16, body: &str| Reply::Http(status, body.into());
    let error = |status: u16, code: &str, text: &str| Reply::Http(status, wrapped(code, text));
    enum Class {
        Accepted,
        Refused(RefusedCode, &'static str),
        Ambiguous,
    }
    let table = [
        (http(200, accepted), Class::Accepted),
        (
            http(400, bare),
            Class::Refused(Precondition, "Tried to delete resource record set [name='a.'] but it was not found"),
        ),
        (error(400, "InvalidChangeBatch", "[Tried to create]"), Class::Refused(Precondition, "[Tried to create]")),
        (error(400, "Throttling", "Rate exceeded"), Class::Refused(Throttled, "Throttling: Rate exceeded")),
        (
            error(400, "PriorRequestNotComplete", "wait"),
            Class::Refused(PriorRequestNotComplete, "PriorRequestNotComplete: wait"),
        ),
        (
            error(403, "AccessDenied", "User: u is not authorized"),
            Class::Refused(
                Denied,
                "route53:ChangeResourceRecordSets on hostedzone/Z1 was denied: User: u is not authorized; \
                 grant that action to this identity (docs/permissions.md)",
            ),
        ),
        (
            error(403, "SignatureDoesNotMatch", leaky),
            Class::Refused(
                Credentials,
                "the AWS credentials were not accepted: SignatureDoesNotMatch: The signature does not match.; \
                 renew them, and check this machine's clock",
            ),
        ),
        (
            error(404, "NoSuchHostedZone", "x"),
            Class::Refused(
                NoSuchZone,
                "no hostedzone/Z1 in the account of these credentials; check zone_id, and the account or role_arn",
            ),
        ),
        (error(400, "InvalidInput", "bad"), Class::Refused(Invalid, "InvalidInput: bad")),
        (http(403, "<html><body>blocked by proxy</body></html>"), Class::Ambiguous),
        (error(500, "InternalFailure", "x"), Class::Ambiguous),
        (http(503, ""), Class::Ambiguous),
        (http(200, "not xml"), Class::Ambiguous),
        (http(200, ""), Class::Ambiguous),
        (Reply::Cut, Class::Ambiguous),
        (Reply::Close, Class::Ambiguous),
        (Reply::Silence, Class::Ambiguous),
    ];
    for (nth, (reply, expected)) in table.into_iter().enumerate() {
        let canned = Canned::start(vec![reply]).await;
        let answer = write(&canned.connection().await).await;
        match (expected, &answer) {
            (Class::Accepted, WriteAnswer::Accepted { change_id }) => assert_eq!(change_id, "C123"),
            (Class::Refused(code, message), _) => {
                assert_eq!(answer, WriteAnswer::Refused { code, message: message.into() }, "row {nth}");
            }
            (Class::Ambiguous, WriteAnswer::Ambiguous(why)) => assert!(!why.is_empty(), "row {nth}"),
            _ => panic!("row {nth}: {answer:?}"),
        }
        assert!(!format!("{answer:?}").contains("TOKEN"), "row {nth}");
        assert_eq!(canned.requests().len(), 1, "row {nth}: one call is one request");
    }
}

#[tokio::test]
async fn a_write_is_not_sent_only_when_no_connection_or_no_credentials_prove_it() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://{closed}"), format!("https://{closed}"), "http://no-such-host.invalid:1".into()] {
        match write(&connection_to(&url).await).await {
            WriteAnswer::NotSent(e) => {
                assert_eq!(e.kind, ApiErrorKind::Unreachable, "{url}");
                assert!(e.message.starts_with("no connection to the Route 53 API at "), "{}", e.message);
            }
            other => panic!("{url}: {other:?}"),
        }
    }
    // A server that speaks no TLS: the handshake fails before the request exists.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    });
    let answer = write(&connection_to(&url).await).await;
    assert!(matches!(&answer, WriteAnswer::NotSent(e) if e.kind == ApiErrorKind::Unreachable), "{answer:?}");

    #[derive(Debug)]
    struct Nobody;
    impl ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no provider had any")))
        }
    }
    let canned = Canned::start(vec![Reply::Close]).await;
    let settings = Settings { endpoint_url: Some(canned.url.clone()), ..Settings::default() };
    let mut shared = load(&Settings { placeholder_credentials: true, ..settings.clone() }).await.unwrap();
    shared.sdk = shared.sdk.into_builder().credentials_provider(SharedCredentialsProvider::new(Nobody)).build();
    let answer = shared.writer(&settings).change(&ZoneId::new("Z1"), &one_change(), "").await;
    match answer {
        WriteAnswer::NotSent(e) => {
            assert_eq!(e.kind, ApiErrorKind::Credentials);
            assert!(e.message.contains("AWS_PROFILE"), "{}", e.message);
        }
        other => panic!("{other:?}"),
    }
    assert!(canned.requests().is_empty());
}

#[tokio::test]
async fn a_batch_goes_out_in_order_with_its_bytes_untouched() {
    let canned = Canned::start(vec![Reply::Http(503, String::new())]).await;
    let delete = Change { op: ChangeOp::Delete, ttl: 61, values: vec!["\"a\\052b\"".into()], ..one_change().remove(0) };
    let changes = [delete, one_change().remove(0)];
    canned.connection().await.into_parts().1.change(&ZoneId::new("Z1"), &changes, "web e=42").await;
    let (line, body) = canned.requests().remove(0);
    assert!(line.starts_with("POST /2013-04-01/hostedzone/Z1/rrset"), "{line}");
    let mut rest = body.as_str();
    for part in [
        "<Comment>web e=42</Comment>",
        "<Action>DELETE</Action>",
        "<Name>www._failoverd.example.com.</Name>",
        "<Type>TXT</Type>",
        "<TTL>61</TTL>",
        "a\\052b",
        "<Action>CREATE</Action>",
        "<TTL>60</TTL>",
        "v=1 e=42 a=&lt;&amp;&gt;",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("`{part}` not in `{rest}`"));
        rest = &rest[at + part.len()..];
    }
}

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
                "2 hosted zones are named `example.com`: Z1 (public), Z2 (private); write zone_id",
            )),
            &["GET "],
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
    let set = |rtype: &str, value: &str| LiveSet {
        rtype: rtype.into(),
        ttl: Some(30),
        values: vec![value.into()],
        routing: None,
        alias: None,
    };
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
    ];
    let canned = Canned::start(replies).await;
    let reader = canned.connection().await.reader();
    assert_eq!(reader.change_status("C1").await, Ok(ChangeStatus::Pending));
    assert_eq!(reader.change_status("/change/C1").await, Ok(ChangeStatus::Insync));
    assert_eq!(reader.change_status("C1").await, Ok(ChangeStatus::Vanished));
    assert_eq!(reader.change_status("C1").await.unwrap_err().kind, ApiErrorKind::Other);
    assert_eq!(reader.change_status("C1").await.unwrap_err().kind, ApiErrorKind::Throttled);
    assert!(canned.requests().iter().all(|(line, _)| line.starts_with("GET /2013-04-01/change/C1 ")));
}

#[tokio::test]
async fn a_url_that_is_no_api_is_refused_without_repeating_its_secrets() {
    for bad in ["", "nonsense", "ftp://h", "http://", "/only/path", "http://user:hunter2@h:1", "http://h/?key=hunter2"]
    {
        let settings = Settings { endpoint_url: Some(bad.into()), ..Settings::default() };
        let error = connect(&settings).await.unwrap_err().to_string();
        assert!(error.contains("http://HOST:PORT") && !error.contains("hunter2"), "{bad}: {error}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_cut_and_proves_nothing() {
    let canned = Canned::start(vec![Reply::Flood]).await;
    let patient = Duration::from_secs(60);
    let settings = Settings {
        endpoint_url: Some(canned.url.clone()),
        placeholder_credentials: true,
        timeouts: Timeouts { connect: patient, read: patient, write: patient },
        ..Settings::default()
    };
    let answer = write(&connect(&settings).await.unwrap()).await;
    assert!(matches!(answer, WriteAnswer::Ambiguous(_)), "{answer:?}");
    assert!(!canned.heads.lock().unwrap().concat().contains("taken whole"));
}

/// Runs this very test again in a process with `vars` as its only AWS settings.
fn again_with(test: &str, vars: &[(&str, &str)]) {
    let path = format!("dns::route53::tests::{test}");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &path, "--nocapture"]).env("FAILOVERD_TEST_CHILD", test);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("AWS_")) {
        command.env_remove(key);
    }
    let nowhere = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nonexistent"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
    ];
    let output = command.envs(nowhere).envs(vars.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn is_child(test: &str) -> bool {
    std::env::var("FAILOVERD_TEST_CHILD").as_deref() == Ok(test)
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "secret")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_names_the_api_and_the_keys() {
    let test = "the_environment_names_the_api_and_the_keys";
    if is_child(test) {
        let answer = write(&connect(&Settings::default()).await.unwrap()).await;
        assert!(matches!(answer, WriteAnswer::Ambiguous(_)), "{answer:?}");
        return;
    }
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ROUTE_53"] {
        let canned = Canned::start(vec![Reply::Http(503, String::new())]).await;
        again_with(test, &[KEYS[0], KEYS[1], (variable, &canned.url)]);
        let head = canned.heads.lock().unwrap().concat();
        assert!(head.contains("Credential=AKIDENV/") && head.contains("/us-east-1/route53/"), "{head}");
        assert_eq!(canned.requests().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_taken_before_the_first_call_and_signs_it() {
    let test = "a_role_is_taken_before_the_first_call_and_signs_it";
    let role = "arn:aws:iam::123456789012:role/failoverd";
    if is_child(test) {
        let settings = Settings { role_arn: Some(role.into()), ..Settings::default() };
        let answer = write(&connect(&settings).await.unwrap()).await;
        let denied = std::env::var_os("FAILOVERD_TEST_DENIED").is_some();
        match answer {
            WriteAnswer::Ambiguous(_) if !denied => {}
            WriteAnswer::NotSent(e) if denied => assert_eq!(e.kind, ApiErrorKind::Credentials, "{e}"),
            other => panic!("{other:?}"),
        }
        return;
    }
    let assumed = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
                   <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                   <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
    let api = Canned::start(vec![Reply::Http(503, String::new())]).await;
    let sts = Canned::start(vec![Reply::Http(200, assumed.into())]).await;
    let place = [("AWS_ENDPOINT_URL_ROUTE_53", api.url.as_str()), ("AWS_ENDPOINT_URL_STS", &sts.url)];
    again_with(test, &[KEYS[0], KEYS[1], place[0], place[1]]);
    let asked = sts.requests();
    assert!(asked.len() == 1 && asked[0].1.contains("RoleSessionName=failoverd"), "{asked:?}");
    assert!(api.heads.lock().unwrap().concat().contains("Credential=ASIAROLE/"));

    let api = Canned::start(vec![Reply::Http(503, String::new())]).await;
    let sts = Canned::start(vec![Reply::Http(403, wrapped("AccessDenied", "not authorized to assume"))]).await;
    let place = [("AWS_ENDPOINT_URL_ROUTE_53", api.url.as_str()), ("AWS_ENDPOINT_URL_STS", &sts.url)];
    again_with(test, &[KEYS[0], KEYS[1], place[0], place[1], ("FAILOVERD_TEST_DENIED", "1")]);
    assert!(api.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_credentials_nothing_is_sent_and_the_message_says_what_to_set() {
    let test = "without_any_credentials_nothing_is_sent_and_the_message_says_what_to_set";
    if is_child(test) {
        match write(&connect(&Settings::default()).await.unwrap()).await {
            WriteAnswer::NotSent(e) => {
                assert!(e.kind == ApiErrorKind::Credentials && e.message.contains("AWS_PROFILE"))
            }
            other => panic!("{other:?}"),
        }
        return;
    }
    let canned = Canned::start(vec![Reply::Http(503, String::new())]).await;
    again_with(test, &[("AWS_ENDPOINT_URL", &canned.url)]);
    assert!(canned.requests().is_empty());
}
