//! What must hold of every batch the zone took from us, and of every intent at the end of a run.

use std::collections::{BTreeMap, BTreeSet};

use failoverd::domain::*;
use failoverd::engine::fence::{FenceKind, FenceValue, unquote};
use failoverd::engine::intent::{IntentOutcome, Kind};
use failoverd::engine::zone::{Change, ChangeOp, Data, LiveSet};

use super::World;

/// What was seen of our own writes.
#[derive(Clone, Default)]
pub struct Audit {
    /// Attempts that the zone took.
    applied: BTreeSet<String>,
    /// The last epoch of ours at each fence; forgotten when other hands changed the zone under it.
    epochs: BTreeMap<RecordName, Epoch>,
}

impl World {
    /// Other hands changed the zone: epochs may be anything now.
    pub(super) fn forget_epochs(&mut self) {
        self.audit.epochs.clear();
    }

    /// Before a request leaves: I11 (its intent stands in the store), I12 (no freeze forbids it).
    pub(super) fn check_request(&self, changes: &[Change]) {
        let frozen = self.snapshots.values().any(|s| s.frozen.is_some());
        for value in changes.iter().filter(|c| c.op == ChangeOp::Create).filter_map(fence_value) {
            let kind = known(&value.kind);
            assert!(!(frozen && kind.is_automatic_move()), "I12: a {kind} is sent under a freeze that is on disk");
            let recorded = self.intents.contains_key(&value.attempt);
            assert!(
                recorded || matches!(kind, Kind::Burn | Kind::Force),
                "I11: a {kind} ({}) is sent without an intent in the store",
                value.attempt
            );
        }
    }

    /// After the zone took a batch of ours: I1, I2, I6.
    pub(super) fn check_applied(&mut self) {
        for batch in std::mem::take(&mut self.zone.taken) {
            for (name, fence) in self.records() {
                let at = |what: &RecordName| batch.changes.iter().filter(|c| c.name == *what).collect::<Vec<_>>();
                let (touched, fenced) = (at(&name), at(&fence));
                self.check_content(&name, &touched);
                let new: Vec<FenceValue> =
                    fenced.iter().filter(|c| c.op == ChangeOp::Create).filter_map(|c| fence_value(c)).collect();
                let [new] = new.as_slice() else {
                    assert!(touched.is_empty() && fenced.is_empty(), "I1: {name} is written without its fence");
                    continue;
                };
                self.check_fence(&fence, batch.stood.get(&fence), new);
            }
            let ours: BTreeSet<RecordName> =
                self.records().into_iter().flat_map(|(name, fence)| [name, fence]).collect();
            let foreign = batch.changes.iter().find(|c| !ours.contains(&c.name));
            assert!(foreign.is_none(), "I2: a name that is not managed was written: {foreign:?}");
        }
    }

    fn check_fence(&mut self, fence: &RecordName, stood: Option<&LiveSet>, new: &FenceValue) {
        let kind = known(&new.kind);
        let value = |set: &LiveSet| FenceValue::parse(&unquote(set.values.first()?)?).ok();
        if let Some(old) = stood.and_then(value) {
            let grows = if kind == Kind::Burn { new.epoch >= old.epoch } else { new.epoch > old.epoch };
            assert!(grows, "I1: {kind} {} wrote epoch {} over {}", new.attempt, new.epoch, old.epoch);
            assert_ne!(new.attempt, old.attempt, "I1: an attempt was written twice");
        }
        let last = self.audit.epochs.insert(fence.clone(), new.epoch);
        let grows = last.is_none_or(|last| if kind == Kind::Burn { new.epoch >= last } else { new.epoch > last });
        assert!(grows, "I1: our epochs went from {last:?} to {} at {fence}", new.epoch);
        let outcome = self.intents.get(&new.attempt).and_then(|i| i.outcome.clone());
        assert!(outcome.is_none(), "I6: {} was applied after its outcome was told: {outcome:?}", new.attempt);
        self.audit.applied.insert(new.attempt.clone());
    }

    /// I2: only what configured targets hold, never nothing.
    fn check_content(&self, name: &RecordName, changes: &[&Change]) {
        let policy = &self.setup.policy;
        for change in changes.iter().filter(|c| c.op != ChangeOp::Delete) {
            let fits = |content: &Content| match (&change.data, content) {
                (Data::Alias(alias), Content::Alias(ours)) => alias == ours,
                (Data::Values { values, .. }, Content::Host(host)) => *values == [format!("{host}.")],
                _ => false,
            };
            let addresses: BTreeSet<String> = policy
                .targets
                .iter()
                .flat_map(|t| match &t.content {
                    Content::Addresses(set) => set.iter().map(|a| a.to_string()).collect(),
                    _ => Vec::new(),
                })
                .collect();
            let known = match &change.data {
                Data::Values { values, .. } => !values.is_empty() && values.iter().all(|v| addresses.contains(v)),
                Data::Alias(_) => false,
            };
            let ours = known || policy.targets.iter().any(|t| fits(&t.content));
            assert!(ours, "I2: {name} was given what no target holds: {change:?}");
        }
    }

    /// At the end: L2, I11, I6. `Committed` and the like mean applied, every other outcome that it never was.
    pub fn check_intents(&self) {
        for intent in self.intents.values() {
            let applied = self.audit.applied.contains(&intent.id.0);
            let told = match &intent.outcome {
                None => panic!("L2: {} {} has no outcome", intent.kind, intent.id),
                Some(IntentOutcome::Committed | IntentOutcome::AppliedSyncUnknown) => true,
                Some(_) => false,
            };
            assert_eq!(told, applied, "I6: {} {} was told {:?}", intent.kind, intent.id, intent.outcome);
        }
    }
}

fn fence_value(change: &Change) -> Option<FenceValue> {
    let Data::Values { values, .. } = &change.data else { return None };
    (change.rtype == "TXT").then(|| FenceValue::parse(&unquote(values.first()?)?).ok())?
}

fn known(kind: &FenceKind) -> Kind {
    match kind {
        FenceKind::Known(kind) => *kind,
        FenceKind::Other(text) => panic!("we wrote the kind `{text}`, which we do not know"),
    }
}
