//! Follows one move to its verdict: a line on stderr for each change of phase, the end on stdout.
//! Decides nothing: what is told is what the reports say.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::control::protocol::{Answer, Request};
use crate::domain::UnixMs;
use crate::domain::time::human;
use crate::engine::intent::Kind;
use crate::engine::journal::TransitionKind;
use crate::engine::report::{MovePhase, MoveReport, PolicyState, Report};

use super::line::Line;
use super::output::{data, talk, word};
use super::{Done, Exit, Failure, render};

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// A move that was accepted shows itself within this time, or there is nothing to move.
const SHOWS: Duration = Duration::from_secs(2);

/// A move that was given up is taken for the end only after this: another may go first.
const GIVEN_UP: Duration = Duration::from_secs(2);

/// After a contradiction the move back begins within this time, or there is none.
const ROLLBACK_BEGINS: Duration = Duration::from_secs(15);

/// What stood before the command, so that an older move is not taken for the one that is followed.
pub struct Before {
    at: UnixMs,
    last: Option<MoveReport>,
}

impl Before {
    pub fn of(report: &Report) -> Before {
        Before { at: report.at, last: report.last_move.clone() }
    }
}

/// Looks until the move of `policy` has its verdict, at most until `deadline`. `must_show`: a command
/// of which nothing is to be seen is still waiting, not done.
pub async fn follow(line: &Line, policy: &str, before: &Before, deadline: Instant, must_show: bool) -> Done {
    let begun = Instant::now();
    let mut told = String::new();
    let mut contradicted: Option<Instant> = None;
    let mut moving = false;
    let mut still: Option<Instant> = None;
    loop {
        // A daemon that restarts goes on with the move; it is asked again.
        if let Ok(Ok(report)) = line.report(policy).await {
            if let Some(now) = &report.moving {
                (moving, still) = (true, None);
                tell(&mut told, begun, now);
            } else if let Some(last) = report.last_move.as_ref().filter(|m| before.last.as_ref() != Some(*m)) {
                tell(&mut told, begun, last);
                let since = *still.get_or_insert_with(Instant::now);
                match verdict(policy, last) {
                    Some(_) if last.phase == MovePhase::NotApplied && since.elapsed() < GIVEN_UP => {}
                    Some(Err(mut failure)) if last.kind == Kind::Rollback => {
                        if let Some(why) = journalled(line, policy, before, &[TransitionKind::Contradicted]).await {
                            failure.error = format!("{policy}: {why}\n{}", failure.error);
                        }
                        return Err(failure);
                    }
                    Some(done) => return done,
                    None if last.phase == MovePhase::Contradicted => {
                        let since = *contradicted.get_or_insert_with(Instant::now);
                        if since.elapsed() > ROLLBACK_BEGINS {
                            return Err(not_rolled_back(policy, last));
                        }
                    }
                    None => {}
                }
            } else if moving {
                if still.get_or_insert_with(Instant::now).elapsed() >= GIVEN_UP {
                    return Err(vanished(line, &report, before).await);
                }
            } else if begun.elapsed() > SHOWS {
                return match said_since(line, policy, before).await {
                    Some(text) => Err(refused(policy, &text)),
                    None if must_show => {
                        sleep(BETWEEN_LOOKS).await;
                        if Instant::now() < deadline {
                            continue;
                        }
                        let text = format!("{policy}: nothing was written within {}", human(begun.elapsed()));
                        Err(Failure::new(Exit::Blind, text)
                            .next(format!("failoverd doctor; failoverd explain {policy}")))
                    }
                    None => Ok(Exit::Ok),
                };
            }
        }
        if Instant::now() >= deadline {
            let what = if told.is_empty() { "nothing began" } else { told.as_str() };
            let text = format!("{policy}: no verdict within {}; last seen: {what}", human(begun.elapsed()));
            return Err(Failure::new(Exit::Blind, text).next(match line {
                Line::Daemon(_) => {
                    format!("failoverd status {policy} shows how it goes on; the move itself is not stopped")
                }
                Line::Here(_) => format!(
                    "failoverd history {policy} tells whether it was written; a move that was not is called off, \
                     one that was is proven by the next `failoverd run` or `once`"
                ),
            }));
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Looks until the fence says what a release or a takeover asked for.
pub async fn follow_fence(line: &Line, request: &Request, before: &Before, deadline: Instant) -> Done {
    let policy = request.subject().unwrap_or_default();
    let says = |report: &Report| {
        let Some(fence) = &report.fence else { return false };
        match request {
            Request::Takeover { from, .. } => !fence.owner.starts_with(&format!("{from}/")),
            _ => fence.mode == "released",
        }
    };
    let begun = Instant::now();
    loop {
        if let Ok(Ok(report)) = line.report(policy).await {
            if says(&report) {
                let fence = report.fence.as_ref().map_or_else(String::new, |f| {
                    format!("epoch {} by {}, {}, mode {}", f.epoch, f.owner, f.kind, f.mode)
                });
                data(&format!("{policy}: the fence says so: {fence}\n"));
                return Ok(Exit::Ok);
            }
            if begun.elapsed() > SHOWS
                && let Some(text) = said_since(line, policy, before).await
            {
                return Err(refused(policy, &text));
            }
        }
        if Instant::now() >= deadline {
            let text = format!("{policy}: the fence does not say so after {}", human(begun.elapsed()));
            return Err(Failure::new(Exit::Blind, text).next(format!("failoverd explain {policy}")));
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// One line for each change of phase.
fn tell(told: &mut String, begun: Instant, moved: &MoveReport) {
    let text = render::one_move(moved);
    if text != *told {
        talk(&format!("{:>7.1}s  {text}", begun.elapsed().as_secs_f64()));
        *told = text;
    }
}

/// How a command that did not wait ends where this process carried its move to the end.
pub fn end(report: &Report) -> Done {
    let policy = report.policy.as_str();
    if let Some(now) = &report.moving {
        let text = format!("{policy}: {}: no verdict yet", render::one_move(now));
        return Err(Failure::new(Exit::Blind, text)
            .next("failoverd history; the next `failoverd run` or `once` finishes what was begun"));
    }
    let Some(last) = &report.last_move else { return Ok(Exit::Ok) };
    verdict(policy, last).unwrap_or_else(|| Err(not_rolled_back(policy, last)))
}

/// How the command ends with this move; `None`: it is not over yet.
fn verdict(policy: &str, moved: &MoveReport) -> Option<Done> {
    let text = format!("{policy}: {}", render::move_lines(moved).join("; "));
    let rolled_back = moved.kind == Kind::Rollback;
    Some(match moved.phase {
        MovePhase::Proven if rolled_back => Err(Failure::new(Exit::RolledBack, text)
            .next(format!("failoverd explain {policy}; automatic failback stays off until: failoverd ack {policy}"))),
        MovePhase::Proven => {
            data(&format!("{text}\n"));
            Ok(Exit::Ok)
        }
        MovePhase::Unverified => {
            let what = if rolled_back { "rolled back, and that could not be proven" } else { "written, not proven" };
            Err(Failure::new(if rolled_back { Exit::RolledBack } else { Exit::Blind }, format!("{text} ({what})"))
                .next(format!("look from outside (dig), then: failoverd ack {policy}")))
        }
        MovePhase::NotApplied => Err(refused(policy, &text)),
        MovePhase::Contradicted if rolled_back => Err(not_rolled_back(policy, moved)),
        _ => return None,
    })
}

fn not_rolled_back(policy: &str, moved: &MoveReport) -> Failure {
    let text = format!("{policy}: contradicted and not rolled back: {}", render::move_lines(moved).join("; "));
    Failure::new(Exit::Blind, text).next(format!(
        "failoverd explain {policy}; if people are hurt: failoverd force {policy} --to TARGET --reason …"
    ))
}

/// The move ended before it was written; the journal says why.
async fn vanished(line: &Line, report: &Report, before: &Before) -> Failure {
    let policy = report.policy.as_str();
    let why = said_since(line, policy, before).await;
    if report.state == PolicyState::Blind {
        let why = why.unwrap_or_else(|| "this controller may be blind".to_owned());
        return Failure::new(Exit::Blind, format!("{policy}: nothing was moved: {why}"))
            .next("look at this machine's own network and at the witnesses");
    }
    refused(policy, &why.unwrap_or_else(|| format!("the move was dropped; now {}", word(&report.state))))
}

fn refused(policy: &str, text: &str) -> Failure {
    Failure::new(Exit::Refused, format!("{policy}: not moved: {text}")).next(format!("failoverd explain {policy}"))
}

/// Why a move did not happen, as journalled since the command.
async fn said_since(line: &Line, policy: &str, before: &Before) -> Option<String> {
    const NOT_MADE: [TransitionKind; 4] =
        [TransitionKind::Refused, TransitionKind::Dropped, TransitionKind::NotApplied, TransitionKind::WriteRefused];
    journalled(line, policy, before, &NOT_MADE).await
}

/// The newest text of one of `kinds`, journalled since the command.
async fn journalled(line: &Line, policy: &str, before: &Before, kinds: &[TransitionKind]) -> Option<String> {
    let request = Request::History { policy: Some(policy.to_owned()), limit: 20 };
    let Ok(Answer::History { transitions }) = line.ask(request).await else { return None };
    let mut since = transitions.into_iter().rev().take_while(|t| t.at >= before.at);
    since.find(|t| kinds.contains(&t.kind)).map(|t| t.text)
}
