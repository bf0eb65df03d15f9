//! Every reason not to make a wanted automatic move. All are listed, the first decides; an empty
//! list is the permission. Asked when deciding and again just before the batch goes on the wire.

use std::fmt::{self, Display};
use std::time::Duration;

use crate::domain::time::Human;
use crate::domain::{Check, FailbackMode, Health, Members, RecordName, TargetIdx, Tick};
use crate::seeded::{Bug, seeded};

use super::evacuation::{self, Say};
use super::fence::{Fence, FenceKind, FenceMode};
use super::health::TargetHealth;
use super::intent::Kind;
use super::live::View;
use super::own::{adopt_command, cure};
use super::report::{Refusal, Rule};
use super::select::Want;
use super::state::{PolicyState, Shared};
use super::switch::DECISION_LIFE;

/// When the question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Decision,
    /// The move is this policy's own, already recorded and about to be sent.
    Wire,
}

/// The reasons with what they say to people.
pub(super) fn refusals(p: &PolicyState, shared: &Shared, now: Tick, want: &Want, at: At) -> Vec<Refusal> {
    let mut list = List { rules: Vec::new(), told: Some(Vec::new()) };
    find(p, shared, now, want, at, &mut list);
    list.told.unwrap_or_default()
}

/// The same reasons, as rules alone: asked after every event of a doubt, and seldom told.
pub(super) fn rules(p: &PolicyState, shared: &Shared, now: Tick, want: &Want, at: At) -> Vec<Rule> {
    let mut list = List { rules: Vec::new(), told: None };
    find(p, shared, now, want, at, &mut list);
    list.rules
}

fn find(p: &PolicyState, shared: &Shared, now: Tick, want: &Want, at: At, list: &mut List) {
    ground(p, shared, want, at, list);
    hand(p, want, now, list);
    if let Some(why) = &shared.sight.blind {
        list.add(Rule::Blind, why, "it clears by itself when this controller sees again");
    }
    obstacle(p, want, list);
    evidence(p, shared, now, want, at, list);
    brakes(p, shared, now, want, list);
    if matches!(want.kind, Kind::Failback | Kind::Fill | Kind::Repair) {
        optional(p, shared, now, want, list);
    }
    if let Some(trouble) = &p.write_trouble
        && trouble.next_try > now
    {
        let text = format_args!("the provider refused the last write: {}", trouble.message);
        list.add(
            Rule::WriteRefused,
            text,
            format_args!("cure the cause; tried again in {}", Human(trouble.next_try.since(now))),
        );
    }
}

struct List {
    rules: Vec<Rule>,
    /// `None`: nobody asked for the texts.
    told: Option<Vec<Refusal>>,
}

impl List {
    fn add(&mut self, rule: Rule, text: impl Display, change: impl Display) {
        match &mut self.told {
            Some(told) => told.push(Refusal { rule, text: text.to_string(), change: change.to_string() }),
            None => self.rules.push(rule),
        }
    }
}

/// Is there a record, a fence and a free hand to write with?
fn ground(p: &PolicyState, shared: &Shared, want: &Want, at: At, list: &mut List) {
    let id = &p.policy.id;
    if shared.zones.get(p.zone.index()).is_none_or(|z| z.info.is_none()) {
        list.add(
            Rule::ZoneUnresolved,
            "the zone has not been found yet",
            "see the provider's message in `failoverd status`",
        );
    }
    if p.live.stale || p.live.half_read {
        list.add(
            Rule::LiveUnknown,
            "somebody else wrote to the zone; it is being read again",
            "it goes on when it has been read",
        );
    }
    match &p.live.view {
        View::Targets(_) => {}
        View::NotRead => list.add(
            Rule::LiveUnknown,
            "the live record has not been read yet",
            "it is read as soon as the provider answers",
        ),
        View::Unreadable(what) => list.add(Rule::LiveUnknown, what, "correct the record by hand"),
        View::Split(what) => {
            list.add(Rule::LiveSplit, what, format_args!("`failoverd adopt {id} --to TARGET` makes the records agree"))
        }
        View::Foreign(what) if want.kind != Kind::Repair => {
            list.add(Rule::LiveForeign, what, format_args!("`failoverd adopt {id} --to TARGET` replaces it"))
        }
        View::Absent if want.kind != Kind::Repair => list.add(
            Rule::LiveAbsent,
            "the record does not exist",
            format_args!("`failoverd adopt {id} --to TARGET` creates it"),
        ),
        View::Foreign(_) | View::Absent => {}
    }
    let fences = p.policy.records.iter().zip(&p.live.fences);
    for refusal in fences.filter_map(|(name, fence)| fence_refusal(p, shared, want.kind, name, fence)) {
        list.add(refusal.rule, refusal.text, refusal.change);
    }
    if at == At::Decision {
        if let Some(write) = &p.write {
            let text = format_args!("write {} ({}) has no outcome yet", write.intent.id, write.intent.kind);
            let rule = if write.intent.kind.publishes() && !write.is_resolving() {
                Rule::MoveInFlight
            } else {
                Rule::IntentOpen
            };
            list.add(rule, text, "it is resolved first");
        }
        if p.settling.iter().any(|s| s.is_unjudged_move()) {
            list.add(Rule::MoveInFlight, "the last move is being proven", "wait for its verdict");
        }
    }
    if let Some(error) = &shared.store_broken {
        list.add(
            Rule::StoreFailed,
            format_args!("the state could not be written: {error}"),
            "free the disk; probing goes on",
        );
    }
}

/// What the fence of one record says against a write of `kind`.
pub(super) fn fence_refusal(
    p: &PolicyState,
    shared: &Shared,
    kind: Kind,
    name: &RecordName,
    fence: &Fence,
) -> Option<Refusal> {
    let id = &p.policy.id;
    let (rule, text, change) = match fence {
        Fence::Ours { .. } => return None,
        Fence::Absent if p.had_fence(name) => (
            Rule::FenceUnusable,
            format!("the fence of {name} is gone although epoch {} was written", p.known_epoch),
            format!("find out who deleted it, then `{}`", adopt_command(p, true)),
        ),
        Fence::Absent if kind == Kind::Adopt => return None,
        Fence::Absent => (
            Rule::NotAdopted,
            format!("{name} has no fence yet; without one no automatic move is made"),
            format!("`failoverd adopt {id}` on a calm day creates it"),
        ),
        Fence::Foreign { value, .. } => (
            Rule::FenceForeign,
            format!("{name} belongs to {}/{} (policy {})", value.cluster, value.instance, value.policy),
            format!(
                "this controller only watches; let that cluster release it, or `failoverd takeover {id} --from {}`",
                value.cluster
            ),
        ),
        Fence::Released { value, .. } if value.cluster == shared.settings.cluster => (
            Rule::Released,
            format!("{name} was released through {} at {}", value.instance, value.written),
            format!("`{}` takes it up again", adopt_command(p, false)),
        ),
        // Nobody's: ours when it is adopted.
        Fence::Released { .. } if kind == Kind::Adopt => return None,
        Fence::Released { value, .. } => (
            Rule::NotAdopted,
            format!("{name} was released by cluster {} and is nobody's; no automatic move is made", value.cluster),
            format!("`{}` on a calm day makes it ours", adopt_command(p, false)),
        ),
        Fence::Unusable { why, damage } => {
            (Rule::FenceUnusable, format!("the fence of {name} cannot be used: {why}"), cure(p, damage))
        }
    };
    Some(Refusal { rule, text, change })
}

/// A person's hand, here or through the fence.
fn hand(p: &PolicyState, want: &Want, now: Tick, list: &mut List) {
    let id = &p.policy.id;
    if let Some(freeze) = &p.brakes.frozen {
        list.add(
            Rule::Frozen,
            format_args!("frozen by {} since {}: {}", freeze.by, freeze.since, freeze.reason),
            format_args!("`failoverd unfreeze {id}`"),
        );
    }
    if p.brakes.frozen.is_none() && p.live.says(FenceMode::Frozen) && !seeded(Bug::FreezeOfPeerIgnored) {
        // Another may have been frozen anew since: what was lifted here must stand in the fence first.
        list.add(Rule::Frozen, "the fence still says frozen", "the unfreeze is written to it first");
    }
    if p.brakes.forced || p.live.says(FenceMode::Forced) {
        list.add(Rule::Forced, "the record is forced by a person", format_args!("`failoverd unfreeze {id}`"));
    }
    let Some(lock) = &p.brakes.locked else { return };
    let unlock = format_args!("`failoverd ack {id}` after finding the cause");
    if !matches!(want.kind, Kind::Failover | Kind::Trim) {
        return list.add(Rule::Locked, "locked out after too many automatic moves", unlock);
    }
    if let Some(left) = lock.left(now) {
        list.add(
            Rule::Locked,
            format_args!("locked out; the next move away from a dead target is open in {}", Human(left)),
            unlock,
        );
    }
    let soaked = |to| p.health_of(to).and_then(|h| h.healthy_for(now)).is_some_and(|d| d >= p.policy.failback.soak);
    if !want.to.as_ref().is_some_and(|to| to.iter().filter(|i| !p.is_published(*i)).all(soaked)) {
        let text =
            format_args!("locked out; the destination must be healthy for {} first", Human(p.policy.failback.soak));
        list.add(Rule::Locked, text, unlock);
    }
}

/// The zone would refuse the write, as its rehearsal found: what is wanted, or all that is proven.
fn obstacle(p: &PolicyState, want: &Want, list: &mut List) {
    let is_up = |i: &TargetIdx| p.health_of(*i).is_some_and(|h| h.state() == Health::Up);
    let up: Vec<TargetIdx> = p.policy.indices().filter(|i| !p.is_published(*i) && is_up(i)).collect();
    let bad = match &want.to {
        Some(to) => to.iter().find(|i| p.is_blocked(*i)),
        None => up.first().copied().filter(|_| up.iter().all(|i| p.is_blocked(*i))),
    };
    if let Some(o) = bad.and_then(|i| p.obstacle_to(i)) {
        list.add(Rule::Obstacle, &o.text, &o.next);
    }
}

/// Sight and proof, both younger than the doubt.
fn evidence(p: &PolicyState, shared: &Shared, now: Tick, want: &Want, at: At, list: &mut List) {
    if want.kind == Kind::Adopt {
        return;
    }
    let leaving: Vec<TargetIdx> = match (want.kind, &want.to) {
        (Kind::Trim, Some(to)) => {
            p.published().into_iter().flat_map(Members::iter).filter(|i| !to.contains(*i)).collect()
        }
        (Kind::Failover | Kind::Trim, _) => {
            p.published().into_iter().flat_map(Members::iter).filter(|i| p.is_down(*i)).collect()
        }
        _ => Vec::new(),
    };
    if let Some(well) = leaving.iter().find(|i| p.health_of(**i).is_some_and(|h| !h.was_seen_failing())) {
        let text = format_args!("{} answered just now", p.name_of(*well));
        list.add(Rule::StaleEvidence, text, "its next failure repeats the decision; successes end it");
    }
    // Our own trouble repeats no decision: what failed long ago may live by now.
    let failed = leaving.iter().filter_map(|i| p.health_of(*i)?.last_failure()).max().unwrap_or_default();
    if let Some(first) = leaving.first().filter(|_| now.since(failed) >= DECISION_LIFE) {
        let text = format_args!("{} was last seen to fail {} ago", p.name_of(*first), Human(now.since(failed)));
        list.add(Rule::StaleEvidence, text, "its next failure repeats the decision; successes end it");
    }
    let known = || leaving.iter().filter_map(|i| p.policy.target(*i).zip(p.health_of(*i)));
    let confirmed = known().filter(|(target, health)| health.is_confirmed(&target.check)).count();
    // One dead member is reason enough to leave a set, each is one to be dropped from it.
    let enough = if want.kind == Kind::Trim { leaving.len() } else { leaving.len().min(1) };
    let unseen = known().find(|(target, health)| !health.is_confirmed(&target.check));
    if let Some((target, health)) = unseen.filter(|_| confirmed < enough) {
        let (failures, over) = health.seen_failing();
        let Check { fall, confirm, .. } = &target.check;
        let text = format_args!(
            "{} must be confirmed anew since this controller sees: so far {failures} failures (fall {fall}) over {} of {}",
            target.name,
            Human(over),
            Human(*confirm)
        );
        list.add(Rule::StaleEvidence, text, "its next failures repeat the decision; successes end it");
    }
    let since = p.proof.or(p.doubt.as_ref().map(|d| d.since));
    if since.is_none() && !leaving.is_empty() {
        list.add(
            Rule::StaleEvidence,
            "no failure has been seen since the record was last moved",
            "its next failure counts",
        );
    }
    if since.is_none() && at == At::Wire && matches!(want.kind, Kind::Failback | Kind::Fill) {
        let text = "a doubt came and went since the destination was proven";
        list.add(Rule::StaleEvidence, text, "it is proven anew");
    }
    if shared.sight.has_witnesses() && want.kind != Kind::Repair {
        match since {
            Some(since) if shared.sight.proven_since(since) => {}
            Some(since) => list.add(
                Rule::NoSight,
                format_args!("{}, a majority is needed", shared.sight.text_since(since)),
                "a witness round is under way",
            ),
            None => {}
        }
        if let Some(since) = since
            && let Some(region) =
                leaving.iter().filter_map(|i| p.region_of(*i)).find(|r| !shared.sight.proven_for(r, since))
        {
            let text = format_args!("the witnesses tied to {region} have not answered since the doubt began");
            list.add(Rule::NoSight, text, "a witness round is under way");
        }
    }
    let now_well = |idx: TargetIdx, good: fn(&TargetHealth, &Check, Tick) -> bool| {
        p.policy.target(idx).zip(p.health_of(idx)).is_some_and(|(t, h)| good(h, &t.check, now))
    };
    match &want.to {
        None => {
            let others = || p.policy.indices().filter(|i| !p.is_published(*i));
            let text = fmt::from_fn(|f| {
                if others().next().is_none() {
                    return f.write_str("there is no other target");
                }
                others()
                    .enumerate()
                    .try_for_each(|(n, i)| write!(f, "{}{}", if n > 0 { "; " } else { "" }, one_line(p, i, now)))
            });
            let held = |i: &TargetIdx| p.drain_of(*i).is_some_and(|d| d.hard) && now_well(*i, TargetHealth::is_well);
            match others().find(held) {
                Some(held) => list.add(
                    Rule::Drained,
                    format_args!("{text}; {} would do but is drained for good", p.name_of(held)),
                    format_args!("`failoverd undrain {} {}`", p.policy.id, p.name_of(held)),
                ),
                None => list.add(Rule::NoCandidate, text, "the record stays as it is until a standby is proven"),
            }
        }
        Some(to) if want.kind == Kind::Rollback => {
            let bad = to.iter().find(|i| !now_well(*i, TargetHealth::is_well));
            if let Some(bad) = bad.filter(|_| !seeded(Bug::RollbackToTheDead)) {
                list.add(Rule::StaleEvidence, one_line(p, bad, now), "a rollback never goes to a target failing now");
            }
        }
        Some(to) if want.kind != Kind::Repair => {
            // Sticky members are published already; what is new must be proven.
            let unproven = to.iter().find(|i| !p.is_published(*i) && !now_well(*i, TargetHealth::is_proven));
            if let Some(bad) = unproven.filter(|_| since.is_some()) {
                list.add(Rule::StaleEvidence, one_line(p, bad, now), "fresh successes are being collected");
            }
        }
        Some(_) => {}
    }
}

fn one_line(p: &PolicyState, idx: TargetIdx, now: Tick) -> impl Display {
    fmt::from_fn(move |f| {
        let (Some(t), Some(h)) = (p.policy.target(idx), p.health_of(idx)) else { return Ok(()) };
        let state = h.state();
        write!(f, "{} is {state}", t.name)?;
        if state == Health::Up && !h.is_proven(&t.check, now) {
            f.write_str(" but not proven since the doubt began")?;
        }
        match h.last() {
            Some(last) => write!(f, " ({})", last.outcome),
            None => f.write_str(" (not probed yet)"),
        }
    })
}

/// Hold-down, flap budget and the fleet's brakes (ARCHITECTURE.md, decision 8). Trims and fills
/// have hold-downs and budgets of their own: neither ever holds back a failover.
fn brakes(p: &PolicyState, shared: &Shared, now: Tick, want: &Want, list: &mut List) {
    if !want.kind.is_automatic_move() || want.kind == Kind::Rollback {
        return;
    }
    if matches!(want.kind, Kind::Failover | Kind::Trim) {
        peers(p, now, list);
    }
    match want.kind {
        Kind::Trim => trims(p, now, want, list),
        Kind::Fill => fills(p, now, list),
        _ => moves(p, now, list),
    }
    match evacuation::say(p, shared, now, want) {
        Say::Go => {}
        Say::Wait(text) => list.add(Rule::FleetGuard, text, "raise [guard] in failoverd.toml if this is meant"),
        Say::Freeze(text) => list.add(Rule::FleetFrozen, text, "find the cause, then `failoverd unfreeze`"),
    }
}

/// What a peer moved is not reversed at once, nor on failures older than its move.
fn peers(p: &PolicyState, now: Tick, list: &mut List) {
    if let Some(until) = p.brakes.peer_until.filter(|until| *until > now) {
        let text = "another instance moved the record just now; it is not reversed at once";
        list.add(Rule::PeerRecent, text, format_args!("wait {}", Human(until.since(now))));
    }
    let failing = || p.active().and_then(|a| p.health_of(a)).and_then(|h| h.failing_since());
    if let Some(peer) = p.brakes.peer_since
        && failing().is_none_or(|since| since < peer)
    {
        list.add(
            Rule::PeerRecent,
            "the failures seen began before another instance moved the record",
            "failures that began after it count",
        );
    }
}

fn moves(p: &PolicyState, now: Tick, list: &mut List) {
    if let Some(left) = p.brakes.hold_down_left(now) {
        list.add(
            Rule::HoldDown,
            format_args!("{} of the hold-down is left", Human(left)),
            format_args!("wait {}", Human(left)),
        );
    }
    if p.brakes.locked.is_none() && flap_budget_is_spent(p, now) {
        let text = format_args!(
            "{} automatic moves in the last hour, budget {} keeps one for the undo",
            p.brakes.moves_last_hour(now),
            p.policy.failover.flap_budget
        );
        list.add(Rule::FlapBudget, text, "moves older than an hour no longer count");
    }
}

/// A member that fails soon after another was dropped may fail *because* of that.
const COLLAPSE: Duration = Duration::from_secs(10 * 60);

fn trims(p: &PolicyState, now: Tick, want: &Want, list: &mut List) {
    let id = &p.policy.id;
    let Some(last) = p.brakes.trims(now).last() else { return };
    let before = p.published().map_or(0, Members::count);
    let shrinks = want.to.as_ref().is_none_or(|to| to.count() < before);
    let shrunk = p.brakes.shrunk.filter(|at| now.since(*at) < COLLAPSE);
    let refilled = p.brakes.fills(now).last() > shrunk;
    // What failed already before the last trim was not brought down by its load.
    let began_after = |idx| p.health_of(idx).and_then(|h| h.failing_since()) > shrunk;
    let down_after = p.published().into_iter().flat_map(Members::iter).any(|i| began_after(i) && p.is_down(i));
    if let Some(at) = shrunk.filter(|_| shrinks && !refilled && down_after) {
        let text = format_args!(
            "a member was dropped {} ago and now another of the {before} left is down: more likely overload than faults",
            Human(now.since(at))
        );
        let change = format_args!(
            "it holds for {} or until `failoverd ack {id}`; add capacity, or move away with `failoverd switch {id} --to TARGET`",
            Human(COLLAPSE.saturating_sub(now.since(at)))
        );
        return list.add(Rule::Collapse, text, change);
    }
    own_brakes(p, now, last, p.brakes.trims(now).count(), "trims", list);
}

fn fills(p: &PolicyState, now: Tick, list: &mut List) {
    let last = p.brakes.fills(now).last().max(p.brakes.trims(now).last());
    if let Some(last) = last {
        // A fill keeps a trim for its undo: what comes and goes ends outside the set, not dead inside it.
        let spent = p.brakes.fills(now).count().max(p.brakes.trims(now).count());
        own_brakes(p, now, last, spent, "trims and fills", list);
    }
}

fn own_brakes(p: &PolicyState, now: Tick, last: Tick, count: usize, what: &str, list: &mut List) {
    let hold_down = p.policy.failover.hold_down;
    if now.since(last) < hold_down {
        let left = hold_down.saturating_sub(now.since(last));
        list.add(
            Rule::HoldDown,
            format_args!("{} of the hold-down is left", Human(left)),
            format_args!("wait {}", Human(left)),
        );
    }
    let budget = p.policy.failover.flap_budget;
    if count >= usize::try_from(budget).unwrap_or(usize::MAX) {
        let change = format_args!("find why members come and go, then `failoverd ack {}`", p.policy.id);
        list.add(Rule::FlapBudget, format_args!("{count} {what} in the last hour, budget {budget}"), change);
    }
}

/// A forward move needs budget for itself and its undo.
pub(super) fn flap_budget_is_spent(p: &PolicyState, now: Tick) -> bool {
    let wanted = if seeded(Bug::FlapBudgetOffByOne) { 1 } else { 2 };
    p.brakes.moves_last_hour(now).saturating_add(wanted) > p.policy.failover.flap_budget
}

/// What holds back optional moves only.
fn optional(p: &PolicyState, shared: &Shared, now: Tick, want: &Want, list: &mut List) {
    let id = &p.policy.id;
    if matches!(want.kind, Kind::Failback | Kind::Fill) {
        if want.kind == Kind::Failback && p.policy.failback.mode != FailbackMode::Auto {
            list.add(Rule::FailbackOff, "failback is by hand", format_args!("`failoverd failback {id}` moves it back"));
        }
        if let Some(drift) = &p.live.drift {
            list.add(Rule::Drift, drift, "undo the edit, or `failoverd adopt` to accept it");
        }
        let healthy_for = |idx| p.health_of(idx).and_then(|h| h.healthy_for(now)).unwrap_or_default();
        let fresh = want.to.iter().flat_map(|to| to.iter()).filter(|i| !p.is_published(*i));
        let healthy = fresh.map(healthy_for).min().unwrap_or_default();
        if healthy < p.policy.failback.soak && !seeded(Bug::SoakSkipped) {
            let left = p.policy.failback.soak.saturating_sub(healthy);
            list.add(
                Rule::Soak,
                format_args!("healthy for {} of {}", Human(healthy), Human(p.policy.failback.soak)),
                format_args!("wait {}", Human(left)),
            );
        }
        if p.doubt.is_some() {
            list.add(Rule::NotJudged, "the active target is in doubt", "it is judged first");
        }
    }
    if want.kind == Kind::Repair && p.brakes.repairs_last_hour(now) >= p.policy.failover.flap_budget {
        list.add(
            Rule::FlapBudget,
            format_args!(
                "{} repairs in the last hour; somebody else writes this record too",
                p.policy.failover.flap_budget
            ),
            format_args!("find who does, then `failoverd ack {id}`"),
        );
    }
    if !p.window_open && want.kind == Kind::Failback {
        list.add(Rule::WindowClosed, "the failback window is closed", "it opens by its schedule");
    }
    if p.brakes.unverified && want.kind != Kind::Repair && !seeded(Bug::UnverifiedForgotten) {
        list.add(Rule::Unverified, "the last move is unverified", format_args!("`failoverd ack {id}` after looking"));
    }
    if p.brakes.failback_blocked && want.kind == Kind::Failback {
        let written =
            |kind: Kind| p.live.fences.iter().any(|f| f.ours().is_some_and(|(v, _)| v.kind == FenceKind::Known(kind)));
        let after = match () {
            () if written(Kind::Rollback) => "a rollback",
            () if written(Kind::Switch) => "a person's switch to a worse priority",
            () => "a rollback or a person's switch to a worse priority",
        };
        let text = format_args!("automatic failback is off after {after}");
        list.add(
            Rule::AfterRollback,
            text,
            format_args!("`failoverd ack {id}`, or `failoverd failback {id}` to move now"),
        );
    }
    let renamed = p.live.fences.iter().filter_map(Fence::ours).find(|(v, _)| v.policy != p.policy.id);
    if let Some((value, _)) = renamed {
        let text = format_args!("the fence was written for policy {} by {}", value.policy, value.instance);
        list.add(Rule::ConfigSkew, text, format_args!("if it was renamed to {id}: `failoverd ack {id}`"));
    }
    let skew = p
        .live
        .fences
        .iter()
        .filter_map(Fence::ours)
        .find(|(v, _)| v.config != p.policy.config_hash && v.instance != shared.settings.instance);
    if let Some((value, _)) = skew {
        let text = format_args!("{} runs another configuration of this policy (c={})", value.instance, value.config);
        list.add(Rule::ConfigSkew, text, format_args!("give both the same file, then `failoverd ack {id}`"));
    }
}
