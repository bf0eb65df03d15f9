//! The verdict on a move, what it says to people, and the rollback a contradiction may bring.

use crate::domain::Outcome;
use crate::domain::time::human;
use crate::seeded::{Bug, seeded};

use super::super::intent::Kind;
use super::super::journal::TransitionKind;
use super::super::notice::{NoticeKind, Severity};
use super::super::state::{Cx, PolicyState, Urgency, Words};
use super::super::switch::{self, Writing};
use super::{Blame, FRESH_READING, MemberProbe, Proof, ProvenBy, Settling, Sync, Verdict, proven_by, undo};

pub(super) fn judge(s: &mut Settling, p: &mut PolicyState, cx: &mut Cx) {
    let now = cx.now.mono;
    let timeout = cx.shared.settings.verify.timeout;
    let by = proven_by(p, cx.shared);
    let only_sync = by == ProvenBy::Insync;
    let Some(proof) = &s.proof else { return };
    let in_sync = matches!(s.sync, Sync::Insync(_));
    let sync_over = in_sync || matches!(s.sync, Sync::Unknown(_));
    let grace_over = s.is_grace_over(p, now);
    let sync_text = match &s.sync {
        Sync::Insync(_) => "INSYNC".to_owned(),
        Sync::Unknown(why) => format!("sync unknown ({why})"),
        Sync::Polling { .. } => "not INSYNC".to_owned(),
    };
    let verdict = if only_sync && in_sync {
        Some(Verdict::Proven("INSYNC only; no name server is configured to be asked".into()))
    } else if by == ProvenBy::Reading && sync_over && proof.shown.is_some() && proof.all_up() {
        let probed: Vec<String> = proof.probes.iter().map(|probe| probed_text(p, probe)).collect();
        Some(Verdict::Proven(format!("{sync_text}; read back from the zone; probe of {} up", probed.join(", "))))
    } else if by == ProvenBy::Servers && sync_over && proof.every_server.is_some() && proof.all_up() {
        let probed: Vec<String> = proof.probes.iter().map(|probe| probed_text(p, probe)).collect();
        let servers = if proof.servers == 1 {
            "the one authoritative server".to_owned()
        } else {
            format!("all {} authoritative servers", proof.servers)
        };
        Some(Verdict::Proven(format!("{sync_text}; {servers} as seen from here; probe of {} up", probed.join(", "))))
    } else if let Some((blame, text)) = contradiction(proof, p, cx, grace_over) {
        s.blamed_by = Some(blame);
        // A peer's newer write would look the same: what stands is read before anything is blamed.
        let read_since = p.live.read_at.is_some_and(|at| at > s.accepted && now.since(at) < FRESH_READING);
        if !read_since && now.since(s.accepted) < timeout {
            return p.read_now(cx, Urgency::FenceRead);
        }
        // What another hand wrote since does not speak against our move: there is nothing of it to roll back.
        let edited = by == ProvenBy::Servers && p.published() != Some(&proof.to);
        Some(match read_since {
            true if edited => Verdict::Unverifiable(format!("{text}: the record was edited meanwhile")),
            true => Verdict::Contradicted(text),
            false => Verdict::Unverifiable(text),
        })
    } else if now.since(s.accepted) >= timeout {
        let silent: Vec<String> = proof.silent.iter().map(ToString::to_string).collect();
        let why = match (silent.is_empty(), proof.servers) {
            (false, _) => format!("no usable answer from {}", silent.join(", ")),
            _ if by == ProvenBy::Reading && proof.shown.is_none() => match &proof.differs {
                Some(what) => format!("the zone was read back and publishes {what}"),
                None => "the zone could not be read back".into(),
            },
            (true, 0) if by == ProvenBy::Servers => "no authoritative server could be asked".into(),
            _ if !sync_over => format!("{sync_text} within {}", human(timeout)),
            _ => s.progress(proof),
        };
        Some(if seeded(Bug::UnverifiedAsProven) { Verdict::Proven(why) } else { Verdict::Unverifiable(why) })
    } else {
        None
    };
    if let Some(verdict) = verdict {
        s.clocks.verdict = Some(now.since(s.accepted));
        conclude(s, p, cx, verdict);
    }
}

/// The address probed, or the target whose name was resolved.
fn probed_text(p: &PolicyState, probe: &MemberProbe) -> String {
    probe.address.map_or_else(|| p.name_of(probe.target).to_owned(), |a| a.to_string())
}

/// What speaks against the move, while we see.
fn contradiction(proof: &Proof, p: &PolicyState, cx: &Cx, grace_over: bool) -> Option<(Blame, String)> {
    let sight = &cx.shared.sight;
    let while_seeing = |probe: &MemberProbe| {
        let region = p.region_of(probe.target);
        let proven = |at| sight.proven_since(at) && region.is_none_or(|region| sight.proven_for(region, at));
        probe.failing_since.is_some_and(|at| at >= sight.sees_since && proven(at))
    };
    let fell = |probe: &MemberProbe| {
        p.policy.target(probe.target).is_some_and(|t| probe.failures >= t.check.fall) && while_seeing(probe)
    };
    // One bad member of several is a trim's business, not a reason to undo the move.
    if proof.probes.iter().all(fell)
        && let Some(probe) = proof.probes.first()
        && sight.blind.is_none()
    {
        let reason = probe.last.map(|o| o.to_string()).unwrap_or_default();
        let text = format!("{} direct probes of {} failed: {reason}", probe.failures, p.names_text(&proof.to));
        return Some((Blame::Probes, text));
    }
    if let Some(what) = proof.differs.as_ref().filter(|_| grace_over) {
        return Some((Blame::Answers, format!("after INSYNC and 2 x TTL the zone publishes {what}")));
    }
    let (server, answer) = proof.disagree.first().filter(|_| grace_over)?;
    Some((Blame::Answers, format!("after INSYNC and 2 x TTL {server} still answers {answer}")))
}

fn conclude(s: &mut Settling, p: &mut PolicyState, cx: &mut Cx, verdict: Verdict) {
    let Some(proof) = &mut s.proof else { return };
    proof.verdict = Some(verdict.clone());
    let kind = s.intent.kind;
    if kind.is_counted_move() || kind == Kind::Switch {
        p.brakes.hold_down_until = Some(cx.now.mono + p.policy.failover.hold_down);
    }
    let arrow = s.arrow(p);
    // A trim dropped what was down; nobody wants that back.
    let undo = undo(p, s.from.as_ref().filter(|_| kind != Kind::Trim));
    let moved = s.moved(p);
    match verdict {
        Verdict::Proven(text) => {
            p.brakes.unverified = false;
            p.journal(
                cx,
                TransitionKind::Proven,
                format!("{kind} proven after {}: {text}", human(s.clocks.verdict.unwrap_or_default())),
            );
            let (notice, transition) = match kind {
                Kind::Adopt => (NoticeKind::Adopted, Some(TransitionKind::Adopted)),
                _ => (NoticeKind::Moved, None),
            };
            if let Some(transition) = transition {
                p.journal(
                    cx,
                    transition,
                    format!(
                        "adopted: {} publishes {}",
                        p.records_text(),
                        s.proof.as_ref().map(|proof| p.names_text(&proof.to)).unwrap_or_default()
                    ),
                );
            }
            let next = vec![what_next(p, kind)];
            let title = if kind == Kind::Adopt {
                format!("{}: adopted", p.policy.id)
            } else {
                format!("{arrow}: {kind} proven")
            };
            p.tell(cx, notice, Severity::Info, title, Words { why: vec![text], moved, next, undo });
        }
        Verdict::Unverifiable(text) => {
            p.brakes.unverified = true;
            p.brakes.called = Some(cx.now);
            if seeded(Bug::RollbackOnUnverifiable) {
                roll_back(s, p, cx, kind);
            }
            p.journal(cx, TransitionKind::Unverified, format!("{kind} applied but unverified: {text}"));
            let next = vec![
                "nothing is undone; automatic failback waits".to_owned(),
                format!("look yourself, then `failoverd ack {}`", p.policy.id),
            ];
            p.tell(
                cx,
                NoticeKind::MoveUnverified,
                Severity::Warning,
                format!("{arrow}: {kind} applied, unverified"),
                Words { why: vec![text], moved, next, undo },
            );
        }
        Verdict::Contradicted(text) => {
            p.brakes.failback_blocked = true;
            p.brakes.called = Some(cx.now);
            p.journal(cx, TransitionKind::Contradicted, format!("{kind} contradicted: {text}"));
            let next = roll_back(s, p, cx, kind);
            s.rollback = p.write.as_ref().filter(|w| w.intent.kind == Kind::Rollback).map(|w| w.intent.id.clone());
            p.tell(
                cx,
                NoticeKind::MoveContradicted,
                Severity::Critical,
                format!("{arrow}: {kind} contradicted"),
                Words { why: vec![text], moved, next: vec![next], undo },
            );
        }
    }
    if !matches!(s.proof.as_ref().and_then(|proof| proof.verdict.as_ref()), Some(Verdict::Contradicted(_))) {
        p.incident = None;
    }
}

/// The rollback is not sent yet: is the move still contradicted (I10)?
pub(super) fn look_again(s: &Settling, p: &mut PolicyState, cx: &mut Cx) {
    let unsent = p.write.as_ref().is_some_and(Writing::is_unsent);
    let grace_over = s.is_grace_over(p, cx.now.mono);
    let Some(proof) = s.proof.as_ref().filter(|_| unsent) else { return };
    // Silence and blindness take no word back: every server agrees now, and a member answered or was never asked.
    let blind_since = s.clocks.verdict.is_some_and(|took| cx.shared.sight.sees_since > s.accepted + took);
    if blind_since && s.blamed_by == Some(Blame::Probes) && contradiction(proof, p, cx, grace_over).is_none() {
        // What failed before may have been our own blindness (ADR 0008); what a server said was not.
        return switch::drop_unsent(p, cx, switch::BLIND_MEANWHILE);
    }
    let agrees = proof.is_seen() && proof.probes.iter().any(|probe| matches!(probe.last, None | Some(Outcome::Up)));
    if agrees && contradiction(proof, p, cx, grace_over).is_none() {
        switch::drop_unsent(p, cx, switch::NO_LONGER_CONTRADICTED);
    }
}

/// Only a contradiction rolls back, by a new fenced plan, and only to a target proven now (I10).
fn roll_back(s: &Settling, p: &mut PolicyState, cx: &mut Cx, kind: Kind) -> String {
    let Some(from) = s.from.clone().filter(|_| !matches!(kind, Kind::Rollback | Kind::Adopt | Kind::Force)) else {
        return "it stays as it is; a person is needed".into();
    };
    let well = |idx| p.policy.target(idx).zip(p.health_of(idx)).is_some_and(|(t, h)| h.is_well(&t.check, cx.now.mono));
    if !from.iter().all(well) && !seeded(Bug::RollbackToTheDead) {
        return format!(
            "no rollback: {} is not proven; it stays as it is and automatic failback is off until `failoverd ack {}`",
            p.names_text(&from),
            p.policy.id
        );
    }
    match switch::start(p, cx, Kind::Rollback, Some(from.clone()), "the move was contradicted") {
        Ok(()) => format!(
            "rolling back to {}; automatic failback is off until `failoverd ack {}`",
            p.names_text(&from),
            p.policy.id
        ),
        Err(why) => format!("no rollback: {why}"),
    }
}

fn what_next(p: &PolicyState, kind: Kind) -> String {
    use crate::domain::FailbackMode;
    match (kind, p.policy.failback.mode) {
        (Kind::Failover, FailbackMode::Auto) => {
            format!("failback by itself once a better target has been healthy for {}", human(p.policy.failback.soak))
        }
        (Kind::Failover, _) => "failback is by hand".into(),
        (Kind::Trim, _) => format!(
            "the set is filled again once a target of its tier has been healthy for {}",
            human(p.policy.failback.soak)
        ),
        (Kind::Force, _) => format!("no automatic move until `failoverd unfreeze {}`", p.policy.id),
        (Kind::Switch, _) if p.brakes.failback_blocked => {
            let id = &p.policy.id;
            format!("automatic failback stays off until `failoverd ack {id}` or `failoverd failback {id}`")
        }
        _ => "nothing; the policy is steady".into(),
    }
}
