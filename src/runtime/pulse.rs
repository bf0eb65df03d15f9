//! Whether the loop turns, for whoever must know without asking it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::Tick;

use super::clock::Clock;

#[derive(Debug)]
pub struct Pulse {
    clock: Clock,
    last: AtomicU64,
}

impl Pulse {
    pub fn new(clock: Clock) -> Pulse {
        Pulse { clock, last: AtomicU64::new(clock.now().mono.0) }
    }

    /// The loop turned.
    pub fn beat(&self) {
        self.last.store(self.clock.now().mono.0, Ordering::Relaxed);
    }

    /// How long ago it did.
    pub fn age(&self) -> Duration {
        self.clock.now().mono.since(Tick(self.last.load(Ordering::Relaxed)))
    }
}
