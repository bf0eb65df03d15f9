//! What can wake the loop, and who asked.

use std::net::SocketAddr;

use tokio::sync::oneshot;

use crate::control::protocol::{Answer, Request};
use crate::domain::{Policy, ZoneIdx, ZoneRef};
use crate::engine::event::Event;
use crate::engine::zone::{ApiError, ZoneInfo};
use crate::probe::schedule::Ended;

use super::overseer::Looked;

/// Everything that can wake the loop.
#[derive(Debug)]
pub enum Wakeup {
    /// `next_deadline` is reached.
    Deadline,
    Beat,
    Probes(Vec<Ended>),
    /// An answer of the world, as the engine takes it.
    Event(Box<Event>),
    /// A zone was resolved, or not; the runtime learns its servers before the engine hears of it.
    Zone {
        zone: ZoneIdx,
        zone_ref: ZoneRef,
        result: Result<ZoneInfo, ApiError>,
    },
    Servers {
        zone_ref: ZoneRef,
        addresses: Vec<SocketAddr>,
    },
    Asked(Asked),
    /// For metrics and health checks.
    Look(oneshot::Sender<Looked>),
    /// New policies, already validated as a whole.
    Policies(Vec<Policy>, oneshot::Sender<Result<(), String>>),
    Stop,
}

impl Wakeup {
    pub fn event(event: Event) -> Wakeup {
        Wakeup::Event(Box::new(event))
    }
}

/// A request from outside and where its answer goes.
#[derive(Debug)]
pub struct Asked {
    pub request: Request,
    pub by: String,
    pub answer: oneshot::Sender<Answer>,
}
