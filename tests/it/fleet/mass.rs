//! Thousands of policies when a region dies, when sight is lost, and when the provider is difficult:
//! the real engine in a simple world, the same events every time.

mod crowd;

use std::collections::BTreeMap;

use failoverd::engine::intent::IntentOutcome;
use failoverd::engine::journal::TransitionKind;
use failoverd::engine::notice::NoticeKind;

use crate::world::zone::ApiMode;
use crowd::{Crowd, Member};

/// `count` policies that are active in us-east-1 and may go to eu-west-1 or ap-south-1, in `zones`
/// zones, of ten importances.
fn in_us_east(count: usize, zones: usize) -> Vec<Member> {
    let member = |n: usize| Member {
        zone: n % zones,
        active: "us-east-1",
        standby: ["eu-west-1", "ap-south-1"][n % 2],
        importance: (n / zones % 10) as i32,
    };
    (0..count).map(member).collect()
}

fn elsewhere(count: usize, zones: usize) -> Vec<Member> {
    let member = |n: usize| Member {
        zone: n % zones,
        active: ["eu-west-1", "ap-south-1"][n % 2],
        standby: ["us-east-1", "eu-west-1"][n % 2],
        importance: 10,
    };
    (0..count).map(member).collect()
}

/// In order of importance: within a zone nobody goes before a more important one, and of all zones
/// the one with the most important goes first. (What a request has room for rides in it all the same.)
fn in_order(crowd: &Crowd) {
    let mut best = i32::MAX;
    let mut least: BTreeMap<usize, i32> = BTreeMap::new();
    for request in crowd.requests.iter().filter(|r| r.accepted) {
        let importances = || request.policies.iter().map(|n| crowd.members[*n].importance);
        let (most, fewest) = (importances().max().unwrap(), importances().min().unwrap());
        let said = format!("{} at {} ms: {most} to {fewest}", request.zone, request.at);
        assert!(most <= best, "zone {said}, after a request with {best} at best");
        let before = least.insert(request.zone, fewest).unwrap_or(i32::MAX);
        assert!(most <= before, "zone {said}, after one of {before}");
        best = most;
    }
}

#[test]
fn a_dead_region_is_left_by_all_two_thousand_in_order_and_nobody_freezes() {
    let mut members = in_us_east(2000, 4);
    members.extend(elsewhere(200, 4));
    let mut crowd = Crowd::calm(members);
    let died = crowd.now;
    crowd.fail("us-east-1", |_| true);
    crowd.run(35_000);
    let moves = crowd.moves();
    let last = moves.iter().map(|(at, _)| at - died).max().unwrap_or(0);
    let first = moves.iter().map(|(at, _)| at - died).min().unwrap_or(0);
    let sizes: Vec<usize> = crowd.requests.iter().map(|r| r.policies.len()).collect();
    println!(
        "2,000 moves in {} requests of {sizes:?} policies, from {first} to {last} ms after the death",
        sizes.len()
    );
    println!("busiest second: {} requests", crowd.busiest_second());
    let mut moved: Vec<usize> = moves.iter().map(|(_, n)| *n).collect();
    moved.sort_unstable();
    assert_eq!(moved, (0..2000).collect::<Vec<_>>(), "each exactly once, nobody else");
    assert!((0..2000).all(|n| crowd.published(n) == Some(1)) && (2000..2200).all(|n| crowd.published(n) == Some(0)));
    assert_eq!(
        (crowd.told(NoticeKind::FleetFrozen), crowd.told(NoticeKind::Frozen), crowd.told(NoticeKind::Blind)),
        (0, 0, 0)
    );
    assert!(crowd.busiest_second() <= 15);
    in_order(&crowd);
}

#[test]
fn half_of_two_regions_failing_together_moves_nothing_ever_and_half_of_one_does() {
    let mut members = in_us_east(200, 2);
    members.extend(elsewhere(200, 2));
    let mut crowd = Crowd::calm(members.clone());
    let half = |n: usize| (n / 4).is_multiple_of(2);
    crowd.fail("us-east-1", half);
    crowd.fail("eu-west-1", half);
    crowd.run(900_000);
    assert_eq!((crowd.requests.len(), crowd.told(NoticeKind::Blind)), (0, 1));
    assert!(crowd.transitions.iter().all(|(_, kind, _)| *kind != TransitionKind::Decided));

    let mut crowd = Crowd::calm(members);
    crowd.fail("us-east-1", half);
    crowd.run(120_000);
    let mut moved: Vec<usize> = crowd.moves().into_iter().map(|(_, n)| n).collect();
    moved.sort_unstable();
    assert_eq!(moved, (0..200).filter(|n| half(*n)).collect::<Vec<_>>());
    assert_eq!(crowd.told(NoticeKind::Blind) + crowd.told(NoticeKind::FleetFrozen), 0);
}

/// Members of one zone and one importance; web0 is the pioneer whose request is in flight while the
/// others become ready.
fn of_one_zone(count: usize) -> Vec<Member> {
    let one = Member { zone: 0, active: "us-east-1", standby: "eu-west-1", importance: 0 };
    vec![one; count]
}

/// The policies of one zone, whose region has just died, with one record the zone refuses.
fn poisoned(count: usize, poison: usize, named: bool) -> Crowd {
    let mut crowd = Crowd::calm(of_one_zone(count));
    let record = crowd.record(poison);
    crowd.zones[0].refused.insert(record, named);
    crowd.fail("us-east-1", |_| true);
    crowd.run(60_000);
    crowd
}

/// All but the poisoned one have moved, once; it is told once however long it lasts; cured, it goes too.
fn only_the_poisoned_is_refused(crowd: &mut Crowd, poison: usize) {
    let all = crowd.members.len();
    let mut moved: Vec<usize> = crowd.moves().into_iter().map(|(_, n)| n).collect();
    moved.sort_unstable();
    assert_eq!(moved, (0..all).filter(|n| *n != poison).collect::<Vec<_>>());
    crowd.run(1_200_000);
    let id = crowd.id(poison).clone();
    let refused: Vec<_> = crowd.notices.iter().filter(|(_, kind, _)| *kind == NoticeKind::WriteRefused).collect();
    assert!(matches!(&refused[..], [(_, _, Some(policy))] if *policy == id), "{refused:?}");
    let tries = crowd.requests.iter().filter(|r| r.policies.contains(&poison)).count();
    assert!((5..=40).contains(&tries), "it is tried {tries} times in 20 minutes");
    let record = crowd.record(poison);
    crowd.zones[0].refused.remove(&record);
    crowd.run(400_000);
    assert_eq!(crowd.published(poison), Some(1), "with the cause removed it moves");
}

#[test]
fn a_record_the_provider_names_leaves_its_batch_of_a_hundred_which_goes_at_once() {
    let mut crowd = poisoned(101, 57, true);
    let batch = crowd.requests.iter().find(|r| !r.accepted).unwrap();
    assert_eq!(batch.policies.len(), 100, "{}", batch.text);
    let next = crowd.requests.iter().find(|r| r.at > batch.at).unwrap();
    assert_eq!((next.policies.len(), next.accepted), (99, true));
    assert!(next.at - batch.at <= 500, "{} ms later", next.at - batch.at);
    only_the_poisoned_is_refused(&mut crowd, 57);
}

#[test]
fn a_refusal_that_names_nobody_is_found_by_halving() {
    let mut crowd = poisoned(101, 57, false);
    let first = crowd.requests.iter().position(|r| !r.accepted).unwrap();
    let alone = crowd.requests.iter().position(|r| !r.accepted && r.policies == [57]).unwrap();
    let sizes: Vec<(usize, bool)> =
        crowd.requests[first..=alone].iter().map(|r| (r.policies.len(), r.accepted)).collect();
    println!("a bad record of 100 was alone after {} requests: {sizes:?}", sizes.len());
    // 2·log2(100) + 1.
    assert!(sizes.len() <= 14 + 1, "{sizes:?}");
    only_the_poisoned_is_refused(&mut crowd, 57);
}

#[test]
fn throttling_and_prior_requests_under_load_keep_the_order_and_all_arrive() {
    for mode in [ApiMode::Throttles(8), ApiMode::Busy(8)] {
        let mut crowd = Crowd::calm(in_us_east(400, 1));
        crowd.zones[0].api = mode;
        crowd.fail("us-east-1", |_| true);
        crowd.run(120_000);
        assert_eq!(crowd.requests.iter().filter(|r| !r.accepted).count(), 8);
        let mut moved: Vec<usize> = crowd.moves().into_iter().map(|(_, n)| n).collect();
        moved.sort_unstable();
        assert_eq!(moved, (0..400).collect::<Vec<_>>());
        in_order(&crowd);
        assert!(crowd.busiest_second() <= 15);
        assert_eq!(crowd.told(NoticeKind::WriteRefused) + crowd.told(NoticeKind::ApiTrouble), 0, "it was short");
    }
}

#[test]
fn a_lost_reply_to_fifty_writes_is_resolved_by_each_for_itself() {
    for (mode, applied) in [(ApiMode::LostAfterCommit, true), (ApiMode::LostBeforeCommit, false)] {
        let mut crowd = Crowd::calm(of_one_zone(51));
        crowd.fail("us-east-1", |_| true);
        // The pioneer's request goes well, the one with the fifty does not.
        while crowd.requests.is_empty() {
            crowd.run(1);
        }
        crowd.zones[0].api = mode;
        crowd.run(300_000);
        let lost = crowd.requests.iter().find(|r| !r.accepted).unwrap();
        assert_eq!(lost.policies.len(), 50);
        // The request that was thought lost arrives after all: nothing of it is applied any more.
        let late = crowd.zones[0].late(0);
        assert_eq!(late.len(), usize::from(!applied));
        let now = crowd.now;
        assert!(late.iter().all(|changes| crowd.zones[0].apply(now, changes).is_err()));
        for n in 0..51 {
            assert_eq!(crowd.published(n), Some(1), "web{n}");
            let outcomes: Vec<&IntentOutcome> = crowd.outcomes[crowd.id(n)].iter().map(|(_, o)| o).collect();
            match (applied, &outcomes[..]) {
                (_, [IntentOutcome::Committed]) if n == 0 => {}
                // Found in the fence; which change it was nobody knows any more.
                (true, [IntentOutcome::AppliedSyncUnknown]) => {}
                (false, [IntentOutcome::Burned, IntentOutcome::Committed]) => {}
                (_, other) => panic!("web{n}: {other:?}"),
            }
        }
        assert!(crowd.busiest_second() <= 15);
    }
}
