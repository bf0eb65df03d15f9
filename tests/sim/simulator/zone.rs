//! The provider: hosted zones under Route 53's rules. A batch is all or nothing and DELETE is exact;
//! a change becomes INSYNC later and may be stranded before; every name server answers in its own
//! time. It knows no policy and no engine, and draws nothing: whoever asks says when.

use std::collections::BTreeMap;
use std::net::IpAddr;

use failoverd::domain::{RecordName, RecordType, ZoneId};
use failoverd::engine::zone::{Change, ChangeOp, ChangeStatus, Data, DnsAnswer, LiveSet};

pub type Key = (RecordName, String);

/// Name servers of a zone.
pub const SERVERS: usize = 3;

pub struct Zone {
    pub name: RecordName,
    pub id: ZoneId,
    sets: BTreeMap<Key, LiveSet>,
    /// What stood at each key and since when, oldest first; `None`: nothing.
    past: BTreeMap<Key, Vec<(u64, Option<LiveSet>)>>,
    changes: Vec<Applied>,
    /// How far each server is behind, milliseconds.
    pub lag: [u64; SERVERS],
    /// A server that answers as of this moment, whatever the zone holds.
    pub stuck: [Option<u64>; SERVERS],
    /// A server that does not answer.
    pub silent: [bool; SERVERS],
    /// Names no batch may touch, and whether the refusal says which.
    pub refused: BTreeMap<RecordName, bool>,
}

struct Applied {
    id: String,
    insync: u64,
    stranded: bool,
    undo: Vec<(Key, Option<LiveSet>)>,
}

impl Zone {
    pub fn new(name: RecordName, id: &str) -> Zone {
        Zone {
            name,
            id: ZoneId::new(id),
            sets: BTreeMap::new(),
            past: BTreeMap::new(),
            changes: Vec::new(),
            lag: [0; SERVERS],
            stuck: [None; SERVERS],
            silent: [false; SERVERS],
            refused: BTreeMap::new(),
        }
    }

    pub fn get(&self, name: &RecordName, rtype: &str) -> Option<&LiveSet> {
        self.sets.get(&(name.clone(), rtype.to_owned()))
    }

    /// Everything at a name, as a listing gives it.
    pub fn at(&self, name: &RecordName) -> Vec<LiveSet> {
        let from = (name.clone(), String::new());
        self.sets.range(from..).take_while(|((n, _), _)| n == name).map(|(_, set)| set.clone()).collect()
    }

    /// One request that arrives at `now`: all or nothing, in the order it is written (Route 53 API
    /// reference, ChangeResourceRecordSets). The id of the change, or the message of the refusal.
    pub fn apply(&mut self, now: u64, insync: u64, changes: &[Change]) -> Result<String, String> {
        let mut trial: BTreeMap<Key, Option<LiveSet>> = BTreeMap::new();
        for change in changes {
            match self.refused.get(&change.name) {
                Some(true) => {
                    return Err(format!(
                        "RRSet with DNS name {}., type {} is not permitted in zone {}.",
                        change.name, change.rtype, self.name
                    ));
                }
                Some(false) => return Err("the batch is not permitted".into()),
                None => {}
            }
            let set = set_of(change);
            let key = (change.name.clone(), set.rtype.clone());
            let standing = trial.get(&key).cloned().unwrap_or_else(|| self.sets.get(&key).cloned());
            let after = match (change.op, standing) {
                (ChangeOp::Delete, None) => {
                    return Err(format!(
                        "[Tried to delete resource record set [name='{}.', type='{}'] but it was not found]",
                        change.name, change.rtype
                    ));
                }
                (ChangeOp::Delete, Some(old)) if old != set => {
                    return Err(format!(
                        "[Tried to delete resource record set [name='{}.', type='{}'] but the values provided do not \
                         match the current values]",
                        change.name, change.rtype
                    ));
                }
                (ChangeOp::Delete, Some(_)) => None,
                (ChangeOp::Create, Some(_)) => {
                    return Err(format!(
                        "[Tried to create resource record set [name='{}.', type='{}'] but it already exists]",
                        change.name, change.rtype
                    ));
                }
                (ChangeOp::Create, None) | (ChangeOp::Upsert, _) => Some(set),
            };
            trial.insert(key, after);
        }
        let id = format!("C{}{}", self.id, self.changes.len() + 1);
        let undo = trial.keys().map(|key| (key.clone(), self.sets.get(key).cloned())).collect();
        self.changes.push(Applied { id: id.clone(), insync: now + insync, stranded: false, undo });
        for (key, set) in trial {
            self.store(now, key, set);
        }
        Ok(id)
    }

    /// A person's edit, or another program's: whatever it is, it happens.
    pub fn edit(&mut self, now: u64, name: &RecordName, rtype: &str, set: Option<LiveSet>) {
        self.store(now, (name.clone(), rtype.to_owned()), set);
    }

    fn store(&mut self, now: u64, key: Key, set: Option<LiveSet>) {
        let old = match &set {
            Some(set) => self.sets.insert(key.clone(), set.clone()),
            None => self.sets.remove(&key),
        };
        let past = self.past.entry(key).or_insert_with(|| vec![(0, old)]);
        // A server is never further behind than this many edits of one name.
        if past.len() > 64 {
            past.drain(..32);
        }
        past.push((now, set));
    }

    /// What was accepted and is not INSYNC is lost, as when another region takes the control plane over
    /// before it was copied. Whether anything was.
    pub fn strand(&mut self, now: u64) -> bool {
        let mut lost = false;
        for n in (0..self.changes.len()).rev() {
            if self.changes[n].insync <= now {
                break;
            }
            if std::mem::replace(&mut self.changes[n].stranded, true) {
                continue;
            }
            lost = true;
            for (key, set) in std::mem::take(&mut self.changes[n].undo) {
                self.store(now, key, set);
            }
        }
        lost
    }

    pub fn status(&self, now: u64, change: &str) -> ChangeStatus {
        match self.changes.iter().rev().find(|c| c.id == change) {
            Some(c) if c.stranded => ChangeStatus::Vanished,
            Some(c) if c.insync <= now => ChangeStatus::Insync,
            Some(_) => ChangeStatus::Pending,
            None => ChangeStatus::Vanished,
        }
    }

    /// No change becomes INSYNC before `until`.
    pub fn hold_sync(&mut self, now: u64, until: u64) {
        self.changes.iter_mut().filter(|c| c.insync > now).for_each(|c| c.insync = c.insync.max(until));
    }

    /// What one server answers at `now`.
    pub fn answer(&self, now: u64, server: usize, name: &RecordName, rtype: RecordType) -> DnsAnswer {
        if self.silent[server] {
            return DnsAnswer::Failed("timeout".into());
        }
        match self.seen(now, server, name, rtype.as_str()) {
            None => DnsAnswer::Nothing,
            Some(set) => {
                let addresses: Option<_> = set.values.iter().map(|v| v.parse::<IpAddr>().ok()).collect();
                match addresses {
                    Some(addresses) => DnsAnswer::Addresses { set: addresses, ttl: set.ttl.unwrap_or(0) },
                    None => DnsAnswer::Other("not an address".into()),
                }
            }
        }
    }

    fn seen(&self, now: u64, server: usize, name: &RecordName, rtype: &str) -> Option<&LiveSet> {
        let key = (name.clone(), rtype.to_owned());
        let as_of = self.stuck[server].unwrap_or(now).min(now.saturating_sub(self.lag[server]));
        match self.past.get(&key) {
            None => self.sets.get(&key),
            Some(past) => {
                let (_, set) = past.iter().rev().find(|(at, _)| *at <= as_of).unwrap_or(&past[0]);
                set.as_ref()
            }
        }
    }
}

/// The set a change writes or deletes.
pub fn set_of(change: &Change) -> LiveSet {
    match &change.data {
        Data::Values { ttl, values } => LiveSet::values(&change.rtype, *ttl, values.clone()),
        Data::Alias(alias) => LiveSet::alias(&change.rtype, alias.clone()),
    }
}
