//! A person's hand on one policy: freeze, unfreeze, ack, and the fence that carries the hand to
//! every other instance. What a person asked for stays asked until a fence says so.

use std::time::Duration;

use crate::domain::{ClusterName, Members, Tick};

use super::event::{Command, CommandKind, CommandReply};
use super::fence::{Fence, FenceKind, FenceMode};
use super::guard::fence_refusal;
use super::intent::{Intent, Kind};
use super::journal::{FreezeSnapshot, HandKind, HandSnapshot, TransitionKind};
use super::notice::{NoticeKind, Severity};
use super::own;
use super::planned;
use super::report::{NotYet, Unwritten};
use super::state::{Cx, PolicyState, Shared, Urgency, Words};
use super::switch;

/// A write a person asked for is given up when it could not be begun within this.
const HAND_LIFE: Duration = Duration::from_secs(30);

/// What a person asked for and no fence says yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hand {
    pub what: Asked,
    /// By whom and why.
    pub said: String,
    pub asked: Tick,
    /// What became of its last write.
    pub failed: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Unfreeze,
    Ack,
    Release,
    Takeover(ClusterName),
    Force(Members),
}

impl Hand {
    /// What outlives the process; release, takeover and force are asked of one moment only.
    pub fn snapshot(&self) -> Option<HandSnapshot> {
        let what = match self.what {
            Asked::Unfreeze => HandKind::Unfreeze,
            Asked::Ack => HandKind::Ack,
            Asked::Release | Asked::Takeover(_) | Asked::Force(_) => return None,
        };
        Some(HandSnapshot { what, said: self.said.clone() })
    }

    /// An earlier run was asked for it.
    pub fn restored(snapshot: &HandSnapshot, now: Tick) -> Hand {
        let what = match snapshot.what {
            HandKind::Unfreeze => Asked::Unfreeze,
            HandKind::Ack => Asked::Ack,
        };
        Hand { what, said: snapshot.said.clone(), asked: now, failed: None }
    }
}

impl Asked {
    /// Done before anything is decided, on a reading younger than the command.
    fn goes_first(&self) -> bool {
        matches!(self, Asked::Release | Asked::Takeover(_) | Asked::Force(_))
    }

    fn text(&self) -> &'static str {
        match self {
            Asked::Unfreeze => "unfreeze",
            Asked::Ack => "ack",
            Asked::Release => "release",
            Asked::Takeover(_) => "takeover",
            Asked::Force(_) => "force",
        }
    }
}

impl PolicyState {
    /// The fleet's brakes froze every policy; it is told once for all of them.
    pub(super) fn freeze_by_guard(&mut self, cx: &mut Cx, why: &str) {
        let by = "the fleet guard".to_owned();
        self.brakes.frozen = Some(FreezeSnapshot { since: cx.now.wall, by, reason: why.to_owned(), carried: false });
        self.brakes.freeze_is_news = true;
        self.dirty = true;
        if self.write.as_ref().is_some_and(switch::Writing::is_automatic) {
            switch::drop_unsent(self, cx, "frozen");
        }
    }

    /// A person's hand.
    pub(super) fn command(&mut self, cx: &mut Cx, command: &Command) -> CommandReply {
        let said = format!("by {}: {}", command.by, command.reason);
        let id = self.policy.id.clone();
        let observing = !cx.shared.mode.writes();
        match &command.kind {
            CommandKind::Freeze => self.freeze(cx, command, &said),
            // Before the fence is read nobody can say what it would be lifted from.
            CommandKind::Unfreeze | CommandKind::Ack if self.live.read_at.is_none() => {
                CommandReply::Refused(format!("{id}: the zone has not been read yet; type it again in a moment"))
            }
            CommandKind::Unfreeze => self.unfreeze(cx, &said),
            CommandKind::Ack => self.ack(cx, &said),
            _ if observing => CommandReply::Refused(format!(
                "{id}: this process only observes; run `failoverd run` without --observe"
            )),
            CommandKind::Adopt { to, repair } => own::adopt(self, cx, to, *repair, &said),
            CommandKind::Release => own::release(self, cx, &said),
            CommandKind::Takeover { from } => own::takeover(self, cx, from, &said),
            CommandKind::Switch { to, drain } => planned::switch_to(self, cx, to, *drain, &said),
            CommandKind::Failback => planned::failback(self, cx, &said),
            CommandKind::Drain { target, hard } => {
                planned::drain(self, cx, *target, *hard, &command.by, &command.reason)
            }
            CommandKind::Undrain { target } => planned::undrain(self, cx, *target, &said),
            CommandKind::Force { to } => own::force(self, cx, to, &said),
            CommandKind::Apply(saved) => planned::apply(self, cx, saved, &said),
        }
    }

    fn freeze(&mut self, cx: &mut Cx, command: &Command, said: &str) -> CommandReply {
        let id = self.policy.id.clone();
        self.brakes.frozen = Some(FreezeSnapshot {
            since: cx.now.wall,
            by: command.by.clone(),
            reason: command.reason.clone(),
            carried: false,
        });
        self.brakes.freeze_is_news = true;
        self.hands.retain(|h| h.what != Asked::Unfreeze);
        if self.write.as_ref().is_some_and(switch::Writing::is_automatic) {
            switch::drop_unsent(self, cx, "frozen");
        }
        self.journal(cx, TransitionKind::Frozen, format!("frozen {said}"));
        let words = Words {
            why: vec![said.to_owned()],
            next: vec!["no automatic write until unfreeze; probing goes on".into()],
            undo: Some(format!("failoverd unfreeze {id}")),
            moved: None,
        };
        self.tell(cx, NoticeKind::Frozen, Severity::Warning, format!("{id}: frozen"), words);
        CommandReply::Accepted(format!("{id}: frozen here now; the fence follows"))
    }

    fn unfreeze(&mut self, cx: &mut Cx, said: &str) -> CommandReply {
        let id = self.policy.id.clone();
        let frozen = self.brakes.frozen.take().is_some();
        if frozen {
            // A person has looked; what made the fleet's brakes stop counts no more.
            cx.shared.evacuation.forget();
            self.left = None;
        }
        let forced = std::mem::take(&mut self.brakes.forced);
        if !frozen && !forced {
            return CommandReply::Accepted(format!("{id}: was not frozen"));
        }
        self.brakes.freeze_is_news = false;
        // A freeze that waits for its turn would reach the fence after it was lifted.
        if self.write.as_ref().is_some_and(|w| w.intent.kind == Kind::Freeze) {
            switch::drop_unsent(self, cx, "unfrozen");
        }
        self.ask(cx, Asked::Unfreeze, said);
        self.journal(cx, TransitionKind::Unfrozen, format!("unfrozen {said}"));
        let words = Words { why: vec![said.to_owned()], ..Words::default() };
        self.tell(cx, NoticeKind::Unfrozen, Severity::Info, format!("{id}: unfrozen"), words);
        CommandReply::Accepted(format!("{id}: unfrozen"))
    }

    fn ack(&mut self, cx: &mut Cx, said: &str) -> CommandReply {
        let id = self.policy.id.clone();
        let nothing = self.brakes.locked.is_none()
            && !self.brakes.failback_blocked
            && !self.brakes.unverified
            && self.brakes.shrunk.is_none()
            && self.write_trouble.is_none();
        self.brakes.locked = None;
        self.brakes.lock_is_news = false;
        self.brakes.failback_blocked = false;
        self.brakes.unverified = false;
        self.brakes.forget_moves();
        self.ask(cx, Asked::Ack, said);
        self.write_trouble = None;
        self.journal(cx, TransitionKind::Acked, format!("acknowledged {said}"));
        let words = Words { why: vec![said.to_owned()], ..Words::default() };
        self.tell(cx, NoticeKind::Acked, Severity::Info, format!("{id}: acknowledged"), words);
        let what = if nothing { "nothing was waiting for it; noted" } else { "automatic moves are possible again" };
        CommandReply::Accepted(format!("{id}: {what}"))
    }

    /// Remembers what is to be written until a fence says so.
    pub(super) fn ask(&mut self, cx: &Cx, what: Asked, said: &str) {
        if cx.shared.mode.writes() {
            self.hands.retain(|h| h.what != what);
            self.hands.push(Hand { what, said: said.to_owned(), asked: cx.now.mono, failed: None });
        }
    }

    pub(super) fn asked(&self, what: &Asked) -> Option<&Hand> {
        self.hands.iter().find(|h| h.what == *what)
    }

    /// A person's write is on its way; nothing else is decided before it.
    pub(super) fn hand_goes_first(&self) -> bool {
        self.hands.iter().any(|h| h.what.goes_first())
    }

    /// What a person asked for here and no fence says yet, each with the reason.
    pub(super) fn unwritten(&self, shared: &Shared) -> Vec<Unwritten> {
        let freeze = (self.brakes.frozen.is_some() && self.brakes.freeze_is_news).then_some("freeze");
        let hands = self.hands.iter().map(|h| h.what.text());
        let (why, text) = self.not_yet(shared);
        freeze.into_iter().chain(hands).map(|what| Unwritten { what: what.into(), why, text: text.clone() }).collect()
    }

    fn not_yet(&self, shared: &Shared) -> (NotYet, String) {
        let said = self.provider_said(shared);
        let fences = self.policy.records.iter().zip(&self.live.fences);
        let mut against = fences.filter_map(|(name, fence)| fence_refusal(self, shared, Kind::Freeze, name, fence));
        if self.write_trouble.is_some() {
            return (NotYet::Refused, said.unwrap_or_default());
        }
        if let Some(error) = &shared.store_broken {
            return (NotYet::Unstored, format!("the state could not be written: {error}"));
        }
        if self.live.read_at.is_none() || self.live.error.is_some() {
            return (NotYet::Unread, said.unwrap_or_else(|| "the record has not been read yet".into()));
        }
        match (against.next(), &self.write) {
            (Some(refusal), _) => (NotYet::NotOurs, refusal.text),
            (None, Some(write)) => (NotYet::Underway, format!("write {} has no outcome yet", write.intent.id)),
            (None, None) => (NotYet::Underway, "the write has not begun yet".into()),
        }
    }

    /// What the provider said last instead of an answer, or to the last write.
    pub(super) fn provider_said(&self, shared: &Shared) -> Option<String> {
        let write = self.write_trouble.as_ref().map(|t| t.message.clone());
        let read = self.live.error.as_ref().map(|e| e.message.clone());
        let zone = || shared.zones.get(self.zone.index())?.trouble.as_ref().map(|t| t.message.clone());
        write.or(read).or_else(zone)
    }

    /// When a hand is given up.
    pub(super) fn hand_wake(&self) -> Option<Tick> {
        self.hands.iter().filter(|h| h.what.goes_first()).map(|h| h.asked + HAND_LIFE).min()
    }

    /// Begins what a person asked for as soon as nothing else is being written and the zone was
    /// read after the command; tells when it cannot be.
    pub(super) fn carry_out_hands(&mut self, cx: &mut Cx) {
        let Some(hand) = self.hands.iter().find(|h| h.what.goes_first()).cloned() else { return };
        if self.write.is_some() {
            return;
        }
        let refused = self.write_trouble.as_ref().map(|t| t.message.clone());
        // Break-glass goes at once on what was read last; a stale fence is refused, which is safe.
        let young = |at: Tick| at > hand.asked || matches!(hand.what, Asked::Force(_));
        let read_since = self.live.read_at.is_some_and(young) && !self.live.stale;
        if let Some(message) = refused {
            return self.give_up(cx, &hand, &message);
        }
        let taken = matches!(hand.what, Asked::Takeover(_)) && self.live.fences.iter().all(|f| f.ours().is_some());
        if cx.now.mono.since(hand.asked) >= HAND_LIFE && !(taken && read_since) {
            let read = self.live.error.as_ref().map(|e| e.message.clone());
            let why = hand.failed.clone().or(read).unwrap_or_else(|| "the zone could not be read in time".into());
            return self.give_up(cx, &hand, &why);
        }
        if !read_since {
            return self.read_now(cx, Urgency::FenceRead);
        }
        if let Err(why) = own::begin(self, cx, &hand) {
            self.give_up(cx, &hand, &why);
        }
    }

    /// A write of a hand ended without standing in the zone.
    pub(super) fn hand_failed(&mut self, intent: &Intent) {
        let mine = |what: &Asked| match what {
            Asked::Release => intent.kind == Kind::Release,
            Asked::Takeover(_) => intent.kind == Kind::Takeover,
            Asked::Force(_) => intent.kind == Kind::Force,
            Asked::Unfreeze | Asked::Ack => false,
        };
        for hand in self.hands.iter_mut().filter(|h| mine(&h.what)) {
            hand.failed = Some(planned::why_not(intent));
        }
    }

    fn give_up(&mut self, cx: &mut Cx, hand: &Hand, why: &str) {
        self.hands.retain(|h| h.what != hand.what);
        let id = self.policy.id.clone();
        let what = hand.what.text();
        self.journal(cx, TransitionKind::Dropped, format!("{what} {} was not made: {why}", hand.said));
        let words = Words {
            why: vec![why.to_owned()],
            next: vec![format!("`failoverd {what} {id}` again when the cause is gone")],
            ..Words::default()
        };
        let severity = if matches!(hand.what, Asked::Force(_)) { Severity::Critical } else { Severity::Warning };
        self.tell(cx, NoticeKind::Refused, severity, format!("{id}: the {what} was not made"), words);
    }

    /// A write of ours stands whose fence says `mode`: what it carries is asked no more.
    pub(super) fn hand_written(&mut self, cx: &mut Cx, kind: Kind, mode: FenceMode) {
        // Another write may carry a freeze too, but only this one ends a peer's unfreeze of an older one.
        self.brakes.freeze_is_news &= kind != Kind::Freeze;
        self.brakes.lock_is_news &= mode != FenceMode::Locked;
        let done = |what: &Asked| match what {
            Asked::Ack => kind == Kind::Ack,
            Asked::Unfreeze => !matches!(mode, FenceMode::Frozen | FenceMode::Forced),
            Asked::Release => kind == Kind::Release,
            Asked::Takeover(_) => kind == Kind::Takeover,
            Asked::Force(_) => kind == Kind::Force,
        };
        let (over, still) = std::mem::take(&mut self.hands).into_iter().partition(|h| done(&h.what));
        self.hands = still;
        let over: Vec<Hand> = over;
        for hand in over.iter().filter(|h| h.what.goes_first()) {
            own::told(self, cx, hand);
        }
    }

    /// An ack that is in no fence and will not be written again.
    pub(super) fn tell_lost_ack(&mut self, cx: &mut Cx, why: &str) {
        let id = self.policy.id.clone();
        let next = vec![format!("`failoverd ack {id}` again if `failoverd status {id}` still waits for it")];
        let words = Words { why: vec![why.to_owned()], next, ..Words::default() };
        self.tell(cx, NoticeKind::Refused, Severity::Warning, format!("{id}: the ack was lost"), words);
        self.dirty = true;
    }

    /// The fence must carry the hand and the lock-out we know of, here and everywhere.
    pub(super) fn keep_fence_mode(&mut self, cx: &mut Cx) {
        let calm = self.write.is_none()
            && !self.live.stale
            && self.write_trouble.as_ref().is_none_or(|t| t.next_try <= cx.now.mono);
        if !calm || cx.shared.store_broken.is_some() || self.live.fences.is_empty() {
            return;
        }
        if !self.live.fences.iter().all(|f| f.ours().is_some()) {
            // There is no fence of ours to say it; what is asked of another day's fence is asked anew. Who makes a
            // spoiled one good lifts what it says.
            let spoiled = self.live.fences.iter().any(|f| matches!(f, Fence::Unusable { .. }));
            if spoiled && self.asked(&Asked::Ack).is_some() {
                self.tell_lost_ack(cx, "the fence cannot be used, and may say locked still");
            }
            self.hands.retain(|h| h.what.goes_first() || spoiled && h.what == Asked::Unfreeze);
            return;
        }
        let lifting = self.asked(&Asked::Unfreeze).map(|h| h.asked);
        // A burn keeps the epoch it stands on: who reads the next write cannot tell that it lifted anything.
        let burns = |f: &Fence| f.ours().is_some_and(|(v, _)| v.kind == FenceKind::Known(Kind::Burn));
        let burnt = lifting.is_some() && self.live.fences.iter().any(burns);
        if lifting.is_some_and(|asked| asked < self.live.read_began) && !self.live.is_held() && !burnt {
            // Asked for after the unfreeze, this reading shows nothing to lift: what is frozen later is not meant.
            self.hands.retain(|h| h.what != Asked::Unfreeze);
            self.dirty = true;
        }
        if lifting.is_none() {
            // Whoever typed it, nobody lifted it here.
            self.brakes.forced |= self.live.says(FenceMode::Forced);
            self.frozen_through_the_fence(cx);
        }
        if self.brakes.lock_is_news && self.live.says(FenceMode::Locked) {
            // A burn may have carried it.
            self.brakes.lock_is_news = false;
            self.dirty = true;
        }
        if self.asked(&Asked::Ack).is_none() && self.live.says(FenceMode::Locked) {
            self.brakes.lock(cx.now);
        }
        let mode = self.brakes.mode();
        let differs = |f: &Fence| f.ours().is_some_and(|(v, _)| v.mode != mode);
        let kind = if self.asked(&Asked::Ack).is_some() {
            Kind::Ack
        } else if self.live.fences.iter().any(differs) || self.brakes.freeze_is_news || burnt {
            match mode {
                FenceMode::Frozen | FenceMode::Forced => Kind::Freeze,
                FenceMode::Locked => Kind::Lock,
                FenceMode::Auto | FenceMode::Released => Kind::Unfreeze,
            }
        } else {
            return;
        };
        // Not begun: tried again when something changes.
        let _ = switch::start(self, cx, kind, None, "the fence is to carry it");
    }
}
