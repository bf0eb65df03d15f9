//! What is journalled and told when a person retires the fence of a record that no policy manages.
//! The write itself is made beside the fleet, which knows nothing of the record.

use serde::{Deserialize, Serialize};

use crate::domain::{FleetSettings, NotifierName, Now, PolicyId, RecordName};

use super::action::Action;
use super::fleet::Fleet;
use super::journal::{JournalEntry, Transition, TransitionKind};
use super::notice::{Notice, NoticeKind, Severity};

/// How far the retirement of one orphan is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanNote {
    pub record: RecordName,
    /// The policy its fence names.
    pub policy: PolicyId,
    /// Names the write.
    pub attempt: String,
    pub reason: String,
    pub stage: OrphanStage,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanStage {
    /// About to be written.
    Begun,
    /// The fence says released; what stood there before.
    Released { before: String },
    /// Sent; whether the fence says released could not be learnt. What stood there before, and why.
    Unknown { before: String, why: String },
    /// Not written.
    Failed { why: String },
}

impl OrphanNote {
    /// The entry of this stage, and the notice of the last one. `to`: who is told.
    pub fn entry(&self, settings: &FleetSettings, to: Vec<NotifierName>, by: &str, now: Now) -> JournalEntry {
        let OrphanNote { record, policy, attempt, reason, stage } = self;
        let said = if reason.is_empty() { format!("by {by}") } else { format!("by {by}: {reason}") };
        let (kind, text, why) = match stage {
            OrphanStage::Begun => {
                (TransitionKind::Decided, format!("the orphaned fence of {record} is to be released {said}"), None)
            }
            OrphanStage::Released { before } => (
                TransitionKind::Released,
                format!("the orphaned fence of {record} was released {said}"),
                Some(format!("it was {before}")),
            ),
            OrphanStage::Unknown { before, why } => (
                TransitionKind::Released,
                format!(
                    "the release of the orphaned fence of {record} was sent {said}, its outcome is not known: {why}"
                ),
                Some(format!("it was {before}")),
            ),
            OrphanStage::Failed { why } => {
                (TransitionKind::NotApplied, format!("the orphaned fence of {record} was not released: {why}"), None)
            }
        };
        let notice = why.map(|why| Notice {
            id: format!("{attempt}-orphan"),
            kind: NoticeKind::Released,
            severity: Severity::Warning,
            at: now.wall,
            cluster: settings.cluster.clone(),
            instance: settings.instance.clone(),
            policy: Some(policy.clone()),
            incident: None,
            observe: false,
            title: match stage {
                OrphanStage::Unknown { .. } => format!("{record}: an orphaned fence may be released"),
                _ => format!("{record}: an orphaned fence was released"),
            },
            why: vec![text.clone(), why],
            moved: None,
            timeline: Vec::new(),
            next: match stage {
                OrphanStage::Unknown { .. } => {
                    vec![format!("failoverd doctor lists the fence of {record} while it is not released")]
                }
                _ => vec!["no instance of this cluster writes the record until a person adopts it".to_owned()],
            },
            undo: Some(format!("failoverd adopt {policy}, with a policy of that name")),
            to,
        });
        JournalEntry {
            transitions: vec![Transition { at: now.wall, policy: Some(policy.clone()), incident: None, kind, text }],
            notices: notice.into_iter().collect(),
            ..JournalEntry::default()
        }
    }
}

impl Fleet {
    /// Journals what a person did beside the fleet, and tells everybody who hears of a policy.
    pub fn orphan_noted(&mut self, now: Now, note: &OrphanNote, by: &str, out: &mut Vec<Action>) {
        let mut to: Vec<NotifierName> = self.states().flat_map(|(_, p)| p.policy.notify.iter().cloned()).collect();
        to.sort();
        to.dedup();
        let entry = note.entry(&self.shared.settings, to, by, now);
        self.shared.seq += 1;
        out.push(Action::Persist { seq: self.shared.seq, entry });
    }
}
