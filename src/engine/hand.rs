//! A person's hand on one policy: freeze, unfreeze, ack, adopt, and the fence that carries it
//! to every other instance.

use crate::domain::{Health, Members};

use super::event::{Command, CommandKind, CommandReply};
use super::fence::{Fence, FenceMode};
use super::fleet::Mode;
use super::intent::Kind;
use super::journal::{FreezeSnapshot, TransitionKind};
use super::live::View;
use super::notice::{NoticeKind, Severity};
use super::state::{Cx, PolicyState, Words};
use super::switch;

impl PolicyState {
    /// The fleet's brakes froze every policy; it is told once for all of them.
    pub(super) fn freeze_by_guard(&mut self, cx: &mut Cx, why: &str) {
        let by = "the fleet guard".to_owned();
        self.brakes.frozen = Some(FreezeSnapshot { since: cx.now.wall, by, reason: why.to_owned() });
        self.brakes.freeze_is_news = true;
        self.dirty = true;
        if self.write.as_ref().is_some_and(switch::Writing::is_automatic) {
            switch::drop_unsent(self, cx, "frozen");
        }
    }

    /// A person's hand.
    pub(super) fn command(&mut self, cx: &mut Cx, command: &Command) -> CommandReply {
        let id = self.policy.id.clone();
        let said = format!("by {}: {}", command.by, command.reason);
        match &command.kind {
            CommandKind::Freeze => {
                self.brakes.frozen =
                    Some(FreezeSnapshot { since: cx.now.wall, by: command.by.clone(), reason: command.reason.clone() });
                self.brakes.freeze_is_news = true;
                if self.write.as_ref().is_some_and(switch::Writing::is_automatic) {
                    switch::drop_unsent(self, cx, "frozen");
                }
                self.journal(cx, TransitionKind::Frozen, format!("frozen {said}"));
                let words = Words {
                    why: vec![said],
                    next: vec!["no automatic write until unfreeze; probing goes on".into()],
                    undo: Some(format!("failoverd unfreeze {id}")),
                    moved: None,
                };
                self.tell(cx, NoticeKind::Frozen, Severity::Warning, format!("{id}: frozen"), words);
                CommandReply::Accepted(format!("{id}: frozen here now; the fence follows"))
            }
            // Before the fence is read, it would only be taken over again from there.
            CommandKind::Unfreeze | CommandKind::Ack if self.live.read_at.is_none() => {
                CommandReply::Refused(format!("{id}: the zone has not been read yet; type it again in a moment"))
            }
            CommandKind::Unfreeze => {
                if self.brakes.frozen.take().is_none() {
                    return CommandReply::Accepted(format!("{id}: was not frozen"));
                }
                self.brakes.freeze_is_news = false;
                self.journal(cx, TransitionKind::Unfrozen, format!("unfrozen {said}"));
                self.tell(
                    cx,
                    NoticeKind::Unfrozen,
                    Severity::Info,
                    format!("{id}: unfrozen"),
                    Words { why: vec![said], ..Words::default() },
                );
                CommandReply::Accepted(format!("{id}: unfrozen"))
            }
            CommandKind::Ack => {
                let nothing = self.brakes.locked.is_none() && !self.brakes.failback_blocked && !self.brakes.unverified;
                self.brakes.locked = None;
                self.brakes.failback_blocked = false;
                self.brakes.unverified = false;
                self.brakes.forget_moves();
                self.pending_ack = cx.shared.mode == Mode::Active;
                self.write_trouble = None;
                self.journal(cx, TransitionKind::Acked, format!("acknowledged {said}"));
                self.tell(
                    cx,
                    NoticeKind::Acked,
                    Severity::Info,
                    format!("{id}: acknowledged"),
                    Words { why: vec![said], ..Words::default() },
                );
                let what =
                    if nothing { "nothing was waiting for it; noted" } else { "automatic moves are possible again" };
                CommandReply::Accepted(format!("{id}: {what}"))
            }
            CommandKind::Adopt { to, .. } => self.adopt(cx, to.clone(), &said),
            _ => CommandReply::Refused(format!("{id}: not possible yet")),
        }
    }

    fn adopt(&mut self, cx: &mut Cx, to: Members, said: &str) -> CommandReply {
        let id = self.policy.id.clone();
        if cx.shared.mode == Mode::Observe {
            return CommandReply::Refused(format!(
                "{id}: this process only observes; run `failoverd run` without --observe"
            ));
        }
        if let Some(text) = self.live.fences.iter().find_map(|f| match f {
            Fence::Foreign { value } => Some(format!("the record belongs to {}/{}", value.cluster, value.instance)),
            Fence::Unusable { why } => {
                Some(format!("the fence cannot be used: {why}; restore or delete the TXT record first"))
            }
            _ => None,
        }) {
            return CommandReply::Refused(format!("{id}: {text}"));
        }
        if let View::Foreign(what) = &self.live.view
            && what.contains("simple sets only")
        {
            return CommandReply::Refused(format!("{id}: {what}; replace it by hand first"));
        }
        if let Some(bad) = to.iter().find(|i| self.health_of(*i).is_none_or(|h| h.state() != Health::Up)) {
            let next = "adopt when its probes succeed, or name another target";
            return CommandReply::Refused(format!("{id}: {} is not up; {next}", self.evidence(bad, cx.now)));
        }
        if self.live.stale {
            return CommandReply::Refused(format!("{id}: the zone is being read; try again in a moment"));
        }
        match switch::start(self, cx, Kind::Adopt, Some(to.clone()), said) {
            Ok(()) => {
                if let Some(write) = &mut self.write {
                    write.set_by_hand();
                }
                CommandReply::Accepted(format!(
                    "{id}: adopting with {}; `failoverd status` shows the proof",
                    self.names_text(&to)
                ))
            }
            Err(why) => CommandReply::Refused(format!("{id}: {why}")),
        }
    }

    /// The fence must carry the hand and the lock-out we know of, here and everywhere.
    pub(super) fn keep_fence_mode(&mut self, cx: &mut Cx) {
        let calm = self.write.is_none()
            && !self.live.stale
            && self.write_trouble.as_ref().is_none_or(|t| t.next_try <= cx.now.mono);
        if !calm
            || cx.shared.store_broken.is_some()
            || self.live.fences.is_empty()
            || !self.live.fences.iter().all(|f| f.ours().is_some())
        {
            return;
        }
        let mode = self.brakes.mode();
        let differs = |f: &Fence| {
            f.ours().is_some_and(|(v, _)| v.mode != mode && !matches!(v.mode, FenceMode::Forced | FenceMode::Released))
        };
        let kind = if self.pending_ack {
            Kind::Ack
        } else if self.live.fences.iter().any(differs) {
            match mode {
                FenceMode::Frozen => Kind::Freeze,
                FenceMode::Locked => Kind::Lock,
                _ => Kind::Unfreeze,
            }
        } else {
            return;
        };
        if switch::start(self, cx, kind, None, "the fence is to carry it").is_ok() {
            self.pending_ack = false;
        }
    }
}
