//! Tells people: pure rendering, one file per receiver type, and one attempt to send.
//!
//! Never retries, stores or decides who is told; `runtime::courier` does. A receiver's URL and key
//! are secrets: they are in no error, no log and no payload.

mod answer;
mod door;
pub mod render;
mod sign;
mod sink;

pub use sink::{ClientError, SendResult, Sink, SinkKind, client};
