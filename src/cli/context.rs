//! Finds and reads the configuration for a command, and says which one it is.

use std::path::{Path, PathBuf};

use crate::config::{self, Config, ConfigErrors, Located};
use crate::runtime::assembly::StartError;
use crate::store::LockError;

use super::{Exit, Failure, output};

/// What every command is given.
pub struct Context {
    config: Option<PathBuf>,
}

impl Context {
    pub fn new(config: Option<PathBuf>) -> Context {
        Context { config }
    }

    /// The file named on the command line.
    pub fn path(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Reads the whole configuration; every error of every file is printed.
    pub fn load(&self) -> Result<Config, Failure> {
        let (config, located) = self.read()?;
        if self.config.is_none() {
            output::talk(&format!("configuration: {} ({})", located.path.display(), located.why));
        }
        Ok(config)
    }

    /// [`Context::load`] for what runs unattended: which file it is, and every warning, go to the log.
    pub fn load_aloud(&self) -> Result<Config, Failure> {
        let (config, located) = self.read()?;
        tracing::info!(path = %located.path.display(), why = located.why, "configuration");
        for w in &config.warnings {
            tracing::warn!(file = %w.file.display(), line = w.line, "{}; {}", w.what, w.fix);
        }
        Ok(config)
    }

    fn read(&self) -> Result<(Config, Located), Failure> {
        let located = config::locate(self.config.as_deref(), &environment).map_err(|errors| refuse(&errors, None))?;
        let config =
            config::load(&located.path, &environment).map_err(|errors| refuse(&errors, Some(&located.path)))?;
        Ok((config, located))
    }
}

fn refuse(errors: &ConfigErrors, path: Option<&Path>) -> Failure {
    if let (None, Some(finding)) = (path, errors.errors().next()) {
        return Failure::new(Exit::Config, &finding.what).next(&finding.fix);
    }
    for finding in errors.errors() {
        output::talk(&finding.to_string());
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
            StartError::Provider(_) | StartError::Secret { .. } => (Exit::Config, None),
            StartError::Lock(LockError::Io { .. }) | StartError::StateDirectory { .. } => (
                Exit::Error,
                Some("make that directory writable for this user, or name another file with `state = \"…\"`"),
            ),
            StartError::Socket(_) => {
                (Exit::Error, Some("remove what lies there, or name another state file with `state = \"…\"`"))
            }
            StartError::Lock(_) | StartError::Store(_) | StartError::Notify(_) | StartError::Signals(_) => {
                (Exit::Error, None)
            }
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
