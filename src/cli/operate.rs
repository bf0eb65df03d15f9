//! Commands of a person's hand that are over when they are accepted, and the way every command
//! takes: to the daemon, or to a controller in this process when none answers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::control::client::{AskError, person};
use crate::control::protocol::{Answer, Request};
use crate::domain::Health;
use crate::engine::report::{LiveState, MovePhase, Report, TargetReport};
use crate::runtime::assembly::StartError;
use crate::runtime::hand::{self, Needs};
use crate::store::LockError;

use super::follow::{Before, follow, follow_fence};
use super::line::Line;
use super::output::{data, talk};
use super::{Context, Done, Exit, Failure, written};

/// Longest time one command may take where no daemon runs.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long a controller in this process looks at the targets before it is asked to move.
const LOOKS: Duration = Duration::from_secs(30);

/// How long it waits for a provider that does not answer.
const UNREACHABLE: Duration = Duration::from_secs(5);

/// Time after the deadline of a command for it to end by itself.
const SLACK: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
#[command(after_help = "Example: failoverd freeze web --reason \"database migration until 14:00\"")]
pub struct FreezeArgs {
    /// Only this policy; without it, all of them
    policy: Option<String>,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(clap::Args)]
#[command(after_help = "Example: failoverd ack web --reason \"found the bad switch\"")]
pub struct AckArgs {
    policy: String,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  failoverd adopt web --to us-east-1\n  \
    failoverd adopt web --repair --reason \"the fence was edited by hand\"")]
pub struct AdoptArgs {
    policy: String,

    /// A target to publish, once for each answer; default: what the live record publishes
    #[arg(long, value_name = "TARGET")]
    to: Vec<String>,

    /// Write a new fence over one that is gone, unreadable or doubled
    #[arg(long)]
    repair: bool,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(clap::Args)]
#[command(after_help = "Example: failoverd undrain web us-east-1")]
pub struct UndrainArgs {
    policy: String,
    target: String,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(clap::Args)]
#[command(after_help = "Example: failoverd takeover web --from old-cluster --reason \"old-cluster is switched off\"")]
pub struct TakeoverArgs {
    policy: String,

    /// The cluster whose record it is
    #[arg(long, value_name = "CLUSTER")]
    from: String,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub async fn freeze(context: &Context, args: FreezeArgs) -> Done {
    let reason = reason("a freeze", args.reason)?;
    carry_out(context, Errand::brief(Request::Freeze { policy: args.policy, reason })).await
}

pub async fn unfreeze(context: &Context, args: FreezeArgs) -> Done {
    let reason = reason("an unfreeze", args.reason)?;
    carry_out(context, Errand::brief(Request::Unfreeze { policy: args.policy, reason })).await
}

pub async fn ack(context: &Context, args: AckArgs) -> Done {
    carry_out(context, Errand::brief(Request::Ack { policy: args.policy, reason: args.reason })).await
}

pub async fn adopt(context: &Context, args: AdoptArgs) -> Done {
    let AdoptArgs { policy, to, repair, reason } = args;
    carry_out(context, Errand::brief(Request::Adopt { policy, to, repair, reason })).await
}

pub async fn undrain(context: &Context, args: UndrainArgs) -> Done {
    let UndrainArgs { policy, target, reason } = args;
    carry_out(context, Errand::brief(Request::Undrain { policy, target, reason })).await
}

pub async fn takeover(context: &Context, args: TakeoverArgs) -> Done {
    let reason = reason("a takeover", args.reason)?;
    let request = Request::Takeover { policy: args.policy, from: args.from, reason };
    carry_out(context, Errand { follow: Follow::Fence, ..Errand::brief(request) }).await
}

/// How far a request is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Over when it is accepted.
    Not,
    /// To the verdict of the move it starts.
    Move,
    /// Until the fence says it.
    Fence,
}

/// A request and how far it is followed.
#[derive(Clone, Debug)]
pub struct Errand {
    pub request: Request,
    pub follow: Follow,
    pub deadline: Duration,
}

impl Errand {
    /// Over when it is accepted.
    pub fn brief(request: Request) -> Errand {
        Errand { request, follow: Follow::Not, deadline: DEADLINE }
    }
}

/// Tries while the state file is held without a daemon to ask: one starts or stops, or a `once` runs.
const TRIES: u32 = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// Carries an errand out through the daemon, or from here.
pub async fn carry_out(context: &Context, errand: Errand) -> Done {
    let reach = context.reach()?;
    for left in (0..TRIES).rev() {
        match run(&Line::Daemon(reach.state.clone()), &errand).await {
            Ok(done) => {
                reach.warn_of_old();
                return done;
            }
            Err(AskError::NoDaemon(_)) => {}
            Err(error) => return Err(super::ask_failed(error)),
        }
        let config = about(reach.valid()?.clone(), errand.request.subject());
        if left == TRIES - 1 {
            talk("no daemon answers; doing it from here");
        }
        match from_here(&config, Needs::StateFile, &errand).await {
            Ok(done) => return done,
            Err(StartError::Lock(LockError::Held { holder, .. })) if left > 0 => {
                if left == TRIES - 1 {
                    talk(&format!("{holder} holds the state file and does not answer yet; waiting"));
                }
                sleep(BETWEEN_TRIES).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::error("neither a daemon nor this command could do it").next("failoverd status"))
}

/// A command about one policy touches no other.
fn about(mut config: Config, subject: Option<&str>) -> Config {
    if let Some(name) = subject
        && config.policies.iter().any(|policy| policy.id.as_str() == name)
    {
        config.policies.retain(|policy| policy.id.as_str() == name);
    }
    config
}

/// Carries an errand out by a controller in this process.
pub async fn from_here(config: &Config, needs: Needs, errand: &Errand) -> Result<Done, StartError> {
    // Whoever follows has a word to say about its own deadline first.
    let deadline = Instant::now() + errand.deadline + SLACK;
    let attended = hand::attended(config, needs, person(), deadline, |local| async move {
        let line = Line::Here(local);
        wait_until_ready(&line, config, &errand.request, deadline).await;
        run(&line, errand).await
    })
    .await?;
    if let Some(why) = &attended.forgets {
        talk(&format!("warning: nothing of this is in the state file: {why}"));
    }
    if attended.notices_left > 0 {
        let notices = super::count(usize::try_from(attended.notices_left).unwrap_or(usize::MAX), "notice", "notices");
        talk(&format!("warning: {notices} could not be delivered yet"));
    }
    let provider = |why: String| {
        Failure::new(Exit::Provider, format!("the provider gave no usable answer: {why}"))
            .next("look at the provider's address, the network and the credentials, then type it again")
    };
    // What could not be read at all refuses everything; the reason is the provider's.
    let unread = || attended.status.reports.iter().find(|r| r.live == LiveState::NotRead)?.trouble.clone();
    Ok(match (attended.result, attended.provider_trouble.or_else(unread)) {
        (Some(Ok(Err(failure))), Some(why)) if failure.exit == Exit::Refused => Err(provider(why)),
        (None, Some(why)) => Err(provider(why)),
        (Some(Ok(Ok(Exit::Ok))), _) if errand.follow == Follow::Not => written::end(&errand.request, &attended.status),
        (Some(Ok(done)), _) => done,
        (Some(Err(error)), _) => Err(super::ask_failed(error)),
        (None, None) if attended.status.reports.iter().any(called_off) => {
            Err(Failure::error("stopped before it was written; nothing was moved")
                .next("type it again when it is to be made"))
        }
        (None, None) => Err(Failure::new(Exit::Blind, "stopped by a signal or the deadline before it was over")
            .next("failoverd status; `failoverd run` or `once` finishes what was begun")),
    })
}

/// A move of this process that ended before it was written.
fn called_off(report: &Report) -> bool {
    report.last_move.as_ref().is_some_and(|m| m.phase == MovePhase::NotApplied)
}

/// What undoes or moves something must first know what stands in the zone, and a move also how the
/// targets are. A freeze acts at once.
async fn wait_until_ready(line: &Line, config: &Config, request: &Request, deadline: Instant) {
    if matches!(request, Request::Freeze { .. }) {
        return;
    }
    let begun = Instant::now();
    let looks = deadline.min(begun + LOOKS);
    // Only what the command asks about: what else is found out may set off a move of its own first.
    let named = |target: &TargetReport| match request {
        Request::Adopt { .. } | Request::Failback { .. } | Request::Drain { .. } => true,
        Request::Switch { to, .. } => to.iter().any(|name| name == target.name.as_str()),
        Request::Apply { plan, .. } => plan.to.iter().any(|name| name == target.name.as_str()),
        _ => false,
    };
    let ready = |report: &Report| {
        let judged = report.targets.iter().filter(|t| named(t)).all(|t| t.health != Health::Unknown);
        // A provider that does not answer is not waited for as long as a target.
        let dead = report.trouble.is_some() && begun.elapsed() > UNREACHABLE;
        dead || (report.live != LiveState::NotRead && judged)
    };
    for policy in &config.policies {
        while Instant::now() < looks {
            match line.report(policy.id.as_str()).await {
                Ok(Ok(report)) if ready(&report) => break,
                _ => sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// Asks, shows the answer, and follows the move when that is wanted. Errors only when nobody
/// answered the request itself.
pub async fn run(line: &Line, errand: &Errand) -> Result<Done, AskError> {
    let policy = errand.request.subject().unwrap_or_default().to_owned();
    let mut before = None;
    if errand.follow != Follow::Not {
        match line.report(&policy).await? {
            Ok(report) => {
                if let Request::Force { to, .. } = &errand.request {
                    super::force::announce(&report, to);
                }
                before = Some(Before::of(&report));
            }
            Err(answer) => return Ok(Err(super::unexpected(&answer))),
        }
    }
    let deadline = Instant::now() + errand.deadline;
    let answer = line.ask(errand.request.clone()).await?;
    Ok(match (answer, before) {
        (Answer::Accepted { text }, None) => {
            data(&format!("{text}\n"));
            Ok(Exit::Ok)
        }
        (Answer::Accepted { text }, Some(before)) => {
            talk(&text);
            match errand.follow {
                Follow::Fence => follow_fence(line, &errand.request, &before, deadline).await,
                Follow::Move | Follow::Not => {
                    let must_show = matches!(errand.request, Request::Force { .. });
                    follow(line, &policy, &before, deadline, must_show).await
                }
            }
        }
        (Answer::Refused { text }, _) => Err(refused(&policy, &text)),
        (other, _) => Err(super::unexpected(&other)),
    })
}

/// A refusal says itself what to type, or `explain` does.
fn refused(policy: &str, text: &str) -> Failure {
    let failure = Failure::new(Exit::Refused, text);
    if policy.is_empty() { failure } else { failure.next(format!("failoverd explain {policy}")) }
}

/// The reason, which may not be blank.
pub fn reason(what: &str, text: String) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::error(format!("{what} needs a reason")).next("--reason \"why, and until when\""));
    }
    Ok(text)
}
