//! One process per state file: an exclusive lock on `<state file>.lock`, held as long as the value lives.
//!
//! The lock file is never deleted: deleting it would let two processes lock two different files.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::owner;

/// The lock; dropping it, or the end of the process however it comes, frees it.
#[derive(Debug)]
#[must_use]
pub struct StateLock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "the state file {} is in use by {holder}: stop that process first, or give this one its own file with \
         `state = \"…\"`", path.display()
    )]
    Held { path: PathBuf, holder: String },
    #[error("cannot lock the state file: {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl LockError {
    /// True when another process holds the lock; it may end.
    pub fn is_transient(&self) -> bool {
        matches!(self, LockError::Held { .. })
    }
}

/// Takes the lock of the state file at `path` or tells who has it; never waits.
pub fn lock(path: &Path) -> Result<StateLock, LockError> {
    let lock_path = lock_path(path);
    let io = |source| LockError::Io { path: lock_path.clone(), source };
    let mut file = owner::open(&lock_path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LockError::Held { path: path.to_path_buf(), holder: holder(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    // The pid only helps a person; on a full disk the lock holds without it.
    let _ = note_pid(&mut file);
    Ok(StateLock { _file: file })
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn note_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(20).read_to_string(&mut text).map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(pid)) => format!("process {pid}"),
        _ => "another process".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_holder_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failoverd.db");
        let first = lock(&path).unwrap();
        let text = lock(&path).unwrap_err().to_string();
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        assert!(text.contains("`state = "), "{text}");
        drop(first);
        let _again = lock(&path).unwrap();
    }

    #[test]
    fn a_lock_without_a_readable_pid_is_still_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failoverd.db");
        let _first = lock(&path).unwrap();
        std::fs::write(lock_path(&path), "garbage").unwrap();
        assert!(lock(&path).unwrap_err().to_string().contains("another process"));
    }

    #[test]
    fn a_missing_directory_is_named() {
        let text = lock(Path::new("/nonexistent-dir/failoverd.db")).unwrap_err().to_string();
        assert!(text.contains("/nonexistent-dir/failoverd.db.lock"), "{text}");
    }
}
