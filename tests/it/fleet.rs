//! Many policies in one fleet: the zone's turn, the API budget, reload, the fleet guard and the
//! result of one pass. The driver answers readings and commits at once and leaves writes to the test.

use std::collections::BTreeMap;
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::action::{Action, ApiCall, BatchId};
use failoverd::engine::event::{Command, CommandKind, Event, Probed};
use failoverd::engine::fence::{FENCE_TTL, FenceKind, FenceMode, FenceValue, quote};
use failoverd::engine::intent::{Intent, IntentId, Kind};
use failoverd::engine::journal::{Restored, TransitionKind};
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::report::{PolicyState, Rule, Settled};
use failoverd::engine::zone::*;
use failoverd::engine::{Fleet, Mode, next_deadline, report, step};

struct Drive {
    fleet: Fleet,
    ms: u64,
    calls: Vec<(u64, ApiCall)>,
    writes: Vec<(BatchId, Vec<Change>)>,
    transitions: Vec<(TransitionKind, String)>,
    notices: Vec<(NoticeKind, String)>,
    /// Which target each policy's record publishes, and which fence stands.
    published: BTreeMap<String, String>,
    fences: BTreeMap<String, String>,
    reachable: bool,
}

impl Drive {
    fn new(policies: Vec<Policy>, settings: FleetSettings, mode: Mode) -> Drive {
        let mut out = Vec::new();
        let published = policies.iter().map(|p| (p.records[0].to_string(), p.targets[0].content.to_string())).collect();
        let fences = policies.iter().map(|p| (p.records[0].to_string(), fence(p, "a", 7))).collect();
        let fleet = Fleet::new(settings, policies, mode, Restored::default(), "run1", at(0), &mut out);
        let mut drive = Drive {
            fleet,
            ms: 0,
            calls: Vec::new(),
            writes: Vec::new(),
            transitions: Vec::new(),
            notices: Vec::new(),
            published,
            fences,
            reachable: true,
        };
        drive.take(out);
        drive
    }

    fn feed(&mut self, event: Event) {
        let mut out = Vec::new();
        step(&mut self.fleet, at(self.ms), event, &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Vec<Action>) {
        for action in out {
            match action {
                Action::Persist { seq, entry } => {
                    self.transitions.extend(entry.transitions.into_iter().map(|t| (t.kind, t.text)));
                    self.notices.extend(entry.notices.into_iter().map(|n| (n.kind, n.title)));
                    self.feed(Event::Persisted { seq });
                }
                Action::Call(call) => {
                    self.calls.push((self.ms, call.clone()));
                    self.answer(call);
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, call: ApiCall) {
        let down = || ApiError { kind: ApiErrorKind::Unreachable, message: "no connection".into() };
        match call {
            ApiCall::ResolveZone { zone, .. } => {
                let name = RecordName::new("example.com").unwrap();
                let info = ZoneInfo { id: ZoneId::new("Z1"), name, name_servers: Vec::new(), private: false };
                let result = if self.reachable { Ok(info) } else { Err(down()) };
                self.feed(Event::ZoneResolved { zone, result });
            }
            ApiCall::ReadRecord { policy, record, name, .. } => {
                let set = |rtype: &str, ttl, value: String| LiveSet::values(rtype, ttl, vec![value]);
                let sets = self.published.get(name.as_str()).map(|v| set("A", 30, v.clone())).into_iter().collect();
                let fence =
                    self.fences.get(name.as_str()).map(|v| set("TXT", FENCE_TTL, v.clone())).into_iter().collect();
                let result = if self.reachable { Ok(RecordRead { sets, fence }) } else { Err(down()) };
                self.feed(Event::Read { policy, record, result, calls: 2 });
            }
            ApiCall::Write { batch, changes, .. } => self.writes.push((batch, changes)),
            ApiCall::GetChange { intent, .. } => self.feed(Event::Synced { intent, result: Ok(ChangeStatus::Insync) }),
        }
    }

    /// Lets time pass, waking the engine exactly when it asks to be.
    fn pass(&mut self, duration: u64) {
        let end = self.ms + duration;
        let mut wakes = 0;
        while let Some(due) = next_deadline(&self.fleet).map(|t| t.0 - BASE).filter(|t| *t <= end) {
            wakes += 1;
            assert!(wakes < 20_000, "the engine spins at {} ms", self.ms);
            self.ms = self.ms.max(due);
            self.feed(Event::Wake);
        }
        self.ms = end;
    }

    fn probe(&mut self, policy: u32, target: u32, up: bool) {
        let outcome = if up { Outcome::Up } else { Outcome::Down(DownReason::ConnectRefused) };
        let now = at(self.ms).mono;
        let probed = Probed { policy: PolicyIdx(policy), target: TargetIdx(target), started: now, ended: now, outcome };
        self.feed(Event::Outcomes(vec![probed]));
    }

    /// One second of probes: `ups[policy]` lists each target's outcome.
    fn second(&mut self, ups: &[(u32, [bool; 2])]) {
        self.pass(1000);
        for (policy, targets) in ups {
            for (target, up) in (0u32..).zip(targets) {
                self.probe(*policy, target, *up);
            }
        }
    }

    /// How many notices of a kind were told.
    fn told(&self, kind: NoticeKind) -> usize {
        self.notices.iter().filter(|(k, _)| *k == kind).count()
    }

    /// Accepts the writes from number `n` on, and those that follow from them.
    fn accept_from(&mut self, mut n: usize) {
        while n < self.writes.len() {
            self.accept(n);
            n += 1;
        }
    }

    fn accept(&mut self, n: usize) {
        let (batch, _) = self.writes[n].clone();
        self.feed(Event::Answered { batch, answer: WriteAnswer::Accepted { change_id: format!("C{n}") } });
    }

    fn settled(&self) -> Settled {
        self.fleet.settled(at(self.ms))
    }

    fn rules(&self, policy: u32) -> Vec<Rule> {
        let report = report(&self.fleet, PolicyIdx(policy), at(self.ms)).unwrap();
        report.refusals.into_iter().map(|r| r.rule).collect()
    }
}

const BASE: u64 = 1_000_000;

fn at(ms: u64) -> Now {
    Now { mono: Tick(BASE + ms), wall: UnixMs(1_800_000_000_000 + ms) }
}

fn fence(policy: &Policy, instance: &str, epoch: u64) -> String {
    let value = FenceValue {
        epoch: Epoch(epoch),
        policy: policy.id.clone(),
        cluster: ClusterName::new("prod").unwrap(),
        instance: InstanceName::new(instance).unwrap(),
        attempt: format!("{instance}-{epoch}"),
        written: UnixMs(1_700_000_000_000),
        kind: FenceKind::Known(Kind::Adopt),
        moves: 0,
        mode: FenceMode::Auto,
        until: UnixMs(0),
        config: policy.config_hash.clone(),
        to: policy.targets[0].name.to_string(),
    };
    quote(&value.encode())
}

fn policy(n: u8, importance: i32) -> Policy {
    let name = format!("web{n}");
    let record = RecordName::new(&format!("{name}.example.com")).unwrap();
    let check = Check {
        kind: CheckKind::http(80, &record, "/"),
        cadence: Cadence::Every(Duration::from_secs(5)),
        fast_interval: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        fall: 2,
        rise: 1,
        settle: 1,
        confirm: Duration::ZERO,
    };
    let target = |(i, region): (u8, &str)| Target {
        name: TargetName::new(region).unwrap(),
        region: RegionName::new(region).unwrap(),
        priority: i32::from(i),
        content: Content::Addresses(AddressSet::new([format!("192.0.{i}.{n}").parse().unwrap()]).unwrap()),
        check: check.clone(),
    };
    Policy {
        id: PolicyId::new(&name).unwrap(),
        zone: ZoneRef { name: Some(RecordName::new("example.com").unwrap()), id: None },
        records: vec![record],
        ttl: Ttl::new(30).unwrap(),
        answers: 1,
        min_active: 1,
        importance,
        adopt: Adopt::Auto,
        targets: [(1, "us-east-1"), (2, "eu-west-1")].into_iter().map(target).collect(),
        failover: Failover {
            hold_down: Duration::from_secs(60),
            flap_budget: 4,
            write: WriteMode::Upsert,
            drift: Drift::Alert,
        },
        failback: Failback { mode: FailbackMode::Auto, soak: Duration::from_secs(300), window: None },
        observe: Duration::from_secs(30),
        reconcile: Duration::from_secs(300),
        notify: Vec::new(),
        config_hash: "c0ffee00".into(),
    }
}

fn settings() -> FleetSettings {
    FleetSettings {
        cluster: ClusterName::new("prod").unwrap(),
        instance: InstanceName::new("a").unwrap(),
        api: ApiBudget { rate: 5.0, burst: 10 },
        verify: VerifySettings { name_servers: NameServers::These(Vec::new()), timeout: Duration::from_secs(120) },
        guard: GuardSettings { max_changed: 0.3, per: Duration::from_secs(600), floor: 10 },
        witnesses: Vec::new(),
        rehearsal: None,
    }
}

/// A fleet whose record and targets are all fine and judged.
fn calm(policies: Vec<Policy>) -> Drive {
    calm_with(policies, settings())
}

fn calm_with(policies: Vec<Policy>, settings: FleetSettings) -> Drive {
    let count = policies.len() as u32;
    let mut drive = Drive::new(policies, settings, Mode::Active);
    drive.pass(u64::from(count) * 1000);
    let all: Vec<(u32, [bool; 2])> = (0..count).map(|p| (p, [true, true])).collect();
    drive.second(&all);
    drive.second(&all);
    assert_eq!(drive.settled(), Settled::Quiet);
    drive
}

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

/// A fleet of which at most one may move in ten minutes: two policies active in us-east-1, one in
/// ap-south-1, with a well target of another beside it or not. The first two leave their dead region.
fn evacuated(well_beside: bool) -> Drive {
    let mut tight = settings();
    tight.guard = GuardSettings { max_changed: 0.1, per: Duration::from_secs(600), floor: 1 };
    let mut other = policy(3, 0);
    other.targets[0].region = RegionName::new("ap-south-1").unwrap();
    let mut policies = vec![policy(1, 0), policy(2, 0), other];
    if well_beside {
        let mut beside = policy(4, 0);
        beside.targets[1].region = RegionName::new("ap-south-1").unwrap();
        policies.push(beside);
    }
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
    let mut drive = evacuated(false);
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
    let mut drive = evacuated(true);
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
fn an_unfreeze_before_the_first_reading_is_refused_rather_than_undone_by_it() {
    let mut out = Vec::new();
    let mut fleet =
        Fleet::new(settings(), vec![policy(1, 0)], Mode::Active, Restored::default(), "run1", at(0), &mut out);
    for kind in [CommandKind::Unfreeze, CommandKind::Ack] {
        let command = Command { kind, policy: None, by: "ann".into(), reason: "x".into() };
        let mut out = Vec::new();
        step(&mut fleet, at(1), Event::Command { id: 1, command }, &mut out);
        let refused = |a: &Action| matches!(a, Action::Reply { reply: failoverd::engine::event::CommandReply::Refused(text), .. } if text.contains("not been read yet"));
        assert!(out.iter().any(refused), "{out:?}");
    }
}

#[test]
fn a_command_for_an_unknown_policy_is_refused_and_one_for_all_reaches_all() {
    let mut drive = calm(vec![policy(1, 0), policy(2, 0)]);
    let mut out = Vec::new();
    let command = |policy| Command { kind: CommandKind::Freeze, policy, by: "ann".into(), reason: "x".into() };
    step(&mut drive.fleet, at(drive.ms), Event::Command { id: 9, command: command(Some(PolicyIdx(77))) }, &mut out);
    assert!(
        matches!(&out[..], [Action::Reply { id: 9, reply: failoverd::engine::event::CommandReply::Refused(_) }]),
        "{out:?}"
    );
    drive.feed(Event::Command { id: 10, command: command(None) });
    assert_eq!((drive.rules_frozen(0), drive.rules_frozen(1)), (true, true));
}

impl Drive {
    fn rules_frozen(&self, policy: u32) -> bool {
        report(&self.fleet, PolicyIdx(policy), at(self.ms)).unwrap().brakes.frozen.is_some()
    }
}
