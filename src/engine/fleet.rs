//! All policies of one controller, and the one function that changes them.

mod command;
mod disk;
mod reload;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{ApiBudget, FleetSettings, Health, NameServers, Now, Outcome, Policy, PolicyIdx, Tick, ZoneIdx};
use crate::seeded::{Bug, seeded};

use super::action::Action;
use super::budget::TokenBucket;
use super::evacuation::Evacuation;
use super::event::{Event, Probed};
use super::journal::{JournalEntry, PolicySnapshot, Restored, Transition, TransitionKind};
use super::notice::{Notice, NoticeKind, Severity};
use super::policy::{needs_sight, regions};
use super::report::{Pulse, Report, Settled};
use super::sight::Sight;
use super::state::{Cx, Delegation, PolicyState, Shared, ZoneState};
use super::zone::{ApiErrorKind, RefusedCode, WriteAnswer, ZoneInfo};
use super::{planned, verify, why, zones};

/// Questions to name servers, a second, over all names (ARCHITECTURE.md, decision 4).
const QUESTIONS: ApiBudget = ApiBudget { rate: 20.0, burst: 20 };
/// Questions of proofs, a second.
const PROOFS: ApiBudget = ApiBudget { rate: 500.0, burst: 1000 };

/// Whether this process may write at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Active,
    /// Writes what a person asks for, its proof and its rollback, and decides nothing of its own.
    Attended,
    /// Decides and tells, never emits a write.
    Observe,
}

impl Mode {
    pub fn writes(self) -> bool {
        self != Mode::Observe
    }
}

/// The state of every decision. A `PolicyIdx` is never reused for another policy or another
/// version of one: a reload gives a changed policy a new number, so a late event cannot be
/// taken for one of the new version.
pub struct Fleet {
    pub(super) shared: Shared,
    /// Numbers are never reused, so an emptied slot stays; boxed, it is one word.
    policies: Vec<Option<Box<PolicyState>>>,
    /// When each policy wants to be looked at; the ordered timer index.
    timers: BTreeSet<(Tick, PolicyIdx)>,
    store_retry: Option<Tick>,
    /// The entry that holds all a broken store may have missed; the store works again when it is on the disk.
    store_trial: Option<u64>,
    /// Answers that wait for the disk.
    replies: Vec<command::HeldReply>,
    /// What is known of policies that are not configured (any more).
    left_out: Vec<reload::LeftOut>,
}

impl Fleet {
    /// `run_id`: drawn at random by the caller, 8 characters of `a-z0-9`; it makes the attempts
    /// of this process unlike those of any other.
    pub fn new(
        settings: FleetSettings,
        policies: Vec<Policy>,
        mode: Mode,
        restored: Restored,
        run_id: &str,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Fleet {
        let shared = Shared {
            bucket: TokenBucket::new(settings.api, now.mono),
            questions: TokenBucket::new(QUESTIONS, now.mono),
            proofs: TokenBucket::new(PROOFS, now.mono),
            sight: Sight::new(settings.witnesses.iter().map(|w| w.region.clone())),
            settings,
            mode,
            run_id: run_id.to_owned(),
            attempts: 0,
            seq: 0,
            calls: BTreeMap::new(),
            zones: Vec::new(),
            evacuation: Evacuation::default(),
            freeze_all: None,
            hush: false,
            batches: BTreeMap::new(),
            following: BTreeMap::new(),
            waiting: BTreeMap::new(),
            store_broken: None,
            unsaved: BTreeMap::new(),
            missed: BTreeMap::new(),
            notices: 0,
            moved: 0,
            rolled_back: 0,
            policies: 0,
        };
        let is_in_force = |s: &&PolicySnapshot| policies.iter().any(|p| p.id == s.policy);
        let open_of = |s: &PolicySnapshot| {
            restored.open_intents.iter().filter(|i| mode.writes() && i.policy == s.policy).cloned().collect()
        };
        let left_out = restored.snapshots.iter().filter(|s| !is_in_force(s));
        let left_out = left_out.map(|s| reload::LeftOut::on_disk(s.clone(), open_of(s)));
        let mut fleet = Fleet {
            shared,
            policies: Vec::new(),
            timers: BTreeSet::new(),
            store_retry: None,
            store_trial: None,
            replies: Vec::new(),
            left_out: left_out.collect(),
        };
        for policy in policies {
            let id = policy.id.clone();
            let snapshot = restored.snapshots.iter().find(|s| s.policy == id);
            if let Some(left) = snapshot.and_then(|s| s.left.as_ref()) {
                fleet.shared.evacuation.restore(&id, left, now);
            }
            let idx = fleet.add(policy, snapshot, now);
            // Resolving may need a burn, which an observing process cannot make.
            let open = restored.open_intents.iter().filter(|i| mode.writes() && i.policy == id);
            let open = open.filter(|_| !seeded(Bug::OpenIntentsIgnored));
            for intent in open {
                fleet.with(idx, now, out, |p, cx| p.restore_intent(cx, intent.clone()));
            }
        }
        fleet.finish(now, out);
        fleet
    }

    fn add(&mut self, policy: Policy, snapshot: Option<&PolicySnapshot>, now: Now) -> PolicyIdx {
        let idx = PolicyIdx(u32::try_from(self.policies.len()).unwrap_or(u32::MAX));
        let zone = self.zone_of(&policy, now);
        let told = snapshot.and_then(|s| s.zone.delegation.clone());
        let is_asked = self.shared.settings.verify.name_servers == NameServers::Delegation;
        if let Some(told) = told.filter(|_| is_asked)
            && let Some(zone) = self.shared.zones.get_mut(zone.index())
        {
            zone.delegation.trouble.get_or_insert(told);
        }
        for region in regions(&policy) {
            self.shared.sight.add_target(region);
        }
        self.shared.policies += 1;
        self.policies.push(Some(Box::new(PolicyState::new(idx, zone, policy, snapshot, now))));
        self.timers.insert((now.mono, idx));
        idx
    }

    fn zone_of(&mut self, policy: &Policy, now: Now) -> ZoneIdx {
        let known = self.shared.zones.iter().position(|z| z.zone_ref == policy.zone);
        let index = known.unwrap_or_else(|| {
            self.shared.zones.push(ZoneState {
                zone_ref: policy.zone.clone(),
                info: None,
                resolving: false,
                next_try: now.mono,
                tries: 0,
                trouble: None,
                in_flight: None,
                not_before: Tick(0),
                lost: None,
                delegation: Delegation::default(),
            });
            self.shared.zones.len() - 1
        });
        ZoneIdx(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The policies in force with their numbers.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyIdx, &Policy)> {
        self.states().map(|(idx, p)| (idx, &p.policy))
    }

    /// The zones in force with what is known of them.
    pub fn zones(&self) -> impl Iterator<Item = (ZoneIdx, Option<&ZoneInfo>)> {
        (0u32..).map(ZoneIdx).zip(self.shared.zones.iter().map(|z| z.info.as_ref()))
    }

    /// The zone of a policy.
    pub fn zone_idx(&self, policy: PolicyIdx) -> Option<ZoneIdx> {
        self.state(policy).map(|p| p.zone)
    }

    pub fn settings(&self) -> &FleetSettings {
        &self.shared.settings
    }

    pub fn mode(&self) -> Mode {
        self.shared.mode
    }

    /// Why this controller is blind; `None` while it sees.
    pub fn blind(&self) -> Option<&str> {
        self.shared.sight.blind.as_deref()
    }

    /// The fleet in a few numbers.
    pub fn pulse(&self) -> Pulse {
        let count = |holds: fn(&PolicyState) -> bool| self.states().filter(|(_, p)| holds(p)).count();
        Pulse {
            policies: count(|_| true),
            moving: count(PolicyState::is_moving),
            frozen: count(|p| p.brakes.frozen.is_some() || p.brakes.forced),
            blind: self.blind().is_some(),
            store_ok: self.shared.store_broken.is_none(),
        }
    }

    /// Whether one confirmed pass is over (`once`, `plan`), and with what result.
    pub fn settled(&self, now: Now) -> Settled {
        let moved = if self.shared.rolled_back > 0 {
            Settled::RolledBack
        } else if self.shared.moved > 0 {
            Settled::Moved
        } else {
            Settled::Quiet
        };
        let worst = self
            .states()
            .map(|(_, p)| why::settled(p, &self.shared, now.mono))
            .fold((false, moved), |(open, worst), s| (open || s == Settled::No, worst.max(s)));
        if worst.0 { Settled::No } else { worst.1 }
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (PolicyIdx, &PolicyState)> {
        self.policies.iter().flatten().map(|p| (p.idx, &**p))
    }

    pub(super) fn state(&self, idx: PolicyIdx) -> Option<&PolicyState> {
        self.policies.get(idx.index())?.as_deref()
    }

    /// Works on one policy, then looks at everything that follows from it.
    pub(super) fn with<R>(
        &mut self,
        idx: PolicyIdx,
        now: Now,
        out: &mut Vec<Action>,
        f: impl FnOnce(&mut PolicyState, &mut Cx) -> R,
    ) -> Option<R> {
        let p = self.policies.get_mut(idx.index())?.as_mut()?;
        let mut cx = Cx { now, shared: &mut self.shared, out, entry: JournalEntry::default() };
        let result = f(p, &mut cx);
        if let Some(wake) = p.wake.take() {
            self.timers.remove(&(wake, idx));
        }
        p.evaluate(&mut cx);
        if let Some(wake) = p.wake {
            self.timers.insert((wake, idx));
        }
        Some(result)
    }

    /// The same with every policy, in their order.
    pub(super) fn with_all(&mut self, now: Now, out: &mut Vec<Action>, mut f: impl FnMut(&mut PolicyState, &mut Cx)) {
        let all: Vec<PolicyIdx> = self.states().map(|(idx, _)| idx).collect();
        for idx in all {
            self.with(idx, now, out, &mut f);
        }
    }

    /// After every event: what is due, whether we see, and the API's turn.
    fn finish(&mut self, now: Now, out: &mut Vec<Action>) {
        self.judge_sight(now, out);
        while let Some((at, idx)) = self.timers.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.timers.remove(&(at, idx));
            self.with(idx, now, out, |_, _| ());
        }
        self.freeze_fleet(now, out);
        self.witness_round(now, out);
        self.retry_store(now, out);
        self.answer_overdue(now, out);
        self.resolve_zones(now);
        self.look_up_delegations(now, out);
        self.pump(now, out);
    }

    fn judge_sight(&mut self, now: Now, out: &mut Vec<Action>) {
        match self.shared.sight.judge(now.mono) {
            Some(true) => {
                let why = self.shared.sight.blind.clone().unwrap_or_default();
                let next = "no automatic move is made; probing goes on; it clears by itself";
                let notice = (NoticeKind::Blind, Severity::Critical, "this controller may be blind", next);
                self.journal(now, out, TransitionKind::Blind, why, Some(notice), None);
            }
            Some(false) => {
                let notice = (
                    NoticeKind::Sighted,
                    Severity::Info,
                    "this controller sees again",
                    "automatic moves are possible again",
                );
                self.journal(
                    now,
                    out,
                    TransitionKind::Sighted,
                    "this controller sees again".into(),
                    Some(notice),
                    None,
                );
                self.with_all(now, out, |p, _| p.health.iter_mut().for_each(|h| h.seen_anew(now.mono)));
            }
            None => {}
        }
    }

    /// Journals something that concerns the whole fleet.
    pub(super) fn journal(
        &mut self,
        now: Now,
        out: &mut Vec<Action>,
        kind: TransitionKind,
        text: String,
        notice: Option<(NoticeKind, Severity, &str, &str)>,
        undo: Option<String>,
    ) {
        let mut entry = JournalEntry::default();
        if let Some((kind, severity, title, next)) = notice {
            self.shared.notices += 1;
            let to: BTreeSet<_> = self.states().flat_map(|(_, p)| p.policy.notify.iter().cloned()).collect();
            entry.notices.push(Notice {
                id: format!("{}-n{}", self.shared.run_id, self.shared.notices),
                kind,
                severity,
                at: now.wall,
                cluster: self.shared.settings.cluster.clone(),
                instance: self.shared.settings.instance.clone(),
                policy: None,
                incident: None,
                observe: self.shared.mode == Mode::Observe,
                title: format!("{}/{}: {title}", self.shared.settings.cluster, self.shared.settings.instance),
                why: vec![text.clone()],
                moved: None,
                timeline: Vec::new(),
                next: vec![next.into()],
                undo,
                to: to.into_iter().collect(),
            });
        }
        entry.transitions.push(Transition { at: now.wall, policy: None, incident: None, kind, text });
        self.shared.seq += 1;
        out.push(Action::Persist { seq: self.shared.seq, entry });
    }

    fn witness_round(&mut self, now: Now, out: &mut Vec<Action>) {
        let doubt = self.states().any(|(_, p)| needs_sight(p, &self.shared));
        if self.shared.sight.round_due(doubt).is_some_and(|at| at <= now.mono) {
            self.shared.sight.round_started(now.mono);
            out.push(Action::WitnessRound);
        }
    }

    fn persist(&mut self, out: &mut Vec<Action>, entry: JournalEntry) -> u64 {
        let seq = self.shared.on_its_way(&entry);
        out.push(Action::Persist { seq, entry });
        seq
    }
}

/// Feeds one event; appends what is to be done. Cannot fail.
pub fn step(fleet: &mut Fleet, now: Now, event: Event, out: &mut Vec<Action>) {
    match event {
        Event::Outcomes(batch) => {
            let mut batch = batch;
            batch.sort_by_key(|probed| probed.policy);
            for of_one in batch.chunk_by(|a, b| a.policy == b.policy) {
                fleet.outcomes(now, out, of_one);
            }
        }
        Event::Witnessed(batch) => {
            for witnessed in &batch {
                fleet.shared.sight.witnessed(witnessed);
            }
            let asking: Vec<PolicyIdx> =
                fleet.states().filter(|(_, p)| needs_sight(p, &fleet.shared)).map(|(idx, _)| idx).collect();
            fleet.judge_sight(now, out);
            for idx in asking {
                fleet.with(idx, now, out, |_, _| ());
            }
        }
        Event::ZoneResolved { zone, result } => fleet.zone_resolved(now, out, zone, result),
        Event::Read { policy, record, result, calls } => {
            fleet.shared.bucket.charge(calls.saturating_sub(2), now.mono);
            let gone = matches!(&result, Err(error) if error.kind == ApiErrorKind::NoSuchZone);
            fleet.with(policy, now, out, |p, cx| p.read(cx, record, result));
            if let Some(zone) = fleet.zone_idx(policy).filter(|_| gone) {
                fleet.zone_gone(now, out, zone);
            }
        }
        Event::Persisted { seq } => fleet.persisted(now, out, seq),
        Event::StoreFailed { seq, error } => fleet.store_failed(now, out, seq, error),
        Event::Answered { batch, answer } => {
            let zone = (0u32..).map(ZoneIdx).zip(&fleet.shared.zones).find(|(_, z)| z.in_flight == Some(batch));
            let zone = zone.map(|(idx, _)| idx);
            fleet.answered(now, out, batch, &answer);
            if let (Some(zone), WriteAnswer::Refused { code: RefusedCode::NoSuchZone, .. }) = (zone, &answer) {
                fleet.zone_gone(now, out, zone);
            }
        }
        Event::Synced { intent, result } => fleet.synced(now, out, &intent, &result),
        Event::Observed { policy, answers } => {
            fleet.with(policy, now, out, |p, cx| p.observed(cx, &answers));
        }
        Event::Answers { policy, asked, answers } => {
            fleet.with(policy, now, out, |p, cx| verify::answers(p, cx, asked, &answers));
        }
        Event::ByName { policy, probe, .. } => {
            fleet.with(policy, now, out, |p, cx| verify::by_name(p, cx, &probe));
        }
        Event::Window { policy, open } => {
            fleet.with(policy, now, out, |p, _| p.window_open = open || p.policy.failback.window.is_none());
        }
        Event::Command { id, command } => fleet.command(now, out, id, &command),
        Event::Delegated { zone, servers } => fleet.delegated(now, out, zone, servers),
        Event::RehearsalDue { since } => fleet.rehearsal_due(now, out, since),
        Event::Wake => {}
        Event::Stopping => fleet.with_all(now, out, planned::stopping),
    }
    fleet.finish(now, out);
}

impl Fleet {
    /// Counts the outcomes of one policy, then looks at it once. Outcomes that change nothing are
    /// counted without looking at the rest of the policy.
    fn outcomes(&mut self, now: Now, out: &mut Vec<Action>, batch: &[Probed]) {
        let Some(idx) = batch.first().map(|p| p.policy) else { return };
        let Some(p) = self.policies.get_mut(idx.index()).and_then(Option::as_mut) else { return };
        let steady = |t| p.health_of(t).is_some_and(|h| h.is_settled() && h.state() == Health::Up);
        let quiet = !p.fast && batch.iter().all(|o| o.outcome == Outcome::Up && steady(o.target));
        if quiet {
            let mut cx = Cx { now, shared: &mut self.shared, out, entry: JournalEntry::default() };
            batch.iter().for_each(|probed| p.outcome(&mut cx, probed));
        } else {
            self.with(idx, now, out, |p, cx| batch.iter().for_each(|probed| p.outcome(cx, probed)));
        }
    }
}

/// When `Event::Wake` is due; `None`: nothing is waiting for time.
pub fn next_deadline(fleet: &Fleet) -> Option<Tick> {
    let shared = &fleet.shared;
    let policies = fleet.timers.first().map(|(at, _)| *at);
    let doubt = fleet.states().any(|(_, p)| needs_sight(p, shared));
    let sight = shared.sight.round_due(doubt);
    let zones = zones::next_deadline(shared);
    let replies = fleet.replies.iter().map(|held| held.until).min();
    let store = fleet.store_retry.filter(|_| shared.store_broken.is_some());
    let calls = shared
        .calls
        .first_key_value()
        .and_then(|(_, pending)| fleet.call_of(pending))
        .map(|(_, cost)| ready_at(shared, cost));
    let mut held = None;
    let writes = fleet.states().filter_map(|(idx, p)| {
        let at = p.write.as_ref()?.ready_at()?;
        // A zone that is not known takes no write; finding it is an event of its own.
        let free = |z: &ZoneState| z.in_flight.is_none() && z.info.is_some();
        if !shared.zones.get(p.zone.index()).is_some_and(free) {
            return None;
        }
        let looked_at = Now { mono: shared.bucket.filled_at(), ..Now::default() };
        let held = held.get_or_insert_with(|| fleet.held_by_wave(looked_at));
        let at = shared.zones.get(p.zone.index()).map_or(at, |z| at.max(z.not_before));
        Some(held.get(&idx).map_or(at, |until| at.max(*until)).max(ready_at(shared, 1)))
    });
    [policies, sight, zones, store, replies, calls, writes.min()].into_iter().flatten().min()
}

fn ready_at(shared: &Shared, cost: u32) -> Tick {
    shared.bucket.ready_at(cost, shared.bucket.filled_at())
}

/// Why and why not, of one policy; `None` for a number not in force.
pub fn report(fleet: &Fleet, policy: PolicyIdx, now: Now) -> Option<Report> {
    fleet.state(policy).map(|p| why::report(p, &fleet.shared, now))
}
