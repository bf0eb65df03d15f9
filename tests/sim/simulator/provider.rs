//! The way to the provider and its moods: every request may be slow, late, lost, doubled, throttled
//! or denied, before or after it did what it says.

use failoverd::engine::action::ApiCall;
use failoverd::engine::event::Event;
use failoverd::engine::zone::*;

use super::check::Invariant;
use super::world::{Due, Sent, World, name_servers};

/// A signed request is refused after this (AWS Signature Version 4), milliseconds.
const SIGNATURE_LIFE: u64 = 15 * 60 * 1000;
/// The client gives a request up after this.
const PATIENCE: u64 = 10_000;
/// Changes become INSYNC after 5 to 60 s.
const SYNC: (u64, u64) = (5_000, 60_000);

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The request arrives, its answer is lost.
    AnswerLost,
    /// The request never arrives.
    Lost,
    /// It arrives after so many milliseconds, when its sender has given it up.
    Late(u64),
    /// It arrives, and once more later.
    Twice(u64),
    /// The provider answers 5xx; whether it did what it was asked.
    ServerError(bool),
    Throttled,
    Busy,
}

#[derive(Default)]
pub struct Provider {
    pub down_until: u64,
    pub denies_until: u64,
    pub throttles_until: u64,
    /// What becomes of the next writes.
    pub fates: Vec<Fate>,
    /// Requests of the last second, of the whole account.
    recent: std::collections::VecDeque<u64>,
}

impl Provider {
    /// Five requests a second and a burst of fifty are about what an account has.
    fn is_over_its_rate(&mut self, now: u64) -> bool {
        while self.recent.front().is_some_and(|at| at + 1000 <= now) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len() > 50 || now < self.throttles_until
    }
}

impl World {
    pub fn call(&mut self, i: usize, call: ApiCall) {
        if let Err((invariant, text)) = self.checker.called(i, &self.instances[i], &call, &self.scene, self.now) {
            self.fail(invariant, || text);
        }
        let run = self.instances[i].run;
        match call {
            ApiCall::Write { batch, zone, changes, .. } => {
                self.counts.writes += 1;
                let Some(zone) = self.zones.iter().position(|z| z.id == zone) else {
                    return self.fail(Invariant::I2, || "a write to a zone that does not exist".into());
                };
                let sent =
                    Sent { i, run, batch, zone, changes, signed: self.now, answer_after: None, again_after: None };
                self.send(sent);
            }
            read => {
                let took = self.rng.within(10, 60);
                self.due(self.now + took, Due::Read { i, run, call: Box::new(read) });
            }
        }
    }

    fn send(&mut self, sent: Sent) {
        let there = self.rng.within(5, 40);
        let back = self.rng.within(5, 40);
        let (i, run, batch) = (sent.i, sent.run, sent.batch);
        let answer = |answer| Box::new(Event::Answered { batch, answer });
        let links = &self.instances[i].links;
        if links.no_api || self.now < self.provider.down_until {
            let error = ApiError { kind: ApiErrorKind::Unreachable, message: "no connection".into() };
            return self.due(self.now + there, Due::To(i, run, answer(WriteAnswer::NotSent(error))));
        }
        if links.deaf {
            self.due(self.now + there, Due::Write(Box::new(sent)));
            return self.due(self.now + PATIENCE, Due::To(i, run, answer(WriteAnswer::Ambiguous("timeout".into()))));
        }
        let fate = self.provider.fates.pop();
        let at = self.now + there;
        match fate {
            None => self.due(at, Due::Write(Box::new(Sent { answer_after: Some(back), ..sent }))),
            Some(Fate::Lost) => {
                self.due(self.now + PATIENCE, Due::To(i, run, answer(WriteAnswer::Ambiguous("timeout".into()))));
            }
            Some(Fate::AnswerLost) => {
                self.due(at, Due::Write(Box::new(sent)));
                self.due(self.now + PATIENCE, Due::To(i, run, answer(WriteAnswer::Ambiguous("timeout".into()))));
            }
            Some(Fate::Late(after)) => {
                self.due(self.now + after, Due::Write(Box::new(sent)));
                let given_up = self.now + PATIENCE.min(after.saturating_sub(1));
                self.due(given_up, Due::To(i, run, answer(WriteAnswer::Ambiguous("connection reset".into()))));
            }
            Some(Fate::Twice(after)) => {
                let twice = Sent { answer_after: Some(back), again_after: Some(after), ..sent };
                self.due(at, Due::Write(Box::new(twice)));
            }
            Some(Fate::ServerError(done)) => {
                if done {
                    self.due(at, Due::Write(Box::new(sent)));
                }
                self.due(at + back, Due::To(i, run, answer(WriteAnswer::Ambiguous("HTTP status 500".into()))));
            }
            Some(Fate::Throttled | Fate::Busy) => {
                let (code, message) = if fate == Some(Fate::Busy) {
                    (RefusedCode::PriorRequestNotComplete, "a prior request is not complete")
                } else {
                    (RefusedCode::Throttled, "Rate exceeded")
                };
                let refused = WriteAnswer::Refused { code, message: message.into() };
                self.due(at + back, Due::To(i, run, answer(refused)));
            }
        }
    }

    pub fn write_arrives(&mut self, sent: Sent) {
        let Sent { i, run, batch, zone, changes, signed, answer_after, again_after } = sent;
        let insync = self.rng.within(SYNC.0, SYNC.1);
        let answer = if self.now > signed + SIGNATURE_LIFE {
            WriteAnswer::Refused { code: RefusedCode::Credentials, message: "the signature has expired".into() }
        } else if self.now < self.provider.denies_until {
            WriteAnswer::Refused { code: RefusedCode::Denied, message: "access denied".into() }
        } else if self.provider.is_over_its_rate(self.now) {
            WriteAnswer::Refused { code: RefusedCode::Throttled, message: "Rate exceeded".into() }
        } else {
            let before = self.checker.before(&self.zones[zone], &changes);
            match self.zones[zone].apply(self.now, insync, &changes) {
                Ok(change_id) => {
                    let verdict = self.checker.applied(&self.zones[zone], &changes, before, signed, self.now);
                    match verdict {
                        Ok(moves) => self.counts.moves += moves,
                        Err((invariant, text)) => self.fail(invariant, || text),
                    }
                    WriteAnswer::Accepted { change_id }
                }
                Err(message) => WriteAnswer::Refused { code: RefusedCode::Precondition, message },
            }
        };
        self.say(|| format!("PROVIDER {changes:?} -> {answer:?}"));
        self.trace.hash(format_args!("{answer:?}"));
        if let (Some(after), WriteAnswer::Accepted { .. }) = (again_after, &answer) {
            let copy = Sent { i, run, batch, zone, changes, signed, answer_after: None, again_after: None };
            self.due(self.now + after, Due::Write(Box::new(copy)));
        }
        if let Some(after) = answer_after {
            self.due(self.now + after, Due::To(i, run, Box::new(Event::Answered { batch, answer })));
        }
    }

    pub fn read_arrives(&mut self, i: usize, run: u32, call: ApiCall) {
        let took = self.rng.within(5, 40);
        let links = &self.instances[i].links;
        let trouble = if links.no_api || links.deaf || self.now < self.provider.down_until {
            Some((ApiErrorKind::Unreachable, "no connection"))
        } else if self.now < self.provider.denies_until {
            Some((ApiErrorKind::Denied, "access denied"))
        } else if self.provider.is_over_its_rate(self.now) {
            Some((ApiErrorKind::Throttled, "Rate exceeded"))
        } else {
            None
        };
        let wait = if links.deaf { PATIENCE } else { took };
        let failing = trouble.map(|(kind, message)| ApiError { kind, message: message.into() });
        let event = match call {
            ApiCall::ResolveZone { zone, zone_ref, servers } => {
                let found = self.zones.iter().find(|z| Some(&z.name) == zone_ref.name.as_ref());
                let result = found.map(|z| ZoneInfo {
                    id: z.id.clone(),
                    name: z.name.clone(),
                    name_servers: if servers { name_servers() } else { Vec::new() },
                    private: false,
                });
                let none = ApiError { kind: ApiErrorKind::NoSuchZone, message: "no such zone".into() };
                Event::ZoneResolved { zone, result: failing.map_or(result.ok_or(none), Err) }
            }
            ApiCall::ReadRecord { policy, record, zone, name, fence } => {
                let Some(zone) = self.zones.iter().find(|z| z.id == zone) else { return };
                let read = RecordRead { sets: zone.at(&name), fence: zone.at(&fence) };
                Event::Read { policy, record, result: failing.map_or(Ok(read), Err), calls: 2 }
            }
            ApiCall::GetChange { intent, change_id } => {
                let status = self
                    .zones
                    .iter()
                    .find(|z| change_id.starts_with(&format!("C{}", z.id)))
                    .map_or(ChangeStatus::Vanished, |z| z.status(self.now, &change_id));
                Event::Synced { intent, result: failing.map_or(Ok(status), Err) }
            }
            ApiCall::Write { .. } => return,
        };
        self.due(self.now + wait, Due::To(i, run, Box::new(event)));
    }
}
