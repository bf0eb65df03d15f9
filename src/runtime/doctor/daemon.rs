//! Who would make the failover, and what that daemon knows and this look does not: its own reading of
//! the zone, its own credentials, its own disk. Asks nothing itself.

use std::time::Duration;

use crate::config::Config;
use crate::control::client::AskError;
use crate::control::protocol::{Answer, Status};
use crate::domain::UnixMs;
use crate::domain::time::human;
use crate::engine::journal::Restored;
use crate::engine::report::{Report, Tonight};

use super::finding::{Finding, FindingId as Id};
use super::policy::{Told, live, refused, zone_of};

/// A timer that runs `once` leaves a pass as young as this; older ones mean that nobody passes.
const YOUNG: Duration = Duration::from_secs(10 * 60);

/// Who would send tonight's failover.
pub enum Daemon {
    Answers(Box<Status>),
    /// One is there and cannot be asked.
    Silent,
    /// There is none; a pass was made within minutes, so the next one is near.
    Passes,
    Nobody,
}

impl Daemon {
    pub fn answers(&self) -> bool {
        matches!(self, Daemon::Answers(_))
    }

    /// By what this look saw and by what whoever would send it says.
    pub fn would_send(&self, report: &Report) -> bool {
        let sent = |r: &Report| r.tonight.as_ref().is_some_and(Tonight::is_sent);
        let reads = |r: &Report| live(r).is_none() && r.fences.iter().all(|f| f.refusal.is_none());
        let theirs = |r: &Report| r.policy == report.policy && sent(r) && reads(r) && r.trouble.is_none();
        let there = match self {
            Daemon::Answers(daemon) => !daemon.observe && daemon.reports.iter().any(theirs),
            Daemon::Passes => true,
            Daemon::Silent | Daemon::Nobody => false,
        };
        there && sent(report)
    }
}

/// What its answer says beside ours.
pub fn says(
    config: &Config,
    ours: &Status,
    answer: Result<Answer, AskError>,
    restored: &Restored,
) -> (Vec<Finding>, Daemon) {
    let status = match answer {
        Ok(Answer::Status(status)) => status,
        Err(AskError::NoDaemon(_)) => {
            let (finding, daemon) = nobody(config, restored, ours.at);
            return (vec![finding], daemon);
        }
        Ok(Answer::Error { text } | Answer::Refused { text }) => return (vec![silent(&text)], Daemon::Silent),
        Ok(_) => return (vec![silent("it gave an answer to another question")], Daemon::Silent),
        Err(error) => return (vec![silent(&error.to_string())], Daemon::Silent),
    };
    let mut found = Vec::new();
    if status.observe {
        let text = format!("the daemon {}/{} only observes", status.cluster, status.instance);
        found.push(Finding::new(Id::Observing, text, "failoverd run, without --observe"));
    }
    let reload = "failoverd check, then reload the daemon (SIGHUP)";
    for report in &ours.reports {
        let id = &report.policy;
        let Some(theirs) = status.reports.iter().find(|r| r.policy == *id) else {
            let text = format!("the daemon does not run policy {id}");
            found.push(Finding::new(Id::NotRun, text, reload).of(id));
            continue;
        };
        if theirs.config != report.config {
            let text = format!("the daemon runs another version of policy {id} than its file");
            found.push(Finding::new(Id::NotReloaded, text, reload).of(id));
        }
        found.extend(news(report, theirs));
        if let Some(moving) = &theirs.moving {
            let text = format!("a {} at epoch {} is under way", moving.kind, moving.epoch);
            found.push(Finding::new(Id::MoveInFlight, text, format!("failoverd status {id}")).of(id));
        }
    }
    for theirs in status.reports.iter().filter(|r| ours.reports.iter().all(|o| o.policy != r.policy)) {
        let text = format!("the daemon runs policy {}, which the files have no more", theirs.policy);
        found.push(Finding::new(Id::NotReloaded, text, reload).of(&theirs.policy));
    }
    (found, Daemon::Answers(Box::new(status)))
}

/// What the daemon's report of a policy says and ours does not.
fn news(ours: &Report, theirs: &Report) -> Vec<Finding> {
    let id = &ours.policy;
    let seen = zone_of(ours);
    let mut news: Vec<Finding> = zone_of(theirs);
    news.retain(|f| seen.iter().all(|s| (s.id, &s.record) != (f.id, &f.record)));
    let known = |rule| ours.tonight.iter().flat_map(|t| &t.refusals).any(|r| r.rule == rule);
    let refusals = theirs.tonight.iter().flat_map(|t| &t.refusals).filter(|r| !known(r.rule));
    news.extend(refusals.filter_map(|refusal| refused(refusal, theirs, Told::default())));
    let told = |why: &String| ours.trouble.is_some() || news.iter().any(|f| f.text.contains(why.as_str()));
    if let Some(why) = theirs.trouble.as_ref().filter(|why| !told(why)) {
        let next = "look at the daemon's own credentials, role and network: this look had none of that trouble";
        news.push(Finding::new(Id::DaemonTrouble, format!("the provider gave no usable answer: {why}"), next));
    }
    news.into_iter().map(|f| Finding { text: format!("the daemon says: {}", f.text), ..f.of(id) }).collect()
}

fn nobody(config: &Config, restored: &Restored, now: UnixMs) -> (Finding, Daemon) {
    let state = config.state.display();
    let ours = restored.snapshots.iter().filter(|s| config.policies.iter().any(|p| p.id == s.policy));
    let age = ours.map(|s| now.since(s.at)).min().map(|age| Duration::from_secs(age.as_secs()));
    match age.filter(|age| *age < YOUNG) {
        Some(age) => {
            let text = format!("no daemon answers for {state}; the last pass was {} ago", human(age));
            (Finding::new(Id::TimedPasses, text, "failoverd run, when no timer runs `once`"), Daemon::Passes)
        }
        None => {
            let last =
                age.map_or("nor was a pass ever made".into(), |age| format!("the last pass was {} ago", human(age)));
            let text = format!("no daemon answers for {state}; {last}");
            (Finding::new(Id::NoDaemon, text, "failoverd run, or `once` by a timer"), Daemon::Nobody)
        }
    }
}

fn silent(why: &str) -> Finding {
    let next = "run this as the user of the daemon, with the failoverd of the same release";
    Finding::new(Id::DaemonSilent, format!("the daemon could not be asked: {why}"), next)
}
