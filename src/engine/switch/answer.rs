//! The provider's answer to a batch, as one write in it takes it: accepted, refused, to be sent
//! again, or lost. Never decides what is published.

use std::time::Duration;

use crate::seeded::{Bug, seeded};

use super::super::action::BatchId;
use super::super::batch;
use super::super::ids::jitter;
use super::super::intent::{IntentOutcome, Kind, Meaning, meaning};
use super::super::journal::{SeenFence, TransitionKind};
use super::super::notice::{NoticeKind, Severity};
use super::super::plan::Plan;
use super::super::rehearse;
use super::super::state::{Cx, PolicyState, Urgency, Words, WriteTrouble};
use super::super::zone::{RefusedCode, WriteAnswer};
use super::{Phase, accepted, close};

/// A write held up this long is told.
const TELL_AFTER: Duration = Duration::from_secs(60);

/// What an answer to a whole batch means for one write in it.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct About {
    pub batch: BatchId,
    /// The refusal names a set of this write, or this write was alone.
    pub mine: bool,
    /// Writes in the batch.
    pub size: usize,
    /// The refusal names a set of some write.
    pub anybody: bool,
}

/// How long a zone rests after a batch that was throttled or came too early: 0.2 to 2 s.
pub(in crate::engine) fn busy_wait(batch: BatchId) -> Duration {
    Duration::from_millis(200 + jitter("batch", batch.0, 1800))
}

/// The provider's answer to the request in which this policy's write rode.
pub(in crate::engine) fn answered(p: &mut PolicyState, cx: &mut Cx, answer: WriteAnswer, about: About) {
    p.live.taint();
    let answer = match answer {
        WriteAnswer::Ambiguous(message) if seeded(Bug::LostReplySentAgain) => {
            WriteAnswer::Refused { code: RefusedCode::Throttled, message }
        }
        answer => answer,
    };
    let Some(write) = &mut p.write else { return };
    let now = cx.now.mono;
    let burn = match &write.phase {
        Phase::BurnSent { plan } => Some(plan.clone()),
        Phase::Sent => None,
        _ => return,
    };
    match meaning(&answer, burn.is_some(), about.mine) {
        Meaning::Applied => {
            let WriteAnswer::Accepted { change_id } = answer else { return };
            accepted(p, cx, Some(change_id), false);
        }
        Meaning::Burned => {
            let Some(plan) = burn else { return };
            p.live.written(&p.policy, &plan, &cx.shared.settings.cluster);
            p.seen = plan.fences().next().map(|(_, v)| SeenFence::of(v));
            p.journal(cx, TransitionKind::NotApplied, "the lost request was burnt: it can never apply");
            close(p, cx, IntentOutcome::Burned);
        }
        Meaning::Again => {
            let (why, wait) = match answer {
                WriteAnswer::Refused { code, message } => {
                    let throttled = code == RefusedCode::Throttled;
                    let what = if throttled { "throttled" } else { "an earlier change is not complete" };
                    (format!("{what}: {message}"), busy_wait(about.batch))
                }
                WriteAnswer::NotSent(error) => {
                    (error.message, Duration::from_millis(1000 + jitter("batch", about.batch.0, 1000)))
                }
                WriteAnswer::Accepted { .. } | WriteAnswer::Ambiguous(_) => return,
            };
            try_again(p, cx, burn, &why, wait);
        }
        Meaning::Bystander => {
            if !about.anybody {
                write.cap = batch::half(about.size);
            }
            write.phase = match burn {
                Some(plan) => Phase::BurnQueued { plan, not_before: now },
                None => Phase::Queued { not_before: now },
            };
        }
        Meaning::ReadBack => {
            let again = now + if write.tries == 0 { Duration::ZERO } else { Duration::from_secs(1) };
            write.tries += 1;
            if burn.is_none() {
                write.given_up = Some(now);
            }
            write.phase = Phase::Resolving { read_at: again };
            let id = write.intent.id.clone();
            let why = match answer {
                WriteAnswer::Ambiguous(why) => why,
                _ => String::new(),
            };
            p.journal(
                cx,
                TransitionKind::ApiTrouble,
                format!("the reply to write {id} was lost ({why}); reading the fence"),
            );
        }
        Meaning::Overtaken => write.phase = Phase::Resolving { read_at: now },
        Meaning::BurnRefused => {
            let WriteAnswer::Refused { message, .. } = answer else { return };
            let wait = 1000 + jitter("batch", about.batch.0, 4000);
            try_again(p, cx, burn, &message, Duration::from_millis(wait));
            if let Some(write) = &mut p.write
                && let Phase::BurnQueued { not_before, .. } = write.phase
            {
                write.phase = Phase::Resolving { read_at: not_before };
            }
        }
        Meaning::Refused => {
            let WriteAnswer::Refused { code, message } = answer else { return };
            refused(p, cx, code, message);
        }
    }
}

/// Same bytes again later; a person is told when it lasts.
fn try_again(p: &mut PolicyState, cx: &mut Cx, burn: Option<Box<Plan>>, why: &str, wait: Duration) {
    let Some(write) = &mut p.write else { return };
    let now = cx.now.mono;
    write.tries += 1;
    let not_before = now + wait;
    let since = *write.refused_since.get_or_insert(now);
    write.phase = match burn {
        Some(plan) => Phase::BurnQueued { plan, not_before },
        None => Phase::Queued { not_before },
    };
    if now.since(since) >= TELL_AFTER && !write.told {
        write.told = true;
        let title = format!("{}: the provider has not taken a write for 60s", p.policy.id);
        let next = vec!["it is sent again every second or two while the decision holds".to_owned()];
        p.journal(cx, TransitionKind::ApiTrouble, format!("a write has been held up for 60s: {why}"));
        p.tell(
            cx,
            NoticeKind::ApiTrouble,
            Severity::Critical,
            title,
            Words { why: vec![why.to_owned()], next, ..Words::default() },
        );
    }
}

/// A definite refusal: nothing was applied.
fn refused(p: &mut PolicyState, cx: &mut Cx, code: RefusedCode, message: String) {
    let kind = p.write.as_ref().map_or(Kind::Failover, |w| w.intent.kind);
    p.journal(cx, TransitionKind::NotApplied, format!("{kind} refused: {message}"));
    close(p, cx, IntentOutcome::Refused { message: message.clone() });
    if kind == Kind::Rehearse && code == RefusedCode::NoSuchZone {
        rehearse::refused(p, cx, code, &message);
    }
    if code == RefusedCode::NoSuchZone {
        // It is looked for anew, and told once for all policies in it.
        p.live.stale = true;
        return;
    }
    if kind == Kind::Rehearse {
        rehearse::refused(p, cx, code, &message);
    }
    if code == RefusedCode::Precondition {
        p.live.stale = true;
        p.read_now(cx, Urgency::FenceRead);
        p.precondition_failures += 1;
        // The first time somebody may have written in between; the same again is no race.
        if p.precondition_failures < 2 {
            return;
        }
    }
    // A rehearsal is told as one, and must hold back no move.
    if kind == Kind::Rehearse {
        return;
    }
    let tries = p.write_trouble.as_ref().map_or(0, |t| t.tries) + 1;
    // Spread, so that those refused together do not come back together.
    let spread = Duration::from_millis(jitter(p.policy.id.as_str(), u64::from(tries), 10_000));
    let wait = Duration::from_secs(60 * u64::from(tries.min(5))) + spread;
    let first = p.write_trouble.is_none();
    p.write_trouble = Some(WriteTrouble { message: message.clone(), next_try: cx.now.mono + wait, tries });
    if first {
        let id = p.policy.id.clone();
        p.journal(cx, TransitionKind::WriteRefused, format!("the provider refuses our writes: {message}"));
        let next = vec![
            "cure what the provider names; the other policies of the zone are not held back".to_owned(),
            format!(
                "tried again in {}, then every 5m at most; `failoverd ack {id}` tries at once",
                crate::domain::time::human(wait)
            ),
        ];
        let why = vec![message];
        let title = format!("{id}: the provider refuses our writes");
        p.tell(cx, NoticeKind::WriteRefused, Severity::Critical, title, Words { why, next, ..Words::default() });
    }
}
