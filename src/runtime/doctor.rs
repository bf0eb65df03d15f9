//! `doctor`: a live look at everything a move would need, on a calm day, and the hard question: would a
//! failover tonight be sent? Built without a write client, keeps nothing and takes no lock.

mod daemon;
mod finding;
mod policy;
mod state;
mod zone;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::config::Config;
use crate::config::calendar::Schedule;
use crate::control::client::ask;
use crate::control::protocol::{Request, Status};
use crate::domain::{PolicyId, UnixMs};
use crate::engine::Mode;

pub use finding::{Finding, FindingId, KNOWN, Known, Severity};
use policy::{Told, about};

use super::assembly::{self, StartError};
use super::controller::{Controller, Until};
use super::drill;
use super::durable::receivers;
use super::keeper::Forgetful;

/// How long witnesses and delegations are waited for once every policy is judged.
const LAST_LOOKS: Duration = Duration::from_secs(10);
/// How much later the listing of the zones may end.
const LISTINGS: Duration = Duration::from_secs(10);
/// From how many witnesses on one of them may be down.
const ENOUGH_WITNESSES: usize = 3;

#[derive(Debug)]
pub struct Examined {
    pub status: Status,
    /// What the provider said instead of an answer.
    pub provider_trouble: Option<String>,
    /// Worst first, those of the fleet before those of a policy.
    pub findings: Vec<Finding>,
    /// Policies whose failover would be sent tonight, as far as anybody knows.
    pub sent: Vec<PolicyId>,
}

/// How many findings there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub critical: usize,
    pub warning: usize,
    pub note: usize,
}

impl Examined {
    pub fn counts(&self) -> Counts {
        count(self.findings.iter())
    }
}

/// Counts findings by severity.
pub fn count<'a>(findings: impl Iterator<Item = &'a Finding>) -> Counts {
    findings.fold(Counts::default(), |mut counts, finding| {
        match finding.severity {
            Severity::Critical => counts.critical += 1,
            Severity::Warning => counts.warning += 1,
            Severity::Note => counts.note += 1,
        }
        counts
    })
}

/// Probes, reads and lists, at most about `deadline`.
pub async fn examine(config: &Config, deadline: Duration) -> Result<Examined, StartError> {
    let deadline = Instant::now() + deadline;
    let (restored, mut findings) = state::remembered(config);
    let mut controller = assembly::controller(config, Mode::Observe, restored.clone(), Arc::new(Forgetful)).await?;
    controller.run(Until::Settled { deadline }).await;
    controller.run(Until::Looked { deadline: deadline.min(Instant::now() + LAST_LOOKS) }).await;
    let mut status = controller.status_and_tonight();
    let sight = sight(&controller);
    let reader = assembly::reader(config).await?;
    let zones = zone::look(config, &*reader, &controller, &restored, status.at, deadline + LISTINGS).await;
    let told_of_sight = sight.iter().any(|f| matches!(f.id, FindingId::Blind | FindingId::NoSight));
    let trouble = zones.trouble.or_else(|| {
        let unread = status.reports.iter().any(|r| r.live == crate::engine::report::LiveState::NotRead);
        controller.provider_trouble().filter(|_| unread && !zones.gone)
    });
    for report in &mut status.reports {
        // What is wrong with the zone as a whole is told once.
        report.obstacles.retain(|o| !zones.delegations.contains(o));
    }
    let cadence = config.settings.rehearsal.as_deref().and_then(|cron| cadence(cron, status.at));
    for report in &status.reports {
        let zone = zones.troubled.contains(&report.policy);
        findings.extend(about(report, Told { zone, sight: told_of_sight }, cadence));
    }
    findings.extend(sight);
    findings.extend(zones.findings);
    findings.extend(fleet(config));
    let answer = ask(&config.state, Request::Examine).await;
    let (stated, daemon) = daemon::says(config, &status, answer, &restored);
    findings.extend(state::clock(&restored, status.at));
    findings.extend(state::open_intents(&restored, status.at, daemon.answers()));
    findings.extend(stated);
    let mut findings = one_for_all(findings, status.reports.len());
    findings.sort_by(|a, b| key(a).cmp(&key(b)));
    findings.dedup();
    let sent = status.reports.iter().filter(|r| daemon.would_send(r)).map(|r| r.policy.clone()).collect();
    Ok(Examined { status, provider_trouble: trouble, findings, sent })
}

fn key(finding: &Finding) -> (Severity, bool, Option<&PolicyId>, FindingId, Option<&String>, Option<&str>, &str) {
    let Finding { id, severity, policy, record, target, text, .. } = finding;
    (*severity, policy.is_some(), policy.as_ref(), *id, record.as_ref(), target.as_ref().map(|t| t.as_str()), text)
}

/// Whether this machine can see, and who tells.
fn sight(controller: &Controller) -> Vec<Finding> {
    let fleet = controller.fleet();
    let mut found = Vec::new();
    if let Some(why) = fleet.blind() {
        let next = "look at this machine's own network and at the witnesses";
        found.push(Finding::new(FindingId::Blind, why, next));
    }
    let witnesses: Vec<_> = fleet.witnesses().collect();
    let silent: Vec<_> = witnesses.iter().filter(|(_, answered)| *answered != Some(true)).collect();
    for (witness, _) in &silent {
        let text = format!("witness {} does not answer", witness.name);
        let next = format!("reach it from here, or replace [[witness]] {} in failoverd.toml", witness.name);
        found.push(Finding::new(FindingId::WitnessSilent, text, next));
    }
    let count = witnesses.len();
    if !silent.is_empty() && (count - silent.len()) * 2 <= count {
        let text = format!("{} of {count} witnesses answer, a majority is needed", count - silent.len());
        let next = "make the witnesses reachable from here, or name others";
        found.push(Finding::new(FindingId::NoSight, text, next));
    }
    if count < ENOUGH_WITNESSES {
        let text = format!("{count} of at least {ENOUGH_WITNESSES} witnesses are configured");
        let next = "add [[witness]] tables to failoverd.toml, in networks of others";
        found.push(Finding::new(FindingId::FewWitnesses, text, next));
    }
    found
}

/// What the main file says about all policies.
fn fleet(config: &Config) -> Vec<Finding> {
    let (_, unreadable) = receivers(config);
    let mut found: Vec<Finding> = unreadable
        .iter()
        .map(|lost| {
            let name = &lost.notifier.name;
            let text = format!("notifier {name}: {}", lost.error);
            Finding::new(FindingId::NotifierUnreadable, text, format!("failoverd notify-test {name}"))
        })
        .collect();
    if config.settings.rehearsal.is_none() {
        let next = "take `schedule = \"off\"` out of [rehearsal]";
        found.push(Finding::new(FindingId::RehearsalOff, "[rehearsal] is off", next));
    }
    found
}

/// The longest time from one firing of a schedule to the next, as seen from `now`.
pub fn cadence(cron: &str, now: UnixMs) -> Option<Duration> {
    drill::cadence(&Schedule::new(cron, "UTC").ok()?, now)
}

/// What holds for every policy alike is one finding about the fleet.
fn one_for_all(findings: Vec<Finding>, policies: usize) -> Vec<Finding> {
    const ALIKE: [FindingId; 3] = [FindingId::Frozen, FindingId::StoreFailed, FindingId::Blind];
    let mut out: Vec<Finding> = Vec::new();
    for finding in findings.iter() {
        let same = |other: &&Finding| other.policy.is_some() && (other.id, &other.text) == (finding.id, &finding.text);
        let alike = finding.policy.is_some() && ALIKE.contains(&finding.id);
        let all = alike && policies > 1 && findings.iter().filter(same).count() >= policies;
        let one = match all {
            true => Finding {
                policy: None,
                text: format!("all {policies} policies: {}", finding.text),
                next: match finding.id {
                    FindingId::Frozen => "failoverd unfreeze --reason \"why\"".into(),
                    _ => finding.next.clone(),
                },
                ..finding.clone()
            },
            false => finding.clone(),
        };
        if !all || !out.contains(&one) {
            out.push(one);
        }
    }
    out
}
