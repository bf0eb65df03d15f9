//! What follows an accepted write: INSYNC for every write, and for a move its proof from outside
//! (ARCHITECTURE.md, decision 7): every authoritative server, then a probe at the address one of them gave.

mod evidence;
mod verdict;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::domain::time::human;
use crate::domain::{Content, Epoch, Members, Outcome, TargetIdx, Tick};
use crate::seeded::{Bug, seeded};

use super::fence::{FenceMode, FenceValue, unquote};
use super::hand::Asked;
use super::ids::incident_id;
use super::intent::{Intent, IntentId, IntentOutcome, Kind};
use super::journal::TransitionKind;
use super::live::token_of;
use super::notice::{Clocks, Moved, NoticeKind, Severity};
use super::rehearse;
use super::report::{MovePhase, MoveReport};
use super::state::{Cx, Incident, Pending, PolicyState, Urgency, Words};
use super::switch::Writing;
use super::zone::{ApiError, ChangeStatus};

pub(super) use evidence::{Agrees, ProvenBy, answers, ask_everybody, by_name, compare, proven_by};

const POLL: Duration = Duration::from_secs(2);
/// A reading this young says what stands.
const FRESH_READING: Duration = Duration::from_secs(10);
/// After this without INSYNC: "applied, sync unknown".
const SYNC_LIMIT: Duration = Duration::from_secs(300);

pub(super) struct Settling {
    pub intent: Intent,
    from: Option<Members>,
    accepted: Tick,
    sync: Sync,
    outcome_given: bool,
    /// The write that is to undo it.
    rollback: Option<IntentId>,
    proof: Option<Proof>,
    /// What its verdict rests on, when that is a contradiction.
    blamed_by: Option<Blame>,
    clocks: Clocks,
}

/// Where a contradiction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    /// Direct probes, which our own blindness may have failed.
    Probes,
    /// What servers answered or the zone holds.
    Answers,
}

enum Sync {
    Polling { next: Tick, waiting: bool },
    Insync(Tick),
    Unknown(String),
}

/// The proof of a move, until its verdict.
struct Proof {
    to: Members,
    next_ask: Tick,
    asking: Option<Tick>,
    asks: u32,
    every_server: Option<Tick>,
    /// What the last round found different, or the servers that did not answer.
    disagree: Vec<(SocketAddr, String)>,
    silent: Vec<SocketAddr>,
    servers: usize,
    /// Where no server can be compared: the last reading of the zone since the acceptance, the one
    /// that showed what was written, and what was there instead.
    read: Option<Tick>,
    shown: Option<Tick>,
    differs: Option<String>,
    /// One for each member published.
    probes: Vec<MemberProbe>,
    next_probe: Tick,
    verdict: Option<Verdict>,
}

/// The direct probes of one member, at an address an authoritative answer gave.
struct MemberProbe {
    target: TargetIdx,
    address: Option<IpAddr>,
    probing: bool,
    failures: u32,
    /// Start of the first of these failures.
    failing_since: Option<Tick>,
    last: Option<Outcome>,
}

impl MemberProbe {
    fn new(target: TargetIdx) -> MemberProbe {
        MemberProbe { target, address: None, probing: false, failures: 0, failing_since: None, last: None }
    }

    fn forget_failures(&mut self) {
        self.failures = 0;
        self.failing_since = None;
    }
}

impl Proof {
    /// Every server, or the zone as read, tells what was written.
    fn is_seen(&self) -> bool {
        self.every_server.is_some() || self.shown.is_some()
    }

    /// Every member answered its direct probe.
    fn all_up(&self) -> bool {
        self.probes.iter().all(|probe| probe.last == Some(Outcome::Up))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Proven(String),
    Contradicted(String),
    Unverifiable(String),
}

impl Settling {
    pub fn begin(p: &mut PolicyState, cx: &mut Cx, write: Writing, change_id: Option<String>) {
        let asked_by = write.asked_by().map(str::to_owned);
        let settling = Settling::follow(p, cx, write, change_id);
        let announce = settling.proof.is_some() && settling.intent.kind != Kind::Adopt;
        if announce {
            let (title, mut words) = settling.announcement(p, cx);
            words.why.splice(0..0, asked_by);
            if settling.intent.kind == Kind::Force {
                words.next.insert(0, format!("no automatic move until `failoverd unfreeze {}`", p.policy.id));
                p.tell(cx, NoticeKind::Forced, Severity::Critical, title, words);
            } else {
                p.tell(cx, NoticeKind::Moving, Severity::Warning, title, words);
            }
        }
        p.settling.push(settling);
    }

    fn follow(p: &mut PolicyState, cx: &mut Cx, write: Writing, change_id: Option<String>) -> Settling {
        let now = cx.now.mono;
        rehearse::accepted(p, &write.intent.id, now);
        let to = write.to.clone();
        let proof = to.filter(|_| write.intent.kind.publishes()).map(|to| Proof {
            probes: to.iter().map(MemberProbe::new).collect(),
            to,
            next_ask: now,
            asking: None,
            asks: 0,
            every_server: None,
            disagree: Vec::new(),
            silent: Vec::new(),
            servers: 0,
            read: None,
            shown: None,
            differs: None,
            next_probe: now,
            verdict: None,
        });
        let sync = match change_id {
            Some(_) => Sync::Polling { next: now + Duration::from_millis(500), waiting: false },
            None => Sync::Unknown("the reply to the write was lost, so there is no change to follow".into()),
        };
        let mut settling = Settling {
            intent: write.intent,
            from: write.from,
            accepted: now,
            sync,
            outcome_given: false,
            rollback: None,
            proof,
            blamed_by: None,
            clocks: Clocks {
                confirmed: write.confirmed,
                accepted: Some(now.since(write.decided)),
                ..Clocks::default()
            },
        };
        settling.give_outcome(p, cx);
        if settling.proof.is_some() {
            supersede(p, cx, "a newer write");
        }
        settling
    }

    /// An earlier run had this write accepted and announced it in the same transaction; follow and
    /// prove it now.
    pub fn restored(p: &mut PolicyState, cx: &mut Cx, intent: Intent) {
        let change_id = intent.change_id.clone();
        let write = Writing::restored(p, intent, cx.now.mono);
        let before = Epoch(write.intent.epoch.0.saturating_sub(1));
        let mut settling = Settling::follow(p, cx, write, change_id);
        // How long the earlier run took is not known here.
        settling.clocks.accepted = None;
        if settling.is_unjudged_move() {
            let id = incident_id(&cx.shared.settings.cluster, &p.policy.id, before);
            p.incident = Some(Incident { id, timeline: Vec::new() });
        }
        p.settling.push(settling);
    }

    pub fn is_unjudged_move(&self) -> bool {
        self.proof.as_ref().is_some_and(|proof| proof.verdict.is_none())
    }

    /// It was contradicted and its rollback is on the way: evidence is gathered on, it may yet speak for the move.
    fn is_being_undone(&self, p: &PolicyState) -> bool {
        self.proof.is_some()
            && p.write.as_ref().is_some_and(|w| Some(&w.intent.id) == self.rollback.as_ref() && !w.is_resolving())
    }

    /// Who asked just before it was INSYNC has let go of the old answer.
    fn is_grace_over(&self, p: &PolicyState, now: Tick) -> bool {
        let two_ttl = Duration::from_secs(2 * u64::from(p.policy.ttl.secs()));
        matches!(self.sync, Sync::Insync(at) if now.since(at) >= two_ttl)
    }

    fn is_collecting(&self, p: &PolicyState) -> bool {
        self.is_unjudged_move() || self.is_being_undone(p)
    }

    fn is_over(&self, p: &PolicyState) -> bool {
        self.outcome_given && !self.is_collecting(p)
    }

    /// It waits for the provider's word about `change_id`.
    pub fn follows(&self, change_id: &str) -> bool {
        matches!(self.sync, Sync::Polling { .. }) && self.intent.change_id.as_deref() == Some(change_id)
    }

    /// When `tick` has something to do.
    pub fn wake(&self, p: &PolicyState, timeout: Duration, asks: bool) -> Option<Tick> {
        let sync = match &self.sync {
            Sync::Polling { next, waiting: false, .. } => Some(*next),
            _ => None,
        };
        let proof = self.proof.as_ref().filter(|_| self.is_collecting(p));
        let ask = proof.filter(|proof| asks && proof.asking.is_none()).map(|proof| proof.next_ask);
        let probe = proof
            .filter(|proof| proof.is_seen() && proof.probes.iter().any(|probe| !probe.probing))
            .map(|proof| proof.next_probe);
        let limit = proof.filter(|proof| proof.verdict.is_none()).map(|_| self.accepted + timeout);
        [sync, ask, probe, limit].into_iter().flatten().min()
    }

    pub fn report(&self, p: &PolicyState) -> Option<MoveReport> {
        let proof = self.proof.as_ref()?;
        let (phase, detail) = match &proof.verdict {
            None => (MovePhase::Verifying, self.progress(proof)),
            Some(Verdict::Proven(text)) => (MovePhase::Proven, text.clone()),
            Some(Verdict::Contradicted(text)) => (MovePhase::Contradicted, text.clone()),
            Some(Verdict::Unverifiable(text)) => (MovePhase::Unverified, text.clone()),
        };
        Some(MoveReport {
            kind: self.intent.kind,
            from: self.intent.from.clone(),
            to: p.policy.names(&proof.to),
            epoch: self.intent.epoch,
            phase,
            clocks: self.clocks.clone(),
            detail,
        })
    }

    fn progress(&self, proof: &Proof) -> String {
        let sync = match &self.sync {
            Sync::Polling { .. } => "waiting for INSYNC",
            Sync::Insync(_) => "INSYNC",
            Sync::Unknown(_) => "sync unknown",
        };
        let servers = match (proof.every_server, proof.disagree.len(), proof.silent.len()) {
            _ if proof.shown.is_some() => "the zone was read and holds it".to_owned(),
            _ if proof.differs.is_some() => "the zone was read and holds something else".to_owned(),
            (Some(_), _, _) => "every server answers the new address".to_owned(),
            (None, 0, 0) => "asking the servers".to_owned(),
            (None, differ, silent) => format!("{differ} servers still differ, {silent} do not answer"),
        };
        format!("{sync}; {servers}")
    }

    fn give_outcome(&mut self, p: &mut PolicyState, cx: &mut Cx) {
        let outcome = match &self.sync {
            Sync::Polling { .. } => return,
            // A move stays open until its verdict: a crash in between must not lose the proof.
            Sync::Insync(_) if self.is_unjudged_move() => return,
            Sync::Insync(_) => IntentOutcome::Committed,
            Sync::Unknown(_) => IntentOutcome::AppliedSyncUnknown,
        };
        if !self.outcome_given {
            self.outcome_given = true;
            self.intent.outcome = Some(outcome);
            p.record_intent(cx, &self.intent);
            p.dirty = true;
            rehearse::closed(p, cx, &self.intent, self.clocks.insync);
        }
    }

    fn moved(&self, p: &PolicyState) -> Option<Moved> {
        Some(Moved {
            kind: self.intent.kind,
            records: p.policy.records.clone(),
            from: self.from.as_ref().and_then(|f| p.place(f)),
            to: p.place(&self.proof.as_ref()?.to)?,
            ttl: p.policy.ttl,
            epoch: self.intent.epoch,
            clocks: self.clocks.clone(),
        })
    }

    fn arrow(&self, p: &PolicyState) -> String {
        let from = self.from.as_ref().map(|f| format!(" from {}", p.names_text(f))).unwrap_or_default();
        let to = self.proof.as_ref().map(|proof| format!(" to {}", p.names_text(&proof.to))).unwrap_or_default();
        format!("{}{from}{to}", p.policy.id)
    }

    fn announcement(&self, p: &PolicyState, cx: &Cx) -> (String, Words) {
        let limit = human(cx.shared.settings.verify.timeout);
        let proving = match proven_by(p, cx.shared) {
            ProvenBy::Reading => {
                format!("proving it: the zone read back, INSYNC, a probe of what it holds (at most {limit})")
            }
            ProvenBy::Servers | ProvenBy::Insync => format!(
                "proving it from outside: every authoritative server, INSYNC, a probe of the new address (at most {limit})"
            ),
        };
        let ttl = match p.policy.targets.first().map(|t| &t.content) {
            Some(Content::Alias(_)) => "the TTL of what the alias points to".to_owned(),
            _ => format!("the TTL of {}s", p.policy.ttl.secs()),
        };
        let clients =
            format!("well-behaved clients follow within {ttl}; pooled connections and client caches take longer");
        let next = vec![proving, clients];
        let words = Words {
            why: p.all_evidence(cx.now),
            moved: self.moved(p),
            next,
            undo: undo(p, self.from.as_ref().filter(|_| self.intent.kind != Kind::Trim)),
        };
        (format!("{}: {} accepted", self.arrow(p), self.intent.kind), words)
    }
}

/// What stands now is not what these moves wrote: a contradiction would judge, and undo, another hand's work.
fn supersede(p: &mut PolicyState, cx: &mut Cx, by: &str) {
    let mut superseded = Vec::new();
    for settling in p.settling.iter_mut().filter(|s| s.is_unjudged_move()) {
        settling.proof = None;
        superseded.push(settling.intent.kind);
    }
    for kind in superseded {
        p.journal(cx, TransitionKind::Unverified, format!("{kind} was overtaken by {by} before it was proven"));
    }
}

/// Somebody else's write stands in the fence: moves of ours to another target are overtaken.
pub(super) fn overtaken(p: &mut PolicyState, cx: &mut Cx, value: &FenceValue) {
    let differs = |s: &Settling| {
        s.is_unjudged_move() && s.proof.as_ref().is_some_and(|proof| token_of(&p.policy, &proof.to) != value.to)
    };
    if p.settling.iter().any(differs) {
        supersede(p, cx, &format!("{}/{}", value.cluster, value.instance));
    }
}

fn undo(p: &PolicyState, from: Option<&Members>) -> Option<String> {
    let flag = |name: &crate::domain::TargetName| format!(" --to {name}");
    from.map(|f| format!("failoverd switch {}{}", p.policy.id, p.policy.names(f).iter().map(flag).collect::<String>()))
}

/// Runs `f` on every settling write with the policy beside it.
fn each(p: &mut PolicyState, cx: &mut Cx, mut f: impl FnMut(&mut Settling, &mut PolicyState, &mut Cx)) {
    let mut list = std::mem::take(&mut p.settling);
    for settling in &mut list {
        f(settling, p, cx);
    }
    list.append(&mut p.settling);
    p.settling = list;
}

/// Time passed: poll, ask, probe, judge.
pub(super) fn tick(p: &mut PolicyState, cx: &mut Cx) {
    each(p, cx, |s, p, cx| {
        poll(s, p, cx);
        if s.is_collecting(p) {
            evidence::ask(s, p, cx);
            evidence::read_back(s, p, cx);
            evidence::probe(s, p, cx);
        }
        if s.is_unjudged_move() {
            verdict::judge(s, p, cx);
        } else if s.is_being_undone(p) {
            verdict::look_again(s, p, cx);
        }
        s.give_outcome(p, cx);
    });
    let (over, going): (Vec<_>, Vec<_>) = std::mem::take(&mut p.settling).into_iter().partition(|s| s.is_over(p));
    p.settling = going;
    if let Some(report) = over.iter().filter_map(|s| s.report(p)).next_back() {
        p.last_move = Some(report);
    }
}

fn poll(s: &mut Settling, p: &PolicyState, cx: &mut Cx) {
    let Sync::Polling { next, waiting } = &mut s.sync else { return };
    if cx.now.mono.since(s.accepted) >= SYNC_LIMIT {
        s.sync = Sync::Unknown(format!("not INSYNC within {}", human(SYNC_LIMIT)));
        return;
    }
    if !*waiting && *next <= cx.now.mono {
        *waiting = true;
        cx.ask(Urgency::GetChange, Pending::GetChange { policy: p.idx, intent: s.intent.id.clone() });
    }
}

/// The write took a freeze or a `force` out of the fence.
fn lifted(intent: &Intent) -> bool {
    let holds =
        |text: &str| FenceValue::parse(text).is_ok_and(|v| matches!(v.mode, FenceMode::Frozen | FenceMode::Forced));
    let mut before = intent.before.iter().flatten().filter_map(|set| unquote(set.values.first()?));
    before.any(|text| holds(&text)) && !intent.after.iter().any(|text| holds(text))
}

/// The provider's word about a change; every write that rode in its batch learns it.
pub(super) fn synced(p: &mut PolicyState, cx: &mut Cx, change_id: &str, result: &Result<ChangeStatus, ApiError>) {
    each(p, cx, |s, p, cx| {
        if s.intent.change_id.as_deref() != Some(change_id) {
            return;
        }
        let now = cx.now.mono;
        let Sync::Polling { next, waiting } = &mut s.sync else { return };
        *waiting = false;
        *next = now + POLL;
        match result {
            Ok(ChangeStatus::Pending) if !seeded(Bug::PendingAsInsync) => {}
            Ok(ChangeStatus::Vanished) if !seeded(Bug::VanishedAsInsync) => {
                s.sync = Sync::Unknown("the provider no longer knows the change".into());
                p.journal(cx, TransitionKind::ApiTrouble, "an accepted change vanished; reading the zone again");
                // A freeze that it carried may be in no fence any more.
                p.brakes.freeze_is_news = p.brakes.frozen.is_some();
                if lifted(&s.intent) && p.brakes.frozen.is_none() && !p.brakes.forced {
                    // What stands may say frozen again, and a person was told otherwise.
                    p.ask(cx, Asked::Unfreeze, "again: its change vanished");
                }
                if s.intent.kind == Kind::Ack {
                    // What was locked out since may be younger: it is not written again.
                    p.tell_lost_ack(cx, "the provider no longer knows the change that carried it");
                }
                p.dirty = true;
                p.read_now(cx, Urgency::FenceRead);
            }
            Ok(_) => {
                s.clocks.insync = Some(now.since(s.accepted));
                s.sync = Sync::Insync(now);
                p.journal(
                    cx,
                    TransitionKind::Insync,
                    format!("{} is INSYNC after {}", s.intent.kind, human(now.since(s.accepted))),
                );
            }
            Err(error) if error.kind.is_transient() => {}
            Err(error) => s.sync = Sync::Unknown(error.message.clone()),
        }
    });
    tick(p, cx);
}
