//! Killing the process between two actions. A cut is the world as it stands when the process dies
//! after one of its actions: the rest of that step is lost, of what was handed to the store a first
//! part is on disk, and a request on its way has arrived or has not. It decides nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::SyncSender;

use failoverd::domain::*;
use failoverd::engine::action::{Action, ApiCall};
use failoverd::engine::event::{CommandReply, Event};
use failoverd::engine::fence::{FenceValue, unquote};
use failoverd::engine::intent::Intent;
use failoverd::engine::journal::{JournalEntry, PolicySnapshot};
use failoverd::engine::notice::{Notice, NoticeKind};
use failoverd::engine::zone::LiveSet;

use super::audit::Audit;
use super::record::set_text;
use super::zone::{ApiMode, Zone};
use super::{Due, World};

/// What a notice is known by: told again, it says this again.
pub type Told = (NoticeKind, String, Option<Epoch>);

/// What the store has on disk.
#[derive(Clone, Default)]
pub struct Disk {
    snapshots: BTreeMap<PolicyId, PolicySnapshot>,
    intents: BTreeMap<String, Intent>,
    told: Vec<Told>,
}

/// A move is told once for each epoch.
pub(super) fn told(notice: &Notice) -> Told {
    (notice.kind, notice.title.clone(), notice.moved.as_ref().map(|m| m.epoch))
}

impl Disk {
    fn commit(&mut self, entry: &JournalEntry) {
        self.intents.extend(entry.intents.iter().map(|i| (i.id.0.clone(), i.clone())));
        self.snapshots.extend(entry.snapshots.iter().map(|s| (s.policy.clone(), s.clone())));
        self.told.extend(entry.notices.iter().map(told));
    }
}

/// One way to die after one action.
pub struct Cut {
    /// When, in milliseconds since the run began.
    pub at: u64,
    /// Actions carried out before the process died, the one it died after included.
    pub action: usize,
    /// What that was.
    pub what: &'static str,
    /// Entries handed to the store that never reached the disk.
    pub lost_entries: usize,
    /// The request on its way had not arrived.
    pub on_its_way: bool,
    /// A `freeze` was answered and is on disk.
    pub frozen: bool,
    pub world: World,
}

/// What is kept of a run whose process is to be killed.
pub struct Books {
    out: SyncSender<Cut>,
    pub actions: usize,
    disk: Disk,
    /// Handed to the store and not answered yet.
    pending: Vec<(u64, JournalEntry)>,
    /// The zone as if the request on its way had not arrived.
    without: Option<(Zone, Audit)>,
    /// Everything outside the process that changed so far; equal worlds are cut once.
    changes: u64,
    done: Option<(u64, u64, usize)>,
    /// The last word of a person about a freeze that was answered without a warning.
    freeze_answered: bool,
    asked: Option<bool>,
}

/// What the record publishes and what its fences say.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub sets: Vec<Vec<LiveSet>>,
    /// Cluster and mode; `None`: no fence that can be read.
    pub fences: Vec<Option<(String, &'static str)>>,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sets, fence) in self.sets.iter().zip(&self.fences) {
            let sets: Vec<String> = sets.iter().map(set_text).collect();
            let fence = fence.as_ref().map_or("no fence".into(), |(cluster, mode)| format!("{cluster} {mode}"));
            write!(f, "[{}; {fence}]", if sets.is_empty() { "nothing".into() } else { sets.join(" + ") })?;
        }
        Ok(())
    }
}

impl World {
    /// From now on every way to die is sent to `out`.
    pub fn keep_books(&mut self, out: SyncSender<Cut>) {
        self.books = Some(Box::new(Books {
            out,
            actions: 0,
            disk: Disk::default(),
            pending: Vec::new(),
            without: None,
            changes: 0,
            done: None,
            freeze_answered: false,
            asked: None,
        }));
    }

    /// Nothing is written down, which is faster.
    pub fn silence(&mut self) {
        self.silent = true;
    }

    /// How many actions the run took, while books are kept.
    pub fn actions(&self) -> usize {
        self.books.as_ref().map_or(0, |b| b.actions)
    }

    pub(super) fn tell_window(&mut self) {
        if let (Some(open), true) = (self.window, self.fleet.is_some()) {
            self.feed(Event::Window { policy: PolicyIdx(0), open });
        }
    }

    /// Before an action is carried out; what it is.
    pub(super) fn before(&mut self, action: &Action) -> &'static str {
        let Some(books) = &mut self.books else { return "" };
        match action {
            Action::Pace { .. } => "a change of pace",
            Action::WitnessRound => "a witness round",
            Action::AskOne { .. } => "a question to one server",
            Action::AskAll { .. } => "a question to all servers",
            Action::ProbeByName { .. } => "a probe of the published address",
            Action::LookUpDelegation { .. } => "a question about the delegation",
            Action::Reply { reply, .. } => {
                if let (Some(freezes), CommandReply::Accepted(text)) = (books.asked.take(), reply) {
                    books.freeze_answered = freezes && !text.contains("not on disk: ");
                    books.changes += 1;
                }
                "a reply"
            }
            Action::Persist { seq, entry } => {
                if self.store_works {
                    books.pending.push((*seq, entry.clone()));
                    books.changes += 1;
                }
                "a journal entry"
            }
            Action::Call(ApiCall::Write { zone, changes, .. }) => {
                books.changes += 1;
                if self.zone.api == ApiMode::Up && *zone == self.zone.id {
                    let mut without = self.zone.clone();
                    without.hold(self.now, changes);
                    books.without = Some((without, self.audit.clone()));
                }
                "a write"
            }
            Action::Call(_) => "a reading",
        }
    }

    /// An answer arrived: what it answers is no longer open.
    pub(super) fn keep_answer(&mut self, event: &Event) {
        let Some(books) = &mut self.books else { return };
        match event {
            Event::Persisted { seq } => {
                books.changes += 1;
                while books.pending.first().is_some_and(|(s, _)| s <= seq) {
                    let (_, entry) = books.pending.remove(0);
                    books.disk.commit(&entry);
                }
            }
            Event::Answered { .. } => books.without = None,
            _ => {}
        }
    }

    /// A step of the script is about to change the world.
    pub(super) fn keep_step(&mut self, words: &[&str]) {
        let Some(books) = &mut self.books else { return };
        books.changes += 1;
        books.without = None;
        match words {
            ["cmd", "all", verb, ..] | ["cmd", verb, ..] | [verb] if ["freeze", "unfreeze"].contains(verb) => {
                books.asked = Some(*verb == "freeze");
            }
            ["cmd", ..] => books.asked = None,
            ["restart", "empty"] => {
                books.disk = Disk::default();
                books.freeze_answered = false;
            }
            _ => {}
        }
        if words.first() == Some(&"restart") {
            // The scenario's own restart loses nothing of what was handed to the store.
            for (_, entry) in std::mem::take(&mut books.pending) {
                books.disk.commit(&entry);
            }
            if words == ["restart", "empty"] {
                books.disk = Disk::default();
            }
        }
    }

    /// The process may die here.
    pub(super) fn cut(&mut self, what: &'static str) {
        let Some(books) = &mut self.books else { return };
        books.actions += 1;
        let mut worlds = Vec::new();
        let books = self.books.as_ref().unwrap();
        let key = (self.now, books.changes, books.pending.len());
        if books.done == Some(key) {
            return;
        }
        let mut disk = books.disk.clone();
        for kept in 0..=books.pending.len() {
            if let Some((_, entry)) = kept.checked_sub(1).and_then(|last| books.pending.get(last)) {
                disk.commit(entry);
            }
            let arrived = (&self.zone, &self.audit);
            let on_its_way = books.without.as_ref().map(|(zone, audit)| (zone, audit));
            for (zone, audit) in std::iter::once(arrived).chain(on_its_way) {
                worlds.push(Cut {
                    at: self.now,
                    action: books.actions,
                    what,
                    lost_entries: books.pending.len() - kept,
                    on_its_way: !std::ptr::eq(zone, &self.zone),
                    frozen: books.freeze_answered,
                    world: self.killed(disk.clone(), zone.clone(), audit.clone()),
                });
            }
        }
        for cut in worlds {
            // Nobody listens any more when the run is over.
            let _ = books.out.send(cut);
        }
        if let Some(books) = &mut self.books {
            books.done = Some(key);
        }
    }

    /// The world without the process: what was on its way to it is lost.
    fn killed(&self, disk: Disk, zone: Zone, audit: Audit) -> World {
        World {
            setup: self.setup.clone(),
            fleet: None,
            now: self.now,
            n: self.n,
            due: self.due.iter().filter(|(_, d)| matches!(d, Due::Script(_))).map(|(k, d)| (*k, d.clone())).collect(),
            outcomes: self.outcomes.clone(),
            published: self.published.clone(),
            delegation: self.delegation.clone(),
            saved: self.saved.clone(),
            fast: false,
            pace: self.pace,
            witnesses: self.witnesses.clone(),
            witnesses_hang: self.witnesses_hang,
            calls: self.calls,
            asks: self.asks,
            peer_behind: self.peer_behind,
            quiet: self.quiet,
            window: self.window,
            zone,
            emptied: self.emptied,
            store_works: self.store_works,
            snapshots: disk.snapshots,
            intents: disk.intents,
            told: disk.told,
            audit,
            runs: self.runs,
            tally: Default::default(),
            silent: self.silent,
            books: None,
            log: self.log.clone(),
        }
    }

    /// The killed process is started again.
    pub fn come_back(&mut self) {
        self.say("> killed, and started again");
        self.start();
    }

    /// At `at` every fault ends; targets stay as they are. A request that was held lands or never will.
    pub fn heal(&mut self, at: u64, lands: bool) {
        for step in ["api up", "dns fine", "witnesses answer", "store works"] {
            self.at(at, step);
        }
        self.at(at, if lands { "late lands" } else { "late never lands" });
    }

    pub fn standing(&self) -> Standing {
        let records = self.records();
        let fence = |fence: &RecordName| {
            let value = FenceValue::parse(&unquote(self.zone.get(fence, "TXT")?.values.first()?)?).ok()?;
            Some((value.cluster.to_string(), value.mode.as_str()))
        };
        Standing {
            sets: records.iter().map(|(name, _)| self.zone.at(name)).collect(),
            fences: records.iter().map(|(_, name)| fence(name)).collect(),
        }
    }

    /// Intents without an outcome.
    pub fn open_intents(&self) -> Vec<&Intent> {
        self.intents.values().filter(|i| i.outcome.is_none()).collect()
    }

    /// Every notice that reached the outbox.
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    pub fn is_frozen(&self) -> bool {
        self.snapshots.values().any(|s| s.frozen.is_some())
    }

    pub fn policy(&self) -> &Policy {
        &self.setup.policy
    }

    /// A process that only observes resolves nothing.
    pub fn observes(&self) -> bool {
        !self.setup.mode.writes()
    }
}
