//! One policy: records, targets, check, thresholds, failback and who is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::id::{NotifierName, PolicyId, RegionName, TargetIdx, TargetName, ZoneId};
use super::record::{AddressSet, Content, Family, RecordName, RecordType, Ttl};

/// A validated policy. Field defaults are those of the configuration reader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub id: PolicyId,
    pub zone: ZoneRef,
    /// One unit, moved in one batch; not empty, sorted as configured, no duplicates.
    pub records: Vec<RecordName>,
    pub ttl: Ttl,
    /// Higher goes first when many policies want to write.
    pub importance: i32,
    pub adopt: Adopt,
    /// Not empty; all of one kind of content and, for addresses, of the same families.
    pub targets: Vec<Target>,
    /// How many targets are published at once, ≥ 1; more than one only for addresses.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub answers: u32,
    /// With fewer healthy members a several-answer set leaves its tier; 1..=answers.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub min_active: u32,
    pub failover: Failover,
    pub failback: Failback,
    /// Period of the question to one authoritative server.
    pub observe: Duration,
    /// Period of the reading through the API.
    pub reconcile: Duration,
    pub notify: Vec<NotifierName>,
    /// Short hash of everything above as it is serialized, the fence's `c=`. What a policy does not
    /// use is left out there, so that a newer program's hash of an older file is the older one's.
    pub config_hash: String,
}

fn one() -> u32 {
    1
}

fn is_one(n: &u32) -> bool {
    *n == 1
}

impl Policy {
    pub fn target(&self, idx: TargetIdx) -> Option<&Target> {
        self.targets.get(idx.index())
    }

    pub fn target_named(&self, name: &str) -> Option<TargetIdx> {
        self.indices().find(|i| self.target(*i).is_some_and(|t| t.name.as_str() == name))
    }

    pub fn indices(&self) -> impl Iterator<Item = TargetIdx> + use<> {
        (0..u32::try_from(self.targets.len()).unwrap_or(0)).map(TargetIdx)
    }

    /// Address families every target has; both for aliases, none for host names.
    pub fn families(&self) -> Vec<Family> {
        match self.targets.first().map(|t| &t.content) {
            Some(Content::Addresses(set)) => set.families(),
            Some(Content::Alias(_)) => vec![Family::A, Family::Aaaa],
            Some(Content::Host(_)) | None => Vec::new(),
        }
    }

    /// Types of the sets the policy manages.
    pub fn record_types(&self) -> Vec<RecordType> {
        match self.targets.first().map(|t| &t.content) {
            Some(Content::Host(_)) => vec![RecordType::Cname],
            _ => self.families().into_iter().map(RecordType::from).collect(),
        }
    }

    /// What the records hold when they publish `members`; `None` for an unknown target.
    pub fn content(&self, members: &Members) -> Option<Content> {
        let mut all: Option<Content> = None;
        for idx in members.iter() {
            let one = &self.target(idx)?.content;
            all = Some(match (all, one) {
                (Some(Content::Addresses(sum)), Content::Addresses(set)) => Content::Addresses(sum.union(set)),
                (None, one) => one.clone(),
                (Some(_), _) => return None,
            });
        }
        all
    }

    /// Names of `members`, in the policy's order.
    pub fn names(&self, members: &Members) -> Vec<TargetName> {
        members.iter().filter_map(|idx| self.target(idx)).map(|t| t.name.clone()).collect()
    }
}

/// How a policy names its zone: by name, by id, or both (then they must match).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ZoneRef {
    pub name: Option<RecordName>,
    pub id: Option<ZoneId>,
}

impl std::fmt::Display for ZoneRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.name, &self.id) {
            (Some(name), _) => name.fmt(f),
            (None, Some(id)) => id.fmt(f),
            (None, None) => f.write_str("no zone"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    pub name: TargetName,
    pub region: RegionName,
    /// Lower is better.
    pub priority: i32,
    #[serde(flatten)]
    pub content: Content,
    pub check: Check,
}

impl Target {
    /// A target published by its addresses.
    pub fn addresses(&self) -> Option<&AddressSet> {
        self.content.addresses()
    }
}

/// One or more targets of a policy, by number, sorted, without doubles: what is or shall be
/// published at once (invariant I2: never none).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Members(Vec<TargetIdx>);

impl Members {
    /// `None` when there is no target in it.
    pub fn new(targets: impl IntoIterator<Item = TargetIdx>) -> Option<Members> {
        let set: std::collections::BTreeSet<TargetIdx> = targets.into_iter().collect();
        (!set.is_empty()).then(|| Members(set.into_iter().collect()))
    }

    pub fn one(target: TargetIdx) -> Members {
        Members(vec![target])
    }

    pub fn iter(&self) -> impl Iterator<Item = TargetIdx> + '_ {
        self.0.iter().copied()
    }

    pub fn contains(&self, target: TargetIdx) -> bool {
        self.0.binary_search(&target).is_ok()
    }

    /// How many, ≥ 1.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failover {
    /// Least time from the end of one automatic move to the next.
    pub hold_down: Duration,
    /// Most automatic moves an hour, at least 2 (a move and its undo).
    pub flap_budget: u32,
    pub write: WriteMode,
    pub drift: Drift,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failback {
    pub mode: FailbackMode,
    pub soak: Duration,
    pub window: Option<Window>,
}

/// When optional moves may happen: from each firing of `cron`, for `duration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// With seconds; already proven to fire.
    pub cron: String,
    pub duration: Duration,
    /// IANA name, already proven to exist.
    pub timezone: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adopt {
    Auto,
    Manual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    Upsert,
    /// DELETE exact + CREATE instead of UPSERT.
    Swap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    Alert,
    Repair,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailbackMode {
    Auto,
    Manual,
    Never,
}
