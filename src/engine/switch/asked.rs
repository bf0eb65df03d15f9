//! Whether a decision that was not sent yet is still asked for. Judges, never gives anything up itself.

use crate::domain::{Health, TargetIdx};
use crate::seeded::{Bug, seeded};

use super::super::intent::Kind;
use super::super::select::wanted;
use super::super::state::{Cx, PolicyState};
use super::{DECISION_LIFE, Writing};

/// Why nobody asks for it any more.
pub(super) fn given_up(p: &PolicyState, cx: &Cx, write: &Writing) -> Option<String> {
    if seeded(Bug::DeadlineNotRechecked) {
        return None;
    }
    let kind = write.intent.kind;
    let old = cx.now.mono.since(write.renewed) >= DECISION_LIFE;
    if old && write.by_hand {
        return Some("it could not be sent within 30s".to_owned());
    }
    if old {
        return Some("no fresh evidence repeated the decision for 30s".to_owned());
    }
    if write.by_hand && !(seeded(Bug::ForceHeldByFreeze) && p.brakes.frozen.is_some()) {
        return None;
    }
    if p.brakes.frozen.is_some() {
        return Some("frozen".to_owned());
    }
    // A person may have drained one since.
    let drain = |t: TargetIdx| p.drain_of(t).filter(|_| kind.is_automatic_move() && !p.is_published(t));
    let to = write.to.as_ref();
    if let Some(drain) = to.iter().flat_map(|to| to.iter()).filter_map(drain).find(|drain| drain.hard) {
        return Some(format!("{} was drained by {} meanwhile", drain.target, drain.by));
    }
    if kind == Kind::Rollback {
        return None;
    }
    let well = |t| p.health_of(t).is_some_and(|h| h.state() == Health::Up && h.failures() == 0);
    match wanted(p, cx.shared, cx.now.mono) {
        Some(want) if want.kind == kind && (want.to.as_ref() == to || want.to.is_none()) => None,
        Some(want) if want.kind == kind && to.is_some_and(|to| to.iter().all(|t| well(t) && drain(t).is_none())) => {
            None
        }
        Some(want) if want.kind == kind => Some(format!("another {kind} is wanted now")),
        _ => Some(format!("the evidence for the {kind} is gone")),
    }
}
