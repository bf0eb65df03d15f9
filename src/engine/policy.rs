//! One policy: outcomes, readings and commands go in; doubt, wants and moves come out.
//! Level-triggered: `evaluate` looks at the whole state, whatever woke it.

use std::time::Duration;

use crate::domain::{
    Health, Now, Outcome, Policy, PolicyIdx, RecordName, RegionName, TargetIdx, Tick, UnixMs, ZoneIdx,
};
use crate::seeded::{Bug, seeded};

use super::action::Action;
use super::brake::Brakes;
use super::event::Probed;
use super::fence::fence_name;
use super::guard::{At, flap_budget_is_spent, refusals, rules};
use super::hand::Hand;
use super::health::{Flip, TargetHealth};
use super::intent::{Intent, Kind};
use super::journal::{PolicySnapshot, TransitionKind};
use super::kept::{KnownTarget, fenced, fingerprint};
use super::live::{Live, View};
use super::notice::{Moved, NoticeKind, Severity};
use super::planned::{self, Planned};
use super::rehearse::{self, Rehearsals};
use super::report::{Refusal, Rule};
use super::select::{Want, wanted};
use super::state::{Cx, Doubt, Pending, PolicyState, Refused, Shared, Urgency, Words};
use super::switch::{self, Writing};
use super::verify::{self, ProvenBy, Settling, proven_by};

impl PolicyState {
    pub(super) fn new(
        idx: PolicyIdx,
        zone: ZoneIdx,
        policy: Policy,
        restored: Option<&PolicySnapshot>,
        now: Now,
    ) -> PolicyState {
        let prints: Vec<String> = policy.targets.iter().map(fingerprint).collect();
        let known = policy.targets.iter().zip(&prints);
        let known: Vec<KnownTarget> =
            known.map(|(target, of)| KnownTarget::of(target, of, &policy, restored, now)).collect();
        PolicyState {
            idx,
            zone,
            since: vec![now.wall; policy.targets.len()],
            health: known.iter().map(|k| k.health.clone()).collect(),
            fast: false,
            live: Live::new(now.mono),
            doubt: None,
            proof: None,
            incident: None,
            brakes: restored
                .filter(|_| !seeded(Bug::BrakesForgottenAtRestart))
                .map(|r| Brakes::restore(r, policy.failover.hold_down, now))
                .unwrap_or_default(),
            write: None,
            open_intents: Vec::new(),
            settling: Vec::new(),
            refused: None,
            would: None,
            window_open: policy.failback.window.is_none(),
            last_move: None,
            write_trouble: None,
            trouble: None,
            dirty: false,
            told_down: policy.indices().zip(&known).filter(|(_, k)| k.down.is_some()).map(|(idx, _)| idx).collect(),
            told_failing: vec![None; policy.targets.len()],
            long_down: known.iter().map(|k| k.down).collect(),
            failed_before: known.iter().map(|k| k.failing).collect(),
            prints,
            known_epoch: restored.map(|r| r.epoch).unwrap_or_default(),
            fenced: restored.map(|r| fenced(r, &policy)).unwrap_or_default(),
            seen: restored.and_then(|r| r.seen.clone()),
            planned: None,
            hands: restored.into_iter().flat_map(|r| &r.hands).map(|h| Hand::restored(h, now.mono)).collect(),
            precondition_failures: 0,
            wake: Some(now.mono),
            drained: restored.map(|r| r.drained.clone()).unwrap_or_default(),
            obstacles: restored.map(|r| r.zone.obstacles.clone()).unwrap_or_default(),
            zone_id: restored.and_then(|r| r.zone.id.clone()),
            told_delegation: restored.and_then(|r| r.zone.delegation.clone()),
            rehearsal: restored.and_then(|r| r.rehearsal.clone()),
            rehearsals: Rehearsals::default(),
            left: restored.and_then(|r| r.left.clone()),
            policy,
        }
    }

    /// An intent an earlier run left without an outcome.
    pub(super) fn restore_intent(&mut self, cx: &mut Cx, intent: Intent) {
        if intent.change_id.is_some() {
            // Accepted; a number that was only tried may be a peer's by now, whose move must count.
            self.known_epoch = self.known_epoch.max(intent.epoch);
            Settling::restored(self, cx, intent);
        } else if self.write.is_none() {
            self.write = Some(Writing::restored(self, intent, cx.now.mono));
        } else {
            self.open_intents.push(intent);
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
        if self.live.is_reading() || cx.shared.zones.get(self.zone.index()).is_none_or(|z| z.info.is_none()) {
            return;
        }
        if let Some(why) = self.unreadable_names(cx) {
            self.live.view = View::Unreadable(why);
            self.live.read_at = Some(cx.now.mono);
            return;
        }
        self.live.begin_round(self.policy.records.len(), cx.now.mono);
        for record in (0u32..).take(self.policy.records.len()) {
            cx.ask(urgency, Pending::Read { policy: self.idx, record });
        }
    }

    /// A record whose fence cannot be named in this zone can neither be read nor written.
    fn unreadable_names(&self, cx: &Cx) -> Option<String> {
        let zone = cx.shared.zones.get(self.zone.index())?.info.as_ref()?;
        let bad = |name: &RecordName| fence_name(name, &zone.name).err().map(|e| format!("{name} has no fence: {e}"));
        self.policy.records.iter().find_map(bad)
    }

    /// Counts one outcome. One that is heard long after it was found, as by a process that was
    /// stopped and goes on, tells of a past that nothing may be decided on (invariant I6).
    pub(super) fn outcome(&mut self, cx: &mut Cx, probed: &Probed) {
        let Some(check) = self.policy.target(probed.target).map(|t| &t.check) else { return };
        let Some(health) = self.health.get_mut(probed.target.index()) else { return };
        // Heard so late, a success proves nothing and a failure moves nothing; but it ends what was proven.
        if cx.now.mono.since(probed.ended) >= switch::DECISION_LIFE {
            if matches!(probed.outcome, Outcome::Down(_)) {
                health.lose_proof(probed.started);
                self.dirty = true;
            }
            return;
        }
        let never = health.last().is_none();
        let started = match &self.doubt {
            Some(doubt) if seeded(Bug::WallClock) => doubt.since + cx.now.wall.since(doubt.since_wall),
            _ => probed.started,
        };
        let (counted, _) = health.seen_failing();
        let flip = health.record(check, probed.outcome, started, probed.ended);
        let counts_anew = counted == 0 && health.seen_failing().0 > 0;
        let is_failing = health.is_failing_now();
        let at = probed.target.index();
        let told = self.told_failing.get(at).copied().flatten();
        if told.is_some() != is_failing
            && let Some(region) = self.region_of(probed.target).cloned()
        {
            let before = self.failed_before.get(at).copied().flatten().filter(|_| never);
            let since = before.map_or(cx.now.mono, |at| cx.now.mono - cx.now.wall.since(at));
            match told {
                None => cx.shared.sight.target_failing(&region, since),
                Some(told) => cx.shared.sight.target_well(&region, told),
            }
            if let Some(slot) = self.told_failing.get_mut(at) {
                *slot = is_failing.then_some(since);
            }
            // What fails has no soak, in the next run neither.
            self.dirty = true;
        }
        self.renewal(probed, cx.now.mono);
        self.flipped(cx, probed.target, flip);
        if counts_anew {
            self.begin_doubt(cx, probed.target);
        }
    }

    fn renewal(&mut self, probed: &Probed, now: Tick) {
        let Some(write) = &self.write else { return };
        let is_destination =
            write.plan.as_ref().and_then(|plan| plan.to()).is_some_and(|to| to.contains(probed.target));
        let renews = match write.intent.kind {
            Kind::Failover | Kind::Trim => {
                self.is_published(probed.target)
                    && matches!(probed.outcome, Outcome::Down(_))
                    && self.is_down(probed.target)
            }
            Kind::Failback | Kind::Fill | Kind::Rollback => is_destination && probed.outcome == Outcome::Up,
            _ => false,
        };
        if renews {
            switch::renew(self, now);
        }
    }

    fn flipped(&mut self, cx: &mut Cx, target: TargetIdx, flip: Flip) {
        if flip == Flip::None {
            return;
        }
        let evidence = self.evidence(target, cx.now);
        let is_active = self.is_published(target);
        match flip {
            Flip::None => {}
            Flip::FirstFailure => {
                self.begin_doubt(cx, target);
                self.journal(cx, TransitionKind::Doubt, evidence);
            }
            Flip::Cleared => self.journal(cx, TransitionKind::Calm, evidence),
            Flip::WentUp => {
                self.stamp(target, cx.now.wall);
                if let Some(known) = self.long_down.get_mut(target.index()) {
                    *known = None;
                }
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
                // Down already in the last run: down since then.
                let known = self.long_down.get_mut(target.index()).and_then(Option::take);
                self.stamp(target, known.unwrap_or(cx.now.wall));
                self.journal(cx, TransitionKind::TargetDown, evidence.clone());
                self.told_down.insert(target);
                if is_active || known.is_some() {
                    // Told in an earlier run, or: the move, or the refusal of it, tells people in one message.
                    return;
                }
                let title = format!("{}: a standby, {}, is down", self.policy.id, self.name_of(target));
                let next = vec!["it is no destination until it is up again".to_owned()];
                let words = Words { why: vec![evidence], next, ..Words::default() };
                self.tell(cx, NoticeKind::TargetDown, Severity::Warning, title, words);
            }
        }
    }

    fn stamp(&mut self, target: TargetIdx, at: UnixMs) {
        if let Some(since) = self.since.get_mut(target.index()) {
            *since = at;
        }
    }

    /// The first counted failure of the active target (or, before the record is read, of any). A doubt of a blind
    /// time begins anew with what is counted since.
    fn begin_doubt(&mut self, cx: &mut Cx, target: TargetIdx) {
        self.open_incident(cx);
        if self.doubt.as_ref().is_none_or(|d| d.since <= cx.shared.sight.sees_since)
            && self.published().is_none_or(|m| m.contains(target))
        {
            // One that only a failure of the blind time brought is as old as our sight: what counts begins it anew.
            let counts = self.health_of(target).is_some_and(|h| h.seen_failing().0 > 0);
            let since = if counts { cx.now.mono } else { cx.shared.sight.sees_since };
            self.doubt = Some(Doubt { target, since, since_wall: cx.now.wall });
            // What proved sight and destination for a failback is older than this doubt.
            self.proof = None;
            self.begin_proof(cx.now.mono);
            cx.shared.sight.hurry();
        }
    }

    pub(super) fn begin_proof(&mut self, since: Tick) {
        for health in &mut self.health {
            health.begin_proof(since);
        }
    }

    /// Everything that follows from the state as it is now.
    pub(super) fn evaluate(&mut self, cx: &mut Cx) {
        self.settle_doubt(cx);
        self.watch_record(cx);
        rehearse::tick(self, cx);
        switch::tick(self, cx);
        verify::tick(self, cx);
        self.carry_out_hands(cx);
        planned::tick(self, cx);
        self.decide(cx);
        if cx.shared.mode.writes() {
            self.keep_fence_mode(cx);
        }
        self.pace(cx);
        self.commit(cx);
        self.wake = self.next_wake(cx);
    }

    fn settle_doubt(&mut self, cx: &mut Cx) {
        if let Some(doubt) = &self.doubt {
            let about_active = self.published().is_none_or(|m| m.contains(doubt.target));
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
            || self.planned.is_some()
            || self.is_moving()
            || self.health.iter().any(|h| !h.is_settled())
            || self.active().and_then(|a| self.health_of(a)).is_some_and(|h| h.state() == Health::Down);
        if fast != self.fast {
            self.fast = fast;
            cx.out.push(Action::Pace { policy: self.idx, fast });
        }
    }

    /// The heart: what is wanted, what is in the way, and what is done about it.
    fn decide(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        let want = wanted(self, cx.shared, now);
        if !matches!(&want, Some(w) if is_optional(w.kind)) && self.doubt.is_none() {
            self.proof = None;
        }
        let Some(want) = want else {
            self.refused = None;
            self.would = None;
            return;
        };
        let waits = self.planned.is_some() && !matches!(want.kind, Kind::Failover | Kind::Trim);
        if self.is_moving() || self.hand_goes_first() || waits {
            return;
        }
        if want.kind == Kind::Failover
            && self.brakes.locked.is_none()
            && flap_budget_is_spent(self, now)
            && self.live.fences.iter().all(|f| f.ours().is_some())
        {
            return self.lock_out(cx);
        }
        let found = rules(self, cx.shared, now, &want, At::Decision);
        if is_optional(want.kind) && self.proof.is_none() {
            if found.is_empty() {
                self.proof = Some(now);
                self.begin_proof(now);
                cx.shared.sight.hurry();
            }
            return;
        }
        // Only what would move but for this may stop the others: never one who cannot see.
        if !found.is_empty() && found.iter().all(|rule| *rule == Rule::FleetFrozen) {
            let told = refusals(self, cx.shared, now, &want, At::Decision);
            cx.shared.freeze_all = told.into_iter().next().map(|r| r.text);
        }
        match found.first() {
            Some(rule) => {
                if is_optional(want.kind) && !matches!(rule, Rule::StaleEvidence | Rule::NoSight) {
                    self.proof = None;
                }
                self.refuse(cx, &want, *rule, None);
            }
            None => self.go(cx, want),
        }
    }

    fn lock_out(&mut self, cx: &mut Cx) {
        self.brakes.lock(cx.now);
        self.brakes.lock_is_news = true;
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

    /// Journals a new refusal when it has stood for one fast interval; tells a person when it has
    /// outlived the evidence it rests on. `known`: what it says, when the guard is not who says it.
    fn refuse(&mut self, cx: &mut Cx, want: &Want, rule: Rule, known: Option<Refusal>) {
        let now = cx.now.mono;
        let failover = matches!(want.kind, Kind::Failover | Kind::Trim);
        match &mut self.refused {
            Some(refused) if refused.failover == failover => refused.turn(rule, now),
            _ => self.refused = Some(Refused::new(rule, failover, now)),
        }
        let (moment, patience) = (self.fast_interval(), self.page_after(rule));
        let Some(refused) = &mut self.refused else { return };
        let stood = now.since(refused.since);
        let journals = failover && !refused.journalled && stood >= moment && !waits_for_ourselves(rule);
        let tells = refused.page_at(patience, moment * 2).is_some_and(|at| at <= now);
        if !journals && !tells {
            return;
        }
        refused.journalled |= journals;
        if tells {
            refused.paged();
        }
        let said = || refusals(self, cx.shared, now, want, At::Decision).into_iter().find(|r| r.rule == rule);
        let Some(refusal) = known.or_else(said) else { return };
        if journals {
            let text = format!("{} refused ({}): {}", want.kind, rule_text(rule), refusal.text);
            self.journal(cx, TransitionKind::Refused, text);
        }
        if tells {
            let id = self.policy.id.clone();
            let active = self.active().map(|a| self.name_of(a).to_owned()).unwrap_or_default();
            let mut why = vec![format!("{}: {}", rule_text(rule), refusal.text)];
            why.extend(self.all_evidence(cx.now));
            let words = Words { why, next: vec![refusal.change], undo: None, moved: None };
            let title = format!("{id}: {active} is down and the record stays: {}", rule_text(rule));
            self.tell(cx, NoticeKind::Refused, Severity::Critical, title, words);
        }
    }

    /// A refusal that outlives the evidence it rests on is a person's. Who sees again counts the failures anew,
    /// which takes its time.
    fn page_after(&self, rule: Rule) -> Duration {
        let active = self.active().and_then(|a| self.policy.target(a).zip(self.health_of(a)));
        let recount = active.filter(|(t, h)| rule == Rule::StaleEvidence && !h.is_confirmed(&t.check));
        self.evidence_age() + recount.map(|(t, _)| t.check.confirm).unwrap_or_default()
    }

    fn go(&mut self, cx: &mut Cx, want: Want) {
        let Some(to) = want.to.clone() else { return };
        self.refused = None;
        let fresh = to.iter().filter(|i| !self.is_published(*i));
        let mut concerned: Vec<TargetIdx> =
            self.active().into_iter().filter(|a| !to.contains(*a)).chain(fresh).collect();
        if concerned.is_empty() {
            concerned = to.iter().collect();
        }
        let why = concerned.into_iter().map(|t| self.evidence(t, cx.now)).collect::<Vec<_>>().join("; ");
        if cx.shared.mode.writes() {
            if let Err(why) = switch::start(self, cx, want.kind, Some(to.clone()), &why) {
                let (rule, change) = (Rule::LiveUnknown, "it is read again".into());
                self.refuse(cx, &want, rule, Some(Refusal { rule, text: why, change }));
            }
            return;
        }
        if self.would.as_ref() == Some(&to) || want.kind == Kind::Adopt {
            return;
        }
        self.would = Some(to.clone());
        cx.shared.moved += 1;
        self.journal(cx, TransitionKind::Decided, format!("would {} to {}: {why}", want.kind, self.names_text(&to)));
        let moved = self.place(&to).map(|to| Moved {
            kind: want.kind,
            records: self.policy.records.clone(),
            from: self.published().and_then(|m| self.place(m)),
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
            format!("{}: would {} to {}", self.policy.id, want.kind, self.names_text(&to)),
            words,
        );
    }

    fn next_wake(&self, cx: &Cx) -> Option<Tick> {
        let now = cx.now.mono;
        let verify = cx.shared.settings.verify.timeout;
        let asks = proven_by(self, cx.shared) != ProvenBy::Insync;
        let zone_known = cx.shared.zones.get(self.zone.index()).is_some_and(|z| z.info.is_some());
        let times = [
            (zone_known && !self.live.is_reading()).then_some(self.live.reconcile_due),
            Some(self.live.observe_due),
            self.write.as_ref().and_then(Writing::wake),
            self.hand_wake(),
            self.planned.as_ref().and_then(Planned::wake),
            self.rehearsals.wake(verify),
            self.brakes.hold_down_until,
            cx.shared.evacuation.over_at(&cx.shared.settings.guard),
            self.brakes.peer_until,
            self.brakes.locked.map(|l| l.since + l.hold_down),
            self.write_trouble.as_ref().map(|t| t.next_try),
            self.refused.as_ref().filter(|r| !r.journalled).map(|r| r.since + self.fast_interval()),
            self.refused.as_ref().and_then(|r| r.page_at(self.page_after(r.rule), self.fast_interval() * 2)),
        ];
        let settling = self.settling.iter().map(|s| s.wake(self, verify, asks));
        let soak = self.policy.failback.soak;
        let soaked = self.health.iter().map(|h| h.healthy_since().map(|at| at + soak));
        // What was due and could not be done waits for another event, not for a spin.
        times.into_iter().chain(settling).chain(soaked).flatten().filter(|at| *at > now).min()
    }
}

/// Moves that wait for soak and window and collect proof of their own.
pub(super) fn is_optional(kind: Kind) -> bool {
    matches!(kind, Kind::Failback | Kind::Fill)
}

/// A write of ours is on its way; nobody needs to be told.
fn waits_for_ourselves(rule: Rule) -> bool {
    matches!(rule, Rule::MoveInFlight | Rule::IntentOpen)
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
    shared.sight.has_witnesses() && (p.doubt.is_some() || p.proof.is_some() || p.planned.is_some())
}
