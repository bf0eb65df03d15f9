//! What holds for the whole fleet of one controller.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{ClusterName, InstanceName, RegionName, WitnessName};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetSettings {
    pub cluster: ClusterName,
    pub instance: InstanceName,
    pub api: ApiBudget,
    pub verify: VerifySettings,
    pub guard: GuardSettings,
    pub witnesses: Vec<Witness>,
    /// When the write path is rehearsed by a fence-only write: a cron expression with seconds, UTC,
    /// already proven to fire; `None`: never.
    pub rehearsal: Option<String>,
}

/// Budget of provider API calls: in any second at most `burst + rate` (invariant I8).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiBudget {
    /// Calls a second, `requests_per_second × share`, > 0.
    pub rate: f64,
    /// Calls at once after a calm time, ≥ 1.
    pub burst: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifySettings {
    pub name_servers: NameServers,
    /// After this a move that is neither proven nor contradicted is unverifiable.
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameServers {
    /// The zone's delegation set, asked of the provider.
    Delegation,
    /// Exactly these; empty means INSYNC alone.
    These(Vec<SocketAddr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardSettings {
    /// Largest part of the policies that may move automatically in `per`, 0 to 1.
    pub max_changed: f64,
    pub per: Duration,
    /// This many may always move.
    pub floor: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    pub name: WitnessName,
    /// Tied to a region: it also must answer for a verdict on that region's targets.
    pub region: Option<RegionName>,
    pub kind: WitnessKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WitnessKind {
    Tcp(SocketAddr),
    Url(String),
}
