//! Puts a controller together from a configuration: what it sees, keeps and can do.
//!
//! The write half of a provider is made in one place and only for an active process; an
//! observing one is built from the read half alone (invariant I14).

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::config::calendar::{OpenHours, is_open_at, next_edge};
use crate::dns::ZoneReader;
use crate::dns::route53::{self, ConnectError};
use crate::domain::{UnixMs, Window};
use crate::engine::Mode;
use crate::engine::journal::Restored;
use crate::store::{LockError, StoreError};

use super::calendar::Hours;
use super::clock::Clock;
use super::controller::{Controller, Start};
use super::dispatch::Tools;
use super::executor::{Executor, Hands};
use super::eyes::Eyes;
use super::keeper::Keeper;

/// Why a process cannot start. Each names what to do, or its cause does.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Socket(#[from] crate::control::server::SocketError),
    #[error(transparent)]
    Listen(#[from] crate::api::ListenError),
    #[error("[api] token: {0}")]
    Token(#[source] crate::config::SecretError),
    #[error(transparent)]
    Provider(#[from] ConnectError),
    #[error(transparent)]
    Notify(#[from] crate::notify::ClientError),
    #[error("probing ended by itself, which is a defect of failoverd; start it again and report the log")]
    Sightless,
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    #[error("the state directory {path} cannot be made: {source}")]
    StateDirectory { path: PathBuf, source: std::io::Error },
}

/// A controller over `config`, started. `keeper` decides what outlives it.
pub async fn controller(
    config: &Config,
    mode: Mode,
    restored: Restored,
    keeper: Arc<dyn Keeper>,
) -> Result<Controller, ConnectError> {
    let (reader, hands) = match mode {
        Mode::Observe => (reader(config).await?, Hands::Observe),
        Mode::Active | Mode::Attended => {
            let (reader, executor) = hands(config).await?;
            (reader, Hands::Active(executor))
        }
    };
    let (eyes, probes) = Eyes::open();
    let tools = Tools { clock: Clock::start(), hands, reader, senses: Arc::new(eyes), keeper };
    Ok(Controller::start(Start {
        settings: config.settings.clone(),
        policies: config.policies.clone(),
        mode,
        restored,
        windows: hours,
        tools,
        probes,
    }))
}

/// What reads zones, and nothing that writes.
pub async fn reader(config: &Config) -> Result<Arc<dyn ZoneReader>, ConnectError> {
    Ok(Arc::new(route53::connect_reader(&provider(config)).await?))
}

/// What reads zones and what writes to them.
pub async fn hands(config: &Config) -> Result<(Arc<dyn ZoneReader>, Executor), ConnectError> {
    let (reader, writer) = route53::connect(&provider(config)).await?.into_parts();
    Ok((Arc::new(reader), Executor::new(Arc::new(writer))))
}

fn provider(config: &Config) -> route53::Settings {
    route53::Settings {
        endpoint_url: config.provider.endpoint_url.clone(),
        region: Some(config.provider.region.clone()),
        role_arn: config.provider.role_arn.clone(),
        ..route53::Settings::default()
    }
}

/// The arithmetic of a window, as the configuration's reader defines it.
fn hours(window: &Window) -> Option<Box<dyn Hours>> {
    struct Open(OpenHours);
    impl Hours for Open {
        fn is_open_at(&self, at: UnixMs) -> bool {
            is_open_at(&self.0, at)
        }
        fn next_edge(&self, at: UnixMs) -> Option<UnixMs> {
            next_edge(&self.0, at).map(|(edge, _)| edge)
        }
    }
    match OpenHours::new(window) {
        Ok(hours) => Some(Box::new(Open(hours))),
        Err(_) => {
            tracing::error!(cron = window.cron, "a window cannot be read and stays closed");
            None
        }
    }
}
