//! Everything that can happen next, and what it does: the controllers' write protocol around the
//! engine's own functions, the zone, the network, the disk, persons. Every order is taken.

use failoverd::engine::intent::Meaning;

use super::product::{self, Answer, Flaw, Rules, Verdict};
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

    fn awaited(&self, i: u8) -> Option<usize> {
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

    fn side(&mut self, i: u8, p: u8) -> &mut Side {
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

    fn next_attempt(&mut self, i: u8) -> Attempt {
        let c = &mut self.controllers[usize::from(i)];
        c.attempts += 1;
        assert!(c.attempts <= 16, "a configuration needs more attempts than four bits hold");
        i << 4 | (c.attempts - 1)
    }

    fn decide(&mut self, rules: &Rules, i: u8, p: u8, why: Why) {
        match why {
            Why::Freeze if !self.side(i, p).hand => self.left.freezes -= 1,
            Why::Freeze => {}
            Why::Repair => self.left.repairs -= 1,
            _ => self.controllers[usize::from(i)].decisions += 1,
        }
        let attempt = self.next_attempt(i);
        let side = self.side(i, p);
        side.hand |= why == Why::Freeze;
        let live = side.live.expect("a reading");
        let frozen = side.hand || live.fence.is_frozen();
        let to = if why == Why::Failover { 1 - live.content } else { live.content };
        let stamp =
            Stamp { attempt, epoch: product::epoch_after(rules, p, side.known, live.fence), kind: why, frozen, to };
        let part = Part { policy: p, before: live.fence, after: Standing::of(stamp), seen: live.content };
        side.write = Some(Write { part, phase: Phase::Recording, expired: false, cap: u8::MAX, restored: false });
        self.controllers[usize::from(i)].log.push(Entry::Intent(part));
    }

    fn commit(&mut self, i: u8) {
        let c = &mut self.controllers[usize::from(i)];
        for entry in std::mem::take(&mut c.log) {
            match entry {
                Entry::Intent(part) => {
                    let p = usize::from(part.policy);
                    if let Some(write) = c.side[p].write.as_mut().filter(|w| w.phase == Phase::Recording) {
                        write.phase = Phase::Queued;
                    }
                    c.store.open[p] = Some(part);
                    self.told.durable |= bit(part.after().attempt);
                }
                Entry::Outcome(p, attempt, outcome) => {
                    let open = &mut c.store.open[usize::from(p)];
                    if open.is_some_and(|part| part.after().attempt == attempt) {
                        *open = None;
                    }
                    let told = &mut self.told;
                    let already = (told.done | told.lost | told.never) & bit(attempt) != 0;
                    let was = told.applied & bit(attempt) != 0;
                    // Of two copies one may be applied, and the answer heard be the other's.
                    let copied = told.copied & bit(attempt) != 0;
                    let is_true = match outcome {
                        Outcome::Applied => was,
                        Outcome::Lost => true,
                        Outcome::Refused if copied => true,
                        _ => !was,
                    } || told.excused & bit(attempt) != 0;
                    let list = match outcome {
                        Outcome::Applied => &mut told.done,
                        Outcome::Lost => &mut told.lost,
                        Outcome::Refused if copied => &mut told.lost,
                        _ => &mut told.never,
                    };
                    *list |= bit(attempt);
                    if already {
                        self.broken |= promise::INTENT_FIRST;
                    }
                    if !is_true {
                        self.broken |= promise::NOT_AFTER_TOLD;
                    }
                }
            }
        }
        for (known, side) in c.store.known.iter_mut().zip(&c.side) {
            *known = side.known;
        }
    }

    /// Gives the intent its one outcome; told when it is on disk.
    fn close(&mut self, i: u8, p: u8, outcome: Outcome) {
        if let Some(write) = self.side(i, p).write.take() {
            let entry = Entry::Outcome(p, write.part.after().attempt, outcome);
            self.controllers[usize::from(i)].log.push(entry);
        }
    }

    fn send(&mut self, rules: &Rules, i: u8, seen: &mut u32) {
        let mut ready = Vec::new();
        for p in 0..POLICIES as u8 {
            let side = self.side(i, p);
            let Some(write) = side.write.filter(|w| w.is_ready(rules)) else { continue };
            if let Phase::BurnQueued(after) = write.phase {
                let before = write.part.before;
                ready.push((false, Part { after, before, ..write.part }, write.cap));
                continue;
            }
            let stamp = write.part.after();
            let stale = side.live.map(|live| live.fence) != Some(write.part.before);
            let frozen = stamp.kind == Why::Failover && (side.hand || side.live.is_some_and(|l| l.fence.is_frozen()));
            if stale || (frozen && rules.flaw != Flaw::FreezeIgnored) {
                *seen |= sight::STALE_AT_WIRE;
                self.close(i, p, Outcome::NotSent);
                continue;
            }
            ready.push((true, write.part, write.cap));
        }
        // Burns first.
        ready.sort_by_key(|(is_write, part, _)| (*is_write, part.policy));
        let ready: Vec<(Part, u8)> = ready.into_iter().map(|(_, part, cap)| (part, cap)).collect();
        let members = product::packed(rules, &ready);
        if members.is_empty() {
            return;
        }
        let mut request = Request { parts: [None; POLICIES], awaited: true, from: i };
        let mut flight = Flight { members: [false; POLICIES], reply: None };
        for part in members {
            let at = usize::from(part.policy);
            request.parts[at] = Some(part);
            flight.members[at] = true;
            let side = self.side(i, part.policy);
            side.reading = None;
            let write = side.write.as_mut().expect("a write");
            let intent = write.part.after().attempt;
            write.phase = match write.phase {
                Phase::BurnQueued(after) => Phase::BurnSent(after),
                _ => {
                    write.expired = false;
                    Phase::Sent
                }
            };
            if self.told.durable & bit(intent) == 0 {
                self.broken |= promise::INTENT_FIRST;
            }
        }
        if flight.members == [true; POLICIES] {
            *seen |= sight::SHARED;
        }
        self.net.push(request);
        self.controllers[usize::from(i)].flight = Some(flight);
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

    /// An answer reaches its controller: each write in the request learns what it means for itself.
    fn answer(&mut self, rules: &Rules, i: u8, answer: Answer, named: [bool; POLICIES], seen: &mut u32) {
        let Some(flight) = self.controllers[usize::from(i)].flight.take() else { return };
        let size = flight.members.iter().filter(|m| **m).count();
        let anybody = flight.members.iter().zip(named).any(|(member, named)| *member && named);
        for p in (0..POLICIES as u8).filter(|p| flight.members[usize::from(*p)]) {
            let side = self.side(i, p);
            side.reading = None;
            let Some(write) = &mut side.write else { continue };
            let burn = match write.phase {
                Phase::BurnSent(after) => Some(after),
                _ => None,
            };
            let mine = size == 1 || named[usize::from(p)];
            let requeued = burn.map_or(Phase::Queued, Phase::BurnQueued);
            match product::meaning_of(rules, answer, burn.is_some(), mine) {
                Meaning::Applied => {
                    let after = write.part.after;
                    let stamp = write.part.after();
                    let content = if stamp.kind == Why::Freeze { write.part.seen } else { stamp.to };
                    side.take(p, Reading { fence: after, content, expired: false });
                    self.close(i, p, Outcome::Applied);
                }
                Meaning::Burned => {
                    let content = write.part.seen;
                    let fence = burn.unwrap_or(write.part.before);
                    side.take(p, Reading { fence, content, expired: false });
                    *seen |= sight::BURNED;
                    self.close(i, p, Outcome::Burned);
                }
                Meaning::Again => write.phase = requeued,
                Meaning::Bystander => {
                    *seen |= sight::BYSTANDER;
                    if !anybody {
                        *seen |= sight::HALVED;
                        write.cap = product::half(size);
                    }
                    write.phase = requeued;
                }
                Meaning::ReadBack => {
                    write.expired &= burn.is_some() || rules.flaw == Flaw::EarlyExpiry;
                    write.phase = Phase::Resolving;
                }
                Meaning::Overtaken => {
                    *seen |= sight::OVERTAKEN;
                    write.phase = Phase::Resolving;
                }
                Meaning::BurnRefused => {
                    *seen |= sight::BURN_REFUSED;
                    write.phase = Phase::Resolving;
                    // Nobody will ever see this burn: its number is free again.
                    let mine = burn.and_then(Standing::stamp).map(|s| s.attempt);
                    let copied = self.net.iter().flat_map(Request::parts).any(|p| Some(p.after().attempt) == mine);
                    let c = &mut self.controllers[usize::from(i)];
                    if mine == Some(i << 4 | (c.attempts - 1)) && !copied {
                        c.attempts -= 1;
                    }
                }
                Meaning::Refused => {
                    side.live = None;
                    self.close(i, p, Outcome::Refused);
                }
            }
        }
    }

    /// A reading ends while an outcome is open.
    fn judge(&mut self, rules: &Rules, i: u8, p: u8, seen: &mut u32) {
        let side = self.side(i, p);
        let (Some(reading), Some(write)) = (side.reading.take(), side.write) else { return };
        side.take(p, Reading { expired: false, ..reading });
        let part = write.part;
        let expired = if rules.flaw == Flaw::LateExpiry { write.expired } else { reading.expired };
        let verdict = product::verdict(rules, &part, reading.fence, expired);
        if verdict != Verdict::Applied && reading.fence == part.after {
            self.broken |= promise::NOT_AFTER_TOLD;
        }
        match verdict {
            Verdict::Applied => {
                *seen |= sight::READ_BACK_APPLIED | if write.restored { sight::RESTORED_APPLIED } else { 0 };
                self.close(i, p, Outcome::Applied);
            }
            Verdict::Lost => {
                *seen |= sight::LOST;
                self.close(i, p, Outcome::Lost);
            }
            Verdict::Expired => {
                *seen |= sight::EXPIRED;
                self.close(i, p, Outcome::Expired);
            }
            Verdict::Refused => self.close(i, p, Outcome::Refused),
            Verdict::MayLand => {
                let attempt = self.next_attempt(i);
                let side = self.side(i, p);
                let to = reading.fence.stamp().map_or(reading.content.min(1), |s| s.to);
                let frozen = side.hand || reading.fence.is_frozen();
                let epoch = product::epoch_of_burn(&part, reading.fence);
                let stamp = Stamp { attempt, epoch, kind: Why::Burn, frozen, to };
                if let Some(write) = &mut side.write {
                    write.phase = Phase::BurnQueued(Standing::of(stamp));
                }
            }
        }
    }

    fn crash(&mut self, i: u8) {
        let at = self.awaited(i);
        if let Some(at) = at {
            self.net[at].awaited = false;
        }
        let c = &mut self.controllers[usize::from(i)];
        c.log.clear();
        c.flight = None;
        for (p, side) in c.side.iter_mut().enumerate() {
            let phase = Phase::Resolving;
            let restored = |part| Write { part, phase, expired: false, cap: u8::MAX, restored: true };
            let write = c.store.open[p].map(restored);
            *side = Side { live: None, reading: None, write, known: c.store.known[p], hand: side.hand };
        }
    }
}

impl Side {
    /// What stands is known.
    fn take(&mut self, p: u8, live: Reading) {
        self.known = self.known.max(product::epoch_of(p, live.fence));
        self.hand &= !live.fence.is_frozen();
        self.live = Some(live);
    }
}

impl Write {
    fn is_ready(&self, rules: &Rules) -> bool {
        match self.phase {
            Phase::Queued | Phase::BurnQueued(_) => true,
            Phase::Recording => rules.flaw == Flaw::SendFirst,
            _ => false,
        }
    }
}
