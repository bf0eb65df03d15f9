//! The budget of provider API calls: in any second at most `burst + rate` (invariant I8).

use std::time::Duration;

use crate::domain::{ApiBudget, Tick};

/// A token bucket that may be overdrawn by calls which turned out to take more requests.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Tick,
}

impl TokenBucket {
    pub fn new(budget: ApiBudget, now: Tick) -> TokenBucket {
        let burst = f64::from(budget.burst.max(1));
        TokenBucket { rate: budget.rate.max(0.001), burst, tokens: burst, filled: now }
    }

    /// Takes `calls` at once, or nothing. A demand above `burst` waits for a full bucket and overdraws it.
    pub fn take(&mut self, calls: u32, now: Tick) -> bool {
        self.fill(now);
        if self.missing(calls, now) > 0.0 {
            return false;
        }
        self.tokens -= f64::from(calls);
        true
    }

    /// Charges requests that were made beyond what was taken.
    pub fn charge(&mut self, calls: u32, now: Tick) {
        self.fill(now);
        self.tokens -= f64::from(calls);
    }

    /// Calls that could be made now; below zero while it is overdrawn.
    pub fn left(&self, now: Tick) -> f64 {
        (self.tokens + self.rate * now.since(self.filled).as_secs_f64()).min(self.burst)
    }

    /// When `take(calls)` will succeed if nothing else is taken.
    pub fn ready_at(&self, calls: u32, now: Tick) -> Tick {
        let missing = self.missing(calls, now);
        if missing <= 0.0 {
            return now;
        }
        now + Duration::from_secs_f64(missing / self.rate) + Duration::from_millis(1)
    }

    /// A rounding error is no missing call.
    fn missing(&self, calls: u32, now: Tick) -> f64 {
        f64::from(calls).min(self.burst) - self.left(now) - 1e-9
    }

    /// When the bucket was last looked at.
    pub fn filled_at(&self) -> Tick {
        self.filled
    }

    fn fill(&mut self, now: Tick) {
        self.tokens = self.left(now);
        self.filled = now.max(self.filled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_than_burst_plus_rate() {
        let mut bucket = TokenBucket::new(ApiBudget { rate: 5.0, burst: 10 }, Tick(0));
        let mut taken: Vec<u64> = Vec::new();
        for ms in 0..10_000 {
            while bucket.take(1, Tick(ms)) {
                taken.push(ms);
            }
        }
        let worst = taken.iter().map(|from| taken.iter().filter(|t| (*from..from + 1000).contains(t)).count()).max();
        assert_eq!((taken.len(), worst), (10 + 49, Some(15 - 1)));
    }

    #[test]
    fn the_told_time_is_when_it_can_be_taken_and_not_before() {
        let mut bucket = TokenBucket::new(ApiBudget { rate: 2.0, burst: 4 }, Tick(0));
        assert!(bucket.take(4, Tick(0)));
        bucket.charge(2, Tick(0));
        let at = bucket.ready_at(1, Tick(0));
        assert!(!bucket.clone().take(1, Tick(at.0 - 3)));
        assert!(bucket.take(1, at));
        assert!(bucket.ready_at(99, at) > at, "a demand above the burst waits for a full bucket");
    }
}
