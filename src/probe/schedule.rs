//! When each target is probed: one task with one timer for all targets, one short task per probe.
//!
//! - Start to start, on a 5 ms grid; one probe in flight per target; a timeout never shrinks.
//! - In calm the k-th of N targets of equal interval starts at k/N of it, and comes back to that
//!   phase after doubt. A new target is first probed early, within about its `fast_interval`.
//! - In doubt the next start is max(previous start + fast_interval, previous end); the targets of
//!   the policy for which that has passed start at once.
//! - At most `in_flight` addresses are probed at the same time; a host name counts as many as it
//!   had last. A probe for which no place gets
//!   free within its timeout ends as `Unknown(Overloaded)`.
//! - Whoever takes the outcomes never holds up a probe: what ends meanwhile is kept for the next
//!   batch, the latest [`KEPT`] of it.

mod cadence;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use crate::domain::{Check, Content, Outcome, PolicyIdx, TargetIdx, UnixMs, UnknownReason, time};

use super::{ADDRESSES_MAX, Phases, ProbeReport, Prober, TargetReport};
use cadence::{Calm, Grid, NEVER};

/// Outcomes kept for a receiver that does not take them; beyond it the oldest are lost, loudly.
pub const KEPT: usize = 65_536;

/// Addresses probed at the same time when the machine allows it.
const IN_FLIGHT_MAX: usize = 4096;

/// Sockets with which a host name is resolved: one for each family.
const QUESTIONS: usize = 2;

/// One target to be probed.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub policy: PolicyIdx,
    pub target: TargetIdx,
    pub check: Check,
    pub content: Content,
}

/// One finished probe of one target.
#[derive(Clone, Debug)]
pub struct Ended {
    pub policy: PolicyIdx,
    pub target: TargetIdx,
    pub started: Instant,
    pub ended: Instant,
    pub report: TargetReport,
    /// The number [`ScheduleHandle::replace`] answered for the items in force when this was sent:
    /// indices of an older one may mean other targets by now.
    pub generation: u64,
}

/// Steers the schedule; it ends when the last clone is dropped.
#[derive(Clone)]
pub struct ScheduleHandle {
    orders: mpsc::UnboundedSender<Order>,
    generations: Arc<AtomicU64>,
}

enum Order {
    Replace { items: Vec<Item>, generation: u64 },
    Pace { policy: PolicyIdx, fast: bool },
}

impl ScheduleHandle {
    /// From now on exactly these are probed. An item equal in all its fields to one before keeps
    /// its phase and what is in flight; what the others have in flight runs out untold. The pace of a
    /// policy number stays as it was said last: after a reload that renumbers, say it again for each.
    pub fn replace(&self, items: Vec<Item>) -> u64 {
        let generation = self.generations.fetch_add(1, Ordering::SeqCst) + 1;
        let _ = self.orders.send(Order::Replace { items, generation });
        generation
    }

    /// All targets of `policy` on their fast interval, or on their calm cadence.
    pub fn pace(&self, policy: PolicyIdx, fast: bool) {
        let _ = self.orders.send(Order::Pace { policy, fast });
    }
}

/// Starts the schedule, empty. All probes that ended within one grid tick come as one batch, never
/// an empty one. `now_utc` serves the cron cadences alone. Ends with `shutdown`, with `out`'s
/// receiver or with the handle; probes in flight then run out unheard.
pub fn spawn(
    prober: Prober,
    out: mpsc::Sender<Vec<Ended>>,
    now_utc: impl Fn() -> UnixMs + Send + Sync + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> ScheduleHandle {
    let measure = move |item: Arc<Item>| {
        let prober = prober.clone();
        async move { prober.probe_target(&item.check, &item.content).await }
    };
    spawn_with(measure, out, now_utc, shutdown, in_flight())
}

/// Half of the files this process may open, so that probes never starve the API, DNS and store.
fn in_flight() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    files.and_then(|files| usize::try_from(files / 2).ok()).unwrap_or(IN_FLIGHT_MAX).clamp(1, IN_FLIGHT_MAX)
}

fn spawn_with<M, F>(
    measure: M,
    out: mpsc::Sender<Vec<Ended>>,
    now_utc: impl Fn() -> UnixMs + Send + Sync + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
    in_flight: usize,
) -> ScheduleHandle
where
    M: Fn(Arc<Item>) -> F + Send + Sync + 'static,
    F: Future<Output = TargetReport> + Send + 'static,
{
    let (orders, orders_rx) = mpsc::unbounded_channel();
    let (landed, landings) = mpsc::unbounded_channel();
    let schedule = Schedule {
        measure,
        now_utc,
        grid: Grid::from(Instant::now()),
        due: Vec::new(),
        slots: Vec::new(),
        places: HashMap::new(),
        next_key: 0,
        fast: HashSet::new(),
        generation: 0,
        limit: in_flight,
        room: Arc::new(Semaphore::new(in_flight)),
        landed,
        kept: Vec::new(),
    };
    tokio::spawn(schedule.run(orders_rx, landings, out, shutdown));
    ScheduleHandle { orders, generations: Arc::default() }
}

struct Schedule<M, N> {
    measure: M,
    now_utc: N,
    grid: Grid,
    /// Grid tick of the next start of each slot, `NEVER` while its probe is in flight. Apart from
    /// the slots so that a look at all of them reads eight bytes each.
    due: Vec<u64>,
    slots: Vec<Slot>,
    /// Where the slot of a key is.
    places: HashMap<u64, usize>,
    next_key: u64,
    fast: HashSet<PolicyIdx>,
    generation: u64,
    limit: usize,
    room: Arc<Semaphore>,
    landed: mpsc::UnboundedSender<Landing>,
    /// Ended, not sent yet.
    kept: Vec<(u64, Ended)>,
}

struct Slot {
    key: u64,
    item: Arc<Item>,
    calm: Calm,
    last_start: Option<Instant>,
    /// Places its probe takes among those in flight.
    width: usize,
}

struct Landing {
    key: u64,
    started: Instant,
    ended: Instant,
    /// `None` when the probe's task came to grief.
    report: Option<TargetReport>,
}

impl<M, N, F> Schedule<M, N>
where
    M: Fn(Arc<Item>) -> F + Send + Sync + 'static,
    F: Future<Output = TargetReport> + Send + 'static,
    N: Fn() -> UnixMs + Send + Sync + 'static,
{
    async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut landings: mpsc::UnboundedReceiver<Landing>,
        out: mpsc::Sender<Vec<Ended>>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let mut shutdown = pin!(shutdown);
        let mut landed = Vec::new();
        // The tick at which what is kept goes out; `NEVER` when nothing is, or the receiver is full.
        let mut flush = NEVER;
        let mut full = false;
        loop {
            let next = self.due.iter().copied().min().unwrap_or(NEVER).min(flush);
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                order = orders.recv() => match order {
                    Some(Order::Replace { items, generation }) => self.replace(items, generation),
                    Some(Order::Pace { policy, fast }) => self.pace(policy, fast),
                    None => return,
                },
                _ = landings.recv_many(&mut landed, 1024) => {
                    for landing in landed.drain(..) {
                        self.land(landing);
                    }
                    if !self.kept.is_empty() && !full {
                        flush = flush.min(self.grid.after(Instant::now()));
                    }
                }
                permit = out.reserve(), if full => match permit {
                    Ok(permit) => {
                        permit.send(self.batch());
                        full = false;
                    }
                    Err(_) => return,
                },
                () = sleep_until(self.grid.instant(next)), if next != NEVER => {
                    self.start_due();
                    if flush <= self.grid.passed(Instant::now()) {
                        flush = NEVER;
                        match out.try_reserve() {
                            Ok(permit) if !self.kept.is_empty() => permit.send(self.batch()),
                            Ok(_) => {}
                            Err(mpsc::error::TrySendError::Full(())) => full = true,
                            Err(mpsc::error::TrySendError::Closed(())) => return,
                        }
                    }
                }
            }
        }
    }

    fn batch(&mut self) -> Vec<Ended> {
        let generation = self.generation;
        self.kept.drain(..).map(|(_, ended)| Ended { generation, ..ended }).collect()
    }

    fn replace(&mut self, items: Vec<Item>, generation: u64) {
        let now = Instant::now();
        let wall = (self.now_utc)();
        let phases = cadence::phases(&items);
        let new = items.len();
        let mut before: HashMap<(PolicyIdx, TargetIdx), (Slot, u64)> = self
            .slots
            .drain(..)
            .zip(self.due.drain(..))
            .map(|(s, due)| ((s.item.policy, s.item.target), (s, due)))
            .collect();
        for (k, (item, phase)) in items.into_iter().zip(phases).enumerate() {
            let same = before.remove(&(item.policy, item.target)).filter(|(slot, _)| *slot.item == item);
            let (slot, due) = same.unwrap_or_else(|| {
                self.next_key += 1;
                let first = now + cadence::first(&item.check, k, new);
                let calm = Calm::new(&item.check, phase, wall);
                let width = width(&item.content, None);
                let slot = Slot { key: self.next_key, calm, item: Arc::new(item), last_start: None, width };
                (slot, self.grid.after(first))
            });
            self.slots.push(slot);
            self.due.push(due);
        }
        self.places = self.slots.iter().enumerate().map(|(place, slot)| (slot.key, place)).collect();
        let places = &self.places;
        self.kept.retain(|(key, _)| places.contains_key(key));
        self.generation = generation;
    }

    fn pace(&mut self, policy: PolicyIdx, fast: bool) {
        let changed = if fast { self.fast.insert(policy) } else { self.fast.remove(&policy) };
        if !changed {
            return;
        }
        let now = Instant::now();
        for place in 0..self.slots.len() {
            let resting = self.due.get(place).is_some_and(|due| *due != NEVER);
            if resting && self.slots.get(place).is_some_and(|slot| slot.item.policy == policy) {
                self.arm(place, now);
            }
        }
    }

    /// Sets the next start of a slot whose probe is not in flight.
    fn arm(&mut self, place: usize, now: Instant) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        let next = match slot.last_start {
            _ if !self.fast.contains(&slot.item.policy) => match slot.last_start {
                Some(_) => slot.calm.next(&self.grid, now, (self.now_utc)()),
                // Not probed yet: the early first start stands.
                None => return,
            },
            Some(started) => self.grid.after((started + slot.item.check.fast_interval).max(now)),
            None => self.grid.after(now),
        };
        if let Some(due) = self.due.get_mut(place) {
            *due = next;
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        let passed = self.grid.passed(now);
        for place in 0..self.due.len() {
            if self.due.get(place).is_some_and(|due| *due <= passed) {
                self.start(place, now);
            }
        }
    }

    fn start(&mut self, place: usize, now: Instant) {
        let (Some(slot), Some(due)) = (self.slots.get_mut(place), self.due.get_mut(place)) else { return };
        let calm = !self.fast.contains(&slot.item.policy) && slot.last_start.is_some();
        if calm && !slot.calm.fires((self.now_utc)()) {
            *due = slot.calm.next(&self.grid, now, (self.now_utc)());
            return;
        }
        *due = NEVER;
        slot.last_start = Some(now);
        let item = slot.item.clone();
        let work = (self.measure)(item.clone());
        let wanted = slot.width.min(self.limit);
        let room = self.room.clone();
        let flight = Flight { key: slot.key, started: now, report: None, landed: self.landed.clone() };
        tokio::spawn(async move {
            let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
            match timeout(item.check.timeout, room.acquire_many(wanted)).await {
                Ok(_place) => {
                    let started = Instant::now();
                    let report = work.await;
                    flight.land(started, report);
                }
                Err(_) => flight.land(now, overloaded(&item)),
            }
        });
    }

    fn land(&mut self, landing: Landing) {
        // A slot that was replaced meanwhile has no place: nobody wants its outcome.
        let Some(place) = self.places.get(&landing.key).copied() else { return };
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.last_start = Some(landing.started);
        let (policy, target) = (slot.item.policy, slot.item.target);
        match landing.report {
            Some(report) => {
                slot.width = width(&slot.item.content, Some(&report));
                let Landing { key, started, ended, .. } = landing;
                self.keep(key, Ended { policy, target, started, ended, report, generation: 0 });
            }
            None => tracing::error!(policy = policy.0, target = target.0, "the task of a probe came to grief"),
        }
        self.arm(place, landing.ended);
    }

    fn keep(&mut self, key: u64, ended: Ended) {
        if self.kept.len() >= KEPT {
            let lost = KEPT / 2;
            self.kept.drain(..lost);
            tracing::warn!(lost, "nobody takes the outcomes of probes; the oldest are lost");
        }
        self.kept.push((key, ended));
    }
}

/// A probe under way; lands when dropped, also when its task panics or is cancelled.
struct Flight {
    key: u64,
    started: Instant,
    report: Option<TargetReport>,
    landed: mpsc::UnboundedSender<Landing>,
}

impl Flight {
    fn land(mut self, started: Instant, report: TargetReport) {
        self.started = started;
        self.report = Some(report);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let landing =
            Landing { key: self.key, started: self.started, ended: Instant::now(), report: self.report.take() };
        let _ = self.landed.send(landing);
    }
}

fn overloaded(item: &Item) -> TargetReport {
    let outcome = Outcome::Unknown(UnknownReason::Overloaded);
    let waited = item.check.timeout;
    let report = |address| ProbeReport {
        address,
        outcome,
        phases: Phases { total: waited, ..Phases::default() },
        status: None,
        cert_days: None,
        body_bytes: 0,
        detail: format!("{outcome}: no place among the probes in flight within {}", time::human(waited)),
    };
    let addresses = item.content.addresses().iter().flat_map(|a| a.iter()).map(report).collect();
    TargetReport { outcome, resolution: None, addresses }
}

/// Connections that a probe of `content` opens at the same time. Of a host name nobody knows before
/// it is resolved: as many as last time, at first and when it could not be told as many as there may be.
fn width(content: &Content, last: Option<&TargetReport>) -> usize {
    match (content.addresses(), last) {
        (Some(set), _) => set.iter().count(),
        (None, Some(last)) if !last.addresses.is_empty() => last.addresses.len().max(QUESTIONS),
        (None, _) => ADDRESSES_MAX,
    }
}
