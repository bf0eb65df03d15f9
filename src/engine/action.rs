//! What the engine asks of the world. The order of actions is meaning: they are carried out,
//! or handed to whoever carries them out, one after the other.

use std::net::IpAddr;

use crate::domain::{PolicyIdx, RecordName, TargetIdx, ZoneId, ZoneIdx, ZoneRef};

use super::event::CommandReply;
use super::intent::IntentId;
use super::journal::JournalEntry;
use super::zone::Change;

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// All targets of the policy on `fast_interval` (true) or on their calm cadence (false).
    Pace {
        policy: PolicyIdx,
        fast: bool,
    },
    /// Probe every witness now; answered by `Event::Witnessed`.
    WitnessRound,
    /// One call of the provider's API, already charged to the budget.
    Call(ApiCall),
    /// Ask one authoritative server for every record of the policy; answered by `Observed`.
    AskOne {
        policy: PolicyIdx,
    },
    /// Ask every authoritative server for every record of the policy; answered by `Answers`.
    AskAll {
        policy: PolicyIdx,
    },
    /// Probe `target`'s check at `address`, which an authoritative answer gave, or at what its host
    /// name resolves to now; answered by `ByName`.
    ProbeByName {
        policy: PolicyIdx,
        target: TargetIdx,
        address: Option<IpAddr>,
    },
    /// Ask the world, not the provider, who serves the zone; answered by `Delegated`.
    LookUpDelegation {
        zone: ZoneIdx,
        name: RecordName,
    },
    /// Commit one journal entry; answered by `Persisted` or `StoreFailed`. The runtime logs its transitions.
    Persist {
        seq: u64,
        entry: JournalEntry,
    },
    Reply {
        id: u64,
        reply: CommandReply,
    },
}

/// One request that writes, of one or more policies' intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(pub u64);

#[derive(Clone, Debug, PartialEq)]
pub enum ApiCall {
    /// Answered by `ZoneResolved`. `servers`: the delegation set is wanted.
    ResolveZone { zone: ZoneIdx, zone_ref: ZoneRef, servers: bool },
    /// Answered by `Read`.
    ReadRecord { policy: PolicyIdx, record: u32, zone: ZoneId, name: RecordName, fence: RecordName },
    /// Answered by `Answered`. Only the executor can carry it out.
    Write { batch: BatchId, zone: ZoneId, changes: Vec<Change>, comment: String },
    /// Answered by `Synced`.
    GetChange { intent: IntentId, change_id: String },
}
