//! The sandbox as the real SDK and real DNS messages see it: strict, typed, atomic, and as
//! faulty as it is told to be.

mod aliases;
mod api;
mod command;
mod dns;
pub mod rig;
