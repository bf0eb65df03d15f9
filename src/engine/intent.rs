//! The durable life of one write, from the decision to its one outcome (invariant I11).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{Epoch, PolicyId, TargetName, UnixMs};

use super::zone::{LiveSet, RefusedCode, WriteAnswer};

/// Unique id of one write; also the fence's `a=`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntentId(pub String);

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a write is made; the fence's `k=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Failover,
    Failback,
    Rollback,
    /// Drops a member of a several-answer set without leaving the tier.
    Trim,
    /// Adds a member of the tier.
    Fill,
    /// A move planned by a person.
    Switch,
    /// Break-glass: a person's write that asks no health.
    Force,
    Repair,
    Adopt,
    Freeze,
    Unfreeze,
    Lock,
    Ack,
    /// Fence only: this cluster gives the record up.
    Release,
    /// Fence only: this cluster takes the record of another.
    Takeover,
    /// Fence only, same epoch, to make a lost request harmless.
    Burn,
    /// Fence only, to see on a calm day that the whole write path works.
    Rehearse,
}

impl Kind {
    pub const ALL: [Kind; 17] = [
        Kind::Failover,
        Kind::Failback,
        Kind::Rollback,
        Kind::Trim,
        Kind::Fill,
        Kind::Switch,
        Kind::Force,
        Kind::Repair,
        Kind::Adopt,
        Kind::Freeze,
        Kind::Unfreeze,
        Kind::Lock,
        Kind::Ack,
        Kind::Release,
        Kind::Takeover,
        Kind::Burn,
        Kind::Rehearse,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Failover => "failover",
            Kind::Failback => "failback",
            Kind::Rollback => "rollback",
            Kind::Trim => "trim",
            Kind::Fill => "fill",
            Kind::Switch => "switch",
            Kind::Force => "force",
            Kind::Repair => "repair",
            Kind::Adopt => "adopt",
            Kind::Freeze => "freeze",
            Kind::Unfreeze => "unfreeze",
            Kind::Lock => "lock",
            Kind::Ack => "ack",
            Kind::Release => "release",
            Kind::Takeover => "takeover",
            Kind::Burn => "burn",
            Kind::Rehearse => "rehearse",
        }
    }

    /// Decided by the engine, not by a person, and it changes what is published.
    pub fn is_automatic_move(self) -> bool {
        matches!(self, Kind::Failover | Kind::Failback | Kind::Rollback | Kind::Trim | Kind::Fill)
    }

    /// Between targets or tiers: what hold-down, flap budget and the fence's `h=` count. Trims and
    /// fills have brakes of their own.
    pub fn is_counted_move(self) -> bool {
        matches!(self, Kind::Failover | Kind::Failback | Kind::Rollback)
    }

    /// Writes the managed records too, not only the fence.
    pub fn publishes(self) -> bool {
        self.is_automatic_move() || matches!(self, Kind::Switch | Kind::Force | Kind::Repair | Kind::Adopt)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    pub id: IntentId,
    pub policy: PolicyId,
    pub kind: Kind,
    pub epoch: Epoch,
    /// Targets published before; empty when they were none of ours.
    pub from: Vec<TargetName>,
    /// Targets published after; empty for a fence-only write.
    pub to: Vec<TargetName>,
    /// What stands at each record's fence before, raw; `None` where there is no fence yet.
    pub before: Vec<Option<LiveSet>>,
    /// Fence value of each record after, decoded.
    pub after: Vec<String>,
    pub decided_at: UnixMs,
    /// When the request was first signed and sent.
    pub signed_at: Option<UnixMs>,
    pub change_id: Option<String>,
    pub outcome: Option<IntentOutcome>,
}

/// Exactly one for each intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentOutcome {
    /// Applied and INSYNC.
    Committed,
    /// Applied; whether it is in sync could not be learnt.
    AppliedSyncUnknown,
    /// Another attempt stands in the fence.
    Lost { to: String },
    /// A definite refusal.
    Refused { message: String },
    /// The request was lost and a burn made sure that it can never apply.
    Burned,
    /// The request was lost and its signature has expired with the old fence still standing.
    Expired,
    /// It never left: the decision died, or a guard refused at the wire.
    NotSent { why: String },
}

/// What the provider's answer to a request means for one write, or one burn of it, in that request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The write stands in the zone.
    Applied,
    /// The burn stands: the lost request can never apply.
    Burned,
    /// Surely not applied; the same bytes go again after a wait.
    Again,
    /// Surely not applied, because of another write in the request or of one that nobody names:
    /// goes again at once.
    Bystander,
    /// It may have been applied or may yet be: the fence is read.
    ReadBack,
    /// The old value is gone before the burn: the lost request landed, or another wrote. The fence is read.
    Overtaken,
    /// The burn was refused and proves nothing: the fence is read after a wait.
    BurnRefused,
    /// The write was refused for good; nothing was applied.
    Refused,
}

/// `mine`: the refusal names a set of this write, or it was alone in the request.
pub fn meaning(answer: &WriteAnswer, burning: bool, mine: bool) -> Meaning {
    match answer {
        WriteAnswer::Accepted { .. } if burning => Meaning::Burned,
        WriteAnswer::Accepted { .. } => Meaning::Applied,
        WriteAnswer::Ambiguous(_) => Meaning::ReadBack,
        WriteAnswer::NotSent(_) => Meaning::Again,
        WriteAnswer::Refused { code, .. } if code.is_transient() => Meaning::Again,
        WriteAnswer::Refused { code, .. } if !mine && code.is_about_sets() => Meaning::Bystander,
        WriteAnswer::Refused { code: RefusedCode::Precondition, .. } if burning => Meaning::Overtaken,
        WriteAnswer::Refused { .. } if burning => Meaning::BurnRefused,
        WriteAnswer::Refused { .. } => Meaning::Refused,
    }
}
