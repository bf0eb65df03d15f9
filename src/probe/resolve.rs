//! Asks where a host name is now. Every call asks anew: no answer, connection or question is kept
//! or shared from one call to the next. Judges no address and dials none.
//!
//! The hosts file goes before the name servers, as in the system's own resolver; search lists do
//! not apply, a target's name is always complete. The name servers are asked in the order of
//! `resolv.conf`, each next one as soon as those before are in trouble or silent for a while.

mod system;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::time::{Instant, sleep_until};

use crate::domain::{DownReason, RecordName, UnknownReason};

use super::Failure;
use system::System;

/// Addresses of one name that are probed at most.
pub const ADDRESSES_MAX: usize = 8;
/// A name server that is silent for so long is not waited for alone. Its own datagram was repeated
/// by then.
const PATIENCE: Duration = Duration::from_millis(250);

/// Resolves host names. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    source: Arc<Source>,
}

enum Source {
    /// These name servers, and no hosts file.
    Servers(Vec<SocketAddr>),
    System(System),
}

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Not empty, at most [`ADDRESSES_MAX`].
    pub addresses: Vec<IpAddr>,
    /// How many there were to choose from.
    pub of: usize,
    /// Why one of the two families is not known.
    pub trouble: Option<String>,
}

/// What a question for the addresses of one family came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Addresses(Vec<IpAddr>),
    /// NXDOMAIN: there is nothing of any type.
    NoName(SocketAddr),
    /// The name is there, with nothing of this family.
    NoData(SocketAddr),
    Trouble(String),
}

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver::files(Path::new("/etc/resolv.conf"), Path::new("/etc/hosts"))
    }
}

impl Resolver {
    /// As this machine does it: `/etc/hosts`, then the name servers of `/etc/resolv.conf`.
    pub fn system() -> Resolver {
        Resolver::default()
    }

    /// Two files in the formats of `resolv.conf` and `hosts`; read again whenever they change.
    pub fn files(resolv_conf: &Path, hosts: &Path) -> Resolver {
        Resolver { source: Arc::new(Source::System(System::new(resolv_conf, hosts))) }
    }

    /// These recursive name servers, over UDP and TCP, in this order.
    pub fn servers(servers: Vec<SocketAddr>) -> Resolver {
        Resolver { source: Arc::new(Source::Servers(servers)) }
    }

    /// Both families of `name`, known by `until`. `Down(NoSuchName)` when a name server says that
    /// the name or its addresses do not exist, else `Unknown(Resolver)`.
    pub(super) async fn addresses(&self, name: &RecordName, until: Instant) -> Result<Found, Failure> {
        let trouble = |why: &dyn fmt::Display| Failure::unknown(UnknownReason::Resolver, why);
        let asked = Name::from_ascii(format!("{name}.")).map_err(|e| trouble(&e))?;
        let (servers, nowhere) = match self.source.as_ref() {
            Source::Servers(servers) => (servers.clone(), "no name server is given".to_owned()),
            Source::System(system) => {
                let known = system.known().await;
                if let Some(addresses) = known.host(&asked) {
                    return Ok(chosen(addresses, None));
                }
                (known.servers.clone(), known.nowhere())
            }
        };
        if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
            // RFC 6761, 6.3: never asked of a name server.
            return Ok(chosen(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], None));
        }
        if servers.is_empty() {
            return Err(trouble(&nowhere));
        }
        let (v4, v6) = tokio::join!(
            family(&servers, &asked, RecordType::A, until),
            family(&servers, &asked, RecordType::AAAA, until)
        );
        combined(v4, v6)
    }
}

/// One verdict of two answers.
fn combined(v4: Answer, v6: Answer) -> Result<Found, Failure> {
    let (mut addresses, mut troubles, mut denied) = (Vec::new(), Vec::new(), None);
    let mut no_name = false;
    for answer in [v4, v6] {
        match answer {
            Answer::Addresses(some) => addresses.extend(some),
            Answer::NoName(server) => (no_name, denied) = (true, Some(format!("NXDOMAIN from {server}"))),
            Answer::NoData(server) if denied.is_none() => denied = Some(format!("no A and no AAAA at {server}")),
            Answer::NoData(_) => {}
            Answer::Trouble(why) => troubles.push(why),
        }
    }
    let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
    match (addresses.is_empty(), trouble, denied) {
        (false, trouble, _) => Ok(chosen(addresses, trouble)),
        (true, None, Some(denied)) => Err(Failure::down(DownReason::NoSuchName, denied)),
        // NXDOMAIN is about the name, whatever became of the other question (RFC 8020).
        (true, Some(_), Some(denied)) if no_name => Err(Failure::down(DownReason::NoSuchName, denied)),
        (true, trouble, _) => Err(Failure::unknown(UnknownReason::Resolver, trouble.unwrap_or_default())),
    }
}

/// The first of the sorted addresses, the families in turn, so that both are probed.
fn chosen(mut addresses: Vec<IpAddr>, trouble: Option<String>) -> Found {
    addresses.sort_unstable();
    addresses.dedup();
    let of = addresses.len();
    if of > ADDRESSES_MAX {
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|a| a.is_ipv4());
        let of_v6 = v6.len().min(ADDRESSES_MAX - v4.len().min(ADDRESSES_MAX / 2));
        addresses = v4.into_iter().take(ADDRESSES_MAX - of_v6).chain(v6.into_iter().take(of_v6)).collect();
    }
    Found { addresses, of, trouble }
}

/// Asks the servers in turn until one knows: addresses, or that there are none.
async fn family(servers: &[SocketAddr], name: &Name, rtype: RecordType, until: Instant) -> Answer {
    let began = Instant::now();
    let mut waiting = servers.iter();
    let mut asked = FuturesUnordered::new();
    let mut silent: Vec<SocketAddr> = Vec::new();
    let mut troubles: Vec<String> = Vec::new();
    let mut next = began;
    loop {
        tokio::select! {
            biased;
            Some((server, answer)) = asked.next() => match answer {
                Answer::Trouble(why) => {
                    silent.retain(|other| *other != server);
                    troubles.push(format!("{why} from {server}"));
                    next = Instant::now();
                    if asked.is_empty() && waiting.len() == 0 {
                        return Answer::Trouble(format!("{rtype}: {}", troubles.join(", ")));
                    }
                }
                known => return known,
            },
            () = sleep_until(until) => {
                let within = super::millis(began.elapsed());
                troubles.extend(silent.iter().map(|server| format!("no answer from {server} within {within}")));
                return Answer::Trouble(format!("{rtype}: {}", troubles.join(", ")));
            }
            () = sleep_until(next), if waiting.len() > 0 => {
                if let Some(server) = waiting.next() {
                    silent.push(*server);
                    asked.push(async move { (*server, ask(*server, name, rtype, until).await) });
                }
                next = Instant::now() + PATIENCE;
            }
        }
    }
}

async fn ask(server: SocketAddr, name: &Name, rtype: RecordType, until: Instant) -> Answer {
    let trouble = Answer::Trouble;
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server_config = NameServerConfig::new(server.ip(), true, connections.into());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server_config]);
    // A resolver of its own for each question: one that is kept would hand the answer to a question
    // already under way to whoever asks the same meanwhile, and even an empty cache is a cache.
    let mut builder = hickory_resolver::Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.cache_size = 0;
    options.positive_max_ttl = Some(Duration::ZERO);
    options.negative_max_ttl = Some(Duration::ZERO);
    options.use_hosts_file = ResolveHosts::Never;
    // A lost datagram is sent again below this; what answered with trouble is not asked again.
    options.attempts = 0;
    // Later than `until`, at which the asker gives up.
    options.timeout = until.saturating_duration_since(Instant::now()) + PATIENCE;
    let resolver = match builder.build() {
        Ok(resolver) => resolver,
        Err(error) => return trouble(error.to_string()),
    };
    match resolver.lookup(name.clone(), rtype).await {
        Ok(lookup) => match owned(name, lookup.answers()) {
            none if none.is_empty() => trouble("an answer to something else".into()),
            addresses => Answer::Addresses(addresses),
        },
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
            ResponseCode::NXDomain => Answer::NoName(server),
            // Without an SOA it is a referral or a broken forwarder, not a denial (RFC 2308, 2.2).
            ResponseCode::NoError if none.soa.is_some() => Answer::NoData(server),
            ResponseCode::NoError => trouble("an empty answer without SOA".into()),
            code => trouble(rcode(code)),
        },
        Err(NetError::Dns(DnsError::ResponseCode(code))) => trouble(rcode(code)),
        Err(NetError::Timeout) => trouble("no answer".into()),
        Err(error) => trouble(error.to_string()),
    }
}

/// `SERVFAIL`, as tools and logs of name servers write it.
fn rcode(code: ResponseCode) -> String {
    format!("{code:?}").to_uppercase()
}

/// The addresses that belong to `name` or to what its CNAMEs lead to; others in the same answer do not count.
fn owned(name: &Name, answers: &[Record]) -> Vec<IpAddr> {
    let mut owners = vec![name];
    // Each round finds at least one more owner, or is the last.
    for _ in answers {
        let next = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(to) if owners.contains(&&record.name) && !owners.contains(&&to.0) => Some(&to.0),
            _ => None,
        });
        match next {
            Some(next) => owners.push(next),
            None => break,
        }
    }
    let of_ours = answers.iter().filter(|record| owners.contains(&&record.name));
    of_ours.filter_map(|record| record.data.ip_addr()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Outcome;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn two_answers_are_one_verdict() {
        let server: SocketAddr = "192.0.2.53:53".parse().unwrap();
        let some = || Answer::Addresses(ips(&["192.0.2.1"]));
        let (no_name, no_data) = (|| Answer::NoName(server), || Answer::NoData(server));
        let trouble = || Answer::Trouble("SERVFAIL".into());
        let gone = Outcome::Down(DownReason::NoSuchName);
        let unknown = Outcome::Unknown(UnknownReason::Resolver);
        // (A, AAAA) → what is wrong: nothing, a family unknown, or no address at all.
        let cases = [
            (some(), no_data(), Ok(false)),
            (some(), no_name(), Ok(false)),
            (some(), some(), Ok(false)),
            (some(), trouble(), Ok(true)),
            (no_data(), some(), Ok(false)),
            (no_name(), no_name(), Err(gone)),
            (no_data(), no_data(), Err(gone)),
            (no_data(), no_name(), Err(gone)),
            (no_name(), trouble(), Err(gone)),
            (no_data(), trouble(), Err(unknown)),
            (trouble(), no_data(), Err(unknown)),
            (trouble(), trouble(), Err(unknown)),
        ];
        for (v4, v6, expected) in cases {
            let told = format!("{v4:?} {v6:?}");
            let verdict = combined(v4, v6).map(|found| found.trouble.is_some()).map_err(|failure| failure.outcome);
            assert_eq!(verdict, expected, "{told}");
        }
    }

    #[test]
    fn at_most_eight_addresses_are_chosen_the_same_ones_every_time_and_of_both_families() {
        let v4 = |n: u8| IpAddr::V4(Ipv4Addr::new(192, 0, 2, n));
        let v6 = |n: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n));
        // (IPv4, IPv6) → chosen of each
        for (fours, sixes, of_v4, of_v6) in
            [(1, 1, 1, 1), (8, 0, 8, 0), (12, 0, 8, 0), (0, 12, 0, 8), (12, 12, 4, 4), (12, 2, 6, 2), (3, 12, 3, 5)]
        {
            let mut all: Vec<IpAddr> = (1..=fours).map(v4).chain((1..=sixes).map(v6)).collect();
            let found = chosen(all.clone(), None);
            all.reverse();
            all.extend(all.clone());
            assert_eq!(chosen(all, None), found, "order and doubles do not matter");
            let count = found.addresses.iter().filter(|a| a.is_ipv4()).count();
            assert_eq!((count, found.addresses.len() - count), (of_v4, of_v6), "{fours} {sixes}");
            assert_eq!(found.of, usize::from(fours) + usize::from(sixes));
        }
    }

    #[test]
    fn only_addresses_at_the_end_of_the_names_own_chain_count() {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let a = |owner: &str, ip: &str| Record::from_rdata(name(owner), 1, RData::A(ip.parse().unwrap()));
        let cname = |owner: &str, to: &str| {
            let to = hickory_resolver::proto::rr::rdata::CNAME(name(to));
            Record::from_rdata(name(owner), 1, RData::CNAME(to))
        };
        let cases: [(Vec<Record>, &[&str]); 4] = [
            (vec![a("LB.example.", "192.0.2.1"), a("other.example.", "192.0.2.2")], &["192.0.2.1"]),
            (
                vec![
                    a("b.example.", "192.0.2.3"),
                    cname("a.example.", "b.example."),
                    cname("lb.example.", "a.example."),
                ],
                &["192.0.2.3"],
            ),
            (vec![cname("lb.example.", "lb.example.")], &[]),
            (vec![cname("x.example.", "y.example."), a("y.example.", "192.0.2.4")], &[]),
        ];
        for (answers, expected) in cases {
            assert_eq!(owned(&name("lb.example."), &answers), ips(expected), "{answers:?}");
        }
    }
}
