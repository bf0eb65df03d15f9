//! Finds and reads the configuration for a command, and says which one it is.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use crate::config::{self, Alone, Config, ConfigErrors, Located};
use crate::runtime::assembly::StartError;
use crate::store::LockError;

use super::{Exit, Failure, logging, output};

/// What every command is given.
pub struct Context {
    config: Option<PathBuf>,
    /// Which file is read was said already.
    said: Cell<bool>,
}

impl Context {
    pub fn new(config: Option<PathBuf>) -> Context {
        Context { config, said: Cell::new(false) }
    }

    /// The file named on the command line.
    pub fn path(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Reads the whole configuration; every error of every file is printed.
    pub fn load(&self) -> Result<Config, Failure> {
        let located = self.locate()?;
        config::load(&located.path, &environment).map_err(|errors| refuse(&errors, Some(&located.path)))
    }

    /// What is needed to reach a running daemon: it may run on with an older configuration while
    /// the one on disk is broken, and must obey all the same.
    pub fn reach(&self) -> Result<Reach, Failure> {
        let located = self.locate()?;
        match config::load(&located.path, &environment) {
            Ok(config) => Ok(Reach { state: config.state.clone(), config: Ok(config) }),
            Err(errors) => match config::state_file(&located.path, &environment) {
                Some(state) => Ok(Reach { state, config: Err((errors, located.path)) }),
                None => Err(refuse(&errors, Some(&located.path))),
            },
        }
    }

    /// The state file, and with it the daemon's socket, whatever else is wrong with the configuration.
    pub fn state_file(&self) -> Result<Option<PathBuf>, Failure> {
        Ok(config::state_file(&self.locate()?.path, &environment))
    }

    /// One policy and what it needs, for break-glass.
    pub fn alone(&self, policy: &str) -> Result<Alone, Failure> {
        let path = self.locate()?.path;
        config::alone(&path, policy, &environment).map_err(|errors| {
            refuse(&errors, Some(&path)).next(format!(
                "force needs `cluster`, `instance`, `[route53]` and the file of policy {policy}: correct {}, or write \
                 a main file with just these and `policies = \"…/{policy}.toml\"`, and name it with -c",
                path.display()
            ))
        })
    }

    /// [`Context::load`] for what runs unattended: which file it is, and that there are warnings, go to the log.
    pub fn load_aloud(&self) -> Result<Config, Failure> {
        let located = self.found()?;
        let config =
            config::load(&located.path, &environment).map_err(|errors| refuse(&errors, Some(&located.path)))?;
        tracing::info!(path = %located.path.display(), why = located.why, "configuration");
        if let Some(line) = warnings(&config) {
            tracing::warn!("{line}");
        }
        Ok(config)
    }

    fn found(&self) -> Result<Located, Failure> {
        config::locate(self.config.as_deref(), &environment).map_err(|errors| refuse(&errors, None))
    }

    /// The file that is read; said when the command line did not name it.
    fn locate(&self) -> Result<Located, Failure> {
        let located = self.found()?;
        if self.config.is_none() && !self.said.replace(true) {
            output::talk(&format!("configuration: {} ({})", located.path.display(), located.why));
        }
        Ok(located)
    }
}

/// One line about all warnings of a configuration.
pub fn warnings(config: &Config) -> Option<String> {
    let warnings = super::count(config.warnings.len(), "warning", "warnings");
    (!config.warnings.is_empty()).then(|| format!("{warnings}; failoverd check shows them"))
}

/// A way to a daemon, and the configuration on disk, which may be broken.
pub struct Reach {
    pub state: PathBuf,
    config: Result<Config, (ConfigErrors, PathBuf)>,
}

impl Reach {
    /// The configuration, for doing without a daemon.
    pub fn config(self) -> Result<Config, Failure> {
        self.config.map_err(|(errors, path)| refuse(&errors, Some(&path)))
    }

    /// The configuration, to look at.
    pub fn valid(&self) -> Result<&Config, Failure> {
        self.config.as_ref().map_err(|(errors, path)| refuse(errors, Some(path)))
    }

    /// Says that the daemon which answered runs with another configuration than the one on disk.
    pub fn warn_of_old(&self) {
        if let Err((errors, path)) = &self.config {
            let count = super::count(errors.errors().count(), "error", "errors");
            output::talk(&format!(
                "warning: {} has {count} now; the daemon runs on with what it read before (failoverd check)",
                path.display()
            ));
        }
    }
}

fn refuse(errors: &ConfigErrors, path: Option<&Path>) -> Failure {
    if let (None, Some(finding)) = (path, errors.errors().next()) {
        return Failure::new(Exit::Config, &finding.what).next(&finding.fix);
    }
    for finding in errors.errors() {
        if logging::is_json() {
            let at = [("file", finding.file.display().to_string().into()), ("line", finding.line.into())];
            let more: Vec<_> = at.into_iter().chain([("fix", finding.fix.clone().into())]).collect();
            logging::say("ERROR", &finding.what, &more);
        } else {
            output::talk(&finding.to_string());
        }
    }
    let count = super::count(errors.errors().count(), "error", "errors");
    let failure = Failure::new(Exit::Config, format!("the configuration has {count}, see above"));
    match path {
        Some(path) => failure.next(format!("correct it, then: failoverd check -c {}", path.display())),
        None => failure,
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        let (exit, next) = match &error {
            StartError::Provider(_) => (Exit::Config, None),
            StartError::Lock(LockError::Io { .. }) | StartError::StateDirectory { .. } => (
                Exit::Error,
                Some("make that directory writable for this user, or name another file with `state = \"…\"`"),
            ),
            StartError::Socket(_) => {
                (Exit::Error, Some("remove what lies there, or name another state file with `state = \"…\"`"))
            }
            StartError::Lock(LockError::Held { .. }) => {
                (Exit::Error, Some("failoverd status asks the daemon that runs; a `once` is over after a while"))
            }
            StartError::Listen(error) => (Exit::Error, Some(error.hint())),
            StartError::Store(_)
            | StartError::Token(_)
            | StartError::Notify(_)
            | StartError::Signals(_)
            | StartError::Sightless => (Exit::Error, None),
        };
        let failure = Failure::new(exit, error);
        match next {
            Some(next) => failure.next(next),
            None => failure,
        }
    }
}

pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
