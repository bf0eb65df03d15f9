//! Whole fleets that are told anything in any order. One generated list of turns is the log: probes
//! end, answers arrive, are lost or late, people type, peers write, nonsense is said. The engine's own
//! actions are the only memory of what it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::action::{Action, ApiCall, BatchId};
use failoverd::engine::event::{Command, CommandKind, Event, Probed, ServerAnswer, Witnessed};
use failoverd::engine::fence::{FenceKind, FenceValue, unquote};
use failoverd::engine::intent::{IntentId, Kind};
use failoverd::engine::journal::Restored;
use failoverd::engine::zone::*;
use failoverd::engine::{Fleet, Mode, next_deadline, report, step};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::cases::hold;
use super::policies::{ZONE, policy, settings};

type Verdict = Result<(), TestCaseError>;

/// One line of the log.
#[derive(Clone, Copy, Debug)]
struct Turn {
    what: u8,
    a: u8,
    b: u16,
}

fn turns(most: usize) -> impl Strategy<Value = Vec<Turn>> {
    let turn = (any::<u8>(), any::<u8>(), any::<u16>()).prop_map(|(what, a, b)| Turn { what, a, b });
    prop::collection::vec(turn, 1..most)
}

fn fleet() -> impl Strategy<Value = (FleetSettings, Vec<Policy>)> {
    let policies =
        prop_oneof![policy(1).prop_map(|one| vec![one]), (policy(1), policy(2)).prop_map(|(one, two)| vec![one, two]),];
    (settings(), policies)
}

/// Probes of one target, as a plain count of its own.
#[derive(Clone, Default)]
struct Seen {
    /// Ends of the failures since it was last calm, and the straight successes since the last of them.
    failures: Vec<u64>,
    successes: u32,
    last: Option<(Outcome, u64)>,
}

struct Drive {
    fleet: Fleet,
    settings: FleetSettings,
    policies: Vec<Policy>,
    now: Now,
    zone: BTreeMap<(RecordName, String), LiveSet>,
    /// Actions that wait for their answer, oldest first.
    open: Vec<Action>,
    durable: BTreeSet<String>,
    seen: BTreeMap<(usize, usize), Seen>,
    outcomes: BTreeMap<(usize, usize), Outcome>,
    changes: u64,
    calls: Vec<(u64, u32)>,
    hash: u64,
    writes: usize,
    mild: bool,
}

impl Drive {
    fn new(settings: &FleetSettings, policies: &[Policy], mild: bool) -> Drive {
        let now = Now { mono: Tick(1_000_000), wall: UnixMs(1_800_000_000_000) };
        let mut out = Vec::new();
        let fleet =
            Fleet::new(settings.clone(), policies.to_vec(), Mode::Active, Restored::default(), "run1", now, &mut out);
        let mut drive = Drive {
            fleet,
            settings: settings.clone(),
            policies: policies.to_vec(),
            now,
            zone: BTreeMap::new(),
            open: Vec::new(),
            durable: BTreeSet::new(),
            seen: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            changes: 0,
            calls: Vec::new(),
            hash: 0xcbf2_9ce4_8422_2325,
            writes: 0,
            mild,
        };
        for policy in policies {
            let content = policy.targets[0].content.clone();
            for name in &policy.records {
                for set in failoverd::engine::plan::sets(&content, policy.ttl, &[]) {
                    drive.zone.insert((name.clone(), set.rtype.clone()), set);
                }
            }
        }
        drive.note(out).unwrap();
        drive
    }

    /// Feeds one event, then wakes the engine as often as it asks for at this very moment.
    fn feed(&mut self, event: Event) -> Verdict {
        let mut event = event;
        for _ in 0..40 {
            let mut out = Vec::new();
            step(&mut self.fleet, self.now, event, &mut out);
            self.note(out)?;
            match next_deadline(&self.fleet) {
                Some(at) if at <= self.now.mono => event = Event::Wake,
                _ => return Ok(()),
            }
        }
        Err(TestCaseError::fail(format!("it asks to be woken at {:?} for ever", next_deadline(&self.fleet))))
    }

    fn note(&mut self, out: Vec<Action>) -> Verdict {
        for action in out {
            for byte in format!("{action:?}").bytes() {
                self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
            match &action {
                Action::Call(call) => {
                    let cost = if matches!(call, ApiCall::Write { .. } | ApiCall::GetChange { .. }) { 1 } else { 2 };
                    self.charge(cost)?;
                    if let ApiCall::Write { changes, .. } = call {
                        self.check_write(changes)?;
                    }
                    self.open.push(action);
                }
                Action::Pace { .. } | Action::Reply { .. } => {}
                _ => self.open.push(action),
            }
        }
        Ok(())
    }

    /// I8, with room for a call that is more than the whole burst.
    fn charge(&mut self, cost: u32) -> Verdict {
        let now = self.now.mono.0;
        self.calls.retain(|(at, _)| now - at < 1000);
        self.calls.push((now, cost));
        let sum: u32 = self.calls.iter().map(|(_, cost)| cost).sum();
        let api = self.settings.api;
        let most = f64::from(api.burst.max(2)) + api.rate + 1e-6;
        prop_assert!(f64::from(sum) <= most, "I8: {} calls in a second, {} allowed", sum, most);
        Ok(())
    }

    /// I3, I5, I11 by this room's own count of probes.
    fn check_write(&mut self, changes: &[Change]) -> Verdict {
        self.writes += 1;
        for change in changes.iter().filter(|c| c.op == ChangeOp::Create && c.rtype == "TXT") {
            let Data::Values { values, .. } = &change.data else { continue };
            let value = unquote(&values[0]).map(|text| FenceValue::parse(&text)).unwrap().unwrap();
            let FenceKind::Known(kind) = value.kind else { panic!("an unknown kind was written") };
            prop_assert!(
                self.durable.contains(&value.attempt) || matches!(kind, Kind::Burn | Kind::Force),
                "I11: {} {} was not on disk before it was sent",
                kind,
                value.attempt
            );
            let (n, policy) = self.policies.iter().enumerate().find(|(_, p)| p.id == value.policy).unwrap();
            if !matches!(kind, Kind::Failover | Kind::Trim) {
                continue;
            }
            let to: Vec<&str> = value.to.split('/').collect();
            let seen = |t: usize| self.seen.get(&(n, t)).cloned().unwrap_or_default();
            let confirmed = |t: usize| {
                let (check, seen) = (&policy.targets[t].check, seen(t));
                let span = seen.failures.last().copied().unwrap_or(0) - seen.failures.first().copied().unwrap_or(0);
                seen.successes == 0
                    && seen.failures.len() >= check.fall as usize
                    && Duration::from_millis(span) >= check.confirm
                    && seen.failures.last().is_some_and(|at| self.now.mono.0 - at <= 31_000)
            };
            let left: Vec<usize> =
                (0..policy.targets.len()).filter(|t| !to.contains(&policy.targets[*t].name.as_str())).collect();
            prop_assert!(
                left.iter().any(|t| confirmed(*t)),
                "I3: a {} to {} without confirmed failures",
                kind,
                value.to
            );
            if kind == Kind::Failover {
                for t in (0..policy.targets.len()).filter(|t| to.contains(&policy.targets[*t].name.as_str())) {
                    let (seen, age) = (seen(t), policy.targets[t].check.evidence_age().as_millis() as u64);
                    let fresh = matches!(seen.last, Some((Outcome::Up, at)) if self.now.mono.0 - at <= age);
                    prop_assert!(fresh, "I5: to {} on {:?}", value.to, seen.last);
                }
            }
        }
        Ok(())
    }

    fn outcome_of(a: u8) -> Outcome {
        match a % 8 {
            0..=3 => Outcome::Down(DownReason::ConnectRefused),
            4 => Outcome::Unknown(UnknownReason::NoRoute),
            _ => Outcome::Up,
        }
    }

    /// Every target is probed once, as it is now.
    fn probe(&mut self) -> Verdict {
        let mut batch = Vec::new();
        for (n, policy) in self.policies.iter().enumerate() {
            for t in 0..policy.targets.len() {
                let outcome = self.outcomes.get(&(n, t)).copied().unwrap_or(Outcome::Up);
                let ended = self.now.mono;
                let started = Tick(ended.0 - 10);
                let probed =
                    Probed { policy: PolicyIdx(n as u32), target: TargetIdx(t as u32), started, ended, outcome };
                batch.push(probed);
                let seen = self.seen.entry((n, t)).or_default();
                // An unknown outcome says nothing, for or against.
                if !matches!(outcome, Outcome::Unknown(_)) {
                    seen.last = Some((outcome, ended.0));
                }
                match outcome {
                    Outcome::Down(_) => {
                        seen.failures.push(ended.0);
                        seen.successes = 0;
                    }
                    Outcome::Up => {
                        seen.successes += 1;
                        let check = &policy.targets[t].check;
                        if seen.successes >= check.settle.max(check.rise) {
                            seen.failures.clear();
                        }
                    }
                    Outcome::Unknown(_) => {}
                }
            }
        }
        self.feed(Event::Outcomes(batch))
    }

    fn pass(&mut self, ms: u64) {
        self.now =
            Now { mono: self.now.mono + Duration::from_millis(ms), wall: self.now.wall + Duration::from_millis(ms) };
    }

    fn turn(&mut self, turn: Turn) -> Verdict {
        let Turn { what, a, b } = turn;
        let policy = usize::from(a) % self.policies.len();
        let idx = PolicyIdx(policy as u32);
        match what {
            // Time and probes: what happens most.
            0..=99 => {
                self.pass(if self.mild { 500 } else { u64::from(b) % 3000 });
                self.answer_all(a)?;
                self.probe()
            }
            100..=129 => {
                let target = usize::from(b) % self.policies[policy].targets.len();
                self.outcomes.insert((policy, target), Drive::outcome_of((b >> 8) as u8));
                self.probe()
            }
            130..=169 if !self.open.is_empty() => {
                let action = self.open.remove(usize::from(b) % self.open.len());
                self.answer(action, a)
            }
            170..=179 => {
                let at = next_deadline(&self.fleet).map_or(0, |at| at.0.saturating_sub(self.now.mono.0));
                self.pass(at.min(60_000));
                self.feed(Event::Wake)
            }
            180..=195 => {
                let kind = self.command(policy, a, b);
                let policy = (b % 5 > 0).then_some(idx);
                let command = Command { kind, policy, by: "ann".into(), reason: "test".into() };
                self.feed(Event::Command { id: u64::from(b), command })
            }
            196..=203 => {
                self.other_hands(policy, a, b);
                Ok(())
            }
            204..=239 if self.mild => self.probe(),
            204..=239 => self.feed(self.nonsense(a, b)),
            240..=243 => self.feed(Event::RehearsalDue { since: self.now.wall }),
            244..=247 => self.feed(Event::Window { policy: idx, open: a % 2 == 0 }),
            248 => self.feed(Event::Stopping),
            _ => {
                let _ = report(&self.fleet, idx, self.now);
                let _ = (self.fleet.settled(self.now), self.fleet.pulse(), self.fleet.tonight(idx, self.now));
                Ok(())
            }
        }
    }

    fn command(&self, policy: usize, a: u8, b: u16) -> CommandKind {
        let targets = self.policies[policy].targets.len() as u32;
        let target = TargetIdx(u32::from(b >> 4) % (targets + u32::from(!self.mild)));
        let to = Members::one(target);
        match a % 14 {
            0 => CommandKind::Freeze,
            1 | 2 => CommandKind::Unfreeze,
            3 => CommandKind::Ack,
            4 => CommandKind::Adopt { to, repair: b.is_multiple_of(2) },
            5 | 6 => CommandKind::Switch { to, drain: Duration::from_secs(u64::from(b % 20)) },
            7 => CommandKind::Failback,
            8 => CommandKind::Drain { target, hard: b.is_multiple_of(2) },
            9 => CommandKind::Undrain { target },
            10 => CommandKind::Release,
            11 => CommandKind::Takeover { from: ClusterName::new("other").unwrap() },
            _ => CommandKind::Force { to },
        }
    }

    /// A person, a peer or another cluster in the zone.
    fn other_hands(&mut self, policy: usize, a: u8, b: u16) {
        let policy = self.policies[policy].clone();
        let zone = RecordName::new(ZONE).unwrap();
        for record in &policy.records {
            let fence = failoverd::engine::fence::fence_name(record, &zone).unwrap();
            let key = (fence, "TXT".to_owned());
            match a % 6 {
                0 => drop(self.zone.remove(&key)),
                1 => {
                    let target = &policy.targets[usize::from(b) % policy.targets.len()];
                    for set in failoverd::engine::plan::sets(&target.content, policy.ttl, &[]) {
                        self.zone.insert((record.clone(), set.rtype.clone()), set);
                    }
                }
                2 => drop(self.zone.insert(key, LiveSet::values("TXT", 60, vec!["\"hello\"".into()]))),
                _ => {
                    let cluster = if b.is_multiple_of(7) { "other" } else { "prod" };
                    let text = format!(
                        "v=1 e={} p={} o={cluster}/b a=peer-{b} t={} k={} h=1 m={} u=0 c=0a1b2c3d to=t1",
                        b % 100,
                        policy.id,
                        self.now.wall.secs(),
                        Kind::ALL[usize::from(b) % Kind::ALL.len()],
                        ["auto", "frozen", "forced", "locked", "released"][usize::from(b / 7) % 5],
                    );
                    self.zone.insert(key, LiveSet::values("TXT", 60, vec![format!("\"{text}\"")]));
                }
            }
        }
    }

    fn nonsense(&self, a: u8, b: u16) -> Event {
        let (policy, n) = (PolicyIdx(u32::from(b % 4)), u64::from(b % 50));
        match a % 10 {
            // Of one that was never asked for: the disk does not lie.
            0 => Event::Persisted { seq: 1_000_000 + n },
            1 => Event::StoreFailed { seq: n, error: "disk full".into() },
            2 => Event::Answered { batch: BatchId(n), answer: self.write_answer(b as u8) },
            3 => Event::Synced { intent: IntentId(format!("run1-{n}")), result: Ok(ChangeStatus::Vanished) },
            4 => Event::Observed { policy, answers: Vec::new() },
            5 => Event::Answers { policy, asked: self.now.mono, answers: self.answers(usize::from(b % 2), a) },
            6 => Event::Read {
                policy,
                record: u32::from(a),
                result: Ok(self.read(&RecordName::new(ZONE).unwrap())),
                calls: 2,
            },
            7 => Event::ZoneResolved { zone: ZoneIdx(u32::from(b % 3)), result: Err(error(a)) },
            8 => Event::Delegated { zone: ZoneIdx(u32::from(b % 3)), servers: Some(vec!["ns1.example.net".into()]) },
            _ => {
                let probe = Probed {
                    policy,
                    target: TargetIdx(u32::from(a % 6)),
                    started: self.now.mono,
                    ended: self.now.mono,
                    outcome: Drive::outcome_of(b as u8),
                };
                Event::ByName { policy, address: None, probe }
            }
        }
    }

    /// Everything that waits is answered, mostly well.
    fn answer_all(&mut self, a: u8) -> Verdict {
        for (n, action) in (0u8..).zip(std::mem::take(&mut self.open)) {
            let mood = if a.wrapping_add(n) % 16 == 0 { a } else { 0 };
            self.answer(action, if self.mild { 0 } else { mood })?;
        }
        Ok(())
    }

    /// `mood` 0: as a healthy world answers.
    fn answer(&mut self, action: Action, mood: u8) -> Verdict {
        let event = match action {
            Action::Persist { seq, entry } => {
                if mood % 8 == 3 {
                    Event::StoreFailed { seq, error: "disk full".into() }
                } else {
                    self.durable.extend(entry.intents.into_iter().map(|i| i.id.0));
                    Event::Persisted { seq }
                }
            }
            Action::WitnessRound => Event::Witnessed(
                (0..self.settings.witnesses.len() as u32)
                    .map(|n| Witnessed { witness: WitnessIdx(n), started: self.now.mono, answered: mood % 8 != 3 })
                    .collect(),
            ),
            Action::AskOne { policy } => Event::Observed { policy, answers: self.answers(policy.index(), mood) },
            Action::AskAll { policy } => {
                Event::Answers { policy, asked: self.now.mono, answers: self.answers(policy.index(), mood) }
            }
            Action::ProbeByName { policy, target, address } => {
                let outcome = self.outcomes.get(&(policy.index(), target.index())).copied().unwrap_or(Outcome::Up);
                let probe = Probed { policy, target, started: self.now.mono, ended: self.now.mono, outcome };
                Event::ByName { policy, address, probe }
            }
            Action::LookUpDelegation { zone, .. } => Event::Delegated { zone, servers: None },
            Action::Call(call) => self.call(call, mood),
            Action::Pace { .. } | Action::Reply { .. } => return Ok(()),
        };
        self.feed(event)
    }

    fn call(&mut self, call: ApiCall, mood: u8) -> Event {
        let bad = mood % 8 == 3;
        match call {
            ApiCall::ResolveZone { zone, .. } => {
                let info = ZoneInfo {
                    id: ZoneId::new("Z1"),
                    name: RecordName::new(ZONE).unwrap(),
                    name_servers: vec!["ns1.example.net".into()],
                    private: false,
                };
                Event::ZoneResolved { zone, result: if bad { Err(error(mood)) } else { Ok(info) } }
            }
            ApiCall::ReadRecord { policy, record, name, fence, .. } => {
                let read = RecordRead { sets: self.at(&name), fence: self.at(&fence) };
                Event::Read { policy, record, result: if bad { Err(error(mood)) } else { Ok(read) }, calls: 2 }
            }
            ApiCall::GetChange { intent, .. } => {
                let status =
                    [ChangeStatus::Insync, ChangeStatus::Pending, ChangeStatus::Vanished][usize::from(mood % 3)];
                Event::Synced { intent, result: if bad { Err(error(mood)) } else { Ok(status) } }
            }
            ApiCall::Write { batch, changes, .. } => {
                let answer = match mood % 5 {
                    1 => self.write_answer(mood / 5),
                    2 => {
                        let _ = self.apply(&changes);
                        WriteAnswer::Ambiguous("timeout".into())
                    }
                    _ => match self.apply(&changes) {
                        Ok(()) => WriteAnswer::Accepted { change_id: format!("C{}", self.changes) },
                        Err(message) => WriteAnswer::Refused { code: RefusedCode::Precondition, message },
                    },
                };
                Event::Answered { batch, answer }
            }
        }
    }

    fn write_answer(&self, mood: u8) -> WriteAnswer {
        let refused = |code| WriteAnswer::Refused { code, message: "www1.example.com. is refused".into() };
        match mood % 8 {
            0 => refused(RefusedCode::Throttled),
            1 => refused(RefusedCode::PriorRequestNotComplete),
            2 => refused(RefusedCode::Denied),
            3 => refused(RefusedCode::Invalid),
            4 => refused(RefusedCode::NoSuchZone),
            5 => WriteAnswer::NotSent(error(mood)),
            6 => refused(RefusedCode::Credentials),
            _ => WriteAnswer::Ambiguous("reset".into()),
        }
    }

    /// All or nothing, DELETE exact.
    fn apply(&mut self, changes: &[Change]) -> Result<(), String> {
        let mut zone = self.zone.clone();
        for change in changes {
            let set = match &change.data {
                Data::Values { ttl, values } => LiveSet::values(&change.rtype, *ttl, values.clone()),
                Data::Alias(alias) => LiveSet::alias(&change.rtype, alias.clone()),
            };
            let key = (change.name.clone(), change.rtype.clone());
            match change.op {
                ChangeOp::Delete if zone.get(&key) != Some(&set) => {
                    return Err(format!("{} does not match", change.name));
                }
                ChangeOp::Delete => drop(zone.remove(&key)),
                ChangeOp::Create if zone.contains_key(&key) => return Err(format!("{} exists", change.name)),
                ChangeOp::Create | ChangeOp::Upsert => drop(zone.insert(key, set)),
            }
        }
        self.zone = zone;
        self.changes += 1;
        Ok(())
    }

    fn at(&self, name: &RecordName) -> Vec<LiveSet> {
        self.zone.iter().filter(|((n, _), _)| n == name).map(|(_, set)| set.clone()).collect()
    }

    fn read(&self, name: &RecordName) -> RecordRead {
        RecordRead { sets: self.at(name), fence: Vec::new() }
    }

    fn answers(&self, policy: usize, mood: u8) -> Vec<ServerAnswer> {
        let Some(policy) = self.policies.get(policy) else { return Vec::new() };
        let mut all = Vec::new();
        for (record, name) in (0u32..).zip(&policy.records) {
            for rtype in policy.record_types() {
                let set = self.zone.get(&(name.clone(), rtype.as_str().to_owned()));
                let answer = match (mood % 8, set) {
                    (3, _) => DnsAnswer::Failed("timeout".into()),
                    (4, _) => DnsAnswer::Other("CNAME elsewhere.example.net".into()),
                    (_, None) => DnsAnswer::Nothing,
                    (_, Some(LiveSet { alias: Some(_), .. })) => DnsAnswer::Nothing,
                    (_, Some(set)) if rtype == RecordType::Cname => {
                        DnsAnswer::Name(RecordName::new(&set.values[0]).unwrap())
                    }
                    (_, Some(set)) => DnsAnswer::Addresses {
                        set: set.values.iter().map(|v| v.parse().unwrap()).collect(),
                        ttl: set.ttl.unwrap_or(60),
                    },
                };
                all.push(ServerAnswer { server: "127.0.0.1:53".parse().unwrap(), record, rtype, answer });
            }
        }
        all
    }
}

fn error(mood: u8) -> ApiError {
    let kind = [ApiErrorKind::Unreachable, ApiErrorKind::Denied, ApiErrorKind::NoSuchZone][usize::from(mood / 8) % 3];
    ApiError { kind, message: "no connection".into() }
}

#[test]
fn the_same_log_gives_the_same_bytes() {
    let writes = std::cell::Cell::new(0usize);
    hold("the_same_log_gives_the_same_bytes", (fleet(), turns(160)), |((settings, policies), turns)| {
        let run = || -> Result<(u64, usize), TestCaseError> {
            let mut drive = Drive::new(&settings, &policies, true);
            for turn in &turns {
                drive.turn(*turn)?;
            }
            Ok((drive.hash, drive.writes))
        };
        let (first, wrote) = run()?;
        writes.set(writes.get() + wrote);
        prop_assert_eq!(first, run()?.0);
        Ok(())
    });
    assert!(writes.get() > 500, "only {} writes were seen", writes.get());
}

#[test]
fn no_order_of_events_is_a_panic_or_a_spin() {
    hold("no_order_of_events_is_a_panic_or_a_spin", (fleet(), turns(160)), |((settings, policies), turns)| {
        let mut drive = Drive::new(&settings, &policies, false);
        for turn in turns {
            drive.turn(turn)?;
        }
        Ok(())
    });
}
