//! One file per command; talks to runtime entry points and control only.

pub mod probe;
pub mod sandbox;
