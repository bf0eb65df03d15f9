//! What the zones show beside the records of the policies: that they are there and the same as
//! before, who the world asks about them, and fences that are nobody's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::dns::ZoneReader;
use crate::domain::time::human;
use crate::domain::{Policy, PolicyId, UnixMs, ZoneRef};
use crate::engine::fence::FenceMode;
use crate::engine::journal::Restored;
use crate::engine::report::Obstacle;
use crate::engine::zone::{ApiError, ApiErrorKind, ZoneInfo};
use crate::runtime::controller::Controller;
use crate::runtime::orphan::{Standing, fences, is_our_own};

use super::finding::{Finding, FindingId as Id};

pub struct Zones {
    pub findings: Vec<Finding>,
    /// What the provider said instead of an answer.
    pub trouble: Option<String>,
    /// Some zone is not known to the provider.
    pub gone: bool,
    /// Policies whose zone a finding is about.
    pub troubled: BTreeSet<PolicyId>,
    /// What is wrong with delegations, as the reports of the policies repeat it.
    pub delegations: Vec<Obstacle>,
}

/// Lists every zone of a policy, until `deadline`.
pub async fn look(
    config: &Config,
    reader: &dyn ZoneReader,
    controller: &Controller,
    restored: &Restored,
    now: UnixMs,
    deadline: Instant,
) -> Zones {
    let mut zones = Zones {
        findings: Vec::new(),
        trouble: None,
        gone: false,
        troubled: BTreeSet::new(),
        delegations: controller.fleet().delegations().filter_map(|(_, found)| found.ok().flatten().cloned()).collect(),
    };
    let mut known: BTreeMap<&ZoneRef, Vec<&Policy>> = BTreeMap::new();
    for policy in &config.policies {
        known.entry(&policy.zone).or_default().push(policy);
    }
    for (zone, policies) in known {
        let late = |_| ApiError { kind: ApiErrorKind::Unreachable, message: "it was not listed in time".into() };
        match timeout_at(deadline, fences(reader, zone)).await.map_err(late).and_then(|listed| listed) {
            Ok((info, standing)) => {
                zones.findings.extend(made_anew(&info, &policies, restored));
                zones.findings.extend(standing.iter().filter_map(|s| astray(config, s, now)));
            }
            Err(error) => {
                zones.findings.push(unlisted(zone, &policies, &error));
                zones.troubled.extend(policies.iter().map(|p| p.id.clone()));
                match error.kind {
                    ApiErrorKind::NoSuchZone => zones.gone = true,
                    _ => {
                        zones.trouble.get_or_insert(error.message);
                    }
                }
            }
        }
    }
    for obstacle in &zones.delegations {
        let finding = Finding::new(Id::DelegatedElsewhere, &obstacle.text, &obstacle.next);
        zones.findings.push(finding.at(&obstacle.record));
    }
    zones
}

fn unlisted(zone: &ZoneRef, policies: &[&Policy], error: &ApiError) -> Finding {
    let names: Vec<&str> = policies.iter().map(|p| p.id.as_str()).collect();
    let text = format!("zone {zone} of {}: {}", names.join(", "), error.message);
    match error.kind {
        ApiErrorKind::NoSuchZone => {
            let next = "correct zone or zone_id in the policies; a zone made anew has another id";
            Finding::new(Id::ZoneGone, text, next)
        }
        _ => Finding::new(Id::ZoneUnlisted, text, "look at the zone's name, the credentials and docs/aws.md"),
    }
}

/// Another zone than the one that was read before.
fn made_anew(info: &ZoneInfo, policies: &[&Policy], restored: &Restored) -> Option<Finding> {
    let of = |policy: &&Policy| restored.snapshots.iter().find(|s| s.policy == policy.id)?.zone.id.clone();
    let old = policies.iter().filter_map(of).find(|old| *old != info.id)?;
    let text = format!("zone {} was made anew: it was {old} and is {}", info.name, info.id);
    let next = "look at what the new zone holds and who it is delegated to, then `failoverd adopt POLICY --repair`";
    Some(Finding::new(Id::ZoneRecreated, text, next).at(&info.name))
}

/// A fence of our cluster, or one that cannot be read, that no policy in force manages.
fn astray(config: &Config, standing: &Standing, now: UnixMs) -> Option<Finding> {
    let Standing { record, fence, value } = standing;
    if config.policies.iter().any(|p| p.records.iter().any(|r| r.as_str() == record)) {
        return None;
    }
    let value = match value {
        Ok(value) => value,
        Err(why) => {
            let text = format!("the TXT record {fence} is no policy's, and no fence can be read there: {why}");
            let next = format!("look at it (dig {fence} TXT) and, when nobody needs it, delete it by hand");
            return Some(Finding::new(Id::OrphanUnreadable, text, next).at(record));
        }
    };
    if value.cluster != config.settings.cluster || value.mode == FenceMode::Released {
        return None;
    }
    let ago = human(Duration::from_secs(now.since(value.written).as_secs()));
    let text = format!(
        "no policy manages {record}, which has a fence of policy {}; last written by {}/{} {ago} ago, epoch {}",
        value.policy, value.cluster, value.instance, value.epoch
    );
    let release = format!("failoverd release --orphan {record}");
    let next = match is_our_own(config, value) {
        true => release,
        false => format!(
            "look on {}/{} whether it manages it; when nobody does: {release} --nobody-manages-it",
            value.cluster, value.instance
        ),
    };
    Some(Finding::new(Id::Orphan, text, next).at(record))
}
