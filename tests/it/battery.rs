//! What every provider must do, as one list of cases run over each of them: what the fence
//! leans on, what a lost reply leaves behind, and how much one listing holds.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use failoverd::dns::route53::{self, Settings, Timeouts};
use failoverd::dns::{ZoneReader, ZoneWriter};
use failoverd::domain::{RecordName, ZoneId};
use failoverd::engine::zone::{Change, ChangeOp, Data, LiveSet, RecordRead, RefusedCode, WriteAnswer};
use failoverd::sandbox::SandboxConfig;

use crate::proxy::Proxy;
use crate::{ministack, proxy};

mod fencing;
mod kinds;
mod listing;
mod lost_replies;
mod plans;
mod shared;
mod zones;

/// One empty zone at one provider.
pub struct Env {
    pub reader: Box<dyn ZoneReader>,
    pub writer: Box<dyn ZoneWriter>,
    pub api: SocketAddr,
    pub zone: ZoneId,
    pub zone_name: RecordName,
    /// Keeps the provider alive.
    _provider: Box<dyn Any + Send + Sync>,
}

macro_rules! cases {
    ($start:path: $($room:ident :: $case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let env = $start().await;
                let case = super::$room::$case(&env);
                tokio::time::timeout(std::time::Duration::from_secs(120), case).await.expect("took longer than 120 s");
            }
        )*
    };
}

/// The battery: every case, once for each provider.
macro_rules! battery {
    ($module:ident, $start:path) => {
        mod $module {
            cases! { $start:
                fencing::adoption_creates_the_fence_once_and_a_foreign_one_stops_it,
                fencing::a_fenced_batch_moves_the_address_and_the_fence_together,
                fencing::a_delete_must_repeat_value_and_ttl_exactly,
                fencing::a_stale_fence_is_refused_with_nothing_applied,
                fencing::a_batch_is_applied_whole_or_not_at_all,
                fencing::of_eight_racers_for_one_fence_one_wins,
                fencing::what_is_listed_can_be_deleted_byte_for_byte,
                fencing::a_wrong_zone_is_named_as_such,
                lost_replies::a_reply_lost_after_the_commit_leaves_our_attempt_in_the_fence,
                lost_replies::a_request_lost_on_the_way_leaves_nothing_and_may_be_sent_again,
                lost_replies::a_late_request_applies_unless_its_fence_is_burned,
                lost_replies::a_burned_fence_refuses_the_late_request_with_nothing_applied,
                lost_replies::a_silent_network_is_ambiguous_for_writes_and_unreachable_for_reads,
                listing::a_zone_of_more_than_a_thousand_names_is_listed_completely,
                listing::a_page_may_end_between_two_sets_of_one_name,
                listing::a_zone_is_found_by_name_and_by_id,
                listing::two_zones_of_one_name_are_refused_until_an_id_says_which,
                listing::a_change_is_pending_and_then_in_sync,
                listing::a_change_nobody_knows_has_vanished,
                kinds::a_cname_moves_with_its_fence_and_a_stale_plan_stays_out,
                kinds::an_alias_moves_a_and_aaaa_together_and_is_deleted_only_by_its_exact_self,
                kinds::an_upsert_turns_addresses_into_an_alias_and_back,
                kinds::an_alias_of_a_name_that_cannot_be_spelt_is_no_set_of_values,
                kinds::a_set_that_something_else_steers_says_what,
                kinds::a_fence_with_another_ttl_is_deleted_byte_for_byte_and_written_anew,
                kinds::a_fence_changes_hands_alone_and_its_old_owner_is_out,
                kinds::a_set_of_answers_shrinks_and_grows_with_its_fence,
                kinds::a_doubled_fence_is_repaired_by_exactly_its_values_and_a_rehearsal_rewrites_it_alone,
                shared::a_shared_batch_with_one_stale_fence_is_refused_whole_and_names_only_it,
                zones::a_name_in_any_spelling_is_listed_as_one,
                zones::a_zone_deleted_and_made_again_has_a_new_id_and_the_old_one_is_gone,
                zones::a_private_and_a_public_zone_of_one_name_are_told_apart,
            }
        }
    };
}

battery!(on_ministack, super::ministack_env);
battery!(on_sandbox, super::sandbox_env);

/// What MiniStack does not check.
mod on_sandbox_alone {
    cases! { super::sandbox_env:
        kinds::neighbours_that_cannot_stand_together_are_refused_both_ways,
        kinds::a_simple_set_is_refused_beside_a_weighted_one_and_the_other_way_round,
        kinds::an_alias_into_the_zone_needs_its_target,
        shared::a_request_beyond_a_limit_is_refused_with_nothing_applied,
    }
}

async fn ministack_env() -> Env {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let provider = ministack::shared().await;
    let zone_name = name(&format!("battery-{}.example", NEXT.fetch_add(1, Ordering::SeqCst)));
    let zone = create_zone(provider.api, &zone_name).await;
    env(provider.api, zone, zone_name, provider).await
}

async fn sandbox_env() -> Env {
    let config = SandboxConfig {
        zones: vec!["battery.example".into()],
        pending: Duration::from_millis(500),
        ..Default::default()
    };
    let provider = failoverd::sandbox::start(config).await.unwrap();
    let api = provider.api_url().trim_start_matches("http://").parse().unwrap();
    let zone = ZoneId::new(&provider.zone_id("battery.example").unwrap());
    env(api, zone, name("battery.example"), provider).await
}

async fn env(api: SocketAddr, zone: ZoneId, zone_name: RecordName, provider: impl Any + Send + Sync) -> Env {
    let (reader, writer) = connect(&format!("http://{api}"), Duration::from_secs(20)).await;
    Env { reader, writer, api, zone, zone_name, _provider: Box::new(provider) }
}

/// Both parts of the adapter, over a proxy or not.
async fn connect(url: &str, limit: Duration) -> (Box<dyn ZoneReader>, Box<dyn ZoneWriter>) {
    let settings = Settings {
        endpoint_url: Some(url.into()),
        placeholder_credentials: true,
        timeouts: Timeouts { connect: limit, read: limit, write: limit },
        ..Settings::default()
    };
    let (reader, writer) = route53::connect(&settings).await.unwrap().into_parts();
    (Box::new(reader), Box::new(writer))
}

pub async fn create_zone(api: SocketAddr, zone: &RecordName) -> ZoneId {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let reference = format!("{zone}-{}", NEXT.fetch_add(1, Ordering::SeqCst));
    let request = raw_client(api).create_hosted_zone().name(format!("{zone}.")).caller_reference(reference);
    ZoneId::new(request.send().await.unwrap().hosted_zone().unwrap().id())
}

/// The SDK itself, for what the adapter does not do.
pub fn raw_client(api: SocketAddr) -> aws_sdk_route53::Client {
    let credentials = aws_credential_types::Credentials::new("placeholder", "placeholder", None, None, "test");
    let config = aws_sdk_route53::Config::builder()
        .behavior_version(aws_sdk_route53::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_route53::config::Region::new("us-east-1"))
        .credentials_provider(credentials)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(format!("http://{api}"))
        .build();
    aws_sdk_route53::Client::from_conf(config)
}

fn name(text: &str) -> RecordName {
    RecordName::new(text).unwrap()
}

/// A fence value as ARCHITECTURE.md spells it, quoted.
fn fence_value(epoch: u32, attempt: &str, to: &str) -> String {
    format!("\"v=1 e={epoch} p=web o=prod/use1-a a={attempt} t=1795302245 k=failover h=1 m=auto u=0 c=c0ffee to={to}\"")
}

impl Env {
    fn www(&self) -> RecordName {
        name(&format!("www.{}", self.zone_name))
    }

    fn fence(&self) -> RecordName {
        name(&format!("www._failoverd.{}", self.zone_name))
    }

    fn fence_change(&self, op: ChangeOp, value: &str) -> Change {
        Change {
            op,
            name: self.fence(),
            rtype: "TXT".into(),
            data: Data::Values { ttl: 60, values: vec![value.into()] },
        }
    }

    fn address_change(&self, op: ChangeOp, address: &str) -> Change {
        Change { op, name: self.www(), rtype: "A".into(), data: Data::Values { ttl: 30, values: vec![address.into()] } }
    }

    /// The fenced batch from one fence value to the next with a new address.
    fn fenced(&self, before: &str, after: &str, address: &str) -> Vec<Change> {
        vec![
            self.fence_change(ChangeOp::Delete, before),
            self.fence_change(ChangeOp::Create, after),
            self.address_change(ChangeOp::Upsert, address),
        ]
    }

    async fn write(&self, changes: &[Change]) -> WriteAnswer {
        self.writer.change(&self.zone, changes, "battery").await
    }

    async fn accept(&self, changes: &[Change]) -> String {
        match self.write(changes).await {
            WriteAnswer::Accepted { change_id } => change_id,
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Sends a batch that must not get through, and proves that the record did not change.
    async fn refuse(&self, changes: &[Change]) -> String {
        let before = self.read().await;
        let message = match self.write(changes).await {
            WriteAnswer::Refused { code: RefusedCode::Precondition, message } => message,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(self.read().await, before, "a refused batch changed the zone");
        assert!(!message.is_empty());
        message
    }

    async fn read(&self) -> RecordRead {
        let called = self.reader.read_record(&self.zone, &self.www(), &self.fence()).await;
        assert_eq!(called.calls, 2);
        called.result.unwrap()
    }

    /// Adopts `www` at epoch 41 with the address ….1; gives the fence value.
    async fn adopted(&self) -> String {
        let value = fence_value(41, "start", "us-east-1");
        let changes = [self.fence_change(ChangeOp::Create, &value), self.address_change(ChangeOp::Upsert, "192.0.2.1")];
        self.accept(&changes).await;
        self.expect(&value, "192.0.2.1").await;
        value
    }

    /// The zone holds exactly this fence and this address.
    async fn expect(&self, fence: &str, address: &str) {
        let set = |rtype: &str, ttl: u32, value: &str| LiveSet::values(rtype, ttl, vec![value.into()]);
        let read = self.read().await;
        assert_eq!(read, RecordRead { sets: vec![set("A", 30, address)], fence: vec![set("TXT", 60, fence)] });
    }

    async fn proxied(&self, limit: Duration) -> (Proxy, Box<dyn ZoneReader>, Box<dyn ZoneWriter>) {
        let proxy = Proxy::start(self.api).await;
        let (reader, writer) = connect(&proxy.url(), limit).await;
        (proxy, reader, writer)
    }
}
