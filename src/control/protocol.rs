//! What is said on the control socket. Version 1; new fields are optional, none changes its meaning.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::UnixMs;
use crate::engine::journal::Transition;
use crate::engine::report::Report;

pub const VERSION: u32 = 1;

/// A request line above this many bytes is refused.
pub const MAX_REQUEST: usize = 64 * 1024;

/// Whoever talks has this long to send a line, and the daemon to answer it.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The socket of the daemon that owns `state`: `failoverd.db` → `failoverd.db.sock`.
pub fn socket_path(state: &Path) -> PathBuf {
    let mut path = state.as_os_str().to_owned();
    path.push(".sock");
    PathBuf::from(path)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub version: u32,
    pub request: Request,
    /// Login name of the person, for the audit trail; the daemon adds the user id it sees.
    #[serde(default)]
    pub by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do", deny_unknown_fields)]
pub enum Request {
    Ping,
    /// Reports of one policy or of all.
    Status {
        #[serde(default)]
        policy: Option<String>,
    },
    Explain {
        policy: String,
    },
    /// The newest transitions, oldest first.
    History {
        #[serde(default)]
        policy: Option<String>,
        #[serde(default = "default_limit")]
        limit: u32,
    },
    Freeze {
        #[serde(default)]
        policy: Option<String>,
        reason: String,
    },
    Unfreeze {
        #[serde(default)]
        policy: Option<String>,
        reason: String,
    },
    Ack {
        policy: String,
        #[serde(default)]
        reason: String,
    },
    Adopt {
        policy: String,
        /// Default: the target the live record publishes.
        #[serde(default)]
        to: Option<String>,
        #[serde(default)]
        reason: String,
    },
}

fn default_limit() -> u32 {
    100
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    pub version: u32,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Answer {
    Pong {
        instance: String,
        pid: u32,
    },
    Status(Status),
    History {
        transitions: Vec<Transition>,
    },
    /// A command was carried out or is under way.
    Accepted {
        text: String,
    },
    /// A rule forbids it; the text names the next command.
    Refused {
        text: String,
    },
    /// The request itself is wrong, or the daemon cannot answer it.
    Error {
        text: String,
    },
}

/// What `status` and `explain` render.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub at: UnixMs,
    pub cluster: String,
    pub instance: String,
    /// An `--observe` process writes nothing.
    pub observe: bool,
    pub reports: Vec<Report>,
}

impl Answer {
    pub fn error(text: impl Into<String>) -> Answer {
        Answer::Error { text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_as_the_documentation_shows_it() {
        for (line, request) in [
            (r#"{"version":1,"request":{"do":"ping"}}"#, Request::Ping),
            (r#"{"version":1,"request":{"do":"status"}}"#, Request::Status { policy: None }),
            (r#"{"version":1,"request":{"do":"history"}}"#, Request::History { policy: None, limit: 100 }),
            (
                r#"{"version":1,"by":"ada","request":{"do":"freeze","policy":"web","reason":"night"}}"#,
                Request::Freeze { policy: Some("web".into()), reason: "night".into() },
            ),
        ] {
            let asked: Asked = serde_json::from_str(line).unwrap();
            assert_eq!((asked.version, asked.request), (VERSION, request));
        }
        assert!(serde_json::from_str::<Asked>(r#"{"version":1,"request":{"do":"freeze"}}"#).is_err(), "no reason");
    }

    #[test]
    fn the_socket_lies_beside_the_state_file() {
        assert_eq!(socket_path(Path::new("/var/lib/x/failoverd.db")), Path::new("/var/lib/x/failoverd.db.sock"));
    }
}
