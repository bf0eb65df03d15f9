//! What is known at one moment, as plain data; `page` renders it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{PolicyId, TargetName, UnixMs};
use crate::engine::intent::Kind;
use crate::engine::journal::TransitionKind;
use crate::engine::report::Report;
use crate::engine::vitals::Vitals;

/// Upper bounds of the buckets of probe durations, seconds.
pub const PROBE_BOUNDS: &[f64] = &[0.005, 0.025, 0.1, 0.25, 1.0, 2.5];
/// The same of the loop's lag.
pub const LAG_BOUNDS: &[f64] = &[0.001, 0.01, 0.1, 1.0, 10.0];

/// Everything one page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub at: UnixMs,
    pub build: Build,
    pub vitals: Vitals,
    /// In the order of the policies' names.
    pub reports: Vec<Report>,
    /// From one rehearsal to the next, at most; `None`: they are off.
    pub rehearsal_cadence: Option<Duration>,
    pub counts: Counts,
    pub reload: Reload,
    /// `None`: the state file does not answer, or there is none.
    pub notices: Option<Notices>,
    pub store: Option<StoreCounts>,
}

/// Who this process is.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    pub version: String,
    pub commit: String,
    pub cluster: String,
    pub instance: String,
    pub observe: bool,
    pub started: UnixMs,
}

/// How the configuration in force came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// When what is in force was loaded.
    pub at: UnixMs,
    /// The last reload was taken over, or there was none.
    pub ok: bool,
}

/// The outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    pub waiting: u64,
    pub dead: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    pub ok: u64,
    pub failed: u64,
}

/// What was counted since the process started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub probes: Vec<Probes>,
    pub moves: BTreeMap<(PolicyId, Kind, MoveOutcome), u64>,
    /// Time since the last proven move of a policy.
    pub proven: BTreeMap<PolicyId, Duration>,
    pub requests: BTreeMap<(Action, Answer), u64>,
    pub transitions: BTreeMap<TransitionKind, u64>,
    pub lag: Histogram,
}

/// Of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Probes {
    pub policy: PolicyId,
    pub target: TargetName,
    pub up: u64,
    pub down: u64,
    pub unknown: u64,
    /// Of those that ended up.
    pub durations: Histogram,
}

/// How a move ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MoveOutcome {
    Proven,
    Contradicted,
    Unverified,
    /// The provider refused it, another write won, or a lost request was made harmless.
    NotApplied,
    /// It never left this machine.
    NotSent,
}

/// What is asked of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    ResolveZone,
    ReadRecord,
    GetChange,
    Write,
}

/// How a request to the provider ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    Ok,
    /// The fence, or another exact precondition, did not hold.
    Precondition,
    Throttled,
    /// The provider has not finished the change before.
    Busy,
    Denied,
    Credentials,
    NoSuchZone,
    Invalid,
    /// A write that may or may not have been applied.
    Ambiguous,
    Unreachable,
    NotSent,
    Other,
}

/// Counts by upper bound. The bounds are those of its metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// One for each bound, then one for what is above all of them; empty before the first.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    pub fn count(&mut self, bounds: &[f64], value: Duration) {
        let seconds = value.as_secs_f64();
        self.counts.resize(bounds.len() + 1, 0);
        let bucket = bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += seconds;
    }

    /// How many are at most as large as each of `bounds`.
    pub fn cumulative<'a>(&'a self, bounds: &'a [f64]) -> impl Iterator<Item = (f64, u64)> + 'a {
        let mut below = 0;
        bounds.iter().enumerate().map(move |(i, bound)| {
            below += self.counts.get(i).copied().unwrap_or(0);
            (*bound, below)
        })
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

impl MoveOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            MoveOutcome::Proven => "proven",
            MoveOutcome::Contradicted => "contradicted",
            MoveOutcome::Unverified => "unverified",
            MoveOutcome::NotApplied => "not-applied",
            MoveOutcome::NotSent => "not-sent",
        }
    }
}

impl Action {
    /// Every request with every answer it can get.
    pub fn answers() -> impl Iterator<Item = (Action, Answer)> {
        use Answer::{
            Ambiguous, Busy, Credentials, Denied, Invalid, NoSuchZone, NotSent, Ok, Other, Precondition, Throttled,
            Unreachable,
        };
        const READ: &[Answer] = &[Ok, Throttled, Denied, Credentials, NoSuchZone, Unreachable, Other];
        const WRITE: &[Answer] =
            &[Ok, Precondition, Throttled, Busy, Denied, Credentials, NoSuchZone, Invalid, Ambiguous, NotSent];
        let with = |action, answers: &'static [Answer]| answers.iter().map(move |answer| (action, *answer));
        let reads = [Action::ResolveZone, Action::ReadRecord, Action::GetChange];
        reads.into_iter().flat_map(move |action| with(action, READ)).chain(with(Action::Write, WRITE))
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Action::ResolveZone => "resolve-zone",
            Action::ReadRecord => "read-record",
            Action::GetChange => "get-change",
            Action::Write => "write",
        }
    }
}

impl Answer {
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Ok => "ok",
            Answer::Precondition => "precondition",
            Answer::Throttled => "throttled",
            Answer::Busy => "busy",
            Answer::Denied => "denied",
            Answer::Credentials => "credentials",
            Answer::NoSuchZone => "no-such-zone",
            Answer::Invalid => "invalid",
            Answer::Ambiguous => "ambiguous",
            Answer::Unreachable => "unreachable",
            Answer::NotSent => "not-sent",
            Answer::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_at_most_its_bound() {
        let mut histogram = Histogram::default();
        for ms in [1, 5, 6, 3000] {
            histogram.count(PROBE_BOUNDS, Duration::from_millis(ms));
        }
        let cumulative: Vec<(f64, u64)> = histogram.cumulative(PROBE_BOUNDS).collect();
        assert_eq!(cumulative, [(0.005, 2), (0.025, 3), (0.1, 3), (0.25, 3), (1.0, 3), (2.5, 3)]);
        assert_eq!(histogram.total(), 4);
        assert!((histogram.sum() - 3.012).abs() < 1e-9, "{}", histogram.sum());
        assert_eq!(Histogram::default().cumulative(LAG_BOUNDS).last(), Some((10.0, 0)), "nothing counted yet");
    }
}
