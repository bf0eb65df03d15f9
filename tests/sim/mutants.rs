//! Every seeded bug is caught by the simulator within a thousand seeds, by a promise that it breaks;
//! the seed that catches it runs to its end without the bug. `SIM_BUG=Name` looks for one alone,
//! `SIM_JOBS=n` on so many threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use failoverd::seeded::{Bug, with};

use super::simulator::{Broken, Flavour, Invariant, Invariant::*, jobs, run};

const MOST_SEEDS: u64 = 1000;
const HOURS: u64 = 2;

/// A bug, the promises it breaks, and the flavour whose seeds are tried first: one in six.
const CAUGHT_BY: &[(Bug, &[Invariant], Flavour)] = &[
    (Bug::NoFence, &[I1], Flavour::Mixed),
    (Bug::EpochNotRaised, &[I1], Flavour::Mixed),
    (Bug::SplitReorders, &[I1], Flavour::Targets),
    (Bug::ForeignFenceOverwritten, &[I1, I2], Flavour::Hands),
    (Bug::EmptyAnswer, &[I2], Flavour::Mixed),
    (Bug::UnknownAsDown, &[I3], Flavour::Sight),
    (Bug::WitnessOlderThanFailure, &[I3], Flavour::Sight),
    (Bug::BlindFailuresCount, &[I3, I10], Flavour::Sight),
    (Bug::WallClock, &[I3, I5, L1], Flavour::Process),
    (Bug::StaleEvidence, &[I5], Flavour::Targets),
    (Bug::SoakSkipped, &[I5], Flavour::Targets),
    (Bug::DeadlineNotRechecked, &[I3, I5, I6, I12], Flavour::Provider),
    (Bug::BurnSkipped, &[I6, I11], Flavour::Provider),
    (Bug::LostReplySentAgain, &[I6, I11], Flavour::Provider),
    (Bug::ReadBackAsRefusal, &[I6, I11], Flavour::Provider),
    (Bug::BrakesPerProcess, &[I7], Flavour::Targets),
    (Bug::BrakesForgottenAtRestart, &[I7, I12], Flavour::Process),
    (Bug::FlapBudgetOffByOne, &[I7], Flavour::Targets),
    (Bug::PollsNotCharged, &[I8], Flavour::Targets),
    (Bug::PendingAsInsync, &[I9, I10], Flavour::Mixed),
    (Bug::VanishedAsInsync, &[I9], Flavour::Provider),
    (Bug::UnverifiedAsProven, &[I9], Flavour::Provider),
    (Bug::UnverifiedForgotten, &[I9], Flavour::Provider),
    (Bug::RollbackOnUnverifiable, &[I10], Flavour::Provider),
    (Bug::RollbackToTheDead, &[I10], Flavour::Provider),
    (Bug::CommitBeforeSend, &[I6, I11], Flavour::Mixed),
    (Bug::SentBeforeDurable, &[I11], Flavour::Mixed),
    (Bug::AttemptReused, &[I6, I11], Flavour::Mixed),
    (Bug::OpenIntentsIgnored, &[I11, I13, L2], Flavour::Process),
    (Bug::OutboxAfterCommit, &[I11], Flavour::Process),
    (Bug::NoticeBeforeOutcome, &[I11], Flavour::Process),
    (Bug::FreezeOfPeerIgnored, &[I12], Flavour::Hands),
    (Bug::ForceHeldByFreeze, &[I12], Flavour::Hands),
    (Bug::DriftSilentlyRepaired, &[I12], Flavour::Hands),
    (Bug::ActiveFromMemory, &[I2, I3, I12, L1], Flavour::Hands),
    (Bug::ReloadDropsOpenIntent, &[I13], Flavour::Process),
];

/// One line of the result.
struct Caught {
    bug: Bug,
    broken: Option<(u64, Broken)>,
    tried: usize,
    secs: f64,
}

#[test]
fn every_seeded_bug_is_caught_by_a_promise_it_breaks() {
    let only = std::env::var("SIM_BUG").ok();
    let wanted: Vec<_> =
        CAUGHT_BY.iter().filter(|(bug, ..)| only.as_ref().is_none_or(|o| *o == format!("{bug:?}"))).collect();
    assert!(!wanted.is_empty(), "no such bug: {only:?}");
    let next = AtomicUsize::new(0);
    let lines = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs() {
            scope.spawn(|| {
                while let Some((bug, by, flavour)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let caught = hunt(*bug, by, *flavour);
                    println!("{}", caught.text());
                    lines.lock().unwrap().push(caught);
                }
            });
        }
    });
    let lines = lines.into_inner().unwrap();
    assert_eq!(lines.len(), wanted.len());
    let missed: Vec<String> = lines.iter().filter(|c| c.broken.is_none()).map(Caught::text).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_table_names_every_bug_once() {
    let mut listed: Vec<Bug> = CAUGHT_BY.iter().map(|(bug, ..)| *bug).collect();
    listed.sort();
    let mut all = Bug::ALL.to_vec();
    all.sort();
    assert_eq!(listed, all);
}

/// The first seed that breaks a promise of `by` with `bug` in force, and none without it.
fn hunt(bug: Bug, by: &[Invariant], flavour: Flavour) -> Caught {
    #[expect(clippy::disallowed_methods, reason = "the time it takes is printed, nothing is decided")]
    let begun = Instant::now();
    let (first, rest): (Vec<u64>, Vec<u64>) = (1..=MOST_SEEDS).partition(|seed| Flavour::of(*seed) == flavour);
    let mut tried = 0;
    let broken = first.into_iter().chain(rest).find_map(|seed| {
        tried += 1;
        let broken = with(bug, || run(seed, HOURS)).err()?;
        (by.contains(&broken.invariant) && run(seed, HOURS).is_ok()).then_some((seed, broken))
    });
    Caught { bug, broken, tried, secs: begun.elapsed().as_secs_f64() }
}

impl Caught {
    fn text(&self) -> String {
        let Caught { bug, broken, tried, secs } = self;
        match broken {
            Some((seed, broken)) => format!(
                "{bug:?}: caught at seed {seed} by {:?}, {tried} tried, {secs:.1} s: {}",
                broken.invariant, broken.text
            ),
            None => format!("{bug:?}: not caught by {tried} seeds, {secs:.1} s"),
        }
    }
}
