//! What is heard late: a process that was stopped and goes on hears outcomes of long ago first.

use failoverd::domain::*;
use failoverd::engine::action::ApiCall;
use failoverd::engine::event::{Command, CommandKind, Event, Probed};
use failoverd::engine::intent::IntentOutcome;
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::report;
use failoverd::engine::zone::{LiveSet, RefusedCode, WriteAnswer};

use super::drive::*;

#[test]
fn an_outcome_of_long_ago_moves_nothing_and_the_same_one_fresh_does() {
    for (age, moves) in [(31_000, 0), (500, 1)] {
        let mut drive = calm(vec![policy(1, 0)]);
        drive.second(&[(0, [false, true])]);
        // Stopped here for a minute; then what lay in the queue is heard before anything new.
        drive.ms += 60_000;
        drive.probe(0, 1, true);
        let ended = Tick(BASE + drive.ms - age);
        let outcome = Outcome::Down(DownReason::ConnectRefused);
        let late = Probed { policy: PolicyIdx(0), target: TargetIdx(0), started: ended, ended, outcome };
        drive.feed(Event::Outcomes(vec![late]));
        assert_eq!(drive.writes.len(), moves, "an outcome {age}ms old");
    }
}

/// Of two records.
fn two() -> Policy {
    let mut two = policy(1, 0);
    two.records.push(RecordName::new("api1.example.com").unwrap());
    two
}

/// A policy of two records whose reading is under way.
fn being_read() -> Drive {
    let mut drive = calm(vec![two()]);
    drive.held = Some(Vec::new());
    drive.pass(two().reconcile.as_millis() as u64);
    drive
}

#[test]
fn half_a_reading_that_shows_another_hand_stops_what_rests_on_the_older_one() {
    // (what is edited, moves): a person's own TXT beside the record is nobody's business.
    for (edited, moves) in [(None, 1), (Some("A"), 0), (Some("TXT"), 1)] {
        let mut drive = being_read();
        match edited {
            Some("A") => drop(drive.published.insert("web1.example.com".into(), "203.0.113.9".into())),
            Some(_) => drive.beside = Some(LiveSet::values("TXT", 300, vec!["\"note\"".into()])),
            None => {}
        }
        let first = drive.held.as_mut().unwrap().remove(0);
        drive.answer(first);
        assert_eq!(drive.held.as_ref().unwrap().len(), 1, "the other record is still being read");
        for _ in 0..2 {
            drive.second(&[(0, [false, true])]);
        }
        assert_eq!(drive.writes.len(), moves, "edited: {edited:?}, refused by {:?}", drive.rules(0));
    }
}

#[test]
fn half_a_reading_that_shows_another_hand_is_finished_before_what_can_wait() {
    // (the first of its records is not what it was, whose reading is next): the second one's request fails.
    for (edited, next) in [(true, 0), (false, 1)] {
        let few = FleetSettings { api: ApiBudget { rate: 2.0, burst: 4 }, ..settings() };
        let policies = [two()].into_iter().chain((2..=8).map(|n| policy(n, 0))).collect();
        let mut drive = calm_with(policies, few);
        drive.held = Some(Vec::new());
        // Stopped here until every record is to be read again.
        drive.ms += 400_000;
        drive.feed(Event::Wake);
        if edited {
            drive.published.insert("web1.example.com".into(), "203.0.113.9".into());
        }
        let whose = |call: &ApiCall| match call {
            ApiCall::ReadRecord { policy, .. } => policy.0,
            other => panic!("{other:?}"),
        };
        let under_way = std::mem::take(drive.held.as_mut().unwrap());
        assert_eq!(under_way.iter().map(whose).collect::<Vec<_>>(), [0, 0], "the budget allows no more");
        for (reachable, call) in [true, false].into_iter().zip(under_way) {
            drive.reachable = reachable;
            drive.answer(call);
        }
        drive.pass(1200);
        assert_eq!(drive.held.as_ref().unwrap().iter().map(whose).collect::<Vec<_>>(), [next], "edited: {edited}");
    }
}

#[test]
fn a_reading_that_shows_another_hand_counts_although_a_write_of_ours_came_between() {
    for (edited, moves) in [(false, 2), (true, 1)] {
        let one = policy(1, 0);
        let reconcile = one.reconcile;
        let mut drive = calm(vec![one]);
        drive.held = Some(Vec::new());
        drive.pass(reconcile.as_millis() as u64);
        for _ in 0..2 {
            drive.second(&[(0, [false, true])]);
        }
        let (batch, _) = drive.writes[0].clone();
        let busy = WriteAnswer::Refused { code: RefusedCode::Throttled, message: "Rate exceeded".into() };
        drive.feed(Event::Answered { batch, answer: busy });
        if edited {
            drive.published.insert("web1.example.com".into(), "203.0.113.9".into());
        }
        let reading = drive.held.as_mut().unwrap().remove(0);
        drive.answer(reading);
        for _ in 0..3 {
            drive.second(&[(0, [false, true])]);
        }
        assert_eq!(drive.writes.len(), moves, "edited: {edited}, refused by {:?}", drive.rules(0));
    }
}

#[test]
fn what_a_broken_disk_refused_of_a_policy_is_kept_as_soon_as_it_works() {
    let mut drive = calm(vec![policy(1, 0)]);
    drive.disk_full = true;
    let kind = CommandKind::Drain { target: TargetIdx(1), hard: true };
    let command = Command { kind, policy: Some(PolicyIdx(0)), by: "ann".into(), reason: "patch".into() };
    drive.feed(Event::Command { id: 1, command });
    // The first entry to get through tells of a reload, and of no policy.
    drive.disk_full = false;
    let mut out = Vec::new();
    assert_eq!(drive.fleet.reload(vec![policy(1, 0)], at(drive.ms), &mut out), Ok(()));
    drive.take(out);
    let kept = &drive.snapshots[&PolicyId::new("web1").unwrap()];
    assert_eq!(kept.drained.len(), 1, "a mark that only this process knows is lost with it");
}

#[test]
fn a_disk_with_room_for_little_is_said_to_work_when_it_took_everything() {
    let mut drive = calm(vec![policy(1, 0)]);
    drive.disk_small = true;
    let kind = CommandKind::Drain { target: TargetIdx(1), hard: true };
    let command = Command { kind, policy: Some(PolicyIdx(0)), by: "ann".into(), reason: "patch".into() };
    drive.feed(Event::Command { id: 1, command });
    let reload = |drive: &mut Drive| {
        let mut out = Vec::new();
        assert_eq!(drive.fleet.reload(vec![policy(1, 0)], at(drive.ms), &mut out), Ok(()));
        drive.take(out);
    };
    for _ in 0..5 {
        reload(&mut drive);
        drive.pass(5000);
    }
    assert_eq!((drive.told(NoticeKind::StoreTrouble), drive.told(NoticeKind::StoreFine)), (1, 0));
    drive.disk_small = false;
    drive.pass(15_000);
    assert_eq!((drive.told(NoticeKind::StoreTrouble), drive.told(NoticeKind::StoreFine)), (1, 1));
    assert_eq!(drive.snapshots[&PolicyId::new("web1").unwrap()].drained.len(), 1);
}

#[test]
fn half_a_reading_holds_no_force_back() {
    let mut drive = being_read();
    drive.published.insert("web1.example.com".into(), "203.0.113.9".into());
    let first = drive.held.as_mut().unwrap().remove(0);
    drive.answer(first);
    assert_eq!(drive.held.as_ref().unwrap().len(), 1, "the other record is still being read");
    let command = Command {
        kind: CommandKind::Force { to: Members::one(TargetIdx(1)) },
        policy: Some(PolicyIdx(0)),
        by: "ann".into(),
        reason: "drill".into(),
    };
    drive.feed(Event::Command { id: 1, command });
    drive.pass(1000);
    assert_eq!(drive.writes.len(), 1, "break-glass goes on what was read before; the fence keeps it safe");
}

#[test]
fn a_disk_that_works_again_is_not_told_what_an_intent_was_before_its_outcome() {
    let mut drive = calm(vec![policy(1, 0)]);
    (drive.disk_full, drive.sync) = (true, None);
    let to = Members::one(TargetIdx(1));
    let command = Command {
        kind: CommandKind::Force { to },
        policy: Some(PolicyIdx(0)),
        by: "ann".into(),
        reason: "drill".into(),
    };
    drive.feed(Event::Command { id: 1, command });
    drive.accept(0);
    // Stopped here. When it goes on, the time for INSYNC is over and the disk is to be tried again, both at once.
    drive.ms += 400_000;
    drive.disk_full = false;
    let before = drive.intents.len();
    drive.feed(Event::Wake);
    drive.pass(60_000);
    let words: Vec<Option<IntentOutcome>> = drive.intents[before..].iter().map(|i| i.outcome.clone()).collect();
    assert_eq!(words, [Some(IntentOutcome::AppliedSyncUnknown)], "one intent, one last word");
}

#[test]
fn a_switch_under_the_fence_of_another_stands_where_its_target_is_published() {
    // (killed before the answer, what the record publishes when it is read, whether the switch stands)
    for (killed, published, stands) in
        [(true, "192.0.2.1", true), (true, "192.0.1.1", false), (false, "192.0.2.1", true), (false, "192.0.1.1", false)]
    {
        let mut drive = calm(vec![policy(1, 0)]);
        let kind = CommandKind::Switch { to: Members::one(TargetIdx(1)), drain: std::time::Duration::ZERO };
        let command = Command { kind, policy: Some(PolicyIdx(0)), by: "ann".into(), reason: "patch".into() };
        drive.feed(Event::Command { id: 1, command });
        drive.second(&[(0, [true, true])]);
        drive.second(&[(0, [true, true])]);
        let sent = drive.intents.last().cloned().unwrap();
        assert_eq!((drive.writes.len(), &sent.outcome), (1, &None));
        // A peer writes the fence once more before it is read here.
        drive.published.insert("web1.example.com".into(), published.into());
        drive.fences.insert("web1.example.com".into(), fence(&policy(1, 0), "b", sent.epoch.0 + 1));
        if killed {
            drive = drive.restart(vec![policy(1, 0)], settings(), vec![sent.clone()]);
        } else {
            let batch = drive.writes[0].0;
            drive.feed(Event::Answered { batch, answer: WriteAnswer::Ambiguous("timeout".into()) });
        }
        drive.pass(20_000);
        let last = drive.intents.iter().rfind(|i| i.id == sent.id).and_then(|i| i.outcome.clone());
        assert!(matches!(last, Some(IntentOutcome::Lost { .. })), "{last:?}");
        let told = (drive.told(NoticeKind::Refused), drive.told(NoticeKind::MoveUnverified));
        assert_eq!(told, (usize::from(!stands), usize::from(stands)), "{killed}, {published}: {:?}", drive.notices);
        let brakes = report(&drive.fleet, PolicyIdx(0), at(drive.ms)).unwrap().brakes;
        assert_eq!(brakes.failback_blocked, stands, "a person's switch is not undone by itself");
    }
}
