//! A small deterministic world around the real engine: targets, witnesses, a zone with Route 53's
//! rules, name servers, a store and a clock. It decides nothing; it answers actions with events.

mod audit;
pub mod cut;
mod hands;
mod record;
mod sample;
mod script;
pub mod zone;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::action::{Action, ApiCall};
use failoverd::engine::event::{CommandReply, Event, Probed, SavedPlan, Witnessed};
use failoverd::engine::fence::fence_name;
use failoverd::engine::intent::Intent;
use failoverd::engine::journal::{PolicySnapshot, Restored};
use failoverd::engine::zone::*;
use failoverd::engine::{Fleet, Mode, next_deadline, step};
use failoverd::runtime::tally::Tally;

pub use hands::alias_of;
use record::summary;
use zone::{ApiMode, Zone};

pub const WALL: u64 = 1_800_000_000_000;
const PROBE_LATENCY: u64 = 10;
const API_LATENCY: u64 = 40;

/// Everything a scenario can set before it starts.
#[derive(Clone)]
pub struct Setup {
    pub zone: RecordName,
    pub policy: Policy,
    pub settings: FleetSettings,
    pub insync: Duration,
    pub mode: Mode,
}

#[derive(Clone)]
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
    /// What a probe at the published address tells, where it differs from the others.
    published: BTreeMap<TargetIdx, Outcome>,
    /// Who serves the zone, as the world outside finds; `None`: it cannot be told.
    delegation: Option<Vec<String>>,
    /// A plan a person saved.
    saved: Option<SavedPlan>,
    fast: bool,
    /// Incremented to make probes scheduled before a change of pace void.
    pace: u64,
    witnesses: Vec<bool>,
    /// Witness rounds bring no answer at all.
    witnesses_hang: bool,
    /// API calls since the last `calls`.
    calls: u32,
    /// Rounds of questions to all servers since the last `asks`.
    asks: u32,
    /// A peer's clock is this far behind ours.
    peer_behind: u64,
    /// Requests that never left are not logged.
    quiet: bool,
    /// What the calendar told last, if it ever did.
    window: Option<bool>,
    zone: Zone,
    /// Someone other than us emptied the record.
    emptied: bool,
    store_works: bool,
    snapshots: BTreeMap<PolicyId, PolicySnapshot>,
    intents: BTreeMap<String, Intent>,
    /// Notices that reached the outbox.
    told: Vec<cut::Told>,
    audit: audit::Audit,
    runs: u32,
    tally: Tally,
    /// Nobody reads the log: nothing is written down and nothing counted.
    silent: bool,
    /// What is kept of a run by a test that kills processes.
    books: Option<Box<cut::Books>>,
    pub log: Vec<String>,
}

impl World {
    pub fn new(setup: Setup) -> World {
        let targets = setup.policy.targets.len();
        let witnesses = setup.settings.witnesses.len();
        let mut zone = Zone::new(setup.zone.clone());
        for (n, target) in (1u8..).zip(&setup.policy.targets) {
            let addresses: [IpAddr; 2] =
                [Ipv4Addr::new(203, 0, 113, n).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()).into()];
            zone.hosts.extend(target.content.host().map(|host| (host.clone(), addresses.into())));
        }
        World {
            setup,
            fleet: None,
            now: 0,
            n: 0,
            due: BTreeMap::new(),
            outcomes: vec![Outcome::Up; targets],
            published: BTreeMap::new(),
            delegation: Some(zone.name_servers.clone()),
            saved: None,
            fast: false,
            pace: 0,
            witnesses: vec![true; witnesses],
            witnesses_hang: false,
            calls: 0,
            asks: 0,
            peer_behind: 0,
            quiet: false,
            window: None,
            zone,
            emptied: false,
            store_works: true,
            snapshots: BTreeMap::new(),
            intents: BTreeMap::new(),
            told: Vec::new(),
            audit: audit::Audit::default(),
            runs: 0,
            tally: Tally::default(),
            silent: false,
            books: None,
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

    pub fn run(&mut self, end: u64) {
        self.start();
        self.until(end);
        let zone = self.zone_text();
        self.say(format!("zone       {zone}"));
        let snapshot = self.snapshot_text();
        self.say(format!("snapshot   {snapshot}"));
    }

    /// Runs until `end`; every event is one step of the engine.
    pub fn until(&mut self, end: u64) {
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
        self.tell_window();
    }

    fn feed(&mut self, event: Event) {
        let now = self.now();
        if !self.silent {
            self.count(&event);
        }
        self.keep_answer(&event);
        let Some(fleet) = &mut self.fleet else { return };
        let mut out = Vec::new();
        step(fleet, now, event, &mut out);
        self.carry_out(out);
        self.check_invariants();
    }

    /// I2: a name that was published once never becomes empty but by a person's hand.
    fn check_invariants(&self) {
        let types = self.setup.policy.record_types();
        for name in &self.setup.policy.records {
            let empty = !types.iter().any(|t| self.zone.get(name, t.as_str()).is_some());
            assert!(self.zone.accepted() == 0 || !empty || self.emptied, "{name} is empty");
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
            if !self.silent {
                self.tally.said(&action, self.now().mono);
            }
            let before = self.before(&action);
            self.carry_out_one(action);
            self.cut(before);
        }
    }

    fn carry_out_one(&mut self, action: Action) {
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
                let answers = self.zone.ask(&self.setup.policy, 1);
                self.push(self.now + 15, Due::Deliver(Event::Observed { policy, answers }));
            }
            Action::AskAll { policy } => {
                self.asks += 1;
                let (asked, answers) = (self.now().mono, self.zone.ask(&self.setup.policy, 2));
                self.push(self.now + 15, Due::Deliver(Event::Answers { policy, asked, answers }));
            }
            Action::ProbeByName { policy, target, address } => {
                let now = self.now().mono;
                let outcome = self.published.get(&target).copied().unwrap_or(self.outcomes[target.index()]);
                let probe = Probed { policy, target, started: now, ended: Tick(now.0 + PROBE_LATENCY), outcome };
                self.push(self.now + PROBE_LATENCY, Due::Deliver(Event::ByName { policy, address, probe }));
            }
            Action::Persist { seq, entry } => {
                self.say_entry(&entry);
                if !self.store_works {
                    self.push(self.now + 2, Due::Deliver(Event::StoreFailed { seq, error: "disk full".into() }));
                    return;
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
                self.told.extend(entry.notices.iter().map(cut::told));
                self.push(self.now + 2, Due::Deliver(Event::Persisted { seq }));
            }
            Action::LookUpDelegation { zone, .. } => {
                let servers = self.delegation.clone();
                self.push(self.now + 30, Due::Deliver(Event::Delegated { zone, servers }));
            }
            Action::Reply { reply, .. } => match reply {
                CommandReply::Accepted(text) => self.say(format!("reply      ok: {text}")),
                CommandReply::Refused(text) => self.say(format!("reply      refused: {text}")),
            },
        }
    }

    fn call(&mut self, call: ApiCall) {
        let unreachable = ApiError { kind: ApiErrorKind::Unreachable, message: "no connection to the provider".into() };
        let denied = ApiError { kind: ApiErrorKind::Denied, message: "access denied".into() };
        let failing = match self.zone.api {
            ApiMode::Down => Some(unreachable),
            ApiMode::Denies => Some(denied),
            _ => None,
        };
        let event = match call {
            ApiCall::ResolveZone { zone, .. } => {
                let zoned = &self.zone;
                let info = ZoneInfo {
                    id: zoned.id.clone(),
                    name: zoned.name.clone(),
                    name_servers: zoned.name_servers.clone(),
                    private: zoned.private,
                };
                Event::ZoneResolved { zone, result: failing.map_or(Ok(info), Err) }
            }
            ApiCall::ReadRecord { policy, record, zone, name, fence } => {
                let failing = failing.or_else(|| self.no_such_zone(&zone));
                let read = RecordRead { sets: self.zone.at(&name), fence: self.zone.at(&fence) };
                Event::Read { policy, record, result: failing.map_or(Ok(read), Err), calls: 2 }
            }
            ApiCall::GetChange { intent, change_id } => {
                let insync = self.setup.insync.as_millis() as u64;
                let status = match self.zone.change(&change_id) {
                    None => ChangeStatus::Vanished,
                    Some(at) if self.now >= at + insync => ChangeStatus::Insync,
                    Some(_) => ChangeStatus::Pending,
                };
                Event::Synced { intent, result: failing.map_or(Ok(status), Err) }
            }
            ApiCall::Write { batch, zone, changes, .. } => {
                assert!(self.setup.mode.writes(), "I14: an observing engine emitted a write");
                self.check_request(&changes);
                let answer = match self.no_such_zone(&zone) {
                    Some(error) => WriteAnswer::Refused { code: RefusedCode::NoSuchZone, message: error.message },
                    None => self.zone.write(self.now, &changes),
                };
                self.check_applied();
                let text = match &answer {
                    WriteAnswer::Accepted { .. } => "accepted".to_owned(),
                    WriteAnswer::Refused { code, .. } => format!("refused {code:?}"),
                    WriteAnswer::Ambiguous(why) => format!("reply lost ({why})"),
                    WriteAnswer::NotSent(error) => format!("not sent ({error})"),
                };
                let unheard = self.quiet && matches!(answer, WriteAnswer::NotSent(_));
                if !(self.silent || unheard) {
                    self.say(format!("WRITE      {} -> {text}", summary(&changes)));
                }
                Event::Answered { batch, answer }
            }
        };
        self.push(self.now + API_LATENCY, Due::Deliver(event));
    }

    fn no_such_zone(&self, asked: &ZoneId) -> Option<ApiError> {
        let gone = *asked != self.zone.id;
        gone.then(|| ApiError { kind: ApiErrorKind::NoSuchZone, message: format!("no hosted zone {asked}") })
    }

    /// The records and their fences.
    fn records(&self) -> Vec<(RecordName, RecordName)> {
        let fence = |name: &RecordName| fence_name(name, &self.zone.name).unwrap();
        self.setup.policy.records.iter().map(|name| (name.clone(), fence(name))).collect()
    }
}

/// Seconds since 1970 on a clock that is `behind` milliseconds behind.
fn unix_now(now: u64, behind: u64) -> u64 {
    UnixMs(WALL + now - behind).secs()
}
