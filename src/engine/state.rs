//! What the engine remembers: of the fleet (`Shared`), of one zone and of one policy.
//! Plain state with small helpers; the rules are in the rooms beside.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::time::human;
use crate::domain::{
    Epoch, FleetSettings, Health, Members, Now, Policy, PolicyIdx, RecordName, RegionName, TargetIdx, TargetName, Tick,
    UnixMs, ZoneId, ZoneRef,
};
use crate::seeded::{Bug, seeded};

use super::action::{Action, BatchId};
use super::brake::Brakes;
use super::budget::TokenBucket;
use super::evacuation::Evacuation;
use super::fleet::Mode;
use super::hand::Hand;
use super::health::TargetHealth;
use super::intent::{Intent, IntentId};
use super::journal::{
    DrainSnapshot, IncidentId, JournalEntry, LeftSnapshot, RehearsalSnapshot, SeenFence, Transition, TransitionKind,
};
use super::live::Live;
use super::notice::{Moved, Notice, NoticeKind, Place, Severity, TimelineEntry};
use super::planned::Planned;
use super::rehearse::Rehearsals;
use super::report::{MoveReport, Obstacle, Rule};
use super::sight::Sight;
use super::switch::Writing;
use super::verify::Settling;
use super::zone::{ApiErrorKind, ZoneInfo};

pub(super) struct Shared {
    pub settings: FleetSettings,
    pub mode: Mode,
    pub run_id: String,
    /// Attempts made by this process.
    pub attempts: u64,
    /// Journal entries made by this process.
    pub seq: u64,
    pub bucket: TokenBucket,
    /// Questions to name servers: at most 20 a second over all names (ARCHITECTURE.md, decision 4).
    pub questions: TokenBucket,
    /// Questions of proofs: a dead region's policies share what one machine and its servers can bear.
    pub proofs: TokenBucket,
    pub calls: BTreeMap<(Urgency, u64), Pending>,
    pub zones: Vec<ZoneState>,
    pub sight: Sight,
    pub evacuation: Evacuation,
    /// Why the whole fleet is to be frozen; taken by the fleet after the step.
    pub freeze_all: Option<String>,
    /// A freeze or unfreeze of every policy is being carried out: it is told once for all of them.
    pub hush: bool,
    /// Requests in flight and whose intents ride in each.
    pub batches: BTreeMap<BatchId, Vec<(PolicyIdx, IntentId)>>,
    /// Questions about a change in flight: whose intent asked, and which change.
    pub following: BTreeMap<IntentId, String>,
    /// Entries whose commit opens a door.
    pub waiting: BTreeMap<u64, PolicyIdx>,
    /// The store refused an entry; cleared by the next commit.
    pub store_broken: Option<String>,
    /// Intents in entries on their way to the disk, by entry, and those of entries that were refused:
    /// they go there with the next commit, or a restart would resolve anew what was told already.
    pub unsaved: BTreeMap<u64, Vec<Intent>>,
    pub missed: BTreeMap<IntentId, Intent>,
    pub notices: u64,
    pub moved: u32,
    pub rolled_back: u32,
    /// Policies in force.
    pub policies: u32,
}

/// Who goes first at the API budget, after writes (ARCHITECTURE.md, the fence).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    FenceRead,
    Zone,
    GetChange,
    Reconcile,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pending {
    Resolve(crate::domain::ZoneIdx),
    Read { policy: PolicyIdx, record: u32 },
    GetChange { policy: PolicyIdx, intent: IntentId },
}

pub(super) struct ZoneState {
    pub zone_ref: ZoneRef,
    pub info: Option<ZoneInfo>,
    /// A resolution is queued or in flight.
    pub resolving: bool,
    pub next_try: Tick,
    pub tries: u32,
    pub trouble: Option<Trouble>,
    /// The one write in flight; ends at the HTTP answer.
    pub in_flight: Option<BatchId>,
    /// Throttled, or behind an earlier change: nothing is written before this, so that what was to go
    /// first still does.
    pub not_before: Tick,
    /// What this zone was known as before the provider knew it no more.
    pub lost: Option<ZoneInfo>,
    pub delegation: Delegation,
}

/// Whether the world asks the servers that the zone is served by.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Delegation {
    /// When it is looked up next; `None`: as soon as the zone is known.
    pub due: Option<Tick>,
    /// What is wrong, as last told.
    pub trouble: Option<Obstacle>,
    /// The world was asked and the question is over.
    pub looked: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trouble {
    pub kind: ApiErrorKind,
    pub message: String,
    pub since: Tick,
    pub told: bool,
}

pub(super) struct PolicyState {
    pub idx: PolicyIdx,
    pub zone: crate::domain::ZoneIdx,
    pub policy: Policy,
    pub health: Vec<TargetHealth>,
    /// When each target entered its present state.
    pub since: Vec<UnixMs>,
    pub fast: bool,
    pub live: Live,
    pub doubt: Option<Doubt>,
    /// Successes count as proof of a destination from here on.
    pub proof: Option<Tick>,
    pub incident: Option<Incident>,
    pub brakes: Brakes,
    pub write: Option<Writing>,
    /// Left open by earlier runs; resolved one after the other before anything is decided.
    pub open_intents: Vec<Intent>,
    pub settling: Vec<Settling>,
    pub refused: Option<Refused>,
    /// Destination last announced by an observing process.
    pub would: Option<Members>,
    pub window_open: bool,
    pub last_move: Option<MoveReport>,
    pub write_trouble: Option<WriteTrouble>,
    pub trouble: Option<Trouble>,
    /// Targets whose going down was told.
    pub told_down: BTreeSet<TargetIdx>,
    /// Targets that were down already in the last run, and since when.
    pub long_down: Vec<Option<UnixMs>>,
    /// Targets that failed already when the last run was last heard of, and since when.
    pub failed_before: Vec<Option<UnixMs>>,
    /// Fingerprint of each target.
    pub prints: Vec<String>,
    /// Since when each target fails, as the fleet's sight was told.
    pub told_failing: Vec<Option<Tick>>,
    pub dirty: bool,
    pub known_epoch: Epoch,
    /// Records whose fence was ours at some time.
    pub fenced: BTreeSet<RecordName>,
    /// The last fence we wrote or adopted.
    pub seen: Option<SeenFence>,
    /// A move a person planned, until it is written.
    pub planned: Option<Planned>,
    /// What a person asked for and no fence says yet.
    pub hands: Vec<Hand>,
    /// Refusals by precondition in a row.
    pub precondition_failures: u32,
    pub wake: Option<Tick>,
    /// Targets a person keeps empty.
    pub drained: Vec<DrainSnapshot>,
    /// What stands in the way in the zone, as last rehearsed.
    pub obstacles: Vec<Obstacle>,
    /// Which zone was read, and what was told about its delegation.
    pub zone_id: Option<ZoneId>,
    pub told_delegation: Option<Obstacle>,
    pub rehearsal: Option<RehearsalSnapshot>,
    pub rehearsals: Rehearsals,
    /// From where the last automatic move led away.
    pub left: Option<LeftSnapshot>,
}

/// From the first counted failure of the active target until it is judged or calm again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Doubt {
    pub target: TargetIdx,
    pub since: Tick,
    pub since_wall: UnixMs,
}

pub(super) struct Incident {
    pub id: IncidentId,
    pub timeline: Vec<TimelineEntry>,
}

/// The refusal that stands, for "say it once".
pub(super) struct Refused {
    pub rule: Rule,
    pub since: Tick,
    pub journalled: bool,
    /// A failover was refused; an optional move otherwise.
    pub failover: bool,
    /// How long other reasons stood before this one that a person should hear of; and those that one heard of.
    stood: Duration,
    told: Vec<Rule>,
}

impl Refused {
    pub fn new(rule: Rule, failover: bool, now: Tick) -> Refused {
        Refused { rule, since: now, journalled: false, failover, stood: Duration::ZERO, told: Vec::new() }
    }

    /// The same is wanted, and now this is the reason against it. Reasons that take turns keep nobody from being told.
    pub fn turn(&mut self, rule: Rule, now: Tick) {
        if self.rule != rule {
            if is_paged(self.rule) {
                self.stood += now.since(self.since);
            }
            (self.rule, self.since, self.journalled) = (rule, now, false);
        }
    }

    /// When a person hears of it, if it is to stand for `patience` first; `None`: heard of already, or told elsewhere.
    /// `least`: how long this very reason is to stand.
    pub fn page_at(&self, patience: Duration, least: Duration) -> Option<Tick> {
        let due = self.failover && is_paged(self.rule) && !self.told.contains(&self.rule);
        // The first page only is due for what all reasons together took.
        let before = if self.told.is_empty() { self.stood } else { Duration::ZERO };
        due.then(|| self.since + patience.saturating_sub(before).max(least))
    }

    pub fn paged(&mut self) {
        self.told.push(self.rule);
    }
}

/// Blindness and refused writes have pages of their own; a write of ours on its way needs none.
fn is_paged(rule: Rule) -> bool {
    !matches!(rule, Rule::Blind | Rule::WriteRefused | Rule::MoveInFlight | Rule::IntentOpen)
}

/// A definite refusal of a write that only a person can cure.
#[derive(Clone)]
pub(super) struct WriteTrouble {
    pub message: String,
    pub next_try: Tick,
    pub tries: u32,
}

/// One step over one policy: what it may read, change and emit.
pub(super) struct Cx<'a> {
    pub now: Now,
    pub shared: &'a mut Shared,
    pub out: &'a mut Vec<Action>,
    pub entry: JournalEntry,
}

impl Shared {
    /// The number of an entry that goes to the disk now. What it says of an intent is newer than what was missed.
    pub fn on_its_way(&mut self, entry: &JournalEntry) -> u64 {
        self.seq += 1;
        for intent in &entry.intents {
            self.missed.remove(&intent.id);
        }
        if !entry.intents.is_empty() {
            self.unsaved.insert(self.seq, entry.intents.clone());
        }
        self.seq
    }
}

impl Cx<'_> {
    /// Emits what was journalled since the last flush as one transaction.
    pub fn flush(&mut self) -> Option<u64> {
        let mut entry = std::mem::take(&mut self.entry);
        if entry == JournalEntry::default() {
            return None;
        }
        if seeded(Bug::NoticeBeforeOutcome) && !entry.notices.is_empty() {
            let notices = std::mem::take(&mut entry.notices);
            self.persist(JournalEntry { notices, ..JournalEntry::default() });
        }
        let late = if seeded(Bug::OutboxAfterCommit) { std::mem::take(&mut entry.notices) } else { Vec::new() };
        let seq = self.persist(entry);
        if !late.is_empty() {
            self.persist(JournalEntry { notices: late, ..JournalEntry::default() });
        }
        Some(seq)
    }

    fn persist(&mut self, entry: JournalEntry) -> u64 {
        let seq = self.shared.on_its_way(&entry);
        self.out.push(Action::Persist { seq, entry });
        seq
    }

    pub fn ask(&mut self, urgency: Urgency, pending: Pending) {
        self.shared.seq += 1;
        // The newest change of a zone first: when it is in sync, so are those before it.
        let n = if urgency == Urgency::GetChange { u64::MAX - self.shared.seq } else { self.shared.seq };
        self.shared.calls.insert((urgency, n), pending);
    }

    pub fn next_attempt(&mut self) -> IntentId {
        self.shared.attempts += u64::from(!seeded(Bug::AttemptReused));
        IntentId(format!("{}-{}", self.shared.run_id, self.shared.attempts))
    }
}

/// What a notice says beside its title.
#[derive(Default)]
pub(super) struct Words {
    pub why: Vec<String>,
    pub moved: Option<Moved>,
    pub next: Vec<String>,
    pub undo: Option<String>,
}

impl PolicyState {
    /// What the live record publishes.
    pub fn published(&self) -> Option<&Members> {
        self.live.members()
    }

    pub fn is_published(&self, target: TargetIdx) -> bool {
        self.published().is_some_and(|members| members.contains(target))
    }

    /// The published target that matters most now: down before failing before fine. With one
    /// answer it is the active target.
    pub fn active(&self) -> Option<TargetIdx> {
        let weight = |idx: &TargetIdx| match self.health_of(*idx) {
            Some(h) if h.state() == Health::Down => 0,
            Some(h) if h.failures() > 0 => 1,
            Some(h) if h.state() == Health::Unknown => 2,
            _ => 3,
        };
        self.published()?.iter().min_by_key(weight)
    }

    /// `a, b`: the names of `members`.
    pub fn names_text(&self, members: &Members) -> String {
        super::live::names_text(&self.policy, members)
    }

    pub fn is_down(&self, target: TargetIdx) -> bool {
        self.health_of(target).is_some_and(|h| h.state() == Health::Down)
    }

    /// Not down: neither judged so in this run, nor in the last one and not judged since.
    pub fn may_live(&self, target: TargetIdx) -> bool {
        let was_down = self.long_down.get(target.index()).copied().flatten().is_some();
        self.health_of(target).is_none_or(|h| match h.state() {
            Health::Up => true,
            Health::Unknown => !was_down,
            Health::Down => false,
        })
    }

    /// The person's mark that keeps `target` empty.
    pub fn drain_of(&self, target: TargetIdx) -> Option<&DrainSnapshot> {
        let name = &self.policy.target(target)?.name;
        self.drained.iter().find(|d| d.target == *name)
    }

    /// The zone would refuse a move to `target`, as its last rehearsal found.
    pub fn is_blocked(&self, target: TargetIdx) -> bool {
        self.policy.target(target).is_none() || self.obstacle_to(target).is_some()
    }

    /// What the zone would refuse a move to `target` for.
    pub fn obstacle_to(&self, target: TargetIdx) -> Option<&Obstacle> {
        let name = &self.policy.target(target)?.name;
        self.obstacles.iter().find(|o| o.blocks.contains(name))
    }

    pub fn place(&self, members: &Members) -> Option<Place> {
        let targets: Vec<_> = members.iter().filter_map(|idx| self.policy.target(idx)).collect();
        Some(Place {
            targets: targets.iter().map(|t| t.name.clone()).collect(),
            regions: targets.iter().map(|t| t.region.clone()).collect(),
            content: self.policy.content(members)?,
        })
    }

    pub fn health_of(&self, target: TargetIdx) -> Option<&TargetHealth> {
        self.health.get(target.index())
    }

    pub fn name_of(&self, target: TargetIdx) -> &str {
        self.policy.target(target).map_or("?", |t| t.name.as_str())
    }

    pub fn region_of(&self, target: TargetIdx) -> Option<&RegionName> {
        self.policy.target(target).map(|t| &t.region)
    }

    /// Time a destination's fresh evidence stays fresh; also how long a refusal stands before a person is told.
    pub fn evidence_age(&self) -> Duration {
        self.policy.targets.iter().map(|t| t.check.evidence_age()).max().unwrap_or_default()
    }

    pub fn fast_interval(&self) -> Duration {
        self.policy.targets.iter().map(|t| t.check.fast_interval).min().unwrap_or(Duration::from_secs(1))
    }

    /// A write of this process without an outcome.
    pub fn is_under_way(&self, intent: &IntentId) -> bool {
        let settling = self.settling.iter().map(|s| &s.intent);
        self.write.iter().map(|w| &w.intent).chain(settling).any(|i| i.id == *intent && i.outcome.is_none())
    }

    /// A move is being written or proven.
    pub fn is_moving(&self) -> bool {
        self.write.as_ref().is_some_and(|w| w.intent.kind.publishes())
            || self.settling.iter().any(Settling::is_unjudged_move)
    }

    pub fn open_incident(&mut self, cx: &Cx) {
        if self.incident.is_none() {
            let id = super::ids::incident_id(&cx.shared.settings.cluster, &self.policy.id, self.known_epoch);
            self.incident = Some(Incident { id, timeline: Vec::new() });
        }
    }

    /// Journals a change of state; it becomes a log line and a line of the incident's timeline.
    pub fn journal(&mut self, cx: &mut Cx, kind: TransitionKind, text: impl Into<String>) {
        let text = text.into();
        if let Some(incident) = &mut self.incident
            && incident.timeline.len() < 40
        {
            incident.timeline.push(TimelineEntry { at: cx.now.wall, text: text.clone() });
        }
        cx.entry.transitions.push(Transition {
            at: cx.now.wall,
            policy: Some(self.policy.id.clone()),
            incident: self.incident.as_ref().map(|i| i.id.clone()),
            kind,
            text,
        });
        self.dirty = true;
    }

    pub fn tell(&mut self, cx: &mut Cx, kind: NoticeKind, severity: Severity, title: impl Into<String>, words: Words) {
        if cx.shared.hush && matches!(kind, NoticeKind::Frozen | NoticeKind::Unfrozen) {
            return;
        }
        cx.shared.notices += 1;
        cx.entry.notices.push(Notice {
            id: format!("{}-n{}", cx.shared.run_id, cx.shared.notices),
            kind,
            severity,
            at: cx.now.wall,
            cluster: cx.shared.settings.cluster.clone(),
            instance: cx.shared.settings.instance.clone(),
            policy: Some(self.policy.id.clone()),
            incident: self.incident.as_ref().map(|i| i.id.clone()),
            observe: cx.shared.mode == Mode::Observe,
            title: title.into(),
            why: words.why,
            moved: words.moved,
            timeline: self.incident.as_ref().map(|i| i.timeline.clone()).unwrap_or_default(),
            next: words.next,
            undo: words.undo,
            to: self.policy.notify.clone(),
        });
    }

    /// The targets by number; `None` when one is not configured (any more).
    pub fn members_named(&self, names: &[TargetName]) -> Option<Members> {
        let found: Option<Vec<TargetIdx>> = names.iter().map(|name| self.policy.target_named(name.as_str())).collect();
        found.and_then(Members::new)
    }

    pub fn record_intent(&mut self, cx: &mut Cx, intent: &Intent) {
        cx.entry.intents.retain(|i| i.id != intent.id);
        cx.entry.intents.push(intent.clone());
    }

    /// A fence of ours stood at this record: that it is not there any more is somebody's doing.
    pub fn had_fence(&self, record: &RecordName) -> bool {
        self.known_epoch.0 > 0 && self.fenced.contains(record)
    }

    /// One line of evidence for a target: `us-east-1 down: connection refused, 3 of 3 failures in 8s`.
    pub fn evidence(&self, target: TargetIdx, now: Now) -> String {
        let (Some(t), Some(h)) = (self.policy.target(target), self.health_of(target)) else { return String::new() };
        let last = match h.last() {
            None => "not probed yet".to_owned(),
            Some(last) => last.outcome.to_string(),
        };
        if h.failures() > 0 {
            let over = h.failing_since().map_or(Duration::ZERO, |since| now.mono.since(since));
            let state = if h.state() == Health::Down { "down" } else { "in doubt" };
            let plural = if h.failures() == 1 { "" } else { "s" };
            return format!(
                "{} {state}: {last}, {} failure{plural} (fall {}) over {}",
                t.name,
                h.failures(),
                t.check.fall,
                human(over)
            );
        }
        let healthy = h.healthy_for(now.mono).map(|d| format!(" for {}", human(d))).unwrap_or_default();
        let plural = if h.successes() == 1 { "" } else { "es" };
        let text = format!(
            "{} {}{healthy}: {} straight success{plural} (rise {})",
            t.name,
            h.state(),
            h.successes(),
            t.check.rise
        );
        if h.is_failing_now() { format!("{text}, last probe: {last}") } else { text }
    }

    pub fn all_evidence(&self, now: Now) -> Vec<String> {
        self.policy.indices().map(|t| self.evidence(t, now)).collect()
    }

    pub fn records_text(&self) -> String {
        let names: Vec<&str> = self.policy.records.iter().map(RecordName::as_str).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_is_due_for_what_all_reasons_took_and_each_later_one_for_its_own() {
        let at = |secs: u64| Tick(1000 * secs);
        let (patience, least) = (Duration::from_secs(60), Duration::from_secs(2));
        let mut refused = Refused::new(Rule::Frozen, true, at(0));
        refused.turn(Rule::Blind, at(50));
        assert_eq!(refused.page_at(patience, least), None, "blindness has a page of its own");
        refused.turn(Rule::HoldDown, at(80));
        assert_eq!(refused.page_at(patience, least), Some(at(90)), "50 s are over, and blindness counts for nothing");
        refused.turn(Rule::FlapBudget, at(89));
        assert_eq!(refused.page_at(patience, least), Some(at(91)), "59 s are over; a reason of this moment is no page");
        refused.paged();
        assert_eq!(refused.page_at(patience, least), None, "heard of");
        refused.turn(Rule::Locked, at(100));
        assert_eq!(refused.page_at(patience, least), Some(at(160)), "a reason of its own, and no hurry");
        refused.turn(Rule::FlapBudget, at(170));
        assert_eq!(refused.page_at(patience, least), None, "heard of before");
        assert_eq!(Refused::new(Rule::Frozen, false, at(0)).page_at(patience, least), None, "no failover waits");
    }
}
