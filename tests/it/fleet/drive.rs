//! The driver of a fleet of few policies: it answers readings and commits at once and leaves writes to the test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::action::{Action, ApiCall, BatchId};
use failoverd::engine::event::{Event, Probed, ServerAnswer};
use failoverd::engine::fence::{FENCE_TTL, FenceKind, FenceMode, FenceValue, quote};
use failoverd::engine::intent::{Intent, Kind};
use failoverd::engine::journal::{PolicySnapshot, Restored, TransitionKind};
use failoverd::engine::notice::{Notice, NoticeKind};
use failoverd::engine::report::{Rule, Settled};
use failoverd::engine::zone::*;
use failoverd::engine::{Fleet, Mode, next_deadline, report, step};

use crate::building;

pub(super) struct Drive {
    pub(super) fleet: Fleet,
    pub(super) ms: u64,
    pub(super) calls: Vec<(u64, ApiCall)>,
    pub(super) writes: Vec<(BatchId, Vec<Change>)>,
    pub(super) transitions: Vec<(TransitionKind, String)>,
    pub(super) notices: Vec<(NoticeKind, String)>,
    /// What was to be kept of intents, in order.
    pub(super) intents: Vec<Intent>,
    /// What is kept of each policy.
    pub(super) snapshots: BTreeMap<PolicyId, PolicySnapshot>,
    pub(super) disk_full: bool,
    /// There is room for entries without a snapshot only.
    pub(super) disk_small: bool,
    /// What is said of every change; `None`: nothing.
    pub(super) sync: Option<ChangeStatus>,
    /// Which target each policy's record publishes, and which fence stands.
    pub(super) published: BTreeMap<String, String>,
    pub(super) fences: BTreeMap<String, String>,
    /// What else stands at every name.
    pub(super) beside: Option<LiveSet>,
    pub(super) reachable: bool,
    /// Readings under way, while they are held back.
    pub(super) held: Option<Vec<ApiCall>>,
    /// What a direct probe of a published address finds; `None`: it brings no answer.
    pub(super) direct: Option<Outcome>,
    pub(super) server: Server,
    /// How often all servers were asked.
    pub(super) rounds: u32,
    /// Entries that wait for the disk, while the test answers for it.
    pub(super) queue: Option<Vec<Entry>>,
}

/// What the disk is asked to keep.
pub(super) struct Entry {
    seq: u64,
    pub(super) snapshots: Vec<PolicySnapshot>,
    pub(super) intents: Vec<Intent>,
}

/// What the one authoritative server answers.
pub(super) enum Server {
    /// What the zone holds.
    Fine,
    /// This address, whatever the zone holds.
    Stale(String),
    Silent,
}

/// The one authoritative server, where a test has one.
pub(super) const SERVER: &str = "192.0.2.53:53";

impl Drive {
    pub(super) fn new(policies: Vec<Policy>, settings: FleetSettings, mode: Mode) -> Drive {
        Drive::start(policies, settings, mode, true)
    }

    /// The provider cannot be reached yet.
    pub(super) fn unread(policies: Vec<Policy>) -> Drive {
        Drive::start(policies, settings(), Mode::Active, false)
    }

    fn start(policies: Vec<Policy>, settings: FleetSettings, mode: Mode, reachable: bool) -> Drive {
        Drive::begin(policies, settings, mode, reachable, Restored::default(), 0)
    }

    /// Another run on the disk of the last one; the provider cannot be reached yet.
    pub(super) fn again(policies: Vec<Policy>, restored: Restored) -> Drive {
        Drive::begin(policies, settings(), Mode::Active, false, restored, 0)
    }

    /// Killed, and another run on the same disk and zone a second later; `open` are the intents without an outcome.
    pub(super) fn restart(self, policies: Vec<Policy>, settings: FleetSettings, open: Vec<Intent>) -> Drive {
        let restored = Restored { snapshots: self.snapshots.into_values().collect(), open_intents: open };
        let mut next = Drive::begin(policies, settings, Mode::Active, false, restored, self.ms + 1000);
        (next.published, next.fences, next.reachable) = (self.published, self.fences, true);
        next.pass(5000);
        next
    }

    fn begin(
        policies: Vec<Policy>,
        settings: FleetSettings,
        mode: Mode,
        reachable: bool,
        restored: Restored,
        ms: u64,
    ) -> Drive {
        let mut out = Vec::new();
        let records = || policies.iter().flat_map(|p| p.records.iter().map(move |name| (p, name.to_string())));
        let published = records().map(|(p, name)| (name, p.targets[0].content.to_string())).collect();
        let fences = records().map(|(p, name)| (name, fence(p, "a", 7))).collect();
        let run = if ms == 0 { "run1" } else { "run2" };
        let fleet = Fleet::new(settings, policies, mode, restored, run, at(ms), &mut out);
        let mut drive = Drive {
            fleet,
            ms,
            calls: Vec::new(),
            writes: Vec::new(),
            transitions: Vec::new(),
            notices: Vec::new(),
            intents: Vec::new(),
            snapshots: BTreeMap::new(),
            disk_full: false,
            disk_small: false,
            sync: Some(ChangeStatus::Insync),
            published,
            fences,
            beside: None,
            reachable,
            held: None,
            direct: Some(Outcome::Up),
            server: Server::Fine,
            rounds: 0,
            queue: None,
        };
        drive.take(out);
        drive
    }

    pub(super) fn feed(&mut self, event: Event) {
        let mut out = Vec::new();
        step(&mut self.fleet, at(self.ms), event, &mut out);
        self.take(out);
    }

    pub(super) fn take(&mut self, out: Vec<Action>) {
        for action in out {
            match action {
                Action::Persist { seq, entry } => {
                    self.transitions.extend(entry.transitions.into_iter().map(|t| (t.kind, t.text)));
                    let words = |n: Notice| (n.kind, [&[n.title], &n.why[..], &n.next[..]].concat().join("; "));
                    self.notices.extend(entry.notices.into_iter().map(words));
                    self.intents.extend(entry.intents.clone());
                    let fits = !(self.disk_full || self.disk_small && !entry.snapshots.is_empty());
                    match &mut self.queue {
                        Some(queue) => queue.push(Entry { seq, snapshots: entry.snapshots, intents: entry.intents }),
                        None => self.disk_says(fits, Entry { seq, snapshots: entry.snapshots, intents: entry.intents }),
                    }
                }
                Action::Call(call) => {
                    self.calls.push((self.ms, call.clone()));
                    match &mut self.held {
                        Some(held) if matches!(call, ApiCall::ReadRecord { .. }) => held.push(call),
                        _ => self.answer(call),
                    }
                }
                Action::AskAll { policy } => self.serve(policy),
                Action::ProbeByName { policy, target, address } => {
                    let now = at(self.ms).mono;
                    if let Some(outcome) = self.direct {
                        let probe = Probed { policy, target, started: now, ended: now, outcome };
                        self.feed(Event::ByName { policy, address, probe });
                    }
                }
                _ => {}
            }
        }
    }

    /// The disk took an entry, or refused it.
    pub(super) fn disk_says(&mut self, kept: bool, entry: Entry) {
        let seq = entry.seq;
        if kept {
            self.snapshots.extend(entry.snapshots.into_iter().map(|s| (s.policy.clone(), s)));
            self.feed(Event::Persisted { seq });
        } else {
            self.feed(Event::StoreFailed { seq, error: "disk full".into() });
        }
    }

    /// The oldest entry that waits for the disk.
    pub(super) fn waiting(&mut self) -> Entry {
        self.queue.as_mut().unwrap().remove(0)
    }

    /// The server answers what the zone holds, or what the test says.
    fn serve(&mut self, policy: PolicyIdx) {
        self.rounds += 1;
        let names = self.fleet.policies().find(|(idx, _)| *idx == policy).map(|(_, p)| p.records.clone());
        let answer = |(record, name): (u32, &RecordName)| {
            let addresses = |value: &String| DnsAnswer::Addresses { set: [value.parse().unwrap()].into(), ttl: 30 };
            let answer = match &self.server {
                Server::Fine => self.published.get(name.as_str()).map_or(DnsAnswer::Nothing, addresses),
                Server::Stale(value) => addresses(value),
                Server::Silent => DnsAnswer::Failed("no answer".into()),
            };
            ServerAnswer { server: SERVER.parse::<SocketAddr>().unwrap(), record, rtype: RecordType::A, answer }
        };
        let answers = (0u32..).zip(&names.unwrap_or_default()).map(answer).collect();
        self.feed(Event::Answers { policy, asked: at(self.ms).mono, answers });
    }

    pub(super) fn answer(&mut self, call: ApiCall) {
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
                let a = self.published.get(name.as_str()).map(|v| set("A", 30, v.clone()));
                let sets = a.into_iter().chain(self.beside.clone()).collect();
                let fence =
                    self.fences.get(name.as_str()).map(|v| set("TXT", FENCE_TTL, v.clone())).into_iter().collect();
                let result = if self.reachable { Ok(RecordRead { sets, fence }) } else { Err(down()) };
                self.feed(Event::Read { policy, record, result, calls: 2 });
            }
            ApiCall::Write { batch, changes, .. } => self.writes.push((batch, changes)),
            ApiCall::GetChange { intent, .. } => {
                if let Some(status) = self.sync {
                    self.feed(Event::Synced { intent, result: Ok(status) });
                }
            }
        }
    }

    /// Lets time pass, waking the engine exactly when it asks to be.
    pub(super) fn pass(&mut self, duration: u64) {
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

    pub(super) fn probe(&mut self, policy: u32, target: u32, up: bool) {
        let outcome = if up { Outcome::Up } else { Outcome::Down(DownReason::ConnectRefused) };
        let now = at(self.ms).mono;
        let probed = Probed { policy: PolicyIdx(policy), target: TargetIdx(target), started: now, ended: now, outcome };
        self.feed(Event::Outcomes(vec![probed]));
    }

    /// One second of probes: `ups[policy]` lists each target's outcome.
    pub(super) fn second<const N: usize>(&mut self, ups: &[(u32, [bool; N])]) {
        self.pass(1000);
        for (policy, targets) in ups {
            for (target, up) in (0u32..).zip(targets) {
                self.probe(*policy, target, *up);
            }
        }
    }

    /// How many notices of a kind were told.
    pub(super) fn told(&self, kind: NoticeKind) -> usize {
        self.notices.iter().filter(|(k, _)| *k == kind).count()
    }

    /// Accepts the writes from number `n` on, and those that follow from them.
    pub(super) fn accept_from(&mut self, mut n: usize) {
        while n < self.writes.len() {
            self.accept(n);
            n += 1;
        }
    }

    /// The provider accepts write `n`; from now on the zone holds what it wrote.
    pub(super) fn accept(&mut self, n: usize) {
        self.land(n);
        let batch = self.writes[n].0;
        self.feed(Event::Answered { batch, answer: WriteAnswer::Accepted { change_id: format!("C{n}") } });
    }

    /// The zone holds what write `n` wrote, and nobody was told.
    pub(super) fn land(&mut self, n: usize) {
        let changes = self.writes[n].1.clone();
        for change in changes.iter().filter(|c| c.op != ChangeOp::Delete) {
            let Data::Values { values, .. } = &change.data else { continue };
            match change.rtype.as_str() {
                "TXT" => self.fences.insert(change.name.as_str().replace("._failoverd", ""), values[0].clone()),
                _ => self.published.insert(change.name.to_string(), values[0].clone()),
            };
        }
    }

    pub(super) fn settled(&self) -> Settled {
        self.fleet.settled(at(self.ms))
    }

    pub(super) fn rules(&self, policy: u32) -> Vec<Rule> {
        let report = report(&self.fleet, PolicyIdx(policy), at(self.ms)).unwrap();
        report.refusals.into_iter().map(|r| r.rule).collect()
    }
}

pub(super) const BASE: u64 = 1_000_000;

pub(super) fn at(ms: u64) -> Now {
    Now { mono: Tick(BASE + ms), wall: UnixMs(1_800_000_000_000 + ms) }
}

pub(super) fn fence(policy: &Policy, instance: &str, epoch: u64) -> String {
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

pub(super) fn policy(n: u8, importance: i32) -> Policy {
    let name = format!("web{n}");
    let base = building::policy(&name, &format!("{name}.example.com"));
    let check = Check { fall: 2, rise: 1, ..base.targets[0].check.clone() };
    let target = |(i, region): (u8, &str)| Target {
        name: TargetName::new(region).unwrap(),
        region: RegionName::new(region).unwrap(),
        priority: i32::from(i),
        content: Content::Addresses(AddressSet::new([format!("192.0.{i}.{n}").parse().unwrap()]).unwrap()),
        check: check.clone(),
    };
    let targets = [(1, "us-east-1"), (2, "eu-west-1")].into_iter().map(target).collect();
    Policy { importance, targets, ..base }
}

pub(super) fn settings() -> FleetSettings {
    let verify = VerifySettings { name_servers: NameServers::These(Vec::new()), timeout: Duration::from_secs(120) };
    FleetSettings { cluster: ClusterName::new("prod").unwrap(), verify, ..building::settings() }
}

/// A fleet whose record and targets are all fine and judged.
pub(super) fn calm(policies: Vec<Policy>) -> Drive {
    calm_with(policies, settings())
}

pub(super) fn calm_with(policies: Vec<Policy>, settings: FleetSettings) -> Drive {
    let count = policies.len() as u32;
    let targets: Vec<u32> = policies.iter().map(|p| p.targets.len() as u32).collect();
    let mut drive = Drive::new(policies, settings, Mode::Active);
    drive.pass(u64::from(count) * 1000);
    for _ in 0..2 {
        drive.pass(1000);
        for (policy, targets) in (0u32..).zip(&targets) {
            (0..*targets).for_each(|target| drive.probe(policy, target, true));
        }
    }
    assert_eq!(drive.settled(), Settled::Quiet);
    drive
}

impl Drive {
    pub(super) fn rules_frozen(&self, policy: u32) -> bool {
        report(&self.fleet, PolicyIdx(policy), at(self.ms)).unwrap().brakes.frozen.is_some()
    }
}
