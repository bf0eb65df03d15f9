//! Which authoritative servers are asked about which zone, and whose turn it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::domain::{NameServers, ZoneRef};

/// Server lists of all zones.
pub struct Servers {
    configured: NameServers,
    zones: BTreeMap<ZoneRef, ZoneServers>,
}

#[derive(Clone, Debug, Default)]
struct ZoneServers {
    names: Vec<String>,
    addresses: Vec<SocketAddr>,
    turn: usize,
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    These(Vec<SocketAddr>),
    /// These hosts, once their addresses are known.
    Unresolved(Vec<String>),
}

impl Servers {
    pub fn new(configured: NameServers) -> Servers {
        Servers { configured, zones: BTreeMap::new() }
    }

    /// The delegation set of a zone as the provider told it.
    pub fn learn_names(&mut self, zone: &ZoneRef, names: Vec<String>) {
        let entry = self.zones.entry(zone.clone()).or_default();
        if entry.names != names {
            entry.names = names;
            entry.addresses.clear();
        }
    }

    pub fn learn_addresses(&mut self, zone: &ZoneRef, addresses: Vec<SocketAddr>) {
        if !addresses.is_empty() {
            self.zones.entry(zone.clone()).or_default().addresses = addresses;
        }
    }

    /// Every server of `zone`.
    pub fn all(&self, zone: &ZoneRef) -> Whom {
        match (&self.configured, self.zones.get(zone)) {
            (NameServers::These(list), _) => Whom::These(list.clone()),
            (NameServers::Delegation, Some(known)) if known.addresses.is_empty() => {
                Whom::Unresolved(known.names.clone())
            }
            (NameServers::Delegation, Some(known)) => Whom::These(known.addresses.clone()),
            (NameServers::Delegation, None) => Whom::These(Vec::new()),
        }
    }

    /// One server of `zone`; the next one the next time.
    pub fn next(&mut self, zone: &ZoneRef) -> Whom {
        let all = self.all(zone);
        let Whom::These(list) = all else { return all };
        let turn = &mut self.zones.entry(zone.clone()).or_default().turn;
        let chosen = list.get(*turn % list.len().max(1)).copied();
        *turn = turn.wrapping_add(1);
        Whom::These(chosen.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RecordName;

    fn zone() -> ZoneRef {
        ZoneRef { name: Some(RecordName::new("example.com").unwrap()), id: None }
    }

    #[test]
    fn servers_take_turns_and_configured_ones_win() {
        let (a, b): (SocketAddr, SocketAddr) = ("192.0.2.1:53".parse().unwrap(), "192.0.2.2:53".parse().unwrap());
        let mut servers = Servers::new(NameServers::Delegation);
        assert_eq!(servers.next(&zone()), Whom::These(vec![]), "nothing known yet");
        servers.learn_names(&zone(), vec!["ns1".into(), "ns2".into()]);
        assert_eq!(servers.next(&zone()), Whom::Unresolved(vec!["ns1".into(), "ns2".into()]));
        servers.learn_addresses(&zone(), vec![a, b]);
        let asked: Vec<Whom> = (0..3).map(|_| servers.next(&zone())).collect();
        assert!(asked.contains(&Whom::These(vec![a])) && asked.contains(&Whom::These(vec![b])), "{asked:?}");
        assert_eq!(servers.all(&zone()), Whom::These(vec![a, b]));

        let mut servers = Servers::new(NameServers::These(vec![b]));
        servers.learn_names(&zone(), vec!["ns1".into()]);
        assert_eq!(servers.next(&zone()), Whom::These(vec![b]));
    }
}
