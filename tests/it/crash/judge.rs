//! What must hold at rest after any number of kills, read from the zone's history, the state files
//! and what the receiver was sent; nothing is asked of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use failoverd::engine::fence::FenceKind;
use failoverd::engine::intent::{Intent, IntentOutcome, Kind};
use failoverd::engine::notice::{Notice, NoticeKind};

use crate::lost::ledger::{Batch, Ledger, applied, deliveries, one_after_the_other};

use super::stage::Stage;

/// How old a success may be that speaks for a destination: 2 × fast_interval + timeout, and
/// whatever the machine was late.
const FRESH: Duration = Duration::from_millis(4_000);

/// The outcomes of an earlier look; none may change.
pub type Known = BTreeMap<String, IntentOutcome>;

/// Panics with the whole story unless nothing was harmed. Returns how often the record was moved.
pub fn judge(stage: &Stage, kills: usize, known: &mut Known) -> usize {
    let ledgers: Vec<Ledger> = stage.instances.iter().map(|instance| Ledger::of(&instance.state)).collect();
    let intents: BTreeMap<&str, (usize, &Intent)> = ledgers
        .iter()
        .enumerate()
        .flat_map(|(which, ledger)| ledger.intents.iter().map(move |intent| (intent.id.0.as_str(), (which, intent))))
        .collect();
    let batches = stage.batches();
    let story = || format!("{}\njournal:\n{:#?}", stage.story(), intents.values().collect::<Vec<_>>());

    one_after_the_other(&batches, &story);
    for batch in &batches {
        assert!(stage.is_east(&batch.published).is_some(), "a foreign value: {:?}\n{}", batch.published, story());
    }
    journal_and_zone_agree(&batches, &intents, stage.plan.pair, &story);
    let mut moves = 0;
    for pair in batches.windows(2).filter(|pair| pair[0].published != pair[1].published) {
        moves += 1;
        was_needed(stage, &pair[0], &pair[1], &intents, &story);
    }

    for (id, (_, intent)) in &intents {
        let outcome = intent.outcome.clone().unwrap();
        let before = known.insert((*id).to_owned(), outcome.clone());
        assert!(before.as_ref().is_none_or(|before| *before == outcome), "{id} was {before:?}\n{}", story());
    }
    let owed: i64 = ledgers.iter().map(|ledger| ledger.owed).sum();
    assert_eq!(owed, 0, "a notice was not delivered\n{}", story());
    let notices: Vec<Notice> = ledgers.iter().flat_map(|ledger| ledger.notices.iter().cloned()).collect();
    deliveries(&stage.sink.requests(), &notices, kills);
    told_is_true(&batches, &notices, &intents, &story);
    moves
}

/// What a journal says was applied is what the zone took; every write that the zone took was
/// journalled before. Between two instances a fence cannot tell for ever whose write stood in it:
/// one that a peer has replaced since may be journalled as lost.
fn journal_and_zone_agree(
    batches: &[Batch],
    intents: &BTreeMap<&str, (usize, &Intent)>,
    pair: bool,
    story: &dyn Fn() -> String,
) {
    let in_zone: BTreeSet<&str> =
        batches.iter().filter(|batch| !batch.is(Kind::Burn)).map(|batch| batch.fence.attempt.as_str()).collect();
    for attempt in &in_zone {
        let Some((_, intent)) = intents.get(attempt) else {
            panic!("{attempt} was written without an intent\n{}", story());
        };
        let outcome = intent.outcome.as_ref().unwrap();
        let overtaken = pair && matches!(outcome, IntentOutcome::Lost { .. });
        assert!(applied(outcome) || overtaken, "{attempt} was applied and is journalled {outcome:?}\n{}", story());
    }
    for (id, (_, intent)) in intents {
        let said = intent.outcome.as_ref().is_some_and(applied);
        assert!(!said || in_zone.contains(id), "{id} is journalled as applied, and was not\n{}", story());
    }
}

/// The target that was left had failed within the life that decided, the one gone to was up.
fn was_needed(
    stage: &Stage,
    before: &Batch,
    after: &Batch,
    intents: &BTreeMap<&str, (usize, &Intent)>,
    story: &dyn Fn() -> String,
) {
    let attempt = after.fence.attempt.as_str();
    let (which, intent) = intents[attempt];
    let (left, taken) = (stage.is_east(&before.published).unwrap(), stage.is_east(&after.published).unwrap());
    let at = intent.decided_at;
    let life = stage.instances[which].lives.iter().find(|life| life.began <= at && at <= life.ended);
    let Some(life) = life else { panic!("{attempt} was decided by nobody alive\n{}", story()) };
    if intent.kind == Kind::Failback {
        assert!(taken && stage.plan.failback, "{attempt} is a failback to a worse target\n{}", story());
    } else {
        assert!(
            matches!(intent.kind, Kind::Failover | Kind::Rollback),
            "{attempt} moved the record as {}\n{}",
            intent.kind,
            story()
        );
        assert!(stage.was(left, false, life.began, at), "{attempt} left a target that was up all along\n{}", story());
    }
    let since = failoverd::domain::UnixMs(at.0.saturating_sub(FRESH.as_millis() as u64)).max(life.began);
    assert!(stage.was(taken, true, since, at), "{attempt} went to a target that was down\n{}", story());
    assert!(at <= after.at, "{attempt} was applied before it was decided\n{}", story());
}

/// People are told of every move that happened, and of none that did not.
fn told_is_true(
    batches: &[Batch],
    notices: &[Notice],
    intents: &BTreeMap<&str, (usize, &Intent)>,
    story: &dyn Fn() -> String,
) {
    let of_move = |notice: &&Notice| {
        matches!(
            notice.kind,
            NoticeKind::Moving | NoticeKind::Moved | NoticeKind::MoveUnverified | NoticeKind::MoveContradicted
        )
    };
    let mut told = BTreeSet::new();
    for notice in notices.iter().filter(of_move) {
        let Some(moved) = &notice.moved else { continue };
        told.insert(moved.epoch);
        let happened = batches
            .iter()
            .any(|batch| batch.fence.epoch == moved.epoch && batch.fence.kind == FenceKind::Known(moved.kind));
        assert!(happened, "told of a move that did not happen: {notice:#?}\n{}", story());
    }
    for (_, intent) in intents.values() {
        let happened = intent.kind.is_counted_move() && intent.outcome.as_ref().is_some_and(applied);
        assert!(!happened || told.contains(&intent.epoch), "nobody was told of {}\n{}", intent.id, story());
    }
}
