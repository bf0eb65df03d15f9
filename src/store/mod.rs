//! One thread that owns SQLite: journal, intents, snapshots, outbox, rollups.
//!
//! ```text
//! commit ─┐                     ┌─ done(Ok | Err), each exactly once
//! commit ─┼─ bounded queue ─ thread: BEGIN … all queued … COMMIT (fsync)
//! read  ──┘                     └─ reads, after the commit
//! ```
//! Nothing here waits on the caller's thread, reads a clock or decides. An entry is one unit: its
//! transitions, intents, snapshots and notices stand or fall together. No secret ever gets here.

mod error;
pub mod lock;
mod open;
mod owner;
mod rows;
mod view;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::domain::{NotifierName, PolicyId, TargetName, UnixMs};
use crate::engine::journal::{JournalEntry, Restored, Transition};
use crate::engine::notice::Notice;

pub use error::StoreError;
pub use lock::{LockError, StateLock, lock};
pub use view::{View, open_read_only};

/// Most requests that wait; beyond it the caller is told at once.
const QUEUE: usize = 1024;

/// A store and what it remembered.
pub struct Opened {
    pub store: Store,
    pub restored: Restored,
    /// The file was missing, or damaged and moved aside: to be said loudly.
    pub note: Option<String>,
    /// It was damaged and moved aside: what only it held is forgotten.
    pub damaged: bool,
}

/// Opens the state file at `path`, made when missing. A damaged file is moved aside to
/// `<path>.corrupt-<unix>` and a new one made. The caller holds [`lock`] of the same path.
///
/// Errors: a newer version, another program's database, no permission, no space.
pub fn open(path: &Path, now: UnixMs) -> Result<Opened, StoreError> {
    start(open::file(path, now)?, path, now)
}

/// A store that forgets: for a pass without durable state.
pub fn open_memory() -> Result<Opened, StoreError> {
    start(open::memory(UnixMs::default())?, Path::new(":memory:"), UnixMs::default())
}

/// Probes of one target within one minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    pub policy: PolicyId,
    pub target: TargetName,
    /// Start of the minute.
    pub minute: UnixMs,
    pub up: u32,
    pub down: u32,
    pub unknown: u32,
    /// Sum over the probes that were up, milliseconds.
    pub latency_ms_sum: u64,
    pub latency_ms_max: u32,
}

/// One notice that one notifier has not got yet.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    pub id: i64,
    pub notifier: NotifierName,
    pub notice: Notice,
    /// Attempts made before.
    pub attempts: u32,
    /// When it was put into the outbox.
    pub first_at: UnixMs,
    /// Not before.
    pub next_at: UnixMs,
}

/// How one attempt to deliver ended. No error text may contain a receiver's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Delivered,
    Retry {
        at: UnixMs,
        error: String,
    },
    /// Given up; kept with its error.
    Dead {
        error: String,
    },
}

/// Figures since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Writes answered with success.
    pub writes: u64,
    /// Transactions, i.e. waits for the disk, that they took.
    pub transactions: u64,
    /// Writes answered with an error.
    pub failures: u64,
}

/// A handle to the store's thread; clones share it.
#[derive(Clone)]
pub struct Store {
    requests: SyncSender<Request>,
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    counters: Arc<Counters>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Makes `entry` durable, then calls `done` on the store's thread; `done` must not block.
    /// Never blocks itself: with a full queue `done` gets [`StoreError::Busy`] at once.
    pub fn commit(&self, seq: u64, entry: JournalEntry, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        tracing::trace!(seq, "journal entry queued");
        self.send(Write::Entry(entry), Done::new(done));
    }

    /// Adds to the per-minute figures; kept for 14 days. Lost without harm when the disk is in trouble.
    pub fn rollups(&self, rows: Vec<Rollup>) {
        if !rows.is_empty() {
            self.send(
                Write::Rollups(rows),
                Done::new(|result| {
                    if let Err(error) = result {
                        tracing::debug!(%error, "probe rollups were not stored");
                    }
                }),
            );
        }
    }

    /// The oldest undelivered notice of each notifier whose time has come, at most `limit`.
    pub async fn outbox_due(&self, now: UnixMs, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        self.ask(move |conn| rows::outbox_due(conn, now, limit)).await
    }

    /// When [`Store::outbox_due`] will have something that it has not at `now`; `None`: never.
    pub async fn outbox_next(&self, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
        self.ask(move |conn| rows::outbox_next(conn, now)).await
    }

    /// Records the end of one attempt for the row `id`.
    pub async fn outbox_done(&self, id: i64, result: Delivery) -> Result<(), StoreError> {
        let (tx, rx) = oneshot::channel();
        let done = Done::new(move |result| drop(tx.send(result)));
        self.send(Write::Outbox { id, result }, done);
        rx.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Undelivered notices that will still be tried.
    pub async fn outbox_pending(&self) -> Result<u64, StoreError> {
        self.ask(|conn| rows::outbox_count(conn, false)).await
    }

    /// Notices given up.
    pub async fn outbox_dead(&self) -> Result<u64, StoreError> {
        self.ask(|conn| rows::outbox_count(conn, true)).await
    }

    /// Newest first; `policy: None` is every policy.
    pub async fn history(&self, policy: Option<PolicyId>, limit: u32) -> Result<Vec<Transition>, StoreError> {
        self.ask(move |conn| rows::history(conn, policy.as_ref(), limit)).await
    }

    /// Ends when everything queued so far was committed and answered, or has failed.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.ask(|_| Ok(())).await
    }

    pub fn stats(&self) -> Stats {
        self.shared.counters.stats()
    }

    /// Finishes what is queued, closes the file and ends the thread, for all clones.
    /// Blocks for as long as the disk takes.
    pub fn close(self) {
        // An error means that the thread has ended already.
        let _ = self.requests.send(Request::Close);
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    fn send(&self, write: Write, done: Done) {
        match self.requests.try_send(Request::Write(write, done)) {
            Ok(()) => {}
            Err(TrySendError::Full(Request::Write(_, done))) => done.answer(Err(StoreError::Busy { queued: QUEUE })),
            // Dropping an unanswered `Done` says `Closed`.
            Err(_) => {}
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tx, rx) = oneshot::channel();
        let read = Request::Read(Box::new(move |conn| drop(tx.send(question(conn)))));
        match self.requests.try_send(read) {
            Ok(()) => match rx.await {
                Ok(answer) => answer.map_err(|e| StoreError::from_sql(&self.shared.path, &e)),
                Err(_) => Err(StoreError::Closed),
            },
            Err(TrySendError::Full(_)) => Err(StoreError::Busy { queued: QUEUE }),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Closed),
        }
    }
}

fn start(ready: open::Ready, path: &Path, now: UnixMs) -> Result<Opened, StoreError> {
    let (requests, queue) = sync_channel(QUEUE);
    let counters = Arc::new(Counters::default());
    let writer = writer::Writer { conn: ready.conn, path: path.into(), counters: Arc::clone(&counters), pruned: now };
    let thread = thread::Builder::new()
        .name("store".into())
        .spawn(move || writer.serve(&queue))
        .map_err(|e| StoreError::Io { path: path.into(), detail: format!("no thread for it: {e}") })?;
    let shared = Shared { path: path.into(), counters, thread: Mutex::new(Some(thread)) };
    let store = Store { requests, shared: Arc::new(shared) };
    Ok(Opened { store, restored: ready.restored, note: ready.note, damaged: ready.damaged })
}

enum Request {
    Write(Write, Done),
    Read(Box<dyn FnOnce(&Connection) + Send>),
    Close,
}

enum Write {
    Entry(JournalEntry),
    Rollups(Vec<Rollup>),
    Outbox { id: i64, result: Delivery },
}

impl Write {
    fn newest_minute(&self) -> Option<UnixMs> {
        match self {
            Write::Rollups(rows) => rows.iter().map(|r| r.minute).max(),
            Write::Entry(_) | Write::Outbox { .. } => None,
        }
    }
}

/// An answer owed: given once, `Closed` if the thread ends before.
struct Done(Option<Answer>);

type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

impl Done {
    fn new(done: impl FnOnce(Result<(), StoreError>) + Send + 'static) -> Done {
        Done(Some(Box::new(done)))
    }

    fn answer(mut self, result: Result<(), StoreError>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(StoreError::Closed));
        }
    }
}

#[derive(Default)]
struct Counters {
    writes: AtomicU64,
    transactions: AtomicU64,
    failures: AtomicU64,
}

impl Counters {
    fn committed(&self) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, result: &Result<(), StoreError>) {
        let counter = if result.is_ok() { &self.writes } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn stats(&self) -> Stats {
        let read = |c: &AtomicU64| c.load(Ordering::Relaxed);
        Stats { writes: read(&self.writes), transactions: read(&self.transactions), failures: read(&self.failures) }
    }
}
