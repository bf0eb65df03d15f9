//! The shared truth: hosted zones as immutable maps of record sets. The API and the name server
//! read the same map; a change makes a new one (see `change`) and swaps it in one go.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::DnsName;

/// Position of a set in the service's listing order: name by reversed labels, type, identifier.
pub type SetKey = (Vec<u8>, String, String);

pub type Sets = BTreeMap<SetKey, Arc<RecordSet>>;

/// One record set, as sent and as listed. A simple set has no identifier; an alias has no TTL
/// and no values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSet {
    pub name: DnsName,
    pub rtype: String,
    pub set_identifier: Option<String>,
    pub routing: Option<Routing>,
    pub ttl: Option<u32>,
    pub values: Vec<String>,
    pub alias: Option<AliasTarget>,
    pub health_check: Option<String>,
}

/// How a set shares its name and type with others. Stored and listed faithfully; DNS answers
/// the heaviest weighted set, else the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    Weighted(u8),
    Latency(String),
    Failover(String),
    MultiValue,
    /// Continent, country, subdivision.
    Geo([Option<String>; 3]),
}

impl Routing {
    /// Sets at one name and type must be of one kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Routing::Weighted(_) => "weighted",
            Routing::Latency(_) => "latency",
            Routing::Failover(_) => "failover",
            Routing::MultiValue => "multivalue answer",
            Routing::Geo(_) => "geolocation",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AliasTarget {
    /// Without prefix.
    pub hosted_zone_id: String,
    /// As listed: lower case, a trailing dot.
    #[serde(rename = "DNSName")]
    pub dns_name: String,
    pub evaluate_target_health: bool,
}

impl RecordSet {
    pub fn simple(name: DnsName, rtype: &str, ttl: u32, values: Vec<String>) -> RecordSet {
        RecordSet {
            name,
            rtype: rtype.into(),
            set_identifier: None,
            routing: None,
            ttl: Some(ttl),
            values,
            alias: None,
            health_check: None,
        }
    }

    pub fn alias(name: DnsName, rtype: &str, alias: AliasTarget) -> RecordSet {
        RecordSet { ttl: None, alias: Some(alias), ..RecordSet::simple(name, rtype, 0, Vec::new()) }
    }

    pub fn key(&self) -> SetKey {
        (self.name.sort_key(), self.rtype.clone(), self.set_identifier.clone().unwrap_or_default())
    }

    /// True when a DELETE that carries `self` may delete `live`: everything equal, values in any order.
    pub fn matches_exactly(&self, live: &RecordSet) -> bool {
        let sorted = |set: &RecordSet| {
            let mut values = set.values.clone();
            values.sort();
            values
        };
        self.ttl == live.ttl
            && self.routing == live.routing
            && self.alias == live.alias
            && self.health_check == live.health_check
            && sorted(self) == sorted(live)
    }

    /// `[name='www.example.com.', type='A']` as error texts name a set.
    pub fn label(&self) -> String {
        match &self.set_identifier {
            None => format!("[name='{}', type='{}']", self.name, self.rtype),
            Some(id) => format!("[name='{}', type='{}', set identifier='{id}']", self.name, self.rtype),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Zone {
    /// Without prefix.
    pub id: String,
    pub name: DnsName,
    pub caller_reference: String,
    pub comment: Option<String>,
    /// Seen by the API only: the name servers are those of the internet.
    pub private: bool,
    /// Empty for a private zone.
    pub name_servers: Vec<String>,
    pub sets: Arc<Sets>,
}

impl Zone {
    /// A new zone with its SOA and NS set, TTLs as the service gives them.
    pub fn new(id: String, name: DnsName, caller_reference: String, comment: Option<String>) -> Zone {
        let name_servers: Vec<String> = (1..=4).map(|n| format!("ns-{n}.sandbox.invalid")).collect();
        let ns = name_servers.iter().map(|host| format!("{host}.")).collect();
        let soa = "ns-1.sandbox.invalid. hostmaster.sandbox.invalid. 1 7200 900 1209600 86400";
        let sets = [
            RecordSet::simple(name.clone(), "NS", 172_800, ns),
            RecordSet::simple(name.clone(), "SOA", 900, vec![soa.into()]),
        ];
        let sets = sets.into_iter().map(|set| (set.key(), Arc::new(set))).collect();
        Zone { id, name, caller_reference, comment, private: false, name_servers, sets: Arc::new(sets) }
    }

    /// The same, for the inside of a network.
    pub fn into_private(self) -> Zone {
        Zone { private: true, name_servers: Vec::new(), ..self }
    }

    /// True when nothing but the SOA and NS set of the apex is in it.
    pub fn is_empty(&self) -> bool {
        self.sets.values().all(|set| set.name == self.name && matches!(set.rtype.as_str(), "SOA" | "NS"))
    }
}

/// One page of a listing and where the next one starts.
pub struct Page {
    pub sets: Vec<Arc<RecordSet>>,
    pub next: Option<Arc<RecordSet>>,
}

/// The first `max` sets at or after `from`.
pub fn page(sets: &Sets, from: SetKey, max: usize) -> Page {
    let mut rest = sets.range(from..).map(|(_, set)| set.clone());
    let page = rest.by_ref().take(max).collect();
    Page { sets: page, next: rest.next() }
}
