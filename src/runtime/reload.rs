//! SIGHUP: the whole configuration is read anew and replaces the policies, or nothing changes
//! (invariant I13).

use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

use crate::config::{self, Config, SecretError};
use crate::domain::NotifierName;

use super::controller::Wakeup;
use super::courier::Courier;
use super::durable::receivers;
use super::systemd;

/// Why the old configuration stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("{} errors in the configuration", .0.errors().count())]
    Invalid(config::ConfigErrors),
    /// A receiver that works now would be lost.
    #[error("notifier {notifier}: {source}")]
    Secret { notifier: NotifierName, source: SecretError },
    #[error("{0}")]
    Refused(String),
    #[error("failoverd is stopping")]
    Stopping,
}

/// Reads, validates and hands over; the answer is the number of policies now in force.
pub async fn reload(
    path: &Path,
    started: &Config,
    inbox: &mpsc::UnboundedSender<Wakeup>,
    courier: &Courier,
) -> Result<usize, ReloadError> {
    let path: PathBuf = path.to_owned();
    // Reading files may block; the loop goes on meanwhile.
    let read = tokio::task::spawn_blocking(move || config::load(&path, &environment));
    let config: Config = read.await.map_err(|_| ReloadError::Stopping)?.map_err(ReloadError::Invalid)?;
    let (sinks, unreadable) = receivers(&config);
    // One that could not be reached before is no reason to refuse policies.
    if let Some(lost) = unreadable.iter().find(|u| courier.reaches(&u.notifier.name)) {
        return Err(ReloadError::Secret { notifier: lost.notifier.name.clone(), source: lost.error.clone() });
    }
    for u in &unreadable {
        tracing::warn!(notifier = %u.notifier.name, "nobody is told through it: {}; its notices wait", u.error);
    }
    if !config.warnings.is_empty() {
        tracing::warn!("{} warnings; failoverd check shows them", config.warnings.len());
    }
    let waiting = needs_restart(started, &config);
    if !waiting.is_empty() {
        tracing::warn!(
            "changed, but in force only after a restart of failoverd: {}; a reload takes over policies and notifiers",
            waiting.join(", ")
        );
    }
    let count = config.policies.len();
    // Before the policies: the first notice of a new one finds its receiver.
    courier.add_sinks(sinks.clone());
    let (done, answer) = oneshot::channel();
    inbox.send(Wakeup::Policies(config.policies, done)).map_err(|_| ReloadError::Stopping)?;
    answer.await.map_err(|_| ReloadError::Stopping)?.map_err(ReloadError::Refused)?;
    courier.set_unreadable(unreadable.into_iter().map(|u| u.notifier).collect());
    courier.set_sinks(sinks);
    Ok(count)
}

/// What differs between the configuration this process was started with and `now`, and which a
/// reload does not take over; keys of the main file.
fn needs_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    let (a, b) = (&started.settings, &now.settings);
    let api = |config: &Config| config.api.as_ref().map(|api| (api.listen, format!("{:?}", api.token)));
    [
        ("cluster", a.cluster != b.cluster),
        ("instance", a.instance != b.instance),
        ("state", started.state != now.state),
        ("[route53]", started.provider != now.provider),
        ("[verify]", a.verify != b.verify),
        ("[guard]", a.guard != b.guard),
        ("[[witness]]", a.witnesses != b.witnesses),
        ("[api]", api(started) != api(now)),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

/// [`reload`] with everything said: to the log and to systemd. True when it was taken over.
pub async fn reload_aloud(
    path: &Path,
    started: &Config,
    inbox: &mpsc::UnboundedSender<Wakeup>,
    courier: &Courier,
) -> bool {
    systemd::reloading();
    let result = reload(path, started, inbox, courier).await;
    let ok = result.is_ok();
    match result {
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
    ok
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_reload_does_not_take_over_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        let policy = "zone = \"example.com\"\nrecords = [\"www.example.com\"]\nttl = 30\n\
            [check]\ntype = \"tcp\"\nport = 80\n\
            [[target]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\npriority = 1\n\
            [[target]]\nname = \"b\"\naddresses = [\"192.0.2.2\"]\npriority = 2\n";
        std::fs::write(dir.path().join("policies/web.toml"), policy).unwrap();
        let load = |main: &str| {
            let path = dir.path().join("failoverd.toml");
            std::fs::write(&path, format!("instance = \"a\"\n{main}")).unwrap();
            config::load(&path, &|_| None).unwrap_or_else(|errors| panic!("{errors}"))
        };
        let started = load("");
        for (main, named) in [
            ("", vec![]),
            ("state = \"other.db\"\n", vec!["state"]),
            ("cluster = \"blue\"\n", vec!["cluster"]),
            ("[route53]\nendpoint_url = \"http://127.0.0.1:1\"\n", vec!["[route53]"]),
            ("[route53]\nrole_arn = \"arn:aws:iam::123456789012:role/x\"\n", vec!["[route53]"]),
            ("[api]\nlisten = \"127.0.0.1:8653\"\n", vec!["[api]"]),
            ("[verify]\nname_servers = []\n[guard]\nfloor = 3\n", vec!["[verify]", "[guard]"]),
            ("[[witness]]\nname = \"w\"\ntcp = \"192.0.2.9:443\"\n", vec!["[[witness]]"]),
            ("[[notifier]]\nname = \"n\"\ntype = \"slack\"\nurl = { env = \"U\" }\n", vec![]),
        ] {
            assert_eq!(needs_restart(&started, &load(main)), named, "{main}");
        }
    }
}
