//! A strict local Route 53 and authoritative DNS servers over the same zones.
//!
//! A provider like any other, reached by the same client: it validates as strictly as the real
//! service and words its refusals the same, so what passes here is not refused there. It can be
//! told to misbehave (`Faults`). It keeps everything in memory and never leaves this machine.

mod alias;
mod api;
mod change;
mod dns;
mod faults;
mod name;
mod service;
mod value;
mod xml;
mod zone;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_server::Server;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use crate::domain::UnixMs;

pub use faults::{Fault, Faults};
pub use service::{HistoryChange, HistoryEntry, HistoryResult};
#[cfg(feature = "fuzzing")]
pub use xml::read_changes;

/// Answer buffer of one DNS connection over TCP, messages.
const TCP_BUFFER: usize = 64;
const TCP_IDLE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Address of the API; port 0 picks a free one.
    pub api: SocketAddr,
    /// Address of the first name server, UDP and TCP on one port; port 0 picks a free one.
    pub dns: SocketAddr,
    /// Further name servers over the same zones.
    pub more_dns: Vec<SocketAddr>,
    /// Zones that exist at the start.
    pub zones: Vec<String>,
    /// How long GetChange says PENDING.
    pub pending: Duration,
    /// Name server k (from 0) shows a change `dns_delay × (k + 1)` after it was accepted.
    pub dns_delay: Duration,
    /// API calls a second of one account (an access key stands for one), `None` without limit.
    pub rps: Option<f64>,
    /// The wall clock at the start; times in answers and in the history go on from it.
    pub started: UnixMs,
}

impl Default for SandboxConfig {
    fn default() -> SandboxConfig {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        SandboxConfig {
            api: any,
            dns: any,
            more_dns: Vec::new(),
            zones: Vec::new(),
            pending: Duration::from_secs(2),
            dns_delay: Duration::ZERO,
            rps: None,
            started: UnixMs(0),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox cannot listen on {address} ({what}): {source}; choose another address")]
    Listen { what: &'static str, address: SocketAddr, source: io::Error },
    #[error("`{name}` is no zone name: {problem}")]
    Zone { name: String, problem: String },
    #[error(
        "`{record}` is no record: {problem}; write `NAME TTL TYPE VALUE`, e.g. `www.example.com 30 A 192.0.2.10`, or \
         `NAME ALIAS TYPE TARGET ZONE-ID`"
    )]
    Record { record: String, problem: String },
}

/// A running sandbox; dropping it stops it.
pub struct Sandbox {
    service: Arc<service::Service>,
    api: SocketAddr,
    dns: Vec<SocketAddr>,
    api_task: JoinHandle<()>,
    dns_servers: Vec<Server<dns::Handler>>,
}

/// Binds everything, then serves; the addresses answer when this returns.
pub async fn start(config: SandboxConfig) -> Result<Sandbox, SandboxError> {
    let faults = Faults::default();
    let timing = service::Timing {
        pending: config.pending,
        dns_delay: config.dns_delay,
        rps: config.rps,
        started: config.started,
    };
    let listener = TcpListener::bind(config.api).await.map_err(|source| SandboxError::Listen {
        what: "API",
        address: config.api,
        source,
    })?;
    let api = listener.local_addr().unwrap_or(config.api);
    let (mut dns, mut dns_servers, mut memories) = (Vec::new(), Vec::new(), Vec::new());
    for (index, address) in std::iter::once(config.dns).chain(config.more_dns).enumerate() {
        let (udp, tcp, bound) = bind_dns(address).await?;
        let memory = Arc::new(dns::NameServer::new(index, faults.clone()));
        let mut server = Server::new(dns::Handler(memory.clone()));
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_BUFFER);
        dns.push(bound);
        dns_servers.push(server);
        memories.push(memory);
    }
    let service = Arc::new(service::Service::new(memories, faults, timing));
    for zone in &config.zones {
        let name = name::DnsName::new(zone)
            .map_err(|error| SandboxError::Zone { name: zone.clone(), problem: error.to_string() })?;
        let twice = || SandboxError::Zone { name: zone.clone(), problem: "named twice".into() };
        service.create_zone(name.clone(), format!("sandbox-{name}"), None, false).map_err(|_| twice())?;
    }
    let api_task = tokio::spawn(api::serve(listener, service.clone()));
    tracing::info!(%api, dns = %bound_list(&dns), zones = config.zones.join(" "), "sandbox started");
    Ok(Sandbox { service, api, dns, api_task, dns_servers })
}

impl Sandbox {
    /// For `[route53] endpoint_url`.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// The first name server.
    pub fn dns_addr(&self) -> SocketAddr {
        self.dns.first().copied().unwrap_or(self.api)
    }

    /// Every name server, for `[verify] name_servers`.
    pub fn dns_addrs(&self) -> &[SocketAddr] {
        &self.dns
    }

    /// Id of the zone of this name, without prefix.
    pub fn zone_id(&self, name: &str) -> Option<String> {
        let name = name::DnsName::new(name).ok()?;
        self.service.zones().into_iter().find(|zone| zone.name == name).map(|zone| zone.id)
    }

    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// Every batch that reached the service, oldest first.
    pub fn history(&self) -> Vec<HistoryEntry> {
        self.service.history()
    }

    /// Plays a name outside the zones: the name servers answer these addresses for it and for an
    /// alias of it, with a TTL of 60 s. No addresses: the name is unknown again.
    pub fn play(&self, name: &str, addresses: &[IpAddr]) -> Result<(), SandboxError> {
        let read = name::DnsName::new(name)
            .map_err(|error| SandboxError::Zone { name: name.into(), problem: error.to_string() })?;
        self.service.play(read, addresses.to_vec());
        Ok(())
    }

    /// Puts one record set, `NAME TTL TYPE VALUE` as in a zone file, through the same checks as
    /// the API. Several values of one set are separated by ` , `. An alias is `NAME ALIAS TYPE
    /// TARGET ZONE-ID`, its target's health not evaluated; `self` stands for the zone of the name.
    pub async fn put(&self, record: &str) -> Result<(), SandboxError> {
        let wrong = |problem: String| SandboxError::Record { record: record.into(), problem };
        let mut fields = record.trim().splitn(4, char::is_whitespace);
        let (Some(name), Some(ttl), Some(rtype), Some(values)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(wrong("it has fewer than four fields".into()));
        };
        let name = name::DnsName::new(name).map_err(|error| wrong(error.to_string()))?;
        let rtype = rtype.to_ascii_uppercase();
        if !value::TYPES.contains(&rtype.as_str()) {
            return Err(wrong(format!("`{rtype}` is no record type")));
        }
        let zones = self.service.zones();
        let zone = zones.iter().filter(|zone| name.is_within(&zone.name)).max_by_key(|zone| zone.name.labels().len());
        let zone = zone.ok_or_else(|| wrong("no zone of this sandbox holds its name".into()))?;
        let set = if ttl == "ALIAS" {
            let (Some(target), Some(zone_id), None) = three(values) else {
                return Err(wrong("an alias has a target and the id of its zone".into()));
            };
            let id = if zone_id == "self" { zone.id.clone() } else { zone_id.to_owned() };
            let alias =
                zone::AliasTarget { hosted_zone_id: id, dns_name: target.into(), evaluate_target_health: false };
            zone::RecordSet::alias(name, &rtype, xml::listed_alias(alias))
        } else {
            let ttl: u32 = ttl.parse().map_err(|_| wrong(format!("`{ttl}` is no TTL in seconds")))?;
            let values = values.split(" , ").map(|value| value.trim().to_owned()).collect();
            zone::RecordSet::simple(name, &rtype, ttl, values)
        };
        let change = change::Change { action: change::Action::Upsert, set };
        let batch = change::Batch { comment: Some("put by the sandbox".into()), changes: vec![change] };
        match self.service.change(&zone.id, batch).await {
            Ok(_) => Ok(()),
            Err(service::Failure::Error { message, .. }) => Err(wrong(message)),
            Err(failure) => Err(wrong(format!("{failure:?}"))),
        }
    }

    /// Ends every connection and frees the addresses.
    pub async fn stop(mut self) {
        self.api_task.abort();
        let _ = (&mut self.api_task).await;
        for server in &mut self.dns_servers {
            let _ = server.shutdown_gracefully().await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.api_task.abort();
    }
}

/// UDP and TCP on one port. With port 0 the first free port of both is found.
async fn bind_dns(address: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), SandboxError> {
    let failed = |source| SandboxError::Listen { what: "DNS", address, source };
    let mut tries = if address.port() == 0 { 16 } else { 1 };
    loop {
        let udp = UdpSocket::bind(address).await.map_err(failed)?;
        let bound = udp.local_addr().map_err(failed)?;
        tries -= 1;
        match TcpListener::bind(bound).await {
            Ok(tcp) => return Ok((udp, tcp, bound)),
            Err(source) if tries == 0 => return Err(failed(source)),
            Err(_) => {}
        }
    }
}

fn three(text: &str) -> (Option<&str>, Option<&str>, Option<&str>) {
    let mut fields = text.split_whitespace();
    (fields.next(), fields.next(), fields.next())
}

fn bound_list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
