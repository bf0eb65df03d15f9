//! Plain data about a zone as the provider or a name server tells it, and edits to it.
//! Nothing here decides; `fence`, `plan` and `guard` do.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::domain::{AliasTarget, RecordName, ZoneId};

/// What resolving a `ZoneRef` gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneInfo {
    pub id: ZoneId,
    pub name: RecordName,
    /// Host names of the delegation set; empty for a private zone or when not asked for.
    pub name_servers: Vec<String>,
    pub private: bool,
}

/// One record set as listed, raw enough to be deleted exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSet {
    /// Upper case: `A`, `AAAA`, `TXT`, `CNAME`, …
    pub rtype: String,
    /// `None` for an alias.
    pub ttl: Option<u32>,
    /// As listed, TXT with its quotes and escapes.
    pub values: Vec<String>,
    /// Set identifier of a weighted, latency, failover, … set; `None` for a simple set.
    pub routing: Option<String>,
    /// Id of the health check that steers the set.
    pub health_check: Option<String>,
    /// Id of the traffic policy instance that owns the set.
    pub traffic_policy: Option<String>,
    /// Target of an alias set; `None` too when no `RecordName` can hold its name (see
    /// [`LiveSet::is_unreadable_alias`]).
    pub alias: Option<AliasTarget>,
}

impl LiveSet {
    /// A plain set of values.
    pub fn values(rtype: &str, ttl: u32, values: Vec<String>) -> LiveSet {
        LiveSet { ttl: Some(ttl), values, ..LiveSet::bare(rtype) }
    }

    /// A plain alias set.
    pub fn alias(rtype: &str, alias: AliasTarget) -> LiveSet {
        LiveSet { alias: Some(alias), ..LiveSet::bare(rtype) }
    }

    fn bare(rtype: &str) -> LiveSet {
        LiveSet {
            rtype: rtype.into(),
            ttl: None,
            values: Vec::new(),
            routing: None,
            health_check: None,
            traffic_policy: None,
            alias: None,
        }
    }

    /// An alias of a name that cannot be spelt here. It has neither values nor a TTL, which no other
    /// set lacks, so it matches nothing of ours and cannot be named for an exact DELETE.
    pub fn is_unreadable_alias(&self) -> bool {
        self.alias.is_none() && self.values.is_empty()
    }

    /// Steered by nothing but its own content: a set we may own, alias or not.
    pub fn is_simple(&self) -> bool {
        self.routing.is_none() && self.health_check.is_none() && self.traffic_policy.is_none()
    }
}

/// Everything at a managed name and at its fence's name, read through the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRead {
    pub sets: Vec<LiveSet>,
    pub fence: Vec<LiveSet>,
}

impl RecordRead {
    /// The same sets with the same values, in whatever order they were listed.
    pub fn is_same(&self, other: &RecordRead) -> bool {
        fn ordered(sets: &[LiveSet]) -> Vec<LiveSet> {
            let mut sets = sets.to_vec();
            sets.iter_mut().for_each(|set| set.values.sort());
            sets.sort_by(|a, b| (&a.rtype, &a.routing, &a.values).cmp(&(&b.rtype, &b.routing, &b.values)));
            sets
        }
        ordered(&self.sets) == ordered(&other.sets) && ordered(&self.fence) == ordered(&other.fence)
    }
}

/// What one name server said about one name and family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsAnswer {
    Addresses {
        set: BTreeSet<IpAddr>,
        /// Seconds.
        ttl: u32,
    },
    /// The name a CNAME points to.
    Name(RecordName),
    /// NXDOMAIN or an empty answer, authoritatively.
    Nothing,
    /// An authoritative answer of another shape (a CNAME, say).
    Other(String),
    /// No usable answer: timeout, REFUSED, SERVFAIL, not authoritative, truncated over TCP too.
    Failed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeOp {
    Delete,
    Create,
    Upsert,
}

/// One edit within a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub op: ChangeOp,
    pub name: RecordName,
    /// `A`, `AAAA`, `CNAME` or `TXT`.
    pub rtype: String,
    pub data: Data,
}

/// What an edit writes or, for a DELETE, exactly names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    Values {
        /// Seconds.
        ttl: u32,
        /// Not empty; TXT quoted.
        values: Vec<String>,
    },
    Alias(AliasTarget),
}

/// The provider's answer to one write request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteAnswer {
    Accepted {
        change_id: String,
    },
    /// A definite answer to this very request: nothing was applied.
    Refused {
        code: RefusedCode,
        message: String,
    },
    /// The request may have been or may still be applied.
    Ambiguous(String),
    /// The request surely never left this machine.
    NotSent(ApiError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedCode {
    /// InvalidChangeBatch: the fence (or another exact precondition) did not hold.
    Precondition,
    Throttled,
    PriorRequestNotComplete,
    Denied,
    Credentials,
    NoSuchZone,
    /// Any other 4xx.
    Invalid,
}

impl RefusedCode {
    /// True when it may be about some sets of the batch only. A denial is: a permission may be
    /// limited to record names, and then one name denies the whole request.
    pub fn is_about_sets(self) -> bool {
        matches!(self, RefusedCode::Precondition | RefusedCode::Invalid | RefusedCode::Denied)
    }

    /// True when the same bytes may be sent again.
    pub fn is_transient(self) -> bool {
        matches!(self, RefusedCode::Throttled | RefusedCode::PriorRequestNotComplete)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeStatus {
    Pending,
    Insync,
    /// The provider does not know this change.
    Vanished,
}

/// Why a read or a resolution failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub kind: ApiErrorKind,
    /// For a person: what was asked, what came back.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiErrorKind {
    /// No connection, timeout, 5xx.
    Unreachable,
    Throttled,
    /// AccessDenied: the identity lacks a permission.
    Denied,
    /// Missing, expired or wrong credentials; a skewed clock.
    Credentials,
    NoSuchZone,
    /// Anything else.
    Other,
}

impl ApiErrorKind {
    /// True when trying again later may help without a person.
    pub fn is_transient(self) -> bool {
        matches!(self, ApiErrorKind::Unreachable | ApiErrorKind::Throttled)
    }
}

impl fmt::Display for DnsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsAnswer::Addresses { set, .. } => {
                let list: Vec<String> = set.iter().map(ToString::to_string).collect();
                f.write_str(&list.join(", "))
            }
            DnsAnswer::Name(name) => write!(f, "CNAME {name}"),
            DnsAnswer::Nothing => f.write_str("no such record"),
            DnsAnswer::Other(what) => write!(f, "another kind of record: {what}"),
            DnsAnswer::Failed(why) => write!(f, "no usable answer: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_transient() {
        let errors = [
            (ApiErrorKind::Unreachable, true),
            (ApiErrorKind::Throttled, true),
            (ApiErrorKind::Denied, false),
            (ApiErrorKind::Credentials, false),
            (ApiErrorKind::NoSuchZone, false),
            (ApiErrorKind::Other, false),
        ];
        for (kind, transient) in errors {
            assert_eq!(kind.is_transient(), transient, "{kind:?}");
        }
        for code in [
            RefusedCode::Precondition,
            RefusedCode::Denied,
            RefusedCode::Credentials,
            RefusedCode::NoSuchZone,
            RefusedCode::Invalid,
        ] {
            assert!(!code.is_transient(), "{code:?} is final");
        }
        assert!(RefusedCode::Throttled.is_transient() && RefusedCode::PriorRequestNotComplete.is_transient());
    }
}
