//! Empties the outbox: every notice is delivered or becomes a dead letter, whatever receivers do.
//!
//! One attempt in flight per notifier, in the order of the notices; a failing receiver waits alone
//! behind its own breaker. Never decides what is told or to whom.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::config::{NotifierKind, NotifierSettings, SecretError};
use crate::domain::time::human;
use crate::domain::{NotifierName, UnixMs};
use crate::engine::notice::Notice;
use crate::notify::{SendResult, Sink, SinkKind};
use crate::store::{Delivery, OutboxRow, Store};

use super::failpoint::failpoint;

/// A notice older than this that fails once more is given up.
const PATIENCE: Duration = Duration::from_secs(72 * 3600);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Failures in a row before a person should look.
const WORTH_A_WARNING: u32 = 3;
/// The outbox is looked at this often even when nobody says that there is something.
const IDLE: Duration = Duration::from_secs(60);
/// Next try while the store is in trouble.
const STORE_WAIT: Duration = Duration::from_secs(1);
/// Rows looked at in one pass: one for each notifier.
const HEADS: u32 = 1024;
/// A secret that could not be read is tried again this often; until then its notices wait.
const SECRET_WAIT: Duration = Duration::from_secs(60);
/// Notices in memory for one notifier while the store is in trouble.
const DIRECT: usize = 100;

/// A configured receiver whose secret cannot be read now.
#[derive(Clone, Debug)]
pub struct Unreadable {
    pub notifier: NotifierSettings,
    pub error: SecretError,
}

/// The receivers of a configuration: those that can be reached, and those whose secret is missing.
pub fn sinks(notifiers: &[NotifierSettings], env: &dyn Fn(&str) -> Option<String>) -> (Vec<Sink>, Vec<Unreadable>) {
    let (mut ready, mut unreadable) = (Vec::new(), Vec::new());
    for notifier in notifiers {
        match sink(notifier, env) {
            Ok(sink) => ready.push(sink),
            Err(error) => unreadable.push(Unreadable { notifier: notifier.clone(), error }),
        }
    }
    (ready, unreadable)
}

/// One receiver; errors when its URL or key cannot be read.
pub fn sink(notifier: &NotifierSettings, env: &dyn Fn(&str) -> Option<String>) -> Result<Sink, SecretError> {
    let kind = match notifier.kind {
        NotifierKind::Slack => SinkKind::Slack,
        NotifierKind::Webhook => SinkKind::Webhook,
    };
    let key = notifier.secret.as_ref().map(|secret| secret.resolve(env)).transpose()?;
    Ok(Sink::new(notifier.name.clone(), kind, notifier.url.resolve(env)?, key))
}

/// A running courier. Dropping it starts nothing more; what is not delivered stays in the outbox.
pub struct Courier {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Shared {
    store: Store,
    client: reqwest::Client,
    now: Box<dyn Fn() -> UnixMs + Send + Sync>,
    sinks: Mutex<BTreeMap<NotifierName, Arc<Sink>>>,
    /// Receivers without their secret.
    unreadable: Mutex<BTreeMap<NotifierName, NotifierSettings>>,
    /// Notices the store could not take.
    direct: Mutex<BTreeMap<NotifierName, VecDeque<Notice>>>,
    wake: Notify,
    landed: Notify,
}

impl Courier {
    /// Starts delivering what `store` holds. Call within a tokio runtime.
    pub fn spawn(
        store: Store,
        sinks: Vec<Sink>,
        client: reqwest::Client,
        now: impl Fn() -> UnixMs + Send + Sync + 'static,
    ) -> Courier {
        let shared = Arc::new(Shared {
            store,
            client,
            now: Box::new(now),
            sinks: Mutex::new(by_name(sinks)),
            unreadable: Mutex::default(),
            direct: Mutex::default(),
            wake: Notify::new(),
            landed: Notify::new(),
        });
        let (stop, stopped) = oneshot::channel();
        let round = Round { shared: Arc::clone(&shared), lines: BTreeMap::new(), owed: BTreeMap::new() };
        let task = tokio::spawn(round.run(stopped));
        Courier { shared, running: Mutex::new(Some(Running { stop, task })) }
    }

    /// Says that notices were committed.
    pub fn nudge(&self) {
        self.shared.wake.notify_one();
    }

    /// Sends notices that could not be stored, from memory, in order, to each of their receivers.
    pub fn direct(&self, notices: Vec<Notice>) {
        {
            let mut direct = lock(&self.shared.direct);
            for notice in notices {
                for name in &notice.to {
                    let queue = direct.entry(name.clone()).or_default();
                    queue.push_back(notice.clone());
                    if queue.len() > DIRECT {
                        // The first one may be in flight; the second oldest goes.
                        queue.remove(1);
                        tracing::warn!(notifier = %name, "too many notices in memory; an old one was dropped");
                    }
                }
            }
        }
        self.nudge();
    }

    /// Adds receivers, or replaces those of the same name: before a reload, so that the first
    /// notice of a new policy finds its receiver.
    pub fn add_sinks(&self, sinks: Vec<Sink>) {
        lock(&self.shared.sinks).extend(by_name(sinks));
        self.nudge();
    }

    /// Replaces all receivers, after a reload.
    pub fn set_sinks(&self, sinks: Vec<Sink>) {
        *lock(&self.shared.sinks) = by_name(sinks);
        self.nudge();
    }

    /// Replaces the receivers whose secret cannot be read: their notices wait, and the secret is
    /// looked for again every minute.
    pub fn set_unreadable(&self, notifiers: Vec<NotifierSettings>) {
        *lock(&self.shared.unreadable) = notifiers.into_iter().map(|n| (n.name.clone(), n)).collect();
        self.nudge();
    }

    /// Whether notices to `name` can be sent now.
    pub fn reaches(&self, name: &NotifierName) -> bool {
        lock(&self.shared.sinks).contains_key(name)
    }

    /// Waits until nothing is left to deliver, at most `max`. Returns how many notices are left.
    pub async fn flush(&self, max: Duration) -> u64 {
        let deadline = Instant::now() + max;
        self.nudge();
        loop {
            let landed = self.shared.landed.notified();
            tokio::pin!(landed);
            landed.as_mut().enable();
            let left = self.shared.left().await;
            if left == 0 || tokio::time::timeout_at(deadline, landed).await.is_err() {
                return left;
            }
        }
    }

    /// Starts nothing more and waits for the attempts in flight, each 10 s at most.
    pub async fn stop(&self) {
        let running = lock(&self.running).take();
        if let Some(Running { stop, task }) = running {
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

impl Shared {
    /// The receiver `name`, if its secret can be read by now.
    fn unlock(&self, name: &NotifierName) -> Option<Arc<Sink>> {
        let settings = lock(&self.unreadable).get(name).cloned()?;
        let ready = Arc::new(sink(&settings, &|name| std::env::var(name).ok()).ok()?);
        lock(&self.unreadable).remove(name);
        lock(&self.sinks).insert(name.clone(), Arc::clone(&ready));
        tracing::info!(notifier = %name, "its secret can be read now; what waited is sent");
        Some(ready)
    }

    /// Deliveries still owed to somebody, in the outbox and in memory.
    async fn left(&self) -> u64 {
        let direct: usize = lock(&self.direct).values().map(VecDeque::len).sum();
        let stored = self.store.outbox_pending().await.unwrap_or(0);
        stored + u64::try_from(direct).unwrap_or(u64::MAX)
    }
}

/// Where a notice in flight came from.
enum Origin {
    Outbox { id: i64 },
    Direct,
}

struct Flight {
    notifier: NotifierName,
    origin: Origin,
    notice: Notice,
    result: SendResult,
}

/// One notifier's line: busy with an attempt, or shut by its breaker.
#[derive(Default)]
struct Line {
    busy: bool,
    /// Failures in a row.
    failures: u32,
    shut_until: Option<Instant>,
}

/// The state of the loop.
struct Round {
    shared: Arc<Shared>,
    lines: BTreeMap<NotifierName, Line>,
    /// Ends of attempts that the store could not take: never sent again, recorded when it can.
    owed: BTreeMap<i64, Delivery>,
}

impl Round {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut flights = JoinSet::new();
        loop {
            let wait = self.start_what_can_be(&mut flights).await;
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                Some(flight) = flights.join_next(), if !flights.is_empty() => self.land(flight.ok()).await,
                () = self.shared.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        while let Some(flight) = flights.join_next().await {
            self.land(flight.ok()).await;
        }
        self.record_owed().await;
    }

    /// Puts an attempt in flight for every line that is free; says when to look again.
    async fn start_what_can_be(&mut self, flights: &mut JoinSet<Flight>) -> Duration {
        let mut wait = IDLE;
        self.record_owed().await;
        if !self.owed.is_empty() {
            wait = STORE_WAIT;
        }
        let firsts: Vec<(NotifierName, Notice)> = lock(&self.shared.direct)
            .iter()
            .filter_map(|(name, queue)| Some((name.clone(), queue.front()?.clone())))
            .collect();
        for (name, notice) in firsts {
            wait = wait.min(self.start(flights, name, Origin::Direct, notice).await);
        }
        let now = (self.shared.now)();
        match self.shared.store.outbox_due(now, HEADS).await {
            Ok(rows) => {
                for OutboxRow { id, notifier, notice, .. } in rows {
                    if !self.owed.contains_key(&id) {
                        wait = wait.min(self.start(flights, notifier, Origin::Outbox { id }, notice).await);
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the outbox cannot be read");
                wait = wait.min(STORE_WAIT);
            }
        }
        match self.shared.store.outbox_next(now).await {
            Ok(Some(at)) => wait.min(at.since(now)).max(Duration::from_millis(1)),
            Ok(None) => wait,
            Err(_) => wait.min(STORE_WAIT),
        }
    }

    /// Starts one attempt if the line is free. Returns when this line wants to be looked at again.
    async fn start(
        &mut self,
        flights: &mut JoinSet<Flight>,
        notifier: NotifierName,
        origin: Origin,
        notice: Notice,
    ) -> Duration {
        let line = self.lines.entry(notifier.clone()).or_default();
        if line.busy {
            return IDLE;
        }
        if let Some(shut) = line.shut_until.map(|until| until.saturating_duration_since(Instant::now()))
            && !shut.is_zero()
        {
            return shut;
        }
        let ready = lock(&self.shared.sinks).get(&notifier).cloned();
        let sink = ready.or_else(|| self.shared.unlock(&notifier));
        let Some(sink) = sink else {
            let waits = lock(&self.shared.unreadable).contains_key(&notifier);
            if waits && (self.shared.now)().since(notice.at) < PATIENCE {
                line.shut_until = Some(Instant::now() + SECRET_WAIT);
                return SECRET_WAIT;
            }
            let error = match waits {
                true => format!("given up after {}: its secret cannot be read", human(PATIENCE)),
                false => format!("no notifier `{notifier}` is configured any more"),
            };
            self.end(&notifier, &origin, &notice, Delivery::Dead { error }).await;
            return Duration::from_millis(1);
        };
        line.busy = true;
        let (client, at) = (self.shared.client.clone(), (self.shared.now)());
        flights.spawn(async move {
            failpoint!("before-notice-send");
            let told = notice.clone();
            // A task of its own: should an attempt panic, it is a failed attempt and no more.
            let attempt = tokio::spawn(async move { sink.send(&client, at, &told).await });
            let result = attempt.await.unwrap_or_else(|_| SendResult::Retry {
                after: None,
                error: "the attempt ended by an internal error".into(),
            });
            failpoint!("after-notice-sent-before-done");
            Flight { notifier, origin, notice, result }
        });
        IDLE
    }

    async fn land(&mut self, flight: Option<Flight>) {
        let Some(Flight { notifier, origin, notice, result }) = flight else { return };
        let line = self.lines.entry(notifier.clone()).or_default();
        line.busy = false;
        let delivery = match result {
            SendResult::Delivered => {
                if line.failures >= WORTH_A_WARNING {
                    tracing::info!(%notifier, failures = line.failures, "receiver works again");
                }
                (line.failures, line.shut_until) = (0, None);
                Delivery::Delivered
            }
            SendResult::Retry { after, error } => {
                let wait = line.fail(&notice.id).max(after.unwrap_or_default());
                line.shut_until = Some(Instant::now() + wait);
                if line.failures == WORTH_A_WARNING {
                    tracing::warn!(%notifier, %error, "receiver fails; trying on, at least every 5 minutes");
                }
                let now = (self.shared.now)();
                if now.since(notice.at) >= PATIENCE {
                    Delivery::Dead { error: format!("given up after {}: {error}", human(PATIENCE)) }
                } else {
                    Delivery::Retry { at: now + wait, error }
                }
            }
            SendResult::Dead { error } => {
                // The next notice will hardly fare better: not all of them at once.
                line.shut_until = Some(Instant::now() + line.fail(&notice.id));
                Delivery::Dead { error }
            }
        };
        self.end(&notifier, &origin, &notice, delivery).await;
    }

    /// Records the end of an attempt where the notice came from.
    async fn end(&mut self, notifier: &NotifierName, origin: &Origin, notice: &Notice, delivery: Delivery) {
        if let Delivery::Dead { error } = &delivery {
            tracing::warn!(%notifier, notice = %notice.id, title = %notice.title, %error, "notice not delivered, given up");
        }
        match origin {
            Origin::Outbox { id } => {
                let retried = matches!(delivery, Delivery::Retry { .. });
                if let Err(error) = self.shared.store.outbox_done(*id, delivery.clone()).await {
                    tracing::debug!(%error, "the end of an attempt could not be recorded");
                    // A retry that is not recorded is held back by the breaker alone.
                    if !retried {
                        self.owed.insert(*id, delivery);
                    }
                }
            }
            Origin::Direct => {
                if !matches!(delivery, Delivery::Retry { .. })
                    && let Some(queue) = lock(&self.shared.direct).get_mut(notifier)
                {
                    queue.pop_front();
                }
            }
        }
        self.shared.landed.notify_waiters();
    }

    async fn record_owed(&mut self) {
        for (id, delivery) in std::mem::take(&mut self.owed) {
            match self.shared.store.outbox_done(id, delivery.clone()).await {
                Ok(()) => self.shared.landed.notify_waiters(),
                Err(_) => drop(self.owed.insert(id, delivery)),
            }
        }
    }
}

impl Line {
    /// Counts a failure; how long to wait after it.
    fn fail(&mut self, seed: &str) -> Duration {
        self.failures = self.failures.saturating_add(1);
        backoff(self.failures, seed)
    }
}

/// Doubling from 1 s to 5 min, less up to a quarter that depends on the notice: receivers that
/// fail together are not tried together.
fn backoff(failures: u32, seed: &str) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    let digest = Sha256::new().chain_update(seed).chain_update(failures.to_be_bytes()).finalize();
    let share = u32::from(digest.first().copied().unwrap_or(0));
    (doubled - doubled * share / 1024).max(FIRST_WAIT)
}

fn by_name(sinks: Vec<Sink>) -> BTreeMap<NotifierName, Arc<Sink>> {
    sinks.into_iter().map(|sink| (sink.name().clone(), Arc::new(sink))).collect()
}

/// A poisoned lock only means that a test failed elsewhere; the data is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_five_minutes_with_a_jitter_that_is_the_same_each_time() {
        for (failures, least, most) in
            [(1, 1000, 1000), (2, 1500, 2000), (4, 6000, 8000), (9, 192_000, 256_000), (40, 225_000, 300_000)]
        {
            for seed in ["a", "b", "c"] {
                let wait = backoff(failures, seed);
                assert!((least..=most).contains(&wait.as_millis()), "{failures}: {wait:?}");
                assert_eq!(wait, backoff(failures, seed));
            }
        }
        assert_ne!(backoff(9, "a"), backoff(9, "b"));
    }
}
