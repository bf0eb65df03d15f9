//! Every decision, and nothing else.
//!
//! PURE: synchronous and clock-free. The same events give the same actions, byte for byte.
//! Nothing in this room performs I/O, awaits, reads a clock, draws a random number, logs, or
//! iterates a hash map; a test reads the source and keeps it so.

pub mod action;
pub mod batch;
mod brake;
pub mod budget;
mod calls;
mod damaged;
mod evacuation;
pub mod event;
pub mod fence;
pub mod fleet;
mod guard;
mod hand;
mod health;
pub mod ids;
pub mod intent;
pub mod journal;
mod kept;
mod line;
mod live;
pub mod notice;
pub mod obstacle;
pub mod orphan;
mod own;
mod peer;
pub mod plan;
mod planned;
mod policy;
mod rehearse;
pub mod report;
mod resolve;
mod select;
mod sight;
mod state;
mod switch;
mod tonight;
mod verify;
pub mod vitals;
mod watch;
mod why;
pub mod zone;
mod zones;

pub use fleet::{Fleet, Mode, next_deadline, report, step};
