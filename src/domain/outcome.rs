//! What one probe learnt, and what many probes add up to. Never a bare bool.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One measurement. `Unknown` is *our* trouble: it neither counts as a failure nor clears one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Up,
    Down(DownReason),
    Unknown(UnknownReason),
}

/// Evidence about the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DownReason {
    ConnectRefused,
    ConnectReset,
    ConnectTimeout,
    TlsTimeout,
    FirstByteTimeout,
    BodyTimeout,
    /// The handshake failed for a reason other than the certificate.
    TlsHandshake,
    CertificateExpired,
    CertificateName,
    CertificateUntrusted,
    /// Fewer whole days left than `min_cert_days`.
    CertificateExpiresSoon,
    /// The connection ended before the answer did.
    ClosedEarly,
    /// The answer is not HTTP.
    NotHttp,
    Status(u16),
    BodyMismatch,
    JsonMismatch,
    /// The answer of a heartbeat is not the word it should be.
    WrongAnswer,
    /// The target's host name does not exist or has no address, authoritatively (NXDOMAIN, NODATA).
    NoSuchName,
    /// More redirects than `redirects` allows, or one that may not be followed.
    Redirect,
}

/// Trouble on our side of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReason {
    /// ENETUNREACH, EHOSTUNREACH, ENETDOWN.
    NoRoute,
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM.
    OutOfSockets,
    /// EADDRNOTAVAIL, EADDRINUSE, EACCES, EPERM on the local side.
    LocalAddress,
    Resolver,
    /// The address is link-local, a metadata service or unspecified; it is never dialled.
    ForbiddenAddress,
    /// The prober could not start in time.
    Overloaded,
    /// A local file (CA bundle) could not be read.
    LocalFile,
    /// The check cannot be carried out as it is written; the configuration reader should have said so.
    InvalidCheck,
}

/// Measured state of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not judged yet by this run's own probes.
    #[default]
    Unknown,
    Up,
    Down,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Up => f.write_str("up"),
            Outcome::Down(reason) => reason.fmt(f),
            Outcome::Unknown(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DownReason::ConnectRefused => "connection refused",
            DownReason::ConnectReset => "connection reset",
            DownReason::ConnectTimeout => "connect timeout",
            DownReason::TlsTimeout => "TLS handshake timeout",
            DownReason::FirstByteTimeout => "no answer in time",
            DownReason::BodyTimeout => "answer not complete in time",
            DownReason::TlsHandshake => "TLS handshake failed",
            DownReason::CertificateExpired => "certificate expired or not yet valid",
            DownReason::CertificateName => "certificate is for another name",
            DownReason::CertificateUntrusted => "certificate not trusted",
            DownReason::CertificateExpiresSoon => "certificate expires too soon",
            DownReason::ClosedEarly => "connection closed early",
            DownReason::NotHttp => "answer is not HTTP",
            DownReason::Status(code) => return write!(f, "HTTP status {code}"),
            DownReason::BodyMismatch => "body does not match",
            DownReason::JsonMismatch => "JSON fields do not match",
            DownReason::WrongAnswer => "heartbeat answered with the wrong word",
            DownReason::NoSuchName => "host name does not exist or has no address",
            DownReason::Redirect => "redirect not allowed",
        })
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnknownReason::NoRoute => "no route from here",
            UnknownReason::OutOfSockets => "out of sockets here",
            UnknownReason::LocalAddress => "no usable local address",
            UnknownReason::Resolver => "resolver trouble here",
            UnknownReason::ForbiddenAddress => "address is never probed (link-local or metadata)",
            UnknownReason::Overloaded => "prober overloaded",
            UnknownReason::LocalFile => "a local file could not be read",
            UnknownReason::InvalidCheck => "the check cannot be carried out as written",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_told_in_words() {
        let cases = [
            (Outcome::Up, "up"),
            (Outcome::Down(DownReason::Status(503)), "HTTP status 503"),
            (Outcome::Down(DownReason::ConnectRefused), "connection refused"),
            (Outcome::Unknown(UnknownReason::NoRoute), "no route from here"),
            (Outcome::Unknown(UnknownReason::OutOfSockets), "out of sockets here"),
        ];
        for (outcome, words) in cases {
            assert_eq!(outcome.to_string(), words);
        }
    }
}
