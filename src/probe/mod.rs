//! Measures targets and witnesses. Never judges: it reports one `Outcome` a probe.
//!
//! A probe is one fresh connection to one pinned address, under one total deadline. Nothing is
//! pooled, resumed or decompressed; a redirect is followed only when the check asks for it, and
//! then only to the same host at the same address. A target that is a host name is resolved anew
//! for each probe, within the same deadline; nothing else is. Trouble on our side of the wire is
//! `Unknown`, never `Down`.

mod capped;
mod connect;
mod exchange;
mod expect;
mod http;
mod resolve;
pub mod schedule;
mod tls;
mod witness;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use crate::domain::{Check, CheckKind, Content, DownReason, Outcome, RecordName, UnknownReason, WitnessKind};

pub use resolve::{ADDRESSES_MAX, Resolver};

/// A deadline that is noticed this much too late says more about this machine (suspended,
/// starved) than about the target; the outcome is then `Unknown(Overloaded)`.
const STALL: Duration = Duration::from_millis(500);

/// Longest detail kept of what the other side caused, in characters.
const DETAIL: usize = 200;

/// Does probes. Cheap to clone; clones share TLS configurations and compiled expressions.
#[derive(Clone, Default)]
pub struct Prober {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    resolver: Resolver,
    tls: tls::Configs,
    patterns: expect::Patterns,
}

/// How long each finished part of a probe took; `None`: not begun or not finished. After a
/// redirect the parts are those of the last hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Asking where the target's host name is; `None` when the address was given.
    pub resolve: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// From the request to the complete head of the answer; of an exchange, to the first of it.
    pub first_byte: Option<Duration>,
    pub body: Option<Duration>,
    /// From the start of the probe to its end, resolution and hops included.
    pub total: Duration,
}

/// What one probe of one address found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    pub address: IpAddr,
    pub outcome: Outcome,
    pub phases: Phases,
    pub status: Option<u16>,
    /// Whole days until the certificate expires; negative when it has.
    pub cert_days: Option<i64>,
    /// Bytes of body read, at most the check's `max_body`; of an exchange, of the answer.
    pub body_bytes: u64,
    /// One line for people: `status 503 after 12ms`.
    pub detail: String,
}

/// What the probes of all addresses of one target found, all started at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetReport {
    /// That of the worst address, the first of them: `Down` before `Unknown` before `Up`.
    pub outcome: Outcome,
    /// Of a target that is a host name: where it was found to be. `None` when the addresses are given.
    pub resolution: Option<Resolution>,
    /// One per address, in the order of the set.
    pub addresses: Vec<ProbeReport>,
}

/// How the host name of a target was resolved for one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub name: RecordName,
    /// `Up` when both families are known; it counts like the outcome of one more address.
    pub outcome: Outcome,
    pub took: Duration,
    /// Addresses found; of more than [`ADDRESSES_MAX`] the same ones are probed every time.
    pub found: usize,
    /// One line for people: `12 addresses in 3ms, 8 of them probed`.
    pub detail: String,
}

impl TargetReport {
    fn of(resolution: Option<Resolution>, addresses: Vec<ProbeReport>) -> TargetReport {
        let resolved = resolution.iter().map(|r| r.outcome);
        // Which families a name has is not ours to choose: one that has no route from here says
        // nothing beside one that has. Addresses a policy lists must all be reachable.
        let no_route = Outcome::Unknown(UnknownReason::NoRoute);
        let routed = addresses.iter().any(|r| r.outcome != no_route) && resolution.is_some();
        let outcomes = addresses.iter().map(|r| r.outcome).filter(|o| !routed || *o != no_route).chain(resolved);
        // The last of several equals is taken: turned around, the first.
        let outcome = outcomes.rev().max_by_key(|o| gravity(*o));
        TargetReport { outcome: outcome.unwrap_or(Outcome::Up), resolution, addresses }
    }

    /// The report that decided the outcome: the first of the worst; `None` when the resolution did.
    pub fn worst(&self) -> Option<&ProbeReport> {
        self.addresses.iter().find(|r| r.outcome == self.outcome)
    }

    /// One line for people that names the address: `192.0.2.10: status 503 after 12ms`, of a host
    /// name also how it was resolved: `192.0.2.10 (of lb.example.net, 2 addresses in 3ms): …`.
    pub fn detail(&self) -> String {
        match (self.worst(), &self.resolution) {
            (Some(report), None) => format!("{}: {}", report.address, report.detail),
            (Some(report), Some(from)) => {
                format!("{} (of {}, {}): {}", report.address, from.name, from.detail, report.detail)
            }
            (None, Some(from)) => format!("{}: {}", from.name, from.detail),
            (None, None) => self.outcome.to_string(),
        }
    }
}

/// What a probe knows so far, kept outside its future so that a deadline does not lose it.
#[derive(Default)]
struct Progress {
    phase: Phase,
    phases: Phases,
    status: Option<u16>,
    cert_days: Option<i64>,
    body_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Reading local files; nothing was sent yet.
    #[default]
    Prepare,
    Connect,
    Tls,
    FirstByte,
    Body,
}

impl Phase {
    /// What the deadline means when it strikes in this phase.
    fn timeout(self) -> Outcome {
        Outcome::Down(match self {
            Phase::Prepare => return Outcome::Unknown(UnknownReason::LocalFile),
            Phase::Connect => DownReason::ConnectTimeout,
            Phase::Tls => DownReason::TlsTimeout,
            Phase::FirstByte => DownReason::FirstByteTimeout,
            Phase::Body => DownReason::BodyTimeout,
        })
    }
}

/// An end of a probe that is not `Up`.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    outcome: Outcome,
    /// What the outcome's own text does not say.
    more: Option<String>,
}

impl From<Outcome> for Failure {
    fn from(outcome: Outcome) -> Failure {
        Failure { outcome, more: None }
    }
}

impl Failure {
    fn down(reason: DownReason, more: impl fmt::Display) -> Failure {
        Failure { outcome: Outcome::Down(reason), more: Some(plain(&more.to_string())) }
    }
    fn unknown(reason: UnknownReason, more: impl fmt::Display) -> Failure {
        Failure { outcome: Outcome::Unknown(reason), more: Some(plain(&more.to_string())) }
    }
}

impl Prober {
    /// Resolves host names as this machine does.
    pub fn new() -> Prober {
        Prober::default()
    }

    pub fn with_resolver(resolver: Resolver) -> Prober {
        Prober { shared: Arc::new(Shared { resolver, ..Shared::default() }) }
    }

    /// Probes one address. Ends within the check's timeout; cannot fail, only report.
    pub async fn probe(&self, check: &Check, address: IpAddr) -> ProbeReport {
        self.probe_since(Instant::now(), None, check, address).await
    }

    /// Probes all addresses of a target at once. A host name is resolved first, now, and has half of
    /// the check's timeout for it, so that a slow resolver cannot make a target look slow.
    pub async fn probe_target(&self, check: &Check, content: &Content) -> TargetReport {
        let started = Instant::now();
        let (given, name) = match content {
            Content::Addresses(set) => (set.iter().collect::<Vec<_>>(), None),
            Content::Host(name) => (Vec::new(), Some(name)),
            Content::Alias(alias) => (Vec::new(), Some(&alias.name)),
        };
        let Some(name) = name else {
            let probes = given.into_iter().map(|address| self.probe_since(started, None, check, address));
            return TargetReport::of(None, join_all(probes).await);
        };
        let found = self.shared.resolver.addresses(name, started + check.timeout / 2).await;
        let took = started.elapsed();
        let resolution = |outcome, found, detail: String| {
            Some(Resolution { name: name.clone(), outcome, took, found, detail: plain(&detail) })
        };
        let found = match found {
            // What was left would be too little to judge the target by.
            Ok(_) if took > check.timeout * 3 / 4 => Err(Failure::unknown(
                UnknownReason::Overloaded,
                format_args!("this machine stood still for {}", millis(took - check.timeout / 2)),
            )),
            found => found,
        };
        let found = match found {
            Ok(found) => found,
            Err(failure) => {
                let more = failure.more.unwrap_or_default();
                let detail = format!("{} after {}: {more}", failure.outcome, millis(took));
                return TargetReport::of(resolution(failure.outcome, 0, detail), Vec::new());
            }
        };
        let some = match found.of {
            1 => format!("1 address in {}", millis(took)),
            of if of > found.addresses.len() => {
                format!("{of} addresses in {}, {} of them probed", millis(took), found.addresses.len())
            }
            of => format!("{of} addresses in {}", millis(took)),
        };
        let resolution = match found.trouble {
            None => resolution(Outcome::Up, found.of, some),
            Some(why) => {
                let outcome = Outcome::Unknown(UnknownReason::Resolver);
                resolution(outcome, found.of, format!("{some}; {outcome}: {why}"))
            }
        };
        let probes = found.addresses.iter().map(|address| self.probe_since(started, Some(took), check, *address));
        TargetReport::of(resolution, join_all(probes).await)
    }

    /// True when the witness answered within `timeout`: a TCP connection, or any HTTP answer at
    /// all from a `url` (over TLS the certificate must be valid, else a captive portal is sight).
    pub async fn witness(&self, kind: &WitnessKind, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, witness::answers(&self.shared, kind)).await.unwrap_or(false)
    }

    /// One address, of a probe that began at `started` and spent `resolve` on the name.
    async fn probe_since(
        &self,
        started: Instant,
        resolve: Option<Duration>,
        check: &Check,
        address: IpAddr,
    ) -> ProbeReport {
        let mut progress = Progress { phases: Phases { resolve, ..Phases::default() }, ..Progress::default() };
        let ended = timeout_at(started + check.timeout, self.attempt(check, address, &mut progress)).await;
        progress.phases.total = started.elapsed();
        let failure = match ended {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure),
            Err(_) if progress.phases.total > check.timeout + STALL => Some(Failure::unknown(
                UnknownReason::Overloaded,
                format_args!("this machine stood still for {}", millis(progress.phases.total - check.timeout)),
            )),
            Err(_) => Some(progress.phase.timeout().into()),
        };
        let detail = told(failure.as_ref(), &progress);
        ProbeReport {
            address,
            outcome: failure.map_or(Outcome::Up, |f| f.outcome),
            phases: progress.phases,
            status: progress.status,
            cert_days: progress.cert_days,
            body_bytes: progress.body_bytes,
            detail,
        }
    }

    async fn attempt(&self, check: &Check, address: IpAddr, progress: &mut Progress) -> Result<(), Failure> {
        match &check.kind {
            CheckKind::Http(http) => http::probe(&self.shared, http, address, progress).await,
            CheckKind::Tcp(tcp) | CheckKind::Heartbeat(tcp) => {
                let stream = connect::tcp(SocketAddr::new(address, tcp.port), progress).await?;
                match &tcp.exchange {
                    Some(exchange) => exchange::speak(stream, exchange, progress).await,
                    None => Ok(()),
                }
            }
        }
    }
}

/// The end of a probe in one line.
fn told(failure: Option<&Failure>, progress: &Progress) -> String {
    let took = millis(progress.phases.total);
    match (failure, progress.status) {
        (None, Some(status)) => format!("status {status} after {took}"),
        (None, None) if progress.phases.body.is_some() => format!("answered after {took}"),
        (None, None) => format!("connected after {took}"),
        (Some(Failure { outcome: Outcome::Down(DownReason::Status(code)), .. }), _) => {
            format!("status {code} after {took}")
        }
        // Our own trouble has no time of the target's to tell.
        (Some(Failure { outcome: outcome @ Outcome::Unknown(_), more: Some(more) }), _) => format!("{outcome}: {more}"),
        (Some(Failure { outcome, more: Some(more) }), _) => format!("{outcome} after {took}: {more}"),
        (Some(Failure { outcome, more: None }), _) => format!("{outcome} after {took}"),
    }
}

fn gravity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Up => 0,
        Outcome::Unknown(_) => 1,
        Outcome::Down(_) => 2,
    }
}

/// `12ms`, `0.3ms`.
fn millis(d: Duration) -> String {
    match d.as_millis() {
        0 => format!("{:.1}ms", d.as_secs_f64() * 1000.0),
        ms => format!("{ms}ms"),
    }
}

/// Text another machine may have chosen, made fit for one line of a log or a terminal.
fn plain(text: &str) -> String {
    let mut line: String = text.chars().take(DETAIL).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(DETAIL).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_becomes_one_bounded_line() {
        assert_eq!(plain("a\r\nb\u{1b}[31m"), "a  b [31m");
        assert_eq!(plain(&"x".repeat(500)).chars().count(), DETAIL + 1);
    }

    #[test]
    fn a_family_of_a_host_name_without_a_route_says_nothing_beside_one_with() {
        let (up, down) = (Outcome::Up, Outcome::Down(DownReason::ConnectRefused));
        let (no_route, busy) =
            (Outcome::Unknown(UnknownReason::NoRoute), Outcome::Unknown(UnknownReason::OutOfSockets));
        let report = |outcome| ProbeReport {
            address: IpAddr::from([192, 0, 2, 1]),
            outcome,
            phases: Phases::default(),
            status: None,
            cert_days: None,
            body_bytes: 0,
            detail: String::new(),
        };
        let name = || Resolution {
            name: RecordName::new("lb.example.net").unwrap(),
            outcome: up,
            took: Duration::ZERO,
            found: 2,
            detail: String::new(),
        };
        // Addresses' outcomes, then that of a host name and that of a list.
        let cases = [
            ([up, no_route], up, no_route),
            ([no_route, down], down, down),
            ([no_route, no_route], no_route, no_route),
            ([up, busy], busy, busy),
        ];
        for (outcomes, of_host, of_list) in cases {
            let reports = || outcomes.into_iter().map(report).collect();
            assert_eq!(TargetReport::of(Some(name()), reports()).outcome, of_host, "{outcomes:?}");
            assert_eq!(TargetReport::of(None, reports()).outcome, of_list, "{outcomes:?}");
        }
    }

    #[test]
    fn the_phase_that_ran_at_the_deadline_gives_the_reason() {
        let cases = [
            (Phase::Prepare, "a local file could not be read"),
            (Phase::Connect, "connect timeout"),
            (Phase::Tls, "TLS handshake timeout"),
            (Phase::FirstByte, "no answer in time"),
            (Phase::Body, "answer not complete in time"),
        ];
        for (phase, text) in cases {
            assert_eq!(phase.timeout().to_string(), text);
        }
    }
}
