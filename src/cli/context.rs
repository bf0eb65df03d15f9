//! Finds and reads the configuration for a command, and says which one it is.

use std::path::{Path, PathBuf};

use crate::config::{self, Config, ConfigErrors};
use crate::runtime::assembly::StartError;

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

    /// Reads the whole configuration; every finding of every file is printed.
    pub fn load(&self) -> Result<Config, Failure> {
        let located = config::locate(self.config.as_deref(), &environment).map_err(|errors| refuse(&errors, None))?;
        if self.config.is_none() {
            output::talk(&format!("configuration: {} ({})", located.path.display(), located.why));
        }
        let config =
            config::load(&located.path, &environment).map_err(|errors| refuse(&errors, Some(&located.path)))?;
        for warning in &config.warnings {
            output::talk(&warning.to_string());
        }
        Ok(config)
    }
}

fn refuse(errors: &ConfigErrors, path: Option<&Path>) -> Failure {
    if let (None, Some(finding)) = (path, errors.errors().next()) {
        return Failure::new(Exit::Config, &finding.what).next(&finding.fix);
    }
    for finding in &errors.findings {
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
        let exit = match &error {
            StartError::Provider(_) | StartError::Secret { .. } => Exit::Config,
            _ => Exit::Error,
        };
        Failure::new(exit, error)
    }
}

pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
