//! Requests and replies lost on the way, through the real binary, over the sandbox and over
//! MiniStack, unchanged. The faults are those of our own TCP proxy; neither provider helps.
//!
//! MiniStack has no name servers, so there `verify.name_servers` is empty and INSYNC is the proof.

pub mod dice;
pub mod ledger;
pub mod scene;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
use failoverd::domain::{RecordName, ZoneId};
use failoverd::engine::fence::{FenceKind, FenceValue, unquote};
use failoverd::engine::intent::{IntentOutcome, Kind};
use failoverd::sandbox::{HistoryChange, HistoryResult};
use tokio::time::{Instant, sleep};

use crate::battery::{create_zone, raw_client};
use crate::ministack::{self, MiniStack};
use crate::proxy::{Fault, Proxy};
use crate::real::{PATIENCE, wait_for, wait_until};
use crate::servers::Mode;
use ledger::{Ledger, check};
use scene::{Scene, for_a_while};

/// A name that publishes east, managed through a proxy.
struct Stage {
    scene: Scene,
    proxy: Proxy,
    client: aws_sdk_route53::Client,
    zone: ZoneId,
    provider: Provider,
}

enum Provider {
    Sandbox,
    MiniStack { _alive: Arc<MiniStack> },
}

impl Stage {
    async fn sandbox() -> Stage {
        let scene = Scene::on_sandbox().await;
        let api = scene.place.sandbox.api_url().trim_start_matches("http://").parse().unwrap();
        let proxy = Proxy::start(api).await;
        scene.write_main(&proxy.url(), Some(scene.place.sandbox.dns_addr()));
        let zone = ZoneId::new(&scene.place.sandbox.zone_id("example.com").unwrap());
        Stage { scene, proxy, client: raw_client(api), zone, provider: Provider::Sandbox }
    }

    async fn ministack() -> Stage {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let server = ministack::shared().await;
        let name = format!("lost-{}.example", NEXT.fetch_add(1, Ordering::SeqCst));
        let zone = create_zone(server.api, &RecordName::new(&name).unwrap()).await;
        let proxy = Proxy::start(server.api).await;
        let scene = Scene::without_dns(&proxy.url(), &name).await;
        let client = raw_client(server.api);
        let stage = Stage { scene, proxy, client, zone, provider: Provider::MiniStack { _alive: server } };
        let east = stage.scene.place.east.ip().to_string();
        stage.change(ChangeAction::Create, &stage.scene.name, RrType::A, 30, &east).await;
        stage
    }

    fn fence_name(&self) -> String {
        format!("www._failoverd.{}", self.scene.zone)
    }

    async fn change(&self, action: ChangeAction, name: &str, rtype: RrType, ttl: i64, value: &str) {
        let record = ResourceRecord::builder().value(value).build().unwrap();
        let set = ResourceRecordSet::builder().name(name).r#type(rtype).ttl(ttl).resource_records(record);
        let change = Change::builder().action(action).resource_record_set(set.build().unwrap()).build().unwrap();
        let batch = ChangeBatch::builder().changes(change).build().unwrap();
        let request = self.client.change_resource_record_sets().hosted_zone_id(self.zone.as_str());
        request.change_batch(batch).send().await.unwrap();
    }

    /// The values of one set, past the proxy.
    async fn values(&self, name: &str, rtype: RrType) -> Vec<String> {
        let listed = self.client.list_resource_record_sets().hosted_zone_id(self.zone.as_str()).send().await.unwrap();
        let wanted = format!("{name}.");
        let set = listed.resource_record_sets.into_iter().find(|set| set.name == wanted && set.r#type == rtype);
        set.and_then(|set| set.resource_records).unwrap_or_default().into_iter().map(|r| r.value).collect()
    }

    async fn published(&self) -> Vec<String> {
        self.values(&self.scene.name, RrType::A).await
    }

    async fn fence(&self) -> FenceValue {
        let values = self.values(&self.fence_name(), RrType::Txt).await;
        assert_eq!(values.len(), 1, "one value stands in the fence");
        FenceValue::parse(&unquote(&values[0]).unwrap()).unwrap()
    }

    /// Polls until the record publishes exactly `wanted`.
    async fn wait_published(&self, wanted: IpAddr) {
        let begun = Instant::now();
        while self.published().await != [wanted.to_string()] {
            assert!(begun.elapsed() < PATIENCE, "{wanted} is not published: {:?}", self.published().await);
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Change batches that reached the proxy.
    fn writes(&self) -> usize {
        self.proxy.seen().iter().filter(|line| line.starts_with("POST ") && line.contains("/rrset")).count()
    }

    async fn wait_writes(&self, count: usize) {
        let begun = Instant::now();
        while self.writes() < count {
            assert!(begun.elapsed() < PATIENCE, "{} writes came, not {count}", self.writes());
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// The sandbox tells its whole history; elsewhere the journal and the zone must agree.
    fn check(&self, moves: &[IpAddr]) -> Ledger {
        match self.provider {
            Provider::Sandbox => check(&self.scene, moves, 0),
            Provider::MiniStack { .. } => Ledger::read(&self.scene),
        }
    }
}

macro_rules! over_both {
    ($($case:ident),* $(,)?) => {
        mod on_sandbox {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(super::Stage::sandbox().await).await;
                }
            )*
        }
        mod on_ministack {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(super::Stage::ministack().await).await;
                }
            )*
        }
    };
}

over_both!(
    a_reply_lost_after_the_commit_is_resolved_as_ours,
    a_lost_request_is_burnt_and_refused_when_it_comes_late,
    a_request_lost_for_ever_is_burnt_and_the_move_made,
    adoption_makes_a_fence_and_moves_nothing,
    a_foreign_fence_stops_every_write_until_it_is_gone,
);

/// One move, known as applied although nobody was told; whether it is in sync cannot be learnt.
async fn a_reply_lost_after_the_commit_is_resolved_as_ours(stage: Stage) {
    let scene = &stage.scene;
    let west = scene.place.west.ip();
    let daemon = scene.steady();
    let before = stage.fence().await;
    let writes = stage.writes();
    stage.proxy.writes(Fault::DropReply);
    scene.kill_east().await;
    stage.wait_published(west).await;
    let after = stage.fence().await;
    assert_eq!((after.epoch, &after.kind), (before.epoch.next(), &FenceKind::Known(Kind::Failover)));
    let (told, verdict) = match stage.provider {
        Provider::Sandbox => ("moved", "proven"),
        // Neither a change to follow nor a name server to ask.
        Provider::MiniStack { .. } => ("move_unverified", "unverified"),
    };
    scene.wait_told(told, 1, &daemon);
    wait_until(verdict, || scene.place.say(&["history", "web"]).out.contains(verdict));
    assert_eq!(stage.writes(), writes + 1, "nothing was sent a second time");
    assert_eq!(stage.fence().await, after, "and nothing was burnt");
    scene.end(daemon);
    let ledger = stage.check(&[west]);
    assert_eq!(ledger.outcomes(Kind::Failover), [&IntentOutcome::AppliedSyncUnknown]);
}

/// The old fence proves nothing: the request lies in the network and comes after all.
async fn a_lost_request_is_burnt_and_refused_when_it_comes_late(stage: Stage) {
    let scene = &stage.scene;
    let west = scene.place.west.ip();
    let daemon = scene.steady();
    let before = stage.fence().await;
    let writes = stage.writes();
    stage.proxy.writes(Fault::Hold);
    scene.kill_east().await;
    stage.wait_writes(writes + 1).await;
    // The burn itself and whatever follows may pass.
    stage.proxy.writes(Fault::Pass);
    stage.wait_published(west).await;
    let moved = stage.fence().await;
    assert_eq!(moved.epoch, before.epoch.next(), "a burn keeps the epoch, the move takes the next");
    let (published, burnt) = (stage.published().await, stage.writes());
    assert_eq!(burnt, writes + 3, "the lost one, the burn, the move");
    assert_eq!(stage.proxy.release().await, [400], "the late request is refused");
    assert_eq!((stage.published().await, stage.fence().await), (published, moved), "with nothing applied");
    scene.wait_told("moved", 1, &daemon);
    scene.end(daemon);
    let ledger = stage.check(&[west]);
    assert_eq!(ledger.outcomes(Kind::Failover), [&IntentOutcome::Burned, &IntentOutcome::Committed]);
    if let Provider::Sandbox = stage.provider {
        let history = scene.place.sandbox.history();
        let last = history.last().unwrap();
        assert!(
            matches!(&last.result, HistoryResult::Refused { code, .. } if code == "InvalidChangeBatch"),
            "{last:?}"
        );
        let burns = |change: &&HistoryChange| change.action == "CREATE" && change.values[0].contains(" k=burn ");
        assert_eq!(history.iter().flat_map(|entry| &entry.changes).filter(burns).count(), 1, "{history:#?}");
    }
}

async fn a_request_lost_for_ever_is_burnt_and_the_move_made(stage: Stage) {
    let scene = &stage.scene;
    let west = scene.place.west.ip();
    let daemon = scene.steady();
    let writes = stage.writes();
    stage.proxy.writes(Fault::DropRequest);
    scene.kill_east().await;
    stage.wait_writes(writes + 1).await;
    stage.proxy.writes(Fault::Pass);
    stage.wait_published(west).await;
    scene.wait_told("moved", 1, &daemon);
    scene.end(daemon);
    let ledger = stage.check(&[west]);
    assert_eq!(ledger.outcomes(Kind::Failover), [&IntentOutcome::Burned, &IntentOutcome::Committed]);
}

async fn adoption_makes_a_fence_and_moves_nothing(stage: Stage) {
    let scene = &stage.scene;
    let east = scene.place.east.ip();
    assert!(stage.values(&stage.fence_name(), RrType::Txt).await.is_empty());
    let daemon = scene.steady();
    scene.wait_told("adopted", 1, &daemon);
    let fence = stage.fence().await;
    assert_eq!((fence.epoch.0, fence.to.as_str(), &fence.kind), (1, "east", &FenceKind::Known(Kind::Adopt)));
    assert_eq!(stage.published().await, [east.to_string()]);
    scene.end(daemon);
    let ledger = stage.check(&[]);
    assert_eq!(ledger.outcomes(Kind::Adopt), [&IntentOutcome::Committed]);
}

async fn a_foreign_fence_stops_every_write_until_it_is_gone(stage: Stage) {
    let scene = &stage.scene;
    let (east, west) = (scene.place.east.ip(), scene.place.west.ip());
    let foreign = "\"v=1 e=7 p=web o=other/x a=theirs t=1795302245 k=adopt h=0 m=auto u=0 c=c0ffee to=east\"";
    stage.change(ChangeAction::Create, &stage.fence_name(), RrType::Txt, 60, foreign).await;
    let daemon = scene.place.daemon(&["run"]);
    scene.wait_told("fence_trouble", 1, &daemon);
    scene.kill_east().await;
    wait_until("east down", || scene.place.say(&["status"]).out.contains("east down"));
    let adopt = || scene.place.say(&["adopt", "web", "--to", "west", "--reason", "traffic must go west"]);
    let said = adopt();
    assert_eq!(said.code, Some(3), "not even a person takes another cluster's record: {said:#?}");
    assert!(said.err.contains("belongs to other/x"), "{said:#?}");
    for_a_while().await;
    assert_eq!(stage.writes(), 0, "nothing was written");
    assert_eq!(stage.published().await, [east.to_string()]);
    assert_eq!(stage.values(&stage.fence_name(), RrType::Txt).await, [foreign]);

    // With the cause gone the same command moves the record.
    stage.change(ChangeAction::Delete, &stage.fence_name(), RrType::Txt, 60, foreign).await;
    wait_for("the adoption is taken", || (adopt().code == Some(0)).then_some(()), || format!("{:#?}", adopt()));
    stage.wait_published(west).await;
    let fence = stage.fence().await;
    assert_eq!((fence.cluster.as_str(), fence.to.as_str()), ("default", "west"));
    scene.wait_told("adopted", 1, &daemon);
    scene.end(daemon);
    let ledger = Ledger::read(scene);
    assert_eq!(ledger.outcomes(Kind::Adopt), [&IntentOutcome::Committed]);
}

/// Definite refusals that pass: the same write again, one move in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_write_is_sent_again_and_a_server_error_is_resolved_by_the_fence() {
    use failoverd::sandbox::Fault as Trouble;
    let stage = Stage::sandbox().await;
    let scene = &stage.scene;
    let (east, west) = (&scene.place.east, &scene.place.west);
    let daemon = scene.steady();
    let rounds = [
        (Trouble::PriorRequestNotComplete(2), vec![IntentOutcome::Committed]),
        (Trouble::Throttle(3), vec![IntentOutcome::Committed]),
        (Trouble::Status5xx { commit: true }, vec![IntentOutcome::AppliedSyncUnknown]),
        (Trouble::Status5xx { commit: false }, vec![IntentOutcome::Burned, IntentOutcome::Committed]),
    ];
    let (mut moves, mut outcomes) = (Vec::new(), Vec::new());
    for (trouble, wanted) in rounds {
        let (active, standby) = if moves.len() % 2 == 0 { (east, west) } else { (west, east) };
        scene.place.sandbox.faults().arm(trouble);
        active.set(Mode::Refuse).await;
        moves.push(standby.ip());
        outcomes.extend(wanted);
        scene.wait_told("moved", moves.len(), &daemon);
        stage.wait_published(standby.ip()).await;
        active.set(Mode::Ok).await;
        wait_until("both up", || scene.place.say(&["status"]).out.contains("east up, west up"));
    }
    assert!(scene.place.sandbox.faults().armed().is_empty());
    scene.end(daemon);
    let ledger = stage.check(&moves);
    let found: Vec<IntentOutcome> = ledger.outcomes(Kind::Failover).into_iter().cloned().collect();
    assert_eq!(found, outcomes);
}
