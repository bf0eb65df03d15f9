//! `failoverd init`: a first configuration to edit. Overwrites nothing.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::config::schema;

use super::output;

const MAIN: &str = include_str!("init/failoverd.toml");
const POLICY: &str = include_str!("init/web.toml");

#[derive(clap::Args, Debug)]
pub struct InitArgs {
    /// Directory to write into
    #[arg(default_value = ".")]
    pub directory: PathBuf,
}

/// Writes the files that are not there yet; answers the exit code.
pub fn run(args: &InitArgs) -> u8 {
    let directory = &args.directory;
    let schema = |schema: serde_json::Value| format!("{schema:#}\n");
    let files = [
        ("failoverd.toml", MAIN.to_owned()),
        ("policies/web.toml", POLICY.to_owned()),
        ("schemas/policy.json", schema(schema::policy())),
        ("schemas/main.json", schema(schema::main())),
    ];
    let mut out = std::io::stdout().lock();
    let mut written = 0;
    for (name, text) in &files {
        let path = directory.join(name);
        match write_new(&path, text) {
            Ok(()) => {
                written += 1;
                let _ = writeln!(out, "wrote {}", path.display());
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let _ = writeln!(out, "kept  {} (it was there)", path.display());
            }
            Err(e) => {
                output::talk(&format!("error: cannot write {}: {e}", path.display()));
                output::talk("  next: choose a directory you may write to: failoverd init DIRECTORY");
                return 1;
            }
        }
    }
    let config = directory.join("failoverd.toml");
    let check = format!("failoverd check --config {}", config.display());
    output::talk(&if written == 0 {
        format!("nothing to write; next: {check}")
    } else {
        format!("next: put your zone, names and addresses into policies/web.toml, then type: {check}")
    });
    0
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}
