//! What people are told, as facts. `notify::render` makes words of a receiver's format from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    ClusterName, Content, Epoch, InstanceName, NotifierName, PolicyId, RecordName, RegionName, TargetName, Ttl, UnixMs,
};

use super::intent::Kind;
use super::journal::IncidentId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Unique; a receiver may use it to drop duplicates.
    pub id: String,
    pub kind: NoticeKind,
    pub severity: Severity,
    pub at: UnixMs,
    pub cluster: ClusterName,
    pub instance: InstanceName,
    /// `None` when it concerns the whole fleet.
    pub policy: Option<PolicyId>,
    pub incident: Option<IncidentId>,
    /// From an `--observe` process: nothing was written, the move "would have" been made.
    pub observe: bool,
    /// One sentence.
    pub title: String,
    /// The evidence, one line each.
    pub why: Vec<String>,
    pub moved: Option<Moved>,
    /// What happened so far, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// What happens next, one line each.
    pub next: Vec<String>,
    /// The command that undoes or answers it.
    pub undo: Option<String>,
    /// Receivers by name; empty means nobody is configured.
    pub to: Vec<NotifierName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The provider accepted the move; the proof is under way.
    Moving,
    /// The move is proven from outside.
    Moved,
    MoveUnverified,
    MoveContradicted,
    /// A wanted move did not happen and a person is needed.
    Refused,
    TargetDown,
    TargetUp,
    Blind,
    Sighted,
    Drift,
    DriftGone,
    Locked,
    Frozen,
    Unfrozen,
    Acked,
    Adopted,
    FenceTrouble,
    FenceFine,
    ApiTrouble,
    ApiFine,
    StoreTrouble,
    StoreFine,
    /// A person began a switchover; its old targets are to be emptied until it is made.
    Draining,
    Drained,
    Undrained,
    /// A person wrote the record without asking its health.
    Forced,
    Released,
    TakenOver,
    /// Every automatic move of the fleet is stopped until a person looks.
    FleetFrozen,
    FleetUnfrozen,
    /// The provider refused the same write twice.
    WriteRefused,
    /// The zone holds something that a move would be refused for, or that a move would miss.
    Obstacle,
    ObstacleGone,
    RehearsalFailed,
    RehearsalFine,
    /// A receiver's secret cannot be read; told to the others.
    NotifierTrouble,
    /// Sent by `notify-test`.
    Test,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    pub kind: Kind,
    pub records: Vec<RecordName>,
    pub from: Option<Place>,
    pub to: Place,
    pub ttl: Ttl,
    pub epoch: Epoch,
    pub clocks: Clocks,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Not empty.
    pub targets: Vec<TargetName>,
    /// One for each target.
    pub regions: Vec<RegionName>,
    pub content: Content,
}

/// Measured durations of one move; `None` while not reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// First counted failure to decision.
    pub confirmed: Option<Duration>,
    /// Decision to the provider's "accepted".
    pub accepted: Option<Duration>,
    /// Accepted to the last authoritative server's new answer, as seen from here.
    pub every_server: Option<Duration>,
    /// Accepted to INSYNC.
    pub insync: Option<Duration>,
    /// Accepted to the verdict.
    pub verdict: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    pub at: UnixMs,
    pub text: String,
}
