//! `freeze`, `unfreeze`, `ack`, `adopt`: a person's hand, through the daemon or without one.

use std::time::Duration;

use crate::control::client::{AskError, ask, person};
use crate::control::protocol::{Answer, Request};
use crate::runtime::assembly::StartError;
use crate::runtime::once;
use crate::store::LockError;

use super::output::{data, talk};
use super::{Context, Done, Exit, Failure};

/// Longest time one command may take where no daemon runs.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct FreezeArgs {
    /// Only this policy; without it, all of them
    policy: Option<String>,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(clap::Args)]
pub struct AckArgs {
    policy: String,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(clap::Args)]
pub struct AdoptArgs {
    policy: String,

    /// The target to publish; default: the one the live record publishes
    #[arg(long, value_name = "TARGET")]
    to: Option<String>,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub async fn freeze(context: &Context, args: FreezeArgs) -> Done {
    carry_out(context, Request::Freeze { policy: args.policy, reason: reason(args.reason)? }).await
}

pub async fn unfreeze(context: &Context, args: FreezeArgs) -> Done {
    carry_out(context, Request::Unfreeze { policy: args.policy, reason: reason(args.reason)? }).await
}

pub async fn ack(context: &Context, args: AckArgs) -> Done {
    carry_out(context, Request::Ack { policy: args.policy, reason: args.reason }).await
}

pub async fn adopt(context: &Context, args: AdoptArgs) -> Done {
    carry_out(context, Request::Adopt { policy: args.policy, to: args.to, reason: args.reason }).await
}

/// Tries while the state file is held without a daemon to ask: one starts or stops, or a `once` runs.
const TRIES: u32 = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(250);

async fn carry_out(context: &Context, request: Request) -> Done {
    let reach = context.reach()?;
    for left in (0..TRIES).rev() {
        match ask(&reach.state, request.clone()).await {
            Ok(answer) => {
                reach.warn_of_old();
                show(&answer);
                return verdict(answer);
            }
            Err(AskError::NoDaemon(_)) => {}
            Err(error) => return Err(super::ask_failed(error)),
        }
        let config = reach.valid()?.clone();
        if left == TRIES - 1 {
            talk("no daemon answers; doing it from here");
        }
        match once::command(config, request.clone(), person(), DEADLINE, &mut show).await {
            Ok(answer) => return verdict(answer),
            Err(StartError::Lock(LockError::Held { holder, .. })) if left > 0 => {
                if left == TRIES - 1 {
                    talk(&format!("{holder} holds the state file and does not answer yet; waiting"));
                }
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::error("neither a daemon nor this command could do it").next("failoverd status"))
}

fn show(answer: &Answer) {
    if let Answer::Accepted { text } = answer {
        data(&format!("{text}\n"));
    }
}

fn verdict(answer: Answer) -> Done {
    match answer {
        Answer::Accepted { .. } => Ok(Exit::Ok),
        Answer::Refused { text } => Err(Failure::new(Exit::Refused, text)),
        other => Err(super::unexpected(&other)),
    }
}

fn reason(text: String) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::error("a freeze needs a reason").next("--reason \"why, and until when\""));
    }
    Ok(text)
}
