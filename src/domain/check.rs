//! How a target is probed and how its outcomes are counted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::RecordName;

/// The check of one target, all overrides applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub kind: CheckKind,
    pub cadence: Cadence,
    /// Probe period in doubt; start to start.
    pub fast_interval: Duration,
    /// Total deadline of one probe; never shrinks.
    pub timeout: Duration,
    /// Remembered failures to go down, ≥ 1.
    pub fall: u32,
    /// Straight successes to come up, ≥ 1.
    pub rise: u32,
    /// Straight successes that clear remembered failures, ≥ 1.
    pub settle: u32,
    /// Least time from the first to the last of the `fall` failures.
    pub confirm: Duration,
}

impl Check {
    /// Evidence older than this is stale: 2 × fast_interval + timeout (ARCHITECTURE.md, decision 4).
    pub fn evidence_age(&self) -> Duration {
        self.fast_interval * 2 + self.timeout
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cadence {
    /// Start-to-start period in calm.
    Every(Duration),
    /// A cron expression with seconds, UTC, already proven to fire.
    Schedule(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    Http(Box<HttpCheck>),
    Tcp(TcpCheck),
    /// A TCP connection with an exchange; `exchange` is always present.
    Heartbeat(TcpCheck),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// `None` for plain HTTP.
    pub tls: Option<TlsCheck>,
    pub port: u16,
    /// Host header; default the policy's first record.
    pub host: String,
    /// Starts with `/`.
    pub path: String,
    pub method: String,
    /// Header name to value, names in lower case.
    pub headers: BTreeMap<String, String>,
    pub expect: Expect,
    /// How many redirects may be followed, 0 to 3; same host only.
    pub redirects: u8,
    /// Bytes of body read at most, 1 to 1,048,576.
    pub max_body: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsCheck {
    /// Name sent in SNI and expected in the certificate.
    pub sni: String,
    pub verify: bool,
    /// PEM bundle used instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Down when the certificate has fewer whole days left.
    pub min_cert_days: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpCheck {
    pub port: u16,
    /// What is said once connected; `None`: the connection alone is the success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
}

/// A word to send and the word a healthy target answers with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// 1 to 1,024 bytes, sent as they are.
    pub send: String,
    /// 1 to 1,024 bytes that the answer begins with.
    pub receive: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// Not empty.
    pub status: Vec<StatusRange>,
    pub body: Option<BodyMatch>,
    /// Dotted path (`db.primary`, `items.0.state`) to the value it must have.
    pub json: BTreeMap<String, JsonScalar>,
}

/// Inclusive range of status codes within 100..=599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    pub from: u16,
    pub to: u16,
}

impl StatusRange {
    pub fn contains(self, status: u16) -> bool {
        (self.from..=self.to).contains(&status)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyMatch {
    Contains(String),
    /// A regular expression already proven to compile.
    Regex(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum JsonScalar {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

impl CheckKind {
    pub fn port(&self) -> u16 {
        match self {
            CheckKind::Http(http) => http.port,
            CheckKind::Tcp(tcp) | CheckKind::Heartbeat(tcp) => tcp.port,
        }
    }

    /// `http`, `https`, `tcp` or `heartbeat`, as written in a policy.
    pub fn name(&self) -> &'static str {
        match self {
            CheckKind::Http(http) if http.tls.is_none() => "http",
            CheckKind::Http(_) => "https",
            CheckKind::Tcp(_) => "tcp",
            CheckKind::Heartbeat(_) => "heartbeat",
        }
    }

    /// A plain check of a port, for tests and defaults.
    pub fn http(port: u16, host: &RecordName, path: &str) -> CheckKind {
        CheckKind::Http(Box::new(HttpCheck {
            tls: None,
            port,
            host: host.as_str().into(),
            path: path.into(),
            method: "GET".into(),
            headers: BTreeMap::new(),
            expect: Expect { status: vec![StatusRange { from: 200, to: 299 }], body: None, json: BTreeMap::new() },
            redirects: 0,
            max_body: 64 * 1024,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_tells_its_port_and_its_name_as_a_policy_writes_it() {
        let plain = CheckKind::http(8080, &RecordName::new("www.example.com").unwrap(), "/");
        let mut secure = plain.clone();
        if let CheckKind::Http(http) = &mut secure {
            http.tls = Some(TlsCheck { sni: "www".into(), verify: true, ca_file: None, min_cert_days: None });
        }
        let cases = [
            (plain, 8080, "http"),
            (secure, 8080, "https"),
            (CheckKind::Tcp(TcpCheck { port: 53, exchange: None }), 53, "tcp"),
            (CheckKind::Heartbeat(TcpCheck { port: 6379, exchange: None }), 6379, "heartbeat"),
        ];
        for (kind, port, name) in cases {
            assert_eq!((kind.port(), kind.name()), (port, name));
        }
    }
}
