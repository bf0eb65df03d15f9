//! The invariants, judged from outside: what each instance was told, what it asked for, and what the
//! zone became of it. Written against ARCHITECTURE.md's promises, not against the engine's code; it
//! knows the engine's words (events, actions, fence values) and none of its state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use failoverd::domain::*;
use failoverd::engine::action::BatchId;
use failoverd::engine::event::{Command, CommandKind, CommandReply, Event};
use failoverd::engine::fence::fence_name;
use failoverd::engine::intent::{Intent, IntentId, IntentOutcome};
use failoverd::engine::journal::{FreezeSnapshot, HandKind, JournalEntry, TransitionKind};
use failoverd::engine::notice::NoticeKind;
use failoverd::engine::zone::{ChangeStatus, DnsAnswer, LiveSet, RecordRead, WriteAnswer};

use super::hands::PERSON;
use super::instance::Instance;
use super::scene::Scene;
use super::zone::Zone;

/// The promises of ARCHITECTURE.md. L7: no livelock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    I1,
    I2,
    I3,
    I5,
    I6,
    I7,
    I8,
    I9,
    I10,
    I11,
    I12,
    I13,
    I14,
    L1,
    L2,
    L4,
    L5,
    L7,
}

#[derive(Clone, Debug)]
pub struct Broken {
    pub invariant: Invariant,
    /// Milliseconds of virtual time.
    pub at: u64,
    pub text: String,
}

pub type Verdict<T> = Result<T, (Invariant, String)>;

/// One probe as it was told: start, end, up, or `None` when it could not tell.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    pub started: Tick,
    pub ended: Tick,
    pub up: Option<bool>,
}

/// The policy of an attempt that was applied, and when its request was signed.
#[derive(Clone, Copy, Debug)]
pub struct Stood {
    pub policy: usize,
    pub signed: u64,
}

/// What one run of one instance was told.
#[derive(Default)]
pub struct Seen {
    pub probes: Vec<Vec<VecDeque<Heard>>>,
    /// Start of the last probe each witness answered, and whether it answered its last.
    pub witnesses: Vec<(Option<Tick>, Option<bool>)>,
    /// The last reading of each record.
    pub reads: Vec<Vec<Option<RecordRead>>>,
    /// Policies whose last reading failed.
    pub unread: BTreeSet<usize>,
    /// When each policy was first read in this run.
    pub first_read: Vec<Option<u64>>,
    /// The last questions to every server: when, what all said, and whether one said something else.
    pub asked: Vec<Option<Asked>>,
    /// When this run last ceased to be blind, as its witnesses or itself said.
    pub sees_since: Tick,
    pub is_blind: bool,
    /// Direct probes of the published address since the last accepted write.
    pub by_name: Vec<BTreeMap<TargetIdx, ByName>>,
    /// The highest epoch of a write of its own that was applied.
    pub own: Vec<Option<Epoch>>,
    /// What was heard before a newer write of its own, which it may not know to be applied.
    pub before: Vec<Option<Earlier>>,
    /// When the change of the last write was told to be INSYNC.
    pub insync: Vec<Option<u64>>,
    /// Intents whose change was told to be INSYNC.
    pub synced: BTreeSet<IntentId>,
    pub frozen: Vec<bool>,
    /// Freezes that a person was told of without a warning about the disk.
    pub kept: Vec<bool>,
    /// Targets that a person drained here.
    pub drained: Vec<BTreeSet<TargetIdx>>,
    /// What people were told of the last move of each policy, and nobody has answered since.
    pub waits: Vec<Option<NoticeKind>>,
    pub calls: VecDeque<(u64, u32)>,
    /// Intents without an outcome, committed or not.
    pub open: BTreeMap<IntentId, Intent>,
    pub commands: BTreeMap<u64, Command>,
    /// Readings under way that no write of ours has overtaken.
    pub reading: BTreeSet<(usize, u32)>,
    pub batches: BTreeMap<BatchId, BTreeSet<usize>>,
    pub numbers: BTreeMap<PolicyIdx, usize>,
}

/// Direct probes of one target: the starts of the straight failures, and whether the last one was up.
#[derive(Clone, Debug, Default)]
pub struct ByName {
    pub failures: Vec<Tick>,
    pub is_up: bool,
}

pub struct Earlier {
    /// Of the newer write.
    pub epoch: Epoch,
    pub asked: Option<Asked>,
    pub by_name: BTreeMap<TargetIdx, ByName>,
}

impl Seen {
    /// A person typed an unfreeze here and is not answered yet.
    pub fn is_lifting(&self, n: usize) -> bool {
        let meant = |c: &Command| c.policy.is_none_or(|idx| self.numbers.get(&idx) == Some(&n));
        self.commands.values().any(|c| c.kind == CommandKind::Unfreeze && meant(c))
    }
}

#[derive(Clone, Debug)]
pub struct Asked {
    /// What every server said of every record, by family; `None` when they differ or are silent.
    pub all: Option<BTreeSet<IpAddr>>,
    /// What each server answered last, of one record, since the record was last written here.
    pub said: Vec<Option<BTreeSet<IpAddr>>>,
}

pub struct Checker {
    pub policies: Vec<Policy>,
    pub zones: Vec<usize>,
    /// The record and the policy of each name, and of each fence.
    pub records: BTreeMap<RecordName, (usize, usize)>,
    pub fences: BTreeMap<RecordName, (usize, usize)>,
    pub seen: Vec<Seen>,
    /// Attempts that were told not to have been applied.
    pub denied: BTreeMap<String, &'static str>,
    /// Attempts that were applied, and at which policy, unless somebody else laid hands on it since.
    pub stood: BTreeMap<String, Stood>,
    /// Highest epoch applied at each record since somebody else laid hands on it.
    pub heights: Vec<Vec<u64>>,
    /// When somebody else last laid hands on each policy's records or fences.
    pub tampered: Vec<u64>,
    /// When a person last froze each policy at each instance, and lifted it anywhere.
    pub typed: Vec<Vec<u64>>,
    pub lifted: Vec<u64>,
    /// When the freeze was typed that each policy's fence carries.
    pub carried: Vec<u64>,
    /// When each policy's fence began to say locked, and when a person last acknowledged.
    pub locked: Vec<u64>,
    pub acks: Vec<u64>,
    /// Forward automatic moves of each policy that count: when decided, by true time, and when applied.
    pub moves: Vec<Vec<(u64, u64)>>,
    /// How far wall clocks were apart at most, milliseconds.
    pub skew: u64,
}

impl Checker {
    pub fn new(scene: &Scene, instances: usize) -> Checker {
        let mut checker = Checker {
            policies: scene.policies.clone(),
            zones: Vec::new(),
            records: BTreeMap::new(),
            fences: BTreeMap::new(),
            seen: (0..instances).map(|_| Seen::default()).collect(),
            denied: BTreeMap::new(),
            stood: BTreeMap::new(),
            heights: scene.policies.iter().map(|p| vec![0; p.records.len()]).collect(),
            tampered: vec![0; scene.policies.len()],
            typed: vec![vec![0; scene.policies.len()]; instances],
            lifted: vec![0; scene.policies.len()],
            carried: vec![0; scene.policies.len()],
            locked: vec![0; scene.policies.len()],
            acks: vec![0; scene.policies.len()],
            moves: vec![Vec::new(); scene.policies.len()],
            skew: 0,
        };
        for (n, policy) in scene.policies.iter().enumerate() {
            let zone = policy.zone.name.as_ref().unwrap();
            checker.zones.push(scene.zones.iter().position(|z| z == zone).unwrap());
            for (record, name) in policy.records.iter().enumerate() {
                checker.records.insert(name.clone(), (n, record));
                checker.fences.insert(fence_name(name, zone).unwrap(), (n, record));
            }
        }
        checker
    }

    pub fn zone_of(&self, policy: usize) -> usize {
        self.zones[policy]
    }

    /// A new process has seen nothing.
    pub fn started(&mut self, i: usize, one: &Instance, now: u64) {
        let policies = &self.policies;
        let open = one.disk.open().map(|intent| (intent.id.clone(), intent.clone())).collect();
        // An ack or unfreeze that nobody was answered may have reached the disk.
        let mut on_disk = BTreeSet::new();
        let last = &mut self.seen[i];
        for command in last.commands.values().filter(|c| c.kind == CommandKind::Ack) {
            let policy = command.policy.and_then(|idx| last.numbers.get(&idx).copied());
            (0..policies.len()).filter(|n| policy.is_none_or(|p| p == *n)).for_each(|n| self.moves[n].clear());
        }
        for command in last.commands.values().filter(|c| c.kind == CommandKind::Unfreeze) {
            let policy = command.policy.and_then(|idx| last.numbers.get(&idx).copied());
            for n in (0..policies.len()).filter(|n| policy.is_none_or(|p| p == *n)) {
                self.lifted[n] = now;
                last.kept.get_mut(n).into_iter().for_each(|kept| *kept = false);
                let hands = one.disk.snapshots.get(&policies[n].id).into_iter().flat_map(|s| &s.hands);
                if hands.clone().any(|h| h.what == HandKind::Unfreeze) {
                    on_disk.insert(n);
                }
            }
        }
        // One that did is in force wherever the freeze was typed.
        for seen in &mut self.seen {
            seen.frozen.iter_mut().enumerate().filter(|(n, _)| on_disk.contains(n)).for_each(|(_, f)| *f = false);
        }
        // A freeze that was answered and not lifted since holds on, unless the disk is a new one.
        let (typed, kept) = (std::mem::take(&mut self.seen[i].frozen), std::mem::take(&mut self.seen[i].kept));
        let is_new = one.disk.snapshots.is_empty();
        let drained = std::mem::take(&mut self.seen[i].drained);
        let frozen = |(n, p): (usize, &Policy)| {
            // One that came through a fence is the fence's, and may be lifted there.
            let typed_here = |f: &FreezeSnapshot| f.by == PERSON;
            let stored = one.disk.snapshots.get(&p.id).and_then(|s| s.frozen.as_ref()).is_some_and(typed_here);
            let kept = kept.get(n).copied().unwrap_or_default() && !is_new;
            (stored || kept) && typed.get(n).copied().unwrap_or_default()
        };
        let frozen: Vec<bool> = policies.iter().enumerate().map(frozen).collect();
        self.seen[i] = Seen {
            probes: policies.iter().map(|p| vec![VecDeque::new(); p.targets.len()]).collect(),
            witnesses: vec![(None, None); one.settings.witnesses.len()],
            reads: policies.iter().map(|p| vec![None; p.records.len()]).collect(),
            first_read: vec![None; policies.len()],
            asked: vec![None; policies.len()],
            before: policies.iter().map(|_| None).collect(),
            own: vec![None; policies.len()],
            by_name: vec![BTreeMap::new(); policies.len()],
            insync: vec![None; policies.len()],
            kept: frozen.clone(),
            drained: if drained.is_empty() || is_new { vec![BTreeSet::new(); policies.len()] } else { drained },
            waits: vec![None; policies.len()],
            frozen,
            open,
            numbers: one.numbers.clone(),
            ..Seen::default()
        };
    }

    /// Policies got new numbers.
    pub fn reloaded(&mut self, i: usize, one: &Instance) {
        self.seen[i].numbers.clone_from(&one.numbers);
        self.seen[i].drained.iter_mut().for_each(BTreeSet::clear);
    }

    /// A person typed a command at one instance.
    fn typed(&mut self, i: usize, command: &Command, now: u64) {
        let one = command.policy.map(|idx| self.seen[i].numbers.get(&idx).copied());
        let meant = |n: usize| one.is_none_or(|one| one == Some(n));
        for n in (0..self.policies.len()).filter(|n| meant(*n)) {
            self.answered(n);
            match &command.kind {
                CommandKind::Ack => self.acks[n] = now,
                CommandKind::Undrain { target } => {
                    self.seen[i].drained[n].remove(target);
                }
                _ => {}
            }
        }
    }

    /// What people were told of the last move is settled, by them or by another move.
    pub(super) fn answered(&mut self, n: usize) {
        self.seen.iter_mut().filter_map(|seen| seen.waits.get_mut(n)).for_each(|waits| *waits = None);
    }

    /// Somebody else edited the records or fences of a policy.
    pub fn tamper(&mut self, policy: usize, now: u64) {
        self.tampered[policy] = now;
        self.stood.retain(|_, of| of.policy != policy);
        self.heights[policy].fill(0);
        self.moves[policy].clear();
    }

    /// A person acknowledged: the flap budget starts anew.
    fn acked(&mut self, policy: Option<usize>) {
        match policy {
            Some(policy) => self.moves[policy].clear(),
            None => self.moves.iter_mut().for_each(Vec::clear),
        }
    }

    pub fn heard(&mut self, i: usize, event: &Event, now: u64, mono: Tick) {
        if let Event::Command { command, .. } = event {
            self.typed(i, command, now);
        }
        let policies = &self.policies;
        let seen = &mut self.seen[i];
        let number = |seen: &Seen, idx: &PolicyIdx| seen.numbers.get(idx).copied();
        match event {
            Event::Outcomes(batch) => {
                for probed in batch {
                    let Some(n) = number(seen, &probed.policy) else { continue };
                    let up = match probed.outcome {
                        Outcome::Up => Some(true),
                        Outcome::Down(_) => Some(false),
                        Outcome::Unknown(_) => None,
                    };
                    let log = &mut seen.probes[n][probed.target.index()];
                    // An older start tells of a past already judged.
                    if log.back().is_some_and(|last| probed.started < last.started) {
                        continue;
                    }
                    if up.is_none() && log.back().is_some_and(|last| last.up.is_none()) {
                        continue;
                    }
                    if log.len() == 96 {
                        log.pop_front();
                    }
                    log.push_back(Heard { started: probed.started, ended: probed.ended, up });
                }
            }
            Event::Witnessed(batch) => {
                for w in batch {
                    let one = &mut seen.witnesses[w.witness.0 as usize];
                    one.1 = Some(w.answered);
                    if w.answered {
                        one.0 = one.0.max(Some(w.started));
                    }
                }
                let good = seen.witnesses.iter().filter(|w| w.1 == Some(true)).count();
                let all_asked = seen.witnesses.iter().all(|w| w.1.is_some());
                if all_asked && good * 2 <= seen.witnesses.len() {
                    seen.is_blind = true;
                } else if all_asked && seen.is_blind {
                    seen.is_blind = false;
                    seen.sees_since = mono;
                }
            }
            Event::Read { policy, record, result: Ok(read), .. } => {
                if let Some(n) = number(seen, policy)
                    && seen.reading.remove(&(n, *record))
                {
                    seen.first_read[n].get_or_insert(now);
                    seen.reads[n][*record as usize] = Some(read.clone());
                    seen.unread.remove(&n);
                }
            }
            Event::Read { policy, result: Err(_), .. } => seen.unread.extend(number(seen, policy)),
            Event::Answered { batch, answer } => {
                for n in seen.batches.remove(batch).unwrap_or_default() {
                    seen.reading.retain(|(of, _)| *of != n);
                    if matches!(answer, WriteAnswer::Accepted { .. }) {
                        seen.reads[n].fill(None);
                    }
                }
            }
            Event::Answers { policy, answers, .. } => {
                let Some(n) = number(seen, policy) else { return };
                let said: Vec<Option<BTreeSet<IpAddr>>> = policies[n]
                    .records
                    .iter()
                    .enumerate()
                    .flat_map(|(record, _)| (0..super::zone::SERVERS).map(move |server| (record, server)))
                    .map(|(record, server)| {
                        let of = |a: &&failoverd::engine::event::ServerAnswer| {
                            a.record as usize == record && a.server.ip() == addr(server)
                        };
                        let mut sum = BTreeSet::new();
                        for answer in answers.iter().filter(of) {
                            match &answer.answer {
                                DnsAnswer::Addresses { set, .. } => sum.extend(set.iter().copied()),
                                DnsAnswer::Failed(_) => return None,
                                _ => {}
                            }
                        }
                        Some(sum)
                    })
                    .collect();
                let first = said.first().cloned().flatten();
                let all = first.filter(|first| said.iter().all(|s| s.as_ref() == Some(first)));
                // Who falls silent takes nothing back.
                let before = seen.asked[n].take().map(|asked| asked.said).unwrap_or_default();
                let kept =
                    |(k, now): (usize, Option<BTreeSet<IpAddr>>)| now.or_else(|| before.get(k).cloned().flatten());
                let said = said.into_iter().enumerate().map(kept).collect();
                seen.asked[n] = Some(Asked { all, said });
            }
            Event::ByName { policy, probe, .. } => {
                let Some(n) = number(seen, policy) else { return };
                let one = seen.by_name[n].entry(probe.target).or_default();
                one.is_up = probe.outcome == Outcome::Up;
                match probe.outcome {
                    Outcome::Up => one.failures.clear(),
                    Outcome::Down(_) => one.failures.push(probe.started),
                    Outcome::Unknown(_) => {}
                }
            }
            Event::Synced { intent, result: Ok(ChangeStatus::Insync) } => {
                seen.synced.insert(intent.clone());
                // Everything that rode in the same change is INSYNC with it.
                let change = seen.open.get(intent).and_then(|intent| intent.change_id.clone());
                for other in seen.open.values().filter(|other| other.change_id == change) {
                    seen.synced.insert(other.id.clone());
                    if let Some(n) = policies.iter().position(|p| p.id == other.policy) {
                        seen.insync[n].get_or_insert(now);
                    }
                }
            }
            Event::Command { id, command } => {
                seen.commands.insert(*id, command.clone());
            }
            _ => {}
        }
    }

    /// A person was answered. One who asked for all policies may be answered differently for each.
    pub fn replied(&mut self, i: usize, id: u64, reply: &CommandReply, one: &Instance, now: u64) {
        let Some(command) = self.seen[i].commands.remove(&id) else { return };
        let (CommandReply::Accepted(text) | CommandReply::Refused(text)) = reply;
        let unfrozen = |n: &usize| text.lines().any(|line| line == format!("{}: unfrozen", self.policies[*n].id));
        let refused: BTreeSet<usize> = if matches!(reply, CommandReply::Accepted(_)) {
            BTreeSet::new()
        } else {
            (0..self.policies.len()).filter(|n| !unfrozen(n)).collect()
        };
        let lifted: Vec<usize> = (0..self.policies.len()).filter(unfrozen).collect();
        let policy = command.policy.and_then(|idx| one.numbers.get(&idx).copied());
        let all = 0..self.policies.len();
        let meant = |n: usize| policy.is_none_or(|p| p == n) && !refused.contains(&n);
        match command.kind {
            _ if refused.len() == self.policies.len() => {}
            CommandKind::Freeze => all.filter(|n| meant(*n)).for_each(|n| {
                self.seen[i].frozen[n] = true;
                self.seen[i].kept[n] = !text.contains("not on disk: ");
                self.typed[i][n] = now;
            }),
            CommandKind::Unfreeze => {
                lifted.into_iter().for_each(|n| self.lifted[n] = now);
                for seen in &mut self.seen {
                    all.clone().filter(|n| meant(*n)).for_each(|n| {
                        if let Some(frozen) = seen.frozen.get_mut(n) {
                            *frozen = false;
                        }
                    });
                }
            }
            CommandKind::Ack if refused.is_empty() => self.acked(policy),
            CommandKind::Drain { target, .. } if !text.contains("not on disk: ") => {
                for n in all.filter(|n| meant(*n)) {
                    self.seen[i].drained[n].insert(target);
                }
            }
            _ => {}
        }
    }

    /// What the journal says, the moment it is said.
    pub fn told(&mut self, i: usize, one: &Instance, entry: &JournalEntry, zones: &[Zone], now: u64) -> Verdict<()> {
        for intent in &entry.intents {
            match &intent.outcome {
                None => {
                    self.seen[i].open.insert(intent.id.clone(), intent.clone());
                }
                Some(outcome) => {
                    self.seen[i].open.remove(&intent.id);
                    let word = match outcome {
                        IntentOutcome::Committed | IntentOutcome::AppliedSyncUnknown => None,
                        IntentOutcome::Lost { .. } => Some("lost"),
                        IntentOutcome::Refused { .. } => Some("refused"),
                        IntentOutcome::Burned => Some("burnt"),
                        IntentOutcome::Expired => Some("expired"),
                        IntentOutcome::NotSent { .. } => Some("not sent"),
                    };
                    // Lost may have stood, and been replaced by what stands now.
                    let stood = self.stood.get(&intent.id.0);
                    let stands = match outcome {
                        IntentOutcome::Lost { to } => *to == intent.id.0,
                        // What burnt it was taken back by other hands, and it landed then.
                        IntentOutcome::Burned => stood.is_some_and(|of| self.tampered[of.policy] <= of.signed),
                        _ => stood.is_some(),
                    };
                    if let Some(word) = word
                        && stands
                    {
                        return Err((
                            Invariant::I11,
                            format!("{} {} is told {word} and was applied", intent.policy, intent.kind),
                        ));
                    }
                    if let Some(word) = word {
                        self.denied.insert(intent.id.0.clone(), word);
                    }
                }
            }
        }
        for said in &entry.transitions {
            match said.kind {
                TransitionKind::Blind => self.seen[i].is_blind = true,
                TransitionKind::Sighted => {
                    self.seen[i].is_blind = false;
                    self.seen[i].sees_since = one.clocks(now).mono;
                }
                _ => {}
            }
        }
        for notice in entry.notices.iter().filter(|n| !n.observe) {
            let Some(n) = self.policies.iter().position(|p| Some(&p.id) == notice.policy.as_ref()) else { continue };
            if matches!(notice.kind, NoticeKind::MoveUnverified | NoticeKind::MoveContradicted) {
                self.seen[i].waits[n] = Some(notice.kind);
            }
        }
        for notice in entry.notices.iter().filter(|n| n.kind == NoticeKind::Moved && !n.observe) {
            let Some(n) = self.policies.iter().position(|p| Some(&p.id) == notice.policy.as_ref()) else { continue };
            let (Some(moved), Some(why)) = (&notice.moved, notice.why.first()) else {
                return Err((Invariant::I9, format!("{}: a proven move without its proof", notice.title)));
            };
            let wanted: Option<BTreeSet<IpAddr>> = moved.to.content.addresses().map(|set| set.iter().collect());
            let seen = &self.seen[i];
            if !["INSYNC only", "authoritative server", "read back"].iter().any(|proof| why.contains(proof)) {
                return Err((Invariant::I9, format!("{}: proven by {why}", notice.title)));
            }
            let zone = &zones[self.zones[n]];
            let change = entry.intents.iter().chain(&one.disk.intents).find(|x| {
                x.epoch == moved.epoch
                    && x.kind == moved.kind
                    && x.policy == self.policies[n].id
                    && x.change_id.is_some()
            });
            if why.starts_with("INSYNC") && change.is_none_or(|x| !seen.synced.contains(&x.id)) {
                return Err((Invariant::I9, format!("{}: says INSYNC, which nobody told it", notice.title)));
            }
            if why.starts_with("INSYNC")
                && let Some(change) = change.and_then(|c| c.change_id.as_ref())
                && zone.status(now, change) == ChangeStatus::Pending
            {
                return Err((Invariant::I9, format!("{}: says INSYNC of a pending change", notice.title)));
            }
            let before = seen.before[n].as_ref().filter(|before| moved.epoch < before.epoch);
            if why.contains("authoritative server") {
                let asked = seen.asked[n].iter().chain(before.and_then(|b| b.asked.as_ref()));
                if !asked.into_iter().any(|a| a.all == wanted) {
                    let text = format!("{}: says every server, whose last word was {:?}", notice.title, seen.asked[n]);
                    return Err((Invariant::I9, text));
                }
            }
            let to = |t: &TargetIdx| moved.to.targets.contains(&self.policies[n].targets[t.index()].name);
            let probes = |t: TargetIdx| seen.by_name[n].get(&t).or_else(|| before?.by_name.get(&t));
            let is_up = |t: TargetIdx| probes(t).is_some_and(|one| one.is_up);
            if why.contains("probe of") && !self.policies[n].indices().filter(to).all(is_up) {
                return Err((Invariant::I9, format!("{}: says a probe that was not up", notice.title)));
            }
        }
        Ok(())
    }

    /// Whether a record's content, as read, is nothing but addresses of the policy's targets.
    pub fn is_ours(&self, policy: usize, sets: &[LiveSet]) -> bool {
        let ours: BTreeSet<IpAddr> =
            self.policies[policy].targets.iter().filter_map(Target::addresses).flat_map(AddressSet::iter).collect();
        let types: Vec<&str> = self.policies[policy].record_types().into_iter().map(RecordType::as_str).collect();
        types.iter().all(|rtype| {
            sets.iter().any(|set| {
                set.rtype == *rtype
                    && !set.values.is_empty()
                    && set.values.iter().all(|v| v.parse().is_ok_and(|a: IpAddr| ours.contains(&a)))
            })
        })
    }
}

fn addr(server: usize) -> IpAddr {
    IpAddr::from([127, 0, 0, server as u8 + 1])
}
