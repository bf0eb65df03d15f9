//! What the fence tells us: a peer's epoch and brakes are taken over as if they were ours, and a
//! fence that cannot be used is named, once, with what to type. Never writes.

use std::time::Duration;

use crate::domain::{Epoch, Members, Now, RecordName, Tick};
use crate::seeded::{Bug, seeded};

use super::fence::{FENCE_TTL, Fence, FenceKind, FenceMode, FenceValue};
use super::hand::Asked;
use super::health::TargetHealth;
use super::intent::{IntentId, Kind};
use super::journal::{FreezeSnapshot, TransitionKind};
use super::live::members_named;
use super::notice::{NoticeKind, Severity};
use super::own::{adopt_command, cure};
use super::select::tier_of;
use super::state::{Cx, PolicyState, Shared, Words};
use super::verify;

const HOUR: Duration = Duration::from_secs(3600);
/// How far a clock that is kept right may have moved within an hour.
const SLEW: Duration = Duration::from_secs(5);

/// What was wrong with the fences before a reading, for "say it once".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FenceSaid {
    trouble: Option<String>,
    ttl: Option<String>,
}

/// What the reading before this one showed.
pub(super) struct Seen {
    pub members: Option<Members>,
    /// `None`: there was none.
    pub at: Option<Tick>,
    /// A fence of ours said frozen.
    pub frozen: bool,
}

impl PolicyState {
    /// Another instance of our cluster wrote the fence (or an earlier run of this one whose disk
    /// is lost): its epoch and brakes are taken over as if they were ours.
    pub(super) fn adopt_peer(&mut self, cx: &mut Cx, seen: Seen) {
        let before = seen.members;
        let cluster = &cx.shared.settings.cluster;
        let fences = self.policy.records.iter().zip(&self.live.fences);
        self.fenced.extend(fences.filter(|(_, f)| f.of_cluster(cluster).is_some()).map(|(name, _)| name.clone()));
        let newest = self.live.fences.iter().filter_map(|f| f.of_cluster(cluster)).max_by_key(|v| v.epoch).cloned();
        if newest.is_none() && self.asked(&Asked::Unfreeze).is_none() {
            // Whoever makes a spoiled fence good must not lift what it says.
            self.frozen_through_the_fence();
        }
        let Some(value) = newest.filter(|v| self.seen_attempt.as_deref() != Some(v.attempt.as_str())) else { return };
        if self.write.as_ref().is_some_and(|w| w.intent.id.0 == value.attempt) {
            return;
        }
        let first = self.seen_attempt.is_none();
        self.seen_attempt = Some(value.attempt.clone());
        // A race lost to another instance is no refusal by the provider.
        self.precondition_failures = 0;
        let is_peer = value.instance != cx.shared.settings.instance;
        let news = value.epoch > self.known_epoch;
        let (was_locked, mut moved) = (self.brakes.locked.is_some(), false);
        if value.epoch >= self.known_epoch {
            // Also at an epoch that is known: what the zone lost may have made room for an old request.
            let after = seen.at.filter(|_| !first);
            // Every freeze is written as one, also where the fence says frozen already; another write of who
            // froze may carry it before. Before the first reading of a run, and where writes between were not seen,
            // nobody here saw what was lifted; nor under a peer's burn, which may stand on one of ours.
            let skipped = value.epoch > self.known_epoch.next();
            let burnt = is_peer && value.kind == FenceKind::Known(Kind::Burn);
            let unseen = if seen.at.is_none() { news && is_peer } else { !seen.frozen || skipped || burnt };
            let froze = value.mode == FenceMode::Frozen && unseen;
            let newer_hand = froze || news && matches!(value.kind, FenceKind::Known(Kind::Freeze | Kind::Force));
            self.overtake_unfreeze(cx, &value, newer_hand);
            moved = self.take_brakes(cx, &value, is_peer, news, before.as_ref().filter(|_| !first), after);
            self.take_direction(&value, before.as_ref().filter(|_| !first), news);
        } else if self.asked(&Asked::Ack).is_none() && !seeded(Bug::BrakesPerProcess) {
            // A zone rolled back outside our control, or a fence begun anew by an instance that knew nothing:
            // who may move the record is known better here, but the moves it counts were made.
            self.take_moves(cx.now, &value);
            moved = value.kind.is_counted_move();
            if moved && seen.at.is_some() {
                // When it was applied nobody knows but that it was after the reading before.
                let until = cx.now.mono + self.policy.failover.hold_down;
                self.brakes.hold_down_until = self.brakes.hold_down_until.max(Some(until));
            }
        }
        if value.epoch < self.known_epoch && value.mode == FenceMode::Frozen && seen.at.is_some() {
            // Who froze it knew of no higher epoch, and was not seen before.
            self.overtake_unfreeze(cx, &value, !seen.frozen || value.kind == FenceKind::Known(Kind::Freeze));
        }
        // The first reading of a run may show what the last one knew: each restart would put the next move off.
        if was_locked && moved && (news || seen.at.is_some()) {
            self.brakes.lock_again(cx.now);
        }
        self.known_epoch = self.known_epoch.max(value.epoch);
        self.dirty = true;
        verify::overtaken(self, cx, &value);
        if !is_peer || !news || first {
            return;
        }
        let who = format!("{}/{}", value.cluster, value.instance);
        if matches!(value.kind, FenceKind::Known(kind) if kind.is_automatic_move() && kind != Kind::Rollback) {
            let to = members_named(&self.policy, &value.to);
            let left = before.iter().flat_map(Members::iter).find(|i| to.as_ref().is_none_or(|to| !to.contains(*i)));
            let Shared { evacuation, sight, settings, .. } = &mut *cx.shared;
            let from = left.and_then(|i| self.region_of(i));
            let write = IntentId(value.attempt.clone());
            evacuation.record(self, &write, from, sight, &settings.guard, cx.now.mono);
            self.left = evacuation.left(&write, cx.now);
        }
        if value.kind.moves_the_record() {
            let from = before.map(|m| self.names_text(&m)).unwrap_or_default();
            let text = format!("{who} made a {} from {from} to {}, epoch {}", value.kind, value.to, value.epoch);
            self.journal(cx, TransitionKind::PeerMoved, text);
        }
        if value.mode == FenceMode::Released {
            let text = format!("{who} released the record, epoch {}", value.epoch);
            self.journal(cx, TransitionKind::Released, text.clone());
            let next = vec!["nothing is written here until a person adopts it; probing goes on".to_owned()];
            let words = Words { why: vec![text], next, undo: Some(adopt_command(self, false)), moved: None };
            let title = format!("{}: released", self.policy.id);
            self.tell(cx, NoticeKind::Released, Severity::Warning, title, words);
        }
    }

    /// A hand younger than the unfreeze we still have to write wins; an older one is written over.
    fn overtake_unfreeze(&mut self, cx: &mut Cx, value: &FenceValue, newer: bool) {
        if newer && self.asked(&Asked::Unfreeze).is_some() {
            self.hands.retain(|h| h.what != Asked::Unfreeze);
            let text = format!("the unfreeze was overtaken by a new {} by {}", value.kind, value.instance);
            self.journal(cx, TransitionKind::Frozen, text);
        }
    }

    /// `after`: written after this, whatever the writer's clock says. Returns whether an automatic move is told of.
    fn take_brakes(
        &mut self,
        cx: &mut Cx,
        value: &FenceValue,
        is_peer: bool,
        news: bool,
        before: Option<&Members>,
        after: Option<Tick>,
    ) -> bool {
        let now = cx.now;
        let age = now.wall.since(value.written);
        let at = (now.mono - age).max(after.unwrap_or_default());
        // A request may have lain in the network: when it was applied nobody knows but that it was before
        // now, so its hold-down begins now.
        let ended = if after.is_some() { now.mono } else { at };
        let acking = self.asked(&Asked::Ack).is_some();
        // A move and a write after it, both since the last reading: the record tells of the first. A trim or
        // fill stays in its tier.
        let to = members_named(&self.policy, &value.to);
        let elsewhere = |before: &Members| match (&to, &value.kind) {
            (Some(to), FenceKind::Known(Kind::Trim | Kind::Fill)) => tier_of(self, to) != tier_of(self, before),
            (Some(to), kind) => !kind.moves_the_record() && to != before,
            (None, _) => false,
        };
        let moved_unseen = news && before.is_some_and(elsewhere);
        // There and back again: only the moves its writer counts tell of it.
        let unseen =
            if self.known_epoch == Epoch(0) { 0 } else { value.epoch.0.saturating_sub(self.known_epoch.0 + 1) };
        let returned = news && !acking && unseen > 0 && value.moves > self.brakes.moves_last_hour(now.mono);
        // What was counted more than an hour before counts no more.
        if now.wall.since(value.written) < HOUR && !seeded(Bug::BrakesPerProcess) {
            // Its writer may know of fewer moves than are counted here, or of others: this one is one more, and
            // so may be each that came in between, unseen.
            let others = unseen.min(value.moves.saturating_sub(1).into());
            if news && (value.kind.is_counted_move() || moved_unseen) {
                (0..=others).for_each(|_| self.brakes.count_move(at, now.mono));
            } else if is_peer && value.kind.is_counted_move() {
                // At an epoch that is known: made in the place of one that the zone lost, which was in force too.
                let since = self.brakes.last_move().is_none_or(|last| last + SLEW < at);
                (since || after.is_some()).then(|| self.brakes.count_move(at, now.mono));
            }
            // What an ack forgets that no fence says yet is what was known when it was typed.
            if !acking {
                self.brakes.at_least(value.moves, at, now.mono);
            }
        }
        match value.kind {
            FenceKind::Known(Kind::Trim) if news => {
                let (from, to) =
                    (before.map(Members::count), members_named(&self.policy, &value.to).map(|m| m.count()));
                self.brakes.count_trim(at, to.is_none() || to < from || from.is_none());
            }
            FenceKind::Known(Kind::Fill) if news => self.brakes.count_fill(at),
            _ => {}
        }
        let starts_hold_down = |kind: Kind| kind.is_counted_move() || matches!(kind, Kind::Switch | Kind::Force);
        let moved_unseen = moved_unseen || returned;
        let is_held = matches!(value.kind, FenceKind::Known(kind) if starts_hold_down(kind)) || moved_unseen;
        if is_held && !seeded(Bug::BrakesPerProcess) {
            let hold_down = self.policy.failover.hold_down;
            let until = ended + hold_down;
            self.brakes.hold_down_until = self.brakes.hold_down_until.max((until > now.mono).then_some(until));
            if is_peer {
                let peer_until = Some(ended + hold_down * 2).filter(|until| *until > now.mono);
                self.brakes.peer_until = self.brakes.peer_until.max(peer_until);
                self.brakes.peer_since = Some(at);
                // To reverse it takes failures that began after it; a target down all along must fail anew.
                self.health.iter_mut().for_each(TargetHealth::count_failures_anew);
            }
        }
        let fresh = |kind: Kind| news && value.kind == FenceKind::Known(kind);
        // The zone lost our write, and who wrote next never saw it: the epoch is ours, or nothing automatic was
        // free to follow it.
        let is_ours = |s: &verify::Settling| s.intent.epoch == value.epoch && s.intent.id.0 != value.attempt;
        let follows = value.epoch <= self.known_epoch.next();
        let forked = match value.kind {
            FenceKind::Known(Kind::Burn) => false,
            FenceKind::Known(kind) if kind.is_automatic_move() && follows => true,
            _ => self.settling.iter().any(is_ours),
        };
        // Whoever lifted a freeze could not know of one that no fence carries yet.
        let lifts = !self.brakes.freeze_is_news && !forked;
        if fresh(Kind::Unfreeze) && lifts && self.brakes.frozen.is_some() {
            cx.shared.evacuation.forget();
            self.left = None;
        }
        let unfreezing = self.asked(&Asked::Unfreeze).is_some();
        match value.mode {
            FenceMode::Frozen if !unfreezing => self.frozen_through_the_fence(),
            FenceMode::Forced => self.brakes.forced = !unfreezing,
            FenceMode::Auto | FenceMode::Locked => {
                self.brakes.forced = false;
                if lifts {
                    self.brakes.frozen = None;
                }
            }
            FenceMode::Frozen | FenceMode::Released => {}
        }
        match value.mode {
            FenceMode::Locked if !acking => {
                self.brakes.lock(now);
                self.brakes.lock_is_news = false;
                if is_peer && fresh(Kind::Lock) {
                    self.brakes.lock_anew(now);
                }
            }
            // A lock-out that the fence does not carry yet outlives any write but a person's ack.
            FenceMode::Auto if !self.brakes.lock_is_news || fresh(Kind::Ack) => {
                self.brakes.locked = None;
                self.brakes.lock_is_news = false;
            }
            _ => {}
        }
        match value.kind {
            // Written after a reading that is younger than the call, or by the clocks.
            FenceKind::Known(Kind::Ack)
                if self.brakes.called.is_some_and(|c| after.is_none_or(|at| at < c.mono) && value.written < c.wall) => {
            }
            FenceKind::Known(Kind::Ack) => {
                self.brakes.failback_blocked = false;
                self.brakes.unverified = false;
            }
            FenceKind::Known(Kind::Rollback) => self.brakes.failback_blocked = true,
            // An instance that had no reason to hold it back any more.
            FenceKind::Known(Kind::Failback) if news && is_peer => self.brakes.failback_blocked = false,
            _ => {}
        }
        !seeded(Bug::BrakesPerProcess) && (value.kind.is_counted_move() || moved_unseen)
    }

    /// A freeze that a fence of ours carries holds here too.
    pub(super) fn frozen_through_the_fence(&mut self) {
        let frozen = |f: &Fence| f.ours().map(|(v, _)| v).filter(|v| v.mode == FenceMode::Frozen).cloned();
        let spoiled = || self.live.fences.iter().find_map(Fence::frozen_in_damage);
        let Some(value) = self.live.fences.iter().find_map(frozen).or_else(spoiled) else { return };
        if self.brakes.frozen.is_none() && !seeded(Bug::FreezeOfPeerIgnored) {
            let by = format!("{}/{}", value.cluster, value.instance);
            let reason = "frozen through the fence".into();
            self.brakes.frozen = Some(FreezeSnapshot { since: value.written, by, reason, carried: true });
            self.dirty = true;
        }
    }

    /// A person's switchover to a worse tier is not undone by an automatic failback, to a better
    /// one it ends what held failback back.
    fn take_direction(&mut self, value: &FenceValue, before: Option<&Members>, news: bool) {
        if !news || value.kind != FenceKind::Known(Kind::Switch) {
            return;
        }
        let Some(to) = members_named(&self.policy, &value.to) else { return };
        let best = self.policy.targets.iter().map(|t| t.priority).min();
        let from = before.map(|m| tier_of(self, m)).or(best);
        self.turned(from, &to);
    }

    /// A person moved the record from tier `from` to `to`.
    pub(super) fn turned(&mut self, from: Option<i32>, to: &Members) {
        let to = tier_of(self, to);
        if from.is_some_and(|from| to > from) {
            self.brakes.failback_blocked = true;
        } else if from.is_some_and(|from| to < from) {
            self.brakes.failback_blocked = false;
        }
    }

    /// The moves another cluster counted are ours when we take its record over.
    pub(super) fn take_moves(&mut self, now: Now, value: &FenceValue) {
        let at = now.mono - now.wall.since(value.written);
        let is_move = value.kind.is_counted_move();
        if now.wall.since(value.written) < HOUR {
            if is_move && self.brakes.last_move().is_none_or(|last| last < at) {
                self.brakes.count_move(at, now.mono);
            }
            self.brakes.at_least(value.moves, at, now.mono);
        }
        if is_move {
            let until = at + self.policy.failover.hold_down;
            self.brakes.hold_down_until = self.brakes.hold_down_until.max((until > now.mono).then_some(until));
        }
    }

    pub(super) fn fence_said(&self) -> FenceSaid {
        let trouble = |(name, fence): (&RecordName, &Fence)| match fence {
            Fence::Foreign { value, .. } => {
                Some(format!("{name} belongs to {}/{} (policy {})", value.cluster, value.instance, value.policy))
            }
            Fence::Unusable { why, .. } => Some(format!("the fence of {name} cannot be used: {why}")),
            Fence::Absent if self.had_fence(name) => {
                Some(format!("the fence of {name} is gone although epoch {} was written", self.known_epoch))
            }
            _ => None,
        };
        let ttl = |(name, fence): (&RecordName, &Fence)| {
            let ttl = fence.ours().and_then(|(_, raw)| raw.ttl).filter(|ttl| *ttl != FENCE_TTL)?;
            Some(format!("the fence of {name} has TTL {ttl}, expected {FENCE_TTL}"))
        };
        let of = |text: &dyn Fn((&RecordName, &Fence)) -> Option<String>| {
            let found: Vec<String> = self.policy.records.iter().zip(&self.live.fences).filter_map(text).collect();
            (!found.is_empty()).then(|| found.join("; "))
        };
        FenceSaid { trouble: of(&trouble), ttl: of(&ttl) }
    }

    /// The next command to type about the first fence in trouble.
    fn fence_next(&self) -> Option<String> {
        self.live.fences.iter().find_map(|fence| match fence {
            Fence::Foreign { value, .. } => Some(format!(
                "it is only watched; let that cluster release it, or `failoverd takeover {} --from {}`",
                self.policy.id, value.cluster
            )),
            Fence::Unusable { damage, .. } => Some(cure(self, damage)),
            Fence::Absent => Some(format!("find out who deleted it, then `{}`", adopt_command(self, true))),
            Fence::Ours { .. } | Fence::Released { .. } => None,
        })
    }

    /// Tells what the reading changed about the fences, once.
    pub(super) fn tell_fence(&mut self, cx: &mut Cx, before: FenceSaid) {
        let id = self.policy.id.clone();
        let said = self.fence_said();
        if let Some(text) = said.ttl.clone().filter(|_| said.ttl != before.ttl) {
            self.journal(cx, TransitionKind::Drift, text.clone());
            let next = vec!["nothing waits for it; the next write restores it".to_owned()];
            let words = Words { why: vec![text], next, ..Words::default() };
            let title = format!("{id}: somebody changed the fence's TTL");
            self.tell(cx, NoticeKind::Drift, Severity::Warning, title, words);
        }
        if said.trouble == before.trouble {
            return;
        }
        match said.trouble {
            Some(text) => {
                self.journal(cx, TransitionKind::FenceTrouble, text.clone());
                let mut next = vec!["no automatic write is made for this policy".to_owned()];
                next.extend(self.fence_next());
                let words = Words { why: vec![text], next, ..Words::default() };
                let title = format!("{id}: the fence cannot be used");
                self.tell(cx, NoticeKind::FenceTrouble, Severity::Critical, title, words);
            }
            None => {
                self.journal(cx, TransitionKind::FenceFine, "the fence can be used again");
                let title = format!("{id}: the fence can be used again");
                self.tell(cx, NoticeKind::FenceFine, Severity::Info, title, Words::default());
            }
        }
    }
}
