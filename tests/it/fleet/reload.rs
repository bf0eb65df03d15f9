//! A reload replaces the policies, all or nothing, and forgets nothing it must not.

use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::journal::TransitionKind;
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
