//! What a policy keeps over a restart or a reload, and what the next one takes from it: never more than was
//! true when it was written down (invariants I5, I7).

use std::collections::BTreeSet;

use crate::domain::{Health, Now, Policy, RecordName, Target, TargetIdx, UnixMs};

use super::hand::Hand;
use super::health::TargetHealth;
use super::ids::short_hash;
use super::journal::{PolicySnapshot, TargetSnapshot, ZoneSnapshot};
use super::state::PolicyState;

/// What is probed at `target`, and how. A machine that got the name of another is another one.
pub(super) fn fingerprint(target: &Target) -> String {
    short_hash(&["probed", &format!("{:?}", target.content), &format!("{:?}", target.check)], 8)
}

/// What an earlier run, or an earlier configuration, knew of one target.
#[derive(Default)]
pub(super) struct KnownTarget {
    pub health: TargetHealth,
    /// Down, and since when.
    pub down: Option<UnixMs>,
    /// Since when its probes bring no success.
    pub failing: Option<UnixMs>,
}

impl KnownTarget {
    /// `of`: the target's fingerprint now.
    pub fn of(target: &Target, of: &str, policy: &Policy, kept: Option<&PolicySnapshot>, now: Now) -> KnownTarget {
        let mut health = TargetHealth::default();
        let same = |s: &&TargetSnapshot| s.name == target.name && (s.of.is_empty() || s.of == of);
        let Some((at, known)) = kept.and_then(|r| Some((r.at, r.targets.iter().find(same)?))) else {
            return KnownTarget::default();
        };
        let down = (known.health == Health::Down).then_some(known.since);
        let failing = known.failing.or(down);
        // Nobody looked in between: over a longer gap than soak itself nothing can be claimed.
        let looked = now.wall.since(at) <= policy.failback.soak;
        if looked && known.health == Health::Up && failing.is_none() {
            health.assume_healthy_since(now.mono - now.wall.since(known.since));
        }
        KnownTarget { health, down, failing }
    }
}

/// Records whose fence was ours when `kept` was written. One that tells nothing of records speaks of all.
pub(super) fn fenced(kept: &PolicySnapshot, policy: &Policy) -> BTreeSet<RecordName> {
    let silent = kept.zone.fenced.is_empty() && kept.epoch.0 > 0;
    let all = if silent { &policy.records } else { &kept.zone.fenced };
    all.iter().cloned().collect()
}

impl PolicyState {
    /// What must outlive this process.
    pub fn snapshot(&self, now: Now) -> PolicySnapshot {
        PolicySnapshot {
            policy: self.policy.id.clone(),
            at: now.wall,
            epoch: self.known_epoch,
            targets: self.policy.indices().filter_map(|idx| self.target_snapshot(idx, now)).collect(),
            moves: self.brakes.moves_as_wall(now),
            hold_down_until: self.brakes.hold_down_as_wall(now),
            locked: self.brakes.lock_as_snapshot(now),
            frozen: self.brakes.freeze(),
            failback_blocked: self.brakes.failback_blocked,
            unverified: self.brakes.unverified,
            called: self.brakes.called.map(|c| c.wall),
            forced: self.brakes.forced,
            seen: self.seen.clone(),
            drained: self.drained.clone(),
            trims: self.brakes.trims_as_wall(now),
            fills: self.brakes.fills_as_wall(now),
            repairs: self.brakes.repairs_as_wall(now),
            peer_until: self.brakes.peer_as_wall(now),
            rehearsal: self.rehearsal.clone(),
            left: self.left.clone(),
            hands: self.hands.iter().filter_map(Hand::snapshot).collect(),
            zone: ZoneSnapshot {
                id: self.zone_id.clone(),
                obstacles: self.obstacles.clone(),
                delegation: self.told_delegation.clone(),
                fenced: self.fenced.iter().cloned().collect(),
            },
        }
    }

    fn target_snapshot(&self, idx: TargetIdx, now: Now) -> Option<TargetSnapshot> {
        let (target, health, of) = (self.policy.target(idx)?, self.health_of(idx)?, self.prints.get(idx.index())?);
        let wall = |at| UnixMs(now.wall.0.saturating_sub(u64::try_from(now.mono.since(at).as_millis()).unwrap_or(0)));
        let stamped = self.since.get(idx.index()).copied().unwrap_or(now.wall);
        // What the last run knew to be down stays so until this one has judged it.
        let known = self.long_down.get(idx.index()).copied().flatten();
        let healthy = health.healthy_since().filter(|_| health.state() == Health::Up).map(wall);
        let failing = self.told_failing.get(idx.index()).copied().flatten().map(wall);
        // Up, and a failure was heard that counts for nothing else: its soak begins anew.
        let anew = (health.state() == Health::Up).then_some(now.wall);
        Some(TargetSnapshot {
            name: target.name.clone(),
            health: if known.is_some() { Health::Down } else { health.state() },
            since: known.or(healthy).or(anew).unwrap_or(stamped),
            failing: known.or(failing),
            of: of.clone(),
        })
    }
}
