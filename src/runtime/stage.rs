//! Which step of a move a journal entry records, so that failpoints can stand between steps.

use crate::engine::intent::IntentOutcome;
use crate::engine::journal::{JournalEntry, TransitionKind};

use super::failpoint::failpoint;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// An intent before its request.
    Intent,
    /// The provider accepted, nothing is in sync yet.
    Accepted,
    /// The intent got its outcome "committed".
    Insync,
    Locked,
    Other,
}

impl Stage {
    pub fn of(entry: &JournalEntry) -> Stage {
        if entry.transitions.iter().any(|t| t.kind == TransitionKind::Locked) {
            return Stage::Locked;
        }
        let Some(intent) = entry.intents.last() else { return Stage::Other };
        match (&intent.outcome, &intent.change_id) {
            (Some(IntentOutcome::Committed), _) => Stage::Insync,
            (None, Some(_)) => Stage::Accepted,
            (None, None) => Stage::Intent,
            (Some(_), _) => Stage::Other,
        }
    }
}

pub fn before_commit(stage: Stage) {
    match stage {
        Stage::Intent => failpoint!("after-decide"),
        Stage::Accepted => failpoint!("after-accepted-before-persist"),
        Stage::Insync => failpoint!("before-insync"),
        Stage::Locked | Stage::Other => {}
    }
}

pub fn after_commit(stage: Stage) {
    match stage {
        Stage::Intent => failpoint!("after-intent-commit"),
        Stage::Accepted => failpoint!("after-accepted-persisted"),
        Stage::Insync => failpoint!("after-insync-persisted"),
        Stage::Locked => failpoint!("after-lock"),
        Stage::Other => {}
    }
}
