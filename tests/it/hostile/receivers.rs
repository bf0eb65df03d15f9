//! Receivers of notices and witnesses that drip, flood, lie and lead away.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use failoverd::domain::{NotifierName, UnixMs, WitnessKind};
use failoverd::notify::{SendResult, Sink, SinkKind, client};
use failoverd::probe::Prober;
use failoverd::secret::Secret;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::fiend::{Act, Begins, Fiend, gzip_bomb};
use crate::notify::cases;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HOUR: Duration = Duration::from_secs(3600);

fn say(text: &str) -> Act {
    Act::Say(text.replace('\n', "\r\n").into_bytes())
}

/// What a receiver of notices may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Delivered,
    Again,
    /// Not before this long.
    After(Duration),
    Dead,
}

fn rows(elsewhere: &Fiend) -> Vec<(&'static str, Vec<Act>, End, bool)> {
    use Act::{Drip, Flood, HalfClose, Hold, Reset, Say};
    use End::{After, Again, Dead, Delivered};
    let flood = || Flood(b"x".to_vec());
    let away = |to: &str| say(&format!("HTTP/1.1 307 X\nlocation: {to}\ncontent-length: 0\n\n"));
    let wait = |after: &str| say(&format!("HTTP/1.1 429 X\nretry-after: {after}\ncontent-length: 0\n\n"));
    // What it does, what becomes of a notice, and whether it is sight to a witness.
    vec![
        ("well", vec![say("HTTP/1.1 200 OK\ncontent-length: 0\n\n")], Delivered, true),
        ("takes it and floods", vec![say("HTTP/1.1 200 OK\n\n"), flood()], Delivered, true),
        (
            "takes it and bombs",
            vec![say("HTTP/1.1 200 OK\ncontent-encoding: gzip\n\n"), Flood(gzip_bomb(4))],
            Delivered,
            true,
        ),
        ("refuses without end", vec![say("HTTP/1.1 400 X\n\n"), flood()], Dead, true),
        ("fails without end", vec![say("HTTP/1.1 500 X\n\n"), flood()], Again, true),
        ("fails and drips", vec![say("HTTP/1.1 500 X\n\n"), Drip("x")], Again, true),
        (
            "fails with a bomb",
            vec![say("HTTP/1.1 500 X\ncontent-encoding: gzip\n\n"), Flood(gzip_bomb(4))],
            Again,
            true,
        ),
        ("fails with nothing printable", vec![say("HTTP/1.1 500 X\n\n"), Say(vec![0x1b; 5000])], Again, true),
        ("lies about its length", vec![say("HTTP/1.1 500 X\ncontent-length: 10000000000\n\nx")], Again, true),
        ("headers without end", vec![say("HTTP/1.1 200 OK\n"), Flood(b"x: y\r\n".to_vec())], Again, false),
        ("drips its head", vec![say("HTTP/1.1 200 OK\nx: "), Drip("x")], Again, false),
        ("says nothing", vec![Hold], Again, false),
        ("half-closes", vec![HalfClose], Again, false),
        ("resets", vec![Reset], Again, false),
        ("another protocol", vec![say("220 mail.example ESMTP\n")], Again, false),
        ("leads to metadata", vec![away("http://169.254.169.254/latest/meta-data/")], Again, true),
        ("leads elsewhere", vec![away(&format!("http://{}/", elsewhere.addr))], Again, true),
        ("wants a year", vec![wait("31536000")], After(HOUR), true),
        ("wants for ever", vec![wait("18446744073709551615")], After(HOUR), true),
        ("wants more than a number", vec![wait("99999999999999999999999999")], Again, true),
        ("wants the past", vec![wait("-1")], Again, true),
        ("wants the year 9999", vec![wait("Fri, 31 Dec 9999 23:59:59 GMT")], After(HOUR), true),
        ("wants a novel", vec![wait(&"x".repeat(20_000))], Again, true),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_receiver_costs_ten_seconds_and_a_hostile_witness_is_no_sight() {
    let elsewhere = Fiend::start(HERE, Begins::Asked, vec![say("HTTP/1.1 200 OK\ncontent-length: 0\n\n")]);
    let (client, prober) = (client().unwrap(), Prober::new());
    let rows = rows(&elsewhere);
    let one = |(row, script, expected, sight): &(&'static str, Vec<Act>, End, bool)| {
        let (client, prober) = (client.clone(), prober.clone());
        let (row, script, expected, sight) = (*row, script.clone(), *expected, *sight);
        async move {
            let fiend = Fiend::start(HERE, Begins::Asked, script);
            let url = Secret::new(format!("http://{}/services/c4n4ry-path", fiend.addr));
            let sink = Sink::new(NotifierName::new("ops").unwrap(), SinkKind::Slack, url, None);
            let begun = Instant::now();
            let (end, told) = match sink.send(&client, UnixMs(1_800_000_000_000), &cases::moved()).await {
                SendResult::Delivered => (End::Delivered, String::new()),
                SendResult::Retry { after: Some(after), error } => (End::After(after), error),
                SendResult::Retry { after: None, error } => (End::Again, error),
                SendResult::Dead { error } => (End::Dead, error),
            };
            assert!(begun.elapsed() < Duration::from_secs(13), "{row}: {:?}", begun.elapsed());
            assert_eq!(end, expected, "{row}: {told}");
            assert!(told.len() < 1000 && !told.contains("c4n4ry") && !told.contains('\u{1b}'), "{row}: {told}");
            let (timeout, begun) = (Duration::from_millis(800), Instant::now());
            let url = WitnessKind::Url(format!("http://{}/", fiend.addr));
            assert_eq!(prober.witness(&url, timeout).await, sight, "{row}");
            assert!(begun.elapsed() < timeout + Duration::from_secs(1), "{row}: {:?}", begun.elapsed());
        }
    };
    join_all(rows.iter().map(one)).await;
    assert_eq!(elsewhere.connections(), 0, "nobody was led there");
}
