//! When the write path is rehearsed: the schedule of `[rehearsal]` against the wall clock. Never
//! decides whether a policy can be rehearsed; the engine does.

use crate::config::calendar::{Schedule, next_after};
use crate::domain::UnixMs;
use crate::engine::journal::Restored;

/// Most firings looked at to find the last one.
const STEPS: usize = 10_000;

/// The next rehearsal.
#[derive(Clone, Debug)]
pub struct Drill {
    schedule: Schedule,
    next: Option<UnixMs>,
}

impl Drill {
    /// `None`: the schedule is off, or cannot be read. One that was due while no process looked is
    /// due now; a first process waits for its first firing.
    pub fn new(schedule: Option<&str>, restored: &Restored, now: UnixMs) -> Option<Drill> {
        let schedule = match Schedule::new(schedule?, "UTC") {
            Ok(schedule) => schedule,
            Err(advice) => {
                tracing::error!("the schedule of [rehearsal] cannot be read, nothing is rehearsed: {}", advice.what);
                return None;
            }
        };
        // The policy that waits longest; one that never was rehearsed counts from when it was last seen.
        let last = restored.snapshots.iter().map(|s| s.rehearsal.as_ref().map_or(s.at, |r| r.at)).min();
        let next = next_after(&schedule, last.map_or(now, |last| last.min(now)));
        Some(Drill { schedule, next })
    }

    /// The last firing up to `now`; told once for all there were since the last question.
    pub fn fired(&mut self, now: UnixMs) -> Option<UnixMs> {
        let mut last = self.next.filter(|next| *next <= now)?;
        for _ in 0..STEPS {
            match next_after(&self.schedule, last).filter(|next| *next <= now) {
                Some(next) => last = next,
                None => break,
            }
        }
        self.next = next_after(&self.schedule, now);
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Epoch, PolicyId};
    use crate::engine::journal::{PolicySnapshot, RehearsalSnapshot};

    const DAY: u64 = 86_400_000;

    fn snapshot(at: u64, rehearsed: Option<u64>) -> PolicySnapshot {
        PolicySnapshot {
            policy: PolicyId::new("web").unwrap(),
            at: UnixMs(at),
            epoch: Epoch(1),
            targets: vec![],
            moves: vec![],
            hold_down_until: None,
            locked: None,
            frozen: None,
            failback_blocked: false,
            unverified: false,
            drained: vec![],
            trims: vec![],
            fills: vec![],
            rehearsal: rehearsed.map(|at| RehearsalSnapshot {
                at: UnixMs(at),
                ok: true,
                detail: String::new(),
                accepted: None,
                insync: None,
                every_server: None,
            }),
            left: None,
            hands: Vec::new(),
            zone: Default::default(),
        }
    }

    #[test]
    fn a_rehearsal_missed_between_processes_is_due_at_once_and_once() {
        // 02:00 UTC each day.
        let (schedule, hour) = ("0 0 2 * * *", 3_600_000);
        let day = 20_000 * DAY;
        for (snapshots, now, due) in [
            (vec![], day + 3 * hour, false),
            (vec![snapshot(day, Some(day - DAY + 2 * hour))], day + hour, false),
            (vec![snapshot(day, Some(day - DAY + 2 * hour))], day + 2 * hour, true),
            (vec![snapshot(day, None)], day + 2 * hour, true),
            (vec![snapshot(day + 2 * hour, None)], day + 3 * hour, false),
            (vec![snapshot(day, Some(day)), snapshot(day, Some(day - 5 * DAY))], day + hour, true),
        ] {
            let restored = Restored { snapshots, open_intents: vec![] };
            let mut drill = Drill::new(Some(schedule), &restored, UnixMs(now)).unwrap();
            assert_eq!(drill.fired(UnixMs(now)).is_some(), due, "{restored:?}");
            assert!(drill.fired(UnixMs(now)).is_none(), "told once");
            assert!(drill.fired(UnixMs(now + DAY)).is_some(), "and again the next day");
        }
        assert!(Drill::new(None, &Restored::default(), UnixMs(0)).is_none());
    }
}
