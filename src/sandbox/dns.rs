//! The authoritative name server: answers from one immutable view of all zones, so a reader sees
//! a change wholly or not at all. Never recurses, never writes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use hickory_proto::op::{Edns, Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;

use super::faults::Faults;
use super::name::DnsName;
use super::value::{read, wire_name};
use super::zone::{RecordSet, Routing, Zone};

/// CNAME and alias steps followed within our zones.
const MAX_CHAIN: usize = 8;
/// Answers above this go over TCP when the asker speaks EDNS.
const UDP_PAYLOAD: u16 = 1232;
/// TTL of what an alias of a resource answers (Developer Guide, "Choosing between alias and non-alias records").
const FOREIGN_TTL: u32 = 60;

/// Names outside every zone, played by the sandbox: a load balancer and its changing addresses.
pub(super) type Foreign = BTreeMap<DnsName, Vec<IpAddr>>;

/// All public zones at one moment.
pub(super) struct View {
    serial: u64,
    zones: Vec<Zone>,
    foreign: Foreign,
}

/// One name server's memory; several may serve the same zones with different lags.
pub(super) struct NameServer {
    index: usize,
    faults: Faults,
    shown: RwLock<Shown>,
}

struct Shown {
    newest: Arc<View>,
    /// The view before a `DnsStale` fault set in.
    held: Arc<View>,
}

/// What a query is answered with.
#[derive(Default)]
pub(super) struct Answer {
    pub code: ResponseCode,
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
}

impl NameServer {
    pub fn new(index: usize, faults: Faults) -> NameServer {
        let empty = Arc::new(View::new(0, Vec::new(), Foreign::new()));
        NameServer { index, faults, shown: RwLock::new(Shown { newest: empty.clone(), held: empty }) }
    }

    /// Answers from `view` from now on, unless a newer one is shown already or a fault holds the old one.
    pub fn show(&self, view: Arc<View>) {
        let stale = self.faults.dns_stale(self.index);
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        if view.serial < shown.newest.serial {
            return;
        }
        shown.newest = view;
        if !stale {
            shown.held = shown.newest.clone();
        }
    }

    fn view(&self) -> Arc<View> {
        let stale = self.faults.dns_stale(self.index);
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        if stale {
            return shown.held.clone();
        }
        let newest = shown.newest.clone();
        let caught_up = Arc::ptr_eq(&newest, &shown.held);
        drop(shown);
        if !caught_up {
            // The fault is over: the next one holds what is shown from now on.
            self.show(newest.clone());
        }
        newest
    }
}

impl View {
    pub fn new(serial: u64, zones: Vec<Zone>, foreign: Foreign) -> View {
        let zones = zones.into_iter().filter(|zone| !zone.private).collect();
        View { serial, zones, foreign }
    }

    pub fn answer(&self, name: &DnsName, rtype: RecordType) -> Answer {
        let Some(zone) = self.zone_of(name) else {
            return match self.foreign.contains_key(name) {
                true => Answer { authoritative: true, answers: self.played(name, name, rtype), ..Answer::default() },
                false => Answer { code: ResponseCode::Refused, ..Answer::default() },
            };
        };
        if let Some(cut) = delegation(zone, name) {
            return Answer { authorities: records(cut, &cut.name), ..Answer::default() };
        }
        let mut answer = Answer { authoritative: true, ..Answer::default() };
        self.look_up(zone, name, rtype, &mut answer);
        answer
    }

    /// What a played name answers, under the name that was asked.
    fn played(&self, name: &DnsName, owner: &DnsName, rtype: RecordType) -> Vec<Record> {
        let Some(owner) = wire_name(owner) else { return Vec::new() };
        let addresses = self.foreign.get(name).into_iter().flatten();
        let of_type = addresses.filter_map(|address| match (address, rtype) {
            (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(*v4))),
            (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(*v6))),
            _ => None,
        });
        of_type.map(|rdata| Record::from_rdata(owner.clone(), FOREIGN_TTL, rdata)).collect()
    }

    fn zone_of(&self, name: &DnsName) -> Option<&Zone> {
        let zones = self.zones.iter().filter(|zone| name.is_within(&zone.name));
        // The first zone of a name wins, as only one of them can be delegated to.
        zones.reduce(|best, zone| if zone.name.labels().len() > best.name.labels().len() { zone } else { best })
    }

    fn look_up(&self, start: &Zone, name: &DnsName, rtype: RecordType, answer: &mut Answer) {
        let (mut zone, mut asked, mut owner) = (start, name.clone(), name.clone());
        for _ in 0..MAX_CHAIN {
            let sets = match source_of(zone, &asked) {
                Source::Sets(sets) => sets,
                Source::Nothing => {
                    answer.code = ResponseCode::NXDomain;
                    answer.authorities = soa(zone);
                    return;
                }
            };
            let of_type = |wanted: &str| pick(sets.iter().copied().filter(|set| set.rtype == wanted));
            if rtype == RecordType::ANY {
                answer.answers.extend(sets.iter().flat_map(|set| records(set, &owner)));
                return;
            }
            let next = match (of_type(&rtype.to_string()), of_type("CNAME")) {
                (Some(RecordSet { alias: Some(alias), .. }), _) => {
                    let target = DnsName::new(&alias.dns_name).ok();
                    if let Some(target) = target.as_ref().filter(|target| self.zone_of(target).is_none()) {
                        answer.answers.extend(self.played(target, &owner, rtype));
                    }
                    target
                }
                (Some(set), _) => {
                    answer.answers.extend(records(set, &owner));
                    return;
                }
                (None, Some(cname)) => {
                    answer.answers.extend(records(cname, &owner));
                    let target = cname.values.first().and_then(|value| DnsName::new(value).ok());
                    owner = target.clone().unwrap_or(owner);
                    target
                }
                (None, None) => {
                    answer.authorities = soa(zone);
                    return;
                }
            };
            match next.and_then(|next| self.zone_of(&next).map(|zone| (zone, next))) {
                Some((of_next, next)) => (zone, asked) = (of_next, next),
                None if answer.answers.is_empty() => {
                    answer.authorities = soa(zone);
                    return;
                }
                None => return,
            }
        }
    }
}

enum Source<'a> {
    /// The name exists, perhaps without sets of its own, or a wildcard stands for it.
    Sets(Vec<&'a RecordSet>),
    Nothing,
}

fn source_of<'a>(zone: &'a Zone, name: &DnsName) -> Source<'a> {
    if exists(zone, name) {
        return Source::Sets(sets_at(zone, name));
    }
    let mut encloser = name.parent();
    while let Some(parent) = encloser.filter(|parent| parent.is_within(&zone.name)) {
        if exists(zone, &parent) {
            let sets = parent.wildcard().map(|wild| sets_at(zone, &wild)).unwrap_or_default();
            return if sets.is_empty() { Source::Nothing } else { Source::Sets(sets) };
        }
        encloser = parent.parent();
    }
    Source::Nothing
}

/// True for a name with sets and for one with only names below it.
fn exists(zone: &Zone, name: &DnsName) -> bool {
    let key = name.sort_key();
    let from = (key.clone(), String::new(), String::new());
    zone.sets.range(from..).next().is_some_and(|((found, _, _), _)| found.starts_with(&key))
}

fn sets_at<'a>(zone: &'a Zone, name: &DnsName) -> Vec<&'a RecordSet> {
    let key = name.sort_key();
    let from = (key.clone(), String::new(), String::new());
    let at = zone.sets.range(from..).take_while(|((found, _, _), _)| *found == key);
    at.map(|(_, set)| set.as_ref()).collect()
}

/// One set of those that share a name and type: the heaviest weighted one, else the first.
fn pick<'a>(sets: impl Iterator<Item = &'a RecordSet>) -> Option<&'a RecordSet> {
    let weight = |set: &RecordSet| if let Some(Routing::Weighted(w)) = set.routing { w } else { 0 };
    sets.reduce(|best, set| if weight(set) > weight(best) { set } else { best })
}

/// The NS set below the apex that takes `name` out of our hands.
fn delegation<'a>(zone: &'a Zone, name: &DnsName) -> Option<&'a RecordSet> {
    let mut at = Some(name.clone());
    while let Some(here) = at.filter(|here| here.is_within(&zone.name) && *here != zone.name) {
        if let Some(set) = sets_at(zone, &here).into_iter().find(|set| set.rtype == "NS") {
            return Some(set);
        }
        at = here.parent();
    }
    None
}

fn records(set: &RecordSet, owner: &DnsName) -> Vec<Record> {
    let (Some(owner), Some(ttl)) = (wire_name(owner), set.ttl) else { return Vec::new() };
    let rdata = set.values.iter().filter_map(|value| read(&set.rtype, value).ok().flatten());
    rdata.map(|rdata| Record::from_rdata(owner.clone(), ttl, rdata)).collect()
}

/// The SOA record with the negative TTL of RFC 2308: the lesser of its TTL and its minimum.
fn soa(zone: &Zone) -> Vec<Record> {
    let set = sets_at(zone, &zone.name).into_iter().find(|set| set.rtype == "SOA");
    let mut found = set.map(|set| records(set, &zone.name)).unwrap_or_default();
    for record in &mut found {
        if let RData::SOA(data) = &record.data {
            record.ttl = record.ttl.min(data.minimum);
        }
    }
    found
}

/// What hickory's server calls.
pub(super) struct Handler(pub Arc<NameServer>);

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut out: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let nothing = |metadata| ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() });
        if self.0.faults.dns_silent(self.0.index) || request.metadata.message_type == MessageType::Response {
            return nothing(metadata);
        }
        let answer = self.answer(request);
        metadata.response_code = answer.code;
        metadata.authoritative = answer.authoritative;
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(asked.max_payload().clamp(512, UDP_PAYLOAD)).set_version(0);
            edns
        });
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let empty: Vec<Record> = Vec::new();
        let response = builder.build(metadata, &answer.answers, &answer.authorities, &empty, &empty);
        out.send_response(response).await.unwrap_or_else(|_| nothing(metadata))
    }
}

impl Handler {
    fn answer(&self, request: &Request) -> Answer {
        let refused = |code| Answer { code, ..Answer::default() };
        if request.metadata.op_code != OpCode::Query {
            return refused(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return refused(ResponseCode::FormErr) };
        let query = info.query;
        if query.query_class() != DNSClass::IN || matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR) {
            return refused(ResponseCode::Refused);
        }
        let labels = query.original().name().iter().map(<[u8]>::to_vec).collect();
        match DnsName::from_labels(labels) {
            Ok(name) => self.0.view().answer(&name, query.query_type()),
            Err(_) => refused(ResponseCode::Refused),
        }
    }
}
