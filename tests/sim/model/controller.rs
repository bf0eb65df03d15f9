//! A controller's write protocol around the engine's own functions: it decides, records, sends, hears,
//! reads back and dies. Decides nothing itself that the product decides.

use failoverd::engine::intent::Meaning;

use super::moves::{promise, sight};
use super::product::{self, Answer, Flaw, Rules, Verdict};
use super::world::*;

impl World {
    fn next_attempt(&mut self, i: u8) -> Attempt {
        let c = &mut self.controllers[usize::from(i)];
        c.attempts += 1;
        assert!(c.attempts <= 16, "a configuration needs more attempts than four bits hold");
        i << 4 | (c.attempts - 1)
    }

    pub(super) fn decide(&mut self, rules: &Rules, i: u8, p: u8, why: Why) {
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

    pub(super) fn commit(&mut self, i: u8) {
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
    pub(super) fn close(&mut self, i: u8, p: u8, outcome: Outcome) {
        if let Some(write) = self.side(i, p).write.take() {
            let entry = Entry::Outcome(p, write.part.after().attempt, outcome);
            self.controllers[usize::from(i)].log.push(entry);
        }
    }

    pub(super) fn send(&mut self, rules: &Rules, i: u8, seen: &mut u32) {
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

    /// An answer reaches its controller: each write in the request learns what it means for itself.
    pub(super) fn answer(&mut self, rules: &Rules, i: u8, answer: Answer, named: [bool; POLICIES], seen: &mut u32) {
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
    pub(super) fn judge(&mut self, rules: &Rules, i: u8, p: u8, seen: &mut u32) {
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

    pub(super) fn crash(&mut self, i: u8) {
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
    pub(super) fn take(&mut self, p: u8, live: Reading) {
        self.known = self.known.max(product::epoch_of(p, live.fence));
        self.hand &= !live.fence.is_frozen();
        self.live = Some(live);
    }
}

impl Write {
    pub(super) fn is_ready(&self, rules: &Rules) -> bool {
        match self.phase {
            Phase::Queued | Phase::BurnQueued(_) => true,
            Phase::Recording => rules.flaw == Flaw::SendFirst,
            _ => false,
        }
    }
}
