//! The invariants of a write: when it is sent, by what its sender was told; when it is applied, by
//! what stood in the zone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use failoverd::domain::*;
use failoverd::engine::Mode;
use failoverd::engine::action::ApiCall;
use failoverd::engine::fence::{FenceKind, FenceMode, FenceValue, unquote};
use failoverd::engine::intent::{Intent, IntentId, Kind};
use failoverd::engine::zone::{Change, ChangeOp, LiveSet};

use super::check::{Checker, Earlier, Heard, Invariant, Seen, Stood, Verdict};
use super::instance::Instance;
use super::scene::Scene;
use super::troubles::sets_of;
use super::zone::{Zone, set_of};

/// Between a decision and the wire, on a machine that is not paused.
const SLACK: u64 = 100;
/// A decision is not sent later than this after the evidence that last repeated it (I6).
const DECISION_LIFE: u64 = 30_000;
const HOUR: u64 = 3_600_000;
/// From one move of a policy that is locked out to the next, at least.
const LOCKED_OUT: u64 = 300_000;

/// What stood at one record and its fence.
pub struct Before {
    policy: usize,
    record: usize,
    fence: Option<LiveSet>,
    sets: Vec<LiveSet>,
}

/// The fence values that a batch writes, by policy and record.
fn written(checker: &Checker, changes: &[Change]) -> BTreeMap<(usize, usize), FenceValue> {
    let mut found = BTreeMap::new();
    for change in changes.iter().filter(|c| c.op != ChangeOp::Delete && c.rtype == "TXT") {
        if let Some(at) = checker.fences.get(&change.name)
            && let Some(value) = set_of(change).values.first().and_then(|raw| read(raw))
        {
            found.insert(*at, value);
        }
    }
    found
}

fn read(raw: &str) -> Option<FenceValue> {
    FenceValue::parse(&unquote(raw)?).ok()
}

impl Checker {
    /// A call leaves instance `i`.
    pub fn called(&mut self, i: usize, one: &Instance, call: &ApiCall, scene: &Scene, now: u64) -> Verdict<()> {
        let cost = match call {
            ApiCall::ResolveZone { .. } | ApiCall::ReadRecord { .. } => 2,
            ApiCall::GetChange { .. } | ApiCall::Write { .. } => 1,
        };
        let calls = &mut self.seen[i].calls;
        while calls.front().is_some_and(|(at, _)| at + 1000 <= now) {
            calls.pop_front();
        }
        calls.push_back((now, cost));
        let sum: u32 = calls.iter().map(|(_, cost)| cost).sum();
        let budget = scene.settings.api;
        // A call that costs two may be begun with one in the bucket.
        if f64::from(sum) > f64::from(budget.burst) + budget.rate + 1.0 {
            return Err((Invariant::I8, format!("{sum} calls within a second")));
        }
        if let ApiCall::ReadRecord { policy, record, .. } = call
            && let Some(n) = self.seen[i].numbers.get(policy).copied()
        {
            self.seen[i].reading.insert((n, *record));
        }
        let ApiCall::Write { batch, changes, .. } = call else { return Ok(()) };
        let made = changes.iter().position(|c| c.op != ChangeOp::Delete);
        let deleted = changes.iter().rposition(|c| c.op == ChangeOp::Delete);
        if made.zip(deleted).is_some_and(|(made, deleted)| made < deleted) {
            return Err((Invariant::I1, "a set is made before the fences of the batch are deleted".into()));
        }
        if one.mode != Mode::Active {
            return Err((Invariant::I14, "an observing instance writes".into()));
        }
        let values = written(self, changes);
        let of: BTreeSet<usize> = values.keys().map(|(n, _)| *n).collect();
        self.seen[i].reading.retain(|(n, _)| !of.contains(n));
        self.seen[i].batches.insert(*batch, of);
        if let Some(alien) =
            changes.iter().map(|c| &c.name).find(|n| !self.records.contains_key(n) && !self.fences.contains_key(n))
        {
            return Err((Invariant::I2, format!("{alien} is written, which no policy names")));
        }
        for ((n, _), value) in values {
            self.sent(i, one, n, &value, now)?;
            self.says_what_it_writes(one, n, &value, changes)?;
        }
        Ok(())
    }

    /// The request holds the targets that its intent names, and nothing else (I2, I11).
    fn says_what_it_writes(&self, one: &Instance, n: usize, value: &FenceValue, changes: &[Change]) -> Verdict<()> {
        let policy = &self.policies[n];
        let Some(intent) = one.disk.intent(&IntentId(value.attempt.clone())) else { return Ok(()) };
        let members = Members::new(
            intent.to.iter().filter_map(|name| policy.indices().find(|t| policy.targets[t.index()].name == *name)),
        );
        let wanted = members.filter(|_| intent.kind.publishes()).map(|to| sets_of(policy, &to)).unwrap_or_default();
        let mine = |c: &&Change| policy.records.contains(&c.name) && c.op != ChangeOp::Delete;
        match changes.iter().filter(mine).map(set_of).find(|set| !wanted.contains(set)) {
            Some(set) => {
                Err((Invariant::I2, format!("{} {} writes {set:?}, wanted {wanted:?}", policy.id, intent.kind)))
            }
            None => Ok(()),
        }
    }

    fn sent(&mut self, i: usize, one: &Instance, n: usize, value: &FenceValue, now: u64) -> Verdict<()> {
        let FenceKind::Known(kind) = value.kind else {
            return Err((Invariant::I1, format!("an unknown kind is written: {}", value.kind)));
        };
        let seen = &self.seen[i];
        if kind == Kind::Burn {
            let forced = seen.open.values().any(|x| x.policy == value.policy && x.kind == Kind::Force);
            if !forced && !one.disk.open().any(|intent| intent.policy == value.policy) {
                return Err((Invariant::I11, format!("{}: a burn without an open intent", value.policy)));
            }
            return Ok(());
        }
        let Some(intent) = one.disk.intent(&IntentId(value.attempt.clone())) else {
            if kind == Kind::Force {
                return Ok(());
            }
            return Err((Invariant::I11, format!("{} {kind}: sent before its intent was durable", value.policy)));
        };
        if intent.outcome.is_some() {
            return Err((
                Invariant::I6,
                format!("{} {kind}: sent after its outcome {:?}", value.policy, intent.outcome),
            ));
        }
        if !kind.is_automatic_move() && !matches!(kind, Kind::Repair) {
            return Ok(());
        }
        if seen.frozen[n] && !seen.is_lifting(n) {
            return Err((Invariant::I12, format!("{} {kind}: sent although frozen by a person here", value.policy)));
        }
        self.sight(i, one, n, kind, intent, now)
    }

    /// Evidence for an automatic move, as this instance was told.
    fn sight(&self, i: usize, one: &Instance, n: usize, kind: Kind, intent: &Intent, now: u64) -> Verdict<()> {
        let seen = &self.seen[i];
        let policy = &self.policies[n];
        let mono = one.clocks(now).mono;
        let of = |names: &[TargetName]| -> BTreeSet<TargetIdx> {
            names.iter().filter_map(|name| policy.target_named(name.as_str())).collect()
        };
        let (from, to) = (of(&intent.from), of(&intent.to));
        if to.is_empty() {
            return Err((Invariant::I2, format!("{kind} to nothing")));
        }
        let leaving: Vec<TargetIdx> = from.difference(&to).copied().collect();
        let entering: Vec<TargetIdx> = to.difference(&from).copied().collect();
        let config = &one.policies[n];
        let log = |t: TargetIdx| &seen.probes[n][t.index()];

        for read in &seen.reads[n] {
            if let Some(read) = read
                && kind != Kind::Repair
                && !self.is_ours(n, &read.sets)
            {
                let text = format!("{kind} over a record that was read as foreign or absent: {:?}", read.sets);
                return Err((Invariant::I2, text));
            }
        }
        if kind == Kind::Repair && policy.failover.drift == Drift::Alert {
            return Err((Invariant::I12, format!("{}: a repair that is to be a person's", policy.id)));
        }
        if kind == Kind::Repair {
            return Ok(());
        }
        if kind == Kind::Rollback {
            return self.rollback(seen, n, &from, &to, mono, now);
        }
        if seen.is_blind {
            return Err((Invariant::I3, format!("{} {kind}: sent while it is blind", policy.id)));
        }
        let mut doubt = None;
        if matches!(kind, Kind::Failover | Kind::Trim) {
            let failing: Vec<(TargetIdx, Tick)> =
                leaving.iter().filter_map(|t| Some((*t, failed(log(*t), config, *t, seen.sees_since)?))).collect();
            let enough = if kind == Kind::Trim { failing.len() == leaving.len() } else { !failing.is_empty() };
            if !enough || leaving.is_empty() {
                let text = format!(
                    "{} {kind} {:?} -> {:?} without the configured failures: {}",
                    policy.id,
                    intent.from,
                    intent.to,
                    leaving.iter().map(|t| tail(log(*t))).collect::<Vec<_>>().join(" | ")
                );
                return Err((Invariant::I3, text));
            }
            let latest = leaving
                .iter()
                .filter_map(|t| log(*t).iter().rev().find(|h| h.up == Some(false)))
                .map(|h| h.ended)
                .max();
            if latest.is_none_or(|at| mono.since(at).as_millis() as u64 > DECISION_LIFE + SLACK) {
                return Err((Invariant::I6, format!("{kind}: its last failure is {latest:?}, now {mono:?}")));
            }
            doubt = failing.iter().map(|(_, first)| *first).min();
        }
        if let Some(doubt) = doubt {
            let good = seen.witnesses.iter().filter(|(at, last)| *last == Some(true) && *at >= Some(doubt)).count();
            if !seen.witnesses.is_empty() && good * 2 <= seen.witnesses.len() {
                let text = format!("{kind}: {good} of {} witnesses answered since {doubt:?}", seen.witnesses.len());
                return Err((Invariant::I3, text));
            }
            let region = |t: &TargetIdx| &policy.targets[t.index()].region;
            let tied = one
                .settings
                .witnesses
                .iter()
                .zip(&seen.witnesses)
                .filter(|(w, _)| w.region.as_ref().is_some_and(|tied| leaving.iter().any(|t| region(t) == tied)));
            if let Some((silent, _)) = tied.into_iter().find(|(_, (at, last))| *last != Some(true) || *at < Some(doubt))
            {
                let text = format!("{kind}: {}, tied to what is left, has not answered since {doubt:?}", silent.name);
                return Err((Invariant::I3, text));
            }
        }
        if matches!(kind, Kind::Failback | Kind::Fill) {
            self.in_order(i, one, n, kind, &entering, mono)?;
        }
        for t in entering {
            let check = &config.targets[t.index()].check;
            let ups: Vec<&Heard> =
                log(t).iter().rev().filter(|h| h.up.is_some()).take_while(|h| h.up == Some(true)).collect();
            let since = ups.iter().filter(|h| doubt.is_none_or(|d| h.started >= d)).count();
            let fresh = ups
                .first()
                .is_some_and(|h| mono.since(h.ended) <= check.evidence_age() + std::time::Duration::from_millis(SLACK));
            if since < check.rise as usize || !fresh {
                let text = format!(
                    "{} {kind} to {}: {since} successes since {doubt:?}, rise {}, fresh {fresh}, now {mono:?}: {}",
                    policy.id,
                    policy.targets[t.index()].name,
                    check.rise,
                    tail(log(t))
                );
                return Err((Invariant::I5, text));
            }
        }
        let standing = seen.reads[n].iter().flatten().flat_map(|r| &r.fence).filter_map(|f| read(f.values.first()?));
        let other = standing
            .filter(|v| {
                v.cluster == one.settings.cluster
                    && v.instance != one.settings.instance
                    && v.config != config.config_hash
            })
            .count();
        if matches!(kind, Kind::Failback | Kind::Fill) && other > 0 {
            return Err((
                Invariant::I13,
                format!("{kind} although the last epoch was written by another configuration"),
            ));
        }
        Ok(())
    }

    /// Only on a contradiction, never to a target that fails now (I10).
    fn rollback(
        &self,
        seen: &Seen,
        n: usize,
        from: &BTreeSet<TargetIdx>,
        to: &BTreeSet<TargetIdx>,
        mono: Tick,
        now: u64,
    ) -> Verdict<()> {
        let policy = &self.policies[n];
        for t in to {
            let last = seen.probes[n][t.index()].iter().rev().find(|h| h.up.is_some());
            if last.is_none_or(|h| h.up != Some(true)) {
                return Err((
                    Invariant::I10,
                    format!("a rollback to {}, whose last probe failed", policy.targets[t.index()].name),
                ));
            }
        }
        let fall = policy.targets[0].check.fall;
        let failing = from.iter().all(|t| {
            let Some(probes) = seen.by_name[n].get(t) else { return false };
            let seen_failing: Vec<Tick> = probes.failures.iter().copied().filter(|at| *at >= seen.sees_since).collect();
            let Some(first) = seen_failing.first() else { return false };
            let good = seen.witnesses.iter().filter(|(at, last)| *last == Some(true) && *at >= Some(*first)).count();
            seen_failing.len() >= fall as usize && (seen.witnesses.is_empty() || good * 2 > seen.witnesses.len())
        });
        let published: BTreeSet<IpAddr> =
            from.iter().filter_map(|t| policy.targets[t.index()].addresses()).flat_map(AddressSet::iter).collect();
        let differs = seen.asked[n].as_ref().is_some_and(|a| a.said.iter().flatten().any(|said| *said != published));
        let two_ttl = 2000 * u64::from(policy.ttl.secs());
        let settled = seen.insync[n].is_some_and(|at| now + SLACK >= at + two_ttl);
        if !(failing || differs && settled) {
            let text =
                format!("a rollback at {mono:?} that nothing contradicted: {:?} {:?}", seen.by_name[n], seen.asked[n]);
            return Err((Invariant::I10, text));
        }
        Ok(())
    }

    /// What stands at the records that a batch touches.
    pub fn before(&self, zone: &Zone, changes: &[Change]) -> Vec<Before> {
        let touched: BTreeSet<(usize, usize)> = changes
            .iter()
            .filter_map(|c| self.records.get(&c.name).or_else(|| self.fences.get(&c.name)))
            .copied()
            .collect();
        let of = |(policy, record): (usize, usize)| {
            let name = &self.policies[policy].records[record];
            let fence = failoverd::engine::fence::fence_name(name, &zone.name).unwrap();
            Before { policy, record, fence: zone.get(&fence, "TXT").cloned(), sets: zone.at(name) }
        };
        touched.into_iter().map(of).collect()
    }

    /// A batch was applied. How many automatic moves were in it.
    pub fn applied(
        &mut self,
        zone: &Zone,
        changes: &[Change],
        before: Vec<Before>,
        signed: u64,
        now: u64,
    ) -> Verdict<u64> {
        let values = written(self, changes);
        let mut moved = BTreeSet::new();
        for Before { policy: n, record, fence, sets } in before {
            let policy = &self.policies[n];
            let name = policy.records[record].clone();
            let Some(value) = values.get(&(n, record)) else {
                return Err((Invariant::I1, format!("{name} was written without its fence")));
            };
            let fence_at = failoverd::engine::fence::fence_name(&name, &zone.name).unwrap();
            let named = changes.iter().find(|c| c.op == ChangeOp::Delete && c.name == fence_at).map(set_of);
            if named != fence {
                return Err((Invariant::I1, format!("{name}: the write named {named:?}, there stood {fence:?}")));
            }
            let old = fence.as_ref().and_then(|f| read(f.values.first()?));
            let FenceKind::Known(kind) = value.kind else {
                return Err((Invariant::I1, format!("{name}: an unknown kind")));
            };
            let epoch = value.epoch.0;
            if let Some(old) = &old {
                // A burn of several records takes the highest epoch that stands.
                let grows = if kind == Kind::Burn { epoch >= old.epoch.0 } else { epoch > old.epoch.0 };
                if !grows {
                    return Err((Invariant::I1, format!("{name}: {kind} of epoch {epoch} after {}", old.epoch)));
                }
                if old.cluster != value.cluster && old.mode != FenceMode::Released && kind != Kind::Takeover {
                    return Err((Invariant::I2, format!("{name}: {kind} over the fence of {}", old.cluster)));
                }
            }
            let height = &mut self.heights[n][record];
            if epoch < *height || (epoch == *height && kind != Kind::Burn) {
                return Err((Invariant::I1, format!("{name}: epoch {epoch} after {height} was applied")));
            }
            *height = epoch;
            self.stood.insert(value.attempt.clone(), Stood { policy: n, signed });
            if let Some(word) = self.denied.get(&value.attempt)
                && self.tampered[n] < signed
            {
                return Err((
                    Invariant::I6,
                    format!("{name}: {kind} {} was told {word} and is applied", value.attempt),
                ));
            }
            self.freeze_is_kept(n, record, kind, old.as_ref(), value, signed)?;
            self.after(zone, n, record, kind, &sets)?;
            if old.as_ref().is_none_or(|old| old.mode != FenceMode::Locked) && value.mode == FenceMode::Locked {
                self.locked[n] = now;
            }
            if kind.publishes() {
                self.answered(n);
            }
            if kind.is_automatic_move() {
                self.locked_out(n, kind, old.as_ref())?;
                if let Some(old) = &old
                    && matches!(old.mode, FenceMode::Frozen | FenceMode::Forced | FenceMode::Released)
                {
                    return Err((
                        Invariant::I12,
                        format!("{name}: a {kind} over a fence that says {}", old.mode.as_str()),
                    ));
                }
                if moved.insert(n) {
                    self.brakes(n, kind, old.as_ref(), value, signed, now)?;
                }
            }
            let writer = ["a", "b", "c"].iter().position(|name| value.instance.as_str() == *name);
            for (i, seen) in self.seen.iter_mut().enumerate().filter(|_| kind.publishes()) {
                // Another's change says nothing of when ours became INSYNC, nor of what was answered since ours.
                // One that lands late in a zone that lost its own successor is no news to who wrote both.
                if writer == Some(i) && seen.own[n].is_none_or(|last| value.epoch > last) {
                    let (asked, by_name) = (seen.asked[n].take(), std::mem::take(&mut seen.by_name[n]));
                    if record == 0 {
                        seen.before[n] = Some(Earlier { epoch: value.epoch, asked, by_name });
                    }
                    seen.insync[n] = None;
                    seen.own[n] = Some(value.epoch);
                }
            }
        }
        Ok(moved.len() as u64)
    }

    /// I12: what a fence says of a freeze is lifted by a person who did so after it was typed.
    fn freeze_is_kept(
        &mut self,
        n: usize,
        record: usize,
        kind: Kind,
        old: Option<&FenceValue>,
        new: &FenceValue,
        signed: u64,
    ) -> Verdict<()> {
        let ours = |v: &&FenceValue| v.mode == FenceMode::Frozen && v.cluster == new.cluster;
        let before = old.filter(ours).is_some();
        let writer = ["a", "b", "c", "o"].iter().position(|name| new.instance.as_str() == *name);
        // What was typed while the request was on its way it does not carry.
        let typed = writer.and_then(|i| self.typed.get(i)).map_or(0, |typed| typed[n].min(signed));
        match (before, new.mode) {
            (true, FenceMode::Frozen) if kind != Kind::Freeze => {}
            (true, FenceMode::Frozen) => self.carried[n] = self.carried[n].max(typed),
            (false, FenceMode::Frozen) => self.carried[n] = typed,
            (true, FenceMode::Auto | FenceMode::Locked)
                if self.lifted[n] < self.carried[n]
                    && self.tampered[n] < self.carried[n]
                    && !self.seen.iter().any(|seen| seen.is_lifting(n)) =>
            {
                let name = &self.policies[n].records[record];
                let text = format!("{name}: a {kind} lifts a freeze typed at {}, nobody did since", self.carried[n]);
                return Err((Invariant::I12, text));
            }
            _ => {}
        }
        Ok(())
    }

    /// I2: after a write of ours the record holds addresses of configured targets, and nothing is empty.
    fn after(&self, zone: &Zone, n: usize, record: usize, kind: Kind, before: &[LiveSet]) -> Verdict<()> {
        let name = &self.policies[n].records[record];
        let sets = zone.at(name);
        // An adoption of what is published writes the fence alone, and so does a swap of a set by itself; what a
        // person edited since the last reading is not its doing.
        let swaps = self.policies[n].failover.write == WriteMode::Swap;
        let is_left_alone = (kind == Kind::Adopt || kind == Kind::Force && swaps) && sets == before;
        if kind.publishes() && !is_left_alone && !self.is_ours(n, &sets) {
            return Err((Invariant::I2, format!("{name} holds {sets:?} after a {kind}")));
        }
        if !kind.publishes() && sets != before {
            return Err((Invariant::I2, format!("{name} was changed by a {kind}: {before:?} to {sets:?}")));
        }
        Ok(())
    }

    /// I7: hold-down and flap budget, whichever instance moved before, restarted or not.
    fn brakes(
        &mut self,
        n: usize,
        kind: Kind,
        old: Option<&FenceValue>,
        new: &FenceValue,
        signed: u64,
        now: u64,
    ) -> Verdict<()> {
        if !kind.is_counted_move() {
            return Ok(());
        }
        let failover = &self.policies[n].failover;
        let slack = self.skew + 3_000;
        // A process that first read the record after the last move knows when that was decided, not when
        // it was applied.
        let writer = ["a", "b", "c"].iter().position(|name| new.instance.as_str() == *name);
        let first_read = writer.and_then(|i| self.seen.get(i)?.first_read.get(n).copied().flatten());
        let moves = &mut self.moves[n];
        moves.retain(|(_, at)| at + HOUR > now);
        if kind != Kind::Rollback {
            let hold_down = failover.hold_down.as_millis() as u64;
            if let Some((decided, applied)) = moves.last()
                && let last = if first_read.is_some_and(|at| at <= *applied) { applied } else { decided }
                && signed + slack < last + hold_down
            {
                let text =
                    format!("{kind} {}ms after the last move, hold-down {hold_down}ms", signed - last.min(&signed));
                return Err((Invariant::I7, text));
            }
            // The lock-out began after the last move, or began to wait anew with it. An ack ends it where it was typed,
            // although it cannot be written yet.
            let lifted = self.acks[n].max(self.tampered[n]) >= self.locked[n];
            if let Some((decided, _)) = moves.last()
                && !lifted
                && old.is_some_and(|v| v.mode == FenceMode::Locked)
                && signed + slack < decided + LOCKED_OUT
            {
                let text = format!("{kind} while locked out, {}ms after the last move", signed - decided.min(&signed));
                return Err((Invariant::I7, text));
            }
            let recent = moves.iter().filter(|(decided, _)| decided + HOUR > now + slack).count();
            // Locked out, one kind of move stays open; a freeze in the fence hides a lock-out, a move shows it again.
            let locked = old.into_iter().chain([new]).any(|v| v.mode == FenceMode::Locked);
            if recent + 2 > failover.flap_budget as usize && !locked && self.skew < HOUR / 2 {
                let text = format!("{kind} after {recent} moves within the hour, flap budget {}", failover.flap_budget);
                return Err((Invariant::I7, text));
            }
        }
        moves.push((new.written.0.saturating_sub(super::instance::WALL).min(now), now));
        Ok(())
    }
}

/// Start of the first counted failure of a target that has failed as configured since `sees_since`.
fn failed(
    log: &std::collections::VecDeque<Heard>,
    policy: &Policy,
    target: TargetIdx,
    sees_since: Tick,
) -> Option<Tick> {
    let check = &policy.targets[target.index()].check;
    let (mut first, mut last, mut count, mut ups): (Option<Tick>, Option<Tick>, u32, u32) = (None, None, 0, 0);
    for heard in log.iter().rev() {
        match heard.up {
            Some(true) => {
                // The newest word must be a failure.
                last?;
                ups += 1;
                if ups >= check.settle.max(check.rise) {
                    break;
                }
            }
            Some(false) if heard.started < sees_since => ups = 0,
            Some(false) => {
                ups = 0;
                count += 1;
                first = Some(heard.started);
                last.get_or_insert(heard.started);
            }
            None => {}
        }
    }
    let (first, last) = (first?, last?);
    (count >= check.fall && last.since(first) >= check.confirm).then_some(first)
}

/// The last few probes, for a reader.
fn tail(log: &std::collections::VecDeque<Heard>) -> String {
    let one = |h: &Heard| {
        format!(
            "{}{}",
            h.started.0,
            match h.up {
                Some(true) => '+',
                Some(false) => '-',
                None => '?',
            }
        )
    };
    log.iter().rev().take(12).map(one).collect::<Vec<_>>().join(" ")
}
