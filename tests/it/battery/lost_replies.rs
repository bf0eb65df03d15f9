//! What stands in the zone after a request or a reply was lost on the way.

use failoverd::engine::zone::ApiErrorKind;

use super::*;
use proxy::Fault;

const LIMIT: Duration = Duration::from_secs(20);

async fn send_ambiguous(env: &Env, writer: &dyn ZoneWriter, changes: &[Change]) {
    let answer = writer.change(&env.zone, changes, "battery").await;
    assert!(matches!(answer, WriteAnswer::Ambiguous(_)), "{answer:?}");
}

pub async fn a_reply_lost_after_the_commit_leaves_our_attempt_in_the_fence(env: &Env) {
    let live = env.adopted().await;
    let (proxy, _, writer) = env.proxied(LIMIT).await;
    proxy.writes(Fault::DropReply);
    let ours = fence_value(42, "ours", "eu-west-1");
    send_ambiguous(env, &*writer, &env.fenced(&live, &ours, "192.0.2.2")).await;
    env.expect(&ours, "192.0.2.2").await;
    assert_eq!(proxy.seen().len(), 1, "the adapter must not repeat a write: {:?}", proxy.seen());
}

pub async fn a_request_lost_on_the_way_leaves_nothing_and_may_be_sent_again(env: &Env) {
    let live = env.adopted().await;
    let (proxy, _, writer) = env.proxied(LIMIT).await;
    let ours = fence_value(42, "ours", "eu-west-1");
    let batch = env.fenced(&live, &ours, "192.0.2.2");
    proxy.writes(Fault::DropRequest);
    send_ambiguous(env, &*writer, &batch).await;
    env.expect(&live, "192.0.2.1").await;
    proxy.writes(Fault::Pass);
    let answer = writer.change(&env.zone, &batch, "battery").await;
    assert!(matches!(answer, WriteAnswer::Accepted { .. }), "{answer:?}");
    env.expect(&ours, "192.0.2.2").await;
}

/// Why an old value in the fence proves nothing.
pub async fn a_late_request_applies_unless_its_fence_is_burned(env: &Env) {
    let live = env.adopted().await;
    let (proxy, _, writer) = env.proxied(LIMIT).await;
    proxy.writes(Fault::Hold);
    let late = fence_value(42, "late", "eu-west-1");
    send_ambiguous(env, &*writer, &env.fenced(&live, &late, "192.0.2.2")).await;
    env.expect(&live, "192.0.2.1").await;
    assert_eq!(proxy.release().await, [200]);
    env.expect(&late, "192.0.2.2").await;
}

pub async fn a_burned_fence_refuses_the_late_request_with_nothing_applied(env: &Env) {
    let live = env.adopted().await;
    let (proxy, _, writer) = env.proxied(LIMIT).await;
    proxy.writes(Fault::Hold);
    send_ambiguous(env, &*writer, &env.fenced(&live, &fence_value(42, "late", "eu-west-1"), "192.0.2.2")).await;
    env.expect(&live, "192.0.2.1").await;
    let burned = fence_value(41, "burn", "us-east-1").replace("k=failover", "k=burn");
    env.accept(&[env.fence_change(ChangeOp::Delete, &live), env.fence_change(ChangeOp::Create, &burned)]).await;
    assert_eq!(proxy.release().await, [400]);
    env.expect(&burned, "192.0.2.1").await;
    let next = fence_value(42, "next", "eu-west-1");
    env.accept(&env.fenced(&burned, &next, "192.0.2.2")).await;
    env.expect(&next, "192.0.2.2").await;
}

pub async fn a_silent_network_is_ambiguous_for_writes_and_unreachable_for_reads(env: &Env) {
    let live = env.adopted().await;
    let (proxy, reader, writer) = env.proxied(Duration::from_millis(500)).await;
    proxy.writes(Fault::Silence);
    proxy.reads(Fault::Silence);
    send_ambiguous(env, &*writer, &env.fenced(&live, &fence_value(42, "lost", "eu-west-1"), "192.0.2.2")).await;
    let read = reader.read_record(&env.zone, &env.www(), &env.fence()).await;
    assert_eq!((read.result.unwrap_err().kind, read.calls), (ApiErrorKind::Unreachable, 1));
    assert_eq!(proxy.seen().len(), 2, "{:?}", proxy.seen());
    env.expect(&live, "192.0.2.1").await;
    proxy.reads(Fault::Pass);
    assert!(reader.read_record(&env.zone, &env.www(), &env.fence()).await.result.is_ok());
}
