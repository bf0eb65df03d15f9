//! A reply was lost: did the write apply, did another one, or may it still land? The fence knows;
//! where it does not, it is burnt, so that the lost request can never apply.

use std::time::Duration;

use crate::domain::Tick;
use crate::seeded::{Bug, seeded};

use super::fence::Fence;
use super::intent::{IntentOutcome, Kind};
use super::journal::TransitionKind;
use super::own::{Claim, grounds};
use super::plan::Plan;
use super::state::{Cx, PolicyState};
use super::switch::{Phase, accepted, close};
use super::zone::Change;

/// A signed request is refused by the provider after this (AWS Signature Version 4).
const SIGNATURE_LIFE: Duration = Duration::from_secs(15 * 60);

/// A complete reading arrived while the outcome of a lost request is open.
pub(super) fn resolve(p: &mut PolicyState, cx: &mut Cx) {
    let Some(write) = &p.write else { return };
    if !matches!(write.phase, Phase::Resolving { .. }) {
        return;
    }
    let mine = write.intent.id.0.clone();
    let standing: Vec<Option<String>> = p.live.fences.iter().map(|f| f.value().map(|v| v.attempt.clone())).collect();
    if standing.iter().flatten().any(|attempt| *attempt == mine) && !seeded(Bug::ReadBackAsRefusal) {
        p.journal(cx, TransitionKind::Applied, "the fence shows our attempt: the write was applied");
        return accepted(p, cx, write_change_id(p));
    }
    let unchanged = write.intent.before.iter().zip(&p.live.reads).all(|(before, read)| match before {
        None => read.fence.is_empty(),
        Some(set) => read.fence.iter().any(|f| f == set),
    });
    if !unchanged {
        let to = standing.into_iter().flatten().next().unwrap_or_else(|| "an unreadable fence".into());
        p.journal(
            cx,
            TransitionKind::NotApplied,
            format!("another write ({to}) stands in the fence; ours was not applied"),
        );
        return close(p, cx, IntentOutcome::Lost { to });
    }
    // An earlier run signed at the latest just before this one began: a decision may be renewed for long.
    if write.sent.is_some_and(|sent| cx.now.mono.since(sent) > SIGNATURE_LIFE) {
        p.journal(cx, TransitionKind::NotApplied, "the lost request can no longer apply: its signature has expired");
        return close(p, cx, IntentOutcome::Expired);
    }
    if seeded(Bug::BurnSkipped) {
        return close(p, cx, IntentOutcome::Expired);
    }
    burn(p, cx);
}

fn write_change_id(p: &PolicyState) -> Option<String> {
    p.write.as_ref().and_then(|w| w.intent.change_id.clone())
}

/// Queues the fence-only batch after which the lost request is refused for ever.
fn burn(p: &mut PolicyState, cx: &mut Cx) {
    let Some(write) = &p.write else { return };
    let standing = p.live.fences.iter().map(Fence::epoch).max().filter(|epoch| epoch.0 > 0);
    let epoch = standing.unwrap_or(write.intent.epoch);
    let attempt = cx.next_attempt();
    let plan = grounds(p, cx, Kind::Burn, Claim::Standing, epoch, &attempt.0, None)
        .ok()
        .and_then(|grounds| Plan::fence_only(Kind::Burn, &p.policy, epoch, grounds));
    let now = cx.now.mono;
    let Some(write) = &mut p.write else { return };
    write.phase = match plan {
        Some(plan) => Phase::BurnQueued { plan: Box::new(plan), not_before: now },
        None => Phase::Resolving { read_at: now + Duration::from_secs(1) },
    };
}

pub(super) fn send_burn(p: &mut PolicyState) -> Option<(Vec<Change>, String)> {
    let write = p.write.as_mut()?;
    let Phase::BurnQueued { plan, .. } = &write.phase else { return None };
    let changes = plan.changes();
    let comment = format!("failoverd {} burn epoch {}", p.policy.id, plan.epoch());
    write.phase = Phase::BurnSent { plan: plan.clone() };
    p.live.taint();
    Some((changes, comment))
}

/// A reading failed while resolving: again in a moment.
pub(super) fn reading_failed(p: &mut PolicyState, now: Tick) {
    if let Some(write) = &mut p.write
        && let Phase::Resolving { read_at } = &mut write.phase
    {
        *read_at = now + Duration::from_secs(1);
    }
}
