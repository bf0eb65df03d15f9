//! A small deterministic world around the real engine: targets, witnesses, a zone with Route 53's
//! rules, name servers, a store and a clock. It decides nothing; it answers actions with events.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::action::{Action, ApiCall};
use failoverd::engine::event::{Command, CommandKind, CommandReply, Event, Probed, ServerAnswer, Witnessed};
use failoverd::engine::fence::{FENCE_TTL, FenceKind, FenceMode, FenceValue, fence_name, quote, unquote};
use failoverd::engine::intent::{Intent, Kind};
use failoverd::engine::journal::{PolicySnapshot, Restored};
use failoverd::engine::notice::{Notice, Place};
use failoverd::engine::zone::*;
use failoverd::engine::{Fleet, Mode, next_deadline, report, step};

pub const WALL: u64 = 1_800_000_000_000;
const PROBE_LATENCY: u64 = 10;
const API_LATENCY: u64 = 40;

/// Everything a scenario can set before it starts.
#[derive(Clone)]
pub struct Setup {
    pub policy: Policy,
    pub settings: FleetSettings,
    pub insync: Duration,
    pub mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ApiMode {
    Up,
    Down,
    Denies,
    /// Reads work, writes are denied.
    DeniesWrites,
    LostAfterCommit,
    LostBeforeCommit,
    Throttles(u32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DnsMode {
    Fine,
    Stale,
    Silent,
}

enum Due {
    Probe(TargetIdx, u64),
    Deliver(Event),
    Script(String),
}

pub struct World {
    setup: Setup,
    fleet: Option<Fleet>,
    now: u64,
    n: u64,
    due: BTreeMap<(u64, u64), Due>,
    outcomes: Vec<Outcome>,
    fast: bool,
    /// Incremented to make probes scheduled before a change of pace void.
    pace: u64,
    witnesses: Vec<bool>,
    /// Witness rounds bring no answer at all.
    witnesses_hang: bool,
    /// API calls since the last `calls`.
    calls: u32,
    /// A peer's clock is this far behind ours.
    peer_behind: u64,
    /// Requests that never left are not logged.
    quiet: bool,
    zone: BTreeMap<(RecordName, String), LiveSet>,
    /// What name servers answer while stale.
    old_zone: BTreeMap<(RecordName, String), LiveSet>,
    first_zone: BTreeMap<(RecordName, String), LiveSet>,
    api: ApiMode,
    dns: DnsMode,
    held: Vec<Vec<Change>>,
    changes: BTreeMap<String, u64>,
    store_works: bool,
    snapshots: BTreeMap<PolicyId, PolicySnapshot>,
    intents: BTreeMap<String, Intent>,
    runs: u32,
    pub log: Vec<String>,
}

impl World {
    pub fn new(setup: Setup) -> World {
        let targets = setup.policy.targets.len();
        let witnesses = setup.settings.witnesses.len();
        World {
            setup,
            fleet: None,
            now: 0,
            n: 0,
            due: BTreeMap::new(),
            outcomes: vec![Outcome::Up; targets],
            fast: false,
            pace: 0,
            witnesses: vec![true; witnesses],
            witnesses_hang: false,
            calls: 0,
            peer_behind: 0,
            quiet: false,
            zone: BTreeMap::new(),
            old_zone: BTreeMap::new(),
            first_zone: BTreeMap::new(),
            api: ApiMode::Up,
            dns: DnsMode::Fine,
            held: Vec::new(),
            changes: BTreeMap::new(),
            store_works: true,
            snapshots: BTreeMap::new(),
            intents: BTreeMap::new(),
            runs: 0,
            log: Vec::new(),
        }
    }

    pub fn at(&mut self, ms: u64, line: &str) {
        self.push(ms, Due::Script(line.to_owned()));
    }

    /// A step before the clock starts.
    pub fn script_now(&mut self, line: &str) {
        self.script(line);
    }

    fn push(&mut self, at: u64, due: Due) {
        self.n += 1;
        self.due.insert((at, self.n), due);
    }

    fn now(&self) -> Now {
        Now { mono: Tick(1_000_000 + self.now), wall: UnixMs(WALL + self.now) }
    }

    fn say(&mut self, text: impl AsRef<str>) {
        let stamp = format!("{:.1}s", self.now as f64 / 1000.0);
        self.log.push(format!("{stamp:>8} {}", text.as_ref()));
    }

    /// Runs until `end`; every event is one step of the engine.
    pub fn run(&mut self, end: u64) {
        self.start();
        loop {
            let deadline = self.fleet.as_ref().and_then(next_deadline).map(|t| t.0.saturating_sub(1_000_000));
            let next = self.due.first_key_value().map(|(k, _)| k.0);
            let at = [deadline, next].into_iter().flatten().min().unwrap_or(end);
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            assert!(self.n < 2_000_000, "the scenario spins at {} ms", self.now);
            match self.due.first_key_value().map(|(k, _)| *k).filter(|k| k.0 <= self.now) {
                Some(key) => match self.due.remove(&key).unwrap() {
                    Due::Deliver(event) => self.feed(event),
                    Due::Probe(target, pace) => self.probe(target, pace),
                    Due::Script(line) => self.script(&line),
                },
                None => {
                    self.n += 1;
                    self.feed(Event::Wake);
                }
            }
        }
        self.now = end;
        let zone = self.zone_text();
        self.say(format!("zone       {zone}"));
        let snapshot = self.snapshot_text();
        self.say(format!("snapshot   {snapshot}"));
    }

    fn start(&mut self) {
        self.runs += 1;
        let restored = Restored {
            snapshots: self.snapshots.values().cloned().collect(),
            open_intents: self.intents.values().filter(|i| i.outcome.is_none()).cloned().collect(),
        };
        let mut out = Vec::new();
        let run = format!("run{}", self.runs);
        let policies = vec![self.setup.policy.clone()];
        let fleet =
            Fleet::new(self.setup.settings.clone(), policies, self.setup.mode, restored, &run, self.now(), &mut out);
        self.fleet = Some(fleet);
        self.fast = false;
        self.schedule(true);
        self.carry_out(out);
    }

    fn feed(&mut self, event: Event) {
        let now = self.now();
        let Some(fleet) = &mut self.fleet else { return };
        let mut out = Vec::new();
        step(fleet, now, event, &mut out);
        self.carry_out(out);
        self.check_invariants();
    }

    /// I2: a name that was published once never becomes empty but by a person's hand.
    fn check_invariants(&self) {
        for name in &self.setup.policy.records {
            let writes = self.changes.len();
            let empty = !self.zone.contains_key(&(name.clone(), "A".into()));
            let by_hand = self.log.iter().any(|l| l.contains("hand deletes record"))
                || self.log.iter().any(|l| l.contains("start nothing"));
            assert!(writes == 0 || !empty || by_hand, "{name} is empty");
        }
    }

    fn schedule(&mut self, now: bool) {
        self.pace += 1;
        let (pace, period) = (self.pace, self.period());
        let targets: Vec<TargetIdx> = self.setup.policy.indices().collect();
        for (i, target) in targets.iter().enumerate() {
            let phase = if now { 0 } else { period * i as u64 / targets.len() as u64 };
            self.push(self.now + phase, Due::Probe(*target, pace));
        }
    }

    fn period(&self) -> u64 {
        let check = &self.setup.policy.targets[0].check;
        let Cadence::Every(interval) = check.cadence.clone() else { unreachable!("scenarios use intervals") };
        (if self.fast { check.fast_interval } else { interval }).as_millis() as u64
    }

    fn probe(&mut self, target: TargetIdx, pace: u64) {
        if pace != self.pace {
            return;
        }
        let outcome = self.outcomes[target.index()];
        let hang = matches!(outcome, Outcome::Down(DownReason::ConnectTimeout));
        let timeout = self.setup.policy.targets[0].check.timeout.as_millis() as u64;
        let took = if hang { timeout } else { PROBE_LATENCY };
        let probed = Probed {
            policy: PolicyIdx(0),
            target,
            started: self.now().mono,
            ended: Tick(self.now().mono.0 + took),
            outcome,
        };
        self.push(self.now + took, Due::Deliver(Event::Outcomes(vec![probed])));
        self.push((self.now + self.period()).max(self.now + took), Due::Probe(target, pace));
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Pace { fast, .. } => {
                    self.fast = fast;
                    self.schedule(fast);
                }
                Action::WitnessRound if self.witnesses_hang => {}
                Action::WitnessRound => {
                    let started = self.now().mono;
                    let batch = |(i, answered): (usize, &bool)| Witnessed {
                        witness: WitnessIdx(i as u32),
                        started,
                        answered: *answered,
                    };
                    let batch = self.witnesses.iter().enumerate().map(batch).collect();
                    self.push(self.now + 20, Due::Deliver(Event::Witnessed(batch)));
                }
                Action::Call(call) => {
                    self.calls += 1;
                    self.call(call);
                }
                Action::AskOne { policy } => {
                    let answers = self.ask(1);
                    self.push(self.now + 15, Due::Deliver(Event::Observed { policy, answers }));
                }
                Action::AskAll { policy } => {
                    let (asked, answers) = (self.now().mono, self.ask(2));
                    self.push(self.now + 15, Due::Deliver(Event::Answers { policy, asked, answers }));
                }
                Action::ProbeByName { policy, target, address } => {
                    let now = self.now().mono;
                    let outcome = self.outcomes[target.index()];
                    let probe = Probed { policy, target, started: now, ended: Tick(now.0 + PROBE_LATENCY), outcome };
                    self.push(self.now + PROBE_LATENCY, Due::Deliver(Event::ByName { policy, address, probe }));
                }
                Action::Persist { seq, entry } => {
                    for t in &entry.transitions {
                        self.say(format!("{:<10} {}", format!("{:?}", t.kind).to_lowercase(), t.text));
                    }
                    for n in &entry.notices {
                        self.say(format!("NOTICE     {:?} {:?}: {}", n.severity, n.kind, n.title));
                        self.say_notice(n);
                    }
                    if !self.store_works {
                        self.push(self.now + 2, Due::Deliver(Event::StoreFailed { seq, error: "disk full".into() }));
                        continue;
                    }
                    for intent in &entry.intents {
                        if let Some(old) = self.intents.get(&intent.id.0).and_then(|i| i.outcome.clone()) {
                            assert_eq!(Some(&old), intent.outcome.as_ref(), "I11: a second outcome for {}", intent.id);
                        }
                        if let Some(outcome) = &intent.outcome {
                            self.say(format!("OUTCOME    {} {}: {outcome:?}", intent.kind, intent.id));
                        }
                        self.intents.insert(intent.id.0.clone(), intent.clone());
                    }
                    for snapshot in entry.snapshots {
                        self.snapshots.insert(snapshot.policy.clone(), snapshot);
                    }
                    self.push(self.now + 2, Due::Deliver(Event::Persisted { seq }));
                }
                Action::LookUpDelegation { .. } => {}
                Action::Reply { reply, .. } => match reply {
                    CommandReply::Accepted(text) => self.say(format!("reply      ok: {text}")),
                    CommandReply::Refused(text) => self.say(format!("reply      refused: {text}")),
                },
            }
        }
    }

    /// What the notice says below its title.
    fn say_notice(&mut self, n: &Notice) {
        let mut more: Vec<String> = n.why.iter().map(|line| format!("why  {line}")).collect();
        if let Some(m) = &n.moved {
            let from = m.from.as_ref().map_or("-".into(), place);
            let clocks: Vec<String> = [
                ("confirmed", m.clocks.confirmed),
                ("accepted", m.clocks.accepted),
                ("servers", m.clocks.every_server),
                ("insync", m.clocks.insync),
                ("verdict", m.clocks.verdict),
            ]
            .iter()
            .filter_map(|(name, d)| d.map(|d| format!("{name} {}ms", d.as_millis())))
            .collect();
            more.push(format!(
                "move {} {from} -> {}, ttl {}, epoch {}; {}",
                m.kind,
                place(&m.to),
                m.ttl.secs(),
                m.epoch,
                clocks.join(", ")
            ));
        }
        more.extend(n.next.iter().map(|line| format!("next {line}")));
        more.extend(n.undo.iter().map(|line| format!("undo {line}")));
        if !n.timeline.is_empty() {
            more.push(format!(
                "{} lines of timeline, incident {}",
                n.timeline.len(),
                n.incident.as_ref().map_or("-", |i| &i.0)
            ));
        }
        for line in more {
            self.log.push(format!("{:>10}|  {line}", ""));
        }
    }

    fn snapshot_text(&self) -> String {
        let Some(s) = self.snapshots.values().next() else { return "none".into() };
        let ago = |at: UnixMs| format!("{:.1}s", (at.0 as f64 - WALL as f64) / 1000.0);
        let targets: Vec<String> =
            s.targets.iter().map(|t| format!("{} {} since {}", t.name, t.health, ago(t.since))).collect();
        let moves: Vec<String> = s.moves.iter().map(|m| ago(*m)).collect();
        format!(
            "epoch {}, {}; moves [{}], hold-down {}, locked {}, frozen {}, failback blocked {}, unverified {}",
            s.epoch,
            targets.join(", "),
            moves.join(" "),
            s.hold_down_until.map_or("-".into(), ago),
            s.locked.as_ref().map_or("-".into(), |l| format!("{} {}s", ago(l.since), l.hold_down.as_secs())),
            s.frozen.is_some(),
            s.failback_blocked,
            s.unverified
        )
    }

    fn call(&mut self, call: ApiCall) {
        let unreachable = ApiError { kind: ApiErrorKind::Unreachable, message: "no connection to the provider".into() };
        let denied = ApiError { kind: ApiErrorKind::Denied, message: "access denied".into() };
        let failing = match self.api {
            ApiMode::Down => Some(unreachable),
            ApiMode::Denies => Some(denied),
            _ => None,
        };
        let event = match call {
            ApiCall::ResolveZone { zone, .. } => {
                let info =
                    ZoneInfo { id: ZoneId::new("Z1"), name: zone_name(), name_servers: Vec::new(), private: false };
                Event::ZoneResolved { zone, result: failing.map_or(Ok(info), Err) }
            }
            ApiCall::ReadRecord { policy, record, name, fence, .. } => {
                let at = |name: &RecordName| {
                    self.zone.iter().filter(|((n, _), _)| n == name).map(|(_, set)| set.clone()).collect()
                };
                let read = RecordRead { sets: at(&name), fence: at(&fence) };
                Event::Read { policy, record, result: failing.map_or(Ok(read), Err), calls: 2 }
            }
            ApiCall::GetChange { intent, change_id } => {
                let insync = self.setup.insync.as_millis() as u64;
                let status = match self.changes.get(&change_id) {
                    None => ChangeStatus::Vanished,
                    Some(at) if self.now >= at + insync => ChangeStatus::Insync,
                    Some(_) => ChangeStatus::Pending,
                };
                Event::Synced { intent, result: failing.map_or(Ok(status), Err) }
            }
            ApiCall::Write { batch, changes, .. } => {
                assert!(self.setup.mode == Mode::Active, "I14: an observing engine emitted a write");
                let answer = self.write(&changes);
                let text = match &answer {
                    WriteAnswer::Accepted { .. } => "accepted".to_owned(),
                    WriteAnswer::Refused { code, .. } => format!("refused {code:?}"),
                    WriteAnswer::Ambiguous(why) => format!("reply lost ({why})"),
                    WriteAnswer::NotSent(error) => format!("not sent ({error})"),
                };
                if !(self.quiet && matches!(answer, WriteAnswer::NotSent(_))) {
                    self.say(format!("WRITE      {} -> {text}", summary(&changes)));
                }
                Event::Answered { batch, answer }
            }
        };
        self.push(self.now + API_LATENCY, Due::Deliver(event));
    }

    fn write(&mut self, changes: &[Change]) -> WriteAnswer {
        match self.api {
            ApiMode::Down => WriteAnswer::NotSent(ApiError {
                kind: ApiErrorKind::Unreachable,
                message: "no connection to the provider".into(),
            }),
            ApiMode::Denies | ApiMode::DeniesWrites => {
                WriteAnswer::Refused { code: RefusedCode::Denied, message: "access denied".into() }
            }
            ApiMode::Throttles(n) => {
                self.api = if n > 1 { ApiMode::Throttles(n - 1) } else { ApiMode::Up };
                WriteAnswer::Refused { code: RefusedCode::Throttled, message: "Rate exceeded".into() }
            }
            ApiMode::LostAfterCommit => {
                self.api = ApiMode::Up;
                let _ = self.apply(changes);
                WriteAnswer::Ambiguous("timeout".into())
            }
            ApiMode::LostBeforeCommit => {
                self.api = ApiMode::Up;
                self.held.push(changes.to_vec());
                WriteAnswer::Ambiguous("timeout".into())
            }
            ApiMode::Up => match self.apply(changes) {
                Ok(change_id) => WriteAnswer::Accepted { change_id },
                Err(message) => WriteAnswer::Refused { code: RefusedCode::Precondition, message },
            },
        }
    }

    /// All or nothing, DELETE exact (Route 53 API reference, ChangeResourceRecordSets).
    fn apply(&mut self, changes: &[Change]) -> Result<String, String> {
        let mut zone = self.zone.clone();
        for c in changes {
            let key = (c.name.clone(), c.rtype.clone());
            let set = set_of(c);
            match c.op {
                ChangeOp::Delete => match zone.remove(&key) {
                    None => return Err(format!("{} {} was not found", c.name, c.rtype)),
                    Some(old) if old != set => return Err(format!("{} {}: values do not match", c.name, c.rtype)),
                    Some(_) => {}
                },
                ChangeOp::Create if zone.contains_key(&key) => {
                    return Err(format!("{} {} already exists", c.name, c.rtype));
                }
                ChangeOp::Create | ChangeOp::Upsert => {
                    zone.insert(key, set);
                }
            }
        }
        if self.dns == DnsMode::Fine {
            self.old_zone.clone_from(&zone);
        }
        self.zone = zone;
        let id = format!("C{}", self.changes.len() + 1);
        self.changes.insert(id.clone(), self.now);
        Ok(id)
    }

    fn ask(&self, servers: u8) -> Vec<ServerAnswer> {
        let zone = if self.dns == DnsMode::Stale { &self.old_zone } else { &self.zone };
        let mut answers = Vec::new();
        for server in 1..=servers {
            for (record, name) in (0u32..).zip(&self.setup.policy.records) {
                let set = zone.get(&(name.clone(), "A".into()));
                let answer = match (self.dns, set) {
                    (DnsMode::Silent, _) => DnsAnswer::Failed("timeout".into()),
                    (_, None) => DnsAnswer::Nothing,
                    (_, Some(set)) => {
                        let addresses = set.values.iter().map(|v| v.parse::<IpAddr>().unwrap()).collect();
                        DnsAnswer::Addresses { set: addresses, ttl: set.ttl.unwrap_or(0) }
                    }
                };
                let server: SocketAddr = format!("127.0.0.{server}:53").parse().unwrap();
                answers.push(ServerAnswer { server, record, rtype: RecordType::A, answer });
            }
        }
        answers
    }

    fn script(&mut self, line: &str) {
        if line != "report" {
            self.say(format!("> {line}"));
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["restart", rest @ ..] => {
                if rest == ["empty"] {
                    self.snapshots.clear();
                    self.intents.clear();
                }
                if rest == ["observe"] {
                    self.setup.mode = Mode::Observe;
                }
                self.due.retain(|_, due| matches!(due, Due::Script(_)));
                self.start();
            }
            ["freeze"] => self.command(CommandKind::Freeze),
            ["unfreeze"] => self.command(CommandKind::Unfreeze),
            ["ack"] => self.command(CommandKind::Ack),
            ["adopt", target] => self.command(CommandKind::Adopt {
                to: Members::one(self.setup.policy.target_named(target).unwrap()),
                repair: false,
            }),
            ["witnesses", "hang"] => self.witnesses_hang = true,
            ["witnesses", what] => {
                self.witnesses_hang = false;
                self.witnesses.fill(*what == "answer");
            }
            ["witness", n, what] => self.witnesses[n.parse::<usize>().unwrap() - 1] = *what == "answers",
            ["window", what] => self.feed(Event::Window { policy: PolicyIdx(0), open: *what == "opens" }),
            ["store", what] => self.store_works = *what == "works",
            ["dns", "stale"] => self.dns = DnsMode::Stale,
            ["dns", "silent"] => self.dns = DnsMode::Silent,
            ["dns", "fine"] => self.dns = DnsMode::Fine,
            ["api", "up"] => self.api = ApiMode::Up,
            ["api", "down"] => self.api = ApiMode::Down,
            ["api", "denies"] => self.api = ApiMode::Denies,
            ["api", "denies-writes"] => self.api = ApiMode::DeniesWrites,
            ["api", "lost-after"] => self.api = ApiMode::LostAfterCommit,
            ["api", "lost-before"] => self.api = ApiMode::LostBeforeCommit,
            ["api", "throttles", n] => self.api = ApiMode::Throttles(n.parse().unwrap()),
            ["late", "lands"] => {
                for changes in std::mem::take(&mut self.held) {
                    let text = self.apply(&changes).map_or_else(|e| format!("refused: {e}"), |_| "APPLIED".into());
                    self.say(format!("LATE       {} -> {text}", summary(&changes)));
                }
            }
            ["hand", rest @ ..] => self.hand(rest),
            ["start", rest @ ..] => self.begin_zone(rest),
            ["peer", "failover", target] => self.peer(Kind::Failover, FenceMode::Auto, Some(target)),
            ["peer", "clock", "behind", secs] => self.peer_behind = secs.parse::<u64>().unwrap() * 1000,
            ["quiet"] => self.quiet = true,
            ["calls"] => {
                let calls = std::mem::take(&mut self.calls);
                self.say(format!("calls      {calls} since the last count"));
            }
            ["peer", "freezes"] => self.peer(Kind::Freeze, FenceMode::Frozen, None),
            ["peer", "unfreezes"] => self.peer(Kind::Unfreeze, FenceMode::Auto, None),
            ["report"] => self.report(),
            [target, rest @ ..] => {
                let idx = self.setup.policy.target_named(target).unwrap_or_else(|| panic!("`{line}` is no step"));
                self.outcomes[idx.index()] = match rest {
                    ["up"] => Outcome::Up,
                    ["refuses"] => Outcome::Down(DownReason::ConnectRefused),
                    ["hangs"] => Outcome::Down(DownReason::ConnectTimeout),
                    ["status", code] => Outcome::Down(DownReason::Status(code.parse().unwrap())),
                    ["unreachable"] => Outcome::Unknown(UnknownReason::NoRoute),
                    _ => panic!("`{line}` is no step"),
                };
            }
            [] => {}
        }
    }

    fn command(&mut self, kind: CommandKind) {
        let command = Command { kind, policy: Some(PolicyIdx(0)), by: "ann".into(), reason: "test".into() };
        self.feed(Event::Command { id: 1, command });
    }

    fn hand(&mut self, words: &[&str]) {
        let names = self.setup.policy.records.clone();
        let fences: Vec<RecordName> = names.iter().map(|n| fence_name(n, &zone_name()).unwrap()).collect();
        match words {
            // The zone as it was before the first change of this run.
            ["rolls", "back"] => self.zone.clone_from(&self.first_zone.clone()),
            ["deletes", "record"] => names.iter().for_each(|n| drop(self.zone.remove(&(n.clone(), "A".into())))),
            ["deletes", "fence"] => fences.iter().for_each(|n| drop(self.zone.remove(&(n.clone(), "TXT".into())))),
            ["spoils", "fence"] => fences.iter().for_each(|n| self.put(n, "TXT", FENCE_TTL, vec![quote("hello")])),
            ["ttl", ttl] => {
                for name in &names {
                    let old = self.zone.get(&(name.clone(), "A".into())).cloned().unwrap();
                    self.put(name, "A", ttl.parse().unwrap(), old.values);
                }
            }
            ["sets", what] => {
                let values = self.values(what);
                names.iter().for_each(|n| self.put(n, "A", self.setup.policy.ttl.secs(), values.clone()));
            }
            ["sets", record, what] => {
                let values = self.values(what);
                self.put(&RecordName::new(record).unwrap(), "A", self.setup.policy.ttl.secs(), values);
            }
            other => panic!("`hand {other:?}` is no step"),
        }
        self.old_zone.clone_from(&self.zone);
    }

    fn values(&self, what: &str) -> Vec<String> {
        match self.setup.policy.target_named(what) {
            Some(idx) => {
                self.setup.policy.targets[idx.index()].addresses().unwrap().iter().map(|a| a.to_string()).collect()
            }
            None => vec![what.to_owned()],
        }
    }

    fn put(&mut self, name: &RecordName, rtype: &str, ttl: u32, values: Vec<String>) {
        let set = LiveSet::values(rtype, ttl, values);
        self.zone.insert((name.clone(), rtype.into()), set);
    }

    /// `TARGET|ADDRESS|nothing [adopted|foreign]`: the zone before the first read.
    fn begin_zone(&mut self, words: &[&str]) {
        let (what, fence) = (words[0], words.get(1).copied().unwrap_or("adopted"));
        for name in self.setup.policy.records.clone() {
            if what != "nothing" {
                self.put(&name, "A", self.setup.policy.ttl.secs(), self.values(what));
            }
            if fence != "bare" {
                let cluster = if fence == "foreign" { "other" } else { "prod" };
                let value = self.fence_value(cluster, "use1-a", 41, Kind::Adopt, FenceMode::Auto, what);
                self.put(&fence_name(&name, &zone_name()).unwrap(), "TXT", FENCE_TTL, vec![quote(&value.encode())]);
            }
        }
        self.old_zone.clone_from(&self.zone);
        self.first_zone.clone_from(&self.zone);
    }

    fn fence_value(
        &self,
        cluster: &str,
        instance: &str,
        epoch: u64,
        kind: Kind,
        mode: FenceMode,
        to: &str,
    ) -> FenceValue {
        FenceValue {
            epoch: Epoch(epoch),
            policy: self.setup.policy.id.clone(),
            cluster: ClusterName::new(cluster).unwrap(),
            instance: InstanceName::new(instance).unwrap(),
            attempt: format!("{instance}-{epoch}"),
            written: UnixMs(self.now().wall.0 - self.peer_behind),
            kind: FenceKind::Known(kind),
            moves: u32::from(kind.is_automatic_move()),
            mode,
            until: UnixMs(0),
            config: self.setup.policy.config_hash.clone(),
            to: to.to_owned(),
        }
    }

    /// Another instance of our cluster writes, as the fence allows it.
    fn peer(&mut self, kind: Kind, mode: FenceMode, target: Option<&str>) {
        for name in self.setup.policy.records.clone() {
            let fence = fence_name(&name, &zone_name()).unwrap();
            let old = self.zone.get(&(fence.clone(), "TXT".into())).and_then(|s| unquote(&s.values[0])).unwrap();
            let old = FenceValue::parse(&old).unwrap();
            let value = self.fence_value("prod", "use1-b", old.epoch.0 + 1, kind, mode, target.unwrap_or(&old.to));
            self.put(&fence, "TXT", FENCE_TTL, vec![quote(&value.encode())]);
            if let Some(target) = target {
                self.put(&name, "A", self.setup.policy.ttl.secs(), self.values(target));
            }
        }
        self.old_zone.clone_from(&self.zone);
    }

    fn report(&mut self) {
        let now = self.now();
        let Some(r) = self.fleet.as_ref().and_then(|f| report(f, PolicyIdx(0), now)) else { return };
        let wanted = r.wanted.map_or("nothing".into(), |w| format!("{} to {}", w.kind, listed(&w.to)));
        self.say(format!("REPORT     state {:?}, wanted {wanted}", r.state));
        let b = r.brakes;
        let hold = b.hold_down.map_or("-".into(), |d| format!("{}ms", d.as_millis()));
        self.say(format!(
            "REPORT       moves {}/{}, hold-down {hold}, locked {}, blocked {}, unverified {}, moving {}, incident {}",
            b.moves_last_hour,
            b.flap_budget,
            b.locked,
            b.failback_blocked,
            b.unverified,
            r.moving.is_some(),
            r.incident.is_some()
        ));
        for t in &r.targets {
            let mark = if t.active { "*" } else { " " };
            let last = t.last.map_or("-".into(), |o| o.to_string());
            self.say(format!(
                "REPORT      {mark}{} {} since {:.1}s, {}/{} failures, {}/{} successes, last {last}",
                t.name,
                t.health,
                (t.since.0 as f64 - WALL as f64) / 1000.0,
                t.failures,
                t.fall,
                t.successes,
                t.rise
            ));
        }
        for (when, m) in [("now", &r.moving), ("last", &r.last_move)] {
            let Some(m) = m else { continue };
            let confirmed = m.clocks.confirmed.map_or("-".into(), |d| format!("{}ms", d.as_millis()));
            self.say(format!(
                "REPORT       {when}: {} to {} epoch {}, confirmed in {confirmed}: {:?} {}",
                m.kind,
                listed(&m.to),
                m.epoch,
                m.phase,
                m.detail
            ));
        }
        for refusal in r.refusals {
            self.say(format!("REPORT       {:?}: {}; {}", refusal.rule, refusal.text, refusal.change));
        }
    }

    fn zone_text(&self) -> String {
        let mut parts = Vec::new();
        for name in &self.setup.policy.records {
            let set = self.zone.get(&(name.clone(), "A".into()));
            parts.push(set.map_or(format!("{name} nothing"), |s| {
                format!("{name} A {} ttl {}", s.values.join(","), s.ttl.unwrap_or(0))
            }));
            let fence = self.zone.get(&(fence_name(name, &zone_name()).unwrap(), "TXT".into()));
            let text = fence.and_then(|s| unquote(&s.values[0]));
            parts.push(match text.as_deref().map(FenceValue::parse) {
                None => "no fence".into(),
                Some(Ok(v)) => format!(
                    "fence e={} o={} k={} m={} h={} to={}",
                    v.epoch,
                    v.instance,
                    v.kind,
                    v.mode.as_str(),
                    v.moves,
                    v.to
                ),
                Some(Err(why)) => format!("fence unusable: {why}"),
            });
        }
        parts.join("; ")
    }
}

pub fn zone_name() -> RecordName {
    RecordName::new("example.com").unwrap()
}

fn summary(changes: &[Change]) -> String {
    let one = |c: &Change| {
        let op = format!("{:?}", c.op).to_uppercase();
        let what = match unquote(&set_of(c).values[0]).map(|t| FenceValue::parse(&t)) {
            Some(Ok(v)) => format!("e={} k={} m={}", v.epoch, v.kind, v.mode.as_str()),
            _ => set_of(c).values.join(","),
        };
        format!("{op} {} {what}", c.rtype)
    };
    changes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn place(p: &Place) -> String {
    let names: Vec<&str> = p.targets.iter().map(|t| t.as_str()).collect();
    let regions: Vec<&str> = p.regions.iter().map(|r| r.as_str()).collect();
    format!("{} {} ({})", names.join("+"), p.content, regions.join("+"))
}

fn listed(names: &[TargetName]) -> String {
    if names.is_empty() {
        return "?".into();
    }
    names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join("+")
}

/// The set a change writes or deletes.
fn set_of(change: &Change) -> LiveSet {
    match &change.data {
        Data::Values { ttl, values } => LiveSet::values(&change.rtype, *ttl, values.clone()),
        Data::Alias(alias) => LiveSet::alias(&change.rtype, alias.clone()),
    }
}
