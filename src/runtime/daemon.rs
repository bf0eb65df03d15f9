//! `run`: the daemon, from its start to SIGTERM.
//!
//! Order: which configuration → lock → store → control socket → [api] → provider → loop → READY. An
//! unreachable provider is no reason not to start: probing goes on and the engine tells.

use std::sync::Arc;
use std::time::Duration;

use crate::api::{Door, Server};
use crate::config::{Config, SecretError};
use crate::control::protocol::socket_path;
use crate::control::server::Control;
use crate::engine::Mode;
use crate::secret::Secret;

use super::assembly::{self, StartError};
use super::clock::wall;
use super::controller::{Until, Wakeup};
use super::desk::Desk;
use super::drill::Drill;
use super::durable::Durable;
use super::overseer::{Overseer, Reloads};
use super::reload::reload_aloud;
use super::shutdown::{Signals, Told};
use super::systemd;

/// How long a stop waits for receivers.
const LAST_NOTICES: Duration = Duration::from_secs(5);

pub struct Daemon {
    pub config: Config,
    pub observe: bool,
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(daemon: Daemon) -> Result<(), StartError> {
    let Daemon { config, observe } = daemon;
    // Read again on SIGHUP.
    let path = config.path.clone();
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let mode = if observe { Mode::Observe } else { Mode::Active };
    tracing::info!(state = %config.state.display(), observe, "starting");
    let durable = Durable::open(&config)?;
    let control = Control::bind(&socket_path(&config.state))?;
    let api = listen(&config).await?;
    let mut controller = assembly::controller(&config, mode, durable.restored.clone(), durable.keeper()).await?;
    if let Some(drill) = Drill::new(config.settings.rehearsal.as_deref(), &durable.restored, wall()) {
        controller.rehearse(drill);
    }
    controller.say_alive();
    let inbox = controller.sender();
    tracing::info!(socket = %control.path().display(), policies = config.policies.len(), "ready");
    let desk = Arc::new(Desk { inbox: inbox.clone(), store: Some(durable.store.clone()) });
    let served = tokio::spawn(control.serve(desk));
    let door = api.as_ref().map(Server::door);
    let reloads = Arc::new(Reloads::new(wall()));
    let watched = api.map(|api| {
        tracing::info!(address = %api.address(), "serving metrics and health checks");
        let overseer = Overseer {
            inbox: inbox.clone(),
            last_turn: controller.last_turn(),
            store: durable.store.clone(),
            reloads: Arc::clone(&reloads),
            started: wall(),
        };
        tokio::spawn(api.serve(Arc::new(overseer)))
    });
    let started = config.clone();
    let courier = durable.courier();
    let listener = tokio::spawn(async move {
        loop {
            match signals.next().await {
                Told::Reload => {
                    let ok = reload_aloud(&path, &started, &inbox, &courier).await;
                    reloads.ended(ok, wall());
                    if let Some(door) = door.as_ref().filter(|_| ok) {
                        change_token(&started, door);
                    }
                }
                Told::Stop => {
                    let _ = inbox.send(Wakeup::Stop);
                }
            }
        }
    });
    systemd::ready(&format!("{} policies", config.policies.len()));
    controller.run(Until::Stopped).await;

    tracing::info!("stopping: waiting for answers in flight");
    systemd::stopping();
    served.abort();
    if let Some(watched) = watched {
        watched.abort();
        let _ = watched.await;
    }
    controller.remember();
    let clean = controller.stop().await;
    let sightless = controller.is_sightless();
    drop(controller);
    listener.abort();
    // The socket's file goes with its task; the courier can end when nobody else holds it.
    let _ = tokio::join!(served, listener);
    let left = durable.flush_notices(LAST_NOTICES).await;
    if left > 0 {
        tracing::warn!(left, "notices are not delivered yet; the next start sends them");
    }
    durable.close().await;
    if sightless {
        return Err(StartError::Sightless);
    }
    if clean {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped with an answer still in flight; the next start resolves it");
    }
    Ok(())
}

/// The address of `[api]`, bound; a token that cannot be read must not open it to everybody.
async fn listen(config: &Config) -> Result<Option<Server>, StartError> {
    let Some(api) = &config.api else { return Ok(None) };
    let token = token(config).transpose().map_err(StartError::Token)?;
    Ok(Some(Server::bind(api.listen, token.as_ref()).await?))
}

fn token(config: &Config) -> Option<Result<Secret, SecretError>> {
    let source = config.api.as_ref()?.token.as_ref()?;
    Some(source.resolve(&|name| std::env::var(name).ok()))
}

/// A reload reads the token anew where the process found it at its start; another place, as every
/// other change of `[api]`, needs a restart.
fn change_token(started: &Config, door: &Door) {
    match token(started) {
        Some(Ok(secret)) => door.change(&secret),
        Some(Err(error)) => tracing::warn!("[api] the token cannot be read any more, the one before stays: {error}"),
        None => {}
    }
}
