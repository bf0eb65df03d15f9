//! The courier over a real store and receivers that fail in every way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use failoverd::config::{NotifierKind, NotifierSettings, SecretSource};
use failoverd::domain::{NotifierName, UnixMs};
use failoverd::engine::journal::JournalEntry;
use failoverd::engine::notice::Notice;
use failoverd::notify::{Sink, SinkKind, client};
use failoverd::runtime::clock::wall;
use failoverd::runtime::courier::{Courier, sinks};
use failoverd::secret::Secret;
use failoverd::store::{self, Store};
use tokio::time::Instant;

use super::cases;
use super::receiver::{Answer, Receiver, Request};

const OK: Answer = Answer::Status(204, "");
const ENOUGH: Duration = Duration::from_secs(30);

struct Desk {
    dir: tempfile::TempDir,
    store: Store,
}

impl Desk {
    fn open() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let store = store::open(&dir.path().join("failoverd.db"), wall()).unwrap().store;
        Desk { dir, store }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("failoverd.db")
    }

    fn courier(&self, sinks: &[(&str, &Receiver)]) -> Courier {
        Courier::spawn(
            self.store.clone(),
            sinks.iter().map(|(name, r)| sink(name, r)).collect(),
            client().unwrap(),
            wall,
        )
    }

    async fn put(&self, notices: Vec<Notice>) {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let entry = JournalEntry { notices, ..JournalEntry::default() };
        self.store.commit(0, entry, move |result| tx.send(result).unwrap());
        rx.await.unwrap().unwrap();
    }
}

fn sink(name: &str, receiver: &Receiver) -> Sink {
    Sink::new(NotifierName::new(name).unwrap(), SinkKind::Webhook, Secret::new(receiver.url("/c4n4ry-path")), None)
}

fn notice(n: usize, to: &[&str]) -> Notice {
    Notice {
        id: format!("n{n}"),
        at: wall(),
        to: to.iter().map(|name| NotifierName::new(name).unwrap()).collect(),
        ..cases::moved()
    }
}

/// Ids of the notices a receiver saw, in order, doubles included.
fn seen(receiver: &Receiver) -> Vec<String> {
    let id = |r: &Arc<Request>| r.json()["data"]["id"].as_str().unwrap().to_owned();
    receiver.requests().iter().map(id).collect()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < ENOUGH, "not within {ENOUGH:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_dead_receiver_never_delays_another_and_has_one_attempt_in_flight() {
    let desk = Desk::open();
    let (dead, alive) = (Receiver::start(Answer::Hang).await, Receiver::start(OK).await);
    let courier = desk.courier(&[("dead", &dead), ("alive", &alive)]);
    desk.put((0..20).map(|n| notice(n, &["dead", "alive"])).collect()).await;
    courier.nudge();
    let begun = Instant::now();
    until("alive has all", async || alive.requests().len() == 20).await;
    assert!(begun.elapsed() < Duration::from_secs(9), "sooner than one attempt at the dead one ends");
    assert_eq!(seen(&alive), (0..20).map(|n| format!("n{n}")).collect::<Vec<_>>());
    assert_eq!(seen(&dead), ["n0"]);
    assert!(courier.flush(Duration::from_millis(300)).await >= 20, "the dead one's are kept");
}

#[tokio::test]
async fn a_failed_notice_is_tried_again_before_the_next_one_and_under_the_same_id() {
    let desk = Desk::open();
    let receiver = Receiver::start(OK).await;
    receiver.script([Answer::Status(500, "rollup_error")]);
    desk.put((0..3).map(|n| notice(n, &["ops"])).collect()).await;
    let courier = desk.courier(&[("ops", &receiver)]);
    assert_eq!(courier.flush(ENOUGH).await, 0);
    assert_eq!(seen(&receiver), ["n0", "n0", "n1", "n2"]);
    let ids: Vec<String> = receiver.requests().iter().map(|r| r.header("webhook-id").to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn the_wait_a_receiver_asks_for_is_respected() {
    let desk = Desk::open();
    let receiver = Receiver::start(OK).await;
    receiver.script([Answer::Wait(429, "3")]);
    desk.put(vec![notice(0, &["ops"])]).await;
    let courier = desk.courier(&[("ops", &receiver)]);
    until("the first attempt", async || receiver.requests().len() == 1).await;
    let first = Instant::now();
    assert_eq!(courier.flush(ENOUGH).await, 0);
    assert!(first.elapsed() >= Duration::from_millis(2500), "{:?}", first.elapsed());
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test]
async fn what_will_never_succeed_is_a_dead_letter_and_the_next_notice_goes_out() {
    let desk = Desk::open();
    let receiver = Receiver::start(OK).await;
    receiver.script([Answer::Status(404, "no_service")]);
    desk.put(vec![notice(0, &["ops", "removed"]), notice(1, &["ops"])]).await;
    let courier = desk.courier(&[("ops", &receiver)]);
    assert_eq!(courier.flush(ENOUGH).await, 0);
    assert_eq!(seen(&receiver), ["n0", "n1"]);
    assert_eq!(desk.store.outbox_dead().await.unwrap(), 2, "no_service, and a notifier that is not configured");
}

#[tokio::test]
async fn a_notice_is_given_up_after_72_hours_and_a_younger_one_is_not() {
    let desk = Desk::open();
    let receiver = Receiver::start(Answer::Status(503, "")).await;
    let hours = |n: u64| UnixMs(wall().0 - n * 3_600_000);
    desk.put(vec![Notice { at: hours(73), ..notice(0, &["ops"]) }, Notice { at: hours(71), ..notice(1, &["other"]) }])
        .await;
    let courier = desk.courier(&[("ops", &receiver), ("other", &receiver)]);
    until("both were tried", async || desk.store.outbox_dead().await.unwrap() == 1 && receiver.requests().len() >= 2)
        .await;
    courier.stop().await;
    assert_eq!(desk.store.outbox_pending().await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_not_delivered_is_delivered_once_by_the_next_process() {
    let Desk { dir, store } = Desk::open();
    let path = dir.path().join("failoverd.db");
    let receiver = Receiver::start(Answer::Status(503, "")).await;
    let desk = Desk { dir, store };
    desk.put(vec![notice(0, &["ops"])]).await;
    let courier = desk.courier(&[("ops", &receiver)]);
    until("a failed attempt", async || receiver.requests().len() == 1).await;
    courier.stop().await;
    let Desk { dir, store } = desk;
    store.close();

    receiver.always(OK);
    let desk = Desk { dir, store: store::open(&path, wall()).unwrap().store };
    let courier = desk.courier(&[("ops", &receiver)]);
    assert_eq!(courier.flush(ENOUGH).await, 0);
    courier.nudge();
    courier.stop().await;
    assert_eq!(seen(&receiver), ["n0", "n0"]);
}

#[tokio::test]
async fn a_delivery_the_store_could_not_record_is_not_sent_twice() {
    let desk = Desk::open();
    let receiver = Receiver::start(OK).await;
    desk.put(vec![notice(0, &["ops"])]).await;
    let other = rusqlite::Connection::open(desk.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let courier = desk.courier(&[("ops", &receiver)]);
    until("a record that failed", async || desk.store.stats().failures > 0).await;
    assert_eq!(desk.store.outbox_pending().await.unwrap(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(courier.flush(ENOUGH).await, 0);
    assert_eq!(seen(&receiver), ["n0"]);
}

#[tokio::test]
async fn with_a_dead_store_notices_go_out_from_memory_in_order() {
    let desk = Desk::open();
    let receiver = Receiver::start(OK).await;
    receiver.script([Answer::Status(502, "")]);
    let courier = desk.courier(&[("ops", &receiver)]);
    desk.store.clone().close();
    courier.direct((0..3).map(|n| notice(n, &["ops"])).collect());
    assert_eq!(courier.flush(ENOUGH).await, 0);
    assert_eq!(seen(&receiver), ["n0", "n0", "n1", "n2"]);
}

#[tokio::test]
async fn flush_is_bounded_and_new_receivers_take_over_after_a_reload() {
    let desk = Desk::open();
    let (old, new) = (Receiver::start(Answer::Status(500, "")).await, Receiver::start(OK).await);
    desk.put(vec![notice(0, &["ops"])]).await;
    let courier = desk.courier(&[("ops", &old)]);
    let begun = Instant::now();
    assert_eq!(courier.flush(Duration::from_millis(400)).await, 1);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    courier.set_sinks(vec![sink("ops", &new)]);
    assert_eq!(courier.flush(ENOUGH).await, 0);
    assert_eq!(seen(&new), ["n0"]);
}

#[tokio::test]
async fn notices_wait_for_a_secret_that_cannot_be_read_and_the_others_are_told() {
    let desk = Desk::open();
    let (well, locked) = (Receiver::start(OK).await, Receiver::start(OK).await);
    let file = desk.dir.path().join("hook");
    let settings = |n: &str| NotifierSettings {
        name: NotifierName::new(n).unwrap(),
        kind: NotifierKind::Webhook,
        url: SecretSource::File(file.clone()),
        secret: None,
    };
    let (none, unreadable) = sinks(&[settings("locked")], &|_| None);
    assert!(none.is_empty() && unreadable[0].error.to_string().contains("cannot read"));
    desk.put(vec![notice(0, &["locked", "well"]), notice(1, &["locked", "well"])]).await;
    let courier = desk.courier(&[("well", &well)]);
    courier.set_unreadable(vec![settings("locked")]);
    // Noted a moment after the receiver has it.
    let noted = async || seen(&well) == ["n0", "n1"] && desk.store.outbox_pending().await.unwrap() == 2;
    until("the other one is told, and that is noted", noted).await;
    assert_eq!(desk.store.outbox_dead().await.unwrap(), 0);

    // Looked for again by a fresh courier, as after a minute or a restart.
    courier.stop().await;
    std::fs::write(&file, locked.url("/late")).unwrap();
    let courier = desk.courier(&[]);
    courier.set_unreadable(vec![settings("locked")]);
    until("what waited is sent", async || seen(&locked) == ["n0", "n1"]).await;
    courier.stop().await;
}

#[tokio::test]
async fn no_url_gets_into_the_state_file() {
    let desk = Desk::open();
    let receiver = Receiver::start(Answer::Status(500, "")).await;
    receiver.script([Answer::Echo]);
    desk.put(vec![notice(0, &["ops"]), notice(1, &["ops"])]).await;
    let courier = desk.courier(&[("ops", &receiver)]);
    until("a dead letter and a retry", async || receiver.requests().len() >= 2).await;
    courier.stop().await;
    let dead = desk.store.outbox_dead().await.unwrap();
    let (path, store) = (desk.path(), desk.store);
    store.close();
    let bytes = std::fs::read(path).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(dead == 1 && has("cannot POST"), "the error itself is there");
    assert!(!has("c4n4ry") && !has("127.0.0.1"));
}
