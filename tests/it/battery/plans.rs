//! Real plans over what a provider lists, for the cases that need more than one set.

use failoverd::domain::{AliasTarget, ClusterName, Content, Epoch, InstanceName, Members, Policy, TargetIdx, UnixMs};
use failoverd::engine::fence::{FenceKind, FenceMode, FenceValue, fence_name};
use failoverd::engine::intent::Kind;
use failoverd::engine::plan::{Ground, Plan};

use super::*;

/// One record that publishes the first or the second content.
pub fn policy(env: &Env, id: &str, record: &str, contents: [Content; 2]) -> Policy {
    let mut policy = crate::building::policy(id, record);
    policy.zone.name = Some(env.zone_name.clone());
    for (target, content) in policy.targets.iter_mut().zip(contents) {
        target.content = content;
    }
    policy
}

pub fn host(text: &str) -> Content {
    Content::Host(name(text))
}

pub fn alias_of(text: &str) -> AliasTarget {
    AliasTarget { name: name(text), zone_id: ZoneId::new("ZELB"), evaluate_target_health: true }
}

pub fn fence_of(env: &Env, policy: &Policy) -> RecordName {
    fence_name(&policy.records[0], &env.zone_name).unwrap()
}

pub async fn read(env: &Env, policy: &Policy) -> RecordRead {
    env.reader.read_record(&env.zone, &policy.records[0], &fence_of(env, policy)).await.result.unwrap()
}

/// The next write of `cluster` over what was read; `attempt` makes it unlike any other.
fn ground(env: &Env, policy: &Policy, read: &RecordRead, kind: Kind, epoch: u64, owner: (&str, &str)) -> Ground {
    let (cluster, attempt) = owner;
    let mode = if kind == Kind::Release { FenceMode::Released } else { FenceMode::Auto };
    let after = FenceValue {
        epoch: Epoch(epoch),
        policy: policy.id.clone(),
        cluster: ClusterName::new(cluster).unwrap(),
        instance: InstanceName::new("use1-a").unwrap(),
        attempt: attempt.into(),
        written: UnixMs::from_secs(1_795_302_245),
        kind: FenceKind::Known(kind),
        moves: 0,
        mode,
        until: UnixMs(0),
        config: policy.config_hash.clone(),
        to: "east".into(),
    };
    let fence = read.fence.first().cloned();
    Ground { fence_name: fence_of(env, policy), fence, standing: read.sets.clone(), after }
}

/// A move of our cluster to the policy's target `to`.
pub fn publish(env: &Env, policy: &Policy, read: &RecordRead, epoch: u64, to: u32) -> Plan {
    publish_all(env, policy, read, Kind::Switch, epoch, &[to])
}

/// A write of our cluster that publishes exactly the targets `to`.
pub fn publish_all(env: &Env, policy: &Policy, read: &RecordRead, kind: Kind, epoch: u64, to: &[u32]) -> Plan {
    let attempt = format!("{}-{kind}-{epoch}", policy.id);
    let ground = ground(env, policy, read, kind, epoch, ("prod", &attempt));
    let members = Members::new(to.iter().copied().map(TargetIdx)).unwrap();
    Plan::publish(kind, policy, members, Epoch(epoch), vec![ground]).unwrap()
}

/// A rewrite of the fence alone, by any cluster.
pub fn fence_only(env: &Env, policy: &Policy, read: &RecordRead, kind: Kind, epoch: u64, cluster: &str) -> Plan {
    let attempt = format!("{cluster}-{kind}-{epoch}");
    let ground = ground(env, policy, read, kind, epoch, (cluster, &attempt));
    Plan::fence_only(kind, policy, Epoch(epoch), vec![ground]).unwrap()
}

/// Several plans as one request: deletes, creates, upserts.
pub fn together(plans: &[&Plan]) -> Vec<Change> {
    let mut all: Vec<Change> = plans.iter().flat_map(|plan| plan.changes()).collect();
    all.sort_by_key(|change| match change.op {
        ChangeOp::Delete => 0,
        ChangeOp::Create => 1,
        ChangeOp::Upsert => 2,
    });
    all
}

/// Sends a batch that must be refused.
pub async fn refused(env: &Env, changes: &[Change]) -> String {
    match env.write(changes).await {
        WriteAnswer::Refused { code: RefusedCode::Precondition, message } => message,
        other => panic!("not refused: {other:?}"),
    }
}
