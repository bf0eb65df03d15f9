//! Everything that can happen next, and what the zone, the network and persons make of it. Every order is
//! taken. What a controller does with it is in `controller`.

use super::product::{self, Answer, Rules};
use super::world::*;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Controller, policy: a whole reading, begun and ended.
    Read(u8, u8),
    /// A reading while an outcome is open: served now, judged later.
    Serve(u8, u8),
    Judge(u8, u8),
    Decide(u8, u8, Why),
    /// What is queued for the disk gets there, in one transaction.
    Commit(u8),
    /// The decision dies before it is sent.
    Drop(u8, u8),
    Send(u8),
    /// A request arrives at the zone.
    Land(u8),
    Duplicate(u8),
    Answer(u8),
    /// The controller waits no longer.
    GiveUp(u8),
    NeverLeft(u8),
    Throttle(u8),
    Crash(u8),
    /// A crash that takes the disk along.
    LoseDisk(u8),
    /// Fifteen minutes: every signature so far runs out.
    Expire,
    /// The same, while this controller is paused between letting a request go and signing it.
    ExpirePaused(u8),
    /// The zone loses its last change.
    RollBack,
    Delete(u8),
    Spoil(u8),
}

/// Promises, by their bit in `World::broken`.
pub mod promise {
    pub const FENCED: u8 = 1;
    pub const NOT_AFTER_TOLD: u8 = 2;
    pub const INTENT_FIRST: u8 = 4;
    pub const HUMAN_WINS: u8 = 8;
    pub const NEVER_EMPTY: u8 = 16;
}

/// Things worth having happened, by their bit: a model in which one never does proves little.
pub mod sight {
    pub const LATE_REFUSED: u32 = 1;
    pub const READ_BACK_APPLIED: u32 = 1 << 1;
    pub const BURNED: u32 = 1 << 2;
    pub const LOST: u32 = 1 << 3;
    pub const EXPIRED: u32 = 1 << 4;
    pub const BYSTANDER: u32 = 1 << 5;
    pub const HALVED: u32 = 1 << 6;
    pub const FREEZE_KILLED: u32 = 1 << 7;
    pub const DUPLICATE_REFUSED: u32 = 1 << 8;
    pub const RESTORED_APPLIED: u32 = 1 << 9;
    pub const SHARED: u32 = 1 << 10;
    pub const OVERTAKEN: u32 = 1 << 11;
    pub const STALE_AT_WIRE: u32 = 1 << 12;
    pub const BURN_REFUSED: u32 = 1 << 13;
}

impl World {
    /// What may happen to this world.
    pub fn acts(&self, rules: &Rules, decisions: u8, policies: u8, acts: &mut Vec<Act>) {
        for (i, c) in (0u8..).zip(&self.controllers) {
            for p in 0..policies {
                self.acts_of(rules, i, p, decisions, acts);
            }
            if !c.log.is_empty() {
                acts.push(Act::Commit(i));
            }
            if c.flight.is_none() && c.side.iter().any(|s| s.write.is_some_and(|w| w.is_ready(rules))) {
                acts.push(Act::Send(i));
            }
            if let Some(flight) = &c.flight {
                let on_its_way = self.awaited(i).is_some();
                if flight.reply.is_some() {
                    acts.push(Act::Answer(i));
                }
                if self.left.lost > 0 || (flight.reply.is_none() && !on_its_way) {
                    acts.push(Act::GiveUp(i));
                }
                if self.left.expiries > 0 && on_its_way && !self.is_copied(i) {
                    acts.push(Act::ExpirePaused(i));
                }
                if self.left.held_up > 0 && on_its_way && !self.is_copied(i) {
                    acts.extend([Act::NeverLeft(i), Act::Throttle(i)]);
                }
            }
            if self.left.crashes > 0 {
                acts.push(Act::Crash(i));
            }
            if self.left.disks > 0 {
                acts.push(Act::LoseDisk(i));
            }
        }
        for r in 0..self.net.len() as u8 {
            // Two equal requests are one choice.
            if r > 0 && self.net[usize::from(r)] == self.net[usize::from(r) - 1] {
                continue;
            }
            acts.push(Act::Land(r));
            if self.left.duplicates > 0 {
                acts.push(Act::Duplicate(r));
            }
        }
        if self.left.expiries > 0 {
            acts.push(Act::Expire);
        }
        if self.left.rollbacks > 0 && self.past.is_some_and(|past| past != self.zone) {
            acts.push(Act::RollBack);
        }
        for p in 0..policies {
            let standing = self.zone.fence[usize::from(p)];
            if self.left.deletes > 0 && standing != Standing::NOTHING {
                acts.push(Act::Delete(p));
            }
            if self.left.spoils > 0 && standing != Standing::SPOILED {
                acts.push(Act::Spoil(p));
            }
        }
    }

    fn acts_of(&self, rules: &Rules, i: u8, p: u8, decisions: u8, acts: &mut Vec<Act>) {
        let c = &self.controllers[usize::from(i)];
        let side = &c.side[usize::from(p)];
        let now = self.reading(p, false);
        match &side.write {
            Some(Write { phase: Phase::Resolving, expired, .. }) => {
                let served = Reading { expired: *expired, ..now };
                if side.reading != Some(served) {
                    acts.push(Act::Serve(i, p));
                }
                if side.reading.is_some() {
                    acts.push(Act::Judge(i, p));
                }
            }
            // What a person asked for waits for no evidence.
            Some(w) if w.phase == Phase::Queued && w.part.after().kind != Why::Freeze => acts.push(Act::Drop(i, p)),
            _ => {}
        }
        let may_read = side.write.is_none_or(|w| matches!(w.phase, Phase::Recording | Phase::Queued));
        if may_read && side.live != Some(now) {
            acts.push(Act::Read(i, p));
        }
        let Some(live) = side.live.filter(|_| side.write.is_none()) else { return };
        if side.hand || (self.left.freezes > 0 && !live.fence.is_frozen() && product::is_ours(p, live.fence)) {
            if product::is_ours(p, live.fence) && !live.fence.is_frozen() {
                acts.push(Act::Decide(i, p, Why::Freeze));
            }
            if side.hand {
                return;
            }
        }
        if c.decisions >= decisions {
            return;
        }
        if product::may_move(rules, p, live.fence) {
            acts.push(Act::Decide(i, p, Why::Failover));
        } else if live.fence == Standing::NOTHING && side.known == 0 {
            acts.push(Act::Decide(i, p, Why::Adopt));
        } else if self.left.repairs > 0 && !product::is_ours(p, live.fence) {
            acts.push(Act::Decide(i, p, Why::Repair));
        }
    }

    fn reading(&self, p: u8, expired: bool) -> Reading {
        let p = usize::from(p);
        Reading { fence: self.zone.fence[p], content: self.zone.content[p], expired }
    }

    pub(super) fn awaited(&self, i: u8) -> Option<usize> {
        self.net.iter().position(|r| r.awaited && r.from == i)
    }

    /// A definite answer to one copy says nothing about the others, so it is not modelled of them.
    fn is_copied(&self, i: u8) -> bool {
        let copied = |part: &Part| self.told.copied & bit(part.after().attempt) != 0;
        self.awaited(i).is_some_and(|at| self.net[at].parts().any(copied))
    }

    /// What `act` makes of this world. `seen` collects `sight`s.
    pub fn after(mut self, rules: &Rules, act: Act, seen: &mut u32) -> World {
        match act {
            Act::Read(i, p) => {
                let live = self.reading(p, false);
                let side = self.side(i, p);
                side.take(p, live);
            }
            Act::Serve(i, p) => {
                let expired = self.side(i, p).write.is_some_and(|w| w.expired);
                self.side(i, p).reading = Some(self.reading(p, expired));
            }
            Act::Judge(i, p) => self.judge(rules, i, p, seen),
            Act::Decide(i, p, why) => self.decide(rules, i, p, why),
            Act::Commit(i) => self.commit(i),
            Act::Drop(i, p) => self.close(i, p, Outcome::NotSent),
            Act::Send(i) => self.send(rules, i, seen),
            Act::Land(r) => self.land(rules, usize::from(r), seen),
            Act::Duplicate(r) => {
                self.left.duplicates -= 1;
                let copy = Request { awaited: false, ..self.net[usize::from(r)] };
                self.told.copied |= copy.parts().fold(0, |sum, part| sum | bit(part.after().attempt));
                self.net.push(copy);
            }
            Act::Answer(i) => {
                let reply = self.controllers[usize::from(i)].flight.and_then(|f| f.reply);
                match reply.expect("a reply") {
                    Reply::Accepted => self.answer(rules, i, Answer::Accepted, [true; POLICIES], seen),
                    Reply::Refused { named, denied } => {
                        self.answer(rules, i, Answer::Refused { denied }, named, seen);
                    }
                }
            }
            Act::GiveUp(i) => {
                let replied = self.controllers[usize::from(i)].flight.is_some_and(|f| f.reply.is_some());
                let at = self.awaited(i);
                if replied || at.is_some() {
                    self.left.lost -= 1;
                }
                if let Some(at) = at {
                    self.net[at].awaited = false;
                }
                self.answer(rules, i, Answer::Ambiguous, [true; POLICIES], seen);
            }
            Act::NeverLeft(i) | Act::Throttle(i) => {
                self.left.held_up -= 1;
                let at = self.awaited(i).expect("a request");
                self.net.remove(at);
                let answer = if act == Act::NeverLeft(i) { Answer::NotSent } else { Answer::Throttled };
                self.answer(rules, i, answer, [true; POLICIES], seen);
            }
            Act::Crash(i) => {
                self.left.crashes -= 1;
                self.crash(i);
            }
            Act::LoseDisk(i) => {
                self.left.disks -= 1;
                self.controllers[usize::from(i)].store = Store::default();
                self.crash(i);
                self.controllers[usize::from(i)].side.iter_mut().for_each(|s| s.hand = false);
            }
            Act::Expire | Act::ExpirePaused(_) => {
                self.left.expiries -= 1;
                self.net.retain(|r| r.awaited && act == Act::ExpirePaused(r.from));
                let writes = self.controllers.iter_mut().flat_map(|c| &mut c.side).filter_map(|s| s.write.as_mut());
                writes.filter(|w| !matches!(w.phase, Phase::Recording | Phase::Queued)).for_each(|w| w.expired = true);
            }
            Act::RollBack => {
                self.left.rollbacks -= 1;
                self.zone = self.past.expect("an earlier zone");
                self.told.excused |= self.issued();
            }
            Act::Delete(p) => {
                self.left.deletes -= 1;
                self.zone.fence[usize::from(p)] = Standing::NOTHING;
                // A write over no fence finds none again.
                self.told.excused |= self.open_over(Standing::NOTHING);
            }
            Act::Spoil(p) => {
                self.left.spoils -= 1;
                self.zone.fence[usize::from(p)] = Standing::SPOILED;
                // The same bytes as the first time.
                self.told.excused |= self.open_over(Standing::SPOILED);
            }
        }
        self.net.sort_unstable();
        if self.left.rollbacks == 0 {
            self.past = None;
        }
        self
    }

    pub(super) fn side(&mut self, i: u8, p: u8) -> &mut Side {
        &mut self.controllers[usize::from(i)].side[usize::from(p)]
    }

    fn issued(&self) -> u64 {
        let of = |(i, c): (u8, &Controller)| (0..c.attempts).fold(0, |sum, n| sum | bit(i << 4 | n));
        (0u8..).zip(&self.controllers).map(of).fold(0, |sum, bits| sum | bits)
    }

    /// Attempts on their way, or of open outcome, that replace what a person just put there.
    fn open_over(&self, standing: Standing) -> u64 {
        let writes = self.controllers.iter().flat_map(|c| c.side.iter().filter_map(|s| s.write.as_ref()));
        let parts = self.net.iter().flat_map(Request::parts).chain(writes.map(|w| &w.part));
        parts.filter(|part| part.before == standing).fold(0, |sum, part| sum | bit(part.after().attempt))
    }

    fn land(&mut self, rules: &Rules, at: usize, seen: &mut u32) {
        let request = self.net.remove(at);
        let reply = match product::applied(rules, &self.zone, &request.parts) {
            Ok(zone) => {
                for part in request.parts() {
                    self.check(part);
                    // A value that was there before stands again.
                    if self.told.excused & bit(part.after().attempt) != 0 {
                        self.told.excused |= self.issued();
                    }
                }
                self.past = Some(self.zone);
                self.zone = zone;
                if zone.content.contains(&NO_TARGET) {
                    self.broken |= promise::NEVER_EMPTY;
                }
                Reply::Accepted
            }
            Err(refusal) => {
                for part in request.parts().filter(|_| !request.awaited) {
                    let attempt = bit(part.after().attempt);
                    let told = &self.told;
                    if (told.never | told.lost) & attempt != 0 {
                        *seen |= sight::LATE_REFUSED;
                    }
                    if (told.applied | told.done) & attempt != 0 {
                        *seen |= sight::DUPLICATE_REFUSED;
                    }
                    if part.after().kind == Why::Failover && self.zone.fence[usize::from(part.policy)].is_frozen() {
                        *seen |= sight::FREEZE_KILLED;
                    }
                }
                Reply::Refused { named: refusal.named, denied: refusal.denied }
            }
        };
        if request.awaited
            && let Some(flight) = &mut self.controllers[usize::from(request.from)].flight
        {
            flight.reply = Some(reply);
        }
    }

    /// What must hold of a part that is applied now.
    fn check(&mut self, part: &Part) {
        let after = part.after();
        let attempt = bit(after.attempt);
        let stood = self.zone.fence[usize::from(part.policy)];
        let rises = stood.stamp().is_none_or(|old| match after.kind {
            Why::Burn => after.epoch >= old.epoch,
            _ => after.epoch > old.epoch,
        });
        if stood != part.before || !rises {
            self.broken |= promise::FENCED;
        }
        if (self.told.never | self.told.lost) & !self.told.excused & attempt != 0 {
            self.broken |= promise::NOT_AFTER_TOLD;
        }
        if stood.is_frozen() && (after.kind == Why::Failover || (after.kind == Why::Burn && !after.frozen)) {
            self.broken |= promise::HUMAN_WINS;
        }
        self.told.applied |= attempt;
    }
}
