//! One policy: outcomes, readings and commands go in; doubt, wants and moves come out.
//! Level-triggered: `evaluate` looks at the whole state, whatever woke it.

use std::time::Duration;

use crate::domain::{Health, Now, Outcome, Policy, PolicyIdx, RegionName, TargetIdx, Tick, UnixMs, ZoneIdx};

use super::action::Action;
use super::brake::Brakes;
use super::event::{Command, CommandKind, CommandReply, Probed};
use super::fence::{Fence, FenceMode, FenceValue};
use super::fleet::Mode;
use super::guard::{At, flap_budget_is_spent, refusals};
use super::health::{Flip, TargetHealth};
use super::intent::{Intent, Kind};
use super::journal::{FreezeSnapshot, PolicySnapshot, TransitionKind};
use super::live::{Live, Reading, View};
use super::notice::{Moved, NoticeKind, Place, Severity};
use super::report::{Refusal, Rule};
use super::select::{Want, wanted};
use super::state::{Cx, Doubt, Pending, PolicyState, Refused, Shared, Trouble, Urgency, Words};
use super::switch::{self, Writing};
use super::verify::{self, Settling, asks_servers};
use super::zone::{ApiError, RecordRead};

/// A transient provider error is told after this.
const TELL_ERRORS_AFTER: Duration = Duration::from_secs(60);

impl PolicyState {
    pub(super) fn new(
        idx: PolicyIdx,
        zone: ZoneIdx,
        policy: Policy,
        restored: Option<&PolicySnapshot>,
        now: Now,
    ) -> PolicyState {
        let mut health = vec![TargetHealth::default(); policy.targets.len()];
        for (target, health) in policy.targets.iter().zip(&mut health) {
            let known =
                restored.and_then(|r| r.targets.iter().find(|t| t.name == target.name && t.health == Health::Up));
            if let Some(known) = known {
                health.assume_healthy_since(now.mono - now.wall.since(known.since));
            }
        }
        PolicyState {
            idx,
            zone,
            since: vec![now.wall; policy.targets.len()],
            health,
            fast: false,
            live: Live::new(now.mono),
            doubt: None,
            proof: None,
            incident: None,
            brakes: restored.map(|r| Brakes::restore(r, now)).unwrap_or_default(),
            write: None,
            settling: Vec::new(),
            refused: None,
            would: None,
            window_open: policy.failback.window.is_none(),
            last_move: None,
            write_trouble: None,
            trouble: None,
            dirty: false,
            told_down: std::collections::BTreeSet::new(),
            long_down: policy
                .targets
                .iter()
                .map(|t| {
                    restored.is_some_and(|r| r.targets.iter().any(|s| s.name == t.name && s.health == Health::Down))
                })
                .collect(),
            known_epoch: restored.map(|r| r.epoch).unwrap_or_default(),
            seen_attempt: None,
            pending_ack: false,
            precondition_failures: 0,
            wake: Some(now.mono),
            policy,
        }
    }

    /// An intent an earlier run left without an outcome.
    pub(super) fn restore_intent(&mut self, cx: &mut Cx, intent: Intent) {
        self.seen_attempt = Some(intent.id.0.clone());
        self.known_epoch = self.known_epoch.max(intent.epoch);
        if intent.change_id.is_some() {
            Settling::restored(self, cx, intent);
        } else {
            self.write = Some(Writing::restored(intent, cx.now.mono));
        }
    }

    /// Emits what was journalled, with the snapshot when something worth keeping changed.
    pub(super) fn commit(&mut self, cx: &mut Cx) -> Option<u64> {
        if self.dirty {
            self.dirty = false;
            let snapshot = self.snapshot(cx.now);
            cx.entry.snapshots.push(snapshot);
        }
        cx.flush()
    }

    /// Starts a reading of all records unless one is under way.
    pub(super) fn read_now(&mut self, cx: &mut Cx, urgency: Urgency) {
        self.live.stale = true;
        if self.live.is_reading() || cx.shared.zones.get(self.zone.index()).is_none_or(|z| z.info.is_none()) {
            return;
        }
        self.live.begin_round(self.policy.records.len());
        for record in (0u32..).take(self.policy.records.len()) {
            cx.ask(urgency, Pending::Read { policy: self.idx, record });
        }
    }

    /// Counts one outcome.
    pub(super) fn outcome(&mut self, cx: &mut Cx, probed: &Probed) {
        let Some(check) = self.policy.target(probed.target).map(|t| t.check.clone()) else { return };
        let Some(health) = self.health.get_mut(probed.target.index()) else { return };
        let was_failing = health.is_failing_now();
        let never = health.last().is_none();
        let flip = health.record(&check, probed.outcome, probed.started, probed.ended);
        let is_failing = health.is_failing_now();
        if was_failing != is_failing
            && let Some(region) = self.region_of(probed.target).cloned()
        {
            let long = never && self.was_down_before(probed.target);
            cx.shared.sight.target_failing(&region, is_failing, long, cx.now.mono);
        }
        self.renewal(probed, cx.now.mono);
        self.flipped(cx, probed.target, flip);
    }

    fn was_down_before(&self, target: TargetIdx) -> bool {
        self.long_down.get(target.index()).copied().unwrap_or(false)
    }

    fn renewal(&mut self, probed: &Probed, now: Tick) {
        let Some(write) = &self.write else { return };
        let to = write.plan.as_ref().and_then(|plan| plan.to());
        let renews = match write.intent.kind {
            Kind::Failover => Some(probed.target) == self.active() && matches!(probed.outcome, Outcome::Down(_)),
            Kind::Failback | Kind::Rollback => Some(probed.target) == to && probed.outcome == Outcome::Up,
            _ => false,
        };
        if renews {
            switch::renew(self, now);
        }
    }

    fn flipped(&mut self, cx: &mut Cx, target: TargetIdx, flip: Flip) {
        let evidence = self.evidence(target, cx.now);
        let is_active = Some(target) == self.active();
        match flip {
            Flip::None => {}
            Flip::FirstFailure => {
                self.begin_doubt(cx, target);
                self.journal(cx, TransitionKind::Doubt, evidence);
            }
            Flip::Cleared => self.journal(cx, TransitionKind::Calm, evidence),
            Flip::WentUp => {
                self.stamp(target, cx.now.wall);
                self.journal(cx, TransitionKind::TargetUp, evidence.clone());
                if self.told_down.remove(&target) {
                    let title = format!("{}: {} is up again", self.policy.id, self.name_of(target));
                    self.tell(
                        cx,
                        NoticeKind::TargetUp,
                        Severity::Info,
                        title,
                        Words { why: vec![evidence], ..Words::default() },
                    );
                }
            }
            Flip::WentDown => {
                self.begin_doubt(cx, target);
                self.stamp(target, cx.now.wall);
                self.journal(cx, TransitionKind::TargetDown, evidence.clone());
                self.told_down.insert(target);
                let what = if is_active { "the active target" } else { "a standby" };
                let title = format!("{}: {what} {} is down", self.policy.id, self.name_of(target));
                let next = if is_active {
                    "a move is considered at once"
                } else {
                    "it is no destination until it is up again"
                };
                let words = Words { why: vec![evidence], next: vec![next.into()], ..Words::default() };
                self.tell(cx, NoticeKind::TargetDown, Severity::Warning, title, words);
            }
        }
    }

    fn stamp(&mut self, target: TargetIdx, at: UnixMs) {
        if let Some(since) = self.since.get_mut(target.index()) {
            *since = at;
        }
    }

    /// The first counted failure of the active target (or, before the record is read, of any).
    fn begin_doubt(&mut self, cx: &mut Cx, target: TargetIdx) {
        self.open_incident(cx);
        if self.doubt.is_none() && self.active().is_none_or(|a| a == target) {
            self.doubt = Some(Doubt { target, since: cx.now.mono, since_wall: cx.now.wall });
            self.begin_proof(cx.now.mono);
            cx.shared.sight.hurry();
        }
    }

    fn begin_proof(&mut self, since: Tick) {
        for health in &mut self.health {
            health.begin_proof(since);
        }
    }

    /// Everything that follows from the state as it is now.
    pub(super) fn evaluate(&mut self, cx: &mut Cx) {
        self.settle_doubt(cx);
        self.watch_record(cx);
        switch::tick(self, cx);
        verify::tick(self, cx);
        if cx.shared.mode == Mode::Active {
            self.keep_fence_mode(cx);
        }
        self.decide(cx);
        self.pace(cx);
        self.commit(cx);
        self.wake = self.next_wake(cx);
    }

    fn settle_doubt(&mut self, cx: &mut Cx) {
        if let Some(doubt) = &self.doubt {
            let about_active = self.active().is_none_or(|a| a == doubt.target);
            let over = self.health_of(doubt.target).is_none_or(|h| h.state() != Health::Down && h.failures() == 0);
            if over || !about_active {
                self.doubt = None;
            }
        }
        // The record moved under us, or was read only now: doubt belongs to the active target.
        if self.doubt.is_none()
            && let Some(active) = self.active()
            && self.health_of(active).is_some_and(|h| h.failures() > 0)
        {
            self.begin_doubt(cx, active);
        }
        let calm = self.doubt.is_none() && !self.is_moving() && self.health.iter().all(TargetHealth::is_settled);
        if calm {
            self.incident = None;
        }
        if self.doubt.is_none() && self.refused.as_ref().is_some_and(|r| r.failover) {
            self.refused = None;
        }
    }

    /// Fast while anything is in doubt or on its way.
    fn pace(&mut self, cx: &mut Cx) {
        let fast = self.doubt.is_some()
            || self.proof.is_some()
            || self.is_moving()
            || self.health.iter().any(|h| !h.is_settled())
            || self.active().and_then(|a| self.health_of(a)).is_some_and(|h| h.state() == Health::Down);
        if fast != self.fast {
            self.fast = fast;
            cx.out.push(Action::Pace { policy: self.idx, fast });
        }
    }

    /// Keeps the view of the live record young.
    fn watch_record(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        if self.live.reconcile_due <= now && !self.live.is_reading() {
            let urgency =
                if self.live.read_at.is_none() || self.live.stale { Urgency::FenceRead } else { Urgency::Reconcile };
            self.read_now(cx, urgency);
            self.live.reconcile_due = now + self.policy.reconcile;
        }
        let observing = self.live.observing.is_some_and(|since| now.since(since) < Duration::from_secs(30));
        if self.live.observe_due <= now && !observing {
            self.live.observe_due = now + self.policy.observe;
            let questions = u32::try_from(self.policy.records.len()).unwrap_or(u32::MAX);
            let servers_known =
                cx.shared.zones.get(self.zone.index()).is_some_and(|z| z.info.is_some()) && asks_servers(cx.shared);
            if servers_known
                && self.live.read_at.is_some()
                && !self.is_moving()
                && cx.shared.questions.take(questions, now)
            {
                self.live.observing = Some(now);
                cx.out.push(Action::AskOne { policy: self.idx });
            }
        }
    }

    /// One name server's answers; a difference is read through the API.
    pub(super) fn observed(&mut self, cx: &mut Cx, answers: &[super::event::ServerAnswer]) {
        self.live.observing = None;
        if !self.is_moving() && self.live.differs(&self.policy, answers) {
            self.read_now(cx, Urgency::FenceRead);
        }
    }

    pub(super) fn read(&mut self, cx: &mut Cx, record: u32, result: Result<RecordRead, ApiError>) {
        match self.live.take_read(record, result) {
            Reading::Partial => {}
            Reading::Again => {
                self.live.errors += 1;
                let wait = Duration::from_millis(500 * u64::from(self.live.errors.min(20)));
                self.live.reconcile_due = cx.now.mono + if self.live.error.is_some() { wait } else { Duration::ZERO };
                switch::reading_failed(self, cx.now.mono);
                if let Some(error) = self.live.error.clone() {
                    self.api_trouble(cx, &error);
                }
            }
            Reading::Done => {
                self.live.read_at = Some(cx.now.mono);
                self.live.stale = false;
                self.live.reconcile_due = cx.now.mono + self.policy.reconcile;
                self.api_fine(cx);
                let before = (self.live.drift.clone(), self.fence_trouble_text());
                let seen = self.active();
                self.live.judge(&self.policy, &cx.shared.settings.cluster);
                switch::resolve(self, cx);
                self.adopt_peer(cx, seen);
                self.tell_differences(cx, before);
            }
        }
    }

    fn api_trouble(&mut self, cx: &mut Cx, error: &ApiError) {
        let now = cx.now.mono;
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            kind: error.kind,
            message: String::new(),
            since: now,
            told: false,
        });
        trouble.message.clone_from(&error.message);
        trouble.kind = error.kind;
        if trouble.told || (error.kind.is_transient() && now.since(trouble.since) < TELL_ERRORS_AFTER) {
            return;
        }
        trouble.told = true;
        self.journal(cx, TransitionKind::ApiTrouble, error.message.clone());
        let title = format!("{}: the zone cannot be read", self.policy.id);
        let next = vec!["probing goes on; without the live record no automatic move is made".to_owned()];
        self.tell(
            cx,
            NoticeKind::ApiTrouble,
            Severity::Critical,
            title,
            Words { why: vec![error.message.clone()], next, ..Words::default() },
        );
    }

    fn api_fine(&mut self, cx: &mut Cx) {
        if self.trouble.take().is_some_and(|t| t.told) {
            self.journal(cx, TransitionKind::ApiFine, "the zone can be read again");
            let title = format!("{}: the zone can be read again", self.policy.id);
            self.tell(cx, NoticeKind::ApiFine, Severity::Info, title, Words::default());
        }
    }

    /// Another instance of our cluster wrote the fence (or an earlier run of this one whose disk
    /// is lost): its epoch and brakes are taken over as if they were ours.
    fn adopt_peer(&mut self, cx: &mut Cx, before: Option<TargetIdx>) {
        let newest = self.live.fences.iter().filter_map(Fence::ours).map(|(v, _)| v).max_by_key(|v| v.epoch).cloned();
        let Some(value) = newest.filter(|v| self.seen_attempt.as_deref() != Some(v.attempt.as_str())) else { return };
        if self.write.as_ref().is_some_and(|w| w.intent.id.0 == value.attempt) {
            return;
        }
        let first = self.seen_attempt.is_none();
        self.seen_attempt = Some(value.attempt.clone());
        let is_peer = value.instance != cx.shared.settings.instance;
        let news = value.epoch > self.known_epoch;
        self.known_epoch = self.known_epoch.max(value.epoch);
        self.take_brakes(cx.now, &value, is_peer);
        self.dirty = true;
        if is_peer && news && value.kind.is_automatic_move() && !first {
            let from = before.map(|t| self.name_of(t).to_owned()).unwrap_or_default();
            let text = format!(
                "{}/{} made a {} from {from} to {}, epoch {}",
                value.cluster, value.instance, value.kind, value.to, value.epoch
            );
            self.journal(cx, TransitionKind::PeerMoved, text);
        }
    }

    fn take_brakes(&mut self, now: Now, value: &FenceValue, is_peer: bool) {
        let at = now.mono - now.wall.since(value.written);
        self.brakes.at_least(value.moves, at, now.mono);
        if value.kind.is_automatic_move() {
            let hold_down = self.policy.failover.hold_down;
            let until = at + hold_down;
            self.brakes.hold_down_until = self.brakes.hold_down_until.max((until > now.mono).then_some(until));
            if is_peer {
                self.brakes.peer_until = Some(at + hold_down * 2).filter(|until| *until > now.mono);
                self.brakes.peer_since = Some(at);
            }
        }
        match value.mode {
            FenceMode::Frozen if self.brakes.frozen.is_none() => {
                let by = format!("{}/{}", value.cluster, value.instance);
                self.brakes.frozen =
                    Some(FreezeSnapshot { since: value.written, by, reason: "frozen through the fence".into() });
            }
            FenceMode::Auto | FenceMode::Locked if !self.brakes.freeze_is_news => self.brakes.frozen = None,
            _ => {}
        }
        match value.mode {
            FenceMode::Locked => self.brakes.lock(now),
            FenceMode::Auto => self.brakes.locked = None,
            _ => {}
        }
        match value.kind {
            super::fence::FenceKind::Known(Kind::Ack) => {
                self.brakes.failback_blocked = false;
                self.brakes.unverified = false;
            }
            super::fence::FenceKind::Known(Kind::Rollback) => self.brakes.failback_blocked = true,
            _ => {}
        }
    }

    /// What is wrong with the fences, for "say it once".
    fn fence_trouble_text(&self) -> Option<String> {
        let text = |(name, fence): (&crate::domain::RecordName, &Fence)| match fence {
            Fence::Foreign { value } => {
                Some(format!("{name} belongs to {}/{} (policy {})", value.cluster, value.instance, value.policy))
            }
            Fence::Unusable { why } => Some(format!("the fence of {name} cannot be used: {why}")),
            Fence::Absent if self.known_epoch.0 > 0 => {
                Some(format!("the fence of {name} is gone although epoch {} was written", self.known_epoch))
            }
            _ => None,
        };
        let found: Vec<String> = self.policy.records.iter().zip(&self.live.fences).filter_map(text).collect();
        (!found.is_empty()).then(|| found.join("; "))
    }

    fn tell_differences(&mut self, cx: &mut Cx, before: (Option<String>, Option<String>)) {
        let id = self.policy.id.clone();
        let (old_drift, old_fence) = before;
        if self.live.drift != old_drift {
            match self.live.drift.clone() {
                Some(text) => {
                    self.journal(cx, TransitionKind::Drift, text.clone());
                    let next = vec!["it is not overwritten; automatic failback waits".to_owned()];
                    let undo = Some(format!("failoverd adopt {id} --to TARGET"));
                    let words = Words { why: vec![text], next, undo, moved: None };
                    self.tell(
                        cx,
                        NoticeKind::Drift,
                        Severity::Warning,
                        format!("{id}: somebody else changed the record"),
                        words,
                    );
                }
                None => {
                    self.journal(cx, TransitionKind::DriftGone, "the record agrees with the fence again");
                    self.tell(
                        cx,
                        NoticeKind::DriftGone,
                        Severity::Info,
                        format!("{id}: the record agrees with the fence again"),
                        Words::default(),
                    );
                }
            }
        }
        let fence = self.fence_trouble_text();
        if fence != old_fence {
            match fence {
                Some(text) => {
                    self.journal(cx, TransitionKind::FenceTrouble, text.clone());
                    let next = vec!["no automatic write is made for this policy".to_owned()];
                    self.tell(
                        cx,
                        NoticeKind::FenceTrouble,
                        Severity::Critical,
                        format!("{id}: the fence cannot be used"),
                        Words { why: vec![text], next, ..Words::default() },
                    );
                }
                None => {
                    self.journal(cx, TransitionKind::FenceFine, "the fence can be used again");
                    self.tell(
                        cx,
                        NoticeKind::FenceFine,
                        Severity::Info,
                        format!("{id}: the fence can be used again"),
                        Words::default(),
                    );
                }
            }
        }
    }

    /// The fence must carry the hand and the lock-out we know of, here and everywhere.
    fn keep_fence_mode(&mut self, cx: &mut Cx) {
        let calm = self.write.is_none()
            && !self.live.stale
            && self.write_trouble.as_ref().is_none_or(|t| t.next_try <= cx.now.mono);
        if !calm
            || cx.shared.store_broken.is_some()
            || self.live.fences.is_empty()
            || !self.live.fences.iter().all(|f| f.ours().is_some())
        {
            return;
        }
        let mode = self.brakes.mode();
        let differs = |f: &Fence| {
            f.ours().is_some_and(|(v, _)| v.mode != mode && !matches!(v.mode, FenceMode::Forced | FenceMode::Released))
        };
        let kind = if self.pending_ack {
            Kind::Ack
        } else if self.live.fences.iter().any(differs) {
            match mode {
                FenceMode::Frozen => Kind::Freeze,
                FenceMode::Locked => Kind::Lock,
                _ => Kind::Unfreeze,
            }
        } else {
            return;
        };
        if switch::start(self, cx, kind, None, "the fence is to carry it").is_ok() {
            self.pending_ack = false;
        }
    }

    /// The heart: what is wanted, what is in the way, and what is done about it.
    fn decide(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        let want = wanted(self, now);
        if !matches!(&want, Some(w) if w.kind == Kind::Failback) && self.doubt.is_none() {
            self.proof = None;
        }
        let Some(want) = want else {
            self.refused = None;
            self.would = None;
            return;
        };
        if self.is_moving() {
            return;
        }
        if want.kind == Kind::Failover
            && self.brakes.locked.is_none()
            && flap_budget_is_spent(self, now)
            && self.live.fences.iter().all(|f| f.ours().is_some())
        {
            return self.lock_out(cx);
        }
        let found = refusals(self, cx.shared, now, &want, At::Decision);
        if want.kind == Kind::Failback && self.proof.is_none() {
            if found.is_empty() {
                self.proof = Some(now);
                self.begin_proof(now);
                cx.shared.sight.hurry();
            }
            return;
        }
        match found.into_iter().next() {
            Some(refusal) => {
                if want.kind == Kind::Failback && !matches!(refusal.rule, Rule::StaleEvidence | Rule::NoSight) {
                    self.proof = None;
                }
                self.refuse(cx, &want, refusal);
            }
            None => self.go(cx, want),
        }
    }

    fn lock_out(&mut self, cx: &mut Cx) {
        self.brakes.lock(cx.now);
        let id = self.policy.id.clone();
        let text = format!(
            "{} automatic moves in the last hour, budget {}",
            self.brakes.moves_last_hour(cx.now.mono),
            self.policy.failover.flap_budget
        );
        self.journal(cx, TransitionKind::Locked, format!("locked out: {text}"));
        let next = vec![format!(
            "only a move from a dead target to one healthy for {} is still made, at most every {}",
            crate::domain::time::human(self.policy.failback.soak),
            crate::domain::time::human(self.brakes.locked.map(|l| l.hold_down).unwrap_or_default())
        )];
        let undo = Some(format!("failoverd ack {id}"));
        self.tell(
            cx,
            NoticeKind::Locked,
            Severity::Critical,
            format!("{id}: locked out, it is flapping"),
            Words { why: vec![text], next, undo, moved: None },
        );
    }

    /// Journals a new refusal at once, tells a person when it has stood for a moment.
    fn refuse(&mut self, cx: &mut Cx, want: &Want, refusal: Refusal) {
        let now = cx.now.mono;
        let failover = want.kind == Kind::Failover;
        if self.refused.as_ref().is_none_or(|r| r.rule != refusal.rule || r.failover != failover) {
            self.refused = Some(Refused { rule: refusal.rule, since: now, told: false, failover });
            if failover {
                self.journal(
                    cx,
                    TransitionKind::Refused,
                    format!("{} refused ({}): {}", want.kind, rule_text(refusal.rule), refusal.text),
                );
            }
        }
        let stands = self.evidence_age();
        let Some(refused) = &mut self.refused else { return };
        let person = failover
            && !matches!(
                refusal.rule,
                Rule::Blind | Rule::MoveInFlight | Rule::IntentOpen | Rule::HoldDown | Rule::PeerRecent
            );
        if person && !refused.told && now.since(refused.since) >= stands {
            refused.told = true;
            let id = self.policy.id.clone();
            let active = self.active().map(|a| self.name_of(a).to_owned()).unwrap_or_default();
            let mut why = vec![format!("{}: {}", rule_text(refusal.rule), refusal.text)];
            why.extend(self.all_evidence(cx.now));
            let words = Words { why, next: vec![refusal.change.clone()], undo: None, moved: None };
            self.tell(
                cx,
                NoticeKind::Refused,
                Severity::Critical,
                format!("{id}: {active} is down and the record stays: {}", rule_text(refusal.rule)),
                words,
            );
        }
    }

    fn go(&mut self, cx: &mut Cx, want: Want) {
        let Some(to) = want.to else { return };
        self.refused = None;
        let why = self.active().map(|a| self.evidence(a, cx.now)).unwrap_or_default()
            + &format!("; {}", self.evidence(to, cx.now));
        if cx.shared.mode == Mode::Active {
            if let Err(why) = switch::start(self, cx, want.kind, Some(to), &why) {
                self.refuse(
                    cx,
                    &want,
                    Refusal { rule: Rule::LiveUnknown, text: why, change: "it is read again".into() },
                );
            }
            return;
        }
        if self.would == Some(to) || want.kind == Kind::Adopt {
            return;
        }
        self.would = Some(to);
        cx.shared.moved += 1;
        self.journal(cx, TransitionKind::Decided, format!("would {} to {}: {why}", want.kind, self.name_of(to)));
        let place = |idx: TargetIdx| {
            self.policy.target(idx).map(|t| Place {
                target: t.name.clone(),
                region: t.region.clone(),
                addresses: t.addresses.clone(),
            })
        };
        let moved = place(to).map(|to| Moved {
            kind: want.kind,
            records: self.policy.records.clone(),
            from: self.active().and_then(place),
            to,
            ttl: self.policy.ttl,
            epoch: self.known_epoch.next(),
            clocks: super::notice::Clocks::default(),
        });
        let words = Words {
            why: self.all_evidence(cx.now),
            moved,
            next: vec!["nothing: this process only observes".into()],
            undo: None,
        };
        self.tell(
            cx,
            NoticeKind::Moving,
            Severity::Warning,
            format!("{}: would {} to {}", self.policy.id, want.kind, self.name_of(to)),
            words,
        );
    }

    /// A person's hand.
    pub(super) fn command(&mut self, cx: &mut Cx, command: &Command) -> CommandReply {
        let id = self.policy.id.clone();
        let said = format!("by {}: {}", command.by, command.reason);
        match command.kind {
            CommandKind::Freeze => {
                self.brakes.frozen =
                    Some(FreezeSnapshot { since: cx.now.wall, by: command.by.clone(), reason: command.reason.clone() });
                self.brakes.freeze_is_news = true;
                if self.write.as_ref().is_some_and(|w| w.intent.kind.is_automatic_move()) {
                    switch::drop_unsent(self, cx, "frozen");
                }
                self.journal(cx, TransitionKind::Frozen, format!("frozen {said}"));
                let words = Words {
                    why: vec![said],
                    next: vec!["no automatic write until unfreeze; probing goes on".into()],
                    undo: Some(format!("failoverd unfreeze {id}")),
                    moved: None,
                };
                self.tell(cx, NoticeKind::Frozen, Severity::Warning, format!("{id}: frozen"), words);
                CommandReply::Accepted(format!("{id}: frozen here now; the fence follows"))
            }
            CommandKind::Unfreeze => {
                if self.brakes.frozen.take().is_none() {
                    return CommandReply::Accepted(format!("{id}: was not frozen"));
                }
                self.brakes.freeze_is_news = false;
                self.journal(cx, TransitionKind::Unfrozen, format!("unfrozen {said}"));
                self.tell(
                    cx,
                    NoticeKind::Unfrozen,
                    Severity::Info,
                    format!("{id}: unfrozen"),
                    Words { why: vec![said], ..Words::default() },
                );
                CommandReply::Accepted(format!("{id}: unfrozen"))
            }
            CommandKind::Ack => {
                let nothing = self.brakes.locked.is_none() && !self.brakes.failback_blocked && !self.brakes.unverified;
                self.brakes.locked = None;
                self.brakes.failback_blocked = false;
                self.brakes.unverified = false;
                self.brakes.forget_moves();
                self.pending_ack = cx.shared.mode == Mode::Active;
                self.write_trouble = None;
                self.journal(cx, TransitionKind::Acked, format!("acknowledged {said}"));
                self.tell(
                    cx,
                    NoticeKind::Acked,
                    Severity::Info,
                    format!("{id}: acknowledged"),
                    Words { why: vec![said], ..Words::default() },
                );
                let what =
                    if nothing { "nothing was waiting for it; noted" } else { "automatic moves are possible again" };
                CommandReply::Accepted(format!("{id}: {what}"))
            }
            CommandKind::Adopt { to } => self.adopt(cx, to, &said),
        }
    }

    fn adopt(&mut self, cx: &mut Cx, to: TargetIdx, said: &str) -> CommandReply {
        let id = self.policy.id.clone();
        if cx.shared.mode == Mode::Observe {
            return CommandReply::Refused(format!(
                "{id}: this process only observes; run `failoverd run` without --observe"
            ));
        }
        if let Some(text) = self.live.fences.iter().find_map(|f| match f {
            Fence::Foreign { value } => Some(format!("the record belongs to {}/{}", value.cluster, value.instance)),
            Fence::Unusable { why } => {
                Some(format!("the fence cannot be used: {why}; restore or delete the TXT record first"))
            }
            _ => None,
        }) {
            return CommandReply::Refused(format!("{id}: {text}"));
        }
        if let View::Foreign(what) = &self.live.view
            && what.contains("simple sets only")
        {
            return CommandReply::Refused(format!("{id}: {what}; replace it by hand first"));
        }
        if self.health_of(to).is_none_or(|h| h.state() != Health::Up) {
            let next = "adopt when its probes succeed, or name another target";
            return CommandReply::Refused(format!("{id}: {} is not up; {next}", self.evidence(to, cx.now)));
        }
        if self.live.stale {
            return CommandReply::Refused(format!("{id}: the zone is being read; try again in a moment"));
        }
        match switch::start(self, cx, Kind::Adopt, Some(to), said) {
            Ok(()) => CommandReply::Accepted(format!(
                "{id}: adopting with {}; `failoverd status` shows the proof",
                self.name_of(to)
            )),
            Err(why) => CommandReply::Refused(format!("{id}: {why}")),
        }
    }

    fn next_wake(&self, cx: &Cx) -> Option<Tick> {
        let now = cx.now.mono;
        let verify = cx.shared.settings.verify.timeout;
        let asks = asks_servers(cx.shared);
        let zone_known = cx.shared.zones.get(self.zone.index()).is_some_and(|z| z.info.is_some());
        let mut times: Vec<Option<Tick>> = vec![
            (zone_known && !self.live.is_reading()).then_some(self.live.reconcile_due),
            Some(self.live.observe_due),
            self.write.as_ref().and_then(Writing::wake),
            self.brakes.hold_down_until,
            self.brakes.peer_until,
            self.brakes.locked.map(|l| l.since + l.hold_down),
            self.write_trouble.as_ref().map(|t| t.next_try),
            self.refused.as_ref().filter(|r| !r.told).map(|r| r.since + self.evidence_age()),
        ];
        times.extend(self.settling.iter().map(|s| s.wake(verify, asks)));
        let soak = self.policy.failback.soak;
        times.extend(self.health.iter().map(|h| h.healthy_since().map(|at| at + soak)));
        // What was due and could not be done waits for another event, not for a spin.
        times.into_iter().flatten().filter(|at| *at > now).min()
    }
}

/// The rule's name as reports and notices spell it.
pub(super) fn rule_text(rule: Rule) -> String {
    let debug = format!("{rule:?}");
    let mut text = String::new();
    for (i, c) in debug.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            text.push(' ');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// Regions are compared across policies; a policy's own list is short.
pub(super) fn regions(policy: &Policy) -> impl Iterator<Item = &RegionName> {
    policy.targets.iter().map(|t| &t.region)
}

/// Whether anything is in doubt that a witness round should answer.
pub(super) fn needs_sight(p: &PolicyState, shared: &Shared) -> bool {
    shared.sight.has_witnesses() && (p.doubt.is_some() || p.proof.is_some())
}
