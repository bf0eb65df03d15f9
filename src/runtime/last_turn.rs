//! Whether the loop turns, for whoever must know without asking it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::Tick;

use super::clock::Clock;

#[derive(Debug)]
pub struct LastTurn {
    clock: Clock,
    at: AtomicU64,
}

impl LastTurn {
    pub fn new(clock: Clock) -> LastTurn {
        LastTurn { clock, at: AtomicU64::new(clock.now().mono.0) }
    }

    /// The loop turned.
    pub fn now(&self) {
        self.at.store(self.clock.now().mono.0, Ordering::Relaxed);
    }

    /// How long ago it did.
    pub fn age(&self) -> Duration {
        self.clock.now().mono.since(Tick(self.at.load(Ordering::Relaxed)))
    }
}
