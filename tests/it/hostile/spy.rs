//! The real binary with a spy between it and the C library: whom does it dial, whom does it ask for?

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::real::daemon::failoverd;
use crate::real::program;

/// What one process did.
pub struct Spied {
    log: PathBuf,
}

impl Spied {
    /// `failoverd` in `dir`, to which `names` are what they lead to: `("hook", "192.0.2.1|127.0.0.1")`.
    pub fn command(dir: &Path, names: &[(String, String)]) -> (Command, Spied) {
        let log = dir.join("spy.log");
        std::fs::write(&log, "").unwrap();
        let names: Vec<String> = names.iter().map(|(name, to)| format!("{name}={to}")).collect();
        let mut command = failoverd(dir);
        command.env("LD_PRELOAD", library()).env("SPY_LOG", &log).env("SPY_NAMES", names.join(","));
        (command, Spied { log })
    }

    fn noted(&self, what: &str) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap();
        let words = log.lines().filter_map(|line| line.strip_prefix(what)?.strip_prefix(' '));
        words.map(|rest| rest.rsplit_once(' ').unwrap().0.to_owned()).collect()
    }

    /// Addresses that were dialled or written to, in order.
    pub fn dialled(&self) -> Vec<String> {
        [self.noted("connect"), self.noted("send")].concat()
    }

    /// Names and numbers that were given to the resolver, in order.
    pub fn asked(&self) -> Vec<String> {
        self.noted("resolve")
    }
}

fn library() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spy.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/hostile/spy.c");
        let done = Command::new(program("cc", "gcc"))
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&path, &source])
            .args(["-ldl", "-lpthread"])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        (dir, path)
    });
    path
}
