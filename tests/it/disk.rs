//! The disk as it can be: full, failing, cut off from power in the middle of a write, damaged.
//! Linux only; `disk/shim.c`, compiled here by `cc`, stands between the real binary and its state.
//!
//! Variables of the environment, for a long run:
//!
//! - `DISK_IMAGES`: how many disks after a power cut (600 without), and how many damaged state
//!   files (400 without).
//! - `DISK_SEED`: which ones. Printed.
//!
//! Each part ends with one line `ledger: {"part":"disk",…}` on stdout (`--nocapture` shows it).

mod damage;
mod full;
mod images;
mod power;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// A state file, whatever is in it, keeps nobody waiting longer.
const START: Duration = Duration::from_secs(5);

/// The compiled shim.
fn shim() -> PathBuf {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/disk/shim.c");
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-shim-{}.so", std::process::id()));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&made).arg(source);
        let said = cc.output().expect("this test needs `cc` (Debian package gcc)");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        // Another run of the tests may be loading it: a whole file takes the place of a whole file.
        let shim = made.with_file_name("disk-shim.so");
        std::fs::rename(made, &shim).unwrap();
        shim
    };
    SHIM.get_or_init(build).clone()
}

/// A directory in memory where there is one: an image is looked at once.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
