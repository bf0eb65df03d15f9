//! What outlives a process: the state file under its lock, and the courier that empties its outbox.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::config::Config;
use crate::engine::journal::{JournalEntry, Restored};
use crate::engine::notice::Notice;
use crate::store::{self, Rollup, StateLock, Store};

use super::assembly::StartError;
use super::clock::wall;
use super::keeper::{Done, Keeper};
use super::rollup::Row;

/// How often the outbox is looked at while waiting for it to empty.
const LOOK: Duration = Duration::from_millis(50);

pub struct Durable {
    pub store: Store,
    pub restored: Restored,
    courier: Arc<Courier>,
    _lock: StateLock,
}

impl Durable {
    /// Takes the lock, opens the state file (or makes it, said loudly) and starts the courier.
    pub fn open(config: &Config) -> Result<Durable, StartError> {
        if let Some(dir) = config.state.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir)
                .map_err(|source| StartError::StateDirectory { path: dir.to_owned(), source })?;
        }
        let lock = store::lock(&config.state)?;
        let opened = store::open(&config.state, wall())?;
        if let Some(note) = &opened.note {
            tracing::warn!(state = %config.state.display(), "{note}");
        }
        let courier = Arc::new(Courier::spawn(opened.store.clone()));
        Ok(Durable { store: opened.store, restored: opened.restored, courier, _lock: lock })
    }

    /// A handle for a controller.
    pub fn keeper(&self) -> Arc<dyn Keeper> {
        Arc::new(Kept { store: self.store.clone(), courier: Arc::clone(&self.courier) })
    }

    /// Waits until the outbox is empty, at most `patience`. Returns how many notices are left.
    pub async fn flush_notices(&self, patience: Duration) -> u64 {
        let deadline = Instant::now() + patience;
        loop {
            match self.store.outbox_pending().await {
                Ok(0) => return 0,
                Ok(left) if Instant::now() >= deadline => return left,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read");
                    return 0;
                }
            }
            self.courier.nudge();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the courier, then writes what is queued and closes the file.
    pub async fn close(self) {
        let Durable { store, courier, _lock, .. } = self;
        if let Some(courier) = Arc::into_inner(courier) {
            courier.stop().await;
        }
        // Closing waits for the disk.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

/// A store and its courier as a controller's keeper.
struct Kept {
    store: Store,
    courier: Arc<Courier>,
}

impl Keeper for Kept {
    fn commit(&self, seq: u64, entry: JournalEntry, done: Done) {
        let courier = (!entry.notices.is_empty()).then(|| Arc::clone(&self.courier));
        self.store.commit(seq, entry, move |result| {
            if let (Ok(()), Some(courier)) = (&result, courier) {
                courier.nudge();
            }
            done(result.map_err(|error| error.to_string()));
        });
    }

    fn rollups(&self, rows: Vec<Row>) {
        let rows = rows.into_iter().map(|row| Rollup {
            policy: row.policy,
            target: row.target,
            minute: row.minute,
            up: row.counts.up,
            down: row.counts.down,
            unknown: row.counts.unknown,
            latency_ms_sum: u64::try_from(row.counts.up_total.as_millis()).unwrap_or(u64::MAX),
            latency_ms_max: u32::try_from(row.counts.up_max.as_millis()).unwrap_or(u32::MAX),
        });
        self.store.rollups(rows.collect());
    }

    fn tell_directly(&self, notices: Vec<Notice>) {
        self.courier.direct(notices);
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        // A read is answered after everything queued before it.
        Box::pin(async {
            let _ = self.store.outbox_pending().await;
        })
    }
}

/// Takes nothing out of the outbox yet.
struct Courier;

impl Courier {
    fn spawn(_: Store) -> Courier {
        Courier
    }
    fn nudge(&self) {}
    fn direct(&self, _: Vec<Notice>) {}
    async fn stop(self) {}
}
