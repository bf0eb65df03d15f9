//! One policy: records, targets, check, thresholds, failback and who is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::id::{NotifierName, PolicyId, RegionName, TargetIdx, TargetName, ZoneId};
use super::record::{AddressSet, Family, RecordName, Ttl};

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
    /// Not empty; all of the same address families.
    pub targets: Vec<Target>,
    pub failover: Failover,
    pub failback: Failback,
    /// Period of the question to one authoritative server.
    pub observe: Duration,
    /// Period of the reading through the API.
    pub reconcile: Duration,
    pub notify: Vec<NotifierName>,
    /// Short hash of everything above, the fence's `c=`.
    pub config_hash: String,
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

    /// Families every target has; decides which record types are managed.
    pub fn families(&self) -> Vec<Family> {
        self.targets.first().map(|t| t.addresses.families()).unwrap_or_default()
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
    pub addresses: AddressSet,
    pub check: Check,
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
