//! A reload replaces the policies, all or nothing, and forgets nothing it must not.

use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::intent::IntentOutcome;
use failoverd::engine::journal::{Restored, TransitionKind};
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::report;
use failoverd::engine::report::{PolicyState, Rule};

use super::drive::*;

#[test]
fn a_reload_keeps_what_it_knows_of_unchanged_policies_and_renumbers_changed_ones() {
    let mut drive = calm(vec![policy(1, 0), policy(2, 0)]);
    let mut changed = policy(2, 0);
    changed.failback.soak = Duration::from_secs(1);
    changed.config_hash = "c0ffee01".into();
    let mut out = Vec::new();
    assert_eq!(drive.fleet.reload(vec![policy(1, 0), changed, policy(3, 0)], at(drive.ms), &mut out), Ok(()));
    drive.take(out);
    let ids: Vec<(u32, String)> = drive.fleet.policies().map(|(i, p)| (i.0, p.id.to_string())).collect();
    assert_eq!(ids, [(0, "web1".into()), (2, "web2".into()), (3, "web3".into())]);
    let state = |d: &Drive, p| report(&d.fleet, PolicyIdx(p), at(d.ms)).map(|r| r.state);
    assert_eq!(state(&drive, 0), Some(PolicyState::Steady), "its health is kept");
    assert_eq!(state(&drive, 1), None, "the old number is dead");
    assert_eq!(state(&drive, 2), Some(PolicyState::Starting), "a changed policy judges anew");
    assert!(drive.transitions.iter().any(|(k, t)| *k == TransitionKind::Reloaded && t.contains('3')));
    // A late outcome of the old number changes nothing; the new one works.
    drive.probe(1, 0, false);
    drive.pass(2000);
    for _ in 0..3 {
        drive.second(&[(0, [true, true]), (2, [true, true])]);
    }
    assert_eq!(state(&drive, 2), Some(PolicyState::Steady));
}

#[test]
fn brakes_survive_a_reload_of_their_policy() {
    let mut drive = calm(vec![policy(1, 0)]);
    let freeze = Command { kind: CommandKind::Freeze, policy: None, by: "ann".into(), reason: "deploy".into() };
    drive.feed(Event::Command { id: 1, command: freeze });
    drive.accept(0);
    drive.pass(5000);
    let mut changed = policy(1, 0);
    changed.ttl = Ttl::new(60).unwrap();
    let mut out = Vec::new();
    assert_eq!(drive.fleet.reload(vec![changed], at(drive.ms), &mut out), Ok(()));
    drive.take(out);
    let report = report(&drive.fleet, PolicyIdx(1), at(drive.ms)).unwrap();
    assert!(report.brakes.frozen.unwrap().contains("deploy"));
}

#[test]
fn the_brakes_of_a_peer_survive_a_reload_too() {
    let mut drive = calm(vec![policy(1, 0)]);
    let written = format!("t={}", 1_800_000_000 + drive.ms / 1000 + 290);
    let peer = fence(&policy(1, 0), "b", 8).replace("k=adopt", "k=failover").replace("t=1700000000", &written);
    drive.fences.insert("web1.example.com".into(), peer);
    drive.pass(310_000);
    let mut changed = policy(1, 0);
    changed.ttl = Ttl::new(60).unwrap();
    let mut out = Vec::new();
    assert_eq!(drive.fleet.reload(vec![changed], at(drive.ms), &mut out), Ok(()));
    drive.take(out);
    for up in [true, false, false] {
        drive.second(&[(1, [up, true])]);
    }
    assert!(drive.rules(1).contains(&Rule::PeerRecent), "{:?}", drive.rules(1));
    assert!(drive.writes.is_empty(), "a peer's move is not reversed at once");
    for _ in 0..120 {
        drive.second(&[(1, [false, true])]);
    }
    assert_eq!(drive.writes.len(), 1, "and after twice the hold-down it is");
}

#[test]
fn a_write_that_is_not_in_sync_yet_holds_a_reload_back() {
    let mut drive = calm(vec![policy(1, 0)]);
    let freeze = Command { kind: CommandKind::Freeze, policy: None, by: "ann".into(), reason: "deploy".into() };
    drive.feed(Event::Command { id: 1, command: freeze });
    drive.accept(0);
    let mut changed = policy(1, 0);
    changed.ttl = Ttl::new(60).unwrap();
    let error = drive.fleet.reload(vec![changed.clone()], at(drive.ms), &mut Vec::new()).unwrap_err();
    assert!(error.contains("write without an outcome"), "{error}");
    drive.pass(5000);
    assert_eq!(drive.fleet.reload(vec![changed], at(drive.ms), &mut Vec::new()), Ok(()));
}

#[test]
fn a_reload_that_drops_a_published_target_or_an_open_write_is_refused_whole() {
    let mut drive = calm(vec![policy(1, 0), policy(2, 0)]);
    let mut without = policy(1, 0);
    without.targets.remove(0);
    let mut elsewhere = policy(1, 0);
    elsewhere.targets[0].content = Content::Addresses(AddressSet::new(["203.0.113.1".parse().unwrap()]).unwrap());
    for broken in [vec![without, policy(2, 0)], vec![elsewhere, policy(2, 0)], vec![policy(2, 0)]] {
        let error = drive.fleet.reload(broken, at(drive.ms), &mut Vec::new()).unwrap_err();
        assert!(error.contains("web1 publishes us-east-1"), "{error}");
    }
    assert_eq!(drive.fleet.policies().count(), 2);
    for _ in 0..2 {
        drive.second(&[(0, [false, true]), (1, [true, true])]);
    }
    let mut changed = policy(1, 0);
    changed.ttl = Ttl::new(60).unwrap();
    let error = drive.fleet.reload(vec![changed, policy(2, 0)], at(drive.ms), &mut Vec::new()).unwrap_err();
    assert!(error.contains("write without an outcome"), "{error}");
    // The same fleet, unchanged, is no change.
    assert_eq!(drive.fleet.reload(vec![policy(1, 0), policy(2, 0)], at(drive.ms), &mut Vec::new()), Ok(()));
}

/// What a reload of `next` says.
fn reload(drive: &mut Drive, next: Vec<Policy>) -> Result<(), String> {
    let mut out = Vec::new();
    let result = drive.fleet.reload(next, at(drive.ms), &mut out);
    drive.take(out);
    result
}

#[test]
fn what_may_be_published_is_not_dropped_while_nobody_has_read_it() {
    let mut drive = calm(vec![policy(1, 0)]);
    drive.held = Some(Vec::new());
    let mut slower = policy(1, 0);
    slower.ttl = Ttl::new(60).unwrap();
    assert_eq!(reload(&mut drive, vec![slower.clone()]), Ok(()));
    let mut without = slower.clone();
    without.targets.remove(0);
    let refused = [vec![without.clone()], vec![]].map(|next| reload(&mut drive, next));
    assert!(refused.iter().all(|r| r.as_ref().is_err_and(|why| why.contains("could not be read yet"))), "{refused:?}");
    let mut more = slower.clone();
    more.failback.soak = Duration::from_secs(1);
    assert_eq!(reload(&mut drive, vec![more]), Ok(()), "nothing of it is dropped");
    drive.pass(1000);
    for reading in std::mem::take(drive.held.as_mut().unwrap()) {
        drive.answer(reading);
    }
    let refused = reload(&mut drive, vec![without]);
    assert!(refused.is_err_and(|why| why.contains("publishes us-east-1 now")));
}

#[test]
fn a_policy_that_comes_back_finds_what_a_person_said_of_it() {
    let mut drive = calm(vec![policy(1, 0), policy(2, 0)]);
    let tell = |drive: &mut Drive, kind| {
        let command = Command { kind, policy: Some(PolicyIdx(1)), by: "ann".into(), reason: "patch".into() };
        drive.feed(Event::Command { id: 1, command });
    };
    tell(&mut drive, CommandKind::Drain { target: TargetIdx(1), hard: true });
    tell(&mut drive, CommandKind::Release);
    drive.pass(1000);
    drive.accept_from(0);
    drive.pass(10_000);
    assert_eq!(reload(&mut drive, vec![policy(1, 0)]), Ok(()), "it was given up");
    assert_eq!(reload(&mut drive, vec![policy(1, 0), policy(2, 0)]), Ok(()));
    let report = report(&drive.fleet, PolicyIdx(2), at(drive.ms)).unwrap();
    assert!(report.targets[1].drained.is_some(), "{:?}", report.targets[1]);
    assert_eq!(drive.snapshots[&PolicyId::new("web2").unwrap()].drained.len(), 1, "nor is it lost on the disk");
}

#[test]
fn another_machine_of_the_same_name_soaks_anew() {
    // (the better target's address after the reload, whether its soak goes on)
    for (address, goes_on) in [("192.0.1.1", true), ("192.0.1.99", false)] {
        let mut first = policy(1, 0);
        first.failback.soak = Duration::from_secs(60);
        first.failback.mode = FailbackMode::Auto;
        let mut drive = Drive::unread(vec![first.clone()]);
        drive.published.insert("web1.example.com".into(), first.targets[1].content.to_string());
        drive.reachable = true;
        drive.fences.insert("web1.example.com".into(), fence(&first, "a", 7).replace("us-east-1", "eu-west-1"));
        drive.pass(310_000);
        for _ in 0..50 {
            drive.second(&[(0, [true, true])]);
        }
        assert_eq!(drive.writes.len(), 0, "it soaks");
        let mut next = first.clone();
        next.importance = 5;
        next.targets[0].content = Content::Addresses(AddressSet::new([address.parse().unwrap()]).unwrap());
        assert_eq!(reload(&mut drive, vec![next]), Ok(()));
        for _ in 0..20 {
            drive.second(&[(1, [true, true])]);
        }
        assert_eq!(drive.writes.len(), usize::from(goes_on), "{address}: {:?}", drive.rules(1));
    }
}

#[test]
fn a_reload_does_not_make_the_blind_see() {
    let mut both = [policy(1, 0), policy(2, 0)];
    both[0].targets[1].region = RegionName::new("ap-south-1").unwrap();
    both[1].targets[0].region = RegionName::new("eu-west-1").unwrap();
    let mut drive = calm(both.to_vec());
    // The targets of us-east-1 and of eu-west-1 begin to fail at once.
    for _ in 0..5 {
        drive.second(&[(0, [false, true]), (1, [false, false])]);
    }
    assert!(drive.fleet.blind().is_some());
    let mut changed = both.to_vec();
    changed.iter_mut().for_each(|p| p.ttl = Ttl::new(60).unwrap());
    assert_eq!(reload(&mut drive, changed), Ok(()));
    for _ in 0..5 {
        drive.second(&[(2, [false, true]), (3, [false, false])]);
    }
    assert!(drive.fleet.blind().is_some());
    assert_eq!((drive.told(NoticeKind::Blind), drive.told(NoticeKind::Sighted)), (1, 0));
}

#[test]
fn what_one_record_of_two_publishes_is_not_dropped_while_the_other_is_a_strangers() {
    let mut two = policy(1, 0);
    two.records.push(RecordName::new("api1.example.com").unwrap());
    let mut drive = calm(vec![two.clone()]);
    drive.published.insert("api1.example.com".into(), "203.0.113.9".into());
    drive.pass(310_000);
    let mut without = two.clone();
    without.targets.remove(0);
    let refused = [vec![without], vec![]].map(|next| reload(&mut drive, next));
    assert!(refused.iter().all(|r| r.as_ref().is_err_and(|why| why.contains("192.0.1.1 now"))), "{refused:?}");
    let mut renamed = two;
    renamed.targets[0].name = TargetName::new("virginia").unwrap();
    assert_eq!(reload(&mut drive, vec![renamed]), Ok(()), "what is published is still a target's");
}

#[test]
fn a_policy_that_was_not_configured_at_the_start_finds_its_open_intent() {
    let mut drive = calm(vec![policy(1, 0), policy(2, 0)]);
    for _ in 0..2 {
        drive.second(&[(1, [false, true])]);
    }
    let sent = drive.intents.iter().rfind(|i| i.policy.as_str() == "web2").cloned().unwrap();
    assert_eq!((drive.writes.len(), &sent.outcome), (1, &None));
    // Killed here; the next run begins without the file of this policy, and is given it later.
    let restored = Restored { snapshots: drive.snapshots.into_values().collect(), open_intents: vec![sent.clone()] };
    let mut next = Drive::again(vec![policy(1, 0)], restored);
    next.published.insert("web2.example.com".into(), "192.0.1.2".into());
    next.fences.insert("web2.example.com".into(), fence(&policy(2, 0), "a", 7));
    next.reachable = true;
    next.pass(65_000);
    assert_eq!(reload(&mut next, vec![policy(1, 0), policy(2, 0)]), Ok(()));
    next.pass(5000);
    next.accept_from(0);
    next.pass(5000);
    let last = next.intents.iter().rfind(|i| i.id == sent.id).and_then(|i| i.outcome.clone());
    assert_eq!(last, Some(IntentOutcome::Burned), "{:?}", next.transitions);
}
