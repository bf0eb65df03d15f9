//! A world for thousands of policies around the real engine: zones with exact fence semantics and
//! the real limits of a request, one API with latency and faults, probes on a grid, witnesses and a
//! store. It decides nothing; it answers actions with events and writes down what it saw.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use failoverd::domain::*;
use failoverd::engine::action::{Action, ApiCall};
use failoverd::engine::event::{Event, Probed, Witnessed};
use failoverd::engine::fence::{FENCE_TTL, fence_name, quote};
use failoverd::engine::intent::IntentOutcome;
use failoverd::engine::journal::{Restored, TransitionKind};
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::zone::*;
use failoverd::engine::{Fleet, Mode, next_deadline, step};

use crate::building;
use crate::world::zone::Zone;

const GRID: u64 = 500;
const PROBE_LATENCY: u64 = 10;
const API_LATENCY: u64 = 150;
const INSYNC: u64 = 20_000;
const BASE: u64 = 1_000_000;
const WALL: u64 = 1_800_000_000_000;

/// One policy of the crowd: which zone, where it is active, where it may go.
#[derive(Clone)]
pub struct Member {
    pub zone: usize,
    pub active: &'static str,
    pub standby: &'static str,
    pub importance: i32,
}

/// One request that writes, as it left.
pub struct Request {
    pub at: u64,
    pub zone: usize,
    /// Policies whose fences it rewrites, by number.
    pub policies: Vec<usize>,
    pub accepted: bool,
    pub text: String,
}

pub struct Crowd {
    fleet: Fleet,
    pub now: u64,
    n: u64,
    due: BTreeMap<(u64, u64), Event>,
    probes: BTreeMap<u64, Vec<(usize, u32)>>,
    pace: Vec<u32>,
    fast: Vec<bool>,
    policies: Vec<Policy>,
    pub members: Vec<Member>,
    pub zones: Vec<Zone>,
    by_fence: BTreeMap<RecordName, usize>,
    /// Targets that are down, by policy and number.
    pub down: BTreeSet<(usize, usize)>,
    /// Time and cost of every API call.
    calls: Vec<(u64, u32)>,
    pub requests: Vec<Request>,
    pub notices: Vec<(u64, NoticeKind, Option<PolicyId>)>,
    pub transitions: Vec<(u64, TransitionKind, Option<PolicyId>)>,
    /// Outcomes of each policy's intents, in order.
    pub outcomes: BTreeMap<PolicyId, Vec<(String, IntentOutcome)>>,
}

impl Crowd {
    /// Every policy adopted, its record publishing its active target, everything up and read.
    pub fn calm(members: Vec<Member>) -> Crowd {
        let policies: Vec<Policy> = members.iter().enumerate().map(policy).collect();
        let count = members.iter().map(|m| m.zone + 1).max().unwrap();
        let mut zones: Vec<Zone> = (0..count).map(|z| Zone::new(zone_name(z))).collect();
        let mut by_fence = BTreeMap::new();
        for (n, (member, policy)) in members.iter().zip(&policies).enumerate() {
            let zone = &mut zones[member.zone];
            let fence = fence_name(&policy.records[0], &zone.name).unwrap();
            let value = format!(
                "v=1 e=7 p={} o=prod/a a=first-{n} t=1700000000 k=adopt h=0 m=auto u=0 c={} to={}",
                policy.id, policy.config_hash, policy.targets[0].name
            );
            zone.put(&fence, "TXT", FENCE_TTL, vec![quote(&value)]);
            zone.put(&policy.records[0], "A", 30, vec![policy.targets[0].content.to_string()]);
            by_fence.insert(fence, n);
        }
        for (n, zone) in zones.iter_mut().enumerate() {
            zone.id = ZoneId::new(&format!("Z{n}"));
            zone.begin();
        }
        let mut out = Vec::new();
        let now = Now { mono: Tick(BASE), wall: UnixMs(WALL) };
        let fleet = Fleet::new(settings(), policies.clone(), Mode::Active, Restored::default(), "run1", now, &mut out);
        let mut crowd = Crowd {
            fleet,
            now: 0,
            n: 0,
            due: BTreeMap::new(),
            probes: BTreeMap::new(),
            pace: vec![0; members.len()],
            fast: vec![false; members.len()],
            policies,
            members,
            zones,
            by_fence,
            down: BTreeSet::new(),
            calls: Vec::new(),
            requests: Vec::new(),
            notices: Vec::new(),
            transitions: Vec::new(),
            outcomes: BTreeMap::new(),
        };
        for n in 0..crowd.members.len() {
            let phase = (n as u64 * 7) % (interval() / GRID) * GRID;
            crowd.probes.entry(phase).or_default().push((n, 0));
        }
        crowd.carry_out(out);
        // Two requests for each policy's first reading, at the budget's pace.
        let reading = crowd.members.len() as u64 * 2 * 1000 / 5;
        crowd.run(reading + 3 * interval());
        assert!(crowd.requests.is_empty() && crowd.notices.is_empty(), "{:?}", crowd.notices);
        crowd
    }

    fn push(&mut self, after: u64, event: Event) {
        self.n += 1;
        self.due.insert((self.now + after, self.n), event);
    }

    fn at(&self) -> Now {
        Now { mono: Tick(BASE + self.now), wall: UnixMs(WALL + self.now) }
    }

    /// Lets `duration` milliseconds pass.
    pub fn run(&mut self, duration: u64) {
        let end = self.now + duration;
        let mut same = 0;
        loop {
            let deadline = next_deadline(&self.fleet).map(|t| t.0.saturating_sub(BASE));
            let due = self.due.first_key_value().map(|(k, _)| k.0);
            let probe = self.probes.first_key_value().map(|(k, _)| *k);
            let Some(at) = [deadline, due, probe].into_iter().flatten().min().filter(|at| *at <= end) else { break };
            same = if at > self.now { 0 } else { same + 1 };
            assert!(same < 100_000, "the engine spins at {} ms", self.now);
            self.now = self.now.max(at);
            if due.is_some_and(|d| d <= self.now) {
                let event = self.due.pop_first().unwrap().1;
                self.feed(event);
            } else if probe.is_some_and(|p| p <= self.now) {
                self.probe();
            } else {
                self.feed(Event::Wake);
            }
        }
        self.now = end;
    }

    fn feed(&mut self, event: Event) {
        let mut out = Vec::new();
        let now = self.at();
        step(&mut self.fleet, now, event, &mut out);
        self.carry_out(out);
    }

    /// All probes of one grid tick: one event.
    fn probe(&mut self) {
        let who = self.probes.pop_first().unwrap().1;
        let started = self.at().mono;
        let mut batch = Vec::new();
        for (n, pace) in who.into_iter().filter(|(n, pace)| self.pace[*n] == *pace) {
            for target in 0..self.policies[n].targets.len() {
                let down = self.down.contains(&(n, target));
                let outcome = if down { Outcome::Down(DownReason::ConnectRefused) } else { Outcome::Up };
                let ended = Tick(started.0 + PROBE_LATENCY);
                let (policy, target) = (PolicyIdx(n as u32), TargetIdx(target as u32));
                batch.push(Probed { policy, target, started, ended, outcome });
            }
            let period = if self.fast[n] { 1000 } else { interval() };
            self.probes.entry(self.now + period).or_default().push((n, pace));
        }
        if !batch.is_empty() {
            self.push(PROBE_LATENCY, Event::Outcomes(batch));
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Pace { policy, fast } => {
                    let n = policy.index();
                    self.pace[n] += 1;
                    self.fast[n] = fast;
                    let wait = if fast { 0 } else { interval() };
                    let next = (self.now + wait).div_ceil(GRID) * GRID;
                    self.probes.entry(next).or_default().push((n, self.pace[n]));
                }
                Action::WitnessRound => {
                    let started = self.at().mono;
                    let one = |i| Witnessed { witness: WitnessIdx(i), started, answered: true };
                    self.push(20, Event::Witnessed((0..3).map(one).collect()));
                }
                Action::Call(call) => self.call(call),
                Action::AskOne { policy } => {
                    let answers = self.ask(policy);
                    self.push(15, Event::Observed { policy, answers });
                }
                Action::AskAll { policy } => {
                    let (asked, answers) = (self.at().mono, self.ask(policy));
                    self.push(15, Event::Answers { policy, asked, answers });
                }
                Action::ProbeByName { policy, target, address } => {
                    let down = self.down.contains(&(policy.index(), target.index()));
                    let outcome = if down { Outcome::Down(DownReason::ConnectRefused) } else { Outcome::Up };
                    let started = self.at().mono;
                    let ended = Tick(started.0 + PROBE_LATENCY);
                    let probe = Probed { policy, target, started, ended, outcome };
                    self.push(PROBE_LATENCY, Event::ByName { policy, address, probe });
                }
                Action::Persist { seq, entry } => {
                    let now = self.now;
                    self.transitions.extend(entry.transitions.into_iter().map(|t| (now, t.kind, t.policy)));
                    self.notices.extend(entry.notices.into_iter().map(|n| (now, n.kind, n.policy)));
                    for intent in entry.intents {
                        let Some(outcome) = intent.outcome else { continue };
                        let of = self.outcomes.entry(intent.policy).or_default();
                        assert!(of.iter().all(|(id, _)| *id != intent.id.0), "two outcomes of {}", intent.id);
                        of.push((intent.id.0, outcome));
                    }
                    self.push(2, Event::Persisted { seq });
                }
                Action::LookUpDelegation { zone, .. } => {
                    let servers = Some(self.zones[zone.index()].name_servers.clone());
                    self.push(30, Event::Delegated { zone, servers });
                }
                Action::Reply { .. } => {}
            }
        }
    }

    fn ask(&self, policy: PolicyIdx) -> Vec<failoverd::engine::event::ServerAnswer> {
        let n = policy.index();
        self.zones[self.members[n].zone].ask(&self.policies[n], 2)
    }

    fn call(&mut self, call: ApiCall) {
        let (cost, event) = match call {
            ApiCall::ResolveZone { zone, zone_ref, .. } => {
                let named = self.zones.iter().find(|z| Some(&z.name) == zone_ref.name.as_ref()).unwrap();
                let (id, name, name_servers) = (named.id.clone(), named.name.clone(), named.name_servers.clone());
                (2, Event::ZoneResolved { zone, result: Ok(ZoneInfo { id, name, name_servers, private: false }) })
            }
            ApiCall::ReadRecord { policy, record, name, fence, .. } => {
                let zone = &self.zones[self.members[policy.index()].zone];
                let result = Ok(RecordRead { sets: zone.at(&name), fence: zone.at(&fence) });
                (2, Event::Read { policy, record, result, calls: 2 })
            }
            ApiCall::GetChange { intent, change_id } => {
                let accepted = self.zones.iter().find_map(|z| z.change(&change_id));
                let result = Ok(match accepted {
                    None => ChangeStatus::Vanished,
                    Some(at) if self.now >= at + INSYNC => ChangeStatus::Insync,
                    Some(_) => ChangeStatus::Pending,
                });
                (1, Event::Synced { intent, result })
            }
            ApiCall::Write { batch, zone, changes, .. } => {
                let at = self.zones.iter().position(|z| z.id == zone).unwrap();
                within_the_limits(&changes);
                let answer = self.zones[at].write(self.now, &changes);
                let creates = changes.iter().filter(|c| c.op == ChangeOp::Create && c.rtype == "TXT");
                self.requests.push(Request {
                    at: self.now,
                    zone: at,
                    policies: creates.map(|c| self.by_fence[&c.name]).collect(),
                    accepted: matches!(answer, WriteAnswer::Accepted { .. }),
                    text: format!("{answer:?}"),
                });
                (1, Event::Answered { batch, answer })
            }
        };
        self.calls.push((self.now, cost));
        self.push(API_LATENCY, event);
    }

    /// Most requests in any one second.
    pub fn busiest_second(&self) -> u32 {
        let mut worst = 0;
        let (mut from, mut sum) = (0, 0);
        for (at, cost) in &self.calls {
            sum += cost;
            while self.calls[from].0 + 1000 <= *at {
                sum -= self.calls[from].1;
                from += 1;
            }
            worst = worst.max(sum);
        }
        worst
    }

    /// Which target each policy's record publishes, by number.
    pub fn published(&self, n: usize) -> Option<usize> {
        let policy = &self.policies[n];
        let set = self.zones[self.members[n].zone].get(&policy.records[0], "A")?;
        policy.targets.iter().position(|t| [t.content.to_string()] == set.values[..])
    }

    pub fn id(&self, n: usize) -> &PolicyId {
        &self.policies[n].id
    }

    pub fn record(&self, n: usize) -> RecordName {
        self.policies[n].records[0].clone()
    }

    /// Every target of `region` that `which` picks fails, or comes back.
    pub fn fail(&mut self, region: &str, which: impl Fn(usize) -> bool) {
        for (n, policy) in self.policies.iter().enumerate() {
            for (target, _) in policy.targets.iter().enumerate().filter(|(_, t)| t.region.as_str() == region) {
                if which(n) {
                    self.down.insert((n, target));
                }
            }
        }
    }

    /// When each policy's move was sent in a request that was accepted.
    pub fn moves(&self) -> Vec<(u64, usize)> {
        let accepted = self.requests.iter().filter(|r| r.accepted);
        accepted.flat_map(|r| r.policies.iter().map(|n| (r.at, *n))).collect()
    }

    pub fn told(&self, kind: NoticeKind) -> usize {
        self.notices.iter().filter(|(_, k, _)| *k == kind).count()
    }
}

/// Route 53 API reference, ChangeResourceRecordSets: 1,000 values and 32,000 characters of values,
/// an UPSERT counted twice.
fn within_the_limits(changes: &[Change]) {
    let (mut records, mut characters) = (0, 0);
    for change in changes {
        let times = if change.op == ChangeOp::Upsert { 2 } else { 1 };
        let Data::Values { values, .. } = &change.data else { panic!("the crowd has no aliases") };
        records += times * values.len();
        characters += times * values.iter().map(String::len).sum::<usize>();
    }
    assert!(records <= 1000 && characters <= 32_000, "{records} records, {characters} characters in one request");
}

pub fn interval() -> u64 {
    3_000
}

fn zone_name(n: usize) -> RecordName {
    RecordName::new(&format!("zone{n}.example")).unwrap()
}

fn policy((n, member): (usize, &Member)) -> Policy {
    let id = format!("web{n}");
    let zone = zone_name(member.zone);
    let base = building::policy(&id, &format!("{id}.{zone}"));
    let check = Check {
        cadence: Cadence::Every(Duration::from_millis(interval())),
        confirm: Duration::from_secs(8),
        ..base.targets[0].check.clone()
    };
    let target = |(i, region): (u8, &str)| Target {
        name: TargetName::new(region).unwrap(),
        region: RegionName::new(region).unwrap(),
        priority: i32::from(i),
        content: Content::Addresses(
            AddressSet::new([format!("10.{i}.{}.{}", n / 250, n % 250).parse().unwrap()]).unwrap(),
        ),
        check: check.clone(),
    };
    let targets = [(1, member.active), (2, member.standby)].into_iter().map(target).collect();
    let zone = ZoneRef { name: Some(zone), id: None };
    // Seldom asked: what a crowd asks name servers in calm is not what is shown here.
    let observe = Duration::from_secs(600);
    Policy { zone, targets, observe, importance: member.importance, ..base }
}

fn settings() -> FleetSettings {
    let witness = |i| Witness {
        name: WitnessName::new(&format!("w{i}")).unwrap(),
        region: None,
        kind: WitnessKind::Tcp("127.0.0.1:9".parse().unwrap()),
    };
    // INSYNC is the proof; the questions to name servers are counted elsewhere.
    let verify = VerifySettings { name_servers: NameServers::These(Vec::new()), timeout: Duration::from_secs(120) };
    FleetSettings {
        verify,
        cluster: ClusterName::new("prod").unwrap(),
        witnesses: (1..=3).map(witness).collect(),
        ..building::settings()
    }
}
