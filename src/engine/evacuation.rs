//! Brakes on the fleet as a whole: how much of it may move, who goes first when a region dies, and
//! when moving at all is more dangerous than standing still (ARCHITECTURE.md, decision 8).
//!
//! Leaving one dead region counts once, however many policies do it, in waves by importance. A
//! second region within `guard.per`, or a way back into the one just left, is more likely our own
//! error than theirs: the whole fleet is frozen and a person is asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::time::human;
use crate::domain::{GuardSettings, Health, Now, PolicyId, RegionName, Tick, UnixMs};

use super::intent::{IntentId, Kind};
use super::journal::LeftSnapshot;
use super::select::Want;
use super::sight::Sight;
use super::state::{PolicyState, Shared};

/// Longest that a less important policy waits for those before it.
pub const WAVE: std::time::Duration = std::time::Duration::from_secs(5);

/// Automatic moves of the whole fleet within `guard.per`.
#[derive(Default)]
pub(super) struct Evacuation {
    moves: Vec<Left>,
}

struct Left {
    at: Tick,
    policy: PolicyId,
    /// The write it is; one that did not apply was no move.
    write: IntentId,
    /// `None` when what was published had no region of ours.
    from: Option<RegionName>,
    /// The region was dead at the time.
    dead: bool,
}

/// What the fleet's brakes say to one move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Say {
    Go,
    /// Not now; the text says why.
    Wait(String),
    /// Nobody any more, until a person has looked.
    Freeze(String),
}

impl Evacuation {
    /// The policy `p` moves by `write` away from a target of region `from`, here or at a peer.
    pub fn record(
        &mut self,
        p: &PolicyState,
        write: &IntentId,
        from: Option<&RegionName>,
        sight: &Sight,
        guard: &GuardSettings,
        at: Tick,
    ) {
        self.moves.retain(|m| at.since(m.at) < guard.per);
        let dead = from.is_some_and(|r| sight.is_dead(r));
        let (policy, write) = (p.policy.id.clone(), write.clone());
        self.moves.push(Left { at, policy, write, from: from.cloned(), dead });
    }

    /// The write did not apply.
    pub fn withdraw(&mut self, write: &IntentId) {
        self.moves.retain(|m| m.write != *write);
    }

    /// What a policy's last move by `write` was, for its snapshot.
    pub fn left(&self, write: &IntentId, now: Now) -> Option<LeftSnapshot> {
        let m = self.moves.iter().find(|m| m.write == *write)?;
        let at = UnixMs(now.wall.0.saturating_sub(u64::try_from(now.mono.since(m.at).as_millis()).unwrap_or(0)));
        Some(LeftSnapshot { at, region: m.from.clone(), dead: m.dead })
    }

    /// An earlier run made this move.
    pub fn restore(&mut self, policy: &PolicyId, left: &LeftSnapshot, now: Now) {
        let at = now.mono - now.wall.since(left.at);
        let write = IntentId(format!("{policy} before this run"));
        self.moves.push(Left { at, policy: policy.clone(), write, from: left.region.clone(), dead: left.dead });
        self.moves.sort_by_key(|m| m.at);
    }

    /// When nothing of what was counted counts any more.
    pub fn over_at(&self, guard: &GuardSettings) -> Option<Tick> {
        self.moves.last().map(|m| m.at + guard.per)
    }

    /// A person looked: what happened before counts no more.
    pub fn forget(&mut self) {
        self.moves.clear();
    }

    /// Dead regions that more than `guard.floor` policies left: more than a few faults.
    pub fn evacuated(&self, guard: &GuardSettings, now: Tick) -> BTreeSet<&RegionName> {
        let mut left: BTreeMap<&RegionName, BTreeSet<&PolicyId>> = BTreeMap::new();
        for m in self.recent(guard, now).filter(|m| m.dead) {
            if let Some(region) = &m.from {
                left.entry(region).or_default().insert(&m.policy);
            }
        }
        let many = |of: &BTreeSet<&PolicyId>| of.len() > usize::try_from(guard.floor).unwrap_or(usize::MAX);
        left.into_iter().filter(|(_, of)| many(of)).map(|(region, _)| region).collect()
    }

    fn recent(&self, guard: &GuardSettings, now: Tick) -> impl Iterator<Item = &Left> {
        self.moves.iter().filter(move |m| now.since(m.at) < guard.per)
    }

    /// Moves as the guard counts them: a dead region once, every other move for itself.
    fn counted(&self, guard: &GuardSettings, now: Tick) -> u32 {
        let recent: Vec<&Left> = self.recent(guard, now).collect();
        let regions: BTreeSet<&RegionName> = recent.iter().filter(|m| m.dead).filter_map(|m| m.from.as_ref()).collect();
        let single = recent.iter().filter(|m| !m.dead || m.from.is_none()).count();
        u32::try_from(regions.len() + single).unwrap_or(u32::MAX)
    }
}

/// How many policies may move within `guard.per` without a region being dead.
fn allowed(shared: &Shared) -> u32 {
    let guard = &shared.settings.guard;
    let part = (guard.max_changed * f64::from(shared.policies.max(1))).ceil();
    guard.floor.max(if part.is_finite() && part >= 0.0 { part as u32 } else { 0 })
}

/// What the fleet's brakes say to `want` of `p` now.
pub(super) fn say(p: &PolicyState, shared: &Shared, now: Tick, want: &Want) -> Say {
    let guard = &shared.settings.guard;
    let allowed = allowed(shared);
    let evacuated = shared.evacuation.evacuated(guard, now);
    let per = human(guard.per);
    let entering = |region: &RegionName| {
        let fresh = want.to.iter().flat_map(|to| to.iter()).filter(|i| !p.is_published(*i));
        fresh.filter_map(|i| p.region_of(i)).any(|r| r == region)
    };
    let from = p.active().and_then(|a| p.region_of(a)).filter(|_| matches!(want.kind, Kind::Failover | Kind::Trim));
    if let Some(region) = evacuated.iter().find(|r| entering(r)) {
        return match want.kind {
            Kind::Failover | Kind::Trim => Say::Freeze(format!(
                "{} wants back into {region}, which was evacuated less than {per} ago",
                p.policy.id
            )),
            _ => Say::Wait(format!("{region} was evacuated less than {per} ago")),
        };
    }
    let Some(from) = from else {
        return over(shared, allowed, now).map_or(Say::Go, Say::Wait);
    };
    let dead = shared.sight.is_dead(from);
    if evacuated.contains(from) && dead {
        return Say::Go;
    }
    if let Some(first) = evacuated.iter().find(|r| **r != from).filter(|_| dead) {
        return Say::Freeze(format!("{from} fails less than {per} after {first} was evacuated"));
    }
    // One dead region is one move, whatever failbacks and single failures came before it.
    let another = || shared.evacuation.recent(guard, now).any(|m| m.dead && m.from.as_ref() != Some(from));
    if dead && !another() { Say::Go } else { over(shared, allowed, now).map_or(Say::Go, Say::Wait) }
}

fn over(shared: &Shared, allowed: u32, now: Tick) -> Option<String> {
    let guard = &shared.settings.guard;
    let count = shared.evacuation.counted(guard, now);
    (count >= allowed).then(|| {
        let policies = shared.policies.max(1);
        format!("{count} moves in {} reach the fleet guard ({allowed} of {policies} policies)", human(guard.per))
    })
}

/// The highest importance that still is on its way out of each dead region and cannot be sent at `now`.
pub(super) fn ahead<'a>(
    policies: impl Iterator<Item = &'a PolicyState>,
    shared: &Shared,
    now: Tick,
) -> BTreeMap<&'a RegionName, i32> {
    let mut ahead: BTreeMap<&RegionName, i32> = BTreeMap::new();
    for p in policies {
        let Some(active) = p.doubt.as_ref().and(p.active()) else { continue };
        let Some(region) = p.region_of(active).filter(|r| shared.sight.is_dead(r)) else { continue };
        let failing = p.health_of(active).is_some_and(|h| h.state() == Health::Down || h.failures() > 0);
        let stuck = p.refused.as_ref().is_some_and(|r| r.journalled);
        let free = shared.zones.get(p.zone.index()).is_some_and(|z| z.in_flight.is_none() && z.not_before <= now);
        let rides = p.write.as_ref().and_then(|w| w.ready_at()).is_some_and(|at| at <= now) && free;
        let gone = p.write.as_ref().is_some_and(|w| !w.is_unsent()) || !p.settling.is_empty();
        if failing && !stuck && !gone && !rides {
            let most = ahead.entry(region).or_insert(p.policy.importance);
            *most = (*most).max(p.policy.importance);
        }
    }
    ahead
}
