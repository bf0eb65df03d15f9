//! What the fence tells us: a peer's epoch, brakes and hands are taken over as if they were ours
//! (docs/adr/0010). Never writes.

use std::time::Duration;

use crate::domain::{Members, Now, Tick, UnixMs};
use crate::seeded::{Bug, seeded};

use super::fence::{Fence, FenceKind, FenceMode, FenceValue};
use super::hand::Asked;
use super::health::TargetHealth;
use super::intent::{IntentId, Kind};
use super::journal::{FreezeSnapshot, SeenFence, TransitionKind};
use super::line::{self, Line};
use super::live::members_named;
use super::notice::{NoticeKind, Severity};
use super::own::adopt_command;
use super::select::tier_of;
use super::state::{Cx, PolicyState, Shared, Words};
use super::verify;

const HOUR: Duration = Duration::from_secs(3600);

/// What the reading before this one showed, in this run.
pub(super) struct LastReading {
    pub members: Option<Members>,
    /// `None`: there was none.
    pub at: Option<Tick>,
    /// Automatic moves within the hour that were known.
    pub moves: u32,
}

/// A fence of our cluster that was not seen before.
struct News {
    value: FenceValue,
    line: Line,
    /// What the fence seen before it said.
    said: Option<FenceMode>,
    /// Writes between the two that were not seen, as far as their epochs tell.
    unseen: u64,
    is_peer: bool,
    /// What was published at the reading before, or by the fence seen before when this run has read nothing yet.
    before: Option<Members>,
    /// Written after this, whatever its writer's clock says.
    after: Option<Tick>,
    /// Automatic moves within the hour that were known before it.
    known: u32,
}

/// How it is told that a mode holds, and the command that ends it.
fn held(mode: FenceMode) -> (TransitionKind, NoticeKind, &'static str) {
    match mode {
        FenceMode::Locked => (TransitionKind::Locked, NoticeKind::Locked, "ack"),
        _ => (TransitionKind::Frozen, NoticeKind::Frozen, "unfreeze"),
    }
}

impl PolicyState {
    /// Another instance of our cluster wrote the fence (or an earlier run of this one whose disk
    /// is lost): its epoch and brakes are taken over as if they were ours.
    pub(super) fn adopt_peer(&mut self, cx: &mut Cx, last: LastReading) {
        let cluster = &cx.shared.settings.cluster;
        let fences = self.policy.records.iter().zip(&self.live.fences);
        self.fenced.extend(fences.filter(|(_, f)| f.of_cluster(cluster).is_some()).map(|(name, _)| name.clone()));
        let newest = self.live.fences.iter().filter_map(|f| f.of_cluster(cluster)).max_by_key(|v| v.epoch).cloned();
        let line = newest.as_ref().map_or(Line::Broken, |value| Line::from(self.seen.as_ref(), value));
        let was_broken = self.seen.as_ref().is_some_and(|seen| seen.broken);
        let Some(value) = newest.filter(|_| line != Line::Same) else {
            let broken = line != Line::Same;
            self.seen.iter_mut().for_each(|seen| seen.broken = broken);
            self.dirty |= broken != was_broken;
            if broken {
                self.held_through_damage(cx);
            }
            return;
        };
        if self.write.as_ref().is_some_and(|w| w.intent.id.0 == value.attempt) {
            return;
        }
        let seen = self.seen.replace(SeenFence::of(&value));
        let named = || members_named(&self.policy, &seen.as_ref()?.to);
        let news = News {
            line,
            said: seen.as_ref().map(|seen| seen.mode),
            unseen: seen.as_ref().map_or(0, |seen| line::unseen(seen, &value)),
            is_peer: value.instance != cx.shared.settings.instance,
            before: if last.at.is_some() { last.members.filter(|_| line != Line::Unknown) } else { named() },
            after: last.at.filter(|_| line != Line::Unknown),
            known: last.moves,
            value,
        };
        // A race lost to another instance is no refusal by the provider.
        self.precondition_failures = 0;
        self.known_epoch = self.known_epoch.max(news.value.epoch);
        self.dirty = true;
        self.overtake_hands(cx, &news);
        let is_new = self.take_moves_of(cx, &news);
        self.take_mode(cx, &news);
        self.take_words(&news);
        verify::overtaken(self, cx, &news.value);
        self.tell_peer(cx, &news, is_new);
    }

    /// A fence that holds may be younger than the unfreeze or ack we still have to write, unless it only carries on
    /// what the one seen said; an older one is written over.
    fn overtake_hands(&mut self, cx: &mut Cx, news: &News) {
        let (value, said) = (&news.value, news.said);
        let is = |kind| value.kind == FenceKind::Known(kind);
        // A burn of ours is older than what was typed since; a peer's may stand on a write of ours that lifted it.
        let follows = news.line == Line::Next && !(news.is_peer && is(Kind::Burn));
        let hand = match value.mode {
            _ if !news.is_peer && is(Kind::Burn) => return,
            _ if is(Kind::Freeze) || is(Kind::Force) => Asked::Unfreeze,
            FenceMode::Frozen | FenceMode::Forced if !(follows && said == Some(value.mode)) => Asked::Unfreeze,
            FenceMode::Locked if !(follows && said != Some(FenceMode::Auto)) => Asked::Ack,
            _ => return,
        };
        if self.asked(&hand).is_none() {
            return;
        }
        self.hands.retain(|h| h.what != hand);
        let (kind, notice, verb) = held(value.mode);
        let (id, mode) = (self.policy.id.clone(), value.mode.as_str());
        let text = format!(
            "the {verb} is not written: {}/{} wrote epoch {} ({}), which says {mode} and may be younger",
            value.cluster, value.instance, value.epoch, value.kind
        );
        self.journal(cx, kind, text.clone());
        let next = vec![format!("`failoverd {verb} {id}` again if it is still meant")];
        let title = format!("{id}: {mode} again");
        self.tell(cx, notice, Severity::Warning, title, Words { why: vec![text], next, ..Words::default() });
    }

    /// The moves it tells of are counted and hold down, wherever it stands. Returns whether they are new.
    fn take_moves_of(&mut self, cx: &mut Cx, news: &News) -> bool {
        let (now, value) = (cx.now, &news.value);
        let by_clock = now.mono - now.wall.since(value.written);
        let at = by_clock.max(news.after.unwrap_or_default());
        // A move and a write after it, both since the last reading: the record tells of the first. A trim or
        // fill stays in its tier.
        let to = members_named(&self.policy, &value.to);
        let elsewhere = |before: &Members| match (&to, &value.kind) {
            (Some(to), FenceKind::Known(Kind::Trim | Kind::Fill)) => tier_of(self, to) != tier_of(self, before),
            (Some(to), kind) => !kind.moves_the_record() && to != before,
            (None, _) => false,
        };
        let moved_unseen = news.before.as_ref().is_some_and(elsewhere);
        if moved_unseen && value.moves <= news.known {
            // Its writer counts no automatic move that is not known here: a person's, and it has a direction.
            let from = news.before.as_ref().map(|m| tier_of(self, m));
            if !self.brakes.failback_blocked && to.as_ref().map(|to| tier_of(self, to)) > from {
                self.brakes.failback_blocked = true;
                self.tell_moved_unseen(cx, value);
            }
        }
        let is_counted = value.kind.is_counted_move() || moved_unseen;
        let acking = self.asked(&Asked::Ack).is_some();
        // There and back again, or before anything was seen here: only the moves its writer counts tell of it.
        let may_hide = news.unseen > 0 || matches!(news.line, Line::Unknown | Line::Broken);
        let returned = !acking && may_hide && value.moves > self.brakes.moves_last_hour(now.mono);
        // Of a zone that was rolled back, this may be counted; ours are, when they are accepted.
        let again = news.line == Line::Broken && (!news.is_peer || self.brakes.knows_move(by_clock));
        if self.is_answered(news) {
            self.brakes.forget_moves();
        }
        if seeded(Bug::BrakesPerProcess) {
            return !again;
        }
        // What was counted more than an hour before counts no more.
        if now.wall.since(value.written) < HOUR {
            // Its writer may know of fewer moves than are counted here, or of others: this one is one more, and
            // so may be each that came in between, unseen.
            if is_counted && !again {
                let others = news.unseen.min(value.moves.saturating_sub(1).into());
                (0..=others).for_each(|_| self.brakes.count_move(at, now.mono));
            }
            // What an ack forgets that no fence says yet is what was known when it was typed.
            if !acking || news.line == Line::Broken {
                self.brakes.at_least(value.moves, at, now.mono);
            }
        }
        match value.kind {
            FenceKind::Known(Kind::Trim) => {
                let (from, to) = (news.before.as_ref().map(Members::count), to.map(|m| m.count()));
                self.brakes.count_trim(at, to.is_none() || to < from || from.is_none());
            }
            FenceKind::Known(Kind::Fill) => self.brakes.count_fill(at),
            _ => {}
        }
        let by_hand = matches!(value.kind, FenceKind::Known(Kind::Switch | Kind::Force));
        if is_counted || returned || by_hand {
            // A request may have lain in the network: when it was applied nobody knows but that it was before
            // now, so its hold-down begins now.
            let ended = if news.after.is_some() { now.mono } else { at };
            let hold_down = self.policy.failover.hold_down;
            let still = |until: Tick| Some(until).filter(|until| *until > now.mono);
            self.brakes.hold_down_until = self.brakes.hold_down_until.max(still(ended + hold_down));
            if news.is_peer {
                self.brakes.peer_until = self.brakes.peer_until.max(still(ended + hold_down * 2));
                self.brakes.peer_since = Some(at);
                // To reverse it takes failures that began after it; a target down all along must fail anew.
                self.health.iter_mut().for_each(TargetHealth::count_failures_anew);
            }
        }
        if is_counted || returned {
            self.brakes.lock_again(now);
        }
        !again
    }

    /// It may have been a person's switch; whoever knows that it was none can say so.
    fn tell_moved_unseen(&mut self, cx: &mut Cx, value: &FenceValue) {
        let id = self.policy.id.clone();
        let text =
            format!("epoch {} ({}) names {}, and no automatic move led there", value.epoch, value.kind, value.to);
        self.journal(cx, TransitionKind::PeerMoved, text.clone());
        let next = vec![format!("`failoverd ack {id}` if it is to fail back by itself")];
        let title = format!("{id}: moved by a person, it seems; automatic failback is off");
        self.tell(
            cx,
            NoticeKind::Refused,
            Severity::Warning,
            title,
            Words { why: vec![text], next, ..Words::default() },
        );
    }

    /// What its mode holds back is held back here too, wherever it stands; what it lifts is lifted where the line
    /// from the fence that said so is whole, and nothing is known here that no fence carries yet.
    fn take_mode(&mut self, cx: &mut Cx, news: &News) {
        let (now, mode) = (cx.now, news.value.mode);
        let lifts = news.line.is_whole();
        let acked = lifts && news.value.kind == FenceKind::Known(Kind::Ack) && mode != FenceMode::Locked;
        let free = matches!(mode, FenceMode::Auto | FenceMode::Locked);
        if lifts && (free || mode == FenceMode::Forced) {
            let lifted = self.brakes.frozen.take_if(|_| !self.brakes.freeze_is_news);
            if lifted.is_some() {
                cx.shared.evacuation.forget();
                self.left = None;
            }
        }
        if lifts && free && news.said != Some(FenceMode::Auto) {
            self.brakes.forced = false;
        }
        // A lock-out that the fence does not carry yet outlives any write but a person's ack; so does one that
        // another fence of the policy says.
        let says_auto = mode == FenceMode::Auto && !self.live.says(FenceMode::Locked);
        if acked || lifts && says_auto && !self.brakes.lock_is_news {
            self.brakes.locked = None;
            self.brakes.lock_is_news = false;
        }
        let known = self.brakes.freeze_is_news || self.brakes.lock_is_news;
        let weaker = match self.brakes.mode() {
            FenceMode::Frozen | FenceMode::Forced => free,
            FenceMode::Locked => mode == FenceMode::Auto,
            FenceMode::Auto | FenceMode::Released => false,
        };
        if weaker && !known {
            self.tell_held(cx, &news.value);
        }
        if !lifts && cx.shared.mode.writes() {
            // What holds on is in no fence any more.
            self.brakes.freeze_is_news |= free && self.brakes.frozen.is_some();
            self.brakes.lock_is_news |= mode == FenceMode::Auto && self.brakes.locked.is_some();
        }
        let unfreezing = self.asked(&Asked::Unfreeze).is_some();
        match mode {
            FenceMode::Frozen if !unfreezing => {
                // One that came through a fence is carried again.
                self.brakes.freeze_is_news &= self.brakes.frozen.as_ref().is_some_and(|freeze| !freeze.carried);
                self.frozen_through_the_fence(cx);
            }
            FenceMode::Forced => self.brakes.forced |= !unfreezing,
            FenceMode::Locked if self.asked(&Asked::Ack).is_none() => {
                self.brakes.lock(now);
                self.brakes.lock_is_news = false;
                // A write that only shows it again begins nothing.
                let shows = news.line == Line::Next && news.said != Some(FenceMode::Auto);
                if news.is_peer && news.value.kind == FenceKind::Known(Kind::Lock) && !shows {
                    self.brakes.lock_anew(now);
                }
            }
            FenceMode::Auto | FenceMode::Frozen | FenceMode::Locked | FenceMode::Released => {}
        }
    }

    /// A fence lifts what holds here, and its writer was not seen to know of it: whoever lifted it must again.
    fn tell_held(&mut self, cx: &mut Cx, value: &FenceValue) {
        let (id, mode) = (self.policy.id.clone(), self.brakes.mode().as_str());
        let (kind, notice, verb) = held(self.brakes.mode());
        let text = format!(
            "{}/{} wrote epoch {} ({}), which does not say {mode}, and was not seen to lift it: it holds on",
            value.cluster, value.instance, value.epoch, value.kind
        );
        self.journal(cx, kind, text.clone());
        let next = vec![format!("`failoverd {verb} {id}` if it was lifted")];
        let title = format!("{id}: {mode} still");
        self.tell(cx, notice, Severity::Warning, title, Words { why: vec![text], next, ..Words::default() });
    }

    /// What it says of failback.
    fn take_words(&mut self, news: &News) {
        let whole = news.line.is_whole();
        match news.value.kind {
            FenceKind::Known(Kind::Rollback) => self.brakes.failback_blocked = true,
            // An instance that had no reason to hold it back any more.
            FenceKind::Known(Kind::Failback) if whole && news.is_peer => self.brakes.failback_blocked = false,
            FenceKind::Known(Kind::Switch) => {
                let Some(to) = members_named(&self.policy, &news.value.to) else { return };
                let best = self.policy.targets.iter().map(|t| t.priority).min();
                let from = news.before.as_ref().map(|m| tier_of(self, m)).or(best);
                let was = self.brakes.failback_blocked;
                self.turned(from, &to);
                self.brakes.failback_blocked |= was && !whole;
            }
            _ if self.is_answered(news) => {
                self.brakes.failback_blocked = false;
                self.brakes.unverified = false;
            }
            _ => {}
        }
    }

    /// It is a person's ack, and not one of before the call that waits for one: written after a reading that is
    /// younger than the call, or by the clocks.
    fn is_answered(&self, news: &News) -> bool {
        let is_old = |c: Now| news.after.is_none_or(|at| at < c.mono) && news.value.written < c.wall;
        let acks = news.value.kind == FenceKind::Known(Kind::Ack);
        acks && news.line.is_whole() && !self.brakes.called.is_some_and(is_old)
    }

    /// What a peer did, for the history, the fleet's brakes and people.
    fn tell_peer(&mut self, cx: &mut Cx, news: &News, is_new: bool) {
        let value = &news.value;
        if !news.is_peer || news.line == Line::Unknown {
            return;
        }
        let who = format!("{}/{}", value.cluster, value.instance);
        let is_automatic = matches!(value.kind, FenceKind::Known(kind) if kind.is_automatic_move());
        if is_automatic && value.kind != FenceKind::Known(Kind::Rollback) && is_new && news.after.is_some() {
            let to = members_named(&self.policy, &value.to);
            let left = news.before.iter().flat_map(Members::iter);
            let left = left.into_iter().find(|i| to.as_ref().is_none_or(|to| !to.contains(*i)));
            let Shared { evacuation, sight, settings, .. } = &mut *cx.shared;
            let from = left.and_then(|i| self.region_of(i));
            let write = IntentId(value.attempt.clone());
            evacuation.record(self, &write, from, sight, &settings.guard, cx.now.mono);
            self.left = evacuation.left(&write, cx.now);
        }
        if value.kind.moves_the_record() && is_new {
            let from = news.before.as_ref().map(|m| format!(" from {}", self.names_text(m))).unwrap_or_default();
            let text = format!("{who} made a {}{from} to {}, epoch {}", value.kind, value.to, value.epoch);
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

    /// A freeze that a fence of ours carries holds here too.
    pub(super) fn frozen_through_the_fence(&mut self, cx: &mut Cx) {
        let frozen = |f: &Fence| f.ours().map(|(v, _)| v).filter(|v| v.mode == FenceMode::Frozen).cloned();
        let Some(value) = self.live.fences.iter().find_map(frozen) else { return };
        self.freeze_as_told(cx, format!("{}/{}", value.cluster, value.instance), value.written);
    }

    /// Whoever makes a spoiled fence good must not lift what it says.
    fn held_through_damage(&mut self, cx: &mut Cx) {
        let asks = |what| self.asked(&what).is_some();
        let (unfreezing, acking) = (asks(Asked::Unfreeze), asks(Asked::Ack));
        let told: Vec<FenceMode> = self.live.fences.iter().filter_map(Fence::mode_in_damage).collect();
        for mode in told {
            match mode {
                FenceMode::Frozen if !unfreezing => self.freeze_as_told(cx, "somebody".to_owned(), cx.now.wall),
                FenceMode::Forced if !unfreezing && !self.brakes.forced => {
                    self.brakes.forced = true;
                    self.journal(cx, TransitionKind::Frozen, "forced, as a spoiled fence says");
                }
                FenceMode::Locked if !acking && self.brakes.locked.is_none() => {
                    self.brakes.lock(cx.now);
                    self.journal(cx, TransitionKind::Locked, "locked out, as a spoiled fence says");
                }
                _ => {}
            }
        }
    }

    fn freeze_as_told(&mut self, cx: &mut Cx, by: String, since: UnixMs) {
        if self.brakes.frozen.is_none() && !seeded(Bug::FreezeOfPeerIgnored) {
            self.journal(cx, TransitionKind::Frozen, format!("frozen by {by}, through the fence"));
            let reason = "frozen through the fence".into();
            self.brakes.frozen = Some(FreezeSnapshot { since, by, reason, carried: true });
            self.dirty = true;
        }
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
}
