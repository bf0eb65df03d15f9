//! The world of one seed: an ordered heap of what is due, instances around the real engine, and the
//! provider between them. Virtual time, one thread, no sleep; nothing here decides for the engine.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::btree_map::Entry;

use failoverd::domain::{DownReason, Outcome, PolicyIdx, Tick, WitnessIdx};
use failoverd::engine::action::{Action, ApiCall, BatchId};
use failoverd::engine::event::{Event, Probed, ServerAnswer, Witnessed};
use failoverd::engine::zone::{Change, DnsAnswer};
use failoverd::engine::{Mode, step};

use super::check::{Broken, Checker, Invariant};
use super::instance::Instance;
use super::provider::Provider;
use super::rng::Rng;
use super::scene::Scene;
use super::trace::Trace;
use super::troubles::Trouble;
use super::truth::{self, Life};
use super::zone::{SERVERS, Zone};

pub enum Due {
    /// For one run of one instance; nobody else hears it.
    To(usize, u32, Box<Event>),
    Round {
        i: usize,
        run: u32,
        policy: PolicyIdx,
        pace: u32,
    },
    Commit {
        i: usize,
        run: u32,
    },
    /// A write reaches the provider; what becomes of the answer was drawn when it was sent.
    Write(Box<Sent>),
    Read {
        i: usize,
        run: u32,
        call: Box<ApiCall>,
    },
    Start(usize),
    /// The next disturbance, whatever it will be.
    Disturb,
    /// One that was put off, or the end of one.
    Trouble(Trouble),
}

pub struct Sent {
    pub i: usize,
    pub run: u32,
    pub batch: BatchId,
    pub zone: usize,
    pub changes: Vec<Change>,
    pub signed: u64,
    /// Its answer reaches the sender after so long; `None`: never.
    pub answer_after: Option<u64>,
    /// It comes once more so much later, when it was not refused: a refusal is final.
    pub again_after: Option<u64>,
}

struct Slot {
    at: u64,
    n: u64,
    due: Due,
}

impl Ord for Slot {
    fn cmp(&self, other: &Slot) -> Ordering {
        (other.at, other.n).cmp(&(self.at, self.n))
    }
}
impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Slot) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Slot {
    fn eq(&self, other: &Slot) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Slot {}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub steps: u64,
    pub faults: u64,
    pub crashes: u64,
    pub writes: u64,
    pub moves: u64,
    pub commands: u64,
}

pub struct World {
    pub scene: Scene,
    pub now: u64,
    n: u64,
    pub rng: Rng,
    /// Chance of its own for disturbances, so that they are the same whatever the engine does.
    pub fate: Rng,
    heap: BinaryHeap<Slot>,
    pub instances: Vec<Instance>,
    pub zones: Vec<Zone>,
    pub provider: Provider,
    /// Of each policy's targets.
    pub life: Vec<Vec<Life>>,
    pub checker: Checker,
    pub trace: Trace,
    pub counts: Counts,
    pub calm: bool,
    broken: Option<Broken>,
}

impl World {
    pub fn new(seed: u64, scene: Scene, told: bool) -> World {
        let mut rng = Rng::new(seed);
        let fate = rng.fork();
        let zones = scene.zones.iter().enumerate().map(|(n, name)| Zone::new(name.clone(), &format!("Z{n}"))).collect();
        let names = ["a", "b", "c", "o"];
        let mut instances: Vec<Instance> = names[..scene.instances]
            .iter()
            .map(|name| Instance::new(name, Mode::Active, &scene.settings, &scene.policies))
            .collect();
        if scene.observer {
            instances.push(Instance::new("o", Mode::Observe, &scene.settings, &scene.policies));
        }
        let life = scene.policies.iter().map(|p| vec![Life::Up; p.targets.len()]).collect();
        let checker = Checker::new(&scene, instances.len());
        let mut world = World {
            now: 0,
            n: 0,
            rng,
            fate,
            heap: BinaryHeap::new(),
            instances,
            zones,
            provider: Provider::default(),
            life,
            checker,
            trace: Trace::new(told),
            counts: Counts::default(),
            calm: false,
            broken: None,
            scene,
        };
        world.begin_zones();
        for i in 0..world.instances.len() {
            let at = world.rng.within(0, 3000);
            world.due(at, Due::Start(i));
        }
        world
    }

    pub fn due(&mut self, at: u64, due: Due) {
        self.n += 1;
        self.heap.push(Slot { at: at.max(self.now), n: self.n, due });
    }

    /// Nothing that was drawn goes wrong any more.
    pub fn forget_troubles(&mut self) {
        self.heap.retain(|slot| !matches!(slot.due, Due::Trouble(_) | Due::Disturb));
    }

    pub fn say(&mut self, text: impl FnOnce() -> String) {
        self.trace.say(self.now, text);
    }

    pub fn fail(&mut self, invariant: Invariant, text: impl FnOnce() -> String) {
        if self.broken.is_none() {
            let text = text();
            self.trace.say(self.now, || format!("BROKEN {invariant:?}: {text}"));
            self.broken = Some(Broken { invariant, at: self.now, text });
        }
    }

    /// Runs until `end`, or until an invariant breaks.
    pub fn run(&mut self, end: u64) -> Result<(), Broken> {
        loop {
            if let Some(broken) = &self.broken {
                return Err(broken.clone());
            }
            let wake = (0..self.instances.len())
                .filter_map(|i| {
                    let one = &self.instances[i];
                    one.deadline.filter(|_| one.is_running()).map(|at| (at.max(one.paused_until).max(self.now), i))
                })
                .min();
            let next = self.heap.peek().map(|slot| slot.at);
            match (wake, next) {
                (Some((at, i)), next) if next.is_none_or(|next| at < next) => {
                    if at > end {
                        break;
                    }
                    self.now = at;
                    self.feed(i, Event::Wake);
                }
                (_, Some(at)) => {
                    if at > end {
                        break;
                    }
                    self.now = at;
                    if let Some(slot) = self.heap.pop() {
                        self.happen(slot.due);
                    }
                }
                (..) => break,
            }
            if self.counts.steps > 40_000_000 {
                self.fail(Invariant::L7, || "the engine spins".into());
            }
        }
        self.now = end;
        Ok(())
    }

    fn happen(&mut self, due: Due) {
        // A paused process hears nothing until it goes on, and then everything in order.
        let of = match &due {
            Due::To(i, run, _) | Due::Round { i, run, .. } | Due::Commit { i, run } => Some((*i, *run)),
            _ => None,
        };
        if let Some((i, run)) = of {
            let one = &self.instances[i];
            if one.run != run || !one.is_running() {
                return;
            }
            if one.paused_until > self.now {
                let until = one.paused_until;
                return self.due(until, due);
            }
        }
        match due {
            Due::To(i, _, event) => self.feed(i, *event),
            Due::Round { i, policy, pace, .. } => self.round(i, policy, pace),
            Due::Commit { i, .. } => self.commit(i),
            Due::Write(sent) => self.write_arrives(*sent),
            Due::Read { i, run, call } => self.read_arrives(i, run, *call),
            Due::Start(i) => self.start(i),
            Due::Disturb => self.disturb(),
            Due::Trouble(trouble) => self.trouble(trouble),
        }
    }

    pub fn start(&mut self, i: usize) {
        if self.instances[i].is_running() {
            return;
        }
        let mono = self.rng.within(1_000_000_000, 3_000_000_000);
        let out = self.instances[i].start(self.now, mono);
        self.say(|| format!("{} starts", ["a", "b", "c", "o"][i.min(3)]));
        self.checker.started(i, &self.instances[i], self.now);
        self.schedule_rounds(i);
        self.carry_out(i, out);
    }

    /// Every policy in force is probed, each at a moment of its own.
    pub fn schedule_rounds(&mut self, i: usize) {
        let numbers: Vec<PolicyIdx> = self.instances[i].numbers.keys().copied().collect();
        for policy in numbers {
            if let Entry::Vacant(new) = self.instances[i].pace.entry(policy) {
                new.insert((false, 0));
                let at = self.now + self.rng.within(0, 900);
                let run = self.instances[i].run;
                self.due(at, Due::Round { i, run, policy, pace: 0 });
            }
        }
    }

    /// One event into the engine of instance `i`, and everything that follows from it.
    pub fn feed(&mut self, i: usize, event: Event) {
        let one = &mut self.instances[i];
        let now = one.clocks(self.now);
        let Some(fleet) = &mut one.fleet else { return };
        self.checker.heard(i, &event, self.now, now.mono);
        if self.trace.is_told() && is_news(&event) {
            let name = one.name.clone();
            self.trace.say(self.now, || format!("{name} <- {event:?}"));
        }
        self.counts.steps += 1;
        let mut out = Vec::new();
        step(fleet, now, event, &mut out);
        one.wait();
        self.trace.number(self.now.wrapping_mul(31) + i as u64);
        if !out.is_empty() {
            self.carry_out(i, out);
        }
    }

    pub fn carry_out(&mut self, i: usize, actions: Vec<Action>) {
        for action in actions {
            if let Some(left) = &mut self.instances[i].dies_in {
                if *left == 0 {
                    return self.crash(i);
                }
                *left -= 1;
            }
            self.leave_a_mark(&action);
            if self.trace.is_told() {
                let name = &self.instances[i].name;
                let text = format!("{name} -> {action:?}");
                self.trace.say(self.now, || text);
            }
            self.act(i, action);
        }
    }

    /// Whatever was done goes into the hash; of a journal entry, what it says.
    fn leave_a_mark(&mut self, action: &Action) {
        let Action::Persist { seq, entry } = action else { return self.trace.hash(format_args!("{action:?}")) };
        self.trace.number(*seq);
        for transition in &entry.transitions {
            self.trace.hash(format_args!("{:?}{}", transition.kind, transition.text));
        }
        for intent in &entry.intents {
            self.trace.hash(format_args!("{}{:?}{:?}", intent.id, intent.change_id, intent.outcome));
        }
        for snapshot in &entry.snapshots {
            self.trace.number(snapshot.epoch.0.wrapping_mul(31) + snapshot.at.0);
        }
        for notice in &entry.notices {
            self.trace.hash(format_args!("{:?}{}", notice.kind, notice.title));
        }
    }

    fn act(&mut self, i: usize, action: Action) {
        let run = self.instances[i].run;
        match action {
            Action::Pace { policy, fast } => self.pace(i, policy, fast),
            Action::WitnessRound => self.witness_round(i),
            Action::Call(call) => self.call(i, call),
            Action::AskOne { policy } => {
                let server = self.rng.below(SERVERS);
                let (answers, took) = self.answers(i, policy, &[server]);
                self.due(self.now + took, Due::To(i, run, Box::new(Event::Observed { policy, answers })));
            }
            Action::AskAll { policy } => {
                let asked = self.instances[i].clocks(self.now).mono;
                let (answers, took) = self.answers(i, policy, &[0, 1, 2]);
                self.due(self.now + took, Due::To(i, run, Box::new(Event::Answers { policy, asked, answers })));
            }
            Action::ProbeByName { policy, target, address } => {
                let started = self.instances[i].clocks(self.now).mono;
                let Some(n) = self.instances[i].numbers.get(&policy).copied() else { return };
                let (outcome, took) = self.probe(i, n, target.index());
                let probe = Probed { policy, target, started, ended: Tick(started.0 + took), outcome };
                self.due(self.now + took, Due::To(i, run, Box::new(Event::ByName { policy, address, probe })));
            }
            Action::Persist { seq, entry } => {
                if let Err(broken) = self.checker.told(i, &self.instances[i], &entry, &self.zones, self.now) {
                    self.fail(broken.0, || broken.1);
                }
                self.instances[i].pending.push_back((seq, entry));
                let after = self.rng.within(1, 6);
                self.due(self.now + after, Due::Commit { i, run });
            }
            Action::LookUpDelegation { zone, .. } => {
                let servers = (!self.instances[i].links.no_dns).then(name_servers);
                self.due(self.now + 30, Due::To(i, run, Box::new(Event::Delegated { zone, servers })));
            }
            Action::Reply { id, reply } => self.checker.replied(i, id, &reply, &self.instances[i], self.now),
        }
    }

    fn pace(&mut self, i: usize, policy: PolicyIdx, fast: bool) {
        let Some(n) = self.instances[i].numbers.get(&policy).copied() else { return };
        let (_, pace) = self.instances[i].pace.get(&policy).copied().unwrap_or_default();
        self.instances[i].pace.insert(policy, (fast, pace + 1));
        let wait = if fast { self.rng.within(1, 1000) } else { self.rng.within(1, self.period(n, false)) };
        let run = self.instances[i].run;
        self.due(self.now + wait, Due::Round { i, run, policy, pace: pace + 1 });
    }

    fn period(&self, policy: usize, fast: bool) -> u64 {
        let check = &self.scene.policies[policy].targets[0].check;
        match &check.cadence {
            _ if fast => check.fast_interval.as_millis() as u64,
            failoverd::domain::Cadence::Every(interval) => interval.as_millis() as u64,
            failoverd::domain::Cadence::Schedule(_) => 30_000,
        }
    }

    /// All targets of one policy; who answers soon and who times out are two batches.
    fn round(&mut self, i: usize, policy: PolicyIdx, pace: u32) {
        let Some((fast, now_pace)) = self.instances[i].pace.get(&policy).copied() else { return };
        let Some(n) = self.instances[i].numbers.get(&policy).copied().filter(|_| now_pace == pace) else { return };
        let run = self.instances[i].run;
        let started = self.instances[i].clocks(self.now).mono;
        let (mut soon, mut slow) = (Vec::new(), Vec::new());
        let (mut longest, mut at_once) = (0, 0);
        for target in self.scene.policies[n].indices() {
            let (outcome, took) = self.probe(i, n, target.index());
            let probed = Probed { policy, target, started, ended: Tick(started.0 + took), outcome };
            longest = longest.max(took);
            if outcome == Outcome::Down(DownReason::ConnectTimeout) {
                slow.push(probed);
            } else {
                at_once = at_once.max(took);
                soon.push(probed);
            }
        }
        if !soon.is_empty() {
            self.due(self.now + at_once, Due::To(i, run, Box::new(Event::Outcomes(soon))));
        }
        if !slow.is_empty() {
            self.due(self.now + longest, Due::To(i, run, Box::new(Event::Outcomes(slow))));
        }
        let next = self.now + self.period(n, fast).max(longest);
        self.due(next, Due::Round { i, run, policy, pace });
    }

    fn probe(&mut self, i: usize, policy: usize, target: usize) -> (Outcome, u64) {
        let of = &self.scene.policies[policy].targets[target];
        let timeout = of.check.timeout.as_millis() as u64;
        let loss = if self.calm { 0 } else { self.scene.loss };
        let life = self.life[policy][target];
        truth::probe(life, &self.instances[i].links, &of.region, timeout, loss, self.now, &mut self.rng)
    }

    fn witness_round(&mut self, i: usize) {
        let run = self.instances[i].run;
        let started = self.instances[i].clocks(self.now).mono;
        for n in 0..self.instances[i].settings.witnesses.len() {
            let (answered, took) = truth::witness(&self.instances[i].links, n, &mut self.rng);
            let one = Witnessed { witness: WitnessIdx(n as u32), started, answered };
            self.due(self.now + took, Due::To(i, run, Box::new(Event::Witnessed(vec![one]))));
        }
    }

    fn answers(&mut self, i: usize, policy: PolicyIdx, servers: &[usize]) -> (Vec<ServerAnswer>, u64) {
        let one = &self.instances[i];
        let Some(n) = one.numbers.get(&policy).copied() else { return (Vec::new(), 1) };
        let policy = &self.scene.policies[n];
        let zone = &self.zones[self.checker.zone_of(n)];
        let mut answers = Vec::new();
        let mut late = one.links.no_dns;
        for server in servers {
            for (record, name) in (0u32..).zip(&policy.records) {
                for rtype in policy.record_types() {
                    let answer = if one.links.no_dns {
                        DnsAnswer::Failed("timeout".into())
                    } else {
                        zone.answer(self.now, *server, name, rtype)
                    };
                    late |= matches!(answer, DnsAnswer::Failed(_));
                    let server = std::net::SocketAddr::from(([127, 0, 0, *server as u8 + 1], 53));
                    answers.push(ServerAnswer { server, record, rtype, answer });
                }
            }
        }
        (answers, if late { 2000 } else { 15 })
    }

    fn commit(&mut self, i: usize) {
        let works = self.instances[i].store_works;
        let Some((seq, entry)) = self.instances[i].pending.pop_front() else { return };
        if !works {
            self.instances[i].disk.refuse(&entry);
            return self.feed(i, Event::StoreFailed { seq, error: "disk full".into() });
        }
        if let Err(text) = self.instances[i].disk.commit(entry) {
            self.fail(Invariant::I11, || format!("a second outcome: {text}"));
        }
        self.feed(i, Event::Persisted { seq });
    }

    /// The process dies; of what its store was handed, a part that chance draws is on the disk.
    pub fn crash(&mut self, i: usize) {
        if !self.instances[i].is_running() {
            return;
        }
        self.counts.crashes += 1;
        let kept = if self.instances[i].store_works { self.fate.below(self.instances[i].pending.len() + 1) } else { 0 };
        for _ in 0..kept {
            let Some((_, entry)) = self.instances[i].pending.pop_front() else { break };
            if let Err(text) = self.instances[i].disk.commit(entry) {
                self.fail(Invariant::I11, || format!("a second outcome: {text}"));
            }
        }
        if let Some(text) = self.instances[i].disk.torn() {
            self.fail(Invariant::I11, || text);
        }
        let one = &mut self.instances[i];
        one.pending.clear();
        one.fleet = None;
        one.deadline = None;
        one.dies_in = None;
        let name = one.name.clone();
        self.say(|| format!("{name} dies, {kept} entries reached the disk"));
        let after = self.fate.weighted(&[(3, 200), (3, 3_000), (2, 30_000), (1, 240_000)]);
        self.due(self.now + after, Due::Start(i));
    }
}

pub fn name_servers() -> Vec<String> {
    (1..=SERVERS).map(|n| format!("ns{n}.example.net")).collect()
}

/// Worth a line in a trace: everything but calm probes.
fn is_news(event: &Event) -> bool {
    !matches!(event, Event::Outcomes(batch) if batch.iter().all(|p| p.outcome == Outcome::Up)) && *event != Event::Wake
}
