//! A decision as data. A `Plan` cannot express an empty answer, nor a value that no configured
//! target of its policy has (invariant I2): content comes in only by target number.

use crate::domain::{Content, Epoch, Family, Members, Policy, RecordName, RecordType, Ttl, WriteMode};
use crate::seeded::{Bug, seeded};

use super::fence::{FENCE_TTL, FenceValue, quote};
use super::intent::Kind;
use super::zone::{Change, ChangeOp, Data, LiveSet};

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    kind: Kind,
    to: Option<Members>,
    /// What every record shall hold; `None` for a fence-only plan.
    content: Option<Content>,
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
    /// Sets at the name as read.
    standing: Vec<LiveSet>,
}

/// What is known of one record when a plan is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Ground {
    pub fence_name: RecordName,
    /// The fence as listed; `None` when there is none.
    pub fence: Option<LiveSet>,
    pub standing: Vec<LiveSet>,
    pub after: FenceValue,
}

impl Plan {
    /// A plan that publishes `to` on every record. `None` when the policy has no such targets, may
    /// not publish so many at once, or the grounds are not one for each record.
    pub fn publish(kind: Kind, policy: &Policy, to: Members, epoch: Epoch, grounds: Vec<Ground>) -> Option<Plan> {
        if to.count() > usize::try_from(policy.answers).unwrap_or(usize::MAX) {
            return None;
        }
        let content = policy.content(&to)?;
        Plan::build(kind, policy, Some((to, content)), epoch, grounds)
    }

    /// A plan that rewrites only the fences.
    pub fn fence_only(kind: Kind, policy: &Policy, epoch: Epoch, grounds: Vec<Ground>) -> Option<Plan> {
        Plan::build(kind, policy, None, epoch, grounds)
    }

    fn build(
        kind: Kind,
        policy: &Policy,
        to: Option<(Members, Content)>,
        epoch: Epoch,
        grounds: Vec<Ground>,
    ) -> Option<Plan> {
        if grounds.len() != policy.records.len() {
            return None;
        }
        let record = |(name, ground): (&RecordName, Ground)| RecordPlan {
            name: name.clone(),
            fence: ground.fence_name,
            before: ground.fence,
            after: ground.after,
            standing: ground.standing,
        };
        let records = policy.records.iter().zip(grounds).map(record).collect();
        let (to, content) = to.unzip();
        Some(Plan { kind, to, content, epoch, ttl: policy.ttl, write: policy.failover.write, records })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }
    pub fn to(&self) -> Option<&Members> {
        self.to.as_ref()
    }
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// Each record's fence before and the value after.
    pub fn fences(&self) -> impl Iterator<Item = (Option<&LiveSet>, &FenceValue)> {
        self.records.iter().map(|r| (r.before.as_ref(), &r.after))
    }

    /// The records with the names of their fences.
    pub fn names(&self) -> impl Iterator<Item = (&RecordName, &RecordName)> {
        self.records.iter().map(|r| (&r.name, &r.fence))
    }

    /// The sets each record shall hold, in the policy's order; empty for a fence-only plan.
    pub fn sets(&self) -> impl Iterator<Item = Vec<LiveSet>> {
        self.records.iter().map(|r| self.content.as_ref().map(|c| sets(c, self.ttl, &r.standing)).unwrap_or_default())
    }

    /// The batch: every DELETE first, then CREATEs, then UPSERTs. The fence's DELETE is exact, so
    /// the whole batch is refused when anybody wrote since (invariant I1).
    pub fn changes(&self) -> Vec<Change> {
        let (mut deletes, mut creates, mut upserts) = (Vec::new(), Vec::new(), Vec::new());
        for (record, wanted) in self.records.iter().zip(self.sets()) {
            let value = LiveSet::values("TXT", FENCE_TTL, vec![quote(&record.after.encode())]);
            if seeded(Bug::NoFence) {
                upserts.push(edit(ChangeOp::Upsert, &record.fence, &value));
            } else {
                deletes.extend(record.before.iter().map(|before| edit(ChangeOp::Delete, &record.fence, before)));
                creates.push(edit(ChangeOp::Create, &record.fence, &value));
            }
            for set in wanted {
                let standing = record.standing.iter().find(|s| s.rtype == set.rtype && s.is_simple());
                match (self.write, standing) {
                    (WriteMode::Upsert, _) => upserts.push(edit(ChangeOp::Upsert, &record.name, &set)),
                    (WriteMode::Swap, None) => creates.push(edit(ChangeOp::Create, &record.name, &set)),
                    // Replacing a set by itself has no confirmed meaning in Route 53.
                    (WriteMode::Swap, Some(old)) if same_set(old, &set) => {}
                    (WriteMode::Swap, Some(old)) => {
                        deletes.push(edit(ChangeOp::Delete, &record.name, old));
                        if !seeded(Bug::EmptyAnswer) {
                            creates.push(edit(ChangeOp::Create, &record.name, &set));
                        }
                    }
                }
            }
        }
        deletes.into_iter().chain(creates).chain(upserts).collect()
    }
}

/// The sets a record holds when it publishes `content`. An alias is published for the families
/// that stand as aliases already, so that adopting a record never opens IPv6 by itself; where none
/// stands, for both.
pub fn sets(content: &Content, ttl: Ttl, standing: &[LiveSet]) -> Vec<LiveSet> {
    match content {
        Content::Addresses(set) => {
            let of = |family: Family| {
                let values = set.of(family)?.iter().map(|a| a.to_string()).collect();
                Some(LiveSet::values(RecordType::from(family).as_str(), ttl.secs(), values))
            };
            set.families().into_iter().filter_map(of).collect()
        }
        Content::Host(name) => vec![LiveSet::values(RecordType::Cname.as_str(), ttl.secs(), vec![format!("{name}.")])],
        Content::Alias(alias) => {
            let types = [RecordType::A, RecordType::Aaaa].map(RecordType::as_str);
            let stands = |rtype: &str| standing.iter().any(|s| s.rtype == rtype && s.alias.is_some());
            let none = !types.iter().any(|t| stands(t));
            types.into_iter().filter(|t| none || stands(t)).map(|t| LiveSet::alias(t, alias.clone())).collect()
        }
    }
}

/// One edit; for a DELETE exactly what was listed, TTL and bytes.
fn edit(op: ChangeOp, name: &RecordName, set: &LiveSet) -> Change {
    let data = match &set.alias {
        Some(alias) => Data::Alias(alias.clone()),
        None => Data::Values { ttl: set.ttl.unwrap_or(FENCE_TTL), values: set.values.clone() },
    };
    Change { op, name: name.clone(), rtype: set.rtype.clone(), data }
}

/// The same content, however it is spelt and ordered.
pub fn same_set(one: &LiveSet, other: &LiveSet) -> bool {
    let normal = |set: &LiveSet| {
        let spelt = |v: &String| match set.rtype.as_str() {
            "CNAME" => RecordName::new(v).map_or(v.clone(), String::from),
            _ => v.parse::<std::net::IpAddr>().map_or(v.clone(), |a| a.to_string()),
        };
        let mut values: Vec<String> = set.values.iter().map(spelt).collect();
        values.sort();
        values
    };
    one.rtype == other.rtype && one.alias == other.alias && one.ttl == other.ttl && normal(one) == normal(other)
}
