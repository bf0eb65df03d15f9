//! What goes from one pass to the next by the state file: soak, and where it ends.

use failoverd::domain::*;
use failoverd::engine::event::{Event, Probed};
use failoverd::engine::journal::{PolicySnapshot, Restored};
use failoverd::engine::{Fleet, Mode, report, step};

use super::drive::{at, policy, settings};

/// One pass: its own process, two probes of the first target; how long that target was healthy
/// without a break at its end, in seconds.
fn pass(before: Vec<PolicySnapshot>, begins: u64, outcomes: [Outcome; 2]) -> (Vec<PolicySnapshot>, u64) {
    let mut out = Vec::new();
    let restored = Restored { snapshots: before, ..Restored::default() };
    let mut fleet = Fleet::new(settings(), vec![policy(1, 0)], Mode::Active, restored, "run1", at(begins), &mut out);
    for (i, outcome) in (1u64..).zip(outcomes) {
        let now = at(begins + i * 1000);
        let (policy, target) = (PolicyIdx(0), TargetIdx(0));
        let probed = Probed { policy, target, started: now.mono, ended: now.mono, outcome };
        step(&mut fleet, now, Event::Outcomes(vec![probed]), &mut out);
    }
    let end = at(begins + 2000);
    let seen = report(&fleet, PolicyIdx(0), end).unwrap().targets[0].clone();
    let healthy = if seen.health == Health::Up { end.wall.since(seen.since).as_secs() } else { 0 };
    (fleet.snapshots(end), healthy)
}

#[test]
fn soak_counts_over_passes_and_starts_anew_after_a_gap_or_a_failure() {
    let soak = policy(1, 0).failback.soak.as_millis() as u64;
    let up = [Outcome::Up; 2];
    let (first, healthy) = pass(Vec::new(), 0, up);
    assert!(healthy <= 2, "a first pass claims only what it saw: {healthy}");

    let close = 2000 + soak;
    let (second, healthy) = pass(first.clone(), close, up);
    assert_eq!(healthy, (close + 1000) / 1000, "from the first success of the first pass");
    let (_, healthy) = pass(second, close + 2000 + soak, up);
    assert_eq!(healthy * 1000, 2 * close + 1000);

    let (_, healthy) = pass(first.clone(), close + 1, up);
    assert!(healthy <= 2, "the gap is longer than soak: {healthy}");

    let (broken, _) = pass(first.clone(), 100_000, [Outcome::Down(DownReason::ConnectRefused), Outcome::Up]);
    let (_, healthy) = pass(broken, 150_000, up);
    assert!(healthy <= 52, "the failure ended it: {healthy}");
    let (unseen, _) = pass(first, 100_000, [Outcome::Unknown(UnknownReason::Overloaded); 2]);
    let (_, healthy) = pass(unseen, 150_000, up);
    assert!(healthy <= 2, "a pass that saw nothing proves nothing: {healthy}");
}
