//! The loop of the one thread that owns the connection: everything queued goes into one
//! transaction, then each request is answered. An entry that is itself at fault fails alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use crate::domain::UnixMs;

use super::error::StoreError;
use super::rows::{self, Failed};
use super::{Counters, Done, Request, Write};

/// Most requests in one transaction.
const GROUP: usize = 512;
const PRUNE_EVERY_MS: u64 = 3_600_000;

pub(super) struct Writer {
    pub conn: Connection,
    pub path: PathBuf,
    pub counters: Arc<Counters>,
    /// When retention was last enforced.
    pub pruned: UnixMs,
}

impl Writer {
    /// Serves until `Close` or until every handle is gone; what was queued before is done first.
    pub fn serve(mut self, requests: &Receiver<Request>) {
        let mut open = true;
        while open {
            let Ok(first) = requests.recv() else { return };
            let mut writes = Vec::new();
            let mut reads = Vec::new();
            let mut next = Some(first);
            while let Some(request) = next {
                match request {
                    Request::Write(write, done) => writes.push((write, done)),
                    Request::Read(read) => reads.push(read),
                    Request::Close => open = false,
                }
                let room = !open || writes.len() + reads.len() < GROUP;
                next = if room { requests.try_recv().ok() } else { None };
            }
            self.write_all(writes);
            // After the commit: a read never sees what a crash could still take back.
            for read in reads {
                read(&self.conn);
            }
        }
    }

    fn write_all(&mut self, writes: Vec<(Write, Done)>) {
        if writes.is_empty() {
            return;
        }
        self.prune_when_due(&writes);
        let (writes, dones): (Vec<Write>, Vec<Done>) = writes.into_iter().unzip();
        let results = match self.transaction(&writes) {
            Ok(results) => results,
            // One entry may be what the disk has no room for; the others get their own chance.
            Err(_) if writes.len() > 1 => writes
                .iter()
                .map(|write| self.transaction(std::slice::from_ref(write))?.into_iter().next().unwrap_or(Ok(())))
                .collect(),
            Err(error) => vec![Err(error)],
        };
        for (done, result) in dones.into_iter().zip(results) {
            self.counters.count(&result);
            done.answer(result);
        }
    }

    /// All of `writes` in one transaction. `Err`: nothing was committed.
    fn transaction(&mut self, writes: &[Write]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let results = self.try_transaction(writes);
        if results.is_err() && !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        results
    }

    fn try_transaction(&self, writes: &[Write]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let run = |sql: &str| self.conn.execute_batch(sql).map_err(|e| StoreError::from_sql(&self.path, &e));
        run("BEGIN IMMEDIATE")?;
        let mut results = Vec::with_capacity(writes.len());
        for write in writes {
            run("SAVEPOINT entry")?;
            let result = rows::apply(&self.conn, write).map_err(|failed| match failed {
                Failed::Sql(error) => StoreError::from_sql(&self.path, &error),
                Failed::Entry(error) => error,
            });
            match &result {
                Ok(()) => run("RELEASE entry")?,
                Err(error) if error.is_of_entry() => run("ROLLBACK TO entry; RELEASE entry")?,
                Err(error) => return Err(error.clone()),
            }
            results.push(result);
        }
        run("COMMIT")?;
        self.counters.committed();
        Ok(results)
    }

    /// The minutes of the rollups are the only clock of this thread.
    fn prune_when_due(&mut self, writes: &[(Write, Done)]) {
        let Some(newest) = writes.iter().filter_map(|(w, _)| w.newest_minute()).max() else { return };
        // A clock that was set back must not end retention either.
        if newest.0.abs_diff(self.pruned.0) >= PRUNE_EVERY_MS {
            match rows::prune(&self.conn, newest) {
                Ok(()) => self.pruned = newest,
                Err(error) => {
                    tracing::debug!(%error, "retention could not be enforced; tried again with the next rollups")
                }
            }
        }
    }
}
