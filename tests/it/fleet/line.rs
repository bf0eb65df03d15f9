//! How a fence follows the one that was seen (docs/adr/0010), where a text scenario cannot say it: a change that
//! vanishes, a fence that is back as it was, two fences of one policy.

use failoverd::domain::*;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::report;
use failoverd::engine::zone::ChangeStatus;

use super::drive::*;

const NAME: &str = "web1.example.com";

fn type_in(drive: &mut Drive, kind: CommandKind) {
    let command = Command { kind, policy: Some(PolicyIdx(0)), by: "ann".into(), reason: "a test".into() };
    drive.feed(Event::Command { id: 1, command });
}

/// A peer's fence, with other words in it.
fn peers(epoch: u64, words: &[(&str, &str)]) -> String {
    words.iter().fold(fence(&policy(1, 0), "b", epoch), |text, (from, to)| text.replace(from, to))
}

/// One policy whose fence says `stood`, after a person typed `kind` over it and the provider took it: then the zone
/// loses that write, and its change is known no more.
fn lost(stood: &str, kind: CommandKind) -> Drive {
    let mut drive = calm(vec![policy(1, 0)]);
    drive.fences.insert(NAME.into(), stood.to_owned());
    drive.pass(600_000);
    drive.sync = None;
    type_in(&mut drive, kind);
    drive.accept(0);
    drive.fences.insert(NAME.into(), stood.to_owned());
    drive.sync = Some(ChangeStatus::Vanished);
    drive.pass(60_000);
    drive
}

#[test]
fn whoever_unfroze_is_told_when_the_change_vanished_and_the_zone_says_frozen_again() {
    for word in ["m=frozen", "m=forced"] {
        let drive = lost(&peers(8, &[("m=auto", word)]), CommandKind::Unfreeze);
        let brakes = report(&drive.fleet, PolicyIdx(0), at(drive.ms)).unwrap().brakes;
        assert_eq!(brakes.frozen.is_some(), word == "m=frozen");
        let told = |(kind, text): &&(NoticeKind, String)| *kind == NoticeKind::Frozen && text.contains(" again; ");
        assert_eq!(drive.notices.iter().filter(told).count(), 1, "{:?}", drive.notices);
        assert_eq!(drive.writes.len(), 1, "and nothing is lifted once more");
    }
}

#[test]
fn whoever_acknowledged_is_told_when_the_change_vanished_and_is_asked_to_look_again() {
    let drive = lost(&peers(8, &[("m=auto", "m=locked"), ("k=adopt", "k=lock")]), CommandKind::Ack);
    let told = |(kind, text): &&(NoticeKind, String)| *kind == NoticeKind::Refused && text.contains("the ack was lost");
    assert_eq!(drive.notices.iter().filter(told).count(), 1, "{:?}", drive.notices);
    assert!(report(&drive.fleet, PolicyIdx(0), at(drive.ms)).unwrap().brakes.locked);
}

#[test]
fn a_fence_that_is_back_as_it_was_seen_breaks_no_line() {
    let mut drive = calm(vec![policy(1, 0)]);
    let frozen = peers(8, &[("m=auto", "m=frozen"), ("k=adopt", "k=freeze")]);
    for stands in [Some(frozen.clone()), None, Some(frozen)] {
        match stands {
            Some(fence) => drop(drive.fences.insert(NAME.into(), fence)),
            None => drop(drive.fences.remove(NAME)),
        }
        drive.pass(600_000);
        assert!(drive.rules_frozen(0));
    }
    drive.fences.insert(NAME.into(), peers(9, &[("k=adopt", "k=unfreeze")]));
    drive.pass(600_000);
    assert!(!drive.rules_frozen(0), "who lifted it stood on it: {:?}", drive.transitions);
}

#[test]
fn a_lock_out_that_one_of_two_fences_says_holds_for_the_policy() {
    let two = || {
        let base = policy(1, 0);
        let records = [base.records.clone(), vec![RecordName::new("api1.example.com").unwrap()]].concat();
        Policy { records, ..base }
    };
    let locked = |drive: &Drive| report(&drive.fleet, PolicyIdx(0), at(drive.ms)).unwrap().brakes.locked;
    let lock = [("m=auto", "m=locked"), ("k=adopt", "k=lock")];
    // The newer fence of the other record says nothing of it; read after the lock-out, and before.
    for newest_first in [false, true] {
        let mut drive = calm(vec![two()]);
        let steps = [(NAME, peers(8, &lock)), ("api1.example.com", peers(9, &[]))];
        let order = if newest_first { [1, 0] } else { [0, 1] };
        for step in order.map(|i: usize| &steps[i]) {
            drive.fences.insert(step.0.into(), step.1.clone());
            drive.pass(600_000);
        }
        assert!(locked(&drive), "newest first: {newest_first}: {:?}", drive.transitions);
    }
}
