//! `doctor`: a live look at everything a move would need, on a calm day. Built without a write
//! client, keeps nothing and takes no lock.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::config::Config;
use crate::control::protocol::Status;
use crate::domain::time::human;
use crate::domain::{PolicyId, RecordName, ZoneRef};
use crate::engine::fence::FenceMode;
use crate::engine::report::{LiveState, Report, Rule};
use crate::store;

use super::assembly::{self, StartError};
use super::orphan::{Standing, fences};
use super::plan::{self, Observed};

/// Something a person should look at, and what to type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    pub policy: Option<PolicyId>,
    pub record: Option<String>,
    pub text: String,
    pub next: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The zone cannot be found or listed.
    Zone,
    /// The live record or its fence is not as a move needs it.
    Record,
    /// A move would be refused, or would miss something.
    Obstacle,
    /// A target is not up.
    Target,
    /// A fence of our cluster that no policy manages.
    Orphan,
    /// The state file remembers a policy that is not configured.
    Forgotten,
    /// The last rehearsal of the write path failed.
    Rehearsal,
}

#[derive(Debug)]
pub struct Examined {
    pub status: Status,
    /// What the provider said instead of an answer.
    pub provider_trouble: Option<String>,
    pub findings: Vec<Finding>,
}

/// Probes, reads and lists, at most about `deadline`.
pub async fn examine(config: &Config, deadline: Duration) -> Result<Examined, StartError> {
    let Observed { status, mut provider_trouble, .. } = plan::observe(config, deadline).await?;
    let mut findings: Vec<Finding> = status.reports.iter().flat_map(about).collect();
    let mut zones: BTreeMap<&ZoneRef, Vec<&RecordName>> = BTreeMap::new();
    for policy in &config.policies {
        zones.entry(&policy.zone).or_default().extend(&policy.records);
    }
    let reader = assembly::reader(config).await?;
    for zone in zones.keys() {
        match fences(&*reader, zone).await {
            Ok((_, standing)) => findings.extend(standing.iter().filter_map(|s| astray(config, s, &status))),
            Err(error) => {
                provider_trouble.get_or_insert(error.message.clone());
                findings.push(Finding {
                    kind: FindingKind::Zone,
                    policy: None,
                    record: None,
                    text: format!("zone {zone} cannot be listed: {}", error.message),
                    next: "look at the zone's name, the credentials and docs/aws.md".into(),
                });
            }
        }
    }
    findings.extend(forgotten(config));
    findings.sort_by(|a, b| (a.kind, &a.policy, &a.record).cmp(&(b.kind, &b.policy, &b.record)));
    Ok(Examined { status, provider_trouble, findings })
}

/// What a report shows that a person should look at.
fn about(report: &Report) -> Vec<Finding> {
    let id = &report.policy;
    let finding = |kind, record: Option<&RecordName>, text: String, next: String| Finding {
        kind,
        policy: Some(id.clone()),
        record: record.map(ToString::to_string),
        text,
        next,
    };
    let explain = || format!("failoverd explain {id}");
    let first = report.targets.first().map_or("TARGET", |t| t.name.as_str());
    let adopt = || format!("failoverd adopt {id} --to {first}");
    let mut found = Vec::new();
    match &report.live {
        LiveState::Targets { .. } => {}
        LiveState::NotRead => {
            found.push(finding(FindingKind::Record, None, "the live record could not be read".into(), explain()));
        }
        LiveState::Absent => found.push(finding(FindingKind::Record, None, "the record is absent".into(), adopt())),
        LiveState::Split { detail } | LiveState::Foreign { detail } | LiveState::Unreadable { detail } => {
            found.push(finding(FindingKind::Record, None, detail.clone(), adopt()));
        }
    }
    let fence = |r: &&crate::engine::report::Refusal| matches!(r.rule, Rule::FenceForeign | Rule::FenceUnusable);
    if let Some(refusal) = report.refusals.iter().find(fence) {
        found.push(finding(FindingKind::Record, None, refusal.text.clone(), refusal.change.clone()));
    }
    for obstacle in &report.obstacles {
        found.push(finding(
            FindingKind::Obstacle,
            Some(&obstacle.record),
            obstacle.text.clone(),
            obstacle.next.clone(),
        ));
    }
    for target in report.targets.iter().filter(|t| t.health != crate::domain::Health::Up) {
        let last = target.last.map_or_else(|| "no probe ended".to_owned(), |o| o.to_string());
        let text = format!("target {} is {}: {last}", target.name, target.health);
        found.push(finding(FindingKind::Target, None, text, format!("failoverd probe {id}")));
    }
    if let Some(rehearsal) = report.rehearsal.as_ref().filter(|r| !r.ok) {
        let ago = human(report.at.since(rehearsal.at));
        let text = format!("the last rehearsal of the write path, {ago} ago, failed: {}", rehearsal.detail);
        found.push(finding(FindingKind::Rehearsal, None, text, explain()));
    }
    found
}

/// A fence of our cluster that no policy in force manages, or that names another policy.
fn astray(config: &Config, standing: &Standing, status: &Status) -> Option<Finding> {
    let Standing { record, value } = standing;
    if value.cluster != config.settings.cluster || value.mode == FenceMode::Released {
        return None;
    }
    let owner = config.policies.iter().find(|p| p.records.iter().any(|r| r.as_str() == record));
    let ago = human(Duration::from_secs(status.at.since(value.written).as_secs()));
    let writer = format!("last written by {}/{} {ago} ago, epoch {}", value.cluster, value.instance, value.epoch);
    let (policy, text, next) = match owner {
        Some(owner) if owner.id == value.policy => return None,
        Some(owner) => (
            Some(owner.id.clone()),
            format!("the fence of {record} is of policy {}, not {}; {writer}", value.policy, owner.id),
            format!("failoverd adopt {} --repair, when {} is its new name", owner.id, owner.id),
        ),
        None => (
            None,
            format!("no policy manages {record}, which has a fence of policy {}; {writer}", value.policy),
            format!("failoverd release --orphan {record}"),
        ),
    };
    Some(Finding { kind: FindingKind::Orphan, policy, record: Some(record.clone()), text, next })
}

/// Policies the state file knows and the configuration does not.
fn forgotten(config: &Config) -> Vec<Finding> {
    if !config.state.exists() {
        return Vec::new();
    }
    let finding = |policy: Option<PolicyId>, text: String, next: String| Finding {
        kind: FindingKind::Forgotten,
        policy,
        record: None,
        text,
        next,
    };
    match store::open_read_only(&config.state).and_then(|view| view.restored()) {
        Ok(restored) => restored
            .snapshots
            .into_iter()
            .filter(|s| config.policies.iter().all(|p| p.id != s.policy))
            .map(|s| {
                let text = format!("the state file remembers policy {} of {}, which is not configured", s.policy, s.at);
                let next = format!("failoverd history {}; its fences, if any, are listed here as orphans", s.policy);
                finding(Some(s.policy), text, next)
            })
            .collect(),
        Err(error) => vec![finding(None, error.to_string(), "failoverd run".into())],
    }
}
