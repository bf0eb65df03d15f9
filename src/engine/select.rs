//! Which move is wanted, and where to. Whether it may be made is the guard's question.

use crate::domain::{FailbackMode, Health, TargetIdx, Tick};

use super::intent::Kind;
use super::live::View;
use super::state::PolicyState;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub kind: Kind,
    /// `None`: no target is proven.
    pub to: Option<TargetIdx>,
}

/// The move the present evidence asks for.
pub(super) fn wanted(p: &PolicyState, now: Tick) -> Option<Want> {
    match p.live.view {
        View::Target(active) => match p.health_of(active)?.state() {
            Health::Down => Some(Want { kind: Kind::Failover, to: candidates(p, active, now).first().copied() }),
            Health::Up if p.live.fences.iter().all(|f| f.ours().is_none()) => {
                (p.policy.adopt == crate::domain::Adopt::Auto && is_calm(p, active))
                    .then_some(Want { kind: Kind::Adopt, to: Some(active) })
            }
            Health::Up => better(p, active).map(|to| Want { kind: Kind::Failback, to: Some(to) }),
            Health::Unknown => None,
        },
        View::Absent | View::Foreign(_) if p.policy.failover.drift == crate::domain::Drift::Repair => {
            let (value, _) = p.live.fences.first()?.ours()?;
            let to = p.policy.indices().find(|i| super::fence::target_token(p.name_of(*i)) == value.to)?;
            (p.health_of(to)?.state() == Health::Up).then_some(Want { kind: Kind::Repair, to: Some(to) })
        }
        _ => None,
    }
}

/// Proven destinations beside `active`, best first: priority, then name.
pub(super) fn candidates(p: &PolicyState, active: TargetIdx, now: Tick) -> Vec<TargetIdx> {
    let proven = |idx: &TargetIdx| {
        *idx != active
            && p.policy
                .target(*idx)
                .zip(p.health_of(*idx))
                .is_some_and(|(target, health)| health.is_proven(&target.check, now))
    };
    let mut list: Vec<TargetIdx> = p.policy.indices().filter(proven).collect();
    list.sort_by_key(|idx| rank(p, *idx));
    list
}

/// The best healthy target of strictly better priority than the active one.
fn better(p: &PolicyState, active: TargetIdx) -> Option<TargetIdx> {
    if p.policy.failback.mode == FailbackMode::Never {
        return None;
    }
    let mine = p.policy.target(active)?.priority;
    let good = |idx: &TargetIdx| {
        p.policy.target(*idx).is_some_and(|t| t.priority < mine)
            && p.health_of(*idx).is_some_and(|h| h.state() == Health::Up)
    };
    p.policy.indices().filter(good).min_by_key(|idx| rank(p, *idx))
}

fn rank(p: &PolicyState, idx: TargetIdx) -> (i32, String) {
    p.policy.target(idx).map(|t| (t.priority, t.name.to_string())).unwrap_or((i32::MAX, String::new()))
}

fn is_calm(p: &PolicyState, active: TargetIdx) -> bool {
    p.doubt.is_none() && p.health_of(active).is_some_and(|h| h.is_settled())
}
