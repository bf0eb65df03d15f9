//! Dispatch and loop with scripted senses, provider and keeper.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::dns::{Called, Listing, ZoneReader, ZoneWriter};
use crate::domain::*;
use crate::engine::action::{Action, ApiCall, BatchId};
use crate::engine::event::Event;
use crate::engine::intent::IntentId;
use crate::engine::journal::JournalEntry;
use crate::engine::notice::{Notice, NoticeKind, Severity};
use crate::engine::zone::{
    ApiError, ApiErrorKind, Change, ChangeOp, ChangeStatus, Data, DnsAnswer, RecordRead, WriteAnswer, ZoneInfo,
};

use super::alive::PERIOD;
use super::clock::Clock;
use super::controller::{Controller, Start, Until, Wakeup};
use super::dispatch::{Dispatch, Tools};
use super::executor::{Executor, Hands};
use super::keeper::{Done, Keeper};
use super::rollup::Row;
use super::senses::Senses;
use super::testing::{policy, settings};

const SERVER: &str = "192.0.2.53:53";

#[derive(Default)]
struct World {
    writes: AtomicUsize,
    told: Mutex<Vec<Notice>>,
    store_broken: bool,
    write_takes: Duration,
    bad: Bad,
}

/// What goes wrong inside every adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Bad {
    #[default]
    Nothing,
    Panics,
    Hangs,
}

impl World {
    async fn go_wrong(&self) {
        match self.bad {
            Bad::Nothing => {}
            Bad::Panics => panic!("an adapter's bug"),
            Bad::Hangs => std::future::pending().await,
        }
    }
}

impl ZoneReader for World {
    fn resolve_zone<'a>(&'a self, _: &'a ZoneRef, _: bool) -> BoxFuture<'a, Result<ZoneInfo, ApiError>> {
        Box::pin(async {
            self.go_wrong().await;
            Ok(ZoneInfo {
                id: ZoneId::new("Z1"),
                name: RecordName::new("example.com").unwrap(),
                name_servers: vec!["ns1.example.net".into()],
                private: false,
            })
        })
    }
    fn read_record<'a>(
        &'a self,
        _: &'a ZoneId,
        _: &'a RecordName,
        _: &'a RecordName,
    ) -> BoxFuture<'a, Called<Result<RecordRead, ApiError>>> {
        Box::pin(async {
            self.go_wrong().await;
            Called { result: Ok(RecordRead { sets: vec![], fence: vec![] }), calls: 3 }
        })
    }
    fn change_status<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<ChangeStatus, ApiError>> {
        Box::pin(async {
            self.go_wrong().await;
            Ok(ChangeStatus::Insync)
        })
    }
    fn list_zone<'a>(&'a self, _: &'a ZoneId) -> BoxFuture<'a, Called<Result<Listing, ApiError>>> {
        Box::pin(async { Called { result: Ok(vec![]), calls: 1 } })
    }
}

impl ZoneWriter for World {
    fn change<'a>(&'a self, _: &'a ZoneId, _: &'a [Change], _: &'a str) -> BoxFuture<'a, WriteAnswer> {
        Box::pin(async {
            self.writes.fetch_add(1, Ordering::SeqCst);
            self.go_wrong().await;
            tokio::time::sleep(self.write_takes).await;
            WriteAnswer::Accepted { change_id: "C1".into() }
        })
    }
}

impl Senses for World {
    fn replace(&self, _: &[(PolicyIdx, Policy)]) {}
    fn pace(&self, _: PolicyIdx, _: bool) {}
    fn witness<'a>(&'a self, witness: &'a Witness) -> BoxFuture<'a, bool> {
        Box::pin(async {
            self.go_wrong().await;
            witness.name.as_str() == "good"
        })
    }
    fn probe_at<'a>(&'a self, _: &'a Target, _: Option<IpAddr>) -> BoxFuture<'a, Outcome> {
        Box::pin(async {
            self.go_wrong().await;
            Outcome::Up
        })
    }
    fn ask<'a>(&'a self, _: SocketAddr, _: &'a RecordName, _: RecordType) -> BoxFuture<'a, DnsAnswer> {
        Box::pin(async {
            self.go_wrong().await;
            DnsAnswer::Nothing
        })
    }
    fn delegation<'a>(&'a self, zone: &'a RecordName) -> BoxFuture<'a, Option<Vec<String>>> {
        Box::pin(async move {
            self.go_wrong().await;
            Some(vec![format!("ns1.{zone}")])
        })
    }
    fn resolve_servers<'a>(&'a self, names: &'a [String]) -> BoxFuture<'a, Vec<SocketAddr>> {
        Box::pin(async {
            self.go_wrong().await;
            names.iter().map(|_| SERVER.parse().unwrap()).collect()
        })
    }
}

impl Keeper for World {
    fn commit(&self, _: u64, _: JournalEntry, done: Done) {
        done(if self.store_broken { Err("disk full".into()) } else { Ok(()) });
    }
    fn rollups(&self, _: Vec<Row>) {}
    fn tell_directly(&self, notices: Vec<Notice>) {
        self.told.lock().unwrap().extend(notices);
    }
    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

enum Can {
    Write,
    Observe,
}

fn dispatch(world: &Arc<World>, can: Can) -> (Dispatch, mpsc::UnboundedReceiver<Wakeup>) {
    let (inbox, wakeups) = mpsc::unbounded_channel();
    let hands = match can {
        Can::Write => Hands::Active(Executor::new(world.clone())),
        Can::Observe => Hands::Observe,
    };
    let tools =
        Tools { clock: Clock::start(), hands, reader: world.clone(), senses: world.clone(), keeper: world.clone() };
    let mut settings = settings();
    settings.witnesses = ["good", "bad"]
        .map(|name| Witness {
            name: WitnessName::new(name).unwrap(),
            region: None,
            kind: WitnessKind::Tcp("192.0.2.9:443".parse().unwrap()),
        })
        .to_vec();
    let mut dispatch = Dispatch::new(tools, inbox, &settings);
    dispatch.replace([(PolicyIdx(7), &policy("web", "www.example.com"))].into_iter());
    (dispatch, wakeups)
}

async fn next(wakeups: &mut mpsc::UnboundedReceiver<Wakeup>) -> Wakeup {
    timeout(Duration::from_secs(5), wakeups.recv()).await.expect("an answer in time").unwrap()
}

async fn next_event(wakeups: &mut mpsc::UnboundedReceiver<Wakeup>) -> Event {
    match next(wakeups).await {
        Wakeup::Event(event) => *event,
        other => panic!("not an event: {other:?}"),
    }
}

fn write() -> Action {
    Action::Call(ApiCall::Write {
        batch: BatchId(1),
        zone: ZoneId::new("Z1"),
        changes: vec![Change {
            op: ChangeOp::Upsert,
            name: RecordName::new("www.example.com").unwrap(),
            rtype: "A".into(),
            data: Data::Values { ttl: 30, values: vec!["192.0.2.2".into()] },
        }],
        comment: "test".into(),
    })
}

fn notice() -> Notice {
    Notice {
        id: "n1".into(),
        kind: NoticeKind::StoreTrouble,
        severity: Severity::Critical,
        at: UnixMs(1),
        cluster: ClusterName::new("default").unwrap(),
        instance: InstanceName::new("a").unwrap(),
        policy: None,
        incident: None,
        observe: false,
        title: "t".into(),
        why: vec![],
        moved: None,
        timeline: vec![],
        next: vec![],
        undo: None,
        to: vec![],
    }
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_panics_or_hangs_is_answered_too() {
    for bad in [Bad::Panics, Bad::Hangs] {
        let world = Arc::new(World { bad, ..World::default() });
        let (mut dispatch, mut wakeups) = dispatch(&world, Can::Write);
        let (policy, intent) = (PolicyIdx(7), IntentId("i1".into()));
        let name = RecordName::new("www.example.com").unwrap();
        let (zone, zone_ref) = (ZoneIdx(0), ZoneRef { name: Some(name.clone()), id: None });
        dispatch.learn_names(&dispatch.policy(policy).unwrap().zone.clone(), vec!["ns1".into()]);
        let (record, id, fence) = (0, ZoneId::new("Z1"), name.clone());
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let actions = [
            Action::WitnessRound,
            Action::Call(ApiCall::ResolveZone { zone, zone_ref, servers: true }),
            Action::Call(ApiCall::ReadRecord { policy, record, zone: id, name, fence }),
            Action::Call(ApiCall::GetChange { intent, change_id: "C1".into() }),
            Action::AskOne { policy },
            Action::AskAll { policy },
            Action::ProbeByName { policy, target: TargetIdx(0), address: Some(address) },
            Action::LookUpDelegation { zone: ZoneIdx(3), name: RecordName::new("example.com").unwrap() },
            write(),
        ];
        for action in actions {
            let what = format!("{bad:?} {action:?}");
            dispatch.carry_out(action);
            let wakeup = timeout(Duration::from_secs(90), wakeups.recv()).await.expect(&what).unwrap();
            let ill = match wakeup {
                Wakeup::Zone { result, .. } => result.is_err(),
                Wakeup::Event(event) => match *event {
                    Event::Witnessed(round) => round.len() == 2 && round.iter().all(|w| !w.answered),
                    Event::Read { result, .. } => result.is_err(),
                    Event::Synced { result, .. } => result.is_err(),
                    Event::Observed { answers, .. } | Event::Answers { answers, .. } => answers.is_empty(),
                    Event::ByName { probe, .. } => matches!(probe.outcome, Outcome::Unknown(_)),
                    Event::Delegated { servers, .. } => servers.is_none(),
                    Event::Answered { answer, .. } => matches!(answer, WriteAnswer::Ambiguous(_)),
                    _ => false,
                },
                _ => false,
            };
            assert!(ill, "{what}");
        }
    }
}

#[tokio::test]
async fn every_action_is_answered_by_its_event() {
    let world = Arc::new(World::default());
    let (mut dispatch, mut wakeups) = dispatch(&world, Can::Write);
    let policy = PolicyIdx(7);
    let name = RecordName::new("www.example.com").unwrap();
    let address: IpAddr = "192.0.2.1".parse().unwrap();

    dispatch.carry_out(Action::WitnessRound);
    let Event::Witnessed(round) = next_event(&mut wakeups).await else { panic!() };
    let answered: BTreeMap<u32, bool> = round.iter().map(|w| (w.witness.0, w.answered)).collect();
    assert_eq!(answered, BTreeMap::from([(0, true), (1, false)]));

    dispatch.carry_out(Action::Call(ApiCall::ReadRecord {
        policy,
        record: 0,
        zone: ZoneId::new("Z1"),
        name: name.clone(),
        fence: name.clone(),
    }));
    assert!(matches!(next_event(&mut wakeups).await, Event::Read { record: 0, result: Ok(_), calls: 3, .. }));

    dispatch.carry_out(Action::Call(ApiCall::GetChange { intent: IntentId("i".into()), change_id: "C1".into() }));
    assert!(matches!(next_event(&mut wakeups).await, Event::Synced { result: Ok(ChangeStatus::Insync), .. }));

    dispatch.carry_out(Action::ProbeByName { policy, target: TargetIdx(1), address: Some(address) });
    let Event::ByName { probe, .. } = next_event(&mut wakeups).await else { panic!() };
    assert_eq!((probe.target, probe.outcome), (TargetIdx(1), Outcome::Up));

    dispatch.carry_out(Action::LookUpDelegation { zone: ZoneIdx(3), name: name.clone() });
    let found = Event::Delegated { zone: ZoneIdx(3), servers: Some(vec!["ns1.www.example.com".into()]) };
    assert_eq!(next_event(&mut wakeups).await, found);

    dispatch.carry_out(Action::Persist { seq: 4, entry: JournalEntry::default() });
    assert_eq!(next_event(&mut wakeups).await, Event::Persisted { seq: 4 });

    dispatch.carry_out(write());
    let Event::Answered { answer, .. } = next_event(&mut wakeups).await else { panic!() };
    assert_eq!(answer, WriteAnswer::Accepted { change_id: "C1".into() });
}

#[tokio::test]
async fn name_servers_are_learnt_from_the_delegation_and_asked() {
    let world = Arc::new(World::default());
    let (mut dispatch, mut wakeups) = dispatch(&world, Can::Write);
    let policy = PolicyIdx(7);
    dispatch.carry_out(Action::AskOne { policy });
    assert_eq!(next_event(&mut wakeups).await, Event::Observed { policy, answers: vec![] }, "no server known yet");

    let zone_ref = ZoneRef { name: Some(RecordName::new("example.com").unwrap()), id: None };
    dispatch.carry_out(Action::Call(ApiCall::ResolveZone { zone: ZoneIdx(0), zone_ref, servers: true }));
    let Wakeup::Zone { zone_ref, result: Ok(info), .. } = next(&mut wakeups).await else { panic!() };
    dispatch.learn_names(&zone_ref, info.name_servers);

    dispatch.carry_out(Action::AskAll { policy });
    let Wakeup::Servers { zone_ref, addresses } = next(&mut wakeups).await else { panic!() };
    dispatch.learn_addresses(&zone_ref, addresses);
    let Event::Answers { answers, .. } = next_event(&mut wakeups).await else { panic!() };
    assert_eq!(answers.iter().map(|a| a.server).collect::<Vec<_>>(), [SERVER.parse().unwrap()]);

    dispatch.carry_out(Action::AskOne { policy });
    let Event::Observed { answers, .. } = next_event(&mut wakeups).await else { panic!("asked again for addresses") };
    assert_eq!((answers.len(), &answers[0].answer), (1, &DnsAnswer::Nothing));
}

#[tokio::test]
async fn an_observing_process_sends_no_write_where_an_active_one_does() {
    for (can, sent) in [(Can::Observe, 0), (Can::Write, 1)] {
        let world = Arc::new(World::default());
        let (mut dispatch, mut wakeups) = dispatch(&world, can);
        dispatch.carry_out(write());
        let Event::Answered { answer, .. } = next_event(&mut wakeups).await else { panic!() };
        assert_eq!(world.writes.load(Ordering::SeqCst), sent);
        assert_eq!(matches!(answer, WriteAnswer::NotSent(ApiError { kind: ApiErrorKind::Other, .. })), sent == 0);
    }
}

#[tokio::test]
async fn notices_of_an_entry_that_cannot_be_stored_are_told_directly() {
    for (store_broken, told) in [(true, 1), (false, 0)] {
        let world = Arc::new(World { store_broken, ..World::default() });
        let (mut dispatch, mut wakeups) = dispatch(&world, Can::Write);
        let entry = JournalEntry { notices: vec![notice()], ..JournalEntry::default() };
        dispatch.carry_out(Action::Persist { seq: 1, entry });
        let event = next_event(&mut wakeups).await;
        assert_eq!(matches!(event, Event::StoreFailed { seq: 1, .. }), store_broken, "{event:?}");
        assert_eq!(world.told.lock().unwrap().len(), told);
    }
}

/// Log lines of this thread, as JSON.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn alive(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.filter(|line: &serde_json::Value| line["message"] == "alive").collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_loop_says_each_minute_that_it_turns_and_nothing_while_it_hangs() {
    let lines = Lines::default();
    let into = lines.clone();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || into.clone()).finish();
    let _logs = tracing::subscriber::set_default(subscriber);
    for store_broken in [false, true] {
        let world = Arc::new(World { store_broken, ..World::default() });
        let hands = Hands::Active(Executor::new(world.clone()));
        let (clock, keeper) = (Clock::start(), world.clone());
        let tools = Tools { clock, hands, reader: world.clone(), senses: world.clone(), keeper };
        let (_schedule, probes) = mpsc::channel(1);
        let mut controller = Controller::start(Start {
            settings: settings(),
            policies: vec![policy("web", "www.example.com"), policy("api", "api.example.com")],
            mode: crate::engine::Mode::Active,
            restored: crate::engine::journal::Restored::default(),
            windows: |_| None,
            tools,
            probes,
        });
        lines.0.lock().unwrap().clear();
        let turn = |seconds| Duration::from_secs(seconds);
        let _ = timeout(turn(90), controller.run(Until::Stopped)).await;
        assert_eq!(lines.alive().len(), 0, "only a daemon says it");

        controller.say_alive();
        let _ = timeout(PERIOD * 3 + turn(5), controller.run(Until::Stopped)).await;
        let said = lines.alive();
        let uptimes: Vec<u64> = said.iter().map(|line| line["uptime_s"].as_u64().unwrap()).collect();
        // The loop looks once a second.
        let looked = [0, 60, 120, 180].map(|due| due..=due + 1);
        assert!(uptimes.len() == 4 && uptimes.iter().zip(looked).all(|(at, due)| due.contains(at)), "{uptimes:?}");
        let last = &said[3];
        for (key, value) in [
            ("level", "INFO".into()),
            ("policies", serde_json::json!(2)),
            ("moving", 0.into()),
            ("frozen", 0.into()),
            ("blind", false.into()),
            ("store_ok", (!store_broken).into()),
            ("instance", "a".into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
        ] {
            assert_eq!(last[key], value, "{key}: {last:#}");
        }

        tokio::time::sleep(PERIOD * 5).await;
        assert_eq!(lines.alive().len(), 4, "a loop that does not turn says nothing");
        let last_turn = controller.last_turn();
        assert!(last_turn.age() >= PERIOD * 5, "and whoever looks at it from outside sees that: {:?}", last_turn.age());
        let (look, looked) = tokio::sync::oneshot::channel();
        controller.sender().send(Wakeup::Look(look)).unwrap();
        let _ = timeout(turn(5), controller.run(Until::Stopped)).await;
        assert_eq!(lines.alive().len(), 5, "and one line when it turns again");
        assert!(last_turn.age() < turn(2), "{:?}", last_turn.age());
        let looked = looked.await.unwrap();
        assert_eq!((looked.status.reports.len(), looked.vitals.store_broken), (2, store_broken));
        assert!(looked.counts.lag.total() > 180, "each beat is counted: {:?}", looked.counts.lag);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_write_in_flight_and_starts_no_other() {
    let world = Arc::new(World { write_takes: Duration::from_secs(3), ..World::default() });
    let (mut dispatch, mut wakeups) = dispatch(&world, Can::Write);
    let begun = Instant::now();
    dispatch.carry_out(write());
    tokio::task::yield_now().await;
    assert!(!dispatch.idle());
    dispatch.stop();
    dispatch.carry_out(write());
    let refused = next_event(&mut wakeups).await;
    assert!(matches!(&refused, Event::Answered { answer: WriteAnswer::NotSent(_), .. }), "{refused:?}");
    dispatch.settle(&refused);
    assert!(!dispatch.idle(), "the first one is still out");
    let accepted = next_event(&mut wakeups).await;
    assert!(matches!(&accepted, Event::Answered { answer: WriteAnswer::Accepted { .. }, .. }), "{accepted:?}");
    dispatch.settle(&accepted);
    assert!(dispatch.idle() && begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(world.writes.load(Ordering::SeqCst), 1);
}
