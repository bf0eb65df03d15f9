//! Every decision, and nothing else.
//!
//! PURE: synchronous and clock-free. The same events give the same actions, byte for byte.
//! Nothing in this room performs I/O, awaits, reads a clock, draws a random number, logs, or
//! iterates a hash map; a test reads the source and keeps it so.

pub mod action;
pub mod event;
pub mod fleet;
pub mod intent;
pub mod journal;
pub mod notice;
pub mod report;
pub mod zone;

pub use fleet::{Fleet, Mode, next_deadline, report, step};
