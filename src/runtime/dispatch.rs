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
    FleetSettings, Outcome, Policy, PolicyIdx, RecordName, TargetIdx, UnknownReason, Witness, WitnessIdx, ZoneIdx,
    ZoneRef,
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

/// No action is waited for longer; the adapters' own deadlines are shorter.
const LIMIT: Duration = Duration::from_secs(60);

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

    pub fn policies(&self) -> impl Iterator<Item = (PolicyIdx, &Arc<Policy>)> + Clone {
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
            Action::Call(ApiCall::Write { batch, zone, changes, comment }) => {
                self.writes_in_flight += 1;
                let inbox = self.inbox.clone();
                let answer = move |answer| Wakeup::event(Event::Answered { batch, answer });
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
                let work = async move { executor.write(&zone, &changes, &comment).await };
                // Whether it left this machine is not known: the engine burns it.
                self.answer(work, answer, WriteAnswer::Ambiguous);
            }
            _ if self.stopping => {}
            Action::Pace { policy, fast } => self.tools.senses.pace(policy, fast),
            Action::WitnessRound => self.witness_round(),
            Action::Call(call) => self.read(call),
            Action::AskOne { policy } => self.ask_one(policy),
            Action::AskAll { policy } => self.ask_all(policy),
            Action::LookUpDelegation { zone, name } => self.look_up_delegation(zone, name),
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

    /// Runs `work` in a task of its own. Exactly one wake-up follows: what `work` ends with, or
    /// what `instead` makes of the reason when it panics or takes longer than [`LIMIT`].
    fn answer<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        wakeup: impl FnOnce(T) -> Wakeup + Send + 'static,
        instead: impl FnOnce(String) -> T + Send + 'static,
    ) {
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let mut task = tokio::spawn(work);
            let ended = match timeout(LIMIT, &mut task).await {
                Ok(Ok(ended)) => ended,
                Ok(Err(error)) => {
                    tracing::error!(%error, "an action ended abnormally");
                    instead("it ended abnormally inside failoverd".to_owned())
                }
                Err(_) => {
                    task.abort();
                    instead(format!("no answer within {} s", LIMIT.as_secs()))
                }
            };
            send(&inbox, wakeup(ended));
        });
    }

    fn witness_round(&self) {
        let (senses, witnesses, clock) = (self.tools.senses.clone(), self.witnesses.clone(), self.tools.clock);
        let started = clock.now().mono;
        let silence: Vec<Witnessed> = (0u32..)
            .zip(witnesses.iter())
            .map(|(number, _)| Witnessed { witness: WitnessIdx(number), started, answered: false })
            .collect();
        let work = async move {
            let rounds = (0u32..).zip(witnesses.iter()).map(|(number, witness)| {
                let (senses, started) = (&senses, clock.now().mono);
                async move {
                    let answered = senses.witness(witness).await;
                    Witnessed { witness: WitnessIdx(number), started, answered }
                }
            });
            join_all(rounds).await
        };
        self.answer(work, |answers| Wakeup::event(Event::Witnessed(answers)), |_| silence);
    }

    fn read(&self, call: ApiCall) {
        let reader = self.tools.reader.clone();
        match call {
            ApiCall::ResolveZone { zone, zone_ref, servers } => {
                let asked = zone_ref.clone();
                let work = async move { reader.resolve_zone(&asked, servers).await };
                self.answer(work, move |result| Wakeup::Zone { zone, zone_ref, result }, |why| Err(no_answer(&why)));
            }
            ApiCall::ReadRecord { policy, record, zone, name, fence } => {
                let work = async move { reader.read_record(&zone, &name, &fence).await };
                let read = move |Called { result, calls }| Wakeup::event(Event::Read { policy, record, result, calls });
                self.answer(work, read, |why| Called { result: Err(no_answer(&why)), calls: 2 });
            }
            ApiCall::GetChange { intent, change_id } => {
                let work = async move { reader.change_status(&change_id).await };
                let synced = move |result| Wakeup::event(Event::Synced { intent, result });
                self.answer(work, synced, |why| Err(no_answer(&why)));
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
        let work = async move {
            let mut servers = addresses(whom, &policy.zone, &senses, &inbox).await;
            servers.truncate(1);
            questions_to(&servers, &policy, &senses).await
        };
        self.answer(work, move |answers| Wakeup::event(Event::Observed { policy: idx, answers }), |_| Vec::new());
    }

    fn ask_all(&self, idx: PolicyIdx) {
        let clock = self.tools.clock;
        let Some(policy) = self.policies.get(&idx).cloned() else {
            let event = Event::Answers { policy: idx, asked: clock.now().mono, answers: Vec::new() };
            return send(&self.inbox, Wakeup::event(event));
        };
        let whom = self.servers.all(&policy.zone);
        let (inbox, senses) = (self.inbox.clone(), self.tools.senses.clone());
        let begun = clock.now().mono;
        let work = async move {
            let servers = addresses(whom, &policy.zone, &senses, &inbox).await;
            let asked = clock.now().mono;
            (asked, questions_to(&servers, &policy, &senses).await)
        };
        let answers = move |(asked, answers)| Wakeup::event(Event::Answers { policy: idx, asked, answers });
        self.answer(work, answers, move |_| (begun, Vec::new()));
    }

    fn look_up_delegation(&self, zone: ZoneIdx, name: RecordName) {
        let senses = self.tools.senses.clone();
        let work = async move { senses.delegation(&name).await };
        self.answer(work, move |servers| Wakeup::event(Event::Delegated { zone, servers }), |_| None);
    }

    fn probe_by_name(&self, policy: PolicyIdx, target: TargetIdx, address: Option<IpAddr>) {
        let (senses, clock) = (self.tools.senses.clone(), self.tools.clock);
        let known = self.policies.get(&policy).and_then(|p| p.target(target).cloned());
        let started = clock.now().mono;
        let work = async move {
            match known {
                Some(target) => senses.probe_at(&target, address).await,
                None => Outcome::Unknown(UnknownReason::Overloaded),
            }
        };
        let by_name = move |outcome| {
            let probe = Probed { policy, target, started, ended: clock.now().mono, outcome };
            Wakeup::event(Event::ByName { policy, address, probe })
        };
        self.answer(work, by_name, |_| Outcome::Unknown(UnknownReason::Overloaded));
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

/// Asks each server for every record and type of `policy`, all at once.
async fn questions_to(servers: &[SocketAddr], policy: &Policy, senses: &Arc<dyn Senses>) -> Vec<ServerAnswer> {
    let types = policy.record_types();
    let questions = servers.iter().flat_map(|server| {
        (0u32..).zip(&policy.records).flat_map({
            let types = &types;
            move |(record, name)| {
                types.iter().map(move |rtype| async move {
                    let answer = senses.ask(*server, name, *rtype).await;
                    ServerAnswer { server: *server, record, rtype: *rtype, answer }
                })
            }
        })
    });
    join_all(questions).await
}

fn no_answer(why: &str) -> ApiError {
    ApiError { kind: ApiErrorKind::Unreachable, message: format!("the provider gave no answer: {why}") }
}

fn send(inbox: &mpsc::UnboundedSender<Wakeup>, wakeup: Wakeup) {
    // A closed inbox means that the controller is gone; nobody is left to be told.
    let _ = inbox.send(wakeup);
}
