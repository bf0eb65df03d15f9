//! Carries out actions. Each is handed to a task of its own; its answer comes back as a wake-up.
//!
//! Never waits and never decides. What cannot be carried out is answered as such, so that no
//! action stays without its event.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::dns::{Called, ZoneReader};
use crate::domain::{
    FleetSettings, Outcome, Policy, PolicyIdx, TargetIdx, UnknownReason, Witness, WitnessIdx, ZoneRef,
};
use crate::engine::action::{Action, ApiCall};
use crate::engine::event::{CommandReply, Event, Probed, ServerAnswer, Witnessed};
use crate::engine::journal::JournalEntry;
use crate::engine::zone::{ApiError, ApiErrorKind, WriteAnswer};

use super::clock::Clock;
use super::controller::Wakeup;
use super::executor::{Hands, not_sent};
use super::keeper::Keeper;
use super::senses::Senses;
use super::servers::{Servers, Whom};
use super::stage::Stage;
use super::{chronicle, stage};

/// No API call is waited for longer; the adapter's own deadlines are shorter.
const API_LIMIT: Duration = Duration::from_secs(60);

/// Everything a controller acts with.
pub struct Tools {
    pub clock: Clock,
    pub hands: Hands,
    pub reader: Arc<dyn ZoneReader>,
    pub senses: Arc<dyn Senses>,
    pub keeper: Arc<dyn Keeper>,
}

pub struct Dispatch {
    tools: Tools,
    inbox: mpsc::UnboundedSender<Wakeup>,
    policies: BTreeMap<PolicyIdx, Arc<Policy>>,
    witnesses: Arc<[Witness]>,
    servers: Servers,
    replies: BTreeMap<u64, oneshot::Sender<CommandReply>>,
    writes_in_flight: usize,
    commits_in_flight: usize,
    stopping: bool,
}

impl Dispatch {
    pub fn new(tools: Tools, inbox: mpsc::UnboundedSender<Wakeup>, settings: &FleetSettings) -> Dispatch {
        Dispatch {
            tools,
            inbox,
            policies: BTreeMap::new(),
            witnesses: settings.witnesses.clone().into(),
            servers: Servers::new(settings.verify.name_servers.clone()),
            replies: BTreeMap::new(),
            writes_in_flight: 0,
            commits_in_flight: 0,
            stopping: false,
        }
    }

    /// From now on exactly these policies are in force; probing follows.
    pub fn replace<'a>(&mut self, policies: impl Iterator<Item = (PolicyIdx, &'a Policy)>) {
        let list: Vec<(PolicyIdx, Policy)> = policies.map(|(idx, policy)| (idx, policy.clone())).collect();
        self.tools.senses.replace(&list);
        self.policies = list.into_iter().map(|(idx, policy)| (idx, Arc::new(policy))).collect();
    }

    pub fn policy(&self, idx: PolicyIdx) -> Option<&Arc<Policy>> {
        self.policies.get(&idx)
    }

    pub fn policies(&self) -> impl Iterator<Item = (PolicyIdx, &Arc<Policy>)> {
        self.policies.iter().map(|(idx, policy)| (*idx, policy))
    }

    pub fn keeper(&self) -> &Arc<dyn Keeper> {
        &self.tools.keeper
    }

    /// From now on nothing new is started; writes are answered "not sent".
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    pub fn stopping(&self) -> bool {
        self.stopping
    }

    /// No write waits for its answer and no entry for its commit.
    pub fn idle(&self) -> bool {
        self.writes_in_flight == 0 && self.commits_in_flight == 0
    }

    /// Waits for the reply to command `id`.
    pub fn expect_reply(&mut self, id: u64, reply: oneshot::Sender<CommandReply>) {
        self.replies.insert(id, reply);
    }

    /// Keeps the books when an answer arrives, before the engine sees it.
    pub fn settle(&mut self, event: &Event) {
        match event {
            Event::Answered { .. } => self.writes_in_flight = self.writes_in_flight.saturating_sub(1),
            Event::Persisted { .. } | Event::StoreFailed { .. } => {
                self.commits_in_flight = self.commits_in_flight.saturating_sub(1);
            }
            _ => {}
        }
    }

    pub fn learn_names(&mut self, zone: &ZoneRef, names: Vec<String>) {
        self.servers.learn_names(zone, names);
    }

    pub fn learn_addresses(&mut self, zone: &ZoneRef, addresses: Vec<SocketAddr>) {
        self.servers.learn_addresses(zone, addresses);
    }

    /// Starts one action.
    pub fn carry_out(&mut self, action: Action) {
        match action {
            Action::Persist { seq, entry } => self.persist(seq, entry),
            Action::Reply { id, reply } => {
                if let Some(waiting) = self.replies.remove(&id) {
                    let _ = waiting.send(reply);
                }
            }
            Action::Call(ApiCall::Write { intent, zone, changes, comment }) => {
                self.writes_in_flight += 1;
                let inbox = self.inbox.clone();
                let answer = |answer| Wakeup::event(Event::Answered { intent, answer });
                let executor = match (&self.tools.hands, self.stopping) {
                    (Hands::Active(_), true) => {
                        return send(&inbox, answer(not_sent("failoverd is stopping")));
                    }
                    (Hands::Active(executor), false) => executor.clone(),
                    (Hands::Observe, _) => {
                        tracing::error!("a write was asked of an observing process; nothing was sent");
                        return send(&inbox, answer(not_sent("this process only observes")));
                    }
                };
                tokio::spawn(async move {
                    let call = tokio::spawn(async move { executor.write(&zone, &changes, &comment).await });
                    let outcome = match timeout(API_LIMIT, call).await {
                        Ok(Ok(outcome)) => outcome,
                        Ok(Err(error)) => WriteAnswer::Ambiguous(format!("the write ended abnormally: {error}")),
                        Err(_) => WriteAnswer::Ambiguous(format!("no answer within {} s", API_LIMIT.as_secs())),
                    };
                    send(&inbox, answer(outcome));
                });
            }
            _ if self.stopping => {}
            Action::Pace { policy, fast } => self.tools.senses.pace(policy, fast),
            Action::WitnessRound => self.witness_round(),
            Action::Call(call) => self.read(call),
            Action::AskOne { policy } => self.ask_one(policy),
            Action::AskAll { policy } => self.ask_all(policy),
            Action::ProbeByName { policy, target, address } => self.probe_by_name(policy, target, address),
        }
    }

    fn persist(&mut self, seq: u64, entry: JournalEntry) {
        chronicle::tell(&entry.transitions);
        let stage = Stage::of(&entry);
        stage::before_commit(stage);
        self.commits_in_flight += 1;
        let (inbox, keeper, notices) = (self.inbox.clone(), self.tools.keeper.clone(), entry.notices.clone());
        self.tools.keeper.commit(
            seq,
            entry,
            Box::new(move |result| {
                let event = match result {
                    Ok(()) => {
                        stage::after_commit(stage);
                        Event::Persisted { seq }
                    }
                    Err(error) => {
                        tracing::error!(%error, "the journal could not be written");
                        if !notices.is_empty() {
                            keeper.tell_directly(notices);
                        }
                        Event::StoreFailed { seq, error }
                    }
                };
                send(&inbox, Wakeup::event(event));
            }),
        );
    }

    fn witness_round(&self) {
        let (inbox, senses) = (self.inbox.clone(), self.tools.senses.clone());
        let (witnesses, clock) = (self.witnesses.clone(), self.tools.clock);
        tokio::spawn(async move {
            let rounds = (0u32..).zip(witnesses.iter()).map(|(number, witness)| {
                let (senses, started) = (&senses, clock.now().mono);
                async move {
                    let answered = senses.witness(witness).await;
                    Witnessed { witness: WitnessIdx(number), started, answered }
                }
            });
            let answers = join_all(rounds).await;
            send(&inbox, Wakeup::event(Event::Witnessed(answers)));
        });
    }

    fn read(&self, call: ApiCall) {
        let (inbox, reader) = (self.inbox.clone(), self.tools.reader.clone());
        match call {
            ApiCall::ResolveZone { zone, zone_ref, servers } => {
                tokio::spawn(async move {
                    let result = within(reader.resolve_zone(&zone_ref, servers)).await.and_then(|r| r);
                    send(&inbox, Wakeup::Zone { zone, zone_ref, result });
                });
            }
            ApiCall::ReadRecord { policy, record, zone, name, fence } => {
                tokio::spawn(async move {
                    let called = within(reader.read_record(&zone, &name, &fence))
                        .await
                        .unwrap_or_else(|error| Called { result: Err(error), calls: 2 });
                    let Called { result, calls } = called;
                    send(&inbox, Wakeup::event(Event::Read { policy, record, result, calls }));
                });
            }
            ApiCall::GetChange { intent, change_id } => {
                tokio::spawn(async move {
                    let result = within(reader.change_status(&change_id)).await.and_then(|r| r);
                    send(&inbox, Wakeup::event(Event::Synced { intent, result }));
                });
            }
            ApiCall::Write { .. } => tracing::error!("a write reached the reader; nothing was sent"),
        }
    }

    fn ask_one(&mut self, idx: PolicyIdx) {
        let Some(policy) = self.policies.get(&idx).cloned() else {
            return send(&self.inbox, Wakeup::event(Event::Observed { policy: idx, answers: Vec::new() }));
        };
        let whom = self.servers.next(&policy.zone);
        let (inbox, senses) = (self.inbox.clone(), self.tools.senses.clone());
        tokio::spawn(async move {
            let mut servers = addresses(whom, &policy.zone, &senses, &inbox).await;
            servers.truncate(1);
            let answers = questions_to(&servers, &policy, &senses).await;
            send(&inbox, Wakeup::event(Event::Observed { policy: idx, answers }));
        });
    }

    fn ask_all(&self, idx: PolicyIdx) {
        let clock = self.tools.clock;
        let Some(policy) = self.policies.get(&idx).cloned() else {
            let event = Event::Answers { policy: idx, asked: clock.now().mono, answers: Vec::new() };
            return send(&self.inbox, Wakeup::event(event));
        };
        let whom = self.servers.all(&policy.zone);
        let (inbox, senses) = (self.inbox.clone(), self.tools.senses.clone());
        tokio::spawn(async move {
            let servers = addresses(whom, &policy.zone, &senses, &inbox).await;
            let asked = clock.now().mono;
            let answers = questions_to(&servers, &policy, &senses).await;
            send(&inbox, Wakeup::event(Event::Answers { policy: idx, asked, answers }));
        });
    }

    fn probe_by_name(&self, policy: PolicyIdx, target: TargetIdx, address: IpAddr) {
        let (inbox, senses, clock) = (self.inbox.clone(), self.tools.senses.clone(), self.tools.clock);
        let known = self.policies.get(&policy).and_then(|p| p.target(target).cloned());
        tokio::spawn(async move {
            let started = clock.now().mono;
            let outcome = match known {
                Some(target) => senses.probe_at(&target, address).await,
                None => Outcome::Unknown(UnknownReason::Overloaded),
            };
            let probe = Probed { policy, target, started, ended: clock.now().mono, outcome };
            send(&inbox, Wakeup::event(Event::ByName { policy, address, probe }));
        });
    }
}

/// The addresses to ask; resolves and teaches the controller host names that have none yet.
async fn addresses(
    whom: Whom,
    zone: &ZoneRef,
    senses: &Arc<dyn Senses>,
    inbox: &mpsc::UnboundedSender<Wakeup>,
) -> Vec<SocketAddr> {
    match whom {
        Whom::These(list) => list,
        Whom::Unresolved(names) => {
            let list = senses.resolve_servers(&names).await;
            send(inbox, Wakeup::Servers { zone_ref: zone.clone(), addresses: list.clone() });
            list
        }
    }
}

/// Asks each server for every record and family of `policy`, all at once.
async fn questions_to(servers: &[SocketAddr], policy: &Policy, senses: &Arc<dyn Senses>) -> Vec<ServerAnswer> {
    let families = policy.families();
    let questions = servers.iter().flat_map(|server| {
        (0u32..).zip(&policy.records).flat_map({
            let families = &families;
            move |(record, name)| {
                families.iter().map(move |family| async move {
                    let answer = senses.ask(*server, name, *family).await;
                    ServerAnswer { server: *server, record, family: *family, answer }
                })
            }
        })
    });
    join_all(questions).await
}

async fn within<T>(call: impl Future<Output = T>) -> Result<T, ApiError> {
    timeout(API_LIMIT, call).await.map_err(|_| ApiError {
        kind: ApiErrorKind::Unreachable,
        message: format!("the provider did not answer within {} s", API_LIMIT.as_secs()),
    })
}

fn send(inbox: &mpsc::UnboundedSender<Wakeup>, wakeup: Wakeup) {
    // A closed inbox means that the controller is gone; nobody is left to be told.
    let _ = inbox.send(wakeup);
}
