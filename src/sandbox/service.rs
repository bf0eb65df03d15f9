//! The state behind the API and the name servers: zones, changes and history under one lock.
//! A batch is one change of that lock's content; name servers get an immutable view of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use crate::domain::UnixMs;

use super::alias::Place;
use super::change::{self, Batch, Refusal};
use super::dns::{Foreign, NameServer, View};
use super::faults::{BatchFaults, Faults, Hold, Reply};
use super::name::DnsName;
use super::zone::{Sets, Zone};

/// Changes and history entries kept; the oldest go first.
const KEPT: usize = 10_000;
/// Accounts whose calls are counted; the rate of any more is not limited.
const ACCOUNTS: usize = 1_000;

pub(super) struct Service {
    inner: Mutex<Inner>,
    pub servers: Vec<Arc<NameServer>>,
    pub faults: Faults,
    timing: Timing,
    began: Instant,
    /// Makes the change ids of one run differ from those of another.
    nonce: u64,
}

/// See the fields of the same names in `SandboxConfig`.
pub(super) struct Timing {
    pub pending: Duration,
    pub dns_delay: Duration,
    pub rps: Option<f64>,
    pub started: UnixMs,
}

struct Inner {
    zones: Vec<Zone>,
    changes: VecDeque<ChangeRecord>,
    history: VecDeque<HistoryEntry>,
    /// Zones with a batch in flight.
    busy: BTreeSet<String>,
    serial: u64,
    foreign: Foreign,
    /// By access key: the calls left, and when that was counted.
    buckets: BTreeMap<String, (f64, Instant)>,
}

struct ChangeRecord {
    id: String,
    accepted: Instant,
    submitted: UnixMs,
    comment: Option<String>,
    known: bool,
}

/// One batch that reached the service, applied or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub at: UnixMs,
    /// Zone id without prefix.
    pub zone: String,
    pub comment: Option<String>,
    pub changes: Vec<HistoryChange>,
    pub result: HistoryResult,
    /// False when a fault kept the answer from the sender.
    pub answered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryChange {
    pub action: String,
    /// With a trailing dot, escaped as listed.
    pub name: String,
    pub rtype: String,
    pub set_identifier: Option<String>,
    pub ttl: Option<u32>,
    pub values: Vec<String>,
    /// Name the alias targets, as listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryResult {
    Accepted {
        change_id: String,
    },
    Refused {
        code: String,
        message: String,
    },
    /// The request was lost before the service looked at it.
    Lost,
}

/// What the caller of an operation is told instead of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Error {
        status: u16,
        code: &'static str,
        message: String,
    },
    OldBatchError(Vec<String>),
    /// The connection ends.
    NoReply,
}

impl Failure {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Failure {
        Failure::Error { status, code, message: message.into() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::new(400, refusal.code(), refusal.message())
    }
}

#[derive(Clone, Debug)]
pub(super) struct ChangeInfo {
    pub id: String,
    pub pending: bool,
    pub submitted: UnixMs,
    pub comment: Option<String>,
}

impl Service {
    pub fn new(servers: Vec<Arc<NameServer>>, faults: Faults, timing: Timing) -> Service {
        let began = Instant::now();
        let inner = Inner {
            zones: Vec::new(),
            changes: VecDeque::new(),
            history: VecDeque::new(),
            busy: BTreeSet::new(),
            serial: 0,
            foreign: Foreign::new(),
            buckets: BTreeMap::new(),
        };
        let mut nonce = [0; 8];
        // Without randomness ids repeat between runs, which no reader of one run notices.
        let _ = getrandom::fill(&mut nonce);
        Service { inner: Mutex::new(inner), servers, faults, timing, began, nonce: u64::from_be_bytes(nonce) }
    }

    fn wall(&self) -> UnixMs {
        self.timing.started + self.began.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one call from the account's bucket: `rps` a second, a burst of as many (at least one).
    pub fn take_token(&self, account: &str) -> bool {
        let Some(rps) = self.timing.rps else { return true };
        let mut inner = self.lock();
        if inner.buckets.len() >= ACCOUNTS && !inner.buckets.contains_key(account) {
            return true;
        }
        let now = Instant::now();
        let (tokens, refilled) = inner.buckets.entry(account.to_owned()).or_insert((rps.max(1.0), now));
        *tokens = (*tokens + now.duration_since(*refilled).as_secs_f64() * rps).min(rps.max(1.0));
        *refilled = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }

    /// Plays a name outside the zones with these addresses from now on; none ends it.
    pub fn play(self: &Arc<Self>, name: DnsName, addresses: Vec<IpAddr>) {
        let mut inner = self.lock();
        if addresses.is_empty() {
            inner.foreign.remove(&name);
        } else {
            inner.foreign.insert(name, addresses);
        }
        self.publish(&mut inner, Duration::ZERO);
    }

    pub fn played(&self) -> BTreeMap<String, Vec<IpAddr>> {
        self.lock().foreign.iter().map(|(name, addresses)| (name.to_string(), addresses.clone())).collect()
    }

    pub fn create_zone(
        self: &Arc<Self>,
        name: DnsName,
        reference: String,
        comment: Option<String>,
        private: bool,
    ) -> Result<(Zone, ChangeInfo), Failure> {
        let mut inner = self.lock();
        if inner.zones.iter().any(|zone| zone.caller_reference == reference) {
            let text =
                format!("A hosted zone has already been created with the specified caller reference: {reference}");
            return Err(Failure::new(409, "HostedZoneAlreadyExists", text));
        }
        let zone = Zone::new(token('Z', &format!("{name}{reference}")), name, reference, comment);
        let zone = if private { zone.into_private() } else { zone };
        inner.zones.push(zone.clone());
        let info = inner.record_change(self.wall(), self.nonce, None, true);
        self.publish(&mut inner, Duration::ZERO);
        Ok((zone, info))
    }

    pub fn delete_zone(self: &Arc<Self>, id: &str) -> Result<ChangeInfo, Failure> {
        let mut inner = self.lock();
        let at = inner.zones.iter().position(|zone| zone.id == id).ok_or_else(|| no_such_zone(id))?;
        if inner.zones.get(at).is_some_and(|zone| !zone.is_empty()) {
            let text =
                "The specified hosted zone contains non-required resource record sets  and so cannot be deleted.";
            return Err(Failure::new(400, "HostedZoneNotEmpty", text));
        }
        inner.zones.remove(at);
        let info = inner.record_change(self.wall(), self.nonce, None, true);
        self.publish(&mut inner, Duration::ZERO);
        Ok(info)
    }

    pub fn zones(&self) -> Vec<Zone> {
        self.lock().zones.clone()
    }

    pub fn zone(&self, id: &str) -> Result<Zone, Failure> {
        self.lock().zones.iter().find(|zone| zone.id == id).cloned().ok_or_else(|| no_such_zone(id))
    }

    pub fn change_info(&self, id: &str) -> Result<ChangeInfo, Failure> {
        let inner = self.lock();
        let record = inner.changes.iter().find(|change| change.id == id && change.known);
        record.map(|record| record.info(self.timing.pending)).ok_or_else(|| {
            Failure::new(404, "NoSuchChange", format!("A change with the specified change ID does not exist: {id}"))
        })
    }

    pub fn history(&self) -> Vec<HistoryEntry> {
        self.lock().history.iter().cloned().collect()
    }

    /// One ChangeResourceRecordSets call, with whatever faults are armed for it. Once it has
    /// begun it runs to its end even when the caller's connection ends.
    pub async fn change(self: &Arc<Self>, zone_id: &str, batch: Batch) -> Result<ChangeInfo, Failure> {
        self.zone(zone_id)?;
        let faults = self.faults.next_batch();
        if faults.hold.is_none() {
            return self.finish(zone_id, &batch, &faults);
        }
        let (service, zone_id) = (self.clone(), zone_id.to_owned());
        let held = tokio::spawn(async move { service.held(&zone_id, &batch, &faults).await });
        held.await.unwrap_or(Err(Failure::NoReply))
    }

    async fn held(self: &Arc<Self>, zone: &str, batch: &Batch, faults: &BatchFaults) -> Result<ChangeInfo, Failure> {
        match faults.hold {
            None => {}
            Some(Hold::OnTheWire(late)) => sleep(late).await,
            Some(Hold::InFlight(delay)) => {
                if !self.lock().busy.insert(zone.to_owned()) {
                    return self.refuse(zone, batch, prior_request(), faults.reply);
                }
                sleep(delay).await;
                self.lock().busy.remove(zone);
            }
        }
        self.finish(zone, batch, faults)
    }

    fn finish(self: &Arc<Self>, zone: &str, batch: &Batch, faults: &BatchFaults) -> Result<ChangeInfo, Failure> {
        if !faults.commit {
            self.lock().remember(self.wall(), zone, batch, HistoryResult::Lost, false);
            return Err(failed_reply(faults.reply).unwrap_or(Failure::NoReply));
        }
        if self.faults.prior_request() || self.lock().busy.contains(zone) {
            return self.refuse(zone, batch, prior_request(), faults.reply);
        }
        match self.commit(zone, batch, faults.reply == Reply::Sent) {
            Ok(info) => failed_reply(faults.reply).map_or(Ok(info), Err),
            Err(CommitError::NoSuchZone) => Err(no_such_zone(zone)),
            Err(CommitError::Refused(refusal)) => {
                let failure = match &refusal {
                    Refusal::InvalidBatch(messages) if self.faults.old_batch_error() => {
                        Failure::OldBatchError(messages.clone())
                    }
                    _ => refusal.into(),
                };
                self.refuse(zone, batch, failure, faults.reply)
            }
        }
    }

    /// Tells a refusal (unless its reply is lost too) and remembers it.
    fn refuse(&self, zone: &str, batch: &Batch, failure: Failure, reply: Reply) -> Result<ChangeInfo, Failure> {
        let result = match &failure {
            Failure::Error { code, message, .. } => {
                HistoryResult::Refused { code: (*code).into(), message: message.clone() }
            }
            Failure::OldBatchError(messages) => {
                HistoryResult::Refused { code: "InvalidChangeBatch".into(), message: messages.join(", ") }
            }
            Failure::NoReply => HistoryResult::Lost,
        };
        tracing::info!(zone, comment = batch.comment.as_deref(), ?failure, "sandbox refused a batch");
        self.lock().remember(self.wall(), zone, batch, result, reply == Reply::Sent);
        Err(failed_reply(reply).unwrap_or(failure))
    }

    fn commit(self: &Arc<Self>, zone_id: &str, batch: &Batch, answered: bool) -> Result<ChangeInfo, CommitError> {
        let mut inner = self.lock();
        let zone = inner.zones.iter().find(|zone| zone.id == zone_id).ok_or(CommitError::NoSuchZone)?;
        let place = Place { id: zone_id, zone: &zone.name, all: &inner.zones };
        let next = change::apply(place, &zone.sets, batch).map_err(CommitError::Refused)?;
        let zone = inner.zones.iter_mut().find(|zone| zone.id == zone_id).ok_or(CommitError::NoSuchZone)?;
        let before = std::mem::replace(&mut zone.sets, Arc::new(next));
        let faults = self.faults.next_change();
        let mut info = inner.record_change(self.wall(), self.nonce, batch.comment.clone(), !faults.forget);
        info.pending = !self.timing.pending.is_zero();
        inner.remember(self.wall(), zone_id, batch, HistoryResult::Accepted { change_id: info.id.clone() }, answered);
        self.publish(&mut inner, self.timing.dns_delay);
        drop(inner);
        tracing::info!(
            zone = zone_id,
            change = info.id,
            comment = batch.comment.as_deref(),
            records = batch.changes.len(),
            "sandbox applied a batch"
        );
        if faults.strand {
            let (service, zone_id, change_id) = (self.clone(), zone_id.to_owned(), info.id.clone());
            tokio::spawn(async move {
                sleep(service.timing.pending).await;
                service.roll_back(&zone_id, before, &change_id);
            });
        }
        Ok(info)
    }

    fn roll_back(self: &Arc<Self>, zone_id: &str, before: Arc<Sets>, change_id: &str) {
        let mut inner = self.lock();
        if let Some(zone) = inner.zones.iter_mut().find(|zone| zone.id == zone_id) {
            zone.sets = before;
        }
        if let Some(record) = inner.changes.iter_mut().find(|record| record.id == change_id) {
            record.known = false;
        }
        self.publish(&mut inner, Duration::ZERO);
        tracing::info!(zone = zone_id, change = change_id, "sandbox rolled a change back");
    }

    /// Hands the present zones to every name server, each after its own delay.
    fn publish(self: &Arc<Self>, inner: &mut Inner, delay: Duration) {
        inner.serial += 1;
        let view = Arc::new(View::new(inner.serial, inner.zones.clone(), inner.foreign.clone()));
        for (k, server) in (1u32..).zip(&self.servers) {
            if delay.is_zero() {
                server.show(view.clone());
                continue;
            }
            let (server, view) = (server.clone(), view.clone());
            tokio::spawn(async move {
                sleep(delay * k).await;
                server.show(view);
            });
        }
    }
}

enum CommitError {
    NoSuchZone,
    Refused(Refusal),
}

impl Inner {
    fn record_change(&mut self, submitted: UnixMs, nonce: u64, comment: Option<String>, known: bool) -> ChangeInfo {
        self.serial += 1;
        let id = token('C', &format!("{nonce}/{}", self.serial));
        self.changes.push_back(ChangeRecord {
            id: id.clone(),
            accepted: Instant::now(),
            submitted,
            comment: comment.clone(),
            known,
        });
        if self.changes.len() > KEPT {
            self.changes.pop_front();
        }
        ChangeInfo { id, pending: true, submitted, comment }
    }

    fn remember(&mut self, at: UnixMs, zone: &str, batch: &Batch, result: HistoryResult, answered: bool) {
        let changes = batch
            .changes
            .iter()
            .map(|change| HistoryChange {
                action: change.action.as_str().into(),
                name: change.set.name.to_string(),
                rtype: change.set.rtype.clone(),
                set_identifier: change.set.set_identifier.clone(),
                ttl: change.set.ttl,
                values: change.set.values.clone(),
                alias: change.set.alias.as_ref().map(|alias| alias.dns_name.clone()),
            })
            .collect();
        let comment = batch.comment.clone();
        self.history.push_back(HistoryEntry { at, zone: zone.into(), comment, changes, result, answered });
        if self.history.len() > KEPT {
            self.history.pop_front();
        }
    }
}

impl ChangeRecord {
    fn info(&self, pending: Duration) -> ChangeInfo {
        ChangeInfo {
            id: self.id.clone(),
            pending: self.accepted.elapsed() < pending,
            submitted: self.submitted,
            comment: self.comment.clone(),
        }
    }
}

fn failed_reply(reply: Reply) -> Option<Failure> {
    match reply {
        Reply::Sent => None,
        Reply::Lost => Some(Failure::NoReply),
        Reply::InternalError => {
            Some(Failure::new(500, "InternalError", "An internal error occurred. Please try again."))
        }
    }
}

fn prior_request() -> Failure {
    let text = "The request was rejected because Route 53 was still processing a prior request.";
    Failure::new(400, "PriorRequestNotComplete", text)
}

fn no_such_zone(id: &str) -> Failure {
    Failure::new(404, "NoSuchHostedZone", format!("No hosted zone found with ID: {id}"))
}

/// An id of the service's look: a letter and 20 of `0-9 A-Z`.
fn token(kind: char, seed: &str) -> String {
    let digest = Sha256::digest(seed.as_bytes());
    let text = digest.iter().take(20).map(|byte| char::from_digit(u32::from(*byte) % 36, 36).unwrap_or('0'));
    std::iter::once(kind).chain(text.map(|c| c.to_ascii_uppercase())).collect()
}
