//! A fence that cannot be used, or that somebody gave another TTL: named once, with what to type. Never writes.

use crate::domain::RecordName;

use super::fence::{FENCE_TTL, Fence};
use super::journal::TransitionKind;
use super::notice::{NoticeKind, Severity};
use super::own::{adopt_command, cure};
use super::state::{Cx, PolicyState, Words};

/// What was wrong with the fences before a reading, for "say it once".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FenceSaid {
    trouble: Option<String>,
    ttl: Option<String>,
}

impl PolicyState {
    pub(super) fn fence_said(&self) -> FenceSaid {
        let trouble = |(name, fence): (&RecordName, &Fence)| match fence {
            Fence::Foreign { value, .. } => {
                Some(format!("{name} belongs to {}/{} (policy {})", value.cluster, value.instance, value.policy))
            }
            Fence::Unusable { why, .. } => Some(format!("the fence of {name} cannot be used: {why}")),
            Fence::Absent if self.had_fence(name) => {
                Some(format!("the fence of {name} is gone although epoch {} was written", self.known_epoch))
            }
            _ => None,
        };
        let ttl = |(name, fence): (&RecordName, &Fence)| {
            let ttl = fence.ours().and_then(|(_, raw)| raw.ttl).filter(|ttl| *ttl != FENCE_TTL)?;
            Some(format!("the fence of {name} has TTL {ttl}, expected {FENCE_TTL}"))
        };
        let of = |text: &dyn Fn((&RecordName, &Fence)) -> Option<String>| {
            let found: Vec<String> = self.policy.records.iter().zip(&self.live.fences).filter_map(text).collect();
            (!found.is_empty()).then(|| found.join("; "))
        };
        FenceSaid { trouble: of(&trouble), ttl: of(&ttl) }
    }

    /// The next command to type about the first fence in trouble.
    fn fence_next(&self) -> Option<String> {
        self.live.fences.iter().find_map(|fence| match fence {
            Fence::Foreign { value, .. } => Some(format!(
                "it is only watched; let that cluster release it, or `failoverd takeover {} --from {}`",
                self.policy.id, value.cluster
            )),
            Fence::Unusable { damage, .. } => Some(cure(self, damage)),
            Fence::Absent => Some(format!("find out who deleted it, then `{}`", adopt_command(self, true))),
            Fence::Ours { .. } | Fence::Released { .. } => None,
        })
    }

    /// Tells what the reading changed about the fences, once.
    pub(super) fn tell_fence(&mut self, cx: &mut Cx, before: FenceSaid) {
        let id = self.policy.id.clone();
        let said = self.fence_said();
        if let Some(text) = said.ttl.clone().filter(|_| said.ttl != before.ttl) {
            self.journal(cx, TransitionKind::Drift, text.clone());
            let next = vec!["nothing waits for it; the next write restores it".to_owned()];
            let words = Words { why: vec![text], next, ..Words::default() };
            let title = format!("{id}: somebody changed the fence's TTL");
            self.tell(cx, NoticeKind::Drift, Severity::Warning, title, words);
        }
        if said.trouble == before.trouble {
            return;
        }
        match said.trouble {
            Some(text) => {
                self.journal(cx, TransitionKind::FenceTrouble, text.clone());
                let mut next = vec!["no automatic write is made for this policy".to_owned()];
                next.extend(self.fence_next());
                let words = Words { why: vec![text], next, ..Words::default() };
                let title = format!("{id}: the fence cannot be used");
                self.tell(cx, NoticeKind::FenceTrouble, Severity::Critical, title, words);
            }
            None => {
                self.journal(cx, TransitionKind::FenceFine, "the fence can be used again");
                let title = format!("{id}: the fence can be used again");
                self.tell(cx, NoticeKind::FenceFine, Severity::Info, title, Words::default());
            }
        }
    }
}
