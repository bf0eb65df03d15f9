//! The standing rehearsal: on a calm day a fence-only write walks the whole way a failover would
//! take (credentials, permission, quota, fence, INSYNC, the sight of every server) and its times are
//! kept. Never publishes, never counts as a move, and gives way to anything else at once.

use std::net::SocketAddr;
use std::time::Duration;

use crate::domain::time::human;
use crate::domain::{Health, Now, Tick, UnixMs};

use super::action::Action;
use super::event::ServerAnswer;
use super::fence::{Fence, FenceMode};
use super::fleet::{Fleet, Mode};
use super::ids::jitter;
use super::intent::{Intent, IntentId, IntentOutcome, Kind};
use super::journal::{RehearsalSnapshot, TransitionKind};
use super::notice::{NoticeKind, Severity};
use super::state::{Cx, PolicyState, Urgency, Words};
use super::switch;
use super::verify::{Agrees, ProvenBy, ask_everybody, compare, proven_by};
use super::zone::RefusedCode;

/// The rehearsals of many policies begin this far apart, on average, but within an hour.
const APART: Duration = Duration::from_millis(100);
const SPREAD: Duration = Duration::from_secs(3600);
/// Not calm, frozen or blind: tried again after this, and given up after `PATIENCE`.
const LATER: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// Not read or judged yet: looked at again after this.
const SOON: Duration = Duration::from_secs(1);
/// After a failure, until it is fine again.
const AFTER_FAILURE: Duration = Duration::from_secs(3600);
/// A write that nobody took within this has failed.
const UNSENT: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What one policy has still to rehearse, and is rehearsing.
#[derive(Default)]
pub(super) struct Rehearsals {
    due: Option<Due>,
    running: Option<Running>,
}

struct Due {
    at: Tick,
    until: Tick,
    /// What was walked at or after this is not walked again; `None`: in any case.
    since: Option<UnixMs>,
    /// It was wanted and something held it back.
    held: bool,
    /// Another instance wrote the fence at the same moment, once.
    raced: bool,
}

struct Running {
    due: Due,
    began: Tick,
    /// `None`: this process only observes.
    intent: Option<IntentId>,
    accepted: Option<Tick>,
    insync: Option<Duration>,
    every_server: Option<Duration>,
    servers: usize,
    /// A round of questions or a reading is under way since.
    asking: Option<Tick>,
    next_ask: Tick,
    /// What the last round said against it.
    against: Option<String>,
}

impl Rehearsals {
    /// One is running, or is about to; a confirmed pass waits for it.
    pub fn is_open(&self, now: Tick) -> bool {
        self.running.is_some() || self.due.as_ref().is_some_and(|due| !due.held && due.at <= now + LATER)
    }

    pub fn wake(&self, timeout: Duration) -> Option<Tick> {
        let due = self.due.as_ref().map(|due| due.at);
        let running = self.running.as_ref().map(|r| {
            let limit = r.began + if r.accepted.is_none() && r.intent.is_some() { UNSENT } else { timeout };
            if r.asking.is_none() { limit.min(r.next_ask) } else { limit }
        });
        running.or(due)
    }
}

impl Fleet {
    /// The schedule fired: every policy whose write path was not walked since `since` rehearses, each
    /// in its own moment.
    pub(super) fn rehearsal_due(&mut self, now: Now, out: &mut Vec<Action>, since: UnixMs) {
        let count = u32::try_from(self.states().count()).unwrap_or(u32::MAX);
        self.with_all(now, out, |p, cx| due(p, cx, since, count));
    }
}

/// The schedule fired: each of `count` policies in its own moment. What was walked at or after `since` is not due.
fn due(p: &mut PolicyState, cx: &Cx, since: UnixMs, count: u32) {
    let spread = (APART * count).min(SPREAD);
    let who = format!("{}/{}", cx.shared.settings.instance, p.policy.id);
    let offset = jitter(&who, since.secs(), u64::try_from(spread.as_millis()).unwrap_or(1));
    let at = cx.now.mono + Duration::from_millis(offset);
    p.rehearsals.due = Some(Due { at, until: at + PATIENCE, since: Some(since), held: false, raced: false });
}

/// Time passed, or something happened: begin, go on, give way.
pub(super) fn tick(p: &mut PolicyState, cx: &mut Cx) {
    if p.rehearsals.running.is_some()
        && (p.doubt.is_some() || p.is_moving() || p.planned.is_some() || p.brakes.frozen.is_some())
    {
        give_way(p, cx, "the policy is no longer calm");
    }
    if p.rehearsals.running.is_some() {
        return go_on(p, cx);
    }
    let due = p.rehearsals.due.as_ref().is_some_and(|due| due.at <= cx.now.mono);
    if !due || cx.shared.mode == Mode::Attended {
        return;
    }
    let now = cx.now.mono;
    let hold = held_back(p, cx);
    let walked = walked_at(p, cx.shared.mode);
    let Some(mut due) = p.rehearsals.due.take() else { return };
    let fresh = due.since.is_some_and(|since| walked.is_some_and(|at| at >= since));
    if now >= due.until || (fresh && !matches!(hold, Hold::Unread)) {
        return;
    }
    match hold {
        Hold::Unread => due.at = now + SOON,
        Hold::Back => (due.at, due.held) = (now + LATER, true),
        Hold::Free => return begin(p, cx, due),
    }
    p.rehearsals.due = Some(due);
}

enum Hold {
    Free,
    /// What stands is not known yet.
    Unread,
    Back,
}

/// Calm, adopted, unfrozen, seeing, and nothing of ours under way.
fn held_back(p: &PolicyState, cx: &Cx) -> Hold {
    let judged = |h: Health| h != Health::Unknown;
    let states = || p.published().into_iter().flat_map(|m| m.iter()).filter_map(|i| p.health_of(i)).map(|h| h.state());
    let busy = p.write.is_some() || !p.open_intents.is_empty() || !p.settling.is_empty();
    if p.live.read_at.is_none() || p.live.stale || busy || !states().all(judged) {
        return Hold::Unread;
    }
    let mode = p.brakes.mode();
    let ours = |f: &Fence| f.ours().is_some_and(|(v, _)| v.mode == mode && v.mode != FenceMode::Frozen);
    let calm = p.published().is_some() && p.doubt.is_none() && states().all(|s| s == Health::Up);
    let trouble = p.write_trouble.as_ref().is_some_and(|t| t.next_try > cx.now.mono);
    let free = calm
        && p.live.fences.iter().all(ours)
        && p.brakes.frozen.is_none()
        // The fence's kind is what keeps failback off for a peer; it must not be written over.
        && !p.brakes.failback_blocked
        && !p.brakes.unverified
        && !p.hand_goes_first()
        && p.planned.is_none()
        && !trouble
        && cx.shared.sight.blind.is_none()
        && cx.shared.store_broken.is_none();
    if free { Hold::Free } else { Hold::Back }
}

/// When the write path was last walked, as far as `mode` may: by a rehearsal of ours, or, where none
/// is remembered, by whatever wrote the fence.
fn walked_at(p: &PolicyState, mode: Mode) -> Option<UnixMs> {
    match &p.rehearsal {
        Some(last) if !last.ok => None,
        Some(last) if last.walked() || mode == Mode::Observe => Some(last.at),
        Some(_) | None => p.live.fences.iter().filter_map(|f| f.ours()).map(|(value, _)| value.written).max(),
    }
}

fn begin(p: &mut PolicyState, cx: &mut Cx, due: Due) {
    let now = cx.now.mono;
    let mut running = Running {
        due,
        began: now,
        intent: None,
        accepted: None,
        insync: None,
        every_server: None,
        servers: 0,
        asking: None,
        next_ask: now,
        against: None,
    };
    if cx.shared.mode == Mode::Observe {
        p.read_now(cx, Urgency::Reconcile);
        p.rehearsals.running = Some(running);
        return;
    }
    match switch::start(p, cx, Kind::Rehearse, None, "the write path is walked on a calm day") {
        Ok(()) => {
            running.intent = p.write.as_ref().map(|w| w.intent.id.clone());
            p.rehearsals.running = Some(running);
        }
        Err(_) => {
            let mut due = running.due;
            (due.at, due.held) = (now + LATER, true);
            p.rehearsals.due = Some(due);
        }
    }
}

/// Anything else goes first: what was not sent is dropped, and it is tried again later.
pub(super) fn give_way(p: &mut PolicyState, cx: &mut Cx, why: &str) {
    let Some(running) = p.rehearsals.running.take() else { return };
    later(p, cx.now.mono, running.due, LATER);
    if p.write.as_ref().is_some_and(|w| w.intent.kind == Kind::Rehearse && w.is_unsent()) {
        switch::drop_unsent(p, cx, why);
    }
}

fn later(p: &mut PolicyState, now: Tick, mut due: Due, after: Duration) {
    (due.at, due.held) = (now + after, true);
    p.rehearsals.due = Some(due);
}

fn go_on(p: &mut PolicyState, cx: &mut Cx) {
    let now = cx.now.mono;
    let by = proven_by(p, cx.shared);
    let timeout = cx.shared.settings.verify.timeout;
    let Some(r) = &mut p.rehearsals.running else { return };
    if r.intent.is_some() && r.accepted.is_none() {
        let unsent = p.write.as_ref().is_some_and(|w| w.is_unsent());
        if unsent && now.since(r.began) >= UNSENT {
            fail(p, cx, format!("the provider took no write within {}", human(UNSENT)), CURE_WRITE);
            switch::drop_unsent(p, cx, "the rehearsal waited too long for its turn");
        }
        return;
    }
    let since = r.accepted.unwrap_or(r.began);
    let read = p.live.read_at.filter(|at| *at > since && p.live.members().is_some());
    if by != ProvenBy::Servers && r.every_server.is_none() && (by == ProvenBy::Reading || r.intent.is_none()) {
        if read.is_some() {
            r.every_server = Some(now.since(since));
        } else if r.next_ask <= now {
            r.next_ask = now + ASK_AGAIN * 5;
            p.read_now(cx, Urgency::Reconcile);
        }
    } else if by == ProvenBy::Servers && r.every_server.is_none() && r.asking.is_none() && r.next_ask <= now {
        match ask_everybody(p, cx) {
            Ok(()) => {
                if let Some(r) = &mut p.rehearsals.running {
                    r.asking = Some(now);
                }
            }
            Err(at) => {
                if let Some(r) = &mut p.rehearsals.running {
                    r.next_ask = at;
                }
            }
        }
    }
    let Some(r) = &p.rehearsals.running else { return };
    let seen = by == ProvenBy::Insync && r.intent.is_some() || r.every_server.is_some();
    let written = r.intent.is_none() || r.insync.is_some();
    let was_read = r.intent.is_some() || read.is_some();
    if seen && written && was_read {
        succeed(p, cx, by);
    } else if now.since(since) >= timeout {
        let limit = human(timeout);
        match (written, r.against.clone()) {
            (false, _) => fail(p, cx, format!("accepted, but not INSYNC within {limit}"), CURE_SYNC),
            (_, Some(text)) => fail(p, cx, text, CURE_SIGHT),
            (_, None) => fail(p, cx, format!("what is published could not be seen within {limit}"), CURE_SIGHT),
        }
    }
}

const CURE_WRITE: &str = "cure what the provider names: credentials, permissions, quota, the network to its API";
const CURE_SYNC: &str = "look at the provider's status page; a failover now would wait as long";
const CURE_SIGHT: &str =
    "see that every name server answers this host on port 53, UDP and TCP; ask one yourself with `dig @SERVER RECORD`";

/// The provider accepted the rehearsal `intent`.
pub(super) fn accepted(p: &mut PolicyState, intent: &IntentId, now: Tick) {
    if let Some(r) = p.rehearsals.running.as_mut().filter(|r| r.intent.as_ref() == Some(intent)) {
        r.accepted = Some(now);
        r.next_ask = now;
    }
}

/// The write has its outcome.
pub(super) fn closed(p: &mut PolicyState, cx: &mut Cx, intent: &Intent, insync: Option<Duration>) {
    if p.rehearsals.running.as_ref().is_none_or(|r| r.intent.as_ref() != Some(&intent.id)) {
        return;
    }
    match &intent.outcome {
        Some(IntentOutcome::Committed) => {
            if let Some(r) = &mut p.rehearsals.running {
                r.insync = insync;
            }
        }
        Some(IntentOutcome::AppliedSyncUnknown) => {
            fail(p, cx, "applied, but whether it is INSYNC could not be learnt".into(), CURE_SYNC);
        }
        Some(IntentOutcome::Burned | IntentOutcome::Expired) => {
            fail(p, cx, "the reply to the write was lost, and the write with it".into(), CURE_WRITE);
        }
        // Another write was first, or ours gave way: no failure of the path.
        Some(IntentOutcome::Lost { .. } | IntentOutcome::NotSent { .. }) => {
            if let Some(running) = p.rehearsals.running.take() {
                later(p, cx.now.mono, running.due, LATER);
            }
        }
        Some(IntentOutcome::Refused { .. }) | None => {}
    }
}

/// A definite refusal.
pub(super) fn refused(p: &mut PolicyState, cx: &mut Cx, code: RefusedCode, message: &str) {
    match &mut p.rehearsals.running {
        // Most likely another instance rehearsed at the same moment.
        Some(r) if code == RefusedCode::Precondition && !r.due.raced => {
            r.due.raced = true;
            if let Some(running) = p.rehearsals.running.take() {
                later(p, cx.now.mono, running.due, LATER);
            }
        }
        Some(_) => fail(p, cx, format!("the write was refused: {message}"), CURE_WRITE),
        None => {}
    }
}

/// Every server's answers of one round.
pub(super) fn answers(p: &mut PolicyState, cx: &mut Cx, asked: Tick, answers: &[ServerAnswer]) {
    let Some(want) = p.published().and_then(|m| p.policy.content(m)) else { return };
    let Some(r) = &mut p.rehearsals.running else { return };
    let since = r.accepted.unwrap_or(r.began);
    r.asking = None;
    r.next_ask = cx.now.mono + ASK_AGAIN;
    if asked < since {
        return;
    }
    let mut servers: Vec<SocketAddr> = answers.iter().map(|a| a.server).collect();
    servers.sort();
    servers.dedup();
    r.servers = servers.len();
    r.against = answers.iter().find_map(|a| match compare(a, &want) {
        Agrees::Yes => None,
        Agrees::No => Some(format!("{} answers {}, not what is published", a.server, a.answer)),
        Agrees::Unknown => Some(format!("{} gave {}", a.server, a.answer)),
    });
    if answers.is_empty() {
        r.against = Some("no authoritative server could be asked".into());
    } else if r.against.is_none() {
        r.every_server = Some(cx.now.mono.since(since));
    }
}

fn succeed(p: &mut PolicyState, cx: &mut Cx, by: ProvenBy) {
    let Some(r) = p.rehearsals.running.take() else { return };
    let seen = match (by, r.servers, r.every_server) {
        (ProvenBy::Servers, n, Some(took)) => format!("all {n} servers agree after {}", human(took)),
        (ProvenBy::Reading, _, Some(took)) => format!("read back from the zone after {}", human(took)),
        _ => "no name server is configured to be asked".to_owned(),
    };
    let detail = match (r.accepted, r.insync) {
        (Some(at), Some(insync)) => {
            format!("accepted in {}, INSYNC after {}, {seen}", human(at.since(r.began)), human(insync))
        }
        _ => format!("the zone was read, {seen}; this process only observes: the write path was not walked"),
    };
    finish(p, cx, &r, true, detail, "");
}

fn fail(p: &mut PolicyState, cx: &mut Cx, why: String, next: &str) {
    let Some(r) = p.rehearsals.running.take() else { return };
    finish(p, cx, &r, false, why, next);
    let at = cx.now.mono + AFTER_FAILURE;
    p.rehearsals.due = Some(Due { at, until: at + PATIENCE, since: None, held: true, raced: false });
}

fn finish(p: &mut PolicyState, cx: &mut Cx, r: &Running, ok: bool, detail: String, next: &str) {
    let id = p.policy.id.clone();
    let failed_before = p.rehearsal.as_ref().is_some_and(|last| !last.ok);
    p.rehearsal = Some(RehearsalSnapshot {
        at: cx.now.wall,
        ok,
        detail: detail.clone(),
        accepted: r.accepted.map(|at| at.since(r.began)),
        insync: r.insync,
        every_server: r.every_server,
    });
    let kind = if ok { TransitionKind::Rehearsed } else { TransitionKind::RehearsalFailed };
    p.journal(cx, kind, detail.clone());
    let words = |next: Vec<String>| Words { why: vec![detail], next, ..Words::default() };
    match (ok, failed_before) {
        (false, false) => {
            let next = vec![
                next.to_owned(),
                format!("what is published was not touched; rehearsed again every {}", human(AFTER_FAILURE)),
            ];
            let title = format!("{id}: the rehearsal failed, and so may a failover");
            p.tell(cx, NoticeKind::RehearsalFailed, Severity::Critical, title, words(next));
        }
        (true, true) => {
            let title = format!("{id}: the rehearsal is fine again");
            p.tell(cx, NoticeKind::RehearsalFine, Severity::Info, title, words(Vec::new()));
        }
        _ => {}
    }
}
