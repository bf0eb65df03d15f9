//! failoverd: a DNS failover controller that fears the wrong switch more than the slow one.
//!
//! The contract in one paragraph: [`engine`] is synchronous and clock-free; it turns
//! `(Fleet, Now, Event)` into `Action`s and never performs I/O. Everything that touches the
//! world (`probe`, `dns`, `store`, `notify`) is dumb: it does one action and answers with one
//! event. [`runtime`] joins the two in one select loop. Traffic moves only through a fenced
//! batch: the zone itself refuses a stale write.
//!
//! ARCHITECTURE.md is the map of the rooms and lists what each room never does.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod dns;
pub mod domain;
pub mod engine;
pub mod notify;
pub mod probe;
pub mod runtime;
pub mod sandbox;
pub mod secret;
pub mod seeded;
pub mod store;
pub mod telemetry;
pub mod version;
