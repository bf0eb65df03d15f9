//! Keeps one policy's view of its record young and names what somebody else changed. Never writes.

use std::time::Duration;

use crate::domain::{NameServers, TargetName};

use super::action::Action;
use super::damaged::FenceSaid;
use super::event::ServerAnswer;
use super::journal::TransitionKind;
use super::live::Reading;
use super::notice::{NoticeKind, Severity};
use super::obstacle;
use super::peer::LastReading;
use super::report::{Obstacle, Rule};
use super::resolve;
use super::state::{Cx, PolicyState, Trouble, Urgency, Words};
use super::verify::{ProvenBy, proven_by};
use super::zone::{ApiError, ApiErrorKind, RecordRead};

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
            let urgent = self.live.read_at.is_none() || self.live.stale || self.live.half_read;
            let urgency = if urgent { Urgency::FenceRead } else { Urgency::Reconcile };
            self.read_now(cx, urgency);
            self.live.reconcile_due = now + self.policy.reconcile;
        }
        let observing = self.live.observing.is_some_and(|since| now.since(since) < Duration::from_secs(30));
        if self.live.observe_due <= now && !observing {
            self.live.observe_due = now + self.policy.observe;
            let questions = u32::try_from(self.policy.records.len()).unwrap_or(u32::MAX);
            let servers_known = cx.shared.zones.get(self.zone.index()).is_some_and(|z| z.info.is_some())
                && proven_by(self, cx.shared) == ProvenBy::Servers;
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
            matches!(rule, Frozen | Forced | Locked | FenceForeign | FenceUnusable | NotAdopted | PeerRecent | Released)
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
                // A zone that is gone is told once, for all policies in it.
                if let Some(error) = self.live.error.clone().filter(|e| e.kind != ApiErrorKind::NoSuchZone) {
                    self.api_trouble(cx, &error);
                }
            }
            Reading::Done => {
                let last_read = self.live.read_at.replace(cx.now.mono);
                self.live.stale = false;
                self.live.half_read = false;
                self.live.reconcile_due = cx.now.mono + self.policy.reconcile;
                self.api_fine(cx);
                let before = (self.live.drift.clone(), self.fence_said());
                let moves = self.brakes.moves_last_hour(cx.now.mono);
                let last = LastReading { members: self.published().cloned(), at: last_read, moves };
                self.live.judge(&self.policy, &cx.shared.settings.cluster);
                resolve::resolve(self, cx);
                self.adopt_peer(cx, last);
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

    /// Tries every target's batch against the sets as last read; says once what is in the way, and
    /// once when it is gone.
    fn rehearse_zone(&mut self, cx: &mut Cx) {
        let zone = cx.shared.zones.get(self.zone.index()).and_then(|z| z.info.as_ref());
        let Some(zone) = zone.filter(|_| !self.live.rehearsed && self.live.read_at.is_some()) else { return };
        let delegation = cx.shared.settings.verify.name_servers == NameServers::Delegation;
        let found = (!self.live.is_as_rehearsed(zone))
            .then(|| obstacle::rehearse(&self.policy, &self.live.reads, zone, delegation));
        if self.zone_id.as_ref() != Some(&zone.id) {
            self.dirty = true;
            self.zone_id = Some(zone.id.clone());
        }
        self.live.note_rehearsal(zone);
        let old = found.map(|found| std::mem::replace(&mut self.obstacles, found));
        if self.policy.targets.iter().all(|t| self.obstacles.iter().any(|o| o.blocks.contains(&t.name))) {
            self.live.is_explained();
        }
        let Some(old) = old else { return };
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

    fn tell_differences(&mut self, cx: &mut Cx, before: (Option<String>, FenceSaid)) {
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
        self.tell_fence(cx, old_fence);
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
