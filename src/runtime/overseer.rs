//! Answers what metrics and health checks ask: looks at the loop from outside and asks it once,
//! adds what the loop does not know. Never waits for the state file as long as it may take.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::api::Oversight;
use crate::control::protocol::Status;
use crate::domain::UnixMs;
use crate::engine::vitals::Vitals;
use crate::store::Store;
use crate::telemetry::{Build, Counts, Notices, Reload, Sample, StoreCounts};
use crate::version;

use super::controller::Wakeup;
use super::last_turn::LastTurn;

/// The state file has this long to count its outbox.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// What the loop tells of itself.
#[derive(Debug)]
pub struct Looked {
    pub status: Status,
    pub vitals: Vitals,
    pub counts: Counts,
    pub rehearsal_cadence: Option<Duration>,
}

/// How the configuration in force came to be, shared with whoever reloads.
#[derive(Debug)]
pub struct Reloads(Mutex<Reload>);

impl Reloads {
    pub fn new(at: UnixMs) -> Reloads {
        Reloads(Mutex::new(Reload { at, ok: true }))
    }

    /// A reload ended at `at`.
    pub fn ended(&self, ok: bool, at: UnixMs) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Reload { at: if ok { at } else { last.at }, ok };
    }

    fn last(&self) -> Reload {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Overseer {
    pub inbox: mpsc::UnboundedSender<Wakeup>,
    pub last_turn: Arc<LastTurn>,
    pub store: Store,
    pub reloads: Arc<Reloads>,
    pub started: UnixMs,
}

impl Oversight for Overseer {
    fn last_turn(&self) -> Duration {
        self.last_turn.age()
    }

    fn sample(&self) -> BoxFuture<'_, Result<Sample, String>> {
        Box::pin(async {
            let stopping = "failoverd is stopping";
            let (answer, looked) = oneshot::channel();
            self.inbox.send(Wakeup::Look(answer)).map_err(|_| stopping)?;
            let Looked { status, vitals, counts, rehearsal_cadence } = looked.await.map_err(|_| stopping)?;
            let stats = self.store.stats();
            Ok(Sample {
                at: status.at,
                build: Build {
                    version: version::VERSION.to_owned(),
                    commit: version::COMMIT.to_owned(),
                    cluster: status.cluster,
                    instance: status.instance,
                    observe: status.observe,
                    started: self.started,
                },
                vitals,
                reports: status.reports,
                rehearsal_cadence,
                counts,
                reload: self.reloads.last(),
                notices: timeout(STORE_PATIENCE, self.notices()).await.ok().flatten(),
                store: Some(StoreCounts { ok: stats.writes, failed: stats.failures }),
            })
        })
    }
}

impl Overseer {
    async fn notices(&self) -> Option<Notices> {
        let waiting = self.store.outbox_pending().await.ok()?;
        Some(Notices { waiting, dead: self.store.outbox_dead().await.ok()? })
    }
}
