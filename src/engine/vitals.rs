//! How the controller itself is, beside the reports of its policies. Tells; nothing decides by it.

use std::time::Duration;

use crate::domain::{Now, PolicyId, WitnessName};

use super::fleet::Fleet;

/// What concerns the whole fleet, and what a report does not carry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// This controller cannot see well enough to judge.
    pub blind: bool,
    /// The state file refused the last entry: no automatic write.
    pub store_broken: bool,
    /// Calls that the API budget allows at this moment; below zero while it is overdrawn.
    pub api_calls_left: f64,
    /// Whether each witness answered its last probe; `None` before the first.
    pub witnesses: Vec<(WitnessName, Option<bool>)>,
    /// How long ago the live record of each policy was read through the API; not before the first reading.
    pub read_ages: Vec<(PolicyId, Duration)>,
    /// How often it is read when nothing happens.
    pub read_every: Vec<(PolicyId, Duration)>,
}

impl Fleet {
    pub fn vitals(&self, now: Now) -> Vitals {
        let names = self.settings().witnesses.iter().map(|w| w.name.clone());
        let age = |p: &super::state::PolicyState| {
            let at = p.live.read_at?;
            Some((p.policy.id.clone(), now.mono.since(at)))
        };
        Vitals {
            blind: self.blind().is_some(),
            store_broken: self.shared.store_broken.is_some(),
            api_calls_left: self.shared.bucket.left(now.mono),
            witnesses: names.zip(self.shared.sight.latest()).collect(),
            read_ages: self.states().filter_map(|(_, p)| age(p)).collect(),
            read_every: self.states().map(|(_, p)| (p.policy.id.clone(), p.policy.reconcile)).collect(),
        }
    }
}
