//! What is said on the control socket. Version 1; new fields are optional, none changes its meaning.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::UnixMs;
use crate::engine::intent::Kind;
use crate::engine::journal::Transition;
use crate::engine::orphan::OrphanNote;
use crate::engine::report::Report;
use crate::engine::zone::RecordRead;

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
    /// Reports of all policies, each with whether a failover tonight would be sent.
    Examine,
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
        /// One name or a list. Default: what the live record publishes.
        #[serde(default, with = "names")]
        to: Vec<String>,
        /// Also over a fence that is gone, unreadable or doubled.
        #[serde(default)]
        repair: bool,
        #[serde(default)]
        reason: String,
    },
    /// A planned move, with proof before and after.
    Switch {
        policy: String,
        #[serde(with = "names")]
        to: Vec<String>,
        /// From the check to the write.
        #[serde(default)]
        drain_ms: u64,
        #[serde(default)]
        reason: String,
    },
    /// A planned move to the best healthy target.
    Failback {
        policy: String,
        #[serde(default)]
        reason: String,
    },
    Drain {
        policy: String,
        target: String,
        #[serde(default)]
        hard: bool,
        #[serde(default)]
        reason: String,
    },
    Undrain {
        policy: String,
        target: String,
        #[serde(default)]
        reason: String,
    },
    Release {
        policy: String,
        #[serde(default)]
        reason: String,
    },
    Takeover {
        policy: String,
        /// The cluster whose record it is.
        from: String,
        reason: String,
    },
    /// Break-glass: writes whatever the health says.
    Force {
        policy: String,
        #[serde(with = "names")]
        to: Vec<String>,
        reason: String,
    },
    /// A person retires a fence that no policy manages; to be journalled and told.
    OrphanNoted {
        note: OrphanNote,
    },
    /// Carries a saved plan out; its hash and age are checked by whoever asks.
    Apply {
        policy: String,
        plan: PlanToApply,
        #[serde(default)]
        reason: String,
    },
}

impl Request {
    /// The one policy a request is about.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Request::Ping | Request::Examine | Request::OrphanNoted { .. } => None,
            Request::Status { policy }
            | Request::History { policy, .. }
            | Request::Freeze { policy, .. }
            | Request::Unfreeze { policy, .. } => policy.as_deref(),
            Request::Explain { policy }
            | Request::Ack { policy, .. }
            | Request::Adopt { policy, .. }
            | Request::Switch { policy, .. }
            | Request::Failback { policy, .. }
            | Request::Drain { policy, .. }
            | Request::Undrain { policy, .. }
            | Request::Release { policy, .. }
            | Request::Takeover { policy, .. }
            | Request::Force { policy, .. }
            | Request::Apply { policy, .. } => Some(policy),
        }
    }
}

/// A saved plan by names; the daemon turns them into its own numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanToApply {
    pub kind: Kind,
    pub to: Vec<String>,
    /// The zone it was made on, as listed: records and fences, in the order of the policy's records.
    pub zone: Vec<RecordRead>,
    /// Configuration hash of the policy.
    pub config: String,
}

/// Targets as one name or a list of names.
mod names {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        None,
        One(String),
        Several(Vec<String>),
    }

    pub fn serialize<S: Serializer>(names: &[String], to: S) -> Result<S::Ok, S::Error> {
        match names {
            [] => to.serialize_none(),
            [one] => to.serialize_str(one),
            several => several.serialize(to),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        Ok(match Written::deserialize(from)? {
            Written::None => Vec::new(),
            Written::One(name) => vec![name],
            Written::Several(names) => names,
        })
    }
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
            (
                r#"{"version":1,"request":{"do":"adopt","policy":"web","to":"east"}}"#,
                Request::Adopt { policy: "web".into(), to: vec!["east".into()], repair: false, reason: String::new() },
            ),
            (
                r#"{"version":1,"request":{"do":"adopt","policy":"web","to":null}}"#,
                Request::Adopt { policy: "web".into(), to: vec![], repair: false, reason: String::new() },
            ),
            (
                r#"{"version":1,"request":{"do":"switch","policy":"web","to":["east","west"],"drain_ms":30000}}"#,
                Request::Switch {
                    policy: "web".into(),
                    to: vec!["east".into(), "west".into()],
                    drain_ms: 30_000,
                    reason: String::new(),
                },
            ),
        ] {
            let asked: Asked = serde_json::from_str(line).unwrap();
            assert_eq!((asked.version, asked.request), (VERSION, request));
        }
        for without in [
            r#"{"do":"freeze"}"#,
            r#"{"do":"force","policy":"web","to":"east"}"#,
            r#"{"do":"takeover","policy":"web","from":"blue"}"#,
        ] {
            let line = format!(r#"{{"version":1,"request":{without}}}"#);
            assert!(serde_json::from_str::<Asked>(&line).is_err(), "a reason is needed: {without}");
        }
        let adopt = Request::Adopt { policy: "web".into(), to: vec!["east".into()], repair: false, reason: "".into() };
        assert!(serde_json::to_string(&adopt).unwrap().contains(r#""to":"east""#), "as an older daemon reads it");
    }

    #[test]
    fn the_socket_lies_beside_the_state_file() {
        assert_eq!(socket_path(Path::new("/var/lib/x/failoverd.db")), Path::new("/var/lib/x/failoverd.db.sock"));
    }
}
