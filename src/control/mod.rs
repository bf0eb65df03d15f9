//! Versioned commands and views, served on a Unix socket beside the state file.
//!
//! One line of JSON asks, one line of JSON answers. Renders nothing and decides nothing:
//! a request becomes a wake-up of the controller or a reading of history.

pub mod client;
pub mod protocol;
pub mod server;
