//! `failoverd force`: break-glass. Needs credentials and one policy's file; neither a daemon, nor a
//! state file, nor the rest of the configuration may stop it. What it does is said loudly.

use std::fmt::Write as _;
use std::time::Duration;

use crate::control::client::{AskError, person};
use crate::control::protocol::Request;
use crate::engine::report::{Report, TargetReport};
use crate::runtime::hand::Needs;

use super::line::Line;
use super::operate::{self, Errand, Follow};
use super::output::talk;
use super::{Context, Done};

/// Exit: 0 written and proven · 3 refused: it would be foreign, or another cluster's · 5 the provider
/// cannot be reached · 7 written, not proven.
#[derive(clap::Args)]
#[command(
    after_help = "Example: failoverd force web --to eu-west-1 --reason \"us-east-1 serves errors, probes lie\"\n\n\
    Writes whatever health, brakes and freezes say; never an empty answer, never a value that is no\n\
    target's. Afterwards nothing is written automatically until: failoverd unfreeze web --reason …"
)]
pub struct Args {
    policy: String,

    /// Where to; once for each answer
    #[arg(long, value_name = "TARGET", required = true)]
    to: Vec<String>,

    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Longest time to wait for the proof
    #[arg(long, default_value = "5m", value_parser = super::duration, value_name = "TIME")]
    deadline: Duration,
}

pub async fn run(context: &Context, args: Args) -> Done {
    let reason = operate::reason("force", args.reason)?;
    let (policy, to) = (args.policy, args.to);
    tracing::warn!(policy, to = to.join(","), by = person(), reason, "force: break-glass write");
    let request = Request::Force { policy: policy.clone(), to, reason };
    let errand = Errand { request, follow: Follow::Move, deadline: args.deadline };
    if let Some(state) = context.state_file()? {
        match operate::run(&Line::Daemon(state), &errand).await {
            Ok(done) if !is_daemons_own(&done) => return done,
            Ok(Err(failure)) => talk(&format!("the daemon cannot do it ({}); doing it from here", failure.error)),
            Ok(Ok(_)) => {}
            Err(AskError::NoDaemon(_)) => talk("no daemon answers; doing it from here"),
            Err(error) => talk(&format!("{error}; doing it from here")),
        }
    }
    let alone = context.alone(&policy)?;
    if !alone.left_out.is_empty() {
        let errors = super::count(alone.left_out.len(), "error", "errors");
        talk(&format!("warning: the configuration has {errors}, which this command does without:"));
        alone.left_out.iter().for_each(|finding| talk(&finding.to_string()));
    }
    if alone.config.policies.iter().all(|p| p.notify.is_empty()) {
        talk("warning: nobody is told of this: the policy has no receiver that can be used; tell people yourself");
    }
    operate::from_here(&alone.config, Needs::Nothing, &errand).await?
}

/// The daemon is what is in the way, not a rule of the write itself: an older configuration without
/// this policy or target, a daemon that only observes, stops or is too busy.
fn is_daemons_own(done: &Done) -> bool {
    matches!(done, Err(failure) if failure.exit == super::Exit::Error || failure.error.contains("only observes"))
}

/// What will be written, before it is.
pub fn announce(report: &Report, to: &[String]) {
    let named = |name: &String| report.targets.iter().find(|t| t.name.as_str() == name);
    let wanted: Vec<&TargetReport> = to.iter().filter_map(named).collect();
    let records: Vec<&str> = report.records.iter().map(|r| r.as_str()).collect();
    let mut text = format!("FORCE {}: {} (ttl {})\n", report.policy, records.join(", "), report.ttl.secs());
    let _ = writeln!(text, "  from    {}", super::render::published(report));
    for target in &wanted {
        let _ = writeln!(text, "  to      {} ({}), health {}: not asked", target.content, target.name, target.health);
    }
    let back: Vec<String> = report.targets.iter().filter(|t| t.active).map(|t| format!("--to {}", t.name)).collect();
    let back = if back.is_empty() { "--to TARGET".to_owned() } else { back.join(" ") };
    let _ = writeln!(text, "  undo    failoverd force {} {back} --reason …", report.policy);
    let _ = write!(
        text,
        "  after   nothing is written automatically until: failoverd unfreeze {} --reason …",
        report.policy
    );
    talk(&text);
}
