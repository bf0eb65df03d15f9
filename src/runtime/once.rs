//! `once`: one confirmed pass by an active controller.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;
use crate::control::protocol::Status;
use crate::domain::time::human;
use crate::domain::{FailbackMode, Policy, UnixMs};
use crate::engine::Mode;
use crate::engine::journal::Restored;
use crate::engine::report::Settled;

use super::assembly::{self, StartError};
use super::clock::wall;
use super::controller::{Until, Wakeup};
use super::drill::Drill;
use super::durable::Durable;
use super::shutdown::Signals;

/// How long undelivered notices are waited for at the end.
const NOTICES: Duration = Duration::from_secs(10);

/// How one pass ended.
#[derive(Debug)]
pub struct Passed {
    /// `No`: the deadline came first.
    pub settled: Settled,
    pub status: Status,
    /// What the provider said instead of an answer.
    pub provider_trouble: Option<String>,
    /// A signal came first.
    pub stopped: bool,
    /// What the pass could not know, for people.
    pub notes: Vec<String>,
    /// Notices that nobody got within the time; the next pass or daemon sends them.
    pub notices_left: u64,
}

/// Runs until every policy is judged, every intent has its outcome and notices are out.
pub async fn pass(config: &Config, deadline: Duration) -> Result<Passed, StartError> {
    let deadline = Instant::now() + deadline;
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let durable = Durable::open(config)?;
    let notes = gaps(config, &durable.restored, wall());
    let mut controller = assembly::controller(config, Mode::Active, durable.restored.clone(), durable.keeper()).await?;
    let inbox = controller.sender();
    let listener = tokio::spawn(async move {
        let _ = signals.next().await;
        let _ = inbox.send(Wakeup::Stop);
    });
    let mut stopped = !controller.run(Until::Settled { deadline }).await;
    // A pass that moved something has walked the write path already, and one that could not must
    // not try to.
    if !stopped
        && controller.settled() == Settled::Quiet
        && let Some(drill) = Drill::new(config.settings.rehearsal.as_deref(), &durable.restored, wall())
    {
        controller.rehearse(drill);
        if controller.rehearse_if_due() {
            stopped = !controller.run(Until::Settled { deadline }).await;
        }
    }
    let (settled, status) = (controller.settled(), controller.status());
    let provider_trouble = controller.provider_trouble();
    controller.remember();
    controller.stop().await;
    drop(controller);
    let notices_left = durable.flush_notices(NOTICES).await;
    durable.close().await;
    listener.abort();
    Ok(Passed { settled, status, provider_trouble, stopped, notes, notices_left })
}

/// Where soak starts anew, since no pass looked for longer than it.
fn gaps(config: &Config, restored: &Restored, now: UnixMs) -> Vec<String> {
    let note = |policy: &Policy| {
        let soak = policy.failback.soak;
        let last = restored.snapshots.iter().find(|s| s.policy == policy.id);
        match last.map(|s| now.since(s.at)) {
            Some(gap) if gap <= soak => None,
            Some(gap) => Some(format!(
                "{}: the last pass was {} ago, longer than soak {}: soak starts anew; let passes be closer together",
                policy.id,
                human(Duration::from_secs(gap.as_secs())),
                human(soak)
            )),
            None => Some(format!(
                "{}: no state of an earlier pass: soak starts anew, brakes come from the fence; failback needs a \
                 state file that outlives the pass",
                policy.id
            )),
        }
    };
    let waits = |policy: &&Policy| policy.failback.mode == FailbackMode::Auto && policy.failback.soak > Duration::ZERO;
    config.policies.iter().filter(waits).filter_map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_longer_than_soak_is_told_and_a_shorter_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        let main = dir.path().join("failoverd.toml");
        std::fs::write(&main, "instance = \"a\"\n").unwrap();
        let policy = "zone = \"example.com\"\nrecords = [\"www.example.com\"]\nttl = 30\n\
            [check]\ntype = \"tcp\"\nport = 80\n\
            [[target]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\npriority = 1\n\
            [[target]]\nname = \"b\"\naddresses = [\"192.0.2.2\"]\npriority = 2\n\
            [failback]\nmode = \"auto\"\nsoak = \"5m\"\n";
        std::fs::write(dir.path().join("policies/web.toml"), policy).unwrap();
        let config = crate::config::load(&main, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
        let now = UnixMs(1_800_000_000_000);
        let fresh = gaps(&config, &Restored::default(), now);
        assert!(fresh[0].contains("no state of an earlier pass"), "{fresh:?}");
        let snapshot = |ago: u64| {
            let text = format!(
                r#"{{"policy":"web","at":{},"epoch":1,"targets":[],"moves":[],"hold_down_until":null,"locked":null,
                "frozen":null,"failback_blocked":false,"unverified":false}}"#,
                now.0 - ago * 1000
            );
            Restored { snapshots: vec![serde_json::from_str(&text).unwrap()], ..Restored::default() }
        };
        assert_eq!(gaps(&config, &snapshot(300), now), Vec::<String>::new());
        assert!(gaps(&config, &snapshot(301), now)[0].contains("5m1s ago, longer than soak 5m"));
    }
}
