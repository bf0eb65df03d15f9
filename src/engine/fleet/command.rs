//! A person's command for one policy or for all, and the freeze of the whole fleet. What concerns
//! every policy is told once, not once for each. What is answered as done is on the disk.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{Now, PolicyIdx, Tick};

use super::super::action::Action;
use super::super::event::{Command, CommandKind, CommandReply};
use super::super::journal::TransitionKind;
use super::super::notice::{NoticeKind, Severity};
use super::Fleet;

/// A disk that says nothing keeps a person waiting no longer than this.
const REPLY_PATIENCE: Duration = Duration::from_secs(1);

/// An answer that waits for the disk: what it says is in force already, and in these entries.
pub(super) struct HeldReply {
    id: u64,
    reply: CommandReply,
    entries: BTreeSet<u64>,
    pub until: Tick,
}

impl HeldReply {
    /// The answer of one whose command may not outlive this process.
    fn warned(self, why: &str) -> Action {
        let warn = |text: String| {
            format!(
                "{text}\nnot on disk: {why}; it is in force here and lost if this process ends before the disk works"
            )
        };
        let reply = match self.reply {
            CommandReply::Accepted(text) => CommandReply::Accepted(warn(text)),
            CommandReply::Refused(text) => CommandReply::Refused(warn(text)),
        };
        Action::Reply { id: self.id, reply }
    }
}

/// What a person is told to be so must outlive this process; the rest is asked of one moment.
fn lasts(kind: &CommandKind) -> bool {
    matches!(
        kind,
        CommandKind::Freeze
            | CommandKind::Unfreeze
            | CommandKind::Ack
            | CommandKind::Drain { .. }
            | CommandKind::Undrain { .. }
    )
}

impl Fleet {
    /// The fleet's brakes ask for a person: every automatic move stops, here and through the fences
    /// everywhere, and it is told once.
    pub(super) fn freeze_fleet(&mut self, now: Now, out: &mut Vec<Action>) {
        let Some(why) = self.shared.freeze_all.take() else { return };
        let all: Vec<PolicyIdx> = self.states().filter(|(_, p)| p.brakes.frozen.is_none()).map(|(i, _)| i).collect();
        if all.is_empty() {
            return;
        }
        let next = "no automatic move of any policy until a person has looked; probing goes on";
        let notice = (NoticeKind::FleetFrozen, Severity::Critical, "all automatic moves are frozen", next);
        let undo = Some("failoverd unfreeze --reason \"what was found\"".to_owned());
        self.journal(now, out, TransitionKind::FleetFrozen, why.clone(), Some(notice), undo);
        for idx in all {
            self.with(idx, now, out, |p, cx| p.freeze_by_guard(cx, &why));
        }
    }

    /// A command for every policy is told once, not once for each.
    fn tell_all(&mut self, now: Now, out: &mut Vec<Action>, command: &Command) {
        let said = format!("by {}: {}", command.by, command.reason);
        let (kind, notice, title, next, undo) = match command.kind {
            CommandKind::Freeze => (
                TransitionKind::FleetFrozen,
                NoticeKind::FleetFrozen,
                "all automatic moves are frozen",
                "no automatic write until unfreeze; probing goes on",
                Some("failoverd unfreeze --reason \"…\"".to_owned()),
            ),
            CommandKind::Unfreeze => (
                TransitionKind::FleetUnfrozen,
                NoticeKind::FleetUnfrozen,
                "all policies are unfrozen",
                "automatic moves are possible again",
                None,
            ),
            _ => return,
        };
        self.journal(now, out, kind, said, Some((notice, Severity::Warning, title, next)), undo);
    }

    pub(super) fn command(&mut self, now: Now, out: &mut Vec<Action>, id: u64, command: &Command) {
        let targets: Vec<PolicyIdx> = match command.policy {
            Some(idx) => vec![idx],
            None => self.states().map(|(idx, _)| idx).collect(),
        };
        let before = out.len();
        let mut texts = Vec::new();
        let mut refused = targets.is_empty();
        let mut accepted = false;
        self.shared.hush = command.policy.is_none();
        for idx in targets {
            match self.with(idx, now, out, |p, cx| p.command(cx, command)) {
                Some(CommandReply::Accepted(text)) => {
                    accepted = true;
                    texts.push(text);
                }
                Some(CommandReply::Refused(text)) => {
                    refused = true;
                    texts.push(text);
                }
                None => {
                    refused = true;
                    texts.push("no such policy; `failoverd status` lists them".into());
                }
            }
        }
        if std::mem::take(&mut self.shared.hush) && accepted {
            self.tell_all(now, out, command);
        }
        let text = texts.join("\n");
        let reply = if refused { CommandReply::Refused(text) } else { CommandReply::Accepted(text) };
        let entry = |action: &Action| match action {
            Action::Persist { seq, .. } => Some(*seq),
            _ => None,
        };
        let entries: BTreeSet<u64> = out.iter().skip(before).filter_map(entry).collect();
        if entries.is_empty() || !lasts(&command.kind) {
            return out.push(Action::Reply { id, reply });
        }
        self.replies.push(HeldReply { id, reply, entries, until: now.mono + REPLY_PATIENCE });
    }

    /// An entry is on the disk: who waited for no other is answered.
    pub(super) fn answer_kept(&mut self, out: &mut Vec<Action>, seq: u64) {
        for held in &mut self.replies {
            held.entries.remove(&seq);
        }
        let kept = self.replies.extract_if(.., |held| held.entries.is_empty());
        out.extend(kept.map(|HeldReply { id, reply, .. }| Action::Reply { id, reply }));
    }

    /// An entry was refused: who waited for it is told so.
    pub(super) fn answer_lost(&mut self, out: &mut Vec<Action>, seq: u64, error: &str) {
        let lost = self.replies.extract_if(.., |held| held.entries.contains(&seq));
        out.extend(lost.map(|held| held.warned(error)));
    }

    pub(super) fn answer_overdue(&mut self, now: Now, out: &mut Vec<Action>) {
        let overdue = self.replies.extract_if(.., |held| held.until <= now.mono);
        out.extend(overdue.map(|held| held.warned("it has not answered yet")));
    }
}
