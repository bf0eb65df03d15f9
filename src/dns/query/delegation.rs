//! Who the world thinks serves a zone: the NS set that this machine's own resolver finds.
//! The one question of `dns` that goes through somebody's cache, because clients' questions do.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::ResolverBuilder;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};

use crate::domain::RecordName;

/// All servers of `resolv.conf` together.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
/// One question to one server; a lost one is asked again.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(1500);

/// Host names of the servers that the resolver of `/etc/resolv.conf` finds for `zone`, sorted, lower
/// case, without trailing dot. Empty when it says for sure that there are none: nobody delegates
/// the zone. `None` when it cannot be told: no resolver, no answer within 5 s, SERVFAIL, REFUSED.
/// What it says may be as old as the TTL of the delegation, usually two days.
pub async fn delegation(zone: &RecordName) -> Option<Vec<String>> {
    match TokioResolver::builder_tokio() {
        Ok(system) => found_by(system, zone).await,
        Err(e) => {
            tracing::debug!(%zone, error = %e, "no resolver to ask for the delegation");
            None
        }
    }
}

async fn found_by(mut resolver: ResolverBuilder<TokioRuntimeProvider>, zone: &RecordName) -> Option<Vec<String>> {
    let options = resolver.options_mut();
    // Every call asks anew; what the resolver of the machine keeps is its own affair.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = QUESTION_TIMEOUT;
    // Without the root at its end a name would be tried in the search list too.
    let name = Name::from_ascii(format!("{zone}.")).ok()?;
    let lookup = async {
        let resolver = resolver.build()?;
        resolver.lookup(name.clone(), RecordType::NS).await
    };
    let found = match tokio::time::timeout(LOOKUP_LIMIT, lookup).await {
        Ok(found) => found,
        Err(_) => Err(NetError::Timeout),
    };
    match found {
        Ok(answer) => {
            let ours = answer.answers().iter().filter(|record| record.name == name);
            let mut hosts: Vec<String> = ours
                .filter_map(|record| match &record.data {
                    RData::NS(host) => Some(host.0.to_ascii().trim_end_matches('.').to_ascii_lowercase()),
                    _ => None,
                })
                .collect();
            hosts.sort_unstable();
            hosts.dedup();
            // A CNAME at the zone's name leads to somebody else's servers, which says nothing of ours.
            (!hosts.is_empty()).then_some(hosts)
        }
        // Without an SOA it is a referral or a broken forwarder, not a denial (RFC 2308, 2.2).
        Err(NetError::Dns(DnsError::NoRecordsFound(none)))
            if none.soa.is_some() && matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
        {
            Some(Vec::new())
        }
        Err(e) => {
            tracing::debug!(%zone, error = %e, "the delegation cannot be told");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use hickory_proto::op::Message;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, NS, SOA};
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};

    use super::super::tests::{name, reply, scripted};
    use super::*;

    fn by(servers: &[SocketAddr]) -> ResolverBuilder<TokioRuntimeProvider> {
        let server = |address: &SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = address.port();
                connection
            });
            NameServerConfig::new(address.ip(), true, connections.into())
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    }

    fn host(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(owner: &Name, data: RData) -> Record {
        Record::from_rdata(owner.clone(), 60, data)
    }

    fn soa() -> RData {
        RData::SOA(SOA::new(host("ns."), host("admin."), 1, 2, 3, 4, 5))
    }

    #[tokio::test]
    async fn the_resolvers_answer_is_a_list_a_certain_none_or_unknown() {
        type Script = fn(&Message) -> Message;
        let table: [(&str, Script, Option<&[&str]>); 7] = [
            (
                "two servers in any spelling, and what belongs to others",
                |q| {
                    let mut m = reply(q);
                    let zone = q.queries[0].name();
                    m.add_answer(record(zone, RData::NS(NS(host("NS-2.Example.net.")))));
                    m.add_answer(record(zone, RData::NS(NS(host("ns-1.example.net.")))));
                    m.add_answer(record(&host("example.org."), RData::NS(NS(host("other.example.net.")))));
                    m.add_answer(record(zone, RData::A(A(Ipv4Addr::LOCALHOST))));
                    m
                },
                Some(&["ns-1.example.net", "ns-2.example.net"]),
            ),
            (
                "NXDOMAIN",
                |q| {
                    let mut m = reply(q);
                    m.metadata.response_code = ResponseCode::NXDomain;
                    m.add_authority(record(&host("com."), soa()));
                    m
                },
                Some(&[]),
            ),
            (
                "a name that is no zone",
                |q| {
                    let mut m = reply(q);
                    m.add_authority(record(&host("com."), soa()));
                    m
                },
                Some(&[]),
            ),
            ("an empty answer without SOA", |q| reply(q), None),
            (
                "SERVFAIL",
                |q| {
                    let mut m = reply(q);
                    m.metadata.response_code = ResponseCode::ServFail;
                    m
                },
                None,
            ),
            (
                "REFUSED",
                |q| {
                    let mut m = reply(q);
                    m.metadata.response_code = ResponseCode::Refused;
                    m
                },
                None,
            ),
            (
                "no recursion asked for",
                |q| {
                    let mut m = reply(q);
                    if q.metadata.recursion_desired {
                        m.add_answer(record(q.queries[0].name(), RData::NS(NS(host("recursive.example.net.")))));
                    }
                    m
                },
                Some(&["recursive.example.net"]),
            ),
        ];
        for (case, script, wanted) in table {
            let server = scripted(move |q, _| {
                let mut answer = script(q);
                answer.metadata.recursion_available = true;
                vec![answer.to_vec().unwrap()]
            })
            .await;
            let wanted = wanted.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(found_by(by(&[server]), &name("example.com")).await, wanted, "{case}");
        }
    }

    #[tokio::test]
    async fn a_silent_resolver_is_given_up_within_the_limit() {
        let silent = scripted(|_, _| Vec::new()).await;
        let start = tokio::time::Instant::now();
        assert_eq!(found_by(by(&[silent, silent, silent]), &name("example.com")).await, None);
        assert!(start.elapsed() < LOOKUP_LIMIT + Duration::from_secs(1));
        assert_eq!(found_by(by(&[]), &name("example.com")).await, None, "no resolver at all");
    }
}
