//! The provider's API in turn: which call goes next under the one budget.
//! A write is asked for again here, just before the wire.

use std::collections::BTreeMap;

use crate::domain::{NameServers, Now, PolicyIdx, Tick, ZoneIdx};
use crate::seeded::{Bug, seeded};

use super::action::{Action, ApiCall, BatchId};
use super::batch::{Packing, in_wire_order};
use super::evacuation;
use super::fence;
use super::fleet::Fleet;
use super::intent::{IntentId, Kind};
use super::state::{Pending, PolicyState};
use super::zone::{ApiError, ChangeStatus, WriteAnswer};
use super::{switch, verify};

impl Fleet {
    /// The API's turn: writes first, then the rest by urgency, as far as the budget goes.
    pub(super) fn pump(&mut self, now: Now, out: &mut Vec<Action>) {
        self.pump_writes(now, out);
        while let Some((key, pending)) = self.shared.calls.first_key_value().map(|(k, v)| (*k, v.clone())) {
            let Some((call, cost)) = self.call_of(&pending) else {
                self.shared.calls.remove(&key);
                continue;
            };
            if let ApiCall::GetChange { change_id, .. } = &call
                && self.shared.following.values().any(|asked| asked == change_id)
            {
                // Somebody of the same batch has asked already; the answer reaches all.
                self.shared.calls.remove(&key);
                continue;
            }
            let free = matches!(call, ApiCall::GetChange { .. }) && seeded(Bug::PollsNotCharged);
            if !free && !self.shared.bucket.take(cost, now.mono) {
                break;
            }
            self.shared.calls.remove(&key);
            if let ApiCall::GetChange { intent, change_id } = &call {
                self.shared.following.insert(intent.clone(), change_id.clone());
            }
            out.push(Action::Call(call));
        }
    }

    /// One request for each zone that has none in flight: whatever is ready there rides in it, burns
    /// first, then by importance, as far as the real limits go.
    fn pump_writes(&mut self, now: Now, out: &mut Vec<Action>) {
        let mut ready: Vec<(ZoneIdx, bool, i32, PolicyIdx)> = self
            .states()
            .filter_map(|(idx, p)| {
                let write = p.write.as_ref()?;
                let zone = self.shared.zones.get(p.zone.index())?;
                let free = zone.in_flight.is_none() && zone.info.is_some() && zone.not_before <= now.mono;
                let due = write.ready_at()? <= now.mono && free;
                due.then_some((p.zone, !write.is_burn(), write.turn(p.policy.importance), idx))
            })
            .collect();
        ready.sort_unstable();
        if ready.is_empty() {
            return;
        }
        let held = self.held_by_wave(now);
        ready.retain(|(.., idx)| !held.contains_key(idx));
        let mut zones: Vec<&[(ZoneIdx, bool, i32, PolicyIdx)]> = ready.chunk_by(|a, b| a.0 == b.0).collect();
        zones.sort_by_key(|of_zone| of_zone.first().map(|(_, burn, importance, _)| (*burn, *importance)));
        for of_zone in zones {
            if self.shared.bucket.ready_at(1, now.mono) > now.mono {
                return;
            }
            let Some((zone, ..)) = of_zone.first().copied() else { continue };
            self.send_batch(now, out, zone, of_zone.iter().map(|(.., idx)| *idx));
        }
    }

    /// Failovers out of a dead region that let more important ones go first, and until when.
    pub(super) fn held_by_wave(&self, now: Now) -> BTreeMap<PolicyIdx, Tick> {
        let ahead = evacuation::ahead(self.states().map(|(_, p)| p), &self.shared, now.mono);
        let held = |(idx, p): (PolicyIdx, &PolicyState)| {
            let write = p.write.as_ref().filter(|w| w.is_first_try_of_a_failover())?;
            let region = p.active().and_then(|a| p.region_of(a))?;
            let until = write.decided + evacuation::WAVE;
            (ahead.get(region).is_some_and(|most| *most > p.policy.importance) && until > now.mono)
                .then_some((idx, until))
        };
        self.states().filter_map(held).collect()
    }

    fn send_batch(&mut self, now: Now, out: &mut Vec<Action>, zone: ZoneIdx, ready: impl Iterator<Item = PolicyIdx>) {
        let Some(id) = self.shared.zones.get(zone.index()).and_then(|z| z.info.as_ref()).map(|i| i.id.clone()) else {
            return;
        };
        let mut packing = Packing::default();
        let mut rehearsal = false;
        let (mut members, mut changes, mut comments) = (Vec::new(), Vec::new(), Vec::new());
        for idx in ready {
            let Some(write) = self.state(idx).and_then(|p| p.write.as_ref()) else { continue };
            let intent = write.intent.id.clone();
            let (weight, cap) = (write.weight(), write.cap());
            // A rehearsal must not get a move refused.
            let rehearses = write.intent.kind == Kind::Rehearse;
            if !members.is_empty() && rehearses != rehearsal {
                continue;
            }
            if !packing.admits(weight, cap) {
                continue;
            }
            let Some(Some((mine, comment))) = self.with(idx, now, out, switch::send) else { continue };
            packing.add(weight, cap);
            rehearsal = rehearses;
            members.push((idx, intent));
            changes.push(mine);
            comments.push(comment);
        }
        if members.is_empty() {
            return;
        }
        self.shared.bucket.take(1, now.mono);
        self.shared.seq += 1;
        let batch = BatchId(self.shared.seq);
        if let Some(zone) = self.shared.zones.get_mut(zone.index()) {
            zone.in_flight = Some(batch);
        }
        let comment = match comments.as_slice() {
            [one] => one.clone(),
            many => format!("{} policies: {}", many.len(), many.join(", ")),
        };
        self.shared.batches.insert(batch, members);
        let changes = match seeded(Bug::SplitReorders) && changes.len() > 1 {
            true => changes.into_iter().flatten().rev().collect(),
            false => in_wire_order(changes),
        };
        out.push(Action::Call(ApiCall::Write { batch, zone: id, changes, comment }));
    }

    /// The provider's answer to one batch: each policy in it learns what it means for itself.
    pub(super) fn answered(&mut self, now: Now, out: &mut Vec<Action>, batch: BatchId, answer: &WriteAnswer) {
        for zone in &mut self.shared.zones {
            if zone.in_flight == Some(batch) {
                zone.in_flight = None;
                if let WriteAnswer::Refused { code, .. } = answer
                    && code.is_transient()
                {
                    zone.not_before = now.mono + switch::busy_wait(batch);
                }
            }
        }
        let members = self.shared.batches.remove(&batch).unwrap_or_default();
        let named: Vec<bool> = members
            .iter()
            .map(|(idx, _)| match answer {
                WriteAnswer::Refused { message, .. } => {
                    self.state(*idx).and_then(|p| p.write.as_ref()).is_some_and(|w| w.is_named_in(message))
                }
                _ => true,
            })
            .collect();
        let size = members.len();
        let anybody = named.contains(&true);
        for ((idx, intent), named) in members.into_iter().zip(named) {
            let about = switch::About { batch, mine: size == 1 || named, size, anybody };
            self.with(idx, now, out, |p, cx| {
                if p.write.as_ref().is_some_and(|w| w.intent.id == intent) {
                    switch::answered(p, cx, answer.clone(), about);
                }
            });
        }
    }

    /// The call and its cost in requests; `None` when it is no longer wanted.
    pub(super) fn call_of(&self, pending: &Pending) -> Option<(ApiCall, u32)> {
        match pending {
            Pending::Resolve(idx) => {
                let zone = self.shared.zones.get(idx.index())?;
                let servers = self.shared.settings.verify.name_servers == NameServers::Delegation;
                Some((ApiCall::ResolveZone { zone: *idx, zone_ref: zone.zone_ref.clone(), servers }, 2))
            }
            Pending::Read { policy, record } => {
                let p = self.state(*policy)?;
                let info = self.shared.zones.get(p.zone.index())?.info.as_ref()?;
                let name = p.policy.records.get(*record as usize)?.clone();
                let fence = fence::fence_name(&name, &info.name).ok()?;
                Some((ApiCall::ReadRecord { policy: *policy, record: *record, zone: info.id.clone(), name, fence }, 2))
            }
            Pending::GetChange { policy, intent } => {
                let settling = self.state(*policy)?.settling.iter().find(|s| s.intent.id == *intent)?;
                Some((ApiCall::GetChange { intent: intent.clone(), change_id: settling.intent.change_id.clone()? }, 1))
            }
        }
    }

    /// The provider's word about one change reaches every policy whose write rode in it: a batch of
    /// a hundred is asked about once.
    pub(super) fn synced(
        &mut self,
        now: Now,
        out: &mut Vec<Action>,
        intent: &IntentId,
        result: &Result<ChangeStatus, ApiError>,
    ) {
        let Some(change_id) = self.shared.following.remove(intent) else { return };
        let followers: Vec<PolicyIdx> =
            self.states().filter(|(_, p)| p.settling.iter().any(|s| s.follows(&change_id))).map(|(i, _)| i).collect();
        for idx in followers {
            self.with(idx, now, out, |p, cx| verify::synced(p, cx, &change_id, result));
        }
    }
}
