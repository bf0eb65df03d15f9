//! Which move is wanted, and where to. Whether it may be made is the guard's question.
//!
//! Targets of one priority are a tier. What is published stays within one tier as long as enough
//! of it is healthy: a member that goes down is trimmed, a healthy one of the tier fills the set;
//! with fewer than `min_active` left the policy fails over to another tier. With one answer that
//! is plain failover and failback between targets.

use std::collections::BTreeSet;

use crate::domain::{Drift, FailbackMode, Health, Members, RegionName, TargetIdx, Tick};
use crate::seeded::{Bug, seeded};

use super::fleet::Mode;
use super::intent::Kind;
use super::live::{View, members_named};
use super::state::{PolicyState, Shared};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub kind: Kind,
    /// `None`: no target is proven.
    pub to: Option<Members>,
}

/// Regions evacuated within `guard.per`: the way back there freezes the whole fleet.
type Avoid<'a> = BTreeSet<&'a RegionName>;

/// The move the present evidence asks for.
pub(super) fn wanted(p: &PolicyState, shared: &Shared, now: Tick) -> Option<Want> {
    if shared.mode == Mode::Attended {
        return None;
    }
    match &p.live.view {
        View::Targets(members) => {
            let states: Vec<Health> = members.iter().filter_map(|i| p.health_of(i)).map(|h| h.state()).collect();
            if states.contains(&Health::Down) {
                return Some(leave_the_down(p, shared, members, now));
            }
            // None is ours yet, or a record has been added whose fence is still to be made.
            if !p.live.fences.iter().all(|f| f.ours().is_some()) {
                let calm = p.doubt.is_none() && members.iter().all(|i| p.health_of(i).is_some_and(|h| h.is_settled()));
                let auto = p.policy.adopt == crate::domain::Adopt::Auto;
                let want = Want { kind: Kind::Adopt, to: Some(members.clone()) };
                return (auto && calm && states.iter().all(|s| *s == Health::Up)).then_some(want);
            }
            if states.contains(&Health::Unknown) {
                return None;
            }
            better(p, members, now)
                .map(|to| Want { kind: Kind::Failback, to: Some(to) })
                .or_else(|| fill(p, members).map(|to| Want { kind: Kind::Fill, to: Some(to) }))
        }
        View::Absent | View::Foreign(_)
            if p.policy.failover.drift == Drift::Repair || seeded(Bug::DriftSilentlyRepaired) =>
        {
            let (value, _) = p.live.fences.first()?.ours()?;
            let to = members_named(&p.policy, &value.to)?;
            let up = |idx| p.health_of(idx).is_some_and(|h| h.state() == Health::Up);
            let all_up = to.iter().all(up);
            all_up.then_some(Want { kind: Kind::Repair, to: Some(to) })
        }
        _ => None,
    }
}

/// A published target is down: within the tier when enough of it lives, else out of it.
fn leave_the_down(p: &PolicyState, shared: &Shared, members: &Members, now: Tick) -> Want {
    let answers = count(p.policy.answers);
    let least = count(p.policy.min_active);
    let avoid = shared.evacuation.evacuated(&shared.settings.guard, now);
    let alive: Vec<TargetIdx> = members.iter().filter(|i| !p.is_down(*i)).collect();
    // Down in the last run and not judged in this one: it stays, and counts for nothing.
    let living = alive.iter().filter(|i| p.may_live(**i)).count();
    if p.policy.answers > 1 && living > 0 {
        let tier = tier_of(p, members);
        let spares = candidates(p, &avoid, members, now).into_iter().filter(|i| priority(p, *i) == tier);
        // Back into a region just left freezes the fleet: only when too few are alive without it.
        let (avoided, fresh): (Vec<_>, Vec<_>) = spares.partition(|i| is_avoided(p, &avoid, *i));
        let missing = least.saturating_sub(living + fresh.len());
        let spares = fresh.into_iter().chain(avoided.into_iter().take(missing));
        let kept: Vec<TargetIdx> = alive.iter().copied().chain(spares).take(answers).collect();
        if kept.len().saturating_sub(alive.len() - living) >= least {
            return Want { kind: Kind::Trim, to: Members::new(kept) };
        }
    }
    Want { kind: Kind::Failover, to: other_tier(p, &avoid, members, now, if living == 0 { 1 } else { least }) }
}

/// The best tier outside `members`' own with at least `least` proven targets.
fn other_tier(p: &PolicyState, avoid: &Avoid, members: &Members, now: Tick, least: usize) -> Option<Members> {
    let list = candidates(p, avoid, members, now);
    if p.policy.answers <= 1 {
        return list.first().map(|idx| Members::one(*idx));
    }
    let own = tier_of(p, members);
    let mut list = list;
    let avoided = |idx: TargetIdx| is_avoided(p, avoid, idx);
    list.sort_by_key(|idx| (priority(p, *idx), avoided(*idx), p.drain_of(*idx).is_some(), rank(p, *idx)));
    let mut tiers: Vec<Vec<TargetIdx>> = list
        .chunk_by(|a, b| priority(p, *a) == priority(p, *b))
        .filter(|tier| least == 1 || tier.first().is_some_and(|i| priority(p, *i) != own))
        .map(<[TargetIdx]>::to_vec)
        .collect();
    tiers.retain(|tier| tier.len() >= least.min(count(p.policy.min_active)));
    // With nothing alive a small tier is better than none, but a whole one is better still, and one
    // that needs no drained target, nor one of a region just left, best.
    let free = |tier: &[TargetIdx]| tier.iter().filter(|i| p.drain_of(**i).is_none() && !avoided(**i)).count();
    let enough = count(p.policy.min_active);
    tiers.sort_by_key(|tier| (tier.len() < enough, free(tier) < enough.min(tier.len())));
    tiers.into_iter().next().and_then(|tier| Members::new(tier.into_iter().take(count(p.policy.answers))))
}

/// Proven destinations beside `published`, best first: not in a region just evacuated, not drained,
/// priority, then name.
fn candidates(p: &PolicyState, avoid: &Avoid, published: &Members, now: Tick) -> Vec<TargetIdx> {
    let proven = |idx: &TargetIdx| !published.contains(*idx) && is_candidate(p, *idx, now);
    let mut list: Vec<TargetIdx> = p.policy.indices().filter(proven).collect();
    list.sort_by_key(|idx| (is_avoided(p, avoid, *idx), p.drain_of(*idx).is_some(), rank(p, *idx)));
    list
}

fn is_avoided(p: &PolicyState, avoid: &Avoid, idx: TargetIdx) -> bool {
    p.region_of(idx).is_some_and(|r| avoid.contains(r))
}

/// Proven now, not kept empty for good, and the zone would take the write.
pub(super) fn is_candidate(p: &PolicyState, idx: TargetIdx, now: Tick) -> bool {
    let proven = p.policy.target(idx).zip(p.health_of(idx)).is_some_and(|(t, h)| h.is_proven(&t.check, now));
    proven && p.drain_of(idx).is_none_or(|d| !d.hard) && !p.is_blocked(idx)
}

/// The best set of strictly better priority: enough of the tier is healthy, none of it drained.
fn better(p: &PolicyState, members: &Members, now: Tick) -> Option<Members> {
    if p.policy.failback.mode == FailbackMode::Never {
        return None;
    }
    let mine = Some(tier_of(p, members));
    // One that has soaked before one that has not: a target that hiccups must not keep a good one away.
    let soaked = |idx| p.health_of(idx).and_then(|h| h.healthy_for(now)).is_some_and(|d| d >= p.policy.failback.soak);
    best_of(p, mine, soaked).or_else(|| best_set(p, mine))
}

/// The best healthy set of a tier before `before` (any tier for `None`).
pub(super) fn best_set(p: &PolicyState, before: Option<i32>) -> Option<Members> {
    best_of(p, before, |_| true)
}

fn best_of(p: &PolicyState, before: Option<i32>, also: impl Fn(TargetIdx) -> bool) -> Option<Members> {
    let good = |idx: &TargetIdx| {
        also(*idx)
            && before.is_none_or(|mine| priority(p, *idx) < mine)
            && p.health_of(*idx).is_some_and(|h| h.state() == Health::Up)
            && p.drain_of(*idx).is_none()
            && !p.is_blocked(*idx)
    };
    let mut list: Vec<TargetIdx> = p.policy.indices().filter(good).collect();
    list.sort_by_key(|idx| rank(p, *idx));
    let tier =
        list.chunk_by(|a, b| priority(p, *a) == priority(p, *b)).find(|t| t.len() >= count(p.policy.min_active))?;
    Members::new(tier.iter().copied().take(count(p.policy.answers)))
}

/// The published members and the healthy rest of their tier, up to `answers`.
fn fill(p: &PolicyState, members: &Members) -> Option<Members> {
    let answers = count(p.policy.answers);
    if members.count() >= answers {
        return None;
    }
    let tier = tier_of(p, members);
    let good = |idx: &TargetIdx| {
        !members.contains(*idx)
            && priority(p, *idx) == tier
            && p.health_of(*idx).is_some_and(|h| h.state() == Health::Up)
            && p.drain_of(*idx).is_none()
            && !p.is_blocked(*idx)
    };
    let mut spares: Vec<TargetIdx> = p.policy.indices().filter(good).collect();
    spares.sort_by_key(|idx| rank(p, *idx));
    if spares.is_empty() {
        return None;
    }
    Members::new(members.iter().chain(spares).take(answers))
}

/// The best priority among `members`.
pub(super) fn tier_of(p: &PolicyState, members: &Members) -> i32 {
    members.iter().map(|i| priority(p, i)).min().unwrap_or(i32::MAX)
}

fn priority(p: &PolicyState, idx: TargetIdx) -> i32 {
    p.policy.target(idx).map_or(i32::MAX, |t| t.priority)
}

fn rank(p: &PolicyState, idx: TargetIdx) -> (i32, String) {
    p.policy.target(idx).map(|t| (t.priority, t.name.to_string())).unwrap_or((i32::MAX, String::new()))
}

fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
