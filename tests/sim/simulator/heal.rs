//! The end of every run: faults stop, a person puts right what only a person may, and what must come
//! in time is waited for: L1, L2, L4, L5.

use failoverd::domain::*;
use failoverd::engine::event::CommandKind;
use failoverd::engine::fence::{FenceMode, FenceValue, fence_name, unquote};
use failoverd::engine::{Mode, report};

use super::check::{Broken, Invariant};
use super::troubles::sets_of;
use super::truth::{Life, Links};
use super::world::World;
use super::zone::SERVERS;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;

impl World {
    pub fn heal(&mut self) -> Result<(), Broken> {
        self.say(|| "* the faults stop".into());
        self.calm = true;
        self.forget_troubles();
        self.provider = Default::default();
        for zone in &mut self.zones {
            zone.stuck = [None; SERVERS];
            zone.silent = [false; SERVERS];
            zone.refused.clear();
        }
        for i in 0..self.instances.len() {
            // What stands still longer is killed and started anew.
            if self.instances[i].paused_until > self.now {
                self.crash(i);
            }
            let one = &mut self.instances[i];
            one.links = Links::default();
            one.store_works = true;
            one.paused_until = 0;
            one.dies_in = None;
            one.clock_off = 0;
            self.start(i);
        }
        self.life.iter_mut().flatten().for_each(|life| *life = Life::Up);
        // Late requests have landed or expired after this; open intents are resolved.
        self.run(self.now + 16 * MINUTE)?;
        self.freezes_stand()?;
        self.put_right()?;
        // The fleet's memory of moves is ten minutes long.
        self.run(self.now + 11 * MINUTE)?;
        self.no_open_intent()?;
        self.a_dead_active_is_left()?;
        self.failback_happens()?;
        self.everything_is_rebuilt()?;
        self.a_hand_works_under_a_freeze()
    }

    /// I12: a freeze that was typed where the zone can be written, and not lifted since, is in the fence.
    fn freezes_stand(&self) -> Result<(), Broken> {
        for (i, one) in self.instances.iter().enumerate().filter(|(_, one)| one.mode == Mode::Active) {
            for n in (0..self.scene.policies.len()).filter(|n| self.checker.seen[i].frozen[*n]) {
                let ours = |f: &Option<FenceValue>| {
                    f.as_ref().is_some_and(|v| v.cluster.as_str() == "prod" && v.mode != FenceMode::Released)
                };
                let fences = self.fences(n);
                let says = |f: &Option<FenceValue>| f.as_ref().is_some_and(|v| v.mode == FenceMode::Frozen);
                if one.number_of(n).is_some() && fences.iter().all(ours) && !fences.iter().all(says) {
                    let text = format!("policy {n} was frozen at {}, and its fence says {fences:?}", one.name);
                    return Err(Broken { invariant: Invariant::I12, at: self.now, text });
                }
            }
        }
        Ok(())
    }

    /// What a person does after a bad day: adopt what is in trouble, unfreeze, acknowledge.
    fn put_right(&mut self) -> Result<(), Broken> {
        let hand = self.hand();
        for round in 0..4 {
            for n in 0..self.scene.policies.len() {
                let targets = self.scene.policies[n].targets.len() as u32;
                (0..targets).for_each(|t| self.command(hand, CommandKind::Undrain { target: TargetIdx(t) }, Some(n)));
                self.clear_fences(n);
                let policy = &self.scene.policies[n];
                let tier: Vec<TargetIdx> =
                    policy.indices().filter(|t| policy.targets[t.index()].priority == 1).collect();
                let best = Members::new(tier.into_iter().take(policy.answers as usize)).unwrap();
                if let Some(owner) = self.foreign(n) {
                    self.command(hand, CommandKind::Takeover { from: owner }, Some(n));
                } else if !self.is_fine(n, hand) {
                    self.command(hand, CommandKind::Adopt { to: best, repair: round % 2 == 1 }, Some(n));
                }
            }
            self.run(self.now + 3 * MINUTE)?;
            self.command(hand, CommandKind::Unfreeze, None);
            self.run(self.now + MINUTE)?;
            (0..self.scene.policies.len()).for_each(|n| self.command(hand, CommandKind::Ack, Some(n)));
            self.run(self.now + MINUTE)?;
        }
        Ok(())
    }

    /// What no command may touch is deleted by hand: a fence of several values, or another cluster's
    /// beside one of ours.
    fn clear_fences(&mut self, n: usize) {
        let zone = self.checker.zone_of(n);
        let fences = self.fences(n);
        let ours = |f: &Option<FenceValue>| f.as_ref().is_some_and(|v| v.cluster.as_str() == "prod");
        let mixed = fences.iter().any(ours);
        for (name, fence) in self.scene.policies[n].records.clone().iter().zip(&fences) {
            let fence_at = fence_name(name, &self.zones[zone].name).unwrap();
            let stands = self.zones[zone].get(&fence_at, "TXT").is_some();
            let foreign = fence.as_ref().is_some_and(|v| v.cluster.as_str() != "prod");
            if stands && (fence.is_none() || foreign && (mixed || fences.iter().any(Option::is_none))) {
                self.say(|| format!("a person deletes {fence_at}"));
                let now = self.now;
                self.zones[zone].edit(now, &fence_at, "TXT", None);
                self.checker.tamper(n, now);
            }
        }
    }

    fn hand(&self) -> usize {
        self.instances.iter().position(|one| one.mode == Mode::Active).unwrap_or(0)
    }

    fn fences(&self, n: usize) -> Vec<Option<FenceValue>> {
        let zone = &self.zones[self.checker.zone_of(n)];
        let value = |name: &RecordName| {
            let set = zone.get(&fence_name(name, &zone.name).unwrap(), "TXT")?;
            let [value] = &set.values[..] else { return None };
            FenceValue::parse(&unquote(value)?).ok()
        };
        self.scene.policies[n].records.iter().map(value).collect()
    }

    fn foreign(&self, n: usize) -> Option<ClusterName> {
        self.fences(n).into_iter().flatten().map(|v| v.cluster).find(|c| c.as_str() != "prod")
    }

    fn is_fine(&self, n: usize, i: usize) -> bool {
        let one = &self.instances[i];
        // A set that a person put there while the fence names another is drift, whoever it belongs to.
        let names: Vec<&str> =
            self.published(n).into_iter().map(|t| self.scene.policies[n].targets[t].name.as_str()).collect();
        let is_ours =
            |v: &FenceValue| v.cluster.as_str() == "prod" && v.mode.as_str() != "released" && v.to == names.join("/");
        let ours = self.fences(n).iter().all(|f| f.as_ref().is_some_and(is_ours));
        let zone = &self.zones[self.checker.zone_of(n)];
        let members = Members::new(self.published(n).into_iter().map(|t| TargetIdx(t as u32)));
        let wanted = members.map(|m| sets_of(&self.scene.policies[n], &m)).unwrap_or_default();
        let agree = self.scene.policies[n].records.iter().all(|name| zone.at(name) == wanted);
        let seen = one.fleet.as_ref().zip(one.number_of(n)).and_then(|(f, idx)| report(f, idx, one.clocks(self.now)));
        ours && agree && seen.is_some_and(|r| r.targets.iter().any(|t| t.active))
    }

    fn state(&self, n: usize) -> String {
        let mut text = format!("fences {:?}", self.fences(n));
        for one in self.instances.iter().filter(|one| one.mode == Mode::Active) {
            let seen =
                one.fleet.as_ref().zip(one.number_of(n)).and_then(|(f, idx)| report(f, idx, one.clocks(self.now)));
            if let Some(r) = seen {
                text += &format!("; {}: {:?} wanted {:?} refusals {:?}", one.name, r.state, r.wanted, r.refusals);
            }
        }
        text
    }

    /// L2: nothing is open on any disk.
    fn no_open_intent(&mut self) -> Result<(), Broken> {
        for i in 0..self.instances.len() {
            let open = self.instances[i].disk.open().next().cloned();
            if let Some(open) = open {
                self.fail(Invariant::L2, || format!("{open:?} has no outcome"));
            }
        }
        self.run(self.now)
    }

    /// L1: of each policy one active target dies, all in one region, and is left.
    fn a_dead_active_is_left(&mut self) -> Result<(), Broken> {
        let mut dead = None;
        let mut doomed = Vec::new();
        for n in 0..self.scene.policies.len() {
            let Some(t) = self.published(n).first().copied() else {
                self.fail(Invariant::L4, || {
                    format!("policy {n} publishes no target of its own after a person adopted it")
                });
                return self.run(self.now);
            };
            let region = self.scene.policies[n].targets[t].region.clone();
            if *dead.get_or_insert(region.clone()) == region {
                doomed.push((n, t));
            }
        }
        for (n, t) in &doomed {
            self.life[*n][*t] = Life::Dead(DownReason::ConnectRefused);
        }
        self.say(|| format!("* the active targets {doomed:?} die"));
        self.run(self.now + 8 * MINUTE)?;
        for (n, t) in doomed {
            if self.published(n).contains(&t) {
                let state = self.state(n);
                self.fail(Invariant::L1, || format!("policy {n} still publishes its dead target {t}: {state}"));
            }
        }
        self.run(self.now)
    }

    /// L5: everything lives again; who fails back by itself is back after its soak.
    fn failback_happens(&mut self) -> Result<(), Broken> {
        self.life.iter_mut().flatten().for_each(|life| *life = Life::Up);
        self.say(|| "* everything lives".into());
        let hand = self.hand();
        // The second time for a way back of two steps, which a small flap budget stops between them.
        for _ in 0..2 {
            (0..self.scene.policies.len()).for_each(|n| self.command(hand, CommandKind::Ack, Some(n)));
            self.run(self.now + 25 * MINUTE)?;
        }
        for n in 0..self.scene.policies.len() {
            let policy = &self.scene.policies[n];
            if policy.failback.mode != FailbackMode::Auto || self.instances.iter().any(|one| one.versions[n] > 0) {
                continue;
            }
            let best = policy.targets.iter().map(|t| t.priority).min();
            let worse: Vec<usize> =
                self.published(n).into_iter().filter(|t| Some(policy.targets[*t].priority) != best).collect();
            if !worse.is_empty() {
                let state = self.state(n);
                self.fail(Invariant::L5, || format!("policy {n} still publishes {worse:?}: {state}"));
            }
        }
        self.no_open_intent()
    }

    /// L4: zone and configuration are enough: with empty disks everything stands as it stood, and moves.
    fn everything_is_rebuilt(&mut self) -> Result<(), Broken> {
        let before: Vec<Vec<usize>> = (0..self.scene.policies.len()).map(|n| self.published(n)).collect();
        for i in 0..self.instances.len() {
            self.crash(i);
            self.instances[i].disk = Default::default();
            self.start(i);
        }
        self.run(self.now + 5 * MINUTE)?;
        let after: Vec<Vec<usize>> = (0..self.scene.policies.len()).map(|n| self.published(n)).collect();
        if before != after {
            self.fail(Invariant::L4, || format!("{before:?} became {after:?} by restarts with empty disks"));
        }
        for n in 0..self.scene.policies.len() {
            let hand = self.hand();
            if !self.is_fine(n, hand) {
                let state = self.state(n);
                self.fail(Invariant::L4, || format!("policy {n} is not known again: {state}"));
            }
        }
        self.run(self.now)
    }

    /// I12: a person moves the record although everything is frozen.
    fn a_hand_works_under_a_freeze(&mut self) -> Result<(), Broken> {
        let hand = self.hand();
        self.command(hand, CommandKind::Freeze, None);
        self.run(self.now + MINUTE)?;
        let mut wanted = Vec::new();
        for n in 0..self.scene.policies.len() {
            let published = self.published(n);
            let Some(t) = (0..self.scene.policies[n].targets.len()).find(|t| !published.contains(t)) else { continue };
            self.command(hand, CommandKind::Force { to: Members::one(TargetIdx(t as u32)) }, Some(n));
            wanted.push((n, t));
        }
        self.run(self.now + MINUTE)?;
        for (n, t) in wanted {
            if self.published(n) != [t] {
                let state = self.state(n);
                self.fail(Invariant::I12, || {
                    format!("policy {n} was forced to {t} under a freeze and is not there: {state}")
                });
            }
        }
        self.run(self.now)
    }
}
