//! The life of one write: recorded → queued → sent → accepted, refused or lost (ARCHITECTURE.md, the fence).
//!
//! The intent is durable before the request leaves. A lost reply is resolved by reading the
//! fence; when the old value still stands it is burnt, so that the lost request can never apply.

mod answer;
mod asked;

use std::time::Duration;

use crate::domain::{Members, Tick};
use crate::seeded::{Bug, seeded};

use super::batch::Weight;
use super::fence::{FenceValue, next_epoch};
use super::guard::{At, refusals};
use super::intent::{Intent, IntentOutcome, Kind};
use super::journal::{SeenFence, TransitionKind};
use super::notice::{NoticeKind, Severity};
use super::own::{Claim, grounds};
use super::plan::Plan;
use super::planned;
use super::rehearse;
use super::report::{MovePhase, Rule};
use super::select::Want;
use super::state::{Cx, PolicyState, Shared, Urgency, Words};
use super::verify::Settling;
use super::zone::Change;

pub(super) use answer::{About, answered, busy_wait};

/// A decision without renewal is never sent after this (invariant I6).
pub(super) const DECISION_LIFE: Duration = Duration::from_secs(30);
/// Why a rollback is not sent after all.
pub(super) const NO_LONGER_CONTRADICTED: &str = "what spoke against the move is gone";
pub(super) const BLIND_MEANWHILE: &str =
    "this controller was blind meanwhile, and nothing speaks against the move since";
/// A rollback that only a broken store holds back is looked at again after this.
const STORE_PATIENCE: Duration = Duration::from_secs(1);
/// A `force` waits for the store no longer than this; its attempt in the fence is the intent (I11).
const FORCE_PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct Writing {
    pub intent: Intent,
    /// `None` for an intent of an earlier run, which is only resolved.
    pub plan: Option<Plan>,
    pub phase: Phase,
    pub from: Option<Members>,
    pub to: Option<Members>,
    pub decided: Tick,
    /// Last time fresh evidence repeated the decision.
    renewed: Tick,
    /// First counted failure to decision.
    pub confirmed: Option<Duration>,
    /// Why it must not be sent any more.
    cancelled: Option<String>,
    tries: u32,
    /// First transient refusal of this request.
    refused_since: Option<Tick>,
    told: bool,
    /// Last given to the network; of an earlier run's intent: when this run took it over.
    pub sent: Option<Tick>,
    /// When its answer was given up. A process may have been paused between giving and signing.
    given_up: Option<Tick>,
    /// Why it was decided; of a person's write: by whom and why.
    why: String,
    /// Asked for by a person; no freeze holds it back.
    by_hand: bool,
    /// The fleet's brakes have counted it.
    counted: bool,
    /// Most writes that may ride in one request with it; halved when a refusal names nobody.
    cap: usize,
}

pub(super) enum Phase {
    Recording { seq: u64 },
    Queued { not_before: Tick },
    Sent,
    Resolving { read_at: Tick },
    BurnQueued { plan: Box<Plan>, not_before: Tick },
    BurnSent { plan: Box<Plan> },
}

impl Writing {
    pub fn is_resolving(&self) -> bool {
        matches!(self.phase, Phase::Resolving { .. } | Phase::BurnQueued { .. } | Phase::BurnSent { .. })
    }

    /// What it takes of a request's room.
    pub fn weight(&self) -> Weight {
        self.plan_to_send().map(|plan| Weight::of(&plan.changes())).unwrap_or_default()
    }

    /// Lower goes first in its zone; rehearsals last.
    pub fn turn(&self, importance: i32) -> i32 {
        if self.intent.kind == Kind::Rehearse { i32::MAX } else { importance.saturating_neg() }
    }

    pub fn cap(&self) -> usize {
        self.cap
    }

    /// Whether a refusal's message names one of its sets.
    pub fn is_named_in(&self, message: &str) -> bool {
        let plan = match &self.phase {
            Phase::BurnSent { plan } => Some(&**plan),
            _ => self.plan.as_ref(),
        };
        plan.is_some_and(|plan| super::batch::names(message, plan))
    }

    fn plan_to_send(&self) -> Option<&Plan> {
        match &self.phase {
            Phase::BurnQueued { plan, .. } => Some(plan),
            _ => self.plan.as_ref(),
        }
    }

    /// No signature of it is younger. An earlier run signed at the latest just before this one
    /// began: a decision may be renewed for long.
    pub fn signed_before(&self) -> Option<Tick> {
        self.given_up.or(self.sent)
    }

    /// A person asked for it.
    pub fn set_by_hand(&mut self) {
        self.by_hand = true;
    }

    /// Who asked for it and why; `None` when no person did.
    pub fn asked_by(&self) -> Option<&str> {
        Some(self.why.as_str()).filter(|_| self.by_hand)
    }

    /// Decided by the engine, and it changes what is published.
    pub fn is_automatic(&self) -> bool {
        self.intent.kind.publishes() && !self.by_hand
    }

    /// Nothing of it can be at the provider yet.
    pub fn is_unsent(&self) -> bool {
        matches!(self.phase, Phase::Recording { .. } | Phase::Queued { .. })
    }

    /// An intent an earlier run left open.
    pub fn restored(p: &PolicyState, intent: Intent, now: Tick) -> Writing {
        Writing {
            from: p.members_named(&intent.from),
            to: p.members_named(&intent.to),
            intent,
            plan: None,
            phase: Phase::Resolving { read_at: now },
            decided: now,
            renewed: now,
            confirmed: None,
            cancelled: None,
            tries: 0,
            refused_since: None,
            told: false,
            sent: Some(now),
            given_up: None,
            why: String::new(),
            by_hand: false,
            counted: false,
            cap: usize::MAX,
        }
    }

    pub fn report_phase(&self) -> MovePhase {
        match self.phase {
            Phase::Recording { .. } => MovePhase::Recording,
            Phase::Queued { .. } => MovePhase::Queued,
            Phase::Sent => MovePhase::Sent,
            Phase::Resolving { .. } | Phase::BurnQueued { .. } | Phase::BurnSent { .. } => MovePhase::Resolving,
        }
    }

    /// When it wants the zone's turn; `None` while it does not.
    pub fn ready_at(&self) -> Option<Tick> {
        match &self.phase {
            Phase::Queued { not_before } | Phase::BurnQueued { not_before, .. } => Some(*not_before),
            _ => None,
        }
    }

    /// A failover that was not sent yet.
    pub fn is_first_try_of_a_failover(&self) -> bool {
        matches!(self.intent.kind, Kind::Failover | Kind::Trim)
            && self.tries == 0
            && matches!(self.phase, Phase::Queued { .. })
    }

    pub fn is_burn(&self) -> bool {
        matches!(self.phase, Phase::BurnQueued { .. })
    }

    /// When `tick` has something to do.
    pub fn wake(&self) -> Option<Tick> {
        match &self.phase {
            Phase::Queued { not_before } => Some((*not_before).min(self.renewed + DECISION_LIFE)),
            Phase::Resolving { read_at } => Some(*read_at),
            Phase::BurnQueued { not_before, .. } => Some(*not_before),
            Phase::Recording { .. } if self.intent.kind == Kind::Force => Some(self.decided + FORCE_PATIENCE),
            Phase::Recording { .. } | Phase::Sent | Phase::BurnSent { .. } => None,
        }
    }
}

/// Records the intent of a write. `to` is `None` for a fence-only write. Returns why it cannot be.
pub(super) fn start(
    p: &mut PolicyState,
    cx: &mut Cx,
    kind: Kind,
    to: Option<Members>,
    why: &str,
) -> Result<(), String> {
    start_on(p, cx, kind, Claim::of(kind), to, why)
}

/// The same, on fences that `claim` allows to replace.
pub(super) fn start_on(
    p: &mut PolicyState,
    cx: &mut Cx,
    kind: Kind,
    claim: Claim,
    to: Option<Members>,
    why: &str,
) -> Result<(), String> {
    rehearse::give_way(p, cx, "another write goes first");
    if p.write.is_some() {
        return Err("another write of this policy has no outcome yet".into());
    }
    let epoch = next_epoch(p.known_epoch, &p.live.fences);
    let id = cx.next_attempt();
    let grounds = grounds(p, cx, kind, claim, epoch, &id.0, to.as_ref())?;
    let plan = match to.clone() {
        Some(to) => Plan::publish(kind, &p.policy, to, epoch, grounds),
        None => Plan::fence_only(kind, &p.policy, epoch, grounds),
    }
    .ok_or("the plan does not fit the policy")?;
    let from = p.published().cloned();
    let names = |members: &Option<Members>| members.as_ref().map(|m| p.policy.names(m)).unwrap_or_default();
    let intent = Intent {
        id,
        policy: p.policy.id.clone(),
        kind,
        epoch,
        from: names(&from),
        to: names(&to),
        before: plan.fences().map(|(before, _)| before.cloned()).collect(),
        after: plan.fences().map(|(_, after)| after.encode()).collect(),
        decided_at: cx.now.wall,
        signed_at: None,
        change_id: None,
        outcome: seeded(Bug::CommitBeforeSend).then_some(IntentOutcome::Committed),
    };
    if kind.is_automatic_move() {
        p.open_incident(cx);
    }
    let arrow = match (&from, &to) {
        (Some(from), Some(to)) => format!(" from {} to {}", p.names_text(from), p.names_text(to)),
        (None, Some(to)) => format!(" to {}", p.names_text(to)),
        _ => String::new(),
    };
    p.journal(cx, TransitionKind::Decided, format!("{kind}{arrow}, epoch {epoch}: {why}"));
    p.record_intent(cx, &intent);
    let confirmed =
        p.doubt.as_ref().filter(|_| matches!(kind, Kind::Failover | Kind::Trim)).map(|d| cx.now.mono.since(d.since));
    let seq = p.commit(cx).unwrap_or(0);
    cx.shared.waiting.insert(seq, p.idx);
    p.write = Some(Writing {
        intent,
        plan: Some(plan),
        phase: match seeded(Bug::SentBeforeDurable) {
            true => Phase::Queued { not_before: cx.now.mono },
            false => Phase::Recording { seq },
        },
        from,
        to,
        decided: cx.now.mono,
        renewed: cx.now.mono,
        confirmed,
        cancelled: None,
        tries: 0,
        refused_since: None,
        told: false,
        sent: None,
        given_up: None,
        why: why.to_owned(),
        by_hand: false,
        counted: false,
        cap: usize::MAX,
    });
    Ok(())
}

/// The journal entry `seq` is on disk.
pub(super) fn persisted(p: &mut PolicyState, cx: &mut Cx, seq: u64) {
    let Some(write) = &mut p.write else { return };
    if !matches!(write.phase, Phase::Recording { seq: mine } if mine == seq) {
        return;
    }
    write.phase = Phase::Queued { not_before: cx.now.mono };
    if let Some(why) = write.cancelled.clone() {
        drop_unsent(p, cx, &why);
    }
}

/// The intent could not be made durable: it never existed. A person's `force` goes on without, its
/// attempt in the fence is the intent (invariant I11).
pub(super) fn not_persisted(p: &mut PolicyState, cx: &mut Cx, seq: u64) {
    let Some(write) = &mut p.write else { return };
    if !matches!(write.phase, Phase::Recording { seq: mine } if mine == seq) {
        return;
    }
    if write.intent.kind == Kind::Force && write.cancelled.is_none() {
        write.phase = Phase::Queued { not_before: cx.now.mono };
        return;
    }
    let why = write.cancelled.clone().unwrap_or_else(|| "the state could not be written".to_owned());
    if let Some(mut write) = p.write.take() {
        write.intent.outcome = Some(IntentOutcome::NotSent { why });
        if write.intent.kind == Kind::Rollback {
            not_made(p, cx, &write);
        }
        rehearse::closed(p, cx, &write.intent, None);
        planned::not_written(p, cx, &write.intent);
        p.hand_failed(&write.intent);
    }
}

/// Fresh evidence repeats the decision in flight, or a fresh success of its destination does.
pub(super) fn renew(p: &mut PolicyState, now: Tick) {
    if let Some(write) = &mut p.write {
        write.renewed = now;
    }
}

/// Time passed: a decision that nothing asks for any more dies before it is sent.
pub(super) fn tick(p: &mut PolicyState, cx: &mut Cx) {
    if p.write.is_none() && !p.open_intents.is_empty() {
        let intent = p.open_intents.remove(0);
        p.write = Some(Writing::restored(p, intent, cx.now.mono));
    }
    let Some(write) = &p.write else { return };
    if let Phase::Resolving { read_at } = write.phase
        && read_at <= cx.now.mono
        && !p.live.is_reading()
    {
        p.read_now(cx, Urgency::FenceRead);
    }
    if let Some(write) = &mut p.write
        && write.intent.kind == Kind::Force
        && matches!(write.phase, Phase::Recording { .. })
        && cx.now.mono.since(write.decided) >= FORCE_PATIENCE
    {
        // A store that does not even fail holds break-glass back no longer than this.
        write.phase = Phase::Queued { not_before: cx.now.mono };
    }
    let Some(write) = &p.write else { return };
    if !write.is_unsent() || write.cancelled.is_some() || !write.intent.kind.publishes() {
        return;
    }
    let kind = write.intent.kind;
    if let Some(why) = asked::given_up(p, cx, write) {
        // These rest on the reading alone: decided again only on a new one.
        if matches!(kind, Kind::Adopt | Kind::Repair) {
            p.live.stale = true;
            p.live.reconcile_due = p.live.reconcile_due.min(cx.now.mono);
        }
        drop_unsent(p, cx, &why);
    }
}

/// Gives up a write that has not been sent.
pub(super) fn drop_unsent(p: &mut PolicyState, cx: &mut Cx, why: &str) {
    let Some(write) = &mut p.write else { return };
    match write.phase {
        // Its row is on its way to the disk; the outcome follows when it has arrived.
        Phase::Recording { .. } => write.cancelled = Some(why.to_owned()),
        Phase::Queued { .. } => {
            let kind = write.intent.kind;
            p.journal(cx, TransitionKind::Dropped, format!("{kind} not sent: {why}"));
            close(p, cx, IntentOutcome::NotSent { why: why.to_owned() });
        }
        _ => {}
    }
}

/// The zone is free and the budget allows one write: asked again, just before the wire.
/// `None`: it is not to be sent after all.
pub(super) fn send(p: &mut PolicyState, cx: &mut Cx) -> Option<(Vec<Change>, String)> {
    let write = p.write.as_ref()?;
    if let Phase::BurnQueued { .. } = write.phase {
        return super::resolve::send_burn(p);
    }
    if !matches!(write.phase, Phase::Queued { .. }) {
        return None;
    }
    let plan = write.plan.as_ref()?;
    let kind = write.intent.kind;
    let stale = plan.fences().zip(&p.live.fences).any(|((before, _), fence)| before != fence.standing());
    let mut waits = false;
    let why = if stale {
        Some("somebody else wrote the fence meanwhile".to_owned())
    } else if write.is_automatic() && !seeded(Bug::DeadlineNotRechecked) {
        let want = Want { kind, to: plan.to().cloned() };
        let mut found = refusals(p, cx.shared, cx.now.mono, &want, At::Wire);
        // A rollback is asked for by the contradiction, not by a doubt about the active target.
        found.retain(|r| kind != Kind::Rollback || !matches!(r.rule, Rule::NoSight));
        // Nothing decides it again; the disk may be about to work.
        waits = kind == Kind::Rollback && !found.is_empty() && found.iter().all(|r| r.rule == Rule::StoreFailed);
        found.into_iter().next().map(|r| r.text)
    } else {
        None
    };
    if let Some(why) = why {
        match &mut p.write {
            Some(write) if waits => write.phase = Phase::Queued { not_before: cx.now.mono + STORE_PATIENCE },
            _ => drop_unsent(p, cx, &why),
        }
        return None;
    }
    let changes = plan.changes();
    let comment = format!("failoverd {} {} epoch {}", p.policy.id, kind, plan.epoch());
    // Sent before, it is counted already.
    if matches!(kind, Kind::Failover | Kind::Failback | Kind::Trim | Kind::Fill)
        && write.is_automatic()
        && !write.counted
    {
        let from = p.active().and_then(|a| p.region_of(a));
        let Shared { evacuation, sight, settings, .. } = &mut *cx.shared;
        evacuation.record(p, &write.intent.id, from, sight, &settings.guard, cx.now.mono);
    }
    if let Some(write) = &mut p.write {
        write.counted = true;
        write.phase = Phase::Sent;
        write.sent = Some(cx.now.mono);
        write.given_up = None;
        write.intent.signed_at = Some(cx.now.wall);
    }
    p.live.taint();
    Some((changes, comment))
}

/// Ours stands in the zone. Without a change id the sync state cannot be followed.
pub(super) fn accepted(p: &mut PolicyState, cx: &mut Cx, change_id: Option<String>, is_read: bool) {
    let Some(mut write) = p.write.take() else { return };
    let now = cx.now.mono;
    write.intent.change_id.clone_from(&change_id);
    p.known_epoch = p.known_epoch.max(write.intent.epoch);
    p.fenced.extend(p.policy.records.iter().cloned());
    let written = write.intent.after.first().and_then(|text| FenceValue::parse(text).ok());
    p.seen = written.as_ref().map(SeenFence::of).or(p.seen.take());
    p.write_trouble = None;
    p.precondition_failures = 0;
    if write.plan.is_none() && matches!(write.intent.kind, Kind::Failover | Kind::Failback | Kind::Trim | Kind::Fill) {
        // An earlier run sent it, and died before the fleet's brakes could keep it.
        let from = write.from.as_ref().and_then(|from| p.region_of(from.iter().next()?));
        let Shared { evacuation, sight, settings, .. } = &mut *cx.shared;
        evacuation.record(p, &write.intent.id, from, sight, &settings.guard, now);
    }
    p.left = cx.shared.evacuation.left(&write.intent.id, cx.now).or(p.left.take());
    // A reading that shows the attempt may show, too, what somebody did since.
    if let Some(plan) = write.plan.as_ref().filter(|_| !is_read) {
        p.live.written(&p.policy, plan, &cx.shared.settings.cluster);
    }
    let kind = write.intent.kind;
    if kind == Kind::Trim {
        let count = |m: Option<&Members>| m.map_or(0, Members::count);
        let smaller = count(write.to.as_ref()) < count(write.from.as_ref());
        p.brakes.count_trim(now, smaller);
    } else if kind == Kind::Fill {
        p.brakes.count_fill(now);
    } else if kind.is_counted_move() {
        p.brakes.count_move(now, now);
        p.brakes.hold_down_until = Some(now + p.policy.failover.hold_down);
        p.brakes.peer_until = None;
        p.brakes.peer_since = None;
        p.brakes.lock_again(cx.now);
        p.brakes.failback_blocked |= kind == Kind::Rollback;
    }
    if kind == Kind::Repair {
        p.brakes.count_repair(now);
    }
    p.brakes.forced |= kind == Kind::Force;
    if kind == Kind::Switch {
        planned::written(p, cx, write.from.as_ref(), write.to.as_ref());
    }
    if kind.publishes() {
        p.doubt = None;
        p.proof = None;
        p.refused = None;
        if kind != Kind::Adopt {
            cx.shared.moved += 1;
        }
        cx.shared.rolled_back += u32::from(kind == Kind::Rollback);
    }
    let took = write.sent.map(|s| format!(" in {}", crate::domain::time::human(now.since(s)))).unwrap_or_default();
    p.journal(cx, TransitionKind::Applied, format!("{kind}, epoch {}: accepted{took}", write.intent.epoch));
    if let Some(value) = written {
        p.hand_written(cx, kind, value.mode);
    }
    p.record_intent(cx, &write.intent);
    Settling::begin(p, cx, write, change_id);
}

/// Gives the intent its one outcome.
pub(super) fn close(p: &mut PolicyState, cx: &mut Cx, outcome: IntentOutcome) {
    if let Some(mut write) = p.write.take() {
        cx.shared.evacuation.withdraw(&write.intent.id);
        write.intent.outcome = Some(outcome);
        p.record_intent(cx, &write.intent);
        p.dirty = true;
        // Another's write replaced its fence, and what it was to publish is published: it may have stood before.
        let lost = matches!(write.intent.outcome, Some(IntentOutcome::Lost { .. }));
        let stands = lost && write.to.is_some() && write.to.as_ref() == p.published();
        if stands && write.intent.kind == Kind::Switch {
            planned::written(p, cx, write.from.as_ref(), write.to.as_ref());
        } else {
            planned::not_written(p, cx, &write.intent);
        }
        p.hand_failed(&write.intent);
        rehearse::closed(p, cx, &write.intent, None);
        let was_asked = matches!(write.intent.kind, Kind::Switch | Kind::Force);
        match write.intent.kind {
            Kind::Rollback | Kind::Switch if stands => overwritten(p, cx, &write),
            Kind::Rollback => not_made(p, cx, &write),
            _ if was_asked && write.plan.is_none() && !stands => not_made(p, cx, &write),
            _ => {}
        }
    }
}

/// It is published, and nothing proves it any more.
fn overwritten(p: &mut PolicyState, cx: &mut Cx, write: &Writing) {
    p.brakes.unverified = true;
    p.brakes.called = Some(cx.now);
    let (kind, id) = (write.intent.kind, &p.policy.id);
    let next = vec![format!("nothing of it was proven: look yourself, then `failoverd ack {id}`")];
    let words = Words { why: vec![planned::why_not(&write.intent)], next, ..Words::default() };
    let title = format!("{id}: the {kind} stands, under another write's fence");
    p.tell(cx, NoticeKind::MoveUnverified, Severity::Warning, title, words);
}

/// It was announced, or a person asked an earlier run for it, and nothing decides it again.
fn not_made(p: &mut PolicyState, cx: &mut Cx, write: &Writing) {
    let (kind, id) = (write.intent.kind, &p.policy.id);
    let why = planned::why_not(&write.intent);
    let (severity, next, undo) = match kind {
        Kind::Rollback if why == NO_LONGER_CONTRADICTED || why == BLIND_MEANWHILE => {
            let next = format!("the move stands; automatic failback is off until `failoverd ack {id}`");
            (Severity::Critical, next, None)
        }
        Kind::Rollback => {
            let undo = format!("failoverd adopt {id} --to TARGET");
            (Severity::Critical, "the record stays as it is; a person is needed".to_owned(), Some(undo))
        }
        _ => (Severity::Warning, "type it again if it is still wanted".to_owned(), None),
    };
    let when = if write.plan.is_none() { " begun before a restart" } else { "" };
    let (title, next) = match write.intent.outcome {
        Some(IntentOutcome::Lost { .. }) => {
            let title = format!("{id}: another write stands where the {kind}{when} was to");
            (title, "look at what stands now".to_owned())
        }
        _ => (format!("{id}: the {kind}{when} was not made"), next),
    };
    let words = Words { why: vec![why], next: vec![next], undo, moved: None };
    p.tell(cx, NoticeKind::Refused, severity, title, words);
}
