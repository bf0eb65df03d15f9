//! One controller as its machine sees it: the engine, what it keeps on disk, its clocks and its
//! links. It decides nothing; the world feeds it events and carries out its actions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use failoverd::domain::{Epoch, FleetSettings, InstanceName, Now, Policy, PolicyId, PolicyIdx, Tick, UnixMs};
use failoverd::engine::action::Action;
use failoverd::engine::intent::{Intent, IntentId, IntentOutcome, Kind};
use failoverd::engine::journal::{JournalEntry, PolicySnapshot, Restored};
use failoverd::engine::notice::{Notice, NoticeKind};
use failoverd::engine::{Fleet, Mode, next_deadline};

use super::truth::Links;

pub const WALL: u64 = 1_800_000_000_000;

pub struct Instance {
    pub name: String,
    pub mode: Mode,
    pub settings: FleetSettings,
    /// The configuration on its disk, and how often each policy of it was changed.
    pub policies: Vec<Policy>,
    pub versions: Vec<u64>,
    pub fleet: Option<Fleet>,
    /// Counts starts; what was under way for an earlier run reaches nobody.
    pub run: u32,
    pub paused_until: u64,
    pub links: Links,
    /// The wall clock is off by this, milliseconds.
    pub clock_off: i64,
    /// True time at which this run's monotonic clock read `mono_at_start`.
    pub started: u64,
    mono_at_start: u64,
    pub deadline: Option<u64>,
    pub disk: Disk,
    /// Handed to the store and not committed yet, oldest first.
    pub pending: VecDeque<(u64, JournalEntry)>,
    pub store_works: bool,
    /// Which policy of the configuration each number in force is.
    pub numbers: BTreeMap<PolicyIdx, usize>,
    /// Pace of each policy's probes; a round of an older pace is void.
    pub pace: BTreeMap<PolicyIdx, (bool, u32)>,
    /// The process dies after so many more actions.
    pub dies_in: Option<u32>,
}

/// What survives the process.
#[derive(Default)]
pub struct Disk {
    pub snapshots: BTreeMap<PolicyId, PolicySnapshot>,
    /// In the order in which they were first written.
    pub intents: Vec<Intent>,
    /// Moves that people are told of, by policy and epoch.
    pub told: BTreeSet<(PolicyId, Epoch)>,
    /// Those that people were told of by network, when the disk took nothing.
    spoken: BTreeSet<(PolicyId, Epoch)>,
}

impl Disk {
    pub fn intent(&self, id: &IntentId) -> Option<&Intent> {
        self.intents.iter().rev().find(|i| i.id == *id)
    }

    pub fn open(&self) -> impl Iterator<Item = &Intent> {
        self.intents.iter().filter(|i| i.outcome.is_none())
    }

    /// The disk took nothing of it; its notices were sent all the same.
    pub fn refuse(&mut self, entry: &JournalEntry) {
        self.spoken.extend(moves_told(entry));
    }

    /// One transaction. The error: an intent would have a second outcome (the store refuses that too).
    pub fn commit(&mut self, entry: JournalEntry) -> Result<(), String> {
        self.told.extend(moves_told(&entry));
        for intent in entry.intents {
            match self.intents.iter_mut().rev().find(|i| i.id == intent.id) {
                Some(old) if old.outcome.is_some() && old.outcome != intent.outcome => {
                    return Err(format!("{}: first {:?}, then {:?}", intent.id, old.outcome, intent.outcome));
                }
                Some(old) => *old = intent,
                None => self.intents.push(intent),
            }
        }
        // What is closed is history; only what is recent is ever asked for.
        if self.intents.len() > 200 {
            let open_or_new = self.intents.len() - 100;
            let mut n = 0;
            self.intents.retain(|i| {
                n += 1;
                i.outcome.is_none() || n > open_or_new
            });
            let kept: BTreeSet<(PolicyId, Epoch)> = self.intents.iter().map(|i| (i.policy.clone(), i.epoch)).collect();
            self.told.retain(|told| kept.contains(told));
        }
        for snapshot in entry.snapshots {
            self.snapshots.insert(snapshot.policy.clone(), snapshot);
        }
        Ok(())
    }

    /// A move that was made and of which nobody is told, or the other way round.
    pub fn torn(&self) -> Option<String> {
        let moved = |i: &&Intent| {
            let applied = matches!(i.outcome, Some(IntentOutcome::Committed | IntentOutcome::AppliedSyncUnknown));
            i.kind.publishes() && i.kind != Kind::Adopt && (i.change_id.is_some() || applied)
        };
        let moved: BTreeMap<(PolicyId, Epoch), &Intent> =
            self.intents.iter().filter(moved).map(|i| ((i.policy.clone(), i.epoch), i)).collect();
        let untold = moved
            .iter()
            .find(|(at, _)| !self.told.contains(at) && !self.spoken.contains(at))
            .map(|(_, i)| format!("nobody is told of {i:?}"));
        let unmade = self.told.iter().find(|at| !moved.contains_key(at));
        untold.or_else(|| unmade.map(|at| format!("people are told of a move that is not on the disk: {at:?}")))
    }

    fn restored(&self) -> Restored {
        Restored { snapshots: self.snapshots.values().cloned().collect(), open_intents: self.open().cloned().collect() }
    }
}

fn moves_told(entry: &JournalEntry) -> impl Iterator<Item = (PolicyId, Epoch)> {
    let tells = |n: &&Notice| matches!(n.kind, NoticeKind::Moving | NoticeKind::Forced) && !n.observe;
    entry.notices.iter().filter(tells).filter_map(|n| Some((n.policy.clone()?, n.moved.as_ref()?.epoch)))
}

impl Instance {
    pub fn new(name: &str, mode: Mode, settings: &FleetSettings, policies: &[Policy]) -> Instance {
        let settings = FleetSettings { instance: InstanceName::new(name).unwrap(), ..settings.clone() };
        Instance {
            name: name.to_owned(),
            mode,
            settings,
            policies: policies.to_vec(),
            versions: vec![0; policies.len()],
            fleet: None,
            run: 0,
            paused_until: 0,
            links: Links::default(),
            clock_off: 0,
            started: 0,
            mono_at_start: 0,
            deadline: None,
            disk: Disk::default(),
            pending: VecDeque::new(),
            store_works: true,
            numbers: BTreeMap::new(),
            pace: BTreeMap::new(),
            dies_in: None,
        }
    }

    /// Both of its clocks at true time `at`.
    pub fn clocks(&self, at: u64) -> Now {
        let wall = (WALL + at).saturating_add_signed(self.clock_off);
        Now { mono: Tick(self.mono_at_start + at - self.started), wall: UnixMs(wall) }
    }

    /// True time of a moment of its monotonic clock.
    pub fn true_time(&self, tick: Tick) -> u64 {
        (tick.0 + self.started).saturating_sub(self.mono_at_start)
    }

    /// A new process on the disk as it is. `mono`: where its monotonic clock happens to stand.
    pub fn start(&mut self, at: u64, mono: u64) -> Vec<Action> {
        self.run += 1;
        self.started = at;
        self.mono_at_start = mono;
        self.paused_until = 0;
        self.pending.clear();
        self.pace.clear();
        self.dies_in = None;
        let run_id = format!("{}{:0>7}", self.name, self.run);
        let mut out = Vec::new();
        let fleet = Fleet::new(
            self.settings.clone(),
            self.policies.clone(),
            self.mode,
            self.disk.restored(),
            &run_id,
            self.clocks(at),
            &mut out,
        );
        self.fleet = Some(fleet);
        self.number();
        self.wait();
        out
    }

    /// Learns the numbers of the policies in force.
    pub fn number(&mut self) {
        let Some(fleet) = &self.fleet else { return };
        self.numbers = fleet
            .policies()
            .filter_map(|(idx, policy)| Some((idx, self.policies.iter().position(|p| p.id == policy.id)?)))
            .collect();
    }

    /// Learns when it wants to be woken.
    pub fn wait(&mut self) {
        let deadline = self.fleet.as_ref().and_then(next_deadline);
        self.deadline = deadline.map(|tick| self.true_time(tick));
    }

    pub fn number_of(&self, policy: usize) -> Option<PolicyIdx> {
        self.numbers.iter().find(|(_, n)| **n == policy).map(|(idx, _)| *idx)
    }

    pub fn is_running(&self) -> bool {
        self.fleet.is_some()
    }
}
