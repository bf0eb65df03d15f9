//! What must survive the process: rows the store keeps, as plain data.
//!
//! One `JournalEntry` is one transaction: a transition, the intents it opens or closes, the
//! snapshots it changes and the notices it sends stand or fall together.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{Epoch, Health, PolicyId, RecordName, RegionName, TargetName, UnixMs, ZoneId};

use super::fence::FenceMode;
use super::intent::Intent;
use super::notice::Notice;
use super::report::Obstacle;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    pub transitions: Vec<Transition>,
    /// Inserted or replaced by id.
    pub intents: Vec<Intent>,
    /// Inserted or replaced by policy.
    pub snapshots: Vec<PolicySnapshot>,
    /// Into the outbox, one row for each notifier the notice is for.
    pub notices: Vec<Notice>,
}

/// One change of state, as history and log show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    pub at: UnixMs,
    /// `None` when it concerns the whole fleet.
    pub policy: Option<PolicyId>,
    pub incident: Option<IncidentId>,
    pub kind: TransitionKind,
    /// A sentence for people.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionKind {
    /// First doubt about a target.
    Doubt,
    /// The doubt went away without a move.
    Calm,
    TargetUp,
    TargetDown,
    /// A move was decided.
    Decided,
    /// A wanted move was refused, and the reason is a new one.
    Refused,
    /// A decided move died before it was sent.
    Dropped,
    /// A write was accepted by the provider.
    Applied,
    /// A write was not applied; another one won or a rule refused it.
    NotApplied,
    /// Another instance of our cluster moved the record.
    PeerMoved,
    Insync,
    Proven,
    Contradicted,
    Unverified,
    Blind,
    Sighted,
    Drift,
    DriftGone,
    Locked,
    Frozen,
    Unfrozen,
    Acked,
    Adopted,
    /// The fence cannot be used: foreign, unreadable or gone.
    FenceTrouble,
    FenceFine,
    ApiTrouble,
    ApiFine,
    StoreTrouble,
    StoreFine,
    /// A switchover waits for its old targets to empty.
    Draining,
    Drained,
    Undrained,
    Forced,
    Released,
    TakenOver,
    FleetFrozen,
    FleetUnfrozen,
    WriteRefused,
    Obstacle,
    ObstacleGone,
    Rehearsed,
    RehearsalFailed,
    Started,
    Reloaded,
}

/// Names an incident alike on every instance: hash of cluster, policy and epoch at first doubt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub String);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a restart must not forget about a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicySnapshot {
    pub policy: PolicyId,
    pub at: UnixMs,
    /// Highest epoch ever known for each record, in the policy's order of records.
    pub epoch: Epoch,
    pub targets: Vec<TargetSnapshot>,
    /// Ends of automatic moves within the last hour.
    pub moves: Vec<UnixMs>,
    pub hold_down_until: Option<UnixMs>,
    pub locked: Option<LockSnapshot>,
    pub frozen: Option<FreezeSnapshot>,
    /// Automatic failback stays off until `ack` (after a rollback).
    pub failback_blocked: bool,
    /// The last move ended unverified.
    pub unverified: bool,
    /// When a person was last called for one of these two.
    #[serde(default)]
    pub called: Option<UnixMs>,
    /// A person forced the record.
    #[serde(default)]
    pub forced: bool,
    #[serde(default)]
    pub seen: Option<SeenFence>,
    #[serde(default)]
    pub drained: Vec<DrainSnapshot>,
    /// Ends of trims and of fills within the last hour.
    #[serde(default)]
    pub trims: Vec<UnixMs>,
    #[serde(default)]
    pub fills: Vec<UnixMs>,
    /// Ends of repairs within the last hour.
    #[serde(default)]
    pub repairs: Vec<UnixMs>,
    /// A peer's move is not reversed before this.
    #[serde(default)]
    pub peer_until: Option<UnixMs>,
    #[serde(default)]
    pub rehearsal: Option<RehearsalSnapshot>,
    #[serde(default)]
    pub left: Option<LeftSnapshot>,
    #[serde(default)]
    pub hands: Vec<HandSnapshot>,
    #[serde(default)]
    pub zone: ZoneSnapshot,
}

/// What was found and told about the zone, so that a next process tells only what is new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSnapshot {
    /// The zone that was read; another one of its name was made anew.
    #[serde(default)]
    pub id: Option<ZoneId>,
    #[serde(default)]
    pub obstacles: Vec<Obstacle>,
    /// What is wrong with its delegation.
    #[serde(default)]
    pub delegation: Option<Obstacle>,
    /// Records whose fence was ours at some time: it may not be gone.
    #[serde(default)]
    pub fenced: Vec<RecordName>,
}

/// The fence of our cluster that was read or written here last. Outlives the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFence {
    pub attempt: String,
    pub epoch: Epoch,
    pub mode: FenceMode,
    /// Which targets it names.
    #[serde(default)]
    pub to: String,
    /// How many automatic moves it counts.
    #[serde(default)]
    pub moves: u32,
    /// A reading since showed no fence of our cluster that can be used.
    #[serde(default)]
    pub broken: bool,
}

/// From where the last automatic move led away; the fleet's brakes count it over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftSnapshot {
    pub at: UnixMs,
    pub region: Option<RegionName>,
    /// The region was dead at the time.
    pub dead: bool,
}

/// What a person asked for and no fence says yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandSnapshot {
    pub what: HandKind,
    /// By whom and why.
    pub said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandKind {
    Unfreeze,
    Ack,
}

/// A target a person keeps empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainSnapshot {
    pub target: TargetName,
    /// Never a destination, not even the last one.
    pub hard: bool,
    pub since: UnixMs,
    pub by: String,
    pub reason: String,
}

/// The last rehearsal of the write path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsalSnapshot {
    /// When it ended.
    pub at: UnixMs,
    pub ok: bool,
    /// What was walked and how long it took, or what failed.
    pub detail: String,
    /// Decision to the provider's "accepted".
    pub accepted: Option<Duration>,
    /// Accepted to INSYNC.
    pub insync: Option<Duration>,
    /// Accepted to the last server's usable answer.
    pub every_server: Option<Duration>,
}

impl RehearsalSnapshot {
    /// A write went the whole way; one who only observes reads and asks, and is fine without.
    pub fn walked(&self) -> bool {
        self.ok && self.accepted.is_some()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetSnapshot {
    pub name: TargetName,
    pub health: Health,
    /// Since when.
    pub since: UnixMs,
    /// Since when its probes bring no success.
    #[serde(default)]
    pub failing: Option<UnixMs>,
    /// What was probed, and how: another machine of this name has to prove itself anew. Empty: not known.
    #[serde(default)]
    pub of: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockSnapshot {
    pub since: UnixMs,
    /// Present hold-down, doubling from 5 to 60 minutes.
    pub hold_down: Duration,
    /// A fence has said so: where one says otherwise now, a person acknowledged it.
    #[serde(default)]
    pub carried: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeSnapshot {
    pub since: UnixMs,
    pub by: String,
    pub reason: String,
    /// A fence has said so: a peer's unfreeze since then is about this freeze.
    #[serde(default)]
    pub carried: bool,
}

/// What the store had at start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    pub snapshots: Vec<PolicySnapshot>,
    /// Intents without an outcome.
    pub open_intents: Vec<Intent>,
}
