//! Moves a person plans: check the destination, let the old targets drain, then the fenced write.
//! Nothing is written unless the check holds to the end; a failover that becomes due wins.

use std::time::Duration;

use crate::domain::time::human;
use crate::domain::{Health, Members, RecordName, TargetIdx, Tick};

use super::event::{CommandReply, SavedPlan};
use super::fleet::Mode;
use super::intent::{Intent, IntentId, IntentOutcome, Kind};
use super::journal::{DrainSnapshot, TransitionKind};
use super::live::View;
use super::notice::{Clocks, NoticeKind, Severity};
use super::own;
use super::report::{MovePhase, MoveReport};
use super::select::{best_set, tier_of};
use super::state::{Cx, PolicyState, Urgency, Words};
use super::switch;
use super::zone::RecordRead;

/// A destination that is not proven within this is refused.
const CHECK: Duration = Duration::from_secs(30);
/// A drained plan that still cannot be written after this is given up.
const WAIT: Duration = Duration::from_secs(30);

/// A person's move before it is written; while it is being written it remembers why.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    from: Members,
    to: Members,
    drain: Duration,
    /// By whom and why.
    said: String,
    purpose: Purpose,
    phase: Phase,
    /// The zone a saved plan was made on: it is read once more, and must be the same.
    zone: Option<Vec<RecordRead>>,
    /// When the zone was asked for the last time before the write.
    looked: Option<Tick>,
    /// A published target was down already when the person asked.
    was_down: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Switch,
    /// Leaving a target that a person drains: failback goes on when the mark is gone.
    Drain,
    /// Taking the record as it is.
    Adopt,
}

#[derive(Clone, Debug)]
enum Phase {
    Checking { since: Tick },
    Draining { since: Tick, until: Tick },
    Writing(IntentId),
}

impl Planned {
    /// When `tick` has something to do.
    pub fn wake(&self) -> Option<Tick> {
        match self.phase {
            Phase::Checking { since } => Some(since + CHECK),
            Phase::Draining { until, .. } => Some(until),
            Phase::Writing(_) => None,
        }
    }

    fn begun(&self) -> Option<Tick> {
        match self.phase {
            Phase::Checking { since } | Phase::Draining { since, .. } => Some(since),
            Phase::Writing(_) => None,
        }
    }

    /// What it is doing, while it is not a write yet.
    pub fn report(&self, p: &PolicyState, now: Tick) -> Option<MoveReport> {
        let (phase, detail) = match self.phase {
            Phase::Checking { since } => {
                let left = human((since + CHECK).since(now));
                (MovePhase::Checking, format!("proving {} afresh; given up in {left}", p.names_text(&self.to)))
            }
            Phase::Draining { until, .. } => {
                let left = human(until.since(now));
                (MovePhase::Draining, format!("written in {left}; {} is to be emptied", p.names_text(&self.from)))
            }
            Phase::Writing(_) => return None,
        };
        Some(self.as_report(p, phase, detail))
    }

    fn as_report(&self, p: &PolicyState, phase: MovePhase, detail: String) -> MoveReport {
        MoveReport {
            kind: if self.purpose == Purpose::Adopt { Kind::Adopt } else { Kind::Switch },
            from: p.policy.names(&self.from),
            to: p.policy.names(&self.to),
            epoch: p.known_epoch.next(),
            phase,
            clocks: Clocks::default(),
            detail,
        }
    }
}

pub(super) fn switch_to(p: &mut PolicyState, cx: &mut Cx, to: &Members, drain: Duration, said: &str) -> CommandReply {
    let id = p.policy.id.clone();
    if p.planned.as_ref().is_some_and(|plan| plan.wake().is_some()) && p.published() == Some(to) {
        give_up(p, cx, &format!("called off {said}"));
        return CommandReply::Accepted(format!("{id}: the switch is called off; nothing was written"));
    }
    reply(p, |p| plan(p, cx, to, drain, said, Purpose::Switch, None))
}

fn reply(p: &mut PolicyState, f: impl FnOnce(&mut PolicyState) -> Result<String, String>) -> CommandReply {
    let id = p.policy.id.clone();
    match f(p) {
        Ok(text) => CommandReply::Accepted(format!("{id}: {text}")),
        Err(text) => CommandReply::Refused(format!("{id}: {text}")),
    }
}

/// Begins the check, or says why not.
fn plan(
    p: &mut PolicyState,
    cx: &mut Cx,
    to: &Members,
    drain: Duration,
    said: &str,
    purpose: Purpose,
    zone: Option<Vec<RecordRead>>,
) -> Result<String, String> {
    let id = p.policy.id.clone();
    let from = may_move(p, cx)?;
    if from == *to && zone.is_none() {
        return Ok(format!("nothing to do; it publishes {} already", p.names_text(to)));
    }
    may_go_to(p, cx, &from, to)?;
    let now = cx.now.mono;
    let was_down = from.iter().any(|i| p.health_of(i).is_some_and(|h| h.state() == Health::Down));
    let phase = Phase::Checking { since: now };
    let worse = purpose == Purpose::Switch && tier_of(p, to) > tier_of(p, &from);
    let (old, new) = (p.names_text(&from), p.names_text(to));
    let said = said.to_owned();
    p.planned = Some(Planned { from, to: to.clone(), drain, said, purpose, phase, zone, looked: None, was_down });
    p.begin_proof(now);
    cx.shared.sight.hurry();
    let drained =
        if drain > Duration::ZERO { format!(", then {} to drain {old}", human(drain)) } else { String::new() };
    let held = if worse {
        format!("; automatic failback is then off until `failoverd ack {id}` or `failoverd failback {id}`")
    } else {
        String::new()
    };
    Ok(format!("switching from {old} to {new}: fresh proof of {new} first{drained}; `failoverd status` shows it{held}"))
}

/// What is published, when nothing forbids any move by hand.
fn may_move(p: &PolicyState, cx: &Cx) -> Result<Members, String> {
    let id = &p.policy.id;
    if p.planned.is_some() {
        return Err("another switch is under way; `failoverd status` shows it".into());
    }
    if p.is_moving() {
        return Err("a move is under way; `failoverd status` shows it; try again when it is over".into());
    }
    own::is_read(p)?;
    own::may_write(p)?;
    let View::Targets(from) = &p.live.view else {
        let what = p.live.drift.clone().unwrap_or_else(|| "the record is not readable".into());
        return Err(format!("{what}; `failoverd adopt {id} --to TARGET` brings it in line"));
    };
    if let Some(why) = &cx.shared.sight.blind {
        return Err(format!(
            "this controller may be blind ({why}), so nothing can be proven; `failoverd force {id} --to TARGET` asks no proof"
        ));
    }
    if let Some(error) = &cx.shared.store_broken {
        return Err(format!(
            "the state cannot be written ({error}); free the disk, or `failoverd force {id} --to TARGET`"
        ));
    }
    Ok(from.clone())
}

fn may_go_to(p: &PolicyState, cx: &Cx, from: &Members, to: &Members) -> Result<(), String> {
    let id = &p.policy.id;
    own::fits(p, to)?;
    for target in to.iter() {
        let name = p.name_of(target);
        if let Some(o) = p.obstacle_to(target) {
            return Err(format!("the zone would refuse {name}: {}; {}", o.text, o.next));
        }
        if let Some(drain) = p.drain_of(target).filter(|d| d.hard) {
            return Err(format!("{name} is drained for good by {}; `failoverd undrain {id} {name}` first", drain.by));
        }
        if !from.contains(target) && p.health_of(target).is_none_or(|h| h.state() == Health::Down) {
            let evidence = p.evidence(target, cx.now);
            return Err(format!(
                "{evidence}; switch when it is up, or `failoverd force {id} --to {name}` asks no health"
            ));
        }
    }
    Ok(())
}

pub(super) fn failback(p: &mut PolicyState, cx: &mut Cx, said: &str) -> CommandReply {
    let Some(tier) = p.published().map(|m| tier_of(p, m)) else {
        return reply(p, |p| may_move(p, cx).map(|_| String::new()));
    };
    let best = p.policy.targets.iter().map(|t| t.priority).min();
    reply(p, |p| match best_set(p, Some(tier)) {
        Some(to) => plan(p, cx, &to, Duration::ZERO, said, Purpose::Switch, None),
        None if best == Some(tier) => Ok("nothing to do; it publishes targets of the best priority already".into()),
        None => {
            let better = p.policy.indices().filter(|i| p.policy.target(*i).is_some_and(|t| t.priority < tier));
            let text: Vec<String> = better
                .map(|i| match p.drain_of(i) {
                    Some(d) => format!("{} is drained by {}", p.name_of(i), d.by),
                    None => p.evidence(i, cx.now),
                })
                .collect();
            Err(format!("nothing better is up: {}; fail back when one is", text.join("; ")))
        }
    })
}

pub(super) fn drain(
    p: &mut PolicyState,
    cx: &mut Cx,
    target: TargetIdx,
    hard: bool,
    by: &str,
    reason: &str,
) -> CommandReply {
    let Some(t) = p.policy.target(target) else {
        return reply(p, |_| Err("no such target; `failoverd status` lists them".into()));
    };
    let (id, name) = (p.policy.id.clone(), t.name.clone());
    let old = p.drained.clone();
    let mark = DrainSnapshot { target: name.clone(), hard, since: cx.now.wall, by: by.into(), reason: reason.into() };
    p.drained.retain(|d| d.target != name);
    p.drained.push(mark);
    let mut how = "it is the last choice as a destination".to_owned();
    if hard {
        how = "it is no destination at all".to_owned();
    }
    let may_be_live = p.published().is_none() && !matches!(p.live.view, View::Absent);
    if may_be_live {
        p.drained = old;
        let text = format!("what the record publishes is not known now, so {name} may be live; nothing was marked");
        return CommandReply::Refused(format!("{id}: {text}; `failoverd explain {id}` says why"));
    }
    if p.published().is_some_and(|m| m.contains(target)) {
        let said = format!("by {by}: {reason}");
        let begun = match without(p, target) {
            Some(to) => plan(p, cx, &to, Duration::ZERO, &said, Purpose::Drain, None),
            None => Err(format!("{name} is published and nothing else is up to take its place; nothing was marked")),
        };
        match begun {
            Ok(text) => how = text,
            Err(text) => {
                p.drained = old;
                return CommandReply::Refused(format!("{id}: {text}"));
            }
        }
    }
    let text = format!("{name} is drained by {by}: {reason}");
    p.journal(cx, TransitionKind::Drained, text.clone());
    let words = Words {
        why: vec![text],
        next: vec![how.clone()],
        undo: Some(format!("failoverd undrain {id} {name}")),
        moved: None,
    };
    p.tell(cx, NoticeKind::Drained, Severity::Info, format!("{id}: {name} is drained"), words);
    CommandReply::Accepted(format!("{id}: {name} is drained; {how}"))
}

/// What to publish without `target`, which is marked already: the rest of the set while enough of
/// it is left, else the best other set.
fn without(p: &PolicyState, target: TargetIdx) -> Option<Members> {
    let published = p.published()?;
    let up = |i: &TargetIdx| p.health_of(*i).is_some_and(|h| h.state() == Health::Up);
    let rest: Vec<TargetIdx> = published.iter().filter(|i| *i != target).filter(up).collect();
    if !rest.is_empty() && rest.len() >= usize::try_from(p.policy.min_active).unwrap_or(usize::MAX) {
        return Members::new(rest);
    }
    best_set(p, None)
}

pub(super) fn undrain(p: &mut PolicyState, cx: &mut Cx, target: TargetIdx, said: &str) -> CommandReply {
    let id = p.policy.id.clone();
    let name = p.name_of(target).to_owned();
    if p.drain_of(target).is_none() {
        return CommandReply::Accepted(format!("{id}: {name} was not drained"));
    }
    p.drained.retain(|d| d.target.as_str() != name);
    p.journal(cx, TransitionKind::Undrained, format!("{name} is drained no more, {said}"));
    let words = Words { why: vec![said.to_owned()], ..Words::default() };
    p.tell(cx, NoticeKind::Undrained, Severity::Info, format!("{id}: {name} is drained no more"), words);
    CommandReply::Accepted(format!("{id}: {name} is drained no more"))
}

/// Carries out a plan a person saved, unless something changed since.
pub(super) fn apply(p: &mut PolicyState, cx: &mut Cx, saved: &SavedPlan, said: &str) -> CommandReply {
    let again = format!("`failoverd plan {} --out FILE` again", p.policy.id);
    if saved.config != p.policy.config_hash {
        let text = format!("the configuration changed since the plan was made; {again}");
        return reply(p, |_| Err(text));
    }
    let not_up = |i: &TargetIdx| p.health_of(*i).is_none_or(|h| h.state() != Health::Up);
    if let Some(bad) = saved.to.iter().find(not_up) {
        let text = format!("{}, which the plan would publish; {again}", p.evidence(bad, cx.now));
        return reply(p, |_| Err(text));
    }
    let zone = Some(saved.zone.clone());
    // What is being read now was asked for before the person spoke.
    p.live.taint();
    if saved.kind == Kind::Adopt {
        return reply(p, |p| plan_adoption(p, cx, &saved.to, said, zone));
    }
    reply(p, |p| plan(p, cx, &saved.to, Duration::ZERO, said, Purpose::Switch, zone))
}

/// A record whose sets or fence are no longer those of `zone`, as last read.
fn moved(p: &PolicyState, zone: &[RecordRead]) -> Option<String> {
    let same = |(i, _): &(usize, &RecordName)| {
        p.live.reads.get(*i).zip(zone.get(*i)).is_some_and(|(live, then)| live.is_same(then))
    };
    p.policy.records.iter().enumerate().find(|r| !same(r)).map(|(_, name)| name.to_string())
}

/// Begins the check before a record is adopted as a saved plan has it.
fn plan_adoption(
    p: &mut PolicyState,
    cx: &mut Cx,
    to: &Members,
    said: &str,
    zone: Option<Vec<RecordRead>>,
) -> Result<String, String> {
    if p.planned.is_some() || p.is_moving() || p.write.is_some() {
        return Err("another write is under way; `failoverd status` shows it; try again when it is over".into());
    }
    own::is_read(p)?;
    own::fits(p, to)?;
    let from = p.published().cloned().ok_or("the record publishes no target of ours any more")?;
    let names = p.names_text(to);
    p.planned = Some(Planned {
        from,
        to: to.clone(),
        drain: Duration::ZERO,
        said: said.to_owned(),
        purpose: Purpose::Adopt,
        phase: Phase::Checking { since: cx.now.mono },
        zone,
        looked: None,
        was_down: false,
    });
    p.begin_proof(cx.now.mono);
    cx.shared.sight.hurry();
    Ok(format!("adopting with {names}: the zone is read once more first; `failoverd status` shows the proof"))
}

/// Time passed, or something was seen: check, drain, write, or give up.
pub(super) fn tick(p: &mut PolicyState, cx: &mut Cx) {
    let Some(plan) = p.planned.clone() else { return };
    let now = cx.now.mono;
    let step = match &plan.phase {
        Phase::Writing(id) => {
            if p.write.as_ref().is_none_or(|w| w.intent.id != *id) {
                p.planned = None;
            }
            return;
        }
        _ if overtaken(p, cx, &plan).is_some() => Err(overtaken(p, cx, &plan).unwrap_or_default()),
        // Somebody may have edited the record since it was last read.
        Phase::Checking { since } if plan.zone.is_some() && !is_read_since(p, *since) => {
            if now.since(*since) < CHECK {
                p.read_now(cx, Urgency::FenceRead);
                Ok(None)
            } else {
                Err(format!("the zone could not be read within {}", human(CHECK)))
            }
        }
        Phase::Checking { since } => match is_proven(p, cx, &plan, *since) {
            Ok(()) if now.since(*since) >= CHECK + WAIT => {
                Err("another write of this policy has no outcome yet".into())
            }
            Ok(()) => Ok(Some(*since)),
            Err(why) if now.since(*since) >= CHECK => Err(format!("not proven within {}: {why}", human(CHECK))),
            Err(_) => Ok(None),
        },
        Phase::Draining { since, until } => match is_proven(p, cx, &plan, *since) {
            Err(why) => Err(format!("while draining: {why}")),
            // Nobody else leaves a dead target here, and it has nobody left to be drained of.
            Ok(()) if cx.shared.mode == Mode::Attended && all_down(p, &plan.from) => Ok(Some(*since)),
            Ok(()) if now < *until => Ok(None),
            Ok(()) if now.since(*until) >= WAIT => Err("another write of this policy has no outcome yet".into()),
            Ok(()) => Ok(Some(*since)),
        },
    };
    match step {
        Err(why) => give_up(p, cx, &why),
        Ok(None) => {}
        Ok(Some(since)) if matches!(plan.phase, Phase::Checking { .. }) && plan.drain > Duration::ZERO => {
            begin_drain(p, cx, &plan, since);
        }
        // A fence-only write ends soon.
        Ok(Some(_)) if p.write.is_some() || p.live.stale => {}
        Ok(Some(_)) if plan.zone.is_some() && !plan.looked.is_some_and(|at| is_read_since(p, at)) => look(p, cx),
        Ok(Some(_)) if plan.purpose == Purpose::Adopt => adopt(p, cx, &plan),
        Ok(Some(_)) => write(p, cx, &plan),
    }
}

fn is_read_since(p: &PolicyState, since: Tick) -> bool {
    !p.live.stale && p.live.read_at.is_some_and(|at| at > since)
}

fn all_down(p: &PolicyState, members: &Members) -> bool {
    members.iter().all(|i| p.health_of(i).is_some_and(|h| h.state() == Health::Down))
}

/// The proof may have taken long: what a saved plan stands on is read again just before the write.
fn look(p: &mut PolicyState, cx: &mut Cx) {
    let now = cx.now.mono;
    let Some(plan) = p.planned.as_mut() else { return };
    if plan.looked.is_none() {
        plan.looked = Some(now);
        p.live.taint();
    }
    p.read_now(cx, Urgency::FenceRead);
}

fn adopt(p: &mut PolicyState, cx: &mut Cx, plan: &Planned) {
    match own::adopt(p, cx, &plan.to, false, &plan.said) {
        CommandReply::Accepted(_) => p.planned = None,
        CommandReply::Refused(why) => give_up(p, cx, &why),
    }
}

fn begin_drain(p: &mut PolicyState, cx: &mut Cx, plan: &Planned, since: Tick) {
    let id = p.policy.id.clone();
    let (old, new) = (p.names_text(&plan.from), p.names_text(&plan.to));
    let at = cx.now.wall + plan.drain;
    let text = format!("{new} is proven; {old} drains for {}, {}", human(plan.drain), plan.said);
    p.journal(cx, TransitionKind::Draining, text.clone());
    let words = Words {
        why: vec![text, format!("the record is written at {at}")],
        next: vec![format!("empty {old} now; a failover that becomes due goes first")],
        undo: p.policy.names(&plan.from).first().map(|from| format!("failoverd switch {id} --to {from}")),
        moved: None,
    };
    let title = format!("{id}: switch from {old} to {new} in {}", human(plan.drain));
    p.tell(cx, NoticeKind::Draining, Severity::Info, title, words);
    if let Some(planned) = &mut p.planned {
        planned.phase = Phase::Draining { since, until: cx.now.mono + plan.drain };
    }
}

fn write(p: &mut PolicyState, cx: &mut Cx, plan: &Planned) {
    match switch::start(p, cx, Kind::Switch, Some(plan.to.clone()), &plan.said) {
        Ok(()) => {
            if let (Some(write), Some(planned)) = (&mut p.write, &mut p.planned) {
                write.set_by_hand();
                planned.phase = Phase::Writing(write.intent.id.clone());
            }
        }
        Err(why) => give_up(p, cx, &why),
    }
}

/// Somebody or something else decided meanwhile.
fn overtaken(p: &PolicyState, cx: &Cx, plan: &Planned) -> Option<String> {
    if p.hand_goes_first() {
        return Some("another hand goes first".into());
    }
    if let Some(write) = p.write.as_ref().filter(|w| w.intent.kind.publishes()) {
        return Some(format!("a {} goes first", write.intent.kind));
    }
    let read = plan.begun().is_some_and(|since| is_read_since(p, since));
    if let Some(name) = plan.zone.as_ref().filter(|_| read).and_then(|zone| moved(p, zone)) {
        return Some(format!("{name} changed in the zone since the plan was made"));
    }
    let is_ours = plan.purpose == Purpose::Adopt || p.live.fences.iter().all(|f| f.ours().is_some());
    if p.published() != Some(&plan.from) || !is_ours {
        return Some("the record or its fence changed meanwhile".into());
    }
    let down = |i: &TargetIdx| p.health_of(*i).is_some_and(|h| h.state() == Health::Down);
    let dead = plan.from.iter().find(down).filter(|_| !plan.was_down && cx.shared.mode != Mode::Attended)?;
    Some(format!("{} went down: the automatic failover decides", p.name_of(dead)))
}

/// The destination is proven since the check began, and we saw.
fn is_proven(p: &PolicyState, cx: &Cx, plan: &Planned, since: Tick) -> Result<(), String> {
    let sight = &cx.shared.sight;
    if let Some(why) = &sight.blind {
        return Err(format!("this controller may be blind: {why}"));
    }
    if sight.has_witnesses() && !sight.proven_since(since) {
        return Err(format!("{}, a majority is needed", sight.text_since(since)));
    }
    let good = |i: &TargetIdx| {
        p.policy.target(*i).zip(p.health_of(*i)).is_some_and(|(t, h)| {
            // Proven once, it only has to stay well: a doubt about the old target begins another proof.
            let proven = plan.from.contains(*i) || matches!(plan.phase, Phase::Draining { .. });
            if proven { h.is_well(&t.check, cx.now.mono) } else { h.is_proven(&t.check, cx.now.mono) }
        })
    };
    if let Some(bad) = plan.to.iter().find(|i| !good(i)) {
        return Err(p.evidence(bad, cx.now));
    }
    if let Some(bad) = plan.to.iter().find(|i| p.is_blocked(*i)) {
        return Err(format!("the zone would refuse {}", p.name_of(bad)));
    }
    Ok(())
}

/// The process ends: a move that is not a write yet is called off, and told.
pub(super) fn stopping(p: &mut PolicyState, cx: &mut Cx) {
    if p.planned.as_ref().is_some_and(|plan| plan.begun().is_some()) {
        give_up(p, cx, "the process that would have written it was stopped");
    }
}

/// Nothing was written: journalled, told, and shown as the last move.
fn give_up(p: &mut PolicyState, cx: &mut Cx, why: &str) {
    let Some(plan) = p.planned.take() else { return };
    let id = p.policy.id.clone();
    let new = p.names_text(&plan.to);
    let what = if plan.purpose == Purpose::Adopt { "adoption of" } else { "switch to" };
    p.journal(cx, TransitionKind::Dropped, format!("the {what} {new}, {}, was not made: {why}", plan.said));
    p.last_move = Some(plan.as_report(p, MovePhase::NotApplied, why.to_owned()));
    let mut next = vec!["nothing was written".to_owned()];
    if plan.zone.is_some() {
        next.push(format!("to try again: failoverd plan {id} --out FILE"));
    }
    if plan.purpose == Purpose::Drain {
        next.push("the target stays marked as drained; drain it again, or undrain it".to_owned());
    }
    let words = Words { why: vec![why.to_owned()], next, ..Words::default() };
    p.tell(cx, NoticeKind::Refused, Severity::Warning, format!("{id}: the {what} {new} was not made"), words);
}

/// A switchover stands in the zone: it is not undone at once, nor by a failback to better priority.
pub(super) fn written(p: &mut PolicyState, cx: &Cx, from: Option<&Members>, to: Option<&Members>) {
    p.brakes.hold_down_until = Some(cx.now.mono + p.policy.failover.hold_down);
    p.brakes.peer_until = None;
    p.brakes.peer_since = None;
    // Of an earlier run's write nothing else tells for what it was: who left a drained target drained it.
    let drained = || from.is_some_and(|from| from.iter().any(|i| p.drain_of(i).is_some()));
    let drains = p.planned.as_ref().map_or_else(drained, |plan| plan.purpose == Purpose::Drain);
    p.planned = None;
    if let Some(to) = to.filter(|_| !drains) {
        p.turned(from.map(|m| tier_of(p, m)), to);
    }
}

/// A person's write ended without standing in the zone.
pub(super) fn not_written(p: &mut PolicyState, cx: &mut Cx, intent: &Intent) {
    let mine = |plan: &Planned| matches!(&plan.phase, Phase::Writing(id) if *id == intent.id);
    if !p.planned.as_ref().is_some_and(mine) {
        return;
    }
    give_up(p, cx, &why_not(intent));
}

/// Why a write does not stand in the zone.
pub(super) fn why_not(intent: &Intent) -> String {
    match &intent.outcome {
        Some(IntentOutcome::NotSent { why }) => why.clone(),
        Some(IntentOutcome::Refused { message }) => format!("the provider refused it: {message}"),
        Some(IntentOutcome::Lost { to }) => format!("another write ({to}) came first"),
        _ => "its reply was lost, and it was made sure that it can never apply".into(),
    }
}
