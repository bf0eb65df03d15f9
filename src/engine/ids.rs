//! Ids made from what is known, so that every instance names a thing alike.

use sha2::{Digest, Sha256};

use crate::domain::{ClusterName, Epoch, PolicyId};

use super::journal::IncidentId;

/// First `digits` hex digits of SHA-256 over the parts, each ended by a zero byte.
pub fn short_hash(parts: &[&str], digits: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(digits).collect()
}

/// The incident that began while `epoch` was in force.
pub fn incident_id(cluster: &ClusterName, policy: &PolicyId, epoch: Epoch) -> IncidentId {
    IncidentId(short_hash(&["incident", cluster.as_str(), policy.as_str(), &epoch.to_string()], 10))
}

/// A deterministic number below `range` from a name and a counter; spreads retries.
pub fn jitter(name: &str, n: u64, range: u64) -> u64 {
    let hash = short_hash(&["jitter", name, &n.to_string()], 12);
    u64::from_str_radix(&hash, 16).unwrap_or(0) % range.max(1)
}
