//! The only reader of clocks. Everything else is handed a `Now` or a `Tick`.
//!
//! Never decides what a jump means: it tells that the wall clock and the monotonic one
//! disagree, and by how much.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::domain::{Now, Tick, UnixMs};

/// A difference above this between the clocks is a jump (somebody set the clock, or the machine slept).
pub const JUMP: Duration = Duration::from_secs(5);

const FAR: Duration = Duration::from_secs(86_400);

/// Tick of the moment the clock was started: a year above zero, so that what an earlier run or a
/// peer left can be told as old as it is.
const FIRST: Tick = Tick(366 * 86_400_000);

/// Wall-clock time now, for what has no running clock at hand (a line in a file, a request).
#[allow(clippy::disallowed_methods, reason = "this room is the one that reads clocks")]
pub fn wall() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Both clocks of one process. A copy counts from the same origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    wall: fn() -> UnixMs,
}

impl Clock {
    pub fn start() -> Clock {
        Clock::with_wall(wall)
    }

    /// A clock whose wall is read by `wall`; the monotonic half is tokio's, so tests may pause it.
    pub fn with_wall(wall: fn() -> UnixMs) -> Clock {
        Clock { origin: Instant::now(), wall }
    }

    pub fn now(&self) -> Now {
        Now { mono: self.tick(Instant::now()), wall: (self.wall)() }
    }

    /// The tick of an instant measured elsewhere in this process; whole milliseconds, rounded down.
    pub fn tick(&self, at: Instant) -> Tick {
        match at.checked_duration_since(self.origin) {
            Some(later) => FIRST + later,
            None => FIRST - self.origin.duration_since(at),
        }
    }

    /// The first instant at which [`Clock::now`] has reached `tick`; for one too far away to be
    /// told, a day from now.
    pub fn instant(&self, tick: Tick) -> Instant {
        self.origin.checked_add(tick.since(FIRST)).unwrap_or_else(|| Instant::now() + FAR)
    }
}

/// Compares the two clocks from one look to the next.
#[derive(Clone, Copy, Debug)]
pub struct JumpWatch {
    last: Now,
}

impl JumpWatch {
    pub fn new(now: Now) -> JumpWatch {
        JumpWatch { last: now }
    }

    /// Milliseconds by which the wall clock ran ahead (or fell behind) since the last look, when
    /// that is more than [`JUMP`]. Slow drift within one look is followed silently.
    pub fn look(&mut self, now: Now) -> Option<i64> {
        let mono = now.mono.since(self.last.mono);
        let expected = self.last.wall + mono;
        let ahead = signed(now.wall.since(expected)) - signed(expected.since(now.wall));
        self.last = now;
        (ahead.unsigned_abs() > signed(JUMP).unsigned_abs()).then_some(ahead)
    }
}

fn signed(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tick_and_its_instant_are_one() {
        let clock = Clock::start();
        let before = Instant::now();
        tokio::time::advance(Duration::from_millis(1500)).await;
        let now = clock.now();
        assert_eq!(now.mono.since(clock.tick(before)), Duration::from_millis(1500));
        assert_eq!(clock.tick(clock.instant(now.mono)), now.mono);
        tokio::time::sleep_until(clock.instant(now.mono + Duration::from_secs(2))).await;
        assert!(clock.now().mono >= now.mono + Duration::from_secs(2));
    }

    #[test]
    fn only_more_than_five_seconds_apart_is_a_jump() {
        let start = Now { mono: Tick(1_000_000), wall: UnixMs(1_000_000_000) };
        for (mono, wall, jump) in [
            (1000, 1000, None),
            (1000, 5900, None),
            (1000, 6001, None.or(Some(5001))),
            (10_000, 4999, Some(-5001)),
            (10_000, 5000, None),
            (60_000, 3_660_000, Some(3_600_000)),
        ] {
            let mut watch = JumpWatch::new(start);
            let now = Now { mono: Tick(start.mono.0 + mono), wall: UnixMs(start.wall.0 + wall) };
            assert_eq!(watch.look(now), jump, "{mono} {wall}");
            assert_eq!(watch.look(now), None, "told once");
        }
    }
}
