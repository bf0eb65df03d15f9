//! A line to whoever carries out commands: the daemon's socket, or a controller in this process.

use std::path::PathBuf;

use crate::control::client::{AskError, ask};
use crate::control::protocol::{Answer, Request};
use crate::engine::report::Report;
use crate::runtime::hand::Local;

pub enum Line {
    /// The daemon that owns this state file.
    Daemon(PathBuf),
    Here(Local),
}

impl Line {
    pub async fn ask(&self, request: Request) -> Result<Answer, AskError> {
        match self {
            Line::Daemon(state) => ask(state, request).await,
            Line::Here(local) => Ok(local.ask(request).await),
        }
    }

    /// The report of one policy; the answer instead when there is none.
    pub async fn report(&self, policy: &str) -> Result<Result<Box<Report>, Answer>, AskError> {
        Ok(match self.ask(Request::Status { policy: Some(policy.to_owned()) }).await? {
            Answer::Status(mut status) if !status.reports.is_empty() => Ok(Box::new(status.reports.swap_remove(0))),
            Answer::Status(_) => Err(Answer::error(format!("there is no report about `{policy}`"))),
            other => Err(other),
        })
    }
}
