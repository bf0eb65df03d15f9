//! The line that says the loop turns: one INFO `alive` each minute, for an alarm on its absence.
//!
//! Asked by the loop itself and never by a task of its own, so a loop that hangs writes none.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::InstanceName;
use crate::engine::report::Pulse;
use crate::version;

/// From one line to the next. An alarm should wait for more than one missing line.
pub const PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Alive {
    started: Instant,
    next: Instant,
}

impl Alive {
    /// Due at once, so that a start is seen.
    pub fn new(now: Instant) -> Alive {
        Alive { started: now, next: now }
    }

    /// How long this process runs, when a line is due. Lines that a hung loop missed are not made up for.
    pub fn due(&mut self, now: Instant) -> Option<Duration> {
        if now < self.next {
            return None;
        }
        let next = self.next + PERIOD;
        self.next = if next > now { next } else { now + PERIOD };
        Some(now.duration_since(self.started))
    }
}

/// Writes the line. Its message and fields are a contract: alarms filter on them.
pub fn say(pulse: Pulse, uptime: Duration, instance: &InstanceName) {
    let Pulse { policies, moving, blind, frozen, store_ok } = pulse;
    let (uptime_s, version, commit) = (uptime.as_secs(), version::VERSION, version::COMMIT);
    tracing::info!(policies, moving, blind, frozen, store_ok, uptime_s, version, commit, %instance, "alive");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_due_at_the_start_then_each_minute_without_drift() {
        let start = Instant::now();
        let mut alive = Alive::new(start);
        let due: Vec<u64> = (0..2_000_u64)
            .map(|i| i * 100)
            .filter(|ms| alive.due(start + Duration::from_millis(*ms)).is_some())
            .map(|ms| ms / 1000)
            .collect();
        assert_eq!(due, [0, 60, 120, 180]);
        let (mut early, mut late) = (Alive::new(start), Alive::new(start));
        for (at, uptime) in [(0, Some(0)), (61, Some(61)), (119, None), (120, Some(120))] {
            let found = early.due(start + Duration::from_secs(at)).map(|d| d.as_secs());
            assert_eq!(found, uptime, "a late look does not move the next line: {at}");
        }
        for (at, uptime) in [(0, Some(0)), (400, Some(400)), (401, None), (459, None), (460, Some(460))] {
            let found = late.due(start + Duration::from_secs(at)).map(|d| d.as_secs());
            assert_eq!(found, uptime, "missed lines stay missed: {at}");
        }
    }
}
