//! What the live record publishes, read through the API or asked of a name server (ARCHITECTURE.md, decision 4).
//! The active target comes from here and never from what we remember having written.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::domain::{AddressSet, Content, Members, Policy, RecordName, RecordType, TargetIdx, Tick};
use crate::seeded::{Bug, seeded};

use super::event::ServerAnswer;
use super::fence::{FENCE_TTL, Fence, FenceMode, quote, target_token};
use super::plan::{Plan, same_set, sets};
use super::report::LiveState;
use super::zone::{ApiError, DnsAnswer, LiveSet, RecordRead, ZoneInfo};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    NotRead,
    Targets(Members),
    Split(String),
    Foreign(String),
    Absent,
    Unreadable(String),
}

pub(super) struct Live {
    pub view: View,
    /// As last read, one for each record of the policy; empty before the first read.
    pub reads: Vec<RecordRead>,
    pub fences: Vec<Fence>,
    pub read_at: Option<Tick>,
    /// When the last complete reading was asked for: what it shows is no older.
    pub read_began: Tick,
    /// A write failed its precondition or was lost: read before writing again.
    pub stale: bool,
    /// A record is not what it was, and no complete reading says yet what stands: others are still to be read, or a
    /// write of ours came between. Nothing automatic rests on what was read before.
    pub half_read: bool,
    round: Option<Round>,
    pub error: Option<ApiError>,
    pub errors: u32,
    pub reconcile_due: Tick,
    pub observe_due: Tick,
    /// A question to one name server is under way since.
    pub observing: Option<Tick>,
    /// What differs from what the fence says we published.
    pub drift: Option<String>,
    /// The reading in force was rehearsed (see `obstacle`).
    pub rehearsed: bool,
    /// The zone and the sets at each name that were rehearsed last.
    tried: Option<(ZoneInfo, Vec<Vec<LiveSet>>)>,
}

/// One reading of all records; results count only when none of our writes came between.
struct Round {
    results: Vec<Option<RecordRead>>,
    outstanding: usize,
    tainted: bool,
    began: Tick,
}

/// What a finished read means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// More records of this round are to come.
    Partial,
    /// A write of ours came between, or a request failed: read again.
    Again,
    Done,
}

impl Live {
    pub fn new(now: Tick) -> Live {
        Live {
            view: View::NotRead,
            reads: Vec::new(),
            fences: Vec::new(),
            read_at: None,
            read_began: now,
            stale: false,
            half_read: false,
            round: None,
            error: None,
            errors: 0,
            reconcile_due: now,
            observe_due: now,
            observing: None,
            drift: None,
            rehearsed: false,
            tried: None,
        }
    }

    /// What was read, for a question about another day; nothing is being read.
    pub fn as_read(&self) -> Live {
        Live {
            view: self.view.clone(),
            reads: Vec::new(),
            fences: self.fences.clone(),
            stale: self.stale,
            half_read: self.half_read,
            read_at: self.read_at,
            drift: self.drift.clone(),
            ..Live::new(self.reconcile_due)
        }
    }

    pub fn members(&self) -> Option<&Members> {
        match &self.view {
            View::Targets(members) => Some(members),
            _ => None,
        }
    }

    /// Whether a fence of ours says `mode`.
    pub fn says(&self, mode: FenceMode) -> bool {
        self.fences.iter().any(|f| f.ours().is_some_and(|(v, _)| v.mode == mode))
    }

    /// Whether a fence of ours says that a person holds the record.
    pub fn is_held(&self) -> bool {
        self.says(FenceMode::Frozen) || self.says(FenceMode::Forced)
    }

    pub fn is_reading(&self) -> bool {
        self.round.is_some()
    }

    pub fn begin_round(&mut self, records: usize, began: Tick) {
        self.round = Some(Round { results: vec![None; records], outstanding: records, tainted: false, began });
    }

    /// What is being read counts no more: the zone is gone.
    pub fn give_up_reading(&mut self) {
        self.round = None;
    }

    /// A write of ours was sent or answered: what is being read may be older than it.
    pub fn taint(&mut self) {
        if let Some(round) = &mut self.round {
            round.tainted = true;
        }
    }

    pub fn take_read(&mut self, record: u32, result: Result<RecordRead, ApiError>) -> Reading {
        let Some(round) = &mut self.round else { return Reading::Partial };
        round.outstanding = round.outstanding.saturating_sub(1);
        match result {
            Ok(read) => {
                let stood = self.reads.get(record as usize);
                self.half_read |= stood.is_some_and(|stood| !ours_of(stood).is_same(&ours_of(&read)));
                if let Some(slot) = round.results.get_mut(record as usize) {
                    *slot = Some(read);
                }
            }
            Err(error) => {
                self.error = Some(error);
                round.tainted = true;
            }
        }
        if round.outstanding > 0 {
            return Reading::Partial;
        }
        let done = self.round.take();
        match done {
            Some(Round { results, tainted: false, began, .. }) => {
                self.read_began = began;
                self.reads = results.into_iter().flatten().collect();
                self.error = None;
                self.errors = 0;
                Reading::Done
            }
            _ => Reading::Again,
        }
    }

    /// Judges the last reading anew.
    pub fn judge(&mut self, policy: &Policy, cluster: &crate::domain::ClusterName) {
        self.fences = self.reads.iter().map(|r| Fence::classify(&r.fence, cluster)).collect();
        self.view = classify(policy, &self.reads);
        if seeded(Bug::ActiveFromMemory)
            && let Some((value, _)) = self.fences.first().and_then(Fence::ours)
            && let Some(members) = members_named(policy, &value.to)
        {
            self.view = View::Targets(members);
        }
        self.drift = drift(policy, &self.view, &self.fences, &self.reads).or_else(|| detached(&self.view));
        self.rehearsed = false;
    }

    /// A rehearsal of this reading would find what the last one found.
    pub fn is_as_rehearsed(&self, zone: &ZoneInfo) -> bool {
        let same = |sets: &[Vec<LiveSet>]| sets.iter().eq(self.reads.iter().map(|r| &r.sets));
        self.tried.as_ref().is_some_and(|(tried, sets)| tried == zone && same(sets))
    }

    pub fn note_rehearsal(&mut self, zone: &ZoneInfo) {
        self.rehearsed = true;
        if !self.is_as_rehearsed(zone) {
            self.tried = Some((zone.clone(), self.reads.iter().map(|r| r.sets.clone()).collect()));
        }
    }

    /// An obstacle says already why no target of ours can be read from the record.
    pub fn is_explained(&mut self) {
        if self.drift == detached(&self.view) {
            self.drift = None;
        }
    }

    /// Our own write was accepted: from now on this is what stands.
    pub fn written(&mut self, policy: &Policy, plan: &Plan, cluster: &crate::domain::ClusterName) {
        for ((read, (_, after)), sets) in self.reads.iter_mut().zip(plan.fences()).zip(plan.sets()) {
            read.fence = vec![LiveSet::values("TXT", FENCE_TTL, vec![quote(&after.encode())])];
            read.sets.retain(|s| sets.iter().all(|new| new.rtype != s.rtype));
            read.sets.extend(sets);
        }
        self.judge(policy, cluster);
    }

    /// Whether a name server's answers differ from the last reading; unusable answers do not count.
    pub fn differs(&self, policy: &Policy, answers: &[ServerAnswer]) -> bool {
        answers.iter().any(|a| {
            let read = || self.reads.get(a.record as usize);
            match &a.answer {
                DnsAnswer::Failed(_) => false,
                DnsAnswer::Addresses { set, .. } => {
                    *set != read().map(|r| addresses_of(r, a.rtype)).unwrap_or_default()
                }
                DnsAnswer::Name(name) => read().and_then(host_of).as_ref() != Some(name),
                DnsAnswer::Nothing | DnsAnswer::Other(_) => {
                    matches!(self.view, View::Targets(_)) && policy.record_types().contains(&a.rtype)
                }
            }
        })
    }

    /// What any record publishes now that a target of `policy` has: addresses, or a name it points to.
    pub fn published_of<'a>(&'a self, policy: &'a Policy) -> impl Iterator<Item = String> + 'a {
        let pointed = |set: &LiveSet| set.alias.as_ref().map(|alias| alias.name.to_string());
        let values =
            self.reads.iter().flat_map(|r| &r.sets).flat_map(move |set| set.values.iter().cloned().chain(pointed(set)));
        values.filter(|value| has(policy, value))
    }

    pub fn report(&self, policy: &Policy) -> LiveState {
        match &self.view {
            View::NotRead => LiveState::NotRead,
            View::Targets(members) => LiveState::Targets { names: policy.names(members) },
            View::Split(detail) => LiveState::Split { detail: detail.clone() },
            View::Foreign(detail) => LiveState::Foreign { detail: detail.clone() },
            View::Absent => LiveState::Absent,
            View::Unreadable(detail) => LiveState::Unreadable { detail: detail.clone() },
        }
    }
}

/// Whether a target of `policy` has `value`.
pub(super) fn has(policy: &Policy, value: &str) -> bool {
    let name = || RecordName::new(value).ok();
    policy.targets.iter().any(|target| match &target.content {
        Content::Addresses(set) => value.parse().is_ok_and(|address| set.contains(address)),
        Content::Host(host) => name().as_ref() == Some(host),
        Content::Alias(alias) => name().as_ref() == Some(&alias.name),
    })
}

fn addresses_of(read: &RecordRead, rtype: RecordType) -> BTreeSet<IpAddr> {
    let of_type = |s: &&LiveSet| s.rtype == rtype.as_str();
    read.sets.iter().filter(of_type).flat_map(|s| s.values.iter().filter_map(|v| v.parse().ok())).collect()
}

fn host_of(read: &RecordRead) -> Option<RecordName> {
    let set = read.sets.iter().find(|s| s.rtype == RecordType::Cname.as_str())?;
    set.values.first().and_then(|v| RecordName::new(v).ok())
}

/// The fence of a record and the sets that can be a managed one; what else stands at its name is another's affair.
fn ours_of(read: &RecordRead) -> RecordRead {
    let managed = |s: &&LiveSet| matches!(s.rtype.as_str(), "A" | "AAAA" | "CNAME");
    RecordRead { sets: read.sets.iter().filter(managed).cloned().collect(), fence: read.fence.clone() }
}

/// Which targets all records publish, or why none can be named.
fn classify(policy: &Policy, reads: &[RecordRead]) -> View {
    if reads.len() != policy.records.len() {
        return View::NotRead;
    }
    let mut views = Vec::new();
    for (name, read) in policy.records.iter().zip(reads) {
        match record_view(policy, read) {
            RecordView::Targets(members) => views.push(Some(members)),
            RecordView::Absent => views.push(None),
            RecordView::Split(what) => return View::Split(format!("{name} publishes {what}")),
            RecordView::Foreign(what) => return View::Foreign(format!("{name} {what}")),
            RecordView::Unreadable(what) => return View::Unreadable(format!("{name} {what}")),
        }
    }
    let first = views.first().cloned().flatten();
    match first {
        _ if views.iter().all(Option::is_none) => View::Absent,
        Some(members) if views.iter().all(|v| v.as_ref() == Some(&members)) => View::Targets(members),
        _ => {
            let text = |(name, view): (&RecordName, &Option<Members>)| {
                let targets = view.as_ref().map_or_else(|| "nothing".to_owned(), |m| names_text(policy, m));
                format!("{name} publishes {targets}")
            };
            let parts: Vec<String> = policy.records.iter().zip(&views).map(text).collect();
            View::Split(parts.join(", "))
        }
    }
}

/// `a, b`: the names of `members`.
pub(super) fn names_text(policy: &Policy, members: &Members) -> String {
    policy.names(members).iter().map(|n| n.as_str().to_owned()).collect::<Vec<_>>().join(", ")
}

enum RecordView {
    Targets(Members),
    Absent,
    Split(String),
    Foreign(String),
    Unreadable(String),
}

fn record_view(policy: &Policy, read: &RecordRead) -> RecordView {
    let types = policy.record_types();
    let managed = |s: &&LiveSet| types.iter().any(|t| t.as_str() == s.rtype);
    let is_host = types == [RecordType::Cname];
    let other_kind = read.sets.iter().find(|s| match s.rtype.as_str() {
        "CNAME" => !is_host,
        "A" | "AAAA" => is_host,
        _ => false,
    });
    if let Some(set) = other_kind {
        let what = set.alias.as_ref().map_or_else(|| set.values.join(" "), ToString::to_string);
        let kind = policy.targets.first().map_or("addresses", |t| t.content.kind());
        return RecordView::Foreign(format!("has a set {} {what}; this policy publishes {kind}", set.rtype));
    }
    let sets: Vec<&LiveSet> = read.sets.iter().filter(managed).collect();
    if let Some(set) = sets.iter().find(|s| !s.is_simple()) {
        let steered =
            [("routed", &set.routing), ("health-checked", &set.health_check), ("policy-steered", &set.traffic_policy)];
        let what = steered.iter().find_map(|(how, id)| id.as_ref().map(|id| format!("{how} set ({id})")));
        return RecordView::Foreign(format!(
            "has a {}; failoverd manages simple sets only",
            what.unwrap_or_else(|| "steered set".into())
        ));
    }
    if sets.is_empty() {
        return RecordView::Absent;
    }
    match policy.targets.first().map(|t| &t.content) {
        Some(Content::Addresses(_)) => address_view(policy, &sets),
        Some(Content::Host(_)) => host_view(policy, read, &sets),
        Some(Content::Alias(_)) => alias_view(policy, &sets),
        None => RecordView::Absent,
    }
}

fn address_view(policy: &Policy, sets: &[&LiveSet]) -> RecordView {
    if let Some(alias) = sets.iter().find_map(|s| s.alias.as_ref()) {
        return RecordView::Foreign(format!("is an {alias}; this policy publishes addresses"));
    }
    if sets.iter().any(|s| s.values.is_empty()) {
        return RecordView::Unreadable("is an alias whose target cannot be read".into());
    }
    let mut all = BTreeSet::new();
    for value in sets.iter().flat_map(|s| &s.values) {
        match value.parse::<IpAddr>() {
            Ok(address) => {
                all.insert(address);
            }
            Err(_) => return RecordView::Unreadable(format!("has the value `{value}`, which is no address")),
        }
    }
    let Ok(live) = AddressSet::new(all) else { return RecordView::Absent };
    let of = |idx: &TargetIdx| policy.target(*idx).and_then(|t| t.addresses());
    let Some(members) = Members::new(policy.indices().filter(|i| of(i).is_some_and(|set| set.is_subset(&live)))) else {
        let known = |a: &IpAddr| policy.targets.iter().any(|t| t.addresses().is_some_and(|set| set.contains(*a)));
        return if live.iter().all(|a| known(&a)) {
            RecordView::Split(format!("{live}, which is only part of a target's set"))
        } else {
            RecordView::Foreign(format!("publishes {live}, which no target of this policy has"))
        };
    };
    if policy.content(&members).as_ref().and_then(Content::addresses) != Some(&live) {
        let known = |a: &IpAddr| policy.targets.iter().any(|t| t.addresses().is_some_and(|set| set.contains(*a)));
        return if live.iter().all(|a| known(&a)) {
            RecordView::Split(format!("{live}, which is no whole set of targets"))
        } else {
            RecordView::Foreign(format!("publishes {live}, not all of which are addresses of this policy's targets"))
        };
    }
    if members.count() > usize::try_from(policy.answers).unwrap_or(usize::MAX) {
        return RecordView::Split(format!("{live}, more targets than answers = {}", policy.answers));
    }
    RecordView::Targets(members)
}

fn host_view(policy: &Policy, read: &RecordRead, sets: &[&LiveSet]) -> RecordView {
    if let Some(alias) = sets.iter().find_map(|s| s.alias.as_ref()) {
        return RecordView::Foreign(format!("is an {alias}; this policy publishes a host name"));
    }
    let Some(host) = host_of(read) else { return RecordView::Unreadable("has a CNAME that names no host".into()) };
    match policy.indices().find(|i| policy.target(*i).and_then(|t| t.content.host()) == Some(&host)) {
        Some(idx) => RecordView::Targets(Members::one(idx)),
        None => RecordView::Foreign(format!("is a CNAME to {host}, which no target of this policy names")),
    }
}

fn alias_view(policy: &Policy, sets: &[&LiveSet]) -> RecordView {
    let mut found: Vec<TargetIdx> = Vec::new();
    for set in sets {
        let Some(alias) = &set.alias else {
            return RecordView::Foreign(format!("has a plain {} set; this policy publishes aliases", set.rtype));
        };
        let same =
            |idx: &TargetIdx| matches!(policy.target(*idx).map(|t| &t.content), Some(Content::Alias(a)) if a == alias);
        match policy.indices().find(same) {
            Some(idx) => found.push(idx),
            None => return RecordView::Foreign(format!("is an {alias}, which no target of this policy has")),
        }
    }
    match Members::new(found) {
        Some(members) if members.count() == 1 => RecordView::Targets(members),
        Some(members) => RecordView::Split(format!("{} in one record", names_text(policy, &members))),
        None => RecordView::Absent,
    }
}

/// A record that no target of ours can be read from needs a person, fence or not.
fn detached(view: &View) -> Option<String> {
    match view {
        View::NotRead | View::Targets(_) => None,
        View::Absent => Some("the record does not exist".into()),
        View::Split(what) | View::Foreign(what) | View::Unreadable(what) => Some(what.clone()),
    }
}

/// The targets a fence's `to=` names; `None` when it cannot be told.
pub(super) fn members_named(policy: &Policy, token: &str) -> Option<Members> {
    if let Some(one) =
        policy.indices().find(|i| policy.target(*i).is_some_and(|t| target_token(&[t.name.as_str()]) == token))
    {
        return Some(Members::one(one));
    }
    let named: Option<Vec<TargetIdx>> = token.split('/').map(|name| policy.target_named(name)).collect();
    named.and_then(Members::new)
}

/// The token of `members` in a fence.
pub(super) fn token_of(policy: &Policy, members: &Members) -> String {
    let names = policy.names(members);
    let mut names: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
    names.sort_unstable();
    target_token(&names)
}

/// What a person or another tool changed behind the fence's back, exactly.
fn drift(policy: &Policy, view: &View, fences: &[Fence], reads: &[RecordRead]) -> Option<String> {
    let mut found = Vec::new();
    for ((name, read), fence) in policy.records.iter().zip(reads).zip(fences) {
        let Some((value, _)) = fence.ours() else { continue };
        let expected = members_named(policy, &value.to);
        let wanted = expected.as_ref().and_then(|m| policy.content(m)).map(|c| sets(&c, policy.ttl, &read.sets));
        for rtype in policy.record_types() {
            let live = read.sets.iter().find(|s| s.rtype == rtype.as_str());
            if let (Some(wanted), Some(members)) = (&wanted, &expected) {
                let want = wanted.iter().find(|s| s.rtype == rtype.as_str());
                let same = match (live, want) {
                    (Some(live), Some(want)) => same_set(&LiveSet { ttl: want.ttl, ..live.clone() }, want),
                    (None, None) => true,
                    _ => false,
                };
                if !same {
                    found.push(format!(
                        "{name} {rtype} publishes {}, expected {} ({})",
                        set_text(live),
                        set_text(want),
                        names_text(policy, members)
                    ));
                }
            } else if let View::Targets(members) = view
                && token_of(policy, members) != value.to
                && !value.to.is_empty()
            {
                found.push(format!("{name} {rtype} publishes {}, which is not what the fence says", set_text(live)));
            }
            let ttl = live.filter(|s| s.is_simple()).and_then(|s| s.ttl);
            if let Some(ttl) = ttl.filter(|t| *t != policy.ttl.secs()) {
                found.push(format!("{name} {rtype} has TTL {ttl}, expected {}", policy.ttl.secs()));
            }
        }
    }
    if found.is_empty() && matches!(view, View::Absent) && fences.iter().any(|f| f.ours().is_some()) {
        found.push("the record is gone".into());
    }
    (!found.is_empty()).then(|| found.join("; "))
}

fn set_text(set: Option<&LiveSet>) -> String {
    let Some(set) = set else { return "nothing".into() };
    if let Some(alias) = &set.alias {
        return alias.to_string();
    }
    let mut values: Vec<(Option<IpAddr>, String)> =
        set.values.iter().map(|v| (v.parse().ok(), v.trim_end_matches('.').to_owned())).collect();
    values.sort();
    match values.len() {
        0 => "nothing".into(),
        _ => values.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", "),
    }
}
