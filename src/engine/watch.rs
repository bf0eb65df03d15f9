//! Keeps one policy's view of its record and fence young, takes over what peers wrote, and names
//! what somebody else changed. Never writes.

use std::time::Duration;

use crate::domain::{Members, NameServers, Now, TargetName, Tick};

use super::action::Action;
use super::event::ServerAnswer;
use super::fence::{Fence, FenceKind, FenceMode, FenceValue};
use super::health::TargetHealth;
use super::intent::Kind;
use super::journal::{FreezeSnapshot, TransitionKind};
use super::live::Reading;
use super::notice::{NoticeKind, Severity};
use super::obstacle;
use super::report::{Obstacle, Rule};
use super::resolve;
use super::state::{Cx, PolicyState, Trouble, Urgency, Words};
use super::verify::{self, asks_servers};
use super::zone::{ApiError, RecordRead};

/// A transient provider error is told after this.
const TELL_ERRORS_AFTER: Duration = Duration::from_secs(60);

impl PolicyState {
    /// Keeps the view of the live record young.
    pub(super) fn watch_record(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        if self.waits_for_the_zone() && self.live.errors == 0 {
            let soon = self.live.read_at.map_or(now, |at| at + self.policy.observe);
            self.live.reconcile_due = self.live.reconcile_due.min(soon.max(now));
        }
        self.rehearse_zone(cx);
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

    /// A failover is refused for something only the zone can change: look oftener.
    fn waits_for_the_zone(&self) -> bool {
        let in_the_zone = |rule: Rule| {
            use Rule::*;
            matches!(rule, Frozen | Forced | Locked | FenceForeign | FenceUnusable | NotAdopted | PeerRecent)
        };
        let detached = self.live.read_at.is_some() && self.live.members().is_none();
        detached || self.refused.as_ref().is_some_and(|r| r.failover && in_the_zone(r.rule))
    }

    /// One name server's answers; a difference is read through the API.
    pub(super) fn observed(&mut self, cx: &mut Cx, answers: &[ServerAnswer]) {
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
                resolve::reading_failed(self, cx.now.mono);
                if let Some(error) = self.live.error.clone() {
                    self.api_trouble(cx, &error);
                }
            }
            Reading::Done => {
                let last_read = self.live.read_at.replace(cx.now.mono);
                self.live.stale = false;
                self.live.reconcile_due = cx.now.mono + self.policy.reconcile;
                self.api_fine(cx);
                let before = (self.live.drift.clone(), self.fence_trouble_text());
                let seen = self.published().cloned();
                self.live.judge(&self.policy, &cx.shared.settings.cluster);
                resolve::resolve(self, cx);
                self.adopt_peer(cx, seen, last_read);
                self.rehearse_zone(cx);
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
    fn adopt_peer(&mut self, cx: &mut Cx, before: Option<Members>, last_read: Option<Tick>) {
        let newest = self.live.fences.iter().filter_map(Fence::ours).map(|(v, _)| v).max_by_key(|v| v.epoch).cloned();
        let Some(value) = newest.filter(|v| self.seen_attempt.as_deref() != Some(v.attempt.as_str())) else { return };
        if self.write.as_ref().is_some_and(|w| w.intent.id.0 == value.attempt) {
            return;
        }
        let first = self.seen_attempt.is_none();
        self.seen_attempt = Some(value.attempt.clone());
        // A race lost to another instance is no refusal by the provider.
        self.precondition_failures = 0;
        let is_peer = value.instance != cx.shared.settings.instance;
        let news = value.epoch > self.known_epoch;
        // A lower epoch is a zone rolled back outside our control: its brakes are older than ours.
        if value.epoch >= self.known_epoch {
            self.take_brakes(cx.now, &value, is_peer, news, last_read.filter(|_| news && !first));
        }
        self.known_epoch = self.known_epoch.max(value.epoch);
        self.dirty = true;
        verify::overtaken(self, cx, &value);
        if is_peer && news && value.kind.is_automatic_move() && !first {
            let from = before.map(|m| self.names_text(&m)).unwrap_or_default();
            let text = format!(
                "{}/{} made a {} from {from} to {}, epoch {}",
                value.cluster, value.instance, value.kind, value.to, value.epoch
            );
            self.journal(cx, TransitionKind::PeerMoved, text);
        }
    }

    /// `after`: written after this, whatever the writer's clock says.
    fn take_brakes(&mut self, now: Now, value: &FenceValue, is_peer: bool, news: bool, after: Option<Tick>) {
        let at = (now.mono - now.wall.since(value.written)).max(after.unwrap_or_default());
        self.brakes.at_least(value.moves, at, now.mono);
        match value.kind {
            FenceKind::Known(Kind::Trim) if news => self.brakes.count_trim(at),
            FenceKind::Known(Kind::Fill) if news => self.brakes.count_fill(at),
            _ => {}
        }
        if matches!(value.kind, FenceKind::Known(kind) if kind.is_counted_move()) {
            let hold_down = self.policy.failover.hold_down;
            let until = at + hold_down;
            self.brakes.hold_down_until = self.brakes.hold_down_until.max((until > now.mono).then_some(until));
            if is_peer {
                self.brakes.peer_until = Some(at + hold_down * 2).filter(|until| *until > now.mono);
                self.brakes.peer_since = Some(at);
                // To reverse it takes failures that began after it; a target down all along must fail anew.
                self.health.iter_mut().for_each(TargetHealth::count_failures_anew);
            }
        }
        let unfreezes = value.kind == FenceKind::Known(Kind::Unfreeze);
        match value.mode {
            FenceMode::Frozen => {
                let by = format!("{}/{}", value.cluster, value.instance);
                let reason = "frozen through the fence".into();
                self.brakes.frozen.get_or_insert(FreezeSnapshot { since: value.written, by, reason });
                self.brakes.freeze_is_news = false;
            }
            // A freeze the fence does not carry yet outlives any write but a person's unfreeze.
            FenceMode::Auto | FenceMode::Locked if !self.brakes.freeze_is_news || (news && unfreezes) => {
                self.brakes.frozen = None;
                self.brakes.freeze_is_news = false;
            }
            _ => {}
        }
        match value.mode {
            FenceMode::Locked => self.brakes.lock(now),
            FenceMode::Auto => self.brakes.locked = None,
            _ => {}
        }
        match value.kind {
            FenceKind::Known(Kind::Ack) => {
                self.brakes.failback_blocked = false;
                self.brakes.unverified = false;
            }
            FenceKind::Known(Kind::Rollback) => self.brakes.failback_blocked = true,
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

    /// Tries every target's batch against the sets as last read; says once what is in the way, and
    /// once when it is gone.
    fn rehearse_zone(&mut self, cx: &mut Cx) {
        let zone = cx.shared.zones.get(self.zone.index()).and_then(|z| z.info.as_ref());
        let Some(zone) = zone.filter(|_| !self.live.rehearsed && self.live.read_at.is_some()) else { return };
        let delegation = cx.shared.settings.verify.name_servers == NameServers::Delegation;
        let found = obstacle::rehearse(&self.policy, &self.live.reads, zone, delegation);
        self.live.rehearsed = true;
        if self.policy.targets.iter().all(|t| found.iter().any(|o| o.blocks.contains(&t.name))) {
            self.live.is_explained();
        }
        let old = std::mem::replace(&mut self.obstacles, found);
        let same =
            |list: &[Obstacle], one: &Obstacle| list.iter().any(|o| (&o.record, &o.text) == (&one.record, &one.text));
        let new: Vec<Obstacle> = self.obstacles.iter().filter(|o| !same(&old, o)).cloned().collect();
        let gone: Vec<Obstacle> = old.into_iter().filter(|o| !same(&self.obstacles, o)).collect();
        let id = self.policy.id.clone();
        if !gone.is_empty() {
            let why: Vec<String> = gone.into_iter().map(|o| o.text).collect();
            why.iter().for_each(|text| self.journal(cx, TransitionKind::ObstacleGone, format!("no longer so: {text}")));
            let title = format!(
                "{id}: {} in the way any more",
                if self.obstacles.is_empty() { "nothing is" } else { "something is not" }
            );
            self.tell(cx, NoticeKind::ObstacleGone, Severity::Info, title, Words { why, ..Words::default() });
        }
        if new.is_empty() {
            return;
        }
        for obstacle in &new {
            self.journal(cx, TransitionKind::Obstacle, obstacle_text(obstacle));
        }
        let blocks = new.iter().any(|o| !o.blocks.is_empty());
        let (severity, title) = if blocks {
            (Severity::Critical, format!("{id}: the zone would refuse a move"))
        } else {
            (Severity::Warning, format!("{id}: a move would miss something"))
        };
        let words = Words {
            why: new.iter().map(obstacle_text).collect(),
            next: new.into_iter().map(|o| o.next).collect(),
            ..Words::default()
        };
        self.tell(cx, NoticeKind::Obstacle, severity, title, words);
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
                    let severity = if self.active().is_some() { Severity::Warning } else { Severity::Critical };
                    self.tell(
                        cx,
                        NoticeKind::Drift,
                        severity,
                        format!("{id}: the record is not as it should be"),
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
}

/// What is in the way, and of what.
fn obstacle_text(obstacle: &Obstacle) -> String {
    if obstacle.blocks.is_empty() {
        return obstacle.text.clone();
    }
    let names: Vec<&str> = obstacle.blocks.iter().map(TargetName::as_str).collect();
    format!("{} (no candidate: {})", obstacle.text, names.join(", "))
}
