//! What the live record publishes, read through the API or asked of a name server (ARCHITECTURE.md, decision 4).
//! The active target comes from here and never from what we remember having written.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::domain::{AddressSet, Family, Policy, TargetIdx, Tick};

use super::event::ServerAnswer;
use super::fence::{FENCE_TTL, Fence, quote, target_token};
use super::plan::Plan;
use super::report::LiveState;
use super::zone::{ApiError, DnsAnswer, LiveSet, RecordRead};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    NotRead,
    Target(TargetIdx),
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
    /// A write failed its precondition or was lost: read before writing again.
    pub stale: bool,
    round: Option<Round>,
    pub error: Option<ApiError>,
    pub errors: u32,
    pub reconcile_due: Tick,
    pub observe_due: Tick,
    /// A question to one name server is under way since.
    pub observing: Option<Tick>,
    /// What differs from what the fence says we published.
    pub drift: Option<String>,
}

/// One reading of all records; results count only when none of our writes came between.
struct Round {
    results: Vec<Option<RecordRead>>,
    outstanding: usize,
    tainted: bool,
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
            stale: false,
            round: None,
            error: None,
            errors: 0,
            reconcile_due: now,
            observe_due: now,
            observing: None,
            drift: None,
        }
    }

    pub fn target(&self) -> Option<TargetIdx> {
        match self.view {
            View::Target(idx) => Some(idx),
            _ => None,
        }
    }

    pub fn is_reading(&self) -> bool {
        self.round.is_some()
    }

    pub fn begin_round(&mut self, records: usize) {
        self.round = Some(Round { results: vec![None; records], outstanding: records, tainted: false });
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
            Some(Round { results, tainted: false, .. }) => {
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
        self.drift = drift(policy, &self.view, &self.fences, &self.reads).or_else(|| detached(&self.view));
    }

    /// Our own write was accepted: from now on this is what stands.
    pub fn written(&mut self, policy: &Policy, plan: &Plan, cluster: &crate::domain::ClusterName) {
        let addresses = plan.to().and_then(|to| policy.target(to)).map(|t| t.addresses.clone());
        for (read, (_, after)) in self.reads.iter_mut().zip(plan.fences()) {
            read.fence = vec![simple_set("TXT", FENCE_TTL, vec![quote(&after.encode())])];
            for family in policy.families() {
                let Some(set) = addresses.as_ref().and_then(|a| a.of(family)) else { continue };
                let rtype = family.to_string();
                read.sets.retain(|s| s.rtype != rtype);
                read.sets.push(simple_set(&rtype, policy.ttl.secs(), set.iter().map(|a| a.to_string()).collect()));
            }
        }
        self.judge(policy, cluster);
    }

    /// Whether a name server's answers differ from the last reading; unusable answers do not count.
    pub fn differs(&self, policy: &Policy, answers: &[ServerAnswer]) -> bool {
        answers.iter().any(|a| match &a.answer {
            DnsAnswer::Failed(_) => false,
            DnsAnswer::Addresses { set, .. } => {
                let expected = self.reads.get(a.record as usize).map(|r| published(r, a.family)).unwrap_or_default();
                *set != expected
            }
            DnsAnswer::Nothing | DnsAnswer::Other(_) => {
                matches!(self.view, View::Target(_)) && policy.families().contains(&a.family)
            }
        })
    }

    pub fn report(&self, policy: &Policy) -> LiveState {
        match &self.view {
            View::NotRead => LiveState::NotRead,
            View::Target(idx) => match policy.target(*idx) {
                Some(t) => LiveState::Target { name: t.name.clone() },
                None => LiveState::NotRead,
            },
            View::Split(detail) => LiveState::Split { detail: detail.clone() },
            View::Foreign(detail) => LiveState::Foreign { detail: detail.clone() },
            View::Absent => LiveState::Absent,
            View::Unreadable(detail) => LiveState::Unreadable { detail: detail.clone() },
        }
    }
}

fn simple_set(rtype: &str, ttl: u32, values: Vec<String>) -> LiveSet {
    LiveSet { rtype: rtype.into(), ttl: Some(ttl), values, routing: None, alias: None }
}

fn published(read: &RecordRead, family: Family) -> BTreeSet<IpAddr> {
    let rtype = family.to_string();
    read.sets.iter().filter(|s| s.rtype == rtype).flat_map(|s| s.values.iter().filter_map(|v| v.parse().ok())).collect()
}

/// Which target all records publish, or why none can be named.
fn classify(policy: &Policy, reads: &[RecordRead]) -> View {
    if reads.len() != policy.records.len() {
        return View::NotRead;
    }
    let mut views = Vec::new();
    for (name, read) in policy.records.iter().zip(reads) {
        match record_view(policy, read) {
            RecordView::Target(idx) => views.push(Some(idx)),
            RecordView::Absent => views.push(None),
            RecordView::Split(what) => return View::Split(format!("{name} publishes {what}")),
            RecordView::Foreign(what) => return View::Foreign(format!("{name} {what}")),
            RecordView::Unreadable(what) => return View::Unreadable(format!("{name} {what}")),
        }
    }
    let first = views.first().copied().flatten();
    match first {
        _ if views.iter().all(Option::is_none) => View::Absent,
        Some(idx) if views.iter().all(|v| *v == Some(idx)) => View::Target(idx),
        _ => {
            let text = |(name, view): (&crate::domain::RecordName, &Option<TargetIdx>)| {
                let target = view.and_then(|idx| policy.target(idx)).map_or("nothing", |t| t.name.as_str());
                format!("{name} publishes {target}")
            };
            let parts: Vec<String> = policy.records.iter().zip(&views).map(text).collect();
            View::Split(parts.join(", "))
        }
    }
}

enum RecordView {
    Target(TargetIdx),
    Absent,
    Split(String),
    Foreign(String),
    Unreadable(String),
}

fn record_view(policy: &Policy, read: &RecordRead) -> RecordView {
    if let Some(set) = read.sets.iter().find(|s| s.rtype == "CNAME") {
        return RecordView::Foreign(format!(
            "is a CNAME to {}; failoverd manages A and AAAA records here",
            set.values.join(" ")
        ));
    }
    let managed = |s: &&LiveSet| policy.families().iter().any(|f| f.to_string() == s.rtype);
    let sets: Vec<&LiveSet> = read.sets.iter().filter(managed).collect();
    if let Some(set) = sets.iter().find(|s| !s.is_simple()) {
        let what = match (&set.alias, &set.routing) {
            (Some(alias), _) => format!("is an alias to {alias}"),
            (None, routing) => format!("has a routed set ({})", routing.as_deref().unwrap_or("?")),
        };
        return RecordView::Foreign(format!("{what}; failoverd manages simple sets only"));
    }
    if sets.is_empty() {
        return RecordView::Absent;
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
    if let Some(idx) = policy.indices().find(|i| policy.target(*i).is_some_and(|t| t.addresses == live)) {
        return RecordView::Target(idx);
    }
    let known = |a: &IpAddr| policy.targets.iter().any(|t| t.addresses.contains(*a));
    if live.iter().all(|a| known(&a)) {
        return RecordView::Split(format!("{live}, which is no single target's set"));
    }
    RecordView::Foreign(format!("publishes {live}, which no target of this policy has"))
}

/// A record that no target of ours can be read from needs a person, fence or not.
fn detached(view: &View) -> Option<String> {
    match view {
        View::NotRead | View::Target(_) => None,
        View::Absent => Some("the record does not exist".into()),
        View::Split(what) | View::Foreign(what) | View::Unreadable(what) => Some(what.clone()),
    }
}

/// What a person or another tool changed behind the fence's back, exactly.
fn drift(policy: &Policy, view: &View, fences: &[Fence], reads: &[RecordRead]) -> Option<String> {
    let mut found = Vec::new();
    for ((name, read), fence) in policy.records.iter().zip(reads).zip(fences) {
        let Some((value, _)) = fence.ours() else { continue };
        let expected = policy.targets.iter().find(|t| target_token(t.name.as_str()) == value.to);
        for family in policy.families() {
            let rtype = family.to_string();
            let live = published(read, family);
            let text = |set: &BTreeSet<IpAddr>| match set.len() {
                0 => "nothing".to_owned(),
                _ => set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            if let Some(target) = expected {
                let want: BTreeSet<IpAddr> = target.addresses.of(family).iter().flat_map(AddressSet::iter).collect();
                if live != want {
                    found.push(format!(
                        "{name} {rtype} publishes {}, expected {} ({})",
                        text(&live),
                        text(&want),
                        target.name
                    ));
                }
            }
            let ttl = read.sets.iter().find(|s| s.rtype == rtype && s.is_simple()).and_then(|s| s.ttl);
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
