//! The simulated zone: record sets, the provider that edits them under Route 53's rules, and the
//! name servers that answer from them. It knows no policy and no engine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use failoverd::domain::*;
use failoverd::engine::event::ServerAnswer;
use failoverd::engine::fence::{MAX_VALUE, unquote};
use failoverd::engine::zone::*;

/// The provider takes no request that was signed longer ago (AWS Signature Version 4).
const SIGNATURE_LIFE: u64 = 15 * 60 * 1000;

/// One batch that was carried out.
#[derive(Clone)]
pub struct Taken {
    pub changes: Vec<Change>,
    /// The TXT sets that stood at the names it writes.
    pub stood: BTreeMap<RecordName, LiveSet>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ApiMode {
    Up,
    Down,
    Denies,
    /// Reads work, writes are denied.
    DeniesWrites,
    LostAfterCommit,
    LostBeforeCommit,
    /// So many writes are answered with `Throttling`.
    Throttles(u32),
    /// So many writes are answered with `PriorRequestNotComplete`.
    Busy(u32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DnsMode {
    Fine,
    Stale,
    Silent,
}

/// Name, type and set identifier (empty for a simple set).
type Key = (RecordName, String, String);

#[derive(Clone)]
pub struct Zone {
    pub name: RecordName,
    /// Changes when the zone is recreated.
    pub id: ZoneId,
    pub private: bool,
    pub name_servers: Vec<String>,
    /// What the host names of targets resolve to.
    pub hosts: BTreeMap<RecordName, BTreeSet<IpAddr>>,
    /// Names no write may touch, and whether the refusal says which.
    pub refused: BTreeMap<RecordName, bool>,
    sets: BTreeMap<Key, LiveSet>,
    /// What name servers answer while stale.
    old: BTreeMap<Key, LiveSet>,
    /// The zone before the run.
    first: BTreeMap<Key, LiveSet>,
    pub api: ApiMode,
    pub dns: DnsMode,
    /// Requests that were not carried out yet, with the time they were signed.
    held: Vec<(u64, Vec<Change>)>,
    /// Batches that were carried out and not looked at yet.
    pub taken: Vec<Taken>,
    /// Accepted changes by id, with their time.
    changes: BTreeMap<String, u64>,
}

impl Zone {
    pub fn new(name: RecordName) -> Zone {
        Zone {
            name,
            id: ZoneId::new("Z1"),
            private: false,
            name_servers: vec!["ns1.example.net".into(), "ns2.example.net".into()],
            hosts: BTreeMap::new(),
            refused: BTreeMap::new(),
            sets: BTreeMap::new(),
            old: BTreeMap::new(),
            first: BTreeMap::new(),
            api: ApiMode::Up,
            dns: DnsMode::Fine,
            held: Vec::new(),
            taken: Vec::new(),
            changes: BTreeMap::new(),
        }
    }

    /// The simple set of a type at a name.
    pub fn get(&self, name: &RecordName, rtype: &str) -> Option<&LiveSet> {
        self.sets.get(&(name.clone(), rtype.into(), String::new()))
    }

    /// Everything at a name, as a listing gives it.
    pub fn at(&self, name: &RecordName) -> Vec<LiveSet> {
        let from = (name.clone(), String::new(), String::new());
        self.sets.range(from..).take_while(|((n, ..), _)| n == name).map(|(_, set)| set.clone()).collect()
    }

    pub fn put(&mut self, name: &RecordName, rtype: &str, ttl: u32, values: Vec<String>) {
        self.put_set(name, LiveSet::values(rtype, ttl, values));
    }

    pub fn put_set(&mut self, name: &RecordName, set: LiveSet) {
        self.sets.insert(key(name, &set), set);
    }

    /// Every set of a type at a name, or only the one of this set identifier.
    pub fn remove(&mut self, name: &RecordName, rtype: &str, id: Option<&str>) {
        let meant = |(n, t, i): &Key| (n, t.as_str()) == (name, rtype) && id.is_none_or(|id| id == i);
        self.sets.retain(|key, _| !meant(key));
    }

    /// Another zone of the same name takes its place, empty.
    pub fn recreate(&mut self) {
        self.id = ZoneId::new("Z2");
        self.sets.clear();
        self.publish();
    }

    /// Name servers answer what the zone holds now.
    pub fn publish(&mut self) {
        self.old.clone_from(&self.sets);
    }

    /// From now on this is the zone before the run.
    pub fn begin(&mut self) {
        self.publish();
        self.first.clone_from(&self.sets);
    }

    /// The zone as it was before the run.
    pub fn roll_back(&mut self) {
        self.sets.clone_from(&self.first);
    }

    /// How many changes were accepted.
    pub fn accepted(&self) -> usize {
        self.changes.len()
    }

    /// Requests whose reply was lost before they were carried out, and that may still be.
    pub fn late(&mut self, now: u64) -> Vec<Vec<Change>> {
        let alive = |(signed, _): &(u64, Vec<Change>)| now.saturating_sub(*signed) <= SIGNATURE_LIFE;
        std::mem::take(&mut self.held).into_iter().filter(alive).map(|(_, changes)| changes).collect()
    }

    /// A request is on its way; it may arrive late.
    pub fn hold(&mut self, now: u64, changes: &[Change]) {
        self.held.push((now, changes.to_vec()));
    }

    /// When the change was accepted.
    pub fn change(&self, id: &str) -> Option<u64> {
        self.changes.get(id).copied()
    }

    /// One write request that arrives at `now`.
    pub fn write(&mut self, now: u64, changes: &[Change]) -> WriteAnswer {
        match self.api {
            ApiMode::Down => WriteAnswer::NotSent(ApiError {
                kind: ApiErrorKind::Unreachable,
                message: "no connection to the provider".into(),
            }),
            ApiMode::Denies | ApiMode::DeniesWrites => {
                WriteAnswer::Refused { code: RefusedCode::Denied, message: "access denied".into() }
            }
            ApiMode::Throttles(n) => {
                self.api = if n > 1 { ApiMode::Throttles(n - 1) } else { ApiMode::Up };
                WriteAnswer::Refused { code: RefusedCode::Throttled, message: "Rate exceeded".into() }
            }
            ApiMode::Busy(n) => {
                self.api = if n > 1 { ApiMode::Busy(n - 1) } else { ApiMode::Up };
                let message = "The request was rejected because Route 53 was still processing a prior request.".into();
                WriteAnswer::Refused { code: RefusedCode::PriorRequestNotComplete, message }
            }
            ApiMode::LostAfterCommit => {
                self.api = ApiMode::Up;
                let _ = self.apply(now, changes);
                WriteAnswer::Ambiguous("timeout".into())
            }
            ApiMode::LostBeforeCommit => {
                self.api = ApiMode::Up;
                self.hold(now, changes);
                WriteAnswer::Ambiguous("timeout".into())
            }
            ApiMode::Up => match self.apply(now, changes) {
                Ok(change_id) => WriteAnswer::Accepted { change_id },
                Err(message) => WriteAnswer::Refused { code: RefusedCode::Precondition, message },
            },
        }
    }

    /// All or nothing, DELETE exact (Route 53 API reference, ChangeResourceRecordSets).
    pub fn apply(&mut self, now: u64, changes: &[Change]) -> Result<String, String> {
        let mut sets = self.sets.clone();
        for c in changes {
            let set = set_of(c);
            let key = key(&c.name, &set);
            match self.refused.get(&c.name) {
                Some(true) => return Err(format!("{} {} is not permitted in zone {}", c.name, c.rtype, self.name)),
                Some(false) => return Err("the batch is not permitted".into()),
                None => {}
            }
            if c.op != ChangeOp::Delete {
                self.check_neighbours(&sets, &c.name, &set)?;
                // Of our own texts only one string stands in a value, and no string is longer (RFC 1035 3.3).
                let bad = |v: &String| set.rtype == "TXT" && unquote(v).is_none_or(|text| text.len() > MAX_VALUE);
                if set.values.iter().any(bad) {
                    return Err(format!("{} TXT: InvalidCharacterString", c.name));
                }
            }
            match c.op {
                ChangeOp::Delete => match sets.remove(&key) {
                    None => return Err(format!("{} {} was not found", c.name, c.rtype)),
                    Some(old) if old != set => return Err(format!("{} {}: values do not match", c.name, c.rtype)),
                    Some(_) => {}
                },
                ChangeOp::Create if sets.contains_key(&key) => {
                    return Err(format!("{} {} already exists", c.name, c.rtype));
                }
                ChangeOp::Create | ChangeOp::Upsert => {
                    sets.insert(key, set);
                }
            }
        }
        let txt = |c: &Change| Some((c.name.clone(), self.get(&c.name, "TXT")?.clone()));
        let stood = changes.iter().filter_map(txt).collect();
        self.taken.push(Taken { changes: changes.to_vec(), stood });
        self.sets = sets;
        if self.dns == DnsMode::Fine {
            self.publish();
        }
        let id = format!("C{}", self.changes.len() + 1);
        self.changes.insert(id.clone(), now);
        Ok(id)
    }

    /// What stands beside a new set may forbid it (Route 53 Developer Guide, "Supported DNS record types"
    /// and "Choosing a routing policy").
    fn check_neighbours(&self, sets: &BTreeMap<Key, LiveSet>, name: &RecordName, set: &LiveSet) -> Result<(), String> {
        let zone = &self.name;
        if set.rtype == "CNAME" && name == zone {
            return Err(format!("RRSet of type CNAME with DNS name {name}. is not permitted at apex in zone {zone}."));
        }
        let from = (name.clone(), String::new(), String::new());
        for ((_, rtype, id), _) in sets.range(from..).take_while(|((n, ..), _)| n == name) {
            if *rtype != set.rtype && set.rtype == "CNAME" {
                return Err(format!(
                    "RRSet of type CNAME with DNS name {name}. is not permitted as it conflicts with other records with \
                     the same DNS name in zone {zone}."
                ));
            }
            if *rtype != set.rtype && rtype == "CNAME" {
                return Err(format!(
                    "RRSet of type {} with DNS name {name}. is not permitted because a conflicting RRSet of type CNAME \
                     with the same DNS name already exists in zone {zone}.",
                    set.rtype
                ));
            }
            if *rtype == set.rtype && !id.is_empty() {
                return Err(format!(
                    "RRSet with DNS name {name}., type {} cannot be created as other RRSets exist with the same name \
                     and type.",
                    set.rtype
                ));
            }
        }
        Ok(())
    }

    /// What `servers` name servers answer about the policy's records.
    pub fn ask(&self, policy: &Policy, servers: u8) -> Vec<ServerAnswer> {
        let mut answers = Vec::new();
        for server in 1..=servers {
            for (record, name) in (0u32..).zip(&policy.records) {
                for rtype in policy.record_types() {
                    let server: SocketAddr = format!("127.0.0.{server}:53").parse().unwrap();
                    answers.push(ServerAnswer { server, record, rtype, answer: self.answer(name, rtype) });
                }
            }
        }
        answers
    }

    fn answer(&self, name: &RecordName, rtype: RecordType) -> DnsAnswer {
        let sets = if self.dns == DnsMode::Stale { &self.old } else { &self.sets };
        let at = |rtype: &str| {
            let from = (name.clone(), rtype.to_owned(), String::new());
            sets.range(from..).next().filter(|((n, t, _), _)| (n, t.as_str()) == (name, rtype)).map(|(_, set)| set)
        };
        let host = |set: &LiveSet| RecordName::new(&set.values[0]).unwrap();
        match (self.dns, at(rtype.as_str()), at("CNAME")) {
            (DnsMode::Silent, ..) => DnsAnswer::Failed("timeout".into()),
            (_, None, Some(cname)) => DnsAnswer::Other(format!("CNAME {}", host(cname))),
            (_, None, None) => DnsAnswer::Nothing,
            (_, Some(set), _) if rtype == RecordType::Cname => DnsAnswer::Name(host(set)),
            (_, Some(LiveSet { alias: Some(alias), .. }), _) => {
                let of = |a: &IpAddr| a.is_ipv4() == (rtype == RecordType::A);
                let set: BTreeSet<IpAddr> =
                    self.hosts.get(&alias.name).into_iter().flatten().copied().filter(of).collect();
                if set.is_empty() { DnsAnswer::Nothing } else { DnsAnswer::Addresses { set, ttl: 60 } }
            }
            (_, Some(set), _) => {
                let addresses = set.values.iter().map(|v| v.parse().unwrap()).collect();
                DnsAnswer::Addresses { set: addresses, ttl: set.ttl.unwrap_or(0) }
            }
        }
    }
}

fn key(name: &RecordName, set: &LiveSet) -> Key {
    (name.clone(), set.rtype.clone(), set.routing.clone().unwrap_or_default())
}

/// The set a change writes or deletes.
pub fn set_of(change: &Change) -> LiveSet {
    match &change.data {
        Data::Values { ttl, values } => LiveSet::values(&change.rtype, *ttl, values.clone()),
        Data::Alias(alias) => LiveSet::alias(&change.rtype, alias.clone()),
    }
}
