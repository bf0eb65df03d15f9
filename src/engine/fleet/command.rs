//! A person's command for one policy or for all, and the freeze of the whole fleet. What concerns
//! every policy is told once, not once for each.

use crate::domain::{Now, PolicyIdx};

use super::super::action::Action;
use super::super::event::{Command, CommandKind, CommandReply};
use super::super::journal::TransitionKind;
use super::super::notice::{NoticeKind, Severity};
use super::Fleet;

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
        out.push(Action::Reply { id, reply });
    }
}
