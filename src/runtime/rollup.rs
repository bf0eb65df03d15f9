//! Counts probes by target and minute, for history. Keeps at most one minute in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{Outcome, PolicyId, PolicyIdx, TargetIdx, TargetName, UnixMs};

const MINUTE_MS: u64 = 60_000;

/// What one target's probes of one minute gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    pub policy: PolicyIdx,
    pub target: TargetIdx,
    pub counts: Counts,
}

/// The same with names, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub policy: PolicyId,
    pub target: TargetName,
    pub minute: UnixMs,
    pub counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub up: u32,
    pub down: u32,
    pub unknown: u32,
    /// Durations of the probes that ended `Up`, summed and largest.
    pub up_total: Duration,
    pub up_max: Duration,
}

/// The minute being counted.
#[derive(Debug, Default)]
pub struct Rollup {
    minute: UnixMs,
    counts: BTreeMap<(PolicyIdx, TargetIdx), Counts>,
}

impl Rollup {
    pub fn count(&mut self, policy: PolicyIdx, target: TargetIdx, outcome: Outcome, took: Duration) {
        let counts = self.counts.entry((policy, target)).or_default();
        match outcome {
            Outcome::Up => {
                counts.up += 1;
                counts.up_total += took;
                counts.up_max = counts.up_max.max(took);
            }
            Outcome::Down(_) => counts.down += 1,
            Outcome::Unknown(_) => counts.unknown += 1,
        }
    }

    /// The finished minute and its counts, once `now` lies in another one.
    pub fn turn(&mut self, now: UnixMs) -> Option<(UnixMs, Vec<Minute>)> {
        let minute = UnixMs(now.0 - now.0 % MINUTE_MS);
        if minute == self.minute {
            return None;
        }
        let finished = std::mem::replace(&mut self.minute, minute);
        let rows: Vec<Minute> = std::mem::take(&mut self.counts)
            .into_iter()
            .map(|((policy, target), counts)| Minute { policy, target, counts })
            .collect();
        (!rows.is_empty()).then_some((finished, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DownReason;

    #[test]
    fn a_minute_is_told_once_when_it_is_over() {
        let mut rollup = Rollup::default();
        assert_eq!(rollup.turn(UnixMs(120_000)), None, "nothing counted yet");
        for (outcome, ms) in [(Outcome::Up, 10), (Outcome::Up, 30), (Outcome::Down(DownReason::ConnectRefused), 1)] {
            rollup.count(PolicyIdx(0), TargetIdx(1), outcome, Duration::from_millis(ms));
        }
        assert_eq!(rollup.turn(UnixMs(179_999)), None);
        let (minute, rows) = rollup.turn(UnixMs(180_000)).unwrap();
        assert_eq!(minute, UnixMs(120_000));
        let counts = rows[0].counts;
        assert_eq!((counts.up, counts.down, counts.unknown), (2, 1, 0));
        assert_eq!((counts.up_total.as_millis(), counts.up_max.as_millis()), (40, 30));
        assert_eq!(rollup.turn(UnixMs(240_000)), None);
    }
}
