//! When the write path is rehearsed: the schedule of `[rehearsal]` against the wall clock. Never
//! decides whether a policy can be rehearsed; the engine does.

use std::time::Duration;

use crate::config::calendar::{Schedule, next_after};
use crate::domain::UnixMs;
use crate::engine::journal::Restored;

/// Most firings looked at to find the last one.
const STEPS: usize = 10_000;
/// Firings looked at to know how far apart they are.
const FIRINGS: usize = 40;

/// The next rehearsal.
#[derive(Clone, Debug)]
pub struct Drill {
    schedule: Schedule,
    next: Option<UnixMs>,
    cadence: Option<Duration>,
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
        let cadence = cadence(&schedule, now);
        Some(Drill { schedule, next, cadence })
    }

    /// The longest time from one firing to the next, as seen from the start.
    pub fn cadence(&self) -> Option<Duration> {
        self.cadence
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

/// The longest time from one firing of a schedule to the next, as seen from `now`.
pub fn cadence(schedule: &Schedule, now: UnixMs) -> Option<Duration> {
    let firings: Vec<UnixMs> =
        std::iter::successors(next_after(schedule, now), |at| next_after(schedule, *at)).take(FIRINGS).collect();
    firings.windows(2).filter_map(|w| Some(w.last()?.since(*w.first()?))).max()
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
            called: None,
            forced: false,
            seen: None,
            drained: vec![],
            trims: vec![],
            fills: vec![],
            repairs: vec![],
            peer_until: None,
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

    #[test]
    fn the_cadence_is_the_longest_gap_of_the_schedule() {
        for (schedule, hours) in [("0 0 * * * *", 1), ("0 0 2 * * *", 24), ("0 0 2 * * Mon-Fri", 72)] {
            let drill = Drill::new(Some(schedule), &Restored::default(), UnixMs(20_000 * DAY)).unwrap();
            assert_eq!(drill.cadence(), Some(Duration::from_secs(hours * 3600)), "{schedule}");
        }
    }
}
