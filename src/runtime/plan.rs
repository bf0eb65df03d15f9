//! `plan`: what a confirmed pass would do now. Built without a write client, keeps nothing and
//! takes no lock, so it may run beside a daemon.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;
use crate::control::protocol::Status;
use crate::engine::Mode;
use crate::engine::journal::Restored;
use crate::engine::report::Settled;
use crate::store;

use super::assembly::{self, StartError};
use super::controller::{Saved, Until};
use super::keeper::Forgetful;

/// What an observing pass found.
#[derive(Debug)]
pub struct Observed {
    /// `No`: the deadline came first.
    pub settled: Settled,
    pub status: Status,
    /// The moves that would be made.
    pub saved: Vec<Saved>,
    /// What the provider said instead of an answer.
    pub provider_trouble: Option<String>,
}

/// Probes and reads until every policy is judged, or until the deadline.
pub async fn observe(config: &Config, deadline: Duration) -> Result<Observed, StartError> {
    let deadline = Instant::now() + deadline;
    let mut controller = assembly::controller(config, Mode::Observe, remembered(config), Arc::new(Forgetful)).await?;
    controller.run(Until::Settled { deadline }).await;
    Ok(Observed {
        settled: controller.settled(),
        status: controller.status(),
        saved: controller.saved(),
        provider_trouble: controller.provider_trouble(),
    })
}

/// Brakes and counters of the state file, if there is one; a plan without them is still a plan,
/// since the fence carries the brakes that count.
fn remembered(config: &Config) -> Restored {
    if !config.state.exists() {
        return Restored::default();
    }
    match store::open_read_only(&config.state).and_then(|view| view.restored()) {
        Ok(restored) => restored,
        Err(error) => {
            tracing::error!("planning without the state file: {error}");
            Restored::default()
        }
    }
}
