//! Brakes on the fleet as a whole: a second dead region, the way back into the first, single
//! failures beside an evacuation.

use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::event::{Command, CommandKind, Event};
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::report::Rule;
use failoverd::engine::zone::{ChangeOp, RefusedCode, WriteAnswer};

use super::drive::*;

/// A fleet of which at most one may move in ten minutes: two policies active in us-east-1, one in
/// ap-south-1, with a well target of another beside it or not. The first two leave their dead region.
fn evacuated(well_beside: bool, failback: FailbackMode) -> Drive {
    let mut tight = settings();
    tight.guard = GuardSettings { max_changed: 0.1, per: Duration::from_secs(600), floor: 1 };
    tight.verify.name_servers = NameServers::These(Vec::new());
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
    let mut drive = calm_with(policies, tight);
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
        let mut tight = settings();
        tight.guard = GuardSettings { max_changed: 0.1, per: Duration::from_secs(600), floor: 1 };
        let (mut first, mut other) = (policy(1, 0), policy(2, 0));
        // Regions of their own with a well target beside, so that none is dead.
        for (p, region) in [(&mut first, "ap-south-1"), (&mut other, "sa-east-1")] {
            p.targets[0].region = RegionName::new(region).unwrap();
        }
        let mut beside = policy(3, 0);
        beside.targets[0].region = RegionName::new("ap-south-1").unwrap();
        beside.targets[1].region = RegionName::new("sa-east-1").unwrap();
        let mut drive = calm_with(vec![first, other, beside], tight);
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
