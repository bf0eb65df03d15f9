//! Fences that no policy manages any more: finding them in a zone, and retiring one by a fence-only
//! write. Never touches a managed record, nor a fence of another cluster.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::control::client::{AskError, ask};
use crate::control::protocol::{Answer, Request};
use crate::dns::ZoneReader;
use crate::dns::route53::ConnectError;
use crate::domain::time::human;
use crate::domain::{RecordName, UnixMs, ZoneRef};
use crate::engine::fence::{FENCE_TTL, FenceKind, FenceMode, FenceValue, fence_name, quote, unquote};
use crate::engine::intent::Kind;
use crate::engine::orphan::{OrphanNote, OrphanStage};
use crate::engine::zone::{
    ApiError, Change, ChangeOp, ChangeStatus, Data, LiveSet, RefusedCode, WriteAnswer, ZoneInfo,
};

use crate::store;

use super::assembly::{self, StartError};
use super::clock::{Clock, wall};
use super::durable::Durable;
use super::executor::Executor;
use super::run_id::run_id;

/// How long one retirement may take, INSYNC included.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long receivers are waited for: a person waits for the prompt.
const NOTICES: Duration = Duration::from_secs(5);
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// A fence as it stands in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Name of the record it locks, as far as it can be told from the fence's.
    pub record: String,
    /// Its own name.
    pub fence: String,
    /// Or why it cannot be read as one.
    pub value: Result<FenceValue, String>,
}

/// Why a fence was not retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A rule forbids it; the text says which.
    #[error("{0}")]
    Refused(String),
    #[error("the provider gave no usable answer: {0}")]
    Provider(String),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Daemon(#[from] AskError),
    #[error("nothing was written, since it could not be journalled: {0}")]
    Journal(String),
    #[error("{0}")]
    Unknown(String),
}

/// Every TXT record where fences stand in a zone. A zone is listed as a whole: one request for each 300 sets.
pub async fn fences(reader: &dyn ZoneReader, zone: &ZoneRef) -> Result<(ZoneInfo, Vec<Standing>), ApiError> {
    let info = reader.resolve_zone(zone, false).await?;
    let mark = format!("._failoverd.{}", info.name);
    let listing = reader.list_zone(&info.id).await.result?;
    let found = listing.iter().filter_map(|(name, set)| {
        let labels = name.strip_suffix(&mark)?;
        let record = match labels {
            "_apex" => info.name.to_string(),
            "_any" => format!("*.{}", info.name),
            _ => format!(
                "{}.{}",
                labels.strip_prefix("_any.").map_or(labels.to_owned(), |r| format!("*.{r}")),
                info.name
            ),
        };
        (set.rtype == "TXT").then(|| Standing { record, fence: name.to_string(), value: value_of(set) })
    });
    let found = found.collect();
    Ok((info, found))
}

/// Reads the one value of a simple TXT set.
fn value_of(set: &LiveSet) -> Result<FenceValue, String> {
    match (set.rtype.as_str(), set.is_simple(), set.values.as_slice()) {
        ("TXT", true, [value]) => FenceValue::parse(&unquote(value).ok_or("it is not a quoted text")?),
        _ => Err("it is not one simple TXT set with one value".into()),
    }
}

/// What a person says about the retirement.
pub struct Said {
    pub by: String,
    pub reason: String,
    /// No instance manages the record, whoever wrote its fence.
    pub nobody_manages_it: bool,
}

/// Who keeps the journal: the daemon of this state file, or this process.
enum Ledger<'a> {
    Daemon(&'a Config),
    Here { config: &'a Config, durable: Durable },
}

impl<'a> Ledger<'a> {
    async fn open(config: &'a Config) -> Result<Ledger<'a>, RetireError> {
        match ask(&config.state, Request::Ping).await {
            Ok(_) => Ok(Ledger::Daemon(config)),
            Err(AskError::NoDaemon(_)) => Ok(Ledger::Here { config, durable: Durable::open(config)? }),
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing is written before this is durable, or with the daemon on its way there.
    async fn note(&self, note: OrphanNote, by: &str) -> Result<(), RetireError> {
        match self {
            Ledger::Daemon(config) => match ask(&config.state, Request::OrphanNoted { note }).await? {
                Answer::Accepted { .. } => Ok(()),
                _ => {
                    Err(RetireError::Refused("the daemon cannot note it; use the failoverd of the same release".into()))
                }
            },
            Ledger::Here { config, durable } => {
                let mut to: Vec<_> = config.policies.iter().flat_map(|p| p.notify.iter().cloned()).collect();
                to.sort();
                to.dedup();
                let entry = note.entry(&config.settings, to, by, Clock::start().now());
                let (done, kept) = oneshot::channel();
                durable.keeper().commit(
                    0,
                    entry,
                    Box::new(move |result| {
                        let _ = done.send(result);
                    }),
                );
                match kept.await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(why)) => Err(RetireError::Journal(why)),
                    Err(_) => Err(RetireError::Journal("the store is gone".into())),
                }
            }
        }
    }

    async fn close(self) {
        if let Ledger::Here { durable, .. } = self {
            let left = durable.flush_notices(NOTICES).await;
            if left > 0 {
                tracing::warn!(left, "not everybody could be told yet; `failoverd run` or `once` goes on");
            }
            durable.close().await;
        }
    }
}

/// Marks the fence of `record` released; the answer is a sentence for people.
pub async fn retire(
    config: &Config,
    record: &RecordName,
    zone: Option<&ZoneRef>,
    person: Said,
) -> Result<String, RetireError> {
    if let Some(policy) = config.policies.iter().find(|p| p.records.contains(record)) {
        return Err(RetireError::Refused(format!(
            "{record} is managed by policy {0}: its fence is no orphan; to give the record up: failoverd release {0}",
            policy.id
        )));
    }
    let (reader, executor) = assembly::hands(config).await?;
    let info = zone_of(&*reader, config, record, zone).await?;
    let fence = fence_name(record, &info.name).map_err(|e| RetireError::Refused(e.to_string()))?;
    let place = Place { reader: &*reader, info: &info, record, fence: &fence };
    let Some(raw) = place.read().await? else {
        return Ok(format!("there is no fence of {record} in {}: nothing to retire", info.name));
    };
    let old = value_of(&raw).map_err(|why| {
        RetireError::Refused(format!("the fence {fence} cannot be used: {why}; look at it and delete it by hand"))
    })?;
    let settings = &config.settings;
    if old.mode == FenceMode::Released {
        return Ok(format!("{record} was released before, by {}/{}", old.cluster, old.instance));
    }
    if old.cluster != settings.cluster {
        return Err(RetireError::Refused(format!(
            "the fence of {record} belongs to {}/{} (policy {}), not to cluster {}: only its own cluster releases it",
            old.cluster, old.instance, old.policy, settings.cluster
        )));
    }
    let writer = format!("{}/{}", old.cluster, old.instance);
    let ago = human(Duration::from_secs(wall().since(old.written).as_secs()));
    if !is_our_own(config, &old) && !person.nobody_manages_it {
        return Err(RetireError::Refused(format!(
            "the fence of {record} was written by {writer} {ago} ago, which this instance ({}/{}) and its state file \
             know nothing of: that one, or another with other files, may manage the record still; look there \
             (failoverd status), and when nobody does: failoverd release --orphan {record} --nobody-manages-it",
            settings.cluster, settings.instance
        )));
    }
    let new = FenceValue {
        epoch: old.epoch.next(),
        instance: settings.instance.clone(),
        attempt: format!("{}-1", run_id()),
        written: wall(),
        kind: FenceKind::Known(Kind::Release),
        mode: FenceMode::Released,
        until: UnixMs(0),
        ..old.clone()
    };
    let note = |stage| OrphanNote {
        record: record.clone(),
        policy: old.policy.clone(),
        attempt: new.attempt.clone(),
        reason: person.reason.clone(),
        stage,
    };
    let ledger = Ledger::open(config).await?;
    ledger.note(note(OrphanStage::Begun), &person.by).await?;
    let written = place.write(&executor, &raw, &new).await;
    let before = format!("policy {}, last written by {writer} at {}", old.policy, old.written);
    let stage = match &written {
        Ok(()) => OrphanStage::Released { before: before.clone() },
        Err(RetireError::Unknown(why)) => OrphanStage::Unknown { before: before.clone(), why: why.clone() },
        Err(error) => OrphanStage::Failed { why: error.to_string() },
    };
    let noted = ledger.note(note(stage), &person.by).await;
    ledger.close().await;
    written?;
    if let Err(error) = noted {
        tracing::warn!("released, but not journalled: {error}");
    }
    Ok(format!("{record}: released at epoch {} (it was {before})", new.epoch))
}

/// This very state file knows the write: no other instance can manage the record by it.
pub fn is_our_own(config: &Config, value: &FenceValue) -> bool {
    let known = || store::open_read_only(&config.state).and_then(|view| view.restored()).ok();
    let snapshots = (value.instance == config.settings.instance).then(known).flatten().map(|r| r.snapshots);
    snapshots.is_some_and(|list| list.iter().any(|s| s.policy == value.policy && s.epoch >= value.epoch))
}

/// The zone that holds `record`: the one named, else the longest of those configured.
async fn zone_of(
    reader: &dyn ZoneReader,
    config: &Config,
    record: &RecordName,
    zone: Option<&ZoneRef>,
) -> Result<ZoneInfo, RetireError> {
    let mut known: Vec<&ZoneRef> = config.policies.iter().map(|p| &p.zone).collect();
    known.sort();
    known.dedup();
    let known = zone.map_or(known, |zone| vec![zone]);
    let mut best: Option<ZoneInfo> = None;
    for zone in known {
        let info = reader.resolve_zone(zone, false).await.map_err(|e| RetireError::Provider(e.message))?;
        let longer = best.as_ref().is_none_or(|b| info.name.as_str().len() > b.name.as_str().len());
        if record.is_within(&info.name) && longer {
            best = Some(info);
        }
    }
    best.ok_or_else(|| {
        RetireError::Refused(format!("{record} is in no zone of a configured policy; name its zone with --zone"))
    })
}

struct Place<'a> {
    reader: &'a dyn ZoneReader,
    info: &'a ZoneInfo,
    record: &'a RecordName,
    fence: &'a RecordName,
}

impl Place<'_> {
    /// The TXT set at the fence's name.
    async fn read(&self) -> Result<Option<LiveSet>, RetireError> {
        let read = self.reader.read_record(&self.info.id, self.record, self.fence).await.result;
        let read = read.map_err(|e| RetireError::Provider(e.message))?;
        Ok(read.fence.into_iter().find(|set| set.rtype == "TXT"))
    }

    /// Replaces `raw` by `new`, exactly. A lost reply is resolved by reading: ours there means
    /// applied; the old one there means that the very same request may be sent again, since at
    /// most one of them can apply and both say the same.
    async fn write(&self, executor: &Executor, raw: &LiveSet, new: &FenceValue) -> Result<(), RetireError> {
        let edit = |op, ttl, values| Change {
            op,
            name: self.fence.clone(),
            rtype: "TXT".into(),
            data: Data::Values { ttl, values },
        };
        let changes = [
            edit(ChangeOp::Delete, raw.ttl.unwrap_or(FENCE_TTL), raw.values.clone()),
            edit(ChangeOp::Create, FENCE_TTL, vec![quote(&new.encode())]),
        ];
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match executor.write(&self.info.id, &changes, "failoverd: an orphaned fence is released").await {
                WriteAnswer::Accepted { change_id } => return self.insync(&change_id, deadline).await,
                WriteAnswer::Refused { code, .. } if code.is_transient() => {}
                WriteAnswer::Refused { code: RefusedCode::Precondition, .. } | WriteAnswer::Ambiguous(_) => {
                    match self.read().await {
                        Ok(Some(now)) if value_of(&now).is_ok_and(|v| v.attempt == new.attempt) => return Ok(()),
                        Ok(Some(now)) if now == *raw => {}
                        Ok(_) => {
                            return Err(RetireError::Refused(
                                "somebody else wrote this fence at the same time; look again: failoverd doctor".into(),
                            ));
                        }
                        Err(error) => tracing::warn!("the fence cannot be read: {error}"),
                    }
                }
                WriteAnswer::Refused { message, .. } => return Err(RetireError::Provider(message)),
                WriteAnswer::NotSent(error) => return Err(RetireError::Provider(error.message)),
            }
            sleep(BETWEEN_TRIES).await;
        }
        Err(RetireError::Unknown(format!(
            "no definite answer within {} s; the fence may yet become released; look: failoverd doctor",
            PATIENCE.as_secs()
        )))
    }

    async fn insync(&self, change_id: &str, deadline: Instant) -> Result<(), RetireError> {
        while Instant::now() < deadline {
            match self.reader.change_status(change_id).await {
                Ok(ChangeStatus::Insync) => return Ok(()),
                Ok(ChangeStatus::Vanished) => {
                    return Err(RetireError::Unknown("the change vanished; look again: failoverd doctor".into()));
                }
                Ok(ChangeStatus::Pending) | Err(_) => sleep(BETWEEN_TRIES).await,
            }
        }
        Err(RetireError::Unknown("accepted; whether it is in sync could not be learnt in time".into()))
    }
}
