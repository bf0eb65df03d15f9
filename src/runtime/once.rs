//! `once`: one confirmed pass by an active controller, and single commands without a daemon.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::Config;
use crate::control::protocol::{Answer, Request, Status};
use crate::engine::Mode;
use crate::engine::report::Settled;

use super::assembly::{self, StartError};
use super::controller::{Asked, Until, Wakeup};
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
    /// Notices that nobody got within the time; the next pass or daemon sends them.
    pub notices_left: u64,
}

/// Runs until every policy is judged, every intent has its outcome and notices are out.
pub async fn pass(config: &Config, deadline: Duration) -> Result<Passed, StartError> {
    let deadline = Instant::now() + deadline;
    let (passed, _) = active(config, deadline, None).await?;
    Ok(passed)
}

/// Carries out one command where no daemon runs, then finishes what it started.
pub async fn command(config: &Config, request: Request, by: String, deadline: Duration) -> Result<Answer, StartError> {
    let deadline = Instant::now() + deadline;
    let (_, answer) = active(config, deadline, Some((request, by))).await?;
    Ok(answer.unwrap_or_else(|| Answer::error("no answer before the deadline")))
}

async fn active(
    config: &Config,
    deadline: Instant,
    command: Option<(Request, String)>,
) -> Result<(Passed, Option<Answer>), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let durable = Durable::open(config)?;
    let mut controller = assembly::controller(config, Mode::Active, durable.restored.clone(), durable.keeper()).await?;
    let inbox = controller.sender();
    let listener = tokio::spawn({
        let inbox = inbox.clone();
        async move {
            let _ = signals.next().await;
            let _ = inbox.send(Wakeup::Stop);
        }
    });
    let mut answered = None;
    if let Some((request, by)) = command {
        // A freeze acts at once; what undoes something must first know what stands in the zone.
        if !matches!(request, Request::Freeze { .. }) {
            controller.run(Until::Read { deadline }).await;
        }
        let (answer, wait) = oneshot::channel();
        let _ = inbox.send(Wakeup::Asked(Asked { request, by, answer }));
        answered = Some(wait);
    }
    let stopped = !controller.run(Until::Settled { deadline }).await;
    let (settled, status) = (controller.settled(), controller.status());
    let provider_trouble = controller.provider_trouble().map(str::to_owned);
    controller.stop().await;
    drop(controller);
    let notices_left = durable.flush_notices(NOTICES).await;
    durable.close().await;
    listener.abort();
    let answer = answered.and_then(|mut wait| wait.try_recv().ok());
    Ok((Passed { settled, status, provider_trouble, stopped, notices_left }, answer))
}
