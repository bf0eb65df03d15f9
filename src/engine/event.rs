//! What the world tells the engine, one value at a time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    ClusterName, Members, Outcome, PolicyIdx, RecordType, TargetIdx, Tick, UnixMs, WitnessIdx, ZoneIdx,
};

use super::action::BatchId;
use super::intent::{IntentId, Kind};
use super::zone::{ApiError, ChangeStatus, DnsAnswer, RecordRead, WriteAnswer, ZoneInfo};

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// All probes that ended within one grid tick, in any order.
    Outcomes(Vec<Probed>),
    Witnessed(Vec<Witnessed>),
    ZoneResolved {
        zone: ZoneIdx,
        result: Result<ZoneInfo, ApiError>,
    },
    /// Answer to `ApiCall::ReadRecord`.
    Read {
        policy: PolicyIdx,
        /// Index into the policy's `records`.
        record: u32,
        result: Result<RecordRead, ApiError>,
        /// HTTP requests it took; what exceeds two is charged afterwards.
        calls: u32,
    },
    /// The journal entry `seq` is on disk.
    Persisted {
        seq: u64,
    },
    /// The journal entry `seq` could not be written.
    StoreFailed {
        seq: u64,
        error: String,
    },
    /// Answer to `ApiCall::Write`.
    Answered {
        batch: BatchId,
        answer: WriteAnswer,
    },
    /// Answer to `ApiCall::GetChange`.
    Synced {
        intent: IntentId,
        result: Result<ChangeStatus, ApiError>,
    },
    /// Answer to `Action::AskOne`: one server, every record and family.
    Observed {
        policy: PolicyIdx,
        answers: Vec<ServerAnswer>,
    },
    /// Answer to `Action::AskAll`: every server, every record and family.
    Answers {
        policy: PolicyIdx,
        /// When the questions were sent.
        asked: Tick,
        answers: Vec<ServerAnswer>,
    },
    /// Answer to `Action::ProbeByName`.
    ByName {
        policy: PolicyIdx,
        address: Option<IpAddr>,
        probe: Probed,
    },
    /// Answer to `Action::LookUpDelegation`: host names the world finds, `None` when it cannot be told.
    Delegated {
        zone: ZoneIdx,
        servers: Option<Vec<String>>,
    },
    /// The schedule of `[rehearsal]` fired at `since`: whose write path was not walked since is due.
    RehearsalDue {
        since: UnixMs,
    },
    /// The failback window of a policy opened or closed.
    Window {
        policy: PolicyIdx,
        open: bool,
    },
    Command {
        id: u64,
        command: Command,
    },
    /// Nothing but time passed; sent when `next_deadline` is reached.
    Wake,
    /// The process is told to end: what a person planned and is not a write yet will not be made.
    Stopping,
}

/// One finished probe of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    pub policy: PolicyIdx,
    pub target: TargetIdx,
    pub started: Tick,
    pub ended: Tick,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witnessed {
    pub witness: WitnessIdx,
    pub started: Tick,
    pub answered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAnswer {
    pub server: SocketAddr,
    /// Index into the policy's `records`.
    pub record: u32,
    pub rtype: RecordType,
    pub answer: DnsAnswer,
}

/// A person's hand. `by` and `reason` are audited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub kind: CommandKind,
    /// `None` means every policy.
    pub policy: Option<PolicyIdx>,
    pub by: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandKind {
    Freeze,
    /// Also ends `forced` and, for every policy at once, the freeze of the fleet.
    Unfreeze,
    /// Clears lock-out and the stop of automatic failback after a rollback.
    Ack,
    /// Makes the fence and brings TTL and value in line with `to`.
    Adopt {
        to: Members,
        /// Replaces a fence that is gone, unreadable or doubled, at an epoch above all known.
        repair: bool,
    },
    /// Check, drain, fenced write, proof, commit or rollback.
    Switch {
        to: Members,
        /// From the check to the write.
        drain: Duration,
    },
    /// A switchover to the best healthy target, whatever soak, window and mode say.
    Failback,
    /// Keeps a target empty; moves away from it when it is published.
    Drain {
        target: TargetIdx,
        hard: bool,
    },
    Undrain {
        target: TargetIdx,
    },
    /// Gives the record up: the fence says `released`.
    Release,
    /// Takes the record of cluster `from`.
    Takeover {
        from: ClusterName,
    },
    /// Break-glass: writes whatever the health says; never empty, never foreign.
    Force {
        to: Members,
    },
    /// Carries a saved plan out, if the zone has not moved since.
    Apply(Box<SavedPlan>),
}

/// A plan as `plan --out` saved it, its hash and age already checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    pub kind: Kind,
    pub to: Members,
    /// The zone the plan was made on, in the order of the policy's records.
    pub zone: Vec<RecordRead>,
    /// Configuration hash of the policy.
    pub config: String,
}

/// Answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandReply {
    /// Done or under way; the text says which.
    Accepted(String),
    /// A rule forbids it; the text names the rule and the next command to type.
    Refused(String),
}
