//! One attempt to send: what goes on the wire and what the answer means.

use std::time::Duration;

use base64::Engine as _;
use failoverd::domain::{NotifierName, UnixMs};
use failoverd::notify::{SendResult, Sink, SinkKind, client};
use failoverd::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};

use super::cases;
use super::receiver::{Answer, Receiver};

/// A token as Slack has it in its path; it may never be seen anywhere.
const CANARY: &str = "/services/T0CANARY1/B0CANARY2/c4n4ryc4n4ryc4n4ry";

fn sink(kind: SinkKind, url: String, key: Option<&str>) -> Sink {
    let name = NotifierName::new("ops").unwrap();
    Sink::new(name, kind, Secret::new(url), key.map(|k| Secret::new(k.into())))
}

fn no_canary(text: &str) {
    for part in ["CANARY", "c4n4ry", "127.0.0.1"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_webhook_carries_headers_that_a_receiver_can_verify() {
    let receiver = Receiver::start(Answer::Status(204, "")).await;
    let client = client().unwrap();
    let key = base64::engine::general_purpose::STANDARD.encode(b"thirty-two bytes of a secret key");
    let sink = sink(SinkKind::Webhook, receiver.url("/hook?x=1"), Some(&format!("whsec_{key}")));
    for at in [1_800_000_000_999, 1_800_000_060_000] {
        assert_eq!(sink.send(&client, UnixMs(at), &cases::moved()).await, SendResult::Delivered);
    }
    let requests = receiver.requests();
    let [first, second] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!(first.path, "/hook?x=1");
    assert_eq!(first.header("content-type"), "application/json");
    assert!(first.header("user-agent").starts_with("failoverd/"));
    assert_eq!((first.header("webhook-id"), first.header("webhook-timestamp")), ("inc-7f3a-1-ops", "1800000000"));
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"), "the same over retries");
    assert_ne!(second.header("webhook-signature"), first.header("webhook-signature"));
    assert_eq!(first.json()["type"], "failoverd.moved");
    for request in &requests {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"thirty-two bytes of a secret key").unwrap();
        mac.update(format!("{}.{}.", request.header("webhook-id"), request.header("webhook-timestamp")).as_bytes());
        mac.update(&request.body);
        let expected = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(request.header("webhook-signature"), format!("v1,{expected}"));
    }
}

#[tokio::test]
async fn slack_gets_blocks_and_no_signature() {
    let receiver = Receiver::start(Answer::Status(200, "ok")).await;
    let sink = sink(SinkKind::Slack, receiver.url(CANARY), Some("unused"));
    assert_eq!(sink.send(&client().unwrap(), UnixMs(0), &cases::moved()).await, SendResult::Delivered);
    let request = &receiver.requests()[0];
    assert_eq!(request.header("webhook-signature"), "");
    assert_eq!(super::limits::slack(&request.json()), Vec::<String>::new());
}

#[tokio::test]
async fn each_answer_ends_as_documented_and_no_text_tells_the_url() {
    let receiver = Receiver::start(Answer::Status(200, "ok")).await;
    let elsewhere = Receiver::start(Answer::Status(200, "ok")).await;
    let client = client().unwrap();
    let sink = sink(SinkKind::Slack, receiver.url(CANARY), None);
    let retry = |after: Option<u64>, error: &str| SendResult::Retry {
        after: after.map(Duration::from_secs),
        error: error.to_owned(),
    };
    let dead = |error: &str| SendResult::Dead { error: error.to_owned() };
    for (answer, expected) in [
        (Answer::Status(400, "invalid_payload"), dead("HTTP 400: invalid_payload")),
        (Answer::Status(403, "action_prohibited"), dead("HTTP 403: action_prohibited")),
        (Answer::Status(404, "no_service"), dead("HTTP 404: no_service")),
        (Answer::Status(410, "channel_is_archived"), dead("HTTP 410: channel_is_archived")),
        (Answer::Status(500, "rollup_error"), retry(None, "HTTP 500: rollup_error")),
        (Answer::Wait(429, "30"), retry(Some(30), "HTTP 429")),
        (Answer::Wait(503, "7200"), retry(Some(3600), "HTTP 503")),
        (Answer::Wait(429, "Thu, 01 Jan 1970 00:01:00 GMT"), retry(Some(60), "HTTP 429")),
        (Answer::Flood(502, 1_000_000), retry(None, &format!("HTTP 502: {}", "x".repeat(200)))),
        (Answer::Redirect(elsewhere.url("/")), retry(None, "HTTP 302 (redirects are not followed)")),
    ] {
        receiver.script([answer]);
        assert_eq!(sink.send(&client, UnixMs(0), &cases::moved()).await, expected);
    }
    assert!(elsewhere.requests().is_empty());
    receiver.script([Answer::Echo]);
    let SendResult::Dead { error } = sink.send(&client, UnixMs(0), &cases::moved()).await else { panic!() };
    assert!(error.contains("cannot POST"), "{error}");
    no_canary(&error);
    no_canary(&format!("{sink:?}"));
}

#[tokio::test]
async fn a_receiver_that_is_not_there_or_no_url_at_all_is_told_without_the_url() {
    let client = client().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let gone = sink(SinkKind::Webhook, format!("http://127.0.0.1:{port}{CANARY}"), None);
    let SendResult::Retry { after: None, error } = gone.send(&client, UnixMs(0), &cases::moved()).await else {
        panic!("not a retry")
    };
    assert!(error.contains("refused"), "{error}");
    no_canary(&error);
    for url in ["not a url CANARY", "ftp://CANARY/c4n4ry", "http://", ""] {
        let sink = sink(SinkKind::Webhook, url.into(), None);
        let result = sink.send(&client, UnixMs(0), &cases::moved()).await;
        let SendResult::Dead { error } = result else { panic!("{url}: {result:?}") };
        no_canary(&error);
    }
    let broken_key = sink(SinkKind::Webhook, format!("http://127.0.0.1:{port}/"), Some("whsec_%%%"));
    let SendResult::Dead { error } = broken_key.send(&client, UnixMs(0), &cases::moved()).await else { panic!() };
    assert!(error.contains("whsec_") && !error.contains("%%%"), "{error}");
}

#[tokio::test]
async fn a_receiver_that_never_answers_costs_ten_seconds() {
    let receiver = Receiver::start(Answer::Hang).await;
    let client = client().unwrap();
    let sink = sink(SinkKind::Webhook, receiver.url(CANARY), None);
    let begun = tokio::time::Instant::now();
    let result = sink.send(&client, UnixMs(0), &cases::moved()).await;
    let SendResult::Retry { after: None, error } = result else { panic!("{result:?}") };
    assert!((9..=15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(error.contains("timed out"), "{error}");
    no_canary(&error);
}
