//! How one pass ends, and what stops a whole fleet: provider, store, a person's hand.

use failoverd::domain::*;
use failoverd::engine::action::Action;
use failoverd::engine::event::{Command, CommandKind, CommandReply, Event};
use failoverd::engine::journal::Restored;
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::report::{Rule, Settled};
use failoverd::engine::{Fleet, Mode, next_deadline, step};

use super::drive::*;

#[test]
fn one_pass_is_over_when_every_policy_is_judged_and_says_how_it_ended() {
    let mut drive = Drive::new(vec![policy(1, 0)], settings(), Mode::Active);
    assert_eq!(drive.settled(), Settled::No, "nothing is judged yet");
    drive.second(&[(0, [true, true])]);
    assert_eq!(drive.settled(), Settled::Quiet);
    drive.second(&[(0, [false, true])]);
    assert_eq!(drive.settled(), Settled::No, "in doubt");
    drive.second(&[(0, [false, true])]);
    assert_eq!(drive.settled(), Settled::No, "a write is in flight");
    drive.accept(0);
    drive.pass(3000);
    assert_eq!(drive.settled(), Settled::Moved);

    let mut drive = calm(vec![policy(1, 0)]);
    for _ in 0..70 {
        drive.second(&[(0, [true, false])]);
    }
    assert_eq!(drive.settled(), Settled::Quiet, "a dead standby is no move");
    for _ in 0..3 {
        drive.second(&[(0, [false, false])]);
    }
    assert_eq!((drive.settled(), drive.rules(0)), (Settled::Refused, vec![Rule::NoCandidate]));

    let mut drive = calm(vec![policy(1, 0)]);
    for _ in 0..3 {
        drive.second(&[(0, [false, false])]);
    }
    assert_eq!(drive.settled(), Settled::Blind);

    let mut drive = Drive::new(vec![policy(1, 0)], settings(), Mode::Observe);
    drive.second(&[(0, [true, true])]);
    for _ in 0..2 {
        drive.second(&[(0, [false, true])]);
    }
    assert_eq!((drive.settled(), drive.writes.len()), (Settled::Moved, 0), "it would have moved and wrote nothing");

    let mut drive = Drive::new(vec![policy(1, 0)], settings(), Mode::Active);
    drive.published.clear();
    drive.fences.clear();
    drive.second(&[(0, [true, true])]);
    drive.pass(400_000);
    drive.second(&[(0, [true, true])]);
    assert_ne!(drive.settled(), Settled::Quiet, "a record that does not exist is not quiet");
}

#[test]
fn an_unreachable_provider_ends_a_pass_as_such_and_is_told_after_a_minute() {
    let mut out = Vec::new();
    let fleet = Fleet::new(settings(), vec![policy(1, 0)], Mode::Active, Restored::default(), "run1", at(0), &mut out);
    let mut drive = calm(vec![policy(1, 0)]);
    drive.fleet = fleet;
    drive.ms = 0;
    drive.notices.clear();
    drive.reachable = false;
    drive.take(out);
    drive.second(&[(0, [true, true])]);
    assert_eq!(drive.settled(), Settled::Provider);
    drive.pass(50_000);
    assert!(drive.notices.is_empty(), "a short trouble is no page: {:?}", drive.notices);
    drive.pass(30_000);
    assert_eq!(drive.notices.iter().map(|n| n.0).collect::<Vec<_>>(), [NoticeKind::ApiTrouble]);
    let tries = drive.calls.len();
    drive.pass(60_000);
    assert!(drive.calls.len() - tries <= 6, "it slows down");
    drive.reachable = true;
    drive.pass(31_000);
    assert_eq!(drive.notices.last().map(|n| n.0), Some(NoticeKind::ApiFine));
    drive.second(&[(0, [true, true])]);
    assert_eq!(drive.settled(), Settled::Quiet);
}

#[test]
fn a_store_that_fails_is_said_once_stops_writes_and_is_tried_again() {
    let mut drive = calm(vec![policy(1, 0), policy(2, 0)]);
    drive.notices.clear();
    for seq in [900, 901] {
        drive.feed(Event::StoreFailed { seq, error: "disk full".into() });
    }
    // The driver commits the retry at once, so the trouble ends with it.
    let kinds: Vec<NoticeKind> = drive.notices.iter().map(|n| n.0).collect();
    assert_eq!(
        kinds,
        [NoticeKind::StoreTrouble, NoticeKind::StoreFine, NoticeKind::StoreTrouble, NoticeKind::StoreFine]
    );
}

#[test]
fn an_unfreeze_before_the_first_reading_is_refused_and_one_after_it_is_written() {
    let mut drive = Drive::unread(vec![policy(1, 0)]);
    let frozen = drive.fences["web1.example.com"].replace("m=auto", "m=frozen");
    drive.fences.insert("web1.example.com".into(), frozen);
    let unfreeze = |drive: &mut Drive| {
        let command = Command { kind: CommandKind::Unfreeze, policy: None, by: "ann".into(), reason: "x".into() };
        let mut out = Vec::new();
        step(&mut drive.fleet, at(drive.ms), Event::Command { id: 1, command }, &mut out);
        let refused = out.iter().any(|a| matches!(a, Action::Reply { reply: CommandReply::Refused(_), .. }));
        drive.take(out);
        refused
    };
    assert!(unfreeze(&mut drive), "nobody can say yet what it would be lifted from");
    drive.reachable = true;
    drive.pass(5000);
    drive.second(&[(0, [true, true])]);
    assert!(drive.rules_frozen(0) && drive.writes.is_empty());
    assert!(!unfreeze(&mut drive));
    assert!(format!("{:?}", drive.writes).contains("k=unfreeze") && !drive.rules_frozen(0));
}

#[test]
fn a_command_for_an_unknown_policy_is_refused_and_one_for_all_reaches_all() {
    let mut drive = calm(vec![policy(1, 0), policy(2, 0)]);
    let mut out = Vec::new();
    let command = |policy| Command { kind: CommandKind::Freeze, policy, by: "ann".into(), reason: "x".into() };
    step(&mut drive.fleet, at(drive.ms), Event::Command { id: 9, command: command(Some(PolicyIdx(77))) }, &mut out);
    assert!(matches!(&out[..], [Action::Reply { id: 9, reply: CommandReply::Refused(_) }]), "{out:?}");
    drive.feed(Event::Command { id: 10, command: command(None) });
    assert_eq!((drive.rules_frozen(0), drive.rules_frozen(1)), (true, true));
}

#[test]
fn who_freezes_is_answered_when_it_is_on_the_disk_or_told_that_it_is_not() {
    let mut drive = calm(vec![policy(1, 0)]);
    let ask = |drive: &mut Drive, kind| {
        let command = Command { kind, policy: None, by: "ann".into(), reason: "x".into() };
        let mut out = Vec::new();
        step(&mut drive.fleet, at(drive.ms), Event::Command { id: 1, command }, &mut out);
        let entries: Vec<u64> =
            out.iter().filter_map(|a| if let Action::Persist { seq, .. } = a { Some(*seq) } else { None }).collect();
        (entries, out)
    };
    let answer = |out: &[Action]| {
        out.iter().find_map(|a| match a {
            Action::Reply { reply: CommandReply::Accepted(text), .. } => Some(text.clone()),
            _ => None,
        })
    };
    let hear = |drive: &mut Drive, event| {
        let mut out = Vec::new();
        step(&mut drive.fleet, at(drive.ms), event, &mut out);
        answer(&out)
    };

    let (entries, out) = ask(&mut drive, CommandKind::Freeze);
    assert!(drive.rules_frozen(0) && answer(&out).is_none(), "in force at once, and not answered yet: {out:?}");
    let (last, before) = entries.split_last().unwrap();
    assert!(!before.is_empty(), "the policy's entry, and the one that tells it of all");
    before.iter().for_each(|seq| assert_eq!(hear(&mut drive, Event::Persisted { seq: *seq }), None));
    let said = hear(&mut drive, Event::Persisted { seq: *last }).unwrap();
    assert!(!said.contains("not on disk"), "{said}");

    let (entries, out) = ask(&mut drive, CommandKind::Unfreeze);
    assert_eq!(answer(&out), None);
    let full = Event::StoreFailed { seq: entries[0], error: "disk full".into() };
    let said = hear(&mut drive, full).unwrap();
    assert!(said.contains("unfrozen") && said.contains("not on disk: disk full"), "{said}");

    let (_, out) = ask(&mut drive, CommandKind::Freeze);
    assert_eq!(answer(&out), None);
    assert_eq!(next_deadline(&drive.fleet).map(|due| due.0), Some(at(drive.ms).mono.0 + 1000));
    drive.ms += 1000;
    let said = hear(&mut drive, Event::Wake).unwrap();
    assert!(said.contains("not on disk: it has not answered yet"), "{said}");
}
