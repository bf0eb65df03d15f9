//! `switch`, `failback`, `drain`, `apply`: moves planned by a person, followed to their verdict.

use std::path::PathBuf;
use std::time::Duration;

use crate::control::protocol::Request;
use crate::runtime::clock::wall;

use super::operate::{Errand, Follow, carry_out};
use super::saved::Plan;
use super::{Context, Done, Exit, Failure};

/// How a move is followed.
#[derive(clap::Args, Clone, Debug)]
pub struct Following {
    /// Longest time to wait for the verdict, beside any time to drain
    #[arg(long, default_value = "5m", value_parser = super::duration, value_name = "TIME")]
    deadline: Duration,

    /// Return when it is accepted; `failoverd status` shows the rest
    #[arg(long)]
    no_wait: bool,
}

impl Following {
    pub fn errand(&self, request: Request) -> Errand {
        let follow = if self.no_wait { Follow::Not } else { Follow::Move };
        Errand { request, follow, deadline: self.deadline }
    }
}

/// Exit: 0 proven · 3 refused by a rule · 6 rolled back · 7 unverified or blind.
#[derive(clap::Args)]
#[command(after_help = "Example: failoverd switch web --to eu-west-1 --drain 30s --reason \"patching us-east-1\"")]
pub struct SwitchArgs {
    policy: String,

    /// Where to; once for each answer
    #[arg(long, value_name = "TARGET", required = true)]
    to: Vec<String>,

    /// Time between the check and the write, for the old target to empty
    #[arg(long, default_value = "0s", value_parser = super::duration, value_name = "TIME")]
    drain: Duration,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,

    #[command(flatten)]
    following: Following,
}

/// Exit: 0 proven · 3 refused by a rule · 6 rolled back · 7 unverified or blind.
#[derive(clap::Args)]
#[command(after_help = "Example: failoverd failback web --reason \"us-east-1 is well again\"")]
pub struct FailbackArgs {
    policy: String,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,

    #[command(flatten)]
    following: Following,
}

/// Exit: 0 empty · 3 refused by a rule · 6 rolled back · 7 unverified or blind.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  failoverd drain web us-east-1 --reason \"patching\"   a last resort only\n  \
    failoverd drain web us-east-1 --hard                never a destination\n  \
    failoverd undrain web us-east-1                     when it is done")]
pub struct DrainArgs {
    policy: String,
    target: String,

    /// Never a destination, not even when no other is left
    #[arg(long)]
    hard: bool,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,

    #[command(flatten)]
    following: Following,
}

/// Exit: 0 proven · 3 refused: too old, or the zone or the configuration is another · 4 the file was
/// changed · 6 rolled back · 7 unverified or blind.
#[derive(clap::Args)]
#[command(after_help = "Example: failoverd plan web --out web.plan && failoverd apply web.plan")]
pub struct ApplyArgs {
    /// What `failoverd plan --out FILE` saved, at most 15 minutes ago
    file: PathBuf,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,

    #[command(flatten)]
    following: Following,
}

pub async fn switch(context: &Context, args: SwitchArgs) -> Done {
    let SwitchArgs { policy, to, drain, reason, following } = args;
    let drain_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
    let mut errand = following.errand(Request::Switch { policy, to, drain_ms, reason });
    // The deadline is for the verdict; what a person asked to wait for is not counted.
    errand.deadline += drain;
    carry_out(context, errand).await
}

pub async fn failback(context: &Context, args: FailbackArgs) -> Done {
    let FailbackArgs { policy, reason, following } = args;
    carry_out(context, following.errand(Request::Failback { policy, reason })).await
}

pub async fn drain(context: &Context, args: DrainArgs) -> Done {
    let DrainArgs { policy, target, hard, reason, following } = args;
    carry_out(context, following.errand(Request::Drain { policy, target, hard, reason })).await
}

pub async fn apply(context: &Context, args: ApplyArgs) -> Done {
    let ApplyArgs { file, reason, following } = args;
    let Plan { policy, zone, plan, .. } = Plan::read(&file, wall())?;
    // A configuration that cannot be read now is judged by the daemon, which has one.
    if let Ok(config) = context.reach()?.valid() {
        let again = format!("failoverd plan {policy} --out FILE");
        let refused = |text: String| Failure::new(Exit::Refused, text).next(again.clone());
        let Some(now) = config.policies.iter().find(|p| p.id.as_str() == policy) else {
            return Err(refused(format!("policy {policy} of the saved plan is not configured any more")));
        };
        if now.config_hash != plan.config || now.zone.to_string() != zone {
            return Err(refused(format!("policy {policy} was changed after the plan was saved")));
        }
    }
    carry_out(context, following.errand(Request::Apply { policy, plan, reason })).await
}
