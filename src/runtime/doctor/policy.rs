//! What the report of one policy shows that a person should look at. Pure: the rules were asked by
//! the engine; here each answer only gets its name.

use std::time::Duration;

use crate::domain::time::human;
use crate::domain::{Health, Outcome, PolicyId, UnixMs};
use crate::engine::report::{LiveState, RecordFence, Refusal, Report, Rule, Standing, TargetReport};

use super::finding::{CLOCKS_DIFFER, Finding, FindingId as Id};

/// What the fleet's findings say already and a policy's need not repeat.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub zone: bool,
    pub sight: bool,
}

/// Everything about one policy. `cadence`: from one rehearsal to the next, at most; `None`: there is none.
pub fn about(report: &Report, told: Told, cadence: Option<Duration>) -> Vec<Finding> {
    let id = &report.policy;
    let mut found = Vec::new();
    found.extend(zone_of(report));
    found.extend(report.targets.iter().filter_map(|t| target(report, t)));
    found.extend(drained(report));
    for obstacle in &report.obstacles {
        let kind = if obstacle.blocks.is_empty() { Id::MoveMisses } else { Id::TargetBlocked };
        let blocked: Vec<&str> = obstacle.blocks.iter().map(|t| t.as_str()).collect();
        let whom = if blocked.is_empty() { String::new() } else { format!(" (no move to {})", blocked.join(", ")) };
        found.push(Finding::new(kind, format!("{}{whom}", obstacle.text), &obstacle.next).at(&obstacle.record));
    }
    if let Some(tonight) = &report.tonight {
        found.extend(tonight.refusals.iter().filter_map(|refusal| refused(refusal, report, told)));
        if tonight.to.is_empty() && tonight.refusals.is_empty() {
            found.push(Finding::new(Id::NoCandidate, "there is no target to move to", explain(id)));
        }
    }
    let brakes = &report.brakes;
    if brakes.unverified {
        let next = format!("look from outside (dig), then: failoverd ack {id}");
        found.push(Finding::new(Id::Unverified, "the last move is unverified", next));
    }
    if brakes.failback_blocked {
        let next = format!("failoverd ack {id}, or to move back now: failoverd failback {id}");
        let text = "automatic failback is off until `ack`, after a rollback or a switch to a worse target";
        found.push(Finding::new(Id::FailbackOff, text, next));
    }
    // What cannot be read as ours is told of as that.
    if let Some(drift) = report.drift.as_ref().filter(|_| matches!(report.live, LiveState::Targets { .. })) {
        let next = format!("undo the edit, or accept it: failoverd adopt {id}");
        found.push(Finding::new(Id::Drift, drift, next));
    }
    for unwritten in &report.unwritten {
        let text = format!("the {} of a person is in this state file only: {}", unwritten.what, unwritten.text);
        found.push(Finding::new(Id::OnlyHere, text, "failoverd run, or `once`: the next process writes it"));
    }
    if let Some(moving) = &report.moving {
        let text = format!("a {} at epoch {} is under way", moving.kind, moving.epoch);
        found.push(Finding::new(Id::MoveInFlight, text, format!("failoverd status {id}")));
    }
    found.extend(rehearsal(report, cadence));
    found.into_iter().map(|finding| finding.of(id)).collect()
}

/// What its record and its fences hold.
pub fn zone_of(report: &Report) -> Vec<Finding> {
    let fences = report.fences.iter().flat_map(|fence| fence_of(report, fence));
    live(report).into_iter().chain(fences).collect()
}

/// What a refusal of tonight's failover is called; `None`: it is told of otherwise.
pub fn refused(refusal: &Refusal, report: &Report, told: Told) -> Option<Finding> {
    let fenced = !report.fences.is_empty();
    let id = match refusal.rule {
        Rule::ZoneUnresolved if told.zone => return None,
        Rule::ZoneUnresolved => Id::ZoneUnlisted,
        Rule::LiveUnknown if !matches!(report.live, LiveState::Targets { .. }) => return None,
        Rule::LiveUnknown => Id::RecordUnread,
        Rule::LiveForeign | Rule::LiveAbsent | Rule::LiveSplit => return None,
        Rule::NotAdopted | Rule::FenceForeign | Rule::FenceUnusable | Rule::Released if fenced => return None,
        Rule::NotAdopted => Id::NotAdopted,
        Rule::FenceForeign => Id::FenceForeign,
        Rule::FenceUnusable => Id::FenceSpoiled,
        Rule::Released => Id::Released,
        Rule::IntentOpen => Id::OpenIntent,
        Rule::MoveInFlight => Id::MoveInFlight,
        Rule::StoreFailed => Id::StoreFailed,
        Rule::Frozen => Id::Frozen,
        Rule::Forced => Id::Forced,
        Rule::Locked => Id::LockedOut,
        Rule::Blind | Rule::NoSight if told.sight => return None,
        Rule::Blind => Id::Blind,
        Rule::NoSight => Id::NoSight,
        Rule::NoCandidate => Id::NoCandidate,
        Rule::Drained => Id::DrainedForGood,
        Rule::Obstacle => Id::AllBlocked,
        Rule::HoldDown => Id::HoldDown,
        Rule::PeerRecent => Id::PeerRecent,
        Rule::FlapBudget => Id::FlapBudget,
        Rule::FleetGuard | Rule::Wave => Id::FleetGuard,
        Rule::FleetFrozen => Id::FleetFrozen,
        Rule::WriteRefused => Id::WriteRefused,
        Rule::ConfigSkew => Id::ConfigSkew,
        Rule::Unverified => Id::Unverified,
        Rule::Drift => Id::Drift,
        Rule::NotJudged
        | Rule::StaleEvidence
        | Rule::FailbackOff
        | Rule::Soak
        | Rule::WindowClosed
        | Rule::AfterRollback
        | Rule::Collapse => Id::FailoverRefused,
    };
    let policy = &report.policy;
    let next = match id {
        Id::Frozen | Id::Forced => format!("failoverd unfreeze {policy} --reason \"why\""),
        Id::NoCandidate => format!("failoverd probe {policy}, then bring a standby up"),
        _ => refusal.change.clone(),
    };
    Some(Finding::new(id, &refusal.text, next))
}

fn explain(id: &PolicyId) -> String {
    format!("failoverd explain {id}")
}

/// What is wrong with what the record holds.
pub fn live(report: &Report) -> Option<Finding> {
    let id = &report.policy;
    // One that is up, or the adoption would be refused.
    let up = report.targets.iter().find(|t| t.health == Health::Up && t.drained.is_none());
    let adopt = format!("failoverd adopt {id} --to {}", up.map_or("TARGET", |t| t.name.as_str()));
    Some(match &report.live {
        LiveState::Targets { .. } => return None,
        LiveState::NotRead => Finding::new(Id::RecordUnread, "the live record could not be read", explain(id)),
        LiveState::Absent => Finding::new(Id::RecordAbsent, "the record does not exist", adopt),
        LiveState::Split { detail } => Finding::new(Id::RecordSplit, detail, adopt),
        LiveState::Foreign { detail } => Finding::new(Id::RecordForeign, detail, adopt),
        LiveState::Unreadable { detail } => {
            Finding::new(Id::RecordUnreadable, detail, format!("correct the record by hand, then: {adopt}"))
        }
    })
}

fn fence_of(report: &Report, fence: &RecordFence) -> Vec<Finding> {
    let id = &report.policy;
    let mut found = Vec::new();
    if let Some(refusal) = &fence.refusal {
        let kind = match fence.standing {
            // Never with a refusal.
            Standing::Ours => Id::FailoverRefused,
            Standing::None | Standing::Offered => Id::NotAdopted,
            Standing::Gone => Id::FenceGone,
            Standing::Foreign => Id::FenceForeign,
            Standing::Released => Id::Released,
            Standing::Spoiled => Id::FenceSpoiled,
            Standing::Doubled => Id::FenceDoubled,
            Standing::Newer => Id::FenceNewer,
            Standing::Shared => Id::FenceShared,
            Standing::Steered => Id::FenceSteered,
        };
        found.push(Finding::new(kind, &refusal.text, &refusal.change));
    }
    if let Some(other) = fence.policy.as_ref().filter(|p| *p != id && fence.standing == Standing::Ours) {
        let text = format!("the fence of {} is of policy {other}, not {id}", fence.record);
        let next = format!("when {id} is its new name: failoverd ack {id}");
        found.push(Finding::new(Id::FenceRenamed, text, next));
    }
    if let Some(value) = &fence.value {
        if let Some(config) = &fence.config {
            let text = format!("{} runs another configuration of {id} (c={config})", value.owner);
            let next = format!("give both the same file, then: failoverd ack {id}");
            found.push(Finding::new(Id::ConfigSkew, text, next));
        }
        let ahead = value.written.since(report.at);
        if ahead > CLOCKS_DIFFER {
            let text =
                format!("the fence of {} was written by {} {} from now", fence.record, value.owner, human(ahead));
            found.push(Finding::new(Id::ClockOff, text, "set the clocks of both machines (chronyc tracking)"));
        }
    }
    found.into_iter().map(|finding| finding.at(&fence.record)).collect()
}

fn target(report: &Report, target: &TargetReport) -> Option<Finding> {
    let last = target.last.map_or_else(|| "no probe ended".to_owned(), |o| o.to_string());
    let name = &target.name;
    let kind = match (target.health, target.active, target.last) {
        (Health::Up, ..) => return None,
        (Health::Down, true, _) => Id::ActiveDown,
        (Health::Down, false, _) => Id::TargetDown,
        (Health::Unknown, _, Some(Outcome::Unknown(_))) => Id::TargetUnknown,
        (Health::Unknown, ..) => Id::NeverProven,
    };
    let part = if target.active { "published" } else { "a standby" };
    let text = format!("{name}, {part}, is {}: {last}", target.health);
    Some(Finding::new(kind, text, format!("failoverd probe {}", report.policy)).about(name))
}

fn drained(report: &Report) -> Option<Finding> {
    let standbys: Vec<&TargetReport> = report.targets.iter().filter(|t| !t.active).collect();
    let first = standbys.first()?;
    let why = first.drained.as_ref()?;
    if standbys.iter().any(|t| t.drained.is_none()) {
        return None;
    }
    let names: Vec<&str> = standbys.iter().map(|t| t.name.as_str()).collect();
    let text = format!("every standby is drained: {} ({} {why})", names.join(", "), first.name);
    Some(Finding::new(Id::StandbysDrained, text, format!("failoverd undrain {} {}", report.policy, first.name)))
}

fn rehearsal(report: &Report, cadence: Option<Duration>) -> Option<Finding> {
    let id = &report.policy;
    let ago = |at: UnixMs| report.at.since(at);
    let seconds = |d: Duration| human(Duration::from_secs(d.as_secs()));
    let long = cadence.map(|cadence| cadence * 2);
    let next = format!("failoverd history {id}; the next one is tried by the daemon or the next `once`");
    // What was only observed was not walked.
    let last = report.rehearsal.as_ref().filter(|last| !last.ok || last.walked());
    match (last, long) {
        (Some(last), _) if !last.ok => {
            let text = format!("the last rehearsal, {} ago, failed: {}", seconds(ago(last.at)), last.detail);
            Some(Finding::new(Id::RehearsalFailed, text, next))
        }
        (Some(last), Some(long)) if ago(last.at) > long => {
            let text = format!("the last rehearsal was {} ago, and one is due every {}", seconds(ago(last.at)), {
                seconds(long / 2)
            });
            Some(Finding::new(Id::RehearsalLate, text, next))
        }
        // A write that was made is as good as one that was rehearsed.
        (None, Some(long)) => {
            let written = report.fences.iter().filter_map(|f| f.value.as_ref()).map(|v| v.written).max()?;
            (ago(written) > long).then(|| {
                let text = format!("never rehearsed, and the last write was {} ago", seconds(ago(written)));
                Finding::new(Id::RehearsalNever, text, next)
            })
        }
        _ => None,
    }
}
