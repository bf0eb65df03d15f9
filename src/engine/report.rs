//! Why, and why not: the one value that status, explain, plan, notices and logs render.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    Content, Epoch, FailbackMode, Health, Outcome, PolicyId, RecordName, RegionName, TargetName, Ttl, UnixMs,
};

use super::intent::Kind;
use super::journal::{IncidentId, RehearsalSnapshot};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct Report {
    pub policy: PolicyId,
    /// Hash of its configuration; empty from an older daemon.
    #[serde(default)]
    pub config: String,
    pub at: UnixMs,
    pub zone: String,
    pub records: Vec<RecordName>,
    pub ttl: Ttl,
    /// One word for the state of the policy as a whole.
    pub state: PolicyState,
    /// What the live record publishes.
    pub live: LiveState,
    pub targets: Vec<TargetReport>,
    pub incident: Option<IncidentId>,
    /// Doubt or confirmed failure of the active target: since when.
    pub doubt_since: Option<UnixMs>,
    /// What would be done now were nothing in the way; `None`: nothing is wanted.
    pub wanted: Option<Wanted>,
    /// Everything in the way of `wanted`, first the one that decides. Empty: nothing is.
    pub refusals: Vec<Refusal>,
    pub brakes: BrakesReport,
    pub fence: Option<FenceReport>,
    /// The move in flight.
    pub moving: Option<MoveReport>,
    pub failback: FailbackMode,
    /// The last finished move of this process, newest information first.
    pub last_move: Option<MoveReport>,
    /// What stands in the zone that a move would be refused for, or would miss.
    pub obstacles: Vec<Obstacle>,
    /// The last rehearsal of the write path; `None`: never, as far as is known.
    pub rehearsal: Option<RehearsalSnapshot>,
    /// What differs from what the fence says we published.
    #[serde(default)]
    pub drift: Option<String>,
    /// The fence of each record, in the order of `records`; empty before the first reading.
    #[serde(default)]
    pub fences: Vec<RecordFence>,
    /// Only when it was asked for.
    #[serde(default)]
    pub tonight: Option<Tonight>,
    /// What a person asked for here and the fences do not say yet.
    #[serde(default)]
    pub unwritten: Vec<Unwritten>,
    /// What the provider said last instead of an answer, or to the last write.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// A person's word that only this controller knows, and why no fence carries it yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwritten {
    /// The command: `freeze`, `unfreeze`, …
    pub what: String,
    pub why: NotYet,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotYet {
    /// The zone or the record could not be read.
    Unread,
    /// A fence is missing or is not ours to write.
    NotOurs,
    /// The provider refuses the write.
    Refused,
    /// Our own store takes no entry, so nothing is sent.
    Unstored,
    /// The write is about to be made, on its way, or its reply was lost.
    Underway,
}

/// Where the failover would go if everything published died now, and what would refuse it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tonight {
    /// Empty when no target can be named.
    pub to: Vec<TargetName>,
    /// Empty: it would be sent.
    pub refusals: Vec<Refusal>,
}

impl Tonight {
    /// Nothing known is in the way.
    pub fn is_sent(&self) -> bool {
        self.refusals.is_empty() && !self.to.is_empty()
    }
}

/// What stands at one record's fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFence {
    pub record: RecordName,
    pub standing: Standing,
    /// What it says, when it can be read.
    pub value: Option<FenceReport>,
    /// The policy it was written for.
    pub policy: Option<PolicyId>,
    /// Another instance of our cluster wrote it with another configuration of the policy, whose hash this is.
    pub config: Option<String>,
    /// What it says against a failover, and what would change that.
    pub refusal: Option<Refusal>,
}

/// How a fence stands to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Ours,
    /// There is none, and none was ever written as far as is known.
    None,
    /// There is none although one was written.
    Gone,
    Foreign,
    /// Given up by our cluster.
    Released,
    /// Given up by another cluster: nobody's.
    Offered,
    Spoiled,
    /// More than one value.
    Doubled,
    Newer,
    /// One of its values is another cluster's.
    Shared,
    /// Not one simple set.
    Steered,
}

/// The whole fleet in a few numbers, cheap at any size: what a heartbeat carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pulse {
    pub policies: usize,
    /// With a write decided, in flight or being proven.
    pub moving: usize,
    /// With automatic moves stopped by a person: `freeze` or `force`.
    pub frozen: usize,
    /// This controller cannot see enough of the network to judge.
    pub blind: bool,
    /// What must outlive this process can be written.
    pub store_ok: bool,
}

/// Something in the zone that is known on a calm day to be in a move's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    pub record: RecordName,
    /// A move to these would be refused; empty: none would, but it would miss something.
    pub blocks: Vec<TargetName>,
    /// What stands there and why it is in the way.
    pub text: String,
    /// What to do about it.
    pub next: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyState {
    /// The live record has not been read or its target not been judged yet.
    Starting,
    /// The active target is up and is the preferred one.
    Steady,
    /// The active target is up, a better one exists, or a member of the set is missing.
    Displaced,
    /// A target is in doubt, nothing is confirmed.
    Doubt,
    /// The active target is down and nothing can be done; see the refusals.
    Stuck,
    Moving,
    /// The provider refuses our writes; tried again every few minutes.
    WriteRefused,
    /// The live record is not ours to judge: foreign, absent, split or unreadable.
    Detached,
    Blind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LiveState {
    NotRead,
    Targets {
        names: Vec<TargetName>,
    },
    /// Records or families of one policy publish different targets, or more than `answers` allows.
    Split {
        detail: String,
    },
    /// Values that no configured target has, or a kind of set that is not ours to manage.
    Foreign {
        detail: String,
    },
    Absent,
    Unreadable {
        detail: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    pub name: TargetName,
    pub region: RegionName,
    pub priority: i32,
    pub content: Content,
    pub active: bool,
    /// By whom and why it is kept empty.
    pub drained: Option<String>,
    pub health: Health,
    pub since: UnixMs,
    pub last: Option<Outcome>,
    /// Age of the last outcome.
    pub age: Option<Duration>,
    /// Remembered failures, of `fall`.
    pub failures: u32,
    pub fall: u32,
    /// Straight successes, of `rise`.
    pub successes: u32,
    pub rise: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub kind: Kind,
    /// Empty when no target can be named.
    pub to: Vec<TargetName>,
    pub why: Vec<String>,
}

/// One reason why a wanted move is not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub rule: Rule,
    /// What holds now, with numbers.
    pub text: String,
    /// What would change the answer: a time to wait or the command to type.
    pub change: String,
}

/// Every rule that can refuse. The order is that of the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    ZoneUnresolved,
    LiveUnknown,
    LiveForeign,
    LiveAbsent,
    LiveSplit,
    /// A person or another tool changed the record; optional moves wait.
    Drift,
    NotJudged,
    NotAdopted,
    FenceForeign,
    FenceUnusable,
    IntentOpen,
    MoveInFlight,
    StoreFailed,
    Frozen,
    Forced,
    Locked,
    Blind,
    NoSight,
    NoCandidate,
    StaleEvidence,
    HoldDown,
    PeerRecent,
    FlapBudget,
    FleetGuard,
    WriteRefused,
    FailbackOff,
    Soak,
    WindowClosed,
    Unverified,
    AfterRollback,
    ConfigSkew,
    /// A person released the record.
    Released,
    /// The zone would refuse the write, as its rehearsal found.
    Obstacle,
    /// Every destination is drained by a person.
    Drained,
    /// Members fail one after the other: overload, not faults.
    Collapse,
    /// All automatic moves are stopped until a person looks.
    FleetFrozen,
    /// More important policies leave the same region first.
    Wave,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrakesReport {
    /// By whom and why.
    pub frozen: Option<String>,
    pub locked: bool,
    /// Time left.
    pub hold_down: Option<Duration>,
    pub moves_last_hour: u32,
    pub flap_budget: u32,
    pub failback_blocked: bool,
    pub unverified: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceReport {
    pub epoch: Epoch,
    /// `cluster/instance` of the last writer.
    pub owner: String,
    pub mode: String,
    pub kind: String,
    pub written: UnixMs,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveReport {
    pub kind: Kind,
    pub from: Vec<TargetName>,
    /// Not empty.
    pub to: Vec<TargetName>,
    pub epoch: Epoch,
    pub phase: MovePhase,
    pub clocks: super::notice::Clocks,
    /// What was proven and from where, or what contradicts it, or why it cannot be told.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MovePhase {
    /// A switchover collects fresh proof of its destination.
    Checking,
    /// A switchover waits for its old targets to empty.
    Draining,
    /// Decided; the intent is being made durable.
    Recording,
    /// Waiting for the zone's turn or the API budget.
    Queued,
    Sent,
    /// The reply was lost; reading the fence or burning.
    Resolving,
    Verifying,
    Proven,
    Contradicted,
    Unverified,
    NotApplied,
}

/// How far one confirmed pass over all policies is, in order of gravity for an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settled {
    /// Something is still in doubt, in flight or unread.
    No,
    /// Every policy is judged and nothing had to be done.
    Quiet,
    /// At least one move was applied (or, observing, would have been).
    Moved,
    /// A move was rolled back.
    RolledBack,
    /// An active target is failing and a rule refuses the move, or there is no candidate.
    Refused,
    Blind,
    /// The provider could not be reached or refused us.
    Provider,
}
