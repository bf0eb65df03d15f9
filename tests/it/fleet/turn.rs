//! The zone's turn and the API budget; witness rounds and open intents that are shared.

use failoverd::domain::*;
use failoverd::engine::action::{Action, ApiCall};
use failoverd::engine::event::{Event, Probed};
use failoverd::engine::fence::FENCE_TTL;
use failoverd::engine::intent::{Intent, IntentId, Kind};
use failoverd::engine::journal::Restored;
use failoverd::engine::zone::*;
use failoverd::engine::{Fleet, Mode, next_deadline, step};

use super::drive::*;

#[test]
fn what_becomes_ready_while_a_write_is_in_flight_forms_the_next_batch_of_its_zone() {
    let mut drive = calm(vec![policy(1, 0), policy(2, 5), policy(3, 1)]);
    for _ in 0..2 {
        drive.second(&[(0, [false, true]), (1, [false, true]), (2, [false, true])]);
    }
    let upserts = |drive: &Drive, n: usize| -> Vec<String> {
        drive.writes[n].1.iter().filter(|c| c.op == ChangeOp::Upsert).map(|c| c.name.to_string()).collect()
    };
    // The first to be confirmed let the important one, whose region is dying too, go before it.
    assert_eq!((drive.writes.len(), upserts(&drive, 0)), (1, vec!["web2.example.com".to_owned()]));
    drive.accept(0);
    assert_eq!(drive.writes.len(), 2, "the other two ride together");
    assert_eq!(upserts(&drive, 1), ["web3.example.com", "web1.example.com"], "importance 1 before 0");
    let order: Vec<ChangeOp> = drive.writes[1].1.iter().map(|c| c.op).collect();
    assert!(
        order
            .is_sorted_by_key(|op| [ChangeOp::Delete, ChangeOp::Create, ChangeOp::Upsert].iter().position(|o| o == op))
    );
    drive.accept(1);
    assert_eq!(drive.writes.len(), 2);
}

#[test]
fn the_budget_bounds_every_second_of_a_large_start_and_everything_is_read_in_the_end() {
    let mut drive = Drive::new((1..=60).map(|n| policy(n, 0)).collect(), settings(), Mode::Active);
    drive.pass(60_000);
    let cost = |call: &ApiCall| if matches!(call, ApiCall::GetChange { .. } | ApiCall::Write { .. }) { 1 } else { 2 };
    for (from, _) in &drive.calls {
        let spent: u32 =
            drive.calls.iter().filter(|(at, _)| (*from..from + 1000).contains(at)).map(|(_, c)| cost(c)).sum();
        assert!(spent <= 15, "{spent} requests in the second from {from} ms");
    }
    let read = drive.calls.iter().filter(|(_, c)| matches!(c, ApiCall::ReadRecord { .. })).count();
    assert_eq!(read, 60);
}

#[test]
fn requests_beyond_two_for_one_reading_are_charged_afterwards() {
    let mut drive = calm(vec![policy(1, 0)]);
    drive.pass(10_000);
    drive.feed(Event::Read {
        policy: PolicyIdx(0),
        record: 0,
        result: Err(ApiError { kind: ApiErrorKind::Other, message: "x".into() }),
        calls: 14,
    });
    drive.second(&[(0, [false, true])]);
    drive.second(&[(0, [false, true])]);
    // 12 requests too many leave the bucket at -2; at 5 a second one is free again after 0.6 s.
    assert_eq!(drive.writes.len(), 1, "the budget has recovered by then");
    let mut drive = calm(vec![policy(1, 0)]);
    drive.second(&[(0, [false, true])]);
    drive.pass(1000);
    drive.feed(Event::Read {
        policy: PolicyIdx(0),
        record: 0,
        result: Err(ApiError { kind: ApiErrorKind::Other, message: "x".into() }),
        calls: 22,
    });
    drive.probe(0, 1, true);
    drive.probe(0, 0, false);
    assert_eq!(drive.writes.len(), 0, "overdrawn: the write waits");
    drive.pass(3000);
    assert_eq!(drive.writes.len(), 1);
}

#[test]
fn several_open_intents_of_one_policy_are_resolved_one_after_the_other() {
    let mut drive = calm(vec![policy(1, 0)]);
    let standing = |value: String| Some(LiveSet::values("TXT", FENCE_TTL, vec![value]));
    let intent = |id: &str, before: String| Intent {
        id: IntentId(id.into()),
        policy: policy(1, 0).id,
        kind: Kind::Failover,
        epoch: Epoch(8),
        from: Vec::new(),
        to: Vec::new(),
        before: vec![standing(before)],
        after: vec![String::new()],
        decided_at: UnixMs(1_800_000_000_000),
        signed_at: None,
        change_id: None,
        outcome: None,
    };
    let old = intent("run0-1", fence(&policy(1, 0), "a", 6));
    let new = intent("run0-2", drive.fences["web1.example.com"].clone());
    let restored = Restored { snapshots: Vec::new(), open_intents: vec![old, new] };
    let mut out = Vec::new();
    let policies = vec![policy(1, 0)];
    drive.fleet = Fleet::new(settings(), policies, Mode::Active, restored, "run2", at(drive.ms), &mut out);
    drive.take(out);
    drive.pass(3000);
    assert_eq!(drive.writes.len(), 1, "the one whose fence still stands is burnt");
    drive.accept(0);
    let texts: Vec<&str> = drive.transitions.iter().map(|(_, text)| text.as_str()).collect();
    assert!(texts.iter().any(|t| t.contains("stands in the fence; ours was not applied")), "{texts:?}");
    assert!(texts.contains(&"the lost request was burnt: it can never apply"), "{texts:?}");
}

#[test]
fn policies_that_begin_to_doubt_together_share_their_witness_rounds() {
    let mut settings = settings();
    settings.witnesses = vec![Witness {
        name: WitnessName::new("w1").unwrap(),
        region: None,
        kind: WitnessKind::Tcp("127.0.0.1:9".parse().unwrap()),
    }];
    let policies: Vec<Policy> = (1..=20).map(|n| policy(n, 0)).collect();
    let mut fleet = Fleet::new(settings, policies, Mode::Active, Restored::default(), "run1", at(0), &mut Vec::new());
    let mut rounds = 0;
    for n in 0..20u32 {
        let (now, mut out) = (at(100 + u64::from(n)), Vec::new());
        let outcome = Outcome::Down(DownReason::ConnectRefused);
        let (started, ended) = (now.mono, now.mono);
        let probed = Probed { policy: PolicyIdx(n), target: TargetIdx(0), started, ended, outcome };
        step(&mut fleet, now, Event::Outcomes(vec![probed]), &mut out);
        rounds += out.iter().filter(|a| matches!(a, Action::WitnessRound)).count();
    }
    assert_eq!(rounds, 0, "the round of the start is younger than 200 ms");
    let mut out = Vec::new();
    assert_eq!(next_deadline(&fleet), Some(Tick(BASE + 200)));
    step(&mut fleet, at(200), Event::Wake, &mut out);
    assert_eq!(out.iter().filter(|a| matches!(a, Action::WitnessRound)).count(), 1);
}
