//! A disk that takes nothing more, or fails: probing goes on, nothing moves by itself, people are
//! told, `force` works, and all is well again when the disk is.

use std::time::Duration;

use failoverd::engine::fence::FenceKind;
use failoverd::engine::intent::{Intent, Kind};
use tokio::time::{Instant, sleep};

use crate::crash::stage::{Plan, Stage};
use crate::lost::ledger::{Ledger, applied, one_after_the_other};
use crate::real::PATIENCE;
use crate::servers::Mode;

use super::shim;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_automatic_writes_and_nothing_else() {
    trouble("F", "no space left for the state file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_stops_automatic_writes_and_nothing_else() {
    trouble("E", "disk I/O error").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_read_stops_automatic_writes_and_nothing_else() {
    trouble("R", "disk I/O error").await;
}

/// Polls until `look` holds; fails with the stage's story.
async fn until(stage: &Stage, what: &str, mut look: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !look().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", stage.story());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Notices of one kind that arrived: their severity and first reason.
fn told(stage: &Stage, kind: &str) -> Vec<(String, String)> {
    let wanted = format!("failoverd.{kind}");
    let of_kind = |json: &serde_json::Value| json["type"] == wanted.as_str();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let jsons = stage.sink.requests().into_iter().map(|request| request.json());
    jsons.filter(of_kind).map(|json| (text(&json["data"]["severity"]), text(&json["data"]["why"][0]))).collect()
}

async fn rest(stage: &Stage) {
    until(stage, "at rest", async || stage.unrest(0).await.is_none()).await;
}

async fn trouble(letter: &str, word: &str) {
    let mut stage = Stage::new(Plan { pair: false, failback: false }).await;
    stage.shim = Some(shim());
    stage.start(0, None);
    rest(&stage).await;
    assert!(stage.publishes_east());
    let calm = stage.batches().len();

    stage.disk(0, letter);
    stage.set(true, false, Mode::Refuse).await;
    until(&stage, "people are told", async || !told(&stage, "store_trouble").is_empty()).await;
    let (severity, why) = told(&stage, "store_trouble").remove(0);
    assert_eq!(severity, "critical");
    assert!(why.contains(word), "{why}");
    until(&stage, "the failure is seen", async || {
        stage.place.say(&["-c", "a.toml", "status"]).out.contains("east down")
    })
    .await;
    let probed = stage.place.west.requests();
    let begun = Instant::now();
    until(&stage, "probing goes on", async || stage.place.west.requests() >= probed + 15).await;
    assert!(begun.elapsed() > Duration::from_millis(500), "fifteen probes take a while");
    assert_eq!(stage.batches().len(), calm, "an automatic write without a journal\n{}", stage.story());
    assert!(!stage.is_dead(0), "{}", stage.story());

    // With the disk well again the same failure moves the record, unasked.
    stage.disk(0, "");
    until(&stage, "it recovers by itself", async || !stage.publishes_east()).await;
    until(&stage, "people are told of that too", async || !told(&stage, "store_fine").is_empty()).await;
    stage.set(true, true, Mode::Ok).await;
    rest(&stage).await;

    stage.disk(0, letter);
    let said = stage.place.say(&["-c", "a.toml", "force", "web", "--to", "east", "--reason", "people are hurt"]);
    assert!(stage.publishes_east(), "{said:#?}\n{}", stage.story());
    assert_eq!(said.code, Some(0), "{said:#?}\n{}", stage.story());
    stage.disk(0, "");
    let said = stage.place.say(&["-c", "a.toml", "unfreeze", "web", "--reason", "over"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    until(&stage, "unfrozen", async || stage.batches().last().is_some_and(|b| b.is(Kind::Unfreeze))).await;
    rest(&stage).await;
    stage.end(0);
    nothing_is_wrong(&stage);
}

/// Every write that the zone took is in the journal, but for what a person forced without one.
fn nothing_is_wrong(stage: &Stage) {
    let (batches, ledger) = (stage.batches(), Ledger::of(&stage.instances[0].state));
    one_after_the_other(&batches, &|| stage.story());
    let intent = |attempt: &str| -> Option<&Intent> { ledger.intents.iter().find(|intent| intent.id.0 == attempt) };
    for batch in &batches {
        let forced = batch.fence.kind == FenceKind::Known(Kind::Force);
        let journalled = intent(&batch.fence.attempt);
        let known = journalled.is_some_and(|intent| intent.outcome.as_ref().is_some_and(applied));
        assert!(known || forced, "{} is journalled {journalled:?}\n{}", batch.fence.encode(), stage.story());
    }
    let moves = batches.windows(2).filter(|pair| pair[0].published != pair[1].published).count();
    assert_eq!(moves, 2, "the failover and the force\n{}", stage.story());
    assert_eq!(ledger.owed, 0, "a notice was not delivered");
}
