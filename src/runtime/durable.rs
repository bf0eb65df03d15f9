//! What outlives a process: the state file under its lock, and the courier that empties its outbox.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::config::Config;
use crate::domain::NotifierName;
use crate::engine::journal::{JournalEntry, Restored};
use crate::engine::notice::{Notice, NoticeKind, Severity};
use crate::notify::{self, Sink};
use crate::store::{self, Rollup, StateLock, Store};

use super::assembly::StartError;
use super::clock::wall;
use super::courier::{self, Courier, Unreadable};
use super::keeper::{Done, Keeper};
use super::rollup::Row;

pub struct Durable {
    pub store: Store,
    pub restored: Restored,
    courier: Arc<Courier>,
    _lock: StateLock,
}

impl Durable {
    /// Takes the lock, opens the state file (or makes it, said loudly) and starts the courier. A
    /// receiver's secret that cannot be read stops nothing: it is logged, the other receivers are
    /// told, and the notices for that receiver wait.
    pub fn open(config: &Config) -> Result<Durable, StartError> {
        let (sinks, unreadable) = receivers(config);
        let client = notify::client()?;
        if let Some(dir) = config.state.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir)
                .map_err(|source| StartError::StateDirectory { path: dir.to_owned(), source })?;
        }
        let lock = store::lock(&config.state)?;
        let opened = store::open(&config.state, wall())?;
        if let Some(note) = &opened.note {
            tracing::warn!(state = %config.state.display(), "{note}");
        }
        let told: Vec<NotifierName> = sinks.iter().map(|sink| sink.name().clone()).collect();
        let courier = Arc::new(Courier::spawn(opened.store.clone(), sinks, client, wall));
        if let Some(note) = opened.note.filter(|_| opened.damaged && !told.is_empty()) {
            begun_anew(config, note, told.clone(), &opened.store, &courier);
        }
        if !unreadable.is_empty() {
            complain(config, &unreadable, told, &opened.store, &courier);
            courier.set_unreadable(unreadable.into_iter().map(|u| u.notifier).collect());
        }
        Ok(Durable { store: opened.store, restored: opened.restored, courier, _lock: lock })
    }

    /// A handle for a controller.
    pub fn keeper(&self) -> Arc<dyn Keeper> {
        Arc::new(Kept { store: self.store.clone(), courier: Arc::clone(&self.courier) })
    }

    /// The courier, whose receivers a reload replaces.
    pub fn courier(&self) -> Arc<Courier> {
        Arc::clone(&self.courier)
    }

    /// Waits until nothing is left to deliver, at most `patience`. Returns how many notices are left.
    pub async fn flush_notices(&self, patience: Duration) -> u64 {
        self.courier.flush(patience).await
    }

    /// Ends the courier, then writes what is queued and closes the file.
    pub async fn close(self) {
        let Durable { store, courier, _lock, .. } = self;
        courier.stop().await;
        // Closing waits for the disk.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

/// Everybody the configuration wants told, and those whose secrets cannot be read.
pub fn receivers(config: &Config) -> (Vec<Sink>, Vec<Unreadable>) {
    courier::sinks(&config.notifiers, &|name| std::env::var(name).ok())
}

/// Says that the state was begun anew: what only it knew is forgotten, the drains above all.
fn begun_anew(config: &Config, note: String, to: Vec<NotifierName>, store: &Store, courier: &Arc<Courier>) {
    let at = wall();
    let notice = Notice {
        id: format!("state-{}-{}", config.settings.instance, at.0),
        kind: NoticeKind::StoreTrouble,
        severity: Severity::Critical,
        at,
        cluster: config.settings.cluster.clone(),
        instance: config.settings.instance.clone(),
        policy: None,
        incident: None,
        observe: false,
        title: "the state file was damaged and is begun anew".into(),
        why: vec![note],
        moved: None,
        timeline: Vec::new(),
        next: vec!["automatic moves go on; targets drained here count as not drained: drain them again".into()],
        undo: None,
        to,
    };
    tell(vec![notice], store, courier);
}

/// Puts notices into the outbox, or sends them without where it cannot be written.
fn tell(notices: Vec<Notice>, store: &Store, courier: &Arc<Courier>) {
    let (courier, kept) = (Arc::clone(courier), notices.clone());
    store.commit(0, JournalEntry { notices, ..JournalEntry::default() }, move |result| match result {
        Ok(()) => courier.nudge(),
        Err(_) => courier.direct(kept),
    });
}

/// Says which receivers nobody can reach: to the log and, once a day, to those that can be reached.
fn complain(config: &Config, unreadable: &[Unreadable], to: Vec<NotifierName>, store: &Store, courier: &Arc<Courier>) {
    let at = wall();
    for Unreadable { notifier, error } in unreadable {
        tracing::warn!(
            notifier = %notifier.name,
            "nobody is told through it: {error}; its notices wait (failoverd notify-test {} tries it)",
            notifier.name
        );
    }
    if to.is_empty() {
        tracing::warn!("no receiver can be reached: nobody will be paged");
        return;
    }
    let notices = unreadable.iter().map(|Unreadable { notifier, error }| Notice {
        id: format!("notifier-{}-{}", notifier.name, at.secs() / 86_400),
        kind: NoticeKind::NotifierTrouble,
        severity: Severity::Warning,
        at,
        cluster: config.settings.cluster.clone(),
        instance: config.settings.instance.clone(),
        policy: None,
        incident: None,
        observe: false,
        title: format!("nobody is told through notifier {}", notifier.name),
        why: vec![error.to_string()],
        moved: None,
        timeline: Vec::new(),
        next: vec!["its notices wait, at most 3 days; a secret in a file is looked for every minute".into()],
        undo: Some(format!("failoverd notify-test {}", notifier.name)),
        to: to.clone(),
    });
    tell(notices.collect(), store, courier);
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
