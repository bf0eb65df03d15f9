//! The one loop: takes a wake-up, feeds the engine one event, carries out its actions in order.
//!
//! The fleet changes nowhere else. The loop never waits for a disk or a socket; what it starts
//! comes back as a wake-up.
//!
//! ```text
//! probes ─┐                       ┌─ probes, witnesses, questions
//! answers ┼─ Wakeup → step → Action ┼─ API calls, writes (executor)
//! time ───┘                       └─ journal, replies
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::control::protocol::{Answer, PlanToApply, Request, Status};
use crate::domain::{FleetSettings, Now, Policy, PolicyId, PolicyIdx, RecordName, UnixMs, ZoneIdx, ZoneRef};
use crate::engine::action::Action;
use crate::engine::event::{Command, CommandReply, Event, Probed};
use crate::engine::journal::{JournalEntry, Restored};
use crate::engine::report::{LiveState, Report, Settled};
use crate::engine::zone::ApiError;
use crate::engine::{Fleet, Mode, next_deadline, report, step};
use crate::probe::schedule::Ended;

use super::alive::{self, Alive};
use super::calendar::{Arithmetic, Calendar};
use super::clock::{Clock, JumpWatch};
use super::desk;
use super::dispatch::{Dispatch, Tools};
use super::drill::Drill;
use super::forecast::Forecast;
use super::last_turn::LastTurn;
use super::overseer::Looked;
use super::rollup::{Rollup, Row};
use super::run_id::run_id;
use super::systemd;
use super::tally::Tally;

pub use super::wakeup::{Asked, Wakeup};

/// How often the loop looks at what no event tells: clocks, windows, the minute, the watchdog.
const BEAT: Duration = Duration::from_secs(1);

/// How often systemd's status line is renewed.
const STATUS_PERIOD: Duration = Duration::from_secs(30);

/// How long a stop waits for answers in flight.
pub const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A move that would be made, as a file may keep it.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    pub policy: PolicyId,
    pub zone: String,
    pub at: UnixMs,
    pub plan: PlanToApply,
}

/// What a controller starts from.
pub struct Start {
    pub settings: FleetSettings,
    pub policies: Vec<Policy>,
    pub mode: Mode,
    pub restored: Restored,
    pub windows: Arithmetic,
    pub tools: Tools,
    pub probes: mpsc::Receiver<Vec<Ended>>,
}

/// When [`Controller::run`] returns.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Only when told to stop.
    Stopped,
    /// When the live record of every policy was read, or at the deadline.
    Read { deadline: Instant },
    /// When every policy is judged and nothing is in flight, or at the deadline.
    Settled { deadline: Instant },
    /// When every target is judged, every witness and delegation was asked, or at the deadline.
    Looked { deadline: Instant },
}

pub struct Controller {
    fleet: Fleet,
    clock: Clock,
    dispatch: Dispatch,
    inbox: mpsc::UnboundedReceiver<Wakeup>,
    sender: mpsc::UnboundedSender<Wakeup>,
    probes: mpsc::Receiver<Vec<Ended>>,
    calendar: Calendar,
    jumps: JumpWatch,
    rollup: Rollup,
    tally: Tally,
    last_turn: Arc<LastTurn>,
    next_beat: Instant,
    next_status: Instant,
    watchdog: Option<Duration>,
    drill: Option<Drill>,
    forecast: Forecast,
    alive: Option<Alive>,
    commands: u64,
    /// What the provider said last instead of an answer about a zone.
    provider_trouble: BTreeMap<ZoneIdx, String>,
    /// The schedule of probes has ended, which only a bug can do.
    sightless: bool,
    actions: Vec<Action>,
}

impl Controller {
    /// Makes the fleet and starts its first actions. Call within a runtime.
    pub fn start(start: Start) -> Controller {
        let (sender, inbox) = mpsc::unbounded_channel();
        let clock = start.tools.clock;
        let now = clock.now();
        let dispatch = Dispatch::new(start.tools, sender.clone(), &start.settings);
        let mut actions = Vec::new();
        let tally = Tally::new(&start.restored.open_intents);
        let fleet =
            Fleet::new(start.settings, start.policies, start.mode, start.restored, &run_id(), now, &mut actions);
        let beat = Instant::now();
        let mut controller = Controller {
            fleet,
            clock,
            dispatch,
            inbox,
            sender,
            probes: start.probes,
            calendar: Calendar::new(start.windows),
            jumps: JumpWatch::new(now),
            rollup: Rollup::default(),
            tally,
            last_turn: Arc::new(LastTurn::new(clock)),
            next_beat: beat,
            next_status: beat + STATUS_PERIOD,
            watchdog: systemd::watchdog_period(),
            drill: None,
            forecast: Forecast::default(),
            alive: None,
            commands: 0,
            provider_trouble: BTreeMap::new(),
            sightless: false,
            actions,
        };
        controller.dispatch.replace(controller.fleet.policies());
        controller.drain();
        controller.windows_changed(now);
        controller
    }

    /// Where wake-ups are sent to.
    pub fn sender(&self) -> mpsc::UnboundedSender<Wakeup> {
        self.sender.clone()
    }

    /// Tells whether the loop turns, without asking it.
    pub fn last_turn(&self) -> Arc<LastTurn> {
        Arc::clone(&self.last_turn)
    }

    pub fn settled(&self) -> Settled {
        self.fleet.settled(self.clock.now())
    }

    pub fn status(&self) -> Status {
        self.reports(None)
    }

    /// The same, and whether a failover tonight would be sent.
    pub fn status_and_tonight(&self) -> Status {
        self.with_tonight(self.reports(None))
    }

    fn with_tonight(&self, mut status: Status) -> Status {
        let now = self.clock.now();
        let numbers: BTreeMap<&PolicyId, PolicyIdx> = self.dispatch.policies().map(|(idx, p)| (&p.id, idx)).collect();
        for report in &mut status.reports {
            report.tonight = numbers.get(&report.policy).and_then(|idx| self.fleet.tonight(*idx, now));
        }
        status
    }

    /// Everything decided, to look at.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The moves that would be made now, by policy.
    pub fn saved(&self) -> Vec<Saved> {
        let now = self.clock.now();
        let saved = |(idx, policy): (PolicyIdx, &Arc<Policy>)| {
            let plan = self.fleet.saved(idx, now)?;
            let to = policy.names(&plan.to).iter().map(ToString::to_string).collect();
            let plan = PlanToApply { kind: plan.kind, to, zone: plan.zone, config: plan.config };
            Some(Saved { policy: policy.id.clone(), zone: policy.zone.to_string(), at: now.wall, plan })
        };
        self.dispatch.policies().filter_map(saved).collect()
    }

    /// Runs until told to stop, which gives false, or until `until` comes true.
    pub async fn run(&mut self, until: Until) -> bool {
        let limit = match until {
            Until::Stopped => None,
            Until::Read { deadline } | Until::Settled { deadline } | Until::Looked { deadline } => Some(deadline),
        };
        loop {
            let done = match until {
                Until::Stopped => false,
                Until::Read { .. } => self.status().reports.iter().all(|r| r.live != LiveState::NotRead),
                Until::Settled { .. } => self.settled() != Settled::No && self.dispatch.idle(),
                Until::Looked { .. } => {
                    self.fleet.is_judged()
                        && self.fleet.witnesses().all(|(_, answered)| answered.is_some())
                        && self.fleet.delegations().all(|(_, found)| found.is_ok())
                }
            };
            if done || limit.is_some_and(|limit| Instant::now() >= limit) {
                return true;
            }
            match self.next(limit).await {
                Wakeup::Stop => return false,
                wakeup => self.handle(wakeup),
            }
        }
    }

    /// Keeps the present state of every policy, so that a next process knows how long nobody looked.
    pub fn remember(&mut self) {
        let entry = JournalEntry { snapshots: self.fleet.snapshots(self.clock.now()), ..JournalEntry::default() };
        self.dispatch.keeper().commit(
            0,
            entry,
            Box::new(|result| {
                if let Err(error) = result {
                    tracing::warn!(%error, "the state at the end could not be kept; soak will start anew");
                }
            }),
        );
    }

    /// From now on the write path is rehearsed when `drill` says so.
    pub fn rehearse(&mut self, drill: Drill) {
        self.drill = Some(drill);
    }

    /// From now on the log says each minute that the loop turns.
    pub fn say_alive(&mut self) {
        self.alive = Some(Alive::new(Instant::now()));
    }

    /// Walks a rehearsal now, when one is due.
    pub fn rehearse_if_due(&mut self) -> bool {
        let now = self.clock.now().wall;
        let fired = self.drill.as_mut().and_then(|drill| drill.fired(now));
        if let Some(since) = fired {
            self.feed(Event::RehearsalDue { since });
        }
        fired.is_some()
    }

    /// Starts nothing new, waits for answers in flight and for what must be on disk, at most
    /// [`STOP_PATIENCE`]. True when everything came in.
    pub async fn stop(&mut self) -> bool {
        self.dispatch.stop();
        self.feed(Event::Stopping);
        let deadline = Instant::now() + STOP_PATIENCE;
        while !self.dispatch.idle() {
            let answer = tokio::time::timeout_at(deadline, self.inbox.recv()).await;
            match answer {
                Err(_) | Ok(None) => return false,
                Ok(Some(Wakeup::Event(event))) => match *event {
                    Event::Answered { .. } | Event::Persisted { .. } | Event::StoreFailed { .. } => self.feed(*event),
                    _ => {}
                },
                Ok(Some(Wakeup::Asked(asked))) => {
                    let _ = asked.answer.send(Answer::error("failoverd is stopping"));
                }
                Ok(Some(_)) => {}
            }
            systemd::alive();
        }
        tokio::time::timeout_at(deadline, self.dispatch.keeper().flush()).await.is_ok()
    }

    async fn next(&mut self, limit: Option<Instant>) -> Wakeup {
        let mut wake = self.next_beat;
        let mut why = Wakeup::Beat;
        if let Some(due) = next_deadline(&self.fleet).map(|tick| self.clock.instant(tick))
            && due <= wake
        {
            (wake, why) = (due, Wakeup::Deadline);
        }
        if let Some(limit) = limit
            && limit < wake
        {
            (wake, why) = (limit, Wakeup::Beat);
        }
        tokio::select! {
            Some(wakeup) = self.inbox.recv() => wakeup,
            batch = self.probes.recv() => match batch {
                Some(batch) => Wakeup::Probes(batch),
                None => {
                    tracing::error!("the schedule of probes ended; failoverd stops, since it sees nothing any more");
                    self.sightless = true;
                    Wakeup::Stop
                }
            },
            () = sleep_until(wake) => why,
        }
    }

    fn handle(&mut self, wakeup: Wakeup) {
        match wakeup {
            Wakeup::Deadline => self.feed(Event::Wake),
            Wakeup::Beat => self.beat(),
            Wakeup::Probes(batch) => self.probes_ended(&batch),
            Wakeup::Event(event) => self.feed(*event),
            Wakeup::Zone { zone, zone_ref, result } => {
                match &result {
                    Ok(info) if info.name_servers.is_empty() => {}
                    Ok(info) => self.dispatch.learn_names(&zone_ref, info.name_servers.clone()),
                    Err(error) => self.provider_failed(zone, &zone_ref, error),
                }
                if result.is_ok() && self.provider_trouble.remove(&zone).is_some() {
                    tracing::info!(zone = %zone_ref, "the provider answers again");
                }
                self.feed(Event::ZoneResolved { zone, result });
            }
            Wakeup::Servers { zone_ref, addresses } => {
                if addresses.is_empty() {
                    tracing::debug!(zone = %zone_ref, "no address of a name server is known");
                }
                self.dispatch.learn_addresses(&zone_ref, addresses);
            }
            Wakeup::Asked(asked) => self.asked(asked),
            Wakeup::Look(answer) => self.look(answer),
            Wakeup::Policies(policies, done) => {
                let _ = done.send(self.reload(policies));
            }
            Wakeup::Stop => {}
        }
    }

    /// Said when it starts or changes, not at each try.
    fn provider_failed(&mut self, idx: ZoneIdx, zone: &ZoneRef, error: &ApiError) {
        if self.provider_trouble.get(&idx) != Some(&error.message) {
            tracing::warn!(
                %zone,
                "the zone cannot be used: {}; probing goes on, nothing can be moved until this is cured",
                error.message
            );
            self.provider_trouble.insert(idx, error.message.clone());
        }
    }

    /// Why a zone could not be found, or a record not be read or written, when that was so last.
    pub fn provider_trouble(&self) -> Option<String> {
        self.provider_trouble.values().next().cloned().or_else(|| self.fleet.provider_said())
    }

    /// True when nothing is probed any more: the process must end, so that a new one sees again.
    pub fn is_sightless(&self) -> bool {
        self.sightless
    }

    /// One event in, all its actions out, in order.
    fn feed(&mut self, event: Event) {
        self.dispatch.settle(&event);
        self.tally.heard(&event);
        step(&mut self.fleet, self.clock.now(), event, &mut self.actions);
        self.drain();
    }

    fn drain(&mut self) {
        let now = self.clock.now().mono;
        for action in self.actions.drain(..) {
            self.tally.said(&action, now);
            self.dispatch.carry_out(action);
        }
    }

    fn probes_ended(&mut self, batch: &[Ended]) {
        let mut outcomes = Vec::with_capacity(batch.len());
        for ended in batch {
            let outcome = ended.report.outcome;
            let took = ended.ended - ended.started;
            self.rollup.count(ended.policy, ended.target, outcome, took);
            self.tally.probe(ended.policy, ended.target, outcome, took);
            if tracing::enabled!(tracing::Level::DEBUG) {
                self.debug_probe(ended);
            }
            outcomes.push(Probed {
                policy: ended.policy,
                target: ended.target,
                started: self.clock.tick(ended.started),
                ended: self.clock.tick(ended.ended),
                outcome,
            });
        }
        self.feed(Event::Outcomes(outcomes));
    }

    fn debug_probe(&self, ended: &Ended) {
        let Some(policy) = self.dispatch.policy(ended.policy) else { return };
        let target = policy.target(ended.target).map(|t| tracing::field::display(&t.name));
        tracing::debug!(policy = %policy.id, target, outcome = %ended.report.outcome, "{}", ended.report.detail());
    }

    fn beat(&mut self) {
        let now = self.clock.now();
        self.tally.beat(Instant::now().saturating_duration_since(self.next_beat));
        self.last_turn.now();
        self.next_beat = Instant::now() + self.watchdog.map_or(BEAT, |period| period.min(BEAT));
        if self.watchdog.is_some() {
            systemd::alive();
        }
        if let Some(uptime) = self.alive.as_mut().and_then(|alive| alive.due(Instant::now())) {
            alive::say(self.fleet.pulse(), uptime, &self.fleet.settings().instance);
        }
        let edges = match self.jumps.look(now) {
            Some(ahead_ms) => {
                tracing::warn!(ahead_ms, "the wall clock jumped; windows stay closed until their next edge");
                self.calendar.jumped(now.wall)
            }
            None => self.calendar.edges(now.wall),
        };
        self.tell_windows(edges);
        self.rehearse_if_due();
        if let Some((minute, rows)) = self.rollup.turn(now.wall) {
            let rows = rows.into_iter().filter_map(|row| {
                let policy = self.dispatch.policy(row.policy)?;
                let target = policy.target(row.target)?.name.clone();
                Some(Row { policy: policy.id.clone(), target, minute, counts: row.counts })
            });
            self.dispatch.keeper().rollups(rows.collect());
        }
        if Instant::now() >= self.next_status {
            self.next_status = Instant::now() + STATUS_PERIOD;
            if systemd::listens() {
                systemd::status(&systemd::summary(&self.status().reports));
            }
        }
    }

    fn windows_changed(&mut self, now: Now) {
        let told = self.calendar.replace(self.dispatch.policies().map(|(idx, p)| (idx, &**p)), now.wall);
        self.tell_windows(told);
    }

    fn tell_windows(&mut self, edges: Vec<(PolicyIdx, bool)>) {
        for (policy, open) in edges {
            self.feed(Event::Window { policy, open });
        }
    }

    fn reload(&mut self, policies: Vec<Policy>) -> Result<(), String> {
        let now = self.clock.now();
        let records: BTreeSet<RecordName> = policies.iter().flat_map(|p| p.records.iter().cloned()).collect();
        let before: Vec<(PolicyIdx, Arc<Policy>)> =
            self.dispatch.policies().map(|(idx, policy)| (idx, Arc::clone(policy))).collect();
        let result = self.fleet.reload(policies, now, &mut self.actions);
        if result.is_ok() {
            self.dispatch.replace(self.fleet.policies());
            self.tally.renumber(&before, self.dispatch.policies());
            for (_, policy) in before {
                for record in policy.records.iter().filter(|r| !records.contains(r)) {
                    tracing::warn!(
                        policy = %policy.id,
                        "{record} is managed no more; its fence stays in the zone as an orphan, and if it was not \
                         released: failoverd release --orphan {record}"
                    );
                }
            }
        }
        self.drain();
        self.windows_changed(now);
        result
    }

    /// Whoever has given up waiting costs nothing.
    fn look(&mut self, answer: oneshot::Sender<Looked>) {
        if !answer.is_closed() {
            let now = self.clock.now();
            let counts = self.tally.counts(self.dispatch.policies(), now.mono);
            let rehearsal_cadence = self.drill.as_ref().and_then(Drill::cadence);
            let (mut status, vitals) = (self.status(), self.fleet.vitals(now));
            self.forecast.add(&mut status.reports, &self.fleet, self.dispatch.policies(), now);
            let _ = answer.send(Looked { status, vitals, counts, rehearsal_cadence });
        }
    }

    fn asked(&mut self, asked: Asked) {
        let Asked { request, by, answer } = asked;
        if let Request::OrphanNoted { note } = &request {
            self.fleet.orphan_noted(self.clock.now(), note, &by, &mut self.actions);
            self.drain();
            let _ = answer.send(Answer::Accepted { text: "noted".into() });
            return;
        }
        let command = match self.command(request, by) {
            Ok(command) => command,
            Err(at_once) => {
                let _ = answer.send(*at_once);
                return;
            }
        };
        self.commands += 1;
        let id = self.commands;
        let (reply, replied) = oneshot::channel();
        self.dispatch.expect_reply(id, reply);
        tokio::spawn(async move {
            let _ = answer.send(match replied.await {
                Ok(CommandReply::Accepted(text)) => Answer::Accepted { text },
                Ok(CommandReply::Refused(text)) => Answer::Refused { text },
                Err(_) => Answer::error("failoverd stopped before it answered"),
            });
        });
        self.feed(Event::Command { id, command });
    }

    /// The command a request stands for, or the answer it gets at once.
    fn command(&self, request: Request, by: String) -> Result<Command, Box<Answer>> {
        match request {
            Request::Ping => {
                let instance = self.fleet.settings().instance.to_string();
                Err(Box::new(Answer::Pong { instance, pid: std::process::id() }))
            }
            Request::Status { policy: None } => Err(Box::new(Answer::Status(self.status()))),
            Request::Examine => Err(Box::new(Answer::Status(self.status_and_tonight()))),
            Request::Status { policy: Some(policy) } => {
                let idx = desk::find(self.dispatch.policies(), &policy)?.0;
                Err(Box::new(Answer::Status(self.reports(Some(idx)))))
            }
            Request::Explain { policy } => {
                let idx = desk::find(self.dispatch.policies(), &policy)?.0;
                Err(Box::new(Answer::Status(self.with_tonight(self.reports(Some(idx))))))
            }
            Request::History { .. } => Err(Box::new(Answer::error("this process keeps no history"))),
            hand => {
                let live = |idx| report(&self.fleet, idx, self.clock.now()).map(|r| r.live);
                desk::command(self.dispatch.policies(), live, hand, by)
            }
        }
    }

    fn reports(&self, only: Option<PolicyIdx>) -> Status {
        let now = self.clock.now();
        let settings = self.fleet.settings();
        let numbers = self.dispatch.policies().map(|(idx, _)| idx).filter(|idx| only.is_none_or(|o| o == *idx));
        let mut reports: Vec<Report> = numbers.filter_map(|idx| report(&self.fleet, idx, now)).collect();
        reports.sort_by(|a, b| a.policy.cmp(&b.policy));
        Status {
            at: now.wall,
            cluster: settings.cluster.to_string(),
            instance: settings.instance.to_string(),
            observe: self.fleet.mode() == Mode::Observe,
            reports,
        }
    }
}
