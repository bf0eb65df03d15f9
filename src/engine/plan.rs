//! A decision as data. A `Plan` cannot express an empty answer, nor a value that no configured
//! target of its policy has (invariant I2): addresses come in only by target number.

use crate::domain::{AddressSet, Epoch, Policy, RecordName, TargetIdx, Ttl, WriteMode};

use super::fence::{FENCE_TTL, FenceValue, quote};
use super::intent::Kind;
use super::zone::{Change, ChangeOp, LiveSet};

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    kind: Kind,
    to: Option<TargetIdx>,
    epoch: Epoch,
    ttl: Ttl,
    write: WriteMode,
    records: Vec<RecordPlan>,
}

#[derive(Clone, Debug, PartialEq)]
struct RecordPlan {
    name: RecordName,
    fence: RecordName,
    before: Option<LiveSet>,
    after: FenceValue,
    /// Sets of the managed types as read, for `write = "swap"`.
    standing: Vec<LiveSet>,
    addresses: Option<AddressSet>,
}

/// What is known of one record when a plan is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Ground {
    pub fence_name: RecordName,
    /// The fence as listed; `None` only for adoption.
    pub fence: Option<LiveSet>,
    pub standing: Vec<LiveSet>,
    pub after: FenceValue,
}

impl Plan {
    /// A plan that publishes target `to` on every record. `None` when the policy has no such
    /// target or the grounds are not one for each record.
    pub fn publish(kind: Kind, policy: &Policy, to: TargetIdx, epoch: Epoch, grounds: Vec<Ground>) -> Option<Plan> {
        let addresses = policy.target(to)?.addresses.clone();
        Plan::build(kind, policy, Some((to, addresses)), epoch, grounds)
    }

    /// A plan that rewrites only the fences.
    pub fn fence_only(kind: Kind, policy: &Policy, epoch: Epoch, grounds: Vec<Ground>) -> Option<Plan> {
        Plan::build(kind, policy, None, epoch, grounds)
    }

    fn build(
        kind: Kind,
        policy: &Policy,
        to: Option<(TargetIdx, AddressSet)>,
        epoch: Epoch,
        grounds: Vec<Ground>,
    ) -> Option<Plan> {
        if grounds.len() != policy.records.len() {
            return None;
        }
        let addresses = to.as_ref().map(|(_, set)| set.clone());
        let record = |(name, ground): (&RecordName, Ground)| RecordPlan {
            name: name.clone(),
            fence: ground.fence_name,
            before: ground.fence,
            after: ground.after,
            standing: ground.standing,
            addresses: addresses.clone(),
        };
        let records = policy.records.iter().zip(grounds).map(record).collect();
        Some(Plan { kind, to: to.map(|(idx, _)| idx), epoch, ttl: policy.ttl, write: policy.failover.write, records })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }
    pub fn to(&self) -> Option<TargetIdx> {
        self.to
    }
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// Each record's fence before and the value after.
    pub fn fences(&self) -> impl Iterator<Item = (Option<&LiveSet>, &FenceValue)> {
        self.records.iter().map(|r| (r.before.as_ref(), &r.after))
    }

    /// The batch: every DELETE first, then CREATEs, then UPSERTs. The fence's DELETE is exact, so
    /// the whole batch is refused when anybody wrote since (invariant I1).
    pub fn changes(&self) -> Vec<Change> {
        let (mut deletes, mut creates, mut upserts) = (Vec::new(), Vec::new(), Vec::new());
        for record in &self.records {
            if let Some(before) = &record.before {
                deletes.push(exact_delete(&record.fence, before));
            }
            creates.push(Change {
                op: ChangeOp::Create,
                name: record.fence.clone(),
                rtype: "TXT".into(),
                ttl: FENCE_TTL,
                values: vec![quote(&record.after.encode())],
            });
            for family in record.addresses.iter().flat_map(AddressSet::families) {
                let Some(set) = record.addresses.as_ref().and_then(|a| a.of(family)) else { continue };
                let change = |op| Change {
                    op,
                    name: record.name.clone(),
                    rtype: family.to_string(),
                    ttl: self.ttl.secs(),
                    values: set.iter().map(|a| a.to_string()).collect(),
                };
                let standing = record.standing.iter().find(|s| s.rtype == family.to_string() && s.is_simple());
                match (self.write, standing) {
                    (WriteMode::Upsert, _) => upserts.push(change(ChangeOp::Upsert)),
                    (WriteMode::Swap, None) => creates.push(change(ChangeOp::Create)),
                    // Replacing a set by itself has no confirmed meaning in Route 53.
                    (WriteMode::Swap, Some(old)) if same_set(old, &change(ChangeOp::Create)) => {}
                    (WriteMode::Swap, Some(old)) => {
                        deletes.push(exact_delete(&record.name, old));
                        creates.push(change(ChangeOp::Create));
                    }
                }
            }
        }
        deletes.into_iter().chain(creates).chain(upserts).collect()
    }
}

/// Deletes exactly what was listed, TTL and bytes.
fn exact_delete(name: &RecordName, set: &LiveSet) -> Change {
    Change {
        op: ChangeOp::Delete,
        name: name.clone(),
        rtype: set.rtype.clone(),
        ttl: set.ttl.unwrap_or(FENCE_TTL),
        values: set.values.clone(),
    }
}

fn same_set(old: &LiveSet, new: &Change) -> bool {
    let sorted = |values: &[String]| {
        let mut values = values.to_vec();
        values.sort();
        values
    };
    old.ttl == Some(new.ttl) && sorted(&old.values) == sorted(&new.values)
}
