//! The nouns of the field, as types in which wrong states cannot be written down.
//!
//! PURE: this room performs no I/O, reads no clock, draws no random number, logs nothing.

pub mod address;
pub mod check;
pub mod id;
pub mod outcome;
pub mod policy;
pub mod record;
pub mod settings;
pub mod time;

pub use check::{
    BodyMatch, Cadence, Check, CheckKind, Exchange, Expect, HttpCheck, JsonScalar, StatusRange, TcpCheck, TlsCheck,
};
pub use id::{
    ClusterName, Epoch, InstanceName, NotifierName, PolicyId, PolicyIdx, RegionName, TargetIdx, TargetName, WitnessIdx,
    WitnessName, ZoneId, ZoneIdx,
};
pub use outcome::{DownReason, Health, Outcome, UnknownReason};
pub use policy::{Adopt, Drift, Failback, FailbackMode, Failover, Members, Policy, Target, Window, WriteMode, ZoneRef};
pub use record::{AddressSet, AliasTarget, Content, Family, RecordName, RecordNameError, RecordType, Ttl};
pub use settings::{ApiBudget, FleetSettings, GuardSettings, NameServers, VerifySettings, Witness, WitnessKind};
pub use time::{Now, Tick, UnixMs};
