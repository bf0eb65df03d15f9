//! Names people give and the dense numbers the engine uses for them.
//!
//! A name is checked once, when it is made; after that a value of the type is a proof.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is no label: the rule is RFC 1123 without upper case, 1 to 63 of `a-z 0-9 -`,
/// neither starting nor ending with `-`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a label: use 1 to 63 of a-z, 0-9 and `-`, not starting or ending with `-`")]
pub struct LabelError {
    pub text: String,
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Errors when `text` is not a label (see [`LabelError`]).
            pub fn new(text: &str) -> Result<Self, LabelError> {
                if is_label(text) { Ok(Self(text.into())) } else { Err(LabelError { text: text.into() }) }
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = LabelError;
            fn try_from(text: String) -> Result<Self, LabelError> {
                Self::new(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().into()
            }
        }
    };
}

label!(/** Id of a policy: a DNS label, default the file's stem. */ PolicyId);
label!(/** Name of a target within its policy. */ TargetName);
label!(/** Failure domain of a target. */ RegionName);
label!(/** Controllers that share state through the zone share this name. */ ClusterName);
label!(/** This controller among those of its cluster. */ InstanceName);
label!(/** Name of a witness. */ WitnessName);
label!(/** Name of a notifier. */ NotifierName);

/// A provider's id of a hosted zone, without any prefix (`Z0123…`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ZoneId(Arc<str>);

impl ZoneId {
    /// Accepts the bare and the `/hostedzone/` form.
    pub fn new(text: &str) -> ZoneId {
        ZoneId(text.trim_start_matches("/hostedzone/").into())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u32);

        impl $name {
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index!(/** Dense number of a policy in its fleet. */ PolicyIdx);
index!(/** Dense number of a target in its policy. */ TargetIdx);
index!(/** Dense number of a distinct zone in the fleet. */ ZoneIdx);
index!(/** Dense number of a witness in the settings. */ WitnessIdx);

/// Number of a record's last applied decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    pub fn next(self) -> Epoch {
        Epoch(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_lower_case_dns_and_nothing_else() {
        for good in ["web", "a", "eu-west-1", "1a", &"x".repeat(63)] {
            assert!(PolicyId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Web", "-a", "a-", "a_b", "a.b", "ü", &"x".repeat(64)] {
            assert!(PolicyId::new(bad).is_err(), "{bad}");
        }
    }
}
