//! One log line for each change of state; the same sentences as history and notices.

use crate::engine::journal::{Transition, TransitionKind};

/// Logs transitions in order: WARN where a person should look, INFO otherwise.
pub fn tell(transitions: &[Transition]) {
    for transition in transitions {
        let policy = transition.policy.as_ref().map(tracing::field::display);
        let incident = transition.incident.as_ref().map(tracing::field::display);
        let kind = word(transition.kind);
        let text = &transition.text;
        if wants_a_person(transition.kind) {
            tracing::warn!(policy, incident, kind, "{text}");
        } else {
            tracing::info!(policy, incident, kind, "{text}");
        }
    }
}

/// A kind as history and scripts spell it, e.g. `target_down`.
pub fn word(kind: TransitionKind) -> String {
    serde_json::to_value(kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn wants_a_person(kind: TransitionKind) -> bool {
    matches!(
        kind,
        TransitionKind::Refused
            | TransitionKind::Blind
            | TransitionKind::Locked
            | TransitionKind::Contradicted
            | TransitionKind::Unverified
            | TransitionKind::FenceTrouble
            | TransitionKind::ApiTrouble
            | TransitionKind::StoreTrouble
            | TransitionKind::Drift
            | TransitionKind::Forced
            | TransitionKind::FleetFrozen
            | TransitionKind::WriteRefused
            | TransitionKind::Obstacle
            | TransitionKind::RehearsalFailed
    )
}
