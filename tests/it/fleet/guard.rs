//! Brakes on the fleet as a whole: a second dead region, the way back into the first, single
//! failures beside an evacuation.

use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::report::Rule;
use failoverd::engine::zone::{ChangeOp, RefusedCode, WriteAnswer};

use super::drive::*;

/// At most one of a few policies may move in ten minutes.
fn tight() -> FleetSettings {
    let guard = GuardSettings { max_changed: 0.1, per: Duration::from_secs(600), floor: 1 };
    FleetSettings { guard, ..settings() }
}

/// Two policies active in regions of their own and a third with a well target in each, so that no region is dead
/// when one of the two fails.
fn apart() -> Vec<Policy> {
    let mut policies = vec![policy(1, 0), policy(2, 0), policy(3, 0)];
    for (policy, target, region) in
        [(0, 0, "ap-south-1"), (1, 0, "sa-east-1"), (2, 0, "ap-south-1"), (2, 1, "sa-east-1")]
    {
        policies[policy].targets[target].region = RegionName::new(region).unwrap();
    }
    policies
}

fn fleet_of(drive: &Drive) -> Vec<Policy> {
    drive.fleet.policies().map(|(_, p)| p.clone()).collect()
}

/// A peer wrote the fence of `policy` just now: a `kind`, with `to` published.
fn peers(drive: &mut Drive, policy: &Policy, kind: &str, to: &str) {
    let written = format!("t={}", at(drive.ms).wall.0 / 1000);
    let value = fence(policy, "b", 50).replace("k=adopt", &format!("k={kind}")).replace("t=1700000000", &written);
    let value = value.replace(&format!("to={}", policy.targets[0].name), &format!("to={to}"));
    drive.fences.insert(policy.records[0].to_string(), value);
}

/// A fleet of which at most one may move in ten minutes: two policies active in us-east-1, one in
/// ap-south-1, with a well target of another beside it or not. The first two leave their dead region.
fn evacuated(well_beside: bool, failback: FailbackMode) -> Drive {
    let mut other = policy(3, 0);
    other.targets[0].region = RegionName::new("ap-south-1").unwrap();
    let mut policies = vec![policy(1, 0), policy(2, 0), other];
    if well_beside {
        let mut beside = policy(4, 0);
        beside.targets[1].region = RegionName::new("ap-south-1").unwrap();
        policies.push(beside);
    }
    policies.iter_mut().for_each(|p| p.failback.mode = failback);
    let well: Vec<(u32, [bool; 2])> = (0u32..).take(policies.len()).map(|p| (p, [true, true])).collect();
    let mut drive = calm_with(policies, tight());
    for _ in 0..2 {
        drive.second(&[&[(0, [false, true]), (1, [false, true])], &well[2..]].concat());
    }
    drive.accept(0);
    assert_eq!(drive.writes.len(), 2, "the second policy leaves the same region");
    drive.accept(1);
    // Long enough after for the two regions not to have failed at once.
    for _ in 0..70 {
        drive.second(&well);
    }
    drive
}

#[test]
fn a_second_dead_region_soon_after_the_first_freezes_the_fleet_until_a_person_has_looked() {
    let mut drive = evacuated(false, FailbackMode::Manual);
    for _ in 0..2 {
        drive.second(&[(2, [false, true])]);
    }
    assert!(drive.rules(2).contains(&Rule::Frozen), "{:?}", drive.rules(2));
    assert_eq!(drive.told(NoticeKind::FleetFrozen), 1);
    assert_eq!(drive.told(NoticeKind::Frozen), 0, "told once, not once for each policy");
    let moves = |drive: &Drive| {
        drive.writes.iter().filter(|(_, changes)| changes.iter().any(|c| c.op == ChangeOp::Upsert)).count()
    };
    assert_eq!(moves(&drive), 2, "only fences are written: the freeze itself");
    drive.accept_from(2);
    let unfreeze = Command { kind: CommandKind::Unfreeze, policy: None, by: "ann".into(), reason: "it is real".into() };
    drive.feed(Event::Command { id: 1, command: unfreeze });
    drive.accept_from(3);
    assert_eq!(drive.told(NoticeKind::FleetUnfrozen), 1);
    for _ in 0..3 {
        drive.second(&[(2, [false, true])]);
    }
    assert_eq!(moves(&drive), 3, "and then it moves");
}

#[test]
fn one_failure_beside_an_evacuation_waits_for_the_fleet_guard_only() {
    let mut drive = evacuated(true, FailbackMode::Manual);
    for _ in 0..2 {
        drive.second(&[(2, [false, true])]);
    }
    assert_eq!((drive.writes.len(), drive.rules(2)), (2, vec![Rule::FleetGuard]));
    for _ in 0..540 {
        drive.second(&[(0, [true, true]), (1, [true, true]), (2, [false, true]), (3, [true, true])]);
    }
    assert_eq!(drive.writes.len(), 3, "ten minutes later it may move");
}

#[test]
fn the_way_back_into_an_evacuated_region_freezes_the_fleet() {
    let mut drive = evacuated(false, FailbackMode::Manual);
    for _ in 0..3 {
        drive.second(&[(0, [true, false])]);
    }
    assert!(drive.rules(0).contains(&Rule::FleetFrozen), "{:?}", drive.rules(0));
    assert_eq!(drive.told(NoticeKind::FleetFrozen), 1);
    let mut later = evacuated(false, FailbackMode::Manual);
    for _ in 0..540 {
        later.second(&[(0, [true, true]), (1, [true, true]), (2, [true, true])]);
    }
    let before = later.writes.len();
    for _ in 0..3 {
        later.second(&[(0, [true, false])]);
    }
    assert_eq!(later.told(NoticeKind::FleetFrozen), 0);
    assert_eq!(later.writes.len(), before + 1, "ten minutes later it is a failover like any other");
}

#[test]
fn a_failback_into_an_evacuated_region_waits_until_the_evacuation_is_long_enough_ago() {
    let mut drive = evacuated(false, FailbackMode::Auto);
    let well = [(0, [true, true]), (1, [true, true]), (2, [true, true])];
    for _ in 0..400 {
        drive.second(&well);
    }
    assert_eq!((drive.writes.len(), drive.rules(0)), (2, vec![Rule::FleetGuard]), "soaked, and it waits");
    for _ in 0..150 {
        drive.second(&well);
    }
    assert_eq!(drive.writes.len(), 3, "one of them, as the guard allows");
}

#[test]
fn a_proven_target_elsewhere_goes_before_the_region_just_evacuated() {
    for third_is_well in [true, false] {
        let mut tight = settings();
        tight.guard = GuardSettings { max_changed: 0.9, per: Duration::from_secs(600), floor: 1 };
        tight.verify.name_servers = NameServers::These(Vec::new());
        let with_a_third = |n| {
            let mut policy = policy(n, 0);
            let mut third = policy.targets[1].clone();
            third.name = TargetName::new("ap-south-1").unwrap();
            third.region = RegionName::new("ap-south-1").unwrap();
            third.priority = 3;
            third.content = Content::Addresses(AddressSet::new(vec!["203.0.113.30".parse().unwrap()]).unwrap());
            policy.targets.push(third);
            policy.failback.mode = FailbackMode::Manual;
            policy
        };
        let mut drive = calm_with(vec![with_a_third(1), with_a_third(2)], tight);
        let both = |ups: [bool; 3]| [(0, ups), (1, ups)];
        for _ in 0..3 {
            drive.second(&both([false, true, true]));
            drive.accept_from(0);
        }
        let moved = drive.writes.len();
        for _ in 0..70 {
            drive.second(&both([true, true, true]));
        }
        // One policy's own fault: the other is well in the same region.
        for _ in 0..3 {
            drive.second(&[(0, [true, false, third_is_well]), (1, [true, true, true])]);
        }
        assert_eq!(drive.told(NoticeKind::FleetFrozen), usize::from(!third_is_well), "{:?}", drive.rules(0));
        drive.accept_from(moved);
        let goes = if third_is_well { "203.0.113.30" } else { "192.0.2.1" };
        assert_eq!(drive.published["web1.example.com"], goes);
    }
}

#[test]
fn one_who_could_not_move_anyway_freezes_nobody() {
    for sees in [true, false] {
        let mut drive = evacuated(false, FailbackMode::Manual);
        // Its own path to every standby is cut, or only the second region is dead.
        for _ in 0..2 {
            drive.second(&[(2, [false, sees])]);
        }
        assert_eq!(drive.told(NoticeKind::FleetFrozen), usize::from(sees), "sees: {sees}");
    }
}

#[test]
fn a_write_that_was_refused_is_no_move() {
    for refused in [true, false] {
        let mut drive = calm_with(apart(), tight());
        for _ in 0..2 {
            drive.second(&[(0, [false, true]), (1, [true, true]), (2, [true, true])]);
        }
        let (batch, _) = drive.writes[0].clone();
        if refused {
            let answer = WriteAnswer::Refused { code: RefusedCode::Denied, message: "access denied".into() };
            drive.feed(Event::Answered { batch, answer });
        } else {
            drive.accept(0);
        }
        for _ in 0..70 {
            drive.second(&[(0, [true, true]), (1, [true, true]), (2, [true, true])]);
        }
        for _ in 0..2 {
            drive.second(&[(1, [false, true])]);
        }
        let moves = |name: &str| drive.writes.iter().filter(|(_, c)| c.iter().any(|c| c.name.as_str() == name)).count();
        assert_eq!(moves("web2.example.com"), usize::from(refused), "{:?}", drive.rules(1));
    }
}

#[test]
fn what_a_person_looked_at_freezes_nobody_in_the_next_run_either() {
    for (unfrozen, freezes) in [("by nobody", 1), ("here", 0), ("elsewhere", 0)] {
        let mut drive = evacuated(false, FailbackMode::Manual);
        if unfrozen != "by nobody" {
            for _ in 0..2 {
                drive.second(&[(0, [true, true]), (1, [true, true]), (2, [false, true])]);
            }
            drive.accept_from(2);
            assert!(drive.rules_frozen(2));
            // Well again before anybody looks, so that the unfreeze moves nothing.
            drive.second(&[(0, [true, true]), (1, [true, true]), (2, [true, true])]);
        }
        let (policies, settings) = (fleet_of(&drive), tight());
        match unfrozen {
            "here" => {
                let kind = CommandKind::Unfreeze;
                let unfreeze = Command { kind, policy: None, by: "ann".into(), reason: "it is real".into() };
                drive.feed(Event::Command { id: 1, command: unfreeze });
                drive.accept_from(3);
            }
            "elsewhere" => {
                for (policy, to) in policies.iter().zip(["eu-west-1", "eu-west-1", "us-east-1"]) {
                    peers(&mut drive, policy, "unfreeze", to);
                }
                drive.pass(310_000);
            }
            _ => {}
        }
        drive.pass(5000);
        assert!(!drive.rules_frozen(2), "{unfrozen}: {:?}", drive.rules(2));
        let mut next = drive.restart(policies, settings, Vec::new());
        for up in [true, true, false, false, false] {
            next.second(&[(0, [true, true]), (1, [true, true]), (2, [up, true])]);
        }
        assert_eq!(next.told(NoticeKind::FleetFrozen), freezes, "{unfrozen}: {:?}", next.rules(2));
    }
}

#[test]
fn a_move_counts_in_the_next_run_however_it_became_known() {
    let ways = [
        ("no move", false),
        ("accepted", true),
        ("sent, and the reply never heard", true),
        ("a peer's", true),
        ("of a policy configured later", true),
    ];
    for (way, counts) in ways {
        let policies = apart();
        let mut drive = calm_with(policies.clone(), tight());
        let mut open = Vec::new();
        match way {
            "no move" => {}
            "a peer's" => {
                drive.published.insert("web1.example.com".into(), policies[0].targets[1].content.to_string());
                peers(&mut drive, &policies[0], "failover", "eu-west-1");
                drive.pass(310_000);
            }
            _ => {
                for _ in 0..2 {
                    drive.second(&[(0, [false, true]), (1, [true, true]), (2, [true, true])]);
                }
                assert_eq!(drive.writes.len(), 1);
            }
        }
        if way.starts_with("sent") {
            drive.land(0);
            open.extend(drive.intents.last().cloned());
        } else if !drive.writes.is_empty() {
            drive.accept(0);
            drive.pass(5000);
        }
        let later = usize::from(way.ends_with("later"));
        let mut next = drive.restart(policies[later..].to_vec(), tight(), open);
        if later == 1 {
            let mut out = Vec::new();
            assert_eq!(next.fleet.reload(policies, at(next.ms), &mut out), Ok(()));
            next.take(out);
        }
        // The second policy is the first where the first one came later.
        let (other, beside) = (1 - later as u32, 2 - later as u32);
        for up in [true, true, false, false, false] {
            next.second(&[(other, [up, true]), (beside, [true, true])]);
        }
        let moved = next.writes.iter().any(|(_, c)| c.iter().any(|c| c.name.as_str() == "web2.example.com"));
        assert_eq!(moved, !counts, "{way}: {:?}", next.rules(other));
        assert!(!counts || next.rules(other) == [Rule::FleetGuard], "{way}: {:?}", next.rules(other));
    }
}
