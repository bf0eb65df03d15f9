//! Keepers for break-glass: what the state file cannot take is kept in this process, and nothing
//! waits for a disk. Never used by a daemon or a pass.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::Config;
use crate::domain::NotifierName;
use crate::engine::journal::JournalEntry;
use crate::engine::notice::Notice;
use crate::notify::{self, SendResult};

use super::clock::wall;
use super::durable::receivers;
use super::keeper::{Done, Keeper};
use super::rollup::Row;

/// How long the state file may take for one entry.
const PATIENCE: Duration = Duration::from_secs(3);

/// Says yes to everything; remembers the notices, and why it had to be used.
#[derive(Default)]
pub struct Memory {
    notices: Mutex<Vec<Notice>>,
    trouble: Mutex<Option<String>>,
}

impl Memory {
    /// What the state file answered instead of taking an entry.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, notices: Vec<Notice>) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).extend(notices);
    }

    fn complain(&self, why: String) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none() {
            tracing::warn!("not journalled: {why}");
            *trouble = Some(why);
        }
    }

    /// Sends what was kept straight to the receivers, `patience` in all. Returns how many did not
    /// take theirs.
    pub async fn tell(&self, config: &Config, patience: Duration) -> u64 {
        let notices = std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner));
        if notices.is_empty() {
            return 0;
        }
        let (sinks, unreadable) = receivers(config);
        for lost in &unreadable {
            tracing::warn!(notifier = %lost.notifier.name, "nobody is told through it: {}", lost.error);
        }
        let client = match notify::client() {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!("nobody can be told: {error}");
                return u64::try_from(notices.len()).unwrap_or(u64::MAX);
            }
        };
        let wanted = |name: &NotifierName| -> Vec<&Notice> { notices.iter().filter(|n| n.to.contains(name)).collect() };
        let lost: usize = unreadable.iter().map(|u| wanted(&u.notifier.name).len()).sum();
        let sent = sinks.iter().map(|sink| {
            let client = &client;
            let mine = wanted(sink.name());
            async move {
                let mut failed = 0;
                // In their order, so that nobody reads the end before the beginning.
                for notice in mine {
                    let answer = timeout(patience, sink.send(client, wall(), notice)).await;
                    if !matches!(answer, Ok(SendResult::Delivered)) {
                        failed += 1;
                    }
                }
                failed
            }
        });
        let failed: usize = match timeout(patience, join_all(sent)).await {
            Ok(failed) => failed.into_iter().sum(),
            Err(_) => notices.len(),
        };
        u64::try_from(lost + failed).unwrap_or(u64::MAX)
    }
}

impl Keeper for Memory {
    fn commit(&self, _seq: u64, entry: JournalEntry, done: Done) {
        self.keep(entry.notices);
        done(Ok(()));
    }

    fn rollups(&self, _rows: Vec<Row>) {}

    fn tell_directly(&self, notices: Vec<Notice>) {
        self.keep(notices);
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A state file that is written when it can be, and never waited for long.
pub struct Lenient {
    inner: Arc<dyn Keeper>,
    memory: Arc<Memory>,
}

impl Lenient {
    pub fn new(inner: Arc<dyn Keeper>, memory: Arc<Memory>) -> Lenient {
        Lenient { inner, memory }
    }
}

impl Keeper for Lenient {
    fn commit(&self, seq: u64, entry: JournalEntry, done: Done) {
        let (said, heard) = oneshot::channel();
        let (memory, notices) = (Arc::clone(&self.memory), entry.notices.clone());
        self.inner.commit(
            seq,
            entry,
            Box::new(move |result| {
                // Nobody listens any more when it took too long.
                let _ = said.send(result);
            }),
        );
        tokio::spawn(async move {
            let why = match timeout(PATIENCE, heard).await {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(error),
                Ok(Err(_)) => Some("the state file's thread is gone".to_owned()),
                Err(_) => Some(format!("the state file did not answer within {} s", PATIENCE.as_secs())),
            };
            if let Some(why) = why {
                memory.complain(why);
                memory.keep(notices);
            }
            done(Ok(()));
        });
    }

    fn rollups(&self, rows: Vec<Row>) {
        self.inner.rollups(rows);
    }

    fn tell_directly(&self, notices: Vec<Notice>) {
        self.memory.keep(notices);
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let _ = timeout(PATIENCE, self.inner.flush()).await;
        })
    }
}
