//! The configuration as a user meets it: files in, findings or a `Config` out.

use std::path::{Path, PathBuf};

use failoverd::config::{self, Config, ConfigErrors};

use crate::golden;

mod commands;
mod corpus;
mod properties;
mod schema;

fn no_env(_: &str) -> Option<String> {
    None
}

/// A directory with a main file and policies, each `(path, text)`.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn load(dir: &Path) -> Result<Config, ConfigErrors> {
    config::load(&dir.join("failoverd.toml"), &no_env)
}

/// What `check` would say, with the directory's own name taken out.
fn findings(dir: &Path) -> String {
    let text = match load(dir) {
        Ok(config) => config.warnings.iter().map(|f| format!("{f}\n")).collect(),
        Err(errors) => format!("{errors}\n"),
    };
    text.replace(&format!("{}/", dir.display()), "")
}

fn sorted(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(golden::root().join(dir))
        .unwrap()
        .map(|e| dir.join(e.unwrap().file_name()))
        .filter(|p| p.to_string_lossy().ends_with(suffix))
        .collect();
    files.sort();
    files
}
