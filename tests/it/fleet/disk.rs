//! What the disk says of entries, in any order: it works when it has everything, and not before.

use failoverd::domain::*;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::intent::IntentOutcome;
use failoverd::engine::notice::NoticeKind;

use super::drive::*;

fn tell(drive: &mut Drive, policy: u32, kind: CommandKind) {
    let command = Command { kind, policy: Some(PolicyIdx(policy)), by: "ann".into(), reason: "patch".into() };
    drive.feed(Event::Command { id: 1, command });
}

fn drain(drive: &mut Drive, policy: u32) {
    tell(drive, policy, CommandKind::Drain { target: TargetIdx(1), hard: true });
}

fn reload(drive: &mut Drive, policies: Vec<Policy>) {
    let mut out = Vec::new();
    assert_eq!(drive.fleet.reload(policies, at(drive.ms), &mut out), Ok(()));
    drive.take(out);
}

/// A calm fleet of one whose disk refused an entry just now; the test answers for the disk.
fn broken() -> Drive {
    let mut drive = calm(vec![policy(1, 0)]);
    drive.queue = Some(Vec::new());
    reload(&mut drive, vec![policy(1, 0)]);
    let refused = drive.waiting();
    drive.disk_says(false, refused);
    assert_eq!(drive.told(NoticeKind::StoreTrouble), 1);
    drive.queue.as_mut().unwrap().clear();
    drive
}

fn is_trial(entry: &Entry) -> bool {
    entry.snapshots.len() == 1
}

fn drained(drive: &Drive, policy: &str) -> Option<usize> {
    drive.snapshots.get(&PolicyId::new(policy).unwrap()).map(|kept| kept.drained.len())
}

#[test]
fn what_was_refused_while_the_disk_was_tried_is_tried_again_before_it_is_said_to_work() {
    let mut drive = broken();
    drive.pass(10_000);
    let trial = drive.waiting();
    assert!(is_trial(&trial));
    // A full queue refuses at once what comes after.
    drain(&mut drive, 0);
    let late = drive.queue.as_mut().unwrap().pop().unwrap();
    drive.disk_says(false, late);
    drive.disk_says(true, trial);
    assert_eq!(drive.told(NoticeKind::StoreFine), 0, "the mark is on no disk");
    while !drive.queue.as_ref().unwrap().is_empty() {
        let entry = drive.waiting();
        drive.disk_says(true, entry);
    }
    assert_eq!((drive.told(NoticeKind::StoreFine), drained(&drive, "web1")), (1, Some(1)));
}

#[test]
fn a_disk_that_takes_long_is_tried_once_at_a_time_and_counts_when_it_answers() {
    let mut drive = broken();
    drive.pass(35_000);
    let waiting = drive.queue.as_ref().unwrap();
    assert_eq!(waiting.iter().filter(|e| is_trial(e)).count(), 1);
    while !drive.queue.as_ref().unwrap().is_empty() {
        let entry = drive.waiting();
        drive.disk_says(true, entry);
    }
    assert_eq!(drive.told(NoticeKind::StoreFine), 1);
}

#[test]
fn the_last_word_about_an_intent_is_kept_although_an_older_one_got_through_after_it() {
    let mut drive = calm(vec![policy(1, 0)]);
    tell(&mut drive, 0, CommandKind::Force { to: Members::one(TargetIdx(1)) });
    drive.queue = Some(Vec::new());
    drive.accept(0);
    drive.pass(3000);
    let about = |e: &Entry| e.intents.iter().map(|i| i.outcome.clone()).next_back();
    let mut queue = std::mem::take(drive.queue.as_mut().unwrap());
    let last = queue.iter().rposition(|e| about(e) == Some(Some(IntentOutcome::Committed))).unwrap();
    assert!(queue[..last].iter().any(|e| about(e) == Some(None)), "an older word waits too");
    let newest = queue.remove(last);
    drive.disk_says(false, newest);
    for older in queue {
        drive.disk_says(true, older);
    }
    let again: Vec<_> = drive.queue.as_ref().unwrap().iter().filter_map(about).collect();
    assert_eq!(again, [Some(IntentOutcome::Committed)]);
}

#[test]
fn a_policy_that_left_while_the_disk_was_broken_is_kept_when_it_works() {
    let both = vec![policy(1, 0), policy(2, 0)];
    let mut drive = calm(both.clone());
    tell(&mut drive, 1, CommandKind::Release);
    drive.pass(1000);
    drive.accept_from(0);
    drive.pass(10_000);
    drive.disk_full = true;
    drain(&mut drive, 1);
    reload(&mut drive, vec![policy(1, 0)]);
    assert_eq!(drained(&drive, "web2"), Some(0));
    drive.disk_full = false;
    drive.pass(15_000);
    assert_eq!((drive.told(NoticeKind::StoreFine), drained(&drive, "web2")), (1, Some(1)));
}
