//! Every answer to a write has one class.

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::engine::zone::{ApiErrorKind, RefusedCode};

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
                 grant that action to this identity (docs/aws.md)",
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
    let delete = Change {
        op: ChangeOp::Delete,
        data: Data::Values { ttl: 61, values: vec!["\"a\\052b\"".into()] },
        ..one_change().remove(0)
    };
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
