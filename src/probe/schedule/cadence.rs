//! The arithmetic of starts: the grid, phases, and cron firings. Reads no clock.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::domain::{Cadence, Check, UnixMs};

use super::Item;

/// No tick at all.
pub(super) const NEVER: u64 = u64::MAX;

const STEP: Duration = Duration::from_millis(5);

/// A cron cadence looks at the wall clock this often, so that a clock set meanwhile matters little.
const LOOK: Duration = Duration::from_secs(60);

/// First starts of many new targets are at least this far apart.
const FIRST_APART: Duration = Duration::from_millis(1);

/// Ticks of 5 ms from one origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    origin: Instant,
}

impl Grid {
    pub(super) fn from(origin: Instant) -> Grid {
        Grid { origin }
    }

    /// The first tick at or after `at`.
    pub(super) fn after(&self, at: Instant) -> u64 {
        ticks(at.duration_since(self.origin) + STEP - Duration::from_nanos(1))
    }

    /// The last tick at or before `now`.
    pub(super) fn passed(&self, now: Instant) -> u64 {
        ticks(now.duration_since(self.origin))
    }

    pub(super) fn instant(&self, tick: u64) -> Instant {
        let step = u64::try_from(STEP.as_millis()).unwrap_or(1);
        // A year away when it cannot be told: `sleep_until` is called anew with every event.
        let far = Duration::from_secs(365 * 86_400);
        let away = Duration::from_millis(tick.saturating_mul(step));
        self.origin.checked_add(away).unwrap_or_else(|| self.origin + far)
    }
}

fn ticks(since: Duration) -> u64 {
    u64::try_from(since.as_nanos() / STEP.as_nanos()).unwrap_or(NEVER - 1)
}

/// Phase of each item within its interval: k/N over the items of equal interval.
pub(super) fn phases(items: &[Item]) -> Vec<Duration> {
    let mut count: HashMap<Duration, u32> = HashMap::new();
    let number: Vec<u32> = items
        .iter()
        .map(|item| {
            let of = count.entry(interval(&item.check)).or_default();
            *of += 1;
            *of - 1
        })
        .collect();
    items
        .iter()
        .zip(number)
        .map(|(item, k)| {
            let interval = interval(&item.check);
            let of = count.get(&interval).copied().unwrap_or(1).max(1);
            interval.mul_f64(f64::from(k) / f64::from(of))
        })
        .collect()
}

/// Zero for cron: all start when it fires.
fn interval(check: &Check) -> Duration {
    match check.cadence {
        Cadence::Every(interval) => interval,
        Cadence::Schedule(_) => Duration::ZERO,
    }
}

/// Wait before the first probe of the `k`-th of `of` new targets: soon, but not all at once.
pub(super) fn first(check: &Check, k: usize, of: usize) -> Duration {
    let of = u32::try_from(of.max(1)).unwrap_or(u32::MAX);
    let window = check.fast_interval.max(FIRST_APART * of);
    let window = match check.cadence {
        Cadence::Every(interval) => window.min(interval),
        Cadence::Schedule(_) => window,
    };
    window.mul_f64(u32::try_from(k).map_or(0.0, f64::from) / f64::from(of))
}

/// When a target is probed in calm.
#[derive(Debug)]
pub(super) enum Calm {
    Every {
        interval: Duration,
        phase: Duration,
    },
    Cron {
        schedule: Box<cron::Schedule>,
        /// The next firing; `None` once it never fires again: then every look is one.
        fire: Option<UnixMs>,
    },
}

impl Calm {
    /// An expression that cannot be read (the configuration was to refuse it) means once a minute:
    /// to probe too often is the safe side.
    pub(super) fn new(check: &Check, phase: Duration, wall: UnixMs) -> Calm {
        match &check.cadence {
            Cadence::Every(interval) => Calm::Every { interval: (*interval).max(STEP), phase },
            Cadence::Schedule(text) => match cron::Schedule::from_str(text) {
                Ok(schedule) => Calm::Cron { fire: firing(&schedule, wall), schedule: Box::new(schedule) },
                Err(error) => {
                    tracing::warn!(%error, schedule = text, "unreadable schedule, probing every minute instead");
                    Calm::Every { interval: LOOK, phase }
                }
            },
        }
    }

    /// The tick of the next start, or of the next look at the wall clock, after `now`.
    pub(super) fn next(&mut self, grid: &Grid, now: Instant, wall: UnixMs) -> u64 {
        match self {
            Calm::Every { interval, phase } => {
                let since = now.duration_since(grid.origin);
                let next = match since.checked_sub(*phase) {
                    // The phase point after those passed, in nanoseconds: a u64 holds 584 years of them.
                    Some(later) => {
                        let period = interval.as_nanos().max(1);
                        let away = (later.as_nanos() / period + 1) * period;
                        *phase + Duration::from_nanos(u64::try_from(away).unwrap_or(u64::MAX))
                    }
                    None => *phase,
                };
                grid.after(grid.origin + next)
            }
            Calm::Cron { schedule, fire } => {
                let before = fire.take();
                *fire = firing(schedule, wall);
                if before.is_some() && fire.is_none() {
                    tracing::warn!(%schedule, "the schedule never fires again, probing every minute instead");
                }
                let wait = fire.map_or(LOOK, |fire| fire.since(wall).min(LOOK));
                grid.after(now + wait)
            }
        }
    }

    /// Whether a start that is due is one, not only a look at the wall clock.
    pub(super) fn fires(&self, wall: UnixMs) -> bool {
        match self {
            Calm::Every { .. } => true,
            Calm::Cron { fire, .. } => fire.is_none_or(|fire| wall >= fire),
        }
    }
}

fn firing(schedule: &cron::Schedule, wall: UnixMs) -> Option<UnixMs> {
    let now: DateTime<Utc> = DateTime::from_timestamp_millis(i64::try_from(wall.0).ok()?)?;
    let next = schedule.after(&now).next()?;
    u64::try_from(next.timestamp_millis()).ok().map(UnixMs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_next_start_is_the_next_own_phase() {
        let origin = Instant::now();
        let grid = Grid::from(origin);
        let ms = Duration::from_millis;
        let mut calm = Calm::Every { interval: ms(1000), phase: ms(250) };
        for (now, next) in [(0, 250), (249, 250), (250, 1250), (251, 1250), (1249, 1250), (1250, 2250), (9_999, 10_250)]
        {
            let tick = calm.next(&grid, origin + ms(now), UnixMs(0));
            assert_eq!(grid.instant(tick) - origin, ms(next), "{now}");
        }
        assert_eq!((grid.after(origin + ms(5)), grid.after(origin + ms(6)), grid.passed(origin + ms(9))), (1, 2, 1));
        assert!(grid.instant(NEVER - 1) > origin + LOOK);
    }
}
