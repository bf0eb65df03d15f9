//! What a controller sees with: probes, witnesses and name servers, behind one seam.
//!
//! Nothing here can write; a scripted double of it runs a whole controller in a test.

use std::net::{IpAddr, SocketAddr};

use futures_util::future::BoxFuture;

use crate::domain::{Outcome, Policy, PolicyIdx, RecordName, RecordType, Target, Witness};
use crate::engine::zone::DnsAnswer;

pub trait Senses: Send + Sync + 'static {
    /// From now on exactly these policies are probed.
    fn replace(&self, policies: &[(PolicyIdx, Policy)]);

    /// All targets of `policy` on their fast interval, or on their calm cadence.
    fn pace(&self, policy: PolicyIdx, fast: bool);

    /// Whether a witness answered, bounded by its own deadline.
    fn witness<'a>(&'a self, witness: &'a Witness) -> BoxFuture<'a, bool>;

    /// The check of `target`, at `address` instead of its own, or at what its host name resolves to
    /// now, once.
    fn probe_at<'a>(&'a self, target: &'a Target, address: Option<IpAddr>) -> BoxFuture<'a, Outcome>;

    /// One question to one authoritative server, bounded in time.
    fn ask<'a>(&'a self, server: SocketAddr, name: &'a RecordName, rtype: RecordType) -> BoxFuture<'a, DnsAnswer>;

    /// Addresses of name servers, by the system's resolver; those that cannot be resolved are left out.
    fn resolve_servers<'a>(&'a self, names: &'a [String]) -> BoxFuture<'a, Vec<SocketAddr>>;

    /// Host names of the servers that the world asks about `zone`, bounded in time; `None` when it
    /// cannot be told.
    fn delegation<'a>(&'a self, zone: &'a RecordName) -> BoxFuture<'a, Option<Vec<String>>>;
}
