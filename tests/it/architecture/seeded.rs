//! Every seeded bug has its hooks where this table says and nowhere else, so that a rule that moves
//! takes its wrong version along.

use std::collections::BTreeSet;
use std::path::Path;

use failoverd::seeded::Bug;

use super::source;

/// A bug and the rooms of the engine with a hook of it.
const HOOKS: &[(Bug, &[&str])] = &[
    (Bug::NoFence, &["plan.rs"]),
    (Bug::EpochNotRaised, &["fence.rs"]),
    (Bug::SplitReorders, &["calls.rs"]),
    (Bug::ForeignFenceOverwritten, &["fence.rs"]),
    (Bug::EmptyAnswer, &["plan.rs"]),
    (Bug::UnknownAsDown, &["health.rs"]),
    (Bug::WitnessOlderThanFailure, &["sight.rs"]),
    (Bug::BlindFailuresCount, &["health.rs"]),
    (Bug::WallClock, &["policy.rs"]),
    (Bug::StaleEvidence, &["health.rs"]),
    (Bug::SoakSkipped, &["guard.rs"]),
    (Bug::DeadlineNotRechecked, &["switch.rs", "switch/asked.rs"]),
    (Bug::BurnSkipped, &["fence.rs"]),
    (Bug::LostReplySentAgain, &["switch/answer.rs"]),
    (Bug::ReadBackAsRefusal, &["fence.rs"]),
    (Bug::BrakesPerProcess, &["peer.rs"]),
    (Bug::BrakesForgottenAtRestart, &["policy.rs"]),
    (Bug::FlapBudgetOffByOne, &["guard.rs"]),
    (Bug::PollsNotCharged, &["calls.rs"]),
    (Bug::PendingAsInsync, &["verify.rs"]),
    (Bug::VanishedAsInsync, &["verify.rs"]),
    (Bug::UnverifiedAsProven, &["verify/verdict.rs"]),
    (Bug::UnverifiedForgotten, &["guard.rs"]),
    (Bug::RollbackOnUnverifiable, &["verify/verdict.rs"]),
    (Bug::RollbackToTheDead, &["guard.rs", "verify/verdict.rs"]),
    (Bug::CommitBeforeSend, &["switch.rs"]),
    (Bug::SentBeforeDurable, &["switch.rs"]),
    (Bug::AttemptReused, &["state.rs"]),
    (Bug::OpenIntentsIgnored, &["fleet.rs"]),
    (Bug::OutboxAfterCommit, &["state.rs"]),
    (Bug::NoticeBeforeOutcome, &["state.rs"]),
    (Bug::FreezeOfPeerIgnored, &["guard.rs", "peer.rs"]),
    (Bug::ForceHeldByFreeze, &["switch/asked.rs"]),
    (Bug::DriftSilentlyRepaired, &["select.rs"]),
    (Bug::ActiveFromMemory, &["live.rs"]),
    (Bug::ReloadDropsOpenIntent, &["fleet/reload.rs"]),
];

#[test]
fn every_seeded_bug_is_hooked_where_its_rule_stands_and_nowhere_else() {
    let listed: BTreeSet<Bug> = HOOKS.iter().map(|(bug, _)| *bug).collect();
    assert_eq!(listed, Bug::ALL.into_iter().collect());
    assert_eq!(listed.len(), Bug::ALL.len());
    let wanted: BTreeSet<(String, String)> = HOOKS
        .iter()
        .flat_map(|(bug, rooms)| rooms.iter().map(move |room| (format!("{bug:?}"), (*room).to_owned())))
        .collect();
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine");
    let mut files = Vec::new();
    super::rust_files(&engine, &mut files);
    let mut found = BTreeSet::new();
    for file in files {
        let room = file.strip_prefix(&engine).unwrap().to_str().unwrap().to_owned();
        for bug in asked(&std::fs::read_to_string(&file).unwrap()) {
            found.insert((bug, room.clone()));
        }
    }
    assert_eq!(found, wanted);
}

/// The bugs a text asks for. Whatever else is asked of `seeded` shows as `?`.
fn asked(text: &str) -> Vec<String> {
    let tokens = source::without_tests(&source::tokens(text));
    let code: Vec<&str> = tokens.iter().map(|t| t.text.as_str()).collect();
    let question = |at: usize| match code.get(at..at + 7) {
        Some(["seeded", "(", "Bug", ":", ":", bug, ")"]) => Some((*bug).to_owned()),
        Some(["seeded", "(", ..]) => Some("?".to_owned()),
        _ => None,
    };
    (0..code.len()).filter_map(question).collect()
}

#[test]
fn a_question_that_names_no_bug_is_seen() {
    let text = "fn f(b: Bug) { if seeded(Bug::NoFence) || seeded(b) || other(Bug::EmptyAnswer) {} x; }";
    assert_eq!(asked(text), ["NoFence", "?"]);
}
