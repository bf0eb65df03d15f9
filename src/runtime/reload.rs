//! SIGHUP: the whole configuration is read anew and replaces the policies, or nothing changes
//! (invariant I13).

use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

use crate::config::{self, Config};
use crate::domain::FleetSettings;

use super::assembly::StartError;
use super::controller::Wakeup;
use super::courier::Courier;
use super::durable::receivers;
use super::systemd;

/// Why the old configuration stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("{} errors in the configuration", .0.errors().count())]
    Invalid(config::ConfigErrors),
    #[error("{0}")]
    Secret(StartError),
    #[error("{0}")]
    Refused(String),
    #[error("failoverd is stopping")]
    Stopping,
}

/// Reads, validates and hands over; the answer is the number of policies now in force.
pub async fn reload(
    path: &Path,
    settings: &FleetSettings,
    inbox: &mpsc::UnboundedSender<Wakeup>,
    courier: &Courier,
) -> Result<usize, ReloadError> {
    let path: PathBuf = path.to_owned();
    // Reading files may block; the loop goes on meanwhile.
    let read = tokio::task::spawn_blocking(move || config::load(&path, &environment));
    let config: Config = read.await.map_err(|_| ReloadError::Stopping)?.map_err(ReloadError::Invalid)?;
    let sinks = receivers(&config).map_err(ReloadError::Secret)?;
    for w in &config.warnings {
        tracing::warn!(file = %w.file.display(), line = w.line, "{}; {}", w.what, w.fix);
    }
    if config.settings != *settings {
        tracing::warn!(
            "only policies and notifiers are reloaded; what changed in the main file (cluster, instance, witnesses, budget, \
             verify or guard) needs a restart"
        );
    }
    let count = config.policies.len();
    // Before the policies: the first notice of a new one finds its receiver.
    courier.add_sinks(sinks.clone());
    let (done, answer) = oneshot::channel();
    inbox.send(Wakeup::Policies(config.policies, done)).map_err(|_| ReloadError::Stopping)?;
    answer.await.map_err(|_| ReloadError::Stopping)?.map_err(ReloadError::Refused)?;
    courier.set_sinks(sinks);
    Ok(count)
}

/// [`reload`] with everything said: to the log and to systemd.
pub async fn reload_aloud(
    path: &Path,
    settings: &FleetSettings,
    inbox: &mpsc::UnboundedSender<Wakeup>,
    courier: &Courier,
) {
    systemd::reloading();
    match reload(path, settings, inbox, courier).await {
        Ok(policies) => {
            tracing::info!(policies, config = %path.display(), "configuration reloaded");
            systemd::ready(&format!("{policies} policies, reloaded"));
        }
        Err(error) => {
            if let ReloadError::Invalid(errors) = &error {
                for e in errors.errors() {
                    tracing::error!(file = %e.file.display(), line = e.line, "{}; {}", e.what, e.fix);
                }
            }
            tracing::error!(config = %path.display(), "reload refused, the old configuration stays: {error}");
            systemd::ready("reload refused, the old configuration stays");
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
