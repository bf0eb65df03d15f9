//! A person's command where no daemon runs: a controller in this process, spoken to in the same words.
//!
//! Break-glass may run without the state file; nothing else may.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;
use crate::control::protocol::{Answer, Request, Status};
use crate::control::server::Handler as _;
use crate::engine::Mode;
use crate::engine::journal::Restored;

use super::assembly::{self, StartError};
use super::controller::{Until, Wakeup};
use super::desk::Desk;
use super::durable::Durable;
use super::keeper::Keeper;
use super::memory::{Lenient, Memory};
use super::shutdown::Signals;

/// How long receivers are waited for after a command: a person waits for the prompt.
const NOTICES: Duration = Duration::from_secs(2);

/// The same after break-glass: people must hear of it.
const LOUD_NOTICES: Duration = Duration::from_secs(10);

/// How long a state file that does not answer may hold up the end of break-glass.
const CLOSING: Duration = Duration::from_secs(3);

/// What must be remembered for the command to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    StateFile,
    /// Break-glass: a state file that is held, unreadable or full is told and done without.
    Nothing,
}

/// A line to the controller of this process.
#[derive(Clone)]
pub struct Local {
    desk: Arc<Desk>,
    by: String,
}

impl Local {
    pub async fn ask(&self, request: Request) -> Answer {
        self.desk.handle(request, self.by.clone()).await
    }
}

/// How a command ended.
pub struct Attended<T> {
    /// `None`: a signal or the deadline came first.
    pub result: Option<T>,
    /// How everything stood in the end.
    pub status: Status,
    /// What the provider said instead of an answer.
    pub provider_trouble: Option<String>,
    /// Why nothing is remembered, when that is so.
    pub forgets: Option<String>,
    /// Receivers that were not reached in time.
    pub notices_left: u64,
}

/// Runs a controller over `config` that writes only what it is told, while `work` talks to it, then finishes what was started.
pub async fn attended<T, F: Future<Output = T>>(
    config: &Config,
    needs: Needs,
    by: String,
    deadline: Instant,
    work: impl FnOnce(Local) -> F,
) -> Result<Attended<T>, StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let (durable, forgets) = match (Durable::open(config), needs) {
        (Ok(durable), _) => (Some(durable), None),
        (Err(error), Needs::StateFile) => return Err(error),
        (Err(error), Needs::Nothing) => (None, Some(error.to_string())),
    };
    let memory = Arc::new(Memory::default());
    let keeper: Arc<dyn Keeper> = match (&durable, needs) {
        (Some(durable), Needs::StateFile) => durable.keeper(),
        (Some(durable), Needs::Nothing) => Arc::new(Lenient::new(durable.keeper(), Arc::clone(&memory))),
        (None, _) => memory.clone(),
    };
    let restored = durable.as_ref().map_or_else(Restored::default, |d| d.restored.clone());
    let mut controller = assembly::controller(config, Mode::Attended, restored, keeper).await?;
    let inbox = controller.sender();
    let listener = tokio::spawn({
        let inbox = inbox.clone();
        async move {
            let _ = signals.next().await;
            let _ = inbox.send(Wakeup::Stop);
        }
    });
    let desk = Arc::new(Desk { inbox, store: durable.as_ref().map(|d| d.store.clone()) });
    let result = {
        let work = work(Local { desk, by });
        let run = controller.run(Until::Stopped);
        tokio::pin!(work, run);
        tokio::select! {
            biased;
            result = &mut work => Some(result),
            _ = &mut run => None,
            () = tokio::time::sleep_until(deadline) => None,
        }
    };
    if result.is_some() {
        controller.run(Until::Settled { deadline }).await;
    }
    let provider_trouble = controller.provider_trouble();
    controller.stop().await;
    let status = controller.status();
    drop(controller);
    listener.abort();
    let patience = if needs == Needs::Nothing { LOUD_NOTICES } else { NOTICES };
    let mut notices_left = memory.tell(config, patience).await;
    if let Some(durable) = durable {
        notices_left += durable.flush_notices(patience).await;
        let closed = tokio::time::timeout(CLOSING, durable.close()).await;
        if closed.is_err() {
            tracing::warn!("the state file does not answer; it is left as it is");
        }
    }
    let forgets = forgets.or_else(|| memory.trouble());
    Ok(Attended { result, status, provider_trouble, forgets, notices_left })
}
