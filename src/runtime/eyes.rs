//! The real senses: the prober, its schedule and questions to name servers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::dns::query;
use crate::domain::{Outcome, Policy, PolicyIdx, RecordName, RecordType, Target, Witness};
use crate::engine::zone::DnsAnswer;
use crate::probe::Prober;
use crate::probe::schedule::{self, Ended, Item, ScheduleHandle};

use super::clock::wall;
use super::senses::Senses;

/// A witness that takes longer has not answered.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(2);

/// Port of name servers found by delegation.
const DNS_PORT: u16 = 53;

/// Batches of outcomes that wait for the loop; the schedule keeps what does not fit.
const BATCHES: usize = 64;

pub struct Eyes {
    prober: Prober,
    schedule: ScheduleHandle,
}

impl Eyes {
    /// Probes nothing until told what. Ends with the value or with the receiver.
    pub fn open() -> (Eyes, mpsc::Receiver<Vec<Ended>>) {
        Eyes::with(Prober::new())
    }

    /// The same with this prober.
    pub fn with(prober: Prober) -> (Eyes, mpsc::Receiver<Vec<Ended>>) {
        let (out, batches) = mpsc::channel(BATCHES);
        let schedule = schedule::spawn(prober.clone(), out, wall, std::future::pending());
        (Eyes { prober, schedule }, batches)
    }
}

impl Senses for Eyes {
    fn replace(&self, policies: &[(PolicyIdx, Policy)]) {
        let items = policies.iter().flat_map(|(idx, policy)| {
            policy.indices().zip(&policy.targets).map(|(target, t)| Item {
                policy: *idx,
                target,
                check: t.check.clone(),
                content: t.content.clone(),
            })
        });
        self.schedule.replace(items.collect());
    }

    fn pace(&self, policy: PolicyIdx, fast: bool) {
        self.schedule.pace(policy, fast);
    }

    fn witness<'a>(&'a self, witness: &'a Witness) -> BoxFuture<'a, bool> {
        Box::pin(self.prober.witness(&witness.kind, WITNESS_TIMEOUT))
    }

    fn probe_at<'a>(&'a self, target: &'a Target, address: Option<IpAddr>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match address {
                Some(address) => self.prober.probe(&target.check, address).await.outcome,
                None => self.prober.probe_target(&target.check, &target.content).await.outcome,
            }
        })
    }

    fn ask<'a>(&'a self, server: SocketAddr, name: &'a RecordName, rtype: RecordType) -> BoxFuture<'a, DnsAnswer> {
        Box::pin(query::ask(server, name, rtype, query::TIMEOUT))
    }

    fn resolve_servers<'a>(&'a self, names: &'a [String]) -> BoxFuture<'a, Vec<SocketAddr>> {
        Box::pin(query::resolve_servers(names, DNS_PORT))
    }

    fn delegation<'a>(&'a self, zone: &'a RecordName) -> BoxFuture<'a, Option<Vec<String>>> {
        Box::pin(query::delegation(zone))
    }
}
