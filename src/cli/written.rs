//! What became of a hand that was over when it was accepted, where no daemon goes on with it: what
//! stands in the zone, what is only known here, and what to type. Decides nothing: the reports tell.

use crate::control::protocol::{Request, Status};
use crate::engine::intent::Kind;
use crate::engine::report::{MovePhase, NotYet, PolicyState, RecordFence, Report, Standing, Unwritten};

use super::output::talk;
use super::{Done, Exit, Failure, follow, render};

/// The end of `request`, which this process accepted and then finished what it could of.
pub fn end(request: &Request, status: &Status) -> Done {
    match request {
        Request::Freeze { policy, .. } => carried("freeze", policy.as_deref(), status),
        Request::Unfreeze { policy, .. } => carried("unfreeze", policy.as_deref(), status),
        Request::Ack { policy, .. } => carried("ack", Some(policy), status),
        Request::Adopt { policy, .. } => adopted(policy, status),
        Request::Switch { policy, .. }
        | Request::Failback { policy, .. }
        | Request::Drain { policy, .. }
        | Request::Apply { policy, .. } => {
            let report = status.reports.iter().find(|r| r.policy.as_str() == policy);
            report.map_or(Ok(Exit::Ok), follow::end)
        }
        _ => Ok(Exit::Ok),
    }
}

/// Whether the fences say what was asked for; what is kept here is said to hold only here.
fn carried(what: &str, subject: Option<&str>, status: &Status) -> Done {
    let concerned = || status.reports.iter().filter(|r| subject.is_none_or(|s| s == r.policy.as_str()));
    let mut missing: Vec<(NotYet, String)> = Vec::new();
    for report in concerned() {
        let id = &report.policy;
        match not_said(what, report) {
            None => talk(&format!("{id}: every fence says so: it holds for all instances")),
            // Nobody of our cluster moves what is another's: nothing is lost.
            Some((NotYet::NotOurs, text)) if is_anothers(&report.fences) => {
                talk(&format!("{id}: kept here only: {text}; this cluster moves nothing there anyway"));
            }
            Some((why, text)) => missing.push((why, format!("{id}: {text}"))),
        }
    }
    let Some((worst, _)) = missing.iter().min_by_key(|(why, _)| gravity(*why)) else { return Ok(Exit::Ok) };
    let lines: Vec<&str> = missing.iter().map(|(_, line)| line.as_str()).collect();
    let kept = match what {
        "freeze" => "frozen in this state file only; no fence says it, so other instances may still move",
        "unfreeze" => "unfrozen in this state file only; no fence says it, so other instances stay frozen",
        _ => "noted in this state file only; no fence says it, so other instances do not know",
    };
    let who = subject.map(|s| format!(" {s}")).unwrap_or_default();
    let reason = if what == "ack" { "" } else { " --reason \"why\"" };
    let again = format!("failoverd {what}{who}{reason}");
    let next = match worst {
        NotYet::Unread => format!("look at the network and the credentials, then: {again}"),
        NotYet::NotOurs => format!("failoverd doctor tells whose the fences are; then: {again}"),
        NotYet::Refused => format!("cure what was refused (docs/aws.md), then: {again}"),
        NotYet::Unstored => format!("free the disk, then: {again}"),
        NotYet::Underway => "failoverd doctor shows whether it was written".into(),
    };
    let next = format!("{next}; the next `failoverd run` or `once` with this state file writes it by itself");
    Err(Failure::new(exit(*worst), format!("{kept}: {}", lines.join("; "))).next(next))
}

/// Why the fences of one policy do not say it; `None`: they do.
fn not_said(what: &str, report: &Report) -> Option<(NotYet, String)> {
    if let Some(Unwritten { why, text, .. }) = report.unwritten.iter().find(|u| u.what == what) {
        return Some((*why, text.clone()));
    }
    // What is asked of a fence that is not ours is not even kept.
    let against = report.fences.iter().find_map(|f| f.refusal.as_ref());
    against.map(|refusal| (NotYet::NotOurs, refusal.text.clone()))
}

fn is_anothers(fences: &[RecordFence]) -> bool {
    let theirs = |f: &RecordFence| matches!(f.standing, Standing::Foreign | Standing::Released | Standing::Offered);
    fences.iter().all(|f| theirs(f) || f.standing == Standing::Ours) && fences.iter().any(theirs)
}

fn gravity(why: NotYet) -> u8 {
    match why {
        NotYet::Unread | NotYet::Refused => 0,
        NotYet::NotOurs | NotYet::Unstored => 1,
        NotYet::Underway => 2,
    }
}

fn exit(why: NotYet) -> Exit {
    match why {
        NotYet::Unread | NotYet::Refused => Exit::Provider,
        NotYet::NotOurs => Exit::Refused,
        NotYet::Unstored => Exit::Error,
        NotYet::Underway => Exit::Blind,
    }
}

/// How far the adoption came.
fn adopted(policy: &str, status: &Status) -> Done {
    let Some(report) = status.reports.iter().find(|r| r.policy.as_str() == policy) else { return Ok(Exit::Ok) };
    let again = format!("failoverd explain {policy}; then type it again");
    if let Some(last) = report.last_move.as_ref().filter(|m| m.kind == Kind::Adopt) {
        let text = format!("{policy}: {}", render::move_lines(last).join("; "));
        return match last.phase {
            MovePhase::Proven => {
                talk(&text);
                Ok(Exit::Ok)
            }
            MovePhase::NotApplied => Err(Failure::new(Exit::Refused, text).next(again)),
            _ => Err(Failure::new(Exit::Blind, format!("{text} (written, not proven)"))
                .next(format!("look from outside (dig); failoverd doctor; then: failoverd ack {policy}"))),
        };
    }
    let trouble = || report.trouble.clone().unwrap_or_else(|| "no answer came in time".into());
    if let Some(moving) = &report.moving {
        let text = format!("{policy}: {}; not known whether it was written: {}", render::one_move(moving), trouble());
        return Err(Failure::new(Exit::Blind, text)
            .next("failoverd doctor; the next `failoverd run` or `once` resolves it first"));
    }
    Err(match (report.state, &report.trouble) {
        (PolicyState::WriteRefused, _) => {
            let text = format!("{policy}: not adopted: the provider refused the write: {}", trouble());
            Failure::new(Exit::Provider, text).next("cure what was refused (docs/aws.md), then type it again")
        }
        (_, Some(why)) => {
            Failure::new(Exit::Provider, format!("{policy}: not adopted: the provider gave no usable answer: {why}"))
                .next("look at the network and the credentials, then type it again")
        }
        (_, None) => Failure::new(Exit::Refused, format!("{policy}: not adopted; nothing was written")).next(again),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_has_its_exit_and_the_worst_decides() {
        let mut all = [NotYet::Underway, NotYet::NotOurs, NotYet::Unstored, NotYet::Refused, NotYet::Unread];
        assert_eq!(all.map(exit), [Exit::Blind, Exit::Refused, Exit::Error, Exit::Provider, Exit::Provider]);
        all.sort_by_key(|why| gravity(*why));
        assert_eq!(all.map(gravity), [0, 0, 1, 1, 2]);
    }
}
