//! Metrics and health over HTTP: `/metrics`, `/healthz`, `/readyz`.
//!
//! Reads only. No page writes, decides or waits long for the loop; whoever calls gets one small
//! request's worth of time and memory.

mod pages;
mod server;
mod token;

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::telemetry::Sample;

pub use server::{ListenError, Server};
pub use token::Door;

/// What the pages ask. The runtime answers.
pub trait Oversight: Send + Sync + 'static {
    /// How long ago the loop last turned.
    fn last_turn(&self) -> Duration;

    /// The present state, or why it cannot be had. The caller bounds the wait.
    fn sample(&self) -> BoxFuture<'_, Result<Sample, String>>;
}
