//! Builds the `Report` of a policy and the result of one confirmed pass from the same rules the
//! engine acts on; nothing here decides.

use crate::domain::{Health, Now, PolicyIdx, RecordName, Tick, UnixMs, Witness, ZoneRef};

use super::event::SavedPlan;
use super::fence::{Damage, Fence, FenceValue};
use super::fleet::{Fleet, Mode};
use super::guard::{At, fence_refusal, refusals};
use super::intent::Kind;
use super::journal::PolicySnapshot;
use super::live::View;
use super::report::{
    BrakesReport, FenceReport, MovePhase, MoveReport, Obstacle, PolicyState as State, RecordFence, Refusal, Report,
    Rule, Settled, Standing, TargetReport, Wanted,
};
use super::select::wanted;
use super::state::{PolicyState, Shared};

pub(super) fn report(p: &PolicyState, shared: &Shared, now: Now) -> Report {
    let want = wanted(p, shared, now.mono);
    let found = want.as_ref().map(|w| refusals(p, shared, now.mono, w, At::Decision)).unwrap_or_default();
    let moving = moving(p, now.mono);
    let why = |w: &super::select::Want| {
        let to = w.to.iter().flat_map(|to| to.iter()).filter(|i| Some(*i) != p.active());
        p.active().into_iter().chain(to).map(|i| p.evidence(i, now)).collect()
    };
    Report {
        policy: p.policy.id.clone(),
        config: p.policy.config_hash.clone(),
        at: now.wall,
        zone: p.policy.zone.to_string(),
        records: p.policy.records.clone(),
        ttl: p.policy.ttl,
        state: state(p, shared, moving.is_some(), &found),
        live: p.live.report(&p.policy),
        targets: targets(p, now),
        incident: p.incident.as_ref().map(|i| i.id.clone()),
        doubt_since: p.doubt.as_ref().map(|d| d.since_wall),
        wanted: want.as_ref().map(|w| Wanted {
            kind: w.kind,
            to: w.to.as_ref().map(|to| p.policy.names(to)).unwrap_or_default(),
            why: why(w),
        }),
        refusals: found,
        brakes: BrakesReport {
            frozen: p.brakes.frozen.as_ref().map(|f| format!("by {} since {}: {}", f.by, f.since, f.reason)),
            locked: p.brakes.locked.is_some(),
            hold_down: p.brakes.hold_down_left(now.mono),
            moves_last_hour: p.brakes.moves_last_hour(now.mono),
            flap_budget: p.policy.failover.flap_budget,
            failback_blocked: p.brakes.failback_blocked,
            unverified: p.brakes.unverified,
        },
        fence: fence(p),
        moving,
        failback: p.policy.failback.mode,
        last_move: p.last_move.clone(),
        obstacles: {
            let zone = shared.zones.get(p.zone.index()).and_then(|z| z.delegation.trouble.clone());
            p.obstacles.iter().cloned().chain(zone).collect()
        },
        rehearsal: p.rehearsal.clone(),
        drift: p.live.drift.clone(),
        fences: p.policy.records.iter().zip(&p.live.fences).map(|(name, f)| record_fence(p, shared, name, f)).collect(),
        tonight: None,
        unwritten: p.unwritten(shared),
        trouble: p.provider_said(shared),
    }
}

impl Fleet {
    /// What a next process must know of every policy; kept at the end of a pass, so that the gap to
    /// the next one is known.
    pub fn snapshots(&self, now: Now) -> Vec<PolicySnapshot> {
        self.states().map(|(_, p)| p.snapshot(now)).collect()
    }

    /// Every target was seen up or down by this run.
    pub fn is_judged(&self) -> bool {
        self.states().all(|(_, p)| p.health.iter().all(|h| h.state() != Health::Unknown))
    }

    /// Each witness, and whether it answered when it was last asked; `None`: not asked yet.
    pub fn witnesses(&self) -> impl Iterator<Item = (&Witness, Option<bool>)> {
        self.shared.settings.witnesses.iter().zip(self.shared.sight.latest())
    }

    /// What is wrong with the delegation of each zone; the error: the world is still being asked.
    pub fn delegations(&self) -> impl Iterator<Item = (&ZoneRef, Result<Option<&Obstacle>, ()>)> {
        let asked = |z: &super::state::ZoneState| z.delegation.due.is_none() || z.delegation.looked;
        let zones = self.shared.zones.iter();
        zones.map(move |z| (&z.zone_ref, if asked(z) { Ok(z.delegation.trouble.as_ref()) } else { Err(()) }))
    }

    /// What the provider said to the first policy that could not write or read its record.
    pub fn provider_said(&self) -> Option<String> {
        self.states().find_map(|(_, p)| match (&p.write_trouble, &p.trouble) {
            (Some(write), _) => Some(format!("it refused the last write: {}", write.message)),
            (None, read) => read.as_ref().map(|t| t.message.clone()),
        })
    }

    /// The move that one policy would make now, to be carried out later if the zone has not moved
    /// since; `None` when nothing is wanted or something is in the way.
    pub fn saved(&self, policy: PolicyIdx, now: Now) -> Option<SavedPlan> {
        let p = self.state(policy)?;
        let want = wanted(p, &self.shared, now.mono)?;
        if !refusals(p, &self.shared, now.mono, &want, At::Decision).is_empty() {
            return None;
        }
        Some(SavedPlan {
            kind: want.kind,
            to: want.to?,
            zone: p.live.reads.clone(),
            config: p.policy.config_hash.clone(),
        })
    }
}

fn state(p: &PolicyState, shared: &Shared, moving: bool, found: &[Refusal]) -> State {
    let Some(active) = p.active() else {
        return if p.live.view == View::NotRead { State::Starting } else { State::Detached };
    };
    let health = p.health_of(active).map(|h| h.state()).unwrap_or_default();
    if moving {
        State::Moving
    } else if p.write_trouble.is_some() {
        State::WriteRefused
    } else if shared.sight.blind.is_some() {
        State::Blind
    } else if health == Health::Unknown {
        State::Starting
    } else if health == Health::Down {
        if found.is_empty() { State::Doubt } else { State::Stuck }
    } else if p.doubt.is_some() || p.health.iter().any(|h| h.state() == Health::Up && h.failures() > 0) {
        State::Doubt
    } else {
        let mine = p.policy.target(active).map(|t| t.priority);
        let displaced = p.policy.targets.iter().map(|t| t.priority).min() < mine;
        let tier = p.policy.targets.iter().filter(|t| Some(t.priority) == mine).count();
        let full = tier.min(usize::try_from(p.policy.answers).unwrap_or(usize::MAX));
        if displaced || p.published().is_some_and(|members| members.count() < full) {
            State::Displaced
        } else {
            State::Steady
        }
    }
}

fn targets(p: &PolicyState, now: Now) -> Vec<TargetReport> {
    let one = |(idx, t): (crate::domain::TargetIdx, &crate::domain::Target)| {
        let h = p.health_of(idx)?;
        let since = h
            .healthy_for(now.mono)
            .map(|d| UnixMs(now.wall.0.saturating_sub(u64::try_from(d.as_millis()).unwrap_or(0))));
        Some(TargetReport {
            name: t.name.clone(),
            region: t.region.clone(),
            priority: t.priority,
            content: t.content.clone(),
            active: p.is_published(idx),
            drained: p.drain_of(idx).map(|d| format!("by {} since {}: {}", d.by, d.since, d.reason)),
            health: h.state(),
            since: since.or(p.since.get(idx.index()).copied()).unwrap_or_default(),
            last: h.last().map(|l| l.outcome),
            age: h.last().map(|l| now.mono.since(l.ended)),
            failures: h.failures(),
            fall: t.check.fall,
            successes: h.successes(),
            rise: t.check.rise,
        })
    };
    p.policy.indices().zip(&p.policy.targets).filter_map(one).collect()
}

fn fence(p: &PolicyState) -> Option<FenceReport> {
    p.live.fences.iter().find_map(Fence::value).map(fence_report)
}

fn fence_report(value: &FenceValue) -> FenceReport {
    FenceReport {
        epoch: value.epoch,
        owner: format!("{}/{}", value.cluster, value.instance),
        mode: value.mode.as_str().into(),
        kind: value.kind.to_string(),
        written: value.written,
    }
}

fn record_fence(p: &PolicyState, shared: &Shared, name: &RecordName, fence: &Fence) -> RecordFence {
    let settings = &shared.settings;
    let standing = match fence {
        Fence::Ours { .. } => Standing::Ours,
        Fence::Absent if p.had_fence(name) => Standing::Gone,
        Fence::Absent => Standing::None,
        Fence::Foreign { .. } => Standing::Foreign,
        Fence::Released { value, .. } if value.cluster == settings.cluster => Standing::Released,
        Fence::Released { .. } => Standing::Offered,
        Fence::Unusable { damage, .. } => match damage {
            Damage::Spoiled { raw, .. } if raw.values.len() > 1 => Standing::Doubled,
            Damage::Spoiled { .. } => Standing::Spoiled,
            Damage::Newer => Standing::Newer,
            Damage::Shared(_) => Standing::Shared,
            Damage::NotSimple => Standing::Steered,
        },
    };
    let ours = fence.ours().map(|(value, _)| value);
    let skewed = ours.filter(|v| v.config != p.policy.config_hash && v.instance != settings.instance);
    RecordFence {
        record: name.clone(),
        standing,
        value: fence.value().map(fence_report),
        policy: fence.value().map(|v| v.policy.clone()),
        config: skewed.map(|v| v.config.clone()),
        refusal: fence_refusal(p, shared, Kind::Failover, name, fence),
    }
}

fn moving(p: &PolicyState, now: Tick) -> Option<MoveReport> {
    if let Some(planned) = p.planned.as_ref().and_then(|plan| plan.report(p, now)) {
        return Some(planned);
    }
    if let Some(write) = p.write.as_ref().filter(|w| w.intent.kind.publishes()) {
        return Some(MoveReport {
            kind: write.intent.kind,
            from: write.intent.from.clone(),
            to: write.intent.to.clone(),
            epoch: write.intent.epoch,
            phase: write.report_phase(),
            clocks: super::notice::Clocks { confirmed: write.confirmed, ..Default::default() },
            detail: String::new(),
        });
    }
    p.settling
        .iter()
        .filter(|s| s.is_unjudged_move())
        .find_map(|s| s.report(p))
        .filter(|m| m.phase == MovePhase::Verifying)
}

/// How far one confirmed pass over this policy is.
pub(super) fn settled(p: &PolicyState, shared: &Shared, now: Tick) -> Settled {
    let zone = shared.zones.get(p.zone.index());
    if zone.is_none_or(|z| z.info.is_none()) {
        return if zone.is_some_and(|z| z.trouble.is_some()) { Settled::Provider } else { Settled::No };
    }
    if p.live.view == View::NotRead {
        return if p.live.errors > 1 { Settled::Provider } else { Settled::No };
    }
    if let Some(trouble) = &p.write_trouble
        && trouble.next_try > now
    {
        return Settled::Provider;
    }
    let calm = p.health.iter().all(|h| h.is_settled());
    if p.write.is_some()
        || p.rehearsals.is_open(now)
        || p.hand_goes_first()
        || p.planned.is_some()
        || !p.settling.is_empty()
        || p.live.is_reading()
        || p.live.stale
    {
        return Settled::No;
    }
    // What a person asked for is over, and nothing else is waited for.
    if shared.mode == Mode::Attended {
        return Settled::Quiet;
    }
    let want = wanted(p, shared, now);
    let found = want.as_ref().map(|w| refusals(p, shared, now, w, At::Decision)).unwrap_or_default();
    let rule = found.first().map(|r| r.rule);
    match (want.map(|w| w.kind), rule) {
        (_, Some(Rule::Blind)) => Settled::Blind,
        (Some(Kind::Failover | Kind::Trim), Some(Rule::NoSight | Rule::StaleEvidence)) => Settled::No,
        (Some(Kind::Failover | Kind::Trim), Some(Rule::NoCandidate)) if !calm || proof_is_under_way(p, now) => {
            Settled::No
        }
        (Some(Kind::Failover | Kind::Trim), Some(_)) => Settled::Refused,
        (Some(Kind::Failover | Kind::Trim), None) => {
            if p.would.is_some() {
                Settled::Moved
            } else {
                Settled::No
            }
        }
        (Some(Kind::Adopt), None) if shared.mode == Mode::Observe => calm_or(calm, Settled::Quiet),
        (Some(_), None) => {
            if p.would.is_some() {
                Settled::Moved
            } else {
                Settled::No
            }
        }
        (Some(_), Some(Rule::StaleEvidence | Rule::NoSight)) => Settled::No,
        (Some(_), Some(_)) => calm_or(calm, Settled::Quiet),
        (None, _) if p.active().is_none() => calm_or(calm, Settled::Refused),
        (None, _) => calm_or(calm, Settled::Quiet),
    }
}

/// A standby is up, and its next probes prove it or bring it down: until then the pass is not over.
fn proof_is_under_way(p: &PolicyState, now: Tick) -> bool {
    let standbys = p.policy.indices().filter(|i| !p.is_published(*i));
    let mut known = standbys.filter_map(|i| p.policy.target(i).zip(p.health_of(i)));
    known.any(|(t, h)| h.state() == Health::Up && !h.is_proven(&t.check, now))
}

fn calm_or(calm: bool, result: Settled) -> Settled {
    if calm { result } else { Settled::No }
}
