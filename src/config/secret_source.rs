//! Where a secret is found, and reading it when it is needed.

use std::fmt;
use std::path::PathBuf;

use crate::secret::Secret;

/// Most bytes of a secret's file that are read.
const LARGEST: u64 = 64 * 1024;

#[derive(Clone, Debug)]
pub enum SecretSource {
    /// Name of an environment variable.
    Env(String),
    File(PathBuf),
    /// Written in the configuration itself; only a webhook's URL may be.
    Inline(Secret),
}

/// Names where the secret was looked for, never what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("environment variable `{0}` is not set or empty; set it before starting failoverd")]
    Env(String),
    #[error("cannot read `{path}`: {why}; create it, readable by failoverd's user")]
    File { path: PathBuf, why: String },
    #[error("`{0}` is empty; write the secret into it")]
    Empty(PathBuf),
}

impl SecretSource {
    /// Reads the secret; white space around the text of a file or variable is dropped.
    pub fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
        match self {
            SecretSource::Inline(secret) => Ok(secret.clone()),
            SecretSource::Env(name) => {
                let text = env(name).map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
                text.map(Secret::new).ok_or_else(|| SecretError::Env(name.clone()))
            }
            SecretSource::File(path) => {
                let failed = |why: String| SecretError::File { path: path.clone(), why };
                let file = std::fs::File::open(path).map_err(|e| failed(e.to_string()))?;
                let mut text = String::new();
                let mut limited = std::io::Read::take(file, LARGEST);
                std::io::Read::read_to_string(&mut limited, &mut text).map_err(|e| failed(e.to_string()))?;
                let text = text.trim();
                if text.is_empty() { Err(SecretError::Empty(path.clone())) } else { Ok(Secret::new(text.into())) }
            }
        }
    }
}

impl fmt::Display for SecretSource {
    /// Where it comes from, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env(name) => write!(f, "${name}"),
            SecretSource::File(path) => write!(f, "{}", path.display()),
            SecretSource::Inline(_) => f.write_str("(written in the configuration)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_where_it_lies_and_an_error_names_the_place_only() {
        let dir = tempfile::tempdir().unwrap();
        let (full, empty) = (dir.path().join("full"), dir.path().join("empty"));
        std::fs::write(&full, "s3cret\n").unwrap();
        std::fs::write(&empty, " \n").unwrap();
        let env = |name: &str| (name == "HOOK").then(|| "from env".to_owned());
        for (source, expected) in [
            (SecretSource::Env("HOOK".into()), "from env"),
            (SecretSource::File(full), "s3cret"),
            (SecretSource::Inline(Secret::new("inline".into())), "inline"),
        ] {
            assert_eq!(source.resolve(&env).unwrap().expose(), expected);
            assert!(!format!("{source:?} {source}").contains("s3cret"));
        }
        assert_eq!(SecretSource::Env("NONE".into()).resolve(&env).unwrap_err(), SecretError::Env("NONE".into()));
        assert_eq!(SecretSource::File(empty.clone()).resolve(&env).unwrap_err(), SecretError::Empty(empty));
        let gone = SecretSource::File(dir.path().join("gone")).resolve(&env).unwrap_err();
        assert!(matches!(gone, SecretError::File { .. }));
    }
}
