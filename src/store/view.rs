//! Reads a state file beside, or without, the daemon that owns it. Never writes.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::domain::{PolicyId, UnixMs};
use crate::engine::journal::{Restored, Transition};

use super::error::StoreError;
use super::{Rollup, open, rows};

/// A read-only look at a state file.
pub struct View {
    conn: Connection,
    path: PathBuf,
}

/// Errors when the file is missing, damaged, newer, older or another program's.
pub fn open_read_only(path: &Path) -> Result<View, StoreError> {
    Ok(View { conn: open::read_only(path)?, path: path.into() })
}

impl View {
    /// Newest first; `policy: None` is every policy.
    pub fn history(&self, policy: Option<&PolicyId>, limit: u32) -> Result<Vec<Transition>, StoreError> {
        self.said(rows::history(&self.conn, policy, limit))
    }

    /// Snapshots and open intents, as a restart would see them.
    pub fn restored(&self) -> Result<Restored, StoreError> {
        self.said(rows::restored(&self.conn))
    }

    /// Undelivered notices that will still be tried.
    pub fn outbox_pending(&self) -> Result<u64, StoreError> {
        self.said(rows::outbox_count(&self.conn, false))
    }

    /// Notices given up.
    pub fn outbox_dead(&self) -> Result<u64, StoreError> {
        self.said(rows::outbox_count(&self.conn, true))
    }

    /// Probe rollups of one policy from `since` on, oldest first.
    pub fn rollups(&self, policy: &PolicyId, since: UnixMs) -> Result<Vec<Rollup>, StoreError> {
        self.said(rows::rollups(&self.conn, policy, since))
    }

    fn said<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|e| StoreError::from_sql(&self.path, &e))
    }
}
