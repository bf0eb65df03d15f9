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

/// The same after a single command: a person waits for the prompt.
const NOTICES_OF_A_COMMAND: Duration = Duration::from_secs(2);

/// What is done with the answer to a command, as soon as it is there.
type Said<'a> = &'a mut (dyn FnMut(&Answer) + Send);

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
    let (passed, _) = active(config, deadline, None, &mut |_| ()).await?;
    Ok(passed)
}

/// Carries out one command where no daemon runs, tells `said` the answer, then finishes what it
/// started. A command about one policy touches no other.
pub async fn command(
    mut config: Config,
    request: Request,
    by: String,
    deadline: Duration,
    said: Said<'_>,
) -> Result<Answer, StartError> {
    let deadline = Instant::now() + deadline;
    if let Some(name) = subject(&request)
        && config.policies.iter().any(|policy| policy.id.as_str() == name)
    {
        config.policies.retain(|policy| policy.id.as_str() == name);
    }
    let (_, answer) = active(&config, deadline, Some((request, by)), said).await?;
    Ok(answer.unwrap_or_else(|| Answer::error("no answer before the deadline")))
}

/// The one policy a request is about.
fn subject(request: &Request) -> Option<&str> {
    match request {
        Request::Freeze { policy, .. } | Request::Unfreeze { policy, .. } => policy.as_deref(),
        Request::Ack { policy, .. } | Request::Adopt { policy, .. } | Request::Explain { policy } => Some(policy),
        Request::Status { policy } | Request::History { policy, .. } => policy.as_deref(),
        Request::Ping => None,
    }
}

async fn active(
    config: &Config,
    deadline: Instant,
    command: Option<(Request, String)>,
    said: Said<'_>,
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
    let notices = if command.is_some() { NOTICES_OF_A_COMMAND } else { NOTICES };
    let (mut answered, mut answer) = (None, None);
    if let Some((request, by)) = command {
        // A freeze acts at once; what undoes something must first know what stands in the zone.
        if !matches!(request, Request::Freeze { .. }) {
            controller.run(Until::Read { deadline }).await;
        }
        let (asked, wait) = oneshot::channel();
        let _ = inbox.send(Wakeup::Asked(Asked { request, by, answer: asked }));
        answered = Some(wait);
    }
    let stopped = {
        let run = controller.run(Until::Settled { deadline });
        tokio::pin!(run);
        loop {
            tokio::select! {
                biased;
                told = reply(&mut answered) => {
                    answered = None;
                    if let Some(told) = told {
                        said(&told);
                        answer = Some(told);
                    }
                }
                finished = &mut run => break !finished,
            }
        }
    };
    let (settled, status) = (controller.settled(), controller.status());
    let provider_trouble = controller.provider_trouble().map(str::to_owned);
    controller.stop().await;
    drop(controller);
    let notices_left = durable.flush_notices(notices).await;
    durable.close().await;
    listener.abort();
    if let Some(mut wait) = answered
        && let Ok(told) = wait.try_recv()
    {
        said(&told);
        answer = Some(told);
    }
    Ok((Passed { settled, status, provider_trouble, stopped, notices_left }, answer))
}

/// The answer that is waited for; never, when there is none to wait for.
async fn reply(waiting: &mut Option<oneshot::Receiver<Answer>>) -> Option<Answer> {
    match waiting {
        Some(wait) => wait.await.ok(),
        None => std::future::pending().await,
    }
}
