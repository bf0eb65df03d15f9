//! Counts what goes through the loop, for metrics: probes, requests to the provider, moves, changes
//! of state. Looks at events and actions as they pass; changes neither and never decides.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Outcome, Policy, PolicyId, PolicyIdx, TargetIdx, Tick};
use crate::engine::action::Action;
use crate::engine::event::Event;
use crate::engine::intent::{Intent, IntentId, IntentOutcome, Kind};
use crate::engine::journal::{JournalEntry, Transition, TransitionKind};
use crate::engine::zone::{ApiError, ApiErrorKind, RefusedCode, WriteAnswer};
use crate::telemetry::{self, Answer, Counts, Histogram, LAG_BOUNDS, MoveOutcome, PROBE_BOUNDS, Probes};

/// Moves of one policy whose verdict is not known; more are not remembered.
const MOST_UNJUDGED: usize = 8;

#[derive(Debug, Default)]
pub struct Tally {
    probes: BTreeMap<(PolicyIdx, TargetIdx), Probed>,
    moves: BTreeMap<(PolicyId, Kind, MoveOutcome), u64>,
    proven: BTreeMap<PolicyId, Tick>,
    /// Writes of a policy that publish and are not judged, oldest first.
    unjudged: BTreeMap<PolicyId, VecDeque<(IntentId, Kind)>>,
    requests: BTreeMap<(telemetry::Action, Answer), u64>,
    transitions: BTreeMap<TransitionKind, u64>,
    lag: Histogram,
}

#[derive(Debug, Default)]
struct Probed {
    up: u64,
    down: u64,
    unknown: u64,
    durations: Histogram,
}

impl Tally {
    /// `open`: intents of an earlier process whose end is still to come.
    pub fn new(open: &[Intent]) -> Tally {
        let mut tally = Tally::default();
        open.iter().for_each(|intent| tally.intent(intent));
        tally
    }

    pub fn probe(&mut self, policy: PolicyIdx, target: TargetIdx, outcome: Outcome, took: Duration) {
        let probed = self.probes.entry((policy, target)).or_default();
        match outcome {
            Outcome::Up => {
                probed.up += 1;
                probed.durations.count(PROBE_BOUNDS, took);
            }
            Outcome::Down(_) => probed.down += 1,
            Outcome::Unknown(_) => probed.unknown += 1,
        }
    }

    /// An event before the engine sees it.
    pub fn heard(&mut self, event: &Event) {
        let (action, answer, requests) = match event {
            Event::ZoneResolved { result, .. } => (telemetry::Action::ResolveZone, read(result), 1),
            Event::Read { result, calls, .. } => (telemetry::Action::ReadRecord, read(result), *calls),
            Event::Synced { result, .. } => (telemetry::Action::GetChange, read(result), 1),
            Event::Answered { answer, .. } => (telemetry::Action::Write, written(answer), 1),
            _ => return,
        };
        *self.requests.entry((action, answer)).or_default() += u64::from(requests);
    }

    /// An action before it is carried out.
    pub fn said(&mut self, action: &Action, now: Tick) {
        if let Action::Persist { entry, .. } = action {
            self.entry(entry, now);
        }
    }

    /// The loop came this late to its beat.
    pub fn beat(&mut self, late: Duration) {
        self.lag.count(LAG_BOUNDS, late);
    }

    /// A reload gave policies other numbers: what was counted stays with the names, and goes with them.
    pub fn renumber<'a>(
        &mut self,
        before: &[(PolicyIdx, Arc<Policy>)],
        after: impl Iterator<Item = (PolicyIdx, &'a Arc<Policy>)>,
    ) {
        let mut old: BTreeMap<(PolicyIdx, TargetIdx), Probed> = std::mem::take(&mut self.probes);
        let before: BTreeMap<&PolicyId, &(PolicyIdx, Arc<Policy>)> = before.iter().map(|b| (&b.1.id, b)).collect();
        let mut known = std::collections::BTreeSet::new();
        for (idx, policy) in after {
            known.insert(policy.id.clone());
            let Some((was, earlier)) = before.get(&policy.id) else { continue };
            for (target, new) in policy.targets.iter().zip(policy.indices()) {
                let same = earlier.target_named(target.name.as_str());
                if let Some(probed) = same.and_then(|t| old.remove(&(*was, t))) {
                    self.probes.insert((idx, new), probed);
                }
            }
        }
        self.moves.retain(|(policy, ..), _| known.contains(policy));
        self.proven.retain(|policy, _| known.contains(policy));
        self.unjudged.retain(|policy, _| known.contains(policy));
    }

    /// The counts with names. Every target of `policies` is there, probed or not.
    pub fn counts<'a>(&self, policies: impl Iterator<Item = (PolicyIdx, &'a Arc<Policy>)>, now: Tick) -> Counts {
        let mut probes: Vec<Probes> = Vec::new();
        for (idx, policy) in policies {
            for (target, number) in policy.targets.iter().zip(policy.indices()) {
                let (policy, target) = (policy.id.clone(), target.name.clone());
                let none = Probed::default();
                let Probed { up, down, unknown, durations } = self.probes.get(&(idx, number)).unwrap_or(&none);
                let durations = durations.clone();
                probes.push(Probes { policy, target, up: *up, down: *down, unknown: *unknown, durations });
            }
        }
        probes.sort_by(|a, b| (&a.policy, &a.target).cmp(&(&b.policy, &b.target)));
        Counts {
            probes,
            moves: self.moves.clone(),
            proven: self.proven.iter().map(|(policy, at)| (policy.clone(), now.since(*at))).collect(),
            requests: self.requests.clone(),
            transitions: self.transitions.clone(),
            lag: self.lag.clone(),
        }
    }

    fn entry(&mut self, entry: &JournalEntry, now: Tick) {
        entry.intents.iter().for_each(|intent| self.intent(intent));
        entry.transitions.iter().for_each(|transition| self.transition(transition, now));
    }

    fn intent(&mut self, intent: &Intent) {
        if !intent.kind.publishes() {
            return;
        }
        let unjudged = self.unjudged.entry(intent.policy.clone()).or_default();
        let outcome = match &intent.outcome {
            None | Some(IntentOutcome::Committed | IntentOutcome::AppliedSyncUnknown) => {
                // The end of one that is judged already comes here too.
                if intent.outcome.is_none() && !unjudged.iter().any(|(id, _)| *id == intent.id) {
                    unjudged.push_back((intent.id.clone(), intent.kind));
                    unjudged.truncate(MOST_UNJUDGED);
                }
                return;
            }
            Some(IntentOutcome::NotSent { .. }) => MoveOutcome::NotSent,
            Some(
                IntentOutcome::Lost { .. }
                | IntentOutcome::Refused { .. }
                | IntentOutcome::Burned
                | IntentOutcome::Expired,
            ) => MoveOutcome::NotApplied,
        };
        unjudged.retain(|(id, _)| *id != intent.id);
        *self.moves.entry((intent.policy.clone(), intent.kind, outcome)).or_default() += 1;
    }

    fn transition(&mut self, transition: &Transition, now: Tick) {
        *self.transitions.entry(transition.kind).or_default() += 1;
        let outcome = match transition.kind {
            TransitionKind::Proven => MoveOutcome::Proven,
            TransitionKind::Contradicted => MoveOutcome::Contradicted,
            TransitionKind::Unverified => MoveOutcome::Unverified,
            _ => return,
        };
        let Some(policy) = &transition.policy else { return };
        if outcome == MoveOutcome::Proven {
            self.proven.insert(policy.clone(), now);
        }
        // Verdicts come in the order of the writes: a newer one overtakes the older.
        if let Some((_, kind)) = self.unjudged.get_mut(policy).and_then(VecDeque::pop_front) {
            *self.moves.entry((policy.clone(), kind, outcome)).or_default() += 1;
        }
    }
}

fn read<T>(result: &Result<T, ApiError>) -> Answer {
    match result.as_ref().map_err(|error| error.kind) {
        Ok(_) => Answer::Ok,
        Err(ApiErrorKind::Unreachable) => Answer::Unreachable,
        Err(ApiErrorKind::Throttled) => Answer::Throttled,
        Err(ApiErrorKind::Denied) => Answer::Denied,
        Err(ApiErrorKind::Credentials) => Answer::Credentials,
        Err(ApiErrorKind::NoSuchZone) => Answer::NoSuchZone,
        Err(ApiErrorKind::Other) => Answer::Other,
    }
}

fn written(answer: &WriteAnswer) -> Answer {
    match answer {
        WriteAnswer::Accepted { .. } => Answer::Ok,
        WriteAnswer::Ambiguous(_) => Answer::Ambiguous,
        WriteAnswer::NotSent(_) => Answer::NotSent,
        WriteAnswer::Refused { code, .. } => match code {
            RefusedCode::Precondition => Answer::Precondition,
            RefusedCode::Throttled => Answer::Throttled,
            RefusedCode::PriorRequestNotComplete => Answer::Busy,
            RefusedCode::Denied => Answer::Denied,
            RefusedCode::Credentials => Answer::Credentials,
            RefusedCode::NoSuchZone => Answer::NoSuchZone,
            RefusedCode::Invalid => Answer::Invalid,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Epoch, TargetName, UnixMs};
    use crate::engine::zone::RecordRead;
    use crate::runtime::testing::policy;

    fn intent(id: &str, kind: Kind, outcome: Option<IntentOutcome>) -> JournalEntry {
        let intent = Intent {
            id: IntentId(id.into()),
            policy: PolicyId::new("web").unwrap(),
            kind,
            epoch: Epoch(1),
            from: vec![],
            to: vec![TargetName::new("west").unwrap()],
            before: vec![],
            after: vec![],
            decided_at: UnixMs(0),
            signed_at: None,
            change_id: None,
            outcome,
        };
        JournalEntry { intents: vec![intent], ..JournalEntry::default() }
    }

    fn transition(kind: TransitionKind) -> JournalEntry {
        let policy = Some(PolicyId::new("web").unwrap());
        let transition = Transition { at: UnixMs(0), policy, incident: None, kind, text: "x".into() };
        JournalEntry { transitions: vec![transition], ..JournalEntry::default() }
    }

    fn moves(entries: Vec<JournalEntry>) -> Vec<(Kind, &'static str, u64)> {
        let mut tally = Tally::new(&[]);
        for entry in entries {
            tally.said(&Action::Persist { seq: 0, entry }, Tick(5_000));
        }
        let counts = tally.counts([].into_iter(), Tick(7_000));
        counts.moves.into_iter().map(|((_, kind, outcome), n)| (kind, outcome.as_str(), n)).collect()
    }

    #[test]
    fn each_move_is_counted_once_with_its_kind_and_its_end() {
        use IntentOutcome::{Burned, Committed, Lost, NotSent};
        let gone = || Some(NotSent { why: "x".into() });
        for (entries, counted) in [
            (vec![intent("1", Kind::Failover, None)], vec![]),
            (
                vec![
                    intent("1", Kind::Failover, None),
                    intent("1", Kind::Failover, Some(Committed)),
                    transition(TransitionKind::Proven),
                ],
                vec![(Kind::Failover, "proven", 1)],
            ),
            (
                // A newer move overtakes one that was not judged yet.
                vec![
                    intent("1", Kind::Failover, None),
                    intent("2", Kind::Switch, None),
                    transition(TransitionKind::Unverified),
                    transition(TransitionKind::Proven),
                ],
                vec![(Kind::Failover, "unverified", 1), (Kind::Switch, "proven", 1)],
            ),
            (
                vec![
                    intent("1", Kind::Failover, None),
                    transition(TransitionKind::Contradicted),
                    intent("2", Kind::Rollback, None),
                    transition(TransitionKind::Proven),
                ],
                vec![(Kind::Failover, "contradicted", 1), (Kind::Rollback, "proven", 1)],
            ),
            (
                vec![
                    intent("1", Kind::Failover, None),
                    intent("1", Kind::Failover, gone()),
                    intent("2", Kind::Failover, None),
                    intent("2", Kind::Failover, Some(Lost { to: "x".into() })),
                    intent("3", Kind::Failover, None),
                    intent("3", Kind::Failover, Some(Burned)),
                    intent("4", Kind::Failback, None),
                    transition(TransitionKind::Proven),
                ],
                vec![
                    (Kind::Failover, "not-applied", 2),
                    (Kind::Failover, "not-sent", 1),
                    (Kind::Failback, "proven", 1),
                ],
            ),
            // Fence-only writes are no moves.
            (vec![intent("1", Kind::Rehearse, None), intent("1", Kind::Rehearse, gone())], vec![]),
        ] {
            assert_eq!(moves(entries), counted);
        }
    }

    #[test]
    fn an_earlier_process_left_a_move_that_is_proven_now() {
        let open = intent("1", Kind::Failback, None).intents;
        let mut tally = Tally::new(&open);
        tally.said(&Action::Persist { seq: 0, entry: transition(TransitionKind::Proven) }, Tick(5_000));
        let counts = tally.counts([].into_iter(), Tick(7_000));
        let web = PolicyId::new("web").unwrap();
        assert_eq!(counts.moves.get(&(web.clone(), Kind::Failback, MoveOutcome::Proven)), Some(&1));
        assert_eq!(counts.proven.get(&web), Some(&Duration::from_secs(2)));
        assert_eq!(counts.transitions.get(&TransitionKind::Proven), Some(&1));
    }

    #[test]
    fn a_read_counts_every_request_it_took() {
        let mut tally = Tally::default();
        let read = |result| Event::Read { policy: PolicyIdx(0), record: 0, result, calls: 2 };
        tally.heard(&read(Ok(RecordRead { sets: vec![], fence: vec![] })));
        tally.heard(&read(Err(ApiError { kind: ApiErrorKind::Throttled, message: String::new() })));
        tally.heard(&Event::Wake);
        let requests: Vec<_> = tally.requests.into_iter().collect();
        let of = |answer| (telemetry::Action::ReadRecord, answer);
        assert_eq!(requests, [(of(Answer::Ok), 2), (of(Answer::Throttled), 2)]);
    }

    #[test]
    fn counts_stay_with_the_names_over_a_reload() {
        let (web, dns) = (Arc::new(policy("web", "www.example.com")), Arc::new(policy("dns", "ns.example.com")));
        let mut changed = policy("web", "www.example.com");
        changed.targets.reverse();
        changed.targets[0].name = TargetName::new("south").unwrap();
        let changed = Arc::new(changed);
        let mut tally = Tally::default();
        for (policy, target, n) in [(0, 0, 3), (0, 1, 5), (1, 0, 7)] {
            for _ in 0..n {
                tally.probe(PolicyIdx(policy), TargetIdx(target), Outcome::Up, Duration::from_millis(1));
            }
        }
        let before = [(PolicyIdx(0), Arc::clone(&web)), (PolicyIdx(1), dns)];
        // `east` goes, `west` becomes `south`, `dns` leaves the configuration.
        let after = [(PolicyIdx(2), &changed)];
        tally.renumber(&before, after.into_iter());
        let counts = tally.counts(after.into_iter(), Tick(0));
        let ups: Vec<(&str, u64)> = counts.probes.iter().map(|p| (p.target.as_str(), p.up)).collect();
        assert_eq!(ups, [("east", 3), ("south", 0)]);
        assert_eq!(tally.probes.len(), 1, "nothing is kept of what is gone");
    }
}
