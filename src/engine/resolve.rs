//! A reply was lost: did the write apply, did another one, or may it still land? The fence knows;
//! where it does not, it is burnt, so that the lost request can never apply.

use std::time::Duration;

use crate::domain::Tick;

use super::fence::{Fence, ReadBack, burn_epoch, read_back};
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
    let signed = write.signed_before();
    let expired = signed.is_some_and(|signed| p.live.read_began.since(signed) > SIGNATURE_LIFE);
    match read_back(&write.intent.id.0, &write.intent.before, &p.live.reads, &p.live.fences, expired) {
        ReadBack::Applied => {
            p.journal(cx, TransitionKind::Applied, "the fence shows our attempt: the write was applied");
            accepted(p, cx, write_change_id(p), true);
        }
        ReadBack::Lost { to } => {
            let may_have_stood = p.live.fences.iter().map(Fence::epoch).max() > Some(write.intent.epoch);
            let ours = if may_have_stood { "ours was replaced or never applied" } else { "ours was not applied" };
            let is_move = write.intent.kind.is_counted_move();
            if may_have_stood && is_move {
                p.brakes.count_move(cx.now.mono, cx.now.mono);
                let until = Some(cx.now.mono + p.policy.failover.hold_down);
                p.brakes.hold_down_until = p.brakes.hold_down_until.max(until);
            }
            p.journal(cx, TransitionKind::NotApplied, format!("another write ({to}) stands in the fence; {ours}"));
            close(p, cx, IntentOutcome::Lost { to });
        }
        ReadBack::Expired => {
            let text = "the lost request can no longer apply: its signature has expired";
            p.journal(cx, TransitionKind::NotApplied, text);
            close(p, cx, IntentOutcome::Expired);
        }
        ReadBack::MayLand => burn(p, cx),
    }
}

fn write_change_id(p: &PolicyState) -> Option<String> {
    p.write.as_ref().and_then(|w| w.intent.change_id.clone())
}

/// Queues the fence-only batch after which the lost request is refused for ever.
fn burn(p: &mut PolicyState, cx: &mut Cx) {
    let Some(write) = &p.write else { return };
    let epoch = burn_epoch(write.intent.epoch, &p.live.fences);
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
