//! `once`: one confirmed pass by an active controller.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;
use crate::control::protocol::Status;
use crate::engine::Mode;
use crate::engine::report::Settled;

use super::assembly::{self, StartError};
use super::controller::{Until, Wakeup};
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
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let durable = Durable::open(config)?;
    let mut controller = assembly::controller(config, Mode::Active, durable.restored.clone(), durable.keeper()).await?;
    let inbox = controller.sender();
    let listener = tokio::spawn(async move {
        let _ = signals.next().await;
        let _ = inbox.send(Wakeup::Stop);
    });
    let stopped = !controller.run(Until::Settled { deadline }).await;
    let (settled, status) = (controller.settled(), controller.status());
    let provider_trouble = controller.provider_trouble().map(str::to_owned);
    controller.stop().await;
    drop(controller);
    let notices_left = durable.flush_notices(NOTICES).await;
    durable.close().await;
    listener.abort();
    Ok(Passed { settled, status, provider_trouble, stopped, notices_left })
}
